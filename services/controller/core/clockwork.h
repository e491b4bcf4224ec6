/* The published Clockwork controller's policy (its INFER5 scheduler), rebuilt from its description
 * as the baseline to beat, with its authors' constants: first-come queues a model, strategies by
 * the front's deadline, work given whenever a device has less than schedule_ahead before it,
 * loads by unmet demand, eviction of the least recently used. Only the clockwork*.c include this.
 */
#pragma once

#include "sched.h"

#include <aceso/base.h>

#define CW_NIL      UINT32_MAX
#define CW_BUFFER   (5 * 1000000LL)   /* aimed at this long before the objective */
#define CW_POLL     2000LL            /* five threads ask a device each 10 us, in turn */
#define CW_FUTURE   1000000LL         /* no device is free sooner than this */
#define CW_LAG      (10 * 1000000LL)  /* a device counts as at most this late */
#define CW_CAPACITY (100 * 1000000LL) /* demand is in device time a default objective */
#define CW_WINDOW   10                /* measurements kept; the worst one is the estimate */
#define CW_LOAD_SLO (25 * 1000000LL)  /* a load is wanted within this at most */
#define CW_LOADS    2                 /* under way on one device */

struct cw_variant {
    int64_t ahead_ns;
    bool fixed; /* without its two known bugs in the choice of loads */
};

struct cw_request {
    uint64_t cookie;
    uint64_t seq; /* in its model's order of arrival */
    int64_t due, deadline, load_deadline;
    double demand, load_demand; /* device time a default objective; 0 once it no longer counts */
    uint32_t model, prev, next, timer;
    bool cold;
};

struct cw_window {
    int64_t v[CW_WINDOW];
    uint32_t n, next;
};

/* One request is in the queue of every batch size; queue b begins at front[b]. */
struct cw_model {
    struct policy_cost cost; /* estimates: the worst of the window */
    struct cw_window exec[POLICY_BATCHES], load;
    uint32_t head, tail, front[POLICY_BATCHES], count[POLICY_BATCHES], waiting;
    uint64_t front_seq[POLICY_BATCHES], next_seq;
    double demand, load_demand; /* of its requests; load demand ends when one is sent off */
    bool able;
    uint32_t active; /* place in the list of models with waiting requests, or NIL */
    uint32_t wanted; /* place in the list of models with demand, or NIL */
};

/* A strategy is one batch size of one copy, with the priority that its queue's front gave when it
 * was made: it is made anew only when it was tried. */
struct cw_copy {
    bool loaded, loading;
    uint8_t strategies; /* bits: the batch sizes that wait to be tried */
    uint32_t active;    /* place among its device's copies with strategies, or NIL */
    int64_t priority[POLICY_BATCHES];
    uint64_t used; /* sequence of the last use */
    double share;  /* of the model's demand */
};

struct cw_action {
    uint64_t id;
    enum policy_action_kind kind;
    uint32_t device, model, n, batch, next_free;
    int64_t expected;
    bool live;
    uint32_t requests[POLICY_MAX_BATCH];
};

#define CW_OUTSTANDING 64

/* What one engine of a device has before it. */
struct cw_engine {
    uint32_t actions[CW_OUTSTANDING], n; /* places, in the order sent */
    int64_t total, begin;                /* expected time of all; when the first one began */
};

struct cw_device {
    bool up;
    uint32_t pages_free, pages;
    struct cw_engine exec, load;
    double demand; /* shares that lie on it */
    int64_t wake;
    uint32_t *active, n_active; /* models whose copy here has strategies */
};

struct cw {
    struct policy_ports ports;
    struct cw_variant v;
    struct cw_request *requests;
    uint32_t max_requests, free_request;
    struct cw_model *models;
    size_t n_models, cap_models;
    struct cw_device *devices;
    size_t n_devices, cap_devices;
    struct cw_copy *copies; /* model * n_devices + device */
    struct cw_action *actions;
    size_t n_actions, cap_actions;
    uint32_t free_action;
    uint32_t *active, n_active, *wanted, n_wanted;
    uint32_t *heap, n_heap; /* requests by deadline */
    uint64_t uses, serial;
};

static inline struct cw_copy *cw_copy_of(const struct cw *c, uint32_t model, uint32_t device)
{
    return &c->copies[(size_t)model * c->n_devices + device];
}

/* clockwork.c */
/** When the engine should be idle. */
int64_t cw_engine_free(const struct cw *c, const struct cw_engine *e, int64_t now);
/** The device whose turn to be asked it is: that does not depend on requests. */
uint32_t cw_poll(const struct cw *c, int64_t now);
void cw_engine_add(struct cw *c, struct cw_engine *e, int64_t now, const struct cw_action *a);
/** Makes the copy's strategies, of sizes below that place, where it has none yet. */
void cw_copy_activate(struct cw *c, uint32_t device, uint32_t model, uint32_t below);
struct cw_action *cw_act(struct cw *c, int64_t now, enum policy_action_kind kind, uint32_t device,
                         uint32_t model, const uint32_t *requests, uint32_t n, uint32_t batch,
                         int64_t latest);

/* clockwork_queue.c */
void cw_queue_add(struct cw *c, uint32_t request);
/** Takes it out of all queues; it is not answered by this. */
void cw_queue_take(struct cw *c, uint32_t request);
void cw_queue_drop_fronts(struct cw *c, uint32_t model, int64_t free_at);
/** No queue keeps anything that came before this one: first come, or not at all. */
void cw_queue_catch_up(struct cw *c, uint32_t model, uint64_t seq);
void cw_heap_add(struct cw *c, uint32_t request);
void cw_heap_remove(struct cw *c, uint32_t request);

/* clockwork_load.c */
void cw_demand_add(struct cw *c, uint32_t request);
void cw_demand_remove(struct cw *c, uint32_t request);
/** A load can no longer serve it. */
void cw_demand_expire(struct cw *c, uint32_t request);
void cw_demand_spread(struct cw *c, uint32_t model);
void cw_loads_run(struct cw *c, int64_t now);
