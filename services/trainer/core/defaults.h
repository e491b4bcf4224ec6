/* Rules for series without labelled events: what the training part never did is an alarm. Parts: a
 * jump that an autoregression did not expect, values outside the range, a line that has gone flat,
 * a value that stays at the end of its range. Each is guarded: made from the beginning of the part,
 * it must be silent on what follows, or it is dropped. Pure. */
#pragma once

#include "kind.h"
#include "train.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

enum default_part {
    DEFAULT_SPIKE,
    DEFAULT_RANGE,
    DEFAULT_FLAT,
    DEFAULT_STUCK,
    DEFAULT_END
};

struct defaults_report {
    enum series_kind kind;
    bool kept[DEFAULT_END];
    bool learnt; /* a rule that was given takes the place of the spike */
};

/** learnt (may be NULL): a rule for the series from elsewhere; where it is nearly silent on what
 * follows the first two thirds of the part, it takes the place of the spike. AC_ENOTSUP when the
 * part has no values. Caller frees *ret_text. */
int defaults_train(const struct train_part *p, const char *learnt, char **ret_text,
                   struct defaults_report *ret, struct ac_err *err) AC_MUST_USE;
