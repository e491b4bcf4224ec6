/* Histograms: the interval between two cumulative states, and quantiles within buckets. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/map.h>

#define COL_MAX_BOUNDS 255

struct col_hist {
    const uint64_t *counts; /* n_bounds + 1; NULL = buckets were not sent */
    const double *bounds;   /* ascending */
    size_t n_bounds;
    uint64_t count;
    double sum, min, max; /* NaN = not sent */
    int64_t start_ns, time_ns;
};

/** Bounds ascend, one count more than bounds, counts add up to count. */
bool col_hist_valid(const struct col_hist *h, size_t n_counts);

/** The q-quantile by linear interpolation within its bucket; the open ends use min and max where
 * known, else their one bound. NaN without counts. */
double col_hist_quantile(const struct col_hist *h, double q);

/* Remembers the last two cumulative states by series, so that a point sent again gives the same
 * interval again. */
struct col_hists;
struct col_hists *col_hists_create(size_t max_series);
void col_hists_destroy(struct col_hists *s);
/** *ret = what was counted since the state before; its arrays live until the next call. After a
 * restart of the sender the whole state is new. false when h is older than the last two, when it is
 * the first one seen of a sender that has run for long, or when there is no room for one more. */
bool col_hists_interval(struct col_hists *s, const char *series, const struct col_hist *h,
                        struct col_hist *ret);
/** Forgets those whose last state is older. */
void col_hists_trim(struct col_hists *s, int64_t older_ns);
