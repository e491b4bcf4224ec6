/* What runs models on a device: one vtable that the cpu, simulated and GPU executors implement.
 * Calls of one engine come from one thread, one at a time; load and infer engines may run side by
 * side. Prepare may take long and allocate. Infer does neither lock nor allocate, nor wait for
 * pages of memory; load and unload ask for memory, which may hold a lock for a few instructions. */
#pragma once

#include "onnx.h"

#include <stdatomic.h>

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
    _Atomic int32_t there; /* parts of its weights on the device; WK_ALL_THERE, WK_NONE_COMES */
};

#define WK_ALL_THERE  INT32_MAX
#define WK_NONE_COMES (-1) /* they are not resident, and no load is under way */

/* One request inside a batch. */
struct wk_item {
    uint32_t rows;
    const void *const *inputs; /* per input of the model, rows * row_bytes each; any alignment */
    void *const *outputs;      /* per output, the same */
    const char *error; /* infer's: NULL, or why its data has no outputs; lives with the model */
};

struct wk_phases {
    int64_t input_ns, exec_ns, output_ns; /* durations */
    int64_t wait_ns;                      /* of exec_ns, for weights that were on their way */
};

struct wk_source {
    const char *name;  /* for a cost table and messages */
    const void *bytes; /* the ONNX file; only needed during prepare */
    size_t len;
    uint32_t max_batch; /* larger batches are not compiled; 0: all */
};

/* How a thread sleeps until a number may have changed. It must not spin: the load that it waits for
 * may have the same processor. Any thread. */
struct wk_gate {
    void *self;
    /** Returns when *at is not seen, or sooner. */
    void (*wait)(void *self, const _Atomic int32_t *at, int32_t seen);
    void (*wake)(void *self, const _Atomic int32_t *at);
};

struct wk_executor {
    const struct wk_executor_ops *ops;
    const struct wk_gate *gate; /* NULL: executions of a model begin when its load has ended */
};

struct wk_executor_ops {
    const char *name;
    void (*destroy)(struct wk_executor *x);
    int (*prepare)(struct wk_executor *x, const struct wk_source *src, struct wk_model **ret_m,
                   struct ac_err *err);
    /** The model must not be resident, nor loading. */
    void (*forget)(struct wk_executor *x, struct wk_model *m);
    /** With a gate executions may be under way that wait for the weights. Where it fails they must
     * be told (wk_weights_lost), and what had come by then stays readable until unload or the next
     * load, which come when they have ended. */
    int (*load)(struct wk_executor *x, struct wk_model *m, struct ac_err *err);
    void (*unload)(struct wk_executor *x, struct wk_model *m);
    /** AC_ESTATE: the weights are not there, and do not come. batch is an index into wk_batch_size;
     * the items' rows fit in it, the rest is padding. Bad data of one item is its own error, takes
     * no other time, and the other items have theirs. */
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

/* ---- weights on their way (arrival.c) ---- */

/** A load will begin: who executes the model from here on waits for it. */
void wk_weights_begin(struct wk_model *m);
/** So many parts are there and may be read, or WK_ALL_THERE. The loading thread. */
void wk_weights_come(const struct wk_executor *x, struct wk_model *m, int32_t parts);
/** The load failed, or the weights were taken away. */
void wk_weights_lost(const struct wk_executor *x, struct wk_model *m);
/** Waits until so many parts are there; false: they do not come. The executing thread. */
bool wk_weights_wait(const struct wk_executor *x, const struct wk_model *m, int32_t parts);
static inline bool wk_weights_there(const struct wk_model *m, int32_t parts)
{
    return atomic_load_explicit(&m->there, memory_order_acquire) >= parts;
}

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
