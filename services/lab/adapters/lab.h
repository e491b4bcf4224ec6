/* The lab's sessions. Each session runs on a thread of its own, which blocks on the world's answers
 * and owns the session's state; the loop thread owns the views that gRPC shows and that the threads
 * post their changes to. */
#pragma once

#include "config.h"
#include "objective.h"
#include "problem.h"
#include "session.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <aceso/id.h>
#include <aceso/kube.h>
#include <aceso/map.h>
#include <aceso/svc.h>

#define LAB_EVIDENCE_MAX 8
#define LAB_LONG_TEXT    512
#define LAB_CLASS_NAME   32
#define LAB_EVENTS_MAX   4096 /* a session; more are dropped, with a word in the log */

/* All that is known of a session: stored whole at each change, copied to the loop. */
struct lab_state {
    char id[AC_ID_LEN + 1];
    char request_id[64];
    char problem[LAB_NAME_MAX]; /* as asked for */
    char agent[32];
    uint64_t seed;
    char ns[LAB_NAME_MAX], load_ns[LAB_NAME_MAX];
    enum lab_phase phase;
    bool void_run;
    char error[AC_ERR_MSG_MAX];
    int64_t created_ns, load_running_ns, baseline_from_ns, learned_ns, ended_ns;
    char classes[LAB_CLASSES_MAX][LAB_CLASS_NAME]; /* of the load's requests */
    int n_classes;
    struct lab_objective objective;
    struct lab_observed seen;
    struct lab_scores scores;
    char rule[LAB_NAME_MAX * 2], reason[LAB_LONG_TEXT], mitigation[LAB_LONG_TEXT];
    char evidence[LAB_EVIDENCE_MAX][LAB_LONG_TEXT];
    int n_evidence;
};

struct lab_event {
    uint64_t sequence;
    int64_t time_ns;
    enum lab_phase phase;
    char kind[16];
    char text[LAB_LONG_TEXT];
};

struct lab_view;    /* sessions.c */
struct lab_watcher; /* rpc_lab.c */

struct lab {
    struct ac_svc *svc;
    const struct lab_conf *conf;
    char *problems_dir, *apps_dir;
    struct lab_problem *problems;
    size_t n_problems;
    struct ac_kube *kube;
    struct ac_rpc_channel *collector, *trainer, *detector, *responder;
    struct ac_worker *shell; /* what agents run */
    struct ac_map *views;    /* id -> struct lab_view; loop thread */
    int running;
    bool stopping;
    char source[64];
};

/* What an agent handed in; guarded by the run's lock. */
struct lab_answers {
    int64_t detected_ns, located_ns, mitigated_ns;
    bool anomaly;
    char root_cause[LAB_NAME_MAX];
};

/* A session at work. */
struct lab_run {
    struct lab *lab;
    const struct lab_problem *problem;
    unsigned task;
    struct lab_state s; /* the session's thread */
    uint64_t next_sequence;
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    bool stop;  /* the session is to end: revert and tear down */
    bool leave; /* the service ends: leave all as it is, go on after the restart */
    struct lab_answers answers;
};

/* ---- sessions.c, loop thread ---- */
struct lab_view {
    struct lab *lab;
    struct lab_state s; /* as last stored */
    struct lab_event *events;
    size_t n_events, cap_events;
    struct lab_run *run; /* NULL when nothing runs */
    struct lab_watcher *watchers;
};
/** Stores and starts a session, then done (v NULL: err says why not); with the request id of an
 * earlier one that one is given. */
typedef void (*lab_started_fn)(struct lab_view *v, const struct ac_err *err, void *arg);
void lab_start_session(struct lab *l, const struct lab_state *wanted, lab_started_fn done,
                       void *arg);
/** Goes on with what a crash or stop interrupted. Before the loop runs. */
int lab_resume_sessions(struct lab *l, struct ac_err *err) AC_MUST_USE;
struct lab_view *lab_find_session(const struct lab *l, const char *id, struct ac_err *err);
void lab_stop_session(struct lab_view *v);
/** Tells all runs to leave; ac_svc_stopped once they have. */
void lab_leave(struct lab *l);
/** After the threads are gone. */
void lab_sessions_free(struct lab *l);
/** Any thread: the session's thread is about to return. */
void lab_run_ended(struct lab_run *r);
/** Keeps an event; the watchers get it. */
void lab_view_changed(struct lab_view *v, const struct lab_event *e);

/* ---- rpc_lab.c, rpc_agent.c, loop thread ---- */
void lab_rpc_add(struct lab *l);
void lab_agent_rpc_add(struct lab *l);
void lab_watchers_tell(struct lab_view *v); /* of its new events */
void lab_watchers_end(struct lab_view *v);

/* ---- run.c: a session's thread ---- */
void *lab_run_thread(void *run);
void lab_note(struct lab_run *r, const char *kind, const char *fmt, ...) AC_PRINTF(3, 4);
/** Stores the state and shows it. */
int lab_save(struct lab_run *r, struct ac_err *err) AC_MUST_USE;
/** Waits; AC_ECANCELED at once when the run is to stop or leave. */
int lab_pause(struct lab_run *r, int64_t ns, struct ac_err *err) AC_MUST_USE;
/** AC_ECANCELED when the run is to stop or leave. */
int lab_go_on(struct lab_run *r, struct ac_err *err) AC_MUST_USE;
