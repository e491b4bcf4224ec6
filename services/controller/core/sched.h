/* The scheduler (policy "aceso"): earliest latest-start first, at once, on the least busy device
 * that holds the model; batches from a table of optimal splits; windows that end at the latest
 * useful start; refusal as soon as the plan shows a loss; loads by need with eviction by value.
 * Devices are grouped in cells of at most SCHED_CELL_DEVICES that share nothing. Everything is
 * allocated when devices, models and limits are set; arrivals, results and wake-ups allocate
 * nothing. One thread. */
#pragma once

#include "policy.h"

#define SCHED_CELL_DEVICES    64
#define SCHED_SHARE_WINDOW_NS 2000000000LL

struct baseline_params;

struct sched_config {
    uint32_t max_requests; /* waiting or running; beyond it arrivals get FULL */
    uint32_t cells;
    int64_t net_ns;     /* one-way delay to a device: first guess, then learnt when learn is set */
    int64_t horizon_ns; /* how far ahead of a device's end of work it is given more; 0: 2 net + 0.1
                           ms */
    double exec_margin; /* share added to every expected execution: first value */
    double load_margin;
    int64_t answer_margin_ns; /* kept between expected answer and deadline (jitter) */
    bool learn;               /* delay, margins and execution times follow what results show */
    double save; /* share of an objective for which requests may wait for company; 0: none */
    bool ranks;  /* tenants' shares and priorities count where not all can be met */
    double shares[POLICY_TENANTS]; /* weights; 0 counts as 1 */
    int64_t share_window_ns;       /* of which shares are kept; 0: SCHED_SHARE_WINDOW_NS */
    uint32_t without; /* SCHED_WITHOUT_*: ingredients left out, to see what each is worth */
    uint64_t seed;    /* for the sampling of eviction victims */
    const struct baseline_params *baseline; /* of the policies to compare with; NULL: their own */
};

#define SCHED_CONFIG_INIT                                                                          \
    {                                                                                              \
        .max_requests = 1u << 16, .cells = 1, .net_ns = 100000, .exec_margin = 0.012,              \
        .load_margin = 0.04, .seed = 1                                                             \
    }

/* X(enum, name): what can be left out */
#define SCHED_PARTS(X)                                                                             \
    X(SHEDDING, "shedding")                                                                        \
    X(GUARD, "guard")                                                                              \
    X(COPIES, "copies at risk")                                                                    \
    X(RATE_LOADS, "loads by rate")                                                                 \
    X(WANTED, "load on refusal")                                                                   \
    X(VALUE, "eviction by value")                                                                  \
    X(HOPE, "hope")                                                                                \
    X(SPREADS, "margins by model and batch")                                                       \
    X(DEVICE_DELAYS, "delays by device")                                                           \
    X(DRIFT, "drift detection")                                                                    \
    X(SHARES, "tenants' shares")                                                                   \
    X(PRIORITIES, "priorities")                                                                    \
    X(KINDS, "kinds of devices")                                                                   \
    X(HOT, "cells that share")                                                                     \
    X(BOUNDS, "bounds of waiting models")                                                          \
    X(OVERLAP, "executions that overlap loads")                                                    \
    X(SILENCE, "work taken from silence")

enum sched_part {
#define X(name, text) SCHED_PART_##name,
    SCHED_PARTS(X)
#undef X
    SCHED_PART_END
};

enum {
#define X(name, text) SCHED_WITHOUT_##name = 1 << SCHED_PART_##name,
    SCHED_PARTS(X)
#undef X
};

struct sched;

struct sched *sched_create(const struct sched_config *cfg, const struct policy_ports *ports);
void sched_destroy(struct sched *s); /* NULL is fine; waiting requests get no reply */

uint32_t sched_device_add(struct sched *s);
uint32_t sched_model_add(struct sched *s);
/** Of a device that is not up. What model_able says of it holds for all of its kind, the slowest of
 * them deciding. */
void sched_device_kind(struct sched *s, uint32_t device, uint32_t kind);
/** No device of the kind is up, and those to come are of another that has its number. */
void sched_kind_forget(struct sched *s, uint32_t kind);
void sched_device_up(struct sched *s, int64_t now, uint32_t device, uint32_t pages);
/** Its outstanding work is given to others or waits; what was resident on it is gone. */
void sched_device_down(struct sched *s, int64_t now, uint32_t device);
void sched_model_able(struct sched *s, int64_t now, uint32_t model, uint32_t device,
                      const struct policy_cost *cost);
/** Retires a model: waiting requests get NO_DEVICE, copies are unloaded once idle. */
void sched_model_retire(struct sched *s, int64_t now, uint32_t model);

void sched_arrive(struct sched *s, int64_t now, const struct policy_request *in);
/** Forgets a request that still waits, without a reply: true. A running one is answered as usual.
 */
bool sched_cancel(struct sched *s, uint32_t model, uint64_t cookie);
void sched_result(struct sched *s, int64_t now, const struct policy_result *r);
int64_t sched_next_wake(const struct sched *s);
void sched_wake(struct sched *s, int64_t now);

struct sched_device_view {
    bool up;
    uint32_t pages, pages_free, resident, outstanding;
    int64_t free_at_ns;
};
void sched_device_view(const struct sched *s, uint32_t device, struct sched_device_view *ret_v);
/** Devices that hold the model, as a list of at most max numbers; returns how many. */
uint32_t sched_model_devices(const struct sched *s, uint32_t model, uint32_t *ret_devices,
                             uint32_t max);

/** Device time that a tenant's work took of late, a second; background work apart. */
double sched_tenant_use(const struct sched *s, int64_t now, uint32_t tenant);

struct sched_learnt {
    int64_t net_ns;   /* usual delay one way */
    int64_t ahead_ns; /* a device is given more so long before its end of work, and twice net */
    int64_t answer_margin_ns; /* kept between expected answer and deadline */
    int64_t hope_ns;          /* how much later than that a start may still do, with luck */
    double exec_margin, load_margin;
    uint64_t drifts; /* changes that were noticed */
};
struct sched_learnt sched_learnt(const struct sched *s);

struct sched_counts {
    uint64_t given_again; /* requests that were in the hands of a silent device */
    uint64_t superseded;  /* answers to requests that another device has answered: dropped */
};
struct sched_counts sched_counts(const struct sched *s);
