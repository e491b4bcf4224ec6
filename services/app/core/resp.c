#include "resp.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

void app_resp_command(struct ac_buf *out, const char *const *args, const size_t *lens, size_t n)
{
    ac_buf_printf(out, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++) {
        ac_buf_printf(out, "$%zu\r\n", lens[i]);
        ac_buf_append(out, args[i], lens[i]);
        ac_buf_puts(out, "\r\n");
    }
}

struct reader {
    struct ac_arena *a;
    const char *p, *end;
};

/* A line without its CR LF. */
static int line(struct reader *r, const char **ret, size_t *ret_len)
{
    const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));
    if (!nl)
        return r->end - r->p > 65536 ? AC_EPROTO : AC_EAGAIN;
    if (nl == r->p || nl[-1] != '\r')
        return AC_EPROTO;
    *ret = r->p;
    *ret_len = (size_t)(nl - 1 - r->p);
    r->p = nl + 1;
    return 0;
}

static int number(const char *s, size_t len, int64_t *ret)
{
    char text[24];
    if (len == 0 || len >= sizeof(text))
        return AC_EPROTO;
    memcpy(text, s, len);
    text[len] = '\0';
    return ac_str_to_i64(text, ret) ? 0 : AC_EPROTO;
}

static int copy(struct reader *r, const char *s, size_t len, struct app_resp *ret)
{
    char *t = ac_arena_alloc(r->a, len + 1);
    if (!t)
        return AC_ENOMEM;
    memcpy(t, s, len);
    t[len] = '\0';
    ret->s = t;
    ret->len = len;
    return 0;
}

static int reply(struct reader *r, struct app_resp *ret, int depth);

static int bulk(struct reader *r, int64_t len, struct app_resp *ret)
{
    if (len == -1) {
        ret->kind = APP_RESP_NIL;
        return 0;
    }
    if (len < 0 || len > APP_RESP_MAX_BULK)
        return AC_EPROTO;
    if (r->end - r->p < len + 2)
        return AC_EAGAIN;
    if (r->p[len] != '\r' || r->p[len + 1] != '\n')
        return AC_EPROTO;
    int rc = copy(r, r->p, (size_t)len, ret);
    r->p += len + 2;
    return rc;
}

static int array(struct reader *r, int64_t n, struct app_resp *ret, int depth)
{
    if (n == -1) {
        ret->kind = APP_RESP_NIL;
        return 0;
    }
    if (n < 0 || n > APP_RESP_MAX_ITEMS || depth >= APP_RESP_MAX_DEPTH)
        return AC_EPROTO;
    /* Each item takes at least three bytes: no memory for what cannot be there yet. */
    if (r->end - r->p < 3 * n)
        return AC_EAGAIN;
    struct app_resp *items = ac_arena_calloc(r->a, (size_t)n + 1, sizeof(*items));
    if (!items)
        return AC_ENOMEM;
    for (int64_t i = 0; i < n; i++) {
        int rc = reply(r, &items[i], depth + 1);
        if (rc)
            return rc;
    }
    ret->items = items;
    ret->n = (size_t)n;
    return 0;
}

static int reply(struct reader *r, struct app_resp *ret, int depth)
{
    static const char marks[] = "+-:$*";
    static const enum app_resp_kind kinds[] = {APP_RESP_STATUS, APP_RESP_ERROR, APP_RESP_INT,
                                               APP_RESP_BULK, APP_RESP_ARRAY};
    const char *s = NULL;
    size_t len = 0;
    if (r->p == r->end)
        return AC_EAGAIN;
    const char *mark = *r->p ? strchr(marks, *r->p) : NULL;
    if (!mark)
        return AC_EPROTO;
    ret->kind = kinds[mark - marks];
    r->p++;
    int rc = line(r, &s, &len);
    if (rc)
        return rc;
    if (ret->kind == APP_RESP_STATUS || ret->kind == APP_RESP_ERROR)
        return copy(r, s, len, ret);
    if ((rc = number(s, len, &ret->num)))
        return rc;
    if (ret->kind == APP_RESP_BULK)
        return bulk(r, ret->num, ret);
    return ret->kind == APP_RESP_ARRAY ? array(r, ret->num, ret, depth) : 0;
}

int app_resp_parse(struct ac_arena *a, const char *data, size_t len, struct app_resp *ret,
                   size_t *ret_used)
{
    struct reader r = {a, data, data + len};
    struct app_resp tmp = {0};
    int rc = reply(&r, &tmp, 0);
    if (rc)
        return rc;
    *ret = tmp;
    *ret_used = (size_t)(r.p - data);
    return 0;
}
