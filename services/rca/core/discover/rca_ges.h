/* GES: greedy search over equivalence classes for the best score. Pure. */
#pragma once

#include "discover/rca_matrix.h"
#include "discover/rca_skeleton.h"

struct ac_team;

enum ac_rca_score_kind {
    AC_RCA_BIC, /* of linear models with Gaussian noise */
    AC_RCA_BDEU /* of tables; columns are classes */
};

struct ac_rca_ges_params {
    enum ac_rca_score_kind score;
    double penalty;                      /* of BIC: times ln n a parameter; 0: 0.5 */
    int max_parents;                     /* negative: no limit */
    const struct ac_rca_knowledge *know; /* NULL: none; forbidden edges are not inserted */
    /* ln of the prior odds of each edge i -> j, [i * p + j], added when it is inserted; NULL. */
    const double *prior;
    struct ac_team *team; /* shares the work of BIC; the result is the same; NULL */
};

/** AC_ENOMEM, AC_EINVAL. *ret_scores: gains computed. */
int ac_rca_ges(const struct ac_rca_matrix *m, const struct ac_rca_ges_params *params,
               struct ac_rca_pdag *g, uint64_t *ret_scores, struct ac_err *err) AC_MUST_USE;
