/* Server and client against each other, with raw sockets where a well-behaved client would hide
 * the fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/http.h>
#include <aceso/kit_servers.h>
#include <aceso/loop.h>
#include <aceso/str.h>

struct fixture {
    struct ac_loop *loop;
    struct ac_metrics *metrics;
    struct ac_http_server *server;
    struct ac_http_client *client;
    struct ac_timer *guard;
    char url[64];
    struct ac_http_req *held;
    struct ac_http_stream *stream;
    int stream_closed, requests;
};

static void echo(struct ac_http_req *r)
{
    size_t len;
    const char *body = ac_http_body(r, &len);
    const char *q0 = ac_http_query_n(r, "q", 0), *q1 = ac_http_query_n(r, "q", 1);
    const char *h = ac_http_header(r, "x-TEST");
    char *text = ac_xasprintf("%s %s q0=%s q1=%s q2=%d h=%s len=%zu %s", ac_http_method(r),
                              ac_http_path(r), q0 ? q0 : "-", q1 ? q1 : "-",
                              ac_http_query_n(r, "q", 2) != NULL, h ? h : "-", len, body);

    ac_http_set_header(r, "X-Answer", "42");
    ac_http_reply_text(r, 200, text);
    free(text);
}

static void on_stream_close(void *arg)
{
    struct fixture *f = arg;

    assert_true(ac_loop_on(f->loop));
    f->stream_closed++;
    f->stream = NULL;
}

static void handler(struct ac_http_req *r, void *arg)
{
    struct fixture *f = arg;
    const struct ac_err missing = {AC_ENOTFOUND, "no such \"thing\""};
    const struct ac_err inner = {AC_EINTERNAL, "secret detail"};

    f->requests++;
    if (ac_streq(ac_http_path(r), "/missing"))
        ac_http_reply_err(r, &missing);
    else if (ac_streq(ac_http_path(r), "/inner"))
        ac_http_reply_err(r, &inner);
    else if (ac_streq(ac_http_path(r), "/hold"))
        f->held = r;
    else if (ac_streq(ac_http_path(r), "/who"))
        ac_http_reply_text(r, 200, ac_http_client_name(r) ? ac_http_client_name(r) : "nobody");
    else if (ac_streq(ac_http_path(r), "/stream"))
        f->stream = ac_http_stream_begin(r, 200, "text/event-stream", on_stream_close, f);
    else
        echo(r);
}

static void too_long(void *arg)
{
    (void)arg;
    (void)fprintf(stderr, "test hangs\n");
    abort();
}

static void start(struct fixture *f, struct ac_http_server_opts o)
{
    struct ac_err err = AC_ERR_INIT;

    memset(f, 0, sizeof *f);
    f->loop = ac_loop_create();
    f->metrics = ac_metrics_create();
    o.listen = "127.0.0.1:0";
    if (ac_http_server_start(f->loop, f->metrics, &o, handler, f, &f->server, &err))
        fail_msg("%s", err.msg);
    (void)snprintf(f->url, sizeof f->url, "http%s://127.0.0.1:%d", o.tls_cert ? "s" : "",
                   ac_http_server_port(f->server));
    f->client = ac_http_client_create(f->loop, 1);
    f->guard = ac_timer_create(f->loop, too_long, NULL);
    ac_timer_start(f->guard, 20 * AC_NS_PER_S, 0);
}

static void stop(struct fixture *f)
{
    ac_http_client_destroy(f->client);
    ac_http_server_stop(f->server);
    ac_timer_destroy(f->guard);
    ac_loop_destroy(f->loop);
    ac_metrics_destroy(f->metrics);
}

/* ---- by the asynchronous client ---- */

struct answer {
    struct fixture *f;
    int *left;
    int code, status;
    char *body;
    char msg[256];
};

static void on_answer(int code, const struct ac_err *err, const struct ac_http_response *res,
                      void *arg)
{
    struct answer *a = arg;

    a->code = code;
    (void)ac_str_copy(a->msg, sizeof a->msg, err->msg);
    if (res) {
        a->status = res->status;
        a->body = ac_xstrdup(res->body);
    }
    if (--*a->left == 0)
        ac_loop_stop(a->f->loop);
}

