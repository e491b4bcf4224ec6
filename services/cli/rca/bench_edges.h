/* aceso rca bench --dataset edges. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>

#define RCA_EDGES_SIZES 4

/* Verdicts on edges whose truth is known, by number of samples. */
struct rca_verdicts {
    size_t edges, wrong;         /* judged; of these */
    size_t contradicted, caught; /* said to be wrong; rightly so */
    size_t supported, confirmed; /* said to be right; rightly so */
};

enum rca_edges_kind {
    RCA_EDGES_CLASSES, /* the network's own classes, as numbers */
    RCA_EDGES_LINEAR,  /* linear, Gaussian noise, over the same graph */
    RCA_EDGES_NKINDS
};

struct rca_edges {
    size_t max_variables; /* larger networks are left out; given */
    size_t networks[2];   /* of each half */
    struct rca_verdicts v[2][RCA_EDGES_NKINDS][RCA_EDGES_SIZES]; /* halves: tuned on, reported */
};

extern const struct rca_edges_size { /* enough to see a partial correlation of so much */
    size_t rows;
    double detectable;
} rca_edges_sizes[RCA_EDGES_SIZES];

/** Networks by name, the first, third, ... to tune on, the others to report. */
int rca_bench_edges(const char *dir, struct rca_edges *ret, struct ac_err *err) AC_MUST_USE;
/** The harmonic mean of how many contradicted are wrong and how many wrong are contradicted, both
 * kinds together. */
double rca_edges_f1(const struct rca_edges *e, int half, int size);
/** By the first half alone: the fewest samples from which on the next size gains less than .02. */
int rca_edges_choice(const struct rca_edges *e);
