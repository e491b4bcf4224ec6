/* The choice of what a device runs next. */
#include "sched_int.h"

#define INPUT_FADE 8  /* batches over which the time for inputs falls */
#define FILL_SCAN  64 /* waiting requests looked at to fill a batch of another group */

int64_t sched_device_net(const struct sched *s, const struct device *d)
{
    return d->delays_known ? d->net_ns : s->learnt.net_ns;
}

/* A device is given more so long before its end of work that it does not run dry, but no longer
 * ahead than the tightest objectives can bear. */
int64_t sched_device_ahead(const struct sched *s, const struct device *d)
{
    if (s->cfg.horizon_ns)
        return s->cfg.horizon_ns + d->input_ns;
    int64_t ahead = d->delays_known ? d->ahead_ns : s->learnt.ahead_ns;
    ahead = AC_MAX(AC_MIN(ahead, s->cells[d->cell].ahead_most_ns), SCHED_AHEAD_NS);
    return 2 * sched_device_net(s, d) + ahead + d->input_ns;
}

/** Mean time at which the device will be idle. Work that overruns is taken to need as long again as
 * it is late, so that a stuck device looks ever less attractive instead of free. */
int64_t sched_device_free(const struct sched *s, const struct device *d, int64_t now)
{
    if (d->n_infers == 0)
        return d->free_at;
    int64_t late = now - (d->first_end + sched_device_net(s, d));
    if (late <= d->first_expected / 2 + 1000000)
        return d->free_at;
    return AC_MAX(d->free_at, now) + late;
}

int64_t sched_device_start(const struct sched *s, const struct device *d, int64_t now)
{
    int64_t rest = (int64_t)((double)d->outstanding * s->learnt.exec_margin);
    return AC_MAX(now + sched_device_net(s, d), sched_device_free(s, d, now) + rest) + d->behind_ns;
}

/* How likely an answer is in time when its batch begins so long after its latest start. */
static double chance(const struct sched *s, const struct device *d, int64_t late)
{
    if (late <= 0)
        return 1;
    int64_t hope = s->learnt.hope_ns;
    if (late > hope + AC_MAX(d->behind_ns, 0))
        return 0;
    return hope == 0 ? 0 : s->chance[(SCHED_CHANCES - 1) * AC_MIN(late, hope) / hope];
}

/* Batch for the rows from r on, begun at fh: the largest compiled one that still meets r's deadline
 * with all margins; else the one that answers most a ns of device time, as likely as that is. */
static bool fit(const struct sched *s, const struct plan *p, uint32_t rows_left,
                const struct request *r, const struct device *d, int64_t fh, struct choice *ret_c)
{
    uint32_t n = AC_MIN(rows_left, (uint32_t)POLICY_MAX_BATCH);
    uint8_t need = sched_batch_for_rows(p, r->rows);
    bool found = false;
    uint8_t first = n ? p->first[n - 1] : 0;
    for (int b = AC_MAX(first, need); b >= (int)need; b--) {
        if (p->eh[b] == 0 || b == POLICY_BATCHES)
            continue;
        int64_t latest = r->deadline - sched_device_exec(d, p->eh[b]) - s->learnt.net_ns;
        double luck = chance(s, d, fh - latest);
        if (luck <= 0)
            continue;
        uint32_t take = AC_MIN(n, policy_batch_size[b]);
        double rate = luck * take / (double)p->eh[b];
        if (found && rate <= ret_c->rate && luck < 1)
            continue;
        ret_c->batch = (uint8_t)b;
        ret_c->take = take;
        ret_c->latest = latest;
        ret_c->rate = rate;
        found = true;
        if (luck >= 1)
            break;
    }
    return found;
}

/* By how much longer than on a device like the others the execution takes there. */
static int64_t longer(const struct device *d, int64_t ns)
{
    return sched_device_exec(d, ns) - ns;
}

static void rank(const struct sched *s, const struct cell *c, const struct group *g,
                 struct choice *ret_c)
{
    ret_c->ranked = true;
    ret_c->over = sched_share_over(s, c, g->tenant);
    ret_c->priority = s->cfg.without & SCHED_WITHOUT_PRIORITIES ? 0 : g->priority;
}

