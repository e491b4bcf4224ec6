/* The life of one call on the server: state table, reading, handling, sending, closing. */
#include "rpc_impl.h"

#include <string.h>

#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

#define S(x) (1u << CALL_##x)
static const unsigned next_states[CALL_STATES] = {
    [CALL_ARMED] = S(READING) | S(HANDLING) | S(CLOSED),
    [CALL_READING] = S(HANDLING) | S(REPLYING),
    [CALL_HANDLING] = S(REPLYING),
    [CALL_REPLYING] = S(CLOSED),
    [CALL_CLOSED] = 0,
};
#undef S

void ac_rpc_call_move(struct ac_rpc_call *c, enum ac_rpc_call_state to)
{
    AC_ASSERT(next_states[c->state] & (1u << to));
    c->state = to;
}

static void call_ref(struct ac_rpc_call *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

struct ac_rpc_call *ac_rpc_call_create(struct ac_rpc_server *s)
{
    struct ac_rpc_call *c = ac_xcalloc(1, sizeof(*c));
    c->magic = AC_RPC_CALL_MAGIC;
    atomic_init(&c->refs, 1);
    c->s = s;
    c->state = CALL_ARMED;
    ac_list_init(&c->node);
    (void)pthread_mutex_init(&c->mu, NULL);
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->md);
    ac_rpc_queue_init(&c->out);
    ac_rpc_queue_init(&c->in);
    return c;
}

static void call_free(struct ac_rpc_call *c)
{
    struct ac_rpc_server *s = c->s;
    if (c->entry) {
        ac_metric_add(s->running, -1);
        ac_rpc_entry_handled(s->r, c->entry, (int)c->status, ac_now_ns() - c->started_ns);
    }
    ac_rpc_queue_clear(&c->out);
    ac_rpc_queue_clear(&c->in);
    if (c->recv_bb)
        grpc_byte_buffer_destroy(c->recv_bb);
    if (c->has_request)
        grpc_slice_unref(c->request);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->md);
    ac_arena_destroy(c->msg_arena);
    ac_arena_destroy(c->arena);
    free(c->peer);
    (void)pthread_mutex_destroy(&c->mu);
    if (c->g)
        grpc_call_unref(c->g); /* last: the metadata belonged to it */
    ac_rpc_server_call_gone(s, &c->node);
    c->magic = 0;
    free(c);
}

void ac_rpc_call_unref(struct ac_rpc_call *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        call_free(c);
}

void ac_rpc_call_post(struct ac_rpc_call *c, void (*fn)(void *call))
{
    call_ref(c);
    ac_loop_post(c->s->r->loop, fn, c);
}

/* ---- sending ---- */

static void on_sent(struct ac_rpc_op *op, bool ok);

void ac_rpc_call_pump(struct ac_rpc_call *c)
{
    if (c->send_busy || c->status_done)
        return;
    bool ending = c->state == CALL_REPLYING && !c->status_started && c->out.count <= 1;
    if (c->out.count == 0 && !ending)
        return;
    grpc_op ops[3];
    size_t n = 0;
    grpc_slice text = grpc_empty_slice();
    memset(ops, 0, sizeof(ops));
    if (!c->initial_sent)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    if (c->out.count) {
        c->sending = ac_rpc_queue_pop(&c->out);
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = c->sending;
    }
    if (ending) {
        ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[n].data.send_status_from_server.status = c->status;
        if (c->status_text[0]) {
            text = grpc_slice_from_copied_string(c->status_text);
            ops[n].data.send_status_from_server.status_details = &text;
        }
        n++;
        c->status_started = true;
    }
    c->initial_sent = c->send_busy = true;
    call_ref(c);
    bool started = ac_rpc_start(c->g, ops, n, &c->op_send, on_sent);
    grpc_slice_unref(text);
    AC_ASSERT(started); /* the queue outlives the server's calls, and one batch is in flight */
}

