/* Policies to compare with, after what is published of known servers, on the same devices: each
 * model has a queue; what is nowhere is loaded on demand, and the least recently used leaves.
 *   fifo     one request at a time, at once, nothing dropped
 *   clipper  Crankshaw et al., NSDI 2017, 4.3: each replica of a model runs one batch at a time,
 *            whose size grows by one while it is answered within the objective and shrinks by a
 *            tenth when not (AIMD); 4.3.2: waits a little for a fuller batch. Its code drops what
 *            has expired in the queue
 *   triton   dynamic batcher of Triton Inference Server (user guide, "Dynamic Batcher"): preferred
 *            batch size, max_queue_delay, instance groups, default_timeout with REJECT; models are
 *            loaded explicitly, by need, as its users do
 *   nexus    Shen et al., SOSP 2019, 6.1: squishy bin packing of sessions into duty cycles, each
 *            epoch; 6.3: early drop by a window of the planned batch; each device goes round its
 *            models
 * Where all models fit, replicas are loaded from the start. One owner, one thread. */
#pragma once

#include "policy.h"

#include <stddef.h>

#define BL_NONE UINT32_MAX

/* What whoever runs one of these must choose. */
struct baseline_params {
    uint32_t replicas;  /* of each model where all fit; 0: one on each device */
    double share;       /* clipper, nexus: of the objective that batches are sized for */
    int64_t delay_ns;   /* clipper, triton: how long the first waits for a fuller batch */
    uint32_t preferred; /* triton: batch size that is worth waiting for; 0: none */
    uint32_t instances; /* triton: of a model on a device */
    int64_t epoch_ns;   /* nexus: from plan to plan */
};

/** What it is run with unless something better is found; NULL: the policy has nothing to choose. */
const struct baseline_params *baseline_defaults(const struct policy_ops *policy);
/** The i-th of those to try; false behind the last. */
bool baseline_candidate(const struct policy_ops *policy, uint32_t i, struct baseline_params *ret_p);

struct bl_waiting {
    uint64_t cookie;
    int64_t came, due;
    uint32_t model, next;
    bool cold;
};

struct bl_model {
    struct policy_cost cost;
    uint32_t head, tail, n;
    uint32_t active; /* place among those with a queue, or BL_NONE */
    uint32_t copies; /* loaded or loading */
    int64_t objective;
    uint64_t arrivals; /* in this epoch: nexus */
    double rate;
    uint32_t planned; /* copies of the plan that are loaded */
};

struct bl_copy { /* of one model on one device */
    bool loaded, loading, home;
    uint32_t inflight;
    int64_t used;
    double batch;  /* clipper's size */
    uint32_t plan; /* nexus: batch of the plan, 0: not planned here */
    uint64_t turn; /* nexus: when it was last served */
};

struct bl_action {
    enum policy_action_kind kind;
    uint32_t device, model, n, batch, next_free;
    int64_t sent;
    bool live;
    uint32_t requests[POLICY_MAX_BATCH];
};

struct bl_device {
    bool up;
    uint32_t pages, pages_free, loads, inflight;
    int64_t outstanding;
    double work; /* ns of executions it was given, of the last ten seconds or so */
    int64_t work_at;
    bool passed; /* nexus: has nothing to do in this round */
};

struct baseline;

struct bl_style {
    /** Gives devices what there is to give; model: of that one alone, BL_NONE: of all. */
    void (*run)(struct baseline *q, int64_t now, uint32_t model);
    /** A batch was answered. May be NULL. */
    void (*answered)(struct baseline *q, int64_t now, const struct bl_action *a);
    /** When it wants to run again without an event, POLICY_NEVER: not. May be NULL. */
    int64_t (*wake_at)(const struct baseline *q);
    struct baseline_params params;
};

struct baseline {
    struct policy_ports ports;
    const struct bl_style *style;
    struct baseline_params params;
    int64_t net_ns;
    struct bl_waiting *requests;
    uint32_t free_request, max_requests;
    struct bl_model *models;
    struct bl_device *devices;
    struct bl_copy *copies; /* [model * n_devices + device] */
    size_t n_models, cap_models, n_devices, cap_devices;
    struct bl_action *actions;
    size_t n_actions, cap_actions;
    uint32_t free_action, *active, n_active;
    bool placed;   /* homes are chosen */
    int64_t epoch; /* nexus: of the next plan */
    int64_t epoch_began;
    uint64_t turns;
};

extern const struct bl_style bl_fifo, bl_clipper, bl_triton, bl_nexus;

static inline struct bl_copy *bl_copy_of(const struct baseline *q, uint32_t model, uint32_t device)
{
    return &q->copies[(size_t)model * q->n_devices + device];
}

static inline const struct bl_waiting *bl_head(const struct baseline *q, const struct bl_model *m)
{
    return &q->requests[m->head];
}

/** Smallest compiled batch for n rows, as an index. */
uint32_t bl_batch_for(const struct bl_model *m, uint32_t n);
/** Takes the first n requests of the model's queue as one batch to a device. */
void bl_send(struct baseline *q, int64_t now, uint32_t model, uint32_t device, uint32_t n);
/** Answers the head of the queue as expired. */
void bl_drop(struct baseline *q, uint32_t model);
/** The device on which a copy with less than so many batches under way waits for the least, or
 * BL_NONE. */
uint32_t bl_idle_copy(const struct baseline *q, uint32_t model, uint32_t inflight);
/** Loads the model there, unless it is or what is there cannot leave. */
void bl_load(struct baseline *q, int64_t now, uint32_t model, uint32_t device);
