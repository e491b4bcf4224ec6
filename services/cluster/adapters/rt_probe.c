/* When containers are probed, and what follows. */
#include "rt_int.h"

#include <stdio.h>
#include <string.h>

#define EAGER_NS                                                                                   \
    (100 * AC_NS_PER_MS) /* between probes until a container is ready the first time               \
                          */

static const char *const names[RT_PROBES] = {"Readiness", "Liveness", "Startup"};
static const char *const fields[RT_PROBES] = {"readinessProbe", "livenessProbe", "startupProbe"};

void rt_probes_begin(struct rt_container *c)
{
    int64_t now = ac_now_ns();
    for (size_t i = 0; i < RT_PROBES; i++) {
        struct rt_probe *p = &c->probes[i];
        memset(p, 0, sizeof(*p));
        p->spec = c->paused ? NULL : js_at(c->spec, fields[i]);
        p->next_ns = now + js_int(p->spec, "initialDelaySeconds", 0) * AC_NS_PER_S + EAGER_NS / 2;
    }
    c->st.started = c->paused || c->probes[RT_STARTUP].spec == NULL;
    c->st.ready = !c->paused && c->st.started && c->probes[RT_READINESS].spec == NULL;
}

void rt_probes_end(struct rt_container *c)
{
    for (size_t i = 0; i < RT_PROBES; i++) {
        struct runtime_exec *x = c->probes[i].exec;
        c->probes[i].exec = NULL;
        if (x != NULL)
            runtime_exec_kill(x);
        c->probes[i].spec = NULL;
        c->probes[i].running = false;
    }
    c->st.ready = c->st.started = false;
}

static void liveness_failed(struct rt_container *c, const char *what)
{
    char msg[200];
    snprintf(msg, sizeof(msg), "Container %.60s failed %s probe, will be restarted", c->st.name,
             what);
    rt_note(c, "Normal", "Killing", msg);
    rt_container_stop(c,
                      js_int(c->pod->obj, "spec.terminationGracePeriodSeconds", 30) * AC_NS_PER_S);
}

static void failed(struct rt_container *c, enum rt_probe_kind k, const char *why)
{
    struct rt_probe *p = &c->probes[k];
    char msg[300];
    p->oks = 0;
    p->fails++;
    /* Not yet ready is no news; before the first success it is asked more often than the period. */
    if (k == RT_READINESS && !c->st.ready && p->fails > 1)
        return;
    snprintf(msg, sizeof(msg), "%s probe failed: %.200s", names[k], why);
    if (k != RT_READINESS || c->st.ready)
        rt_note(c, "Warning", "Unhealthy", msg);
    if (p->fails < js_int(p->spec, "failureThreshold", 3))
        return;
    if (k == RT_READINESS) {
        c->st.ready = false;
    } else {
        p->fails = 0;
        liveness_failed(c, k == RT_LIVENESS ? "liveness" : "startup");
    }
}

static void succeeded(struct rt_container *c, enum rt_probe_kind k)
{
    struct rt_probe *p = &c->probes[k];
    p->fails = 0;
    p->oks++;
    if (p->oks < js_int(p->spec, "successThreshold", 1))
        return;
    if (k == RT_STARTUP) {
        c->st.started = true;
        p->spec = NULL;
        c->st.ready = c->probes[RT_READINESS].spec == NULL;
    } else if (k == RT_READINESS) {
        c->st.ready = true;
    }
}

static void result(struct rt_container *c, enum rt_probe_kind k, bool ok, const char *why)
{
    struct rt_probe *p = &c->probes[k];
    bool ready = c->st.ready, started = c->st.started;
    p->running = false;
    if (p->spec == NULL)
        return;
    if (ok)
        succeeded(c, k);
    else
        failed(c, k, why);
    int64_t period = js_int(p->spec, "periodSeconds", 10) * AC_NS_PER_S;
    if (k == RT_READINESS && !c->st.ready)
        period = AC_MIN(period, EAGER_NS);
    if (k == RT_STARTUP)
        period = AC_MIN(period, 10 * EAGER_NS);
    p->next_ns = ac_now_ns() + period;
    if (ready != c->st.ready || started != c->st.started)
        rt_pod_step(c->pod);
}

/* ---- over the network ---- */

struct job {
    struct runtime *rt;
    char uid[40], name[100];
    int64_t run;
    enum rt_probe_kind kind;
    struct rt_net_probe net;
};

static void job_work(void *arg)
{
    struct job *j = arg;
    rt_net_probe_run(&j->net);
}

static void job_done(void *arg)
{
    struct job *j = arg;
    struct rt_container *c = rt_find(j->rt, j->uid, j->name);
    if (c != NULL && c->run == j->run && c->pid != 0)
        result(c, j->kind, j->net.ok, j->net.msg);
    free(j);
}

