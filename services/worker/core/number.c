#include "number.h"

#include "onnx.h"

#include <math.h>
#include <string.h>

bool wk_is_real(int dtype)
{
    return dtype == WK_F32 || dtype == WK_F64 || dtype == WK_F16 || dtype == WK_BF16;
}

static double half_to_real(uint16_t h)
{
    int exponent = h >> 10 & 31, sign = h >> 15 ? -1 : 1;
    double fraction = h & 1023;
    if (exponent == 31)
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    double v = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return sign * v;
}

/* To the nearest, halves to the even one. */
static uint16_t real_to_half(double v)
{
    uint16_t sign = (uint16_t)(signbit(v) ? 0x8000 : 0);
    double a = fabs(v);
    int exponent;
    if (isnan(v))
        return (uint16_t)(sign | 0x7e00);
    if (a >= 65520) /* half way beyond the largest */
        return (uint16_t)(sign | 0x7c00);
    (void)frexp(a, &exponent);
    int unit = exponent - 11 < -24 || a == 0 ? -24 : exponent - 11;
    double steps = nearbyint(ldexp(a, -unit)); /* at most 2,048 */
    unsigned bits = unit == -24 && steps < 1024
                        ? (unsigned)steps
                        : (unsigned)((unit + 25) << 10) + (unsigned)steps - 1024u;
    return (uint16_t)(sign | bits);
}

static float brain_to_float(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static uint16_t float_to_brain(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (isnan(f))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint64_t raw(size_t size, const void *data, size_t i)
{
    uint64_t v = 0; /* little-endian: the low bytes are the value */
    memcpy(&v, (const char *)data + i * size, size);
    return v;
}

static int64_t real_to_int(double v)
{
    if (isnan(v) || v < -9223372036854775808.0)
        return INT64_MIN;
    return v >= 9223372036854775808.0 ? INT64_MAX : (int64_t)v;
}

int64_t wk_int_at(int dtype, const void *data, size_t i)
{
    if (wk_is_real(dtype))
        return real_to_int(wk_real_at(dtype, data, i));
    uint64_t v = raw(wk_dtype_size(dtype), data, i);
    switch (dtype) {
    case WK_I8:
        return (int8_t)v;
    case WK_I16:
        return (int16_t)v;
    case WK_I32:
        return (int32_t)v;
    default:
        return (int64_t)v;
    }
}

double wk_real_at(int dtype, const void *data, size_t i)
{
    float f;
    double d;
    switch (dtype) {
    case WK_F32:
        memcpy(&f, (const char *)data + 4 * i, 4);
        return (double)f;
    case WK_F64:
        memcpy(&d, (const char *)data + 8 * i, 8);
        return d;
    case WK_F16:
        return half_to_real((uint16_t)raw(2, data, i));
    case WK_BF16:
        return (double)brain_to_float((uint16_t)raw(2, data, i));
    case WK_U64:
        return (double)raw(8, data, i);
    default:
        return (double)wk_int_at(dtype, data, i);
    }
}

void wk_put_int(int dtype, void *data, size_t i, int64_t v)
{
    size_t size = wk_dtype_size(dtype);
    if (wk_is_real(dtype)) {
        wk_put_real(dtype, data, i, (double)v);
        return;
    }
    v = dtype == WK_BOOL ? v != 0 : v;
    memcpy((char *)data + i * size, &v, size);
}

void wk_put_real(int dtype, void *data, size_t i, double v)
{
    float f = (float)v;
    uint16_t h;
    switch (dtype) {
    case WK_F32:
        memcpy((char *)data + 4 * i, &f, 4);
        return;
    case WK_F64:
        memcpy((char *)data + 8 * i, &v, 8);
        return;
    case WK_F16:
    case WK_BF16:
        h = dtype == WK_F16 ? real_to_half(v) : float_to_brain(f);
        memcpy((char *)data + 2 * i, &h, 2);
        return;
    case WK_BOOL:
        wk_put_int(dtype, data, i, v != 0);
        return;
    case WK_U64:
        if (v >= 9223372036854775808.0) {
            uint64_t u = v >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)v;
            memcpy((char *)data + 8 * i, &u, 8);
            return;
        }
        break;
    default:
        break;
    }
    wk_put_int(dtype, data, i, real_to_int(v));
}
