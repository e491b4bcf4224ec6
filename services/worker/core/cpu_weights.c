/* Weights and constants in one blob. */
#include "cpu_int.h"

#include <stdlib.h>
#include <string.h>

size_t cpu_blob_add(struct blob *b, size_t bytes)
{
    size_t at = (b->len + CPU_ALIGN - 1) / CPU_ALIGN * CPU_ALIGN;
    ac_grow(&b->data, &b->cap, at + bytes, 1);
    memset(b->data + b->len, 0, at - b->len);
    b->len = at + bytes;
    ac_grow(&b->starts, &b->cap_starts, b->n_starts + 1, sizeof(*b->starts));
    b->starts[b->n_starts++] = at;
    return at;
}

/* Whether the blob holds the value already, for the first graph. */
static bool in_first(const struct wk_graph *g, const struct wk_graph *first, uint32_t v)
{
    const struct wk_onnx_tensor *t = g->values[v].constant;
    const struct wk_onnx_tensor *one = first ? first->values[v].constant : NULL;
    return t && one && one->elems == t->elems && first->values[v].uses;
}

/* ---- what is there once ---- */

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int by_weights(const void *p, const void *q)
{
    const struct wk_node *a = *(const struct wk_node *const *)p;
    const struct wk_node *b = *(const struct wk_node *const *)q;
    const int64_t *at = a->window.kernel, *bt = b->window.kernel;
    const int order[] = {ORDER(a->weights->data, b->weights->data),
                         ORDER(a->op, b->op),
                         ORDER(a->weights->elems, b->weights->elems),
                         ORDER(a->n, b->n),
                         ORDER(a->k, b->k),
                         ORDER(a->groups, b->groups),
                         ORDER(a->transposed, b->transposed),
                         ORDER(at[0], bt[0]),
                         ORDER(at[1], bt[1])};
    for (size_t i = 0; i < AC_ARRAY_LEN(order); i++)
        if (order[i])
            return order[i];
    return a->scale ? memcmp(a->scale, b->scale, a->n * sizeof(*a->scale)) : 0;
}

static int by_weights_then_node(const void *p, const void *q)
{
    int order = by_weights(p, q);
    return order ? order
                 : ORDER(*(const struct wk_node *const *)p, *(const struct wk_node *const *)q);
}

void cpu_find_twins(const struct wk_graph *g, struct layout *l)
{
    const struct wk_node **list = ac_xcalloc(g->n_nodes + 1u, sizeof(void *));
    size_t n = 0, same = 0;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        l->twin[i] = i;
        if (g->nodes[i].weights)
            list[n++] = &g->nodes[i];
    }
    qsort(list, n, sizeof(void *), by_weights_then_node);
    for (size_t i = 1; i < n; i++) {
        same = by_weights(&list[same], &list[i]) == 0 ? same : i;
        l->twin[list[i] - g->nodes] = (uint32_t)(list[same] - g->nodes);
    }
    free(list);
}

/* A constant that steps read. */
struct piece {
    const void *data;
    size_t bytes;
    uint32_t v;
};

static int by_data(const void *p, const void *q)
{
    const struct piece *a = p, *b = q;
    return a->data != b->data ? ORDER(a->data, b->data) : ORDER(a->bytes, b->bytes);
}

/* Those that the first graph's blob does not have, in order of their data: several values may be
 * one, in other shapes. */
static struct piece *constants(const struct wk_graph *g, const struct wk_graph *first,
                               size_t *ret_n)
{
    struct piece *list = ac_xcalloc(g->n_values + 1u, sizeof(*list));
    size_t n = 0;
    for (uint32_t v = 0; v < g->n_values; v++) {
        const struct wk_onnx_tensor *t = g->values[v].constant;
        if (t && g->values[v].uses && t->elems && !in_first(g, first, v))
            list[n++] = (struct piece){t->data, t->elems * wk_dtype_size(t->dtype), v};
    }
    qsort(list, n, sizeof(*list), by_data);
    *ret_n = n;
    return list;
}

bool cpu_weights_fit(const struct wk_graph *g, const struct wk_graph *first, const struct layout *l)
{
    size_t total = l->blob.len, n;
    for (uint32_t i = 0; !first && i < g->n_nodes; i++)
        if (g->nodes[i].weights && l->twin[i] == i)
            total += g->nodes[i].weights->elems * sizeof(float);
    struct piece *list = constants(g, first, &n);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_data(&list[i - 1], &list[i]) != 0)
            total += list[i].bytes;
    free(list);
    return total <= CPU_WEIGHTS_MAX;
}

/* ---- packing ---- */

size_t cpu_pack_floats(struct blob *b, const float *v, size_t n)
{
    size_t at = cpu_blob_add(b, ac_mul_size(n, sizeof(float)));
    memcpy(b->data + at, v, n * sizeof(float));
    return at;
}

static size_t pack_dense(struct blob *b, const struct wk_node *x)
{
    size_t k = x->k, n = x->n, at = cpu_blob_add(b, k * n * sizeof(float));
    float *w = (float *)(void *)(b->data + at);
    const char *src = x->weights->data;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < n; j++) {
            float v;
            memcpy(&v, src + 4 * (x->transposed ? j * k + i : i * n + j), 4);
            w[i * n + j] = v * x->scale[j];
        }
    return at;
}

