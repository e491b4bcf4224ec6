/* Inside the simulator: what its files share. */
#pragma once

#include "agenda.h"
#include "peer_clock.h"
#include "sim.h"

#define SIM_NIL          UINT32_MAX
#define SIM_LATENCY_STEP 10000 /* ns a bucket */
#define SIM_LATENCY_MAX  200000

enum sim_event {
    SIM_EV_CLIENT,
    SIM_EV_OPEN,
    SIM_EV_FUNCTION,
    SIM_EV_AT_DEVICE,
    SIM_EV_LINK, /* something on a device's link has been copied */
    SIM_EV_RESULT,
    SIM_EV_PING,
    SIM_EV_PONG,
    SIM_EV_WAKE,
    SIM_EV_CRASH,
    SIM_EV_LEASE, /* of the device that has crashed ends */
    SIM_EV_STALL,
    SIM_EV_REJOIN
};

struct sim_request {
    int64_t came, due;
    uint32_t class, model, client, next_free;
};

struct sim_action {
    struct policy_action a;
    struct policy_result r;
    int64_t sent;
    uint32_t epoch, next_free;
    int64_t earliest, latest; /* as the device takes them */
    int64_t late_ns;          /* a stall's time, which its result has not waited yet */
    bool live;
    bool copying;       /* waits for the link or is on it: no event holds it */
    bool moving;        /* on it */
    uint32_t next_copy; /* in its lane */
    double left_ns;     /* of its copy, with the link to itself */
};

enum sim_lane {
    SIM_LANE_LOAD,
    SIM_LANE_INPUT,
    SIM_LANES
};

/* Weights and inputs on the way to a device: one of each at a time, first in first out. */
struct sim_link {
    struct {
        uint32_t head, tail;
    } lanes[SIM_LANES];
    int64_t at;  /* copies are as far as left_ns says at this time */
    int64_t due; /* of the one event that counts; POLICY_NEVER */
};

/* Weights come in pieces, a page each. */
struct sim_load {
    int64_t begin, first; /* first: when the first piece is there */
};

struct sim_device {
    bool up;
    uint32_t epoch; /* counts its lives: what belongs to an earlier one is lost */
    bool missed;    /* the policy has been told that it is away */
    int64_t stalled_until;
    uint32_t kind;
    int64_t exec_free, pipe_free;
    int64_t told, heard[2]; /* arrival of the last message there, and back from each engine */
    uint32_t pages_free;
    int64_t *ready;         /* per model: when its weights are there; -1 not loaded */
    struct sim_load *loads; /* per model: of the last load */
    struct sim_link link;
    /* Its clock shows offset_ns + (1 + drift) * now; the controller's idea of that: */
    int64_t offset_ns;
    double drift;
    struct ctl_peer_clock estimate;
    struct {
        int64_t sent, received; /* received: its clock */
        int64_t due;            /* of the one event of either kind that counts */
    } ping;
};

struct sim {
    const struct sim_config *cfg;
    void *policy;
    int64_t now;
    struct agenda *agenda;
    struct sim_request *requests;
    size_t n_requests, cap_requests;
    uint32_t free_request;
    struct sim_action *actions;
    size_t n_actions, cap_actions;
    uint32_t free_action;
    struct sim_device *devices;
    uint32_t *rows[POLICY_KINDS];        /* per kind and model: row of the kind's table */
    struct workload_function *functions; /* a copy: they have a state */
    struct ac_rng rng_arrivals, rng_noise, rng_clocks;
    int64_t wake_at;
    uint32_t latency[SIM_LATENCY_MAX + 1];
    struct sim_stats st;
    int64_t busy_ns;
    uint64_t answers;   /* replies that an INFER was named for */
    double policy_ns;   /* of the laps before this one */
    int64_t reading_ns; /* least time of one reading of the timer, in every measured call */
    struct {
        int64_t policy_ns, timer_at, cpu_at;
        uint32_t events;
        bool timed;
        uint64_t number;
    } lap;
    uint64_t policy_requests;
};

void sim_schedule(struct sim *s, int64_t at, enum sim_event kind, uint32_t what);
/** To be called after every entry into the policy: its next wake-up may have moved. */
void sim_rearm(struct sim *s);

/* ---- the policy's time (sim_cost.c) ---- */

int64_t sim_cost_start(const struct sim *s);
void sim_cost_stop(struct sim *s, int64_t start);
void sim_cost_calibrate(struct sim *s);
void sim_cost_lap_begin(struct sim *s);
void sim_cost_lap_end(struct sim *s);
/** An event has been handled. */
void sim_cost_event(struct sim *s);

/* ---- devices (sim_device.c); at: an action ---- */

void sim_act(void *self, const struct policy_action *a);
void sim_at_device(struct sim *s, uint32_t at);
void sim_result(struct sim *s, uint32_t at);
void sim_device_start(struct sim *s, uint32_t d);
void sim_device_crash(struct sim *s, uint32_t d);
void sim_device_missed(struct sim *s, uint32_t d);
void sim_device_stall(struct sim *s, uint32_t d);
/** Tells who watches of what had no end; does nothing else. */
void sim_actions_end(struct sim *s);
/** Executions may begin before loads have ended. */
bool sim_overlaps(const struct sim *s);
const struct costs_row *sim_row(const struct sim *s, uint32_t device, uint32_t model);
/** The execution, whose inputs are there now. */
void sim_execute(struct sim *s, uint32_t at);
/** The load has come over the link; or its window closed before its turn came. */
void sim_load_done(struct sim *s, uint32_t at);
void sim_load_late(struct sim *s, uint32_t at);
void sim_answer(struct sim *s, uint32_t at, enum policy_status status, int64_t begin, int64_t end);

/* ---- their links (sim_link.c) ---- */

void sim_link_init(struct sim_link *l);
void sim_link_add(struct sim *s, uint32_t at, enum sim_lane lane, double alone_ns);
/** SIM_EV_LINK: what is due is done, and what comes next begins. */
void sim_link_run(struct sim *s, uint32_t device);

/* ---- their clocks (sim_drift.c) ---- */

void sim_clock_start(struct sim *s, uint32_t device);
void sim_ping(struct sim *s, uint32_t device);
void sim_pong(struct sim *s, uint32_t device);
/** When the device takes it to be that time of the controller's, as told by the controller. */
int64_t sim_clock_there(const struct sim *s, uint32_t device, int64_t ours);
/** When the controller takes it to have been, by the device's clock. */
int64_t sim_clock_here(const struct sim *s, uint32_t device, int64_t at);
