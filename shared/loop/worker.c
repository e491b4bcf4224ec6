#include "loop_priv.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

struct job {
    struct ac_list node;
    ac_loop_fn work, done;
    void *arg;
};

/* lock guards all but loop, threads and max. Finished jobs wait here, not among the loop's posts,
 * so that destroy can call every done before it returns. */
struct ac_worker {
    struct ac_loop *loop;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct ac_list queue, finished, batch; /* batch: being handed out by collect */
    size_t n_queued, max_queued;
    bool stopping;
    bool posted; /* a collect is on its way through the loop and still needs this struct */
    bool collecting;
    bool gone; /* destroyed: the collect frees it */
    unsigned n_threads;
    pthread_t *threads;
    char name[16];
};

static void run_done(struct ac_list *jobs)
{
    for (struct ac_list *n; (n = ac_list_pop_front(jobs));) {
        struct job *j = AC_LIST_ENTRY(n, struct job, node);
        if (j->done)
            j->done(j->arg);
        free(j);
    }
}

static void free_worker(struct ac_worker *w)
{
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w->threads);
    free(w);
}

static void collect(void *arg)
{
    struct ac_worker *w = arg;
    pthread_mutex_lock(&w->lock);
    w->posted = false;
    w->collecting = true;
    ac_list_splice(&w->batch, &w->finished);
    pthread_mutex_unlock(&w->lock);
    run_done(&w->batch); /* a done may destroy w; that empties the batch */
    pthread_mutex_lock(&w->lock);
    w->collecting = false;
    bool last = w->gone && !w->posted;
    pthread_mutex_unlock(&w->lock);
    if (last)
        free_worker(w);
}

static void *thread_main(void *arg)
{
    struct ac_worker *w = arg;
    pthread_setname_np(pthread_self(), w->name);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->stopping && ac_list_empty(&w->queue))
            pthread_cond_wait(&w->more, &w->lock);
        if (w->stopping)
            break;
        struct job *j = AC_LIST_ENTRY(ac_list_pop_front(&w->queue), struct job, node);
        w->n_queued--;
        pthread_mutex_unlock(&w->lock);
        j->work(j->arg);
        pthread_mutex_lock(&w->lock);
        ac_list_push_back(&w->finished, &j->node);
        if (!w->posted && !w->stopping) {
            w->posted = true;
            ac_loop_post(w->loop, collect, w);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct ac_worker *ac_worker_create(struct ac_loop *l, const char *name, unsigned threads,
                                   size_t max_queued)
{
    AC_ASSERT(threads > 0 && max_queued > 0);
    struct ac_worker *w = ac_xcalloc(1, sizeof(*w));
    w->loop = l;
    w->max_queued = max_queued;
    w->n_threads = threads;
    w->threads = ac_xcalloc(threads, sizeof(*w->threads));
    ac_str_copy(w->name, sizeof(w->name), name);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    ac_list_init(&w->queue);
    ac_list_init(&w->finished);
    ac_list_init(&w->batch);
    /* Signals are the loop thread's. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    for (unsigned i = 0; i < threads; i++)
        AC_ASSERT(pthread_create(&w->threads[i], NULL, thread_main, w) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return w;
}

int ac_worker_submit(struct ac_worker *w, ac_loop_fn work, ac_loop_fn done, void *arg)
{
    struct job *j = ac_xmalloc(sizeof(*j));
    *j = (struct job){.work = work, .done = done, .arg = arg};
    pthread_mutex_lock(&w->lock);
    bool full = w->stopping || w->n_queued >= w->max_queued;
    if (!full) {
        ac_list_push_back(&w->queue, &j->node);
        w->n_queued++;
        pthread_cond_signal(&w->more);
    }
    pthread_mutex_unlock(&w->lock);
    if (full)
        free(j);
    return full ? AC_EAGAIN : 0;
}

size_t ac_worker_queued(struct ac_worker *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->n_queued;
    pthread_mutex_unlock(&w->lock);
    return n;
}

void ac_worker_destroy(struct ac_worker *w)
{
    if (!w)
        return;
    AC_ASSERT_ON_LOOP(w->loop);
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);

    run_done(&w->batch); /* the threads are gone: no lock is needed */
    run_done(&w->finished);
    w->n_queued = 0;
    run_done(&w->queue);
    w->gone = true;
    if (!w->posted && !w->collecting)
        free_worker(w);
}
