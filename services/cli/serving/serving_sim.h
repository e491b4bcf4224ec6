/* aceso serve sim and compare: policies on the virtual clock. */
#pragma once

#include "verbs.h"

#include "../../controller/core/sim.h"

struct cli_sim_args {
    const char *models, *gpus, *workload, *slo, *slo_x, *policy, *seed, *seconds, *jitter;
    const char *rate_scale, *cv, *instances, *shares, *save;
    const char *stragglers, *drift, *link, *crash, *stall, *pages, *overlap;
    const char *kinds[POLICY_KINDS - 1]; /* N:FILE */
    int n_kinds;
    const char *tune;
    const char *plot, *cdf, *errors, *request_log, *action_log; /* files to write, or NULL */
};

/* What one run needs; config points into the others. */
struct cli_sim {
    struct sim_config config;
    struct costs costs, kinds[POLICY_KINDS - 1];
    struct workload workload;
    struct trace trace; /* that the workload replays */
};

/** Returns an exit code, with the message printed. cli_sim_fini in any case. */
int cli_sim_prepare(const struct cli_sim_args *a, struct cli_sim *ret);
void cli_sim_fini(struct cli_sim *s);

/** A recorded trace from its file, gzip too. Returns an exit code, with the message printed. */
int cli_trace_read(const char *verb, const char *path, struct trace *ret_t);

uint64_t cli_sim_rejected(const struct sim_stats *s);
double cli_sim_class_attainment(const struct sim_stats *s, uint32_t i);
/** One object, without a line's end. */
void cli_sim_print_json(const char *policy, const struct sim_stats *s);

int cli_serving_sim(const struct cli_sim_args *a, const struct cli_ctx *ctx);
/** What a picture of the run is called. */
void cli_sim_title(const struct cli_sim_args *a, const struct cli_sim *s, char *ret, size_t size);
/** All policies on one workload. */
int cli_serving_compare(const struct cli_sim_args *a, const struct cli_ctx *ctx);
