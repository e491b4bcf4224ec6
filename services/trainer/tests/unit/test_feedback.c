/* Limits follow the labels of past weeks, and of past weeks alone. */
#include "feedback.h"
#include "score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#define N    6000u
#define CUT  2000u
#define WEEK 500u
#define RULE "language 1\nrule \"a\" {\n    let limit = 10\n    when value > limit\n}\n"

struct series {
    double v[N];
    uint8_t labels[N], flags[N];
    struct feedback f;
};

/* Events of 15 and noise to 5, until the noise rises to 12 and what counts is above 30. */
static struct series *make(uint64_t seed)
{
    struct series *s = ac_xcalloc(1, sizeof *s);
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    for (size_t i = 0; i < N; i++) {
        bool late = i >= 3000;
        s->labels[i] = i % 50 == 7;
        s->v[i] = (late ? 14 : 5) * ac_rng_uniform(&r) + (s->labels[i] ? (late ? 30 : 15) : 0);
    }
    s->f = (struct feedback){
        .values = s->v, .labels = s->labels, .n = N, .start = CUT, .week = WEEK, .delay = 7};
    return s;
}

static void test_limits_follow(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct series *s = make(seed);
        struct feedback_report r;
        assert_int_equal(feedback_run(RULE, &s->f, s->flags, &r, NULL), 0);
        assert_int_equal(r.weeks, 8);
        assert_true(r.changes >= 1 && r.last > 1.3);
        struct score_events first = score_events(s->labels + CUT, s->flags + CUT, 1000, 7);
        struct score_events storm = score_events(s->labels + 3000, s->flags + 3000, WEEK, 7);
        struct score_events end = score_events(s->labels + 5000, s->flags + 5000, 1000, 7);
        if (first.f1 != 1 || storm.fp < 50 || end.f1 != 1)
            fail_msg("seed %llu: %f, %zu, %f", (unsigned long long)seed, first.f1, storm.fp,
                     end.f1);
        for (size_t i = 0; i < CUT; i++)
            assert_int_equal(s->flags[i], 0); /* not written */
        free(s);
    }
}

static void test_no_label_is_used_before_its_week_has_ended(void **state)
{
    (void)state;
    struct series *s = make(4), *t = make(4);
    for (size_t cut = CUT; cut < N; cut += WEEK) {
        memcpy(t->labels, s->labels, N);
        for (size_t i = cut; i < N; i++)
            t->labels[i] = i % 3 == 0;
        struct feedback_report r;
        assert_int_equal(feedback_run(RULE, &s->f, s->flags, &r, NULL), 0);
        assert_int_equal(feedback_run(RULE, &t->f, t->flags, &r, NULL), 0);
        assert_memory_equal(s->flags, t->flags, cut + WEEK < N ? cut + WEEK : N);
    }
    free(s);
    free(t);
}

static void test_a_rule_without_limits_stays_as_it_is(void **state)
{
    (void)state;
    struct series *s = make(5);
    struct feedback_report r;
    assert_int_equal(
        feedback_run("language 1\nrule \"a\" { when value > 10 }\n", &s->f, s->flags, &r, NULL), 0);
    assert_true(r.changes == 0 && r.last == 1);
    for (size_t i = CUT; i < N; i++)
        assert_int_equal(s->flags[i], s->v[i] > 10);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_follow),
        cmocka_unit_test(test_no_label_is_used_before_its_week_has_ended),
        cmocka_unit_test(test_a_rule_without_limits_stays_as_it_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
