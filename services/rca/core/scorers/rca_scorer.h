/* One door to all scorers to compare with: a ranking of components, no onset, no abstention. Pure.
 */
#pragma once

#include "rca_baseline.h"

#include "graph/rca_graph.h"

/* X(NAME, name) */
#define AC_RCA_SCORERS(X)                                                                          \
    X(NSIGMA, "nsigma")                                                                            \
    X(BARO, "baro")                                                                                \
    X(CORRELATION, "correlation")                                                                  \
    X(BARO_CHANGE, "baro-change")                                                                  \
    X(CIRCA, "circa")                                                                              \
    X(TRAVERSAL, "traversal")                                                                      \
    X(WALK, "walk")                                                                                \
    X(RCD, "rcd")                                                                                  \
    X(SHAPLEY, "shapley")                                                                          \
    X(FIX, "fix")

enum ac_rca_scorer {
#define X(id, name) AC_RCA_SCORER_##id,
    AC_RCA_SCORERS(X)
#undef X
    AC_RCA_NSCORERS
};

const char *ac_rca_scorer_name(enum ac_rca_scorer s);
bool ac_rca_scorer_parse(const char *name, enum ac_rca_scorer *ret);

#define AC_RCA_PC_GIVEN 3

struct ac_rca_scoring {
    enum ac_rca_scorer scorer;
    const struct ac_rca_graph *graph; /* what drives what; NULL: see ac_rca_frame_make */
    uint64_t seed;                    /* of the scorers that draw */
    int max_given; /* sets of PC where the graph is learnt; 0: as published, AC_RCA_PC_GIVEN */
};

/** Ranks components by the largest score of their measurements; each cause has that measurement as
 * its only part. Only causes are filled. Errors: those of ac_rca_frame_make and of the scorer. */
int ac_rca_score(const struct ac_rca_case *c, const struct ac_rca_params *p,
                 const struct ac_rca_scoring *s, struct ac_rca_result *ret,
                 struct ac_err *err) AC_MUST_USE;
