/* Channels, and the client side of calls, unary and streaming, on the shared queue. */
#include "rpc_impl.h"

#include <string.h>

#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

struct ac_rpc_stream {
    uint32_t magic;
    atomic_uint refs; /* one a batch, one a post to the loop, one until done has been called */
    struct ac_rpc_channel *ch;
    struct ac_list node; /* ch->streams, under ch->mu */
    grpc_call *g;
    bool unary;
    const ProtobufCMessageDescriptor *desc; /* NULL: raw bytes */
    void (*on_message)(struct ac_rpc_stream *st, const void *msg, void *arg);
    ac_rpc_done done;
    void *arg;
    struct ac_rpc_md md;
    uint32_t flags;

    struct ac_rpc_op op_start, op_recv, op_send, op_status;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *recv_bb, *sending;
    grpc_status_code status;
    grpc_slice details;
    bool has_details;

    struct ac_arena *arena; /* the reply, or the current message */
    grpc_slice reply_bytes;
    bool has_reply_bytes;
    ProtobufCMessage *reply;
    int code;
    char text[AC_RPC_STATUS_TEXT];

    pthread_mutex_t mu; /* everything below, and start_batch */
    struct ac_rpc_queue out, in;
    bool close_wanted, close_started;
    bool send_busy, recv_busy, recv_end, status_seen;
    bool user_cancelled, broken, posted, finished;
    char why[AC_ERR_MSG_MAX]; /* broken: our own reason */
};

/* ---- channel ---- */

struct ac_rpc_channel *ac_rpc_channel_create(struct ac_rpc *r, const char *target,
                                             const struct ac_rpc_tls *tls)
{
    struct ac_rpc_channel *ch = ac_xcalloc(1, sizeof(*ch));
    ch->r = r;
    ac_rpc_rt_ref(r);
    atomic_fetch_add(&r->users, 1);
    atomic_init(&ch->refs, 1);
    (void)pthread_mutex_init(&ch->mu, NULL);
    ac_list_init(&ch->streams);
    ch->g = ac_rpc_connect(target, tls);
    return ch;
}

static void channel_ref(struct ac_rpc_channel *ch)
{
    atomic_fetch_add_explicit(&ch->refs, 1, memory_order_relaxed);
}

void ac_rpc_channel_unref(struct ac_rpc_channel *ch)
{
    if (atomic_fetch_sub_explicit(&ch->refs, 1, memory_order_acq_rel) != 1)
        return;
    (void)pthread_mutex_destroy(&ch->mu);
    free(ch->token);
    ac_rpc_rt_unref(ch->r);
    free(ch);
}

void ac_rpc_channel_set_token(struct ac_rpc_channel *ch, const char *token)
{
    pthread_mutex_lock(&ch->mu);
    free(ch->token);
    ch->token = ac_xstrdup(token);
    pthread_mutex_unlock(&ch->mu);
}

void ac_rpc_channel_destroy(struct ac_rpc_channel *ch)
{
    if (!ch)
        return;
    AC_ASSERT_ON_LOOP(ch->r->loop);
    pthread_mutex_lock(&ch->mu);
    AC_ASSERT(!ch->closed);
    ch->closed = true;
    AC_LIST_FOREACH(n, &ch->streams)
    {
        struct ac_rpc_stream *st = AC_LIST_ENTRY(n, struct ac_rpc_stream, node);
        (void)grpc_call_cancel_with_status(st->g, GRPC_STATUS_CANCELLED, "channel closed", NULL);
    }
    pthread_mutex_unlock(&ch->mu);
    grpc_channel_destroy(ch->g);
    atomic_fetch_sub(&ch->r->users, 1);
    ac_rpc_channel_unref(ch);
}

/* ---- life ---- */

static void stream_ref(struct ac_rpc_stream *st)
{
    atomic_fetch_add_explicit(&st->refs, 1, memory_order_relaxed);
}

