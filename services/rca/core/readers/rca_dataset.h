/* Labelled data sets on disk (formats: docs/rca.md), and how well a ranking does on them. Reads
 * files: not on a loop. */
#pragma once

#include "rca_engine.h"

#include "readers/rca_csv.h"

struct ac_rca_labelled {
    char *name; /* for messages: "carts-cpu/1" */
    char *path;
    char *truth; /* component at fault */
    char *fault; /* kind of fault, for the breakdown */
};

struct ac_rca_dataset {
    struct ac_rca_labelled *cases;
    size_t n, cap;
};

/** The text of a file of up to max bytes, perhaps in gzip, without the mark that spreadsheets begin
 * theirs with, a NUL behind it; caller frees. AC_EINVAL: one that cannot be read is a wrong
 * argument, not a failed task. */
int ac_rca_text_read(const char *path, size_t max, char **ret, size_t *ret_len,
                     struct ac_err *err) AC_MUST_USE;

/** Sock Shop: DIR/<service>-<fault>/<repetition>/{normal,anomalous}.csv, sorted by name. AC_EINVAL
 * when DIR holds no such case. */
int ac_rca_sockshop_list(const char *dir, struct ac_rca_dataset *ret,
                         struct ac_err *err) AC_MUST_USE;
/** One case directory; *ret_t0_ns = when the faulty part begins. */
int ac_rca_sockshop_load(const char *case_dir, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                         struct ac_err *err) AC_MUST_USE;
/** RCAEval: DIR/<service>_<fault>/<repetition>/ with metrics and inject_time.txt. */
int ac_rca_rcaeval_list(const char *dir, struct ac_rca_dataset *ret,
                        struct ac_err *err) AC_MUST_USE;
/** A folder's metrics (simple_metrics.csv, data.csv or metrics.csv, the first of these that is
 * there), its calls (calls.csv), and *ret_t0_ns from inject_time.txt: INT64_MIN without. Logs and
 * spans are others' to add. */
int ac_rca_folder_load(const char *dir, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                       struct ac_err *err) AC_MUST_USE;
/** Whether a folder holds such metrics. */
bool ac_rca_folder_is(const char *dir);
void ac_rca_dataset_fini(struct ac_rca_dataset *d);

struct ac_rca_nezha_options {
    bool no_graph, no_gaps; /* leave out the calls, the edges' latencies */
};
/** A day's metric folder of Nezha (rca_nezha.h), times moved to the middle of their minute. */
int ac_rca_nezha_load(const char *dir, const struct ac_rca_nezha_options *o,
                      struct ac_rca_case **ret, struct ac_err *err) AC_MUST_USE;

int ac_rca_table_load(const char *path, struct ac_rca_table *ret, struct ac_err *err) AC_MUST_USE;
/** Reads a CSV of `time,<component>_<metric>,...` into the case. */
int ac_rca_csv_load(const char *path, struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;
int ac_rca_edges_load(const char *path, struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

/** Place of the true component in the ranking, from 1; "x-db" counts as x. 0 when absent. */
size_t ac_rca_rank_of(const struct ac_rca_case *c, const struct ac_rca_result *r,
                      const char *truth);

struct ac_rca_score { /* running sums; AC@k = hits[k] / cases */
    size_t cases, hits[6];
};
void ac_rca_score_add(struct ac_rca_score *s, size_t rank);
double ac_rca_ac(const struct ac_rca_score *s, size_t k); /* k 1..5 */
double ac_rca_avg5(const struct ac_rca_score *s);
