/* Inside of the engine: what its files share. Not for others. */
#pragma once

#include "rca_engine.h"

#include <aceso/clock.h>

/* Words come before the first second that counts as the incident's. */
#define RCA_EVENTS_BEFORE_NS (60 * AC_NS_PER_S)

struct rca_best { /* the largest deviation of one component and kind */
    double z, z_down;
    int metric, peer;
    int64_t onset_ns, onset_down_ns;
    double excess; /* lat, err: seconds or errors an interval above normal, of all requests */
    double each;   /* lat, err: the same of one request */
    bool has, has_excess, over;
    bool rise, fall; /* which of the two is bad news */
};

struct rca_edge_flow { /* what an edge carries in excess of normal, seen by the caller */
    double lat, err;   /* excess in seconds and errors an interval */
    bool has_lat, has_err;
    double gap_z, egap_z; /* deviation of what caller sees beyond what the callee reports */
    bool measured_gap, gap_over, egap_over;
    int64_t gap_onset_ns, egap_onset_ns;
    int gap_metric, egap_metric;
    double cload_down; /* how far the caller's own calls fell */
    bool has_cload;
    bool moved; /* the gap is laid at the caller's door: all its edges have one */
};

struct rca_work {
    const struct ac_rca_case *c;
    const struct ac_rca_params *p;
    uint32_t *const *order;        /* by metric; NULL: not known */
    const struct rca_habit *habit; /* NULL: not known */
    struct ac_rca_window w;
    struct ac_rca_deviation *dev;           /* by metric */
    struct rca_best (*best)[AC_RCA_NKINDS]; /* by component */
    struct rca_edge_flow *flow;             /* by edge */
    bool *is_new;                           /* by component: not called in normal times */
    double *load;    /* by component: mean request rate in the incident; 0: not known */
    double *scratch; /* 4 * longest series */
    size_t scratch_n;
    bool has_gap;
    int64_t step_ns;
};

void rca_work_init(struct rca_work *k, const struct ac_rca_case *c, const struct ac_rca_params *p,
                   struct ac_rca_window w, int64_t step_ns);
void rca_work_fini(struct rca_work *k);
/** Deviations, edge gaps, excess. */
void rca_work_measure(struct rca_work *k);
/** Excess of series m over its level, weighted by the load series (NULL: load 1). */
double rca_excess(const struct rca_work *k, const struct ac_rca_metric *m,
                  const struct ac_rca_deviation *d, const struct ac_rca_metric *load);
/** The metric of a component (and peer) with this kind, -1 when none. */
int rca_find_metric(const struct ac_rca_case *c, int component, int peer, enum ac_rca_kind kind);
/** Excess (lat, err) of a component that its callees account for; *ret_any: some do. */
double rca_callees_excess(const struct rca_work *k, int component, enum ac_rca_kind kind,
                          bool *ret_any);
#define RCA_OTHERS     0.25 /* weight of the parts beside the largest */
#define RCA_MAX_LEARNT 128
/** How many measurements there are where nobody named a call, in the graph or in a measurement; 0
 * where somebody did. */
size_t rca_calls_unknown(const struct ac_rca_case *c);
/** Where no calls are known: the ranking by what is left of each measurement when what moves with
 * it in the normal rows is taken away (PC and regression, scorers/). False, and nothing to destroy:
 * calls are known, a target is given, more than RCA_MAX_LEARNT measurements, or too few rows. */
bool rca_residual(const struct rca_work *k, struct ac_rca_result *ret);

/* The same with more measurements, up to 2,048: of each what is left beside the eight of other
 * components that correlate most with it in normal times (ridge regression). */
struct rca_habit;
/** From the rows outside the incident of p. NULL: as above, or no more than RCA_MAX_LEARNT. Read
 * only afterwards: threads may share it. */
struct rca_habit *rca_habit_create(const struct ac_rca_case *c, const struct ac_rca_params *p);
void rca_habit_destroy(struct rca_habit *h);         /* NULL is fine */
size_t rca_habit_columns(const struct rca_habit *h); /* NULL: 0 */
/** The largest deviation in the window that a column's neighbours leave; returns its metric. */
int rca_habit_rest(const struct rca_habit *h, const struct rca_work *k, size_t column,
                   double *ret_z);
#define RCA_MARGIN_NS (120 * AC_NS_PER_S) /* behind an incident that is no normal time */
/** Fills r->causes. */
void rca_rank(struct rca_work *k, struct ac_rca_result *r);
/** Fills named, and takes the named ones from the impact: after the two others. */
void rca_several(struct rca_work *k, struct ac_rca_result *r);
/** Fills shown, first failure, impact and path. */
void rca_explain(struct rca_work *k, struct ac_rca_result *r);
