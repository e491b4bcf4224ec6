/* Private to the loader of specs: reading a document tree with checked access. All functions set
 * the error once and return NULL, false or -1 afterwards. */
#pragma once

#include "spec.h"

struct app_load {
    struct ac_arena *a;
    const char *file;
    struct ac_err *err;
    int code;
    struct app_spec *spec;
    /* while a route's steps are read */
    const struct app_service *service;
    const char *vars[APP_MAX_VARS];
    size_t n_vars;
    size_t n_steps;
};

bool app_load_fail(struct app_load *l, int line, int column, const char *fmt, ...) AC_PRINTF(4, 5);
void *app_load_alloc(struct app_load *l, size_t n, size_t size);
/** NULL when absent. */
const struct app_node *app_load_get(const struct app_node *map, const char *key);
bool app_load_is(struct app_load *l, const struct app_node *n, enum app_node_kind k,
                 const char *what);
/** Every key must be in the NULL-ended list; otherwise "unknown key ..., did you mean ...". */
bool app_load_keys(struct app_load *l, const struct app_node *map, const char *const *allowed,
                   const char *what);
/** Text of a scalar; def (may be NULL) when absent. */
const char *app_load_str(struct app_load *l, const struct app_node *map, const char *key,
                         const char *def);
bool app_load_bool(struct app_load *l, const struct app_node *map, const char *key, bool def);
int64_t app_load_int(struct app_load *l, const struct app_node *map, const char *key, int64_t def,
                     int64_t min, int64_t max);
int64_t app_load_duration(struct app_load *l, const struct app_node *map, const char *key,
                          int64_t def);
/** Compiles and checks the names; NULL when n is NULL or on an error. only: the sole name allowed
 * (stores), NULL = the route's variables. */
const struct app_tmpl *app_load_tmpl(struct app_load *l, const struct app_node *n,
                                     const char *only);
/** Steps of a route or a nested block. */
bool app_load_block(struct app_load *l, const struct app_node *n, int depth, struct app_block *ret);
/** The spec's "load". */
bool app_load_generator(struct app_load *l, const struct app_node *n, struct app_load_spec *ret);
