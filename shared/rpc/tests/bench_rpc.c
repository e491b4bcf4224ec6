/* Unary calls a second: through the loop, with AC_RPC_INLINE, and as a reference a minimal echo
 * server straight on gRPC core, all with the same client, one after the other in one process. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rpc.h>
#include <aceso/test/v1/echo.pb-c.h>

#define OUTSTANDING 16
#define WARM_NS     (300 * AC_NS_PER_MS)
#define ECHO        "/aceso.test.v1.Echo/"

/* ---- the client: OUTSTANDING calls at any time, one thread ---- */

struct call {
    grpc_call *g;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *reply;
    grpc_status_code status;
    grpc_slice details;
    int64_t begin_ns;
};

struct load {
    grpc_channel *ch;
    grpc_completion_queue *cq;
    grpc_slice method, body;
    uint64_t done, failed;
    int64_t *took;
    size_t n_took, cap_took;
};

static void call_start(struct load *l, struct call *c)
{
    grpc_op ops[6];
    memset(c, 0, sizeof(*c));
    memset(ops, 0, sizeof(ops));
    c->g = grpc_channel_create_call(
        l->ch, NULL, GRPC_PROPAGATE_DEFAULTS, l->cq, l->method, NULL,
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(20, GPR_TIMESPAN)), NULL);
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&l->body, 1);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = bb;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &c->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &c->reply;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &c->trailing;
    ops[5].data.recv_status_on_client.status = &c->status;
    ops[5].data.recv_status_on_client.status_details = &c->details;
    c->begin_ns = ac_now_ns();
    AC_ASSERT(grpc_call_start_batch(c->g, ops, 6, c, NULL) == GRPC_CALL_OK);
    grpc_byte_buffer_destroy(bb);
}

static void call_end(struct load *l, struct call *c)
{
    l->done++;
    if (c->status != GRPC_STATUS_OK)
        l->failed++;
    ac_grow(&l->took, &l->cap_took, l->n_took + 1, sizeof(*l->took));
    l->took[l->n_took++] = ac_now_ns() - c->begin_ns;
    if (c->reply)
        grpc_byte_buffer_destroy(c->reply);
    grpc_slice_unref(c->details);
    grpc_metadata_array_destroy(&c->initial);
    grpc_metadata_array_destroy(&c->trailing);
    grpc_call_unref(c->g);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void load_run(struct load *l, int64_t for_ns)
{
    struct call calls[OUTSTANDING];
    int64_t end = ac_now_ns() + for_ns;
    size_t open = OUTSTANDING;
    for (size_t i = 0; i < OUTSTANDING; i++)
        call_start(l, &calls[i]);
    while (open > 0) {
        grpc_event ev =
            grpc_completion_queue_next(l->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        call_end(l, ev.tag);
        if (ac_now_ns() < end)
            call_start(l, ev.tag);
        else
            open--;
    }
}

static void measure(const char *name, int port, const char *method, int64_t for_ns)
{
    char target[64];
    uint8_t packed[64];
    struct load l = {0};
    Aceso__Test__V1__EchoRequest q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.value = 42;
    q.text = (char[]){"hello"};
    size_t n = aceso__test__v1__echo_request__pack(&q, packed);
    l.body = grpc_slice_from_copied_buffer((const char *)packed, n);
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", port);
    grpc_channel_credentials *creds = grpc_insecure_credentials_create();
    l.ch = grpc_channel_create(target, creds, NULL);
    grpc_channel_credentials_release(creds);
    l.cq = grpc_completion_queue_create_for_next(NULL);
    l.method = grpc_slice_from_copied_string(method);
    load_run(&l, WARM_NS);
    l.done = l.failed = l.n_took = 0;
    int64_t begin = ac_now_ns();
    load_run(&l, for_ns);
    double seconds = (double)(ac_now_ns() - begin) / 1e9;
    qsort(l.took, l.n_took, sizeof(*l.took), by_value);
    printf("rpc_unary %-8s %8.0f calls/s  p50 %5.0f us  p99 %5.0f us  failed %llu\n", name,
           (double)l.done / seconds, (double)l.took[l.n_took / 2] / 1e3,
           (double)l.took[l.n_took - 1 - l.n_took / 100] / 1e3, (unsigned long long)l.failed);
    (void)fflush(stdout);
    grpc_channel_destroy(l.ch);
    grpc_completion_queue_shutdown(l.cq);
    while (grpc_completion_queue_next(l.cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(l.cq);
    grpc_slice_unref(l.method);
    grpc_slice_unref(l.body);
    free(l.took);
}

/* ---- ours ---- */

static void echo(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)self;
    const Aceso__Test__V1__EchoRequest *q = req;
    Aceso__Test__V1__EchoResponse r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    r.value = q->value;
    r.text = q->text;
    ac_rpc_reply(c, &r);
}

struct ours {
    struct ac_loop *loop;
    struct ac_rpc_server *server;
    int64_t for_ns;
};

static void ours_stopped(void *arg)
{
    ac_loop_stop(((struct ours *)arg)->loop);
}

static void ours_stop(void *arg)
{
    struct ours *o = arg;
    ac_rpc_server_shutdown(o->server, AC_NS_PER_S, ours_stopped, o);
}

static void *ours_client(void *arg)
{
    struct ours *o = arg;
    int port = ac_rpc_server_port(o->server);
    measure("loop", port, ECHO "Unary", o->for_ns);
    measure("inline", port, ECHO "UnaryInline", o->for_ns);
    ac_loop_post(o->loop, ours_stop, o);
    return NULL;
}

static void bench_ours(int64_t for_ns)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "Unary", .kind = AC_RPC_UNARY, .handler = echo},
        {.name = "UnaryInline", .kind = AC_RPC_UNARY, .handler = echo, .flags = AC_RPC_INLINE},
    };
    struct ac_err err = AC_ERR_INIT;
    struct ours o = {.loop = ac_loop_create(), .for_ns = for_ns};
    struct ac_metrics *metrics = ac_metrics_create();
    struct ac_rpc *rpc = ac_rpc_create(o.loop, metrics);
    struct ac_rpc_server_opts opts = {.listen = "127.0.0.1:0"};
    pthread_t t;
    o.server = ac_rpc_server_create(rpc, &opts);
    ac_rpc_server_add(o.server, &aceso__test__v1__echo__descriptor, methods, 2, NULL);
    AC_ASSERT(ac_rpc_server_start(o.server, &err) == 0);
    AC_ASSERT(pthread_create(&t, NULL, ours_client, &o) == 0);
    ac_loop_run(o.loop);
    (void)pthread_join(t, NULL);
    ac_rpc_server_destroy(o.server);
    ac_rpc_destroy(rpc);
    ac_loop_destroy(o.loop);
    ac_metrics_destroy(metrics);
}

