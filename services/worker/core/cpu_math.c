/* Functions of one element, and steps that sum over some of them. */
#include "cpu_int.h"
#include "number.h"

#include <math.h>

static float softplus(float v)
{
    return fmaxf(v, 0) + log1pf(expf(-fabsf(v)));
}

/* Of circles and hyperbolas. */
static float angle(enum wk_unary kind, float v)
{
    switch (kind) {
    case WK_SIN:
        return sinf(v);
    case WK_COS:
        return cosf(v);
    case WK_TAN:
        return tanf(v);
    case WK_ASIN:
        return asinf(v);
    case WK_ACOS:
        return acosf(v);
    case WK_ATAN:
        return atanf(v);
    case WK_SINH:
        return sinhf(v);
    case WK_COSH:
        return coshf(v);
    case WK_ASINH:
        return asinhf(v);
    case WK_ACOSH:
        return acoshf(v);
    default:
        return atanhf(v);
    }
}

/* Functions of which none is worth a loop of its own. */
static float rare(const struct wk_activation *act, float v)
{
    const float a = act->a, b = act->b;
    switch (act->kind) {
    case WK_FLOOR:
        return floorf(v);
    case WK_CEIL:
        return ceilf(v);
    case WK_ROUND:
        return rintf(v); /* halves to the even number */
    case WK_RECIPROCAL:
        return 1 / v;
    case WK_SIGN:
        return isnan(v) ? v : (float)((v > 0) - (v < 0));
    case WK_SOFTPLUS:
        return softplus(v);
    case WK_SOFTSIGN:
        return v / (1 + fabsf(v));
    case WK_ERF:
        return erff(v);
    case WK_SELU:
        return b * (v > 0 ? v : a * expm1f(v));
    case WK_CELU:
        return v > 0 ? v : a * expm1f(v / a);
    case WK_HARD_SWISH:
        return v * fmaxf(0, fminf(1, v / 6 + 0.5f));
    case WK_THRESHOLDED:
        return v > a ? v : 0;
    case WK_MISH:
        return v * tanhf(softplus(v));
    case WK_GELU:
        return 0.5f * v * (1 + erff(v * (float)M_SQRT1_2));
    case WK_GELU_TANH:
        return 0.5f * v *
               (1 + tanhf((float)(M_2_SQRTPI * M_SQRT1_2) * (v + 0.044715f * v * v * v)));
    case WK_SHRINK:
        return v < -b ? v + a : v > b ? v - a : 0;
    default:
        return angle(act->kind, v);
    }
}

void cpu_activate(const struct wk_activation *act, float *v, size_t n)
{
    const float a = act->a, b = act->b;
    switch (act->kind) {
    case WK_KEEP:
        return;
    case WK_RELU:
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] > 0 ? v[i] : 0;
        return;
    case WK_LEAKY_RELU:
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] >= 0 ? v[i] : a * v[i];
        return;
    case WK_SIGMOID:
        for (size_t i = 0; i < n; i++)
            v[i] = 1 / (1 + expf(-v[i]));
        return;
    case WK_TANH:
        for (size_t i = 0; i < n; i++)
            v[i] = tanhf(v[i]);
        return;
    case WK_CLIP:
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] < a ? a : v[i] > b ? b : v[i];
        return;
    case WK_ELU:
        for (size_t i = 0; i < n; i++)
            v[i] = v[i] >= 0 ? v[i] : a * expm1f(v[i]);
        return;
    case WK_HARD_SIGMOID:
        for (size_t i = 0; i < n; i++)
            v[i] = fminf(1, fmaxf(0, a * v[i] + b));
        return;
    case WK_NEG:
        for (size_t i = 0; i < n; i++)
            v[i] = -v[i];
        return;
    case WK_ABS:
        for (size_t i = 0; i < n; i++)
            v[i] = fabsf(v[i]);
        return;
    case WK_SQRT:
        for (size_t i = 0; i < n; i++)
            v[i] = sqrtf(v[i]);
        return;
    case WK_EXP:
        for (size_t i = 0; i < n; i++)
            v[i] = expf(v[i]);
        return;
    case WK_LOG:
        for (size_t i = 0; i < n; i++)
            v[i] = logf(v[i]);
        return;
    default:
        for (size_t i = 0; i < n; i++)
            v[i] = rare(act, v[i]);
        return;
    }
}

