#include "bench.h"

#include "deviation.h"
#include "evalrule.h"
#include "vote.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "readers/series_file.h"
#include "readers/train_source.h"

#define VUS_LENGTH 100

void bench_result_fini(struct bench_result *r)
{
    train_result_fini(&r->rule);
}

/* The source hands out the training part alone. */
static int train_first(const char *path, enum bench_protocol protocol,
                       const struct guard_options *o, struct bench_result *ret, size_t *ret_cut,
                       size_t *ret_end, struct ac_err *err)
{
    bool argos = protocol == BENCH_ARGOS;
    struct train_source *s = NULL;
    int rc = train_source_open(path, argos ? TRAIN_SHARE_ARGOS : TRAIN_SHARE_HALF, &s, err);
    if (rc < 0)
        return rc;
    const struct train_part *part = train_source_part(s);
    *ret_end = argos ? train_source_stated(s) : SIZE_MAX;
    *ret_cut = part->n;
    ac_str_copy(ret->name, sizeof ret->name, part->name);
    rc = guard_train(part, o, &ret->rule, &ret->guard, err);
    char *voted = NULL;
    if (rc == 0 && argos)
        rc = vote_add(part, part->n, ret->rule.text, &voted, err);
    if (voted) {
        free(ret->rule.text);
        ret->rule.text = voted;
    }
    train_source_close(s);
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

/* The detector that the rule was built on, alone: to see whether what joined it did harm. */
static int base_alone(const struct bench_result *r, const struct series_file *f, size_t cut,
                      size_t delay, struct score_events *ret, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(f->n + 1, 1);
    int rc = evalrule_flags(r->rule.base_text, f->values, f->n, flags, NULL, err);
    if (rc == 0)
        *ret = score_events(f->labels + cut, flags + cut, f->n - cut, delay);
    free(flags);
    return rc;
}

/* Flags of the whole file; under the feedback protocol the limits follow the labels behind cut. */
static int flag_all(const struct series_file *f, size_t cut, enum bench_protocol protocol,
                    size_t delay, struct bench_result *ret, uint8_t *flags, double *score,
                    struct ac_err *err)
{
    int rc = evalrule_flags(ret->rule.text, f->values, f->n, flags, score, err);
    if (rc < 0 || protocol != BENCH_FEEDBACK)
        return rc;
    struct feedback fb = {.values = f->values,
                          .labels = f->labels,
                          .n = f->n,
                          .start = cut,
                          .week = AC_MAX((size_t)(7 * 86400000000000LL / f->step_ns), (size_t)1),
                          .delay = delay};
    return feedback_run(ret->rule.text, &fb, flags, &ret->feedback, err);
}

/* The column of a let; where the rule has none of that name, what score has stays. */
static void rank_by(const char *name, const char *rule, const struct series_file *f, double *score)
{
    int rc = evalrule_term(rule, name, f->values, f->n, score, NULL);
    AC_ASSERT(rc == 0 || rc == AC_ENOTFOUND);
}

static int score_rest(const struct series_file *f, size_t cut, enum bench_protocol protocol,
                      size_t delay, struct bench_result *ret, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(f->n + 1, 1);
    double *score = ac_xcalloc(f->n + 1, sizeof *score);
    int rc = flag_all(f, cut, protocol, delay, ret, flags, score, err);
    if (rc == 0) {
        const uint8_t *y = f->labels + cut, *p = flags + cut;
        size_t n = f->n - cut;
        struct score_segment *seg = NULL;
        ret->segments = score_segments(y, n, &seg);
        free(seg);
        ret->with_delay = score_events(y, p, n, delay);
        if (protocol == BENCH_ARGOS)
            rank_by(VOTE_NAME, ret->rule.text, f, score);
        ret->without = protocol == BENCH_ARGOS ? best_events(y, score + cut, n)
                                               : score_events(y, p, n, SCORE_NO_DELAY);
        rank_by(DEVIATION_NAME, ret->rule.text, f, score);
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

int bench_series(const char *path, enum bench_protocol protocol, const struct guard_options *o,
                 struct bench_result *ret, struct ac_err *err)
{
    size_t cut = 0, end = 0;
    memset(ret, 0, sizeof *ret);
    int rc = train_first(path, protocol, o, ret, &cut, &end, err);
    if (rc < 0)
        return rc;
    struct series_file f;
    rc = series_file_read(path, &f, err);
    if (rc == 0) {
        f.n = AC_MIN(f.n, end);
        rc = score_rest(&f, AC_MIN(cut, f.n), protocol, o->delay, ret, err);
        series_file_fini(&f);
    }
    if (rc < 0)
        bench_result_fini(ret);
    return rc;
}
