#include "lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/str.h>

void rule_diag(struct ac_diags *d, int line, int column, const char *hint, const char *fmt, ...)
{
    if (!d || d->n >= AC_RULES_DIAGS_MAX)
        return;
    struct ac_diag *x = &d->v[d->n++];
    x->line = line;
    x->column = column;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(x->message, sizeof x->message, fmt, ap);
    va_end(ap);
    ac_str_copy(x->hint, sizeof x->hint, hint ? hint : "");
}

void lexer_init(struct lexer *l, const char *text, size_t len, struct ac_arena *a,
                struct ac_diags *d)
{
    *l = (struct lexer){
        .p = text, .end = text + len, .line_start = text, .line = 1, .arena = a, .diags = d};
}

static bool at(const struct lexer *l, char c)
{
    return l->p < l->end && *l->p == c;
}

static struct token bad(struct lexer *l, struct token t, const char *hint, const char *msg)
{
    rule_diag(l->diags, t.line, t.column, hint, "%s", msg);
    t.kind = T_BAD;
    return t;
}

static const char *taken(struct lexer *l, struct ac_buf *b)
{
    const char *out = NULL;
    if (b->len)
        out = ac_arena_strdup(l->arena, b->data);
    ac_buf_reset(b);
    return out;
}

/* Blanks and comments. Comments are kept with their token, so that the canonical printer can give
 * them back: apart those on the line of the token before. */
static void skip(struct lexer *l, struct token *t)
{
    struct ac_buf b;
    ac_buf_init(&b, 2 * (size_t)AC_RULES_TEXT_MAX); /* more than a text can have */
    while (l->p < l->end) {
        char c = *l->p;
        if (c == '\n') {
            if (b.len && !t->trail && l->started && !l->newline)
                t->trail = taken(l, &b);
            l->newline = true;
            l->line++;
            l->line_start = ++l->p;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            l->p++;
        } else if (c == '#') {
            const char *s = ++l->p;
            while (l->p < l->end && *l->p != '\n')
                l->p++;
            while (s < l->p && (*s == ' ' || *s == '\t'))
                s++;
            const char *e = l->p;
            while (e > s && isspace((unsigned char)e[-1]))
                e--;
            size_t before = b.len;
            ac_buf_append(&b, s, (size_t)(e - s));
            ac_buf_putc(&b, '\n');
            if (memchr(b.data + before, 0, b.len - before) ||
                !ac_utf8_valid_n(b.data + before, b.len - before))
                l->not_utf8 = true;
        } else {
            break;
        }
    }
    t->comment = taken(l, &b);
    ac_buf_fini(&b);
    l->newline = false;
    l->started = true;
}

static const struct {
    const char *unit;
    int64_t ns;
} units[] = {
    {"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", 1000000000},
    {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000}, {"w", 604800000000000}};

static struct token number(struct lexer *l, struct token t)
{
    char buf[64];
    size_t n = 0;
    bool exp = false;
    while (l->p < l->end && n < sizeof buf - 1) {
        char c = *l->p;
        bool sign = (c == '+' || c == '-') && n && (buf[n - 1] == 'e' || buf[n - 1] == 'E');
        bool e = (c == 'e' || c == 'E') && !exp && l->p + 1 < l->end &&
                 (isdigit((unsigned char)l->p[1]) || l->p[1] == '-' || l->p[1] == '+');
        if (!isdigit((unsigned char)c) && c != '.' && !e && !sign)
            break;
        exp |= e;
        buf[n++] = *l->p++;
    }
    buf[n] = 0;
    if (!ac_str_to_f64(buf, &t.num) || !(t.num <= RULE_NUM_MAX))
        return bad(l, t, NULL, "this is no number, or it is too large");
    t.kind = T_NUM;
    char unit[8];
    size_t u = 0;
    while (l->p < l->end && isalpha((unsigned char)*l->p) && u < sizeof unit - 1)
        unit[u++] = *l->p++;
    unit[u] = 0;
    if (!u)
        return t;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        double ns = t.num * (double)units[i].ns;
        if (strcmp(unit, units[i].unit) == 0 && ns >= 1 && ns < 9e18 && ns == (double)(int64_t)ns) {
            t.kind = T_DURATION;
            t.ns = (int64_t)ns;
            return t;
        }
    }
    return bad(l, t, "durations end in ns, us, ms, s, m, h, d or w", "unknown unit after a number");
}

static struct token string(struct lexer *l, struct token t)
{
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    l->p++;
    bool closed = false;
    while (l->p < l->end && *l->p != '\n') {
        unsigned char c = (unsigned char)*l->p++;
        if (c == '"') {
            closed = true;
            break;
        }
        if (c == '\\' && l->p < l->end && (*l->p == '"' || *l->p == '\\'))
            c = (unsigned char)*l->p++;
        else if (c == '\\' && l->p < l->end && *l->p == 'n')
            c = '\n', l->p++;
        else if (c == '\\' || c < 0x20 || c == 0x7f) {
            ac_buf_fini(&b);
            return bad(l, t, "escapes are \\\" \\\\ and \\n",
                       "a control character or escape in a string");
        }
        ac_buf_putc(&b, (char)c);
    }
    t.kind = T_STRING;
    bool utf8 = ac_utf8_valid(ac_buf_str(&b));
    t.text = b.failed ? NULL : ac_arena_strdup(l->arena, ac_buf_str(&b));
    ac_buf_fini(&b);
    if (closed && !utf8)
        return bad(l, t, NULL, "the string is not UTF-8");
    if (!closed)
        return bad(l, t, "add the closing \"", "the string has no end on its line");
    if (!t.text)
        return bad(l, t, NULL, "the string is too long (at most 4096 bytes)");
    return t;
}

struct token lexer_next(struct lexer *l)
{
    struct token t = {.kind = T_END};
    skip(l, &t);
    t.line = l->line;
    t.column = (int)(l->p - l->line_start) + 1;
    if (l->not_utf8) {
        l->not_utf8 = false;
        return bad(l, t, NULL, "the comment before this is not UTF-8");
    }
    if (l->p >= l->end)
        return t;
    unsigned char c = (unsigned char)*l->p;
    if (isdigit(c) || (c == '.' && l->p + 1 < l->end && isdigit((unsigned char)l->p[1])))
        return number(l, t);
    if (c == '"')
        return string(l, t);
    const char *s = l->p;
    if (isalpha(c) || c == '_') {
        while (l->p < l->end && (isalnum((unsigned char)*l->p) || *l->p == '_'))
            l->p++;
        t.kind = T_WORD;
    } else if (c < 0x80 && strchr("{}()[],=<>!+-*/", c)) {
        l->p++;
        if (strchr("<>=!", c) && at(l, '='))
            l->p++;
        t.kind = T_PUNCT;
    } else {
        l->p++;
        return bad(l, t, NULL, "a character that the language does not know");
    }
    size_t n = (size_t)(l->p - s);
    if (n > 128)
        return bad(l, t, NULL, "the name is too long (at most 128 characters)");
    t.text = ac_arena_strndup(l->arena, s, n);
    if (!t.text) {
        t.text = "";
        return bad(l, t, NULL, "the text needs too much memory");
    }
    return t;
}
