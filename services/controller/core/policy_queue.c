/* Baselines that keep one queue a model and plan nothing: sketches in the style of known servers,
 * untuned, to be read as indicative.
 *   fifo     one request at a time, at once, nothing dropped
 *   clipper  batches that grow by one while they meet the objective and shrink by a tenth
 *   triton   waits up to 5 ms for a full batch; drops what has expired in the queue
 *   nexus    the batch that twice its execution allows for; drops heads that cannot be met
 * All send to the device with the least before it among those that hold the model; a model that is
 * nowhere is loaded, and the least recently used ones leave. */
#include "sched.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define NONE UINT32_MAX

struct style {
    const char *name;
    uint32_t depth; /* executions given to one device at a time */
    int64_t delay_ns;
    bool grows, halves, expires, drops_early; /* clipper; nexus; triton; nexus */
};

struct waiting {
    uint64_t cookie;
    int64_t came, due;
    uint32_t model, next;
    bool cold;
};

struct q_model {
    struct policy_cost cost;
    uint32_t head, tail, n;
    uint32_t active; /* place among those with a queue, or NONE */
    bool loading;
    double batch, rate; /* clipper's size; requests a second */
    int64_t rate_at;
};

struct q_copy { /* of one model on one device */
    bool loaded;
    uint32_t inflight;
    int64_t used;
};

struct q_action {
    enum policy_action_kind kind;
    uint32_t device, model, n, batch, next_free;
    int64_t sent;
    bool live;
    uint32_t requests[POLICY_MAX_BATCH];
};

struct q_device {
    bool up;
    uint32_t pages, pages_free, loads, inflight;
    int64_t outstanding;
};

struct queues {
    struct policy_ports ports;
    const struct style *style;
    int64_t net_ns;
    struct waiting *requests;
    uint32_t free_request, max_requests;
    struct q_model *models;
    struct q_device *devices;
    struct q_copy *copies; /* [model * n_devices + device] */
    size_t n_models, cap_models, n_devices, cap_devices;
    struct q_action *actions;
    size_t n_actions, cap_actions;
    uint32_t free_action, *active, n_active;
};

static struct q_copy *copy_of(const struct queues *q, uint32_t model, uint32_t device)
{
    return &q->copies[(size_t)model * q->n_devices + device];
}

/* ---- requests and actions ---- */

static void enqueue(struct queues *q, uint32_t request)
{
    struct q_model *m = &q->models[q->requests[request].model];
    if (m->tail == NONE)
        m->head = request;
    else
        q->requests[m->tail].next = request;
    m->tail = request;
    if (m->n++ == 0) {
        m->active = q->n_active;
        q->active[q->n_active++] = q->requests[request].model;
    }
}

static uint32_t dequeue(struct queues *q, uint32_t model)
{
    struct q_model *m = &q->models[model];
    uint32_t request = m->head;
    m->head = q->requests[request].next;
    if (m->head == NONE)
        m->tail = NONE;
    if (--m->n == 0) {
        uint32_t last = q->active[--q->n_active];
        q->active[m->active] = last;
        q->models[last].active = m->active;
        m->active = NONE;
    }
    return request;
}

static void answer(struct queues *q, uint32_t request, struct policy_reply *r)
{
    struct waiting *w = &q->requests[request];
    r->cookie = w->cookie;
    r->cold = w->cold;
    w->next = q->free_request;
    q->free_request = request;
    q->ports.reply(q->ports.self, r);
}

static struct q_action *action_new(struct queues *q, enum policy_action_kind kind, uint32_t device,
                                   uint32_t model)
{
    uint32_t at = q->free_action;
    if (at == NONE) {
        ac_grow(&q->actions, &q->cap_actions, q->n_actions + 1, sizeof(*q->actions));
        at = (uint32_t)q->n_actions++;
    } else {
        q->free_action = q->actions[at].next_free;
    }
    q->actions[at] =
        (struct q_action){.kind = kind, .device = device, .model = model, .live = true};
    return &q->actions[at];
}

static void action_free(struct queues *q, struct q_action *a)
{
    a->live = false;
    a->next_free = q->free_action;
    q->free_action = (uint32_t)(a - q->actions);
}

