#include "adapters/query.h"

#include <string.h>

#include <aceso/base.h>

#include "adapters/store.h"

int col_range_of(const Aceso__V1__TimeRange *r, struct col_range *ret, struct ac_err *err)
{
    ret->from_ns = r ? r->from_ns : 0;
    ret->to_ns = r && r->to_ns ? r->to_ns : ac_wall_ns() + 1;
    if (ret->from_ns < 0 || ret->to_ns < ret->from_ns)
        return ac_err_set(err, AC_EINVAL, "range: it ends before it begins");
    return 0;
}

int col_name_check(const char *what, const char *s, struct ac_err *err)
{
    if (strlen(s) > COL_MAX_NAME)
        return ac_err_set(err, AC_EINVAL, "%s: longer than %d bytes", what, COL_MAX_NAME);
    return 0;
}

int col_snapshot(struct ac_pg_conn *pg, uint64_t *ret_seq, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_begin(pg, err);
    if (!rc)
        rc = ac_pg_exec(pg, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", NULL, 0,
                        NULL, err);
    if (!rc)
        rc = ac_pg_exec(pg, "SELECT seq FROM position WHERE stream = '" AC_STREAM_TELEMETRY "'",
                        NULL, 0, &r, err);
    if (rc)
        return rc;
    *ret_seq = ac_pg_rows(r) ? (uint64_t)ac_pg_int(r, 0, 0) : 0;
    ac_pg_result_free(r);
    return 0;
}

uint64_t col_sealed_seq(const struct collector *c)
{
    return c->flush ? c->flush->seq_to : c->stored_seq;
}

bool col_asks_store(const struct col_events *e, int64_t from_ns)
{
    return AC_MAX(from_ns, e->stored_from_ns) < e->memory_from_ns;
}

/* ---- waiting for the stream to be read to where it was at the start ---- */

#define MAX_WAITING 1024

struct col_waiting {
    ac_rpc_handler handler;
    struct ac_rpc_call *call;
    const void *msg; /* of the call */
};

static void dispatch(struct collector *c, struct ac_rpc_call *call, const void *msg,
                     ac_rpc_handler handler)
{
    struct ac_err err = AC_ERR_INIT;
    if (c->caught_up) {
        handler(call, msg, c);
    } else if (c->n_waiting >= MAX_WAITING) {
        (void)ac_err_set(&err, AC_ENET, "the collector still reads what it had not stored");
        ac_rpc_fail(call, &err);
    } else {
        ac_grow(&c->waiting, &c->cap_waiting, c->n_waiting + 1, sizeof(*c->waiting));
        c->waiting[c->n_waiting++] = (struct col_waiting){handler, call, msg};
    }
}

void col_query_caught_up(struct collector *c)
{
    c->caught_up = true;
    for (size_t i = 0; i < c->n_waiting; i++)
        c->waiting[i].handler(c->waiting[i].call, c->waiting[i].msg, c);
    c->n_waiting = 0;
}

#define HANDLER(fn)                                                                                \
    static void on_##fn(struct ac_rpc_call *call, const void *msg, void *self)                     \
    {                                                                                              \
        dispatch(self, call, msg, col_on_##fn);                                                    \
    }
HANDLER(list_series)
HANDLER(query_metrics)
HANDLER(query_logs)
HANDLER(query_spans)
HANDLER(service_graph)

void col_query_add(struct collector *c)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "ListSeries", .kind = AC_RPC_UNARY, .handler = on_list_series},
        {.name = "QueryMetrics", .kind = AC_RPC_UNARY, .handler = on_query_metrics},
        {.name = "QueryLogs", .kind = AC_RPC_UNARY, .handler = on_query_logs},
        {.name = "QuerySpans", .kind = AC_RPC_UNARY, .handler = on_query_spans},
        {.name = "ServiceGraph", .kind = AC_RPC_UNARY, .handler = on_service_graph},
    };
    ac_rpc_server_add(c->svc->server, &aceso__v1__telemetry__descriptor, methods,
                      AC_ARRAY_LEN(methods), c);
}
