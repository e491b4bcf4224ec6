#include "sketch.h"

#include <string.h>

/* Of 32 values one in a hundred of which lies above: six by chance once in a million. Of 32 half of
 * which lie below, 30 as rarely. */
#define DRIFT_ABOVE 6
#define DRIFT_BELOW 30

/* Values below 8 have a bucket each; above, the top three bits after the leading one pick it. */
static uint32_t bucket_of(uint64_t v)
{
    if (v < 8)
        return (uint32_t)v;
    uint32_t log = 63u - (uint32_t)__builtin_clzll(v);
    return 8u + (log - 3u) * 8u + (uint32_t)((v >> (log - 3u)) & 7u);
}

static int64_t bucket_top(uint32_t b)
{
    if (b < 8)
        return (int64_t)b;
    uint32_t log = (b - 8u) / 8u + 3u, sub = (b - 8u) % 8u;
    return (int64_t)(((8ull + sub + 1u) << (log - 3u)) - 1u);
}

static void shift(struct sketch *k, unsigned by)
{
    k->total = 0;
    for (uint32_t i = 0; i < SKETCH_BUCKETS; i++) {
        k->count[i] >>= by;
        k->total += k->count[i];
    }
}

void serving_sketch_add(struct sketch *k, int64_t v)
{
    k->count[bucket_of(v < 0 ? 0 : (uint64_t)v)]++;
    k->total++;
    if (++k->since_halving < SKETCH_WINDOW)
        return;
    k->since_halving = 0;
    shift(k, 1);
}

int64_t serving_sketch_quantile(const struct sketch *k, double q)
{
    if (k->total == 0)
        return 0;
    uint32_t want = (uint32_t)(q * (double)(k->total - 1)) + 1, seen = 0;
    for (uint32_t i = 0; i < SKETCH_BUCKETS; i++) {
        seen += k->count[i];
        if (seen >= want)
            return bucket_top(i);
    }
    return bucket_top(SKETCH_BUCKETS - 1);
}

double serving_sketch_share(const struct sketch *k, int64_t v)
{
    if (k->total == 0 || v < 0)
        return 0;
    uint32_t top = bucket_of((uint64_t)v), seen = 0;
    for (uint32_t i = 0; i <= top; i++)
        seen += k->count[i];
    return (double)seen / (double)k->total;
}

void serving_sketch_fade(struct sketch *k)
{
    shift(k, 4);
}

static const double spread_top[SPREAD_BUCKETS] = {
    0,      0.001,  0.0015, 0.00225, 0.0034, 0.0051, 0.0076, 0.0114, 0.0171, 0.0256,
    0.0384, 0.0577, 0.0865, 0.13,    0.195,  0.29,   0.44,   0.66,   0.98,   1.5};

void serving_spread_add(struct spread *k, double excess)
{
    uint32_t b = 0;
    while (b < SPREAD_BUCKETS - 1 && excess > spread_top[b])
        b++;
    k->count[b]++;
    if (++k->total < SPREAD_WINDOW)
        return;
    k->total = 0;
    for (b = 0; b < SPREAD_BUCKETS; b++) {
        k->count[b] /= 2;
        k->total = (uint16_t)(k->total + k->count[b]);
    }
}

double serving_spread_quantile(const struct spread *k, double q)
{
    if (k->total == 0)
        return 0;
    uint32_t want = (uint32_t)(q * (double)(k->total - 1)) + 1, seen = 0, b = 0;
    while (b < SPREAD_BUCKETS - 1 && (seen += k->count[b]) < want)
        b++;
    return spread_top[b];
}

bool serving_drift_add(struct drift *d, bool above, bool below)
{
    d->above = d->above << 1 | above;
    d->below = d->below << 1 | below;
    if (__builtin_popcount(d->above) < DRIFT_ABOVE && __builtin_popcount(d->below) < DRIFT_BELOW)
        return false;
    memset(d, 0, sizeof(*d));
    return true;
}
