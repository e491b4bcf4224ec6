/* One container: start, outputs, end, restart. */
#include "rt_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>

#include <aceso/file.h>

#define RETRY_NS     AC_NS_PER_S
#define CALM_NS      (600 * AC_NS_PER_S) /* a run this long forgets earlier crashes */
#define LINE_MAX_LEN 16384
#define FILE_MODE    0644

void rt_note(struct rt_container *c, const char *type, const char *reason, const char *message)
{
    char field[160];
    snprintf(field, sizeof(field), "spec.%s{%.100s}", c->init ? "initContainers" : "containers",
             c->st.name);
    struct cl_note n = {CL_POD, c->pod->obj, type, reason, "kubelet", field};
    cl_event_record(c->pod->rt->store, &n, message);
}

static void waiting(struct rt_container *c, const char *reason, const char *message)
{
    c->st.state = CL_C_WAITING;
    ac_str_copy(c->st.reason, sizeof(c->st.reason), reason);
    ac_str_copy(c->st.message, sizeof(c->st.message), message);
}

/* ---- outputs ---- */

static void flush_line(struct rt_out *o)
{
    if (o->line.len > 0)
        rt_log_line(&o->c->log, o->stream, o->line.data, o->line.len);
    ac_buf_reset(&o->line);
}

static void on_output(struct rt_pipe *p, const char *data, size_t len, void *arg)
{
    struct rt_out *o = arg;
    (void)p;
    if (data == NULL) {
        flush_line(o);
        o->pipe = NULL;
        return;
    }
    for (size_t i = 0; i < len;) {
        const char *nl = memchr(data + i, '\n', len - i);
        size_t n = nl != NULL ? (size_t)(nl - data) - i : len - i;
        size_t room = LINE_MAX_LEN - o->line.len;
        ac_buf_append(&o->line, data + i, AC_MIN(n, room));
        if (nl != NULL || n >= room) {
            rt_log_line(&o->c->log, o->stream, ac_buf_str(&o->line), o->line.len);
            ac_buf_reset(&o->line);
        }
        i += n < room && nl != NULL ? n + 1 : AC_MIN(n, room) + (nl != NULL && n == room);
    }
}

/* ---- what it runs with ---- */

static bool lookup_user(const char *list, uid_t *uid, gid_t *gid)
{
    ac_cleanup(ac_free_p) char *copy = ac_xstrdup(list);
    char *rest = copy;
    for (const char *name; (name = ac_str_next(&rest, ',')) != NULL;) {
        const struct passwd *pw = getpwnam(name); /* loop thread only */
        if (pw == NULL)
            continue;
        *uid = pw->pw_uid;
        *gid = pw->pw_gid;
        return true;
    }
    return false;
}

void rt_user_of(const struct rt_container *c, struct rt_spawn *s)
{
    const struct runtime *rt = c->pod->rt;
    const json_t *image = cl_image_find(rt->o.images, c->st.image);
    int64_t uid = js_int(c->spec, "securityContext.runAsUser",
                         js_int(c->pod->obj, "spec.securityContext.runAsUser", -1));
    int64_t gid = js_int(c->spec, "securityContext.runAsGroup",
                         js_int(c->pod->obj, "spec.securityContext.runAsGroup", uid));
    s->set_user = false;
    if (geteuid() != 0)
        return;
    const char *named = js_str(image, "user", rt->o.pod_user);
    if (uid >= 0) {
        s->uid = (uid_t)uid;
        s->gid = (gid_t)gid;
        s->set_user = uid != 0;
    } else if (!ac_str_empty(named)) {
        s->set_user = lookup_user(named, &s->uid, &s->gid);
    }
}

static char *container_dir(const struct rt_container *c)
{
    return ac_xasprintf("%s/containers/%s", c->pod->dir, c->st.name);
}

static void own(const char *path, const struct rt_spawn *s)
{
    if (s->set_user && lchown(path, s->uid, s->gid) != 0)
        AC_LOGW("runtime", "chown", AC_KS("path", path), AC_KS("msg", strerror(errno)));
}

static int write_files(const char *dir, const json_t *files, const struct rt_spawn *s,
                       struct ac_err *err)
{
    const char *name;
    json_t *v;
    int r = ac_dir_create(dir, 0755, err);
    own(dir, s);
    json_object_foreach((json_t *)(uintptr_t)files, name, v)
    {
        ac_cleanup(ac_free_p) char *path = ac_xasprintf("%s/%s", dir, name);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        if (r == 0)
            r = ac_dir_create(path, 0755, err);
        *slash = '/';
        if (r == 0)
            r = ac_file_write_atomic(path, json_string_value(v), json_string_length(v), FILE_MODE,
                                     err);
    }
    return r;
}

