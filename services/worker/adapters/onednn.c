/* oneDNN's primitives behind kernels.h. All of them compute with channels last, for which its
 * kernels of every instruction set are written; an image that comes or goes plain is reordered. */
#include "onednn.h"

#include "onednn_api.h"

#include <string.h>

#include <dlfcn.h>

#include <aceso/base.h>

#define ALIGN ((size_t)64)

struct onednn {
    struct wk_kernels base;
    dnnl_engine_t engine;
    dnnl_stream_t stream;       /* of the thread that runs */
    void (*set_threads)(int n); /* NULL: the library has no threads */
};

/* Channels of an image from one behind the other to side by side. */
typedef void interleave_fn(const float *in, size_t area, float *out);

struct wk_kernel {
    struct onednn *lib;
    struct wk_kernel_spec spec;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t run, to_last, to_plain; /* the last two: reorders, or NULL */
    dnnl_memory_t in, out, plain_in, plain_out, weights, bias, scratch;
    dnnl_exec_arg_t args[5], in_args[2], out_args[2]; /* of the three primitives */
    int n_args;
    interleave_fn *interleave; /* in place of to_last: from.. to.. */
    const float *interleave_in;
    float *interleave_out;
    size_t weights_bytes, in_at, out_at, scratch_bytes; /* the first two: offsets in scratch */
};

/* Descriptors while a kernel is made: in, weights, bias and out as the primitive sees them, and
 * the plain forms. */
enum {
    IN,
    WEIGHTS,
    BIAS,
    OUT,
    PLAIN_IN,
    PLAIN_OUT,
    N_MD
};

/* Three channels, as of a picture: the library's reorder takes more than twice as long. */
#define INTERLEAVE_3                                                                               \
    for (size_t i = 0; i < area; i++) {                                                            \
        out[3 * i] = in[i];                                                                        \
        out[3 * i + 1] = in[area + i];                                                             \
        out[3 * i + 2] = in[2 * area + i];                                                         \
    }