static struct answer get(struct fixture *f, struct ac_http_call c, const char *path)
{
    int left = 1;
    struct answer a = {.f = f, .left = &left};
    char *url = ac_xasprintf("%s%s", f->url, path);

    c.url = url;
    assert_int_equal(ac_http_client_call(f->client, &c, on_answer, &a), AC_OK);
    free(url);
    ac_loop_run(f->loop);
    return a;
}

static void check_get(struct fixture *f, struct ac_http_call c, const char *path, int status,
                      const char *body)
{
    struct answer a = get(f, c, path);

    if (a.code)
        fail_msg("%s: %s", path, a.msg);
    assert_int_equal(a.status, status);
    if (body)
        assert_string_equal(a.body, body);
    free(a.body);
}

static void requests_and_answers(void **state)
{
    static const char *const headers[] = {"X-Test: yes", NULL};
    struct fixture f;

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    check_get(&f, (struct ac_http_call){.headers = headers}, "/a%20b/c?q=1%262&q=x+y&z", 200,
              "GET /a b/c q0=1&2 q1=x y q2=0 h=yes len=0 ");
    check_get(&f, (struct ac_http_call){.body = "hello", .body_len = 5}, "/p", 200,
              "POST /p q0=- q1=- q2=0 h=- len=5 hello");
    check_get(&f, (struct ac_http_call){.method = "PATCH", .body = "{}", .body_len = 2}, "/p", 200,
              "PATCH /p q0=- q1=- q2=0 h=- len=2 {}");
    check_get(&f, (struct ac_http_call){.method = "DELETE"}, "/p", 200,
              "DELETE /p q0=- q1=- q2=0 h=- len=0 ");
    check_get(&f, (struct ac_http_call){0}, "/missing", 404,
              "{\"error\":\"no such \\\"thing\\\"\"}\n");
    check_get(&f, (struct ac_http_call){0}, "/inner", 500, "{\"error\":\"internal error\"}\n");
    check_get(&f, (struct ac_http_call){0}, "/nul%00byte", 400, NULL);
    stop(&f);
}

static void limits(void **state)
{
    struct fixture f;
    char *big = ac_xcalloc(1, 300000), *path;
    struct answer a;

    (void)state;
    start(&f, (struct ac_http_server_opts){.max_body_bytes = 100000});
    memset(big, 'x', 299999);
    check_get(&f, (struct ac_http_call){.body = big, .body_len = 100000}, "/p", 200, NULL);
    check_get(&f, (struct ac_http_call){.body = big, .body_len = 100001}, "/p", 413, NULL);
    a = get(&f, (struct ac_http_call){.body = big, .body_len = 50000, .max_response_bytes = 1000},
            "/p");
    assert_int_equal(a.code, AC_ERANGE);
    path = ac_xasprintf("/%.*s", 120000, big);
    a = get(&f, (struct ac_http_call){0}, path);
    assert_true(a.code == AC_ENET || a.status >= 400);
    free(a.body);
    free(path);
    stop(&f);
    free(big);
}

static void many_at_once(void **state)
{
    enum {
        N = 500
    };
    struct fixture f;
    struct answer *a = ac_xcalloc(N, sizeof *a);
    int left = N;
    char *url;

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    url = ac_xasprintf("%s/many", f.url);
    for (int i = 0; i < N; i++) {
        a[i] = (struct answer){.f = &f, .left = &left};
        assert_int_equal(
            ac_http_client_call(f.client, &(struct ac_http_call){.url = url}, on_answer, &a[i]),
            AC_OK);
    }
    ac_loop_run(f.loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].status, 200);
        free(a[i].body);
    }
    assert_int_equal(f.requests, N);
    free(url);
    free(a);
    stop(&f);
}

