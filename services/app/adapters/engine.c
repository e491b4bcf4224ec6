#include "engine_priv.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

/* ---- a request's end ---- */

static void check_stopped(struct app_engine *e)
{
    if (e->stopping && e->n_active == 0 && e->stopped) {
        ac_loop_fn fn = e->stopped;
        e->stopped = NULL;
        ac_timer_stop(e->grace);
        ac_loop_post(e->svc->loop, fn, e->stopped_arg);
    }
}

static int http_status(int code)
{
    switch (code) {
    case AC_EINVAL:
    case AC_ERANGE:
        return 400;
    case AC_EUNAUTH:
        return 401;
    case AC_EPERM:
        return 403;
    case AC_ENOTFOUND:
        return 404;
    case AC_EEXISTS:
    case AC_ESTATE:
    case AC_EABORTED:
        return 409;
    case AC_EAGAIN:
        return 429;
    case AC_ENET:
        return 503;
    case AC_ETIMEOUT:
        return 504;
    default:
        return 500;
    }
}

static void http_fail(struct ac_http_req *h, int code, const char *msg)
{
    struct ac_buf b;
    int status = http_status(code);
    ac_buf_init(&b, 4096);
    ac_buf_puts(&b, "{\"error\":");
    ac_buf_put_json_str(&b, status == 500 ? "internal error" : msg);
    ac_buf_puts(&b, "}\n");
    ac_http_reply(h, status, "application/json", ac_buf_str(&b), b.len);
    ac_buf_fini(&b);
}

static int send_reply(struct app_request *r, const struct app_value *v, struct ac_err *err)
{
    struct ac_buf b;
    int rc = 0;
    ac_buf_init(&b, 4u << 20);
    if (r->call) {
        rc = app_struct_pack(v, &b, err);
        if (!rc)
            ac_rpc_reply_raw(r->call, b.data, b.len);
    } else {
        app_json_write(v, &b);
        ac_buf_putc(&b, '\n');
        if (b.failed)
            rc = ac_err_set(err, AC_EAGAIN, "reply too large");
        else
            ac_http_reply(r->http, 200, "application/json", b.data, b.len);
    }
    ac_buf_fini(&b);
    return rc;
}

static void end_server_span(struct app_request *r, int code, const struct ac_err *err)
{
    struct app_span *s = &r->spans[0];
    int64_t now = ac_now_ns();
    memcpy(s->trace_id, r->trace.trace_id, sizeof(s->trace_id));
    memcpy(s->span_id, r->span_id, sizeof(s->span_id));
    memcpy(s->parent_id, r->trace.parent_id, sizeof(s->parent_id));
    s->kind = APP_SPAN_SERVER;
    (void)ac_str_copy(s->name, sizeof(s->name), r->route->label);
    (void)ac_str_copy(s->system, sizeof(s->system), r->route->http ? "http" : "grpc");
    s->start_ns = r->start_ns + r->e->wall_offset_ns;
    s->end_ns = now + r->e->wall_offset_ns;
    s->error = app_engine_is_failure(code);
    if (s->error)
        (void)snprintf(s->message, sizeof(s->message), "%s", err ? err->msg : "");
    app_red_add(r->e->server, r->route->label, now - r->start_ns, s->error);
}

/* Port: the steps have ended; operations may still be under way. */
static void on_reply(void *self, struct app_exec *x, int code, const struct app_value *v,
                     const struct ac_err *err)
{
    struct app_request *r = app_exec_user(x);
    struct ac_err e = AC_ERR_INIT;
    (void)self;
    if (code)
        ac_err_set(&e, code, "%s", err->msg);
    else
        code = send_reply(r, v, &e);
    if (code && r->call)
        ac_rpc_fail(r->call, &e);
    else if (code)
        http_fail(r->http, code, e.msg);
    r->call = NULL;
    r->http = NULL;
    end_server_span(r, code, &e);
}

static void free_request(struct app_request *r)
{
    ac_arena_destroy(r->a); /* r lives in it */
}

/* Port: nothing is under way any more. */
static void on_finished(void *self, struct app_exec *x)
{
    struct app_engine *e = self;
    struct app_request *r = app_exec_user(x);
    app_telemetry_spans(e->t, r->trace.sampled, r->spans, r->n_spans);
    ac_list_remove(&r->node);
    e->n_active--;
    free_request(r);
    check_stopped(e);
}

static int64_t now_port(void *self)
{
    (void)self;
    return ac_now_ns();
}

/* ---- a request's beginning ---- */

