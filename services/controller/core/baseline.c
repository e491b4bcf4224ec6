#include "baseline.h"

#include "sched.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>

/* ---- requests and actions ---- */

static void enqueue(struct baseline *q, uint32_t request)
{
    struct bl_model *m = &q->models[q->requests[request].model];
    if (m->tail == BL_NONE)
        m->head = request;
    else
        q->requests[m->tail].next = request;
    m->tail = request;
    if (m->n++ == 0) {
        m->active = q->n_active;
        q->active[q->n_active++] = q->requests[request].model;
    }
}

static uint32_t dequeue(struct baseline *q, uint32_t model)
{
    struct bl_model *m = &q->models[model];
    uint32_t request = m->head;
    m->head = q->requests[request].next;
    if (m->head == BL_NONE)
        m->tail = BL_NONE;
    if (--m->n == 0) {
        uint32_t last = q->active[--q->n_active];
        q->active[m->active] = last;
        q->models[last].active = m->active;
        m->active = BL_NONE;
    }
    return request;
}

static void answer(struct baseline *q, uint32_t request, struct policy_reply *r)
{
    struct bl_waiting *w = &q->requests[request];
    r->cookie = w->cookie;
    r->cold = w->cold;
    w->next = q->free_request;
    q->free_request = request;
    q->ports.reply(q->ports.self, r);
}

static struct bl_action *action_new(struct baseline *q, enum policy_action_kind kind,
                                    uint32_t device, uint32_t model)
{
    uint32_t at = q->free_action;
    if (at == BL_NONE) {
        ac_grow(&q->actions, &q->cap_actions, q->n_actions + 1, sizeof(*q->actions));
        at = (uint32_t)q->n_actions++;
    } else {
        q->free_action = q->actions[at].next_free;
    }
    q->actions[at] =
        (struct bl_action){.kind = kind, .device = device, .model = model, .live = true};
    return &q->actions[at];
}

static void action_free(struct baseline *q, struct bl_action *a)
{
    a->live = false;
    a->next_free = q->free_action;
    q->free_action = (uint32_t)(a - q->actions);
}

static void send(struct baseline *q, int64_t now, struct bl_action *a)
{
    uint64_t cookies[POLICY_MAX_BATCH];
    const struct bl_model *m = &q->models[a->model];
    for (uint32_t i = 0; i < a->n; i++)
        cookies[i] = q->requests[a->requests[i]].cookie;
    struct policy_action out = {.id = (uint64_t)(a - q->actions),
                                .kind = a->kind,
                                .device = a->device,
                                .model = a->model,
                                .earliest_ns = now,
                                .latest_ns = POLICY_NEVER,
                                .expected_ns = a->kind == POLICY_INFER ? m->cost.exec_ns[a->batch]
                                                                       : m->cost.load_ns,
                                .batch = policy_batch_size[a->batch],
                                .n = a->n,
                                .cookies = cookies};
    a->sent = now;
    q->ports.act(q->ports.self, &out);
}

/* ---- loads ---- */

static uint32_t least_used(const struct baseline *q, uint32_t device)
{
    uint32_t oldest = BL_NONE;
    for (uint32_t m = 0; m < q->n_models; m++) {
        const struct bl_copy *c = bl_copy_of(q, m, device);
        if (c->loaded && c->inflight == 0 && !c->plan &&
            (oldest == BL_NONE || c->used < bl_copy_of(q, oldest, device)->used))
            oldest = m;
    }
    return oldest;
}

void bl_load(struct baseline *q, int64_t now, uint32_t model, uint32_t device)
{
    struct bl_model *m = &q->models[model];
    struct bl_device *d = &q->devices[device];
    struct bl_copy *c = bl_copy_of(q, model, device);
    if (!d->up || c->loaded || c->loading || d->pages < m->cost.pages)
        return;
    while (d->pages_free < m->cost.pages) {
        uint32_t victim = least_used(q, device);
        if (victim == BL_NONE)
            return; /* tried again when work ends */
        bl_copy_of(q, victim, device)->loaded = false;
        q->models[victim].copies--;
        d->pages_free += q->models[victim].cost.pages;
        struct bl_action *a = action_new(q, POLICY_UNLOAD, device, victim);
        send(q, now, a);
        action_free(q, a);
    }
    d->pages_free -= m->cost.pages;
    d->loads++;
    c->loading = true;
    m->copies++;
    send(q, now, action_new(q, POLICY_LOAD, device, model));
}

