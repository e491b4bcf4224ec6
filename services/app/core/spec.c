/* Services, stores, routes and parameters; the steps are in spec_step.c. Two passes: first every
 * service and route gets its name, so that a call may go to any of them; then the steps. */
#include "spec_load.h"

#include <math.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static bool is_name(const char *s, bool dashes)
{
    size_t n = 0;
    for (; s[n]; n++) {
        bool ok = islower((unsigned char)s[n]) || (n && isdigit((unsigned char)s[n])) ||
                  (n && s[n] == '-' && dashes && s[n + 1]);
        if (!ok)
            return false;
    }
    return n > 0 && n < 64;
}

static bool load_store(struct app_load *l, const char *name, const struct app_node *n,
                       struct app_store *st)
{
    static const char *const keys[] = {"kind", "port",     "url",         "database",
                                       "user", "password", "connections", NULL};
    static const char *const kinds[] = {"postgres", "redis", "model"};
    static const int ports[] = {5432, 6379, 8001};
    if (!app_load_keys(l, n, keys, "store"))
        return false;
    if (!is_name(name, true))
        return app_load_fail(l, n->line, n->column, "store '%.40s': use lower case, digits and '-'",
                             name);
    const char *kind = app_load_str(l, n, "kind", NULL);
    size_t k = 0;
    while (kind && k < AC_ARRAY_LEN(kinds) && !ac_streq(kind, kinds[k]))
        k++;
    if (!kind || k == AC_ARRAY_LEN(kinds))
        return app_load_fail(l, n->line, n->column,
                             "store '%s': kind must be postgres, redis or model", name);
    st->name = name;
    st->kind = (enum app_store_kind)k;
    st->line = n->line;
    st->column = n->column;
    st->port = (int)app_load_int(l, n, "port", ports[k], 1, 65535);
    st->connections = (unsigned)app_load_int(l, n, "connections", 4, 1, 64);
    st->url = app_load_tmpl(l, app_load_get(n, "url"), "env");
    st->database = app_load_tmpl(l, app_load_get(n, "database"), "env");
    st->user = app_load_tmpl(l, app_load_get(n, "user"), "env");
    st->password = app_load_tmpl(l, app_load_get(n, "password"), "env");
    return !l->code;
}

static bool load_stores(struct app_load *l, const struct app_node *n, struct app_service *s)
{
    if (!n)
        return true;
    if (!app_load_is(l, n, APP_NODE_MAP, "stores"))
        return false;
    if (n->len > APP_MAX_STORES)
        return app_load_fail(l, n->line, n->column, "more than %d stores", APP_MAX_STORES);
    struct app_store *stores = app_load_alloc(l, n->len, sizeof(*stores));
    for (size_t i = 0; stores && i < n->len; i++) {
        if (!load_store(l, n->keys[i], n->items[i], &stores[i]))
            return false;
    }
    s->stores = stores;
    s->n_stores = n->len;
    return !l->code;
}

static bool load_params(struct app_load *l, const struct app_node *n, struct app_route *r)
{
    static const char *const types[] = {"any",  "string", "number", "int",
                                        "bool", "date",   "list",   "map"};
    r->any_params = !n;
    if (!n)
        return true;
    if (!app_load_is(l, n, APP_NODE_MAP, "params"))
        return false;
    struct app_param *params = app_load_alloc(l, n->len, sizeof(*params));
    for (size_t i = 0; params && i < n->len; i++) {
        const struct app_node *t = n->items[i];
        size_t k = 0, len;
        if (!app_load_is(l, t, APP_NODE_SCALAR, n->keys[i]))
            return false;
        len = strlen(t->scalar);
        params[i].name = n->keys[i];
        params[i].optional = len > 0 && t->scalar[len - 1] == '?';
        len -= params[i].optional ? 1 : 0;
        while (k < AC_ARRAY_LEN(types) &&
               (strlen(types[k]) != len || memcmp(types[k], t->scalar, len) != 0))
            k++;
        if (k == AC_ARRAY_LEN(types))
            return app_load_fail(l, t->line, t->column,
                                 "parameter '%.40s': no type '%.20s'; types are any, string, "
                                 "number, int, bool, date, list and map, with ? when optional",
                                 n->keys[i], t->scalar);
        params[i].type = (enum app_type)k;
    }
    r->params = params;
    r->n_params = n->len;
    return !l->code;
}

static bool bad_route(struct app_load *l, const struct app_node *n)
{
    return app_load_fail(l, n->line, n->column,
                         "a route is 'http: GET /path' or 'grpc: package.Service/Method'");
}

