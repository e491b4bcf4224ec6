/* The bench scores the stream that its protocol names, and nothing behind the part that is scored.
 */
#include "alarm_score.h"
#include "bench.h"
#include "evalrule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#define N     6000u
#define TRAIN 4000u
#define CUT   2800u /* 70 % of the training part */

static double v[N], score[N];
static uint8_t labels[N], flags[N];

static void fill(void)
{
    struct ac_rng r;
    ac_rng_seed(&r, 3);
    for (size_t i = 0; i < N; i++) {
        bool event = i > 300 && i % 100 < 4, decoy = i % 170 >= 90 && i % 170 < 93;
        labels[i] = event;
        v[i] = 10 + ac_rng_uniform(&r) + (event || decoy ? 1 + 4 * ac_rng_uniform(&r) : 0);
    }
}

static void run(enum bench_protocol protocol, struct bench_result *ret)
{
    char path[] = "/tmp/test_bench.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    (void)fprintf(f, "# made n_train=%u\nvalue,label\n", TRAIN);
    for (size_t i = 0; i < N; i++)
        (void)fprintf(f, "%.17g,%d\n", v[i], labels[i]);
    assert_int_equal(fclose(f), 0);
    struct ac_err err = AC_ERR_INIT;
    int rc = bench_series(path, protocol, &(struct guard_options){.train.delay = 7}, ret, &err);
    (void)unlink(path);
    if (rc < 0)
        fail_msg("%s", err.msg);
}

/* The best F1 of all thresholds, each tried by itself. */
static void test_argos_is_the_best_threshold_of_the_alarm_score(void **state)
{
    (void)state;
    fill();
    struct bench_result r;
    run(BENCH_ARGOS, &r);
    assert_int_equal(evalrule_term(r.rule.text, ALARM_SCORE_NAME, v, N, score, NULL), 0);
    struct score_events best = {0};
    double at = 0; /* of equal ones the greatest */
    size_t n = TRAIN - CUT, alarms = 0;
    for (size_t k = CUT; k < TRAIN; k++) {
        for (size_t i = CUT; i < TRAIN; i++)
            flags[i] = score[i] >= score[k];
        struct score_events e = score_events(labels + CUT, flags + CUT, n, SCORE_NO_DELAY);
        if (e.f1 > best.f1 || (e.f1 == best.f1 && score[k] > at)) {
            best = e;
            at = score[k];
            alarms = score_alarms(flags + CUT, n);
        }
    }
    const struct score_events *got = &r.scored.whole;
    assert_true(best.f1 > 0 && best.f1 < 1 && got->f1 == best.f1);
    assert_true(got->tp == best.tp && got->fp == best.fp && got->fn == best.fn);
    assert_int_equal(r.scored.alarms, alarms);
    assert_int_equal(r.scored.points, n);
    bench_result_fini(&r);
}

static void test_honest_is_the_rule(void **state)
{
    (void)state;
    fill();
    struct bench_result r;
    run(BENCH_HONEST, &r);
    assert_int_equal(evalrule_flags(r.rule.text, v, N, flags, NULL, NULL), 0);
    struct score_events e = score_events(labels + TRAIN, flags + TRAIN, N - TRAIN, 7);
    assert_true(e.tp && memcmp(&e, &r.scored.with_delay, sizeof e) == 0);
    assert_int_equal(r.scored.points, N - TRAIN);
    bench_result_fini(&r);
}

static int judge(const char *rule, const char *base, struct bench_result *ret, struct ac_err *err)
{
    struct series_file f = {
        .values = v, .labels = labels, .labelled = true, .n = N, .step_ns = 60000000000};
    *ret = (struct bench_result){.rule = {.text = ac_xstrdup(rule), .base_text = ac_xstrdup(base)}};
    return bench_score(&f, CUT, BENCH_ARGOS, 7, ret, err);
}

#define SCORED(expr)                                                                               \
    "language 1\nrule \"r\" {\n step 60s\n let alarm_score = " expr "\n when value > 1e9\n}\n"

static void test_a_rule_that_does_not_compile_is_an_error(void **state)
{
    (void)state;
    fill();
    struct bench_result r;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(judge("language 1\nrule", SCORED("value"), &r, &err), AC_EINTERNAL);
    assert_non_null(strstr(err.msg, "2:"));
    bench_result_fini(&r);
    assert_int_equal(judge(SCORED("value"), "no rule", &r, &err), AC_EINTERNAL);
    bench_result_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_argos_is_the_best_threshold_of_the_alarm_score),
        cmocka_unit_test(test_honest_is_the_rule),
        cmocka_unit_test(test_a_rule_that_does_not_compile_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