static int port_of(const struct rt_container *c, const json_t *v)
{
    if (json_is_integer(v))
        return (int)json_integer_value(v);
    const json_t *p = js_find(js_at(c->spec, "ports"), "name", json_string_value(v));
    return (int)js_int(p, "containerPort", 0);
}

static bool fill_net(const struct rt_container *c, const json_t *spec, struct rt_net_probe *n)
{
    const json_t *tcp = js_at(spec, "tcpSocket"), *http = js_at(spec, "httpGet");
    const json_t *grpc = js_at(spec, "grpc");
    const json_t *how = tcp != NULL ? tcp : http != NULL ? http : grpc;
    if (how == NULL)
        return false;
    n->kind = tcp != NULL ? RT_TCP : http != NULL ? RT_HTTP : RT_GRPC;
    ac_str_copy(n->host, sizeof(n->host), js_str(how, "host", c->pod->ip));
    ac_str_copy(n->path, sizeof(n->path), js_str(how, "path", "/"));
    ac_str_copy(n->service, sizeof(n->service), js_str(how, "service", ""));
    ac_str_copy(n->header_host, sizeof(n->header_host), n->host);
    n->port = port_of(c, js_at(how, "port"));
    n->timeout_ns = js_int(spec, "timeoutSeconds", 1) * AC_NS_PER_S;
    return true;
}

/* ---- by a command ---- */

struct exec_probe {
    struct job j;
    struct ac_buf said;
};

static void exec_out(int fd, const void *data, size_t len, void *arg)
{
    struct exec_probe *x = arg;
    (void)fd;
    if (x->said.len < 150)
        ac_buf_append(&x->said, data, AC_MIN(len, (size_t)150));
}

static void exec_ended(int code, void *arg)
{
    struct exec_probe *x = arg;
    struct rt_container *c = rt_find(x->j.rt, x->j.uid, x->j.name);
    if (c != NULL && c->run == x->j.run && c->pid != 0) {
        c->probes[x->j.kind].exec = NULL;
        result(c, x->j.kind, code == 0, ac_buf_str(&x->said));
    }
    ac_buf_fini(&x->said);
    free(x);
}

static void run_exec(struct rt_container *c, enum rt_probe_kind k, const struct job *j)
{
    struct rt_probe *p = &c->probes[k];
    struct ac_err err = AC_ERR_INIT;
    struct exec_probe *x = ac_xcalloc(1, sizeof(*x));
    x->j = *j;
    ac_buf_init(&x->said, 1024);
    char **argv = rt_argv(js_at(p->spec, "exec.command"), c->mounts);
    union {
        char **in;
        const char *const *out;
    } u = {.in = argv};
    struct runtime_exec_opts o = {.uid = j->uid,
                                  .container = j->name,
                                  .argv = u.out,
                                  .out = exec_out,
                                  .ended = exec_ended,
                                  .arg = x};
    p->exec_end_ns = ac_now_ns() + js_int(p->spec, "timeoutSeconds", 1) * AC_NS_PER_S;
    if (runtime_exec_start(c->pod->rt, &o, &p->exec, &err) != 0) {
        p->exec = NULL;
        ac_buf_fini(&x->said);
        free(x);
        result(c, k, false, err.msg);
    }
    rt_strv_free(argv);
}

static void run_probe(struct rt_container *c, enum rt_probe_kind k)
{
    struct job *j = ac_xcalloc(1, sizeof(*j));
    j->rt = c->pod->rt;
    ac_str_copy(j->uid, sizeof(j->uid), c->pod->uid);
    ac_str_copy(j->name, sizeof(j->name), c->st.name);
    j->run = c->run;
    j->kind = k;
    c->probes[k].running = true;
    if (fill_net(c, c->probes[k].spec, &j->net)) {
        if (ac_worker_submit(c->pod->rt->worker, job_work, job_done, j) == 0)
            return;
        c->probes[k].running = false;
    } else if (js_at(c->probes[k].spec, "exec") != NULL) {
        run_exec(c, k, j);
    } else {
        result(c, k, true, "");
    }
    free(j);
}

void rt_probe_tick(struct rt_container *c, int64_t now)
{
    for (enum rt_probe_kind k = RT_READINESS; k < RT_PROBES; k++) {
        struct rt_probe *p = &c->probes[k];
        if (p->exec != NULL && now >= p->exec_end_ns)
            runtime_exec_kill(p->exec);
        if (p->spec == NULL || p->running || now < p->next_ns)
            continue;
        if (k != RT_STARTUP && !c->st.started)
            continue;
        if (c->kill_at_ns == 0)
            run_probe(c, k);
    }
}
