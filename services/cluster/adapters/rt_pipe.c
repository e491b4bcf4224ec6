/* Pipes from and to processes. */
#include "rt_int.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#define READ_BYTES (64u * 1024)

struct rt_pipe {
    uv_poll_t poll; /* first: the handle's address is the object's */
    int fd;
    rt_sink sink;
    void *arg;
    bool over;
};

static void pipe_closed(uv_handle_t *h)
{
    free(h);
}

static void pipe_end(struct rt_pipe *p)
{
    if (p->over)
        return;
    p->over = true;
    (void)uv_poll_stop(&p->poll);
    close(p->fd);
    uv_close((uv_handle_t *)&p->poll, pipe_closed);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    static char buf[READ_BYTES]; /* loop thread only */
    struct rt_pipe *p = (struct rt_pipe *)h;
    (void)events;
    ssize_t n = status < 0 ? -1 : read(p->fd, buf, sizeof(buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && status >= 0)
        return;
    rt_sink sink = p->sink;
    void *arg = p->arg;
    if (n > 0) {
        sink(p, buf, (size_t)n, arg);
        return;
    }
    pipe_end(p);
    sink(p, NULL, 0, arg);
}

struct rt_pipe *rt_pipe_read(uv_loop_t *loop, int fd, rt_sink sink, void *arg)
{
    struct rt_pipe *p = ac_xcalloc(1, sizeof(*p));
    p->fd = fd;
    p->sink = sink;
    p->arg = arg;
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    int r = uv_poll_init(loop, &p->poll, fd);
    AC_ASSERT(r == 0);
    (void)uv_poll_start(&p->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    return p;
}

void rt_pipe_pause(struct rt_pipe *p, bool paused)
{
    if (p != NULL && !p->over)
        (void)uv_poll_start(&p->poll, paused ? 0 : UV_READABLE | UV_DISCONNECT, on_readable);
}

void rt_pipe_drop(struct rt_pipe *p)
{
    if (p != NULL)
        pipe_end(p);
}

/* ---- to a process ---- */

struct rt_feed {
    uv_pipe_t pipe; /* first: the handle's address is the object's */
    void (*on_taken)(void *arg);
    void *arg;
    bool ending, closed;
};

struct piece {
    uv_write_t req; /* first */
    char data[];
};

struct rt_feed *rt_feed_open(uv_loop_t *loop, int fd, void (*on_taken)(void *arg), void *arg)
{
    struct rt_feed *f = ac_xcalloc(1, sizeof(*f));
    f->on_taken = on_taken;
    f->arg = arg;
    int r = uv_pipe_init(loop, &f->pipe, 0);
    AC_ASSERT(r == 0);
    r = uv_pipe_open(&f->pipe, fd);
    AC_ASSERT(r == 0);
    return f;
}

static void feed_freed(uv_handle_t *h)
{
    free(h);
}

static void feed_end(struct rt_feed *f)
{
    if (f->closed)
        return;
    f->closed = true;
    uv_close((uv_handle_t *)&f->pipe, feed_freed);
}

size_t rt_feed_queued(const struct rt_feed *f)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&f->pipe);
}

static void written(uv_write_t *req, int status)
{
    struct rt_feed *f = (struct rt_feed *)req->handle;
    free(req);
    if (f->closed || (status >= 0 && rt_feed_queued(f) > 0))
        return;
    /* A process that has closed its input takes all. */
    if (!f->ending && f->on_taken != NULL)
        f->on_taken(f->arg);
    if (f->ending)
        feed_end(f);
}

void rt_feed_write(struct rt_feed *f, const void *data, size_t len)
{
    struct piece *p = ac_xmalloc(sizeof(*p) + len);
    memcpy(p->data, data, len);
    const uv_buf_t buf = uv_buf_init(p->data, (unsigned)len);
    if (f->closed || f->ending || uv_write(&p->req, (uv_stream_t *)&f->pipe, &buf, 1, written) != 0)
        free(p);
}

void rt_feed_close(struct rt_feed *f, bool at_once)
{
    if (f == NULL || f->closed)
        return;
    f->ending = true;
    if (at_once || rt_feed_queued(f) == 0)
        feed_end(f);
}