static void send(struct queues *q, int64_t now, struct q_action *a)
{
    uint64_t cookies[POLICY_MAX_BATCH];
    const struct q_model *m = &q->models[a->model];
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

static uint32_t least_used(const struct queues *q, uint32_t device)
{
    uint32_t oldest = NONE;
    for (uint32_t m = 0; m < q->n_models; m++) {
        const struct q_copy *c = copy_of(q, m, device);
        if (c->loaded && c->inflight == 0 &&
            (oldest == NONE || c->used < copy_of(q, oldest, device)->used))
            oldest = m;
    }
    return oldest;
}

/* Where nothing can leave, it is tried again when work ends. */
static void load(struct queues *q, int64_t now, uint32_t model)
{
    struct q_model *m = &q->models[model];
    uint32_t best = NONE;
    for (uint32_t d = 0; d < q->n_devices; d++)
        if (q->devices[d].up && q->devices[d].pages >= m->cost.pages &&
            (best == NONE || q->devices[d].loads < q->devices[best].loads))
            best = d;
    if (best == NONE)
        return;
    struct q_device *d = &q->devices[best];
    while (d->pages_free < m->cost.pages) {
        uint32_t victim = least_used(q, best);
        if (victim == NONE)
            return;
        copy_of(q, victim, best)->loaded = false;
        d->pages_free += q->models[victim].cost.pages;
        struct q_action *a = action_new(q, POLICY_UNLOAD, best, victim);
        send(q, now, a);
        action_free(q, a);
    }
    d->pages_free -= m->cost.pages;
    d->loads++;
    m->loading = true;
    send(q, now, action_new(q, POLICY_LOAD, best, model));
}

/* ---- batches ---- */

static double rate_of(const struct q_model *m, int64_t now)
{
    return m->rate * exp(-(double)(now - m->rate_at) * 1e-9);
}

/* Largest compiled batch whose execution, twice, keeps within the objective, and that the rate
 * fills in half of it. */
static uint32_t halves_target(const struct q_model *m, int64_t objective, int64_t now)
{
    uint32_t best = 1;
    double fills = rate_of(m, now) * (double)objective * 0.5e-9;
    for (uint32_t b = 0; b < POLICY_BATCHES; b++)
        if (m->cost.exec_ns[b] && 2 * m->cost.exec_ns[b] <= objective &&
            policy_batch_size[b] <= fills)
            best = policy_batch_size[b];
    return best;
}

static uint32_t target(const struct queues *q, const struct q_model *m, int64_t now)
{
    const struct waiting *w = &q->requests[m->head];
    if (q->style->grows)
        return (uint32_t)m->batch;
    if (q->style->halves)
        return halves_target(m, w->due - w->came, now);
    return q->style->delay_ns ? POLICY_MAX_BATCH : 1;
}

/** When the model's queue is to be served, if nothing more comes. */
static int64_t ready_at(const struct queues *q, const struct q_model *m, int64_t now)
{
    const struct waiting *w = &q->requests[m->head];
    if (m->n >= target(q, m, now))
        return w->came;
    if (q->style->halves)
        return w->came + (w->due - w->came) / 2;
    return w->came + q->style->delay_ns;
}

static uint32_t batch_for(const struct q_model *m, uint32_t n)
{
    uint32_t b = 0;
    while (b < POLICY_BATCHES - 1 && (m->cost.exec_ns[b] == 0 || policy_batch_size[b] < n))
        b++;
    return b;
}

static uint32_t best_device(const struct queues *q, uint32_t model)
{
    uint32_t best = NONE;
    for (uint32_t d = 0; d < q->n_devices; d++)
        if (copy_of(q, model, d)->loaded && q->devices[d].inflight < q->style->depth &&
            (best == NONE || q->devices[d].outstanding < q->devices[best].outstanding))
            best = d;
    return best;
}

static void drop(struct queues *q, uint32_t model, int64_t now, int64_t start)
{
    struct q_model *m = &q->models[model];
    while (m->n) {
        const struct waiting *w = &q->requests[m->head];
        uint32_t b = batch_for(m, AC_MIN(m->n, target(q, m, now)));
        bool lost = (q->style->expires && w->due < now) ||
                    (q->style->drops_early && w->due < start + m->cost.exec_ns[b] + q->net_ns);
        if (!lost)
            return;
        answer(q, dequeue(q, model), &(struct policy_reply){.outcome = POLICY_EXPIRED});
    }
}

/* Serves the model's queue once; false when it has to wait. */
static bool serve(struct queues *q, int64_t now, uint32_t model)
{
    struct q_model *m = &q->models[model];
    uint32_t device = m->n ? best_device(q, model) : NONE;
    if (device == NONE || ready_at(q, m, now) > now)
        return false;
    struct q_device *d = &q->devices[device];
    drop(q, model, now, now + q->net_ns + d->outstanding);
    if (m->n == 0)
        return false;
    struct q_action *a = action_new(q, POLICY_INFER, device, model);
    uint32_t n = AC_MIN(m->n, AC_MAX(target(q, m, now), 1u));
    a->batch = batch_for(m, n);
    a->n = AC_MIN(n, policy_batch_size[a->batch]);
    for (uint32_t i = 0; i < a->n; i++)
        a->requests[i] = dequeue(q, model);
    struct q_copy *c = copy_of(q, model, device);
    c->inflight++;
    c->used = now;
    d->inflight++;
    d->outstanding += m->cost.exec_ns[a->batch];
    send(q, now, a);
    return true;
}

/* Oldest heads first, until no device takes more. */
static void serve_all(struct queues *q, int64_t now)
{
    for (;;) {
        uint32_t best = NONE;
        for (uint32_t i = 0; i < q->n_active; i++) {
            uint32_t id = q->active[i];
            const struct q_model *m = &q->models[id];
            if (best != NONE && q->requests[m->head].came >= q->requests[q->models[best].head].came)
                continue;
            if (best_device(q, id) != NONE && ready_at(q, m, now) <= now)
                best = id;
        }
        if (best == NONE)
            return;
        (void)serve(q, now, best);
    }
}

static void load_waiting(struct queues *q, int64_t now)
{
    for (uint32_t i = 0; i < q->n_active; i++) {
        uint32_t id = q->active[i];
        bool there = q->models[id].loading;
        for (uint32_t d = 0; d < q->n_devices && !there; d++)
            there = copy_of(q, id, d)->loaded;
        if (!there)
            load(q, now, id);
    }
}

/* ---- doors ---- */

static void *create(const struct style *style, const void *config, const struct policy_ports *ports)
{
    const struct sched_config *cfg = config;
    struct queues *q = ac_xcalloc(1, sizeof(*q));
    q->ports = *ports;
    q->style = style;
    q->net_ns = cfg->net_ns;
    q->max_requests = cfg->max_requests;
    q->requests = ac_xcalloc(q->max_requests, sizeof(*q->requests));
    q->free_request = q->free_action = NONE;
    for (uint32_t i = q->max_requests; i-- > 0;) {
        q->requests[i].next = q->free_request;
        q->free_request = i;
    }
    return q;
}

static void destroy(void *p)
{
    struct queues *q = p;
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
    struct queues *q = p;
    AC_ASSERT(q->n_models == 0);
    ac_grow(&q->devices, &q->cap_devices, q->n_devices + 1, sizeof(*q->devices));
    q->devices[q->n_devices] = (struct q_device){0};
    return (uint32_t)q->n_devices++;
}

static uint32_t model_add(void *p)
{
    struct queues *q = p;
    size_t old = q->cap_models;
    ac_grow(&q->models, &q->cap_models, q->n_models + 1, sizeof(*q->models));
    if (old != q->cap_models) {
        size_t n = q->cap_models * q->n_devices;
        q->copies = ac_xrealloc(q->copies, ac_mul_size(n, sizeof(*q->copies)));
        memset(q->copies + old * q->n_devices, 0, (n - old * q->n_devices) * sizeof(*q->copies));
        q->active = ac_xrealloc(q->active, ac_mul_size(q->cap_models, sizeof(*q->active)));
    }
    q->models[q->n_models] =
        (struct q_model){.head = NONE, .tail = NONE, .active = NONE, .batch = 1};
    return (uint32_t)q->n_models++;
}

static void device_up(void *p, int64_t now, uint32_t device, uint32_t pages)
{
    struct queues *q = p;
    (void)now;
    q->devices[device] = (struct q_device){.up = true, .pages = pages, .pages_free = pages};
}

static void device_down(void *p, int64_t now, uint32_t device)
{
    struct queues *q = p;
    q->devices[device] = (struct q_device){0};
    for (uint32_t i = 0; i < q->n_actions; i++) {
        struct q_action *a = &q->actions[i];
        if (!a->live || a->device != device)
            continue;
        if (a->kind == POLICY_LOAD)
            q->models[a->model].loading = false;
        for (uint32_t k = 0; k < a->n; k++)
            answer(q, a->requests[k], &(struct policy_reply){.outcome = POLICY_ERROR});
        action_free(q, a);
    }
    for (uint32_t m = 0; m < q->n_models; m++)
        *copy_of(q, m, device) = (struct q_copy){0};
    load_waiting(q, now);
}

static void model_able(void *p, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost)
{
    struct queues *q = p;
    (void)now;
    (void)device;
    q->models[model].cost = *cost;
}

static void arrive(void *p, int64_t now, const struct policy_request *r)
{
    struct queues *q = p;
    struct q_model *m = &q->models[r->model];
    uint32_t at = q->free_request;
    if (at == NONE || r->rows != 1) {
        struct policy_reply no = {.cookie = r->cookie,
                                  .outcome = r->rows == 1 ? POLICY_FULL : POLICY_ERROR};
        q->ports.reply(q->ports.self, &no);
        return;
    }
    q->free_request = q->requests[at].next;
    bool cold = true;
    for (uint32_t d = 0; d < q->n_devices && cold; d++)
        cold = !copy_of(q, r->model, d)->loaded;
    q->requests[at] = (struct waiting){.cookie = r->cookie,
                                       .came = now,
                                       .due = r->deadline_ns,
                                       .model = r->model,
                                       .next = NONE,
                                       .cold = cold};
    m->rate = rate_of(m, now) + 1;
    m->rate_at = now;
    enqueue(q, at);
    if (cold && !m->loading)
        load(q, now, r->model);
    while (serve(q, now, r->model))
        ;
}

static void infer_result(struct queues *q, int64_t now, const struct q_action *a,
                         const struct policy_result *r)
{
    struct q_model *m = &q->models[a->model];
    struct q_device *d = &q->devices[a->device];
    const struct waiting *first = &q->requests[a->requests[0]];
    bool full = a->n >= (uint32_t)m->batch;
    if (full && now - a->sent <= first->due - first->came)
        m->batch = AC_MIN(m->batch + 1, POLICY_MAX_BATCH);
    else if (full)
        m->batch = AC_MAX(m->batch * 0.9, 1);
    copy_of(q, a->model, a->device)->inflight--;
    d->inflight--;
    d->outstanding -= m->cost.exec_ns[a->batch];
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

static void result(void *p, int64_t now, const struct policy_result *r)
{
    struct queues *q = p;
    if (r->id >= q->n_actions || !q->actions[r->id].live)
        return;
    struct q_action a = q->actions[r->id];
    action_free(q, &q->actions[r->id]);
    if (a.kind == POLICY_INFER) {
        infer_result(q, now, &a, r);
    } else {
        struct q_device *d = &q->devices[a.device];
        d->loads--;
        q->models[a.model].loading = false;
        copy_of(q, a.model, a.device)->loaded = r->status == POLICY_DONE;
        copy_of(q, a.model, a.device)->used = now;
        if (r->status != POLICY_DONE)
            d->pages_free += q->models[a.model].cost.pages;
    }
    serve_all(q, now);
    load_waiting(q, now);
}

static int64_t next_wake(void *p)
{
    const struct queues *q = p;
    int64_t at = POLICY_NEVER;
    if (q->style->delay_ns == 0 && !q->style->halves)
        return at;
    for (uint32_t i = 0; i < q->n_active; i++) {
        const struct q_model *m = &q->models[q->active[i]];
        const struct waiting *w = &q->requests[m->head];
        int64_t wait = q->style->halves ? (w->due - w->came) / 2 : q->style->delay_ns;
        if (best_device(q, q->active[i]) != NONE)
            at = AC_MIN(at, w->came + wait);
    }
    return at;
}

static void wake(void *p, int64_t now)
{
    serve_all(p, now);
}

#define STYLE(ID, ...)                                                                             \
    static const struct style style_##ID = {.name = #ID, __VA_ARGS__};                             \
    static void *create_##ID(const void *config, const struct policy_ports *ports)                 \
    {                                                                                              \
        return create(&style_##ID, config, ports);                                                 \
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

STYLE(fifo, .depth = UINT32_MAX);
STYLE(clipper, .depth = 2, .grows = true);
STYLE(triton, .depth = 2, .delay_ns = 5000000, .expires = true);
STYLE(nexus, .depth = 2, .halves = true, .drops_early = true);
