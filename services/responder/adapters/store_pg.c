/* Incidents and policies in PostgreSQL (schema incidents): the message and what it is found by. */
#include "responder_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

#include "adapters/convert_pb.h"

const struct ac_pg_migration resp_migrations[] = {
    {1, "CREATE TABLE incidents ("
        " id text PRIMARY KEY,"
        " tenant text NOT NULL,"
        " namespace text NOT NULL,"
        " revision bigint NOT NULL,"
        " state text NOT NULL,"
        " source text NOT NULL,"
        " created_at_ns bigint NOT NULL,"
        " wake_ns bigint NOT NULL,"
        " diagnoses integer NOT NULL,"
        " body bytea NOT NULL);"
        "CREATE INDEX incidents_by_time ON incidents (created_at_ns DESC);"
        "CREATE INDEX incidents_unresolved ON incidents (created_at_ns) WHERE state <> 'resolved';"
        "CREATE TABLE policies ("
        " namespace text PRIMARY KEY,"
        " tenant text NOT NULL,"
        " set_at_ns bigint NOT NULL,"
        " set_by text NOT NULL,"
        " body bytea NOT NULL);"},
};
const size_t resp_n_migrations = AC_ARRAY_LEN(resp_migrations);

#define BODY_MAX_BYTES (32u << 20)
#define RECENT_NS      (3600 * AC_NS_PER_S)
#define LIST_MAX       500

void resp_row_fini(struct resp_row *r)
{
    free(r->id);
    free(r->tenant);
    free(r->ns);
    free(r->state);
    free(r->source);
    free(r->body);
    memset(r, 0, sizeof(*r));
}

int resp_row_put(struct ac_pg_conn *c, const struct resp_row *r, struct ac_err *err)
{
    char rev[24], created[24], wake[24], diag[24];
    const struct ac_pg_param params[] = {
        AC_PG_TEXT(r->id),
        AC_PG_TEXT(r->tenant),
        AC_PG_TEXT(r->ns),
        ac_pg_i64(rev, (int64_t)r->revision),
        AC_PG_TEXT(r->state),
        AC_PG_TEXT(r->source),
        ac_pg_i64(created, r->created_ns),
        ac_pg_i64(wake, r->wake_ns),
        ac_pg_i64(diag, r->diagnoses),
        AC_PG_BYTES(r->body, r->len),
    };
    return ac_pg_exec(c,
                      "INSERT INTO incidents (id, tenant, namespace, revision, state, source,"
                      " created_at_ns, wake_ns, diagnoses, body)"
                      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
                      " ON CONFLICT (id) DO UPDATE SET revision = excluded.revision,"
                      " state = excluded.state, source = excluded.source,"
                      " wake_ns = excluded.wake_ns, diagnoses = excluded.diagnoses,"
                      " body = excluded.body WHERE incidents.revision < excluded.revision",
                      params, (int)AC_ARRAY_LEN(params), NULL, err);
}

/* ---- at start ---- */

static void load_incident(struct resp_service *s, const struct ac_pg_result *r, int row)
{
    struct ac_arena *a = ac_arena_create(8 * (size_t)BODY_MAX_BYTES);
    Aceso__V1__Incident *m;
    struct ac_err err = AC_ERR_INIT;
    size_t len;
    const void *body = ac_pg_bytes(r, row, 0, &len);
    if (AC_PB_UNPACK(aceso__v1__incident, body, len, a, &m, &err) == 0)
        ac_responder_load(s->core, resp_incident_from_pb(m, ac_pg_int(r, row, 1),
                                                         (unsigned)ac_pg_int(r, row, 2)));
    else
        AC_LOGW("responder", "incident_unreadable", AC_KERR(&err));
    ac_arena_destroy(a);
}

