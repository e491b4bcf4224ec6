/* Bayesian networks of classes in the interchange format BIF, and samples from them. Pure. */
#pragma once

#include <aceso/rng.h>

#include "discover/rca_matrix.h"
#include "discover/rca_pdag.h"

struct ac_rca_bif_variable {
    char *name;
    char **states;
    size_t nstates;
    int *parents; /* in the order of the table's keys */
    size_t nparents;
    double *table; /* [parents' states, first parent slowest][own state]; rows sum to 1 */
    size_t rows;
};

struct ac_rca_bif {
    struct ac_rca_bif_variable *v;
    size_t n, cap;
    int *order; /* causes before effects */
};

#define AC_RCA_BIF_MAX_STATES  256
#define AC_RCA_BIF_MAX_PARENTS 16
#define AC_RCA_BIF_MAX_ROWS    ((size_t)1 << 22)

/** AC_EINVAL with "name:line: text", also for a cycle or a table that is not whole. */
int ac_rca_bif_parse(const char *name, const char *text, size_t len, struct ac_rca_bif *ret,
                     struct ac_err *err) AC_MUST_USE;
void ac_rca_bif_fini(struct ac_rca_bif *b);
/** n samples; values are the numbers of the states. */
int ac_rca_bif_sample(const struct ac_rca_bif *b, size_t n, struct ac_rng *r,
                      struct ac_rca_matrix *ret, struct ac_err *err) AC_MUST_USE;
/** The graph of the network; g has its number of nodes and no edges. */
void ac_rca_bif_dag(const struct ac_rca_bif *b, struct ac_rca_pdag *g);
