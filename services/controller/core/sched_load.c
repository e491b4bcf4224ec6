/* What is brought into device memory, where, and what has to leave for it. */
#include "sched_int.h"

#include <math.h>

#define COLD_LOST    10 /* a load that comes too late for its request is that much worse than one */
#define VICTIM_LOOKS 16u
#define HAND_AHEAD   4 /* models that the clock hand has on their way from memory */

void sched_resident_remove(struct sched *s, uint32_t device, uint32_t at)
{
    struct device *d = &s->devices[device];
    d->pages_free += sched_plan(s, &s->models[d->resident[at]], d->kind)->cost.pages;
    d->resident[at] = d->resident[--d->n_resident];
}

void sched_cold_add(struct sched *s, uint32_t id, bool at_risk)
{
    struct model *m = &s->models[id];
    struct cell *c = &s->cells[m->cell];
    m->at_risk = m->cold_listed ? m->at_risk && at_risk : at_risk;
    if (m->cold_listed || (m->able & c->up & ~(m->loaded | m->loading)) == 0)
        return;
    m->cold_listed = true;
    c->cold[c->n_cold++] = id;
}

static void cold_drop(struct sched *s, struct cell *c, uint32_t at)
{
    s->models[c->cold[at]].cold_listed = false;
    c->cold[at] = c->cold[--c->n_cold];
}

/* No model that was ever asked for has a lower rate than this. */
static double rate_floor(const struct model *m, int64_t now)
{
    return m->slow.at ? 0.3 / ((double)(now - m->slow.at) * 1e-9 + 1) : 0;
}

/* At most exp(x), x >= 0, for a fraction of its price; the last factor covers rounding. */
static double growth_bound(double x)
{
    return (1 + x * (1 + x * (1.0 / 2) * (1 + x * (1.0 / 3)))) * (1 - 1e-9);
}

/* No model has a higher rate than this. */
static double rate_bound(const struct model *m, int64_t now)
{
    double age = (double)AC_MAX(now - m->slow.at, 0);
    double slow = m->slow.value / (300 * growth_bound(age * (1 / 300e9)));
    double fast = m->fast.value / (2 * growth_bound(age * (1 / 1e9)));
    return AC_MAX(AC_MAX(slow, fast), rate_floor(m, now));
}

/* The larger of r and a faded count over its period; the exponential only where it can matter. */
static inline double rate_max(double r, const struct decayed *d, int64_t now, double tau_ns,
                              double per)
{
    double age = (double)AC_MAX(now - d->at, 0);
    if (d->value <= r * per * growth_bound(age / tau_ns))
        return r;
    return AC_MAX(r, sched_decayed_get(d, now, tau_ns) / per);
}

/* Requests a second that a copy is expected to serve. */
static double rate_of(const struct model *m, int64_t now)
{
    double r = rate_max(rate_floor(m, now), &m->slow, now, 300e9, 300);
    return rate_max(r, &m->fast, now, 1e9, 2);
}

/* What a copy is worth a page: the last one saves loads, or requests where a load takes too long; a
 * further one saves waiting. */
static double value_of(const struct model *m, const struct plan *p, uint32_t copies, double rate)
{
    double exec_ms = (double)p->cost.exec_ns[p->smallest] * 1e-6;
    double load_ms = (double)p->cost.load_ns * 1e-6;
    double v =
        copies <= 1 ? rate * load_ms * (m->cold_lost ? COLD_LOST : 1) : rate * exec_ms / copies;
    return v / p->cost.pages;
}

/* What a copy is worth; where that is surely not below enough, anything from there on. */
static double copy_value(const struct model *m, const struct plan *p, int64_t now, double enough)
{
    if (m->retired || p->smallest == POLICY_BATCHES)
        return 0;
    uint32_t copies = (uint32_t)__builtin_popcountll(m->loaded);
    double least = value_of(m, p, copies, rate_floor(m, now));
    return least >= enough ? least : value_of(m, p, copies, rate_of(m, now));
}

/* Work in flight on this device pins the model there; so does being the only copy of a waiting one.
 */
static bool pinned(const struct sched *s, const struct device *d, uint32_t model)
{
    const struct model *m = &s->models[model];
    uint64_t bit = 1ull << d->bit;
    if ((m->loading & bit) || (m->queued && (m->loaded & ~bit) == 0))
        return true;
    if (m->inflight)
        for (uint32_t i = 0; i < d->n_infers; i++)
            if (s->actions[d->infers[i]].model == model)
                return true;
    return false;
}

