/* What is kept of a simulated run besides its sums: a timeline for the picture, logs as TSV. */
#pragma once

#include <stdio.h>

#include "../../controller/core/sim.h"
#include "../../controller/core/timeline.h"
#include "serving/serving_cdf.h"

/* By how much an action's duration was longer or shorter than the policy thought. */
enum {
    CLI_ERROR_INFER_LONGER,
    CLI_ERROR_INFER_SHORTER,
    CLI_ERROR_LOAD_LONGER,
    CLI_ERROR_LOAD_SHORTER,
    CLI_ERRORS
};

struct cli_sim_watch {
    struct sim_watch ports;
    struct timeline timeline;
    const struct workload *workload;
    struct cli_cdf latency[WORKLOAD_CLASSES]; /* after the warm-up; refusals never come */
    struct cli_cdf errors[CLI_ERRORS];
    FILE *requests, *actions; /* NULL: no log */
    const char *request_path, *action_path;
};

/** Opens the logs (paths NULL: none). cli_sim_watch_end in any case. */
int cli_sim_watch_start(struct cli_sim_watch *w, const struct workload *load,
                        const char *request_path, const char *action_path,
                        struct ac_err *err) AC_MUST_USE;
/** Closes the logs; says where one could not be written whole. */
int cli_sim_watch_end(struct cli_sim_watch *w, struct ac_err *err) AC_MUST_USE;

/** The picture of one run: answers in time a second, latency and share in time, over time. */
int cli_sim_plot(const struct cli_sim_watch *w, const char *title, const char *path,
                 struct ac_err *err) AC_MUST_USE;
