/* Pods as processes of this machine: starts, watches, probes and ends the containers of the pods in
 * the store, keeps their logs and writes their status. Loop thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/loop.h>
#include <aceso/metrics.h>

#include "core/defaults.h"
#include "core/store.h"

struct runtime;

struct runtime_opts {
    const char *state_dir; /* logs go below it */
    const char *base_dir;  /* pods and cached files, by runtime_base_dir */
    const char *host_ip;
    const char *cluster_id; /* names this instance in the environment of its processes */
    json_t *images;         /* borrowed */
    struct cl_net *net;     /* borrowed: addresses of pods */
    const char *pod_user;   /* NULL = the user of the process */
    int64_t backoff_ns, backoff_max_ns;
    uint64_t log_bytes;
    int64_t max_pods;
};

/** Where files go that pods of other users read: the state directory, or one of this instance's own
 * in /var/tmp when we are root and other users cannot pass to the state directory. Caller frees;
 * NULL with err. */
char *runtime_base_open(const char *state_dir, struct ac_err *err);
/** When no pod runs any more: nothing stays outside of the state directory. Blocks. */
void runtime_base_close(const char *base, const char *state_dir);
/** Ends what an earlier run of this instance has left. */
int runtime_create(struct ac_loop *l, struct cl_store *s, const struct runtime_opts *o,
                   struct runtime **ret, struct ac_err *err) AC_MUST_USE;
/** Compares the store with what runs: call after the controllers' pass. */
void runtime_sync(struct runtime *rt);
/** Ends all containers (SIGTERM, then SIGKILL after grace_ns); done on the loop. */
void runtime_stop(struct runtime *rt, int64_t grace_ns, ac_loop_fn done, void *arg);
void runtime_destroy(struct runtime *rt); /* NULL is fine; kills what is left */

struct runtime_log {
    const char *uid, *container;
    bool previous, timestamps;
    int64_t tail;        /* lines; -1 = all */
    int64_t limit_bytes; /* -1 = all */
    int64_t since_ns;    /* wall; 0 = all */
};
int runtime_log_read(struct runtime *rt, const struct runtime_log *lg, struct ac_buf *out,
                     struct ac_err *err) AC_MUST_USE;
/** fn for each further piece of the log; text NULL once the container is gone (then the follow is
 * over and freed). NULL when the container does not run. */
struct runtime_follow *runtime_follow_start(struct runtime *rt, const struct runtime_log *lg,
                                            void (*fn)(const char *text, size_t len, void *arg),
                                            void *arg);
void runtime_follow_stop(struct runtime_follow *f);

/** A process in a container's surroundings. out(fd 1 or 2, ...) for what it writes, ended once with
 * its exit code (128 + signal). Handle valid until ended. */
struct runtime_exec;
struct runtime_exec_opts {
    const char *uid, *container;
    const char *const *argv; /* NULL-ended */
    bool has_stdin;
    bool tty; /* one terminal for all three; what it shows comes as fd 1 */
    void (*out)(int fd, const void *data, size_t len, void *arg);
    void (*taken)(void *arg); /* all of stdin so far is with the process; may be NULL */
    void (*ended)(int exit_code, void *arg);
    void *arg;
};
int runtime_exec_start(struct runtime *rt, const struct runtime_exec_opts *o,
                       struct runtime_exec **ret, struct ac_err *err) AC_MUST_USE;
/** Queues; the caller holds back while much waits (until taken). */
void runtime_exec_stdin(struct runtime_exec *x, const void *data, size_t len);
size_t runtime_exec_stdin_queued(const struct runtime_exec *x);
/** Paused: no out until resumed; the process waits when its pipe is full. */
void runtime_exec_pause(struct runtime_exec *x, bool paused);
void runtime_exec_resize(struct runtime_exec *x, unsigned columns, unsigned rows);
void runtime_exec_close_stdin(struct runtime_exec *x);
void runtime_exec_kill(struct runtime_exec *x); /* ended follows */

/** For the proxy and for metrics: the pods' main processes (sessions). */
struct runtime_proc {
    char uid[40], pod[256], ns[128], app[128], container[128];
    int pid;
    int64_t restarts;
    bool ready;
};
/** Array in *ret, caller frees; returns its length. Pods without a process are listed with pid 0.
 */
size_t runtime_procs(struct runtime *rt, struct runtime_proc **ret);
/** Main of the guard process: waits for its standard input to end, kills what is left of a run. */
int runtime_guard(const char *run_id);
/** Value of ACESO_POD_UID in a process's environment, read from /proc; false when absent. */
bool runtime_pod_of_pid(int pid, char uid[40]);