#define WORK_TAU_NS 1e10

static double work_of(const struct bl_device *d, int64_t now)
{
    return d->work * exp(-(double)(now - d->work_at) / WORK_TAU_NS);
}

/* By need, where the fewest loads wait, and of those where the least is executed. */
static void load_somewhere(struct baseline *q, int64_t now, uint32_t model)
{
    uint32_t best = BL_NONE;
    for (uint32_t i = 0; i < q->n_devices; i++) {
        const struct bl_device *d = &q->devices[i], *b = best == BL_NONE ? NULL : &q->devices[best];
        if (!d->up || d->pages < q->models[model].cost.pages)
            continue;
        if (!b || d->loads < b->loads ||
            (d->loads == b->loads && work_of(d, now) < work_of(b, now)))
            best = i;
    }
    if (best != BL_NONE)
        bl_load(q, now, model, best);
}

/* Where so many replicas of all models fit they have their homes from the start. */
static void place(struct baseline *q)
{
    uint32_t replicas = q->params.replicas ? q->params.replicas : (uint32_t)q->n_devices;
    replicas = AC_MIN(replicas, (uint32_t)q->n_devices);
    q->placed = true;
    for (uint32_t d = 0; d < q->n_devices; d++) {
        uint64_t pages = 0;
        for (uint32_t m = 0; m < q->n_models; m++)
            if ((d + q->n_devices - m % q->n_devices) % q->n_devices < replicas)
                pages += q->models[m].cost.pages;
        if (pages > q->devices[d].pages)
            return;
    }
    for (uint32_t m = 0; m < q->n_models; m++)
        for (uint32_t r = 0; r < replicas; r++)
            bl_copy_of(q, m, (uint32_t)((m + r) % q->n_devices))->home = true;
}

static void load_as_needed(struct baseline *q, int64_t now, uint32_t model)
{
    for (uint32_t d = 0; d < q->n_devices; d++)
        if (bl_copy_of(q, model, d)->home)
            bl_load(q, now, model, d);
    if (q->models[model].copies == 0)
        load_somewhere(q, now, model);
}

static void load_waiting(struct baseline *q, int64_t now)
{
    for (uint32_t i = 0; i < q->n_active; i++)
        if (q->models[q->active[i]].copies == 0)
            load_somewhere(q, now, q->active[i]);
}

/* ---- batches ---- */

uint32_t bl_batch_for(const struct bl_model *m, uint32_t n)
{
    uint32_t b = 0;
    while (b < POLICY_BATCHES - 1 && (m->cost.exec_ns[b] == 0 || policy_batch_size[b] < n))
        b++;
    return b;
}

uint32_t bl_idle_copy(const struct baseline *q, uint32_t model, uint32_t inflight)
{
    uint32_t best = BL_NONE;
    for (uint32_t d = 0; d < q->n_devices; d++) {
        const struct bl_copy *c = bl_copy_of(q, model, d);
        if (c->loaded && c->inflight < inflight &&
            (best == BL_NONE || q->devices[d].outstanding < q->devices[best].outstanding))
            best = d;
    }
    return best;
}

void bl_drop(struct baseline *q, uint32_t model)
{
    answer(q, dequeue(q, model), &(struct policy_reply){.outcome = POLICY_EXPIRED});
}

