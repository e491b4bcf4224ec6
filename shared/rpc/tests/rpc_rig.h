/* A loop on the test's thread, an Echo server on it, and a client thread that may block. Checks
 * of the client thread and of callbacks are counted; the test's thread asserts that none failed. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rpc.h>
#include <aceso/test/v1/echo.pb-c.h>
#include <aceso/testkit.h>

typedef Aceso__Test__V1__EchoRequest echo_request;
typedef Aceso__Test__V1__EchoResponse echo_response;

#define ECHO     "/aceso.test.v1.Echo/"
#define REPLY    (&aceso__test__v1__echo_response__descriptor)
#define SECONDS  AC_NS_PER_S
#define RIG_WAIT (20 * AC_NS_PER_S)

struct rig {
    struct ac_loop *loop;
    struct ac_metrics *metrics;
    struct ac_rpc *rpc;
    struct ac_rpc_server *server;
    struct ac_rpc_channel *ch; /* to the server */
    char target[128];
    atomic_int failures;
    void (*body)(struct rig *g);
    int64_t grace_ns;
    void *arg;
    /* what the handlers have seen */
    atomic_int handled, cancelled, messages, ends, drained;
    atomic_int stop_waiting; /* handlers that wait give up */
};

#define CHECK(g, cond)                                                                             \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #cond);         \
            atomic_fetch_add(&(g)->failures, 1);                                                   \
        }                                                                                          \
    } while (0)

/* ---- one event that threads wait for ---- */

struct event {
    pthread_mutex_t mu;
    pthread_cond_t cv;
    bool set;
};
#define EVENT_INIT                                                                                 \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false                                 \
    }

static inline void event_set(struct event *e)
{
    pthread_mutex_lock(&e->mu);
    e->set = true;
    pthread_cond_broadcast(&e->cv);
    pthread_mutex_unlock(&e->mu);
}

static inline bool event_wait(struct event *e)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += RIG_WAIT / AC_NS_PER_S;
    pthread_mutex_lock(&e->mu);
    int rc = 0;
    while (!e->set && rc == 0)
        rc = pthread_cond_timedwait(&e->cv, &e->mu, &t);
    bool ok = e->set;
    pthread_mutex_unlock(&e->mu);
    return ok;
}

/* ---- the Echo service ---- */

struct later {
    struct ac_rpc_call *c;
    struct rig *g;
    struct ac_timer *t;
    bool gone;
};

static inline void echo_answer(struct ac_rpc_call *c, const echo_request *q)
{
    echo_response r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    r.text = q->text;
    r.value = q->value;
    r.payload = q->payload;
    int64_t d = ac_rpc_deadline_ns(c);
    r.deadline_left_ns = d == INT64_MAX ? -1 : d - ac_now_ns();
    ac_rpc_reply(c, &r);
}

static inline void later_fire(void *arg)
{
    struct later *l = arg;
    ac_timer_destroy(l->t);
    echo_response r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    ac_rpc_reply(l->c, &r); /* ignored when the call was cancelled */
    free(l);
}

static inline void later_cancel(struct ac_rpc_call *c, void *arg)
{
    struct later *l = arg;
    struct ac_err err = AC_ERR_INIT;
    atomic_fetch_add(&l->g->cancelled, 1);
    ac_timer_destroy(l->t);
    (void)ac_err_set(&err, AC_ECANCELED, "cancelled");
    ac_rpc_fail(c, &err);
    free(l);
}

static inline void echo_unary(struct ac_rpc_call *c, const void *req, void *self)
{
    struct rig *g = self;
    const echo_request *q = req;
    atomic_fetch_add(&g->handled, 1);
    if (q->fail_code) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, -(int)q->fail_code, "secret detail of %s", q->text);
        ac_rpc_fail(c, &err);
    } else if (q->delay_ns > 0) {
        struct later *l = ac_xcalloc(1, sizeof(*l));
        l->c = c;
        l->g = g;
        l->t = ac_timer_create(g->loop, later_fire, l);
        ac_timer_start(l->t, q->delay_ns, 0);
        ac_rpc_on_cancel(c, later_cancel, l);
    } else {
        echo_answer(c, q);
    }
}

