/* Reading a stream in order from a sequence that the caller kept with its own state. A thread of
 * its own pulls messages from an ephemeral consumer; whatever goes wrong (a gap, a silent or
 * restarted server, a lost consumer), it makes a new consumer behind the last message it handed
 * over. So each message comes once and in order, and acknowledgements are not needed. */
#include "bus_impl.h"

#include <time.h>

#include <aceso/clock.h>
#include <aceso/log.h>

#define NEXT_WAIT_MS  500 /* how long the thread may not notice that it is to end */
#define HEARTBEAT_NS  (1 * AC_NS_PER_S)
#define RETRY_NS      (200 * AC_NS_PER_MS)
#define DEFAULT_QUEUE 1024

struct ac_bus_reader {
    struct ac_list node;
    struct ac_bus *b;
    char *stream, *filter;
    unsigned max_queued;
    ac_bus_fn fn;
    void *arg;
    pthread_t thread;
    atomic_uint refs; /* owner, posts */
    bool gone;        /* loop: no more callbacks */
    /* the thread's own */
    natsSubscription *sub;
    uint64_t next_seq; /* first that is wanted */
    uint64_t consumer_seq;
    /* under mu */
    pthread_mutex_t mu;
    pthread_cond_t cond;
    unsigned queued; /* posted, and not handled yet */
    bool held, stop;
};

struct handed {
    struct ac_bus_reader *r;
    natsMsg *msg;
    uint64_t seq;
    int64_t time_ns;
};

static void reader_release(struct ac_bus_reader *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    (void)pthread_cond_destroy(&r->cond);
    (void)pthread_mutex_destroy(&r->mu);
    ac_bus_unref_(r->b);
    free(r->stream);
    free(r->filter);
    free(r);
}

static void hand_over(void *arg)
{
    struct handed *h = arg;
    struct ac_bus_reader *r = h->r;
    if (!r->gone) {
        struct ac_bus_msg m;
        ac_bus_fill_(&m, h->msg);
        m.reply = NULL;
        m.stream_seq = h->seq;
        m.delivered = 1;
        m.time_ns = h->time_ns;
        ac_metric_add(r->b->received, 1);
        r->fn(&m, r->arg);
    }
    natsMsg_Destroy(h->msg);
    free(h);
    (void)pthread_mutex_lock(&r->mu);
    r->queued--;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mu);
    reader_release(r);
}

/* ---- the thread ---- */

static struct timespec after(int64_t ns)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t at = t.tv_sec * AC_NS_PER_S + t.tv_nsec + ns;
    t.tv_sec = at / AC_NS_PER_S;
    t.tv_nsec = at % AC_NS_PER_S;
    return t;
}

/* False when the reader is to end. */
static bool wait_retry(struct ac_bus_reader *r)
{
    struct timespec until = after(RETRY_NS);
    (void)pthread_mutex_lock(&r->mu);
    while (!r->stop && pthread_cond_timedwait(&r->cond, &r->mu, &until) == 0)
        ;
    bool go = !r->stop;
    (void)pthread_mutex_unlock(&r->mu);
    return go;
}

static bool wait_room(struct ac_bus_reader *r)
{
    (void)pthread_mutex_lock(&r->mu);
    while (!r->stop && (r->held || r->queued >= r->max_queued))
        (void)pthread_cond_wait(&r->cond, &r->mu);
    bool go = !r->stop;
    (void)pthread_mutex_unlock(&r->mu);
    return go;
}

/* A stream that was made anew counts from 1 again: waiting for the old number would be silence. */
static natsStatus first_wanted(struct ac_bus_reader *r)
{
    jsStreamInfo *si = NULL;
    jsErrCode je = 0;
    natsStatus s = js_GetStreamInfo(&si, r->b->js, r->stream, NULL, &je);
    if (s != NATS_OK)
        return s;
    uint64_t last = si->State.LastSeq;
    if (r->next_seq == 0)
        r->next_seq = last + 1;
    if (r->next_seq > last + 1) {
        AC_LOGD("bus", "stream_anew", AC_KS("stream", r->stream), AC_KI("last_seq", (int64_t)last),
                AC_KI("wanted_seq", (int64_t)r->next_seq));
        r->next_seq = 1;
    }
    jsStreamInfo_Destroy(si);
    return NATS_OK;
}

static natsStatus open_consumer(struct ac_bus_reader *r)
{
    jsSubOptions so;
    jsErrCode je = 0;
    natsStatus s = first_wanted(r);
    if (s != NATS_OK)
        return s;
    (void)jsSubOptions_Init(&so);
    so.Stream = r->stream;
    so.Config.FilterSubject = r->filter;
    so.Config.DeliverPolicy = js_DeliverByStartSequence;
    so.Config.OptStartSeq = r->next_seq;
    so.Config.AckPolicy = js_AckNone;
    so.Config.MaxDeliver = 1;
    so.Config.FlowControl = true;
    so.Config.Heartbeat = HEARTBEAT_NS;
    so.Config.MemoryStorage = true;
    r->consumer_seq = 0;
    s = js_SubscribeSync(&r->sub, r->b->js, r->filter, NULL, &so, &je);
    if (s == NATS_OK)
        s = natsSubscription_SetPendingLimits(r->sub, AC_BUS_SUB_MESSAGES, AC_BUS_SUB_BYTES);
    return s;
}

static void close_consumer(struct ac_bus_reader *r)
{
    if (!r->sub)
        return;
    (void)natsSubscription_Unsubscribe(r->sub);
    natsSubscription_Destroy(r->sub);
    r->sub = NULL;
}

