/* What makes and places pods: replica sets, jobs, the scheduler of the one node. */
#include "ctl.h"
#include "js.h"
#include "selector.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define NS_PER_S 1000000000LL
#define PODS_MAX 1024

static bool owned_by(const json_t *o, const json_t *owner)
{
    return ac_streq(cl_owner_uid(o), js_uid(owner));
}

static bool make_pod(struct cl_ctl *c, enum cl_kind_id k, const json_t *owner, const char *comp)
{
    struct ac_err err = AC_ERR_INIT;
    char msg[384];
    js_auto pod = cl_pod_from_template(k, owner);
    json_t *made = NULL;
    int r = cl_prepare(c->store, CL_POD, pod, NULL, &err);
    if (r == 0)
        r = cl_store_add(c->store, CL_POD, pod, &made, &err);
    struct cl_note note = {
        k,    owner, r == 0 ? "Normal" : "Warning", r == 0 ? "SuccessfulCreate" : "FailedCreate",
        comp, NULL};
    if (r == 0)
        (void)snprintf(msg, sizeof(msg), "Created pod: %.250s", js_name(made));
    else
        (void)snprintf(msg, sizeof(msg), "Error creating: %.250s", err.msg);
    cl_event_record(c->store, &note, msg);
    return r == 0;
}

/* ---- replica sets ---- */

/* Smaller goes first when a set is scaled down: not placed, not ready, then the youngest. */
static int keep_rank(const json_t *pod)
{
    if (js_str(pod, "spec.nodeName", NULL) == NULL)
        return 0;
    return cl_pod_ready(pod) ? 2 : 1;
}

static const json_t *victim(json_t *const *pods, size_t n)
{
    const json_t *worst = NULL;
    for (size_t i = 0; i < n; i++)
        if (pods[i] != NULL && (worst == NULL || keep_rank(pods[i]) <= keep_rank(worst)))
            worst = pods[i];
    return worst;
}

static void shrink(struct cl_ctl *c, const json_t *set, json_t **pods, size_t n, size_t too_many)
{
    char msg[384];
    struct cl_note note = {CL_REPLICASET,           set, "Normal", "SuccessfulDelete",
                           "replicaset-controller", NULL};
    for (; too_many > 0; too_many--) {
        const json_t *v = victim(pods, n);
        if (v == NULL)
            return;
        (void)snprintf(msg, sizeof(msg), "Deleted pod: %.250s", js_name(v));
        cl_ctl_delete(c, CL_POD, v);
        cl_event_record(c->store, &note, msg);
        for (size_t i = 0; i < n; i++)
            if (pods[i] == v) {
                json_decref(pods[i]);
                pods[i] = NULL;
            }
    }
}

static bool available_since(struct cl_ctl *c, const json_t *pod, int64_t min_ready_ns)
{
    const json_t *ready = js_find(js_at(pod, "status.conditions"), "type", "Ready");
    if (!cl_pod_ready(pod))
        return false;
    int64_t at = js_time_ns(js_str(ready, "lastTransitionTime", NULL)) + min_ready_ns;
    if (min_ready_ns == 0 || at <= cl_store_now(c->store))
        return true;
    cl_ctl_wake_at(c, at);
    return false;
}

static void set_status(struct cl_ctl *c, json_t *set)
{
    json_t *p;
    int64_t all = 0, ready = 0, available = 0;
    int64_t min_ready = js_int(set, "spec.minReadySeconds", 0) * NS_PER_S;
    for (size_t it = 0; (p = cl_store_next(c->store, CL_POD, js_ns(set), &it)) != NULL;) {
        if (!owned_by(p, set) || js_deleting(p) || cl_pod_ended(p))
            continue;
        all++;
        ready += cl_pod_ready(p);
        available += available_since(c, p, min_ready);
    }
    json_t *st = json_pack("{s:I,s:I}", "replicas", (json_int_t)all, "observedGeneration",
                           (json_int_t)js_int(set, "metadata.generation", 1));
    if (all > 0)
        js_set_int(st, "fullyLabeledReplicas", all);
    if (ready > 0)
        js_set_int(st, "readyReplicas", ready);
    if (available > 0)
        js_set_int(st, "availableReplicas", available);
    if (json_equal(st, js_at(set, "status")))
        json_decref(st);
    else
        cl_ctl_status(c, CL_REPLICASET, set, st);
}

static void sync_set(struct cl_ctl *c, json_t *set)
{
    json_t *p;
    size_t n = 0, want = (size_t)js_int(set, "spec.replicas", 1);
    json_t **pods = ac_xcalloc(PODS_MAX, sizeof(*pods));
    for (size_t it = 0; (p = cl_store_next(c->store, CL_POD, js_ns(set), &it)) != NULL;)
        if (n < PODS_MAX && owned_by(p, set) && !js_deleting(p) && !cl_pod_ended(p))
            pods[n++] = json_incref(p);
    for (size_t have = n; have < want; have++)
        if (!make_pod(c, CL_REPLICASET, set, "replicaset-controller"))
            break;
    if (n > want)
        shrink(c, set, pods, n, n - want);
    for (size_t i = 0; i < n; i++)
        json_decref(pods[i]);
    free(pods);
    set_status(c, set);
}

