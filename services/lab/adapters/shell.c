#include "adapters/shell.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/file.h>
#include <aceso/str.h>

#define LIMIT_NS (30 * AC_NS_PER_S)

/* "NAME=value" of our own environment; NULL when it is not there. */
static char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? ac_xasprintf("%s=%s", name, value) : NULL;
}

/* No home: kubectl would make one for its cache, anywhere that it may. kubectl and its environment
 * are ours; only the words after the verb are the agent's. */
static int start(const struct lab_command *c, const char *kubeconfig, const char *ns, int out_fd,
                 pid_t *ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *program = ac_find_program("kubectl", NULL);
    if (!program)
        return ac_err_set(err, AC_ENOTFOUND, "kubectl is not installed where the lab runs");
    /* Without one kubectl finds the pod's service account, by these two variables. */
    ac_cleanup(ac_free_p) char *config =
        ac_str_empty(kubeconfig) ? NULL : ac_xasprintf("--kubeconfig=%s", kubeconfig);
    ac_cleanup(ac_free_p) char *host = variable("KUBERNETES_SERVICE_HOST");
    ac_cleanup(ac_free_p) char *port = variable("KUBERNETES_SERVICE_PORT");
    ac_cleanup(ac_free_p) char *space = ac_xasprintf("--namespace=%s", ns);
    char *argv[LAB_ARGS_MAX + 4];
    int n = 0;
    argv[n++] = program;
    if (config)
        argv[n++] = config;
    argv[n++] = space;
    for (int i = 1; i < c->n; i++)
        argv[n++] = c->argv[i];
    argv[n] = NULL;
    char *env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", (char *)(uintptr_t) "HOME=/proc", host,
                   port, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out_fd, 1);
    posix_spawn_file_actions_adddup2(&fa, out_fd, 2);
    posix_spawnattr_init(&attr);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    int rc = posix_spawn(ret, program, &fa, &attr, argv, env);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return rc == 0 ? 0 : ac_err_errno(err, rc, "%s", program);
}

/* False when the time is over. */
static bool collect(int fd, struct ac_buf *out)
{
    int64_t deadline = ac_now_ns() + LIMIT_NS;
    char part[8192];
    for (;;) {
        int64_t left = deadline - ac_now_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)(left / AC_NS_PER_MS) + 1) == 0)
            return false;
        ssize_t n = read(fd, part, sizeof(part));
        if (n <= 0 && !(n < 0 && errno == EINTR))
            return true;
        if (n > 0 && out->len + (size_t)n < out->max)
            ac_buf_append(out, part, (size_t)n); /* the rest is read and dropped */
    }
}

int lab_shell_run(const struct lab_command *c, const char *kubeconfig, const char *ns,
                  struct ac_buf *out, struct ac_err *err)
{
    int fds[2];
    pid_t pid;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return ac_err_errno(err, errno, "pipe");
    int rc = start(c, kubeconfig, ns, fds[1], &pid, err);
    close(fds[1]);
    if (rc == 0) {
        int status = 0;
        bool in_time = collect(fds[0], out);
        if (!in_time)
            kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (!in_time)
            rc = ac_err_set(err, AC_ETIMEOUT, "the command took longer than %d s",
                            (int)(LIMIT_NS / AC_NS_PER_S));
        else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
            ac_buf_printf(out, "exit code %d\n", WEXITSTATUS(status));
    }
    close(fds[0]);
    return rc;
}
