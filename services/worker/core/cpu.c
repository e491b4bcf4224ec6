/* The cpu executor: a library's kernels, or loops and BLAS of our own. Load copies the weights into
 * device memory; infer walks a list of steps over fixed offsets in one workspace. */
#include "blas.h"
#include "cpu_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const uint32_t wk_batch_size[WK_BATCHES] = {1, 2, 4, 8, 16};

static int cpu_prepare(struct wk_executor *x, const struct wk_source *src, struct wk_model **ret_m,
                       struct ac_err *err)
{
    struct cpu *c = AC_CONTAINER_OF(x, struct cpu, base);
    struct cpu_model *m = ac_xcalloc(1, sizeof(*m));
    size_t workspace = 0;
    int rc = cpu_compile(src, c->lib, m, &workspace, err);
    if (rc == 0 && workspace > CPU_WORKSPACE_MAX)
        rc = ac_err_set(err, AC_ERANGE, "the model needs a workspace of %zu bytes, %zu are allowed",
                        workspace, CPU_WORKSPACE_MAX);
    m->base.info.workspace_bytes = workspace;
    /* The workspace keeps its address while it grows: another model may be running in it now. */
    if (rc == 0 && workspace > c->workspace_bytes) {
        size_t more = workspace - c->workspace_bytes;
        more = (more + c->mem.page - 1) / c->mem.page * c->mem.page;
        if (c->mem.extend(c->mem.self, c->workspace + c->workspace_bytes, more))
            c->workspace_bytes += more;
        else
            rc = ac_err_set(err, AC_ENOMEM, "no memory for a workspace of %zu bytes", workspace);
    }
    if (rc == 0 && !(m->device = c->mem.reserve(c->mem.self, m->blob_bytes)))
        rc = ac_err_set(err, AC_ENOMEM, "no address space for %zu bytes of weights", m->blob_bytes);
    if (rc == 0 && (rc = cpu_bind(m, c->workspace, err)) != 0)
        c->mem.drop(c->mem.self, m->device, m->blob_bytes);
    if (rc) {
        cpu_model_free(m);
        return rc;
    }
    *ret_m = &m->base;
    return 0;
}

static void cpu_forget(struct wk_executor *x, struct wk_model *base)
{
    struct cpu *c = AC_CONTAINER_OF(x, struct cpu, base);
    struct cpu_model *m = AC_CONTAINER_OF(base, struct cpu_model, base);
    c->mem.drop(c->mem.self, m->device, m->blob_bytes);
    cpu_model_free(m);
}

static int cpu_load(struct wk_executor *x, struct wk_model *base, struct ac_err *err)
{
    struct cpu *c = AC_CONTAINER_OF(x, struct cpu, base);
    struct cpu_model *m = AC_CONTAINER_OF(base, struct cpu_model, base);
    if (!c->mem.commit(c->mem.self, m->device, m->blob_bytes)) {
        wk_weights_lost(x, base);
        return ac_err_set(err, AC_ENOMEM, "no device memory for %zu bytes of weights",
                          m->blob_bytes);
    }
    for (uint32_t i = 0; i < m->n_parts; i++) {
        size_t at = m->parts[i] * CPU_PART;
        memcpy(m->device + at, m->blob + at, AC_MIN(CPU_PART, m->blob_bytes - at));
        if (i + 1 < m->n_parts)
            wk_weights_come(x, base, (int32_t)i + 1);
    }
    wk_weights_come(x, base, WK_ALL_THERE);
    return 0;
}

static void cpu_unload(struct wk_executor *x, struct wk_model *base)
{
    struct cpu *c = AC_CONTAINER_OF(x, struct cpu, base);
    struct cpu_model *m = AC_CONTAINER_OF(base, struct cpu_model, base);
    wk_weights_lost(x, base);
    c->mem.release(c->mem.self, m->device, m->blob_bytes);
}

static void run_dense(const struct step *s, const float *in, const float *w, const float *bias,
                      float *out)
{
    for (size_t i = 0; i < s->m; i++)
        memcpy(out + i * s->n, bias, s->n * sizeof(float));
    if (s->m == 1)
        cblas_sgemv(BLAS_ROW_MAJOR, BLAS_TRANS, (int)s->k, (int)s->n, 1, w, (int)s->n, in, 1, 1,
                    out, 1);
    else
        cblas_sgemm(BLAS_ROW_MAJOR, BLAS_NO_TRANS, BLAS_NO_TRANS, (int)s->m, (int)s->n, (int)s->k,
                    1, in, (int)s->k, w, (int)s->n, 1, out, (int)s->n);
    cpu_activate(&s->act, out, s->m * s->n);
}

