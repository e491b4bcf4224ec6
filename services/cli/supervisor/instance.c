#include "instance.h"

#include "spawn.h"
#include "status.h"
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>

#define POLL_NS       50000000L
#define DOWN_LIMIT_NS 40000000000LL

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
    interrupted = signum;
}

bool cli_instance_interrupted(void)
{
    return interrupted != 0;
}

void cli_instance_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static void wait_a_moment(void)
{
    struct timespec ts = {.tv_nsec = POLL_NS};
    nanosleep(&ts, NULL);
}

/* A session of its own, so that a Ctrl-C in the terminal reaches `up` only, which then stops it. */
static int start_supervisor(const struct cli_layout *l, pid_t *ret_pid, struct ac_err *err)
{
    char self[1100];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return ac_err_errno(err, errno, "/proc/self/exe");
    self[n] = 0;
    const char *argv[] = {self, "supervise", "--state", l->dir, NULL};
    struct cli_spawn s = {.argv = argv,
                          .log_path = cli_layout_path(l, "log/supervisor.log"),
                          .uid = geteuid(),
                          .gid = getegid(),
                          .cwd = "/"};
    return cli_spawn(&s, ret_pid, err);
}

/* " a b c": those that are not healthy. */
static void list_waiting(const json_t *status, char *dst, size_t size)
{
    size_t i, len = 0;
    json_t *s;
    dst[0] = '\0';
    json_array_foreach(json_object_get(status, "services"), i, s)
    {
        if (!ac_streq(ac_json_str(s, "state", ""), "healthy") && len + 40 < size)
            len += (size_t)snprintf(dst + len, size - len, " %s", ac_json_str(s, "name", ""));
    }
}

static void report(const json_t *status, int *last_healthy)
{
    int healthy, total;
    char waiting[256];
    cli_status_count(status, &healthy, &total);
    if (healthy == *last_healthy || total == 0)
        return;
    *last_healthy = healthy;
    list_waiting(status, waiting, sizeof(waiting));
    cli_progress("%d of %d healthy%s%s", healthy, total, *waiting ? "; waiting for" : "", waiting);
}

/* What died and why; else who is late. */
static int not_healthy(const struct cli_layout *l, const json_t *status, struct ac_err *err)
{
    const char *why = ac_json_str(status, "error", "");
    char waiting[128];
    if (*why)
        return ac_err_set(err, AC_ETIMEOUT, "%s", why);
    list_waiting(status, waiting, sizeof(waiting));
    return ac_err_set(err, AC_ETIMEOUT, "not healthy in time:%s; logs are in %s/log", waiting,
                      l->dir);
}

/* The supervisor that we started has ended: its reason is in the status or its log. */
static int early_end(const struct cli_layout *l, struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    const char *why = cli_status_read(l, &j, NULL) == 0 ? ac_json_str(j, "error", NULL) : NULL;
    if (why)
        return ac_err_set(err, AC_EIO, "%s", why);
    return ac_err_set(err, AC_EIO, "the supervisor ended; see %s",
                      cli_layout_path(l, "log/supervisor.log"));
}

static int wait_healthy(struct cli_layout *l, pid_t started, int64_t timeout_ns, json_t **ret,
                        struct ac_err *err)
{
    int64_t deadline = ac_now_ns() + timeout_ns;
    int last = -1, healthy, total;
    for (;; wait_a_moment()) {
        if (interrupted)
            return ac_err_set(err, AC_ECANCELED, "interrupted");
        if (started && waitpid(started, NULL, WNOHANG) == started)
            return early_end(l, err);
        json_t *j = NULL;
        bool known = cli_status_read(l, &j, NULL) == 0;
        if (known && ac_json_i64(j, "supervisor", 0) != 0) {
            report(j, &last);
            cli_status_count(j, &healthy, &total);
            if (total > 0 && healthy == total) {
                *ret = j;
                return 0;
            }
        }
        if (ac_now_ns() > deadline) {
            int rc = not_healthy(l, known ? j : NULL, err);
            json_decref(j);
            return rc;
        }
        json_decref(j);
    }
}

/* By its pid, not by the lock: it may not have taken that yet. */
static void stop_child(const struct cli_layout *l, pid_t pid)
{
    int64_t deadline = ac_now_ns() + DOWN_LIMIT_NS;
    bool told = false;
    /* Not our child any more: it was waited for already, and its pid may be somebody else's. */
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (!told || ac_now_ns() > deadline)
            kill(pid, told ? SIGKILL : SIGTERM);
        told = true;
        wait_a_moment();
    }
    cli_status_kill_leftovers(l);
}

int cli_instance_up(struct cli_layout *l, int64_t timeout_ns, bool *ret_started,
                    json_t **ret_status, struct ac_err *err)
{
    pid_t pid = 0;
    *ret_started = false;
    int rc = cli_layout_create(l, err);
    bool up = rc == 0 && cli_layout_supervisor(l) != 0;
    if (rc == 0 && !up)
        rc = cli_layout_check_room(l, err);
    if (rc == 0 && !up) {
        cli_progress("starting an instance in %s", l->dir);
        rc = start_supervisor(l, &pid, err);
        *ret_started = rc == 0;
    }
    if (rc != 0)
        return rc;
    rc = wait_healthy(l, pid, timeout_ns, ret_status, err);
    if (rc != 0 && *ret_started) {
        stop_child(l, pid);
        *ret_started = false;
    }
    return rc;
}

int cli_instance_down(struct cli_layout *l, struct ac_err *err)
{
    pid_t pid = cli_layout_supervisor(l);
    if (pid == 0) {
        cli_status_kill_leftovers(l);
        return 0;
    }
    int64_t deadline = ac_now_ns() + DOWN_LIMIT_NS;
    if (kill(pid, SIGTERM) != 0 && errno != ESRCH)
        return ac_err_errno(err, errno, "supervisor %d", (int)pid);
    while (cli_layout_supervisor(l) != 0) {
        waitpid(pid, NULL, WNOHANG); /* when it is our own child */
        if (ac_now_ns() > deadline) {
            kill(pid, SIGKILL);
            cli_status_kill_leftovers(l);
            return ac_err_set(err, AC_ETIMEOUT, "supervisor %d did not stop in time and was killed",
                              (int)pid);
        }
        wait_a_moment();
    }
    return 0;
}

int cli_instance_address(const struct cli_layout *l, const char *service, char *ret, size_t size,
                         struct ac_err *err)
{
    ac_cleanup_json j = NULL;
    int rc = cli_status_read(l, &j, err);
    if (rc != 0)
        return rc;
    size_t i;
    json_t *s;
    json_array_foreach(json_object_get(j, "services"), i, s)
    {
        if (ac_streq(ac_json_str(s, "name", ""), service)) {
            if (ac_json_i64(j, "supervisor", 0) == 0)
                break;
            ac_str_copy(ret, size, ac_json_str(s, "address", ""));
            return 0;
        }
    }
    return ac_err_set(err, AC_ESTATE, "the instance in %s is not up; start it with aceso up",
                      l->dir);
}
