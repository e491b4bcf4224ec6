/* The scheduler's state. Only sched*.c include this. */
#pragma once

#include "sched.h"
#include "sketch.h"

#include <stddef.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>

#define NIL               UINT32_MAX
#define SCHED_OUTSTANDING 32 /* actions in flight on one device and engine */
#define SCHED_ACTION_BITS 24 /* low bits of an action id: its place in the pool */
#define SCHED_TICK_NS     (5 * 1000000LL)
#define SCHED_TICK_LOOKS  64
#define SCHED_LOOK_EVERY                                                                           \
    8 /* arrivals in a cell after which idle load engines look for work ...                        \
       */
#define SCHED_LOOK_NS       (50 * 1000000LL) /* ... at the latest after this */
#define SCHED_PIPE_AHEAD    400000LL         /* a pipe free within this may get a load */
#define SCHED_SHED_SCAN     32
#define SCHED_BLOCK         64     /* records under one bound */
#define SCHED_BOUNDS_FROM   4096   /* records in a cell */
#define SCHED_AHEAD_NS      100000 /* before its end of work a device is given more, at least */
#define SCHED_BACKGROUND_NS (10 * AC_NS_PER_S) /* who has longer than this has all day */
#define SCHED_CHANCES       32
#define SCHED_SAVE_ARRIVALS 0.5 /* no wait for company of which less is expected */
#define SCHED_LOAD_TRIES    3
#define TIMER_DEVICE        (1u << 31)
#define SCHED_LINE          64 /* bytes that come from memory at once */
#define SCHED_GUESTS        8  /* hot models of others that a cell can serve */

struct request {
    uint64_t cookie;
    int64_t deadline;  /* planning deadline: the caller's less the answer margin */
    int64_t due;       /* the caller's */
    int64_t objective; /* deadline less arrival */
    uint32_t model, prev, next;
    uint8_t rows;
    bool cold;
    uint8_t tenant, priority;
    uint32_t group, group_prev, group_next; /* with ranks, while it waits */
};

/* The waiting requests of one model, tenant and priority, by deadline. */
struct group {
    uint32_t next; /* of the model's groups, or of the free ones */
    uint32_t head, tail, rows;
    uint8_t tenant, priority;
};

/* A counter that fades: value * exp(-(t - at) / tau). */
struct decayed {
    double value;
    int64_t at;
};

/* What executions of one model and batch size showed. */
struct model_spread {
    struct spread spread;
    struct drift drift;
    uint16_t since; /* the plan was made */
    int64_t late;   /* mean of the last few */
};

/* What a model costs on devices of one kind, and how its requests are best split there. */
struct plan {
    /* What requests ask of it is in its first line, what loads do in the second. */
    int64_t eh[POLICY_BATCHES + 1];  /* exec with margin; 0: not compiled; last: for ever */
    uint8_t first[POLICY_MAX_BATCH]; /* for n rows, at n - 1: index of the batch to start with */
    uint8_t smallest;                /* index of the smallest compiled batch */
    struct policy_cost cost;
    int64_t best[POLICY_MAX_BATCH + 1]; /* least device time for n rows */
};

/* What the timer heap holds: a model, or a device with TIMER_DEVICE set. */
struct due {
    int64_t at;
    uint32_t key;
};

/* A place in the timer heap. */
struct timer {
    int64_t at;
    uint32_t heap_at; /* NIL when not armed */
};

/* With many models what costs time is bringing them in from memory, so what is read together lies
 * in one line of 64 bytes. */
struct model {
    /* What the clock hand and the search for victims read of many models in a row. */
    uint64_t able, loaded, loading; /* by device of the cell */
    struct decayed fast, slow;      /* arrivals, tau 1 s and 300 s */
    uint32_t queued;
    uint16_t inflight; /* INFER actions under way */
    uint8_t kinds;     /* of devices of which there is a plan; bits */
    bool retired : 1;
    bool cold_lost : 1; /* the last request had less time than a load takes, and two executions */
    bool hot : 1;       /* it has guests */
    bool leaving : 1;   /* a guest that nothing is dealt to */
    struct plan plan;   /* on devices of kind 0 */
    uint32_t head, tail, rows; /* waiting requests by deadline; their rows */
    uint32_t groups;           /* with ranks: the first of them, or NIL */
    uint32_t record;           /* place among the cell's active records, or NIL */
    uint32_t cell;
    uint64_t share_mask; /* devices whose backlog carries share */
    int64_t share;
    struct timer timer; /* when the first waiting request is lost */
    int64_t eta;        /* when the earliest load under way ends, with margin */
    int64_t weights_at; /* the same without */
    uint8_t eta_bit;    /* on that device of the cell; SCHED_CELL_DEVICES: none overlaps it */
    uint8_t load_failures;
    bool cold_listed, at_risk;
    uint32_t home;   /* of a guest: the model; else NIL */
    uint32_t guests; /* the first of them; of a guest the next; or NIL */
    uint8_t pause;   /* looks until it may have another guest */
    uint8_t calm;    /* looks since it needed them */
} __attribute__((aligned(SCHED_LINE)));
_Static_assert(offsetof(struct model, plan) == SCHED_LINE, "the first part is one line");

