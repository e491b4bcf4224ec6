/* The baseline "fifo": one request at a time in order of arrival on the device with the least
 * outstanding work among those that hold the model, nothing dropped, least recently used models
 * leave. */
#include "sched.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define NONE UINT32_MAX

struct pending {
    uint64_t cookie;
    int64_t due;
    uint32_t model, next;
    bool cold;
};

struct fifo_model {
    struct policy_cost cost;
    uint8_t batch;
    uint32_t head, tail; /* requests that wait for a load */
    bool loading;
};

struct fifo_copy { /* of one model on one device */
    bool loaded;
    uint32_t inflight;
    int64_t used;
};

struct fifo_action {
    uint32_t device, model, request, next_free;
    enum policy_action_kind kind;
    bool live;
};

struct fifo_device {
    bool up;
    uint32_t pages, pages_free, loads;
    int64_t outstanding;
};

struct fifo {
    struct policy_ports ports;
    struct pending *requests;
    uint32_t free_request, max_requests;
    struct fifo_model *models;
    struct fifo_device *devices;
    struct fifo_copy *copies; /* [model * cap_devices + device] */
    size_t n_models, cap_models, n_devices, cap_devices;
    struct fifo_action *actions;
    size_t n_actions, cap_actions;
    uint32_t free_action;
    int64_t net;
};

static void *create(const void *config, const struct policy_ports *ports)
{
    const struct sched_config *cfg = config;
    struct fifo *f = ac_xcalloc(1, sizeof(*f));
    f->ports = *ports;
    f->max_requests = cfg->max_requests;
    f->requests = ac_xcalloc(f->max_requests, sizeof(*f->requests));
    f->free_request = NONE;
    for (uint32_t i = f->max_requests; i-- > 0;) {
        f->requests[i].next = f->free_request;
        f->free_request = i;
    }
    f->free_action = NONE;
    f->cap_devices = 1024;
    f->devices = ac_xcalloc(f->cap_devices, sizeof(*f->devices));
    f->net = cfg->net_ns;
    return f;
}

static void destroy(void *p)
{
    struct fifo *f = p;
    free(f->requests);
    free(f->models);
    free(f->devices);
    free(f->copies);
    free(f->actions);
    free(f);
}

static uint32_t device_add(void *p)
{
    struct fifo *f = p;
    AC_ASSERT(f->n_devices < f->cap_devices && f->n_models == 0);
    return (uint32_t)f->n_devices++;
}

static uint32_t model_add(void *p)
{
    struct fifo *f = p;
    size_t old = f->cap_models;
    ac_grow(&f->models, &f->cap_models, f->n_models + 1, sizeof(*f->models));
    if (old != f->cap_models) {
        f->copies =
            ac_xrealloc(f->copies, ac_mul_size(f->cap_models * f->n_devices, sizeof(*f->copies)));
        memset(f->copies + old * f->n_devices, 0,
               (f->cap_models - old) * f->n_devices * sizeof(*f->copies));
    }
    f->models[f->n_models] = (struct fifo_model){.head = NONE, .tail = NONE};
    return (uint32_t)f->n_models++;
}

static struct fifo_copy *copy_of(struct fifo *f, uint32_t model, uint32_t device)
{
    return &f->copies[(size_t)model * f->n_devices + device];
}

static void act(struct fifo *f, int64_t now, enum policy_action_kind kind, uint32_t device,
                uint32_t model, uint32_t request)
{
    uint32_t at = f->free_action;
    if (at == NONE) {
        ac_grow(&f->actions, &f->cap_actions, f->n_actions + 1, sizeof(*f->actions));
        at = (uint32_t)f->n_actions++;
    } else {
        f->free_action = f->actions[at].next_free;
    }
    f->actions[at] = (struct fifo_action){.device = device,
                                          .model = model,
                                          .request = request,
                                          .kind = kind,
                                          .live = kind != POLICY_UNLOAD};
    const struct fifo_model *m = &f->models[model];
    struct policy_action a = {.id = at,
                              .kind = kind,
                              .device = device,
                              .model = model,
                              .earliest_ns = now,
                              .latest_ns = POLICY_NEVER,
                              .expected_ns = kind == POLICY_INFER ? m->cost.exec_ns[m->batch]
                                                                  : m->cost.load_ns,
                              .batch = policy_batch_size[m->batch],
                              .n = kind == POLICY_INFER,
                              .cookies = request != NONE ? &f->requests[request].cookie : NULL};
    if (kind == POLICY_UNLOAD) {
        f->actions[at].next_free = f->free_action;
        f->free_action = at;
    }
    f->ports.act(f->ports.self, &a);
}

static void infer(struct fifo *f, int64_t now, uint32_t device, uint32_t model, uint32_t request)
{
    struct fifo_copy *c = copy_of(f, model, device);
    c->inflight++;
    c->used = now;
    f->devices[device].outstanding += f->models[model].cost.exec_ns[f->models[model].batch];
    act(f, now, POLICY_INFER, device, model, request);
}

static void finish(struct fifo *f, uint32_t request, struct policy_reply *r)
{
    struct pending *q = &f->requests[request];
    r->cookie = q->cookie;
    r->cold = q->cold;
    q->next = f->free_request;
    f->free_request = request;
    f->ports.reply(f->ports.self, r);
}

