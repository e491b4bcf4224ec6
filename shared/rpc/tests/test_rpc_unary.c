/* Unary calls: both sides, errors, deadlines, cancel, metadata, limits, tokens, raw services. */
#include "rpc_rig.h"

#include <aceso/str.h>

static void unary_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    echo_response *r = NULL;
    q.text = (char[]){"hello"};
    q.value = 42;
    CHECK(g, rig_call(g, "Unary", &q, &r, &err) == AC_OK);
    CHECK(g, r && r->value == 42 && strcmp(r->text, "hello") == 0);
    /* the deadline came along, on the server's clock */
    CHECK(g, r && r->deadline_left_ns > 0 && r->deadline_left_ns <= RIG_WAIT + RIG_WAIT / 100);
    rig_free(r);
    CHECK(g, rig_call(g, "UnaryInline", &q, NULL, &err) == AC_OK);

    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Unary", .q = &q, .unary = true};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK && w.value == 42 && w.has_reply && w.raw_len > 0);
    CHECK(g, atomic_load(&g->handled) == 3);
}

static void test_unary(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), unary_body);
}

/* Every code of the table goes over the wire and comes back as itself or as its kin with the same
 * status; details of internal errors stay at home. */
static void errors_body(struct rig *g)
{
    for (unsigned code = 1; code < AC_ORD_END; code++) {
        struct ac_err err = AC_ERR_INIT;
        echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
        q.text = (char[]){"the vault"};
        q.fail_code = code;
        int got = rig_call(g, "Unary", &q, NULL, &err);
        CHECK(g, got < 0 && ac_err_grpc_status(got) == ac_err_grpc_status(-(int)code));
        bool internal = ac_err_grpc_status(-(int)code) == 13;
        CHECK(g, (strstr(err.msg, "vault") == NULL) == internal);
    }
}

static void test_errors(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), errors_body);
}

static void deadline_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.delay_ns = 600 * SECONDS;
    struct waiter w = {.g = g,
                       .over = EVENT_INIT,
                       .method = ECHO "Unary",
                       .q = &q,
                       .unary = true,
                       .timeout_ns = 100 * AC_NS_PER_MS};
    int64_t begin = ac_now_ns();
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_ETIMEOUT && !w.has_reply);
    CHECK(g, ac_now_ns() - begin >= 99 * AC_NS_PER_MS);
    CHECK(g, rig_until(&g->cancelled, 1)); /* the handler hears of it */

    struct waiter c = {.g = g, .over = EVENT_INIT, .method = ECHO "Unary", .q = &q, .unary = true};
    ac_loop_post(g->loop, waiter_start, &c);
    CHECK(g, rig_until(&g->handled, 2));
    ac_loop_post(g->loop, waiter_cancel, &c);
    CHECK(g, event_wait(&c.over));
    CHECK(g, c.code == AC_ECANCELED);
    CHECK(g, rig_until(&g->cancelled, 2));

    /* 1 ms deadlines, many at once: each ends once, some with a reply */
    enum {
        N = 200
    };
    static struct waiter many[N];
    echo_request fast = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    for (int i = 0; i < N; i++) {
        many[i] = (struct waiter){.g = g,
                                  .over = EVENT_INIT,
                                  .method = ECHO "Unary",
                                  .q = &fast,
                                  .unary = true,
                                  .timeout_ns = AC_NS_PER_MS};
        ac_loop_post(g->loop, waiter_start, &many[i]);
    }
    for (int i = 0; i < N; i++) {
        CHECK(g, event_wait(&many[i].over));
        CHECK(g, many[i].code == AC_OK || many[i].code == AC_ETIMEOUT);
    }
}

static void test_deadline_and_cancel(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), deadline_body);
}

/* ---- metadata and interceptors ---- */

static int read_metadata(struct ac_rpc_call *c, void *arg, struct ac_err *err)
{
    struct rig *g = arg;
    if (strcmp(ac_rpc_method_path(c), ECHO "Unary") != 0)
        return AC_OK;
    CHECK(g, ac_str_starts(ac_rpc_peer(c), "ipv4:127.0.0.1:"));
    CHECK(g, ac_rpc_metadata(c, "x-absent") == NULL);
    CHECK(g, ac_streq(ac_rpc_metadata(c, "x-request-id"), "r-1"));
    const char *color = ac_rpc_metadata(c, "x-color");
    CHECK(g, color != NULL);
    if (ac_streq(color, "red"))
        return ac_err_set(err, AC_EPERM, "not in red");
    return AC_OK;
}