/* What Pick looks at of the models with waiting requests that its device holds. */
struct record {
    int64_t lfull;            /* latest start (device time) of the batch the table would pick */
    int64_t llast;            /* the last moment at which any waiting request could be begun */
    int64_t full_ns, last_ns; /* the execution that each of the two leaves room for */
    uint32_t model;
    uint8_t first, take;
    int64_t ready; /* until then it waits, for a larger batch or for begin, or 0 */
    int64_t begin; /* 0, or the weights are on their way: a start that need not wait for them */
};

/* Of SCHED_BLOCK records that follow each other. */
struct bound {
    int64_t least, most; /* lfull */
    int64_t most_ns;     /* full_ns */
    bool known;          /* else it is made anew when it is asked for */
};

struct action {
    uint64_t id;
    enum policy_action_kind kind;
    uint32_t device, model, n, next_free;
    uint8_t batch; /* index */
    bool live;
    bool blocks;   /* background work too long for the foreground's slack */
    bool overlaps; /* INFER: sent before its load has ended */
    uint32_t twin; /* the other action that some of its requests are in, or NIL */
    int64_t sent, begin_estimate, expected;
    int64_t weights_at;                  /* with overlaps: when the load ended, once known */
    uint32_t requests[POLICY_MAX_BATCH]; /* NIL: answered by the twin */
};

struct device {
    /* What is asked of every copy when a request comes. */
    bool up;
    uint8_t kind;
    bool delays_known; /* of its own; else those of all hold */
    uint32_t n_infers;
    uint32_t cell, bit;
    int64_t free_at;     /* mean time at which its execution engine is idle */
    int64_t outstanding; /* expected time of what it was given and has not returned */
    int64_t pipe_free;   /* the same for its load engine */
    int64_t backlog;     /* its share of waiting work */
    int64_t last_sent;
    double pace; /* execution time beside that of the model on any device of its kind */
    struct decayed util;
    int64_t net_ns, ahead_ns;          /* of its answers */
    int64_t behind_ns;                 /* how much later than of others its answers are safe */
    int64_t first_end, first_expected; /* of the first action in flight: end expected, length */
    uint32_t pages_free, n_loads;
    uint32_t pages;
    uint32_t blocking; /* actions under way that block it for the foreground */
    int64_t delay_p99_ns;
    struct timer timer;                 /* when it should be given more */
    int64_t heard_end, heard_load_end;  /* of the last results */
    int64_t inputs_end;                 /* expected, of what it was given */
    int64_t input_ns;                   /* of one of its batches of late */
    uint32_t infers[SCHED_OUTSTANDING]; /* action places, in the order sent */
    uint32_t loads[SCHED_OUTSTANDING];
    uint32_t *resident; /* model numbers */
    uint32_t n_resident, cap_resident;
} __attribute__((aligned(SCHED_LINE)));

/* What the foreground of a cell does, and how much background work that allows. */
struct guard {
    uint32_t new_arrivals, new_drops; /* since the last tick */
    int64_t new_work_ns;
    double arrivals, drops, work_ns; /* of about the last second */
    int64_t slack, slack_before;     /* least of this second's objectives, and of the last's */
    uint32_t ticks;
    uint32_t blocked; /* devices */
    double quota;     /* of them */
};

/* Of a cell, with ranks. */
struct tenant {
    struct decayed used; /* ns of device time */
    double had;          /* for its share, when shares were last compared */
    uint32_t waiting;
    int64_t served_at[POLICY_PRIORITIES]; /* while not all could be met */
};

