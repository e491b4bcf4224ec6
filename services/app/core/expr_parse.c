/* Recursive descent over the text; precedence by a table of levels. */
#include "expr_ast.h"

#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

enum tok {
    TOK_END,
    TOK_NUM,
    TOK_STR,
    TOK_NAME,
    TOK_PUNCT
};

struct parser {
    struct ac_arena *a;
    const char *text;
    size_t len, pos;
    struct ac_err *err;
    size_t *ret_offset;
    int code;
    int depth;
    /* current token */
    enum tok tok;
    size_t start, tok_len;
    char punct[3];
    double num;
    const char *str;
};

static void fail(struct parser *p, size_t offset, const char *fmt, ...) AC_PRINTF(3, 4);
static void fail(struct parser *p, size_t offset, const char *fmt, ...)
{
    if (p->code)
        return;
    va_list ap;
    va_start(ap, fmt);
    p->code = ac_err_vset(p->err, AC_EINVAL, fmt, ap);
    va_end(ap);
    *p->ret_offset = offset;
    p->tok = TOK_END;
}

static void *alloc(struct parser *p, size_t n)
{
    void *m = ac_arena_calloc(p->a, 1, n ? n : 1);
    if (!m)
        fail(p, p->start, "expression too large");
    return m;
}

static void lex_string(struct parser *p)
{
    char quote = p->text[p->pos++];
    char *dst = alloc(p, p->len - p->pos + 1);
    size_t n = 0;
    if (!dst)
        return;
    while (p->pos < p->len && p->text[p->pos] != quote) {
        char c = p->text[p->pos++];
        if (c == '\\' && p->pos < p->len) {
            c = p->text[p->pos++];
            if (c == 'n')
                c = '\n';
            else if (c == 't')
                c = '\t';
        }
        if (c)
            dst[n++] = c;
    }
    if (p->pos >= p->len) {
        fail(p, p->start, "text without its closing %c", quote);
        return;
    }
    p->pos++;
    dst[n] = '\0';
    p->str = dst;
    p->tok = TOK_STR;
}

static void lex_number(struct parser *p)
{
    char buf[48];
    size_t n = 0;
    while (p->pos < p->len && n < sizeof(buf) - 1) {
        char c = p->text[p->pos];
        bool sign = (c == '+' || c == '-') && n && (buf[n - 1] == 'e' || buf[n - 1] == 'E');
        if (!isdigit((unsigned char)c) && c != '.' && c != 'e' && c != 'E' && !sign)
            break;
        buf[n++] = c;
        p->pos++;
    }
    buf[n] = '\0';
    p->tok = TOK_NUM;
    if (!ac_str_to_f64(buf, &p->num))
        fail(p, p->start, "'%s' is no number", buf);
}

static void next(struct parser *p)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "&&", "||", "??"};
    if (p->code)
        return;
    while (p->pos < p->len && isspace((unsigned char)p->text[p->pos]))
        p->pos++;
    p->start = p->pos;
    if (p->pos >= p->len) {
        p->tok = TOK_END;
        return;
    }
    unsigned char c = (unsigned char)p->text[p->pos];
    if (c == '\'' || c == '"') {
        lex_string(p);
    } else if (isdigit(c)) {
        lex_number(p);
    } else if (isalpha(c) || c == '_') {
        while (p->pos < p->len &&
               (isalnum((unsigned char)p->text[p->pos]) || p->text[p->pos] == '_'))
            p->pos++;
        p->tok = TOK_NAME;
    } else {
        size_t n = 1;
        for (size_t i = 0; i < AC_ARRAY_LEN(two); i++) {
            if (p->len - p->pos >= 2 && memcmp(p->text + p->pos, two[i], 2) == 0)
                n = 2;
        }
        if (n == 1 && (!c || !strchr("+-*/%!<>?:.,()[]{}", c))) {
            fail(p, p->start, "unexpected character '%c'", isprint(c) ? c : '?');
            return;
        }
        memcpy(p->punct, p->text + p->pos, n);
        p->punct[n] = '\0';
        p->pos += n;
        p->tok = TOK_PUNCT;
    }
    p->tok_len = p->pos - p->start;
}

