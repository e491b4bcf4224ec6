#include "graph_int.h"
#include "number.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>

#define FOLD_ELEMS ((size_t)1 << 16) /* of one value that is computed while the graph is built */
#define FOLD_MOST  ((size_t)1 << 22) /* elements in and out of all of these */

int gb_no_memory(const struct builder *b)
{
    return ac_err_set(b->err, AC_ENOMEM,
                      "the model needs more memory than is allowed for its description");
}

int gb_fail(const struct builder *b, const struct wk_onnx_node *n, int code, const char *what)
{
    const char *name = n->name[0] ? n->name : n->n_outputs ? n->outputs[0] : "?";
    return ac_err_set(b->err, code, "node %.80s (operator %.40s): %s", name, n->op, what);
}

int gb_value(struct builder *b, const char *name, int dtype, const struct wk_onnx_tensor *constant,
             uint32_t *ret_v)
{
    struct wk_graph *g = b->g;
    if (name[0] && ac_map_get(b->by_name, name))
        return ac_err_set(b->err, AC_EINVAL, "value %.80s is defined twice", name);
    if (g->n_values == g->cap_values) /* cap_values is ours: a mistake, but no reason to end */
        return ac_err_set(b->err, AC_EINTERNAL, "value %.80s: no room for it", name);
    uint32_t v = g->n_values++;
    g->values[v] = (struct wk_value){.name = name, .dtype = dtype, .constant = constant};
    g->shapes[v] = (struct wk_shape){0};
    if (constant) {
        g->shapes[v].rank = constant->rank;
        memcpy(g->shapes[v].dims, constant->dims, sizeof(constant->dims));
    }
    if (name[0])
        ac_map_set(b->by_name, name, (void *)(uintptr_t)(v + 1u));
    *ret_v = v;
    return 0;
}

int gb_find(const struct builder *b, const struct wk_onnx_node *n, uint32_t i, uint32_t *ret_v)
{
    if (i >= n->n_inputs || n->inputs[i][0] == '\0')
        return gb_fail(b, n, AC_EINVAL, "an input is missing");
    uintptr_t v = (uintptr_t)ac_map_get(b->by_name, n->inputs[i]);
    if (v == 0)
        return gb_fail(b, n, AC_EINVAL, "an input is not computed by an earlier node");
    *ret_v = (uint32_t)(v - 1);
    return 0;
}

/* NULL when the optional input is absent; an error when it is not constant. */
int gb_constant(const struct builder *b, const struct wk_onnx_node *n, uint32_t i,
                const struct wk_onnx_tensor **ret_t)
{
    *ret_t = NULL;
    if (i >= n->n_inputs || n->inputs[i][0] == '\0')
        return 0;
    uint32_t v = 0;
    int rc = gb_find(b, n, i, &v);
    if (rc)
        return rc;
    *ret_t = b->g->values[v].constant;
    return *ret_t ? 0 : gb_fail(b, n, AC_ENOTSUP, "this input must be constant");
}

float gb_f32(const struct wk_onnx_tensor *t, size_t i)
{
    float f = 0;
    memcpy(&f, (const char *)t->data + 4ul * i, 4);
    return f;
}

int gb_ints(const struct builder *b, const struct wk_onnx_node *n, const struct wk_onnx_tensor *t,
            uint32_t max, int64_t *ret_list, uint32_t *ret_n)
{
    if (t->rank > 1 || t->elems > max || (t->dtype != WK_I64 && t->dtype != WK_I32))
        return gb_fail(b, n, AC_EINVAL, "a shape or list of axes must be a short list of integers");
    *ret_n = (uint32_t)t->elems;
    for (uint32_t i = 0; i < *ret_n; i++) {
        if (t->dtype == WK_I64) {
            memcpy(&ret_list[i], (const char *)t->data + 8ul * i, 8);
        } else {
            int32_t v;
            memcpy(&v, (const char *)t->data + 4ul * i, 4);
            ret_list[i] = v;
        }
    }
    return 0;
}

