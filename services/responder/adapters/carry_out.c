/* Actions on the cluster. Each can be run again after a crash at any point: deletions are pinned to
 * a uid, patches set the same value, pods that restore have a name made from the action's id. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

#include "adapters/cluster.h"

#define POLL_NS      (200 * AC_NS_PER_MS)
#define DETAIL_BYTES 256
#define REVISION     "deployment.kubernetes.io/revision"

static void AC_PRINTF(2, 3) say(char *detail, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, DETAIL_BYTES, fmt, ap);
    va_end(ap);
}

/* The API has no blocking "until"; a watch would cost more code than these few polls. */
static void pause_a_little(void)
{
    const struct timespec t = {.tv_nsec = POLL_NS};
    nanosleep(&t, NULL);
}

static const char *name_of(const struct resp_order *o)
{
    const char *slash = strchr(o->target, '/');
    return slash ? slash + 1 : o->target;
}

static const char *workload_kind(const struct resp_order *o)
{
    return ac_str_starts(o->target, "statefulset/") ? "StatefulSet" : "Deployment";
}

/* ---- replace_pod ---- */

static bool successor_ready(const json_t *pods, const struct resp_order *o)
{
    json_t *p;
    size_t i;
    json_array_foreach(pods, i,
                       p) if (ac_streq(resp_component_of(p), o->component) && resp_pod_ready(p) &&
                              !ac_json_str(p, "metadata.deletionTimestamp", NULL) &&
                              !ac_streq(ac_json_str(p, "metadata.uid", ""), o->pin)) return true;
    return false;
}

static int await_successor(struct ac_kube *k, const struct resp_order *o, int64_t until_ns,
                           struct ac_err *err)
{
    for (;;) {
        ac_cleanup_json pods = NULL;
        int rc = ac_kube_list(k, "v1", "Pod", o->ns, NULL, &pods, err);
        if (rc && !ac_err_retryable(rc))
            return rc;
        if (!rc && successor_ready(pods, o))
            return 0;
        if (ac_now_ns() >= until_ns)
            return rc ? rc
                      : ac_err_set(err, AC_ETIMEOUT, "no new pod of %s became ready in time",
                                   o->component);
        pause_a_little();
    }
}

static int replace_pod(struct ac_kube *k, const struct resp_order *o, int64_t until_ns,
                       char *detail, struct ac_err *err)
{
    ac_cleanup_json pod = NULL;
    const char *name = name_of(o);
    int rc = ac_kube_get(k, "v1", "Pod", o->ns, name, &pod, err);
    if (rc && rc != AC_ENOTFOUND)
        return rc;
    bool there = !rc && ac_streq(ac_json_str(pod, "metadata.uid", ""), o->pin);
    if (there && !ac_json_str(pod, "metadata.deletionTimestamp", NULL)) {
        ac_cleanup_json body =
            json_pack("{s:s,s:s,s:i,s:{s:s}}", "apiVersion", "v1", "kind", "DeleteOptions",
                      "gracePeriodSeconds", 5, "preconditions", "uid", o->pin);
        char *path = NULL;
        rc = ac_kube_path("v1", "Pod", o->ns, name, &path, err);
        if (!rc)
            rc = ac_kube_request(k, "DELETE", path, AC_KUBE_JSON, body, NULL, err);
        free(path);
        if (rc && rc != AC_ENOTFOUND && rc != AC_EABORTED)
            return rc;
    }
    rc = await_successor(k, o, until_ns, err);
    if (!rc)
        say(detail, "%s was deleted; its successor is ready", name);
    return rc;
}

/* ---- workloads ---- */

static int patch(struct ac_kube *k, const struct resp_order *o, const char *type,
                 const json_t *body, struct ac_err *err)
{
    char *path = NULL;
    int rc = ac_kube_path("apps/v1", workload_kind(o), o->ns, name_of(o), &path, err);
    if (!rc)
        rc = ac_kube_request(k, "PATCH", path, type, body, NULL, err);
    free(path);
    return rc;
}

static bool rolled_out(const json_t *d)
{
    int64_t want = ac_json_i64(d, "spec.replicas", 1);
    return ac_json_i64(d, "status.observedGeneration", 0) >=
               ac_json_i64(d, "metadata.generation", 0) &&
           ac_json_i64(d, "status.updatedReplicas", 0) >= want &&
           ac_json_i64(d, "status.readyReplicas", 0) >= want &&
           ac_json_i64(d, "status.replicas", 0) == want;
}

static int await_rollout(struct ac_kube *k, const struct resp_order *o, int64_t until_ns,
                         struct ac_err *err)
{
    for (;;) {
        ac_cleanup_json d = NULL;
        int rc = ac_kube_get(k, "apps/v1", workload_kind(o), o->ns, name_of(o), &d, err);
        if (rc && !ac_err_retryable(rc))
            return rc;
        if (!rc && rolled_out(d))
            return 0;
        if (ac_now_ns() >= until_ns)
            return rc ? rc
                      : ac_err_set(err, AC_ETIMEOUT, "%s was not rolled out in time", o->target);
        pause_a_little();
    }
}

