/* The steps of a route: one key says what a step does, the others refine it. */
#include "spec_load.h"

#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static bool define(struct app_load *l, const struct app_node *at, const char *name)
{
    for (size_t i = 0; name[i]; i++) {
        if (!isalpha((unsigned char)name[i]) && name[i] != '_' &&
            !(i && isdigit((unsigned char)name[i])))
            return app_load_fail(l, at->line, at->column, "'%.40s' is no variable name", name);
    }
    if (name[0] == '\0' || strlen(name) > 40 || ac_streq(name, "request") ||
        ac_streq(name, "true") || ac_streq(name, "false") || ac_streq(name, "null"))
        return app_load_fail(l, at->line, at->column, "'%.40s' is no variable name", name);
    for (size_t i = 0; i < l->n_vars; i++) {
        if (ac_streq(l->vars[i], name))
            return true;
    }
    if (l->n_vars == APP_MAX_VARS)
        return app_load_fail(l, at->line, at->column, "more than %d variables", APP_MAX_VARS);
    l->vars[l->n_vars++] = name;
    return true;
}

static bool load_store_ref(struct app_load *l, const struct app_node *n, enum app_store_kind k,
                           struct app_step *st)
{
    static const char *const kinds[] = {"postgres", "redis", "model"};
    if (!app_load_is(l, n, APP_NODE_SCALAR, "store"))
        return false;
    for (size_t i = 0; i < l->service->n_stores; i++) {
        if (ac_streq(l->service->stores[i].name, n->scalar)) {
            st->store = &l->service->stores[i];
            st->store_index = i;
        }
    }
    if (!st->store)
        return app_load_fail(l, n->line, n->column, "service '%s' has no store '%.40s'",
                             l->service->name, n->scalar);
    if (st->store->kind != k)
        return app_load_fail(l, n->line, n->column, "store '%s' is no %s store", st->store->name,
                             kinds[k]);
    return true;
}

static bool load_call(struct app_load *l, const struct app_node *n, const struct app_node *v,
                      struct app_step *st)
{
    const char *method = app_load_str(l, n, "method", NULL);
    if (!app_load_is(l, v, APP_NODE_SCALAR, "call"))
        return false;
    st->service = app_spec_service(l->spec, v->scalar);
    if (!st->service)
        return app_load_fail(l, v->line, v->column, "call: no service '%.40s' in this spec",
                             v->scalar);
    if (!method)
        return app_load_fail(l, v->line, v->column, "call: 'method' is missing");
    const struct app_node *m = app_load_get(n, "method");
    const char *path = method[0] == '/' ? method : ac_arena_printf(l->a, "/%s", method);
    st->route = path ? app_service_route(st->service, false, NULL, path) : NULL;
    if (!st->route)
        return app_load_fail(l, m->line, m->column, "call: service '%s' has no gRPC method '%.80s'",
                             st->service->name, method);
    st->value = app_load_tmpl(l, app_load_get(n, "with"), NULL);
    return !l->code;
}

static bool load_query(struct app_load *l, const struct app_node *n, const struct app_node *v,
                       struct app_step *st)
{
    const struct app_node *params = app_load_get(n, "params");
    if (!load_store_ref(l, v, APP_STORE_POSTGRES, st))
        return false;
    st->sql = app_load_str(l, n, "sql", NULL);
    if (!st->sql)
        return app_load_fail(l, v->line, v->column, "query: 'sql' is missing");
    st->one = app_load_bool(l, n, "one", false);
    if (!params || !app_load_is(l, params, APP_NODE_SEQ, "params"))
        return !l->code;
    if (params->len > 32)
        return app_load_fail(l, params->line, params->column, "more than 32 parameters");
    const struct app_tmpl **t = app_load_alloc(l, params->len, sizeof(*t));
    for (size_t i = 0; t && i < params->len; i++)
        t[i] = app_load_tmpl(l, params->items[i], NULL);
    st->params = t;
    st->n_params = params->len;
    return !l->code;
}

static bool load_cache(struct app_load *l, const struct app_node *n, const struct app_node *v,
                       struct app_step *st)
{
    const struct app_node *get = app_load_get(n, "get"), *set = app_load_get(n, "set");
    const struct app_node *del = app_load_get(n, "delete"), *value = app_load_get(n, "value");
    if (!load_store_ref(l, v, APP_STORE_REDIS, st))
        return false;
    if ((get != NULL) + (set != NULL) + (del != NULL) != 1)
        return app_load_fail(l, v->line, v->column, "cache: give one of get, set and delete");
    if ((set != NULL) != (value != NULL))
        return app_load_fail(l, v->line, v->column, "cache: 'set' and 'value' go together");
    st->kind = get ? APP_STEP_CACHE_GET : set ? APP_STEP_CACHE_SET : APP_STEP_CACHE_DEL;
    st->key = app_load_tmpl(l, get ? get : set ? set : del, NULL);
    st->value = app_load_tmpl(l, value, NULL);
    st->ttl_ns = app_load_duration(l, n, "ttl", 0);
    return !l->code;
}

