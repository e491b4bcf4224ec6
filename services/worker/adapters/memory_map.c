/* A range that is reserved keeps its address and has pages only between commit and release. Pages
 * move between ranges and the stock by their page tables alone (mremap): having the system clear
 * new ones takes several times as long as the copy of weights into them. */
#include "memory_map.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/log.h>

#define STOCK_MAX 16384 /* pages in stock; each may be a mapping of its own, which are limited */

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

struct memory_map {
    struct wk_memory base;
    pthread_mutex_t mu;
    char *stock;
    uint32_t *full, *empty;   /* places of the stock with and without a page; under mu */
    uint32_t n_full, n_empty; /* in these lists */
    uint32_t n_places;        /* of the stock */
    atomic_bool warned;
};

static size_t whole(const struct memory_map *m, size_t bytes)
{
    size_t page = m->base.page;
    return AC_MAX((bytes + page - 1) / page, (size_t)1) * page;
}

static void *reserve_whole(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void *reserve(void *self, size_t bytes)
{
    return reserve_whole(whole(self, bytes));
}

/* New pages, there and locked. */
static bool populate(struct memory_map *m, char *p, size_t bytes)
{
    if (mprotect(p, bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    if (mlock(p, bytes) == 0)
        return true;
    if (!atomic_exchange(&m->warned, true))
        AC_LOGW("memory", "not_locked", AC_KS("error", strerror(errno)),
                AC_KS("remedy", "raise RLIMIT_MEMLOCK (ulimit -l) above --memory: until then the "
                                "system may take pages of weights away, and executions then wait"));
    if (madvise(p, bytes, MADV_POPULATE_WRITE) == 0)
        return true;
    if (errno != EINVAL) /* else: a kernel before 5.14 */
        return false;
    for (size_t i = 0; i < bytes; i += 4096)
        ((volatile char *)p)[i] = 0;
    return true;
}

/* The pages at `from` are at `to` afterwards; `from` stays mapped, without any. */
static bool move_page(const struct memory_map *m, char *from, char *to)
{
    size_t n = m->base.page;
    return mremap(from, n, n, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) != MAP_FAILED;
}

static bool take(struct memory_map *m, uint32_t *list, uint32_t *n, uint32_t *ret_at)
{
    pthread_mutex_lock(&m->mu);
    bool any = *n > 0;
    if (any)
        *ret_at = list[--*n];
    pthread_mutex_unlock(&m->mu);
    return any;
}

static void put(struct memory_map *m, uint32_t *list, uint32_t *n, uint32_t at)
{
    pthread_mutex_lock(&m->mu);
    list[(*n)++] = at;
    pthread_mutex_unlock(&m->mu);
}

/* A move that fails may have unmapped its target already: a hole, which the next mmap of anyone
 * might get. True when the range is reserved (again, or still). */
static bool keep_reserved(struct memory_map *m, char *p)
{
    void *at = mmap(p, m->base.page, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == p || (at == MAP_FAILED && errno == EEXIST))
        return true;
    AC_LOGE("memory", "address_lost", AC_KS("error", strerror(errno)),
            AC_KS("remedy", "raise vm.max_map_count or RLIMIT_AS; --page makes fewer mappings"));
    if (at != MAP_FAILED) /* a kernel before 4.17 takes the address for a hint */
        (void)munmap(at, m->base.page);
    return false;
}

static bool from_stock(struct memory_map *m, char *to)
{
    uint32_t at = 0;
    if (!take(m, m->full, &m->n_full, &at))
        return false;
    bool ok = move_page(m, m->stock + (size_t)at * m->base.page, to);
    if (!ok)
        (void)keep_reserved(m, to); /* else the caller's mprotect says that it is not there */
    if (ok)
        put(m, m->empty, &m->n_empty, at);
    else
        put(m, m->full, &m->n_full, at);
    return ok;
}

static bool to_stock(struct memory_map *m, char *from)
{
    uint32_t at = 0;
    if (!take(m, m->empty, &m->n_empty, &at))
        return false;
    bool ok = move_page(m, from, m->stock + (size_t)at * m->base.page);
    if (ok)
        put(m, m->full, &m->n_full, at);
    else if (keep_reserved(m, m->stock + (size_t)at * m->base.page))
        put(m, m->empty, &m->n_empty, at);
    return ok;
}

static void give_back(char *p, size_t bytes)
{
    (void)munlock(p, bytes);
    (void)madvise(p, bytes, MADV_DONTNEED);
    (void)mprotect(p, bytes, PROT_NONE);
}

static void release(void *self, void *range, size_t bytes)
{
    struct memory_map *m = self;
    char *p = range;
    bytes = whole(m, bytes);
    for (size_t i = 0; i < bytes; i += m->base.page)
        if (!to_stock(m, p + i))
            give_back(p + i, m->base.page);
    (void)mprotect(p, bytes, PROT_NONE);
}

static bool commit(void *self, void *range, size_t bytes)
{
    struct memory_map *m = self;
    char *p = range;
    bytes = whole(m, bytes);
    size_t i = 0;
    while (i < bytes && from_stock(m, p + i))
        i += m->base.page;
    if (i == bytes || populate(m, p + i, bytes - i))
        return true;
    give_back(p + i, bytes - i);
    if (i)
        release(m, p, i);
    return false;
}

static bool extend(void *self, void *p, size_t bytes)
{
    bytes = whole(self, bytes);
    if (populate(self, p, bytes))
        return true;
    give_back(p, bytes);
    return false;
}

static void drop(void *self, void *p, size_t bytes)
{
    if (p)
        (void)munmap(p, whole(self, bytes));
}

int wk_memory_map_create(uint64_t bytes, uint64_t page_bytes, bool all, struct wk_memory **ret_m,
                         struct ac_err *err)
{
    struct memory_map *m = ac_xcalloc(1, sizeof(*m));
    uint64_t least = (uint64_t)sysconf(_SC_PAGESIZE), page = AC_MAX(page_bytes, least);
    page = AC_MAX(page, bytes / STOCK_MAX);
    page = (page + least - 1) / least * least;
    uint32_t n = (uint32_t)AC_MIN((bytes + page - 1) / page, (uint64_t)STOCK_MAX);
    AC_ASSERT(pthread_mutex_init(&m->mu, NULL) == 0);
    m->base = (struct wk_memory){.self = m,
                                 .page = (size_t)page,
                                 .reserve = reserve,
                                 .commit = commit,
                                 .extend = extend,
                                 .release = release,
                                 .drop = drop};
    m->full = ac_xcalloc(n, sizeof(*m->full));
    m->empty = ac_xcalloc(n, sizeof(*m->empty));
    m->stock = reserve_whole((size_t)page * n);
    int rc = 0;
    if (!m->stock)
        rc = ac_err_set(err, AC_ENOMEM, "no address space for %" PRIu64 " bytes of weights", bytes);
    else if (all && !populate(m, m->stock, (size_t)page * n))
        rc = ac_err_set(err, AC_ENOMEM, "no memory for %" PRIu64 " bytes of weights", bytes);
    if (rc) {
        if (m->stock)
            (void)munmap(m->stock, (size_t)page * n);
        m->stock = NULL;
        wk_memory_map_destroy(&m->base);
        return rc;
    }
    uint32_t *list = all ? m->full : m->empty;
    for (uint32_t i = 0; i < n; i++)
        list[i] = n - 1 - i;
    m->n_places = n;
    m->n_full = all ? n : 0;
    m->n_empty = all ? 0 : n;
    *ret_m = &m->base;
    return 0;
}

void wk_memory_map_destroy(struct wk_memory *base)
{
    if (!base)
        return;
    struct memory_map *m = AC_CONTAINER_OF(base, struct memory_map, base);
    if (m->stock)
        (void)munmap(m->stock, m->base.page * m->n_places);
    (void)pthread_mutex_destroy(&m->mu);
    free(m->full);
    free(m->empty);
    free(m);
}
