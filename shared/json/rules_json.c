/* Rules from JSON. The tree is written as text, which the language's own parser then reads and
 * checks: one set of checks. Beside the text goes a list of where each value went, so that a
 * mistake is told by its path. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/buf.h>
#include <aceso/json.h>
#include <aceso/rules_json.h>
#include <aceso/str.h>

#define TEXT_MAX  (2 * (size_t)AC_RULES_TEXT_MAX)
#define JSON_MAX  (4 * AC_RULES_TEXT_MAX)
#define DEPTH_MAX 250
#define NO_PLACE  UINT32_MAX

struct place {
    uint32_t parent;
    const char *key; /* NULL: element of an array */
    size_t index, offset;
};

struct writer {
    const char *name;
    struct ac_buf b;
    struct place *places;
    size_t n, cap;
    int depth;
    struct ac_err *err;
};

static uint32_t mark(struct writer *w, uint32_t parent, const char *key, size_t index)
{
    ac_grow(&w->places, &w->cap, w->n + 1, sizeof *w->places);
    w->places[w->n] = (struct place){parent, key, index, w->b.len};
    return (uint32_t)w->n++;
}

/* Says again that what follows in the text belongs to a place. */
static void mark_again(struct writer *w, uint32_t place)
{
    if (place == NO_PLACE)
        return;
    struct place p = w->places[place];
    (void)mark(w, p.parent, p.key, p.index);
}

static void put_path(const struct writer *w, struct ac_buf *b, uint32_t place)
{
    if (place == NO_PLACE)
        return;
    const struct place *p = &w->places[place];
    put_path(w, b, p->parent);
    if (!p->key)
        ac_buf_printf(b, "[%zu]", p->index);
    else
        ac_buf_printf(b, "%s%.40s", b->len ? "." : "", p->key);
}

static bool fail(struct writer *w, uint32_t place, const char *fmt, ...) AC_PRINTF(3, 4);
static bool fail(struct writer *w, uint32_t place, const char *fmt, ...)
{
    char msg[192];
    struct ac_buf path;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    ac_buf_init(&path, 8192);
    put_path(w, &path, place);
    const char *p = ac_buf_str(&path);
    if (path.len > 100) /* the end says more */
        p += path.len - 100;
    (void)ac_err_set(w->err, AC_EINVAL, "%s: %s%s%s", w->name, p, *p ? ": " : "", msg);
    ac_buf_fini(&path);
    return false;
}

static bool known_keys(struct writer *w, const json_t *o, uint32_t place, const char *const *keys)
{
    const char *key;
    json_t *v;
    if (!json_is_object(o))
        return fail(w, place, "an object is expected here");
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0)
            i++;
        if (!keys[i])
            return fail(w, place, "there is no key %.40s here", key);
    }
    return true;
}

/* *ret NULL where the key is absent and may be. */
static bool text_of(struct writer *w, const json_t *o, uint32_t place, const char *key,
                    const char **ret)
{
    json_t *v = json_object_get(o, key);
    *ret = json_string_value(v);
    return !v || *ret || fail(w, mark(w, place, key, 0), "a string is expected here");
}

static bool needed(struct writer *w, const json_t *o, uint32_t place, const char *key,
                   const char **ret)
{
    return text_of(w, o, place, key, ret) && (*ret || fail(w, place, "the key %s is missing", key));
}

static void put_quoted(struct writer *w, const char *s)
{
    ac_buf_putc(&w->b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            ac_buf_putc(&w->b, '\\');
        if (*s == '\n')
            ac_buf_puts(&w->b, "\\n");
        else
            ac_buf_putc(&w->b, *s);
    }
    ac_buf_putc(&w->b, '"');
}

static void put_comment(struct writer *w, const char *s)
{
    while (s && *s) {
        size_t n = strcspn(s, "\n");
        ac_buf_puts(&w->b, "# ");
        ac_buf_append(&w->b, s, n);
        ac_buf_putc(&w->b, '\n');
        s += n + (s[n] == '\n');
    }
}

/* ---- expressions ---- */

