/* What steps want from outside: calls to peers, stores, time. */
#include "engine_priv.h"
#include "tcp.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define INLINE_COMPUTE_NS AC_NS_PER_MS

bool app_engine_is_failure(int code)
{
    switch (code) {
    case 0:
    case AC_EINVAL:
    case AC_ENOTFOUND:
    case AC_EEXISTS:
    case AC_EPERM:
    case AC_EUNAUTH:
    case AC_ESTATE:
    case AC_ERANGE:
    case AC_ECANCELED:
        return false;
    default:
        return true;
    }
}

static void fail(struct app_op *op, int code, const char *msg)
{
    struct ac_err e = AC_ERR_INIT;
    ac_err_set(&e, code, "%s", msg);
    app_op_done(op, code, NULL, &e);
}

/* ---- calls ---- */

static void on_call_done(const struct ac_rpc_result *res, void *arg)
{
    struct app_op *op = arg;
    const struct app_value *v = NULL;
    struct ac_err e = AC_ERR_INIT;
    int code = res->code;
    if (code)
        ac_err_set(&e, code, "%s", res->message);
    else
        code = app_struct_unpack(app_exec_arena(op->exec), res->raw, res->raw_len, &v, &e);
    app_op_done(op, code, v, &e);
}

static struct ac_rpc_channel *channel_to(struct app_engine *e, const struct app_service *s)
{
    if (!e->channels[s->index]) {
        char host[256], target[280];
        int port;
        app_resolve(s->name, s->port, host, &port);
        (void)snprintf(target, sizeof(target), "%s:%d", host, port);
        e->channels[s->index] = ac_svc_channel(e->svc, target);
    }
    return e->channels[s->index];
}

static void start_call(struct app_engine *e, struct app_op *op)
{
    struct app_request *r = app_exec_user(op->exec);
    char traceparent[APP_TRACEPARENT_LEN + 1];
    const char *const metadata[] = {"traceparent", traceparent, NULL};
    const struct ac_rpc_call_opts o = {.timeout_ns = op->timeout_ns, .metadata = metadata};
    struct ac_err err = AC_ERR_INIT;
    struct ac_buf b;
    app_trace_format(&r->trace, op->span_id, traceparent);
    ac_buf_init(&b, 4u << 20);
    if (app_struct_pack(op->value, &b, &err))
        fail(op, err.code, err.msg);
    else
        (void)ac_rpc_unary_raw(channel_to(e, op->step->service), op->step->route->path, b.data,
                               b.len, &o, on_call_done, op);
    ac_buf_fini(&b);
}

/* ---- time ---- */

static void burn(void *arg)
{
    const struct app_op *op = arg;
    int64_t until = ac_thread_cpu_ns() + op->duration_ns;
    volatile uint64_t x = 1;
    while (ac_thread_cpu_ns() < until) {
        for (int i = 0; i < 1000; i++)
            x = x * 6364136223846793005ull + 1442695040888963407ull;
    }
}

static void burnt(void *arg)
{
    app_op_done(arg, 0, NULL, NULL);
}

/* Short work runs on the loop, as it would in a service with one thread; long work does not stop
 * health checks. */
static void start_compute(struct app_engine *e, struct app_op *op)
{
    if (op->duration_ns <= INLINE_COMPUTE_NS) {
        burn(op);
        app_op_done(op, 0, NULL, NULL);
        return;
    }
    if (!e->compute)
        e->compute = ac_worker_create(e->svc->loop, "compute", 1, 256);
    if (ac_worker_submit(e->compute, burn, burnt, op))
        fail(op, AC_EAGAIN, "too much computation is waiting");
}

static void on_delay(void *arg)
{
    struct app_op *op = arg;
    ac_timer_destroy(op->adapter);
    app_op_done(op, 0, NULL, NULL);
}

static void start_delay(struct app_engine *e, struct app_op *op)
{
    struct ac_timer *t = ac_timer_create(e->svc->loop, on_delay, op);
    op->adapter = t;
    ac_timer_start(t, AC_MIN(op->duration_ns, op->timeout_ns), 0);
}

