#include "scorers/rca_bocpd.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

#define MAX_RUNS 256
#define R_FORGET 1e-8
#define D        AC_RCA_BOCPD_MAX_D

struct run { /* what is known of one run: kappa = 1 + length, nu = d + 1 + length */
    size_t length;
    double log_r; /* ln of its probability */
    double mean[D];
    double l[D * D]; /* Cholesky factor of the scale matrix, lower, row by row */
};

struct detector {
    size_t d, n; /* n: runs under way, shortest first */
    struct run *runs;
    double log_h, log_stay;
};

static void run_init(struct run *r, size_t d)
{
    memset(r, 0, sizeof(*r));
    for (size_t i = 0; i < d; i++)
        r->l[i * D + i] = 1.0;
}

/* ln of the predictive density of x. */
static double predict(const struct run *r, size_t d, const double *x)
{
    double kappa = 1.0 + (double)r->length, dd = (double)d;
    double df = 2.0 + (double)r->length; /* nu - d + 1 */
    double scale = (kappa + 1.0) / (kappa * df), far = 0, half_det = 0, u[D];
    for (size_t i = 0; i < d; i++) {
        double v = x[i] - r->mean[i];
        for (size_t j = 0; j < i; j++)
            v -= r->l[i * D + j] * u[j];
        u[i] = v / r->l[i * D + i];
        far += u[i] * u[i];
        half_det += log(r->l[i * D + i]);
    }
    far /= scale;
    half_det += 0.5 * dd * log(scale);
    return lgamma((df + dd) / 2.0) - lgamma(df / 2.0) - 0.5 * dd * log(df * M_PI) - half_det -
           0.5 * (df + dd) * log1p(far / df);
}

/* Adds a row: the mean moves, the scale grows by one outer product. */
static void learn(struct run *r, size_t d, const double *x)
{
    double kappa = 1.0 + (double)r->length, f = sqrt(kappa / (kappa + 1.0)), v[D];
    for (size_t i = 0; i < d; i++) {
        v[i] = f * (x[i] - r->mean[i]);
        r->mean[i] += (x[i] - r->mean[i]) / (kappa + 1.0);
    }
    for (size_t k = 0; k < d; k++) {
        double diagonal = r->l[k * D + k], root = hypot(diagonal, v[k]);
        double c = root / diagonal, s = v[k] / diagonal;
        r->l[k * D + k] = root;
        for (size_t i = k + 1; i < d; i++) {
            r->l[i * D + k] = (r->l[i * D + k] + s * v[i]) / c;
            v[i] = c * v[i] - s * r->l[i * D + k];
        }
    }
    r->length++;
}

/* Forgets what is too unlikely; the place in front stays free for the new run. */
static void forget(struct detector *k, double top)
{
    size_t left = 1;
    for (size_t i = 1; i < k->n; i++) {
        if (k->runs[i].log_r - top < log(R_FORGET))
            continue;
        if (left != i)
            k->runs[left] = k->runs[i];
        left++;
    }
    k->n = left;
    while (k->n > MAX_RUNS) {
        size_t least = 1;
        for (size_t i = 2; i < k->n; i++)
            if (k->runs[i].log_r < k->runs[least].log_r)
                least = i;
        memmove(k->runs + least, k->runs + least + 1, (k->n - least - 1) * sizeof(k->runs[0]));
        k->n--;
    }
}

/* One row; returns the length of the likeliest run that ends with it. */
static size_t step(struct detector *k, const double *x)
{
    double anew = -INFINITY, top = -INFINITY, sum = 0;
    for (size_t i = k->n; i-- > 0;) {
        struct run *r = &k->runs[i + 1];
        *r = k->runs[i];
        double joint = r->log_r + predict(r, k->d, x);
        double with = joint + k->log_h;
        anew = anew > with ? anew + log1p(exp(with - anew)) : with + log1p(exp(anew - with));
        r->log_r = joint + k->log_stay;
        learn(r, k->d, x);
        top = fmax(top, r->log_r);
    }
    run_init(&k->runs[0], k->d);
    k->runs[0].log_r = anew;
    top = fmax(top, anew);
    k->n++;
    forget(k, top);
    for (size_t i = 0; i < k->n; i++)
        sum += exp(k->runs[i].log_r - top);
    size_t best = 0;
    for (size_t i = 0; i < k->n; i++) {
        k->runs[i].log_r -= top + log(sum);
        if (k->runs[i].log_r > k->runs[best].log_r)
            best = i;
    }
    return k->runs[best].length;
}

size_t ac_rca_bocpd(const double *x, size_t n, size_t d, double hazard, size_t *changes, size_t max)
{
    AC_ASSERT(d > 0 && d <= D && hazard > 0.0 && hazard < 1.0);
    struct detector k = {.d = d, .n = 1, .log_h = log(hazard), .log_stay = log1p(-hazard)};
    size_t found = 0, before = 0;
    k.runs = ac_xcalloc(MAX_RUNS + 2, sizeof(k.runs[0]));
    run_init(&k.runs[0], d);
    for (size_t t = 0; t < n; t++) {
        size_t length = step(&k, x + t * d), begin = t + 1 - length;
        if (length < before + 1 && length > 0 && found < max && begin > 0 &&
            (found == 0 || begin > changes[found - 1]))
            changes[found++] = begin;
        before = length;
    }
    free(k.runs);
    return found;
}