static const struct {
    const char *op;
    int level;
} binary[] = {{"or", 0}, {"and", 1}, {"<", 3}, {"<=", 3}, {">", 3}, {">=", 3},
              {"==", 3}, {"!=", 3},  {"+", 4}, {"-", 4},  {"*", 5}, {"/", 5}};

enum {
    LEVEL_NOT = 2,
    LEVEL_COMPARE = 3,
    LEVEL_NEG = 6,
    LEVEL_ATOM = 7
};

static bool put_expr(struct writer *w, const json_t *j, uint32_t place, int least);

static bool put_number(struct writer *w, const json_t *j)
{
    char s[64];
    ac_str_from_f64(s, sizeof s, json_number_value(j));
    return ac_buf_puts(&w->b, s);
}

static bool is_word(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return n && !s[n] && n <= 128 && !isdigit((unsigned char)*s);
}

static bool put_args(struct writer *w, const json_t *args, uint32_t place, const char *op)
{
    ac_buf_printf(&w->b, "%s(", op);
    for (size_t i = 0; i < json_array_size(args); i++) {
        if (i)
            ac_buf_puts(&w->b, ", ");
        if (!put_expr(w, json_array_get(args, i), mark(w, place, NULL, i), 0))
            return false;
    }
    return ac_buf_putc(&w->b, ')');
}

static bool put_two(struct writer *w, const json_t *args, uint32_t place, uint32_t args_place,
                    size_t k)
{
    int own = binary[k].level;
    if (!put_expr(w, json_array_get(args, 0), mark(w, args_place, NULL, 0),
                  own == LEVEL_COMPARE ? own + 1 : own))
        return false;
    ac_buf_putc(&w->b, ' ');
    mark_again(w, place);
    ac_buf_printf(&w->b, "%s ", binary[k].op);
    return put_expr(w, json_array_get(args, 1), mark(w, args_place, NULL, 1), own + 1);
}

static bool put_op(struct writer *w, const json_t *j, uint32_t place, int least)
{
    static const char *const keys[] = {"op", "args", NULL};
    const json_t *args = json_object_get(j, "args");
    const char *op;
    if (!known_keys(w, j, place, keys) || !needed(w, j, place, "op", &op))
        return false;
    if (!json_is_array(args))
        return fail(w, place, "args must be an array");
    size_t n = json_array_size(args), k = 0;
    while (k < AC_ARRAY_LEN(binary) && (n != 2 || strcmp(binary[k].op, op) != 0))
        k++;
    bool two = k < AC_ARRAY_LEN(binary), neg = n == 1 && strcmp(op, "-") == 0,
         not = n == 1 && strcmp(op, "not") == 0;
    int own = two ? binary[k].level : neg ? LEVEL_NEG : not ? LEVEL_NOT : LEVEL_ATOM;
    uint32_t args_place = mark(w, place, "args", 0);
    mark_again(w, place);
    if (own < least)
        ac_buf_putc(&w->b, '(');
    bool ok;
    if (two) {
        ok = put_two(w, args, place, args_place, k);
    } else if (neg || not ) {
        ac_buf_puts(&w->b, neg ? "-" : "not ");
        ok = put_expr(w, json_array_get(args, 0), mark(w, args_place, NULL, 0), own);
    } else {
        ok = is_word(op) ? put_args(w, args, args_place, op)
                         : fail(w, place, "there is no operator %.40s with %zu args", op, n);
    }
    if (own < least)
        ac_buf_putc(&w->b, ')');
    return ok;
}

static bool put_list(struct writer *w, const json_t *j, uint32_t place)
{
    static const char *const keys[] = {"list", NULL};
    const json_t *list = json_object_get(j, "list");
    if (!known_keys(w, j, place, keys))
        return false;
    if (!json_is_array(list))
        return fail(w, place, "list must be an array");
    ac_buf_putc(&w->b, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        ac_buf_puts(&w->b, i ? ", " : "");
        if (!json_is_number(json_array_get(list, i)))
            return fail(w, place, "a list holds numbers only");
        put_number(w, json_array_get(list, i));
    }
    return ac_buf_putc(&w->b, ']');
}

