/* The virtual clock: a policy, simulated devices and clients in one event loop that is the same to
 * the bit for the same seed. A device has an execution and a load engine, each first in first out,
 * one action at a time; what a policy asks for is checked (window, residency, pages). */
#pragma once

#include "sched.h"
#include "workload.h"

#include <aceso/clock.h>

struct sim_seen_request {
    int64_t came_ns, due_ns, done_ns;
    uint32_t model, class;
    enum policy_outcome outcome;
    bool cold;
};

enum sim_fate {
    SIM_TOLD,
    SIM_LOST,       /* its device crashed before the policy heard of it */
    SIM_SUPERSEDED, /* all of its requests had been answered by another when the policy heard */
    SIM_OPEN        /* the simulation ended before */
};

struct sim_seen_action {
    struct policy_action a; /* without cookies */
    enum sim_fate fate;
    enum policy_status status;         /* TOLD: how it went */
    int64_t sent_ns, begin_ns, end_ns; /* LOST, OPEN: 0 when it did not come to that */
    int64_t told_ns; /* when the policy heard of it; UNLOAD: when it was done; else 0 */
};

/* Told of all that happens, the warm-up included. Both or none. */
struct sim_watch {
    void *self;
    void (*request)(void *self, const struct sim_seen_request *r);
    void (*action)(void *self, const struct sim_seen_action *a);
};

/* Devices of another kind: their costs, with a row for each model by the name it has in the first
 * kind's table. */
struct sim_kind {
    const struct costs *costs;
    uint32_t gpus;
};

struct sim_config {
    const struct policy_ops *policy;
    struct sched_config sched;
    const struct costs *costs;
    const struct workload *workload;
    uint32_t gpus, pages;                    /* pages 0: 1,376, as one V100 */
    struct sim_kind kinds[POLICY_KINDS - 1]; /* those of the last devices; all others have costs */
    uint32_t n_kinds;
    uint64_t seed;
    int64_t net_ns;                /* one way, constant */
    int64_t jitter_mean_ns;        /* exponential, added each way */
    double exec_sigma, load_sigma; /* of the logarithm */
    double straggler_share, straggler_factor;
    double drift_ppm; /* each device's clock is off by up to so much, either way */
    double link_gbps; /* 10^9 bytes/s that inputs move at, and share with loads: sim_link.c. A load
                         that moves alone takes what the table says. 0: inputs take no time */
    bool no_overlap;  /* executions begin when loads have ended; so they do with a link */
    int64_t crash_at_ns, crash_for_ns; /* device 0 dies and comes back; 0: never */
    int64_t lease_ns; /* so long after its death, or when it comes back, the policy hears of it */
    int64_t stall_at_ns, stall_for_ns; /* device 0 does, hears and says nothing; 0: never */
    int64_t change_at_ns;              /* from then on, 0: never, these hold: */
    double change_delay, change_pace;  /* factors on delays, and on device 0's executions */
    const struct sim_watch *watch;     /* NULL: nobody */
    const struct ac_clock *timer;      /* measures the policy's own time; NULL: not measured */
    const struct ac_clock *cpu; /* processor time of this thread: with it, time in which the thread
                                   did not run is no cost of the policy; NULL: it is */
};

#define SIM_CONFIG_INIT                                                                            \
    {                                                                                              \
        .policy = &policy_aceso, .sched = SCHED_CONFIG_INIT, .gpus = 1, .seed = 1,                 \
        .net_ns = 100000, .exec_sigma = 0.003, .load_sigma = 0.01, .straggler_factor = 3,          \
        .change_delay = 1, .change_pace = 1                                                        \
    }

struct sim_stats {
    uint64_t requests; /* that came after the warm-up and are settled */
    uint64_t outcomes[POLICY_OUTCOME_END];
    uint64_t cold_starts, loads, unloads, infers, rows, too_late, violations;
    uint64_t superseded; /* answers that another device had given before */
    struct {
        uint64_t requests, on_time;
    } classes[WORKLOAD_CLASSES]; /* of the workload */
    uint32_t n_classes;
    double seconds; /* measured span */
    double goodput_rps, attainment, mean_batch, busy;
    double p50_ms, p99_ms, p9999_ms; /* of answered requests */
    double policy_ns_per_request;
    uint64_t digest; /* of all outcomes and times, in order */
};

int serving_sim_run(const struct sim_config *cfg, struct sim_stats *ret_s,
                    struct ac_err *err) AC_MUST_USE;
