#include "telemetry.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <dirent.h>
#include <fcntl.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/str.h>

#include "core/otlp.h"

#define METHOD "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

/* CPU time of a container as of the last round. */
struct before {
    char key[400];
    double cpu_s;
    int64_t at_ns;
};

struct machine { /* CPU time that was used, memory that is */
    double cpu_s, memory;
};

struct telemetry {
    struct ac_svc *s;
    struct runtime *rt;
    struct ac_rpc_channel *ch;
    struct ac_timer *timer;
    struct ac_worker *worker;
    struct before *before; /* the worker's, one round at a time */
    size_t n_before;
    struct machine machine_before; /* also the worker's */
    int64_t measured_ns;
    struct telemetry_row *rows; /* of the last round, as all below */
    size_t n_rows;
    double node_cpu, node_memory;
    int64_t wall_ns, period_ns;
    bool busy, sending;
    uint64_t failed;
};

struct round {
    struct telemetry *t;
    struct runtime_proc *procs;
    size_t n;
    struct telemetry_row *rows;
    double node_cpu, node_memory;
    int64_t wall_ns;
    struct ac_buf msg;
};

struct stat_of {
    int ppid, session;
    double cpu_s;
    double rss;
};

/* pid (comm) state ppid pgrp session ... utime stime cutime cstime ... rss: comm may hold anything.
 */
static bool read_stat(int pid, struct stat_of *ret)
{
    char path[40], buf[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    close(fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    const char *p = strrchr(buf, ')');
    unsigned long long ut, st, cut, cst;
    long long rss;
    if (p == NULL || sscanf(p + 1,
                            " %*c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d "
                            "%*d %*d %*d %*u %*u %lld",
                            &ret->ppid, &ret->session, &ut, &st, &cut, &cst, &rss) != 7)
        return false;
    double hz = (double)sysconf(_SC_CLK_TCK);
    ret->cpu_s = (double)(ut + st + cut + cst) / hz;
    ret->rss = (double)rss * (double)sysconf(_SC_PAGESIZE);
    return true;
}

struct usage {
    double cpu_s, memory;
};

/* Index of the container that a process belongs to: by its session, or its parent's (servers put
 * their children in sessions of their own); n when it is none of ours. */
static size_t owner(const struct round *r, const struct stat_of *st)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->procs[i].pid != 0 && (r->procs[i].pid == st->session || r->procs[i].pid == st->ppid))
            return i;
    return r->n;
}

static void measure(const struct round *r, struct usage *u)
{
    DIR *d = opendir("/proc");
    if (d == NULL)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        int64_t pid;
        struct stat_of st;
        if (!ac_str_to_i64(e->d_name, &pid) || !read_stat((int)pid, &st))
            continue;
        size_t i = owner(r, &st);
        if (i == r->n)
            continue;
        u[i].cpu_s += st.cpu_s;
        u[i].memory += st.rss;
    }
    closedir(d);
}

static double utilization(struct telemetry *t, const char *key, double cpu_s, int64_t now)
{
    for (size_t i = 0; i < t->n_before; i++) {
        struct before *b = &t->before[i];
        if (!ac_streq(b->key, key))
            continue;
        double v = (cpu_s - b->cpu_s) / ((double)(now - b->at_ns) / 1e9);
        return v > 0 ? v : 0;
    }
    return 0;
}

/* The first line of /proc/stat (user nice system idle iowait irq softirq ...) and /proc/meminfo. */
static struct machine look_at_machine(void)
{
    struct machine m = {0};
    char line[256];
    double user, nice, sys, idle, iowait, irq, soft, steal, total = 0, available = 0;
    FILE *f = fopen("/proc/stat", "re");
    if (f != NULL && fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &sys, &idle,
                            &iowait, &irq, &soft, &steal) == 8)
        m.cpu_s = (user + nice + sys + irq + soft) / (double)sysconf(_SC_CLK_TCK);
    if (f != NULL)
        (void)fclose(f);
    f = fopen("/proc/meminfo", "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        (void)sscanf(line, "MemTotal: %lf", &total);
        (void)sscanf(line, "MemAvailable: %lf", &available);
    }
    if (f != NULL)
        (void)fclose(f);
    m.memory = (total - available) * 1024;
    return m;
}

static void measure_machine(struct round *r, int64_t now)
{
    struct telemetry *t = r->t;
    struct machine m = look_at_machine();
    double seconds = (double)(now - t->measured_ns) / 1e9;
    r->node_memory = m.memory;
    if (t->measured_ns != 0 && m.cpu_s >= t->machine_before.cpu_s && seconds > 0)
        r->node_cpu = (m.cpu_s - t->machine_before.cpu_s) / seconds;
    t->machine_before = m;
    t->measured_ns = now;
}

