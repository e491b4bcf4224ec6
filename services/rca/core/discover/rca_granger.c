/* Granger causality: do the earlier values of one variable say more on another than its own earlier
 * values and those of all others do? One inversion serves all pairs. */
#include <math.h>
#include <string.h>

#include <cblas.h>
#include <lapacke.h>

#include <aceso/base.h>
#include <aceso/stats.h>
#include <aceso/team.h>

#include "discover/rca_discover.h"
#include "discover/rca_regress.h"

struct granger {
    const struct ac_rca_clean *c;
    const struct ac_rca_discover_params *params;
    struct ac_rca_found *found; /* by item of shared work */
    const double *inverse;      /* of all lags of all; NULL: each pair by itself */
    const int *columns, *all;
    size_t n, p, lags, q; /* q: columns of the lagged matrix */
    double *cov;
};

/* F of the coefficients of one source, all its lags together: b' V^-1 b / (lags s2), where V is its
 * block of the inverse. */
static double f_of(const double *coef, const double *inverse, size_t width, const int *at, size_t l,
                   double s2, size_t n)
{
    double v[64 * 64] = {0}, b[64] = {0};
    for (size_t i = 0; i < l; i++) {
        b[i] = coef[at[i]];
        for (size_t j = 0; j < l; j++)
            v[i * l + j] = inverse[(size_t)at[i] * width + (size_t)at[j]];
    }
    double x[64] = {0};
    memcpy(x, b, l * sizeof(double));
    if (LAPACKE_dposv(LAPACK_COL_MAJOR, 'L', (int)l, 1, v, (int)l, x, (int)l) != 0)
        return 0.0;
    double f = cblas_ddot((int)l, b, 1, x, 1) * (double)n / ((double)l * s2);
    return f > 0.0 && f < 1e300 ? f : 0.0;
}

static void add_link(const struct granger *k, struct ac_rca_link of, const double *coef,
                     const int *at, struct ac_rca_found *found)
{
    size_t best = 0;
    for (size_t l = 1; l < k->lags; l++)
        if (fabs(coef[at[l]]) > fabs(coef[at[best]]))
            best = l;
    of.from = k->c->column[of.from];
    of.to = k->c->column[of.to];
    of.at_from = AC_RCA_TAIL;
    of.at_to = AC_RCA_ARROW;
    of.lag = (int)best + 1;
    of.strength = coef[at[best]];
    ac_rca_found_add(found, &of);
}

struct sources { /* s[0..ns), the columns of all their lags and the inverse of their covariance */
    const double *inverse;
    const int *columns, *s;
    size_t ns;
};

/* The sources on a target: regress it on all their lags, test each source but the target. */
static void target(const struct granger *k, const struct sources *q, size_t to,
                   struct ac_rca_found *found)
{
    size_t width = q->ns * k->lags;
    double *coef = ac_xcalloc(width, sizeof(double)), *b = ac_xcalloc(width, sizeof(double));
    double s2 = k->cov[to * k->q + to];
    for (size_t i = 0; i < width; i++)
        b[i] = k->cov[(size_t)q->columns[i] * k->q + to];
    cblas_dgemv(CblasColMajor, CblasNoTrans, (int)width, (int)width, 1.0, q->inverse, (int)width, b,
                1, 0.0, coef, 1);
    s2 -= cblas_ddot((int)width, coef, 1, b, 1);
    double df = (double)k->n - (double)width - 1.0;
    bool ok = df > 0.0 && s2 > 0.0;
    s2 *= (double)k->n / df;
    for (size_t i = 0; ok && i < q->ns; i++) {
        int at[64];
        size_t from = (size_t)q->s[i];
        if (from == to || ac_rca_forbidden(k->params, k->c, from, to))
            continue;
        for (size_t l = 0; l < k->lags; l++)
            at[l] = (int)(l * q->ns + i);
        double f = f_of(coef, q->inverse, width, at, k->lags, s2, k->n);
        double p = ac_stats_f_sf(f, (double)k->lags, df);
        found->tests++;
        if (p <= k->params->alpha || ac_rca_required(k->params, k->c, from, to))
            add_link(k, (struct ac_rca_link){.from = (int)from, .to = (int)to, .p = p}, coef, at,
                     found);
    }
    free(coef);
    free(b);
}

/* The inverse of the covariance of all lags of the sources; false when it is singular. */
static bool invert(const struct granger *k, const int *sources, size_t ns, int *columns,
                   double *inverse)
{
    size_t width = ns * k->lags;
    for (size_t l = 0; l < k->lags; l++)
        for (size_t i = 0; i < ns; i++)
            columns[l * ns + i] = (int)((l + 1) * k->p) + sources[i];
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < width; j++)
            inverse[i * width + j] = k->cov[(size_t)columns[i] * k->q + (size_t)columns[j]] *
                                     (i == j ? 1.0 + 1e-10 : 1.0);
    if (LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (int)width, inverse, (int)width) != 0 ||
        LAPACKE_dpotri(LAPACK_COL_MAJOR, 'L', (int)width, inverse, (int)width) != 0)
        return false;
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < i; j++)
            inverse[i * width + j] = inverse[j * width + i];
    return true;
}

static void on_one_target(void *ctx, size_t to, size_t member)
{
    const struct granger *k = ctx;
    (void)member;
    target(k, &(struct sources){k->inverse, k->columns, k->all, k->p}, to, &k->found[to]);
}

/* With too few rows for all at once, each pair is looked at by itself. */
static void pairs_of(void *ctx, size_t i, size_t member)
{
    const struct granger *k = ctx;
    size_t width = 2 * k->lags;
    double *inverse = ac_xcalloc(width * width, sizeof(double));
    int *columns = ac_xcalloc(width, sizeof(int));
    (void)member;
    for (size_t j = 0; j < k->p; j++) {
        int s[2] = {(int)i, (int)j};
        if (i != j && invert(k, s, 2, columns, inverse))
            target(k, &(struct sources){inverse, columns, s, 2}, j, &k->found[i]);
    }
    free(inverse);
    free(columns);
}

int ac_rca_granger(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                   struct ac_rca_discovery *d, struct ac_err *err)
{
    struct granger k = {.c = c, .params = params, .p = c->m.p};
    struct ac_rca_matrix m;
    k.lags = (size_t)AC_MIN(AC_MAX(params->max_lag, 1), 64);
    int rc = ac_rca_lagged(&c->m, k.lags, &m, err);
    if (rc)
        return rc;
    k.n = m.n;
    k.q = m.p;
    rc = ac_rca_covariances(&m, &k.cov, err);
    ac_rca_matrix_fini(&m);
    if (rc)
        return rc;
    size_t width = k.p * k.lags;
    bool whole = k.n > 3 * width;
    double *inverse = whole ? ac_try_malloc(ac_mul_size(width * width, sizeof(double))) : NULL;
    int *columns = ac_xcalloc(width, sizeof(int)), *all = ac_xcalloc(k.p, sizeof(int));
    for (size_t i = 0; i < k.p; i++)
        all[i] = (int)i;
    k.found = ac_xcalloc(k.p, sizeof(k.found[0]));
    k.columns = columns;
    k.all = all;
    k.inverse = whole && inverse && invert(&k, all, k.p, columns, inverse) ? inverse : NULL;
    ac_team_run(params->team, k.p, k.inverse ? on_one_target : pairs_of, &k);
    ac_rca_found_take(k.found, k.p, d);
    free(inverse);
    free(columns);
    free(all);
    free(k.cov);
    return 0;
}
