/* Operators that go through elements one by one, reductions, and Split. */
#include "graph_int.h"

#include <math.h>
#include <string.h>

static int unary(struct builder *b, const struct wk_onnx_node *n, struct wk_activation act,
                 const char *attr_a, const char *attr_b)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_UNARY, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc)
        return rc;
    x->act = act;
    if (attr_a)
        x->act.a = wk_onnx_attr_float(n, attr_a, act.a);
    if (attr_b)
        x->act.b = wk_onnx_attr_float(n, attr_b, act.b);
    return 0;
}

static int pair(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op,
                const uint32_t in[2], const char *output, struct wk_node **ret_x)
{
    int dtype = b->g->values[in[0]].dtype;
    bool any = op != WK_POW && op != WK_PRELU;
    if (dtype != b->g->values[in[1]].dtype)
        return gb_fail(b, n, AC_EINVAL, "the inputs have different element types");
    if (dtype != WK_F32 && (dtype != WK_I32 || !any))
        return gb_fail(b, n, AC_ENOTSUP,
                       any ? "only FP32 and INT32 are supported for this operator"
                           : "only FP32 is supported for this operator");
    int rc = gb_named_node(b, n, WK_BINARY, dtype, output, ret_x);
    if (rc)
        return rc;
    (*ret_x)->in[0] = in[0];
    (*ret_x)->in[1] = in[1];
    (*ret_x)->n_in = 2;
    (*ret_x)->binary = op;
    return 0;
}

static int scalar(struct builder *b, float v, uint32_t *ret_v)
{
    struct wk_onnx_tensor *t = ac_arena_calloc(b->arena, 1, sizeof(*t));
    float *data = gb_filled(b, 1, v);
    if (!t || !data)
        return gb_no_memory(b);
    *t = (struct wk_onnx_tensor){.name = "", .dtype = WK_F32, .elems = 1, .data = data};
    return gb_value(b, "", WK_F32, t, ret_v);
}

/* Sum, Mean, Max and Min of any number of inputs, one pair after another. */
static int chain(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op, bool mean)
{
    uint32_t in[2];
    struct wk_node *x = NULL;
    int rc = gb_find(b, n, 0, &in[0]);
    if (rc == 0 && n->n_inputs == 1) {
        rc = gb_one_input(b, n, WK_RESHAPE, &x);
        if (rc == 0)
            x->reshape = WK_SAME;
        return rc;
    }
    for (uint32_t i = 1; rc == 0 && i < n->n_inputs; i++) {
        bool last = i + 1 == n->n_inputs && !mean;
        rc = gb_find(b, n, i, &in[1]);
        if (rc == 0)
            rc = pair(b, n, op, in, last ? n->outputs[0] : "", &x);
        if (rc)
            return rc;
        in[0] = b->g->nodes[b->g->n_nodes - 1].out;
    }
    if (rc || !mean)
        return rc;
    rc = gb_need_f32(b, n, in[0]);
    if (rc == 0)
        rc = scalar(b, (float)n->n_inputs, &in[1]);
    return rc ? rc : pair(b, n, WK_DIV, in, n->outputs[0], &x);
}

static int two(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op)
{
    uint32_t in[2];
    struct wk_node *x;
    int rc = gb_find(b, n, 0, &in[0]);
    if (rc == 0)
        rc = gb_find(b, n, 1, &in[1]);
    return rc ? rc : pair(b, n, op, in, n->outputs[0], &x);
}

static int reduce(struct builder *b, const struct wk_onnx_node *n, enum wk_reduce kind)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_REDUCE, &x);
    if (rc == 0)
        rc = gb_need_f32(b, n, x->in[0]);
    if (rc == 0)
        rc = gb_int_list(b, n, "axes", 1, WK_ONNX_MAX_RANK, x->axes, &x->n_axes);
    if (rc)
        return rc;
    if (x->n_axes == 0 && wk_onnx_attr_int(n, "noop_with_empty_axes", 0) != 0)
        return gb_fail(b, n, AC_ENOTSUP, "noop_with_empty_axes without axes is not supported");
    x->reduce = kind;
    x->reshape = wk_onnx_attr_int(n, "keepdims", 1) != 0 ? WK_SAME : WK_SQUEEZE;
    x->batched = b->g->batched;
    return 0;
}

