#include "table.h"

#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

#define CELL_MAX 4096

struct row {
    const json_t *o;
    int64_t now;
    struct ac_buf text; /* of the cell being made */
};

struct column {
    const char *name, *type;
    int priority; /* 1 = only with -o wide */
    void (*cell)(struct row *r);
};

static void put(struct row *r, const char *s)
{
    ac_buf_puts(&r->text, ac_str_empty(s) ? "<none>" : s);
}

static void age_since(struct row *r, const char *time)
{
    char age[32];
    int64_t t = js_time_ns(time);
    if (t == 0) {
        put(r, "<unknown>");
        return;
    }
    js_age(r->now - t, age, sizeof(age));
    put(r, age);
}

static void c_name(struct row *r)
{
    put(r, js_name(r->o));
}

static void c_age(struct row *r)
{
    age_since(r, js_str(r->o, "metadata.creationTimestamp", NULL));
}

static void list_of(struct row *r, const json_t *array, const char *field)
{
    size_t i;
    json_t *v;
    json_array_foreach(array, i, v)
        ac_buf_printf(&r->text, "%s%s", i > 0 ? "," : "", js_str(v, field, ""));
    if (i == 0)
        put(r, NULL);
}

static void labels_text(struct row *r, const json_t *map)
{
    const char *k;
    json_t *v;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)map, k, v)
    {
        ac_buf_printf(&r->text, "%s%s=%s", first ? "" : ",", k, json_string_value(v));
        first = false;
    }
    if (first)
        put(r, NULL);
}

/* ---- pods ---- */

static const char *container_reason(const json_t *cs, char *dst, size_t dst_size)
{
    const char *waiting = js_str(cs, "state.waiting.reason", NULL);
    if (!ac_str_empty(waiting))
        return waiting;
    const json_t *t = js_at(cs, "state.terminated");
    if (t == NULL)
        return NULL;
    const char *reason = js_str(t, "reason", NULL);
    if (!ac_str_empty(reason))
        return reason;
    int64_t sig = js_int(t, "signal", 0);
    if (sig != 0)
        (void)snprintf(dst, dst_size, "Signal:%lld", (long long)sig);
    else
        (void)snprintf(dst, dst_size, "ExitCode:%lld", (long long)js_int(t, "exitCode", 0));
    return dst;
}

static const char *init_reason(const json_t *pod, char *dst, size_t dst_size)
{
    const json_t *list = js_at(pod, "status.initContainerStatuses");
    size_t n = json_array_size(js_at(pod, "spec.initContainers")), i;
    json_t *cs;
    char buf[64];
    json_array_foreach(list, i, cs)
    {
        if (js_at(cs, "state.terminated") != NULL &&
            js_int(cs, "state.terminated.exitCode", 1) == 0)
            continue;
        const char *why = container_reason(cs, buf, sizeof(buf));
        if (why != NULL && !ac_streq(why, "PodInitializing"))
            (void)snprintf(dst, dst_size, "Init:%s", why);
        else
            (void)snprintf(dst, dst_size, "Init:%zu/%zu", i, n);
        return dst;
    }
    return NULL;
}

const char *cl_pod_status_text(const json_t *pod, char *dst, size_t dst_size)
{
    size_t i;
    json_t *cs;
    char buf[64];
    const char *reason = js_str(pod, "status.reason", js_str(pod, "status.phase", "Unknown"));
    if (js_deleting(pod))
        return "Terminating";
    const char *init = init_reason(pod, dst, dst_size);
    if (init != NULL)
        return init;
    bool running = false;
    json_array_foreach(js_at(pod, "status.containerStatuses"), i, cs)
    {
        const char *why = container_reason(cs, buf, sizeof(buf));
        if (why != NULL)
            reason = why;
        running = running || (js_bool(cs, "ready", false) && js_at(cs, "state.running") != NULL);
    }
    if (ac_streq(reason, "Completed") && running)
        reason = "Running";
    ac_str_copy(dst, dst_size, reason);
    return dst;
}

static void c_pod_ready(struct row *r)
{
    size_t i, ready = 0;
    json_t *cs;
    json_array_foreach(js_at(r->o, "status.containerStatuses"), i, cs) ready +=
        js_bool(cs, "ready", false);
    ac_buf_printf(&r->text, "%zu/%zu", ready, json_array_size(js_at(r->o, "spec.containers")));
}

static void c_pod_status(struct row *r)
{
    char buf[128];
    put(r, cl_pod_status_text(r->o, buf, sizeof(buf)));
}

