/* Servers: methods, listening, accepting, orderly shutdown. */
#include "protoset.h"
#include "rpc_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netdb.h>

#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/map.h>
#include <aceso/str.h>

static void entry_free(void *p)
{
    struct ac_rpc_entry *e = p;
    free(e->path);
    free(e);
}

struct ac_rpc_server *ac_rpc_server_create(struct ac_rpc *r, const struct ac_rpc_server_opts *o)
{
    struct ac_rpc_server *s = ac_xcalloc(1, sizeof(*s));
    s->magic = AC_RPC_SERVER_MAGIC;
    s->r = r;
    ac_rpc_rt_ref(r);
    atomic_fetch_add(&r->users, 1);
    s->listen = ac_xstrdup(o->listen ? o->listen : "127.0.0.1:0");
    s->max_message_bytes =
        o->max_message_bytes ? o->max_message_bytes : AC_RPC_DEFAULT_MESSAGE_BYTES;
    s->reflection = o->reflection;
    s->max_streams = o->max_streams ? o->max_streams : 1000;
    if (o->tokens) {
        size_t n = 0;
        while (o->tokens[n])
            n++;
        s->tokens = ac_xcalloc(n + 1, sizeof(*s->tokens));
        for (size_t i = 0; i < n; i++)
            s->tokens[i] = ac_xstrdup(o->tokens[i]);
    }
    if (ac_rpc_tls_given(o->tls)) {
        s->has_tls = true;
        s->tls = (struct ac_rpc_tls){.ca = ac_xstrdup(o->tls->ca),
                                     .cert = ac_xstrdup(o->tls->cert),
                                     .key = ac_xstrdup(o->tls->key),
                                     .require_client_cert = o->tls->require_client_cert};
    }
    (void)pthread_mutex_init(&s->mu, NULL);
    ac_list_init(&s->calls);
    s->entries = ac_map_create(entry_free);
    s->raws = ac_map_create(entry_free);
    s->services = ac_map_create(NULL);
    if (r->metrics)
        s->running = ac_metrics_get(r->metrics, AC_METRIC_GAUGE, "aceso_rpc_server_calls",
                                    "Calls that run now.", NULL, NULL);
    s->unknown = (struct ac_rpc_entry){.path = NULL, .open = true};

    s->health = ac_rpc_health_create(s);
    if (s->reflection)
        ac_rpc_reflection_add(s);
    return s;
}

void ac_rpc_server_add_as(struct ac_rpc_server *s, const ProtobufCServiceDescriptor *svc,
                          const char *service_name, const struct ac_rpc_method *methods, size_t n,
                          void *self, bool open)
{
    AC_ASSERT(!s->started);
    for (size_t i = 0; i < n; i++) {
        const struct ac_rpc_method *m = &methods[i];
        struct ac_rpc_entry *e = ac_xcalloc(1, sizeof(*e));
        e->m = protobuf_c_service_descriptor_get_method_by_name(svc, m->name);
        AC_ASSERT(e->m != NULL); /* a table that names a method which the .proto does not have */
        AC_ASSERT(!(m->flags & AC_RPC_INLINE) || m->kind == AC_RPC_UNARY);
        e->path = ac_xasprintf("/%s/%s", service_name, m->name);
        e->kind = m->kind;
        e->handler = m->handler;
        e->flags = m->flags;
        e->max_request_bytes = m->max_request_bytes;
        e->self = self;
        e->open = open;
        ac_map_set(s->entries, e->path, e);
    }
    ac_map_set(s->services, service_name, s);
}

void ac_rpc_server_add(struct ac_rpc_server *s, const ProtobufCServiceDescriptor *svc,
                       const struct ac_rpc_method *methods, size_t n, void *self)
{
    AC_CHECK_OBJ(s, AC_RPC_SERVER_MAGIC);
    ac_rpc_server_add_as(s, svc, svc->name, methods, n, self, false);
}

