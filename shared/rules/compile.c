/* Lowers rules to one flat list of operators. */
#include "lowering.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static struct ref lower(struct lowering *l, const struct expr *e);

static uint32_t points(struct lowering *l, const struct expr *e)
{
    double n = 1;
    (void)rule_points(l->r, e, &n);
    return (uint32_t)n;
}

static double number(struct lowering *l, const struct expr *e)
{
    double v = 0;
    (void)rule_const(l->r, e, &v);
    return v;
}

static const struct expr *vector(struct lowering *l, const struct expr *e)
{
    while (e->kind == EX_LET)
        e = l->r->lets[e->let].expr;
    return e;
}

/* (x - centre) / greatest(spread, floor) of the w points before. */
static struct ref lower_z(struct lowering *l, const struct expr *e, struct ref x, bool robust)
{
    uint32_t w = points(l, e->args[1]);
    double floor = e->n > 2 ? number(l, e->args[2]) : 0;
    struct ref before = plan_lagged(l, x, 1);
    struct ref mid =
        robust ? plan_order(l, N_QUANTILE, before, w, 0.5) : plan_window(l, N_MEAN, before, w, 0);
    struct ref spread =
        robust ? plan_order(l, N_MAD, before, w, 0) : plan_window(l, N_STD, before, w, 0);
    if (robust)
        spread = plan_binary(l, N_MUL, spread, plan_constant(l, 1.4826));
    if (floor > 0)
        spread = plan_binary(l, N_GREATEST, spread, plan_constant(l, floor));
    return plan_binary(l, N_DIV, plan_binary(l, N_SUB, x, mid), spread);
}

static struct ref lower_season(struct lowering *l, const struct expr *e, struct ref x,
                               enum node_op op)
{
    if (e->n > 4)
        return plan_add(l, (struct node){.op = op - N_SEASON_MEAN + N_ZONED_MEAN,
                                         .n_args = 2,
                                         .args = {x, l->inputs[e->args[4]->let]},
                                         .w = points(l, e->args[1]),
                                         .m = points(l, e->args[2]),
                                         .h = points(l, e->args[3]),
                                         .c = (double)l->r->step_ns / 1e9});
    return plan_add(l, (struct node){.op = op,
                                     .n_args = 1,
                                     .args = {x},
                                     .w = points(l, e->args[1]),
                                     .m = points(l, e->args[2]),
                                     .h = points(l, e->args[3])});
}

static struct ref lower_three(struct lowering *l, const struct expr *e, struct ref x,
                              enum node_op op)
{
    struct ref y = lower(l, e->args[1]);
    return plan_add(l, (struct node){.op = op, .n_args = 3, .args = {x, y, lower(l, e->args[2])}});
}

static struct ref lower_vec(struct lowering *l, const struct expr *e, struct ref x, enum node_op op)
{
    const struct expr *v = vector(l, e->args[1]);
    return plan_add(
        l, (struct node){.op = op, .n_args = 1, .args = {x}, .vec = v->vec, .n_vec = v->n});
}

/* Known point to known point, so that gaps are bridged: the sum of increases over that of times. */
static struct ref lower_rate(struct lowering *l, struct ref x, uint32_t w)
{
    struct ref gain = plan_window(l, N_SUM, plan_unary(l, N_GAIN, x), w, 0);
    struct ref span = plan_window(l, N_SUM, plan_unary(l, N_SPAN, x), w, 0);
    struct ref seconds = plan_binary(l, N_MUL, span, plan_constant(l, (double)l->r->step_ns / 1e9));
    return plan_binary(l, N_DIV, gain, seconds);
}

static struct ref lower_range(struct lowering *l, struct ref x, uint32_t w)
{
    struct ref max = plan_window(l, N_MAX, x, w, 0);
    return plan_binary(l, N_SUB, max, plan_window(l, N_MIN, x, w, 0));
}

