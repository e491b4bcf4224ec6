/* From an ONNX file to a plan for each batch. */
#include "cpu_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cpu_plan_free(struct plan *plan, const struct wk_kernels *lib)
{
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].kernel)
            lib->free(plan->steps[i].kernel);
        free(plan->steps[i].trouble);
    }
    free(plan->steps);
}

void cpu_model_clear(struct cpu_model *m)
{
    for (uint32_t b = 0; b < WK_BATCHES; b++)
        cpu_plan_free(&m->plans[b], m->lib);
    free(m->blob);
    free(m->parts);
    memset(m, 0, sizeof(*m));
}

void cpu_model_free(struct cpu_model *m)
{
    cpu_model_clear(m);
    free(m);
}

static int too_large(struct ac_err *err)
{
    return ac_err_set(err, AC_ENOMEM,
                      "the model needs more memory than is allowed for its description");
}

static int weights_too_large(struct ac_err *err)
{
    return ac_err_set(err, AC_ERANGE, "the model's weights and constants need more than %zu bytes",
                      CPU_WEIGHTS_MAX);
}

/* The plan of one batch; first: the graph of the first one, and its constants' places. */
static int compile_batch(const struct wk_onnx *onnx, uint32_t b, struct ac_arena *arena,
                         const struct wk_graph *first, struct layout *l, struct cpu_model *m,
                         size_t *workspace, struct ac_err *err)
{
    struct wk_graph g;
    size_t *first_at = l->constant;
    int rc = wk_graph_build(onnx, wk_batch_size[b], arena, &g, err);
    if (rc)
        return rc;
    if (!cpu_same_weights(first, &g))
        return ac_err_set(err, AC_ENOTSUP, "the model's weights depend on the batch");
    if (!cpu_weights_fit(&g, first, l))
        return weights_too_large(err);
    l->constant = ac_arena_calloc(arena, g.n_values, sizeof(size_t));
    if (!l->constant)
        rc = too_large(err);
    else if (!cpu_pack_constants(&g, first, first_at, l))
        rc = ac_err_set(err, AC_ENOTSUP, "the model's results depend on the size of the batch");
    else
        rc = cpu_make_plan(&g, l, arena, &m->plans[b], workspace, err);
    l->constant = first_at;
    return rc;
}

/* Batches after the first. Some models hold shapes for one batch only: they run, but one at a time.
 */
static int compile_others(const struct wk_source *src, const struct wk_onnx *onnx,
                          const struct wk_graph *first, struct layout *l, struct cpu_model *m,
                          size_t *workspace, struct ac_err *err)
{
    int rc = 0;
    for (uint32_t b = 1; rc == 0 && first->batched && b < WK_BATCHES; b++) {
        if (src->max_batch && wk_batch_size[b] > src->max_batch)
            break;
        struct ac_arena *arena = ac_arena_create(WK_DESCRIPTION);
        rc = compile_batch(onnx, b, arena, first, l, m, workspace, err);
        ac_arena_destroy(arena);
        if (!l->refused && (rc == AC_EINVAL || rc == AC_ERANGE || rc == AC_ENOTSUP))
            return 0;
        m->base.info.compiled[b] = rc == 0;
    }
    return rc;
}

/* ret_refused: the library cannot do it, which says nothing of the model. */
static int compile(const struct wk_source *src, struct ac_arena *arena, struct cpu_model *m,
                   size_t *ret_workspace, bool *ret_refused, struct ac_err *err)
{
    struct wk_onnx onnx;
    struct wk_graph g;
    int rc = wk_onnx_parse(src->bytes, src->len, arena, &onnx, err);
    if (rc == 0)
        rc = wk_graph_build(&onnx, 1, arena, &g, err);
    if (rc == 0)
        rc = wk_model_describe(&g, &m->base.info, err);
    if (rc)
        return rc;
    size_t *constant = ac_arena_calloc(arena, g.n_values, sizeof(size_t)), workspace = 0;
    struct layout l = {.weights = ac_arena_calloc(arena, g.n_nodes + 1u, sizeof(size_t)),
                       .bias = ac_arena_calloc(arena, g.n_nodes + 1u, sizeof(size_t)),
                       .twin = ac_arena_calloc(arena, g.n_nodes + 1u, sizeof(uint32_t)),
                       .constant = constant,
                       .lib = m->lib,
                       .kernels = ac_arena_calloc(arena, g.n_nodes + 1u, sizeof(void *))};
    if (!l.weights || !l.bias || !l.twin || !constant || !l.kernels)
        return too_large(err);
    cpu_find_twins(&g, &l);
    if (!cpu_weights_fit(&g, NULL, &l))
        return weights_too_large(err);
    cpu_pack(&g, &l);
    (void)cpu_pack_constants(&g, NULL, NULL, &l);
    rc = cpu_make_plan(&g, &l, arena, &m->plans[0], &workspace, err);
    m->base.info.compiled[0] = rc == 0;
    if (rc == 0)
        rc = compile_others(src, &onnx, &g, &l, m, &workspace, err);
    m->blob = l.blob.data;
    *ret_refused = l.refused;
    if (rc) {
        free(l.blob.starts);
        return rc;
    }
    if (l.blob.len < CPU_ALIGN) { /* a model without weights loads something, too */
        size_t at = cpu_blob_add(&l.blob, CPU_ALIGN);
        memset(l.blob.data + at, 0, CPU_ALIGN);
    }
    m->blob = l.blob.data;
    m->blob_bytes = l.blob.len;
    m->base.info.weights_bytes = m->blob_bytes;
    m->base.there = WK_NONE_COMES;
    cpu_order_parts(m, &l.blob);
    free(l.blob.starts);
    *ret_workspace = workspace;
    return 0;
}

static int compile_with(const struct wk_source *src, const struct wk_kernels *lib,
                        struct cpu_model *m, size_t *ret_workspace, bool *ret_refused,
                        struct ac_err *err)
{
    struct ac_arena *arena = ac_arena_create(WK_DESCRIPTION);
    m->lib = lib;
    int rc = compile(src, arena, m, ret_workspace, ret_refused, err);
    ac_arena_destroy(arena);
    return rc;
}

int cpu_compile(const struct wk_source *src, const struct wk_kernels *lib, struct cpu_model *m,
                size_t *ret_workspace, struct ac_err *err)
{
    struct ac_err why = AC_ERR_INIT;
    bool refused = false;
    int rc = compile_with(src, lib, m, ret_workspace, &refused, &why);
    if (!refused)
        return rc ? ac_err_set(err, rc, "%s", why.msg) : 0;
    /* What the library cannot do our own loops may. */
    cpu_model_clear(m);
    rc = compile_with(src, NULL, m, ret_workspace, &refused, err);
    (void)snprintf(m->base.info.without_library, sizeof(m->base.info.without_library), "%s",
                   why.msg);
    return rc;
}
