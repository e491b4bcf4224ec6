/* Losses: of use to models that score what they are given. */
#include "graph_int.h"

#include <string.h>

/* A node that is complete as it is but for its axis. */
static uint32_t chosen(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                       const uint32_t *in, uint32_t n_in, int64_t axis)
{
    struct wk_node *x = ge_node(b, n, op, dtype, in, n_in, "");
    if (!x)
        return 0;
    x->axis = axis;
    b->rc = gb_settle(b);
    return x->out;
}

static uint32_t where(struct builder *b, const struct wk_onnx_node *n, uint32_t cond, uint32_t yes,
                      uint32_t no)
{
    const uint32_t in[3] = {cond, yes, no};
    return chosen(b, n, WK_WHERE, ge_dtype(b, no), in, 3, 0);
}

/* Of everything, without dimensions. */
static uint32_t sum(struct builder *b, const struct wk_onnx_node *n, enum wk_reduce kind,
                    uint32_t v, const char *out)
{
    uint32_t all = ge_reduce(b, n, kind, v, NULL, 0, "");
    return ge_reshape(b, n, all, NULL, 0, out);
}

static int reduced(struct builder *b, const struct wk_onnx_node *n, uint32_t loss, bool weighted,
                   uint32_t weight)
{
    const struct wk_onnx_attr *a = wk_onnx_attr(n, "reduction");
    const char *how = a ? a->s : "mean", *out = n->outputs[0];
    if (strcmp(how, "none") == 0)
        (void)ge_same(b, n, loss, out);
    else if (strcmp(how, "sum") == 0)
        (void)sum(b, n, WK_SUM, loss, out);
    else if (strcmp(how, "mean") != 0)
        return ge_fail(b, n, AC_EINVAL, "reduction is not one of none, sum, mean");
    else if (weighted)
        (void)ge_pair(b, n, WK_DIV, sum(b, n, WK_SUM, loss, ""), sum(b, n, WK_SUM, weight, ""),
                      out);
    else
        (void)sum(b, n, WK_MEAN, loss, out);
    return b->rc;
}

/* What the target's class has along dimension 1, less than nothing, times the class's weight. */
static int likelihood(struct builder *b, const struct wk_onnx_node *n, uint32_t logs)
{
    uint32_t target = ge_input(b, n, 1), weight = 0;
    if (b->rc)
        return b->rc;
    const struct wk_shape s = *ge_shape(b, logs), t = *ge_shape(b, target);
    bool weighted = ge_has_input(n, 2), ignoring = wk_onnx_attr(n, "ignore_index") != NULL;
    int type = ge_dtype(b, target);
    if (s.rank < 2 || t.rank != s.rank - 1 || (type != WK_I64 && type != WK_I32))
        return gb_fail(b, n, AC_EINVAL, "its target must be one whole number a place");
    struct wk_shape one = s;
    one.dims[1] = 1;
    uint32_t class = ge_reshape(b, n, target, one.dims, one.rank, ""), ignored = 0;
    if (ignoring) {
        double index = (double)wk_onnx_attr_int(n, "ignore_index", 0);
        ignored = ge_pair(b, n, WK_EQUAL, class, ge_scalar(b, type, index), "");
        class = where(b, n, ignored, ge_scalar(b, type, 0), class);
    }
    uint32_t loss =
        chosen(b, n, WK_GATHER_EACH, ge_dtype(b, logs), (const uint32_t[]){logs, class}, 2, 1);
    loss = ge_unary(b, n, WK_NEG, loss, "");
    if (weighted)
        weight = chosen(b, n, WK_GATHER, ge_dtype(b, logs),
                        (const uint32_t[]){ge_input(b, n, 2), class}, 2, 0);
    else if (ignoring)
        weight = ge_scalar(b, ge_dtype(b, logs), 1);
    if (ignoring)
        weight = where(b, n, ignored, ge_scalar(b, ge_dtype(b, logs), 0), weight);
    if (weighted || ignoring)
        loss = ge_pair(b, n, WK_MUL, loss, weight, "");
    loss = ge_reshape(b, n, loss, t.dims, t.rank, "");
    return reduced(b, n, loss, weighted || ignoring, weight);
}

int gb_loss(struct builder *b, const struct wk_onnx_node *n)
{
    uint32_t logs = ge_input(b, n, 0);
    if (strcmp(n->op, "SoftmaxCrossEntropyLoss") != 0)
        return likelihood(b, n, logs);
    if (b->rc == 0)
        b->rc = gb_need_f32(b, n, logs);
    struct wk_node *x =
        ge_node(b, n, WK_SOFTMAX, WK_F32, &logs, 1, n->n_outputs > 1 ? n->outputs[1] : "");
    if (!x)
        return b->rc;
    x->log = true;
    x->axis = 1;
    x->reshape = WK_SAME;
    b->rc = gb_settle(b);
    return b->rc ? b->rc : likelihood(b, n, x->out);
}
