#include "js.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/str.h>

#define SEGMENT_MAX 64

/* Copies the next segment of *path into seg and moves on; false at the end. */
static bool next_segment(const char **path, char seg[SEGMENT_MAX])
{
    const char *p = *path;
    size_t n = strcspn(p, ".");
    if (n == 0)
        return false;
    AC_ASSERT(n < SEGMENT_MAX);
    memcpy(seg, p, n);
    seg[n] = '\0';
    *path = p[n] == '.' ? p + n + 1 : p + n;
    return true;
}

json_t *js_at(const json_t *j, const char *path)
{
    char seg[SEGMENT_MAX];
    json_t *v = NULL;
    const json_t *at = j;
    while (at != NULL && next_segment(&path, seg)) {
        v = json_object_get(at, seg);
        at = v;
    }
    return at == NULL ? NULL : v;
}

const char *js_str(const json_t *j, const char *path, const char *def)
{
    const json_t *v = js_at(j, path);
    return json_is_string(v) ? json_string_value(v) : def;
}

int64_t js_int(const json_t *j, const char *path, int64_t def)
{
    const json_t *v = js_at(j, path);
    if (json_is_integer(v))
        return json_integer_value(v);
    return def;
}

bool js_bool(const json_t *j, const char *path, bool def)
{
    const json_t *v = js_at(j, path);
    return json_is_boolean(v) ? json_is_true(v) : def;
}

json_t *js_obj(json_t *j, const char *path)
{
    char seg[SEGMENT_MAX];
    json_t *at = j;
    while (next_segment(&path, seg)) {
        json_t *v = json_object_get(at, seg);
        if (!json_is_object(v)) {
            v = json_object();
            json_object_set_new(at, seg, v);
        }
        at = v;
    }
    return at;
}

/* Splits "a.b.c" in the object a.b and the key c. */
static json_t *parent_of(json_t *j, const char *path, const char **ret_key)
{
    const char *dot = strrchr(path, '.');
    if (dot == NULL) {
        *ret_key = path;
        return j;
    }
    char parent[256];
    size_t n = (size_t)(dot - path);
    AC_ASSERT(n < sizeof(parent));
    memcpy(parent, path, n);
    parent[n] = '\0';
    *ret_key = dot + 1;
    return js_obj(j, parent);
}

json_t *js_arr(json_t *j, const char *path)
{
    const char *key;
    json_t *p = parent_of(j, path, &key);
    json_t *v = json_object_get(p, key);
    if (!json_is_array(v)) {
        v = json_array();
        json_object_set_new(p, key, v);
    }
    return v;
}

void js_set(json_t *j, const char *path, json_t *v)
{
    const char *key;
    json_t *p = parent_of(j, path, &key);
    json_object_set_new(p, key, v);
}

void js_set_str(json_t *j, const char *path, const char *v)
{
    json_t *s = json_string(v);
    js_set(j, path, s != NULL ? s : json_string(""));
}

void js_set_int(json_t *j, const char *path, int64_t v)
{
    js_set(j, path, json_integer(v));
}

void js_del(json_t *j, const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot == NULL) {
        json_object_del(j, path);
        return;
    }
    char parent[256];
    size_t n = (size_t)(dot - path);
    AC_ASSERT(n < sizeof(parent));
    memcpy(parent, path, n);
    parent[n] = '\0';
    json_object_del(js_at(j, parent), dot + 1);
}

void js_default(json_t *j, const char *path, json_t *v)
{
    const json_t *old = js_at(j, path);
    if (old != NULL && !json_is_null(old))
        json_decref(v);
    else
        js_set(j, path, v);
}

const char *js_name(const json_t *o)
{
    return js_str(o, "metadata.name", "");
}

const char *js_ns(const json_t *o)
{
    return js_str(o, "metadata.namespace", "");
}

const char *js_uid(const json_t *o)
{
    return js_str(o, "metadata.uid", "");
}

const char *js_label(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(js_at(o, "metadata.labels"), key));
}

const char *js_annotation(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(js_at(o, "metadata.annotations"), key));
}

bool js_deleting(const json_t *o)
{
    return js_str(o, "metadata.deletionTimestamp", NULL) != NULL;
}

json_t *js_find(const json_t *array, const char *key, const char *value)
{
    size_t i;
    json_t *v;
    json_array_foreach(array, i,
                       v) if (ac_streq(json_string_value(json_object_get(v, key)), value)) return v;
    return NULL;
}

int64_t js_int_or_percent(const json_t *v, int64_t total, bool up, int64_t def)
{
    if (json_is_integer(v))
        return json_integer_value(v);
    const char *s = json_string_value(v);
    if (s == NULL)
        return def;
    char num[24];
    size_t n = strlen(s);
    bool percent = n > 1 && s[n - 1] == '%';
    if (n == 0 || n >= sizeof(num))
        return def;
    memcpy(num, s, n);
    num[percent ? n - 1 : n] = '\0';
    int64_t k;
    if (!ac_str_to_i64(num, &k) || k < 0 || k > 1000000)
        return def;
    if (!percent)
        return k;
    return up ? (k * total + 99) / 100 : k * total / 100;
}

int64_t js_duration_ns(const char *s, int64_t def)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    double sum = 0;
    if (ac_str_empty(s))
        return def;
    while (*s != '\0') {
        char num[32], unit[4];
        size_t n = strspn(s, "0123456789.");
        size_t u = strspn(s + n, "nusmh");
        double v;
        if (n == 0 || n >= sizeof(num) || u == 0 || u >= sizeof(unit))
            return def;
        memcpy(num, s, n);
        num[n] = '\0';
        memcpy(unit, s + n, u);
        unit[u] = '\0';
        if (!ac_str_to_f64(num, &v))
            return def;
        size_t i = 0;
        while (i < AC_ARRAY_LEN(units) && !ac_streq(units[i].unit, unit))
            i++;
        if (i == AC_ARRAY_LEN(units))
            return def;
        sum += v * units[i].ns;
        s += n + u;
    }
    return sum < 9e18 ? (int64_t)sum : def;
}

void js_time(int64_t wall_ns, char *dst, size_t dst_size)
{
    char full[40];
    ac_time_format(wall_ns, full, sizeof(full));
    char *dot = strchr(full, '.');
    if (dot != NULL)
        memcpy(dot, "Z", 2);
    ac_str_copy(dst, dst_size, full);
}

int64_t js_time_ns(const char *s)
{
    int64_t ns;
    if (s == NULL || ac_time_parse(s, &ns) != 0)
        return 0;
    return ns;
}

void js_age(int64_t ns, char *dst, size_t dst_size)
{
    int64_t s = ns < 0 ? 0 : ns / AC_NS_PER_S;
    if (s < 120)
        (void)snprintf(dst, dst_size, "%llds", (long long)s);
    else if (s < 600 && s % 60 != 0)
        (void)snprintf(dst, dst_size, "%lldm%llds", (long long)(s / 60), (long long)(s % 60));
    else if (s < 10800)
        (void)snprintf(dst, dst_size, "%lldm", (long long)(s / 60));
    else if (s < 172800)
        (void)snprintf(dst, dst_size, "%lldh", (long long)(s / 3600));
    else
        (void)snprintf(dst, dst_size, "%lldd", (long long)(s / 86400));
}