static void metadata_body(struct rig *g)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    const char *const blue[] = {"x-request-id", "r-1", "x-color", "blue", NULL};
    const char *const red[] = {"x-request-id", "r-1", "x-color", "red", NULL};
    struct waiter w = {.g = g,
                       .over = EVENT_INIT,
                       .method = ECHO "Unary",
                       .q = &q,
                       .unary = true,
                       .metadata = blue};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
    w = (struct waiter){.g = g,
                        .over = EVENT_INIT,
                        .method = ECHO "Unary",
                        .q = &q,
                        .unary = true,
                        .metadata = red};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_EPERM && strcmp(w.message, "not in red") == 0);
    CHECK(g, atomic_load(&g->handled) == 1);
    /* values that HTTP/2 forbids are left out, not fatal */
    const char *const bad[] = {"X-Upper", "a", "x-color", "blue\n", "x-request-id", "r-1", NULL};
    w = (struct waiter){.g = g,
                        .over = EVENT_INIT,
                        .method = ECHO "UnaryInline",
                        .q = &q,
                        .unary = true,
                        .metadata = bad};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
}

static struct rig *rig_with(void (*prepare)(struct rig *g), const struct ac_rpc_server_opts *o)
{
    struct rig *g = rig_create_unstarted(o);
    prepare(g);
    rig_start(g, o, NULL);
    return g;
}

static void add_interceptor(struct rig *g)
{
    ac_rpc_server_intercept(g->server, read_metadata, g);
}

static void test_metadata_and_interceptors(void **state)
{
    (void)state;
    rig_run(rig_with(add_interceptor, NULL), metadata_body);
}

/* ---- tokens ---- */

static int call_with_token(struct rig *g, const char *token, struct ac_err *err)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    int code = ac_rpc_call_sync(g->target, NULL, token, ECHO "Unary", &q, REPLY, RIG_WAIT, &m, err);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return code;
}

static void tokens_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    CHECK(g, call_with_token(g, NULL, &err) == AC_EUNAUTH);
    CHECK(g, strstr(err.msg, "Bearer") != NULL);
    CHECK(g, call_with_token(g, "", &err) == AC_EUNAUTH);
    CHECK(g, call_with_token(g, "first", &err) == AC_EUNAUTH);
    CHECK(g, call_with_token(g, "first-tokenx", &err) == AC_EUNAUTH);
    CHECK(g, call_with_token(g, "First-token", &err) == AC_EUNAUTH);
    CHECK(g, call_with_token(g, "first-token", &err) == AC_OK);
    CHECK(g, call_with_token(g, "second", &err) == AC_OK);
    CHECK(g, atomic_load(&g->handled) == 2);
    ac_rpc_channel_set_token(g->ch, "second");
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    struct waiter w = {.g = g, .over = EVENT_INIT, .method = ECHO "Unary", .q = &q, .unary = true};
    CHECK(g, waiter_run(&w));
    CHECK(g, w.code == AC_OK);
}

static void test_tokens(void **state)
{
    (void)state;
    const char *const tokens[] = {"first-token", "second", NULL};
    struct ac_rpc_server_opts o = {.listen = "127.0.0.1:0", .tokens = tokens};
    rig_run(rig_create(&o, NULL), tokens_body);
}

/* ---- limits ---- */

static int call_with_payload(struct rig *g, const char *method, size_t bytes, struct ac_err *err)
{
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    q.payload = (ProtobufCBinaryData){bytes, ac_xcalloc(1, bytes)};
    int code = rig_call(g, method, &q, NULL, err);
    free(q.payload.data);
    return code;
}

static void limits_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    const size_t head = 5; /* tag and length of a payload of about 4 MiB */
    CHECK(g, call_with_payload(g, "Unary", (4u << 20) - head, &err) == AC_OK);
    CHECK(g, call_with_payload(g, "Unary", (4u << 20) - head + 1, &err) == AC_EAGAIN);
    CHECK(g, call_with_payload(g, "UnaryInline", 99000, &err) == AC_OK);
    CHECK(g, call_with_payload(g, "UnaryInline", 100000, &err) == AC_EAGAIN);
    CHECK(g, strstr(err.msg, "takes 100000") != NULL);
    CHECK(g, atomic_load(&g->handled) == 2);
    CHECK(g, call_with_payload(g, "Unary", 10, &err) == AC_OK); /* and the server lives on */
}

static void test_limits(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), limits_body);
}

/* ---- bytes that are no message, and services without descriptors ---- */

struct raw_wait {
    struct rig *g;
    struct event over;
    const char *method;
    const void *data;
    size_t len;
    int code;
    char text[256];
    size_t text_len;
};

static void raw_done(const struct ac_rpc_result *res, void *arg)
{
    struct raw_wait *w = arg;
    w->code = res->code;
    w->text_len = AC_MIN(res->raw_len, sizeof(w->text) - 1);
    memcpy(w->text, res->raw ? res->raw : "", w->text_len);
    event_set(&w->over);
}

static void raw_start(void *arg)
{
    struct raw_wait *w = arg;
    struct ac_rpc_call_opts o = {.timeout_ns = RIG_WAIT};
    (void)ac_rpc_unary_raw(w->g->ch, w->method, w->data, w->len, &o, raw_done, w);
}

static int raw_call(struct raw_wait *w, struct rig *g, const char *method, const void *data,
                    size_t len)
{
    *w = (struct raw_wait){.g = g, .over = EVENT_INIT, .method = method, .data = data, .len = len};
    ac_loop_post(g->loop, raw_start, w);
    CHECK(g, event_wait(&w->over));
    return w->code;
}

