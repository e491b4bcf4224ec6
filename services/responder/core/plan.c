#include "plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define MAX_CAUSES        3
#define ROLLOUT_RECENT_NS (900 * AC_NS_PER_S)

void ac_cluster_state_fini(struct ac_cluster_state *s)
{
    for (size_t i = 0; i < s->npods; i++) {
        free(s->pods[i].name);
        free(s->pods[i].uid);
        free(s->pods[i].component);
        free(s->pods[i].phase);
        free(s->pods[i].reason);
    }
    for (size_t i = 0; i < s->ndeploys; i++) {
        free(s->deploys[i].name);
        free(s->deploys[i].component);
    }
    for (size_t i = 0; i < s->nrestores; i++) {
        free(s->restores[i].name);
        free(s->restores[i].component);
    }
    free(s->pods);
    free(s->deploys);
    free(s->restores);
    memset(s, 0, sizeof(*s));
}

struct list { /* options of one cause, in order of preference */
    struct ac_option o[8];
    size_t n;
};

static void AC_PRINTF(6, 7)
    offer(struct list *l, enum ac_act_kind kind, const char *component, const char *target_kind,
          const char *name, const char *reason, ...)
{
    if (l->n == AC_ARRAY_LEN(l->o))
        return;
    struct ac_option *o = &l->o[l->n];
    memset(o, 0, sizeof(*o));
    o->kind = kind;
    ac_str_copy(o->component, sizeof(o->component), component);
    if (snprintf(o->target, sizeof(o->target), "%s/%s", target_kind, name) >=
        (int)sizeof(o->target))
        return; /* a name that long is not a Kubernetes name */
    va_list ap;
    va_start(ap, reason);
    (void)vsnprintf(o->reason, sizeof(o->reason), reason, ap);
    va_end(ap);
    l->n++;
}

/* Pods of the component worth replacing, worst first: not ready, then the oldest. */
static const struct ac_pod_state *worst_pod(const struct ac_cluster_state *c,
                                            const struct ac_incident *inc, const char *component)
{
    const struct ac_pod_state *best = NULL;
    for (size_t i = 0; i < c->npods; i++) {
        const struct ac_pod_state *p = &c->pods[i];
        if (!ac_streq(p->component, component) || p->deleting || p->created_ns > inc->detected_ns)
            continue;
        if (!best || (best->ready && !p->ready) ||
            (best->ready == p->ready && p->created_ns < best->created_ns))
            best = p;
    }
    return best;
}

static const struct ac_deploy_state *deploy_of(const struct ac_cluster_state *c,
                                               const char *component)
{
    for (size_t i = 0; i < c->ndeploys; i++)
        if (ac_streq(c->deploys[i].component, component))
            return &c->deploys[i];
    return NULL;
}

static const struct ac_restore_state *restore_of(const struct ac_cluster_state *c,
                                                 const char *component)
{
    for (size_t i = 0; i < c->nrestores; i++)
        if (ac_streq(c->restores[i].component, component))
            return &c->restores[i];
    return NULL;
}

static const char *workload(const struct ac_deploy_state *d)
{
    return d->is_statefulset ? "statefulset" : "deployment";
}

static void offer_replace(struct list *l, const struct ac_incident *inc,
                          const struct ac_cluster_state *c, const struct ac_inc_cause *cause,
                          const struct ac_deploy_state *d)
{
    const struct ac_pod_state *pod = worst_pod(c, inc, cause->component);
    if (!pod || !d) /* a pod without an owner would not come back */
        return;
    size_t at = l->n;
    offer(l, AC_ACT_REPLACE_POD, cause->component, "pod", pod->name,
          "%s is the likely cause (%s); its pod is %s; a new one takes its place", cause->component,
          cause->fault, pod->ready ? "ready" : "not ready");
    if (l->n > at)
        ac_str_copy(l->o[at].pin, sizeof(l->o[at].pin), pod->uid);
}

static void offer_restart(struct list *l, const struct ac_inc_cause *cause,
                          const struct ac_deploy_state *d)
{
    if (d)
        offer(l, AC_ACT_ROLLOUT_RESTART, cause->component, workload(d), d->name,
              "%s is the likely cause (%s); all its pods are replaced one after another",
              cause->component, cause->fault);
}

static void offer_restore(struct list *l, const struct ac_cluster_state *c,
                          const struct ac_inc_cause *cause)
{
    const struct ac_restore_state *r = restore_of(c, cause->component);
    if (r)
        offer(l, AC_ACT_RESTORE, cause->component, "configmap", r->name,
              "%s %s; its declared grants and secrets are applied again", cause->component,
              ac_streq(cause->fault, "store_auth") ? "refuses its clients"
                                                   : "fails and declares how to restore it");
}

