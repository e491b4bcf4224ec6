/* Few labels: the kind of a series says what a rule may stand on, and a rule from one event finds a
 * smaller one, once. */
#include "bank.h"
#include "evalrule.h"
#include "guard.h"
#include "kind.h"
#include "practice.h"
#include "score.h"
#include "train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#define N     1400u
#define TRAIN 800u

static void test_each_kind_has_atoms_of_its_own(void **state)
{
    (void)state;
    const struct bank_atom *seen[KIND_END];
    for (int k = 0; k < KIND_END; k++) {
        size_t n = 0;
        seen[k] = bank_atoms_of((enum series_kind)k, &n);
        assert_true(n >= 60);
        for (size_t i = 0; i < n; i++)
            assert_true(seen[k][i].prior > 0 && seen[k][i].prior < 1 &&
                        seen[k][i].prior <= seen[k][0].prior);
        for (int j = 0; j < k; j++)
            assert_ptr_not_equal(seen[j], seen[k]);
    }
}

/* A day and noise; one labelled spike of 60 in training, one of 30 behind it. */
static void test_one_event_is_enough_to_find_a_smaller_one_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        double v[N];
        uint8_t labels[N] = {0}, flags[N];
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        for (size_t i = 0; i < N; i++)
            v[i] = 100 + 20 * sin((double)i * 2 * M_PI / 24) + ac_rng_normal(&r);
        v[500] += 60;
        labels[500] = 1;
        v[1200] += 30;
        struct train_part p = {
            .name = "made", .values = v, .labels = labels, .n = TRAIN, .step_ns = 3600000000000};
        struct train_result t;
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(series_kind_of(&p), KIND_HOURLY);
        assert_int_equal(train_labelled(&p, &(struct train_options){.delay = 3}, &t, &err), 0);
        assert_int_equal(evalrule_flags(t.base_text, v, N, flags, NULL, &err), 0);
        if (!flags[1200] || score_alarms(flags + 1190, 20) != 1)
            fail_msg("seed %llu: %s", (unsigned long long)seed, t.base_text);
        assert_int_equal(score_alarms(flags, TRAIN), 1);
        train_result_fini(&t);
    }
}

static double limit_of(const struct train_part *p)
{
    struct train_result t;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(train_labelled(p, &(struct train_options){.delay = 7}, &t, &err), 0);
    const char *at = strstr(t.base_text, "let limit = ");
    assert_non_null(at);
    double limit = strtod(at + strlen("let limit = "), NULL);
    train_result_fini(&t);
    return limit;
}

/* On series of minutes two great events do not pull the limit far from where it usually is; those
 * that were put in say nothing of that, and are taken as they are. */
static void test_few_events_leave_the_limit_near_the_usual_one(void **state)
{
    (void)state;
    double v[N];
    uint8_t labels[N] = {0};
    struct ac_rng r;
    ac_rng_seed(&r, 1);
    for (size_t i = 0; i < N; i++)
        v[i] = 100 + ac_rng_normal(&r);
    for (size_t e = 0; e < 5; e++) {
        v[300 + 120 * e] += 60;
        labels[300 + 120 * e] = 1;
    }
    v[340] += 40; /* nobody's event */
    struct train_part p = {
        .name = "made", .values = v, .labels = labels, .n = TRAIN, .step_ns = 60000000000};
    double drawn = limit_of(&p);
    p.injected = 5;
    double own = limit_of(&p);
    if (!(drawn < 0.95 * own))
        fail_msg("limit %g drawn, %g as the events have it", drawn, own);
}

static size_t alarms_of_two(const struct train_part *p, const char *rule, size_t apart)
{
    double v[N];
    uint8_t flags[N];
    memcpy(v, p->values, sizeof v);
    v[1200] += 90;
    v[1200 + apart] += 90;
    assert_int_equal(evalrule_flags(rule, v, N, flags, NULL, NULL), 0);
    return score_alarms(flags + 1190, 30);
}

