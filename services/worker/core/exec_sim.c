/* The simulated executor: real shapes, no arithmetic, time from a cost. Outputs are zero. */
#include "executor.h"
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define PARTS 8 /* of the weights; an execution does as much of its work with each */

struct sim {
    struct wk_executor base;
    struct wk_sim_config cfg;
};

static int sim_prepare(struct wk_executor *x, const struct wk_source *src, struct wk_model **ret_m,
                       struct ac_err *err)
{
    (void)x;
    struct wk_onnx onnx;
    struct wk_graph g;
    struct wk_model *m = ac_xcalloc(1, sizeof(*m));
    struct ac_arena *arena = ac_arena_create(WK_DESCRIPTION);
    int rc = wk_onnx_parse(src->bytes, src->len, arena, &onnx, err);
    if (rc == 0)
        rc = wk_graph_build(&onnx, 1, arena, &g, err);
    if (rc == 0)
        rc = wk_model_describe(&g, &m->info, err);
    ac_arena_destroy(arena);
    if (rc) {
        free(m);
        return rc;
    }
    m->info.weights_bytes = src->len;
    m->there = WK_NONE_COMES;
    for (uint32_t b = 0; b < WK_BATCHES; b++)
        m->info.compiled[b] =
            b == 0 ||
            (m->info.batched && (src->max_batch == 0 || wk_batch_size[b] <= src->max_batch));
    *ret_m = m;
    return 0;
}

static void sim_forget(struct wk_executor *x, struct wk_model *m)
{
    (void)x;
    free(m);
}

static int sim_load(struct wk_executor *x, struct wk_model *m, struct ac_err *err)
{
    (void)err;
    const struct sim *s = AC_CONTAINER_OF(x, struct sim, base);
    int64_t all = (int64_t)((double)m->info.weights_bytes / s->cfg.load_bytes_per_s * 1e9);
    int64_t begun = s->cfg.clock->now_ns(s->cfg.clock->self);
    for (int32_t i = 1; i <= PARTS; i++) {
        s->cfg.sleep_until(s->cfg.sleep_self, begun + all * i / PARTS);
        wk_weights_come(x, m, i < PARTS ? i : WK_ALL_THERE);
    }
    return 0;
}

static void sim_unload(struct wk_executor *x, struct wk_model *m)
{
    wk_weights_lost(x, m);
}

static int sim_infer(struct wk_executor *x, struct wk_model *m, uint32_t batch,
                     struct wk_item *items, uint32_t n_items, struct wk_phases *ret_ph,
                     struct ac_err *err)
{
    const struct sim *s = AC_CONTAINER_OF(x, struct sim, base);
    int64_t cost = s->cfg.base_ns + s->cfg.per_row_ns * wk_batch_size[batch];
    int64_t begun = s->cfg.clock->now_ns(s->cfg.clock->self), wait = 0;
    int32_t part = wk_weights_there(m, WK_ALL_THERE) ? PARTS : 1;
    for (; part <= PARTS; part++) {
        int64_t at = s->cfg.clock->now_ns(s->cfg.clock->self);
        if (!wk_weights_wait(x, m, part))
            return ac_err_set(err, AC_ESTATE, "its weights are not there, and no load brings them");
        wait += s->cfg.clock->now_ns(s->cfg.clock->self) - at;
        s->cfg.sleep_until(s->cfg.sleep_self, begun + wait + cost * part / PARTS);
    }
    for (uint32_t k = 0; k < n_items; k++) {
        items[k].error = NULL;
        for (uint32_t i = 0; i < m->info.n_outputs; i++)
            memset(items[k].outputs[i], 0, items[k].rows * m->info.outputs[i].row_bytes);
    }
    *ret_ph = (struct wk_phases){.exec_ns = cost + wait, .wait_ns = wait};
    return 0;
}

static void sim_destroy(struct wk_executor *x)
{
    free(AC_CONTAINER_OF(x, struct sim, base));
}

static const struct wk_executor_ops sim_ops = {
    .name = "sim",
    .destroy = sim_destroy,
    .prepare = sim_prepare,
    .forget = sim_forget,
    .load = sim_load,
    .unload = sim_unload,
    .infer = sim_infer,
};

struct wk_executor *wk_sim_create(const struct wk_sim_config *cfg)
{
    struct sim *s = ac_xcalloc(1, sizeof(*s));
    s->base.ops = &sim_ops;
    s->cfg = *cfg;
    return &s->base;
}
