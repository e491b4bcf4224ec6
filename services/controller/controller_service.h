/* The controller: what its files share. Everything runs on the loop thread, but for scans of the
 * repository and reads of model files, which run on a thread of their own with copies. */
#pragma once

#include "catalog.h"
#include "kinds.h"
#include "peer_clock.h"
#include "sched.h"
#include "tenants.h"

#include <aceso/svc.h>
#include <aceso/v1/serving.pb-c.h>

#define CTL_WORKERS_MAX             SCHED_CELL_DEVICES
#define CTL_ACTIONS                 4096 /* in flight at most: 64 devices, two engines, 32 each */
#define CTL_MESSAGE_BYTES           (64u << 20)
#define CTL_BATCH_BYTES             (48u << 20) /* of tensors in one action or result */
#define CTL_NAME_DEFAULT_REPOSITORY "share/aceso/models"

struct ctl_conf {
    char *repository;
    int64_t default_timeout_ns, lease_ns, max_requests;
    char **tenants;
    double save;
};

struct ctl_service;

/* One that has said hello at least once; its name keeps its device number. */
struct ctl_worker {
    struct ctl_service *s;
    uint32_t device;
    uint32_t kind; /* taken while the call is there */
    char name[CTL_NAME_MAX], executor[16], instance[64];
    struct ac_rpc_call *call; /* NULL while it is away */
    bool up;                  /* its clock is known: it may be given work */
    uint64_t memory_bytes;
    uint32_t page_bytes;
    struct ctl_peer_clock clock;
    int64_t heard_ns, last_earliest_ns;
    uint64_t ping_id;
    uint32_t announced; /* models below this number were announced to it */
};

struct ctl_request; /* adapters/dispatch.c */
struct ctl_fetch;   /* adapters/fetch.c */

/* The outputs that the result being handled carries. */
struct ctl_answer {
    uint64_t action;
    const Aceso__V1__ActionResult *msg;
    int64_t begin_ns;
};

struct ctl_service {
    struct ac_svc *svc;
    const struct ctl_conf *conf;
    char *repository;
    struct ctl_catalog *catalog;
    struct ac_worker *files; /* one thread */
    bool scanning, stopping;

    struct ctl_kinds kinds;
    struct ctl_tenants tenants;
    struct ctl_tenant_stats {
        uint64_t requests, on_time, by_share;
    } tenant_stats[POLICY_TENANTS];
    struct sched *sched;
    struct ac_timer *wake, *lease, *drain;
    int64_t now_ns; /* never goes backwards */
    struct ctl_request *requests;
    uint32_t free_request, n_requests, n_pending;
    struct ctl_answer answer;
    struct ctl_expected {
        uint64_t id;
        int64_t ns;
    } expected[CTL_ACTIONS]; /* by the low bits of the action's id, which are its place */

    struct ctl_worker *workers[CTL_WORKERS_MAX];
    uint32_t n_workers;
    uint64_t up;     /* devices that are up */
    uint64_t choked; /* that read too slowly: dropped as soon as the scheduler is not at work */
    struct ctl_fetch *fetches;

    struct ac_bus *bus; /* NULL without NATS */
    struct ac_metrics *metrics;
    struct ac_metric *tenant_outcomes[POLICY_TENANTS][POLICY_OUTCOME_END];
    struct ac_metric *n_actions[3], *late_actions, *prediction_error;
};

/* adapters/repository.c */
struct ctl_scan {
    struct ctl_found *found;
    size_t n, cap;
    char **errors; /* one line each */
    size_t n_errors, cap_errors;
};
/** Blocking. AC_E* only when the directory itself cannot be read; bad models become errors. */
int ctl_scan_run(const char *dir, struct ctl_scan *ret_s, struct ac_err *err) AC_MUST_USE;
void ctl_scan_fini(struct ctl_scan *s);

/* adapters/dispatch.c: the scheduler on real time; requests in, actions and replies out */
void ctl_dispatch_start(struct ctl_service *s);
void ctl_dispatch_free(struct ctl_service *s);
/** Time for the scheduler. */
int64_t ctl_now(struct ctl_service *s);
/** After each call into the scheduler: drops workers that choke, sets the timer. */
void ctl_dispatch_settle(struct ctl_service *s);
/** A checked request; in (and the bytes it points to) and what asked for it live in c's arena. Ends
 * c, now or later. */
void ctl_dispatch_ask(struct ctl_service *s, struct ac_rpc_call *c, struct ctl_model *m,
                      const struct ctl_infer *in, const char *id, int64_t came_ns,
                      int64_t deadline_ns);
void ctl_dispatch_result(struct ctl_service *s, struct ctl_worker *w,
                         const Aceso__V1__ActionResult *r);
/** Calls ac_svc_stopped once nothing is pending, or the drain time is over. */
void ctl_dispatch_stop(struct ctl_service *s);

/* adapters/workers.c: aceso.v1.Serving/Work */
void ctl_work(struct ac_rpc_call *c, const void *req, void *self);
/** Tells connected workers of models that are new to them. */
void ctl_workers_announce(struct ctl_service *s);
void ctl_workers_forget(struct ctl_service *s, const struct ctl_model *m);
void ctl_workers_check(void *arg); /* timer: pings, leases */
void ctl_workers_stop(struct ctl_service *s);
void ctl_workers_free(struct ctl_service *s);
/** To a worker that has gone nothing is sent: its end is on its way. One whose queue is full is
 * marked as choked. */
void ctl_worker_send(struct ctl_worker *w, const Aceso__V1__ControllerMessage *m);
void ctl_workers_drop_choked(struct ctl_service *s);

/* adapters/fetch.c: FetchModel */
void ctl_fetch_model(struct ac_rpc_call *c, const void *req, void *self);
void ctl_fetch_stop(struct ctl_service *s);

/* adapters/rpc_serving.c, rpc_kserve.c, rpc_infer.c */
void ctl_rpc_serving_add(struct ctl_service *s);
void ctl_rpc_kserve_add(struct ctl_service *s);
void ctl_infer(struct ac_rpc_call *c, const void *req, void *self);
/** Ends c with the outputs that were asked for; piece fits the model. */
void ctl_reply_infer(struct ac_rpc_call *c, const struct ctl_found *what, const char *id,
                     const struct ctl_infer *in, const Aceso__V1__InferPiece *piece);
void ctl_worker_status(const struct ctl_worker *w, Aceso__V1__ServingWorker *ret_m);

/* adapters/events.c: aceso.serving.events */
int ctl_events_start(struct ctl_service *s, struct ac_err *err) AC_MUST_USE;
void ctl_events_free(struct ctl_service *s);
void ctl_event_worker(const struct ctl_worker *w);

/* adapters/stats.c: counters of a model, and their metrics */
struct ctl_ended {
    enum policy_outcome outcome;
    bool cold;
    uint32_t rows, tenant;
    int64_t took_ns, queued_ns;
};
void ctl_stats_reply(struct ctl_service *s, struct ctl_model *m, const struct ctl_ended *e);
/** Once a batch that was answered. */
void ctl_stats_execution(struct ctl_service *s, struct ctl_model *m,
                         const Aceso__V1__ActionResult *r);
/** The handler of ModelStatistics. */
void ctl_model_statistics(struct ac_rpc_call *c, const void *req, void *self);
void ctl_stats_start(struct ctl_service *s);
