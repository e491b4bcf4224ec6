/* The HTTP server: libmicrohttpd's thread outside, the loop inside. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <netinet/in.h>

#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define STOP_WAIT_NS (500 * AC_NS_PER_MS)

void http_server_unref(struct ac_http_server *s)
{
    bool last;

    (void)pthread_mutex_lock(&s->lock);
    last = --s->refs == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->idle);
    s->magic = 0;
    free(s);
}

/* ---- reading a request: MHD's thread ---- */

static enum MHD_Result count_field(void *cls, enum MHD_ValueKind kind, const char *k, const char *v)
{
    unsigned *n = cls;

    (void)kind;
    (void)k;
    (void)v;
    return ++*n < HTTP_MAX_FIELDS ? MHD_YES : MHD_NO;
}

struct copy_arg {
    struct ac_http_req *r;
    struct http_fields *f;
    unsigned cap;
};

static enum MHD_Result copy_field(void *cls, enum MHD_ValueKind kind, const char *k, const char *v)
{
    struct copy_arg *a = cls;
    struct http_field *f;

    (void)kind;
    if (a->f->n >= a->cap)
        return MHD_NO;
    f = &a->f->at[a->f->n];
    f->name = ac_arena_strdup(a->r->arena, k);
    f->value = ac_arena_strdup(a->r->arena, v ? v : "");
    if (!f->name || !f->value)
        return MHD_NO;
    a->f->n++;
    return MHD_YES;
}

/* Our own copies: the loop reads them whenever it likes, without asking MHD. */
static void copy_fields(struct ac_http_req *r, enum MHD_ValueKind kind, struct http_fields *f)
{
    struct copy_arg a = {r, f, 0};

    (void)MHD_get_connection_values(r->conn, kind, count_field, &a.cap);
    f->at = ac_arena_calloc(r->arena, a.cap + 1, sizeof *f->at);
    if (f->at)
        (void)MHD_get_connection_values(r->conn, kind, copy_field, &a);
}

static void set_peer(struct ac_http_req *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char ip[INET6_ADDRSTRLEN] = "?";

    (void)ac_str_copy(r->peer, sizeof r->peer, "?");
    if (!info || !info->client_addr)
        return;
    if (info->client_addr->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)info->client_addr;
        (void)inet_ntop(AF_INET, &a->sin_addr, ip, sizeof ip);
        (void)snprintf(r->peer, sizeof r->peer, "%s:%u", ip, ntohs(a->sin_port));
    } else if (info->client_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)info->client_addr;
        (void)inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof ip);
        (void)snprintf(r->peer, sizeof r->peer, "[%s]:%u", ip, ntohs(a->sin6_port));
    }
}

/* MHD asks for a client certificate when it has a CA, but leaves the verdict to us. */
static void check_client(struct ac_http_req *r)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t tls = info ? info->tls_session : NULL;
    const gnutls_datum_t *certs;
    gnutls_x509_crt_t crt;
    unsigned n = 0, status = 0;
    char name[256];
    size_t len = sizeof name;

    if (!tls || !(certs = gnutls_certificate_get_peers(tls, &n)) || n == 0)
        return; /* none shown: the handler decides what that one may do */
    if (gnutls_certificate_verify_peers2(tls, &status) || status) {
        r->early_status = MHD_HTTP_FORBIDDEN;
        return;
    }
    if (gnutls_x509_crt_init(&crt))
        return;
    if (!gnutls_x509_crt_import(crt, &certs[0], GNUTLS_X509_FMT_DER) &&
        !gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len))
        r->client_name = ac_arena_strndup(r->arena, name, len);
    gnutls_x509_crt_deinit(crt);
}

