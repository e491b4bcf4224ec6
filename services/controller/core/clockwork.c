#include "clockwork.h"

#include <string.h>

/* ---- estimates ---- */

static int64_t window_worst(struct cw_window *w, int64_t v)
{
    w->v[w->next] = v;
    w->next = (w->next + 1) % CW_WINDOW;
    w->n = AC_MIN(w->n + 1, (uint32_t)CW_WINDOW);
    int64_t worst = w->v[0];
    for (uint32_t i = 1; i < w->n; i++)
        worst = AC_MAX(worst, w->v[i]);
    return worst;
}

/* One that is late is taken to end at any moment; one that is very late, to have ended. */
int64_t cw_engine_free(const struct cw *c, const struct cw_engine *e, int64_t now)
{
    int64_t begin = e->begin;
    if (e->n) {
        int64_t first = c->actions[e->actions[0]].expected;
        if (begin + first + CW_LAG < now)
            begin = now - CW_LAG - first;
    }
    return AC_MAX(begin + e->total, now + CW_FUTURE);
}

void cw_engine_add(struct cw *c, struct cw_engine *e, int64_t now, const struct cw_action *a)
{
    if (e->n == 0)
        e->begin = now;
    e->actions[e->n++] = (uint32_t)(a - c->actions);
    e->total += a->expected;
}

static void engine_take(const struct cw *c, struct cw_engine *e, const struct cw_action *a,
                        int64_t ended, bool good)
{
    uint32_t i = 0;
    while (&c->actions[e->actions[i]] != a)
        i++;
    memmove(e->actions + i, e->actions + i + 1, (e->n - i - 1) * sizeof(*e->actions));
    e->n--;
    e->total -= a->expected;
    if (i == 0)
        e->begin = ended;
    else if (good)
        e->begin += a->expected;
}

uint32_t cw_poll(const struct cw *c, int64_t now)
{
    return (uint32_t)(now / CW_POLL % (int64_t)c->n_devices);
}

/* ---- actions ---- */

struct cw_action *cw_act(struct cw *c, int64_t now, enum policy_action_kind kind, uint32_t device,
                         uint32_t model, const uint32_t *requests, uint32_t n, uint32_t batch,
                         int64_t latest)
{
    const struct cw_model *m = &c->models[model];
    uint64_t cookies[POLICY_MAX_BATCH];
    uint32_t at = c->free_action;
    if (at == CW_NIL) {
        ac_grow(&c->actions, &c->cap_actions, c->n_actions + 1, sizeof(*c->actions));
        at = (uint32_t)c->n_actions++;
    } else {
        c->free_action = c->actions[at].next_free;
    }
    struct cw_action *a = &c->actions[at];
    *a = (struct cw_action){.id = c->serial++ << 24 | at,
                            .kind = kind,
                            .device = device,
                            .model = model,
                            .n = n,
                            .batch = batch,
                            .expected =
                                kind == POLICY_INFER ? m->cost.exec_ns[batch] : m->cost.load_ns,
                            .live = kind != POLICY_UNLOAD};
    for (uint32_t i = 0; i < n; i++) {
        a->requests[i] = requests[i];
        cookies[i] = c->requests[requests[i]].cookie;
    }
    struct policy_action out = {.id = a->id,
                                .kind = kind,
                                .device = device,
                                .model = model,
                                .earliest_ns = now,
                                .latest_ns = latest,
                                .expected_ns = a->expected,
                                .batch = policy_batch_size[batch],
                                .n = n,
                                .cookies = cookies};
    if (kind == POLICY_UNLOAD) {
        a->next_free = c->free_action;
        c->free_action = at;
    }
    c->ports.act(c->ports.self, &out);
    return a;
}

static void answer(struct cw *c, uint32_t request, struct policy_reply *r)
{
    struct cw_request *q = &c->requests[request];
    cw_demand_remove(c, request);
    r->cookie = q->cookie;
    r->cold = q->cold;
    q->next = c->free_request;
    c->free_request = request;
    c->ports.reply(c->ports.self, r);
}

