#include "selector.h"

#include "js.h"

#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

enum op {
    OP_EQ,
    OP_NE,
    OP_IN,
    OP_NOTIN,
    OP_EXISTS,
    OP_ABSENT
};

#define VALUES_MAX 32

struct term {
    enum op op;
    char *key;
    size_t n_values;
    char *values[VALUES_MAX];
};

struct cl_selector {
    size_t n;
    struct term terms[CL_SELECTOR_MAX_TERMS];
};

struct cursor {
    const char *p;
    struct ac_err *err;
};

static void skip_space(struct cursor *c)
{
    while (*c->p == ' ')
        c->p++;
}

static bool word_char(char ch)
{
    return isalnum((unsigned char)ch) || ch == '-' || ch == '_' || ch == '.' || ch == '/';
}

/* A key or value; may be empty for values. */
static char *word(struct cursor *c)
{
    skip_space(c);
    const char *from = c->p;
    while (word_char(*c->p))
        c->p++;
    char *w = ac_xstrndup(from, (size_t)(c->p - from));
    skip_space(c);
    return w;
}

static int bad(struct cursor *c, const char *what)
{
    return ac_err_set(c->err, AC_EPROTO, "selector: %s at \"%.40s\"", what, c->p);
}

static bool keyword(struct cursor *c, const char *kw)
{
    size_t n = strlen(kw);
    if (strncmp(c->p, kw, n) != 0 || word_char(c->p[n]))
        return false;
    c->p += n;
    skip_space(c);
    return true;
}

static int values_in_parens(struct cursor *c, struct term *t)
{
    if (*c->p != '(')
        return bad(c, "expected '('");
    c->p++;
    for (;;) {
        if (t->n_values == VALUES_MAX)
            return bad(c, "too many values");
        t->values[t->n_values++] = word(c);
        if (*c->p == ',') {
            c->p++;
            continue;
        }
        if (*c->p != ')')
            return bad(c, "expected ',' or ')'");
        c->p++;
        skip_space(c);
        return 0;
    }
}

static int parse_term(struct cursor *c, struct term *t, bool fields)
{
    skip_space(c);
    bool absent = !fields && *c->p == '!';
    if (absent)
        c->p++;
    t->key = word(c);
    if (t->key[0] == '\0')
        return bad(c, "expected a key");
    if (absent) {
        t->op = OP_ABSENT;
        return 0;
    }
    if (*c->p == '=' || (*c->p == '!' && c->p[1] == '=')) {
        t->op = *c->p == '=' ? OP_EQ : OP_NE;
        c->p += t->op == OP_NE || c->p[1] == '=' ? 2 : 1;
        t->n_values = 1;
        t->values[0] = word(c);
        return 0;
    }
    if (fields)
        return bad(c, "expected = or !=");
    if (keyword(c, "in")) {
        t->op = OP_IN;
        return values_in_parens(c, t);
    }
    if (keyword(c, "notin")) {
        t->op = OP_NOTIN;
        return values_in_parens(c, t);
    }
    t->op = OP_EXISTS;
    return 0;
}

static int parse(const char *text, bool fields, struct cl_selector **ret, struct ac_err *err)
{
    if (ac_str_empty(text)) {
        *ret = NULL;
        return 0;
    }
    if (strlen(text) > CL_SELECTOR_MAX_BYTES)
        return ac_err_set(err, AC_EPROTO, "selector: longer than %d bytes", CL_SELECTOR_MAX_BYTES);
    struct cl_selector *s = ac_xcalloc(1, sizeof(*s));
    struct cursor c = {text, err};
    for (;;) {
        int r;
        if (s->n == CL_SELECTOR_MAX_TERMS)
            r = bad(&c, "too many terms");
        else
            r = parse_term(&c, &s->terms[s->n++], fields);
        if (r == 0 && *c.p == ',') {
            c.p++;
            continue;
        }
        if (r == 0 && *c.p != '\0')
            r = bad(&c, "expected ','");
        if (r != 0) {
            cl_selector_destroy(s);
            return r;
        }
        *ret = s;
        return 0;
    }
}

int cl_selector_parse(const char *text, struct cl_selector **ret, struct ac_err *err)
{
    return parse(text, false, ret, err);
}

int cl_fields_parse(const char *text, struct cl_selector **ret, struct ac_err *err)
{
    return parse(text, true, ret, err);
}

void cl_selector_destroy(struct cl_selector *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->terms[i].key);
        for (size_t k = 0; k < s->terms[i].n_values; k++)
            free(s->terms[i].values[k]);
    }
    free(s);
}

