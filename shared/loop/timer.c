/* Timers of a loop: a heap over one timerfd, for libuv's own count in milliseconds and the serving
 * windows do not. */
#include "loop_priv.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/log.h>

#define NOT_QUEUED SIZE_MAX

struct ac_timer {
    struct ac_loop *loop;
    struct ac_list node;
    ac_loop_fn fn;
    void *arg;
    int64_t deadline_ns, period_ns;
    uint64_t seq;
    size_t pos; /* in the heap */
};

static bool before(const struct ac_timer *a, const struct ac_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->seq < b->seq;
}

static void put(struct timers *ts, size_t pos, struct ac_timer *t)
{
    ts->heap[pos] = t;
    t->pos = pos;
}

static void sift_up(struct timers *ts, size_t i)
{
    struct ac_timer *t = ts->heap[i];
    while (i > 0 && before(t, ts->heap[(i - 1) / 2])) {
        put(ts, i, ts->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(ts, i, t);
}

static void sift_down(struct timers *ts, size_t i)
{
    struct ac_timer *t = ts->heap[i];
    for (size_t kid; (kid = 2 * i + 1) < ts->n; i = kid) {
        if (kid + 1 < ts->n && before(ts->heap[kid + 1], ts->heap[kid]))
            kid++;
        if (!before(ts->heap[kid], t))
            break;
        put(ts, i, ts->heap[kid]);
    }
    put(ts, i, t);
}

static void heap_add(struct timers *ts, struct ac_timer *t)
{
    ac_grow(&ts->heap, &ts->cap, ts->n + 1, sizeof(struct ac_timer *));
    t->seq = ts->seq++;
    put(ts, ts->n++, t);
    sift_up(ts, t->pos);
}

static void heap_remove(struct timers *ts, struct ac_timer *t)
{
    size_t i = t->pos;
    struct ac_timer *last = ts->heap[--ts->n];
    t->pos = NOT_QUEUED;
    if (last == t)
        return;
    put(ts, i, last);
    sift_up(ts, i);
    sift_down(ts, last->pos);
}

/* A timerfd that fires too early costs one wake; so it is only ever moved forward in time. */
static void arm(struct timers *ts)
{
    if (ts->n == 0)
        return;
    int64_t at = AC_MAX(ts->heap[0]->deadline_ns, 1);
    if (ts->armed_ns && ts->armed_ns <= at)
        return;
    struct itimerspec spec = {
        .it_value = {.tv_sec = at / AC_NS_PER_S, .tv_nsec = at % AC_NS_PER_S},
    };
    AC_ASSERT(timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0);
    ts->armed_ns = at;
}

static void on_timerfd(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct ac_loop *l = h->data;
    struct timers *ts = &l->timers;
    uint64_t expirations;
    AC_ASSERT(read(ts->fd, &expirations, sizeof(expirations)) > 0 || errno == EAGAIN);
    ts->armed_ns = 0;
    int64_t now = ac_now_ns();
    uint64_t seq_end = ts->seq; /* what the callbacks start waits for the next turn */
    while (ts->n > 0 && ts->heap[0]->deadline_ns <= now && ts->heap[0]->seq < seq_end) {
        struct ac_timer *t = ts->heap[0];
        heap_remove(ts, t);
        if (t->period_ns > 0) { /* keeps its phase; turns that were missed are skipped */
            t->deadline_ns += (1 + (now - t->deadline_ns) / t->period_ns) * t->period_ns;
            heap_add(ts, t);
        }
        t->fn(t->arg); /* may destroy t */
    }
    arm(ts);
}

void ac_timers_init_(struct ac_loop *l)
{
    struct timers *ts = &l->timers;
    ac_list_init(&ts->all);
    ts->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    AC_ASSERT(ts->fd >= 0);
    AC_ASSERT(uv_poll_init(&l->uv, &ts->poll, ts->fd) == 0);
    ts->poll.data = l;
    AC_ASSERT(uv_poll_start(&ts->poll, UV_READABLE, on_timerfd) == 0);
}

void ac_timers_close_(struct ac_loop *l)
{
    struct timers *ts = &l->timers;
    for (struct ac_list *n; (n = ac_list_pop_front(&ts->all));) {
        AC_LOGW("loop", "timer-left-open");
        free(AC_LIST_ENTRY(n, struct ac_timer, node));
    }
    ts->n = 0;
}

void ac_timers_free_(struct ac_loop *l)
{
    close(l->timers.fd);
    free(l->timers.heap);
}

struct ac_timer *ac_timer_create(struct ac_loop *l, ac_loop_fn fn, void *arg)
{
    AC_ASSERT_ON_LOOP(l);
    struct ac_timer *t = ac_xcalloc(1, sizeof(*t));
    t->loop = l;
    t->fn = fn;
    t->arg = arg;
    t->pos = NOT_QUEUED;
    ac_list_push_back(&l->timers.all, &t->node);
    return t;
}

void ac_timer_start(struct ac_timer *t, int64_t delay_ns, int64_t period_ns)
{
    AC_ASSERT_ON_LOOP(t->loop);
    struct timers *ts = &t->loop->timers;
    if (t->pos != NOT_QUEUED)
        heap_remove(ts, t);
    if (__builtin_add_overflow(ac_now_ns(), AC_MAX(delay_ns, 0), &t->deadline_ns))
        t->deadline_ns = INT64_MAX;
    t->period_ns = period_ns;
    heap_add(ts, t);
    arm(ts);
}

void ac_timer_stop(struct ac_timer *t)
{
    AC_ASSERT_ON_LOOP(t->loop);
    t->period_ns = 0;
    if (t->pos != NOT_QUEUED)
        heap_remove(&t->loop->timers, t);
}

void ac_timer_destroy(struct ac_timer *t)
{
    if (!t)
        return;
    ac_timer_stop(t);
    ac_list_remove(&t->node);
    free(t);
}
