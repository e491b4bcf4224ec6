/* Inside of the runtime. Loop thread unless said otherwise. */
#pragma once

#include "runtime.h"

#include <sys/types.h>

#include <uv.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/list.h>
#include <aceso/log.h>
#include <aceso/map.h>
#include <aceso/str.h>

#include "core/ctl.h"
#include "core/js.h"
#include "core/podspec.h"
#include "core/podstatus.h"

#define RT_MARK_CLUSTER   "ACESO_CLUSTER" /* state directory: whose process it is */
#define RT_MARK_RUN       "ACESO_RUN"     /* one life of the cluster process */
#define RT_MARK_POD       "ACESO_POD_UID"
#define RT_MARK_CONTAINER "ACESO_CONTAINER" /* uid/container/run */

struct rt_spawn {
    const char *path;
    char *const *argv, *const *envp;
    const char *cwd;
    bool set_user;
    uid_t uid;
    gid_t gid;
    int in, out, err;
    bool tty; /* in is a terminal to be controlled by */
};
/** New session; dies with the calling thread's process. errno-style code in *ret_errno on failure.
 */
int rt_spawn(const struct rt_spawn *s, pid_t *ret, int *ret_errno) AC_MUST_USE;

/** SIGKILL to every process with NAME=value at the head of its environment, until none is left (or
 * 3 rounds). Any thread. Returns how many were hit. except (pid) is spared; not = match those whose
 * value differs instead. */
struct rt_match {
    const char *name, *value;
    const char *unless_name, *unless_value; /* NULL = none */
};
size_t rt_kill_marked(const struct rt_match *m);

/* ---- logs ---- */

struct rt_log {
    char *dir;
    int fd;
    int64_t run; /* number of the file */
    uint64_t bytes, max_bytes;
    struct ac_list follows;
};
void rt_log_init(struct rt_log *lg, const char *dir, uint64_t max_bytes);
void rt_log_open(struct rt_log *lg, int64_t run);
void rt_log_line(struct rt_log *lg, const char *stream, const char *text, size_t len);
void rt_log_ended(struct rt_log *lg); /* the container will write no more: followers end */
void rt_log_fini(struct rt_log *lg);

/* A pipe from a process; sink gets what comes, then once NULL. */
struct rt_pipe;
typedef void (*rt_sink)(struct rt_pipe *p, const char *data, size_t len, void *arg);
struct rt_pipe *rt_pipe_read(uv_loop_t *loop, int fd, rt_sink sink, void *arg);
void rt_pipe_drop(struct rt_pipe *p); /* the sink is not called again */
void rt_pipe_pause(struct rt_pipe *p, bool paused);

/* A pipe to a process: what does not fit waits. on_taken once the queue is empty again. */
struct rt_feed;
struct rt_feed *rt_feed_open(uv_loop_t *loop, int fd, void (*on_taken)(void *arg), void *arg);
void rt_feed_write(struct rt_feed *f, const void *data, size_t len);
size_t rt_feed_queued(const struct rt_feed *f);
/** After what waits is written, or at once; on_taken is not called again. NULL is fine. */
void rt_feed_close(struct rt_feed *f, bool at_once);

/* ---- containers and pods ---- */

enum rt_probe_kind {
    RT_READINESS,
    RT_LIVENESS,
    RT_STARTUP,
    RT_PROBES
};

struct rt_probe {
    const json_t *spec; /* NULL = none */
    int64_t next_ns;    /* monotonic */
    bool running;
    int64_t fails, oks;
    struct runtime_exec *exec;
    int64_t exec_end_ns;
};

struct rt_out { /* one of a container's two outputs */
    struct rt_container *c;
    const char *stream;
    struct rt_pipe *pipe;
    struct ac_buf line;
};

struct rt_container {
    struct rt_pod *pod;
    const json_t *spec;
    bool init;
    struct cl_container_state st;
    pid_t pid;           /* 0 = does not run */
    int64_t run;         /* counts starts */
    int64_t start_at_ns; /* monotonic; when to (re)start; 0 = not asked */
    int64_t kill_at_ns;  /* monotonic; when SIGKILL follows; 0 = none */
    int64_t began_ns;    /* monotonic */
    int64_t crashes;     /* for the back-off */
    bool cleaning;       /* leftovers of the last run are being killed */
    bool paused;         /* a pause process stands in (pod-failure) */
    json_t *env, *mounts;
    struct rt_log log;
    struct rt_out out[2];
    struct rt_probe probes[RT_PROBES];
};

struct rt_pod {
    struct runtime *rt;
    char uid[40];
    json_t *obj; /* own reference: spec and names */
    char ip[16];
    char *dir;
    size_t n_init, n; /* init containers first, then the others; n in all */
    struct rt_container *c;
    bool terminating, failing, gone;
};

struct runtime {
    struct ac_loop *loop;
    struct cl_store *store;
    struct runtime_opts o;
    char *pods_dir, *cache_dir, *logs_dir;
    char run_id[33];
    struct ac_map *pods; /* uid -> rt_pod */
    struct ac_list execs;
    struct ac_timer *tick;
    struct ac_worker *worker;
    int guard_fd;
    bool stopping;
    int64_t stop_deadline_ns;
    ac_loop_fn stopped;
    void *stopped_arg;
};

struct rt_container *rt_find(struct runtime *rt, const char *uid, const char *container);
void rt_container_tick(struct rt_container *c, int64_t now);
void rt_container_start(struct rt_container *c);
/** SIGTERM now, SIGKILL after grace_ns. */
void rt_container_stop(struct rt_container *c, int64_t grace_ns);
void rt_container_exited(struct rt_container *c, int wait_status);
void rt_container_fini(struct rt_container *c);
void rt_probe_tick(struct rt_container *c, int64_t now);
void rt_probes_begin(struct rt_container *c);
void rt_probes_end(struct rt_container *c);
void rt_pod_publish(struct rt_pod *p);
void rt_pod_step(struct rt_pod *p); /* starts what is next, drops what is over */
void rt_note(struct rt_container *c, const char *type, const char *reason, const char *message);
void rt_execs_kill(struct runtime *rt); /* all of them; each will still say that it ended */
void rt_exec_exited(struct runtime *rt, pid_t pid, int wait_status);
/** Environment block for execve from the container's env; caller frees with rt_strv_free. */
char **rt_environ(const struct rt_container *c);
void rt_strv_free(char **v);
char **rt_argv(const json_t *list, const json_t *mounts);
/** Full path of argv[0] by the container's PATH; NULL when there is none. Caller frees. */
char *rt_program(const struct rt_container *c, const char *name);
void rt_user_of(const struct rt_container *c, struct rt_spawn *s);

/* ---- probes over the network: block, any thread ---- */

struct rt_net_probe {
    enum {
        RT_TCP,
        RT_HTTP,
        RT_GRPC
    } kind;
    char host[64], path[512], service[128], header_host[128];
    int port;
    int64_t timeout_ns;
    bool ok;
    char msg[200];
};
void rt_net_probe_run(struct rt_net_probe *p);
