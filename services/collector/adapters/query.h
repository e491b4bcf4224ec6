/* Queries: what the files share. Memory answers for its window at once; what is older comes from
 * PostgreSQL on one of its threads, and from what waits to be stored. The reply is then packed on
 * that thread too. What takes more than a moment in memory runs on a worker. */
#pragma once

#include "collector.h"

#define COL_REPLY_BYTES (48u << 20) /* a client of ours takes 64 MiB */

struct col_range {
    int64_t from_ns, to_ns;
};

/** to 0 = now; AC_EINVAL for a range that ends before it begins. */
int col_range_of(const Aceso__V1__TimeRange *r, struct col_range *ret,
                 struct ac_err *err) AC_MUST_USE;
/** Opens a read-only transaction that sees one state; the position of that state. */
int col_snapshot(struct ac_pg_conn *pg, uint64_t *ret_seq, struct ac_err *err) AC_MUST_USE;
/** The position once what is being stored just now is stored; that of now when nothing is. */
uint64_t col_sealed_seq(const struct collector *c);
/** A range from there on needs PostgreSQL too: it has something from before memory's window. */
bool col_asks_store(const struct col_events *e, int64_t from_ns);
/** A name that may be "" (all) and is no longer than any that is kept. */
int col_name_check(const char *what, const char *s, struct ac_err *err) AC_MUST_USE;

/* adapters/query_metrics.c */
void col_on_list_series(struct ac_rpc_call *call, const void *msg, void *self);
void col_on_query_metrics(struct ac_rpc_call *call, const void *msg, void *self);

/* adapters/query_events.c */
void col_on_query_spans(struct ac_rpc_call *call, const void *msg, void *self);
void col_on_query_logs(struct ac_rpc_call *call, const void *msg, void *self);

/* adapters/query_graph.c */
void col_on_service_graph(struct ac_rpc_call *call, const void *msg, void *self);