static const struct {
    const char *op;
    struct wk_activation act;
    const char *attr_a, *attr_b;
} unaries[] = {
    {"Relu", {WK_RELU, 0, 0}, NULL, NULL},
    {"LeakyRelu", {WK_LEAKY_RELU, 0.01f, 0}, "alpha", NULL},
    {"Sigmoid", {WK_SIGMOID, 0, 0}, NULL, NULL},
    {"Tanh", {WK_TANH, 0, 0}, NULL, NULL},
    {"Elu", {WK_ELU, 1, 0}, "alpha", NULL},
    {"HardSigmoid", {WK_HARD_SIGMOID, 0.2f, 0.5f}, "alpha", "beta"},
    {"Neg", {WK_NEG, 0, 0}, NULL, NULL},
    {"Abs", {WK_ABS, 0, 0}, NULL, NULL},
    {"Sqrt", {WK_SQRT, 0, 0}, NULL, NULL},
    {"Exp", {WK_EXP, 0, 0}, NULL, NULL},
    {"Log", {WK_LOG, 0, 0}, NULL, NULL},
    {"Floor", {WK_FLOOR, 0, 0}, NULL, NULL},
    {"Ceil", {WK_CEIL, 0, 0}, NULL, NULL},
    {"Round", {WK_ROUND, 0, 0}, NULL, NULL},
    {"Reciprocal", {WK_RECIPROCAL, 0, 0}, NULL, NULL},
    {"Sign", {WK_SIGN, 0, 0}, NULL, NULL},
    {"Softplus", {WK_SOFTPLUS, 0, 0}, NULL, NULL},
    {"Softsign", {WK_SOFTSIGN, 0, 0}, NULL, NULL},
    {"Erf", {WK_ERF, 0, 0}, NULL, NULL},
    {"Selu", {WK_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f}, "alpha", "gamma"},
    {"Celu", {WK_CELU, 1, 0}, "alpha", NULL},
    {"HardSwish", {WK_HARD_SWISH, 0, 0}, NULL, NULL},
    {"ThresholdedRelu", {WK_THRESHOLDED, 1, 0}, "alpha", NULL},
    {"Mish", {WK_MISH, 0, 0}, NULL, NULL},
    {"Sin", {WK_SIN, 0, 0}, NULL, NULL},
    {"Cos", {WK_COS, 0, 0}, NULL, NULL},
    {"Tan", {WK_TAN, 0, 0}, NULL, NULL},
    {"Asin", {WK_ASIN, 0, 0}, NULL, NULL},
    {"Acos", {WK_ACOS, 0, 0}, NULL, NULL},
    {"Atan", {WK_ATAN, 0, 0}, NULL, NULL},
    {"Sinh", {WK_SINH, 0, 0}, NULL, NULL},
    {"Cosh", {WK_COSH, 0, 0}, NULL, NULL},
    {"Asinh", {WK_ASINH, 0, 0}, NULL, NULL},
    {"Acosh", {WK_ACOSH, 0, 0}, NULL, NULL},
    {"Atanh", {WK_ATANH, 0, 0}, NULL, NULL},
};

static const struct {
    const char *op;
    enum wk_binary kind;
    bool many, mean; /* any number of inputs */
} binaries[] = {
    {"Add", WK_ADD, false, false}, {"Sub", WK_SUB, false, false}, {"Mul", WK_MUL, false, false},
    {"Div", WK_DIV, false, false}, {"Pow", WK_POW, false, false}, {"PRelu", WK_PRELU, false, false},
    {"Sum", WK_ADD, true, false},  {"Mean", WK_ADD, true, true},  {"Max", WK_MAX, true, false},
    {"Min", WK_MIN, true, false},
};

