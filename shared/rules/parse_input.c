/* Names, labels, and what a rule reads besides its own series. */
#include "parse.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

static const char *const keywords[] = {"value", "true",     "false",  "not",  "and",     "or",
                                       "for",   "of",       "let",    "on",   "step",    "when",
                                       "until", "severity", "reason", "rule", "language"};

bool parser_new_name(struct parser *p, const char *usage)
{
    struct token at = p->t;
    if (at.kind != T_WORD)
        return parser_fail(p, usage, "a name");
    for (size_t i = 0; i < AC_ARRAY_LEN(keywords); i++) {
        if (strcmp(at.text, keywords[i]) == 0)
            return parser_fail(p, "this word belongs to the language", "a name");
    }
    bool taken = parser_input(p, at.text);
    for (size_t i = 0; i < p->rule->n_lets && !taken; i++)
        taken = strcmp(at.text, p->rule->lets[i].name) == 0;
    if (taken)
        rule_diag(p->diags, at.line, at.column, "choose another name", "the name %s is given twice",
                  at.text);
    return !taken;
}

const struct input *parser_input(const struct parser *p, const char *name)
{
    for (size_t i = 0; i < p->rule->n_inputs; i++) {
        if (strcmp(p->rule->inputs[i].in.name, name) == 0)
            return &p->rule->inputs[i];
    }
    return NULL;
}

bool parser_labels(struct parser *p, struct ac_label **ret, size_t *ret_n)
{
    if (!parser_accept(p, "{"))
        return true;
    struct ac_label l[RULE_LABELS_MAX];
    size_t n = 0;
    while (!parser_is(p, "}")) {
        if (n && !parser_accept(p, ","))
            return parser_fail(p, NULL, ", or }");
        if (n == RULE_LABELS_MAX)
            return parser_fail(p, "at most 32 labels", "}");
        if (p->t.kind != T_WORD && p->t.kind != T_STRING)
            return parser_fail(p, NULL, "the name of a label");
        l[n].key = p->t.text;
        parser_advance(p);
        if (!parser_expect(p, "="))
            return false;
        if (p->t.kind != T_STRING)
            return parser_fail(p, NULL, "a pattern in quotes");
        l[n++].value = p->t.text;
        parser_advance(p);
    }
    parser_advance(p);
    *ret_n = n;
    if (n)
        *ret = ac_arena_memdup(p->arena, l, n * sizeof l[0]);
    return !n || *ret;
}

static uint64_t input_hash(const struct ac_rule_input *in)
{
    uint64_t h = ac_hash_str(in->of) * 31 + (uint64_t)in->kind;
    for (size_t i = 0; i < in->n_labels; i++)
        h = (h * 0x9e3779b97f4a7c15u ^ ac_hash_str(in->labels[i].key)) * 0xff51afd7ed558ccdu ^
            ac_hash_str(in->labels[i].value);
    return h;
}

struct input *parser_add_input(struct parser *p, const struct token *at, struct ac_rule_input in)
{
    struct ac_rule *r = p->rule;
    if (r->n_inputs == RULE_INPUTS_MAX) {
        rule_diag(p->diags, at->line, at->column, NULL, "a rule has at most %d inputs and zones",
                  RULE_INPUTS_MAX);
        return NULL;
    }
    if (!r->inputs && !(r->inputs = ac_arena_calloc(p->arena, RULE_INPUTS_MAX, sizeof *r->inputs)))
        return NULL;
    struct input *x = &r->inputs[r->n_inputs++];
    *x = (struct input){.in = in, .hash = input_hash(&in)};
    x->in.line = at->line;
    x->in.column = at->column;
    return x;
}

static bool input_kind(struct parser *p, enum ac_input_kind *ret)
{
    const char *names[] = {ac_input_kind_name(AC_INPUT_SERIES), ac_input_kind_name(AC_INPUT_MODEL),
                           ac_input_kind_name(AC_INPUT_SHARE)};
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        if (parser_accept(p, names[i])) {
            *ret = (enum ac_input_kind)i;
            return true;
        }
    }
    const char *close =
        p->t.kind == T_WORD ? rule_closest(p->t.text, names, AC_ARRAY_LEN(names)) : NULL;
    char hint[96] = "input NAME = series(\"METRIC\"), model(\"NAME\") or share(\"RULE\")";
    if (close)
        parser_did_you_mean(hint, sizeof hint, close);
    return parser_fail(p, hint, "series, model or share");
}

