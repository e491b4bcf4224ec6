/* A second opinion where a document says that one measurement drives another and no linear test
 * sees it: a kernel test of whether the effect depends on the cause in any way. Pure. */
#pragma once

#include "graph/rca_check.h"

struct rca_opinion {
    bool ok;  /* there were enough samples to ask */
    double p; /* of all lags together */
    int lag;  /* where the dependence is clearest */
    size_t shifts;
};

/** Whether the effect depends on the cause lags[0] to lags[1] samples earlier, given the effect's
 * other causes (each as much earlier as its edge says). Features of both (cosines and sines of
 * their normal scores), of which what the other causes' features explain is taken out; the
 * statistic is the sum of their squared correlations, the largest over the lags; its null
 * distribution the same with the effect moved in a circle, which keeps how each of the two depends
 * on its own past. Deterministic. Stops early where p is large. */
struct rca_opinion rca_second_opinion(struct rca_check *k, int cause, int effect,
                                      const int lags[2]);
