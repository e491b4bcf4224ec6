/* Kinds of devices by name: a number for each name that a worker that is here uses. */
#pragma once

#include "catalog.h"

struct ctl_kinds {
    char name[POLICY_KINDS][CTL_NAME_MAX];
    uint32_t users[POLICY_KINDS];
};

/** Counts one user more; AC_EINVAL for what is no name, AC_EAGAIN when there are too many kinds.
 * ret_other: the number was another's before, of whom nothing is true of this kind. */
int ctl_kinds_take(struct ctl_kinds *k, const char *name, uint32_t *ret_kind, bool *ret_other,
                   struct ac_err *err) AC_MUST_USE;
void ctl_kinds_release(struct ctl_kinds *k, uint32_t kind);
