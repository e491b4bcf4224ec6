#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include <aceso/base.h>
#include <aceso/loop.h>

static void stop(void *arg)
{
    ac_loop_stop(arg);
}

/* Everything below that could hang ends with this assertion instead. */
static void too_late(void *arg)
{
    (void)arg;
    fail_msg("the test's deadline passed");
}

static struct ac_timer *guard(struct ac_loop *l)
{
    struct ac_timer *t = ac_timer_create(l, too_late, NULL);
    ac_timer_start(t, 20 * AC_NS_PER_S, 0);
    return t;
}

struct seen {
    int order[16], n;
    struct ac_loop *loop;
};

struct item {
    struct seen *seen;
    int value;
};

static void note(void *arg)
{
    struct item *i = arg;
    i->seen->order[i->seen->n++] = i->value;
}

static void posts_made_before_run_are_kept_in_order(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct seen s = {.loop = l};
    struct item items[5];
    for (int i = 0; i < 5; i++) {
        items[i] = (struct item){&s, i};
        ac_loop_post(l, note, &items[i]);
    }
    ac_loop_post(l, stop, l);
    assert_true(ac_loop_on(l));
    ac_loop_run(l);
    assert_int_equal(s.n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(s.order[i], i);
    ac_loop_destroy(l);
}

static void destroy_runs_posts_and_what_they_post(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct seen s = {0};
    struct item a = {&s, 7};
    ac_loop_post(l, note, &a);
    ac_loop_destroy(l);
    assert_int_equal(s.n, 1);
    ac_loop_destroy(NULL);
}

static void stop_before_run_returns_and_run_can_follow(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    ac_loop_stop(l);
    ac_loop_stop(l);
    ac_loop_run(l);
    ac_loop_post(l, stop, l);
    ac_loop_run(l);
    ac_loop_destroy(l);
}

#define THREADS    4
#define PER_THREAD 20000

struct flood {
    struct ac_loop *loop;
    int64_t next[THREADS];
    int64_t total;
};

struct flood_item {
    struct flood *f;
    int thread;
    int64_t n;
};

static void flood_got(void *arg)
{
    struct flood_item *i = arg;
    AC_ASSERT(ac_loop_on(i->f->loop));
    AC_ASSERT(i->f->next[i->thread]++ == i->n); /* each poster's order is kept */
    if (++i->f->total == THREADS * PER_THREAD)
        ac_loop_stop(i->f->loop);
    free(i);
}

static void *flooder(void *arg)
{
    struct flood_item *me = arg;
    AC_ASSERT(!ac_loop_on(me->f->loop));
    for (int64_t n = 0; n < PER_THREAD; n++) {
        struct flood_item *i = ac_xmalloc(sizeof(*i));
        *i = (struct flood_item){me->f, me->thread, n};
        ac_loop_post(me->f->loop, flood_got, i);
    }
    return NULL;
}

static void start_flood(void *arg)
{
    struct flood *f = arg;
    static struct flood_item who[THREADS];
    for (int i = 0; i < THREADS; i++) {
        pthread_t t;
        who[i] = (struct flood_item){f, i, 0};
        AC_ASSERT(pthread_create(&t, NULL, flooder, &who[i]) == 0);
        pthread_detach(t);
    }
}

static void posts_of_many_threads_arrive_once_and_in_order(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct flood f = {.loop = l};
    struct ac_timer *g = guard(l);
    ac_loop_post(l, start_flood, &f);
    ac_loop_run(l);
    assert_int_equal(f.total, THREADS * PER_THREAD);
    ac_timer_destroy(g);
    ac_loop_destroy(l);
}

static void timers_fire_in_order_of_deadline(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct seen s = {.loop = l};
    static const int delay_us[] = {3000, 1000, 500, 2000, 1000};
    static const int want[] = {2, 1, 4, 3, 0};
    struct item items[5];
    struct ac_timer *t[5];
    for (int i = 0; i < 5; i++) {
        items[i] = (struct item){&s, i};
        t[i] = ac_timer_create(l, note, &items[i]);
    }
    struct ac_timer *end = ac_timer_create(l, stop, l);
    int64_t before = ac_now_ns();
    for (int i = 0; i < 5; i++)
        ac_timer_start(t[i], delay_us[i] * AC_NS_PER_US, 0);
    ac_timer_start(end, 3500 * AC_NS_PER_US, 0);
    ac_loop_run(l);
    assert_true(ac_now_ns() - before >= 3500 * AC_NS_PER_US);
    assert_int_equal(s.n, 5);
    assert_memory_equal(s.order, want, sizeof(want));
    for (int i = 0; i < 5; i++)
        ac_timer_destroy(t[i]);
    ac_timer_destroy(end);
    ac_timer_destroy(NULL);
    ac_loop_destroy(l);
}

struct periodic {
    struct ac_loop *loop;
    struct ac_timer *timer;
    int fired;
};

static void tick(void *arg)
{
    struct periodic *p = arg;
    if (++p->fired == 5) {
        ac_timer_destroy(p->timer);
        p->timer = NULL;
        ac_loop_stop(p->loop);
    }
}

static void periodic_timer_may_destroy_itself(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct periodic p = {.loop = l};
    struct ac_timer *g = guard(l);
    p.timer = ac_timer_create(l, tick, &p);
    int64_t before = ac_now_ns();
    ac_timer_start(p.timer, 0, 2 * AC_NS_PER_MS);
    ac_loop_run(l);
    assert_int_equal(p.fired, 5);
    assert_true(ac_now_ns() - before >= 8 * AC_NS_PER_MS);
    ac_timer_destroy(g);
    ac_loop_destroy(l);
}

static void again(void *arg)
{
    struct periodic *p = arg;
    p->fired++;
    ac_timer_start(p->timer, 0, 0);
}

static void rearming_at_zero_does_not_starve_others(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct periodic p = {.loop = l};
    struct ac_timer *g = guard(l), *end = ac_timer_create(l, stop, l);
    p.timer = ac_timer_create(l, again, &p);
    ac_timer_start(p.timer, 0, 0);
    ac_timer_start(end, 3 * AC_NS_PER_MS, 0);
    ac_loop_run(l);
    assert_true(p.fired > 1);
    ac_timer_destroy(p.timer);
    ac_timer_destroy(end);
    ac_timer_destroy(g);
    ac_loop_destroy(l);
}

static void stopped_timer_does_not_fire_and_can_be_rearmed(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct seen s = {0};
    struct item a = {&s, 1};
    struct ac_timer *t = ac_timer_create(l, note, &a), *end = ac_timer_create(l, stop, l);
    ac_timer_start(t, 0, 0);
    ac_timer_stop(t);
    ac_timer_start(end, AC_NS_PER_MS, 0);
    ac_loop_run(l);
    assert_int_equal(s.n, 0);
    ac_timer_start(t, 0, 0);
    ac_timer_start(end, AC_NS_PER_MS, 0);
    ac_loop_run(l);
    assert_int_equal(s.n, 1);
    ac_timer_start(t, INT64_MAX, 0); /* "never" does not overflow into the past */
    ac_timer_start(end, AC_NS_PER_MS, 0);
    ac_loop_run(l);
    assert_int_equal(s.n, 1);
    ac_timer_destroy(t);
    ac_timer_destroy(end);
    ac_loop_destroy(l);
}

static void timers_left_open_are_closed(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct ac_timer *t = ac_timer_create(l, stop, l);
    ac_timer_start(t, AC_NS_PER_S, 0);
    ac_loop_destroy(l);
}

static int got_signal;

static void on_signal(int signum, void *arg)
{
    got_signal = signum;
    ac_loop_stop(arg);
}

static void send_signal(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1);
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct ac_timer *g = guard(l);
    ac_loop_on_signal(l, SIGUSR1, on_signal, l);
    ac_loop_post(l, send_signal, NULL);
    ac_loop_run(l);
    assert_int_equal(got_signal, SIGUSR1);
    ac_timer_destroy(g);
    ac_loop_destroy(l);
}

