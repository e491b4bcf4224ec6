#include "serving_run.h"

#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <inference/grpc_service.pb-c.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/rpc.h>
#include <aceso/str.h>

#include "supervisor/spawn.h"

#define READY_NS   (30 * AC_NS_PER_S)
#define POLL_NS    (20 * AC_NS_PER_MS)
#define STOP_NS    (8 * AC_NS_PER_S)
#define BACKOFF_NS (500 * AC_NS_PER_MS)

static void ready_path(const struct cli_serving *s, const struct cli_serving_child *c, char *ret,
                       size_t size)
{
    (void)snprintf(ret, size, "%s/%s.json", s->dir, c->name);
}

static int start_child(struct cli_serving *s, int i, struct ac_err *err)
{
    struct cli_serving_child *c = &s->children[i];
    char program[1100], ready[128], option[1200], name[64], executor[64];
    ready_path(s, c, ready, sizeof(ready));
    (void)unlink(ready);
    (void)snprintf(program, sizeof(program), "%s/aceso-%s", ac_exe_dir(),
                   i == 0 ? "controller" : "worker");
    /* Beside bin/ for programs of the build that are not in it. */
    if (access(program, X_OK) != 0)
        (void)snprintf(program, sizeof(program), "%s/../bin/aceso-%s", ac_exe_dir(),
                       i == 0 ? "controller" : "worker");
    const char *argv[8] = {program, "--ready-file", ready}, *repository = s->opts.repository;
    int n = 3;
    if (i == 0) {
        argv[n++] = "--listen";
        argv[n++] = s->address;
        if (repository) {
            (void)snprintf(option, sizeof(option), "--repository=%s", repository);
            argv[n++] = option;
        }
    } else {
        (void)snprintf(option, sizeof(option), "--controller-addr=%s", s->address);
        (void)snprintf(name, sizeof(name), "--name=%s", c->name);
        (void)snprintf(executor, sizeof(executor), "--executor=%s", s->opts.executors[i - 1]);
        argv[n++] = option;
        argv[n++] = name;
        argv[n++] = executor;
    }
    struct cli_spawn spawn = {.argv = argv,
                              .log_path = s->opts.quiet ? "/dev/null" : NULL,
                              .uid = geteuid(),
                              .gid = getegid(),
                              .death_signal = SIGTERM};
    c->started_ns = ac_now_ns();
    return cli_spawn(&spawn, &c->pid, err);
}

/* One that has ended is no longer there afterwards. */
static bool reap(struct cli_serving_child *c, int *ret_status)
{
    if (c->pid == 0 || waitpid(c->pid, ret_status, WNOHANG) != c->pid)
        return false;
    c->pid = 0;
    return true;
}

