/* DirectLiNGAM: the order of causes from the shape of the noise (Shimizu et al. 2011, with the
 * pairwise measure of Hyvarinen and Smith 2013), then linear effects along that order. */
#include <math.h>
#include <string.h>

#include <cblas.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "discover/rca_discover.h"
#include "discover/rca_entropy.h"
#include "discover/rca_regress.h"

struct lingam {
    size_t n, p;
    double *x;       /* residuals of what is left, standardised, column by column */
    double *entropy; /* of each column */
    double *score;   /* of each column when it was last looked at */
    int *candidates; /* columns that are left, the least contradicted first */
    size_t left;
    int *order;
    const struct ac_rca_clean *c;
    const struct ac_rca_discover_params *params;
};

/* Negentropy approximation of (y - r x) / s, which is standardised. */
static double entropy(const double *y, const double *x, double r, double s, size_t n)
{
    double a, b;
    ac_rca_shape(y, x, r, s, n, &a, &b);
    a -= M_LN2;
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

/* How much speaks against i being a cause of j, but for what speaks for it: below 0 it is against.
 * NaN where one of the two determines the other. */
static double direction(const struct lingam *k, size_t i, size_t j)
{
    const double *xi = k->x + i * k->n, *xj = k->x + j * k->n;
    double r = cblas_ddot((int)k->n, xi, 1, xj, 1) / (double)k->n;
    double s = sqrt(fmax(0.0, 1.0 - r * r));
    if (!(s > 1e-9))
        return NAN;
    double h_ji = entropy(xj, xi, r, s, k->n), h_ij = entropy(xi, xj, r, s, k->n);
    return (k->entropy[j] + h_ij) - (k->entropy[i] + h_ji);
}

/* Sum over all that are left of what speaks against i as a cause; more than `enough` is enough.
 * Those that seemed to be causes last time are asked first: they speak loudest. */
static double against(const struct lingam *k, size_t i, double enough)
{
    double sum = 0;
    for (size_t a = 0; a < k->left && sum <= enough; a++) {
        size_t j = (size_t)k->candidates[a];
        double d = j == i ? 0.0 : direction(k, i, j);
        if (d < 0.0) /* not for NaN */
            sum += d * d;
    }
    return sum;
}

/* What knowledge says of taking i before all others that are left: 0 nothing drives it, 1 it may, 2
 * it drives none of them, 3 one of them must come before. The least is taken first. */
static int turn(const struct lingam *k, size_t i)
{
    bool root = true, leaf = true;
    if (!k->params->know)
        return 1;
    for (size_t a = 0; a < k->left; a++) {
        size_t j = (size_t)k->candidates[a];
        if (j == i)
            continue;
        if (ac_rca_required(k->params, k->c, j, i))
            return 3;
        root = root && ac_rca_forbidden(k->params, k->c, j, i);
        leaf = leaf && ac_rca_forbidden(k->params, k->c, i, j);
    }
    return root ? 0 : leaf ? 2 : 1;
}

/* The least contradicted candidate; of equal ones the first column. Most are given up after a few
 * pairs, so that the search is nearly quadratic in the variables. */
static size_t most_exogenous(struct lingam *k)
{
    size_t best = SIZE_MAX;
    double least = INFINITY;
    int first = 3;
    for (size_t a = 0; a < k->left; a++)
        first = AC_MIN(first, turn(k, (size_t)k->candidates[a]));
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        k->entropy[i] = entropy(k->x + i * k->n, k->x + i * k->n, 0.0, 1.0, k->n);
    }
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        if (turn(k, i) != first)
            continue; /* keeps its score of last time */
        k->score[i] = against(k, i, least);
        if (k->score[i] < least || (i < best && k->score[i] == least)) {
            least = k->score[i];
            best = i;
        }
    }
    return best;
}

/* Without the one that was taken, the least contradicted first. */
static void sort_candidates(struct lingam *k, size_t taken)
{
    size_t n = 0;
    for (size_t a = 0; a < k->left; a++) {
        int v = k->candidates[a];
        if ((size_t)v == taken)
            continue;
        size_t at = n++;
        for (; at > 0 && k->score[v] < k->score[k->candidates[at - 1]]; at--)
            k->candidates[at] = k->candidates[at - 1];
        k->candidates[at] = v;
    }
    k->left = n;
}

static void find_order(struct lingam *k)
{
    for (size_t step = 0; step < k->p; step++) {
        size_t c = most_exogenous(k);
        k->order[step] = (int)c;
        sort_candidates(k, c);
        const double *xc = k->x + c * k->n;
        for (size_t a = 0; a < k->left; a++) {
            double *xj = k->x + (size_t)k->candidates[a] * k->n;
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
    size_t kept = 0;
    double *coef = ac_xcalloc(at + 1, sizeof(double)), *t = ac_xcalloc(at + 1, sizeof(double)), s2;
    int *from = ac_xcalloc(at + 1, sizeof(int)), y = k->order[at];
    for (size_t j = 0; j < at; j++)
        if (!ac_rca_forbidden(k->params, c, (size_t)k->order[j], (size_t)y))
            from[kept++] = k->order[j];
    for (bool dropped = true; dropped && kept > 0;) {
        size_t left = 0;
        if (!ac_rca_regress(cov, k->p, k->n, from, kept, y, coef, t, &s2)) {
            kept--; /* singular: without the last, which what is before it determines */
            continue;
        }
        for (size_t j = 0; j < kept; j++)
            if (2.0 * ac_stats_t_sf(fabs(t[j]), (double)(k->n - kept - 1)) <= alpha ||
                ac_rca_required(k->params, c, (size_t)from[j], (size_t)y))
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
    struct lingam k = {.c = c, .params = params, .n = c->m.n, .p = c->m.p};
    double *cov = NULL;
    if (k.n < 10)
        return ac_err_set(err, AC_EINVAL, "%zu rows are too few for the shape of noise", k.n);
    int rc = ac_rca_covariances(&c->m, &cov, err);
    k.x = rc ? NULL : ac_try_malloc(ac_mul_size(k.n * k.p, sizeof(double)));
    if (!rc && !k.x)
        rc = ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", k.n, k.p);
    if (!rc) {
        k.entropy = ac_xcalloc(k.p, sizeof(double));
        k.score = ac_xcalloc(k.p, sizeof(double));
        k.candidates = ac_xcalloc(k.p, sizeof(int));
        k.left = k.p;
        for (size_t j = 0; j < k.p; j++)
            k.candidates[j] = (int)j;
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
    free(k.score);
    free(k.candidates);
    free(k.order);
    return rc;
}