struct cell {
    uint32_t devices[SCHED_CELL_DEVICES], n_devices;
    uint64_t up;
    uint64_t busy, silent; /* devices with work in flight; those whose answer is overdue */
    int64_t watch_at;      /* nothing becomes overdue before */
    struct record *records[POLICY_KINDS]; /* the same models in the same order for each kind */
    struct bound *bounds[POLICY_KINDS];   /* of the records, block by block */
    uint64_t *masks;                      /* beside the records: the devices that hold the model */
    uint32_t n_records;
    uint64_t of_kind[POLICY_KINDS]; /* devices */
    uint32_t *models, n_models;
    size_t cap_models;
    uint32_t *cold, n_cold; /* models that want a load; room for every model of the cell */
    struct decayed arrivals, drops;
    uint32_t hand; /* of the tick's clock */
    uint32_t since_look;
    int64_t look_at;
    int64_t ahead_most_ns; /* of what a device is given before its end of work */
    struct guard guard;
    int64_t outstanding, backlog;     /* sums of its devices' */
    double drops_then, arrivals_then; /* at the last look for hot models */
    bool losing;                      /* requests, since the look before, for want of devices */
    bool guest_came;                  /* since the last look */
    struct tenant *tenants;           /* with ranks: POLICY_TENANTS of them */
    double due;                       /* up to what of it tenants are due */
};

/* What a device could run next. */
struct choice {
    uint32_t model, start; /* first request of the batch */
    uint8_t batch;
    uint32_t take; /* rows at most */
    int64_t latest;
    int64_t begin; /* as the record's */
    double rate;   /* rows a ns of device time */
    /* With ranks, where not all can be met: */
    double over; /* 0: its tenant is due; else what that has had for its share */
    uint8_t priority;
    bool ranked;
    bool grouped; /* the start's own group comes first in the batch */
};

struct sched {
    struct sched_config cfg;
    struct policy_ports ports;
    struct sched_learnt learnt;
    struct sched_counts counts;
    double chance[SCHED_CHANCES]; /* by how much of the hope is used up */
    /* Where there are several cells the first SCHED_GUESTS a cell are for guests: the caller's
     * numbers are less by so many. */
    struct model *models;
    size_t n_models, cap_models;
    uint32_t n_guests, guests_here;
    uint64_t *able_far; /* by model and cell: devices that can run it, as struct model's able */
    int64_t hot_looked_at;
    struct plan *plans[POLICY_KINDS]; /* by model; none for kind 0 */
    uint32_t n_kinds;
    struct device *devices;
    size_t n_devices, cap_devices;
    struct cell *cells;
    struct request *requests;
    uint32_t free_request, in_use;
    struct group *groups; /* with ranks: as many as requests */
    uint32_t free_group;
    uint32_t tenant_in_use[POLICY_TENANTS];
    int64_t tenant_at[POLICY_TENANTS]; /* last arrival */
    struct action *actions;
    uint32_t n_actions, free_action;
    struct due *heap; /* by time */
    uint32_t n_heap;
    size_t cap_heap;
    int64_t now; /* of the call that is under way */
    uint64_t serial;
    int64_t tick_at;
    uint64_t arrivals_since_tick;
    uint32_t idle_ticks;
    struct ac_rng rng;
    struct sketch answer_delay, exec_excess_ppm;
    struct spread load_excess;
    struct learner *learners;                   /* by device */
    struct model_spread *spreads[POLICY_KINDS]; /* by model and batch size */
    size_t cap_learners;
    uint32_t since_learnt;
    int64_t learnt_at;
};

/* sched.c */
double sched_decayed_get(const struct decayed *d, int64_t now, double tau_ns);
void sched_decayed_add(struct decayed *d, int64_t now, double tau_ns, double v);

void sched_model_init(struct model *m, uint32_t cell);
/** What waits gets NO_DEVICE, and nothing more comes. */
void sched_model_end(struct sched *s, int64_t now, uint32_t id);
static inline uint64_t *sched_able_far(const struct sched *s, uint32_t id, uint32_t cell)
{
    return &s->able_far[(size_t)(id - s->n_guests) * s->cfg.cells + cell];
}
/** The caller's number of a model or of the model whose guest it is. */
static inline uint32_t sched_model_number(const struct sched *s, uint32_t id)
{
    return (id < s->n_guests ? s->models[id].home : id) - s->n_guests;
}

/* sched_hot.c */
/** Of a model and its guests the one that a request which comes now should wait for. */
uint32_t sched_hot_deal(const struct sched *s, uint32_t home);
/** The model's guest in the cell, or NIL; with NIL for the model: a free place. */
uint32_t sched_hot_guest(const struct sched *s, uint32_t home, uint32_t cell);
void sched_hot_retire(struct sched *s, int64_t now, uint32_t home);
void sched_hot_tick(struct sched *s, int64_t now);

