/* For tests only: a virtual clock with timers, allocations that fail on demand, seeds, temporary
 * files, free ports. Includes what cmocka needs. One test program = one thread, unless said. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <aceso/clock.h>
#include <aceso/err.h>
#include <aceso/rng.h>

/* Virtual time: stands still until a test moves it. Timers run in order of time, then of setting;
 * the clock shows a timer's own time while it runs, and it may set and cancel others. */
struct ac_kit_clock;
struct ac_kit_clock *ac_kit_clock_create(int64_t wall_ns); /* monotonic time starts at 0 */
void ac_kit_clock_destroy(struct ac_kit_clock *c);
const struct ac_clock *ac_kit_clock_port(struct ac_kit_clock *c); /* lives as long as c */
int64_t ac_kit_clock_now(const struct ac_kit_clock *c);
/** Calls fn(arg) at the monotonic time (past times: at the next move). Returns an id. */
uint64_t ac_kit_clock_at(struct ac_kit_clock *c, int64_t at_ns, void (*fn)(void *), void *arg);
bool ac_kit_clock_cancel(struct ac_kit_clock *c, uint64_t id); /* false when it ran already */
/** Moves by ns, running all timers on the way. */
void ac_kit_clock_advance(struct ac_kit_clock *c, int64_t ns);
/** Moves to the next timer and runs it; false when there is none. */
bool ac_kit_clock_step(struct ac_kit_clock *c);
/** Time of the next timer; INT64_MAX when there is none. */
int64_t ac_kit_clock_next(const struct ac_kit_clock *c);
/** Steps the wall clock alone, as NTP or an operator would. */
void ac_kit_clock_step_wall(struct ac_kit_clock *c, int64_t by_ns);

/* Fault heap: ac_try_malloc, _calloc and _realloc of any thread. */
/** The n-th from now (1 = the next) fails, once. 0 = none fails any more. */
void ac_kit_fail_alloc(uint64_t n);
/** Allocations asked for since ac_kit_fail_alloc. */
uint64_t ac_kit_allocs(void);
/** Runs fn with the 1st, 2nd, 3rd... allocation failing until a run has none to fail. Fails the
 * test unless each run with a failure returns a negative code and the last returns 0. Returns the
 * number of allocations that were failed. */
uint64_t ac_kit_alloc_sweep(int (*fn)(void *arg), void *arg);

/** ACESO_TEST_SEED, else a random one; printed on stderr when first asked for, so that a failure
 * can be repeated. */
uint64_t ac_kit_seed(void);
/** A generator for one test: of the seed and the stream's number. */
struct ac_rng ac_kit_rng(uint64_t stream);

/** This process's temporary directory, made at the first call and removed at exit. */
const char *ac_kit_dir(void);
/** Path of name in it; with text (may be NULL) written there first. Caller frees. */
char *ac_kit_file(const char *name, const char *text);

/** A TCP port of 127.0.0.1 that was free a moment ago; for programs that cannot bind port 0. */
int ac_kit_free_port(void);
/** Waits until cond(arg) holds; false when the time is over first. For what other processes do;
 * within one process wait for the event itself. */
bool ac_kit_wait(bool (*cond)(void *arg), void *arg, int64_t timeout_ns);

/** Fails the test unless each element of the XML or SVG that opens closes, no attribute holds an
 * angle bracket, and no tag a nan or inf. */
void ac_kit_well_formed(const char *xml);
