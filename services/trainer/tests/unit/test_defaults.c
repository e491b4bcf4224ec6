/* Rules of series without labels: what was never seen is an alarm, and what would stay on is not
 * in the rule. */
#include "defaults.h"
#include "evalrule.h"
#include "score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#define TRAIN 900u
#define N     1400u

struct series {
    double v[N];
    uint8_t none[N], flags[N];
    char *rule;
    struct defaults_report rep;
};

enum shape {
    NOISE,
    RESTING, /* the same, most points like the one before */
    LEVELS,
    GROWING,
    CAPPED
};

static struct series *make(enum shape shape, uint64_t seed)
{
    struct series *s = ac_xcalloc(1, sizeof *s);
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    double level = 20, noise = 1;
    for (size_t i = 0; i < N; i++) {
        if (shape == LEVELS && ac_rng_below(&r, 40) == 0)
            level = 20 + 10 * (double)ac_rng_below(&r, 3);
        if (shape != RESTING || ac_rng_below(&r, 5) < 2)
            noise = shape == LEVELS ? 0 : 2 * ac_rng_uniform(&r);
        s->v[i] = level + noise + (shape == GROWING ? 0.05 * (double)i : 0);
        if (shape == CAPPED)
            s->v[i] = fmin(100, 99 + noise);
    }
    return s;
}

static void learn_with(struct series *s, int64_t step_s, const char *learnt)
{
    struct ac_err err = AC_ERR_INIT;
    struct train_part p = {.name = "made",
                           .values = s->v,
                           .labels = s->none,
                           .n = TRAIN,
                           .step_ns = step_s * 1000000000};
    if (defaults_train(&p, learnt, &s->rule, &s->rep, &err) < 0)
        fail_msg("%s", err.msg);
}

static void learn(struct series *s, int64_t step_s)
{
    learn_with(s, step_s, NULL);
}

static size_t alarms(struct series *s, size_t a, size_t b)
{
    assert_int_equal(evalrule_flags(s->rule, s->v, N, s->flags, NULL, NULL), 0);
    return score_alarms(s->flags + a, b - a);
}

static void drop(struct series *s)
{
    free(s->rule);
    free(s);
}

static void test_kinds(void **state)
{
    (void)state;
    struct series *s = make(NOISE, 1);
    learn(s, 60);
    assert_int_equal(s->rep.kind, KIND_MINUTE);
    assert_false(s->rep.kept[DEFAULT_RANGE]);
    drop(s);
    s = make(NOISE, 1);
    learn(s, 3600);
    assert_int_equal(s->rep.kind, KIND_HOURLY);
    assert_false(s->rep.kept[DEFAULT_RANGE]);
    drop(s);
    s = make(RESTING, 1);
    learn(s, 3600);
    assert_true(s->rep.kind == KIND_STATE && s->rep.kept[DEFAULT_RANGE]);
    drop(s);
    s = make(LEVELS, 1);
    learn(s, 60);
    assert_int_equal(s->rep.kind, KIND_STATE);
    drop(s);
}

static void test_what_was_never_seen_is_an_alarm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct series *s = make(RESTING, seed);
        s->v[1000] = 60; /* a jump, and out of the range */
        for (size_t i = 1100; i < 1140; i++)
            s->v[i] = s->v[1100]; /* flat */
        for (size_t i = 1300; i < 1350; i++)
            s->v[i] -= 30; /* out of the range and back */
        learn(s, 3600);
        for (int k = 0; k < DEFAULT_STUCK; k++)
            assert_true(s->rep.kept[k]);
        size_t in[] = {alarms(s, 995, 1005), alarms(s, 1100, 1145), alarms(s, 1295, 1310)};
        if (!in[0] || !in[1] || !in[2])
            fail_msg("seed %llu: %zu %zu %zu", (unsigned long long)seed, in[0], in[1], in[2]);
        assert_int_equal(alarms(s, 0, TRAIN), 0); /* silent on what it was learnt from */
        assert_in_range(alarms(s, TRAIN, N), 3, 9);
        drop(s);
    }
}

static void test_what_would_stay_on_is_dropped(void **state)
{
    (void)state;
    struct series *s = make(GROWING, 3);
    learn(s, 3600);
    assert_false(s->rep.kept[DEFAULT_RANGE]); /* the range of the beginning is left for good */
    assert_true(s->rep.kept[DEFAULT_SPIKE]);
    assert_null(strstr(s->rule, "outside"));
    drop(s);
}

static void test_the_end_of_a_scale(void **state)
{
    (void)state;
    struct series *s = make(CAPPED, 4);
    for (size_t i = 1000; i < 1080; i++)
        s->v[i] = 100;
    learn(s, 3600);
    assert_true(s->rep.kept[DEFAULT_STUCK]);
    assert_true(alarms(s, 1000, 1080) >= 1);
    assert_non_null(strstr(s->rule, "at_top"));
    drop(s);
}