/* The rules, in order of how likely each undoes the fault without harm. */
static void options_of(const struct ac_incident *inc, const struct ac_cluster_state *c,
                       const struct ac_inc_cause *cause, int64_t now_ns, struct list *l)
{
    const struct ac_deploy_state *d = deploy_of(c, cause->component);
    l->n = 0;
    if (d && d->declared >= 0 && d->replicas < d->declared)
        offer(l, AC_ACT_SCALE, cause->component, workload(d), d->name,
              "%s runs %d replicas where %d are declared", cause->component, d->replicas,
              d->declared);
    size_t at = l->n;
    if (d && d->previous > 0 && d->changed_ns > 0 && d->changed_ns <= inc->started_ns &&
        inc->started_ns - d->changed_ns < ROLLOUT_RECENT_NS && now_ns > d->changed_ns)
        offer(l, AC_ACT_ROLLOUT_UNDO, cause->component, workload(d), d->name,
              "%s was rolled out to revision %d %lld s before the first alert", cause->component,
              d->revision, (long long)((inc->started_ns - d->changed_ns) / AC_NS_PER_S));
    if (l->n > at)
        (void)snprintf(l->o[at].pin, sizeof(l->o[at].pin), "%d", d->previous);
    bool denied = ac_streq(cause->fault, "store_auth");
    if (denied)
        offer_restore(l, c, cause);
    if (!(d && d->stateful) || ac_streq(cause->fault, "pod") || ac_streq(cause->fault, "network"))
        offer_replace(l, inc, c, cause, d);
    if (!denied)
        offer_restore(l, c, cause);
    if (d && !d->stateful)
        offer_restart(l, cause, d);
}

static bool tried(const struct ac_incident *inc, const struct ac_option *o)
{
    for (size_t i = 0; i < inc->nactions; i++) {
        const struct ac_inc_action *a = &inc->actions[i];
        bool same = o->kind == AC_ACT_REPLACE_POD ? ac_streq(a->target, o->target)
                                                  : ac_streq(a->component, o->component);
        if (a->kind == o->kind && same &&
            (a->state == AC_ACTION_DONE || a->state == AC_ACTION_FAILED ||
             a->state == AC_ACTION_INTENDED))
            return true;
    }
    return false;
}

static size_t pods_touched(const struct ac_incident *inc, const struct ac_cluster_state *c)
{
    size_t n = 0;
    for (size_t i = 0; i < inc->nactions; i++) {
        const struct ac_inc_action *a = &inc->actions[i];
        if (a->state != AC_ACTION_DONE && a->state != AC_ACTION_FAILED &&
            a->state != AC_ACTION_INTENDED)
            continue;
        const struct ac_deploy_state *d = deploy_of(c, a->component);
        n += a->kind == AC_ACT_REPLACE_POD ? 1
             : a->kind == AC_ACT_ROLLOUT_RESTART || a->kind == AC_ACT_ROLLOUT_UNDO
                 ? (d ? (size_t)AC_MAX(d->replicas, 0) : 1)
                 : 0;
    }
    return n;
}

static size_t pods_of_option(const struct ac_option *o, const struct ac_cluster_state *c)
{
    const struct ac_deploy_state *d = deploy_of(c, o->component);
    switch (o->kind) {
    case AC_ACT_REPLACE_POD:
        return 1;
    case AC_ACT_ROLLOUT_RESTART:
    case AC_ACT_ROLLOUT_UNDO:
        return d ? (size_t)AC_MAX(d->replicas, 0) : 1;
    default:
        return 0;
    }
}

static void judge(struct ac_option *o, const struct ac_incident *inc,
                  const struct ac_cluster_state *c, const struct ac_policy *p, int64_t now_ns)
{
    unsigned max_actions = p && p->max_actions ? p->max_actions : AC_POLICY_MAX_ACTIONS;
    unsigned max_pods = p && p->max_pods ? p->max_pods : AC_POLICY_MAX_PODS;
    o->refusal[0] = '\0';
    if (!p || !p->act)
        ac_str_copy(o->refusal, sizeof(o->refusal), "dry run: no policy permits acting here");
    else if (p->expires_ns > 0 && now_ns >= p->expires_ns)
        ac_str_copy(o->refusal, sizeof(o->refusal), "dry run: the policy has expired");
    else if (p->allow && !(p->allow & (1u << o->kind)))
        (void)snprintf(o->refusal, sizeof(o->refusal), "the policy does not allow %s",
                       ac_act_kind_name(o->kind));
    else if (ac_incident_acted(inc) >= max_actions)
        (void)snprintf(o->refusal, sizeof(o->refusal), "the cap of %u actions is reached",
                       max_actions);
    else if (pods_touched(inc, c) + pods_of_option(o, c) > max_pods)
        (void)snprintf(o->refusal, sizeof(o->refusal), "it would touch more than %u pods",
                       max_pods);
}

void ac_plan_make(const struct ac_incident *inc, const struct ac_cluster_state *cluster,
                  const struct ac_policy *policy, int64_t now_ns, struct ac_plan *ret)
{
    struct list lists[MAX_CAUSES];
    size_t ncauses = AC_MIN(inc->ncauses, (size_t)MAX_CAUSES);
    memset(ret, 0, sizeof(*ret));
    ret->chosen = -1;
    for (size_t i = 0; i < ncauses; i++)
        options_of(inc, cluster, &inc->causes[i], now_ns, &lists[i]);
    /* By diagonals: the best of the first cause, then its second beside the best of the second. */
    for (size_t sum = 0; sum < MAX_CAUSES + AC_ARRAY_LEN(lists[0].o); sum++) {
        for (size_t i = 0; i < ncauses && i <= sum; i++) {
            if (sum - i >= lists[i].n || ret->n == AC_PLAN_MAX || tried(inc, &lists[i].o[sum - i]))
                continue;
            struct ac_option *o = &ret->options[ret->n];
            *o = lists[i].o[sum - i];
            judge(o, inc, cluster, policy, now_ns);
            if (ret->chosen < 0 && !o->refusal[0])
                ret->chosen = (int)ret->n;
            ret->n++;
        }
    }
}
