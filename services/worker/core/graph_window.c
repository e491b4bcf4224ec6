/* Operators with a window over the image, and those that only move elements. */
#include "graph_int.h"

#include <string.h>

#define WINDOW_MAX 65535

static int window_list(const struct builder *b, const struct wk_onnx_node *n, const char *name,
                       int64_t least, uint32_t count, int64_t *ret)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, name);
    if (!a)
        return 0;
    if (a->n_ints != count)
        return gb_fail(b, n, AC_EINVAL,
                       "a list of kernel, strides, dilations or pads does not match the image");
    for (uint32_t i = 0; i < count; i++) {
        if (a->ints[i] < least || a->ints[i] > WINDOW_MAX)
            return gb_fail(b, n, AC_ERANGE, "kernel, stride, dilation or pad is out of range");
        ret[i] = a->ints[i];
    }
    return 0;
}

/* w->n is set, and kernel where the weights tell it. */
static int window(const struct builder *b, const struct wk_onnx_node *n, struct wk_window *w)
{
    static const struct {
        const char *name;
        enum wk_auto_pad pads;
    } kinds[] = {{"NOTSET", WK_PADS_GIVEN},
                 {"VALID", WK_PADS_NONE},
                 {"SAME_UPPER", WK_PADS_SAME_UPPER},
                 {"SAME_LOWER", WK_PADS_SAME_LOWER}};
    uint32_t off = 2 - w->n;
    int64_t pads[4] = {0};
    for (uint32_t d = 0; d < 2; d++)
        w->stride[d] = w->dilation[d] = 1;
    int rc = window_list(b, n, "kernel_shape", 1, w->n, w->kernel + off);
    if (rc == 0)
        rc = window_list(b, n, "strides", 1, w->n, w->stride + off);
    if (rc == 0)
        rc = window_list(b, n, "dilations", 1, w->n, w->dilation + off);
    if (rc == 0)
        rc = window_list(b, n, "pads", 0, 2 * w->n, pads);
    if (rc)
        return rc;
    for (uint32_t d = 0; d < w->n; d++) {
        w->before[off + d] = pads[d];
        w->behind[off + d] = pads[w->n + d];
    }
    const struct wk_onnx_attr *a = wk_onnx_attr(n, "auto_pad");
    for (size_t i = 0; i < AC_ARRAY_LEN(kinds); i++)
        if (!a || strcmp(a->s, kinds[i].name) == 0) {
            w->pads = kinds[i].pads;
            return 0;
        }
    return gb_fail(b, n, AC_EINVAL, "auto_pad is not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER");
}

/* Reads a kernel's attributes; its extent is that of the weights. */
static int kernel_window(const struct builder *b, const struct wk_onnx_node *n,
                         const struct wk_shape *w, struct wk_window *ret)
{
    *ret = (struct wk_window){.n = w->rank - 2, .kernel = {1, 1}};
    int rc = window(b, n, ret);
    for (uint32_t d = 0; rc == 0 && d < ret->n; d++) {
        int64_t *k = &ret->kernel[2 - ret->n + d];
        bool given = wk_onnx_attr(n, "kernel_shape") != NULL;
        if (w->dims[2 + d] > WINDOW_MAX || (given && *k != w->dims[2 + d]))
            return gb_fail(b, n, AC_EINVAL, "kernel_shape does not match the weights");
        *k = w->dims[2 + d];
    }
    return rc;
}

/* Weights and, after it, a bias: constant ones become part of the node, others are its second input
 * and a sum. */
