/* The pods of the store and the pods that run, brought together. */
#include "runtime.h"

#include "rt_int.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <aceso/file.h>
#include <aceso/rng.h>

#include "core/chaos.h"

#define TICK_NS (50 * AC_NS_PER_MS)

struct rt_container *rt_find(struct runtime *rt, const char *uid, const char *container)
{
    struct rt_pod *p = ac_map_get(rt->pods, uid);
    for (size_t i = 0; p != NULL && i < p->n; i++)
        if (ac_streq(p->c[i].st.name, container))
            return &p->c[i];
    return NULL;
}

/* ---- status ---- */

void rt_pod_publish(struct rt_pod *p)
{
    struct ac_err err = AC_ERR_INIT;
    json_t *now = cl_store_get(p->rt->store, CL_POD, js_ns(p->obj), js_name(p->obj));
    if (p->gone || now == NULL || !ac_streq(js_uid(now), p->uid))
        return;
    struct cl_container_state *all = ac_xcalloc(p->n, sizeof(*all));
    for (size_t i = 0; i < p->n; i++)
        all[i] = p->c[i].st;
    const struct cl_pod_states st = {.init = all,
                                     .n_init = p->n_init,
                                     .main = all + p->n_init,
                                     .n_main = p->n - p->n_init,
                                     .pod_ip = p->ip,
                                     .host_ip = p->rt->o.host_ip,
                                     .now_ns = ac_wall_ns()};
    json_t *status = cl_pod_status(now, &st);
    free(all);
    if (json_equal(status, js_at(now, "status")))
        json_decref(status);
    else if (cl_store_set_status(p->rt->store, CL_POD, js_ns(p->obj), js_name(p->obj), status,
                                 &err) != 0)
        AC_LOGW("runtime", "status", AC_KERR(&err));
}

/* ---- a pod's life ---- */

static void pod_free(void *arg)
{
    struct rt_pod *p = arg;
    for (size_t i = 0; i < p->n; i++)
        rt_container_fini(&p->c[i]);
    json_decref(p->obj);
    free(p->c);
    free(p->dir);
    free(p);
}

static bool alive(const struct rt_pod *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->c[i].pid != 0 || p->c[i].cleaning)
            return true;
    return false;
}

static void remove_dirs(void *arg)
{
    struct ac_err err = AC_ERR_INIT;
    char **dirs = arg;
    for (size_t i = 0; dirs[i] != NULL; i++)
        if (ac_dir_remove(dirs[i], &err) != 0)
            AC_LOGW("runtime", "leftover", AC_KERR(&err));
}

static void free_dirs(void *arg)
{
    rt_strv_free(arg);
}

/* Everything has ended: out of the runtime, and out of the store when it was being deleted. */
static void bury(void *arg)
{
    struct rt_pod *p = arg;
    struct runtime *rt = p->rt;
    js_auto obj = json_incref(p->obj);
    char **dirs = ac_xcalloc(3, sizeof(*dirs));
    dirs[0] = ac_xstrdup(p->dir);
    dirs[1] = ac_xasprintf("%s/%s", rt->logs_dir, p->uid);
    json_t *now = cl_store_get(rt->store, CL_POD, js_ns(obj), js_name(obj));
    bool drop = now != NULL && ac_streq(js_uid(now), p->uid);
    ac_map_remove(rt->pods, js_uid(obj));
    if (drop)
        cl_store_drop(rt->store, CL_POD, js_ns(obj), js_name(obj));
    if (ac_worker_submit(rt->worker, remove_dirs, free_dirs, dirs) != 0)
        free_dirs(dirs);
}

static void maybe_stopped(struct runtime *rt);

void rt_pod_step(struct rt_pod *p)
{
    struct runtime *rt = p->rt;
    if (p->gone)
        return;
    if (rt->stopping) {
        maybe_stopped(rt);
        return;
    }
    if (p->terminating) {
        rt_pod_publish(p);
        if (!alive(p)) {
            p->gone = true;
            ac_loop_post(rt->loop, bury, p);
        }
        return;
    }
    /* Init containers one after the other, then the rest together. */
    size_t i = 0;
    for (; i < p->n_init; i++) {
        struct rt_container *c = &p->c[i];
        if (c->st.state == CL_C_TERMINATED && c->st.term.exit_code == 0)
            continue;
        if (c->run == 0 && c->pid == 0 && c->start_at_ns == 0)
            c->start_at_ns = 1;
        break;
    }
    for (; i >= p->n_init && i < p->n; i++)
        if (p->c[i].run == 0 && p->c[i].pid == 0 && p->c[i].start_at_ns == 0 &&
            !ac_streq(p->c[i].st.reason, "ImagePullBackOff"))
            p->c[i].start_at_ns = 1;
    rt_pod_publish(p);
}

