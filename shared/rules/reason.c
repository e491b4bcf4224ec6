/* What a flag says: the reason's placeholders, filled from a point, and the names whose values
 * belong to it. Without a reason of its own a rule shows the values that its condition compares. */
#include "rules_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define VISITS_MAX  4096
#define LARGEST_MAX 64 /* names in one {largest K of ...} */

/* ---- parsing ---- */

/* A reason and its place in the text. */
struct reader {
    struct ac_arena *arena;
    struct ac_rule *rule;
    int line, column;
    struct ac_diags *diags;
};

static bool add_part(struct reader *a, struct reason_part part)
{
    struct ac_rule *r = a->rule;
    if (r->n_parts % 8 == 0) {
        struct reason_part *v = ac_arena_calloc(a->arena, r->n_parts + 8, sizeof *v);
        if (!v)
            return false;
        if (r->n_parts)
            memcpy(v, r->parts, r->n_parts * sizeof *v);
        r->parts = v;
    }
    part.line = a->line;
    part.column = a->column;
    r->parts[r->n_parts++] = part;
    return true;
}

static bool add_literal(struct reader *a, const struct ac_buf *lit)
{
    return !lit->len || add_part(a, (struct reason_part){
                                        .text = ac_arena_strdup(a->arena, lit->data), .let = -1});
}

static bool add_name(struct reader *a, const char *name)
{
    struct ac_rule *r = a->rule;
    const char *names[RULE_LETS_MAX + 1 + RULE_INPUTS_MAX];
    size_t n = 0;
    names[n++] = "value";
    for (size_t i = 0; i < r->n_lets; i++)
        names[n++] = r->lets[i].name;
    for (size_t i = 0; i < r->n_inputs; i++) {
        const char *input = r->inputs[i].in.name;
        if (*name && strcmp(input, name) == 0)
            return add_part(a, (struct reason_part){.name = input, .let = -2 - (int32_t)i});
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            enum expr_kind k = i ? r->lets[i - 1].expr->kind : EX_VALUE;
            if (k == EX_VEC || k == EX_DURATION)
                break;
            return add_part(a, (struct reason_part){.name = names[i], .let = (int32_t)i - 1});
        }
    }
    for (size_t i = 0; i < r->n_inputs; i++)
        names[n++] = r->inputs[i].in.name;
    const char *close = rule_closest(name, names, n);
    char hint[96] = "a placeholder names a let or input above, or value";
    if (close)
        (void)snprintf(hint, sizeof hint, "did you mean {%.60s}?", close);
    rule_diag(a->diags, a->line, a->column, hint, "the reason shows {%.60s}, which is not known",
              name);
    return false;
}

/* "largest K of NAME, NAME": its names are parts in a row, the first of which says so. */
static bool add_largest(struct reader *a, char *text)
{
    char *names = strstr(text, " of ");
    uint64_t most = 0;
    size_t first = a->rule->n_parts, n = 0;
    if (names)
        *names = 0;
    if (!names || !ac_str_to_u64(ac_str_trim(text + strlen(REASON_LARGEST)), &most)) {
        rule_diag(a->diags, a->line, a->column, "write {largest 2 of NAME, NAME, NAME}",
                  "the reason has a {largest} without a number and names");
        return false;
    }
    for (char *name = names + strlen(" of "), *next; name; name = next, n++) {
        next = strchr(name, ',');
        if (next)
            *next++ = 0;
        if (n < LARGEST_MAX && !add_name(a, ac_str_trim(name)))
            return false;
    }
    if (most < 1 || most > n || n > LARGEST_MAX) {
        rule_diag(a->diags, a->line, a->column, NULL,
                  "{largest K of ...} needs 1 <= K <= the number of names, and at most %d names",
                  LARGEST_MAX);
        return false;
    }
    a->rule->parts[first].largest = (uint32_t)most;
    a->rule->parts[first].of = (uint32_t)n;
    return true;
}

static bool add_placeholder(struct reader *a, char *text)
{
    bool largest = strncmp(text, REASON_LARGEST, strlen(REASON_LARGEST)) == 0;
    return largest ? add_largest(a, text) : add_name(a, text);
}

bool rule_parse_reason(struct ac_arena *arena, struct ac_rule *r, int line, int column,
                       struct ac_diags *d)
{
    struct reader a = {arena, r, line, column, d};
    struct ac_buf lit;
    ac_buf_init(&lit, 8192);
    bool ok = true;
    for (const char *s = r->reason; ok && *s; s++) {
        if ((*s == '{' || *s == '}') && s[1] == *s) {
            ac_buf_putc(&lit, *s++);
        } else if (*s == '{') {
            const char *e = strchr(s, '}');
            char *text = e ? ac_arena_strndup(arena, s + 1, (size_t)(e - s - 1)) : NULL;
            if (!text) {
                rule_diag(d, line, column, "write {{ for a brace", "a { in the reason has no }");
                ok = false;
                break;
            }
            ok = add_literal(&a, &lit) && add_placeholder(&a, text);
            ac_buf_reset(&lit);
            s = e;
        } else {
            ac_buf_putc(&lit, *s);
        }
    }
    ok = ok && add_literal(&a, &lit);
    ac_buf_fini(&lit);
    return ok;
}

/* ---- names and values ---- */

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

bool rule_check_reason(const struct ac_rule *r, struct ac_diags *d)
{
    for (size_t i = 0; i < r->n_parts; i++) {
        for (size_t k = 0; k < r->parts[i].of; k++) {
            const struct reason_part *p = &r->parts[i + k];
            if (!is_truth(r, p->let))
                continue;
            rule_diag(d, p->line, p->column, NULL,
                      "{largest K of ...} compares numbers; %.60s is a truth value", p->name);
            return false;
        }
    }
    return true;
}

/* Missing ones are left out; of equal ones the first comes first. */
static void put_largest(const struct ac_eval *e, size_t rule, const struct reason_part *p,
                        struct ac_buf *b)
{
    double v[LARGEST_MAX];
    const char *sep = "";
    for (size_t i = 0; i < p->of; i++)
        v[i] = ac_eval_term(e, rule, p[i].name);
    for (size_t n = 0; n < p->largest; n++) {
        size_t best = p->of;
        for (size_t i = 0; i < p->of; i++) {
            if (v[i] == v[i] && (best == p->of || v[i] > v[best]))
                best = i;
        }
        if (best == p->of)
            break;
        ac_buf_printf(b, "%s%s ", sep, p[best].name);
        rule_put_value(b, v[best], false);
        v[best] = __builtin_nan("");
        sep = ", ";
    }
    if (!*sep)
        ac_buf_puts(b, "unknown");
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
        if (part->text) {
            ac_buf_puts(b, part->text);
        } else if (part->of) {
            put_largest(e, rule, part, b);
            i += part->of - 1;
        } else {
            rule_put_value(b, ac_eval_term(e, rule, part->name), is_truth(r, part->let));
        }
    }
    return !b->failed;
}
