#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/buf.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>

int ac_json_parse(const char *name, const char *text, size_t len, json_t **ret, struct ac_err *err)
{
    if (len > AC_JSON_MAX_BYTES)
        return ac_err_set(err, AC_EINVAL, "%s: larger than %u bytes", name, AC_JSON_MAX_BYTES);
    json_error_t je;
    json_t *j = json_loadb(text, len, JSON_DECODE_ANY, &je); /* nesting: at most 2,048 */
    if (!j)
        return ac_err_set(err, AC_EINVAL, "%s:%d:%d: %s", name, AC_MAX(je.line, 1),
                          AC_MAX(je.column, 1), je.text);
    *ret = j;
    return 0;
}

int ac_json_load_file(const char *path, json_t **ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    int rc = ac_file_read(path, AC_JSON_MAX_BYTES, &text, &len, err);
    return rc ? rc : ac_json_parse(path, text, len, ret, err);
}

static void put_value(struct ac_buf *b, const json_t *j);

static void put_real(struct ac_buf *b, double v)
{
    char num[32];
    ac_str_from_f64(num, sizeof(num), v);
    ac_buf_puts(b, num);
    if (!strpbrk(num, ".en")) /* else it would come back as an integer */
        ac_buf_puts(b, ".0");
}

static void put_object(struct ac_buf *b, const json_t *j)
{
    char sep = '{';
    /* jansson's iteration macros want a pointer to non-const, though they only read. */
    for (void *it = json_object_iter((json_t *)(uintptr_t)j); it;
         it = json_object_iter_next((json_t *)(uintptr_t)j, it)) {
        ac_buf_putc(b, sep);
        ac_buf_put_json_str(b, json_object_iter_key(it));
        ac_buf_putc(b, ':');
        put_value(b, json_object_iter_value(it));
        sep = ',';
    }
    ac_buf_puts(b, sep == '{' ? "{}" : "}");
}

static void put_array(struct ac_buf *b, const json_t *j)
{
    ac_buf_putc(b, '[');
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (i)
            ac_buf_putc(b, ',');
        put_value(b, json_array_get(j, i));
    }
    ac_buf_putc(b, ']');
}

static void put_value(struct ac_buf *b, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        put_object(b, j);
        break;
    case JSON_ARRAY:
        put_array(b, j);
        break;
    case JSON_STRING:
        ac_buf_put_json_str(b, json_string_value(j));
        break;
    case JSON_INTEGER:
        ac_buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
        break;
    case JSON_REAL:
        put_real(b, json_real_value(j));
        break;
    case JSON_TRUE:
        ac_buf_puts(b, "true");
        break;
    case JSON_FALSE:
        ac_buf_puts(b, "false");
        break;
    case JSON_NULL:
        ac_buf_puts(b, "null");
        break;
    }
}

char *ac_json_text(const json_t *j)
{
    struct ac_buf b;
    ac_buf_init(&b, SIZE_MAX / 4);
    if (j)
        put_value(&b, j);
    else
        ac_buf_puts(&b, "null");
    AC_ASSERT(!b.failed);
    return ac_buf_take(&b);
}

/* One step of a path: .key, [3] or ["key with . or [ in it"]. NULL at a malformed one. */
static const char *step(const char *p, const json_t *j, const json_t **ret)
{
    if (*p == '[' && p[1] == '"') {
        const char *end = strstr(p + 2, "\"]");
        if (!end)
            return NULL;
        *ret = json_object_getn(j, p + 2, (size_t)(end - p - 2));
        return end + 2;
    }
    if (*p == '[') {
        size_t i = 0;
        for (p++; isdigit((unsigned char)*p); p++)
            i = i * 10 + (size_t)(*p - '0');
        *ret = json_array_get(j, i);
        return *p == ']' ? p + 1 : NULL;
    }
    if (*p == '.')
        p++;
    size_t n = strcspn(p, ".[");
    if (n == 0)
        return NULL;
    *ret = json_object_getn(j, p, n);
    return p + n;
}

json_t *ac_json_at(const json_t *j, const char *path)
{
    const char *p = path;
    while (p && *p && j)
        p = step(p, j, &j);
    return p ? (json_t *)(uintptr_t)j : NULL;
}

const char *ac_json_str(const json_t *j, const char *path, const char *def)
{
    const char *s = json_string_value(ac_json_at(j, path));
    return s ? s : def;
}

int64_t ac_json_i64(const json_t *j, const char *path, int64_t def)
{
    const json_t *v = ac_json_at(j, path);
    return json_is_integer(v) ? json_integer_value(v) : def;
}

double ac_json_f64(const json_t *j, const char *path, double def)
{
    const json_t *v = ac_json_at(j, path);
    return json_is_number(v) ? json_number_value(v) : def;
}

bool ac_json_bool(const json_t *j, const char *path, bool def)
{
    const json_t *v = ac_json_at(j, path);
    return json_is_boolean(v) ? json_is_true(v) : def;
}

static const char *type_name(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };
    return names[json_typeof(v)];
}

static int complain(const json_t *v, const char *path, const char *want, struct ac_err *err)
{
    if (!v)
        return ac_err_set(err, AC_EINVAL, "%s: missing", path);
    return ac_err_set(err, AC_EINVAL, "%s: expected %s, got %s", path, want, type_name(v));
}

int ac_json_need_str(const json_t *j, const char *path, const char **ret, struct ac_err *err)
{
    const json_t *v = ac_json_at(j, path);
    if (!json_is_string(v))
        return complain(v, path, "a string", err);
    *ret = json_string_value(v);
    return 0;
}

int ac_json_need_i64(const json_t *j, const char *path, int64_t *ret, struct ac_err *err)
{
    const json_t *v = ac_json_at(j, path);
    if (!json_is_integer(v))
        return complain(v, path, "an integer", err);
    *ret = json_integer_value(v);
    return 0;
}

json_t *ac_json_merge_patch(const json_t *target, const json_t *patch)
{
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    json_t *out = json_is_object(target) ? json_deep_copy(target) : json_object();
    json_t *p = (json_t *)(uintptr_t)patch, *value;
    const char *key;
    json_object_foreach(p, key, value)
    {
        if (json_is_null(value))
            json_object_del(out, key);
        else
            json_object_set_new(out, key, ac_json_merge_patch(json_object_get(out, key), value));
    }
    return out;
}
