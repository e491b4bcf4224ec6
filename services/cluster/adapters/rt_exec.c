/* Further processes in a container's surroundings: exec probes and kubectl exec. */
#include "rt_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#define STDIN_MAX (4u << 20)

struct stream {
    struct runtime_exec *x;
    int fd; /* 1 or 2 */
    struct rt_pipe *pipe;
};

struct runtime_exec {
    struct ac_list node; /* in runtime.execs */
    struct runtime *rt;
    pid_t pid;
    int in_fd;
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
    if (x->in_fd >= 0)
        close(x->in_fd);
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

int runtime_exec_start(struct runtime *rt, const struct runtime_exec_opts *o,
                       struct runtime_exec **ret, struct ac_err *err)
{
    struct rt_container *c = rt_find(rt, o->uid, o->container);
    int fds[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
    if (c == NULL || c->pid == 0)
        return ac_err_set(err, AC_EPROTO, "container %.80s does not run", o->container);
    for (size_t i = 0; i < 3; i++)
        if (pipe2(fds[i], O_CLOEXEC) != 0) {
            close_all(fds);
            return ac_err_errno(err, errno, "pipe");
        }
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
    x->in_fd = -1;
    int r = n > 0 ? spawn(x, c, argv, fds, err) : ac_err_set(err, AC_EPROTO, "no command");
    rt_strv_free(argv);
    if (r != 0) {
        close_all(fds);
        free(x);
        return r;
    }
    if (o->has_stdin) {
        x->in_fd = fds[0][1];
        (void)fcntl(x->in_fd, F_SETFL, O_NONBLOCK);
        fds[0][1] = -1;
    }
    for (int i = 0; i < 2; i++) {
        x->out[i] = (struct stream){x, i + 1, NULL};
        x->out[i].pipe = rt_pipe_read(ac_loop_uv(rt->loop), fds[i + 1][0], on_out, &x->out[i]);
        fds[i + 1][0] = -1;
    }
    close_all(fds);
    ac_list_push_back(&rt->execs, &x->node);
    *ret = x;
    return 0;
}

void runtime_exec_stdin(struct runtime_exec *x, const void *data, size_t len)
{
    /* What does not fit in the pipe is dropped: interactive input is small. */
    if (x->in_fd >= 0 && len > 0 && write(x->in_fd, data, len) < 0 && errno != EAGAIN)
        runtime_exec_close_stdin(x);
}

void runtime_exec_close_stdin(struct runtime_exec *x)
{
    if (x->in_fd >= 0)
        close(x->in_fd);
    x->in_fd = -1;
}

void runtime_exec_kill(struct runtime_exec *x)
{
    if (!x->exited)
        (void)kill(-x->pid, SIGKILL);
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
