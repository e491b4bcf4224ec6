/* Where nobody said who calls whom: what a component shows beyond what usually moves with it. */
#include "rca_work.h"

#include <aceso/base.h>

#include "scorers/rca_scorer.h"

/* The graph is learnt anew for every window, the normal ones of the threshold among them. Of more
 * measurements rca_habit.c knows only which move together. */
/* Sets of one already part most; larger ones took 300 times as long where 120 share a load. */
#define PC_GIVEN 1

size_t rca_calls_unknown(const struct ac_rca_case *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        if (c->metrics[i].kind == AC_RCA_OTHER || c->metrics[i].n == 0)
            continue;
        if (c->metrics[i].peer >= 0)
            return 0;
        n++;
    }
    return c->nedges == 0 ? n : 0;
}

bool rca_residual(const struct rca_work *k, struct ac_rca_result *ret)
{
    struct ac_rca_params p = *k->p;
    struct ac_rca_scoring how = {.scorer = AC_RCA_SCORER_CIRCA, .max_given = PC_GIVEN};
    if (p.target >= 0 || (p.without >> AC_RCA_RESIDUAL) & 1u ||
        rca_calls_unknown(k->c) - 1 >= RCA_MAX_LEARNT)
        return false;
    p.t0_ns = k->w.t0_ns;
    p.incident_ns = k->w.end_ns - k->w.t0_ns;
    p.margin_ns = p.margin_ns > 0 ? p.margin_ns : RCA_MARGIN_NS;
    return ac_rca_score(k->c, &p, &how, ret, NULL) == 0;
}
