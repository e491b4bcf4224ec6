#include "proxy.h"

#include "proxy_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include <aceso/log.h>

#include "core/chaos.h"

#define BACKLOG    512
#define EVENTS     128
#define FAULTS_MAX 64

/* ---- plans: on the loop ---- */

static void add_targets(json_t *list, const json_t *ep, const json_t *port)
{
    size_t i, a, k;
    json_t *subset, *addr, *p;
    const char *name = js_str(port, "name", "");
    json_array_foreach(js_at(ep, "subsets"), i, subset)
        json_array_foreach(js_at(subset, "ports"), k, p)
    {
        if (!ac_streq(js_str(p, "name", ""), name))
            continue;
        json_array_foreach(js_at(subset, "addresses"), a, addr)
            json_array_append_new(list, json_pack("{s:s,s:I,s:s}", "ip", js_str(addr, "ip", ""),
                                                  "port", (json_int_t)js_int(p, "port", 0), "uid",
                                                  js_str(addr, "targetRef.uid", "")));
    }
}

static json_t *make_plan(struct proxy *p)
{
    json_t *listeners = json_object(), *faults = json_array(), *svc;
    for (size_t it = 0; (svc = cl_store_next(p->store, CL_SERVICE, NULL, &it)) != NULL;) {
        const char *ip = js_str(svc, "spec.clusterIP", "None");
        const json_t *ep = cl_store_get(p->store, CL_ENDPOINTS, js_ns(svc), js_name(svc));
        size_t i;
        json_t *port;
        if (!ac_str_starts(ip, "127."))
            continue;
        json_array_foreach(js_at(svc, "spec.ports"), i, port)
        {
            char key[32];
            json_t *list = json_array();
            if (ac_streq(js_str(port, "protocol", "TCP"), "TCP"))
                add_targets(list, ep, port);
            snprintf(key, sizeof(key), "%.15s:%lld", ip, (long long)js_int(port, "port", 0));
            json_object_set_new(listeners, key, list);
        }
    }
    struct cl_net_fault found[FAULTS_MAX];
    size_t n = cl_chaos_net_faults(p->store, found, FAULTS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct cl_net_fault *f = &found[i];
        json_t *j =
            json_pack("{s:O,s:b,s:b,s:b,s:I,s:I,s:f}", "sources", f->sources, "to", f->to, "from",
                      f->from, "partition", f->partition, "latency", (json_int_t)f->latency_ns,
                      "jitter", (json_int_t)f->jitter_ns, "loss", f->loss);
        if (f->targets != NULL)
            json_object_set(j, "targets", f->targets);
        json_array_append_new(faults, j);
        cl_net_fault_fini(f);
    }
    return json_pack("{s:o,s:o}", "listeners", listeners, "faults", faults);
}

void proxy_sync(struct proxy *p)
{
    js_auto plan = make_plan(p);
    if (json_equal(plan, p->last))
        return;
    json_decref(p->last);
    p->last = json_incref(plan);
    /* A copy of its own: values must not be shared between threads. */
    json_t *copy = json_deep_copy(plan);
    uint64_t one = 1;
    pthread_mutex_lock(&p->lock);
    json_t *unread = p->pending;
    p->pending = copy;
    pthread_mutex_unlock(&p->lock);
    json_decref(unread);
    if (write(p->wake, &one, sizeof(one)) != sizeof(one))
        AC_LOGW("proxy", "wake", AC_KS("msg", strerror(errno)));
}

/* ---- connections: on the proxy's thread ---- */

static void chunk_free_all(struct px_flow *f)
{
    for (struct px_chunk *c = f->head, *n; c != NULL; c = n) {
        n = c->next;
        free(c);
    }
    f->head = f->tail = NULL;
}

static void close_fd(int *fd, bool reset)
{
    struct linger now = {1, 0};
    if (*fd < 0)
        return;
    if (reset)
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(*fd);
    *fd = -1;
}

