#include "supervise.h"

#include "reason.h"
#include "spawn.h"
#include "status.h"
#include "unit.h"
#include "units.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/log.h>
#include <aceso/loop.h>

#define TICK_NS           50000000LL
#define PROBE_STARTING_NS 100000000LL
#define PROBE_HEALTHY_NS  1000000000LL

struct child {
    struct cli_unit unit;
    const struct cli_unit_def *def;
    struct supervisor *sup;
    pid_t pid;
    uint64_t start;
    off_t log_from; /* where its log begins */
    int64_t next_probe_ns;
    bool probing, probe_ok;
    pid_t probed_pid;
    enum cli_unit_state shown;
    int shown_pid;
};

struct supervisor {
    struct cli_layout *layout;
    struct cli_units units;
    struct child child[CLI_UNITS_MAX];
    struct ac_loop *loop;
    struct ac_worker *probes;
    struct ac_timer *tick;
    bool stopping, dirty;
    char error[512];
};

static void write_status(struct supervisor *s)
{
    ac_cleanup_json j = json_object();
    json_object_set_new(j, "supervisor", json_integer(getpid()));
    json_object_set_new(j, "kubeconfig", json_string(s->units.kubeconfig));
    if (s->error[0])
        json_object_set_new(j, "error", json_string(s->error));
    json_t *list = json_array();
    for (int i = 0; i < s->units.n; i++) {
        const struct child *c = &s->child[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:i, s:I, s:i, s:s}", "name", c->def->name,
                                        "state", cli_unit_state_name(c->unit.state), "pid",
                                        (int)c->pid, "start", (json_int_t)c->start, "restarts",
                                        c->unit.restarts, "address", c->def->address));
    }
    json_object_set_new(j, "services", list);
    struct ac_err err = AC_ERR_INIT;
    if (cli_status_write(s->layout, j, &err) != 0)
        AC_LOGE("supervisor", "status_not_written", AC_KERR(&err));
    s->dirty = false;
}

static void start_child(struct child *c)
{
    struct supervisor *s = c->sup;
    struct ac_err err = AC_ERR_INIT;
    int64_t now = ac_now_ns();
    const struct cli_spawn spawn = {.argv = (const char *const *)c->def->argv,
                                    .env = (const char *const *)c->def->env,
                                    .log_path = c->def->log_path,
                                    .uid = c->def->as_pg ? s->layout->pg_uid : geteuid(),
                                    .gid = c->def->as_pg ? s->layout->pg_gid : getegid(),
                                    .cwd = "/",
                                    .death_signal = c->def->stop_signal};
    cli_unit_started(&c->unit, now);
    c->log_from = cli_log_end(c->def->log_path);
    if (cli_spawn(&spawn, &c->pid, &err) != 0) {
        AC_LOGE("supervisor", "start_failed", AC_KS("service", c->def->name), AC_KERR(&err));
        snprintf(s->error, sizeof(s->error), "%s", err.msg);
        cli_unit_exited(&c->unit, 127 << 8, now);
        return;
    }
    c->start = cli_proc_start(c->pid);
    c->next_probe_ns = now + PROBE_STARTING_NS;
    AC_LOGI("supervisor", "started", AC_KS("service", c->def->name), AC_KI("pid", c->pid));
}

static void run_probe(void *arg)
{
    struct child *c = arg;
    c->probe_ok = cli_unit_probe(c->def);
}

static void probe_done(void *arg)
{
    struct child *c = arg;
    int64_t now = ac_now_ns();
    c->probing = false;
    c->next_probe_ns = now + (c->probe_ok && c->unit.state == CLI_UNIT_HEALTHY ? PROBE_HEALTHY_NS
                                                                               : PROBE_STARTING_NS);
    if (c->probed_pid == c->pid) /* else: the answer is about a process that has gone */
        cli_unit_probed(&c->unit, c->probe_ok, now);
}

static bool base_healthy(const struct supervisor *s)
{
    for (int i = 0; i < s->units.n; i++) {
        if (s->child[i].def->base && s->child[i].unit.state != CLI_UNIT_HEALTHY)
            return false;
    }
    return true;
}

/* Services wait for PostgreSQL and NATS at the start, and stop before them at the end. */
static void set_wishes(struct supervisor *s, int64_t now)
{
    bool services_alive = false, base_ok = base_healthy(s);
    for (int i = 0; i < s->units.n; i++)
        services_alive |= !s->child[i].def->base && s->child[i].unit.alive;
    for (int i = 0; i < s->units.n; i++) {
        struct child *c = &s->child[i];
        if (s->stopping)
            cli_unit_want(&c->unit, c->def->base && services_alive, now);
        else if (c->def->base || base_ok)
            cli_unit_want(&c->unit, true, now);
    }
}

