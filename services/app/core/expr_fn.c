/* The functions of the expression language. */
#include "expr_ast.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define V const struct app_value

static V *need(struct app_eval *ev, V *v, enum app_kind k, const char *fn)
{
    return v->kind == k ? v
                        : app_eval_fail(ev, AC_EINVAL, "%s: expected %s, got %s", fn,
                                        app_kind_name(k), app_kind_name(v->kind));
}

static V *num(struct app_eval *ev, double v)
{
    return app_eval_got(ev, app_num(ev->a, v));
}

static V *fn_len(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    switch (v[0]->kind) {
    case APP_NULL:
        return num(ev, 0);
    case APP_STR:
        return num(ev, (double)v[0]->u.str.len);
    case APP_LIST:
        return num(ev, (double)v[0]->u.list.n);
    case APP_MAP:
        return num(ev, (double)v[0]->u.map.n);
    default:
        return app_eval_fail(ev, AC_EINVAL, "len: %s has no length", app_kind_name(v[0]->kind));
    }
}

static V *fn_str(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    const char *s = app_text(ev->a, v[0], NULL);
    return app_eval_got(ev, s ? app_cstr(ev->a, s) : NULL);
}

static V *fn_json(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    struct ac_buf b;
    ac_buf_init(&b, 4u << 20);
    app_json_write(v[0], &b);
    V *r = b.failed ? NULL : app_cstr(ev->a, ac_buf_str(&b));
    ac_buf_fini(&b);
    return app_eval_got(ev, r);
}

static V *fn_parse(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    V *r = NULL;
    if (!need(ev, v[0], APP_STR, "parse") || !app_eval_spend(ev, v[0]->u.str.len / 16))
        return NULL;
    int rc = app_json_parse(ev->a, v[0]->u.str.s, v[0]->u.str.len, &r, ev->err);
    return rc ? (ev->code = ev->code ? ev->code : rc, NULL) : r;
}

static V *fn_num(struct app_eval *ev, V *const *v, size_t n)
{
    double d = 0;
    if (v[0]->kind == APP_NUM)
        return v[0];
    if (v[0]->kind == APP_BOOL)
        return num(ev, v[0]->u.b ? 1 : 0);
    if (v[0]->kind == APP_STR && ac_str_to_f64(v[0]->u.str.s, &d) && isfinite(d))
        return num(ev, d);
    if (n == 2)
        return v[1];
    return app_eval_fail(ev, AC_EINVAL, "num: '%.40s' is no number",
                         v[0]->kind == APP_STR ? v[0]->u.str.s : app_kind_name(v[0]->kind));
}

static V *rounded(struct app_eval *ev, V *v, double (*how)(double), const char *name)
{
    return need(ev, v, APP_NUM, name) ? num(ev, how(v->u.num)) : NULL;
}

static V *fn_int(struct app_eval *ev, V *const *v, size_t n)
{
    V *x = fn_num(ev, v, n);
    return x ? rounded(ev, x, trunc, "int") : NULL;
}

static V *fn_floor(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    return rounded(ev, v[0], floor, "floor");
}

static V *fn_abs(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    return rounded(ev, v[0], fabs, "abs");
}

static V *fn_round(struct app_eval *ev, V *const *v, size_t n)
{
    if (!need(ev, v[0], APP_NUM, "round") || (n == 2 && !need(ev, v[1], APP_NUM, "round")))
        return NULL;
    double scale = n == 2 ? pow(10, fmax(-12, fmin(12, trunc(v[1]->u.num)))) : 1;
    return num(ev, round(v[0]->u.num * scale) / scale);
}

/* One list, or the arguments themselves. */
static bool operands(struct app_eval *ev, V *const *v, size_t n, V *const **ret, size_t *ret_n)
{
    bool list = n == 1 && v[0]->kind == APP_LIST;
    *ret = list ? v[0]->u.list.items : v;
    *ret_n = list ? v[0]->u.list.n : n;
    return app_eval_spend(ev, *ret_n);
}

static V *extreme(struct app_eval *ev, V *const *v, size_t n, int sign)
{
    V *const *x = NULL, *best = NULL;
    size_t m = 0;
    if (!operands(ev, v, n, &x, &m))
        return NULL;
    for (size_t i = 0; i < m; i++) {
        int c = best ? app_compare(x[i], best) : 0;
        if (c == -2)
            return app_eval_fail(ev, AC_EINVAL, "min/max: values cannot be compared");
        if (!best || c == sign)
            best = x[i];
    }
    return best ? best : &app_null;
}

