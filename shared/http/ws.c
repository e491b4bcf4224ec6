/* WebSockets. The connection of the handshake stays suspended, so that MHD's thread does not touch
 * it; the loop answers the handshake and reads and writes from then on, through GnuTLS's session
 * where there is one. (MHD's own upgrade forwards TLS through what its pool has left: 4 bytes a
 * turn.) At the end MHD gets the connection back and closes it. */
#include "internal.h"
#include "ws_frame.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <aceso/clock.h>
#include <aceso/str.h>

#define READ_BYTES  (64u * 1024)
#define READ_ROUNDS 4             /* a wake-up's share; the rest waits for the next */
#define KEEP_BYTES  (256u * 1024) /* of an empty queue's memory */
/* Beside the queue: heads, pongs, and what is sent but not moved away yet. */
#define OUT_MAX    (2 * HTTP_STREAM_QUEUED + 65536)
#define TICK_NS    (10 * AC_NS_PER_S)
#define PING_NS    (20 * AC_NS_PER_S)
#define SILENCE_NS (60 * AC_NS_PER_S)
#define GOODBYE_NS (2 * AC_NS_PER_S)

/* Loop thread. The request is ours, and with it the connection, which MHD leaves alone. */
struct ac_http_ws {
    uint32_t magic;
    unsigned refs; /* the server's list, and callbacks under way */
    struct ac_http_req *r;
    struct ac_list node; /* in s->sockets */
    void (*on_frame)(bool binary, const void *data, size_t len, void *arg);
    void (*on_close)(void *arg);
    void (*on_drained)(void *arg);
    void *arg;
    struct ws_parser parser;
    struct ac_buf out; /* frames; [sent, len) wait */
    size_t sent;
    uv_poll_t *poll;
    int fd;               /* our own duplicate: no race with its reuse */
    gnutls_session_t tls; /* NULL = plain */
    bool tls_holds;       /* GnuTLS has taken bytes that did not fit */
    struct ac_timer *timer;
    int64_t heard_ns;
    bool paused, close_sent, close_heard, finished, pinged;
};

