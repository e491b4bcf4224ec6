/* A session's phases and its scores. Times are Unix nanoseconds; 0 = did not happen. */
#pragma once

#include "problem.h"

#include <stdbool.h>
#include <stdint.h>

/* In order. A session that was interrupted goes on at the phase it was in: each can be run again.
 */
enum lab_phase {
    LAB_PHASE_SETUP,     /* application deployed, load running */
    LAB_PHASE_BASELINE,  /* healthy telemetry is gathered, the objective is fixed */
    LAB_PHASE_LEARNING,  /* rules are trained on it */
    LAB_PHASE_INJECTING, /* the fault is put in (write-ahead journal) */
    LAB_PHASE_GATE,      /* waits until the fault is visible to users, else the run is void */
    LAB_PHASE_AGENT,     /* the agent works; the oracle watches the objective */
    LAB_PHASE_REVERTING, /* the fault is taken out; the baseline must come back */
    LAB_PHASE_TEARDOWN,
    LAB_PHASE_DONE,
    LAB_PHASE_FAILED
};

const char *lab_phase_name(enum lab_phase p);
/** LAB_PHASE_FAILED for an unknown name. */
enum lab_phase lab_phase_from_name(const char *name);

/* What was seen of the agent's work. */
struct lab_observed {
    int64_t injected_ns, first_effect_ns;
    int64_t alert_ns; /* arrival of the first alert that began after the injection */
    int64_t diagnosed_ns;
    char root_cause[LAB_NAME_MAX];
    int64_t mitigated_ns; /* the agent's last action before the objective held */
    int64_t held_from_ns; /* start of the window over which the objective held */
};

struct lab_scores {
    bool detected, localised, mitigated;
    double ttd_s, ttl_s, ttm_s; /* from the first visible effect; negative = never */
};

/** AIOpsLab's levels made sound: times run from the fault's first visible effect, and mitigation
 * counts only when the user's objective held over a whole window. */
void lab_score(const struct lab_problem *p, const struct lab_observed *o, struct lab_scores *ret);
