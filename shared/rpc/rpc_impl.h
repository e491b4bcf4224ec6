/* Internals of the RPC module. Three kinds of threads meet here: the loop (handlers, callbacks),
 * the poller (completions of gRPC core; runs no code that blocks), and callers of the few functions
 * that any thread may use. A call's mutex guards its state and all its grpc_call_start_batch. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <aceso/base.h>
#include <aceso/list.h>
#include <aceso/rpc.h>

#define AC_RPC_OP_MAGIC     0x52504f50u
#define AC_RPC_CALL_MAGIC   0x5250434cu
#define AC_RPC_STREAM_MAGIC 0x52505354u
#define AC_RPC_SERVER_MAGIC 0x52505356u

#define AC_RPC_DEFAULT_MESSAGE_BYTES (4u << 20)
#define AC_RPC_CLIENT_MESSAGE_BYTES  (64u << 20) /* what a client takes and sends at most */
#define AC_RPC_SEND_MESSAGES         256u        /* queued on a call ... */
#define AC_RPC_SEND_BYTES            (64u << 20) /* ... and their bytes */
#define AC_RPC_RECV_AHEAD            32u         /* messages read before the loop has taken them */
#define AC_RPC_ARMED                 64u    /* calls that a server is ready to accept at once */
#define AC_RPC_MAX_CALLS             16384u /* running calls of a server; more are refused */
#define AC_RPC_SERVER_MEMORY         (512u << 20) /* core's buffers of all connections */
#define AC_RPC_ARENA_BASE            (4u << 20)
#define AC_RPC_ARENA_FACTOR          8u /* unpacked bytes allowed for a byte on the wire */
#define AC_RPC_STATUS_TEXT           512u

/* What a tag of the completion queue points at. */
struct ac_rpc_op {
    uint32_t magic;
    void (*done)(struct ac_rpc_op *op, bool ok); /* on the poller */
};

struct ac_rpc {
    struct ac_loop *loop;
    struct ac_metrics *metrics; /* may be NULL */
    grpc_completion_queue *cq;
    pthread_t poller;
    atomic_uint refs;  /* owner, servers, channels, client calls */
    atomic_uint users; /* servers and channels that were not destroyed yet */
};

void ac_rpc_core_init(void); /* one grpc_shutdown for each */
void ac_rpc_rt_ref(struct ac_rpc *r);
void ac_rpc_rt_unref(struct ac_rpc *r);
/** Tells the thread sanitizer that what this thread wrote is handed to the poller with the tag. */
void ac_rpc_op_arm(struct ac_rpc_op *op, void (*done)(struct ac_rpc_op *op, bool ok));
/** Starts a batch; false when core refuses it, then done is never called. */
bool ac_rpc_start(grpc_call *g, const grpc_op *ops, size_t n, struct ac_rpc_op *op,
                  void (*done)(struct ac_rpc_op *op, bool ok));

/* ---- bytes ---- */

struct ac_rpc_item {
    struct ac_rpc_item *next;
    grpc_byte_buffer *bb;
    size_t len;
};
struct ac_rpc_queue {
    struct ac_rpc_item *head, **tail;
    size_t count, bytes;
};
void ac_rpc_queue_init(struct ac_rpc_queue *q);
void ac_rpc_queue_push(struct ac_rpc_queue *q, grpc_byte_buffer *bb); /* takes bb */
grpc_byte_buffer *ac_rpc_queue_pop(struct ac_rpc_queue *q);           /* NULL when empty */
void ac_rpc_queue_clear(struct ac_rpc_queue *q);

grpc_byte_buffer *ac_rpc_pack(const ProtobufCMessage *msg);
grpc_byte_buffer *ac_rpc_bytes(const void *data, size_t len);
/** One slice with all bytes: a reference when the buffer has one slice, else a copy. */
bool ac_rpc_flatten(grpc_byte_buffer *bb, grpc_slice *ret);
/** NUL-terminated copy into dst, cut to its size. */
void ac_rpc_slice_str(grpc_slice s, char *dst, size_t size);

/* ---- status, time, credentials ---- */

/** The status and the text that a peer may see for an error. */
grpc_status_code ac_rpc_public_status(const struct ac_err *err, const char **ret_text);
const char *ac_rpc_status_name(int code);
gpr_timespec ac_rpc_deadline_in(int64_t timeout_ns);
int64_t ac_rpc_deadline_from(gpr_timespec t);
bool ac_rpc_tls_given(const struct ac_rpc_tls *tls);
grpc_server_credentials *ac_rpc_server_creds(const struct ac_rpc_tls *tls, struct ac_err *err);
/** A connection of its own kind to target; never NULL. */
grpc_channel *ac_rpc_connect(const char *target, const struct ac_rpc_tls *tls);

/** Request metadata of a client call: the token and pairs of the options. */
struct ac_rpc_md {
    grpc_metadata *v;
    size_t n;
};
void ac_rpc_md_init(struct ac_rpc_md *m, const char *token, const char *const *pairs);
void ac_rpc_md_fini(struct ac_rpc_md *m);

/* ---- server ---- */

struct ac_rpc_entry { /* one method */
    char *path;
    const ProtobufCMethodDescriptor *m; /* NULL: raw bytes */
    enum ac_rpc_kind kind;
    ac_rpc_handler handler;
    unsigned flags;
    size_t max_request_bytes;
    void *self;
    bool open; /* no token asked */
    _Atomic(struct ac_metric *) handled[17];
    _Atomic(struct ac_metric *) seconds;
};

struct ac_rpc_health;
struct ac_rpc_protoset;

