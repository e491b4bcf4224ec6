/* The frame as a real process: this program starts itself as a service and is its peer. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <grpc/health/v1/health.pb-c.h>
#include <poll.h>
#include <spawn.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/svc.h>
#include <aceso/test/v1/echo.pb-c.h>
#include <aceso/testkit.h>

extern char **environ;

/* ---- the service ---- */

struct conf {
    char *mode;
};
static struct conf conf;

struct later {
    struct ac_rpc_call *c;
    struct ac_timer *t;
};

static void answer(void *arg)
{
    struct later *l = arg;
    Aceso__Test__V1__EchoResponse r = ACESO__TEST__V1__ECHO_RESPONSE__INIT;
    ac_timer_destroy(l->t);
    ac_rpc_reply(l->c, &r);
    free(l);
}

static void echo(struct ac_rpc_call *c, const void *req, void *self)
{
    struct ac_svc *s = self;
    const Aceso__Test__V1__EchoRequest *q = req;
    struct later *l = ac_xcalloc(1, sizeof(*l));
    l->c = c;
    l->t = ac_timer_create(s->loop, answer, l);
    ac_timer_start(l->t, q->delay_ns, 0);
}

static const struct ac_rpc_method methods[] = {
    {.name = "Unary", .kind = AC_RPC_UNARY, .handler = echo},
};

static int start(struct ac_svc *s, struct ac_err *err)
{
    if (ac_streq(conf.mode, "broken"))
        return ac_err_set(err, AC_EIO, "the widget is broken: mend it");
    if (s->server)
        ac_rpc_server_add(s->server, &aceso__test__v1__echo__descriptor, methods, 1, s);
    return AC_OK;
}

static void ready(struct ac_svc *s)
{
    if (ac_streq(conf.mode, "quits"))
        ac_svc_quit(s, 3);
}

static void page(struct ac_http_req *r, struct ac_svc *s)
{
    ac_http_reply_text(r, 200, s->spec->name);
}

static void stop(struct ac_svc *s)
{
    (void)fprintf(stderr, "stop called\n");
    if (!ac_streq(conf.mode, "never-stops"))
        ac_svc_stopped(s);
}

static void fini(struct ac_svc *s)
{
    (void)s;
    (void)fprintf(stderr, "fini called\n");
}

static int service_main(int argc, char **argv)
{
    static const struct ac_conf_opt opts[] = {
        {.key = "mode", .type = AC_CONF_STR, .offset = offsetof(struct conf, mode), .help = "how"},
    };
    const char *pg = getenv("TEST_SVC_PG");
    const struct ac_svc_spec spec = {.name = "frame-test",
                                     .summary = "tests the frame",
                                     .opts = opts,
                                     .n_opts = 1,
                                     .conf = &conf,
                                     .uses_pg = pg != NULL,
                                     .no_rpc = getenv("TEST_SVC_NO_RPC") != NULL,
                                     .start = start,
                                     .http = page,
                                     .ready = ready,
                                     .stop = stop,
                                     .fini = fini};
    return ac_svc_main(&spec, argc, argv);
}

/* ---- the peer ---- */

struct child {
    pid_t pid;
    int out, err;
    char *out_text, *err_text;
    json_t *ready;
    char grpc[128], http[128];
};

static char *read_all(int fd)
{
    struct ac_buf b;
    char part[4096];
    ssize_t n;
    ac_buf_init(&b, 1 << 20);
    while ((n = read(fd, part, sizeof(part))) > 0)
        (void)ac_buf_append(&b, part, (size_t)n);
    (void)close(fd);
    char *text = ac_buf_take(&b);
    return text;
}

/* Starts with NULL-ended arguments. */
static struct child spawn(const char *const *args)
{
    struct child c = {0};
    int out[2], err[2];
    char *argv[16] = {(char[]){"aceso-frame-test"}};
    for (int i = 0; args && args[i]; i++)
        argv[i + 1] = ac_xstrdup(args[i]);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, out[1], 1);
    posix_spawn_file_actions_adddup2(&fa, err[1], 2);
    (void)setenv("TEST_SVC", "1", 1);
    assert_int_equal(posix_spawn(&c.pid, "/proc/self/exe", &fa, NULL, argv, environ), 0);
    (void)unsetenv("TEST_SVC");
    posix_spawn_file_actions_destroy(&fa);
    (void)close(out[1]);
    (void)close(err[1]);
    c.out = out[0];
    c.err = err[0];
    for (int i = 1; argv[i]; i++)
        free(argv[i]);
    return c;
}

static void wait_ready(struct child *c)
{
    char line[2048];
    size_t n = 0;
    while (n + 1 < sizeof(line) && (n == 0 || line[n - 1] != '\n')) {
        struct pollfd p = {.fd = c->out, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        ssize_t k = read(c->out, line + n, 1);
        if (k <= 0) {
            (void)fprintf(stderr, "no ready line; stderr: %s\n", read_all(c->err));
            fail();
        }
        n++;
    }
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_json_parse("ready", line, n, &c->ready, &err), 0);
    assert_string_equal(ac_json_str(c->ready, "service", ""), "frame-test");
    assert_int_equal(ac_json_i64(c->ready, "pid", 0), c->pid);
    (void)ac_str_copy(c->grpc, sizeof(c->grpc), ac_json_str(c->ready, "grpc", "?"));
    (void)ac_str_copy(c->http, sizeof(c->http), ac_json_str(c->ready, "http", "?"));
}

