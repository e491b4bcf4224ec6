/* Distributions of durations over many orders of magnitude, and their picture: the share within, by
 * nines, so that tails can be seen. */
#pragma once

#include <stdint.h>

#include <aceso/err.h>

#define CLI_CDF_STEPS   64 /* of a factor of two: values are up to 1.1 % too high */
#define CLI_CDF_BUCKETS (28 * CLI_CDF_STEPS) /* from 1 us to 4.5 minutes */

struct cli_cdf {
    const char *name;
    uint64_t all; /* what never came included */
    uint64_t counts[CLI_CDF_BUCKETS];
};

/** ns negative: it never came. */
void cli_cdf_add(struct cli_cdf *c, int64_t ns);
/** Up to eight lines; empty ones are left out. */
int cli_cdf_plot(const struct cli_cdf *all, int n, const char *title, const char *path,
                 struct ac_err *err) AC_MUST_USE;
