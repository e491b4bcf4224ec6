/* What a flag says: the reason with its placeholders filled, and the names whose values belong to
 * it. Without a reason of its own a rule shows the values that its condition compares. */
#include "rules_impl.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

#define VISITS_MAX 4096

void rule_put_value(struct ac_buf *b, double v, bool truth)
{
    if (v != v)
        ac_buf_puts(b, "unknown");
    else if (truth)
        ac_buf_puts(b, v == 1 ? "true" : "false");
    else if (fabs(v) >= 1e4 && fabs(v) < 1e15)
        ac_buf_printf(b, "%.0f", v);
    else
        ac_buf_printf(b, "%.4g", v);
}

struct names {
    const char **v;
    size_t n, max, visits;
};

static void add(struct names *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v[i], name) == 0)
            return;
    }
    if (a->n < a->max)
        a->v[a->n++] = name;
}

/* Names of the numbers that a condition compares; truth values that are named are gone into. */
static void evidence(struct names *a, const struct ac_rule *r, const struct expr *e)
{
    if (++a->visits > VISITS_MAX)
        return;
    if (e->kind == EX_VALUE)
        add(a, "value");
    else if (e->kind == EX_INPUT)
        add(a, r->inputs[e->let].in.name);
    else if (e->kind == EX_LET && r->lets[e->let].expr->type == TY_BOOL)
        evidence(a, r, r->lets[e->let].expr);
    else if (e->kind == EX_LET && r->lets[e->let].expr->type == TY_NUM &&
             r->lets[e->let].expr->kind != EX_DURATION && !r->lets[e->let].constant)
        add(a, r->lets[e->let].name);
    for (uint32_t i = 0; e->kind != EX_VEC && i < e->n; i++)
        evidence(a, r, e->args[i]);
}

size_t ac_rule_reason_names(const struct ac_rule *r, const char **names, size_t max)
{
    struct names a = {names, 0, max, 0};
    for (size_t i = 0; i < r->n_parts; i++) {
        if (r->parts[i].name)
            add(&a, r->parts[i].name);
    }
    if (!r->reason)
        add(&a, "value");
    evidence(&a, r, r->when);
    return a.n;
}

static bool is_truth(const struct ac_rule *r, int32_t let)
{
    return let >= 0 && r->lets[let].expr->type == TY_BOOL;
}

bool ac_eval_reason(const struct ac_eval *e, size_t rule, struct ac_buf *b)
{
    AC_ASSERT(rule < e->plan->n_rules);
    const struct ac_rule *r = e->plan->rules[rule].rule;
    const char *names[6];
    size_t n = r->reason ? 0 : ac_rule_reason_names(r, names, AC_ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        ac_buf_printf(b, "%s%s ", i ? ", " : "", names[i]);
        rule_put_value(b, ac_eval_term(e, rule, names[i]), false);
    }
    for (size_t i = 0; i < r->n_parts; i++) {
        const struct reason_part *part = &r->parts[i];
        if (part->text)
            ac_buf_puts(b, part->text);
        else
            rule_put_value(b, ac_eval_term(e, rule, part->name), is_truth(r, part->let));
    }
    return !b->failed;
}
