#include "sketch.h"

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

void serving_sketch_add(struct sketch *k, int64_t v)
{
    k->count[bucket_of(v < 0 ? 0 : (uint64_t)v)]++;
    k->total++;
    if (++k->since_halving < SKETCH_WINDOW)
        return;
    k->since_halving = 0;
    k->total = 0;
    for (uint32_t i = 0; i < SKETCH_BUCKETS; i++) {
        k->count[i] /= 2;
        k->total += k->count[i];
    }
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
