/* The choice of what a device runs next. */
#include "sched_int.h"

/** Mean time at which the device will be idle. Work that overruns is taken to need as long again as
 * it is late, so that a stuck device looks ever less attractive instead of free. */
int64_t sched_device_free(const struct sched *s, const struct device *d, int64_t now)
{
    if (d->n_infers == 0)
        return d->free_at;
    const struct action *a = &s->actions[d->infers[0]];
    int64_t late = now - (a->begin_estimate + a->expected + s->learnt.net_ns);
    if (late <= a->expected / 2 + 1000000)
        return d->free_at;
    return AC_MAX(d->free_at, now) + late;
}

/* Largest compiled batch for the rows from r on that still meets r's deadline when begun at fh. */
static bool fit(const struct sched *s, const struct model *m, uint32_t rows_left,
                const struct request *r, int64_t fh, struct choice *ret_c)
{
    uint32_t n = AC_MIN(rows_left, (uint32_t)POLICY_MAX_BATCH);
    uint8_t need = sched_batch_for_rows(m, r->rows);
    for (int b = AC_MAX(m->first[n], need); b >= (int)need; b--) {
        if (m->eh[b] == 0 || b == POLICY_BATCHES)
            continue;
        int64_t latest = r->deadline - m->eh[b] - s->learnt.net_ns;
        if (latest < fh)
            continue;
        ret_c->batch = (uint8_t)b;
        ret_c->take = AC_MIN(n, policy_batch_size[b]);
        ret_c->latest = latest;
        ret_c->rate = (double)ret_c->take / (double)m->eh[b];
        return true;
    }
    return false;
}

/* The batch of one model: normally from its most urgent request that can still be met; when
 * shedding, from wherever among the first ones the device's time buys most. */
static bool candidate(const struct sched *s, const struct record *rec, int64_t fh, bool shedding,
                      struct choice *ret_c)
{
    const struct model *m = &s->models[rec->model];
    ret_c->model = rec->model;
    if (rec->lfull >= fh) {
        ret_c->start = m->head;
        ret_c->batch = rec->first;
        ret_c->take = rec->take;
        ret_c->latest = rec->lfull;
        ret_c->rate = (double)rec->take / (double)m->eh[rec->first];
        return true;
    }
    uint32_t rows = m->rows, looked = 0;
    bool found = false;
    for (uint32_t r = m->head; r != NIL && (!found || looked < SCHED_SHED_SCAN);
         r = s->requests[r].next, looked++) {
        struct choice c = {.model = rec->model, .start = r};
        if (fit(s, m, rows, &s->requests[r], fh, &c) && (!found || c.rate > ret_c->rate)) {
            *ret_c = c;
            found = true;
            if (!shedding)
                return true;
        }
        rows -= s->requests[r].rows;
    }
    return found;
}

static bool is_shedding(const struct cell *c, int64_t now)
{
    if (c->drops.value <= 0)
        return false;
    double drops = sched_decayed_get(&c->drops, now, 0.5e9);
    return drops > 0.02 * sched_decayed_get(&c->arrivals, now, 0.5e9);
}

struct choices {
    bool found, background;
    struct choice best, spare; /* the spare one's requests have all day */
};

/* Earliest latest start among those with all day; the guard decides whether it may run. */
static void note_spare(struct choices *ret, const struct choice *k)
{
    if (!ret->background || k->latest < ret->spare.latest)
        ret->spare = *k;
    ret->background = true;
}

static void choose(struct sched *s, int64_t now, const struct cell *c, const struct device *d,
                   int64_t fh, struct choices *ret)
{
    uint64_t bit = 1ull << d->bit;
    bool shedding = c->n_records && is_shedding(c, now), found_urgent = false;
    for (uint32_t i = 0; i < c->n_records; i++) {
        const struct record *rec = &c->records[i];
        if (!(rec->mask & bit) || rec->llast < fh)
            continue;
        /* The head bounds how early any batch of this model must start. */
        if (!shedding && ret->found && rec->lfull >= fh && rec->lfull >= ret->best.latest &&
            rec->lfull <= fh + SCHED_BACKGROUND_NS)
            continue;
        struct choice k = {0};
        if (!candidate(s, rec, fh, shedding, &k))
            continue;
        if (k.latest > fh + SCHED_BACKGROUND_NS) {
            note_spare(ret, &k);
            continue;
        }
        bool better;
        if (!shedding) {
            better = !ret->found || k.latest < ret->best.latest;
        } else {
            int64_t objective = s->requests[k.start].objective;
            bool urgent = k.latest - fh < objective / 4;
            better = !ret->found || (urgent && !found_urgent) ||
                     (urgent == found_urgent && k.rate > ret->best.rate);
            if (better)
                found_urgent = urgent;
        }
        if (better) {
            ret->best = k;
            ret->found = true;
        }
    }
}

