#include "responder.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/map.h>
#include <aceso/str.h>

#define KEEP_RESOLVED_NS                                                                           \
    (3600 * AC_NS_PER_S) /* redelivered alerts find their incident this long                       \
                          */

struct ac_responder {
    struct ac_responder_config c;
    struct ac_responder_ports p;
    struct ac_incident **incidents; /* oldest first */
    size_t n, cap;
    struct ac_map *policies; /* namespace -> struct ac_policy */
};

struct ac_responder_config ac_responder_config_default(void)
{
    return (struct ac_responder_config){
        .settle_ns = 4 * AC_NS_PER_S,
        .retry_ns = 3 * AC_NS_PER_S,
        .diagnose_limit_ns = 20 * AC_NS_PER_S,
        .verify_ns = 40 * AC_NS_PER_S,
        .action_limit_ns = 60 * AC_NS_PER_S,
        .reopen_ns = 15 * AC_NS_PER_S,
        .max_diagnoses = 6,
    };
}

struct ac_responder *ac_responder_create(const struct ac_responder_config *c,
                                         const struct ac_responder_ports *p)
{
    struct ac_responder *r = ac_xcalloc(1, sizeof(*r));
    r->c = *c;
    r->p = *p;
    r->policies = ac_map_create(free);
    return r;
}

void ac_responder_destroy(struct ac_responder *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        ac_incident_destroy(r->incidents[i]);
    free(r->incidents);
    ac_map_destroy(r->policies);
    free(r);
}

/* Which state may follow which. */
static const bool may_follow[AC_INC_NSTATES][AC_INC_NSTATES] = {
    [AC_INC_OPEN] = {[AC_INC_DIAGNOSING] = true, [AC_INC_RESOLVED] = true},
    [AC_INC_DIAGNOSING] = {[AC_INC_OPEN] = true,
                           [AC_INC_DIAGNOSING] = true,
                           [AC_INC_MITIGATING] = true,
                           [AC_INC_RESOLVED] = true,
                           [AC_INC_NEEDS_HUMAN] = true},
    [AC_INC_MITIGATING] = {[AC_INC_VERIFYING] = true, [AC_INC_DIAGNOSING] = true},
    [AC_INC_VERIFYING] = {[AC_INC_RESOLVED] = true, [AC_INC_DIAGNOSING] = true},
    [AC_INC_RESOLVED] = {[AC_INC_VERIFYING] = true},
    [AC_INC_NEEDS_HUMAN] = {[AC_INC_RESOLVED] = true, [AC_INC_DIAGNOSING] = true},
};

static void enter(struct ac_incident *i, enum ac_inc_state to, int64_t wake_ns)
{
    AC_ASSERT(may_follow[i->state][to]);
    i->state = to;
    i->wake_ns = wake_ns;
}

static void AC_PRINTF(2, 3) summarise(struct ac_incident *i, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ac_inc_set_str(&i->summary, text);
}

static void store(struct ac_responder *r, struct ac_incident *i)
{
    i->revision++;
    r->p.store(r->p.self, i);
}

static struct ac_incident *find(const struct ac_responder *r, const char *id)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->incidents[i]->id, id) == 0)
            return r->incidents[i];
    return NULL;
}

static void append(struct ac_responder *r, struct ac_incident *inc)
{
    ac_grow(&r->incidents, &r->cap, r->n + 1, sizeof(r->incidents[0]));
    r->incidents[r->n++] = inc;
}

static struct ac_incident *with_alert(const struct ac_responder *r, const char *alert_id)
{
    for (size_t i = r->n; i > 0; i--)
        if (ac_incident_find_alert(r->incidents[i - 1], alert_id) >= 0)
            return r->incidents[i - 1];
    return NULL;
}

/* The namespace's incident that a new alert belongs to: the unresolved one, or one that was
 * resolved a moment ago. */
static struct ac_incident *home_of(const struct ac_responder *r, int64_t now_ns, const char *ns)
{
    for (size_t i = r->n; i > 0; i--) {
        struct ac_incident *inc = r->incidents[i - 1];
        if (strcmp(inc->namespace_, ns) != 0)
            continue;
        if (inc->state != AC_INC_RESOLVED || now_ns - inc->resolved_ns <= r->c.reopen_ns)
            return inc;
    }
    return NULL;
}