/* The quiet points that the threshold was chosen with are those of the text. */
static void test_hourly_rules_speak_again_after_three_quiet_points(void **state)
{
    (void)state;
    double v[N];
    uint8_t labels[N] = {0};
    struct ac_rng r;
    ac_rng_seed(&r, 1);
    for (size_t i = 0; i < N; i++)
        v[i] = 100 + ac_rng_normal(&r);
    for (size_t i = 250; i < TRAIN; i += 100) {
        v[i] += 60;
        labels[i] = 1;
    }
    struct train_part p = {
        .name = "made", .values = v, .labels = labels, .n = TRAIN, .step_ns = 3600000000000};
    struct train_result t;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(train_labelled(&p, &(struct train_options){.delay = 3}, &t, &err), 0);
    assert_non_null(strstr(t.base_text, "when edge(strength >= limit, 3)\n"));
    size_t apart = 1;
    while (apart < 20 && alarms_of_two(&p, t.base_text, apart) == 1)
        apart++;
    assert_in_range(apart, 4, 8); /* the way back may be an alarm that goes on */
    train_result_fini(&t);
}

/* Nobody labelled anything, and a day moves more than what is looked for. */
static void season_with(size_t events)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        double v[N];
        uint8_t labels[N] = {0}, flags[N];
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        for (size_t i = 0; i < N; i++)
            v[i] = 100 + 80 * sin((double)i * 2 * M_PI / 24) + ac_rng_normal(&r);
        v[1200] += 12;
        for (size_t e = 0; e < events; e++) { /* larger than what is looked for */
            v[300 + 100 * e] += 60;
            labels[300 + 100 * e] = 1;
        }
        struct train_part p = {
            .name = "made", .values = v, .labels = labels, .n = TRAIN, .step_ns = 3600000000000};
        struct guard_options o = {.train.delay = 3};
        struct guard_report rep;
        struct train_result t;
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(guard_train(&p, &o, &t, &rep, &err), 0);
        assert_int_equal(rep.injected, events < 4 ? TRAIN / 60 : 0);
        assert_int_equal(t.events, events);
        if (events >= 4) {
            train_result_fini(&t);
            continue; /* its own events teach it */
        }
        assert_int_equal(evalrule_flags(t.text, v, N, flags, NULL, &err), 0);
        if (!flags[1200] || score_alarms(flags, N) > 2 + 2 * events) /* the way back, too */
            fail_msg("seed %llu, %zu events: flag %d, %zu alarms: %s", (unsigned long long)seed,
                     events, flags[1200], score_alarms(flags, N), t.text);
        train_result_fini(&t);
    }
}

static void test_no_event_is_enough_beside_a_season(void **state)
{
    (void)state;
    season_with(0);
}

static void test_few_events_do_not_take_the_place_of_practice(void **state)
{
    (void)state;
    season_with(1);
    season_with(3);
    season_with(4);
}

/* An hourly series keeps the rule that nobody's labels made, unless that of the labels is better.
 */
static void test_hourly_labels_must_be_better_than_none(void **state)
{
    (void)state;
    for (int misled = 0; misled <= 1; misled++) {
        double v[N];
        uint8_t labels[N] = {0};
        struct ac_rng r;
        ac_rng_seed(&r, 5);
        for (size_t i = 0; i < N; i++)
            v[i] = 100 + 20 * sin((double)i * 2 * M_PI / 24) + ac_rng_normal(&r);
        for (size_t i = 217; i < N; i += 47) {
            labels[i] = 1;
            v[i] += misled ? 0 : 6; /* less than what is practised on */
        }
        struct train_part p = {
            .name = "made", .values = v, .labels = labels, .n = N, .step_ns = 3600000000000};
        struct guard_options o = {.train.delay = 3};
        struct guard_report rep;
        struct train_result t;
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(guard_train(&p, &o, &t, &rep, &err), 0);
        assert_string_equal(rep.parts[0].name, "labels");
        assert_int_equal(rep.parts[0].kept, !misled);
        assert_true(misled ? rep.parts[0].gain <= 0 : rep.parts[0].gain > 0.1);
        assert_int_equal(strstr(t.text, "put in to practise on") != NULL, misled);
        assert_int_equal(t.events, (N - 217 + 46) / 47);
        assert_true(rep.value >= rep.base_value);
        assert_int_equal(rep.n_parts > 1, !misled); /* nothing joins the other */
        train_result_fini(&t);
    }
}

