#include "chaos.h"

#include "js.h"
#include "selector.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define PAUSE    "experiment.chaos-mesh.org/pause"
#define FORCED   "chaos-mesh.chaos-mesh.org/cleanFinalizer"
#define PODS_MAX 1024

static bool has_string(const json_t *array, const char *s)
{
    size_t i;
    json_t *v;
    json_array_foreach(array, i, v) if (ac_streq(json_string_value(v), s)) return true;
    return false;
}

static bool listed(const json_t *pods, const json_t *pod)
{
    return has_string(json_object_get(pods, js_ns(pod)), js_name(pod));
}

static bool fields_match(const json_t *fields, const json_t *pod)
{
    const char *k;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)fields, k, v)
    {
        struct ac_err err = AC_ERR_INIT;
        struct cl_selector *sel = NULL;
        ac_cleanup(ac_free_p) char *text = ac_xasprintf("%s=%s", k, json_string_value(v));
        bool ok = cl_fields_parse(text, &sel, &err) == 0 && cl_selector_fields(sel, pod);
        cl_selector_destroy(sel);
        if (!ok)
            return false;
    }
    return true;
}

bool cl_chaos_selects(const json_t *selector, const json_t *pod, const char *own_ns)
{
    const json_t *ns = js_at(selector, "namespaces"), *pods = js_at(selector, "pods");
    const json_t *labels = js_at(selector, "labelSelectors");
    const json_t *notes = js_at(selector, "annotationSelectors");
    const json_t *expr = js_at(selector, "expressionSelectors");
    const json_t *phases = js_at(selector, "podPhaseSelectors");
    const json_t *nodes = js_at(selector, "nodes");
    if (js_deleting(pod) || cl_pod_ended(pod))
        return false;
    if (json_object_size(pods) > 0)
        return listed(pods, pod);
    if (json_array_size(ns) > 0 ? !has_string(ns, js_ns(pod)) : !ac_streq(own_ns, js_ns(pod)))
        return false;
    if (json_object_size(labels) > 0 && !cl_match_labels(labels, js_at(pod, "metadata.labels")))
        return false;
    if (json_object_size(notes) > 0 && !cl_match_labels(notes, js_at(pod, "metadata.annotations")))
        return false;
    if (json_array_size(phases) > 0 && !has_string(phases, js_str(pod, "status.phase", "")))
        return false;
    if (json_array_size(nodes) > 0 && !has_string(nodes, js_str(pod, "spec.nodeName", "")))
        return false;
    if (json_array_size(expr) > 0) {
        js_auto sel = json_pack("{s:O}", "matchExpressions", expr);
        if (!cl_match_selector(sel, js_at(pod, "metadata.labels")))
            return false;
    }
    return fields_match(js_at(selector, "fieldSelectors"), pod);
}

static uint64_t below(const struct cl_store *s, uint64_t n)
{
    uint64_t v;
    cl_store_random(s, &v, sizeof(v));
    return v % n;
}

/* How many of n pods a mode takes. value: "2" or "50" (percent). */
static size_t take_count(const struct cl_store *s, const json_t *spec, size_t n)
{
    const char *mode = js_str(spec, "mode", "all");
    int64_t value = 0;
    if (!ac_str_to_i64(js_str(spec, "value", "0"), &value) || value < 0)
        value = 0;
    if (ac_streq(mode, "one"))
        return n > 0 ? 1 : 0;
    if (ac_streq(mode, "fixed"))
        return AC_MIN((size_t)value, n);
    if (ac_streq(mode, "fixed-percent"))
        return n * (size_t)AC_MIN(value, 100) / 100;
    if (ac_streq(mode, "random-max-percent"))
        return n * (size_t)below(s, (uint64_t)AC_MIN(value, 100) + 1) / 100;
    return n;
}

/* Appends records for the pods that spec {selector, mode, value} takes now. */
static void select_records(struct cl_ctl *c, const json_t *chaos, const json_t *spec,
                           const char *key, json_t *records)
{
    const json_t *pods[PODS_MAX];
    size_t n = 0;
    json_t *p;
    for (size_t it = 0; (p = cl_store_next(c->store, CL_POD, NULL, &it)) != NULL;)
        if (n < PODS_MAX && cl_chaos_selects(js_at(spec, "selector"), p, js_ns(chaos)))
            pods[n++] = p;
    size_t want = take_count(c->store, spec, n);
    for (; want > 0; want--) {
        size_t i = n == want ? n - 1 : (size_t)below(c->store, n);
        char id[520];
        (void)snprintf(id, sizeof(id), "%.250s/%.250s", js_ns(pods[i]), js_name(pods[i]));
        json_array_append_new(records,
                              json_pack("{s:s,s:s,s:s,s:s,s:i,s:i}", "id", id, "selectorKey", key,
                                        "phase", "Not Injected", "podUID", js_uid(pods[i]),
                                        "injectedCount", 0, "recoveredCount", 0));
        pods[i] = pods[--n];
    }
}

