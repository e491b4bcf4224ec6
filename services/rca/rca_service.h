/* The rca service: what its files share. Everything runs on the loop thread but the localisation,
 * which runs on a worker. */
#pragma once

#include <pthread.h>

#include <aceso/svc.h>
#include <aceso/v1/rca.pb-c.h>

struct rca_conf {
    char *collector_addr;
    int64_t reference_ns, query_timeout_ns;
    double min_score;
};

struct rca_service {
    struct ac_svc *svc;
    const struct rca_conf *conf;
    struct ac_rpc_channel *collector;
    struct ac_worker *worker;
    struct ac_team *team; /* of whoever holds team_mu, on a worker's thread; NULL: one processor */
    pthread_mutex_t team_mu;
    struct ac_metric *diagnoses, *failures, *seconds;
};

/* adapters/rpc_rca.c */
void rca_rpc_add(struct rca_service *s);

/* adapters/store_pg.c */
extern const struct ac_pg_migration rca_migrations[];
extern const size_t rca_n_migrations;
/** done(code, arg) on the loop; d is packed at once. */
void rca_store_put(struct rca_service *s, const Aceso__V1__Diagnosis *d,
                   void (*done)(int code, void *arg), void *arg);
void rca_store_get(struct rca_service *s, struct ac_rpc_call *c, const char *id);
void rca_store_list(struct rca_service *s, struct ac_rpc_call *c, const char *ns, uint32_t limit);
