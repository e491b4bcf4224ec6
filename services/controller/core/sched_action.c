/* Actions from being made to their results. */
#include "sched_int.h"

#include <string.h>

struct action *sched_action_new(struct sched *s, enum policy_action_kind kind, uint32_t device,
                                uint32_t model)
{
    AC_ASSERT(s->free_action != NIL);
    uint32_t at = s->free_action;
    struct action *a = &s->actions[at];
    s->free_action = a->next_free;
    a->id = ++s->serial << SCHED_ACTION_BITS | at;
    a->kind = kind;
    a->device = device;
    a->model = model;
    a->n = 0;
    a->batch = 0;
    a->live = true;
    a->blocks = false;
    a->overlaps = false;
    a->weights_at = 0;
    a->twin = NIL;
    return a;
}

void sched_action_free(struct sched *s, struct action *a)
{
    a->live = false;
    a->next_free = s->free_action;
    s->free_action = (uint32_t)(a - s->actions);
}

void sched_action_send(struct sched *s, struct action *a, int64_t earliest, int64_t latest)
{
    uint64_t cookies[POLICY_MAX_BATCH];
    for (uint32_t i = 0; i < a->n; i++)
        cookies[i] = s->requests[a->requests[i]].cookie;
    struct policy_action out = {.id = a->id,
                                .kind = a->kind,
                                .device = a->device,
                                .model = sched_model_number(s, a->model),
                                .earliest_ns = earliest,
                                .latest_ns = latest,
                                .expected_ns = a->expected,
                                .batch = policy_batch_size[a->batch],
                                .n = a->n,
                                .cookies = cookies};
    s->ports.act(s->ports.self, &out);
}

static void list_take(uint32_t *list, uint32_t *n, uint32_t at)
{
    uint32_t i = 0;
    while (i < *n && list[i] != at)
        i++;
    AC_ASSERT(i < *n);
    memmove(list + i, list + i + 1, (*n - i - 1) * sizeof(*list));
    (*n)--;
}

static void infer_result(struct sched *s, int64_t now, struct action *a,
                         const struct policy_result *r)
{
    struct device *d = &s->devices[a->device];
    struct model *m = &s->models[a->model];
    list_take(d->infers, &d->n_infers, (uint32_t)(a - s->actions));
    const struct action *first = &s->actions[d->infers[0]]; /* if there is one */
    d->first_end = first->begin_estimate + first->expected;
    d->first_expected = first->expected;
    d->heard_end = r->status == POLICY_DONE ? r->end_ns : now - sched_device_net(s, d);
    sched_silent_heard(s, d);
    d->outstanding -= a->expected;
    s->cells[d->cell].outstanding -= a->expected;
    sched_guard_over(&s->cells[d->cell], d, a);
    m->inflight--;
    int64_t end = r->status == POLICY_DONE ? r->end_ns : now - sched_device_net(s, d);
    d->free_at = d->n_infers
                     ? AC_MAX(end, AC_MAX(d->last_sent + sched_device_net(s, d), d->inputs_end)) +
                           d->outstanding
                     : end;
    sched_twin_over(s, a, r->status == POLICY_DONE);
    uint32_t model = a->model, n = a->n;
    /* What came too late may be in time elsewhere; so may what failed with its load, whose result
     * may be on its way. */
    bool no_weights = r->status == POLICY_FAILED && a->overlaps && !(m->loaded >> d->bit & 1);
    bool again = r->status == POLICY_TOO_LATE || no_weights;
    if (no_weights)
        m->eta_bit = SCHED_CELL_DEVICES;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t req = a->requests[i];
        if (req == NIL)
            continue;
        if (again) {
            sched_queue_insert(s, req);
            continue;
        }
        struct policy_reply out = {
            .outcome = r->status == POLICY_FAILED   ? POLICY_ERROR
                       : now > s->requests[req].due ? POLICY_LATE
                                                    : POLICY_ON_TIME,
            .action = a->id,
            .slot = i,
        };
        sched_request_answer(s, now, req, &out);
    }
    if (r->status == POLICY_DONE && s->cfg.learn)
        sched_learn(s, now, a, r);
    uint32_t device = a->device;
    sched_action_free(s, a);
    if (again) {
        sched_queue_expire(s, now, model);
        if (m->queued && !m->loaded && !m->loading)
            sched_cold_add(s, model, false);
    }
    sched_pick(s, now, device);
}

static void load_result(struct sched *s, int64_t now, struct action *a,
                        const struct policy_result *r)
{
    struct device *d = &s->devices[a->device];
    struct model *m = &s->models[a->model];
    uint64_t bit = 1ull << d->bit;
    uint32_t model = a->model, device = a->device;
    list_take(d->loads, &d->n_loads, (uint32_t)(a - s->actions));
    m->loading &= ~bit;
    int64_t end = r->status == POLICY_DONE ? r->end_ns : now - sched_device_net(s, d);
    d->heard_load_end = end;
    sched_silent_heard(s, d);
    if (d->n_loads == 0)
        d->pipe_free = AC_MIN(d->pipe_free, end);
    if (r->status == POLICY_DONE) {
        m->loaded |= bit;
        m->load_failures = 0;
        sched_overlap_loaded(s, d, model, r->end_ns);
        if (s->cfg.learn)
            sched_learn(s, now, a, r);
    } else {
        for (uint32_t i = 0; i < d->n_resident; i++)
            if (d->resident[i] == model) {
                sched_resident_remove(s, device, i);
                break;
            }
        /* A device that cannot load a model is not asked again until it reports it anew. */
        if (r->status == POLICY_FAILED && ++m->load_failures >= SCHED_LOAD_TRIES)
            m->able &= ~bit;
    }
    sched_action_free(s, a);
    sched_queue_expire(s, now, model);
    if (m->queued && !m->loaded && !m->loading)
        sched_cold_add(s, model, false);
    if (m->loaded & bit)
        sched_pick(s, now, device);
}

void sched_result(struct sched *s, int64_t now, const struct policy_result *r)
{
    s->now = now;
    uint32_t at = (uint32_t)(r->id & ((1u << SCHED_ACTION_BITS) - 1));
    if (at >= s->n_actions)
        return;
    struct action *a = &s->actions[at];
    /* Results of work that was given up with its device are stale: the id has moved on. */
    if (!a->live || a->id != r->id)
        return;
    uint32_t cell = s->devices[a->device].cell;
    if (a->kind == POLICY_INFER)
        infer_result(s, now, a, r);
    else
        load_result(s, now, a, r);
    if (now >= s->cells[cell].watch_at)
        sched_silent_look(s, now, cell);
    if (s->cells[cell].n_cold)
        sched_loads_run(s, now, cell);
}
