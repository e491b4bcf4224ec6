/* A rule in use whose alarms people answer: at the end of each week its labels are known, and the
 * limits are fitted anew for the next one. Prequential: a week is judged with limits that were made
 * before it began. Pure. */
#pragma once

#include "train.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

struct feedback {
    const double *values;
    const uint8_t *labels;
    size_t n;
    size_t start; /* first row of the first week; what lies before was the training part */
    size_t week;  /* points */
    size_t delay;
};

struct feedback_report {
    size_t weeks, changes; /* weeks that began with other limits than the one before */
    double last;           /* what the limits of the last week are the rule's times */
};

/** Flags of rows from start on (those before are not written). For a week that begins at row t no
 * label from t on is looked at. */
int feedback_run(const char *rule, const struct feedback *f, uint8_t *ret_flags,
                 struct feedback_report *ret, struct ac_err *err) AC_MUST_USE;
