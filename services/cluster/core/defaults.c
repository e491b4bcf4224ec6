#include "defaults.h"

#include "js.h"
#include "selector.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static void probe_defaults(json_t *probe)
{
    if (!json_is_object(probe))
        return;
    js_default(probe, "timeoutSeconds", json_integer(1));
    js_default(probe, "periodSeconds", json_integer(10));
    js_default(probe, "successThreshold", json_integer(1));
    js_default(probe, "failureThreshold", json_integer(3));
    if (js_at(probe, "httpGet") != NULL) {
        js_default(probe, "httpGet.path", json_string("/"));
        js_default(probe, "httpGet.scheme", json_string("HTTP"));
    }
}

static int container_defaults(json_t *c, const char *where, struct ac_err *err)
{
    const char *name = js_str(c, "name", "");
    if (!cl_name_valid(name) || strchr(name, '.') != NULL)
        return ac_err_set(err, AC_EINVAL, "%s.name: Invalid value: \"%.60s\"", where, name);
    if (ac_str_empty(js_str(c, "image", NULL)))
        return ac_err_set(err, AC_EINVAL, "%s[%.60s].image: Required value", where, name);
    const char *image = js_str(c, "image", "");
    const char *tag = strrchr(image, ':');
    bool latest = tag == NULL || strchr(tag, '/') != NULL || ac_streq(tag, ":latest");
    js_default(c, "imagePullPolicy", json_string(latest ? "Always" : "IfNotPresent"));
    js_default(c, "terminationMessagePath", json_string("/dev/termination-log"));
    js_default(c, "terminationMessagePolicy", json_string("File"));
    js_default(c, "resources", json_object());
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(c, "ports"), i, v)
    {
        js_default(v, "protocol", json_string("TCP"));
        int64_t port = js_int(v, "containerPort", 0);
        if (port < 1 || port > 65535)
            return ac_err_set(err, AC_EINVAL,
                              "%s[%.60s].ports.containerPort: Invalid value: %lld: must be between "
                              "1 and 65535",
                              where, name, (long long)port);
    }
    json_array_foreach(json_object_get(c, "env"), i, v)
    {
        if (ac_str_empty(js_str(v, "name", NULL)))
            return ac_err_set(err, AC_EINVAL, "%s[%.60s].env.name: Required value", where, name);
        if (js_at(v, "valueFrom.fieldRef") != NULL)
            js_default(v, "valueFrom.fieldRef.apiVersion", json_string("v1"));
    }
    probe_defaults(json_object_get(c, "readinessProbe"));
    probe_defaults(json_object_get(c, "livenessProbe"));
    probe_defaults(json_object_get(c, "startupProbe"));
    return 0;
}

static int pod_defaults(json_t *spec, bool always, struct ac_err *err)
{
    size_t i;
    json_t *c;
    js_default(spec, "restartPolicy", json_string("Always"));
    js_default(spec, "terminationGracePeriodSeconds", json_integer(30));
    js_default(spec, "dnsPolicy", json_string("ClusterFirst"));
    js_default(spec, "schedulerName", json_string("default-scheduler"));
    js_default(spec, "securityContext", json_object());
    if (json_array_size(json_object_get(spec, "containers")) == 0)
        return ac_err_set(err, AC_EINVAL, "spec.containers: Required value");
    if (always && !ac_streq(js_str(spec, "restartPolicy", ""), "Always"))
        return ac_err_set(err, AC_EINVAL,
                          "spec.template.spec.restartPolicy: Unsupported value: supported values: "
                          "\"Always\"");
    json_array_foreach(json_object_get(spec, "initContainers"), i, c)
    {
        int r = container_defaults(c, "spec.initContainers", err);
        if (r != 0)
            return r;
    }
    json_array_foreach(json_object_get(spec, "containers"), i, c)
    {
        int r = container_defaults(c, "spec.containers", err);
        if (r != 0)
            return r;
        if (js_find(json_object_get(spec, "containers"), "name", js_str(c, "name", "")) != c)
            return ac_err_set(err, AC_EINVAL, "spec.containers[%zu].name: Duplicate value: \"%s\"",
                              i, js_str(c, "name", ""));
    }
    return 0;
}