void app_engine_op_start(void *self, struct app_op *op)
{
    struct app_engine *e = self;
    struct app_store_inst *s = op->step->store ? &e->stores[op->step->store_index] : NULL;
    app_trace_span_id(&e->rng, op->span_id);
    switch (op->step->kind) {
    case APP_STEP_CALL:
        start_call(e, op);
        break;
    case APP_STEP_QUERY:
        app_pg_query(s->pg, op);
        break;
    case APP_STEP_CACHE_GET:
    case APP_STEP_CACHE_SET:
    case APP_STEP_CACHE_DEL:
        app_redis_run(s->redis, op);
        break;
    case APP_STEP_MODEL:
        if (s->model)
            app_model_infer(s->model, op);
        else
            app_op_done(op, 0, NULL, NULL); /* no model is served here: no score */
        break;
    case APP_STEP_COMPUTE:
        start_compute(e, op);
        break;
    default:
        start_delay(e, op);
        break;
    }
}

/* ---- the record of an operation ---- */

static const char *verb(const struct app_op *op)
{
    switch (op->step->kind) {
    case APP_STEP_CALL:
        return "call";
    case APP_STEP_QUERY:
        return "query";
    case APP_STEP_CACHE_GET:
        return "cache get";
    case APP_STEP_CACHE_SET:
        return "cache set";
    case APP_STEP_CACHE_DEL:
        return "cache delete";
    case APP_STEP_MODEL:
        return "model";
    default:
        return "step";
    }
}

static const char *system_of(const struct app_op *op)
{
    static const char *const stores[] = {"postgresql", "redis", "model"};
    return op->step->store ? stores[op->step->store->kind] : "grpc";
}

static void log_failure(struct app_engine *e, const struct app_request *r, const struct app_op *op,
                        int code, const struct ac_err *err)
{
    struct app_log_record rec = {
        .time_ns = ac_wall_ns(), .severity = op->step->optional ? 13 : 17, .has_trace = true};
    memcpy(rec.trace_id, r->trace.trace_id, sizeof(rec.trace_id));
    memcpy(rec.span_id, op->span_id, sizeof(rec.span_id));
    (void)ac_str_copy(rec.route, sizeof(rec.route), r->route->label);
    (void)ac_str_copy(rec.peer, sizeof(rec.peer), app_op_peer(op));
    (void)snprintf(rec.body, sizeof(rec.body), "%s %s failed: %s: %s", verb(op), app_op_peer(op),
                   ac_err_text(code), err && err->msg[0] ? err->msg : "no details");
    app_telemetry_log(e->t, &rec);
}

void app_engine_op_ended(void *self, struct app_op *op, int code, const struct ac_err *err)
{
    struct app_engine *e = self;
    struct app_request *r = app_exec_user(op->exec);
    const char *peer = app_op_peer(op);
    int64_t now = ac_now_ns();
    bool off = op->step->kind == APP_STEP_MODEL && !e->stores[op->step->store_index].model;
    /* A store that refuses has failed; a service may refuse for good reason. */
    bool failed = op->step->kind == APP_STEP_CALL ? app_engine_is_failure(code)
                                                  : code != 0 && code != AC_ECANCELED;
    if (!peer || off)
        return;
    app_red_add(e->client, peer, now - op->start_ns, failed);
    if (failed)
        log_failure(e, r, op, code, err);
    if (r->n_spans == APP_MAX_SPANS)
        return;
    struct app_span *s = &r->spans[r->n_spans++];
    memcpy(s->trace_id, r->trace.trace_id, sizeof(s->trace_id));
    memcpy(s->span_id, op->span_id, sizeof(s->span_id));
    memcpy(s->parent_id, r->span_id, sizeof(s->parent_id));
    s->kind = APP_SPAN_CLIENT;
    (void)snprintf(s->name, sizeof(s->name), "%s",
                   op->step->route ? op->step->route->label : verb(op));
    (void)ac_str_copy(s->peer, sizeof(s->peer), peer);
    (void)ac_str_copy(s->system, sizeof(s->system), system_of(op));
    s->start_ns = op->start_ns + e->wall_offset_ns;
    s->end_ns = now + e->wall_offset_ns;
    s->error = failed;
    if (failed)
        (void)snprintf(s->message, sizeof(s->message), "%s: %s", ac_err_text(code),
                       err ? err->msg : "");
}

