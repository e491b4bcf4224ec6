#include "tensor_diff.h"

#include "number.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static double real_diff(const void *a, const void *b, enum wk_dtype dtype)
{
    double x = wk_real_at((int)dtype, a, 0), y = wk_real_at((int)dtype, b, 0);
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
