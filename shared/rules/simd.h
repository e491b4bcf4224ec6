/* The operators whose loops a compiler turns into vector instructions: over points of one series
 * where they do not depend on each other, over series where they do. kernels.c, kernels_avx2.c and
 * kernels_avx512.c include this once each, under the name SIMD_KERNEL. Every loop does the same
 * arithmetic for a number whatever the instruction set, the block and the number of lanes, so that
 * all ways agree to the bit; the build forbids contraction and reassociation.
 *
 * Numbers are counted through rows and lanes: number k's past of b rows lies at k - b * lanes. */
#include "sums.h"

#include <string.h>

#include <aceso/base.h>

#define TILE  64u /* numbers worked on at a time where something is kept for each */
#define WIDE  16u /* sets sorted at a time */
#define EIGHT 8u  /* numbers of one set taken at a time */

typedef double four __attribute__((vector_size(32)));

#define LOOP for (size_t i = 0; i < m; i++)

/* Before a loop over lanes: what one lane writes no other reads. Clang finds out by itself. */
#ifdef __clang__
#define EACH_BY_ITSELF
#else
#define EACH_BY_ITSELF _Pragma("GCC ivdep")
#endif

/* ---- point by point ---- */

/* Where a step's argument k is a constant, a tile full of it stands in. Returns how far the
 * argument moves with the numbers. */
static inline size_t operand(const struct step *s, uint32_t k, const double **ret, double *tile)
{
    bool column = k >= s->node->n_args || s->a[k];
    *ret = k >= s->node->n_args ? s->a[0] : s->a[k];
    if (column && *ret)
        return 1;
    for (size_t i = 0; i < TILE; i++)
        tile[i] = s->c[k];
    *ret = tile;
    return 0;
}

static void tile_of(enum node_op op, const double *x, const double *y, const double *z,
                    double *restrict out, size_t m)
{
    switch (op) {
#define ONE(node, value)                                                                           \
    case node:                                                                                     \
        LOOP                                                                                       \
        {                                                                                          \
            double a = x[i];                                                                       \
            out[i] = value;                                                                        \
        }                                                                                          \
        break;
#define TWO(node, value)                                                                           \
    case node:                                                                                     \
        LOOP                                                                                       \
        {                                                                                          \
            double a = x[i], b = y[i];                                                             \
            out[i] = value;                                                                        \
        }                                                                                          \
        break;
#define THREE(node, value)                                                                         \
    case node:                                                                                     \
        LOOP                                                                                       \
        {                                                                                          \
            double a = x[i], b = y[i], c = z[i];                                                   \
            out[i] = value;                                                                        \
        }                                                                                          \
        break;
#include "pointwise.def"
#undef ONE
#undef TWO
#undef THREE
    default:
        AC_ASSERT(!"operator without a kernel");
    }
}

static void pointwise(const struct step *s)
{
    double tiles[3][TILE];
    const double *x, *y, *z;
    size_t by[3] = {operand(s, 0, &x, tiles[0]), operand(s, 1, &y, tiles[1]),
                    operand(s, 2, &z, tiles[2])};
    size_t count = s->n * s->lanes;
    size_t step = by[0] && by[1] && by[2]
                      ? count
                      : TILE; /* without a constant there is no tile to be filled */
    for (size_t k = 0; k < count; k += step)
        tile_of(s->node->op, x + k * by[0], y + k * by[1], z + k * by[2], s->out + k,
                AC_MIN(step, count - k));
}

/* One number: its past lies in a row, and in a series alone the four sums are one vector. */
INLINE double predict_one(const struct node *nd, const double *a, size_t lanes)
{
    double sum[4] = {0};
    uint32_t j = 0;
    if (lanes == 1) {
        four v = {0};
        for (; j + 4 <= nd->n_vec; j += 4) {
            four x, c;
            memcpy(&x, a - j - 4, sizeof x);
            memcpy(&c, nd->vec + j, sizeof c);
            v += c * __builtin_shufflevector(x, x, 3, 2, 1, 0);
        }
        memcpy(sum, &v, sizeof sum);
    }
    for (; j + 4 <= nd->n_vec; j += 4) {
        for (uint32_t p = 0; p < 4; p++)
            sum[p] += nd->vec[j + p] * *(a - (j + p + 1) * lanes);
    }
    for (uint32_t p = 0; j + p < nd->n_vec; p++)
        sum[p] += nd->vec[j + p] * *(a - (j + p + 1) * lanes);
    double v = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return nd->op == N_AR ? rule_canon(*a - v) : rule_canon(v);
}

