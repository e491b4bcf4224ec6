#include "fuse.h"

#include "edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct part {
    const char *name, *before, *after;
    char *lets;
};

static int apply(const struct train_part *seen, const char *rule, size_t track, void *arg,
                 char **ret, struct ac_err *err)
{
    const struct part *p = arg;
    (void)seen, (void)track, (void)err;
    *ret = edit_when(rule, p->lets, p->before, p->after);
    return 0;
}

int fuse_all(struct guard *g, int64_t step_ns, struct guard_report *r, struct ac_err *err)
{
    uint32_t day = (uint32_t)AC_MAX(86400000000000LL / step_ns, 1LL);
    int band = day >= 1000 ? 5 : day >= 200 ? 2 : 0;
    struct part parts[] = {
        {"quiet", "edge(", ", 3)", ac_xstrdup("    # one alarm, and again after 3 quiet points\n")},
        {"daily", "(", ") and size_now >= size_day",
         ac_xasprintf("    # as large a change as none in a week at this time of day\n"
                      "    let size_now = abs(diff(value, 1))\n"
                      "    let size_day = coalesce(season_max(size_now, %u, 7, %d), 0)\n",
                      day, band)},
        {"away", "(", ") and not away < 3",
         ac_xstrdup("    # and a value away from those of the last 60 points\n"
                    "    let away = abs(robust_z(value, 60))\n")}};
    int rc = 0;
    for (size_t i = 0; i < AC_ARRAY_LEN(parts); i++) {
        struct guard_part *p = &r->parts[r->n_parts];
        AC_ASSERT(r->n_parts < GUARD_PARTS_MAX);
        if (rc == 0)
            rc = guard_try(g, apply, &parts[i], GUARD_CLEARS, &p->kept, &p->gain, err);
        ac_str_copy(p->name, sizeof p->name, parts[i].name);
        r->n_parts++;
        free(parts[i].lets);
    }
    return rc;
}