int gb_named_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                  const char *output, struct wk_node **ret_x)
{
    struct wk_graph *g = b->g;
    if (g->n_nodes == g->cap_nodes)
        return gb_fail(b, n, AC_EINTERNAL, "it becomes more nodes than operators[] says");
    struct wk_node *x = &g->nodes[g->n_nodes++];
    *x = (struct wk_node){.op = op, .name = n->name[0] ? n->name : n->outputs[0], .onnx_op = n->op};
    x->in = ac_arena_calloc(b->arena, AC_MAX(n->n_inputs, 4u), sizeof(*x->in));
    if (!x->in)
        return gb_no_memory(b);
    *ret_x = x;
    return gb_value(b, output, dtype, NULL, &x->out);
}

int gb_new_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                struct wk_node **ret_x)
{
    return gb_named_node(b, n, op, dtype, n->outputs[0], ret_x);
}

int gb_one_input(struct builder *b, const struct wk_onnx_node *n, enum wk_op op,
                 struct wk_node **ret_x)
{
    uint32_t v = 0;
    int rc = gb_find(b, n, 0, &v);
    if (rc)
        return rc;
    rc = gb_new_node(b, n, op, b->g->values[v].dtype, ret_x);
    if (rc)
        return rc;
    (*ret_x)->in[0] = v;
    (*ret_x)->n_in = 1;
    return 0;
}

int gb_need_f32(const struct builder *b, const struct wk_onnx_node *n, uint32_t v)
{
    if (b->g->values[v].dtype == WK_F32)
        return 0;
    return gb_fail(b, n, AC_ENOTSUP, "only FP32 is supported for this operator");
}

float *gb_filled(const struct builder *b, size_t n, float v)
{
    float *p = ac_arena_alloc(b->arena, ac_mul_size(n, sizeof(*p)));
    for (size_t i = 0; p && i < n; i++)
        p[i] = v;
    return p;
}

static int tr_softmax(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_SOFTMAX, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc)
        return rc;
    /* Before opset 13 everything from the axis on is one row, and the default axis is 1. */
    bool rows = b->m->opset < 13;
    x->axis = wk_onnx_attr_int(n, "axis", rows ? 1 : -1);
    x->reshape = rows ? WK_FLATTEN : WK_SAME;
    x->log = strcmp(n->op, "LogSoftmax") == 0;
    return 0;
}

static int reshape_target(struct builder *b, const struct wk_onnx_node *n, struct wk_node *x)
{
    const struct wk_onnx_attr *list =
        wk_onnx_attr(n, strcmp(n->op, "Reshape") == 0 ? "shape" : "axes");
    const struct wk_onnx_tensor *t = NULL;
    int rc = list ? 0 : gb_constant(b, n, 1, &t);
    if (rc)
        return rc;
    if (t)
        return gb_ints(b, n, t, WK_ONNX_MAX_RANK, x->axes, &x->n_axes);
    if (!list && x->reshape != WK_SQUEEZE)
        return gb_fail(b, n, AC_EINVAL, "the target is missing");
    if (list && list->n_ints > WK_ONNX_MAX_RANK)
        return gb_fail(b, n, AC_ERANGE, "too many dimensions");
    x->n_axes = list ? (uint32_t)list->n_ints : 0;
    if (x->n_axes)
        memcpy(x->axes, list->ints, x->n_axes * sizeof(*x->axes));
    return 0;
}

static int tr_reshape(struct builder *b, const struct wk_onnx_node *n)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_RESHAPE, &x);
    if (rc)
        return rc;
    bool flatten = strcmp(n->op, "Flatten") == 0;
    x->reshape = flatten                           ? WK_FLATTEN
                 : strcmp(n->op, "Reshape") == 0   ? WK_TO_SHAPE
                 : strcmp(n->op, "Squeeze") == 0   ? WK_SQUEEZE
                 : strcmp(n->op, "Unsqueeze") == 0 ? WK_UNSQUEEZE
                                                   : WK_SAME;
    if (flatten)
        x->axis = wk_onnx_attr_int(n, "axis", 1);
    else if (x->reshape != WK_SAME)
        rc = reshape_target(b, n, x);
    return rc;
}

