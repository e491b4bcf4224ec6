/* Types, constants, counts; names of operators; selectors. */
#include "rules_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

const struct rule_op rule_ops[] = {
#define OP(name, sig, res, id, ...) {name, sig, res, FN_##id},
#include "ops.def"
#undef OP
};
const size_t rule_n_ops = AC_ARRAY_LEN(rule_ops);

size_t ac_rule_ops(const struct ac_rule_op_info **ret_ops)
{
    static const struct ac_rule_op_info info[] = {
#define OP(name, sig, res, id, ...) {name, sig, res, __VA_ARGS__},
#include "ops.def"
#undef OP
    };
    *ret_ops = info;
    return AC_ARRAY_LEN(info);
}

const struct rule_op *rule_op_find(const char *name)
{
    for (size_t i = 0; i < rule_n_ops; i++) {
        if (strcmp(rule_ops[i].name, name) == 0)
            return &rule_ops[i];
    }
    return NULL;
}

const char *rule_closest(const char *word, const char *const *names, size_t n)
{
    const char *best = NULL;
    int best_d = 1 + AC_MIN((int)strlen(word), 8) / 3; /* more is no slip of the hand */
    int best_length = 8;
    for (size_t i = 0; i < n; i++) {
        int d = ac_str_distance(word, names[i]);
        int length = abs((int)strlen(word) - (int)strlen(names[i]));
        if (d < best_d || (d == best_d && length < best_length)) {
            best = names[i];
            best_d = d;
            best_length = length;
        }
    }
    return best;
}

bool rule_const(const struct ac_rule *r, const struct expr *e, double *ret_v)
{
    double a, b;
    switch (e->kind) {
    case EX_NUM:
        *ret_v = e->num;
        return true;
    case EX_LET:
        *ret_v = r->lets[e->let].c;
        return r->lets[e->let].constant;
    case EX_NEG:
        if (!rule_const(r, e->args[0], &a))
            return false;
        *ret_v = -a;
        return true;
    case EX_BIN:
        if (e->bin < BIN_ADD || !rule_const(r, e->args[0], &a) || !rule_const(r, e->args[1], &b))
            return false;
        *ret_v = rule_canon(e->bin == BIN_ADD   ? a + b
                            : e->bin == BIN_SUB ? a - b
                            : e->bin == BIN_MUL ? a * b
                                                : a / b);
        return *ret_v == *ret_v;
    default:
        return false;
    }
}

bool rule_points(const struct ac_rule *r, const struct expr *e, double *ret_n)
{
    while (e->kind == EX_LET)
        e = r->lets[e->let].expr;
    if (e->kind == EX_DURATION) {
        if (!r->step_ns)
            return false;
        *ret_n = (double)e->ns / (double)r->step_ns;
        return true;
    }
    return rule_const(r, e, ret_n);
}

struct checker {
    struct ac_rule *r;
    struct ac_diags *d;
    bool ok;
};

static void wrong(struct checker *c, const struct expr *e, const char *hint, const char *msg)
{
    rule_diag(c->d, e->line, e->column, hint, "%s", msg);
    c->ok = false;
}

static const char *type_name(enum expr_type t)
{
    return t == TY_NUM    ? "a number"
           : t == TY_BOOL ? "a truth value"
           : t == TY_VEC  ? "a list"
                          : "a time zone";
}

static void want(struct checker *c, const struct expr *e, enum expr_type t, const char *where)
{
    if (e->type == t)
        return;
    char msg[160];
    (void)snprintf(msg, sizeof msg, "%s needs %s, this is %s", where, type_name(t),
                   type_name(e->type));
    wrong(c, e, t == TY_BOOL ? "compare it, for instance: > 3" : NULL, msg);
}

static void check_count(struct checker *c, const struct expr *e, const char *op, bool zero_ok)
{
    double n;
    const struct expr *x = e;
    while (x->kind == EX_LET)
        x = c->r->lets[x->let].expr;
    if (x->kind == EX_DURATION && !c->r->step_ns) {
        wrong(c, e, "add the clause: step 1s", "a duration needs the rule's step");
        return;
    }
    char msg[160];
    (void)snprintf(msg, sizeof msg, "%s needs a whole number of points from %d to %u here", op,
                   zero_ok ? 0 : 1, AC_RULES_WINDOW_MAX);
    if (!rule_points(c->r, e, &n))
        wrong(c, e, "a count is a literal, such as 60 or 5m", msg);
    else if (n != floor(n) || n < (zero_ok ? 0 : 1) || n > AC_RULES_WINDOW_MAX)
        wrong(c, e, x->kind == EX_DURATION ? "use a multiple of the step" : NULL, msg);
}