static void step_child(struct child *c, int64_t now)
{
    switch (cli_unit_next(&c->unit, now)) {
    case CLI_UNIT_START:
        start_child(c);
        break;
    case CLI_UNIT_TERM:
        kill(c->pid, c->def->stop_signal);
        break;
    case CLI_UNIT_KILL:
        AC_LOGW("supervisor", "killed", AC_KS("service", c->def->name), AC_KI("pid", c->pid));
        kill(-c->pid, SIGKILL);
        break;
    case CLI_UNIT_NONE:
        break;
    }
    if (c->unit.alive && !c->probing && now >= c->next_probe_ns && !c->sup->stopping) {
        c->probed_pid = c->pid;
        c->probing = ac_worker_submit(c->sup->probes, run_probe, probe_done, c) == 0;
    }
    if (c->shown != c->unit.state || c->shown_pid != c->pid) {
        c->shown = c->unit.state;
        c->shown_pid = c->pid;
        c->sup->dirty = true;
    }
}

static void on_tick(void *arg)
{
    struct supervisor *s = arg;
    int64_t now = ac_now_ns();
    bool any_alive = false, all_healthy = true;
    set_wishes(s, now);
    for (int i = 0; i < s->units.n; i++) {
        step_child(&s->child[i], now);
        any_alive |= s->child[i].unit.alive;
        all_healthy &= s->child[i].unit.state == CLI_UNIT_HEALTHY;
    }
    if (all_healthy && s->error[0]) {
        s->error[0] = 0;
        s->dirty = true;
    }
    if (s->dirty)
        write_status(s);
    if (s->stopping && !any_alive)
        ac_loop_stop(s->loop);
}

static void on_child_exit(int signum, void *arg)
{
    (void)signum;
    struct supervisor *s = arg;
    for (int i = 0; i < s->units.n; i++) {
        struct child *c = &s->child[i];
        int status;
        if (!c->unit.alive || waitpid(c->pid, &status, WNOHANG) != c->pid)
            continue;
        kill(-c->pid, SIGKILL); /* whatever it left in its process group */
        if (!s->stopping) {
            AC_LOGW("supervisor", "died", AC_KS("service", c->def->name), AC_KI("pid", c->pid),
                    AC_KI("status", status));
            char why[224];
            cli_reason(c->def->log_path, c->log_from, why, sizeof(why));
            snprintf(s->error, sizeof(s->error), "%s died (%s %d)%s%s; see %.100s", c->def->name,
                     WIFSIGNALED(status) ? "signal" : "exit code",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), *why ? ": " : "",
                     why, c->def->log_path);
        }
        c->pid = 0;
        c->start = 0;
        cli_unit_exited(&c->unit, status, ac_now_ns());
    }
    on_tick(s);
}

static void on_stop(int signum, void *arg)
{
    (void)signum;
    struct supervisor *s = arg;
    s->stopping = true;
    on_tick(s);
}

static void run(struct supervisor *s)
{
    s->loop = ac_loop_create();
    s->probes = ac_worker_create(s->loop, "probe", 4, 64);
    s->tick = ac_timer_create(s->loop, on_tick, s);
    ac_loop_on_signal(s->loop, SIGCHLD, on_child_exit, s);
    ac_loop_on_signal(s->loop, SIGTERM, on_stop, s);
    ac_loop_on_signal(s->loop, SIGINT, on_stop, s);
    ac_timer_start(s->tick, 0, TICK_NS);
    ac_loop_run(s->loop);
    ac_timer_destroy(s->tick);
    ac_worker_destroy(s->probes);
    ac_loop_destroy(s->loop);
}

int cli_supervise(struct cli_layout *l)
{
    struct ac_err err = AC_ERR_INIT;
    struct supervisor *s = ac_xcalloc(1, sizeof(*s));
    s->layout = l;
    int lock_fd;
    pid_t other;
    int rc = cli_layout_lock(l, &lock_fd, &other, &err);
    if (rc == 0) {
        int n = cli_status_kill_leftovers(l);
        if (n > 0)
            AC_LOGW("supervisor", "leftovers_killed", AC_KI("processes", n));
        rc = cli_units_prepare(l, &s->units, &err);
        if (rc == 0) {
            for (int i = 0; i < s->units.n; i++) {
                s->child[i] = (struct child){.def = &s->units.unit[i], .sup = s};
                cli_unit_init(&s->child[i].unit);
            }
            write_status(s);
            run(s);
            cli_units_fini(&s->units);
        } else {
            snprintf(s->error, sizeof(s->error), "%s", err.msg);
            write_status(s);
        }
        close(lock_fd);
    }
    if (rc != 0)
        fprintf(stderr, "aceso supervise: %s\n", err.msg);
    free(s);
    return rc == 0 ? 0 : 1;
}
