/* The scheduler's doors: set-up, arrivals, wake-ups, and the loss of devices. */
#include "sched.h"

#include "sched_int.h"

#include <math.h>
#include <string.h>

const char *policy_outcome_text(enum policy_outcome o)
{
    static const char *const text[] = {
#define X(name, t) t,
        POLICY_OUTCOMES(X)
#undef X
    };
    return o < POLICY_OUTCOME_END ? text[o] : "?";
}

double sched_decayed_get(const struct decayed *d, int64_t now, double tau_ns)
{
    if (now <= d->at || d->value <= 0)
        return d->value;
    return d->value * exp(-(double)(now - d->at) / tau_ns);
}

void sched_decayed_add(struct decayed *d, int64_t now, double tau_ns, double v)
{
    d->value = sched_decayed_get(d, now, tau_ns) + v;
    d->at = now;
}

struct sched *sched_create(const struct sched_config *cfg, const struct policy_ports *ports)
{
    struct sched *s = ac_xcalloc(1, sizeof(*s));
    s->cfg = *cfg;
    s->ports = *ports;
    s->cfg.cells = AC_MAX(s->cfg.cells, 1u);
    s->cells = ac_xcalloc(s->cfg.cells, sizeof(*s->cells));
    for (uint32_t i = 0; i < s->cfg.cells; i++) {
        sched_guard_init(&s->cells[i].guard);
        s->cells[i].ahead_most_ns = POLICY_NEVER;
        s->cells[i].watch_at = POLICY_NEVER;
    }
    s->requests = ac_xcalloc(s->cfg.max_requests, sizeof(*s->requests));
    s->free_request = NIL;
    for (uint32_t i = s->cfg.max_requests; i-- > 0;) {
        s->requests[i].next = s->free_request;
        s->free_request = i;
    }
    s->free_action = NIL;
    s->tick_at = POLICY_NEVER;
    s->n_kinds = 1;
    if (s->cfg.cells > 1 && !(s->cfg.without & SCHED_WITHOUT_HOT))
        s->n_guests = SCHED_GUESTS * s->cfg.cells;
    sched_share_init(s);
    sched_learn_init(s);
    ac_rng_seed(&s->rng, cfg->seed);
    return s;
}

void sched_destroy(struct sched *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->cfg.cells; i++) {
        for (uint32_t k = 0; k < POLICY_KINDS; k++) {
            free(s->cells[i].records[k]);
            free(s->cells[i].bounds[k]);
        }
        free(s->cells[i].masks);
        free(s->cells[i].models);
        free(s->cells[i].cold);
    }
    for (size_t i = 0; i < s->n_devices; i++)
        free(s->devices[i].resident);
    sched_share_fini(s);
    free(s->cells);
    free(s->devices);
    free(s->models);
    free(s->able_far);
    free(s->requests);
    free(s->actions);
    free(s->heap);
    free(s->learners);
    for (uint32_t k = 0; k < POLICY_KINDS; k++) {
        free(s->plans[k]);
        free(s->spreads[k]);
    }
    free(s);
}

/* An array with room for so many, old or moved, at the beginning of a line. */
static void *grow_lines(void *old, size_t *cap, size_t need, size_t elem)
{
    if (need <= *cap)
        return old;
    size_t n = AC_MAX(AC_MAX(*cap * 2, need), (size_t)8);
    void *p = aligned_alloc(SCHED_LINE, ac_mul_size(n, elem));
    AC_ASSERT(p);
    if (old)
        memcpy(p, old, *cap * elem);
    free(old);
    *cap = n;
    return p;
}