struct ac_rpc_server {
    uint32_t magic;
    struct ac_rpc *r;
    grpc_server *g;
    char *listen;
    char **tokens; /* NULL-ended, or NULL */
    struct ac_rpc_tls tls;
    bool has_tls, reflection;
    size_t max_message_bytes;
    unsigned max_streams;
    int port;
    struct ac_map *entries; /* path -> ac_rpc_entry */
    struct ac_map *raws;    /* service -> ac_rpc_entry */
    struct ac_map *services;
    struct ac_rpc_entry unknown;
    struct {
        ac_rpc_interceptor fn;
        void *arg;
    } * intercept;
    size_t n_intercept, cap_intercept;
    struct ac_rpc_health *health;
    struct ac_rpc_protoset *protoset;
    bool started;

    pthread_mutex_t mu;
    size_t live;               /* calls, armed ones included */
    struct ac_metric *running; /* gauge: calls accepted and not over */
    struct ac_list calls;
    bool stopping, tag_seen, done_posted;
    struct ac_rpc_op op_shutdown;
    struct ac_timer *grace, *nag; /* loop */
    ac_loop_fn done;
    void *done_arg;
};

void ac_rpc_server_arm(struct ac_rpc_server *s); /* one more call may come */
struct ac_rpc_entry *ac_rpc_server_find(struct ac_rpc_server *s, const char *path);
void ac_rpc_server_call_gone(struct ac_rpc_server *s, struct ac_list *node);
/** As ac_rpc_server_add; open = needs no token. */
void ac_rpc_server_add_as(struct ac_rpc_server *s, const ProtobufCServiceDescriptor *svc,
                          const char *service_name, const struct ac_rpc_method *methods, size_t n,
                          void *self, bool open);
void ac_rpc_entry_handled(struct ac_rpc *r, struct ac_rpc_entry *e, int code, int64_t took_ns);

struct ac_rpc_health *ac_rpc_health_create(struct ac_rpc_server *s);
void ac_rpc_health_destroy(struct ac_rpc_health *h);
void ac_rpc_health_set(struct ac_rpc_health *h, const char *service, bool serving, bool only_new);
bool ac_rpc_health_serving(struct ac_rpc_health *h);
void ac_rpc_health_shutdown(struct ac_rpc_health *h); /* loop */
void ac_rpc_reflection_add(struct ac_rpc_server *s);

/* ---- server side of a call ---- */

enum ac_rpc_call_state {
    CALL_ARMED,    /* waits for a peer */
    CALL_READING,  /* the one request message is on its way */
    CALL_HANDLING, /* the handler owes an end */
    CALL_REPLYING, /* the status is queued or on its way */
    CALL_CLOSED,   /* status sent and close seen */
    CALL_STATES
};

struct ac_rpc_call {
    uint32_t magic;
    atomic_uint refs; /* one a batch on its way, one a post to the loop, one for the owed end */
    struct ac_rpc_server *s;
    struct ac_list node; /* s->calls, under s->mu */
    grpc_call *g;
    grpc_call_details details;
    grpc_metadata_array md;
    struct ac_rpc_entry *entry;
    struct ac_arena *arena, *msg_arena;
    const char *path;
    char *peer;
    int64_t started_ns, deadline_ns;
    grpc_slice request; /* kept: views of it are handed out */
    bool has_request;
    const void *req;

    struct ac_rpc_op op_accept, op_recv, op_close, op_send;
    grpc_byte_buffer *recv_bb, *sending;
    int close_cancelled;

    pthread_mutex_t mu; /* everything below, and start_batch */
    enum ac_rpc_call_state state;
    bool owed; /* the handler has still to end it */
    bool cancelled, close_seen, cancel_told;
    bool initial_sent, send_busy, status_started, status_done;
    bool recv_busy, recv_end, recv_failed, eof_told, in_posted, drain_posted;
    struct ac_rpc_queue out, in;
    grpc_status_code status;
    char status_text[AC_RPC_STATUS_TEXT];
    void (*on_message)(struct ac_rpc_call *c, const void *msg, void *arg);
    void *on_message_arg;
    void (*on_cancel)(struct ac_rpc_call *c, void *arg);
    void *on_cancel_arg;
    void (*on_drained)(struct ac_rpc_call *c, void *arg);
    void *on_drained_arg;
};

struct ac_rpc_call *ac_rpc_call_create(struct ac_rpc_server *s);
void ac_rpc_call_unref(struct ac_rpc_call *c);
void ac_rpc_call_accepted(struct ac_rpc_call *c); /* poller */
/** The one function that changes the state. With c->mu held. */
void ac_rpc_call_move(struct ac_rpc_call *c, enum ac_rpc_call_state to);
/** Ends for the handler. Takes bb. */
void ac_rpc_call_end(struct ac_rpc_call *c, grpc_status_code status, const char *text,
                     grpc_byte_buffer *bb);
/** Ends although the handler still owes its end, which is ignored when it comes. */
void ac_rpc_call_abort(struct ac_rpc_call *c, const struct ac_err *err);
void ac_rpc_call_post(struct ac_rpc_call *c, void (*fn)(void *call)); /* with a reference */
void ac_rpc_call_pump(struct ac_rpc_call *c);                         /* with c->mu held */
void ac_rpc_call_read(struct ac_rpc_call *c);                         /* with c->mu held */
void ac_rpc_call_run(void *arg);                                      /* runs the handler */
int ac_rpc_call_authorize(struct ac_rpc_call *c, struct ac_err *err);

/* ---- client ---- */

struct ac_rpc_channel {
    struct ac_rpc *r;
    grpc_channel *g;
    atomic_uint refs;
    pthread_mutex_t mu;
    struct ac_list streams; /* running calls */
    char *token;
    bool closed;
};

void ac_rpc_channel_unref(struct ac_rpc_channel *ch);
