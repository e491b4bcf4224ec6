/* aceso cluster: the embedded cluster alone, in the background. */
#include "verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/json.h>
#include <aceso/str.h>

#include "supervisor/instance.h"
#include "supervisor/reason.h"
#include "supervisor/spawn.h"

#define POLL_NS      20000000L
#define UP_LIMIT_NS  (30 * AC_NS_PER_S)
#define END_LIMIT_NS (15 * AC_NS_PER_S)

static int cmd_cluster(int argc, char **argv, const struct cli_ctx *ctx);

const struct cli_verb cli_verb_cluster = {
    "cluster", "the embedded Kubernetes cluster alone", cmd_cluster,
    "  aceso cluster up [--state DIR]\n"
    "  aceso cluster down [--state DIR]\n"
    "  aceso cluster status [--state DIR]\n\n"
    "up starts the cluster in the background and prints the path of its kubeconfig; pods, ports "
    "and\n"
    "addresses are kept from one start to the next. status fails when it does not run.\n"
    "  --state DIR     where everything is kept (default: $ACESO_STATE, /var/lib/aceso for "
    "root)\n"};

static void wait_a_moment(void)
{
    const struct timespec ts = {.tv_nsec = POLL_NS};
    (void)nanosleep(&ts, NULL);
}

/* The ready line of the cluster that runs there now; NULL when none does. A file of one that was
 * killed names a process that is gone, or another program's. */
static json_t *running(const struct cli_layout *l)
{
    json_t *j = NULL;
    char link[64], exe[1100];
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    if (ac_file_read(cli_layout_path(l, "ready/cluster.json"), 65536, &text, &len, NULL) != 0 ||
        ac_json_parse("ready/cluster.json", text, len, &j, NULL) != 0)
        return NULL;
    (void)snprintf(link, sizeof(link), "/proc/%lld/exe", (long long)ac_json_i64(j, "pid", 0));
    ssize_t n = readlink(link, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    if (strstr(exe, "/aceso-cluster") != NULL)
        return j;
    json_decref(j);
    return NULL;
}

static int answer(const json_t *j, const struct cli_ctx *ctx)
{
    const char *kubeconfig = ac_json_str(j, "kubeconfig", "");
    if (ctx->json) {
        ac_cleanup_json out =
            json_pack("{s:s,s:s,s:I}", "kubeconfig", kubeconfig, "server",
                      ac_json_str(j, "server", ""), "pid", (json_int_t)ac_json_i64(j, "pid", 0));
        ac_cleanup(ac_free_p) char *text = ac_json_text(out);
        puts(text);
    } else {
        printf("export KUBECONFIG=%s\n", kubeconfig);
    }
    return CLI_OK;
}

static int start(const struct cli_layout *l, pid_t *ret_pid, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *program = ac_xasprintf("%s/aceso-cluster", ac_exe_dir());
    ac_cleanup(ac_free_p) char *ready = ac_xstrdup(cli_layout_path(l, "ready/cluster.json"));
    ac_cleanup(ac_free_p) char *data = ac_xstrdup(cli_layout_path(l, "data/cluster"));
    ac_cleanup(ac_free_p) char *log = ac_xstrdup(cli_layout_path(l, "log/cluster.log"));
    const char *argv[] = {program, "--state-dir", data, "--ready-file", ready, NULL};
    static const char *const subs[] = {"log", "ready", "data"};
    for (size_t i = 0; i < AC_ARRAY_LEN(subs); i++) {
        int r = ac_dir_create(cli_layout_path(l, "%s", subs[i]), 0711, err);
        if (r != 0)
            return r;
    }
    const struct cli_spawn s = {
        .argv = argv, .log_path = log, .uid = geteuid(), .gid = getegid(), .cwd = "/"};
    (void)unlink(ready);
    return cli_spawn(&s, ret_pid, err);
}

static int end(pid_t pid, struct ac_err *err)
{
    int64_t deadline = ac_now_ns() + END_LIMIT_NS;
    uint64_t began = cli_proc_start(pid);
    if (kill(pid, SIGTERM) != 0 && errno != ESRCH)
        return ac_err_errno(err, errno, "process %d", (int)pid);
    for (; began != 0 && cli_proc_start(pid) == began; wait_a_moment()) {
        (void)waitpid(pid, NULL, WNOHANG); /* ours, when this call started it */
        if (ac_now_ns() > deadline)
            return ac_err_set(err, AC_ETIMEOUT, "process %d does not end: kill -9 %d", (int)pid,
                              (int)pid);
    }
    return 0;
}

static int wait_ready(const struct cli_layout *l, pid_t pid, off_t log_from, json_t **ret,
                      struct ac_err *err)
{
    int64_t deadline = ac_now_ns() + UP_LIMIT_NS;
    for (;; wait_a_moment()) {
        char why[200];
        if ((*ret = running(l)) != NULL)
            return 0;
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            cli_reason(cli_layout_path(l, "log/cluster.log"), log_from, why, sizeof(why));
            return ac_err_set(err, AC_EIO, "%s%s", *why ? why : "it ended; see ",
                              *why ? "" : cli_layout_path(l, "log/cluster.log"));
        }
        struct ac_err ignored = AC_ERR_INIT;
        if (cli_instance_interrupted()) {
            (void)!end(pid, &ignored);
            return ac_err_set(err, AC_ECANCELED, "interrupted");
        }
        if (ac_now_ns() > deadline) {
            (void)!end(pid, &ignored);
            return ac_err_set(err, AC_ETIMEOUT, "not ready in time; see %s",
                              cli_layout_path(l, "log/cluster.log"));
        }
    }
}