static V *fn_min(struct app_eval *ev, V *const *v, size_t n)
{
    return extreme(ev, v, n, -1);
}

static V *fn_max(struct app_eval *ev, V *const *v, size_t n)
{
    return extreme(ev, v, n, 1);
}

static V *fn_sum(struct app_eval *ev, V *const *v, size_t n)
{
    V *const *x = NULL;
    size_t m = 0;
    double s = 0;
    if (!operands(ev, v, n, &x, &m))
        return NULL;
    for (size_t i = 0; i < m; i++) {
        if (!need(ev, x[i], APP_NUM, "sum"))
            return NULL;
        s += x[i]->u.num;
    }
    return num(ev, s);
}

static V *fn_contains(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (v[0]->kind == APP_NULL)
        return &app_false;
    if (v[0]->kind == APP_LIST) {
        if (!app_eval_spend(ev, v[0]->u.list.n))
            return NULL;
        for (size_t i = 0; i < v[0]->u.list.n; i++) {
            if (app_equal(v[0]->u.list.items[i], v[1]))
                return &app_true;
        }
        return &app_false;
    }
    const char *s = app_text(ev->a, v[1], NULL);
    if (!s)
        return app_eval_got(ev, NULL);
    if (v[0]->kind == APP_MAP)
        return app_bool(app_get(v[0], s) != NULL);
    return need(ev, v[0], APP_STR, "contains") ? app_bool(strstr(v[0]->u.str.s, s) != NULL) : NULL;
}

static V *list_of(struct app_eval *ev, V **items, size_t n)
{
    return app_eval_got(ev, app_list(ev->a, items, n));
}

static V **items_of(struct app_eval *ev, size_t n)
{
    if (!app_eval_spend(ev, n))
        return NULL;
    V **items = ac_arena_alloc(ev->a, AC_MAX(n, 1u) * sizeof(*items));
    if (!items)
        app_eval_got(ev, NULL);
    return items;
}

static V *fn_split(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (!need(ev, v[0], APP_STR, "split") || !need(ev, v[1], APP_STR, "split"))
        return NULL;
    const char *s = v[0]->u.str.s, *sep = v[1]->u.str.s;
    size_t step = v[1]->u.str.len, m = 1, i = 0;
    if (step == 0)
        return app_eval_fail(ev, AC_EINVAL, "split: empty separator");
    for (const char *p = s; (p = strstr(p, sep)); p += step)
        m++;
    V **items = items_of(ev, m);
    if (!items)
        return NULL;
    for (const char *p = s; i < m; i++) {
        const char *end = strstr(p, sep);
        if (!(items[i] = app_str(ev->a, p, end ? (size_t)(end - p) : strlen(p))))
            return app_eval_got(ev, NULL);
        p = end ? end + step : p;
    }
    return list_of(ev, items, m);
}

static V *fn_join(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (!need(ev, v[0], APP_LIST, "join") || !need(ev, v[1], APP_STR, "join") ||
        !app_eval_spend(ev, v[0]->u.list.n))
        return NULL;
    struct ac_buf b;
    ac_buf_init(&b, 1u << 20);
    for (size_t i = 0; i < v[0]->u.list.n; i++) {
        const char *s = app_text(ev->a, v[0]->u.list.items[i], NULL);
        if (!s)
            b.failed = true;
        else if (!i || ac_buf_puts(&b, v[1]->u.str.s))
            ac_buf_puts(&b, s);
    }
    V *r = b.failed ? NULL : app_cstr(ev->a, ac_buf_str(&b));
    ac_buf_fini(&b);
    return app_eval_got(ev, r);
}

static V *fn_keys(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (!need(ev, v[0], APP_MAP, "keys"))
        return NULL;
    V **items = items_of(ev, v[0]->u.map.n);
    for (size_t i = 0; items && i < v[0]->u.map.n; i++) {
        if (!(items[i] = app_cstr(ev->a, v[0]->u.map.keys[i])))
            return app_eval_got(ev, NULL);
    }
    return items ? list_of(ev, items, v[0]->u.map.n) : NULL;
}

