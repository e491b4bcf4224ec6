/* The stores that a service uses. Each takes operations and answers by app_op_done, with the reply
 * in the request's arena. Loop thread. Connections are made when the first operation needs one, so
 * that a service starts whether its stores are up or not. */
#pragma once

#include "exec.h"

#include <aceso/loop.h>
#include <aceso/rpc.h>

/* An address as the spec and the environment give it. Strings are owned. */
struct app_store_conf {
    char *name;
    char *url; /* NULL = host and port */
    char *host;
    int port;
    char *database, *user, *password; /* NULL = none */
    unsigned connections;
    const char *client; /* the service's own name */
};

struct app_pg;
struct app_pg *app_pg_create(struct ac_loop *l, const struct app_store_conf *c);
void app_pg_query(struct app_pg *p, struct app_op *op);
void app_pg_destroy(struct app_pg *p); /* nothing may be under way */

struct app_redis;
struct app_redis *app_redis_create(struct ac_loop *l, const struct app_store_conf *c);
void app_redis_run(struct app_redis *r, struct app_op *op);
void app_redis_destroy(struct app_redis *r);

/* A model served by the KServe v2 protocol: result = the numbers of its output
 * "score", else of its first. */
struct app_model;
struct app_model *app_model_create(struct ac_rpc *rpc, const struct app_store_conf *c);
void app_model_infer(struct app_model *m, struct app_op *op);
void app_model_destroy(struct app_model *m);