static void interleave_3(const float *restrict in, size_t area, float *restrict out)
{
    INTERLEAVE_3
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void interleave_3_avx2(const float *restrict in, size_t area,
                                                              float *restrict out)
{
    INTERLEAVE_3
}

__attribute__((target("avx512f"))) static void interleave_3_avx512(const float *restrict in,
                                                                   size_t area, float *restrict out)
{
    INTERLEAVE_3
}
#endif

static interleave_fn *choose_interleave(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return interleave_3_avx512;
    if (__builtin_cpu_supports("avx2"))
        return interleave_3_avx2;
#endif
    return interleave_3;
}

static int failed(dnnl_status_t st, const char *what, struct ac_err *err)
{
    if (st == dnnl_success)
        return 0;
    return ac_err_set(err, st == dnnl_out_of_memory ? AC_ENOMEM : AC_ENOTSUP,
                      "oneDNN: %s: status %d", what, (int)st);
}

/* OpenMP keeps the number of threads per thread that asks. */
static void one_thread(const struct onednn *l)
{
    if (l->set_threads)
        l->set_threads(1);
}

static dnnl_status_t image(dn_md *ret, size_t m, size_t c, const int64_t *size, bool last)
{
    int64_t n = (int64_t)c, area = size[0] * size[1];
    dnnl_dims_t dims = {(int64_t)m, n, size[0], size[1]};
    dnnl_dims_t plain = {n * area, area, size[1], 1}, behind = {n * area, 1, size[1] * n, n};
    return dn_md_create(ret, 4, dims, last ? behind : plain);
}

static dnnl_status_t vector(dn_md *ret, size_t n)
{
    return dn_md_create(ret, 1, (dnnl_dims_t){(int64_t)n}, (dnnl_dims_t){1});
}

static dnnl_status_t matrix(dn_md *ret, size_t rows, size_t cols)
{
    return dn_md_create(ret, 2, (dnnl_dims_t){(int64_t)rows, (int64_t)cols},
                        (dnnl_dims_t){(int64_t)cols, 1});
}

/* The weights as the executor has them, or (any) as the library would like them. */
static dnnl_status_t weights(dn_md *ret, const struct wk_kernel_spec *s, bool any)
{
    int64_t n = (int64_t)s->n, k = (int64_t)s->k, g = (int64_t)s->groups;
    if (s->op == WK_DENSE)
        return dn_md_create(ret, 2, (dnnl_dims_t){n, k}, any ? NULL : (dnnl_dims_t){1, n});
    int64_t h = s->geometry.kernel[0], w = s->geometry.kernel[1], taps = h * w, one = k / g * taps;
    dnnl_dims_t dims = {g, n / g, k / g, h, w}, strides = {n / g * one, one, taps, w, 1};
    int skip = g == 1;
    return dn_md_create(ret, 5 - skip, dims + skip, any ? NULL : strides + skip);
}

static dnnl_status_t describe(const struct wk_kernel_spec *s, dn_md md[N_MD])
{
    dnnl_status_t st = dnnl_success;
    bool weighted = s->op == WK_DENSE || s->op == WK_CONV;
    if (weighted && (st = weights(&md[WEIGHTS], s, true)) == dnnl_success)
        st = vector(&md[BIAS], s->n);
    if (st != dnnl_success)
        return st;
    if (s->op == WK_DENSE)
        return (st = matrix(&md[IN], s->m, s->k)) ? st : matrix(&md[OUT], s->m, s->n);
    const int64_t *in = s->geometry.in, *out = s->geometry.out;
    if ((st = image(&md[IN], s->m, s->k, in, true)) != dnnl_success ||
        (st = image(&md[OUT], s->m, s->n, out, true)) != dnnl_success)
        return st;
    /* A single channel or place lies the same in both. */
    if (!s->in_last && s->k > 1 && in[0] * in[1] > 1)
        st = image(&md[PLAIN_IN], s->m, s->k, in, false);
    if (st == dnnl_success && !s->out_last && s->n > 1 && out[0] * out[1] > 1)
        st = image(&md[PLAIN_OUT], s->m, s->n, out, false);
    return st;
}

static struct dn_window window(const struct wk_kernel_spec *s)
{
    const struct wk_geometry *g = &s->geometry;
    struct dn_window w = {0};
    for (int i = 0; i < 2; i++) {
        w.stride[i] = s->window.stride[i];
        w.kernel[i] = g->kernel[i];
        w.dilation[i] = s->window.dilation[i] - 1;
        w.before[i] = g->before[i];
        /* What the last window needs, be it less or more than the image has. */
        w.behind[i] = (g->out[i] - 1) * w.stride[i] + (g->kernel[i] - 1) * s->window.dilation[i] +
                      1 - g->in[i] - g->before[i];
    }
    return w;
}

static dnnl_status_t attributes(const struct wk_kernel_spec *s, dnnl_primitive_attr_t attr)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (st != dnnl_success || s->act.kind == WK_KEEP)
        return st;
    if ((st = dnnl_post_ops_create(&ops)) != dnnl_success)
        return st;
    if (s->act.kind == WK_CLIP)
        st = dn_append_eltwise(ops, dnnl_eltwise_clip, s->act.a, s->act.b);
    else
        st = dn_append_eltwise(ops, dnnl_eltwise_relu, s->act.kind == WK_LEAKY_RELU ? s->act.a : 0,
                               0);
    if (st == dnnl_success)
        st = dnnl_primitive_attr_set_post_ops(attr, ops);
    (void)dnnl_post_ops_destroy(ops);
    return st;
}

