/* Core NATS: publish, subscribe, request; and the inbox on which all answers arrive. */
#include "bus_impl.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#define PB_MAX_BYTES (8u << 20)

void ac_bus_fill_(struct ac_bus_msg *out, natsMsg *m)
{
    memset(out, 0, sizeof(*out));
    out->subject = natsMsg_GetSubject(m);
    out->reply = natsMsg_GetReply(m);
    out->data = natsMsg_GetData(m);
    out->len = (size_t)natsMsg_GetDataLength(m);
    if (natsMsgHeader_Get(m, "Nats-Msg-Id", &out->id) != NATS_OK)
        out->id = NULL;
    if (natsMsgHeader_Get(m, "traceparent", &out->trace) != NATS_OK)
        out->trace = NULL;
}

int ac_bus_publish(struct ac_bus *b, const char *subject, const void *data, size_t len,
                   struct ac_err *err)
{
    natsStatus s = natsConnection_Publish(b->nc, subject, data, (int)len);
    if (s != NATS_OK)
        return ac_bus_fail_(b, s, err, subject);
    ac_metric_add(b->published, 1);
    return AC_OK;
}

int ac_bus_publish_pb(struct ac_bus *b, const char *subject, const void *msg, struct ac_err *err)
{
    struct ac_buf buf;
    ac_buf_init(&buf, PB_MAX_BYTES);
    int code = ac_pb_pack(msg, &buf, err);
    if (code == AC_OK)
        code = ac_bus_publish(b, subject, buf.data, buf.len, err);
    ac_buf_fini(&buf);
    return code;
}

/* ---- subscriptions ---- */

struct delivery {
    struct ac_bus_sub *s;
    natsMsg *msg;
};

void ac_bus_sub_release_(struct ac_bus_sub *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    ac_bus_unref_(s->b);
    free(s);
}

/* The library is done with the subscription: no callback comes any more. */
void ac_bus_sub_done_(void *closure)
{
    ac_bus_sub_release_(closure);
}

struct ac_bus_sub *ac_bus_sub_new_(struct ac_bus *b)
{
    struct ac_bus_sub *s = ac_xcalloc(1, sizeof(*s));
    s->b = b;
    ac_bus_ref_(b);
    atomic_init(&s->refs, 1);
    ac_list_init(&s->node);
    return s;
}

static void deliver_cb(void *arg)
{
    struct delivery *d = arg;
    struct ac_bus_msg m;
    if (!d->s->gone) {
        ac_bus_fill_(&m, d->msg);
        ac_metric_add(d->s->b->received, 1);
        d->s->fn(&m, d->s->arg);
    }
    natsMsg_Destroy(d->msg);
    ac_bus_sub_release_(d->s);
    free(d);
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    (void)nc;
    (void)sub;
    struct ac_bus_sub *s = closure;
    if (atomic_load(&s->b->closed)) {
        natsMsg_Destroy(msg);
        return;
    }
    /* Each message that waits for the loop holds a reference. A loop that stands still must not
     * cost memory without bound: what comes on top is lost, as the library's own queue loses it. */
    if (atomic_fetch_add(&s->refs, 1) >= AC_BUS_SUB_MESSAGES) {
        ac_metric_add(s->b->dropped, 1);
        natsMsg_Destroy(msg);
        ac_bus_sub_release_(s);
        return;
    }
    struct delivery *d = ac_xmalloc(sizeof(*d));
    d->s = s;
    d->msg = msg;
    ac_loop_post(s->b->loop, deliver_cb, d);
}

int ac_bus_subscribe(struct ac_bus *b, const char *subject, const char *queue, ac_bus_fn fn,
                     void *arg, struct ac_bus_sub **ret, struct ac_err *err)
{
    AC_ASSERT_ON_LOOP(b->loop);
    struct ac_bus_sub *s = ac_bus_sub_new_(b);
    s->fn = fn;
    s->arg = arg;
    natsStatus st =
        queue ? natsConnection_QueueSubscribe(&s->sub, b->nc, subject, queue, on_message, s)
              : natsConnection_Subscribe(&s->sub, b->nc, subject, on_message, s);
    if (st != NATS_OK) {
        ac_bus_sub_release_(s);
        return ac_bus_fail_(b, st, err, subject);
    }
    atomic_fetch_add(&s->refs, 1);
    if (natsSubscription_SetOnCompleteCB(s->sub, ac_bus_sub_done_, s) != NATS_OK)
        ac_bus_sub_release_(s);
    (void)natsSubscription_SetPendingLimits(s->sub, AC_BUS_SUB_MESSAGES, AC_BUS_SUB_BYTES);
    ac_list_push_back(&b->subs, &s->node);
    if (ret)
        *ret = s;
    return AC_OK;
}

void ac_bus_unsubscribe(struct ac_bus_sub *s)
{
    if (!s)
        return;
    AC_ASSERT_ON_LOOP(s->b->loop);
    s->gone = true;
    ac_list_remove(&s->node);
    (void)natsSubscription_Unsubscribe(s->sub);
    natsSubscription_Destroy(s->sub);
    ac_bus_sub_release_(s);
}

/* ---- answers ---- */

static int answer_code(struct ac_bus_pending *p)
{
    const char *status = NULL;
    if (!p->msg)
        return p->code;
    if (natsMsgHeader_Get(p->msg, "Status", &status) == NATS_OK && status &&
        strncmp(status, "503", 3) == 0)
        return AC_ENET; /* nobody listens there */
    if (!p->js)
        return AC_OK;
    const char *data = natsMsg_GetData(p->msg);
    int n = natsMsg_GetDataLength(p->msg);
    ac_cleanup(ac_free_p) char *text = ac_xstrndup(data ? data : "", (size_t)n);
    if (!strstr(text, "\"error\""))
        return strstr(text, "\"stream\"") ? AC_OK : AC_EPROTO;
    return strstr(text, "\"code\":503") ? AC_EAGAIN : AC_EIO;
}

