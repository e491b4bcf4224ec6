/* Network faults: which flow is hit, and what happens to its data. */
#include "proxy_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>

#define RTO_NS     (200 * AC_NS_PER_MS) /* first retransmission of a lost segment */
#define LOST_MAX   7                    /* then it is as good as cut: 25 s */
#define TCP_TABLE  (8u << 20)
#define WANTED_MAX 4096

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
    if (p->faults)
        px_resolve(p);
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

struct wanted {
    unsigned long inode;
    struct px_conn *c;
};

static char *read_all(const char *path, size_t max, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0, cap = 65536;
    if (fd < 0)
        return NULL;
    char *buf = ac_xmalloc(cap + 1);
    for (ssize_t r; n < max && (r = read(fd, buf + n, cap - n)) > 0;) {
        n += (size_t)r;
        if (n == cap) {
            cap *= 2;
            buf = ac_xrealloc(buf, cap + 1);
        }
    }
    close(fd);
    buf[n] = '\0';
    *ret_len = n;
    return buf;
}

/* A row "  n: LOCAL:PORT REMOTE:PORT ST ... inode": the client's end is local there. */
static size_t find_inodes(struct proxy *p, struct wanted *w, size_t max)
{
    size_t n = 0, len = 0;
    ac_cleanup(ac_free_p) char *text = read_all("/proc/net/tcp", TCP_TABLE, &len);
    char *rest = text;
    for (char *line; rest != NULL && n < max && (line = ac_str_next(&rest, '\n')) != NULL;) {
        unsigned la, lp, ra, rp;
        unsigned long inode;
        if (sscanf(line, " %*d: %8X:%4X %8X:%4X %*X %*s %*s %*s %*u %*u %lu", &la, &lp, &ra, &rp,
                   &inode) != 5)
            continue;
        AC_LIST_FOREACH(node, &p->conns)
        {
            struct px_conn *c = AC_LIST_ENTRY(node, struct px_conn, node);
            if (c->resolved || c->peer.sin_addr.s_addr != la || ntohs(c->peer.sin_port) != lp ||
                c->l->addr.sin_addr.s_addr != ra || ntohs(c->l->addr.sin_port) != rp)
                continue;
            w[n++] = (struct wanted){inode, c};
            break;
        }
    }
    return n;
}

static void match_fds(int pid, const char *uid, struct wanted *w, size_t n)
{
    char dir[40], link[64];
    snprintf(dir, sizeof(dir), "/proc/%d/fd", pid);
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        ssize_t k = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
        unsigned long inode;
        if (k <= 0)
            continue;
        link[k] = '\0';
        if (sscanf(link, "socket:[%lu]", &inode) != 1)
            continue;
        for (size_t i = 0; i < n; i++)
            if (w[i].inode == inode)
                ac_str_copy(w[i].c->client_uid, sizeof(w[i].c->client_uid), uid);
    }
    closedir(d);
}

void px_resolve(struct proxy *p)
{
    struct wanted *w = ac_xcalloc(WANTED_MAX, sizeof(*w));
    size_t n = find_inodes(p, w, WANTED_MAX);
    DIR *d = n > 0 ? opendir("/proc") : NULL;
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char uid[40];
        int64_t pid;
        if (ac_str_to_i64(e->d_name, &pid) && runtime_pod_of_pid((int)pid, uid))
            match_fds((int)pid, uid, w, n);
    }
    if (d != NULL)
        closedir(d);
    /* What was not found is not of a pod: the load generator, a shell. */
    AC_LIST_FOREACH(node, &p->conns)
    AC_LIST_ENTRY(node, struct px_conn, node)->resolved = true;
    free(w);
}