void cpu_matmul(const struct step *s, const float *a, const float *b, float *out)
{
    size_t at[WK_ONNX_MAX_RANK] = {0}, twin[WK_ONNX_MAX_RANK] = {0}, from = 0, and = 0;
    do {
        cblas_sgemm(BLAS_ROW_MAJOR, s->turned ? BLAS_TRANS : BLAS_NO_TRANS,
                    s->transposed ? BLAS_TRANS : BLAS_NO_TRANS, (int)s->m, (int)s->n, (int)s->k, 1,
                    a + from, (int)(s->turned ? s->m : s->k), b + and,
                    (int)(s->transposed ? s->k : s->n), 0, out, (int)s->n);
        out += s->m * s->n;
        (void)cpu_next(s->dims, s->sb, s->rank, twin, &and);
    } while (cpu_next(s->dims, s->sa, s->rank, at, &from));
}

static void run_affine(const struct step *s, const float *in, const float *scale, const float *bias,
                       float *out)
{
    for (size_t o = 0; o < s->m; o++)
        for (size_t c = 0; c < s->k; c++) {
            size_t at = (o * s->k + c) * s->n;
            for (size_t i = 0; i < s->n; i++)
                out[at + i] = in[at + i] * scale[c] + bias[c];
        }
    cpu_activate(&s->act, out, s->m * s->k * s->n);
}

uint32_t cpu_step_run(const struct step *s, const char *weights, char *workspace)
{
    const void *a = (s->a.weight ? weights : workspace) + s->a.offset;
    const void *b = (s->b.weight ? weights : workspace) + s->b.offset;
    const void *c = (s->c.weight ? weights : workspace) + s->c.offset;
    const void *w = weights + s->weights, *bias = weights + s->bias;
    void *out = workspace + s->out.offset, *scratch = workspace + s->scratch;
    switch (s->op) {
    case WK_DENSE:
        run_dense(s, a, w, bias, out);
        break;
    case WK_AFFINE:
        run_affine(s, a, w, bias, out);
        break;
    case WK_UNARY:
        cpu_unary(s, a, out);
        break;
    case WK_BINARY:
        cpu_binary(s, a, b, out);
        break;
    case WK_CAST:
        cpu_cast(s, a, out);
        break;
    case WK_WHERE:
        cpu_where(s, a, b, c, out);
        break;
    case WK_GATHER:
        return cpu_gather(s, a, b, out);
    case WK_GATHER_EACH:
        return cpu_gather_each(s, a, b, out);
    case WK_MATMUL:
        cpu_matmul(s, a, b, out);
        break;
    case WK_MIX:
        cpu_mix(s, a, b, c, out);
        break;
    case WK_DECONV:
        cpu_deconv(s, a, s->dynamic ? b : w, bias, scratch, out);
        break;
    case WK_SOFTMAX:
        cpu_softmax(s, a, out);
        break;
    case WK_REDUCE:
        cpu_reduce(s, a, out);
        break;
    case WK_RESHAPE:
        memcpy(out, a, s->n * wk_dtype_size(s->dtype));
        break;
    case WK_CONV:
        cpu_conv(s, a, s->dynamic ? b : w, bias, scratch, out);
        break;
    case WK_POOL_MAX:
    case WK_POOL_MEAN:
        cpu_pool(s, a, out);
        break;
    case WK_PAD:
        for (size_t i = 0; i < s->n; i++)
            ((float *)out)[i] = s->fill;
        cpu_move(s, a, out);
        break;
    case WK_TRANSPOSE:
    case WK_SLICE:
    case WK_CONCAT:
    case WK_EXPAND:
        cpu_move(s, a, out);
        break;
    case WK_DROPPED:
        break;
    }
    return 0;
}

/* Rows (a bit each) have bad data, of which the step says what. An item keeps its first error. */
static void blame(struct wk_item *items, uint32_t n_items, uint32_t rows, const char *trouble)
{
    uint32_t at = 0;
    for (uint32_t k = 0; k < n_items; at += items[k++].rows)
        if (!items[k].error && rows >> at & ((1u << items[k].rows) - 1))
            items[k].error = trouble;
}

