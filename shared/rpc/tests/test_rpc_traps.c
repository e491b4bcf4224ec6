/* One test for each trap of gRPC core that docs/rpc.md lists, by its number there. Traps 13 and 14
 * are facts of the build: the annotations in runtime.c, -Wunused-value among the warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpedantic"
#include <grpc/grpc.h> /* trap 15: the headers are clean C11 */
#include <grpc/grpc_security.h>
#pragma GCC diagnostic pop

#include "rpc_rig.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <spawn.h>

extern char **environ;

static struct waiter unary_of(struct rig *g, const char *method, const echo_request *q)
{
    return (struct waiter){.g = g, .over = EVENT_INIT, .method = method, .q = q, .unary = true};
}

/* 1: a call to a method that nobody registered must not wait for its deadline. */
static void trap_1(struct rig *g)
{
    static const char *const methods[] = {ECHO "Missing", ECHO "Nope", "/no.such.Service/Call", "/",
                                          "/x",           "//",        "/aceso.test.v1.Echo/"};
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    for (size_t i = 0; i < AC_ARRAY_LEN(methods); i++) {
        struct waiter w = unary_of(g, methods[i], &q);
        int64_t begin = ac_now_ns();
        CHECK(g, waiter_run(&w));
        CHECK(g, w.code == AC_ENOTSUP);
        CHECK(g, ac_now_ns() - begin < 5 * SECONDS);
    }
    CHECK(g, atomic_load(&g->handled) == 0);
}

static void start_another(struct waiter *w, const char *listen)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_rpc_server_opts o = {.listen = listen};
    struct ac_rpc_server *s = ac_rpc_server_create(w->g->rpc, &o);
    w->code = ac_rpc_server_start(s, &err);
    (void)snprintf(w->message, sizeof(w->message), "%s", err.msg);
    ac_rpc_server_destroy(s);
    event_set(&w->over);
}

static void trap_2_second(void *arg)
{
    struct waiter *w = arg;
    start_another(w, w->g->target);
}

static void trap_2_cut(void *arg)
{
    start_another(arg, "127.0.0.1:99999");
}

/* 2: a second server on the port is refused, with a text that says what to do, and so is a port of
 * which the low bits alone would be taken. */
static void trap_2(struct rig *g)
{
    struct waiter w = {.g = g, .over = EVENT_INIT};
    ac_loop_post(g->loop, trap_2_second, &w);
    CHECK(g, event_wait(&w.over));
    CHECK(g, w.code == AC_EEXISTS);
    CHECK(g, strstr(w.message, "taken") && strstr(w.message, strchr(g->target, ':') + 1));
    struct waiter cut = {.g = g, .over = EVENT_INIT};
    ac_loop_post(g->loop, trap_2_cut, &cut);
    CHECK(g, event_wait(&cut.over));
    CHECK(g, cut.code == AC_EINVAL && strstr(cut.message, "65535"));
}

/* 3: deadlines are points in time, on the right clock, on both sides. */
static void trap_3(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    echo_response *r = NULL;
    CHECK(g, rig_call(g, "Unary", &q, &r, &err) == AC_OK);
    /* The wire carries three digits, rounded up: at most one in a hundred more. */
    CHECK(g, r && r->deadline_left_ns > RIG_WAIT / 2 &&
                 r->deadline_left_ns <= RIG_WAIT + RIG_WAIT / 100);
    rig_free(r);
    q.delay_ns = 600 * SECONDS;
    struct waiter w = unary_of(g, ECHO "Unary", &q);
    w.timeout_ns = 200 * AC_NS_PER_MS;
    int64_t begin = ac_now_ns();
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_ETIMEOUT);
    CHECK(g, ac_now_ns() - begin >= 199 * AC_NS_PER_MS);
    q.delay_ns = 0;
    w = unary_of(g, ECHO "Unary", &q);
    w.timeout_ns = INT64_MAX; /* none: the server sees none either */
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
}

