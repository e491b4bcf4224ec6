/* A session from its first phase to its last, on a thread of its own. Each phase can be begun
 * again: a run that was interrupted goes on at the phase it was in. */
#include "store.h"
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#define TICK_NS        (400 * AC_NS_PER_MS)
#define LAG_NS         (2500 * AC_NS_PER_MS) /* until a second of the load can be asked for */
#define WARM_UP_NS     (2 * AC_NS_PER_S)     /* connections and caches are cold */
#define SYMPTOMS       2                     /* bad seconds of one class that count as visible */
#define UNHEALTHY      0.05               /* share of failed requests that no baseline may have */
#define AWAY_NS        (30 * AC_NS_PER_S) /* what is being restarted is waited for so long */
#define REVERT_HOLD_NS (5 * AC_NS_PER_S)

/* ---- what the phases share ---- */

struct posted {
    struct lab *lab;
    struct lab_state s;
    struct lab_event e;
};

/* Loop thread. */
static void show(void *arg)
{
    struct posted *p = arg;
    struct lab_view *v = ac_map_get(p->lab->views, p->s.id);
    if (v) {
        v->s = p->s;
        if (p->e.sequence)
            lab_view_changed(v, &p->e);
    }
    free(p);
}

static void post(struct lab_run *r, const struct lab_event *e)
{
    struct posted *p = ac_xcalloc(1, sizeof(*p));
    p->lab = r->lab;
    p->s = r->s;
    if (e)
        p->e = *e;
    ac_loop_post(r->lab->svc->loop, show, p);
}

void lab_note(struct lab_run *r, const char *kind, const char *fmt, ...)
{
    struct lab_event e = {.time_ns = ac_wall_ns(), .phase = r->s.phase};
    struct ac_err err = AC_ERR_INIT;
    va_list ap;
    if (r->next_sequence >= LAB_EVENTS_MAX)
        return;
    e.sequence = ++r->next_sequence;
    ac_str_copy(e.kind, sizeof(e.kind), kind);
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof(e.text), fmt, ap);
    va_end(ap);
    AC_LOGI("lab", "session", AC_KS("id", r->s.id), AC_KS("phase", lab_phase_name(e.phase)),
            AC_KS("kind", kind), AC_KS("text", e.text));
    if (lab_store_event(r->lab->svc->pg, r->s.id, &e, &err) != 0)
        AC_LOGW("lab", "event_not_stored", AC_KS("id", r->s.id), AC_KERR(&err));
    post(r, &e);
}

int lab_save(struct lab_run *r, struct ac_err *err)
{
    int rc = lab_store_state(r->lab->svc->pg, &r->s, err);
    if (rc == 0)
        post(r, NULL);
    return rc;
}

int lab_go_on(struct lab_run *r, struct ac_err *err)
{
    pthread_mutex_lock(&r->lock);
    bool end = r->leave || (r->stop && r->s.phase < LAB_PHASE_REVERTING);
    pthread_mutex_unlock(&r->lock);
    return end ? ac_err_set(err, AC_ECANCELED, "stopped") : 0;
}