static void c_pod_restarts(struct row *r)
{
    size_t i;
    json_t *cs;
    int64_t n = 0, last = 0;
    json_array_foreach(js_at(r->o, "status.containerStatuses"), i, cs)
    {
        n += js_int(cs, "restartCount", 0);
        last = AC_MAX(last, js_time_ns(js_str(cs, "lastState.terminated.finishedAt", NULL)));
    }
    ac_buf_printf(&r->text, "%lld", (long long)n);
    if (n > 0 && last > 0) {
        char age[32];
        js_age(r->now - last, age, sizeof(age));
        ac_buf_printf(&r->text, " (%s ago)", age);
    }
}

static void c_pod_ip(struct row *r)
{
    put(r, js_str(r->o, "status.podIP", NULL));
}

static void c_pod_node(struct row *r)
{
    put(r, js_str(r->o, "spec.nodeName", NULL));
}

static void c_none(struct row *r)
{
    put(r, NULL);
}

/* ---- workloads ---- */

static void put_int(struct row *r, const char *path)
{
    ac_buf_printf(&r->text, "%lld", (long long)js_int(r->o, path, 0));
}

static void c_ready_of(struct row *r)
{
    ac_buf_printf(&r->text, "%lld/%lld", (long long)js_int(r->o, "status.readyReplicas", 0),
                  (long long)js_int(r->o, "spec.replicas", 1));
}

static void c_updated(struct row *r)
{
    put_int(r, "status.updatedReplicas");
}

static void c_available(struct row *r)
{
    put_int(r, "status.availableReplicas");
}

static void c_desired(struct row *r)
{
    put_int(r, "spec.replicas");
}

static void c_current(struct row *r)
{
    put_int(r, "status.replicas");
}

static void c_ready(struct row *r)
{
    put_int(r, "status.readyReplicas");
}

static void c_containers(struct row *r)
{
    list_of(r, js_at(r->o, "spec.template.spec.containers"), "name");
}

static void c_images(struct row *r)
{
    list_of(r, js_at(r->o, "spec.template.spec.containers"), "image");
}

static void c_selector(struct row *r)
{
    labels_text(r, js_at(r->o, "spec.selector.matchLabels"));
}

static void c_job_status(struct row *r)
{
    size_t i;
    json_t *c;
    const char *s = "Running";
    json_array_foreach(js_at(r->o, "status.conditions"), i,
                       c) if (ac_streq(js_str(c, "status", ""), "True")) s = js_str(c, "type", s);
    put(r, s);
}

static void c_completions(struct row *r)
{
    ac_buf_printf(&r->text, "%lld/%lld", (long long)js_int(r->o, "status.succeeded", 0),
                  (long long)js_int(r->o, "spec.completions", 1));
}

static void c_job_duration(struct row *r)
{
    int64_t from = js_time_ns(js_str(r->o, "status.startTime", NULL));
    int64_t to = js_time_ns(js_str(r->o, "status.completionTime", NULL));
    char age[32];
    if (from == 0)
        return;
    js_age((to != 0 ? to : r->now) - from, age, sizeof(age));
    put(r, age);
}

/* ---- services and the rest ---- */

static void c_svc_type(struct row *r)
{
    put(r, js_str(r->o, "spec.type", NULL));
}

static void c_svc_ip(struct row *r)
{
    put(r, js_str(r->o, "spec.clusterIP", NULL));
}

static void c_svc_ports(struct row *r)
{
    size_t i;
    json_t *p;
    json_array_foreach(js_at(r->o, "spec.ports"), i, p)
        ac_buf_printf(&r->text, "%s%lld/%s", i > 0 ? "," : "", (long long)js_int(p, "port", 0),
                      js_str(p, "protocol", "TCP"));
    if (i == 0)
        put(r, NULL);
}

static void c_svc_selector(struct row *r)
{
    labels_text(r, js_at(r->o, "spec.selector"));
}

static void c_endpoints(struct row *r)
{
    size_t i, a, p, n = 0;
    json_t *subset, *addr, *port;
    json_array_foreach(js_at(r->o, "subsets"), i, subset)
        json_array_foreach(js_at(subset, "addresses"), a, addr)
            json_array_foreach(js_at(subset, "ports"), p, port) if (n++ < 3)
                ac_buf_printf(&r->text, "%s%s:%lld", n > 1 ? "," : "", js_str(addr, "ip", ""),
                              (long long)js_int(port, "port", 0));
    if (n > 3)
        ac_buf_printf(&r->text, " + %zu more...", n - 3);
    if (n == 0)
        put(r, NULL);
}

static void c_slice_type(struct row *r)
{
    put(r, js_str(r->o, "addressType", NULL));
}

