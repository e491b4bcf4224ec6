/* A let named "alarm_score" for those who choose the threshold themselves: the mean strength of one
 * prediction's error against six usual sizes, in logarithms of each one's own threshold, or a step
 * atom chosen for the events that this mean misses, whichever is greater. At any threshold it
 * speaks once for one event: only what exceeds the points just before counts. Its parts are fitted
 * on the training part alone. Pure. */
#pragma once

#include "train.h"

#include <stddef.h>

#include <aceso/err.h>

#define VOTE_NAME "alarm_score"

/** The trained rule with the let to *ret, which the caller frees; NULL when there is nothing to
 * vote with (no labelled events, too short a series). */
int vote_add(const struct train_part *p, size_t delay, const char *rule, char **ret,
             struct ac_err *err) AC_MUST_USE;
