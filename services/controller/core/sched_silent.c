/* Devices that say nothing. One whose answer is overdue may have crashed long before its lease
 * ends: until it is heard of it counts as holding nothing, and what it has in hand is done once
 * more elsewhere, where that is in time and takes nothing from others. Whoever answers first
 * answers; what comes after that is dropped. */
#include "sched_int.h"

#define SPREADS    3 /* times the usual spread of delays, and the margin on executions */
#define GRACE_NS   AC_NS_PER_MS
#define AGAIN_NS   (AC_NS_PER_MS / 2) /* between two looks for somebody who can do it */
#define HOLD_TIMES 3 /* what is left of the time may be so often what the work takes elsewhere */

static int64_t delay_spread(const struct sched *s, const struct device *d)
{
    return d->delays_known ? d->delay_p99_ns - d->net_ns : s->learnt.answer_margin_ns;
}

/* When no answer begins to be strange. A load may have half of a link that it shares. */
static int64_t overdue_at(const struct sched *s, const struct device *d)
{
    int64_t at = POLICY_NEVER;
    if (s->cfg.learn && !sched_learn_knows_delays(s))
        return at;
    if (d->n_infers) {
        int64_t end = AC_MAX(d->first_end, d->heard_end + d->first_expected);
        at = end + (int64_t)((double)d->first_expected * s->learnt.exec_margin * SPREADS);
    }
    if (d->n_loads) {
        const struct action *a = &s->actions[d->loads[0]];
        at = AC_MIN(at, AC_MAX(a->begin_estimate, d->heard_load_end) + 2 * a->expected);
    }
    if (at == POLICY_NEVER)
        return at;
    return at + sched_device_net(s, d) + SPREADS * delay_spread(s, d) + GRACE_NS;
}

void sched_silent_watch(struct sched *s, const struct device *d, const struct action *a)
{
    struct cell *c = &s->cells[d->cell];
    c->busy |= 1ull << d->bit;
    /* Not later than overdue_at will say, for less. */
    c->watch_at = AC_MIN(c->watch_at, a->begin_estimate + a->expected + GRACE_NS);
}

void sched_silent_heard(struct sched *s, const struct device *d)
{
    struct cell *c = &s->cells[d->cell];
    uint64_t bit = 1ull << d->bit;
    if (c->silent & bit) /* what else it has is watched again */
        c->watch_at = AC_MIN(c->watch_at, s->now);
    c->silent &= ~bit;
    if (d->n_infers + d->n_loads == 0)
        c->busy &= ~bit;
    if (!c->busy)
        c->watch_at = POLICY_NEVER;
}

/* ---- work in two hands ---- */

static uint32_t place_of(const struct action *a, uint32_t req)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (a->requests[i] == req)
            return i;
    return NIL;
}

void sched_twin_over(struct sched *s, struct action *a, bool answered)
{
    if (a->twin == NIL)
        return;
    struct action *t = &s->actions[a->twin];
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t at = a->requests[i] == NIL ? NIL : place_of(t, a->requests[i]);
        if (at != NIL && answered) {
            t->requests[at] = NIL;
            s->counts.superseded++;
        } else if (at != NIL) {
            a->requests[i] = NIL;
        }
    }
    t->twin = a->twin = NIL;
}

/* Nobody waits for it, and it can begin at once. */
static bool is_spare(const struct cell *c, const struct device *d)
{
    return d->n_infers == 0 && d->backlog == 0 && !(c->silent >> d->bit & 1);
}

static uint32_t rows_of(const struct sched *s, const struct action *a)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < a->n; i++)
        rows += s->requests[a->requests[i]].rows;
    return rows;
}

/* Leaves of the action's requests those that would be in time on that device, in a batch for them;
 * returns how many. */
static uint32_t keep_in_time(const struct sched *s, const struct device *d, int64_t now,
                             struct action *a)
{
    const struct plan *p = sched_plan(s, &s->models[a->model], d->kind);
    int64_t begin = sched_device_start(s, d, now);
    for (uint32_t before = 0; a->n && a->n != before;) {
        before = a->n;
        a->batch = sched_batch_for_rows(p, rows_of(s, a));
        int64_t end = begin + sched_device_exec(d, p->eh[a->batch]) + s->learnt.net_ns;
        uint32_t n = 0;
        for (uint32_t i = 0; i < a->n; i++)
            if (s->requests[a->requests[i]].deadline >= end)
                a->requests[n++] = a->requests[i];
        a->n = n;
    }
    return a->n;
}

