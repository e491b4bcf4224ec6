/* OTLP export requests (protobuf) from metrics, spans and logs. Written directly: the three
 * messages have few fields, and a second of telemetry needs no tree of objects. */
#pragma once

#include "red.h"
#include "trace.h"

#include <aceso/buf.h>

struct app_resource {
    const char *service, *ns, *pod, *application; /* "" or NULL = left out */
};

/* One interval's metrics: begin, samples, end. */
struct app_otlp {
    struct ac_buf *out;
    size_t marks[2];
    int64_t time_ns;
};
void app_otlp_metrics_begin(struct app_otlp *o, struct ac_buf *out, const struct app_resource *r,
                            int64_t time_ns);
void app_otlp_gauge(struct app_otlp *o, const struct app_sample *s);
void app_otlp_metrics_end(struct app_otlp *o);

enum app_span_kind {
    APP_SPAN_INTERNAL = 1,
    APP_SPAN_SERVER = 2,
    APP_SPAN_CLIENT = 3
};

struct app_span {
    unsigned char trace_id[16], span_id[8], parent_id[8];
    enum app_span_kind kind;
    char name[96];
    char peer[64];   /* peer.service; "" = none */
    char system[16]; /* "grpc", "http", "postgresql", "redis", "model" */
    int64_t start_ns, end_ns;
    bool error;
    char message[160];
};
void app_otlp_spans(struct ac_buf *out, const struct app_resource *r, const struct app_span *spans,
                    size_t n);

struct app_log_record {
    int64_t time_ns;
    int severity; /* OTLP number: 9 info, 13 warn, 17 error */
    unsigned char trace_id[16], span_id[8];
    bool has_trace;
    char route[96], peer[64]; /* attributes; "" = none */
    char body[320];
};
void app_otlp_logs(struct ac_buf *out, const struct app_resource *r,
                   const struct app_log_record *logs, size_t n);
