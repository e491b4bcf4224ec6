#include "expr_ast.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

/* Names that map, reduce and the like bind: innermost first. */
struct frame {
    const char *name;
    const struct app_value *value;
    const struct frame *up;
};

static const struct app_value *eval(struct app_eval *ev, const struct app_expr *e,
                                    const struct frame *f);

const struct app_value *app_eval_fail(struct app_eval *ev, int code, const char *fmt, ...)
{
    if (!ev->code) {
        va_list ap;
        va_start(ap, fmt);
        ev->code = ac_err_vset(ev->err, code, fmt, ap);
        va_end(ap);
    }
    return NULL;
}

bool app_eval_spend(struct app_eval *ev, size_t n)
{
    if (ev->code || n > ev->steps) {
        app_eval_fail(ev, AC_EAGAIN, "expression needs too many steps");
        return false;
    }
    ev->steps -= (unsigned)n;
    return true;
}

const struct app_value *app_eval_got(struct app_eval *ev, const struct app_value *v)
{
    return v ? v : app_eval_fail(ev, AC_EAGAIN, "value too large");
}

int app_compare(const struct app_value *a, const struct app_value *b)
{
    if (a->kind == APP_NUM && b->kind == APP_NUM) {
        if (isnan(a->u.num) || isnan(b->u.num))
            return -2;
        return (a->u.num > b->u.num) - (a->u.num < b->u.num);
    }
    if (a->kind == APP_STR && b->kind == APP_STR) {
        int c = strcmp(a->u.str.s, b->u.str.s);
        return (c > 0) - (c < 0);
    }
    return -2;
}

static const struct app_value *name_value(struct app_eval *ev, const char *name,
                                          const struct frame *f)
{
    for (; f; f = f->up) {
        if (strcmp(f->name, name) == 0)
            return f->value;
    }
    const struct app_value *v = ev->scope ? ev->scope->lookup(ev->scope, name) : NULL;
    return v ? v : app_eval_fail(ev, AC_EINVAL, "no variable '%.60s'", name);
}

static const struct app_value *index_value(struct app_eval *ev, const struct app_value *v,
                                           const struct app_value *i)
{
    if (v->kind == APP_NULL || i->kind == APP_NULL)
        return &app_null;
    if (v->kind == APP_LIST && i->kind == APP_NUM) {
        double n = (double)v->u.list.n, at = trunc(i->u.num);
        if (at < 0)
            at += n;
        return at >= 0 && at < n ? v->u.list.items[(size_t)at] : &app_null;
    }
    if (v->kind == APP_MAP) {
        const char *key = app_text(ev->a, i, NULL);
        if (!key)
            return app_eval_got(ev, NULL);
        const struct app_value *x = app_get(v, key);
        return x ? x : &app_null;
    }
    return app_eval_fail(ev, AC_EINVAL, "cannot index %s with %s", app_kind_name(v->kind),
                         app_kind_name(i->kind));
}

static const struct app_value *field(struct app_eval *ev, const struct app_value *v,
                                     const char *name)
{
    if (v->kind == APP_NULL)
        return &app_null;
    if (v->kind != APP_MAP)
        return app_eval_fail(ev, AC_EINVAL, "%s has no field '%.60s'", app_kind_name(v->kind),
                             name);
    const struct app_value *x = app_get(v, name);
    return x ? x : &app_null;
}

static const struct app_value *arithmetic(struct app_eval *ev, enum app_op op,
                                          const struct app_value *x, const struct app_value *y)
{
    if (op == APP_OP_ADD && x->kind == APP_STR && y->kind == APP_STR) {
        if (!app_eval_spend(ev, (x->u.str.len + y->u.str.len) / 64))
            return NULL;
        char *s = ac_arena_printf(ev->a, "%s%s", x->u.str.s, y->u.str.s);
        return app_eval_got(ev, s ? app_cstr(ev->a, s) : NULL);
    }
    if (x->kind != APP_NUM || y->kind != APP_NUM)
        return app_eval_fail(ev, AC_EINVAL, "arithmetic on %s and %s", app_kind_name(x->kind),
                             app_kind_name(y->kind));
    double a = x->u.num, b = y->u.num, r = 0;
    switch (op) {
    case APP_OP_ADD:
        r = a + b;
        break;
    case APP_OP_SUB:
        r = a - b;
        break;
    case APP_OP_MUL:
        r = a * b;
        break;
    default:
        if (b == 0)
            return app_eval_fail(ev, AC_EINVAL, "division by zero");
        r = op == APP_OP_DIV ? a / b : fmod(a, b);
        break;
    }
    return app_eval_got(ev, app_num(ev->a, r));
}

