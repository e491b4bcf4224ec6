/* The bus against a real nats-server: core messages, streams, consumers, buckets, restarts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/bus.h>
#include <aceso/clock.h>
#include <aceso/kit_servers.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

#define WAIT_NS (15 * AC_NS_PER_S)

struct rig {
    struct ac_kit_nats *nats;
    struct ac_loop *loop;
    struct ac_bus *b;
    struct ac_timer *late;
    int got, acked, done, code, redelivered;
    int want;
    char text[256];
    uint64_t revision;
    bool expired, hold;
    bool connected;
    int states;
};

static void too_late(void *arg)
{
    struct rig *g = arg;
    g->expired = true;
    ac_loop_stop(g->loop);
}

static void run(struct rig *g)
{
    g->expired = false;
    ac_timer_start(g->late, WAIT_NS, 0);
    ac_loop_run(g->loop);
    ac_timer_stop(g->late);
    assert_false(g->expired);
}

static struct ac_bus *connect_to(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus *b = NULL;
    struct ac_bus_opts o = {.url = ac_kit_nats_url(g->nats), .name = "test"};
    if (ac_bus_connect(g->loop, NULL, &o, &b, &err) < 0)
        fail_msg("%s", err.msg);
    return b;
}

static void up(struct rig *g)
{
    memset(g, 0, sizeof(*g));
    g->nats = ac_kit_nats_start(NULL);
    g->loop = ac_loop_create();
    g->late = ac_timer_create(g->loop, too_late, g);
    g->b = connect_to(g);
}

static void down(struct rig *g)
{
    ac_bus_close(g->b);
    ac_timer_destroy(g->late);
    ac_loop_destroy(g->loop);
    ac_kit_nats_stop(g->nats);
}

static void on_msg(const struct ac_bus_msg *m, void *arg)
{
    struct rig *g = arg;
    (void)snprintf(g->text, sizeof(g->text), "%s=%.*s", m->subject, (int)m->len,
                   (const char *)m->data);
    if (++g->got == g->want)
        ac_loop_stop(g->loop);
}

static void answer(const struct ac_bus_msg *m, void *arg)
{
    struct rig *g = arg;
    struct ac_err err = AC_ERR_INIT;
    assert_non_null(m->reply);
    assert_int_equal(ac_bus_publish(g->b, m->reply, "pong", 4, &err), 0);
}

static void on_reply(int code, const struct ac_bus_msg *m, void *arg)
{
    struct rig *g = arg;
    g->code = code;
    g->text[0] = '\0';
    if (m)
        (void)snprintf(g->text, sizeof(g->text), "%.*s", (int)m->len, (const char *)m->data);
    ac_loop_stop(g->loop);
}

static void test_core(void **state)
{
    (void)state;
    struct rig g;
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus_sub *sub = NULL;
    up(&g);
    assert_true(ac_bus_connected(g.b));
    assert_int_equal(ac_bus_subscribe(g.b, "a.>", NULL, on_msg, &g, &sub, &err), 0);
    g.want = 100;
    for (int i = 0; i < 100; i++)
        assert_int_equal(ac_bus_publish(g.b, "a.b", "x", 1, &err), 0);
    run(&g);
    assert_string_equal(g.text, "a.b=x");
    assert_int_equal(ac_bus_subscribe(g.b, "ask", "workers", answer, &g, NULL, &err), 0);
    ac_bus_request(g.b, "ask", "ping", 4, 5 * AC_NS_PER_S, on_reply, &g);
    run(&g);
    assert_int_equal(g.code, 0);
    assert_string_equal(g.text, "pong");
    ac_bus_request(g.b, "nobody", "", 0, 5 * AC_NS_PER_S, on_reply, &g);
    run(&g);
    assert_int_equal(g.code, AC_ENET);
    ac_bus_request(g.b, "a.deaf", "", 0, 200 * AC_NS_PER_MS, on_reply, &g); /* a.> never answers */
    run(&g);
    assert_int_equal(g.code, AC_ETIMEOUT);
    ac_bus_unsubscribe(sub);
    down(&g);
}

static double metric_value(struct ac_metrics *m, const char *name)
{
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_metrics_render(m, &b);
    const char *text = ac_buf_str(&b), *at = text;
    double v = -1;
    while (v < 0 && (at = strstr(at, name))) {
        if ((at == text || at[-1] == '\n') && at[strlen(name)] == ' ')
            v = strtod(at + strlen(name), NULL);
        at++;
    }
    ac_buf_fini(&b);
    return v;
}