void bl_send(struct baseline *q, int64_t now, uint32_t model, uint32_t device, uint32_t n)
{
    struct bl_model *m = &q->models[model];
    struct bl_device *d = &q->devices[device];
    struct bl_copy *c = bl_copy_of(q, model, device);
    struct bl_action *a = action_new(q, POLICY_INFER, device, model);
    a->batch = bl_batch_for(m, n);
    a->n = AC_MIN(n, policy_batch_size[a->batch]);
    for (uint32_t i = 0; i < a->n; i++)
        a->requests[i] = dequeue(q, model);
    c->inflight++;
    c->used = now;
    d->inflight++;
    d->outstanding += m->cost.exec_ns[a->batch];
    d->work = work_of(d, now) + (double)m->cost.exec_ns[a->batch];
    d->work_at = now;
    send(q, now, a);
}

/* ---- doors ---- */

static void *create(const struct bl_style *style, const void *config,
                    const struct policy_ports *ports)
{
    const struct sched_config *cfg = config;
    struct baseline *q = ac_xcalloc(1, sizeof(*q));
    q->ports = *ports;
    q->style = style;
    q->params = cfg->baseline ? *cfg->baseline : style->params;
    q->epoch = AC_NS_PER_S;
    q->net_ns = cfg->net_ns;
    q->max_requests = cfg->max_requests;
    q->requests = ac_xcalloc(q->max_requests, sizeof(*q->requests));
    q->free_request = q->free_action = BL_NONE;
    for (uint32_t i = q->max_requests; i-- > 0;) {
        q->requests[i].next = q->free_request;
        q->free_request = i;
    }
    return q;
}

static void destroy(void *p)
{
    struct baseline *q = p;
    free(q->requests);
    free(q->models);
    free(q->devices);
    free(q->copies);
    free(q->actions);
    free(q->active);
    free(q);
}

static uint32_t device_add(void *p)
{
    struct baseline *q = p;
    AC_ASSERT(q->n_models == 0);
    ac_grow(&q->devices, &q->cap_devices, q->n_devices + 1, sizeof(*q->devices));
    q->devices[q->n_devices] = (struct bl_device){0};
    return (uint32_t)q->n_devices++;
}

static uint32_t model_add(void *p)
{
    struct baseline *q = p;
    size_t old = q->cap_models;
    ac_grow(&q->models, &q->cap_models, q->n_models + 1, sizeof(*q->models));
    if (old != q->cap_models) {
        size_t n = q->cap_models * q->n_devices;
        q->copies = ac_xrealloc(q->copies, ac_mul_size(n, sizeof(*q->copies)));
        memset(q->copies + old * q->n_devices, 0, (n - old * q->n_devices) * sizeof(*q->copies));
        q->active = ac_xrealloc(q->active, ac_mul_size(q->cap_models, sizeof(*q->active)));
    }
    q->models[q->n_models] = (struct bl_model){.head = BL_NONE, .tail = BL_NONE, .active = BL_NONE};
    return (uint32_t)q->n_models++;
}

static void device_up(void *p, int64_t now, uint32_t device, uint32_t pages)
{
    struct baseline *q = p;
    (void)now;
    q->devices[device] = (struct bl_device){.up = true, .pages = pages, .pages_free = pages};
}

static void device_down(void *p, int64_t now, uint32_t device)
{
    struct baseline *q = p;
    q->devices[device] = (struct bl_device){0};
    for (uint32_t i = 0; i < q->n_actions; i++) {
        struct bl_action *a = &q->actions[i];
        if (!a->live || a->device != device)
            continue;
        for (uint32_t k = 0; k < a->n; k++)
            answer(q, a->requests[k], &(struct policy_reply){.outcome = POLICY_ERROR});
        action_free(q, a);
    }
    for (uint32_t m = 0; m < q->n_models; m++) {
        struct bl_copy *c = bl_copy_of(q, m, device);
        q->models[m].copies -= c->loaded || c->loading;
        q->models[m].planned -= c->loaded && c->plan;
        *c = (struct bl_copy){.home = c->home};
    }
    load_waiting(q, now);
}

static void model_able(void *p, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost)
{
    struct baseline *q = p;
    (void)now;
    (void)device;
    q->models[model].cost = *cost;
}

