/* Spans of traces into measurements: calls, errors and duration of each component and of each edge
 * as its caller sees them, and the edges themselves. Pure. One owner; not thread-safe. */
#pragma once

#include "rca_model.h"

enum ac_rca_span_kind { /* as OTLP numbers them */
    AC_RCA_SPAN_UNKNOWN,
    AC_RCA_SPAN_INTERNAL,
    AC_RCA_SPAN_SERVER,
    AC_RCA_SPAN_CLIENT,
    AC_RCA_SPAN_PRODUCER,
    AC_RCA_SPAN_CONSUMER
};

struct ac_rca_span {
    const char *trace, *id, *parent; /* parent: NULL or "" for the first of a trace */
    const char *component, *name;
    const char *peer; /* whom a client span calls; NULL: not said */
    enum ac_rca_span_kind kind;
    bool failed;
    int64_t start_ns, duration_ns;
};

struct ac_rca_spans;

#define AC_RCA_MAX_SPANS 8000000

struct ac_rca_spans *ac_rca_spans_create(void);
void ac_rca_spans_destroy(struct ac_rca_spans *s); /* NULL is fine */
/** Copies what it needs; the order does not matter. AC_ERANGE above the limit. */
int ac_rca_spans_add(struct ac_rca_spans *s, const struct ac_rca_span *x,
                     struct ac_err *err) AC_MUST_USE;
/** The end of one recording: what lies between it and the next was not recorded. */
void ac_rca_spans_end(struct ac_rca_spans *s);
/** Adds edges and measurements (names "spans.rate", "spans.error_percent", "spans.latency_s",
 * "client....": rates a second, seconds). A call is seen by its caller where a client span is the
 * parent of the callee's; without kinds a parent is one that has the same name, or one child only
 * and itself a parent in its component. Spans are in one unit and weighed by their own number:
 * where a component has them most of the time they replace other measurements of its rate, errors
 * and latency (which become AC_RCA_OTHER); elsewhere they add what was not measured. Call it once.
 */
int ac_rca_spans_build(struct ac_rca_spans *s, struct ac_rca_case *c,
                       struct ac_err *err) AC_MUST_USE;

/** Whether a status says failure: "ERROR", 2 to 99 (OTLP and gRPC), 500 and more (HTTP). */
bool ac_rca_span_failed(const char *status);
/** The kind in words or digits: "SPAN_KIND_CLIENT", "client", "3". */
enum ac_rca_span_kind ac_rca_span_kind(const char *word);
