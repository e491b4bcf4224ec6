/* The detector's core: rules and points in, alerts out. One thread. Pure: time comes in with the
 * points. State and messages follow from the stream of points and the places in it where rules were
 * exchanged, from nothing else: taking the same points again after a crash gives the same messages
 * under the same ids, which the bus and its consumers then take once.
 *
 * Two times: time_ns is a point's own, at_ns the stream's (when the message with the point was
 * stored). Silence is measured by the stream's, so that a sender's wrong clock closes no alert. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/rules.h>
#include <aceso/rules_zone.h>

#define ENGINE_SERIES_MAX 200000u
#define ENGINE_LABELS_MAX 64u   /* of a series */
#define ENGINE_KEY_MAX    2000u /* bytes of a series' key: it is indexed */
#define ENGINE_RULES_MAX  64u   /* that one series may have */

struct engine;

struct engine_opts {
    int64_t silence_ns; /* alerts of a series that sends nothing for so long are closed */
    int64_t forget_ns;  /* and its state is given up after this */
    size_t state_max;   /* bytes that the states of all series may need together */
    /* The zone of a name, alive as long as the engine; NULL when there is none. May be NULL itself:
     * then rules that name zones are left out. */
    const struct ac_zone *(*zone)(const char *name, void *arg);
    void *zone_arg;
};

struct engine_rule_in {
    const char *ns, *name, *text;
    uint64_t version;
};

struct engine_series {
    const char *ns, *component, *metric;
    const struct ac_label *labels;
    size_t n_labels;
};

struct engine_value {
    const char *name;
    double v;
};

/* Valid during the call only. */
struct engine_alert {
    char id[40];
    uint64_t sequence; /* 1 open, 2, ... */
    const char *state; /* "open", "update", "closed" */
    const struct engine_series *series;
    const char *rule, *rule_text, *severity, *reason;
    uint64_t rule_version;
    int64_t started_ns, updated_ns, ended_ns;
    double value;
    struct engine_value values[16];
    size_t n_values;
};

typedef void (*engine_emit)(const struct engine_alert *a, void *arg);

struct engine *engine_create(const struct engine_opts *o, engine_emit emit, void *arg);
void engine_destroy(struct engine *e); /* NULL is fine */

/** Takes a new set of rules. Operators that old and new rules share keep their state, others start
 * cold; an open alert goes on under a rule of the same name that still matches its series, others
 * are closed. A rule that does not compile, or that reads what the engine cannot give it (other
 * series, models, shares, unknown time zones), is left out; returns how many were. */
size_t engine_set_rules(struct engine *e, const struct engine_rule_in *in, size_t n);

/** Points of one series in any order; NaN is a missing value. Points that are not newer than the
 * newest taken before are left out and counted. Returns how many were taken. */
size_t engine_points(struct engine *e, const struct engine_series *k, int64_t at_ns,
                     const int64_t *time_ns, const double *value, size_t n);
/** Closes alerts of series that have sent nothing since before_ns of the stream's time. The
 * messages are those that the series' next point would have brought. */
void engine_expire(struct engine *e, int64_t before_ns);
/** Gives up series that have sent nothing since before_ns; fn is told their keys. */
void engine_forget(struct engine *e, int64_t before_ns, void (*fn)(const char *key, void *arg),
                   void *arg);

struct engine_counts {
    size_t series, rules, open;
    size_t state_bytes, unwatched;  /* unwatched: rules of series that the state has no room for */
    uint64_t points, late, refused; /* refused: too many series, or names over the limits */
};
struct engine_counts engine_counts(const struct engine *e);

/* Snapshots: series touched since the last call, as key and bytes. */
typedef void (*engine_snapshot_fn)(const char *key, const void *state, size_t len, void *arg);
void engine_snapshot(struct engine *e, engine_snapshot_fn fn, void *arg);
/** Takes over a series from an earlier process; after engine_set_rules with the rules that were in
 * force there. False when the bytes are none of ours: the series then starts anew. */
bool engine_restore(struct engine *e, const char *key, const void *state, size_t len);
