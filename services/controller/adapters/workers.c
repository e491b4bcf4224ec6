/* aceso.v1.Serving/Work: the streams of the workers, their clocks, leases, comings and goings. */
#include "controller_service.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define PROTOCOL      1
#define PAGE_MIN      4096u
#define PAGES_MAX     (1u << 20)
#define PREPARE_AHEAD 64 /* messages queued on a stream while models are announced */

/* One stream; the worker is known once it has said hello. In the call's arena. */
struct link {
    struct ctl_service *s;
    struct ctl_worker *w;
};

void ctl_worker_send(struct ctl_worker *w, const Aceso__V1__ControllerMessage *m)
{
    if (w->call && ac_rpc_send(w->call, m) == AC_EAGAIN)
        w->s->choked |= 1ull << w->device;
}

static void send_ping(struct ctl_worker *w)
{
    Aceso__V1__ControllerMessage m = ACESO__V1__CONTROLLER_MESSAGE__INIT;
    Aceso__V1__ControllerPing ping = ACESO__V1__CONTROLLER_PING__INIT;
    m.body_case = ACESO__V1__CONTROLLER_MESSAGE__BODY_PING;
    m.ping = &ping;
    ping.id = ++w->ping_id;
    ping.controller_ns = ac_now_ns();
    ctl_worker_send(w, &m);
}

/* ---- models ---- */

static char *text(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {.in = s};
    return u.out;
}

/* Announces models as long as the stream takes them; the rest follows when it has drained. */
static void announce(struct ctl_worker *w)
{
    const struct ctl_catalog *cat = w->s->catalog;
    while (w->up && w->announced < ctl_catalog_numbers(cat) &&
           ac_rpc_queued(w->call) < PREPARE_AHEAD) {
        const struct ctl_model *m = ctl_catalog_by_number(cat, w->announced++);
        if (!m || m->retired)
            continue;
        Aceso__V1__ControllerMessage msg = ACESO__V1__CONTROLLER_MESSAGE__INIT;
        Aceso__V1__PrepareModel p = ACESO__V1__PREPARE_MODEL__INIT;
        msg.body_case = ACESO__V1__CONTROLLER_MESSAGE__BODY_PREPARE;
        msg.prepare = &p;
        p.model = m->number;
        p.name = text(m->what.name);
        p.version = text(m->what.version);
        p.bytes = m->what.bytes;
        p.sha256 = text(m->what.sha256);
        p.max_batch = ctl_batch_for(m->what.max_rows);
        ctl_worker_send(w, &msg);
    }
}

static void on_drained(struct ac_rpc_call *c, void *arg)
{
    (void)c;
    const struct link *l = arg;
    if (l->w)
        announce(l->w);
}

void ctl_workers_announce(struct ctl_service *s)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        announce(s->workers[i]);
}

void ctl_workers_forget(struct ctl_service *s, const struct ctl_model *m)
{
    Aceso__V1__ControllerMessage msg = ACESO__V1__CONTROLLER_MESSAGE__INIT;
    Aceso__V1__ForgetModel f = ACESO__V1__FORGET_MODEL__INIT;
    msg.body_case = ACESO__V1__CONTROLLER_MESSAGE__BODY_FORGET;
    msg.forget = &f;
    f.model = m->number;
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->announced > m->number)
            ctl_worker_send(s->workers[i], &msg);
}

/* Costs come from a peer: a day of anything is nonsense. */
static int64_t cost_ns(int64_t v)
{
    return AC_MIN(AC_MAX(v, 1), 86400 * AC_NS_PER_S);
}

