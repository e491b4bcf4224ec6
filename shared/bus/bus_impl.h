/* Internals of the bus. Library threads copy and post; everything else is the loop thread's, except
 * what mu guards. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <nats/nats.h>

#include <aceso/base.h>
#include <aceso/bus.h>
#include <aceso/list.h>
#include <aceso/map.h>

#define AC_BUS_MAX_PENDING  8192 /* requests and publishes that wait for an answer */
#define AC_BUS_ACK_WAIT_NS  (5 * 1000000000LL)
#define AC_BUS_SWEEP_NS     (100 * 1000000LL)
#define AC_BUS_SUB_MESSAGES 65536 /* of a subscription inside the library */
#define AC_BUS_SUB_BYTES    (64 << 20)
#define AC_BUS_JS_WAIT_MS   5000

struct ac_bus {
    struct ac_loop *loop;
    struct ac_metric *published, *received, *dropped, *up;
    natsConnection *nc;
    jsCtx *js;
    char *url;
    atomic_uint refs; /* owner, posts, subscriptions, pending answers */
    atomic_bool closed;
    void (*on_state)(bool connected, void *arg);
    void *on_state_arg;
    struct ac_list subs;    /* loop */
    struct ac_list readers; /* loop */
    struct ac_timer *sweep;
    struct ac_worker *kv;   /* made at first use */
    struct ac_map *buckets; /* kv worker only: name -> kvStore */
    natsSubscription *inbox_sub;
    char *inbox; /* prefix with a '.' at its end */
    pthread_mutex_t mu;
    struct ac_map *pending; /* id as text -> ac_bus_pending */
    uint64_t next_id;
};

/* One answer that is waited for. */
struct ac_bus_pending {
    struct ac_bus *b;
    int64_t until_ns;
    bool js; /* answer of a stream: decides the code */
    void (*done)(int code, void *arg);
    void (*reply)(int code, const struct ac_bus_msg *m, void *arg);
    void *arg;
    int code;
    natsMsg *msg;
};

struct ac_bus_sub {
    struct ac_list node;
    struct ac_bus *b;
    natsSubscription *sub;
    atomic_uint refs; /* owner, library, posts */
    bool gone;        /* loop: no more callbacks */
    ac_bus_fn fn;
    ac_bus_js_fn js_fn;
    void *arg;
};

void ac_bus_ref_(struct ac_bus *b);
void ac_bus_unref_(struct ac_bus *b);
int ac_bus_fail_(struct ac_bus *b, natsStatus s, struct ac_err *err, const char *what);
void ac_bus_fill_(struct ac_bus_msg *out, natsMsg *m);
int ac_bus_inbox_open_(struct ac_bus *b, struct ac_err *err);
void ac_bus_answers_fail_(struct ac_bus *b); /* all pending: AC_ECANCELED */
/** Registers p and gives the reply subject; AC_EAGAIN when too many wait. Takes p on success. */
int ac_bus_expect_(struct ac_bus *b, struct ac_bus_pending *p, char *subject, size_t size);
/** Registered but not sent: forgotten again and freed. */
void ac_bus_forget_(struct ac_bus *b, const char *subject);
void ac_bus_sub_release_(struct ac_bus_sub *s);
struct ac_bus_sub *ac_bus_sub_new_(struct ac_bus *b);
void ac_bus_sub_done_(void *closure);
void ac_bus_kv_close_(struct ac_bus *b);
void ac_bus_readers_close_(struct ac_bus *b);