void ac_rpc_server_add_raw(struct ac_rpc_server *s, const char *service_full_name,
                           ac_rpc_handler handler, void *self)
{
    AC_CHECK_OBJ(s, AC_RPC_SERVER_MAGIC);
    AC_ASSERT(!s->started);
    struct ac_rpc_entry *e = ac_xcalloc(1, sizeof(*e));
    e->path = ac_xasprintf("/%s/*", service_full_name);
    e->kind = AC_RPC_UNARY;
    e->handler = handler;
    e->self = self;
    ac_map_set(s->raws, service_full_name, e);
    ac_map_set(s->services, service_full_name, s);
}

void ac_rpc_server_intercept(struct ac_rpc_server *s, ac_rpc_interceptor fn, void *arg)
{
    AC_ASSERT(!s->started);
    ac_grow(&s->intercept, &s->cap_intercept, s->n_intercept + 1, sizeof(*s->intercept));
    s->intercept[s->n_intercept].fn = fn;
    s->intercept[s->n_intercept++].arg = arg;
}

struct ac_rpc_entry *ac_rpc_server_find(struct ac_rpc_server *s, const char *path)
{
    if (!path)
        return NULL;
    struct ac_rpc_entry *e = ac_map_get(s->entries, path);
    if (e || ac_map_len(s->raws) == 0)
        return e;
    const char *slash = path[0] == '/' ? strrchr(path + 1, '/') : NULL;
    char service[256];
    if (!slash || slash[1] == '\0' || (size_t)(slash - path) > sizeof(service))
        return NULL;
    size_t n = (size_t)(slash - path) - 1;
    memcpy(service, path + 1, n);
    service[n] = '\0';
    return ac_map_get(s->raws, service);
}

/* ---- listening ---- */

static grpc_server *core_server(const struct ac_rpc_server *s)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("aceso");
    grpc_resource_quota_resize(quota, AC_RPC_SERVER_MEMORY);
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = (char[]){GRPC_ARG_ALLOW_REUSEPORT}, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH},
         .value.integer = (int)AC_MIN(s->max_message_bytes, (size_t)INT32_MAX)},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MAX_SEND_MESSAGE_LENGTH},
         .value.integer = (int)AC_RPC_CLIENT_MESSAGE_BYTES},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_MAX_CONCURRENT_STREAMS},
         .value.integer = (int)s->max_streams},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_KEEPALIVE_TIME_MS},
         .value.integer = 60000},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_KEEPALIVE_TIMEOUT_MS},
         .value.integer = 20000},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS},
         .value.integer = 10000},
        {.type = GRPC_ARG_POINTER,
         .key = (char[]){GRPC_ARG_RESOURCE_QUOTA},
         .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}},
    };
    grpc_channel_args ca = {.num_args = AC_ARRAY_LEN(args), .args = args};
    grpc_server *g = grpc_server_create(&ca, NULL);
    grpc_resource_quota_unref(quota);
    grpc_server_register_completion_queue(g, s->r->cq, NULL);
    return g;
}

/* Core does not say why it could not bind: ask the system. */
static int bind_error(const char *addr, struct ac_err *err)
{
    if (ac_str_starts(addr, "unix:"))
        return ac_err_set(err, AC_ENET,
                          "cannot listen on %s: is its directory there, and may this "
                          "user write to it?",
                          addr);
    char host[256];
    const char *colon = strrchr(addr, ':');
    if (!colon || (size_t)(colon - addr) >= sizeof(host))
        return ac_err_set(err, AC_EINVAL, "\"%s\" is no address: give HOST:PORT", addr);
    (void)ac_str_copy(host, (size_t)(colon - addr) + 1, addr);
    char *h = host;
    if (h[0] == '[') {
        h++;
        h[strcspn(h, "]")] = '\0';
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
    int e = getaddrinfo(h[0] ? h : NULL, colon + 1, &hints, &ai);
    if (e != 0)
        return ac_err_set(err, AC_EINVAL, "cannot listen on \"%s\": %s", addr, gai_strerror(e));
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), no = 0, one = 1;
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        no = bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 1) < 0 ? errno : 0;
        (void)close(fd);
    }
    freeaddrinfo(ai);
    if (no == EADDRINUSE)
        return ac_err_set(
            err, AC_EEXISTS,
            "port %s of %s is taken by another process: stop it (ss -ltnp shows it) or "
            "choose another port",
            colon + 1, h);
    if (no != 0)
        return ac_err_errno(err, no, "cannot listen on %s", addr);
    return ac_err_set(err, AC_EIO, "cannot listen on %s", addr);
}