static void client_errors(void **state)
{
    struct fixture f;
    struct answer a;
    char url[64];

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    (void)ac_str_copy(url, sizeof url, f.url);
    (void)snprintf(f.url, sizeof f.url, "http://user:secret@127.0.0.1:%d", ac_kit_free_port());
    a = get(&f, (struct ac_http_call){0}, "/x?token=hidden");
    assert_int_equal(a.code, AC_ENET);
    assert_non_null(strstr(a.msg, "GET http://127.0.0.1:"));
    assert_null(strstr(a.msg, "secret"));
    assert_null(strstr(a.msg, "hidden"));
    (void)ac_str_copy(f.url, sizeof f.url, "ftp://127.0.0.1");
    assert_int_equal(get(&f, (struct ac_http_call){0}, "/x").code, AC_EINVAL);
    (void)ac_str_copy(f.url, sizeof f.url, url);
    a = get(&f, (struct ac_http_call){.timeout_ns = 200 * AC_NS_PER_MS}, "/hold");
    assert_int_equal(a.code, AC_ETIMEOUT);
    ac_http_reply_text(f.held, 200, "too late");
    stop(&f);
}

static void stop_loop(void *arg)
{
    ac_loop_stop(arg);
}

/* Runs the loop until the flag is set by one of its callbacks. */
static void spin_until(struct fixture *f, const int *flag)
{
    struct ac_timer *t = ac_timer_create(f->loop, stop_loop, f->loop);
    int64_t end = ac_now_ns() + 5 * AC_NS_PER_S;

    while (!*flag && ac_now_ns() < end) {
        ac_timer_start(t, AC_NS_PER_MS, 0);
        ac_loop_run(f->loop);
    }
    ac_timer_destroy(t);
    assert_true(*flag);
}

/* A call that waits in the server, and a server that stops under it. */
static void stop_answers_what_waits(void **state)
{
    struct fixture f;
    int left = 1;
    struct answer a = {.left = &left};
    char *url;

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    a.f = &f;
    url = ac_xasprintf("%s/hold", f.url);
    assert_int_equal(
        ac_http_client_call(f.client, &(struct ac_http_call){.url = url}, on_answer, &a), AC_OK);
    spin_until(&f, &f.requests);
    ac_http_server_stop(f.server);
    f.server = NULL;
    ac_http_reply_text(f.held, 200, "after the stop");
    ac_loop_run(f.loop);
    assert_int_equal(a.status, 503);
    free(a.body);
    free(url);
    stop(&f);
}

/* ---- streams ---- */

struct reading {
    struct fixture *f;
    char *url, text[4096];
    size_t len;
    int code, status, pieces, stop_after;
    struct ac_err err;
    int64_t silence_ns;
};

static bool on_data(const void *data, size_t len, void *arg)
{
    struct reading *r = arg;

    if (r->len + len < sizeof r->text) {
        memcpy(r->text + r->len, data, len);
        r->len += len;
    }
    return ++r->pieces != r->stop_after;
}

static void read_stream(void *arg)
{
    struct reading *r = arg;
    const struct ac_http_call c = {.url = r->url, .timeout_ns = r->silence_ns};

    r->code = ac_http_fetch_stream(&c, &r->status, on_data, r, &r->err);
}

static void read_done(void *arg)
{
    struct reading *r = arg;

    ac_loop_stop(r->f->loop);
}

struct ticker {
    struct fixture *f;
    int n;
};

static void tick(void *arg)
{
    struct ticker *k = arg;
    char text[32];

    if (!k->f->stream)
        return;
    (void)snprintf(text, sizeof text, "data: %d\n", k->n++);
    (void)!ac_http_stream_write(k->f->stream, text, strlen(text));
    if (k->n == 5)
        ac_http_stream_end(k->f->stream);
}

static void run_stream(struct fixture *f, struct reading *r, bool write)
{
    struct ac_worker *w = ac_worker_create(f->loop, "reader", 1, 8);
    struct ticker k = {.f = f};
    struct ac_timer *t = ac_timer_create(f->loop, tick, &k);

    r->f = f;
    r->url = ac_xasprintf("%s/stream", f->url);
    assert_int_equal(ac_worker_submit(w, read_stream, read_done, r), AC_OK);
    if (write)
        ac_timer_start(t, 10 * AC_NS_PER_MS, 10 * AC_NS_PER_MS);
    ac_loop_run(f->loop);
    ac_timer_destroy(t);
    ac_worker_destroy(w);
    free(r->url);
}

