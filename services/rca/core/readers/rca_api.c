#include "readers/rca_api.h"

#include <string.h>

#include <ctype.h>

#include <aceso/base.h>

struct proto {
    const char *name, *text;
    size_t at, len;
    int line, said; /* said: line of the last word; a comment on it belongs to that word */
    char comment[AC_RCA_PROTO_MAX_COMMENT + 1]; /* of the lines right before */
    size_t comment_len;
    struct ac_err *err;
};

static char peek(const struct proto *p, size_t ahead)
{
    if (p->at + ahead >= p->len)
        return '\0';
    return p->text[p->at + ahead];
}

static void next(struct proto *p)
{
    p->line += peek(p, 0) == '\n';
    p->at++;
}

static int fail(struct proto *p, int line, const char *what)
{
    return ac_err_set(p->err, AC_EINVAL, "%s:%d: %s", p->name, line, what);
}

static void add_comment(struct proto *p, char c)
{
    bool blank = isspace((unsigned char)c) || c == '-' || c == '*' || c == '/' || c == '\0';
    if (blank && (p->comment_len == 0 || p->comment[p->comment_len - 1] == ' '))
        return;
    if (blank)
        c = ' ';
    if (p->comment_len < AC_RCA_PROTO_MAX_COMMENT)
        p->comment[p->comment_len++] = c;
    p->comment[p->comment_len] = '\0';
}

static int skip_comment(struct proto *p)
{
    int line = p->line;
    bool block = peek(p, 1) == '*', behind = line == p->said;
    next(p);
    next(p);
    for (; p->at < p->len; next(p)) {
        if (!block && peek(p, 0) == '\n')
            break;
        if (block && peek(p, 0) == '*' && peek(p, 1) == '/') {
            next(p);
            next(p);
            add_comment(p, ' ');
            return 0;
        }
        if (!behind)
            add_comment(p, peek(p, 0));
    }
    add_comment(p, ' ');
    return block ? fail(p, line, "this comment does not end") : 0;
}

static int skip_string(struct proto *p)
{
    char quote = peek(p, 0);
    int line = p->line;
    for (next(p); p->at < p->len && peek(p, 0) != '\n'; next(p)) {
        if (peek(p, 0) == '\\' && peek(p, 1) != '\n') {
            next(p);
        } else if (peek(p, 0) == quote) {
            next(p);
            return 0;
        }
    }
    return fail(p, line, "this string does not end");
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* The next word, number or single character; *ret_n 0 at the end. */
static int token(struct proto *p, const char **ret, size_t *ret_n)
{
    int rc = 0;
    while (!rc && p->at < p->len) {
        char c = peek(p, 0);
        if (isspace((unsigned char)c) || c == '\0')
            next(p);
        else if (c == '/' && (peek(p, 1) == '/' || peek(p, 1) == '*'))
            rc = skip_comment(p);
        else if (c == '"' || c == '\'')
            rc = skip_string(p);
        else
            break;
    }
    *ret = p->text + AC_MIN(p->at, p->len);
    *ret_n = 0;
    if (rc || p->at >= p->len)
        return rc;
    do
        next(p);
    while (in_word((*ret)[*ret_n]) && ++*ret_n && p->at < p->len && in_word(peek(p, 0)));
    if (*ret_n == 0)
        *ret_n = 1;
    p->said = p->line;
    return 0;
}

static bool is(const char *t, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(t, word, n) == 0;
}

static int service(struct proto *p, ac_rca_proto_fn fn, void *arg)
{
    const char *t;
    size_t n;
    int line = p->line, rc;
    char name[AC_RCA_PROTO_MAX_NAME + 1], comment[AC_RCA_PROTO_MAX_COMMENT + 1];
    memcpy(comment, p->comment, sizeof(comment));
    rc = token(p, &t, &n);
    if (rc)
        return rc;
    if (n == 0 || !in_word(t[0]))
        return fail(p, line, "a service without a name");
    if (n > AC_RCA_PROTO_MAX_NAME)
        return fail(p, line, "the name of this service is too long");
    memcpy(name, t, n);
    name[n] = '\0';
    return fn(name, line, comment, arg);
}

int ac_rca_proto_services(const char *name, const char *text, size_t len, ac_rca_proto_fn fn,
                          void *arg, struct ac_err *err)
{
    struct proto p = {.name = name, .text = text, .len = len, .line = 1, .err = err};
    size_t depth = 0, n;
    const char *t;
    bool begins = true; /* a statement: elsewhere "service" is but a name */
    int rc;
    while ((rc = token(&p, &t, &n)) == 0 && n > 0) {
        if (depth == 0 && begins && is(t, n, "service"))
            rc = service(&p, fn, arg);
        else if (is(t, n, "{"))
            depth++;
        else if (is(t, n, "}") && depth-- == 0)
            rc = fail(&p, p.line, "one } too many");
        if (rc)
            return rc;
        begins = is(t, n, ";") || is(t, n, "}");
        p.comment_len = 0;
        p.comment[0] = '\0';
    }
    return rc ? rc : depth > 0 ? fail(&p, p.line, "the file ends before the last }") : 0;
}

void ac_rca_plain_name(const char *name, char *ret, size_t size)
{
    const char *dot = strrchr(name, '.');
    size_t n = 0;
    for (const char *c = dot ? dot + 1 : name; *c && n + 1 < size; c++)
        if (isalnum((unsigned char)*c))
            ret[n++] = (char)tolower((unsigned char)*c);
    ret[n] = '\0';
}
