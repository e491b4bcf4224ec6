#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>

#include "adapters/cluster.h"

#define RESTORES_LABEL "aceso.dev/restores"
#define REVISION       "deployment.kubernetes.io/revision"
#define APPLIED        "kubectl.kubernetes.io/last-applied-configuration"

/* A label or annotation; its key may hold dots and slashes, so no path. */
static const char *meta_value(const json_t *object, const char *map, const char *key)
{
    const json_t *meta = json_object_get(object, "metadata");
    const char *s = json_string_value(json_object_get(json_object_get(meta, map), key));
    return s;
}

const char *resp_component_of(const json_t *object)
{
    static const char *const keys[] = {"aceso.dev/component", "app.kubernetes.io/name",
                                       "io.kompose.service", "app", "service"};
    for (size_t i = 0; i < AC_ARRAY_LEN(keys); i++) {
        const char *s = meta_value(object, "labels", keys[i]);
        if (s && *s)
            return s;
    }
    return NULL;
}

static int64_t time_of(const json_t *object, const char *path)
{
    int64_t t = 0;
    const char *s = ac_json_str(object, path, NULL);
    return s && ac_time_parse(s, &t) == 0 ? t : 0;
}

static const json_t *ready_condition(const json_t *pod)
{
    const json_t *conditions = ac_json_at(pod, "status.conditions"), *c;
    size_t i;
    json_array_foreach(conditions, i,
                       c) if (ac_streq(ac_json_str(c, "type", ""), "Ready")) return c;
    return NULL;
}

bool resp_pod_ready(const json_t *pod)
{
    const json_t *c = ready_condition(pod);
    return c && ac_streq(ac_json_str(c, "status", ""), "True");
}

static void take_pod(struct ac_cluster_state *s, const json_t *pod)
{
    const char *component = resp_component_of(pod);
    const json_t *ready = ready_condition(pod), *c;
    const json_t *statuses = ac_json_at(pod, "status.containerStatuses");
    int restarts = 0;
    const char *reason = ac_json_str(pod, "status.reason", "");
    size_t i;
    if (!component || meta_value(pod, "labels", "aceso.dev/restore-of"))
        return;
    json_array_foreach(statuses, i, c)
    {
        restarts += (int)ac_json_i64(c, "restartCount", 0);
        const char *waiting = ac_json_str(c, "state.waiting.reason", NULL);
        if (waiting && !*reason)
            reason = waiting;
    }
    ac_grow(&s->pods, &s->pods_cap, s->npods + 1, sizeof(s->pods[0]));
    s->pods[s->npods++] = (struct ac_pod_state){
        .name = ac_xstrdup(ac_json_str(pod, "metadata.name", "")),
        .uid = ac_xstrdup(ac_json_str(pod, "metadata.uid", "")),
        .component = ac_xstrdup(component),
        .phase = ac_xstrdup(ac_json_str(pod, "status.phase", "")),
        .reason = ac_xstrdup(reason),
        .ready = resp_pod_ready(pod),
        .deleting = ac_json_str(pod, "metadata.deletionTimestamp", NULL) != NULL,
        .restarts = restarts,
        .created_ns = time_of(pod, "metadata.creationTimestamp"),
        .ready_since_ns = ready ? time_of(ready, "lastTransitionTime") : 0,
    };
}

/* Replicas in the manifest that was applied; -1 when it does not say. */
static int declared_replicas(const json_t *d)
{
    int64_t n;
    const char *own = meta_value(d, "annotations", "aceso.dev/replicas");
    if (own && ac_str_to_i64(own, &n) && n >= 0 && n < 100000)
        return (int)n;
    const char *text = meta_value(d, "annotations", APPLIED);
    if (!text)
        return -1;
    ac_cleanup_json j = NULL;
    if (ac_json_parse(APPLIED, text, strlen(text), &j, NULL) != 0)
        return -1;
    return (int)ac_json_i64(j, "spec.replicas", 1);
}

static bool keeps_data(const json_t *d, bool is_statefulset)
{
    const json_t *volumes = ac_json_at(d, "spec.template.spec.volumes"), *v;
    const char *own = meta_value(d, "annotations", "aceso.dev/stateful");
    size_t i;
    if (own)
        return ac_streq(own, "true");
    if (is_statefulset)
        return true;
    json_array_foreach(volumes, i, v) if (json_object_get(v, "persistentVolumeClaim")) return true;
    return false;
}

