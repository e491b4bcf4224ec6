/* Measures of scores over all thresholds: the areas under precision against recall, and the best
 * threshold. */
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

struct ranked {
    double s;
    size_t i;
};

static int descending(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->s != y->s)
        return x->s > y->s ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static struct ranked *rank(const double *score, size_t n)
{
    struct ranked *r = ac_xmalloc((n + 1) * sizeof *r);
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){score[i] == score[i] ? score[i] : -INFINITY, i};
    qsort(r, n, sizeof *r, descending);
    return r;
}

double score_auc_pr(const uint8_t *labels, const double *score, size_t n)
{
    struct ranked *r = rank(score, n);
    size_t positives = 0, tp = 0, seen = 0;
    for (size_t i = 0; i < n; i++)
        positives += labels[i] != 0;
    double area = 0;
    for (size_t i = 0; i < n && positives;) {
        size_t j = i, before = tp;
        for (; j < n && r[j].s == r[i].s; j++)
            tp += labels[r[j].i] != 0;
        seen += j - i;
        area += (double)(tp - before) / (double)positives * (double)tp / (double)seen;
        i = j;
    }
    free(r);
    return area;
}

/* Points outside events count one by one, an event by its greatest point. */
static size_t event_ranks(const uint8_t *labels, const double *score, size_t n, struct ranked *r,
                          size_t *ret_events)
{
    size_t k = 0;
    for (size_t i = 0; i < n; k++) {
        double m = -INFINITY;
        size_t a = i;
        do {
            m = score[i] > m ? score[i] : m;
            i++;
        } while (labels[a] && i < n && labels[i]);
        r[k] = (struct ranked){m, a};
        *ret_events += labels[a] != 0;
    }
    qsort(r, k, sizeof *r, descending);
    return k;
}

void score_best_flags(const uint8_t *labels, const double *score, size_t n, uint8_t *ret)
{
    struct ranked *r = ac_xmalloc((n + 1) * sizeof *r);
    size_t events = 0, tp = 0, fp = 0, k = event_ranks(labels, score, n, r, &events);
    double at = INFINITY, best = 0;
    for (size_t i = 0; i < k;) {
        size_t j = i;
        for (; j < k && r[j].s == r[i].s; j++)
            *(labels[r[j].i] ? &tp : &fp) += 1;
        double f = 2.0 * (double)tp / (double)(tp + fp + events);
        if (f > best && isfinite(r[i].s)) {
            best = f;
            at = r[i].s;
        }
        i = j;
    }
    free(r);
    for (size_t i = 0; i < n; i++)
        ret[i] = isfinite(at) && score[i] >= at;
}

/* ---- volume under the surface ---- */

/* As published: so many thresholds, evenly spread over the ranks of the scores. */
#define THRESHOLDS 250

/* A bucket is the first threshold that a point reaches. All that depends on thresholds is a sum
 * over buckets, so that a buffer costs its own points only and not the whole series again. */
struct vus {
    struct score_segment *seg;
    size_t n_seg, n;
    const uint8_t *labels;
    uint8_t *bucket;
    uint8_t *first;                  /* a segment's first bucket, its buffer included */
    double *weight;                  /* of points in buffers; 0 between uses */
    double predicted[THRESHOLDS];    /* points that reach the threshold */
    double labelled[THRESHOLDS];     /* of them in segments */
    double slope[SCORE_VUS_MAX + 1]; /* by distance */
};

static void sum_up(double v[THRESHOLDS])
{
    for (size_t t = 1; t < THRESHOLDS; t++)
        v[t] += v[t - 1];
}

static void fill_buckets(struct vus *v, const double *score)
{
    struct ranked *order = rank(score, v->n);
    double step = (double)(v->n - 1) / (THRESHOLDS - 1);
    size_t at = 0;
    for (size_t t = 0; t < THRESHOLDS; t++) {
        size_t place = t == THRESHOLDS - 1 ? v->n - 1 : (size_t)((double)t * step);
        for (; at < v->n && order[at].s >= order[place].s; at++) {
            size_t i = order[at].i;
            v->bucket[i] = (uint8_t)t;
            v->predicted[t]++;
            v->labelled[t] += v->labels[i] != 0;
        }
    }
    free(order);
    sum_up(v->predicted);
    sum_up(v->labelled);
    for (size_t k = 0; k < v->n_seg; k++) {
        v->first[k] = THRESHOLDS - 1;
        for (size_t i = v->seg[k].a; i <= v->seg[k].b; i++)
            v->first[k] = AC_MIN(v->first[k], v->bucket[i]);
    }
}

