/* Recursive descent over the tokens: rules and clauses. Types are checked in check.c. */
#include "parse.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

bool parser_is(const struct parser *p, const char *text)
{
    return (p->t.kind == T_WORD || p->t.kind == T_PUNCT) && strcmp(p->t.text, text) == 0;
}

static const char *join(struct parser *p, const char *a, const char *b)
{
    return a && b ? ac_arena_printf(p->arena, "%s%s", a, b) : a ? a : b;
}

/* Comments inside a clause and behind it on its line belong to it. */
void parser_advance(struct parser *p)
{
    p->notes = join(p, p->notes, p->t.comment);
    p->t = lexer_next(&p->lx);
    p->notes = join(p, p->notes, p->t.trail);
}

/* Takes the comment lines before the current token, which starts a clause. */
static const char *own_comment(struct parser *p)
{
    const char *c = p->t.comment;
    p->t.comment = NULL;
    p->notes = NULL;
    return c;
}

bool parser_accept(struct parser *p, const char *text)
{
    if (!parser_is(p, text))
        return false;
    parser_advance(p);
    return true;
}

static const char *shown(const struct token *t)
{
    switch (t->kind) {
    case T_END:
        return "the end of the text";
    case T_NUM:
        return "a number";
    case T_DURATION:
        return "a duration";
    case T_STRING:
        return "a string";
    default:
        return t->text ? t->text : "a bad token";
    }
}

bool parser_fail(struct parser *p, const char *hint, const char *wanted)
{
    if (p->t.kind != T_BAD)
        rule_diag(p->diags, p->t.line, p->t.column, hint, "expected %s, found %s", wanted,
                  shown(&p->t));
    return false;
}

bool parser_expect(struct parser *p, const char *text)
{
    return parser_accept(p, text) ? true : parser_fail(p, NULL, text);
}

void parser_did_you_mean(char *dst, size_t size, const char *name)
{
    (void)snprintf(dst, size, "did you mean %s?", name);
}

/* for K of N, or nothing. */
static bool parse_for(struct parser *p, struct persist *ret)
{
    if (!parser_accept(p, "for"))
        return true;
    struct token at = p->t;
    double k = at.num;
    if (at.kind != T_NUM)
        return parser_fail(p, "for 3 of 5", "a number of points");
    parser_advance(p);
    if (!parser_accept(p, "of"))
        return parser_fail(p, "for 3 of 5", "of");
    if (p->t.kind != T_NUM)
        return parser_fail(p, "for 3 of 5", "a number of points");
    double n = p->t.num;
    if (!(k >= 1 && k <= n && n <= AC_RULES_WINDOW_MAX && k == (double)(uint32_t)k &&
          n == (double)(uint32_t)n)) {
        rule_diag(p->diags, at.line, at.column, NULL,
                  "for K of N needs whole numbers with 1 <= K <= N <= %u", AC_RULES_WINDOW_MAX);
        return false;
    }
    parser_advance(p);
    *ret = (struct persist){(uint32_t)k, (uint32_t)n};
    return true;
}

static bool parse_on(struct parser *p)
{
    struct ac_rule *r = p->rule;
    if (p->t.kind != T_STRING)
        return parser_fail(p, "on \"latency*\" {service = \"search\"}",
                           "a metric pattern in quotes");
    r->metric = p->t.text;
    r->metric_line = p->t.line;
    r->metric_column = p->t.column;
    parser_advance(p);
    return parser_labels(p, &r->labels, &r->n_labels);
}

static bool parse_let(struct parser *p)
{
    struct ac_rule *r = p->rule;
    struct token at = p->t;
    if (!parser_new_name(p, "let NAME = EXPRESSION"))
        return false;
    if (r->n_lets == RULE_LETS_MAX)
        return parser_fail(p, NULL, "at most 2048 lets");
    parser_advance(p);
    if (!parser_expect(p, "="))
        return false;
    struct expr *e = parser_is(p, "[") ? parser_list(p) : parser_expr(p);
    if (!e)
        return false;
    if (r->n_lets == p->cap_lets) {
        size_t cap = AC_MAX((size_t)8, p->cap_lets * 2);
        struct let *v = ac_arena_calloc(p->arena, cap, sizeof *v);
        if (!v)
            return false;
        if (r->n_lets)
            memcpy(v, r->lets, r->n_lets * sizeof *v);
        r->lets = v;
        p->cap_lets = cap;
    }
    r->lets[r->n_lets++] = (struct let){.name = at.text, .expr = e};
    return true;
}

