#include "adapters/convert_pb.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

/* protobuf-c's texts are not const, but nothing writes to them. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

#define NEW(a, type, init)                                                                         \
    ({                                                                                             \
        type *new_ = ac_arena_alloc((a), sizeof(type));                                            \
        if (new_)                                                                                  \
            init(new_);                                                                            \
        new_;                                                                                      \
    })

static double seconds(int64_t from_ns, int64_t to_ns)
{
    return from_ns && to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

static Aceso__V1__Scores *scores(const struct lab_state *s, struct ac_arena *a)
{
    Aceso__V1__Scores *m = NEW(a, Aceso__V1__Scores, aceso__v1__scores__init);
    char **evidence = ac_arena_calloc(a, LAB_EVIDENCE_MAX, sizeof(*evidence));
    if (!m || !evidence)
        return NULL;
    m->detected = s->scores.detected;
    m->localised = s->scores.localised;
    m->mitigated = s->scores.mitigated;
    m->ttd_s = s->scores.ttd_s;
    m->ttl_s = s->scores.ttl_s;
    m->ttm_s = s->scores.ttm_s;
    m->rule = text(s->rule);
    m->reason = text(s->reason);
    m->root_cause = text(s->seen.root_cause);
    m->mitigation = text(s->mitigation);
    m->total_s = seconds(s->created_ns, s->ended_ns);
    m->evidence = evidence;
    for (int i = 0; i < s->n_evidence; i++)
        m->evidence[m->n_evidence++] = text(s->evidence[i]);
    return m;
}

/* What the agent must not know before it is over. */
static Aceso__V1__Truth *truth(const struct lab_problem *p, struct ac_arena *a)
{
    static const char *const kinds[] = {[LAB_FAULT_NONE] = "none",
                                        [LAB_FAULT_POD_FAILURE] = "pod_failure",
                                        [LAB_FAULT_NETWORK_DELAY] = "network_delay",
                                        [LAB_FAULT_SQL] = "sql",
                                        [LAB_FAULT_DELETE_POD] = "delete_pod"};
    Aceso__V1__Truth *m = NEW(a, Aceso__V1__Truth, aceso__v1__truth__init);
    char **components = ac_arena_calloc(a, LAB_ANSWERS_MAX, sizeof(*components));
    if (!m || !components)
        return NULL;
    m->components = components;
    for (int i = 0; i < p->n_answers; i++)
        m->components[m->n_components++] = text(p->answers[i]);
    m->kind = text(p->type);
    m->level = text(p->level);
    m->fault = text(p->n_faults ? kinds[p->faults[0].kind] : "none");
    return m;
}

Aceso__V1__Session *lab_session_to_pb(const struct lab_view *v, struct ac_arena *a)
{
    const struct lab_state *s = &v->s;
    unsigned task;
    const struct lab_problem *p =
        lab_problem_find(v->lab->problems, v->lab->n_problems, s->problem, &task);
    Aceso__V1__Session *m = NEW(a, Aceso__V1__Session, aceso__v1__session__init);
    Aceso__V1__Meta *meta = NEW(a, Aceso__V1__Meta, aceso__v1__meta__init);
    if (!m || !meta)
        return NULL;
    meta->id = text(s->id);
    meta->tenant = v->lab->svc->conf.tenant;
    meta->created_at_ns = s->created_ns;
    meta->source = text(v->lab->source);
    m->meta = meta;
    m->problem = text(s->problem);
    m->agent = text(s->agent);
    m->seed = s->seed;
    m->namespace_ = text(s->ns);
    m->phase = text(lab_phase_name(s->phase));
    m->error = text(s->error);
    m->void_run = s->void_run;
    m->started_ns = s->created_ns;
    m->injected_ns = s->seen.injected_ns;
    m->first_effect_ns = s->seen.first_effect_ns;
    m->ended_ns = s->ended_ns;
    m->setup_s = seconds(s->created_ns, s->load_running_ns);
    if (s->phase < LAB_PHASE_DONE)
        return m;
    m->scores = scores(s, a);
    m->truth = p ? truth(p, a) : NULL;
    return m->scores && (m->truth || !p) ? m : NULL;
}

Aceso__V1__SessionEvent *lab_event_to_pb(const struct lab_view *v, const struct lab_event *e,
                                         struct ac_arena *a)
{
    Aceso__V1__SessionEvent *m = NEW(a, Aceso__V1__SessionEvent, aceso__v1__session_event__init);
    if (!m)
        return NULL;
    m->sequence = e->sequence;
    m->time_ns = e->time_ns;
    m->phase = text(lab_phase_name(e->phase));
    m->kind = text(e->kind);
    m->text = text(e->text);
    if (ac_streq(e->kind, "phase") && !(m->session = lab_session_to_pb(v, a)))
        return NULL;
    return m;
}

Aceso__V1__Problem *lab_problem_to_pb(const struct lab_problem *p, enum lab_task task,
                                      struct ac_arena *a)
{
    Aceso__V1__Problem *m = NEW(a, Aceso__V1__Problem, aceso__v1__problem__init);
    char **tasks = ac_arena_calloc(a, 1, sizeof(*tasks));
    char *id = ac_arena_printf(a, "%s-%s-%d", p->stem, lab_task_name(task), p->number);
    if (!m || !tasks || !id)
        return NULL;
    tasks[0] = text(lab_task_name(task));
    m->id = id;
    m->stem = text(p->stem);
    m->application = text(p->application);
    m->tasks = tasks;
    m->n_tasks = 1;
    m->summary = text(p->summary);
    m->number = (uint32_t)p->number;
    return m;
}
