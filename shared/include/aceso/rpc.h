/* gRPC C core under one door. Server and asynchronous client share one completion queue with one
 * poller thread; handlers and callbacks run on the loop thread, except methods with AC_RPC_INLINE.
 * Traps of gRPC core that this module takes care of are listed in docs/rpc.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <aceso/arena.h>
#include <aceso/loop.h>
#include <aceso/metrics.h>

struct ac_rpc; /* runtime: queue, poller */
struct ac_rpc_server;
struct ac_rpc_call;    /* server side of one call */
struct ac_rpc_channel; /* client */
struct ac_rpc_stream;  /* client side of one call */

struct ac_rpc_tls { /* PEM texts; NULL = absent. All NULL (or tls NULL) = plaintext */
    const char *ca, *cert, *key;
    bool require_client_cert; /* mutual TLS (server) */
    const char *target_name;  /* client: name to expect in the certificate */
};

/** metrics may be NULL. gRPC core is initialised here: fork before, not after. */
struct ac_rpc *ac_rpc_create(struct ac_loop *loop, struct ac_metrics *metrics);
/** After all servers are shut down and channels closed. Joins the poller. */
void ac_rpc_destroy(struct ac_rpc *r);

/* ---- server ---- */

enum ac_rpc_kind {
    AC_RPC_UNARY,
    AC_RPC_SERVER_STREAM,
    AC_RPC_CLIENT_STREAM,
    AC_RPC_BIDI
};

#define AC_RPC_INLINE 1u /* handler runs on the poller thread: pure, < 50 us, no service state */

/** Begins a call. req is the unpacked request in the call's arena (NULL for client-streaming
 * kinds). Exactly one ac_rpc_reply / ac_rpc_finish / ac_rpc_fail must follow, now or later. */
typedef void (*ac_rpc_handler)(struct ac_rpc_call *c, const void *req, void *self);
/** For kinds without protobuf (raw bytes): see ac_rpc_method.raw. */

struct ac_rpc_method {
    const char *name; /* "Diagnose", as in the descriptor */
    enum ac_rpc_kind kind;
    ac_rpc_handler handler;
    unsigned flags;
    size_t max_request_bytes; /* 0 = the server's limit */
};

struct ac_rpc_server_opts {
    const char *listen; /* "127.0.0.1:0", "unix:/path"; port 0 = a free one */
    const struct ac_rpc_tls *tls;
    size_t max_message_bytes; /* 0 = 4 MiB */
    unsigned max_streams;     /* concurrent calls a connection, 0 = 1000 */
    bool reflection;
    const char *const *tokens; /* NULL-ended API tokens; when given, calls other than Health need
                                  "authorization: Bearer <token>" */
};

/** The same check for requests that come another way: "Bearer <token>" (NULL = none given) against
 * NULL-ended tokens (NULL = none asked); AC_EUNAUTH. */
int ac_rpc_check_token(char *const *tokens, const char *authorization,
                       struct ac_err *err) AC_MUST_USE;

struct ac_rpc_server *ac_rpc_server_create(struct ac_rpc *r, const struct ac_rpc_server_opts *o);
/** All methods of a service by its protobuf-c descriptor; methods not in the table answer
 * UNIMPLEMENTED. Before start. self is passed to the handlers. */
void ac_rpc_server_add(struct ac_rpc_server *s, const ProtobufCServiceDescriptor *svc,
                       const struct ac_rpc_method *methods, size_t n, void *self);
/** Run before each handler, on its thread; non-zero refuses the call with that error. */
typedef int (*ac_rpc_interceptor)(struct ac_rpc_call *c, void *arg, struct ac_err *err);
void ac_rpc_server_intercept(struct ac_rpc_server *s, ac_rpc_interceptor fn, void *arg);
/** Binds and serves. AC_EEXISTS "port 1234 is taken ..." when the address is in use. */
int ac_rpc_server_start(struct ac_rpc_server *s, struct ac_err *err) AC_MUST_USE;
int ac_rpc_server_port(const struct ac_rpc_server *s);
/** Health status of a service name; "" = whole server. Any thread. */
void ac_rpc_server_set_serving(struct ac_rpc_server *s, const char *service, bool serving);
/** Stops accepting, waits up to grace_ns for running calls, cancels the rest, then done(arg) on the
 * loop. Loop thread. */
void ac_rpc_server_shutdown(struct ac_rpc_server *s, int64_t grace_ns, ac_loop_fn done, void *arg);
void ac_rpc_server_destroy(struct ac_rpc_server *s); /* after shutdown's done, or never started */

/* On a call (the handler's thread; from the loop for everything later): */
struct ac_arena *ac_rpc_arena(struct ac_rpc_call *c);
/** Unary and client streaming: sends the message and status OK. msg is packed at once (not kept).
 */
void ac_rpc_reply(struct ac_rpc_call *c, const void *msg);
/** Ends with an error. Internal kinds (EINTERNAL, EIO) are sent with a generic text and logged. */
void ac_rpc_fail(struct ac_rpc_call *c, const struct ac_err *err);
/** Server streaming and bidi: queues a message. AC_EAGAIN when 256 are queued; AC_ECANCELED when
 * the peer has gone. */
int ac_rpc_send(struct ac_rpc_call *c, const void *msg) AC_MUST_USE;
/** Called on the loop each time the queue of sends has drained to empty (NULL = none). */
void ac_rpc_on_drained(struct ac_rpc_call *c, void (*fn)(struct ac_rpc_call *c, void *arg),
                       void *arg);