/* A consumer goes with a server that restarts, and nothing is heard of it again; messages sent
 * while the connection was down are lost. So a silent one is asked what it has sent. */
static natsStatus check_silent(struct ac_bus_reader *r)
{
    jsConsumerInfo *ci = NULL;
    jsErrCode je = 0;
    natsStatus s = natsSubscription_GetConsumerInfo(&ci, r->sub, NULL, &je);
    if (s != NATS_OK)
        return s == NATS_TIMEOUT ? NATS_NOT_FOUND : s;
    int messages = 0, bytes = 0;
    bool all_here =
        ci->Delivered.Consumer == r->consumer_seq ||
        (natsSubscription_GetPending(r->sub, &messages, &bytes) == NATS_OK && messages > 0);
    jsConsumerInfo_Destroy(ci);
    return all_here ? NATS_OK : NATS_MISMATCH;
}

/* Takes msg. An error when a message is missing before it. */
static natsStatus take(struct ac_bus_reader *r, natsMsg *msg)
{
    jsMsgMetaData *md = NULL;
    natsStatus s = natsMsg_GetMetaData(&md, msg);
    if (s != NATS_OK) {
        natsMsg_Destroy(msg);
        return s;
    }
    uint64_t seq = md->Sequence.Stream, nth = md->Sequence.Consumer;
    int64_t time_ns = md->Timestamp;
    jsMsgMetaData_Destroy(md);
    if (nth != r->consumer_seq + 1 || seq < r->next_seq) {
        natsMsg_Destroy(msg);
        return NATS_MISMATCH;
    }
    r->consumer_seq = nth;
    r->next_seq = seq + 1;
    struct handed *h = ac_xmalloc(sizeof(*h));
    *h = (struct handed){.r = r, .msg = msg, .seq = seq, .time_ns = time_ns};
    atomic_fetch_add(&r->refs, 1);
    (void)pthread_mutex_lock(&r->mu);
    r->queued++;
    (void)pthread_mutex_unlock(&r->mu);
    ac_loop_post(r->b->loop, hand_over, h);
    return NATS_OK;
}

static void *read_thread(void *arg)
{
    struct ac_bus_reader *r = arg;
    while (wait_room(r)) {
        natsMsg *msg = NULL;
        natsStatus s = r->sub ? NATS_OK : open_consumer(r);
        if (s == NATS_OK)
            s = natsSubscription_NextMsg(&msg, r->sub, NEXT_WAIT_MS);
        if (s == NATS_OK)
            s = take(r, msg);
        else if (s == NATS_TIMEOUT && r->sub)
            s = check_silent(r);
        if (s == NATS_OK)
            continue;
        AC_LOGD("bus", "read_again", AC_KS("stream", r->stream), AC_KI("seq", (int64_t)r->next_seq),
                AC_KS("why", natsStatus_GetText(s)));
        close_consumer(r);
        if (!wait_retry(r))
            break;
    }
    close_consumer(r);
    nats_ReleaseThreadMemory();
    return NULL;
}

/* ---- the caller's side ---- */

int ac_bus_read(struct ac_bus *b, const struct ac_bus_read *o, ac_bus_fn fn, void *arg,
                struct ac_bus_reader **ret, struct ac_err *err)
{
    AC_ASSERT_ON_LOOP(b->loop);
    pthread_condattr_t at;
    struct ac_bus_reader *r = ac_xcalloc(1, sizeof(*r));
    r->b = b;
    r->stream = ac_xstrdup(o->stream);
    r->filter = ac_xstrdup(o->filter);
    r->next_seq = o->from_seq;
    r->max_queued = o->max_queued ? o->max_queued : DEFAULT_QUEUE;
    r->fn = fn;
    r->arg = arg;
    atomic_init(&r->refs, 1);
    (void)pthread_mutex_init(&r->mu, NULL);
    (void)pthread_condattr_init(&at);
    (void)pthread_condattr_setclock(&at, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->cond, &at);
    (void)pthread_condattr_destroy(&at);
    ac_bus_ref_(b);
    natsStatus s = open_consumer(r); /* a missing stream is the caller's error, told at once */
    if (s == NATS_OK && pthread_create(&r->thread, NULL, read_thread, r) != 0)
        s = NATS_NO_MEMORY;
    if (s != NATS_OK) {
        int code = ac_bus_fail_(b, s, err, o->stream);
        close_consumer(r);
        reader_release(r);
        return code;
    }
    ac_list_push_back(&b->readers, &r->node);
    *ret = r;
    return AC_OK;
}

static void set_held(struct ac_bus_reader *r, bool held)
{
    AC_ASSERT_ON_LOOP(r->b->loop);
    (void)pthread_mutex_lock(&r->mu);
    r->held = held;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mu);
}

void ac_bus_read_hold(struct ac_bus_reader *r)
{
    set_held(r, true);
}

void ac_bus_read_resume(struct ac_bus_reader *r)
{
    set_held(r, false);
}

void ac_bus_read_close(struct ac_bus_reader *r)
{
    if (!r)
        return;
    AC_ASSERT_ON_LOOP(r->b->loop);
    r->gone = true;
    (void)pthread_mutex_lock(&r->mu);
    r->stop = true;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mu);
    (void)pthread_join(r->thread, NULL);
    ac_list_remove(&r->node);
    reader_release(r);
}

void ac_bus_readers_close_(struct ac_bus *b)
{
    while (!ac_list_empty(&b->readers)) {
        struct ac_list *n = b->readers.next;
        ac_bus_read_close(AC_LIST_ENTRY(n, struct ac_bus_reader, node));
    }
}
