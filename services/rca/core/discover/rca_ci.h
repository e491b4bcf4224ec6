/* Conditional independence tests: is x independent of y given a set? One object holds the data and
 * the last conditioning set, so that many pairs under one set cost little. Pure, not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/rca_matrix.h"

struct ac_rca_ci {
    size_t p, n;
    double alpha;
    uint64_t tests; /* made so far */
    /* Fixes the conditioning set s[0..k). */
    void (*given)(struct ac_rca_ci *t, const int *s, size_t k);
    /* 0..1 under the given set; 0 when the test cannot be made, which removes no edge. */
    double (*p_value)(struct ac_rca_ci *t, int x, int y);
    /* p_value > alpha, often faster. */
    bool (*independent)(struct ac_rca_ci *t, int x, int y);
    /* Another one on the data of this one, which must outlive it. */
    struct ac_rca_ci *(*twin)(const struct ac_rca_ci *t);
    void (*destroy)(struct ac_rca_ci *t);
};

#define AC_RCA_MAX_GIVEN 64 /* variables in a conditioning set */

/** Fisher's z of the partial correlation; r: p x p correlations, kept by reference. */
struct ac_rca_ci *ac_rca_ci_fisher(const double *r, size_t p, size_t n, double alpha);
/** Chi square, or G square, of the contingency table; columns are taken as classes by value.
 * AC_EINVAL when one has more than 4096. */
int ac_rca_ci_chi2(const struct ac_rca_matrix *m, bool g_square, double alpha,
                   struct ac_rca_ci **ret, struct ac_err *err) AC_MUST_USE;
/** d-separation in a known graph without cycles over q >= p nodes (q x q, dag[i * q + j]: i causes
 * j), of which observed[0..p) are seen. For tests of the methods. */
struct ac_rca_ci *ac_rca_ci_oracle(const bool *dag, size_t q, const int *observed, size_t p);
void ac_rca_ci_destroy(struct ac_rca_ci *t); /* NULL is fine */
/** One for each of n threads: t itself, then twins of it that have made no test yet. */
struct ac_rca_ci **ac_rca_ci_twins(struct ac_rca_ci *t, size_t n);
void ac_rca_ci_twins_free(struct ac_rca_ci **twins, size_t n); /* not t; before t is destroyed */
/** The correlations, and the squares of the critical partial ones by size of the set; NULL for
 * other than Fisher's. */
const double *ac_rca_ci_correlations(const struct ac_rca_ci *t, double critical[3]);
/** Partial correlation under the given set, NaN where x or y is determined by it. Fisher's only. */
double ac_rca_ci_partial(struct ac_rca_ci *t, int x, int y);