/* Puts a mount in place and says where it is ("real"). */
static int materialise(struct rt_container *c, json_t *m, size_t i, const struct rt_spawn *s,
                       struct ac_err *err)
{
    const char *type = js_str(m, "type", ""), *sub = js_str(m, "subPath", "");
    ac_cleanup(ac_free_p) char *cdir = container_dir(c);
    char *dir = NULL;
    int r = 0;
    if (ac_streq(type, "files")) {
        dir = ac_xasprintf("%s/mounts/%zu", cdir, i);
        r = write_files(dir, js_at(m, "files"), s, err);
    } else if (ac_streq(type, "host")) {
        dir = ac_xstrdup(js_str(m, "path", "/"));
    } else if (ac_streq(type, "claim")) {
        dir = ac_xasprintf("%s/claims/%s/%s", c->pod->rt->pods_dir, js_ns(c->pod->obj),
                           js_str(m, "path", ""));
    } else {
        dir = ac_xasprintf("%s/volumes/%s", c->pod->dir, js_str(m, "name", ""));
    }
    if (r == 0 && !ac_streq(type, "files") && !ac_streq(type, "host")) {
        r = ac_dir_create(dir, 0777, err);
        own(dir, s);
    }
    ac_cleanup(ac_free_p) char *real = sub[0] != '\0' && strstr(sub, "..") == NULL
                                           ? ac_xasprintf("%s/%s", dir, sub)
                                           : ac_xstrdup(dir);
    if (r == 0 && sub[0] != '\0' && ac_streq(type, "dir")) {
        r = ac_dir_create(real, 0777, err);
        own(real, s);
    }
    js_set_str(m, "real", real);
    free(dir);
    return r;
}

static void put_env(json_t *env, const char *name, const char *value)
{
    json_object_set_new(env, name, json_stringn_nocheck(value, strlen(value)));
}

