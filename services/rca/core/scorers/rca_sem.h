/* A linear structural model on a frame: each column from its causes, fitted on the normal rows, and
 * what each row has beyond that. Pure. One owner. */
#pragma once

#include "scorers/rca_frame.h"

struct ac_rca_sem {
    size_t p;
    double *coef;   /* [i * p + j]: effect of i on j; 0 where i does not drive j */
    double *noise;  /* column by column, all rows: value less what the causes say, centred */
    double *sd;     /* of the noise in the normal rows, never 0 */
    int *order;     /* causes before effects */
    size_t dropped; /* causes left out: collinear, or too many for the rows */
};

/** Causes beyond a tenth of the normal rows (at least 1, at most 32) are left out, weakest
 * correlation first, as are such that make the fit singular. AC_ENOMEM. */
int ac_rca_sem_fit(const struct ac_rca_frame *f, struct ac_rca_sem *ret,
                   struct ac_err *err) AC_MUST_USE;
void ac_rca_sem_fini(struct ac_rca_sem *s);
/** Total effect of each column on one (itself: 1). effect: p values. */
void ac_rca_sem_effects(const struct ac_rca_sem *s, int on, double *effect);