static int restart(struct ac_kube *k, const struct resp_order *o, int64_t until_ns, char *detail,
                   struct ac_err *err)
{
    ac_cleanup_json body = json_pack("{s:{s:{s:{s:{s:s}}}}}", "spec", "template", "metadata",
                                     "annotations", "aceso.dev/restarted-by", o->id);
    int rc = patch(k, o, AC_KUBE_STRATEGIC_PATCH, body, err);
    if (!rc)
        rc = await_rollout(k, o, until_ns, err);
    if (!rc)
        say(detail, "%s was restarted", o->target);
    return rc;
}

static int scale(struct ac_kube *k, const struct resp_order *o, int64_t until_ns, char *detail,
                 struct ac_err *err)
{
    struct ac_cluster_state s;
    int declared = -1, rc = resp_snapshot(k, o->ns, &s, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < s.ndeploys; i++)
        if (ac_streq(s.deploys[i].name, name_of(o)))
            declared = s.deploys[i].declared;
    ac_cluster_state_fini(&s);
    if (declared < 0)
        return ac_err_set(err, AC_ESTATE, "%s no longer declares its replicas", o->target);
    ac_cleanup_json body = json_pack("{s:{s:i}}", "spec", "replicas", declared);
    rc = patch(k, o, AC_KUBE_MERGE_PATCH, body, err);
    if (!rc)
        rc = await_rollout(k, o, until_ns, err);
    if (!rc)
        say(detail, "%s runs its declared %d replicas again", o->target, declared);
    return rc;
}

/* The template of the pinned revision, without the hash that the controller adds. */
static json_t *old_template(const json_t *sets, const struct resp_order *o)
{
    json_t *rs, *owner;
    size_t i, n;
    json_array_foreach(sets, i, rs)
    {
        const json_t *notes = ac_json_at(rs, "metadata.annotations");
        const char *rev = json_string_value(json_object_get(notes, REVISION));
        bool ours = false;
        json_t *owners = ac_json_at(rs, "metadata.ownerReferences");
        json_array_foreach(owners, n, owner) ours |=
            ac_streq(ac_json_str(owner, "name", ""), name_of(o));
        if (!ours || !ac_streq(rev, o->pin))
            continue;
        json_t *t = json_deep_copy(ac_json_at(rs, "spec.template"));
        json_object_del(ac_json_at(t, "metadata.labels"), "pod-template-hash");
        return t;
    }
    return NULL;
}

static int undo(struct ac_kube *k, const struct resp_order *o, int64_t until_ns, char *detail,
                struct ac_err *err)
{
    ac_cleanup_json sets = NULL;
    int rc = ac_kube_list(k, "apps/v1", "ReplicaSet", o->ns, NULL, &sets, err);
    if (rc)
        return rc;
    ac_cleanup_json template = old_template(sets, o);
    if (!template) /* the controller renumbers a revision that it goes back to: done before */
        return ac_err_set(err, AC_ENOTFOUND, "revision %s of %s is gone", o->pin, o->target);
    ac_cleanup_json body =
        json_pack("[{s:s,s:s,s:O}]", "op", "replace", "path", "/spec/template", "value", template);
    rc = patch(k, o, AC_KUBE_JSON_PATCH, body, err);
    if (!rc)
        rc = await_rollout(k, o, until_ns, err);
    if (!rc)
        say(detail, "%s is back at revision %s", o->target, o->pin);
    return rc;
}

/* ---- restore ---- */

/* The manifest in the config map as a Pod or Job of a name that belongs to this action alone. */
static int restore_object(struct ac_kube *k, const struct resp_order *o, json_t **ret,
                          struct ac_err *err)
{
    ac_cleanup_json map = NULL;
    struct ac_yaml_doc *doc = NULL;
    char where[200], name[64];
    int rc = ac_kube_get(k, "v1", "ConfigMap", o->ns, name_of(o), &map, err);
    if (rc)
        return rc;
    const char *text =
        json_string_value(json_object_get(json_object_get(map, "data"), "restore.yaml"));
    if (!text)
        return ac_err_set(err, AC_EINVAL, "%s has no key restore.yaml", o->target);
    snprintf(where, sizeof(where), "%s:restore.yaml", o->target);
    rc = ac_yaml_parse(where, text, strlen(text), &doc, err);
    if (rc)
        return rc;
    const struct ac_yaml *root = ac_yaml_documents(doc) > 0 ? ac_yaml_root(doc, 0) : NULL;
    json_t *object = root ? ac_yaml_to_json(root) : NULL;
    ac_yaml_destroy(doc);
    const char *kind = ac_json_str(object, "kind", "");
    if (!ac_streq(kind, "Pod") && !ac_streq(kind, "Job")) {
        json_decref(object);
        return ac_err_set(err, AC_EINVAL, "%s: expected a Pod or a Job", where);
    }
    size_t len = strlen(o->id);
    snprintf(name, sizeof(name), "restore-%.40s-%s", o->component,
             len > 8 ? o->id + len - 8 : o->id);
    json_t *meta = json_object_get(object, "metadata");
    if (!json_is_object(meta)) {
        meta = json_object();
        json_object_set_new(object, "metadata", meta);
    }
    json_object_set_new(meta, "name", json_string(name));
    json_object_set_new(meta, "namespace", json_string(o->ns));
    json_object_del(meta, "generateName");
    json_t *labels = json_object_get(meta, "labels");
    if (!json_is_object(labels)) {
        labels = json_object();
        json_object_set_new(meta, "labels", labels);
    }
    json_object_set_new(labels, "aceso.dev/restore-of", json_string(o->component));
    *ret = object;
    return 0;
}