void cl_ctl_replicasets(struct cl_ctl *c)
{
    json_t *set;
    for (size_t it = 0; (set = cl_store_next(c->store, CL_REPLICASET, NULL, &it)) != NULL;) {
        js_auto held = json_incref(set);
        if (!js_deleting(held))
            sync_set(c, held);
    }
}

/* ---- jobs ---- */

static void job_ended(json_t *st, bool ok, const char *reason, int64_t now)
{
    char text[32];
    js_time(now, text, sizeof(text));
    cl_condition_set(js_arr(st, "conditions"), ok ? "Complete" : "Failed", "True", reason, NULL,
                     now);
    if (ok)
        js_set_str(st, "completionTime", text);
}

static bool job_done(const json_t *st)
{
    const json_t *conditions = js_at(st, "conditions");
    return js_find(conditions, "type", "Complete") != NULL ||
           js_find(conditions, "type", "Failed") != NULL;
}

static void sync_job(struct cl_ctl *c, json_t *job)
{
    json_t *p;
    int64_t active = 0, ok = 0, failed = 0, now = cl_store_now(c->store);
    const json_t *old = js_at(job, "status");
    js_auto st = old != NULL ? json_deep_copy(old) : json_object();
    char text[32];
    if (job_done(st))
        return;
    for (size_t it = 0; (p = cl_store_next(c->store, CL_POD, js_ns(job), &it)) != NULL;) {
        if (!owned_by(p, job))
            continue;
        const char *phase = js_str(p, "status.phase", "");
        ok += ac_streq(phase, "Succeeded");
        failed += ac_streq(phase, "Failed");
        active += !cl_pod_ended(p) && !js_deleting(p);
    }
    int64_t want = js_int(job, "spec.completions", 1);
    if (js_at(st, "startTime") == NULL) {
        js_time(now, text, sizeof(text));
        js_set_str(st, "startTime", text);
    }
    if (ok >= want)
        job_ended(st, true, "CompletionsReached", now);
    else if (failed > js_int(job, "spec.backoffLimit", 6))
        job_ended(st, false, "BackoffLimitExceeded", now);
    else
        for (; active < AC_MIN(js_int(job, "spec.parallelism", 1), want - ok); active++)
            if (!make_pod(c, CL_JOB, job, "job-controller"))
                break;
    js_set_int(st, "active", active);
    js_set_int(st, "succeeded", ok);
    js_set_int(st, "failed", failed);
    js_set_int(st, "ready", active);
    if (!json_equal(st, old))
        cl_ctl_status(c, CL_JOB, job, json_incref(st));
}

void cl_ctl_jobs(struct cl_ctl *c)
{
    json_t *job;
    for (size_t it = 0; (job = cl_store_next(c->store, CL_JOB, NULL, &it)) != NULL;) {
        js_auto held = json_incref(job);
        if (!js_deleting(held))
            sync_job(c, held);
    }
}

/* ---- scheduler ---- */

static void place(struct cl_ctl *c, json_t *pod)
{
    const json_t *node = cl_store_get(c->store, CL_NODE, NULL, c->node);
    const json_t *want = js_at(pod, "spec.nodeSelector");
    bool fits =
        node != NULL && !js_bool(node, "spec.unschedulable", false) &&
        (json_object_size(want) == 0 || cl_match_labels(want, js_at(node, "metadata.labels")));
    char msg[384];
    js_auto copy = json_deep_copy(pod);
    struct cl_note note = {CL_POD,
                           pod,
                           fits ? "Normal" : "Warning",
                           fits ? "Scheduled" : "FailedScheduling",
                           "default-scheduler",
                           NULL};
    if (fits) {
        js_set_str(copy, "spec.nodeName", c->node);
        cl_condition_set(js_arr(copy, "status.conditions"), "PodScheduled", "True", NULL, NULL,
                         cl_store_now(c->store));
        (void)snprintf(msg, sizeof(msg), "Successfully assigned %.120s/%.120s to %.60s", js_ns(pod),
                       js_name(pod), c->node);
    } else {
        ac_str_copy(
            msg, sizeof(msg),
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
        cl_condition_set(js_arr(copy, "status.conditions"), "PodScheduled", "False",
                         "Unschedulable", msg, cl_store_now(c->store));
    }
    if (json_equal(copy, pod))
        return;
    cl_ctl_update(c, CL_POD, copy);
    cl_event_record(c->store, &note, msg);
}

void cl_ctl_schedule(struct cl_ctl *c)
{
    json_t *p;
    for (size_t it = 0; (p = cl_store_next(c->store, CL_POD, NULL, &it)) != NULL;) {
        if (js_str(p, "spec.nodeName", NULL) != NULL || js_deleting(p))
            continue;
        js_auto held = json_incref(p);
        place(c, held);
    }
}