/* Below 0 when a comes before b whatever else holds, 0 when neither does. */
static int rank_order(const struct choice *a, const struct choice *b)
{
    if (a->over < b->over || b->over < a->over)
        return a->over < b->over ? -1 : 1;
    return (int)b->priority - (int)a->priority;
}

/* Does a request come no later than those of the choice's group by rank? */
static bool counts(const struct sched *s, const struct cell *c, uint32_t req,
                   const struct choice *k)
{
    struct choice other = {0};
    rank(s, c, &s->groups[s->requests[req].group], &other);
    return rank_order(&other, k) <= 0;
}

/* Rows of the batch that could start with r, of which its own group has so many. What may be shed
 * sooner is no reason for a larger batch: it fills what would be padding. */
static uint32_t rows_with_others(const struct sched *s, const struct cell *c, uint32_t r,
                                 uint32_t own, const struct choice *k)
{
    uint32_t rows = own, group = s->requests[r].group, steps = 0;
    for (uint32_t o = s->requests[r].next; o != NIL && rows < POLICY_MAX_BATCH && steps < FILL_SCAN;
         o = s->requests[o].next, steps++)
        if (s->requests[o].group != group && counts(s, c, o, k))
            rows += s->requests[o].rows;
    return rows;
}

/* The best batch that starts with a request of one group. */
static bool group_candidate(const struct sched *s, const struct cell *cell, const struct model *m,
                            const struct group *g, const struct device *d, int64_t fh,
                            struct choice *ret_c)
{
    uint32_t rows = g->rows, looked = 0;
    bool found = false;
    for (uint32_t r = g->head; r != NIL && looked < SCHED_SHED_SCAN;
         r = s->requests[r].group_next, looked++) {
        struct choice c = *ret_c;
        c.start = r;
        c.grouped = true;
        if (fit(s, sched_plan(s, m, d->kind), rows_with_others(s, cell, r, rows, &c),
                &s->requests[r], d, fh, &c) &&
            (!found || c.rate > ret_c->rate)) {
            *ret_c = c;
            found = true;
        }
        rows -= s->requests[r].rows;
    }
    return found;
}

/* The batch of a model for which several groups wait: of the group that comes first and has one. */
static bool ranked_candidate(const struct sched *s, const struct cell *c, const struct record *rec,
                             const struct device *d, int64_t fh, struct choice *ret_c)
{
    const struct model *m = &s->models[rec->model];
    bool found = false;
    for (uint32_t i = m->groups; i != NIL; i = s->groups[i].next) {
        struct choice k = {.model = rec->model, .begin = rec->begin};
        rank(s, c, &s->groups[i], &k);
        int order = found ? rank_order(&k, ret_c) : -1;
        if (order > 0 || !group_candidate(s, c, m, &s->groups[i], d, fh, &k))
            continue;
        if (order < 0 || k.rate > ret_c->rate)
            *ret_c = k;
        found = true;
    }
    return found;
}

/* The batch of one model: normally from its most urgent request that can still be met; when
 * shedding, from wherever among the first ones the device's time buys most. */
static bool candidate(const struct sched *s, const struct record *rec, const struct device *d,
                      int64_t fh, bool shedding, struct choice *ret_c)
{
    const struct model *m = &s->models[rec->model];
    const struct plan *p = sched_plan(s, m, d->kind);
    ret_c->model = rec->model;
    int64_t full = rec->lfull - longer(d, rec->full_ns);
    if (full >= fh) {
        ret_c->start = m->head;
        ret_c->batch = rec->first;
        ret_c->take = rec->take;
        ret_c->latest = full;
        ret_c->rate = (double)rec->take / (double)p->eh[rec->first];
        return true;
    }
    uint32_t rows = m->rows, looked = 0;
    bool found = false;
    for (uint32_t r = m->head; r != NIL && (!found || looked < SCHED_SHED_SCAN);
         r = s->requests[r].next, looked++) {
        struct choice c = *ret_c;
        c.start = r;
        if (fit(s, p, rows, &s->requests[r], d, fh, &c)) {
            bool better = !found || (shedding ? c.rate > ret_c->rate
                                              : ret_c->latest < fh &&
                                                    (c.latest >= fh || c.rate > ret_c->rate));
            if (better) {
                *ret_c = c;
                found = true;
            }
            if (!shedding && c.latest >= fh)
                return true;
        }
        rows -= s->requests[r].rows;
    }
    return found;
}

