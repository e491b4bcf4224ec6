/* Hash map from strings (copied) to pointers (not owned unless a free function is given).
 * Iteration in order of insertion; removal keeps the order. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ac_map;

struct ac_map *ac_map_create(void (*free_value)(void *)); /* free_value may be NULL */
void ac_map_destroy(struct ac_map *m);                    /* NULL is fine */
size_t ac_map_len(const struct ac_map *m);
void *ac_map_get(const struct ac_map *m, const char *key); /* NULL when absent */
/** Sets; frees a value that it replaces. value must not be NULL. */
void ac_map_set(struct ac_map *m, const char *key, void *value);
/** Removes and returns without freeing; NULL when absent. */
void *ac_map_take(struct ac_map *m, const char *key);
bool ac_map_remove(struct ac_map *m, const char *key);
void ac_map_clear(struct ac_map *m);
/** for (size_t it = 0; ac_map_next(m, &it, &key, &value);). Removing the current entry is allowed.
 */
bool ac_map_next(const struct ac_map *m, size_t *it, const char **ret_key, void **ret_value);