uint32_t sched_device_add(struct sched *s)
{
    uint32_t id = (uint32_t)s->n_devices, best = 0;
    for (uint32_t i = 1; i < s->cfg.cells; i++)
        if (s->cells[i].n_devices < s->cells[best].n_devices)
            best = i;
    struct cell *c = &s->cells[best];
    AC_ASSERT(c->n_devices < SCHED_CELL_DEVICES);
    s->devices = grow_lines(s->devices, &s->cap_devices, s->n_devices + 1, sizeof(*s->devices));
    s->devices[id] =
        (struct device){.cell = best, .bit = c->n_devices, .pace = 1, .timer.heap_at = NIL};
    s->n_devices++;
    sched_learn_device_add(s);
    ac_grow(&s->heap, &s->cap_heap, s->n_models + s->n_devices, sizeof(*s->heap));
    c->of_kind[0] |= 1ull << c->n_devices;
    c->devices[c->n_devices++] = id;
    /* Room for every action that the device can have in flight, so that none is allocated later. */
    uint32_t old = s->n_actions;
    s->n_actions += 2 * SCHED_OUTSTANDING;
    s->actions = ac_xrealloc(s->actions, s->n_actions * sizeof(*s->actions));
    memset(s->actions + old, 0, (s->n_actions - old) * sizeof(*s->actions));
    for (uint32_t i = s->n_actions; i-- > old;) {
        s->actions[i].next_free = s->free_action;
        s->free_action = i;
    }
    return id;
}

/* Of models from so many on nothing is known of that kind. */
static void kind_reset(struct sched *s, uint32_t kind, size_t from)
{
    for (size_t i = from; i < s->n_models; i++)
        sched_plan_init(sched_plan_mut(s, &s->models[i], kind));
    sched_learn_models(s, kind, from);
}

/* Room in what each kind has of each model; those from so many on are new. */
static void kind_room(struct sched *s, uint32_t kind, size_t from)
{
    if (kind)
        s->plans[kind] =
            ac_xrealloc(s->plans[kind], ac_mul_size(s->cap_models, sizeof(struct plan)));
    kind_reset(s, kind, from);
}

/* A kind of which no device is left that can run the model says nothing of when it can be run; the
 * last one does, for it may come back. */
static void kinds_here(const struct sched *s, struct model *m)
{
    uint32_t here = 0;
    for (uint32_t k = m->kinds; k; k &= k - 1)
        if (m->able & s->cells[m->cell].of_kind[__builtin_ctz(k)])
            here |= k & -k;
    if (here)
        m->kinds &= (uint8_t)here;
}

void sched_model_init(struct model *m, uint32_t cell)
{
    *m = (struct model){.head = NIL,
                        .tail = NIL,
                        .record = NIL,
                        .groups = NIL,
                        .home = NIL,
                        .guests = NIL,
                        .timer.heap_at = NIL,
                        .cell = cell};
}

static void records_room(struct cell *c, uint32_t kind)
{
    size_t blocks = c->cap_models / SCHED_BLOCK + 1;
    c->records[kind] = ac_xrealloc(c->records[kind], c->cap_models * sizeof(struct record));
    c->bounds[kind] = ac_xrealloc(c->bounds[kind], blocks * sizeof(struct bound));
    for (size_t i = 0; i < blocks; i++)
        c->bounds[kind][i].known = false;
}

/* Room for one model more in the cell, beside guests. */
static void cell_room(struct sched *s, struct cell *c)
{
    size_t old = c->cap_models, guests = s->n_guests ? SCHED_GUESTS : 0;
    ac_grow(&c->models, &c->cap_models, c->n_models + 1u + guests, sizeof(*c->models));
    if (c->cap_models == old)
        return;
    c->masks = ac_xrealloc(c->masks, c->cap_models * sizeof(*c->masks));
    c->cold = ac_xrealloc(c->cold, c->cap_models * sizeof(*c->cold));
    for (uint32_t k = 0; k < s->n_kinds; k++)
        records_room(c, k);
}

