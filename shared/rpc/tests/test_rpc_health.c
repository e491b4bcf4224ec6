/* Health: Check, Watch, shutdown. Reflection: what a tool asks, both versions. */
#include "rpc_rig.h"

#include <grpc/health/v1/health.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#include <aceso/pbx.h>

#include "../protoset.h"

#define HEALTH "/grpc.health.v1.Health/"

typedef Grpc__Health__V1__HealthCheckResponse health_response;

static int check(struct rig *g, const char *service, int *ret_status)
{
    union {
        const char *in;
        char *out;
    } name = {.in = service};
    struct ac_err err = AC_ERR_INIT;
    Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    q.service = name.out;
    int code =
        ac_rpc_call_sync(g->target, NULL, NULL, HEALTH "Check", &q,
                         &grpc__health__v1__health_check_response__descriptor, RIG_WAIT, &m, &err);
    if (m) {
        *ret_status = (int)((health_response *)m)->status;
        protobuf_c_message_free_unpacked(m, NULL);
    }
    return code;
}

static void check_body(struct rig *g)
{
    int st = -1;
    CHECK(g, check(g, "", &st) == AC_OK && st == 1);
    CHECK(g, check(g, "aceso.test.v1.Echo", &st) == AC_OK && st == 1);
    CHECK(g, check(g, "grpc.health.v1.Health", &st) == AC_OK && st == 1);
    CHECK(g, check(g, "no.such.Service", &st) == AC_ENOTFOUND);
    ac_rpc_server_set_serving(g->server, "aceso.test.v1.Echo", false);
    CHECK(g, check(g, "aceso.test.v1.Echo", &st) == AC_OK && st == 2);
    CHECK(g, check(g, "", &st) == AC_OK && st == 1);
    ac_rpc_server_set_serving(g->server, "aceso.test.v1.Echo", true);
    ac_rpc_server_set_serving(g->server, "", false); /* the whole server: all its services */
    CHECK(g, check(g, "aceso.test.v1.Echo", &st) == AC_OK && st == 2);
    CHECK(g, check(g, "", &st) == AC_OK && st == 2);
}

static void test_check(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), check_body);
}

/* ---- Watch ---- */

struct watch {
    struct rig *g;
    struct event over;
    char *service;
    atomic_int n;
    _Atomic int seen[8];
    int code;
    struct ac_rpc_stream *st;
};

static void watch_message(struct ac_rpc_stream *st, const void *msg, void *arg)
{
    struct watch *w = arg;
    (void)st;
    int i = atomic_load(&w->n);
    if (i < 8)
        atomic_store(&w->seen[i], (int)((const health_response *)msg)->status);
    atomic_fetch_add(&w->n, 1);
}

static void watch_done(const struct ac_rpc_result *res, void *arg)
{
    struct watch *w = arg;
    w->code = res->code;
    event_set(&w->over);
}

static void watch_start(void *arg)
{
    struct watch *w = arg;
    struct ac_rpc_call_opts o = {.timeout_ns = INT64_MAX};
    Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    q.service = w->service;
    w->st =
        ac_rpc_open(w->g->ch, HEALTH "Watch", &grpc__health__v1__health_check_response__descriptor,
                    &o, watch_message, watch_done, w);
    CHECK(w->g, ac_rpc_stream_send(w->st, &q) == AC_OK);
    ac_rpc_stream_close_send(w->st);
}

static void watch_stop(void *arg)
{
    ac_rpc_stream_cancel(((struct watch *)arg)->st);
}

static struct watch whole = {.over = EVENT_INIT}, unknown = {.over = EVENT_INIT},
                    cut = {.over = EVENT_INIT};