/* ---- stores ---- */

/* The environment as the variable "env" of a store's templates. */
static const struct app_value *env_lookup(const struct app_scope *s, const char *name)
{
    return ac_streq(name, "env") ? s->arg : NULL;
}

extern char **environ;

static const struct app_value *env_value(struct ac_arena *a)
{
    size_t n = 0, used = 0;
    while (environ[n])
        n++;
    const char **keys = ac_arena_calloc(a, n + 1, sizeof(*keys));
    const struct app_value **items = ac_arena_calloc(a, n + 1, sizeof(*items));
    for (size_t i = 0; keys && items && i < n; i++) {
        const char *eq = strchr(environ[i], '=');
        if (!eq)
            continue;
        keys[used] = ac_arena_strndup(a, environ[i], (size_t)(eq - environ[i]));
        items[used] = app_cstr(a, eq + 1);
        if (!keys[used] || !items[used])
            return NULL;
        used++;
    }
    return keys && items ? app_map(a, keys, items, used) : NULL;
}

static int text_of(const struct app_tmpl *t, const struct app_scope *scope, struct ac_arena *a,
                   char **ret, struct ac_err *err)
{
    const struct app_value *v = NULL;
    int rc = t ? app_tmpl_eval(t, scope, a, &v, err) : 0;
    if (rc || !t)
        return rc;
    const char *s = app_text(a, v, NULL);
    *ret = ac_str_empty(s) ? NULL : ac_xstrdup(s);
    return 0;
}

static int open_store(struct app_engine *e, const struct app_store *st,
                      const struct app_scope *scope, struct ac_arena *a,
                      struct app_store_inst *inst, struct ac_err *err)
{
    struct app_store_conf *c = &inst->conf;
    c->name = ac_xstrdup(st->name);
    c->host = ac_xstrdup(st->name);
    c->port = st->port;
    c->connections = st->connections;
    c->client = e->service->name;
    int rc = text_of(st->url, scope, a, &c->url, err);
    if (!rc)
        rc = text_of(st->database, scope, a, &c->database, err);
    if (!rc)
        rc = text_of(st->user, scope, a, &c->user, err);
    if (!rc)
        rc = text_of(st->password, scope, a, &c->password, err);
    if (rc) {
        (void)ac_err_wrap(err, "store '%s', line %d", st->name, st->line);
        return rc;
    }
    if (st->kind == APP_STORE_POSTGRES)
        inst->pg = app_pg_create(e->svc->loop, c);
    else if (st->kind == APP_STORE_REDIS)
        inst->redis = app_redis_create(e->svc->loop, c);
    else if (c->url && !strchr(c->url, '$')) /* not a placeholder that nobody has filled in */
        inst->model = app_model_create(e->svc->rpc, c);
    return 0;
}

int app_engine_open_stores(struct app_engine *e, struct ac_err *err)
{
    struct ac_arena *a = ac_arena_create(4u << 20);
    const struct app_value *env = env_value(a);
    struct app_value copy = env ? *env : app_null;
    const struct app_scope scope = {.lookup = env_lookup, .arg = &copy};
    int rc = env ? 0 : ac_err_set(err, AC_EAGAIN, "environment too large");
    for (size_t i = 0; !rc && i < e->service->n_stores; i++)
        rc = open_store(e, &e->service->stores[i], &scope, a, &e->stores[i], err);
    ac_arena_destroy(a);
    return rc;
}

void app_engine_close_stores(struct app_engine *e)
{
    for (size_t i = 0; i < e->service->n_stores; i++) {
        struct app_store_inst *s = &e->stores[i];
        app_pg_destroy(s->pg);
        app_redis_destroy(s->redis);
        app_model_destroy(s->model);
        if (s->conf.password)
            explicit_bzero(s->conf.password, strlen(s->conf.password));
        free(s->conf.name);
        free(s->conf.url);
        free(s->conf.host);
        free(s->conf.database);
        free(s->conf.user);
        free(s->conf.password);
        memset(s, 0, sizeof(*s));
    }
}