/* ---- the reference: answers with the bytes that came, on the thread that polls ---- */

struct raw_call {
    int step; /* 0 waits, 1 reads, 2 answers */
    grpc_call *g;
    grpc_call_details details;
    grpc_metadata_array md;
    grpc_byte_buffer *msg;
    int cancelled;
};

struct raw {
    grpc_server *s;
    grpc_completion_queue *cq;
};

static void raw_arm(struct raw *r)
{
    struct raw_call *c = ac_xcalloc(1, sizeof(*c));
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->md);
    AC_ASSERT(grpc_server_request_call(r->s, &c->g, &c->details, &c->md, r->cq, r->cq, c) ==
              GRPC_CALL_OK);
}

static void raw_free(struct raw_call *c)
{
    if (c->msg)
        grpc_byte_buffer_destroy(c->msg);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->md);
    if (c->g)
        grpc_call_unref(c->g);
    free(c);
}

static void raw_step(struct raw *r, struct raw_call *c)
{
    grpc_op ops[4];
    memset(ops, 0, sizeof(ops));
    switch (c->step++) {
    case 0:
        raw_arm(r);
        ops[0].op = GRPC_OP_RECV_MESSAGE;
        ops[0].data.recv_message.recv_message = &c->msg;
        AC_ASSERT(grpc_call_start_batch(c->g, ops, 1, c, NULL) == GRPC_CALL_OK);
        break;
    case 1:
        ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
        ops[1].op = GRPC_OP_SEND_MESSAGE;
        ops[1].data.send_message.send_message = c->msg;
        ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[3].data.recv_close_on_server.cancelled = &c->cancelled;
        AC_ASSERT(grpc_call_start_batch(c->g, ops, 4, c, NULL) == GRPC_CALL_OK);
        break;
    default:
        raw_free(c);
        break;
    }
}

static void *raw_main(void *arg)
{
    struct raw *r = arg;
    for (;;) {
        grpc_event ev =
            grpc_completion_queue_next(r->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (ev.tag == r) {
            grpc_completion_queue_shutdown(r->cq);
            continue;
        }
        struct raw_call *c = ev.tag;
        if (c->step == 0 && !ev.success)
            raw_free(c);
        else
            raw_step(r, c);
    }
}

static void bench_raw(int64_t for_ns)
{
    struct raw r = {0};
    pthread_t t;
    r.cq = grpc_completion_queue_create_for_next(NULL);
    r.s = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(r.s, r.cq, NULL);
    grpc_server_credentials *creds = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(r.s, "127.0.0.1:0", creds);
    grpc_server_credentials_release(creds);
    grpc_server_start(r.s);
    for (int i = 0; i < 64; i++)
        raw_arm(&r);
    AC_ASSERT(pthread_create(&t, NULL, raw_main, &r) == 0);
    measure("raw-core", port, ECHO "Unary", for_ns);
    grpc_server_shutdown_and_notify(r.s, r.cq, &r);
    (void)pthread_join(t, NULL);
    grpc_server_destroy(r.s);
    grpc_completion_queue_destroy(r.cq);
}

int main(int argc, char **argv)
{
    int64_t for_ns = (argc > 1 ? atoll(argv[1]) : 2000) * AC_NS_PER_MS;
    grpc_init();
    printf("# one client thread, %d calls outstanding, 10-byte messages, %lld ms each\n",
           OUTSTANDING, (long long)(for_ns / AC_NS_PER_MS));
    bench_raw(for_ns);
    bench_ours(for_ns);
    bench_raw(for_ns);
    grpc_shutdown();
    return 0;
}