static void test_a_loop_that_stands_still(void **state)
{
    (void)state;
    enum {
        LIMIT = 65536,
        SENT = LIMIT + 1000
    };
    struct rig g = {.nats = ac_kit_nats_start(NULL), .loop = ac_loop_create()};
    struct ac_err err = AC_ERR_INIT;
    struct ac_metrics *metrics = ac_metrics_create();
    struct ac_bus_opts o = {.url = ac_kit_nats_url(g.nats)};
    g.late = ac_timer_create(g.loop, too_late, &g);
    assert_int_equal(ac_bus_connect(g.loop, metrics, &o, &g.b, &err), 0);
    assert_int_equal(ac_bus_subscribe(g.b, "flood", NULL, on_msg, &g, NULL, &err), 0);
    for (int i = 0; i < SENT; i++)
        assert_int_equal(ac_bus_publish(g.b, "flood", "x", 1, &err), 0);
    double lost = 0;
    for (int64_t end = ac_now_ns() + WAIT_NS; lost < 1000 && ac_now_ns() < end; nats_Sleep(5))
        lost = metric_value(metrics, "aceso_bus_slow_consumer_total");
    assert_true(lost >= 1000 && lost < SENT / 2);
    g.want = SENT - (int)lost; /* the rest was kept, and what comes later is taken again */
    run(&g);
    g.want++;
    assert_int_equal(ac_bus_publish(g.b, "flood", "y", 1, &err), 0);
    run(&g);
    assert_string_equal(g.text, "flood=y");
    down(&g);
    ac_metrics_destroy(metrics);
}

/* ---- JetStream ---- */

static void stored(int code, void *arg)
{
    struct rig *g = arg;
    g->code = code;
    if (++g->done == g->want)
        ac_loop_stop(g->loop);
}

static void on_js(const struct ac_bus_msg *m, struct ac_bus_ack *ack, void *arg)
{
    struct rig *g = arg;
    assert_true(m->stream_seq > 0 && m->time_ns > 0);
    if (m->delivered > 1)
        g->redelivered++;
    if (m->delivered == 1 && g->hold) {
        ac_bus_nak(ack, 10 * AC_NS_PER_MS);
        return;
    }
    ac_bus_ack(ack);
    if (++g->acked == g->want)
        ac_loop_stop(g->loop);
}

static void ensure(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    static const char *const subjects[] = {"s.>", NULL};
    struct ac_bus_stream s = {.name = "S", .subjects = subjects, .max_age_ns = 3600 * AC_NS_PER_S};
    if (ac_bus_ensure_stream(g->b, &s, &err) < 0)
        fail_msg("%s", err.msg);
    if (ac_bus_ensure_stream(g->b, &s, &err) < 0) /* again: no change */
        fail_msg("%s", err.msg);
    s.max_age_ns *= 2;
    if (ac_bus_ensure_stream(g->b, &s, &err) < 0) /* changed: updated */
        fail_msg("%s", err.msg);
}

static void consume(struct rig *g, struct ac_bus *b, const char *durable, struct ac_bus_sub **ret)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus_consumer c = {.stream = "S", .durable = durable, .filter = "s.>"};
    if (ac_bus_consume(b, &c, on_js, g, ret, &err) < 0)
        fail_msg("%s", err.msg);
}

static void publish(struct rig *g, int n, const char *id)
{
    struct ac_err err = AC_ERR_INIT;
    g->done = 0;
    g->want = n;
    for (int i = 0; i < n; i++)
        assert_int_equal(ac_bus_js_publish(g->b, "s.x", id, "data", 4, stored, g, &err), 0);
    run(g);
    assert_int_equal(g->code, 0);
}

static void test_streams(void **state)
{
    (void)state;
    struct rig g;
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus_sub *sub = NULL;
    up(&g);
    ensure(&g);
    publish(&g, 500, NULL);
    publish(&g, 3, "same-id"); /* taken once */
    consume(&g, g.b, "fleet", &sub);
    g.want = 501;
    run(&g);
    assert_int_equal(g.acked, 501);
    /* what is not acknowledged comes again */
    g.acked = 0;
    g.hold = true;
    publish(&g, 10, NULL);
    g.want = 10;
    if (g.acked < 10)
        run(&g);
    assert_int_equal(g.redelivered, 10);
    /* the durable outlives its subscription: the next one goes on where it was */
    ac_bus_unsubscribe(sub);
    g.hold = false;
    publish(&g, 5, NULL);
    g.acked = 0;
    g.want = 5;
    struct ac_bus *second = connect_to(&g);
    consume(&g, second, "fleet", NULL);
    run(&g);
    assert_int_equal(g.acked, 5);
    ac_bus_close(second);
    /* a subject that no stream takes */
    g.done = 0;
    g.want = 1;
    assert_int_equal(ac_bus_js_publish(g.b, "elsewhere", NULL, "x", 1, stored, &g, &err), 0);
    run(&g);
    assert_int_equal(g.code, AC_ENET);
    down(&g);
}