static void work(void *arg)
{
    struct round *r = arg;
    struct telemetry *t = r->t;
    int64_t now = ac_now_ns(), wall = ac_wall_ns();
    measure_machine(r, now);
    r->wall_ns = wall;
    r->rows = ac_xcalloc(r->n + 1, sizeof(*r->rows));
    struct usage *u = ac_xcalloc(r->n + 1, sizeof(*u));
    struct before *next = ac_xcalloc(r->n + 1, sizeof(*next));
    struct cl_otlp_row *rows = ac_xcalloc(r->n + 1, sizeof(*rows));
    measure(r, u);
    for (size_t i = 0; i < r->n; i++) {
        const struct runtime_proc *p = &r->procs[i];
        snprintf(next[i].key, sizeof(next[i].key), "%s/%s/%d", p->uid, p->container, p->pid);
        next[i].cpu_s = u[i].cpu_s;
        next[i].at_ns = now;
        rows[i] = (struct cl_otlp_row){.ns = p->ns,
                                       .service = p->app,
                                       .pod = p->pod,
                                       .cpu = utilization(t, next[i].key, u[i].cpu_s, now),
                                       .memory = u[i].memory,
                                       .restarts = p->restarts,
                                       .ready = p->ready};
        r->rows[i] = (struct telemetry_row){*p, rows[i].cpu, rows[i].memory};
    }
    free(t->before);
    t->before = next;
    t->n_before = r->n;
    if (t->ch != NULL && r->n > 0)
        cl_otlp_encode(rows, r->n, wall, &r->msg);
    free(rows);
    free(u);
}

static void sent(const struct ac_rpc_result *res, void *arg)
{
    struct telemetry *t = arg;
    t->sending = false;
    if (res->code != AC_OK && t->failed++ == 0)
        AC_LOGW("telemetry", "not_sent", AC_KS("err", ac_err_name(res->code)),
                AC_KS("msg", res->message));
    else if (res->code == AC_OK)
        t->failed = 0;
}

static void done(void *arg)
{
    struct round *r = arg;
    struct telemetry *t = r->t;
    const struct ac_rpc_call_opts o = {.timeout_ns = 2 * AC_NS_PER_S};
    t->busy = false;
    if (!r->msg.failed && r->msg.len > 0 && !t->sending && t->ch != NULL) {
        t->sending = true;
        (void)ac_rpc_unary_raw(t->ch, METHOD, r->msg.data, r->msg.len, &o, sent, t);
    }
    if (r->rows != NULL) { /* not dropped unmeasured */
        free(t->rows);
        t->rows = r->rows;
        t->n_rows = r->n;
        t->node_cpu = r->node_cpu;
        t->node_memory = r->node_memory;
        t->wall_ns = r->wall_ns;
    }
    ac_buf_fini(&r->msg);
    free(r->procs);
    free(r);
}

void telemetry_last(const struct telemetry *t, struct telemetry_usage *ret)
{
    *ret = (struct telemetry_usage){t->rows,        t->n_rows,  t->node_cpu,
                                    t->node_memory, t->wall_ns, t->period_ns};
}

static void on_tick(void *arg)
{
    struct telemetry *t = arg;
    if (t->busy)
        return;
    struct round *r = ac_xcalloc(1, sizeof(*r));
    r->t = t;
    r->n = runtime_procs(t->rt, &r->procs);
    ac_buf_init(&r->msg, 4u << 20);
    t->busy = true;
    if (ac_worker_submit(t->worker, work, done, r) != 0)
        done(r);
}

int telemetry_open(struct ac_svc *s, struct runtime *rt, const char *collector, int64_t period_ns,
                   struct telemetry **ret, struct ac_err *err)
{
    (void)err;
    struct telemetry *t = ac_xcalloc(1, sizeof(*t));
    t->s = s;
    t->rt = rt;
    t->ch = ac_str_empty(collector) ? NULL : ac_svc_channel(s, collector);
    t->period_ns = period_ns;
    t->worker = ac_worker_create(s->loop, "telemetry", 1, 4);
    t->timer = ac_timer_create(s->loop, on_tick, t);
    ac_timer_start(t->timer, period_ns, period_ns);
    *ret = t;
    return 0;
}

void telemetry_close(struct telemetry *t)
{
    if (t == NULL)
        return;
    ac_timer_destroy(t->timer);
    ac_worker_destroy(t->worker);
    struct ac_rpc_channel *ch = t->ch;
    t->ch = NULL;
    if (ch != NULL)
        ac_rpc_channel_destroy(ch);
    free(t->before);
    free(t->rows);
    free(t);
}