/* Softmax over k, for every m before it and n behind it. */
void cpu_softmax(const struct step *s, const float *in, float *out)
{
    for (size_t o = 0; o < s->m; o++)
        for (size_t i = 0; i < s->n; i++) {
            size_t at = o * s->k * s->n + i;
            float top = -INFINITY, sum = 0;
            for (size_t c = 0; c < s->k; c++)
                top = fmaxf(top, in[at + c * s->n]);
            for (size_t c = 0; c < s->k; c++)
                sum += out[at + c * s->n] = expf(in[at + c * s->n] - top);
            for (size_t c = 0; c < s->k && !s->log; c++)
                out[at + c * s->n] /= sum;
            for (size_t c = 0; c < s->k && s->log; c++)
                out[at + c * s->n] = in[at + c * s->n] - top - logf(sum);
        }
}

bool cpu_next(const size_t *dims, const size_t *strides, size_t n, size_t *at, size_t *offset)
{
    for (size_t d = n; d-- > 0;) {
        *offset += strides[d];
        if (++at[d] < dims[d])
            return true;
        *offset -= strides[d] * dims[d];
        at[d] = 0;
    }
    return false;
}

static double begin(enum wk_reduce kind)
{
    return kind == WK_PRODUCT                               ? 1
           : kind == WK_GREATEST || kind == WK_ARG_GREATEST ? -INFINITY
           : kind == WK_LEAST || kind == WK_ARG_LEAST       ? INFINITY
                                                            : 0;
}

static double gather(enum wk_reduce kind, double total, double v)
{
    switch (kind) {
    case WK_GREATEST:
    case WK_ARG_GREATEST:
        return v > total || isnan(v) ? v : total;
    case WK_LEAST:
    case WK_ARG_LEAST:
        return v < total || isnan(v) ? v : total;
    case WK_PRODUCT:
        return total * v;
    case WK_L1:
        return total + fabs(v);
    case WK_L2:
    case WK_SUM_SQUARE:
        return total + v * v;
    case WK_LOG_SUM_EXP:
        return total + exp(v);
    case WK_SUM:
    case WK_MEAN:
    case WK_LOG_SUM:
        break;
    }
    return total + v;
}

static double value(const struct step *s, const void *in, size_t i)
{
    return s->in_dtype == WK_F32 ? (double)((const float *)in)[i] : wk_real_at(s->in_dtype, in, i);
}

/* Of the elements from `from` on that lie in the last m dimensions. */
static double reduced(const struct step *s, const void *in, size_t from, enum wk_reduce kind,
                      double less)
{
    size_t at[WK_ONNX_MAX_RANK] = {0}, offset = 0;
    double total = begin(kind);
    do
        total = gather(kind, total, value(s, in, from + offset) - less);
    while (cpu_next(s->dims + s->rank, s->sa + s->rank, s->m, at, &offset));
    return total;
}

/* Which of the elements along the one dimension that goes has the value. */
static int64_t number(const struct step *s, const void *in, size_t from, double v)
{
    int64_t found = 0;
    for (size_t i = s->k; i-- > 0;) {
        if (value(s, in, from + i * s->sa[s->rank]) != v)
            continue;
        if (s->last_one)
            return (int64_t)i;
        found = (int64_t)i;
    }
    return found;
}

void cpu_reduce(const struct step *s, const void *in, void *out)
{
    size_t at[WK_ONNX_MAX_RANK] = {0}, offset = 0, n = 0;
    do {
        bool exps = s->reduce == WK_LOG_SUM_EXP;
        double top = exps ? reduced(s, in, offset, WK_GREATEST, 0) : 0;
        double less = isfinite(top) ? top : 0, v = reduced(s, in, offset, s->reduce, less);
        if (s->reduce == WK_MEAN)
            v /= (double)s->k;
        else if (s->reduce == WK_L2)
            v = sqrt(v);
        else if (s->reduce == WK_LOG_SUM || exps)
            v = less + log(v);
        if (s->reduce == WK_ARG_GREATEST || s->reduce == WK_ARG_LEAST)
            ((int64_t *)out)[n++] = number(s, in, offset, v);
        else
            wk_put_real(s->dtype, out, n++, v);
    } while (cpu_next(s->dims, s->sa, s->rank, at, &offset));
}