static void unref(struct ac_http_ws *w)
{
    if (--w->refs > 0)
        return;
    w->magic = 0;
    free(w);
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

/* The end: the connection goes back to MHD, which closes it. */
static void finish(struct ac_http_ws *w)
{
    if (w->finished)
        return;
    w->finished = true;
    ac_list_remove(&w->node);
    if (w->tls && w->close_sent)
        (void)gnutls_bye(w->tls, GNUTLS_SHUT_WR);
    if (w->poll) {
        (void)uv_poll_stop(w->poll);
        uv_close((uv_handle_t *)w->poll, free_handle);
        w->poll = NULL;
    }
    if (w->fd >= 0)
        (void)close(w->fd);
    http_req_hang_up(w->r);
    w->r = NULL;
    ac_timer_destroy(w->timer);
    w->timer = NULL;
    ws_parser_fini(&w->parser);
    ac_buf_fini(&w->out);
    if (w->on_close)
        w->on_close(w->arg);
    unref(w);
}

static void on_io(uv_poll_t *h, int status, int events);

static void watch(struct ac_http_ws *w)
{
    int events = UV_DISCONNECT | (w->paused && !w->close_sent ? 0 : UV_READABLE) |
                 (w->out.len > w->sent ? UV_WRITABLE : 0);

    if (w->poll)
        (void)uv_poll_start(w->poll, events, on_io);
}

/* Bytes, 0 = not now, or negative: the peer is gone. */
static ssize_t put(struct ac_http_ws *w, const void *data, size_t len)
{
    ssize_t n;

    if (!w->tls) {
        do
            n = send(w->fd, data, len, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
    }
    do /* what GnuTLS holds must go out before anything else is given to it */
        n = gnutls_record_send(w->tls, w->tls_holds ? NULL : data, w->tls_holds ? 0 : len);
    while (n == GNUTLS_E_INTERRUPTED);
    w->tls_holds = n == GNUTLS_E_AGAIN;
    return w->tls_holds ? 0 : n;
}

/* The same; the peer's end is negative too. */
static ssize_t get(struct ac_http_ws *w, void *data, size_t len)
{
    ssize_t n;

    if (!w->tls) {
        do
            n = recv(w->fd, data, len, 0);
        while (n < 0 && errno == EINTR);
        return n == 0 ? -1 : n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
    }
    do
        n = gnutls_record_recv(w->tls, data, len);
    while (n == GNUTLS_E_INTERRUPTED);
    return n == 0 ? -1 : n == GNUTLS_E_AGAIN ? 0 : n;
}

/* False when the peer is gone (finished then). */
static bool flush(struct ac_http_ws *w)
{
    bool waited = w->out.len > w->sent;

    while (w->sent < w->out.len) {
        ssize_t n = put(w, w->out.data + w->sent, w->out.len - w->sent);
        if (n < 0) {
            finish(w);
            return false;
        }
        if (n == 0)
            return true;
        w->sent += (size_t)n;
    }
    if (!waited)
        return true;
    w->sent = 0;
    ac_buf_reset(&w->out);
    if (w->out.cap > KEEP_BYTES) {
        ac_buf_fini(&w->out);
        ac_buf_init(&w->out, OUT_MAX);
    }
    if (w->on_drained && !w->close_sent)
        w->on_drained(w->arg);
    return !w->finished;
}

static void put_frame(struct ac_http_ws *w, enum ws_opcode op, const void *data, size_t len)
{
    uint8_t head[WS_HEAD_MAX];

    if (w->sent > HTTP_STREAM_QUEUED / 2) {
        memmove(w->out.data, w->out.data + w->sent, w->out.len - w->sent);
        w->out.len -= w->sent;
        w->sent = 0;
    }
    (void)ac_buf_append(&w->out, head, ws_frame_head(head, op, len));
    (void)ac_buf_append(&w->out, data, len);
}

static void send_close(struct ac_http_ws *w, unsigned code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};

    if (w->close_sent)
        return;
    w->close_sent = true;
    put_frame(w, WS_CLOSE, payload, code == WS_CLOSE_NONE ? 0 : 2);
    ac_timer_start(w->timer, GOODBYE_NS, 0);
}

static bool on_event(enum ws_opcode op, unsigned code, const void *data, size_t len, void *arg)
{
    struct ac_http_ws *w = arg;

    switch (op) {
    case WS_PING:
        /* A peer that does not read gets no more than fits. */
        if (!w->close_sent && w->out.len - w->sent < HTTP_STREAM_QUEUED)
            put_frame(w, WS_PONG, data, len);
        break;
    case WS_PONG:
        break;
    case WS_CLOSE:
        w->close_heard = true;
        send_close(w, code);
        return false;
    default:
        if (!w->close_sent)
            w->on_frame(op == WS_BINARY, data, len, w->arg);
        break;
    }
    return !w->finished;
}

static void take(struct ac_http_ws *w, const void *data, size_t len)
{
    unsigned code = ws_parse(&w->parser, data, len, on_event, w);

    if (code == 0)
        return;
    send_close(w, code);
    w->close_heard = true; /* nothing that it says counts any more */
}

/* False when nothing more is to be read now, or ever. */
static bool read_some(struct ac_http_ws *w)
{
    static char buf[READ_BYTES]; /* loop thread only */
    ssize_t n = get(w, buf, sizeof buf);

    if (n < 0)
        finish(w);
    if (n <= 0)
        return false;
    w->heard_ns = ac_now_ns();
    w->pinged = false;
    take(w, buf, (size_t)n);
    return !w->finished && !w->paused;
}

/* After anything happened: send what waits, end when both sides have said goodbye. The caller holds
 * a reference over the callbacks. */
static void settle(struct ac_http_ws *w)
{
    if (w->finished || !flush(w))
        return;
    if (w->close_sent && w->close_heard && w->sent == w->out.len)
        finish(w);
    else
        watch(w);
}

static void read_on(void *arg);

static void on_io(uv_poll_t *h, int status, int events)
{
    struct ac_http_ws *w = h->data;
    bool more = true;

    AC_CHECK_OBJ(w, HTTP_WS_MAGIC);
    w->refs++;
    if (status < 0)
        finish(w);
    if (!w->finished && (events & (UV_READABLE | UV_DISCONNECT)))
        for (int i = 0; i < READ_ROUNDS && more; i++)
            more = read_some(w);
    if (!w->finished && more && w->tls && gnutls_record_check_pending(w->tls) > 0) {
        /* It has left the socket already, which would not wake us. */
        w->refs++;
        ac_loop_post(w->r->s->loop, read_on, w);
    }
    settle(w);
    unref(w);
}

static void read_on(void *arg)
{
    struct ac_http_ws *w = arg;

    AC_CHECK_OBJ(w, HTTP_WS_MAGIC);
    if (w->poll && !w->paused)
        on_io(w->poll, 0, UV_READABLE);
    unref(w);
}

static void on_timer(void *arg)
{
    struct ac_http_ws *w = arg;
    int64_t silence = ac_now_ns() - w->heard_ns;

    AC_CHECK_OBJ(w, HTTP_WS_MAGIC);
    /* A paused peer's answers are not read: it cannot be judged. */
    if (w->close_sent || (silence > SILENCE_NS && !w->paused)) {
        finish(w);
        return;
    }
    if (silence <= PING_NS || w->pinged)
        return;
    w->refs++;
    w->pinged = true;
    put_frame(w, WS_PING, "", 0);
    settle(w);
    unref(w);
}

void http_ws_end_all(struct ac_http_server *s)
{
    while (!ac_list_empty(&s->sockets)) {
        struct ac_http_ws *w = AC_LIST_ENTRY(s->sockets.next, struct ac_http_ws, node);
        w->refs++;
        send_close(w, WS_CLOSE_GOING_AWAY);
        if (flush(w))
            finish(w);
        unref(w);
    }
}

/* ---- the handshake ---- */

/* Is token one of a header's comma-separated values? */
static bool has_token(const char *header, const char *token)
{
    size_t n = strlen(token);

    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, ",");
        size_t word = len;
        while (word && (p[word - 1] == ' ' || p[word - 1] == '\t'))
            word--;
        if (word == n && !strncasecmp(p, token, n))
            return true;
        p += len;
    }
    return false;
}

