/* Who asks for which model when: closed loops (a client asks again when it is answered) and open
 * arrivals (times that do not depend on answers), all from one seed. */
#pragma once

#include "costs.h"

#include <stdbool.h>

#include <aceso/rng.h>

struct workload_class {
    uint32_t first_model, n_models; /* requests go to these evenly */
    uint32_t closed;                /* clients that wait for their answer, per model */
    double rate;                    /* open: requests a second in all */
    double cv;                      /* of the gaps: 1 is Poisson, more is bursty (Gamma) */
    int64_t objective_ns;
};

#define WORKLOAD_CLASSES 4

struct workload {
    uint32_t n_models;
    uint32_t *row; /* of the cost table, per model */
    struct workload_class classes[WORKLOAD_CLASSES];
    uint32_t n_classes;
    uint32_t gpus; /* that the experiment is made for */
    int64_t duration_ns, warmup_ns;
};

/** Experiments by name: fig5, poisson, burst. objective_ns replaces theirs when above 0. */
int serving_workload_named(const char *name, const struct costs *c, int64_t objective_ns,
                           struct workload *ret_w, struct ac_err *err) AC_MUST_USE;
void serving_workload_free(struct workload *w);
/** Gap to the next open arrival of a class, in ns. */
int64_t serving_workload_gap_ns(const struct workload_class *c, struct ac_rng *rng);
