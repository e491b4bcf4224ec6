/* Chunked answers. The loop appends to a bounded queue; MHD's thread takes from it, and suspends
 * the connection while it is empty. A suspended connection is not polled by MHD, so the loop
 * itself watches for the peer's going (on a descriptor of its own: no race with reuse). */
#include "internal.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <aceso/clock.h>

/* References: the loop's, until on_close was called; MHD's, until its response is gone. */
struct ac_http_stream {
    uint32_t magic;
    struct ac_http_server *s;
    struct MHD_Connection *conn;
    struct ac_list node; /* in s->streams; loop thread */
    uv_poll_t *watch;    /* loop thread; NULL when closed */
    int fd;
    bool finished; /* loop thread: on_close was called */
    void (*on_close)(void *arg);
    void *arg;

    pthread_mutex_t lock; /* for what follows */
    unsigned refs;
    char *data;
    size_t head, len, cap; /* bytes [head, head + len) wait */
    bool ended, gone, suspended;
};

static void unref(struct ac_http_stream *st)
{
    bool last;

    (void)pthread_mutex_lock(&st->lock);
    last = --st->refs == 0;
    (void)pthread_mutex_unlock(&st->lock);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&st->lock);
    http_server_unref(st->s);
    free(st->data);
    st->magic = 0;
    free(st);
}

/* Holding st->lock. */
static void wake(struct ac_http_stream *st)
{
    if (st->suspended) {
        st->suspended = false;
        MHD_resume_connection(st->conn);
    }
}

/* MHD's thread. */
static ssize_t reader(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct ac_http_stream *st = cls;
    ssize_t n = 0;

    (void)pos;
    (void)pthread_mutex_lock(&st->lock);
    if (st->gone) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (st->len) {
        n = (ssize_t)AC_MIN(max, st->len);
        memcpy(buf, st->data + st->head, (size_t)n);
        st->head += (size_t)n;
        st->len -= (size_t)n;
    } else if (st->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        st->suspended = true;
        MHD_suspend_connection(st->conn);
    }
    (void)pthread_mutex_unlock(&st->lock);
    return n;
}

static void free_handle(uv_handle_t *h)
{
    free(h);
}

static void close_watch(struct ac_http_stream *st)
{
    if (!st->watch)
        return;
    (void)uv_poll_stop(st->watch);
    uv_close((uv_handle_t *)st->watch, free_handle);
    st->watch = NULL;
    (void)close(st->fd);
}

static void finish(struct ac_http_stream *st)
{
    if (st->finished)
        return;
    st->finished = true;
    ac_list_remove(&st->node);
    close_watch(st);
    if (st->on_close)
        st->on_close(st->arg);
    unref(st);
}

static void finish_posted(void *arg)
{
    struct ac_http_stream *st = arg;

    AC_CHECK_OBJ(st, HTTP_STREAM_MAGIC);
    finish(st);
    unref(st);
}

/* MHD's thread, or the loop when the response was never used: MHD's reference goes to the post. */
static void response_gone(void *cls)
{
    struct ac_http_stream *st = cls;

    (void)pthread_mutex_lock(&st->lock);
    st->gone = true;
    (void)pthread_mutex_unlock(&st->lock);
    ac_loop_post(st->s->loop, finish_posted, st);
}

static void on_hangup(uv_poll_t *w, int status, int events)
{
    struct ac_http_stream *st = w->data;

    (void)status;
    (void)events;
    AC_CHECK_OBJ(st, HTTP_STREAM_MAGIC);
    close_watch(st);
    (void)pthread_mutex_lock(&st->lock);
    st->gone = true;
    wake(st);
    (void)pthread_mutex_unlock(&st->lock);
}

static void watch_peer(struct ac_http_stream *st)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(st->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

    st->fd = info ? dup(info->connect_fd) : -1;
    if (st->fd < 0)
        return;
    st->watch = ac_xcalloc(1, sizeof *st->watch);
    if (uv_poll_init(ac_loop_uv(st->s->loop), st->watch, st->fd)) {
        free(st->watch);
        st->watch = NULL;
        (void)close(st->fd);
        return;
    }
    st->watch->data = st;
    (void)uv_poll_start(st->watch, UV_DISCONNECT, on_hangup);
}