static dnnl_status_t primitive(struct wk_kernel *k, const dn_md md[N_MD],
                               const struct wk_kernel *like)
{
    const struct wk_kernel_spec *s = &k->spec;
    dnnl_primitive_attr_t attr = NULL;
    dn_const_md four[4] = {md[IN], md[WEIGHTS], md[BIAS], md[OUT]};
    struct dn_window w = window(s);
    dnnl_status_t st = dnnl_primitive_attr_create(&attr);
    if (st == dnnl_success)
        st = attributes(s, attr);
    if (like && md[WEIGHTS])
        four[1] = dnnl_primitive_desc_query_md(like->pd, dnnl_query_weights_md, 0);
    if (st != dnnl_success)
        goto out;
    if (s->op == WK_DENSE)
        st = dn_inner(&k->pd, k->lib->engine, four, attr);
    else if (s->op == WK_CONV)
        st = dn_conv(&k->pd, k->lib->engine, four, &w, attr);
    else
        st = dn_pool(&k->pd, k->lib->engine,
                     s->op == WK_POOL_MAX   ? dnnl_pooling_max
                     : s->window.count_pads ? dnnl_pooling_avg_include_padding
                                            : dnnl_pooling_avg_exclude_padding,
                     four, &w, attr);
    if (st == dnnl_success)
        st = dnnl_primitive_create(&k->run, k->pd);
out:
    if (attr)
        (void)dnnl_primitive_attr_destroy(attr);
    return st;
}

static dnnl_status_t reorder(const struct onednn *l, dn_const_md from, dn_const_md to,
                             dnnl_primitive_t *ret)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t st =
        dnnl_reorder_primitive_desc_create(&pd, from, l->engine, to, l->engine, NULL);
    if (st != dnnl_success)
        return st;
    st = dnnl_primitive_create(ret, pd);
    (void)dnnl_primitive_desc_destroy(pd);
    return st;
}

static dnnl_status_t memory(const struct onednn *l, dn_const_md md, dnnl_memory_t *ret)
{
    return md ? dnnl_memory_create(ret, md, l->engine, DNNL_MEMORY_NONE) : dnnl_success;
}

static dnnl_status_t memories(struct wk_kernel *k, const dn_md md[N_MD])
{
    const struct onednn *l = k->lib;
    dn_const_md w = NULL, pad = dnnl_primitive_desc_query_md(k->pd, dnnl_query_scratchpad_md, 0);
    if (md[WEIGHTS]) {
        w = dnnl_primitive_desc_query_md(k->pd, dnnl_query_weights_md, 0);
        k->weights_bytes = dnnl_memory_desc_get_size(w);
    }
    dnnl_status_t st;
    if ((st = memory(l, md[IN], &k->in)) || (st = memory(l, md[OUT], &k->out)) ||
        (st = memory(l, md[PLAIN_IN], &k->plain_in)) ||
        (st = memory(l, md[PLAIN_OUT], &k->plain_out)) || (st = memory(l, w, &k->weights)) ||
        (st = memory(l, md[BIAS], &k->bias)) || (st = memory(l, pad, &k->scratch)))
        return st;
    size_t at = (dnnl_memory_desc_get_size(pad) + ALIGN - 1) / ALIGN * ALIGN;
    if (md[PLAIN_IN]) {
        k->in_at = at;
        at += (dnnl_memory_desc_get_size(md[IN]) + ALIGN - 1) / ALIGN * ALIGN;
        if (k->spec.k == 3)
            k->interleave = choose_interleave();
        else if ((st = reorder(l, md[PLAIN_IN], md[IN], &k->to_last)) != dnnl_success)
            return st;
    }
    if (md[PLAIN_OUT]) {
        k->out_at = at;
        at += (dnnl_memory_desc_get_size(md[OUT]) + ALIGN - 1) / ALIGN * ALIGN;
        st = reorder(l, md[OUT], md[PLAIN_OUT], &k->to_plain);
    }
    k->scratch_bytes = at;
    return st;
}

static void fill_args(struct wk_kernel *k)
{
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, k->in},
                                    {DNNL_ARG_DST, k->out},
                                    {DNNL_ARG_SCRATCHPAD, k->scratch},
                                    {DNNL_ARG_WEIGHTS, k->weights},
                                    {DNNL_ARG_BIAS, k->bias}};
    memcpy(k->args, args, sizeof(args));
    k->n_args = k->weights ? 5 : 3;
    k->in_args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, k->plain_in};
    k->in_args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, k->in};
    k->out_args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, k->out};
    k->out_args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, k->plain_out};
}