/* Identity when it serves; training drops at random. */
static int tr_dropout(struct builder *b, const struct wk_onnx_node *n)
{
    const struct wk_onnx_tensor *training;
    int rc = gb_constant(b, n, 2, &training);
    if (rc)
        return rc;
    if (training && training->elems == 1 && wk_int_at(training->dtype, training->data, 0) != 0)
        return gb_fail(b, n, AC_ENOTSUP, "training mode is not supported");
    return tr_reshape(b, n);
}

/* nodes: most that one of it becomes. */
static const struct {
    const char *op;
    int (*translate)(struct builder *b, const struct wk_onnx_node *n);
    uint32_t nodes;
} operators[] = {
    {"Gemm", gb_gemm, 5},
    {"MatMul", gb_matmul, 4},
    {"BatchNormalization", gb_batchnorm, 11},
    {"LayerNormalization", gb_layernorm, 12},
    {"InstanceNormalization", gb_instancenorm, 12},
    {"MeanVarianceNormalization", gb_meanvariance, 8},
    {"LpNormalization", gb_lpnorm, 3},
    {"LRN", gb_lrn, 5},
    {"Clip", gb_clip, 2},
    {"Softmax", tr_softmax, 1},
    {"LogSoftmax", tr_softmax, 1},
    {"Hardmax", gb_hardmax, 3},
    {"Split", gb_split, 0},
    {"Reshape", tr_reshape, 1},
    {"Flatten", tr_reshape, 1},
    {"Squeeze", tr_reshape, 1},
    {"Unsqueeze", tr_reshape, 1},
    {"Identity", tr_reshape, 1},
    {"Dropout", tr_dropout, 1},
    {"Cast", gb_cast, 1},
    {"CastLike", gb_cast, 1},
    {"Constant", gb_made, 1},
    {"ConstantOfShape", gb_made, 1},
    {"Range", gb_made, 1},
    {"EyeLike", gb_made, 1},
    {"Shape", gb_shape, 1},
    {"Size", gb_shape, 1},
    {"Gather", gb_gather, 1},
    {"GatherElements", gb_gather, 1},
    {"Expand", gb_expand, 1},
    {"Tile", gb_tile, WK_ONNX_MAX_RANK + 1},
    {"Where", gb_where, 1},
    {"Trilu", gb_trilu, 1},
    {"DepthToSpace", gb_blocks, 3},
    {"SpaceToDepth", gb_blocks, 3},
    {"ArgMax", gb_arg, 1},
    {"ArgMin", gb_arg, 1},
    {"Resize", gb_resize, WK_ONNX_MAX_RANK + 1},
    {"Upsample", gb_resize, WK_ONNX_MAX_RANK + 1},
    {"QuantizeLinear", gb_quantize, 10},
    {"DequantizeLinear", gb_quantize, 6},
    {"NegativeLogLikelihoodLoss", gb_loss, 20},
    {"SoftmaxCrossEntropyLoss", gb_loss, 21},
    {"Conv", gb_conv, 3},
    {"ConvTranspose", gb_deconv, 3},
    {"MaxPool", gb_pool, 1},
    {"AveragePool", gb_pool, 1},
    {"GlobalMaxPool", gb_pool, 1},
    {"GlobalAveragePool", gb_pool, 1},
    {"Transpose", gb_transpose, 1},
    {"Slice", gb_slice, 1},
    {"Concat", gb_concat, 1},
    {"Pad", gb_pad, WK_ONNX_MAX_RANK + 1},
};

/* Most nodes that an operator becomes. */
static uint32_t nodes_of(const struct wk_onnx_node *n)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(operators); i++)
        if (operators[i].nodes && strcmp(operators[i].op, n->op) == 0)
            return operators[i].nodes;
    return AC_MAX(n->n_inputs, n->n_outputs) + 5; /* one for each part, or pair of inputs */
}

/* What constants alone make is a constant, unless it is large: then it is computed each time, as
 * cheaply as it can be. */
