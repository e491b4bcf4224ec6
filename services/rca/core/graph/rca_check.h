/* Tests of one pair of measurements against data, for the validation of graphs: the series on one
 * grid, partial correlation at a lag, and what a finding is called. Pure; one thread. */
#pragma once

#include "graph/rca_validate.h"

struct rca_series {  /* of a node */
    double *v;       /* on the common grid; NULL: not measured, or of no use */
    const char *why; /* it is of no use; NULL: it is, or it is not measured */
    size_t hold;     /* rows between two samples: within them nobody can tell what moves first */
};

struct rca_edit { /* that a verdict or a proposal suggests */
    int edge;
    double n_eff;
    bool wrong_way; /* seen, but with the other sign: it explains nothing */
};

struct rca_check {
    struct ac_rca_graph *g;
    struct ac_rca_validate_params p;
    struct rca_series *s; /* by node */
    size_t rows;
    int64_t step_ns;
    struct ac_rca_validation *out;
    struct rca_edit *edits;
    size_t nedits, edits_cap;
    double *work; /* RCA_CHECK_COLUMNS * rows */
};

#define RCA_CHECK_CONTROLS 6 /* other causes of the effect that are held fixed, strongest first */
#define RCA_CHECK_COLUMNS  (RCA_CHECK_CONTROLS + 4)
#define RCA_CHECK_MIN_ROWS 24

struct rca_finding {
    double r, n_eff, p;
    int lag;         /* samples by which the cause is earlier */
    size_t left_out; /* further causes of the effect, which were not held fixed */
    bool ok;
};

struct rca_control { /* another cause, which is held fixed */
    int node, lag;   /* samples before its effect */
    double confidence;
};

/** AC_EINVAL with too few samples; rca_check_fini in any case. */
int rca_check_init(struct rca_check *k, struct ac_rca_graph *g, const struct ac_rca_case *c,
                   const struct ac_rca_validate_params *p, struct ac_err *err) AC_MUST_USE;
void rca_check_fini(struct rca_check *k);

/** What is left of v (n values) when its mean and orthonormal columns are taken out, of length 1;
 * ret_length: what it was before that. False: nothing is left. */
bool rca_sweep_out(double *v, const double *basis, size_t columns, size_t n, double *ret_length);
/** The lag of an edge in samples, at most max_lag. */
int rca_check_lag(const struct rca_check *k, const struct ac_rca_gedge *e);
/** The other causes of an effect that have data, strongest first; returns how many. */
size_t rca_check_controls(const struct rca_check *k, int cause, int effect,
                          struct rca_control ret[RCA_CHECK_CONTROLS]);
/** Partial correlation of the effect with the cause lags[0] to lags[1] samples earlier, given the
 * other causes of one of the two, each as much earlier as its edge says: the best lag, whose p
 * counts for all that were tried. */
struct rca_finding rca_check_pair(struct rca_check *k, int cause, int effect, int of,
                                  const int lags[2]);
bool rca_check_clearer(const struct rca_finding *a, const struct rca_finding *b);
/** Adds the finding to the edge's evidence, and leaves its confidence. more: a further sentence,
 * or "". */
void rca_check_say(struct rca_check *k, int edge, const struct rca_finding *f, const char *verdict,
                   const char *more);
void rca_check_suggest(struct rca_check *k, int edge, const struct rca_finding *f, bool wrong_way);

/** Adds what the data want and the graph does not have. */
void rca_propose(struct rca_check *k);
/** Orders the edits: each is the one that gains most when those before it are made. */
void rca_refine(struct rca_check *k);
