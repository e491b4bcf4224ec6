/* Something to learn from where nobody has labelled anything: a copy of a part with spikes in it,
 * in the size and number that its kind of series asks for. Pure; deterministic. */
#pragma once

#include "train.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/** v, labels: room for part->n. *ret: events put in; 0 when the part has too little for that, or
 * where defaults alone do better (state-like series). */
int practice_make(const struct train_part *part, double *v, uint8_t *labels, size_t *ret,
                  struct ac_err *err) AC_MUST_USE;
