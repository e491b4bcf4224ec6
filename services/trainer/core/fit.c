/* Fits from a training part: deviations, autoregressions, mean sizes. */
#include "bank.h"
#include "evalrule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

static double deviation(const double *v, size_t n)
{
    double sum = 0, sq = 0, k = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i] == v[i])
            sum += v[i], k++;
    }
    double mean = k > 0 ? sum / k : 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i] == v[i])
            sq += (v[i] - mean) * (v[i] - mean);
    }
    return k > 1 ? sqrt(sq / k) : 0;
}

static double clip(double v, double c)
{
    return v > c ? c : v < -c ? -c : v;
}

/* Solves (A + ridge) x = b for a symmetric positive matrix, in place. */
static bool solve(double *a, double *b, int p)
{
    for (int j = 0; j < p; j++) {
        for (int k = 0; k < j; k++) {
            for (int i = j; i < p; i++)
                a[i * p + j] -= a[i * p + k] * a[j * p + k];
        }
        if (!(a[j * p + j] > 0))
            return false;
        double d = sqrt(a[j * p + j]);
        for (int i = j; i < p; i++)
            a[i * p + j] /= d;
    }
    for (int i = 0; i < p; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i * p + k] * b[k];
        b[i] /= a[i * p + i];
    }
    for (int i = p; i-- > 0;) {
        for (int k = i + 1; k < p; k++)
            b[i] -= a[k * p + i] * b[k];
        b[i] /= a[i * p + i];
    }
    return true;
}

/* Ridge regression of y[t] on its clipped lags 1..p and, with extra, on extra[t-1]. Points that are
 * themselves extreme teach nothing. */
static bool autoregression(const double *y, const double *extra, size_t n, int p, double *coef)
{
    int q = p + (extra ? 1 : 0);
    double a[BANK_AR_MAX * BANK_AR_MAX] = {0}, b[BANK_AR_MAX] = {0}, x[BANK_AR_MAX];
    double *yc = ac_xmalloc((n + 1) * sizeof *yc);
    for (size_t t = 0; t < n; t++)
        yc[t] = clip(y[t], 8);
    size_t rows = 0;
    for (size_t t = (size_t)p; t < n; t++) {
        if (!(fabs(y[t]) < 8))
            continue;
        double ok = 0;
        for (int i = 0; i < p; i++)
            x[i] = yc[t - 1 - (size_t)i], ok += x[i];
        if (extra)
            x[p] = clip(extra[t - 1], 5), ok += x[p];
        if (ok != ok)
            continue;
        rows++;
        for (int i = 0; i < q; i++) {
            b[i] += x[i] * y[t];
            for (int k = 0; k <= i; k++)
                a[i * q + k] += x[i] * x[k];
        }
    }
    free(yc);
    double trace = 0;
    for (int i = 0; i < q; i++)
        trace += a[i * q + i];
    for (int i = 0; i < q; i++)
        a[i * q + i] += 0.01 * trace / q;
    if (rows < (size_t)q * 4 || !solve(a, b, q))
        return false;
    for (int i = 0; i < q; i++)
        coef[i] = bank_round(b[i]);
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static size_t sorted_known(const double *v, size_t n, double *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i] == v[i])
            out[k++] = v[i];
    }
    qsort(out, k, sizeof *out, by_value);
    return k;
}

static bool fit_changes(struct bank_fit *f, const double *v, size_t n, double *y)
{
    y[0] = __builtin_nan("");
    for (size_t i = 1; i < n; i++)
        y[i] = v[i] - v[i - 1];
    f->sd_y = bank_round(deviation(y, n));
    if (!(f->sd_y > 0))
        return false;
    for (size_t i = 0; i < n; i++)
        y[i] /= f->sd_y;
    return autoregression(y, NULL, n, 3, f->ar3) && autoregression(y, NULL, n, 10, f->ar10) &&
           autoregression(y, NULL, n, 40, f->ar40);
}

