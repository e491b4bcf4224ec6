#include "bench.h"

#include "alarm_score.h"
#include "deviation.h"
#include "evalrule.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "readers/series_file.h"
#include "readers/train_source.h"

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
    char *scored = NULL;
    if (rc == 0 && argos)
        rc = alarm_score_add(part, ret->rule.text, &scored, err);
    if (scored) {
        free(ret->rule.text);
        ret->rule.text = scored;
    }
    train_source_close(s);
    return rc;
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

/* The column of a let; where the rule has none of that name, what score has stays. */
static int rank_by(const char *name, const char *rule, const struct series_file *f, double *score,
                   struct ac_err *err)
{
    int rc = evalrule_term(rule, name, f->values, f->n, score, err);
    return rc == AC_ENOTFOUND ? 0 : rc;
}

/* Flags of the whole file as the protocol has them; score is what points are ranked by. */
static int flag_all(const struct series_file *f, size_t cut, enum bench_protocol protocol,
                    size_t delay, struct bench_result *ret, uint8_t *flags, double *score,
                    struct ac_err *err)
{
    int rc = evalrule_flags(ret->rule.text, f->values, f->n, flags, score, err);
    if (rc == 0 && protocol == BENCH_ARGOS) {
        rc = rank_by(ALARM_SCORE_NAME, ret->rule.text, f, score, err);
        score_best_flags(f->labels + cut, score + cut, f->n - cut, flags + cut);
    }
    if (rc == 0 && protocol == BENCH_FEEDBACK) { /* limits follow the labels behind cut */
        size_t week = (size_t)(7 * 86400000000000LL / f->step_ns);
        struct feedback fb = {.values = f->values,
                              .labels = f->labels,
                              .n = f->n,
                              .start = cut,
                              .week = AC_MAX(week, (size_t)1),
                              .delay = delay};
        rc = feedback_run(ret->rule.text, &fb, flags, &ret->feedback, err);
    }
    return rc < 0 ? rc : rank_by(DEVIATION_NAME, ret->rule.text, f, score, err);
}

int bench_score(const struct series_file *f, size_t cut, enum bench_protocol protocol, size_t delay,
                struct bench_result *ret, struct ac_err *err)
{
    uint8_t *flags = ac_xcalloc(f->n + 1, 1);
    double *score = ac_xcalloc(f->n + 1, sizeof *score);
    int rc = flag_all(f, cut, protocol, delay, ret, flags, score, err);
    if (rc == 0)
        rc = base_alone(ret, f, cut, delay, &ret->base, err);
    struct score_input in = {.labels = f->labels + cut,
                             .flags = flags + cut,
                             .score = score + cut,
                             .n = f->n - cut,
                             .delay = delay,
                             .step_ns = f->step_ns};
    if (rc == 0)
        score_report(&in, &ret->scored);
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
    if (rc == 0 && !f.labelled) {
        rc = ac_err_set(err, AC_EINVAL, "%s: no column of labels to score by", path);
        series_file_fini(&f);
    } else if (rc == 0) {
        f.n = AC_MIN(f.n, end);
        rc = bench_score(&f, AC_MIN(cut, f.n), protocol, o->train.delay, ret, err);
        series_file_fini(&f);
    }
    if (rc < 0)
        bench_result_fini(ret);
    return rc;
}