static void c_slice_endpoints(struct row *r)
{
    size_t i;
    json_t *e;
    json_array_foreach(js_at(r->o, "endpoints"), i, e)
        ac_buf_printf(&r->text, "%s%s", i > 0 ? "," : "",
                      json_string_value(json_array_get(js_at(e, "addresses"), 0)));
    if (i == 0)
        put(r, "<unset>");
}

static void c_data(struct row *r)
{
    ac_buf_printf(&r->text, "%zu",
                  json_object_size(js_at(r->o, "data")) +
                      json_object_size(js_at(r->o, "binaryData")));
}

static void c_type(struct row *r)
{
    put(r, js_str(r->o, "type", NULL));
}

static void c_phase(struct row *r)
{
    put(r, js_str(r->o, "status.phase", NULL));
}

static void c_secrets(struct row *r)
{
    ac_buf_printf(&r->text, "%zu", json_array_size(js_at(r->o, "secrets")));
}

static void c_ev_last(struct row *r)
{
    age_since(r, js_str(r->o, "lastTimestamp", js_str(r->o, "eventTime", NULL)));
}

static void c_ev_reason(struct row *r)
{
    put(r, js_str(r->o, "reason", NULL));
}

static void c_ev_object(struct row *r)
{
    const char *kind = js_str(r->o, "involvedObject.kind", "");
    for (; *kind != '\0'; kind++)
        ac_buf_putc(&r->text, (char)(*kind >= 'A' && *kind <= 'Z' ? *kind + 32 : *kind));
    ac_buf_printf(&r->text, "/%s", js_str(r->o, "involvedObject.name", ""));
}

static void c_ev_message(struct row *r)
{
    put(r, js_str(r->o, "message", NULL));
}

static void c_node_status(struct row *r)
{
    const json_t *c = js_find(js_at(r->o, "status.conditions"), "type", "Ready");
    put(r, ac_streq(js_str(c, "status", ""), "True") ? "Ready" : "NotReady");
    if (js_bool(r->o, "spec.unschedulable", false))
        ac_buf_puts(&r->text, ",SchedulingDisabled");
}

static void c_node_roles(struct row *r)
{
    put(r, "control-plane");
}

static void c_node_version(struct row *r)
{
    put(r, js_str(r->o, "status.nodeInfo.kubeletVersion", NULL));
}

static void c_node_ip(struct row *r)
{
    put(r, js_str(json_array_get(js_at(r->o, "status.addresses"), 0), "address", NULL));
}

static void c_node_os(struct row *r)
{
    put(r, js_str(r->o, "status.nodeInfo.osImage", NULL));
}

static void c_action(struct row *r)
{
    put(r, js_str(r->o, "spec.action", NULL));
}

static void c_duration(struct row *r)
{
    put(r, js_str(r->o, "spec.duration", NULL));
}

static void c_desired_phase(struct row *r)
{
    put(r, js_str(r->o, "status.experiment.desiredPhase", NULL));
}

#define NAME                                                                                       \
    {                                                                                              \
        "Name", "string", 0, c_name                                                                \
    }
#define AGE                                                                                        \
    {                                                                                              \
        "Age", "string", 0, c_age                                                                  \
    }
#define COLUMNS_MAX 10