static void on_prepared(struct ctl_worker *w, const Aceso__V1__ModelPrepared *p)
{
    struct ctl_service *s = w->s;
    struct ctl_model *m = ctl_catalog_by_number(s->catalog, p->model);
    uint64_t bit = 1ull << w->device;
    if (!m || m->retired || !w->up)
        return;
    if (p->error[0]) {
        m->failed |= bit;
        snprintf(m->reason, sizeof(m->reason), "worker %s: %.190s", w->name, p->error);
        AC_LOGW("worker", "model_failed", AC_KS("worker", w->name), AC_KS("model", m->what.name),
                AC_KS("error", p->error));
        return;
    }
    struct policy_cost cost = {.load_ns = cost_ns(p->load_ns)};
    uint64_t pages = p->weights_bytes / w->page_bytes + (p->weights_bytes % w->page_bytes != 0);
    cost.pages = (uint32_t)AC_MIN(AC_MAX(pages, 1u), (uint64_t)PAGES_MAX);
    for (size_t i = 0; i < p->n_costs; i++)
        for (uint32_t b = 0; b < POLICY_BATCHES; b++)
            if (policy_batch_size[b] == p->costs[i]->batch && p->costs[i]->exec_ns > 0) {
                cost.exec_ns[b] = cost_ns(p->costs[i]->exec_ns);
                if (p->costs[i]->cold_ns > 0)
                    cost.tail_ns[b] = AC_MAX(cost_ns(p->costs[i]->cold_ns) - cost.load_ns, 1);
            }
    m->able |= bit;
    m->failed &= ~bit;
    m->weights_bytes = p->weights_bytes;
    AC_LOGI("worker", "model_ready", AC_KS("worker", w->name), AC_KS("model", m->what.name),
            AC_KI("exec_us", cost.exec_ns[0] / 1000), AC_KI("load_us", cost.load_ns / 1000));
    sched_model_able(s->sched, ctl_now(s), m->number, w->device, &cost);
    ctl_dispatch_settle(s);
}

/* ---- coming and going ---- */

static void lost(struct ctl_worker *w, const char *why)
{
    struct ctl_service *s = w->s;
    uint64_t bit = 1ull << w->device;
    w->call = NULL;
    ctl_kinds_release(&s->kinds, w->kind);
    s->choked &= ~bit;
    AC_LOGW("worker", "worker_lost", AC_KS("worker", w->name), AC_KS("why", why));
    if (!w->up)
        return;
    w->up = false;
    s->up &= ~bit;
    for (uint32_t i = 0; i < ctl_catalog_numbers(s->catalog); i++) {
        struct ctl_model *m = ctl_catalog_by_number(s->catalog, i);
        if (m) {
            m->able &= ~bit;
            m->failed &= ~bit;
        }
    }
    sched_device_down(s->sched, ctl_now(s), w->device);
    ctl_event_worker(w);
}

static void drop(struct ctl_worker *w, int code, const char *why)
{
    struct ac_rpc_call *c = w->call;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, code, "%s", why);
    ac_rpc_on_cancel(c, NULL, NULL);
    ac_rpc_on_drained(c, NULL, NULL);
    lost(w, why);
    ac_rpc_fail(c, &err);
}

void ctl_workers_drop_choked(struct ctl_service *s)
{
    while (s->choked) {
        struct ctl_worker *w = s->workers[__builtin_ctzll(s->choked)];
        drop(w, AC_EAGAIN, "the worker reads too slowly");
    }
}

static void on_gone(struct ac_rpc_call *c, void *arg)
{
    struct link *l = arg;
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, AC_ECANCELED, "the worker has gone");
    if (l->w && l->w->call == c) {
        lost(l->w, "the connection ended");
        ctl_dispatch_settle(l->s);
    }
    ac_rpc_fail(c, &err);
}

static void worker_up(struct ctl_worker *w)
{
    struct ctl_service *s = w->s;
    w->up = true;
    w->announced = 0;
    s->up |= 1ull << w->device;
    AC_LOGI("worker", "worker_connected", AC_KS("worker", w->name), AC_KS("executor", w->executor),
            AC_KI("memory_mib", w->memory_bytes >> 20),
            AC_KI("round_trip_us", w->clock.round_trip_ns / 1000));
    sched_device_kind(s->sched, w->device, w->kind);
    sched_device_up(s->sched, ctl_now(s), w->device, (uint32_t)(w->memory_bytes / w->page_bytes));
    ctl_event_worker(w);
    announce(w);
    ctl_dispatch_settle(s);
}

