#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#include "graph/rca_check.h"
#include "graph/rca_second.h"

#define TEST_ODDS 1.5  /* log odds of an edge that its test adds or takes away */
#define LEAD_ODDS 0.5  /* the same of which of the two moves first */
#define SECOND_P  0.01 /* of the second opinion, to overrule the first */

/* ---- verdicts ---- */

/* Whether the effect moves first, clearly more than it follows. */
static bool leads(const struct rca_check *k, int edge, const struct rca_finding *against,
                  const struct rca_finding *f)
{
    const struct ac_rca_gedge *e = &k->g->edges[edge];
    double n = fmin(against->n_eff, f->n_eff);
    return k->s[e->from].hold == 1 && k->s[e->to].hold == 1 && f->ok && against->ok &&
           against->p < k->p.alpha && n > 4.0 &&
           atanh(fmin(0.999999, fabs(against->r))) - atanh(fmin(0.999999, fabs(f->r))) >
               2.0 / sqrt(n - 3.0);
}

/* The correlation that would be seen four times in five at this number of samples. */
static double would_be_seen(const struct rca_finding *f)
{
    return 2.8 / sqrt(fmax(1.0, f->n_eff - 3.0));
}

/* What was asked of the data about one edge. */
struct tested {
    struct rca_finding f, against; /* the cause first, the effect first */
    struct rca_opinion again;      /* ok: it was asked for */
    bool unheard;                  /* it was beyond the limit */
};

/* Somebody says that there is an edge, and no line through the data shows it though it would. */
static bool is_disputed(const struct rca_check *k, int edge, const struct tested *t)
{
    return t->f.ok && !leads(k, edge, &t->against, &t->f) && t->f.p > k->p.alpha_weak &&
           would_be_seen(&t->f) <= k->p.detectable;
}

static void overrule(struct rca_check *k, int edge, const struct tested *t)
{
    struct ac_rca_gedge *e = &k->g->edges[edge];
    char more[120];
    e->state = AC_RCA_SUPPORTED;
    e->confidence = ac_rca_shift_odds(e->confidence, TEST_ODDS);
    e->lag_s = (double)t->again.lag * (double)k->step_ns / 1e9;
    k->out->supported++;
    k->out->overruled++;
    (void)snprintf(more, sizeof(more), "; a kernel test sees a dependence at lag %.3g s, p %.2g",
                   e->lag_s, t->again.p);
    rca_check_say(k, edge, &t->f, "supported, not as a line", more);
}

static void contradict(struct rca_check *k, int edge, const struct tested *t, bool wrong_way)
{
    struct ac_rca_gedge *e = &k->g->edges[edge];
    char more[80] = "";
    e->state = AC_RCA_CONTRADICTED;
    e->confidence = ac_rca_shift_odds(e->confidence, -TEST_ODDS);
    k->out->contradicted++;
    if (t->again.ok)
        (void)snprintf(more, sizeof(more), "; nor by a kernel test, p %.2g", t->again.p);
    rca_check_say(k, edge, &t->f, wrong_way ? "moves the other way" : "not seen", more);
    rca_check_suggest(k, edge, &t->f, wrong_way);
}

