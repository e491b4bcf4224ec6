#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

struct indexed {
    double v;
    size_t i;
};

static int by_value(const void *pa, const void *pb)
{
    const struct indexed *a = pa, *b = pb;
    if (a->v != b->v)
        return a->v < b->v ? -1 : 1;
    return (a->i > b->i) - (a->i < b->i); /* the same order on every machine */
}

void ac_stats_ranks(const double *v, size_t n, double *rank)
{
    ac_cleanup(ac_free_p) struct indexed *s = ac_xcalloc(n, sizeof(*s));
    for (size_t i = 0; i < n; i++)
        s[i] = (struct indexed){v[i], i};
    qsort(s, n, sizeof(*s), by_value);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && s[end].v == s[i].v; end++)
            ;
        double shared = ((double)(i + 1) + (double)end) / 2; /* mean of i + 1 .. end */
        for (size_t k = i; k < end; k++)
            rank[s[k].i] = shared;
    }
}

double ac_stats_pearson(const double *a, const double *b, size_t n)
{
    double ma = ac_stats_mean(a, n), mb = ac_stats_mean(b, n), saa = 0, sbb = 0, sab = 0;
    for (size_t i = 0; i < n; i++) {
        double da = a[i] - ma, db = b[i] - mb;
        saa += da * da;
        sbb += db * db;
        sab += da * db;
    }
    /* Below the rounding of the mean itself there is no variation to speak of. */
    double eps_a = fabs(ma) * 1e-15, eps_b = fabs(mb) * 1e-15, dn = (double)n;
    if (n < 2 || saa <= dn * eps_a * eps_a || sbb <= dn * eps_b * eps_b)
        return NAN;
    double r = sab / sqrt(saa) / sqrt(sbb);
    return r > 1 ? 1 : r < -1 ? -1 : r;
}

double ac_stats_spearman(const double *a, const double *b, size_t n)
{
    ac_cleanup(ac_free_p) double *ra = ac_xcalloc(n, sizeof(double));
    ac_cleanup(ac_free_p) double *rb = ac_xcalloc(n, sizeof(double));
    ac_stats_ranks(a, n, ra);
    ac_stats_ranks(b, n, rb);
    return ac_stats_pearson(ra, rb, n);
}

struct pair {
    double a, b;
};

static int by_pair(const void *pa, const void *pb)
{
    const struct pair *x = pa, *y = pb;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

/* Sorts p by b (bottom up) and returns how many pairs stood the wrong way round. */
static uint64_t count_inversions(struct pair *p, struct pair *tmp, size_t n)
{
    uint64_t swaps = 0;
    for (size_t w = 1; w < n; w *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * w) {
            size_t mid = AC_MIN(lo + w, n), hi = AC_MIN(lo + 2 * w, n), i = lo, j = mid, k = lo;
            while (i < mid && j < hi) {
                bool left = p[i].b <= p[j].b;
                swaps += left ? 0 : mid - i;
                tmp[k++] = left ? p[i++] : p[j++];
            }
            while (i < mid)
                tmp[k++] = p[i++];
            while (j < hi)
                tmp[k++] = p[j++];
        }
        memcpy(p, tmp, n * sizeof(*p));
    }
    return swaps;
}

static double pairs_of(uint64_t n)
{
    return (double)n * (double)(n - 1) / 2;
}

double ac_stats_kendall(const double *a, const double *b, size_t n)
{
    if (n < 2)
        return NAN;
    ac_cleanup(ac_free_p) struct pair *p = ac_xcalloc(n, sizeof(*p));
    ac_cleanup(ac_free_p) struct pair *tmp = ac_xcalloc(n, sizeof(*p));
    for (size_t i = 0; i < n; i++)
        p[i] = (struct pair){a[i], b[i]};
    qsort(p, n, sizeof(*p), by_pair);
    double ties_a = 0, ties_b = 0, ties_both = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && p[end].a == p[i].a; end++)
            ;
        ties_a += pairs_of(end - i);
    }
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && p[end].a == p[i].a && p[end].b == p[i].b; end++)
            ;
        ties_both += pairs_of(end - i);
    }
    double discordant = (double)count_inversions(p, tmp, n);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && p[end].b == p[i].b; end++)
            ;
        ties_b += pairs_of(end - i);
    }
    double all = pairs_of(n), difference = all - ties_a - ties_b + ties_both - 2 * discordant;
    if (all == ties_a || all == ties_b)
        return NAN;
    return difference / sqrt(all - ties_a) / sqrt(all - ties_b);
}

static double autocorr_about(const double *v, size_t n, size_t lag, double mean, double total)
{
    double sum = 0;
    for (size_t i = 0; i + lag < n; i++)
        sum += (v[i] - mean) * (v[i + lag] - mean);
    return sum / total;
}

double ac_stats_autocorr(const double *v, size_t n, size_t lag)
{
    double mean = ac_stats_mean(v, n), total = ac_stats_var(v, n, 0) * (double)n;
    return lag < n && total > 0 ? autocorr_about(v, n, lag, mean, total) : NAN;
}

double ac_stats_effective_n(const double *a, const double *b, size_t n, size_t max_lag)
{
    double ma = ac_stats_mean(a, n), ta = ac_stats_var(a, n, 0) * (double)n;
    double mb = ac_stats_mean(b, n), tb = ac_stats_var(b, n, 0) * (double)n, sum = 0;
    if (n < 2 || !(ta > 0) || !(tb > 0))
        return (double)n;
    for (size_t k = 1; k <= max_lag && k < n; k++)
        sum += (1 - (double)k / (double)n) * autocorr_about(a, n, k, ma, ta) *
               autocorr_about(b, n, k, mb, tb);
    double eff = (double)n / (1 + 2 * sum);
    return eff > 0 && eff < (double)n ? fmax(eff, 1) : (double)n;
}
