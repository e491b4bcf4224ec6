/* Values of options: from text, to text, bounds. */
#include "conf_priv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#define SECRET_MAX_BYTES (64u << 10)

union number {
    int64_t i;
    uint64_t u;
    double f;
};

const char *ac_conf_type_name_(enum ac_conf_type t)
{
    static const char *const names[] = {
        [AC_CONF_STR] = "text",
        [AC_CONF_BOOL] = "true or false",
        [AC_CONF_I64] = "an integer",
        [AC_CONF_F64] = "a number",
        [AC_CONF_DURATION] = "a duration such as 250ms, 5s or 2m",
        [AC_CONF_BYTES] = "a size such as 64K or 4MiB",
        [AC_CONF_LIST] = "a list",
    };
    return names[t];
}

static bool read_bool(const char *s, bool *ret)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < AC_ARRAY_LEN(words); i++) {
        if (strcmp(s, words[i]) == 0) {
            *ret = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool read_number(enum ac_conf_type t, const char *s, union number *ret)
{
    switch (t) {
    case AC_CONF_I64:
        return ac_str_to_i64(s, &ret->i);
    case AC_CONF_F64:
        return ac_str_to_f64(s, &ret->f) && isfinite(ret->f);
    case AC_CONF_DURATION:
        return ac_str_to_duration_ns(s, &ret->i);
    case AC_CONF_BYTES:
        return ac_str_to_bytes(s, &ret->u);
    default:
        return false;
    }
}

static int compare(enum ac_conf_type t, union number a, union number b)
{
    if (t == AC_CONF_F64)
        return (a.f > b.f) - (a.f < b.f);
    if (t == AC_CONF_BYTES)
        return (a.u > b.u) - (a.u < b.u);
    return (a.i > b.i) - (a.i < b.i);
}

static int check_bounds(const struct ac_conf_opt *o, union number v, const char *text,
                        struct ac_err *err)
{
    union number lo = {0}, hi = {0};
    AC_ASSERT(!o->min || read_number(o->type, o->min, &lo));
    AC_ASSERT(!o->max || read_number(o->type, o->max, &hi));
    bool ok =
        (!o->min || compare(o->type, v, lo) >= 0) && (!o->max || compare(o->type, v, hi) <= 0);
    if (ok)
        return 0;
    if (o->min && o->max)
        return ac_err_set(err, AC_EINVAL, "must be from %s to %s, not %s", o->min, o->max, text);
    if (o->min)
        return ac_err_set(err, AC_EINVAL, "must be at least %s, not %s", o->min, text);
    return ac_err_set(err, AC_EINVAL, "must be at most %s, not %s", o->max, text);
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

void ac_conf_clear_(const struct conf_ref *r)
{
    void *field = (char *)r->target + r->opt->offset;
    if (r->opt->type == AC_CONF_STR) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (r->opt->type == AC_CONF_LIST) {
        free_list(*(char ***)field);
        *(char ***)field = NULL;
    }
}

static void add_items(char ***list, const char *text)
{
    size_t n = 0;
    while (*list && (*list)[n])
        n++;
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(text);
    char *rest = copy, *item;
    while ((item = ac_str_next(&rest, ','))) {
        item = ac_str_trim(item);
        if (!*item)
            continue;
        *list = ac_xrealloc(*list, ac_mul_size(n + 2, sizeof(char *)));
        (*list)[n++] = ac_xstrdup(item);
        (*list)[n] = NULL;
    }
    if (!*list)
        *list = ac_xcalloc(1, sizeof(char *)); /* given, and empty */
}

static void store(const struct ac_conf_opt *o, void *field, union number v)
{
    if (o->type == AC_CONF_F64)
        *(double *)field = v.f;
    else if (o->type == AC_CONF_BYTES)
        *(uint64_t *)field = v.u;
    else
        *(int64_t *)field = v.i;
}

/* A text; a secret "file:PATH" is what the file holds, without the newline at its end. */
static int set_text(const struct ac_conf_opt *o, char **field, const char *text, struct ac_err *err)
{
    char *value = NULL;
    size_t len = 0;
    if (!(o->flags & AC_CONF_SECRET) || !ac_str_starts(text, "file:")) {
        value = ac_xstrdup(text);
    } else {
        const char *path = text + strlen("file:");
        if (ac_file_read(path, SECRET_MAX_BYTES, &value, &len, err) < 0)
            return err->code;
        bool binary = strlen(value) != len;
        while (len > 0 && (value[len - 1] == '\n' || value[len - 1] == '\r'))
            value[--len] = '\0';
        if (binary || len == 0) {
            free(value);
            return ac_err_set(err, AC_EINVAL, "%s %s", path, binary ? "is no text" : "is empty");
        }
    }
    free(*field);
    *field = value;
    return 0;
}

int ac_conf_set_(const struct conf_ref *r, const char *text, bool append, struct ac_err *err)
{
    const struct ac_conf_opt *o = r->opt;
    void *field = (char *)r->target + o->offset;
    union number v = {0};
    switch (o->type) {
    case AC_CONF_STR:
        return set_text(o, field, text, err);
    case AC_CONF_LIST:
        if (!append)
            ac_conf_clear_(r);
        add_items(field, text);
        return 0;
    case AC_CONF_BOOL:
        if (read_bool(text, field))
            return 0;
        break;
    default:
        if (!read_number(o->type, text, &v))
            break;
        int rc = check_bounds(o, v, o->flags & AC_CONF_SECRET ? "what was given" : text, err);
        if (rc == 0)
            store(o, field, v);
        return rc;
    }
    if (o->flags & AC_CONF_SECRET)
        return ac_err_set(err, AC_EINVAL, "expected %s", ac_conf_type_name_(o->type));
    return ac_err_set(err, AC_EINVAL, "expected %s, not '%s'", ac_conf_type_name_(o->type), text);
}

static void put_duration(struct ac_buf *out, int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *name;
    } units[] = {{86400 * AC_NS_PER_S, "d"},
                 {3600 * AC_NS_PER_S, "h"},
                 {60 * AC_NS_PER_S, "m"},
                 {AC_NS_PER_S, "s"},
                 {AC_NS_PER_MS, "ms"},
                 {AC_NS_PER_US, "us"},
                 {1, "ns"}};
    size_t i = ns == 0 ? 3 : 0;
    while (ns % units[i].ns != 0)
        i++;
    ac_buf_printf(out, "%" PRId64 "%s", ns / units[i].ns, units[i].name);
}

static void put_bytes(struct ac_buf *out, uint64_t v)
{
    static const char units[] = {'T', 'G', 'M', 'K'};
    for (unsigned i = 0; i < sizeof(units) && v; i++) {
        uint64_t unit = (uint64_t)1 << (40 - 10 * i);
        if (v % unit == 0) {
            ac_buf_printf(out, "%" PRIu64 "%c", v / unit, units[i]);
            return;
        }
    }
    ac_buf_printf(out, "%" PRIu64, v);
}

void ac_conf_text_(const struct conf_ref *r, struct ac_buf *out)
{
    const struct ac_conf_opt *o = r->opt;
    const void *field = (const char *)r->target + o->offset;
    const char *s;
    char num[32];
    switch (o->type) {
    case AC_CONF_STR:
        s = *(char *const *)field;
        if (s)
            ac_buf_puts(out, o->flags & AC_CONF_SECRET && *s ? "********" : s);
        break;
    case AC_CONF_BOOL:
        ac_buf_puts(out, *(const bool *)field ? "true" : "false");
        break;
    case AC_CONF_I64:
        ac_buf_printf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case AC_CONF_F64:
        ac_str_from_f64(num, sizeof(num), *(const double *)field);
        ac_buf_puts(out, num);
        break;
    case AC_CONF_DURATION:
        put_duration(out, *(const int64_t *)field);
        break;
    case AC_CONF_BYTES:
        put_bytes(out, *(const uint64_t *)field);
        break;
    case AC_CONF_LIST:
        if (o->flags & AC_CONF_SECRET) {
            ac_buf_puts(out, *(char **const *)field ? "********" : "");
            break;
        }
        for (char *const *p = *(char **const *)field; p && *p; p++)
            ac_buf_printf(out, "%s%s", p == *(char **const *)field ? "" : ",", *p);
        break;
    }
}
