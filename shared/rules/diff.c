/* What changed between two rule sets: rules by name, clauses, lets, and single numbers where the
 * rest of an expression stayed as it was; and how much of the state lives on. */
#include "rules_impl.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rules_proof.h>
#include <aceso/str.h>

#define NOT_PAIRED SIZE_MAX

struct differ {
    const struct ac_rule_diff_cb *cb;
    const struct ac_rule *a, *b;
    size_t n;
};

static void change(struct differ *d, const char *what, const char *name, const char *before,
                   const char *after)
{
    const struct ac_rule_change c = {d->b   ? d->b->name
                                     : d->a ? d->a->name
                                            : "",
                                     what, name, before, after};
    d->cb->change(&c, d->cb->arg);
    d->n++;
}

static void change_expr(struct differ *d, const char *what, const char *name, const struct expr *a,
                        const struct expr *b)
{
    struct ac_buf x, y;
    ac_buf_init(&x, AC_RULES_TEXT_MAX);
    ac_buf_init(&y, AC_RULES_TEXT_MAX);
    if (a)
        rule_put_expr(&x, d->a, a);
    if (b)
        rule_put_expr(&y, d->b, b);
    change(d, what, name, ac_buf_str(&x), ac_buf_str(&y));
    ac_buf_fini(&x);
    ac_buf_fini(&y);
}

static bool literal(const struct expr *e)
{
    return e->kind == EX_NUM || e->kind == EX_DURATION;
}

/* The name that a reference shows: those of two rules refer to the same when they show the same. */
static const char *shown(const struct ac_rule *r, const struct expr *e)
{
    return e->kind == EX_LET     ? r->lets[e->let].name
           : e->kind == EX_INPUT ? r->inputs[e->let].in.name
           : e->kind == EX_ZONE  ? r->inputs[e->let].in.of
                                 : "";
}

/* Equal but for what lets and inputs of these names are. */
static bool same_shape(const struct differ *d, const struct expr *a, const struct expr *b,
                       bool numbers)
{
    if (literal(a) && literal(b) && !numbers)
        return true;
    if (a->kind != b->kind || a->n != b->n || a->op != b->op ||
        (a->kind == EX_BIN && a->bin != b->bin) || a->num != b->num || a->ns != b->ns ||
        strcmp(shown(d->a, a), shown(d->b, b)) != 0)
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kind == EX_VEC ? a->vec[i] != b->vec[i]
                              : !same_shape(d, a->args[i], b->args[i], numbers))
            return false;
    }
    return true;
}

/* The numbers in which two expressions of one shape differ, each with what stands around it. */
static void numbers(struct differ *d, const char *clause, const struct expr *a,
                    const struct expr *b, const struct expr *around_a, const struct expr *around_b)
{
    if (literal(a)) {
        if (a->kind != b->kind || a->num != b->num || a->ns != b->ns)
            change_expr(d, "number", clause, around_a, around_b);
        return;
    }
    for (uint32_t i = 0; a->kind != EX_VEC && i < a->n; i++)
        numbers(d, clause, a->args[i], b->args[i], a, b);
}

static void expressions(struct differ *d, const char *what, const char *name, const struct expr *a,
                        const struct expr *b)
{
    if (!a && !b)
        return;
    if (a && b && same_shape(d, a, b, true))
        return;
    if (a && b && same_shape(d, a, b, false))
        numbers(d, *name ? name : what, a, b, a, b);
    else
        change_expr(d, what, name, a, b);
}

static void texts(struct differ *d, const char *what, const char *a, const char *b)
{
    if (strcmp(a, b) != 0)
        change(d, what, "", a, b);
}

static void put_labels(struct ac_buf *b, const char *of, const struct ac_label *l, size_t n)
{
    rule_put_str(b, of);
    for (size_t i = 0; i < n; i++) {
        ac_buf_printf(b, "%s%s = ", i ? ", " : " {", l[i].key);
        rule_put_str(b, l[i].value);
    }
    ac_buf_puts(b, n ? "}" : "");
}

static void put_input(struct ac_buf *b, const struct ac_rule_input *in)
{
    ac_buf_printf(b, "%s ", ac_input_kind_name(in->kind));
    put_labels(b, in->of, in->labels, in->n_labels);
}

static void put_step(struct ac_buf *b, int64_t ns)
{
    if (ns)
        rule_put_duration(b, ns);
}