static void drained_cb(void *arg)
{
    struct ac_rpc_call *c = arg;
    pthread_mutex_lock(&c->mu);
    c->drain_posted = false;
    bool tell = c->owed && !c->cancelled && c->on_drained && c->out.count == 0 && !c->send_busy;
    void (*fn)(struct ac_rpc_call *, void *) = c->on_drained;
    void *fn_arg = c->on_drained_arg;
    pthread_mutex_unlock(&c->mu);
    if (tell)
        fn(c, fn_arg);
    ac_rpc_call_unref(c);
}

static void maybe_closed(struct ac_rpc_call *c)
{
    if (c->status_done && c->close_seen && c->state == CALL_REPLYING)
        ac_rpc_call_move(c, CALL_CLOSED);
}

static void on_sent(struct ac_rpc_op *op, bool ok)
{
    struct ac_rpc_call *c = AC_CONTAINER_OF(op, struct ac_rpc_call, op_send);
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    pthread_mutex_lock(&c->mu);
    if (c->sending)
        grpc_byte_buffer_destroy(c->sending);
    c->sending = NULL;
    c->send_busy = false;
    if (c->status_started)
        c->status_done = true;
    if (!ok)
        ac_rpc_queue_clear(&c->out); /* the peer has gone; the close event says so */
    ac_rpc_call_pump(c);
    if (!c->send_busy && c->out.count == 0 && c->on_drained && c->owed && !c->cancelled &&
        !c->drain_posted) {
        c->drain_posted = true;
        ac_rpc_call_post(c, drained_cb);
    }
    maybe_closed(c);
    pthread_mutex_unlock(&c->mu);
    ac_rpc_call_unref(c);
}

/* ---- ending ---- */

static void set_status(struct ac_rpc_call *c, grpc_status_code status, const char *text)
{
    ac_rpc_call_move(c, CALL_REPLYING);
    c->status = status;
    size_t n = text ? strnlen(text, sizeof(c->status_text) - 1) : 0;
    memcpy(c->status_text, text ? text : "", n);
    c->status_text[n] = '\0';
}

void ac_rpc_call_end(struct ac_rpc_call *c, grpc_status_code status, const char *text,
                     grpc_byte_buffer *bb)
{
    pthread_mutex_lock(&c->mu);
    AC_ASSERT(c->owed); /* a handler ends its call exactly once */
    c->owed = false;
    if (c->state == CALL_HANDLING || c->state == CALL_READING) {
        set_status(c, status, text);
        if (bb) {
            ac_rpc_queue_push(&c->out, bb);
            bb = NULL;
        }
        ac_rpc_call_pump(c);
    }
    pthread_mutex_unlock(&c->mu);
    if (bb)
        grpc_byte_buffer_destroy(bb);
    ac_rpc_call_unref(c);
}

static void cancel_cb(void *arg)
{
    struct ac_rpc_call *c = arg;
    pthread_mutex_lock(&c->mu);
    bool tell = c->owed && c->on_cancel && !c->cancel_told;
    if (tell)
        c->cancel_told = true;
    void (*fn)(struct ac_rpc_call *, void *) = c->on_cancel;
    void *fn_arg = c->on_cancel_arg;
    pthread_mutex_unlock(&c->mu);
    if (tell)
        fn(c, fn_arg);
    ac_rpc_call_unref(c);
}

void ac_rpc_call_abort(struct ac_rpc_call *c, const struct ac_err *err)
{
    const char *text;
    grpc_status_code code = ac_rpc_public_status(err, &text);
    pthread_mutex_lock(&c->mu);
    if (c->state == CALL_HANDLING) {
        ac_rpc_queue_clear(&c->out);
        set_status(c, code, text);
        c->cancelled = true;
        ac_rpc_call_pump(c);
        if (c->on_cancel)
            ac_rpc_call_post(c, cancel_cb);
    }
    pthread_mutex_unlock(&c->mu);
}

