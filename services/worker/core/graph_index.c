/* Operators that make, choose, spread or rearrange elements. */
#include "graph_int.h"
#include "number.h"

#include <string.h>

int gb_cast(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    int64_t to = wk_onnx_attr_int(n, "to", 0);
    if (strcmp(n->op, "CastLike") == 0)
        to = ge_dtype(b, ge_input(b, n, 1));
    if (to < 0 || to > WK_BF16 || wk_dtype_size((int)to) == 0)
        return ge_fail(b, n, AC_ENOTSUP, "this element type is not supported");
    (void)ge_cast(b, n, x, (int)to, n->outputs[0]);
    return b->rc;
}

/* ---- made of nothing ---- */

static int constant(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_attr *a = n->n_attrs ? &n->attrs[0] : NULL;
    static const struct {
        const char *name;
        bool list, real;
    } forms[] = {{"value_float", false, true},
                 {"value_floats", true, true},
                 {"value_int", false, false},
                 {"value_ints", true, false}};
    uint32_t v;
    void *data;
    if (a && strcmp(a->name, "value") == 0 && a->t)
        return gb_value(b, n->outputs[0], a->t->dtype, a->t, &v);
    for (size_t i = 0; a && i < AC_ARRAY_LEN(forms); i++) {
        if (strcmp(a->name, forms[i].name) != 0)
            continue;
        int64_t count = forms[i].real ? (int64_t)a->n_floats : (int64_t)a->n_ints;
        int dtype = forms[i].real ? WK_F32 : WK_I64;
        (void)ge_constant(b, n->outputs[0], dtype, &count, forms[i].list, &data);
        if (data && !forms[i].list)
            memcpy(data, forms[i].real ? (const void *)&a->f : (const void *)&a->i,
                   wk_dtype_size(dtype));
        else if (data && count)
            memcpy(data, forms[i].real ? (const void *)a->floats : (const void *)a->ints,
                   (size_t)count * wk_dtype_size(dtype));
        return b->rc;
    }
    return gb_fail(b, n, AC_ENOTSUP, "only value, value_int(s) and value_float(s) are supported");
}

static int constant_of_shape(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, "value");
    const struct wk_onnx_tensor *t = a ? a->t : NULL;
    int64_t dims[WK_ONNX_MAX_RANK];
    uint32_t rank = 0;
    struct wk_shape s = {0};
    const struct wk_onnx_tensor *list = NULL;
    int rc = gb_constant(b, n, 0, &list);
    if (rc == 0)
        rc = list ? gb_ints(b, n, list, WK_ONNX_MAX_RANK, dims, &rank)
                  : gb_fail(b, n, AC_EINVAL, "an input is missing");
    if (rc == 0 && t && t->elems != 1)
        rc = gb_fail(b, n, AC_EINVAL, "its value must be one element");
    if (rc)
        return rc;
    for (s.rank = 0; s.rank < rank; s.rank++) {
        s.dims[s.rank] = dims[s.rank];
        if (dims[s.rank] < 1 || dims[s.rank] > INT32_MAX)
            return gb_fail(b, n, AC_ENOTSUP, "a dimension is out of range");
    }
    int dtype = t ? t->dtype : WK_F32;
    void *data;
    (void)ge_constant(b, n->outputs[0], dtype, s.dims, s.rank, &data);
    size_t size = wk_dtype_size(dtype);
    for (size_t i = 0; data && t && i < wk_shape_elems(&s); i++)
        memcpy((char *)data + i * size, t->data, size);
    return b->rc;
}

static int range(struct builder *b, const struct wk_onnx_node *n)
{
    double v[3];
    int dtype = WK_UNDEFINED;
    for (uint32_t i = 0; i < 3; i++) {
        const struct wk_onnx_tensor *t = NULL;
        int rc = gb_constant(b, n, i, &t);
        if (rc)
            return rc;
        if (!t || t->elems != 1 || (i && t->dtype != dtype))
            return gb_fail(b, n, AC_EINVAL, "start, limit and delta must be one value each");
        dtype = t->dtype;
        v[i] = wk_real_at(dtype, t->data, 0);
    }
    double count = v[2] != 0 ? (v[1] - v[0]) / v[2] : 0;
    if (!(count > 0 && count <= 1 << 24))
        return gb_fail(b, n, AC_ENOTSUP, "the result is empty or too large");
    int64_t whole = (int64_t)count, size = whole + (count > (double)whole);
    void *data;
    (void)ge_constant(b, n->outputs[0], dtype, &size, 1, &data);
    for (int64_t i = 0; data && i < size; i++)
        wk_put_real(dtype, data, (size_t)i, v[0] + (double)i * v[2]);
    return b->rc;
}

