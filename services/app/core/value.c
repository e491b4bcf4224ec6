#include "value.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

const struct app_value app_null = {.kind = APP_NULL};
const struct app_value app_true = {.kind = APP_BOOL, .u.b = true};
const struct app_value app_false = {.kind = APP_BOOL, .u.b = false};

static struct app_value *make(struct ac_arena *a, enum app_kind k)
{
    struct app_value *v = ac_arena_calloc(a, 1, sizeof(*v));
    if (v)
        v->kind = k;
    return v;
}

const struct app_value *app_num(struct ac_arena *a, double num)
{
    struct app_value *v = make(a, APP_NUM);
    if (v)
        v->u.num = num;
    return v;
}

const struct app_value *app_str(struct ac_arena *a, const char *s, size_t len)
{
    struct app_value *v = make(a, APP_STR);
    char *copy = ac_arena_strndup(a, s, len);
    if (!v || !copy)
        return NULL;
    v->u.str.s = copy;
    v->u.str.len = strlen(copy);
    return v;
}

const struct app_value *app_cstr(struct ac_arena *a, const char *s)
{
    return app_str(a, s, strlen(s));
}

const struct app_value *app_list(struct ac_arena *a, const struct app_value *const *items, size_t n)
{
    struct app_value *v = make(a, APP_LIST);
    if (v) {
        v->u.list.items = items;
        v->u.list.n = n;
    }
    return v;
}

const struct app_value *app_map(struct ac_arena *a, const char *const *keys,
                                const struct app_value *const *items, size_t n)
{
    struct app_value *v = make(a, APP_MAP);
    if (v) {
        v->u.map.keys = keys;
        v->u.map.items = items;
        v->u.map.n = n;
    }
    return v;
}

const struct app_value *app_get(const struct app_value *v, const char *key)
{
    if (!v || v->kind != APP_MAP)
        return NULL;
    for (size_t i = v->u.map.n; i-- > 0;) {
        if (strcmp(v->u.map.keys[i], key) == 0)
            return v->u.map.items[i];
    }
    return NULL;
}

const char *app_get_str(const struct app_value *v, const char *key, const char *def)
{
    const struct app_value *x = app_get(v, key);
    return x && x->kind == APP_STR ? x->u.str.s : def;
}

static bool equal(const struct app_value *a, const struct app_value *b, int depth)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || depth > APP_VALUE_MAX_DEPTH)
        return false;
    switch (a->kind) {
    case APP_NULL:
        return true;
    case APP_BOOL:
        return a->u.b == b->u.b;
    case APP_NUM:
        return a->u.num == b->u.num;
    case APP_STR:
        return strcmp(a->u.str.s, b->u.str.s) == 0;
    case APP_LIST:
        if (a->u.list.n != b->u.list.n)
            return false;
        for (size_t i = 0; i < a->u.list.n; i++) {
            if (!equal(a->u.list.items[i], b->u.list.items[i], depth + 1))
                return false;
        }
        return true;
    case APP_MAP:
        if (a->u.map.n != b->u.map.n)
            return false;
        for (size_t i = 0; i < a->u.map.n; i++) {
            const struct app_value *other = app_get(b, a->u.map.keys[i]);
            if (!other || !equal(a->u.map.items[i], other, depth + 1))
                return false;
        }
        return true;
    }
    return false;
}

bool app_equal(const struct app_value *a, const struct app_value *b)
{
    return equal(a, b, 0);
}

bool app_truthy(const struct app_value *v)
{
    switch (v->kind) {
    case APP_NULL:
        return false;
    case APP_BOOL:
        return v->u.b;
    case APP_NUM:
        return v->u.num != 0 && !isnan(v->u.num);
    case APP_STR:
        return v->u.str.len > 0;
    case APP_LIST:
        return v->u.list.n > 0;
    case APP_MAP:
        return v->u.map.n > 0;
    }
    return false;
}

const char *app_kind_name(enum app_kind k)
{
    static const char *const names[] = {"null",     "a bool", "a number",
                                        "a string", "a list", "a map"};
    return (unsigned)k < AC_ARRAY_LEN(names) ? names[k] : "?";
}

static void put_num(struct ac_buf *out, double v)
{
    char text[40];
    if (!isfinite(v)) {
        ac_buf_puts(out, "null");
    } else if (v == floor(v) && fabs(v) < 1e15) {
        ac_buf_printf(out, "%.0f", v == 0 ? 0.0 : v);
    } else {
        ac_str_from_f64(text, sizeof(text), v);
        ac_buf_puts(out, text);
    }
}

void app_json_write(const struct app_value *v, struct ac_buf *out)
{
    switch (v->kind) {
    case APP_NULL:
        ac_buf_puts(out, "null");
        break;
    case APP_BOOL:
        ac_buf_puts(out, v->u.b ? "true" : "false");
        break;
    case APP_NUM:
        put_num(out, v->u.num);
        break;
    case APP_STR:
        ac_buf_put_json_str(out, v->u.str.s);
        break;
    case APP_LIST:
        ac_buf_putc(out, '[');
        for (size_t i = 0; i < v->u.list.n; i++) {
            if (i)
                ac_buf_putc(out, ',');
            app_json_write(v->u.list.items[i], out);
        }
        ac_buf_putc(out, ']');
        break;
    case APP_MAP:
        ac_buf_putc(out, '{');
        for (size_t i = 0; i < v->u.map.n; i++) {
            if (i)
                ac_buf_putc(out, ',');
            ac_buf_put_json_str(out, v->u.map.keys[i]);
            ac_buf_putc(out, ':');
            app_json_write(v->u.map.items[i], out);
        }
        ac_buf_putc(out, '}');
        break;
    }
}

const char *app_text(struct ac_arena *a, const struct app_value *v, size_t *ret_len)
{
    if (v->kind == APP_STR) {
        if (ret_len)
            *ret_len = v->u.str.len;
        return v->u.str.s;
    }
    struct ac_buf b;
    ac_buf_init(&b, 4u << 20);
    if (v->kind != APP_NULL)
        app_json_write(v, &b);
    const char *s = b.failed ? NULL : ac_arena_strndup(a, ac_buf_str(&b), b.len);
    if (s && ret_len)
        *ret_len = b.len;
    ac_buf_fini(&b);
    return s;
}
