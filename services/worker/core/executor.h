/* What runs models on a device: one vtable that the cpu, simulated and GPU executors implement.
 * Calls of one engine come from one thread, one at a time; load and infer engines may run side by
 * side. Prepare may take long and allocate. Infer does neither lock nor allocate, nor wait for
 * pages of memory; load and unload ask for memory, which may hold a lock for a few instructions. */
#pragma once

#include "onnx.h"

#include <aceso/clock.h>

#define WK_BATCHES   5
#define WK_MAX_BATCH 16
#define WK_MAX_IO    32
#define WK_NAME_MAX  128

extern const uint32_t wk_batch_size[WK_BATCHES]; /* 1, 2, 4, 8, 16 */

struct wk_io_info {
    char name[WK_NAME_MAX];
    int dtype;
    uint32_t rank;
    int64_t dims[WK_ONNX_MAX_RANK]; /* dims[0] is -1 when it is the batch */
    size_t row_bytes; /* of one item of the batch (all of it when the batch is fixed) */
};

struct wk_model_info {
    uint32_t n_inputs, n_outputs;
    struct wk_io_info inputs[WK_MAX_IO], outputs[WK_MAX_IO];
    bool batched;
    uint64_t weights_bytes, workspace_bytes; /* the second is shared by all models */
    bool compiled[WK_BATCHES];
    char without_library[160]; /* why the executor's own loops run it all; "": they need not */
};

/* A model that is prepared on a device; executors put theirs behind it. */
struct wk_model {
    struct wk_model_info info;
};

/* One request inside a batch. */
struct wk_item {
    uint32_t rows;
    const void *const *inputs; /* per input of the model, rows * row_bytes each; any alignment */
    void *const *outputs;      /* per output, the same */
    const char *error; /* infer's: NULL, or why its data has no outputs; lives with the model */
};

struct wk_phases {
    int64_t input_ns, exec_ns, output_ns; /* durations */
};

struct wk_source {
    const char *name;  /* for a cost table and messages */
    const void *bytes; /* the ONNX file; only needed during prepare */
    size_t len;
    uint32_t max_batch; /* larger batches are not compiled; 0: all */
};

struct wk_executor {
    const struct wk_executor_ops *ops;
};

struct wk_executor_ops {
    const char *name;
    void (*destroy)(struct wk_executor *x);
    int (*prepare)(struct wk_executor *x, const struct wk_source *src, struct wk_model **ret_m,
                   struct ac_err *err);
    /** The model must not be resident. */
    void (*forget)(struct wk_executor *x, struct wk_model *m);
    int (*load)(struct wk_executor *x, struct wk_model *m, struct ac_err *err);
    void (*unload)(struct wk_executor *x, struct wk_model *m);
    /** batch is an index into wk_batch_size; the items' rows fit in it, the rest is padding. Bad
     * data of one item is its own error, takes no other time, and the other items have theirs. */
    int (*infer)(struct wk_executor *x, struct wk_model *m, uint32_t batch, struct wk_item *items,
                 uint32_t n_items, struct wk_phases *ret_ph, struct ac_err *err);
};

/** Memory of the device, in pages: what is reserved, and what of it is committed at a time, counts
 * as rounded up to them. A range keeps its address; its pages are there, touched and locked where
 * the system lets us, only between commit and release. */
struct wk_memory {
    void *self;
    size_t page;
    void *(*reserve)(void *self, size_t bytes);
    bool (*commit)(void *self, void *p, size_t bytes);
    /** The same, but takes none of the pages that are kept for commits: for what stays. */
    bool (*extend)(void *self, void *p, size_t bytes);
    void (*release)(void *self, void *p, size_t bytes);
    void (*drop)(void *self, void *p, size_t bytes); /* ends the reservation */
};
extern const struct wk_memory wk_memory_heap; /* malloc; for tests and tools */

struct wk_graph;
/** Names, types and shapes of a model's inputs and outputs; g is built for a batch of 1. */
int wk_model_describe(const struct wk_graph *g, struct wk_model_info *ret_i,
                      struct ac_err *err) AC_MUST_USE;

struct wk_kernels;
/** lib: kernels of a library (kernels.h), which outlive the executor; NULL: our own. */
struct wk_executor *wk_cpu_create(const struct wk_memory *mem, const struct wk_kernels *lib,
                                  const struct ac_clock *clock);

/** Costs of a simulated device. sleep_until waits on the caller's clock. */
struct wk_sim_config {
    const struct ac_clock *clock;
    void *sleep_self;
    void (*sleep_until)(void *self, int64_t ns);
    int64_t base_ns, per_row_ns; /* of an execution */
    double load_bytes_per_s;
};
struct wk_executor *wk_sim_create(const struct wk_sim_config *cfg);