static void stream_unref(struct ac_rpc_stream *st)
{
    if (atomic_fetch_sub_explicit(&st->refs, 1, memory_order_acq_rel) != 1)
        return;
    ac_rpc_queue_clear(&st->out);
    ac_rpc_queue_clear(&st->in);
    if (st->recv_bb)
        grpc_byte_buffer_destroy(st->recv_bb);
    if (st->has_reply_bytes)
        grpc_slice_unref(st->reply_bytes);
    if (st->has_details)
        grpc_slice_unref(st->details);
    grpc_metadata_array_destroy(&st->initial);
    grpc_metadata_array_destroy(&st->trailing);
    ac_rpc_md_fini(&st->md);
    ac_arena_destroy(st->arena);
    (void)pthread_mutex_destroy(&st->mu);
    grpc_call_unref(st->g);
    ac_rpc_channel_unref(st->ch);
    st->magic = 0;
    free(st);
}

static struct ac_rpc_stream *stream_create(struct ac_rpc_channel *ch, const char *method,
                                           const struct ac_rpc_call_opts *o)
{
    AC_ASSERT(o->timeout_ns > 0); /* a call without a deadline may hang for ever */
    struct ac_rpc_stream *st = ac_xcalloc(1, sizeof(*st));
    st->magic = AC_RPC_STREAM_MAGIC;
    atomic_init(&st->refs, 1);
    st->ch = ch;
    channel_ref(ch);
    ac_list_init(&st->node);
    (void)pthread_mutex_init(&st->mu, NULL);
    ac_rpc_queue_init(&st->out);
    ac_rpc_queue_init(&st->in);
    grpc_metadata_array_init(&st->initial);
    grpc_metadata_array_init(&st->trailing);
    st->flags = o->wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                                        GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                                  : 0;
    grpc_slice path = grpc_slice_from_copied_string(method);
    pthread_mutex_lock(&ch->mu);
    AC_ASSERT(!ch->closed);
    ac_rpc_md_init(&st->md, ch->token, o->metadata);
    st->g = grpc_channel_create_call(ch->g, NULL, GRPC_PROPAGATE_DEFAULTS, ch->r->cq, path, NULL,
                                     ac_rpc_deadline_in(o->timeout_ns), NULL);
    ac_list_push_back(&ch->streams, &st->node);
    pthread_mutex_unlock(&ch->mu);
    grpc_slice_unref(path);
    return st;
}

/* Poller, once the status is there. */
static void take_status(struct ac_rpc_stream *st)
{
    st->has_details = true;
    st->code = st->status == GRPC_STATUS_OK ? AC_OK : ac_err_from_grpc_status((int)st->status);
    ac_rpc_slice_str(st->details, st->text, sizeof(st->text));
    if (st->broken) {
        st->code = AC_EPROTO;
        memcpy(st->text, st->why, sizeof(st->why));
    }
}

static void tell_done(struct ac_rpc_stream *st)
{
    struct ac_rpc_channel *ch = st->ch;
    pthread_mutex_lock(&ch->mu);
    ac_list_remove(&st->node);
    pthread_mutex_unlock(&ch->mu);
    struct ac_rpc_result res = {
        .code = st->code,
        .message = st->text[0] ? st->text : ac_err_text(st->code),
        .reply = st->code == AC_OK ? st->reply : NULL,
        .raw = st->has_reply_bytes ? GRPC_SLICE_START_PTR(st->reply_bytes) : NULL,
        .raw_len = st->has_reply_bytes ? GRPC_SLICE_LENGTH(st->reply_bytes) : 0,
    };
    if (st->done)
        st->done(&res, st->arg);
    stream_unref(st); /* the handle's */
}

static struct ac_arena *arena_for(size_t wire_bytes)
{
    return ac_arena_create(AC_RPC_ARENA_BASE + AC_RPC_ARENA_FACTOR * wire_bytes);
}

/* ---- unary ---- */

static void unary_done_cb(void *arg)
{
    struct ac_rpc_stream *st = arg;
    tell_done(st);
    stream_unref(st);
}

