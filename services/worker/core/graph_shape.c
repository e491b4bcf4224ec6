/* Shapes of all values for a given batch. */
#include "executor.h"
#include "graph.h"

#include <string.h>

#include <aceso/base.h>

#define LIMIT_ELEMS (1u << 28) /* of one value */

size_t wk_shape_elems(const struct wk_shape *s)
{
    size_t n = 1;
    for (uint32_t i = 0; i < s->rank; i++)
        n = ac_mul_size(n, (size_t)s->dims[i]);
    return n;
}

static int mismatch(const struct wk_node *x, struct ac_err *err, const char *what)
{
    return ac_err_set(err, AC_EINVAL, "node %.80s (operator %.40s): %s", x->name, x->onnx_op, what);
}

static bool axis_in(int64_t *axis, uint32_t rank, bool end_allowed)
{
    if (*axis < 0)
        *axis += rank;
    return *axis >= 0 && *axis < (int64_t)rank + end_allowed;
}

static int broadcast(const struct wk_node *x, const struct wk_shape *a, const struct wk_shape *b,
                     struct wk_shape *out, struct ac_err *err)
{
    out->rank = AC_MAX(a->rank, b->rank);
    for (uint32_t i = 0; i < out->rank; i++) {
        int64_t da = i < out->rank - a->rank ? 1 : a->dims[i - (out->rank - a->rank)];
        int64_t db = i < out->rank - b->rank ? 1 : b->dims[i - (out->rank - b->rank)];
        if (da != db && da != 1 && db != 1)
            return mismatch(x, err, "the shapes of its inputs do not match");
        out->dims[i] = da == 1 ? db : da;
    }
    return 0;
}

static int to_shape(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                    struct ac_err *err)
{
    size_t known = 1, total = wk_shape_elems(in);
    int open = -1;
    out->rank = x->n_axes;
    for (uint32_t i = 0; i < x->n_axes; i++) {
        int64_t d = x->axes[i];
        if (d == 0 && i < in->rank)
            d = in->dims[i];
        if (d == -1 && open < 0) {
            open = (int)i;
            continue;
        }
        if (d <= 0 || d > INT32_MAX)
            return mismatch(x, err, "the target shape is out of range");
        out->dims[i] = d;
        known = ac_mul_size(known, (size_t)d);
    }
    if (open >= 0 && known && total % known == 0)
        out->dims[open] = (int64_t)(total / known);
    else if (open >= 0 || known != total)
        return mismatch(x, err,
                        "the target shape does not hold the input (is it made for another batch?)");
    return 0;
}

static int reshape(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                   struct ac_err *err)
{
    *out = *in;
    bool marked[2 * WK_ONNX_MAX_RANK] = {0};
    int64_t axis = x->axis;
    switch (x->reshape) {
    case WK_SAME:
        return 0;
    case WK_TO_SHAPE:
        return to_shape(x, in, out, err);
    case WK_FLATTEN:
        if (!axis_in(&axis, in->rank, true))
            return mismatch(x, err, "the axis is out of range");
        out->rank = 2;
        out->dims[0] = out->dims[1] = 1;
        for (uint32_t i = 0; i < in->rank; i++)
            out->dims[(int64_t)i < axis ? 0 : 1] *= in->dims[i];
        return 0;
    case WK_SQUEEZE:
    case WK_UNSQUEEZE:
        break;
    }
    bool add = x->reshape == WK_UNSQUEEZE;
    uint32_t rank = in->rank + (add ? x->n_axes : 0), n = 0, from = 0;
    if (rank > WK_ONNX_MAX_RANK)
        return mismatch(x, err, "too many dimensions");
    for (uint32_t i = 0; i < x->n_axes; i++) {
        int64_t a = x->axes[i];
        if (!axis_in(&a, rank, false) || marked[a])
            return mismatch(x, err, "an axis is out of range or given twice");
        if (!add && in->dims[a] != 1)
            return mismatch(x, err, "a dimension to take away is not 1");
        marked[a] = true;
    }
    for (uint32_t i = 0; i < rank; i++) {
        if (add)
            out->dims[n++] = marked[i] ? 1 : in->dims[from++];
        else if (x->n_axes ? !marked[i] : in->dims[i] != 1)
            out->dims[n++] = in->dims[i];
    }
    out->rank = n;
    return 0;
}

