/* Templates: a document tree whose scalars may hold ${expression}. A scalar that is one expression
 * keeps the value's kind; text around it makes a string. Plain scalars follow YAML's core schema.
 */
#pragma once

#include "expr.h"
#include "node.h"

struct app_tmpl;

/** On AC_EINVAL *ret_line and *ret_column say where. */
int app_tmpl_compile(struct ac_arena *a, const struct app_node *n, const struct app_tmpl **ret,
                     int *ret_line, int *ret_column, struct ac_err *err) AC_MUST_USE;
int app_tmpl_eval(const struct app_tmpl *t, const struct app_scope *s, struct ac_arena *a,
                  const struct app_value **ret, struct ac_err *err) AC_MUST_USE;
/** As app_expr_names, over all expressions inside; line and column of each. */
bool app_tmpl_names(const struct app_tmpl *t,
                    bool (*fn)(const char *name, int line, int column, void *arg), void *arg);
/** The value when the template holds no expression, else NULL. */
const struct app_value *app_tmpl_constant(const struct app_tmpl *t);
