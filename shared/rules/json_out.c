/* The syntax tree as JSON. An expression is a number, true, false, a name as a string, or an
 * object:
 * {"op", "args"}, {"duration"}, {"list"}, {"zone"}. */
#include "rules_impl.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

/* JSON readers take -0 for a whole number, which has no sign of its own. */
static void put_number(struct ac_buf *b, double v)
{
    char s[64];
    ac_str_from_f64(s, sizeof s, v);
    ac_buf_puts(b, strcmp(s, "-0") == 0 ? "-0.0" : s);
}

static void put_text(struct ac_buf *b, const char *key, const char *s)
{
    if (!s)
        return;
    ac_buf_printf(b, ", \"%s\": ", key);
    ac_buf_put_json_str(b, s);
}

static void put_expr(struct ac_buf *b, const struct ac_rule *r, const struct expr *e);

static void put_op(struct ac_buf *b, const struct ac_rule *r, const struct expr *e, const char *op)
{
    ac_buf_printf(b, "{\"op\": \"%s\", \"args\": [", op);
    for (uint32_t i = 0; i < e->n; i++) {
        ac_buf_puts(b, i ? ", " : "");
        put_expr(b, r, e->args[i]);
    }
    ac_buf_puts(b, "]}");
}

static void put_list(struct ac_buf *b, const struct expr *e)
{
    ac_buf_puts(b, "{\"list\": [");
    for (uint32_t i = 0; i < e->n; i++) {
        ac_buf_puts(b, i ? ", " : "");
        put_number(b, e->vec[i]);
    }
    ac_buf_puts(b, "]}");
}

static void put_expr(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    switch (e->kind) {
    case EX_NUM:
        put_number(b, e->num);
        break;
    case EX_DURATION:
        ac_buf_puts(b, "{\"duration\": \"");
        rule_put_duration(b, e->ns);
        ac_buf_puts(b, "\"}");
        break;
    case EX_BOOL:
        ac_buf_puts(b, e->num != 0 ? "true" : "false");
        break;
    case EX_VEC:
        put_list(b, e);
        break;
    case EX_VALUE:
        ac_buf_puts(b, "\"value\"");
        break;
    case EX_LET:
        ac_buf_put_json_str(b, r->lets[e->let].name);
        break;
    case EX_INPUT:
        ac_buf_put_json_str(b, r->inputs[e->let].in.name);
        break;
    case EX_ZONE:
        ac_buf_puts(b, "{\"zone\": ");
        ac_buf_put_json_str(b, r->inputs[e->let].in.of);
        ac_buf_putc(b, '}');
        break;
    case EX_NEG:
        put_op(b, r, e, "-");
        break;
    case EX_NOT:
        put_op(b, r, e, "not");
        break;
    case EX_BIN:
        put_op(b, r, e, rule_bin_name(e->bin));
        break;
    case EX_CALL:
        put_op(b, r, e, e->op->name);
        break;
    }
}

static void put_labels(struct ac_buf *b, const struct ac_label *l, size_t n)
{
    if (!n)
        return;
    ac_buf_puts(b, ", \"labels\": [");
    for (size_t i = 0; i < n; i++) {
        ac_buf_puts(b, i ? ", [" : "[");
        ac_buf_put_json_str(b, l[i].key);
        ac_buf_puts(b, ", ");
        ac_buf_put_json_str(b, l[i].value);
        ac_buf_putc(b, ']');
    }
    ac_buf_putc(b, ']');
}

static void put_for(struct ac_buf *b, const char *key, struct persist p)
{
    if (p.n)
        ac_buf_printf(b, ", \"%s\": [%u, %u]", key, p.k, p.n);
}

static void put_comments(struct ac_buf *b, const struct ac_rule *r)
{
    bool any = false;
    for (int c = 0; c < CL_COUNT; c++) {
        if (!r->comments[c])
            continue;
        ac_buf_printf(b, "%s\"%s\": ", any ? ", " : ", \"comments\": {", rule_clause_names[c]);
        ac_buf_put_json_str(b, r->comments[c]);
        any = true;
    }
    if (any)
        ac_buf_putc(b, '}');
}

static void put_inputs(struct ac_buf *b, const struct ac_rule *r)
{
    bool any = false;
    for (size_t i = 0; i < r->n_inputs; i++) {
        const struct ac_rule_input *in = &r->inputs[i].in;
        if (in->kind == AC_INPUT_ZONE)
            continue;
        ac_buf_puts(b, any ? ", {\"name\": " : ", \"inputs\": [{\"name\": ");
        any = true;
        ac_buf_put_json_str(b, in->name);
        put_text(b, "kind", ac_input_kind_name(in->kind));
        put_text(b, "of", in->of);
        put_labels(b, in->labels, in->n_labels);
        put_text(b, "comment", r->inputs[i].comment);
        ac_buf_putc(b, '}');
    }
    if (any)
        ac_buf_putc(b, ']');
}

static void put_lets(struct ac_buf *b, const struct ac_rule *r)
{
    for (size_t i = 0; i < r->n_lets; i++) {
        ac_buf_puts(b, i ? ", {\"name\": " : ", \"lets\": [{\"name\": ");
        ac_buf_put_json_str(b, r->lets[i].name);
        ac_buf_puts(b, ", \"expr\": ");
        put_expr(b, r, r->lets[i].expr);
        put_text(b, "comment", r->lets[i].comment);
        ac_buf_puts(b, i + 1 < r->n_lets ? "}" : "}]");
    }
}

bool ac_rule_json(const struct ac_rule *r, struct ac_buf *b)
{
    ac_buf_puts(b, "{\"name\": ");
    ac_buf_put_json_str(b, r->name);
    put_text(b, "metric", r->metric);
    put_labels(b, r->labels, r->n_labels);
    if (r->step_ns) {
        ac_buf_puts(b, ", \"step\": \"");
        rule_put_duration(b, r->step_ns);
        ac_buf_putc(b, '"');
    }
    put_inputs(b, r);
    put_lets(b, r);
    ac_buf_puts(b, ", \"when\": ");
    put_expr(b, r, r->when);
    put_for(b, "when_for", r->when_for);
    if (r->until) {
        ac_buf_puts(b, ", \"until\": ");
        put_expr(b, r, r->until);
        put_for(b, "until_for", r->until_for);
    }
    put_text(b, "severity", ac_severity_name(r->severity));
    put_text(b, "reason", r->reason);
    put_comments(b, r);
    ac_buf_putc(b, '}');
    return !b->failed;
}

bool ac_ruleset_json(const struct ac_ruleset *s, struct ac_buf *b)
{
    ac_buf_printf(b, "{\"language\": %d", AC_RULES_LANGUAGE);
    put_text(b, "comment", s->comment);
    ac_buf_puts(b, ", \"rules\": [");
    for (size_t i = 0; i < s->n; i++) {
        ac_buf_puts(b, i ? ", " : "");
        (void)ac_rule_json(s->rules[i], b);
    }
    ac_buf_putc(b, ']');
    put_text(b, "tail", s->tail);
    ac_buf_putc(b, '}');
    return !b->failed;
}