/* ---- what a device runs next ---- */

struct strategy {
    uint32_t model, batch;
};

void cw_copy_activate(struct cw *c, uint32_t device, uint32_t model, uint32_t below)
{
    struct cw_copy *k = cw_copy_of(c, model, device);
    struct cw_device *d = &c->devices[device];
    const struct cw_model *m = &c->models[model];
    if (k->active != CW_NIL)
        return;
    for (uint32_t b = 0; b < below; b++) {
        if (m->front[b] == CW_NIL || m->cost.exec_ns[b] == 0)
            continue;
        k->strategies |= (uint8_t)(1u << b);
        k->priority[b] = c->requests[m->front[b]].deadline - m->cost.exec_ns[b];
    }
    if (!k->strategies)
        return;
    k->active = d->n_active;
    d->active[d->n_active++] = model;
}

static void deactivate(struct cw *c, uint32_t device, uint32_t model)
{
    struct cw_copy *k = cw_copy_of(c, model, device);
    struct cw_device *d = &c->devices[device];
    uint32_t last = d->active[--d->n_active];
    d->active[k->active] = last;
    cw_copy_of(c, last, device)->active = k->active;
    k->active = CW_NIL;
    k->strategies = 0;
}

/* The most urgent strategy on the device. */
static bool top(const struct cw *c, uint32_t device, struct strategy *ret_s)
{
    const struct cw_device *d = &c->devices[device];
    int64_t first = POLICY_NEVER;
    for (uint32_t i = 0; i < d->n_active; i++) {
        const struct cw_copy *k = cw_copy_of(c, d->active[i], device);
        for (uint32_t left = k->strategies; left; left &= left - 1) {
            uint32_t b = (uint32_t)__builtin_ctz(left);
            if (k->priority[b] >= first)
                continue;
            first = k->priority[b];
            *ret_s = (struct strategy){.model = d->active[i], .batch = b};
        }
    }
    return first != POLICY_NEVER;
}

static void dispatch(struct cw *c, int64_t now, uint32_t device, uint32_t model, uint32_t batch,
                     int64_t free_at)
{
    struct cw_device *d = &c->devices[device];
    struct cw_model *m = &c->models[model];
    uint32_t requests[POLICY_MAX_BATCH], n = policy_batch_size[batch];
    AC_ASSERT(n > 0);
    for (uint32_t i = 0; i < n; i++) {
        requests[i] = m->front[batch];
        cw_queue_take(c, requests[i]);
        cw_heap_remove(c, requests[i]);
    }
    cw_queue_catch_up(c, model, c->requests[requests[n - 1]].seq);
    int64_t latest = AC_MAX(now + CW_FUTURE, free_at) + c->v.ahead_ns;
    cw_copy_of(c, model, device)->used = ++c->uses;
    cw_engine_add(c, &d->exec, now,
                  cw_act(c, now, POLICY_INFER, device, model, requests, n, batch, latest));
    for (uint32_t i = 0; i < n; i++)
        cw_demand_expire(c, requests[i]);
}

/* Gives the device one action; false when there is none for it. A copy whose strategy cannot be had
 * is tried again with smaller batches, in its new turn. */
static bool feed_one(struct cw *c, int64_t now, uint32_t device)
{
    struct strategy s;
    int64_t free_at = cw_engine_free(c, &c->devices[device].exec, now);
    while (top(c, device, &s)) {
        const struct cw_model *m = &c->models[s.model];
        deactivate(c, device, s.model);
        if (!cw_copy_of(c, s.model, device)->loaded)
            continue;
        cw_queue_drop_fronts(c, s.model, free_at);
        uint32_t b = 0;
        while (b + 1 < POLICY_BATCHES && m->cost.exec_ns[b + 1] &&
               m->count[b + 1] >= policy_batch_size[b + 1])
            b++;
        bool can = b >= s.batch && m->count[b] >= policy_batch_size[b];
        if (can)
            dispatch(c, now, device, s.model, b, free_at);
        cw_copy_activate(c, device, s.model, can ? POLICY_BATCHES : s.batch);
        if (can)
            return true;
    }
    return false;
}

