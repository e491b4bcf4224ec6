/* The language's own exp and log: errors in units of the last place against long double, the exact
 * cases, and monotony where a threshold would notice. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <float.h>

#include <aceso/rng.h>

#include "../maths.h"

#define POINTS 400000

static double units_off(double got, long double want)
{
    double w = (double)want, unit = nextafter(fabs(w), INFINITY) - fabs(w);
    return (double)(fabsl((long double)got - want) / unit);
}

static void exp_is_within_a_unit(void **st)
{
    (void)st;
    struct ac_rng r;
    ac_rng_seed(&r, 11);
    double worst = 0, at = 0;
    for (int i = 0; i < POINTS; i++) {
        double scale = i % 4 == 0 ? 1e-6 : i % 4 == 1 ? 1 : i % 4 == 2 ? 40 : 700;
        double x = scale * (2 * ac_rng_uniform(&r) - 1), e = units_off(rule_exp(x), expl(x));
        if (e > worst)
            worst = e, at = x;
    }
    if (!(worst < 1))
        fail_msg("exp(%.17g) is %.3f units off (seed 11)", at, worst);
    for (int i = 0; i < 3700; i++) { /* subnormal results */
        double x = -745 + i / 100.0;
        assert_true(units_off(rule_exp(x), expl(x)) <= 1);
    }
    assert_true(rule_exp(0) == 1 && rule_exp(-0.0) == 1 && rule_exp(-1e6) == 0);
    assert_true(isinf(rule_exp(1e3)) && isnan(rule_exp(NAN)) && rule_exp(-INFINITY) == 0);
}

static void log_is_within_a_unit(void **st)
{
    (void)st;
    struct ac_rng r;
    ac_rng_seed(&r, 12);
    double worst = 0, at = 0;
    for (int i = 0; i < POINTS; i++) {
        double u = ac_rng_uniform(&r);
        double x = i % 3 == 0   ? 0.5 + 1.5 * u
                   : i % 3 == 1 ? 1 + (u - 0.5) * 1e-5
                                : ldexp(1 + u, (int)(ac_rng_below(&r, 2090)) - 1070);
        double e = units_off(rule_log(x), logl(x));
        if (x > 0 && e > worst)
            worst = e, at = x;
    }
    if (!(worst < 1))
        fail_msg("log(%.17g) is %.3f units off (seed 12)", at, worst);
    assert_true(rule_log(1) == 0 && !signbit(rule_log(1)));
    assert_true(isnan(rule_log(0)) && isnan(rule_log(-1)) && isnan(rule_log(NAN)));
    assert_true(units_off(rule_log(DBL_TRUE_MIN), logl(DBL_TRUE_MIN)) < 1);
    assert_true(units_off(rule_log(DBL_MAX), logl(DBL_MAX)) < 1);
}

static void neighbours_keep_their_order(void **st)
{
    (void)st;
    struct ac_rng r;
    ac_rng_seed(&r, 13);
    for (int i = 0; i < 2000; i++) {
        double x = 20 * ac_rng_normal(&r), y = fabs(x) + 1e-3;
        for (int k = 0; k < 50; k++) {
            double a = nextafter(x, INFINITY), b = nextafter(y, INFINITY);
            assert_true(rule_exp(a) >= rule_exp(x) && rule_log(b) >= rule_log(y));
            x = a, y = b;
        }
    }
}

static void powers(void **st)
{
    (void)st;
    assert_true(rule_pow(0, 0) == 1 && rule_pow(-3, 0) == 1 && rule_pow(0, 2) == 0);
    assert_true(isnan(rule_pow(0, -1)) && isnan(rule_pow(-2, 2)) && isnan(rule_pow(NAN, 0)));
    assert_true(fabs(rule_pow(2, 10) - 1024) < 1e-11 && fabs(rule_pow(9, 0.5) - 3) < 1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_a_unit),
        cmocka_unit_test(log_is_within_a_unit),
        cmocka_unit_test(neighbours_keep_their_order),
        cmocka_unit_test(powers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
