/* The canonical printer and the readers of a rule's clauses. */
#include "rules_impl.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

const char *ac_severity_name(enum ac_severity s)
{
    static const char *const names[] = {"info", "warning", "critical"};
    return (unsigned)s < 3 ? names[s] : "?";
}

static void put_num(struct ac_buf *b, double v)
{
    char s[64];
    ac_str_from_f64(s, sizeof s, v);
    ac_buf_puts(b, s);
}

void rule_put_str(struct ac_buf *b, const char *s)
{
    ac_buf_putc(b, '"');
    for (; *s; s++) {
        if (*s == '\n') {
            ac_buf_puts(b, "\\n");
            continue;
        }
        if (*s == '"' || *s == '\\')
            ac_buf_putc(b, '\\');
        ac_buf_putc(b, *s);
    }
    ac_buf_putc(b, '"');
}

void rule_put_duration(struct ac_buf *b, int64_t ns)
{
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {{"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
                 {"ms", 1000000},       {"us", 1000},         {"ns", 1}};
    for (size_t i = 0; i < AC_ARRAY_LEN(units); i++) {
        /* The literal was read as a double: nanoseconds come back whole at any length. */
        if (ns % units[i].ns == 0) {
            ac_buf_printf(b, "%lld%s", (long long)(ns / units[i].ns), units[i].unit);
            return;
        }
    }
}

int rule_level(const struct expr *e)
{
    switch (e->kind) {
    case EX_BIN:
        return e->bin == BIN_OR    ? 0
               : e->bin == BIN_AND ? 1
               : e->bin < BIN_ADD  ? 3
               : e->bin < BIN_MUL  ? 4
                                   : 5;
    case EX_NOT:
        return 2;
    case EX_NEG:
        return 6;
    default:
        return 7;
    }
}

static void put_expr(struct ac_buf *b, const struct ac_rule *r, const struct expr *e, int least);

static void put_list(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (i)
            ac_buf_puts(b, ", ");
        if (e->kind == EX_VEC)
            put_num(b, e->vec[i]);
        else
            put_expr(b, r, e->args[i], 0);
    }
}

const char *rule_bin_name(enum bin_op op)
{
    static const char *const names[] = {
        "or", "and", "<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/"};
    return names[op];
}

static void put_bin(struct ac_buf *b, const struct ac_rule *r, const struct expr *e, int own)
{
    bool compare = e->bin >= BIN_LT && e->bin <= BIN_NE;
    put_expr(b, r, e->args[0], compare ? own + 1 : own);
    ac_buf_printf(b, " %s ", rule_bin_name(e->bin));
    put_expr(b, r, e->args[1], own + 1);
}

static void put_expr(struct ac_buf *b, const struct ac_rule *r, const struct expr *e, int least)
{
    int own = rule_level(e);
    if (own < least)
        ac_buf_putc(b, '(');
    switch (e->kind) {
    case EX_NUM:
        put_num(b, e->num);
        break;
    case EX_DURATION:
        rule_put_duration(b, e->ns);
        break;
    case EX_BOOL:
        ac_buf_puts(b, e->num != 0 ? "true" : "false");
        break;
    case EX_VEC:
        ac_buf_putc(b, '[');
        put_list(b, r, e);
        ac_buf_putc(b, ']');
        break;
    case EX_VALUE:
        ac_buf_puts(b, "value");
        break;
    case EX_LET:
        ac_buf_puts(b, r->lets[e->let].name);
        break;
    case EX_INPUT:
        ac_buf_puts(b, r->inputs[e->let].in.name);
        break;
    case EX_ZONE:
        rule_put_str(b, r->inputs[e->let].in.of);
        break;
    case EX_NEG:
        ac_buf_putc(b, '-');
        put_expr(b, r, e->args[0], own);
        break;
    case EX_NOT:
        ac_buf_puts(b, "not ");
        put_expr(b, r, e->args[0], own);
        break;
    case EX_BIN:
        put_bin(b, r, e, own);
        break;
    case EX_CALL:
        ac_buf_printf(b, "%s(", e->op->name);
        put_list(b, r, e);
        ac_buf_putc(b, ')');
        break;
    }
    if (own < least)
        ac_buf_putc(b, ')');
}

void rule_put_expr(struct ac_buf *b, const struct ac_rule *r, const struct expr *e)
{
    put_expr(b, r, e, 0);
}