/* Place of the least valuable of up to 16 residents looked at; NIL when all are pinned. */
static uint32_t victim(struct sched *s, int64_t now, const struct device *d, double *ret_value)
{
    uint32_t best = NIL, looks = AC_MIN(d->n_resident, VICTIM_LOOKS), places[VICTIM_LOOKS];
    double least = 0;
    if (d->n_resident == 0)
        return NIL;
    uint32_t at = (uint32_t)ac_rng_below(&s->rng, d->n_resident);
    for (uint32_t i = 0; i < looks; i++) {
        if (d->n_resident > VICTIM_LOOKS)
            at = (uint32_t)ac_rng_below(&s->rng, d->n_resident);
        else
            at = (at + 1) % d->n_resident;
        places[i] = at;
        /* They lie all over memory: one waits for all of them at once. */
        const struct model *m = &s->models[d->resident[at]];
        __builtin_prefetch(m);
        __builtin_prefetch(&sched_plan(s, m, d->kind)->smallest);
    }
    for (uint32_t i = 0; i < looks; i++) {
        at = places[i];
        if (pinned(s, d, d->resident[at]))
            continue;
        const struct model *m = &s->models[d->resident[at]];
        double v =
            (s->cfg.without & SCHED_WITHOUT_VALUE)
                ? 1
                : copy_value(m, sched_plan(s, m, d->kind), now, best == NIL ? INFINITY : least);
        if (best == NIL || v < least) {
            best = at;
            least = v;
        }
    }
    *ret_value = least;
    return best;
}

static void unload(struct sched *s, uint32_t device, uint32_t at, int64_t now)
{
    struct device *d = &s->devices[device];
    uint32_t model = d->resident[at];
    sched_resident_remove(s, device, at);
    s->models[model].loaded &= ~(1ull << d->bit);
    sched_model_touch(s, model);
    /* The load engine works in order, so no answer is waited for: the pages are free for what
     * follows. */
    struct policy_action out = {.id = ++s->serial << SCHED_ACTION_BITS |
                                      ((1u << SCHED_ACTION_BITS) - 1),
                                .kind = POLICY_UNLOAD,
                                .device = device,
                                .model = sched_model_number(s, model),
                                .earliest_ns = now,
                                .latest_ns = POLICY_NEVER};
    s->ports.act(s->ports.self, &out);
}

void sched_unload_all(struct sched *s, int64_t now, uint32_t model)
{
    const struct cell *c = &s->cells[s->models[model].cell];
    for (uint64_t k = s->models[model].loaded & c->up; k; k &= k - 1) {
        uint32_t device = c->devices[__builtin_ctzll(k)], at = 0;
        while (s->devices[device].resident[at] != model)
            at++;
        unload(s, device, at, now);
    }
}

static bool load(struct sched *s, int64_t now, uint32_t device, uint32_t model)
{
    struct device *d = &s->devices[device];
    struct model *m = &s->models[model];
    const struct policy_cost *cost = &sched_plan(s, m, d->kind)->cost;
    if (d->n_loads == SCHED_OUTSTANDING || cost->pages > d->pages)
        return false;
    /* Each round frees a page at least; a device full of pinned models is given up. */
    for (uint32_t tries = 0; d->pages_free < cost->pages; tries++) {
        double value;
        uint32_t v = victim(s, now, d, &value);
        if (v == NIL && tries >= 4)
            return false;
        if (v != NIL)
            unload(s, device, v, now);
    }
    struct action *a = sched_action_new(s, POLICY_LOAD, device, model);
    a->expected = cost->load_ns;
    a->sent = now;
    d->loads[d->n_loads++] = (uint32_t)(a - s->actions);
    d->pages_free -= cost->pages;
    AC_ASSERT(d->n_resident < d->cap_resident);
    d->resident[d->n_resident++] = model;
    a->begin_estimate = AC_MAX(now + sched_device_net(s, d), d->pipe_free);
    d->pipe_free = a->begin_estimate + a->expected;
    int64_t ready = d->pipe_free + (int64_t)((double)a->expected * s->learnt.load_margin);
    if (!m->loading || ready < m->eta) {
        m->eta = ready;
        m->weights_at = d->pipe_free;
        m->eta_bit = (uint8_t)d->bit;
    }
    m->loading |= 1ull << d->bit;
    if (d->n_loads == 1)
        sched_silent_watch(s, d, a);
    sched_action_send(s, a, now, POLICY_NEVER);
    if (m->queued && !m->loaded) {
        sched_model_touch(s, model);
        sched_pick_for(s, now, model);
    }
    return true;
}

