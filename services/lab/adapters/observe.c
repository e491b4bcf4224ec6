/* What the users of the application see (the load's telemetry), and what the agent says and does
 * (the responder's incidents). */
#include "world.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/map.h>
#include <aceso/str.h>
#include <aceso/v1/incidents.pb-c.h>
#include <aceso/v1/telemetry.pb-c.h>

#define SECOND_OF(ns)  ((ns) / AC_NS_PER_S)
#define INCIDENTS_READ 50

static int query_load(struct lab_run *r, const char *metric, int64_t from_ns, int64_t to_ns,
                      ProtobufCMessage **ret, struct ac_err *err)
{
    Aceso__V1__QueryMetricsRequest q = ACESO__V1__QUERY_METRICS_REQUEST__INIT;
    Aceso__V1__SeriesSelector sel = ACESO__V1__SERIES_SELECTOR__INIT;
    Aceso__V1__TimeRange range = ACESO__V1__TIME_RANGE__INIT;
    sel.namespace_ = r->s.load_ns;
    sel.component = (char *)(uintptr_t) "load";
    sel.metric = (char *)(uintptr_t)metric;
    range.from_ns = from_ns;
    range.to_ns = to_ns;
    q.selector = &sel;
    q.range = &range;
    return lab_ask(r->lab->collector, "/aceso.v1.Telemetry/QueryMetrics", &q,
                   &aceso__v1__query_metrics_response__descriptor, ret, err);
}

static const char *label(const Aceso__V1__SeriesKey *key, const char *name)
{
    for (size_t i = 0; key && i < key->n_labels; i++) {
        if (ac_streq(key->labels[i]->key, name))
            return key->labels[i]->value;
    }
    return NULL;
}

/* The index of the class that a series is about; -1 when it is none of ours. */
static int class_of(struct lab_run *r, const Aceso__V1__SeriesKey *key)
{
    const char *name = label(key, "class");
    if (ac_str_empty(name))
        return -1;
    for (int i = 0; i < r->s.n_classes; i++) {
        if (ac_streq(r->s.classes[i], name))
            return i;
    }
    if (r->s.phase != LAB_PHASE_BASELINE || r->s.n_classes == LAB_CLASSES_MAX ||
        !ac_str_copy(r->s.classes[r->s.n_classes], LAB_CLASS_NAME, name))
        return -1;
    return r->s.n_classes++;
}

struct points {
    struct lab_point *p;
    size_t n, cap;
};

static struct lab_point *find_point(struct points *ps, int cls, int64_t t_ns)
{
    for (size_t i = 0; i < ps->n; i++) {
        if (ps->p[i].cls == cls && SECOND_OF(ps->p[i].time_ns) == SECOND_OF(t_ns))
            return &ps->p[i];
    }
    return NULL;
}

/* The rate comes every second; ratio and duration only where something finished. */
static void take_rate(struct points *ps, int cls, const Aceso__V1__SeriesPoints *s)
{
    for (size_t i = 0; i < s->n_time_ns && i < s->n_value; i++) {
        ac_grow(&ps->p, &ps->cap, ps->n + 1, sizeof(ps->p[0]));
        ps->p[ps->n++] = (struct lab_point){
            .time_ns = s->time_ns[i], .cls = cls, .requests = s->value[i], .p90_s = NAN};
    }
}

static void take_other(struct points *ps, int cls, bool ratio, const Aceso__V1__SeriesPoints *s)
{
    for (size_t i = 0; i < s->n_time_ns && i < s->n_value; i++) {
        struct lab_point *p = find_point(ps, cls, s->time_ns[i]);
        if (p && ratio)
            p->errors = s->value[i] * p->requests;
        else if (p)
            p->p90_s = s->value[i];
    }
}

int lab_load_points(struct lab_run *r, int64_t from_ns, int64_t to_ns, struct lab_point **ret,
                    size_t *ret_n, struct ac_err *err)
{
    static const char *const metrics[] = {"load.requests", "load.errors.ratio",
                                          "load.duration.p90"};
    struct points ps = {0};
    for (size_t m = 0; m < AC_ARRAY_LEN(metrics); m++) {
        ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
        int rc = query_load(r, metrics[m], from_ns, to_ns, &reply, err);
        if (rc != 0) {
            free(ps.p);
            return rc;
        }
        const Aceso__V1__QueryMetricsResponse *q = (const void *)reply;
        for (size_t i = 0; i < q->n_series; i++) {
            int cls = class_of(r, q->series[i]->key);
            if (cls >= 0 && m == 0)
                take_rate(&ps, cls, q->series[i]);
            else if (cls >= 0)
                take_other(&ps, cls, m == 1, q->series[i]);
        }
    }
    *ret = ps.p;
    *ret_n = ps.n;
    return 0;
}

int lab_set_policy(struct lab_run *r, bool act, struct ac_err *err)
{
    Aceso__V1__MitigationPolicy p = ACESO__V1__MITIGATION_POLICY__INIT;
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    p.namespace_ = r->s.ns;
    p.act = act;
    p.set_by = r->lab->source;
    return lab_ask(r->lab->responder, "/aceso.v1.Incidents/SetPolicy", &p,
                   &aceso__v1__mitigation_policy__descriptor, &reply, err);
}

/* ---- incidents ---- */