static int eye(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t like = ge_input(b, n, 0);
    if (b->rc)
        return b->rc;
    const struct wk_shape s = *ge_shape(b, like);
    int64_t dtype = wk_onnx_attr_int(n, "dtype", ge_dtype(b, like)),
            k = wk_onnx_attr_int(n, "k", 0);
    if (s.rank != 2 || dtype < 0 || dtype > WK_BF16 || wk_dtype_size((int)dtype) == 0)
        return gb_fail(b, n, AC_ENOTSUP, "a matrix of a known element type is needed");
    void *data;
    (void)ge_constant(b, n->outputs[0], (int)dtype, s.dims, 2, &data);
    for (int64_t i = 0; data && i < s.dims[0]; i++)
        if (k > -s.dims[0] && k < s.dims[1] && i + k >= 0 && i + k < s.dims[1])
            wk_put_real((int)dtype, data, (size_t)(i * s.dims[1] + i + k), 1);
    return b->rc;
}

int gb_made(struct builder *b, const struct wk_onnx_node *n)
{
    return strcmp(n->op, "Constant") == 0          ? constant(b, n)
           : strcmp(n->op, "ConstantOfShape") == 0 ? constant_of_shape(b, n)
           : strcmp(n->op, "Range") == 0           ? range(b, n)
                                                   : eye(b, n);
}

/* Shape, or its product. */
int gb_shape(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t x = ge_input(b, n, 0);
    if (b->rc)
        return b->rc;
    const struct wk_shape s = *ge_shape(b, x);
    bool all = strcmp(n->op, "Shape") == 0;
    int64_t rank = s.rank, from = wk_onnx_attr_int(n, "start", 0);
    int64_t to = wk_onnx_attr_int(n, "end", rank);
    from = AC_MIN(AC_MAX(from < 0 ? from + rank : from, (int64_t)0), rank);
    to = AC_MIN(AC_MAX(to < 0 ? to + rank : to, from), rank);
    int64_t count = to - from;
    void *data;
    if (all && count == 0 && rank)
        return gb_fail(b, n, AC_ENOTSUP, "the result is empty");
    (void)ge_constant(b, n->outputs[0], WK_I64, &count, all, &data);
    if (data && all)
        memcpy(data, s.dims + from, (size_t)count * sizeof(*s.dims));
    else if (data)
        *(int64_t *)data = (int64_t)wk_shape_elems(&s);
    return b->rc;
}

/* ---- choosing ---- */

/* Constant ones are looked at now: later they would fail every execution. */
static int indices_fit(const struct builder *b, const struct wk_onnx_node *n, uint32_t data,
                       uint32_t index, int64_t axis)
{
    const struct wk_onnx_tensor *t = b->g->values[index].constant;
    const struct wk_shape *s = &b->g->shapes[data];
    int64_t size = s->dims[axis < 0 ? axis + s->rank : axis];
    for (size_t i = 0; t && i < t->elems; i++) {
        int64_t at = wk_int_at(t->dtype, t->data, i);
        if (at < -size || at >= size)
            return gb_fail(b, n, AC_EINVAL, "an index is out of range");
    }
    return 0;
}

int gb_gather(struct builder *b, const struct wk_onnx_node *n)
{
    bool each = strcmp(n->op, "GatherElements") == 0;
    uint32_t in[2] = {ge_input(b, n, 0), ge_input(b, n, 1)};
    if (b->rc)
        return b->rc;
    if (ge_dtype(b, in[1]) != WK_I64 && ge_dtype(b, in[1]) != WK_I32)
        return gb_fail(b, n, AC_EINVAL, "its indices must be INT64 or INT32");
    struct wk_node *x =
        ge_node(b, n, each ? WK_GATHER_EACH : WK_GATHER, ge_dtype(b, in[0]), in, 2, n->outputs[0]);
    if (!x)
        return b->rc;
    x->axis = wk_onnx_attr_int(n, "axis", 0);
    b->rc = gb_settle(b);
    return b->rc ? b->rc : indices_fit(b, n, in[0], in[1], x->axis);
}

/* ---- pads made of what is there ---- */

/* Where the element comes from that lies at this place, which may be before or behind all n; false:
 * a reflection does not reach so far. */