static void dispatch(struct sched *s, int64_t now, uint32_t device, const struct choice *k,
                     bool background)
{
    struct device *d = &s->devices[device];
    struct model *m = &s->models[k->model];
    int64_t net = s->learnt.net_ns;
    struct action *a = sched_action_new(s, POLICY_INFER, device, k->model);
    a->batch = k->batch;
    a->expected = m->cost.exec_ns[k->batch];
    a->sent = now;
    a->begin_estimate = AC_MAX(now + net, sched_device_free(s, d, now));
    uint32_t rows = 0, r = k->start;
    int64_t first_due = s->requests[r].deadline;
    while (r != NIL && a->n < POLICY_MAX_BATCH &&
           rows + s->requests[r].rows <= policy_batch_size[k->batch]) {
        uint32_t next = s->requests[r].next;
        rows += s->requests[r].rows;
        sched_queue_remove(s, r);
        a->requests[a->n++] = r;
        r = next;
    }
    AC_ASSERT(a->n > 0);
    d->infers[d->n_infers++] = (uint32_t)(a - s->actions);
    d->outstanding += a->expected;
    d->free_at = a->begin_estimate + a->expected;
    d->last_sent = now;
    sched_decayed_add(&d->util, now, 1e9, (double)a->expected / 1e9);
    m->inflight++;
    sched_guard_sent(s, &s->cells[d->cell], d, a, m->eh[k->batch], background);
    sched_model_touch(s, k->model);
    /* Latest useful start: after it the first request is lost whatever the device does. */
    sched_action_send(s, a, now, first_due - m->eh[k->batch] - net);
}

/** Gives the device work until its queue reaches past the horizon. */
void sched_pick(struct sched *s, int64_t now, uint32_t device)
{
    struct device *d = &s->devices[device];
    struct cell *c = &s->cells[d->cell];
    while (d->up && d->n_infers < SCHED_OUTSTANDING) {
        int64_t free_at = sched_device_free(s, d, now);
        if (free_at > now + s->learnt.horizon_ns) {
            sched_timer_set(s, device | TIMER_DEVICE, free_at - s->learnt.horizon_ns);
            return;
        }
        int64_t fh = AC_MAX(now + s->learnt.net_ns,
                            free_at + (int64_t)((double)d->outstanding * s->learnt.exec_margin));
        struct choices k = {0};
        choose(s, now, c, d, fh, &k);
        if (k.background && sched_guard_admit(s, c, d, fh, k.found ? &k.best : NULL, &k.spare)) {
            dispatch(s, now, device, &k.spare, true);
        } else if (k.found) {
            dispatch(s, now, device, &k.best, false);
        } else {
            if (k.background)
                sched_timer_set(s, device | TIMER_DEVICE, sched_guard_retry_at(now));
            return;
        }
    }
}

/** Offers a newly waiting model to its least used device that is free or about to be. */
void sched_pick_for(struct sched *s, int64_t now, uint32_t model)
{
    struct model *m = &s->models[model];
    const struct cell *c = &s->cells[m->cell];
    uint32_t best = NIL;
    double best_score = 0;
    uint64_t copies = m->loaded & c->up;
    bool several = (copies & (copies - 1)) != 0;
    for (uint64_t k = copies; k; k &= k - 1) {
        uint32_t id = c->devices[__builtin_ctzll(k)];
        const struct device *d = &s->devices[id];
        int64_t f = sched_device_free(s, d, now);
        if (f > now + s->learnt.horizon_ns)
            continue;
        if (!several) {
            best = id;
            break;
        }
        double score = sched_decayed_get(&d->util, now, 1e9) + (d->n_infers ? 1e6 : 0);
        if (best == NIL || score < best_score) {
            best = id;
            best_score = score;
        }
    }
    if (best != NIL)
        sched_pick(s, now, best);
}