static void answer_cb(void *arg)
{
    struct ac_bus_pending *p = arg;
    int code = answer_code(p);
    if (p->reply) {
        struct ac_bus_msg m;
        if (code == AC_OK)
            ac_bus_fill_(&m, p->msg);
        p->reply(code, code == AC_OK ? &m : NULL, p->arg);
    } else if (p->done) {
        p->done(code, p->arg);
    }
    natsMsg_Destroy(p->msg);
    ac_bus_unref_(p->b);
    free(p);
}

static void on_answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    (void)nc;
    (void)sub;
    struct ac_bus *b = closure;
    const char *subject = natsMsg_GetSubject(msg), *dot = strrchr(subject, '.');
    pthread_mutex_lock(&b->mu);
    struct ac_bus_pending *p = dot ? ac_map_take(b->pending, dot + 1) : NULL;
    if (p) { /* under the lock: a close that finds it gone may rely on the post */
        p->msg = msg;
        ac_loop_post(b->loop, answer_cb, p);
    }
    pthread_mutex_unlock(&b->mu);
    if (!p)
        natsMsg_Destroy(msg); /* too late, or not ours */
}

/* Posts all whose time is over; everything when all. */
static void expire(struct ac_bus *b, bool all, int code)
{
    const char *key;
    void *value;
    int64_t now = ac_now_ns();
    pthread_mutex_lock(&b->mu);
    for (size_t it = 0; ac_map_next(b->pending, &it, &key, &value);) {
        struct ac_bus_pending *p = value;
        if (!all && p->until_ns > now)
            continue;
        p->code = code;
        (void)ac_map_remove(b->pending, key);
        ac_loop_post(b->loop, answer_cb, p);
    }
    pthread_mutex_unlock(&b->mu);
}

static void sweep_cb(void *arg)
{
    expire(arg, false, AC_ETIMEOUT);
}

void ac_bus_answers_fail_(struct ac_bus *b)
{
    expire(b, true, AC_ECANCELED);
}

static void inbox_done(void *closure)
{
    ac_bus_unref_(closure);
}

int ac_bus_inbox_open_(struct ac_bus *b, struct ac_err *err)
{
    natsInbox *in = NULL;
    natsStatus s = natsInbox_Create(&in);
    if (s == NATS_OK) {
        b->inbox = ac_xasprintf("%s.", (const char *)in);
        natsInbox_Destroy(in);
        ac_cleanup(ac_free_p) char *all = ac_xasprintf("%s*", b->inbox);
        s = natsConnection_Subscribe(&b->inbox_sub, b->nc, all, on_answer, b);
    }
    if (s != NATS_OK)
        return ac_bus_fail_(b, s, err, "inbox");
    ac_bus_ref_(b);
    if (natsSubscription_SetOnCompleteCB(b->inbox_sub, inbox_done, b) != NATS_OK)
        ac_bus_unref_(b);
    (void)natsSubscription_SetPendingLimits(b->inbox_sub, -1, -1); /* bounded by what is pending */
    b->sweep = ac_timer_create(b->loop, sweep_cb, b);
    ac_timer_start(b->sweep, AC_BUS_SWEEP_NS, AC_BUS_SWEEP_NS);
    return AC_OK;
}

int ac_bus_expect_(struct ac_bus *b, struct ac_bus_pending *p, char *subject, size_t size)
{
    char key[24];
    p->b = b;
    pthread_mutex_lock(&b->mu);
    bool full = ac_map_len(b->pending) >= AC_BUS_MAX_PENDING;
    if (!full) {
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)b->next_id++);
        (void)snprintf(subject, size, "%s%s", b->inbox, key);
        ac_bus_ref_(b);
        ac_map_set(b->pending, key, p);
    }
    pthread_mutex_unlock(&b->mu);
    return full ? AC_EAGAIN : AC_OK;
}

void ac_bus_forget_(struct ac_bus *b, const char *subject)
{
    pthread_mutex_lock(&b->mu);
    struct ac_bus_pending *p = ac_map_take(b->pending, strrchr(subject, '.') + 1);
    pthread_mutex_unlock(&b->mu);
    if (p) {
        ac_bus_unref_(b);
        free(p);
    }
}

static void fail_later(struct ac_bus *b, struct ac_bus_pending *p, int code)
{
    p->b = b;
    p->code = code;
    ac_bus_ref_(b);
    ac_loop_post(b->loop, answer_cb, p);
}

void ac_bus_request(struct ac_bus *b, const char *subject, const void *data, size_t len,
                    int64_t timeout_ns,
                    void (*done)(int code, const struct ac_bus_msg *reply, void *arg), void *arg)
{
    char reply[160];
    struct ac_bus_pending *p = ac_xcalloc(1, sizeof(*p));
    p->reply = done;
    p->arg = arg;
    p->until_ns = ac_now_ns() + timeout_ns;
    if (ac_bus_expect_(b, p, reply, sizeof(reply)) < 0) {
        fail_later(b, p, AC_EAGAIN);
        return;
    }
    natsStatus s = natsConnection_PublishRequest(b->nc, subject, reply, data, (int)len);
    if (s == NATS_OK) {
        ac_metric_add(b->published, 1);
        return;
    }
    struct ac_err err = AC_ERR_INIT;
    pthread_mutex_lock(&b->mu);
    p = ac_map_take(b->pending, strrchr(reply, '.') + 1);
    pthread_mutex_unlock(&b->mu);
    if (p) {
        p->code = ac_bus_fail_(b, s, &err, subject);
        ac_loop_post(b->loop, answer_cb, p);
    }
}
