/* Who asks: the tenants by name, with the weights by which they share device time. The first is
 * "default", which is also who does not say. */
#pragma once

#include "catalog.h"

#define CTL_PRIORITY_DEFAULT 4 /* on the wire: 1 is shed last, POLICY_PRIORITIES first */

struct ctl_tenants {
    uint32_t n;
    struct {
        char name[CTL_NAME_MAX];
        double weight;
    } list[POLICY_TENANTS];
};

/** From texts NAME=WEIGHT, NULL-ended (list may be NULL); "default" may be among them. */
int ctl_tenants_parse(char *const *list, struct ctl_tenants *ret_t, struct ac_err *err) AC_MUST_USE;
/** The tenant's number; of NULL and "" that of "default". AC_EINVAL when there is none. */
int ctl_tenants_find(const struct ctl_tenants *t, const char *name, uint32_t *ret_number,
                     struct ac_err *err) AC_MUST_USE;
