/* Normalisation, and other functions that are made of simpler ones. */
#include "graph_int.h"
#include "number.h"

#include <math.h>
#include <string.h>

static int known_batchnorm(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_tensor *t[4];
    for (uint32_t i = 0; i < 4; i++) {
        int rc = gb_constant(b, n, i + 1, &t[i]);
        if (rc)
            return rc;
        if (!t[i] || t[i]->dtype != WK_F32 || t[i]->elems == 0 || t[i]->elems != t[0]->elems)
            return gb_fail(b, n, AC_EINVAL,
                           "scale, bias, mean and variance must be FP32 lists of one length");
    }
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_AFFINE, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc)
        return rc;
    x->n = (uint32_t)t[0]->elems;
    x->scale = gb_filled(b, x->n, 1);
    x->bias = gb_filled(b, x->n, 0);
    if (!x->scale || !x->bias)
        return gb_no_memory(b);
    double eps = (double)wk_onnx_attr_float(n, "epsilon", 1e-5f);
    for (uint32_t i = 0; i < x->n; i++) {
        double s = (double)gb_f32(t[0], i) / sqrt((double)gb_f32(t[3], i) + eps);
        x->scale[i] = (float)s;
        x->bias[i] = (float)((double)gb_f32(t[1], i) - (double)gb_f32(t[2], i) * s);
    }
    return 0;
}

/* A list along dimension 1 of v, shaped so that it is spread over v. */
static uint32_t per_channel(struct builder *b, const struct wk_onnx_node *n, uint32_t v,
                            uint32_t list)
{
    const struct wk_shape *s = ge_shape(b, v);
    int64_t dims[WK_ONNX_MAX_RANK] = {0};
    if (b->rc)
        return 0;
    if (s->rank < 2 || wk_shape_elems(ge_shape(b, list)) != (size_t)s->dims[1]) {
        ge_fail(b, n, AC_EINVAL, "a parameter has not one value a channel");
        return 0;
    }
    for (uint32_t i = 1; i < s->rank; i++)
        dims[i - 1] = i == 1 ? s->dims[1] : 1;
    return ge_reshape(b, n, list, dims, s->rank - 1, "");
}

/* What divides by the deviation: d / sqrt(var + epsilon). */
static uint32_t inverse_deviation(struct builder *b, const struct wk_onnx_node *n, uint32_t var,
                                  float epsilon, const char *out)
{
    uint32_t sum = ge_pair(b, n, WK_ADD, var, ge_scalar(b, ge_dtype(b, var), (double)epsilon), "");
    uint32_t root = ge_unary(b, n, WK_SQRT, sum, "");
    return ge_unary(b, n, WK_RECIPROCAL, root, out);
}

int gb_batchnorm(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0), in[5] = {0};
    bool known = b->rc == 0 && ge_dtype(b, x) == WK_F32;
    if (wk_onnx_attr_int(n, "training_mode", 0) != 0 || n->n_outputs > 1)
        return gb_fail(b, n, AC_ENOTSUP, "training mode is not supported");
    for (uint32_t i = 1; i < 5; i++) {
        in[i] = ge_input(b, n, i);
        known = known && b->rc == 0 && b->g->values[in[i]].constant;
    }
    if (b->rc || known)
        return b->rc ? b->rc : known_batchnorm(b, n);
    for (uint32_t i = 1; i < 5; i++)
        in[i] = per_channel(b, n, x, in[i]);
    uint32_t d = ge_pair(b, n, WK_SUB, x, in[3], "");
    uint32_t inv = inverse_deviation(b, n, in[4], wk_onnx_attr_float(n, "epsilon", 1e-5f), "");
    uint32_t factor = ge_pair(b, n, WK_MUL, inv, in[1], "");
    (void)ge_pair(b, n, WK_ADD, ge_pair(b, n, WK_MUL, d, factor, ""), in[2], n->outputs[0]);
    return b->rc;
}

static const char *name_of(const struct wk_onnx_node *n, uint32_t output)
{
    return output < n->n_outputs ? n->outputs[output] : "";
}

/* Less the mean, through the deviation, of the dimensions from axis on. */
static uint32_t normalised(struct builder *b, const struct wk_onnx_node *n, uint32_t x,
                           int64_t axis, float epsilon, bool named)
{
    int64_t axes[WK_ONNX_MAX_RANK];
    uint32_t n_axes = 0;
    if (b->rc)
        return 0;
    for (int64_t i = axis; i < ge_shape(b, x)->rank; i++)
        axes[n_axes++] = i;
    if (n_axes == 0) {
        ge_fail(b, n, AC_EINVAL, "the axis is out of range");
        return 0;
    }
    uint32_t mean = ge_reduce(b, n, WK_MEAN, x, axes, n_axes, named ? name_of(n, 1) : "");
    uint32_t d = ge_pair(b, n, WK_SUB, x, mean, "");
    uint32_t var = ge_reduce(b, n, WK_MEAN, ge_pair(b, n, WK_MUL, d, d, ""), axes, n_axes, "");
    uint32_t inv = inverse_deviation(b, n, var, epsilon, named ? name_of(n, 2) : "");
    return ge_pair(b, n, WK_MUL, d, inv, "");
}

