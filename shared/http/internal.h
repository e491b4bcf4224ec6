/* Inside of shared/http's server. libmicrohttpd's own thread reads requests and writes answers; a
 * request that waits for the loop is a suspended connection. What both threads touch is under the
 * server's lock. */
#pragma once

#include <pthread.h>

#include <microhttpd.h>
#include <uv.h>

#include <aceso/arena.h>
#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/http.h>
#include <aceso/list.h>

#define HTTP_REQ_MAGIC    0x48545251u
#define HTTP_SERVER_MAGIC 0x48545356u
#define HTTP_STREAM_MAGIC 0x48545354u
#define HTTP_WS_MAGIC     0x48545753u

#define HTTP_HEADER_BYTES  (64u * 1024)       /* request line and headers of one connection */
#define HTTP_MAX_FIELDS    256                /* headers or query parameters */
#define HTTP_STREAM_QUEUED (8u * 1024 * 1024) /* also of a WebSocket */

struct ac_http_server {
    uint32_t magic;
    struct ac_loop *loop;
    struct MHD_Daemon *daemon;
    ac_http_handler fn;
    void *arg;
    int port;
    size_t max_body;
    bool verify_client;
    pthread_mutex_t lock;
    pthread_cond_t idle;    /* in_flight became 0 */
    struct ac_list waiting; /* requests with the loop */
    struct ac_list streams; /* loop thread */
    struct ac_list sockets; /* WebSockets; loop thread */
    unsigned refs, in_flight;
    bool stopping;
    struct ac_metrics *metrics;
    struct ac_metric *seconds, *gauge;
};

struct http_field {
    const char *name, *value;
};

struct http_fields {
    struct http_field *at;
    unsigned n;
};

enum http_state {
    HTTP_READING,  /* MHD's thread */
    HTTP_WAITING,  /* suspended; the loop decides */
    HTTP_ANSWERED, /* response is set; MHD's thread */
    HTTP_TAKEN,    /* suspended: the connection is the loop's */
    HTTP_HANG_UP   /* nothing more to say; MHD's thread */
};

/* Two references: MHD's, until the answer is sent, and the loop's, until it answered. */
struct ac_http_req {
    uint32_t magic;
    struct ac_http_server *s;
    struct MHD_Connection *conn; /* NULL once MHD is done with the request */
    struct ac_list node;         /* in s->waiting */
    struct ac_arena *arena;
    const char *method, *path, *client_name;
    char peer[64];
    struct http_fields headers, query;
    struct ac_buf body;
    enum http_state state;
    unsigned refs;
    int status, early_status; /* early: decided before the loop saw it, e.g. 413 */
    struct MHD_Response *response;
    struct ac_list out_headers;
    int64_t start_ns;
    bool started; /* the first call of MHD's handler was made */
};

void http_server_unref(struct ac_http_server *s);
void http_req_unref(struct ac_http_req *r);
/** Loop thread: gives the answer to MHD's thread; takes the response. False when the server was
 * stopped meanwhile. Drops the loop's reference either way. */
bool http_req_answer(struct ac_http_req *r, int status, struct MHD_Response *resp);
void http_req_apply_headers(struct ac_http_req *r, struct MHD_Response *resp);
/** Loop thread, after the daemon has stopped: every on_close not called yet is called. */
void http_streams_finish(struct ac_http_server *s);
/** Loop thread, before the daemon stops. */
void http_streams_end(struct ac_http_server *s);

/** Loop thread: no answer by MHD, the connection stays suspended. False when the server was stopped
 * meanwhile; then the loop's reference is dropped. */
bool http_req_take(struct ac_http_req *r, int status);
/** Loop thread: ends what http_req_take began. Drops the loop's reference. */
void http_req_hang_up(struct ac_http_req *r);
/** Loop thread, before the daemon stops: each says goodbye and is gone. */
void http_ws_end_all(struct ac_http_server *s);
