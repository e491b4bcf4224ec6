/* Networks in files below a folder: what the benches on known graphs share. */
#pragma once

#include "readers/rca_bif.h"

/** Calls each for every *.bif and *.bif.gz below dir in the order of names, until one fails.
 * AC_EINVAL when there is none. */
int rca_networks(const char *dir,
                 int (*each)(const char *name, const struct ac_rca_bif *b, void *arg,
                             struct ac_err *err),
                 void *arg, struct ac_err *err) AC_MUST_USE;