/* Exit code; texts are kept in c until child_free. */
static int wait_exit(struct child *c)
{
    int status;
    c->out_text = read_all(c->out);
    c->err_text = read_all(c->err);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void child_free(struct child *c)
{
    free(c->out_text);
    free(c->err_text);
    json_decref(c->ready);
}

static int http_get(const struct child *c, const char *path, char *body, size_t size)
{
    char url[256];
    struct ac_err err = AC_ERR_INIT;
    struct ac_http_response r = {0};
    (void)snprintf(url, sizeof(url), "http://%s%s", c->http, path);
    struct ac_http_call call = {.method = "GET", .url = url};
    if (ac_http_fetch(&call, &r, &err) < 0)
        return err.code;
    int status = r.status;
    (void)ac_str_copy(body, size, r.body ? r.body : "");
    ac_http_response_fini(&r);
    return status;
}

static int call_echo(const char *target, const char *token, int64_t delay_ns, struct ac_err *err)
{
    Aceso__Test__V1__EchoRequest q = ACESO__TEST__V1__ECHO_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    q.delay_ns = delay_ns;
    int code =
        ac_rpc_call_sync(target, NULL, token, "/aceso.test.v1.Echo/Unary", &q,
                         &aceso__test__v1__echo_response__descriptor, 20 * AC_NS_PER_S, &m, err);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return code;
}

/* The status that a probe sees; -1 when there is no answer. */
static int health(const struct child *c)
{
    Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (ac_rpc_call_sync(c->grpc, NULL, NULL, "/grpc.health.v1.Health/Check", &q,
                         &grpc__health__v1__health_check_response__descriptor, 20 * AC_NS_PER_S, &m,
                         &err) < 0)
        return -1;
    int status = (int)((Grpc__Health__V1__HealthCheckResponse *)m)->status;
    protobuf_c_message_free_unpacked(m, NULL);
    return status;
}

static void test_whole_life(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    char *ready_file = ac_kit_file("ready", NULL);
    const char *args[] = {"--ready-file", ready_file, "--reflection", NULL};
    struct child c = spawn(args);
    static char body[1 << 20];
    wait_ready(&c);
    char *text = NULL;
    size_t len;
    assert_int_equal(ac_file_read(ready_file, 4096, &text, &len, &err), 0);
    assert_non_null(strstr(text, c.grpc));
    free(text);
    assert_int_equal(call_echo(c.grpc, NULL, 0, &err), 0);
    assert_int_equal(health(&c), 1);
    assert_int_equal(http_get(&c, "/healthz", body, sizeof(body)), 200);
    assert_int_equal(http_get(&c, "/metrics", body, sizeof(body)), 200);
    assert_non_null(
        strstr(body, "aceso_rpc_server_handled_total{method=\"/aceso.test.v1.Echo/Unary"));
    assert_non_null(strstr(body, "process_resident_memory_bytes"));
    assert_non_null(strstr(body, "aceso_loop_lag_seconds"));
    assert_int_equal(http_get(&c, "/own/page", body, sizeof(body)), 200);
    assert_string_equal(body, "frame-test");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(wait_exit(&c), 0);
    assert_string_equal(c.out_text, ""); /* nothing but the one line */
    assert_non_null(strstr(c.err_text, "stop called"));
    assert_non_null(strstr(c.err_text, "fini called"));
    assert_false(ac_path_exists(ready_file));
    free(ready_file);
    child_free(&c);
}

static void test_without_http(void **state)
{
    (void)state;
    const char *args[] = {"--http-listen", "", NULL};
    struct child c = spawn(args);
    wait_ready(&c);
    assert_string_equal(c.http, "");
    assert_int_equal(health(&c), 1);
    assert_int_equal(kill(c.pid, SIGINT), 0);
    assert_int_equal(wait_exit(&c), 0);
    child_free(&c);
}

static void test_without_rpc(void **state)
{
    (void)state;
    char body[64];
    (void)setenv("TEST_SVC_NO_RPC", "1", 1);
    struct child c = spawn(NULL);
    (void)unsetenv("TEST_SVC_NO_RPC");
    wait_ready(&c);
    assert_string_equal(c.grpc, "");
    assert_int_equal(http_get(&c, "/healthz", body, sizeof(body)), 200);
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(wait_exit(&c), 0);
    child_free(&c);
}

struct caller {
    const char *target;
    int code;
    struct ac_err err;
};

static void *call_slowly(void *arg)
{
    struct caller *k = arg;
    k->code = call_echo(k->target, NULL, 700 * AC_NS_PER_MS, &k->err);
    return NULL;
}

/* A running call ends in peace; probes see it coming; a second signal changes nothing. */
static void test_drain(void **state)
{
    (void)state;
    const char *args[] = {"--linger", "300ms", "--drain", "10s", NULL};
    struct child c = spawn(args);
    char body[64];
    wait_ready(&c);
    struct caller k = {.target = c.grpc};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, call_slowly, &k), 0);
    char metrics[1 << 16];
    do /* until the call has arrived: the health calls beside it are counted, it is not yet */
        assert_int_equal(http_get(&c, "/metrics", metrics, sizeof(metrics)), 200);
    while (!strstr(metrics, "aceso_rpc_server_calls 1"));
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    while (health(&c) == 1) /* the signal is on its way */
        ;
    assert_int_equal(http_get(&c, "/healthz", body, sizeof(body)), 503);
    assert_int_equal(kill(c.pid, SIGINT), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(k.code, 0);
    assert_int_equal(wait_exit(&c), 0);
    child_free(&c);
}

