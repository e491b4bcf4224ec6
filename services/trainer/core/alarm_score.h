/* A let named "alarm_score" for those who choose the threshold themselves: how much larger than
 * usual the unexpected part of a change is, either way. At any threshold it speaks once for an
 * event: only what exceeds the points just before counts. Fitted on the training part, without its
 * labels. Pure. */
#pragma once

#include "train.h"

#include <aceso/err.h>

#define ALARM_SCORE_NAME "alarm_score"

/** The rule with the let to *ret, which the caller frees; NULL when the series has nothing to be
 * fitted to (too short, constant). */
int alarm_score_add(const struct train_part *p, const char *rule, char **ret,
                    struct ac_err *err) AC_MUST_USE;
