/* Operators that go through elements one by one, reductions, and Split. */
#include "graph_int.h"
#include "number.h"

#include <math.h>
#include <string.h>

enum { /* element types */
    REAL = 1,
    WHOLE = 2,
    TRUTH = 4,
    FLOAT = 8, /* FP32, and what is computed as if it were */
    NUMBER = REAL | WHOLE
};

static bool allowed(int dtype, unsigned types)
{
    unsigned is = dtype == WK_BOOL ? TRUTH : wk_is_real(dtype) ? REAL : WHOLE;
    return (types & is) || ((types & FLOAT) && is == REAL && dtype != WK_F64);
}

static int wrong_type(const struct builder *b, const struct wk_onnx_node *n)
{
    return gb_fail(b, n, AC_ENOTSUP, "this element type is not supported for this operator");
}

static int pair(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op, unsigned types,
                const uint32_t in[2], const char *output)
{
    if (!allowed(ge_dtype(b, in[0]), types))
        return wrong_type(b, n);
    (void)ge_pair(b, n, op, in[0], in[1], output);
    return b->rc;
}

/* Sum, Mean, Max and Min of any number of inputs, one pair after another. */
static int chain(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op, bool mean)
{
    uint32_t v = ge_input(b, n, 0);
    if (b->rc == 0 && !allowed(ge_dtype(b, v), NUMBER))
        return wrong_type(b, n);
    for (uint32_t i = 1; i < n->n_inputs; i++)
        v = ge_pair(b, n, op, v, ge_input(b, n, i),
                    i + 1 == n->n_inputs && !mean ? n->outputs[0] : "");
    if (n->n_inputs == 1)
        (void)ge_same(b, n, v, n->outputs[0]);
    else if (mean)
        (void)ge_pair(b, n, WK_DIV, v, ge_scalar(b, ge_dtype(b, v), (double)n->n_inputs),
                      n->outputs[0]);
    return b->rc;
}

/* The exponent may be of another type: then both become the more precise one. */
static int power(struct builder *b, const struct wk_onnx_node *n, const uint32_t in[2])
{
    int type = ge_dtype(b, in[0]);
    if (type == ge_dtype(b, in[1]))
        return pair(b, n, WK_POW, NUMBER, in, n->outputs[0]);
    uint32_t a = ge_cast(b, n, in[0], WK_F64, ""), c = ge_cast(b, n, in[1], WK_F64, "");
    (void)ge_cast(b, n, ge_pair(b, n, WK_POW, a, c, ""), type, n->outputs[0]);
    return b->rc;
}

/* Before operator set 7 the second input lay at an axis of the first; PRelu's at the channels. */
static uint32_t aligned(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op,
                        const uint32_t in[2])
{
    struct wk_shape s = *ge_shape(b, in[1]);
    int64_t rank = ge_shape(b, in[0])->rank, axis = rank - s.rank;
    bool channels = op == WK_PRELU && s.rank == 1 && s.dims[0] != 1 && rank > 1;
    axis = channels ? 1 : wk_onnx_attr_int(n, "axis", axis);
    axis = axis < 0 ? axis + rank : axis;
    if (axis < 0 || axis + s.rank > rank)
        ge_fail(b, n, AC_EINVAL, "the axis is out of range");
    if (b->rc || axis + s.rank == rank)
        return in[1];
    while (axis + s.rank < rank)
        s.dims[s.rank++] = 1;
    return ge_reshape(b, n, in[1], s.dims, s.rank, "");
}

static int two(struct builder *b, const struct wk_onnx_node *n, enum wk_binary op, unsigned types)
{
    const struct wk_onnx_attr *direction = wk_onnx_attr(n, "direction");
    uint32_t in[2] = {ge_input(b, n, 0), ge_input(b, n, 1)};
    if (b->rc)
        return b->rc;
    if (b->m->opset < 7)
        in[1] = aligned(b, n, op, in);
    if (b->rc)
        return b->rc;
    if (op == WK_MOD && wk_onnx_attr_int(n, "fmod", 0) != 0)
        op = WK_FMOD;
    if (op == WK_SHIFT_LEFT && direction && strcmp(direction->s, "RIGHT") == 0)
        op = WK_SHIFT_RIGHT;
    if (op == WK_POW)
        return power(b, n, in);
    return pair(b, n, op, types, in, n->outputs[0]);
}

static int infinite(struct builder *b, const struct wk_onnx_node *n, struct wk_activation act)
{
    uint32_t v = ge_input(b, n, 0);
    if (b->rc == 0 && !wk_is_real(ge_dtype(b, v)))
        return wrong_type(b, n);
    struct wk_node *x = ge_node(b, n, WK_UNARY, WK_BOOL, &v, 1, n->outputs[0]);
    if (x && act.kind == WK_IS_INF) {
        act.a = (float)wk_onnx_attr_int(n, "detect_negative", 1);
        act.b = (float)wk_onnx_attr_int(n, "detect_positive", 1);
    }
    if (x)
        x->act = act;
    return b->rc;
}