int gb_layernorm(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0), scale = ge_input(b, n, 1);
    bool bias = ge_has_input(n, 2);
    if (b->rc)
        return b->rc;
    int64_t axis = ge_axis(b, n, x, wk_onnx_attr_int(n, "axis", -1));
    uint32_t y = normalised(b, n, x, axis, wk_onnx_attr_float(n, "epsilon", 1e-5f), true);
    y = ge_pair(b, n, WK_MUL, y, scale, bias ? "" : n->outputs[0]);
    if (bias)
        (void)ge_pair(b, n, WK_ADD, y, ge_input(b, n, 2), n->outputs[0]);
    return b->rc;
}

int gb_instancenorm(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    uint32_t scale = per_channel(b, n, x, ge_input(b, n, 1));
    uint32_t bias = per_channel(b, n, x, ge_input(b, n, 2));
    uint32_t y = normalised(b, n, x, 2, wk_onnx_attr_float(n, "epsilon", 1e-5f), false);
    (void)ge_pair(b, n, WK_ADD, ge_pair(b, n, WK_MUL, y, scale, ""), bias, n->outputs[0]);
    return b->rc;
}

int gb_meanvariance(struct builder *b, const struct wk_onnx_node *n)
{
    int64_t axes[WK_ONNX_MAX_RANK] = {0, 2, 3};
    uint32_t n_axes = 3, x = ge_input(b, n, 0);
    if (b->rc == 0 && wk_onnx_attr(n, "axes"))
        b->rc = gb_int_list(b, n, "axes", 0, WK_ONNX_MAX_RANK, axes, &n_axes);
    uint32_t d = ge_pair(b, n, WK_SUB, x, ge_reduce(b, n, WK_MEAN, x, axes, n_axes, ""), "");
    uint32_t var = ge_reduce(b, n, WK_MEAN, ge_pair(b, n, WK_MUL, d, d, ""), axes, n_axes, "");
    uint32_t deviation = ge_unary(b, n, WK_SQRT, var, "");
    deviation = ge_pair(b, n, WK_ADD, deviation, ge_scalar(b, ge_dtype(b, x), 1e-9), "");
    (void)ge_pair(b, n, WK_DIV, d, deviation, n->outputs[0]);
    return b->rc;
}

int gb_lpnorm(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    int64_t p = wk_onnx_attr_int(n, "p", 2);
    if (p != 1 && p != 2)
        return gb_fail(b, n, AC_EINVAL, "p must be 1 or 2");
    int64_t axis = b->rc ? 0 : ge_axis(b, n, x, wk_onnx_attr_int(n, "axis", -1));
    uint32_t norm = ge_reduce(b, n, p == 1 ? WK_L1 : WK_L2, x, &axis, 1, "");
    (void)ge_pair(b, n, WK_DIV, x, norm, n->outputs[0]);
    return b->rc;
}

/* x / (bias + alpha / size * the squares of the channels around)^beta */
int gb_lrn(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    int64_t size = wk_onnx_attr_int(n, "size", 0);
    if (b->rc || size < 1 || size > 1024 || ge_shape(b, x)->rank < 2 || ge_dtype(b, x) != WK_F32)
        return b->rc ? b->rc
                     : gb_fail(b, n, AC_ENOTSUP, "an FP32 image and a size up to 1024 are needed");
    int64_t channels = ge_shape(b, x)->dims[1], dims[2] = {channels, size};
    void *from, *weights;
    uint32_t in[3] = {ge_pair(b, n, WK_MUL, x, x, "")};
    in[1] = ge_constant(b, "", WK_I32, dims, 2, &from);
    in[2] = ge_constant(b, "", WK_F32, dims, 2, &weights);
    float each = wk_onnx_attr_float(n, "alpha", 1e-4f) / (float)size;
    for (int64_t i = 0; weights && i < channels; i++)
        for (int64_t t = 0; t < size; t++) {
            int64_t c = i + t - (size - 1) / 2;
            bool there = c >= 0 && c < channels;
            ((int32_t *)from)[i * size + t] = there ? (int32_t)c : 0;
            ((float *)weights)[i * size + t] = there ? each : 0;
        }
    struct wk_node *sum = ge_node(b, n, WK_MIX, WK_F32, in, 3, "");
    if (!sum)
        return b->rc;
    sum->axis = 1;
    sum->n = (uint32_t)channels;
    sum->k = (uint32_t)size;
    uint32_t v = sum->out;
    v = ge_pair(b, n, WK_ADD, v, ge_scalar(b, WK_F32, (double)wk_onnx_attr_float(n, "bias", 1)),
                "");
    v = ge_pair(b, n, WK_POW, v, ge_scalar(b, WK_F32, (double)wk_onnx_attr_float(n, "beta", 0.75f)),
                "");
    (void)ge_pair(b, n, WK_DIV, x, v, n->outputs[0]);
    return b->rc;
}

