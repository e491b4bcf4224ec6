/* Streams of all kinds: order, flow control, bounds, cancel by either side, peers that vanish. */
#include "rpc_rig.h"

#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

static void down_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.count = 2000; /* several times the queue */
    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Down", .q = &q, .sends = 1};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.received == 2000 && w.value == 2000 * 1999 / 2);
    CHECK(g, atomic_load(&g->drained) > 1);
    q.count = 0; /* a stream of nothing */
    w = (struct waiter){.g = g, .over = EVENT_INIT, .method = ECHO "Down", .q = &q, .sends = 1};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.received == 0);
}

static void test_down(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), down_body);
}

static void up_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.value = 3;
    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Up", .q = &q, .sends = 200};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.received == 1 && w.value == 600);
    CHECK(g, atomic_load(&g->messages) == 200 && atomic_load(&g->ends) == 1);
    w = (struct waiter){.g = g, .over = EVENT_INIT, .method = ECHO "Up", .q = &q};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.received == 1 && w.value == 0);
}

static void test_up(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), up_body);
}

/* Ping-pong, then many at once. */
static int next_ping(struct waiter *w, const echo_response *r)
{
    CHECK(w->g, r->value == w->received - 1);
    if (w->received == 500) {
        ac_rpc_stream_close_send(w->st);
        echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
        CHECK(w->g, ac_rpc_stream_send(w->st, &q) == AC_ESTATE);
        return 0;
    }
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.value = w->received;
    CHECK(w->g, ac_rpc_stream_send(w->st, &q) == AC_OK);
    return 0;
}

static void both_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    struct waiter w = {.g = g,
                       .over = EVENT_INIT,
                       .method = ECHO "Both",
                       .q = &q,
                       .sends = 1,
                       .keep_open = true,
                       .on_reply = next_ping};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.received == 500);
    q.value = 1;
    w = (struct waiter){.g = g, .over = EVENT_INIT, .method = ECHO "Both", .q = &q, .sends = 250};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.received == 250 && w.value == 250);
    CHECK(g, atomic_load(&g->cancelled) == 0);
}

static void test_both(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), both_body);
}

/* ---- bounds ---- */

static void overfill(void *arg)
{
    struct waiter *w = arg;
    struct ac_rpc_call_opts o = {.timeout_ns = INT64_MAX};
    w->st = ac_rpc_open(w->g->ch, w->method, REPLY, &o, waiter_message, waiter_done, w);
    int code = AC_OK, n = 0;
    while ((code = ac_rpc_stream_send(w->st, w->q)) == AC_OK && n < 100000)
        n++;
    CHECK(w->g, code == AC_EAGAIN);
    CHECK(w->g, n >= 256);
    w->sends = n;
    ac_rpc_stream_close_send(w->st);
}

static void bounds_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    uint8_t bytes[1024] = {0};
    q.payload = (ProtobufCBinaryData){sizeof(bytes), bytes};
    q.value = 1;
    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Up", .q = &q};
    ac_loop_post(g->loop, overfill, &w);
    CHECK(g, event_wait(&w.over));
    CHECK(g, w.code == AC_OK && w.value == w.sends); /* what was taken arrives, all of it */
}

static void test_bounds(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), bounds_body);
}

/* ---- cancel ---- */

static int cancel_at_3(struct waiter *w, const echo_response *r)
{
    (void)r;
    CHECK(w->g, w->received <= 3); /* nothing after the cancel */
    if (w->received == 3)
        ac_rpc_stream_cancel(w->st);
    return 0;
}

static void cancel_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.count = UINT32_MAX; /* for ever */
    struct waiter w = {.g = g,
                       .over = EVENT_INIT,
                       .method = ECHO "Down",
                       .q = &q,
                       .sends = 1,
                       .on_reply = cancel_at_3};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_ECANCELED && w.received == 3);
    CHECK(g, rig_until(&g->cancelled, 1));

    /* an upload that is cut off is a cancel for the handler, never an end of the messages */
    w = (struct waiter){
        .g = g, .over = EVENT_INIT, .method = ECHO "Up", .q = &q, .sends = 5, .keep_open = true};
    ac_loop_post(g->loop, waiter_start, &w);
    CHECK(g, rig_until(&g->messages, 5));
    ac_loop_post(g->loop, waiter_cancel, &w);
    CHECK(g, event_wait(&w.over));
    CHECK(g, w.code == AC_ECANCELED);
    CHECK(g, rig_until(&g->cancelled, 2));
    CHECK(g, atomic_load(&g->ends) == 0);

    /* a deadline in the middle of a stream */
    w = (struct waiter){.g = g,
                        .over = EVENT_INIT,
                        .method = ECHO "Both",
                        .q = &q,
                        .sends = 1,
                        .keep_open = true,
                        .timeout_ns = 50 * AC_NS_PER_MS};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_ETIMEOUT && w.received == 1);
    CHECK(g, rig_until(&g->cancelled, 3));
}

static void test_cancel(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), cancel_body);
}

/* The client's channel goes while calls run: each done is called, the handlers hear of it. */
static void drop_channel(void *arg)
{
    struct rig *g = arg;
    ac_rpc_channel_destroy(g->ch);
    g->ch = NULL;
}