static uint32_t model_new(struct sched *s, uint32_t cell)
{
    uint32_t id = (uint32_t)s->n_models;
    s->models = grow_lines(s->models, &s->cap_models, s->n_models + 1, sizeof(*s->models));
    s->n_models++;
    sched_model_init(&s->models[id], cell);
    for (uint32_t k = 0; k < s->n_kinds; k++)
        kind_room(s, k, id);
    ac_grow(&s->heap, &s->cap_heap, s->n_models + s->n_devices, sizeof(*s->heap));
    cell_room(s, &s->cells[cell]);
    return id;
}

void sched_kind_forget(struct sched *s, uint32_t kind)
{
    if (kind >= s->n_kinds)
        return;
    for (size_t i = 0; i < s->n_models; i++)
        s->models[i].kinds &= (uint8_t) ~(1u << kind);
    kind_reset(s, kind, 0);
}

uint32_t sched_model_add(struct sched *s)
{
    while (s->n_models < s->n_guests)
        (void)model_new(s, (uint32_t)s->n_models / SCHED_GUESTS);
    uint32_t number = (uint32_t)s->n_models - s->n_guests, cell = number % s->cfg.cells;
    size_t cap = s->cap_models;
    uint32_t id = model_new(s, cell);
    if (s->n_guests && (s->cap_models != cap || !s->able_far))
        s->able_far = ac_xrealloc(s->able_far, ac_mul_size(ac_mul_size(s->cap_models, s->cfg.cells),
                                                           sizeof(*s->able_far)));
    for (uint32_t i = 0; s->n_guests && i < s->cfg.cells; i++)
        *sched_able_far(s, id, i) = 0;
    s->cells[cell].models[s->cells[cell].n_models++] = id;
    return number;
}

void sched_device_kind(struct sched *s, uint32_t device, uint32_t kind)
{
    struct device *d = &s->devices[device];
    struct cell *c = &s->cells[d->cell];
    AC_ASSERT(kind < POLICY_KINDS && !d->up);
    if (s->cfg.without & SCHED_WITHOUT_KINDS)
        return;
    for (; s->n_kinds <= kind; s->n_kinds++) {
        kind_room(s, s->n_kinds, 0);
        for (uint32_t i = 0; i < s->cfg.cells; i++) {
            if (s->cells[i].cap_models == 0)
                continue;
            records_room(&s->cells[i], s->n_kinds);
            memcpy(s->cells[i].records[s->n_kinds], s->cells[i].records[0],
                   s->cells[i].n_records * sizeof(struct record));
        }
    }
    c->of_kind[d->kind] &= ~(1ull << d->bit);
    c->of_kind[kind] |= 1ull << d->bit;
    d->kind = (uint8_t)kind;
    for (uint32_t i = 0; i < s->cells[d->cell].n_models; i++)
        sched_record_update(s, c->models[i]);
}

void sched_device_up(struct sched *s, int64_t now, uint32_t device, uint32_t pages)
{
    s->now = now;
    struct device *d = &s->devices[device];
    if (d->up)
        sched_device_down(s, now, device);
    d->up = true;
    d->pages = d->pages_free = pages;
    d->free_at = d->pipe_free = d->last_sent = d->inputs_end = d->heard_end = d->heard_load_end =
        now;
    d->outstanding = 0;
    d->n_resident = 0;
    sched_learn_device_up(s, device);
    /* A model takes a page at least, so there are never more of them than pages. */
    d->cap_resident = pages;
    d->resident = ac_xrealloc(d->resident, AC_MAX(pages, 1u) * sizeof(*d->resident));
    s->cells[d->cell].up |= 1ull << d->bit;
}

/* The longer of two times, or 0 where one of the devices cannot. */
static void both(int64_t *a, int64_t b)
{
    *a = *a && b ? AC_MAX(*a, b) : 0;
}

