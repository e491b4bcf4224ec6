/* A client that loads a served model: open loop (seeded Poisson arrivals, latency counted from when
 * a request was meant to go out, however late the client is) or closed loop (a number of requests
 * outstanding at any time). Blocks; runs a loop of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

#define CLI_LOAD_OPEN_MAX 8192 /* requests under way; what would be beyond is counted as failed */

struct cli_load_plan {
    const char *target; /* HOST:PORT */
    const char *model;  /* NULL: ServerLive instead of ModelInfer, which no worker sees */
    const char *version;
    double rate;             /* requests a second; 0: closed loop */
    bool constant;           /* equal gaps instead of a Poisson process */
    const int64_t *times_ns; /* a trace's arrivals instead of rate, n_times of them, rising */
    size_t n_times;
    uint32_t outstanding; /* closed loop */
    uint32_t rows;
    int64_t slo_ns; /* sent as the request's timeout; 0: none */
    int64_t duration_ns, warmup_ns;
    uint64_t seed;
};

struct cli_load_report {
    uint64_t sent, ok, late, rejected, failed; /* rejected: the server said so in time */
    double seconds, goodput_rps, attainment;
    double p50_ms, p90_ms, p99_ms, p999_ms, max_ms; /* of answered requests */
    double send_lag_ms;                             /* the client's own worst lateness */
    char first_error[256];
};

int cli_load_run(const struct cli_load_plan *plan, struct cli_load_report *ret_r,
                 struct ac_err *err) AC_MUST_USE;
