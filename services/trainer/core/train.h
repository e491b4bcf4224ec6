/* Training: a series in, a rule of the language out. Deterministic; no input but the training part.
 * Pure: any thread, one call a series. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/* A training part. Whoever reads a data set cuts it here: what comes after n was never in memory.
 */
struct train_part {
    const char *name; /* of the series and the rule */
    const double *values;
    const uint8_t *labels; /* 1: anomalous */
    size_t n;
    int64_t step_ns;
    size_t injected; /* of the events: so many were put in, nobody labelled them (practice.h) */
};

struct train_options {
    size_t delay; /* an event counts as found in its first delay + 1 points */
    size_t vote;  /* a vote of so many atoms in place of the one; 0: none */
};

#define TRAIN_VOTE_MIN 2
#define TRAIN_VOTE_MAX 9

struct train_result {
    char *text; /* a rule; caller frees (train_result_fini) */
    char *
        base_text; /* the detector that text was built on, alone; equal to it when nothing joined */
    double train_f; /* smoothed event F1 on the training part */
    size_t events;
    char base[64], step[64]; /* the atoms chosen; step is "" when none helped */
    double step_prior;       /* its mean gain on blocks of other minute series (prior.def); 0
                                for other kinds */
};
void train_result_fini(struct train_result *r);

#define TRAIN_DELAY_DEFAULT 7

/** Learns from labels; without labelled events, falls back to defaults.h.
 * AC_ENOTSUP when the series has nothing to learn from (too short, constant). */
int train_labelled(const struct train_part *p, const struct train_options *o,
                   struct train_result *ret, struct ac_err *err) AC_MUST_USE;
