/* Container metrics as an OTLP ExportMetricsServiceRequest. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>

struct cl_otlp_row { /* a container */
    const char *ns, *service, *pod;
    double cpu, memory; /* cores, bytes */
    int64_t restarts;
    bool ready;
};

/** One ResourceMetrics a row: container.cpu.utilization, container.memory.working_set,
 * k8s.container.restarts of the pod, and k8s.pod.ready, which is the least over the pods of the
 * row's component: a component is ready when all its pods are. */
void cl_otlp_encode(const struct cl_otlp_row *rows, size_t n, int64_t wall_ns, struct ac_buf *out);