/* False: the library failed. */
static bool run_step(const struct cpu *c, const struct cpu_model *m, const struct step *s,
                     struct wk_item *items, uint32_t n_items)
{
    if (s->kernel)
        return cpu_kernel_run(m, s, (float *)(void *)(c->workspace + s->out.offset));
    uint32_t bad = cpu_step_run(s, m->device, c->workspace);
    if (bad)
        blame(items, n_items, bad, s->trouble);
    return true;
}

/* Waits for weights on their way before each step that needs them. */
static int run_plan(struct cpu *c, const struct cpu_model *m, const struct plan *p,
                    struct wk_item *items, uint32_t n_items, int64_t *wait_ns, struct ac_err *err)
{
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];
        if (!wk_weights_there(&m->base, s->parts)) {
            int64_t begun = c->clock.now_ns(c->clock.self);
            if (!wk_weights_wait(&c->base, &m->base, s->parts))
                return ac_err_set(err, AC_ESTATE,
                                  "its weights are not there, and no load brings them");
            *wait_ns += c->clock.now_ns(c->clock.self) - begun;
        }
        if (!run_step(c, m, s, items, n_items))
            return ac_err_set(err, AC_EINTERNAL, "%s", s->trouble);
    }
    return 0;
}

static int cpu_infer(struct wk_executor *x, struct wk_model *base, uint32_t batch,
                     struct wk_item *items, uint32_t n_items, struct wk_phases *ret_ph,
                     struct ac_err *err)
{
    struct cpu *c = AC_CONTAINER_OF(x, struct cpu, base);
    struct cpu_model *m = AC_CONTAINER_OF(base, struct cpu_model, base);
    const struct wk_model_info *info = &base->info;
    const struct plan *p = &m->plans[batch];
    if (!p->ok)
        return ac_err_set(err, AC_EINVAL, "batch %u is not compiled", wk_batch_size[batch]);
    int64_t t0 = c->clock.now_ns(c->clock.self);
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        char *to = c->workspace + p->inputs[i];
        size_t row = info->inputs[i].row_bytes, all = row * wk_batch_size[batch];
        for (uint32_t k = 0; k < n_items; k++) {
            memcpy(to, items[k].inputs[i], items[k].rows * row);
            to += items[k].rows * row;
        }
        /* Empty places hold the last row once more: rows of their own might not be valid. */
        const char *end = c->workspace + p->inputs[i] + all;
        for (const char *last = to - row; n_items && to < end; to += row)
            memcpy(to, last, row);
    }
    int64_t t1 = c->clock.now_ns(c->clock.self);
    for (uint32_t k = 0; k < n_items; k++)
        items[k].error = NULL;
    int64_t wait_ns = 0;
    int rc = run_plan(c, m, p, items, n_items, &wait_ns, err);
    if (rc)
        return rc;
    int64_t t2 = c->clock.now_ns(c->clock.self);
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        const char *from = c->workspace + p->outputs[i];
        size_t row = info->outputs[i].row_bytes;
        for (uint32_t k = 0; k < n_items; k++) {
            memcpy(items[k].outputs[i], from, items[k].rows * row);
            from += items[k].rows * row;
        }
    }
    int64_t t3 = c->clock.now_ns(c->clock.self);
    *ret_ph = (struct wk_phases){
        .input_ns = t1 - t0, .exec_ns = t2 - t1, .output_ns = t3 - t2, .wait_ns = wait_ns};
    return 0;
}

static void cpu_destroy(struct wk_executor *x)
{
    struct cpu *c = AC_CONTAINER_OF(x, struct cpu, base);
    c->mem.drop(c->mem.self, c->workspace, CPU_WORKSPACE_MAX);
    free(c);
}

static const struct wk_executor_ops cpu_ops = {
    .name = "cpu",
    .destroy = cpu_destroy,
    .prepare = cpu_prepare,
    .forget = cpu_forget,
    .load = cpu_load,
    .unload = cpu_unload,
    .infer = cpu_infer,
};

struct wk_executor *wk_cpu_create(const struct wk_memory *mem, const struct wk_kernels *lib,
                                  const struct ac_clock *clock)
{
    struct cpu *c = ac_xcalloc(1, sizeof(*c));
    c->base.ops = &cpu_ops;
    openblas_set_num_threads(1);
    c->mem = *mem;
    c->lib = lib;
    c->clock = *clock;
    c->workspace = mem->reserve(mem->self, CPU_WORKSPACE_MAX);
    AC_ASSERT(c->workspace != NULL);
    return &c->base;
}