static void log_record(struct cl_ctl *c, json_t *rec, const char *operation)
{
    char now[32];
    js_time(cl_store_now(c->store), now, sizeof(now));
    json_array_append_new(js_arr(rec, "events"), json_pack("{s:s,s:s,s:s}", "operation", operation,
                                                           "type", "Succeeded", "timestamp", now));
}

static void kill_pod(struct cl_ctl *c, const json_t *chaos, const char *uid)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *pod = cl_store_get_uid(c->store, CL_POD, uid);
    struct cl_delete how = {.grace_s = js_int(chaos, "spec.gracePeriod", 0)};
    if (pod == NULL)
        return;
    js_auto held = json_incref(pod);
    (void)!cl_store_delete(c->store, CL_POD, js_ns(held), js_name(held), &how, NULL, &err);
}

static void inject(struct cl_ctl *c, const json_t *chaos, json_t *records)
{
    size_t i;
    json_t *rec;
    bool kill = ac_streq(js_str(chaos, "spec.action", ""), "pod-kill");
    json_array_foreach(records, i, rec)
    {
        if (ac_streq(js_str(rec, "phase", ""), "Injected"))
            continue;
        /* A kill happens once: not again after a pause. */
        if (kill && js_int(rec, "injectedCount", 0) > 0)
            continue;
        if (kill)
            kill_pod(c, chaos, js_str(rec, "podUID", ""));
        js_set_str(rec, "phase", "Injected");
        js_set_int(rec, "injectedCount", js_int(rec, "injectedCount", 0) + 1);
        log_record(c, rec, "Apply");
    }
}

static void recover(struct cl_ctl *c, json_t *records)
{
    size_t i;
    json_t *rec;
    json_array_foreach(records, i, rec)
    {
        if (!ac_streq(js_str(rec, "phase", ""), "Injected"))
            continue;
        js_set_str(rec, "phase", "Not Injected");
        js_set_int(rec, "recoveredCount", js_int(rec, "recoveredCount", 0) + 1);
        log_record(c, rec, "Recover");
    }
}

static bool should_run(struct cl_ctl *c, const json_t *chaos)
{
    int64_t now = cl_store_now(c->store);
    int64_t duration = js_duration_ns(js_str(chaos, "spec.duration", NULL), -1);
    if (js_deleting(chaos) || ac_streq(js_annotation(chaos, PAUSE), "true"))
        return false;
    if (duration < 0)
        return true;
    int64_t end = js_time_ns(js_str(chaos, "metadata.creationTimestamp", NULL)) + duration;
    if (now >= end)
        return false;
    cl_ctl_wake_at(c, end);
    return true;
}

static void set_conditions(struct cl_ctl *c, const json_t *chaos, json_t *st, bool run)
{
    size_t i, injected = 0;
    json_t *rec;
    int64_t now = cl_store_now(c->store);
    const json_t *records = js_at(st, "experiment.containerRecords");
    json_t *conditions = js_arr(st, "conditions");
    json_array_foreach(records, i, rec) injected += ac_streq(js_str(rec, "phase", ""), "Injected");
    bool paused = ac_streq(js_annotation(chaos, PAUSE), "true");
    cl_condition_set(conditions, "Selected", i > 0 ? "True" : "False", NULL, NULL, now);
    cl_condition_set(conditions, "AllInjected", run && i > 0 && injected == i ? "True" : "False",
                     NULL, NULL, now);
    cl_condition_set(conditions, "AllRecovered", injected == 0 && !run ? "True" : "False", NULL,
                     NULL, now);
    cl_condition_set(conditions, "Paused", paused ? "True" : "False", NULL, NULL, now);
}

static void note_change(struct cl_ctl *c, enum cl_kind_id k, const json_t *chaos, const json_t *st)
{
    const char *was = js_str(chaos, "status.experiment.desiredPhase", "");
    const char *is = js_str(st, "experiment.desiredPhase", "");
    struct cl_note note = {
        k, chaos, "Normal", ac_streq(is, "Run") ? "Applied" : "Recovered", "records", NULL};
    if (!ac_streq(was, is))
        cl_event_record(c->store, &note,
                        ac_streq(is, "Run") ? "Successfully apply chaos"
                                            : "Successfully recover chaos");
}