static size_t pack_conv(struct blob *b, const struct wk_node *x)
{
    size_t at = cpu_blob_add(b, ac_mul_size(x->weights->elems, sizeof(float)));
    float *w = (float *)(void *)(b->data + at);
    memcpy(w, x->weights->data, x->weights->elems * sizeof(float));
    for (size_t i = 0; x->op == WK_CONV && i < x->weights->elems; i++)
        w[i] *= x->scale[i / x->k];
    return at;
}

void cpu_pack(const struct wk_graph *g, struct layout *l)
{
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct wk_node *x = &g->nodes[i];
        bool window = x->op == WK_CONV || x->op == WK_DECONV;
        if (l->lib && (x->op == WK_DENSE || (x->op == WK_CONV && x->weights)))
            continue; /* packed when its kernel is made */
        if (x->weights && l->twin[i] != i)
            l->weights[i] = l->weights[l->twin[i]];
        else if (x->op == WK_DENSE)
            l->weights[i] = pack_dense(&l->blob, x);
        else if (window && x->weights)
            l->weights[i] = pack_conv(&l->blob, x);
        else if (x->op == WK_AFFINE)
            l->weights[i] = cpu_pack_floats(&l->blob, x->scale, x->n);
        if (window || x->op == WK_DENSE || x->op == WK_AFFINE)
            l->bias[i] = cpu_pack_floats(&l->blob, x->bias, x->n);
    }
}

/* The same, or the same again for each item of the batch. */
static bool repeats(const struct wk_onnx_tensor *t, const struct wk_onnx_tensor *one)
{
    size_t bytes = one->elems * wk_dtype_size(one->dtype);
    bool same = one->dtype == t->dtype && bytes && t->elems % one->elems == 0;
    for (size_t i = 0; same && i < t->elems / one->elems; i++)
        same = memcmp((const char *)t->data + i * bytes, one->data, bytes) == 0;
    return same;
}

bool cpu_pack_constants(const struct wk_graph *g, const struct wk_graph *first,
                        const size_t *first_at, struct layout *l)
{
    for (uint32_t v = 0; first && v < g->n_values; v++) {
        const struct wk_onnx_tensor *t = g->values[v].constant, *one = first->values[v].constant;
        if (!t || g->values[v].uses == 0 || t->elems == 0)
            continue;
        if (!one || !repeats(t, one))
            return false;
        if (in_first(g, first, v))
            l->constant[v] = first_at[v];
    }
    size_t n;
    struct piece *list = constants(g, first, &n);
    for (size_t i = 0; i < n; i++) {
        size_t *at = &l->constant[list[i].v];
        if (i && by_data(&list[i - 1], &list[i]) == 0) {
            *at = l->constant[list[i - 1].v];
            continue;
        }
        *at = cpu_blob_add(&l->blob, list[i].bytes);
        memcpy(l->blob.data + *at, list[i].data, list[i].bytes);
    }
    free(list);
    return true;
}

static bool same_floats(const float *a, const float *b, size_t n)
{
    return (!a && !b) || (a && b && memcmp(a, b, n * sizeof(*a)) == 0);
}

bool cpu_same_weights(const struct wk_graph *a, const struct wk_graph *b)
{
    bool same = a->n_nodes == b->n_nodes && a->n_values == b->n_values;
    for (uint32_t i = 0; same && i < a->n_nodes; i++) {
        const struct wk_node *x = &a->nodes[i], *y = &b->nodes[i];
        const struct wk_onnx_tensor *w = x->weights, *u = y->weights;
        same = x->op == y->op && x->n == y->n && x->k == y->k && !w == !u &&
               same_floats(x->scale, y->scale, x->n) && same_floats(x->bias, y->bias, x->n) &&
               (!w || (w->elems == u->elems &&
                       memcmp(w->data, u->data, w->elems * wk_dtype_size(w->dtype)) == 0));
    }
    return same;
}

int cpu_pack_kernel(struct layout *l, const struct wk_node *x, uint32_t node, size_t bytes,
                    struct ac_err *err)
{
    struct blob plain = {0};
    if (bytes / CPU_PACKED_MAX > x->weights->elems * sizeof(float) + CPU_TILE)
        return ac_err_set(err, AC_ENOTSUP, "node %.80s: the library would make %zu bytes of %zu",
                          x->name, bytes, x->weights->elems * sizeof(float));
    if (bytes > CPU_WEIGHTS_MAX || l->blob.len > CPU_WEIGHTS_MAX - bytes)
        return ac_err_set(err, AC_ENOTSUP, "node %.80s: packed, the model's weights are too large",
                          x->name);
    size_t from = x->op == WK_DENSE ? pack_dense(&plain, x) : pack_conv(&plain, x);
    l->weights[node] = cpu_blob_add(&l->blob, bytes);
    int rc = l->lib->pack(l->kernels[node], (const float *)(const void *)(plain.data + from),
                          l->blob.data + l->weights[node], err);
    free(plain.data);
    free(plain.starts);
    return rc;
}
