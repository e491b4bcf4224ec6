/* What a run answered, slice of time by slice: counts a class, and latencies of the first class, so
 * that work which has all day does not hide them. One owner. */
#pragma once

#include "workload.h"

#define TIMELINE_SLICES  120
#define TIMELINE_STEPS   16 /* of a factor of two in latency: quantiles are up to 1/16 too high */
#define TIMELINE_BUCKETS (24 * TIMELINE_STEPS) /* from 16 us to 4.6 minutes */

struct timeline_slice {
    uint32_t requests[WORKLOAD_CLASSES], on_time[WORKLOAD_CLASSES], answered;
    uint32_t latency[TIMELINE_BUCKETS];
};

struct timeline {
    int64_t slice_ns;
    uint32_t n_slices;
    struct timeline_slice slices[TIMELINE_SLICES];
};

/** Slices of at least 100 ms that cover a duration. */
void timeline_init(struct timeline *t, int64_t duration_ns);
/** A settled request, in the slice in which it came. latency_ns negative: it was not answered. */
void timeline_note(struct timeline *t, uint32_t class, int64_t came_ns, int64_t latency_ns,
                   bool on_time);
/** Of the first class's answered ones of a slice, in ms; NaN when there are none. */
double timeline_quantile_ms(const struct timeline *t, uint32_t slice, double q);
