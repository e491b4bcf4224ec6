/* The threshold of an atom from labelled training data: smoothed counts in the logarithm of the
 * atom, so that the choice does not hang on single events; few events hardly move it away from
 * where it usually is. */
#pragma once

#include "score.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THRESHOLD_NEGATIVES 600
#define THRESHOLD_FEW       4 /* events; fewer are few */

struct threshold_data {
    const struct score_segment *events;
    size_t n_events;
    const uint8_t *labels;
    size_t n, delay;
    double usual; /* where thresholds of such an atom lie on other series; 0: not known */
    /* The events stand for so many at least: few labels are few of those that happen. */
    double stand;
    size_t quiet; /* the rule speaks up once, and again after so many points without it; 0: at every
                     point */
};

struct threshold {
    double theta, f; /* f: smoothed F1 on the training part, there */
};

/** col in a direction: sign 1 or -1, absolute with both = true. False when nothing can be chosen.
 */
bool threshold_fit(const struct threshold_data *d, const double *col, double sign, bool both,
                   struct threshold *ret);

/** The same for an atom that is joined by OR to flags that exist: hit tells the events already hit,
 * base_fp their false alarms. Its own negatives are thinned to local maxima within +-quiet points,
 * since it fires on rising edges only. */
bool threshold_fit_or(const struct threshold_data *d, const double *col, double sign, bool both,
                      const uint8_t *base_flags, const bool *hit, size_t base_fp, size_t quiet,
                      struct threshold *ret);
