#include "rca_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void ac_rca_sort(double *v, size_t n)
{
    if (n > 1)
        qsort(v, n, sizeof(v[0]), compare);
}

double ac_rca_quantile_sorted(const double *sorted, size_t n, double q)
{
    if (n == 0)
        return 0.0;
    double rank = q * (double)(n - 1);
    size_t lo = (size_t)rank;
    if (lo + 1 >= n)
        return sorted[n - 1];
    double f = rank - (double)lo;
    return sorted[lo] * (1.0 - f) + sorted[lo + 1] * f;
}

double ac_rca_median(double *v, size_t n)
{
    ac_rca_sort(v, n);
    return ac_rca_quantile_sorted(v, n, 0.5);
}

double ac_rca_mean(const double *v, size_t n)
{
    double mean = 0.0; /* running form: a sum of huge values may overflow */
    for (size_t i = 0; i < n; i++)
        mean += (v[i] - mean) / (double)(i + 1);
    return mean;
}

double ac_rca_sustained_peak(const double *v, size_t n, double *scratch)
{
    if (n == 0)
        return 0.0;
    size_t w = n / 6 > 2 ? n / 6 : 2;
    if (n <= w) {
        memcpy(scratch, v, n * sizeof(v[0]));
        return ac_rca_median(scratch, n);
    }
    size_t stride = w / 4 > 1 ? w / 4 : 1;
    double best = -INFINITY;
    for (size_t i = 0; i + w <= n; i += stride) {
        memcpy(scratch, v + i, w * sizeof(v[0]));
        double m = ac_rca_median(scratch, w);
        if (m > best)
            best = m;
    }
    return best;
}

double ac_rca_pearson(const double *a, const double *b, size_t n)
{
    if (n < 3)
        return 0.0;
    double ma = ac_rca_mean(a, n), mb = ac_rca_mean(b, n), sab = 0, saa = 0, sbb = 0;
    for (size_t i = 0; i < n; i++) {
        sab += (a[i] - ma) * (b[i] - mb);
        saa += (a[i] - ma) * (a[i] - ma);
        sbb += (b[i] - mb) * (b[i] - mb);
    }
    double d = sqrt(saa) * sqrt(sbb);
    return d > 0.0 && isfinite(d) && isfinite(sab) ? sab / d : 0.0;
}
