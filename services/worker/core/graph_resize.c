/* Images of another size, and numbers of another precision. */
#include "graph_int.h"
#include "number.h"

#include <math.h>
#include <string.h>

#define TAPS 4 /* of a cubic curve; lines have two, the nearest place one */

enum method {
    NEAREST = 1,
    LINEAR = 2,
    CUBIC = TAPS
};

struct resize {
    enum method method;
    const char *places, *rounding; /* attributes, by ONNX's names */
    float cubic;
    bool inside; /* leave out what lies outside */
};

/* Where element i of `to` along an axis lies in the input of `from`. */
static double place(const struct resize *r, double scale, int64_t i, int64_t from, int64_t to)
{
    if (strcmp(r->places, "asymmetric") == 0)
        return (double)i / scale;
    if (strcmp(r->places, "align_corners") == 0)
        return to > 1 ? (double)i * (double)(from - 1) / (double)(to - 1) : 0;
    if (strcmp(r->places, "pytorch_half_pixel") == 0 && to == 1)
        return 0;
    return ((double)i + 0.5) / scale - 0.5;
}

static int64_t nearest(const struct resize *r, double at)
{
    if (strcmp(r->rounding, "floor") == 0)
        return (int64_t)floor(at);
    if (strcmp(r->rounding, "ceil") == 0)
        return (int64_t)ceil(at);
    return (int64_t)(strcmp(r->rounding, "round_prefer_ceil") == 0 ? floor(at + 0.5)
                                                                   : ceil(at - 0.5));
}

/* Weight of a sample at a distance (Keys' cubic). */
static double cubic(double a, double x)
{
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static void taps(const struct resize *r, double at, int64_t from, int32_t *index, float *weight)
{
    int64_t first =
        r->method == NEAREST ? nearest(r, at) : (int64_t)floor(at) - (r->method == CUBIC);
    double w[TAPS], sum = 0;
    for (int t = 0; t < (int)r->method; t++) {
        double distance = at - (double)(first + t);
        bool out = first + t < 0 || first + t >= from;
        w[t] = r->method == NEAREST  ? 1
               : r->method == LINEAR ? fmax(0, 1 - fabs(distance))
                                     : cubic((double)r->cubic, distance);
        w[t] = r->inside && out ? 0 : w[t];
        sum += w[t];
        index[t] = (int32_t)AC_MIN(AC_MAX(first + t, (int64_t)0), from - 1);
    }
    for (int t = 0; t < (int)r->method; t++)
        weight[t] = (float)(r->inside && sum != 0 ? w[t] / sum : w[t]);
}

static uint32_t resize_axis(struct builder *b, const struct wk_onnx_node *n, const struct resize *r,
                            uint32_t v, uint32_t axis, double scale, int64_t to)
{
    int64_t from = ge_shape(b, v)->dims[axis], dims[2] = {to, r->method};
    void *index, *weights;
    uint32_t in[3] = {v};
    in[1] = ge_constant(b, "", WK_I32, dims, 2, &index);
    in[2] = ge_constant(b, "", WK_F32, dims, 2, &weights);
    for (int64_t i = 0; weights && i < to; i++)
        taps(r, place(r, scale, i, from, to), from, (int32_t *)index + i * (int64_t)r->method,
             (float *)weights + i * (int64_t)r->method);
    struct wk_node *x = ge_node(b, n, WK_MIX, WK_F32, in, 3, "");
    if (!x)
        return 0;
    x->axis = axis;
    x->n = (uint32_t)to;
    x->k = (uint32_t)r->method;
    b->rc = gb_settle(b);
    return x->out;
}

static const char *text(const struct wk_onnx_node *n, const char *name, const char *otherwise)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, name);
    return a ? a->s : otherwise;
}

