/* Why a rule flagged: the rule is compiled with every truth value of its condition, and both sides
 * of every comparison, as further lets. They are nodes of the plan already, or nearly free. */
#include "rules_impl.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_proof.h>

#define FACTS_MAX  24
#define VISITS_MAX 4096

struct ac_proof {
    struct ac_rule rule; /* with more lets than the original */
    const struct ac_rule *of;
    struct ac_plan *plan;
    const struct expr **extra; /* the expression of each let behind the original ones */
    size_t n_extra, cap_lets, cap_extra;
    struct expr *made[2]; /* held(when, k, n), held(until, k, n) */
    struct expr *when;    /* with its persistence */
};

static void keep(struct ac_proof *p, struct expr *e)
{
    struct let l = {.name = "", .expr = e};
    l.constant = rule_const(p->of, e, &l.c);
    ac_grow(&p->rule.lets, &p->cap_lets, p->rule.n_lets + 1, sizeof l);
    ac_grow(&p->extra, &p->cap_extra, p->n_extra + 1, sizeof(struct expr *));
    p->rule.lets[p->rule.n_lets++] = l;
    p->extra[p->n_extra++] = e;
}

/* Truth values and what they compare. */
static void walk(struct ac_proof *p, struct expr *e)
{
    if (e->type != TY_BOOL || e->kind == EX_BOOL)
        return;
    keep(p, e);
    bool compare = e->kind == EX_BIN && e->bin >= BIN_LT && e->bin <= BIN_NE;
    for (uint32_t i = 0; i < e->n && e->kind != EX_CALL; i++) {
        if (compare)
            keep(p, e->args[i]);
        else
            walk(p, e->args[i]);
    }
}

/* held(cond, k, n), or cond itself. */
static struct expr *persisted(struct ac_proof *p, int which, struct expr *cond, struct persist f)
{
    if (!f.n)
        return cond;
    struct expr *e = p->made[which] = ac_xcalloc(3, sizeof *e);
    struct expr **args = ac_xcalloc(3, sizeof(struct expr *));
    args[0] = cond;
    args[1] = &e[1];
    args[2] = &e[2];
    e[1] = (struct expr){.kind = EX_NUM, .type = TY_NUM, .num = f.k};
    e[2] = (struct expr){.kind = EX_NUM, .type = TY_NUM, .num = f.n};
    *e = (struct expr){.kind = EX_CALL,
                       .type = TY_BOOL,
                       .op = rule_op_find("held"),
                       .n = 3,
                       .args = args,
                       .line = cond->line,
                       .column = cond->column};
    return e;
}

int ac_proof_create(const struct ac_rule *r, struct ac_proof **ret, struct ac_err *err)
{
    struct ac_proof *p = ac_xcalloc(1, sizeof *p);
    p->of = r;
    p->rule = *r;
    p->cap_lets = r->n_lets;
    p->rule.lets = ac_xcalloc(r->n_lets + 1, sizeof *p->rule.lets);
    if (r->n_lets)
        memcpy(p->rule.lets, r->lets, r->n_lets * sizeof *r->lets);
    for (size_t i = 0; i < r->n_lets; i++)
        walk(p, r->lets[i].expr);
    walk(p, r->when);
    p->when = persisted(p, 0, r->when, r->when_for);
    keep(p, p->when);
    const struct ac_rule *one = &p->rule;
    int rc = ac_plan_create(&one, 1, AC_PLAN_ALL_TERMS, &p->plan, err);
    if (rc < 0) {
        ac_proof_destroy(p);
        return rc;
    }
    *ret = p;
    return 0;
}

void ac_proof_destroy(struct ac_proof *p)
{
    if (!p)
        return;
    ac_plan_destroy(p->plan);
    for (size_t i = 0; i < AC_ARRAY_LEN(p->made); i++) {
        if (p->made[i])
            free(p->made[i]->args);
        free(p->made[i]);
    }
    free(p->rule.lets);
    free(p->extra);
    free(p);
}

const struct ac_plan *ac_proof_plan(const struct ac_proof *p)
{
    return p->plan;
}

/* ---- on a point ---- */

struct telling {
    const struct ac_proof *p;
    const struct ac_eval *e;
    struct ac_buf *b;
    size_t facts, visits;
};

static double value_of(const struct telling *t, const struct expr *e)
{
    if (e->kind == EX_BOOL)
        return e->num;
    for (size_t i = 0; i < t->p->n_extra; i++) {
        struct ref r = t->p->plan->rules[0].lets[t->p->of->n_lets + i];
        if (t->p->extra[i] == e && r.node != NO_NODE)
            return eval_value(t->e, r);
    }
    return __builtin_nan("");
}

static bool again(const struct telling *t, const char *fact, size_t from)
{
    const char *s = ac_buf_str(t->b) + from;
    size_t n = strlen(fact);
    for (; (s = strstr(s, fact)); s++) {
        if ((s == t->b->data + from || s[-1] == '\n') && s[n] == '\n')
            return true;
    }
    return false;
}

static void tell(struct telling *t, const struct expr *e, bool truth, size_t from)
{
    struct ac_buf f;
    if (t->facts == FACTS_MAX)
        return;
    ac_buf_init(&f, 64u << 10);
    rule_put_expr(&f, t->p->of, e);
    if (!truth)
        ac_buf_puts(&f, e->kind == EX_BIN ? ": not so" : " is false");
    if (e->kind == EX_BIN) {
        ac_buf_puts(&f, " (");
        rule_put_value(&f, value_of(t, e->args[0]), false);
        ac_buf_printf(&f, " %s ", rule_bin_name(e->bin));
        rule_put_value(&f, value_of(t, e->args[1]), false);
        ac_buf_putc(&f, ')');
    }
    if (f.failed) { /* a condition longer than anyone reads */
        ac_buf_reset(&f);
        ac_buf_printf(&f, "the condition in line %d, column %d", e->line, e->column);
    }
    if (!again(t, f.data, from)) {
        ac_buf_printf(t->b, "%s\n", f.data);
        t->facts++;
    }
    ac_buf_fini(&f);
}

/* Tells what made e the truth value that it is: of an or those that are true, of an and all. */
static void prove(struct telling *t, const struct expr *e, bool truth, size_t from)
{
    if (++t->visits > VISITS_MAX)
        return;
    if (e->kind == EX_LET) {
        prove(t, t->p->of->lets[e->let].expr, truth, from);
    } else if (e->kind == EX_NOT) {
        prove(t, e->args[0], !truth, from);
    } else if (e->kind == EX_BIN && e->bin <= BIN_AND) {
        for (int i = 0; i < 2; i++) {
            if (value_of(t, e->args[i]) == (truth ? 1 : 0))
                prove(t, e->args[i], truth, from);
        }
    } else if (e->kind != EX_BOOL) {
        tell(t, e, truth, from);
    }
}

bool ac_proof_put(const struct ac_proof *p, const struct ac_eval *e, struct ac_buf *b)
{
    struct telling t = {.p = p, .e = e, .b = b};
    const struct ac_rule *r = p->of;
    size_t from = b->len;
    if (!ac_eval_flag(e, 0))
        return !b->failed;
    bool now = value_of(&t, r->when) == 1;
    if (now)
        prove(&t, r->when, true, from);
    if (value_of(&t, p->when) != 1)
        ac_buf_puts(b, "it was flagged before, and until has not come true since\n");
    else if (r->when_for.n > 1)
        ac_buf_printf(b, "true on at least %u of the last %u points%s\n", r->when_for.k,
                      r->when_for.n, now ? "" : ", not on this one");
    return !b->failed;
}