/* First of all, with the URI as it came. The result is what the other callbacks get. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct ac_http_server *s = cls;
    struct ac_http_req *r = ac_xcalloc(1, sizeof *r);

    r->magic = HTTP_REQ_MAGIC;
    r->s = s;
    r->conn = conn;
    r->refs = 1;
    r->start_ns = ac_now_ns();
    r->arena = ac_arena_create(4 * HTTP_HEADER_BYTES);
    ac_list_init(&r->node);
    ac_list_init(&r->out_headers);
    ac_buf_init(&r->body, s->max_body + 1);
    /* A NUL would cut the path or a value short for whoever reads it as a C string. */
    if (strstr(uri, "%00"))
        r->early_status = MHD_HTTP_BAD_REQUEST;
    (void)pthread_mutex_lock(&s->lock);
    s->refs++;
    s->in_flight++;
    (void)pthread_mutex_unlock(&s->lock);
    ac_metric_add(s->gauge, 1);
    return r;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                         enum MHD_RequestTerminationCode toe)
{
    struct ac_http_server *s = cls;
    struct ac_http_req *r = *con_cls;

    (void)conn;
    (void)toe;
    if (!r)
        return;
    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    *con_cls = NULL;
    if (r->status && s->metrics) {
        char code[12];
        const char *labels[] = {"code", code, NULL};
        (void)snprintf(code, sizeof code, "%d", r->status);
        ac_metric_add(ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_http_requests_total",
                                     "HTTP requests by status", labels, NULL),
                      1);
        ac_metric_observe(s->seconds, (double)(ac_now_ns() - r->start_ns) / 1e9);
    }
    ac_metric_add(s->gauge, -1);
    (void)pthread_mutex_lock(&s->lock);
    r->conn = NULL;
    if (--s->in_flight == 0)
        (void)pthread_cond_broadcast(&s->idle);
    (void)pthread_mutex_unlock(&s->lock);
    http_req_unref(r);
}

static enum MHD_Result reply_now(struct ac_http_req *r, int status)
{
    static const char text[] = "request refused\n";
    struct MHD_Response *resp = MHD_create_response_from_buffer(
        sizeof text - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc;

    r->status = status;
    if (status == MHD_HTTP_CONTENT_TOO_LARGE || status == MHD_HTTP_SERVICE_UNAVAILABLE)
        (void)MHD_add_response_header(resp, MHD_HTTP_HEADER_CONNECTION, "close");
    rc = MHD_queue_response(r->conn, (unsigned)status, resp);
    MHD_destroy_response(resp);
    return rc;
}

/* Loop thread. */
static void dispatch(void *arg)
{
    struct ac_http_req *r = arg;
    struct ac_http_server *s = r->s;
    bool wanted;

    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    (void)pthread_mutex_lock(&s->lock);
    wanted = r->state == HTTP_WAITING;
    if (wanted)
        r->refs++; /* so that the handler may look at r after it answered */
    (void)pthread_mutex_unlock(&s->lock);
    if (wanted)
        s->fn(r, s->arg);
    http_req_unref(r);
}

static enum MHD_Result to_loop(struct ac_http_req *r)
{
    struct ac_http_server *s = r->s;
    bool stopping;