static void feed(struct cw *c, int64_t now, uint32_t device)
{
    struct cw_device *d = &c->devices[device];
    d->wake = POLICY_NEVER;
    while (d->up && d->n_active && d->exec.n < CW_OUTSTANDING) {
        int64_t at = cw_engine_free(c, &d->exec, now);
        if (at >= now + c->v.ahead_ns) {
            d->wake = AC_MAX(at - c->v.ahead_ns, now) + 1;
            return;
        }
        if (!feed_one(c, now, device))
            return;
    }
}

/* ---- doors ---- */

static void *create(const void *config, const struct policy_ports *ports,
                    const struct cw_variant *v)
{
    const struct sched_config *cfg = config;
    struct cw *c = ac_xcalloc(1, sizeof(*c));
    c->ports = *ports;
    c->v = *v;
    c->max_requests = cfg->max_requests;
    c->requests = ac_xcalloc(c->max_requests, sizeof(*c->requests));
    c->heap = ac_xcalloc(c->max_requests, sizeof(*c->heap));
    c->free_request = c->free_action = CW_NIL;
    for (uint32_t i = c->max_requests; i-- > 0;) {
        c->requests[i].next = c->free_request;
        c->free_request = i;
    }
    return c;
}

static void destroy(void *p)
{
    struct cw *c = p;
    free(c->requests);
    free(c->heap);
    free(c->models);
    for (size_t i = 0; i < c->n_devices; i++)
        free(c->devices[i].active);
    free(c->devices);
    free(c->copies);
    free(c->actions);
    free(c->active);
    free(c->wanted);
    free(c);
}

static uint32_t device_add(void *p)
{
    struct cw *c = p;
    AC_ASSERT(c->n_models == 0);
    ac_grow(&c->devices, &c->cap_devices, c->n_devices + 1, sizeof(*c->devices));
    c->devices[c->n_devices] = (struct cw_device){.wake = POLICY_NEVER};
    return (uint32_t)c->n_devices++;
}

static uint32_t model_add(void *p)
{
    struct cw *c = p;
    size_t old = c->cap_models;
    ac_grow(&c->models, &c->cap_models, c->n_models + 1, sizeof(*c->models));
    if (old != c->cap_models) {
        size_t n = c->cap_models * c->n_devices;
        c->copies = ac_xrealloc(c->copies, ac_mul_size(n, sizeof(*c->copies)));
        for (size_t i = old * c->n_devices; i < n; i++)
            c->copies[i] = (struct cw_copy){.active = CW_NIL};
        for (size_t i = 0; i < c->n_devices; i++)
            c->devices[i].active =
                ac_xrealloc(c->devices[i].active, ac_mul_size(c->cap_models, sizeof(uint32_t)));
        c->active = ac_xrealloc(c->active, ac_mul_size(c->cap_models, sizeof(*c->active)));
        c->wanted = ac_xrealloc(c->wanted, ac_mul_size(c->cap_models, sizeof(*c->wanted)));
    }
    struct cw_model *m = &c->models[c->n_models];
    *m = (struct cw_model){.head = CW_NIL, .tail = CW_NIL, .active = CW_NIL, .wanted = CW_NIL};
    for (uint32_t b = 0; b < POLICY_BATCHES; b++)
        m->front[b] = CW_NIL;
    return (uint32_t)c->n_models++;
}

static void device_up(void *p, int64_t now, uint32_t device, uint32_t pages)
{
    struct cw *c = p;
    struct cw_device *d = &c->devices[device];
    d->up = true;
    d->pages = d->pages_free = pages;
    d->exec = d->load = (struct cw_engine){.begin = now};
}