/* Two members share the work, and each message is taken by one of them. */
static void test_fleet(void **state)
{
    (void)state;
    struct rig g;
    up(&g);
    ensure(&g);
    struct ac_bus *second = connect_to(&g);
    consume(&g, g.b, "fleet", NULL);
    consume(&g, second, "fleet", NULL);
    g.done = 0;
    struct ac_err err = AC_ERR_INIT;
    g.want = 400;
    for (int i = 0; i < 400; i++)
        assert_int_equal(ac_bus_js_publish(g.b, "s.x", NULL, "data", 4, NULL, NULL, &err), 0);
    run(&g);
    assert_int_equal(g.acked, 400);
    ac_bus_close(second);
    down(&g);
}

/* ---- buckets ---- */

static void on_kv(int code, const void *value, size_t len, uint64_t revision, void *arg)
{
    struct rig *g = arg;
    g->code = code;
    g->revision = revision;
    (void)snprintf(g->text, sizeof(g->text), "%.*s", (int)len, value ? (const char *)value : "");
    ac_loop_stop(g->loop);
}

static void test_buckets(void **state)
{
    (void)state;
    struct rig g;
    struct ac_err err = AC_ERR_INIT;
    up(&g);
    assert_int_equal(ac_bus_kv_ensure(g.b, "leases", 60 * AC_NS_PER_S, &err), 0);
    assert_int_equal(ac_bus_kv_ensure(g.b, "leases", 60 * AC_NS_PER_S, &err), 0);
    ac_bus_kv_get(g.b, "leases", "k", on_kv, &g);
    run(&g);
    assert_int_equal(g.code, AC_ENOTFOUND);
    ac_bus_kv_update(g.b, "leases", "k", "me", 2, 0, on_kv, &g); /* create */
    run(&g);
    assert_int_equal(g.code, 0);
    uint64_t rev = g.revision;
    ac_bus_kv_update(g.b, "leases", "k", "you", 3, 0, on_kv, &g); /* taken */
    run(&g);
    assert_int_equal(g.code, AC_EABORTED);
    ac_bus_kv_update(g.b, "leases", "k", "me2", 3, rev, on_kv, &g); /* renewed */
    run(&g);
    assert_int_equal(g.code, 0);
    ac_bus_kv_update(g.b, "leases", "k", "late", 4, rev, on_kv, &g); /* an old revision */
    run(&g);
    assert_int_equal(g.code, AC_EABORTED);
    ac_bus_kv_get(g.b, "leases", "k", on_kv, &g);
    run(&g);
    assert_string_equal(g.text, "me2");
    ac_bus_kv_put(g.b, "leases", "k", "any", 3, on_kv, &g);
    run(&g);
    assert_int_equal(g.code, 0);
    ac_bus_kv_delete(g.b, "leases", "k", on_kv, &g);
    run(&g);
    assert_int_equal(g.code, 0);
    ac_bus_kv_get(g.b, "leases", "k", on_kv, &g);
    run(&g);
    assert_int_equal(g.code, AC_ENOTFOUND);
    down(&g);
}

/* ---- trouble ---- */

static void on_state(bool connected, void *arg)
{
    struct rig *g = arg;
    g->connected = connected;
    if (++g->states == g->want)
        ac_loop_stop(g->loop);
}

static void test_server_restart(void **state)
{
    (void)state;
    struct rig g;
    struct ac_err err = AC_ERR_INIT;
    up(&g);
    ensure(&g);
    publish(&g, 20, NULL);
    ac_bus_on_state(g.b, on_state, &g);
    consume(&g, g.b, "fleet", NULL);
    g.want = 20;
    run(&g);
    g.want = 2; /* down, up */
    ac_kit_nats_restart(g.nats);
    run(&g);
    assert_true(g.connected);
    g.acked = 0;
    g.want = 7; /* stored messages and the consumer go on */
    for (int i = 0; i < 7; i++)
        assert_int_equal(ac_bus_js_publish(g.b, "s.x", NULL, "data", 4, NULL, NULL, &err), 0);
    run(&g);
    down(&g);
}

/* ---- reading in order ---- */

struct reading {
    struct rig *g;
    struct ac_bus_reader *r;
    uint64_t last;
    unsigned twice;
};

static void on_read(const struct ac_bus_msg *m, void *arg)
{
    struct reading *rd = arg;
    if (m->stream_seq <= rd->last)
        rd->twice++;
    rd->last = m->stream_seq;
    if (++rd->g->got == rd->g->want)
        ac_loop_stop(rd->g->loop);
}

