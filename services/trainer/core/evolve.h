/* Evolution on top of a proven rule: random changes of its text, of the kinds that Argos's agents
 * make, each taken only with a proven gain (guard.h). The result depends on the seed and the number
 * of tries alone, unless go_on ends it earlier. Pure. */
#pragma once

#include "guard.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>
#include <aceso/rng.h>

enum evolve_kind {
    EVOLVE_REMOVE, /* an operand of the verdict; .3 */
    EVOLVE_FREE,   /* a condition joins; .3 */
    EVOLVE_LIMIT,  /* a limit moves; .3 */
    EVOLVE_ONLY    /* one operand alone is kept; .1 */
};
/** By those shares. */
enum evolve_kind evolve_draw(struct ac_rng *rng);

/** go_on (may be NULL) is asked before each try. */
int evolve(struct guard *g, const struct evolve_options *o, struct evolve_report *ret,
           struct ac_err *err) AC_MUST_USE;
