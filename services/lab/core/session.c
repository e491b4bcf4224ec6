#include "session.h"

#include <stddef.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static const char *const NAMES[] = {"setup", "baseline",  "learning", "injecting", "gate",
                                    "agent", "reverting", "teardown", "done",      "failed"};

const char *lab_phase_name(enum lab_phase p)
{
    return NAMES[p];
}

enum lab_phase lab_phase_from_name(const char *name)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(NAMES); i++) {
        if (ac_streq(NAMES[i], name))
            return (enum lab_phase)i;
    }
    return LAB_PHASE_FAILED;
}

/* An alert may come before the user notices anything: that is no negative time. */
static double since(int64_t from_ns, int64_t t_ns)
{
    if (t_ns == 0)
        return -1;
    return t_ns <= from_ns ? 0 : (double)(t_ns - from_ns) / (double)AC_NS_PER_S;
}

void lab_score(const struct lab_problem *p, const struct lab_observed *o, struct lab_scores *ret)
{
    int64_t from = o->first_effect_ns ? o->first_effect_ns : o->injected_ns;
    *ret = (struct lab_scores){.ttd_s = -1, .ttl_s = -1, .ttm_s = -1};
    if (o->injected_ns == 0)
        return;
    if (o->alert_ns >= o->injected_ns) {
        ret->detected = true;
        ret->ttd_s = since(from, o->alert_ns);
    }
    if (o->diagnosed_ns >= o->injected_ns && lab_problem_answer_right(p, o->root_cause)) {
        ret->localised = true;
        ret->ttl_s = since(from, o->diagnosed_ns);
    }
    if (o->held_from_ns > o->injected_ns && o->mitigated_ns >= o->injected_ns) {
        ret->mitigated = true;
        ret->ttm_s = since(from, o->held_from_ns);
    }
}
