/* Sums over windows, one point at a time and free of branches, so that a compiler can take several
 * series at once. Included by simd.h.
 *
 * Sums are kept about a reference near the values. Adding and taking away leaves rounding behind,
 * so a second set of sums, to which nothing but additions is made, is begun every w points and
 * takes the first one's place when it holds the whole window: no error grows with time, and no
 * point costs more than another. What a window of one known value or of equal ones amounts to is
 * set exactly. */
#pragma once

#include "pointwise.h"

#define INLINE static inline __attribute__((always_inline))

/* Kinds: mean and sum need the first fields only, the deviation two more, the slope all. */
enum sums_kind {
    SUMS_FIRST,
    SUMS_SECOND,
    SUMS_LINE
};
#define SUMS_FIELDS_1(F)                                                                           \
    F(ref) F(s1) F(count) F(negative) F(positive) F(run) F(since) F(new_ref) F(new_1)
#define SUMS_FIELDS_2(F) F(s2) F(new_2)
#define SUMS_FIELDS_3(F) F(t) F(tt) F(ty) F(new_t) F(new_tt) F(new_ty)

#define FIELD(name) name,
struct sums {
    double SUMS_FIELDS_1(FIELD) SUMS_FIELDS_2(FIELD) SUMS_FIELDS_3(FIELD) unused;
};
#undef FIELD
#define FIELD(name) SUM_##name,
enum {
    SEASON_SUM,
    SEASON_COUNT,
    SEASON_NEGATIVE, /* known values below 0, above 0 */
    SEASON_POSITIVE,
    SEASON_SINCE,
    SEASON_NEW,
    SEASON_SUMS
};
enum {
    SUMS_FIELDS_1(FIELD) SUMS_1,
    SUMS_2_ = SUMS_1 - 1,
    SUMS_FIELDS_2(FIELD) SUMS_2,
    SUMS_3_ = SUMS_2 - 1,
    SUMS_FIELDS_3(FIELD) SUMS_3
};
#undef FIELD

INLINE enum sums_kind sums_kind(enum node_op op)
{
    return op == N_SLOPE ? SUMS_LINE : op == N_STD ? SUMS_SECOND : SUMS_FIRST;
}

INLINE uint32_t sums_fields(enum node_op op)
{
    return op == N_SLOPE ? SUMS_3 : op == N_STD ? SUMS_2 : SUMS_1;
}

/* z[k * stride] is field k. */
INLINE void sums_load(struct sums *s, const double *z, size_t stride, enum sums_kind kind)
{
#define FIELD(name) s->name = z[SUM_##name * stride];
    SUMS_FIELDS_1(FIELD)
    if (kind >= SUMS_SECOND) {
        SUMS_FIELDS_2(FIELD)
    }
    if (kind >= SUMS_LINE) {
        SUMS_FIELDS_3(FIELD)
    }
#undef FIELD
}

INLINE void sums_store(const struct sums *s, double *z, size_t stride, enum sums_kind kind)
{
#define FIELD(name) z[SUM_##name * stride] = s->name;
    SUMS_FIELDS_1(FIELD)
    if (kind >= SUMS_SECOND) {
        SUMS_FIELDS_2(FIELD)
    }
    if (kind >= SUMS_LINE) {
        SUMS_FIELDS_3(FIELD)
    }
#undef FIELD
}

/* Time runs from 0 at the oldest point when the sums took their place. */
INLINE void sums_line(struct sums *s, double in, double out, double w, bool few)
{
    double di = pick(known(in), in - s->ref, 0), d_out = pick(known(out), out - s->ref, 0);
    double dn = pick(known(in), in - s->new_ref, 0);
    double ti = pick(known(in), s->since + w, 0), t_out = pick(known(out), s->since, 0);
    double tn = pick(known(in), s->since, 0);
    s->t = pick(few, ti, s->t + (ti - t_out));
    s->tt = pick(few, ti * ti, s->tt + (ti * ti - t_out * t_out));
    s->ty = pick(few, 0, s->ty + (ti * di - t_out * d_out));
    s->new_t = pick(few, tn, s->new_t + tn);
    s->new_tt = pick(few, tn * tn, s->new_tt + tn * tn);
    s->new_ty = pick(few, 0, s->new_ty + tn * dn);
}

