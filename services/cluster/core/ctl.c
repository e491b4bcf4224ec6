#include "ctl.h"

#include "chaos.h"
#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define PASSES_MAX   20
#define EVENTS_MAX   2000
#define EVENT_TTL_NS (3600LL * 1000000000)
#define NS_PER_S     1000000000LL

void cl_ctl_wake_at(struct cl_ctl *c, int64_t wall_ns)
{
    c->wake_ns = AC_MIN(c->wake_ns, wall_ns);
}

void cl_ctl_run(struct cl_ctl *c)
{
    c->wake_ns = INT64_MAX;
    for (int i = 0; i < PASSES_MAX; i++) {
        uint64_t before = cl_store_rv(c->store);
        cl_ctl_namespaces(c);
        cl_ctl_gc(c);
        cl_ctl_deployments(c);
        cl_ctl_replicasets(c);
        cl_ctl_jobs(c);
        cl_ctl_schedule(c);
        cl_ctl_services(c);
        cl_ctl_chaos(c);
        cl_ctl_events(c);
        if (cl_store_rv(c->store) == before)
            return;
    }
}

void cl_ctl_update(struct cl_ctl *c, enum cl_kind_id k, const json_t *o)
{
    struct ac_err err = AC_ERR_INIT;
    if (cl_store_update(c->store, k, o, NULL, &err) != 0)
        cl_ctl_wake_at(c, cl_store_now(c->store) + NS_PER_S);
}

void cl_ctl_status(struct cl_ctl *c, enum cl_kind_id k, const json_t *o, json_t *status_taken)
{
    struct ac_err err = AC_ERR_INIT;
    if (cl_store_set_status(c->store, k, js_ns(o), js_name(o), status_taken, &err) != 0)
        cl_ctl_wake_at(c, cl_store_now(c->store) + NS_PER_S);
}

void cl_ctl_delete(struct cl_ctl *c, enum cl_kind_id k, const json_t *o)
{
    struct ac_err err = AC_ERR_INIT;
    struct cl_delete how = {.grace_s = -1};
    ac_cleanup(ac_free_p) char *ns = ac_xstrdup(js_ns(o));
    ac_cleanup(ac_free_p) char *name = ac_xstrdup(js_name(o));
    if (cl_store_delete(c->store, k, ns, name, &how, NULL, &err) != 0)
        cl_ctl_wake_at(c, cl_store_now(c->store) + NS_PER_S);
}

json_t *cl_owner_ref(enum cl_kind_id k, const json_t *owner)
{
    char api[64];
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:b}", "apiVersion",
                     cl_kind_api_version(&cl_kinds[k], api, sizeof(api)), "kind", cl_kinds[k].kind,
                     "name", js_name(owner), "uid", js_uid(owner), "controller", 1,
                     "blockOwnerDeletion", 1);
}

const char *cl_owner_uid(const json_t *o)
{
    size_t i;
    json_t *r;
    json_array_foreach(js_at(o, "metadata.ownerReferences"), i,
                       r) if (js_bool(r, "controller", false)) return js_str(r, "uid", NULL);
    return NULL;
}

bool cl_pod_ready(const json_t *pod)
{
    return ac_streq(js_str(js_find(js_at(pod, "status.conditions"), "type", "Ready"), "status", ""),
                    "True");
}

bool cl_pod_ended(const json_t *pod)
{
    const char *phase = js_str(pod, "status.phase", "");
    return ac_streq(phase, "Succeeded") || ac_streq(phase, "Failed");
}

void cl_condition_set(json_t *conditions, const char *type, const char *status, const char *reason,
                      const char *message, int64_t now_ns)
{
    char now[32];
    json_t *c = js_find(conditions, "type", type);
    js_time(now_ns, now, sizeof(now));
    if (c == NULL) {
        c = json_pack("{s:s}", "type", type);
        json_array_append_new(conditions, c);
    }
    if (!ac_streq(js_str(c, "status", NULL), status))
        js_set_str(c, "lastTransitionTime", now);
    js_set_str(c, "status", status);
    if (reason != NULL)
        js_set_str(c, "reason", reason);
    else
        json_object_del(c, "reason");
    if (message != NULL)
        js_set_str(c, "message", message);
    else
        json_object_del(c, "message");
}

