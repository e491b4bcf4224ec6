/* Bytes as an Action of the controller: unpacked, checked against a model, made a job. What is
 * accepted is read and written as the executor would. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

#include "adapters/convert_pb.h"

static const struct wk_model_info model = {
    .n_inputs = 2,
    .n_outputs = 1,
    .batched = true,
    .inputs = {{.name = "a", .dtype = WK_F32, .rank = 2, .dims = {-1, 2}, .row_bytes = 8},
               {.name = "b", .dtype = WK_I8, .rank = 1, .dims = {-1}, .row_bytes = 1}},
    .outputs = {{.name = "x", .dtype = WK_F32, .rank = 1, .dims = {-1}, .row_bytes = 4}},
};

static uint8_t use(const struct wk_job *job)
{
    uint8_t s = 0;
    uint32_t rows = 0;
    for (uint32_t i = 0; i < job->n_items; i++) {
        const struct wk_item *it = &job->items[i];
        rows += it->rows;
        for (uint32_t k = 0; k < model.n_inputs; k++)
            for (size_t b = 0; b < it->rows * model.inputs[k].row_bytes; b++)
                s = (uint8_t)(s + ((const uint8_t *)it->inputs[k])[b]);
        for (uint32_t k = 0; k < model.n_outputs; k++)
            memset(it->outputs[k], s, it->rows * model.outputs[k].row_bytes);
    }
    AC_ASSERT(job->action.batch < WK_BATCHES && rows <= wk_batch_size[job->action.batch]);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint8_t sink;
    struct ac_arena *a = ac_arena_create(4u << 20);
    Aceso__V1__Action *act = NULL;
    int status = 0;
    if (AC_PB_UNPACK(aceso__v1__action, data, size, a, &act, NULL) == 0) {
        struct wk_job *job = wk_job_from_pb(act, &model, &status, NULL);
        AC_ASSERT(job || status != 0);
        if (job)
            sink = use(job);
        free(job);
    }
    (void)sink;
    ac_arena_destroy(a);
    return 0;
}
