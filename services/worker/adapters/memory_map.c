/* Device memory of the cpu executor: address space that is backed by pages only while in use. */
#include "worker_service.h"

#include <sys/mman.h>

static void *reserve(void *self, size_t bytes)
{
    (void)self;
    void *p = mmap(NULL, bytes ? bytes : 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool commit(void *self, void *p, size_t bytes)
{
    (void)self;
    return bytes == 0 || mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0;
}

static void release(void *self, void *p, size_t bytes)
{
    (void)self;
    if (bytes == 0)
        return;
    (void)madvise(p, bytes, MADV_DONTNEED);
    (void)mprotect(p, bytes, PROT_NONE);
}

static void drop(void *self, void *p, size_t bytes)
{
    (void)self;
    if (p)
        (void)munmap(p, bytes ? bytes : 1);
}

const struct wk_memory wk_memory_map = {
    .reserve = reserve, .commit = commit, .release = release, .drop = drop};