static void init_container(struct rt_pod *p, struct rt_container *c, const json_t *spec, bool init)
{
    static const char *const streams[] = {"stdout", "stderr"};
    const json_t *old =
        js_find(js_at(p->obj, init ? "status.initContainerStatuses" : "status.containerStatuses"),
                "name", js_str(spec, "name", ""));
    c->pod = p;
    c->spec = spec;
    c->init = init;
    c->st.name = js_str(spec, "name", "");
    c->st.image = js_str(spec, "image", "");
    c->st.state = CL_C_WAITING;
    ac_str_copy(c->st.reason, sizeof(c->st.reason),
                p->n_init > 0 && !init ? "PodInitializing" : "ContainerCreating");
    ac_cleanup(ac_free_p) char *dir = ac_xasprintf("%s/%s/%s", p->rt->logs_dir, p->uid, c->st.name);
    rt_log_init(&c->log, dir, p->rt->o.log_bytes);
    for (size_t i = 0; i < 2; i++) {
        c->out[i].c = c;
        c->out[i].stream = streams[i];
        ac_buf_init(&c->out[i].line, 32768);
    }
    if (old == NULL ||
        (js_at(old, "state.running") == NULL && js_at(old, "lastState.terminated") == NULL))
        return;
    /* It ran under an earlier life of this process, which took it along. */
    c->st.restarts = js_int(old, "restartCount", 0) + 1;
    c->run = c->st.restarts;
    c->log.run = c->run - 1;
    c->start_at_ns = 1;
    c->st.has_last = true;
    c->st.last =
        (struct cl_cterm){.exit_code = 137,
                          .signal = 9,
                          .started_ns = js_time_ns(js_str(old, "state.running.startedAt", "")),
                          .finished_ns = ac_wall_ns()};
    ac_str_copy(c->st.last.reason, sizeof(c->st.last.reason), "ContainerStatusUnknown");
}

static bool ip_usable(struct runtime *rt, const json_t *pod)
{
    char prefix[16];
    const char *ip = js_str(pod, "status.podIP", NULL);
    snprintf(prefix, sizeof(prefix), "127.%u.", rt->o.net->net);
    return ip != NULL && ac_str_starts(ip, prefix);
}

static void adopt(struct runtime *rt, json_t *obj)
{
    struct ac_err err = AC_ERR_INIT;
    struct rt_pod *p = ac_xcalloc(1, sizeof(*p));
    const json_t *init = js_at(obj, "spec.initContainers"), *main = js_at(obj, "spec.containers");
    p->rt = rt;
    p->obj = json_incref(obj);
    ac_str_copy(p->uid, sizeof(p->uid), js_uid(obj));
    p->dir = ac_xasprintf("%s/%s", rt->pods_dir, p->uid);
    if (ip_usable(rt, obj))
        ac_str_copy(p->ip, sizeof(p->ip), js_str(obj, "status.podIP", ""));
    else if (cl_net_pod_ip(rt->o.net, rt->store, p->ip, &err) != 0)
        AC_LOGE("runtime", "no_address", AC_KERR(&err));
    if (ac_dir_create(p->dir, 0755, &err) != 0)
        AC_LOGE("runtime", "no_directory", AC_KERR(&err));
    p->n_init = json_array_size(init);
    p->n = p->n_init + json_array_size(main);
    p->c = ac_xcalloc(p->n, sizeof(*p->c));
    p->failing = cl_chaos_pod_failure(rt->store, p->uid);
    for (size_t i = 0; i < p->n; i++)
        init_container(p, &p->c[i],
                       i < p->n_init ? json_array_get(init, i)
                                     : json_array_get(main, i - p->n_init),
                       i < p->n_init);
    ac_map_set(rt->pods, p->uid, p);
    rt_pod_step(p);
}

static void terminate(struct rt_pod *p, const json_t *now)
{
    int64_t grace = js_int(now, "metadata.deletionGracePeriodSeconds", 0) * AC_NS_PER_S;
    bool first = !p->terminating;
    p->terminating = true;
    for (size_t i = 0; i < p->n; i++) {
        struct rt_container *c = &p->c[i];
        if (first && c->pid != 0) {
            ac_cleanup(ac_free_p) char *msg = ac_xasprintf("Stopping container %.100s", c->st.name);
            rt_note(c, "Normal", "Killing", msg);
        }
        rt_container_stop(c, grace);
    }
    if (first || !alive(p))
        rt_pod_step(p);
}

