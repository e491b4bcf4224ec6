/* Who asks for which model when: closed loops (a client asks again when it is answered), open
 * arrivals (times that do not depend on answers) and functions with a rhythm of their own, all from
 * one seed. */
#pragma once

#include "costs.h"
#include "trace.h"

#include <stdbool.h>

#include <aceso/rng.h>

struct workload_class {
    uint32_t first_model, n_models; /* requests go to these evenly; classes may share models */
    uint32_t closed;                /* clients that wait for their answer, per model */
    double rate;                    /* open: requests a second in all */
    double cv;                      /* of the gaps: 1 is Poisson, more is bursty (Gamma) */
    double awake_per_s;             /* models that join in each second; 0: all from the start */
    int64_t objective_ns;
    double objective_grows; /* factor each objective_every_ns; 0: it stays */
    int64_t objective_every_ns;
    uint8_t tenant, priority; /* of its requests */
};

#define WORKLOAD_CLASSES 4

/* One caller of one model, as in traces of serverless functions. */
struct workload_function {
    uint32_t model;
    enum {
        WORKLOAD_TIMER,
        WORKLOAD_POISSON,
        WORKLOAD_ON_OFF,
        WORKLOAD_GAMMA,  /* gaps of the coefficient of variation cv */
        WORKLOAD_COUNTS, /* of a trace, spread over their minutes */
        WORKLOAD_TIMES   /* of a trace */
    } kind;
    double rate; /* requests a second; ON_OFF: on average; of a trace: times what it recorded */
    union {
        struct {
            int64_t period_ns; /* TIMER */
            int64_t phase_ns;  /* TIMER; ON_OFF: when the present burst ends */
        };
        double cv;
        struct {
            const struct trace_count *count, *counts_end; /* those to come */
            int64_t minute_end_ns;
            uint32_t left; /* of the present minute */
        };
        struct {
            const int64_t *time, *times_end; /* those to come */
        };
    };
};

struct workload {
    uint32_t n_models;
    uint32_t *row; /* of the cost table, per model */
    struct workload_class classes[WORKLOAD_CLASSES];
    uint32_t n_classes;
    struct workload_function *functions; /* their models are in classes[0], without a rate there */
    uint32_t n_functions;
    int64_t *own_ns;   /* per model, instead of its class's objective; NULL: none has its own */
    int64_t *times_ns; /* of a trace, sorted by model; functions point into them */
    double load_grows; /* factor on the functions' rates each load_every_ns; 0: they stay */
    int64_t load_every_ns;
    uint32_t gpus; /* that the experiment is made for */
    int64_t duration_ns, warmup_ns;
};

#define WORKLOAD_NAMES                                                                             \
    "fig5, fig6, fig7, fig8, fig9, fig10, fig11, azure, scale, poisson, burst, gamma, tenants"

/** Experiments by name, WORKLOAD_NAMES. objective_ns replaces theirs when above 0; so does gpus.
 * seed: of what an experiment draws for itself (azure, scale). */
int serving_workload_named(const char *name, const struct costs *c, int64_t objective_ns,
                           uint32_t gpus, uint64_t seed, struct workload *ret_w,
                           struct ac_err *err) AC_MUST_USE;

struct workload_replay {
    double rate;     /* times what was recorded */
    uint32_t models; /* the table's rows in turn; 0: 4,026 at most, one a function; times: 72 */
    int64_t objective_ns;
    uint32_t gpus; /* 0: 6 */
    uint64_t seed; /* which function, or request of a trace of times, asks for which model */
};
#define WORKLOAD_REPLAY_MODELS 65536

/** A recorded trace, as long as that is; it must outlive the workload. The busiest functions get a
 * model each, in shuffled order, the next ones share them. */
void serving_workload_trace(const struct trace *t, const struct costs *c,
                            const struct workload_replay *r, struct workload *ret_w);
/** Open arrivals come at so many times their rate (timers do not), with gaps of this coefficient of
 * variation; 0: as it is. */
void serving_workload_scale(struct workload *w, double rate, double cv);
/** So many models of the one that all of the workload's are; the rates stay. */
int serving_workload_models(struct workload *w, uint32_t n, struct ac_err *err) AC_MUST_USE;
/** Each model's objective is so many of its own executions; work that has all day keeps that. */
void serving_workload_own_objectives(struct workload *w, const struct costs *c, double executions);
void serving_workload_free(struct workload *w);
/** Do its requests differ in tenant or priority? */
bool serving_workload_ranked(const struct workload *w);
/** Gap to the next open arrival of a class, in ns. */
int64_t serving_workload_gap_ns(const struct workload_class *c, struct ac_rng *rng);
/** The model that an open arrival of the class asks for. */
uint32_t serving_workload_model(const struct workload_class *c, int64_t now, struct ac_rng *rng);
int64_t serving_workload_objective_ns(const struct workload *w, const struct workload_class *c,
                                      uint32_t model, int64_t now);
/** When the function asks next, after now; its first time with now 0. Behind the workload's end
 * when it does not ask again. */
int64_t serving_workload_next_ns(const struct workload *w, struct workload_function *f, int64_t now,
                                 struct ac_rng *rng);
