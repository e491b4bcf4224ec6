/* The pool: N threads with one connection each, one bounded queue of jobs, completions handed to
 * the loop in one post for many. */
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/list.h>

#define MAX_ATTEMPTS 3
#define BACKOFF_MIN  (20 * AC_NS_PER_MS)
#define BACKOFF_MAX  AC_NS_PER_S

/* Owned by the queue, then by the thread that runs it, then by the list of what is done. */
struct job {
    struct ac_list node;
    ac_pg_job fn;
    ac_pg_done done;
    void *arg;
    int code;
    struct ac_err err;
    bool sync, finished; /* ac_pg_run waits on its stack */
};

/* Any thread with the lock, unless said otherwise. The last reference frees: the owner has one, and
 * a post on its way to the loop has one. */
struct ac_pg {
    struct ac_loop *loop;
    struct ac_pg_opts opts; /* own copies of the strings; constant */
    pthread_mutex_t lock;
    pthread_cond_t work, finished; /* new work or closing; a sync job is finished */
    struct ac_list queue, done;
    size_t queued;
    unsigned refs, n_threads;
    bool closing, posted;
    pthread_t *threads;
    struct ac_pg_conn *conns; /* one each thread */
    struct ac_metric *jobs_ok, *jobs_failed, *seconds, *retries, *connects, *depth;
};

struct thread_arg {
    struct ac_pg *p;
    unsigned i;
};

static void unref(struct ac_pg *p)
{
    bool last;

    (void)pthread_mutex_lock(&p->lock);
    last = --p->refs == 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_cond_destroy(&p->finished);
    free((void *)(uintptr_t)p->opts.url);
    free((void *)(uintptr_t)p->opts.schema);
    free(p->threads);
    free(p->conns);
    free(p);
}

/* Loop thread. */
static void run_done(struct ac_pg *p)
{
    struct ac_list mine, *n;

    ac_list_init(&mine);
    (void)pthread_mutex_lock(&p->lock);
    ac_list_splice(&mine, &p->done);
    (void)pthread_mutex_unlock(&p->lock);
    while ((n = ac_list_pop_front(&mine))) {
        struct job *j = AC_LIST_ENTRY(n, struct job, node);
        if (j->done)
            j->done(j->code, &j->err, j->arg);
        free(j);
    }
}

static void on_loop(void *arg)
{
    struct ac_pg *p = arg;

    (void)pthread_mutex_lock(&p->lock);
    p->posted = false;
    (void)pthread_mutex_unlock(&p->lock);
    run_done(p);
    unref(p);
}