/* A pod-failure begins or ends: what runs is killed, and comes back as the other thing. */
static void set_failing(struct rt_pod *p, bool failing)
{
    if (p->failing == failing)
        return;
    p->failing = failing;
    for (size_t i = p->n_init; i < p->n; i++) {
        struct rt_container *c = &p->c[i];
        c->crashes = 0;
        if (c->pid != 0)
            (void)kill(-c->pid, SIGKILL);
        else if (c->start_at_ns != 0)
            c->start_at_ns = 1;
    }
}

static void sync_pod(struct runtime *rt, json_t *obj)
{
    struct rt_pod *p = ac_map_get(rt->pods, js_uid(obj));
    if (js_str(obj, "spec.nodeName", NULL) == NULL)
        return;
    if (p == NULL) {
        if (js_deleting(obj))
            cl_store_drop(rt->store, CL_POD, js_ns(obj), js_name(obj));
        else if (!cl_pod_ended(obj) && (int64_t)ac_map_len(rt->pods) < rt->o.max_pods)
            adopt(rt, obj);
        return;
    }
    if (p->gone)
        return;
    if (js_deleting(obj))
        terminate(p, obj);
    else
        set_failing(p, cl_chaos_pod_failure(rt->store, p->uid));
}

void runtime_sync(struct runtime *rt)
{
    json_t *o;
    const char *uid;
    void *v;
    if (rt->stopping)
        return;
    for (size_t it = 0; (o = cl_store_next(rt->store, CL_POD, NULL, &it)) != NULL;) {
        js_auto held = json_incref(o);
        sync_pod(rt, held);
    }
    for (size_t it = 0; ac_map_next(rt->pods, &it, &uid, &v);) {
        struct rt_pod *p = v;
        const json_t *now = cl_store_get(rt->store, CL_POD, js_ns(p->obj), js_name(p->obj));
        if (!p->gone && (now == NULL || !ac_streq(js_uid(now), uid)))
            terminate(p, NULL);
    }
}

/* ---- children and time ---- */

static void child_exited(struct runtime *rt, pid_t pid, int status)
{
    const char *uid;
    void *v;
    for (size_t it = 0; ac_map_next(rt->pods, &it, &uid, &v);) {
        struct rt_pod *p = v;
        for (size_t i = 0; i < p->n; i++)
            if (p->c[i].pid == pid) {
                rt_container_exited(&p->c[i], status);
                return;
            }
    }
    rt_exec_exited(rt, pid, status);
}

static void on_child(int signum, void *arg)
{
    struct runtime *rt = arg;
    int status;
    pid_t pid;
    (void)signum;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_exited(rt, pid, status);
}

static void on_tick(void *arg)
{
    struct runtime *rt = arg;
    int64_t now = ac_now_ns();
    const char *uid;
    void *v;
    on_child(SIGCHLD, rt);
    for (size_t it = 0; ac_map_next(rt->pods, &it, &uid, &v);) {
        struct rt_pod *p = v;
        for (size_t i = 0; i < p->n && !p->gone; i++)
            rt_container_tick(&p->c[i], now);
    }
    if (rt->stopping)
        maybe_stopped(rt);
}

/* ---- the whole ---- */