static void start_load(struct fifo *f, int64_t now, uint32_t model)
{
    struct fifo_model *m = &f->models[model];
    uint32_t best = NONE;
    for (uint32_t d = 0; d < f->n_devices; d++)
        if (f->devices[d].up && (best == NONE || f->devices[d].loads < f->devices[best].loads))
            best = d;
    if (best == NONE)
        return;
    struct fifo_device *d = &f->devices[best];
    while (d->pages_free < m->cost.pages) {
        uint32_t oldest = NONE;
        for (uint32_t i = 0; i < f->n_models; i++) {
            struct fifo_copy *c = copy_of(f, i, best);
            if (c->loaded && c->inflight == 0 &&
                (oldest == NONE || c->used < copy_of(f, oldest, best)->used))
                oldest = i;
        }
        if (oldest == NONE)
            return; /* tried again when work ends */
        copy_of(f, oldest, best)->loaded = false;
        d->pages_free += f->models[oldest].cost.pages;
        act(f, now, POLICY_UNLOAD, best, oldest, NONE);
    }
    d->pages_free -= m->cost.pages;
    d->loads++;
    m->loading = true;
    act(f, now, POLICY_LOAD, best, model, NONE);
}

static void device_up(void *p, int64_t now, uint32_t device, uint32_t pages)
{
    (void)now;
    struct fifo *f = p;
    f->devices[device] = (struct fifo_device){.up = true, .pages = pages, .pages_free = pages};
}

static void device_down(void *p, int64_t now, uint32_t device)
{
    struct fifo *f = p;
    f->devices[device].up = false;
    for (uint32_t i = 0; i < f->n_actions; i++) {
        struct fifo_action *a = &f->actions[i];
        if (!a->live || a->device != device)
            continue;
        a->live = false;
        if (a->kind == POLICY_LOAD) {
            f->models[a->model].loading = false;
            continue;
        }
        struct policy_reply r = {.outcome = POLICY_ERROR};
        finish(f, a->request, &r);
    }
    for (uint32_t m = 0; m < f->n_models; m++) {
        *copy_of(f, m, device) = (struct fifo_copy){0};
        if (f->models[m].head != NONE && !f->models[m].loading)
            start_load(f, now, m);
    }
}

static void model_able(void *p, int64_t now, uint32_t model, uint32_t device,
                       const struct policy_cost *cost)
{
    (void)now;
    (void)device;
    struct fifo *f = p;
    struct fifo_model *m = &f->models[model];
    m->cost = *cost;
    m->batch = 0;
    while (m->batch < POLICY_BATCHES - 1 && cost->exec_ns[m->batch] == 0)
        m->batch++;
}

static void arrive(void *p, int64_t now, const struct policy_request *r)
{
    struct fifo *f = p;
    struct fifo_model *m = &f->models[r->model];
    uint32_t at = f->free_request;
    if (at == NONE) {
        struct policy_reply out = {.cookie = r->cookie, .outcome = POLICY_FULL};
        f->ports.reply(f->ports.self, &out);
        return;
    }
    f->free_request = f->requests[at].next;
    uint32_t best = NONE;
    for (uint32_t d = 0; d < f->n_devices; d++)
        if (copy_of(f, r->model, d)->loaded &&
            (best == NONE || f->devices[d].outstanding < f->devices[best].outstanding))
            best = d;
    f->requests[at] = (struct pending){.cookie = r->cookie,
                                       .due = r->deadline_ns,
                                       .model = r->model,
                                       .next = NONE,
                                       .cold = best == NONE};
    if (best != NONE) {
        infer(f, now, best, r->model, at);
        return;
    }
    if (m->tail == NONE)
        m->head = at;
    else
        f->requests[m->tail].next = at;
    m->tail = at;
    if (!m->loading)
        start_load(f, now, r->model);
}

static void result(void *p, int64_t now, const struct policy_result *r)
{
    struct fifo *f = p;
    if (r->id >= f->n_actions || !f->actions[r->id].live)
        return;
    struct fifo_action a = f->actions[r->id];
    f->actions[r->id].live = false;
    f->actions[r->id].next_free = f->free_action;
    f->free_action = (uint32_t)r->id;
    struct fifo_model *m = &f->models[a.model];
    struct fifo_device *d = &f->devices[a.device];
    if (a.kind == POLICY_LOAD) {
        d->loads--;
        m->loading = false;
        copy_of(f, a.model, a.device)->loaded = true;
        while (m->head != NONE) {
            uint32_t req = m->head;
            m->head = f->requests[req].next;
            infer(f, now, a.device, a.model, req);
        }
        m->tail = NONE;
        return;
    }
    copy_of(f, a.model, a.device)->inflight--;
    d->outstanding -= m->cost.exec_ns[m->batch];
    struct policy_reply out = {.outcome = r->status != POLICY_DONE           ? POLICY_ERROR
                                          : now > f->requests[a.request].due ? POLICY_LATE
                                                                             : POLICY_ON_TIME,
                               .action = r->id};
    finish(f, a.request, &out);
}

static int64_t next_wake(void *p)
{
    (void)p;
    return POLICY_NEVER;
}

static void wake(void *p, int64_t now)
{
    (void)p;
    (void)now;
}

const struct policy_ops policy_fifo = {
    .name = "fifo",
    .create = create,
    .destroy = destroy,
    .device_add = device_add,
    .model_add = model_add,
    .device_up = device_up,
    .device_down = device_down,
    .model_able = model_able,
    .arrive = arrive,
    .result = result,
    .next_wake = next_wake,
    .wake = wake,
};