int64_t ac_incident_symptom_start(const struct ac_incident *i)
{
    int64_t t = INT64_MAX;
    for (size_t k = 0; k < i->nalerts; k++)
        if (i->alerts[k].open && i->alerts[k].started_ns < t)
            t = i->alerts[k].started_ns;
    return t == INT64_MAX ? i->started_ns : t;
}

static void resolve(struct ac_incident *i, int64_t now_ns)
{
    const struct ac_inc_action *last = NULL;
    for (size_t k = 0; k < i->nactions; k++)
        if (i->actions[k].state == AC_ACTION_DONE)
            last = &i->actions[k];
    enter(i, AC_INC_RESOLVED, 0);
    i->resolved_ns = now_ns;
    if (last)
        summarise(i, "resolved: %s of %s (%s); the alerts cleared %.1f s later",
                  ac_act_kind_name(last->kind), last->target, last->component,
                  (double)(now_ns - i->mitigated_ns) / 1e9);
    else
        summarise(i, "resolved: the alerts cleared without an action");
}

static void ask(struct ac_responder *r, int64_t now_ns, struct ac_incident *i)
{
    enter(i, AC_INC_DIAGNOSING, now_ns + r->c.diagnose_limit_ns);
    i->diagnoses++;
    store(r, i);
    r->p.diagnose(r->p.self, i);
}

/* After any change of alerts: the end of the incident, or its return. */
static void settle_alerts(struct ac_incident *i, int64_t now_ns, int64_t verify_ns)
{
    if (ac_incident_open_alerts(i) == 0) {
        if (i->state != AC_INC_RESOLVED && i->state != AC_INC_MITIGATING)
            resolve(i, now_ns);
    } else if (i->state == AC_INC_RESOLVED) {
        enter(i, AC_INC_VERIFYING, now_ns + verify_ns);
        i->resolved_ns = 0;
        i->diagnoses = 0;
        summarise(i, "an alert came back");
    }
}

static bool take_alert(struct ac_incident *i, const struct ac_alert_in *in)
{
    int at = ac_incident_find_alert(i, in->id);
    if (at >= 0 && i->alerts[at].sequence >= in->sequence)
        return false;
    struct ac_inc_alert *a = at >= 0 ? &i->alerts[at] : ac_incident_add_alert(i, in->id);
    a->sequence = in->sequence;
    a->open = in->open;
    a->started_ns = in->started_ns;
    a->ended_ns = in->ended_ns;
    ac_inc_set_str(&a->component, in->component);
    free(a->blob);
    a->blob = NULL;
    a->blob_len = 0;
    if (in->blob_len > 0) {
        a->blob = ac_xmalloc(in->blob_len);
        memcpy(a->blob, in->blob, in->blob_len);
        a->blob_len = in->blob_len;
    }
    if (in->started_ns < i->started_ns)
        i->started_ns = in->started_ns;
    return true;
}

static void forget_old(struct ac_responder *r, int64_t now_ns)
{
    size_t out = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct ac_incident *inc = r->incidents[i];
        if (inc->state == AC_INC_RESOLVED && now_ns - inc->resolved_ns > KEEP_RESOLVED_NS)
            ac_incident_destroy(inc);
        else
            r->incidents[out++] = inc;
    }
    r->n = out;
}

const struct ac_incident *ac_responder_alert(struct ac_responder *r, int64_t now_ns,
                                             const struct ac_alert_in *a)
{
    struct ac_incident *i = with_alert(r, a->id);
    if (!i && !a->open)
        return NULL;
    if (!i)
        i = home_of(r, now_ns, a->namespace_);
    if (!i) {
        char id[27];
        forget_old(r, now_ns);
        r->p.new_id(r->p.self, id);
        i = ac_incident_create(id, a->namespace_);
        i->created_ns = i->detected_ns = now_ns;
        i->started_ns = a->started_ns;
        i->state = AC_INC_OPEN;
        i->wake_ns = now_ns + r->c.settle_ns;
        summarise(i, "alert on %s", a->component);
        append(r, i);
    }
    if (!take_alert(i, a))
        return NULL;
    settle_alerts(i, now_ns, r->c.verify_ns);
    store(r, i);
    return i;
}

const struct ac_inc_alert *ac_responder_find_alert(const struct ac_responder *r,
                                                   const char *alert_id)
{
    const struct ac_incident *i = with_alert(r, alert_id);
    return i ? &i->alerts[ac_incident_find_alert(i, alert_id)] : NULL;
}

