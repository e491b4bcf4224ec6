/* The expression language of specs: small, total, without side effects.
 *
 *   a ? b : c   ??   ||  &&   == !=   < <= > >=   + -   * / %   ! -   x.name  x[i]  f(...)
 *   numbers, 'text' or "text", true false null, [list], {key: value}
 *
 * map, filter, sort, index and reduce bind a name: map(hotels, h, h.id). A field of null or a
 * missing field is null; every other misuse is an error that names its place. An evaluation ends
 * after APP_EXPR_MAX_STEPS at the latest, and all it makes is in the caller's arena. */
#pragma once

#include "value.h"

#include <aceso/err.h>

#define APP_EXPR_MAX_STEPS 1000000u
#define APP_EXPR_MAX_DEPTH 64
#define APP_EXPR_MAX_TEXT  8192

struct app_expr; /* lives in the arena it was parsed into */

/** On AC_EINVAL *ret_offset is the byte of text that err speaks of. */
int app_expr_parse(struct ac_arena *a, const char *text, size_t len, struct app_expr **ret,
                   size_t *ret_offset, struct ac_err *err) AC_MUST_USE;

/** The variables an expression sees; NULL = unknown name (an error). */
struct app_scope {
    const struct app_value *(*lookup)(const struct app_scope *s, const char *name);
    void *arg;
};

/** AC_EINVAL on a misuse, AC_EAGAIN when the steps or the arena are used up. */
int app_expr_eval(const struct app_expr *e, const struct app_scope *s, struct ac_arena *a,
                  const struct app_value **ret, struct ac_err *err) AC_MUST_USE;

/** Calls fn with every free name (one that no map or reduce binds); stops when fn returns false and
 * returns that. */
bool app_expr_names(const struct app_expr *e, bool (*fn)(const char *name, void *arg), void *arg);

/** YYYY-MM-DD, a day that exists. */
bool app_is_date(const char *s);