static void unary_reply(struct ac_rpc_stream *st)
{
    struct ac_err err = AC_ERR_INIT;
    take_status(st);
    if (st->code != AC_OK)
        return;
    if (!st->recv_bb) {
        st->code = AC_EPROTO;
        (void)ac_str_copy(st->text, sizeof(st->text), "status OK without a reply");
        return;
    }
    st->has_reply_bytes = ac_rpc_flatten(st->recv_bb, &st->reply_bytes);
    if (!st->has_reply_bytes) {
        st->code = AC_EPROTO;
        (void)ac_str_copy(st->text, sizeof(st->text), "the reply does not decompress");
        return;
    }
    if (!st->desc)
        return;
    size_t len = GRPC_SLICE_LENGTH(st->reply_bytes);
    st->arena = arena_for(len);
    int e = ac_pb_unpack(st->desc, GRPC_SLICE_START_PTR(st->reply_bytes), len, st->arena,
                         &st->reply, &err);
    if (e < 0) {
        st->code = e;
        (void)ac_str_copy(st->text, sizeof(st->text), err.msg);
    }
}

static void on_unary(struct ac_rpc_op *op, bool ok)
{
    (void)ok; /* true by design even for failed calls: the status tells */
    struct ac_rpc_stream *st = AC_CONTAINER_OF(op, struct ac_rpc_stream, op_start);
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    if (st->sending)
        grpc_byte_buffer_destroy(st->sending);
    st->sending = NULL;
    unary_reply(st);
    ac_loop_post(st->ch->r->loop, unary_done_cb, st); /* with the batch's reference */
}

static struct ac_rpc_stream *unary(struct ac_rpc_channel *ch, const char *method,
                                   grpc_byte_buffer *bb, const ProtobufCMessageDescriptor *desc,
                                   const struct ac_rpc_call_opts *o, ac_rpc_done done, void *arg)
{
    struct ac_rpc_stream *st = stream_create(ch, method, o);
    st->unary = true;
    st->desc = desc;
    st->done = done;
    st->arg = arg;
    st->sending = bb;
    grpc_op ops[6];
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].flags = st->flags;
    ops[0].data.send_initial_metadata.metadata = st->md.v;
    ops[0].data.send_initial_metadata.count = st->md.n;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = bb;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &st->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &st->recv_bb;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &st->trailing;
    ops[5].data.recv_status_on_client.status = &st->status;
    ops[5].data.recv_status_on_client.status_details = &st->details;
    stream_ref(st);
    bool started = ac_rpc_start(st->g, ops, 6, &st->op_start, on_unary);
    AC_ASSERT(started); /* the metadata was checked, the queue is open while channels are */
    return st;
}

struct ac_rpc_stream *ac_rpc_unary(struct ac_rpc_channel *ch, const char *method, const void *req,
                                   const ProtobufCMessageDescriptor *reply_desc,
                                   const struct ac_rpc_call_opts *o, ac_rpc_done done, void *arg)
{
    return unary(ch, method, ac_rpc_pack(req), reply_desc, o, done, arg);
}

struct ac_rpc_stream *ac_rpc_unary_raw(struct ac_rpc_channel *ch, const char *method,
                                       const void *data, size_t len,
                                       const struct ac_rpc_call_opts *o, ac_rpc_done done,
                                       void *arg)
{
    return unary(ch, method, ac_rpc_bytes(data, len), NULL, o, done, arg);
}

/* ---- streaming ---- */

static void on_stream_sent(struct ac_rpc_op *op, bool ok);
static void on_stream_message(struct ac_rpc_op *op, bool ok);
static void deliver_cb(void *arg);

/* With st->mu held. */
static void post_deliver(struct ac_rpc_stream *st)
{
    if (st->posted)
        return;
    st->posted = true;
    stream_ref(st);
    ac_loop_post(st->ch->r->loop, deliver_cb, st);
}