/* A duration or zone: an object of one string. */
static bool put_one(struct writer *w, const json_t *j, uint32_t place, const char *key)
{
    const char *const keys[] = {key, NULL};
    const char *s;
    if (!known_keys(w, j, place, keys) || !needed(w, j, place, key, &s))
        return false;
    if (strcmp(key, "zone") == 0) {
        put_quoted(w, s);
        return true;
    }
    size_t n = strspn(s, "0123456789.abcdefghijklmnopqrstuvwxyz");
    if (!isdigit((unsigned char)*s) || s[n] || n > 40)
        return fail(w, place, "%.40s is no duration", s);
    return ac_buf_puts(&w->b, s);
}

static bool put_object(struct writer *w, const json_t *j, uint32_t place, int least)
{
    if (json_object_get(j, "list"))
        return put_list(w, j, place);
    if (json_object_get(j, "duration"))
        return put_one(w, j, place, "duration");
    if (json_object_get(j, "zone"))
        return put_one(w, j, place, "zone");
    return put_op(w, j, place, least);
}

static bool put_expr(struct writer *w, const json_t *j, uint32_t place, int least)
{
    if (w->depth == DEPTH_MAX)
        return fail(w, place, "the expression is nested too deeply");
    if (w->b.failed)
        return false; /* told at the end */
    w->depth++;
    bool ok = true;
    if (json_is_object(j)) {
        ok = put_object(w, j, place, least);
    } else if (json_is_boolean(j)) {
        ac_buf_puts(&w->b, json_is_true(j) ? "true" : "false");
    } else if (json_is_number(j)) {
        put_number(w, j);
    } else if (json_is_string(j)) {
        ok = is_word(json_string_value(j)) ||
             fail(w, place, "%.40s is no name", json_string_value(j));
        ac_buf_puts(&w->b, json_string_value(j));
    } else {
        ok = fail(w, place, "an expression is a number, a truth value, a name or an object");
    }
    w->depth--;
    return ok;
}

/* ---- clauses ---- */

static bool put_labels(struct writer *w, const json_t *o, uint32_t place)
{
    const json_t *labels = json_object_get(o, "labels");
    if (labels && !json_is_array(labels))
        return fail(w, place, "labels must be an array of [name, pattern]");
    size_t n = json_array_size(labels);
    uint32_t at = mark(w, place, "labels", 0);
    for (size_t i = 0; i < n; i++) {
        const json_t *l = json_array_get(labels, i);
        const char *key = json_string_value(json_array_get(l, 0));
        const char *glob = json_string_value(json_array_get(l, 1));
        if (!key || !glob || json_array_size(l) != 2)
            return fail(w, mark(w, at, NULL, i), "a label is [name, pattern]");
        ac_buf_puts(&w->b, i ? ", " : " {");
        put_quoted(w, key);
        ac_buf_puts(&w->b, " = ");
        put_quoted(w, glob);
    }
    return ac_buf_puts(&w->b, n ? "}\n" : "\n");
}

static const char *comment_of(const json_t *rule, const char *clause)
{
    return json_string_value(json_object_get(json_object_get(rule, "comments"), clause));
}

static bool put_condition(struct writer *w, const json_t *r, uint32_t place, const char *key)
{
    const char *for_key = strcmp(key, "when") == 0 ? "when_for" : "until_for";
    const json_t *j = json_object_get(r, key);
    const json_t *f = json_object_get(r, for_key);
    if (!j)
        return !f || fail(w, place, "%s stands without %s", for_key, key);
    put_comment(w, comment_of(r, key));
    ac_buf_printf(&w->b, "%s ", key);
    if (!put_expr(w, j, mark(w, place, key, 0), 0))
        return false;
    uint32_t at = mark(w, place, for_key, 0);
    if (f) {
        if (json_array_size(f) != 2 || !json_is_integer(json_array_get(f, 0)) ||
            !json_is_integer(json_array_get(f, 1)))
            return fail(w, at, "persistence is [K, N]");
        ac_buf_printf(&w->b, " for %llu of %llu",
                      (unsigned long long)json_integer_value(json_array_get(f, 0)),
                      (unsigned long long)json_integer_value(json_array_get(f, 1)));
    }
    return ac_buf_putc(&w->b, '\n');
}

