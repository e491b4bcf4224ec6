/* metrics.k8s.io: usage of pods and of the node, as the telemetry saw it last. */
#include "api_int.h"
#include "telemetry.h"

#include <string.h>

#include <aceso/str.h>

#include "core/usage.h"

#define ROOT "/apis/metrics.k8s.io/v1beta1/"

/* The rows in the form of the core; they live as long as the telemetry's, until the loop's turn
 * ends. Caller frees. */
static struct cl_usage *rows_of(const struct telemetry_usage *u)
{
    struct cl_usage *rows = ac_xcalloc(u->n + 1, sizeof(*rows));
    for (size_t i = 0; i < u->n; i++)
        rows[i] = (struct cl_usage){u->rows[i].proc.uid, u->rows[i].proc.container, u->rows[i].cpu,
                                    u->rows[i].memory};
    return rows;
}

static void reply(struct areq *q, const char *kind, const char *name, json_t *items)
{
    struct ac_err err = AC_ERR_INIT;
    if (name == NULL) {
        api_reply_new(q, 200, cl_usage_list(kind, items));
        return;
    }
    if (json_array_size(items) > 0) {
        api_reply_json(q, 200, json_array_get(items, 0));
    } else {
        ac_err_set(&err, AC_ENOTFOUND, "%s of \"%.150s\" not found", kind, name);
        api_fail(q, &err);
    }
    json_decref(items);
}

static void reply_pods(struct areq *q, const struct telemetry_usage *u, const char *ns,
                       const char *name)
{
    struct ac_err err = AC_ERR_INIT;
    struct cl_selector *labels = NULL;
    if (!q->who.admin && !ac_streq(ns, q->who.ns)) {
        ac_err_set(&err, AC_EPERM, "this account sees the usage of namespace %.100s alone",
                   q->who.ns);
        api_fail(q, &err);
        return;
    }
    if (cl_selector_parse(ac_http_query(q->r, "labelSelector"), &labels, &err) != 0) {
        api_fail(q, &err);
        return;
    }
    ac_cleanup(ac_free_p) struct cl_usage *rows = rows_of(u);
    json_t *items = json_array(), *pod;
    for (size_t it = 0; (pod = cl_store_next(q->a->d.store, CL_POD, ns, &it)) != NULL;) {
        if ((name != NULL && !ac_streq(js_name(pod), name)) || !cl_selector_labels(labels, pod))
            continue;
        json_t *one = cl_usage_pod(pod, rows, u->n, u->wall_ns, u->window_ns);
        if (one != NULL)
            json_array_append_new(items, one);
    }
    cl_selector_destroy(labels);
    reply(q, "PodMetrics", name, items);
}

static void reply_nodes(struct areq *q, const struct telemetry_usage *u, const char *name)
{
    const struct cl_usage row = {.cpu = u->node_cpu, .memory = u->node_memory};
    json_t *items = json_array(), *node;
    for (size_t it = 0; (node = cl_store_next(q->a->d.store, CL_NODE, NULL, &it)) != NULL;)
        if (name == NULL || ac_streq(js_name(node), name))
            json_array_append_new(items, cl_usage_node(node, &row, u->wall_ns, u->window_ns));
    reply(q, "NodeMetrics", name, items);
}

bool api_metrics(struct areq *q)
{
    char copy[512];
    const char *path = ac_http_path(q->r), *ns = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (!ac_str_starts(path, ROOT) || !ac_str_copy(copy, sizeof(copy), path + strlen(ROOT)))
        return false;
    char *rest = copy;
    const char *what = ac_str_next(&rest, '/');
    if (ac_streq(what, "namespaces")) {
        ns = ac_str_next(&rest, '/');
        what = ac_str_next(&rest, '/');
    }
    const char *name = ac_str_next(&rest, '/');
    struct telemetry_usage u;
    telemetry_last(q->a->d.telemetry, &u);
    if (ac_streq(q->method, "GET") && rest == NULL && ac_streq(what, "pods")) {
        reply_pods(q, &u, ns, ac_str_empty(name) ? NULL : name);
    } else if (ac_streq(q->method, "GET") && rest == NULL && ns == NULL &&
               ac_streq(what, "nodes")) {
        reply_nodes(q, &u, ac_str_empty(name) ? NULL : name);
    } else {
        ac_err_set(&err, AC_ENOTFOUND, "the server could not find the requested resource");
        api_fail(q, &err);
    }
    return true;
}