/* The memory stays until the end of the round: epoll may still hand the object back. */
static void conn_close(struct proxy *p, struct px_conn *c, bool reset)
{
    if (c->dead)
        return;
    c->dead = true;
    close_fd(&c->client, reset);
    close_fd(&c->server, reset);
    p->n_conns--;
    ac_metric_set(p->m_open, (double)p->n_conns);
}

static void conn_free(struct px_conn *c)
{
    ac_list_remove(&c->node);
    chunk_free_all(&c->up);
    chunk_free_all(&c->down);
    free(c);
}

static void arm(struct proxy *p, struct px_end *end, int fd, const struct px_flow *in,
                const struct px_flow *out)
{
    struct epoll_event ev = {.data.ptr = end};
    if (fd < 0)
        return;
    ev.events = (in->want_in ? (unsigned)EPOLLIN : 0U) | (out->want_out ? (unsigned)EPOLLOUT : 0U);
    (void)epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &ev);
}

/* Tells epoll what has changed. */
static void conn_arm(struct proxy *p, struct px_conn *c)
{
    if (c->dead)
        return;
    bool up_in = !c->up.in_ended && c->up.queued < PX_QUEUE_MAX;
    bool down_in = !c->down.in_ended && c->down.queued < PX_QUEUE_MAX;
    int64_t now = ac_now_ns();
    bool up_out = c->connecting || (c->up.head != NULL && c->up.head->due_ns <= now);
    bool down_out = c->down.head != NULL && c->down.head->due_ns <= now;
    bool client = up_in != c->up.want_in || down_out != c->down.want_out;
    bool server = down_in != c->down.want_in || up_out != c->up.want_out;
    c->up.want_in = up_in;
    c->down.want_in = down_in;
    c->up.want_out = up_out;
    c->down.want_out = down_out;
    if (client)
        arm(p, &c->client_end, c->client, &c->up, &c->down);
    if (server)
        arm(p, &c->server_end, c->server, &c->down, &c->up);
}

static void push(struct px_flow *f, const char *data, size_t len, int64_t due)
{
    struct px_chunk *c = ac_xmalloc(sizeof(*c) + len);
    *c = (struct px_chunk){.due_ns = due, .len = len};
    memcpy(c->data, data, len);
    if (f->tail != NULL)
        f->tail->next = c;
    else
        f->head = c;
    f->tail = c;
    f->queued += len;
}

/* Sends what is due. False when the connection broke. */
static bool flush(struct px_flow *f, int64_t now)
{
    while (f->head != NULL && f->head->due_ns <= now) {
        struct px_chunk *c = f->head;
        if (c->len > 0) {
            ssize_t n = send(f->to, c->data + c->at, c->len - c->at, MSG_NOSIGNAL);
            if (n < 0)
                return errno == EAGAIN || errno == EINTR;
            c->at += (size_t)n;
            f->queued -= (size_t)n;
            if (c->at < c->len)
                return true;
        } else {
            f->out_ended = true;
            (void)shutdown(f->to, SHUT_WR);
        }
        f->head = c->next;
        if (f->head == NULL)
            f->tail = NULL;
        free(c);
    }
    return true;
}

