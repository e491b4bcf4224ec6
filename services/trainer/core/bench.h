/* One series of a data set, trained on its training part and scored on the rest. */
#pragma once

#include "feedback.h"
#include "guard.h"
#include "score.h"
#include "train.h"

#include <stddef.h>

#include <aceso/err.h>

#include "readers/series_file.h"

enum bench_protocol {
    BENCH_HONEST,   /* all choices from the training part; score on the test part */
    BENCH_FEEDBACK, /* honest, with the labels of each week known at its end: limits fitted anew */
    BENCH_ARGOS,    /* the training part cut 70 / 30; threshold chosen on the scored labels */
};

struct bench_result {
    char name[128];
    struct train_result rule;
    struct guard_report guard;
    struct feedback_report feedback;
    /* Of the scored part; without segments the series does not count in the means. Under the Argos
     * protocol the flags are those of alarm_score at the one threshold that scores best. */
    struct score_report scored;
    struct score_events base; /* the base atom alone, with delay */
};

/** AC_EINVAL for a file that cannot be read, or has no labels to be scored by. */
int bench_series(const char *path, enum bench_protocol protocol, const struct guard_options *o,
                 struct bench_result *ret, struct ac_err *err) AC_MUST_USE;
/** Scores ret->rule behind cut. AC_EINTERNAL when its text does not compile (a bug). */
int bench_score(const struct series_file *f, size_t cut, enum bench_protocol protocol, size_t delay,
                struct bench_result *ret, struct ac_err *err) AC_MUST_USE;
void bench_result_fini(struct bench_result *r);