static bool load_model(struct app_load *l, const struct app_node *n, const struct app_node *v,
                       struct app_step *st)
{
    if (!load_store_ref(l, v, APP_STORE_MODEL, st))
        return false;
    st->model = app_load_str(l, n, "name", NULL);
    st->value = app_load_tmpl(l, app_load_get(n, "input"), NULL);
    if (!l->code && (!st->model || !st->value))
        return app_load_fail(l, v->line, v->column, "model: 'name' and 'input' are needed");
    return !l->code;
}

/* A duration text, or an expression that gives microseconds. */
static bool load_time(struct app_load *l, const struct app_node *v, struct app_step *st)
{
    int64_t ns = 0;
    if (!app_load_is(l, v, APP_NODE_SCALAR, "duration"))
        return false;
    if (strstr(v->scalar, "${")) {
        st->duration = app_load_tmpl(l, v, NULL);
        return !l->code;
    }
    if (!ac_str_to_duration_ns(v->scalar, &ns) || ns < 0 || ns > 60 * AC_NS_PER_S)
        return app_load_fail(l, v->line, v->column,
                             "expected a duration such as 300us or 5ms, at most 60s");
    char *text = ac_arena_printf(l->a, "%lld", (long long)(ns / 1000));
    struct app_node us = {
        .kind = APP_NODE_SCALAR, .line = v->line, .column = v->column, .scalar = text};
    st->duration = text ? app_load_tmpl(l, &us, NULL) : NULL;
    return st->duration != NULL;
}

static bool load_let(struct app_load *l, const struct app_node *v, struct app_step *st)
{
    if (!app_load_is(l, v, APP_NODE_MAP, "let"))
        return false;
    const char **names = app_load_alloc(l, v->len, sizeof(*names));
    const struct app_tmpl **values = app_load_alloc(l, v->len, sizeof(*values));
    if (!names || !values)
        return false;
    for (size_t i = 0; i < v->len; i++) {
        names[i] = v->keys[i];
        values[i] = app_load_tmpl(l, v->items[i], NULL);
        if (l->code || !define(l, v->items[i], names[i]))
            return false;
    }
    st->names = names;
    st->values = values;
    st->n_names = v->len;
    return true;
}

static bool load_fail_step(struct app_load *l, const struct app_node *n, const struct app_node *v,
                           struct app_step *st)
{
    static const struct {
        const char *name;
        int code;
    } codes[] = {{"INVALID_ARGUMENT", AC_EINVAL},    {"NOT_FOUND", AC_ENOTFOUND},
                 {"ALREADY_EXISTS", AC_EEXISTS},     {"PERMISSION_DENIED", AC_EPERM},
                 {"UNAUTHENTICATED", AC_EUNAUTH},    {"RESOURCE_EXHAUSTED", AC_EAGAIN},
                 {"FAILED_PRECONDITION", AC_ESTATE}, {"UNAVAILABLE", AC_ENET},
                 {"DEADLINE_EXCEEDED", AC_ETIMEOUT}, {"INTERNAL", AC_EINTERNAL}};
    if (!app_load_is(l, v, APP_NODE_SCALAR, "fail"))
        return false;
    for (size_t i = 0; i < AC_ARRAY_LEN(codes); i++) {
        if (ac_streq(v->scalar, codes[i].name))
            st->fail_code = codes[i].code;
    }
    if (!st->fail_code)
        return app_load_fail(l, v->line, v->column,
                             "fail: '%.40s' is no gRPC status such as NOT_FOUND", v->scalar);
    st->value = app_load_tmpl(l, app_load_get(n, "message"), NULL);
    return !l->code;
}

struct kind_row {
    const char *key;
    enum app_step_kind kind;
    const char *const *keys;
};

#define COMMON "when", "as", "optional", "else", "timeout"
static const char *const call_keys[] = {"call", "method", "with", COMMON, NULL};
static const char *const query_keys[] = {"query", "sql", "params", "one", COMMON, NULL};
static const char *const cache_keys[] = {"cache", "get", "set",  "delete",
                                         "value", "ttl", COMMON, NULL};
