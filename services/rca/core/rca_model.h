/* What a diagnosis works on: components, measurements with gaps, calls between components, and
 * events. One owner builds a case with these functions, then only reads it. Not thread-safe.
 * Times are Unix nanoseconds; values that are not finite are gaps and are dropped on entry. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/* X(NAME, name, weight, two-sided, what a reader calls it)
 * The order is the order of listing. Weight 0 kinds are inputs only. */
#define AC_RCA_KINDS(X)                                                                            \
    X(OTHER, "other", 0.0, false, "measurement")                                                   \
    X(CPU, "cpu", 1.0, false, "processor use")                                                     \
    X(MEM, "mem", 1.0, false, "memory use")                                                        \
    X(LAT, "lat", 1.0, false, "latency")                                                           \
    X(ERR, "err", 1.0, false, "errors")                                                            \
    X(GAP, "gap", 1.5, false, "time lost between caller and callee")                               \
    X(EGAP, "egap", 1.5, false, "calls that fail before the callee answers")                       \
    X(UNREADY, "unready", 1.5, false, "pods that are not ready")                                   \
    X(RESTART, "restart", 0.5, false, "restarts")                                                  \
    X(SILENT, "silent", 0.3, false, "missing telemetry")                                           \
    X(CHANGE, "change", 1.0, false, "change of configuration or version")                          \
    X(SLI, "sli", 0.5, false, "failures seen from outside")                                        \
    X(CLAT, "clat", 0.3, false, "latency of its calls")                                            \
    X(CERR, "cerr", 0.0, false, "errors of its calls")                                             \
    X(CLOAD, "cload", 0.0, false, "rate of its calls")                                             \
    X(LOAD, "load", 0.3, true, "request rate")                                                     \
    X(NET, "net", 0.3, true, "network traffic")                                                    \
    X(IO, "io", 0.3, true, "disk and system calls")                                                \
    X(LOGERR, "logerr", 0.3, false, "error log lines")                                             \
    X(LOGNEW, "lognew", 1.0, false, "log lines that were not seen before")                         \
    X(CALLER, "caller", 1.5, false, "fewer calls made to a callee")                                \
    X(CGAP, "cgap", 1.0, false, "calls to it slower than its callers' own work explains")          \
    X(RESIDUAL, "residual", 0.5, false, "more than what usually moves with it explains")

enum ac_rca_kind {
#define X(id, name, w, two, text) AC_RCA_##id,
    AC_RCA_KINDS(X)
#undef X
    AC_RCA_NKINDS
};

const char *ac_rca_kind_name(enum ac_rca_kind k);
const char *ac_rca_kind_text(enum ac_rca_kind k);
double ac_rca_kind_weight(enum ac_rca_kind k);
bool ac_rca_kind_two_sided(enum ac_rca_kind k);

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
    bool drop;       /* of the node, not of the component */
    bool complement; /* a success share in percent: 100 - x */
};

/** Reads the kind of a measurement from its name (any case). */
struct ac_rca_name ac_rca_name_parse(const char *name);

struct ac_rca_metric {
    int component;
    int peer; /* the callee for measurements of one edge, else -1 */
    enum ac_rca_kind kind;
    enum ac_rca_statistic statistic;
    char *name;
    size_t n, cap;
    int64_t *t_ns; /* ascending */
    double *v;     /* finite */
};

struct ac_rca_edge {
    int from, to;   /* caller, callee */
    char *evidence; /* why we believe it, e.g. "412 spans", or "" */
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

/** A new empty measurement; returns its index or AC_ERANGE. The name is copied. */
int ac_rca_metric_add(struct ac_rca_case *c, int component, int peer, enum ac_rca_kind kind,
                      enum ac_rca_statistic statistic, const char *name);
/* No measurement is larger; beyond it sums of squares would overflow. */
#define AC_RCA_VALUE_MAX 1e100
/** Appends a sample; drops what is not finite or too large, and what does not move time forward. */
void ac_rca_metric_push(struct ac_rca_metric *m, int64_t t_ns, double v);

/** Adds a call; the same pair again replaces an empty evidence. A self-call is ignored. */
int ac_rca_edge_add(struct ac_rca_case *c, int from, int to, const char *evidence) AC_MUST_USE;
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
