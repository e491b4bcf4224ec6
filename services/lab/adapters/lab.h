/* The lab's sessions. Each session runs on a thread of its own, which blocks on the world's answers
 * and owns the session's state; the loop thread owns the views that gRPC shows. */
#pragma once

#include "config.h"
#include "objective.h"
#include "problem.h"
#include "session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <aceso/id.h>
#include <aceso/kube.h>
#include <aceso/list.h>
#include <aceso/map.h>
#include <aceso/svc.h>

#define LAB_EVIDENCE_MAX 6
#define LAB_LONG_TEXT    512

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

struct lab {
    struct ac_svc *svc;
    const struct lab_conf *conf;
    struct lab_problem *problems;
    size_t n_problems;
    struct ac_kube *kube;
    struct ac_map *views; /* id -> struct lab_view; loop thread */
    struct ac_list runs;  /* struct lab_run; loop thread */
    int running;
    bool stopping;
};

/* A session at work. */
struct lab_run {
    struct ac_list node;
    struct lab *lab;
    const struct lab_problem *problem;
    unsigned task;
    struct lab_state s; /* the session's thread */
    uint64_t next_sequence;
    pthread_t thread;
    atomic_bool stop;  /* the session is to end: revert and tear down */
    atomic_bool leave; /* the service ends: leave all as it is, go on after the restart */
};

/* Loop thread. */
int lab_start_session(struct lab *l, const char *problem, const char *agent, uint64_t seed,
                      const char *request_id, char ret_id[AC_ID_LEN + 1],
                      struct ac_err *err) AC_MUST_USE;
/** Goes on with what a crash or stop interrupted. Before the loop runs. */
int lab_resume_sessions(struct lab *l, struct ac_err *err) AC_MUST_USE;
int lab_stop_session(struct lab *l, const char *id, struct ac_err *err) AC_MUST_USE;
/** Tells all runs to leave and joins them. */
void lab_leave(struct lab *l);

/* Session thread. */
void lab_note(struct lab_run *r, const char *kind, const char *fmt, ...) AC_PRINTF(3, 4);
/** Stores the state and shows it. */
int lab_save(struct lab_run *r, struct ac_err *err) AC_MUST_USE;
/** Waits; AC_ECANCELED at once when the run is to stop or leave. */
int lab_pause(struct lab_run *r, int64_t ns, struct ac_err *err) AC_MUST_USE;