static void read_from(struct reading *rd, uint64_t seq, unsigned max_queued, unsigned want)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus_read o = {
        .stream = "S", .filter = "s.>", .from_seq = seq, .max_queued = max_queued};
    rd->g->got = 0;
    rd->g->want = (int)want;
    if (ac_bus_read(rd->g->b, &o, on_read, rd, &rd->r, &err) < 0)
        fail_msg("%s", err.msg);
}

/* Publishes; the run that follows ends when all of it was read. */
static void send_and_read(struct rig *g, int n)
{
    struct ac_err err = AC_ERR_INIT;
    g->got = 0;
    g->want = n;
    for (int i = 0; i < n; i++)
        assert_int_equal(ac_bus_js_publish(g->b, "s.x", NULL, "data", 4, NULL, NULL, &err), 0);
}

static void test_read_in_order(void **state)
{
    (void)state;
    struct rig g;
    struct reading rd = {.g = &g};
    struct ac_err err = AC_ERR_INIT;
    up(&g);
    struct ac_bus_read none = {.stream = "NOTHERE", .filter = "x"};
    assert_int_equal(ac_bus_read(g.b, &none, on_read, &rd, &rd.r, &err), AC_ENOTFOUND);
    ensure(&g);
    publish(&g, 500, NULL);
    read_from(&rd, 101, 16, 400); /* a short queue: the thread has to wait for the loop */
    run(&g);
    assert_int_equal(rd.last, 500);
    ac_bus_read_hold(rd.r);
    ac_bus_read_resume(rd.r);
    send_and_read(&g, 3);
    run(&g);
    assert_int_equal(rd.last, 503);
    ac_bus_read_close(rd.r);
    read_from(&rd, 0, 0, 2); /* new ones only */
    send_and_read(&g, 2);
    run(&g);
    assert_int_equal(rd.last, 505);
    assert_int_equal(rd.twice, 0);
    ac_bus_read_close(rd.r);
    rd.last = 0;
    read_from(&rd, 9000, 0, 505); /* more than there is: the stream is a new one */
    run(&g);
    assert_int_equal(rd.last, 505);
    assert_int_equal(rd.twice, 0);
    down(&g); /* closes the reader too */
}

static void test_read_over_restart(void **state)
{
    (void)state;
    struct rig g;
    struct reading rd = {.g = &g};
    up(&g);
    ensure(&g);
    publish(&g, 100, NULL);
    read_from(&rd, 1, 0, 100);
    run(&g);
    ac_bus_on_state(g.b, on_state, &g);
    g.states = 0;
    g.want = 2; /* down, up */
    ac_kit_nats_restart(g.nats);
    run(&g);
    send_and_read(&g, 50);
    run(&g);
    assert_int_equal(rd.last, 150);
    assert_int_equal(rd.twice, 0);
    down(&g);
}

static void test_no_server(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus *b = NULL;
    char url[64];
    (void)snprintf(url, sizeof(url), "nats://u:secret@127.0.0.1:%d", ac_kit_free_port());
    struct ac_loop *loop = ac_loop_create();
    struct ac_bus_opts o = {.url = url, .connect_timeout_ns = 100 * AC_NS_PER_MS};
    assert_int_equal(ac_bus_connect(loop, NULL, &o, &b, &err), AC_ENET);
    assert_non_null(strstr(err.msg, "127.0.0.1"));
    assert_null(strstr(err.msg, "secret"));
    ac_loop_destroy(loop);
}

static void test_password(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    struct ac_bus *b = NULL;
    struct ac_kit_nats *n = ac_kit_nats_start("authorization { user: \"u\", password: \"p\" }");
    struct ac_loop *loop = ac_loop_create();
    char *good = ac_kit_file("good.creds", "u:p\n"), *bad = ac_kit_file("bad.creds", "u:q\n");
    struct ac_bus_opts o = {.url = ac_kit_nats_url(n), .creds = bad};
    assert_int_equal(ac_bus_connect(loop, NULL, &o, &b, &err), AC_EUNAUTH);
    o.creds = good;
    assert_int_equal(ac_bus_connect(loop, NULL, &o, &b, &err), 0);
    ac_bus_close(b);
    ac_loop_destroy(loop);
    ac_kit_nats_stop(n);
    free(good);
    free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core),          cmocka_unit_test(test_streams),
        cmocka_unit_test(test_fleet),         cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_password),      cmocka_unit_test(test_server_restart),
        cmocka_unit_test(test_read_in_order), cmocka_unit_test(test_read_over_restart),
        cmocka_unit_test(test_no_server),     cmocka_unit_test(test_a_loop_that_stands_still),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return rc;
}