static const struct {
    const char *op;
    enum wk_reduce kind;
} reductions[] = {
    {"ReduceSum", WK_SUM},        {"ReduceMean", WK_MEAN},
    {"ReduceMax", WK_GREATEST},   {"ReduceMin", WK_LEAST},
    {"ReduceProd", WK_PRODUCT},   {"ReduceL1", WK_L1},
    {"ReduceL2", WK_L2},          {"ReduceSumSquare", WK_SUM_SQUARE},
    {"ReduceLogSum", WK_LOG_SUM}, {"ReduceLogSumExp", WK_LOG_SUM_EXP},
};

bool gb_math(struct builder *b, const struct wk_onnx_node *n, int *ret_rc)
{
    bool nothing = n->n_outputs == 0 || n->outputs[0][0] == '\0';
    for (size_t i = 0; i < AC_ARRAY_LEN(unaries); i++)
        if (strcmp(unaries[i].op, n->op) == 0) {
            *ret_rc = unary(b, n, unaries[i].act, unaries[i].attr_a, unaries[i].attr_b);
            return true;
        }
    for (size_t i = 0; i < AC_ARRAY_LEN(binaries); i++)
        if (strcmp(binaries[i].op, n->op) == 0) {
            *ret_rc = nothing            ? gb_fail(b, n, AC_EINVAL, "it has no output")
                      : binaries[i].many ? chain(b, n, binaries[i].kind, binaries[i].mean)
                                         : two(b, n, binaries[i].kind);
            return true;
        }
    for (size_t i = 0; i < AC_ARRAY_LEN(reductions); i++)
        if (strcmp(reductions[i].op, n->op) == 0) {
            *ret_rc = reduce(b, n, reductions[i].kind);
            return true;
        }
    return false;
}

uint32_t gb_nodes_of(const struct wk_onnx_node *n)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(binaries); i++)
        if (binaries[i].many && strcmp(binaries[i].op, n->op) == 0)
            return AC_MAX(n->n_inputs, 1u) + 1u;
    return strcmp(n->op, "Split") == 0 ? AC_MAX(n->n_outputs, 1u) : 1;
}

int gb_split(struct builder *b, const struct wk_onnx_node *n)
{
    int64_t sizes[WK_ONNX_MAX_IO], at = 0, whole = 0;
    uint32_t count = 0, v = 0;
    int rc = gb_find(b, n, 0, &v);
    if (rc == 0)
        rc = gb_int_list(b, n, "split", 1, WK_ONNX_MAX_IO, sizes, &count);
    if (rc)
        return rc;
    if (count && count != n->n_outputs)
        return gb_fail(b, n, AC_EINVAL, "it has not as many outputs as split has sizes");
    for (uint32_t i = 0; i < count; i++) {
        if (sizes[i] <= 0 || sizes[i] > INT32_MAX)
            return gb_fail(b, n, AC_ENOTSUP,
                           "a size is out of range, or nothing is left of a part");
        whole += sizes[i];
    }
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        struct wk_node *x;
        if (n->outputs[i][0] == '\0')
            return gb_fail(b, n, AC_EINVAL, "an output has no name");
        rc = gb_named_node(b, n, WK_SLICE, b->g->values[v].dtype, n->outputs[i], &x);
        if (rc)
            return rc;
        x->in[0] = v;
        x->n_in = 1;
        x->n_axes = 1;
        x->axes[0] = wk_onnx_attr_int(n, "axis", 0);
        x->step[0] = 1;
        x->first[0] = at;
        at += count ? sizes[i] : 0;
        x->last[0] = at;
        x->part = i;
        x->parts = count ? 0 : n->n_outputs;
        x->whole = whole;
    }
    return n->n_outputs ? 0 : gb_fail(b, n, AC_EINVAL, "it has no output");
}