/* Core would take 443 for a port that is not there, and cut one that is too large. */
static int check_address(const char *addr, struct ac_err *err)
{
    const char *colon = strrchr(addr, ':');
    if (ac_str_starts(addr, "unix:"))
        return 0;
    if (!colon)
        return ac_err_set(err, AC_EINVAL, "\"%s\" is no address: give HOST:PORT", addr);
    const char *port = colon + 1;
    size_t digits = strspn(port, "0123456789");
    if (port[digits] == '\0' && (digits > 5 || strtol(port, NULL, 10) > 65535))
        return ac_err_set(err, AC_EINVAL, "\"%s\" has no such port: they end at 65535", addr);
    return 0;
}

int ac_rpc_server_start(struct ac_rpc_server *s, struct ac_err *err)
{
    AC_CHECK_OBJ(s, AC_RPC_SERVER_MAGIC);
    AC_ASSERT(!s->started);
    if (check_address(s->listen, err) != 0)
        return AC_EINVAL;
    grpc_server_credentials *creds = ac_rpc_server_creds(s->has_tls ? &s->tls : NULL, err);
    if (!creds)
        return AC_EINVAL;
    s->g = core_server(s);
    int port = grpc_server_add_http2_port(s->g, s->listen, creds);
    grpc_server_credentials_release(creds);
    if (port == 0) {
        grpc_server_destroy(s->g);
        s->g = NULL;
        return bind_error(s->listen, err);
    }
    s->port = ac_str_starts(s->listen, "unix:") ? 0 : port;
    ac_rpc_health_set(s->health, "", true, true);
    const char *name;
    void *unused;
    for (size_t it = 0; ac_map_next(s->services, &it, &name, &unused);)
        ac_rpc_health_set(s->health, name, true, true);
    s->started = true;
    grpc_server_start(s->g);
    for (unsigned i = 0; i < AC_RPC_ARMED; i++)
        ac_rpc_server_arm(s);
    AC_LOGD("rpc", "listening", AC_KS("address", s->listen), AC_KI("port", s->port));
    return AC_OK;
}

/* ---- accepting ---- */

static void on_accept(struct ac_rpc_op *op, bool ok)
{
    struct ac_rpc_call *c = AC_CONTAINER_OF(op, struct ac_rpc_call, op_accept);
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    if (!ok) { /* the server shuts down: freed, not armed again */
        ac_rpc_call_unref(c);
        return;
    }
    ac_rpc_server_arm(c->s);
    ac_rpc_call_accepted(c);
}

void ac_rpc_server_arm(struct ac_rpc_server *s)
{
    struct ac_rpc_call *c = ac_rpc_call_create(s);
    pthread_mutex_lock(&s->mu);
    s->live++;
    ac_list_push_back(&s->calls, &c->node);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->mu);
    ac_rpc_op_arm(&c->op_accept, on_accept);
    if (stopping || grpc_server_request_call(s->g, &c->g, &c->details, &c->md, s->r->cq, s->r->cq,
                                             &c->op_accept) != GRPC_CALL_OK)
        ac_rpc_call_unref(c);
}

/* ---- the end ---- */

static void finished_cb(void *arg)
{
    struct ac_rpc_server *s = arg;
    ac_timer_destroy(s->grace);
    ac_timer_destroy(s->nag);
    s->grace = s->nag = NULL;
    if (s->done)
        s->done(s->done_arg);
}

/* With s->mu held; true: the caller posts finished_cb after unlocking. */
static bool finished(struct ac_rpc_server *s)
{
    if (!s->tag_seen || s->live > 0 || s->done_posted)
        return false;
    s->done_posted = true;
    return true;
}