    (void)pthread_mutex_lock(&s->lock);
    stopping = s->stopping;
    if (!stopping) {
        r->state = HTTP_WAITING;
        r->refs++;
        ac_list_push_back(&s->waiting, &r->node);
        MHD_suspend_connection(r->conn);
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (stopping)
        return reply_now(r, MHD_HTTP_SERVICE_UNAVAILABLE);
    ac_loop_post(s->loop, dispatch, r);
    return MHD_YES;
}

static void begin(struct ac_http_req *r, const char *url, const char *method)
{
    const char *length;
    uint64_t n;

    r->started = true;
    r->method = ac_arena_strdup(r->arena, method);
    r->path = ac_arena_strdup(r->arena, url);
    copy_fields(r, MHD_HEADER_KIND, &r->headers);
    copy_fields(r, MHD_GET_ARGUMENT_KIND, &r->query);
    set_peer(r);
    if (ac_arena_failed(r->arena))
        r->early_status = MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    if (r->s->verify_client)
        check_client(r);
    length = ac_http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (length && (!ac_str_to_u64(length, &n) || n > r->s->max_body))
        r->early_status = MHD_HTTP_CONTENT_TOO_LARGE;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **con_cls)
{
    struct ac_http_req *r = *con_cls;

    (void)cls;
    (void)conn;
    (void)version;
    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    if (!r->started) {
        begin(r, url, method);
        /* A first call may answer at once: then the body is not read at all. */
        return r->early_status ? reply_now(r, r->early_status) : MHD_YES;
    }
    if (*size) {
        if (!ac_buf_append(&r->body, data, *size) || r->body.len > r->s->max_body)
            return MHD_NO; /* chunked and too large: MHD takes no answer here, so hang up */
        *size = 0;
        return MHD_YES;
    }
    if (r->state == HTTP_READING)
        return to_loop(r);
    if (r->state == HTTP_HANG_UP)
        return MHD_NO;
    /* Resumed: the answer is there. */
    return MHD_queue_response(r->conn, (unsigned)r->status, r->response);
}

static void on_log(void *cls, const char *fmt, va_list ap) AC_PRINTF(2, 0);
static void on_log(void *cls, const char *fmt, va_list ap)
{
    char text[256];

    (void)cls;
    if (!ac_log_enabled(AC_LOG_DEBUG, "http"))
        return;
    (void)vsnprintf(text, sizeof text, fmt, ap);
    AC_LOGD("http", "library", AC_KS("text", text));
}

/* ---- start and stop: loop thread ---- */

static int split_address(const char *listen_at, char **ret_host, const char **ret_port,
                         struct ac_err *err)
{
    const char *colon = strrchr(listen_at, ':');
    uint64_t port;

