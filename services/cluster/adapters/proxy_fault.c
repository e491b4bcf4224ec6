/* Network faults: which flow is hit, and what happens to its data. */
#include "proxy_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include <aceso/log.h>

#define RTO_NS           (200 * AC_NS_PER_MS) /* first retransmission of a lost segment */
#define LOST_MAX         7                    /* then it is as good as cut: 25 s */
#define PROCESSES_OLD_NS (100 * AC_NS_PER_MS)

static bool listed(const json_t *uids, const char *uid)
{
    size_t i;
    json_t *v;
    json_array_foreach(uids, i, v) if (ac_streq(json_string_value(v), uid)) return true;
    return false;
}

/* Whether packets from src to dst meet the fault. */
static bool hits(const json_t *f, const char *src, const char *dst)
{
    const json_t *targets = js_at(f, "targets"), *sources = js_at(f, "sources");
    bool any = !json_is_array(targets);
    if (js_bool(f, "to", false) && listed(sources, src) && (any || listed(targets, dst)))
        return true;
    return js_bool(f, "from", false) && listed(sources, dst) && (any || listed(targets, src));
}

static void flow_faults(const json_t *faults, struct px_flow *fl, const char *src, const char *dst)
{
    size_t i;
    json_t *f;
    fl->faulty = fl->cut = false;
    fl->latency_ns = fl->jitter_ns = 0;
    fl->loss = 0;
    json_array_foreach(faults, i, f)
    {
        if (!hits(f, src, dst))
            continue;
        fl->faulty = true;
        fl->cut = fl->cut || js_bool(f, "partition", false);
        fl->latency_ns += js_int(f, "latency", 0);
        fl->jitter_ns += js_int(f, "jitter", 0);
        double loss = json_number_value(js_at(f, "loss"));
        fl->loss = 1 - (1 - fl->loss) * (1 - loss);
    }
}

/* Data that waits under the old faults: what was cut is sent again, what was slow hurries. */
static void reschedule(struct px_flow *f, int64_t now)
{
    for (struct px_chunk *c = f->head; c != NULL; c = c->next) {
        if (f->cut)
            c->due_ns = INT64_MAX;
        else if (c->due_ns > now + f->latency_ns + RTO_NS)
            c->due_ns = now + f->latency_ns + RTO_NS;
    }
    if (f->last_due_ns > now + f->latency_ns + RTO_NS)
        f->last_due_ns = now + f->latency_ns + RTO_NS;
}

void px_conn_faults(struct proxy *p, struct px_conn *c)
{
    const json_t *faults = js_at(p->plan, "faults");
    int64_t now = ac_now_ns();
    bool was_up = c->up.faulty, was_down = c->down.faulty;
    flow_faults(faults, &c->up, c->client_uid, c->server_uid);
    flow_faults(faults, &c->down, c->server_uid, c->client_uid);
    if (c->up.faulty || was_up)
        reschedule(&c->up, now);
    if (c->down.faulty || was_down)
        reschedule(&c->down, now);
}

void px_apply_faults(struct proxy *p)
{
    p->faults = json_array_size(js_at(p->plan, "faults")) > 0;
    /* Other pods may be named now than when a connection was looked at. */
    AC_LIST_FOREACH(n, &p->conns)
    {
        struct px_conn *c = AC_LIST_ENTRY(n, struct px_conn, node);
        c->resolved = c->client_uid[0] != '\0';
    }
    if (p->faults)
        px_resolve(p, true);
    AC_LIST_FOREACH(n, &p->conns)
    px_conn_faults(p, AC_LIST_ENTRY(n, struct px_conn, node));
}

int64_t px_due(struct proxy *p, struct px_flow *f, int64_t now)
{
    if (f->cut)
        return INT64_MAX;
    int64_t due = AC_MAX(now, f->earliest_ns) + f->latency_ns;
    if (f->jitter_ns > 0)
        due += (int64_t)((2 * ac_rng_uniform(&p->rng) - 1) * (double)f->jitter_ns);
    int64_t rto = RTO_NS;
    for (int i = 0; i < LOST_MAX && f->loss > 0 && ac_rng_uniform(&p->rng) < f->loss; i++) {
        due += rto;
        rto *= 2;
    }
    /* A stream stays in order: later data waits for what was lost. */
    due = AC_MAX(due, f->last_due_ns);
    f->last_due_ns = due;
    return due;
}

/* ---- whose socket is it ---- */

/* The socket of the client's end: its inode, 0 when it is gone. The kernel finds it by its
 * addresses in microseconds; /proc/net/tcp would list every socket of the machine for each new
 * connection. */