static void on_close(struct ac_rpc_op *op, bool ok)
{
    (void)ok; /* always true by design: close_cancelled is what counts */
    struct ac_rpc_call *c = AC_CONTAINER_OF(op, struct ac_rpc_call, op_close);
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    pthread_mutex_lock(&c->mu);
    c->close_seen = true;
    if (c->close_cancelled) {
        if (!c->status_done && c->status == GRPC_STATUS_OK)
            c->status = GRPC_STATUS_CANCELLED; /* for the metrics: the peer never saw an answer */
        c->cancelled = true;
        ac_rpc_queue_clear(&c->out);
        if (c->on_cancel && c->owed)
            ac_rpc_call_post(c, cancel_cb);
    }
    maybe_closed(c);
    pthread_mutex_unlock(&c->mu);
    ac_rpc_call_unref(c);
}

void ac_rpc_on_cancel(struct ac_rpc_call *c, void (*fn)(struct ac_rpc_call *c, void *arg),
                      void *arg)
{
    pthread_mutex_lock(&c->mu);
    c->on_cancel = fn;
    c->on_cancel_arg = arg;
    if (fn && c->cancelled && c->owed && !c->cancel_told)
        ac_rpc_call_post(c, cancel_cb);
    pthread_mutex_unlock(&c->mu);
}

/* ---- reading ---- */

static void fail_now(struct ac_rpc_call *c, const struct ac_err *err)
{
    const char *text;
    grpc_status_code code = ac_rpc_public_status(err, &text);
    ac_rpc_call_end(c, code, text, NULL);
}

static void unary_request(struct ac_rpc_call *c)
{
    struct ac_err err = AC_ERR_INIT;
    if (!c->recv_bb) {
        (void)ac_err_set(&err, c->cancelled ? AC_ECANCELED : AC_EINVAL,
                         "the call ended before its request message");
        fail_now(c, &err);
        return;
    }
    c->has_request = ac_rpc_flatten(c->recv_bb, &c->request);
    grpc_byte_buffer_destroy(c->recv_bb);
    c->recv_bb = NULL;
    if (!c->has_request) {
        (void)ac_err_set(&err, AC_EINVAL, "the request does not decompress");
        fail_now(c, &err);
        return;
    }
    struct ac_rpc_entry *e = c->entry;
    size_t len = GRPC_SLICE_LENGTH(c->request);
    if (e->max_request_bytes && len > e->max_request_bytes) {
        (void)ac_err_set(&err, AC_EAGAIN, "request of %zu bytes; this method takes %zu", len,
                         e->max_request_bytes);
        fail_now(c, &err);
        return;
    }
    if (e->m) {
        ProtobufCMessage *msg = NULL;
        if (ac_pb_unpack(e->m->input, GRPC_SLICE_START_PTR(c->request), len, c->arena, &msg, &err) <
            0) {
            if (err.code == AC_EPROTO)
                err.code = AC_EINVAL; /* the peer's fault, not ours */
            fail_now(c, &err);
            return;
        }
        c->req = msg;
    }
    pthread_mutex_lock(&c->mu);
    ac_rpc_call_move(c, CALL_HANDLING);
    pthread_mutex_unlock(&c->mu);
    call_ref(c);
    if (e->flags & AC_RPC_INLINE)
        ac_rpc_call_run(c);
    else
        ac_loop_post(c->s->r->loop, ac_rpc_call_run, c);
}

static void on_unary_request(struct ac_rpc_op *op, bool ok)
{
    (void)ok;
    struct ac_rpc_call *c = AC_CONTAINER_OF(op, struct ac_rpc_call, op_recv);
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    unary_request(c);
    ac_rpc_call_unref(c);
}

static void deliver_cb(void *arg);

