/* Seeded randomness (xoshiro256**, seeded by splitmix64): same seed, same sequence on every
 * machine. Pass it in; there is no global generator. Not for secrets: those come from
 * ac_random_bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ac_rng {
    uint64_t s[4];
};

void ac_rng_seed(struct ac_rng *r, uint64_t seed);
uint64_t ac_rng_u64(struct ac_rng *r);
/** Uniform in [0, n); n > 0; unbiased. */
uint64_t ac_rng_below(struct ac_rng *r, uint64_t n);
double ac_rng_uniform(struct ac_rng *r);             /* [0, 1), 53 bits */
double ac_rng_normal(struct ac_rng *r);              /* mean 0, deviation 1 */
double ac_rng_exponential(struct ac_rng *r);         /* mean 1 */
double ac_rng_gamma(struct ac_rng *r, double shape); /* scale 1, shape > 0 */
void ac_rng_shuffle(struct ac_rng *r, void *base, size_t n, size_t elem);
/** A generator for an independent stream, e.g. one per component. r is not advanced: the same state
 * and stream give the same generator. */
struct ac_rng ac_rng_split(const struct ac_rng *r, uint64_t stream);

/** From the kernel; aborts when the kernel gives none. */
void ac_random_bytes(void *p, size_t n);
uint64_t ac_random_seed(void);