/* base64(SHA-1(key and the RFC's constant)); false when the key is not 16 bytes in base64. */
static bool accept_key(const char *key, char ret[32])
{
    const gnutls_datum_t text = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
    gnutls_datum_t raw = {NULL, 0}, encoded = {NULL, 0};
    uint8_t hash[20];
    char joined[64];
    bool ok = text.size == 24 && !gnutls_base64_decode2(&text, &raw) && raw.size == 16;

    gnutls_free(raw.data);
    if (!ok)
        return false;
    (void)snprintf(joined, sizeof joined, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, joined, strlen(joined), hash))
        return false;
    const gnutls_datum_t digest = {hash, sizeof hash};
    if (gnutls_base64_encode2(&digest, &encoded))
        return false;
    (void)snprintf(ret, 32, "%.*s", (int)encoded.size, (const char *)encoded.data);
    gnutls_free(encoded.data);
    return true;
}

/* Answers what is no handshake. */
static bool check_handshake(struct ac_http_req *r, char accept[32])
{
    const char *key = ac_http_header(r, "Sec-WebSocket-Key");
    const char *version = ac_http_header(r, "Sec-WebSocket-Version");

    if (!has_token(ac_http_header(r, "Upgrade"), "websocket") ||
        !has_token(ac_http_header(r, "Connection"), "upgrade") || !ac_streq(r->method, "GET")) {
        ac_http_set_header(r, "Upgrade", "websocket");
        ac_http_reply_text(r, MHD_HTTP_UPGRADE_REQUIRED, "a WebSocket is served here\n");
        return false;
    }
    if (!ac_streq(version, "13")) {
        ac_http_set_header(r, "Sec-WebSocket-Version", "13");
        ac_http_reply_text(r, MHD_HTTP_UPGRADE_REQUIRED, "WebSocket version 13 is served here\n");
        return false;
    }
    if (!key || !accept_key(key, accept)) {
        ac_http_reply_text(r, MHD_HTTP_BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes\n");
        return false;
    }
    return true;
}

/* A descriptor of its own for the loop, and GnuTLS's session. False when the peer is gone. */
static bool take_connection(struct ac_http_ws *w)
{
    const union MHD_ConnectionInfo *tls =
        MHD_get_connection_info(w->r->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    const union MHD_ConnectionInfo *sock;
    int one = 1;

    w->tls = tls ? tls->tls_session : NULL;
    sock = MHD_get_connection_info(w->r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    w->fd = sock ? fcntl(sock->connect_fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (w->fd < 0)
        return false;
    (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    w->poll = ac_xcalloc(1, sizeof *w->poll);
    if (uv_poll_init(ac_loop_uv(w->r->s->loop), w->poll, w->fd)) {
        free(w->poll);
        w->poll = NULL;
        return false;
    }
    w->poll->data = w;
    return true;
}

static struct ac_http_ws *create(struct ac_http_req *r)
{
    struct ac_http_ws *w = ac_xcalloc(1, sizeof *w);

    w->magic = HTTP_WS_MAGIC;
    w->r = r;
    w->fd = -1;
    w->refs = 1;
    ac_list_push_back(&r->s->sockets, &w->node);
    ws_parser_init(&w->parser);
    ac_buf_init(&w->out, OUT_MAX);
    w->heard_ns = ac_now_ns();
    w->timer = ac_timer_create(r->s->loop, on_timer, w);
    ac_timer_start(w->timer, TICK_NS, TICK_NS);
    return w;
}

struct ac_http_ws *ac_http_ws_accept(struct ac_http_req *r, const char *subprotocol,
                                     void (*on_frame)(bool binary, const void *data, size_t len,
                                                      void *arg),
                                     void (*on_close)(void *arg), void *arg)
{
    char accept[32];
    struct ac_http_ws *w;

    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    AC_ASSERT(!subprotocol || !strpbrk(subprotocol, "\r\n"));
    if (!check_handshake(r, accept) || !http_req_take(r, MHD_HTTP_SWITCHING_PROTOCOLS))
        return NULL;
    w = create(r);
    if (!take_connection(w)) {
        finish(w);
        return NULL;
    }
    w->on_frame = on_frame;
    w->on_close = on_close;
    w->arg = arg;
    (void)ac_buf_printf(&w->out,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                        accept);
    if (subprotocol)
        (void)ac_buf_printf(&w->out, "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
    (void)ac_buf_puts(&w->out, "\r\n");
    watch(w);
    return w;
}

int ac_http_ws_send(struct ac_http_ws *w, bool binary, const void *data, size_t len)
{
    AC_CHECK_OBJ(w, HTTP_WS_MAGIC);
    if (w->finished || w->close_sent)
        return AC_ECANCELED;
    if (len > HTTP_STREAM_QUEUED || w->out.len - w->sent > HTTP_STREAM_QUEUED - len)
        return AC_EAGAIN;
    put_frame(w, binary ? WS_BINARY : WS_TEXT, data, len);
    watch(w); /* the loop's next turn sends it, with what else comes */
    return AC_OK;
}

size_t ac_http_ws_queued(const struct ac_http_ws *w)
{
    return w->out.len - w->sent;
}

void ac_http_ws_on_drained(struct ac_http_ws *w, void (*fn)(void *arg))
{
    w->on_drained = fn;
}

void ac_http_ws_pause(struct ac_http_ws *w, bool paused)
{
    AC_CHECK_OBJ(w, HTTP_WS_MAGIC);
    if (w->paused == paused || w->finished)
        return;
    w->paused = paused;
    w->heard_ns = ac_now_ns();
    watch(w);
}

void ac_http_ws_close(struct ac_http_ws *w, unsigned code)
{
    AC_CHECK_OBJ(w, HTTP_WS_MAGIC);
    if (w->finished)
        return;
    send_close(w, code);
    watch(w);
}