/* With st->mu held. One message or the half-close at a time. */
static void pump(struct ac_rpc_stream *st)
{
    bool closing = st->close_wanted && !st->close_started && st->out.count <= 1;
    if (st->send_busy || (st->out.count == 0 && !closing))
        return;
    grpc_op ops[2];
    size_t n = 0;
    memset(ops, 0, sizeof(ops));
    if (st->out.count) {
        st->sending = ac_rpc_queue_pop(&st->out);
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = st->sending;
    }
    if (closing) {
        ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        st->close_started = true;
    }
    st->send_busy = true;
    stream_ref(st);
    bool started = ac_rpc_start(st->g, ops, n, &st->op_send, on_stream_sent);
    AC_ASSERT(started);
}

static void on_stream_sent(struct ac_rpc_op *op, bool ok)
{
    struct ac_rpc_stream *st = AC_CONTAINER_OF(op, struct ac_rpc_stream, op_send);
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    pthread_mutex_lock(&st->mu);
    if (st->sending)
        grpc_byte_buffer_destroy(st->sending);
    st->sending = NULL;
    st->send_busy = false;
    if (ok)
        pump(st);
    else
        ac_rpc_queue_clear(&st->out);
    pthread_mutex_unlock(&st->mu);
    stream_unref(st);
}

/* With st->mu held. */
static void read_ahead(struct ac_rpc_stream *st)
{
    if (st->recv_busy || st->recv_end || st->in.count >= AC_RPC_RECV_AHEAD ||
        st->in.bytes > AC_RPC_SEND_BYTES)
        return;
    grpc_op op;
    memset(&op, 0, sizeof(op));
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &st->recv_bb;
    st->recv_busy = true;
    stream_ref(st);
    bool started = ac_rpc_start(st->g, &op, 1, &st->op_recv, on_stream_message);
    AC_ASSERT(started);
}

static void on_stream_message(struct ac_rpc_op *op, bool ok)
{
    (void)ok;
    struct ac_rpc_stream *st = AC_CONTAINER_OF(op, struct ac_rpc_stream, op_recv);
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    pthread_mutex_lock(&st->mu);
    st->recv_busy = false;
    if (st->recv_bb) {
        ac_rpc_queue_push(&st->in, st->recv_bb);
        st->recv_bb = NULL;
        read_ahead(st);
    } else {
        st->recv_end = true;
    }
    post_deliver(st);
    pthread_mutex_unlock(&st->mu);
    stream_unref(st);
}

static void on_stream_status(struct ac_rpc_op *op, bool ok)
{
    (void)ok;
    struct ac_rpc_stream *st = AC_CONTAINER_OF(op, struct ac_rpc_stream, op_status);
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    pthread_mutex_lock(&st->mu);
    st->status_seen = true;
    take_status(st);
    post_deliver(st);
    pthread_mutex_unlock(&st->mu);
    stream_unref(st);
}

static void on_stream_start(struct ac_rpc_op *op, bool ok)
{
    (void)ok; /* a failure shows in the status */
    stream_unref(AC_CONTAINER_OF(op, struct ac_rpc_stream, op_start));
}

static void break_stream(struct ac_rpc_stream *st, const char *why)
{
    pthread_mutex_lock(&st->mu);
    if (!st->broken) {
        st->broken = true;
        (void)ac_str_copy(st->why, sizeof(st->why), why);
    }
    if (st->status_seen)
        take_status(st);
    pthread_mutex_unlock(&st->mu);
    (void)grpc_call_cancel(st->g, NULL);
}

static void deliver_one(struct ac_rpc_stream *st, grpc_byte_buffer *bb)
{
    struct ac_err err = AC_ERR_INIT;
    grpc_slice s;
    bool flat = ac_rpc_flatten(bb, &s);
    grpc_byte_buffer_destroy(bb);
    if (!flat) {
        break_stream(st, "a message does not decompress");
        return;
    }
    if (!st->arena)
        st->arena = arena_for(AC_RPC_CLIENT_MESSAGE_BYTES);
    ac_arena_reset(st->arena);
    ProtobufCMessage *msg = NULL;
    if (ac_pb_unpack(st->desc, GRPC_SLICE_START_PTR(s), GRPC_SLICE_LENGTH(s), st->arena, &msg,
                     &err) < 0)
        break_stream(st, err.msg);
    else if (st->on_message)
        st->on_message(st, msg, st->arg);
    grpc_slice_unref(s);
}

