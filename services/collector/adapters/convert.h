/* From OTLP messages to bus messages. What is wrong with a part of an export refuses that part, and
 * is counted and said; nothing is left out in silence. Loop thread. */
#pragma once

#include "collector.h"

#include <opentelemetry/proto/collector/logs/v1/logs_service.pb-c.h>
#include <opentelemetry/proto/collector/metrics/v1/metrics_service.pb-c.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>

typedef Opentelemetry__Proto__Common__V1__AnyValue otlp_any;
typedef Opentelemetry__Proto__Common__V1__KeyValue otlp_kv;
typedef Opentelemetry__Proto__Resource__V1__Resource otlp_resource;
typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest otlp_metrics;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest otlp_traces;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceRequest otlp_logs;

/* One bus message being filled, or full: entries of its repeated field 3. */
struct col_message {
    struct col_message *next;
    char *ns;
    struct ac_buf entries;
    size_t n;
};

/* What one export becomes. */
struct col_out {
    struct col_message *messages; /* newest first */
    struct ac_arena *arena;       /* texts that have to be made */
    struct ac_buf scratch, text;
    int64_t now_ns, oldest_ns, latest_ns;
    int64_t accepted, rejected;
    char reason[AC_ERR_MSG_MAX]; /* the first refusal, or a warning when nothing was refused */
};

void col_out_init(struct col_out *o, struct ac_arena *arena, int64_t now_ns, int64_t retention_ns);
void col_out_fini(struct col_out *o);
/** Appends msg to the open message of the namespace. Its packed size must be below 512 KiB. */
void col_out_put(struct col_out *o, const char *ns, const ProtobufCMessage *msg);
void col_out_reject(struct col_out *o, size_t n, const struct ac_err *why);
/** Something was cut, which is no refusal. */
void col_out_warn(struct col_out *o, const char *what);
/** The time as int64, within what is kept; AC_EINVAL says why not. */
int col_out_time(const struct col_out *o, uint64_t time_ns, int64_t *ret_ns,
                 struct ac_err *err) AC_MUST_USE;

/* adapters/convert_value.c. Texts are views or live in o's arena; NULL when that is full. */
const char *col_value_text(struct col_out *o, const otlp_any *v);
/** At most max of them; what cannot be had is left out with a warning. */
size_t col_attributes(struct col_out *o, otlp_kv *const *in, size_t n, struct col_label *out,
                      size_t max);
/** Valid UTF-8 of at most max bytes. */
const char *col_clean(struct col_out *o, const char *s, size_t max);
void col_source(struct col_out *o, const otlp_resource *r, struct col_source *ret);

/* adapters/convert_metrics.c, convert_events.c */
void col_convert_metrics(struct collector *c, const otlp_metrics *m, struct col_out *o);
void col_convert_traces(const otlp_traces *m, struct col_out *o);
void col_convert_logs(const otlp_logs *m, struct col_out *o);