/* 1 succeeded, -1 failed, 0 still at it. */
static int outcome(const json_t *object)
{
    if (ac_streq(ac_json_str(object, "kind", ""), "Job") ||
        ac_json_at(object, "status.succeeded") || ac_json_at(object, "status.failed")) {
        if (ac_json_i64(object, "status.succeeded", 0) > 0)
            return 1;
        return ac_json_i64(object, "status.failed", 0) > 0 ? -1 : 0;
    }
    const char *phase = ac_json_str(object, "status.phase", "");
    return ac_streq(phase, "Succeeded") ? 1 : ac_streq(phase, "Failed") ? -1 : 0;
}

static int await_outcome(struct ac_kube *k, const struct resp_order *o, const char *api,
                         const char *kind, const char *name, int64_t until_ns, struct ac_err *err)
{
    for (;;) {
        ac_cleanup_json now = NULL;
        int rc = ac_kube_get(k, api, kind, o->ns, name, &now, err);
        if (rc && !ac_err_retryable(rc))
            return rc;
        int out = rc ? 0 : outcome(now);
        if (out > 0)
            return 0;
        if (out < 0) {
            char *path = ac_xasprintf("/api/v1/namespaces/%s/pods/%s/log?tailLines=3", o->ns, name);
            char *log = NULL;
            rc = ac_err_set(err, AC_ESTATE, "%s %s failed", kind, name);
            if (ac_streq(kind, "Pod") && ac_kube_text(k, path, &log, NULL) == 0)
                rc = ac_err_set(err, AC_ESTATE, "%s %s failed: %.150s", kind, name, log);
            free(log);
            free(path);
            return rc;
        }
        if (ac_now_ns() >= until_ns)
            return ac_err_set(err, AC_ETIMEOUT, "%s %s did not end in time", kind, name);
        pause_a_little();
    }
}

static int restore(struct ac_kube *k, const struct resp_order *o, int64_t until_ns, char *detail,
                   struct ac_err *err)
{
    ac_cleanup_json object = NULL;
    char *path = NULL;
    int rc = restore_object(k, o, &object, err);
    if (rc)
        return rc;
    const char *kind = ac_json_str(object, "kind", "Pod");
    const char *api = ac_json_str(object, "apiVersion", "v1");
    const char *name = ac_json_str(object, "metadata.name", "");
    rc = ac_kube_path(api, kind, o->ns, NULL, &path, err);
    if (!rc)
        rc = ac_kube_request(k, "POST", path, AC_KUBE_JSON, object, NULL, err);
    free(path);
    if (rc && rc != AC_EEXISTS) /* it exists when we were killed after creating it */
        return rc;
    rc = await_outcome(k, o, api, kind, name, until_ns, err);
    if (rc == 0)
        say(detail, "%s %s ended well: the declared state of %s is restored", kind, name,
            o->component);
    if (rc != AC_ETIMEOUT) {
        struct ac_err ignored = AC_ERR_INIT;
        (void)!ac_kube_delete(k, api, kind, o->ns, name, &ignored);
    }
    return rc;
}

int resp_carry_out(struct ac_kube *k, const struct resp_order *o, char *detail, struct ac_err *err)
{
    int64_t until = ac_now_ns() + o->limit_ns;
    detail[0] = '\0';
    switch (o->kind) {
    case AC_ACT_REPLACE_POD:
        return replace_pod(k, o, until, detail, err);
    case AC_ACT_ROLLOUT_RESTART:
        return restart(k, o, until, detail, err);
    case AC_ACT_SCALE:
        return scale(k, o, until, detail, err);
    case AC_ACT_ROLLOUT_UNDO:
        return undo(k, o, until, detail, err);
    case AC_ACT_RESTORE:
        return restore(k, o, until, detail, err);
    default:
        return ac_err_set(err, AC_EINVAL, "no such action");
    }
}