/* "GET /hotels" or "search.Search/Nearby" (a leading / is fine). */
static bool load_route_name(struct app_load *l, const struct app_node *n, struct app_route *r)
{
    const char *s = n->scalar, *mark = strchr(s, r->http ? ' ' : '/');
    if (!r->http && mark == s) {
        s++;
        mark = strchr(s, '/');
    }
    if (!mark || mark == s || mark[1] == '\0' || (r->http && mark[1] != '/') ||
        (!r->http && strchr(mark + 1, '/')) || strlen(s) > 200)
        return bad_route(l, n);
    char *head = ac_arena_strndup(l->a, s, (size_t)(mark - s));
    char *tail = ac_arena_strdup(l->a, mark + 1);
    bool any = r->http && ac_str_starts(s, "ANY ");
    r->label = ac_arena_strdup(l->a, any ? mark + 1 : s);
    r->path = r->http ? tail : ac_arena_printf(l->a, "/%s", s);
    r->method = r->http ? head : tail;
    r->package_service = r->http ? NULL : head;
    return head && tail && r->label && r->path;
}

static bool load_route_head(struct app_load *l, const struct app_node *n, struct app_route *r)
{
    static const char *const keys[] = {"http", "grpc", "timeout", "params", "steps", "reply", NULL};
    if (!app_load_keys(l, n, keys, "route"))
        return false;
    const struct app_node *http = app_load_get(n, "http"), *grpc = app_load_get(n, "grpc");
    const struct app_node *name = http ? http : grpc;
    if (!name || (http && grpc))
        return bad_route(l, n);
    if (!app_load_is(l, name, APP_NODE_SCALAR, "route"))
        return false;
    r->http = http != NULL;
    r->line = n->line;
    r->column = n->column;
    r->timeout_ns = app_load_duration(l, n, "timeout", 5 * AC_NS_PER_S);
    return load_route_name(l, name, r) && load_params(l, app_load_get(n, "params"), r) && !l->code;
}

static bool load_service_head(struct app_load *l, const char *name, const struct app_node *n,
                              struct app_service *s)
{
    static const char *const keys[] = {"port", "stores", "routes", NULL};
    if (!app_load_keys(l, n, keys, "service"))
        return false;
    if (!is_name(name, true))
        return app_load_fail(l, n->line, n->column,
                             "service '%.40s': use lower case, digits and '-'", name);
    s->name = name;
    s->line = n->line;
    s->column = n->column;
    s->port = (int)app_load_int(l, n, "port", 8080, 1, 65535);
    const struct app_node *routes = app_load_get(n, "routes");
    if (!routes)
        return app_load_fail(l, n->line, n->column, "service '%s' has no routes", name);
    if (!load_stores(l, app_load_get(n, "stores"), s) ||
        !app_load_is(l, routes, APP_NODE_SEQ, "routes"))
        return false;
    if (routes->len == 0 || routes->len > APP_MAX_ROUTES)
        return app_load_fail(l, routes->line, routes->column, "1 to %d routes a service",
                             APP_MAX_ROUTES);
    struct app_route *r = app_load_alloc(l, routes->len, sizeof(*r));
    for (size_t i = 0; r && i < routes->len; i++) {
        r[i].index = i;
        if (!load_route_head(l, routes->items[i], &r[i]))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (ac_streq(r[i].label, r[j].label))
                return app_load_fail(l, r[i].line, r[i].column, "route '%s' given twice",
                                     r[i].label);
        }
    }
    s->routes = r;
    s->n_routes = routes->len;
    return !l->code;
}

static bool load_route_body(struct app_load *l, const struct app_node *n, struct app_route *r)
{
    const struct app_node *steps = app_load_get(n, "steps");
    l->n_vars = 0;
    l->n_steps = 0;
    if (steps && !app_load_block(l, steps, 0, &r->block))
        return false;
    r->reply = app_load_tmpl(l, app_load_get(n, "reply"), NULL);
    return !l->code;
}

static bool load_bodies(struct app_load *l, const struct app_node *services,
                        struct app_service *out)
{
    for (size_t i = 0; i < services->len; i++) {
        const struct app_node *routes = app_load_get(services->items[i], "routes");
        l->service = &out[i];
        for (size_t j = 0; j < routes->len; j++) {
            /* The one place that completes a route after the table was made. */
            struct app_route *r = (struct app_route *)(uintptr_t)&out[i].routes[j];
            if (!load_route_body(l, routes->items[j], r))
                return false;
        }
    }
    return true;
}

