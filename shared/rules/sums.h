/* Sums over windows, one point at a time and free of branches, so that a compiler can take several
 * series at once. Included by simd.h.
 *
 * A value far from all others must leave no trace when it has left the window. So products are
 * exact and sums are kept with what their rounding lost (Dekker's product, Knuth's sum, Neumaier's
 * place for the loss): two or three doubles, whose differences lose nothing that matters. What is
 * lost all the same goes with a second set of sums, to which nothing but additions is made: it is
 * begun every w points and takes the first one's place when it holds the whole window. So no error
 * grows with time, and no point costs more than another. What a window amounts to whose known
 * values are equal is set exactly. */
#pragma once

#include "pointwise.h"

#define INLINE static inline __attribute__((always_inline))

/* A number of twice the digits: hi + lo. */
struct two {
    double hi, lo;
};

INLINE struct two two_sum(double a, double b)
{
    double sum = a + b, part = sum - a;
    return (struct two){sum, (a - (sum - part)) + (b - part)};
}

/* Exact up to 1e300, and where the error is no denormal number. */
INLINE struct two two_product(double a, double b)
{
    double c = 134217729.0 * a, d = 134217729.0 * b; /* 2^27 + 1: halves of 26 bits */
    double ah = c - (c - a), al = a - ah, bh = d - (d - b), bl = b - bh;
    double product = a * b;
    return (struct two){product, ((ah * bh - product) + ah * bl + al * bh) + al * bl};
}

/* lo takes up what hi loses, and is not brought into it: neither waits for the other. */
INLINE struct two two_add(struct two s, struct two x)
{
    struct two t = two_sum(s.hi, x.hi);
    return (struct two){t.hi, s.lo + (t.lo + x.lo)};
}

INLINE struct two two_less(struct two s, struct two x)
{
    return two_add(s, (struct two){-x.hi, -x.lo});
}

INLINE struct two two_pick(bool cond, struct two x, struct two y)
{
    return (struct two){pick(cond, x.hi, y.hi), pick(cond, x.lo, y.lo)};
}

/* Squares of values that differ by more than the 16 digits of a double need three times them: a
 * counter that was wrapped around below 0 gives 2^64. */
struct three {
    double hi, lo, rest;
};

INLINE struct three three_add(struct three s, struct two x)
{
    struct two t = two_sum(s.hi, x.hi), u = two_sum(s.lo, x.lo), v = two_sum(u.hi, t.lo);
    return (struct three){t.hi, v.hi, s.rest + (u.lo + v.lo)};
}

INLINE struct three three_pick(bool cond, struct three x, struct three y)
{
    return (struct three){pick(cond, x.hi, y.hi), pick(cond, x.lo, y.lo),
                          pick(cond, x.rest, y.rest)};
}

INLINE struct two three_read(struct three s)
{
    struct two t = two_sum(s.hi, s.lo);
    return two_sum(t.hi, t.lo + s.rest);
}

/* All keep the first fields, the deviation the second ones, too, the slope the third ones. new: of
 * the second set; run: known points up to this one that are equal to the last. */
#define SUMS_FIELDS_1(F)                                                                           \
    F(s1.hi, s1)                                                                                   \
    F(s1.lo, s1_lost)                                                                              \
    F(new_1.hi, new_1)                                                                             \
    F(new_1.lo, new_1_lost)                                                                        \
    F(count, count)                                                                                \
    F(negative, negative) F(positive, positive) F(run, run) F(last, last) F(since, since)
#define SUMS_FIELDS_2(F)                                                                           \
    F(s2.hi, s2)                                                                                   \
    F(s2.lo, s2_lost)                                                                              \
    F(s2.rest, s2_rest)                                                                            \
    F(new_2.hi, new_2) F(new_2.lo, new_2_lost) F(new_2.rest, new_2_rest)
#define SUMS_FIELDS_3(F)                                                                           \
    F(t, t)                                                                                        \
    F(tt, tt)                                                                                      \
    F(new_t, new_t)                                                                                \
    F(new_tt, new_tt) F(ty.hi, ty) F(ty.lo, ty_lost) F(new_ty.hi, new_ty) F(new_ty.lo, new_ty_lost)

struct sums {
    struct two s1, new_1, ty, new_ty;
    struct three s2, new_2;
    double count, negative, positive, run, last, since, t, tt, new_t, new_tt;
};
#define FIELD(member, name) SUM_##name,
enum {
    SEASON_SUM,
    SEASON_COUNT,
    SEASON_NEGATIVE, /* known values below 0, above 0 */
    SEASON_POSITIVE,
    SEASON_SINCE,
    SEASON_NEW,
    SEASON_LOST, /* by rounding, of the two sums */
    SEASON_NEW_LOST,
    SEASON_SUMS
};
enum {
    SUMS_FIELDS_1(FIELD) SUMS_1,
    SUMS_2_ = SUMS_1 - 1,
    SUMS_FIELDS_2(FIELD) SUMS_2,
    SUMS_3_ = SUMS_1 - 1,
    SUMS_FIELDS_3(FIELD) SUMS_3
};
#undef FIELD

INLINE uint32_t sums_fields(enum node_op op)
{
    return op == N_SLOPE ? SUMS_3 : op == N_STD ? SUMS_2 : SUMS_1;
}

/* z[k * stride] is field k. */
INLINE void sums_load(struct sums *s, const double *z, size_t stride, enum node_op op)
{
#define FIELD(member, name) s->member = z[SUM_##name * stride];
    SUMS_FIELDS_1(FIELD)
    if (op == N_STD) {
        SUMS_FIELDS_2(FIELD)
    }
    if (op == N_SLOPE) {
        SUMS_FIELDS_3(FIELD)
    }
#undef FIELD
}

