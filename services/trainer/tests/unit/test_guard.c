/* Changes of a rule are taken when they are better on blocks that the rule was not made from, and
 * what makes a rule never sees such a block. */
#include "guard.h"

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

#define N 900u

struct made {
    double values[N];
    uint8_t labels[N];
    struct train_part part;
};

/* Noise in 0..1; an event of two points every 30: it goes up by 10, every third one down. */
static struct made *make(uint64_t seed)
{
    struct made *m = ac_xcalloc(1, sizeof *m);
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    for (size_t i = 0; i < N; i++) {
        size_t k = i / 30;
        m->labels[i] = i % 30 == 7 || i % 30 == 8;
        m->values[i] = ac_rng_uniform(&r) + (m->labels[i] ? (k % 3 == 2 ? -10 : 10) : 0);
    }
    m->part = (struct train_part){
        .name = "made", .values = m->values, .labels = m->labels, .n = N, .step_ns = 60000000000};
    return m;
}

#define RULE "language 1\nrule \"made\" { when "

static int put(const struct train_part *seen, const char *rule, size_t track, void *arg, char **ret,
               struct ac_err *err)
{
    (void)seen, (void)rule, (void)track, (void)err;
    *ret = arg ? ac_xasprintf(RULE "%s }\n", (const char *)arg) : NULL;
    return 0;
}

static bool kept_if(struct guard *g, const char *condition, enum guard_need need, double *gain)
{
    bool k = false;
    assert_int_equal(guard_try(g, put, (void *)(uintptr_t)condition, need, &k, gain, NULL), 0);
    return k;
}

static bool kept(struct guard *g, const char *condition, double *gain)
{
    return kept_if(g, condition, GUARD_BETTER, gain);
}

static void test_only_better_changes_are_taken(void **state)
{
    (void)state;
    struct made *m = make(1);
    struct guard *g = guard_create(&m->part, 7);
    assert_int_equal(guard_start(g, put, (void *)(uintptr_t) "value > 5", NULL), 0);
    struct score_events s = guard_counts(g);
    assert_true(s.tp == 20 && s.fn == 10 && s.fp == 0);
    double before = guard_value(g), gain = 0;
    assert_false(kept(g, "value > 4", &gain)); /* neither better nor worse is not better */
    assert_true(gain == 0);
    assert_false(kept(g, "value > 0.5", &gain)); /* finds as much, with false alarms */
    assert_true(gain < 0);
    assert_false(kept(g, NULL, &gain));
    assert_false(kept_if(g, "value > 0.5", GUARD_HOLDS, &gain));
    assert_true(guard_value(g) == before && strstr(guard_rule(g), "value > 5"));
    assert_true(kept_if(g, "value > 4", GUARD_HOLDS, &gain)); /* not worse is enough for that */
    assert_true(guard_value(g) == before && strstr(guard_rule(g), "value > 4"));
    assert_true(kept(g, "value > 5 or value < -5", &gain));
    assert_true(gain > 0.1 && fabs(guard_value(g) - before - gain) < 1e-12);
    assert_true(guard_counts(g).tp == 30 && guard_value(g) == 1);
    assert_non_null(strstr(guard_rule(g), "value < -5"));
    guard_destroy(g);
    free(m);
}

/* What a maker saw of each track. */
struct spy {
    size_t missing[GUARD_BLOCKS + 1], labels[GUARD_BLOCKS + 1];
    size_t first[GUARD_BLOCKS + 1];
};

static int look(const struct train_part *seen, const char *rule, size_t track, void *arg,
                char **ret, struct ac_err *err)
{
    struct spy *s = arg;
    assert_null(rule);
    (void)err;
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->values[i] != seen->values[i] && !s->missing[track]++)
            s->first[track] = i;
        s->labels[track] += seen->labels[i];
        assert_true(!seen->labels[i] || seen->values[i] == seen->values[i]);
    }
    *ret = ac_xstrdup(RULE "value > 5 }\n");
    return 0;
}

static void test_a_maker_never_sees_the_block_it_is_judged_on(void **state)
{
    (void)state;
    struct made *m = make(2);
    struct guard *g = guard_create(&m->part, 7);
    struct spy s = {0};
    assert_int_equal(guard_start(g, look, &s, NULL), 0);
    for (size_t b = 0; b < GUARD_BLOCKS; b++) {
        assert_int_equal(s.missing[b], N / GUARD_BLOCKS);
        assert_int_equal(s.first[b], b * (N / GUARD_BLOCKS));
        assert_int_equal(s.labels[b], s.labels[GUARD_BLOCKS] / 3 * 2);
    }
    assert_int_equal(s.missing[GUARD_BLOCKS], 0);
    guard_destroy(g);
    free(m);
}

