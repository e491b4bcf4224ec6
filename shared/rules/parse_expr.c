/* Recursive descent: expressions. Names are resolved here. */
#include "parse.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define HEIGHT_MAX 200u

static struct expr *node(struct parser *p, enum expr_kind kind, const struct token *at,
                         uint32_t n_args)
{
    struct expr *e = ac_arena_calloc(p->arena, 1, sizeof *e);
    if (e && n_args && !(e->args = ac_arena_calloc(p->arena, n_args, sizeof(struct expr *))))
        e = NULL;
    if (!e) {
        rule_diag(p->diags, at->line, at->column, NULL, "the text needs too much memory");
        return NULL;
    }
    e->kind = kind;
    e->line = at->line;
    e->column = at->column;
    e->n = n_args;
    return e;
}

static struct expr *sealed(struct parser *p, struct expr *e)
{
    for (uint32_t i = 0; e->kind != EX_VEC && i < e->n; i++)
        e->height = AC_MAX(e->height, e->args[i]->height + 1);
    if (e->height > HEIGHT_MAX) {
        rule_diag(p->diags, e->line, e->column, "split it with let",
                  "the expression is nested too deeply");
        return NULL;
    }
    return e;
}

struct expr *parser_list(struct parser *p)
{
    struct token at = p->t;
    double v[RULE_VEC_MAX];
    uint32_t n = 0;
    parser_advance(p);
    while (!parser_is(p, "]")) {
        if (n && !parser_accept(p, ","))
            return parser_fail(p, NULL, ", or ]"), NULL;
        bool neg = parser_accept(p, "-");
        if (p->t.kind != T_NUM)
            return parser_fail(p, "a list holds numbers only", "a number"), NULL;
        if (n == RULE_VEC_MAX) {
            rule_diag(p->diags, p->t.line, p->t.column, NULL, "a list has at most %d numbers",
                      RULE_VEC_MAX);
            return NULL;
        }
        v[n++] = neg ? -p->t.num : p->t.num;
        parser_advance(p);
    }
    parser_advance(p);
    struct expr *e = node(p, EX_VEC, &at, 0);
    if (!e)
        return NULL;
    e->n = n;
    e->vec = ac_arena_memdup(p->arena, v, AC_MAX(n, 1u) * sizeof v[0]);
    return e->vec ? e : NULL;
}

/* "Europe/Berlin": an input of its own, which whoever evaluates fills with the zone's offset. Which
 * zones there are is no question of the language, so that a text means the same everywhere. */