static V *fn_values(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    return need(ev, v[0], APP_MAP, "values")
               ? app_eval_got(ev, app_list(ev->a, v[0]->u.map.items, v[0]->u.map.n))
               : NULL;
}

static V *fn_take(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (v[0]->kind == APP_NULL)
        return list_of(ev, NULL, 0);
    if (!need(ev, v[0], APP_LIST, "take") || !need(ev, v[1], APP_NUM, "take"))
        return NULL;
    double want = fmax(0, trunc(v[1]->u.num));
    size_t m = v[0]->u.list.n;
    return app_eval_got(ev,
                        app_list(ev->a, v[0]->u.list.items, want < (double)m ? (size_t)want : m));
}

static V *fn_reverse(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (!need(ev, v[0], APP_LIST, "reverse"))
        return NULL;
    size_t m = v[0]->u.list.n;
    V **items = items_of(ev, m);
    for (size_t i = 0; items && i < m; i++)
        items[i] = v[0]->u.list.items[m - 1 - i];
    return items ? list_of(ev, items, m) : NULL;
}

static V *fn_flatten(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    size_t m = 0, o = 0;
    if (!need(ev, v[0], APP_LIST, "flatten"))
        return NULL;
    for (size_t i = 0; i < v[0]->u.list.n; i++) {
        V *x = v[0]->u.list.items[i];
        m += x->kind == APP_LIST ? x->u.list.n : 1;
    }
    V **items = items_of(ev, m);
    for (size_t i = 0; items && i < v[0]->u.list.n; i++) {
        V *x = v[0]->u.list.items[i];
        if (x->kind != APP_LIST) {
            items[o++] = x;
            continue;
        }
        for (size_t j = 0; j < x->u.list.n; j++)
            items[o++] = x->u.list.items[j];
    }
    return items ? list_of(ev, items, m) : NULL;
}

static V *fn_unique(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    size_t kept = 0;
    if (!need(ev, v[0], APP_LIST, "unique"))
        return NULL;
    size_t m = v[0]->u.list.n;
    V **items = items_of(ev, m);
    for (size_t i = 0; items && i < m; i++) {
        bool seen = false;
        if (!app_eval_spend(ev, kept))
            return NULL;
        for (size_t j = 0; j < kept && !seen; j++)
            seen = app_equal(items[j], v[0]->u.list.items[i]);
        if (!seen)
            items[kept++] = v[0]->u.list.items[i];
    }
    return items ? list_of(ev, items, kept) : NULL;
}

static V *fn_range(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    if (!need(ev, v[0], APP_NUM, "range"))
        return NULL;
    if (!(v[0]->u.num >= 0 && v[0]->u.num <= 10000))
        return app_eval_fail(ev, AC_EINVAL, "range: 0 to 10000");
    size_t m = (size_t)v[0]->u.num;
    V **items = items_of(ev, m);
    for (size_t i = 0; items && i < m; i++) {
        if (!(items[i] = num(ev, (double)i)))
            return NULL;
    }
    return items ? list_of(ev, items, m) : NULL;
}

static V *fn_merge(struct app_eval *ev, V *const *v, size_t n)
{
    size_t m = 0, o = 0;
    for (size_t i = 0; i < n; i++) {
        if (!need(ev, v[i], APP_MAP, "merge"))
            return NULL;
        m += v[i]->u.map.n;
    }
    V **items = items_of(ev, m);
    const char **keys = ac_arena_alloc(ev->a, AC_MAX(m, 1u) * sizeof(*keys));
    if (!items || !keys)
        return app_eval_got(ev, NULL);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < v[i]->u.map.n; j++, o++) {
            keys[o] = v[i]->u.map.keys[j];
            items[o] = v[i]->u.map.items[j];
        }
    }
    return app_eval_got(ev, app_map(ev->a, keys, items, m));
}

