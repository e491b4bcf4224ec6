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
/** Most nodes that an operator becomes. */
uint32_t gb_nodes_of(const struct wk_onnx_node *n);

/** Operators that go through elements one by one, and reductions. False: it is none of these. */
bool gb_math(struct builder *b, const struct wk_onnx_node *n, int *ret_rc);
int gb_split(struct builder *b, const struct wk_onnx_node *n);
int gb_conv(struct builder *b, const struct wk_onnx_node *n);
int gb_pool(struct builder *b, const struct wk_onnx_node *n);
int gb_transpose(struct builder *b, const struct wk_onnx_node *n);
int gb_slice(struct builder *b, const struct wk_onnx_node *n);
int gb_concat(struct builder *b, const struct wk_onnx_node *n);
int gb_pad(struct builder *b, const struct wk_onnx_node *n);

/** Shapes of the nodes made since the last call; those of constants become constants. */
int gb_settle(struct builder *b);
/** producer has room for a number a value. */
void gb_simplify(struct wk_graph *g, uint32_t *producer);
