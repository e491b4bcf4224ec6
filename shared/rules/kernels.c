/* Pointwise operators over a block of points. Missing is NaN, truth is 0, 1 or NaN (unknown). Each
 * loop does the same arithmetic for a point whatever the block's length, so that batch and stream
 * agree to the bit; the build forbids contraction and reassociation. */
#include "maths.h"
#include "rules_impl.h"

#include <math.h>

#include <aceso/base.h>

#define LOOP for (size_t i = 0; i < n; i++)

static inline double pick(bool cond, double x, double y)
{
    return cond ? x : y;
}

static void arithmetic(enum node_op op, const double *a, const double *b, double *restrict out,
                       size_t n)
{
    switch (op) {
    case N_ADD:
        LOOP out[i] = rule_canon(a[i] + b[i]);
        break;
    case N_SUB:
        LOOP out[i] = rule_canon(a[i] - b[i]);
        break;
    case N_MUL:
        LOOP out[i] = rule_canon(a[i] * b[i]);
        break;
    case N_DIV:
        LOOP out[i] = rule_canon(a[i] / b[i]);
        break;
    case N_POW:
        LOOP out[i] = rule_canon(rule_pow(a[i], b[i]));
        break;
    case N_LEAST:
        LOOP out[i] = pick(a[i] < b[i], a[i], pick(a[i] == a[i], b[i], a[i]));
        break;
    case N_GREATEST:
        LOOP out[i] = pick(a[i] > b[i], a[i], pick(a[i] == a[i], b[i], a[i]));
        break;
    default:
        LOOP out[i] = pick(a[i] == a[i], a[i], b[i]); /* N_COALESCE */
        break;
    }
}

/* Comparison with a missing number is unknown. */
static void comparison(enum node_op op, const double *a, const double *b, double *restrict out,
                       size_t n)
{
    const double u = __builtin_nan("");
    switch (op) {
    case N_LT:
        LOOP out[i] = pick(a[i] < b[i], 1, pick(a[i] >= b[i], 0, u));
        break;
    case N_LE:
        LOOP out[i] = pick(a[i] <= b[i], 1, pick(a[i] > b[i], 0, u));
        break;
    case N_GT:
        LOOP out[i] = pick(a[i] > b[i], 1, pick(a[i] <= b[i], 0, u));
        break;
    case N_GE:
        LOOP out[i] = pick(a[i] >= b[i], 1, pick(a[i] < b[i], 0, u));
        break;
    case N_EQ:
        LOOP out[i] = pick(a[i] == b[i], 1, pick(a[i] < b[i] || a[i] > b[i], 0, u));
        break;
    default:
        LOOP out[i] = pick(a[i] == b[i], 0, pick(a[i] < b[i] || a[i] > b[i], 1, u));
        break;
    }
}

/* Kleene's logic: what is known decides where it can. */
static void logic(enum node_op op, const double *a, const double *b, double *restrict out, size_t n)
{
    if (op == N_OR)
        LOOP out[i] = pick(a[i] == 1 || b[i] == 1, 1, a[i] + b[i]);
    else
        LOOP out[i] = pick(a[i] == 0 || b[i] == 0, 0, a[i] * b[i]);
}

static void one(enum node_op op, const double *a, double *restrict out, size_t n)
{
    switch (op) {
    case N_NEG:
        LOOP out[i] = pick(a[i] == a[i], 0.0 - a[i], a[i]);
        break;
    case N_NOT:
        LOOP out[i] = pick(a[i] == a[i], 1.0 - a[i], a[i]);
        break;
    case N_ABS:
        LOOP out[i] = fabs(a[i]);
        break;
    case N_SQRT:
        LOOP out[i] = a[i] >= 0 ? sqrt(a[i]) : __builtin_nan("");
        break;
    case N_LOG:
        LOOP out[i] = rule_log(a[i]);
        break;
    case N_EXP:
        LOOP out[i] = rule_canon(rule_exp(a[i]));
        break;
    case N_FLOOR:
        LOOP out[i] = floor(a[i]);
        break;
    case N_SIGN:
        LOOP out[i] = pick(a[i] > 0, 1, pick(a[i] < 0, -1, a[i] + 0.0));
        break;
    default:
        LOOP out[i] = pick(a[i] == a[i], 0, 1); /* N_MISSING */
        break;
    }
}

static void three(enum node_op op, const double *a, const double *b, const double *c,
                  double *restrict out, size_t n)
{
    const double u = __builtin_nan("");
    if (op == N_IF) {
        LOOP out[i] = pick(a[i] == 1, b[i], pick(a[i] == 0, c[i], u));
        return;
    }
    LOOP
    {
        bool known = a[i] == a[i] && b[i] == b[i] && c[i] == c[i];
        double low = pick(a[i] < b[i], b[i], a[i]), r = pick(low > c[i], c[i], low);
        out[i] = pick(known, op == N_CLIP ? r : rule_canon(a[i] - r), u);
    }
}

static void predict(const struct step *s)
{
    const double *a = s->a[0];
    double *restrict out = s->out;
    size_t n = s->n;
    LOOP out[i] = 0;
    for (uint32_t j = 0; j < s->node->n_vec; j++) {
        double c = s->node->vec[j];
        const double *x = a - j - 1;
        LOOP out[i] += c * x[i];
    }
    if (s->node->op == N_AR)
        LOOP out[i] = rule_canon(a[i] - out[i]);
    else
        LOOP out[i] = rule_canon(out[i]);
}

static void increase(const double *a, double *restrict out, size_t n)
{
    const double *before = a - 1;
    LOOP
    {
        double d = a[i] - before[i];
        out[i] = rule_canon(pick(d < 0, a[i], d));
    }
}

void kernel_run(const struct step *s)
{
    enum node_op op = s->node->op;
    if (op == N_OR || op == N_AND)
        logic(op, s->a[0], s->a[1], s->out, s->n);
    else if (op >= N_LT && op <= N_NE)
        comparison(op, s->a[0], s->a[1], s->out, s->n);
    else if ((op >= N_ADD && op <= N_DIV) || op == N_LEAST || op == N_GREATEST ||
             op == N_COALESCE || op == N_POW)
        arithmetic(op, s->a[0], s->a[1], s->out, s->n);
    else if (op == N_CLIP || op == N_OUTSIDE || op == N_IF)
        three(op, s->a[0], s->a[1], s->a[2], s->out, s->n);
    else if (op == N_PREDICT || op == N_AR)
        predict(s);
    else if (op == N_INCREASE)
        increase(s->a[0], s->out, s->n);
    else if (op == N_NEG || op == N_NOT || (op >= N_ABS && op <= N_FLOOR) || op == N_MISSING)
        one(op, s->a[0], s->out, s->n);
    else
        kernel_window(s);
}
