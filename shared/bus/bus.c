/* Connection, state, and the way down. */
#include "bus_impl.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/log.h>
#include <aceso/str.h>

void ac_bus_ref_(struct ac_bus *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void ac_bus_unref_(struct ac_bus *b)
{
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    ac_map_destroy(b->pending);
    (void)pthread_mutex_destroy(&b->mu);
    free(b->inbox);
    free(b->url);
    free(b);
}

int ac_bus_fail_(struct ac_bus *b, natsStatus s, struct ac_err *err, const char *what)
{
    int code = AC_EIO;
    switch (s) {
    case NATS_TIMEOUT:
        code = AC_ETIMEOUT;
        break;
    case NATS_NOT_FOUND:
        code = AC_ENOTFOUND;
        break;
    case NATS_NO_MEMORY:
    case NATS_MAX_PAYLOAD:
    case NATS_INSUFFICIENT_BUFFER:
        code = AC_EAGAIN;
        break;
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
        code = AC_EINVAL;
        break;
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
        code = AC_EUNAUTH;
        break;
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_NO_SERVER:
    case NATS_IO_ERROR:
    case NATS_NO_RESPONDERS:
    case NATS_STALE_CONNECTION:
        code = AC_ENET;
        break;
    default:
        break;
    }
    return ac_err_set(err, code, "NATS %s: %s: %s", b->url, what, natsStatus_GetText(s));
}

/* ---- state ---- */

struct state_post {
    struct ac_bus *b;
    bool connected;
};

static void state_cb(void *arg)
{
    struct state_post *p = arg;
    struct ac_bus *b = p->b;
    ac_metric_set(b->up, p->connected);
    if (!atomic_load(&b->closed) && b->on_state)
        b->on_state(p->connected, b->on_state_arg);
    free(p);
    ac_bus_unref_(b);
}

static void post_state(struct ac_bus *b, bool connected)
{
    if (atomic_load(&b->closed))
        return;
    struct state_post *p = ac_xmalloc(sizeof(*p));
    p->b = b;
    p->connected = connected;
    ac_bus_ref_(b);
    ac_loop_post(b->loop, state_cb, p);
}

static void on_disconnected(natsConnection *nc, void *closure)
{
    (void)nc;
    AC_LOGD("bus", "disconnected");
    post_state(closure, false);
}

static void on_reconnected(natsConnection *nc, void *closure)
{
    (void)nc;
    AC_LOGD("bus", "reconnected");
    post_state(closure, true);
}

/* The last call that the library makes for a connection, on its own thread and after close
 * returned: until then it holds a reference. */
static void on_closed(natsConnection *nc, void *closure)
{
    (void)nc;
    ac_bus_unref_(closure);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure)
{
    (void)nc;
    (void)sub;
    struct ac_bus *b = closure;
    if (s == NATS_SLOW_CONSUMER)
        ac_metric_add(b->dropped, 1);
    AC_LOGD("bus", "library_error", AC_KS("msg", natsStatus_GetText(s)));
}

/* ---- connecting ---- */

static natsStatus use_creds(natsOptions *opts, const char *path, struct ac_err *err)
{
    char *text = NULL;
    size_t len;
    if (ac_file_read(path, 1 << 16, &text, &len, err) < 0)
        return NATS_ERR;
    natsStatus s;
    if (strstr(text, "-----BEGIN NATS")) {
        s = natsOptions_SetUserCredentialsFromFiles(opts, path, NULL);
    } else {
        char *line = ac_str_trim(text), *colon = strchr(line, ':');
        if (!colon) {
            (void)ac_err_set(err, AC_EINVAL, "%s: give user:password or NATS credentials", path);
            s = NATS_ERR;
        } else {
            *colon = '\0';
            s = natsOptions_SetUserInfo(opts, line, colon + 1);
        }
    }
    explicit_bzero(text, len);
    free(text);
    return s;
}

static natsStatus set_options(struct ac_bus *b, natsOptions *opts, const struct ac_bus_opts *o,
                              struct ac_err *err)
{
    natsStatus s = natsOptions_SetURL(opts, o->url);
    if (s == NATS_OK && o->name)
        s = natsOptions_SetName(opts, o->name);
    if (s == NATS_OK)
        s = natsOptions_SetMaxReconnect(opts, -1);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectWait(opts, 250);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectBufSize(opts, 16 << 20);
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(opts, 5000);
    if (s == NATS_OK)
        s = natsOptions_SetTimeout(opts, 2000);
    if (s == NATS_OK)
        s = natsOptions_SetDisconnectedCB(opts, on_disconnected, b);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(opts, on_closed, b);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectedCB(opts, on_reconnected, b);
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(opts, on_error, b);
    if (s == NATS_OK && o->tls_ca)
        s = natsOptions_LoadCATrustedCertificates(opts, o->tls_ca);
    if (s == NATS_OK && o->tls_cert)
        s = natsOptions_LoadCertificatesChain(opts, o->tls_cert, o->tls_key);
    if (s == NATS_OK && (o->tls_ca || o->tls_cert))
        s = natsOptions_SetSecure(opts, true);
    if (s == NATS_OK && o->creds)
        s = use_creds(opts, o->creds, err);
    return s;
}

/* The server may still be starting: tried again until the time is over, except for a refusal. */
static natsStatus connect_until(struct ac_bus *b, natsOptions *opts, int64_t timeout_ns)
{
    int64_t end = ac_now_ns() + (timeout_ns ? timeout_ns : 10 * AC_NS_PER_S);
    for (;;) {
        natsStatus s = natsConnection_Connect(&b->nc, opts);
        if (s == NATS_OK || s == NATS_CONNECTION_AUTH_FAILED || ac_now_ns() >= end)
            return s;
        nats_Sleep(50);
    }
}

static void make_metrics(struct ac_bus *b, struct ac_metrics *m)
{
    if (!m)
        return;
    b->published = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_bus_published_total",
                                  "Messages published.", NULL, NULL);
    b->received = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_bus_received_total",
                                 "Messages delivered to the loop.", NULL, NULL);
    b->dropped =
        ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_bus_slow_consumer_total",
                       "Messages lost because a subscription's queue was full.", NULL, NULL);
    b->up =
        ac_metrics_get(m, AC_METRIC_GAUGE, "aceso_bus_connected", "1 when connected.", NULL, NULL);
}

