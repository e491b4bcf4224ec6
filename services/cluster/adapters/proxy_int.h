/* Inside of the proxy. The proxy's thread owns all of it but what stands under the lock. */
#pragma once

#include "proxy.h"

#include <pthread.h>
#include <stdatomic.h>

#include <netinet/in.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/list.h>
#include <aceso/map.h>
#include <aceso/rng.h>
#include <aceso/str.h>

#include "core/js.h"

#define PX_CHUNK     (64u * 1024)
#define PX_QUEUE_MAX (1u << 20) /* bytes held in a direction before reading stops */

struct px_chunk {
    struct px_chunk *next;
    int64_t due_ns; /* monotonic; INT64_MAX while partitioned */
    size_t at, len; /* len 0 = end of the stream */
    char data[];
};

/* One direction of a connection. */
struct px_flow {
    int from, to; /* descriptors */
    struct px_chunk *head, *tail;
    size_t queued;
    bool in_ended, out_ended; /* read to its end; end passed on */
    bool want_in, want_out;   /* as last told to epoll: reading from, writing to */
    int64_t last_due_ns, earliest_ns;
    /* What the network does to it, by the present plan. */
    bool faulty, cut;
    int64_t latency_ns, jitter_ns;
    double loss;
};

struct px_process {
    int pid;
    char uid[40]; /* of its pod */
};

struct px_conn;
struct px_end { /* what epoll hands back */
    enum {
        PX_LISTENER,
        PX_CLIENT,
        PX_SERVER,
        PX_WAKE
    } kind;
    void *owner;
};

struct px_target {
    struct sockaddr_in addr;
    char uid[40];
};

struct px_listener {
    struct px_end end;
    char key[32];
    struct sockaddr_in addr;
    int fd; /* -1 while there is no target: then the kernel refuses, as it should */
    size_t n, next;
    struct px_target *targets;
    bool seen;
};

struct px_conn {
    struct ac_list node;
    struct px_end client_end, server_end;
    struct px_listener *l;
    int client, server; /* -1 = closed or not yet */
    struct sockaddr_in peer;
    struct px_flow up, down; /* client to server, server to client */
    char client_uid[40], server_uid[40];
    unsigned inode; /* of the client's socket, while it is looked for */
    bool resolved, connecting, dead;
    size_t tries;
};

struct proxy {
    struct cl_store *store; /* loop thread */
    struct runtime *runtime;
    json_t *last; /* loop thread: plan handed over last */
    pthread_t thread;
    bool running;
    int epoll, wake;
    pthread_mutex_t lock;
    json_t *pending; /* under lock */
    atomic_bool stop;
    /* the proxy's thread */
    struct px_end wake_end;
    json_t *plan;
    struct ac_map *listeners; /* key -> px_listener */
    struct ac_list conns;
    size_t n_conns;
    bool faults;
    int diag;                     /* netlink socket that tells a connection's inode; -1 = not yet */
    struct px_process *processes; /* of the pods that the faults name */
    size_t n_processes, cap_processes;
    int64_t processes_ns; /* when they were looked up */
    struct ac_rng rng;
    struct ac_metric *m_conns, *m_open, *m_bytes;
    char scratch[PX_CHUNK];
};

/** Sets the flows' faults from the plan; finds out whose the client is where that matters. */
void px_apply_faults(struct proxy *p);
void px_conn_faults(struct proxy *p, struct px_conn *c);
/** Fills client_uid of the connections that are not resolved and whose client is a pod that the
 * faults name. fresh: the processes of those pods are looked up anew. */
void px_resolve(struct proxy *p, bool fresh);
/** When a piece of data that arrives now may be passed on. */
int64_t px_due(struct proxy *p, struct px_flow *f, int64_t now);
