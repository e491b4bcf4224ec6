/* oneDNN's kernels beside the executor's own loops: every batch of every model gives the same, on
 * memory that is there only while it is committed, and broken files do no harm. */
#include "worker_service.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/rng.h>

#include "adapters/memory_map.h"
#include "adapters/onednn.h"

#define OPS  "services/worker/tests/data/operators/"
#define DATA "../shared/data/serving/"
#define SEED 11

static const char *const models[] = {"services/controller/models/hotel_recommend/1/model.onnx",
                                     OPS "conv_fused/model.onnx",
                                     OPS "conv_residual/model.onnx",
                                     OPS "conv_line/model.onnx",
                                     OPS "conv_tiles/model.onnx",
                                     OPS "pools/model.onnx",
                                     OPS "moves/model.onnx",
                                     OPS "tied/model.onnx",
                                     DATA "mlperf-tiny/autoencoder_ad01/model.onnx",
                                     DATA "mlperf-tiny/mobilenetv1_025_vww96/model.onnx",
                                     DATA "mlperf-tiny/resnet8_cifar10/model.onnx",
                                     DATA "mlperf-tiny/tcn_streaming_wakeword/model.onnx",
                                     DATA "onnx-small-models/mnist_8/model.onnx"};

struct both {
    struct wk_memory *memory;
    struct wk_kernels *lib, counted;
    struct wk_executor *x[2]; /* with the library, and our own */
};

/* Calls of the library: a model that fell back to our own loops would agree with them for nothing.
 */
static bool (*library_run)(struct wk_kernel *k);
static uint64_t n_runs;

static bool counted_run(struct wk_kernel *k)
{
    n_runs++;
    return library_run(k);
}

static int setup(void **state)
{
    struct both *b = ac_xcalloc(1, sizeof(*b));
    struct ac_err err = AC_ERR_INIT;
    if (wk_onednn_create(&b->lib, &err) != 0)
        fail_msg("%s", err.msg);
    if (wk_memory_map_create(64u << 20, 1u << 20, false, &b->memory, &err) != 0)
        fail_msg("%s", err.msg);
    b->counted = *b->lib;
    library_run = b->lib->run;
    b->counted.run = counted_run;
    b->x[0] = wk_cpu_create(b->memory, &b->counted, &ac_clock_real);
    b->x[1] = wk_cpu_create(&wk_memory_heap, NULL, &ac_clock_real);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct both *b = *state;
    for (int i = 0; i < 2; i++)
        b->x[i]->ops->destroy(b->x[i]);
    wk_onednn_destroy(b->lib);
    wk_memory_map_destroy(b->memory);
    free(b);
    return 0;
}

static char *read_model(const char *path, size_t *ret_len)
{
    struct ac_err err = AC_ERR_INIT;
    char *bytes = NULL;
    if (ac_file_read(path, 1u << 28, &bytes, ret_len, &err) != 0)
        fail_msg("%s", err.msg);
    return bytes;
}

/* Values of about one, in the type that the input has. */
static void *draw(struct ac_rng *rng, const struct wk_io_info *io, uint32_t rows)
{
    size_t n = io->row_bytes * rows / 4;
    float *v = ac_xcalloc(n, 4);
    for (size_t i = 0; i < n && io->dtype == WK_F32; i++)
        v[i] = (float)ac_rng_normal(rng);
    return v;
}

/* Largest difference, relative to the largest value where that is more than one. */
static double difference(const float *a, const float *b, size_t n)
{
    double worst = 0, scale = 1;
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(a[i]) && isfinite(b[i]));
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        scale = fmax(scale, fabs((double)b[i]));
    }
    return worst / scale;
}

static void compare(const struct both *x, struct wk_model *const m[2], uint32_t batch,
                    struct ac_rng *rng)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_phases ph;
    const struct wk_model_info *info = &m[0]->info;
    uint32_t rows = info->batched ? wk_batch_size[batch] : 1;
    void *in[WK_MAX_IO], *out[2][WK_MAX_IO];
    const void *given[WK_MAX_IO];
    for (uint32_t i = 0; i < info->n_inputs; i++)
        given[i] = in[i] = draw(rng, &info->inputs[i], rows);
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < info->n_outputs; i++)
            out[k][i] = ac_xcalloc(rows, info->outputs[i].row_bytes);
        struct wk_item item = {.rows = rows, .inputs = given, .outputs = out[k]};
        assert_int_equal(x->x[k]->ops->infer(x->x[k], m[k], batch, &item, 1, &ph, &err), 0);
    }
    for (uint32_t i = 0; i < info->n_outputs; i++) {
        assert_true(difference(out[0][i], out[1][i], rows * info->outputs[i].row_bytes / 4) <=
                    1e-5);
        free(out[0][i]);
        free(out[1][i]);
    }
    for (uint32_t i = 0; i < info->n_inputs; i++)
        free(in[i]);
}