    if (!colon || !ac_str_to_u64(colon + 1, &port) || port > 65535)
        return ac_err_set(err, AC_EINVAL, "http: \"%s\" is not HOST:PORT", listen_at);
    *ret_port = colon + 1;
    if (listen_at[0] == '[' && colon[-1] == ']')
        *ret_host = ac_xstrndup(listen_at + 1, (size_t)(colon - listen_at) - 2);
    else
        *ret_host = ac_xstrndup(listen_at, (size_t)(colon - listen_at));
    return AC_OK;
}

static int open_socket(const struct addrinfo *a, const char *listen_at, int *ret_fd, int *ret_port,
                       struct ac_err *err)
{
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;
    int one = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return ac_err_errno(err, errno, "http: socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 511) ||
        getsockname(fd, (struct sockaddr *)&sa, &n)) {
        int e = errno;
        (void)close(fd);
        if (e == EADDRINUSE)
            return ac_err_set(err, AC_EEXISTS,
                              "http: port of %s is taken by another program; choose another or 0",
                              listen_at);
        return ac_err_errno(err, e, "http: listen on %s", listen_at);
    }
    *ret_port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                               : ((struct sockaddr_in *)&sa)->sin_port);
    *ret_fd = fd;
    return AC_OK;
}

static int listen_on(const char *listen_at, int *ret_fd, int *ret_port, struct ac_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    const char *port = NULL;
    char *host = NULL;
    int rc = split_address(listen_at, &host, &port, err), e;

    if (rc)
        return rc;
    e = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    free(host);
    if (e)
        return ac_err_set(err, AC_EINVAL, "http: address %s: %s", listen_at, gai_strerror(e));
    rc = open_socket(list, listen_at, ret_fd, ret_port, err);
    freeaddrinfo(list);
    return rc;
}

static struct MHD_Daemon *start_daemon(struct ac_http_server *s,
                                       const struct ac_http_server_opts *o, int fd)
{
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (o->tls_cert ? MHD_USE_TLS : 0);
    int64_t idle = o->idle_timeout_ns > 0 ? o->idle_timeout_ns : 60 * AC_NS_PER_S;
    struct MHD_OptionItem ops[16];
    int n = 0;

    ops[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, fd, NULL};
    ops[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT,
                                       o->max_connections ? o->max_connections : 256, NULL};
    ops[n++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, AC_MAX(idle / AC_NS_PER_S, 1), NULL};
    ops[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_HEADER_BYTES, NULL};
    if (o->tls_cert) {
        ops[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert};
        ops[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key};
        ops[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                           (void *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:"
                                                               "+VERS-TLS1.2"};
        if (o->tls_client_ca)
            ops[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0,
                                               (void *)(uintptr_t)o->tls_client_ca};
    }
    ops[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log,
                            NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_ARRAY, ops,
                            MHD_OPTION_END);
}

int ac_http_server_start(struct ac_loop *l, struct ac_metrics *m,
                         const struct ac_http_server_opts *o, ac_http_handler fn, void *arg,
                         struct ac_http_server **ret, struct ac_err *err)
{
    struct ac_http_server *s;
    int fd = -1, port = 0, rc = listen_on(o->listen ? o->listen : "127.0.0.1:0", &fd, &port, err);

    if (rc)
        return rc;
    s = ac_xcalloc(1, sizeof *s);
    s->magic = HTTP_SERVER_MAGIC;
    s->loop = l;
    s->metrics = m;
    s->fn = fn;
    s->arg = arg;
    s->port = port;
    s->max_body = o->max_body_bytes ? o->max_body_bytes : 4u * 1024 * 1024;
    s->verify_client = o->tls_cert && o->tls_client_ca;
    s->refs = 1;
    ac_list_init(&s->waiting);
    ac_list_init(&s->streams);
    ac_list_init(&s->sockets);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->idle, NULL);
    if (m) {
        s->seconds = ac_metrics_get(m, AC_METRIC_HISTOGRAM, "aceso_http_request_seconds",
                                    "Time from the request's first byte to the answer's last", NULL,
                                    ac_metric_seconds_buckets);
        s->gauge = ac_metrics_get(m, AC_METRIC_GAUGE, "aceso_http_requests_in_flight",
                                  "HTTP requests and streams not yet ended", NULL, NULL);
    }
    s->daemon = start_daemon(s, o, fd);
    if (!s->daemon) {
        (void)close(fd);
        http_server_unref(s);
        return ac_err_set(err, o->tls_cert ? AC_EINVAL : AC_EIO, "http: cannot serve on %s%s",
                          o->listen, o->tls_cert ? ": certificate or key not usable" : "");
    }
    *ret = s;
    return AC_OK;
}

int ac_http_server_port(const struct ac_http_server *s)
{
    return s->port;
}

/* Answers 503 to whoever waits for the loop; their handlers' answers will be dropped. */
static void refuse_waiting(struct ac_http_server *s)
{
    struct ac_list *n;

    while ((n = ac_list_pop_front(&s->waiting))) {
        struct ac_http_req *r = AC_LIST_ENTRY(n, struct ac_http_req, node);
        r->response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        r->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        r->state = HTTP_ANSWERED;
        MHD_resume_connection(r->conn);
    }
}

void ac_http_server_stop(struct ac_http_server *s)
{
    struct timespec t;
    MHD_socket fd;

    if (!s)
        return;
    AC_CHECK_OBJ(s, HTTP_SERVER_MAGIC);
    AC_ASSERT_ON_LOOP(s->loop);
    fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        (void)close(fd);
    (void)pthread_mutex_lock(&s->lock);
    s->stopping = true;
    refuse_waiting(s);
    (void)pthread_mutex_unlock(&s->lock);
    http_streams_end(s);
    http_ws_end_all(s);
    /* Stopping the daemon cuts connections; let the last answers out first. */
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += STOP_WAIT_NS;
    t.tv_sec += t.tv_nsec / AC_NS_PER_S;
    t.tv_nsec %= AC_NS_PER_S;
    (void)pthread_mutex_lock(&s->lock);
    while (s->in_flight && !pthread_cond_timedwait(&s->idle, &s->lock, &t))
        ;
    (void)pthread_mutex_unlock(&s->lock);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    http_streams_finish(s);
    http_server_unref(s);
}