static bool parse_severity(struct parser *p)
{
    static const char *const names[] = {"info", "warning", "critical"};
    for (size_t i = 0; i < 3; i++) {
        if (parser_accept(p, names[i])) {
            p->rule->severity = (enum ac_severity)i;
            return true;
        }
    }
    const char *close = p->t.kind == T_WORD ? rule_closest(p->t.text, names, 3) : NULL;
    char hint[64] = "info, warning or critical";
    if (close)
        parser_did_you_mean(hint, sizeof hint, close);
    return parser_fail(p, hint, "a severity");
}

static bool parse_reason(struct parser *p)
{
    struct token at = p->t;
    if (at.kind != T_STRING)
        return parser_fail(p, NULL, "the reason in quotes");
    p->rule->reason = at.text;
    parser_advance(p);
    return rule_parse_reason(p->arena, p->rule, at.line, at.column, p->diags);
}

static bool parse_body(struct parser *p, enum clause c)
{
    struct ac_rule *r = p->rule;
    switch (c) {
    case CL_ON:
        return parse_on(p);
    case CL_STEP:
        if (p->t.kind != T_DURATION)
            return parser_fail(p, "step 1s", "a duration");
        r->step_ns = p->t.ns;
        parser_advance(p);
        return true;
    case CL_WHEN:
        return (r->when = parser_expr(p)) && parse_for(p, &r->when_for);
    case CL_UNTIL:
        return (r->until = parser_expr(p)) && parse_for(p, &r->until_for);
    case CL_SEVERITY:
        return parse_severity(p);
    default:
        return parse_reason(p);
    }
}

const char *const rule_clause_names[CL_COUNT] = {"rule",  "on",       "step",   "when",
                                                 "until", "severity", "reason", "end"};

/* One clause; *seen has a bit for each kind that may come once. */
static bool parse_clause(struct parser *p, unsigned *seen)
{
    static const char *const names[] = {"",         "on",     "step", "when", "until",
                                        "severity", "reason", "",     "let",  "input"};
    struct ac_rule *r = p->rule;
    struct token at = p->t;
    size_t c = 1;
    while (c < AC_ARRAY_LEN(names) && (!names[c][0] || !parser_is(p, names[c])))
        c++;
    if (c == AC_ARRAY_LEN(names)) {
        const char *close = p->t.kind == T_WORD ? rule_closest(p->t.text, names, c) : NULL;
        char hint[96] = "clauses are on, step, input, let, when, until, severity, reason";
        if (close && close[0])
            parser_did_you_mean(hint, sizeof hint, close);
        return parser_fail(p, hint, "a clause or }");
    }
    const char *comment = own_comment(p);
    parser_advance(p);
    if (c == 8) {
        if (!parse_let(p))
            return false;
        r->lets[r->n_lets - 1].comment = join(p, comment, p->notes);
        return true;
    }
    if (c == 9) {
        if (!parser_parse_input(p))
            return false;
        r->inputs[r->n_inputs - 1].comment = join(p, comment, p->notes);
        return true;
    }
    if (*seen & (1u << c)) {
        rule_diag(p->diags, at.line, at.column, NULL, "%s is given twice", names[c]);
        return false;
    }
    *seen |= 1u << c;
    bool ok = parse_body(p, (enum clause)c);
    r->comments[c] = join(p, comment, p->notes);
    return ok;
}