struct pool {
    struct ac_loop *loop;
    struct ac_worker *worker;
    _Atomic int worked;
    int done, stop_at, order[64];
    pthread_mutex_t gate;
};

struct pool_job {
    struct pool *p;
    int n;
};

static void pool_work(void *arg)
{
    struct pool_job *j = arg;
    AC_ASSERT(!ac_loop_on(j->p->loop));
    pthread_mutex_lock(&j->p->gate);
    pthread_mutex_unlock(&j->p->gate);
    atomic_fetch_add(&j->p->worked, 1);
}

static void pool_done(void *arg)
{
    struct pool_job *j = arg;
    AC_ASSERT(ac_loop_on(j->p->loop));
    j->p->order[j->p->done++] = j->n;
    if (j->p->done == j->p->stop_at)
        ac_loop_stop(j->p->loop);
}

static void start_jobs(void *arg)
{
    struct pool *p = arg;
    static struct pool_job jobs[20];
    for (int i = 0; i < 20; i++) {
        jobs[i] = (struct pool_job){p, i};
        AC_ASSERT(ac_worker_submit(p->worker, pool_work, pool_done, &jobs[i]) == 0);
    }
}

static void one_worker_thread_keeps_the_order(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct pool p = {.loop = l, .stop_at = 20, .gate = PTHREAD_MUTEX_INITIALIZER};
    struct ac_timer *g = guard(l);
    p.worker = ac_worker_create(l, "test", 1, 100);
    ac_loop_post(l, start_jobs, &p);
    ac_loop_run(l);
    assert_int_equal(atomic_load(&p.worked), 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(p.order[i], i);
    ac_worker_destroy(p.worker);
    ac_timer_destroy(g);
    ac_loop_destroy(l);
}

static void open_gate(void *arg)
{
    pthread_mutex_unlock(arg);
}

static void full_worker_refuses_and_destroy_calls_every_done(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct pool p = {.loop = l, .stop_at = -1, .gate = PTHREAD_MUTEX_INITIALIZER};
    ac_loop_stop(l);
    ac_loop_run(l); /* so that the loop thread is known */
    p.worker = ac_worker_create(l, "test", 1, 3);
    struct pool_job jobs[8];
    int accepted = 0, refused = 0;
    pthread_mutex_lock(&p.gate);
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct pool_job){&p, i};
        int rc = ac_worker_submit(p.worker, pool_work, pool_done, &jobs[i]);
        assert_true(rc == 0 || rc == AC_EAGAIN);
        accepted += rc == 0;
        refused += rc != 0;
    }
    assert_in_range(accepted, 3, 4); /* three in the queue and perhaps one running */
    assert_int_equal(accepted + refused, 8);
    assert_in_range(ac_worker_queued(p.worker), 2, 3);
    open_gate(&p.gate);
    ac_worker_destroy(p.worker);
    assert_int_equal(p.done, accepted);
    ac_worker_destroy(NULL);
    ac_loop_destroy(l);
}

