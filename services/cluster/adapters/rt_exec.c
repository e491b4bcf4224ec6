/* Further processes in a container's surroundings: exec probes and kubectl exec. */
#include "rt_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

struct stream {
    struct runtime_exec *x;
    int fd; /* 1 or 2 */
    struct rt_pipe *pipe;
};

struct runtime_exec {
    struct ac_list node; /* in runtime.execs */
    struct runtime *rt;
    pid_t pid;
    struct rt_feed *in;
    int tty; /* the terminal's own side; -1 = none */
    struct stream out[2];
    bool exited, dead;
    int code;
    struct runtime_exec_opts o;
};

static void settle(void *arg)
{
    struct runtime_exec *x = arg;
    ac_list_remove(&x->node);
    for (size_t i = 0; i < 2; i++)
        rt_pipe_drop(x->out[i].pipe);
    rt_feed_close(x->in, true);
    if (x->tty >= 0)
        close(x->tty);
    x->o.ended(x->code, x->o.arg);
    free(x);
}

/* Over when the process has ended and its outputs are read to their ends. */
static void check(struct runtime_exec *x)
{
    if (x->exited && x->out[0].pipe == NULL && x->out[1].pipe == NULL && !x->dead) {
        x->dead = true;
        ac_loop_post(x->rt->loop, settle, x);
    }
}

static void on_out(struct rt_pipe *p, const char *data, size_t len, void *arg)
{
    struct stream *s = arg;
    (void)p;
    if (data != NULL) {
        if (!s->x->dead)
            s->x->o.out(s->fd, data, len, s->x->o.arg);
        return;
    }
    s->pipe = NULL;
    check(s->x);
}

static int spawn(struct runtime_exec *x, const struct rt_container *c, char **argv, int fds[3][2],
                 struct ac_err *err)
{
    struct rt_spawn s = {0};
    int code = 0;
    ac_cleanup(ac_free_p) char *path = rt_program(c, argv[0]);
    ac_cleanup(ac_free_p) char *cwd = ac_xstrdup(js_str(c->env, "ACESO_MOUNT_ROOT", "/"));
    if (path == NULL)
        return ac_err_set(err, AC_EINVAL, "exec: \"%.120s\": executable file not found in $PATH",
                          argv[0]);
    char **envp = rt_environ(c);
    rt_user_of(c, &s);
    s.path = path;
    s.argv = argv;
    s.envp = envp;
    s.cwd = cwd;
    s.in = fds[0][0];
    s.out = fds[1][1];
    s.err = fds[2][1];
    s.tty = x->tty >= 0;
    int r = rt_spawn(&s, &x->pid, &code);
    rt_strv_free(envp);
    return r == 0 ? 0 : ac_err_set(err, r, "exec: \"%.120s\": %s", argv[0], strerror(code));
}

static void close_all(int fds[3][2])
{
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++)
            if (fds[i][k] >= 0)
                close(fds[i][k]);
}