static bool term_holds(const struct term *t, const char *value)
{
    bool in = false;
    for (size_t i = 0; value != NULL && i < t->n_values; i++)
        in = in || strcmp(t->values[i], value) == 0;
    switch (t->op) {
    case OP_EQ:
    case OP_IN:
        return in;
    case OP_NE:
    case OP_NOTIN:
        return !in;
    case OP_EXISTS:
        return value != NULL;
    case OP_ABSENT:
        return value == NULL;
    }
    return false;
}

bool cl_selector_labels(const struct cl_selector *s, const json_t *object)
{
    for (size_t i = 0; s != NULL && i < s->n; i++)
        if (!term_holds(&s->terms[i], js_label(object, s->terms[i].key)))
            return false;
    return true;
}

/* Field values are compared as text; an absent field is "". */
static const char *field_text(const json_t *object, const char *path, char num[24])
{
    /* Outside text: no asserting path helper here. */
    const json_t *at = object;
    while (at != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        char seg[64];
        if (n >= sizeof(seg))
            return "";
        memcpy(seg, path, n);
        seg[n] = '\0';
        at = json_object_get(at, seg);
        path += path[n] == '.' ? n + 1 : n;
    }
    if (json_is_string(at))
        return json_string_value(at);
    if (json_is_boolean(at))
        return json_is_true(at) ? "true" : "false";
    if (json_is_integer(at)) {
        ac_str_from_f64(num, 24, (double)json_integer_value(at));
        return num;
    }
    return "";
}

bool cl_selector_fields(const struct cl_selector *s, const json_t *object)
{
    char num[24];
    for (size_t i = 0; s != NULL && i < s->n; i++)
        if (!term_holds(&s->terms[i], field_text(object, s->terms[i].key, num)))
            return false;
    return true;
}

const char *cl_fields_name(const struct cl_selector *s)
{
    for (size_t i = 0; s != NULL && i < s->n; i++)
        if (s->terms[i].op == OP_EQ && ac_streq(s->terms[i].key, "metadata.name"))
            return s->terms[i].values[0];
    return NULL;
}

char *cl_selector_text(const struct cl_selector *s)
{
    struct ac_buf b;
    ac_buf_init(&b, 4ul * CL_SELECTOR_MAX_BYTES);
    ac_buf_puts(&b, "");
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        const struct term *t = &s->terms[i];
        ac_buf_printf(&b, "%s%s%s", i > 0 ? "," : "", t->op == OP_ABSENT ? "!" : "", t->key);
        if (t->op == OP_EQ || t->op == OP_NE)
            ac_buf_printf(&b, "%s%s", t->op == OP_EQ ? "=" : "!=", t->values[0]);
        if (t->op != OP_IN && t->op != OP_NOTIN)
            continue;
        ac_buf_puts(&b, t->op == OP_IN ? " in (" : " notin (");
        for (size_t k = 0; k < t->n_values; k++)
            ac_buf_printf(&b, "%s%s", k > 0 ? "," : "", t->values[k]);
        ac_buf_puts(&b, ")");
    }
    return ac_buf_take(&b);
}

static bool all_equal(const json_t *map, const json_t *labels)
{
    const char *k;
    json_t *v;
    json_object_foreach(
        (json_t *)(uintptr_t)map, k,
        v) if (!ac_streq(json_string_value(v), json_string_value(json_object_get(labels, k))) ||
               !json_is_string(v)) return false;
    return true;
}

static bool expression_holds(const json_t *e, const json_t *labels)
{
    const char *op = js_str(e, "operator", "");
    const char *value = json_string_value(json_object_get(labels, js_str(e, "key", "")));
    bool in = false;
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(e, "values"), i, v) in =
        in || (value != NULL && ac_streq(json_string_value(v), value));
    if (ac_streq(op, "In"))
        return in;
    if (ac_streq(op, "NotIn"))
        return !in;
    if (ac_streq(op, "Exists"))
        return value != NULL;
    if (ac_streq(op, "DoesNotExist"))
        return value == NULL;
    return false;
}

bool cl_match_selector(const json_t *selector, const json_t *labels)
{
    if (!json_is_object(selector))
        return false;
    if (!all_equal(json_object_get(selector, "matchLabels"), labels))
        return false;
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(selector, "matchExpressions"), i,
                       e) if (!expression_holds(e, labels)) return false;
    return true;
}

bool cl_match_labels(const json_t *map, const json_t *labels)
{
    return json_object_size(map) > 0 && all_equal(map, labels);
}
