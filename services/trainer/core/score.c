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

size_t score_alarms(const uint8_t *flags, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += flags[i] && !(i && flags[i - 1]);
    return k;
}

size_t score_transitions(const uint8_t *flags, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += (flags[i] != 0) != (i && flags[i - 1]);
    return k;
}

size_t score_detection_times(const uint8_t *labels, const uint8_t *flags, size_t n, size_t *ret)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        size_t start = i;
        for (; i < n && labels[i] && !flags[i]; i++)
            ;
        if (i < n && labels[i])
            ret[k++] = i - start;
        for (; i < n && labels[i]; i++)
            ;
        i += i < n; /* the point that ended the segment, or one outside */
    }
    return k;
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Nearest rank: the smallest member that a share q of them does not exceed. */
static double quantile(const size_t *sorted, size_t n, double q)
{
    size_t rank = (size_t)ceil(q * (double)n);
    return (double)sorted[rank ? rank - 1 : 0];
}

void score_report(const struct score_input *in, struct score_report *ret)
{
    struct score_segment *seg = NULL;
    struct score_report r = {.points = in->n};
    r.segments = score_segments(in->labels, in->n, &seg);
    free(seg);
    r.with_delay = score_events(in->labels, in->flags, in->n, in->delay);
    r.whole = score_events(in->labels, in->flags, in->n, SCORE_NO_DELAY);
    r.point_f1 = score_point_f1(in->labels, in->flags, in->n);
    r.adjusted_f1 = score_adjusted_f1(in->labels, in->flags, in->n);
    r.auc_pr = r.vus_pr = r.detect_median_s = r.detect_p90_s = NAN;
    if (in->score) {
        r.auc_pr = score_auc_pr(in->labels, in->score, in->n);
        r.vus_pr = score_vus_pr(in->labels, in->score, in->n, SCORE_VUS_LENGTH);
    }
    double step_s = (double)in->step_ns / 1e9, span_s = step_s * (double)in->n;
    r.alarms = score_alarms(in->flags, in->n);
    r.days = span_s / 86400;
    r.alarms_per_day = span_s > 0 ? (double)r.alarms / r.days : 0;
    r.flaps_per_hour =
        span_s > 0 ? (double)score_transitions(in->flags, in->n) / (span_s / 3600) : 0;
    size_t *t = ac_xmalloc((r.segments + 1) * sizeof *t);
    size_t found = score_detection_times(in->labels, in->flags, in->n, t);
    if (found) {
        qsort(t, found, sizeof *t, by_size);
        r.detect_median_s = quantile(t, found, 0.5) * step_s;
        r.detect_p90_s = quantile(t, found, 0.9) * step_s;
    }
    free(t);
    *ret = r;
}
