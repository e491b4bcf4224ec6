/* The detector: what its files share. Everything runs on the loop thread; PostgreSQL jobs work on
 * what was handed to them.
 *
 * State moves by points in the order of the stream (follow.c). From time to time it is captured
 * with the stream's position; once the bus has taken every alert up to there, it is stored
 * (snapshot.c). Rules come in between (rules.c) and are stored with a snapshot before the next
 * point is taken: so what a new process does again after a crash is what the old one did. */
#pragma once

#include "engine.h"
#include "outbox.h"

#include <aceso/map.h>
#include <aceso/svc.h>
#include <aceso/v1/detector.pb-c.h>

struct det_conf {
    char *trainer_addr;
    int64_t poll_ns, snapshot_ns, silence_ns, forget_ns, keep_ns;
    uint64_t state_max_bytes;
};

struct det_snapshot; /* snapshot.c */
struct det_held;     /* follow.c: a message that waits */

/* Bytes of a ListRulesResponse. */
struct det_rules {
    char *bytes;
    size_t len;
    uint64_t revision;
};

struct det_service {
    struct ac_svc *svc;
    const struct det_conf *conf;
    struct engine *engine;
    struct outbox *outbox;
    char source[64];
    bool stopping;

    /* follow.c */
    struct ac_bus_reader *reader;
    struct det_held *held, **held_tail;
    size_t n_held;
    bool paused; /* no rules are known yet, or those that were just taken are not stored yet */
    bool first_start;
    uint64_t position;      /* last message that was taken; 0: none yet */
    int64_t clock_ns;       /* time in which the stream spoke: silence is measured by it */
    int64_t stream_ns;      /* its time ... */
    int64_t stream_at;      /* ... and when, monotonic, it was taken */
    struct ac_map *zones;   /* time zones that rules name: struct ac_zone */
    struct ac_map *repeats; /* alerts told since the restored snapshot: id -> struct det_repeat */

    /* snapshot.c */
    struct det_snapshot *snapshot; /* under way, or NULL */
    struct ac_timer *tick, *retry;
    int64_t captured_at, forgot_at, swept_at; /* monotonic */
    uint64_t captured_position;
    struct ac_map *forgotten; /* keys, since the last capture */
    struct outbox_item *told; /* alerts that the bus has, to be stored */
    bool storing, said_stopped;
    bool lost; /* another detector has taken over: nothing is stored any more */
    int64_t epoch;
    int64_t store_took_ns; /* the last snapshot */

    /* rules.c */
    struct ac_rpc_channel *trainer;
    struct ac_bus_sub *changes;
    struct ac_timer *poll;
    bool asking, ask_again, unreachable;
    struct det_rules rules, next; /* in force; to be taken (bytes NULL: none) */
    uint64_t stored_revision;     /* of the rules that a new process would start with */

    struct ac_metric *m_alerts, *m_repeats, *m_bad, *m_points, *m_late, *m_refused, *m_series,
        *m_open, *m_rules, *m_unwatched, *m_state, *m_lag, *m_snapshots;
    struct engine_counts exported;
};

struct det_repeat {
    uint64_t sequence;
};

/* follow.c: telemetry in */
int det_follow_start(struct det_service *s, struct ac_err *err) AC_MUST_USE;
void det_follow_stop(struct det_service *s);
void det_pause(struct det_service *s);
void det_resume(struct det_service *s);
/** The engine's time now. */
int64_t det_clock_now(struct det_service *s);

/* alerts.c: alerts out */
void det_alerts_init(struct det_service *s);

/* snapshot.c */
void det_snapshot_start(struct det_service *s);
/** Does what is due: takes rules, captures, stores. */
void det_advance(struct det_service *s);
void det_snapshot_stop(struct det_service *s);
void det_snapshot_free(struct det_service *s);

/* rules.c */
int det_rules_start(struct det_service *s, struct ac_err *err) AC_MUST_USE;
void det_rules_stop(struct det_service *s);
/** Gives rules to the engine; takes r. False when the bytes are no rules. */
bool det_rules_take(struct det_service *s, struct det_rules r);

/* store_pg.c */
extern const struct ac_pg_migration det_migrations[];
extern const size_t det_n_migrations;

struct det_state {
    uint32_t key_len, len;
};

/* What one transaction writes. */
struct det_write {
    int64_t epoch;
    const struct outbox_item *told;
    bool whole; /* a snapshot: all that follows; else alerts alone */
    uint64_t position, revision;
    int64_t stream_ns, clock_ns;
    const void *rules; /* NULL: as they were */
    size_t rules_len;
    struct ac_buf states; /* of series, each: struct det_state, key, bytes */
    char **forgotten;
    size_t n_forgotten;
    int64_t sweep_before_ns; /* closed alerts older than this go; 0 = none */
};
/** Pool thread. AC_ESTATE when another detector has taken over. */
int det_store_write(struct ac_pg_conn *c, struct det_write *w, struct ac_err *err) AC_MUST_USE;
/** Takes over from the process before: position, rules, series, alerts told. Blocks. */
int det_store_load(struct det_service *s, struct ac_err *err) AC_MUST_USE;
/** Stores the position of the first start. Blocks. */
int det_store_pin(struct det_service *s, struct ac_err *err) AC_MUST_USE;
void det_store_list(struct det_service *s, struct ac_rpc_call *c,
                    const Aceso__V1__ListAlertsRequest *req);

/* rpc_detector.c */
void det_rpc_add(struct det_service *s);
