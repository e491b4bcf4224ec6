#include "tmpl.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

enum kind {
    T_CONST,
    T_EXPR,
    T_TEXT, /* children: constants and expressions, joined as text */
    T_LIST,
    T_MAP
};

struct app_tmpl {
    enum kind kind;
    int line, column;
    const struct app_value *constant;
    const struct app_expr *expr;
    const struct app_tmpl *const *items;
    const char *const *keys;
    size_t n;
};

struct compile {
    struct ac_arena *a;
    int *ret_line, *ret_column;
    struct ac_err *err;
};

#define MAX_PARTS 32

static int fail(struct compile *c, int line, int column, int code, const char *text)
{
    *c->ret_line = line;
    *c->ret_column = column;
    return ac_err_set(c->err, code, "%s", text);
}

static struct app_tmpl *make(struct compile *c, const struct app_node *n, enum kind k)
{
    struct app_tmpl *t = ac_arena_calloc(c->a, 1, sizeof(*t));
    if (t) {
        t->kind = k;
        t->line = n->line;
        t->column = n->column;
    }
    return t;
}

/* Position of a byte of a scalar in the file: exact for scalars on one line. */
static void place(const struct app_node *n, size_t offset, int *line, int *column)
{
    *line = n->line;
    *column = n->column + (int)offset + (n->quoted ? 1 : 0);
    for (size_t i = 0; i < offset && n->scalar[i]; i++) {
        if (n->scalar[i] == '\n') {
            *line = n->line;
            *column = n->column;
            return;
        }
    }
}

/* The length of an expression inside ${ }: up to the brace that closes it, texts skipped. */
static size_t expr_len(const char *s)
{
    int depth = 0;
    for (size_t i = 0; s[i]; i++) {
        if (s[i] == '\'' || s[i] == '"') {
            char q = s[i++];
            while (s[i] && s[i] != q)
                i += s[i] == '\\' && s[i + 1] ? 2 : 1;
            if (!s[i])
                return i;
        } else if (s[i] == '{') {
            depth++;
        } else if (s[i] == '}' && depth-- == 0) {
            return i;
        }
    }
    return strlen(s);
}

static const struct app_value *plain(struct ac_arena *a, const struct app_node *n)
{
    const char *s = n->scalar;
    double v = 0;
    if (n->quoted)
        return app_cstr(a, s);
    if (ac_streq(s, "") || ac_streq(s, "~") || ac_streq(s, "null"))
        return &app_null;
    if (ac_streq(s, "true") || ac_streq(s, "false"))
        return app_bool(s[0] == 't');
    if (strspn(s, "0123456789+-.eE") == strlen(s) && ac_str_to_f64(s, &v))
        return app_num(a, v);
    return app_cstr(a, s);
}

static int compile_expr(struct compile *c, const struct app_node *n, size_t at, size_t len,
                        struct app_tmpl **ret)
{
    struct app_tmpl *t = make(c, n, T_EXPR);
    struct app_expr *e = NULL;
    size_t offset = 0;
    if (!t)
        return fail(c, n->line, n->column, AC_EAGAIN, "document too large");
    int rc = app_expr_parse(c->a, n->scalar + at, len, &e, &offset, c->err);
    if (rc) {
        place(n, at + offset, c->ret_line, c->ret_column);
        return rc;
    }
    place(n, at, &t->line, &t->column);
    t->expr = e;
    *ret = t;
    return 0;
}

static int compile_scalar(struct compile *c, const struct app_node *n, const struct app_tmpl **ret)
{
    const struct app_tmpl *parts[MAX_PARTS];
    size_t np = 0;
    const char *s = n->scalar, *open;
    struct app_tmpl *t = NULL;
    if (!strstr(s, "${")) {
        t = make(c, n, T_CONST);
        if (!t || !(t->constant = plain(c->a, n)))
            return fail(c, n->line, n->column, AC_EAGAIN, "document too large");
        *ret = t;
        return 0;
    }
    for (const char *p = s; *p;) {
        open = strstr(p, "${");
        size_t text = open ? (size_t)(open - p) : strlen(p);
        if (np + 2 > MAX_PARTS)
            return fail(c, n->line, n->column, AC_EINVAL, "too many expressions in one text");
        if (text) {
            t = make(c, n, T_CONST);
            if (!t || !(t->constant = app_str(c->a, p, text)))
                return fail(c, n->line, n->column, AC_EAGAIN, "document too large");
            parts[np++] = t;
        }
        if (!open)
            break;
        size_t at = (size_t)(open - s) + 2, len = expr_len(open + 2);
        if (open[2 + len] != '}') {
            int line, column;
            place(n, at - 2, &line, &column);
            return fail(c, line, column, AC_EINVAL, "'${' without '}'");
        }
        int rc = compile_expr(c, n, at, len, &t);
        if (rc)
            return rc;
        parts[np++] = t;
        p = open + 2 + len + 1;
    }
    if (np == 1 && parts[0]->kind == T_EXPR) {
        *ret = parts[0];
        return 0;
    }
    t = make(c, n, T_TEXT);
    if (!t || !(t->items = ac_arena_memdup(c->a, parts, np * sizeof(parts[0]))))
        return fail(c, n->line, n->column, AC_EAGAIN, "document too large");
    t->n = np;
    *ret = t;
    return 0;
}