static bool is(const struct parser *p, const char *punct)
{
    return p->tok == TOK_PUNCT && strcmp(p->punct, punct) == 0;
}

static bool accept(struct parser *p, const char *punct)
{
    if (p->code || !is(p, punct))
        return false;
    next(p);
    return true;
}

static void expect(struct parser *p, const char *punct)
{
    if (!p->code && !accept(p, punct))
        fail(p, p->start, "expected '%s'", punct);
}

static struct app_expr *node(struct parser *p, enum app_op op, size_t offset, size_t n_args)
{
    struct app_expr *e = alloc(p, sizeof(*e));
    const struct app_expr **args = alloc(p, n_args * sizeof(*args));
    if (!e || !args)
        return NULL;
    e->op = op;
    e->offset = offset;
    e->args = args;
    e->n = n_args;
    return e;
}

static struct app_expr *node2(struct parser *p, enum app_op op, size_t offset,
                              const struct app_expr *x, const struct app_expr *y)
{
    struct app_expr *e = x && y ? node(p, op, offset, 2) : NULL;
    if (!e)
        return NULL;
    const struct app_expr **args = ac_arena_alloc(p->a, 2 * sizeof(*args));
    if (!args) {
        fail(p, offset, "expression too large");
        return NULL;
    }
    args[0] = x;
    args[1] = y;
    e->args = args;
    return e;
}

static struct app_expr *parse_cond(struct parser *p);

#define MAX_ARGS 64

/* Comma-separated expressions up to close (consumed). keys: "name:" before each. */
static bool parse_args(struct parser *p, const char *close, struct app_expr *e, bool keyed)
{
    const struct app_expr *args[MAX_ARGS];
    const char *keys[MAX_ARGS];
    size_t n = 0;
    while (!p->code && !accept(p, close)) {
        if (n == MAX_ARGS) {
            fail(p, p->start, "more than %d values", MAX_ARGS);
            return false;
        }
        keys[n] = NULL;
        if (keyed) {
            if (p->tok != TOK_NAME && p->tok != TOK_STR) {
                fail(p, p->start, "expected a key or '}'");
                return false;
            }
            keys[n] =
                p->tok == TOK_STR ? p->str : ac_arena_strndup(p->a, p->text + p->start, p->tok_len);
            next(p);
            expect(p, ":");
        }
        args[n] = parse_cond(p);
        if (!args[n])
            return false;
        n++;
        if (!is(p, close))
            expect(p, ",");
    }
    if (p->code)
        return false;
    e->args = ac_arena_memdup(p->a, args, AC_MAX(n, 1u) * sizeof(args[0]));
    e->keys = ac_arena_memdup(p->a, keys, AC_MAX(n, 1u) * sizeof(keys[0]));
    e->n = n;
    if (!e->args || !e->keys)
        fail(p, p->start, "expression too large");
    return !p->code;
}

static const char *bound_name(struct parser *p, const struct app_expr *arg)
{
    if (arg->op == APP_OP_NAME)
        return arg->name;
    fail(p, arg->offset, "expected a name to bind");
    return NULL;
}

static struct app_expr *parse_form(struct parser *p, enum app_form form, struct app_expr *e)
{
    static const char *const use[] = {"map(list, name, value)", "filter(list, name, condition)",
                                      "sort(list, name, key)", "index(list, name, key)",
                                      "reduce(list, total, start, name, value)"};
    size_t want = form == APP_FORM_REDUCE ? 5 : 3;
    if (!parse_args(p, ")", e, false))
        return NULL;
    if (e->n != want) {
        fail(p, e->offset, "use it as %s", use[form]);
        return NULL;
    }
    e->op = APP_OP_FORM;
    e->form = form;
    if (form == APP_FORM_REDUCE) {
        e->acc = bound_name(p, e->args[1]);
        e->name = bound_name(p, e->args[3]);
    } else {
        e->name = bound_name(p, e->args[1]);
    }
    return p->code ? NULL : e;
}