static void arrive(void *p, int64_t now, const struct policy_request *r)
{
    struct baseline *q = p;
    struct bl_model *m = &q->models[r->model];
    uint32_t at = q->free_request;
    if (at == BL_NONE || r->rows != 1) {
        struct policy_reply no = {.cookie = r->cookie,
                                  .outcome = r->rows == 1 ? POLICY_FULL : POLICY_ERROR};
        q->ports.reply(q->ports.self, &no);
        return;
    }
    q->free_request = q->requests[at].next;
    bool cold = true;
    for (uint32_t d = 0; d < q->n_devices && cold; d++)
        cold = !bl_copy_of(q, r->model, d)->loaded;
    q->requests[at] = (struct bl_waiting){.cookie = r->cookie,
                                          .came = now,
                                          .due = r->deadline_ns,
                                          .model = r->model,
                                          .next = BL_NONE,
                                          .cold = cold};
    m->objective = r->deadline_ns - now;
    m->arrivals++;
    enqueue(q, at);
    if (!q->placed)
        place(q);
    load_as_needed(q, now, r->model);
    q->style->run(q, now, r->model);
}

static void infer_result(struct baseline *q, int64_t now, const struct bl_action *a,
                         const struct policy_result *r)
{
    struct bl_device *d = &q->devices[a->device];
    bl_copy_of(q, a->model, a->device)->inflight--;
    d->inflight--;
    d->outstanding -= q->models[a->model].cost.exec_ns[a->batch];
    if (q->style->answered)
        q->style->answered(q, now, a);
    for (uint32_t i = 0; i < a->n; i++) {
        struct policy_reply out = {.outcome = r->status != POLICY_DONE ? POLICY_ERROR
                                              : now > q->requests[a->requests[i]].due
                                                  ? POLICY_LATE
                                                  : POLICY_ON_TIME,
                                   .action = r->id,
                                   .slot = i};
        answer(q, a->requests[i], &out);
    }
}

static void load_result(struct baseline *q, int64_t now, const struct bl_action *a,
                        const struct policy_result *r)
{
    struct bl_device *d = &q->devices[a->device];
    struct bl_model *m = &q->models[a->model];
    struct bl_copy *c = bl_copy_of(q, a->model, a->device);
    d->loads--;
    c->loading = false;
    c->loaded = r->status == POLICY_DONE;
    c->used = now;
    m->planned += c->loaded && c->plan;
    if (c->loaded)
        return;
    m->copies--;
    d->pages_free += m->cost.pages;
}

static void result(void *p, int64_t now, const struct policy_result *r)
{
    struct baseline *q = p;
    if (r->id >= q->n_actions || !q->actions[r->id].live)
        return;
    struct bl_action a = q->actions[r->id];
    action_free(q, &q->actions[r->id]);
    if (a.kind == POLICY_INFER)
        infer_result(q, now, &a, r);
    else
        load_result(q, now, &a, r);
    q->style->run(q, now, BL_NONE);
    load_waiting(q, now);
}

static int64_t next_wake(void *p)
{
    const struct baseline *q = p;
    return q->style->wake_at ? q->style->wake_at(q) : POLICY_NEVER;
}

static void wake(void *p, int64_t now)
{
    struct baseline *q = p;
    q->style->run(q, now, BL_NONE);
}

#define POLICY(ID)                                                                                 \
    static void *create_##ID(const void *config, const struct policy_ports *ports)                 \
    {                                                                                              \
        return create(&bl_##ID, config, ports);                                                    \
    }                                                                                              \
    const struct policy_ops policy_##ID = {.name = #ID,                                            \
                                           .create = create_##ID,                                  \
                                           .destroy = destroy,                                     \
                                           .device_add = device_add,                               \
                                           .model_add = model_add,                                 \
                                           .device_up = device_up,                                 \
                                           .device_down = device_down,                             \
                                           .model_able = model_able,                               \
                                           .arrive = arrive,                                       \
                                           .result = result,                                       \
                                           .next_wake = next_wake,                                 \
                                           .wake = wake}

POLICY(fifo);
POLICY(clipper);
POLICY(triton);
POLICY(nexus);
