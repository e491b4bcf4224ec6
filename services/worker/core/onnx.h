/* Reads ONNX files (ModelProto) and stored tensors (TensorProto) from their protobuf bytes.
 * Everything is bounded: counts, ranks, names and memory. The result points into the bytes, which
 * must outlive it, and into the arena. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/arena.h>

#define WK_ONNX_MAX_NODES   20000
#define WK_ONNX_MAX_TENSORS 20000
#define WK_ONNX_MAX_RANK    8
#define WK_ONNX_MAX_IO      1024 /* of one node, or of the graph */
#define WK_ONNX_MAX_NAME    1024

enum wk_dtype { /* ONNX's numbers */
    WK_UNDEFINED = 0,
    WK_F32 = 1,
    WK_U8 = 2,
    WK_I8 = 3,
    WK_U16 = 4,
    WK_I16 = 5,
    WK_I32 = 6,
    WK_I64 = 7,
    WK_STRING = 8,
    WK_BOOL = 9,
    WK_F16 = 10,
    WK_F64 = 11,
    WK_U32 = 12,
    WK_U64 = 13,
    WK_BF16 = 16
};

/** Bytes of one element; 0 for strings and unknown types. */
size_t wk_dtype_size(int dtype);
/** KServe's name: FP32, INT64, BOOL, ...; "?" for unknown. */
const char *wk_dtype_name(int dtype);
/** The reverse; WK_UNDEFINED for unknown. */
int wk_dtype_find(const char *kserve_name);

struct wk_onnx_tensor {
    const char *name;
    int dtype;
    uint32_t rank;
    int64_t dims[WK_ONNX_MAX_RANK];
    size_t elems;
    const void *data; /* elems in native layout, possibly unaligned; NULL when elems is 0 */
};

struct wk_onnx_attr {
    const char *name;
    float f;
    int64_t i;
    const char *s;
    const float *floats;
    size_t n_floats;
    const int64_t *ints;
    size_t n_ints;
    const struct wk_onnx_tensor *t;
    bool has_graph;
};

struct wk_onnx_node {
    const char *name, *op, *domain;
    const char **inputs, **outputs;
    uint32_t n_inputs, n_outputs, n_attrs;
    struct wk_onnx_attr *attrs;
};

struct wk_onnx_value {
    const char *name;
    int dtype;
    uint32_t rank;
    bool has_shape;
    int64_t dims[WK_ONNX_MAX_RANK]; /* -1: symbolic or unknown */
};

struct wk_onnx {
    int64_t ir_version, opset;
    const char *producer;
    struct wk_onnx_node *nodes;
    struct wk_onnx_tensor *tensors; /* initializers */
    struct wk_onnx_value *inputs, *outputs;
    uint32_t n_nodes, n_tensors, n_inputs, n_outputs;
};

/** AC_EINVAL says what is wrong and at which byte; AC_ENOMEM when the arena is too small. */
int wk_onnx_parse(const void *bytes, size_t len, struct ac_arena *arena, struct wk_onnx *ret_m,
                  struct ac_err *err) AC_MUST_USE;
int wk_onnx_parse_tensor(const void *bytes, size_t len, struct ac_arena *arena,
                         struct wk_onnx_tensor *ret_t, struct ac_err *err) AC_MUST_USE;

const struct wk_onnx_attr *wk_onnx_attr(const struct wk_onnx_node *n, const char *name);
int64_t wk_onnx_attr_int(const struct wk_onnx_node *n, const char *name, int64_t fallback);
float wk_onnx_attr_float(const struct wk_onnx_node *n, const char *name, float fallback);
