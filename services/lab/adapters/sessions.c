/* The sessions that the service knows: views on the loop thread, and the threads behind them. */
#include "store.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/rng.h>
#include <aceso/str.h>

#include "adapters/convert_pb.h"

#define HISTORY 100 /* sessions that are read at the start */

static void view_free(void *arg)
{
    struct lab_view *v = arg;
    free(v->events);
    free(v);
}

static struct lab_view *view_add(struct lab *l, const struct lab_state *s)
{
    struct lab_view *v = ac_xcalloc(1, sizeof(*v));
    v->lab = l;
    v->s = *s;
    ac_map_set(l->views, s->id, v);
    return v;
}

struct lab_view *lab_find_session(const struct lab *l, const char *id, struct ac_err *err)
{
    struct lab_view *v = ac_map_get(l->views, id);
    if (!v)
        (void)ac_err_set(err, AC_ENOTFOUND, "there is no session %.40s", id);
    return v;
}

/* ---- threads ---- */

static void run_free(struct lab_run *r)
{
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* Loop thread: the session's thread is at its end. */
static void run_over(void *arg)
{
    struct lab_run *r = arg;
    struct lab *l = r->lab;
    pthread_join(r->thread, NULL);
    struct lab_view *v = ac_map_get(l->views, r->s.id);
    v->run = NULL;
    if (v->s.phase >= LAB_PHASE_DONE)
        lab_watchers_end(v);
    run_free(r);
    l->running--;
    if (l->stopping && l->running == 0)
        ac_svc_stopped(l->svc);
}

void lab_run_ended(struct lab_run *r)
{
    ac_loop_post(r->lab->svc->loop, run_over, r);
}

static int run_start(struct lab_view *v, const struct lab_problem *problem, unsigned task,
                     struct ac_err *err)
{
    struct lab_run *r = ac_xcalloc(1, sizeof(*r));
    pthread_condattr_t attr;
    r->lab = v->lab;
    r->problem = problem;
    r->task = task;
    r->s = v->s;
    r->next_sequence = v->n_events ? v->events[v->n_events - 1].sequence : 0;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    v->run = r;
    v->lab->running++;
    int rc = pthread_create(&r->thread, NULL, lab_run_thread, r);
    if (rc == 0)
        return 0;
    v->run = NULL;
    v->lab->running--;
    run_free(r);
    return ac_err_errno(err, rc, "a thread for session %s", v->s.id);
}

static void tell(struct lab_run *r, bool leave)
{
    pthread_mutex_lock(&r->lock);
    r->leave |= leave;
    r->stop |= !leave;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void lab_stop_session(struct lab_view *v)
{
    if (v->run)
        tell(v->run, false);
}

void lab_leave(struct lab *l)
{
    const char *id;
    void *v;
    l->stopping = true;
    for (size_t it = 0; ac_map_next(l->views, &it, &id, &v);) {
        struct lab_view *view = v;
        lab_watchers_end(view);
        if (view->run)
            tell(view->run, true);
    }
    if (l->running == 0)
        ac_svc_stopped(l->svc);
}

void lab_sessions_free(struct lab *l)
{
    ac_map_destroy(l->views);
    l->views = NULL;
}

/* ---- events ---- */

static void publish(struct lab_view *v, const struct lab_event *e)
{
    struct ac_arena *a = ac_arena_create(1u << 20);
    struct ac_err err = AC_ERR_INIT;
    const Aceso__V1__SessionEvent *m = lab_event_to_pb(v, e, a);
    char subject[80], id[80];
    snprintf(subject, sizeof(subject), "%s.%s", AC_SUBJECT_LAB, v->s.id);
    snprintf(id, sizeof(id), "%s-%llu", v->s.id, (unsigned long long)e->sequence);
    int rc =
        m ? ac_bus_js_publish_pb(v->lab->svc->bus, subject, id, m, NULL, NULL, &err) : AC_ENOMEM;
    if (rc != 0)
        AC_LOGW("lab", "event_not_published", AC_KS("id", v->s.id), AC_KERR(&err));
    ac_arena_destroy(a);
}

void lab_view_changed(struct lab_view *v, const struct lab_event *e)
{
    ac_grow(&v->events, &v->cap_events, v->n_events + 1, sizeof(v->events[0]));
    v->events[v->n_events++] = *e;
    publish(v, e);
    lab_watchers_tell(v);
}

/* ---- starting ---- */

struct starting {
    struct lab *lab;
    struct lab_state s;
    const struct lab_problem *problem;
    unsigned task;
    lab_started_fn done;
    void *arg;
};

static int store_first(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct starting *st = arg;
    return lab_store_state_job(c, &st->s, err);
}

static void stored_first(int code, const struct ac_err *err, void *arg)
{
    struct starting *st = arg;
    struct ac_err failed = AC_ERR_INIT;
    struct lab_view *v = NULL;
    if (code == 0 && !st->lab->stopping) {
        v = view_add(st->lab, &st->s);
        if (run_start(v, st->problem, st->task, &failed) != 0)
            v = NULL;
    } else if (code == AC_EEXISTS) {
        (void)ac_err_set(&failed, code, "the request id %.60s belongs to an older session",
                         st->s.request_id);
    } else {
        (void)ac_err_set(&failed, code ? code : AC_ECANCELED, "%s",
                         code ? err->msg : "the service is ending");
    }
    st->done(v, &failed, st->arg);
    free(st);
}

static int check_wanted(struct lab *l, const struct lab_state *wanted, struct starting *st,
                        struct ac_err *err)
{
    int rc = lab_problem_wanted(l->problems, l->n_problems, wanted->problem, wanted->agent,
                                &st->problem, &st->task, err);
    if (rc != 0)
        return rc;
    if (l->running >= (int)l->conf->max_sessions)
        return ac_err_set(err, AC_EAGAIN, "%d sessions run already (--max-sessions)", l->running);
    return l->stopping ? ac_err_set(err, AC_ENET, "the service is ending") : 0;
}

static struct lab_view *find_request(const struct lab *l, const char *request_id)
{
    const char *id;
    void *v;
    for (size_t it = 0; *request_id && ac_map_next(l->views, &it, &id, &v);) {
        if (ac_streq(((struct lab_view *)v)->s.request_id, request_id))
            return v;
    }
    return NULL;
}

void lab_start_session(struct lab *l, const struct lab_state *wanted, lab_started_fn done,
                       void *arg)
{
    struct ac_err err = AC_ERR_INIT;
    struct lab_view *old = find_request(l, wanted->request_id);
    if (old) {
        done(old, &err, arg);
        return;
    }
    struct starting *st = ac_xcalloc(1, sizeof(*st));
    *st = (struct starting){.lab = l, .s = *wanted, .done = done, .arg = arg};
    int rc = check_wanted(l, wanted, st, &err);
    if (rc == 0) {
        struct ac_id id = ac_id_new();
        memcpy(st->s.id, id.s, sizeof(st->s.id));
        const char *tail = id.s + AC_ID_LEN - 10;
        snprintf(st->s.ns, sizeof(st->s.ns), "%s-%s", st->problem->application, tail);
        snprintf(st->s.load_ns, sizeof(st->s.load_ns), "load-%s", tail);
        if (st->s.seed == 0) /* a number that people can type */
            st->s.seed = 1 + ac_hash_str(id.s) % 1000000;
        st->s.created_ns = ac_wall_ns();
        if (ac_pg_submit(l->svc->pg, store_first, stored_first, st) == 0)
            return;
        (void)ac_err_set(&err, AC_EAGAIN, "too much waits for PostgreSQL; try again");
    }
    done(NULL, &err, arg);
    free(st);
}

/* ---- resuming ---- */

static int read_events(struct lab_view *v, struct ac_err *err)
{
    int rc = lab_store_events(v->lab->svc->pg, v->s.id, &v->events, &v->n_events, err);
    v->cap_events = rc == 0 ? v->n_events : 0;
    return rc;
}

/* An interrupted session whose problem is gone cannot go on: it is closed as failed. */
static int resume(struct lab_view *v, struct ac_err *err)
{
    unsigned task = 0;
    const struct lab_problem *p =
        lab_problem_find(v->lab->problems, v->lab->n_problems, v->s.problem, &task);
    if (!p) {
        snprintf(v->s.error, sizeof(v->s.error), "its problem %s is not there any more",
                 v->s.problem);
        v->s.phase = LAB_PHASE_FAILED;
        return lab_store_state(v->lab->svc->pg, &v->s, err);
    }
    AC_LOGI("lab", "session_resumed", AC_KS("id", v->s.id),
            AC_KS("phase", lab_phase_name(v->s.phase)));
    return run_start(v, p, task, err);
}

int lab_resume_sessions(struct lab *l, struct ac_err *err)
{
    struct lab_state *list = NULL;
    size_t n = 0;
    l->views = ac_map_create(view_free);
    int rc = lab_store_list(l->svc->pg, HISTORY, &list, &n, err);
    if (rc != 0)
        return rc;
    for (size_t i = n; rc == 0 && i-- > 0;) /* oldest first */
        rc = read_events(view_add(l, &list[i]), err);
    free(list);
    const char *id;
    void *v;
    for (size_t it = 0; rc == 0 && ac_map_next(l->views, &it, &id, &v);) {
        if (((struct lab_view *)v)->s.phase < LAB_PHASE_DONE)
            rc = resume(v, err);
    }
    return rc;
}
