#include "threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define WIDTH 0.15 /* of the smoothing, in the logarithm */
#define GRID  80
/* Where few events are known the next one may be far smaller: the unlabelled points alone bound the
 * threshold. */
#define FEW_BELOW 3.5
/* F1 that a unit of the logarithm away from the usual place costs, over the root of the events. */
#define DRAW 0.8
#define FAR  2.0 /* units; another unit of measure then, not another place */

static double value(double v, double sign, bool both)
{
    return both ? fabs(v) : sign * v;
}

static double phi(double x)
{
    return x > 6 ? 1 : x < -6 ? 0 : 0.5 * erfc(-x * 0.70710678118654752);
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

/* Keeps the greatest k values seen, unsorted, as a heap with the least on top. */
struct top {
    double v[THRESHOLD_NEGATIVES];
    size_t n;
};

static void sift(struct top *t, size_t i)
{
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= t->n)
            return;
        if (c + 1 < t->n && t->v[c + 1] < t->v[c])
            c++;
        if (t->v[i] <= t->v[c])
            return;
        double x = t->v[i];
        t->v[i] = t->v[c];
        t->v[c] = x;
        i = c;
    }
}

static void top_add(struct top *t, double x)
{
    if (t->n < THRESHOLD_NEGATIVES) {
        t->v[t->n++] = x;
        if (t->n == THRESHOLD_NEGATIVES) {
            for (size_t i = t->n / 2; i-- > 0;)
                sift(t, i);
        }
    } else if (x > t->v[0]) {
        t->v[0] = x;
        sift(t, 0);
    }
}

/* Logarithms of the greatest value in reach of each event; events out of reach are left out. */
static size_t event_logs(const struct threshold_data *d, const double *col, double sign, bool both,
                         const bool *skip, double *out)
{
    size_t k = 0;
    for (size_t e = 0; e < d->n_events; e++) {
        if (skip && skip[e])
            continue;
        double m = 0;
        size_t end = AC_MIN(d->events[e].b, d->events[e].a + d->delay);
        for (size_t i = d->events[e].a; i <= end; i++) {
            double v = value(col[i], sign, both);
            m = v > m ? v : m;
        }
        if (m > 0)
            out[k++] = log(m);
    }
    return k;
}

/* What a threshold of exp(u) costs for being elsewhere. */
static double strange(double u, double usual, double events)
{
    return usual > 0 ? DRAW / sqrt(events) * fmin(fabs(u - log(usual)), FAR) : 0;
}

static bool search(const double *m, size_t n_m, struct top *neg, double hits, double base_fp,
                   const struct threshold_data *d, struct threshold *ret)
{
    double total = (double)d->n_events;
    if (!n_m)
        return false;
    double weight = fmax(1, d->stand / total); /* of an event; a false alarm's is 1 */
    qsort(neg->v, neg->n, sizeof(double), descending);
    for (size_t i = 0; i < neg->n; i++)
        neg->v[i] = log(neg->v[i]);
    double lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < n_m; i++) {
        lo = m[i] < lo ? m[i] : lo;
        hi = m[i] > hi ? m[i] : hi;
    }
    lo -= total < THRESHOLD_FEW ? FEW_BELOW : 0.5;
    if (neg->n) {
        hi = neg->v[0] > hi ? neg->v[0] : hi;
        if (neg->n == THRESHOLD_NEGATIVES && neg->v[neg->n - 1] > lo)
            lo = neg->v[neg->n - 1];
    }
    hi += 0.2;
    double best = -INFINITY;
    for (int g = 0; g < GRID; g++) {
        double u = lo + (hi - lo) * g / (GRID - 1), tp = hits, fp = base_fp;
        for (size_t i = 0; i < n_m; i++)
            tp += phi((m[i] - u) / WIDTH);
        for (size_t i = 0; i < neg->n; i++) {
            double x = (neg->v[i] - u) / WIDTH;
            if (x < -6)
                break; /* sorted: the rest counts nothing */
            fp += phi(x);
        }
        double f = 2 * weight * tp / (weight * tp + fp + weight * total),
               z = f - strange(u, d->usual, total);
        if (z > best) {
            best = z;
            *ret = (struct threshold){exp(u), f};
        }
    }
    return true;
}

/* The greatest, and the first such, within so many points on both sides. */
static bool peak(const struct threshold_data *d, const double *col, double sign, bool both,
                 size_t i, size_t quiet)
{
    double v = value(col[i], sign, both);
    bool most = true;
    for (size_t k = i > quiet ? i - quiet : 0; most && k <= i + quiet && k < d->n; k++) {
        double x = value(col[k], sign, both);
        most = !(x > v) && !(x == v && k < i);
    }
    return most;
}

bool threshold_fit(const struct threshold_data *d, const double *col, double sign, bool both,
                   struct threshold *ret)
{
    struct top neg = {.n = 0};
    size_t since = d->quiet; /* the end of an event */
    for (size_t i = 0; i < d->n; i++) {
        double v = value(col[i], sign, both);
        since = d->labels[i] ? 0 : since + 1;
        if (since <= d->quiet || !(v > 0))
            continue; /* the way back from an event follows its alarm */
        if (!d->quiet || peak(d, col, sign, both, i, d->quiet))
            top_add(&neg, v);
    }
    double *m = ac_xmalloc((d->n_events + 1) * sizeof *m);
    size_t k = event_logs(d, col, sign, both, NULL, m);
    bool ok = search(m, k, &neg, 0, 0, d, ret);
    free(m);
    return ok;
}

bool threshold_fit_or(const struct threshold_data *d, const double *col, double sign, bool both,
                      const uint8_t *base_flags, const bool *hit, size_t base_fp, size_t quiet,
                      struct threshold *ret)
{
    struct top neg = {.n = 0};
    for (size_t i = 0; i < d->n; i++) {
        double v = value(col[i], sign, both);
        if (d->labels[i] || base_flags[i] || !(v > 0) ||
            (neg.n == THRESHOLD_NEGATIVES && v <= neg.v[0]))
            continue;
        if (peak(d, col, sign, both, i, quiet))
            top_add(&neg, v);
    }
    size_t hits = 0;
    for (size_t e = 0; e < d->n_events; e++)
        hits += hit[e];
    double *m = ac_xmalloc((d->n_events + 1) * sizeof *m);
    size_t k = event_logs(d, col, sign, both, hit, m);
    bool ok = search(m, k, &neg, (double)hits, (double)base_fp, d, ret);
    free(m);
    return ok;
}
