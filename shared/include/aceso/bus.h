/* NATS and JetStream. Library threads only copy the message and post it: callbacks run on the loop
 * thread. Publishing copies. Reconnects for ever; on_state tells. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include <aceso/loop.h>
#include <aceso/metrics.h>

struct ac_bus;
struct ac_bus_sub;

struct ac_bus_opts {
    const char *url;   /* nats://127.0.0.1:4222 (may carry user:password) */
    const char *creds; /* file with "user:password" or a NATS .creds file; NULL = none */
    const char *tls_ca, *tls_cert, *tls_key; /* files; NULL = none */
    const char *name;                        /* client name */
    int64_t connect_timeout_ns; /* how long the first connect may be retried; 0 = 10 s */
};

struct ac_bus_msg {
    const char *subject;
    const char *reply; /* inbox to answer to, or NULL */
    const char *id;    /* Nats-Msg-Id, or NULL */
    const char *trace; /* traceparent, or NULL */
    const void *data;
    size_t len;
    uint64_t stream_seq; /* JetStream: sequence in the stream; 0 = core NATS */
    uint64_t delivered;  /* JetStream: how often it was delivered, from 1 */
    int64_t time_ns;     /* JetStream: when it was stored */
};

/** Blocks until connected or the time is over (AC_ENET names the address). Not on a running loop.
 */
int ac_bus_connect(struct ac_loop *l, struct ac_metrics *m, const struct ac_bus_opts *o,
                   struct ac_bus **ret, struct ac_err *err) AC_MUST_USE;
/** Drains subscriptions, flushes, closes. Loop thread. */
void ac_bus_close(struct ac_bus *b);
bool ac_bus_connected(const struct ac_bus *b);
void ac_bus_on_state(struct ac_bus *b, void (*fn)(bool connected, void *arg), void *arg);

/* Core NATS: may be lost. */
int ac_bus_publish(struct ac_bus *b, const char *subject, const void *data, size_t len,
                   struct ac_err *err) AC_MUST_USE;
int ac_bus_publish_pb(struct ac_bus *b, const char *subject, const void *msg,
                      struct ac_err *err) AC_MUST_USE;
typedef void (*ac_bus_fn)(const struct ac_bus_msg *m, void *arg);
/** queue NULL = every subscriber gets it. */
int ac_bus_subscribe(struct ac_bus *b, const char *subject, const char *queue, ac_bus_fn fn,
                     void *arg, struct ac_bus_sub **ret, struct ac_err *err) AC_MUST_USE;
void ac_bus_unsubscribe(struct ac_bus_sub *s);
/** done once on the loop: code, and the reply (NULL unless AC_OK). */
void ac_bus_request(struct ac_bus *b, const char *subject, const void *data, size_t len,
                    int64_t timeout_ns,
                    void (*done)(int code, const struct ac_bus_msg *reply, void *arg), void *arg);

/* JetStream: survives. */
struct ac_bus_stream {
    const char *name;            /* TELEMETRY, ALERTS, INCIDENTS, LAB */
    const char *const *subjects; /* NULL-ended */
    int64_t max_age_ns;          /* 0 = for ever */
    int64_t max_bytes;           /* 0 = 256 MiB */
    bool work_queue;             /* a message goes once it is acknowledged */
    bool memory;                 /* memory storage instead of file */
    int64_t dedup_ns;            /* window in which a message id is taken once; 0 = 2 min */
};
/** Creates or updates. Blocks (short): at start, not on a running loop. */
int ac_bus_ensure_stream(struct ac_bus *b, const struct ac_bus_stream *s,
                         struct ac_err *err) AC_MUST_USE;
/** Asynchronous, bounded in flight (AC_EAGAIN at the limit). done (may be NULL) on the loop with
 * AC_OK once the server has stored it, or an error. id: dedup id, NULL = none. */
int ac_bus_js_publish(struct ac_bus *b, const char *subject, const char *id, const void *data,
                      size_t len, void (*done)(int code, void *arg), void *arg,
                      struct ac_err *err) AC_MUST_USE;
int ac_bus_js_publish_pb(struct ac_bus *b, const char *subject, const char *id, const void *msg,
                         void (*done)(int code, void *arg), void *arg,
                         struct ac_err *err) AC_MUST_USE;

