#include <math.h>

#include <lapacke.h>

#include <aceso/base.h>
#include <aceso/stats.h>

struct design {
    size_t n, cols;
    double *x; /* column by column: LAPACK's own order */
    double *b; /* y on the way in, the solution on the way out; max(n, cols) */
};

static bool fill(struct design *d, const double *x, const double *y, size_t p, bool intercept)
{
    size_t first = intercept ? 1 : 0;
    for (size_t i = 0; i < d->n; i++) {
        if (intercept)
            d->x[i] = 1;
        for (size_t k = 0; k < p; k++) {
            double v = x[i * p + k];
            if (!isfinite(v))
                return false;
            d->x[(first + k) * d->n + i] = v;
        }
        if (!isfinite(y[i]))
            return false;
        d->b[i] = y[i];
    }
    return true;
}

/* Residuals from the data as given: the solver has overwritten its copy. */
static void judge(const struct design *d, const double *x, const double *y, size_t p,
                  bool intercept, const double *coef, double *resid, struct ac_ols *fit)
{
    double mean = intercept ? ac_stats_mean(y, d->n) : 0;
    fit->rss = fit->tss = 0;
    for (size_t i = 0; i < d->n; i++) {
        double e = y[i] - (intercept ? coef[0] : 0);
        for (size_t k = 0; k < p; k++)
            e -= x[i * p + k] * coef[k + (intercept ? 1 : 0)];
        if (resid)
            resid[i] = e;
        fit->rss += e * e;
        fit->tss += (y[i] - mean) * (y[i] - mean);
    }
    fit->sigma2 = d->n > fit->rank ? fit->rss / (double)(d->n - fit->rank) : NAN;
    fit->r2 = fit->tss > 0 ? 1 - fit->rss / fit->tss : NAN;
}

int ac_stats_ols(const double *x, const double *y, size_t n, size_t p, bool intercept, double *coef,
                 double *resid, struct ac_ols *ret_fit, struct ac_err *err)
{
    struct design d = {.n = n, .cols = p + (intercept ? 1 : 0)};
    if (n == 0 || d.cols == 0)
        return ac_err_set(err, AC_EINVAL, "least squares over nothing");
    if (n > INT32_MAX || ac_mul_size(n, d.cols) > INT32_MAX)
        return ac_err_set(err, AC_ERANGE, "least squares: %zu x %zu is too large", n, d.cols);
    d.x = ac_try_malloc(ac_mul_size(n * d.cols, sizeof(double)));
    d.b = ac_try_calloc(AC_MAX(n, d.cols), sizeof(double));
    double *singular = ac_try_calloc(AC_MIN(n, d.cols), sizeof(double));
    int rc = 0;
    lapack_int rank = 0;
    if (!d.x || !d.b || !singular)
        rc = ac_err_set(err, AC_ENOMEM, "least squares: out of memory");
    else if (!fill(&d, x, y, p, intercept))
        rc = ac_err_set(err, AC_EINVAL, "least squares: a value is no number");
    else if (LAPACKE_dgelsd(LAPACK_COL_MAJOR, (lapack_int)n, (lapack_int)d.cols, 1, d.x,
                            (lapack_int)n, d.b, (lapack_int)AC_MAX(n, d.cols), singular, 1e-12,
                            &rank) != 0)
        rc = ac_err_set(err, AC_EINTERNAL, "least squares did not converge");
    if (rc == 0) {
        for (size_t k = 0; k < d.cols; k++)
            coef[k] = d.b[k];
        struct ac_ols fit = {.rank = (size_t)rank};
        judge(&d, x, y, p, intercept, coef, resid, &fit);
        if (ret_fit)
            *ret_fit = fit;
    }
    free(singular);
    free(d.b);
    free(d.x);
    return rc;
}
