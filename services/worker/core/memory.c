/* Device memory from the heap: for tests and tools, where residency is not the point. */
#include "executor.h"

#include <stdlib.h>

static void *reserve(void *self, size_t bytes)
{
    (void)self;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static bool commit(void *self, void *p, size_t bytes)
{
    (void)self;
    (void)p;
    (void)bytes;
    return true;
}

static void release(void *self, void *p, size_t bytes)
{
    (void)self;
    (void)p;
    (void)bytes;
}

static void drop(void *self, void *p, size_t bytes)
{
    (void)self;
    (void)bytes;
    free(p);
}

const struct wk_memory wk_memory_heap = {.page = 64,
                                         .reserve = reserve,
                                         .commit = commit,
                                         .extend = commit,
                                         .release = release,
                                         .drop = drop};
