/* How far a point lies from what is usual, as a let named "deviation" that a trained rule carries
 * beside its verdict: for ranking points of long incidents, whose middle an alarm need not see.
 * The verdict does not read it, so it costs nothing where nobody asks for it. Pure. */
#pragma once

#include "train.h"

#define DEVIATION_NAME "deviation"

/** The rule with the let, its centre and size taken from the training part; NULL when the part has
 * no values. Caller frees. */
char *deviation_add(const struct train_part *p, const char *rule);
