/* Products of matrices, and normalisation by numbers that are given. */
#include "graph_int.h"

#include <math.h>
#include <string.h>

static int dense(struct builder *b, const struct wk_onnx_node *n, const struct wk_onnx_tensor *w,
                 bool transposed, float alpha, struct wk_node **ret_x)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_DENSE, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc)
        return rc;
    if (w->rank != 2 || w->dtype != WK_F32 || w->elems == 0)
        return gb_fail(b, n, AC_ENOTSUP, "weights must be a constant FP32 matrix");
    x->weights = w;
    x->transposed = transposed;
    x->k = (uint32_t)w->dims[transposed ? 1 : 0];
    x->n = (uint32_t)w->dims[transposed ? 0 : 1];
    x->scale = gb_filled(b, x->n, alpha);
    x->bias = gb_filled(b, x->n, 0);
    *ret_x = x;
    return x->scale && x->bias ? 0 : gb_no_memory(b);
}

/* A matrix for a MATMUL: one dimension alone is a row (in front) or a column. */
static uint32_t as_matrix(struct builder *b, const struct wk_onnx_node *n, uint32_t v, bool front)
{
    const struct wk_shape *s = ge_shape(b, v);
    if (b->rc == 0 && ge_dtype(b, v) != WK_F32)
        ge_fail(b, n, AC_ENOTSUP, "only FP32 is supported for this operator");
    if (b->rc || s->rank != 1)
        return v;
    int64_t dims[2] = {front ? 1 : s->dims[0], front ? s->dims[0] : 1};
    return ge_reshape(b, n, v, dims, 2, "");
}

static uint32_t matmul(struct builder *b, const struct wk_onnx_node *n, const uint32_t in[2],
                       bool turned, bool transposed, const char *out)
{
    struct wk_node *x = ge_node(b, n, WK_MATMUL, WK_F32, in, 2, out);
    if (!x)
        return 0;
    x->turned = turned;
    x->transposed = transposed;
    b->rc = gb_settle(b);
    return x->out;
}

/* alpha, C and beta that are not one with the weights. */
static int scale_and_add(struct builder *b, const struct wk_onnx_node *n, uint32_t product,
                         float alpha)
{
    bool add = ge_has_input(n, 2);
    float beta = wk_onnx_attr_float(n, "beta", 1);
    if (alpha != 1)
        product = ge_pair(b, n, WK_MUL, product, ge_scalar(b, WK_F32, (double)alpha),
                          add ? "" : n->outputs[0]);
    if (!add)
        return b->rc;
    uint32_t c = ge_input(b, n, 2);
    if (beta != 1)
        c = ge_pair(b, n, WK_MUL, c, ge_scalar(b, WK_F32, (double)beta), "");
    uint32_t y = ge_pair(b, n, WK_ADD, product, c, n->outputs[0]);
    const struct wk_shape *from = ge_shape(b, product), *to = ge_shape(b, y);
    if (b->rc == 0 &&
        (to->rank != 2 || from->dims[0] != to->dims[0] || from->dims[1] != to->dims[1]))
        ge_fail(b, n, AC_EINVAL, "the third input does not fit the product");
    return b->rc;
}

static int gemm_by_weights(struct builder *b, const struct wk_onnx_node *n,
                           const struct wk_onnx_tensor *w)
{
    struct wk_node *x = NULL;
    const struct wk_onnx_tensor *c = NULL;
    int rc = dense(b, n, w, wk_onnx_attr_int(n, "transB", 0) != 0,
                   wk_onnx_attr_float(n, "alpha", 1), &x);
    if (rc == 0)
        rc = gb_constant(b, n, 2, &c);
    if (rc || !c || !x)
        return rc;
    if (c->dtype != WK_F32 || (c->elems != x->n && c->elems != 1))
        return gb_fail(b, n, AC_ENOTSUP, "the third input must be one FP32 value a column");
    float beta = wk_onnx_attr_float(n, "beta", 1);
    for (uint32_t i = 0; i < x->n; i++)
        x->bias[i] = beta * gb_f32(c, c->elems == 1 ? 0 : i);
    return 0;
}

int gb_gemm(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t in[2] = {ge_input(b, n, 0), ge_input(b, n, 1)};
    if (b->rc)
        return b->rc;
    const struct wk_onnx_tensor *w = b->g->values[in[1]].constant, *c = NULL;
    bool turned = wk_onnx_attr_int(n, "transA", 0) != 0, bias = !ge_has_input(n, 2);
    if (ge_shape(b, in[0])->rank != 2 || ge_shape(b, in[1])->rank != 2)
        return gb_fail(b, n, AC_EINVAL, "its inputs must be matrices");
    if (!bias) {
        uint32_t v = ge_input(b, n, 2);
        c = b->rc ? NULL : b->g->values[v].constant;
        int64_t columns = ge_shape(b, in[1])->dims[wk_onnx_attr_int(n, "transB", 0) ? 0 : 1];
        const struct wk_shape *s = ge_shape(b, v);
        bias = c && c->elems &&
               (c->elems == 1 || (s->dims[s->rank - 1] == columns && c->elems == (size_t)columns));
    }
    if (w && bias && !turned)
        return gemm_by_weights(b, n, w);
    for (int i = 0; i < 2; i++)
        in[i] = as_matrix(b, n, in[i], i == 0);
    float alpha = wk_onnx_attr_float(n, "alpha", 1);
    bool more = alpha != 1 || ge_has_input(n, 2);
    uint32_t y =
        matmul(b, n, in, turned, wk_onnx_attr_int(n, "transB", 0) != 0, more ? "" : n->outputs[0]);
    return scale_and_add(b, n, y, alpha);
}

int gb_matmul(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t in[2] = {ge_input(b, n, 0), ge_input(b, n, 1)};
    if (b->rc)
        return b->rc;
    const struct wk_onnx_tensor *w = b->g->values[in[1]].constant;
    struct wk_node *x;
    if (w && w->rank == 2 && w->dtype == WK_F32 && ge_shape(b, in[0])->rank > 0)
        return dense(b, n, w, false, 1, &x);
    bool rows = ge_shape(b, in[0])->rank == 1, columns = ge_shape(b, in[1])->rank == 1;
    for (int i = 0; i < 2; i++)
        in[i] = as_matrix(b, n, in[i], i == 0);
    uint32_t y = matmul(b, n, in, false, false, rows || columns ? "" : n->outputs[0]);
    if (b->rc || !(rows || columns))
        return b->rc;
    struct wk_shape s = *ge_shape(b, y);
    if (columns)
        s.rank--;
    else
        s.dims[s.rank - 2] = s.dims[s.rank - 1];
    s.rank -= rows;
    (void)ge_reshape(b, n, y, s.dims, s.rank, n->outputs[0]);
    return b->rc;
}
