/* WebSockets: frames by themselves, and a server against a raw socket that may misbehave. */
#include <pthread.h>
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
#include <aceso/loop.h>
#include <aceso/str.h>

#include "../ws_frame.h"

/* ---- a peer's frames ---- */

static void put(struct ac_buf *b, unsigned first, const void *data, size_t len)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    const uint8_t *p = data;
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_frame_head(head, WS_TEXT, len);

    head[0] = (uint8_t)first;
    head[1] |= 0x80;
    ac_buf_append(b, head, n);
    ac_buf_append(b, mask, 4);
    for (size_t i = 0; i < len; i++)
        ac_buf_putc(b, (char)(p[i] ^ mask[i & 3]));
}

static bool describe(enum ws_opcode op, unsigned code, const void *data, size_t len, void *arg)
{
    ac_buf_printf(arg, "%d:%u:%.*s ", (int)op, code, (int)len, (const char *)data);
    return op != WS_CLOSE;
}

/* The events of a peer's bytes and the code at the end, given one byte at a time. */
static void check_frames(struct ac_buf *in, const char *events, unsigned code)
{
    struct ws_parser p;
    struct ac_buf out;
    unsigned got = 0;

    ws_parser_init(&p);
    ac_buf_init(&out, 65536);
    for (size_t i = 0; i < in->len && got == 0; i++)
        got = ws_parse(&p, in->data + i, 1, describe, &out);
    assert_string_equal(ac_buf_str(&out), events);
    assert_int_equal(got, code);
    ac_buf_fini(&out);
    ws_parser_fini(&p);
    ac_buf_reset(in);
}

static void frames(void **state)
{
    struct ac_buf b;

    (void)state;
    ac_buf_init(&b, 4u << 20);
    put(&b, 0x81, "hello", 5);
    put(&b, 0x82, "", 0);
    check_frames(&b, "1:0:hello 2:0: ", 0);
    put(&b, 0x01, "he", 2);
    put(&b, 0x89, "p", 1);
    put(&b, 0x00, "l", 1);
    put(&b, 0x80, "lo", 2);
    check_frames(&b, "9:1005:p 1:0:hello ", 0);
    put(&b, 0x88,
        "\x03\xe8"
        "bye",
        5);
    put(&b, 0x81, "late", 4);
    check_frames(&b, "8:1000:bye ", 0);
    put(&b, 0x88, "", 0);
    check_frames(&b, "8:1005: ", 0);
    static const struct {
        unsigned first, code;
        const char *data;
        size_t len;
    } bad[] = {
        {0xc1, 1002, "x", 1},            /* RSV */
        {0x83, 1002, "x", 1},            /* unknown opcode */
        {0x80, 1002, "x", 1},            /* continues nothing */
        {0x09, 1002, "x", 1},            /* ping in fragments */
        {0x88, 1002, "x", 1},            /* half a code */
        {0x88, 1002, "\x03\xed", 2},     /* 1005 on the wire */
        {0x88, 1007, "\x03\xe8\xff", 3}, /* reason is no UTF-8 */
        {0x81, 1007, "\xc0\x80", 2},     /* overlong */
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        put(&b, bad[i].first, bad[i].data, bad[i].len);
        check_frames(&b, "", bad[i].code);
    }
    ac_buf_append(&b, "\x81\x01x", 3); /* not masked */
    check_frames(&b, "", 1002);
    put(&b, 0x01, "a", 1);
    put(&b, 0x82, "b", 1); /* a message within a message */
    check_frames(&b, "", 1002);
    ac_buf_fini(&b);
}

static bool count(enum ws_opcode op, unsigned code, const void *data, size_t len, void *arg)
{
    (void)op;
    (void)code;
    (void)data;
    *(size_t *)arg += len;
    return true;
}

static void a_message_has_a_limit(void **state)
{
    struct ws_parser p;
    struct ac_buf b;
    char *big = ac_xcalloc(1, HTTP_WS_MESSAGE);
    size_t got = 0;

    (void)state;
    ac_buf_init(&b, 4u << 20);
    ws_parser_init(&p);
    put(&b, 0x82, big, HTTP_WS_MESSAGE);
    assert_int_equal(ws_parse(&p, b.data, b.len, count, &got), 0);
    assert_int_equal(got, HTTP_WS_MESSAGE);
    ac_buf_reset(&b);
    put(&b, 0x02, big, HTTP_WS_MESSAGE);
    put(&b, 0x80, big, 1); /* in parts, too */
    assert_int_equal(ws_parse(&p, b.data, b.len, count, &got), 1009);
    assert_int_equal(got, HTTP_WS_MESSAGE);
    ws_parser_fini(&p);
    ac_buf_fini(&b);
    free(big);
}

