#include "spec_load.h"

#include <inttypes.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

bool app_load_fail(struct app_load *l, int line, int column, const char *fmt, ...)
{
    if (!l->code) {
        char text[AC_ERR_MSG_MAX];
        va_list ap;
        va_start(ap, fmt);
        struct ac_err tmp;
        ac_err_vset(&tmp, AC_EINVAL, fmt, ap);
        va_end(ap);
        ac_str_copy(text, sizeof(text), tmp.msg);
        l->code = ac_err_set(l->err, AC_EINVAL, "%s:%d:%d: %s", l->file, line, column, text);
    }
    return false;
}

void *app_load_alloc(struct app_load *l, size_t n, size_t size)
{
    void *p = ac_arena_calloc(l->a, n ? n : 1, size);
    if (!p && !l->code)
        l->code = ac_err_set(l->err, AC_EAGAIN, "%s: document too large", l->file);
    return p;
}

const struct app_node *app_load_get(const struct app_node *map, const char *key)
{
    for (size_t i = 0; i < map->len; i++) {
        if (ac_streq(map->keys[i], key))
            return map->items[i];
    }
    return NULL;
}

bool app_load_is(struct app_load *l, const struct app_node *n, enum app_node_kind k,
                 const char *what)
{
    static const char *const names[] = {"a single value", "a list", "a mapping"};
    if (l->code)
        return false;
    if (n->kind == k)
        return true;
    return app_load_fail(l, n->line, n->column, "%s: expected %s, got %s", what, names[k],
                         names[n->kind]);
}

bool app_load_keys(struct app_load *l, const struct app_node *map, const char *const *allowed,
                   const char *what)
{
    if (!app_load_is(l, map, APP_NODE_MAP, what))
        return false;
    for (size_t i = 0; i < map->len; i++) {
        const char *hint = NULL;
        int best = 3;
        bool ok = false;
        for (size_t j = 0; allowed[j] && !ok; j++) {
            int d = ac_str_distance(map->keys[i], allowed[j]);
            ok = ac_streq(map->keys[i], allowed[j]);
            if (d < best) {
                best = d;
                hint = allowed[j];
            }
        }
        if (!ok)
            return app_load_fail(l, map->items[i]->line, map->items[i]->column,
                                 "%s: unknown key '%.40s'%s%s%s", what, map->keys[i],
                                 hint ? "; did you mean '" : "", hint ? hint : "",
                                 hint ? "'?" : "");
        for (size_t j = 0; j < i; j++) {
            if (ac_streq(map->keys[j], map->keys[i]))
                return app_load_fail(l, map->items[i]->line, map->items[i]->column,
                                     "%s: key '%.40s' given twice", what, map->keys[i]);
        }
    }
    return true;
}

const char *app_load_str(struct app_load *l, const struct app_node *map, const char *key,
                         const char *def)
{
    const struct app_node *n = app_load_get(map, key);
    if (!n)
        return def;
    if (!app_load_is(l, n, APP_NODE_SCALAR, key))
        return NULL;
    if (n->scalar[0] == '\0') {
        app_load_fail(l, n->line, n->column, "%s: empty", key);
        return NULL;
    }
    return n->scalar;
}

bool app_load_bool(struct app_load *l, const struct app_node *map, const char *key, bool def)
{
    const struct app_node *n = app_load_get(map, key);
    if (!n || !app_load_is(l, n, APP_NODE_SCALAR, key))
        return def;
    if (!ac_streq(n->scalar, "true") && !ac_streq(n->scalar, "false"))
        return app_load_fail(l, n->line, n->column, "%s: expected true or false", key);
    return n->scalar[0] == 't';
}

int64_t app_load_int(struct app_load *l, const struct app_node *map, const char *key, int64_t def,
                     int64_t min, int64_t max)
{
    const struct app_node *n = app_load_get(map, key);
    int64_t v = 0;
    if (!n || !app_load_is(l, n, APP_NODE_SCALAR, key))
        return def;
    if (!ac_str_to_i64(n->scalar, &v) || v < min || v > max)
        app_load_fail(l, n->line, n->column,
                      "%s: expected a whole number from %" PRId64 " to %" PRId64, key, min, max);
    return v;
}

int64_t app_load_duration(struct app_load *l, const struct app_node *map, const char *key,
                          int64_t def)
{
    const struct app_node *n = app_load_get(map, key);
    int64_t v = 0;
    if (!n || !app_load_is(l, n, APP_NODE_SCALAR, key))
        return def;
    if (!ac_str_to_duration_ns(n->scalar, &v) || v <= 0 || v > 3600 * AC_NS_PER_S)
        app_load_fail(l, n->line, n->column,
                      "%s: expected a duration such as 250ms or 2s, at most 1h", key);
    return v;
}

struct name_check {
    struct app_load *l;
    const char *only;
};

static bool known_name(const char *name, int line, int column, void *arg)
{
    struct name_check *c = arg;
    const char *hint = NULL;
    int best = 3;
    if (c->only)
        return ac_streq(name, c->only) ||
               app_load_fail(c->l, line, column, "no variable '%.40s' here; only '%s' is known",
                             name, c->only);
    if (ac_streq(name, "request"))
        return true;
    for (size_t i = 0; i < c->l->n_vars; i++) {
        int d = ac_str_distance(name, c->l->vars[i]);
        if (d == 0)
            return true;
        if (d < best) {
            best = d;
            hint = c->l->vars[i];
        }
    }
    return app_load_fail(c->l, line, column, "no variable '%.40s' at this step%s%s%s", name,
                         hint ? "; did you mean '" : "", hint ? hint : "", hint ? "'?" : "");
}

const struct app_tmpl *app_load_tmpl(struct app_load *l, const struct app_node *n, const char *only)
{
    const struct app_tmpl *t = NULL;
    struct ac_err e = AC_ERR_INIT;
    int line = 0, column = 0;
    if (!n || l->code)
        return NULL;
    if (app_tmpl_compile(l->a, n, &t, &line, &column, &e)) {
        app_load_fail(l, line, column, "%s", e.msg);
        return NULL;
    }
    struct name_check c = {l, only};
    return app_tmpl_names(t, known_name, &c) ? t : NULL;
}