static void predict(const struct step *s)
{
    const struct node *nd = s->node;
    size_t count = s->n * s->lanes;
    double sum[4][TILE];
    for (size_t i = 0; count < 4 && i < count; i++)
        s->out[i] = predict_one(nd, s->a[0] + i, s->lanes);
    if (count < 4)
        return;
    for (size_t at = 0; at < count; at += TILE) {
        size_t m = AC_MIN((size_t)TILE, count - at);
        const double *a = s->a[0] + at;
        double *restrict out = s->out + at;
        for (size_t p = 0; p < 4; p++) { /* four sums: one alone would wait for itself */
            double *restrict part = sum[p];
            LOOP part[i] = 0;
            for (size_t j = p; j < nd->n_vec; j += 4) {
                const double *x = a - (j + 1) * s->lanes, c = nd->vec[j];
                LOOP part[i] += c * x[i];
            }
        }
        LOOP out[i] = (sum[0][i] + sum[1][i]) + (sum[2][i] + sum[3][i]);
        if (nd->op == N_AR)
            LOOP out[i] = rule_canon(a[i] - out[i]);
        else
            LOOP out[i] = rule_canon(out[i]);
    }
}

static void increase(const struct step *s)
{
    size_t m = s->n * s->lanes;
    const double *a = s->a[0], *before = a - s->lanes;
    double *restrict out = s->out;
    LOOP
    {
        double d = a[i] - before[i];
        out[i] = rule_canon(pick(d < 0, a[i], d));
    }
}

/* ---- sums ---- */

INLINE void sums_of(const struct step *s, enum node_op op)
{
    const size_t lanes = s->lanes, back = s->node->w * lanes;
    const double w = s->node->w;
    for (size_t row = 0; row < s->n; row++) {
        const double *a = s->a[0] + row * lanes;
        double *restrict out = s->out + row * lanes, *restrict z = s->col->scalars;
        if (lanes == 1) {
            struct sums x;
            sums_load(&x, z, 1, op);
            for (; row < s->n; row++, a++, out++)
                *out = sums_step(&x, op, *a, *(a - back), w, true);
            sums_store(&x, z, 1, op);
            return;
        }
        EACH_BY_ITSELF
        for (size_t i = 0; i < lanes; i++) {
            struct sums x;
            sums_load(&x, z + i, lanes, op);
            out[i] = sums_step(&x, op, a[i], *(a + i - back), w, false);
            sums_store(&x, z + i, lanes, op);
        }
    }
}

static void sums(const struct step *s)
{
    if (s->node->op == N_SUM)
        sums_of(s, N_SUM);
    else if (s->node->op == N_MEAN)
        sums_of(s, N_MEAN);
    else if (s->node->op == N_STD)
        sums_of(s, N_STD);
    else
        sums_of(s, N_SLOPE);
}

/* ---- seasons: the same phase of the last m seasons ---- */

struct moves {
    double in[TILE], in_lost[TILE], out[TILE], out_lost[TILE];
    double count[TILE], negative[TILE], positive[TILE];
};

INLINE void two_take(double *hi, double *lo, double x)
{
    struct two s = two_add((struct two){*hi, *lo}, (struct two){x, 0});
    *hi = s.hi;
    *lo = s.lo;
}

/* What enters and leaves at m numbers. */
static void season_moves(const struct node *nd, const double *a, size_t lanes, size_t m,
                         struct moves *restrict v)
{
    memset(v, 0, sizeof *v);
    for (uint32_t d = nd->m; d >= 1; d--) {
        const double *in = a - ((size_t)d * nd->w - nd->h) * lanes;
        const double *out = a - ((size_t)d * nd->w + nd->h + 1) * lanes;
        LOOP
        {
            double x = in[i], y = out[i];
            two_take(&v->in[i], &v->in_lost[i], pick(known(x), x, 0));
            two_take(&v->out[i], &v->out_lost[i], pick(known(y), y, 0));
            v->count[i] += pick(known(x), 1, 0) - pick(known(y), 1, 0);
            v->negative[i] += pick(x < 0, 1, 0) - pick(y < 0, 1, 0);
            v->positive[i] += pick(x > 0, 1, 0) - pick(y > 0, 1, 0);
        }
    }
}

/* As with windows, a second sum is made of additions alone; a season's neighbourhood has gone by
 * after its own width. */
INLINE double season_step(double *restrict z, size_t stride, const struct node *nd,
                          const struct moves *v, size_t i)
{
    double *sum = z + SEASON_SUM * stride, *count = z + SEASON_COUNT * stride;
    double *negative = z + SEASON_NEGATIVE * stride, *positive = z + SEASON_POSITIVE * stride;
    double *since = z + SEASON_SINCE * stride, *fresh = z + SEASON_NEW * stride;
    double *lost = z + SEASON_LOST * stride, *fresh_lost = z + SEASON_NEW_LOST * stride;
    const struct two none = {0, 0}, in = {v->in[i], v->in_lost[i]};
    *count += v->count[i];
    *negative += v->negative[i];
    *positive += v->positive[i];
    *since += 1;
    struct two s =
        two_less(two_add((struct two){*sum, *lost}, in), (struct two){v->out[i], v->out_lost[i]});
    struct two f = two_add((struct two){*fresh, *fresh_lost}, in);
    bool swap = *since >= 2.0 * nd->h + 1;
    s = two_pick(*count == 0, none, two_pick(swap, f, s));
    f = two_pick(swap, none, f);
    *sum = s.hi;
    *lost = s.lo;
    *fresh = f.hi;
    *fresh_lost = f.lo;
    *since = pick(swap, 0, *since);
    double mean = on_side(rule_canon((s.hi + s.lo) / *count), *negative, *positive);
    return pick(*count >= nd->h + 1.0, mean, NAN_);
}