static void watch_body(struct rig *g)
{
    whole.g = unknown.g = cut.g = g;
    whole.service = cut.service = (char[]){""};
    unknown.service = (char[]){"later.Service"};
    ac_loop_post(g->loop, watch_start, &whole);
    ac_loop_post(g->loop, watch_start, &unknown);
    ac_loop_post(g->loop, watch_start, &cut);
    CHECK(g, rig_until(&whole.n, 1)); /* the status at once */
    CHECK(g, atomic_load(&whole.seen[0]) == 1);
    CHECK(g, rig_until(&unknown.n, 1)); /* unknown, and it stays open */
    CHECK(g, atomic_load(&unknown.seen[0]) == 3);
    CHECK(g, rig_until(&cut.n, 1));
    ac_loop_post(g->loop, watch_stop, &cut);
    CHECK(g, event_wait(&cut.over));
    CHECK(g, cut.code == AC_ECANCELED);

    ac_rpc_server_set_serving(g->server, "later.Service", true);
    CHECK(g, rig_until(&unknown.n, 2));
    CHECK(g, atomic_load(&unknown.seen[1]) == 1);
    ac_rpc_server_set_serving(g->server, "", false);
    CHECK(g, rig_until(&whole.n, 2));
    CHECK(g, atomic_load(&whole.seen[1]) == 2);
    ac_rpc_server_set_serving(g->server, "", true);
    CHECK(g, rig_until(&whole.n, 3));
    CHECK(g, rig_until(&unknown.n, 4));
}

/* The watchers are open when the server goes: they are told and ended, and hold nothing up. */
static void stop_server_only(void *arg)
{
    struct rig *g = arg;
    ac_rpc_server_shutdown(g->server, 10 * SECONDS, rig_stopped, g);
}

static void *watch_thread(void *arg)
{
    watch_body(arg);
    ac_loop_post(((struct rig *)arg)->loop, stop_server_only, arg);
    return NULL;
}

static void drain_loop(void *arg)
{
    ac_loop_stop(arg);
}

static void test_watch(void **state)
{
    (void)state;
    struct rig *g = rig_create(NULL, NULL);
    pthread_t t;
    int64_t begin = ac_now_ns();
    assert_int_equal(pthread_create(&t, NULL, watch_thread, g), 0);
    ac_loop_run(g->loop);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_true(ac_now_ns() - begin < 8 * SECONDS); /* not the grace time */
    while (!whole.over.set || !unknown.over.set) {
        ac_loop_post(g->loop, drain_loop, g->loop);
        ac_loop_run(g->loop);
    }
    assert_int_equal(whole.code, AC_ENET);
    assert_int_equal(atomic_load(&whole.seen[3]), 2); /* NOT_SERVING came first */
    ac_rpc_channel_destroy(g->ch);
    ac_rpc_destroy(g->rpc);
    ac_loop_destroy(g->loop);
    ac_metrics_destroy(g->metrics);
    assert_int_equal(atomic_load(&g->failures), 0);
    free(g);
}

/* ---- reflection ---- */

typedef Grpc__Reflection__V1__ServerReflectionRequest refl_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse refl_response;

struct refl {
    struct rig *g;
    struct event over;
    const char *method;
    int n, code;
    bool has_echo, has_health;
    bool refused; /* no answer is expected */
    size_t files;
    int errors;
};

static void refl_message(struct ac_rpc_stream *st, const void *msg, void *arg)
{
    struct refl *w = arg;
    const refl_response *r = msg;
    (void)st;
    w->n++;
    if (r->list_services_response &&
        r->message_response_case ==
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE) {
        for (size_t i = 0; i < r->list_services_response->n_service; i++) {
            const char *name = r->list_services_response->service[i]->name;
            w->has_echo |= strcmp(name, "aceso.test.v1.Echo") == 0;
            w->has_health |= strcmp(name, "grpc.health.v1.Health") == 0;
        }
    } else if (
        r->message_response_case ==
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE) {
        w->files += r->file_descriptor_response->n_file_descriptor_proto;
    } else {
        w->errors++;
        CHECK(w->g, r->error_response->error_code == 5);
    }
}

static void refl_done(const struct ac_rpc_result *res, void *arg)
{
    struct refl *w = arg;
    w->code = res->code;
    event_set(&w->over);
}

