/* What sum, mean, std, slope and season_mean amount to beside their definitions in long double,
 * while a window holds values that are far from all others, and after. */
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
#include <aceso/rules.h>

#define N     2000
#define AT    700   /* the first strange value */
#define LEVEL 100.0 /* of the others, whose deviation is 1 */

static const char *const terms[] = {"sum_", "mean_", "std_", "slope_", "season_"};
enum {
    SUM,
    MEAN,
    STD,
    SLOPE,
    SEASON,
    TERMS
};
static double series[N], got[TERMS][N];
static long double want[TERMS];

static void evaluate(size_t w)
{
    char text[500];
    double *columns[TERMS];
    (void)snprintf(
        text, sizeof text,
        "language 1 rule \"a\" { let sum_ = sum(value, %zu) let mean_ = mean(value, %zu) "
        "let std_ = std(value, %zu) let slope_ = slope(value, %zu) "
        "let season_ = season_mean(value, 24, 3, 2) when value > 0 }",
        w, w, w, w);
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    assert_int_equal(ac_ruleset_parse(text, strlen(text), &s, &d), 0);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&r, 1, AC_PLAN_ALL_TERMS, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 97);
    for (size_t k = 0; k < TERMS; k++)
        columns[k] = got[k];
    const struct ac_eval_batch b = {
        .values = series, .n = N, .n_terms = TERMS, .term_names = terms, .terms = columns};
    ac_eval_run(e, &b);
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

/* By definition, of the window that ends at i. */
static void define(size_t i, size_t w)
{
    long double n = 0, t = 0, sum = 0, square = 0, tt = 0, ty = 0;
    for (size_t k = i + 1 - w; k <= i; k++) {
        if (series[k] == series[k])
            n++, t += k, sum += series[k];
    }
    for (size_t k = i + 1 - w; k <= i; k++) {
        long double y = series[k] - sum / n, x = k - t / n;
        if (series[k] == series[k])
            square += y * y, tt += x * x, ty += x * y;
    }
    want[SUM] = sum, want[MEAN] = sum / n, want[STD] = sqrtl(square / n), want[SLOPE] = ty / tt;
    sum = n = 0;
    for (size_t m = 1; m <= 3; m++) {
        for (size_t k = i - m * 24 - 2; k <= i - m * 24 + 2; k++) {
            if (series[k] == series[k])
                n++, sum += series[k];
        }
    }
    want[SEASON] = sum / n;
}

/* Noise, gaps, and from AT on so many strange values of about that size. */
static void make(double size, size_t many, uint64_t seed)
{
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    for (size_t i = 0; i < N; i++) {
        double noise = -6;
        for (int k = 0; k < 12; k++)
            noise += (double)ac_rng_below(&r, 1u << 30) / (1u << 30);
        series[i] = LEVEL + noise;
        if (i >= AT && i < AT + many)
            series[i] = size * (1 + noise / 8);
        else if (ac_rng_below(&r, 20) == 0)
            series[i] = NAN;
    }
}

/* Distances from the truth, in deviations of the window and, for the deviation, in itself. */
static void compare(size_t i, size_t w, const double *most)
{
    define(i, w);
    double scale[TERMS] = {(double)want[STD] * (double)w, (double)want[STD], (double)want[STD],
                           (double)want[STD] / (double)w, fabs((double)want[SEASON])};
    for (size_t k = 0; k < TERMS; k++) {
        double off = fabs((double)(got[k][i] - want[k])) / scale[k];
        if (!(off <= most[k]))
            fail_msg("%s of %zu points, point %zu: %.17g, by definition %.17Lg", terms[k], w, i,
                     got[k][i], want[k]);
    }
}

static void strange_values_leave_no_trace(void **st)
{
    (void)st;
    for (size_t many = 1; many <= 9; many += 4) {
        for (int power = 3; power <= 18; power += 3) {
            const double size = pow(10, power);
            const double square = size > 1e16 ? 1e-10 : 1e-13;
            const double most[TERMS] = {1e-13, 1e-13, square, 1e-13, 1e-13};
            for (size_t w = 12; w <= 400; w = w * 3 + 1) {
                make(size, many, many + w);
                evaluate(w);
                for (size_t i = 400; i < N; i++)
                    compare(i, w, most);
            }
        }
    }
}

/* Counters that are wrapped around below 0 for 40 points of every 80: the windows of the others. */
static void wrapped_values_come_and_go(void **st)
{
    (void)st;
    const double most[TERMS] = {1e-13, 1e-13, 1e-13, 1e-13, INFINITY};
    make(1, 0, 3);
    for (size_t i = AT; i < N; i++)
        series[i] += i / 40 % 2 ? 0x1p64 : 0;
    evaluate(30);
    for (size_t i = AT; i < N; i++) {
        if (i / 40 % 2 == 0 && i % 40 >= 29)
            compare(i, 30, most);
    }
}

/* Values that are all equal, but for gaps, amount to exactly what they are. */
static void equal_values_are_exact(void **st)
{
    (void)st;
    make(1e9, 5, 4);
    for (size_t i = 0; i < N; i++)
        series[i] = i >= AT && i < AT + 5 ? series[i] : series[i] == series[i] ? 0.1 : NAN;
    for (size_t w = 12; w <= 400; w = w * 3 + 1) {
        evaluate(w);
        for (size_t i = 500; i < N; i++) {
            if (i >= AT && i < AT + 5 + w)
                continue;
            assert_true(got[MEAN][i] == 0.1 && got[STD][i] == 0 && got[SLOPE][i] == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strange_values_leave_no_trace),
        cmocka_unit_test(wrapped_values_come_and_go),
        cmocka_unit_test(equal_values_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