/* x / y where |y| is at least c. */
static struct ref lower_ratio(struct lowering *l, const struct expr *e, struct ref x)
{
    struct ref y = lower(l, e->args[1]), least = plan_constant(l, number(l, e->args[2]));
    struct ref enough = plan_binary(l, N_GE, plan_unary(l, N_ABS, y), least);
    struct ref quotient = plan_binary(l, N_DIV, x, y);
    struct ref none = plan_constant(l, __builtin_nan(""));
    return plan_add(l, (struct node){.op = N_IF, .n_args = 3, .args = {enough, quotient, none}});
}

static struct ref lower_change(struct lowering *l, struct ref x, uint32_t w)
{
    struct ref before = plan_lagged(l, x, w);
    return plan_binary(l, N_DIV, plan_binary(l, N_SUB, x, before), plan_unary(l, N_ABS, before));
}

static struct ref lower_held(struct lowering *l, const struct expr *e, struct ref x)
{
    uint32_t k = points(l, e->args[1]), n = points(l, e->args[2]);
    return plan_add(l, (struct node){.op = N_PERSIST, .n_args = 1, .args = {x}, .w = n, .m = k});
}

static struct ref lower_windowed(struct lowering *l, const struct expr *e, struct ref x)
{
    uint32_t w = points(l, e->args[1]);
    switch (e->op->fn) {
    case FN_LAG:
        return plan_lagged(l, x, w);
    case FN_DIFF:
        return plan_binary(l, N_SUB, x, plan_lagged(l, x, w));
    case FN_SUM:
        return plan_window(l, N_SUM, x, w, 0);
    case FN_MEAN:
        return plan_window(l, N_MEAN, x, w, 0);
    case FN_STD:
        return plan_window(l, N_STD, x, w, 0);
    case FN_SLOPE:
        return plan_window(l, N_SLOPE, x, w, 0);
    case FN_COUNT:
        return plan_window(l, N_COUNT, x, w, 0);
    case FN_MIN:
        return plan_window(l, N_MIN, x, w, 0);
    case FN_MAX:
        return plan_window(l, N_MAX, x, w, 0);
    case FN_MEDIAN:
        return plan_order(l, N_QUANTILE, x, w, 0.5);
    case FN_QUANTILE:
        return plan_order(l, N_QUANTILE, x, w, number(l, e->args[2]));
    case FN_MAD:
        return plan_order(l, N_MAD, x, w, 0);
    case FN_EDGE:
        return plan_window(l, N_EDGE, x, w, 0);
    case FN_CHANGE:
        return lower_change(l, x, w);
    case FN_RATE:
        return lower_rate(l, x, w);
    case FN_RANGE:
        return lower_range(l, x, w);
    case FN_FLAT: { /* of two points both must be known: one alone is no line */
        struct ref width =
            w > 2 ? lower_range(l, x, w)
                  : plan_unary(l, N_ABS, plan_binary(l, N_SUB, x, plan_lagged(l, x, 1)));
        return plan_binary(l, N_LE, width, plan_constant(l, e->n > 2 ? number(l, e->args[2]) : 0));
    }
    case FN_SPECTRAL:
        return plan_window(l, N_SPECTRAL, x, w, 0);
    case FN_Z:
        return lower_z(l, e, x, false);
    default:
        return lower_z(l, e, x, true);
    }
}

