/* Inside of shared/pg: the connection that a pool thread owns. Only pool.c makes them. */
#pragma once

#include <libpq-fe.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/pg.h>

#define PG_CONN_MAGIC   0x50474331u
#define PG_MAX_PREPARED 256

/* Owned by one thread at a time; never shared. */
struct ac_pg_conn {
    uint32_t magic;
    PGconn *pq;              /* NULL when not connected */
    struct ac_map *prepared; /* SQL text to statement name */
    unsigned next_name;
    const struct ac_pg_opts *opts; /* the pool's copy */
    bool stale;                    /* what was prepared no longer fits: start over */
};

struct ac_pg_result {
    PGresult *res;
    struct pg_bytes **decoded; /* bytea values handed out, by row and column; NULL: none yet */
};

void pg_conn_init(struct ac_pg_conn *c, const struct ac_pg_opts *o);
void pg_conn_fini(struct ac_pg_conn *c);
/** One attempt, at most about timeout_ns (2 s at least). AC_ENET may be tried again; AC_EUNAUTH and
 * AC_ENOTFOUND (no such database) need a person. */
int pg_conn_open(struct ac_pg_conn *c, int64_t timeout_ns, struct ac_err *err);
bool pg_conn_alive(const struct ac_pg_conn *c);
/** After a job: ends a transaction that was left open, closes a broken connection. True when one
 * was left open. */
bool pg_conn_tidy(struct ac_pg_conn *c);
/** Simple protocol, may hold several statements; no result. timeout_ns < 0: no limit. */
int pg_conn_simple(struct ac_pg_conn *c, const char *sql, int64_t timeout_ns, struct ac_err *err);
/** Error of a result (or of the connection when res is NULL) as code and text. */
int pg_error(const struct ac_pg_conn *c, const PGresult *res, struct ac_err *err);
/** Next result of the running command, waiting until the deadline; NULL and AC_OK at the end. */
int pg_conn_result(struct ac_pg_conn *c, int64_t deadline_ns, PGresult **ret, struct ac_err *err);
int64_t pg_conn_deadline(const struct ac_pg_conn *c);
void pg_conn_close(struct ac_pg_conn *c);

int pg_migrate(struct ac_pg_conn *c, const struct ac_pg_migration *mig, size_t n,
               struct ac_err *err);
