/* Steps that go through elements one by one, of every numeric type; FP32 has loops of its own. */
#include "cpu_int.h"
#include "number.h"

#include <math.h>
#include <string.h>

static double real_op(enum wk_binary op, double a, double b)
{
    double rest;
    switch (op) {
    case WK_ADD:
        return a + b;
    case WK_SUB:
        return a - b;
    case WK_MUL:
        return a * b;
    case WK_DIV:
        return a / b;
    case WK_MAX: /* what is not a number stays so, unlike fmax's */
        return a > b || isnan(a) ? a : b;
    case WK_MIN:
        return a < b || isnan(a) ? a : b;
    case WK_POW:
        return pow(a, b);
    case WK_PRELU:
        return a >= 0 ? a : a * b;
    case WK_MOD:
        rest = fmod(a, b);
        return rest != 0 && signbit(rest) != signbit(b) ? rest + b : rest;
    case WK_FMOD:
        return fmod(a, b);
    case WK_EQUAL:
        return a == b;
    case WK_GREATER:
        return a > b;
    case WK_GREATER_EQUAL:
        return a >= b;
    case WK_LESS:
        return a < b;
    case WK_LESS_EQUAL:
        return a <= b;
    case WK_SHIFT_LEFT:
    case WK_SHIFT_RIGHT:
    case WK_AND:
    case WK_OR:
    case WK_XOR:
        break;
    }
    return NAN; /* not of real numbers: the translator refuses them */
}

static uint64_t whole_power(int64_t a, int64_t b)
{
    uint64_t base = (uint64_t)a, power = 1;
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? (uint64_t)-1 : 1) : 0;
    for (uint64_t n = (uint64_t)b; n; n >>= 1) {
        power *= n & 1 ? base : 1;
        base *= base;
    }
    return power;
}

/* Quotient and rest; by zero they are zero. */
static int64_t divided(enum wk_binary op, bool is_signed, int64_t a, int64_t b)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    if (b == 0)
        return 0;
    if (!is_signed)
        return (int64_t)(op == WK_DIV ? x / y : x % y);
    if (b == -1)
        return op == WK_DIV ? (int64_t)(0 - x) : 0;
    if (op == WK_DIV)
        return a / b;
    int64_t rest = a % b;
    return op == WK_MOD && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* Sums and products wrap, as the operators are defined. */
static int64_t whole_op(enum wk_binary op, bool is_signed, int64_t a, int64_t b)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    bool less = is_signed ? a < b : x < y;
    switch (op) {
    case WK_ADD:
        return (int64_t)(x + y);
    case WK_SUB:
        return (int64_t)(x - y);
    case WK_MUL:
        return (int64_t)(x * y);
    case WK_DIV:
    case WK_MOD:
    case WK_FMOD:
        return divided(op, is_signed, a, b);
    case WK_MAX:
        return less ? b : a;
    case WK_MIN:
        return less ? a : b;
    case WK_POW:
        return (int64_t)whole_power(a, b);
    case WK_PRELU:
        return a >= 0 ? a : (int64_t)(x * y);
    case WK_SHIFT_LEFT:
        return y > 63 ? 0 : (int64_t)(x << y);
    case WK_SHIFT_RIGHT:
        return y > 63 ? 0 : (int64_t)(x >> y);
    case WK_AND:
        return a & b;
    case WK_OR:
        return a | b;
    case WK_XOR:
        return a ^ b;
    case WK_EQUAL:
        return a == b;
    case WK_GREATER:
        return !less && a != b;
    case WK_GREATER_EQUAL:
        return !less;
    case WK_LESS:
        return less;
    case WK_LESS_EQUAL:
        return less || a == b;
    }
    return 0;
}

/* Both along the row, or one value of b for it all: the two forms that become vectors. */
#define PLACES(place_x, place_y, result)                                                           \
    for (size_t i = 0; i < n; i++) {                                                               \
        const float x = a[place_x], y = b[place_y];                                                \
        out[i] = (result);                                                                         \
    }
#define ROW(result)                                                                                \
    do {                                                                                           \
        if (sa == 1 && sb == 1)                                                                    \
            PLACES(i, i, result)                                                                   \
        else if (sa == 1 && sb == 0)                                                               \
            PLACES(i, 0, result)                                                                   \
        else                                                                                       \
            PLACES(i *sa, i *sb, result)                                                           \
    } while (0)

static void float_row(enum wk_binary op, const float *a, size_t sa, const float *b, size_t sb,
                      float *out, size_t n)
{
    switch (op) {
    case WK_ADD:
        ROW(x + y);
        return;
    case WK_SUB:
        ROW(x - y);
        return;
    case WK_MUL:
        ROW(x * y);
        return;
    case WK_DIV:
        ROW(x / y);
        return;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = (float)real_op(op, (double)a[i * sa], (double)b[i * sb]);
        return;
    }
}

