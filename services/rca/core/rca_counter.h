/* What would have been: the symptom of the one who notices, had the cause stayed normal. Pure and
 * deterministic. */
#pragma once

#include "rca_engine.h"

/* Excess attribution: of what the effect shows above its normal level, the part that follows the
 * cause's strongest signal, row by row (least squares: within the incident where the two move
 * together there, else through the normal levels: all that began with the cause is laid to it). The
 * interval is the middle 95 % of block bootstrap samples, the rows before and in the incident drawn
 * apart. It holds what chance in the rows does, not whether the cause did it: where the two do not
 * move together, what would have been lies anywhere from there up to what was seen. */
struct ac_rca_counter {
    bool known;          /* false: no effect with a measurement, or too few rows in common */
    int effect;          /* component */
    int metric;          /* its latency, errors or failures seen from outside */
    size_t rows;         /* of the incident that both were measured in */
    double normal, seen; /* level before, mean in the incident */
    double would;        /* mean in the incident, had the cause stayed normal */
    double low, high;    /* interval of would */
    bool together;       /* the two move together within the incident */
    double share;        /* of the excess that goes with the cause, 0..1 */
};

/** For the first of the ranking. */
struct ac_rca_counter ac_rca_counterfactual(const struct ac_rca_case *c,
                                            const struct ac_rca_result *r);

/** The part of the first cause without which another component would be first; nparts of it when
 * none is decisive alone. */
size_t ac_rca_decisive_part(const struct ac_rca_result *r);
