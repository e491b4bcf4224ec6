/* Blocking calls with a pluck queue of their own, for the command line and tests. */
#include "rpc_impl.h"

#include <string.h>

#include <aceso/pbx.h>

struct sync_call {
    grpc_channel *channel;
    grpc_completion_queue *cq;
    grpc_call *g;
    struct ac_rpc_md md;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *recv_bb;
    grpc_status_code status;
    grpc_slice details;
    bool has_details;
    const char *target;
};

static void sync_open(struct sync_call *k, const char *target, const struct ac_rpc_tls *tls,
                      const char *token, const char *method, int64_t timeout_ns)
{
    memset(k, 0, sizeof(*k));
    AC_ASSERT(timeout_ns > 0);
    ac_rpc_core_init();
    k->target = target;
    k->channel = ac_rpc_connect(target, tls);
    k->cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_slice path = grpc_slice_from_copied_string(method);
    k->g = grpc_channel_create_call(k->channel, NULL, GRPC_PROPAGATE_DEFAULTS, k->cq, path, NULL,
                                    ac_rpc_deadline_in(timeout_ns), NULL);
    grpc_slice_unref(path);
    ac_rpc_md_init(&k->md, token, NULL);
    grpc_metadata_array_init(&k->initial);
    grpc_metadata_array_init(&k->trailing);
}

static void sync_close(struct sync_call *k)
{
    if (k->recv_bb)
        grpc_byte_buffer_destroy(k->recv_bb);
    if (k->has_details)
        grpc_slice_unref(k->details);
    grpc_metadata_array_destroy(&k->initial);
    grpc_metadata_array_destroy(&k->trailing);
    ac_rpc_md_fini(&k->md);
    grpc_call_unref(k->g);
    grpc_channel_destroy(k->channel);
    grpc_completion_queue_shutdown(k->cq);
    while (
        grpc_completion_queue_pluck(k->cq, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
        GRPC_QUEUE_SHUTDOWN)
        continue;
    grpc_completion_queue_destroy(k->cq);
    grpc_shutdown();
}

/* The call's own deadline ends it, so the queue may be waited on without one. */
static void sync_batch(struct sync_call *k, const grpc_op *ops, size_t n, void *tag)
{
    grpc_call_error e = grpc_call_start_batch(k->g, ops, n, tag, NULL);
    AC_ASSERT(e == GRPC_CALL_OK);
}

static void sync_wait(struct sync_call *k, void *tag)
{
    (void)grpc_completion_queue_pluck(k->cq, tag, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

/* Ops that every call begins with: the request and the half-close. */
static size_t sync_request_ops(struct sync_call *k, grpc_op *ops, grpc_byte_buffer *bb)
{
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.metadata = k->md.v;
    ops[0].data.send_initial_metadata.count = k->md.n;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = bb;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &k->initial;
    return 4;
}

static void sync_status_op(struct sync_call *k, grpc_op *op)
{
    op->op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op->data.recv_status_on_client.trailing_metadata = &k->trailing;
    op->data.recv_status_on_client.status = &k->status;
    op->data.recv_status_on_client.status_details = &k->details;
}

static int sync_result(struct sync_call *k, struct ac_err *err)
{
    k->has_details = true;
    if (k->status == GRPC_STATUS_OK)
        return AC_OK;
    char text[AC_ERR_MSG_MAX];
    ac_rpc_slice_str(k->details, text, sizeof(text));
    int code = ac_err_from_grpc_status((int)k->status);
    if (code == AC_ENET)
        return ac_err_set(err, code, "%s: %s", k->target, text[0] ? text : "unavailable");
    return ac_err_set(err, code, "%s", text[0] ? text : ac_err_text(code));
}

static int sync_unpack(const ProtobufCMessageDescriptor *desc, grpc_byte_buffer *bb,
                       ProtobufCMessage **ret, struct ac_err *err)
{
    grpc_slice s;
    if (!ac_rpc_flatten(bb, &s))
        return ac_err_set(err, AC_EPROTO, "a message does not decompress");
    size_t len = GRPC_SLICE_LENGTH(s);
    int code = ac_pb_unpack_heap(desc, GRPC_SLICE_START_PTR(s), len,
                                 AC_RPC_ARENA_BASE + AC_RPC_ARENA_FACTOR * len, ret, err);
    grpc_slice_unref(s);
    return code;
}

int ac_rpc_call_sync(const char *target, const struct ac_rpc_tls *tls, const char *token,
                     const char *method, const void *req,
                     const ProtobufCMessageDescriptor *reply_desc, int64_t timeout_ns,
                     ProtobufCMessage **ret_reply, struct ac_err *err)
{
    struct sync_call k;
    grpc_op ops[6];
    sync_open(&k, target, tls, token, method, timeout_ns);
    grpc_byte_buffer *bb = ac_rpc_pack(req);
    memset(ops, 0, sizeof(ops));
    size_t n = sync_request_ops(&k, ops, bb);
    ops[n].op = GRPC_OP_RECV_MESSAGE;
    ops[n++].data.recv_message.recv_message = &k.recv_bb;
    sync_status_op(&k, &ops[n++]);
    sync_batch(&k, ops, n, &k);
    sync_wait(&k, &k);
    grpc_byte_buffer_destroy(bb);
    int code = sync_result(&k, err);
    if (code == AC_OK && !k.recv_bb)
        code = ac_err_set(err, AC_EPROTO, "status OK without a reply");
    if (code == AC_OK)
        code = sync_unpack(reply_desc, k.recv_bb, ret_reply, err);
    sync_close(&k);
    return code;
}

int ac_rpc_stream_sync(const char *target, const struct ac_rpc_tls *tls, const char *token,
                       const char *method, const void *req,
                       const ProtobufCMessageDescriptor *reply_desc, int64_t timeout_ns,
                       bool (*on_message)(const void *msg, void *arg), void *arg,
                       struct ac_err *err)
{
    struct sync_call k;
    grpc_op ops[4], one;
    char tag_start, tag_recv, tag_status;
    sync_open(&k, target, tls, token, method, timeout_ns);
    grpc_byte_buffer *bb = ac_rpc_pack(req);
    memset(&one, 0, sizeof(one));
    sync_status_op(&k, &one);
    sync_batch(&k, &one, 1, &tag_status);
    memset(ops, 0, sizeof(ops));
    sync_batch(&k, ops, sync_request_ops(&k, ops, bb), &tag_start);
    int code = AC_OK;
    bool stopped = false;
    while (!stopped && code == AC_OK) {
        memset(&one, 0, sizeof(one));
        one.op = GRPC_OP_RECV_MESSAGE;
        one.data.recv_message.recv_message = &k.recv_bb;
        sync_batch(&k, &one, 1, &tag_recv);
        sync_wait(&k, &tag_recv);
        if (!k.recv_bb)
            break; /* end of the stream: the status says how it ended */
        ProtobufCMessage *msg = NULL;
        code = sync_unpack(reply_desc, k.recv_bb, &msg, err);
        grpc_byte_buffer_destroy(k.recv_bb);
        k.recv_bb = NULL;
        if (code == AC_OK) {
            stopped = !on_message(msg, arg);
            protobuf_c_message_free_unpacked(msg, NULL);
        }
    }
    if (stopped || code != AC_OK)
        (void)grpc_call_cancel(k.g, NULL);
    sync_wait(&k, &tag_start);
    sync_wait(&k, &tag_status);
    grpc_byte_buffer_destroy(bb);
    int end = sync_result(&k, stopped || code != AC_OK ? NULL : err);
    sync_close(&k);
    if (code != AC_OK)
        return code;
    return stopped ? AC_OK : end;
}
