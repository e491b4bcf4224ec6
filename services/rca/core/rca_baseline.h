/* Simple scorers to compare with: one number a component, no graph, no abstention. Pure. */
#pragma once

#include "rca_engine.h"

enum ac_rca_baseline {
    AC_RCA_NSIGMA,     /* (largest - mean) / deviation */
    AC_RCA_BARO,       /* (largest - median) / interquartile range: the scorer of BARO */
    AC_RCA_CORRELATION /* of what is anomalous with the target, inside the incident */
};

/** Ranks by the largest score of a component's measurements; the time is taken as it is. Only
 * causes are filled. AC_EINVAL when the case has no component, or correlation no target. */
int ac_rca_baseline_rank(const struct ac_rca_case *c, const struct ac_rca_params *p,
                         enum ac_rca_baseline kind, struct ac_rca_result *ret,
                         struct ac_err *err) AC_MUST_USE;
