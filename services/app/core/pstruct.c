/* Struct   { map<string, Value> fields = 1; }   (an entry is {1 key, 2 value})
 * Value    { 1 null (varint), 2 number (fixed64), 3 string, 4 bool (varint), 5 Struct, 6 ListValue
 * } ListValue{ repeated Value values = 1; } */
#include "pstruct.h"

#include <string.h>

#include <aceso/base.h>

/* ---- packing: sizes first, then bytes, so that nothing is moved ---- */

static size_t varint_len(size_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

static void put_varint(struct ac_buf *out, size_t v)
{
    for (; v >= 0x80; v >>= 7)
        ac_buf_putc(out, (char)(v | 0x80));
    ac_buf_putc(out, (char)v);
}

static size_t value_len(const struct app_value *v);

static size_t entry_len(const char *key, const struct app_value *v)
{
    size_t k = strlen(key), x = value_len(v);
    return 1 + varint_len(k) + k + 1 + varint_len(x) + x;
}

/* Bytes of the inside of a Struct or ListValue. */
static size_t inner_len(const struct app_value *v)
{
    size_t n = 0;
    if (v->kind == APP_MAP) {
        for (size_t i = 0; i < v->u.map.n; i++) {
            size_t x = entry_len(v->u.map.keys[i], v->u.map.items[i]);
            n += 1 + varint_len(x) + x;
        }
        return n;
    }
    for (size_t i = 0; i < v->u.list.n; i++) {
        size_t x = value_len(v->u.list.items[i]);
        n += 1 + varint_len(x) + x;
    }
    return n;
}

static size_t value_len(const struct app_value *v)
{
    size_t n;
    switch (v->kind) {
    case APP_NULL:
    case APP_BOOL:
        return 2;
    case APP_NUM:
        return 9;
    case APP_STR:
        n = v->u.str.len;
        break;
    default:
        n = inner_len(v);
        break;
    }
    return 1 + varint_len(n) + n;
}

static void put_value(struct ac_buf *out, const struct app_value *v);

static void put_inner(struct ac_buf *out, const struct app_value *v)
{
    if (v->kind == APP_MAP) {
        for (size_t i = 0; i < v->u.map.n; i++) {
            const char *key = v->u.map.keys[i];
            const struct app_value *x = v->u.map.items[i];
            ac_buf_putc(out, 0x0a);
            put_varint(out, entry_len(key, x));
            ac_buf_putc(out, 0x0a);
            put_varint(out, strlen(key));
            ac_buf_puts(out, key);
            ac_buf_putc(out, 0x12);
            put_varint(out, value_len(x));
            put_value(out, x);
        }
        return;
    }
    for (size_t i = 0; i < v->u.list.n; i++) {
        ac_buf_putc(out, 0x0a);
        put_varint(out, value_len(v->u.list.items[i]));
        put_value(out, v->u.list.items[i]);
    }
}

static void put_value(struct ac_buf *out, const struct app_value *v)
{
    switch (v->kind) {
    case APP_NULL:
        ac_buf_append(out, "\x08\x00", 2);
        break;
    case APP_BOOL:
        ac_buf_putc(out, 0x20);
        ac_buf_putc(out, v->u.b ? 1 : 0);
        break;
    case APP_NUM:
        ac_buf_putc(out, 0x11);
        ac_buf_append(out, &v->u.num, 8);
        break;
    case APP_STR:
        ac_buf_putc(out, 0x1a);
        put_varint(out, v->u.str.len);
        ac_buf_append(out, v->u.str.s, v->u.str.len);
        break;
    default:
        ac_buf_putc(out, v->kind == APP_MAP ? 0x2a : 0x32);
        put_varint(out, inner_len(v));
        put_inner(out, v);
        break;
    }
}

int app_struct_pack(const struct app_value *v, struct ac_buf *out, struct ac_err *err)
{
    static const char *const key[] = {"value"};
    struct app_value wrapped = {.kind = APP_MAP};
    if (v->kind != APP_MAP) {
        wrapped.u.map.keys = key;
        wrapped.u.map.items = &v;
        wrapped.u.map.n = 1;
        v = &wrapped;
    }
    put_inner(out, v);
    return out->failed ? ac_err_set(err, AC_EAGAIN, "message too large") : 0;
}

/* ---- unpacking ---- */

struct reader {
    struct ac_arena *a;
    struct ac_err *err;
    int code;
};

struct span {
    const unsigned char *p, *end;
};

struct field {
    unsigned number, wire;
    uint64_t varint;  /* wire 0, 1, 5 */
    struct span body; /* wire 2 */
};

static void *bad(struct reader *r, int code, const char *what)
{
    if (!r->code)
        r->code = ac_err_set(r->err, code, "Struct: %s", what);
    return NULL;
}

static bool get_varint(struct span *s, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && s->p < s->end; shift += 7) {
        unsigned char c = *s->p++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* False at the end, or with the error set. */
static bool next_field(struct reader *r, struct span *s, struct field *f)
{
    uint64_t tag = 0, len = 0;
    if (s->p == s->end || r->code)
        return false;
    memset(f, 0, sizeof(*f));
    if (!get_varint(s, &tag) || tag > UINT32_MAX || tag < 8)
        return bad(r, AC_EPROTO, "bad tag");
    f->number = (unsigned)(tag >> 3);
    f->wire = (unsigned)(tag & 7);
    switch (f->wire) {
    case 0:
        return get_varint(s, &f->varint) ? true : bad(r, AC_EPROTO, "bad number") != NULL;
    case 1:
    case 5:
        len = f->wire == 1 ? 8 : 4;
        if ((size_t)(s->end - s->p) < len)
            return bad(r, AC_EPROTO, "cut short");
        memcpy(&f->varint, s->p, len);
        s->p += len;
        return true;
    case 2:
        if (!get_varint(s, &len) || len > (uint64_t)(s->end - s->p))
            return bad(r, AC_EPROTO, "cut short");
        f->body.p = s->p;
        f->body.end = s->p + len;
        s->p += len;
        return true;
    default:
        return bad(r, AC_EPROTO, "unknown wire type");
    }
}

static const struct app_value *get_value(struct reader *r, struct span s, int depth);

static const char *get_text(struct reader *r, struct span s)
{
    size_t n = (size_t)(s.end - s.p);
    if (n && memchr(s.p, 0, n))
        return bad(r, AC_EPROTO, "NUL in a text");
    const char *t = ac_arena_strndup(r->a, (const char *)s.p, n);
    return t ? t : bad(r, AC_EAGAIN, "too large");
}

static bool get_entry(struct reader *r, struct span s, int depth, const char **ret_key,
                      const struct app_value **ret)
{
    struct field f;
    *ret_key = "";
    *ret = &app_null;
    while (next_field(r, &s, &f)) {
        if (f.wire == 2 && f.number == 1)
            *ret_key = get_text(r, f.body);
        else if (f.wire == 2 && f.number == 2)
            *ret = get_value(r, f.body, depth);
    }
    return !r->code;
}

/* The inside of a Struct (map) or ListValue. */
static const struct app_value *get_items(struct reader *r, struct span s, bool map, int depth)
{
    struct span count = s;
    struct field f;
    size_t n = 0, i = 0;
    if (depth > APP_VALUE_MAX_DEPTH)
        return bad(r, AC_EPROTO, "nested too deep");
    while (next_field(r, &count, &f))
        n += f.number == 1 && f.wire == 2 ? 1 : 0;
    if (r->code)
        return NULL;
    const char **keys = ac_arena_calloc(r->a, n + 1, sizeof(*keys));
    const struct app_value **items = ac_arena_calloc(r->a, n + 1, sizeof(*items));
    if (!keys || !items)
        return bad(r, AC_EAGAIN, "too large");
    while (next_field(r, &s, &f)) {
        if (f.number != 1 || f.wire != 2)
            continue;
        if (map ? !get_entry(r, f.body, depth + 1, &keys[i], &items[i])
                : !(items[i] = get_value(r, f.body, depth + 1)))
            return NULL;
        i++;
    }
    const struct app_value *v = map ? app_map(r->a, keys, items, n) : app_list(r->a, items, n);
    return v ? v : bad(r, AC_EAGAIN, "too large");
}

static const struct app_value *get_string(struct reader *r, struct span s)
{
    const char *t = get_text(r, s);
    const struct app_value *v = t ? app_cstr(r->a, t) : NULL;
    return v || r->code ? v : bad(r, AC_EAGAIN, "too large");
}

static const struct app_value *get_value(struct reader *r, struct span s, int depth)
{
    const struct app_value *v = &app_null;
    struct field f;
    double num;
    while (v && next_field(r, &s, &f)) {
        if (f.number == 1 && f.wire == 0) {
            v = &app_null;
        } else if (f.number == 2 && f.wire == 1) {
            memcpy(&num, &f.varint, sizeof(num));
            v = app_num(r->a, num);
            if (!v)
                bad(r, AC_EAGAIN, "too large");
        } else if (f.number == 3 && f.wire == 2) {
            v = get_string(r, f.body);
        } else if (f.number == 4 && f.wire == 0) {
            v = app_bool(f.varint != 0);
        } else if ((f.number == 5 || f.number == 6) && f.wire == 2) {
            v = get_items(r, f.body, f.number == 5, depth + 1);
        }
    }
    return r->code ? NULL : v;
}

int app_struct_unpack(struct ac_arena *a, const void *data, size_t len,
                      const struct app_value **ret, struct ac_err *err)
{
    struct reader r = {.a = a, .err = err};
    struct span s = {data, (const unsigned char *)data + len};
    const struct app_value *v = get_items(&r, s, true, 0);
    if (!v)
        return r.code;
    *ret = v;
    return 0;
}