/* The buffers grow to h points either side. */
static void widen(struct vus *v, size_t h)
{
    for (size_t k = 0; k < v->n_seg && h; k++) {
        if (v->seg[k].a >= h)
            v->first[k] = AC_MIN(v->first[k], v->bucket[v->seg[k].a - h]);
        if (v->seg[k].b + h < v->n)
            v->first[k] = AC_MIN(v->first[k], v->bucket[v->seg[k].b + h]);
    }
}

/* Weight of the buffers' points by bucket: sqrt(1 - d / w) at distance d, added where buffers
 * meet, at most 1. */
static void soft_hits(struct vus *v, size_t w, double hit[THRESHOLDS])
{
    size_t h = w / 2;
    for (size_t d = 1; d <= h; d++)
        v->slope[d] = sqrt(1 - (double)d / (double)w);
    for (size_t k = 0; k < v->n_seg; k++) {
        size_t a = v->seg[k].a, b = v->seg[k].b;
        for (size_t d = 1; d <= h && d <= a; d++)
            v->weight[a - d] += v->slope[d];
        for (size_t d = 1; d <= h && b + d < v->n; d++)
            v->weight[b + d] += v->slope[d];
    }
    size_t from = 0;
    for (size_t k = 0; k < v->n_seg; k++) {
        size_t a = v->seg[k].a > h ? v->seg[k].a - h : 0;
        size_t end = AC_MIN(v->seg[k].b + h + 1, v->n);
        for (size_t i = AC_MAX(from, a); i < end; i++) {
            if (!v->labels[i])
                hit[v->bucket[i]] += AC_MIN(v->weight[i], 1.0);
            v->weight[i] = 0;
        }
        from = AC_MAX(from, end);
    }
    sum_up(hit);
}

/* How many ranges reach each threshold: segments whose buffers touch are one. */
static size_t ranges_hit(const struct vus *v, size_t h, double hit[THRESHOLDS])
{
    size_t n = 0;
    for (size_t k = 0; k < v->n_seg;) {
        uint8_t first = v->first[k];
        size_t end = v->seg[k].b + h;
        for (k++; k < v->n_seg && end + h >= v->seg[k].a; k++) {
            first = AC_MIN(first, v->first[k]);
            end = v->seg[k].b + h;
        }
        hit[first]++;
        n++;
    }
    sum_up(hit);
    return n;
}

static double area_at(struct vus *v, size_t w)
{
    double soft[THRESHOLDS] = {0}, touched[THRESHOLDS] = {0}, area = 0, last = 0;
    soft_hits(v, w, soft);
    double ranges = (double)ranges_hit(v, w / 2, touched);
    double labelled = v->labelled[THRESHOLDS - 1];
    for (size_t t = 0; t < THRESHOLDS; t++) {
        double hit = v->labelled[t] + soft[t];
        /* the truth grows by half of the weight that is predicted in buffers */
        double recall = hit / (labelled + soft[t] / 2);
        recall = AC_MIN(recall, 1.0) * touched[t] / ranges;
        area += (recall - last) * hit / v->predicted[t];
        last = recall;
    }
    return area;
}

double score_vus_pr(const uint8_t *labels, const double *score, size_t n, size_t length)
{
    struct vus v = {.n = n, .labels = labels};
    AC_ASSERT(length <= SCORE_VUS_MAX);
    v.n_seg = score_segments(labels, n, &v.seg);
    double sum = 0;
    if (v.n_seg) {
        v.bucket = ac_xmalloc(n);
        v.first = ac_xmalloc(v.n_seg);
        v.weight = ac_xcalloc(n, sizeof *v.weight);
        fill_buckets(&v, score);
        for (size_t w = 0; w <= length; w++) {
            if (w % 2 == 0)
                widen(&v, w / 2);
            sum += area_at(&v, w);
        }
    }
    free(v.bucket);
    free(v.first);
    free(v.weight);
    free(v.seg);
    return sum / (double)(length + 1);
}