bool sched_is_shedding(const struct sched *s, const struct cell *c, int64_t now)
{
    if (c->drops.value <= 0 || (s->cfg.without & SCHED_WITHOUT_SHEDDING))
        return false;
    double drops = sched_decayed_get(&c->drops, now, 0.5e9);
    return drops > 0.02 * sched_decayed_get(&c->arrivals, now, 0.5e9);
}

struct choices {
    bool shedding, ranked, found, background;
    bool urgent;               /* best, when shedding */
    struct choice best, spare; /* the spare one's requests have all day */
};

/* Earliest latest start among those with all day; the guard decides whether it may run. */
static void note_spare(struct choices *ret, const struct choice *k)
{
    if (!ret->background || k->latest < ret->spare.latest)
        ret->spare = *k;
    ret->background = true;
}

/* The model's candidate, and whether it comes before what was found so far. */
static bool candidate_of(const struct sched *s, const struct cell *c, const struct record *rec,
                         const struct device *d, int64_t fh, const struct choices *ret,
                         struct choice *ret_k)
{
    if (!ret->ranked)
        return candidate(s, rec, d, fh, ret->shedding, ret_k);
    const struct group *g = &s->groups[s->models[rec->model].groups];
    if (g->next != NIL)
        return ranked_candidate(s, c, rec, d, fh, ret_k);
    rank(s, c, g, ret_k);
    return candidate(s, rec, d, fh, true, ret_k);
}

static bool is_better(const struct sched *s, const struct choice *k, int64_t fh,
                      struct choices *ret)
{
    if (!ret->shedding) {
        /* What can surely be met comes first; of the rest, what is likeliest. */
        bool safe = k->latest >= AC_MAX(fh, k->begin),
             best_safe = ret->found && ret->best.latest >= AC_MAX(fh, ret->best.begin);
        return !ret->found || (safe && !best_safe) ||
               (safe == best_safe &&
                (safe ? k->latest < ret->best.latest : k->latest > ret->best.latest));
    }
    bool urgent = k->latest - fh < s->requests[k->start].objective / 4;
    int order = ret->found ? rank_order(k, &ret->best) : -1;
    bool better =
        order < 0 || (order == 0 && ((urgent && !ret->urgent) ||
                                     (urgent == ret->urgent && k->rate > ret->best.rate)));
    if (better)
        ret->urgent = urgent;
    return better;
}

/* Batches with a latest start from least to most come behind what was found; what has all day is
 * looked at for itself. */
static bool come_later(const struct choices *found, int64_t least, int64_t most, int64_t fh)
{
    return !found->shedding && found->found && found->best.latest >= fh &&
           least >= found->best.latest && most <= fh + SCHED_BACKGROUND_NS;
}

/* The same of a block of records. */
static bool block_comes_later(const struct cell *c, uint32_t from, const struct device *d,
                              int64_t fh, const struct choices *found)
{
    const struct record *rec = &c->records[d->kind][from];
    struct bound *b = &c->bounds[d->kind][from / SCHED_BLOCK];
    if (!found->found || found->shedding)
        return false;
    if (!b->known) {
        *b = (struct bound){.least = INT64_MAX, .most = INT64_MIN, .known = true};
        for (uint32_t i = 0, n = AC_MIN(c->n_records - from, SCHED_BLOCK); i < n; i++) {
            b->least = AC_MIN(b->least, rec[i].lfull);
            b->most = AC_MAX(b->most, rec[i].lfull);
            b->most_ns = AC_MAX(b->most_ns, rec[i].full_ns);
        }
    }
    int64_t more = longer(d, b->most_ns);
    return come_later(found, b->least - AC_MAX(more, 0), b->most - AC_MIN(more, 0), fh);
}

