/* aceso rca discover. */
#pragma once

#include "verbs.h"

#include "discover/rca_matrix.h"

struct ac_rca_knowledge;

struct rca_discover_args { /* as given; NULL: not */
    const char *method, *data, *alpha, *max_given, *lag, *test, *knowledge, *threads;
};
int rca_discover_verb(const struct rca_discover_args *a, const struct cli_ctx *ctx);
/** Reads a matrix; a file that cannot be read is AC_EINVAL. */
int rca_load_matrix(const char *path, struct ac_rca_matrix *ret, struct ac_err *err) AC_MUST_USE;
/** require, forbid, root, leaf over variables (YAML); k has room for them. AC_EINVAL names file and
 * place. */
int rca_knowledge_read(const char *path, const struct ac_rca_matrix *m, struct ac_rca_knowledge *k,
                       struct ac_err *err) AC_MUST_USE;
