/* What a diagnosis works on: components, measurements with gaps, calls between components, and
 * events. One owner builds a case with these functions, then only reads it. Not thread-safe.
 * Times are Unix nanoseconds; values that are not finite are gaps and are dropped on entry. */
#pragma once

#include "rca_unit.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/* X(NAME, name, weight, bad, unit, what a reader calls it)
 * The order is the order of listing. Weight 0 kinds are inputs only. bad: which way it goes when
 * something is wrong, unless the measurement's name says otherwise. unit: what its values are held
 * in; "": as they come. */
#define AC_RCA_KINDS(X)                                                                            \
    X(OTHER, "other", 0.0, HIGH, "", "measurement")                                                \
    X(CPU, "cpu", 1.0, HIGH, "", "processor use")                                                  \
    X(MEM, "mem", 1.0, HIGH, "bytes", "memory use")                                                \
    X(LAT, "lat", 1.0, HIGH, "s", "latency")                                                       \
    X(ERR, "err", 1.0, HIGH, "%", "errors")                                                        \
    X(GAP, "gap", 1.5, HIGH, "s", "time lost between caller and callee")                           \
    X(EGAP, "egap", 1.5, HIGH, "%", "calls that fail before the callee answers")                   \
    X(UNREADY, "unready", 1.5, HIGH, "", "pods that are not ready")                                \
    X(RESTART, "restart", 0.5, HIGH, "", "restarts")                                               \
    X(SILENT, "silent", 0.3, HIGH, "", "missing telemetry")                                        \
    X(CHANGE, "change", 1.0, HIGH, "", "change of configuration or version")                       \
    X(SLI, "sli", 0.5, HIGH, "%", "failures seen from outside")                                    \
    X(CLAT, "clat", 0.3, HIGH, "s", "latency of its calls")                                        \
    X(CERR, "cerr", 0.0, HIGH, "%", "errors of its calls")                                         \
    X(CLOAD, "cload", 0.0, HIGH, "1/s", "rate of its calls")                                       \
    X(LOAD, "load", 0.3, BOTH, "1/s", "request rate")                                              \
    X(NET, "net", 0.3, BOTH, "", "network traffic")                                                \
    X(IO, "io", 0.3, BOTH, "", "disk and system calls")                                            \
    X(LOGERR, "logerr", 0.3, HIGH, "", "error log lines")                                          \
    X(LOGNEW, "lognew", 1.0, HIGH, "", "log lines that were not seen before")                      \
    X(CALLER, "caller", 1.5, HIGH, "", "fewer calls made to a callee")                             \
    X(CGAP, "cgap", 1.0, HIGH, "", "calls to it slower than its callers' own work explains")       \
    X(RESIDUAL, "residual", 0.5, HIGH, "", "more than what usually moves with it explains")

enum ac_rca_kind {
#define X(id, name, w, bad, unit, text) AC_RCA_##id,
    AC_RCA_KINDS(X)
#undef X
    AC_RCA_NKINDS
};

const char *ac_rca_kind_name(enum ac_rca_kind k);
const char *ac_rca_kind_text(enum ac_rca_kind k);
double ac_rca_kind_weight(enum ac_rca_kind k);
enum ac_rca_bad ac_rca_kind_bad(enum ac_rca_kind k);
const char *ac_rca_kind_unit(enum ac_rca_kind k);

/* Which statistic of a distribution a name means: when several are there one is used. */
enum ac_rca_statistic {
    AC_RCA_MEAN,
    AC_RCA_P90,
    AC_RCA_P95,
    AC_RCA_P50,
    AC_RCA_P99,
    AC_RCA_MAX
};

struct ac_rca_name {
    enum ac_rca_kind kind;
    enum ac_rca_statistic statistic;
    bool drop; /* of the node, not of the component */
    enum ac_rca_bad bad;
    char unit[AC_RCA_UNIT_SIZE]; /* "": it does not say */
};

/** Reads what a measurement is from its name (any case). */
struct ac_rca_name ac_rca_name_parse(const char *name);

/* Values are held in the kind's unit, and so that more is worse: those of a measurement of which
 * little is bad are mirrored (of shares what is missing to all, else the negative value). What
 * works on them need not ask; what is shown is turned back. Rates are not mirrored, for they weigh
 * what their component shows: of them low values themselves are bad. */
struct ac_rca_metric {
    int component;
    int peer; /* the callee for measurements of one edge, else -1 */
    enum ac_rca_kind kind;
    enum ac_rca_statistic statistic;
    enum ac_rca_bad bad;         /* of the values as they were measured */
    char unit[AC_RCA_UNIT_SIZE]; /* of these; "": not known */
    double base, slope;          /* held = base + slope * measured */
    char *name;
    size_t n, cap;
    int64_t *t_ns; /* ascending */
    double *v;     /* finite */
};

