/* metrics.k8s.io: what `kubectl top` reads. Pure; new references. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct cl_usage {
    const char *pod_uid, *container; /* of a container; unused for the node */
    double cpu, memory;              /* cores, bytes */
};

/** PodMetrics of a pod, with those rows that are its containers; NULL when there is none. */
json_t *cl_usage_pod(const json_t *pod, const struct cl_usage *rows, size_t n, int64_t wall_ns,
                     int64_t window_ns);
json_t *cl_usage_node(const json_t *node, const struct cl_usage *row, int64_t wall_ns,
                      int64_t window_ns);
/** kind "PodMetrics" or "NodeMetrics"; takes items. */
json_t *cl_usage_list(const char *kind, json_t *items);
