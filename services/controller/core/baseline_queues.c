/* Baselines that look at one queue at a time: fifo, clipper, triton. */
#include "baseline.h"

#include <aceso/base.h>
#include <aceso/clock.h>

/* Queue by queue, until none can be served. */
static void each(struct baseline *q, int64_t now, uint32_t model,
                 bool (*serve)(struct baseline *q, int64_t now, uint32_t model))
{
    if (model != BL_NONE) {
        while (q->models[model].n && serve(q, now, model))
            ;
        return;
    }
    /* Serving empties queues, which moves others into their place. */
    for (uint32_t i = 0; i < q->n_active;) {
        uint32_t id = q->active[i];
        while (q->models[id].n && serve(q, now, id))
            ;
        i += i < q->n_active && q->active[i] == id;
    }
}

static void drop_expired(struct baseline *q, int64_t now, uint32_t model)
{
    struct bl_model *m = &q->models[model];
    while (m->n && bl_head(q, m)->due <= now)
        bl_drop(q, model);
}

/* ---- fifo ---- */

static bool fifo_serve(struct baseline *q, int64_t now, uint32_t model)
{
    uint32_t device = bl_idle_copy(q, model, UINT32_MAX);
    if (device == BL_NONE)
        return false;
    bl_send(q, now, model, device, 1);
    return true;
}

static void fifo_run(struct baseline *q, int64_t now, uint32_t model)
{
    each(q, now, model, fifo_serve);
}

const struct bl_style bl_fifo = {.run = fifo_run};

/* ---- clipper ---- */

static uint32_t clipper_batch(const struct bl_copy *c)
{
    return (uint32_t)AC_MAX(c->batch, 1);
}

static bool clipper_serve(struct baseline *q, int64_t now, uint32_t model)
{
    struct bl_model *m = &q->models[model];
    drop_expired(q, now, model);
    uint32_t device = m->n ? bl_idle_copy(q, model, 1) : BL_NONE;
    if (device == BL_NONE)
        return false;
    uint32_t n = clipper_batch(bl_copy_of(q, model, device));
    if (m->n < n && now < bl_head(q, m)->came + q->params.delay_ns)
        return false;
    bl_send(q, now, model, device, AC_MIN(n, m->n));
    return true;
}

static void clipper_run(struct baseline *q, int64_t now, uint32_t model)
{
    each(q, now, model, clipper_serve);
}

static void clipper_answered(struct baseline *q, int64_t now, const struct bl_action *a)
{
    struct bl_copy *c = bl_copy_of(q, a->model, a->device);
    double aim = q->params.share * (double)q->models[a->model].objective;
    if ((double)(now - a->sent) > aim)
        c->batch = AC_MAX(c->batch * 0.9, 1);
    else if (a->n >= clipper_batch(c))
        c->batch = AC_MIN(clipper_batch(c) + 1.0, POLICY_MAX_BATCH);
}

/* When the delay of some head is over for which a replica is free. */
static int64_t delay_wake(const struct baseline *q, uint32_t instances)
{
    int64_t at = POLICY_NEVER;
    if (q->params.delay_ns == 0)
        return at;
    for (uint32_t i = 0; i < q->n_active; i++) {
        const struct bl_model *m = &q->models[q->active[i]];
        if (bl_idle_copy(q, q->active[i], instances) != BL_NONE)
            at = AC_MIN(at, bl_head(q, m)->came + q->params.delay_ns);
    }
    return at;
}

static int64_t clipper_wake(const struct baseline *q)
{
    return delay_wake(q, 1);
}

const struct bl_style bl_clipper = {.run = clipper_run,
                                    .answered = clipper_answered,
                                    .wake_at = clipper_wake,
                                    .params = {.share = 0.5}};

/* ---- triton ---- */

static bool triton_serve(struct baseline *q, int64_t now, uint32_t model)
{
    struct bl_model *m = &q->models[model];
    uint32_t preferred = q->params.preferred;
    drop_expired(q, now, model);
    uint32_t device = m->n ? bl_idle_copy(q, model, q->params.instances) : BL_NONE;
    if (device == BL_NONE)
        return false;
    uint32_t n = AC_MIN(m->n, (uint32_t)POLICY_MAX_BATCH);
    if (preferred && m->n >= preferred)
        n = preferred;
    else if (preferred && now < bl_head(q, m)->came + q->params.delay_ns)
        return false;
    bl_send(q, now, model, device, n);
    return true;
}

static void triton_run(struct baseline *q, int64_t now, uint32_t model)
{
    each(q, now, model, triton_serve);
}

static int64_t triton_wake(const struct baseline *q)
{
    return q->params.preferred ? delay_wake(q, q->params.instances) : POLICY_NEVER;
}

const struct bl_style bl_triton = {
    .run = triton_run, .wake_at = triton_wake, .params = {.instances = 1}};