static void kernel_free(struct wk_kernel *k)
{
    if (!k)
        return;
    dnnl_memory_t mem[] = {k->in,      k->out,  k->plain_in, k->plain_out,
                           k->weights, k->bias, k->scratch};
    dnnl_primitive_t prim[] = {k->run, k->to_last, k->to_plain};
    for (size_t i = 0; i < AC_ARRAY_LEN(mem); i++)
        if (mem[i])
            (void)dnnl_memory_destroy(mem[i]);
    for (size_t i = 0; i < AC_ARRAY_LEN(prim); i++)
        if (prim[i])
            (void)dnnl_primitive_destroy(prim[i]);
    if (k->pd)
        (void)dnnl_primitive_desc_destroy(k->pd);
    free(k);
}

static void swap(int64_t v[2])
{
    int64_t first = v[0];
    v[0] = v[1];
    v[1] = first;
}

/* A column lies in memory as a row does, and kernels are quicker along rows. */
static void column_to_row(struct wk_kernel_spec *s)
{
    struct wk_geometry *g = &s->geometry;
    bool window = s->op == WK_CONV || s->op == WK_POOL_MAX || s->op == WK_POOL_MEAN;
    if (!window || g->in[1] != 1 || g->out[1] != 1 || g->kernel[1] != 1 || g->before[1] != 0)
        return;
    int64_t *pairs[] = {g->in,     g->out,           g->kernel,          g->before,
                        g->behind, s->window.stride, s->window.dilation, s->window.kernel};
    for (size_t i = 0; i < AC_ARRAY_LEN(pairs); i++)
        swap(pairs[i]);
}

static int kernel_make(void *self, const struct wk_kernel_spec *spec, const struct wk_kernel *like,
                       struct wk_kernel **ret_k, struct ac_err *err)
{
    struct wk_kernel *k = ac_xcalloc(1, sizeof(*k));
    dn_md md[N_MD] = {NULL};
    k->lib = self;
    k->spec = *spec;
    column_to_row(&k->spec);
    one_thread(k->lib);
    dnnl_status_t st = describe(&k->spec, md);
    if (st == dnnl_success)
        st = primitive(k, md, like);
    if (st == dnnl_success)
        st = memories(k, md);
    fill_args(k);
    for (int i = 0; i < N_MD; i++)
        dn_md_free(md[i]);
    if (st != dnnl_success) {
        kernel_free(k);
        return failed(st, "no such primitive", err);
    }
    *ret_k = k;
    return 0;
}

static void kernel_sizes(const struct wk_kernel *k, size_t *ret_weights, size_t *ret_scratch)
{
    *ret_weights = k->weights_bytes;
    *ret_scratch = k->scratch_bytes;
}

static int kernel_pack(struct wk_kernel *k, const float *plain, void *out, struct ac_err *err)
{
    const struct onednn *l = k->lib;
    union {
        const void *in;
        void *out;
    } from = {.in = plain};
    dn_md md = NULL;
    dn_const_md packed = dnnl_primitive_desc_query_md(k->pd, dnnl_query_weights_md, 0);
    dnnl_memory_t src = NULL, dst = NULL;
    dnnl_primitive_t p = NULL;
    dnnl_stream_t stream = NULL; /* other models may be running on the other one */
    one_thread(l);
    dnnl_status_t st;
    if ((st = weights(&md, &k->spec, false)) == dnnl_success &&
        (st = reorder(l, md, packed, &p)) == dnnl_success &&
        (st = dnnl_memory_create(&src, md, l->engine, from.out)) == dnnl_success &&
        (st = dnnl_memory_create(&dst, packed, l->engine, out)) == dnnl_success &&
        (st = dnnl_stream_create(&stream, l->engine, dnnl_stream_in_order)) == dnnl_success) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, dst}};
        st = dnnl_primitive_execute(p, stream, 2, args);
        if (st == dnnl_success)
            st = dnnl_stream_wait(stream);
    }
    if (stream)
        (void)dnnl_stream_destroy(stream);
    if (dst)
        (void)dnnl_memory_destroy(dst);
    if (src)
        (void)dnnl_memory_destroy(src);
    if (p)
        (void)dnnl_primitive_destroy(p);
    dn_md_free(md);
    return failed(st, "cannot pack weights", err);
}