static void put_for(struct ac_buf *b, struct persist p)
{
    if (p.n)
        ac_buf_printf(b, "%u of %u", p.k, p.n);
}

static void heads(struct differ *d)
{
    struct ac_buf x[4], y[4];
    static const char *const what[] = {"on", "step", "when for", "until for"};
    const struct ac_rule *rules[] = {d->a, d->b};
    for (int i = 0; i < 8; i++)
        ac_buf_init(i < 4 ? &x[i] : &y[i - 4], AC_RULES_TEXT_MAX);
    for (int i = 0; i < 2; i++) {
        struct ac_buf *to = i ? y : x;
        put_labels(&to[0], rules[i]->metric, rules[i]->labels, rules[i]->n_labels);
        put_step(&to[1], rules[i]->step_ns);
        put_for(&to[2], rules[i]->when_for);
        put_for(&to[3], rules[i]->until_for);
    }
    for (int i = 0; i < 4; i++)
        texts(d, what[i], ac_buf_str(&x[i]), ac_buf_str(&y[i]));
    for (int i = 0; i < 8; i++)
        ac_buf_fini(i < 4 ? &x[i] : &y[i - 4]);
    texts(d, "severity", ac_severity_name(d->a->severity), ac_severity_name(d->b->severity));
    texts(d, "reason", d->a->reason ? d->a->reason : "", d->b->reason ? d->b->reason : "");
}

static const struct input *input_named(const struct ac_rule *r, const char *name)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        if (r->inputs[i].in.kind != AC_INPUT_ZONE && strcmp(r->inputs[i].in.name, name) == 0)
            return &r->inputs[i];
    }
    return NULL;
}

static void one_input(struct differ *d, const struct input *a, const struct input *b)
{
    struct ac_buf x, y;
    if (a && b && rule_same_input(a, b))
        return;
    ac_buf_init(&x, AC_RULES_TEXT_MAX);
    ac_buf_init(&y, AC_RULES_TEXT_MAX);
    if (a)
        put_input(&x, &a->in);
    if (b)
        put_input(&y, &b->in);
    change(d, "input", a ? a->in.name : b->in.name, ac_buf_str(&x), ac_buf_str(&y));
    ac_buf_fini(&x);
    ac_buf_fini(&y);
}

static void inputs(struct differ *d)
{
    for (size_t i = 0; i < d->a->n_inputs; i++) {
        if (d->a->inputs[i].in.kind != AC_INPUT_ZONE)
            one_input(d, &d->a->inputs[i], input_named(d->b, d->a->inputs[i].in.name));
    }
    for (size_t i = 0; i < d->b->n_inputs; i++) {
        if (d->b->inputs[i].in.kind != AC_INPUT_ZONE && !input_named(d->a, d->b->inputs[i].in.name))
            one_input(d, NULL, &d->b->inputs[i]);
    }
}

static const struct let *let_named(const struct ac_rule *r, const char *name)
{
    for (size_t i = 0; i < r->n_lets; i++) {
        if (strcmp(r->lets[i].name, name) == 0)
            return &r->lets[i];
    }
    return NULL;
}

/* A let that went, under whose expression a new one came: it has another name now. is_new: of each
 * let of b, that it is new and not taken for another yet. */
static const struct let *renamed_to(const struct differ *d, const struct let *a, bool *is_new)
{
    for (size_t i = 0; i < d->b->n_lets; i++) {
        const struct let *b = &d->b->lets[i];
        if (!is_new[i] || !same_shape(d, a->expr, b->expr, true))
            continue;
        is_new[i] = false;
        return b;
    }
    return NULL;
}

static void lets(struct differ *d)
{
    bool *is_new = ac_xcalloc(d->b->n_lets + 1, sizeof *is_new);
    for (size_t i = 0; i < d->b->n_lets; i++)
        is_new[i] = !let_named(d->a, d->b->lets[i].name);
    for (size_t i = 0; i < d->a->n_lets; i++) {
        const struct let *a = &d->a->lets[i], *b = let_named(d->b, a->name);
        const struct let *to = b ? NULL : renamed_to(d, a, is_new);
        if (b)
            expressions(d, "let", a->name, a->expr, b->expr);
        else if (to)
            change(d, "let renamed", to->name, a->name, to->name);
        else
            change_expr(d, "let", a->name, a->expr, NULL);
    }
    for (size_t i = 0; i < d->b->n_lets; i++) {
        if (is_new[i])
            change_expr(d, "let", d->b->lets[i].name, NULL, d->b->lets[i].expr);
    }
    free(is_new);
}