INLINE void sums_store(const struct sums *s, double *z, size_t stride, enum node_op op)
{
#define FIELD(member, name) z[SUM_##name * stride] = s->member;
    SUMS_FIELDS_1(FIELD)
    if (op == N_STD) {
        SUMS_FIELDS_2(FIELD)
    }
    if (op == N_SLOPE) {
        SUMS_FIELDS_3(FIELD)
    }
#undef FIELD
}

/* Time runs from 0 at the oldest point when the sums took their place. in, out: 0 where unknown. */
INLINE void sums_line(struct sums *s, double in, bool in_known, double out, bool out_known,
                      double w, bool few)
{
    double ti = pick(in_known, s->since + w, 0), t_out = pick(out_known, s->since, 0);
    double tn = pick(in_known, s->since, 0);
    struct two yi = two_product(ti, in), yn = two_product(tn, in);
    s->t = pick(few, ti, s->t + (ti - t_out));
    s->tt = pick(few, ti * ti, s->tt + (ti * ti - t_out * t_out));
    s->ty = two_pick(few, yi, two_less(two_add(s->ty, yi), two_product(t_out, out)));
    s->new_t = pick(few, tn, s->new_t + tn);
    s->new_tt = pick(few, tn * tn, s->new_tt + tn * tn);
    s->new_ty = two_pick(few, yn, two_add(s->new_ty, yn));
}

/* The second set takes the first one's place. */
INLINE void sums_swap(struct sums *s, enum node_op op, bool swap)
{
    const struct two none = {0, 0};
    s->s1 = two_pick(swap, s->new_1, s->s1);
    s->new_1 = two_pick(swap, none, s->new_1);
    if (op == N_STD) {
        s->s2 = three_pick(swap, s->new_2, s->s2);
        s->new_2 = three_pick(swap, (struct three){0, 0, 0}, s->new_2);
    }
    if (op == N_SLOPE) {
        s->t = pick(swap, s->new_t, s->t);
        s->tt = pick(swap, s->new_tt, s->tt);
        s->ty = two_pick(swap, s->new_ty, s->ty);
        s->new_t = pick(swap, 0, s->new_t);
        s->new_tt = pick(swap, 0, s->new_tt);
        s->new_ty = two_pick(swap, none, s->new_ty);
    }
}

/* Sum of (u - mean u) * (y - mean y), given those of u * y and of u, the rounded mean of y and how
 * far the sum of y lies above n times that. */
INLINE double sums_moment(struct two uy, double u, double n, double mean, double above)
{
    struct two p = two_product(mean, u);
    return (uy.hi - p.hi) + ((uy.lo - p.lo) - u / n * above);
}

INLINE double sums_read(const struct sums *s, enum node_op op, double w)
{
    double n = s->count, v = 0;
    bool enough = 2 * n >= w, flat = s->run >= n;
    struct two sum = two_sum(s->s1.hi, s->s1.lo);
    double mean = sum.hi / n;
    struct two near = two_product(n, mean);
    double above = ((sum.hi - near.hi) - near.lo) + sum.lo;
    if (op == N_SUM)
        v = on_side(rule_canon(pick(flat, n * s->last, sum.hi)), s->negative, s->positive);
    else if (op == N_MEAN)
        v = on_side(rule_canon(pick(flat, s->last, mean)), s->negative, s->positive);
    else if (op == N_STD) {
        double square = sums_moment(three_read(s->s2), sum.hi, n, mean, above) / n;
        v = pick((square > 0) & !flat, rule_canon(sqrt(square)), 0);
        enough &= n >= 2;
    } else {
        double tt = s->tt - s->t * s->t / n;
        struct two ty = two_sum(s->ty.hi, s->ty.lo);
        v = pick(flat, 0, rule_canon(sums_moment(ty, s->t, n, mean, above) / tt));
        enough &= n >= 2;
    }
    return pick(enough, v, NAN_);
}

/* in enters, out leaves. alone: no other series at once, so what is seldom may be a branch. */
INLINE double sums_step(struct sums *s, enum node_op op, double in, double out, double w,
                        bool alone)
{
    bool in_known = known(in), out_known = known(out);
    double is = pick(in_known, 1, 0), x = pick(in_known, in, 0), y = pick(out_known, out, 0);
    s->run = pick(in == s->last, s->run + 1, pick(in_known, 1, s->run));
    s->last = pick(in_known, in + 0.0, s->last); /* no -0 */
    s->count += is - pick(out_known, 1, 0);
    s->negative += pick(in < 0, 1, 0) - pick(out < 0, 1, 0);
    s->positive += pick(in > 0, 1, 0) - pick(out > 0, 1, 0);
    bool few = s->count == is; /* nothing known, but for this point */
    struct two first = {x, 0};
    s->s1 = two_pick(few, first, two_less(two_add(s->s1, first), (struct two){y, 0}));
    s->new_1 = two_pick(few, first, two_add(s->new_1, first));
    if (op == N_STD) {
        struct two square = two_product(x, x), gone = two_product(y, y);
        struct three all = three_add(s->s2, square), only = {square.hi, square.lo, 0};
        s->s2 = three_pick(few, only, three_add(all, (struct two){-gone.hi, -gone.lo}));
        s->new_2 = three_pick(few, only, three_add(s->new_2, square));
    }
    if (op == N_SLOPE)
        sums_line(s, x, in_known, y, out_known, w, few);
    s->since += 1;
    bool swap = s->since >= w;
    s->since = pick(swap, 0, s->since);
    if (!alone || swap)
        sums_swap(s, op, swap);
    return sums_read(s, op, w);
}