json_t *cl_pod_from_template(enum cl_kind_id k, const json_t *owner)
{
    json_t *pod = json_object();
    char prefix[224];
    const json_t *meta = js_at(owner, "spec.template.metadata");
    (void)snprintf(prefix, sizeof(prefix), "%.200s-", js_name(owner));
    js_set_str(pod, "metadata.generateName", prefix);
    js_set_str(pod, "metadata.namespace", js_ns(owner));
    if (json_object_get(meta, "labels") != NULL)
        js_set(pod, "metadata.labels", json_deep_copy(json_object_get(meta, "labels")));
    if (json_object_get(meta, "annotations") != NULL)
        js_set(pod, "metadata.annotations", json_deep_copy(json_object_get(meta, "annotations")));
    js_set(pod, "metadata.ownerReferences", json_pack("[o]", cl_owner_ref(k, owner)));
    js_set(pod, "spec", json_deep_copy(js_at(owner, "spec.template.spec")));
    return pod;
}

/* ---- events ---- */

static json_t *find_event(struct cl_store *s, const struct cl_note *n, const char *message)
{
    json_t *e;
    for (size_t it = 0; (e = cl_store_next(s, CL_EVENT, js_ns(n->object), &it)) != NULL;)
        if (ac_streq(js_str(e, "involvedObject.uid", ""), js_uid(n->object)) &&
            ac_streq(js_str(e, "reason", ""), n->reason) &&
            ac_streq(js_str(e, "message", ""), message))
            return e;
    return NULL;
}

static json_t *new_event(struct cl_store *s, const struct cl_note *n, const char *message,
                         const char *now)
{
    char api[64], name[300], hex[17];
    const char *ns = js_ns(n->object)[0] != '\0' ? js_ns(n->object) : "default";
    uint64_t rnd;
    cl_store_random(s, &rnd, sizeof(rnd));
    (void)snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)rnd);
    (void)snprintf(name, sizeof(name), "%.230s.%s", js_name(n->object), hex);
    json_t *e = json_pack(
        "{s:{s:s,s:s},s:{s:s,s:s,s:s,s:s,s:s},s:s,s:s,s:s,s:s,s:s,s:i,s:{s:s},s:s,s:n}", "metadata",
        "name", name, "namespace", ns, "involvedObject", "kind", cl_kinds[n->kind].kind, "name",
        js_name(n->object), "uid", js_uid(n->object), "apiVersion",
        cl_kind_api_version(&cl_kinds[n->kind], api, sizeof(api)), "resourceVersion",
        js_str(n->object, "metadata.resourceVersion", ""), "reason", n->reason, "message", message,
        "type", n->type, "firstTimestamp", now, "lastTimestamp", now, "count", 1, "source",
        "component", n->component, "reportingComponent", n->component, "eventTime");
    if (js_ns(n->object)[0] != '\0')
        js_set_str(e, "involvedObject.namespace", js_ns(n->object));
    if (n->field != NULL)
        js_set_str(e, "involvedObject.fieldPath", n->field);
    return e;
}

void cl_event_record(struct cl_store *s, const struct cl_note *n, const char *message)
{
    char now[32];
    struct ac_err err = AC_ERR_INIT;
    js_time(cl_store_now(s), now, sizeof(now));
    json_t *old = find_event(s, n, message);
    if (old != NULL) {
        js_auto e = json_deep_copy(old);
        js_set_int(e, "count", js_int(e, "count", 1) + 1);
        js_set_str(e, "lastTimestamp", now);
        (void)!cl_store_update(s, CL_EVENT, e, NULL, &err);
        return;
    }
    js_auto e = new_event(s, n, message, now);
    /* Refused while the namespace goes: then nobody will read it. */
    (void)!cl_store_add(s, CL_EVENT, e, NULL, &err);
}

void cl_ctl_events(struct cl_ctl *c)
{
    json_t *e;
    int64_t now = cl_store_now(c->store);
    size_t n = cl_store_count(c->store, CL_EVENT);
    for (size_t it = 0; (e = cl_store_next(c->store, CL_EVENT, NULL, &it)) != NULL;) {
        if (n <= EVENTS_MAX && now - js_time_ns(js_str(e, "lastTimestamp", NULL)) < EVENT_TTL_NS)
            continue;
        js_auto held = json_incref(e);
        cl_store_drop(c->store, CL_EVENT, js_ns(held), js_name(held));
        n--;
    }
}

/* ---- namespaces ---- */