static void put_comment(struct ac_buf *b, const char *comment, const char *indent)
{
    for (const char *s = comment; s && *s;) {
        const char *e = strchr(s, '\n');
        ac_buf_printf(b, *s == '\n' ? "%s#" : "%s# ", indent);
        ac_buf_append(b, s, (size_t)(e - s) + 1);
        s = e + 1;
    }
}

static void put_for(struct ac_buf *b, struct persist p)
{
    if (p.n)
        ac_buf_printf(b, " for %u of %u", p.k, p.n);
    ac_buf_putc(b, '\n');
}

static bool plain_word(const char *s)
{
    if (!*s || strlen(s) > 128 || (*s >= '0' && *s <= '9'))
        return false;
    for (; *s; s++) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              *s == '_'))
            return false;
    }
    return true;
}

static void put_labels(struct ac_buf *b, const struct ac_label *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ac_buf_puts(b, i ? ", " : " {");
        if (plain_word(l[i].key))
            ac_buf_puts(b, l[i].key);
        else
            rule_put_str(b, l[i].key);
        ac_buf_puts(b, " = ");
        rule_put_str(b, l[i].value);
    }
    ac_buf_puts(b, n ? "}\n" : "\n");
}

static void put_inputs(struct ac_buf *b, const struct ac_rule *r)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        const struct ac_rule_input *in = &r->inputs[i].in;
        if (in->kind == AC_INPUT_ZONE)
            continue;
        put_comment(b, r->inputs[i].comment, "    ");
        ac_buf_printf(b, "    input %s = %s(", in->name, ac_input_kind_name(in->kind));
        rule_put_str(b, in->of);
        ac_buf_putc(b, ')');
        put_labels(b, in->labels, in->n_labels);
    }
}

static void put_head(struct ac_buf *b, const struct ac_rule *r)
{
    put_comment(b, r->comments[CL_RULE], "");
    ac_buf_puts(b, "rule ");
    rule_put_str(b, r->name);
    ac_buf_puts(b, " {\n");
    put_comment(b, r->comments[CL_ON], "    ");
    ac_buf_puts(b, "    on ");
    rule_put_str(b, r->metric);
    put_labels(b, r->labels, r->n_labels);
    if (r->step_ns) {
        put_comment(b, r->comments[CL_STEP], "    ");
        ac_buf_puts(b, "    step ");
        rule_put_duration(b, r->step_ns);
        ac_buf_putc(b, '\n');
    }
}

static void put_rule(struct ac_buf *b, const struct ac_rule *r)
{
    put_head(b, r);
    put_inputs(b, r);
    for (size_t i = 0; i < r->n_lets; i++) {
        put_comment(b, r->lets[i].comment, "    ");
        ac_buf_printf(b, "    let %s = ", r->lets[i].name);
        put_expr(b, r, r->lets[i].expr, 0);
        ac_buf_putc(b, '\n');
    }
    put_comment(b, r->comments[CL_WHEN], "    ");
    ac_buf_puts(b, "    when ");
    put_expr(b, r, r->when, 0);
    put_for(b, r->when_for);
    if (r->until) {
        put_comment(b, r->comments[CL_UNTIL], "    ");
        ac_buf_puts(b, "    until ");
        put_expr(b, r, r->until, 0);
        put_for(b, r->until_for);
    }
    put_comment(b, r->comments[CL_SEVERITY], "    ");
    ac_buf_printf(b, "    severity %s\n", ac_severity_name(r->severity));
    if (r->reason) {
        put_comment(b, r->comments[CL_REASON], "    ");
        ac_buf_puts(b, "    reason ");
        rule_put_str(b, r->reason);
        ac_buf_putc(b, '\n');
    }
    put_comment(b, r->comments[CL_END], "    ");
    ac_buf_puts(b, "}\n");
}

bool ac_ruleset_print(const struct ac_ruleset *s, struct ac_buf *b)
{
    put_comment(b, s->comment, "");
    ac_buf_printf(b, "language %d\n", AC_RULES_LANGUAGE);
    for (size_t i = 0; i < s->n; i++) {
        ac_buf_putc(b, '\n');
        put_rule(b, s->rules[i]);
    }
    if (s->tail) {
        ac_buf_putc(b, '\n');
        put_comment(b, s->tail, "");
    }
    return !b->failed;
}

bool ac_rule_print(const struct ac_rule *r, struct ac_buf *b)
{
    ac_buf_printf(b, "language %d\n\n", AC_RULES_LANGUAGE);
    put_rule(b, r);
    return !b->failed;
}

/* ---- clauses ---- */

