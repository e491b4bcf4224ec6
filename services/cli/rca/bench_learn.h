/* aceso rca bench --dataset causal-learn. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>

struct rca_learn {
    size_t cases, equal, without_data;
    double seconds;
};
/** What is not equal is told on stderr, with how much differs. */
int rca_bench_learn(const char *dir, struct rca_learn *ret, struct ac_err *err) AC_MUST_USE;
