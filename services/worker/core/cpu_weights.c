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
    return at;
}

/* Every use of a constant has its own copy, so a small file may ask for a lot. */
bool cpu_weights_fit(const struct wk_graph *g, const struct wk_graph *first, const struct layout *l)
{
    size_t total = l->blob.len;
    for (uint32_t i = 0; !first && i < g->n_nodes; i++)
        if (g->nodes[i].weights)
            total += g->nodes[i].weights->elems * sizeof(float);
    for (uint32_t v = 0; v < g->n_values; v++) {
        const struct wk_onnx_tensor *t = g->values[v].constant;
        const struct wk_onnx_tensor *one = first && t ? first->values[v].constant : NULL;
        if (t && g->values[v].uses && !(one && one->elems == t->elems))
            total += t->elems * wk_dtype_size(t->dtype);
    }
    return total <= CPU_WEIGHTS_MAX;
}

static void pack_dense(struct blob *b, const struct wk_node *x, size_t *ret_weights,
                       size_t *ret_bias)
{
    size_t k = x->k, n = x->n;
    *ret_weights = cpu_blob_add(b, k * n * sizeof(float));
    float *w = (float *)(void *)(b->data + *ret_weights);
    const char *src = x->weights->data;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < n; j++) {
            float v;
            memcpy(&v, src + 4 * (x->transposed ? j * k + i : i * n + j), 4);
            w[i * n + j] = v * x->scale[j];
        }
    *ret_bias = cpu_blob_add(b, n * sizeof(float));
    memcpy(b->data + *ret_bias, x->bias, n * sizeof(float));
}

static void pack_conv(struct blob *b, const struct wk_node *x, size_t *ret_weights,
                      size_t *ret_bias)
{
    if (x->weights) {
        *ret_weights = cpu_blob_add(b, ac_mul_size(x->weights->elems, sizeof(float)));
        float *w = (float *)(void *)(b->data + *ret_weights);
        memcpy(w, x->weights->data, x->weights->elems * sizeof(float));
        for (size_t i = 0; x->op == WK_CONV && i < x->weights->elems; i++)
            w[i] *= x->scale[i / x->k];
    }
    *ret_bias = cpu_blob_add(b, x->n * sizeof(float));
    memcpy(b->data + *ret_bias, x->bias, x->n * sizeof(float));
}

void cpu_pack(const struct wk_graph *g, struct layout *l)
{
    struct blob *b = &l->blob;
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct wk_node *x = &g->nodes[i];
        if (l->lib && (x->op == WK_DENSE || (x->op == WK_CONV && x->weights))) {
            continue; /* packed when its kernel is made */
        } else if (x->op == WK_DENSE) {
            pack_dense(b, x, &l->weights[i], &l->bias[i]);
        } else if (x->op == WK_CONV || x->op == WK_DECONV) {
            pack_conv(b, x, &l->weights[i], &l->bias[i]);
        } else if (x->op == WK_AFFINE) {
            l->weights[i] = cpu_blob_add(b, x->n * sizeof(float));
            memcpy(b->data + l->weights[i], x->scale, x->n * sizeof(float));
            l->bias[i] = cpu_blob_add(b, x->n * sizeof(float));
            memcpy(b->data + l->bias[i], x->bias, x->n * sizeof(float));
        }
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
    for (uint32_t v = 0; v < g->n_values; v++) {
        const struct wk_onnx_tensor *t = g->values[v].constant, *one;
        if (!t || g->values[v].uses == 0 || t->elems == 0)
            continue;
        one = first ? first->values[v].constant : NULL;
        if (first && (!one || !repeats(t, one)))
            return false;
        if (first && one->elems == t->elems && first->values[v].uses) {
            l->constant[v] = first_at[v];
            continue;
        }
        size_t bytes = t->elems * wk_dtype_size(t->dtype);
        l->constant[v] = cpu_blob_add(&l->blob, bytes);
        memcpy(l->blob.data + l->constant[v], t->data, bytes);
    }
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
    size_t weights, bias;
    if (bytes / CPU_PACKED_MAX > x->weights->elems * sizeof(float) + CPU_TILE)
        return ac_err_set(err, AC_ENOTSUP, "node %.80s: the library would make %zu bytes of %zu",
                          x->name, bytes, x->weights->elems * sizeof(float));
    if (bytes > CPU_WEIGHTS_MAX || l->blob.len > CPU_WEIGHTS_MAX - bytes)
        return ac_err_set(err, AC_ENOTSUP, "node %.80s: packed, the model's weights are too large",
                          x->name);
    if (x->op == WK_DENSE)
        pack_dense(&plain, x, &weights, &bias);
    else
        pack_conv(&plain, x, &weights, &bias);
    l->weights[node] = cpu_blob_add(&l->blob, bytes);
    int rc = l->lib->pack(l->kernels[node], (const float *)(const void *)(plain.data + weights),
                          l->blob.data + l->weights[node], err);
    l->bias[node] = cpu_blob_add(&l->blob, x->n * sizeof(float));
    memcpy(l->blob.data + l->bias[node], plain.data + bias, x->n * sizeof(float));
    free(plain.data);
    return rc;
}
