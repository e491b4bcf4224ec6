/* What the translators of operators share. */
#pragma once

#include "graph.h"

#include <aceso/base.h>
#include <aceso/map.h>

struct builder {
    const struct wk_onnx *m;
    struct ac_arena *arena;
    struct wk_graph *g;
    struct ac_map *by_name; /* value number + 1 */
    struct ac_err *err;
    int rc;             /* of the ge_ functions: after the first error they do nothing */
    uint32_t n_settled; /* nodes whose shapes are known, and which are folded where they can be */
    size_t folded;      /* elements that were computed so */
};

int gb_no_memory(const struct builder *b);
/** The error with the node's name and operator. */
int gb_fail(const struct builder *b, const struct wk_onnx_node *n, int code, const char *what);
int gb_find(const struct builder *b, const struct wk_onnx_node *n, uint32_t i, uint32_t *ret_v);
int gb_constant(const struct builder *b, const struct wk_onnx_node *n, uint32_t i,
                const struct wk_onnx_tensor **ret_t);
int gb_ints(const struct builder *b, const struct wk_onnx_node *n, const struct wk_onnx_tensor *t,
            uint32_t max, int64_t *ret_list, uint32_t *ret_n);
float gb_f32(const struct wk_onnx_tensor *t, size_t i);
float *gb_filled(const struct builder *b, size_t n, float v);
int gb_need_f32(const struct builder *b, const struct wk_onnx_node *n, uint32_t v);
/** A node with room for all inputs that the operator was given; n_in is the caller's. */
int gb_new_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                struct wk_node **ret_x);
int gb_one_input(struct builder *b, const struct wk_onnx_node *n, enum wk_op op,
                 struct wk_node **ret_x);

/** The same with another name for its output; "" for a step on the way. */
int gb_named_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                  const char *output, struct wk_node **ret_x);
int gb_value(struct builder *b, const char *name, int dtype, const struct wk_onnx_tensor *constant,
             uint32_t *ret_v);
/** A list given as an attribute (older operator sets) or as a constant input; input 0: never. */
int gb_int_list(const struct builder *b, const struct wk_onnx_node *n, const char *name,
                uint32_t input, uint32_t max, int64_t *ret_list, uint32_t *ret_n);
/** Operators that go through elements one by one, and reductions. False: it is none of these. */
bool gb_math(struct builder *b, const struct wk_onnx_node *n, int *ret_rc);
/* One translator an operator, or a few of a kind. */
int gb_gemm(struct builder *b, const struct wk_onnx_node *n);
int gb_matmul(struct builder *b, const struct wk_onnx_node *n);
int gb_batchnorm(struct builder *b, const struct wk_onnx_node *n);
int gb_layernorm(struct builder *b, const struct wk_onnx_node *n);
int gb_instancenorm(struct builder *b, const struct wk_onnx_node *n);
int gb_meanvariance(struct builder *b, const struct wk_onnx_node *n);
int gb_lpnorm(struct builder *b, const struct wk_onnx_node *n);
int gb_lrn(struct builder *b, const struct wk_onnx_node *n);
int gb_clip(struct builder *b, const struct wk_onnx_node *n);
int gb_hardmax(struct builder *b, const struct wk_onnx_node *n);
int gb_cast(struct builder *b, const struct wk_onnx_node *n);
int gb_made(struct builder *b, const struct wk_onnx_node *n);
int gb_shape(struct builder *b, const struct wk_onnx_node *n);
int gb_gather(struct builder *b, const struct wk_onnx_node *n);
int gb_expand(struct builder *b, const struct wk_onnx_node *n);
int gb_tile(struct builder *b, const struct wk_onnx_node *n);
int gb_where(struct builder *b, const struct wk_onnx_node *n);
int gb_trilu(struct builder *b, const struct wk_onnx_node *n);
int gb_blocks(struct builder *b, const struct wk_onnx_node *n);
int gb_arg(struct builder *b, const struct wk_onnx_node *n);
int gb_resize(struct builder *b, const struct wk_onnx_node *n);
int gb_quantize(struct builder *b, const struct wk_onnx_node *n);
int gb_loss(struct builder *b, const struct wk_onnx_node *n);
int gb_deconv(struct builder *b, const struct wk_onnx_node *n);
int gb_split(struct builder *b, const struct wk_onnx_node *n);
int gb_conv(struct builder *b, const struct wk_onnx_node *n);
int gb_pool(struct builder *b, const struct wk_onnx_node *n);
int gb_transpose(struct builder *b, const struct wk_onnx_node *n);
int gb_slice(struct builder *b, const struct wk_onnx_node *n);
int gb_concat(struct builder *b, const struct wk_onnx_node *n);
int gb_pad(struct builder *b, const struct wk_onnx_node *n);
/** Pad with elements of the input: edge, reflect or wrap. */
int gb_pad_inside(struct builder *b, const struct wk_onnx_node *n, const char *mode);

/** Shapes of the nodes made since the last call; those of constants become constants. */
int gb_settle(struct builder *b);
/** For a batch of several: AC_ENOTSUP where a row of the result depends on other rows. */
int gb_rows(const struct builder *b);
/** producer has room for a number a value. */
void gb_simplify(struct wk_graph *g, uint32_t *producer);

/* Nodes of operators that are made of several. They return the value that is computed; out: its
 * name, "" for a step on the way. An error is kept in b->rc, and the value means nothing then. */

/** The i-th input. */
uint32_t ge_input(struct builder *b, const struct wk_onnx_node *n, uint32_t i);
bool ge_has_input(const struct wk_onnx_node *n, uint32_t i);
/** NULL after an error. */
struct wk_node *ge_node(struct builder *b, const struct wk_onnx_node *n, enum wk_op op, int dtype,
                        const uint32_t *in, uint32_t n_in, const char *out);
uint32_t ge_pair(struct builder *b, const struct wk_onnx_node *n, enum wk_binary kind, uint32_t a,
                 uint32_t c, const char *out);
uint32_t ge_unary(struct builder *b, const struct wk_onnx_node *n, enum wk_unary kind, uint32_t a,
                  const char *out);
uint32_t ge_reduce(struct builder *b, const struct wk_onnx_node *n, enum wk_reduce kind, uint32_t a,
                   const int64_t *axes, uint32_t n_axes, const char *out);
uint32_t ge_reshape(struct builder *b, const struct wk_onnx_node *n, uint32_t a,
                    const int64_t *dims, uint32_t rank, const char *out);
uint32_t ge_transpose(struct builder *b, const struct wk_onnx_node *n, uint32_t a,
                      const int64_t *perm, uint32_t rank, const char *out);
uint32_t ge_cast(struct builder *b, const struct wk_onnx_node *n, uint32_t a, int dtype,
                 const char *out);
/** A name for what is there. */
uint32_t ge_same(struct builder *b, const struct wk_onnx_node *n, uint32_t a, const char *out);
/** A constant, all zero; data may be filled, and is NULL after an error. */
uint32_t ge_constant(struct builder *b, const char *name, int dtype, const int64_t *dims,
                     uint32_t rank, void **ret_data);
uint32_t ge_scalar(struct builder *b, int dtype, double v);
const struct wk_shape *ge_shape(const struct builder *b, uint32_t v);
int ge_dtype(const struct builder *b, uint32_t v);
/** Keeps the error; returns its code. */
int ge_fail(struct builder *b, const struct wk_onnx_node *n, int code, const char *what);
/** From the end where negative; keeps an error when it is none of the value's. */
int64_t ge_axis(struct builder *b, const struct wk_onnx_node *n, uint32_t v, int64_t axis);
