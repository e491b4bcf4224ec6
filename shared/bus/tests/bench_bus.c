/* Messages a second over a real nats-server, through the bus and, as a reference, straight on cnats
 * with the same payload, window and one connection, one after the other in one process:
 *   core   publish and subscribe, what is lost is counted
 *   store  JetStream, published and confirmed (file storage)
 *   read   JetStream, the stored messages in order */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include <aceso/base.h>
#include <aceso/bus.h>
#include <aceso/clock.h>
#include <aceso/kit_servers.h>

#define PAYLOAD     128
#define WINDOW      1024 /* messages under way */
#define BURST       64   /* a wake of the publisher */
#define PATIENCE_NS (20 * AC_NS_PER_S)

static char payload[PAYLOAD];
static uint64_t total; /* messages a run */

static void report(const char *what, const char *who, uint64_t n, int64_t begin_ns)
{
    double s = (double)(ac_now_ns() - begin_ns) / 1e9;
    printf("bus_%-6s %-9s %8.0f messages/s  lost %llu\n", what, who, (double)n / s,
           (unsigned long long)(total - n));
    (void)fflush(stdout);
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_bus: %s failed\n", what);
    exit(1);
}

/* ---- the reference ---- */

struct raw {
    natsConnection *nc;
    jsCtx *js;
    pthread_mutex_t mu;
    pthread_cond_t cond;
    uint64_t sent, got;
};

static void raw_got(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    (void)nc;
    (void)sub;
    struct raw *r = closure;
    natsMsg_Destroy(msg);
    (void)pthread_mutex_lock(&r->mu);
    r->got++;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mu);
}

/* Until at most `left` messages are under way; false when nothing comes any more. */
static bool raw_wait(struct raw *r, uint64_t left)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_NS / AC_NS_PER_S;
    bool ok = true;
    (void)pthread_mutex_lock(&r->mu);
    while (ok && r->sent - r->got > left)
        ok = pthread_cond_timedwait(&r->cond, &r->mu, &until) == 0;
    (void)pthread_mutex_unlock(&r->mu);
    return ok;
}

static void raw_core(struct raw *r)
{
    natsSubscription *sub = NULL;
    must(natsConnection_Subscribe(&sub, r->nc, "bench.core", raw_got, r) == NATS_OK, "subscribe");
    int64_t begin = ac_now_ns();
    bool ok = true;
    for (r->sent = r->got = 0; ok && r->sent < total;) {
        must(natsConnection_Publish(r->nc, "bench.core", payload, PAYLOAD) == NATS_OK, "publish");
        (void)pthread_mutex_lock(&r->mu);
        r->sent++;
        (void)pthread_mutex_unlock(&r->mu);
        if (r->sent % BURST == 0)
            ok = raw_wait(r, WINDOW);
    }
    (void)raw_wait(r, 0);
    report("core", "raw-cnats", r->got, begin);
    natsSubscription_Destroy(sub);
}

static void raw_store(struct raw *r)
{
    jsPubOptions o;
    (void)jsPubOptions_Init(&o);
    o.MaxWait = PATIENCE_NS / AC_NS_PER_MS;
    int64_t begin = ac_now_ns();
    for (uint64_t i = 0; i < total; i++)
        must(js_PublishAsync(r->js, "bench.raw", payload, PAYLOAD, NULL) == NATS_OK, "publish");
    must(js_PublishAsyncComplete(r->js, &o) == NATS_OK, "confirmation");
    report("store", "raw-cnats", total, begin);
}

static void raw_read(struct raw *r)
{
    natsSubscription *sub = NULL;
    natsMsg *msg = NULL;
    jsSubOptions o;
    (void)jsSubOptions_Init(&o);
    o.Ordered = true;
    o.Config.DeliverPolicy = js_DeliverAll;
    int64_t begin = ac_now_ns();
    must(js_SubscribeSync(&sub, r->js, "bench.raw", NULL, &o, NULL) == NATS_OK, "subscribe");
    (void)natsSubscription_SetPendingLimits(sub, -1, -1);
    for (r->got = 0; r->got < total; r->got++) {
        if (natsSubscription_NextMsg(&msg, sub, PATIENCE_NS / AC_NS_PER_MS) != NATS_OK)
            break;
        natsMsg_Destroy(msg);
    }
    report("read", "raw-cnats", r->got, begin);
    natsSubscription_Destroy(sub);
}

static void bench_raw(const char *url)
{
    struct raw r = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    jsOptions o;
    (void)jsOptions_Init(&o);
    o.PublishAsync.MaxPending = WINDOW;
    must(natsConnection_ConnectTo(&r.nc, url) == NATS_OK, "connect");
    must(natsConnection_JetStream(&r.js, r.nc, &o) == NATS_OK, "JetStream");
    raw_core(&r);
    raw_store(&r);
    raw_read(&r);
    jsCtx_Destroy(r.js);
    natsConnection_Destroy(r.nc);
}

