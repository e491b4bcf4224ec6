/* Quantiles of a stream of non-negative numbers that may drift: a histogram with eight buckets an
 * octave (9 % apart) whose counts are halved every SKETCH_WINDOW samples, so old ones fade.
 * Constant memory, O(1) to add, O(buckets) to ask. */
#pragma once

#include <stdbool.h>
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
/** Share of the values up to v (to its bucket's edge); 0 when empty. */
double serving_sketch_share(const struct sketch *k, int64_t v);
/** Leaves a sixteenth of what was seen: the values have changed. */
void serving_sketch_fade(struct sketch *k);

/* By what share values exceed what was expected, in little memory, so that each model and batch
 * size can have one: SPREAD_BUCKETS steps from .1 % to 150 %, half as much again each. */
#define SPREAD_BUCKETS 20
#define SPREAD_WINDOW  1024

struct spread {
    uint16_t count[SPREAD_BUCKETS];
    uint16_t total;
};

void serving_spread_add(struct spread *k, double excess);
double serving_spread_quantile(const struct spread *k, double q);

/* Which of the last 32 values lay above a high quantile and which below the median. */
struct drift {
    uint32_t above, below;
};

/** Notes one; true when there are more of them than chance allows, and then starts anew. */
bool serving_drift_add(struct drift *d, bool above, bool below);