/* sched_action.c */
struct action *sched_action_new(struct sched *s, enum policy_action_kind kind, uint32_t device,
                                uint32_t model);
void sched_action_free(struct sched *s, struct action *a);
void sched_action_send(struct sched *s, struct action *a, int64_t earliest, int64_t latest);

/* sched_learn.c */
void sched_learn_init(struct sched *s);
void sched_learn_device_add(struct sched *s);
void sched_learn_device_up(struct sched *s, uint32_t device);
/** After models or kinds were added: those from so many on are new to the kind. */
void sched_learn_models(struct sched *s, uint32_t kind, size_t from);
void sched_learn_tick(struct sched *s, int64_t now);
/** Enough answers came for what is learnt of delays to mean something. */
bool sched_learn_knows_delays(const struct sched *s);
/** What is known of one model's executions becomes known of another. */
void sched_learn_copy(struct sched *s, uint32_t kind, const struct model *from,
                      const struct model *to);
double sched_learn_margin(const struct sched *s, uint32_t kind, const struct model *m,
                          uint8_t batch);
void sched_learn(struct sched *s, int64_t now, const struct action *a,
                 const struct policy_result *r);

/* sched_queue.c */
void sched_plan_init(struct plan *p);
void sched_model_plan(struct sched *s, struct model *m, uint32_t kind);
static inline struct plan *sched_plan_mut(struct sched *s, struct model *m, uint32_t kind)
{
    return kind ? &s->plans[kind][m - s->models] : &m->plan;
}
static inline const struct plan *sched_plan(const struct sched *s, const struct model *m,
                                            uint32_t kind)
{
    return kind ? &s->plans[kind][m - s->models] : &m->plan;
}
/** On the first kind of devices that can run it, where it does not matter which. */
static inline const struct plan *sched_plan_any(const struct sched *s, const struct model *m)
{
    return sched_plan(s, m, m->kinds ? (uint32_t)__builtin_ctz(m->kinds) : 0);
}
/** What speaks against a device for being of a kind that is slow at this model, in seconds of its
 * use of late: of 1e-8 to 1e-6 a nanosecond the last was best for burst and azure on seed 1. */
static inline double sched_kind_cost(const struct sched *s, const struct model *m,
                                     const struct device *d)
{
    if (s->n_kinds == 1)
        return 0;
    const struct plan *p = sched_plan(s, m, d->kind);
    return 1e-6 * (double)p->eh[p->smallest];
}
/** An execution of so many rows alone, with margin, on the kind of devices that is quickest. */
int64_t sched_least_exec(const struct sched *s, const struct model *m, uint32_t rows);
void sched_record_update(struct sched *s, uint32_t id);
void sched_model_touch(struct sched *s, uint32_t id);
void sched_queue_insert(struct sched *s, uint32_t req);
void sched_queue_remove(struct sched *s, uint32_t req);
void sched_queue_expire(struct sched *s, int64_t now, uint32_t id);
void sched_request_free(struct sched *s, uint32_t req);
void sched_request_answer(struct sched *s, int64_t now, uint32_t req, struct policy_reply *r);
void sched_request_refuse(struct sched *s, int64_t now, uint32_t req, enum policy_outcome o,
                          int64_t at);
void sched_timer_set(struct sched *s, uint32_t key, int64_t at);
void sched_timers_run(struct sched *s, int64_t now);
int64_t sched_timers_next(const struct sched *s);
uint8_t sched_batch_for_rows(const struct plan *p, uint32_t rows);

/* sched_pick.c */
/** How far ahead of its end of work the device is given more. */
int64_t sched_device_ahead(const struct sched *s, const struct device *d);
int64_t sched_device_free(const struct sched *s, const struct device *d, int64_t now);
/** Usual time of a message to or from it. */
int64_t sched_device_net(const struct sched *s, const struct device *d);
/** Soonest that it can begin something more, on the safe side and in the time of devices like the
 * others: after it an answer is as safe as theirs. */
int64_t sched_device_start(const struct sched *s, const struct device *d, int64_t now);
/** An execution there. */
static inline int64_t sched_device_exec(const struct device *d, int64_t ns)
{
    return d->pace == 1 ? ns : (int64_t)((double)ns * d->pace); /* NOLINT: set, not computed */
}
/** Not all can be met, so what is lost is chosen. */
bool sched_is_shedding(const struct sched *s, const struct cell *c, int64_t now);
void sched_pick(struct sched *s, int64_t now, uint32_t device);
/** The action, which has its requests and batch, is noted and sent. first_due: the first deadline.
 */