/* Data goes straight through when nothing waits and nothing is wrong with the network. */
static bool pass(struct proxy *p, struct px_flow *f, const char *data, size_t n, bool open)
{
    size_t sent = 0;
    int64_t now = ac_now_ns();
    bool held = f->faulty || f->earliest_ns > now;
    ac_metric_add(p->m_bytes, (double)n);
    if (open && !held && f->head == NULL) {
        ssize_t w = send(f->to, data, n, MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        sent = w > 0 ? (size_t)w : 0;
        if (sent == n)
            return true;
    }
    push(f, data + sent, n - sent, held ? px_due(p, f, now) : 0);
    return true;
}

static bool on_input(struct proxy *p, struct px_conn *c, struct px_flow *f)
{
    ssize_t n = recv(f->from, p->scratch, sizeof(p->scratch), 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n > 0)
        return pass(p, f, p->scratch, (size_t)n, !c->connecting);
    f->in_ended = true;
    push(f, "", 0, f->faulty ? px_due(p, f, ac_now_ns()) : 0);
    return true;
}

static bool dial(struct proxy *p, struct px_conn *c);

static bool connected(struct proxy *p, struct px_conn *c)
{
    int soerr = 0;
    socklen_t len = sizeof(soerr);
    (void)getsockopt(c->server, SOL_SOCKET, SO_ERROR, &soerr, &len);
    if (soerr != 0) {
        close_fd(&c->server, false);
        return dial(p, c);
    }
    c->connecting = false;
    return true;
}

/* Connects to the next target that takes it. */
static bool dial(struct proxy *p, struct px_conn *c)
{
    struct px_listener *l = c->l;
    int one = 1;
    while (c->tries < l->n) {
        const struct px_target *t = &l->targets[l->next++ % l->n];
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = &c->server_end};
        c->tries++;
        c->server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->server < 0)
            return false;
        (void)setsockopt(c->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (connect(c->server, (const struct sockaddr *)&t->addr, sizeof(t->addr)) != 0 &&
            errno != EINPROGRESS) {
            close_fd(&c->server, false);
            continue;
        }
        c->connecting = true;
        c->up.to = c->down.from = c->server;
        c->up.want_out = c->down.want_in = true;
        ac_str_copy(c->server_uid, sizeof(c->server_uid), t->uid);
        px_conn_faults(p, c);
        return epoll_ctl(p->epoll, EPOLL_CTL_ADD, c->server, &ev) == 0;
    }
    return false;
}

static void settle(struct proxy *p, struct px_conn *c, bool ok)
{
    int64_t now = ac_now_ns();
    if (ok && !c->dead)
        ok = (c->connecting || flush(&c->up, now)) && flush(&c->down, now);
    if (!ok)
        conn_close(p, c, true);
    else if (c->up.out_ended && c->down.out_ended)
        conn_close(p, c, false);
    else
        conn_arm(p, c);
}

static void on_conn(struct proxy *p, struct px_conn *c, bool server, unsigned events)
{
    bool ok = true;
    if (c->dead)
        return;
    if (server && c->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
        ok = connected(p, c);
    else if ((events & EPOLLERR) != 0)
        ok = false;
    if (ok && !c->dead && (events & (EPOLLIN | EPOLLHUP)) != 0 && !(server && c->connecting)) {
        struct px_flow *f = server ? &c->down : &c->up;
        if (!f->in_ended && f->queued < PX_QUEUE_MAX)
            ok = on_input(p, c, f);
    }
    /* Both ends hung up and nothing left to read: a hang-up would be reported for ever. */
    if ((events & EPOLLHUP) != 0 && (server ? c->down.in_ended : c->up.in_ended) &&
        c->up.head == NULL && c->down.head == NULL)
        ok = false;
    settle(p, c, ok);
}

static void open_conn(struct proxy *p, struct px_listener *l, int fd,
                      const struct sockaddr_in *peer)
{
    struct px_conn *c = ac_xcalloc(1, sizeof(*c));
    int one = 1;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &c->client_end};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->client_end = (struct px_end){PX_CLIENT, c};
    c->server_end = (struct px_end){PX_SERVER, c};
    c->l = l;
    c->client = fd;
    c->server = -1;
    c->peer = *peer;
    c->up.from = c->down.to = fd;
    c->up.want_in = true;
    ac_list_push_back(&p->conns, &c->node);
    p->n_conns++;
    ac_metric_add(p->m_conns, 1);
    ac_metric_set(p->m_open, (double)p->n_conns);
    if (p->faults)
        px_resolve(p, false);
    if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &ev) != 0 || !dial(p, c)) {
        conn_close(p, c, true);
        return;
    }
    /* The handshake would have crossed the network too. */
    c->up.earliest_ns = ac_now_ns() + c->up.latency_ns + c->down.latency_ns;
}