size_t ac_rpc_queued(const struct ac_rpc_call *c);
/** Streams: status OK after what is queued. */
void ac_rpc_finish(struct ac_rpc_call *c);
/** Client streaming and bidi: fn for each message (msg unpacked, valid during fn), then with NULL
 * at the end of the client's messages. Set within the handler. */
void ac_rpc_on_message(struct ac_rpc_call *c,
                       void (*fn)(struct ac_rpc_call *c, const void *msg, void *arg), void *arg);
/** Called once on the loop when the call is over for any reason before the handler ended it
 * (cancel, deadline, connection lost); the call must still be ended with fail/finish (ignored). */
void ac_rpc_on_cancel(struct ac_rpc_call *c, void (*fn)(struct ac_rpc_call *c, void *arg),
                      void *arg);
bool ac_rpc_cancelled(const struct ac_rpc_call *c);
int64_t
ac_rpc_deadline_ns(const struct ac_rpc_call *c); /* monotonic (ac_now_ns); INT64_MAX = none */
const char *ac_rpc_metadata(const struct ac_rpc_call *c,
                            const char *lower_case_key); /* NULL when absent */
const char *ac_rpc_peer(const struct ac_rpc_call *c);
const char *ac_rpc_method_path(const struct ac_rpc_call *c); /* "/pkg.Service/Method" */
/** Raw request bytes of a unary call, for those who walk the wire format themselves (views valid
 * until the call ends). *ret_len = 0 and NULL for streams. */
const void *ac_rpc_raw_request(const struct ac_rpc_call *c, size_t *ret_len);
/** Unary: replies with bytes that are an encoded message already. */
void ac_rpc_reply_raw(struct ac_rpc_call *c, const void *data, size_t len);

/* Services without generated descriptors (the application engine): any method of any path below a
 * service name; request and reply as bytes by ac_rpc_raw_request / ac_rpc_reply_raw. */
void ac_rpc_server_add_raw(struct ac_rpc_server *s, const char *service_full_name,
                           ac_rpc_handler handler, void *self);

/* ---- client ---- */

struct ac_rpc_channel *ac_rpc_channel_create(struct ac_rpc *r, const char *target,
                                             const struct ac_rpc_tls *tls);
void ac_rpc_channel_destroy(
    struct ac_rpc_channel *ch); /* running calls are cancelled; loop thread */
/** Bearer token sent with every call; copied; NULL = none. */
void ac_rpc_channel_set_token(struct ac_rpc_channel *ch, const char *token);

struct ac_rpc_result {
    int code;            /* AC_OK or AC_E* (from the status) */
    const char *message; /* status text; never NULL */
    const void *reply;   /* unpacked reply, valid during the callback; NULL unless AC_OK */
    const void *raw;     /* its bytes */
    size_t raw_len;
};
typedef void (*ac_rpc_done)(const struct ac_rpc_result *res, void *arg);

struct ac_rpc_call_opts {
    int64_t timeout_ns;          /* required, > 0 */
    const char *const *metadata; /* "key", "value", ..., NULL; may be NULL */
    bool wait_for_ready;
};

/** method is "/aceso.v1.Rca/Diagnose". done exactly once on the loop. Returns a handle for cancel,
 * valid until done; NULL never. Loop thread (or any, when done may run on the loop later). */
struct ac_rpc_stream *ac_rpc_unary(struct ac_rpc_channel *ch, const char *method, const void *req,
                                   const ProtobufCMessageDescriptor *reply_desc,
                                   const struct ac_rpc_call_opts *o, ac_rpc_done done, void *arg);
struct ac_rpc_stream *ac_rpc_unary_raw(struct ac_rpc_channel *ch, const char *method,
                                       const void *data, size_t len,
                                       const struct ac_rpc_call_opts *o, ac_rpc_done done,
                                       void *arg);
/** Any streaming kind. on_message for each reply message (on the loop), then done once with reply
 * NULL. timeout_ns may be INT64_MAX. */
struct ac_rpc_stream *
ac_rpc_open(struct ac_rpc_channel *ch, const char *method,
            const ProtobufCMessageDescriptor *reply_desc, const struct ac_rpc_call_opts *o,
            void (*on_message)(struct ac_rpc_stream *st, const void *msg, void *arg),
            ac_rpc_done done, void *arg);
int ac_rpc_stream_send(struct ac_rpc_stream *st,
                       const void *msg) AC_MUST_USE; /* AC_EAGAIN at 256 queued */
void ac_rpc_stream_close_send(struct ac_rpc_stream *st);
void ac_rpc_stream_cancel(struct ac_rpc_stream *st); /* done follows with AC_ECANCELED */

/** Blocking unary call with its own queue, for the command line and tests: not on a loop. On
 * success *ret_reply is unpacked from the heap (protobuf_c_message_free_unpacked(reply, NULL)). */
int ac_rpc_call_sync(const char *target, const struct ac_rpc_tls *tls, const char *token,
                     const char *method, const void *req,
                     const ProtobufCMessageDescriptor *reply_desc, int64_t timeout_ns,
                     ProtobufCMessage **ret_reply, struct ac_err *err) AC_MUST_USE;
/** Blocking server stream: on_message returns false to stop (then 0 is returned). */
int ac_rpc_stream_sync(const char *target, const struct ac_rpc_tls *tls, const char *token,
                       const char *method, const void *req,
                       const ProtobufCMessageDescriptor *reply_desc, int64_t timeout_ns,
                       bool (*on_message)(const void *msg, void *arg), void *arg,
                       struct ac_err *err) AC_MUST_USE;
