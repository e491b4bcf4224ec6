/* JSON text into values: what caches hold and HTTP bodies carry. Recursion is bounded by
 * APP_VALUE_MAX_DEPTH, memory by the arena. */
#include "value.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct parser {
    struct ac_arena *a;
    const char *text;
    size_t len, pos;
    struct ac_err *err;
    int code;
};

static const struct app_value *parse_value(struct parser *p, int depth);

static const struct app_value *fail(struct parser *p, int code, const char *what)
{
    if (!p->code)
        p->code = ac_err_set(p->err, code, "JSON, byte %zu: %s", p->pos, what);
    return NULL;
}

static const struct app_value *full(struct parser *p)
{
    return fail(p, AC_EAGAIN, "value too large");
}

static void skip_space(struct parser *p)
{
    while (p->pos < p->len && strchr(" \t\r\n", p->text[p->pos]) && p->text[p->pos])
        p->pos++;
}

static int peek(const struct parser *p)
{
    return p->pos < p->len ? (unsigned char)p->text[p->pos] : -1;
}

static int hex4(struct parser *p, unsigned *ret)
{
    unsigned v = 0;
    if (p->len - p->pos < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p->text[p->pos++];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;
        if (d == 16)
            return -1;
        v = v * 16 + d;
    }
    *ret = v;
    return 0;
}

static size_t put_utf8(char *dst, unsigned c)
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xc0 | (c >> 6));
        dst[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xe0 | (c >> 12));
        dst[1] = (char)(0x80 | ((c >> 6) & 63));
        dst[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    dst[0] = (char)(0xf0 | (c >> 18));
    dst[1] = (char)(0x80 | ((c >> 12) & 63));
    dst[2] = (char)(0x80 | ((c >> 6) & 63));
    dst[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* After "\u": the code point, surrogate pairs joined. NUL and lone halves become U+FFFD. */
static int parse_unicode(struct parser *p, unsigned *ret)
{
    unsigned c = 0, low = 0;
    if (hex4(p, &c))
        return -1;
    if (c >= 0xd800 && c < 0xdc00 && p->len - p->pos >= 6 && p->text[p->pos] == '\\' &&
        p->text[p->pos + 1] == 'u') {
        size_t mark = p->pos;
        p->pos += 2;
        if (hex4(p, &low))
            return -1;
        if (low >= 0xdc00 && low < 0xe000)
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        else
            p->pos = mark;
    }
    *ret = c == 0 || (c >= 0xd800 && c < 0xe000) ? 0xfffd : c;
    return 0;
}

static int unescape(struct parser *p, char *dst, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p->pos >= p->len)
        return -1;
    char c = p->text[p->pos++];
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        dst[(*n)++] = to[at - from];
        return 0;
    }
    unsigned u = 0;
    if (c != 'u' || parse_unicode(p, &u))
        return -1;
    *n += put_utf8(dst + *n, u);
    return 0;
}

static const char *parse_string(struct parser *p, size_t *ret_len)
{
    size_t end = ++p->pos, n = 0;
    while (end < p->len && p->text[end] != '"')
        end += p->text[end] == '\\' ? 2 : 1;
    if (end >= p->len) {
        fail(p, AC_EINVAL, "string without end");
        return NULL;
    }
    char *dst = ac_arena_alloc(p->a, end - p->pos + 1);
    if (!dst) {
        full(p);
        return NULL;
    }
    while (p->pos < end) {
        unsigned char c = (unsigned char)p->text[p->pos++];
        if (c < 0x20 || (c == '\\' && unescape(p, dst, &n))) {
            fail(p, AC_EINVAL, "bad character or escape in a string");
            return NULL;
        }
        if (c != '\\')
            dst[n++] = (char)c;
    }
    p->pos = end + 1;
    dst[n] = '\0';
    *ret_len = n;
    return dst;
}