static void finish(struct ac_pg *p, struct job *j)
{
    bool post = false;

    ac_metric_add(j->code ? p->jobs_failed : p->jobs_ok, 1);
    (void)pthread_mutex_lock(&p->lock);
    if (j->sync) {
        j->finished = true;
        (void)pthread_cond_broadcast(&p->finished);
    } else {
        ac_list_push_back(&p->done, &j->node);
        post = !p->posted && !p->closing;
        if (post) {
            p->posted = true;
            p->refs++;
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (post)
        ac_loop_post(p->loop, on_loop, p);
}

/* Sleeps, but not through a close. Returns false when closing. */
static bool pause_for(struct ac_pg *p, int64_t ns)
{
    struct timespec t;
    int64_t until = ac_now_ns() + ns;
    bool closing;

    t.tv_sec = until / AC_NS_PER_S;
    t.tv_nsec = until % AC_NS_PER_S;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->closing && ac_now_ns() < until)
        (void)pthread_cond_timedwait(&p->work, &p->lock, &t);
    closing = p->closing;
    /* This thread may have taken a signal that was meant for an idle one. */
    if (!closing && !ac_list_empty(&p->queue))
        (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    return !closing;
}

static int ensure_connected(struct ac_pg *p, struct ac_pg_conn *c, int64_t deadline_ns,
                            struct ac_err *err)
{
    int64_t wait = BACKOFF_MIN;

    for (;;) {
        int rc;
        if (pg_conn_alive(c))
            return AC_OK;
        rc = pg_conn_open(c, deadline_ns - ac_now_ns(), err);
        if (!rc) {
            ac_metric_add(p->connects, 1);
            return AC_OK;
        }
        if (rc != AC_ENET || ac_now_ns() + wait >= deadline_ns || !pause_for(p, wait))
            return rc;
        wait = AC_MIN(wait * 2, BACKOFF_MAX);
    }
}

static void run_job(struct ac_pg *p, struct ac_pg_conn *c, struct job *j)
{
    int64_t start = ac_now_ns(), deadline = start + p->opts.statement_timeout_ns;

    for (int attempt = 1;; attempt++) {
        j->err = (struct ac_err)AC_ERR_INIT;
        j->code = ensure_connected(p, c, deadline, &j->err);
        if (j->code)
            break;
        j->code = j->fn(c, j->arg, &j->err);
        if (pg_conn_tidy(c) && !j->code)
            j->code = ac_err_set(&j->err, AC_EINTERNAL, "job left its transaction open");
        if ((j->code != AC_ENET && j->code != AC_EABORTED) || attempt >= MAX_ATTEMPTS)
            break;
        ac_metric_add(p->retries, 1);
        /* Two transactions that collided once should not collide again at once. */
        if (!pause_for(p, attempt * 3 * AC_NS_PER_MS))
            break;
    }
    if (j->code && !j->err.code)
        ac_err_set(&j->err, j->code, "%s", ac_err_text(j->code));
    ac_metric_observe(p->seconds, (double)(ac_now_ns() - start) / 1e9);
    finish(p, j);
}

static void *thread_main(void *arg)
{
    struct thread_arg a = *(struct thread_arg *)arg;
    struct ac_pg *p = a.p;

    free(arg);
    for (;;) {
        struct ac_list *n;
        (void)pthread_mutex_lock(&p->lock);
        while (!p->closing && ac_list_empty(&p->queue))
            (void)pthread_cond_wait(&p->work, &p->lock);
        if (p->closing) {
            (void)pthread_mutex_unlock(&p->lock);
            break;
        }
        n = ac_list_pop_front(&p->queue);
        p->queued--;
        ac_metric_set(p->depth, (double)p->queued);
        (void)pthread_mutex_unlock(&p->lock);
        run_job(p, &p->conns[a.i], AC_LIST_ENTRY(n, struct job, node));
    }
    return NULL;
}

static void make_metrics(struct ac_pg *p, struct ac_metrics *m)
{
    const char *ok[] = {"result", "ok", NULL}, *failed[] = {"result", "error", NULL};

    if (!m)
        return;
    p->jobs_ok = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_pg_jobs_total",
                                "Database jobs by result", ok, NULL);
    p->jobs_failed = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_pg_jobs_total",
                                    "Database jobs by result", failed, NULL);
    p->seconds = ac_metrics_get(m, AC_METRIC_HISTOGRAM, "aceso_pg_job_seconds",
                                "Time that a database job ran, waits for a connection included",
                                NULL, ac_metric_seconds_buckets);
    p->retries =
        ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_pg_retries_total",
                       "Database jobs run again after a lost connection or a conflict", NULL, NULL);
    p->connects = ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_pg_connects_total",
                                 "Connections made to PostgreSQL", NULL, NULL);
    p->depth = ac_metrics_get(m, AC_METRIC_GAUGE, "aceso_pg_queue_depth",
                              "Database jobs that wait for a thread", NULL, NULL);
}

static struct ac_pg *create(struct ac_loop *l, struct ac_metrics *m, const struct ac_pg_opts *o)
{
    struct ac_pg *p = ac_xcalloc(1, sizeof *p);
    pthread_condattr_t attr;

    p->loop = l;
    p->opts = *o;
    p->opts.url = ac_xstrdup(o->url ? o->url : "");
    p->opts.schema = ac_xstrdup(o->schema ? o->schema : "public");
    p->opts.connections = o->connections ? o->connections : 2;
    if (p->opts.statement_timeout_ns <= 0)
        p->opts.statement_timeout_ns = 10 * AC_NS_PER_S;
    if (p->opts.connect_timeout_ns <= 0)
        p->opts.connect_timeout_ns = 15 * AC_NS_PER_S;
    if (!p->opts.max_queued)
        p->opts.max_queued = 1024;
    ac_list_init(&p->queue);
    ac_list_init(&p->done);
    p->refs = 1;
    p->n_threads = p->opts.connections;
    p->threads = ac_xcalloc(p->n_threads, sizeof *p->threads);
    p->conns = ac_xcalloc(p->n_threads, sizeof *p->conns);
    for (unsigned i = 0; i < p->n_threads; i++)
        pg_conn_init(&p->conns[i], &p->opts);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&p->work, &attr);
    (void)pthread_cond_init(&p->finished, NULL);
    (void)pthread_condattr_destroy(&attr);
    make_metrics(p, m);
    return p;
}

