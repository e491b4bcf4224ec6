/* The score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015, corpus and program of version
 * 1.1). Pure.
 *
 * A detection in a window earns the value of a sigmoid of its place, 1 at the first point and near
 * 0 at the last; of several in one window the best counts. One outside costs up to the weight of
 * false alarms, less close behind a window's end. A window without a detection costs the weight of
 * misses. The first 15 % of a series (at most 750 points) are not scored. One threshold serves all
 * series of a profile; the benchmark takes the one that scores best on the same labels. The sum is
 * scaled so that a detector that never fires has 0 and a perfect one 100. */
#pragma once

#include "score.h"

#include <stddef.h>

struct nab_profile {
    const char *name;
    double tp, fp, fn;
};
#define NAB_PROFILES 3
extern const struct nab_profile nab_profiles[NAB_PROFILES]; /* standard, low FP, low FN */

struct nab_series {
    const double *score; /* a point without one (NaN) is never flagged */
    size_t n;
    const struct score_segment *windows; /* in order */
    size_t n_windows;
};

struct nab_score {
    double threshold;  /* INFINITY: nothing is flagged */
    double raw, score; /* score: 0 for nothing, 100 for perfect */
    size_t windows, hit, false_points;
};

/** Points at the beginning that are not scored. */
size_t nab_probation(size_t n);
/** At a threshold: points whose score is at least that are flagged. */
void nab_score_at(const struct nab_series *s, size_t n, const struct nab_profile *p,
                  double threshold, struct nab_score *ret);
/** At the threshold that scores best. */
void nab_score_best(const struct nab_series *s, size_t n, const struct nab_profile *p,
                    struct nab_score *ret);