static int fold(struct builder *b, struct wk_node *x)
{
    struct wk_graph *g = b->g;
    const struct wk_shape *shape = &g->shapes[x->out];
    size_t elems = wk_shape_elems(shape);
    for (uint32_t i = 0; i < x->n_in; i++) {
        const struct wk_onnx_tensor *in = g->values[x->in[i]].constant;
        if (!in)
            return 0;
        b->folded += x->op == WK_RESHAPE ? 0 : in->elems;
        if (x->op != WK_RESHAPE && in->elems > FOLD_ELEMS)
            return 0;
    }
    b->folded += x->op == WK_RESHAPE ? 0 : elems;
    if (x->op != WK_RESHAPE && (elems > FOLD_ELEMS || b->folded > FOLD_MOST))
        return 0;
    struct wk_onnx_tensor *t = ac_arena_calloc(b->arena, 1, sizeof(*t));
    if (!t)
        return gb_no_memory(b);
    *t = (struct wk_onnx_tensor){
        .name = "", .dtype = g->values[x->out].dtype, .rank = shape->rank, .elems = elems};
    memcpy(t->dims, shape->dims, sizeof(t->dims));
    if (x->op == WK_RESHAPE) {
        t->data = g->values[x->in[0]].constant->data;
    } else {
        void *data = ac_arena_calloc(b->arena, elems, wk_dtype_size(t->dtype));
        if (!data)
            return gb_no_memory(b);
        if (!wk_fold(g, x, data))
            return 0;
        t->data = data;
    }
    g->values[x->out].constant = t;
    x->op = WK_DROPPED;
    return 0;
}

int gb_settle(struct builder *b)
{
    int rc = 0;
    while (rc == 0 && b->n_settled < b->g->n_nodes) {
        struct wk_node *x = &b->g->nodes[b->n_settled++];
        rc = wk_node_shape(x, b->g->shapes, b->err);
        if (rc == 0)
            rc = fold(b, x);
    }
    return rc;
}

static int translate(struct builder *b, const struct wk_onnx_node *n)
{
    int rc = AC_ENOTSUP;
    if (n->n_outputs == 0 || n->outputs[0][0] == '\0')
        return gb_fail(b, n, AC_EINVAL, "it has no output");
    bool standard = n->domain[0] == '\0' || strcmp(n->domain, "ai.onnx") == 0, known = false;
    for (size_t i = 0; standard && !known && i < AC_ARRAY_LEN(operators); i++)
        if ((known = strcmp(operators[i].op, n->op) == 0))
            rc = operators[i].translate(b, n);
    if (!standard || !(known || gb_math(b, n, &rc)))
        return gb_fail(b, n, AC_ENOTSUP, "this operator is not supported");
    if (rc == 0)
        rc = b->rc;
    return rc ? rc : gb_settle(b);
}

/* ---- building ---- */

static int add_input(struct builder *b, const struct wk_onnx_value *in)
{
    struct wk_graph *g = b->g;
    struct wk_shape s = {.rank = in->rank};
    if (!in->has_shape || wk_dtype_size(in->dtype) == 0)
        return ac_err_set(b->err, AC_ENOTSUP,
                          "input %.80s: a tensor of known type and rank is needed", in->name);
    if (g->n_inputs == WK_ONNX_MAX_IO)
        return ac_err_set(b->err, AC_ERANGE, "more than %d inputs", WK_ONNX_MAX_IO);
    memcpy(s.dims, in->dims, sizeof(s.dims));
    for (uint32_t d = 1; d < s.rank; d++)
        if (s.dims[d] < 0)
            return ac_err_set(b->err, AC_ENOTSUP, "input %.80s: dimension %u must be fixed",
                              in->name, d);
    if (s.rank == 0 || s.dims[0] > 0)
        g->batched = false;
    else
        s.dims[0] = b->g->batch;
    if (wk_shape_elems(&s) > WK_VALUE_ELEMS)
        return ac_err_set(b->err, AC_ERANGE, "input %.80s is too large", in->name);
    uint32_t v = 0;
    int rc = gb_value(b, in->name, in->dtype, NULL, &v);
    if (rc)
        return rc;
    g->shapes[v] = s;
    g->values[v].input = true;
    g->inputs[g->n_inputs++] = v;
    return 0;
}

static int add_inputs(struct builder *b)
{
    struct wk_graph *g = b->g;
    int rc = 0;
    g->batched = true;
    for (uint32_t i = 0; i < b->m->n_inputs; i++) {
        const struct wk_onnx_value *in = &b->m->inputs[i];
        /* Old files list initializers among the inputs. */
        if (ac_map_get(b->by_name, in->name))
            continue;
        rc = add_input(b, in);
        if (rc)
            return rc;
    }
    return g->n_inputs ? 0 : ac_err_set(b->err, AC_EINVAL, "the model has no input");
}