/* fds[i] = {reading end, writing end} of stdin, stdout, stderr. A terminal is all three. */
static int open_fds(struct runtime_exec *x, bool tty, int fds[3][2], struct ac_err *err)
{
    for (size_t i = 0; i < 3 && !tty; i++)
        if (pipe2(fds[i], O_CLOEXEC) != 0)
            return ac_err_errno(err, errno, "pipe");
    if (!tty)
        return 0;
    char name[64];
    int own = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (own < 0)
        return ac_err_errno(err, errno, "terminal");
    x->tty = own;
    if (grantpt(own) != 0 || unlockpt(own) != 0 || ptsname_r(own, name, sizeof(name)) != 0)
        return ac_err_errno(err, errno, "terminal");
    for (size_t i = 0; i < 3; i++)
        if ((fds[i][i == 0 ? 0 : 1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
            return ac_err_errno(err, errno, "%s", name);
    fds[0][1] = fcntl(own, F_DUPFD_CLOEXEC, 0);
    fds[1][0] = fcntl(own, F_DUPFD_CLOEXEC, 0);
    return fds[0][1] < 0 || fds[1][0] < 0 ? ac_err_errno(err, errno, "terminal") : 0;
}

static void on_taken(void *arg)
{
    struct runtime_exec *x = arg;
    if (!x->dead && x->o.taken != NULL)
        x->o.taken(x->o.arg);
}

/* The started process's ends become ours. */
static void take_fds(struct runtime_exec *x, int fds[3][2])
{
    uv_loop_t *uv = ac_loop_uv(x->rt->loop);
    if (x->o.has_stdin) {
        x->in = rt_feed_open(uv, fds[0][1], on_taken, x);
        fds[0][1] = -1;
    }
    for (int i = 0; i < 2; i++) {
        x->out[i] = (struct stream){x, i + 1, NULL};
        if (fds[i + 1][0] < 0)
            continue;
        x->out[i].pipe = rt_pipe_read(uv, fds[i + 1][0], on_out, &x->out[i]);
        fds[i + 1][0] = -1;
    }
}

int runtime_exec_start(struct runtime *rt, const struct runtime_exec_opts *o,
                       struct runtime_exec **ret, struct ac_err *err)
{
    struct rt_container *c = rt_find(rt, o->uid, o->container);
    int fds[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    if (c == NULL || c->pid == 0)
        return ac_err_set(err, AC_EPROTO, "container %.80s does not run", o->container);
    struct runtime_exec *x = ac_xcalloc(1, sizeof(*x));
    size_t n = 0;
    while (o->argv[n] != NULL)
        n++;
    char **argv = ac_xcalloc(n + 1, sizeof(*argv));
    for (size_t i = 0; i < n; i++)
        argv[i] = cl_rewrite_paths(o->argv[i], c->mounts);
    x->rt = rt;
    x->o = *o;
    x->o.argv = NULL;
    x->tty = -1;
    int r = open_fds(x, o->tty, fds, err);
    if (r == 0)
        r = n > 0 ? spawn(x, c, argv, fds, err) : ac_err_set(err, AC_EPROTO, "no command");
    rt_strv_free(argv);
    if (r == 0)
        take_fds(x, fds);
    close_all(fds);
    if (r != 0) {
        if (x->tty >= 0)
            close(x->tty);
        free(x);
        return r;
    }
    ac_list_push_back(&rt->execs, &x->node);
    *ret = x;
    return 0;
}

void runtime_exec_stdin(struct runtime_exec *x, const void *data, size_t len)
{
    if (x->in != NULL && len > 0)
        rt_feed_write(x->in, data, len);
}

size_t runtime_exec_stdin_queued(const struct runtime_exec *x)
{
    return x->in != NULL ? rt_feed_queued(x->in) : 0;
}

void runtime_exec_close_stdin(struct runtime_exec *x)
{
    static const char end_of_file = 4; /* what a terminal takes for the end */
    if (x->in != NULL && x->tty >= 0)
        rt_feed_write(x->in, &end_of_file, 1);
    rt_feed_close(x->in, false);
    x->in = NULL;
}

void runtime_exec_pause(struct runtime_exec *x, bool paused)
{
    for (size_t i = 0; i < 2; i++)
        rt_pipe_pause(x->out[i].pipe, paused);
}

void runtime_exec_resize(struct runtime_exec *x, unsigned columns, unsigned rows)
{
    const struct winsize w = {.ws_col = (unsigned short)AC_MIN(columns, 10000U),
                              .ws_row = (unsigned short)AC_MIN(rows, 10000U)};
    if (x->tty >= 0)
        (void)ioctl(x->tty, TIOCSWINSZ, &w);
}

void runtime_exec_kill(struct runtime_exec *x)
{
    if (!x->exited)
        (void)kill(-x->pid, SIGKILL);
    runtime_exec_pause(x, false); /* or its end would not be seen */
}

void rt_execs_kill(struct runtime *rt)
{
    AC_LIST_FOREACH(n, &rt->execs)
    runtime_exec_kill(AC_LIST_ENTRY(n, struct runtime_exec, node));
}

void rt_exec_exited(struct runtime *rt, pid_t pid, int wait_status)
{
    AC_LIST_FOREACH(n, &rt->execs)
    {
        struct runtime_exec *x = AC_LIST_ENTRY(n, struct runtime_exec, node);
        if (x->pid != pid || x->exited)
            continue;
        x->exited = true;
        x->code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
        (void)kill(-pid, SIGKILL);
        check(x);
        return;
    }
}