static void engine_drop(struct cw *c, struct cw_engine *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        struct cw_action *a = &c->actions[e->actions[i]];
        a->live = false;
        for (uint32_t k = 0; k < a->n; k++)
            answer(c, a->requests[k], &(struct policy_reply){.outcome = POLICY_ERROR});
        a->next_free = c->free_action;
        c->free_action = e->actions[i];
    }
    *e = (struct cw_engine){0};
}

/* The published controller does not notice; here its requests are answered as failed. */
static void device_down(void *p, int64_t now, uint32_t device)
{
    struct cw *c = p;
    struct cw_device *d = &c->devices[device];
    (void)now;
    d->up = false;
    d->wake = POLICY_NEVER;
    engine_drop(c, &d->exec);
    engine_drop(c, &d->load);
    for (uint32_t m = 0; m < c->n_models; m++) {
        struct cw_copy *k = cw_copy_of(c, m, device);
        if (!k->loaded && !k->loading)
            continue;
        k->loaded = k->loading = false;
        cw_demand_spread(c, m);
    }
}

static void model_able(void *p, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost)
{
    struct cw *c = p;
    (void)now;
    (void)device;
    struct cw_model *m = &c->models[model];
    if (m->able)
        return;
    m->able = true;
    m->cost = *cost;
}

static void arrive(void *p, int64_t now, const struct policy_request *in)
{
    struct cw *c = p;
    uint32_t at = c->free_request;
    struct policy_reply no = {.cookie = in->cookie,
                              .outcome = in->rows == 1 ? POLICY_FULL : POLICY_ERROR};
    if (at == CW_NIL || in->rows != 1) {
        c->ports.reply(c->ports.self, &no);
        return;
    }
    struct cw_request *r = &c->requests[at];
    const struct cw_model *m = &c->models[in->model];
    c->free_request = r->next;
    int64_t slo = in->deadline_ns - now;
    int64_t exec_slo = AC_MAX(slo - CW_BUFFER, c->v.ahead_ns + CW_BUFFER);
    int64_t b1 = m->cost.exec_ns[0];
    int64_t load_slo = AC_MIN(slo, slo - (m->cost.load_ns + b1 + CW_BUFFER + c->v.ahead_ns));
    load_slo = AC_MAX(AC_MIN(load_slo, CW_LOAD_SLO), c->v.ahead_ns + CW_BUFFER);
    *r = (struct cw_request){.cookie = in->cookie,
                             .due = in->deadline_ns,
                             .deadline = now + exec_slo,
                             .load_deadline = now + load_slo,
                             .demand = (double)b1 * CW_CAPACITY / (double)exec_slo,
                             .load_demand = (double)b1 * CW_CAPACITY / (double)load_slo,
                             .model = in->model,
                             .cold = true};
    for (uint32_t d = 0; d < c->n_devices && r->cold; d++)
        r->cold = !cw_copy_of(c, in->model, d)->loaded;
    cw_queue_add(c, at);
    cw_heap_add(c, at);
    cw_demand_add(c, at);
    uint32_t first = cw_poll(c, now);
    for (uint32_t i = 0; i < c->n_devices; i++) {
        uint32_t device = (first + i) % (uint32_t)c->n_devices;
        if (!cw_copy_of(c, in->model, device)->loaded)
            continue;
        cw_copy_activate(c, device, in->model, POLICY_BATCHES);
        feed(c, now, device);
    }
    cw_loads_run(c, now);
}

static void infer_result(struct cw *c, int64_t now, struct cw_action *a,
                         const struct policy_result *r)
{
    struct cw_model *m = &c->models[a->model];
    if (r->status == POLICY_DONE)
        m->cost.exec_ns[a->batch] = window_worst(&m->exec[a->batch], r->end_ns - r->begin_ns);
    for (uint32_t k = 0; k < a->n; k++) {
        struct policy_reply out = {.outcome = r->status == POLICY_TOO_LATE ? POLICY_EXPIRED
                                              : r->status == POLICY_FAILED ? POLICY_ERROR
                                              : now > c->requests[a->requests[k]].due
                                                  ? POLICY_LATE
                                                  : POLICY_ON_TIME,
                                   .action = a->id,
                                   .slot = k};
        answer(c, a->requests[k], &out);
    }
}

