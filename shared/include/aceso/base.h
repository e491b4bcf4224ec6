/* Checks, cleanup, memory and small conveniences that every file may use. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <aceso/err.h>

/** A bug in our own code: prints place, condition and backtrace, aborts. Never for peer input. */
#define AC_ASSERT(cond) ((cond) ? (void)0 : ac_assert_fail(#cond, __FILE__, __LINE__, __func__))
_Noreturn void ac_assert_fail(const char *cond, const char *file, int line, const char *func);

#define AC_ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
#define AC_CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define AC_MIN(a, b)                     ((a) < (b) ? (a) : (b))
#define AC_MAX(a, b)                     ((a) > (b) ? (a) : (b))

/* Typed objects that pass through void *: struct ac_x { uint32_t magic; ... }. */
#define AC_CHECK_OBJ(p, m) AC_ASSERT((p) != NULL && (p)->magic == (m))

/* Function-scoped resources: ac_cleanup(ac_free_p) char *s = ...; */
#define ac_cleanup(fn) __attribute__((cleanup(fn)))
/* NOLINTBEGIN(bugprone-macro-parentheses): a type takes none */
#define AC_DEFINE_CLEANUP(type, fn)                                                                \
    static inline void fn##_p(type *p)                                                             \
    {                                                                                              \
        if (*p)                                                                                    \
            fn(*p);                                                                                \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
static inline void ac_free_p(void *p)
{
    free(*(void **)p);
}

/* Small fixed allocations: abort on out of memory. For sizes that a peer controls use malloc with a
 * limit and return AC_ENOMEM. The test kit's fault heap can fail ac_try_*. */
void *ac_xmalloc(size_t n);
void *ac_xcalloc(size_t n, size_t size);
void *ac_xrealloc(void *p, size_t n);
char *ac_xstrdup(const char *s); /* NULL gives NULL */
char *ac_xstrndup(const char *s, size_t n);
char *ac_xasprintf(const char *fmt, ...) AC_PRINTF(1, 2);
void *ac_try_malloc(size_t n);
void *ac_try_calloc(size_t n, size_t size);
void *ac_try_realloc(void *p, size_t n);
/* Asked before each ac_try_*: false makes it fail. NULL (always, outside tests) grants all. */
extern bool (*ac_try_gate)(size_t n);

/** a * b, or SIZE_MAX when it does not fit (which no allocation grants). */
size_t ac_mul_size(size_t a, size_t b);

/** Grows *p (elements of elem bytes) so that need elements fit; doubles. Aborts on OOM. */
void ac_grow(void *p_ptr, size_t *cap, size_t need, size_t elem);
