#include "bench.h"

#include "evalrule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "readers/series_file.h"

#define VUS_LENGTH 100

void bench_result_fini(struct bench_result *r)
{
    train_result_fini(&r->rule);
}

/* Trains on the first part of the file only; nothing of the rest was read by then. */
static int train_first(const char *path, enum bench_protocol protocol, size_t delay,
                       struct bench_result *ret, size_t *ret_cut, size_t *ret_end,
                       struct ac_err *err)
{
    struct series_file f;
    int rc = series_file_read_train(path, &f, err);
    if (rc < 0)
        return rc;
    size_t n = f.n_train ? f.n : f.n / 2;
    *ret_end = protocol == BENCH_ARGOS ? n : SIZE_MAX;
    if (protocol == BENCH_ARGOS)
        n = n * 7 / 10;
    *ret_cut = n;
    struct train_part part = {
        .name = f.name, .values = f.values, .labels = f.labels, .n = n, .step_ns = f.step_ns};
    ac_str_copy(ret->name, sizeof ret->name, f.name);
    rc = train_labelled(&part, delay, &ret->rule, err);
    series_file_fini(&f);
    return rc;
}

struct ranked {
    double s;
    bool event;
};

static int falling(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->s > y->s ? -1 : x->s < y->s;
}

/* The best event F1 over all thresholds on the scored labels: for comparison with the paper only.
 */
static struct score_events best_events(const uint8_t *labels, const double *score, size_t n)
{
    struct ranked *r = ac_xmalloc((n + 1) * sizeof *r);
    size_t k = 0, events = 0;
    for (size_t i = 0; i < n;) {
        if (!labels[i]) {
            r[k++] = (struct ranked){score[i] == score[i] ? score[i] : -INFINITY, false};
            i++;
            continue;
        }
        double m = -INFINITY;
        for (; i < n && labels[i]; i++)
            m = score[i] > m ? score[i] : m;
        r[k++] = (struct ranked){m, true};
        events++;
    }
    qsort(r, k, sizeof *r, falling);
    struct score_events best = {.fn = events};
    size_t tp = 0, fp = 0;
    for (size_t i = 0; i < k;) {
        size_t j = i;
        for (; j < k && r[j].s == r[i].s; j++)
            *(r[j].event ? &tp : &fp) += 1;
        double f = 2.0 * (double)tp / (double)(tp + fp + events);
        if (f > best.f1 && isfinite(r[i].s))
            best = (struct score_events){f, tp, fp, events - tp};
        i = j;
    }
    free(r);
    return best;
}

/* The same rule without its step atom, to see whether joining it did harm. */
static int base_alone(const struct bench_result *r, const struct series_file *f, size_t cut,
                      size_t delay, struct score_events *ret, struct ac_err *err)
{
    const char *join = strstr(r->rule.text, " or edge(step_strength");
    if (!join) {
        *ret = r->with_delay;
        return 0;
    }
    const char *end = strchr(join, '\n');
    char *text = ac_xasprintf("%.*s%s", (int)(join - r->rule.text), r->rule.text, end);
    uint8_t *flags = ac_xcalloc(f->n + 1, 1);
    int rc = evalrule_flags(text, f->values, f->n, flags, NULL, err);
    if (rc == 0)
        *ret = score_events(f->labels + cut, flags + cut, f->n - cut, delay);
    free(flags);
    free(text);
    return rc;
}

static int score_rest(const struct series_file *f, size_t cut, enum bench_protocol protocol,
                      size_t delay, struct bench_result *ret, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(f->n + 1, 1);
    double *score = ac_xcalloc(f->n + 1, sizeof *score);
    int rc = evalrule_flags(ret->rule.text, f->values, f->n, flags, score, err);
    if (rc == 0) {
        const uint8_t *y = f->labels + cut, *p = flags + cut;
        size_t n = f->n - cut;
        struct score_segment *seg = NULL;
        ret->segments = score_segments(y, n, &seg);
        free(seg);
        ret->with_delay = score_events(y, p, n, delay);
        ret->without = protocol == BENCH_ARGOS ? best_events(y, score + cut, n)
                                               : score_events(y, p, n, SCORE_NO_DELAY);
        ret->auc_pr = score_auc_pr(y, score + cut, n);
        ret->vus_pr = ret->segments ? score_vus_pr(y, score + cut, n, VUS_LENGTH) : 0;
        ret->days = (double)n * (double)f->step_ns / 86400e9;
        ret->alarms = score_alarms(p, n);
        rc = base_alone(ret, f, cut, delay, &ret->base, err);
    }
    free(flags);
    free(score);
    return rc;
}

int bench_series(const char *path, enum bench_protocol protocol, size_t delay,
                 struct bench_result *ret, struct ac_err *err)
{
    size_t cut = 0, end = 0;
    memset(ret, 0, sizeof *ret);
    int rc = train_first(path, protocol, delay, ret, &cut, &end, err);
    if (rc < 0)
        return rc;
    struct series_file f;
    rc = series_file_read(path, &f, err);
    if (rc == 0) {
        f.n = AC_MIN(f.n, end);
        rc = score_rest(&f, AC_MIN(cut, f.n), protocol, delay, ret, err);
        series_file_fini(&f);
    }
    if (rc < 0)
        bench_result_fini(ret);
    return rc;
}
