/* ServiceGraph. The loop only takes a view of memory; see query_events.c. */
#include "chunk.h"
#include "graph.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

#include "adapters/query.h"

#define MAX_SPANS   1000000u /* the newest are looked at */
#define CURSOR_ROWS "32"
#define RAW_MAX     (1u << 30)

struct query {
    struct collector *c;
    struct ac_rpc_call *call;
    struct col_range range;
    char *ns;
    struct col_view view;
    struct col_graph *graph;
    const struct col_edge *edges;
    const char *const *components;
    size_t n_edges, n_components;
    struct ac_arena *arena;
};

static void query_free(struct query *q)
{
    col_graph_destroy(q->graph);
    ac_arena_destroy(q->arena);
    col_view_close(&q->view);
    free(q->ns);
    free(q);
}

static void answer(struct query *q, int rc, const struct ac_err *why)
{
    struct ac_err err = rc ? *why : (struct ac_err)AC_ERR_INIT;
    struct ac_arena *a = ac_rpc_arena(q->call);
    Aceso__V1__ServiceGraphResponse res = ACESO__V1__SERVICE_GRAPH_RESPONSE__INIT;
    Aceso__V1__ServiceEdge *m = ac_arena_calloc(a, q->n_edges + 1, sizeof(*m));
    res.edges = ac_arena_calloc(a, q->n_edges + 1, sizeof(*res.edges));
    for (size_t i = 0; m && res.edges && i < q->n_edges; i++) {
        const struct col_edge *e = &q->edges[i];
        aceso__v1__service_edge__init(&m[i]);
        m[i].caller = e->caller;
        m[i].callee = e->callee;
        m[i].calls = e->calls;
        m[i].errors = e->errors;
        m[i].mean_ms = e->total_ms / (double)e->calls;
        res.edges[res.n_edges++] = &m[i];
    }
    res.components = (char **)(uintptr_t)q->components;
    res.n_components = q->n_components;
    if (!rc && (!m || !res.edges))
        rc = ac_err_set(&err, AC_EAGAIN, "the graph is too large for one answer");
    if (rc)
        ac_rpc_fail(q->call, &err);
    else
        ac_rpc_reply(q->call, &res);
    query_free(q);
}

static void build(struct query *q)
{
    q->edges = col_graph_edges(q->graph, &q->n_edges);
    q->components = col_graph_components(q->graph, &q->n_components);
}

/* A span that PostgreSQL has too is counted once: no need to know what is stored. */
static bool take_event(const struct col_event *ev, int state, void *arg)
{
    struct query *q = arg;
    (void)state;
    if (!q->ns[0] || strcmp(q->ns, ev->ns) == 0)
        col_graph_add(q->graph, ev);
    return col_graph_spans(q->graph) < MAX_SPANS;
}

static int take_chunk(struct query *q, const struct ac_pg_result *r, int row, struct ac_err *err)
{
    struct ac_buf raw;
    size_t len = 0, at = 0, n = 0;
    const void *data = ac_pg_bytes(r, row, 1, &len), *rec;
    ac_buf_init(&raw, RAW_MAX);
    int rc = col_records_inflate(data, len, &raw, err);
    while (!rc && (rec = col_record_next(&raw, &at, &n))) {
        Aceso__V1__Span *s = NULL;
        struct col_event ev;
        ac_arena_reset(q->arena);
        rc = AC_PB_UNPACK(aceso__v1__span, rec, n, q->arena, &s, err);
        if (!rc && col_span_event(s, ac_pg_str(r, row, 0), &ev) && ev.t_ns >= q->range.from_ns &&
            ev.t_ns < q->range.to_ns)
            col_graph_add(q->graph, &ev);
    }
    ac_buf_fini(&raw);
    return rc;
}

static int read_old(struct ac_pg_conn *pg, struct query *q, struct ac_err *err)
{
    char from[24], to[24];
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(q->ns),
        ac_pg_i64(from, q->range.from_ns),
        ac_pg_i64(to, AC_MIN(q->view.memory_from_ns, q->range.to_ns)),
    };
    int rc = ac_pg_exec(pg,
                        "DECLARE old_spans CURSOR FOR SELECT namespace, data FROM spans"
                        " WHERE ($1 = '' OR namespace = $1) AND to_ns >= $2 AND from_ns < $3"
                        " ORDER BY to_ns DESC",
                        p, 3, NULL, err);
    for (int rows = 1; !rc && rows > 0 && col_graph_spans(q->graph) < MAX_SPANS;) {
        struct ac_pg_result *r = NULL;
        rc = ac_pg_exec(pg, "FETCH " CURSOR_ROWS " FROM old_spans", NULL, 0, &r, err);
        if (rc)
            break;
        rows = ac_pg_rows(r);
        for (int i = 0; !rc && i < rows; i++)
            rc = take_chunk(q, r, i, err);
        ac_pg_result_free(r);
    }
    return rc;
}

static int old_job(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    int rc = ac_pg_begin(pg, err);
    if (!rc) {
        col_view_each(&q->view, take_event, q);
        rc = read_old(pg, q, err);
    }
    ac_pg_rollback(pg);
    if (!rc)
        build(q);
    return rc;
}

static void old_done(int code, const struct ac_err *err, void *arg)
{
    answer(arg, code, err);
}

static void memory_job(void *arg)
{
    struct query *q = arg;
    col_view_each(&q->view, take_event, q);
    build(q);
}

static void memory_done(void *arg)
{
    answer(arg, 0, NULL);
}

void col_on_service_graph(struct ac_rpc_call *call, const void *msg, void *self)
{
    struct collector *c = self;
    const Aceso__V1__ServiceGraphRequest *req = msg;
    struct ac_err err = AC_ERR_INIT;
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->c = c;
    q->call = call;
    q->ns = ac_xstrdup(req->namespace_);
    q->graph = col_graph_create();
    q->arena = ac_arena_create(4u << 20);
    int rc = col_name_check("namespace", q->ns, &err);
    if (!rc)
        rc = col_range_of(req->range, &q->range, &err);
    if (rc) {
        answer(q, rc, &err);
        return;
    }
    col_view_open(&c->spans, q->range.from_ns, q->range.to_ns, &q->view);
    rc = col_asks_store(&c->spans, q->range.from_ns)
             ? ac_pg_submit(c->svc->pg, old_job, old_done, q)
             : ac_worker_submit(c->worker, memory_job, memory_done, q);
    if (rc)
        answer(q, ac_err_set(&err, rc, "too many queries wait"), &err);
}