/* ---- ours ---- */

struct ours {
    struct ac_loop *loop;
    struct ac_bus *bus;
    struct ac_timer *patience;
    uint64_t sent, got;
    bool store;
    bool again; /* a wake of the publisher is under way */
};

static void publish_some(void *arg);

static void wake_publisher(struct ours *o)
{
    if (o->again || o->sent == total || o->sent - o->got > WINDOW - BURST)
        return;
    o->again = true;
    ac_loop_post(o->loop, publish_some, o);
}

static void got_one(struct ours *o)
{
    if (++o->got == total)
        ac_loop_stop(o->loop);
    else
        wake_publisher(o);
}

static void on_message(const struct ac_bus_msg *m, void *arg)
{
    (void)m;
    got_one(arg);
}

static void on_stored(int code, void *arg)
{
    must(code == AC_OK, "storing");
    got_one(arg);
}

static void publish_some(void *arg)
{
    struct ours *o = arg;
    struct ac_err err = AC_ERR_INIT;
    o->again = false;
    for (int i = 0; i < BURST && o->sent < total; i++, o->sent++) {
        int rc = o->store ? ac_bus_js_publish(o->bus, "bench.ours", NULL, payload, PAYLOAD,
                                              on_stored, o, &err)
                          : ac_bus_publish(o->bus, "bench.core", payload, PAYLOAD, &err);
        must(rc == AC_OK, err.msg);
    }
    wake_publisher(o);
}

static void give_up(void *arg)
{
    ac_loop_stop(((struct ours *)arg)->loop);
}

static void run(struct ours *o, const char *what)
{
    int64_t begin = ac_now_ns();
    ac_timer_start(o->patience, 3 * PATIENCE_NS, 0);
    ac_loop_run(o->loop);
    report(what, "loop", o->got, begin);
    o->sent = o->got = 0;
}

static void bench_ours(const char *url)
{
    struct ac_err err = AC_ERR_INIT;
    struct ours o = {.loop = ac_loop_create()};
    struct ac_bus_opts bo = {.url = url, .name = "bench"};
    struct ac_bus_sub *sub;
    struct ac_bus_reader *reader;
    must(ac_bus_connect(o.loop, NULL, &bo, &o.bus, &err) == AC_OK, err.msg);
    o.patience = ac_timer_create(o.loop, give_up, &o);
    must(ac_bus_subscribe(o.bus, "bench.core", NULL, on_message, &o, &sub, &err) == AC_OK, err.msg);
    wake_publisher(&o);
    run(&o, "core");
    ac_bus_unsubscribe(sub);
    o.store = true;
    wake_publisher(&o);
    run(&o, "store");
    o.sent = total; /* nothing is published while reading */
    const struct ac_bus_read rd = {.stream = "BENCH", .filter = "bench.ours", .from_seq = 1};
    must(ac_bus_read(o.bus, &rd, on_message, &o, &reader, &err) == AC_OK, err.msg);
    run(&o, "read");
    ac_bus_read_close(reader);
    ac_timer_destroy(o.patience);
    ac_bus_close(o.bus);
    ac_loop_destroy(o.loop);
}

static void make_stream(const char *url)
{
    static const char *const subjects[] = {"bench.ours", "bench.raw", NULL};
    struct ac_err err = AC_ERR_INIT;
    struct ac_loop *l = ac_loop_create();
    struct ac_bus *b;
    const struct ac_bus_opts bo = {.url = url};
    const struct ac_bus_stream st = {
        .name = "BENCH", .subjects = subjects, .max_bytes = 1 << 30, .dedup_ns = AC_NS_PER_S};
    must(ac_bus_connect(l, NULL, &bo, &b, &err) == AC_OK, err.msg);
    must(ac_bus_ensure_stream(b, &st, &err) == AC_OK, err.msg);
    ac_bus_close(b);
    ac_loop_destroy(l);
}

int main(int argc, char **argv)
{
    total = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;
    struct ac_kit_nats *server = ac_kit_nats_start(NULL);
    const char *url = ac_kit_nats_url(server);
    memset(payload, 'x', sizeof(payload));
    printf(
        "# %llu messages of %d bytes a row, %d under way, one connection, server on this machine\n",
        (unsigned long long)total, PAYLOAD, WINDOW);
    make_stream(url);
    bench_raw(url);
    bench_ours(url);
    ac_kit_nats_stop(server);
    nats_Close();
    return 0;
}