struct ac_rca_edge {
    int from, to;   /* caller, callee */
    char *evidence; /* why we believe it, e.g. "412 spans", or "" */
    char *where;    /* "file:line" that says so, or "" */
};

enum ac_rca_event_class {
    AC_RCA_EVENT_OTHER,
    AC_RCA_EVENT_UNREADY,     /* a pod is not ready, crashes or cannot start */
    AC_RCA_EVENT_CHANGE,      /* rollout, scaling, configuration */
    AC_RCA_EVENT_DENIED,      /* permission or authentication refused */
    AC_RCA_EVENT_TIMEOUT,     /* deadline passed, connection timed out */
    AC_RCA_EVENT_UNREACHABLE, /* connection refused, no route, unavailable */
    AC_RCA_NEVENTS
};

const char *ac_rca_event_class_name(enum ac_rca_event_class c);
/** Reads the class of a log line or an event from its words. */
enum ac_rca_event_class ac_rca_event_classify(const char *text);

struct ac_rca_event {
    int component; /* who said it */
    int about;     /* whom it is about: component, or the callee that it names */
    int64_t t_ns;
    uint64_t count;
    enum ac_rca_event_class cls;
    char *text;
};

struct ac_rca_case {
    char **components;
    size_t ncomponents, components_cap;
    struct ac_map *index; /* name -> 1 + component */
    struct ac_rca_metric *metrics;
    size_t nmetrics, metrics_cap;
    struct ac_rca_edge *edges;
    size_t nedges, edges_cap;
    struct ac_map *edge_index; /* "from>to" -> 1 + edge */
    struct ac_rca_event *events;
    size_t nevents, events_cap;
};

#define AC_RCA_MAX_COMPONENTS 4096
#define AC_RCA_MAX_METRICS    65536
#define AC_RCA_MAX_EDGES      65536
#define AC_RCA_MAX_EVENTS     65536

struct ac_rca_case *ac_rca_case_create(void);
void ac_rca_case_destroy(struct ac_rca_case *c); /* NULL is fine */

/** Number of the component, made when new; AC_ERANGE above the limit. */
int ac_rca_component(struct ac_rca_case *c, const char *name);
int ac_rca_component_find(const struct ac_rca_case *c, const char *name); /* -1 when absent */

/** A new empty measurement, its values in the kind's unit; returns its index or AC_ERANGE. The name
 * is copied. */
int ac_rca_metric_add(struct ac_rca_case *c, int component, int peer, enum ac_rca_kind kind,
                      enum ac_rca_statistic statistic, const char *name);
/* No measurement is larger; beyond it sums of squares would overflow. */
#define AC_RCA_VALUE_MAX 1e100
/** Appends a sample as it is held; drops what is not finite or too large, and what does not move
 * time forward. */
void ac_rca_metric_push(struct ac_rca_metric *m, int64_t t_ns, double v);
/** Says what its values are measured in (unit as rca_unit.h spells it; "": not known), and which of
 * them are bad news. Samples that are there already are turned. */
void ac_rca_metric_means(struct ac_rca_metric *m, const char *unit, enum ac_rca_bad bad);
/** A value as it was measured, as it is held; and back. */
double ac_rca_held(const struct ac_rca_metric *m, double measured);
double ac_rca_measured(const struct ac_rca_metric *m, double held);
/** Whether a rise of the held values is bad news; a fall. */
bool ac_rca_bad_rise(const struct ac_rca_metric *m);
bool ac_rca_bad_fall(const struct ac_rca_metric *m);

/** Adds a call; the same pair again replaces an empty evidence. A self-call is ignored. */
int ac_rca_edge_add(struct ac_rca_case *c, int from, int to, const char *evidence) AC_MUST_USE;
/** The same with the place that says so, "file:line"; the first one counts. */
int ac_rca_edge_cite(struct ac_rca_case *c, int from, int to, const char *evidence,
                     const char *where) AC_MUST_USE;
int ac_rca_event_add(struct ac_rca_case *c,
                     const struct ac_rca_event *e) AC_MUST_USE; /* copies text */

/** Keeps one statistic of latency a component and peer: mean, else p90, p95, p50, p99. The others
 * become AC_RCA_OTHER. Call once after the last measurement. */
void ac_rca_case_one_statistic(struct ac_rca_case *c);

/** When an application that started within the recording had settled: its measurements begin one
 * after another, the last of them (nine in ten) plus 6 s. The time of the first sample when all
 * begin together. Never later than 10 s before t0_ns. */
int64_t ac_rca_settled(const struct ac_rca_case *c, int64_t t0_ns);
/** Forgets samples and events before a time. */
void ac_rca_case_trim(struct ac_rca_case *c, int64_t from_ns);
