/* What a plan reads besides the series: columns of the file, and offsets of time zones. */
#pragma once

#include <aceso/rules.h>

#include "readers/series_file.h"

struct rule_inputs {
    double **column; /* one an input of the plan */
    size_t n;
};

/** Reads the series file with a column for each input that the rules declare (its header names
 * them as the rules do). AC_EINVAL with the file and the reason. */
int rule_inputs_read(const char *path, const struct ac_plan *p, struct series_file *ret_file,
                     struct rule_inputs *ret, struct ac_err *err) AC_MUST_USE;
void rule_inputs_fini(struct rule_inputs *in); /* before the file's */
