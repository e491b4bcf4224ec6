/* Quantiles of a stream of non-negative numbers that may drift: a histogram with eight buckets an
 * octave (9 % apart) whose counts are halved every SKETCH_WINDOW samples, so old ones fade.
 * Constant memory, O(1) to add, O(buckets) to ask. */
#pragma once

#include <stdint.h>

#define SKETCH_BUCKETS 512
#define SKETCH_WINDOW  4096

struct sketch {
    uint32_t count[SKETCH_BUCKETS];
    uint32_t total, since_halving;
};

void serving_sketch_add(struct sketch *k, int64_t v); /* negative counts as 0 */
/** Upper edge of the bucket that holds the quantile; 0 when empty. */
int64_t serving_sketch_quantile(const struct sketch *k, double q);
