/* The cpu executor's insides: plans that cpu_plan.c makes and cpu.c walks. */
#pragma once

#include "executor.h"
#include "graph.h"
#include "kernels.h"

#include <aceso/base.h>

#define CPU_ALIGN         64
#define CPU_PART          (256ul * 1024) /* of the blob, as executions wait for it: 20 us of a copy */
#define CPU_TILE          (128ul * 1024) /* floats of an image laid out for the matrix product */
#define CPU_WORKSPACE_MAX ((size_t)1 << 30)
#define CPU_WEIGHTS_MAX   ((size_t)4 << 30) /* of a model, with its constants */
#define CPU_STEPS_MAX     ((size_t)1 << 17) /* of a plan */
#define CPU_PACKED_MAX    8 /* times their own size that a library may make of weights */

/* Where an operand lies: in the weights or in the workspace. */
struct place {
    bool weight;
    size_t offset;
};

struct step {
    enum wk_op op;
    enum wk_binary binary;
    struct wk_activation act;
    int dtype, in_dtype; /* of the result, of a */
    struct place a, b, c, out;
    size_t m, k,
        n; /* DENSE: rows, inner, columns; AFFINE: outer, channels, inner; else elems in n */
    size_t weights, bias; /* offsets in the blob */
    uint32_t rank;        /* BINARY, WHERE, MATMUL: strides of a, b and c over the result; 0 where
                           * broadcast */
    size_t dims[WK_ONNX_MAX_RANK], sa[WK_ONNX_MAX_RANK], sb[WK_ONNX_MAX_RANK], sc[WK_ONNX_MAX_RANK];
    /* CONV, POOL: m images of k channels in, n channels out; scratch: offset in the workspace. */
    struct wk_geometry geometry;
    struct wk_window window;
    size_t groups, taps, scratch, tile; /* taps: size of one output channel's kernel */
    /* PAD, SLICE, CONCAT, TRANSPOSE: moves of dims elements, from strides sa (negative ones wrap)
     * to strides sb; all n elements of the result become fill before the first move of a PAD. */
    float fill;
    size_t from, to;          /* bytes at which it starts */
    struct wk_kernel *kernel; /* NULL: by our own loops */
    char *trouble;            /* what is said when it fails at run time; NULL: it cannot */
    /* GATHER, GATHER_EACH: b's type; index i is row i / row_run % rows of the batch's, or of all
     * rows where rows is 0. */
    int index_dtype;
    size_t row_run, rows;
    bool dynamic;            /* CONV, DECONV: the weights are b */
    bool turned, transposed; /* MATMUL: a is k x m, b is n x k */
    bool log;                /* SOFTMAX */
    /* REDUCE: rank dimensions that stay, then m that go, k elements of these; strides sa. */
    enum wk_reduce reduce;
    bool last_one;
    int32_t parts; /* that must have been copied before it */
};

struct plan {
    struct step *steps;
    uint32_t n_steps;
    size_t inputs[WK_MAX_IO], outputs[WK_MAX_IO]; /* offsets in the workspace */
    bool ok;
};

struct cpu_model {
    struct wk_model base;
    const struct wk_kernels *lib;
    char *blob, *device; /* host copy and resident copy of the weights */
    size_t blob_bytes;
    uint32_t *parts; /* of the blob, in the order that they are first used in and copied */
    uint32_t n_parts;
    struct plan plans[WK_BATCHES];
};

struct cpu {
    struct wk_executor base;
    struct wk_memory mem;
    const struct wk_kernels *lib; /* or NULL */
    struct ac_clock clock;
    char *workspace;
    size_t workspace_bytes;
};

struct blob {
    char *data;
    size_t len, cap;
    size_t *starts; /* of what was added, in order */
    size_t n_starts, cap_starts;
};

struct layout { /* offsets of weights, per node, shared by all batches, and of constants */
    size_t *weights, *bias;
    uint32_t *twin;   /* per node: the first one with the same weights, or itself */
    size_t *constant; /* per value, of the batch at hand */
    struct blob blob;
    const struct wk_kernels *lib;
    struct wk_kernel **kernels; /* per node, of the first batch */
    bool refused;               /* the library cannot do a node, or not for a batch */
};

