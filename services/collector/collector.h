/* The collector: what its files share. Everything runs on the loop thread but what is given to
 * PostgreSQL's pool: the storing of a sealed batch, and queries for what is no longer in memory. */
#pragma once

#include "events.h"
#include "hist.h"
#include "series.h"

#include <aceso/svc.h>
#include <aceso/v1/telemetry.pb-c.h>

#define COL_MESSAGE_BYTES (256u << 10) /* a bus message is closed beyond this; NATS takes 1 MiB */

enum col_signal {
    COL_METRICS,
    COL_TRACES,
    COL_LOGS,
    COL_SIGNALS
};

struct col_conf {
    int64_t retention_ns, memory_ns, memory_samples, flush_ns, flush_samples, max_series;
    uint64_t memory_bytes;
};

struct col_flush;

struct collector {
    struct ac_svc *svc;
    const struct col_conf *conf;
    char source[64];
    struct col_store series;
    struct col_events spans, logs;
    struct col_hists *hists;
    size_t exports; /* that wait for the stream */
    /* storing */
    struct ac_bus_reader *reader;
    bool held, stopping;
    bool ended;              /* another collector stores */
    uint64_t read_seq;       /* last message that is in memory */
    uint64_t stored_seq;     /* last message that is in PostgreSQL */
    char *stored_by;         /* the writer of that transaction; changes while none is under way */
    int64_t waits_since_ns;  /* since when something waits for the store; 0 = nothing does */
    struct col_flush *flush; /* under way */
    struct ac_timer *tick;
    struct ac_worker *worker; /* queries that take more than a moment */
    /* At start the stream has what was not stored yet. Queries wait until a mark that was put
     * behind it is read. */
    char mark[64]; /* its subject */
    bool caught_up;
    struct col_waiting *waiting;
    size_t n_waiting, cap_waiting;
    int64_t next_clean_ns, retry_ns;
    int64_t compact_ns, compact_series; /* chunks are merged up to this slice, and series in it */
    bool compacting;
    struct ac_arena *arena; /* of the message being read */
    struct {
        struct ac_metric *accepted[COL_SIGNALS], *rejected[COL_SIGNALS], *stored[COL_SIGNALS];
        struct ac_metric *poison, *lost, *merged, *flush_seconds, *series, *in_memory;
    } m;
};

/* adapters/ingest.c */
void col_ingest_add(struct collector *c);
void col_ingest_http(struct ac_http_req *r, struct ac_svc *s);

/* adapters/convert_bus.c */
#define COL_RECORD_BYTES (512u << 10)
/** Takes what makes sense of a batch; how many parts do not, and in err the last reason. */
size_t col_read_batch(struct collector *c, enum col_signal signal, const void *data, size_t len,
                      struct ac_err *err);
/** What queries look at, of a message; views. false when its ids are not hex. */
bool col_span_event(const Aceso__V1__Span *s, const char *ns, struct col_event *ret);
void col_log_event(const Aceso__V1__LogRecord *r, const char *ns, struct col_event *ret);

/* adapters/reader.c */
#define COL_SUBJECT_MARK "aceso.telemetry.mark"
/** Publishes the mark, until it is confirmed. */
void col_reader_mark(struct collector *c);
void col_reader_message(const struct ac_bus_msg *m, void *arg);

/* adapters/flush.c: from memory to PostgreSQL, and retention */
void col_flush_start(struct collector *c);
void col_flush_stop(struct collector *c); /* stores what there is, then ac_svc_stopped */
void col_flush_check(struct collector *c);

/* adapters/compact.c */
/** Goes on with merging small chunks, if there is any to do. */
void col_compact_go(struct collector *c);

/* adapters/store_pg.c */
extern const struct ac_pg_migration col_migrations[];
extern const size_t col_n_migrations;
/** Blocking: series, position, and what the memory window covers. */
int col_store_load(struct collector *c, struct ac_err *err) AC_MUST_USE;

/* adapters/query*.c */
void col_query_add(struct collector *c);
/** Runs the queries that waited. */
void col_query_caught_up(struct collector *c);
