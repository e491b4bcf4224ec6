/* The loops that take nearly all the time of DirectLiNGAM. rca_entropy.c, rca_entropy_avx2.c and
 * rca_entropy_avx512.c include this once each, under the name LOOPS. Each value and each of the
 * eight partial sums is computed alike whatever the instruction set, so that all agree to the bit;
 * the build forbids contraction and reassociation. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "discover/rca_entropy.h"

#define BLOCK 256 /* values: a few arrays of it stay in the first cache */
#define LANES 8

/* exp of x in [-708, 0], without a branch, so that the compiler takes several values at once; the
 * polynomial's relative error is 4.1e-11 (least squares reweighted to be even, |r| < ln 2 / 2). */
static inline double exp_of_negative(double x)
{
    const double magic = 0x1.8p52; /* puts the integer into the low bits */
    double shifted = x * 1.4426950408889634 + magic, k = shifted - magic;
    double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33, r2 = r * r;
    double low = (0x1.ffffffffabbd1p-1 + 0x1.000000010b4bcp+0 * r) +
                 (0x1.00000059cbb80p-1 + 0x1.55555343fef14p-3 * r) * r2;
    double high = (0x1.55546871a9b60p-5 + 0x1.1112fa2fd64eap-7 * r) +
                  (0x1.6da4ac743174fp-10 + 0x1.9eb7201e55c66p-13 * r) * r2;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 1023) << 52; /* 2^k: all but the low bits fall off */
    double scale;
    memcpy(&scale, &bits, sizeof(scale));
    return (low + high * (r2 * r2)) * scale;
}

/* ln(1 + e) of e in [0, 1]: 2 artanh(e / (2 + e)); relative error 1.0e-10. */
static inline double log1p_of_share(double e)
{
    double s = e / (2.0 + e), z = s * s, z2 = z * z;
    double low = 0x1.ffffffff27304p-1 + 0x1.555559932b46fp-2 * z;
    double mid = 0x1.99962b145f0f8p-3 + 0x1.25138179099cbp-3 * z;
    double high = 0x1.b6223f1f87736p-4 + 0x1.f3fac87ff336fp-4 * z;
    return (s + s) * (low + (mid + high * z2) * z2);
}

static inline double not_below(double x, double least)
{
    return x > least ? x : least;
}

static inline double sum_of_lanes(const double *s)
{
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static void shape(const double *y, const double *x, double r, double s, size_t n,
                  double *ret_log_cosh, double *ret_gauss)
{
    double a[LANES] = {0}, b[LANES] = {0}, f = 1.0 / s, u[BLOCK], v[BLOCK], w[BLOCK];
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t m = n - from < BLOCK ? n - from : BLOCK, whole = (m + LANES - 1) / LANES * LANES;
        for (size_t i = 0; i < m; i++)
            u[i] = (y[from + i] - r * x[from + i]) * f;
        for (size_t i = m; i < whole; i++)
            u[i] = 0.0;
        for (size_t i = 0; i < whole; i++) {
            double big = fabs(u[i]);
            v[i] = big + log1p_of_share(exp_of_negative(not_below(-2.0 * big, -700.0)));
        }
        for (size_t i = 0; i < whole; i++)
            w[i] = u[i] * exp_of_negative(not_below(-0.5 * u[i] * u[i], -700.0));
        for (size_t i = m; i < whole; i++)
            v[i] = 0.0;
        for (size_t i = 0; i < whole; i += LANES)
            for (size_t l = 0; l < LANES; l++) {
                a[l] += v[i + l];
                b[l] += w[i + l];
            }
    }
    *ret_log_cosh = sum_of_lanes(a) / (double)n;
    *ret_gauss = sum_of_lanes(b) / (double)n;
}

/* ---- the same in single precision ---- */

#define ROUGH_LANES 16