static int kernel_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op,
                       struct wk_node **ret_x)
{
    uint32_t in[2] = {ge_input(b, n, 0), ge_input(b, n, 1)};
    if (b->rc)
        return b->rc;
    const struct wk_shape w = *ge_shape(b, in[1]);
    if (ge_dtype(b, in[0]) != WK_F32 || ge_dtype(b, in[1]) != WK_F32 || wk_shape_elems(&w) == 0 ||
        (w.rank != 3 && w.rank != 4))
        return gb_fail(b, n, AC_ENOTSUP,
                       "weights must be FP32 for one or two dimensions of an image");
    int64_t groups = wk_onnx_attr_int(n, "group", 1);
    if (groups < 1 || groups > w.dims[0] || w.dims[0] % groups != 0)
        return gb_fail(b, n, AC_EINVAL, "the channels do not divide into the groups");
    bool biased = ge_has_input(n, 2);
    uint32_t bias = biased ? ge_input(b, n, 2) : 0;
    const struct wk_onnx_tensor *t = biased ? b->g->values[bias].constant : NULL;
    bool sum = biased && !t;
    struct wk_node *x = ge_node(b, n, op, WK_F32, in, 2, sum ? "" : n->outputs[0]);
    if (!x)
        return b->rc;
    x->weights = b->g->values[in[1]].constant;
    x->n_in = x->weights ? 1 : 2;
    x->groups = (uint32_t)groups;
    int64_t channels = op == WK_CONV ? w.dims[0] : w.dims[1] * groups;
    size_t k = wk_shape_elems(&w) / (size_t)w.dims[0];
    if (k > INT32_MAX || channels > INT32_MAX)
        return gb_fail(b, n, AC_ERANGE, "the weights are too large");
    x->n = (uint32_t)channels;
    x->k = (uint32_t)k;
    x->channels = (uint32_t)(w.dims[0] / groups);
    x->scale = gb_filled(b, x->n, 1);
    x->bias = gb_filled(b, x->n, 0);
    if (!x->scale || !x->bias)
        return gb_no_memory(b);
    if (biased && (ge_dtype(b, bias) != WK_F32 || ge_shape(b, bias)->rank != 1 ||
                   ge_shape(b, bias)->dims[0] != channels))
        return gb_fail(b, n, AC_EINVAL, "the bias must be one FP32 value an output channel");
    for (uint32_t i = 0; t && i < x->n; i++)
        x->bias[i] = gb_f32(t, i);
    *ret_x = x;
    return kernel_window(b, n, &w, &x->window);
}

/* The sum with a bias that is computed. */
static int add_bias(struct builder *b, const struct wk_onnx_node *n, const struct wk_node *x)
{
    if (!ge_has_input(n, 2))
        return 0;
    uint32_t v = x->out, bias = ge_input(b, n, 2);
    if (b->rc || b->g->values[bias].constant)
        return b->rc;
    int64_t dims[3] = {x->n, 1, 1};
    bias = ge_reshape(b, n, bias, dims, x->window.n + 1, "");
    (void)ge_pair(b, n, WK_ADD, v, bias, n->outputs[0]);
    return b->rc;
}

int gb_conv(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x = NULL;
    int rc = kernel_node(b, n, WK_CONV, &x);
    return rc ? rc : add_bias(b, n, x);
}

int gb_deconv(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_attr *shape = wk_onnx_attr(n, "output_shape");
    struct wk_node *x = NULL;
    int rc = kernel_node(b, n, WK_DECONV, &x);
    if (rc || !x)
        return rc;
    rc = window_list(b, n, "output_padding", 0, x->window.n, x->extra + 2 - x->window.n);
    if (rc)
        return rc;
    if (shape && shape->n_ints != x->window.n && shape->n_ints != x->window.n + 2)
        return gb_fail(b, n, AC_EINVAL, "output_shape does not match the image");
    for (uint32_t i = 0; shape && i < x->window.n; i++) {
        x->last[i] = shape->ints[shape->n_ints - x->window.n + i];
        x->n_axes = x->window.n;
        if (x->last[i] < 1 || x->last[i] > INT32_MAX)
            return gb_fail(b, n, AC_ERANGE, "output_shape is out of range");
    }
    return add_bias(b, n, x);
}

int gb_pool(struct builder *b, const struct wk_onnx_node *n)
{
    if (n->n_outputs > 1 && n->outputs[1][0])
        return gb_fail(b, n, AC_ENOTSUP, "the output of indices is not supported");
    bool global = strncmp(n->op, "Global", 6) == 0;
    struct wk_node *x;
    int rc = gb_one_input(b, n, strstr(n->op, "MaxPool") ? WK_POOL_MAX : WK_POOL_MEAN, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc)
        return rc;
    const struct wk_onnx_attr *kernel = wk_onnx_attr(n, "kernel_shape");
    x->window = (struct wk_window){.n = 2, .kernel = {1, 1}, .global = global};
    if (global) {
        x->window.stride[0] = x->window.stride[1] = 1;
        x->window.dilation[0] = x->window.dilation[1] = 1;
        return 0;
    }
    if (!kernel || kernel->n_ints < 1 || kernel->n_ints > 2)
        return gb_fail(b, n, AC_ENOTSUP,
                       "kernel_shape must be for one or two dimensions of an image");
    x->window.n = (uint32_t)kernel->n_ints;
    x->window.ceil = wk_onnx_attr_int(n, "ceil_mode", 0) != 0;
    x->window.count_pads = wk_onnx_attr_int(n, "count_include_pad", 0) != 0;
    rc = window(b, n, &x->window);
    for (uint32_t d = 0; rc == 0 && d < 2; d++) {
        int64_t reach = (x->window.kernel[d] - 1) * x->window.dilation[d] + 1;
        if (x->window.before[d] >= reach || x->window.behind[d] >= reach)
            rc = gb_fail(b, n, AC_EINVAL, "a pad is as large as the kernel");
    }
    return rc;
}