static void channel_body(struct rig *g)
{
    enum {
        N = 20
    };
    static struct waiter w[N];
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.delay_ns = 600 * SECONDS;
    for (int i = 0; i < N; i++) {
        bool unary = i % 2;
        w[i] = (struct waiter){.g = g,
                               .over = EVENT_INIT,
                               .method = unary ? ECHO "Unary" : ECHO "Both",
                               .q = &q,
                               .unary = unary,
                               .keep_open = true};
        ac_loop_post(g->loop, waiter_start, &w[i]);
    }
    CHECK(g, rig_until(&g->handled, N));
    ac_loop_post(g->loop, drop_channel, g);
    for (int i = 0; i < N; i++) {
        CHECK(g, event_wait(&w[i].over));
        CHECK(g, w[i].code == AC_ECANCELED);
    }
    CHECK(g, rig_until(&g->cancelled, N));
}

static void test_channel_destroyed(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), channel_body);
}

/* ---- a blocking stream, as the command line uses it ---- */

struct seen {
    int n, stop_at;
};

static bool see(const void *msg, void *arg)
{
    struct seen *s = arg;
    (void)msg;
    return ++s->n != s->stop_at;
}

static void sync_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.count = 300;
    struct seen all = {0}, some = {.stop_at = 7};
    CHECK(g, ac_rpc_stream_sync(g->target, NULL, NULL, ECHO "Down", &q, REPLY, RIG_WAIT, see, &all,
                                &err) == AC_OK);
    CHECK(g, all.n == 300);
    q.count = UINT32_MAX;
    CHECK(g, ac_rpc_stream_sync(g->target, NULL, NULL, ECHO "Down", &q, REPLY, RIG_WAIT, see, &some,
                                &err) == AC_OK);
    CHECK(g, some.n == 7);
    CHECK(g, ac_rpc_stream_sync(g->target, NULL, NULL, ECHO "Nope", &q, REPLY, RIG_WAIT, see, &some,
                                &err) == AC_ENOTSUP);
    CHECK(g, ac_rpc_stream_sync(g->target, NULL, NULL, ECHO "Down", &q, REPLY, AC_NS_PER_MS, see,
                                &some, &err) < 0);
    CHECK(g, rig_until(&g->cancelled, 1));
}

static void test_sync_stream(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), sync_body);
}

/* ---- shutdown under load ---- */

static atomic_int load_over;

static void load_done(const struct ac_rpc_result *res, void *arg);

static void load_one(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    struct ac_rpc_call_opts o = {.timeout_ns = RIG_WAIT};
    (void)ac_rpc_unary(g->ch, ECHO "Unary", &q, REPLY, &o, load_done, g);
}

/* Goes on until the server is away. */
static void load_done(const struct ac_rpc_result *res, void *arg)
{
    struct rig *g = arg;
    if (res->code == AC_OK && g->ch && !atomic_load(&g->stop_waiting))
        load_one(g);
    else
        atomic_fetch_add(&load_over, 1);
}

static void load_start(void *arg)
{
    for (int i = 0; i < 64; i++)
        load_one(arg);
}

/* The server goes first, with calls of all kinds running, some of which would never end. */
static void shutdown_first(void *arg)
{
    struct rig *g = arg;
    g->grace_ns = 100 * AC_NS_PER_MS;
    atomic_store(&g->stop_waiting, 1);
    struct ac_rpc_channel *ch = g->ch;
    g->ch = NULL;
    ac_rpc_server_shutdown(g->server, g->grace_ns, rig_stopped, g);
    ac_rpc_channel_destroy(ch);
}

static void load_body(struct rig *g)
{
    static struct waiter stuck[3];
    static const char *const methods[] = {ECHO "Unary", ECHO "Down", ECHO "Both"};
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.delay_ns = 600 * SECONDS;
    q.count = UINT32_MAX;
    for (int i = 0; i < 3; i++) {
        stuck[i] = (struct waiter){.g = g,
                                   .over = EVENT_INIT,
                                   .method = methods[i],
                                   .q = &q,
                                   .unary = i == 0,
                                   .sends = 1,
                                   .keep_open = true};
        ac_loop_post(g->loop, waiter_start, &stuck[i]);
    }
    ac_loop_post(g->loop, load_start, g);
    CHECK(g, rig_until(&g->handled, 500));
}

/* As rig_thread, but the server is stopped with everything running. */
static void *load_thread(void *arg)
{
    struct rig *g = arg;
    load_body(g);
    ac_loop_post(g->loop, shutdown_first, g);
    return NULL;
}

static void test_shutdown_under_load(void **state)
{
    (void)state;
    struct rig *g = rig_create(NULL, NULL);
    pthread_t t;
    atomic_store(&load_over, 0);
    assert_int_equal(pthread_create(&t, NULL, load_thread, g), 0);
    ac_loop_run(g->loop);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(atomic_load(&g->cancelled), 3);
    ac_rpc_destroy(g->rpc);
    ac_loop_destroy(g->loop); /* uv_loop_close == 0; calls that were cancelled end in here */
    assert_int_equal(atomic_load(&load_over), 64);
    ac_metrics_destroy(g->metrics);
    assert_int_equal(atomic_load(&g->failures), 0);
    free(g);
}

/* A peer that speaks no gRPC, and one that goes away in the middle, harm nobody. */
static void garbage_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)ac_rpc_server_port(g->server)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        CHECK(g, connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
        const char text[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\xff garbage";
        (void)!write(fd, text, (size_t)(i * 2) % sizeof(text));
        (void)close(fd);
    }
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
}

static void test_garbage(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), garbage_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_down),        cmocka_unit_test(test_up),
        cmocka_unit_test(test_both),        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_cancel),      cmocka_unit_test(test_channel_destroyed),
        cmocka_unit_test(test_sync_stream), cmocka_unit_test(test_shutdown_under_load),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