static struct ac_rule *parse_rule(struct parser *p)
{
    struct ac_rule *r = p->rule = ac_arena_calloc(p->arena, 1, sizeof *r);
    if (!r)
        return NULL;
    p->cap_lets = 0;
    r->metric = "*";
    r->severity = AC_SEVERITY_WARNING;
    struct token at = p->t;
    const char *comment = own_comment(p);
    if (!parser_expect(p, "rule"))
        return NULL;
    if (p->t.kind != T_STRING || !p->t.text[0])
        return parser_fail(p, "rule \"name\" { ... }", "the rule's name in quotes"), NULL;
    r->name = p->t.text;
    parser_advance(p);
    if (!parser_expect(p, "{"))
        return NULL;
    r->comments[CL_RULE] = join(p, comment, p->notes);
    unsigned seen = 0;
    while (!parser_is(p, "}")) {
        if (!parse_clause(p, &seen))
            return NULL;
    }
    comment = own_comment(p);
    if (!r->when) {
        rule_diag(p->diags, at.line, at.column, "add: when CONDITION", "the rule %s has no when",
                  r->name);
        return NULL;
    }
    parser_advance(p);
    r->comments[CL_END] = join(p, comment, p->notes);
    return rule_check(r, p->diags) ? r : NULL;
}

static bool parse_header(struct parser *p, struct ac_ruleset *s)
{
    s->comment = own_comment(p);
    if (!parser_is(p, "language"))
        return parser_fail(p, "the first line is: language 1", "language");
    parser_advance(p);
    if (p->t.kind != T_NUM)
        return parser_fail(p, "language 1", "a version");
    if (p->t.num != AC_RULES_LANGUAGE) {
        bool newer = p->t.num > AC_RULES_LANGUAGE;
        rule_diag(p->diags, p->t.line, p->t.column, newer ? "take a newer aceso" : "language 1",
                  "the text is in language %g; this program knows language %d only", p->t.num,
                  AC_RULES_LANGUAGE);
        return false;
    }
    parser_advance(p);
    s->comment = join(p, s->comment, p->notes);
    return true;
}

static void parse_rules(struct parser *p, struct ac_ruleset *s)
{
    size_t cap = 0;
    while (p->t.kind != T_END && p->diags->n < AC_RULES_DIAGS_MAX) {
        struct token at = p->t;
        struct ac_rule *r = parse_rule(p);
        if (!r) { /* go on with the next rule, so that one run shows every error */
            while (p->t.kind != T_END && !parser_is(p, "rule"))
                parser_advance(p);
            continue;
        }
        for (size_t i = 0; i < s->n; i++) {
            if (strcmp(s->rules[i]->name, r->name) == 0)
                rule_diag(p->diags, at.line, at.column, NULL, "two rules have the name %s",
                          r->name);
        }
        if (s->n == RULE_COUNT_MAX) {
            rule_diag(p->diags, at.line, at.column, NULL, "more than %d rules", RULE_COUNT_MAX);
            return;
        }
        ac_grow(&s->rules, &cap, s->n + 1, sizeof(s->rules[0]));
        s->rules[s->n++] = r;
    }
    s->tail = p->t.comment;
}

int ac_ruleset_parse(const char *text, size_t len, struct ac_ruleset **ret_set,
                     struct ac_diags *diags)
{
    struct ac_diags own = {.n = 0};
    struct ac_diags *d = diags ? diags : &own;
    d->n = 0;
    if (len > AC_RULES_TEXT_MAX) {
        rule_diag(d, 1, 1, NULL, "the text is longer than %u bytes", AC_RULES_TEXT_MAX);
        return AC_EINVAL;
    }
    struct ac_ruleset *s = ac_xcalloc(1, sizeof *s);
    s->arena = ac_arena_create((size_t)256 * 1024 + 64 * len);
    struct parser p = {.arena = s->arena, .diags = d};
    lexer_init(&p.lx, text, len, s->arena, d);
    parser_advance(&p);
    if (parse_header(&p, s))
        parse_rules(&p, s);
    if (ac_arena_failed(s->arena) && !d->n)
        rule_diag(d, 1, 1, NULL, "the text needs too much memory");
    if (p.t.kind == T_BAD && !d->n)
        rule_diag(d, p.t.line, p.t.column, NULL, "bad token");
    if (d->n) {
        ac_ruleset_destroy(s);
        return AC_EINVAL;
    }
    *ret_set = s;
    return 0;
}

void ac_ruleset_destroy(struct ac_ruleset *s)
{
    if (!s)
        return;
    ac_arena_destroy(s->arena);
    free(s->rules);
    free(s);
}

size_t ac_ruleset_len(const struct ac_ruleset *s)
{
    return s->n;
}

const struct ac_rule *ac_ruleset_get(const struct ac_ruleset *s, size_t i)
{
    AC_ASSERT(i < s->n);
    return s->rules[i];
}