/* Days since 1970-01-01 of an ISO date (proleptic Gregorian). */
static bool date_days(const char *text, int64_t *ret)
{
    int y = 0, m = 0, d = 0, used = 0;
    static const int len[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (strlen(text) != 10 || strspn(text, "0123456789-") != 10 ||
        /* NOLINTNEXTLINE(cert-err34-c): at most four digits, nothing to overflow */
        sscanf(text, "%4d-%2d-%2d%n", &y, &m, &d, &used) != 3 || used != 10 || y < 1 || m < 1 ||
        m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > len[m - 1] + (m == 2 && leap ? 1 : 0))
        return false;
    int64_t yy = m <= 2 ? y - 1 : y;
    int64_t era = yy / 400, yoe = yy - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    *ret = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    return true;
}

bool app_is_date(const char *s)
{
    int64_t d;
    return date_days(s, &d);
}

static V *fn_is_date(struct app_eval *ev, V *const *v, size_t n)
{
    (void)ev;
    (void)n;
    return app_bool(v[0]->kind == APP_STR && app_is_date(v[0]->u.str.s));
}

static V *fn_days(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    int64_t from = 0, to = 0;
    if (v[0]->kind != APP_STR || v[1]->kind != APP_STR || !date_days(v[0]->u.str.s, &from) ||
        !date_days(v[1]->u.str.s, &to))
        return app_eval_fail(ev, AC_EINVAL, "days: expected two dates like 2015-04-09");
    return num(ev, (double)(to - from));
}

static V *fn_distance(struct app_eval *ev, V *const *v, size_t n)
{
    const double rad = 0.017453292519943295, earth_km = 6371;
    for (size_t i = 0; i < n; i++) {
        if (!need(ev, v[i], APP_NUM, "distance"))
            return NULL;
    }
    double lat1 = v[0]->u.num * rad, lat2 = v[2]->u.num * rad;
    double s = sin((lat2 - lat1) / 2), t = sin((v[3]->u.num - v[1]->u.num) * rad / 2);
    double h = s * s + cos(lat1) * cos(lat2) * t * t;
    return num(ev, 2 * earth_km * asin(sqrt(fmin(1, fmax(0, h)))));
}

/* Percent-encoding of everything but unreserved characters. */
static V *fn_url(struct app_eval *ev, V *const *v, size_t n)
{
    (void)n;
    struct ac_buf b;
    const char *s = app_text(ev->a, v[0], NULL);
    ac_buf_init(&b, 1u << 16);
    for (; s && *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            ac_buf_putc(&b, *s);
        else
            ac_buf_printf(&b, "%%%02X", (unsigned char)*s);
    }
    V *r = s && !b.failed ? app_cstr(ev->a, ac_buf_str(&b)) : NULL;
    ac_buf_fini(&b);
    return app_eval_got(ev, r);
}

static const struct app_fn functions[] = {
    {"len", 1, 1, fn_len},           {"str", 1, 1, fn_str},           {"json", 1, 1, fn_json},
    {"parse", 1, 1, fn_parse},       {"num", 1, 2, fn_num},           {"int", 1, 2, fn_int},
    {"floor", 1, 1, fn_floor},       {"abs", 1, 1, fn_abs},           {"round", 1, 2, fn_round},
    {"min", 1, 64, fn_min},          {"max", 1, 64, fn_max},          {"sum", 1, 64, fn_sum},
    {"contains", 2, 2, fn_contains}, {"split", 2, 2, fn_split},       {"join", 2, 2, fn_join},
    {"keys", 1, 1, fn_keys},         {"values", 1, 1, fn_values},     {"take", 2, 2, fn_take},
    {"reverse", 1, 1, fn_reverse},   {"flatten", 1, 1, fn_flatten},   {"unique", 1, 1, fn_unique},
    {"range", 1, 1, fn_range},       {"merge", 1, 64, fn_merge},      {"is_date", 1, 1, fn_is_date},
    {"days", 2, 2, fn_days},         {"distance", 4, 4, fn_distance}, {"url", 1, 1, fn_url},
};

const struct app_fn *app_fn_find(const char *name, size_t len)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(functions); i++) {
        if (strlen(functions[i].name) == len && memcmp(functions[i].name, name, len) == 0)
            return &functions[i];
    }
    return NULL;
}

const char *app_fn_hint(const char *name)
{
    const char *best = NULL;
    int best_d = 3;
    for (size_t i = 0; i < AC_ARRAY_LEN(functions); i++) {
        int d = ac_str_distance(name, functions[i].name);
        if (d < best_d) {
            best_d = d;
            best = functions[i].name;
        }
    }
    return best;
}
