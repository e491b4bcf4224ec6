/* Private to the engine. */
#pragma once

#include "engine.h"
#include "exec.h"
#include "pstruct.h"
#include "stores.h"

#include <aceso/list.h>

#define APP_MAX_SPANS   128
#define APP_REQUEST_CAP (16u << 20)

struct app_store_inst {
    struct app_store_conf conf;
    struct app_pg *pg;
    struct app_redis *redis;
    struct app_model *model;
};

struct app_engine {
    struct ac_svc *svc;
    const struct app_spec *spec;
    const struct app_service *service;
    struct app_telemetry *t;
    struct app_red *server, *client;  /* owned by t */
    struct ac_rpc_channel **channels; /* by service index; made on first use */
    struct app_store_inst *stores;    /* by store index */
    struct ac_rng rng;
    struct ac_worker *compute; /* NULL until a long compute step needs it */
    struct app_exec_ports ports;
    struct ac_list active;
    size_t n_active;
    int64_t wall_offset_ns; /* wall - monotonic, for spans */
    bool stopping;
    struct ac_timer *grace;
    ac_loop_fn stopped;
    void *stopped_arg;
};

struct app_request {
    struct ac_list node;
    struct app_engine *e;
    struct ac_arena *a;
    struct app_exec *x;
    const struct app_route *route;
    struct ac_rpc_call *call; /* one of the two; NULL once answered */
    struct ac_http_req *http;
    struct app_trace trace;
    unsigned char span_id[8];
    int64_t start_ns;
    struct app_span *spans; /* APP_MAX_SPANS, the request's own first */
    size_t n_spans;
};

/* engine_ops.c: the ports start and ended. */
void app_engine_op_start(void *self, struct app_op *op);
void app_engine_op_ended(void *self, struct app_op *op, int code, const struct ac_err *err);
/** Whether a code is the callee's failure (else it is the caller's, or nobody's). */
bool app_engine_is_failure(int code);
/** Opens the stores of the service from the spec and the environment. */
int app_engine_open_stores(struct app_engine *e, struct ac_err *err) AC_MUST_USE;
void app_engine_close_stores(struct app_engine *e);