static void take_workload(struct ac_cluster_state *s, const json_t *d, bool is_statefulset)
{
    const char *name = ac_json_str(d, "metadata.name", ""), *component = resp_component_of(d);
    const char *revision = meta_value(d, "annotations", REVISION);
    int64_t rev = 0;
    if (revision && !ac_str_to_i64(revision, &rev))
        rev = 0;
    ac_grow(&s->deploys, &s->deploys_cap, s->ndeploys + 1, sizeof(s->deploys[0]));
    s->deploys[s->ndeploys++] = (struct ac_deploy_state){
        .name = ac_xstrdup(name),
        .component = ac_xstrdup(component ? component : name),
        .replicas = (int)ac_json_i64(d, "spec.replicas", 1),
        .declared = declared_replicas(d),
        .ready = (int)ac_json_i64(d, "status.readyReplicas", 0),
        .stateful = keeps_data(d, is_statefulset),
        .revision = (int)rev,
        .is_statefulset = is_statefulset,
    };
}

static const char *owner_of(const json_t *object, const char *kind)
{
    const json_t *owners = ac_json_at(object, "metadata.ownerReferences"), *o;
    size_t i;
    json_array_foreach(owners, i, o) if (ac_streq(ac_json_str(o, "kind", ""),
                                                  kind)) return ac_json_str(o, "name", NULL);
    return NULL;
}

/* The revision before the current one, and when the current one was made. */
static void take_replicaset(struct ac_cluster_state *s, const json_t *rs)
{
    const char *owner = owner_of(rs, "Deployment");
    const char *revision = meta_value(rs, "annotations", REVISION);
    int64_t rev;
    if (!owner || !revision || !ac_str_to_i64(revision, &rev))
        return;
    for (size_t i = 0; i < s->ndeploys; i++) {
        struct ac_deploy_state *d = &s->deploys[i];
        if (d->is_statefulset || !ac_streq(d->name, owner))
            continue;
        if (rev == d->revision)
            d->changed_ns = time_of(rs, "metadata.creationTimestamp");
        else if (rev < d->revision && rev > d->previous)
            d->previous = (int)rev;
    }
}

static int each(struct ac_kube *k, const char *api, const char *kind, const char *ns,
                const char *selector, json_t **ret, struct ac_err *err)
{
    int rc = ac_kube_list(k, api, kind, ns, selector, ret, err);
    return rc ? ac_err_wrap(err, "list of %s in %s", kind, ns) : 0;
}

int resp_snapshot(struct ac_kube *k, const char *ns, struct ac_cluster_state *ret,
                  struct ac_err *err)
{
    struct ac_cluster_state s = {0};
    ac_cleanup_json pods = NULL;
    ac_cleanup_json deploys = NULL;
    ac_cleanup_json sets = NULL;
    ac_cleanup_json replicas = NULL;
    ac_cleanup_json maps = NULL;
    json_t *o;
    size_t i;
    int rc = each(k, "v1", "Pod", ns, NULL, &pods, err);
    if (!rc)
        rc = each(k, "apps/v1", "Deployment", ns, NULL, &deploys, err);
    if (!rc)
        rc = each(k, "apps/v1", "ReplicaSet", ns, NULL, &replicas, err);
    if (!rc)
        rc = each(k, "v1", "ConfigMap", ns, RESTORES_LABEL, &maps, err);
    if (rc)
        return rc;
    /* A cluster of one machine need not know stateful sets. */
    if (each(k, "apps/v1", "StatefulSet", ns, NULL, &sets, NULL) != 0)
        sets = NULL;
    json_array_foreach(pods, i, o) take_pod(&s, o);
    json_array_foreach(deploys, i, o) take_workload(&s, o, false);
    json_array_foreach(sets, i, o) take_workload(&s, o, true);
    json_array_foreach(replicas, i, o) take_replicaset(&s, o);
    json_array_foreach(maps, i, o)
    {
        const char *component = meta_value(o, "labels", RESTORES_LABEL);
        if (!component)
            continue;
        ac_grow(&s.restores, &s.restores_cap, s.nrestores + 1, sizeof(s.restores[0]));
        s.restores[s.nrestores++] =
            (struct ac_restore_state){.name = ac_xstrdup(ac_json_str(o, "metadata.name", "")),
                                      .component = ac_xstrdup(component)};
    }
    *ret = s;
    return 0;
}
