/* Order statistics and extremes of small sets, which are taken from the history at every point:
 * many numbers at a time by a sorting network, one alone by counting. Included by simd.h. */
#pragma once

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

/* ---- a window in order ---- */

/* What one instruction takes: gcc breaks wider vectors, and without masks these loops, into single
 * numbers. */
#ifdef __AVX512F__
#define FEW 8
#else
#define FEW 4
#endif
typedef double few __attribute__((vector_size(FEW * 8)));
typedef long long which __attribute__((vector_size(FEW * 8)));

/* Of each pair of numbers the first where the condition holds, else the second. */
#define EACH(cond, a, b) ((few)(((cond) & (which)(a)) | (~(cond) & (which)(b))))

/* Each number is told by its neighbours what comes into its place, so no place is looked for and no
 * branch depends on the numbers but one: in which direction those between the two places move. */
static void replace(double *v, size_t n, double out, double in)
{
    size_t end = (n + FEW - 1) / FEW * FEW;
    few put = in + (few){0};
    if (in >= out) {
        v[n] = INFINITY;
        for (size_t at = 0; at < end; at += FEW) {
            few x, next;
            memcpy(&x, v + at, sizeof x);
            memcpy(&next, v + at + 1, sizeof next);
            next = EACH(next < in, next, put);
            x = EACH(x < out, x, EACH(x < next, next, x));
            memcpy(v + at, &x, sizeof x);
        }
        return;
    }
    v[-1] = -INFINITY;
    for (size_t at = end; at > 0; at -= FEW) {
        few x, before;
        memcpy(&x, v + at - FEW, sizeof x);
        memcpy(&before, v + at - FEW - 1, sizeof before);
        before = EACH(before > in, before, put);
        x = EACH(x > out, x, EACH(x > before, before, x));
        memcpy(v + at - FEW, &x, sizeof x);
    }
}
