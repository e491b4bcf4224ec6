/* A model for one size of the batch as the executors see it: values and nodes in order of
 * execution, built from ONNX. Operators are reduced to a few kinds (a Gemm and a MatMul with
 * constant weights are both DENSE); what depends on constants and shapes alone is computed. Lives
 * in the arena; points into the ONNX bytes. */
#pragma once

#include "onnx.h"

enum wk_op {
    WK_DENSE,
    WK_AFFINE,
    WK_UNARY,
    WK_BINARY,
    WK_SOFTMAX,
    WK_RESHAPE,
    WK_CONV,
    WK_POOL_MAX,
    WK_POOL_MEAN,
    WK_TRANSPOSE,
    WK_SLICE,
    WK_CONCAT,
    WK_PAD,
    WK_REDUCE,
    WK_CAST,
    WK_WHERE,
    WK_EXPAND,
    WK_GATHER,
    WK_GATHER_EACH,
    WK_MATMUL,
    WK_MIX,
    WK_DECONV,
    WK_DROPPED
};

enum wk_unary {
    WK_KEEP,
    WK_RELU,
    WK_LEAKY_RELU,
    WK_SIGMOID,
    WK_TANH,
    WK_CLIP,
    WK_ELU,
    WK_HARD_SIGMOID,
    WK_NEG,
    WK_ABS,
    WK_SQRT,
    WK_EXP,
    WK_LOG,
    WK_FLOOR,
    WK_CEIL,
    WK_ROUND,
    WK_RECIPROCAL,
    WK_SIGN,
    WK_SOFTPLUS,
    WK_SOFTSIGN,
    WK_ERF,
    WK_SELU,
    WK_CELU,
    WK_HARD_SWISH,
    WK_THRESHOLDED,
    WK_MISH,
    WK_SIN,
    WK_COS,
    WK_TAN,
    WK_ASIN,
    WK_ACOS,
    WK_ATAN,
    WK_SINH,
    WK_COSH,
    WK_ASINH,
    WK_ACOSH,
    WK_ATANH,
    WK_GELU,
    WK_GELU_TANH,
    WK_SHRINK,
    WK_NOT,
    WK_IS_NAN,
    WK_IS_INF
};
enum wk_binary {
    WK_ADD,
    WK_SUB,
    WK_MUL,
    WK_DIV,
    WK_MAX,
    WK_MIN,
    WK_POW,
    WK_PRELU,
    WK_MOD,  /* with the sign of the divisor */
    WK_FMOD, /* with that of the dividend */
    WK_SHIFT_LEFT,
    WK_SHIFT_RIGHT,
    WK_AND,
    WK_OR,
    WK_XOR,
    WK_EQUAL, /* from here on the result is BOOL */
    WK_GREATER,
    WK_GREATER_EQUAL,
    WK_LESS,
    WK_LESS_EQUAL
};
enum wk_reduce {
    WK_SUM,
    WK_MEAN,
    WK_GREATEST,
    WK_LEAST,
    WK_PRODUCT,
    WK_L1,
    WK_L2,
    WK_SUM_SQUARE,
    WK_LOG_SUM,
    WK_LOG_SUM_EXP,
    WK_ARG_GREATEST, /* number of an element along one axis */
    WK_ARG_LEAST
};
enum wk_reshape {
    WK_TO_SHAPE,
    WK_FLATTEN,
    WK_SQUEEZE,
    WK_UNSQUEEZE,
    WK_SAME
};

/* Most memory for a graph while a model is prepared; weights that it makes itself count, too. */
#define WK_DESCRIPTION ((size_t)768 << 20)
#define WK_VALUE_ELEMS (1u << 28) /* most elements of one value */

struct wk_shape {
    uint32_t rank;
    int64_t dims[WK_ONNX_MAX_RANK];
};

struct wk_value {
    const char *name;
    int dtype;
    const struct wk_onnx_tensor *constant; /* NULL: computed or given */
    uint32_t uses;
    bool input, output;
};

struct wk_activation {
    enum wk_unary kind;
    float a, b; /* slope; bounds; alpha and beta */
};

enum wk_auto_pad {
    WK_PADS_GIVEN,
    WK_PADS_NONE,
    WK_PADS_SAME_UPPER,
    WK_PADS_SAME_LOWER
};

/* How a kernel moves over the dimensions behind the channels: one (then it stands in [1], and [0]
 * is a single row) or two. */
