/* Bytes as a ModelInferRequest: unpacked, taken apart, checked against a model. What is accepted is
 * read as a batch would read it. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

#include "adapters/convert_pb.h"

static const struct wk_model_info model = {
    .n_inputs = 3,
    .n_outputs = 2,
    .batched = true,
    .inputs = {{.name = "a", .dtype = WK_F32, .rank = 2, .dims = {-1, 2}, .row_bytes = 8},
               {.name = "b", .dtype = WK_I8, .rank = 1, .dims = {-1}, .row_bytes = 1},
               {.name = "c", .dtype = WK_BOOL, .rank = 2, .dims = {-1, 1}, .row_bytes = 1}},
    .outputs = {{.name = "x", .dtype = WK_F32, .rank = 1, .dims = {-1}, .row_bytes = 4},
                {.name = "y", .dtype = WK_F32, .rank = 1, .dims = {-1}, .row_bytes = 4}},
};

static uint8_t sum(const struct ctl_infer *in)
{
    uint8_t s = 0;
    AC_ASSERT(in->rows >= 1 && in->rows <= 16 && in->n_outputs <= model.n_outputs);
    for (uint32_t i = 0; i < model.n_inputs; i++)
        for (size_t k = 0; k < in->rows * model.inputs[i].row_bytes; k++)
            s = (uint8_t)(s + ((const uint8_t *)in->inputs[i])[k]);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint8_t sink;
    struct ac_arena *a = ac_arena_create(4u << 20);
    Inference__ModelInferRequest *req = NULL;
    struct ctl_infer_args args;
    struct ctl_infer in;
    struct ctl_params p;
    if (AC_PB_UNPACK(inference__model_infer_request, data, size, a, &req, NULL) == 0) {
        if (ctl_params_from_pb(req, &p, NULL) == 0)
            AC_ASSERT(p.timeout_us >= 0 && p.priority < POLICY_PRIORITIES && p.tenant);
        if (ctl_args_from_pb(req, a, &args, NULL) == 0 &&
            ctl_infer_check(&model, 16, &args, &in, NULL) == 0)
            sink = sum(&in);
    }
    (void)sink;
    ac_arena_destroy(a);
    return 0;
}
