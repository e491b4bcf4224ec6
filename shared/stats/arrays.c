#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#define INSERTION_MAX 24

size_t ac_stats_compact(const double *v, size_t n, double *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(v[i]))
            out[k++] = v[i];
    }
    return k;
}

static void swap(double *a, double *b)
{
    double t = *a;
    *a = *b;
    *b = t;
}

static void insertion_sort(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double x = v[i];
        size_t k = i;
        for (; k > 0 && v[k - 1] > x; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

static void sift(double *v, size_t i, size_t n)
{
    double x = v[i];
    for (size_t kid; (kid = 2 * i + 1) < n; i = kid) {
        if (kid + 1 < n && v[kid] < v[kid + 1])
            kid++;
        if (v[kid] <= x)
            break;
        v[i] = v[kid];
    }
    v[i] = x;
}

static void heap_sort(double *v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(v, i, n);
    for (size_t end = n; end > 1; end--) {
        swap(&v[0], &v[end - 1]);
        sift(v, 0, end - 1);
    }
}

static double median3(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* Three parts: [0, *lo) below the pivot, [*lo, *hi) equal to it, [*hi, n) above. */
static void partition(double *v, size_t n, size_t *ret_lo, size_t *ret_hi)
{
    size_t e = n / 8;
    double pivot = median3(median3(v[0], v[e], v[2 * e]), median3(v[3 * e], v[n / 2], v[5 * e]),
                           median3(v[6 * e], v[7 * e], v[n - 1]));
    size_t lo = 0, i = 0, hi = n;
    while (i < hi) {
        if (v[i] < pivot)
            swap(&v[lo++], &v[i++]);
        else if (v[i] > pivot)
            swap(&v[i], &v[--hi]);
        else
            i++;
    }
    *ret_lo = lo;
    *ret_hi = hi;
}

/* depth: how many bad pivots are borne before the sort with a guarantee takes over. */
static void quick_sort(double *v, size_t n, int depth)
{
    while (n > INSERTION_MAX) {
        if (depth-- == 0) {
            heap_sort(v, n);
            return;
        }
        size_t lo, hi;
        partition(v, n, &lo, &hi);
        if (lo < n - hi) { /* recursion on the shorter side */
            quick_sort(v, lo, depth);
            v += hi;
            n -= hi;
        } else {
            quick_sort(v + hi, n - hi, depth);
            n = lo;
        }
    }
    insertion_sort(v, n);
}

static int depth_for(size_t n)
{
    int d = 8;
    for (; n; n >>= 1)
        d += 2;
    return d;
}

void ac_stats_sort(double *v, size_t n)
{
    quick_sort(v, n, depth_for(n));
}

/* Puts the k-th smallest at k, nothing larger before it and nothing smaller behind it. */
static void select_kth(double *v, size_t n, size_t k)
{
    for (int depth = depth_for(n); n > INSERTION_MAX; depth--) {
        if (depth == 0) {
            heap_sort(v, n);
            return;
        }
        size_t lo, hi;
        partition(v, n, &lo, &hi);
        if (k < lo) {
            n = lo;
        } else if (k < hi) {
            return;
        } else {
            v += hi;
            n -= hi;
            k -= hi;
        }
    }
    insertion_sort(v, n);
}

double ac_stats_sum(const double *v, size_t n)
{
    double sum = 0, lost = 0; /* Neumaier: what each addition rounds away is kept beside */
    for (size_t i = 0; i < n; i++) {
        double t = sum + v[i];
        lost += fabs(sum) >= fabs(v[i]) ? (sum - t) + v[i] : (v[i] - t) + sum;
        sum = t;
    }
    return isfinite(lost) ? sum + lost : sum;
}

double ac_stats_mean(const double *v, size_t n)
{
    return n ? ac_stats_sum(v, n) / (double)n : NAN;
}

double ac_stats_var(const double *v, size_t n, unsigned ddof)
{
    if (n <= ddof)
        return NAN;
    double mean = ac_stats_mean(v, n), sum = 0, err = 0;
    for (size_t i = 0; i < n; i++) {
        double d = v[i] - mean;
        sum += d * d;
        err += d; /* 0 but for rounding of the mean */
    }
    double var = (sum - err * err / (double)n) / (double)(n - ddof);
    return var < 0 ? 0 : var;
}

double ac_stats_std(const double *v, size_t n, unsigned ddof)
{
    return sqrt(ac_stats_var(v, n, ddof));
}

static double between(double a, double b, double f)
{
    return f > 0 ? a + (b - a) * f : a;
}

double ac_stats_quantile_sorted(const double *v, size_t n, double q)
{
    if (n == 0)
        return NAN;
    double pos = q * (double)(n - 1);
    size_t i = AC_MIN((size_t)pos, n - 1);
    return between(v[i], v[AC_MIN(i + 1, n - 1)], pos - (double)i);
}

double ac_stats_quantile(double *v, size_t n, double q)
{
    if (n == 0)
        return NAN;
    double pos = q * (double)(n - 1);
    size_t i = AC_MIN((size_t)pos, n - 1);
    select_kth(v, n, i);
    double next = i + 1 < n ? v[i + 1] : v[i];
    for (size_t k = i + 2; k < n; k++)
        next = v[k] < next ? v[k] : next;
    return between(v[i], next, pos - (double)i);
}

double ac_stats_median(double *v, size_t n)
{
    return ac_stats_quantile(v, n, 0.5);
}

double ac_stats_mad(double *v, size_t n)
{
    double m = ac_stats_median(v, n);
    for (size_t i = 0; i < n; i++)
        v[i] = fabs(v[i] - m);
    return ac_stats_median(v, n);
}
