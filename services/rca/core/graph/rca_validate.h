/* A causal graph against data: each edge between measurements is supported, contradicted, or left
 * untested where the data cannot tell; edges that the data want are proposed. Pure. */
#pragma once

#include "graph/rca_graph.h"

struct ac_rca_validate_params {
    double alpha;           /* support below it, all lags together; 0: 0.01 */
    double alpha_weak;      /* above it nothing was seen; 0: 0.2 */
    double detectable;      /* a partial correlation this large would have been seen; 0: 0.15 */
    double fdr;             /* share of false ones among proposals; 0: 0.05 */
    int max_lag;            /* samples; 0: 6 */
    bool linear_only;       /* no second opinion; for comparison */
    int64_t from_ns, to_ns; /* part of the data to use; 0, 0: all */
    int64_t split_ns;       /* begin of an incident: what is constant before it or from it on has no
                             * variation; 0: not known */
};

/* Edges that get a second opinion, those believed most; the others that no line shows stay
 * untested.
 */
#define AC_RCA_MAX_SECOND 256

/* One edit that data suggest, and what it is worth. */
struct ac_rca_refinement {
    int edge;    /* of the graph: to be removed when contradicted, added when proposed */
    double gain; /* of the score (BIC) of the effect, in nats, when those before it are made */
};

struct ac_rca_validation {
    size_t supported, contradicted, untested, proposed, tests;
    size_t asked, overruled; /* second opinions on edges that no line shows; those that see one */
    const char *
        *useless; /* by node: why its measurement tells nothing; NULL: it does, or is not there */
    struct ac_rca_refinement *edits; /* each gains most when those before it are made; all gain */
    size_t nedits, edits_cap;
};

/** Marks the measurements of the graph that the case does not have as hidden, the others as seen.
 */
void ac_rca_mark_hidden(struct ac_rca_graph *g, const struct ac_rca_case *c);

/** Sets state, lag and confidence of edges of kind AC_RCA_CAUSES whose ends have a measurement in
 * the case, and adds proposals (AC_RCA_PROPOSED, with their evidence): causes, and
 * AC_RCA_CONFOUNDED where nothing says which moves first, or where the two components have nothing
 * to do with each other. Nodes without measurement are marked hidden. AC_EINVAL when the case has
 * too few samples. */
int ac_rca_validate(struct ac_rca_graph *g, const struct ac_rca_case *c,
                    const struct ac_rca_validate_params *p, struct ac_rca_validation *ret,
                    struct ac_err *err) AC_MUST_USE;
void ac_rca_validation_fini(struct ac_rca_validation *v);