/* ---- a server ----
 * A script runs on a thread of its own, where cmocka must not jump: it aborts. */

struct fixture {
    struct ac_loop *loop;
    struct ac_http_server *server;
    struct ac_timer *guard;
    struct ac_http_ws *ws;
    int port, closed, drained;
    char last[64];
    void (*script)(struct fixture *f); /* the peer's thread */
};

static void on_frame(bool binary, const void *data, size_t len, void *arg)
{
    struct fixture *f = arg;

    assert_true(ac_loop_on(f->loop));
    (void)snprintf(f->last, sizeof f->last, "%s %zu %.20s", binary ? "binary" : "text", len,
                   (const char *)data);
    if (len == 4 && !memcmp(data, "quit", 4))
        ac_http_ws_close(f->ws, 1000);
    else if (len == 5 && !memcmp(data, "flood", 5)) {
        char *big = ac_xcalloc(1, 1u << 20);
        int n = 0, rc;
        while ((rc = ac_http_ws_send(f->ws, true, big, 1u << 20)) == 0)
            n++;
        assert_int_equal(rc, AC_EAGAIN);
        assert_true(n >= 7 && n <= 8);
        free(big);
    } else {
        assert_int_equal(ac_http_ws_send(f->ws, binary, data, len), 0);
    }
}

static void on_close(void *arg)
{
    struct fixture *f = arg;

    assert_true(ac_loop_on(f->loop));
    f->closed++;
    f->ws = NULL;
}

static void on_drained(void *arg)
{
    ((struct fixture *)arg)->drained++;
}

static void handler(struct ac_http_req *r, void *arg)
{
    struct fixture *f = arg;

    f->ws = ac_http_ws_accept(r, "echo.v1", on_frame, on_close, f);
    if (f->ws)
        ac_http_ws_on_drained(f->ws, on_drained);
}

static void too_long(void *arg)
{
    (void)arg;
    (void)fprintf(stderr, "test hangs\n");
    abort();
}