int lab_pause(struct lab_run *r, int64_t ns, struct ac_err *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t at = until.tv_sec * AC_NS_PER_S + until.tv_nsec + ns;
    until = (struct timespec){.tv_sec = at / AC_NS_PER_S, .tv_nsec = at % AC_NS_PER_S};
    pthread_mutex_lock(&r->lock);
    while (!r->leave && !(r->stop && r->s.phase < LAB_PHASE_REVERTING)) {
        if (pthread_cond_timedwait(&r->wake, &r->lock, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&r->lock);
    return lab_go_on(r, err);
}

/* A service that is restarted answers again soon; what it was asked is asked again. */
static int forgive(int rc)
{
    return rc != 0 && ac_err_retryable(rc) ? 0 : rc;
}

static bool is_agent(const struct lab_run *r, const char *name)
{
    return ac_streq(r->s.agent, name);
}

/* ---- phases ---- */

static int setup(struct lab_run *r, struct ac_err *err)
{
    int rc = lab_app_deploy(r, err);
    if (rc == 0)
        rc = lab_app_wait_ready(r, r->lab->conf->setup_ns, err);
    if (rc == 0)
        rc = lab_load_start(r, err);
    if (rc != 0)
        return rc;
    r->s.load_running_ns = ac_wall_ns();
    lab_note(r, "load", "%s is up and under load after %.1f s", r->problem->application,
             (double)(r->s.load_running_ns - r->s.created_ns) / 1e9);
    return 0;
}

static bool healthy(const struct lab_run *r, int *ret_cls)
{
    for (int c = 0; c < r->s.objective.classes; c++) {
        if ((r->s.objective.max_error_ratio[c] - LAB_ERROR_RATIO_MARGIN) / 2 > UNHEALTHY) {
            *ret_cls = c;
            return false;
        }
    }
    return true;
}

/* *ret_known: there is an objective, made from a time in which the application was healthy. */
static int measure(struct lab_run *r, bool *ret_known, struct ac_err *err)
{
    struct lab_point *p = NULL;
    size_t n = 0;
    int cls = 0, rc = lab_load_points(r, r->s.baseline_from_ns, ac_wall_ns() - LAG_NS, &p, &n, err);
    bool known = rc == 0 && r->s.n_classes > 0 &&
                 lab_objective_from_baseline(p, n, r->s.n_classes, r->s.baseline_from_ns, INT64_MAX,
                                             &r->s.objective);
    free(p);
    if (known && !healthy(r, &cls)) { /* something was restarted: from now on, then */
        rc = ac_err_set(err, AC_EAGAIN, "%s fails without any fault", r->s.classes[cls]);
        lab_note(r, "note", "%s; the baseline is gathered anew", err->msg);
        r->s.baseline_from_ns = ac_wall_ns();
        known = false;
    }
    *ret_known = known;
    return rc;
}

static int baseline(struct lab_run *r, struct ac_err *err)
{
    int64_t length = r->lab->conf->baseline_ns, limit = ac_now_ns() + 4 * length + LAG_NS;
    bool known = false;
    r->s.baseline_from_ns = AC_MAX(r->s.load_running_ns + WARM_UP_NS, r->s.baseline_from_ns);
    while (!known) {
        int64_t left = r->s.baseline_from_ns + length + LAG_NS - ac_wall_ns();
        int rc = lab_pause(r, AC_MAX(left, TICK_NS), err);
        if (rc == 0)
            rc = measure(r, &known, err);
        if (forgive(rc) != 0)
            return rc;
        if (!known && ac_now_ns() > limit)
            return rc != 0 ? rc
                           : ac_err_set(err, AC_ETIMEOUT,
                                        "no telemetry of all classes of the load within %.0f s",
                                        4 * (double)length / 1e9);
    }
    for (int cls = 0; cls < r->s.objective.classes; cls++)
        lab_note(r, "oracle", "%s: at most %.1f %% errors, 90th percentile at most %.0f ms",
                 r->s.classes[cls], 100 * r->s.objective.max_error_ratio[cls],
                 1000 * r->s.objective.max_p90_s[cls]);
    return 0;
}

static int learning(struct lab_run *r, struct ac_err *err)
{
    int rc = lab_learn(r, r->s.baseline_from_ns, ac_wall_ns(), err);
    if (rc == 0 && is_agent(r, "responder"))
        rc = lab_set_policy(r, true, err);
    if (rc == 0)
        r->s.learned_ns = ac_wall_ns();
    return rc;
}

static int injecting(struct lab_run *r, struct ac_err *err)
{
    bool again = r->s.seen.injected_ns != 0;
    int rc = again || !is_agent(r, "responder") ? 0 : forgive(lab_note_false_alarms(r, err));
    if (rc == 0 && !again)
        r->s.seen.injected_ns = ac_wall_ns();
    if (rc == 0)
        rc = lab_save(r, err);
    if (rc == 0)
        rc = lab_faults_inject(r, err);
    if (rc == 0)
        lab_note(r, "fault", "%s", r->problem->summary);
    return rc;
}

/* What a remote agent handed in. */
static void take_answers(struct lab_run *r)
{
    pthread_mutex_lock(&r->lock);
    struct lab_answers a = r->answers;
    pthread_mutex_unlock(&r->lock);
    struct lab_observed *o = &r->s.seen;
    if (a.detected_ns && a.anomaly && !o->alert_ns)
        o->alert_ns = a.detected_ns;
    if (a.located_ns && o->diagnosed_ns != a.located_ns) {
        o->diagnosed_ns = a.located_ns;
        ac_str_copy(o->root_cause, sizeof(o->root_cause), a.root_cause);
    }
    if (a.mitigated_ns)
        o->mitigated_ns = a.mitigated_ns;
}

/* The effect may show before or while the agent works: it works from the injection on. */
static void look_for_effect(struct lab_run *r, const struct lab_point *p, size_t n)
{
    int cls = -1;
    if (r->s.seen.first_effect_ns != 0)
        return;
    int64_t first =
        lab_first_symptom(&r->s.objective, p, n, r->s.seen.injected_ns, INT64_MAX, SYMPTOMS, &cls);
    if (first == 0)
        return;
    r->s.seen.first_effect_ns = first;
    lab_note(r, "gate", "visible to users after %.1f s: %s breaks its objective",
             (double)(first - r->s.seen.injected_ns) / 1e9, r->s.classes[cls]);
}

/* The window that ends with the last second that has arrived, if it lies behind the repair. */
static void look_for_repair(struct lab_run *r, const struct lab_point *p, size_t n)
{
    int64_t end = 0, hold = r->lab->conf->hold_ns;
    int cls;
    for (size_t i = 0; i < n; i++)
        end = AC_MAX(end, p[i].time_ns);
    int64_t from = end - hold;
    if (r->s.seen.held_from_ns != 0 || r->s.seen.mitigated_ns == 0 || end == 0 ||
        from < r->s.seen.mitigated_ns || from < r->s.seen.first_effect_ns)
        return;
    if (!lab_objective_holds(&r->s.objective, p, n, from + 1, end + 1, &cls))
        return;
    r->s.seen.held_from_ns = from;
    lab_note(r, "oracle", "the users' objective has held for %.0f s", (double)hold / 1e9);
}

/* One look at users and agent; errors of services that are away are forgiven. */
static int look(struct lab_run *r, struct ac_err *err)
{
    struct lab_point *p = NULL;
    size_t n = 0;
    if (is_agent(r, "remote"))
        take_answers(r);
    int rc = is_agent(r, "responder") ? forgive(lab_observe_agent(r, err)) : 0;
    if (rc == 0)
        rc = forgive(lab_load_points(r, r->s.seen.injected_ns, ac_wall_ns(), &p, &n, err));
    if (rc == 0) {
        look_for_effect(r, p, n);
        if (r->s.seen.first_effect_ns != 0)
            look_for_repair(r, p, n);
    }
    free(p);
    return rc == 0 ? lab_pause(r, TICK_NS, err) : rc;
}

static int gate(struct lab_run *r, struct ac_err *err)
{
    int64_t until = r->s.seen.injected_ns + r->lab->conf->gate_ns;
    int rc = 0;
    while (rc == 0 && r->s.seen.first_effect_ns == 0 && ac_wall_ns() < until)
        rc = look(r, err);
    if (rc == 0 && r->s.seen.first_effect_ns == 0) {
        r->s.void_run = true;
        lab_note(r, "gate", "the fault did not show: the run is void");
    }
    return rc;
}

static int agent(struct lab_run *r, struct ac_err *err)
{
    int64_t until = r->s.seen.injected_ns + r->lab->conf->agent_ns;
    int rc = 0;
    while (rc == 0 && !r->s.void_run && r->s.seen.held_from_ns == 0 && ac_wall_ns() < until)
        rc = look(r, err);
    if (rc == 0 && !r->s.void_run && r->s.seen.held_from_ns == 0)
        lab_note(r, "oracle", "the users' objective was not brought back in time");
    return rc;
}

/* Until the users' objective holds again without the fault. */
static int await_baseline(struct lab_run *r, int64_t from_ns, bool *ret_back, struct ac_err *err)
{
    int64_t until = from_ns + r->lab->conf->revert_ns;
    int rc = 0, cls;
    while (rc == 0 && !*ret_back && ac_wall_ns() < until) {
        struct lab_point *p = NULL;
        size_t n = 0;
        int64_t end = 0;
        rc = forgive(lab_load_points(r, from_ns, ac_wall_ns(), &p, &n, err));
        for (size_t i = 0; i < n; i++)
            end = AC_MAX(end, p[i].time_ns);
        if (rc == 0 && end - REVERT_HOLD_NS >= from_ns)
            *ret_back =
                lab_objective_holds(&r->s.objective, p, n, end - REVERT_HOLD_NS + 1, end + 1, &cls);
        free(p);
        if (rc == 0 && !*ret_back)
            rc = lab_pause(r, TICK_NS, err);
    }
    return rc;
}

static int reverting(struct lab_run *r, struct ac_err *err)
{
    int rc = is_agent(r, "responder") ? forgive(lab_set_policy(r, false, err)) : 0;
    int64_t until = ac_now_ns() + r->lab->conf->revert_ns;
    while (rc == 0 && (rc = lab_faults_revert(r, err)) != 0 && ac_err_retryable(rc) &&
           ac_now_ns() < until)
        rc = lab_pause(r, TICK_NS, err);
    if (rc != 0 || r->s.seen.injected_ns == 0 || r->s.error[0])
        return rc;
    bool back = false;
    rc = await_baseline(r, ac_wall_ns(), &back, err);
    if (rc == 0 && back)
        lab_note(r, "oracle", "without the fault the baseline is back");
    else if (rc == 0) {
        r->s.void_run = true;
        lab_note(r, "oracle", "the baseline did not come back without the fault: the run is void");
    }
    return rc;
}

static int teardown(struct lab_run *r, struct ac_err *err)
{
    int rc = forgive(lab_forget(r, err));
    if (rc == 0)
        rc = lab_app_delete(r, err);
    r->s.ended_ns = ac_wall_ns();
    lab_score(r->problem, &r->s.seen, &r->s.scores);
    if (!r->s.error[0])
        lab_note(r, "score", "detected %s, localised %s, mitigated %s%s",
                 r->s.scores.detected ? "yes" : "no", r->s.scores.localised ? "yes" : "no",
                 r->s.scores.mitigated ? "yes" : "no", r->s.void_run ? "; void" : "");
    return rc;
}

static int (*const PHASES[])(struct lab_run *r, struct ac_err *err) = {
    [LAB_PHASE_SETUP] = setup,         [LAB_PHASE_BASELINE] = baseline,
    [LAB_PHASE_LEARNING] = learning,   [LAB_PHASE_INJECTING] = injecting,
    [LAB_PHASE_GATE] = gate,           [LAB_PHASE_AGENT] = agent,
    [LAB_PHASE_REVERTING] = reverting, [LAB_PHASE_TEARDOWN] = teardown};

/* A service or the cluster that is being restarted is waited for: a phase can be begun again. */
static int run_phase(struct lab_run *r, struct ac_err *err)
{
    int64_t until = ac_now_ns() + AWAY_NS;
    for (;;) {
        struct ac_err ignored = AC_ERR_INIT;
        *err = (struct ac_err)AC_ERR_INIT;
        int rc = PHASES[r->s.phase](r, err);
        if (rc != AC_ENET || ac_now_ns() > until || lab_pause(r, TICK_NS, &ignored) != 0)
            return rc;
    }
}

static enum lab_phase after(const struct lab_run *r, int rc)
{
    if (r->s.phase == LAB_PHASE_TEARDOWN)
        return r->s.error[0] ? LAB_PHASE_FAILED : LAB_PHASE_DONE;
    if (rc == 0)
        return r->s.phase + 1;
    /* Whatever failed, the fault is taken out and the namespaces go. */
    return r->s.phase < LAB_PHASE_REVERTING ? LAB_PHASE_REVERTING : LAB_PHASE_TEARDOWN;
}

static bool leaving(struct lab_run *r)
{
    pthread_mutex_lock(&r->lock);
    bool leave = r->leave;
    pthread_mutex_unlock(&r->lock);
    return leave;
}

/* Until it is stored, nothing follows. False when the service ends before it could be. */
static bool save_surely(struct lab_run *r)
{
    for (;;) {
        struct ac_err err = AC_ERR_INIT, ignored = AC_ERR_INIT;
        if (lab_save(r, &err) == 0)
            return true;
        AC_LOGW("lab", "session_not_stored", AC_KS("id", r->s.id), AC_KERR(&err));
        (void)!lab_pause(r, AC_NS_PER_S, &ignored);
        if (leaving(r))
            return false;
    }
}

void *lab_run_thread(void *arg)
{
    struct lab_run *r = arg;
    while (r->s.phase < LAB_PHASE_DONE) {
        struct ac_err err = AC_ERR_INIT;
        lab_note(r, "phase", "%s", lab_phase_name(r->s.phase));
        int rc = run_phase(r, &err);
        if (leaving(r))
            break;
        if (rc != 0 && !r->s.error[0])
            snprintf(r->s.error, sizeof(r->s.error), "%s: %.200s", lab_phase_name(r->s.phase),
                     err.msg[0] ? err.msg : ac_err_text(rc));
        if (rc != 0)
            lab_note(r, "error", "%s", err.msg[0] ? err.msg : ac_err_text(rc));
        r->s.phase = after(r, rc);
        if (!save_surely(r))
            break;
    }
    if (r->s.phase >= LAB_PHASE_DONE)
        lab_note(r, "phase", "%s", lab_phase_name(r->s.phase));
    lab_run_ended(r);
    return NULL;
}