/* What the signature cannot say: ranges of constants, seasons that would look ahead. */
static void check_special(struct checker *c, struct expr *e)
{
    double q, n = 0, m = 0, h = 0;
    enum rule_fn fn = e->op->fn;
    const struct expr *last = e->n ? e->args[e->n - 1] : e;
    if ((fn == FN_QUANTILE || fn == FN_ENVELOPE) && rule_const(c->r, last, &q) &&
        !(q >= 0 && q <= 1))
        wrong(c, last, NULL, "a quantile lies between 0 and 1");
    if (fn == FN_EWMA && rule_const(c->r, last, &q) && !(q > 0 && q <= 1))
        wrong(c, last, NULL, "the weight of ewma lies above 0 and is at most 1");
    if (fn == FN_ENVELOPE && rule_points(c->r, e->args[1], &n) &&
        rule_points(c->r, e->args[2], &m) && m > 100000)
        wrong(c, e->args[2], NULL, "an envelope keeps at most 100000 blocks");
    if (fn >= FN_SEASON_MAX && fn <= FN_SEASON_MIN && c->ok) {
        if (!rule_points(c->r, e->args[1], &n) || !rule_points(c->r, e->args[2], &m) ||
            !rule_points(c->r, e->args[3], &h))
            return;
        double shift = e->n > 4 && c->r->step_ns ? 10800e9 / (double)c->r->step_ns : 0;
        if (h >= n)
            wrong(c, e->args[3], NULL,
                  "the half width must be less than the season (no look ahead)");
        else if (n * m + h + shift > AC_RULES_WINDOW_MAX ||
                 m * (2 * h + 1) > (e->n > 4 ? ZONED_POINTS_MAX : AC_RULES_WINDOW_MAX))
            wrong(c, e, "fewer or shorter seasons", "the seasons reach back too far");
        else if (e->n > 4 && !c->r->step_ns)
            wrong(c, e->args[4], "add the clause: step 1m",
                  "a season with a time zone needs the rule's step");
    }
    if (fn == FN_RATE && !c->r->step_ns)
        wrong(c, e, "add the clause: step 1m", "a rate a second needs the rule's step");
    if (fn == FN_RATIO && rule_const(c->r, last, &q) && !(q > 0))
        wrong(c, last, NULL, "the least divisor of ratio lies above 0");
    if (fn == FN_FLAT && e->n > 2 && rule_const(c->r, last, &q) && !(q >= 0))
        wrong(c, last, NULL, "the width of a flat line is 0 or more");
    if (fn == FN_FLAT && rule_points(c->r, e->args[1], &n) && n < 2)
        wrong(c, e->args[1], NULL, "a flat line has 2 points or more");
    if (fn == FN_HELD && rule_points(c->r, e->args[1], &n) && rule_points(c->r, e->args[2], &m) &&
        n > m)
        wrong(c, e->args[1], "held(b, 3, 5): 3 of the last 5", "held needs k <= n");
    if (fn == FN_SPECTRAL && rule_points(c->r, e->args[1], &n) &&
        !(n >= 8 && n <= SPECTRAL_MAX && ((unsigned)n & ((unsigned)n - 1)) == 0))
        wrong(c, e->args[1], "64 or 128, for instance",
              "spectral_residual needs a power of 2 from 8 to 1024");
}

static void check_expr(struct checker *c, struct expr *e);

