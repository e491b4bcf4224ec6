#include "evolve.h"

#include "edit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <aceso/base.h>

#define MOVE 0.4 /* of a limit, either way, in the logarithm */

struct mutation {
    enum evolve_kind kind;
    size_t i;      /* operand or limit */
    double factor; /* of the limit */
    char *lets;    /* of a condition that joins */
    char after[96];
};

enum evolve_kind evolve_draw(struct ac_rng *rng)
{
    double u = ac_rng_uniform(rng);
    return u < 0.3 ? EVOLVE_REMOVE : u < 0.6 ? EVOLVE_FREE : u < 0.9 ? EVOLVE_LIMIT : EVOLVE_ONLY;
}

/* A condition over one of a few windows, at a limit from 1 to 7; its name has the number of the
 * try, so that none is met twice. Against false alarms as often as for what was missed. */
static void draw_condition(struct mutation *m, size_t number, struct ac_rng *rng)
{
    static const unsigned windows[] = {5, 15, 60, 240};
    unsigned w = windows[ac_rng_below(rng, AC_ARRAY_LEN(windows))];
    char term[120];
    switch (ac_rng_below(rng, 3)) {
    case 0:
        (void)snprintf(term, sizeof term, "abs(robust_z(value, %u))", w);
        break;
    case 1:
        (void)snprintf(term, sizeof term, "abs(z(value, %u))", w);
        break;
    default:
        (void)snprintf(term, sizeof term,
                       "abs(diff(value, 1)) / max(lag(abs(diff(value, 1)), 1), %u)", w);
        break;
    }
    m->lets = ac_xasprintf("    let own%zu = %s\n    let own%zu_limit = %.3g\n", number, term,
                           number, exp(2 * ac_rng_uniform(rng)));
    if (ac_rng_below(rng, 2))
        (void)snprintf(m->after, sizeof m->after, ") and own%zu >= own%zu_limit", number, number);
    else
        (void)snprintf(m->after, sizeof m->after, ") or edge(own%zu >= own%zu_limit, 7)", number,
                       number);
}

static int mutate(const struct train_part *seen, const char *rule, size_t track, void *arg,
                  char **ret, struct ac_err *err)
{
    const struct mutation *m = arg;
    (void)seen, (void)track, (void)err;
    *ret = m->kind == EVOLVE_REMOVE  ? edit_without(rule, m->i)
           : m->kind == EVOLVE_ONLY  ? edit_only(rule, m->i)
           : m->kind == EVOLVE_LIMIT ? edit_limit(rule, m->i, m->factor)
                                     : edit_when(rule, m->lets, "(", m->after);
    return 0;
}

int evolve(struct guard *g, const struct evolve_options *o, struct evolve_report *ret,
           struct ac_err *err)
{
    struct evolve_report r = {0};
    struct ac_rng rng;
    ac_rng_seed(&rng, o->seed);
    int rc = 0;
    for (; rc == 0 && r.tries < o->tries; r.tries++) {
        if (o->go_on && !o->go_on(o->arg)) {
            r.cut = true;
            break;
        }
        size_t n = edit_operands(guard_rule(g));
        struct mutation m = {.kind = evolve_draw(&rng),
                             .factor = exp(MOVE * (2 * ac_rng_uniform(&rng) - 1))};
        bool kept = false;
        double gain = 0;
        m.i = (size_t)ac_rng_below(&rng, m.kind == EVOLVE_LIMIT ? 3 : n > 1 ? n : 1);
        if (m.kind == EVOLVE_FREE)
            draw_condition(&m, r.tries, &rng);
        rc = guard_try(g, mutate, &m, GUARD_BETTER, &kept, &gain, err);
        free(m.lets);
        r.kept += kept;
        r.gain += kept ? gain : 0;
    }
    *ret = r;
    return rc;
}
