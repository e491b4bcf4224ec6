#include "spawn.h"

#include "reason.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>
#include <grp.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/str.h>

extern char **environ;

static char **merged_env(const char *const *extra)
{
    size_t n = 0, m = 0;
    while (environ[n])
        n++;
    while (extra && extra[m])
        m++;
    char **env = ac_xcalloc(n + m + 1, sizeof(*env));
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        for (size_t j = 0; j < m && !replaced; j++) {
            size_t key = strcspn(extra[j], "=") + 1;
            replaced = strncmp(environ[i], extra[j], key) == 0;
        }
        if (!replaced)
            env[k++] = environ[i];
    }
    for (size_t j = 0; j < m; j++)
        memcpy(&env[k++], &extra[j], sizeof(char *));
    return env;
}

/* In the child: only async-signal-safe calls until exec. Reports errno through fd. */
_Noreturn static void child(const struct cli_spawn *s, char **env, int log_fd, int report_fd,
                            pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    int rc = sigprocmask(SIG_SETMASK, &none, NULL);
    if (rc == 0)
        rc = setpgid(0, 0);
    if (rc == 0 && (dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0))
        rc = -1;
    int null_fd = open("/dev/null", O_RDONLY);
    if (rc == 0 && (null_fd < 0 || dup2(null_fd, 0) < 0))
        rc = -1;
    if (rc == 0 && s->cwd)
        rc = chdir(s->cwd);
    if (rc == 0 && s->uid != geteuid()) {
        if (setgroups(0, NULL) != 0 || setresgid(s->gid, s->gid, s->gid) != 0 ||
            setresuid(s->uid, s->uid, s->uid) != 0)
            rc = -1;
    }
    if (rc == 0 && s->death_signal)
        rc = prctl(PR_SET_PDEATHSIG, s->death_signal);
    if (rc == 0 && s->death_signal && getppid() != parent)
        _exit(125); /* the supervisor died before we asked */
    if (rc == 0) {
        char *const *argv;
        memcpy(&argv, &s->argv, sizeof(argv));
        execve(argv[0], argv, env);
    }
    int e = errno;
    ssize_t w = write(report_fd, &e, sizeof(e));
    _exit(w == sizeof(e) ? 127 : 126);
}

int cli_spawn(const struct cli_spawn *s, pid_t *ret_pid, struct ac_err *err)
{
    int log_fd = s->log_path ? open(s->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
                             : fcntl(2, F_DUPFD_CLOEXEC, 3);
    if (log_fd < 0)
        return ac_err_errno(err, errno, "%s", s->log_path ? s->log_path : "stderr");
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) {
        int e = errno;
        close(log_fd);
        return ac_err_errno(err, e, "pipe");
    }
    char **env = merged_env(s->env);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child(s, env, log_fd, report[1], parent);
    int fork_errno = errno, exec_errno = 0;
    free(env);
    close(log_fd);
    close(report[1]);
    ssize_t n = 0;
    if (pid > 0) {
        do {
            n = read(report[0], &exec_errno, sizeof(exec_errno));
        } while (n < 0 && errno == EINTR);
    }
    close(report[0]);
    if (pid < 0)
        return ac_err_errno(err, fork_errno, "fork for %s", s->argv[0]);
    if (n == sizeof(exec_errno)) {
        waitpid(pid, NULL, 0);
        return ac_err_errno(err, exec_errno, "cannot run %s", s->argv[0]);
    }
    *ret_pid = pid;
    return 0;
}

/* SIGKILL to the whole group, and until none of it is left: what it began must not outlive us. */
static void end_group(pid_t pid)
{
    struct timespec moment = {.tv_nsec = 5000000};
    kill(-pid, SIGKILL);
    for (int i = 0; i < 400 && kill(-pid, 0) == 0; i++) {
        waitpid(pid, NULL, WNOHANG);
        nanosleep(&moment, NULL);
    }
}

/* False when we are told to end meanwhile; the signals of sigs are blocked. */
static bool wait_end(pid_t pid, const sigset_t *sigs, int *ret_status)
{
    while (waitpid(pid, ret_status, WNOHANG) == 0) {
        int sig = sigwaitinfo(sigs, NULL);
        if (sig == SIGTERM || sig == SIGINT) {
            end_group(pid);
            return false;
        }
    }
    return true;
}

int cli_spawn_wait(const struct cli_spawn *s, struct ac_err *err)
{
    pid_t pid;
    sigset_t sigs, before;
    off_t from = cli_log_end(s->log_path);
    sigemptyset(&sigs);
    sigaddset(&sigs, SIGTERM);
    sigaddset(&sigs, SIGINT);
    sigaddset(&sigs, SIGCHLD);
    sigprocmask(SIG_BLOCK, &sigs, &before);
    int rc = cli_spawn(s, &pid, err), status = 0;
    if (rc == 0 && !wait_end(pid, &sigs, &status))
        rc = ac_err_set(err, AC_ECANCELED, "interrupted");
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return rc;
    if (status == 0)
        return 0;
    char why[120];
    cli_reason(s->log_path, from, why, sizeof(why));
    return ac_err_set(err, AC_EIO, "%s failed (%s %d)%s%s; see %s", s->argv[0],
                      WIFEXITED(status) ? "exit code" : "signal",
                      WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), *why ? ": " : "",
                      why, s->log_path);
}

uint64_t cli_proc_start(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    ac_cleanup(ac_free_p) char *text = NULL;
    size_t len;
    if (pid <= 0 || ac_file_read(path, 4096, &text, &len, NULL) != 0)
        return 0;
    char *p = strrchr(text, ')'); /* the name may hold anything, it ends at the last bracket */
    uint64_t start = 0;
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p) {
        p++;
        p[strcspn(p, " ")] = 0;
        if (!ac_str_to_u64(p, &start))
            start = 0;
    }
    return start;
}

bool cli_proc_kill_leftover(pid_t pid, uint64_t start)
{
    if (pid <= 1 || start == 0 || cli_proc_start(pid) != start)
        return false;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    return true;
}