static unsigned find_inode(struct proxy *p, const struct px_conn *c)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 r;
    } ask = {.h = {.nlmsg_len = sizeof(ask),
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST},
             .r = {.sdiag_family = AF_INET,
                   .sdiag_protocol = IPPROTO_TCP,
                   .idiag_states = ~0U,
                   .id = {.idiag_sport = c->peer.sin_port,
                          .idiag_src = {c->peer.sin_addr.s_addr},
                          .idiag_dport = c->l->addr.sin_port,
                          .idiag_dst = {c->l->addr.sin_addr.s_addr},
                          .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};
    union {
        struct nlmsghdr h;
        char bytes[4096];
    } answer;
    if (p->diag < 0) {
        struct timeval limit = {.tv_usec = 100000};
        p->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (p->diag < 0) {
            AC_LOGE("proxy", "no_sock_diag", AC_KS("msg", strerror(errno)));
            return 0;
        }
        (void)setsockopt(p->diag, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    }
    ssize_t n = send(p->diag, &ask, sizeof(ask), 0) == sizeof(ask)
                    ? recv(p->diag, &answer, sizeof(answer), 0)
                    : -1;
    if (n < 0) { /* an answer that comes late must not be taken for the next one's */
        close(p->diag);
        p->diag = -1;
        return 0;
    }
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) ||
        answer.h.nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return 0;
    return ((const struct inet_diag_msg *)NLMSG_DATA(&answer.h))->idiag_inode;
}

static bool named(const json_t *faults, const char *uid)
{
    size_t i;
    json_t *f;
    json_array_foreach(faults, i, f)
    {
        if (listed(js_at(f, "sources"), uid) || listed(js_at(f, "targets"), uid))
            return true;
    }
    return false;
}

static void find_processes(struct proxy *p)
{
    const json_t *faults = js_at(p->plan, "faults");
    DIR *d = opendir("/proc");
    p->n_processes = 0;
    p->processes_ns = ac_now_ns();
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        struct px_process proc;
        int64_t pid;
        if (!ac_str_to_i64(e->d_name, &pid) || !runtime_pod_of_pid((int)pid, proc.uid) ||
            !named(faults, proc.uid))
            continue;
        proc.pid = (int)pid;
        ac_grow(&p->processes, &p->cap_processes, p->n_processes + 1, sizeof(proc));
        p->processes[p->n_processes++] = proc;
    }
    if (d != NULL)
        closedir(d);
}

/* How many connections are still nobody's. */
static size_t match_fds(struct proxy *p, const struct px_process *proc)
{
    char dir[40], link[64];
    size_t left = 0;
    snprintf(dir, sizeof(dir), "/proc/%d/fd", proc->pid);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        ssize_t k = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
        unsigned inode;
        if (k <= 0)
            continue;
        link[k] = '\0';
        if (sscanf(link, "socket:[%u]", &inode) != 1)
            continue;
        AC_LIST_FOREACH(node, &p->conns)
        {
            struct px_conn *c = AC_LIST_ENTRY(node, struct px_conn, node);
            if (!c->resolved && c->inode == inode && inode != 0)
                ac_str_copy(c->client_uid, sizeof(c->client_uid), proc->uid);
        }
    }
    if (d != NULL)
        closedir(d);
    AC_LIST_FOREACH(node, &p->conns)
    {
        struct px_conn *c = AC_LIST_ENTRY(node, struct px_conn, node);
        left += !c->resolved && c->inode != 0 && c->client_uid[0] == '\0';
    }
    return left;
}

static size_t match_all(struct proxy *p)
{
    size_t left = 1;
    for (size_t i = 0; i < p->n_processes && left > 0; i++)
        left = match_fds(p, &p->processes[i]);
    return left;
}

void px_resolve(struct proxy *p, bool fresh)
{
    AC_LIST_FOREACH(node, &p->conns)
    {
        struct px_conn *c = AC_LIST_ENTRY(node, struct px_conn, node);
        c->inode = c->resolved ? 0 : find_inode(p, c);
    }
    if (fresh)
        find_processes(p);
    /* Nobody's: of another pod, the load generator, a shell, or of a process that is new. */
    if (match_all(p) > 0 && ac_now_ns() - p->processes_ns > PROCESSES_OLD_NS) {
        find_processes(p);
        (void)match_all(p);
    }
    AC_LIST_FOREACH(node, &p->conns)
    AC_LIST_ENTRY(node, struct px_conn, node)->resolved = true;
}