int app_spec_load(struct ac_arena *a, const char *file, const struct app_node *root,
                  const struct app_spec **ret, struct ac_err *err)
{
    static const char *const keys[] = {"application", "services", "load", NULL};
    struct app_load l = {.a = a, .file = file, .err = err};
    struct app_spec *spec = app_load_alloc(&l, 1, sizeof(*spec));
    if (!spec || !app_load_keys(&l, root, keys, "spec"))
        return l.code;
    l.spec = spec;
    spec->application = app_load_str(&l, root, "application", "application");
    const struct app_node *services = app_load_get(root, "services");
    if (!services) {
        app_load_fail(&l, root->line, root->column, "no services");
        return l.code;
    }
    if (app_load_is(&l, services, APP_NODE_MAP, "services") &&
        (services->len == 0 || services->len > APP_MAX_SERVICES))
        app_load_fail(&l, services->line, services->column, "1 to %d services", APP_MAX_SERVICES);
    if (l.code)
        return l.code;
    struct app_service *s = app_load_alloc(&l, services->len, sizeof(*s));
    if (!s)
        return l.code;
    for (size_t i = 0; i < services->len && !l.code; i++) {
        s[i].index = i;
        load_service_head(&l, services->keys[i], services->items[i], &s[i]);
        for (size_t j = 0; j < i; j++) {
            if (ac_streq(services->keys[j], services->keys[i]))
                app_load_fail(&l, s[i].line, s[i].column, "service '%s' given twice", s[i].name);
        }
    }
    spec->services = s;
    spec->n_services = services->len;
    if (!l.code)
        load_bodies(&l, services, s);
    const struct app_node *load = app_load_get(root, "load");
    if (load && !l.code) {
        struct app_load_spec *gen = app_load_alloc(&l, 1, sizeof(*gen));
        if (gen && app_load_generator(&l, load, gen))
            spec->load = gen;
    }
    if (!l.code && ac_arena_failed(a))
        l.code = ac_err_set(err, AC_EAGAIN, "%s: document too large", file);
    if (l.code)
        return l.code;
    *ret = spec;
    return 0;
}

const struct app_service *app_spec_service(const struct app_spec *s, const char *name)
{
    for (size_t i = 0; i < s->n_services; i++) {
        if (ac_streq(s->services[i].name, name))
            return &s->services[i];
    }
    return NULL;
}

const struct app_route *app_service_route(const struct app_service *s, bool http,
                                          const char *method, const char *path)
{
    for (size_t i = 0; i < s->n_routes; i++) {
        const struct app_route *r = &s->routes[i];
        if (r->http == http && ac_streq(r->path, path) &&
            (!http || ac_streq(r->method, "ANY") || ac_streq(r->method, method)))
            return r;
    }
    return NULL;
}

static const struct app_value *convert(const struct app_param *p, struct ac_arena *a,
                                       const struct app_value *v)
{
    double d = 0;
    bool text = v->kind == APP_STR;
    switch (p->type) {
    case APP_TYPE_ANY:
        return v;
    case APP_TYPE_STRING:
        return text ? v : v->kind == APP_NUM ? app_cstr(a, app_text(a, v, NULL)) : NULL;
    case APP_TYPE_NUMBER:
    case APP_TYPE_INT:
        if (text && ac_str_to_f64(v->u.str.s, &d) && isfinite(d))
            v = app_num(a, d);
        return v && v->kind == APP_NUM &&
                       (p->type == APP_TYPE_NUMBER ||
                        (v->u.num == trunc(v->u.num) && fabs(v->u.num) < 9e15))
                   ? v
                   : NULL;
    case APP_TYPE_BOOL:
        if (text && (ac_streq(v->u.str.s, "true") || ac_streq(v->u.str.s, "false")))
            return app_bool(v->u.str.s[0] == 't');
        return v->kind == APP_BOOL ? v : NULL;
    case APP_TYPE_DATE:
        return text && app_is_date(v->u.str.s) ? v : NULL;
    case APP_TYPE_LIST:
        return v->kind == APP_LIST ? v : NULL;
    case APP_TYPE_MAP:
        return v->kind == APP_MAP ? v : NULL;
    }
    return NULL;
}

int app_route_request(const struct app_route *r, struct ac_arena *a, const struct app_value *raw,
                      const struct app_value **ret, struct ac_err *err)
{
    static const char *const types[] = {"a value",        "a string", "a number",
                                        "a whole number", "a bool",   "a date like 2015-04-09",
                                        "a list",         "a map"};
    if (r->any_params) {
        *ret = raw;
        return 0;
    }
    const char **keys = ac_arena_calloc(a, r->n_params + 1, sizeof(*keys));
    const struct app_value **items = ac_arena_calloc(a, r->n_params + 1, sizeof(*items));
    if (!keys || !items)
        return ac_err_set(err, AC_EAGAIN, "request too large");
    for (size_t i = 0; i < r->n_params; i++) {
        const struct app_param *p = &r->params[i];
        const struct app_value *v = app_get(raw, p->name);
        keys[i] = p->name;
        if ((!v || v->kind == APP_NULL) && !p->optional)
            return ac_err_set(err, AC_EINVAL, "parameter '%s' is missing", p->name);
        items[i] = v && v->kind != APP_NULL ? convert(p, a, v) : &app_null;
        if (!items[i])
            return ac_err_set(err, AC_EINVAL, "parameter '%s': expected %s", p->name,
                              types[p->type]);
    }
    *ret = app_map(a, keys, items, r->n_params);
    return *ret ? 0 : ac_err_set(err, AC_EAGAIN, "request too large");
}