static bool put_input(struct writer *w, const json_t *in, uint32_t place)
{
    static const char *const keys[] = {"name", "kind", "of", "labels", "comment", NULL};
    const char *name, *kind, *of, *comment;
    if (!known_keys(w, in, place, keys) || !needed(w, in, place, "name", &name) ||
        !needed(w, in, place, "kind", &kind) || !needed(w, in, place, "of", &of) ||
        !text_of(w, in, place, "comment", &comment))
        return false;
    if (!is_word(name) || !is_word(kind))
        return fail(w, place, "name and kind are words");
    put_comment(w, comment);
    mark_again(w, place);
    ac_buf_printf(&w->b, "input %s = %s(", name, kind);
    put_quoted(w, of);
    ac_buf_putc(&w->b, ')');
    return put_labels(w, in, place);
}

static bool put_let(struct writer *w, const json_t *let, uint32_t place)
{
    static const char *const keys[] = {"name", "expr", "comment", NULL};
    const char *name, *comment;
    const json_t *e = json_object_get(let, "expr");
    if (!known_keys(w, let, place, keys) || !needed(w, let, place, "name", &name) ||
        !text_of(w, let, place, "comment", &comment))
        return false;
    if (!is_word(name) || !e)
        return fail(w, place, "a let has a word as its name, and expr");
    put_comment(w, comment);
    mark_again(w, place);
    ac_buf_printf(&w->b, "let %s = ", name);
    return put_expr(w, e, mark(w, place, "expr", 0), 0) && ac_buf_putc(&w->b, '\n');
}

static bool put_each(struct writer *w, const json_t *r, uint32_t place, const char *key,
                     bool (*put)(struct writer *w, const json_t *j, uint32_t place))
{
    const json_t *list = json_object_get(r, key);
    uint32_t at = mark(w, place, key, 0);
    if (list && !json_is_array(list))
        return fail(w, at, "an array is expected here");
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!put(w, json_array_get(list, i), mark(w, at, NULL, i)))
            return false;
    }
    return true;
}

static bool put_comments_ok(struct writer *w, const json_t *r, uint32_t place)
{
    static const char *const keys[] = {"rule",     "on",     "step", "when", "until",
                                       "severity", "reason", "end",  NULL};
    const json_t *c = json_object_get(r, "comments");
    uint32_t at = mark(w, place, "comments", 0);
    const char *text;
    bool ok = !c || known_keys(w, c, at, keys);
    for (size_t i = 0; ok && c && keys[i]; i++)
        ok = text_of(w, c, at, keys[i], &text);
    return ok;
}

/* One line of a clause that is a word and a text. */
static void put_clause(struct writer *w, const json_t *r, uint32_t place, const char *key,
                       const char *text, bool quoted)
{
    if (!text)
        return;
    put_comment(w, comment_of(r, key));
    (void)mark(w, place, key, 0);
    ac_buf_printf(&w->b, "%s ", key);
    if (quoted)
        put_quoted(w, text);
    else
        ac_buf_puts(&w->b, text);
    ac_buf_putc(&w->b, '\n');
}

static bool put_rule(struct writer *w, const json_t *r, uint32_t place)
{
    static const char *const keys[] = {"name",     "metric", "labels",   "step",  "inputs",
                                       "lets",     "when",   "when_for", "until", "until_for",
                                       "severity", "reason", "comments", NULL};
    const char *name, *metric, *step, *severity, *reason;
    if (!known_keys(w, r, place, keys) || !needed(w, r, place, "name", &name) ||
        !text_of(w, r, place, "metric", &metric) || !text_of(w, r, place, "step", &step) ||
        !text_of(w, r, place, "severity", &severity) || !text_of(w, r, place, "reason", &reason) ||
        !put_comments_ok(w, r, place))
        return false;
    if (!json_object_get(r, "when"))
        return fail(w, place, "the key when is missing");
    put_comment(w, comment_of(r, "rule"));
    mark_again(w, place);
    ac_buf_puts(&w->b, "rule ");
    put_quoted(w, name);
    ac_buf_puts(&w->b, " {\n");
    put_comment(w, comment_of(r, "on"));
    (void)mark(w, place, "metric", 0);
    ac_buf_puts(&w->b, "on ");
    put_quoted(w, metric ? metric : "*");
    if (!put_labels(w, r, place))
        return false;
    size_t n = step ? strspn(step, "0123456789.abcdefghijklmnopqrstuvwxyz") : 0;
    if (step && (step[n] || n > 40 || !isdigit((unsigned char)*step)))
        return fail(w, mark(w, place, "step", 0), "%.40s is no duration", step);
    if (severity && !is_word(severity))
        return fail(w, mark(w, place, "severity", 0), "%.40s is no severity", severity);
    put_clause(w, r, place, "step", step, false);
    if (!put_each(w, r, place, "inputs", put_input) || !put_each(w, r, place, "lets", put_let) ||
        !put_condition(w, r, place, "when") || !put_condition(w, r, place, "until"))
        return false;
    put_clause(w, r, place, "severity", severity ? severity : "warning", false);
    put_clause(w, r, place, "reason", reason, true);
    put_comment(w, comment_of(r, "end"));
    mark_again(w, place);
    return ac_buf_puts(&w->b, "}\n");
}

