/* aceso rca synthesise, diff, plot, feedback; and what they share: graphs in files, documents. */
#pragma once

#include "verbs.h"

#include "graph/rca_graph.h"

struct rca_synthesise_args { /* as given; NULL: not */
    const char *docs, *traces, *metrics, *knowledge, *proposer, *out;
    const char *observed; /* leave out what is not measured */
};
int rca_synthesise_verb(const struct rca_synthesise_args *a, const struct cli_ctx *ctx);
int rca_diff_verb(const char *old, const char *new, const struct cli_ctx *ctx);
int rca_plot_verb(const char *graph, const char *format, const char *out,
                  const struct cli_ctx *ctx);

struct rca_feedback_args { /* as given; NULL: not */
    const char *path, *incident, *answer, *confirmed, *refuted, *out;
};
/** time_ns: of the incident, as --time says; 0 without. */
int rca_feedback_verb(const char *graph, const struct rca_feedback_args *a, int64_t time_ns,
                      const struct cli_ctx *ctx);

/** A graph in the JSON that synthesise writes. AC_EINVAL names file and place. */
int rca_graph_load(const char *path, struct ac_rca_graph **ret, struct ac_err *err) AC_MUST_USE;
/** Components and calls from all manifests, compose files and descriptions below dir. */
int rca_docs_read(const char *dir, struct ac_rca_graph *g, struct ac_err *err) AC_MUST_USE;
/** root, leaf, require, forbid over node ids, and what measurements mean (YAML). calls: the graph
 * has no measurements yet, what names one is passed over; to be applied again when it has. */
int rca_knowledge_apply(const char *path, struct ac_rca_graph *g, bool calls,
                        struct ac_err *err) AC_MUST_USE;
struct ac_yaml;
struct ac_yaml_doc;
/** Whether all keys of such a file are known: one that is misspelt would be knowledge that nobody
 * hears. */
int rca_knowledge_check(const struct ac_yaml_doc *d, const struct ac_yaml *root,
                        struct ac_err *err) AC_MUST_USE;
/** Calls from a file into a case: a graph as synthesise writes it (.json; calls of confidence .5
 * and more, and what it was told of measurements), `caller,callee` rows or an adjacency matrix. */
int rca_load_calls(const char *path, struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;
/** What `rca localise --metrics` takes: a file, or a folder of one of the known forms. */
int rca_load_case(const char *metrics, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                  struct ac_err *err) AC_MUST_USE;
