/* What a process tells about itself: once a second metrics, kept spans and logs go to the collector
 * (OTLP/gRPC). Without an endpoint only the counting is done. Loop thread. */
#pragma once

#include "otlp.h"
#include "red.h"

#include <aceso/svc.h>

struct app_telemetry;

struct app_telemetry_opts {
    const char *endpoint; /* "http://host:4317" or "host:4317"; NULL or "" = none */
    const char *service, *ns, *pod, *application;
    double sample_ratio;
    unsigned error_spans_per_s; /* of traces that are not sampled */
    int64_t interval_ns;
};

struct app_telemetry *app_telemetry_create(struct ac_svc *svc, const struct app_telemetry_opts *o);
void app_telemetry_destroy(struct app_telemetry *t);
/** "rpc.server" by route, "rpc.client" by peer; "load" by class. */
void app_telemetry_group(struct app_telemetry *t, struct app_red *red); /* takes red */
double app_telemetry_ratio(const struct app_telemetry *t);
/** All spans of one request: kept when the trace is sampled, else the failed ones within the cap.
 */
void app_telemetry_spans(struct app_telemetry *t, bool sampled, const struct app_span *spans,
                         size_t n);
/** Also writes a line on stderr. Rate-limited. */
void app_telemetry_log(struct app_telemetry *t, const struct app_log_record *rec);
