#include "discover/rca_entropy.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <aceso/base.h>

#define BLOCK 256 /* values: a few arrays of it stay in the first cache */

/* Highest power first; both lengths are constants, so that the loop disappears. */
static inline double polynomial(double x, const double *c, size_t n)
{
    double p = c[0];
    for (size_t i = 1; i < n; i++)
        p = p * x + c[i];
    return p;
}

static const double by_factorial[] = {
    1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0, 1.0 / 720.0,
    1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,      0.5,           1.0,          1.0,
};
static const double by_odd[] = {
    1.0 / 19.0, 1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0,
    1.0 / 9.0,  1.0 / 7.0,  1.0 / 5.0,  1.0 / 3.0,  1.0,
};

/* exp of x in [-708, 0], without a branch, so that the compiler takes several values at once. */
static inline double exp_of_negative(double x)
{
    const double magic = 0x1.8p52; /* puts the integer into the low bits */
    double shifted = x * 1.4426950408889634 + magic, k = shifted - magic;
    double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
    double p = polynomial(r, by_factorial, AC_ARRAY_LEN(by_factorial));
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 1023) << 52; /* 2^k: all but the low bits fall off */
    double scale;
    memcpy(&scale, &bits, sizeof(scale));
    return p * scale;
}

/* ln(1 + e) of e in [0, 1]: 2 artanh(e / (2 + e)). */
static inline double log1p_of_share(double e)
{
    double s = e / (2.0 + e);
    return 2.0 * s * polynomial(s * s, by_odd, AC_ARRAY_LEN(by_odd));
}

static inline double not_below(double x, double least)
{
    return x > least ? x : least;
}

void ac_rca_shape(const double *y, const double *x, double r, double s, size_t n,
                  double *ret_log_cosh, double *ret_gauss)
{
    double a = 0, b = 0, f = 1.0 / s, u[BLOCK], v[BLOCK], w[BLOCK];
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t m = n - from < BLOCK ? n - from : BLOCK;
        for (size_t i = 0; i < m; i++)
            u[i] = (y[from + i] - r * x[from + i]) * f;
        for (size_t i = 0; i < m; i++) {
            double big = fabs(u[i]);
            v[i] = big + log1p_of_share(exp_of_negative(not_below(-2.0 * big, -700.0)));
        }
        for (size_t i = 0; i < m; i++)
            w[i] = u[i] * exp_of_negative(not_below(-0.5 * u[i] * u[i], -700.0));
        for (size_t i = 0; i < m; i++) {
            a += v[i];
            b += w[i];
        }
    }
    *ret_log_cosh = a / (double)n;
    *ret_gauss = b / (double)n;
}