/* 4: batches of failed calls report success; the status counts. */
static void trap_4(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.text = (char[]){"x"};
    q.fail_code = AC_ORD_ESTATE;
    struct waiter w = unary_of(g, ECHO "Unary", &q);
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_ESTATE && !w.has_reply && w.raw_len == 0);
    w = (struct waiter){.g = g, .over = EVENT_INIT, .method = ECHO "Missing", .q = &q};
    CHECK(g, waiter_run(&w)); /* a stream that ends with an error and no message */
    CHECK(g, w.code == AC_ENOTSUP && w.received == 0);
    /* a cut upload shows as ok=1 and no message: it must not pass for its end */
    w = (struct waiter){
        .g = g, .over = EVENT_INIT, .method = ECHO "Up", .q = &q, .sends = 3, .keep_open = true};
    ac_loop_post(g->loop, waiter_start, &w);
    CHECK(g, rig_until(&g->messages, 3));
    ac_loop_post(g->loop, waiter_cancel, &w);
    CHECK(g, event_wait(&w.over));
    CHECK(g, rig_until(&g->cancelled, 1));
    CHECK(g, atomic_load(&g->ends) == 0);
}

/* 5: next and pluck never meet on a queue, and pluckers are not limited to six. */
static void *trap_5_thread(void *arg)
{
    struct rig *g = arg;
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.delay_ns = 50 * AC_NS_PER_MS; /* so that they wait at the same time */
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
    return NULL;
}

static void trap_5(struct rig *g)
{
    pthread_t t[12];
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++)
        CHECK(g, pthread_create(&t[i], NULL, trap_5_thread, g) == 0);
    struct waiter w = unary_of(g, ECHO "Unary", &q);
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++)
        CHECK(g, pthread_join(t[i], NULL) == 0);
}

/* 6: a loop that is busy does not stop the poller: what runs on it is answered. */
struct busy {
    struct event begun, go_on;
};

static void trap_6_block(void *arg)
{
    struct busy *b = arg;
    event_set(&b->begun);
    (void)event_wait(&b->go_on);
}

static void trap_6(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    struct busy b = {EVENT_INIT, EVENT_INIT};
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    ac_loop_post(g->loop, trap_6_block, &b);
    CHECK(g, event_wait(&b.begun));
    CHECK(g, rig_call(g, "UnaryInline", &q, NULL, &err) == AC_OK);
    event_set(&b.go_on);
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
}

/* 7: one send at a time whatever the caller does; order and content hold. */
static int trap_7_reply(struct waiter *w, const echo_response *r)
{
    CHECK(w->g, r->value == w->received - 1);
    return 0;
}

static void trap_7(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.count = 5000;
    struct waiter w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (struct waiter){.g = g,
                               .over = EVENT_INIT,
                               .method = ECHO "Down",
                               .q = &q,
                               .sends = 1,
                               .on_reply = trap_7_reply};
        ac_loop_post(g->loop, waiter_start, &w[i]);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(g, event_wait(&w[i].over));
        CHECK(g, w[i].code == AC_OK && w[i].received == 5000);
    }
}

/* 8: messages of every size, inlined in the slice's struct or spread over many slices. */
static void trap_8(struct rig *g)
{
    static const size_t sizes[] = {
        0,  1,  5,   6,    14,   15,    16,    22,    23,       24,
        31, 32, 100, 8191, 8192, 16384, 65536, 65537, 1u << 20, (4u << 20) - 64};
    struct ac_err err = AC_ERR_INIT;
    uint8_t *bytes = ac_xmalloc(4u << 20);
    struct ac_rng rng = ac_kit_rng(8);
    for (size_t i = 0; i < (4u << 20); i++)
        bytes[i] = (uint8_t)ac_rng_u64(&rng);
    for (size_t i = 0; i < AC_ARRAY_LEN(sizes); i++) {
        echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
        echo_response *r = NULL;
        q.payload = (ProtobufCBinaryData){sizes[i], bytes};
        CHECK(g, rig_call(g, "Unary", &q, &r, &err) == AC_OK);
        CHECK(g, r && r->payload.len == sizes[i] &&
                     (sizes[i] == 0 || memcmp(r->payload.data, bytes, sizes[i]) == 0));
        rig_free(r);
    }
    free(bytes);
}