static void test_gives_what_our_loops_give(void **state)
{
    const struct both *x = *state;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rng rng;
    ac_rng_seed(&rng, SEED);
    for (size_t i = 0; i < AC_ARRAY_LEN(models); i++) {
        if (!ac_path_exists(models[i]))
            continue;
        print_message("%s (seed %d)\n", models[i], SEED);
        struct wk_source src = {.name = "m"};
        char *bytes = read_model(models[i], &src.len);
        src.bytes = bytes;
        struct wk_model *m[2] = {NULL};
        for (int k = 0; k < 2; k++)
            if (x->x[k]->ops->prepare(x->x[k], &src, &m[k], &err) != 0)
                fail_msg("%s", err.msg);
        free(bytes);
        assert_string_equal(m[0]->info.without_library, "");
        assert_memory_equal(m[0]->info.compiled, m[1]->info.compiled, sizeof(m[0]->info.compiled));
        for (int round = 0; round < 2; round++) { /* weights leave the device and come back */
            for (int k = 0; k < 2; k++)
                assert_int_equal(x->x[k]->ops->load(x->x[k], m[k], &err), 0);
            for (uint32_t b = 0; b < WK_BATCHES; b++)
                if (m[0]->info.compiled[b]) {
                    uint64_t before = n_runs;
                    compare(x, m, b, &rng);
                    assert_true(n_runs > before);
                }
            for (int k = 0; k < 2; k++)
                x->x[k]->ops->unload(x->x[k], m[k]);
        }
        for (int k = 0; k < 2; k++)
            x->x[k]->ops->forget(x->x[k], m[k]);
    }
}

/* Two convolutions and two products have the same weights, 9,216 and 16,384 bytes. */
static void test_weights_in_common_are_there_once(void **state)
{
    const struct both *x = *state;
    struct ac_err err = AC_ERR_INIT;
    struct wk_source src = {.name = "m"};
    char *bytes = read_model("services/worker/tests/data/operators/tied/model.onnx", &src.len);
    src.bytes = bytes;
    for (int k = 0; k < 2; k++) {
        struct wk_model *m = NULL;
        assert_int_equal(x->x[k]->ops->prepare(x->x[k], &src, &m, &err), 0);
        assert_in_range(m->info.weights_bytes, 25600, 25600 + 2048);
        x->x[k]->ops->forget(x->x[k], m);
    }
    free(bytes);
}

/* One execution in the largest batch that it was made for, of inputs about one. */
static void run_once(struct wk_executor *x, struct wk_model *m, struct ac_rng *rng)
{
    struct ac_err err = AC_ERR_INIT;
    const struct wk_model_info *info = &m->info;
    uint32_t batch = info->compiled[1] ? 1 : 0, rows = info->batched ? wk_batch_size[batch] : 1;
    struct wk_phases ph;
    void *in[WK_MAX_IO], *out[WK_MAX_IO];
    const void *given[WK_MAX_IO];
    for (uint32_t i = 0; i < info->n_inputs; i++)
        given[i] = in[i] = draw(rng, &info->inputs[i], rows);
    for (uint32_t i = 0; i < info->n_outputs; i++)
        out[i] = ac_xcalloc(rows, info->outputs[i].row_bytes);
    struct wk_item item = {.rows = rows, .inputs = given, .outputs = out};
    assert_int_equal(x->ops->load(x, m, &err), 0);
    assert_int_equal(x->ops->infer(x, m, batch, &item, 1, &ph, &err), 0);
    x->ops->unload(x, m);
    for (uint32_t i = 0; i < info->n_inputs; i++)
        free(in[i]);
    for (uint32_t i = 0; i < info->n_outputs; i++)
        free(out[i]);
}

/* Bytes changed anywhere: what is still a model runs, and stays inside its memory (the sanitizers
 * watch). */
static void test_broken_files(void **state)
{
    const struct both *x = *state;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rng rng;
    ac_rng_seed(&rng, SEED);
    for (size_t i = 1; i < 7; i++) {
        uint32_t ran = 0;
        struct wk_source src = {.name = "m", .max_batch = 2};
        char *bytes = read_model(models[i], &src.len);
        char *broken = ac_xcalloc(1, src.len);
        src.bytes = broken;
        for (int trial = 0; trial < 150; trial++) {
            memcpy(broken, bytes, src.len);
            for (uint64_t n = 1 + ac_rng_below(&rng, 3); n-- > 0;)
                broken[ac_rng_below(&rng, src.len)] = (char)ac_rng_below(&rng, 256);
            struct wk_model *m = NULL;
            if (x->x[0]->ops->prepare(x->x[0], &src, &m, &err) != 0)
                continue;
            ran++;
            run_once(x->x[0], m, &rng);
            x->x[0]->ops->forget(x->x[0], m);
        }
        print_message("%s: %u of 150 are still models (seed %d)\n", models[i], ran, SEED);
        assert_true(ran > 0);
        free(broken);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gives_what_our_loops_give, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weights_in_common_are_there_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