static void choose(struct sched *s, int64_t now, struct cell *c, const struct device *d, int64_t fh,
                   struct choices *ret)
{
    uint64_t bit = 1ull << d->bit;
    int64_t hope = s->learnt.hope_ns + AC_MAX(d->behind_ns, 0);
    ret->shedding = c->n_records && sched_is_shedding(s, c, now);
    ret->ranked = ret->shedding && s->groups;
    if (ret->ranked)
        sched_share_compare(s, c, now);
    bool blocks = c->n_records >= SCHED_BOUNDS_FROM && !(s->cfg.without & SCHED_WITHOUT_BOUNDS);
    for (uint32_t i = 0; i < c->n_records; i++) {
        if (blocks && i % SCHED_BLOCK == 0 && block_comes_later(c, i, d, fh, ret)) {
            i += SCHED_BLOCK - 1;
            continue;
        }
        if (!(c->masks[i] & bit))
            continue;
        const struct record *rec = &c->records[d->kind][i];
        if (rec->ready > now && (rec->begin || !ret->shedding))
            continue;
        int64_t start = AC_MAX(fh, rec->begin);
        if (rec->llast - longer(d, rec->last_ns) + hope < start)
            continue;
        /* The head bounds how early any batch of this model must start. */
        int64_t full = rec->lfull - longer(d, rec->full_ns);
        if (come_later(ret, full, full, fh))
            continue;
        struct choice k = {.begin = rec->begin};
        if (!candidate_of(s, c, rec, d, start, ret, &k))
            continue;
        if (k.latest > fh + SCHED_BACKGROUND_NS) {
            note_spare(ret, &k);
            continue;
        }
        if (is_better(s, &k, fh, ret)) {
            ret->best = k;
            ret->found = true;
        }
    }
}

/* Adds what waits from the start on by deadline: that which counts, or else what does not. */
static void fill_with(const struct sched *s, const struct cell *c, const struct choice *k,
                      bool counting, uint32_t *room, struct action *a)
{
    uint32_t steps = 0, own = s->requests[k->start].group;
    for (uint32_t r = k->start; r != NIL && s->requests[r].rows <= *room && steps < FILL_SCAN;
         r = s->requests[r].next, steps++) {
        if (k->grouped && (s->requests[r].group == own || counts(s, c, r, k) != counting))
            continue;
        *room -= s->requests[r].rows;
        a->requests[a->n++] = r;
    }
}

/* Requests of the batch: from the start on by deadline; where not all can be met those of its own
 * group first. All that come after the start are due no sooner. */
static void fill(const struct sched *s, const struct cell *c, const struct choice *k,
                 struct action *a)
{
    uint32_t room = policy_batch_size[k->batch];
    for (uint32_t r = k->grouped ? k->start : NIL; r != NIL && s->requests[r].rows <= room;
         r = s->requests[r].group_next) {
        room -= s->requests[r].rows;
        a->requests[a->n++] = r;
    }
    fill_with(s, c, k, true, &room, a);
    if (k->grouped)
        fill_with(s, c, k, false, &room, a);
}

/* When the action and its inputs will be there. Inputs come one batch after the other, at half the
 * rate while a load moves. */
static int64_t inputs_there(struct sched *s, struct device *d, int64_t now, const struct action *a,
                            int64_t row_ns)
{
    int64_t there = now + sched_device_net(s, d), takes = 0;
    if (row_ns == 0)
        return there;
    for (uint32_t i = 0; i < a->n; i++)
        takes += s->requests[a->requests[i]].rows * row_ns;
    there = AC_MAX(there, d->inputs_end);
    takes += AC_MIN(AC_MAX(d->pipe_free - there, 0), takes);
    d->input_ns += (takes - d->input_ns) / (takes > d->input_ns ? 1 : INPUT_FADE);
    return d->inputs_end = there + takes;
}