/* The place of the one that has been away the longest; NULL when all are here. */
static struct ctl_worker *longest_lost(const struct ctl_service *s)
{
    struct ctl_worker *best = NULL;
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (!s->workers[i]->call && (!best || s->workers[i]->heard_ns < best->heard_ns))
            best = s->workers[i];
    return best;
}

static struct ctl_worker *worker_named(struct ctl_service *s, const char *name)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (ac_streq(s->workers[i]->name, name))
            return s->workers[i];
    if (s->n_workers == CTL_WORKERS_MAX) { /* where names are new at each start, as of pods */
        struct ctl_worker *old = longest_lost(s);
        if (old)
            (void)ac_str_copy(old->name, sizeof(old->name), name);
        return old;
    }
    struct ctl_worker *w = ac_xcalloc(1, sizeof(*w));
    w->s = s;
    (void)ac_str_copy(w->name, sizeof(w->name), name);
    w->device = sched_device_add(s->sched);
    AC_ASSERT(w->device == s->n_workers);
    s->workers[s->n_workers++] = w;
    return w;
}

static int check_hello(const Aceso__V1__WorkerHello *h, struct ac_err *err)
{
    if (h->protocol != PROTOCOL)
        return ac_err_set(err, AC_ENOTSUP, "protocol %u; this controller speaks %d", h->protocol,
                          PROTOCOL);
    if (!ctl_name_ok(h->worker))
        return ac_err_set(err, AC_EINVAL, "worker's name: letters, digits, . _ - (at most %d)",
                          CTL_NAME_MAX - 1);
    if (h->page_bytes < PAGE_MIN || h->memory_bytes / h->page_bytes == 0 ||
        h->memory_bytes / h->page_bytes > PAGES_MAX)
        return ac_err_set(err, AC_EINVAL,
                          "%llu bytes of memory in pages of %u: 1 to %u pages of at least %u bytes",
                          (unsigned long long)h->memory_bytes, h->page_bytes, PAGES_MAX, PAGE_MIN);
    return 0;
}

static int on_hello(struct link *l, struct ac_rpc_call *c, const Aceso__V1__WorkerHello *h,
                    struct ac_err *err)
{
    struct ctl_service *s = l->s;
    int rc = check_hello(h, err);
    if (rc)
        return rc;
    int64_t now = ac_now_ns();
    uint32_t kind;
    bool other;
    rc = ctl_kinds_take(&s->kinds, ac_str_empty(h->kind) ? h->executor : h->kind, &kind, &other,
                        err);
    if (rc)
        return rc;
    /* Who is refused takes no place: it comes last. */
    struct ctl_worker *w = worker_named(s, h->worker);
    if (!w)
        rc = ac_err_set(err, AC_EAGAIN, "there are %d workers already", CTL_WORKERS_MAX);
    /* Two of one name would push each other out for ever. */
    else if (w->call && !ac_streq(w->instance, h->instance) &&
             now - w->heard_ns < s->conf->lease_ns / 2)
        rc = ac_err_set(err, AC_EEXISTS, "another worker named %s is connected", w->name);
    if (rc) {
        ctl_kinds_release(&s->kinds, kind);
        return rc;
    }
    if (w->call) {
        drop(w, AC_EABORTED, "the worker has connected anew");
        ctl_dispatch_settle(s);
    }
    if (other)
        sched_kind_forget(s->sched, kind);
    w->kind = kind;
    (void)ac_str_copy(w->executor, sizeof(w->executor), h->executor);
    (void)ac_str_copy(w->instance, sizeof(w->instance), h->instance);
    w->memory_bytes = h->memory_bytes;
    w->page_bytes = h->page_bytes;
    w->clock = (struct ctl_peer_clock){0};
    w->heard_ns = now;
    w->last_earliest_ns = INT64_MIN;
    w->call = c;
    l->w = w;
    Aceso__V1__ControllerMessage m = ACESO__V1__CONTROLLER_MESSAGE__INIT;
    Aceso__V1__ControllerWelcome welcome = ACESO__V1__CONTROLLER_WELCOME__INIT;
    m.body_case = ACESO__V1__CONTROLLER_MESSAGE__BODY_WELCOME;
    m.welcome = &welcome;
    welcome.lease_ns = s->conf->lease_ns;
    ctl_worker_send(w, &m);
    send_ping(w);
    return 0;
}