static bool pad_source(const char *mode, int64_t at, int64_t n, int64_t *ret_from)
{
    if (strcmp(mode, "edge") == 0)
        *ret_from = AC_MIN(AC_MAX(at, (int64_t)0), n - 1);
    else if (strcmp(mode, "wrap") == 0)
        *ret_from = (at % n + n) % n;
    else
        *ret_from = at < 0 ? -at : at < n ? at : 2 * (n - 1) - at;
    return *ret_from >= 0 && *ret_from < n;
}

static uint32_t pad_axis(struct builder *b, const struct wk_onnx_node *n, const char *mode,
                         uint32_t v, int64_t axis, const int64_t pads[2], const char *out)
{
    int64_t size = ge_shape(b, v)->dims[axis], count = size + pads[0] + pads[1], *from = NULL;
    void *data = NULL;
    if (count < 1 || count > 1 << 24) {
        ge_fail(b, n, AC_ENOTSUP, "the result is empty or too large");
        return 0;
    }
    const uint32_t in[2] = {v, ge_constant(b, "", WK_I64, &count, 1, &data)};
    from = data;
    for (int64_t i = 0; from && i < count; i++)
        if (!pad_source(mode, i - pads[0], size, &from[i])) {
            ge_fail(b, n, AC_EINVAL, "a pad is larger than what it reflects");
            return 0;
        }
    struct wk_node *x = ge_node(b, n, WK_GATHER, ge_dtype(b, v), in, 2, out);
    if (!x)
        return 0;
    x->axis = axis;
    b->rc = gb_settle(b);
    return x->out;
}

int gb_pad_inside(struct builder *b, const struct wk_onnx_node *n, const char *mode)
{
    int64_t pads[2 * WK_ONNX_MAX_RANK];
    uint32_t v = ge_input(b, n, 0), count = 0, last = 0, rank = b->rc ? 0 : ge_shape(b, v)->rank;
    if (strcmp(mode, "edge") != 0 && strcmp(mode, "reflect") != 0 && strcmp(mode, "wrap") != 0)
        return ge_fail(b, n, AC_ENOTSUP, "this mode is not supported");
    if (ge_has_input(n, 3))
        return ge_fail(b, n, AC_ENOTSUP, "axes are not supported");
    if (b->rc == 0)
        b->rc = gb_int_list(b, n, "pads", 1, 2 * WK_ONNX_MAX_RANK, pads, &count);
    if (b->rc == 0 && count != 2 * rank)
        return gb_fail(b, n, AC_EINVAL, "pads must be given for both sides of every dimension");
    for (uint32_t i = 0; b->rc == 0 && i < count; i++) {
        if (pads[i] < -INT32_MAX || pads[i] > INT32_MAX)
            return gb_fail(b, n, AC_ENOTSUP, "a pad is too large");
        last = pads[i] ? AC_MAX(last, i % rank + 1) : last;
    }
    if (b->rc == 0 && last == 0)
        (void)ge_same(b, n, v, n->outputs[0]);
    for (uint32_t i = 0; b->rc == 0 && i < last; i++)
        if (pads[i] || pads[rank + i])
            v = pad_axis(b, n, mode, v, i, (const int64_t[]){pads[i], pads[rank + i]},
                         i + 1 == last ? n->outputs[0] : "");
    return b->rc;
}

int gb_where(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t in[3] = {ge_input(b, n, 0), ge_input(b, n, 1), ge_input(b, n, 2)};
    if (b->rc)
        return b->rc;
    if (ge_dtype(b, in[0]) != WK_BOOL || ge_dtype(b, in[1]) != ge_dtype(b, in[2]))
        return gb_fail(b, n, AC_EINVAL, "a BOOL condition and two values of one type are needed");
    (void)ge_node(b, n, WK_WHERE, ge_dtype(b, in[1]), in, 3, n->outputs[0]);
    return b->rc;
}