/* ---- diagnosis and plan ---- */

static void record(struct ac_responder *r, struct ac_incident *i, int64_t now_ns,
                   const struct ac_option *o, enum ac_act_state state)
{
    char id[27];
    r->p.new_id(r->p.self, id);
    struct ac_inc_action *a = ac_incident_add_action(i, id);
    a->time_ns = now_ns;
    a->kind = o->kind;
    a->state = state;
    ac_inc_set_str(&a->target, o->target);
    ac_inc_set_str(&a->pin, o->pin);
    ac_inc_set_str(&a->component, o->component);
    ac_inc_set_str(&a->reason, o->reason);
    ac_inc_set_str(&a->detail, o->refusal);
}

/* Each consideration goes into the trail once, not at every attempt. */
static bool recorded(const struct ac_incident *i, const struct ac_option *o, enum ac_act_state s)
{
    for (size_t k = 0; k < i->nactions; k++)
        if (i->actions[k].kind == o->kind && i->actions[k].state == s &&
            ac_streq(i->actions[k].target, o->target))
            return true;
    return false;
}

static void give_up(struct ac_responder *r, struct ac_incident *i, const char *why)
{
    enter(i, AC_INC_NEEDS_HUMAN, 0);
    summarise(i, "needs a human: %s", why);
    store(r, i);
}

static void act(struct ac_responder *r, int64_t now_ns, struct ac_incident *i,
                const struct ac_cluster_state *cluster)
{
    struct ac_plan plan;
    const struct ac_policy *policy = ac_map_get(r->policies, i->namespace_);
    ac_plan_make(i, cluster, policy, now_ns, &plan);
    for (size_t k = 0; k < plan.n; k++) {
        struct ac_option *o = &plan.options[k];
        bool dry = ac_str_starts(o->refusal, "dry run");
        enum ac_act_state s = dry             ? AC_ACTION_DRY_RUN
                              : o->refusal[0] ? AC_ACTION_REFUSED
                                              : AC_ACTION_CONSIDERED;
        if ((int)k != plan.chosen && !recorded(i, o, s))
            record(r, i, now_ns, o, s);
    }
    if (plan.chosen < 0) {
        give_up(r, i,
                plan.n == 0 ? "no repair is left that has not been tried"
                            : plan.options[0].refusal);
        return;
    }
    record(r, i, now_ns, &plan.options[plan.chosen], AC_ACTION_INTENDED);
    enter(i, AC_INC_MITIGATING, now_ns + r->c.action_limit_ns);
    const struct ac_inc_action *a = &i->actions[i->nactions - 1];
    summarise(i, "%s: %s of %s", a->component, ac_act_kind_name(a->kind), a->target);
    store(r, i);
    r->p.run(r->p.self, i, a);
}

/* Also one that is not sure enough to act on: people see it. */
static void take_diagnosis(struct ac_incident *i, const struct ac_diagnosed_in *d)
{
    ac_incident_set_causes(i, d->causes, d->ncauses);
    if (d->blob_len == 0)
        return;
    free(i->diagnosis);
    i->diagnosis = ac_xmalloc(d->blob_len);
    memcpy(i->diagnosis, d->blob, d->blob_len);
    i->diagnosis_len = d->blob_len;
}

void ac_responder_diagnosed(struct ac_responder *r, int64_t now_ns, const char *incident_id,
                            const struct ac_diagnosed_in *d)
{
    struct ac_incident *i = find(r, incident_id);
    if (!i || i->state != AC_INC_DIAGNOSING)
        return;
    if (d->ncauses > 0)
        take_diagnosis(i, d);
    if (!d->ok) {
        if (i->diagnoses >= r->c.max_diagnoses) {
            give_up(r, i, d->problem && *d->problem ? d->problem : "no cause was found");
            return;
        }
        enter(i, AC_INC_OPEN, now_ns + r->c.retry_ns);
        summarise(i, "asking again: %s", d->problem ? d->problem : "no cause was found");
        store(r, i);
        return;
    }
    if (i->diagnosed_ns == 0)
        i->diagnosed_ns = now_ns;
    i->diagnoses = 0;
    act(r, now_ns, i, d->cluster);
}