struct ac_bus_consumer {
    const char *stream, *durable;
    const char *filter;     /* subject filter, NULL = all of the stream */
    unsigned max_in_flight; /* unacknowledged messages, 0 = 256 */
    int64_t ack_wait_ns;    /* redelivered after this, 0 = 30 s */
    unsigned max_deliver;   /* 0 = for ever */
    bool from_now;          /* a new durable starts with new messages only */
};
struct ac_bus_ack; /* one delivered message; must be ended by exactly one of the three below */
typedef void (*ac_bus_js_fn)(const struct ac_bus_msg *m, struct ac_bus_ack *ack, void *arg);
/** Durable consumer; several processes with the same durable share the messages. fn on the loop. */
int ac_bus_consume(struct ac_bus *b, const struct ac_bus_consumer *c, ac_bus_js_fn fn, void *arg,
                   struct ac_bus_sub **ret, struct ac_err *err) AC_MUST_USE;
/* Loop thread, or any thread. The message's state must be stored before ack. */
void ac_bus_ack(struct ac_bus_ack *a);
void ac_bus_nak(struct ac_bus_ack *a, int64_t delay_ns);
void ac_bus_term(struct ac_bus_ack *a); /* never again: poison */

/** Sequence of the stream's last message, 0 before the first. Blocks (short): at start, not on a
 * running loop. AC_ENOTFOUND without the stream. */
int ac_bus_stream_last(struct ac_bus *b, const char *stream, uint64_t *ret_seq,
                       struct ac_err *err) AC_MUST_USE;

/* Reading a stream in order, without acknowledgements, by a caller that keeps the sequence of the
 * last message with its own state: after its own crash it goes on there, and sees each message
 * once.
 */
struct ac_bus_reader;
struct ac_bus_read {
    const char *stream;
    const char *filter;  /* subjects of it, e.g. "aceso.telemetry.metrics.>" */
    uint64_t from_seq;   /* first that is wanted; 1 = all there is, 0 = new ones only. A number that
                            a stream made anew has not reached yet means all there is. */
    unsigned max_queued; /* messages that wait for the loop, 0 = 1024; then the server waits */
};
/** fn on the loop, in the stream's order, none twice; stream_seq is set. A lost connection, a
 * restarted server or a gap is mended by itself. Blocks (short): at start, not on a running loop.
 * Errors: AC_ENOTFOUND without the stream, AC_ENET. */
int ac_bus_read(struct ac_bus *b, const struct ac_bus_read *o, ac_bus_fn fn, void *arg,
                struct ac_bus_reader **ret, struct ac_err *err) AC_MUST_USE;
/** No further messages are asked for until resumed; up to max_queued still come. Loop thread. */
void ac_bus_read_hold(struct ac_bus_reader *r);
void ac_bus_read_resume(struct ac_bus_reader *r);
/** fn is not called afterwards. May wait up to the library's time-out. NULL is fine. Loop thread.
 */
void ac_bus_read_close(struct ac_bus_reader *r);

/* Key-value buckets, and leases on them. Blocking variants run on the bus's own worker; done on the
 * loop. */
int ac_bus_kv_ensure(struct ac_bus *b, const char *bucket, int64_t ttl_ns,
                     struct ac_err *err) AC_MUST_USE;
typedef void (*ac_bus_kv_done)(int code, const void *value, size_t len, uint64_t revision,
                               void *arg);
void ac_bus_kv_get(struct ac_bus *b, const char *bucket, const char *key, ac_bus_kv_done done,
                   void *arg);
void ac_bus_kv_put(struct ac_bus *b, const char *bucket, const char *key, const void *v, size_t len,
                   ac_bus_kv_done done, void *arg);
/** revision 0 = create only when absent; else only when the revision is still this: AC_EABORTED. */
void ac_bus_kv_update(struct ac_bus *b, const char *bucket, const char *key, const void *v,
                      size_t len, uint64_t revision, ac_bus_kv_done done, void *arg);
void ac_bus_kv_delete(struct ac_bus *b, const char *bucket, const char *key, ac_bus_kv_done done,
                      void *arg);
