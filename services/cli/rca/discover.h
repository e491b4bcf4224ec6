/* aceso rca discover. */
#pragma once

#include "verbs.h"

#include "discover/rca_matrix.h"

struct rca_discover_args { /* as given; NULL: not */
    const char *method, *data, *alpha, *max_given, *lag, *test, *knowledge;
};
int rca_discover_verb(const struct rca_discover_args *a, const struct cli_ctx *ctx);
/** Reads a matrix; a file that cannot be read is AC_EINVAL. */
int rca_load_matrix(const char *path, struct ac_rca_matrix *ret, struct ac_err *err) AC_MUST_USE;
