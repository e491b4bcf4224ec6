/* Bytes as an ONNX file that is prepared and run, by our own loops, on inputs that are the file's
 * own bytes, from its end on: a field that ONNX does not know may hold them. One row alone, and two
 * rows of two requests together. What it reads and writes stays in its weights, its workspace and
 * the requests' memory. */
#include "executor.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define SPACE     ((size_t)1 << 28) /* what is reserved in one piece from here on is address space */
#define WORKSPACE ((size_t)1 << 22) /* larger models take too long to be tried often */
#define IO        ((size_t)1 << 20)

static void *reserve(void *self, size_t bytes)
{
    if (bytes < SPACE)
        return wk_memory_heap.reserve(self, bytes);
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool extend(void *self, void *p, size_t bytes)
{
    size_t *used = self;
    if (bytes > WORKSPACE - *used || mprotect(p, bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    *used += bytes;
    return true;
}

static void drop(void *self, void *p, size_t bytes)
{
    if (bytes < SPACE)
        wk_memory_heap.drop(self, p, bytes);
    else
        (void)munmap(p, bytes);
}

static void *filled(const struct wk_io_info *io, const uint8_t *data, size_t size, size_t *at)
{
    uint8_t *v = ac_xcalloc(1, AC_MAX(io->row_bytes, (size_t)1));
    for (size_t i = 0; i < io->row_bytes; i++)
        v[i] = data[size - 1 - (*at)++ % size];
    return v;
}

static void run(struct wk_executor *x, struct wk_model *m, const uint8_t *data, size_t size)
{
    const struct wk_model_info *info = &m->info;
    struct ac_err err = AC_ERR_INIT;
    struct wk_phases ph;
    struct wk_item items[2];
    void *in[2][WK_MAX_IO], *out[2][WK_MAX_IO];
    const void *given[2][WK_MAX_IO];
    size_t at = 0;
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < info->n_inputs; i++)
            given[k][i] = in[k][i] = filled(&info->inputs[i], data, size, &at);
        for (uint32_t i = 0; i < info->n_outputs; i++)
            out[k][i] = ac_xcalloc(1, AC_MAX(info->outputs[i].row_bytes, (size_t)1));
        items[k] = (struct wk_item){.rows = 1, .inputs = given[k], .outputs = out[k]};
    }
    AC_ASSERT(x->ops->load(x, m, &err) == 0);
    for (uint32_t b = 0; b < 2; b++) {
        if (!info->compiled[b])
            continue;
        AC_ASSERT(x->ops->infer(x, m, b, items, b + 1, &ph, &err) == 0);
        for (uint32_t k = 0; k <= b; k++)
            AC_ASSERT(!items[k].error || strncmp(items[k].error, "node ", 5) == 0);
    }
    x->ops->unload(x, m);
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < info->n_inputs; i++)
            free(in[k][i]);
        for (uint32_t i = 0; i < info->n_outputs; i++)
            free(out[k][i]);
    }
}

static bool is_small(const struct wk_model_info *info)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < info->n_inputs; i++)
        bytes += info->inputs[i].row_bytes;
    for (uint32_t i = 0; i < info->n_outputs; i++)
        bytes += info->outputs[i].row_bytes;
    return bytes <= IO;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t used = 0;
    const struct wk_memory memory = {.self = &used,
                                     .page = 4096,
                                     .reserve = reserve,
                                     .commit = wk_memory_heap.commit,
                                     .extend = extend,
                                     .release = wk_memory_heap.release,
                                     .drop = drop};
    struct wk_executor *x = wk_cpu_create(&memory, NULL, &ac_clock_real);
    struct wk_source src = {.name = "m", .bytes = data, .len = size, .max_batch = 2};
    struct wk_model *m = NULL;
    if (size && x->ops->prepare(x, &src, &m, NULL) == 0) {
        if (is_small(&m->info))
            run(x, m, data, size);
        x->ops->forget(x, m);
    }
    x->ops->destroy(x);
    return 0;
}
