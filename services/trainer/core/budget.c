#include "budget.h"

#include "edit.h"
#include "evalrule.h"
#include "score.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/rules.h>

#define STEPS    12
#define FARTHEST 64.0 /* times the limits; beyond it the condition in the rule does the rest */

static int alarms(const struct train_part *p, const char *rule, size_t *ret, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(p->n + 1, 1);
    int rc = evalrule_flags(rule, p->values, p->n, flags, NULL, err);
    if (rc == 0)
        *ret = score_alarms(flags, p->n);
    free(flags);
    return rc;
}

/* The smallest factor, by halving in the logarithm, at which the part holds the budget. */
static int raise_limits(const struct train_part *p, char **rule, struct budget_report *r,
                        struct ac_err *err)
{
    double low = 0, high = log(FARTHEST);
    char *best = NULL;
    int rc = 0;
    for (int i = 0; rc == 0 && i < STEPS; i++) {
        double at = i ? (low + high) / 2 : high;
        char *text = edit_limits(*rule, exp(at));
        size_t n = 0;
        if (!text) /* nothing to raise */
            break;
        rc = alarms(p, text, &n, err);
        if (rc == 0 && n <= r->allowed) {
            free(best);
            best = text;
            high = at;
            r->factor = exp(at);
            r->after = n;
            continue;
        }
        free(text);
        if (!i)
            break; /* not even the farthest */
        low = at;
    }
    if (best && rc == 0) {
        free(*rule);
        *rule = best;
        best = NULL;
    }
    free(best);
    return rc;
}

/* A long alarm that was not told may be told late, when older ones have left the window. */
static char *with_cap(const char *rule, size_t most, size_t window)
{
    char *lets = ac_xasprintf("    # alarms that began lately: more than %zu are not told\n"
                              "    let lately = count(edge(begins, 1), %zu)\n",
                              most, window);
    char *when = ac_xasprintf("begins and lately <= %zu", most);
    char *out = edit_named(rule, "begins", lets, when);
    free(when);
    free(lets);
    return out;
}

int budget_hold(const struct train_part *p, const char *rule, double per_day, char **ret_rule,
                struct budget_report *ret, struct ac_err *err)
{
    double day = 86400e9 / (double)p->step_ns, most = fmax(1, floor(per_day));
    double window = ceil(most * day / per_day);
    if (!(per_day >= BUDGET_MIN && per_day <= BUDGET_MAX))
        return ac_err_set(err, AC_ERANGE, "a budget is %g to %g alarms a day", BUDGET_MIN,
                          BUDGET_MAX);
    if (!(window >= 2 && window <= AC_RULES_WINDOW_MAX))
        return ac_err_set(
            err, AC_ERANGE,
            "%g alarms a day on %g points a day: a window of %.0f points is none that "
            "a rule can have (2 to %u)",
            per_day, day, window, AC_RULES_WINDOW_MAX);
    struct budget_report r = {.factor = 1, .most = (size_t)most, .window = (size_t)window};
    r.allowed = (size_t)(per_day * (double)p->n / day);
    int rc = alarms(p, rule, &r.before, err);
    if (rc < 0)
        return rc;
    r.after = r.before;
    char *text = ac_xstrdup(rule);
    if (r.before > r.allowed)
        rc = raise_limits(p, &text, &r, err);
    char *capped = rc == 0 ? with_cap(text, r.most, r.window) : NULL;
    if (rc == 0 && !capped)
        rc = ac_err_set(err, AC_EINVAL, "the rule has no verdict that a budget can be put on");
    if (rc == 0)
        rc = alarms(p, capped, &r.after, err);
    free(text);
    if (rc < 0) {
        free(capped);
        return rc;
    }
    *ret_rule = capped;
    *ret = r;
    return 0;
}