static inline void echo_inline(struct ac_rpc_call *c, const void *req, void *self)
{
    atomic_fetch_add(&((struct rig *)self)->handled, 1);
    echo_answer(c, req);
}

/* Down: count messages as fast as they drain. */
struct down {
    struct rig *g;
    uint32_t left;
    int64_t next;
    size_t payload;
};

static inline void down_more(struct ac_rpc_call *c, void *arg)
{
    struct down *d = arg;
    atomic_fetch_add(&d->g->drained, 1);
    uint8_t *bytes = d->payload ? ac_xcalloc(1, d->payload) : NULL;
    int code = AC_OK;
    while (d->left > 0 && code == AC_OK) {
        echo_response r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
        r.value = d->next;
        r.payload = (ProtobufCBinaryData){d->payload, bytes};
        code = ac_rpc_send(c, &r);
        if (code == AC_OK) {
            d->left--;
            d->next++;
        }
    }
    free(bytes);
    if (code == AC_EAGAIN)
        CHECK(d->g, ac_rpc_queued(c) <= 256);
    if (d->left == 0) {
        ac_rpc_on_drained(c, NULL, NULL);
        ac_rpc_on_cancel(c, NULL, NULL);
        ac_rpc_finish(c);
        free(d);
    }
}

static inline void down_cancel(struct ac_rpc_call *c, void *arg)
{
    struct down *d = arg;
    atomic_fetch_add(&d->g->cancelled, 1);
    CHECK(d->g, ac_rpc_cancelled(c));
    echo_response r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    CHECK(d->g, ac_rpc_send(c, &r) == AC_ECANCELED);
    ac_rpc_finish(c);
    free(d);
}

static inline void echo_down(struct ac_rpc_call *c, const void *req, void *self)
{
    const echo_request *q = req;
    struct down *d = ac_xcalloc(1, sizeof(*d));
    d->g = self;
    d->left = q->count;
    d->payload = (size_t)q->value;
    atomic_fetch_add(&d->g->handled, 1);
    ac_rpc_on_cancel(c, down_cancel, d);
    ac_rpc_on_drained(c, down_more, d);
    down_more(c, d);
}

/* Up: adds; the sum lives in the call's arena. */
struct up {
    struct rig *g;
    int64_t sum;
};

static inline void up_message(struct ac_rpc_call *c, const void *msg, void *arg)
{
    struct up *u = arg;
    if (msg) {
        u->sum += ((const echo_request *)msg)->value;
        atomic_fetch_add(&u->g->messages, 1);
        return;
    }
    atomic_fetch_add(&u->g->ends, 1);
    echo_response r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    r.value = u->sum;
    ac_rpc_reply(c, &r);
}

static inline void up_cancel(struct ac_rpc_call *c, void *arg)
{
    struct up *u = arg;
    atomic_fetch_add(&u->g->cancelled, 1);
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ECANCELED, "cancelled");
    ac_rpc_fail(c, &err);
}

static inline void echo_up(struct ac_rpc_call *c, const void *req, void *self)
{
    struct up *u = ac_arena_calloc(ac_rpc_arena(c), 1, sizeof(*u));
    u->g = self;
    CHECK(u->g, req == NULL);
    atomic_fetch_add(&u->g->handled, 1);
    ac_rpc_on_message(c, up_message, u);
    ac_rpc_on_cancel(c, up_cancel, u);
}

static inline void both_message(struct ac_rpc_call *c, const void *msg, void *arg)
{
    struct rig *g = arg;
    if (!msg) {
        atomic_fetch_add(&g->ends, 1);
        ac_rpc_finish(c);
        return;
    }
    const echo_request *q = msg;
    echo_response r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    atomic_fetch_add(&g->messages, 1);
    r.text = q->text;
    r.value = q->value;
    CHECK(g, ac_rpc_send(c, &r) == AC_OK);
}