static int clip_between(struct builder *b, const struct wk_onnx_node *n, uint32_t x)
{
    bool low = ge_has_input(n, 1), high = ge_has_input(n, 2);
    if (low)
        x = ge_pair(b, n, WK_MAX, x, ge_input(b, n, 1), high ? "" : n->outputs[0]);
    if (high)
        x = ge_pair(b, n, WK_MIN, x, ge_input(b, n, 2), n->outputs[0]);
    if (!low && !high)
        (void)ge_same(b, n, x, n->outputs[0]);
    return b->rc;
}

int gb_clip(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    float bounds[2] = {wk_onnx_attr_float(n, "min", -INFINITY),
                       wk_onnx_attr_float(n, "max", INFINITY)};
    bool plain = b->rc == 0 && ge_dtype(b, x) == WK_F32;
    for (uint32_t i = 1; i <= 2 && b->rc == 0; i++) {
        if (!ge_has_input(n, i))
            continue;
        uint32_t v = ge_input(b, n, i);
        const struct wk_onnx_tensor *t = b->rc ? NULL : b->g->values[v].constant;
        if (b->rc == 0 && wk_shape_elems(ge_shape(b, v)) != 1)
            return gb_fail(b, n, AC_EINVAL, "a bound must be one value");
        plain = plain && t && t->dtype == WK_F32;
        if (plain)
            bounds[i - 1] = gb_f32(t, 0);
    }
    if (b->rc || !plain)
        return b->rc ? b->rc : clip_between(b, n, x);
    struct wk_node *y = ge_node(b, n, WK_UNARY, WK_F32, &x, 1, n->outputs[0]);
    if (y)
        y->act = (struct wk_activation){.kind = WK_CLIP, .a = bounds[0], .b = bounds[1]};
    return b->rc;
}

static uint32_t arg(struct builder *b, const struct wk_onnx_node *n, enum wk_reduce kind,
                    uint32_t x, int64_t axis, bool keep, const char *out)
{
    struct wk_node *y = ge_node(b, n, WK_REDUCE, WK_I64, &x, 1, out);
    if (!y)
        return 0;
    y->reduce = kind;
    y->reshape = keep ? WK_SAME : WK_SQUEEZE;
    y->n_axes = 1;
    y->axes[0] = axis;
    y->last_one = wk_onnx_attr_int(n, "select_last_index", 0) != 0;
    b->rc = gb_settle(b);
    return y->out;
}

int gb_arg(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    (void)arg(b, n, strcmp(n->op, "ArgMax") == 0 ? WK_ARG_GREATEST : WK_ARG_LEAST, x,
              wk_onnx_attr_int(n, "axis", 0), wk_onnx_attr_int(n, "keepdims", 1) != 0,
              n->outputs[0]);
    return b->rc;
}

/* One where the first greatest element along the axis is. */
int gb_hardmax(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    if (b->m->opset < 13)
        return gb_fail(b, n, AC_ENOTSUP, "the form before operator set 13 is not supported");
    int64_t axis = b->rc ? 0 : ge_axis(b, n, x, wk_onnx_attr_int(n, "axis", -1));
    if (b->rc)
        return b->rc;
    struct wk_shape s = *ge_shape(b, x);
    for (uint32_t i = 0; i < s.rank; i++)
        s.dims[i] = i == axis ? s.dims[i] : 1;
    void *data;
    uint32_t numbers = ge_constant(b, "", WK_I64, s.dims, s.rank, &data);
    for (int64_t i = 0; data && i < s.dims[axis]; i++)
        ((int64_t *)data)[i] = i;
    uint32_t first = arg(b, n, WK_ARG_GREATEST, x, axis, true, "");
    uint32_t there = ge_pair(b, n, WK_EQUAL, numbers, first, "");
    (void)ge_cast(b, n, there, ge_dtype(b, x), n->outputs[0]);
    return b->rc;
}