/* 9: exactly one status and one close a call, also when cancel and reply cross; nothing is left. */
static double running(struct rig *g)
{
    return ac_metric_value(
        ac_metrics_get(g->metrics, AC_METRIC_GAUGE, "aceso_rpc_server_calls", "", NULL, NULL));
}

static void trap_9(struct rig *g)
{
    enum {
        N = 300
    };
    static struct waiter w[N];
    static echo_request q[N];
    for (int i = 0; i < N; i++) {
        echo_request init = ACESO__TEST__V1__ECHO_REQUEST__INIT;
        q[i] = init;
        q[i].delay_ns = (i % 5) * AC_NS_PER_MS;
        w[i] = unary_of(g, ECHO "Unary", &q[i]);
        ac_loop_post(g->loop, waiter_start, &w[i]);
        if (i % 2)
            ac_loop_post(g->loop, waiter_cancel, &w[i]);
    }
    for (int i = 0; i < N; i++) {
        if (i % 2 == 0)
            ac_loop_post(g->loop, waiter_cancel, &w[i]);
        CHECK(g, event_wait(&w[i].over));
        CHECK(g, w[i].code == AC_OK || w[i].code == AC_ECANCELED);
    }
    int64_t end = ac_now_ns() + RIG_WAIT;
    while (running(g) > 0 && ac_now_ns() < end)
        sched_yield();
    CHECK(g, running(g) == 0);
}

/* 10: up and down many times, with armed requests and with calls; see also the load test. */
static void trap_10_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    struct waiter w = unary_of(g, ECHO "Unary", &q);
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
}

static void nothing(struct rig *g)
{
    (void)g;
}

static void test_trap_10(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        rig_run(rig_create(NULL, NULL), trap_10_body);
        rig_run(rig_create(NULL, NULL), nothing);
    }
}

/* 11: programs are started by posix_spawn (exec at once) while core runs. */
static void trap_11(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    for (int i = 0; i < 5; i++) {
        char *argv[] = {(char[]){"true"}, NULL};
        pid_t pid;
        int status = -1;
        CHECK(g, posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
        CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
        CHECK(g, waitpid(pid, &status, 0) == pid && status == 0);
    }
}

/* 12: limits are set on both sides. A message of 4 MiB + 1 is refused and the connection lives. */
static void trap_12(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    size_t limit = 4u << 20;
    q.payload = (ProtobufCBinaryData){limit - 5, ac_xcalloc(1, limit)};
    CHECK(g, protobuf_c_message_get_packed_size(&q.base) == limit);
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
    q.payload.len++;
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_EAGAIN);
    struct waiter w = unary_of(g, ECHO "Unary", &q);
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_EAGAIN);
    free(q.payload.data);
    echo_request small = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    w = unary_of(g, ECHO "Unary", &small);
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
    CHECK(g, atomic_load(&g->handled) == 2);
}

#define TRAP(n)                                                                                    \
    static void test_trap_##n(void **state)                                                        \
    {                                                                                              \
        (void)state;                                                                               \
        rig_run(rig_create(NULL, NULL), trap_##n);                                                 \
    }
TRAP(1)
TRAP(2)
TRAP(3)
TRAP(4)
TRAP(5)
TRAP(6)
TRAP(7)
TRAP(8)
TRAP(9)
TRAP(11)
TRAP(12)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_1),  cmocka_unit_test(test_trap_2),
        cmocka_unit_test(test_trap_3),  cmocka_unit_test(test_trap_4),
        cmocka_unit_test(test_trap_5),  cmocka_unit_test(test_trap_6),
        cmocka_unit_test(test_trap_7),  cmocka_unit_test(test_trap_8),
        cmocka_unit_test(test_trap_9),  cmocka_unit_test(test_trap_10),
        cmocka_unit_test(test_trap_11), cmocka_unit_test(test_trap_12),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
