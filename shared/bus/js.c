/* JetStream: streams, publishing with an answer, durable consumers shared by processes. */
#include "bus_impl.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/pbx.h>

#define PB_MAX_BYTES (8u << 20)

int ac_bus_ensure_stream(struct ac_bus *b, const struct ac_bus_stream *st, struct ac_err *err)
{
    jsStreamConfig cfg;
    jsErrCode je = 0;
    const char *subjects[32];
    int n = 0;
    (void)jsStreamConfig_Init(&cfg);
    while (st->subjects[n] && n < (int)AC_ARRAY_LEN(subjects)) {
        subjects[n] = st->subjects[n];
        n++;
    }
    cfg.Name = st->name;
    cfg.Subjects = subjects;
    cfg.SubjectsLen = n;
    cfg.MaxAge = st->max_age_ns;
    cfg.MaxBytes = st->max_bytes ? st->max_bytes : 256 << 20;
    cfg.Retention = st->work_queue ? js_WorkQueuePolicy : js_LimitsPolicy;
    cfg.Storage = st->memory ? js_MemoryStorage : js_FileStorage;
    cfg.Discard = js_DiscardOld;
    cfg.Duplicates = st->dedup_ns ? st->dedup_ns : 120 * AC_NS_PER_S;
    if (cfg.MaxAge && cfg.Duplicates > cfg.MaxAge)
        cfg.Duplicates = cfg.MaxAge;
    natsStatus s = js_AddStream(NULL, b->js, &cfg, NULL, &je);
    if (s != NATS_OK && je == JSStreamNameExistErr)
        s = js_UpdateStream(NULL, b->js, &cfg, NULL, &je);
    if (s != NATS_OK && je == JSNotEnabledErr)
        return ac_err_set(err, AC_ENOTSUP, "NATS %s runs without JetStream: start it with -js",
                          b->url);
    return s == NATS_OK ? AC_OK : ac_bus_fail_(b, s, err, st->name);
}

int ac_bus_stream_last(struct ac_bus *b, const char *stream, uint64_t *ret_seq, struct ac_err *err)
{
    jsStreamInfo *si = NULL;
    jsErrCode je = 0;
    natsStatus s = js_GetStreamInfo(&si, b->js, stream, NULL, &je);
    if (s != NATS_OK)
        return ac_bus_fail_(b, s, err, stream);
    *ret_seq = si->State.LastSeq;
    jsStreamInfo_Destroy(si);
    return AC_OK;
}

int ac_bus_js_publish(struct ac_bus *b, const char *subject, const char *id, const void *data,
                      size_t len, void (*done)(int code, void *arg), void *arg, struct ac_err *err)
{
    char reply[160];
    natsMsg *m = NULL;
    struct ac_bus_pending *p = ac_xcalloc(1, sizeof(*p));
    p->js = true;
    p->done = done;
    p->arg = arg;
    p->until_ns = ac_now_ns() + AC_BUS_ACK_WAIT_NS;
    if (ac_bus_expect_(b, p, reply, sizeof(reply)) < 0) {
        free(p);
        return ac_err_set(err, AC_EAGAIN, "%u messages wait for NATS already", AC_BUS_MAX_PENDING);
    }
    natsStatus s = natsMsg_Create(&m, subject, reply, data, (int)len);
    if (s == NATS_OK && id)
        s = natsMsgHeader_Set(m, "Nats-Msg-Id", id);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(b->nc, m);
    natsMsg_Destroy(m);
    if (s != NATS_OK) {
        ac_bus_forget_(b, reply);
        return ac_bus_fail_(b, s, err, subject);
    }
    ac_metric_add(b->published, 1);
    return AC_OK;
}

int ac_bus_js_publish_pb(struct ac_bus *b, const char *subject, const char *id, const void *msg,
                         void (*done)(int code, void *arg), void *arg, struct ac_err *err)
{
    struct ac_buf buf;
    ac_buf_init(&buf, PB_MAX_BYTES);
    int code = ac_pb_pack(msg, &buf, err);
    if (code == AC_OK)
        code = ac_bus_js_publish(b, subject, id, buf.data, buf.len, done, arg, err);
    ac_buf_fini(&buf);
    return code;
}

/* ---- consumers ---- */

struct ac_bus_ack {
    struct ac_bus_sub *s;
    natsMsg *msg;
};

static void ack_free(struct ac_bus_ack *a)
{
    natsMsg_Destroy(a->msg);
    ac_bus_sub_release_(a->s);
    free(a);
}

/* After the close of the bus the message is left to be delivered again. */
void ac_bus_ack(struct ac_bus_ack *a)
{
    if (!atomic_load(&a->s->b->closed))
        (void)natsMsg_Ack(a->msg, NULL);
    ack_free(a);
}

