/* The worker's engine: what was asked for, by window, one action at a time per lane. It decides
 * nothing: it starts the next action whose window is open, refuses what is too early, too late or
 * impossible with a code that names the stage, and keeps account of pages. Pure: the caller passes
 * the time in, runs what wk_engine_start hands out, and reports back. Callers serialise (the
 * adapter holds a lock). */
#pragma once

#include "executor.h"

#include <stdbool.h>
#include <stdint.h>

#define WK_ENGINE_QUEUE 256 /* actions of the controller that wait in one lane */

/* X(enum, number, text): stage error codes; the tens say where it went wrong. */
#define WK_STATUSES(X)                                                                             \
    X(OK, 0, "done")                                                                               \
    X(UNKNOWN_MODEL, 10, "the worker has no such model")                                           \
    X(INVALID, 12, "the action makes no sense")                                                    \
    X(QUEUE_FULL, 13, "too many actions are waiting")                                              \
    X(ALREADY_LOADED, 21, "the weights are resident already")                                      \
    X(LOAD_LATE, 51, "could not start to load inside the window")                                  \
    X(NO_PAGES, 53, "not enough free pages")                                                       \
    X(LOAD_FAILED, 54, "the device failed to load")                                                \
    X(UNLOAD_LATE, 61, "could not start to unload inside the window")                              \
    X(NOT_LOADED, 62, "the weights are not resident")                                              \
    X(BAD_INPUT, 72, "the inputs do not fit the model")                                            \
    X(EXEC_LATE, 81, "could not start to execute inside the window")                               \
    X(WEIGHTS_MISSING, 82, "the weights are not resident when the execution would start")          \
    X(EXEC_FAILED, 83, "the device failed to execute")                                             \
    X(WEIGHTS_LOST, 84, "the load that the execution waited for has failed")                       \
    X(DROPPED, 99, "the controller that asked is gone")

enum wk_status {
#define X(name, number, text) WK_ST_##name = (number),
    WK_STATUSES(X)
#undef X
};
const char *wk_status_text(int status);
/** Codes that say "not in the window" rather than "cannot". */
bool wk_status_is_late(int status);

enum wk_lane {
    WK_LANE_LOAD,
    WK_LANE_EXEC,
    WK_LANES
};
enum wk_kind {
    WK_LOAD = 1,
    WK_UNLOAD,
    WK_INFER,
    WK_PROFILE
};

struct wk_action {
    uint64_t id; /* 0: the engine's or worker's own, nobody is told */
    enum wk_kind kind;
    uint32_t model; /* slot */
    int64_t earliest_ns, latest_ns;
    uint32_t batch; /* index into wk_batch_size */
    void *payload;
};

struct wk_outcome {
    int status;
    const char *message; /* may be NULL */
    int64_t begin_ns, end_ns;
    struct wk_phases phases;
};

struct wk_engine_ports {
    void *self;
    /** Every submitted action ends here exactly once, in submit, start, finish or reset. */
    void (*done)(void *self, const struct wk_action *a, const struct wk_outcome *o);
};

struct wk_engine;

struct wk_engine *wk_engine_create(uint32_t pages, uint32_t page_bytes, uint32_t max_models,
                                   const struct wk_engine_ports *ports);
void wk_engine_destroy(struct wk_engine *e);
/** Executions may begin while the load of their model runs: the executor has a gate. */
void wk_engine_overlap(struct wk_engine *e);

/** Makes a slot known: prepared, not resident. compiled: bit per batch index. */
void wk_engine_model_set(struct wk_engine *e, uint32_t slot, uint64_t weights_bytes,
                         uint32_t compiled);
/** Makes it unknown again; what waits for it is refused. False, and nothing is different, while its
 * weights are or come there, or are in use: a load may have begun after the unload. */
bool wk_engine_model_clear(struct wk_engine *e, int64_t now, uint32_t slot);
void wk_engine_submit(struct wk_engine *e, int64_t now, const struct wk_action *a);
/** The next action of the lane, to be run now; false when none may start, with the time to ask
 * again (INT64_MAX: when something is submitted or finished). */
bool wk_engine_start(struct wk_engine *e, enum wk_lane lane, int64_t now, struct wk_action *ret_a,
                     int64_t *ret_wake);
void wk_engine_finish(struct wk_engine *e, enum wk_lane lane, const struct wk_outcome *o);
/** The controller is gone: waiting actions are dropped, and all that is resident is unloaded before
 * anything that is submitted later. */
void wk_engine_reset(struct wk_engine *e, int64_t now);
uint32_t wk_engine_pages_free(const struct wk_engine *e);
uint32_t wk_engine_pages_of(const struct wk_engine *e, uint64_t bytes);
bool wk_engine_resident(const struct wk_engine *e, uint32_t slot);
