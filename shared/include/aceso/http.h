/* HTTP/1.1 server (libmicrohttpd) and client (libcurl). Server handlers run on the loop thread; the
 * answer may come later or be a stream. Limits on everything a peer controls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/loop.h>
#include <aceso/metrics.h>

struct ac_http_server;
struct ac_http_req;

struct ac_http_server_opts {
    const char *listen;             /* "127.0.0.1:0" */
    const char *tls_cert, *tls_key; /* PEM texts; NULL = plain HTTP */
    const char *tls_client_ca; /* PEM; when given a client certificate is asked for (optional) */
    size_t max_body_bytes;     /* 0 = 4 MiB; larger: 413 */
    unsigned max_connections;  /* 0 = 256 */
    int64_t idle_timeout_ns;   /* 0 = 60 s; streams are exempt */
};

/** On the loop. Exactly one ac_http_reply* or ac_http_stream_begin must follow, now or later. */
typedef void (*ac_http_handler)(struct ac_http_req *r, void *arg);

int ac_http_server_start(struct ac_loop *l, struct ac_metrics *m,
                         const struct ac_http_server_opts *o, ac_http_handler fn, void *arg,
                         struct ac_http_server **ret, struct ac_err *err) AC_MUST_USE;
int ac_http_server_port(const struct ac_http_server *s);
/** Streams are ended, waiting requests answered 503. Loop thread. */
void ac_http_server_stop(struct ac_http_server *s);

const char *ac_http_method(const struct ac_http_req *r); /* "GET" */
const char *ac_http_path(const struct ac_http_req *r);   /* decoded, without the query */
const char *ac_http_query(const struct ac_http_req *r,
                          const char *key); /* decoded; NULL when absent */
/** All values of a repeated key: i-th, NULL after the last. */
const char *ac_http_query_n(const struct ac_http_req *r, const char *key, unsigned i);
const char *ac_http_header(const struct ac_http_req *r,
                           const char *name); /* any case; NULL when absent */
const char *ac_http_body(const struct ac_http_req *r, size_t *ret_len); /* NUL-terminated */
const char *ac_http_peer(const struct ac_http_req *r);                  /* "127.0.0.1:4242" */
/** Common name of the client's verified certificate; NULL when none was shown. */
const char *ac_http_client_name(const struct ac_http_req *r);

void ac_http_reply(struct ac_http_req *r, int status, const char *content_type, const void *body,
                   size_t len);
void ac_http_reply_text(struct ac_http_req *r, int status, const char *text);
/** {"error": msg} with the HTTP status that fits the code. */
void ac_http_reply_err(struct ac_http_req *r, const struct ac_err *err);
void ac_http_set_header(struct ac_http_req *r, const char *name,
                        const char *value); /* before the reply */

/** Chunked answer: write any number of times from the loop; peer gone = on_close(arg) once (also
 * after end). Writes are queued up to 8 MiB, then AC_EAGAIN (drop the client). */
struct ac_http_stream;
struct ac_http_stream *ac_http_stream_begin(struct ac_http_req *r, int status,
                                            const char *content_type, void (*on_close)(void *arg),
                                            void *arg);
int ac_http_stream_write(struct ac_http_stream *s, const void *data, size_t len) AC_MUST_USE;
void ac_http_stream_end(struct ac_http_stream *s);
/** Bytes that wait for the peer to read. */
size_t ac_http_stream_queued(struct ac_http_stream *s);
/** Drops what is queued and hangs up: for a peer that does not read. on_close follows. */
void ac_http_stream_abort(struct ac_http_stream *s);

/** Switches to a WebSocket (RFC 6455; subprotocol chosen by the handler, NULL = none). Whole
 * messages, text (valid UTF-8) or binary, up to 1 MiB, come in on_frame; pings are answered; a peer
 * that breaks the protocol is closed with 1002, 1007 or 1009; one that is silent is pinged after
 * 20 s and dropped after 60 s. on_close comes once, whoever ended it, then the handle is gone. Loop
 * thread. A request that is no WebSocket handshake is answered 400 or 426: then NULL, and no
 * on_close. */
struct ac_http_ws;
struct ac_http_ws *ac_http_ws_accept(struct ac_http_req *r, const char *subprotocol,
                                     void (*on_frame)(bool binary, const void *data, size_t len,
                                                      void *arg),
                                     void (*on_close)(void *arg), void *arg);
/** Queues up to 8 MiB, then AC_EAGAIN; AC_ECANCELED once closing. */
int ac_http_ws_send(struct ac_http_ws *w, bool binary, const void *data, size_t len) AC_MUST_USE;
size_t ac_http_ws_queued(const struct ac_http_ws *w); /* bytes not yet with the system */
/** fn(arg of accept) each time the queue has become empty after it was not. */
void ac_http_ws_on_drained(struct ac_http_ws *w, void (*fn)(void *arg));
/** Paused: what the peer sends stays in its socket. What was read already (64 KiB) still comes. */
void ac_http_ws_pause(struct ac_http_ws *w, bool paused);
/** Sends what is queued, then a close frame; waits at most 2 s for the peer's. on_close follows. */
void ac_http_ws_close(struct ac_http_ws *w, unsigned code);

/* ---- client ---- */

struct ac_http_call {
    const char *method, *url;
    const char *const *headers; /* "Name: value", NULL-ended; may be NULL */
    const void *body;
    size_t body_len;
    int64_t timeout_ns;                   /* 0 = 10 s */
    size_t max_response_bytes;            /* 0 = 16 MiB */
    const char *ca;                       /* PEM text of the CA; NULL = system */
    const char *client_cert, *client_key; /* PEM texts */
    const char *bearer;
};

struct ac_http_response {
    int status;
    char *body; /* NUL-terminated */
    size_t len;
    char *content_type;
};
void ac_http_response_fini(struct ac_http_response *r);

/** Blocking. AC_ENET / AC_ETIMEOUT with the URL in the text; an HTTP error status is no error here.
 */
int ac_http_fetch(const struct ac_http_call *c, struct ac_http_response *ret,
                  struct ac_err *err) AC_MUST_USE;
/** Blocking stream: on_data for each piece until it returns false or the peer ends. on_data is
 * called with the status first known by *status. timeout_ns = the longest silence allowed. */
int ac_http_fetch_stream(const struct ac_http_call *c, int *ret_status,
                         bool (*on_data)(const void *data, size_t len, void *arg), void *arg,
                         struct ac_err *err) AC_MUST_USE;
/** Asynchronous: copies c; done on the loop (response NULL on error, else owned by the module). At
 * most 64 run at once on a client's threads. */
struct ac_http_client;
struct ac_http_client *ac_http_client_create(struct ac_loop *l, unsigned threads);
void ac_http_client_destroy(
    struct ac_http_client *c); /* running calls end with AC_ECANCELED; loop thread */
int ac_http_client_call(struct ac_http_client *c, const struct ac_http_call *call,
                        void (*done)(int code, const struct ac_err *err,
                                     const struct ac_http_response *res, void *arg),
                        void *arg) AC_MUST_USE;