static void on_accept(struct proxy *p, struct px_listener *l)
{
    for (int i = 0; i < 64 && l->fd >= 0; i++) {
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof(peer);
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        open_conn(p, l, fd, &peer);
    }
}

/* ---- listeners ---- */

static bool parse_addr(const char *ip, int64_t port, struct sockaddr_in *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->sin_family = AF_INET;
    ret->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, ip, &ret->sin_addr) == 1;
}

static void listener_open(struct proxy *p, struct px_listener *l)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &l->end};
    int one = 1;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return;
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(l->fd, (struct sockaddr *)&l->addr, sizeof(l->addr)) != 0 ||
        listen(l->fd, BACKLOG) != 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, l->fd, &ev) != 0) {
        AC_LOGE("proxy", "listen", AC_KS("address", l->key), AC_KS("msg", strerror(errno)));
        close_fd(&l->fd, false);
    }
}

static void set_targets(struct px_listener *l, const json_t *list)
{
    size_t i;
    json_t *t;
    free(l->targets);
    l->n = 0;
    l->targets = ac_xcalloc(json_array_size(list) + 1, sizeof(*l->targets));
    json_array_foreach(list, i, t)
    {
        struct px_target *to = &l->targets[l->n];
        if (!parse_addr(js_str(t, "ip", ""), js_int(t, "port", 0), &to->addr))
            continue;
        ac_str_copy(to->uid, sizeof(to->uid), js_str(t, "uid", ""));
        l->n++;
    }
}

static struct px_listener *listener_of(struct proxy *p, const char *key)
{
    struct px_listener *l = ac_map_get(p->listeners, key);
    char ip[32];
    if (l != NULL)
        return l;
    l = ac_xcalloc(1, sizeof(*l));
    l->end = (struct px_end){PX_LISTENER, l};
    l->fd = -1;
    ac_str_copy(l->key, sizeof(l->key), key);
    ac_str_copy(ip, sizeof(ip), key);
    char *colon = strchr(ip, ':');
    int64_t port = 0;
    if (colon != NULL) {
        *colon = '\0';
        (void)ac_str_to_i64(colon + 1, &port);
    }
    (void)parse_addr(ip, port, &l->addr);
    /* Listeners are kept for the life of the proxy: connections point to them. */
    ac_map_set(p->listeners, key, l);
    return l;
}

static void apply_plan(struct proxy *p)
{
    uint64_t drained;
    const char *key;
    json_t *list;
    void *v;
    (void)!read(p->wake, &drained, sizeof(drained));
    pthread_mutex_lock(&p->lock);
    json_t *plan = p->pending;
    p->pending = NULL;
    pthread_mutex_unlock(&p->lock);
    if (plan == NULL)
        return;
    json_decref(p->plan);
    p->plan = plan;
    for (size_t it = 0; ac_map_next(p->listeners, &it, &key, &v);)
        ((struct px_listener *)v)->seen = false;
    json_object_foreach(js_at(plan, "listeners"), key, list)
    {
        struct px_listener *l = listener_of(p, key);
        l->seen = true;
        set_targets(l, list);
    }
    for (size_t it = 0; ac_map_next(p->listeners, &it, &key, &v);) {
        struct px_listener *l = v;
        if (!l->seen)
            l->n = 0;
        if (l->n > 0 && l->fd < 0)
            listener_open(p, l);
        else if (l->n == 0)
            close_fd(&l->fd, false);
    }
    px_apply_faults(p);
    AC_LIST_FOREACH(n, &p->conns)
    settle(p, AC_LIST_ENTRY(n, struct px_conn, node), true);
}

/* ---- the thread ---- */

