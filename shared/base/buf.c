#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/str.h>

#define BUF_FIRST 128

void ac_buf_init(struct ac_buf *b, size_t max_bytes)
{
    *b = (struct ac_buf){.max = max_bytes};
}

void ac_buf_fini(struct ac_buf *b)
{
    free(b->data);
    *b = (struct ac_buf){.max = b->max};
}

void ac_buf_reset(struct ac_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

/* Room for n more bytes and the NUL, or the sticky failure. */
static bool reserve(struct ac_buf *b, size_t n)
{
    if (b->failed)
        return false;
    if (n > b->max - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap : BUF_FIRST;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    char *p = ac_try_realloc(b->data, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->data = p;
    b->cap = cap;
    return true;
}

bool ac_buf_append(struct ac_buf *b, const void *p, size_t n)
{
    if (!reserve(b, n))
        return false;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = '\0';
    return true;
}

char *ac_buf_extend(struct ac_buf *b, size_t n)
{
    if (b->failed || !reserve(b, n)) {
        b->failed = true;
        return NULL;
    }
    char *p = b->data + b->len;
    b->len += n;
    b->data[b->len] = '\0';
    return p;
}

bool ac_buf_puts(struct ac_buf *b, const char *s)
{
    return ac_buf_append(b, s, strlen(s));
}

bool ac_buf_putc(struct ac_buf *b, char c)
{
    return ac_buf_append(b, &c, 1);
}

bool ac_buf_printf(struct ac_buf *b, const char *fmt, ...)
{
    if (b->failed)
        return false;
    va_list ap;
    size_t room = b->cap - b->len;
    va_start(ap, fmt);
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
        if (room) /* what was cut must not stay visible */
            b->data[b->len] = '\0';
        return false;
    }
    if ((size_t)n >= room) {
        va_start(ap, fmt);
        (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
    return true;
}

static bool put_escape(struct ac_buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        return ac_buf_append(b, "\\\"", 2);
    case '\\':
        return ac_buf_append(b, "\\\\", 2);
    case '\n':
        return ac_buf_append(b, "\\n", 2);
    case '\r':
        return ac_buf_append(b, "\\r", 2);
    case '\t':
        return ac_buf_append(b, "\\t", 2);
    default:
        return ac_buf_printf(b, "\\u%04x", c);
    }
}

bool ac_utf8_valid(const char *s)
{
    return ac_utf8_valid_n(s, strlen(s));
}

bool ac_buf_put_json_str(struct ac_buf *b, const char *str)
{
    const unsigned char *s = (const unsigned char *)str;
    ac_buf_putc(b, '"');
    while (*s) {
        const unsigned char *run = s;
        size_t n = 0;
        while (*s >= 0x20 && *s != '"' && *s != '\\' && *s != 0x7f && (n = ac_utf8_len(s)) != 0)
            s += n;
        ac_buf_append(b, run, (size_t)(s - run));
        if (!*s)
            break;
        if (*s >= 0x80)
            ac_buf_append(b, "\xef\xbf\xbd", 3);
        else
            put_escape(b, *s);
        s++;
    }
    return ac_buf_putc(b, '"');
}

char *ac_buf_take(struct ac_buf *b)
{
    char *p = b->data ? b->data : ac_xstrdup("");
    *b = (struct ac_buf){.max = b->max};
    return p;
}

const char *ac_buf_str(const struct ac_buf *b)
{
    return b->data ? b->data : "";
}