static const struct column columns[CL_KINDS][COLUMNS_MAX] = {
    [CL_NAMESPACE] = {NAME, {"Status", "string", 0, c_phase}, AGE},
    [CL_NODE] = {NAME,
                 {"Status", "string", 0, c_node_status},
                 {"Roles", "string", 0, c_node_roles},
                 AGE,
                 {"Version", "string", 0, c_node_version},
                 {"Internal-IP", "string", 1, c_node_ip},
                 {"OS-Image", "string", 1, c_node_os}},
    [CL_POD] = {NAME,
                {"Ready", "string", 0, c_pod_ready},
                {"Status", "string", 0, c_pod_status},
                {"Restarts", "string", 0, c_pod_restarts},
                AGE,
                {"IP", "string", 1, c_pod_ip},
                {"Node", "string", 1, c_pod_node},
                {"Nominated Node", "string", 1, c_none},
                {"Readiness Gates", "string", 1, c_none}},
    [CL_SERVICE] = {NAME,
                    {"Type", "string", 0, c_svc_type},
                    {"Cluster-IP", "string", 0, c_svc_ip},
                    {"External-IP", "string", 0, c_none},
                    {"Port(s)", "string", 0, c_svc_ports},
                    AGE,
                    {"Selector", "string", 1, c_svc_selector}},
    [CL_ENDPOINTS] = {NAME, {"Endpoints", "string", 0, c_endpoints}, AGE},
    [CL_CONFIGMAP] = {NAME, {"Data", "string", 0, c_data}, AGE},
    [CL_SECRET] = {NAME, {"Type", "string", 0, c_type}, {"Data", "string", 0, c_data}, AGE},
    [CL_EVENT] = {{"Last Seen", "string", 0, c_ev_last},
                  {"Type", "string", 0, c_type},
                  {"Reason", "string", 0, c_ev_reason},
                  {"Object", "string", 0, c_ev_object},
                  {"Message", "string", 0, c_ev_message},
                  {"Name", "string", 1, c_name}},
    [CL_SERVICEACCOUNT] = {NAME, {"Secrets", "string", 0, c_secrets}, AGE},
    [CL_PVC] = {NAME, {"Status", "string", 0, c_phase}, AGE},
    [CL_DEPLOYMENT] = {NAME,
                       {"Ready", "string", 0, c_ready_of},
                       {"Up-to-date", "string", 0, c_updated},
                       {"Available", "string", 0, c_available},
                       AGE,
                       {"Containers", "string", 1, c_containers},
                       {"Images", "string", 1, c_images},
                       {"Selector", "string", 1, c_selector}},
    [CL_REPLICASET] = {NAME,
                       {"Desired", "string", 0, c_desired},
                       {"Current", "string", 0, c_current},
                       {"Ready", "string", 0, c_ready},
                       AGE,
                       {"Containers", "string", 1, c_containers},
                       {"Images", "string", 1, c_images},
                       {"Selector", "string", 1, c_selector}},
    [CL_JOB] = {NAME,
                {"Status", "string", 0, c_job_status},
                {"Completions", "string", 0, c_completions},
                {"Duration", "string", 0, c_job_duration},
                AGE,
                {"Containers", "string", 1, c_containers},
                {"Images", "string", 1, c_images}},
    [CL_ENDPOINTSLICE] = {NAME,
                          {"AddressType", "string", 0, c_slice_type},
                          {"Endpoints", "string", 0, c_slice_endpoints},
                          AGE},
    [CL_PODCHAOS] = {NAME,
                     {"Action", "string", 0, c_action},
                     {"Duration", "string", 0, c_duration},
                     {"Phase", "string", 0, c_desired_phase},
                     AGE},
    [CL_NETWORKCHAOS] = {NAME,
                         {"Action", "string", 0, c_action},
                         {"Duration", "string", 0, c_duration},
                         {"Phase", "string", 0, c_desired_phase},
                         AGE},
};

static json_t *table_row(const struct column *cols, struct row *r)
{
    json_t *cells = json_array();
    for (size_t i = 0; i < COLUMNS_MAX && cols[i].name != NULL; i++) {
        ac_buf_reset(&r->text);
        cols[i].cell(r);
        json_t *v = json_string(ac_buf_str(&r->text));
        json_array_append_new(cells, v != NULL ? v : json_string("<invalid>"));
    }
    json_t *meta =
        json_pack("{s:s,s:s}", "kind", "PartialObjectMetadata", "apiVersion", "meta.k8s.io/v1");
    json_object_set(meta, "metadata", json_object_get(r->o, "metadata"));
    return json_pack("{s:o,s:o}", "cells", cells, "object", meta);
}

json_t *cl_table(enum cl_kind_id k, const json_t *objects, uint64_t rv, int64_t now_ns,
                 bool with_header)
{
    const struct column *cols = columns[k];
    char version[24];
    (void)snprintf(version, sizeof(version), "%llu", (unsigned long long)rv);
    json_t *defs = json_array(), *rows = json_array();
    for (size_t i = 0; with_header && i < COLUMNS_MAX && cols[i].name != NULL; i++)
        json_array_append_new(defs, json_pack("{s:s,s:s,s:s,s:s,s:i}", "name", cols[i].name, "type",
                                              cols[i].type, "format",
                                              cols[i].cell == c_name ? "name" : "", "description",
                                              cols[i].name, "priority", cols[i].priority));
    struct row r = {.now = now_ns};
    ac_buf_init(&r.text, CELL_MAX);
    size_t i;
    json_t *o;
    json_array_foreach(objects, i, o)
    {
        r.o = o;
        json_array_append_new(rows, table_row(cols, &r));
    }
    ac_buf_fini(&r.text);
    return json_pack("{s:s,s:s,s:{s:s},s:o,s:o}", "kind", "Table", "apiVersion", "meta.k8s.io/v1",
                     "metadata", "resourceVersion", version, "columnDefinitions", defs, "rows",
                     rows);
}