static struct app_expr *parse_call(struct parser *p, const char *name, size_t offset)
{
    static const char *const forms[] = {"map", "filter", "sort", "index", "reduce"};
    struct app_expr *e = node(p, APP_OP_CALL, offset, 0);
    if (!e)
        return NULL;
    for (size_t i = 0; i < AC_ARRAY_LEN(forms); i++) {
        if (ac_streq(name, forms[i]))
            return parse_form(p, (enum app_form)i, e);
    }
    e->fn = app_fn_find(name, strlen(name));
    if (!e->fn) {
        const char *hint = app_fn_hint(name);
        fail(p, offset, "no function '%.40s'%s%s%s", name, hint ? "; did you mean '" : "",
             hint ? hint : "", hint ? "'?" : "");
        return NULL;
    }
    if (!parse_args(p, ")", e, false))
        return NULL;
    if (e->n < e->fn->min || e->n > e->fn->max) {
        fail(p, offset, "%s takes %zu to %zu values, got %zu", name, e->fn->min, e->fn->max, e->n);
        return NULL;
    }
    return e;
}

static struct app_expr *parse_name(struct parser *p)
{
    size_t offset = p->start;
    const char *name = ac_arena_strndup(p->a, p->text + p->start, p->tok_len);
    if (!name) {
        fail(p, offset, "expression too large");
        return NULL;
    }
    next(p);
    if (accept(p, "("))
        return parse_call(p, name, offset);
    struct app_expr *e = node(p, APP_OP_NAME, offset, 0);
    if (!e)
        return NULL;
    e->name = name;
    const struct app_value *c = ac_streq(name, "true")    ? &app_true
                                : ac_streq(name, "false") ? &app_false
                                : ac_streq(name, "null")  ? &app_null
                                                          : NULL;
    if (c) {
        e->op = APP_OP_CONST;
        e->constant = c;
    }
    return e;
}

static struct app_expr *parse_primary(struct parser *p)
{
    size_t offset = p->start;
    struct app_expr *e = NULL;
    if (p->code)
        return NULL;
    if (p->tok == TOK_NUM || p->tok == TOK_STR) {
        if (!(e = node(p, APP_OP_CONST, offset, 0)))
            return NULL;
        e->constant = p->tok == TOK_NUM ? app_num(p->a, p->num) : app_cstr(p->a, p->str);
        if (!e->constant) {
            fail(p, offset, "expression too large");
            return NULL;
        }
        next(p);
        return p->code ? NULL : e;
    }
    if (p->tok == TOK_NAME)
        return parse_name(p);
    if (accept(p, "(")) {
        e = parse_cond(p);
        expect(p, ")");
        return p->code ? NULL : e;
    }
    bool map = is(p, "{");
    if (map || is(p, "[")) {
        if (!(e = node(p, map ? APP_OP_MAP : APP_OP_LIST, offset, 0)))
            return NULL;
        next(p);
        return parse_args(p, map ? "}" : "]", e, map) ? e : NULL;
    }
    fail(p, offset, p->tok == TOK_END ? "expected a value, got the end" : "expected a value");
    return NULL;
}

static struct app_expr *parse_postfix(struct parser *p)
{
    struct app_expr *e = parse_primary(p);
    while (e && !p->code) {
        size_t offset = p->start;
        struct app_expr *outer = NULL;
        if (accept(p, ".")) {
            if (p->tok != TOK_NAME) {
                fail(p, p->start, "expected a field's name after '.'");
                return NULL;
            }
            outer = node2(p, APP_OP_FIELD, offset, e, e);
            if (outer) {
                outer->n = 1;
                outer->name = ac_arena_strndup(p->a, p->text + p->start, p->tok_len);
            }
            next(p);
        } else if (accept(p, "[")) {
            outer = node2(p, APP_OP_INDEX, offset, e, parse_cond(p));
            expect(p, "]");
        } else {
            break;
        }
        e = outer;
    }
    return p->code ? NULL : e;
}