static void test_a_learnt_rule_takes_the_place_of_the_spike(void **state)
{
    (void)state;
    struct series *s = make(RESTING, 7);
    s->v[1000] = 10; /* below the range */
    learn_with(s, 3600,
               "language 1\nrule \"x\" {\n    let much = abs(diff(value, 1))\n"
               "    when much > 25\n    reason \"by {much}\"\n}\n");
    assert_true(s->rep.learnt && !s->rep.kept[DEFAULT_SPIKE] && s->rep.kept[DEFAULT_RANGE]);
    assert_non_null(strstr(s->rule, "when much > 25 or edge(excess != 0, 7) or "));
    assert_non_null(strstr(s->rule, "reason \"by {much}; {value}, learnt from"));
    assert_int_equal(alarms(s, 1000, 1001), 1);
    drop(s);
    s = make(NOISE, 7);
    learn_with(s, 3600, "language 1\nrule \"x\" {\n    when value > 21\n}\n"); /* all the time */
    assert_true(!s->rep.learnt && s->rep.kept[DEFAULT_SPIKE]);
    drop(s);
    s = make(RESTING, 7);
    learn_with(s, 3600, "language 1\nrule \"x\" {\n    let low = 5\n    when value < low\n}\n");
    assert_true(!s->rep.learnt && s->rep.kept[DEFAULT_SPIKE]); /* names that are taken */
    drop(s);
}

/* Bytes, say: what the series does is far smaller than where it is. */
static void test_a_narrow_range_far_from_zero(void **state)
{
    (void)state;
    struct series *s = make(RESTING, 8);
    double score[N];
    for (size_t i = 0; i < N; i++)
        s->v[i] += 8589934592;
    for (size_t i = 1000; i < 1010; i++)
        s->v[i] += 4;
    learn(s, 3600);
    assert_true(s->rep.kept[DEFAULT_RANGE]);
    assert_int_equal(evalrule_flags(s->rule, s->v, N, s->flags, NULL, NULL), 0);
    assert_int_equal(score_alarms(s->flags, TRAIN), 0);
    assert_true(s->flags[1000]);
    assert_int_equal(evalrule_term(s->rule, "leaves", s->v, N, score, NULL), 0);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(score[i] > 1, i >= 1000 && i < 1010);
    drop(s);
}

/* Fewer points than an autoregression needs: the range is all there is. */
static void test_a_short_series_has_its_range(void **state)
{
    (void)state;
    struct series *s = make(NOISE, 9);
    struct train_part p = {
        .name = "made", .values = s->v, .labels = s->none, .n = 300, .step_ns = 60000000000};
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(defaults_train(&p, NULL, &s->rule, &s->rep, &err), 0);
    assert_true(s->rep.kind == KIND_MINUTE && s->rep.kept[DEFAULT_RANGE] &&
                !s->rep.kept[DEFAULT_SPIKE]);
    s->v[1000] = 60;
    assert_int_equal(alarms(s, 995, 1005), 1);
    drop(s);
}

static void test_gaps_and_series_without_anything(void **state)
{
    (void)state;
    struct series *s = make(NOISE, 5);
    for (size_t i = 0; i < TRAIN; i += 2)
        s->v[i] = NAN;
    s->v[1000] = 60;
    learn(s, 3600);
    assert_true(alarms(s, 995, 1005) >= 1);
    drop(s);
    s = make(NOISE, 6);
    for (size_t i = 0; i < N; i++)
        s->v[i] = i < TRAIN ? 3 : 4; /* constant, then another constant */
    learn(s, 60);
    assert_true(alarms(s, TRAIN, N) >= 1);
    drop(s);
    double nan[20];
    uint8_t none[20] = {0};
    for (size_t i = 0; i < 20; i++)
        nan[i] = NAN;
    struct train_part p = {
        .name = "x", .values = nan, .labels = none, .n = 20, .step_ns = 60000000000};
    char *text = NULL;
    struct defaults_report rep;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(defaults_train(&p, NULL, &text, &rep, &err), AC_ENOTSUP);
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_what_was_never_seen_is_an_alarm),
        cmocka_unit_test(test_what_would_stay_on_is_dropped),
        cmocka_unit_test(test_the_end_of_a_scale),
        cmocka_unit_test(test_a_learnt_rule_takes_the_place_of_the_spike),
        cmocka_unit_test(test_a_narrow_range_far_from_zero),
        cmocka_unit_test(test_a_short_series_has_its_range),
        cmocka_unit_test(test_gaps_and_series_without_anything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
