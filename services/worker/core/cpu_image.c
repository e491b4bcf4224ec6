/* Steps over images: convolution as a matrix product over tiles of the unrolled image, pooling,
 * and moves of elements. */
#include "blas.h"
#include "cpu_int.h"

#include <math.h>
#include <string.h>

/* The taps of a kernel that lie inside the input, when its first lies at `start`. */
struct taps {
    int64_t from, to;
};

static struct taps inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size)
{
    int64_t from = start < 0 ? (-start + dilation - 1) / dilation : 0;
    int64_t to = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    return (struct taps){.from = from, .to = AC_MIN(to, kernel)};
}

static int64_t first_tap(const struct step *s, uint32_t d, int64_t at)
{
    return at * s->window.stride[d] - s->geometry.before[d];
}

/* One row of the unrolled image: what tap (ky, kx) sees at the places from..to of the result. */
static void unroll_tap(const struct step *s, const float *image, int64_t ky, int64_t kx,
                       size_t from, size_t to, float *out)
{
    const int64_t *in = s->geometry.in, width = s->geometry.out[1];
    int64_t y = (int64_t)from / width, x = (int64_t)from % width;
    for (size_t at = from; at < to; y++, x = 0) {
        int64_t iy = first_tap(s, 0, y) + ky * s->window.dilation[0];
        for (; x < width && at < to; x++, at++) {
            int64_t ix = first_tap(s, 1, x) + kx * s->window.dilation[1];
            bool there = iy >= 0 && iy < in[0] && ix >= 0 && ix < in[1];
            *out++ = there ? image[iy * in[1] + ix] : 0;
        }
    }
}

/* A kernel of one tap that visits every place sees the image as it lies. */
static bool plain(const struct step *s)
{
    const struct wk_geometry *g = &s->geometry;
    return g->kernel[0] == 1 && g->kernel[1] == 1 && s->window.stride[0] == 1 &&
           s->window.stride[1] == 1 && g->in[0] == g->out[0] && g->in[1] == g->out[1];
}

static void conv_group(const struct step *s, const float *in, const float *w, float *scratch,
                       float *out)
{
    const struct wk_geometry *g = &s->geometry;
    size_t size = (size_t)(g->in[0] * g->in[1]), area = (size_t)(g->out[0] * g->out[1]);
    size_t taps = (size_t)(g->kernel[0] * g->kernel[1]), rows = s->n / s->groups;
    if (plain(s)) {
        cblas_sgemm(BLAS_ROW_MAJOR, BLAS_NO_TRANS, BLAS_NO_TRANS, (int)rows, (int)area,
                    (int)s->taps, 1, w, (int)s->taps, in, (int)area, 1, out, (int)area);
        return;
    }
    for (size_t at = 0; at < area; at += s->tile) {
        size_t n = AC_MIN(s->tile, area - at);
        for (size_t r = 0; r < s->taps; r++)
            unroll_tap(s, in + r / taps * size, (int64_t)(r % taps) / g->kernel[1],
                       (int64_t)(r % taps) % g->kernel[1], at, at + n, scratch + r * n);
        cblas_sgemm(BLAS_ROW_MAJOR, BLAS_NO_TRANS, BLAS_NO_TRANS, (int)rows, (int)n, (int)s->taps,
                    1, w, (int)s->taps, scratch, (int)n, 1, out + at, (int)area);
    }
}

/* One channel in, one out: a matrix product would have a single row. */
static void conv_depthwise(const struct step *s, const float *in, const float *w, float *out)
{
    const struct wk_geometry *g = &s->geometry;
    const int64_t dy = s->window.dilation[0], dx = s->window.dilation[1];
    for (int64_t y = 0; y < g->out[0]; y++) {
        int64_t top = first_tap(s, 0, y);
        struct taps ty = inside(top, g->kernel[0], dy, g->in[0]);
        for (int64_t x = 0; x < g->out[1]; x++) {
            int64_t left = first_tap(s, 1, x);
            struct taps tx = inside(left, g->kernel[1], dx, g->in[1]);
            float sum = 0;
            for (int64_t ky = ty.from; ky < ty.to; ky++) {
                const float *row = in + (top + ky * dy) * g->in[1];
                for (int64_t kx = tx.from; kx < tx.to; kx++)
                    sum += row[left + kx * dx] * w[ky * g->kernel[1] + kx];
            }
            *out++ += sum;
        }
    }
}

void cpu_conv(const struct step *s, const float *in, const float *w, const float *bias,
              float *scratch, float *out)
{
    const struct wk_geometry *g = &s->geometry;
    size_t size = (size_t)(g->in[0] * g->in[1]), area = (size_t)(g->out[0] * g->out[1]);
    size_t from = s->k / s->groups, to = s->n / s->groups;
    for (size_t i = 0; i < s->m * s->n; i++)
        for (size_t p = 0; p < area; p++)
            out[i * area + p] = bias[i % s->n];
    for (size_t image = 0; image < s->m; image++)
        for (size_t k = 0; k < s->groups; k++) {
            const float *src = in + (image * s->k + k * from) * size;
            float *dst = out + (image * s->n + k * to) * area;
            if (from == 1 && to == 1)
                conv_depthwise(s, src, w + k * s->taps, dst);
            else
                conv_group(s, src, w + k * to * s->taps, scratch, dst);
        }
    cpu_activate(&s->act, out, s->m * s->n * area);
}

/* How many taps a mean counts that includes the pads: those before and behind the image, but not
 * the part of a last window that hangs over. */
