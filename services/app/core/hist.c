#include "hist.h"

#include <math.h>
#include <string.h>

void app_hist_reset(struct app_hist *h)
{
    memset(h, 0, sizeof(*h));
}

/* Cells of [2^k, 2^(k+1)) microseconds are equally wide. */
static unsigned cell_of(int64_t ns)
{
    uint64_t us = ns < 1000 ? 1 : (uint64_t)ns / 1000;
    unsigned octave = 63u - (unsigned)__builtin_clzll(us);
    if (octave >= APP_HIST_OCTAVES)
        return APP_HIST_CELLS - 1;
    /* In nanoseconds, so that the first octaves are divided too. */
    uint64_t base = 1000ull << octave, x = ns < 1000 ? 1000 : (uint64_t)ns;
    uint64_t sub = (x - base) * APP_HIST_SUB / base;
    return octave * APP_HIST_SUB + (unsigned)(sub < APP_HIST_SUB ? sub : APP_HIST_SUB - 1);
}

void app_hist_add(struct app_hist *h, int64_t ns)
{
    int64_t v = ns > 0 ? ns : 0;
    h->count++;
    h->sum_ns += (double)v;
    h->max_ns = v > h->max_ns ? v : h->max_ns;
    h->cells[cell_of(v)]++;
}

void app_hist_merge(struct app_hist *dst, const struct app_hist *src)
{
    dst->count += src->count;
    dst->sum_ns += src->sum_ns;
    dst->max_ns = src->max_ns > dst->max_ns ? src->max_ns : dst->max_ns;
    for (unsigned i = 0; i < APP_HIST_CELLS; i++)
        dst->cells[i] += src->cells[i];
}

double app_hist_mean_ns(const struct app_hist *h)
{
    return h->count ? h->sum_ns / (double)h->count : 0;
}

double app_hist_quantile_ns(const struct app_hist *h, double q)
{
    if (h->count == 0)
        return 0;
    double rank = ceil(q * (double)h->count);
    uint64_t want = rank < 1 ? 1 : rank > (double)h->count ? h->count : (uint64_t)rank, seen = 0;
    for (unsigned i = 0; i < APP_HIST_CELLS; i++) {
        seen += h->cells[i];
        if (seen >= want) {
            double base = ldexp(1000, (int)(i / APP_HIST_SUB));
            double mid = base * (1 + ((double)(i % APP_HIST_SUB) + 0.5) / APP_HIST_SUB);
            return mid < (double)h->max_ns ? mid : (double)h->max_ns;
        }
    }
    return (double)h->max_ns;
}
