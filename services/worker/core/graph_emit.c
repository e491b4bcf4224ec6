/* Operators that are made of several nodes. */
#include "graph_int.h"
#include "number.h"

#include <string.h>

int ge_fail(struct builder *b, const struct wk_onnx_node *n, int code, const char *what)
{
    return b->rc ? b->rc : (b->rc = gb_fail(b, n, code, what));
}

bool ge_has_input(const struct wk_onnx_node *n, uint32_t i)
{
    return i < n->n_inputs && n->inputs[i][0];
}

uint32_t ge_input(struct builder *b, const struct wk_onnx_node *n, uint32_t i)
{
    uint32_t v = 0;
    if (b->rc == 0)
        b->rc = gb_find(b, n, i, &v);
    return v;
}

const struct wk_shape *ge_shape(const struct builder *b, uint32_t v)
{
    return &b->g->shapes[v];
}

int ge_dtype(const struct builder *b, uint32_t v)
{
    return b->g->values[v].dtype;
}

int64_t ge_axis(struct builder *b, const struct wk_onnx_node *n, uint32_t v, int64_t axis)
{
    int64_t rank = ge_shape(b, v)->rank;
    axis = axis < 0 ? axis + rank : axis;
    if (axis >= 0 && axis < rank)
        return axis;
    ge_fail(b, n, AC_EINVAL, "the axis is out of range");
    return 0;
}

struct wk_node *ge_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                        const uint32_t *in, uint32_t n_in, const char *out)
{
    struct wk_node *x = NULL;
    AC_ASSERT(n_in <= 4);
    if (b->rc == 0)
        b->rc = gb_settle(b);
    if (b->rc == 0)
        b->rc = gb_named_node(b, n, op, dtype, out, &x);
    if (b->rc)
        return NULL;
    memcpy(x->in, in, n_in * sizeof(*in));
    x->n_in = n_in;
    return x;
}

/* The node is complete. */
static uint32_t made(struct builder *b, const struct wk_node *x)
{
    if (b->rc == 0)
        b->rc = gb_settle(b);
    return b->rc || !x ? 0 : x->out;
}

uint32_t ge_pair(struct builder *b, const struct wk_onnx_node *n, enum wk_binary kind, uint32_t a,
                 uint32_t c, const char *out)
{
    int dtype = kind >= WK_EQUAL ? WK_BOOL : ge_dtype(b, a);
    if (b->rc == 0 && ge_dtype(b, a) != ge_dtype(b, c))
        ge_fail(b, n, AC_EINVAL, "the inputs have different element types");
    struct wk_node *x = ge_node(b, n, WK_BINARY, dtype, (const uint32_t[]){a, c}, 2, out);
    if (x)
        x->binary = kind;
    return made(b, x);
}

uint32_t ge_unary(struct builder *b, const struct wk_onnx_node *n, enum wk_unary kind, uint32_t a,
                  const char *out)
{
    struct wk_node *x = ge_node(b, n, WK_UNARY, ge_dtype(b, a), &a, 1, out);
    if (x)
        x->act.kind = kind;
    return made(b, x);
}

uint32_t ge_reduce(struct builder *b, const struct wk_onnx_node *n, enum wk_reduce kind, uint32_t a,
                   const int64_t *axes, uint32_t n_axes, const char *out)
{
    struct wk_node *x = ge_node(b, n, WK_REDUCE, ge_dtype(b, a), &a, 1, out);
    if (!x)
        return 0;
    x->reduce = kind;
    x->reshape = WK_SAME;
    x->n_axes = n_axes;
    if (n_axes)
        memcpy(x->axes, axes, n_axes * sizeof(*axes));
    return made(b, x);
}

uint32_t ge_reshape(struct builder *b, const struct wk_onnx_node *n, uint32_t a,
                    const int64_t *dims, uint32_t rank, const char *out)
{
    struct wk_node *x = ge_node(b, n, WK_RESHAPE, ge_dtype(b, a), &a, 1, out);
    if (!x)
        return 0;
    x->reshape = WK_TO_SHAPE;
    x->n_axes = rank;
    if (rank)
        memcpy(x->axes, dims, rank * sizeof(*dims));
    return made(b, x);
}

uint32_t ge_transpose(struct builder *b, const struct wk_onnx_node *n, uint32_t a,
                      const int64_t *perm, uint32_t rank, const char *out)
{
    struct wk_node *x = ge_node(b, n, WK_TRANSPOSE, ge_dtype(b, a), &a, 1, out);
    if (!x)
        return 0;
    x->n_axes = rank;
    memcpy(x->axes, perm, rank * sizeof(*perm));
    return made(b, x);
}

uint32_t ge_same(struct builder *b, const struct wk_onnx_node *n, uint32_t a, const char *out)
{
    struct wk_node *x = ge_node(b, n, WK_RESHAPE, ge_dtype(b, a), &a, 1, out);
    if (x)
        x->reshape = WK_SAME;
    return made(b, x);
}

uint32_t ge_cast(struct builder *b, const struct wk_onnx_node *n, uint32_t a, int dtype,
                 const char *out)
{
    if (b->rc == 0 && ge_dtype(b, a) == dtype)
        return out[0] ? ge_same(b, n, a, out) : a;
    return made(b, ge_node(b, n, WK_CAST, dtype, &a, 1, out));
}

uint32_t ge_constant(struct builder *b, const char *name, int dtype, const int64_t *dims,
                     uint32_t rank, void **ret_data)
{
    uint32_t v = 0;
    *ret_data = NULL;
    if (b->rc)
        return 0;
    struct wk_onnx_tensor *t = ac_arena_calloc(b->arena, 1, sizeof(*t));
    if (t) {
        *t = (struct wk_onnx_tensor){.name = "", .dtype = dtype, .rank = rank, .elems = 1};
        for (uint32_t i = 0; i < rank; i++) {
            t->dims[i] = dims[i];
            t->elems = ac_mul_size(t->elems, (size_t)dims[i]);
        }
        if (t->elems <= WK_VALUE_ELEMS)
            t->data = *ret_data = ac_arena_calloc(b->arena, t->elems, wk_dtype_size(dtype));
    }
    b->rc = *ret_data ? gb_value(b, name, dtype, t, &v) : gb_no_memory(b);
    if (b->rc)
        *ret_data = NULL;
    return v;
}

uint32_t ge_scalar(struct builder *b, int dtype, double v)
{
    void *data;
    uint32_t value = ge_constant(b, "", dtype, NULL, 0, &data);
    if (data)
        wk_put_real(dtype, data, 0, v);
    return value;
}