/* When what the action has must be given to another, if that is to be safe: the earliest deadline
 * counts that can be met at all. POLICY_NEVER: none can, or it has all day. */
static int64_t hold_until(const struct sched *s, const struct action *a, int64_t now)
{
    const struct model *m = &s->models[a->model];
    int64_t at = POLICY_NEVER;
    for (uint32_t i = 0; i < a->n; i++) {
        const struct request *r = &s->requests[a->requests[i]];
        if (a->requests[i] == NIL || r->objective > SCHED_BACKGROUND_NS)
            continue;
        int64_t need = sched_least_exec(s, m, r->rows) + 2 * s->learnt.net_ns;
        if (r->deadline - need >= now)
            at = AC_MIN(at, r->deadline - AC_MAX(HOLD_TIMES * need, r->objective / 2));
    }
    return at;
}

/* What of the action can be done again by the spare device that can do most of it. */
static void best_of(const struct sched *s, int64_t now, const struct cell *c,
                    const struct action *a, struct action *ret_b)
{
    struct action open = {.model = a->model};
    for (uint32_t i = 0; i < a->n; i++)
        if (a->requests[i] != NIL)
            open.requests[open.n++] = a->requests[i];
    ret_b->n = 0;
    for (uint64_t k = s->models[a->model].loaded & c->up; k; k &= k - 1) {
        uint32_t id = c->devices[__builtin_ctzll(k)];
        struct action b = open;
        if (!is_spare(c, &s->devices[id]) || keep_in_time(s, &s->devices[id], now, &b) <= ret_b->n)
            continue;
        *ret_b = b;
        ret_b->device = id;
    }
}

/* Gives it away if it is time to; returns when to look again. */
static int64_t give(struct sched *s, int64_t now, const struct cell *c, struct action *a)
{
    int64_t hold = hold_until(s, a, now), first_due = POLICY_NEVER;
    if (hold > now)
        return hold;
    struct action best;
    best_of(s, now, c, a, &best);
    if (best.n == 0)
        return now + AGAIN_NS;
    struct action *b = sched_action_new(s, POLICY_INFER, best.device, a->model);
    b->batch = best.batch;
    for (b->n = 0; b->n < best.n; b->n++) {
        b->requests[b->n] = best.requests[b->n];
        first_due = AC_MIN(first_due, s->requests[best.requests[b->n]].deadline);
    }
    a->twin = (uint32_t)(b - s->actions);
    b->twin = (uint32_t)(a - s->actions);
    s->counts.given_again += b->n;
    sched_infer_give(s, now, b, first_due, false);
    return POLICY_NEVER;
}

/* ---- looks ---- */

/* Models that wait for what only silent devices hold want a copy elsewhere. */
static void want_copies(struct sched *s, int64_t now, uint32_t cell)
{
    struct cell *c = &s->cells[cell];
    for (uint32_t i = 0; i < c->n_models; i++) {
        const struct model *m = &s->models[c->models[i]];
        if (m->queued && !((m->loaded | m->loading) & c->up & ~c->silent))
            sched_cold_add(s, c->models[i], m->loaded != 0);
    }
    sched_loads_run(s, now, cell);
}

void sched_silent_look(struct sched *s, int64_t now, uint32_t cell)
{
    struct cell *c = &s->cells[cell];
    uint64_t were = c->silent;
    c->watch_at = POLICY_NEVER;
    if (s->cfg.without & SCHED_WITHOUT_SILENCE)
        return;
    for (uint64_t k = c->busy; k; k &= k - 1) {
        struct device *d = &s->devices[c->devices[__builtin_ctzll(k)]];
        int64_t at = overdue_at(s, d);
        if (at <= now) {
            c->silent |= 1ull << d->bit;
            at = POLICY_NEVER;
            bool spare = !sched_is_shedding(s, c, now);
            for (uint32_t i = 0; i < d->n_infers; i++) {
                struct action *a = &s->actions[d->infers[i]];
                int64_t again = now + AGAIN_NS;
                if (a->twin != NIL)
                    continue;
                if (spare)
                    again = give(s, now, c, a);
                at = AC_MIN(at, again);
            }
        }
        c->watch_at = AC_MIN(c->watch_at, at);
    }
    if (c->silent & ~were)
        want_copies(s, now, cell);
}
