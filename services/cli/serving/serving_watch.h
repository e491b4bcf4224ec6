/* What is kept of a simulated run besides its sums: a timeline for the picture, logs as TSV. */
#pragma once

#include <stdio.h>

#include "../../controller/core/sim.h"
#include "../../controller/core/timeline.h"

struct cli_sim_watch {
    struct sim_watch ports;
    struct timeline timeline;
    const struct workload *workload;
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
