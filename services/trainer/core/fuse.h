/* What is fused with a detector, besides the atom that catches what it misses: conditions against
 * its false alarms. Each is tried on the rule so far and stays only with a proven gain (guard.h).
 * Pure. */
#pragma once

#include "guard.h"

#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

/** Tries every part in its fixed order; what was found goes to r->parts. */
int fuse_all(struct guard *g, int64_t step_ns, struct guard_report *r,
             struct ac_err *err) AC_MUST_USE;
