/* One series of a data set, trained on its training part and scored on the rest. */
#pragma once

#include "feedback.h"
#include "guard.h"
#include "score.h"
#include "train.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

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
    size_t segments; /* of the scored part; 0: the series does not count in the means */
    struct score_events with_delay, without, base; /* base: the base atom alone, with delay */
    double auc_pr, vus_pr, days, seconds_of_points;
    size_t alarms;
};

int bench_series(const char *path, enum bench_protocol protocol, const struct guard_options *o,
                 struct bench_result *ret, struct ac_err *err) AC_MUST_USE;
void bench_result_fini(struct bench_result *r);