/* The seasonal residual needs the language's own season, so that training sees what will run. */
static bool fit_season(struct bank_fit *f, const double *v, size_t n, double *y)
{
    struct bank_lets l = {0};
    bank_put_residuals(&l, f);
    double *s = ac_xmalloc(n * sizeof *s);
    const char *name = "sm7";
    bool ok = evalrule_columns(&l, f->step_ns, v, n, &name, 1, &s, NULL) == 0;
    bank_lets_fini(&l);
    if (ok) {
        y[0] = __builtin_nan("");
        for (size_t i = 1; i < n; i++)
            y[i] = s[i] - s[i - 1];
        f->sd_y7 = bank_round(deviation(y, n));
        f->sd_s7 = bank_round(deviation(s, n));
        ok = f->sd_y7 > 0 && f->sd_s7 > 0;
        for (size_t i = 0; ok && i < n; i++) {
            y[i] /= f->sd_y7;
            s[i] /= f->sd_s7;
        }
        ok = ok && autoregression(y, s, n, 10, f->are);
    }
    free(s);
    return ok;
}

int bank_fit_residuals(struct bank_fit *f, const double *v, size_t n, int64_t step_ns,
                       struct ac_err *err)
{
    memset(f, 0, sizeof *f);
    f->step_ns = step_ns;
    f->day = (uint32_t)AC_MAX(86400000000000LL / step_ns, 1LL);
    if (n < 400)
        return ac_err_set(err, AC_ENOTSUP, "%zu points are too few to fit (400 needed)", n);
    double *y = ac_xmalloc(n * sizeof *y), *s = ac_xmalloc(n * sizeof *s);
    size_t k = sorted_known(v, n, s);
    f->median = k ? bank_round(s[k / 2]) : 0;
    double c = bank_round(0.05 * fabs(f->median) + 0.001 * deviation(v, n));
    f->logs = k && s[k / 1000] >= 0 && c > 0;
    f->log_c = c;
    bool ok = fit_changes(f, v, n, y);
    f->used[R_ARE] = ok && n > 2 * (size_t)f->day && fit_season(f, v, n, y);
    free(y);
    free(s);
    for (int r = 0; r < R_END; r++) {
        if (r != R_ARE)
            f->used[r] = ok && (r != R_LSX || f->logs) && (r != R_ARE_S3 || f->used[R_ARE]);
    }
    return ok ? 0 : ac_err_set(err, AC_ENOTSUP, "the values never change: nothing can be fitted");
}

void bank_fit_scale(struct bank_fit *f, enum bank_resid r, const double *col, size_t n)
{
    double *s = ac_xmalloc((n + 1) * sizeof *s);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (col[i] == col[i])
            s[k++] = fabs(col[i]);
    }
    qsort(s, k, sizeof *s, by_value);
    if (k < 100) {
        f->used[r] = false;
        free(s);
        return;
    }
    f->cap[r] = bank_round(s[(size_t)(0.995 * (double)(k - 1))]);
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += s[i] < f->cap[r] ? s[i] : f->cap[r];
    f->g[r] = bank_round(sum / (double)k);
    size_t hour = AC_MAX(f->day / 24, 1u), blocks = 0;
    for (size_t b = 0; b + hour <= n; b += hour) {
        double m = -1;
        for (size_t i = b; i < b + hour; i++)
            m = fabs(col[i]) > m ? fabs(col[i]) : m;
        if (m >= 0)
            s[blocks++] = m;
    }
    qsort(s, blocks, sizeof *s, by_value);
    f->block[r] = blocks ? bank_round(s[blocks / 2]) : f->g[r];
    f->block_high[r] = blocks ? bank_round(s[blocks * 9 / 10]) : f->g[r];
    if (!(f->block[r] > 0)) /* most hours are at rest */
        f->block[r] = f->block_high[r] = AC_MAX(f->block_high[r], f->g[r]);
    if (!(f->g[r] >
          0)) /* mostly exactly 0: any size is unusual, but there is no unit to say it in */
        f->used[r] = false;
    if (!(f->cap[r] > 0))
        f->cap[r] = f->g[r];
    free(s);
}