static void on_message(struct ac_rpc_op *op, bool ok)
{
    struct ac_rpc_call *c = AC_CONTAINER_OF(op, struct ac_rpc_call, op_recv);
    AC_CHECK_OBJ(c, AC_RPC_CALL_MAGIC);
    pthread_mutex_lock(&c->mu);
    c->recv_busy = false;
    if (c->recv_bb) {
        ac_rpc_queue_push(&c->in, c->recv_bb);
        c->recv_bb = NULL;
        ac_rpc_call_read(c);
    } else {
        c->recv_end = true;
        c->recv_failed = !ok || c->cancelled || grpc_call_failed_before_recv_message(c->g) != 0;
    }
    if (!c->in_posted && c->owed) {
        c->in_posted = true;
        ac_rpc_call_post(c, deliver_cb);
    }
    pthread_mutex_unlock(&c->mu);
    ac_rpc_call_unref(c);
}

/* Reads ahead until AC_RPC_RECV_AHEAD messages wait for the loop: then the peer is held back by
 * the flow control of HTTP/2. */
void ac_rpc_call_read(struct ac_rpc_call *c)
{
    if (c->recv_busy || c->recv_end || c->in.count >= AC_RPC_RECV_AHEAD ||
        c->in.bytes > AC_RPC_SEND_BYTES)
        return;
    grpc_op op;
    memset(&op, 0, sizeof(op));
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &c->recv_bb;
    c->recv_busy = true;
    call_ref(c);
    bool unary = c->state == CALL_READING;
    bool started = ac_rpc_start(c->g, &op, 1, &c->op_recv, unary ? on_unary_request : on_message);
    AC_ASSERT(started);
}

/* One message to the handler; a bad one aborts the call. */
static void deliver_one(struct ac_rpc_call *c, grpc_byte_buffer *bb)
{
    struct ac_err err = AC_ERR_INIT;
    grpc_slice s;
    const struct ac_rpc_entry *e = c->entry;
    bool flat = ac_rpc_flatten(bb, &s);
    grpc_byte_buffer_destroy(bb);
    if (!flat) {
        (void)ac_err_set(&err, AC_EINVAL, "a message does not decompress");
        ac_rpc_call_abort(c, &err);
        return;
    }
    size_t len = GRPC_SLICE_LENGTH(s);
    ProtobufCMessage *msg = NULL;
    if (e->max_request_bytes && len > e->max_request_bytes) {
        (void)ac_err_set(&err, AC_EAGAIN, "message of %zu bytes; this method takes %zu", len,
                         e->max_request_bytes);
    } else {
        if (!c->msg_arena)
            c->msg_arena =
                ac_arena_create(AC_RPC_ARENA_BASE + AC_RPC_ARENA_FACTOR * c->s->max_message_bytes);
        ac_arena_reset(c->msg_arena);
        if (ac_pb_unpack(e->m->input, GRPC_SLICE_START_PTR(s), len, c->msg_arena, &msg, &err) ==
            AC_EPROTO)
            err.code = AC_EINVAL;
    }
    if (msg && c->on_message)
        c->on_message(c, msg, c->on_message_arg);
    grpc_slice_unref(s);
    if (!msg)
        ac_rpc_call_abort(c, &err);
}

static void deliver_cb(void *arg)
{
    struct ac_rpc_call *c = arg;
    for (bool more = true; more;) {
        pthread_mutex_lock(&c->mu);
        bool alive = c->owed && c->state == CALL_HANDLING && !c->cancelled;
        if (!alive)
            ac_rpc_queue_clear(&c->in);
        grpc_byte_buffer *bb = ac_rpc_queue_pop(&c->in);
        bool eof = false;
        if (bb) {
            ac_rpc_call_read(c);
        } else {
            eof = alive && c->recv_end && !c->recv_failed && !c->eof_told;
            c->eof_told = c->eof_told || eof;
            c->in_posted = false;
        }
        pthread_mutex_unlock(&c->mu);
        more = bb != NULL;
        if (bb)
            deliver_one(c, bb);
        if (eof && c->on_message)
            c->on_message(c, NULL, c->on_message_arg);
    }
    ac_rpc_call_unref(c);
}

/* ---- beginning ---- */