static dnnl_status_t point(dnnl_memory_t m, void *at)
{
    return m ? dnnl_memory_set_data_handle(m, at) : dnnl_success;
}

static int kernel_bind(struct wk_kernel *k, const struct wk_kernel_places *p, struct ac_err *err)
{
    char *scratch = p->scratch;
    bool apart = k->to_last || k->interleave;
    dnnl_status_t st;
    k->interleave_in = p->in;
    k->interleave_out = (float *)(void *)(scratch + k->in_at);
    if ((st = point(k->in, apart ? scratch + k->in_at : p->in)) == dnnl_success &&
        (st = point(k->out, k->to_plain ? scratch + k->out_at : p->out)) == dnnl_success &&
        (st = point(k->plain_in, p->in)) == dnnl_success &&
        (st = point(k->plain_out, p->out)) == dnnl_success &&
        (st = point(k->weights, p->weights)) == dnnl_success &&
        (st = point(k->bias, p->bias)) == dnnl_success)
        st = point(k->scratch, scratch);
    return failed(st, "cannot bind memory", err);
}

static bool execute(const struct wk_kernel *k, dnnl_primitive_t p, int n,
                    const dnnl_exec_arg_t *args)
{
    return !p || dnnl_primitive_execute(p, k->lib->stream, n, args) == dnnl_success;
}

static bool kernel_run(struct wk_kernel *k)
{
    one_thread(k->lib);
    size_t area = (size_t)(k->spec.geometry.in[0] * k->spec.geometry.in[1]);
    for (size_t i = 0; k->interleave && i < k->spec.m; i++)
        k->interleave(k->interleave_in + 3 * area * i, area, k->interleave_out + 3 * area * i);
    return execute(k, k->to_last, 2, k->in_args) && execute(k, k->run, k->n_args, k->args) &&
           execute(k, k->to_plain, 2, k->out_args);
}

int wk_onednn_create(struct wk_kernels **ret_k, struct ac_err *err)
{
    struct onednn *l = ac_xcalloc(1, sizeof(*l));
    unsigned runtime = dnnl_version()->cpu_runtime;
    void *f = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    memcpy(&l->set_threads, &f, sizeof(f));
    int rc = 0;
    if (runtime != DNNL_RUNTIME_SEQ && (runtime != DNNL_RUNTIME_OMP || !f))
        rc = ac_err_set(err, AC_ENOTSUP,
                        "oneDNN runs its threads by runtime %u: one built for OpenMP or for a "
                        "single thread is needed",
                        runtime);
    if (rc == 0)
        rc = failed(dnnl_engine_create(&l->engine, dnnl_cpu, 0), "no CPU engine", err);
    if (rc == 0)
        rc = failed(dnnl_stream_create(&l->stream, l->engine, dnnl_stream_in_order), "no stream",
                    err);
    l->base = (struct wk_kernels){.self = l,
                                  .make = kernel_make,
                                  .sizes = kernel_sizes,
                                  .pack = kernel_pack,
                                  .bind = kernel_bind,
                                  .run = kernel_run,
                                  .free = kernel_free};
    if (rc) {
        wk_onednn_destroy(&l->base);
        return rc;
    }
    *ret_k = &l->base;
    return 0;
}

void wk_onednn_destroy(struct wk_kernels *k)
{
    if (!k)
        return;
    struct onednn *l = AC_CONTAINER_OF(k, struct onednn, base);
    if (l->stream)
        (void)dnnl_stream_destroy(l->stream);
    if (l->engine)
        (void)dnnl_engine_destroy(l->engine);
    free(l);
}
