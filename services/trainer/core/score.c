#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

size_t score_segments(const uint8_t *labels, size_t n, struct score_segment **ret)
{
    struct score_segment *v = NULL;
    size_t k = 0, cap = 0;
    for (size_t i = 0; i < n; i++) {
        if (!labels[i])
            continue;
        if (i && labels[i - 1]) {
            v[k - 1].b = i;
            continue;
        }
        ac_grow(&v, &cap, k + 1, sizeof *v);
        v[k++] = (struct score_segment){i, i};
    }
    *ret = v;
    return k;
}

static double f1(size_t tp, size_t fp, size_t fn)
{
    return tp + fp + fn ? 2.0 * (double)tp / (double)(2 * tp + fp + fn) : 0;
}

struct score_events score_events(const uint8_t *labels, const uint8_t *flags, size_t n,
                                 size_t delay)
{
    struct score_events s = {0};
    for (size_t i = 0; i < n;) {
        if (!labels[i]) {
            s.fp += flags[i] != 0;
            i++;
            continue;
        }
        size_t start = i;
        bool hit = false;
        for (; i < n && labels[i]; i++)
            hit |= flags[i] && (delay == SCORE_NO_DELAY || i - start <= delay);
        s.tp += hit;
        s.fn += !hit;
    }
    s.f1 = f1(s.tp, s.fp, s.fn);
    return s;
}

double score_point_f1(const uint8_t *labels, const uint8_t *flags, size_t n)
{
    size_t tp = 0, fp = 0, fn = 0;
    for (size_t i = 0; i < n; i++) {
        tp += labels[i] && flags[i];
        fp += !labels[i] && flags[i];
        fn += labels[i] && !flags[i];
    }
    return f1(tp, fp, fn);
}

double score_adjusted_f1(const uint8_t *labels, const uint8_t *flags, size_t n)
{
    size_t tp = 0, fp = 0, fn = 0;
    for (size_t i = 0; i < n;) {
        if (!labels[i]) {
            fp += flags[i] != 0;
            i++;
            continue;
        }
        size_t start = i;
        bool hit = false;
        for (; i < n && labels[i]; i++)
            hit |= flags[i] != 0;
        *(hit ? &tp : &fn) += i - start;
    }
    return f1(tp, fp, fn);
}

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

/* ---- volume under the surface ---- */

#define VUS_THRESHOLDS 250

struct vus {
    const struct score_segment *seg;
    size_t n_seg, n;
    const uint8_t *labels;
    const double *score;
    double theta[VUS_THRESHOLDS];
};

/* Weight of a point: 1 inside a segment, falling as sqrt(1 - d / w) up to w / 2 either side. */
static void soften(const struct vus *v, size_t w, double *weight)
{
    for (size_t i = 0; i < v->n; i++)
        weight[i] = v->labels[i] ? 1 : 0;
    for (size_t k = 0; k < v->n_seg && w; k++) {
        for (size_t d = 1; d <= w / 2; d++) {
            double x = sqrt(1 - (double)d / (double)w);
            if (v->seg[k].b + d < v->n)
                weight[v->seg[k].b + d] += x;
            if (v->seg[k].a >= d)
                weight[v->seg[k].a - d] += x;
        }
    }
    for (size_t i = 0; i < v->n; i++)
        weight[i] = weight[i] > 1 ? 1 : weight[i];
}

/* Greatest score within each segment and its buffer. */
static void segment_peaks(const struct vus *v, size_t w, double *peak)
{
    for (size_t k = 0; k < v->n_seg; k++) {
        size_t a = v->seg[k].a > w / 2 ? v->seg[k].a - w / 2 : 0;
        size_t b = AC_MIN(v->seg[k].b + w / 2, v->n - 1);
        peak[k] = -INFINITY;
        for (size_t i = a; i <= b; i++)
            peak[k] = v->score[i] > peak[k] ? v->score[i] : peak[k];
    }
}

/* order: points by falling score. Sums over prefixes give every threshold in one pass. */
static double vus_area(const struct vus *v, const struct ranked *order, const double *weight,
                       const double *peak)
{
    double area = 0, last_recall = 0, hit = 0, predicted = 0;
    size_t at = 0, labelled = 0, inside = 0;
    for (size_t i = 0; i < v->n; i++)
        labelled += v->labels[i] != 0;
    for (size_t t = 0; t < VUS_THRESHOLDS; t++) {
        for (; at < v->n && order[at].s >= v->theta[t]; at++) {
            hit += weight[order[at].i];
            inside += v->labels[order[at].i] != 0;
            predicted++;
        }
        size_t touched = 0;
        for (size_t k = 0; k < v->n_seg; k++)
            touched += peak[k] >= v->theta[t];
        /* truth grows by the softened points that are predicted */
        double truth = ((double)labelled + ((double)labelled + hit - (double)inside)) / 2;
        double recall = truth > 0 ? hit / truth : 0;
        recall = (recall > 1 ? 1 : recall) * (double)touched / (double)v->n_seg;
        double precision = predicted > 0 ? hit / predicted : 0;
        area += (recall - last_recall) * precision;
        last_recall = recall;
    }
    return area;
}

double score_vus_pr(const uint8_t *labels, const double *score, size_t n, size_t length)
{
    struct score_segment *seg = NULL;
    struct vus v = {
        .n_seg = score_segments(labels, n, &seg), .n = n, .labels = labels, .score = score};
    v.seg = seg;
    if (!v.n_seg) {
        free(seg);
        return 0;
    }
    struct ranked *order = rank(score, n);
    for (size_t t = 0; t < VUS_THRESHOLDS; t++)
        v.theta[t] = order[(n - 1) * t / (VUS_THRESHOLDS - 1)].s;
    double *weight = ac_xmalloc(n * sizeof *weight), *peak = ac_xmalloc(v.n_seg * sizeof *peak);
    double sum = 0;
    for (size_t w = 0; w <= length; w++) {
        soften(&v, w, weight);
        segment_peaks(&v, w, peak);
        sum += vus_area(&v, order, weight, peak);
    }
    free(weight);
    free(peak);
    free(order);
    free(seg);
    return sum / (double)(length + 1);
}

size_t score_alarms(const uint8_t *flags, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += flags[i] && !(i && flags[i - 1]);
    return k;
}