static void row(const struct step *s, const void *a, size_t ia, const void *b, size_t ib, void *out,
                size_t at, size_t n)
{
    int from = s->in_dtype, to = s->dtype;
    size_t sa = s->rank ? s->sa[s->rank - 1] : 0, sb = s->rank ? s->sb[s->rank - 1] : 0;
    bool is_signed = from != WK_U64;
    if (from == WK_F32 && to == WK_F32) {
        float_row(s->binary, (const float *)a + ia, sa, (const float *)b + ib, sb,
                  (float *)out + at, n);
        return;
    }
    for (size_t i = 0; i < n; i++, ia += sa, ib += sb) {
        if (wk_is_real(from))
            wk_put_real(to, out, at + i,
                        real_op(s->binary, wk_real_at(from, a, ia), wk_real_at(from, b, ib)));
        else
            wk_put_int(
                to, out, at + i,
                whole_op(s->binary, is_signed, wk_int_at(from, a, ia), wk_int_at(from, b, ib)));
    }
}

void cpu_binary(const struct step *s, const void *a, const void *b, void *out)
{
    size_t at[WK_ONNX_MAX_RANK] = {0}, twin[WK_ONNX_MAX_RANK] = {0}, ia = 0, ib = 0, done = 0;
    uint32_t outer = s->rank ? s->rank - 1 : 0;
    size_t n = s->rank ? s->dims[outer] : 1;
    do {
        row(s, a, ia, b, ib, out, done, n);
        done += n;
        (void)cpu_next(s->dims, s->sb, outer, twin, &ib);
    } while (cpu_next(s->dims, s->sa, outer, at, &ia));
    if (s->act.kind != WK_KEEP)
        cpu_activate(&s->act, out, s->n);
}

static int64_t whole_function(enum wk_unary kind, int64_t v)
{
    switch (kind) {
    case WK_NEG:
        return (int64_t)(0 - (uint64_t)v);
    case WK_ABS:
        return v < 0 ? (int64_t)(0 - (uint64_t)v) : v;
    case WK_SIGN:
        return (v > 0) - (v < 0);
    case WK_RELU:
        return v > 0 ? v : 0;
    default: /* NOT of BOOL */
        return !v;
    }
}

void cpu_unary(const struct step *s, const void *in, void *out)
{
    enum wk_unary kind = s->act.kind;
    if (s->in_dtype == WK_F32 && s->dtype == WK_F32) {
        memcpy(out, in, s->n * sizeof(float));
        cpu_activate(&s->act, out, s->n);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!wk_is_real(s->in_dtype)) {
            wk_put_int(s->dtype, out, i, whole_function(kind, wk_int_at(s->in_dtype, in, i)));
            continue;
        }
        double v = wk_real_at(s->in_dtype, in, i);
        if (kind == WK_IS_NAN) {
            v = isnan(v);
        } else if (kind == WK_IS_INF) { /* a, b: whether negative and positive ones count */
            v = isinf(v) && (v < 0 ? s->act.a : s->act.b) != 0;
        } else {
            float f = (float)v;
            cpu_activate(&s->act, &f, 1);
            v = (double)f;
        }
        wk_put_real(s->dtype, out, i, v);
    }
}

void cpu_cast(const struct step *s, const void *in, void *out)
{
    bool whole = !wk_is_real(s->in_dtype);
    for (size_t i = 0; i < s->n; i++) {
        if (whole && (s->in_dtype != WK_U64 || !wk_is_real(s->dtype)))
            wk_put_int(s->dtype, out, i, wk_int_at(s->in_dtype, in, i));
        else
            wk_put_real(s->dtype, out, i, wk_real_at(s->in_dtype, in, i));
    }
}

void cpu_where(const struct step *s, const void *cond, const void *a, const void *b, void *out)
{
    size_t size = wk_dtype_size(s->dtype), ic = 0, ia = 0, ib = 0;
    size_t at[3][WK_ONNX_MAX_RANK] = {{0}};
    for (size_t i = 0; i < s->n; i++) {
        const char *from =
            ((const char *)cond)[ic] ? (const char *)a + ia * size : (const char *)b + ib * size;
        memcpy((char *)out + i * size, from, size);
        (void)cpu_next(s->dims, s->sa, s->rank, at[0], &ic);
        (void)cpu_next(s->dims, s->sb, s->rank, at[1], &ia);
        (void)cpu_next(s->dims, s->sc, s->rank, at[2], &ib);
    }
}
