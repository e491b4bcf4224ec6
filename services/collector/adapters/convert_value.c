/* Values of attributes and bodies as text. Nested values are JSON; how deep is ours to say. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/convert.h"

#define MAX_DEPTH 8

const char *col_clean(struct col_out *o, const char *s, size_t max)
{
    size_t len = strlen(s), cut = col_cut(s, len, max);
    bool good = ac_utf8_valid(s);
    if (good && cut == len)
        return s;
    col_out_warn(o, good ? "texts that are too long were cut"
                         : "texts with invalid UTF-8 were mended");
    if (good)
        return ac_arena_strndup(o->arena, s, cut);
    struct ac_buf b;
    ac_buf_init(&b, 4 * max + 8);
    for (const unsigned char *p = (const unsigned char *)s; *p && b.len < max;) {
        size_t n = ac_utf8_len(p);
        if (n > 0)
            ac_buf_append(&b, p, n);
        else
            ac_buf_append(&b, "\xef\xbf\xbd", 3);
        p += n > 0 ? n : 1;
    }
    const char *made =
        ac_arena_strndup(o->arena, ac_buf_str(&b), col_cut(ac_buf_str(&b), b.len, max));
    ac_buf_fini(&b);
    return made;
}

static void put_hex(struct ac_buf *b, const ProtobufCBinaryData *d)
{
    for (size_t i = 0; i < d->len; i++)
        ac_buf_printf(b, "%02x", d->data[i]);
}

static void put_json(struct col_out *o, const otlp_any *v, int depth, struct ac_buf *b);

static void put_array(struct col_out *o, const ProtobufCBinaryData *d, int depth, struct ac_buf *b)
{
    Opentelemetry__Proto__Common__V1__ArrayValue *a = NULL;
    if (depth >= MAX_DEPTH || AC_PB_UNPACK(opentelemetry__proto__common__v1__array_value, d->data,
                                           d->len, o->arena, &a, NULL)) {
        ac_buf_puts(b, "null");
        col_out_warn(o, "values that are nested too deep, or malformed, were left out");
        return;
    }
    ac_buf_putc(b, '[');
    for (size_t i = 0; i < a->n_values; i++) {
        if (i > 0)
            ac_buf_putc(b, ',');
        put_json(o, a->values[i], depth + 1, b);
    }
    ac_buf_putc(b, ']');
}

static void put_object(struct col_out *o, const ProtobufCBinaryData *d, int depth, struct ac_buf *b)
{
    Opentelemetry__Proto__Common__V1__KeyValueList *l = NULL;
    if (depth >= MAX_DEPTH || AC_PB_UNPACK(opentelemetry__proto__common__v1__key_value_list,
                                           d->data, d->len, o->arena, &l, NULL)) {
        ac_buf_puts(b, "null");
        col_out_warn(o, "values that are nested too deep, or malformed, were left out");
        return;
    }
    ac_buf_putc(b, '{');
    for (size_t i = 0; i < l->n_values; i++) {
        if (i > 0)
            ac_buf_putc(b, ',');
        ac_buf_put_json_str(b, l->values[i]->key);
        ac_buf_putc(b, ':');
        put_json(o, l->values[i]->value, depth + 1, b);
    }
    ac_buf_putc(b, '}');
}

static void put_f64(struct ac_buf *b, double v)
{
    char text[40];
    (void)ac_str_from_f64(text, sizeof(text), v);
    ac_buf_puts(b, text);
}

static void put_json(struct col_out *o, const otlp_any *v, int depth, struct ac_buf *b)
{
    switch (v ? v->value_case : 0) {
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE:
        ac_buf_put_json_str(b, v->string_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BOOL_VALUE:
        ac_buf_puts(b, v->bool_value ? "true" : "false");
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE:
        ac_buf_printf(b, "%" PRId64, v->int_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_DOUBLE_VALUE:
        put_f64(b, v->double_value);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BYTES_VALUE:
        ac_buf_putc(b, '"');
        put_hex(b, &v->bytes_value);
        ac_buf_putc(b, '"');
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_ARRAY_VALUE:
        put_array(o, &v->array_value, depth, b);
        break;
    case OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_KVLIST_VALUE:
        put_object(o, &v->kvlist_value, depth, b);
        break;
    default:
        ac_buf_puts(b, "null");
    }
}

const char *col_value_text(struct col_out *o, const otlp_any *v)
{
    if (!v || v->value_case == 0)
        return "";
    if (v->value_case == OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE)
        return v->string_value;
    ac_buf_reset(&o->text);
    if (v->value_case == OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_BYTES_VALUE)
        put_hex(&o->text, &v->bytes_value);
    else
        put_json(o, v, 0, &o->text);
    if (o->text.failed)
        col_out_warn(o, "texts that are too long were cut");
    return ac_arena_strndup(o->arena, ac_buf_str(&o->text), o->text.len);
}

size_t col_attributes(struct col_out *o, otlp_kv *const *in, size_t n, struct col_label *out,
                      size_t max)
{
    size_t m = 0;
    for (size_t i = 0; i < n && m < max; i++) {
        const char *v = col_value_text(o, in[i]->value);
        if (v)
            out[m++] = (struct col_label){in[i]->key, v};
    }
    if (m < n)
        col_out_warn(o, "attributes that are too many were left out");
    return m;
}

void col_source(struct col_out *o, const otlp_resource *r, struct col_source *ret)
{
    struct col_label a[2 * COL_MAX_ATTRIBUTES];
    size_t n = r ? col_attributes(o, r->attributes, r->n_attributes, a, AC_ARRAY_LEN(a)) : 0;
    col_source_of(a, n, ret);
}
