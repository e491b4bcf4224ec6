/* aceso rca bench --dataset bnlearn. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>

struct rca_bnlearn {      /* sums over the networks */
    size_t max_variables; /* larger ones are left out; given */
    size_t cases;
    double f1, shd, seconds;
};
/** out: folder for the samples, so that others can run on the same; NULL: none. */
int rca_bench_bnlearn(const char *dir, const char *out, struct rca_bnlearn *ret,
                      struct ac_err *err) AC_MUST_USE;