static int start_guard(struct runtime *rt, struct ac_err *err)
{
    int fds[2], code = 0;
    char guard[] = "guard", run[40];
    char exe[] = "/proc/self/exe";
    char *argv[] = {exe, guard, run, NULL}, *envp[] = {NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ac_str_copy(run, sizeof(run), rt->run_id);
    if (null < 0 || pipe2(fds, O_CLOEXEC) != 0)
        return ac_err_errno(err, errno, "guard");
    pid_t pid = vfork();
    if (pid == 0) {
        if (dup2(fds[0], 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
            _exit(127);
        (void)syscall(SYS_close_range, 3U, ~0U, 4U);
        execve(exe, argv, envp);
        _exit(127);
    }
    (void)code;
    close(fds[0]);
    close(null);
    rt->guard_fd = fds[1];
    return pid > 0 ? 0 : ac_err_errno(err, errno, "guard");
}

static int make_dirs(struct runtime *rt, struct ac_err *err)
{
    const char *base = rt->o.base_dir;
    rt->pods_dir = ac_xasprintf("%s/pods", base);
    rt->cache_dir = ac_xasprintf("%s/cache", base);
    rt->logs_dir = ac_xasprintf("%s/logs", rt->o.state_dir);
    int r = ac_dir_create(rt->pods_dir, 0711, err);
    if (r == 0)
        r = ac_dir_create(rt->cache_dir, 0777, err);
    if (r == 0)
        r = ac_dir_create(rt->logs_dir, 0700, err);
    if (r == 0 && (chmod(rt->cache_dir, 01777) != 0 || chmod(rt->pods_dir, 0711) != 0))
        r = ac_err_errno(err, errno, "%s", rt->cache_dir);
    return r;
}

int runtime_create(struct ac_loop *l, struct cl_store *s, const struct runtime_opts *o,
                   struct runtime **ret, struct ac_err *err)
{
    struct runtime *rt = ac_xcalloc(1, sizeof(*rt));
    uint8_t rnd[16];
    rt->loop = l;
    rt->store = s;
    rt->o = *o;
    rt->guard_fd = -1;
    rt->pods = ac_map_create(pod_free);
    ac_list_init(&rt->execs);
    ac_random_bytes(rnd, sizeof(rnd));
    for (size_t i = 0; i < sizeof(rnd); i++)
        snprintf(rt->run_id + 2 * i, 3, "%02x", rnd[i]);
    int r = make_dirs(rt, err);
    if (r == 0)
        r = start_guard(rt, err);
    if (r != 0) {
        runtime_destroy(rt);
        return r;
    }
    const struct rt_match leftovers = {RT_MARK_CLUSTER, o->cluster_id, RT_MARK_RUN, rt->run_id};
    size_t n = rt_kill_marked(&leftovers);
    if (n > 0)
        AC_LOGI("runtime", "leftovers_killed", AC_KI("processes", n));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    rt->worker = ac_worker_create(l, "runtime", 4, 4096);
    rt->tick = ac_timer_create(l, on_tick, rt);
    ac_timer_start(rt->tick, TICK_NS, TICK_NS);
    ac_loop_on_signal(l, SIGCHLD, on_child, rt);
    *ret = rt;
    return 0;
}

static void maybe_stopped(struct runtime *rt)
{
    const char *uid;
    void *v;
    bool any = !ac_list_empty(&rt->execs);
    for (size_t it = 0; ac_map_next(rt->pods, &it, &uid, &v);)
        any = any || alive(v);
    if ((any && ac_now_ns() < rt->stop_deadline_ns) || rt->stopped == NULL)
        return;
    ac_loop_fn fn = rt->stopped;
    rt->stopped = NULL;
    ac_loop_post(rt->loop, fn, rt->stopped_arg);
}

void runtime_stop(struct runtime *rt, int64_t grace_ns, ac_loop_fn done, void *arg)
{
    const char *uid;
    void *v;
    rt->stopping = true;
    rt->stopped = done;
    rt->stopped_arg = arg;
    rt->stop_deadline_ns = ac_now_ns() + grace_ns + AC_NS_PER_S;
    rt_execs_kill(rt);
    for (size_t it = 0; ac_map_next(rt->pods, &it, &uid, &v);) {
        struct rt_pod *p = v;
        for (size_t i = 0; i < p->n; i++)
            rt_container_stop(&p->c[i], grace_ns);
    }
    maybe_stopped(rt);
}

void runtime_destroy(struct runtime *rt)
{
    if (rt == NULL)
        return;
    rt->stopping = true;
    ac_timer_destroy(rt->tick);
    if (rt->worker != NULL)
        ac_worker_destroy(rt->worker);
    const struct rt_match m = {RT_MARK_RUN, rt->run_id, NULL, NULL};
    if (rt->worker != NULL)
        (void)rt_kill_marked(&m);
    ac_map_destroy(rt->pods);
    if (rt->guard_fd >= 0)
        close(rt->guard_fd);
    free(rt->pods_dir);
    free(rt->cache_dir);
    free(rt->logs_dir);
    free(rt);
}

size_t runtime_procs(struct runtime *rt, struct runtime_proc **ret)
{
    size_t n = 0, cap = 0;
    const char *uid;
    void *v;
    struct runtime_proc *list = NULL;
    for (size_t it = 0; ac_map_next(rt->pods, &it, &uid, &v);) {
        struct rt_pod *p = v;
        const char *app = js_label(p->obj, "app");
        for (size_t i = p->n_init; i < p->n && !p->gone; i++) {
            ac_grow(&list, &cap, n + 1, sizeof(*list));
            struct runtime_proc *o = &list[n++];
            memset(o, 0, sizeof(*o));
            ac_str_copy(o->uid, sizeof(o->uid), uid);
            ac_str_copy(o->pod, sizeof(o->pod), js_name(p->obj));
            ac_str_copy(o->ns, sizeof(o->ns), js_ns(p->obj));
            ac_str_copy(o->app, sizeof(o->app), app != NULL ? app : "");
            ac_str_copy(o->container, sizeof(o->container), p->c[i].st.name);
            o->pid = (int)p->c[i].pid;
            o->restarts = p->c[i].st.restarts;
            o->ready = p->c[i].pid != 0 && p->c[i].st.ready;
        }
    }
    *ret = list;
    return n;
}
