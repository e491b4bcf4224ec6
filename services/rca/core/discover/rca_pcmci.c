/* PCMCI (Runge et al. 2019): first a set of likely causes of each variable among the earlier values
 * of all, then each link tested given the causes of both its ends. Links within one sample are not
 * looked at. */
#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/team.h>

#include "discover/rca_discover.h"
#include "discover/rca_regress.h"

#define ALPHA_SELECT 0.2 /* of the first stage: it may keep too much, not too little */
#define MAX_CAUSES   12  /* of each end, strongest first, in the second stage */

struct cause {
    int v; /* column of the lagged matrix */
    double r;
};

struct causes {
    struct cause *c; /* strongest first */
    size_t n;
};

struct tests { /* of one thread: a test keeps what it is given */
    struct ac_rca_ci *select, *test;
};

struct pcmci {
    const double *r; /* correlations of the lagged matrix */
    size_t p, q, lags;
    struct tests *tests; /* by member of the team */
    struct causes *of;
    struct ac_rca_found *found; /* by effect */
    const struct ac_rca_clean *c;
    const struct ac_rca_discover_params *params;
};

static int stronger(const void *a, const void *b)
{
    const struct cause *x = a, *y = b;
    if (fabs(x->r) != fabs(y->r))
        return fabs(x->r) > fabs(y->r) ? -1 : 1;
    return (x->v > y->v) - (x->v < y->v);
}

/* Each level tests what is left given the k strongest others; a cause keeps the smallest
 * correlation that it ever had. */
static void select_causes(void *ctx, size_t item, size_t member)
{
    struct pcmci *k = ctx;
    struct ac_rca_ci *select = k->tests[member].select;
    int target = (int)item;
    struct causes *c = &k->of[target];
    c->c = ac_xcalloc(k->lags * k->p, sizeof(c->c[0]));
    for (size_t v = k->p; v < (k->lags + 1) * k->p; v++)
        if (!ac_rca_forbidden(k->params, k->c, v % k->p, (size_t)target))
            c->c[c->n++] = (struct cause){(int)v, k->r[v * k->q + (size_t)target]};
    for (size_t level = 0; level < c->n && level < AC_RCA_MAX_GIVEN; level++) {
        size_t left = 0;
        bool *gone = ac_xcalloc(c->n + 1, sizeof(*gone));
        qsort(c->c, c->n, sizeof(c->c[0]), stronger);
        for (size_t i = 0; i < c->n; i++) {
            int set[AC_RCA_MAX_GIVEN];
            size_t n = 0;
            for (size_t j = 0; j < c->n && n < level; j++)
                if (j != i)
                    set[n++] = c->c[j].v;
            select->given(select, set, n);
            gone[i] = select->independent(select, c->c[i].v, target);
            double r = ac_rca_ci_partial(select, c->c[i].v, target);
            if (fabs(r) < fabs(c->c[i].r))
                c->c[i].r = r;
        }
        for (size_t i = 0; i < c->n; i++)
            if (!gone[i])
                c->c[left++] = c->c[i];
        free(gone);
        c->n = left;
    }
    qsort(c->c, c->n, sizeof(c->c[0]), stronger);
}

/* Causes of the variable at a lag, themselves that much earlier; without `not`. */
static size_t put_causes(const struct pcmci *k, size_t variable, size_t lag, int not, int *set,
                         size_t n)
{
    const struct causes *c = &k->of[variable];
    for (size_t i = 0; i < c->n && i < MAX_CAUSES; i++) {
        int v = c->c[i].v + (int)(lag * k->p);
        bool in = v == not ;
        for (size_t j = 0; j < n && !in; j++)
            in = set[j] == v;
        if (!in)
            set[n++] = v;
    }
    return n;
}

/* The link at one lag given the causes of both its ends; r NaN where the test cannot be made. */
static struct ac_rca_link test_link(const struct pcmci *k, struct ac_rca_ci *test, size_t from,
                                    size_t to, size_t lag)
{
    int set[AC_RCA_MAX_GIVEN], v = (int)(lag * k->p + from);
    size_t n = put_causes(k, to, 0, v, set, 0);
    n = put_causes(k, from, lag, v, set, n);
    test->given(test, set, n);
    double p = test->p_value(test, v, (int)to);
    return (struct ac_rca_link){.from = k->c->column[from],
                                .to = k->c->column[to],
                                .at_from = AC_RCA_TAIL,
                                .at_to = AC_RCA_ARROW,
                                .lag = (int)lag,
                                .strength = ac_rca_ci_partial(test, v, (int)to),
                                .p = p};
}

/* Every lag that passes; of a required link that passes at none the lag with least p. */
static void test_links(const struct pcmci *k, struct ac_rca_ci *test, size_t from, size_t to)
{
    struct ac_rca_link best = {.p = INFINITY};
    bool any = false;
    for (size_t lag = 1; lag <= k->lags; lag++) {
        struct ac_rca_link l = test_link(k, test, from, to, lag);
        if (isnan(l.strength))
            continue;
        if (l.p < best.p)
            best = l;
        if (!(l.p <= k->params->alpha))
            continue;
        ac_rca_found_add(&k->found[to], &l);
        any = true;
    }
    if (!any && isfinite(best.p) && ac_rca_required(k->params, k->c, from, to))
        ac_rca_found_add(&k->found[to], &best);
}

static void test_effect(void *ctx, size_t to, size_t member)
{
    struct pcmci *k = ctx;
    for (size_t from = 0; from < k->p; from++) /* the own past is no link */
        if (from != to && !ac_rca_forbidden(k->params, k->c, from, to))
            test_links(k, k->tests[member].test, from, to);
}

static void run(struct pcmci *k, size_t rows, struct ac_rca_discovery *d)
{
    struct ac_team *team = k->params->team;
    k->tests = ac_xcalloc(ac_team_size(team), sizeof(k->tests[0]));
    for (size_t i = 0; i < ac_team_size(team); i++)
        k->tests[i] = (struct tests){.select = ac_rca_ci_fisher(k->r, k->q, rows, ALPHA_SELECT),
                                     .test = ac_rca_ci_fisher(k->r, k->q, rows, k->params->alpha)};
    k->of = ac_xcalloc(k->p, sizeof(k->of[0]));
    k->found = ac_xcalloc(k->p, sizeof(k->found[0]));
    ac_team_run(team, k->p, select_causes, k);
    ac_team_run(team, k->p, test_effect, k);
    ac_rca_found_take(k->found, k->p, d);
    for (size_t i = 0; i < ac_team_size(team); i++) {
        d->tests += k->tests[i].select->tests + k->tests[i].test->tests;
        ac_rca_ci_destroy(k->tests[i].select);
        ac_rca_ci_destroy(k->tests[i].test);
    }
    for (size_t j = 0; j < k->p; j++)
        free(k->of[j].c);
    free(k->of);
    free(k->tests);
}

int ac_rca_pcmci(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                 struct ac_rca_discovery *d, struct ac_err *err)
{
    struct pcmci k = {.c = c,
                      .params = params,
                      .p = c->m.p,
                      .lags = (size_t)AC_MIN(AC_MAX(params->max_lag, 1), 64)};
    struct ac_rca_matrix m;
    double *r = NULL;
    int rc = ac_rca_lagged(&c->m, 2 * k.lags, &m, err);
    if (rc)
        return rc;
    k.q = m.p;
    rc = ac_rca_correlations(&m, &r, err);
    if (!rc) {
        k.r = r;
        run(&k, m.n, d);
    }
    free(r);
    ac_rca_matrix_fini(&m);
    return rc;
}
