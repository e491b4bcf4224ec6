/* DirectLiNGAM: the order of causes from the shape of the noise (Shimizu et al. 2011, with the
 * pairwise measure of Hyvarinen and Smith 2013), then linear effects along that order. */
#include <math.h>
#include <string.h>

#include <cblas.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "discover/rca_discover.h"
#include "discover/rca_regress.h"

struct lingam {
    size_t n, p;
    double *x;       /* residuals of what is left, standardised, column by column */
    double *entropy; /* of each column */
    double *work;
    bool *done;
    int *order;
};

/* Negentropy approximation of a standardised variable. */
static double entropy(const double *u, size_t n)
{
    double a = 0, b = 0;
    for (size_t i = 0; i < n; i++) {
        double v = fabs(u[i]);
        a += v + log1p(exp(-2.0 * v)); /* ln cosh + ln 2, without overflow */
        b += u[i] * exp(-u[i] * u[i] / 2.0);
    }
    a = a / (double)n - M_LN2;
    b /= (double)n;
    return (1.0 + log(2.0 * M_PI)) / 2.0 - 79.047 * (a - 0.37457) * (a - 0.37457) - 7.4129 * b * b;
}

static bool standardise(double *u, size_t n)
{
    double mean = ac_stats_mean(u, n), sd;
    for (size_t i = 0; i < n; i++)
        u[i] -= mean;
    sd = sqrt(cblas_ddot((int)n, u, 1, u, 1) / (double)n);
    if (!(sd > 1e-12))
        return false;
    cblas_dscal((int)n, 1.0 / sd, u, 1);
    return true;
}

/* Entropy of what is left of column j without column i, both standardised; r their correlation. */
static double residual_entropy(struct lingam *k, size_t i, size_t j, double r)
{
    double s = sqrt(fmax(0.0, 1.0 - r * r));
    if (!(s > 1e-9))
        return NAN;
    const double *xi = k->x + i * k->n, *xj = k->x + j * k->n;
    for (size_t t = 0; t < k->n; t++)
        k->work[t] = (xj[t] - r * xi[t]) / s;
    return entropy(k->work, k->n);
}

/* How little speaks against i being a cause of all others: 0 is best, less is worse. */
static void add_pair(struct lingam *k, size_t i, size_t j, double *against)
{
    double r = cblas_ddot((int)k->n, k->x + i * k->n, 1, k->x + j * k->n, 1) / (double)k->n;
    double h_ji = residual_entropy(k, i, j, r), h_ij = residual_entropy(k, j, i, r);
    double d = (k->entropy[j] + h_ij) - (k->entropy[i] + h_ji);
    if (isnan(d))
        return;
    against[i] += d < 0.0 ? d * d : 0.0;
    against[j] += d > 0.0 ? d * d : 0.0;
}

static size_t most_exogenous(struct lingam *k)
{
    double *against = ac_xcalloc(k->p, sizeof(*against));
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < k->p; i++)
        if (!k->done[i])
            k->entropy[i] = entropy(k->x + i * k->n, k->n);
    for (size_t i = 0; i < k->p; i++)
        for (size_t j = 0; j < i && !k->done[i]; j++)
            if (!k->done[j])
                add_pair(k, i, j, against);
    for (size_t i = 0; i < k->p; i++)
        if (!k->done[i] && (best == SIZE_MAX || against[i] < against[best]))
            best = i;
    free(against);
    return best;
}

static void find_order(struct lingam *k)
{
    for (size_t step = 0; step < k->p; step++) {
        size_t c = most_exogenous(k);
        k->order[step] = (int)c;
        k->done[c] = true;
        const double *xc = k->x + c * k->n;
        for (size_t j = 0; j < k->p; j++) {
            if (k->done[j])
                continue;
            double *xj = k->x + j * k->n;
            double r = cblas_ddot((int)k->n, xc, 1, xj, 1) / (double)k->n;
            cblas_daxpy((int)k->n, -r, xc, 1, xj, 1);
            if (!standardise(xj, k->n)) /* determined by what came before it */
                memset(xj, 0, k->n * sizeof(double));
        }
    }
}

/* Effects of all earlier variables on one; those that do not differ from 0 are dropped together,
 * and the rest is fitted again, until all do. */
static void effects(const struct ac_rca_clean *c, const struct lingam *k, const double *cov,
                    size_t at, double alpha, struct ac_rca_discovery *d)
{
    size_t kept = at;
    double *coef = ac_xcalloc(at + 1, sizeof(double)), *t = ac_xcalloc(at + 1, sizeof(double)), s2;
    int *from = ac_xcalloc(at + 1, sizeof(int)), y = k->order[at];
    memcpy(from, k->order, at * sizeof(int));
    for (bool dropped = true; dropped && kept > 0;) {
        size_t left = 0;
        if (!ac_rca_regress(cov, k->p, k->n, from, kept, y, coef, t, &s2)) {
            kept--; /* singular: without the last, which what is before it determines */
            continue;
        }
        for (size_t j = 0; j < kept; j++)
            if (2.0 * ac_stats_t_sf(fabs(t[j]), (double)(k->n - kept - 1)) <= alpha)
                from[left++] = from[j];
        dropped = left < kept;
        kept = left;
    }
    for (size_t j = 0; j < kept; j++)
        ac_rca_link_add(d, &(struct ac_rca_link){.from = c->column[from[j]],
                                                 .to = c->column[y],
                                                 .at_from = AC_RCA_TAIL,
                                                 .at_to = AC_RCA_ARROW,
                                                 .strength = coef[j],
                                                 .p = NAN});
    d->tests += at;
    free(coef);
    free(t);
    free(from);
}

int ac_rca_lingam(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                  struct ac_rca_discovery *d, struct ac_err *err)
{
    struct lingam k = {.n = c->m.n, .p = c->m.p};
    double *cov = NULL;
    if (k.n < 10)
        return ac_err_set(err, AC_EINVAL, "%zu rows are too few for the shape of noise", k.n);
    int rc = ac_rca_covariances(&c->m, &cov, err);
    k.x = rc ? NULL : ac_try_malloc(ac_mul_size(k.n * k.p, sizeof(double)));
    if (!rc && !k.x)
        rc = ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", k.n, k.p);
    if (!rc) {
        k.entropy = ac_xcalloc(k.p, sizeof(double));
        k.work = ac_xcalloc(k.n, sizeof(double));
        k.done = ac_xcalloc(k.p, sizeof(bool));
        k.order = ac_xcalloc(k.p, sizeof(int));
        memcpy(k.x, c->m.x, k.n * k.p * sizeof(double));
        for (size_t j = 0; j < k.p; j++)
            (void)standardise(k.x + j * k.n, k.n);
        find_order(&k);
        for (size_t at = 1; at < k.p; at++)
            effects(c, &k, cov, at, params->alpha / (double)k.p, d);
    }
    free(cov);
    free(k.x);
    free(k.entropy);
    free(k.work);
    free(k.done);
    free(k.order);
    return rc;
}