/* W3C traceparent: 2 hex digits of version, '-', 32 of the trace, ... */
static bool set_trace(const struct ac_rpc_call *c)
{
    const char *tp = ac_rpc_metadata(c, "traceparent");
    char id[33];
    if (!tp || strlen(tp) < 36 || tp[2] != '-' || tp[35] != '-')
        return false;
    memcpy(id, tp + 3, 32);
    id[32] = '\0';
    if (strspn(id, "0123456789abcdef") != 32)
        return false;
    ac_log_set_trace(id);
    return true;
}

void ac_rpc_call_run(void *arg)
{
    struct ac_rpc_call *c = arg;
    struct ac_err err = AC_ERR_INIT;
    int code = AC_OK;
    pthread_mutex_lock(&c->mu);
    bool gone = c->cancelled;
    pthread_mutex_unlock(&c->mu);
    if (gone) { /* nobody waits for the work any more */
        ac_rpc_call_end(c, GRPC_STATUS_CANCELLED, "cancelled", NULL);
        ac_rpc_call_unref(c);
        return;
    }
    bool traced = set_trace(c);
    for (size_t i = 0; i < c->s->n_intercept && code == AC_OK; i++)
        code = c->s->intercept[i].fn(c, c->s->intercept[i].arg, &err);
    if (code != AC_OK) {
        if (err.code == AC_OK)
            err.code = code;
        ac_rpc_fail(c, &err);
    } else {
        c->entry->handler(c, c->req, c->entry->self);
    }
    if (traced)
        ac_log_set_trace(NULL);
    ac_rpc_call_unref(c);
}

/* RECV_CLOSE first: it is the only sign of a cancel. */
static void watch_close(struct ac_rpc_call *c)
{
    grpc_op op;
    memset(&op, 0, sizeof(op));
    op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    op.data.recv_close_on_server.cancelled = &c->close_cancelled;
    call_ref(c);
    bool started = ac_rpc_start(c->g, &op, 1, &c->op_close, on_close);
    AC_ASSERT(started);
}

void ac_rpc_call_accepted(struct ac_rpc_call *c)
{
    struct ac_rpc_server *s = c->s;
    struct ac_err err = AC_ERR_INIT;
    c->started_ns = ac_now_ns();
    c->deadline_ns = ac_rpc_deadline_from(c->details.deadline);
    c->arena = ac_arena_create(AC_RPC_ARENA_BASE + AC_RPC_ARENA_FACTOR * s->max_message_bytes);
    size_t n = GRPC_SLICE_LENGTH(c->details.method);
    c->path = ac_arena_strndup(c->arena, (const char *)GRPC_SLICE_START_PTR(c->details.method), n);
    c->entry = ac_rpc_server_find(s, c->path);
    ac_metric_add(s->running, 1);
    c->owed = true; /* the reference that create gave is the owed end's */
    pthread_mutex_lock(&c->mu);
    watch_close(c);
    ac_rpc_call_move(c, CALL_READING);
    pthread_mutex_unlock(&c->mu);

    if (!c->entry) {
        c->entry = &s->unknown;
        (void)ac_err_set(&err, AC_ENOTSUP, "method %.200s is not implemented here", c->path);
    } else if (!c->entry->open) {
        (void)ac_rpc_call_authorize(c, &err);
    }
    pthread_mutex_lock(&s->mu);
    if (err.code == AC_OK && s->live > AC_RPC_MAX_CALLS)
        (void)ac_err_set(&err, AC_EAGAIN, "the server runs %u calls already", AC_RPC_MAX_CALLS);
    pthread_mutex_unlock(&s->mu);
    if (err.code != AC_OK) {
        fail_now(c, &err);
        return;
    }
    pthread_mutex_lock(&c->mu);
    bool one = c->entry->kind == AC_RPC_UNARY || c->entry->kind == AC_RPC_SERVER_STREAM;
    if (!one) {
        ac_rpc_call_move(c, CALL_HANDLING);
        ac_rpc_call_post(c, ac_rpc_call_run); /* before the first message is posted */
    }
    ac_rpc_call_read(c);
    pthread_mutex_unlock(&c->mu);
}
