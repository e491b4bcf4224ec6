/* One connection, commands pipelined. Values are JSON. */
#include "resp.h"
#include "stores.h"
#include "tcp.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/list.h>
#include <aceso/str.h>

#define MAX_PENDING 1024
#define MAX_REPLY   (16u << 20)
#define SWEEP_NS    (20 * AC_NS_PER_MS)
#define RETRY_NS    (100 * AC_NS_PER_MS)
#define CONNECT_NS  (3 * AC_NS_PER_S)
#define STALLED_NS  (10 * AC_NS_PER_S)

struct pending {
    struct ac_list node;
    struct app_op *op; /* NULL = answered already (time was up): the reply is read and dropped */
    size_t replies;    /* still to come */
    int64_t since_ns, until_ns;
    int code;
    char msg[160];
};

struct app_redis {
    struct ac_loop *loop;
    struct app_store_conf c;
    struct app_tcp *tcp;
    bool connected;
    int64_t connect_since_ns, failed_ns;
    char failure[160];
    struct ac_list pending;
    size_t n_pending;
    struct ac_buf in;
    struct ac_timer *sweep;
    bool sweeping;
    struct ac_arena *scratch;
};

static void answer(struct app_op *op, int code, const struct app_value *v, const char *msg)
{
    struct ac_err e = AC_ERR_INIT;
    if (code)
        ac_err_set(&e, code, "%s", msg);
    app_op_done(op, code, v, &e);
}

/* All that waits fails; late ends of operations may start new ones, so the list is taken first. */
static void drop(struct app_redis *r, int code, const char *why)
{
    struct ac_list gone, *n;
    ac_list_init(&gone);
    ac_list_splice(&gone, &r->pending);
    r->n_pending = 0;
    r->connected = false;
    r->tcp = NULL;
    r->failed_ns = ac_now_ns();
    (void)ac_str_copy(r->failure, sizeof(r->failure), why);
    ac_buf_reset(&r->in);
    while ((n = ac_list_pop_front(&gone))) {
        struct pending *p = AC_LIST_ENTRY(n, struct pending, node);
        if (p->op)
            answer(p->op, code, NULL, why);
        free(p);
    }
}

static void on_connected(void *arg)
{
    struct app_redis *r = arg;
    r->connected = true;
}

static void on_closed(void *arg, int code, const char *why)
{
    (void)code;
    drop(arg, AC_ENET, why);
}

static const struct app_value *value_of(struct ac_arena *a, const struct app_resp *r)
{
    const struct app_value *v = &app_null;
    if (r->kind == APP_RESP_BULK && app_json_parse(a, r->s, r->len, &v, NULL))
        v = &app_null; /* what others wrote counts as not cached */
    return v;
}

static const struct app_value *result_of(struct app_op *op, const struct app_resp *r)
{
    struct ac_arena *a = app_exec_arena(op->exec);
    if (op->step->kind != APP_STEP_CACHE_GET)
        return r->kind == APP_RESP_INT ? app_num(a, (double)r->num) : &app_true;
    if (!op->many)
        return value_of(a, r);
    const struct app_value **items = ac_arena_calloc(a, op->n_keys + 1, sizeof(*items));
    for (size_t i = 0; items && i < op->n_keys; i++)
        items[i] = r->kind == APP_RESP_ARRAY && i < r->n ? value_of(a, &r->items[i]) : &app_null;
    return items ? app_list(a, items, op->n_keys) : NULL;
}

/* False: the stream makes no sense any more. */
static bool on_reply(struct app_redis *r, const struct app_resp *resp)
{
    if (ac_list_empty(&r->pending))
        return false;
    struct pending *p = AC_LIST_ENTRY(r->pending.next, struct pending, node);
    if (resp->kind == APP_RESP_ERROR && !p->code) {
        p->code = AC_EIO;
        (void)snprintf(p->msg, sizeof(p->msg), "%s", resp->s);
    }
    if (--p->replies > 0)
        return true;
    ac_list_remove(&p->node);
    r->n_pending--;
    if (p->op) {
        const struct app_value *v = p->code ? NULL : result_of(p->op, resp);
        if (!p->code && !v) {
            p->code = AC_EAGAIN;
            (void)snprintf(p->msg, sizeof(p->msg), "reply too large");
        }
        answer(p->op, p->code, v, p->msg);
    }
    free(p);
    return true;
}

static void on_data(void *arg, const char *data, size_t len)
{
    struct app_redis *r = arg;
    size_t used = 0;
    const struct app_tcp *before = r->tcp;
    int rc = ac_buf_append(&r->in, data, len) ? 0 : AC_EPROTO;
    while (!rc && used < r->in.len) {
        struct app_resp resp;
        size_t n = 0;
        ac_arena_reset(r->scratch);
        rc = app_resp_parse(r->scratch, r->in.data + used, r->in.len - used, &resp, &n);
        if (rc)
            break;
        used += n;
        if (!on_reply(r, &resp))
            rc = AC_EPROTO;
        if (r->tcp != before)
            return;
    }
    if (rc && rc != AC_EAGAIN) {
        app_tcp_close(r->tcp);
        drop(r, AC_EPROTO, "the server's answer makes no sense");
        return;
    }
    memmove(r->in.data, r->in.data + used, r->in.len - used);
    r->in.len -= used;
}

static const struct app_tcp_fns tcp_fns = {on_connected, on_data, on_closed};