static void make_account(struct cl_ctl *c, const json_t *ns)
{
    struct ac_err err = AC_ERR_INIT;
    if (cl_store_get(c->store, CL_SERVICEACCOUNT, js_name(ns), "default") != NULL)
        return;
    js_auto sa =
        json_pack("{s:{s:s,s:s}}", "metadata", "name", "default", "namespace", js_name(ns));
    (void)!cl_store_add(c->store, CL_SERVICEACCOUNT, sa, NULL, &err);
}

static size_t empty_namespace(struct cl_ctl *c, const char *ns)
{
    /* Owners first, so that nothing is made anew; events last. */
    static const enum cl_kind_id order[] = {
        CL_NETWORKCHAOS, CL_PODCHAOS, CL_DEPLOYMENT,     CL_REPLICASET, CL_JOB,
        CL_POD,          CL_SERVICE,  CL_ENDPOINTSLICE,  CL_ENDPOINTS,  CL_CONFIGMAP,
        CL_SECRET,       CL_PVC,      CL_SERVICEACCOUNT, CL_EVENT};
    size_t left = 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(order); i++) {
        json_t *o;
        for (size_t it = 0; (o = cl_store_next(c->store, order[i], ns, &it)) != NULL;) {
            left++;
            if (js_deleting(o))
                continue;
            js_auto held = json_incref(o);
            cl_ctl_delete(c, order[i], held);
        }
    }
    return left;
}

void cl_ctl_namespaces(struct cl_ctl *c)
{
    json_t *ns;
    for (size_t it = 0; (ns = cl_store_next(c->store, CL_NAMESPACE, NULL, &it)) != NULL;) {
        js_auto held = json_incref(ns);
        if (!js_deleting(held))
            make_account(c, held);
        else if (empty_namespace(c, js_name(held)) == 0)
            cl_store_drop(c->store, CL_NAMESPACE, NULL, js_name(held));
    }
}

/* ---- garbage of owners that are gone ---- */

static bool owner_gone(struct cl_ctl *c, const json_t *o)
{
    const json_t *refs = js_at(o, "metadata.ownerReferences");
    size_t i;
    json_t *r;
    json_array_foreach(refs, i, r)
    {
        const struct cl_kind *k = cl_kind_by_name(js_str(r, "kind", ""));
        if (k == NULL)
            return false;
        const json_t *owner = cl_store_get(c->store, k->id, js_ns(o), js_str(r, "name", ""));
        if (owner != NULL && ac_streq(js_uid(owner), js_str(r, "uid", "")))
            return false;
    }
    return i > 0;
}

/* Objects whose owner was deleted with propagation "Orphan" lose the reference instead. */
static void orphan(struct cl_ctl *c, const struct cl_event *ev)
{
    static const enum cl_kind_id owned[] = {CL_REPLICASET, CL_POD};
    for (size_t i = 0; i < AC_ARRAY_LEN(owned); i++) {
        json_t *o;
        for (size_t it = 0;
             (o = cl_store_next(c->store, owned[i], js_ns(ev->object), &it)) != NULL;) {
            if (!ac_streq(cl_owner_uid(o), js_uid(ev->object)))
                continue;
            js_auto copy = json_deep_copy(o);
            js_del(copy, "metadata.ownerReferences");
            cl_ctl_update(c, owned[i], copy);
        }
    }
}

void cl_ctl_gc(struct cl_ctl *c)
{
    static const enum cl_kind_id owned[] = {CL_REPLICASET, CL_POD, CL_ENDPOINTSLICE, CL_ENDPOINTS};
    for (const struct cl_event *ev; (ev = cl_store_log_next(c->store, &c->gc_rv)) != NULL;)
        if (ev->change == CL_DELETED && ac_streq(js_annotation(ev->object, "orphan"), "true")) {
            struct cl_event copy = *ev;
            js_auto held = json_incref(ev->object);
            copy.object = held;
            orphan(c, &copy);
        }
    for (size_t i = 0; i < AC_ARRAY_LEN(owned); i++) {
        json_t *o;
        for (size_t it = 0; (o = cl_store_next(c->store, owned[i], NULL, &it)) != NULL;) {
            if (js_deleting(o) || !owner_gone(c, o))
                continue;
            js_auto held = json_incref(o);
            cl_ctl_delete(c, owned[i], held);
        }
    }
}