/* The marks come first: they are found by reading the head of /proc/PID/environ. */
static json_t *with_marks(struct rt_container *c, const json_t *env, const json_t *image)
{
    const struct runtime *rt = c->pod->rt;
    json_t *out = json_object();
    char text[160];
    const char *k;
    json_t *v;
    ac_cleanup(ac_free_p) char *cdir = container_dir(c);
    put_env(out, RT_MARK_CLUSTER, rt->o.cluster_id);
    put_env(out, RT_MARK_RUN, rt->run_id);
    put_env(out, RT_MARK_POD, c->pod->uid);
    snprintf(text, sizeof(text), "%s/%.60s/%lld", c->pod->uid, c->st.name, (long long)c->run);
    put_env(out, RT_MARK_CONTAINER, text);
    put_env(out, "ACESO_POD_IP", c->pod->ip);
    put_env(out, "ACESO_MOUNT_ROOT", cdir);
    put_env(out, "ACESO_CACHE", rt->cache_dir);
    snprintf(text, sizeof(text), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    put_env(out, "PATH", text);
    put_env(out, "HOME", cdir);
    put_env(out, "HOSTNAME", js_name(c->pod->obj));
    put_env(out, "LANG", "C.UTF-8");
    size_t i;
    json_array_foreach(c->mounts, i, v)
    {
        if (ac_streq(js_str(v, "mountPath", ""), "/docker-entrypoint-initdb.d"))
            put_env(out, "ACESO_INITDB", js_str(v, "real", ""));
        if (ac_str_starts(js_str(v, "mountPath", ""), "/var/lib/postgresql"))
            put_env(out, "ACESO_VOLUME_DATA", js_str(v, "real", ""));
    }
    json_object_foreach(js_at(image, "env"), k, v)
    {
        ac_cleanup(ac_free_p) char *value =
            cl_expand(json_is_string(v) ? json_string_value(v) : "", out);
        put_env(out, k, value);
    }
    json_object_foreach((json_t *)(uintptr_t)env, k, v)
    {
        ac_cleanup(ac_free_p) char *real = cl_rewrite_paths(json_string_value(v), c->mounts);
        if (json_object_get(out, k) == NULL || !ac_str_starts(k, "ACESO_"))
            put_env(out, k, real);
    }
    return out;
}

char **rt_environ(const struct rt_container *c)
{
    char **v = ac_xcalloc(json_object_size(c->env) + 1, sizeof(*v));
    size_t n = 0;
    const char *k;
    json_t *t;
    json_object_foreach(c->env, k, t) v[n++] = ac_xasprintf("%s=%s", k, json_string_value(t));
    return v;
}

void rt_strv_free(char **v)
{
    for (size_t i = 0; v != NULL && v[i] != NULL; i++)
        free(v[i]);
    free(v);
}

char **rt_argv(const json_t *list, const json_t *mounts)
{
    char **v = ac_xcalloc(json_array_size(list) + 1, sizeof(*v));
    size_t i;
    json_t *t;
    json_array_foreach(list, i, t) v[i] = cl_rewrite_paths(json_string_value(t), mounts);
    return v;
}

char *rt_program(const struct rt_container *c, const char *name)
{
    if (strchr(name, '/') != NULL)
        return access(name, X_OK) == 0 ? ac_xstrdup(name) : NULL;
    ac_cleanup(ac_free_p) char *path = ac_xstrdup(js_str(c->env, "PATH", ""));
    char *rest = path;
    for (const char *dir; (dir = ac_str_next(&rest, ':')) != NULL;) {
        char *full = ac_xasprintf("%s/%s", dir, name);
        if (dir[0] == '/' && access(full, X_OK) == 0)
            return full;
        free(full);
    }
    return NULL;
}

/* ---- start ---- */

static void retry(struct rt_container *c, const char *state, const char *event, const char *msg)
{
    bool said = c->st.state == CL_C_WAITING && ac_streq(c->st.message, msg);
    waiting(c, state, msg);
    if (!said) {
        ac_cleanup(ac_free_p) char *text = ac_xasprintf("Error: %s", msg);
        rt_note(c, "Warning", event, text);
    }
    c->start_at_ns = ac_now_ns() + RETRY_NS;
}

static int prepare(struct rt_container *c, const json_t *image, const struct rt_spawn *s)
{
    struct ac_err err = AC_ERR_INIT;
    struct rt_pod *p = c->pod;
    const struct cl_pod_ctx x = {p->rt->store, p->obj, p->ip, p->rt->o.host_ip};
    js_auto env = NULL;
    json_t *mounts = NULL;
    if (cl_pod_env(&x, c->spec, &env, &err) != 0) {
        retry(c, "CreateContainerConfigError", "Failed", err.msg);
        return AC_ENOTFOUND;
    }
    if (cl_pod_mounts(&x, c->spec, &mounts, &err) != 0) {
        retry(c, "ContainerCreating", "FailedMount", err.msg);
        return AC_ENOTFOUND;
    }
    json_decref(c->mounts);
    c->mounts = mounts;
    ac_cleanup(ac_free_p) char *cdir = container_dir(c);
    int r = ac_dir_remove(cdir, &err);
    if (r == 0)
        r = ac_dir_create(cdir, 0755, &err);
    own(cdir, s);
    size_t i;
    json_t *m;
    json_array_foreach(mounts, i, m) if (r == 0) r = materialise(c, m, i, s, &err);
    if (r != 0) {
        retry(c, "CreateContainerError", "Failed", err.msg);
        return r;
    }
    json_decref(c->env);
    c->env = with_marks(c, env, image);
    return 0;
}

static int open_pipe(int fds[2])
{
    return pipe2(fds, O_CLOEXEC);
}

static void attach(struct rt_container *c, size_t i, int fd)
{
    struct rt_out *o = &c->out[i];
    rt_pipe_drop(o->pipe);
    ac_buf_reset(&o->line);
    o->pipe = rt_pipe_read(ac_loop_uv(c->pod->rt->loop), fd, on_output, o);
}

static void cannot_run(struct rt_container *c, const char *msg)
{
    /* As a container engine says it: an end with code 128, then back-off. */
    rt_note(c, "Warning", "Failed", msg);
    rt_log_line(&c->log, "stderr", msg, strlen(msg));
    c->began_ns = ac_now_ns();
    c->st.started_ns = ac_wall_ns();
    rt_container_exited(c, 128 << 8);
    ac_str_copy(c->st.last.reason, sizeof(c->st.last.reason), "StartError");
}

static void launch(struct rt_container *c, json_t *argv_json, struct rt_spawn *s)
{
    int out[2] = {-1, -1}, err_fd[2] = {-1, -1}, code = 0;
    char **argv = rt_argv(argv_json, c->mounts), **envp = rt_environ(c);
    ac_cleanup(ac_free_p) char *cdir = container_dir(c);
    ac_cleanup(ac_free_p) char *cwd =
        cl_rewrite_paths(js_str(c->spec, "workingDir", cdir), c->mounts);
    ac_cleanup(ac_free_p) char *path = argv[0] != NULL ? rt_program(c, argv[0]) : NULL;
    ac_cleanup(ac_free_p) char *msg = NULL;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    rt_log_open(&c->log, c->run);
    s->path = path;
    s->argv = argv;
    s->envp = envp;
    s->cwd = access(cwd, X_OK) == 0 ? cwd : cdir;
    s->in = null;
    pid_t pid = 0;
    if (path == NULL)
        msg = ac_xasprintf("exec: \"%s\": executable file not found in $PATH",
                           argv[0] != NULL ? argv[0] : "");
    else if (null < 0 || open_pipe(out) != 0 || open_pipe(err_fd) != 0)
        msg = ac_xasprintf("no file descriptors: %s", strerror(errno));
    s->out = out[1];
    s->err = err_fd[1];
    if (msg == NULL && rt_spawn(s, &pid, &code) != 0)
        msg = ac_xasprintf("exec: \"%s\": %s", argv[0], strerror(code));
    if (msg == NULL) {
        attach(c, 0, out[0]);
        attach(c, 1, err_fd[0]);
        out[0] = err_fd[0] = -1;
        c->pid = pid;
    }
    const int mine[] = {null, out[0], out[1], err_fd[0], err_fd[1]};
    for (size_t i = 0; i < AC_ARRAY_LEN(mine); i++)
        if (mine[i] >= 0)
            close(mine[i]);
    rt_strv_free(argv);
    rt_strv_free(envp);
    if (msg != NULL)
        cannot_run(c, msg);
}

void rt_container_start(struct rt_container *c)
{
    struct rt_pod *p = c->pod;
    struct rt_spawn s = {0};
    const json_t *image = cl_image_find(p->rt->o.images, c->st.image);
    ac_cleanup(ac_free_p) char *text = NULL;
    c->start_at_ns = 0;
    if (p->terminating || p->rt->stopping || c->pid != 0)
        return;
    if (image == NULL && !p->failing) {
        text = ac_xasprintf("Failed to pull image \"%.200s\": not in the image table", c->st.image);
        waiting(c, "ImagePullBackOff", text);
        rt_note(c, "Warning", "Failed", text);
        rt_note(c, "Warning", "BackOff", "Back-off pulling image");
        return;
    }
    rt_user_of(c, &s);
    c->paused = p->failing && !c->init;
    if (prepare(c, image, &s) != 0)
        return;
    if (c->run == 0) {
        text = ac_xasprintf("Container image \"%.200s\" already present on machine", c->st.image);
        rt_note(c, "Normal", "Pulled", text);
        free(text);
        text = NULL;
    }
    js_auto argv =
        c->paused ? json_pack("[s,s]", "sleep", "infinity") : cl_pod_argv(c->spec, image, c->env);
    c->began_ns = ac_now_ns();
    launch(c, argv, &s);
    c->run++;
    if (c->pid == 0)
        return;
    c->st.state = CL_C_RUNNING;
    c->st.started_ns = ac_wall_ns();
    snprintf(c->st.id, sizeof(c->st.id), "process://%d", (int)c->pid);
    text = ac_xasprintf("Started container %.100s", c->st.name);
    rt_note(c, "Normal", "Started", text);
    rt_probes_begin(c);
}

/* ---- end ---- */

void rt_container_stop(struct rt_container *c, int64_t grace_ns)
{
    const json_t *image = cl_image_find(c->pod->rt->o.images, c->st.image);
    int sig = ac_streq(js_str(image, "stopSignal", NULL), "INT") ? SIGINT : SIGTERM;
    c->start_at_ns = 0;
    if (c->pid == 0)
        return;
    int64_t at = ac_now_ns() + grace_ns;
    if (grace_ns <= 0 || c->paused)
        (void)kill(-c->pid, SIGKILL);
    else if (c->kill_at_ns == 0)
        (void)kill(-c->pid, sig);
    if (c->kill_at_ns == 0 || at < c->kill_at_ns)
        c->kill_at_ns = at;
}

struct cleaning {
    struct runtime *rt;
    char uid[40], name[100], mark[160];
};

static void clean_work(void *arg)
{
    const struct cleaning *cl = arg;
    const struct rt_match m = {RT_MARK_CONTAINER, cl->mark, NULL, NULL};
    (void)rt_kill_marked(&m);
}

static void clean_done(void *arg)
{
    struct cleaning *cl = arg;
    struct rt_container *c = rt_find(cl->rt, cl->uid, cl->name);
    if (c != NULL) {
        c->cleaning = false;
        rt_pod_step(c->pod);
    }
    free(cl);
}

static void set_term(struct rt_container *c, int wait_status)
{
    struct cl_cterm t = {.started_ns = c->st.started_ns, .finished_ns = ac_wall_ns()};
    if (WIFSIGNALED(wait_status)) {
        t.signal = WTERMSIG(wait_status);
        t.exit_code = 128 + t.signal;
    } else {
        t.exit_code = WEXITSTATUS(wait_status);
    }
    ac_str_copy(t.reason, sizeof(t.reason), t.exit_code == 0 ? "Completed" : "Error");
    c->st.term = t;
    c->st.state = CL_C_TERMINATED;
    c->st.ready = c->st.started = false;
}

static void plan_restart(struct rt_container *c)
{
    const struct runtime_opts *o = &c->pod->rt->o;
    int64_t now = ac_now_ns();
    char msg[200];
    if (now - c->began_ns > CALM_NS)
        c->crashes = 0;
    int64_t delay = c->paused ? 0 : cl_backoff_ns(c->crashes++, o->backoff_ns, o->backoff_max_ns);
    c->st.last = c->st.term;
    c->st.has_last = true;
    c->st.restarts++;
    c->start_at_ns = now + AC_MAX(delay, 1);
    snprintf(msg, sizeof(msg), "back-off %lldms restarting failed container=%.60s",
             (long long)(delay / AC_NS_PER_MS), c->st.name);
    waiting(c, delay > 0 ? "CrashLoopBackOff" : "ContainerCreating", delay > 0 ? msg : "");
    if (delay > 0)
        rt_note(c, "Warning", "BackOff", "Back-off restarting failed container");
}

void rt_container_exited(struct rt_container *c, int wait_status)
{
    struct rt_pod *p = c->pod;
    const char *policy = js_str(p->obj, "spec.restartPolicy", "Always");
    pid_t pid = c->pid;
    c->pid = 0;
    c->kill_at_ns = 0;
    rt_probes_end(c);
    set_term(c, wait_status);
    if (pid != 0) {
        (void)kill(-pid, SIGKILL);
        struct cleaning *cl = ac_xcalloc(1, sizeof(*cl));
        cl->rt = p->rt;
        ac_str_copy(cl->uid, sizeof(cl->uid), p->uid);
        ac_str_copy(cl->name, sizeof(cl->name), c->st.name);
        snprintf(cl->mark, sizeof(cl->mark), "%s/%.60s/%lld", p->uid, c->st.name,
                 (long long)(c->run - 1));
        c->cleaning = true;
        if (ac_worker_submit(p->rt->worker, clean_work, clean_done, cl) != 0) {
            c->cleaning = false;
            free(cl);
        }
    }
    if (c->init)
        policy = ac_streq(policy, "Never") ? "Never" : "OnFailure";
    if (!p->terminating && !p->rt->stopping &&
        (cl_restarts(policy, c->st.term.exit_code) || c->paused || p->failing))
        plan_restart(c);
    else
        rt_log_ended(&c->log);
    rt_pod_step(p);
}

void rt_container_tick(struct rt_container *c, int64_t now)
{
    if (c->pid != 0 && c->kill_at_ns != 0 && now >= c->kill_at_ns) {
        (void)kill(-c->pid, SIGKILL);
        c->kill_at_ns = now + AC_NS_PER_S;
    }
    if (c->pid == 0 && c->start_at_ns != 0 && now >= c->start_at_ns && !c->cleaning) {
        rt_container_start(c);
        rt_pod_step(c->pod);
        return;
    }
    if (c->pid != 0)
        rt_probe_tick(c, now);
}

void rt_container_fini(struct rt_container *c)
{
    rt_probes_end(c);
    for (size_t i = 0; i < AC_ARRAY_LEN(c->out); i++) {
        rt_pipe_drop(c->out[i].pipe);
        ac_buf_fini(&c->out[i].line);
    }
    rt_log_fini(&c->log);
    json_decref(c->env);
    json_decref(c->mounts);
}
