#include "loop_priv.h"

#include <aceso/base.h>
#include <aceso/log.h>

struct post {
    struct ac_list node;
    ac_loop_fn fn;
    void *arg;
};

struct sig {
    struct ac_list node;
    uv_signal_t handle;
    void (*fn)(int, void *);
    void *arg;
};

static void run_posts(struct ac_loop *l)
{
    struct ac_list batch, *n;
    ac_list_init(&batch);
    pthread_mutex_lock(&l->lock);
    ac_list_splice(&batch, &l->posts);
    pthread_mutex_unlock(&l->lock);
    while ((n = ac_list_pop_front(&batch))) {
        struct post *p = AC_LIST_ENTRY(n, struct post, node);
        ac_loop_fn fn = p->fn;
        void *arg = p->arg;
        free(p);
        fn(arg);
    }
}

static void on_wake(uv_async_t *h)
{
    struct ac_loop *l = h->data;
    run_posts(l);
    if (atomic_load(&l->stop))
        uv_stop(&l->uv);
}

/* Runs once a turn, before the wait. Time since the last pass less the time waited is how long an
 * event could have lain unseen. */
static void on_prepare(uv_prepare_t *h)
{
    struct ac_loop *l = h->data;
    int64_t now = ac_now_ns();
    uint64_t idle = uv_metrics_idle_time(&l->uv);
    int64_t busy = now - l->mark_ns - (int64_t)(idle - l->mark_idle);
    l->lag_ns = AC_MAX(l->lag_ns, busy);
    l->mark_ns = now;
    l->mark_idle = idle;
}

struct ac_loop *ac_loop_create(void)
{
    struct ac_loop *l = ac_xcalloc(1, sizeof(*l));
    AC_ASSERT(uv_loop_init(&l->uv) == 0);
    AC_ASSERT(uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME) == 0);
    AC_ASSERT(uv_async_init(&l->uv, &l->wake, on_wake) == 0);
    AC_ASSERT(uv_prepare_init(&l->uv, &l->prepare) == 0);
    AC_ASSERT(uv_prepare_start(&l->prepare, on_prepare) == 0);
    l->wake.data = l->prepare.data = l;
    pthread_mutex_init(&l->lock, NULL);
    ac_list_init(&l->posts);
    ac_list_init(&l->signals);
    ac_timers_init_(l);
    return l;
}

static void close_handle(uv_handle_t *h, void *arg)
{
    const struct ac_loop *l = arg;
    if (uv_is_closing(h))
        return;
    if (h->data != l)
        AC_LOGW("loop", "handle-left-open", AC_KS("type", uv_handle_type_name(h->type)));
    uv_close(h, NULL);
}

void ac_loop_destroy(struct ac_loop *l)
{
    if (!l)
        return;
    AC_ASSERT_ON_LOOP(l);
    for (bool more = true; more;) { /* a post may post again */
        run_posts(l);
        pthread_mutex_lock(&l->lock);
        more = !ac_list_empty(&l->posts);
        l->closed = !more;
        pthread_mutex_unlock(&l->lock);
    }
    ac_timers_close_(l);
    uv_walk(&l->uv, close_handle, l);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* ends once every close is done */
    AC_ASSERT(uv_loop_close(&l->uv) == 0);
    ac_timers_free_(l);
    for (struct ac_list *n; (n = ac_list_pop_front(&l->signals));)
        free(AC_LIST_ENTRY(n, struct sig, node));
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void ac_loop_run(struct ac_loop *l)
{
    l->owner = pthread_self();
    atomic_store(&l->ran, true);
    l->mark_ns = ac_now_ns();
    l->mark_idle = uv_metrics_idle_time(&l->uv);
    while (!atomic_load(&l->stop))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    atomic_store(&l->stop, false);
}

void ac_loop_stop(struct ac_loop *l)
{
    atomic_store(&l->stop, true);
    uv_async_send(&l->wake);
}

bool ac_loop_on(const struct ac_loop *l)
{
    return !atomic_load(&l->ran) || pthread_equal(l->owner, pthread_self());
}

struct uv_loop_s *ac_loop_uv(struct ac_loop *l)
{
    return &l->uv;
}

void ac_loop_post(struct ac_loop *l, ac_loop_fn fn, void *arg)
{
    struct post *p = ac_xmalloc(sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    pthread_mutex_lock(&l->lock);
    AC_ASSERT(!l->closed);
    bool first = ac_list_empty(&l->posts);
    ac_list_push_back(&l->posts, &p->node);
    /* Under the lock: else the loop could be gone between the unlock and the send. */
    if (first)
        uv_async_send(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct sig *s = AC_CONTAINER_OF(h, struct sig, handle);
    s->fn(signum, s->arg);
}

void ac_loop_on_signal(struct ac_loop *l, int signum, void (*fn)(int signum, void *arg), void *arg)
{
    AC_ASSERT_ON_LOOP(l);
    struct sig *s = ac_xcalloc(1, sizeof(*s));
    s->fn = fn;
    s->arg = arg;
    AC_ASSERT(uv_signal_init(&l->uv, &s->handle) == 0);
    s->handle.data = l;
    AC_ASSERT(uv_signal_start(&s->handle, on_signal, signum) == 0);
    uv_unref((uv_handle_t *)&s->handle);
    ac_list_push_back(&l->signals, &s->node);
}

int64_t ac_loop_lag_ns(struct ac_loop *l)
{
    AC_ASSERT_ON_LOOP(l);
    int64_t lag = l->lag_ns;
    l->lag_ns = 0;
    return lag;
}
