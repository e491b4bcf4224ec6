#include "adapters/convert_pb.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#define MAX_CAUSES 10

/* protobuf-c wants char * although it never writes. */
static char *str(struct ac_arena *a, const char *s)
{
    char *d = ac_arena_strdup(a, s ? s : "");
    return d ? d : (char *)(uintptr_t) "";
}

static void put_alerts(const struct ac_incident *i, Aceso__V1__Incident *m, struct ac_arena *a)
{
    m->alerts = ac_arena_calloc(a, i->nalerts + 1, sizeof(*m->alerts));
    for (size_t k = 0; m->alerts && k < i->nalerts; k++) {
        Aceso__V1__Alert *x = NULL;
        const struct ac_inc_alert *in = &i->alerts[k];
        if (in->blob_len == 0 ||
            AC_PB_UNPACK(aceso__v1__alert, in->blob, in->blob_len, a, &x, NULL) != 0) {
            x = ac_arena_alloc(a, sizeof(*x));
            if (!x)
                return;
            aceso__v1__alert__init(x);
            x->namespace_ = str(a, i->namespace_);
            x->started_ns = in->started_ns;
        }
        if (!x->meta) {
            x->meta = ac_arena_alloc(a, sizeof(*x->meta));
            if (!x->meta)
                return;
            aceso__v1__meta__init(x->meta);
            x->meta->id = str(a, in->id);
        }
        x->sequence = in->sequence;
        m->alerts[m->n_alerts++] = x;
    }
}

static void put_actions(const struct ac_incident *i, Aceso__V1__Incident *m, struct ac_arena *a)
{
    m->actions = ac_arena_calloc(a, i->nactions + 1, sizeof(*m->actions));
    for (size_t k = 0; m->actions && k < i->nactions; k++) {
        const struct ac_inc_action *in = &i->actions[k];
        Aceso__V1__MitigationAction *x = ac_arena_alloc(a, sizeof(*x));
        if (!x)
            return;
        aceso__v1__mitigation_action__init(x);
        x->id = str(a, in->id);
        x->time_ns = in->time_ns;
        x->kind = str(a, ac_act_kind_name(in->kind));
        x->state = str(a, ac_act_state_name(in->state));
        x->target = str(a, in->target);
        x->component = str(a, in->component);
        x->reason = str(a, in->reason);
        x->detail = str(a, in->detail);
        x->pin = str(a, in->pin);
        m->actions[m->n_actions++] = x;
    }
}

Aceso__V1__Incident *resp_incident_to_pb(const struct ac_incident *i, const char *tenant,
                                         const char *source, struct ac_arena *a)
{
    Aceso__V1__Incident *m = ac_arena_alloc(a, sizeof(*m));
    Aceso__V1__Meta *meta = ac_arena_alloc(a, sizeof(*meta));
    if (!m || !meta)
        return NULL;
    aceso__v1__incident__init(m);
    aceso__v1__meta__init(meta);
    meta->id = str(a, i->id);
    meta->tenant = str(a, tenant);
    meta->created_at_ns = i->created_ns;
    meta->source = str(a, source);
    m->meta = meta;
    m->namespace_ = str(a, i->namespace_);
    m->revision = i->revision;
    m->state = str(a, ac_inc_state_name(i->state));
    m->started_ns = i->started_ns;
    m->detected_ns = i->detected_ns;
    m->diagnosed_ns = i->diagnosed_ns;
    m->mitigated_ns = i->mitigated_ns;
    m->resolved_ns = i->resolved_ns;
    m->summary = str(a, i->summary);
    put_alerts(i, m, a);
    put_actions(i, m, a);
    if (i->diagnosis_len > 0 && AC_PB_UNPACK(aceso__v1__diagnosis, i->diagnosis, i->diagnosis_len,
                                             a, &m->diagnosis, NULL) != 0)
        m->diagnosis = NULL;
    return ac_arena_failed(a) ? NULL : m;
}

size_t resp_causes_from_pb(const Aceso__V1__Diagnosis *d, struct ac_inc_cause *ret, size_t max)
{
    size_t n = 0;
    for (size_t k = 0; k < d->n_root_causes && n < max; k++) {
        const Aceso__V1__RootCause *c = d->root_causes[k];
        if (ac_str_empty(c->component))
            continue;
        ret[n++] = (struct ac_inc_cause){.component = c->component,
                                         .fault = c->kind,
                                         .score = c->score,
                                         .confidence = c->confidence,
                                         .text = c->text};
    }
    return n;
}

