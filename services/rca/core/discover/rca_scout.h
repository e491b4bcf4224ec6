/* A first sweep through a dense graph of correlations. Exhaustive search over sets out of hundreds
 * of neighbours never ends; most pairs, though, are separated by one or two of the variables that
 * predict one end best. What this sweep removes is gone before the exhaustive levels begin, so that
 * they meet the degrees of the true graph. It is sound as any level of PC is (the sets are subsets
 * of the adjacencies at its begin, removals are made at its end) and does not depend on the order
 * of variables. Inside of discovery; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/rca_skeleton.h"

#define AC_RCA_SCOUTS 12 /* best predictors of each variable that sets are made of */

struct ac_rca_scout {
    size_t p;
    int32_t *best; /* by variable: AC_RCA_SCOUTS predictors, -1 behind the last */
    uint8_t *how;  /* [y * p + x]: which set out of y's predictors separated them; 0 none */
    uint64_t tests;
};

/** r: p x p correlations; critical[k]: square of the partial correlation from which on k given
 * variables leave a dependence; max_given: 1 or 2; g: which pairs are adjacent; team: shares
 * the work, NULL. */
void ac_rca_scout_run(const double *r, const struct ac_rca_pdag *g, const double *critical,
                      int max_given, struct ac_team *team, struct ac_rca_scout *ret);
void ac_rca_scout_fini(struct ac_rca_scout *s);
/** The set that separated x from y (2 places); its size, 0 when neither end's sets did. */
size_t ac_rca_scout_set(const struct ac_rca_scout *s, int x, int y, int *set);