void sched_infer_give(struct sched *s, int64_t now, struct action *a, int64_t first_due,
                      bool background);
void sched_pick_for(struct sched *s, int64_t now, uint32_t model);

/* sched_silent.c */
/** The device, whose engine for it was idle, has been given something. */
void sched_silent_watch(struct sched *s, const struct device *d, const struct action *a);
/** It has answered, or is gone. */
void sched_silent_heard(struct sched *s, const struct device *d);
/** To be called at watch_at or soon after. */
void sched_silent_look(struct sched *s, int64_t now, uint32_t cell);
/** The action ends. answered: its twin need not do what both have; else it has that no more. */
void sched_twin_over(struct sched *s, struct action *a, bool answered);
/** Devices that hold the model and are heard of. */
static inline uint64_t sched_copies(const struct cell *c, const struct model *m)
{
    return m->loaded & c->up & ~c->silent;
}

/* sched_load.c */
void sched_cold_add(struct sched *s, uint32_t id, bool at_risk);
void sched_loads_run(struct sched *s, int64_t now, uint32_t cell);
void sched_load_wanted(struct sched *s, int64_t now, uint32_t model);
void sched_loads_tick(struct sched *s, int64_t now, uint32_t cell);
void sched_resident_remove(struct sched *s, uint32_t device, uint32_t at);
void sched_unload_all(struct sched *s, int64_t now, uint32_t model);

/* sched_overlap.c */
/** The cell's device on which executions of the absent model may begin before the load there has
 * ended; NULL: none. */
const struct device *sched_overlap_device(const struct sched *s, const struct model *m);
/** From the end of the load to that of an execution there which overlaps it, with margin; 0: none
 * can. */
int64_t sched_overlap_tail(const struct sched *s, const struct plan *p, const struct device *d,
                           uint8_t batch);
/** The device on which the first waiting request of an absent model is to begin before its load
 * there has ended, as a bit, with begin and ready of rec; 0: none. */
uint64_t sched_overlap_record(const struct sched *s, const struct model *m, struct record *rec);
/** The earliest start of an execution there that is not expected to wait for weights. */
int64_t sched_overlap_begin(const struct model *m, const struct plan *p, const struct device *d,
                            uint8_t batch);
/** An INFER that overlaps is being sent for no sooner than that: what the device has of it. */
void sched_overlap_sent(const struct model *m, const struct plan *p, const struct device *d,
                        int64_t earliest, struct action *a);
/** The model's weights are there. */
void sched_overlap_loaded(struct sched *s, struct device *d, uint32_t model, int64_t end);
void sched_overlap_learn(struct sched *s, const struct action *a, const struct policy_result *r);

/* sched_share.c */
void sched_share_init(struct sched *s);
void sched_share_fini(struct sched *s);
void sched_share_insert(struct sched *s, uint32_t req);
void sched_share_remove(struct sched *s, uint32_t req);
/** True when the pool of requests is short and the tenant holds more of it than its share. */
bool sched_share_full(struct sched *s, uint32_t tenant, int64_t now);
/** Compares what tenants have had, which sched_share_over then tells: 0 when it is due. */
void sched_share_compare(const struct sched *s, struct cell *c, int64_t now);
double sched_share_over(const struct sched *s, const struct cell *c, uint32_t tenant);
/** A batch is being sent: its tenants pay for it by rows. */
void sched_share_sent(struct sched *s, struct cell *c, const struct action *a, int64_t now,
                      bool shedding);
/** Why a request was not served in time, where not all can be. */
enum policy_outcome sched_share_reason(const struct sched *s, const struct cell *c,
                                       const struct request *r, int64_t now);

/* sched_background.c */
void sched_guard_init(struct guard *g);
void sched_guard_arrive(struct guard *g, const struct sched *s, int64_t now, const struct model *m,
                        const struct request *r);
void sched_guard_dropped(struct guard *g, const struct request *r);
void sched_guard_tick(struct guard *g, uint32_t devices);
/** Least slack of the last one to two seconds' objectives; POLICY_NEVER without any. */
int64_t sched_guard_slack(const struct guard *g);
bool sched_guard_admit(const struct sched *s, const struct cell *c, const struct device *d,
                       int64_t fh, const struct choice *foreground, struct choice *k);
int64_t sched_guard_retry_at(int64_t now);
void sched_guard_sent(const struct sched *s, struct cell *c, struct device *d, struct action *a,
                      int64_t eh, bool background);
void sched_guard_over(struct cell *c, struct device *d, const struct action *a);
