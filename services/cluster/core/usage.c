#include "usage.h"

#include "js.h"

#include <inttypes.h>
#include <stdio.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define API_VERSION "metrics.k8s.io/v1beta1"

static json_t *amounts(const struct cl_usage *u)
{
    char cpu[32], memory[32];
    (void)snprintf(cpu, sizeof(cpu), "%" PRIu64 "n", (uint64_t)(u->cpu > 0 ? u->cpu * 1e9 : 0));
    (void)snprintf(memory, sizeof(memory), "%" PRIu64 "Ki",
                   (uint64_t)(u->memory > 0 ? u->memory / 1024 : 0));
    return json_pack("{s:s,s:s}", "cpu", cpu, "memory", memory);
}

static json_t *document(const char *kind, const json_t *of, int64_t wall_ns, int64_t window_ns)
{
    char at[32], window[32];
    js_time(wall_ns, at, sizeof(at));
    (void)snprintf(window, sizeof(window), "%.3fs", (double)window_ns / 1e9);
    json_t *j = json_pack("{s:s,s:s,s:{s:s,s:s},s:s,s:s}", "kind", kind, "apiVersion", API_VERSION,
                          "metadata", "name", js_name(of), "creationTimestamp", at, "timestamp", at,
                          "window", window);
    json_t *meta = json_object_get(j, "metadata"), *labels = js_at(of, "metadata.labels");
    if (!ac_str_empty(js_ns(of)))
        js_set_str(meta, "namespace", js_ns(of));
    if (labels != NULL)
        json_object_set(meta, "labels", labels);
    return j;
}

json_t *cl_usage_pod(const json_t *pod, const struct cl_usage *rows, size_t n, int64_t wall_ns,
                     int64_t window_ns)
{
    json_t *containers = json_array();
    for (size_t i = 0; i < n; i++)
        if (ac_streq(rows[i].pod_uid, js_uid(pod)))
            json_array_append_new(containers, json_pack("{s:s,s:o}", "name", rows[i].container,
                                                        "usage", amounts(&rows[i])));
    if (json_array_size(containers) == 0) {
        json_decref(containers);
        return NULL;
    }
    json_t *j = document("PodMetrics", pod, wall_ns, window_ns);
    json_object_set_new(j, "containers", containers);
    return j;
}

json_t *cl_usage_node(const json_t *node, const struct cl_usage *row, int64_t wall_ns,
                      int64_t window_ns)
{
    json_t *j = document("NodeMetrics", node, wall_ns, window_ns);
    json_object_set_new(j, "usage", amounts(row));
    return j;
}

json_t *cl_usage_list(const char *kind, json_t *items)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "%sList", kind);
    return json_pack("{s:s,s:s,s:{},s:o}", "kind", text, "apiVersion", API_VERSION, "metadata",
                     "items", items);
}
