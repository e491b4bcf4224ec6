/* The spec's "load": the mix of requests that its users send. */
#include "spec_load.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static bool load_number(struct app_load *l, const struct app_node *n, const char *what, double lo,
                        double hi, double *ret)
{
    if (!app_load_is(l, n, APP_NODE_SCALAR, what))
        return false;
    if (!ac_str_to_f64(n->scalar, ret) || !(*ret >= lo && *ret <= hi))
        return app_load_fail(l, n->line, n->column, "%s: expected a number from %g to %g", what, lo,
                             hi);
    return true;
}

/* name: [low, high]; whole numbers when both bounds are written without a point. */
static bool load_draws(struct app_load *l, const struct app_node *n, struct app_load_class *c)
{
    if (!n)
        return true;
    if (!app_load_is(l, n, APP_NODE_MAP, "draw"))
        return false;
    if (n->len > 32)
        return app_load_fail(l, n->line, n->column, "draw: more than 32 names");
    struct app_draw *d = app_load_alloc(l, n->len, sizeof(*d));
    for (size_t i = 0; d && i < n->len; i++) {
        const struct app_node *b = n->items[i];
        if (!app_load_is(l, b, APP_NODE_SEQ, n->keys[i]))
            return false;
        if (b->len != 2)
            return app_load_fail(l, b->line, b->column, "draw: expected [low, high]");
        d[i].name = n->keys[i];
        if (!load_number(l, b->items[0], n->keys[i], -1e9, 1e9, &d[i].lo) ||
            !load_number(l, b->items[1], n->keys[i], d[i].lo, 1e9, &d[i].hi))
            return false;
        d[i].whole = !strpbrk(b->items[0]->scalar, ".eE") && !strpbrk(b->items[1]->scalar, ".eE");
        l->vars[l->n_vars++] = d[i].name;
    }
    c->draws = d;
    c->n_draws = n->len;
    return !l->code;
}

static bool load_class(struct app_load *l, const struct app_node *n, struct app_load_class *c)
{
    static const char *const keys[] = {"share", "draw", "get", "post", "expect", NULL};
    if (!app_load_keys(l, n, keys, "class"))
        return false;
    const struct app_node *share = app_load_get(n, "share"), *get = app_load_get(n, "get");
    const struct app_node *post = app_load_get(n, "post");
    if (!share || !get == !post)
        return app_load_fail(l, n->line, n->column,
                             "class: 'share' and one of 'get' and 'post' are needed");
    l->n_vars = 0;
    if (!load_number(l, share, "share", 0, 1e6, &c->share) ||
        !load_draws(l, app_load_get(n, "draw"), c))
        return false;
    c->method = get ? "GET" : "POST";
    c->path = app_load_tmpl(l, get ? get : post, NULL);
    c->expect = app_load_str(l, n, "expect", NULL);
    return !l->code;
}

bool app_load_generator(struct app_load *l, const struct app_node *n, struct app_load_spec *ret)
{
    static const char *const keys[] = {"service", "rate", "late", "timeout", "classes", NULL};
    double total = 0;
    if (!app_load_keys(l, n, keys, "load"))
        return false;
    const struct app_node *rate = app_load_get(n, "rate"), *classes = app_load_get(n, "classes");
    const char *service = app_load_str(l, n, "service", "frontend");
    if (l->code)
        return false;
    ret->service = app_spec_service(l->spec, service);
    if (!ret->service)
        return app_load_fail(l, n->line, n->column, "load: no service '%.40s'", service);
    ret->rate = 50;
    if (rate && !load_number(l, rate, "rate", .01, 1e5, &ret->rate))
        return false;
    ret->late_ns = app_load_duration(l, n, "late", 500 * AC_NS_PER_MS);
    ret->timeout_ns = app_load_duration(l, n, "timeout", 5 * AC_NS_PER_S);
    if (!classes)
        return app_load_fail(l, n->line, n->column, "load: 'classes' is missing");
    if (!app_load_is(l, classes, APP_NODE_MAP, "classes"))
        return false;
    if (classes->len == 0 || classes->len > 64)
        return app_load_fail(l, classes->line, classes->column, "load: 1 to 64 classes");
    struct app_load_class *c = app_load_alloc(l, classes->len, sizeof(*c));
    for (size_t i = 0; c && i < classes->len; i++) {
        c[i].name = classes->keys[i];
        if (!load_class(l, classes->items[i], &c[i]))
            return false;
        total += c[i].share;
    }
    if (!l->code && total <= 0)
        return app_load_fail(l, classes->line, classes->column, "load: all shares are zero");
    ret->classes = c;
    ret->n_classes = classes->len;
    return !l->code;
}
