/* When state is captured and stored. A snapshot is the state of the series and their position in
 * the stream at one moment; it is stored once the bus has every alert up to that moment, so that
 * none can be lost between the two. One is under way at a time. */
#include "detector_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>

#define STATES_MAX_BYTES ((size_t)4 << 30)
#define TICK_NS          (200 * AC_NS_PER_MS)
#define RETRY_NS         (300 * AC_NS_PER_MS)
#define FORGET_EVERY_NS  (60 * AC_NS_PER_S)
#define SWEEP_EVERY_NS   (600 * AC_NS_PER_S)
#define DUTY             10 /* storing takes at most one part of this of the time */

struct det_snapshot {
    struct det_write w;
    uint64_t mark; /* last alert of the outbox before it */
    bool resumes;  /* points wait for it */
};

/* One transaction. */
struct job {
    struct det_service *s;
    struct det_write w;
    struct outbox_item *told;
    bool snapshot;
    int64_t began;
};

/* ---- capturing ---- */

static void add_state(const char *key, const void *state, size_t len, void *arg)
{
    struct det_write *w = arg;
    const struct det_state st = {(uint32_t)strlen(key), (uint32_t)len};
    ac_buf_append(&w->states, &st, sizeof st);
    ac_buf_append(&w->states, key, st.key_len);
    ac_buf_append(&w->states, state, len);
}

static void take_forgotten(struct det_service *s, struct det_write *w)
{
    const char *key;
    void *v;
    w->forgotten = ac_xcalloc(ac_map_len(s->forgotten) + 1, sizeof *w->forgotten);
    for (size_t it = 0; ac_map_next(s->forgotten, &it, &key, &v);)
        w->forgotten[w->n_forgotten++] = ac_xstrdup(key);
    ac_map_clear(s->forgotten);
}

static void capture(struct det_service *s, bool with_rules)
{
    struct det_snapshot *p = ac_xcalloc(1, sizeof *p);
    int64_t now = ac_now_ns();
    p->w = (struct det_write){.epoch = s->epoch,
                              .whole = true,
                              .position = s->position,
                              .stream_ns = s->stream_ns,
                              .clock_ns = s->clock_ns,
                              .revision = s->rules.revision};
    if (with_rules) {
        p->w.rules = s->rules.bytes; /* stay until rules come again, which wait for this */
        p->w.rules_len = s->rules.len;
        p->resumes = true;
    }
    if (now - s->swept_at > SWEEP_EVERY_NS) {
        p->w.sweep_before_ns = s->stream_ns - s->conf->keep_ns;
        s->swept_at = now;
    }
    ac_buf_init(&p->w.states, STATES_MAX_BYTES);
    take_forgotten(s, &p->w);
    engine_snapshot(s->engine, add_state, &p->w);
    AC_ASSERT(!p->w.states.failed);
    p->mark = outbox_last(s->outbox);
    s->captured_at = now;
    s->captured_position = s->position;
    s->snapshot = p;
}

static bool due(const struct det_service *s)
{
    int64_t every = AC_MAX(s->conf->snapshot_ns, DUTY * s->store_took_ns);
    bool changed = s->position != s->captured_position || ac_map_len(s->forgotten);
    return changed && (s->stopping || ac_now_ns() - s->captured_at >= every);
}

static void capture_if_due(struct det_service *s)
{
    if (s->snapshot)
        return;
    if (s->next.bytes && !s->stopping) {
        struct det_rules r = s->next;
        s->next = (struct det_rules){0};
        det_pause(s);
        if (!det_rules_take(s, r)) {
            AC_LOGW("detector", "rules_unreadable", AC_KI("revision", r.revision));
            det_resume(s);
            return;
        }
        outbox_pump(s->outbox);
        capture(s, true);
    } else if (due(s)) {
        capture(s, false);
    }
}

/* ---- storing ---- */

static void snapshot_free(struct det_snapshot *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->w.n_forgotten; i++)
        free(p->w.forgotten[i]);
    free(p->w.forgotten);
    ac_buf_fini(&p->w.states);
    free(p);
}

static void told_free(struct outbox_item *m)
{
    while (m) {
        struct outbox_item *next = m->next;
        outbox_item_free(m);
        m = next;
    }
}

static int work(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct job *j = arg;
    return det_store_write(c, &j->w, err);
}

