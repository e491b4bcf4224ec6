#include <math.h>
#include <string.h>

#include <float.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "discover/rca_ci.h"

struct fisher {
    struct ac_rca_ci base;
    const double *r;
    double z_alpha;
    double
        critical[AC_RCA_MAX_GIVEN + 1]; /* |r| from which on a set of that size means dependence */
    int s[AC_RCA_MAX_GIVEN];
    size_t k;      /* of s, without what the rest of it determines */
    size_t stated; /* size as asked for: it counts for the degrees of freedom */
    double l[AC_RCA_MAX_GIVEN * AC_RCA_MAX_GIVEN]; /* Cholesky factor of r over s */
    int of[2];                                     /* variables whose projection is kept */
    double w[2][AC_RCA_MAX_GIVEN], rest[2];        /* L^-1 r(s, x), and 1 - |w|^2 */
};

#define PIVOT_MIN 1e-10 /* below it a variable is determined by others */

static double solve(const struct fisher *f, int x, double *w)
{
    double rest = 1.0;
    for (size_t i = 0; i < f->k; i++) {
        double v = f->r[(size_t)f->s[i] * f->base.p + (size_t)x];
        for (size_t j = 0; j < i; j++)
            v -= f->l[i * AC_RCA_MAX_GIVEN + j] * w[j];
        w[i] = v / f->l[i * AC_RCA_MAX_GIVEN + i];
        rest -= w[i] * w[i];
    }
    return rest;
}

static void given(struct ac_rca_ci *t, const int *s, size_t k)
{
    struct fisher *f = (struct fisher *)t;
    AC_ASSERT(k <= AC_RCA_MAX_GIVEN);
    f->k = 0;
    f->stated = k;
    f->of[0] = f->of[1] = -1;
    for (size_t i = 0; i < k; i++) {
        double *row = f->l + f->k * AC_RCA_MAX_GIVEN;
        double pivot = solve(f, s[i], row);
        if (pivot < PIVOT_MIN)
            continue; /* adds nothing to the set */
        row[f->k] = sqrt(pivot);
        f->s[f->k++] = s[i];
    }
}

/* Projection of x on the set: kept for two variables, one of which mostly stays the same. */
static const double *project(struct fisher *f, int slot, int x, double *ret_rest)
{
    if (f->of[slot] != x) {
        f->rest[slot] = solve(f, x, f->w[slot]);
        f->of[slot] = x;
    }
    *ret_rest = f->rest[slot];
    return f->w[slot];
}

static void destroy(struct ac_rca_ci *t)
{
    free(t);
}

/* NaN where x or y is determined by the set. */
static double partial(struct fisher *f, int x, int y)
{
    double rx, ry, r = f->r[(size_t)x * f->base.p + (size_t)y];
    if (f->k == 0)
        return r;
    const double *wx = project(f, 0, x, &rx), *wy = project(f, 1, y, &ry);
    if (rx < PIVOT_MIN || ry < PIVOT_MIN)
        return NAN;
    for (size_t i = 0; i < f->k; i++)
        r -= wx[i] * wy[i];
    return r / sqrt(rx * ry);
}

double ac_rca_ci_partial(struct ac_rca_ci *t, int x, int y)
{
    AC_ASSERT(t->destroy == destroy);
    return partial((struct fisher *)t, x, y);
}

const double *ac_rca_ci_correlations(const struct ac_rca_ci *t, double critical[3])
{
    const struct fisher *f = (const struct fisher *)t;
    if (t->destroy != destroy)
        return NULL;
    for (int k = 0; k < 3; k++)
        critical[k] = f->critical[k] * f->critical[k];
    return f->r;
}

static double p_value(struct ac_rca_ci *t, int x, int y)
{
    struct fisher *f = (struct fisher *)t;
    t->tests++;
    double r = partial(f, x, y), df = (double)t->n - (double)f->stated - 3.0;
    if (isnan(r) || !(df > 0.0))
        return 0.0;
    if (fabs(r) >= 1.0)
        r = 1.0 - DBL_EPSILON;
    double z = fabs(0.5 * log((1.0 + r) / (1.0 - r))) * sqrt(df);
    return fmax(0.0, 2.0 * (1.0 - ac_stats_normal_cdf(z)));
}

static bool independent(struct ac_rca_ci *t, int x, int y)
{
    struct fisher *f = (struct fisher *)t;
    t->tests++;
    return fabs(partial(f, x, y)) < f->critical[f->stated]; /* false for NaN */
}

static struct ac_rca_ci *twin(const struct ac_rca_ci *t)
{
    struct fisher *f = ac_xcalloc(1, sizeof(*f));
    *f = *(const struct fisher *)t;
    f->base.tests = 0;
    return &f->base;
}

struct ac_rca_ci *ac_rca_ci_fisher(const double *r, size_t p, size_t n, double alpha)
{
    struct fisher *f = ac_xcalloc(1, sizeof(*f));
    f->base = (struct ac_rca_ci){.p = p,
                                 .n = n,
                                 .alpha = alpha,
                                 .given = given,
                                 .p_value = p_value,
                                 .independent = independent,
                                 .twin = twin,
                                 .destroy = destroy};
    f->r = r;
    f->z_alpha = ac_stats_normal_quantile(1.0 - alpha / 2.0);
    for (size_t k = 0; k <= AC_RCA_MAX_GIVEN; k++) {
        double df = (double)n - (double)k - 3.0;
        f->critical[k] = df > 0.0 ? tanh(f->z_alpha / sqrt(df)) : 0.0; /* 0: nothing passes */
    }
    f->of[0] = f->of[1] = -1;
    return &f->base;
}

void ac_rca_ci_destroy(struct ac_rca_ci *t)
{
    if (t)
        t->destroy(t);
}

struct ac_rca_ci **ac_rca_ci_twins(struct ac_rca_ci *t, size_t n)
{
    struct ac_rca_ci **twins = ac_xcalloc(n, sizeof(twins[0]));
    for (size_t i = 0; i < n; i++)
        twins[i] = i ? t->twin(t) : t;
    return twins;
}

void ac_rca_ci_twins_free(struct ac_rca_ci **twins, size_t n)
{
    for (size_t i = 1; i < n; i++)
        ac_rca_ci_destroy(twins[i]);
    free(twins);
}