/* The device that should get a copy: lightly used and with little of value to lose; for a model at
 * risk the one that can run it first. NIL when no load engine is free in time. */
static uint32_t place(struct sched *s, int64_t now, const struct model *m)
{
    const struct cell *c = &s->cells[m->cell];
    uint32_t best = NIL;
    double best_score = 0;
    for (uint64_t k = m->able & c->up & ~(m->loaded | m->loading | c->silent); k; k &= k - 1) {
        uint32_t id = c->devices[__builtin_ctzll(k)];
        const struct device *d = &s->devices[id];
        const struct plan *p = sched_plan(s, m, d->kind);
        if (d->pipe_free > now + SCHED_PIPE_AHEAD || d->n_loads == SCHED_OUTSTANDING ||
            p->cost.pages > d->pages)
            continue;
        int64_t busy = AC_MAX(d->free_at - now, 0);
        double lose = 0;
        if (d->pages_free < p->cost.pages && victim(s, now, d, &lose) == NIL)
            continue;
        double score = m->at_risk ? (double)(busy + d->backlog)
                                  : 2 * sched_decayed_get(&d->util, now, 1e9) +
                                        1e-8 * (double)busy + 3e-8 * (double)d->backlog + 5 * lose;
        score += sched_kind_cost(s, m, d) * (m->at_risk ? 1e7 : 1);
        if (best == NIL || score < best_score) {
            best = id;
            best_score = score;
        }
    }
    return best;
}

/* Still worth a load? A copy may have come, the queue may be gone, or the danger passed. */
static bool still_wanted(const struct sched *s, const struct model *m, int64_t now)
{
    const struct cell *c = &s->cells[m->cell];
    if (m->queued == 0 || (m->able & c->up & ~(m->loaded | m->loading)) == 0)
        return false;
    if (m->loading & ~c->silent)
        return false;
    if (!m->at_risk)
        return (m->loaded & ~c->silent) == 0;
    int64_t soonest = POLICY_NEVER, other = POLICY_NEVER;
    for (uint64_t k = m->able & c->up & ~c->silent; k; k &= k - 1) {
        const struct device *d = &s->devices[c->devices[__builtin_ctzll(k)]];
        const struct plan *p = sched_plan(s, m, d->kind);
        int64_t exec = p->eh[p->smallest], t = AC_MAX(now, d->free_at) + d->backlog + exec;
        if (m->loaded >> d->bit & 1)
            soonest = AC_MIN(soonest, t);
        else
            other = AC_MIN(other, AC_MAX(t, AC_MAX(now, d->pipe_free) + p->cost.load_ns + exec));
    }
    int64_t slack = s->requests[m->tail].deadline - now;
    return soonest == POLICY_NEVER || (soonest > now + slack / 2 && other < soonest - 3000000);
}