static void model_able(struct sched *s, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost)
{
    struct model *m = &s->models[model];
    struct device *d = &s->devices[device];
    if (m->retired)
        return;
    struct plan *p = sched_plan_mut(s, m, d->kind);
    uint64_t alike = s->cells[d->cell].of_kind[d->kind];
    if ((m->able & alike) == 0) {
        p->cost = *cost;
    } else {
        /* Devices of one kind differ by noise: plan with the slower figure. */
        if (!((m->loaded | m->loading) & alike)) /* what is charged to one stays what it was */
            p->cost.pages = AC_MAX(p->cost.pages, cost->pages);
        p->cost.load_ns = AC_MAX(p->cost.load_ns, cost->load_ns);
        for (uint32_t b = 0; b < POLICY_BATCHES; b++)
            both(&p->cost.exec_ns[b], cost->exec_ns[b]);
        for (uint32_t b = 0; b < POLICY_BATCHES; b++)
            both(&p->cost.tail_ns[b], cost->tail_ns[b]);
        p->cost.input_ns = AC_MAX(p->cost.input_ns, cost->input_ns);
    }
    p->cost.pages = AC_MAX(p->cost.pages, 1u);
    m->able |= 1ull << d->bit;
    m->load_failures = 0;
    sched_model_plan(s, m, d->kind);
    kinds_here(s, m);
    sched_queue_expire(s, now, model);
    if (m->queued) {
        sched_cold_add(s, model, false);
        sched_loads_run(s, now, m->cell);
    }
}

void sched_model_able(struct sched *s, int64_t now, uint32_t model, uint32_t device,
                      const struct policy_cost *cost)
{
    s->now = now;
    uint32_t id = model + s->n_guests;
    const struct device *d = &s->devices[device];
    if (d->cell != s->models[id].cell && s->n_guests && !s->models[id].retired) {
        *sched_able_far(s, id, d->cell) |= 1ull << d->bit;
        id = s->models[id].hot ? sched_hot_guest(s, id, d->cell) : NIL;
    }
    if (id != NIL && d->cell == s->models[id].cell)
        model_able(s, now, id, device, cost);
}

void sched_model_end(struct sched *s, int64_t now, uint32_t id)
{
    struct model *m = &s->models[id];
    m->retired = true;
    m->able = 0;
    while (m->head != NIL) {
        uint32_t req = m->head;
        sched_queue_remove(s, req);
        sched_request_refuse(s, now, req, POLICY_NO_DEVICE, 0);
    }
    sched_model_touch(s, id);
}

void sched_model_retire(struct sched *s, int64_t now, uint32_t model)
{
    s->now = now;
    sched_model_end(s, now, model + s->n_guests);
    sched_hot_retire(s, now, model + s->n_guests);
}

/* When the answer of an execution is there which overlaps a load that ends at that time;
 * POLICY_NEVER when none can. */
static int64_t overlapped_end(const struct sched *s, const struct model *m, const struct device *d,
                              uint32_t rows, int64_t now, int64_t at)
{
    const struct plan *p = sched_plan(s, m, d->kind);
    uint8_t batch = sched_batch_for_rows(p, rows);
    int64_t tail = sched_overlap_tail(s, p, d, batch);
    if (tail == 0)
        return POLICY_NEVER;
    int64_t start = sched_device_start(s, d, now) - AC_MAX(d->behind_ns, 0);
    return AC_MAX(start + sched_device_exec(d, p->eh[batch]), at + tail) + s->learnt.net_ns;
}

/* When some device could answer so many rows at the earliest, as if it were a device like the
 * others, or any time that is soon enough; POLICY_NEVER without any device. */