static void sync_chaos(struct cl_ctl *c, enum cl_kind_id k, json_t *chaos)
{
    js_auto copy = json_deep_copy(chaos);
    json_t *st = js_obj(copy, "status");
    bool run = should_run(c, chaos);
    json_t *records = js_arr(st, "experiment.containerRecords");
    json_t *finalizers = js_arr(copy, "metadata.finalizers");
    if (!js_deleting(chaos) && !has_string(finalizers, CL_CHAOS_FINALIZER))
        json_array_append_new(finalizers, json_string(CL_CHAOS_FINALIZER));
    if (run && json_array_size(records) == 0) {
        select_records(c, chaos, js_at(chaos, "spec"), ".", records);
        if (json_array_size(records) > 0 && js_at(chaos, "spec.target.selector") != NULL)
            select_records(c, chaos, js_at(chaos, "spec.target"), ".Target", records);
    }
    if (run)
        inject(c, chaos, records);
    else
        recover(c, records);
    js_set_str(st, "experiment.desiredPhase", run ? "Run" : "Stop");
    set_conditions(c, chaos, st, run);
    note_change(c, k, chaos, st);
    if (js_deleting(chaos)) {
        for (size_t i = json_array_size(finalizers); i-- > 0;)
            if (ac_streq(json_string_value(json_array_get(finalizers, i)), CL_CHAOS_FINALIZER) ||
                ac_streq(js_annotation(chaos, FORCED), "forced"))
                json_array_remove(finalizers, i);
    }
    if (!json_equal(copy, chaos))
        cl_ctl_update(c, k, copy);
}

void cl_ctl_chaos(struct cl_ctl *c)
{
    static const enum cl_kind_id kinds[] = {CL_PODCHAOS, CL_NETWORKCHAOS};
    for (size_t i = 0; i < AC_ARRAY_LEN(kinds); i++) {
        json_t *o;
        for (size_t it = 0; (o = cl_store_next(c->store, kinds[i], NULL, &it)) != NULL;) {
            js_auto held = json_incref(o);
            sync_chaos(c, kinds[i], held);
        }
    }
}

/* Uids of the injected records with this selector key; NULL when there are none. */
static json_t *injected(const json_t *chaos, const char *key)
{
    json_t *uids = NULL;
    size_t i;
    json_t *rec;
    json_array_foreach(js_at(chaos, "status.experiment.containerRecords"), i, rec)
    {
        if (!ac_streq(js_str(rec, "phase", ""), "Injected") ||
            !ac_streq(js_str(rec, "selectorKey", ""), key))
            continue;
        if (uids == NULL)
            uids = json_array();
        json_array_append(uids, json_object_get(rec, "podUID"));
    }
    return uids;
}

bool cl_chaos_pod_failure(const struct cl_store *s, const char *pod_uid)
{
    const json_t *o;
    for (size_t it = 0; (o = cl_store_next(s, CL_PODCHAOS, NULL, &it)) != NULL;) {
        if (!ac_streq(js_str(o, "spec.action", ""), "pod-failure"))
            continue;
        js_auto uids = injected(o, ".");
        if (has_string(uids, pod_uid))
            return true;
    }
    return false;
}

static double percent(const json_t *spec, const char *path)
{
    double v = 0;
    const char *s = js_str(spec, path, NULL);
    if (s == NULL)
        return (double)js_int(spec, path, 0) / 100;
    if (!ac_str_to_f64(s, &v) || !(v >= 0))
        return 0;
    return fmin(v, 100) / 100;
}

static void fault_of(const json_t *chaos, struct cl_net_fault *f)
{
    const json_t *spec = js_at(chaos, "spec");
    const char *direction = js_str(spec, "direction", "to");
    f->to = !ac_streq(direction, "from");
    f->from = !ac_streq(direction, "to");
    f->partition = ac_streq(js_str(spec, "action", ""), "partition");
    f->latency_ns = js_duration_ns(js_str(spec, "delay.latency", NULL), 0);
    f->jitter_ns = js_duration_ns(js_str(spec, "delay.jitter", NULL), 0);
    f->correlation = percent(spec, "delay.correlation");
    /* TCP drops what is corrupt, and does not see a duplicate. */
    f->loss = fmin(1, percent(spec, "loss.loss") + percent(spec, "corrupt.corrupt"));
}

size_t cl_chaos_net_faults(const struct cl_store *s, struct cl_net_fault *dst, size_t max)
{
    const json_t *o;
    size_t n = 0;
    for (size_t it = 0; n < max && (o = cl_store_next(s, CL_NETWORKCHAOS, NULL, &it)) != NULL;) {
        json_t *sources = injected(o, ".");
        if (sources == NULL)
            continue;
        dst[n] = (struct cl_net_fault){.sources = sources};
        if (js_at(o, "spec.target.selector") != NULL) {
            dst[n].targets = injected(o, ".Target");
            if (dst[n].targets == NULL)
                dst[n].targets = json_array();
        }
        fault_of(o, &dst[n++]);
    }
    return n;
}

void cl_net_fault_fini(struct cl_net_fault *f)
{
    json_decref(f->sources);
    json_decref(f->targets);
}
