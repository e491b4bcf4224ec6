/* The skeleton of PC-stable: which variables stay dependent whatever is given. Pure. */
#pragma once

#include "discover/rca_ci.h"
#include "discover/rca_pdag.h"

/* Background knowledge over p variables; NULL where there is none. */
struct ac_rca_knowledge {
    size_t p;
    bool *forbidden, *required; /* [i * p + j]: the edge i -> j */
};

void ac_rca_knowledge_init(struct ac_rca_knowledge *k, size_t p);
void ac_rca_knowledge_fini(struct ac_rca_knowledge *k);

/* What separated each pair. */
struct ac_rca_sepsets;
struct ac_rca_sepsets *ac_rca_sepsets_create(size_t p);
void ac_rca_sepsets_destroy(struct ac_rca_sepsets *s); /* NULL is fine */
bool ac_rca_sepsets_has(const struct ac_rca_sepsets *s, int x, int y, int v);
/** Variables in the set of x and y; 0 also for a pair never separated. */
size_t ac_rca_sepsets_size(const struct ac_rca_sepsets *s, int x, int y);
void ac_rca_sepsets_add(struct ac_rca_sepsets *s, int x, int y, const int *set, size_t k);

struct ac_team;

struct ac_rca_skeleton_params {
    int max_given; /* size of the largest conditioning set; negative: no limit but the degree */
    /* Go on after the first separating set of a pair and remember the union of all at that level,
     * as causal-learn does. Far dearer for dense graphs; of a pair whose variable has n neighbours
     * at most n sets are held until the level ends. */
    bool all_sets;
    const struct ac_rca_knowledge *know; /* NULL: none */
    struct ac_team *team;                /* shares the work; the result is the same; NULL */
};

/** g: undirected edges between all variables on return less those removed. The sets of a level are
 * tried against the adjacencies at its begin, hence the order of variables does not matter. */
void ac_rca_skeleton(struct ac_rca_ci *t, const struct ac_rca_skeleton_params *params,
                     struct ac_rca_pdag *g, struct ac_rca_sepsets *s);

/** Next subset of size k of 0..n-1 in lexicographic order, in place; false after the last. */
bool ac_rca_next_subset(size_t *c, size_t k, size_t n);