static void on_sweep(void *arg)
{
    struct app_redis *r = arg;
    int64_t now = ac_now_ns();
    bool stalled = r->tcp && !r->connected && now - r->connect_since_ns > CONNECT_NS;
    /* Ending an operation may change the list, so it is looked at anew after each. */
    for (bool again = true; again;) {
        again = false;
        AC_LIST_FOREACH(n, &r->pending)
        {
            struct pending *p = AC_LIST_ENTRY(n, struct pending, node);
            stalled = stalled || now - p->since_ns > STALLED_NS;
            if (p->op && now >= p->until_ns) {
                struct app_op *op = p->op;
                p->op = NULL;
                answer(op, AC_ETIMEOUT, NULL, "no answer in time");
                again = true;
                break;
            }
        }
    }
    if (stalled && r->tcp) {
        app_tcp_close(r->tcp);
        drop(r, AC_ETIMEOUT, "connection stalled");
    }
    if (ac_list_empty(&r->pending)) {
        ac_timer_stop(r->sweep);
        r->sweeping = false;
    }
}

static bool ensure(struct app_redis *r)
{
    char host[256];
    int port;
    if (r->tcp)
        return true;
    int64_t now = ac_now_ns();
    if (r->failed_ns && now - r->failed_ns < RETRY_NS)
        return false;
    app_resolve(r->c.host, r->c.port, host, &port);
    r->connect_since_ns = now;
    r->connected = false;
    r->tcp = app_tcp_connect(r->loop, host, port, &tcp_fns, r);
    if (r->c.password) {
        const char *args[] = {"AUTH", r->c.password};
        size_t lens[] = {4, strlen(r->c.password)};
        struct pending *p = ac_xcalloc(1, sizeof(*p));
        struct ac_buf b;
        ac_buf_init(&b, 4096);
        app_resp_command(&b, args, lens, 2);
        app_tcp_write(r->tcp, b.data, b.len);
        ac_buf_fini(&b);
        p->replies = 1;
        p->since_ns = now;
        ac_list_push_back(&r->pending, &p->node);
        r->n_pending++;
    }
    return true;
}

static size_t put_set(struct ac_buf *out, const struct app_op *op)
{
    char ttl[24];
    struct ac_buf json;
    int64_t ms = AC_MAX(op->step->ttl_ns / AC_NS_PER_MS, 1);
    ac_buf_init(&json, APP_RESP_MAX_BULK);
    (void)snprintf(ttl, sizeof(ttl), "%lld", (long long)ms);
    for (size_t i = 0; i < op->n_keys; i++) {
        ac_buf_reset(&json);
        app_json_write(op->many ? op->value->u.list.items[i] : op->value, &json);
        const char *args[] = {"SET", op->keys[i], ac_buf_str(&json), "PX", ttl};
        size_t lens[] = {3, strlen(op->keys[i]), json.len, 2, strlen(ttl)};
        out->failed = out->failed || json.failed;
        app_resp_command(out, args, lens, op->step->ttl_ns ? 5 : 3);
    }
    ac_buf_fini(&json);
    return op->n_keys;
}

static size_t put_command(struct ac_buf *out, const struct app_op *op)
{
    if (op->step->kind == APP_STEP_CACHE_SET)
        return put_set(out, op);
    const char **args = ac_xcalloc(op->n_keys + 1, sizeof(*args));
    size_t *lens = ac_xcalloc(op->n_keys + 1, sizeof(*lens));
    args[0] = op->step->kind == APP_STEP_CACHE_DEL ? "DEL" : op->many ? "MGET" : "GET";
    lens[0] = strlen(args[0]);
    for (size_t i = 0; i < op->n_keys; i++) {
        args[i + 1] = op->keys[i];
        lens[i + 1] = strlen(op->keys[i]);
    }
    app_resp_command(out, args, lens, op->n_keys + 1);
    free(args);
    free(lens);
    return 1;
}

void app_redis_run(struct app_redis *r, struct app_op *op)
{
    struct ac_buf out;
    if (r->n_pending >= MAX_PENDING) {
        answer(op, AC_EAGAIN, NULL, "too many operations are waiting");
        return;
    }
    if (!ensure(r)) {
        answer(op, AC_ENET, NULL, r->failure);
        return;
    }
    ac_buf_init(&out, MAX_REPLY);
    size_t replies = put_command(&out, op);
    if (out.failed) {
        ac_buf_fini(&out);
        answer(op, AC_EAGAIN, NULL, "value too large");
        return;
    }
    struct pending *p = ac_xcalloc(1, sizeof(*p));
    p->op = op;
    p->replies = replies;
    p->since_ns = op->start_ns;
    p->until_ns = op->start_ns + op->timeout_ns;
    ac_list_push_back(&r->pending, &p->node);
    r->n_pending++;
    app_tcp_write(r->tcp, out.data, out.len);
    ac_buf_fini(&out);
    if (!r->sweeping) {
        ac_timer_start(r->sweep, SWEEP_NS, SWEEP_NS);
        r->sweeping = true;
    }
}

struct app_redis *app_redis_create(struct ac_loop *l, const struct app_store_conf *c)
{
    struct app_redis *r = ac_xcalloc(1, sizeof(*r));
    r->loop = l;
    r->c = *c;
    ac_list_init(&r->pending);
    ac_buf_init(&r->in, MAX_REPLY);
    r->sweep = ac_timer_create(l, on_sweep, r);
    r->scratch = ac_arena_create(2 * MAX_REPLY);
    return r;
}

void app_redis_destroy(struct app_redis *r)
{
    if (!r)
        return;
    app_tcp_close(r->tcp);
    drop(r, AC_ECANCELED, "shutting down");
    ac_timer_destroy(r->sweep);
    ac_buf_fini(&r->in);
    ac_arena_destroy(r->scratch);
    free(r);
}
