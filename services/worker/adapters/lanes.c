/* Two threads around the engine: one loads and unloads, one executes. The engine says what may
 * start; the lock is held for that and never while a device works. */
#include "worker_service.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <aceso/base.h>
#include <aceso/clock.h>

struct lane_thread {
    struct wk_lanes *l;
    enum wk_lane lane;
    pthread_t thread;
};

struct wk_lanes {
    struct ac_loop *loop;
    struct wk_executor *x;
    pthread_mutex_t mu;
    pthread_cond_t changed; /* something was submitted or finished */
    bool stop, stopped;
    struct wk_engine *engine;               /* under mu */
    struct wk_model *models[WK_MODELS_MAX]; /* under mu; a lane uses its action's without */
    struct lane_thread threads[WK_LANES];
};

/* Under mu, on whichever thread got the action to its end. */
static void on_done(void *self, const struct wk_action *a, const struct wk_outcome *o)
{
    struct wk_lanes *l = self;
    struct wk_job *job = a->payload;
    (void)pthread_cond_broadcast(&l->changed); /* something may have waited for it */
    if (!job)
        return; /* the engine's own */
    job->outcome = *o;
    if (o->message && o->message != job->message)
        strncpy(job->message, o->message, sizeof(job->message) - 1);
    ac_loop_post(l->loop, job->done, job);
}

/* ---- running ---- */

static int status_of(enum wk_kind kind, int rc)
{
    if (kind == WK_LOAD)
        return WK_ST_LOAD_FAILED;
    return rc == AC_ESTATE ? WK_ST_WEIGHTS_LOST : WK_ST_EXEC_FAILED;
}

static void run(struct wk_executor *x, struct wk_model *m, const struct wk_action *a,
                struct wk_outcome *ret_o)
{
    struct wk_job *job = a->payload;
    struct ac_err err = AC_ERR_INIT;
    int rc = 0;
    struct wk_outcome o = {.begin_ns = ac_now_ns()};
    switch (a->kind) {
    case WK_LOAD:
        rc = x->ops->load(x, m, &err);
        break;
    case WK_UNLOAD:
        x->ops->unload(x, m);
        break;
    case WK_INFER:
        rc = x->ops->infer(x, m, a->batch, job->items, job->n_items, &o.phases, &err);
        break;
    case WK_PROFILE:
        rc = wk_profile(x, m, &job->cost, &err);
        break;
    }
    o.end_ns = ac_now_ns();
    if (rc) {
        o.status = status_of(a->kind, rc);
        if (job) {
            memcpy(job->message, err.msg, sizeof(job->message));
            o.message = job->message;
        }
    }
    *ret_o = o;
}

static void wait_until(struct wk_lanes *l, int64_t ns)
{
    if (ns == INT64_MAX) {
        (void)pthread_cond_wait(&l->changed, &l->mu);
        return;
    }
    struct timespec t = {.tv_sec = ns / AC_NS_PER_S, .tv_nsec = ns % AC_NS_PER_S};
    (void)pthread_cond_timedwait(&l->changed, &l->mu, &t);
}

static void *lane_main(void *arg)
{
    const struct lane_thread *t = arg;
    struct wk_lanes *l = t->l;
    struct wk_action a;
    int64_t wake;
    pthread_mutex_lock(&l->mu);
    while (!l->stop) {
        if (!wk_engine_start(l->engine, t->lane, ac_now_ns(), &a, &wake)) {
            wait_until(l, wake);
            continue;
        }
        struct wk_model *m = l->models[a.model];
        struct wk_outcome o;
        if (a.kind == WK_LOAD) {
            wk_weights_begin(m);
            (void)pthread_cond_broadcast(&l->changed); /* its executions may begin */
        }
        pthread_mutex_unlock(&l->mu);
        run(l->x, m, &a, &o);
        pthread_mutex_lock(&l->mu);
        wk_engine_finish(l->engine, t->lane, &o);
    }
    pthread_mutex_unlock(&l->mu);
    return NULL;
}

/* ---- doors ---- */

struct wk_lanes *wk_lanes_create(struct ac_loop *loop, struct wk_executor *x, uint32_t pages,
                                 uint32_t page_bytes)
{
    struct wk_lanes *l = ac_xcalloc(1, sizeof(*l));
    struct wk_engine_ports ports = {.self = l, .done = on_done};
    pthread_condattr_t attr;
    l->loop = loop;
    l->x = x;
    l->engine = wk_engine_create(pages, page_bytes, WK_MODELS_MAX, &ports);
    if (x->gate)
        wk_engine_overlap(l->engine);
    AC_ASSERT(pthread_mutex_init(&l->mu, NULL) == 0);
    AC_ASSERT(pthread_condattr_init(&attr) == 0);
    AC_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    AC_ASSERT(pthread_cond_init(&l->changed, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
    /* Signals are the loop thread's. */
    sigset_t all, old;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old);
    for (int i = 0; i < WK_LANES; i++) {
        l->threads[i] = (struct lane_thread){.l = l, .lane = (enum wk_lane)i};
        AC_ASSERT(pthread_create(&l->threads[i].thread, NULL, lane_main, &l->threads[i]) == 0);
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return l;
}

void wk_lanes_stop(struct wk_lanes *l)
{
    if (l->stopped)
        return;
    l->stopped = true;
    pthread_mutex_lock(&l->mu);
    wk_engine_reset(l->engine, ac_now_ns());
    l->stop = true;
    (void)pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mu);
    for (int i = 0; i < WK_LANES; i++)
        (void)pthread_join(l->threads[i].thread, NULL);
}

void wk_lanes_destroy(struct wk_lanes *l)
{
    if (!l)
        return;
    wk_lanes_stop(l);
    wk_engine_destroy(l->engine);
    (void)pthread_cond_destroy(&l->changed);
    (void)pthread_mutex_destroy(&l->mu);
    free(l);
}

void wk_lanes_model_set(struct wk_lanes *l, uint32_t slot, struct wk_model *m)
{
    uint32_t compiled = 0;
    for (uint32_t b = 0; b < WK_BATCHES; b++)
        compiled |= (m->info.compiled[b] ? 1u : 0u) << b;
    pthread_mutex_lock(&l->mu);
    wk_engine_model_set(l->engine, slot, m->info.weights_bytes, compiled);
    l->models[slot] = m;
    pthread_mutex_unlock(&l->mu);
}

bool wk_lanes_model_clear(struct wk_lanes *l, uint32_t slot)
{
    pthread_mutex_lock(&l->mu);
    bool cleared = wk_engine_model_clear(l->engine, ac_now_ns(), slot);
    if (cleared)
        l->models[slot] = NULL;
    pthread_mutex_unlock(&l->mu);
    return cleared;
}

void wk_lanes_submit(struct wk_lanes *l, struct wk_job *job)
{
    job->action.payload = job;
    pthread_mutex_lock(&l->mu);
    wk_engine_submit(l->engine, ac_now_ns(), &job->action);
    (void)pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mu);
}

void wk_lanes_reset(struct wk_lanes *l)
{
    pthread_mutex_lock(&l->mu);
    wk_engine_reset(l->engine, ac_now_ns());
    (void)pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mu);
}

uint32_t wk_lanes_pages_free(struct wk_lanes *l)
{
    pthread_mutex_lock(&l->mu);
    uint32_t n = wk_engine_pages_free(l->engine);
    pthread_mutex_unlock(&l->mu);
    return n;
}