/* Sends what has become due; the time until the next is due, in ms (-1 = none). */
static int run_due(struct proxy *p)
{
    int64_t next = INT64_MAX, now = ac_now_ns();
    AC_LIST_FOREACH(n, &p->conns)
    {
        struct px_conn *c = AC_LIST_ENTRY(n, struct px_conn, node);
        if (c->dead) {
            conn_free(c);
            continue;
        }
        bool due =
            (c->up.head != NULL && c->up.head->due_ns != 0 && c->up.head->due_ns <= now) ||
            (c->down.head != NULL && c->down.head->due_ns != 0 && c->down.head->due_ns <= now);
        if (due)
            settle(p, c, true);
        if (c->up.head != NULL && c->up.head->due_ns > now)
            next = AC_MIN(next, c->up.head->due_ns);
        if (c->down.head != NULL && c->down.head->due_ns > now)
            next = AC_MIN(next, c->down.head->due_ns);
    }
    if (next == INT64_MAX)
        return 1000;
    int64_t ms = (next - now + AC_NS_PER_MS - 1) / AC_NS_PER_MS;
    return (int)AC_MIN(ms, 1000);
}

static void *run(void *arg)
{
    struct proxy *p = arg;
    struct epoll_event ev[EVENTS];
    while (!atomic_load(&p->stop)) {
        int n = epoll_wait(p->epoll, ev, EVENTS, run_due(p));
        for (int i = 0; i < n; i++) {
            struct px_end *end = ev[i].data.ptr;
            if (end->kind == PX_LISTENER)
                on_accept(p, end->owner);
            else if (end->kind == PX_WAKE)
                apply_plan(p);
            else
                on_conn(p, end->owner, end->kind == PX_SERVER, ev[i].events);
        }
    }
    return NULL;
}

static void listener_free(void *v)
{
    struct px_listener *l = v;
    close_fd(&l->fd, false);
    free(l->targets);
    free(l);
}

int proxy_create(struct ac_metrics *m, struct cl_store *s, struct runtime *rt, struct proxy **ret,
                 struct ac_err *err)
{
    struct proxy *p = ac_xcalloc(1, sizeof(*p));
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &p->wake_end};
    p->store = s;
    p->runtime = rt;
    p->wake_end.kind = PX_WAKE;
    p->listeners = ac_map_create(listener_free);
    ac_list_init(&p->conns);
    pthread_mutex_init(&p->lock, NULL);
    ac_rng_seed(&p->rng, ac_random_seed());
    p->m_conns = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_cluster_proxy_connections_total",
                                "Connections to service addresses.", NULL, NULL);
    p->m_open = ac_metrics_get(m, AC_METRIC_GAUGE, "aceso_cluster_proxy_connections",
                               "Connections to service addresses that are open.", NULL, NULL);
    p->m_bytes = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_cluster_proxy_bytes_total",
                                "Bytes passed on, both directions.", NULL, NULL);
    p->diag = -1;
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->epoll < 0 || p->wake < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->wake, &ev) != 0 ||
        pthread_create(&p->thread, NULL, run, p) != 0) {
        int r = ac_err_errno(err, errno, "proxy");
        proxy_destroy(p);
        return r;
    }
    p->running = true;
    *ret = p;
    return 0;
}

void proxy_destroy(struct proxy *p)
{
    uint64_t one = 1;
    if (p == NULL)
        return;
    if (p->running) {
        atomic_store(&p->stop, true);
        (void)!write(p->wake, &one, sizeof(one));
        (void)pthread_join(p->thread, NULL);
    }
    AC_LIST_FOREACH(n, &p->conns)
    {
        struct px_conn *c = AC_LIST_ENTRY(n, struct px_conn, node);
        conn_close(p, c, true);
        conn_free(c);
    }
    ac_map_destroy(p->listeners);
    if (p->epoll >= 0)
        close(p->epoll);
    if (p->wake >= 0)
        close(p->wake);
    if (p->diag >= 0)
        close(p->diag);
    free(p->processes);
    json_decref(p->last);
    json_decref(p->pending);
    json_decref(p->plan);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
