#include "tensor_diff.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* IEEE half: 1 sign, 5 exponent, 10 fraction. */
static double half(uint16_t v)
{
    int exponent = v >> 10 & 31;
    double fraction = v & 1023;
    double x = exponent == 31  ? (fraction > 0 ? (double)NAN : (double)INFINITY)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(1024 + fraction, exponent - 25);
    return v >> 15 ? -x : x;
}

/* The upper half of a float. */
static double brain(uint16_t v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return (double)f;
}

static double real_at(const void *p, enum wk_dtype dtype)
{
    double d;
    float f;
    uint16_t h;
    if (dtype == WK_F64) {
        memcpy(&d, p, sizeof(d));
        return d;
    }
    if (dtype == WK_F32) {
        memcpy(&f, p, sizeof(f));
        return (double)f;
    }
    memcpy(&h, p, sizeof(h));
    return dtype == WK_F16 ? half(h) : brain(h);
}

static double real_diff(const void *a, const void *b, enum wk_dtype dtype)
{
    double x = real_at(a, dtype), y = real_at(b, dtype);
    bool same = x == y || (isnan(x) && isnan(y)); /* infinities, too */
    return same ? 0 : fabs(x - y);
}

/* As a double both would lose what lies beyond 53 bits: apart from each other first. */
static double whole_diff(const void *a, const void *b, size_t size, bool negative)
{
    uint64_t x = 0, y = 0;
    memcpy(&x, a, size); /* little endian, as tensors are */
    memcpy(&y, b, size);
    if (negative) { /* moved to start at 0: the order stays */
        uint64_t sign = (uint64_t)1 << (8 * size - 1);
        x ^= sign;
        y ^= sign;
    }
    return (double)(x > y ? x - y : y - x);
}

double wk_tensor_diff(const void *a, const void *b, enum wk_dtype dtype, size_t n)
{
    size_t size = wk_dtype_size((int)dtype);
    const unsigned char *p = a, *q = b;
    double worst = 0;
    for (size_t k = 0; k < n; k++, p += size, q += size) {
        double e = 0;
        switch (dtype) {
        case WK_F16:
        case WK_BF16:
        case WK_F32:
        case WK_F64:
            e = real_diff(p, q, dtype);
            break;
        case WK_I8:
        case WK_I16:
        case WK_I32:
        case WK_I64:
            e = whole_diff(p, q, size, true);
            break;
        case WK_U8:
        case WK_U16:
        case WK_U32:
        case WK_U64:
        case WK_BOOL:
            e = whole_diff(p, q, size, false);
            break;
        case WK_STRING:
        case WK_UNDEFINED:
            break; /* no executor has such outputs */
        }
        worst = e > worst || isnan(e) ? e : worst;
        if (isnan(worst))
            return worst;
    }
    return worst;
}