/* A level that was never used, and stays: with few events one alarm, not one at every point. */
static void test_few_events_of_a_resting_series_are_told_once(void **state)
{
    (void)state;
    for (size_t events = 1; events <= 4; events += 3) {
        double v[N];
        uint8_t labels[N] = {0}, flags[N];
        struct ac_rng r;
        ac_rng_seed(&r, 1);
        for (size_t i = 0; i < N; i++)
            v[i] = (i / 40 % 3 ? 10 : 20) + (ac_rng_below(&r, 10) ? 0 : 1) + (i >= 1200 ? 40 : 0);
        for (size_t e = 0; e < events; e++) {
            for (size_t i = 0; i < 5; i++) {
                v[410 + 80 * e + i] += 40;
                labels[410 + 80 * e + i] = 1;
            }
        }
        struct train_part p = {
            .name = "made", .values = v, .labels = labels, .n = TRAIN, .step_ns = 3600000000000};
        struct train_result t;
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(series_kind_of(&p), KIND_STATE);
        assert_int_equal(train_labelled(&p, &(struct train_options){.delay = 3}, &t, &err), 0);
        assert_int_equal(evalrule_flags(t.base_text, v, N, flags, NULL, &err), 0);
        assert_int_equal(strstr(t.base_text, "when edge(strength >= limit, 3)\n") != NULL,
                         events < 4);
        assert_true(flags[1200] || flags[1201]);
        train_result_fini(&t);
    }
}

/* What a step gained on other series was measured on minutes. */
static void test_only_minutes_keep_a_step_for_what_it_gained_elsewhere(void **state)
{
    (void)state;
    double v[N];
    uint8_t labels[N] = {0};
    struct ac_rng r;
    ac_rng_seed(&r, 3);
    for (size_t i = 0; i < N; i++) { /* spikes, and hills */
        double at = (double)(i % 100), hill = 15 - fabs(at - 70);
        labels[i] = i >= 250 && (hill > 0 || at == 20);
        v[i] = 100 + ac_rng_normal(&r) + (at == 20 ? 40 : 0) + fmax(hill, 0);
    }
    struct train_part p = {.name = "made", .values = v, .labels = labels, .n = N};
    for (int hourly = 0; hourly <= 1; hourly++) {
        struct train_result t;
        p.step_ns = hourly ? 3600000000000 : 60000000000;
        assert_int_equal(train_labelled(&p, &(struct train_options){.delay = 7}, &t, NULL), 0);
        assert_true(*t.step); /* a step joined */
        assert_int_equal(t.step_prior > 0, !hourly);
        train_result_fini(&t);
    }
}

static void test_resting_series_are_not_practised_on(void **state)
{
    (void)state;
    double v[TRAIN], copy[TRAIN];
    uint8_t labels[TRAIN] = {0};
    for (size_t i = 0; i < TRAIN; i++)
        v[i] = i / 40 % 3 ? 10 : 20;
    struct train_part p = {
        .name = "made", .values = v, .labels = labels, .n = TRAIN, .step_ns = 3600000000000};
    struct ac_err err = AC_ERR_INIT;
    size_t n = 1;
    assert_int_equal(series_kind_of(&p), KIND_STATE);
    assert_int_equal(practice_make(&p, copy, labels, &n, &err), 0);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_has_atoms_of_its_own),
        cmocka_unit_test(test_one_event_is_enough_to_find_a_smaller_one_once),
        cmocka_unit_test(test_few_events_leave_the_limit_near_the_usual_one),
        cmocka_unit_test(test_no_event_is_enough_beside_a_season),
        cmocka_unit_test(test_few_events_do_not_take_the_place_of_practice),
        cmocka_unit_test(test_hourly_labels_must_be_better_than_none),
        cmocka_unit_test(test_few_events_of_a_resting_series_are_told_once),
        cmocka_unit_test(test_only_minutes_keep_a_step_for_what_it_gained_elsewhere),
        cmocka_unit_test(test_resting_series_are_not_practised_on),
        cmocka_unit_test(test_hourly_rules_speak_again_after_three_quiet_points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