void ac_bus_nak(struct ac_bus_ack *a, int64_t delay_ns)
{
    if (!atomic_load(&a->s->b->closed))
        (void)natsMsg_NakWithDelay(a->msg, delay_ns / AC_NS_PER_MS, NULL);
    ack_free(a);
}

void ac_bus_term(struct ac_bus_ack *a)
{
    if (!atomic_load(&a->s->b->closed))
        (void)natsMsg_Term(a->msg, NULL);
    ack_free(a);
}

static void deliver_cb(void *arg)
{
    struct ac_bus_ack *a = arg;
    struct ac_bus_msg m;
    jsMsgMetaData *md = NULL;
    if (a->s->gone) {
        ack_free(a);
        return;
    }
    ac_bus_fill_(&m, a->msg);
    m.reply = NULL;
    if (natsMsg_GetMetaData(&md, a->msg) == NATS_OK) {
        m.stream_seq = md->Sequence.Stream;
        m.delivered = md->NumDelivered;
        m.time_ns = md->Timestamp;
        jsMsgMetaData_Destroy(md);
    }
    ac_metric_add(a->s->b->received, 1);
    a->s->js_fn(&m, a, a->s->arg);
}

static void on_js_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    (void)nc;
    (void)sub;
    struct ac_bus_sub *s = closure;
    if (atomic_load(&s->b->closed)) {
        natsMsg_Destroy(msg);
        return;
    }
    struct ac_bus_ack *a = ac_xmalloc(sizeof(*a));
    a->s = s;
    a->msg = msg;
    atomic_fetch_add(&s->refs, 1);
    ac_loop_post(s->b->loop, deliver_cb, a);
}

/* The durable is made apart from the subscription: then unsubscribing leaves it alone. Members of
 * the fleet share its delivery subject as a queue group. */
static natsStatus make_durable(struct ac_bus *b, const struct ac_bus_consumer *c,
                               const char *deliver)
{
    jsConsumerConfig cfg;
    jsErrCode je = 0;
    (void)jsConsumerConfig_Init(&cfg);
    cfg.Durable = c->durable;
    cfg.FilterSubject = c->filter;
    cfg.AckPolicy = js_AckExplicit;
    cfg.AckWait = c->ack_wait_ns ? c->ack_wait_ns : 30 * AC_NS_PER_S;
    cfg.MaxAckPending = c->max_in_flight ? c->max_in_flight : 256;
    cfg.MaxDeliver = c->max_deliver ? (int64_t)c->max_deliver : -1;
    cfg.DeliverPolicy = c->from_now ? js_DeliverNew : js_DeliverAll;
    cfg.DeliverSubject = deliver;
    cfg.DeliverGroup = c->durable;
    natsStatus s = js_AddConsumer(NULL, b->js, c->stream, &cfg, NULL, &je);
    if (s == NATS_OK)
        return s;
    jsConsumerInfo *ci = NULL; /* it is there with other settings: taken as it is */
    if (js_GetConsumerInfo(&ci, b->js, c->stream, c->durable, NULL, &je) != NATS_OK)
        return s;
    jsConsumerInfo_Destroy(ci);
    return NATS_OK;
}

int ac_bus_consume(struct ac_bus *b, const struct ac_bus_consumer *c, ac_bus_js_fn fn, void *arg,
                   struct ac_bus_sub **ret, struct ac_err *err)
{
    AC_ASSERT_ON_LOOP(b->loop);
    char deliver[256];
    jsErrCode je = 0;
    int n = snprintf(deliver, sizeof(deliver), "_ACESO.deliver.%s.%s", c->stream, c->durable);
    if (n < 0 || (size_t)n >= sizeof(deliver))
        return ac_err_set(err, AC_EINVAL, "name of consumer %s is too long", c->durable);
    natsStatus st = make_durable(b, c, deliver);
    if (st != NATS_OK)
        return ac_bus_fail_(b, st, err, c->durable);
    struct ac_bus_sub *s = ac_bus_sub_new_(b);
    s->js_fn = fn;
    s->arg = arg;
    jsSubOptions so;
    (void)jsSubOptions_Init(&so);
    so.Stream = c->stream;
    so.Consumer = c->durable;
    so.Queue = c->durable;
    so.ManualAck = true;
    st = js_Subscribe(&s->sub, b->js, c->filter, on_js_message, s, NULL, &so, &je);
    if (st != NATS_OK) {
        ac_bus_sub_release_(s);
        return ac_bus_fail_(b, st, err, c->durable);
    }
    atomic_fetch_add(&s->refs, 1);
    if (natsSubscription_SetOnCompleteCB(s->sub, ac_bus_sub_done_, s) != NATS_OK)
        ac_bus_sub_release_(s);
    ac_list_push_back(&b->subs, &s->node);
    if (ret)
        *ret = s;
    return AC_OK;
}
