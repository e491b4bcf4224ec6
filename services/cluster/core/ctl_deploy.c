/* Deployments: one replica set a template; the sets are scaled so that at most maxSurge pods are
 * added and at most maxUnavailable are missing at any time. */
#include "ctl.h"
#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

#define REVISION "deployment.kubernetes.io/revision"
#define HASH     "pod-template-hash"
#define NS_PER_S 1000000000LL
#define SETS_MAX 64

struct rollout {
    struct cl_ctl *c;
    json_t *d; /* own reference, as it was at the start of the pass */
    size_t n;
    json_t *sets[SETS_MAX]; /* own references; by creation */
    json_t *current;        /* set of the present template; one of sets */
    int64_t replicas, surge, unavailable;
};

static int64_t revision_of(const json_t *o)
{
    int64_t n = 0;
    const char *s = js_annotation(o, REVISION);
    return s != NULL && ac_str_to_i64(s, &n) ? n : 0;
}

static bool same_template(const json_t *set, const json_t *d)
{
    js_auto t = json_deep_copy(js_at(set, "spec.template"));
    json_object_del(js_at(t, "metadata.labels"), HASH);
    return json_equal(t, js_at(d, "spec.template"));
}

static void load_sets(struct rollout *r)
{
    json_t *o;
    for (size_t it = 0;
         (o = cl_store_next(r->c->store, CL_REPLICASET, js_ns(r->d), &it)) != NULL;) {
        if (r->n == SETS_MAX || js_deleting(o) || !ac_streq(cl_owner_uid(o), js_uid(r->d)))
            continue;
        r->sets[r->n++] = json_incref(o);
        if (r->current == NULL && same_template(o, r->d))
            r->current = o;
    }
}

static void drop_sets(struct rollout *r)
{
    for (size_t i = 0; i < r->n; i++)
        json_decref(r->sets[i]);
    r->n = 0;
    r->current = NULL;
}

static void reload(struct rollout *r)
{
    drop_sets(r);
    load_sets(r);
}

static int64_t total(const struct rollout *r, const char *path)
{
    int64_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += js_int(r->sets[i], path, 0);
    return n;
}

static void scale(struct rollout *r, const json_t *set, int64_t to)
{
    int64_t from = js_int(set, "spec.replicas", 0);
    if (from == to)
        return;
    js_auto copy = json_deep_copy(set);
    js_set_int(copy, "spec.replicas", to);
    cl_ctl_update(r->c, CL_REPLICASET, copy);
    char msg[384];
    (void)snprintf(msg, sizeof(msg), "Scaled %s replica set %.250s from %lld to %lld",
                   to > from ? "up" : "down", js_name(set), (long long)from, (long long)to);
    struct cl_note note = {CL_DEPLOYMENT,           r->d, "Normal", "ScalingReplicaSet",
                           "deployment-controller", NULL};
    cl_event_record(r->c->store, &note, msg);
}

static void template_hash(const json_t *tmpl, char *dst, size_t dst_size)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    char *text = json_dumps(tmpl, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t h = text == NULL ? 0 : ac_hash_str(text);
    free(text);
    size_t n = AC_MIN(dst_size - 1, (size_t)10);
    for (size_t i = 0; i < n; i++) {
        dst[i] = letters[h % (sizeof(letters) - 1)];
        h /= sizeof(letters) - 1;
    }
    dst[n] = '\0';
}

static void annotate_revision(struct rollout *r, enum cl_kind_id k, const json_t *o, int64_t rev)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)rev);
    if (ac_streq(js_annotation(o, REVISION), text))
        return;
    js_auto copy = json_deep_copy(o);
    json_object_set_new(js_obj(copy, "metadata.annotations"), REVISION, json_string(text));
    cl_ctl_update(r->c, k, copy);
}

static void make_set(struct rollout *r, int64_t rev)
{
    char hash[12], name[260], text[24];
    struct ac_err err = AC_ERR_INIT;
    js_auto set = json_object();
    const json_t *d = r->d;
    template_hash(js_at(d, "spec.template"), hash, sizeof(hash));
    (void)snprintf(name, sizeof(name), "%.240s-%s", js_name(d), hash);
    (void)snprintf(text, sizeof(text), "%lld", (long long)rev);
    js_set_str(set, "metadata.name", name);
    js_set_str(set, "metadata.namespace", js_ns(d));
    js_set(set, "metadata.ownerReferences", json_pack("[o]", cl_owner_ref(CL_DEPLOYMENT, d)));
    js_set(set, "metadata.labels", json_deep_copy(js_at(d, "spec.template.metadata.labels")));
    js_set_str(js_obj(set, "metadata.labels"), HASH, hash);
    if (js_at(d, "metadata.annotations") != NULL)
        js_set(set, "metadata.annotations", json_deep_copy(js_at(d, "metadata.annotations")));
    json_object_del(js_obj(set, "metadata.annotations"),
                    "kubectl.kubernetes.io/last-applied-configuration");
    json_object_set_new(js_obj(set, "metadata.annotations"), REVISION, json_string(text));
    js_set_int(set, "spec.replicas", 0);
    js_set_int(set, "spec.minReadySeconds", js_int(d, "spec.minReadySeconds", 0));
    js_set(set, "spec.selector", json_deep_copy(js_at(d, "spec.selector")));
    js_set_str(js_obj(set, "spec.selector.matchLabels"), HASH, hash);
    js_set(set, "spec.template", json_deep_copy(js_at(d, "spec.template")));
    js_set_str(js_obj(set, "spec.template.metadata.labels"), HASH, hash);
    int code = cl_store_add(r->c->store, CL_REPLICASET, set, NULL, &err);
    if (code != 0 && code != AC_EPERM && code != AC_ENOTFOUND)
        cl_ctl_wake_at(r->c, cl_store_now(r->c->store) + NS_PER_S);
}