static int64_t best_end(const struct sched *s, const struct model *m, uint32_t rows, int64_t now,
                        int64_t enough)
{
    const struct cell *c = &s->cells[m->cell];
    int64_t best = POLICY_NEVER, net = s->learnt.net_ns;
    for (uint64_t k = sched_copies(c, m); k && best > enough; k &= k - 1) {
        const struct device *d = &s->devices[c->devices[__builtin_ctzll(k)]];
        const struct plan *p = sched_plan(s, m, d->kind);
        int64_t t = sched_device_start(s, d, now) - AC_MAX(d->behind_ns, 0);
        int64_t exec = sched_device_exec(d, p->eh[sched_batch_for_rows(p, rows)]);
        best = AC_MIN(best, t + exec + net);
    }
    if (best > enough && (m->loading & c->up & ~c->silent)) {
        int64_t at = AC_MAX(m->eta, now + net);
        best = AC_MIN(best, at + sched_least_exec(s, m, rows) + net);
        const struct device *d = sched_overlap_device(s, m);
        if (d && !(c->silent >> d->bit & 1))
            best = AC_MIN(best, overlapped_end(s, m, d, rows, now, at));
    }
    if (best != POLICY_NEVER)
        return best;
    for (uint64_t k = m->able & c->up & ~c->silent; k; k &= k - 1) {
        const struct device *d = &s->devices[c->devices[__builtin_ctzll(k)]];
        const struct plan *p = sched_plan(s, m, d->kind);
        int64_t load = p->cost.load_ns + (int64_t)((double)p->cost.load_ns * s->learnt.load_margin);
        int64_t exec = p->eh[sched_batch_for_rows(p, rows)];
        int64_t at = AC_MAX(now + net, d->pipe_free) + load;
        best = AC_MIN(best, at + exec + net);
        best = AC_MIN(best, overlapped_end(s, m, d, rows, now, at));
    }
    return best;
}

static bool too_late(struct sched *s, int64_t now, uint32_t req)
{
    struct request *r = &s->requests[req];
    struct model *m = &s->models[r->model];
    if (!m->kinds)
        return false;
    int64_t enough = r->deadline + s->learnt.hope_ns;
    int64_t end = best_end(s, m, r->rows, now, enough);
    /* With no device up the request waits for one: a worker may be restarting. */
    if (end == POLICY_NEVER || end <= enough)
        return false;
    uint32_t id = r->model;
    sched_request_refuse(s, now, req, POLICY_REFUSED, end);
    if (m->loaded == 0 && m->loading == 0)
        sched_load_wanted(s, now, id);
    return true;
}

/* True when all copies are so busy that the last waiting request is in danger, and one more
 * elsewhere could take it sooner. */
static bool at_risk(const struct sched *s, const struct model *m, int64_t now)
{
    const struct cell *c = &s->cells[m->cell];
    int64_t soonest = POLICY_NEVER;
    for (uint64_t k = sched_copies(c, m); k; k &= k - 1) {
        const struct device *d = &s->devices[c->devices[__builtin_ctzll(k)]];
        const struct plan *p = sched_plan(s, m, d->kind);
        soonest = AC_MIN(soonest, AC_MAX(now, d->free_at) + d->backlog + p->eh[p->smallest]);
    }
    if (soonest == POLICY_NEVER)
        return true;
    int64_t slack = s->requests[m->tail].deadline - now;
    return soonest > now + slack / 2;
}

