#include "tcp.h"

#include <stdio.h>
#include <string.h>

#include <ctype.h>
#include <uv.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define MAGIC 0x54435031u

struct app_tcp {
    uint32_t magic;
    struct ac_loop *loop;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    const struct app_tcp_fns *fns;
    void *arg;
    int port;
    bool connected, dead, resolving, closed;
    char *early; /* written before connected */
    size_t early_len, early_cap;
    size_t unsent;
    char buf[16384];
};

struct write {
    uv_write_t req;
    struct app_tcp *t;
    size_t len;
    char data[];
};

static void free_tcp(struct app_tcp *t)
{
    if (t->resolving || !t->closed)
        return;
    free(t->early);
    free(t);
}

static void on_closed(uv_handle_t *h)
{
    struct app_tcp *t = h->data;
    t->closed = true;
    free_tcp(t);
}

static void shut(struct app_tcp *t)
{
    t->dead = true;
    if (t->resolving)
        (void)uv_cancel((uv_req_t *)&t->resolve);
    if (!uv_is_closing((uv_handle_t *)&t->tcp))
        uv_close((uv_handle_t *)&t->tcp, on_closed);
}

static void lost(struct app_tcp *t, int code, const char *why)
{
    if (t->dead)
        return;
    shut(t);
    t->fns->closed(t->arg, code, why);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct app_tcp *t = h->data;
    (void)hint;
    buf->base = t->buf;
    buf->len = sizeof(t->buf);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct app_tcp *t = s->data;
    if (t->dead || n == 0)
        return;
    if (n == UV_EOF)
        lost(t, 0, "connection closed by the peer");
    else if (n < 0)
        lost(t, AC_ENET, uv_strerror((int)n));
    else
        t->fns->data(t->arg, buf->base, (size_t)n);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct app_tcp *t = req->data;
    if (t->dead)
        return;
    if (status < 0) {
        lost(t, AC_ENET, uv_strerror(status));
        return;
    }
    t->connected = true;
    (void)uv_tcp_nodelay(&t->tcp, 1);
    int rc = uv_read_start((uv_stream_t *)&t->tcp, on_alloc, on_read);
    if (rc < 0) {
        lost(t, AC_ENET, uv_strerror(rc));
        return;
    }
    if (t->early_len) {
        size_t n = t->early_len;
        t->early_len = 0;
        t->unsent -= n;
        app_tcp_write(t, t->early, n);
    }
    if (!t->dead)
        t->fns->connected(t->arg);
}

static void connect_to(struct app_tcp *t, const struct sockaddr *sa)
{
    int rc = uv_tcp_connect(&t->connect, &t->tcp, sa, on_connected);
    if (rc < 0)
        lost(t, AC_ENET, uv_strerror(rc));
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *ai)
{
    struct app_tcp *t = req->data;
    t->resolving = false;
    if (!t->dead && status < 0)
        lost(t, AC_ENET, uv_strerror(status));
    else if (!t->dead)
        connect_to(t, ai->ai_addr);
    uv_freeaddrinfo(ai);
    free_tcp(t);
}

static void post_connect(void *arg)
{
    struct app_tcp *t = arg;
    struct sockaddr_storage sa;
    char port[8];
    char *host = t->connect.data;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    t->connect.data = t;
    t->resolving = false;
    if (t->dead) {
        free(host);
        free_tcp(t);
        return;
    }
    if (uv_ip4_addr(host, t->port, (struct sockaddr_in *)(void *)&sa) == 0 ||
        uv_ip6_addr(host, t->port, (struct sockaddr_in6 *)(void *)&sa) == 0) {
        connect_to(t, (struct sockaddr *)&sa);
    } else {
        (void)snprintf(port, sizeof(port), "%d", t->port);
        int rc = uv_getaddrinfo(ac_loop_uv(t->loop), &t->resolve, on_resolved, host, port, &hints);
        t->resolving = rc == 0;
        if (rc < 0)
            lost(t, AC_ENET, uv_strerror(rc));
    }
    free(host);
}

struct app_tcp *app_tcp_connect(struct ac_loop *l, const char *host, int port,
                                const struct app_tcp_fns *fns, void *arg)
{
    struct app_tcp *t = ac_xcalloc(1, sizeof(*t));
    t->magic = MAGIC;
    t->loop = l;
    t->fns = fns;
    t->arg = arg;
    t->port = port;
    AC_ASSERT(uv_tcp_init(ac_loop_uv(l), &t->tcp) == 0);
    t->tcp.data = t;
    t->resolve.data = t;
    t->connect.data = ac_xstrdup(host);
    /* From the loop, so that closed is never called before this returns. Counts as resolving: the
     * post keeps t alive. */
    t->resolving = true;
    ac_loop_post(l, post_connect, t);
    return t;
}

static void on_written(uv_write_t *req, int status)
{
    struct write *w = AC_CONTAINER_OF(req, struct write, req);
    struct app_tcp *t = w->t;
    t->unsent -= w->len;
    free(w);
    if (status < 0 && status != UV_ECANCELED)
        lost(t, AC_ENET, uv_strerror(status));
}

void app_tcp_write(struct app_tcp *t, const void *data, size_t len)
{
    AC_CHECK_OBJ(t, MAGIC);
    if (t->dead)
        return;
    t->unsent += len;
    if (!t->connected) {
        ac_grow(&t->early, &t->early_cap, t->early_len + len, 1);
        memcpy(t->early + t->early_len, data, len);
        t->early_len += len;
        return;
    }
    struct write *w = ac_xmalloc(sizeof(*w) + len);
    w->t = t;
    w->len = len;
    memcpy(w->data, data, len);
    uv_buf_t b = uv_buf_init(w->data, (unsigned)len);
    int rc = uv_write(&w->req, (uv_stream_t *)&t->tcp, &b, 1, on_written);
    if (rc < 0) {
        t->unsent -= len;
        free(w); /* the read side reports the broken connection */
    }
}

size_t app_tcp_unsent(const struct app_tcp *t)
{
    return t->unsent;
}

void app_tcp_close(struct app_tcp *t)
{
    if (!t)
        return;
    AC_CHECK_OBJ(t, MAGIC);
    shut(t);
}

void app_resolve(const char *name, int port, char *host, int *ret_port)
{
    char key[160];
    char *d = key;
    int64_t p = 0;
    for (const char *s = name; *s && d < key + 100; s++)
        *d++ = *s == '-' || *s == '.' ? '_' : (char)toupper((unsigned char)*s);
    ac_str_copy(d, 40, "_SERVICE_HOST");
    const char *h = getenv(key);
    (void)ac_str_copy(host, 256, ac_str_empty(h) ? name : h);
    *ret_port = port;
    ac_str_copy(d, 40, "_SERVICE_PORT");
    const char *t = getenv(key);
    if (!ac_str_empty(h) && t && ac_str_to_i64(t, &p) && p > 0 && p < 65536)
        *ret_port = (int)p;
}