/* Finds or makes the set of the present template and gives it the highest revision. */
static bool sync_current(struct rollout *r)
{
    int64_t highest = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->sets[i] != r->current)
            highest = AC_MAX(highest, revision_of(r->sets[i]));
    if (r->current == NULL) {
        if (js_bool(r->d, "spec.paused", false))
            return true;
        make_set(r, highest + 1);
        reload(r);
    } else if (revision_of(r->current) <= highest) {
        annotate_revision(r, CL_REPLICASET, r->current, highest + 1);
        reload(r);
    }
    if (r->current == NULL)
        return false;
    annotate_revision(r, CL_DEPLOYMENT, r->d, revision_of(r->current));
    json_t *d = cl_store_get(r->c->store, CL_DEPLOYMENT, js_ns(r->d), js_name(r->d));
    if (d == NULL)
        return false;
    json_incref(d);
    json_decref(r->d);
    r->d = d;
    return true;
}

static bool roll_new(struct rollout *r)
{
    int64_t have = js_int(r->current, "spec.replicas", 0);
    int64_t to = have;
    if (have > r->replicas)
        to = r->replicas;
    else if (total(r, "spec.replicas") < r->replicas + r->surge)
        to = have + AC_MIN(r->replicas + r->surge - total(r, "spec.replicas"), r->replicas - have);
    if (to == have)
        return false;
    scale(r, r->current, to);
    return true;
}

static void roll_old(struct rollout *r)
{
    int64_t min_available = r->replicas - r->unavailable;
    int64_t new_missing =
        js_int(r->current, "spec.replicas", 0) - js_int(r->current, "status.availableReplicas", 0);
    int64_t may_go = total(r, "spec.replicas") - min_available - AC_MAX(new_missing, 0);
    /* Pods of old sets that do not work go first. */
    for (size_t i = 0; i < r->n && may_go > 0; i++) {
        int64_t have = js_int(r->sets[i], "spec.replicas", 0);
        int64_t sick = have - js_int(r->sets[i], "status.availableReplicas", 0);
        if (r->sets[i] == r->current || sick <= 0)
            continue;
        int64_t n = AC_MIN(sick, may_go);
        scale(r, r->sets[i], have - n);
        may_go -= n;
    }
    reload(r);
    if (r->current == NULL)
        return;
    int64_t available = total(r, "status.availableReplicas") - min_available;
    for (size_t i = 0; i < r->n && AC_MIN(may_go, available) > 0; i++) {
        int64_t have = js_int(r->sets[i], "spec.replicas", 0);
        if (r->sets[i] == r->current || have == 0)
            continue;
        int64_t n = AC_MIN(have, AC_MIN(may_go, available));
        scale(r, r->sets[i], have - n);
        may_go -= n;
        available -= n;
    }
}

static void recreate(struct rollout *r)
{
    bool old_left = false;
    for (size_t i = 0; i < r->n; i++) {
        if (r->sets[i] == r->current)
            continue;
        old_left = old_left || js_int(r->sets[i], "status.replicas", 0) > 0 ||
                   js_int(r->sets[i], "spec.replicas", 0) > 0;
        scale(r, r->sets[i], 0);
    }
    if (!old_left)
        scale(r, r->current, r->replicas);
}

static void drop_history(struct rollout *r)
{
    int64_t keep = js_int(r->d, "spec.revisionHistoryLimit", 10), old = 0;
    for (size_t i = 0; i < r->n; i++)
        old += r->sets[i] != r->current && js_int(r->sets[i], "spec.replicas", 0) == 0;
    for (size_t i = 0; i < r->n && old > keep; i++) {
        if (r->sets[i] == r->current || js_int(r->sets[i], "spec.replicas", 0) > 0 ||
            js_int(r->sets[i], "status.replicas", 0) > 0)
            continue;
        cl_ctl_delete(r->c, CL_REPLICASET, r->sets[i]);
        old--;
    }
}