static const struct app_value *relation(struct app_eval *ev, enum app_op op,
                                        const struct app_value *x, const struct app_value *y)
{
    int c = app_compare(x, y);
    if (c == -2)
        return app_eval_fail(ev, AC_EINVAL, "cannot compare %s with %s", app_kind_name(x->kind),
                             app_kind_name(y->kind));
    return app_bool(op == APP_OP_LT   ? c < 0
                    : op == APP_OP_LE ? c <= 0
                    : op == APP_OP_GT ? c > 0
                                      : c >= 0);
}

static const struct app_value *binary(struct app_eval *ev, const struct app_expr *e,
                                      const struct frame *f)
{
    const struct app_value *x = eval(ev, e->args[0], f);
    if (!x)
        return NULL;
    if (e->op == APP_OP_AND || e->op == APP_OP_OR) {
        if (app_truthy(x) == (e->op == APP_OP_OR))
            return app_bool(e->op == APP_OP_OR);
        const struct app_value *y = eval(ev, e->args[1], f);
        return y ? app_bool(app_truthy(y)) : NULL;
    }
    if (e->op == APP_OP_ELSE)
        return x->kind != APP_NULL ? x : eval(ev, e->args[1], f);
    const struct app_value *y = eval(ev, e->args[1], f);
    if (!y)
        return NULL;
    if (e->op == APP_OP_EQ || e->op == APP_OP_NE)
        return app_bool(app_equal(x, y) == (e->op == APP_OP_EQ));
    if (e->op >= APP_OP_LT && e->op <= APP_OP_GE)
        return relation(ev, e->op, x, y);
    return arithmetic(ev, e->op, x, y);
}

static const struct app_value *collect(struct app_eval *ev, const struct app_expr *e,
                                       const struct frame *f)
{
    const struct app_value **items = ac_arena_alloc(ev->a, AC_MAX(e->n, 1u) * sizeof(*items));
    if (!items)
        return app_eval_got(ev, NULL);
    for (size_t i = 0; i < e->n; i++) {
        if (!(items[i] = eval(ev, e->args[i], f)))
            return NULL;
    }
    if (e->op == APP_OP_CALL)
        return app_eval_spend(ev, 1) ? e->fn->impl(ev, items, e->n) : NULL;
    return app_eval_got(ev, e->op == APP_OP_MAP ? app_map(ev->a, e->keys, items, e->n)
                                                : app_list(ev->a, items, e->n));
}

/* Merge sort of the items by their keys: stable, n log n whatever the data. */
static bool sort_items(struct app_eval *ev, const struct app_value **v, const struct app_value **k,
                       size_t n)
{
    const struct app_value **tv = ac_arena_alloc(ev->a, n * sizeof(*tv));
    const struct app_value **tk = ac_arena_alloc(ev->a, n * sizeof(*tk));
    if (!tv || !tk)
        return app_eval_got(ev, NULL);
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = AC_MIN(lo + width, n), hi = AC_MIN(lo + 2 * width, n);
            size_t i = lo, j = mid;
            for (size_t o = lo; o < hi; o++) {
                int c = i < mid && j < hi ? app_compare(k[i], k[j]) : 0;
                if (c == -2)
                    return app_eval_fail(ev, AC_EINVAL, "sort: keys cannot be compared");
                bool left = i < mid && (j >= hi || c <= 0);
                tv[o] = left ? v[i] : v[j];
                tk[o] = left ? k[i++] : k[j++];
            }
        }
        memcpy(v, tv, n * sizeof(*v));
        memcpy(k, tk, n * sizeof(*k));
    }
    return true;
}

static const struct app_value *form_result(struct app_eval *ev, const struct app_expr *e,
                                           const struct app_value *list,
                                           const struct app_value **got)
{
    size_t n = list->u.list.n, kept = 0;
    const struct app_value **items = ac_arena_alloc(ev->a, AC_MAX(n, 1u) * sizeof(*items));
    const char **keys = ac_arena_alloc(ev->a, AC_MAX(n, 1u) * sizeof(*keys));
    if (!items || !keys)
        return app_eval_got(ev, NULL);
    switch (e->form) {
    case APP_FORM_MAP:
        return app_eval_got(ev, app_list(ev->a, got, n));
    case APP_FORM_FILTER:
        for (size_t i = 0; i < n; i++) {
            if (app_truthy(got[i]))
                items[kept++] = list->u.list.items[i];
        }
        return app_eval_got(ev, app_list(ev->a, items, kept));
    case APP_FORM_INDEX:
        for (size_t i = 0; i < n; i++) {
            if (!(keys[i] = app_text(ev->a, got[i], NULL)))
                return app_eval_got(ev, NULL);
        }
        return app_eval_got(ev, app_map(ev->a, keys, list->u.list.items, n));
    default:
        if (n)
            memcpy(items, list->u.list.items, n * sizeof(*items));
        return n == 0 || sort_items(ev, items, got, n) ? app_eval_got(ev, app_list(ev->a, items, n))
                                                       : NULL;
    }
}

