#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <execinfo.h>

#include <aceso/base.h>

bool (*ac_try_gate)(size_t n);

_Noreturn void ac_assert_fail(const char *cond, const char *file, int line, const char *func)
{
    (void)fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, func, cond);
    (void)fflush(stderr);
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, (int)AC_ARRAY_LEN(frames)), 2);
    abort();
}

static _Noreturn void out_of_memory(size_t n)
{
    (void)fprintf(stderr, "out of memory: %zu bytes asked for\n", n);
    abort();
}

void *ac_xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void *ac_xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        out_of_memory(ac_mul_size(n, size));
    return p;
}

void *ac_xrealloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q)
        out_of_memory(n);
    return q;
}

char *ac_xstrdup(const char *s)
{
    return s ? ac_xstrndup(s, strlen(s)) : NULL;
}

char *ac_xstrndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = ac_xmalloc(len + 1);
    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *ac_xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    int n = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory(strlen(fmt));
    return s;
}

void *ac_try_malloc(size_t n)
{
    return ac_try_gate && !ac_try_gate(n) ? NULL : malloc(n ? n : 1);
}

void *ac_try_calloc(size_t n, size_t size)
{
    if (ac_try_gate && !ac_try_gate(ac_mul_size(n, size)))
        return NULL;
    return calloc(n ? n : 1, size ? size : 1);
}

void *ac_try_realloc(void *p, size_t n)
{
    return ac_try_gate && !ac_try_gate(n) ? NULL : realloc(p, n ? n : 1);
}

size_t ac_mul_size(size_t a, size_t b)
{
    size_t r;
    return __builtin_mul_overflow(a, b, &r) ? SIZE_MAX : r;
}

void ac_grow(void *p_ptr, size_t *cap, size_t need, size_t elem)
{
    if (need <= *cap)
        return;
    size_t n = *cap < 8 ? 8 : *cap > SIZE_MAX / 2 ? SIZE_MAX : *cap * 2;
    if (n < need)
        n = need;
    void *p;
    memcpy(&p, p_ptr, sizeof(p)); /* the caller's pointer has a type of its own */
    p = ac_xrealloc(p, ac_mul_size(n, elem));
    memcpy(p_ptr, &p, sizeof(p));
    *cap = n;
}