static void refl_start(void *arg)
{
    struct refl *w = arg;
    struct ac_rpc_call_opts o = {.timeout_ns = RIG_WAIT};
    struct ac_rpc_stream *st = ac_rpc_open(
        w->g->ch, w->method, &grpc__reflection__v1__server_reflection_response__descriptor, &o,
        refl_message, refl_done, w);
#define ASK(kind, field, value)                                                                    \
    do {                                                                                           \
        refl_request q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;                    \
        q.message_request_case =                                                                   \
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind;               \
        q.field = (char[]){value};                                                                 \
        int rc = ac_rpc_stream_send(st, &q);                                                       \
        CHECK(w->g, rc == AC_OK || w->refused); /* the server may have said no already */          \
    } while (0)
    ASK(LIST_SERVICES, list_services, "*");
    ASK(FILE_CONTAINING_SYMBOL, file_containing_symbol, "aceso.test.v1.Echo");
    ASK(FILE_CONTAINING_SYMBOL, file_containing_symbol, "aceso.test.v1.Echo.Unary");
    ASK(FILE_BY_FILENAME, file_by_filename, "grpc/health/v1/health.proto");
    ASK(FILE_CONTAINING_SYMBOL, file_containing_symbol,
        "grpc.health.v1.HealthCheckResponse.ServingStatus");
    ASK(FILE_CONTAINING_SYMBOL, file_containing_symbol, "no.Such");
    ASK(FILE_BY_FILENAME, file_by_filename, "no/such.proto");
    ASK(ALL_EXTENSION_NUMBERS_OF_TYPE, all_extension_numbers_of_type, "no.Such");
    ac_rpc_stream_close_send(st);
}

static void reflection_body(struct rig *g)
{
    static const char *const methods[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    for (size_t i = 0; i < AC_ARRAY_LEN(methods); i++) {
        struct refl w = {.g = g, .over = EVENT_INIT, .method = methods[i]};
        ac_loop_post(g->loop, refl_start, &w);
        CHECK(g, event_wait(&w.over));
        CHECK(g, w.code == AC_OK && w.n == 8);
        CHECK(g, w.has_echo && w.has_health);
        CHECK(g, w.files == 4 && w.errors == 3);
    }
}

static void test_reflection(void **state)
{
    (void)state;
    struct ac_rpc_server_opts o = {.listen = "127.0.0.1:0", .reflection = true};
    rig_run(rig_create(&o, NULL), reflection_body);
}

static void no_reflection_body(struct rig *g)
{
    struct refl w = {.g = g,
                     .over = EVENT_INIT,
                     .refused = true,
                     .method = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"};
    ac_loop_post(g->loop, refl_start, &w);
    CHECK(g, event_wait(&w.over));
    CHECK(g, w.code == AC_ENOTSUP && w.n == 0);
}

static void test_reflection_is_off_by_default(void **state)
{
    (void)state;
    rig_run(rig_create(NULL, NULL), no_reflection_body);
}

/* Cut and flipped descriptor sets give an index with less in it, never a fault. */
extern const uint8_t ac_protoset_start[], ac_protoset_end[];

static void test_malformed_protoset(void **state)
{
    (void)state;
    size_t len = (size_t)(ac_protoset_end - ac_protoset_start);
    uint8_t *copy = ac_xmalloc(len);
    struct ac_rng rng = ac_kit_rng(1);
    for (int i = 0; i < 300; i++) {
        memcpy(copy, ac_protoset_start, len);
        size_t n = ac_rng_below(&rng, len);
        for (int k = 0; k < 4 && n; k++)
            copy[ac_rng_below(&rng, n)] = (uint8_t)ac_rng_u64(&rng);
        struct ac_rpc_protoset *p = ac_rpc_protoset_parse(copy, n);
        (void)ac_rpc_protoset_symbol(p, "aceso.test.v1.Echo");
        ac_rpc_protoset_destroy(p);
    }
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_reflection),
        cmocka_unit_test(test_reflection_is_off_by_default),
        cmocka_unit_test(test_malformed_protoset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
