/* Local scores of a node given its parents, and what another parent would add. Inside of discovery.
 */
#pragma once

#include "discover/rca_ges.h"

/* Scores of one set of samples. By BIC any thread may ask, each with a basis of its own; scores by
 * BDeu are remembered, and only one thread may ask. */
struct ac_rca_scorer;
int ac_rca_scorer_create(const struct ac_rca_matrix *m, const struct ac_rca_ges_params *params,
                         struct ac_rca_scorer **ret, struct ac_err *err) AC_MUST_USE;
void ac_rca_scorer_destroy(struct ac_rca_scorer *s); /* NULL is fine */

/* The sets of parents of one node that others are tried beside: the factor of each is computed
 * once. */
struct ac_rca_basis;
struct ac_rca_basis *ac_rca_basis_create(struct ac_rca_scorer *s);
void ac_rca_basis_destroy(struct ac_rca_basis *b); /* NULL is fine */
/** From here on of this node: parents that are always there, and candidates (at most 64) of which a
 * set may be there as well. Both ascending, copied. */
void ac_rca_basis_begin(struct ac_rca_basis *b, int node, const int *parents, size_t np,
                        const int *candidates, size_t nc);
/** What i as one more parent adds to the node's score beside the parents and the candidates in
 * `with`, the prior included; -INFINITY where that is more parents than allowed. if_any: a loss may
 * be told as 0. */
double ac_rca_basis_gain(struct ac_rca_basis *b, int i, uint64_t with, bool if_any);
uint64_t ac_rca_basis_count(const struct ac_rca_basis *b); /* gains computed */
