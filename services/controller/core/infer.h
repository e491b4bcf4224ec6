/* What an inference request carries, checked against what the model takes. Plain structs; views
 * into the caller's bytes, nothing is copied or allocated. */
#pragma once

#include "executor.h"
#include "policy.h"

struct ctl_tensor {
    const char *name, *datatype;
    const int64_t *shape;
    size_t rank;
    const void *data; /* row-major, little endian */
    size_t len;
};

struct ctl_infer_args {
    const char *model; /* for messages */
    const struct ctl_tensor *inputs;
    size_t n_inputs;
    const char *const *outputs; /* names asked for; none: all */
    size_t n_outputs;
};

struct ctl_infer {
    uint32_t rows;
    uint8_t tenant, priority;      /* set by who knows the tenants; priority as policy_request's */
    const void *inputs[WK_MAX_IO]; /* in the model's order, rows * row_bytes each */
    uint32_t n_outputs;
    uint8_t outputs[WK_MAX_IO]; /* in the order asked for: numbers of the model's outputs */
};

/** AC_EINVAL names the tensor, what it is and what the model takes. max_rows: of one request. */
int ctl_infer_check(const struct wk_model_info *info, uint32_t max_rows,
                    const struct ctl_infer_args *args, struct ctl_infer *ret_i,
                    struct ac_err *err) AC_MUST_USE;

/** Most rows of one request so that what a batch carries fits in a message; 0: not even one. */
uint32_t ctl_model_max_rows(const struct wk_model_info *info, uint32_t max_batch,
                            size_t message_bytes);
/** The compiled batch size that takes so many rows. */
uint32_t ctl_batch_for(uint32_t rows);
