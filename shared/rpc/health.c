/* grpc.health.v1: what probes and balancers ask. Check runs on the poller, Watch on the loop. */
#include "rpc_impl.h"

#include <grpc/health/v1/health.pb-c.h>

#include <aceso/map.h>
#include <aceso/str.h>

typedef Grpc__Health__V1__HealthCheckRequest request;
typedef Grpc__Health__V1__HealthCheckResponse response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;
#define STATUS(x) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##x

struct watcher {
    struct ac_list node;
    struct ac_rpc_health *h;
    struct ac_rpc_call *c;
    char *service;
    serving_status last;
};

struct ac_rpc_health {
    struct ac_rpc_server *s;
    pthread_mutex_t mu;
    struct ac_map *status; /* service -> yes or no; "" = whole server */
    bool posted, stopping;
    struct ac_list watchers; /* loop */
};

static char yes, no;

/* A service serves when it and the whole server do. False: not known. */
static bool lookup(struct ac_rpc_health *h, const char *service, serving_status *ret)
{
    pthread_mutex_lock(&h->mu);
    const char *all = ac_map_get(h->status, "");
    const char *one = ac_map_get(h->status, service);
    *ret = one == &yes && all == &yes ? STATUS(SERVING) : STATUS(NOT_SERVING);
    pthread_mutex_unlock(&h->mu);
    return one != NULL;
}

bool ac_rpc_health_serving(struct ac_rpc_health *h)
{
    serving_status st;
    return lookup(h, "", &st) && st == STATUS(SERVING);
}

static void check(struct ac_rpc_call *c, const void *req, void *self)
{
    const request *q = req;
    response r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    if (!lookup(self, q->service, &r.status)) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, AC_ENOTFOUND, "no service \"%.100s\" here", q->service);
        ac_rpc_fail(c, &err);
        return;
    }
    ac_rpc_reply(c, &r);
}

static void watcher_end(struct watcher *w, const struct ac_err *err)
{
    ac_list_remove(&w->node);
    ac_rpc_fail(w->c, err);
    free(w->service);
    free(w);
}

static void watch_gone(struct ac_rpc_call *c, void *arg)
{
    (void)c;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ECANCELED, "cancelled");
    watcher_end(arg, &err);
}

static void tell(struct watcher *w)
{
    response r = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    if (!lookup(w->h, w->service, &r.status))
        r.status = STATUS(SERVICE_UNKNOWN);
    if (r.status == w->last)
        return;
    if (ac_rpc_send(w->c, &r) == AC_OK) /* a watcher that does not read misses changes only */
        w->last = r.status;
}

static void watch(struct ac_rpc_call *c, const void *req, void *self)
{
    struct ac_rpc_health *h = self;
    const request *q = req;
    struct watcher *w = ac_xcalloc(1, sizeof(*w));
    w->h = h;
    w->c = c;
    w->service = ac_xstrdup(q->service);
    w->last = STATUS(UNKNOWN);
    ac_list_push_back(&h->watchers, &w->node);
    tell(w);
    if (h->stopping) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, AC_ENET, "the server shuts down");
        watcher_end(w, &err);
        return;
    }
    ac_rpc_on_cancel(c, watch_gone, w);
}

static void changed_cb(void *arg)
{
    struct ac_rpc_health *h = arg;
    pthread_mutex_lock(&h->mu);
    h->posted = false;
    pthread_mutex_unlock(&h->mu);
    AC_LIST_FOREACH(n, &h->watchers)
    tell(AC_LIST_ENTRY(n, struct watcher, node));
}

void ac_rpc_health_set(struct ac_rpc_health *h, const char *service, bool serving, bool only_new)
{
    pthread_mutex_lock(&h->mu);
    bool known = ac_map_get(h->status, service) != NULL;
    bool post = false;
    if (!(only_new && known)) {
        ac_map_set(h->status, service, serving ? &yes : &no);
        post = h->s->started && !h->stopping && !h->posted;
        h->posted = h->posted || post;
    }
    pthread_mutex_unlock(&h->mu);
    if (post)
        ac_loop_post(h->s->r->loop, changed_cb, h);
}

void ac_rpc_health_shutdown(struct ac_rpc_health *h)
{
    ac_rpc_health_set(h, "", false, false);
    pthread_mutex_lock(&h->mu);
    h->stopping = true;
    pthread_mutex_unlock(&h->mu);
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ENET, "the server shuts down");
    AC_LIST_FOREACH(n, &h->watchers)
    {
        struct watcher *w = AC_LIST_ENTRY(n, struct watcher, node);
        tell(w);
        watcher_end(w, &err);
    }
}

struct ac_rpc_health *ac_rpc_health_create(struct ac_rpc_server *s)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "Check", .kind = AC_RPC_UNARY, .handler = check, .flags = AC_RPC_INLINE},
        {.name = "Watch", .kind = AC_RPC_SERVER_STREAM, .handler = watch},
    };
    struct ac_rpc_health *h = ac_xcalloc(1, sizeof(*h));
    h->s = s;
    (void)pthread_mutex_init(&h->mu, NULL);
    h->status = ac_map_create(NULL);
    ac_list_init(&h->watchers);
    ac_rpc_server_add_as(s, &grpc__health__v1__health__descriptor, "grpc.health.v1.Health", methods,
                         AC_ARRAY_LEN(methods), h, true);
    return h;
}

void ac_rpc_health_destroy(struct ac_rpc_health *h)
{
    AC_ASSERT(ac_list_empty(&h->watchers));
    ac_map_destroy(h->status);
    (void)pthread_mutex_destroy(&h->mu);
    free(h);
}