static struct app_expr *parse_unary(struct parser *p)
{
    size_t offset = p->start;
    enum app_op op = is(p, "!") ? APP_OP_NOT : APP_OP_NEG;
    if (!is(p, "!") && !is(p, "-"))
        return parse_postfix(p);
    if (++p->depth > APP_EXPR_MAX_DEPTH) {
        fail(p, offset, "nested too deep");
        return NULL;
    }
    next(p);
    struct app_expr *x = parse_unary(p);
    p->depth--;
    struct app_expr *e = node2(p, op, offset, x, x);
    if (e)
        e->n = 1;
    return e;
}

struct level_op {
    int level;
    const char *text;
    enum app_op op;
};

static const struct level_op level_ops[] = {
    {0, "??", APP_OP_ELSE}, {1, "||", APP_OP_OR}, {2, "&&", APP_OP_AND}, {3, "==", APP_OP_EQ},
    {3, "!=", APP_OP_NE},   {4, "<", APP_OP_LT},  {4, "<=", APP_OP_LE},  {4, ">", APP_OP_GT},
    {4, ">=", APP_OP_GE},   {5, "+", APP_OP_ADD}, {5, "-", APP_OP_SUB},  {6, "*", APP_OP_MUL},
    {6, "/", APP_OP_DIV},   {6, "%", APP_OP_MOD}};
#define LEVELS 7

static const struct level_op *level_op(const struct parser *p, int level)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(level_ops); i++) {
        if (level_ops[i].level == level && is(p, level_ops[i].text))
            return &level_ops[i];
    }
    return NULL;
}

static struct app_expr *parse_level(struct parser *p, int level)
{
    struct app_expr *e = level + 1 < LEVELS ? parse_level(p, level + 1) : parse_unary(p);
    const struct level_op *op;
    while (e && !p->code && (op = level_op(p, level))) {
        size_t offset = p->start;
        next(p);
        struct app_expr *right = level + 1 < LEVELS ? parse_level(p, level + 1) : parse_unary(p);
        e = node2(p, op->op, offset, e, right);
    }
    return p->code ? NULL : e;
}

static struct app_expr *parse_cond(struct parser *p)
{
    if (++p->depth > APP_EXPR_MAX_DEPTH) {
        fail(p, p->start, "nested too deep");
        return NULL;
    }
    struct app_expr *e = parse_level(p, 0);
    size_t offset = p->start;
    if (e && accept(p, "?")) {
        const struct app_expr *args[3] = {e, parse_cond(p), NULL};
        expect(p, ":");
        args[2] = p->code ? NULL : parse_cond(p);
        e = p->code ? NULL : node(p, APP_OP_COND, offset, 3);
        if (e && !(e->args = ac_arena_memdup(p->a, args, sizeof(args))))
            fail(p, offset, "expression too large");
    }
    p->depth--;
    return p->code ? NULL : e;
}

/* Levels of left recursion do not count as depth while parsing, but evaluation recurses along them:
 * the tree's height is bounded here. */
static int height(const struct app_expr *e, int above)
{
    int h = above + 1;
    if (above > 4 * APP_EXPR_MAX_DEPTH)
        return h;
    for (size_t i = 0; i < e->n; i++)
        h = AC_MAX(h, height(e->args[i], above + 1));
    return h;
}

int app_expr_parse(struct ac_arena *a, const char *text, size_t len, struct app_expr **ret,
                   size_t *ret_offset, struct ac_err *err)
{
    struct parser p = {.a = a, .text = text, .len = len, .err = err, .ret_offset = ret_offset};
    *ret_offset = 0;
    if (len > APP_EXPR_MAX_TEXT)
        return ac_err_set(err, AC_EINVAL, "expression longer than %d bytes", APP_EXPR_MAX_TEXT);
    next(&p);
    struct app_expr *e = parse_cond(&p);
    if (!p.code && p.tok != TOK_END)
        fail(&p, p.start, "unexpected text after the expression");
    if (!p.code && height(e, 0) > 4 * APP_EXPR_MAX_DEPTH)
        fail(&p, 0, "nested too deep");
    if (p.code)
        return p.code;
    *ret = e;
    return 0;
}