static void expect_failure(const char *const *args, int exit_code, const char *text)
{
    struct child c = spawn(args);
    int code = wait_exit(&c);
    if (code != exit_code || !strstr(c.err_text, text))
        (void)fprintf(stderr, "exit %d, stderr: %s\n", code, c.err_text);
    assert_int_equal(code, exit_code);
    assert_non_null(strstr(c.err_text, text));
    assert_string_equal(c.out_text, "");
    child_free(&c);
}

static void test_failures(void **state)
{
    (void)state;
    const char *unknown[] = {"--lisden", "x", NULL};
    expect_failure(unknown, 2, "--lisden");
    const char *broken[] = {"--mode", "broken", NULL};
    expect_failure(broken, 1, "aceso-frame-test: the widget is broken: mend it");
    const char *no_file[] = {"--token-file", "/nonexistent/tokens", NULL};
    expect_failure(no_file, 2, "/nonexistent/tokens");
    const char *half[] = {"--tls-cert", "/x", NULL};
    expect_failure(half, 2, "--tls-cert and --tls-key go together");
    const char *bad_log[] = {"--log", "loud", NULL};
    expect_failure(bad_log, 2, "loud");
    const char *no_port[] = {"--listen", "127.0.0.1", NULL};
    expect_failure(no_port, 2, "HOST:PORT");
    const char *bad_ready[] = {"--ready-file", "/nonexistent/dir/ready", NULL};
    expect_failure(bad_ready, 1, "--ready-file");
    char *empty = ac_kit_file("empty-tokens", "# none yet\n\n");
    const char *no_tokens[] = {"--token-file", empty, NULL};
    expect_failure(no_tokens, 2, "holds no token");
    free(empty);
    (void)setenv("TEST_SVC_PG", "1", 1);
    expect_failure(NULL, 2, "--pg-url or set ACESO_PG_URL");
    (void)unsetenv("TEST_SVC_PG");
}

static void test_taken_ports(void **state)
{
    (void)state;
    struct child c = spawn(NULL);
    wait_ready(&c);
    const char *grpc[] = {"--listen", c.grpc, NULL};
    expect_failure(grpc, 1, "is taken by another process");
    const char *http[] = {"--http-listen", c.http, NULL};
    expect_failure(http, 1, "--http-listen");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(wait_exit(&c), 0);
    child_free(&c);
}

static void test_quit(void **state)
{
    (void)state;
    const char *args[] = {"--mode", "quits", NULL};
    struct child c = spawn(args);
    wait_ready(&c);
    assert_int_equal(wait_exit(&c), 3);
    child_free(&c);
}

static void test_stop_that_never_ends(void **state)
{
    (void)state;
    const char *args[] = {"--mode", "never-stops", "--drain", "0s", NULL};
    struct child c = spawn(args);
    wait_ready(&c);
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(wait_exit(&c), 0);
    assert_non_null(strstr(c.err_text, "stop_takes_too_long"));
    child_free(&c);
}

static void test_tokens(void **state)
{
    (void)state;
    struct ac_err err = AC_ERR_INIT;
    char *file = ac_kit_file("tokens", "# for tests\n  sesame \nother\n");
    const char *args[] = {"--token-file", file, NULL};
    struct child c = spawn(args);
    wait_ready(&c);
    assert_int_equal(call_echo(c.grpc, NULL, 0, &err), AC_EUNAUTH);
    assert_int_equal(call_echo(c.grpc, "sesame", 0, &err), 0);
    assert_int_equal(health(&c), 1); /* probes have no token */
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(wait_exit(&c), 0);
    assert_null(strstr(c.err_text, "sesame"));
    free(file);
    child_free(&c);
}

int main(int argc, char **argv)
{
    if (getenv("TEST_SVC"))
        return service_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_life),  cmocka_unit_test(test_without_http),
        cmocka_unit_test(test_without_rpc), cmocka_unit_test(test_drain),
        cmocka_unit_test(test_failures),    cmocka_unit_test(test_taken_ports),
        cmocka_unit_test(test_quit),        cmocka_unit_test(test_stop_that_never_ends),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