static const char *ending(int status, char *buf, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(buf, size, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(buf, size, "exit code %d", WEXITSTATUS(status));
    return buf;
}

/* Who ends with 2 has been told something wrong, and so have we. */
static int ended(const struct cli_serving_child *c, int status, struct ac_err *err)
{
    char text[32];
    bool wrong = WIFEXITED(status) && WEXITSTATUS(status) == 2;
    return ac_err_set(err, wrong ? AC_EINVAL : AC_EIO, "the %s ended at once (%s)", c->name,
                      ending(status, text, sizeof(text)));
}

static int wait_controller(struct cli_serving *s, struct ac_err *err)
{
    char path[128];
    struct cli_serving_child *c = &s->children[0];
    int64_t end = ac_now_ns() + READY_NS;
    ready_path(s, c, path, sizeof(path));
    while (!ac_path_exists(path)) {
        int status = 0;
        if (reap(c, &status))
            return ended(c, status, err);
        if (ac_now_ns() > end)
            return ac_err_set(err, AC_ETIMEOUT, "the controller is not up after 30 s");
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    ac_cleanup_json j = NULL;
    const char *grpc = NULL;
    int rc = ac_json_load_file(path, &j, err);
    if (rc == 0)
        rc = ac_json_need_str(j, "grpc", &grpc, err);
    if (rc == 0)
        (void)ac_str_copy(s->address, sizeof(s->address), grpc);
    return rc;
}

static bool server_ready(const struct cli_serving *s)
{
    ProtobufCMessage *reply = NULL;
    Inference__ServerReadyRequest req = INFERENCE__SERVER_READY_REQUEST__INIT;
    if (ac_rpc_call_sync(s->address, NULL, NULL, "/inference.GRPCInferenceService/ServerReady",
                         &req, &inference__server_ready_response__descriptor, 2 * AC_NS_PER_S,
                         &reply, NULL) != 0)
        return false;
    union {
        ProtobufCMessage *in;
        Inference__ServerReadyResponse *out;
    } u = {.in = reply};
    bool ready = u.out->ready;
    protobuf_c_message_free_unpacked(reply, NULL);
    return ready;
}

static int wait_ready(struct cli_serving *s, struct ac_err *err)
{
    int64_t end = ac_now_ns() + READY_NS;
    while (!server_ready(s)) {
        for (int i = 0; i <= s->opts.n_workers; i++) {
            int status = 0;
            if (reap(&s->children[i], &status))
                return ended(&s->children[i], status, err);
        }
        if (ac_now_ns() > end)
            return ac_err_set(err, AC_ETIMEOUT, "the server is not ready after 30 s");
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return 0;
}

static void our_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGCHLD);
}

int cli_serving_start(struct cli_serving *s, const struct cli_serving_opts *o, struct ac_err *err)
{
    sigset_t set;
    *s = (struct cli_serving){.opts = *o};
    (void)ac_str_copy(s->dir, sizeof(s->dir), "/tmp/aceso-serve-XXXXXX");
    (void)ac_str_copy(s->address, sizeof(s->address), o->listen ? o->listen : "127.0.0.1:0");
    if (!mkdtemp(s->dir))
        return ac_err_errno(err, errno, "%s", s->dir);
    our_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)ac_str_copy(s->children[0].name, sizeof(s->children[0].name), "controller");
    for (int i = 0; i < o->n_workers; i++)
        (void)snprintf(s->children[i + 1].name, sizeof(s->children[i + 1].name), "worker-%d", i);
    int rc = start_child(s, 0, err);
    if (rc == 0)
        rc = wait_controller(s, err);
    for (int i = 1; rc == 0 && i <= o->n_workers; i++)
        rc = start_child(s, i, err);
    if (rc == 0)
        rc = wait_ready(s, err);
    if (rc)
        cli_serving_stop(s);
    return rc;
}

static void look_after(struct cli_serving *s)
{
    for (int i = 0; i <= s->opts.n_workers; i++) {
        struct cli_serving_child *c = &s->children[i];
        int status = 0;
        char text[32];
        struct ac_err err = AC_ERR_INIT;
        if (reap(c, &status))
            cli_progress("%s died (%s); starting it again", c->name,
                         ending(status, text, sizeof(text)));
        if (c->pid == 0 && ac_now_ns() - c->started_ns > BACKOFF_NS) {
            c->restarts++;
            if (start_child(s, i, &err) != 0) {
                c->pid = 0;
                cli_progress("%s: %s", c->name, err.msg);
            }
        }
    }
}

void cli_serving_watch(struct cli_serving *s)
{
    sigset_t set;
    our_signals(&set);
    for (;;) {
        const struct timespec t = {.tv_nsec = BACKOFF_NS};
        int sig = sigtimedwait(&set, NULL, &t);
        if (sig == SIGINT || sig == SIGTERM)
            return;
        look_after(s);
    }
}

void cli_serving_stop(struct cli_serving *s)
{
    /* Workers first: a controller that ends waits for what they still run. */
    for (int i = s->opts.n_workers; i >= 0; i--) {
        struct cli_serving_child *c = &s->children[i];
        int64_t end = ac_now_ns() + STOP_NS;
        int status = 0;
        if (c->pid)
            (void)kill(c->pid, SIGTERM);
        while (c->pid && !reap(c, &status)) {
            if (ac_now_ns() > end)
                (void)kill(c->pid, SIGKILL);
            (void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        }
    }
    struct ac_err err = AC_ERR_INIT;
    if (ac_dir_remove(s->dir, &err) != 0)
        cli_progress("%s", err.msg);
}
