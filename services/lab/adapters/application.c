#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#define MANIFEST_MAX (16u << 20)
#define GONE_NS      (30 * AC_NS_PER_S)

/* ${NAME} of the manifests that the lab fills in. */
static const char *variable(const struct lab_run *r, const char *name, size_t len)
{
    const struct lab_conf *c = r->lab->conf;
    const char *otlp = ac_str_empty(c->otlp_endpoint) ? c->collector_addr : c->otlp_endpoint;
    const struct {
        const char *name, *value;
    } vars[] = {
        {"NAMESPACE", r->s.ns}, {"OTLP_ENDPOINT", otlp}, {"CONTROLLER_ADDR", c->controller_addr}};
    for (size_t i = 0; i < AC_ARRAY_LEN(vars); i++) {
        if (strlen(vars[i].name) == len && strncmp(vars[i].name, name, len) == 0)
            return vars[i].value ? vars[i].value : "";
    }
    return NULL;
}

/* Other ${...} (a shell's, a spec's) stay as they are. */
static char *fill_in(const struct lab_run *r, const char *text)
{
    struct ac_buf b;
    ac_buf_init(&b, 2 * MANIFEST_MAX);
    for (const char *p = text; *p;) {
        const char *open = strstr(p, "${"), *close = open ? strchr(open, '}') : NULL;
        if (!close) {
            ac_buf_puts(&b, p);
            break;
        }
        const char *value = variable(r, open + 2, (size_t)(close - open - 2));
        if (value) {
            ac_buf_append(&b, p, (size_t)(open - p));
            ac_buf_puts(&b, value);
            p = close + 1;
        } else {
            ac_buf_append(&b, p, (size_t)(open + 2 - p));
            p = open + 2;
        }
    }
    return ac_buf_take(&b);
}

static int apply_documents(struct lab_run *r, const char *path, const char *text,
                           struct ac_err *err)
{
    struct ac_yaml_doc *d = NULL;
    int rc = ac_yaml_parse(path, text, strlen(text), &d, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < ac_yaml_documents(d); i++) {
        const struct ac_yaml *root = ac_yaml_root(d, i);
        if (!root)
            continue;
        ac_cleanup_json object = ac_yaml_to_json(root);
        rc = ac_kube_apply(r->lab->kube, object, r->s.ns, err);
        if (rc != 0)
            ac_err_wrap(err, "%s %s", ac_json_str(object, "kind", "object"),
                        ac_json_str(object, "metadata.name", ""));
    }
    ac_yaml_destroy(d);
    return rc;
}

static int create_namespace(struct lab_run *r, const char *name, struct ac_err *err)
{
    ac_cleanup_json ns =
        json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind", "Namespace",
                  "metadata", "name", name, "labels", "aceso.dev/session", r->s.id);
    return ac_kube_apply(r->lab->kube, ns, NULL, err);
}

int lab_app_deploy(struct lab_run *r, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *path =
        ac_xasprintf("%s/%s.yaml", r->lab->apps_dir, r->problem->application);
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    int rc = ac_file_read(path, MANIFEST_MAX, &text, &len, err);
    if (rc == 0)
        rc = create_namespace(r, r->s.ns, err);
    if (rc == 0)
        rc = create_namespace(r, r->s.load_ns, err);
    if (rc != 0)
        return rc;
    ac_cleanup(ac_free_p) char *filled = fill_in(r, text);
    return apply_documents(r, path, filled, err);
}

struct readiness {
    struct lab_run *r;
    char names[1024]; /* deployments that are not ready yet */
};

static int all_ready(const json_t *deployments, void *arg, struct ac_err *err)
{
    struct readiness *w = arg;
    size_t i, len = 0;
    json_t *d;
    w->names[0] = 0;
    json_array_foreach(deployments, i, d)
    {
        if (ac_json_i64(d, "status.readyReplicas", 0) < ac_json_i64(d, "spec.replicas", 1) &&
            len + 66 < sizeof(w->names))
            len += (size_t)snprintf(w->names + len, sizeof(w->names) - len, " %.64s",
                                    ac_json_str(d, "metadata.name", ""));
    }
    int rc = lab_go_on(w->r, err);
    return rc != 0 ? rc : json_array_size(deployments) > 0 && !w->names[0];
}