static int64_t with_pads(const struct step *s, uint32_t d, int64_t start)
{
    const struct wk_geometry *g = &s->geometry;
    return inside(start + g->before[d], g->kernel[d], s->window.dilation[d],
                  g->in[d] + g->before[d] + g->behind[d])
        .to;
}

static float pool_place(const struct step *s, const float *in, int64_t y, int64_t x)
{
    const struct wk_geometry *g = &s->geometry;
    const int64_t dy = s->window.dilation[0], dx = s->window.dilation[1];
    int64_t top = first_tap(s, 0, y), left = first_tap(s, 1, x);
    struct taps ty = inside(top, g->kernel[0], dy, g->in[0]);
    struct taps tx = inside(left, g->kernel[1], dx, g->in[1]);
    bool max = s->op == WK_POOL_MAX;
    float best = -INFINITY, sum = 0;
    for (int64_t ky = ty.from; ky < ty.to; ky++) {
        const float *row = in + (top + ky * dy) * g->in[1];
        for (int64_t kx = tx.from; kx < tx.to; kx++) {
            float v = row[left + kx * dx];
            best = v > best ? v : best;
            sum += v;
        }
    }
    if (max)
        return best;
    int64_t count = AC_MAX(ty.to - ty.from, (int64_t)0) * AC_MAX(tx.to - tx.from, (int64_t)0);
    if (s->window.count_pads)
        count = with_pads(s, 0, top) * with_pads(s, 1, left);
    return count ? sum / (float)count : 0;
}

void cpu_pool(const struct step *s, const float *in, float *out)
{
    const struct wk_geometry *g = &s->geometry;
    for (size_t i = 0; i < s->m * s->k; i++, in += g->in[0] * g->in[1])
        for (int64_t y = 0; y < g->out[0]; y++)
            for (int64_t x = 0; x < g->out[1]; x++)
                *out++ = pool_place(s, in, y, x);
}

void cpu_move(const struct step *s, const void *in, void *out)
{
    size_t size = wk_dtype_size(s->dtype), at[WK_ONNX_MAX_RANK] = {0}, total = 1;
    const char *from = (const char *)in + s->from;
    char *to = (char *)out + s->to;
    /* What lies together in both goes in one piece. */
    uint32_t rank = s->rank;
    while (rank > 0 && s->sa[rank - 1] == total && s->sb[rank - 1] == total)
        total *= s->dims[--rank];
    size_t piece = total * size, pieces = 1;
    for (uint32_t d = 0; d < rank; d++)
        pieces *= s->dims[d];
    ptrdiff_t a = 0;
    size_t b = 0;
    for (size_t i = 0; i < pieces; i++) {
        memcpy(to + b * size, from + a * (ptrdiff_t)size, piece);
        for (uint32_t d = rank; d-- > 0;) {
            a += (ptrdiff_t)s->sa[d];
            b += s->sb[d];
            if (++at[d] < s->dims[d])
                break;
            at[d] = 0;
            a -= (ptrdiff_t)s->sa[d] * (ptrdiff_t)s->dims[d];
            b -= s->sb[d] * s->dims[d];
        }
    }
}

/* A column for each tap of each output channel, summed up where the tap lies in the result. */
static void add_columns(const struct step *s, const float *columns, size_t channels, float *out)
{
    const struct wk_geometry *g = &s->geometry; /* from the result to the input */
    size_t area = (size_t)(g->out[0] * g->out[1]), size = (size_t)(g->in[0] * g->in[1]);
    size_t taps = (size_t)(g->kernel[0] * g->kernel[1]);
    for (size_t r = 0; r < channels * taps; r++) {
        const float *from = columns + r * area;
        float *image = out + r / taps * size;
        int64_t ky = (int64_t)(r % taps) / g->kernel[1], kx = (int64_t)(r % taps) % g->kernel[1];
        for (int64_t y = 0; y < g->out[0]; y++)
            for (int64_t x = 0; x < g->out[1]; x++, from++) {
                int64_t iy = first_tap(s, 0, y) + ky * s->window.dilation[0];
                int64_t ix = first_tap(s, 1, x) + kx * s->window.dilation[1];
                if (iy >= 0 && iy < g->in[0] && ix >= 0 && ix < g->in[1])
                    image[iy * g->in[1] + ix] += *from;
            }
    }
}

/* The convolution that would lead from the result to the input, backwards. */
void cpu_deconv(const struct step *s, const float *in, const float *w, const float *bias,
                float *scratch, float *out)
{
    const struct wk_geometry *g = &s->geometry;
    size_t area = (size_t)(g->out[0] * g->out[1]), size = (size_t)(g->in[0] * g->in[1]);
    size_t from = s->k / s->groups, to = s->n / s->groups;
    for (size_t i = 0; i < s->m * s->n; i++)
        for (size_t p = 0; p < size; p++)
            out[i * size + p] = bias[i % s->n];
    for (size_t i = 0; i < s->m * s->groups; i++) {
        size_t group = i % s->groups;
        cblas_sgemm(BLAS_ROW_MAJOR, BLAS_TRANS, BLAS_NO_TRANS, (int)s->taps, (int)area, (int)from,
                    1, w + group * from * s->taps, (int)s->taps, in + i * from * area, (int)area, 0,
                    scratch, (int)area);
        add_columns(s, scratch, to, out + i * to * size);
    }
    cpu_activate(&s->act, out, s->m * s->n * size);
}
