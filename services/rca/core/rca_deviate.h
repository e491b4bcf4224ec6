/* How far each measurement leaves its normal range in an incident. Pure. */
#pragma once

#include "rca_model.h"

#define AC_RCA_Z_MAX      1e4
#define AC_RCA_Z_DEVIATES 3.0 /* from here on we say that something deviates */

/* The three parts of every series: incident [t0, end), local [local_from, t0), and the reference:
 * all outside [guard, resume), the local part included. The guard lies a little before t0 where
 * samples are dense: the first seconds of an incident must not pass for normal. */
struct ac_rca_window {
    int64_t t0_ns, end_ns, local_from_ns, resume_ns, guard_ns;
};

struct ac_rca_deviation {
    bool ok; /* false: nothing can be said (no incident samples or no reference) */
    size_t n_ref, n_local, n_in;
    double median, scale, level;
    double peak, trough; /* sustained */
    double z, z_down;    /* >= 0 where positive: above, below normal; at most AC_RCA_Z_MAX */
    double mean_in;
    bool over;        /* rose, and is back to normal in the last third of the incident */
    int64_t onset_ns; /* when the change is clearest; t0 when unknown */
};

struct ac_rca_window ac_rca_window_make(int64_t t0_ns, int64_t incident_ns, int64_t local_ns,
                                        int64_t margin_ns);

/** Largest sustained value: the largest median of w neighbours, w = max(2, n / 6), window moved by
 * w / 4; n <= w: the median of all; 0 of nothing. scratch holds n values. */
double ac_rca_sustained_peak(const double *v, size_t n, double *scratch);

/** order: of m by value (rca_order.h), for callers that look at it more than once; NULL: not known.
 * The result is the same. Scratch of 3 * m->n doubles. */
void ac_rca_deviate(const struct ac_rca_metric *m, const struct ac_rca_window *w,
                    const uint32_t *order, double *scratch, struct ac_rca_deviation *ret);

/** The usual distance of a measurement's samples; 0: fewer than two. */
int64_t ac_rca_metric_step_ns(const struct ac_rca_metric *m);
/** The usual distance of samples over all measurements, 1 s when unknown. */
int64_t ac_rca_step_ns(const struct ac_rca_case *c);

struct ac_rca_params;
/** Moves a late or early stated time to where the measurements together change most: looks from
 * 120 s before to 60 s after, or, where samples are minutes apart, two of them back. Returns the
 * stated time when no other is clearly better. order: by measurement, or NULL. */
int64_t ac_rca_onset(const struct ac_rca_case *c, const struct ac_rca_params *p,
                     uint32_t *const *order);

/** When an incident most likely began, for recordings without a stated time: the step over the
 * whole recording, its first quarter taken as normal. The middle when there is none. */
int64_t ac_rca_find_time(const struct ac_rca_case *c);