void sched_infer_give(struct sched *s, int64_t now, struct action *a, int64_t first_due,
                      bool background)
{
    struct device *d = &s->devices[a->device];
    struct model *m = &s->models[a->model];
    const struct plan *p = sched_plan(s, m, d->kind);
    a->expected = sched_device_exec(d, p->cost.exec_ns[a->batch]);
    a->sent = now;
    int64_t there = inputs_there(s, d, now, a, p->cost.input_ns);
    a->begin_estimate = AC_MAX(there, sched_device_free(s, d, now));
    /* Latest useful start: after it the first request is lost whatever the device does. */
    int64_t need =
        sched_device_exec(d, p->eh[a->batch]) + s->learnt.net_ns + AC_MIN(d->behind_ns, 0);
    int64_t latest = first_due + s->learnt.hope_ns - need, earliest = now;
    if (a->overlaps) {
        earliest = AC_MIN(AC_MAX(now, sched_overlap_begin(m, p, d, a->batch)), latest);
        sched_overlap_sent(m, p, d, earliest, a);
    }
    if (d->n_infers == 0) {
        d->first_end = a->begin_estimate + a->expected;
        d->first_expected = a->expected;
        sched_silent_watch(s, d, a);
    }
    d->infers[d->n_infers++] = (uint32_t)(a - s->actions);
    d->outstanding += a->expected;
    s->cells[d->cell].outstanding += a->expected;
    d->free_at = a->begin_estimate + a->expected;
    d->last_sent = now;
    sched_decayed_add(&d->util, now, 1e9, (double)a->expected / 1e9);
    m->inflight++;
    sched_guard_sent(s, &s->cells[d->cell], d, a, p->eh[a->batch], background);
    sched_action_send(s, a, earliest, latest);
}

static void dispatch(struct sched *s, int64_t now, uint32_t device, const struct choice *k,
                     bool background)
{
    struct cell *c = &s->cells[s->devices[device].cell];
    struct action *a = sched_action_new(s, POLICY_INFER, device, k->model);
    a->batch = k->batch;
    a->overlaps = k->begin != 0;
    int64_t first_due = s->requests[k->start].deadline;
    fill(s, c, k, a);
    AC_ASSERT(a->n > 0);
    for (uint32_t i = 0; i < a->n; i++)
        sched_queue_remove(s, a->requests[i]);
    sched_model_touch(s, k->model);
    sched_infer_give(s, now, a, first_due, background);
    if (s->groups && !background)
        sched_share_sent(s, c, a, now, k->ranked);
}

/** Gives the device work until its queue reaches past the horizon. */
void sched_pick(struct sched *s, int64_t now, uint32_t device)
{
    struct device *d = &s->devices[device];
    struct cell *c = &s->cells[d->cell];
    while (d->up && !(c->silent >> d->bit & 1) && d->n_infers < SCHED_OUTSTANDING) {
        int64_t free_at = sched_device_free(s, d, now);
        int64_t ahead = sched_device_ahead(s, d);
        if (free_at > now + ahead) {
            sched_timer_set(s, device | TIMER_DEVICE, free_at - ahead);
            return;
        }
        int64_t fh = sched_device_start(s, d, now);
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

/** Offers a newly waiting model to its least used device that is free or about to be; of several
 * kinds to one of the quickest. */
void sched_pick_for(struct sched *s, int64_t now, uint32_t model)
{
    struct model *m = &s->models[model];
    const struct cell *c = &s->cells[m->cell];
    uint32_t best = NIL;
    double best_score = 0;
    uint64_t copies = m->record == NIL ? 0 : c->masks[m->record] & c->up & ~c->silent;
    bool several = (copies & (copies - 1)) != 0;
    for (uint64_t k = copies; k; k &= k - 1) {
        uint32_t id = c->devices[__builtin_ctzll(k)];
        const struct device *d = &s->devices[id];
        int64_t f = sched_device_free(s, d, now);
        if (f > now + sched_device_ahead(s, d))
            continue;
        if (!several) {
            best = id;
            break;
        }
        /* Its use has faded to 1 - age at least: where even that is more, why ask? */
        double busy = (d->n_infers ? 1e6 : 0) + sched_kind_cost(s, m, d),
               age = (double)AC_MAX(now - d->util.at, 0) * 1e-9;
        if (best != NIL && busy + d->util.value * (1 - age) * (1 - 1e-9) > best_score)
            continue;
        double score = sched_decayed_get(&d->util, now, 1e9) + busy;
        if (best == NIL || score < best_score) {
            best = id;
            best_score = score;
        }
    }
    if (best != NIL)
        sched_pick(s, now, best);
}