static int unary(struct builder *b, const struct wk_onnx_node *n, struct wk_activation act,
                 unsigned types, const char *attr_a, const char *attr_b)
{
    const struct wk_onnx_attr *form = wk_onnx_attr(n, "approximate");
    uint32_t v = ge_input(b, n, 0);
    if (b->rc == 0 && !allowed(ge_dtype(b, v), types))
        return wrong_type(b, n);
    struct wk_node *x = ge_node(b, n, WK_UNARY, ge_dtype(b, v), &v, 1, n->outputs[0]);
    if (!x)
        return b->rc;
    x->act = act;
    if (attr_a)
        x->act.a = wk_onnx_attr_float(n, attr_a, act.a);
    if (attr_b)
        x->act.b = wk_onnx_attr_float(n, attr_b, act.b);
    if (act.kind == WK_GELU && form && strcmp(form->s, "tanh") == 0)
        x->act.kind = WK_GELU_TANH;
    return 0;
}

static int reduce(struct builder *b, const struct wk_onnx_node *n, enum wk_reduce kind)
{
    struct wk_node *x;
    int rc = gb_one_input(b, n, WK_REDUCE, &x);
    if (rc == 0 && !allowed(ge_dtype(b, x->in[0]), NUMBER))
        rc = wrong_type(b, n);
    if (rc == 0)
        rc = gb_int_list(b, n, "axes", 1, WK_ONNX_MAX_RANK, x->axes, &x->n_axes);
    if (rc)
        return rc;
    if (x->n_axes == 0 && wk_onnx_attr_int(n, "noop_with_empty_axes", 0) != 0)
        return gb_fail(b, n, AC_ENOTSUP, "noop_with_empty_axes without axes is not supported");
    if (n->n_inputs > 1 && n->inputs[1][0] && x->n_axes == 0)
        return gb_fail(b, n, AC_ENOTSUP, "an empty list of axes is not supported");
    x->reduce = kind;
    x->reshape = wk_onnx_attr_int(n, "keepdims", 1) != 0 ? WK_SAME : WK_SQUEEZE;
    return 0;
}

static const struct {
    const char *op;
    struct wk_activation act;
    unsigned types;
    const char *attr_a, *attr_b;
} unaries[] = {
    {"Relu", {WK_RELU, 0, 0}, FLOAT | WHOLE, NULL, NULL},
    {"LeakyRelu", {WK_LEAKY_RELU, 0.01f, 0}, FLOAT, "alpha", NULL},
    {"Sigmoid", {WK_SIGMOID, 0, 0}, FLOAT, NULL, NULL},
    {"Tanh", {WK_TANH, 0, 0}, FLOAT, NULL, NULL},
    {"Elu", {WK_ELU, 1, 0}, FLOAT, "alpha", NULL},
    {"HardSigmoid", {WK_HARD_SIGMOID, 0.2f, 0.5f}, FLOAT, "alpha", "beta"},
    {"Neg", {WK_NEG, 0, 0}, FLOAT | WHOLE, NULL, NULL},
    {"Abs", {WK_ABS, 0, 0}, FLOAT | WHOLE, NULL, NULL},
    {"Sqrt", {WK_SQRT, 0, 0}, FLOAT, NULL, NULL},
    {"Exp", {WK_EXP, 0, 0}, FLOAT, NULL, NULL},
    {"Log", {WK_LOG, 0, 0}, FLOAT, NULL, NULL},
    {"Floor", {WK_FLOOR, 0, 0}, FLOAT, NULL, NULL},
    {"Ceil", {WK_CEIL, 0, 0}, FLOAT, NULL, NULL},
    {"Round", {WK_ROUND, 0, 0}, FLOAT, NULL, NULL},
    {"Reciprocal", {WK_RECIPROCAL, 0, 0}, FLOAT, NULL, NULL},
    {"Sign", {WK_SIGN, 0, 0}, FLOAT | WHOLE, NULL, NULL},
    {"Softplus", {WK_SOFTPLUS, 0, 0}, FLOAT, NULL, NULL},
    {"Softsign", {WK_SOFTSIGN, 0, 0}, FLOAT, NULL, NULL},
    {"Erf", {WK_ERF, 0, 0}, FLOAT, NULL, NULL},
    {"Selu",
     {WK_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f},
     FLOAT,
     "alpha",
     "gamma"},
    {"Celu", {WK_CELU, 1, 0}, FLOAT, "alpha", NULL},
    {"HardSwish", {WK_HARD_SWISH, 0, 0}, FLOAT, NULL, NULL},
    {"ThresholdedRelu", {WK_THRESHOLDED, 1, 0}, FLOAT, "alpha", NULL},
    {"Mish", {WK_MISH, 0, 0}, FLOAT, NULL, NULL},
    {"Sin", {WK_SIN, 0, 0}, FLOAT, NULL, NULL},
    {"Cos", {WK_COS, 0, 0}, FLOAT, NULL, NULL},
    {"Tan", {WK_TAN, 0, 0}, FLOAT, NULL, NULL},
    {"Asin", {WK_ASIN, 0, 0}, FLOAT, NULL, NULL},
    {"Acos", {WK_ACOS, 0, 0}, FLOAT, NULL, NULL},
    {"Atan", {WK_ATAN, 0, 0}, FLOAT, NULL, NULL},
    {"Sinh", {WK_SINH, 0, 0}, FLOAT, NULL, NULL},
    {"Cosh", {WK_COSH, 0, 0}, FLOAT, NULL, NULL},
    {"Asinh", {WK_ASINH, 0, 0}, FLOAT, NULL, NULL},
    {"Acosh", {WK_ACOSH, 0, 0}, FLOAT, NULL, NULL},
    {"Atanh", {WK_ATANH, 0, 0}, FLOAT, NULL, NULL},
    {"Gelu", {WK_GELU, 0, 0}, FLOAT, NULL, NULL},
    {"Shrink", {WK_SHRINK, 0, 0.5f}, FLOAT, "bias", "lambd"},
    {"Not", {WK_NOT, 0, 0}, TRUTH, NULL, NULL},
    {"IsNaN", {WK_IS_NAN, 0, 0}, REAL, NULL, NULL},
    {"IsInf", {WK_IS_INF, 1, 1}, REAL, NULL, NULL},
};