/** Room for bytes, aligned, at the end; what it was moves. */
size_t cpu_blob_add(struct blob *b, size_t bytes);
size_t cpu_pack_floats(struct blob *b, const float *v, size_t n);
/** Fills twin. */
void cpu_find_twins(const struct wk_graph *g, struct layout *l);
/** Weights of our own loops' nodes. */
void cpu_pack(const struct wk_graph *g, struct layout *l);
/** Constants that a step reads. Those that are the same in first, the graph of the first batch, lie
 * in the blob once. False: one depends on the batch, and not by having a like row for each item. */
bool cpu_pack_constants(const struct wk_graph *g, const struct wk_graph *first,
                        const size_t *first_at, struct layout *l);
/** Weights as the node's kernel likes them, bytes long. AC_ENOTSUP: too large. */
int cpu_pack_kernel(struct layout *l, const struct wk_node *x, uint32_t node, size_t bytes,
                    struct ac_err *err) AC_MUST_USE;
/** Whether CPU_WEIGHTS_MAX has room for what packing would add; first: only for what another batch
 * adds to it, or NULL. */
bool cpu_weights_fit(const struct wk_graph *g, const struct wk_graph *first,
                     const struct layout *l);
/** Plans share weights by the numbers of their nodes: a batch must change nothing of these. */
bool cpu_same_weights(const struct wk_graph *a, const struct wk_graph *b);
/** Places and steps for the graph. */
int cpu_make_plan(const struct wk_graph *g, struct layout *l, struct ac_arena *arena,
                  struct plan *plan, size_t *workspace, struct ac_err *err) AC_MUST_USE;

/** Parses, simplifies, packs the weights and lays out a plan for each batch. ret_workspace: bytes
 * that the largest plan needs. m is zeroed; on error cpu_model_free it. */
int cpu_compile(const struct wk_source *src, const struct wk_kernels *lib, struct cpu_model *m,
                size_t *ret_workspace, struct ac_err *err) AC_MUST_USE;
/** Whether a library can take the node over. */
bool cpu_kernel_fits(const struct wk_node *x, const struct wk_shape *in);
/** Which values are images with their channels last: those between kernels, and between steps
 * that do not see the layout. last: all false; group: scratch, a number a value. */
void cpu_channels_last(const struct wk_graph *g, const struct wk_shape *shapes, uint32_t *group,
                       bool *last);
/** When all plans are made: the order of the blob's parts, and which each step needs. */
void cpu_order_parts(struct cpu_model *m, const struct blob *b);
/** Gives the kernels of all plans their places. */
int cpu_bind(struct cpu_model *m, char *workspace, struct ac_err *err) AC_MUST_USE;
bool cpu_kernel_run(const struct cpu_model *m, const struct step *s, float *out);
/** A step of our own loops; weights and workspace are what its places are offsets in. Returns the
 * rows of the batch, a bit each, that ask for an element which is not there (they have another). */
uint32_t cpu_step_run(const struct step *s, const char *weights, char *workspace);
/** Frees its steps, and their kernels, which are lib's. */
void cpu_plan_free(struct plan *plan, const struct wk_kernels *lib);
void cpu_activate(const struct wk_activation *act, float *v, size_t n);
void cpu_softmax(const struct step *s, const float *in, float *out);
void cpu_reduce(const struct step *s, const void *in, void *out);
void cpu_unary(const struct step *s, const void *in, void *out);
void cpu_binary(const struct step *s, const void *a, const void *b, void *out);
void cpu_cast(const struct step *s, const void *in, void *out);
void cpu_where(const struct step *s, const void *cond, const void *a, const void *b, void *out);
/** Return what cpu_step_run does. */
uint32_t cpu_gather(const struct step *s, const void *in, const void *index, void *out);
uint32_t cpu_gather_each(const struct step *s, const void *in, const void *index, void *out);
void cpu_mix(const struct step *s, const float *in, const int32_t *from, const float *weights,
             float *out);
void cpu_matmul(const struct step *s, const float *a, const float *b, float *out);
void cpu_deconv(const struct step *s, const float *in, const float *w, const float *bias,
                float *scratch, float *out);
/** The next place of n dimensions, as an offset by their strides; false after the last. */
bool cpu_next(const size_t *dims, const size_t *strides, size_t n, size_t *at, size_t *offset);
void cpu_conv(const struct step *s, const float *in, const float *w, const float *bias,
              float *scratch, float *out);
void cpu_pool(const struct step *s, const float *in, float *out);
void cpu_move(const struct step *s, const void *in, void *out);
void cpu_model_clear(struct cpu_model *m); /* leaves what is zeroed */
void cpu_model_free(struct cpu_model *m);
