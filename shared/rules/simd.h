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

/* One number: its past lies in a row. */
static double predict_one(const struct node *nd, const double *a, size_t lanes)
{
    double sum[4] = {0};
    uint32_t j = 0;
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
                *out = sums_step(&x, op, *a, *(a - back), w);
            sums_store(&x, z, 1, op);
            return;
        }
        EACH_BY_ITSELF
        for (size_t i = 0; i < lanes; i++) {
            struct sums x;
            sums_load(&x, z + i, lanes, op);
            out[i] = sums_step(&x, op, a[i], *(a + i - back), w);
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

/* ---- small sets ---- */

/* Rows back of the newest point of a set's d-th run, and the length of a run. */
struct runs {
    size_t n, len, first, step; /* run d = 0 .. n-1 begins first + d * step rows back */
};

static inline struct runs runs_of(const struct node *n)
{
    if (node_is_season(n->op))
        return (struct runs){n->m, 2 * (size_t)n->h + 1, (size_t)n->w - n->h, n->w};
    return (struct runs){1, n->w, 0, 0};
}

static inline uint32_t least_known(const struct node *n)
{
    return node_is_season(n->op) ? n->h + 1 : (n->w + 1) / 2;
}

/* WIDE, but the compiler does not know: it would unroll the loop into single steps before it makes
 * vectors of it. */
INLINE size_t wide(void)
{
    size_t n = WIDE;
    __asm__("" : "+r"(n));
    return n;
}

/* Puts the lesser one of each of two rows' numbers into the first. Adding 0 changes none of them:
 * it keeps gcc from storing only what changes, under a branch that cannot be foreseen. */
INLINE void exchange(double *restrict a, double *restrict b, size_t rows)
{
    EACH_BY_ITSELF
    for (size_t i = 0; i < rows * WIDE; i++) {
        double x = a[i] + 0.0, y = b[i] + 0.0;
        a[i] = pick(y < x, y, x);
        b[i] = pick(y < x, x, y);
    }
}

/* Batcher's merge exchange: the same comparisons whatever the numbers are. */
static void sort_wide(double (*v)[WIDE], size_t n)
{
    size_t top = 1;
    while (2 * top < n)
        top *= 2;
    for (size_t p = top; n > 1 && p > 0; p /= 2) {
        for (size_t q = top, r = 0, d = p;; d = q - p, q /= 2, r = p) {
            for (size_t i = r; i + d < n; i += 2 * p) {
                exchange(v[i], v[i + d], AC_MIN(p, n - d - i));
            }
            if (q == p)
                break;
        }
    }
}

static inline double between(double low, double high, double f)
{
    return f > 0 ? low + f * (high - low) : low;
}

/* The quantile of each column's known numbers, which are sorted. all: as many as are known where
 * all are. */
INLINE void rank_wide(double (*v)[WIDE], const double *count, double all, double q,
                      double *restrict out)
{
    size_t full = 0, m = wide();
    for (size_t i = 0; i < WIDE; i++)
        full += count[i] == all;
    if (full == WIDE) { /* the same rows for all */
        double pos = q * (all - 1), f = pos - floor(pos);
        const double *restrict low = v[(size_t)pos], *restrict high = v[(size_t)pos + 1];
        LOOP out[i] = f > 0 ? low[i] + f * (high[i] - low[i]) : low[i];
        return;
    }
    for (size_t i = 0; i < WIDE; i++) {
        double pos = q * (AC_MAX(count[i], 1.0) - 1);
        size_t k = (size_t)pos;
        out[i] = between(v[k][i], v[k + 1][i], pos - (double)k);
    }
}

/* The numbers of each of WIDE sets, infinity for missing ones; returns how many rows there are. */
static size_t load_wide(const struct node *nd, const double *a, size_t lanes, double (*v)[WIDE])
{
    struct runs r = runs_of(nd);
    size_t k = 0, m = wide();
    for (size_t d = 0; d < r.n; d++) {
        const double *src = a - (r.first + d * r.step) * lanes;
        for (size_t j = 0; j < r.len; j++, k++, src -= lanes) {
            double *restrict to = v[k];
            LOOP to[i] = pick(known(src[i]), src[i] + 0.0, (double)INFINITY); /* no -0 */
        }
    }
    for (size_t i = 0; i < WIDE; i++)
        v[k][i] = INFINITY; /* read, and not used, behind the last rank */
    return k;
}

/* How many are known of n, which are sorted. */
static void count_wide(double (*v)[WIDE], size_t n, double *count)
{
    for (size_t i = 0; i < WIDE; i++) {
        size_t k = n;
        while (k && v[k - 1][i] == INFINITY)
            k--;
        count[i] = (double)k;
    }
}

/* At WIDE numbers. */
static void sorted_wide(const struct step *s, const double *a, double *restrict out)
{
    const struct node *nd = s->node;
    _Alignas(64) double v[SMALL_SEASONS + 1][WIDE], count[WIDE], mid[WIDE];
    size_t n = load_wide(nd, a, s->lanes, v), m = wide();
    double least = least_known(nd);
    sort_wide(v, n);
    count_wide(v, n, count);
    rank_wide(v, count, (double)n, nd->op == N_QUANTILE ? nd->c : 0.5, mid);
    if (nd->op == N_MAD) {
        for (size_t k = 0; k < n; k++) {
            double *restrict to = v[k];
            LOOP to[i] = fabs(to[i] - mid[i]);
        }
        sort_wide(v, n);
        rank_wide(v, count, (double)n, 0.5, mid);
    }
    LOOP out[i] = pick(count[i] >= least, mid[i], NAN_);
}

static void extreme_wide(const struct step *s, const double *a, double *restrict out, size_t m)
{
    struct runs r = runs_of(s->node);
    bool greatest = s->node->op == N_MAX || s->node->op == N_SEASON_MAX;
    double best[TILE], count[TILE], least = least_known(s->node);
    LOOP best[i] = greatest ? -INFINITY : INFINITY;
    LOOP count[i] = 0;
    for (size_t d = 0; d < r.n; d++) {
        for (size_t j = 0; j < r.len; j++) {
            const double *x = a - (r.first + d * r.step + j) * s->lanes;
            LOOP count[i] += pick(known(x[i]), 1, 0);
            if (greatest)
                LOOP best[i] = pick(x[i] > best[i], x[i], best[i]);
            else
                LOOP best[i] = pick(x[i] < best[i], x[i], best[i]);
        }
    }
    LOOP out[i] = pick(count[i] >= least, best[i] + 0.0, NAN_);
}

/* The same of a single number: its set's known points, then what is asked of them. */
static size_t load_one(const struct node *nd, const double *a, size_t lanes, double *restrict v)
{
    struct runs r = runs_of(nd);
    size_t n = 0;
    for (size_t d = 0; d < r.n; d++) {
        const double *src = a - (r.first + d * r.step) * lanes;
        for (size_t j = 0; j < r.len; j++) {
            double x = *(src - j * lanes);
            v[n] = x + 0.0;
            n += known(x);
        }
    }
    return n;
}

static double extreme_one(const double *v, size_t n, bool greatest)
{
    double best[EIGHT];
    for (size_t i = 0; i < EIGHT; i++)
        best[i] = greatest ? -INFINITY : INFINITY;
    size_t k = 0;
    for (; k + EIGHT <= n; k += EIGHT) {
        for (size_t i = 0; i < EIGHT; i++)
            best[i] = pick(greatest ? v[k + i] > best[i] : v[k + i] < best[i], v[k + i], best[i]);
    }
    for (; k < n; k++)
        best[0] = pick(greatest ? v[k] > best[0] : v[k] < best[0], v[k], best[0]);
    for (size_t i = 1; i < EIGHT; i++)
        best[0] = pick(greatest ? best[i] > best[0] : best[i] < best[0], best[i], best[0]);
    return best[0];
}

static double greatest_of(double *v, size_t n)
{
    while (n > 1) {
        size_t half = (n + 1) / 2;
        for (size_t i = 0; i < n - half; i++)
            v[i] = pick(v[i] < v[half + i], v[half + i], v[i]);
        n = half;
    }
    return v[0];
}

/* The greatest of the numbers that no more than rank others are less than. No branch depends on the
 * numbers, and vectors do it. */
static double rank_one(double *v, size_t n, double q)
{
    double less[SMALL_SEASONS], low[SMALL_SEASONS], next[SMALL_SEASONS];
    double pos = q * (double)(n - 1), k = floor(pos);
    size_t padded = (n + EIGHT - 1) / EIGHT * EIGHT;
    for (size_t i = n; i < padded; i++)
        v[i] = INFINITY;
    for (size_t j = 0; j < padded; j++) {
        double x = v[j], count = 0;
        for (size_t i = 0; i < n; i++)
            count += pick(v[i] < x, 1, 0);
        less[j] = count;
    }
    low[0] = next[0] = NAN_;
    for (size_t j = 0; j < padded; j++) {
        low[j] = pick(less[j] <= k, v[j], -(double)INFINITY);
        next[j] = pick(less[j] <= k + 1, v[j], -(double)INFINITY);
    }
    return between(greatest_of(low, padded), greatest_of(next, padded), pos - k);
}

static double small_one(const struct step *s, const double *a)
{
    const struct node *nd = s->node;
    double v[SMALL_SEASONS + 1];
    size_t n = load_one(nd, a, s->lanes, v);
    if (n < least_known(nd))
        return NAN_;
    if (nd->op == N_MAX || nd->op == N_SEASON_MAX || nd->op == N_MIN || nd->op == N_SEASON_MIN)
        return extreme_one(v, n, nd->op == N_MAX || nd->op == N_SEASON_MAX);
    double mid = rank_one(v, n, nd->op == N_QUANTILE ? nd->c : 0.5);
    if (nd->op != N_MAD)
        return mid;
    for (size_t i = 0; i < n; i++)
        v[i] = fabs(v[i] - mid);
    return rank_one(v, n, 0.5);
}

static void small_set(const struct step *s)
{
    size_t count = s->n * s->lanes, k = 0;
    enum node_op op = s->node->op;
    bool sorts = op == N_QUANTILE || op == N_MAD || op == N_SEASON_MEDIAN;
    for (; sorts && count >= WIDE && k < count; k += WIDE) {
        k = AC_MIN(k, count - WIDE); /* the last ones with some that are done */
        sorted_wide(s, s->a[0] + k, s->out + k);
    }
    for (; !sorts && k + 4 <= count; k += AC_MIN((size_t)TILE, count - k))
        extreme_wide(s, s->a[0] + k, s->out + k, AC_MIN((size_t)TILE, count - k));
    for (; k < count; k++)
        s->out[k] = small_one(s, s->a[0] + k);
}

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

void SIMD_KERNEL(const struct step *s);
void SIMD_KERNEL(const struct step *s)
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