void ac_responder_action_done(struct ac_responder *r, int64_t now_ns, const char *incident_id,
                              const char *action_id, bool ok, const char *detail)
{
    struct ac_incident *i = find(r, incident_id);
    struct ac_inc_action *a = i ? ac_incident_running(i) : NULL;
    if (!a || i->state != AC_INC_MITIGATING || strcmp(a->id, action_id) != 0)
        return;
    a->state = ok ? AC_ACTION_DONE : AC_ACTION_FAILED;
    ac_inc_set_str(&a->detail, detail);
    if (!ok) {
        summarise(i, "%s of %s failed: %s", ac_act_kind_name(a->kind), a->target, detail);
        ask(r, now_ns, i);
        return;
    }
    i->mitigated_ns = now_ns;
    enter(i, AC_INC_VERIFYING, now_ns + r->c.verify_ns);
    summarise(i, "%s of %s is done; waiting for the alerts to clear", ac_act_kind_name(a->kind),
              a->target);
    if (ac_incident_open_alerts(i) == 0)
        resolve(i, now_ns);
    store(r, i);
}

/* ---- time ---- */

static void wake(struct ac_responder *r, int64_t now_ns, struct ac_incident *i)
{
    switch (i->state) {
    case AC_INC_OPEN:
        ask(r, now_ns, i);
        break;
    case AC_INC_DIAGNOSING:
        if (i->diagnoses >= r->c.max_diagnoses)
            give_up(r, i, "the diagnosis does not answer");
        else
            ask(r, now_ns, i);
        break;
    case AC_INC_MITIGATING: {
        struct ac_inc_action *a = ac_incident_running(i);
        i->wake_ns = now_ns + r->c.action_limit_ns;
        if (a)
            r->p.run(r->p.self, i, a);
        break;
    }
    case AC_INC_VERIFYING:
        summarise(i, "the alerts did not clear in time; looking again");
        ask(r, now_ns, i);
        break;
    default:
        i->wake_ns = 0;
        break;
    }
}

void ac_responder_tick(struct ac_responder *r, int64_t now_ns)
{
    for (size_t k = 0; k < r->n; k++) {
        struct ac_incident *i = r->incidents[k];
        if (i->wake_ns > 0 && i->wake_ns <= now_ns)
            wake(r, now_ns, i);
    }
}

int64_t ac_responder_next_wake(const struct ac_responder *r)
{
    int64_t t = INT64_MAX;
    for (size_t k = 0; k < r->n; k++)
        if (r->incidents[k]->wake_ns > 0 && r->incidents[k]->wake_ns < t)
            t = r->incidents[k]->wake_ns;
    return t;
}

/* ---- policy, restart ---- */

void ac_responder_set_policy(struct ac_responder *r, int64_t now_ns, const char *ns,
                             const struct ac_policy *p)
{
    struct ac_policy *copy = ac_xmalloc(sizeof(*copy));
    *copy = *p;
    ac_map_set(r->policies, ns, copy);
    if (!p->act)
        return;
    for (size_t k = 0; k < r->n; k++) {
        struct ac_incident *i = r->incidents[k];
        if (i->state == AC_INC_NEEDS_HUMAN && strcmp(i->namespace_, ns) == 0) {
            i->diagnoses = 0;
            ask(r, now_ns, i);
        }
    }
}

const struct ac_policy *ac_responder_policy(const struct ac_responder *r, const char *ns)
{
    return ac_map_get(r->policies, ns);
}

void ac_responder_load(struct ac_responder *r, struct ac_incident *inc)
{
    if (find(r, inc->id))
        ac_incident_destroy(inc); /* the load was tried again */
    else
        append(r, inc);
}

void ac_responder_resume(struct ac_responder *r, int64_t now_ns)
{
    for (size_t k = 0; k < r->n; k++) {
        struct ac_incident *i = r->incidents[k];
        struct ac_inc_action *a = ac_incident_running(i);
        if (i->state == AC_INC_DIAGNOSING) {
            i->wake_ns = now_ns + r->c.diagnose_limit_ns;
            r->p.diagnose(r->p.self, i);
        } else if (i->state == AC_INC_MITIGATING && a) {
            i->wake_ns = now_ns + r->c.action_limit_ns;
            r->p.run(r->p.self, i, a);
        } else if (i->state == AC_INC_MITIGATING) {
            ask(r, now_ns, i);
        }
    }
}

const struct ac_incident *ac_responder_find(const struct ac_responder *r, const char *id)
{
    return find(r, id);
}

const struct ac_incident *ac_responder_at(const struct ac_responder *r, size_t i)
{
    return i < r->n ? r->incidents[i] : NULL;
}