static const struct {
    const char *op;
    enum wk_binary kind;
    unsigned types;
    bool many, mean; /* any number of inputs */
} binaries[] = {
    {"Add", WK_ADD, NUMBER, false, false},
    {"Sub", WK_SUB, NUMBER, false, false},
    {"Mul", WK_MUL, NUMBER, false, false},
    {"Div", WK_DIV, NUMBER, false, false},
    {"Pow", WK_POW, NUMBER, false, false},
    {"PRelu", WK_PRELU, NUMBER, false, false},
    {"Mod", WK_MOD, NUMBER, false, false},
    {"BitShift", WK_SHIFT_LEFT, WHOLE, false, false},
    {"BitwiseAnd", WK_AND, WHOLE, false, false},
    {"BitwiseOr", WK_OR, WHOLE, false, false},
    {"BitwiseXor", WK_XOR, WHOLE, false, false},
    {"And", WK_AND, TRUTH, false, false},
    {"Or", WK_OR, TRUTH, false, false},
    {"Xor", WK_XOR, TRUTH, false, false},
    {"Equal", WK_EQUAL, NUMBER | TRUTH, false, false},
    {"Greater", WK_GREATER, NUMBER, false, false},
    {"GreaterOrEqual", WK_GREATER_EQUAL, NUMBER, false, false},
    {"Less", WK_LESS, NUMBER, false, false},
    {"LessOrEqual", WK_LESS_EQUAL, NUMBER, false, false},
    {"Sum", WK_ADD, NUMBER, true, false},
    {"Mean", WK_ADD, NUMBER, true, true},
    {"Max", WK_MAX, NUMBER, true, false},
    {"Min", WK_MIN, NUMBER, true, false},
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
    for (size_t i = 0; i < AC_ARRAY_LEN(unaries); i++)
        if (strcmp(unaries[i].op, n->op) == 0) {
            const struct wk_activation *act = &unaries[i].act;
            bool truth = act->kind == WK_IS_NAN || act->kind == WK_IS_INF;
            *ret_rc =
                truth ? infinite(b, n, *act)
                      : unary(b, n, *act, unaries[i].types, unaries[i].attr_a, unaries[i].attr_b);
            return true;
        }
    for (size_t i = 0; i < AC_ARRAY_LEN(binaries); i++)
        if (strcmp(binaries[i].op, n->op) == 0) {
            *ret_rc = binaries[i].many ? chain(b, n, binaries[i].kind, binaries[i].mean)
                                       : two(b, n, binaries[i].kind, binaries[i].types);
            return true;
        }
    for (size_t i = 0; i < AC_ARRAY_LEN(reductions); i++)
        if (strcmp(reductions[i].op, n->op) == 0) {
            *ret_rc = reduce(b, n, reductions[i].kind);
            return true;
        }
    return false;
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
    return 0;
}
