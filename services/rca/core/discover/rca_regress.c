#include "discover/rca_regress.h"

#include <math.h>
#include <string.h>

#include <lapacke.h>

#include <aceso/base.h>

bool ac_rca_regress(const double *cov, size_t p, size_t n, const int *s, size_t k, int y,
                    double *coef, double *t, double *ret_s2)
{
    if (n <= k + 1)
        return false;
    double *a = ac_xcalloc(k * k + 1, sizeof(double)), *b = ac_xcalloc(k + 1, sizeof(double));
    for (size_t i = 0; i < k; i++) {
        b[i] = cov[(size_t)s[i] * p + (size_t)y];
        for (size_t j = 0; j < k; j++)
            a[i * k + j] = cov[(size_t)s[i] * p + (size_t)s[j]];
    }
    double left = cov[(size_t)y * p + (size_t)y];
    bool ok =
        k == 0 || (LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (int)k, a, (int)k) == 0 &&
                   LAPACKE_dpotrs(LAPACK_COL_MAJOR, 'L', (int)k, 1, a, (int)k, b, (int)k) == 0);
    for (size_t i = 0; i < k; i++)
        ok = ok && isfinite(b[i]);
    for (size_t i = 0; ok && i < k; i++)
        left -= b[i] * cov[(size_t)s[i] * p + (size_t)y];
    double s2 = fmax(0.0, left) * (double)n / (double)(n - k - 1);
    if (ok && t && k > 0) {
        ok = LAPACKE_dpotri(LAPACK_COL_MAJOR, 'L', (int)k, a, (int)k) == 0;
        for (size_t i = 0; ok && i < k; i++) {
            double se = sqrt(s2 * a[i * k + i] / (double)n);
            t[i] = se > 0.0 ? b[i] / se : b[i] == 0.0 ? 0.0 : copysign(1e300, b[i]);
        }
    }
    if (ok && coef)
        memcpy(coef, b, k * sizeof(double));
    if (ok)
        *ret_s2 = s2;
    free(a);
    free(b);
    return ok;
}

int ac_rca_lagged(const struct ac_rca_matrix *m, size_t max_lag, struct ac_rca_matrix *ret,
                  struct ac_err *err)
{
    if (m->n < max_lag + 8)
        return ac_err_set(err, AC_EINVAL, "%zu rows are too few for a lag of %zu", m->n, max_lag);
    size_t n = m->n - max_lag, p = ac_mul_size(m->p, max_lag + 1);
    if (ac_mul_size(n, p) > AC_RCA_MAX_CELLS || p > INT32_MAX)
        return ac_err_set(err, AC_ERANGE, "%zu variables at %zu lags are too many", m->p, max_lag);
    double *x = ac_try_malloc(ac_mul_size(n * p, sizeof(double)));
    if (!x)
        return ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", n, p);
    for (size_t l = 0; l <= max_lag; l++)
        for (size_t j = 0; j < m->p; j++)
            memcpy(x + (l * m->p + j) * n, m->x + j * m->n + max_lag - l, n * sizeof(double));
    *ret = (struct ac_rca_matrix){.n = n, .p = p, .x = x};
    return 0;
}
