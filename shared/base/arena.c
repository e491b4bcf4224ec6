#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <aceso/arena.h>
#include <aceso/base.h>

#define ARENA_ALIGN     16
#define ARENA_CHUNK_MIN 1024
#define ARENA_CHUNK_MAX ((size_t)256 * 1024)

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

struct ac_arena {
    struct chunk *head; /* where allocation goes on; the oldest chunk is last */
    size_t cap, used, next_size;
    bool failed;
};

struct ac_arena *ac_arena_create(size_t cap_bytes)
{
    struct ac_arena *a = ac_xcalloc(1, sizeof(*a));
    a->cap = cap_bytes;
    a->next_size = ARENA_CHUNK_MIN;
    return a;
}

static void free_chunks(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

void ac_arena_destroy(struct ac_arena *a)
{
    if (!a)
        return;
    free_chunks(a->head);
    free(a);
}

void ac_arena_reset(struct ac_arena *a)
{
    /* The newest chunk stays: a request loop then settles without touching malloc. */
    if (a->head) {
        free_chunks(a->head->next);
        a->head->next = NULL;
        a->head->used = 0;
        if (a->head->size > ARENA_CHUNK_MAX) {
            free(a->head);
            a->head = NULL;
        }
    }
    a->used = 0;
    a->failed = false;
}

bool ac_arena_failed(const struct ac_arena *a)
{
    return a->failed;
}

size_t ac_arena_used(const struct ac_arena *a)
{
    return a->used;
}

static struct chunk *add_chunk(struct ac_arena *a, size_t n)
{
    size_t size = AC_MAX(n, AC_MIN(a->next_size, a->cap - a->used));
    struct chunk *c = ac_try_malloc(sizeof(*c) + size);
    if (!c)
        return NULL;
    c->size = size;
    c->used = 0;
    if (a->head && size - n < a->head->size - a->head->used) {
        /* A large piece of its own: small ones go on filling the present chunk. */
        c->next = a->head->next;
        a->head->next = c;
    } else {
        c->next = a->head;
        a->head = c;
    }
    if (a->next_size < ARENA_CHUNK_MAX)
        a->next_size *= 2;
    return c;
}

void *ac_arena_alloc(struct ac_arena *a, size_t n)
{
    if (a->failed)
        return NULL;
    size_t need = n ? (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : ARENA_ALIGN;
    if (need < n || need > a->cap - a->used) {
        a->failed = true;
        return NULL;
    }
    struct chunk *c = a->head;
    if (!c || c->size - c->used < need)
        c = add_chunk(a, need);
    if (!c) {
        a->failed = true;
        return NULL;
    }
    void *p = c->data + c->used;
    c->used += need;
    a->used += need;
    return p;
}

void *ac_arena_calloc(struct ac_arena *a, size_t n, size_t size)
{
    size_t bytes = ac_mul_size(n, size);
    void *p = ac_arena_alloc(a, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

char *ac_arena_strdup(struct ac_arena *a, const char *s)
{
    return s ? ac_arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *ac_arena_strndup(struct ac_arena *a, const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *p = ac_arena_alloc(a, len + 1);
    if (!p)
        return NULL;
    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *ac_arena_printf(struct ac_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : ac_arena_alloc(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void *ac_arena_memdup(struct ac_arena *a, const void *p, size_t n)
{
    void *q = ac_arena_alloc(a, n);
    return q && n ? memcpy(q, p, n) : q;
}
