/* Diagnoses in PostgreSQL: the message as it was sent, and what they are looked up by. */
#include "rca_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

const struct ac_pg_migration rca_migrations[] = {
    {1, "CREATE TABLE diagnoses ("
        " id text PRIMARY KEY,"
        " tenant text NOT NULL,"
        " namespace text NOT NULL,"
        " incident_id text NOT NULL,"
        " source text NOT NULL,"
        " created_at_ns bigint NOT NULL,"
        " body bytea NOT NULL);"
        "CREATE INDEX diagnoses_by_time ON diagnoses (namespace, created_at_ns DESC);"},
};
const size_t rca_n_migrations = AC_ARRAY_LEN(rca_migrations);

#define BODY_MAX_BYTES (8u << 20)

struct put {
    char *id, *tenant, *ns, *incident, *source;
    int64_t created_ns;
    struct ac_buf body;
    void (*done)(int code, void *arg);
    void *arg;
};

static int put_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct put *p = arg;
    char t[24];
    const struct ac_pg_param params[] = {
        AC_PG_TEXT(p->id),
        AC_PG_TEXT(p->tenant),
        AC_PG_TEXT(p->ns),
        AC_PG_TEXT(p->incident),
        AC_PG_TEXT(p->source),
        ac_pg_i64(t, p->created_ns),
        AC_PG_BYTES(p->body.data, p->body.len),
    };
    return ac_pg_exec(c,
                      "INSERT INTO diagnoses (id, tenant, namespace, incident_id, source,"
                      " created_at_ns, body) VALUES ($1, $2, $3, $4, $5, $6, $7)"
                      " ON CONFLICT (id) DO NOTHING",
                      params, (int)AC_ARRAY_LEN(params), NULL, err);
}

static void put_done(int code, const struct ac_err *err, void *arg)
{
    struct put *p = arg;
    if (code && err)
        AC_LOGW("rca", "diagnosis_not_stored", AC_KS("id", p->id), AC_KERR(err));
    p->done(code, p->arg);
    ac_buf_fini(&p->body);
    free(p->id);
    free(p->tenant);
    free(p->ns);
    free(p->incident);
    free(p->source);
    free(p);
}

void rca_store_put(struct rca_service *s, const Aceso__V1__Diagnosis *d,
                   void (*done)(int code, void *arg), void *arg)
{
    struct put *p = ac_xcalloc(1, sizeof(*p));
    struct ac_err err = AC_ERR_INIT;
    p->id = ac_xstrdup(d->meta->id);
    p->tenant = ac_xstrdup(d->meta->tenant);
    p->source = ac_xstrdup(d->meta->source);
    p->ns = ac_xstrdup(d->namespace_);
    p->incident = ac_xstrdup(d->incident_id);
    p->created_ns = d->meta->created_at_ns;
    p->done = done;
    p->arg = arg;
    ac_buf_init(&p->body, BODY_MAX_BYTES);
    int rc = ac_pb_pack(&d->base, &p->body, &err);
    if (!rc)
        rc = ac_pg_submit(s->svc->pg, put_job, put_done, p);
    if (rc) {
        if (!err.code)
            (void)ac_err_set(&err, rc, "the queue to PostgreSQL is full");
        put_done(rc, &err, p);
    }
}

struct query { /* one Get or List */
    struct ac_rpc_call *call;
    char *id, *ns;
    uint32_t limit;
    struct ac_buf *bodies;
    size_t n;
};

static int query_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    struct ac_pg_result *r = NULL;
    char lim[24];
    int rc;
    if (q->id) {
        const struct ac_pg_param p[] = {AC_PG_TEXT(q->id)};
        rc = ac_pg_exec(c, "SELECT body FROM diagnoses WHERE id = $1", p, 1, &r, err);
    } else {
        const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns), ac_pg_i64(lim, q->limit)};
        rc = ac_pg_exec(c,
                        "SELECT body FROM diagnoses WHERE $1 = '' OR namespace = $1"
                        " ORDER BY created_at_ns DESC LIMIT $2",
                        p, 2, &r, err);
    }
    if (rc)
        return rc;
    q->n = (size_t)ac_pg_rows(r);
    free(q->bodies);
    q->bodies = ac_xcalloc(q->n + 1, sizeof(*q->bodies));
    for (size_t i = 0; i < q->n; i++) {
        size_t len;
        const void *b = ac_pg_bytes(r, (int)i, 0, &len);
        ac_buf_init(&q->bodies[i], BODY_MAX_BYTES);
        ac_buf_append(&q->bodies[i], b, len);
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
        (void)ac_err_set(&e, AC_ENOTFOUND, "no diagnosis %.64s", q->id);
    } else {
        Aceso__V1__ListDiagnosesResponse res = ACESO__V1__LIST_DIAGNOSES_RESPONSE__INIT;
        res.diagnoses = ac_arena_calloc(a, q->n + 1, sizeof(*res.diagnoses));
        for (size_t i = 0; !e.code && res.diagnoses && i < q->n; i++) {
            if (AC_PB_UNPACK(aceso__v1__diagnosis, q->bodies[i].data, q->bodies[i].len, a,
                             &res.diagnoses[i], &e) == 0)
                res.n_diagnoses++;
        }
        if (!res.diagnoses)
            (void)ac_err_set(&e, AC_EAGAIN, "the answer is too large; ask for fewer");
        if (!e.code)
            ac_rpc_reply(q->call, q->id ? (const void *)res.diagnoses[0] : (const void *)&res);
    }
    if (e.code)
        ac_rpc_fail(q->call, &e);
    for (size_t i = 0; q->bodies && i < q->n; i++)
        ac_buf_fini(&q->bodies[i]);
    free(q->bodies);
    free(q->id);
    free(q->ns);
    free(q);
}

static void submit(struct rca_service *s, struct query *q)
{
    struct ac_err err = AC_ERR_INIT;
    int rc = ac_pg_submit(s->svc->pg, query_job, query_done, q);
    if (!rc)
        return;
    (void)ac_err_set(&err, rc, "the queue to PostgreSQL is full");
    query_done(rc, &err, q);
}

void rca_store_get(struct rca_service *s, struct ac_rpc_call *c, const char *id)
{
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->call = c;
    q->id = ac_xstrdup(id);
    submit(s, q);
}

void rca_store_list(struct rca_service *s, struct ac_rpc_call *c, const char *ns, uint32_t limit)
{
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->call = c;
    q->ns = ac_xstrdup(ns);
    q->limit = limit == 0 || limit > 100 ? 100 : limit;
    submit(s, q);
}
