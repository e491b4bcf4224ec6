#include "timeline.h"

#include <math.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define SLICE_MIN (100 * AC_NS_PER_MS)
#define LEAST_EXP 15 /* of two: frexp's of the first bucket, 16 to 33 us */

void timeline_init(struct timeline *t, int64_t duration_ns)
{
    *t = (struct timeline){.slice_ns = SLICE_MIN};
    if (duration_ns > TIMELINE_SLICES * SLICE_MIN)
        t->slice_ns = (duration_ns + TIMELINE_SLICES - 1) / TIMELINE_SLICES;
    t->n_slices = (uint32_t)AC_MAX((duration_ns + t->slice_ns - 1) / t->slice_ns, 1);
}

static uint32_t bucket_of(int64_t latency_ns)
{
    int e;
    double m = frexp((double)AC_MAX(latency_ns, 1), &e); /* 0.5 to 1 */
    int at = (e - LEAST_EXP) * TIMELINE_STEPS + (int)((m - 0.5) * 2 * TIMELINE_STEPS);
    return (uint32_t)AC_MIN(AC_MAX(at, 0), TIMELINE_BUCKETS - 1);
}

static double bucket_end_ms(uint32_t bucket)
{
    double m = 0.5 + (double)(bucket % TIMELINE_STEPS + 1) / (2 * TIMELINE_STEPS);
    return ldexp(m, LEAST_EXP + (int)(bucket / TIMELINE_STEPS)) * 1e-6;
}

void timeline_note(struct timeline *t, uint32_t class, int64_t came_ns, int64_t latency_ns,
                   bool on_time)
{
    int64_t at = came_ns / t->slice_ns;
    struct timeline_slice *s = &t->slices[AC_MIN(at, (int64_t)t->n_slices - 1)];
    s->requests[class]++;
    s->on_time[class] += on_time;
    if (latency_ns < 0 || class > 0)
        return;
    s->answered++;
    s->latency[bucket_of(latency_ns)]++;
}

double timeline_quantile_ms(const struct timeline *t, uint32_t slice, double q)
{
    const struct timeline_slice *s = &t->slices[slice];
    uint32_t want = (uint32_t)ceil(q * s->answered), seen = 0, i = 0;
    if (s->answered == 0)
        return NAN;
    for (; i < TIMELINE_BUCKETS - 1 && (seen += s->latency[i]) < AC_MAX(want, 1u); i++)
        ;
    return bucket_end_ms(i);
}
