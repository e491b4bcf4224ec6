#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#include "graph/rca_check.h"

#define TEST_ODDS 1.5 /* log odds of an edge that its test adds or takes away */
#define LEAD_ODDS 0.5 /* the same of which of the two moves first */

/* ---- verdicts ---- */

/* Whether the effect moves first, clearly more than it follows. */
static bool leads(const struct rca_check *k, const struct rca_finding *against,
                  const struct rca_finding *f)
{
    double n = fmin(against->n_eff, f->n_eff);
    return f->ok && against->ok && against->p < k->p.alpha && n > 4.0 &&
           atanh(fmin(0.999999, fabs(against->r))) - atanh(fmin(0.999999, fabs(f->r))) >
               2.0 / sqrt(n - 3.0);
}

static void judge(struct rca_check *k, int edge, struct rca_finding f, struct rca_finding against)
{
    struct ac_rca_gedge *e = &k->g->edges[edge];
    e->state = AC_RCA_UNTESTED;
    k->out->untested++;
    if (!f.ok)
        return;
    if (leads(k, &against, &f)) { /* the data know this pair, but not this direction */
        e->confidence = ac_rca_shift_odds(e->confidence, -LEAD_ODDS);
        against.lag = -against.lag;
        rca_check_say(k, edge, &against, "the effect moves first");
        return;
    }
    /* The correlation that would be seen four times in five at this number of samples. */
    double seen = 2.8 / sqrt(fmax(1.0, f.n_eff - 3.0));
    bool wrong_way = e->sign != 0 && f.r * e->sign < 0.0;
    if (f.p < k->p.alpha && !wrong_way) {
        e->state = AC_RCA_SUPPORTED;
        e->confidence = ac_rca_shift_odds(e->confidence, TEST_ODDS + (f.lag > 0 ? LEAD_ODDS : 0.0));
        e->lag_s = (double)f.lag * (double)k->step_ns / 1e9;
        k->out->supported++;
        rca_check_say(k, edge, &f, "supported");
    } else if (f.p < k->p.alpha ? wrong_way && fabs(f.r) > k->p.detectable
                                : f.p > k->p.alpha_weak && seen <= k->p.detectable) {
        e->state = AC_RCA_CONTRADICTED;
        e->confidence = ac_rca_shift_odds(e->confidence, -TEST_ODDS);
        k->out->contradicted++;
        rca_check_say(k, edge, &f,
                      wrong_way && f.p < k->p.alpha ? "moves the other way" : "not seen");
        rca_check_suggest(k, edge, &f, wrong_way && f.p < k->p.alpha);
    } else {
        return;
    }
    k->out->untested--;
}

/* All tests are made on the graph as it came, so that the order of edges does not matter. */
static void judge_all(struct rca_check *k)
{
    const int later[2] = {0, k->p.max_lag}, earlier[2] = {1, k->p.max_lag};
    size_t n = k->g->nedges;
    struct rca_finding(*f)[2] = ac_xcalloc(n + 1, sizeof(*f));
    for (size_t i = 0; i < n; i++) {
        const struct ac_rca_gedge *e = &k->g->edges[i];
        if (e->kind != AC_RCA_CAUSES || !k->s[e->from].v || !k->s[e->to].v)
            continue; /* not measured, or it never moved */
        f[i][0] = rca_check_pair(k, e->from, e->to, e->to, later);
        f[i][1] = rca_check_pair(k, e->to, e->from, e->to, earlier);
    }
    for (size_t i = 0; i < n; i++)
        if (k->g->edges[i].kind == AC_RCA_CAUSES)
            judge(k, (int)i, f[i][0], f[i][1]);
    free(f);
}

void ac_rca_mark_hidden(struct ac_rca_graph *g, const struct ac_rca_case *c)
{
    for (size_t i = 0; i < g->nnodes; i++)
        if (g->nodes[i].kind != AC_RCA_OTHER)
            g->nodes[i].hidden = !rca_check_metric(c, &g->nodes[i]);
}

int ac_rca_validate(struct ac_rca_graph *g, const struct ac_rca_case *c,
                    const struct ac_rca_validate_params *p, struct ac_rca_validation *ret,
                    struct ac_err *err)
{
    struct ac_rca_validation v = {0};
    struct ac_rca_validate_params q = *p;
    struct rca_check k;
    q.alpha = p->alpha > 0.0 ? p->alpha : 0.01;
    q.alpha_weak = p->alpha_weak > 0.0 ? p->alpha_weak : 0.2;
    q.detectable = p->detectable > 0.0 ? p->detectable : 0.15;
    q.fdr = p->fdr > 0.0 ? p->fdr : 0.05;
    q.max_lag = p->max_lag > 0 ? AC_MIN(p->max_lag, 64) : 6;
    int rc = rca_check_init(&k, g, c, &q, err);
    k.out = &v;
    if (!rc) {
        ac_rca_mark_hidden(g, c);
        judge_all(&k);
        rca_propose(&k);
        rca_refine(&k);
        *ret = v;
    }
    rca_check_fini(&k);
    return rc;
}

void ac_rca_validation_fini(struct ac_rca_validation *v)
{
    free(v->edits);
    memset(v, 0, sizeof(*v));
}