static int workload_defaults(json_t *o, struct ac_err *err)
{
    js_default(o, "spec.replicas", json_integer(1));
    int64_t n = js_int(o, "spec.replicas", -1);
    if (n < 0 || n > 1000)
        return ac_err_set(err, AC_EINVAL,
                          "spec.replicas: Invalid value: must be between 0 and 1000");
    json_t *selector = js_at(o, "spec.selector");
    if (json_object_size(selector) == 0)
        return ac_err_set(err, AC_EINVAL, "spec.selector: Required value");
    if (!cl_match_selector(selector, js_at(o, "spec.template.metadata.labels")))
        return ac_err_set(err, AC_EINVAL,
                          "spec.template.metadata.labels: Invalid value: `selector` does not match "
                          "template `labels`");
    return pod_defaults(js_obj(o, "spec.template.spec"), true, err);
}

static int deployment_defaults(json_t *o, struct ac_err *err)
{
    js_default(o, "spec.strategy.type", json_string("RollingUpdate"));
    if (ac_streq(js_str(o, "spec.strategy.type", ""), "RollingUpdate")) {
        js_default(o, "spec.strategy.rollingUpdate.maxSurge", json_string("25%"));
        js_default(o, "spec.strategy.rollingUpdate.maxUnavailable", json_string("25%"));
    } else {
        js_del(o, "spec.strategy.rollingUpdate");
    }
    js_default(o, "spec.revisionHistoryLimit", json_integer(10));
    js_default(o, "spec.progressDeadlineSeconds", json_integer(600));
    return workload_defaults(o, err);
}

static int service_defaults(json_t *o, const json_t *old, struct ac_err *err)
{
    size_t i;
    json_t *p;
    js_default(o, "spec.type", json_string("ClusterIP"));
    js_default(o, "spec.sessionAffinity", json_string("None"));
    js_default(o, "spec.internalTrafficPolicy", json_string("Cluster"));
    if (old != NULL && js_at(old, "spec.clusterIP") != NULL)
        js_default(o, "spec.clusterIP", json_incref(js_at(old, "spec.clusterIP")));
    const json_t *ports = js_at(o, "spec.ports");
    if (json_array_size(ports) == 0 && !ac_streq(js_str(o, "spec.clusterIP", ""), "None"))
        return ac_err_set(err, AC_EINVAL, "spec.ports: Required value");
    json_array_foreach(ports, i, p)
    {
        js_default(p, "protocol", json_string("TCP"));
        int64_t port = js_int(p, "port", 0);
        if (port < 1 || port > 65535)
            return ac_err_set(err, AC_EINVAL,
                              "spec.ports[%zu].port: Invalid value: %lld: must be between 1 and "
                              "65535",
                              i, (long long)port);
        js_default(p, "targetPort", json_integer(port));
        if (json_array_size(ports) > 1 && ac_str_empty(js_str(p, "name", NULL)))
            return ac_err_set(err, AC_EINVAL, "spec.ports[%zu].name: Required value", i);
    }
    return 0;
}

static int job_defaults(json_t *o, struct ac_err *err)
{
    js_default(o, "spec.parallelism", json_integer(1));
    js_default(o, "spec.completions", json_integer(1));
    js_default(o, "spec.backoffLimit", json_integer(6));
    const char *policy = js_str(o, "spec.template.spec.restartPolicy", "Always");
    if (ac_streq(policy, "Always"))
        return ac_err_set(err, AC_EINVAL,
                          "spec.template.spec.restartPolicy: Required value: valid values: "
                          "\"OnFailure\", \"Never\"");
    return pod_defaults(js_obj(o, "spec.template.spec"), false, err);
}

static int secret_defaults(json_t *o, struct ac_err *err)
{
    const char *k;
    json_t *v;
    js_default(o, "type", json_string("Opaque"));
    json_object_foreach(json_object_get(o, "stringData"), k, v)
    {
        const char *text = json_string_value(v);
        if (text == NULL)
            return ac_err_set(err, AC_EINVAL, "stringData.%.60s: expected a string", k);
        ac_cleanup(ac_free_p) char *b64 = ac_base64(text, json_string_length(v));
        json_object_set_new(js_obj(o, "data"), k, json_string(b64));
    }
    json_object_del(o, "stringData");
    json_object_foreach(json_object_get(o, "data"), k, v)
    {
        ac_cleanup(ac_free_p) char *raw =
            json_is_string(v) ? ac_unbase64(json_string_value(v), NULL) : NULL;
        if (raw == NULL)
            return ac_err_set(err, AC_EPROTO, "data.%.60s: illegal base64 data", k);
    }
    return 0;
}

static void namespace_defaults(json_t *o)
{
    json_object_set_new(js_obj(o, "metadata.labels"), "kubernetes.io/metadata.name",
                        json_string(js_name(o)));
    js_default(o, "spec.finalizers", json_pack("[s]", "kubernetes"));
    js_default(o, "status.phase", json_string("Active"));
}