static void set_progress(struct rollout *r, json_t *st, bool complete, bool moved)
{
    int64_t now = cl_store_now(r->c->store);
    int64_t deadline = js_int(r->d, "spec.progressDeadlineSeconds", 600) * NS_PER_S;
    json_t *conditions = js_arr(st, "conditions");
    const json_t *p = js_find(conditions, "type", "Progressing");
    int64_t last = js_time_ns(js_str(p, "lastUpdateTime", NULL));
    const char *was = js_str(p, "reason", "");
    char msg[384], text[32];
    const char *name = r->current != NULL ? js_name(r->current) : "";
    if (complete) {
        (void)snprintf(msg, sizeof(msg), "ReplicaSet \"%.250s\" has successfully progressed.",
                       name);
        moved = !ac_streq(was, "NewReplicaSetAvailable");
        cl_condition_set(conditions, "Progressing", "True", "NewReplicaSetAvailable", msg, now);
    } else if (!moved && last != 0 && now - last >= deadline) {
        (void)snprintf(msg, sizeof(msg), "ReplicaSet \"%.250s\" has timed out progressing.", name);
        cl_condition_set(conditions, "Progressing", "False", "ProgressDeadlineExceeded", msg, now);
    } else {
        moved = moved || last == 0 || ac_streq(was, "NewReplicaSetAvailable");
        (void)snprintf(msg, sizeof(msg), "ReplicaSet \"%.250s\" is progressing.", name);
        cl_condition_set(conditions, "Progressing", "True", "ReplicaSetUpdated", msg, now);
        cl_ctl_wake_at(r->c, (moved ? now : last) + deadline);
    }
    if (moved) {
        js_time(now, text, sizeof(text));
        js_set_str(js_find(conditions, "type", "Progressing"), "lastUpdateTime", text);
    }
}

static void set_status(struct rollout *r)
{
    const json_t *old = js_at(r->d, "status");
    js_auto st = old != NULL ? json_deep_copy(old) : json_object();
    int64_t all = total(r, "status.replicas"), available = total(r, "status.availableReplicas");
    int64_t updated = r->current != NULL ? js_int(r->current, "status.replicas", 0) : 0;
    int64_t now = cl_store_now(r->c->store);
    const struct {
        const char *key;
        int64_t v;
    } counts[] = {{"replicas", all},
                  {"updatedReplicas", updated},
                  {"readyReplicas", total(r, "status.readyReplicas")},
                  {"availableReplicas", available},
                  {"unavailableReplicas", AC_MAX(AC_MAX(all, r->replicas) - available, 0)}};
    bool moved = updated > js_int(old, "updatedReplicas", 0) ||
                 available > js_int(old, "availableReplicas", 0) ||
                 js_int(old, "observedGeneration", 0) != js_int(r->d, "metadata.generation", 1);
    for (size_t i = 0; i < AC_ARRAY_LEN(counts); i++) {
        if (counts[i].v != 0 || i == 0)
            js_set_int(st, counts[i].key, counts[i].v);
        else
            json_object_del(st, counts[i].key);
    }
    js_set_int(st, "observedGeneration", js_int(r->d, "metadata.generation", 1));
    bool enough = available >= r->replicas - r->unavailable;
    cl_condition_set(js_arr(st, "conditions"), "Available", enough ? "True" : "False",
                     enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
                     enough ? "Deployment has minimum availability."
                            : "Deployment does not have minimum availability.",
                     now);
    bool complete = updated == r->replicas && all == r->replicas && available == r->replicas;
    set_progress(r, st, complete, moved);
    if (!json_equal(st, old))
        cl_ctl_status(r->c, CL_DEPLOYMENT, r->d, json_incref(st));
}

static void sync_deployment(struct cl_ctl *c, json_t *d)
{
    struct rollout r = {.c = c, .d = json_incref(d)};
    load_sets(&r);
    r.replicas = js_int(d, "spec.replicas", 1);
    r.unavailable = js_int_or_percent(js_at(d, "spec.strategy.rollingUpdate.maxUnavailable"),
                                      r.replicas, false, 0);
    r.surge =
        js_int_or_percent(js_at(d, "spec.strategy.rollingUpdate.maxSurge"), r.replicas, true, 0);
    if (r.surge == 0 && r.unavailable == 0)
        r.unavailable = 1;
    r.unavailable = AC_MIN(r.unavailable, r.replicas);
    bool roll = ac_streq(js_str(d, "spec.strategy.type", ""), "RollingUpdate");
    if (!roll)
        r.unavailable = 0;
    if (sync_current(&r) && r.current != NULL) {
        if (!roll)
            recreate(&r);
        else if (!roll_new(&r))
            roll_old(&r);
        reload(&r);
        drop_history(&r);
    }
    set_status(&r);
    drop_sets(&r);
    json_decref(r.d);
}

void cl_ctl_deployments(struct cl_ctl *c)
{
    json_t *d;
    for (size_t it = 0; (d = cl_store_next(c->store, CL_DEPLOYMENT, NULL, &it)) != NULL;)
        if (!js_deleting(d))
            sync_deployment(c, d);
}
