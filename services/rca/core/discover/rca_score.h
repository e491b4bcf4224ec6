/* Local scores of a node given its parents, remembered. Inside of discovery. */
#pragma once

#include "discover/rca_ges.h"

struct ac_rca_scorer;
int ac_rca_scorer_create(const struct ac_rca_matrix *m, const struct ac_rca_ges_params *params,
                         struct ac_rca_scorer **ret, struct ac_err *err) AC_MUST_USE;
void ac_rca_scorer_destroy(struct ac_rca_scorer *s); /* NULL is fine */
/** Larger is better. parents: ascending. */
double ac_rca_local_score(struct ac_rca_scorer *s, int node, const int *parents, size_t n);
uint64_t ac_rca_scorer_count(const struct ac_rca_scorer *s);