static void result(void *p, int64_t now, const struct policy_result *r)
{
    struct cw *c = p;
    uint32_t at = (uint32_t)(r->id & 0xffffff);
    if (at >= c->n_actions || !c->actions[at].live || c->actions[at].id != r->id)
        return;
    struct cw_action *a = &c->actions[at];
    uint32_t device = a->device;
    bool good = r->status == POLICY_DONE;
    engine_take(c, a->kind == POLICY_INFER ? &c->devices[device].exec : &c->devices[device].load, a,
                good ? r->end_ns : now, good);
    if (a->kind == POLICY_INFER) {
        infer_result(c, now, a, r);
    } else {
        struct cw_copy *k = cw_copy_of(c, a->model, device);
        struct cw_model *m = &c->models[a->model];
        k->loading = false;
        k->loaded = good;
        k->used = ++c->uses;
        if (k->loaded) {
            m->cost.load_ns = window_worst(&m->load, r->end_ns - r->begin_ns);
            cw_copy_activate(c, device, a->model, POLICY_BATCHES);
        } else {
            c->devices[device].pages_free += m->cost.pages;
        }
        cw_demand_spread(c, a->model);
    }
    a->live = false;
    a->next_free = c->free_action;
    c->free_action = at;
    feed(c, now, device);
    cw_loads_run(c, now);
}

static int64_t next_wake(void *p)
{
    const struct cw *c = p;
    int64_t at = c->n_heap ? c->requests[c->heap[0]].deadline : POLICY_NEVER;
    for (uint32_t d = 0; d < c->n_devices; d++)
        at = AC_MIN(at, c->devices[d].wake);
    return at;
}

static void wake(void *p, int64_t now)
{
    struct cw *c = p;
    while (c->n_heap && c->requests[c->heap[0]].deadline <= now) {
        uint32_t r = c->heap[0];
        cw_heap_remove(c, r);
        cw_queue_take(c, r);
        answer(c, r, &(struct policy_reply){.outcome = POLICY_EXPIRED});
    }
    for (uint32_t i = 0, first = cw_poll(c, now); i < c->n_devices; i++) {
        uint32_t device = (first + i) % (uint32_t)c->n_devices;
        if (c->devices[device].wake <= now)
            feed(c, now, device);
    }
    /* Repaired only: demand that no load can serve any more does not ask for one. */
    for (uint32_t i = 0; c->v.fixed && i < c->n_active; i++)
        for (uint32_t r = c->models[c->active[i]].head; r != CW_NIL; r = c->requests[r].next)
            if (c->requests[r].load_deadline < now)
                cw_demand_expire(c, r);
}

static void *create_5(const void *config, const struct policy_ports *ports)
{
    return create(config, ports, &(struct cw_variant){.ahead_ns = 5000000});
}

static void *create_10(const void *config, const struct policy_ports *ports)
{
    return create(config, ports, &(struct cw_variant){.ahead_ns = 10000000});
}

static void *create_fixed(const void *config, const struct policy_ports *ports)
{
    return create(config, ports, &(struct cw_variant){.ahead_ns = 5000000, .fixed = true});
}

#define CW_OPS(NAME, CREATE)                                                                       \
    {                                                                                              \
        .name = (NAME), .create = (CREATE), .destroy = destroy, .device_add = device_add,          \
        .model_add = model_add, .device_up = device_up, .device_down = device_down,                \
        .model_able = model_able, .arrive = arrive, .result = result, .next_wake = next_wake,      \
        .wake = wake                                                                               \
    }

const struct policy_ops policy_clockwork = CW_OPS("clockwork", create_5);
const struct policy_ops policy_clockwork_10 = CW_OPS("clockwork-10ms", create_10);
const struct policy_ops policy_clockwork_fixed = CW_OPS("clockwork-fixed", create_fixed);