static void raw_handler(struct ac_rpc_call *c, const void *req, void *self)
{
    struct rig *g = self;
    size_t n;
    const char *p = ac_rpc_raw_request(c, &n);
    CHECK(g, req == NULL);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    (void)ac_buf_printf(&b, "%s:%.*s", ac_rpc_method_path(c), (int)n, p);
    ac_rpc_reply_raw(c, b.data, b.len);
    ac_buf_fini(&b);
}

static void add_raw(struct rig *g)
{
    ac_rpc_server_add_raw(g->server, "hotel.Geo", raw_handler, g);
}

static void raw_body(struct rig *g)
{
    struct raw_wait w;
    CHECK(g, raw_call(&w, g, ECHO "Unary", "\xff\xff\xff", 3) == AC_EINVAL);
    CHECK(g, raw_call(&w, g, ECHO "Unary", "", 0) == AC_OK);
    CHECK(g, raw_call(&w, g, "/hotel.Geo/Nearby", "lat,lon", 7) == AC_OK);
    CHECK(g, strcmp(w.text, "/hotel.Geo/Nearby:lat,lon") == 0);
    CHECK(g, raw_call(&w, g, "/hotel.Geo/Other", "", 0) == AC_OK);
    CHECK(g, raw_call(&w, g, "/hotel.Geo/", "", 0) == AC_ENOTSUP);
    CHECK(g, raw_call(&w, g, "/hotel.Geography/Nearby", "", 0) == AC_ENOTSUP);
    CHECK(g, raw_call(&w, g, ECHO "Missing", "", 0) == AC_ENOTSUP);
    /* a request that grows on unpacking is stopped by the arena's cap: 2 bytes make an unknown
     * field of a dozen times their size */
    size_t n = 4u << 20;
    uint8_t *bomb = ac_xmalloc(n);
    for (size_t i = 0; i < n; i += 2) {
        bomb[i] = 15 << 3; /* field 15, varint */
        bomb[i + 1] = 0;
    }
    CHECK(g, raw_call(&w, g, ECHO "Unary", bomb, n) == AC_EAGAIN);
    free(bomb);
}

static void test_raw(void **state)
{
    (void)state;
    rig_run(rig_with(add_raw, NULL), raw_body);
}

/* ---- metrics, peers ---- */

static double handled_value(struct rig *g, const char *method, const char *code)
{
    const char *labels[] = {"method", method, "code", code, NULL};
    return ac_metric_value(ac_metrics_get(g->metrics, AC_METRIC_COUNTER,
                                          "aceso_rpc_server_handled_total", "", labels, NULL));
}

static void metrics_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    for (int i = 0; i < 3; i++)
        CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
    q.fail_code = AC_ORD_ENOTFOUND;
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_ENOTFOUND);
    CHECK(g, rig_call(g, "Nonsense", &q, NULL, &err) == AC_ENOTSUP);
    int64_t end = ac_now_ns() + RIG_WAIT; /* counted when the call's last batch is back */
    while (handled_value(g, "unknown", "UNIMPLEMENTED") < 1 && ac_now_ns() < end)
        sched_yield();
    CHECK(g, handled_value(g, "unknown", "UNIMPLEMENTED") == 1);
    while (handled_value(g, ECHO "Unary", "NOT_FOUND") < 1 && ac_now_ns() < end)
        sched_yield();
    CHECK(g, handled_value(g, ECHO "Unary", "OK") == 3);
    CHECK(g, handled_value(g, ECHO "Unary", "NOT_FOUND") == 1);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_metrics_render(g->metrics, &b);
    CHECK(g, strstr(ac_buf_str(&b), "aceso_rpc_server_seconds_count{method=\"" ECHO "Unary\"} 4"));
    ac_buf_fini(&b);
}

static void test_metrics(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), metrics_body);
}

static void no_server_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    char target[64];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", ac_kit_free_port());
    CHECK(g, ac_rpc_call_sync(target, NULL, NULL, ECHO "Unary", &q, REPLY, RIG_WAIT, &m, &err) ==
                 AC_ENET);
    CHECK(g, strstr(err.msg, target) != NULL); /* the text names the place */
}

static void test_no_server(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), no_server_body);
}

static void unix_body(struct rig *g)
{
    struct ac_err err = AC_ERR_INIT;
    echo_request q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    CHECK(g, rig_call(g, "Unary", &q, NULL, &err) == AC_OK);
}

static void test_unix_socket(void **state)
{
    (void)state;
    char listen[200];
    (void)snprintf(listen, sizeof(listen), "unix:%s/echo.sock", ac_kit_dir());
    struct ac_rpc_server_opts o = {.listen = listen};
    rig_run(rig_create(&o, NULL), unix_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_deadline_and_cancel),
        cmocka_unit_test(test_metadata_and_interceptors),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_no_server),
        cmocka_unit_test(test_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