static void stored(struct det_service *s, const struct job *j)
{
    told_free(j->told);
    if (!j->snapshot)
        return;
    bool resumes = s->snapshot->resumes;
    s->stored_revision = s->snapshot->w.revision;
    snapshot_free(s->snapshot);
    s->snapshot = NULL;
    s->store_took_ns = ac_now_ns() - j->began;
    ac_metric_add(s->m_snapshots, 1);
    if (resumes)
        det_resume(s);
}

static void not_stored(struct det_service *s, struct job *j, int code, const struct ac_err *err)
{
    struct outbox_item **end = &j->told;
    while (*end)
        end = &(*end)->next;
    *end = s->told;
    s->told = j->told;
    if (code == AC_ESTATE) {
        AC_LOGE("detector", "taken_over", AC_KERR(err));
        s->lost = true;
        ac_svc_quit(s->svc, 1);
        return;
    }
    if (code == AC_ECANCELED)
        return;
    AC_LOGW("detector", "not_stored", AC_KERR(err));
    ac_timer_start(s->retry, RETRY_NS, 0);
}

static void done(int code, const struct ac_err *err, void *arg)
{
    struct job *j = arg;
    struct det_service *s = j->s;
    s->storing = false;
    if (!s->engine) /* after everything was freed */
        told_free(j->told);
    else if (code == 0)
        stored(s, j);
    else
        not_stored(s, j, code, err);
    free(j);
    if (code == 0 && s->engine)
        det_advance(s);
}

static void store_if_ready(struct det_service *s)
{
    bool ready = s->snapshot && outbox_taken(s->outbox, s->snapshot->mark);
    if (s->storing || (!ready && !s->told))
        return;
    struct job *j = ac_xcalloc(1, sizeof *j);
    j->s = s;
    if (ready)
        j->w = s->snapshot->w;
    j->snapshot = ready;
    j->told = s->told;
    j->w.told = j->told;
    j->began = ac_now_ns();
    s->told = NULL;
    s->storing = true;
    int rc = ac_pg_submit(s->svc->pg, work, done, j);
    if (rc) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, rc, "the queue to PostgreSQL is full");
        done(rc, &err, j);
    }
}

static bool nothing_left(const struct det_service *s)
{
    return !s->snapshot && !s->storing && !s->told && outbox_len(s->outbox) == 0;
}

void det_advance(struct det_service *s)
{
    if (!s->lost) {
        capture_if_due(s);
        store_if_ready(s);
    }
    if (s->stopping && !s->said_stopped && (s->lost || nothing_left(s))) {
        s->said_stopped = true;
        ac_svc_stopped(s->svc);
    }
}

/* ---- time ---- */

static void forget(const char *key, void *arg)
{
    struct det_service *s = arg;
    ac_map_set(s->forgotten, key, s);
}

static void on_tick(void *arg)
{
    struct det_service *s = arg;
    int64_t now = ac_now_ns();
    if (!s->stopping && !s->paused && !s->held) {
        engine_expire(s->engine, det_clock_now(s) - s->conf->silence_ns);
        if (now - s->forgot_at > FORGET_EVERY_NS) {
            s->forgot_at = now;
            engine_forget(s->engine, det_clock_now(s) - s->conf->forget_ns, forget, s);
        }
    }
    outbox_pump(s->outbox);
    if (!s->paused)
        det_resume(s); /* points may wait for the outbox */
    det_advance(s);
}

static void on_retry(void *arg)
{
    det_advance(arg);
}

void det_snapshot_start(struct det_service *s)
{
    s->forgotten = ac_map_create(NULL);
    s->captured_at = s->forgot_at = ac_now_ns();
    s->captured_position = s->position;
    s->retry = ac_timer_create(s->svc->loop, on_retry, s);
    s->tick = ac_timer_create(s->svc->loop, on_tick, s);
    int64_t every = AC_MIN(TICK_NS, s->conf->snapshot_ns);
    ac_timer_start(s->tick, every, every);
}

void det_snapshot_stop(struct det_service *s)
{
    det_advance(s);
}

void det_snapshot_free(struct det_service *s)
{
    ac_timer_destroy(s->tick);
    ac_timer_destroy(s->retry);
    s->tick = s->retry = NULL;
    if (!s->storing) /* else a job still works on it, and the process ends */
        snapshot_free(s->snapshot);
    s->snapshot = NULL;
    told_free(s->told);
    s->told = NULL;
    ac_map_destroy(s->forgotten);
}