static void on_pong(struct ctl_worker *w, const Aceso__V1__WorkerPong *p)
{
    bool good = p->id <= w->ping_id && ctl_peer_clock_add(&w->clock, p->controller_ns,
                                                          p->received_ns, p->sent_ns, ac_now_ns());
    if (good && !w->up)
        worker_up(w);
}

static int on_body(struct link *l, struct ac_rpc_call *c, const Aceso__V1__WorkerMessage *m,
                   struct ac_err *err)
{
    if (m->body_case == ACESO__V1__WORKER_MESSAGE__BODY_HELLO)
        return l->w ? ac_err_set(err, AC_EINVAL, "hello for the second time")
                    : on_hello(l, c, m->hello, err);
    if (!l->w)
        return ac_err_set(err, AC_EINVAL, "a worker says hello first");
    l->w->heard_ns = ac_now_ns();
    if (m->body_case == ACESO__V1__WORKER_MESSAGE__BODY_PONG)
        on_pong(l->w, m->pong);
    else if (m->body_case == ACESO__V1__WORKER_MESSAGE__BODY_PREPARED)
        on_prepared(l->w, m->prepared);
    else if (m->body_case == ACESO__V1__WORKER_MESSAGE__BODY_RESULT && l->w->up)
        ctl_dispatch_result(l->s, l->w, m->result);
    return 0;
}

static void on_message(struct ac_rpc_call *c, const void *msg, void *arg)
{
    struct link *l = arg;
    struct ac_err err = AC_ERR_INIT;
    if (l->w && l->w->call != c)
        return; /* dropped; what was on its way */
    if (msg && on_body(l, c, msg, &err) == 0)
        return;
    if (!msg)
        (void)ac_err_set(&err, AC_ECANCELED, "the worker ended its stream");
    if (l->w) {
        drop(l->w, err.code, err.msg);
        ctl_dispatch_settle(l->s);
    } else {
        AC_LOGW("worker", "worker_refused", AC_KS("peer", ac_rpc_peer(c)), AC_KERR(&err));
        ac_rpc_on_cancel(c, NULL, NULL);
        ac_rpc_fail(c, &err);
    }
}

void ctl_work(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    struct ctl_service *s = self;
    struct link *l = ac_arena_calloc(ac_rpc_arena(c), 1, sizeof(*l));
    AC_ASSERT(l); /* the arena is fresh */
    l->s = s;
    ac_rpc_on_message(c, on_message, l);
    ac_rpc_on_cancel(c, on_gone, l);
    ac_rpc_on_drained(c, on_drained, l);
}

void ctl_workers_check(void *arg)
{
    struct ctl_service *s = arg;
    int64_t now = ac_now_ns();
    for (uint32_t i = 0; i < s->n_workers; i++) {
        struct ctl_worker *w = s->workers[i];
        if (!w->call)
            continue;
        if (now - w->heard_ns > s->conf->lease_ns)
            drop(w, AC_ETIMEOUT, "the worker is silent");
        else
            send_ping(w);
    }
    ctl_dispatch_settle(s);
}

void ctl_workers_stop(struct ctl_service *s)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        if (s->workers[i]->call)
            drop(s->workers[i], AC_ENET, "the controller stops");
    ctl_dispatch_settle(s);
}

void ctl_workers_free(struct ctl_service *s)
{
    for (uint32_t i = 0; i < s->n_workers; i++)
        free(s->workers[i]);
}