static int wait_ready(struct lab_run *r, const char *ns, int64_t timeout_ns, struct ac_err *err)
{
    struct readiness w = {.r = r};
    int rc =
        ac_kube_until(r->lab->kube, "apps/v1", "Deployment", ns, all_ready, &w, timeout_ns, err);
    if (rc == AC_ETIMEOUT && w.names[0])
        return ac_err_set(err, rc, "namespace %s: not ready in time:%s", ns, w.names);
    return rc;
}

int lab_app_wait_ready(struct lab_run *r, int64_t timeout_ns, struct ac_err *err)
{
    return wait_ready(r, r->s.ns, timeout_ns, err);
}

/* The load runs in a namespace of its own: the agent cannot take it away. */
int lab_load_start(struct lab_run *r, struct ac_err *err)
{
    ac_cleanup_json front = NULL;
    int rc = ac_kube_get(r->lab->kube, "v1", "Service", r->s.ns, "frontend", &front, err);
    if (rc != 0)
        return rc;
    const struct lab_conf *c = r->lab->conf;
    double rate = r->problem->load_rate > 0 ? r->problem->load_rate : c->load_rate;
    char target[128], seed[32], rate_text[32];
    snprintf(target, sizeof(target), "http://%s:%d", ac_json_str(front, "spec.clusterIP", ""),
             (int)ac_json_i64(front, "spec.ports[0].port", 80));
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)r->s.seed);
    snprintf(rate_text, sizeof(rate_text), "%g", rate);
    json_t *args = json_pack("[s,s,s,s,s]", "load", "--target", target, "--seed", seed);
    if (rate > 0) {
        json_array_append_new(args, json_string("--rate"));
        json_array_append_new(args, json_string(rate_text));
    }
    if (r->problem->load_mix[0]) {
        json_array_append_new(args, json_string("--mix"));
        json_array_append_new(args, json_string(r->problem->load_mix));
    }
    const char *otlp = ac_str_empty(c->otlp_endpoint) ? c->collector_addr : c->otlp_endpoint;
    ac_cleanup(ac_free_p) char *endpoint = ac_xasprintf("http://%s", otlp);
    ac_cleanup_json d = json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:{s:i, s:{s:{s:s}}, s:{s:{s:{s:s}}, s:{s:[{s:s, s:s, s:o, "
        "s:[{s:s, s:s}, {s:s, s:s},"
        " {s:s, s:s}]}]}}}}",
        "apiVersion", "apps/v1", "kind", "Deployment", "metadata", "name", "load", "namespace",
        r->s.load_ns, "spec", "replicas", 1, "selector", "matchLabels", "app", "load", "template",
        "metadata", "labels", "app", "load", "spec", "containers", "name", "load", "image",
        "aceso/app:latest", "args", args, "env", "name", "OTEL_EXPORTER_OTLP_ENDPOINT", "value",
        endpoint, "name", "ACESO_APP_NAMESPACE", "value", r->s.load_ns, "name",
        "ACESO_APP_SPEC_NAME", "value", r->problem->application);
    if (!d)
        return ac_err_set(err, AC_EINTERNAL, "the load's deployment could not be made");
    rc = ac_kube_apply(r->lab->kube, d, r->s.load_ns, err);
    return rc == 0 ? wait_ready(r, r->s.load_ns, r->lab->conf->setup_ns, err) : rc;
}

static int both_gone(const json_t *namespaces, void *arg, struct ac_err *err)
{
    struct lab_run *r = arg;
    size_t i;
    json_t *ns;
    json_array_foreach(namespaces, i, ns)
    {
        const char *name = ac_json_str(ns, "metadata.name", "");
        if (ac_streq(name, r->s.ns) || ac_streq(name, r->s.load_ns))
            return lab_go_on(r, err);
    }
    return 1;
}

/* Waits until the pods are gone: the next session must not share the machine with them. */
int lab_app_delete(struct lab_run *r, struct ac_err *err)
{
    int rc = ac_kube_delete(r->lab->kube, "v1", "Namespace", NULL, r->s.load_ns, err);
    int rc2 = ac_kube_delete(r->lab->kube, "v1", "Namespace", NULL, r->s.ns, rc == 0 ? err : NULL);
    if (rc != 0 || rc2 != 0)
        return rc != 0 ? rc : rc2;
    return ac_kube_until(r->lab->kube, "v1", "Namespace", NULL, both_gone, r, GONE_NS, err);
}