/* Zero above or below a diagonal. */
int gb_trilu(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_tensor *t = NULL;
    uint32_t x = ge_input(b, n, 0);
    if (b->rc == 0)
        b->rc = gb_constant(b, n, 1, &t);
    if (b->rc)
        return b->rc;
    const struct wk_shape s = *ge_shape(b, x);
    int64_t k = t && t->elems == 1 ? wk_int_at(t->dtype, t->data, 0) : 0;
    bool upper = wk_onnx_attr_int(n, "upper", 1) != 0;
    if (s.rank < 2)
        return gb_fail(b, n, AC_EINVAL, "a matrix is needed");
    const int64_t *dims = s.dims + s.rank - 2;
    k = AC_MIN(AC_MAX(k, -dims[0]), dims[1]);
    void *data;
    uint32_t in[3] = {ge_constant(b, "", WK_BOOL, dims, 2, &data), x};
    for (int64_t i = 0; data && i < dims[0]; i++)
        for (int64_t j = 0; j < dims[1]; j++)
            ((bool *)data)[i * dims[1] + j] = upper ? j >= i + k : j <= i + k;
    in[2] = ge_scalar(b, ge_dtype(b, x), 0);
    (void)ge_node(b, n, WK_WHERE, ge_dtype(b, x), in, 3, n->outputs[0]);
    return b->rc;
}

/* ---- spreading and rearranging ---- */

int gb_expand(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_EXPAND, &x);
    if (rc == 0)
        rc = gb_int_list(b, n, "", 1, WK_ONNX_MAX_RANK, x->axes, &x->n_axes);
    return rc;
}

/* One concatenation with itself a dimension. */
int gb_tile(struct builder *b, const struct wk_onnx_node *n)
{
    int64_t times[WK_ONNX_MAX_RANK];
    uint32_t count = 0, v = ge_input(b, n, 0);
    if (b->rc == 0)
        b->rc = gb_int_list(b, n, "", 1, WK_ONNX_MAX_RANK, times, &count);
    if (b->rc)
        return b->rc;
    if (count != ge_shape(b, v)->rank)
        return gb_fail(b, n, AC_EINVAL, "repeats must be given for every dimension");
    for (uint32_t i = 0; b->rc == 0 && i < count; i++) {
        if (times[i] < 1 || times[i] > WK_ONNX_MAX_IO)
            return gb_fail(b, n, AC_ENOTSUP, "a number of repeats is out of range");
        if (times[i] == 1)
            continue;
        struct wk_node *x = ge_node(b, n, WK_CONCAT, ge_dtype(b, v), &v, 1, "");
        if (!x)
            break;
        uint32_t *in = ac_arena_calloc(b->arena, (size_t)times[i], sizeof(*in));
        if (!in)
            return gb_no_memory(b);
        for (int64_t k = 0; k < times[i]; k++)
            in[k] = v;
        x->in = in;
        x->n_in = (uint32_t)times[i];
        x->axis = i;
        v = x->out;
        b->rc = gb_settle(b);
    }
    (void)ge_same(b, n, v, n->outputs[0]);
    return b->rc;
}

/* Blocks of places become channels, or the reverse. */
int gb_blocks(struct builder *b, const struct wk_onnx_node *n)
{
    static const int64_t apart[6] = {0, 3, 4, 1, 5, 2}, columns[6] = {0, 1, 4, 2, 5, 3};
    static const int64_t together[6] = {0, 3, 5, 1, 2, 4};
    uint32_t x = ge_input(b, n, 0);
    int64_t size = wk_onnx_attr_int(n, "blocksize", 0);
    const struct wk_onnx_attr *mode = wk_onnx_attr(n, "mode");
    bool crd = mode && strcmp(mode->s, "CRD") == 0, deep = strcmp(n->op, "DepthToSpace") == 0;
    if (b->rc)
        return b->rc;
    const int64_t *d = ge_shape(b, x)->dims;
    if (ge_shape(b, x)->rank != 4 || size < 1 || size > 1024 ||
        (deep ? d[1] % (size * size) : d[2] % size + d[3] % size) != 0)
        return gb_fail(b, n, AC_EINVAL, "the image does not divide into blocks");
    int64_t channels = deep ? d[1] / (size * size) : d[1] * size * size;
    const int64_t to[4] = {d[0], channels, deep ? d[2] * size : d[2] / size,
                           deep ? d[3] * size : d[3] / size};
    const int64_t parts[3][6] = {{d[0], size, size, channels, d[2], d[3]},
                                 {d[0], channels, size, size, d[2], d[3]},
                                 {d[0], d[1], d[2] / size, size, d[3] / size, size}};
    uint32_t v = ge_reshape(b, n, x, parts[deep ? crd : 2], 6, "");
    v = ge_transpose(b, n, v, deep ? (crd ? columns : apart) : together, 6, "");
    (void)ge_reshape(b, n, v, to, 4, n->outputs[0]);
    return b->rc;
}
