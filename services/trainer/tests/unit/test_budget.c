/* A budget holds on the training part by its limits, and on any other data by the rule itself. */
#include "budget.h"
#include "evalrule.h"
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

#define N   4800u
#define DAY 240u /* points */
#define RULE                                                                                       \
    "language 1\nrule \"a\" {\n    let limit = 1.5\n    when value > limit or edge(value < -3, "   \
    "2)\n}\n"

static void noise(double *v, size_t n, double size, uint64_t seed)
{
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++)
        v[i] = size * ac_rng_normal(&r);
}

static size_t greatest_in(const uint8_t *flags, size_t n, size_t window)
{
    size_t now = 0, best = 0;
    for (size_t i = 0; i < n; i++) {
        now += flags[i] && !(i && flags[i - 1]);
        if (i >= window)
            now -= flags[i - window] && !(i > window && flags[i - window - 1]);
        best = now > best ? now : best;
    }
    return best;
}

static void check(double per_day, uint64_t seed)
{
    static double v[N];
    static uint8_t none[N], flags[N];
    struct ac_err err = AC_ERR_INIT;
    noise(v, N, 1, seed);
    struct train_part p = {
        .name = "a", .values = v, .labels = none, .n = N, .step_ns = 86400000000000LL / DAY};
    struct budget_report r;
    char *rule = NULL;
    if (budget_hold(&p, RULE, per_day, &rule, &r, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(r.before > r.allowed && r.factor > 1 && r.after <= r.allowed);
    assert_int_equal(evalrule_flags(rule, v, N, flags, NULL, NULL), 0);
    assert_int_equal(score_alarms(flags, N), r.after);
    noise(v, N, 20, seed + 100); /* a storm: the limits mean nothing here */
    assert_int_equal(evalrule_flags(rule, v, N, flags, NULL, NULL), 0);
    size_t told = score_alarms(flags, N), most = greatest_in(flags, N, r.window);
    if (!told || most > r.most + 1)
        fail_msg("seed %llu: %zu alarms, %zu in %zu points, %zu allowed", (unsigned long long)seed,
                 told, most, r.window, r.most);
    free(rule);
}

static void test_it_holds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        check(3, seed);
        check(0.5, seed);
        check(1.7, seed);
    }
}

static void test_what_holds_already_keeps_its_limits(void **state)
{
    (void)state;
    static double v[N];
    static uint8_t none[N];
    noise(v, N, 0.1, 7);
    v[1000] = 5;
    struct train_part p = {
        .name = "a", .values = v, .labels = none, .n = N, .step_ns = 86400000000000LL / DAY};
    struct budget_report r;
    char *rule = NULL;
    assert_int_equal(budget_hold(&p, RULE, 1, &rule, &r, NULL), 0);
    assert_true(r.factor == 1 && r.before == 1 && r.after == 1);
    assert_non_null(strstr(rule, "let limit = 1.5\n"));
    free(rule);
}

static void test_what_is_no_budget(void **state)
{
    (void)state;
    double v[20] = {0};
    uint8_t none[20] = {0};
    struct train_part p = {
        .name = "a", .values = v, .labels = none, .n = 20, .step_ns = 1000000000};
    struct budget_report r;
    struct ac_err err = AC_ERR_INIT;
    char *rule = NULL;
    assert_int_equal(budget_hold(&p, RULE, 0, &rule, &r, &err), AC_ERANGE);
    assert_int_equal(budget_hold(&p, RULE, 0.02, &rule, &r, &err), AC_ERANGE);
    assert_non_null(strstr(err.msg, "window of 4320000 points"));
    assert_int_equal(budget_hold(&p, "language 1\nrule \"a\" { when value > 1 for 2 of 3 }\n", 1,
                                 &rule, &r, &err),
                     AC_EINVAL);
    assert_null(rule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_holds),
                                       cmocka_unit_test(test_what_holds_already_keeps_its_limits),
                                       cmocka_unit_test(test_what_is_no_budget)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