static void load_policy(struct resp_service *s, const struct ac_pg_result *r, int row)
{
    struct ac_arena *a = ac_arena_create(1u << 20);
    Aceso__V1__MitigationPolicy *m;
    struct ac_policy p;
    struct ac_err err = AC_ERR_INIT;
    size_t len;
    const void *body = ac_pg_bytes(r, row, 0, &len);
    if (AC_PB_UNPACK(aceso__v1__mitigation_policy, body, len, a, &m, &err) == 0 &&
        resp_policy_from_pb(m, &p, &err) == 0)
        ac_responder_set_policy(s->core, ac_wall_ns(), m->namespace_, &p);
    else
        AC_LOGW("responder", "policy_unreadable", AC_KERR(&err));
    ac_arena_destroy(a);
}

static int load_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct resp_service *s = arg;
    struct ac_pg_result *r = NULL;
    char since[24];
    /* Policies first: loading one must not stir incidents that are not there yet. */
    int rc = ac_pg_exec(c, "SELECT body FROM policies ORDER BY namespace", NULL, 0, &r, err);
    if (rc)
        return rc;
    for (int i = 0; i < ac_pg_rows(r); i++)
        load_policy(s, r, i);
    ac_pg_result_free(r);
    const struct ac_pg_param p[] = {ac_pg_i64(since, ac_wall_ns() - RECENT_NS)};
    rc = ac_pg_exec(c,
                    "SELECT body, wake_ns, diagnoses FROM incidents"
                    " WHERE state <> 'resolved' OR created_at_ns > $1 ORDER BY created_at_ns",
                    p, 1, &r, err);
    if (rc)
        return rc;
    for (int i = 0; i < ac_pg_rows(r); i++)
        load_incident(s, r, i);
    ac_pg_result_free(r);
    return 0;
}

int resp_load(struct resp_service *s, struct ac_err *err)
{
    return ac_pg_run(s->svc->pg, load_job, s, err);
}

/* ---- queries ---- */

struct query {
    struct ac_rpc_call *call;
    char *id, *ns;
    bool open_only;
    uint32_t limit;
    struct ac_buf *bodies;
    size_t n;
};

static void drop_bodies(struct query *q)
{
    for (size_t i = 0; q->bodies && i < q->n; i++)
        ac_buf_fini(&q->bodies[i]);
    free(q->bodies);
    q->bodies = NULL;
    q->n = 0;
}

static int query_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    struct ac_pg_result *r = NULL;
    char lim[24];
    int rc;
    drop_bodies(q);
    if (q->id) {
        const struct ac_pg_param p[] = {AC_PG_TEXT(q->id)};
        rc = ac_pg_exec(c, "SELECT body FROM incidents WHERE id = $1", p, 1, &r, err);
    } else {
        const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns), ac_pg_i64(lim, q->limit),
                                        AC_PG_TEXT(q->open_only ? "1" : "")};
        rc = ac_pg_exec(c,
                        "SELECT body FROM incidents WHERE ($1 = '' OR namespace = $1)"
                        " AND ($3 = '' OR state <> 'resolved')"
                        " ORDER BY created_at_ns DESC LIMIT $2",
                        p, 3, &r, err);
    }
    if (rc)
        return rc;
    int rows = ac_pg_rows(r);
    q->bodies = ac_xcalloc((size_t)rows + 1, sizeof(*q->bodies));
    for (int i = 0; i < rows; i++) {
        size_t len;
        const void *b = ac_pg_bytes(r, i, 0, &len);
        ac_buf_init(&q->bodies[q->n], BODY_MAX_BYTES);
        ac_buf_append(&q->bodies[q->n++], b, len);
    }
    ac_pg_result_free(r);
    return 0;
}