/* "host /run/x port 5432 database y": which server is meant, without the password. */
static void describe(const struct ac_pg *p, char *dst, size_t size)
{
    PQconninfoOption *opts = PQconninfoParse(p->opts.url, NULL);
    const char *host = NULL, *port = NULL, *db = NULL;

    for (PQconninfoOption *o = opts; o && o->keyword; o++) {
        if (!o->val)
            continue;
        if (!strcmp(o->keyword, "host"))
            host = o->val;
        else if (!strcmp(o->keyword, "port"))
            port = o->val;
        else if (!strcmp(o->keyword, "dbname"))
            db = o->val;
    }
    (void)snprintf(dst, size, "host %s, port %s, database %s", host ? host : "(default)",
                   port ? port : "5432", db ? db : "(default)");
    PQconninfoFree(opts);
}

/* What to do about a connection that does not come about. */
static const char *remedy(int code)
{
    switch (code) {
    case AC_EUNAUTH:
        return ": check the user and the password of --pg-url";
    case AC_ENOTFOUND:
        return ": create it, or name another in --pg-url";
    case AC_ENET:
        return ": is PostgreSQL running there? check --pg-url";
    case AC_EINVAL:
        return ": --pg-url is a URL or key=value pairs";
    default:
        return "";
    }
}

int ac_pg_open(struct ac_loop *l, struct ac_metrics *m, const struct ac_pg_opts *o,
               const struct ac_pg_migration *mig, size_t n, struct ac_pg **ret, struct ac_err *err)
{
    struct ac_pg *p = create(l, m, o);
    struct ac_err local = AC_ERR_INIT;
    int64_t deadline = ac_now_ns() + p->opts.connect_timeout_ns;
    unsigned started = 0;
    char where[160];
    int rc = ensure_connected(p, &p->conns[0], deadline, &local);

    const char *hint = rc ? remedy(rc) : "";
    if (!rc)
        rc = pg_migrate(&p->conns[0], mig, n, &local);
    if (rc) {
        describe(p, where, sizeof where);
        ac_err_set(err, rc, "%s (%s)%s", local.msg, where, hint);
    }
    for (; !rc && started < p->n_threads; started++) {
        struct thread_arg *a = ac_xmalloc(sizeof *a);
        int e;
        *a = (struct thread_arg){p, started};
        e = pthread_create(&p->threads[started], NULL, thread_main, a);
        if (e) {
            free(a);
            rc = ac_err_errno(err, e, "pg: starting a thread");
            break;
        }
    }
    if (rc) {
        p->n_threads = started;
        ac_pg_close(p);
        return rc;
    }
    *ret = p;
    return AC_OK;
}

void ac_pg_close(struct ac_pg *p)
{
    struct ac_list *n;

    if (!p)
        return;
    AC_ASSERT_ON_LOOP(p->loop);
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        (void)pthread_join(p->threads[i], NULL);
    for (unsigned i = 0; i < p->opts.connections; i++)
        pg_conn_fini(&p->conns[i]);
    run_done(p);
    while ((n = ac_list_pop_front(&p->queue))) {
        struct job *j = AC_LIST_ENTRY(n, struct job, node);
        j->code = ac_err_set(&j->err, AC_ECANCELED, "database pool closed");
        if (j->sync) {
            finish(p, j);
            continue;
        }
        if (j->done)
            j->done(AC_ECANCELED, &j->err, j->arg);
        free(j);
    }
    unref(p);
}

static int enqueue(struct ac_pg *p, struct job *j)
{
    int rc = AC_OK;

    (void)pthread_mutex_lock(&p->lock);
    if (p->closing || p->queued >= p->opts.max_queued) {
        rc = AC_EAGAIN;
    } else {
        ac_list_push_back(&p->queue, &j->node);
        p->queued++;
        ac_metric_set(p->depth, (double)p->queued);
        (void)pthread_cond_signal(&p->work);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return rc;
}

int ac_pg_submit(struct ac_pg *p, ac_pg_job job, ac_pg_done done, void *arg)
{
    struct job *j = ac_xcalloc(1, sizeof *j);
    int rc;

    ac_list_init(&j->node);
    j->fn = job;
    j->done = done;
    j->arg = arg;
    rc = enqueue(p, j);
    if (rc)
        free(j);
    return rc;
}

int ac_pg_run(struct ac_pg *p, ac_pg_job job, void *arg, struct ac_err *err)
{
    struct job j = {.fn = job, .arg = arg, .sync = true};
    int rc;

    ac_list_init(&j.node);
    rc = enqueue(p, &j);
    if (rc)
        return ac_err_set(err, rc, "database queue is full");
    (void)pthread_mutex_lock(&p->lock);
    while (!j.finished)
        (void)pthread_cond_wait(&p->finished, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
    if (j.code)
        return ac_err_set(err, j.code, "%s", j.err.msg);
    return AC_OK;
}