/* Serves the cold list while load engines are free. */
void sched_loads_run(struct sched *s, int64_t now, uint32_t cell)
{
    struct cell *c = &s->cells[cell];
    uint64_t refused[4] = {0}; /* list places that found no device in this round */
    for (;;) {
        bool pipe = false;
        for (uint64_t k = c->up; k && !pipe; k &= k - 1)
            pipe = s->devices[c->devices[__builtin_ctzll(k)]].pipe_free <= now + SCHED_PIPE_AHEAD;
        if (!pipe || c->n_cold == 0)
            return;
        double load_sum = 0, slack_sum = 0;
        for (uint32_t i = 0; i < c->n_cold;) {
            const struct model *m = &s->models[c->cold[i]];
            if (!still_wanted(s, m, now)) {
                cold_drop(s, c, i);
                refused[0] = refused[1] = refused[2] = refused[3] = 0;
                continue;
            }
            load_sum += (double)sched_plan_any(s, m)->cost.load_ns;
            slack_sum += (double)(s->requests[m->head].deadline - now);
            i++;
        }
        if (c->n_cold == 0)
            return;
        bool pressed = load_sum / AC_MAX(c->n_devices, 1u) > 0.7 * slack_sum / c->n_cold;
        uint32_t best = NIL;
        double best_key = 0;
        for (uint32_t i = 0; i < c->n_cold; i++) {
            const struct model *m = &s->models[c->cold[i]];
            if (i < 256 && (refused[i / 64] >> (i % 64) & 1))
                continue;
            const struct plan *p = sched_plan_any(s, m);
            double key;
            if (pressed)
                key = -(m->queued + 0.1 * sched_decayed_get(&m->fast, now, 1e9)) /
                      ((double)p->cost.load_ns * 1e-6 + 1e-3);
            else
                key =
                    (double)(s->requests[m->head].deadline - p->eh[p->smallest] - p->cost.load_ns);
            if (best == NIL || key < best_key) {
                best = i;
                best_key = key;
            }
        }
        if (best == NIL)
            return;
        uint32_t id = c->cold[best], device = place(s, now, &s->models[id]);
        if (device != NIL && load(s, now, device, id)) {
            cold_drop(s, c, best);
            refused[0] = refused[1] = refused[2] = refused[3] = 0;
        } else if (best < 256) {
            refused[best / 64] |= 1ull << (best % 64);
        } else {
            return;
        }
    }
}

/** A request of an absent model was refused: bring the model in for those to come, if that is worth
 * more than what has to leave and no waiting load is held up. */
void sched_load_wanted(struct sched *s, int64_t now, uint32_t model)
{
    struct model *m = &s->models[model];
    struct cell *c = &s->cells[m->cell];
    if (c->n_cold || !m->kinds || m->retired || (s->cfg.without & SCHED_WITHOUT_WANTED))
        return;
    uint32_t device = place(s, now, m);
    if (device == NIL)
        return;
    struct device *d = &s->devices[device];
    double lose = 0;
    const struct plan *p = sched_plan(s, m, d->kind);
    if (d->pages_free < p->cost.pages && victim(s, now, d, &lose) == NIL)
        return;
    double rate = AC_MAX(rate_of(m, now), 0.3);
    if (value_of(m, p, 1, rate) >= lose)
        (void)load(s, now, device, model);
}

/** Idle load engines look at some models in turn and bring in what is worth twice its victim. */
void sched_loads_tick(struct sched *s, int64_t now, uint32_t cell)
{
    struct cell *c = &s->cells[cell];
    uint32_t busy = 0, up = (uint32_t)__builtin_popcountll(c->up);
    for (uint64_t k = c->up; k; k &= k - 1)
        busy += s->devices[c->devices[__builtin_ctzll(k)]].pipe_free > now;
    if (up == 0 || busy * 2 >= up || c->n_models == 0)
        return;
    uint32_t best = NIL;
    double best_value = 0;
    for (uint32_t i = 0; i < AC_MIN((uint32_t)SCHED_TICK_LOOKS, c->n_models); i++) {
        c->hand = (c->hand + 1) % c->n_models;
        const struct model *m = &s->models[c->models[c->hand]];
        const struct model *later = &s->models[c->models[(c->hand + HAND_AHEAD) % c->n_models]];
        __builtin_prefetch(later);
        __builtin_prefetch(&later->plan.smallest);
        uint64_t here = m->loaded | m->loading;
        if (!m->kinds || (m->able & c->up & ~here) == 0 || m->slow.at == 0)
            continue;
        uint32_t copies = (uint32_t)__builtin_popcountll(here) + 1;
        if (best != NIL &&
            value_of(m, sched_plan_any(s, m), copies, rate_bound(m, now)) <= best_value)
            continue;
        double v = value_of(m, sched_plan_any(s, m), copies, rate_of(m, now));
        if (best == NIL || v > best_value) {
            best = c->models[c->hand];
            best_value = v;
        }
    }
    if (best == NIL)
        return;
    struct model *m = &s->models[best];
    bool keep = m->at_risk;
    m->at_risk = false;
    uint32_t device = place(s, now, m);
    m->at_risk = keep;
    if (device == NIL)
        return;
    struct device *d = &s->devices[device];
    double lose = 0;
    const struct plan *p = sched_plan(s, m, d->kind);
    if (d->pages_free < p->cost.pages && victim(s, now, d, &lose) == NIL)
        return;
    if (best_value > 2 * lose)
        (void)load(s, now, device, best);
}
