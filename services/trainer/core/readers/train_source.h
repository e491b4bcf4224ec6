/* What training may see of a file. The only way to a training part from a data set: rows behind its
 * end are not in the memory that this type hands out, whatever asks it. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>

#include "../train.h"

struct train_source;

enum train_share {
    TRAIN_SHARE_STATED, /* n_train of the file's first line; all of it where none is stated */
    TRAIN_SHARE_HALF,   /* the same, half of the file where none is stated */
    TRAIN_SHARE_ARGOS   /* 70 % of that half */
};

/** Caller closes. AC_EINVAL with file, row and column in the text. */
int train_source_open(const char *path, enum train_share share, struct train_source **ret,
                      struct ac_err *err) AC_MUST_USE;
void train_source_close(struct train_source *s); /* NULL is fine */
/** Lives as long as the source. */
const struct train_part *train_source_part(const struct train_source *s);
/** Rows that the file has before its test part; SIZE_MAX: not stated. */
size_t train_source_stated(const struct train_source *s);