static int chaos_defaults(enum cl_kind_id k, json_t *o, struct ac_err *err)
{
    static const char *const pod_actions[] = {"pod-kill", "pod-failure", NULL};
    static const char *const net_actions[] = {"delay",   "loss",      "partition", "netem",
                                              "corrupt", "duplicate", NULL};
    static const char *const modes[] = {
        "one", "all", "fixed", "fixed-percent", "random-max-percent", NULL};
    const char *const *actions = k == CL_PODCHAOS ? pod_actions : net_actions;
    const char *action = js_str(o, "spec.action", ""), *mode = js_str(o, "spec.mode", "");
    size_t i = 0;
    while (actions[i] != NULL && !ac_streq(actions[i], action))
        i++;
    if (actions[i] == NULL)
        return ac_err_set(err, AC_EINVAL, "spec.action: Unsupported value: \"%.40s\"", action);
    for (i = 0; modes[i] != NULL && !ac_streq(modes[i], mode);)
        i++;
    if (modes[i] == NULL)
        return ac_err_set(err, AC_EINVAL, "spec.mode: Unsupported value: \"%.40s\"", mode);
    if (!json_is_object(js_at(o, "spec.selector")))
        return ac_err_set(err, AC_EINVAL, "spec.selector: Required value");
    const char *duration = js_str(o, "spec.duration", NULL);
    if (duration != NULL && js_duration_ns(duration, -1) < 0)
        return ac_err_set(err, AC_EINVAL, "spec.duration: Invalid value: \"%.40s\"", duration);
    if (k == CL_NETWORKCHAOS) {
        js_default(o, "spec.direction", json_string("to"));
        if (ac_streq(action, "delay") &&
            js_duration_ns(js_str(o, "spec.delay.latency", NULL), -1) < 0)
            return ac_err_set(err, AC_EINVAL, "spec.delay.latency: Required value");
    }
    return 0;
}

int cl_prepare(struct cl_store *s, enum cl_kind_id k, json_t *o, const json_t *old,
               struct ac_err *err)
{
    (void)s;
    switch (k) {
    case CL_POD:
        if (old == NULL)
            js_set(o, "status", json_pack("{s:s}", "phase", "Pending"));
        return pod_defaults(js_obj(o, "spec"), false, err);
    case CL_DEPLOYMENT:
        if (old != NULL && !json_equal(js_at(old, "spec.selector"), js_at(o, "spec.selector")))
            return ac_err_set(err, AC_EINVAL, "spec.selector: field is immutable");
        return deployment_defaults(o, err);
    case CL_REPLICASET:
        return workload_defaults(o, err);
    case CL_SERVICE:
        return service_defaults(o, old, err);
    case CL_JOB:
        return job_defaults(o, err);
    case CL_SECRET:
        return secret_defaults(o, err);
    case CL_NAMESPACE:
        namespace_defaults(o);
        return 0;
    case CL_PODCHAOS:
    case CL_NETWORKCHAOS:
        return chaos_defaults(k, o, err);
    default:
        return 0;
    }
}

static bool taken(const struct cl_store *s, enum cl_kind_id k, const char *path, const char *ip)
{
    const json_t *o;
    for (size_t it = 0; (o = cl_store_next(s, k, NULL, &it)) != NULL;)
        if (ac_streq(js_str(o, path, NULL), ip))
            return true;
    return false;
}

/* Host parts 0 and 255 are left out: they look like network addresses. */
static int next_ip(unsigned net, uint32_t base, uint32_t *next, const struct cl_store *s,
                   enum cl_kind_id k, const char *path, char *dst, struct ac_err *err)
{
    for (uint32_t tries = 0; tries < 32768; tries++) {
        uint32_t host = *next;
        *next = host + 1 < 32768 ? host + 1 : 1;
        if (host == 0 || (host & 0xff) == 0 || (host & 0xff) == 255)
            continue;
        (void)snprintf(dst, 16, "127.%u.%u.%u", net & 255u, (base + host) >> 8 & 255u, host & 255u);
        if (!taken(s, k, path, dst))
            return 0;
    }
    return ac_err_set(err, AC_EAGAIN, "no free address in 127.%u.0.0/16", net);
}

int cl_net_pod_ip(struct cl_net *n, const struct cl_store *s, char *dst, struct ac_err *err)
{
    return next_ip(n->net, 0, &n->next_pod, s, CL_POD, "status.podIP", dst, err);
}

int cl_net_service_ip(struct cl_net *n, const struct cl_store *s, char *dst, struct ac_err *err)
{
    return next_ip(n->net, 32768, &n->next_service, s, CL_SERVICE, "spec.clusterIP", dst, err);
}
