/* The let that ranks points: it leaves the verdict alone, and is greatest where a point is far from
 * what is usual, in the middle of long incidents too. */
#include "deviation.h"
#include "evalrule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY  24
#define N    (DAY * 20)
#define FROM (DAY * 15 + 3)
#define TO   (DAY * 15 + 12)

static const char rule[] = "language 1\n\nrule \"x\" {\n    on \"x\"\n    when value > 50\n"
                           "    severity warning\n}\n";

static void fill(double *v)
{
    for (size_t i = 0; i < N; i++)
        v[i] = 10 + 5 * sin(2 * 3.14159265358979 * (double)(i % DAY) / DAY);
}

static void test_a_plateau_ranks_first_and_the_verdict_stays(void **state)
{
    (void)state;
    double v[N], d[N];
    uint8_t labels[N] = {0}, before[N], after[N];
    fill(v);
    struct train_part p = {
        .name = "x", .values = v, .labels = labels, .n = DAY * 10, .step_ns = 3600000000000LL};
    char *text = deviation_add(&p, rule);
    assert_non_null(text);
    assert_non_null(strstr(text, "season_median(value, 24, 7, 0)"));
    v[FROM - 1] = 60;
    for (size_t i = FROM; i <= TO; i++)
        v[i] += 12;
    assert_int_equal(evalrule_flags(rule, v, N, before, NULL, NULL), 0);
    assert_int_equal(evalrule_flags(text, v, N, after, NULL, NULL), 0);
    assert_memory_equal(before, after, N);
    assert_int_equal(evalrule_term(text, DEVIATION_NAME, v, N, d, NULL), 0);
    double least = INFINITY, most = 0;
    for (size_t i = FROM + 2; i <= TO; i++)
        least = fmin(least, d[i]);
    for (size_t i = DAY * 8; i < N; i++) {
        assert_true(isfinite(d[i]));
        if (i < FROM - 1 || i > TO + 2)
            most = fmax(most, d[i]);
    }
    assert_true(least > most);
    free(text);
}

static void test_odd_parts(void **state)
{
    (void)state;
    double v[N], d[N];
    uint8_t labels[N] = {0};
    for (size_t i = 0; i < N; i++)
        v[i] = 7;
    struct train_part p = {.name = "x",
                           .values = v,
                           .labels = labels,
                           .n = N,
                           .step_ns = 1000000}; /* a step of a millisecond: no day of it */
    char *text = deviation_add(&p, rule);
    assert_non_null(text);
    assert_null(strstr(text, "season_median"));
    assert_int_equal(evalrule_term(text, DEVIATION_NAME, v, N, d, NULL), 0);
    assert_true(d[N - 1] == 0);
    free(text);
    for (size_t i = 0; i < N; i++)
        v[i] = NAN;
    assert_null(deviation_add(&p, rule));
    p.n = 0;
    assert_null(deviation_add(&p, rule));
    assert_true(evalrule_term(rule, DEVIATION_NAME, v, N, d, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plateau_ranks_first_and_the_verdict_stays),
        cmocka_unit_test(test_odd_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
