/* Sends the generator's requests over HTTP when they are due, whatever became of the earlier ones,
 * and counts how they ended. Latency runs from the moment a request was due. Loop thread. */
#pragma once

#include "loadgen.h"
#include "telemetry.h"

#include <aceso/svc.h>

struct app_load_client;

struct app_load_opts {
    const struct app_load_spec *spec;
    const char *host; /* where the requests go */
    int port;
    uint64_t seed;
    double rate;
    const double *shares;
    int64_t duration_ns; /* 0 = until stopped */
    int64_t late_ns, timeout_ns;
    bool quiet; /* no line a second on stdout, the last one only */
};

/** over(arg) on the loop once the duration has passed and all requests have ended. */
struct app_load_client *app_load_start(struct ac_svc *svc, const struct app_load_opts *o,
                                       struct app_telemetry *t, ac_loop_fn over, void *arg);
/** Sends no more; over follows after what is under way has ended, or after grace. */
void app_load_stop(struct app_load_client *c, int64_t grace_ns);
void app_load_destroy(struct app_load_client *c);