static void judge(struct rca_check *k, int edge, const struct tested *t)
{
    struct ac_rca_gedge *e = &k->g->edges[edge];
    struct rca_finding f = t->f, against = t->against;
    e->state = AC_RCA_UNTESTED;
    k->out->untested++;
    if (!f.ok)
        return;
    if (leads(k, edge, &against, &f)) { /* the data know this pair, but not this direction */
        e->confidence = ac_rca_shift_odds(e->confidence, -LEAD_ODDS);
        against.lag = -against.lag;
        rca_check_say(k, edge, &against, "the effect moves first", "");
        return;
    }
    bool seen = f.p < k->p.alpha, wrong_way = seen && e->sign != 0 && f.r * e->sign < 0.0;
    if (seen && !wrong_way) {
        e->state = AC_RCA_SUPPORTED;
        e->confidence = ac_rca_shift_odds(e->confidence, TEST_ODDS + (f.lag > 0 ? LEAD_ODDS : 0.0));
        e->lag_s = (double)f.lag * (double)k->step_ns / 1e9;
        k->out->supported++;
        rca_check_say(k, edge, &f, "supported", "");
    } else if (t->unheard) {
        rca_check_say(k, edge, &f, "not seen as a line", "; too many edges to ask a second time");
        return;
    } else if (t->again.ok && t->again.p <= SECOND_P) {
        overrule(k, edge, t);
    } else if (seen ? fabs(f.r) > k->p.detectable : is_disputed(k, edge, t)) {
        contradict(k, edge, t, wrong_way);
    } else {
        return;
    }
    k->out->untested--;
}

struct asked { /* an edge that is disputed */
    int edge;
    double confidence;
};

static int by_confidence(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    if (x->confidence != y->confidence)
        return x->confidence > y->confidence ? -1 : 1;
    return x->edge - y->edge;
}

/* A second opinion costs a thousand times what the first does: the edges that are believed most get
 * one, as many as there is a limit for. */
static void ask_again(struct rca_check *k, struct tested *t, const int lags[2])
{
    size_t n = k->g->nedges, disputed = 0;
    struct asked *a = ac_xcalloc(n + 1, sizeof(*a));
    for (size_t i = 0; i < n; i++)
        if (is_disputed(k, (int)i, &t[i]))
            a[disputed++] = (struct asked){(int)i, k->g->edges[i].confidence};
    if (disputed > 1)
        qsort(a, disputed, sizeof(*a), by_confidence);
    for (size_t i = 0; i < disputed; i++) {
        const struct ac_rca_gedge *e = &k->g->edges[a[i].edge];
        struct tested *one = &t[a[i].edge];
        one->unheard = i >= AC_RCA_MAX_SECOND;
        if (one->unheard)
            continue;
        one->again = rca_second_opinion(k, e->from, e->to, lags);
        k->out->asked += one->again.ok;
    }
    free(a);
}

/* All tests are made on the graph as it came, so that the order of edges does not matter. */
static void judge_all(struct rca_check *k)
{
    const int later[2] = {0, k->p.max_lag}, earlier[2] = {1, k->p.max_lag};
    size_t n = k->g->nedges;
    struct tested *t = ac_xcalloc(n + 1, sizeof(*t));
    for (size_t i = 0; i < n; i++) {
        const struct ac_rca_gedge *e = &k->g->edges[i];
        if (e->kind != AC_RCA_CAUSES || !k->s[e->from].v || !k->s[e->to].v)
            continue; /* not measured, or it never moved */
        t[i].f = rca_check_pair(k, e->from, e->to, e->to, later);
        t[i].against = rca_check_pair(k, e->to, e->from, e->to, earlier);
    }
    if (!k->p.linear_only)
        ask_again(k, t, later);
    for (size_t i = 0; i < n; i++)
        if (k->g->edges[i].kind == AC_RCA_CAUSES)
            judge(k, (int)i, &t[i]);
    free(t);
}

void ac_rca_mark_hidden(struct ac_rca_graph *g, const struct ac_rca_case *c)
{
    for (size_t i = 0; i < g->nnodes; i++)
        if (g->nodes[i].kind != AC_RCA_OTHER)
            g->nodes[i].hidden = !ac_rca_graph_metric(c, &g->nodes[i]);
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
        v.useless = ac_xcalloc(g->nnodes + 1, sizeof(v.useless[0]));
        for (size_t i = 0; i < g->nnodes; i++)
            v.useless[i] = k.s[i].why;
        *ret = v;
    }
    rca_check_fini(&k);
    return rc;
}

void ac_rca_validation_fini(struct ac_rca_validation *v)
{
    free(v->edits);
    free(v->useless);
    memset(v, 0, sizeof(*v));
}
