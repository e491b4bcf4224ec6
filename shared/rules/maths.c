/* exp, log and pow made of additions, multiplications and divisions alone, which IEEE 754 defines
 * to the bit: C libraries differ in the last place from version to version and machine to machine,
 * and a verdict must not. Errors are below one unit in the last place (tests/test_maths.c). */
#include "maths.h"

#include "rules_impl.h"

#include <string.h>

#include <float.h>

#ifdef __FAST_MATH__
#error "the rule language needs IEEE arithmetic: build without -ffast-math"
#endif
_Static_assert(FLT_EVAL_METHOD == 0, "doubles must be calculated as doubles: no x87");
_Static_assert(FLT_RADIX == 2 && DBL_MANT_DIG == 53, "double must be IEEE 754's binary64");

#define LN2_HIGH  0x1.62e42fef00000p-1 /* its last 20 bits are 0: k * LN2_HIGH is exact */
#define LN2_LOW   0x1.473de6af278edp-34
#define ONE_LN2   0x1.71547652b82fep+0
#define SQRT_HALF 0x1.6a09e667f3bcdp-1
#define ROUND     0x1.8p52 /* adding and taking it away rounds to a whole number */

static uint64_t to_bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static double from_bits(uint64_t u)
{
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

static double power_of_2(int64_t k) /* -1022 .. 1023 */
{
    return from_bits((uint64_t)(k + 1023) << 52);
}

/* x = k ln 2 + r, |r| <= ln 2 / 2; e^r by its series, whose rest is below 2^-57. */
double rule_exp(double x)
{
    if (x != x)
        return x;
    if (x > 709)
        return __builtin_inf();
    if (x < -745.2)
        return 0;
    double whole = (x * ONE_LN2 + ROUND) - ROUND;
    double r = (x - whole * LN2_HIGH) - whole * LN2_LOW;
    static const double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                               1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                               1.0 / 120,        1.0 / 24,        1.0 / 6,        0.5};
    double p = c[0];
    for (size_t i = 1; i < sizeof c / sizeof c[0]; i++)
        p = p * r + c[i];
    double e = 1 + (r + r * r * p);
    int64_t k = (int64_t)whole;
    if (k >= -1022)
        return e * power_of_2(k);
    return e * power_of_2(k + 1022) * power_of_2(-1022); /* rounds once, when it is subnormal */
}

/* x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)); log(1 + f) = 2 atanh(s), s = f / (2 + f), by its
 * series, written so that f itself enters without rounding. */
double rule_log(double x)
{
    if (!(x > 0))
        return __builtin_nan("");
    if (x > DBL_MAX)
        return x;
    int64_t k = 0;
    if (x < DBL_MIN) {
        x *= 0x1p54;
        k = -54;
    }
    uint64_t u = to_bits(x);
    k += (int64_t)(u >> 52) - 1022;
    double m = from_bits((u & 0xfffffffffffffu) | 0x3fe0000000000000u); /* [1/2, 1) */
    if (m < SQRT_HALF) {
        m *= 2;
        k--;
    }
    double f = m - 1, s = f / (2 + f), z = s * s;
    static const double c[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                               2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
    double p = c[0];
    for (size_t i = 1; i < sizeof c / sizeof c[0]; i++)
        p = p * z + c[i];
    double half = 0.5 * f * f, kd = (double)k;
    return kd * LN2_HIGH - ((half - (s * (half + p * z) + kd * LN2_LOW)) - f);
}

double rule_pow(double x, double y)
{
    if (x != x || y != y)
        return __builtin_nan("");
    if (y == 0)
        return 1;
    if (x == 0)
        return y > 0 ? 0 : __builtin_nan("");
    return rule_exp(y * rule_log(x));
}