/* ---- state ---- */

static void count_state(const struct ac_plan *from, const struct ac_plan *to,
                        struct ac_rule_state *s)
{
    bool *has = ac_xcalloc(to->n_nodes + 1, sizeof *has);
    bool *kept = ac_xcalloc(to->n_nodes + 1, sizeof *kept);
    size_t *cold = ac_xcalloc(to->n_nodes + 1, sizeof *cold); /* until a node knows again */
    state_kept(from, to, has, kept);
    for (size_t i = 0; i < to->n_nodes; i++) {
        const struct node *n = &to->nodes[i];
        bool lost = has[i] && !kept[i];
        s->operators += has[i];
        s->kept += has[i] && kept[i];
        for (uint32_t k = 0; k < n->n_args; k++) {
            uint32_t a = n->args[k].node;
            if (lost || cold[a] || (has[a] && !kept[a]))
                cold[i] = AC_MAX(cold[i], cold[a] + n->args[k].off + node_lookback(n, k));
        }
        if (lost && n->op == N_ENVELOPE)
            cold[i] += (size_t)n->w * n->m;
        s->cold_points = AC_MAX(s->cold_points, cold[i] + (lost ? n->hist : 0));
    }
    free(cold);
    free(has);
    free(kept);
}

static void states(const struct differ *d)
{
    struct ac_plan *a = NULL, *b = NULL;
    struct ac_rule_state s = {.rule = d->b->name};
    if (ac_plan_create(&d->a, 1, 0, &a, NULL) == 0 && ac_plan_create(&d->b, 1, 0, &b, NULL) == 0) {
        count_state(a, b, &s);
        d->cb->state(&s, d->cb->arg);
    }
    ac_plan_destroy(a);
    ac_plan_destroy(b);
}

/* ---- sets ---- */

/* Equal but for the name and the comments. */
static bool same_but_name(const struct ac_rule *a, const struct ac_rule *b)
{
    struct ac_rule x = *a;
    x.name = b->name;
    return ac_rule_equal(&x, b);
}

static void pair(const struct ac_ruleset *a, const struct ac_ruleset *b, size_t *of_a, bool *of_b)
{
    for (size_t i = 0; i < a->n; i++) {
        of_a[i] = NOT_PAIRED;
        for (size_t k = 0; k < b->n && of_a[i] == NOT_PAIRED; k++) {
            if (strcmp(a->rules[i]->name, b->rules[k]->name) == 0)
                of_a[i] = k, of_b[k] = true;
        }
    }
    for (size_t i = 0; i < a->n; i++) {
        for (size_t k = 0; k < b->n && of_a[i] == NOT_PAIRED; k++) {
            if (!of_b[k] && same_but_name(a->rules[i], b->rules[k]))
                of_a[i] = k, of_b[k] = true;
        }
    }
}

static void compare(struct differ *d)
{
    texts(d, "renamed", d->a->name, d->b->name);
    heads(d);
    inputs(d);
    lets(d);
    expressions(d, "when", "", d->a->when, d->b->when);
    expressions(d, "until", "", d->a->until, d->b->until);
    states(d);
}

size_t ac_ruleset_diff(const struct ac_ruleset *before, const struct ac_ruleset *after,
                       const struct ac_rule_diff_cb *cb)
{
    size_t *of_a = ac_xcalloc(before->n + 1, sizeof *of_a);
    bool *of_b = ac_xcalloc(after->n + 1, sizeof *of_b);
    struct differ d = {.cb = cb};
    pair(before, after, of_a, of_b);
    for (size_t i = 0; i < before->n; i++) {
        d.a = before->rules[i];
        d.b = of_a[i] == NOT_PAIRED ? NULL : after->rules[of_a[i]];
        if (d.b)
            compare(&d);
        else
            change(&d, "removed", "", "", "");
    }
    for (size_t k = 0; k < after->n; k++) {
        d.a = NULL;
        d.b = after->rules[k];
        if (!of_b[k])
            change(&d, "added", "", "", "");
    }
    free(of_a);
    free(of_b);
    return d.n;
}