struct wk_window {
    uint32_t n;
    int64_t kernel[2], stride[2], dilation[2], before[2], behind[2];
    enum wk_auto_pad pads;
    bool global;     /* as large as the input */
    bool ceil;       /* a last window that is not whole counts */
    bool count_pads; /* POOL_MEAN divides by these, too */
};

/* The same for inputs of known shape. */
struct wk_geometry {
    int64_t in[2], out[2], kernel[2], before[2], behind[2];
};

struct wk_node {
    enum wk_op op;
    const char *name, *onnx_op; /* for messages */
    uint32_t *in, n_in, out;    /* in: in the arena */
    struct wk_activation act;   /* UNARY, or fused behind another */
    enum wk_binary binary;
    enum wk_reshape reshape; /* REDUCE: WK_SQUEEZE when its axes go */
    enum wk_reduce reduce;
    bool log;             /* SOFTMAX: its logarithm */
    bool last_one;        /* REDUCE: of equal ones the number of the last */
    uint32_t part, parts; /* SLICE: number part of parts of equal size along axes[0]; 0: not so */
    int64_t whole;        /* SLICE: what axes[0] must be, since all parts of it are given; or 0 */
    int64_t axis;
    int64_t axes[WK_ONNX_MAX_RANK]; /* also the target of a RESHAPE, the order of a TRANSPOSE */
    uint32_t n_axes;
    /* SLICE: first, end and step along each of axes; PAD: elements before and behind each
     * dimension. */
    int64_t first[WK_ONNX_MAX_RANK], last[WK_ONNX_MAX_RANK], step[WK_ONNX_MAX_RANK];
    float fill;              /* PAD */
    struct wk_window window; /* CONV, POOL */
    uint32_t groups;         /* CONV: k is the size of one output channel's kernel */
    uint32_t channels; /* DECONV: in, of a group; k is the size of one of them in the weights */
    /* CONV and DECONV without weights: in[1] holds them, and is computed. */
    /* DENSE: out = in x weights (k x n) + bias; AFFINE: out = in * scale + bias along dimension 1.
     */
    const struct wk_onnx_tensor *weights;
    bool transposed; /* weights are stored n x k; MATMUL: so is its second input */
    bool turned;     /* MATMUL: its first input is stored k x m */
    /* MIX: element i along the axis is the sum of k terms, each in[2][i * k + t] times the element
     * in[1][i * k + t]. DECONV: extra elements behind the result's. */
    int64_t extra[2];
    uint32_t k, n;
    float *scale, *bias; /* n each, in the arena; scale multiplies the product */
};

struct wk_graph {
    struct wk_value *values;
    uint32_t n_values, cap_values;
    struct wk_node *nodes;
    uint32_t n_nodes, cap_nodes;
    uint32_t *inputs, *outputs; /* value numbers */
    uint32_t n_inputs, n_outputs;
    struct wk_shape *shapes; /* per value */
    /* Per value: which dimension is the batch, negative where all rows have the same; NULL for a
     * batch of one. */
    const int *row_axis;
    bool batched;  /* all inputs have a free first dimension */
    int64_t batch; /* which has this size here; 1 when it is not free */
};

/** Translates, works out shapes and what is constant, and simplifies, all for one size of the
 * batch. Errors name the node and its operator. */
int wk_graph_build(const struct wk_onnx *m, int64_t batch, struct ac_arena *arena,
                   struct wk_graph *ret_g, struct ac_err *err) AC_MUST_USE;
/** Sets the shape of a node's result from those of its inputs. */
int wk_node_shape(const struct wk_node *x, struct wk_shape *shapes, struct ac_err *err) AC_MUST_USE;
/** Computes a node whose inputs are all constant. False: it is not one of those that can be. */
bool wk_fold(const struct wk_graph *g, const struct wk_node *x, void *out);
/** What a RESHAPE makes of a shape. */
int wk_reshape_shape(const struct wk_node *x, const struct wk_shape *in, struct wk_shape *out,
                     struct ac_err *err) AC_MUST_USE;
/** For CONV and POOL. */
int wk_geometry(const struct wk_node *x, const struct wk_shape *in, struct wk_geometry *ret_g,
                struct ac_err *err) AC_MUST_USE;
/** For SLICE: first element, step and number of elements for each dimension. */
int wk_slice(const struct wk_node *x, const struct wk_shape *in, int64_t *ret_first,
             int64_t *ret_step, struct wk_shape *ret_out, struct ac_err *err) AC_MUST_USE;
size_t wk_shape_elems(const struct wk_shape *s);
