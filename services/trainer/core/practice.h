/* Something to learn from where nobody, or hardly anybody, has labelled anything: a copy of a part
 * with spikes in it, in the size and number that its kind of series asks for, beside the events
 * that it has. Pure; deterministic. */
#pragma once

#include "kind.h"
#include "train.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/** How many events n points of such a series are taken to have; 0: it is not practised on. */
double practice_events(enum series_kind k, size_t n);
/** v, labels: room for part->n. *ret: events put in; 0 when the part has too little for that, where
 * its own events teach better (four and more, or any unless it is hourly), or the defaults alone do
 * (state-like series). */
int practice_make(const struct train_part *part, double *v, uint8_t *labels, size_t *ret,
                  struct ac_err *err) AC_MUST_USE;