static struct expr *parse_zone(struct parser *p)
{
    struct token at = p->t;
    size_t n =
        strspn(at.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/");
    if (!n || at.text[n] || n > RULE_ZONE_MAX || at.text[0] == '/' || at.text[n - 1] == '/')
        return parser_fail(p, "such as \"Europe/Berlin\"", "the name of a time zone"), NULL;
    uint32_t k = 0;
    const struct ac_rule *r = p->rule;
    while (k < r->n_inputs &&
           (r->inputs[k].in.kind != AC_INPUT_ZONE || strcmp(r->inputs[k].in.of, at.text) != 0))
        k++;
    struct ac_rule_input in = {.name = "", .kind = AC_INPUT_ZONE, .of = at.text};
    if (k == r->n_inputs && !parser_add_input(p, &at, in))
        return NULL;
    struct expr *e = node(p, EX_ZONE, &at, 0);
    if (!e)
        return NULL;
    e->let = k;
    parser_advance(p);
    return e;
}

static struct expr *parse_call(struct parser *p, const struct token *name)
{
    const struct rule_op *op = rule_op_find(name->text);
    if (!op) {
        const char *names[512];
        size_t n = 0;
        for (size_t i = 0; i < rule_n_ops && n < AC_ARRAY_LEN(names); i++)
            names[n++] = rule_ops[i].name;
        const char *close = rule_closest(name->text, names, n);
        char hint[96] = "";
        if (close)
            parser_did_you_mean(hint, sizeof hint, close);
        rule_diag(p->diags, name->line, name->column, hint, "there is no operator %s", name->text);
        return NULL;
    }
    struct expr *args[8];
    uint32_t n = 0;
    parser_advance(p); /* ( */
    while (!parser_is(p, ")")) {
        if (n && !parser_accept(p, ","))
            return parser_fail(p, NULL, ", or )"), NULL;
        if (n == AC_ARRAY_LEN(args)) {
            rule_diag(p->diags, p->t.line, p->t.column, NULL, "too many arguments of %s", op->name);
            return NULL;
        }
        if (!(args[n++] = parser_is(p, "[")       ? parser_list(p)
                          : p->t.kind == T_STRING ? parse_zone(p)
                                                  : parser_expr(p)))
            return NULL;
    }
    parser_advance(p);
    struct expr *e = node(p, EX_CALL, name, n);
    if (!e)
        return NULL;
    e->op = op;
    if (n)
        memcpy(e->args, args, n * sizeof(args[0]));
    return sealed(p, e);
}

static struct expr *parse_name(struct parser *p)
{
    struct token at = p->t;
    parser_advance(p);
    if (parser_is(p, "("))
        return parse_call(p, &at);
    if (strcmp(at.text, "value") == 0)
        return node(p, EX_VALUE, &at, 0);
    if (strcmp(at.text, "true") == 0 || strcmp(at.text, "false") == 0) {
        struct expr *e = node(p, EX_BOOL, &at, 0);
        if (e)
            e->num = at.text[0] == 't';
        return e;
    }
    const struct input *in = parser_input(p, at.text);
    if (in) {
        struct expr *e = node(p, EX_INPUT, &at, 0);
        if (e)
            e->let = (uint32_t)(in - p->rule->inputs);
        return e;
    }
    const char *names[RULE_LETS_MAX + 1 + RULE_INPUTS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < p->rule->n_lets; i++) {
        if (strcmp(p->rule->lets[i].name, at.text) == 0) {
            struct expr *e = node(p, EX_LET, &at, 0);
            if (e)
                e->let = (uint32_t)i;
            return e;
        }
        names[n++] = p->rule->lets[i].name;
    }
    for (size_t i = 0; i < p->rule->n_inputs; i++)
        names[n++] = p->rule->inputs[i].in.name;
    names[n++] = "value";
    char hint[96] = "a name must be given by let or input before it is used";
    const char *close = rule_closest(at.text, names, n);
    if (close)
        parser_did_you_mean(hint, sizeof hint, close);
    else if (rule_op_find(at.text))
        ac_str_copy(hint, sizeof hint, "it is an operator: write its arguments in ( )");
    rule_diag(p->diags, at.line, at.column, hint, "the name %s is not known", at.text);
    return NULL;
}

static struct expr *parse_primary(struct parser *p)
{
    struct token at = p->t;
    if (at.kind == T_NUM || at.kind == T_DURATION) {
        struct expr *e = node(p, at.kind == T_NUM ? EX_NUM : EX_DURATION, &at, 0);
        if (!e)
            return NULL;
        e->num = at.kind == T_NUM ? at.num : 0;
        e->ns = at.ns;
        parser_advance(p);
        return e;
    }
    if (parser_accept(p, "(")) {
        struct expr *e = parser_expr(p);
        return e && parser_expect(p, ")") ? e : NULL;
    }
    if (at.kind == T_WORD)
        return parse_name(p);
    return parser_fail(p, NULL, "an expression"), NULL;
}

static struct expr *parse_unary(struct parser *p)
{
    struct token at = p->t;
    if (++p->depth > RULE_DEPTH_MAX) {
        p->depth--;
        rule_diag(p->diags, at.line, at.column, "split it with let",
                  "the expression is nested too deeply");
        return NULL;
    }
    struct expr *e;
    if (parser_accept(p, "-")) {
        struct expr *x = parse_unary(p);
        e = x ? node(p, EX_NEG, &at, 1) : NULL;
        if (e)
            e->args[0] = x, e = sealed(p, e);
    } else {
        e = parse_primary(p);
    }
    p->depth--;
    return e;
}

static const struct {
    const char *text;
    enum bin_op op;
    int level;
} binary[] = {{"*", BIN_MUL, 4}, {"/", BIN_DIV, 4}, {"+", BIN_ADD, 3},   {"-", BIN_SUB, 3},
              {"<", BIN_LT, 2},  {"<=", BIN_LE, 2}, {">", BIN_GT, 2},    {">=", BIN_GE, 2},
              {"==", BIN_EQ, 2}, {"!=", BIN_NE, 2}, {"and", BIN_AND, 1}, {"or", BIN_OR, 0}};

static struct expr *parse_not(struct parser *p);

static struct expr *parse_level(struct parser *p, int level)
{
    if (level == 2)
        return parse_not(p);
    if (level > 4)
        return parse_unary(p);
    struct expr *x = parse_level(p, level + 1);
    for (size_t i = 0; x && i < AC_ARRAY_LEN(binary); i++) {
        if (binary[i].level != level || !parser_is(p, binary[i].text))
            continue;
        struct token at = p->t;
        parser_advance(p);
        struct expr *y = parse_level(p, level + 1);
        struct expr *e = y ? node(p, EX_BIN, &at, 2) : NULL;
        if (!e)
            return NULL;
        e->bin = binary[i].op;
        e->args[0] = x;
        e->args[1] = y;
        x = sealed(p, e);
        i = (size_t)-1; /* look again from the start */
    }
    return x;
}

/* One comparison, not chained: a < b < c is refused. */
static struct expr *parse_not(struct parser *p)
{
    struct token at = p->t;
    if (parser_is(p, "not")) {
        if (++p->depth > RULE_DEPTH_MAX)
            return p->depth--, parser_fail(p, "split it with let", "less nesting"), NULL;
        parser_advance(p);
        struct expr *x = parse_not(p);
        p->depth--;
        struct expr *e = x ? node(p, EX_NOT, &at, 1) : NULL;
        if (!e)
            return NULL;
        e->args[0] = x;
        return sealed(p, e);
    }
    struct expr *x = parse_level(p, 3);
    if (parser_is(p, "="))
        return parser_fail(p, "equality is written ==", "an operator"), NULL;
    for (size_t i = 0; x && i < AC_ARRAY_LEN(binary); i++) {
        if (binary[i].level != 2 || !parser_is(p, binary[i].text))
            continue;
        struct token op = p->t;
        parser_advance(p);
        struct expr *y = parse_level(p, 3);
        struct expr *e = y ? node(p, EX_BIN, &op, 2) : NULL;
        if (!e)
            return NULL;
        e->bin = binary[i].op;
        e->args[0] = x;
        e->args[1] = y;
        return sealed(p, e);
    }
    return x;
}

struct expr *parser_expr(struct parser *p)
{
    if (++p->depth > RULE_DEPTH_MAX) {
        p->depth--;
        rule_diag(p->diags, p->t.line, p->t.column, "split it with let",
                  "the expression is nested too deeply");
        return NULL;
    }
    struct expr *e = parse_level(p, 0);
    p->depth--;
    return e;
}