static int compile(struct compile *c, const struct app_node *n, int depth,
                   const struct app_tmpl **ret)
{
    if (depth > APP_VALUE_MAX_DEPTH)
        return fail(c, n->line, n->column, AC_EINVAL, "nested too deep");
    if (n->kind == APP_NODE_SCALAR)
        return compile_scalar(c, n, ret);
    struct app_tmpl *t = make(c, n, n->kind == APP_NODE_MAP ? T_MAP : T_LIST);
    const struct app_tmpl **items = ac_arena_calloc(c->a, n->len + 1, sizeof(*items));
    if (!t || !items)
        return fail(c, n->line, n->column, AC_EAGAIN, "document too large");
    for (size_t i = 0; i < n->len; i++) {
        int rc = compile(c, n->items[i], depth + 1, &items[i]);
        if (rc)
            return rc;
    }
    t->items = items;
    t->keys = n->keys;
    t->n = n->len;
    *ret = t;
    return 0;
}

int app_tmpl_compile(struct ac_arena *a, const struct app_node *n, const struct app_tmpl **ret,
                     int *ret_line, int *ret_column, struct ac_err *err)
{
    struct compile c = {a, ret_line, ret_column, err};
    *ret_line = n->line;
    *ret_column = n->column;
    return compile(&c, n, 0, ret);
}

static int eval_text(const struct app_tmpl *t, const struct app_scope *s, struct ac_arena *a,
                     const struct app_value **ret, struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, 1u << 20);
    for (size_t i = 0; i < t->n; i++) {
        const struct app_value *v = NULL;
        int rc = app_tmpl_eval(t->items[i], s, a, &v, err);
        if (rc) {
            ac_buf_fini(&b);
            return rc;
        }
        const char *text = app_text(a, v, NULL);
        if (!text || !ac_buf_puts(&b, text))
            b.failed = true;
    }
    *ret = b.failed ? NULL : app_cstr(a, ac_buf_str(&b));
    ac_buf_fini(&b);
    return *ret ? 0 : ac_err_set(err, AC_EAGAIN, "value too large");
}

int app_tmpl_eval(const struct app_tmpl *t, const struct app_scope *s, struct ac_arena *a,
                  const struct app_value **ret, struct ac_err *err)
{
    switch (t->kind) {
    case T_CONST:
        *ret = t->constant;
        return 0;
    case T_EXPR:
        return app_expr_eval(t->expr, s, a, ret, err);
    case T_TEXT:
        return eval_text(t, s, a, ret, err);
    default:
        break;
    }
    const struct app_value **items = ac_arena_calloc(a, t->n + 1, sizeof(*items));
    if (!items)
        return ac_err_set(err, AC_EAGAIN, "value too large");
    for (size_t i = 0; i < t->n; i++) {
        int rc = app_tmpl_eval(t->items[i], s, a, &items[i], err);
        if (rc)
            return rc;
    }
    *ret = t->kind == T_MAP ? app_map(a, t->keys, items, t->n) : app_list(a, items, t->n);
    return *ret ? 0 : ac_err_set(err, AC_EAGAIN, "value too large");
}

struct names {
    const struct app_tmpl *t;
    bool (*fn)(const char *name, int line, int column, void *arg);
    void *arg;
};

static bool on_name(const char *name, void *arg)
{
    const struct names *n = arg;
    return n->fn(name, n->t->line, n->t->column, n->arg);
}

bool app_tmpl_names(const struct app_tmpl *t,
                    bool (*fn)(const char *name, int line, int column, void *arg), void *arg)
{
    struct names n = {t, fn, arg};
    if (t->kind == T_EXPR)
        return app_expr_names(t->expr, on_name, &n);
    for (size_t i = 0; i < t->n; i++) {
        if (!app_tmpl_names(t->items[i], fn, arg))
            return false;
    }
    return true;
}

static bool is_constant(const struct app_tmpl *t)
{
    if (t->kind == T_EXPR)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        if (!is_constant(t->items[i]))
            return false;
    }
    return true;
}

const struct app_value *app_tmpl_constant(const struct app_tmpl *t)
{
    return t->kind == T_CONST && is_constant(t) ? t->constant : NULL;
}