struct ac_http_stream *ac_http_stream_begin(struct ac_http_req *r, int status,
                                            const char *content_type, void (*on_close)(void *arg),
                                            void *arg)
{
    struct ac_http_stream *st = ac_xcalloc(1, sizeof *st);
    struct MHD_Response *resp;

    AC_CHECK_OBJ(r, HTTP_REQ_MAGIC);
    st->magic = HTTP_STREAM_MAGIC;
    st->s = r->s;
    st->conn = r->conn;
    st->on_close = on_close;
    st->arg = arg;
    st->refs = 2;
    (void)pthread_mutex_init(&st->lock, NULL);
    (void)pthread_mutex_lock(&st->s->lock);
    st->s->refs++;
    st->gone = r->state != HTTP_WAITING;
    (void)pthread_mutex_unlock(&st->s->lock);
    ac_list_push_back(&st->s->streams, &st->node);
    if (!st->gone)
        watch_peer(st);
    resp = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, reader, st, response_gone);
    AC_ASSERT(resp);
    if (content_type)
        (void)MHD_add_response_header(resp, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    (void)http_req_answer(r, status, resp);
    return st;
}

int ac_http_stream_write(struct ac_http_stream *st, const void *data, size_t len)
{
    int rc = AC_OK;

    AC_CHECK_OBJ(st, HTTP_STREAM_MAGIC);
    AC_ASSERT_ON_LOOP(st->s->loop);
    (void)pthread_mutex_lock(&st->lock);
    if (st->gone || st->ended) {
        rc = AC_ECANCELED;
    } else if (len > HTTP_STREAM_QUEUED - st->len) {
        rc = AC_EAGAIN;
    } else if (len) {
        if (st->head && st->head + st->len + len > st->cap) {
            memmove(st->data, st->data + st->head, st->len);
            st->head = 0;
        }
        ac_grow(&st->data, &st->cap, st->head + st->len + len, 1);
        memcpy(st->data + st->head + st->len, data, len);
        st->len += len;
        wake(st);
    }
    (void)pthread_mutex_unlock(&st->lock);
    return rc;
}

void ac_http_stream_end(struct ac_http_stream *st)
{
    AC_CHECK_OBJ(st, HTTP_STREAM_MAGIC);
    AC_ASSERT_ON_LOOP(st->s->loop);
    (void)pthread_mutex_lock(&st->lock);
    st->ended = true;
    wake(st);
    (void)pthread_mutex_unlock(&st->lock);
}

size_t ac_http_stream_queued(struct ac_http_stream *st)
{
    size_t len;

    AC_CHECK_OBJ(st, HTTP_STREAM_MAGIC);
    AC_ASSERT_ON_LOOP(st->s->loop);
    (void)pthread_mutex_lock(&st->lock);
    len = st->len;
    (void)pthread_mutex_unlock(&st->lock);
    return len;
}

void ac_http_stream_abort(struct ac_http_stream *st)
{
    AC_CHECK_OBJ(st, HTTP_STREAM_MAGIC);
    AC_ASSERT_ON_LOOP(st->s->loop);
    /* MHD waits for the socket to take more: only its end wakes it. */
    if (st->watch)
        (void)shutdown(st->fd, SHUT_RDWR);
    (void)pthread_mutex_lock(&st->lock);
    st->len = 0;
    st->gone = true;
    wake(st);
    (void)pthread_mutex_unlock(&st->lock);
}

void http_streams_end(struct ac_http_server *s)
{
    AC_LIST_FOREACH(n, &s->streams)
    ac_http_stream_end(AC_LIST_ENTRY(n, struct ac_http_stream, node));
}

void http_streams_finish(struct ac_http_server *s)
{
    while (!ac_list_empty(&s->streams))
        finish(AC_LIST_ENTRY(s->streams.next, struct ac_http_stream, node));
}