static void check_call(struct checker *c, struct expr *e)
{
    const struct rule_op *op = e->op;
    e->type = (enum expr_type)op->res[0];
    uint32_t i = 0;
    bool optional = false;
    double v;
    for (const char *s = op->sig; *s; s++) {
        if (*s == '?') {
            optional = true;
            continue;
        }
        if (i == e->n) {
            if (!optional) {
                char msg[160];
                (void)snprintf(msg, sizeof msg, "%s needs more than %u arguments", op->name, e->n);
                wrong(c, e, NULL, msg);
            }
            break;
        }
        struct expr *a = e->args[i++];
        check_expr(c, a);
        if (*s == 'x' || *s == 'b' || *s == 'v' || *s == 'z')
            want(c, a, (enum expr_type) * s, op->name);
        else if (*s == 'n')
            check_count(c, a, op->name, i == 4);
        else if (!rule_const(c->r, a, &v))
            wrong(c, a, "a literal, or a let of literals", "a constant is needed here");
    }
    if (i < e->n) {
        char msg[160];
        (void)snprintf(msg, sizeof msg, "%s takes %u arguments, not %u", op->name, i, e->n);
        wrong(c, e->args[i], NULL, msg);
    }
    if (c->ok)
        check_special(c, e);
}

static void check_expr(struct checker *c, struct expr *e)
{
    e->type = TY_NUM;
    switch (e->kind) {
    case EX_NUM:
    case EX_VALUE:
    case EX_INPUT:
    case EX_DURATION:
        break;
    case EX_ZONE:
        e->type = TY_ZONE;
        break;
    case EX_BOOL:
        e->type = TY_BOOL;
        break;
    case EX_VEC:
        e->type = TY_VEC;
        break;
    case EX_LET:
        e->type = c->r->lets[e->let].expr->type;
        break;
    case EX_NEG:
        check_expr(c, e->args[0]);
        want(c, e->args[0], TY_NUM, "-");
        break;
    case EX_NOT:
        check_expr(c, e->args[0]);
        want(c, e->args[0], TY_BOOL, "not");
        e->type = TY_BOOL;
        break;
    case EX_BIN: {
        enum expr_type in = e->bin <= BIN_AND ? TY_BOOL : TY_NUM;
        for (int i = 0; i < 2; i++) {
            check_expr(c, e->args[i]);
            want(c, e->args[i], in, rule_bin_name(e->bin));
        }
        e->type = e->bin < BIN_ADD ? TY_BOOL : TY_NUM;
        break;
    }
    case EX_CALL:
        check_call(c, e);
        break;
    }
}

/* A duration is a count: it has no value in arithmetic. */
static void check_durations(struct checker *c, const struct expr *e)
{
    if (e->kind == EX_DURATION)
        wrong(c, e, "write seconds as a number", "a duration stands where a number is needed");
    if (e->kind == EX_LET && c->r->lets[e->let].expr->kind == EX_DURATION)
        wrong(c, e, "write seconds as a number", "a duration stands where a number is needed");
    for (uint32_t i = 0; e->kind != EX_VEC && i < e->n; i++) {
        const char *s = e->kind == EX_CALL ? e->op->sig : NULL;
        uint32_t k = 0;
        for (; s && *s; s++) {
            if (*s != '?' && k++ == i)
                break;
        }
        if (!s || *s != 'n')
            check_durations(c, e->args[i]);
    }
}

bool rule_check(struct ac_rule *r, struct ac_diags *d)
{
    struct checker c = {r, d, true};
    for (size_t i = 0; i < r->n_lets; i++) {
        check_expr(&c, r->lets[i].expr);
        if (r->lets[i].expr->kind != EX_DURATION)
            check_durations(&c, r->lets[i].expr);
        r->lets[i].constant = c.ok && rule_const(r, r->lets[i].expr, &r->lets[i].c);
    }
    check_expr(&c, r->when);
    want(&c, r->when, TY_BOOL, "when");
    check_durations(&c, r->when);
    if (r->until) {
        check_expr(&c, r->until);
        want(&c, r->until, TY_BOOL, "until");
        check_durations(&c, r->until);
    }
    if (!c.ok || !rule_check_reason(r, d))
        return false;
    struct ac_plan *plan = NULL;
    struct ac_err err = AC_ERR_INIT;
    const struct ac_rule *one = r;
    if (ac_plan_create(&one, 1, AC_PLAN_ALL_TERMS, &plan, &err) < 0) {
        rule_diag(d, r->when->line, r->when->column, "use shorter windows", "%.150s", err.msg);
        return false;
    }
    ac_plan_destroy(plan);
    return true;
}