static int broken(const struct train_part *seen, const char *rule, size_t track, void *arg,
                  char **ret, struct ac_err *err)
{
    (void)seen, (void)rule, (void)arg;
    if (track == 1)
        return ac_err_set(err, AC_EINVAL, "no");
    *ret = ac_xstrdup(RULE "value > 2 }\n");
    return 0;
}

static void test_an_error_changes_nothing(void **state)
{
    (void)state;
    struct made *m = make(3);
    struct guard *g = guard_create(&m->part, 7);
    struct ac_err err = AC_ERR_INIT;
    bool k = true;
    assert_int_equal(guard_start(g, put, (void *)(uintptr_t) "value > 5", NULL), 0);
    assert_int_equal(guard_try(g, broken, NULL, GUARD_BETTER, &k, NULL, &err), AC_EINVAL);
    assert_non_null(strstr(guard_rule(g), "value > 5"));
    assert_int_equal(guard_try(g, put, (void *)(uintptr_t) "no such", GUARD_BETTER, &k, NULL, &err),
                     AC_EINTERNAL);
    assert_non_null(strstr(guard_rule(g), "value > 5"));
    guard_destroy(g);
    free(m);
}

static void test_rules_are_bounded(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(guard_bounded(RULE "value > 1 }", &err), 0);
    assert_int_equal(guard_bounded(RULE "median(value, 1000000) > 1 }", &err), AC_ERANGE);
    assert_non_null(strstr(err.msg, "bytes a series"));
    assert_int_equal(guard_bounded(RULE "velue > 1 }", &err), AC_EINTERNAL);
}

static void test_a_trained_rule_is_not_worse_than_its_base(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct made *m = make(seed);
        struct train_result r;
        struct guard_report rep;
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(
            guard_train(&m->part, &(struct guard_options){.train.delay = 7}, &r, &rep, &err), 0);
        if (rep.value < rep.base_value)
            fail_msg("seed %llu: %f, base %f", (unsigned long long)seed, rep.value, rep.base_value);
        double gain = 0;
        for (size_t i = 0; i < rep.n_parts; i++)
            gain += rep.parts[i].kept ? rep.parts[i].gain : 0;
        assert_true(fabs(rep.value - rep.base_value - gain) < 1e-9);
        assert_int_equal(gain > 0, strcmp(r.text, r.base_text) != 0);
        assert_true(rep.rule.tp >= 25);
        train_result_fini(&r);
        free(m);
    }
}

static void test_a_budget_is_part_of_the_rule(void **state)
{
    (void)state;
    struct made *m = make(9);
    struct train_result r;
    struct guard_report rep;
    struct ac_err err = AC_ERR_INIT;
    struct guard_options o = {.train.delay = 7, .alarms_per_day = 2};
    assert_int_equal(guard_train(&m->part, &o, &r, &rep, &err), 0);
    assert_true(rep.budget.before >= 25 && rep.budget.allowed == 1);
    assert_true(rep.budget.after <= 3); /* 0.6 days; the rule allows 2 + 1 a day at all times */
    assert_non_null(strstr(r.text, "lately <= 2"));
    train_result_fini(&r);
    o.alarms_per_day = 1e-6;
    assert_int_equal(guard_train(&m->part, &o, &r, &rep, &err), AC_ERANGE);
    free(m);
}

static void test_what_is_too_short_to_be_cut_proves_nothing(void **state)
{
    (void)state;
    struct made *m = make(5);
    m->part.n = 12;
    struct guard *g = guard_create(&m->part, 7);
    double gain = 1;
    assert_int_equal(guard_start(g, put, (void *)(uintptr_t) "value > 5", NULL), 0);
    assert_false(kept(g, "value > 4", &gain));
    assert_true(gain == 0 && guard_value(g) == 0);
    guard_destroy(g);
    guard_destroy(NULL);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_better_changes_are_taken),
        cmocka_unit_test(test_a_maker_never_sees_the_block_it_is_judged_on),
        cmocka_unit_test(test_an_error_changes_nothing),
        cmocka_unit_test(test_rules_are_bounded),
        cmocka_unit_test(test_a_trained_rule_is_not_worse_than_its_base),
        cmocka_unit_test(test_a_budget_is_part_of_the_rule),
        cmocka_unit_test(test_what_is_too_short_to_be_cut_proves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