static struct app_request *new_request(struct app_engine *e, const struct app_route *route,
                                       const char *traceparent)
{
    struct ac_arena *a = ac_arena_create(APP_REQUEST_CAP);
    struct app_request *r = ac_arena_calloc(a, 1, sizeof(*r));
    struct app_span *spans = ac_arena_calloc(a, APP_MAX_SPANS, sizeof(*spans));
    AC_ASSERT(r != NULL && spans != NULL);
    r->e = e;
    r->a = a;
    r->route = route;
    r->start_ns = ac_now_ns();
    r->spans = spans;
    r->n_spans = 1;
    ac_list_init(&r->node);
    if (!app_trace_parse(traceparent, &r->trace))
        app_trace_root(&r->trace, &e->rng, app_telemetry_ratio(e->t));
    app_trace_span_id(&e->rng, r->span_id);
    return r;
}

/* Without steps: the request was refused before. */
static void refuse(struct app_request *r, int code, const struct ac_err *err)
{
    if (r->call)
        ac_rpc_fail(r->call, err);
    else
        http_fail(r->http, code, err->msg);
    end_server_span(r, code, err);
    app_telemetry_spans(r->e->t, r->trace.sampled, r->spans, 1);
    free_request(r);
}

static void on_cancel(struct ac_rpc_call *c, void *arg)
{
    struct app_request *r = arg;
    (void)c;
    int64_t left = app_exec_deadline_ns(r->x) - ac_now_ns();
    bool late = left <= 5 * AC_NS_PER_MS;
    app_exec_abort(r->x, late ? AC_ETIMEOUT : AC_ECANCELED,
                   late ? "the caller's time is over" : "the caller has gone");
}

/* A tenth of the caller's time, 100 ms at most, is kept for the way back: a service that waits for
 * something slow says so before its caller gives up, and who is slow can be told from both ends. */
static int64_t answer_by(int64_t deadline_ns)
{
    int64_t left = deadline_ns - ac_now_ns();
    return deadline_ns - AC_MAX(0, AC_MIN(left / 10, 100 * AC_NS_PER_MS));
}

static void run_request(struct app_request *r, const struct app_value *raw, int64_t deadline_ns)
{
    struct ac_err err = AC_ERR_INIT;
    struct app_engine *e = r->e;
    struct app_exec_opts o = {.route = r->route, .ports = &e->ports, .user = r};
    int rc = e->stopping ? ac_err_set(&err, AC_ENET, "shutting down")
                         : app_route_request(r->route, r->a, raw, &o.request, &err);
    o.deadline_ns = AC_MIN(deadline_ns, r->start_ns + r->route->timeout_ns);
    r->x = rc ? NULL : app_exec_create(r->a, &o);
    if (!rc && !r->x)
        rc = ac_err_set(&err, AC_EAGAIN, "request too large");
    if (rc) {
        refuse(r, rc, &err);
        return;
    }
    ac_list_push_back(&e->active, &r->node);
    e->n_active++;
    if (r->call)
        ac_rpc_on_cancel(r->call, on_cancel, r);
    app_exec_run(r->x);
}

static void on_grpc(struct ac_rpc_call *c, const void *req, void *self)
{
    struct app_engine *e = self;
    const struct app_route *route =
        app_service_route(e->service, false, NULL, ac_rpc_method_path(c));
    const struct app_value *raw = NULL;
    struct ac_err err = AC_ERR_INIT;
    size_t len = 0;
    (void)req;
    if (!route) {
        ac_err_set(&err, AC_ENOTSUP, "no such method");
        ac_rpc_fail(c, &err);
        return;
    }
    struct app_request *r = new_request(e, route, ac_rpc_metadata(c, "traceparent"));
    r->call = c;
    const void *data = ac_rpc_raw_request(c, &len);
    int rc = app_struct_unpack(r->a, data ? data : "", len, &raw, &err);
    if (rc)
        refuse(r, rc, &err);
    else
        run_request(r, raw, answer_by(ac_rpc_deadline_ns(c)));
}