static void take_alert(struct lab_run *r, const Aceso__V1__Incident *inc, const Aceso__V1__Alert *a)
{
    /* A point is dated by the end of its second: what began in the second of the injection may be
     * older than the fault, and later ones are not. */
    if (a->started_ns < r->s.seen.injected_ns)
        return;
    int64_t arrived = inc->started_ns >= r->s.seen.injected_ns ? inc->detected_ns
                      : a->meta && a->meta->created_at_ns      ? a->meta->created_at_ns
                                                               : a->updated_ns;
    if (r->s.seen.alert_ns != 0 && r->s.seen.alert_ns <= arrived)
        return;
    bool first = r->s.seen.alert_ns == 0;
    r->s.seen.alert_ns = arrived;
    ac_str_copy(r->s.rule, sizeof(r->s.rule), a->rule);
    ac_str_copy(r->s.reason, sizeof(r->s.reason), a->reason);
    if (first)
        lab_note(r, "alert", "%s: %s", a->rule, a->reason);
}

static void take_diagnosis(struct lab_run *r, const Aceso__V1__Incident *inc)
{
    const Aceso__V1__Diagnosis *d = inc->diagnosis;
    if (!d || d->n_root_causes == 0 || inc->diagnosed_ns < r->s.seen.injected_ns)
        return;
    const Aceso__V1__RootCause *c = d->root_causes[0];
    if (ac_streq(r->s.seen.root_cause, c->component))
        return;
    /* Another answer than before counts from when it was given. */
    r->s.seen.diagnosed_ns =
        r->s.seen.root_cause[0] && d->meta ? d->meta->created_at_ns : inc->diagnosed_ns;
    ac_str_copy(r->s.seen.root_cause, sizeof(r->s.seen.root_cause), c->component);
    r->s.n_evidence = 0;
    for (size_t i = 0; i < c->n_evidence && r->s.n_evidence < LAB_EVIDENCE_MAX - 2; i++)
        ac_str_copy(r->s.evidence[r->s.n_evidence++], LAB_LONG_TEXT, c->evidence[i]->text);
    for (size_t i = 0; i < d->n_path && r->s.n_evidence < LAB_EVIDENCE_MAX; i++)
        snprintf(r->s.evidence[r->s.n_evidence++], LAB_LONG_TEXT, "%.60s -> %.60s: %.160s; %.160s",
                 d->path[i]->from, d->path[i]->to, d->path[i]->topology, d->path[i]->order);
    lab_note(r, "diagnosis", "%s (%s): %s", c->component, c->kind, c->text);
    for (int i = 0; i < r->s.n_evidence; i++)
        lab_note(r, "evidence", "%s", r->s.evidence[i]);
}

static void take_actions(struct lab_run *r, const Aceso__V1__Incident *inc)
{
    for (size_t i = 0; i < inc->n_actions; i++) {
        const Aceso__V1__MitigationAction *a = inc->actions[i];
        if (!ac_streq(a->state, "done") || a->time_ns < r->s.seen.injected_ns ||
            a->time_ns <= r->s.seen.mitigated_ns)
            continue;
        /* The oracle's window has not closed yet: what came before did not suffice. */
        r->s.seen.mitigated_ns = a->time_ns;
        snprintf(r->s.mitigation, sizeof(r->s.mitigation), "%.32s of %.120s: %.200s", a->kind,
                 a->target, a->detail);
        lab_note(r, "action", "%s of %s: %s", a->kind, a->target, a->detail);
    }
}

static int list_incidents(struct lab_run *r, ProtobufCMessage **ret, struct ac_err *err)
{
    Aceso__V1__ListIncidentsRequest q = ACESO__V1__LIST_INCIDENTS_REQUEST__INIT;
    q.namespace_ = r->s.ns;
    q.limit = INCIDENTS_READ;
    return lab_ask(r->lab->responder, "/aceso.v1.Incidents/List", &q,
                   &aceso__v1__list_incidents_response__descriptor, ret, err);
}

int lab_note_false_alarms(struct lab_run *r, struct ac_err *err)
{
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    int rc = list_incidents(r, &reply, err);
    if (rc != 0)
        return rc;
    const Aceso__V1__ListIncidentsResponse *l = (const void *)reply;
    for (size_t i = 0; i < l->n_incidents; i++) {
        const Aceso__V1__Incident *inc = l->incidents[i];
        const Aceso__V1__Alert *a = inc->n_alerts ? inc->alerts[0] : NULL;
        lab_note(r, "false alarm", "before the fault: %s: %s", a ? a->rule : "incident",
                 a ? a->reason : inc->summary);
    }
    return 0;
}

int lab_observe_agent(struct lab_run *r, struct ac_err *err)
{
    ac_cleanup(lab_message_p) ProtobufCMessage *reply = NULL;
    int rc = list_incidents(r, &reply, err);
    if (rc != 0)
        return rc;
    const Aceso__V1__ListIncidentsResponse *l = (const void *)reply;
    for (size_t i = l->n_incidents; i-- > 0;) { /* oldest first */
        const Aceso__V1__Incident *inc = l->incidents[i];
        for (size_t k = 0; k < inc->n_alerts; k++)
            take_alert(r, inc, inc->alerts[k]);
        take_diagnosis(r, inc);
        take_actions(r, inc);
    }
    return 0;
}