static int dial(const struct fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)f->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval t = {5, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    AC_ASSERT(fd >= 0);
    AC_ASSERT(connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    return fd;
}

static void say(int fd, const void *data, size_t len)
{
    AC_ASSERT(send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void hear(int fd, const void *expected, size_t len)
{
    char got[4096];

    AC_ASSERT(len <= sizeof got);
    AC_ASSERT(recv(fd, got, len, MSG_WAITALL) == (ssize_t)len);
    AC_ASSERT(memcmp(got, expected, len) == 0);
}

static void shake_hands(int fd)
{
    static const char ask[] = "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n"
                              "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    /* The key and its answer are RFC 6455's own example. */
    static const char answer[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: "
        "echo.v1\r\n\r\n";

    say(fd, ask, sizeof ask - 1);
    hear(fd, answer, sizeof answer - 1);
}

static void say_frame(int fd, unsigned first, const void *data, size_t len)
{
    struct ac_buf b;

    ac_buf_init(&b, 4u << 20);
    put(&b, first, data, len);
    say(fd, b.data, b.len);
    ac_buf_fini(&b);
}

static void hear_end(int fd)
{
    char c;

    AC_ASSERT(recv(fd, &c, 1, 0) <= 0);
    (void)close(fd);
}

static void *peer(void *arg)
{
    struct fixture *f = arg;

    f->script(f);
    ac_loop_stop(f->loop);
    return NULL;
}

/* The peer's script on a thread of its own, the server on this one. */
static void play(void (*script)(struct fixture *f), struct fixture *f)
{
    struct ac_err err = AC_ERR_INIT;
    const struct ac_http_server_opts o = {.listen = "127.0.0.1:0"};
    pthread_t t;

    memset(f, 0, sizeof *f);
    f->script = script;
    f->loop = ac_loop_create();
    if (ac_http_server_start(f->loop, NULL, &o, handler, f, &f->server, &err))
        fail_msg("%s", err.msg);
    f->port = ac_http_server_port(f->server);
    f->guard = ac_timer_create(f->loop, too_long, NULL);
    ac_timer_start(f->guard, 20 * AC_NS_PER_S, 0);
    assert_int_equal(pthread_create(&t, NULL, peer, f), 0);
    ac_loop_run(f->loop);
    (void)pthread_join(t, NULL);
    ac_http_server_stop(f->server);
    ac_timer_destroy(f->guard);
    ac_loop_destroy(f->loop);
}

static void script_echo(struct fixture *f)
{
    int fd = dial(f);

    shake_hands(fd);
    say_frame(fd, 0x81, "hi", 2);
    hear(fd, "\x81\x02hi", 4);
    say_frame(fd, 0x89, "are you there", 13);
    hear(fd,
         "\x8a\x0d"
         "are you there",
         15);
    char text[1000];
    memset(text, 'a', sizeof text);
    say_frame(fd, 0x82, text, sizeof text);
    hear(fd, "\x82\x7e\x03\xe8", 4);
    hear(fd, text, sizeof text);
    say_frame(fd, 0x88, "\x0f\xa0", 2); /* 4000 comes back */
    hear(fd, "\x88\x02\x0f\xa0", 4);
    hear_end(fd);
}

static void echo_ping_close(void **state)
{
    struct fixture f;

    (void)state;
    play(script_echo, &f);
    assert_int_equal(f.closed, 1);
}

static void script_quit(struct fixture *f)
{
    int fd = dial(f);

    shake_hands(fd);
    say_frame(fd, 0x81, "quit", 4);
    hear(fd, "\x88\x02\x03\xe8", 4);
    say_frame(fd, 0x88, "\x03\xe8", 2);
    hear_end(fd);
    fd = dial(f); /* a peer that does not say goodbye */
    shake_hands(fd);
    say_frame(fd, 0x81, "quit", 4);
    hear(fd, "\x88\x02\x03\xe8", 4);
    hear_end(fd);
}

static void the_server_closes(void **state)
{
    struct fixture f;

    (void)state;
    play(script_quit, &f);
    assert_int_equal(f.closed, 2);
}

static void script_break(struct fixture *f)
{
    int fd = dial(f);

    shake_hands(fd);
    say(fd, "\x81\x02hi", 4); /* not masked */
    hear(fd, "\x88\x02\x03\xea", 4);
    hear_end(fd);
    fd = dial(f);
    shake_hands(fd);
    (void)close(fd); /* gone without a word */
    fd = dial(f);
    shake_hands(fd);
    say_frame(fd, 0x81, "quit", 4); /* the one before is through by now */
    hear(fd, "\x88\x02\x03\xe8", 4);
    (void)close(fd);
}

static void peers_that_break_the_rules_or_off(void **state)
{
    struct fixture f;

    (void)state;
    play(script_break, &f);
    assert_int_equal(f.closed, 3); /* the last by the server's end at the latest */
}

static void script_flood(struct fixture *f)
{
    char *sink = ac_xmalloc(1u << 20);
    int fd = dial(f);

    shake_hands(fd);
    say_frame(fd, 0x81, "flood", 5);
    for (size_t left = 7u << 20; left > 0;) {
        ssize_t n = recv(fd, sink, AC_MIN(left, (size_t)1 << 20), 0);
        AC_ASSERT(n > 0);
        left -= (size_t)n;
    }
    (void)close(fd);
    free(sink);
}

static void a_slow_peer_is_not_waited_for(void **state)
{
    struct fixture f;

    (void)state;
    play(script_flood, &f);
    assert_int_equal(f.closed, 1);
    assert_true(f.drained >= 1);
}

static int status_of(struct fixture *f, const char *ask)
{
    char got[512];
    int fd = dial(f), status = 0;

    say(fd, ask, strlen(ask));
    ssize_t n = recv(fd, got, sizeof got - 1, 0);
    AC_ASSERT(n > 12);
    got[n] = '\0';
    AC_ASSERT(sscanf(got, "HTTP/1.1 %d", &status) == 1);
    (void)close(fd);
    return status;
}

static void script_no_handshake(struct fixture *f)
{
    static const char plain[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char old[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: "
                              "upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: "
                              "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    static const char key[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: "
                              "upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                              "c2hvcnQ=\r\n\r\n";

    AC_ASSERT(status_of(f, plain) == 426);
    AC_ASSERT(status_of(f, old) == 426);
    AC_ASSERT(status_of(f, key) == 400);
}

static void what_is_no_handshake_is_told_so(void **state)
{
    struct fixture f;

    (void)state;
    play(script_no_handshake, &f);
    assert_int_equal(f.closed, 0);
}

static int left_open;

static void script_stay(struct fixture *f)
{
    left_open = dial(f);
    shake_hands(left_open);
    say_frame(left_open, 0x81, "hi", 2);
    hear(left_open, "\x81\x02hi", 4);
}

static void a_stopping_server_says_goodbye(void **state)
{
    struct fixture f;

    (void)state;
    play(script_stay, &f);
    assert_int_equal(f.closed, 1);
    hear(left_open, "\x88\x02\x03\xe9", 4);
    hear_end(left_open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames),
        cmocka_unit_test(a_message_has_a_limit),
        cmocka_unit_test(echo_ping_close),
        cmocka_unit_test(the_server_closes),
        cmocka_unit_test(peers_that_break_the_rules_or_off),
        cmocka_unit_test(a_slow_peer_is_not_waited_for),
        cmocka_unit_test(what_is_no_handshake_is_told_so),
        cmocka_unit_test(a_stopping_server_says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