static inline void both_cancel(struct ac_rpc_call *c, void *arg)
{
    atomic_fetch_add(&((struct rig *)arg)->cancelled, 1);
    ac_rpc_finish(c);
}

static inline void echo_both(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    atomic_fetch_add(&((struct rig *)self)->handled, 1);
    ac_rpc_on_message(c, both_message, self);
    ac_rpc_on_cancel(c, both_cancel, self);
}

static const struct ac_rpc_method echo_methods[] = {
    {.name = "Unary", .kind = AC_RPC_UNARY, .handler = echo_unary},
    {.name = "UnaryInline",
     .kind = AC_RPC_UNARY,
     .handler = echo_inline,
     .flags = AC_RPC_INLINE,
     .max_request_bytes = 100000},
    {.name = "Down", .kind = AC_RPC_SERVER_STREAM, .handler = echo_down},
    {.name = "Up", .kind = AC_RPC_CLIENT_STREAM, .handler = echo_up},
    {.name = "Both", .kind = AC_RPC_BIDI, .handler = echo_both},
};

/* ---- the rig ---- */

static inline struct rig *rig_create_unstarted(const struct ac_rpc_server_opts *o)
{
    struct rig *g = ac_xcalloc(1, sizeof(*g));
    struct ac_rpc_server_opts plain = {.listen = "127.0.0.1:0"};
    g->loop = ac_loop_create();
    g->metrics = ac_metrics_create();
    g->rpc = ac_rpc_create(g->loop, g->metrics);
    g->server = ac_rpc_server_create(g->rpc, o ? o : &plain);
    ac_rpc_server_add(g->server, &aceso__test__v1__echo__descriptor, echo_methods,
                      AC_ARRAY_LEN(echo_methods), g);
    g->grace_ns = 2 * SECONDS;
    return g;
}

static inline void rig_start(struct rig *g, const struct ac_rpc_server_opts *o,
                             const struct ac_rpc_tls *client_tls)
{
    struct ac_err err = AC_ERR_INIT;
    if (ac_rpc_server_start(g->server, &err) < 0) {
        (void)fprintf(stderr, "start: %s\n", err.msg);
        abort();
    }
    if (ac_rpc_server_port(g->server))
        (void)snprintf(g->target, sizeof(g->target), "127.0.0.1:%d", ac_rpc_server_port(g->server));
    else
        (void)snprintf(g->target, sizeof(g->target), "%s", o->listen);
    g->ch = ac_rpc_channel_create(g->rpc, g->target, client_tls);
}

static inline struct rig *rig_create(const struct ac_rpc_server_opts *o,
                                     const struct ac_rpc_tls *client_tls)
{
    struct rig *g = rig_create_unstarted(o);
    rig_start(g, o, client_tls);
    return g;
}

static inline void rig_stopped(void *arg)
{
    struct rig *g = arg;
    ac_rpc_server_destroy(g->server);
    g->server = NULL;
    ac_loop_stop(g->loop);
}

static inline void rig_stop(void *arg)
{
    struct rig *g = arg;
    if (g->ch)
        ac_rpc_channel_destroy(g->ch);
    g->ch = NULL;
    ac_rpc_server_shutdown(g->server, g->grace_ns, rig_stopped, g);
}

static inline void *rig_thread(void *arg)
{
    struct rig *g = arg;
    g->body(g);
    ac_loop_post(g->loop, rig_stop, g);
    return NULL;
}

/* Runs body on a thread of its own while the loop runs here; then all goes down in order. */
static inline void rig_run(struct rig *g, void (*body)(struct rig *g))
{
    pthread_t t;
    g->body = body;
    assert_int_equal(pthread_create(&t, NULL, rig_thread, g), 0);
    ac_loop_run(g->loop);
    assert_int_equal(pthread_join(t, NULL), 0);
    ac_rpc_destroy(g->rpc);
    ac_loop_destroy(g->loop); /* asserts that uv_loop_close gives 0 */
    ac_metrics_destroy(g->metrics);
    int failures = atomic_load(&g->failures);
    free(g);
    assert_int_equal(failures, 0);
}