static const struct app_value *form(struct app_eval *ev, const struct app_expr *e,
                                    const struct frame *f)
{
    const struct app_value *list = eval(ev, e->args[0], f);
    if (!list)
        return NULL;
    if (list->kind == APP_NULL)
        list = app_eval_got(ev, app_list(ev->a, NULL, 0));
    if (!list)
        return NULL;
    if (list->kind != APP_LIST)
        return app_eval_fail(ev, AC_EINVAL, "expected a list, got %s", app_kind_name(list->kind));
    size_t n = list->u.list.n;
    if (e->form == APP_FORM_REDUCE) {
        const struct app_value *acc = eval(ev, e->args[2], f);
        for (size_t i = 0; acc && i < n; i++) {
            struct frame outer = {e->acc, acc, f};
            struct frame inner = {e->name, list->u.list.items[i], &outer};
            acc = eval(ev, e->args[4], &inner);
        }
        return acc;
    }
    const struct app_value **got = ac_arena_alloc(ev->a, AC_MAX(n, 1u) * sizeof(*got));
    if (!got)
        return app_eval_got(ev, NULL);
    for (size_t i = 0; i < n; i++) {
        struct frame inner = {e->name, list->u.list.items[i], f};
        if (!(got[i] = eval(ev, e->args[2], &inner)))
            return NULL;
    }
    return form_result(ev, e, list, got);
}

static const struct app_value *eval(struct app_eval *ev, const struct app_expr *e,
                                    const struct frame *f)
{
    const struct app_value *x, *y;
    if (!app_eval_spend(ev, 1))
        return NULL;
    switch (e->op) {
    case APP_OP_CONST:
        return e->constant;
    case APP_OP_NAME:
        return name_value(ev, e->name, f);
    case APP_OP_FIELD:
        x = eval(ev, e->args[0], f);
        return x ? field(ev, x, e->name) : NULL;
    case APP_OP_INDEX:
        x = eval(ev, e->args[0], f);
        y = x ? eval(ev, e->args[1], f) : NULL;
        return y ? index_value(ev, x, y) : NULL;
    case APP_OP_LIST:
    case APP_OP_MAP:
    case APP_OP_CALL:
        return collect(ev, e, f);
    case APP_OP_FORM:
        return form(ev, e, f);
    case APP_OP_NOT:
        x = eval(ev, e->args[0], f);
        return x ? app_bool(!app_truthy(x)) : NULL;
    case APP_OP_NEG:
        x = eval(ev, e->args[0], f);
        if (x && x->kind != APP_NUM)
            return app_eval_fail(ev, AC_EINVAL, "'-' before %s", app_kind_name(x->kind));
        return x ? app_eval_got(ev, app_num(ev->a, -x->u.num)) : NULL;
    case APP_OP_COND:
        x = eval(ev, e->args[0], f);
        return x ? eval(ev, e->args[app_truthy(x) ? 1 : 2], f) : NULL;
    default:
        return binary(ev, e, f);
    }
}

int app_expr_eval(const struct app_expr *e, const struct app_scope *s, struct ac_arena *a,
                  const struct app_value **ret, struct ac_err *err)
{
    struct app_eval ev = {.scope = s, .a = a, .err = err, .steps = APP_EXPR_MAX_STEPS};
    const struct app_value *v = eval(&ev, e, NULL);
    if (!v)
        return ev.code ? ev.code : ac_err_set(err, AC_EAGAIN, "value too large");
    *ret = v;
    return 0;
}

struct bound {
    const char *name;
    const struct bound *up;
};

static bool names(const struct app_expr *e, const struct bound *b,
                  bool (*fn)(const char *name, void *arg), void *arg)
{
    if (e->op == APP_OP_NAME) {
        for (; b; b = b->up) {
            if (ac_streq(b->name, e->name))
                return true;
        }
        return fn(e->name, arg);
    }
    if (e->op == APP_OP_FORM) {
        struct bound outer = {e->acc, b};
        struct bound inner = {e->name, e->form == APP_FORM_REDUCE ? &outer : b};
        if (!names(e->args[0], b, fn, arg))
            return false;
        if (e->form == APP_FORM_REDUCE && !names(e->args[2], b, fn, arg))
            return false;
        return names(e->args[e->n - 1], &inner, fn, arg);
    }
    for (size_t i = 0; i < e->n; i++) {
        if (!names(e->args[i], b, fn, arg))
            return false;
    }
    return true;
}

bool app_expr_names(const struct app_expr *e, bool (*fn)(const char *name, void *arg), void *arg)
{
    return names(e, NULL, fn, arg);
}