void sched_arrive(struct sched *s, int64_t now, const struct policy_request *in)
{
    s->now = now;
    AC_ASSERT(in->model < s->n_models - s->n_guests);
    uint32_t id = in->model + s->n_guests;
    if (s->models[id].hot)
        id = sched_hot_deal(s, id);
    struct model *m = &s->models[id];
    struct cell *c = &s->cells[m->cell];
    sched_decayed_add(&m->fast, now, 1e9, 1);
    sched_decayed_add(&m->slow, now, 300e9, 1);
    sched_decayed_add(&c->arrivals, now, 0.5e9, 1);
    s->arrivals_since_tick++;
    c->since_look++;
    if (s->tick_at == POLICY_NEVER)
        s->tick_at = now + SCHED_TICK_NS;
    uint32_t req = s->free_request;
    bool bad = in->rows == 0 || in->rows > POLICY_MAX_BATCH || in->tenant >= POLICY_TENANTS ||
               in->priority >= POLICY_PRIORITIES;
    bool more_than_share = !bad && s->groups && sched_share_full(s, in->tenant, now);
    if (req == NIL || m->retired || bad || more_than_share) {
        struct policy_reply r = {.cookie = in->cookie,
                                 .outcome = m->retired        ? POLICY_NO_DEVICE
                                            : bad             ? POLICY_ERROR
                                            : more_than_share ? POLICY_SHARE
                                                              : POLICY_FULL};
        s->ports.reply(s->ports.self, &r);
        return;
    }
    s->free_request = s->requests[req].next;
    s->in_use++;
    s->tenant_in_use[in->tenant]++;
    s->requests[req] = (struct request){.cookie = in->cookie,
                                        .due = in->deadline_ns,
                                        .objective = in->deadline_ns - now,
                                        .deadline = in->deadline_ns - s->learnt.answer_margin_ns,
                                        .model = id,
                                        .rows = (uint8_t)in->rows,
                                        .tenant = in->tenant,
                                        .priority = in->priority,
                                        .cold = m->loaded == 0};
    const struct plan *p = sched_plan_any(s, m);
    m->cold_lost = in->deadline_ns - now < p->cost.load_ns + 2 * p->eh[p->smallest];
    sched_guard_arrive(&c->guard, s, now, m, &s->requests[req]);
    if (too_late(s, now, req))
        return;
    sched_queue_insert(s, req);
    if (m->loaded & c->up) {
        /* Most requests go at once: timer and backlog are for those that stay. */
        sched_record_update(s, id);
        sched_pick_for(s, now, id);
        if (m->queued)
            sched_model_touch(s, id);
        if (m->queued && !(s->cfg.without & SCHED_WITHOUT_COPIES) && at_risk(s, m, now))
            sched_cold_add(s, id, true);
    } else {
        sched_model_touch(s, id);
        if (m->loading)
            sched_pick_for(s, now, id);
        else
            sched_cold_add(s, id, false);
    }
    if (c->n_cold)
        sched_loads_run(s, now, m->cell);
}

bool sched_cancel(struct sched *s, uint32_t model, uint64_t cookie)
{
    for (uint32_t i = 0; i <= s->n_guests; i++) {
        /* The model itself, and what it is or was a guest as. */
        uint32_t id = i == 0 ? model + s->n_guests : i - 1;
        if (i && s->models[id].home != model + s->n_guests)
            continue;
        for (uint32_t r = s->models[id].head; r != NIL; r = s->requests[r].next) {
            if (s->requests[r].cookie != cookie)
                continue;
            sched_queue_remove(s, r);
            sched_request_free(s, r);
            sched_model_touch(s, id);
            return true;
        }
    }
    return false;
}

void sched_device_down(struct sched *s, int64_t now, uint32_t device)
{
    s->now = now;
    struct device *d = &s->devices[device];
    if (!d->up)
        return;
    struct cell *c = &s->cells[d->cell];
    uint64_t bit = 1ull << d->bit;
    d->up = false;
    c->up &= ~bit;
    for (uint32_t i = 0; i < d->n_infers; i++) {
        struct action *a = &s->actions[d->infers[i]];
        s->models[a->model].inflight--;
        sched_guard_over(c, d, a);
        sched_twin_over(s, a, false);
        for (uint32_t k = 0; k < a->n; k++)
            if (a->requests[k] != NIL)
                sched_queue_insert(s, a->requests[k]);
        sched_action_free(s, a);
    }
    for (uint32_t i = 0; i < d->n_loads; i++)
        sched_action_free(s, &s->actions[d->loads[i]]);
    d->n_infers = d->n_loads = 0;
    sched_silent_heard(s, d);
    c->outstanding -= d->outstanding;
    sched_timer_set(s, device | TIMER_DEVICE, POLICY_NEVER);
    d->outstanding = 0;
    d->n_resident = 0;
    d->pages_free = 0;
    for (uint32_t i = s->n_guests; s->n_guests && i < s->n_models; i++)
        *sched_able_far(s, i, d->cell) &= ~bit;
    for (uint32_t i = 0; i < c->n_models; i++) {
        struct model *m = &s->models[c->models[i]];
        bool had = ((m->able | m->loaded | m->loading) & bit) != 0;
        m->able &= ~bit;
        m->loaded &= ~bit;
        m->loading &= ~bit;
        if (!had)
            continue;
        kinds_here(s, m);
        sched_queue_expire(s, now, c->models[i]);
        if (m->queued && !m->loaded && !m->loading)
            sched_cold_add(s, c->models[i], false);
        else if (m->queued)
            sched_pick_for(s, now, c->models[i]);
    }
    sched_loads_run(s, now, d->cell);
}