static int up(const struct cli_layout *l, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup_json j = running(l);
    pid_t pid = 0;
    if (j != NULL)
        return answer(j, ctx);
    cli_instance_catch_signals();
    off_t from = cli_log_end(cli_layout_path(l, "log/cluster.log"));
    if (start(l, &pid, &err) != 0 || wait_ready(l, pid, from, &j, &err) != 0)
        return cli_fail("cluster", &err);
    return answer(j, ctx);
}

static int down(const struct cli_layout *l, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup_json j = running(l);
    if (cli_layout_supervisor(l) != 0) {
        (void)ac_err_set(&err, AC_ESTATE,
                         "it is part of the whole system in %s: aceso down stops that", l->dir);
        return cli_fail("cluster", &err);
    }
    if (j != NULL && end((pid_t)ac_json_i64(j, "pid", 0), &err) != 0)
        return cli_fail("cluster", &err);
    if (ctx->json)
        puts("{\"stopped\":true}");
    return CLI_OK;
}

static int cmd_cluster(int argc, char **argv, const struct cli_ctx *ctx)
{
    const char *state = NULL;
    const struct cli_opt opts[] = {{.name = "--state", .has_value = true, .value = &state}};
    int npos;
    int rc = cli_parse(&cli_verb_cluster, argc, argv, opts, 1, &npos);
    if (rc != 0)
        return rc > 0 ? CLI_OK : CLI_USAGE;
    struct ac_err err = AC_ERR_INIT;
    struct cli_layout l;
    if (npos != 1)
        return cli_usage("cluster", "say one of up, down and status");
    if (cli_layout_find(state, &l, &err) != 0)
        return cli_fail("cluster", &err);
    if (ac_streq(argv[1], "up"))
        return up(&l, ctx);
    if (ac_streq(argv[1], "down"))
        return down(&l, ctx);
    if (!ac_streq(argv[1], "status"))
        return cli_usage("cluster", "unknown action '%s'; there are up, down and status", argv[1]);
    ac_cleanup_json j = running(&l);
    if (j != NULL)
        return answer(j, ctx);
    (void)ac_err_set(&err, AC_ESTATE, "no cluster runs in %s", l.dir);
    return cli_fail("cluster", &err);
}
