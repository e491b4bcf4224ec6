/* Shapes of what nodes compute. */
#include "executor.h"
#include "graph.h"

#include <string.h>

#include <aceso/base.h>

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

int wk_reshape_shape(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
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

/* A convolution from the result to the input, as which wk_geometry describes it. */
static int deconv_geometry(const struct wk_node *x, const struct wk_shape *in,
                           struct wk_geometry *ret_g, struct ac_err *err)
{
    const struct wk_window *w = &x->window;
    struct wk_geometry g = {.in = {1, 1}, .out = {1, 1}, .kernel = {1, 1}};
    if (in->rank != w->n + 2)
        return mismatch(x, err, "the input is not an image of the kernel's dimensions");
    for (uint32_t i = 2; i < in->rank; i++) {
        uint32_t d = i + 2 - in->rank;
        g.out[d] = in->dims[i];
        g.kernel[d] = w->kernel[d];
        int64_t whole =
            w->stride[d] * (in->dims[i] - 1) + x->extra[d] + (g.kernel[d] - 1) * w->dilation[d] + 1;
        bool same = w->pads == WK_PADS_SAME_UPPER || w->pads == WK_PADS_SAME_LOWER;
        int64_t want = x->n_axes ? x->last[i - 2] : same ? in->dims[i] * w->stride[d] : 0;
        int64_t cut = whole - want, half = cut / 2;
        if (want == 0) {
            g.before[d] = w->pads == WK_PADS_GIVEN ? w->before[d] : 0;
            g.behind[d] = w->pads == WK_PADS_GIVEN ? w->behind[d] : 0;
        } else if (cut > 0) {
            g.before[d] = w->pads == WK_PADS_SAME_UPPER ? half : cut - half;
            g.behind[d] = cut - g.before[d];
        } else {
            g.behind[d] = cut; /* more than there is: it ends in nothing */
        }
        g.in[d] = whole - g.before[d] - g.behind[d];
        if (g.in[d] < 1 || g.in[d] > INT32_MAX)
            return mismatch(x, err, "the result is empty or too large");
    }
    *ret_g = g;
    return 0;
}

int wk_geometry(const struct wk_node *x, const struct wk_shape *in, struct wk_geometry *ret_g,
                struct ac_err *err)
{
    const struct wk_window *w = &x->window;
    struct wk_geometry g = {.in = {1, 1}, .out = {1, 1}, .kernel = {1, 1}};
    if (x->op == WK_DECONV)
        return deconv_geometry(x, in, ret_g, err);
    bool fits = w->global ? in->rank == 3 || in->rank == 4 : in->rank == w->n + 2;
    if (!fits)
        return mismatch(x, err, "the input is not an image of the kernel's dimensions");
    for (uint32_t i = 2; i < in->rank; i++) {
        uint32_t d = i + 2 - in->rank;
        int64_t size = g.in[d] = in->dims[i], stride = w->stride[d];
        g.kernel[d] = w->global ? size : w->kernel[d];
        int64_t reach = (g.kernel[d] - 1) * w->dilation[d] + 1, extra = 0;
        if (w->pads == WK_PADS_SAME_UPPER || w->pads == WK_PADS_SAME_LOWER) {
            extra = AC_MAX(((size + stride - 1) / stride - 1) * stride + reach - size, (int64_t)0);
            g.before[d] = (w->pads == WK_PADS_SAME_LOWER ? extra + 1 : extra) / 2;
            g.behind[d] = extra - g.before[d];
        } else if (w->pads == WK_PADS_GIVEN) {
            g.before[d] = w->before[d];
            g.behind[d] = w->behind[d];
        }
        int64_t room = size + g.before[d] + g.behind[d] - reach;
        if (room < 0)
            return mismatch(x, err, "the kernel is larger than its input");
        g.out[d] = (room + (w->ceil ? stride - 1 : 0)) / stride + 1;
        /* A window that would start behind the input is none. */
        if (w->ceil && (g.out[d] - 1) * stride >= size + g.before[d])
            g.out[d]--;
    }
    *ret_g = g;
    return 0;
}

static int window_shape(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                        struct ac_err *err)
{
    struct wk_geometry g;
    int rc = wk_geometry(x, in, &g, err);
    if (rc)
        return rc;
    if (x->op == WK_CONV) {
        int64_t area = x->window.kernel[0] * x->window.kernel[1];
        if (in->dims[1] != (int64_t)x->k / area * x->groups)
            return mismatch(x, err, "the input's channels do not match the weights");
        out->dims[1] = x->n;
    }
    if (x->op == WK_DECONV) {
        if (in->dims[1] != (int64_t)x->groups * x->channels)
            return mismatch(x, err, "the input's channels do not match the weights");
        out->dims[1] = x->n;
    }
    for (uint32_t i = 2; i < in->rank; i++)
        out->dims[i] = (x->op == WK_DECONV ? g.in : g.out)[i + 2 - in->rank];
    return 0;
}

int wk_slice(const struct wk_node *x, const struct wk_shape *in, int64_t *ret_first,
             int64_t *ret_step, struct wk_shape *ret_out, struct ac_err *err)
{
    bool cut[WK_ONNX_MAX_RANK] = {0};
    *ret_out = *in;
    for (uint32_t i = 0; i < in->rank; i++) {
        ret_first[i] = 0;
        ret_step[i] = 1;
    }
    for (uint32_t i = 0; i < x->n_axes; i++) {
        int64_t a = x->axes[i], first = x->first[i], last = x->last[i], step = x->step[i];
        if (!axis_in(&a, in->rank, false) || cut[a])
            return mismatch(x, err, "an axis is out of range or given twice");
        cut[a] = true;
        int64_t n = in->dims[a];
        if (x->whole && x->whole != n)
            return mismatch(x, err, "the sizes of the parts do not add up to the dimension");
        if (x->parts) { /* the last may be smaller */
            int64_t each = (n + x->parts - 1) / x->parts;
            first = each * x->part;
            last = AC_MIN(first + each, n);
        }
        first = first < 0 ? first + n : first;
        last = last < 0 ? last + n : last;
        /* Backwards, the last element is n - 1 and the end before the first one -1. */
        int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
        first = AC_MIN(AC_MAX(first, step > 0 ? low : 0), high);
        last = AC_MIN(AC_MAX(last, low), high);
        int64_t way = step > 0 ? last - first : first - last, pace = step > 0 ? step : -step;
        if (way <= 0)
            return mismatch(x, err, "the result is empty");
        ret_first[a] = first;
        ret_step[a] = step;
        ret_out->dims[a] = (way + pace - 1) / pace;
    }
    return 0;
}

static int transpose(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                     struct ac_err *err)
{
    bool taken[WK_ONNX_MAX_RANK] = {0};
    if (x->n_axes && x->n_axes != in->rank)
        return mismatch(x, err, "perm does not name every dimension once");
    for (uint32_t i = 0; i < in->rank; i++) {
        int64_t from = x->n_axes ? x->axes[i] : in->rank - 1 - i;
        if (from < 0 || from >= in->rank || taken[from])
            return mismatch(x, err, "perm does not name every dimension once");
        taken[from] = true;
        out->dims[i] = in->dims[from];
    }
    return 0;
}

static int concat(const struct wk_node *x, const struct wk_shape *shapes, struct wk_shape *out,
                  struct ac_err *err)
{
    int64_t axis = x->axis;
    if (!axis_in(&axis, out->rank, false))
        return mismatch(x, err, "the axis is out of range");
    for (uint32_t i = 1; i < x->n_in; i++) {
        const struct wk_shape *s = &shapes[x->in[i]];
        bool same = s->rank == out->rank;
        for (uint32_t d = 0; same && d < s->rank; d++)
            same = (int64_t)d == axis || s->dims[d] == out->dims[d];
        if (!same)
            return mismatch(x, err, "the shapes of its inputs do not match");
        out->dims[axis] += s->dims[axis];
    }
    return 0;
}

static int pad(const struct wk_node *x, struct wk_shape *out, struct ac_err *err)
{
    if (x->n_axes != out->rank)
        return mismatch(x, err, "pads must be given for both sides of every dimension");
    for (uint32_t i = 0; i < out->rank; i++)
        out->dims[i] += x->first[i] + x->last[i];
    return 0;
}

static int reduce(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                  struct ac_err *err)
{
    bool gone[WK_ONNX_MAX_RANK] = {0};
    for (uint32_t i = 0; i < x->n_axes; i++) {
        int64_t a = x->axes[i];
        if (!axis_in(&a, in->rank, false) || gone[a])
            return mismatch(x, err, "an axis is out of range or given twice");
        gone[a] = true;
    }
    out->rank = 0;
    for (uint32_t i = 0; i < in->rank; i++) {
        bool reduced = gone[i] || x->n_axes == 0;
        if (!reduced || x->reshape != WK_SQUEEZE)
            out->dims[out->rank++] = reduced ? 1 : in->dims[i];
    }
    return 0;
}

static int expand(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                  struct ac_err *err)
{
    struct wk_shape to = {.rank = x->n_axes};
    for (uint32_t i = 0; i < x->n_axes; i++) {
        to.dims[i] = x->axes[i];
        if (x->axes[i] <= 0 || x->axes[i] > INT32_MAX)
            return mismatch(x, err, "the target shape is out of range");
    }
    return broadcast(x, in, &to, out, err);
}

static int gather(const struct wk_node *x, const struct wk_shape *in, const struct wk_shape *index,
                  struct wk_shape *out, struct ac_err *err)
{
    int64_t axis = x->axis;
    if (!axis_in(&axis, in->rank, false))
        return mismatch(x, err, "the axis is out of range");
    if (in->rank + index->rank - 1 > WK_ONNX_MAX_RANK)
        return mismatch(x, err, "too many dimensions");
    out->rank = 0;
    for (uint32_t i = 0; i < in->rank; i++) {
        for (uint32_t k = 0; (int64_t)i == axis && k < index->rank; k++)
            out->dims[out->rank++] = index->dims[k];
        if ((int64_t)i != axis)
            out->dims[out->rank++] = in->dims[i];
    }
    return 0;
}

static int gather_each(const struct wk_node *x, const struct wk_shape *in,
                       const struct wk_shape *index, struct wk_shape *out, struct ac_err *err)
{
    int64_t axis = x->axis;
    if (!axis_in(&axis, in->rank, false))
        return mismatch(x, err, "the axis is out of range");
    bool fits = index->rank == in->rank;
    for (uint32_t i = 0; fits && i < in->rank; i++)
        fits = (int64_t)i == axis || index->dims[i] <= in->dims[i];
    *out = *index;
    return fits ? 0 : mismatch(x, err, "the shapes of its inputs do not match");
}

static int matmul(const struct wk_node *x, const struct wk_shape *a, const struct wk_shape *b,
                  struct wk_shape *out, struct ac_err *err)
{
    if (a->rank < 2 || b->rank < 2)
        return mismatch(x, err, "its inputs must have two dimensions at least");
    struct wk_shape la = *a, lb = *b;
    la.rank -= 2;
    lb.rank -= 2;
    int rc = broadcast(x, &la, &lb, out, err);
    if (rc)
        return rc;
    int64_t m = a->dims[la.rank + x->turned], k = a->dims[la.rank + 1 - x->turned];
    int64_t l = b->dims[lb.rank + x->transposed], n = b->dims[lb.rank + 1 - x->transposed];
    if (k != l)
        return mismatch(x, err, "the shapes of its inputs do not match");
    if (m > INT32_MAX || n > INT32_MAX || k > INT32_MAX)
        return mismatch(x, err, "the matrices are too large");
    out->dims[out->rank++] = m;
    out->dims[out->rank++] = n;
    return 0;
}

int wk_node_shape(const struct wk_node *x, struct wk_shape *shapes, struct ac_err *err)
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
        rc = wk_reshape_shape(x, &in, &out, err);
        break;
    case WK_CONV:
    case WK_DECONV:
    case WK_POOL_MAX:
    case WK_POOL_MEAN:
        rc = window_shape(x, &in, &out, err);
        break;
    case WK_TRANSPOSE:
        rc = transpose(x, &in, &out, err);
        break;
    case WK_SLICE: {
        int64_t first[WK_ONNX_MAX_RANK], step[WK_ONNX_MAX_RANK];
        rc = wk_slice(x, &in, first, step, &out, err);
        break;
    }
    case WK_CONCAT:
        rc = concat(x, shapes, &out, err);
        break;
    case WK_PAD:
        rc = pad(x, &out, err);
        break;
    case WK_REDUCE:
        rc = reduce(x, &in, &out, err);
        break;
    case WK_WHERE: {
        struct wk_shape both;
        rc = broadcast(x, &in, &shapes[x->in[1]], &both, err);
        if (rc == 0)
            rc = broadcast(x, &both, &shapes[x->in[2]], &out, err);
        break;
    }
    case WK_EXPAND:
        rc = expand(x, &in, &out, err);
        break;
    case WK_GATHER:
        rc = gather(x, &in, &shapes[x->in[1]], &out, err);
        break;
    case WK_GATHER_EACH:
        rc = gather_each(x, &in, &shapes[x->in[1]], &out, err);
        break;
    case WK_MATMUL:
        rc = matmul(x, &in, &shapes[x->in[1]], &out, err);
        break;
    case WK_MIX:
        out.dims[axis] = x->n; /* the translator has checked the axis */
        break;
    case WK_UNARY:
    case WK_CAST:
    case WK_DROPPED:
        break;
    }
    if (rc == 0 && (wk_shape_elems(&out) > WK_VALUE_ELEMS || wk_shape_elems(&out) == 0))
        return mismatch(x, err, "the result is empty or too large");
    if (rc == 0)
        shapes[x->out] = out;
    return rc;
}

static int io_info(const struct wk_graph *g, const uint32_t *values, uint32_t n,
                   struct wk_io_info *ret, struct ac_err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct wk_value *v = &g->values[values[i]];
        const struct wk_shape *s = &g->shapes[values[i]];
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

int wk_model_describe(const struct wk_graph *g, struct wk_model_info *ret_i, struct ac_err *err)
{
    struct wk_model_info info = {
        .batched = g->batched, .n_inputs = g->n_inputs, .n_outputs = g->n_outputs};
    if (g->n_inputs > WK_MAX_IO || g->n_outputs > WK_MAX_IO)
        return ac_err_set(err, AC_ERANGE, "more than %d inputs or outputs", WK_MAX_IO);
    int rc = io_info(g, g->inputs, g->n_inputs, info.inputs, err);
    if (rc == 0)
        rc = io_info(g, g->outputs, g->n_outputs, info.outputs, err);
    if (rc == 0)
        *ret_i = info;
    return rc;
}
