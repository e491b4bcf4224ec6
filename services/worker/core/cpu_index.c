/* Steps that read at places which a table or another value names. */
#include "cpu_int.h"
#include "number.h"

#include <string.h>

/* Negative indices count from the end. One that is out of range marks its row, which goes on with
 * the first element: a request's bad data must cost the others of its batch nothing. */
static size_t place_of(const struct step *s, const void *index, size_t i, uint32_t *bad)
{
    int64_t at = wk_int_at(s->index_dtype, index, i), n = (int64_t)s->k;
    at = at < 0 ? at + n : at;
    if (at >= 0 && at < n)
        return (size_t)at;
    *bad |= s->rows ? 1u << (i / s->row_run % s->rows) : UINT32_MAX;
    return 0;
}

/* m pieces before the axis, of k elements along it, each n elements large; taps: indices. */
uint32_t cpu_gather(const struct step *s, const void *in, const void *index, void *out)
{
    size_t piece = s->n * wk_dtype_size(s->dtype);
    uint32_t bad = 0;
    char *to = out;
    for (size_t o = 0; o < s->m; o++)
        for (size_t i = 0; i < s->taps; i++, to += piece) {
            size_t at = place_of(s, index, i, &bad);
            memcpy(to, (const char *)in + (o * s->k + at) * piece, piece);
        }
    return bad;
}

/* For each place of the result (dims, which b has, too) the element of a that differs from it in
 * the place along the axis alone: sa are a's strides, 0 along the axis, whose own is sc[0]. */
uint32_t cpu_gather_each(const struct step *s, const void *in, const void *index, void *out)
{
    size_t size = wk_dtype_size(s->dtype), at[WK_ONNX_MAX_RANK] = {0}, offset = 0;
    uint32_t bad = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t along = place_of(s, index, i, &bad);
        memcpy((char *)out + i * size, (const char *)in + (offset + along * s->sc[0]) * size, size);
        (void)cpu_next(s->dims, s->sa, s->rank, at, &offset);
    }
    return bad;
}

/* m pieces of k elements along the axis become groups (each of taps terms); n lie behind it. */
void cpu_mix(const struct step *s, const float *in, const int32_t *from, const float *weights,
             float *out)
{
    for (size_t o = 0; o < s->m; o++, in += s->k * s->n)
        for (size_t i = 0; i < s->groups; i++, out += s->n) {
            memset(out, 0, s->n * sizeof(*out));
            for (size_t t = 0; t < s->taps; t++) {
                const float *row = in + (size_t)from[i * s->taps + t] * s->n;
                float w = weights[i * s->taps + t];
                for (size_t k = 0; k < s->n && w != 0; k++)
                    out[k] += w * row[k];
            }
        }
}
