/* Runs the steps of one request. Pure: what a step wants from outside is handed to a port as an
 * operation and comes back by app_op_done, at once or later, always on the same thread. */
#pragma once

#include "spec.h"

struct app_exec;

/* One call, query, cache access, ... with everything resolved. */
struct app_op {
    struct app_exec *exec;
    const struct app_step *step;
    struct app_frame *frame; /* private */
    void *adapter;           /* the port's own */
    int64_t start_ns, timeout_ns;
    const struct app_value *value; /* CALL: request; MODEL: input; CACHE_SET: one value or a list */
    const char *const *params;     /* QUERY: texts, NULL = SQL null */
    size_t n_params;
    const char *const *keys; /* CACHE_* */
    size_t n_keys;
    bool many;           /* CACHE_*: keys came as a list, so the result is one */
    int64_t duration_ns; /* COMPUTE, DELAY */
    unsigned char span_id[8];
};

struct app_exec_ports {
    void *self;
    int64_t (*now_ns)(void *self); /* monotonic */
    /** Begins op; app_op_done(op, ...) must follow exactly once. */
    void (*start)(void *self, struct app_op *op);
    /** After app_op_done, before its effect: for metrics, spans and logs. err holds the cause. */
    void (*ended)(void *self, struct app_op *op, int code, const struct ac_err *err);
    /** The end of the steps, once: code 0 and the reply, or an error. */
    void (*reply)(void *self, struct app_exec *x, int code, const struct app_value *reply,
                  const struct ac_err *err);
    /** No operation is under way any more, after reply: x and its arena may go. */
    void (*finished)(void *self, struct app_exec *x);
};

struct app_exec_opts {
    const struct app_route *route;
    const struct app_value *request; /* checked: app_route_request */
    int64_t deadline_ns;             /* monotonic; the caller's or the route's, the sooner */
    const struct app_exec_ports *ports;
    void *user;
};

/** In arena a, where all values of the request live too. */
struct app_exec *app_exec_create(struct ac_arena *a, const struct app_exec_opts *o);
void app_exec_run(struct app_exec *x);
struct ac_arena *app_exec_arena(struct app_exec *x);
void *app_exec_user(struct app_exec *x);
const struct app_route *app_exec_route(const struct app_exec *x);
int64_t app_exec_deadline_ns(const struct app_exec *x);
/** Ends the steps with an error (the client has gone); operations under way are waited for. */
void app_exec_abort(struct app_exec *x, int code, const char *why);

/** result: NULL = null. err: the cause, when code is not 0; its text goes to logs and, after the
 * peer's name, to the caller. */
void app_op_done(struct app_op *op, int code, const struct app_value *result,
                 const struct ac_err *err);
/** The name of the other side: service or store. NULL for compute and delay. */
const char *app_op_peer(const struct app_op *op);

/** Status that a caller sees for a failure inside: what a store refuses is our own failure. */
int app_outward_code(int code);
/** A list as PostgreSQL array text: {"a","b"}. NULL when the arena is full. */
const char *app_pg_array(struct ac_arena *a, const struct app_value *list);