static struct ref lower_call(struct lowering *l, const struct expr *e)
{
    enum rule_fn fn = e->op->fn;
    if (fn == FN_TIME_OF_DAY || fn == FN_DAY_OF_WEEK || fn == FN_TIME_OF_WEEK) {
        struct node n = {.op = fn == FN_TIME_OF_DAY   ? N_TIME_OF_DAY
                               : fn == FN_DAY_OF_WEEK ? N_DAY_OF_WEEK
                                                      : N_TIME_OF_WEEK,
                         .n_args = e->n};
        if (e->n)
            n.args[0] = l->inputs[e->args[0]->let];
        return plan_add(l, n);
    }
    struct ref x = lower(l, e->args[0]);
    switch (fn) {
    case FN_FLOOR:
        return plan_unary(l, N_FLOOR, x);
    case FN_UNCHANGED:
        return plan_unary(l, N_UNCHANGED, x);
    case FN_POW:
        return plan_binary(l, N_POW, x, lower(l, e->args[1]));
    case FN_LATCH:
        return plan_binary(l, N_LATCH, x, lower(l, e->args[1]));
    case FN_RATIO:
        return lower_ratio(l, e, x);
    case FN_HELD:
        return lower_held(l, e, x);
    case FN_ABS:
        return plan_unary(l, N_ABS, x);
    case FN_SQRT:
        return plan_unary(l, N_SQRT, x);
    case FN_LOG:
        return plan_unary(l, N_LOG, x);
    case FN_EXP:
        return plan_unary(l, N_EXP, x);
    case FN_SIGN:
        return plan_unary(l, N_SIGN, x);
    case FN_MISSING:
        return plan_unary(l, N_MISSING, x);
    case FN_RUN:
        return plan_unary(l, N_RUN, x);
    case FN_INCREASE:
        return plan_unary(l, N_INCREASE, x);
    case FN_LEAST:
        return plan_binary(l, N_LEAST, x, lower(l, e->args[1]));
    case FN_GREATEST:
        return plan_binary(l, N_GREATEST, x, lower(l, e->args[1]));
    case FN_COALESCE:
        return plan_binary(l, N_COALESCE, x, lower(l, e->args[1]));
    case FN_CLIP:
        return lower_three(l, e, x, N_CLIP);
    case FN_OUTSIDE:
        return lower_three(l, e, x, N_OUTSIDE);
    case FN_IF:
        return lower_three(l, e, x, N_IF);
    case FN_PREDICT:
        return lower_vec(l, e, x, N_PREDICT);
    case FN_AR:
        return lower_vec(l, e, x, N_AR);
    case FN_EWMA:
        return plan_window(l, N_EWMA, x, 0, number(l, e->args[1]));
    case FN_ENVELOPE:
        return plan_add(l, (struct node){.op = N_ENVELOPE,
                                         .n_args = 1,
                                         .args = {x},
                                         .w = points(l, e->args[1]),
                                         .m = points(l, e->args[2]),
                                         .c = number(l, e->args[3])});
    case FN_SEASON_MEAN:
        return lower_season(l, e, x, N_SEASON_MEAN);
    case FN_SEASON_MEDIAN:
        return lower_season(l, e, x, N_SEASON_MEDIAN);
    case FN_SEASON_MIN:
        return lower_season(l, e, x, N_SEASON_MIN);
    case FN_SEASON_MAX:
        return lower_season(l, e, x, N_SEASON_MAX);
    default:
        return lower_windowed(l, e, x);
    }
}

static struct ref lower(struct lowering *l, const struct expr *e)
{
    static const enum node_op bin[] = {N_OR, N_AND, N_LT,  N_LE,  N_GT,  N_GE,
                                       N_EQ, N_NE,  N_ADD, N_SUB, N_MUL, N_DIV};
    double c;
    if (l->failed)
        return (struct ref){0, 0};
    if (e->type == TY_NUM && rule_const(l->r, e, &c))
        return plan_constant(l, c);
    switch (e->kind) {
    case EX_VALUE:
        return plan_add(l, (struct node){.op = N_VALUE});
    case EX_BOOL:
        return plan_constant(l, e->num);
    case EX_LET:
        return l->lets[e->let];
    case EX_INPUT:
        return l->inputs[e->let];
    case EX_NEG:
        return plan_unary(l, N_NEG, lower(l, e->args[0]));
    case EX_NOT:
        return plan_unary(l, N_NOT, lower(l, e->args[0]));
    case EX_BIN: {
        struct ref a = lower(l, e->args[0]);
        return plan_binary(l, bin[e->bin], a, lower(l, e->args[1]));
    }
    case EX_CALL:
        return lower_call(l, e);
    default:
        return plan_constant(l, 0); /* a list or duration alone: never read */
    }
}