/* exp of x in [-87, 0]; relative error 2e-7. */
static inline float rough_exp_of_negative(float x)
{
    const float magic = 0x1.8p23F;
    float shifted = x * 1.44269504F + magic, k = shifted - magic;
    float r = (x - k * 0.693359375F) + k * 2.12194440e-4F;
    float high = (1.9875691500e-4F * r + 1.3981999507e-3F) * r + 8.3334519073e-3F;
    float all = ((high * r + 4.1665795894e-2F) * r + 1.6666665459e-1F) * r + 5.0000001201e-1F;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof(scale));
    return ((all * r) * r + (r + 1.0F)) * scale;
}

/* ln(1 + e) of e in [0, 1]; relative error 3e-7. */
static inline float rough_log1p_of_share(float e)
{
    float s = e / (2.0F + e), z = s * s;
    float high = (0x1.f3fac8p-4F * z + 0x1.b6223fp-4F) * z + 0x1.251382p-3F;
    return (s + s) * (((high * z + 0x1.99962bp-3F) * z + 0x1.55555ap-2F) * z + 1.0F);
}

static inline float rough_not_below(float x, float least)
{
    return x > least ? x : least;
}

static inline double rough_sum(float *s)
{
    for (size_t half = ROUGH_LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            s[i] += s[i + half];
    return (double)s[0];
}

static void rough(const float *y, const float *x, double r, double s, size_t n,
                  double *ret_log_cosh, double *ret_gauss)
{
    float u[BLOCK], v[BLOCK], w[BLOCK], c = (float)r, f = (float)(1.0 / s);
    double log_cosh = 0.0, gauss = 0.0;
    for (size_t from = 0; from < n; from += BLOCK) {
        size_t m = n - from < BLOCK ? n - from : BLOCK;
        size_t whole = (m + ROUGH_LANES - 1) / ROUGH_LANES * ROUGH_LANES;
        float a[ROUGH_LANES] = {0}, b[ROUGH_LANES] = {0};
        for (size_t i = 0; i < m; i++)
            u[i] = (y[from + i] - c * x[from + i]) * f;
        for (size_t i = m; i < whole; i++)
            u[i] = 0.0F;
        for (size_t i = 0; i < whole; i++) {
            float big = fabsf(u[i]);
            v[i] = big + rough_log1p_of_share(
                             rough_exp_of_negative(rough_not_below(-2.0F * big, -80.0F)));
        }
        for (size_t i = 0; i < whole; i++)
            w[i] = u[i] * rough_exp_of_negative(rough_not_below(-0.5F * u[i] * u[i], -80.0F));
        for (size_t i = m; i < whole; i++)
            v[i] = 0.0F;
        for (size_t i = 0; i < whole; i += ROUGH_LANES)
            for (size_t l = 0; l < ROUGH_LANES; l++) {
                a[l] += v[i + l];
                b[l] += w[i + l];
            }
        log_cosh += rough_sum(a);
        gauss += rough_sum(b);
    }
    *ret_log_cosh = log_cosh / (double)n;
    *ret_gauss = gauss / (double)n;
}

static double dot(const double *x, const double *y, size_t n)
{
    double a[LANES] = {0}, rest = 0.0;
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            a[l] += x[i + l] * y[i + l];
    for (size_t i = whole; i < n; i++)
        rest += x[i] * y[i];
    return sum_of_lanes(a) + rest;
}

static bool standardise(double *u, size_t n)
{
    double a[LANES] = {0}, rest = 0.0;
    size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            a[l] += u[i + l];
    for (size_t i = whole; i < n; i++)
        rest += u[i];
    double mean = (sum_of_lanes(a) + rest) / (double)n;
    for (size_t i = 0; i < n; i++)
        u[i] -= mean;
    double sd = sqrt(dot(u, u, n) / (double)n), f = 1.0 / sd;
    if (!(sd > 1e-12))
        return false;
    for (size_t i = 0; i < n; i++)
        u[i] *= f;
    return true;
}

static bool residual(double *y, const double *x, double r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] -= r * x[i];
    return standardise(y, n);
}

const struct ac_rca_loops LOOPS = {shape, rough, dot, standardise, residual};