static int add_output(struct builder *b, const struct wk_onnx_value *out)
{
    struct wk_graph *g = b->g;
    uintptr_t at = (uintptr_t)ac_map_get(b->by_name, out->name);
    if (at == 0)
        return ac_err_set(b->err, AC_EINVAL, "output %.80s is not computed by any node", out->name);
    uint32_t v = (uint32_t)(at - 1);
    if (g->values[v].constant || g->values[v].output) {
        /* A copy of it is the output. */
        const char *name = out->name;
        const struct wk_onnx_node n = {.name = "", .op = "Identity", .outputs = &name};
        struct wk_node *x;
        int rc = gb_named_node(b, &n, WK_RESHAPE, g->values[v].dtype, "", &x);
        if (rc)
            return rc;
        x->reshape = WK_SAME;
        x->in[0] = v;
        x->n_in = 1;
        g->shapes[x->out] = g->shapes[v];
        v = x->out;
        g->values[v].name = out->name;
    }
    g->outputs[g->n_outputs++] = v;
    g->values[v].output = true;
    return 0;
}

static int allocate(struct builder *b)
{
    struct wk_graph *g = b->g;
    const struct wk_onnx *m = b->m;
    g->cap_nodes = m->n_outputs;
    for (uint32_t i = 0; i < m->n_nodes; i++)
        g->cap_nodes += nodes_of(&m->nodes[i]);
    /* Besides its results a node may have constants made of its attributes. */
    g->cap_values = m->n_tensors + m->n_inputs + m->n_nodes + 4 * g->cap_nodes;
    g->values = ac_arena_calloc(b->arena, g->cap_values + 1u, sizeof(*g->values));
    g->shapes = ac_arena_calloc(b->arena, g->cap_values + 1u, sizeof(*g->shapes));
    g->nodes = ac_arena_calloc(b->arena, g->cap_nodes + 1u, sizeof(*g->nodes));
    g->inputs = ac_arena_calloc(b->arena, WK_ONNX_MAX_IO, sizeof(*g->inputs));
    g->outputs = ac_arena_calloc(b->arena, m->n_outputs + 1u, sizeof(*g->outputs));
    bool all = g->values && g->shapes && g->nodes && g->inputs && g->outputs;
    return all ? 0 : gb_no_memory(b);
}

static int build(struct builder *b)
{
    struct wk_graph *g = b->g;
    const struct wk_onnx *m = b->m;
    uint32_t v;
    int rc = allocate(b);
    for (uint32_t i = 0; rc == 0 && i < m->n_tensors; i++)
        rc = gb_value(b, m->tensors[i].name, m->tensors[i].dtype, &m->tensors[i], &v);
    if (rc == 0)
        rc = add_inputs(b);
    for (uint32_t i = 0; rc == 0 && i < m->n_nodes; i++)
        rc = translate(b, &m->nodes[i]);
    for (uint32_t i = 0; rc == 0 && i < m->n_outputs; i++)
        rc = add_output(b, &m->outputs[i]);
    if (rc)
        return rc;
    if (g->n_outputs == 0)
        return ac_err_set(b->err, AC_EINVAL, "the model has no output");
    rc = g->batched && g->batch > 1 ? gb_rows(b) : 0;
    if (rc)
        return rc;
    uint32_t *producer = ac_arena_calloc(b->arena, g->n_values, sizeof(*producer));
    if (!producer)
        return gb_no_memory(b);
    gb_simplify(g, producer);
    return 0;
}

int wk_graph_build(const struct wk_onnx *m, int64_t batch, struct ac_arena *arena,
                   struct wk_graph *ret_g, struct ac_err *err)
{
    struct wk_graph g = {.batch = batch};
    struct builder b = {
        .m = m, .arena = arena, .g = &g, .err = err, .by_name = ac_map_create(NULL)};
    int rc = build(&b);
    ac_map_destroy(b.by_name);
    if (rc == 0)
        *ret_g = g;
    return rc;
}