static void mark(const struct expr *e, bool *used)
{
    if (!e)
        return;
    if (e->kind == EX_LET)
        used[e->let] = true;
    for (uint32_t i = 0; e->kind != EX_VEC && i < e->n; i++)
        mark(e->args[i], used);
}

/* Lets in their order, so that no walk goes through more than one. */
static void lower_lets(struct lowering *l, bool all)
{
    const struct ac_rule *r = l->r;
    bool *used = ac_xcalloc(r->n_lets + 1, sizeof *used);
    mark(r->when, used);
    mark(r->until, used);
    for (size_t i = 0; i < r->n_parts; i++) {
        if (r->parts[i].let >= 0)
            used[r->parts[i].let] = true;
    }
    for (size_t i = r->n_lets; i-- > 0;) {
        used[i] |= all;
        if (used[i])
            mark(r->lets[i].expr, used);
    }
    for (size_t i = 0; i < r->n_lets; i++) {
        l->lets[i].node = NO_NODE;
        if (!used[i] || l->failed)
            continue;
        l->lets[i] = lower(l, r->lets[i].expr);
    }
    free(used);
}

static struct ref held(struct lowering *l, struct ref cond, struct persist p)
{
    if (!p.n || (p.n == 1 && p.k == 1))
        return cond;
    return plan_add(
        l, (struct node){.op = N_PERSIST, .n_args = 1, .args = {cond}, .w = p.n, .m = p.k});
}

static void lower_inputs(struct lowering *l)
{
    struct ac_plan *p = l->p;
    for (size_t i = 0; i < l->r->n_inputs; i++) {
        const struct input *in = &l->r->inputs[i];
        size_t k = 0;
        while (k < p->n_inputs && !rule_same_input(p->inputs[k], in))
            k++;
        if (k == p->n_inputs) {
            ac_grow(&p->inputs, &p->cap_inputs, k + 1, sizeof(p->inputs[0]));
            p->inputs[p->n_inputs++] = in;
        }
        l->inputs[i] = plan_add(l, (struct node){.op = N_INPUT, .m = (uint32_t)k});
    }
}

/* Whether a node can be left out until someone asks: it keeps nothing from point to point and needs
 * nothing but columns. */
static bool may_wait(const struct node *n)
{
    return n->op > N_CONST && !n->hist && !n->n_scalars && !n->read && !node_set_size(n) &&
           !node_has_queue(n);
}

/* What no verdict depends on waits; asked: every value is. */
static void set_late(struct ac_plan *p, bool asked)
{
    for (size_t i = 0; i < p->n_nodes; i++)
        p->nodes[i].late = !asked && may_wait(&p->nodes[i]);
    for (size_t i = 0; i < p->n_rules; i++)
        p->nodes[p->rules[i].verdict.node].late = false;
    for (size_t i = p->n_nodes; i-- > 0;) {
        const struct node *n = &p->nodes[i];
        for (uint32_t k = 0; !n->late && k < n->n_args; k++)
            p->nodes[n->args[k].node].late = false;
    }
}

static struct plan_step step_of(const struct node *n, uint32_t node)
{
    struct plan_step s = {
        .op = (uint8_t)n->op, .n_args = (uint8_t)n->n_args, .node = node, .w = n->w};
    memcpy(s.args, n->args, sizeof s.args);
    s.kind = n->op <= N_TIME_OF_WEEK ? STEP_SOURCE
             : n->pointwise          ? STEP_POINTWISE
             : simd_takes(n)         ? STEP_SIMD
                                     : STEP_OTHER;
    bool ahead = node_sees_ahead(n); /* what goes on from point to point must miss none */
    bool anew = node_is_season(n->op) && !ahead;
    if (n->late)
        anew |= ahead || node_keeps_order(n);
    s.one = (uint8_t)(s.kind == STEP_OTHER || anew ? N_END : n->op);
    return s;
}