static const char *const model_keys[] = {"model", "name", "input", COMMON, NULL};
static const char *const compute_keys[] = {"compute", "when", NULL};
static const char *const delay_keys[] = {"delay", "when", NULL};
static const char *const let_keys[] = {"let", "when", NULL};
static const char *const fail_keys[] = {"fail", "when", "message", NULL};
static const char *const return_keys[] = {"return", "when", NULL};
static const char *const parallel_keys[] = {"parallel", "when", NULL};
static const char *const steps_keys[] = {"steps", "when", NULL};

static const struct kind_row kinds[] = {
    {"call", APP_STEP_CALL, call_keys},
    {"query", APP_STEP_QUERY, query_keys},
    {"cache", APP_STEP_CACHE_GET, cache_keys},
    {"model", APP_STEP_MODEL, model_keys},
    {"compute", APP_STEP_COMPUTE, compute_keys},
    {"delay", APP_STEP_DELAY, delay_keys},
    {"let", APP_STEP_LET, let_keys},
    {"fail", APP_STEP_FAIL, fail_keys},
    {"return", APP_STEP_RETURN, return_keys},
    {"parallel", APP_STEP_PARALLEL, parallel_keys},
    {"steps", APP_STEP_STEPS, steps_keys},
};

static const struct kind_row *step_kind(struct app_load *l, const struct app_node *n)
{
    const struct kind_row *row = NULL;
    if (!app_load_is(l, n, APP_NODE_MAP, "step"))
        return NULL;
    for (size_t i = 0; i < n->len && !row; i++) {
        for (size_t k = 0; k < AC_ARRAY_LEN(kinds); k++) {
            if (ac_streq(n->keys[i], kinds[k].key))
                row = &kinds[k];
        }
    }
    if (!row)
        app_load_fail(l, n->line, n->column,
                      "a step needs one of call, query, cache, model, compute, delay, let, fail, "
                      "return, parallel and steps");
    return row;
}

static bool load_kind(struct app_load *l, const struct app_node *n, const struct kind_row *row,
                      int depth, struct app_step *st)
{
    const struct app_node *v = app_load_get(n, row->key);
    switch (row->kind) {
    case APP_STEP_CALL:
        return load_call(l, n, v, st);
    case APP_STEP_QUERY:
        return load_query(l, n, v, st);
    case APP_STEP_CACHE_GET:
        return load_cache(l, n, v, st);
    case APP_STEP_MODEL:
        return load_model(l, n, v, st);
    case APP_STEP_COMPUTE:
    case APP_STEP_DELAY:
        return load_time(l, v, st);
    case APP_STEP_LET:
        return load_let(l, v, st);
    case APP_STEP_FAIL:
        return load_fail_step(l, n, v, st);
    case APP_STEP_RETURN:
        st->value = app_load_tmpl(l, v, NULL);
        return !l->code;
    default:
        return app_load_block(l, v, depth + 1, &st->block);
    }
}

static bool load_step(struct app_load *l, const struct app_node *n, int depth, struct app_step *st)
{
    const struct kind_row *row = step_kind(l, n);
    if (!row || !app_load_keys(l, n, row->keys, row->key))
        return false;
    if (++l->n_steps > APP_MAX_STEPS)
        return app_load_fail(l, n->line, n->column, "more than %d steps in one route",
                             APP_MAX_STEPS);
    st->kind = row->kind;
    st->line = n->line;
    st->column = n->column;
    st->when = app_load_tmpl(l, app_load_get(n, "when"), NULL);
    st->optional = app_load_bool(l, n, "optional", false);
    st->fallback = app_load_tmpl(l, app_load_get(n, "else"), NULL);
    st->timeout_ns = app_load_duration(l, n, "timeout", 0);
    if (l->code || !load_kind(l, n, row, depth, st))
        return false;
    st->as = app_load_str(l, n, "as", NULL);
    return !l->code && (!st->as || define(l, app_load_get(n, "as"), st->as));
}

bool app_load_block(struct app_load *l, const struct app_node *n, int depth, struct app_block *ret)
{
    if (!app_load_is(l, n, APP_NODE_SEQ, "steps"))
        return false;
    if (depth > APP_MAX_NESTING)
        return app_load_fail(l, n->line, n->column, "steps nested more than %d deep",
                             APP_MAX_NESTING);
    struct app_step *steps = app_load_alloc(l, n->len, sizeof(*steps));
    for (size_t i = 0; steps && i < n->len; i++) {
        if (!load_step(l, n->items[i], depth, &steps[i]))
            return false;
    }
    ret->steps = steps;
    ret->n = n->len;
    return steps != NULL;
}
