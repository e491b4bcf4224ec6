/* Probes over the network. They block for at most their timeout; on worker threads. The gRPC one
 * speaks just enough HTTP/2 to ask grpc.health.v1. */
#include "rt_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

struct conn {
    int fd;
    int64_t end_ns;
};

static bool wait_for(const struct conn *c, short what)
{
    int64_t left = c->end_ns - ac_now_ns();
    struct pollfd pf = {c->fd, what, 0};
    return left > 0 && poll(&pf, 1, (int)(left / AC_NS_PER_MS) + 1) > 0;
}

static bool dial(struct rt_net_probe *p, struct conn *c)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->port)};
    int one = 1, soerr = 0;
    socklen_t len = sizeof(soerr);
    if (inet_pton(AF_INET, p->host, &sa.sin_addr) != 1) {
        snprintf(p->msg, sizeof(p->msg), "bad host %.60s", p->host);
        return false;
    }
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        if (errno != EINPROGRESS || !wait_for(c, POLLOUT)) {
            snprintf(p->msg, sizeof(p->msg), "dial tcp %.60s:%d: %s", p->host, p->port,
                     errno == EINPROGRESS ? "i/o timeout" : strerror(errno));
            return false;
        }
        (void)getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &soerr, &len);
        if (soerr != 0) {
            snprintf(p->msg, sizeof(p->msg), "dial tcp %.60s:%d: connect: %s", p->host, p->port,
                     soerr == ECONNREFUSED ? "connection refused" : strerror(soerr));
            return false;
        }
    }
    return true;
}

static bool send_all(struct conn *c, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
        if (w < 0 && errno == EAGAIN && wait_for(c, POLLOUT))
            continue;
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static ssize_t recv_some(struct conn *c, void *dst, size_t n)
{
    for (;;) {
        ssize_t r = recv(c->fd, dst, n, 0);
        if (r >= 0 || errno != EAGAIN)
            return r;
        if (!wait_for(c, POLLIN))
            return -1;
    }
}

static bool recv_all(struct conn *c, void *dst, size_t n)
{
    char *p = dst;
    while (n > 0) {
        ssize_t r = recv_some(c, p, n);
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static void http_probe(struct rt_net_probe *p, struct conn *c)
{
    char buf[1024];
    int status = 0, n = snprintf(buf, sizeof(buf),
                                 "GET %.500s HTTP/1.1\r\nHost: %.120s\r\nUser-Agent: "
                                 "kube-probe/1.32\r\nConnection: close\r\n\r\n",
                                 p->path, p->header_host);
    size_t have = 0;
    if (!send_all(c, buf, (size_t)n)) {
        snprintf(p->msg, sizeof(p->msg), "the request could not be sent");
        return;
    }
    while (have < 12) {
        ssize_t r = recv_some(c, buf + have, sizeof(buf) - 1 - have);
        if (r <= 0)
            break;
        have += (size_t)r;
    }
    buf[have] = '\0';
    if (have < 12 || strncmp(buf, "HTTP/1.", 7) != 0) {
        snprintf(p->msg, sizeof(p->msg), "no answer in time (Client.Timeout exceeded)");
        return;
    }
    status = (buf[9] - '0') * 100 + (buf[10] - '0') * 10 + (buf[11] - '0');
    p->ok = status >= 200 && status < 400;
    snprintf(p->msg, sizeof(p->msg), "HTTP probe failed with statuscode: %d", status);
}

/* ---- gRPC health ---- */

static size_t put_frame(uint8_t *dst, size_t len, uint8_t type, uint8_t flags, uint8_t stream)
{
    const uint8_t head[9] = {
        (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, stream};
    memcpy(dst, head, sizeof(head));
    return sizeof(head);
}

/* Literal header without indexing; names and values shorter than 127 bytes. */
static size_t put_header(uint8_t *dst, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value), at = 0;
    dst[at++] = 0;
    dst[at++] = (uint8_t)n;
    memcpy(dst + at, name, n);
    at += n;
    dst[at++] = (uint8_t)v;
    memcpy(dst + at, value, v);
    return at + v;
}

static bool send_check(const struct rt_net_probe *p, struct conn *c)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint8_t out[1024], block[512], msg[140];
    size_t n = 0, b = 0, name = strnlen(p->service, 120), m = 5;
    memcpy(out, preface, sizeof(preface) - 1);
    n += sizeof(preface) - 1;
    n += put_frame(out + n, 0, 4, 0, 0);
    b += put_header(block + b, ":method", "POST");
    b += put_header(block + b, ":scheme", "http");
    b += put_header(block + b, ":path", "/grpc.health.v1.Health/Check");
    b += put_header(block + b, ":authority", p->host);
    b += put_header(block + b, "te", "trailers");
    b += put_header(block + b, "content-type", "application/grpc");
    b += put_header(block + b, "user-agent", "kube-probe/1.32");
    n += put_frame(out + n, b, 1, 4, 1);
    memcpy(out + n, block, b);
    n += b;
    memset(msg, 0, sizeof(msg));
    if (name > 0) {
        msg[m++] = 0x0a;
        msg[m++] = (uint8_t)name;
        memcpy(msg + m, p->service, name);
        m += name;
    }
    msg[4] = (uint8_t)(m - 5);
    n += put_frame(out + n, m, 0, 1, 1);
    memcpy(out + n, msg, m);
    n += m;
    return send_all(c, out, n);
}

static void grpc_probe(struct rt_net_probe *p, struct conn *c)
{
    uint8_t head[9], body[16384];
    snprintf(p->msg, sizeof(p->msg), "service unhealthy (no answer)");
    if (!send_check(p, c))
        return;
    for (int frames = 0; frames < 64 && recv_all(c, head, sizeof(head)); frames++) {
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (len > sizeof(body) || !recv_all(c, body, len))
            return;
        if (head[3] == 4 && (head[4] & 1) == 0) {
            uint8_t ack[9];
            (void)put_frame(ack, 0, 4, 1, 0);
            (void)send_all(c, ack, sizeof(ack));
        }
        /* HealthCheckResponse{status = 1: SERVING} */
        if (head[3] == 0 && len >= 7 && body[5] == 0x08) {
            p->ok = body[6] == 1;
            snprintf(p->msg, sizeof(p->msg), "service unhealthy (responded with status %d)",
                     body[6]);
            return;
        }
        if (head[3] == 3 || head[3] == 7 || ((head[3] == 0 || head[3] == 1) && (head[4] & 1) != 0))
            return;
    }
}

void rt_net_probe_run(struct rt_net_probe *p)
{
    struct conn c = {-1, ac_now_ns() + p->timeout_ns};
    p->ok = false;
    p->msg[0] = '\0';
    if (dial(p, &c)) {
        if (p->kind == RT_TCP)
            p->ok = true;
        else if (p->kind == RT_HTTP)
            http_probe(p, &c);
        else
            grpc_probe(p, &c);
    }
    if (c.fd >= 0)
        close(c.fd);
}
