/* Services: addresses, and the endpoints behind them. */
#include "ctl.h"
#include "js.h"
#include "selector.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static int64_t target_port(const json_t *pod, const json_t *port)
{
    const json_t *t = js_at(port, "targetPort");
    if (json_is_integer(t))
        return json_integer_value(t);
    size_t i;
    json_t *c;
    json_array_foreach(js_at(pod, "spec.containers"), i, c)
    {
        const json_t *p = js_find(js_at(c, "ports"), "name", json_string_value(t));
        if (p != NULL)
            return js_int(p, "containerPort", 0);
    }
    return 0;
}

static json_t *address_of(const json_t *pod)
{
    return json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s}}", "ip", js_str(pod, "status.podIP", ""),
                     "nodeName", js_str(pod, "spec.nodeName", ""), "targetRef", "kind", "Pod",
                     "namespace", js_ns(pod), "name", js_name(pod), "uid", js_uid(pod));
}

/* One subset: all pods of one machine have the same ports, named target ports included, unless
 * templates differ within a service; then a port is listed as its first pod has it. */
static json_t *subsets(struct cl_ctl *c, const json_t *svc)
{
    json_t *p, *ready = json_array(), *waiting = json_array(), *ports = json_array();
    const json_t *first = NULL;
    bool publish = js_bool(svc, "spec.publishNotReadyAddresses", false);
    for (size_t it = 0; (p = cl_store_next(c->store, CL_POD, js_ns(svc), &it)) != NULL;) {
        if (js_deleting(p) || cl_pod_ended(p) || js_str(p, "status.podIP", NULL) == NULL ||
            !cl_match_labels(js_at(svc, "spec.selector"), js_at(p, "metadata.labels")))
            continue;
        first = first != NULL ? first : p;
        json_array_append_new(cl_pod_ready(p) || publish ? ready : waiting, address_of(p));
    }
    size_t i;
    json_t *port;
    json_array_foreach(js_at(svc, "spec.ports"), i, port)
    {
        json_t *out = json_pack("{s:I,s:s}", "port",
                                (json_int_t)(first != NULL ? target_port(first, port) : 0),
                                "protocol", js_str(port, "protocol", "TCP"));
        if (js_str(port, "name", NULL) != NULL)
            js_set_str(out, "name", js_str(port, "name", ""));
        json_array_append_new(ports, out);
    }
    if (first == NULL) {
        json_decref(ready);
        json_decref(waiting);
        json_decref(ports);
        return json_array();
    }
    json_t *s = json_object();
    if (json_array_size(ready) > 0)
        json_object_set(s, "addresses", ready);
    if (json_array_size(waiting) > 0)
        json_object_set(s, "notReadyAddresses", waiting);
    json_decref(ready);
    json_decref(waiting);
    json_object_set_new(s, "ports", ports);
    return json_pack("[o]", s);
}

static void put(struct cl_ctl *c, enum cl_kind_id k, json_t *want)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *have = cl_store_get(c->store, k, js_ns(want), js_name(want));
    if (have == NULL) {
        (void)!cl_store_add(c->store, k, want, NULL, &err);
        return;
    }
    js_auto copy = json_deep_copy(have);
    const char *key;
    json_t *v;
    json_object_foreach(want, key, v) if (!ac_streq(key, "metadata")) json_object_set(copy, key, v);
    if (!json_equal(copy, have))
        cl_ctl_update(c, k, copy);
}

static void slice_endpoints(json_t *list, const json_t *addresses, bool ready)
{
    size_t i;
    json_t *a;
    json_array_foreach(addresses, i, a)
    {
        json_t *e =
            json_pack("{s:[s],s:{s:b,s:b,s:b},s:O,s:O}", "addresses", js_str(a, "ip", ""),
                      "conditions", "ready", ready, "serving", ready, "terminating", 0, "targetRef",
                      json_object_get(a, "targetRef"), "nodeName", json_object_get(a, "nodeName"));
        json_array_append_new(list, e);
    }
}

static void put_slice(struct cl_ctl *c, const json_t *svc, const json_t *subs)
{
    char name[260];
    const json_t *s = json_array_get(subs, 0);
    json_t *list = json_array(), *ports = json_array();
    slice_endpoints(list, js_at(s, "addresses"), true);
    slice_endpoints(list, js_at(s, "notReadyAddresses"), false);
    size_t i;
    json_t *p;
    json_array_foreach(js_at(s, "ports"), i, p)
    {
        json_t *copy = json_copy(p);
        js_default(copy, "name", json_string(""));
        json_array_append_new(ports, copy);
    }
    (void)snprintf(name, sizeof(name), "%.250s-1", js_name(svc));
    js_auto slice = json_pack("{s:{s:s,s:s,s:{s:s},s:[o]},s:s,s:o,s:o}", "metadata", "name", name,
                              "namespace", js_ns(svc), "labels", "kubernetes.io/service-name",
                              js_name(svc), "ownerReferences", cl_owner_ref(CL_SERVICE, svc),
                              "addressType", "IPv4", "endpoints", list, "ports", ports);
    put(c, CL_ENDPOINTSLICE, slice);
}

static void sync_service(struct cl_ctl *c, json_t *svc)
{
    if (ac_str_empty(js_str(svc, "spec.clusterIP", NULL))) {
        js_auto copy = json_deep_copy(svc);
        struct ac_err err = AC_ERR_INIT;
        if (cl_service_assign(c, copy, &err) == 0)
            cl_ctl_update(c, CL_SERVICE, copy);
        return;
    }
    if (json_object_size(js_at(svc, "spec.selector")) == 0)
        return;
    json_t *subs = subsets(c, svc);
    js_auto ep =
        json_pack("{s:{s:s,s:s,s:[o]},s:o}", "metadata", "name", js_name(svc), "namespace",
                  js_ns(svc), "ownerReferences", cl_owner_ref(CL_SERVICE, svc), "subsets", subs);
    put(c, CL_ENDPOINTS, ep);
    put_slice(c, svc, subs);
}

int cl_service_assign(struct cl_ctl *c, json_t *svc, struct ac_err *err)
{
    char ip[16];
    const char *asked = js_str(svc, "spec.clusterIP", "");
    if (ac_streq(asked, "None") || ac_streq(js_str(svc, "spec.type", ""), "ExternalName"))
        return 0;
    if (asked[0] != '\0') {
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "127.%u.", c->net.net);
        if (ac_str_starts(asked, prefix))
            return 0;
        return ac_err_set(err, AC_EINVAL,
                          "spec.clusterIP: Invalid value: \"%.40s\": the range is %s0.0/16", asked,
                          prefix);
    }
    int r = cl_net_service_ip(&c->net, c->store, ip, err);
    if (r != 0)
        return r;
    js_set_str(svc, "spec.clusterIP", ip);
    js_set(svc, "spec.clusterIPs", json_pack("[s]", ip));
    return 0;
}

void cl_ctl_services(struct cl_ctl *c)
{
    json_t *svc;
    for (size_t it = 0; (svc = cl_store_next(c->store, CL_SERVICE, NULL, &it)) != NULL;) {
        js_auto held = json_incref(svc);
        if (!js_deleting(held))
            sync_service(c, held);
    }
}
