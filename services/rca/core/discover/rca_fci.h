/* FCI: as PC, but hidden common causes are allowed; the result says "o" where an end is open. Pure.
 * Selection bias is taken to be absent, so that of Zhang's ten rules R5 to R7 have nothing to do.
 */
#pragma once

#include "discover/rca_skeleton.h"

struct ac_rca_fci_params {
    struct ac_rca_skeleton_params skeleton;
    /* R9 asks for a possibly directed path; uncovered (Zhang) unless wide, any such path then. */
    bool wide_r9;
    bool arrows_only; /* R1 to R4: all arrowheads, but not all tails */
};

void ac_rca_fci(struct ac_rca_ci *t, const struct ac_rca_fci_params *params, struct ac_rca_pdag *g);
