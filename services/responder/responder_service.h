/* The responder: what its files share. Everything runs on the loop thread; PostgreSQL jobs and
 * calls to the cluster run on their own threads with copies. */
#pragma once

#include "responder.h"

#include <aceso/kube.h>
#include <aceso/map.h>
#include <aceso/svc.h>
#include <aceso/v1/incidents.pb-c.h>

struct resp_conf {
    char *rca_addr, *kubeconfig;
    int64_t settle_ns, retry_ns, verify_ns, action_limit_ns, reference_ns;
};

struct resp_pending; /* engine.c: one store under way and what waits for it */
struct resp_watcher; /* rpc_incidents.c */

struct resp_service {
    struct ac_svc *svc;
    const struct resp_conf *conf;
    struct ac_responder *core;
    struct ac_kube *kube;
    struct ac_rpc_channel *rca;
    struct ac_worker *looks, *acts; /* blocking calls to the cluster */
    struct ac_timer *tick, *retry;
    struct ac_bus_sub *alerts;
    struct resp_pending *head, *tail; /* FIFO; the head's store runs */
    bool storing, stopping;
    struct ac_map *running; /* ids of actions that a thread carries out */
    struct resp_watcher *watchers;
    struct ac_metric *n_alerts, *n_actions, *n_store_failures;
    char source[64];
};

/* adapters/engine.c: the core's ports, and the order store -> acknowledge -> publish -> carry out
 */
int resp_engine_start(struct resp_service *s, struct ac_err *err) AC_MUST_USE;
void resp_engine_stop(struct resp_service *s);
void resp_engine_free(struct resp_service *s); /* after the worker threads are gone */
/** ack (may be NULL) is acknowledged once the incident's last queued state is stored. */
void resp_engine_after_store(struct resp_service *s, const char *incident_id,
                             struct ac_bus_ack *ack);

/* adapters/look.c: asks the cluster and rca, then tells the core */
void resp_look(struct resp_service *s, const char *incident_id);

/* adapters/act.c */
void resp_act(struct resp_service *s, const char *incident_id, const char *action_id);

/* adapters/bus_alerts.c */
int resp_alerts_start(struct resp_service *s, struct ac_err *err) AC_MUST_USE;

/* adapters/rpc_incidents.c */
void resp_rpc_add(struct resp_service *s);
void resp_rpc_changed(struct resp_service *s, const Aceso__V1__Incident *inc);
void resp_rpc_stop(struct resp_service *s);

/* adapters/store_pg.c */
extern const struct ac_pg_migration resp_migrations[];
extern const size_t resp_n_migrations;
struct resp_row {
    char *id, *tenant, *ns, *state, *source;
    int64_t created_ns, wake_ns;
    uint64_t revision;
    unsigned diagnoses;
    void *body; /* a packed Incident */
    size_t len;
};
void resp_row_fini(struct resp_row *r);
/** Upsert; never replaces a newer revision. Pool thread. */
int resp_row_put(struct ac_pg_conn *c, const struct resp_row *r, struct ac_err *err) AC_MUST_USE;
/** Loads unresolved and recently resolved incidents and all policies into the core. Blocking. */
int resp_load(struct resp_service *s, struct ac_err *err) AC_MUST_USE;
void resp_store_get(struct resp_service *s, struct ac_rpc_call *c, const char *id);
void resp_store_list(struct resp_service *s, struct ac_rpc_call *c,
                     const Aceso__V1__ListIncidentsRequest *req);
/** Stores, then tells the core, then replies. */
void resp_store_policy(struct resp_service *s, struct ac_rpc_call *c,
                       const Aceso__V1__MitigationPolicy *p);