int resp_alert_from_pb(const Aceso__V1__Alert *m, const void *raw, size_t raw_len,
                       struct ac_alert_in *ret, struct ac_err *err)
{
    if (!m->meta || ac_str_empty(m->meta->id) || strlen(m->meta->id) > 128)
        return ac_err_set(err, AC_EINVAL, "alert without an id");
    if (ac_str_empty(m->namespace_) || strlen(m->namespace_) > 253)
        return ac_err_set(err, AC_EINVAL, "alert %.64s without a namespace", m->meta->id);
    *ret = (struct ac_alert_in){
        .id = m->meta->id,
        .namespace_ = m->namespace_,
        .component = m->series ? m->series->component : "",
        .sequence = m->sequence,
        .open = !ac_streq(m->state, "closed"),
        .started_ns = m->started_ns,
        .ended_ns = m->ended_ns,
        .blob = raw,
        .blob_len = raw_len,
    };
    return 0;
}

static void take_alerts(const Aceso__V1__Incident *m, struct ac_incident *i)
{
    for (size_t k = 0; k < m->n_alerts; k++) {
        const Aceso__V1__Alert *x = m->alerts[k];
        if (!x->meta || ac_str_empty(x->meta->id))
            continue;
        struct ac_inc_alert *a = ac_incident_add_alert(i, x->meta->id);
        struct ac_buf b;
        a->sequence = x->sequence;
        a->open = !ac_streq(x->state, "closed");
        a->started_ns = x->started_ns;
        a->ended_ns = x->ended_ns;
        ac_inc_set_str(&a->component, x->series ? x->series->component : "");
        ac_buf_init(&b, 1u << 20);
        if (ac_pb_pack(&x->base, &b, NULL) == 0) {
            a->blob_len = b.len;
            a->blob = ac_buf_take(&b);
        }
        ac_buf_fini(&b);
    }
}

static void take_actions(const Aceso__V1__Incident *m, struct ac_incident *i)
{
    for (size_t k = 0; k < m->n_actions; k++) {
        const Aceso__V1__MitigationAction *x = m->actions[k];
        struct ac_inc_action *a = ac_incident_add_action(i, x->id);
        a->time_ns = x->time_ns;
        if (!ac_act_kind_parse(x->kind, &a->kind))
            a->kind = AC_ACT_NONE;
        if (!ac_act_state_parse(x->state, &a->state))
            a->state = AC_ACTION_FAILED;
        ac_inc_set_str(&a->target, x->target);
        ac_inc_set_str(&a->pin, x->pin);
        ac_inc_set_str(&a->component, x->component);
        ac_inc_set_str(&a->reason, x->reason);
        ac_inc_set_str(&a->detail, x->detail);
    }
}

struct ac_incident *resp_incident_from_pb(const Aceso__V1__Incident *m, int64_t wake_ns,
                                          unsigned diagnoses)
{
    struct ac_incident *i = ac_incident_create(m->meta ? m->meta->id : "", m->namespace_);
    struct ac_inc_cause causes[MAX_CAUSES];
    struct ac_buf b;
    i->created_ns = m->meta ? m->meta->created_at_ns : 0;
    i->revision = m->revision;
    if (!ac_inc_state_parse(m->state, &i->state))
        i->state = AC_INC_NEEDS_HUMAN;
    i->started_ns = m->started_ns;
    i->detected_ns = m->detected_ns;
    i->diagnosed_ns = m->diagnosed_ns;
    i->mitigated_ns = m->mitigated_ns;
    i->resolved_ns = m->resolved_ns;
    i->wake_ns = wake_ns;
    i->diagnoses = diagnoses;
    ac_inc_set_str(&i->summary, m->summary);
    take_alerts(m, i);
    take_actions(m, i);
    if (!m->diagnosis)
        return i;
    ac_incident_set_causes(i, causes, resp_causes_from_pb(m->diagnosis, causes, MAX_CAUSES));
    ac_buf_init(&b, 8u << 20);
    if (ac_pb_pack(&m->diagnosis->base, &b, NULL) == 0) {
        i->diagnosis_len = b.len;
        i->diagnosis = ac_buf_take(&b);
    }
    ac_buf_fini(&b);
    return i;
}

int resp_policy_from_pb(const Aceso__V1__MitigationPolicy *m, struct ac_policy *ret,
                        struct ac_err *err)
{
    struct ac_policy p = {.act = m->act,
                          .max_actions = m->max_actions,
                          .max_pods = m->max_pods,
                          .expires_ns = m->expires_ns};
    if (ac_str_empty(m->namespace_) || strlen(m->namespace_) > 253)
        return ac_err_set(err, AC_EINVAL, "namespace: a name of 1 to 253 characters is needed");
    if (p.max_actions > 100 || p.max_pods > 1000)
        return ac_err_set(err, AC_EINVAL, "max_actions: at most 100; max_pods: at most 1000");
    for (size_t i = 0; i < m->n_allow; i++) {
        enum ac_act_kind k;
        if (!ac_act_kind_parse(m->allow[i], &k) || k == AC_ACT_NONE)
            return ac_err_set(err, AC_EINVAL,
                              "allow: unknown action \"%.40s\"; known are replace_pod, "
                              "rollout_restart, scale, rollout_undo, restore",
                              m->allow[i]);
        p.allow |= 1u << k;
    }
    *ret = p;
    return 0;
}
