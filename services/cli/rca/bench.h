/* aceso rca bench: what the data sets share. One file a data set; each fills a struct rca_bench. */
#pragma once

#include "readers/rca_dataset.h"
#include "scorers/rca_scorer.h"

struct rca_bench_options {
    double late_s;
    bool no_graph, no_gaps, no_records;
    const char *graph; /* calls from a file instead of the set's own; NULL: these */
    const struct ac_rca_graph
        *causes;  /* what drives what, from the same file; NULL: the library's */
    bool compare; /* a scorer of the literature instead of ours */
    enum ac_rca_scorer scorer;
    uint32_t without; /* ablation, see struct ac_rca_params */
    bool unexplained, keep_time;
};

struct rca_tally { /* scores of one kind of fault */
    char fault[64];
    struct ac_rca_score score;
};

struct rca_bench {
    struct ac_rca_score all;    /* with abstention, where there is one, counted as a miss */
    struct ac_rca_score always; /* ranking taken whether or not it would abstain */
    struct rca_tally tallies[32];
    size_t ntallies, answered;
    size_t normal, normal_empty; /* windows of normal time; those that are left unanswered */
    double seconds;              /* of localising, all cases */
    double processor_s;          /* the same by this thread's processor time */
    const struct rca_bench_options *options;
};

/** Localises a case and scores it; what is not first is told on stderr. */
int rca_bench_case(struct rca_bench *b, const struct ac_rca_case *c, const struct ac_rca_params *p,
                   const struct ac_rca_labelled *truth, struct ac_err *err) AC_MUST_USE;

/** Scores of n normal windows: the threshold from the even ones judges the odd ones, and the other
 * way round. Returns the threshold of all of them. */
double rca_bench_normal(struct rca_bench *b, const double *scores, size_t n);

int rca_bench_sockshop(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                       struct ac_err *err) AC_MUST_USE;
/** Logs and spans of a case count where they are there. */
int rca_bench_rcaeval(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                      struct ac_err *err) AC_MUST_USE;
int rca_bench_petshop(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                      struct ac_err *err) AC_MUST_USE;
int rca_bench_nezha(const char *dir, const struct rca_bench_options *o, struct rca_bench *b,
                    struct ac_err *err) AC_MUST_USE;
