/* An alarm budget: so many alarms (runs of flags) a day and no more. Two steps. Limits are raised
 * until the training part holds the budget; a condition in the rule then holds it on any data: what
 * passes the budget of the last days is not told. Pure. */
#pragma once

#include "train.h"

#include <stddef.h>

#include <aceso/err.h>

#define BUDGET_MIN 0.01 /* alarms a day */
#define BUDGET_MAX 10000.0

struct budget_report {
    double factor;                 /* that limits were multiplied by; 1: they held it already */
    size_t allowed, before, after; /* alarms on the training part */
    size_t window, most;           /* no more than most + 1 alarms begin in any window points */
};

/** *ret_rule: the rule with its budget, caller frees. AC_ERANGE when a day has too few or too many
 * points for the budget to be written down. */
int budget_hold(const struct train_part *p, const char *rule, double per_day, char **ret_rule,
                struct budget_report *ret, struct ac_err *err) AC_MUST_USE;