/* The URL without its password, for messages. */
static char *public_url(const char *url)
{
    const char *at = strrchr(url, '@'), *scheme = strstr(url, "://");
    if (!at || !scheme)
        return ac_xstrdup(url);
    return ac_xasprintf("%.*s%s", (int)(scheme + 3 - url), url, at + 1);
}

static void discard(struct ac_bus *b)
{
    natsConnection_Destroy(b->nc);
    ac_bus_unref_(b);
}

int ac_bus_connect(struct ac_loop *l, struct ac_metrics *m, const struct ac_bus_opts *o,
                   struct ac_bus **ret, struct ac_err *err)
{
    natsOptions *opts = NULL;
    struct ac_err why = AC_ERR_INIT;
    struct ac_bus *b = ac_xcalloc(1, sizeof(*b));
    b->loop = l;
    b->url = public_url(o->url);
    atomic_init(&b->refs, 1);
    atomic_init(&b->closed, false);
    ac_list_init(&b->subs);
    ac_list_init(&b->readers);
    (void)pthread_mutex_init(&b->mu, NULL);
    b->pending = ac_map_create(NULL);
    make_metrics(b, m);
    natsStatus s = natsOptions_Create(&opts);
    if (s == NATS_OK)
        s = set_options(b, opts, o, &why);
    if (s == NATS_OK)
        s = connect_until(b, opts, o->connect_timeout_ns);
    if (b->nc)
        ac_bus_ref_(b); /* the connection's, see on_closed */
    natsOptions_Destroy(opts);
    jsOptions jo;
    if (s == NATS_OK)
        s = jsOptions_Init(&jo);
    if (s == NATS_OK) {
        jo.Wait = AC_BUS_JS_WAIT_MS;
        s = natsConnection_JetStream(&b->js, b->nc, &jo);
    }
    int code = AC_OK;
    if (why.code != AC_OK)
        code = ac_err_set(err, why.code, "%s", why.msg);
    else if (s == NATS_CONNECTION_AUTH_FAILED)
        code = ac_err_set(err, AC_EUNAUTH, "NATS %s refuses the user or password", b->url);
    else if (s != NATS_OK)
        code = ac_err_set(err, AC_ENET, "cannot connect to NATS at %s: %s: is nats-server running?",
                          b->url, natsStatus_GetText(s));
    if (code == AC_OK)
        code = ac_bus_inbox_open_(b, err);
    if (code < 0) {
        discard(b);
        return code;
    }
    ac_metric_set(b->up, 1);
    *ret = b;
    return AC_OK;
}

bool ac_bus_connected(const struct ac_bus *b)
{
    return natsConnection_Status(b->nc) == NATS_CONN_STATUS_CONNECTED;
}

void ac_bus_on_state(struct ac_bus *b, void (*fn)(bool connected, void *arg), void *arg)
{
    AC_ASSERT_ON_LOOP(b->loop);
    b->on_state = fn;
    b->on_state_arg = arg;
}

void ac_bus_close(struct ac_bus *b)
{
    if (!b)
        return;
    AC_ASSERT_ON_LOOP(b->loop);
    ac_bus_kv_close_(b);
    ac_bus_readers_close_(b);
    atomic_store(&b->closed, true);
    AC_LIST_FOREACH(n, &b->subs)
    ac_bus_unsubscribe(AC_LIST_ENTRY(n, struct ac_bus_sub, node));
    (void)natsConnection_FlushTimeout(b->nc, 2000);
    ac_timer_destroy(b->sweep);
    natsConnection_Close(b->nc);
    natsSubscription_Destroy(b->inbox_sub);
    ac_bus_answers_fail_(b);
    jsCtx_Destroy(b->js);
    natsConnection_Destroy(b->nc);
    b->nc = NULL;
    ac_bus_unref_(b);
}