/* Declared parameters from the query, the rest of a JSON body beside them. */
static const struct app_value *http_params(struct app_request *r, struct ac_err *err)
{
    size_t len = 0, n = 0;
    const struct app_value *body = &app_null;
    const char *text = ac_http_body(r->http, &len);
    if (len && text[0] == '{' && app_json_parse(r->a, text, len, &body, err))
        return NULL;
    if (r->route->any_params)
        return body;
    const char **keys = ac_arena_calloc(r->a, r->route->n_params + 1, sizeof(*keys));
    const struct app_value **items = ac_arena_calloc(r->a, r->route->n_params + 1, sizeof(*items));
    for (size_t i = 0; keys && items && i < r->route->n_params; i++) {
        const char *key = r->route->params[i].name, *q = ac_http_query(r->http, key);
        const struct app_value *v = q ? app_cstr(r->a, q) : app_get(body, key);
        if (!v)
            continue;
        keys[n] = key;
        items[n++] = v;
    }
    const struct app_value *m = keys && items ? app_map(r->a, keys, items, n) : NULL;
    if (!m)
        ac_err_set(err, AC_EAGAIN, "request too large");
    return m;
}

void app_engine_http(struct app_engine *e, struct ac_http_req *h)
{
    const struct app_route *route =
        app_service_route(e->service, true, ac_http_method(h), ac_http_path(h));
    struct ac_err err = AC_ERR_INIT;
    char id[33];
    if (!route) {
        http_fail(h, AC_ENOTFOUND, "no such route");
        return;
    }
    struct app_request *r = new_request(e, route, ac_http_header(h, "traceparent"));
    r->http = h;
    app_hex(r->trace.trace_id, 16, id);
    ac_http_set_header(h, "x-trace-id", id);
    const struct app_value *raw = http_params(r, &err);
    if (raw)
        run_request(r, raw, INT64_MAX);
    else
        refuse(r, err.code, &err);
}

/* ---- life ---- */

int app_engine_create(struct ac_svc *svc, const struct app_spec *spec,
                      const struct app_service *service, struct app_telemetry *t,
                      struct app_engine **ret, struct ac_err *err)
{
    struct app_engine *e = ac_xcalloc(1, sizeof(*e));
    e->svc = svc;
    e->spec = spec;
    e->service = service;
    e->t = t;
    e->server = app_red_create("rpc.server", "route", false);
    e->client = app_red_create("rpc.client", "peer", false);
    app_telemetry_group(t, e->server);
    app_telemetry_group(t, e->client);
    e->channels = ac_xcalloc(spec->n_services, sizeof(struct ac_rpc_channel *));
    e->stores = ac_xcalloc(service->n_stores + 1, sizeof(*e->stores));
    e->wall_offset_ns = ac_wall_ns() - ac_now_ns();
    ac_rng_seed(&e->rng, ac_random_seed());
    ac_list_init(&e->active);
    e->ports = (struct app_exec_ports){.self = e,
                                       .now_ns = now_port,
                                       .start = app_engine_op_start,
                                       .ended = app_engine_op_ended,
                                       .reply = on_reply,
                                       .finished = on_finished};
    for (size_t i = 0; i < service->n_routes; i++) {
        const struct app_route *r = &service->routes[i];
        bool seen = r->http;
        for (size_t j = 0; j < i && !seen; j++)
            seen = ac_streq(service->routes[j].package_service, r->package_service);
        if (!seen)
            ac_rpc_server_add_raw(svc->server, r->package_service, on_grpc, e);
        app_red_declare(e->server, r->label);
    }
    *ret = e;
    return app_engine_open_stores(e, err);
}

static void on_grace(void *arg)
{
    struct app_engine *e = arg;
    AC_LIST_FOREACH(n, &e->active)
    {
        struct app_request *r = AC_LIST_ENTRY(n, struct app_request, node);
        app_exec_abort(r->x, AC_ENET, "shutting down");
    }
    /* What is under way still ends: stores here, calls by their time. */
    app_engine_close_stores(e);
    for (size_t i = 0; i < e->spec->n_services; i++) {
        if (e->channels[i])
            ac_rpc_channel_destroy(e->channels[i]);
        e->channels[i] = NULL;
    }
    check_stopped(e);
}

void app_engine_stop(struct app_engine *e, int64_t grace_ns, ac_loop_fn done, void *arg)
{
    e->stopping = true;
    e->stopped = done;
    e->stopped_arg = arg;
    e->grace = ac_timer_create(e->svc->loop, on_grace, e);
    ac_timer_start(e->grace, AC_MAX(grace_ns, AC_NS_PER_MS), 0);
    check_stopped(e);
}

void app_engine_destroy(struct app_engine *e)
{
    if (!e)
        return;
    app_engine_close_stores(e);
    for (size_t i = 0; i < e->spec->n_services; i++) {
        if (e->channels[i])
            ac_rpc_channel_destroy(e->channels[i]);
    }
    if (e->compute)
        ac_worker_destroy(e->compute);
    ac_timer_destroy(e->grace);
    free(e->channels);
    free(e->stores);
    free(e);
}