void ac_rpc_server_call_gone(struct ac_rpc_server *s, struct ac_list *node)
{
    struct ac_loop *loop = s->r->loop;
    pthread_mutex_lock(&s->mu);
    s->live--;
    ac_list_remove(node);
    bool post = finished(s);
    pthread_mutex_unlock(&s->mu);
    if (post)
        ac_loop_post(loop, finished_cb, s);
}

static void on_shutdown(struct ac_rpc_op *op, bool ok)
{
    (void)ok;
    struct ac_rpc_server *s = AC_CONTAINER_OF(op, struct ac_rpc_server, op_shutdown);
    struct ac_loop *loop = s->r->loop;
    pthread_mutex_lock(&s->mu);
    s->tag_seen = true;
    bool post = finished(s);
    pthread_mutex_unlock(&s->mu);
    if (post)
        ac_loop_post(loop, finished_cb, s);
}

static void grace_over(void *arg)
{
    struct ac_rpc_server *s = arg;
    grpc_server_cancel_all_calls(s->g);
    ac_timer_start(s->nag, 5 * AC_NS_PER_S, 5 * AC_NS_PER_S);
}

/* A handler that never ends its call would hold the shutdown for ever in silence. */
static void nag(void *arg)
{
    struct ac_rpc_server *s = arg;
    pthread_mutex_lock(&s->mu);
    AC_LIST_FOREACH(n, &s->calls)
    {
        struct ac_rpc_call *c = AC_LIST_ENTRY(n, struct ac_rpc_call, node);
        if (c->path)
            AC_LOGW("rpc", "call_not_ended", AC_KS("method", c->path),
                    AC_KS("hint", "its handler has to end it after on_cancel"));
    }
    pthread_mutex_unlock(&s->mu);
}

void ac_rpc_server_shutdown(struct ac_rpc_server *s, int64_t grace_ns, ac_loop_fn done, void *arg)
{
    AC_CHECK_OBJ(s, AC_RPC_SERVER_MAGIC);
    AC_ASSERT_ON_LOOP(s->r->loop);
    AC_ASSERT(!s->stopping);
    s->done = done;
    s->done_arg = arg;
    pthread_mutex_lock(&s->mu);
    s->stopping = true;
    pthread_mutex_unlock(&s->mu);
    if (!s->started) {
        s->done_posted = true;
        ac_loop_post(s->r->loop, finished_cb, s);
        return;
    }
    ac_rpc_health_shutdown(s->health);
    s->nag = ac_timer_create(s->r->loop, nag, s);
    s->grace = ac_timer_create(s->r->loop, grace_over, s);
    ac_timer_start(s->grace, AC_MAX(grace_ns, 0), 0);
    ac_rpc_op_arm(&s->op_shutdown, on_shutdown);
    grpc_server_shutdown_and_notify(s->g, s->r->cq, &s->op_shutdown);
}

void ac_rpc_server_destroy(struct ac_rpc_server *s)
{
    if (!s)
        return;
    AC_CHECK_OBJ(s, AC_RPC_SERVER_MAGIC);
    AC_ASSERT(!s->started || (s->done_posted && s->live == 0));
    if (s->g)
        grpc_server_destroy(s->g);
    ac_rpc_health_destroy(s->health);
    ac_rpc_protoset_destroy(s->protoset);
    ac_map_destroy(s->entries);
    ac_map_destroy(s->raws);
    ac_map_destroy(s->services);
    for (char **t = s->tokens; t && *t; t++)
        free(*t);
    free(s->tokens);
    union {
        const char *in;
        char *out;
    } tls[3] = {{s->tls.ca}, {s->tls.cert}, {s->tls.key}};
    for (size_t i = 0; i < 3; i++)
        free(tls[i].out);
    free(s->intercept);
    free(s->listen);
    (void)pthread_mutex_destroy(&s->mu);
    atomic_fetch_sub(&s->r->users, 1);
    ac_rpc_rt_unref(s->r);
    s->magic = 0;
    free(s);
}

int ac_rpc_server_port(const struct ac_rpc_server *s)
{
    return s->port;
}

void ac_rpc_server_set_serving(struct ac_rpc_server *s, const char *service, bool serving)
{
    ac_rpc_health_set(s->health, service, serving, false);
}