static bool put_set(struct writer *w, const json_t *j)
{
    static const char *const keys[] = {"language", "comment", "rules", "tail", NULL};
    const char *comment = NULL, *tail = NULL;
    if (json_is_object(j) && !json_object_get(j, "language")) {
        ac_buf_printf(&w->b, "language %d\n", AC_RULES_LANGUAGE);
        return put_rule(w, j, NO_PLACE);
    }
    if (!known_keys(w, j, NO_PLACE, keys) || !text_of(w, j, NO_PLACE, "comment", &comment) ||
        !text_of(w, j, NO_PLACE, "tail", &tail))
        return false;
    put_comment(w, comment);
    uint32_t at = mark(w, NO_PLACE, "language", 0);
    if (!json_is_integer(json_object_get(j, "language")))
        return fail(w, at, "a version is expected here");
    ac_buf_printf(&w->b, "language %lld\n",
                  (long long)json_integer_value(json_object_get(j, "language")));
    if (!put_each(w, j, NO_PLACE, "rules", put_rule))
        return false;
    put_comment(w, tail);
    return true;
}

/* The last place that began at or before a position of the text. */
static uint32_t place_at(const struct writer *w, int line, int column)
{
    const char *s = w->b.data;
    for (int i = 1; i < line && s; i++)
        s = (s = strchr(s, '\n')) ? s + 1 : NULL;
    size_t offset = s ? (size_t)(s - w->b.data) + (size_t)column - 1 : w->b.len;
    uint32_t best = NO_PLACE;
    for (size_t i = 0; i < w->n && w->places[i].offset <= offset; i++)
        best = (uint32_t)i;
    return best;
}

int ac_ruleset_from_json(const char *name, const char *text, size_t len, struct ac_ruleset **ret,
                         struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    struct ac_err own = AC_ERR_INIT;
    struct ac_diags d;
    if (len > JSON_MAX)
        return ac_err_set(err, AC_EINVAL, "%s: the rules are longer than %u bytes", name, JSON_MAX);
    int rc = ac_json_parse(name, text, len, &j, err);
    if (rc < 0)
        return rc;
    struct writer w = {.name = name, .err = err ? err : &own};
    ac_buf_init(&w.b, TEXT_MAX);
    if (!put_set(&w, j)) {
        rc = AC_EINVAL;
        if (w.b.failed)
            (void)fail(&w, NO_PLACE, "the rules are longer than %zu bytes of text", TEXT_MAX);
    } else if (w.b.failed) {
        rc = AC_EINVAL;
        (void)fail(&w, NO_PLACE, "the rules are longer than %zu bytes of text", TEXT_MAX);
    } else if (ac_ruleset_parse(ac_buf_str(&w.b), w.b.len, ret, &d) < 0) {
        rc = AC_EINVAL;
        (void)fail(&w, place_at(&w, d.v[0].line, d.v[0].column), "%s%s%s%s", d.v[0].message,
                   d.v[0].hint[0] ? " (" : "", d.v[0].hint, d.v[0].hint[0] ? ")" : "");
    }
    ac_buf_fini(&w.b);
    free(w.places);
    return rc;
}
