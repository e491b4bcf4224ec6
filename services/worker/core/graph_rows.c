/* That the rows of a batch stay apart: they are requests of different people. Each value either
 * does not depend on the inputs or has one dimension that is the batch, which is followed from node
 * to node; a node that looks along it is refused. */
#include "graph_int.h"

#include <string.h>

#include <aceso/base.h>

#define NONE  (-1) /* the same for all rows */
#define MIXED (-2)

struct rows {
    const struct wk_graph *g;
    const int *axis; /* of each value */
};

static const struct wk_shape *shape(const struct rows *r, uint32_t v)
{
    return &r->g->shapes[v];
}

static int from_end(int64_t axis, uint32_t rank)
{
    return (int)(axis < 0 ? axis + rank : axis);
}

/* Inputs meet element by element, their last dimensions side by side. */
static int elementwise(const struct rows *r, const struct wk_node *x)
{
    int axis = NONE;
    uint32_t rank = shape(r, x->out)->rank;
    for (uint32_t i = 0; i < x->n_in; i++) {
        int a = r->axis[x->in[i]];
        if (a == NONE)
            continue;
        a += (int)(rank - shape(r, x->in[i])->rank);
        if (axis != NONE && axis != a)
            return MIXED;
        axis = a;
    }
    return axis;
}

/* The elements stay in their order: the batch is where as many lie before it. */
static int reshape(const struct wk_shape *in, int a, const struct wk_shape *out)
{
    size_t before = 1, n = 1;
    for (int i = 0; i < a; i++)
        before *= (size_t)in->dims[i];
    for (uint32_t i = 0; i < out->rank; i++) {
        if (n == before && out->dims[i] == in->dims[a])
            return (int)i;
        n *= (size_t)out->dims[i];
    }
    return MIXED;
}

static int transpose(const struct wk_node *x, const struct wk_shape *in, int a)
{
    for (uint32_t i = 0; i < in->rank; i++)
        if ((x->n_axes ? x->axes[i] : in->rank - 1 - i) == a)
            return (int)i;
    return MIXED;
}

static int slice(const struct wk_node *x, const struct wk_shape *in, int a)
{
    struct wk_shape out;
    int64_t first[WK_ONNX_MAX_RANK], step[WK_ONNX_MAX_RANK];
    if (wk_slice(x, in, first, step, &out, NULL))
        return MIXED;
    return first[a] == 0 && step[a] == 1 && out.dims[a] == in->dims[a] ? a : MIXED;
}

static int reduce(const struct wk_node *x, const struct wk_shape *in, int a)
{
    int gone = 0;
    for (uint32_t i = 0; i < x->n_axes; i++) {
        int k = from_end(x->axes[i], in->rank);
        if (k == a)
            return MIXED;
        gone += k < a;
    }
    if (x->n_axes == 0)
        return MIXED;
    return x->reshape == WK_SQUEEZE ? a - gone : a;
}

static int gather(const struct rows *r, const struct wk_node *x)
{
    int a = r->axis[x->in[0]], i = r->axis[x->in[1]];
    int along = from_end(x->axis, shape(r, x->in[0])->rank);
    if (a == NONE)
        return x->op == WK_GATHER ? along + i : i;
    if (x->op ==
        WK_GATHER_EACH) /* of its own row, wherever the numbers are the row's own or all's */
        return a != along && (i == NONE || i == a) &&
                       shape(r, x->out)->dims[a] == shape(r, x->in[0])->dims[a]
                   ? a
                   : MIXED;
    if (i != NONE || a == along)
        return MIXED;
    return a < along ? a : a + (int)shape(r, x->in[1])->rank - 1;
}

/* Where the batch of one factor lies in the product; across: the dimension that is summed over. */
static int factor(const struct rows *r, uint32_t v, uint32_t out_rank, uint32_t across)
{
    int a = r->axis[v];
    uint32_t rank = shape(r, v)->rank;
    if (a == NONE)
        return NONE;
    if ((uint32_t)a + 2 < rank) /* one of many matrices */
        return a + (int)(out_rank - rank);
    return (uint32_t)a == rank - 2 + across ? MIXED : (int)out_rank;
}