/* Blocking echo from the client thread. Returns the code; *ret (may be NULL) is the reply. */
static inline int rig_call(struct rig *g, const char *method, const echo_request *q,
                           echo_response **ret, struct ac_err *err)
{
    ProtobufCMessage *m = NULL;
    char path[128];
    (void)snprintf(path, sizeof(path), ECHO "%s", method);
    int code = ac_rpc_call_sync(g->target, NULL, NULL, path, q, REPLY, RIG_WAIT, &m, err);
    if (ret)
        *ret = (echo_response *)m;
    else if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return code;
}

static inline void rig_free(echo_response *r)
{
    if (r)
        protobuf_c_message_free_unpacked(&r->base, NULL);
}

/* ---- asynchronous calls that the client thread waits for ---- */

struct waiter {
    struct rig *g;
    struct event over;
    int code;
    char message[256];
    int64_t value, received;
    bool has_reply;
    size_t raw_len;
    struct ac_rpc_stream *st;
    struct ac_rpc_channel *ch; /* NULL: the rig's */
    /* what to do */
    const char *method;
    const echo_request *q;
    int64_t timeout_ns;
    const char *const *metadata;
    bool wait_for_ready, unary, keep_open;
    int sends;
    int (*on_reply)(struct waiter *w, const echo_response *r);
};

static inline void waiter_done(const struct ac_rpc_result *res, void *arg)
{
    struct waiter *w = arg;
    w->code = res->code;
    (void)snprintf(w->message, sizeof(w->message), "%s", res->message);
    w->has_reply = res->reply != NULL;
    w->raw_len = res->raw_len;
    if (res->reply)
        w->value = ((const echo_response *)res->reply)->value;
    w->st = NULL;
    event_set(&w->over);
}

static inline void waiter_message(struct ac_rpc_stream *st, const void *msg, void *arg)
{
    struct waiter *w = arg;
    const echo_response *r = msg;
    CHECK(w->g, ac_loop_on(w->g->loop));
    CHECK(w->g, st == w->st);
    w->received++;
    w->value += r->value;
    if (w->on_reply)
        (void)w->on_reply(w, r);
}

static inline void waiter_start(void *arg)
{
    struct waiter *w = arg;
    struct ac_rpc_call_opts o = {.timeout_ns = w->timeout_ns ? w->timeout_ns : RIG_WAIT,
                                 .metadata = w->metadata,
                                 .wait_for_ready = w->wait_for_ready};
    struct ac_rpc_channel *ch = w->ch ? w->ch : w->g->ch;
    if (w->unary) {
        w->st = ac_rpc_unary(ch, w->method, w->q, REPLY, &o, waiter_done, w);
        return;
    }
    w->st = ac_rpc_open(ch, w->method, REPLY, &o, waiter_message, waiter_done, w);
    for (int i = 0; i < w->sends; i++)
        CHECK(w->g, ac_rpc_stream_send(w->st, w->q) == AC_OK);
    if (!w->keep_open)
        ac_rpc_stream_close_send(w->st);
}

static inline void waiter_cancel(void *arg)
{
    struct waiter *w = arg;
    if (w->st)
        ac_rpc_stream_cancel(w->st);
}

static inline bool waiter_run(struct waiter *w)
{
    ac_loop_post(w->g->loop, waiter_start, w);
    bool ok = event_wait(&w->over);
    CHECK(w->g, ok);
    return ok;
}

/* Waits for a counter that handlers bump. */
static inline bool rig_until(atomic_int *counter, int at_least)
{
    int64_t end = ac_now_ns() + RIG_WAIT;
    while (atomic_load(counter) < at_least && ac_now_ns() < end) {
        struct timespec t = {0, 1000000};
        (void)nanosleep(&t, NULL);
    }
    return atomic_load(counter) >= at_least;
}