static void destroy_from_done(void *arg)
{
    struct pool_job *j = arg;
    pool_done(arg);
    if (j->n == 0) {
        struct ac_worker *w = j->p->worker;
        j->p->worker = NULL;
        ac_worker_destroy(w);
    }
}

static void start_destroying(void *arg)
{
    struct pool *p = arg;
    static struct pool_job jobs[10];
    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct pool_job){p, i};
        AC_ASSERT(ac_worker_submit(p->worker, pool_work, destroy_from_done, &jobs[i]) == 0);
    }
}

static void worker_may_be_destroyed_from_a_done(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct pool p = {.loop = l, .stop_at = 10, .gate = PTHREAD_MUTEX_INITIALIZER};
    struct ac_timer *g = guard(l);
    p.worker = ac_worker_create(l, "test", 2, 100);
    ac_loop_post(l, start_destroying, &p);
    ac_loop_run(l);
    assert_int_equal(p.done, 10);
    assert_null(p.worker);
    ac_timer_destroy(g);
    ac_loop_destroy(l);
}

static void spin(void *arg)
{
    int64_t until = ac_now_ns() + 20 * AC_NS_PER_MS;
    while (ac_now_ns() < until)
        ;
    (void)arg;
}

static void lag_shows_a_blocked_loop(void **state)
{
    (void)state;
    struct ac_loop *l = ac_loop_create();
    struct ac_timer *end = ac_timer_create(l, stop, l);
    ac_loop_post(l, spin, NULL);
    ac_timer_start(end, 30 * AC_NS_PER_MS, 0);
    ac_loop_run(l);
    assert_true(ac_loop_lag_ns(l) >= 20 * AC_NS_PER_MS);
    assert_int_equal(ac_loop_lag_ns(l), 0);
    ac_timer_destroy(end);
    ac_loop_destroy(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_made_before_run_are_kept_in_order),
        cmocka_unit_test(destroy_runs_posts_and_what_they_post),
        cmocka_unit_test(stop_before_run_returns_and_run_can_follow),
        cmocka_unit_test(posts_of_many_threads_arrive_once_and_in_order),
        cmocka_unit_test(timers_fire_in_order_of_deadline),
        cmocka_unit_test(periodic_timer_may_destroy_itself),
        cmocka_unit_test(rearming_at_zero_does_not_starve_others),
        cmocka_unit_test(stopped_timer_does_not_fire_and_can_be_rearmed),
        cmocka_unit_test(timers_left_open_are_closed),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(one_worker_thread_keeps_the_order),
        cmocka_unit_test(full_worker_refuses_and_destroy_calls_every_done),
        cmocka_unit_test(worker_may_be_destroyed_from_a_done),
        cmocka_unit_test(lag_shows_a_blocked_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