bool parser_parse_input(struct parser *p)
{
    struct token at = p->t;
    struct ac_rule_input in = {.name = at.text};
    if (!parser_new_name(p, "input NAME = series(\"METRIC\")"))
        return false;
    parser_advance(p);
    if (!parser_expect(p, "=") || !input_kind(p, &in.kind) || !parser_expect(p, "("))
        return false;
    if (p->t.kind != T_STRING || !p->t.text[0])
        return parser_fail(p, NULL,
                           in.kind == AC_INPUT_SERIES  ? "a metric in quotes"
                           : in.kind == AC_INPUT_MODEL ? "the model's name in quotes"
                                                       : "a rule's name in quotes");
    in.of = p->t.text;
    parser_advance(p);
    if (!parser_expect(p, ")"))
        return false;
    if (in.kind == AC_INPUT_MODEL && parser_is(p, "{"))
        return parser_fail(p, "a model scores this rule's series", "no labels");
    struct ac_label *labels = NULL;
    if (!parser_labels(p, &labels, &in.n_labels))
        return false;
    in.labels = labels;
    return parser_add_input(p, &at, in);
}

const char *ac_input_kind_name(enum ac_input_kind k)
{
    static const char *const names[] = {"series", "model", "share", "zone"};
    return (unsigned)k < AC_ARRAY_LEN(names) ? names[k] : "?";
}

size_t ac_rule_n_inputs(const struct ac_rule *r)
{
    return r->n_inputs;
}

const struct ac_rule_input *ac_rule_input(const struct ac_rule *r, size_t i)
{
    AC_ASSERT(i < r->n_inputs);
    return &r->inputs[i].in;
}

static bool same(const struct ac_rule_input *a, const struct ac_rule_input *b)
{
    if (a->kind != b->kind || strcmp(a->of, b->of) != 0 || a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < a->n_labels; i++) {
        if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
            strcmp(a->labels[i].value, b->labels[i].value) != 0)
            return false;
    }
    return true;
}

bool rule_same_input(const struct input *a, const struct input *b)
{
    return a->hash == b->hash && same(&a->in, &b->in);
}

size_t ac_plan_find_input(const struct ac_plan *p, const struct ac_rule_input *in)
{
    for (size_t i = 0; i < p->n_inputs; i++) {
        if (same(&p->inputs[i]->in, in))
            return i;
    }
    return SIZE_MAX;
}

static void check_metric(const char *glob, int line, int column, const char *const *metrics,
                         size_t n, struct ac_diags *diags)
{
    char plain[256], hint[96] = "";
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (ac_str_glob(glob, metrics[i]))
            return;
    }
    for (const char *s = glob; *s && k + 1 < sizeof plain; s++) {
        if (*s != '*' && *s != '?')
            plain[k++] = *s;
    }
    plain[k] = 0;
    const char *close = rule_closest(plain, metrics, n);
    if (close)
        (void)snprintf(hint, sizeof hint, "did you mean %.76s?", close);
    rule_diag(diags, line, column, hint, "no metric is called \"%.120s\"", glob);
}

bool ac_ruleset_check_metrics(const struct ac_ruleset *s, const char *const *metrics, size_t n,
                              struct ac_diags *diags)
{
    size_t before = diags->n;
    for (size_t i = 0; i < s->n; i++) {
        const struct ac_rule *r = s->rules[i];
        if (r->metric_line) /* else every series is followed */
            check_metric(r->metric, r->metric_line, r->metric_column, metrics, n, diags);
        for (size_t k = 0; k < r->n_inputs; k++) {
            if (r->inputs[k].in.kind == AC_INPUT_SERIES)
                check_metric(r->inputs[k].in.of, r->inputs[k].in.line, r->inputs[k].in.column,
                             metrics, n, diags);
        }
    }
    return diags->n == before;
}