static void stream_to_its_end(void **state)
{
    struct fixture f;
    struct reading r = {0};

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    run_stream(&f, &r, true);
    assert_int_equal(r.code, AC_OK);
    assert_int_equal(r.status, 200);
    r.text[r.len] = 0;
    assert_string_equal(r.text, "data: 0\ndata: 1\ndata: 2\ndata: 3\ndata: 4\n");
    assert_true(r.pieces >= 4); /* each went out when it was written */
    spin_until(&f, &f.stream_closed);
    stop(&f);
    assert_int_equal(f.stream_closed, 1);
}

/* The peer goes while nothing is written: only the hang-up tells. */
static void stream_peer_goes(void **state)
{
    struct fixture f;
    struct reading r = {.stop_after = 2};

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    run_stream(&f, &r, true);
    assert_int_equal(r.code, AC_OK);
    spin_until(&f, &f.stream_closed);
    stop(&f);
    assert_int_equal(f.stream_closed, 1);
}

static int raw_stream(struct fixture *f)
{
    static const char request[] = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_port = htons((uint16_t)ac_http_server_port(f->server));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    spin_until(f, &f->requests);
    return fd;
}

static void stream_ends_with_the_server(void **state)
{
    struct fixture f;
    char buf[4096] = "";
    ssize_t n, total = 0;
    int fd;

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    fd = raw_stream(&f);
    assert_int_equal(ac_http_stream_write(f.stream, "last words", 10), AC_OK);
    stop(&f);
    assert_int_equal(f.stream_closed, 1);
    while ((n = read(fd, buf + total, sizeof buf - 1 - (size_t)total)) > 0)
        total += n;
    assert_non_null(strstr(buf, "last words"));
    assert_non_null(strstr(buf, "\r\n0\r\n")); /* a proper end */
    (void)close(fd);
}

/* A peer that does not read: the queue fills and says so; nothing grows without bound. */
static void stream_queue_is_bounded(void **state)
{
    struct fixture f;
    char *big = ac_xcalloc(1, 1 << 20);
    int fd, rc = AC_OK, n = 0;

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    fd = raw_stream(&f);
    while (!rc && n < 100) {
        rc = ac_http_stream_write(f.stream, big, 1 << 20);
        n++;
    }
    assert_int_equal(rc, AC_EAGAIN);
    assert_true(n < 40);
    (void)close(fd);
    spin_until(&f, &f.stream_closed);
    stop(&f);
    free(big);
}

/* One that has stopped reading is hung up on: MHD alone would wait for its socket for ever. */
static void stream_of_a_peer_that_does_not_read_is_aborted(void **state)
{
    struct fixture f;
    char *big = ac_xcalloc(1, 1 << 20);
    int fd;

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    fd = raw_stream(&f);
    for (int i = 0; i < 100 && ac_http_stream_queued(f.stream) < 4u << 20; i++)
        (void)!ac_http_stream_write(f.stream, big, 1 << 20);
    assert_true(ac_http_stream_queued(f.stream) > 0);
    ac_http_stream_abort(f.stream);
    assert_int_equal(ac_http_stream_queued(f.stream), 0);
    assert_int_equal(ac_http_stream_write(f.stream, "x", 1), AC_ECANCELED);
    spin_until(&f, &f.stream_closed);
    assert_int_equal(f.stream_closed, 1);
    stop(&f);
    (void)close(fd);
    free(big);
}

static void silent_peer_times_out(void **state)
{
    struct fixture f;
    struct reading r = {.silence_ns = 300 * AC_NS_PER_MS};

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    run_stream(&f, &r, false);
    assert_int_equal(r.code, AC_ETIMEOUT);
    stop(&f);
}

/* ---- addresses and TLS ---- */

static void taken_port(void **state)
{
    struct fixture f;
    struct ac_http_server *other;
    struct ac_err err = AC_ERR_INIT;
    struct ac_http_server_opts o = {0};

    (void)state;
    start(&f, (struct ac_http_server_opts){0});
    o.listen = f.url + strlen("http://");
    assert_int_equal(ac_http_server_start(f.loop, NULL, &o, handler, &f, &other, &err), AC_EEXISTS);
    assert_non_null(strstr(err.msg, o.listen));
    o.listen = "nonsense";
    assert_int_equal(ac_http_server_start(f.loop, NULL, &o, handler, &f, &other, &err), AC_EINVAL);
    stop(&f);
}