int64_t sched_next_wake(const struct sched *s)
{
    return AC_MIN(sched_timers_next(s), s->tick_at);
}

void sched_wake(struct sched *s, int64_t now)
{
    s->now = now;
    sched_timers_run(s, now);
    if (now < s->tick_at)
        return;
    sched_learn_tick(s, now);
    sched_hot_tick(s, now);
    s->idle_ticks = s->arrivals_since_tick ? 0 : s->idle_ticks + 1;
    s->arrivals_since_tick = 0;
    bool watching = false;
    for (uint32_t i = 0; i < s->cfg.cells; i++) {
        struct cell *c = &s->cells[i];
        sched_guard_tick(&c->guard, c->n_devices);
        if (now >= c->watch_at)
            sched_silent_look(s, now, i);
        watching = watching || c->watch_at != POLICY_NEVER;
        int64_t slack = sched_guard_slack(&c->guard);
        c->ahead_most_ns = slack == POLICY_NEVER ? slack : slack / 4;
        /* A device whose work overruns gets no result that would call pick: look again. */
        for (uint64_t k = c->n_records ? c->up : 0; k; k &= k - 1)
            sched_pick(s, now, c->devices[__builtin_ctzll(k)]);
        if (c->n_cold) {
            sched_loads_run(s, now, i);
        } else if (!(s->cfg.without & SCHED_WITHOUT_RATE_LOADS) &&
                   (c->since_look >= SCHED_LOOK_EVERY || now >= c->look_at)) {
            /* Bounds what looking costs a request where many cells get few of them. */
            c->since_look = 0;
            c->look_at = now + SCHED_LOOK_NS;
            sched_loads_tick(s, now, i);
        }
    }
    /* Nothing came for a second, nothing waits and no answer is awaited: sleep until the next
     * arrival. */
    bool idle = s->idle_ticks > 200 && s->n_heap == 0 && !watching;
    s->tick_at = idle ? POLICY_NEVER : now + SCHED_TICK_NS;
}

void sched_device_view(const struct sched *s, uint32_t device, struct sched_device_view *ret_v)
{
    const struct device *d = &s->devices[device];
    *ret_v = (struct sched_device_view){.up = d->up,
                                        .pages = d->pages,
                                        .pages_free = d->pages_free,
                                        .resident = d->n_resident,
                                        .outstanding = d->n_infers + d->n_loads,
                                        .free_at_ns = d->free_at};
}

uint32_t sched_model_devices(const struct sched *s, uint32_t model, uint32_t *ret_devices,
                             uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = model + s->n_guests; i != NIL; i = s->models[i].guests) {
        const struct model *m = &s->models[i];
        const struct cell *c = &s->cells[m->cell];
        for (uint64_t k = m->loaded & c->up; k && n < max; k &= k - 1)
            ret_devices[n++] = c->devices[__builtin_ctzll(k)];
    }
    return n;
}

struct sched_learnt sched_learnt(const struct sched *s)
{
    return s->learnt;
}

struct sched_counts sched_counts(const struct sched *s)
{
    return s->counts;
}
