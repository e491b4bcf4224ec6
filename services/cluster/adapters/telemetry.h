/* Usage of containers and of the machine, measured every period, and sent as OTLP to the collector.
 * Loop thread; /proc is read on a worker. */
#pragma once

#include "runtime.h"

#include <aceso/svc.h>

struct telemetry;
/** collector "HOST:PORT"; NULL or "": nothing is sent. */
int telemetry_open(struct ac_svc *s, struct runtime *rt, const char *collector, int64_t period_ns,
                   struct telemetry **ret, struct ac_err *err) AC_MUST_USE;

struct telemetry_row {
    struct runtime_proc proc;
    double cpu, memory; /* cores, bytes */
};
struct telemetry_usage {
    const struct telemetry_row *rows; /* the telemetry's, valid until the loop's next turn */
    size_t n;
    double node_cpu, node_memory;
    int64_t wall_ns, window_ns;
};
/** As of the last round; empty before the first. */
void telemetry_last(const struct telemetry *t, struct telemetry_usage *ret);
void telemetry_close(struct telemetry *t); /* NULL is fine */
