#include "kinds.h"

#include <aceso/base.h>
#include <aceso/str.h>

int ctl_kinds_take(struct ctl_kinds *k, const char *name, uint32_t *ret_kind, bool *ret_other,
                   struct ac_err *err)
{
    uint32_t at = POLICY_KINDS;
    if (!ctl_name_ok(name))
        return ac_err_set(err, AC_EINVAL, "kind of device: letters, digits, . _ - (at most %d)",
                          CTL_NAME_MAX - 1);
    /* A name keeps its number as long as no other needs it. */
    for (uint32_t i = POLICY_KINDS; i-- > 0;)
        if (ac_streq(k->name[i], name) ||
            (k->users[i] == 0 && (at == POLICY_KINDS || !ac_streq(k->name[at], name))))
            at = i;
    if (at == POLICY_KINDS)
        return ac_err_set(err, AC_EAGAIN, "kind %s: workers of %d other kinds are here", name,
                          POLICY_KINDS);
    *ret_other = !ac_str_empty(k->name[at]) && !ac_streq(k->name[at], name);
    (void)ac_str_copy(k->name[at], sizeof(k->name[at]), name);
    k->users[at]++;
    *ret_kind = at;
    return 0;
}

void ctl_kinds_release(struct ctl_kinds *k, uint32_t kind)
{
    AC_ASSERT(k->users[kind] > 0);
    k->users[kind]--;
}
