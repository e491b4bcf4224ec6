/* The service's one loop thread (libuv), timers, signals, posting to it from other threads, and a
 * worker pool for what blocks. One loop thread owns all mutable service state; every other thread
 * (gRPC poller, NATS delivery, PG pool, HTTP) talks to it only by ac_loop_post. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/clock.h>
#include <aceso/err.h>

struct ac_loop;
struct ac_timer;
struct ac_worker;
struct uv_loop_s;

struct ac_loop *ac_loop_create(void);
/** Runs pending posts, closes all handles; asserts that uv_loop_close returns 0. Loop thread, not
 * running. */
void ac_loop_destroy(struct ac_loop *l);
/** Runs until ac_loop_stop. The calling thread becomes the loop thread. */
void ac_loop_run(struct ac_loop *l);
/** Any thread, signal-safe not required; idempotent. */
void ac_loop_stop(struct ac_loop *l);
bool ac_loop_on(const struct ac_loop *l); /* is the caller the loop thread (true before run) */
#define AC_ASSERT_ON_LOOP(l) AC_ASSERT(ac_loop_on(l))
struct uv_loop_s *ac_loop_uv(struct ac_loop *l); /* for adapters that need libuv itself */

typedef void (*ac_loop_fn)(void *arg);
/** Runs fn(arg) on the loop thread, in order of posting, one wake for many. Any thread. Posts made
 * before run are kept; posts after destroy began are a bug. */
void ac_loop_post(struct ac_loop *l, ac_loop_fn fn, void *arg);

/** One-shot or periodic; fn on the loop thread. Loop thread only. period_ns 0 = once (the handle
 * stays valid until destroy; rearm with ac_timer_start). */
struct ac_timer *ac_timer_create(struct ac_loop *l, ac_loop_fn fn, void *arg);
void ac_timer_start(struct ac_timer *t, int64_t delay_ns, int64_t period_ns);
void ac_timer_stop(struct ac_timer *t);
void ac_timer_destroy(struct ac_timer *t); /* fn is not called afterwards; NULL is fine */

/** fn(signum) on the loop thread for SIGTERM, SIGINT, SIGHUP...; loop owns the handle. */
void ac_loop_on_signal(struct ac_loop *l, int signum, void (*fn)(int signum, void *arg), void *arg);

/** A pool of threads for blocking work, FIFO, bounded queue. Not libuv's shared pool. */
struct ac_worker *ac_worker_create(struct ac_loop *l, const char *name, unsigned threads,
                                   size_t max_queued);
/** work on a pool thread, then done on the loop thread (done may be NULL). AC_EAGAIN when full:
 * then neither is called. Any thread. */
int ac_worker_submit(struct ac_worker *w, ac_loop_fn work, ac_loop_fn done, void *arg) AC_MUST_USE;
size_t ac_worker_queued(struct ac_worker *w);
/** Waits for running work, drops queued work after calling its done. Loop thread. */
void ac_worker_destroy(struct ac_worker *w);

/** Largest delay of the loop seen since the last call (loop lag), ns. Loop thread. */
int64_t ac_loop_lag_ns(struct ac_loop *l);
