/* What kind of series this is: it says which defaults and which priors hold. Pure. */
#pragma once

#include "train.h"

enum series_kind {
    KIND_MINUTE,
    KIND_HOURLY,
    KIND_STATE, /* rests on levels, and jumps between them */
    KIND_END
};
const char *series_kind_name(enum series_kind k);
/** By the interval and the shape of the values; labels play no part. */
enum series_kind series_kind_of(const struct train_part *p);
