/* A controller and its workers as children, without the rest of the system. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <aceso/err.h>

#define CLI_SERVING_WORKERS 16

struct cli_serving_opts {
    const char *repository;                     /* NULL: the default one */
    const char *listen;                         /* NULL: a free port */
    const char *executors[CLI_SERVING_WORKERS]; /* cpu, sim */
    int n_workers;
    bool quiet; /* their logs go nowhere instead of stderr */
};

struct cli_serving {
    struct cli_serving_opts opts;
    char dir[64]; /* of their ready files */
    char address[64];
    struct cli_serving_child {
        pid_t pid; /* 0: not running */
        char name[32];
        int restarts;
        int64_t started_ns;
    } children[CLI_SERVING_WORKERS + 1]; /* the controller first */
};

/** Starts all and waits until the server is ready. On error nothing is left. SIGINT, SIGTERM and
 * SIGCHLD are blocked from here on. */
int cli_serving_start(struct cli_serving *s, const struct cli_serving_opts *o,
                      struct ac_err *err) AC_MUST_USE;
/** Until SIGINT or SIGTERM; what dies is started again. */
void cli_serving_watch(struct cli_serving *s);
void cli_serving_stop(struct cli_serving *s);