static void season_mean(const struct step *s)
{
    struct moves v;
    size_t lanes = s->lanes, count = s->n * lanes, width = lanes == 1 ? s->n : lanes;
    for (size_t row = 0; row < count; row += width) {
        for (size_t k = 0; k < width; k += TILE) {
            size_t m = AC_MIN((size_t)TILE, width - k);
            double *restrict out = s->out + row + k, *restrict z = s->col->scalars;
            season_moves(s->node, s->a[0] + row + k, lanes, m, &v);
            if (lanes == 1) {
                for (size_t i = 0; i < m; i++)
                    out[i] = season_step(z, 1, s->node, &v, i);
                continue;
            }
            EACH_BY_ITSELF
            for (size_t i = 0; i < m; i++)
                out[i] = season_step(z + k + i, lanes, s->node, &v, i);
        }
    }
}

#include "small_sets.h"

/* ---- one scalar ---- */

INLINE double scalar_step(enum node_op op, double *z, double a, double b, double out, double c)
{
    double was = *z;
    if (op == N_EWMA) {
        *z = pick(known(a), pick(known(was), rule_canon(was + c * (a - was)), a), was);
    } else if (op == N_RUN) {
        *z = pick(a == 1, was + 1, 0);
    } else if (op == N_LATCH) {
        *z = pick(a == 1, 1, pick(b == 1, 0, was));
    } else if (op == N_EDGE) { /* counts down the points that must be quiet */
        *z = pick(a == 1, c, pick(was > 0, was - 1, 0));
        return pick((a == 1) & (was <= 0), 1, 0);
    } else {
        *z = was + (pick(a == 1, 1, 0) - pick(out == 1, 1, 0));
        return op == N_PERSIST ? pick(*z >= c, 1, 0) : *z;
    }
    return *z;
}

INLINE void scalar_of(const struct step *s, enum node_op op, double c)
{
    size_t lanes = s->lanes, back = op == N_COUNT || op == N_PERSIST ? s->node->w * lanes : 0;
    double *restrict z = s->col->scalars, none[1] = {0};
    for (size_t row = 0; row < s->n; row++) {
        const double *a = s->a[0] + row * lanes;
        const double *b = op == N_LATCH ? s->a[1] + row * lanes : none;
        size_t by = op == N_LATCH;
        double *restrict out = s->out + row * lanes;
        if (lanes == 1) {
            double x = *z;
            for (; row < s->n; row++, a++, b += by, out++)
                *out = scalar_step(op, &x, *a, *b, *(a - back), c);
            *z = x;
            return;
        }
        EACH_BY_ITSELF
        for (size_t i = 0; i < lanes; i++)
            out[i] = scalar_step(op, z + i, a[i], b[i * by], *(a + i - back), c);
    }
}

static void scalar(const struct step *s)
{
    switch (s->node->op) {
    case N_EWMA:
        scalar_of(s, N_EWMA, s->node->c);
        break;
    case N_RUN:
        scalar_of(s, N_RUN, 0);
        break;
    case N_LATCH:
        scalar_of(s, N_LATCH, 0);
        break;
    case N_EDGE:
        scalar_of(s, N_EDGE, s->node->w);
        break;
    case N_COUNT:
        scalar_of(s, N_COUNT, 0);
        break;
    default:
        scalar_of(s, N_PERSIST, s->node->m);
        break;
    }
}

static void many(const struct step *s)
{
    switch (s->node->op) {
    case N_PREDICT:
    case N_AR:
        predict(s);
        break;
    case N_INCREASE:
        increase(s);
        break;
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
        sums(s);
        break;
    case N_SEASON_MEAN:
        season_mean(s);
        break;
    case N_MIN:
    case N_MAX:
    case N_QUANTILE:
    case N_MAD:
    case N_SEASON_MEDIAN:
    case N_SEASON_MIN:
    case N_SEASON_MAX:
        small_set(s);
        break;
    case N_EWMA:
    case N_RUN:
    case N_LATCH:
    case N_EDGE:
    case N_COUNT:
    case N_PERSIST:
        scalar(s);
        break;
    default:
        pointwise(s);
    }
}

#include "point.h"

const struct kernels SIMD_KERNEL = {replace, many, point};