static void deliver_cb(void *arg)
{
    struct ac_rpc_stream *st = arg;
    for (;;) {
        pthread_mutex_lock(&st->mu);
        if (st->user_cancelled || st->broken)
            ac_rpc_queue_clear(&st->in);
        grpc_byte_buffer *bb = ac_rpc_queue_pop(&st->in);
        read_ahead(st);
        bool over = !bb && st->recv_end && st->status_seen && !st->finished;
        st->finished = st->finished || over;
        if (!bb)
            st->posted = false;
        pthread_mutex_unlock(&st->mu);
        if (bb) {
            deliver_one(st, bb);
            continue;
        }
        if (over)
            tell_done(st);
        stream_unref(st);
        return;
    }
}

struct ac_rpc_stream *
ac_rpc_open(struct ac_rpc_channel *ch, const char *method,
            const ProtobufCMessageDescriptor *reply_desc, const struct ac_rpc_call_opts *o,
            void (*on_message_fn)(struct ac_rpc_stream *st, const void *msg, void *arg),
            ac_rpc_done done, void *arg)
{
    struct ac_rpc_stream *st = stream_create(ch, method, o);
    st->desc = reply_desc;
    st->on_message = on_message_fn;
    st->done = done;
    st->arg = arg;
    grpc_op ops[2];
    pthread_mutex_lock(&st->mu);
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[0].data.recv_status_on_client.trailing_metadata = &st->trailing;
    ops[0].data.recv_status_on_client.status = &st->status;
    ops[0].data.recv_status_on_client.status_details = &st->details;
    stream_ref(st);
    bool started = ac_rpc_start(st->g, ops, 1, &st->op_status, on_stream_status);
    AC_ASSERT(started);
    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].flags = st->flags;
    ops[0].data.send_initial_metadata.metadata = st->md.v;
    ops[0].data.send_initial_metadata.count = st->md.n;
    ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &st->initial;
    stream_ref(st);
    started = ac_rpc_start(st->g, ops, 2, &st->op_start, on_stream_start);
    AC_ASSERT(started);
    read_ahead(st);
    pthread_mutex_unlock(&st->mu);
    return st;
}

int ac_rpc_stream_send(struct ac_rpc_stream *st, const void *msg)
{
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    int code = AC_OK;
    pthread_mutex_lock(&st->mu);
    if (st->unary || st->close_wanted)
        code = AC_ESTATE;
    else if (st->status_seen || st->user_cancelled)
        code = AC_ECANCELED;
    else if (st->out.count + (st->sending ? 1 : 0) >= AC_RPC_SEND_MESSAGES ||
             st->out.bytes >= AC_RPC_SEND_BYTES)
        code = AC_EAGAIN;
    if (code == AC_OK) {
        ac_rpc_queue_push(&st->out, ac_rpc_pack(msg));
        pump(st);
    }
    pthread_mutex_unlock(&st->mu);
    return code;
}

void ac_rpc_stream_close_send(struct ac_rpc_stream *st)
{
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    pthread_mutex_lock(&st->mu);
    if (!st->unary && !st->close_wanted) {
        st->close_wanted = true;
        pump(st);
    }
    pthread_mutex_unlock(&st->mu);
}

void ac_rpc_stream_cancel(struct ac_rpc_stream *st)
{
    AC_CHECK_OBJ(st, AC_RPC_STREAM_MAGIC);
    pthread_mutex_lock(&st->mu);
    st->user_cancelled = true;
    pthread_mutex_unlock(&st->mu);
    (void)grpc_call_cancel_with_status(st->g, GRPC_STATUS_CANCELLED, "cancelled", NULL);
}
