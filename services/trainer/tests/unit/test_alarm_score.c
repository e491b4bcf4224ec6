/* The let for those who choose thresholds themselves: high at events, once for each. */
#include "alarm_score.h"
#include "evalrule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N     6000
#define EVERY 400
#define LEN   6

static const char rule[] =
    "language 1\n\nrule \"x\" {\n    on \"x\"\n    let change = diff(value, 1)\n"
    "    when change > 50\n    severity warning\n}\n";

static double noise(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return (double)(*s >> 8) / (1 << 24) - 0.5;
}

static void fill(double *v, uint8_t *labels)
{
    uint32_t s = 7;
    for (size_t i = 0; i < N; i++) {
        labels[i] = i > 300 && i % EVERY < LEN;
        v[i] = 10 + noise(&s) + (labels[i] ? 9 : 0);
    }
}

static void test_events_stand_out_once(void **state)
{
    (void)state;
    static double v[N], score[N];
    static uint8_t labels[N];
    fill(v, labels);
    struct train_part p = {
        .name = "x", .values = v, .labels = labels, .n = N / 2, .step_ns = 300000000000LL};
    struct ac_err err = AC_ERR_INIT;
    char *text = NULL;
    assert_int_equal(alarm_score_add(&p, rule, &text, &err), 0);
    assert_non_null(text);
    assert_int_equal(evalrule_term(text, ALARM_SCORE_NAME, v, N, score, &err), 0);
    size_t hits = 0, others = 0, points = 0;
    for (size_t i = N / 2; i < N; i++) {
        assert_true(score[i] >= 0);
        if (score[i] < 5)
            continue;
        others += !labels[i] && i % EVERY > LEN + 3; /* the way back stands out as well */
        points++;
        hits += labels[i];
    }
    assert_true(hits >= (N / 2) / EVERY);
    assert_true(points <= 3 * hits);
    assert_int_equal(others, 0);
    free(text);
}

static void test_labels_play_no_part(void **state)
{
    (void)state;
    static double v[N];
    static uint8_t labels[N];
    fill(v, labels);
    struct train_part p = {
        .name = "x", .values = v, .labels = labels, .n = N / 2, .step_ns = 300000000000LL};
    struct ac_err err = AC_ERR_INIT;
    char *some = NULL, *none = NULL;
    assert_int_equal(alarm_score_add(&p, rule, &some, &err), 0);
    memset(labels, 0, sizeof labels);
    assert_int_equal(alarm_score_add(&p, rule, &none, &err), 0);
    assert_string_equal(some, none);
    free(some);
    free(none);
}

static void test_nothing_to_be_fitted_to(void **state)
{
    (void)state;
    static double v[N];
    static uint8_t labels[N];
    struct train_part p = {
        .name = "x", .values = v, .labels = labels, .n = N / 2, .step_ns = 300000000000LL};
    struct ac_err err = AC_ERR_INIT;
    char *text = NULL;
    assert_int_equal(alarm_score_add(&p, rule, &text, &err), 0); /* constant */
    assert_null(text);
    fill(v, labels);
    p.n = 12;
    assert_int_equal(alarm_score_add(&p, rule, &text, &err), 0);
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_stand_out_once),
        cmocka_unit_test(test_labels_play_no_part),
        cmocka_unit_test(test_nothing_to_be_fitted_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
