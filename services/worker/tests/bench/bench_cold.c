/* What the first answer of a model that is not loaded takes, from the begin of its load: with the
 * execution after the load, and beside it; in turn, medians. Load and execution have a thread each,
 * as in the worker. Usage: bench_cold MODEL.onnx... */
#include "worker_service.h"

#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>

#include "adapters/gate.h"
#include "adapters/memory_map.h"
#include "adapters/onednn.h"

#define MEMORY ((uint64_t)2 << 30)
#define PAGE   ((uint64_t)1 << 20)
#define ROUNDS 31

static void fail(const struct ac_err *err)
{
    fprintf(stderr, "bench_cold: %s\n", err->msg);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void row(struct wk_executor *x, const char *path)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_source src = {.name = path, .max_batch = 1};
    struct wk_model *m = NULL;
    struct wk_cost c = {0};
    void *in[WK_MAX_IO], *out[WK_MAX_IO];
    const void *inputs[WK_MAX_IO];
    int64_t took[2][ROUNDS];
    ac_cleanup(ac_free_p) char *bytes = NULL;
    if (ac_file_read(path, WK_MODEL_BYTES, &bytes, &src.len, &err) != 0)
        fail(&err);
    src.bytes = bytes;
    if (x->ops->prepare(x, &src, &m, &err) != 0 || wk_profile(x, m, &c, &err) != 0)
        fail(&err);
    for (uint32_t i = 0; i < m->info.n_inputs; i++)
        inputs[i] = in[i] = ac_xcalloc(1, AC_MAX(m->info.inputs[i].row_bytes, 1u));
    for (uint32_t i = 0; i < m->info.n_outputs; i++)
        out[i] = ac_xcalloc(1, AC_MAX(m->info.outputs[i].row_bytes, 1u));
    struct wk_item item = {.rows = 1, .inputs = inputs, .outputs = out};
    for (int i = 0; i < 2 * ROUNDS; i++)
        if (wk_first_answer(x, m, 0, &item, i % 2 == 1, &took[i % 2][i / 2], &err) != 0)
            fail(&err);
    double p50[2], load = (double)c.load_ns * 1e-6, exec = (double)c.exec_ns[0] * 1e-6;
    for (int k = 0; k < 2; k++) {
        qsort(took[k], ROUNDS, sizeof(took[k][0]), by_value);
        p50[k] = (double)took[k][ROUNDS / 2] * 1e-6;
    }
    printf("| %s | %.2f | %.3f | %.3f | %.3f | %.3f | %.3f |\n", path,
           (double)m->info.weights_bytes * 1e-6, load, exec, p50[0], p50[1], p50[1] / p50[0]);
    (void)fflush(stdout);
    for (uint32_t i = 0; i < m->info.n_inputs; i++)
        free(in[i]);
    for (uint32_t i = 0; i < m->info.n_outputs; i++)
        free(out[i]);
    x->ops->forget(x, m);
}

int main(int argc, char **argv)
{
    struct ac_err err = AC_ERR_INIT;
    struct wk_kernels *kernels = NULL;
    struct wk_memory *memory = NULL;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_cold MODEL.onnx...\n");
        return 2;
    }
    if (wk_onednn_create(&kernels, &err) != 0 ||
        wk_memory_map_create(MEMORY, PAGE, false, &memory, &err) != 0)
        fail(&err);
    struct wk_executor *x = wk_cpu_create(memory, kernels, &ac_clock_real);
    x->gate = &wk_gate_futex;
    printf("| model | weights, MB | load, ms | execution, warm | first answer, apart | together | "
           "ratio |\n|---|---|---|---|---|---|---|\n");
    for (int i = 1; i < argc; i++)
        row(x, argv[i]);
    x->ops->destroy(x);
    wk_memory_map_destroy(memory);
    wk_onednn_destroy(kernels);
    return 0;
}
