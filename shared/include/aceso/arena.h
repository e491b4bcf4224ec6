/* A bump allocator with a hard cap: one per request, one reset. Not thread-safe.
 * Overflow is sticky: once an allocation failed all later ones fail, and ac_arena_failed says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <aceso/err.h>

struct ac_arena;

struct ac_arena *ac_arena_create(size_t cap_bytes);
void ac_arena_destroy(struct ac_arena *a); /* NULL is fine */
void ac_arena_reset(struct ac_arena *a);   /* frees everything, clears the failure */
bool ac_arena_failed(const struct ac_arena *a);
size_t ac_arena_used(const struct ac_arena *a);

/** 16-byte aligned; NULL once the cap is passed. */
void *ac_arena_alloc(struct ac_arena *a, size_t n);
void *ac_arena_calloc(struct ac_arena *a, size_t n, size_t size);
char *ac_arena_strdup(struct ac_arena *a, const char *s);
char *ac_arena_strndup(struct ac_arena *a, const char *s, size_t n);
char *ac_arena_printf(struct ac_arena *a, const char *fmt, ...) AC_PRINTF(2, 3);
void *ac_arena_memdup(struct ac_arena *a, const void *p, size_t n);
