/* The detector's core: rules and points in, alerts out. One thread. Pure: time comes with the
 * points. Alerts have ids that follow from series, rule and the time of their first point: taking
 * the same points again after a crash gives the same messages, which the stream then takes once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/rules.h>

#define ENGINE_SERIES_MAX 200000u

struct engine;

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

struct engine *engine_create(engine_emit emit, void *arg);
void engine_destroy(struct engine *e);

/** Takes a new set of rules; state of subterms that stay is kept, alerts of rules that go are
 * closed. A rule that does not compile is left out; returns how many were. */
size_t engine_set_rules(struct engine *e, const struct engine_rule_in *r, size_t n);
/** One point. Late, repeated and out-of-order points are left out (false). */
bool engine_point(struct engine *e, const struct engine_series *s, int64_t time_ns, double value);
/** Closes alerts of series that have been silent since before. */
void engine_expire(struct engine *e, int64_t before_ns);

struct engine_counts {
    size_t series, rules, open;
    uint64_t points, late;
};
struct engine_counts engine_counts(const struct engine *e);

/* Snapshots: series touched since the last call, as key and bytes. */
typedef void (*engine_snapshot_fn)(const char *key, const void *state, size_t len, void *arg);
void engine_snapshot(struct engine *e, engine_snapshot_fn fn, void *arg);
/** A snapshot of an earlier process: used when its series is seen again. */
void engine_offer(struct engine *e, const char *key, const void *state, size_t len);