static int matmul(const struct rows *r, const struct wk_node *x)
{
    uint32_t rank = shape(r, x->out)->rank;
    int a = factor(r, x->in[0], rank, !x->turned), b = factor(r, x->in[1], rank, x->transposed);
    if (a == MIXED || b == MIXED)
        return MIXED;
    if (b == NONE)
        return a == (int)rank ? (int)rank - 2 : a;
    if (a == NONE)
        return b == (int)rank ? (int)rank - 1 : b;
    return a == b && a != (int)rank ? a : MIXED; /* a row against a row is all against all */
}

static bool depends(const struct rows *r, const struct wk_node *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->n_in; i++)
        any |= r->axis[x->in[i]] != NONE;
    return any;
}

static int concat(const struct rows *r, const struct wk_node *x)
{
    int a = elementwise(r, x);
    return a == from_end(x->axis, shape(r, x->out)->rank) ? MIXED : a;
}

/* Inputs behind the first one that are the node's own: the same for all rows. */
static bool rest_is_fixed(const struct rows *r, const struct wk_node *x)
{
    bool fixed = r->axis[x->in[0]] != NONE;
    for (uint32_t i = 1; i < x->n_in; i++)
        fixed &= r->axis[x->in[i]] == NONE;
    return fixed;
}

static int through(const struct rows *r, const struct wk_node *x)
{
    const struct wk_shape *in = shape(r, x->in[0]);
    int a = r->axis[x->in[0]], along = from_end(x->axis, in->rank);
    switch (x->op) {
    case WK_UNARY:
    case WK_CAST:
    case WK_BINARY:
    case WK_WHERE:
    case WK_EXPAND:
        return elementwise(r, x);
    case WK_CONCAT:
        return concat(r, x);
    case WK_GATHER:
    case WK_GATHER_EACH:
        return gather(r, x);
    case WK_MATMUL:
        return matmul(r, x);
    default:
        break;
    }
    if (!rest_is_fixed(r, x))
        return MIXED;
    switch (x->op) {
    case WK_DENSE:
        return (uint32_t)a + 1 < in->rank ? a : MIXED;
    case WK_AFFINE:
        return a != 1 ? a : MIXED;
    case WK_SOFTMAX: /* flat: all from the axis on is one row */
        return (x->reshape == WK_FLATTEN ? a < along : a != along) ? a : MIXED;
    case WK_RESHAPE:
        return reshape(in, a, shape(r, x->out));
    case WK_CONV:
    case WK_DECONV:
    case WK_POOL_MAX:
    case WK_POOL_MEAN:
        return a == 0 ? a : MIXED;
    case WK_TRANSPOSE:
        return transpose(x, in, a);
    case WK_SLICE:
        return slice(x, in, a);
    case WK_PAD:
        return x->first[a] == 0 && x->last[a] == 0 ? a : MIXED;
    case WK_REDUCE:
        return reduce(x, in, a);
    case WK_MIX:
        return a != along ? a : MIXED;
    default:
        return MIXED;
    }
}

int gb_rows(const struct builder *b)
{
    const struct wk_graph *g = b->g;
    int *axis = ac_arena_alloc(b->arena, ac_mul_size(g->n_values, sizeof(*axis)));
    if (!axis)
        return gb_no_memory(b);
    for (uint32_t i = 0; i < g->n_values; i++)
        axis[i] = g->values[i].input ? 0 : NONE;
    const struct rows r = {g, axis};
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        const struct wk_node *x = &g->nodes[i];
        if (x->op == WK_DROPPED || !depends(&r, x))
            continue;
        axis[x->out] = through(&r, x);
        if (axis[x->out] == MIXED)
            return ac_err_set(b->err, AC_ENOTSUP,
                              "node %.80s (operator %.40s): it mixes the rows of a batch", x->name,
                              x->onnx_op);
    }
    for (uint32_t i = 0; i < g->n_outputs; i++)
        if (axis[g->outputs[i]] > 0)
            return ac_err_set(b->err, AC_ENOTSUP,
                              "output %.80s does not have the batch as its first dimension",
                              g->values[g->outputs[i]].name);
    b->g->row_axis = axis;
    return 0;
}