static const struct app_value *parse_number(struct parser *p)
{
    char text[64];
    size_t n = 0;
    double v = 0;
    while (p->pos < p->len && n < sizeof(text) - 1 && strchr("0123456789+-.eE", p->text[p->pos]) &&
           p->text[p->pos])
        text[n++] = p->text[p->pos++];
    text[n] = '\0';
    if (n == 0 || text[0] == '+' || !ac_str_to_f64(text, &v))
        return fail(p, AC_EINVAL, "expected a value");
    const struct app_value *r = app_num(p->a, v);
    return r ? r : full(p);
}

struct items {
    const struct app_value **v;
    const char **keys;
    size_t n, cap;
};

static bool items_add(struct parser *p, struct items *it, const char *key,
                      const struct app_value *v)
{
    if (it->n == it->cap) {
        size_t cap = it->cap ? it->cap * 2 : 8;
        const struct app_value **nv = ac_arena_alloc(p->a, cap * sizeof(*nv));
        const char **nk = ac_arena_alloc(p->a, cap * sizeof(*nk));
        if (!nv || !nk) {
            full(p);
            return false;
        }
        if (it->n) {
            memcpy(nv, it->v, it->n * sizeof(*nv));
            memcpy(nk, it->keys, it->n * sizeof(*nk));
        }
        it->v = nv;
        it->keys = nk;
        it->cap = cap;
    }
    it->keys[it->n] = key;
    it->v[it->n++] = v;
    return true;
}

static const struct app_value *parse_items(struct parser *p, int depth, char close)
{
    struct items it = {0};
    bool map = close == '}';
    p->pos++;
    skip_space(p);
    while (peek(p) != close) {
        const char *key = NULL;
        size_t len = 0;
        if (map) {
            if (peek(p) != '"')
                return fail(p, AC_EINVAL, "expected a key");
            if (!(key = parse_string(p, &len)))
                return NULL;
            skip_space(p);
            if (peek(p) != ':')
                return fail(p, AC_EINVAL, "expected ':'");
            p->pos++;
        }
        const struct app_value *v = parse_value(p, depth + 1);
        if (!v || !items_add(p, &it, key, v))
            return NULL;
        skip_space(p);
        if (peek(p) == ',') {
            p->pos++;
            skip_space(p);
            if (peek(p) == close)
                return fail(p, AC_EINVAL, "trailing ','");
        } else if (peek(p) != close) {
            return fail(p, AC_EINVAL, map ? "expected ',' or '}'" : "expected ',' or ']'");
        }
    }
    p->pos++;
    const struct app_value *r =
        map ? app_map(p->a, it.keys, it.v, it.n) : app_list(p->a, it.v, it.n);
    return r ? r : full(p);
}

static bool literal(struct parser *p, const char *word)
{
    size_t n = strlen(word);
    if (p->len - p->pos < n || memcmp(p->text + p->pos, word, n) != 0)
        return false;
    p->pos += n;
    return true;
}

static const struct app_value *parse_value(struct parser *p, int depth)
{
    if (depth > APP_VALUE_MAX_DEPTH)
        return fail(p, AC_EINVAL, "nested too deep");
    skip_space(p);
    size_t len = 0;
    switch (peek(p)) {
    case '{':
        return parse_items(p, depth, '}');
    case '[':
        return parse_items(p, depth, ']');
    case '"': {
        const char *s = parse_string(p, &len);
        const struct app_value *v = s ? app_str(p->a, s, len) : NULL;
        return v || p->code ? v : full(p);
    }
    default:
        if (literal(p, "null"))
            return &app_null;
        if (literal(p, "true"))
            return &app_true;
        if (literal(p, "false"))
            return &app_false;
        return parse_number(p);
    }
}

int app_json_parse(struct ac_arena *a, const char *text, size_t len, const struct app_value **ret,
                   struct ac_err *err)
{
    struct parser p = {.a = a, .text = text, .len = len, .err = err};
    const struct app_value *v = parse_value(&p, 0);
    if (v) {
        skip_space(&p);
        if (p.pos != len)
            fail(&p, AC_EINVAL, "text after the value");
    }
    if (p.code)
        return p.code;
    *ret = v;
    return 0;
}