int gb_int_list(const struct builder *b, const struct wk_onnx_node *n, const char *name,
                uint32_t input, uint32_t max, int64_t *ret_list, uint32_t *ret_n)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, name);
    const struct wk_onnx_tensor *t = NULL;
    *ret_n = 0;
    if (a) {
        if (a->n_ints > max)
            return gb_fail(b, n, AC_ERANGE, "too many dimensions");
        *ret_n = (uint32_t)a->n_ints;
        if (a->n_ints)
            memcpy(ret_list, a->ints, a->n_ints * sizeof(*ret_list));
        return 0;
    }
    int rc = input ? gb_constant(b, n, input, &t) : 0;
    return rc || !t ? rc : gb_ints(b, n, t, max, ret_list, ret_n);
}

int gb_transpose(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_TRANSPOSE, &x);
    return rc ? rc : gb_int_list(b, n, "perm", 0, WK_ONNX_MAX_RANK, x->axes, &x->n_axes);
}

int gb_slice(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x;
    uint32_t firsts, lasts, steps;
    int rc = gb_one_input(b, n, WK_SLICE, &x);
    if (rc == 0)
        rc = gb_int_list(b, n, "starts", 1, WK_ONNX_MAX_RANK, x->first, &firsts);
    if (rc == 0)
        rc = gb_int_list(b, n, "ends", 2, WK_ONNX_MAX_RANK, x->last, &lasts);
    if (rc == 0)
        rc = gb_int_list(b, n, "axes", 3, WK_ONNX_MAX_RANK, x->axes, &x->n_axes);
    if (rc == 0)
        rc = gb_int_list(b, n, "steps", 4, WK_ONNX_MAX_RANK, x->step, &steps);
    if (rc)
        return rc;
    for (uint32_t i = 0; x->n_axes == 0 && i < firsts; i++)
        x->axes[i] = i;
    x->n_axes = x->n_axes ? x->n_axes : firsts;
    for (uint32_t i = 0; steps == 0 && i < firsts; i++)
        x->step[i] = 1;
    if (firsts == 0 || lasts != firsts || x->n_axes != firsts || (steps && steps != firsts))
        return gb_fail(b, n, AC_EINVAL, "starts, ends, axes and steps must be of one length");
    for (uint32_t i = 0; i < firsts; i++)
        if (x->step[i] == 0 || x->step[i] < -INT32_MAX || x->step[i] > INT32_MAX)
            return gb_fail(b, n, AC_ERANGE, "a step is out of range");
    return 0;
}

int gb_concat(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_CONCAT, &x);
    for (uint32_t i = 1; rc == 0 && i < n->n_inputs; i++) {
        rc = gb_find(b, n, i, &x->in[i]);
        if (rc == 0 && b->g->values[x->in[i]].dtype != b->g->values[x->in[0]].dtype)
            rc = gb_fail(b, n, AC_EINVAL, "the inputs have different element types");
    }
    if (rc)
        return rc;
    x->n_in = n->n_inputs;
    x->axis = wk_onnx_attr_int(n, "axis", 1);
    return 0;
}

int gb_pad(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_attr *mode = wk_onnx_attr(n, "mode");
    const struct wk_onnx_tensor *fill;
    int64_t pads[2 * WK_ONNX_MAX_RANK];
    uint32_t count;
    struct wk_node *x;
    if (mode && strcmp(mode->s, "constant") != 0)
        return gb_pad_inside(b, n, mode->s);
    if (n->n_inputs > 3 && n->inputs[3][0])
        return gb_fail(b, n, AC_ENOTSUP, "axes are not supported");
    int rc = gb_one_input(b, n, WK_PAD, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc == 0)
        rc = gb_int_list(b, n, "pads", 1, 2 * WK_ONNX_MAX_RANK, pads, &count);
    if (rc == 0)
        rc = gb_constant(b, n, 2, &fill);
    if (rc)
        return rc;
    if (fill && (fill->dtype != WK_F32 || fill->elems != 1))
        return gb_fail(b, n, AC_EINVAL, "the value must be one FP32 value");
    x->n_axes = count / 2;
    if (x->n_axes == 0 || count % 2)
        return gb_fail(b, n, AC_EINVAL, "pads must be given for both sides of every dimension");
    x->fill = fill ? gb_f32(fill, 0) : wk_onnx_attr_float(n, "value", 0);
    for (uint32_t i = 0; i < count; i++) {
        if (pads[i] < 0 || pads[i] > INT32_MAX)
            return gb_fail(b, n, AC_ENOTSUP, "a pad is negative or too large");
        if (i < x->n_axes)
            x->first[i] = pads[i];
        else
            x->last[i - x->n_axes] = pads[i];
    }
    return 0;
}