static int read_resize(const struct builder *b, const struct wk_onnx_node *n, struct resize *ret)
{
    static const char *const places[] = {"half_pixel", "asymmetric", "align_corners",
                                         "pytorch_half_pixel"};
    bool old = strcmp(n->op, "Upsample") == 0 || b->m->opset < 11;
    const char *mode = text(n, "mode", "nearest");
    *ret = (struct resize){
        .places = text(n, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel"),
        .rounding = text(n, "nearest_mode", old ? "floor" : "round_prefer_floor"),
        .cubic = wk_onnx_attr_float(n, "cubic_coeff_a", -0.75f),
        .inside = wk_onnx_attr_int(n, "exclude_outside", 0) != 0};
    ret->method = strcmp(mode, "nearest") == 0  ? NEAREST
                  : strcmp(mode, "linear") == 0 ? LINEAR
                  : strcmp(mode, "cubic") == 0  ? CUBIC
                                                : 0;
    bool known = false;
    for (size_t i = 0; i < AC_ARRAY_LEN(places); i++)
        known = known || strcmp(ret->places, places[i]) == 0;
    if (ret->method == 0 || !known)
        return gb_fail(b, n, AC_ENOTSUP, "this mode is not supported");
    if (wk_onnx_attr(n, "axes") || wk_onnx_attr_int(n, "antialias", 0) != 0 ||
        strcmp(text(n, "keep_aspect_ratio_policy", "stretch"), "stretch") != 0)
        return gb_fail(b, n, AC_ENOTSUP, "axes, antialias and aspect ratios are not supported");
    return 0;
}

/* Scales as an input (the third from operator set 11 on) or an attribute; else sizes. */
static int read_scales(struct builder *b, const struct wk_onnx_node *n, uint32_t x,
                       double scales[WK_ONNX_MAX_RANK], int64_t sizes[WK_ONNX_MAX_RANK])
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, "scales");
    const struct wk_onnx_tensor *t = NULL;
    const struct wk_shape *s = ge_shape(b, x);
    bool late = strcmp(n->op, "Resize") == 0 && b->m->opset >= 11;
    uint32_t count = 0;
    int rc = a ? 0 : gb_constant(b, n, late ? 2 : 1, &t);
    if (rc)
        return rc;
    bool given =
        a ? a->n_floats == s->rank : t && t->elems == s->rank && t->dtype == WK_F32 && s->rank;
    for (uint32_t i = 0; given && i < s->rank; i++) {
        scales[i] = (double)(a ? a->floats[i] : gb_f32(t, i));
        sizes[i] =
            scales[i] > 0 && scales[i] < 65536 ? (int64_t)floor((double)s->dims[i] * scales[i]) : 0;
    }
    if (!given) {
        rc = gb_int_list(b, n, "", 3, WK_ONNX_MAX_RANK, sizes, &count);
        if (rc == 0 && (count != s->rank || !late))
            rc = gb_fail(b, n, AC_EINVAL, "scales or sizes must be given for every dimension");
        for (uint32_t i = 0; rc == 0 && i < count; i++)
            scales[i] = (double)sizes[i] / (double)s->dims[i];
    }
    for (uint32_t i = 0; rc == 0 && i < s->rank; i++)
        if (sizes[i] < 1 || sizes[i] > 1 << 20)
            rc = gb_fail(b, n, AC_ERANGE, "a size is out of range");
    return rc;
}

int gb_resize(struct builder *b, const struct wk_onnx_node *n)
{
    struct resize r;
    double scales[WK_ONNX_MAX_RANK] = {0};
    int64_t sizes[WK_ONNX_MAX_RANK] = {0};
    uint32_t v = ge_input(b, n, 0);
    int rc = b->rc ? b->rc : gb_need_f32(b, n, v);
    if (rc == 0)
        rc = read_resize(b, n, &r);
    if (rc == 0)
        rc = read_scales(b, n, v, scales, sizes);
    if (rc)
        return rc;
    for (uint32_t i = 0; b->rc == 0 && i < ge_shape(b, v)->rank; i++)
        if (scales[i] != 1 || sizes[i] != ge_shape(b, v)->dims[i])
            v = resize_axis(b, n, &r, v, i, scales[i], sizes[i]);
    (void)ge_same(b, n, v, n->outputs[0]);
    return b->rc;
}

/* A scale or zero point along the axis, shaped to be spread over x. */
static uint32_t along(struct builder *b, const struct wk_onnx_node *n, uint32_t x, uint32_t v)
{
    const struct wk_shape *s = ge_shape(b, x), *own = ge_shape(b, v);
    int64_t dims[WK_ONNX_MAX_RANK];
    if (b->rc || wk_shape_elems(own) == 1)
        return v;
    int64_t axis = ge_axis(b, n, x, wk_onnx_attr_int(n, "axis", 1));
    for (uint32_t i = 0; b->rc == 0 && i < s->rank; i++)
        dims[i] = i == axis ? s->dims[i] : 1;
    return b->rc ? v : ge_reshape(b, n, v, dims, s->rank, "");
}

int gb_quantize(struct builder *b, const struct wk_onnx_node *n)
{
    bool to = strcmp(n->op, "QuantizeLinear") == 0, zero = ge_has_input(n, 2);
    const char *name = n->outputs[0];
    uint32_t x = ge_input(b, n, 0), scale = along(b, n, x, ge_input(b, n, 1)), z = 0;
    int dtype = to ? WK_U8 : WK_F32;
    if (b->rc == 0 && ge_dtype(b, scale) != WK_F32)
        return gb_fail(b, n, AC_ENOTSUP, "only an FP32 scale is supported");
    if (zero) {
        z = ge_input(b, n, 2);
        dtype = to ? ge_dtype(b, z) : dtype;
        z = ge_cast(b, n, along(b, n, x, z), WK_F32, "");
    }
    x = ge_cast(b, n, x, WK_F32, "");
    if (!to) {
        x = zero ? ge_pair(b, n, WK_SUB, x, z, "") : x;
        (void)ge_pair(b, n, WK_MUL, x, scale, name);
        return b->rc;
    }
    if (b->rc == 0 && dtype != WK_U8 && dtype != WK_I8)
        return gb_fail(b, n, AC_ENOTSUP, "only UINT8 and INT8 are supported");
    x = ge_unary(b, n, WK_ROUND, ge_pair(b, n, WK_DIV, x, scale, ""), "");
    x = zero ? ge_pair(b, n, WK_ADD, x, z, "") : x;
    x = ge_pair(b, n, WK_MAX, x, ge_scalar(b, WK_F32, dtype == WK_U8 ? 0 : -128), "");
    x = ge_pair(b, n, WK_MIN, x, ge_scalar(b, WK_F32, dtype == WK_U8 ? 255 : 127), "");
    (void)ge_cast(b, n, x, dtype, name);
    return b->rc;
}
