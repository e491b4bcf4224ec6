/* One point of one series through all steps of a plan: no loops, no vectors but within an operator.
 * Included by simd.h, so that each instruction set has its own. Every operator has one formula, the
 * same that the loops over many numbers use; what is left to those is called as a block of one. */
#pragma once

#include "sums.h"

/* Row of this point in the k-th argument's column. */
#define ARG(k) (at[st->args[k].node] - st->args[k].off)

INLINE double point_sums(const struct ac_eval *e, const struct plan_step *st, const double *a,
                         enum node_op op)
{
    struct sums x;
    double *z = e->cols[st->node].scalars;
    sums_load(&x, z, 1, op);
    double v = sums_step(&x, op, *a, *(a - st->w), st->w, true);
    sums_store(&x, z, 1, op);
    return v;
}

/* Those with a wide state are no part of the loop: its registers are for the others. */
static __attribute__((noinline)) double point_wide(const struct ac_eval *e,
                                                   const struct plan_step *st, const double *a)
{
    switch (st->one) {
    case N_SUM:
        return point_sums(e, st, a, N_SUM);
    case N_MEAN:
        return point_sums(e, st, a, N_MEAN);
    case N_STD:
        return point_sums(e, st, a, N_STD);
    default:
        return point_sums(e, st, a, N_SLOPE);
    }
}

static __attribute__((noinline)) double point_season(const struct ac_eval *e,
                                                     const struct plan_step *st, const double *a)
{
    const struct col *c = &e->cols[st->node];
    struct step s = {.node = &e->plan->nodes[st->node], .lanes = 1};
    if (e->ahead == 0 && s.node->op == N_SEASON_MEDIAN)
        sorted_wide(&s, a, c->ahead);
    else if (e->ahead == 0)
        extreme_wide(&s, a, c->ahead, AHEAD);
    return c->ahead[e->ahead];
}
_Static_assert(AHEAD == WIDE, "a network sorts as many as are looked ahead for");

static __attribute__((noinline)) double point_ordered(const struct ac_eval *e,
                                                      const struct plan_step *st, const double *a)
{
    struct ac_ostat *o = e->cols[st->node].sets[0];
    if (e->ordered) {
        set_move(e->simd, o, *a, *(a - st->w));
    } else {
        ac_ostat_clear(o);
        for (uint32_t i = 0; i < st->w; i++)
            set_move(e->simd, o, *(a - i), NAN_);
    }
    return set_read(&e->plan->nodes[st->node], o);
}

/* Extremes of the shortest windows are found in less time than loops are set up. */
INLINE double point_small(const struct ac_eval *e, const struct plan_step *st, const double *a)
{
    bool greatest = st->one == N_MAX;
    double best = NAN_, count = 0;
    if (st->w > EIGHT)
        return small_one(&(struct step){.node = &e->plan->nodes[st->node], .lanes = 1}, a);
    for (uint32_t i = 0; i < st->w; i++) {
        double x = *(a - i);
        count += pick(known(x), 1, 0);
        best = pick(greatest ? !(x <= best) & known(x) : !(x >= best) & known(x), x, best);
    }
    return pick(2 * count >= st->w, best + 0.0, NAN_);
}

INLINE double point_scalar(const struct ac_eval *e, const struct plan_step *st, const double *a,
                           double b, enum node_op op, double c)
{
    double *z = e->cols[st->node].scalars;
    return scalar_step(op, z, *a, b, op == N_COUNT || op == N_PERSIST ? *(a - st->w) : 0, c);
}

static void point(const struct ac_eval *e, const struct plan_step *st, size_t n,
                  const struct point *p)
{
    double *const *at = e->at;
    const struct node *nodes = e->plan->nodes;
    for (const struct plan_step *end = st + n; st < end; st++) {
        double v;
        switch (st->one) {
#define ONE(node, formula)                                                                         \
    case node: {                                                                                   \
        double a = *ARG(0);                                                                        \
        v = formula;                                                                               \
        break;                                                                                     \
    }
#define TWO(node, formula)                                                                         \
    case node: {                                                                                   \
        double a = *ARG(0), b = *ARG(1);                                                           \
        v = formula;                                                                               \
        break;                                                                                     \
    }
#define THREE(node, formula)                                                                       \
    case node: {                                                                                   \
        double a = *ARG(0), b = *ARG(1), c = *ARG(2);                                              \
        v = formula;                                                                               \
        break;                                                                                     \
    }
#include "pointwise.def"
#undef ONE
#undef TWO
#undef THREE
        case N_VALUE:
            v = rule_canon(p->value);
            break;
        case N_INPUT:
        case N_TIME_OF_DAY:
        case N_DAY_OF_WEEK:
        case N_TIME_OF_WEEK:
            v = eval_source(e, st, p);
            break;
        case N_PREDICT:
        case N_AR:
            v = predict_one(&nodes[st->node], ARG(0), 1);
            break;
        case N_SUM:
        case N_MEAN:
        case N_STD:
        case N_SLOPE:
            v = point_wide(e, st, ARG(0));
            break;
        case N_SEASON_MEDIAN:
        case N_SEASON_MIN:
        case N_SEASON_MAX:
            v = point_season(e, st, ARG(0));
            break;
        case N_QUANTILE:
        case N_MAD:
            v = point_ordered(e, st, ARG(0));
            break;
        case N_MIN:
        case N_MAX:
            v = point_small(e, st, ARG(0));
            break;
        case N_EWMA:
            v = point_scalar(e, st, ARG(0), 0, N_EWMA, nodes[st->node].c);
            break;
        case N_RUN:
            v = point_scalar(e, st, ARG(0), 0, N_RUN, 0);
            break;
        case N_LATCH:
            v = point_scalar(e, st, ARG(0), *ARG(1), N_LATCH, 0);
            break;
        case N_EDGE:
            v = point_scalar(e, st, ARG(0), 0, N_EDGE, st->w);
            break;
        case N_COUNT:
            v = point_scalar(e, st, ARG(0), 0, N_COUNT, 0);
            break;
        case N_PERSIST:
            v = point_scalar(e, st, ARG(0), 0, N_PERSIST, nodes[st->node].m);
            break;
        default: /* writes its column itself, or those that read from it */
            eval_step(e, st, 1);
            continue;
        }
        *at[st->node] = v;
    }
}
#undef ARG