static void query_done(int code, const struct ac_err *err, void *arg)
{
    struct query *q = arg;
    struct ac_err e = AC_ERR_INIT;
    struct ac_arena *a = ac_rpc_arena(q->call);
    if (code) {
        e = *err;
    } else if (q->id && q->n == 0) {
        (void)ac_err_set(&e, AC_ENOTFOUND, "no incident %.64s", q->id);
    } else {
        Aceso__V1__ListIncidentsResponse res = ACESO__V1__LIST_INCIDENTS_RESPONSE__INIT;
        res.incidents = ac_arena_calloc(a, q->n + 1, sizeof(*res.incidents));
        if (!res.incidents)
            (void)ac_err_set(&e, AC_EAGAIN, "the answer is too large; ask for fewer");
        for (size_t i = 0; !e.code && i < q->n; i++)
            if (AC_PB_UNPACK(aceso__v1__incident, q->bodies[i].data, q->bodies[i].len, a,
                             &res.incidents[i], &e) == 0)
                res.n_incidents++;
        if (!e.code)
            ac_rpc_reply(q->call, q->id ? (const void *)res.incidents[0] : (const void *)&res);
    }
    if (e.code)
        ac_rpc_fail(q->call, &e);
    drop_bodies(q);
    free(q->id);
    free(q->ns);
    free(q);
}

static void submit(struct resp_service *s, struct query *q)
{
    struct ac_err err = AC_ERR_INIT;
    int rc = ac_pg_submit(s->svc->pg, query_job, query_done, q);
    if (!rc)
        return;
    (void)ac_err_set(&err, rc, "the queue to PostgreSQL is full");
    query_done(rc, &err, q);
}

void resp_store_get(struct resp_service *s, struct ac_rpc_call *c, const char *id)
{
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->call = c;
    q->id = ac_xstrdup(id);
    submit(s, q);
}

void resp_store_list(struct resp_service *s, struct ac_rpc_call *c,
                     const Aceso__V1__ListIncidentsRequest *req)
{
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->call = c;
    q->ns = ac_xstrdup(req->namespace_);
    q->open_only = req->open_only;
    q->limit = req->limit == 0 || req->limit > LIST_MAX ? LIST_MAX : req->limit;
    submit(s, q);
}

/* ---- policies ---- */

struct policy {
    struct resp_service *s;
    struct ac_rpc_call *call;
    const Aceso__V1__MitigationPolicy *m; /* in the call's arena */
    struct ac_policy p;
    struct ac_buf body;
};

static int policy_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct policy *p = arg;
    char at[24];
    const struct ac_pg_param params[] = {
        AC_PG_TEXT(p->m->namespace_),
        AC_PG_TEXT(p->s->svc->conf.tenant),
        ac_pg_i64(at, ac_wall_ns()),
        AC_PG_TEXT(p->m->set_by),
        AC_PG_BYTES(p->body.data, p->body.len),
    };
    return ac_pg_exec(c,
                      "INSERT INTO policies (namespace, tenant, set_at_ns, set_by, body)"
                      " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (namespace) DO UPDATE SET"
                      " set_at_ns = excluded.set_at_ns, set_by = excluded.set_by,"
                      " body = excluded.body",
                      params, (int)AC_ARRAY_LEN(params), NULL, err);
}

static void policy_done(int code, const struct ac_err *err, void *arg)
{
    struct policy *p = arg;
    if (code) {
        ac_rpc_fail(p->call, err);
    } else {
        AC_LOGI("responder", "policy_set", AC_KS("namespace", p->m->namespace_),
                AC_KB("act", p->m->act), AC_KS("set_by", p->m->set_by));
        ac_responder_set_policy(p->s->core, ac_wall_ns(), p->m->namespace_, &p->p);
        ac_rpc_reply(p->call, p->m);
    }
    ac_buf_fini(&p->body);
    free(p);
}

void resp_store_policy(struct resp_service *s, struct ac_rpc_call *c,
                       const Aceso__V1__MitigationPolicy *m)
{
    struct policy *p = ac_xcalloc(1, sizeof(*p));
    struct ac_err err = AC_ERR_INIT;
    p->s = s;
    p->call = c;
    p->m = m;
    ac_buf_init(&p->body, 1u << 20);
    int rc = resp_policy_from_pb(m, &p->p, &err);
    if (!rc)
        rc = ac_pb_pack(&m->base, &p->body, &err);
    if (!rc) {
        rc = ac_pg_submit(s->svc->pg, policy_job, policy_done, p);
        if (rc)
            (void)ac_err_set(&err, rc, "the queue to PostgreSQL is full");
    }
    if (rc)
        policy_done(rc, &err, p);
}