const char *ac_rule_name(const struct ac_rule *r)
{
    return r->name;
}

const char *ac_rule_metric(const struct ac_rule *r)
{
    return r->metric;
}

enum ac_severity ac_rule_severity(const struct ac_rule *r)
{
    return r->severity;
}

int64_t ac_rule_step_ns(const struct ac_rule *r)
{
    return r->step_ns;
}

size_t ac_rule_n_labels(const struct ac_rule *r)
{
    return r->n_labels;
}

void ac_rule_label(const struct ac_rule *r, size_t i, const char **ret_key, const char **ret_glob)
{
    AC_ASSERT(i < r->n_labels);
    *ret_key = r->labels[i].key;
    *ret_glob = r->labels[i].value;
}

bool ac_rule_matches(const struct ac_rule *r, const char *metric, const struct ac_label *labels,
                     size_t n_labels)
{
    if (!ac_str_glob(r->metric, metric))
        return false;
    for (size_t i = 0; i < r->n_labels; i++) {
        const char *v = "";
        for (size_t k = 0; k < n_labels; k++) {
            if (strcmp(labels[k].key, r->labels[i].key) == 0)
                v = labels[k].value;
        }
        if (!ac_str_glob(r->labels[i].value, v))
            return false;
    }
    return true;
}

/* ---- equality ---- */

static bool same_num(double a, double b)
{
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): to the bit, NaN and -0 too */
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool same_place(const struct ac_rule *ra, const struct expr *a, const struct ac_rule *rb,
                       const struct expr *b)
{
    if (a->kind != EX_INPUT && a->kind != EX_ZONE)
        return a->let == b->let;
    const struct input *x = &ra->inputs[a->let], *y = &rb->inputs[b->let];
    return rule_same_input(x, y) && ac_streq(x->in.name, y->in.name);
}

static bool same_expr(const struct ac_rule *ra, const struct expr *a, const struct ac_rule *rb,
                      const struct expr *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->type != b->type || a->n != b->n || a->op != b->op ||
        !same_place(ra, a, rb, b) || !same_num(a->num, b->num) || a->ns != b->ns ||
        (a->kind == EX_BIN && a->bin != b->bin))
        return false;
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kind == EX_VEC ? !same_num(a->vec[i], b->vec[i])
                              : !same_expr(ra, a->args[i], rb, b->args[i]))
            return false;
    }
    return true;
}

bool rule_expr_equal(const struct ac_rule *ra, const struct expr *a, const struct ac_rule *rb,
                     const struct expr *b)
{
    return same_expr(ra, a, rb, b);
}

/* The next input that the text declares, from i on; zones stand in expressions. */
static const struct input *declared(const struct ac_rule *r, size_t *i)
{
    while (*i < r->n_inputs && r->inputs[*i].in.kind == AC_INPUT_ZONE)
        ++*i;
    return *i < r->n_inputs ? &r->inputs[(*i)++] : NULL;
}

static bool same_inputs(const struct ac_rule *a, const struct ac_rule *b)
{
    for (size_t i = 0, k = 0;;) {
        const struct input *x = declared(a, &i), *y = declared(b, &k);
        if (!x || !y)
            return x == y;
        if (!rule_same_input(x, y) || !ac_streq(x->in.name, y->in.name))
            return false;
    }
}

bool ac_rule_equal(const struct ac_rule *a, const struct ac_rule *b)
{
    if (!ac_streq(a->name, b->name) || !ac_streq(a->metric, b->metric) ||
        a->n_labels != b->n_labels || a->step_ns != b->step_ns || a->n_lets != b->n_lets ||
        a->severity != b->severity || !ac_streq(a->reason, b->reason) ||
        a->when_for.k != b->when_for.k || a->when_for.n != b->when_for.n ||
        a->until_for.k != b->until_for.k || a->until_for.n != b->until_for.n ||
        !same_expr(a, a->when, b, b->when) || !same_expr(a, a->until, b, b->until) ||
        !same_inputs(a, b))
        return false;
    for (size_t i = 0; i < a->n_labels; i++) {
        if (!ac_streq(a->labels[i].key, b->labels[i].key) ||
            !ac_streq(a->labels[i].value, b->labels[i].value))
            return false;
    }
    for (size_t i = 0; i < a->n_lets; i++) {
        if (!ac_streq(a->lets[i].name, b->lets[i].name) ||
            !same_expr(a, a->lets[i].expr, b, b->lets[i].expr))
            return false;
    }
    return true;
}