static void list_steps(struct ac_plan *p)
{
    p->steps = ac_xcalloc(p->n_nodes + 1, sizeof(p->steps[0]));
    p->pasts = ac_xcalloc(p->n_nodes + 1, sizeof(p->pasts[0]));
    for (int late = 0; late < 2; late++) {
        for (uint32_t i = 0; i < p->n_nodes; i++) {
            const struct node *n = &p->nodes[i];
            if (n->op == N_CONST || n->late != late)
                continue;
            if (n->hist)
                p->pasts[p->n_pasts++] = i;
            if (!n->read)
                p->steps[p->n_steps++] = step_of(n, i);
        }
        if (!late)
            p->n_now = p->n_steps;
    }
}

int ac_plan_create(const struct ac_rule *const *rules, size_t n_rules, unsigned flags,
                   struct ac_plan **ret_plan, struct ac_err *err)
{
    struct ac_plan *p = ac_xcalloc(1, sizeof *p);
    p->rules = ac_xcalloc(n_rules + 1, sizeof(p->rules[0]));
    p->n_rules = n_rules;
    for (size_t i = 0; i < n_rules; i++) {
        struct plan_rule *pr = &p->rules[i];
        pr->rule = rules[i];
        pr->lets = ac_xcalloc(rules[i]->n_lets + 1, sizeof(pr->lets[0]));
        pr->inputs = ac_xcalloc(rules[i]->n_inputs + 1, sizeof(pr->inputs[0]));
        struct lowering l = {p, rules[i], pr->lets, pr->inputs, false};
        (void)plan_add(&l, (struct node){.op = N_VALUE});
        lower_inputs(&l);
        lower_lets(&l, flags & AC_PLAN_ALL_TERMS);
        pr->verdict = held(&l, lower(&l, rules[i]->when), rules[i]->when_for);
        if (rules[i]->until && !l.failed) {
            struct ref clear = held(&l, lower(&l, rules[i]->until), rules[i]->until_for);
            pr->verdict = plan_binary(&l, N_LATCH, pr->verdict, clear);
        }
        if (l.failed) {
            ac_plan_destroy(p);
            return ac_err_set(err, AC_ERANGE,
                              "the rule needs too many operators or looks back too far");
        }
    }
    set_late(p, flags & AC_PLAN_ALL_TERMS);
    list_steps(p);
    plan_count_cost(p);
    if (p->cost.state_bytes > AC_RULES_STATE_MAX * AC_MAX(n_rules, (size_t)1)) {
        size_t bytes = p->cost.state_bytes;
        ac_plan_destroy(p);
        return ac_err_set(err, AC_ERANGE,
                          "the rule needs %zu bytes of state a series, at most %u are allowed",
                          bytes, AC_RULES_STATE_MAX);
    }
    *ret_plan = p;
    return 0;
}

void ac_plan_destroy(struct ac_plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_rules; i++) {
        free(p->rules[i].lets);
        free(p->rules[i].inputs);
    }
    free(p->rules);
    free(p->inputs);
    free(p->nodes);
    free(p->steps);
    free(p->pasts);
    free(p->index);
    free(p);
}

struct ac_cost ac_plan_cost(const struct ac_plan *p)
{
    return p->cost;
}

size_t ac_plan_n_rules(const struct ac_plan *p)
{
    return p->n_rules;
}

const struct ac_rule *ac_plan_rule(const struct ac_plan *p, size_t i)
{
    AC_ASSERT(i < p->n_rules);
    return p->rules[i].rule;
}

size_t ac_plan_n_inputs(const struct ac_plan *p)
{
    return p->n_inputs;
}

const struct ac_rule_input *ac_plan_input(const struct ac_plan *p, size_t i)
{
    AC_ASSERT(i < p->n_inputs);
    return &p->inputs[i]->in;
}