static int node_shape(const struct wk_node *x, struct wk_shape *shapes, struct ac_err *err)
{
    const struct wk_shape in = shapes[x->in[0]];
    struct wk_shape out = in;
    int64_t axis = x->axis;
    int rc = 0;
    switch (x->op) {
    case WK_DENSE:
        if (in.rank < 1 || in.dims[in.rank - 1] != (int64_t)x->k)
            return mismatch(x, err, "the input's last dimension does not match the weights");
        out.dims[in.rank - 1] = x->n;
        break;
    case WK_AFFINE:
        if (in.rank < 2 || in.dims[1] != (int64_t)x->n)
            return mismatch(x, err, "the input's channels do not match its parameters");
        break;
    case WK_BINARY:
        rc = broadcast(x, &in, &shapes[x->in[1]], &out, err);
        break;
    case WK_SOFTMAX:
        if (!axis_in(&axis, in.rank, x->reshape == WK_FLATTEN))
            return mismatch(x, err, "the axis is out of range");
        break;
    case WK_RESHAPE:
        rc = reshape(x, &in, &out, err);
        break;
    case WK_UNARY:
    case WK_DROPPED:
        break;
    }
    if (rc == 0 && (wk_shape_elems(&out) > LIMIT_ELEMS || wk_shape_elems(&out) == 0))
        return mismatch(x, err, "the result is empty or too large");
    if (rc == 0)
        shapes[x->out] = out;
    return rc;
}

int wk_graph_shapes(const struct wk_graph *g, int64_t batch, struct wk_shape *shapes,
                    struct ac_err *err)
{
    for (uint32_t i = 0; i < g->n_values; i++) {
        shapes[i] = (struct wk_shape){0};
        const struct wk_onnx_tensor *t = g->values[i].constant;
        if (!t)
            continue;
        shapes[i].rank = t->rank;
        memcpy(shapes[i].dims, t->dims, sizeof(t->dims));
    }
    for (uint32_t i = 0; i < g->n_inputs; i++) {
        struct wk_shape *s = &shapes[g->inputs[i]];
        *s = g->input_shapes[i];
        if (s->dims[0] < 0)
            s->dims[0] = batch;
        if (wk_shape_elems(s) > LIMIT_ELEMS)
            return ac_err_set(err, AC_ERANGE, "input %.80s is too large",
                              g->values[g->inputs[i]].name);
    }
    for (uint32_t i = 0; i < g->n_nodes; i++) {
        int rc = node_shape(&g->nodes[i], shapes, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int io_info(const struct wk_graph *g, const uint32_t *values, uint32_t n,
                   const struct wk_shape *shapes, struct wk_io_info *ret, struct ac_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct wk_value *v = &g->values[values[i]];
        const struct wk_shape *s = &shapes[values[i]];
        struct wk_io_info *io = &ret[i];
        if (strlen(v->name) >= sizeof(io->name))
            return ac_err_set(err, AC_ERANGE, "the name of input or output %.40s... is too long",
                              v->name);
        memcpy(io->name, v->name, strlen(v->name) + 1);
        io->dtype = v->dtype;
        io->rank = s->rank;
        memcpy(io->dims, s->dims, sizeof(io->dims));
        if (g->batched && s->rank)
            io->dims[0] = -1;
        io->row_bytes = wk_shape_elems(s) * wk_dtype_size(v->dtype);
    }
    return 0;
}

int wk_model_describe(const struct wk_graph *g, struct ac_arena *arena, struct wk_model_info *ret_i,
                      struct ac_err *err)
{
    struct wk_model_info info = {
        .batched = g->batched, .n_inputs = g->n_inputs, .n_outputs = g->n_outputs};
    if (g->n_inputs > WK_MAX_IO || g->n_outputs > WK_MAX_IO)
        return ac_err_set(err, AC_ERANGE, "more than %d inputs or outputs", WK_MAX_IO);
    struct wk_shape *shapes = ac_arena_calloc(arena, g->n_values, sizeof(*shapes));
    if (!shapes)
        return ac_err_set(err, AC_ENOMEM,
                          "the model needs more memory than is allowed for its description");
    int rc = wk_graph_shapes(g, g->batched ? 1 : g->fixed_batch, shapes, err);
    if (rc == 0)
        rc = io_info(g, g->inputs, g->n_inputs, shapes, info.inputs, err);
    if (rc == 0)
        rc = io_info(g, g->outputs, g->n_outputs, shapes, info.outputs, err);
    if (rc == 0)
        *ret_i = info;
    return rc;
}