static char *output_of(const char *cmd)
{
    FILE *p = popen(cmd, "r");
    char *text = ac_xcalloc(1, 16384);

    assert_non_null(p);
    assert_true(fread(text, 1, 16383, p) > 0);
    assert_int_equal(pclose(p), 0);
    return text;
}

static char *file_in(const char *dir, const char *name)
{
    char cmd[256];

    (void)snprintf(cmd, sizeof cmd, "cat %s/%s", dir, name);
    return output_of(cmd);
}

#define NEW_KEY "openssl ecparam -genkey -name prime256v1 -noout 2>/dev/null"

static void make_certificates(const char *dir)
{
    char cmd[1024];

    (void)snprintf(cmd, sizeof cmd,
                   "cd %s && " NEW_KEY
                   " >ca.key && openssl req -x509 -new -key ca.key -subj /CN=ca "
                   "-days 2 -out ca.pem && for n in server client; do " NEW_KEY " >$n.key && "
                   "openssl req -new -key $n.key -subj /CN=$n -out $n.csr && printf "
                   "'subjectAltName=IP:127.0.0.1' >ext && openssl x509 -req -in $n.csr -CA ca.pem "
                   "-CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $n.pem 2>/dev/null; "
                   "done; " NEW_KEY " >other.key && openssl req -x509 -new -key other.key -subj "
                   "/CN=client -days 2 -out other.pem; cat ca.pem",
                   dir);
    free(output_of(cmd));
}

static void tls_with_client_certificates(void **state)
{
    char dir[] = "/tmp/ac-http-XXXXXX", cmd[64];
    char *ca, *key, *cert, *ckey, *ccert, *okey, *ocert;
    struct fixture f;
    struct answer a;

    (void)state;
    assert_non_null(mkdtemp(dir));
    make_certificates(dir);
    ca = file_in(dir, "ca.pem");
    key = file_in(dir, "server.key");
    cert = file_in(dir, "server.pem");
    ckey = file_in(dir, "client.key");
    ccert = file_in(dir, "client.pem");
    okey = file_in(dir, "other.key");
    ocert = file_in(dir, "other.pem");
    start(&f, (struct ac_http_server_opts){.tls_cert = cert, .tls_key = key, .tls_client_ca = ca});
    check_get(&f, (struct ac_http_call){.ca = ca}, "/who", 200, "nobody");
    check_get(&f, (struct ac_http_call){.ca = ca, .client_cert = ccert, .client_key = ckey}, "/who",
              200, "client");
    /* Not of our CA: refused, whatever name it claims. */
    a = get(&f, (struct ac_http_call){.ca = ca, .client_cert = ocert, .client_key = okey}, "/who");
    assert_true(a.code == AC_ENET || a.status == 403);
    free(a.body);
    /* A server that our CA does not vouch for. */
    a = get(&f, (struct ac_http_call){.ca = ocert}, "/who");
    assert_int_equal(a.code, AC_ENET);
    stop(&f);
    (void)snprintf(cmd, sizeof cmd, "rm -r %s && echo", dir);
    free(output_of(cmd));
    free(ca);
    free(key);
    free(cert);
    free(ckey);
    free(ccert);
    free(okey);
    free(ocert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_answers),
        cmocka_unit_test(limits),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(client_errors),
        cmocka_unit_test(stop_answers_what_waits),
        cmocka_unit_test(stream_to_its_end),
        cmocka_unit_test(stream_peer_goes),
        cmocka_unit_test(stream_ends_with_the_server),
        cmocka_unit_test(stream_queue_is_bounded),
        cmocka_unit_test(stream_of_a_peer_that_does_not_read_is_aborted),
        cmocka_unit_test(silent_peer_times_out),
        cmocka_unit_test(taken_port),
        cmocka_unit_test(tls_with_client_certificates),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
