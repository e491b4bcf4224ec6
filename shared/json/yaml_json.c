/* Between YAML and JSON values: the core schema of YAML 1.2. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/yaml.h>

static bool one_of(const char *s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s, words[i]) == 0)
            return true;
    }
    return false;
}
#define ONE_OF(s, ...)                                                                             \
    one_of((s), (const char *const[]){__VA_ARGS__},                                                \
           AC_ARRAY_LEN(((const char *const[]){__VA_ARGS__})))

/* 0o17 and 0x1F. */
static bool based_int(const char *s, int64_t *ret_v)
{
    if (s[0] != '0' || (s[1] != 'o' && s[1] != 'x') || !s[2])
        return false;
    int base = s[1] == 'o' ? 8 : 16;
    static const char digits[] = "0123456789abcdef";
    int64_t v = 0;
    for (s += 2; *s; s++) {
        const char *d = strchr(digits, tolower((unsigned char)*s));
        if (!d || d - digits >= base || v > INT64_MAX / base - 15)
            return false;
        v = v * base + (d - digits);
    }
    *ret_v = v;
    return true;
}

/* Digits with a point or an exponent; the words nan and inf are strings here. */
static bool plain_float(const char *s, double *ret_v)
{
    for (const char *p = s; *p; p++) {
        if (isalpha((unsigned char)*p) && *p != 'e' && *p != 'E')
            return false;
    }
    return strpbrk(s, "0123456789") && ac_str_to_f64(s, ret_v);
}

static json_t *scalar_to_json(const struct ac_yaml *n)
{
    const char *s = n->scalar;
    int64_t i;
    double f;
    if (n->quoted)
        return json_string(s);
    if (ONE_OF(s, "", "~", "null", "Null", "NULL"))
        return json_null();
    if (ONE_OF(s, "true", "True", "TRUE"))
        return json_true();
    if (ONE_OF(s, "false", "False", "FALSE"))
        return json_false();
    if (ac_str_to_i64(s, &i) || based_int(s, &i))
        return json_integer(i);
    if (plain_float(s, &f))
        return json_real(f);
    return json_string(s);
}

json_t *ac_yaml_to_json(const struct ac_yaml *n)
{
    if (!n)
        return json_null();
    if (n->kind == AC_YAML_SCALAR)
        return scalar_to_json(n);
    json_t *j = n->kind == AC_YAML_MAP ? json_object() : json_array();
    for (size_t i = 0; i < n->len; i++) {
        json_t *item = ac_yaml_to_json(n->items[i]);
        if (n->kind == AC_YAML_MAP)
            json_object_set_new(j, n->keys[i], item);
        else
            json_array_append_new(j, item);
    }
    return j;
}

/* Whether s may stand without quotes and is still read as a string, by YAML 1.1 readers too. */
static bool plain_safe(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_' && *s != '/')
        return false;
    for (const char *p = s; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("_./@-", *p))
            return false;
    }
    char low[8];
    if (!ac_str_copy(low, sizeof(low), s))
        return true;
    for (char *p = low; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return !ONE_OF(low, "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf");
}

static void put_text(struct ac_buf *b, const char *s)
{
    if (plain_safe(s))
        ac_buf_puts(b, s);
    else
        ac_buf_put_json_str(b, s);
}

static void pad(struct ac_buf *b, int indent)
{
    ac_buf_printf(b, "%*s", indent, "");
}

static bool is_leaf(const json_t *j)
{
    return (!json_is_object(j) || json_object_size(j) == 0) &&
           (!json_is_array(j) || json_array_size(j) == 0);
}

static void put_leaf(struct ac_buf *b, const json_t *j)
{
    if (json_is_string(j)) {
        put_text(b, json_string_value(j));
        return;
    }
    ac_cleanup(ac_free_p) char *text = ac_json_text(j);
    ac_buf_puts(b, text);
}

static void put_block(struct ac_buf *b, const json_t *j, int indent, bool first_padded);

/* After "key:" or "-" of a collection at indent. */
static void put_child(struct ac_buf *b, const json_t *j, int indent, bool in_seq)
{
    if (is_leaf(j)) {
        ac_buf_putc(b, ' ');
        put_leaf(b, j);
        ac_buf_putc(b, '\n');
    } else if (in_seq) { /* the child's first line goes on behind the dash */
        ac_buf_putc(b, ' ');
        put_block(b, j, indent + 2, true);
    } else {
        ac_buf_putc(b, '\n');
        put_block(b, j, json_is_array(j) ? indent : indent + 2, false);
    }
}

static void put_block(struct ac_buf *b, const json_t *j, int indent, bool first_padded)
{
    if (json_is_array(j)) {
        for (size_t i = 0; i < json_array_size(j); i++) {
            if (i || !first_padded)
                pad(b, indent);
            ac_buf_putc(b, '-');
            put_child(b, json_array_get(j, i), indent, true);
        }
        return;
    }
    json_t *obj = (json_t *)(uintptr_t)j;
    for (void *it = json_object_iter(obj); it; it = json_object_iter_next(obj, it)) {
        if (!first_padded)
            pad(b, indent);
        first_padded = false;
        put_text(b, json_object_iter_key(it));
        ac_buf_putc(b, ':');
        put_child(b, json_object_iter_value(it), indent, false);
    }
}

char *ac_yaml_from_json(const json_t *j)
{
    struct ac_buf b;
    ac_buf_init(&b, SIZE_MAX / 4);
    if (is_leaf(j)) {
        put_leaf(&b, j);
        ac_buf_putc(&b, '\n');
    } else {
        put_block(&b, j, 0, false);
    }
    AC_ASSERT(!b.failed);
    return ac_buf_take(&b);
}
