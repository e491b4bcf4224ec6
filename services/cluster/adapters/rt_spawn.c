/* Processes: start, and hunt by a mark in their environment. */
#include "rt_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>

#define ENV_HEAD 8192 /* the marks are the first variables */

/* In the child of a vfork: memory is the parent's, so plain system calls only. glibc's setuid would
 * signal the parent's threads. */
static int child(const struct rt_spawn *s)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;
    static const int reset[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};
    for (size_t i = 0; i < AC_ARRAY_LEN(reset); i++)
        (void)sigaction(reset[i], &dfl, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (setsid() < 0 || dup2(s->in, 0) < 0 || dup2(s->out, 1) < 0 || dup2(s->err, 2) < 0)
        return errno;
    if (s->tty && ioctl(0, TIOCSCTTY, 0) < 0)
        return errno;
    (void)syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
    if (s->set_user && (syscall(SYS_setgroups, 1, &s->gid) < 0 ||
                        syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
                        syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0))
        return errno;
    /* After the change of user, which clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || chdir(s->cwd) < 0)
        return errno;
    execve(s->path, s->argv, s->envp);
    return errno;
}

__attribute__((noinline)) int rt_spawn(const struct rt_spawn *s, pid_t *ret, int *ret_errno)
{
    sigset_t all, old;
    volatile int failed = 0;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = vfork();
    if (pid == 0) {
        failed = child(s);
        _exit(127);
    }
    int fork_errno = errno;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    *ret_errno = pid < 0 ? fork_errno : failed;
    if (pid < 0)
        return AC_EIO;
    if (failed != 0) {
        /* The zombie is reaped as any other child. */
        return AC_EIO;
    }
    *ret = pid;
    return 0;
}

static bool has_var(const char *env, size_t n, const char *name, const char *value)
{
    size_t ln = strlen(name), lv = strlen(value);
    for (size_t i = 0; i < n;) {
        size_t len = strnlen(env + i, n - i);
        if (len == ln + 1 + lv && memcmp(env + i, name, ln) == 0 && env[i + ln] == '=' &&
            memcmp(env + i + ln + 1, value, lv) == 0)
            return true;
        i += len + 1;
    }
    return false;
}

static size_t read_environ(int pid, char *dst, size_t n)
{
    char path[40];
    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t r = read(fd, dst, n);
    close(fd);
    return r > 0 ? (size_t)r : 0;
}

static size_t kill_round(const struct rt_match *m)
{
    char env[ENV_HEAD];
    size_t hits = 0;
    DIR *d = opendir("/proc");
    if (d == NULL)
        return 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        int64_t pid;
        if (!ac_str_to_i64(e->d_name, &pid) || pid <= 1 || pid == getpid())
            continue;
        size_t n = read_environ((int)pid, env, sizeof(env));
        if (n == 0 || !has_var(env, n, m->name, m->value) ||
            (m->unless_name != NULL && has_var(env, n, m->unless_name, m->unless_value)))
            continue;
        hits++;
        (void)kill((pid_t)pid, SIGKILL);
    }
    closedir(d);
    return hits;
}

size_t rt_kill_marked(const struct rt_match *m)
{
    size_t total = 0;
    for (int round = 0; round < 20; round++) {
        size_t hits = kill_round(m);
        total += hits;
        if (hits == 0)
            break;
        /* Killed is not yet gone; new ones may have been forked meanwhile. */
        const struct timespec moment = {.tv_nsec = 2000000};
        (void)nanosleep(&moment, NULL);
    }
    return total;
}

bool runtime_pod_of_pid(int pid, char uid[40])
{
    char env[ENV_HEAD];
    size_t n = read_environ(pid, env, sizeof(env)), ln = strlen(RT_MARK_POD);
    for (size_t i = 0; i < n;) {
        size_t len = strnlen(env + i, n - i);
        if (len > ln + 1 && memcmp(env + i, RT_MARK_POD "=", ln + 1) == 0)
            return snprintf(uid, 40, "%.*s", (int)(len - ln - 1), env + i + ln + 1) > 0;
        i += len + 1;
    }
    return false;
}

/* ---- the guard: kills what is left when the cluster's process is gone ---- */

int runtime_guard(const char *run_id)
{
    char c;
    struct sigaction ign = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &ign, NULL);
    (void)sigaction(SIGTERM, &ign, NULL);
    (void)sigaction(SIGHUP, &ign, NULL);
    (void)setsid();
    while (read(0, &c, 1) > 0 || errno == EINTR)
        errno = 0;
    const struct rt_match m = {RT_MARK_RUN, run_id, NULL, NULL};
    (void)rt_kill_marked(&m);
    return 0;
}