INLINE void sums_swap_line(struct sums *s, bool swap, bool flat)
{
    s->t = pick(swap, s->new_t, s->t);
    s->tt = pick(swap, s->new_tt, s->tt);
    s->ty = pick(flat, 0, pick(swap, s->new_ty, s->ty));
    s->new_t = pick(swap, 0, s->new_t);
    s->new_tt = pick(swap, 0, s->new_tt);
    s->new_ty = pick(swap, 0, s->new_ty);
}

INLINE double sums_read(const struct sums *s, enum node_op op, double mean, double w)
{
    double n = s->count, v = 0;
    bool enough = 2 * n >= w;
    if (op == N_SUM)
        v = on_side(rule_canon(s->ref * n + s->s1), s->negative, s->positive);
    else if (op == N_MEAN)
        v = on_side(rule_canon(mean), s->negative, s->positive);
    else if (op == N_STD) {
        double square = (s->s2 - s->s1 * s->s1 / n) / n;
        v = pick(square > 0, rule_canon(sqrt(square)), 0);
        enough &= n >= 2;
    } else {
        double tt = s->tt - s->t * s->t / n;
        v = rule_canon((s->ty - s->t * s->s1 / n) / tt);
        enough &= n >= 2;
    }
    return pick(enough, v, NAN_);
}

/* in enters, out leaves, before came last. */
INLINE double sums_step(struct sums *s, enum node_op op, double in, double before, double out,
                        double w)
{
    enum sums_kind kind = sums_kind(op);
    double is = pick(known(in), 1, 0);
    s->run = pick(in == before, s->run + 1, is);
    s->count += is - pick(known(out), 1, 0);
    s->negative += pick(in < 0, 1, 0) - pick(out < 0, 1, 0);
    s->positive += pick(in > 0, 1, 0) - pick(out > 0, 1, 0);
    bool few = s->count == is; /* nothing known, but for this point */
    bool alone = few & known(in), flat = s->run >= w;
    s->ref = pick(alone, in, s->ref);
    s->new_ref = pick(alone, in, s->new_ref);
    double di = pick(known(in), in - s->ref, 0), d_out = pick(known(out), out - s->ref, 0);
    double dn = pick(known(in), in - s->new_ref, 0);
    s->s1 = pick(few, 0, s->s1 + (di - d_out));
    s->new_1 = pick(few, 0, s->new_1 + dn);
    if (kind >= SUMS_SECOND) {
        s->s2 = pick(few, 0, s->s2 + (di * di - d_out * d_out));
        s->new_2 = pick(few, 0, s->new_2 + dn * dn);
    }
    if (kind >= SUMS_LINE)
        sums_line(s, in, out, w, few);
    s->since += 1;
    bool swap = s->since >= w;
    s->since = pick(swap, 0, s->since);
    s->ref = pick(flat, in, pick(swap, s->new_ref, s->ref));
    s->s1 = pick(flat, 0, pick(swap, s->new_1, s->s1));
    if (kind >= SUMS_SECOND) {
        s->s2 = pick(flat, 0, pick(swap, s->new_2, s->s2));
        s->new_2 = pick(swap, 0, s->new_2);
    }
    if (kind >= SUMS_LINE)
        sums_swap_line(s, swap, flat);
    double mean = s->ref + s->s1 / s->count;
    s->new_ref = pick(swap & (s->count > 0), mean, s->new_ref);
    s->new_1 = pick(swap, 0, s->new_1);
    return sums_read(s, op, mean, w);
}
