/* Rules in PostgreSQL. Each change raises the revision of the whole store in its transaction. */
#include <string.h>

#include <aceso/base.h>
#include <aceso/id.h>
#include <aceso/log.h>

#include "adapters/service.h"

char trainer_source[] = "trainer";

#define ARENA_BYTES            (64u << 20)
#define RULES_MAX              100000
#define RULES_OF_NAMESPACE_MAX 10000

const struct ac_pg_migration trainer_migrations[] = {
    {1, "CREATE TABLE rules (namespace text NOT NULL, name text NOT NULL, id text NOT NULL,"
        " tenant text NOT NULL, source text NOT NULL, created_at_ns bigint NOT NULL,"
        " version bigint NOT NULL, text text NOT NULL, enabled boolean NOT NULL,"
        " origin text NOT NULL, job_id text NOT NULL, state_bytes bigint NOT NULL,"
        " ops double precision NOT NULL, PRIMARY KEY (namespace, name));"
        "CREATE TABLE revision (revision bigint NOT NULL);"
        "INSERT INTO revision VALUES (0);"},
    {2, "CREATE TABLE jobs (id text PRIMARY KEY, tenant text NOT NULL, request_id text NOT NULL,"
        " namespace text NOT NULL, created_at_ns bigint NOT NULL, over boolean NOT NULL,"
        " job bytea NOT NULL, request bytea NOT NULL);"
        "CREATE UNIQUE INDEX jobs_by_request ON jobs (request_id) WHERE request_id <> '';"},
};
const size_t trainer_n_migrations = AC_ARRAY_LEN(trainer_migrations);

struct store_req *store_req_new(struct trainer *t, enum store_op op, const char *ns,
                                const char *name)
{
    struct store_req *q = ac_xcalloc(1, sizeof *q);
    q->t = t;
    q->op = op;
    q->ns = ac_xstrdup(ns);
    q->name = ac_xstrdup(name);
    q->job_id = ac_xstrdup("");
    q->arena = ac_arena_create(ARENA_BYTES);
    return q;
}

static void req_free(struct store_req *q)
{
    for (size_t i = 0; i < q->n_put; i++) {
        free(q->put[i].name);
        free(q->put[i].text);
        free(q->put[i].origin);
    }
    free(q->put);
    free(q->ns);
    free(q->name);
    free(q->job_id);
    stored_job_free(q->job);
    ac_arena_destroy(q->arena);
    free(q);
}

static int put_one(struct ac_pg_conn *c, struct store_req *q, const struct stored_rule *r,
                   struct ac_err *err)
{
    char t[24], s[24], o[32];
    struct ac_id id = ac_id_new();
    const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns),
                                    AC_PG_TEXT(r->name),
                                    AC_PG_TEXT(id.s),
                                    AC_PG_TEXT(q->t->svc->conf.tenant),
                                    ac_pg_i64(t, ac_wall_ns()),
                                    AC_PG_TEXT(r->text),
                                    AC_PG_TEXT(q->disabled ? "f" : "t"),
                                    AC_PG_TEXT(r->origin),
                                    AC_PG_TEXT(q->job_id),
                                    ac_pg_i64(s, (int64_t)r->state_bytes),
                                    ac_pg_f64(o, r->ops)};
    return ac_pg_exec(
        c,
        "INSERT INTO rules (namespace, name, id, tenant, source, created_at_ns, version,"
        " text, enabled, origin, job_id, state_bytes, ops)"
        " VALUES ($1, $2, $3, $4, 'trainer', $5::bigint, 1, $6, $7::boolean, $8, $9,"
        " $10::bigint, $11::float8) ON CONFLICT (namespace, name) DO UPDATE SET"
        " version = rules.version + 1, text = excluded.text, enabled = excluded.enabled,"
        " origin = excluded.origin, job_id = excluded.job_id,"
        " state_bytes = excluded.state_bytes, ops = excluded.ops",
        p, (int)AC_ARRAY_LEN(p), NULL, err);
}

static int check_room(struct ac_pg_conn *c, struct store_req *q, struct ac_err *err)
{
    const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns)};
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(c, "SELECT count(*), count(*) FILTER (WHERE namespace = $1) FROM rules", p,
                        1, &r, err);
    if (rc < 0)
        return rc;
    if (ac_pg_int(r, 0, 0) > RULES_MAX || ac_pg_int(r, 0, 1) > RULES_OF_NAMESPACE_MAX)
        rc =
            ac_err_set(err, AC_ERANGE,
                       "there would be %lld rules, %lld of them in %.60s: the limits are %d and %d",
                       (long long)ac_pg_int(r, 0, 0), (long long)ac_pg_int(r, 0, 1), q->ns,
                       RULES_MAX, RULES_OF_NAMESPACE_MAX);
    ac_pg_result_free(r);
    return rc;
}

static int change(struct ac_pg_conn *c, struct store_req *q, struct ac_err *err)
{
    const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns), AC_PG_TEXT(q->name)};
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_begin(c, err);
    if (rc == 0) /* first: serialises changes, so that revisions are in their order */
        rc = ac_pg_exec(c, "UPDATE revision SET revision = revision + 1 RETURNING revision", NULL,
                        0, &r, err);
    if (rc == 0) {
        q->revision = (uint64_t)ac_pg_int(r, 0, 0);
        ac_pg_result_free(r);
    }
    if (rc == 0 && q->replace)
        rc = ac_pg_exec(c, "DELETE FROM rules WHERE namespace = $1 AND origin <> 'user'", p, 1,
                        NULL, err);
    for (size_t i = 0; rc == 0 && i < q->n_put; i++)
        rc = put_one(c, q, &q->put[i], err);
    if (rc == 0 && q->op == STORE_DELETE) {
        r = NULL;
        rc = ac_pg_exec(c, "DELETE FROM rules WHERE namespace = $1 AND ($2 = '' OR name = $2)", p,
                        2, &r, err);
        if (rc == 0) {
            q->deleted = (uint64_t)ac_pg_affected(r);
            ac_pg_result_free(r);
        }
    }
    if (rc == 0 && q->n_put)
        rc = check_room(c, q, err);
    if (rc == 0 && q->job)
        rc = jobs_write(c, q->job, q->t->svc->conf.tenant, err);
    if (rc == 0)
        rc = ac_pg_commit(c, err);
    if (rc < 0)
        ac_pg_rollback(c);
    return rc;
}

static Aceso__V1__Rule *row(struct ac_arena *a, const struct ac_pg_result *r, int i)
{
    Aceso__V1__Rule *x = ac_arena_alloc(a, sizeof *x);
    Aceso__V1__Meta *m = ac_arena_alloc(a, sizeof *m);
    if (!x || !m)
        return NULL;
    aceso__v1__rule__init(x);
    aceso__v1__meta__init(m);
    x->meta = m;
    x->namespace_ = ac_arena_strdup(a, ac_pg_str(r, i, 0));
    x->name = ac_arena_strdup(a, ac_pg_str(r, i, 1));
    m->id = ac_arena_strdup(a, ac_pg_str(r, i, 2));
    m->tenant = ac_arena_strdup(a, ac_pg_str(r, i, 3));
    m->source = ac_arena_strdup(a, ac_pg_str(r, i, 4));
    m->created_at_ns = ac_pg_int(r, i, 5);
    x->version = (uint64_t)ac_pg_int(r, i, 6);
    x->text = ac_arena_strdup(a, ac_pg_str(r, i, 7));
    x->enabled = ac_pg_str(r, i, 8)[0] == 't';
    x->origin = ac_arena_strdup(a, ac_pg_str(r, i, 9));
    x->job_id = ac_arena_strdup(a, ac_pg_str(r, i, 10));
    x->state_bytes = (uint64_t)ac_pg_int(r, i, 11);
    x->ops_per_point = ac_pg_float(r, i, 12);
    return ac_arena_failed(a) ? NULL : x;
}

static int list(struct ac_pg_conn *c, struct store_req *q, struct ac_err *err)
{
    const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns), AC_PG_TEXT(q->name)};
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(c, "SELECT revision FROM revision", NULL, 0, &r, err);
    if (rc < 0)
        return rc;
    uint64_t revision = (uint64_t)ac_pg_int(r, 0, 0);
    ac_pg_result_free(r);
    if (q->op == STORE_LIST || q->op == STORE_GET)
        q->revision = revision;
    rc = ac_pg_exec(
        c,
        "SELECT namespace, name, id, tenant, source, created_at_ns, version, text, enabled,"
        " origin, job_id, state_bytes, ops FROM rules WHERE ($1 = '' OR namespace = $1)"
        " AND ($2 = '' OR name = $2) ORDER BY namespace, name",
        p, 2, &r, err);
    if (rc < 0)
        return rc;
    int n = ac_pg_rows(r);
    q->rules = ac_arena_calloc(q->arena, (size_t)n + 1, sizeof(q->rules[0]));
    q->n_rules = 0;
    for (int i = 0; q->rules && i < n; i++) {
        q->rules[q->n_rules] = row(q->arena, r, i);
        q->n_rules += q->rules[q->n_rules] != NULL;
    }
    ac_pg_result_free(r);
    return ac_arena_failed(q->arena)
               ? ac_err_set(err, AC_EAGAIN, "the rules are too many for one answer")
               : 0;
}

static int job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct store_req *q = arg;
    if (q->op == STORE_PUT || q->op == STORE_DELETE) {
        int rc = change(c, q, err);
        if (rc < 0 || q->op == STORE_DELETE || q->job)
            return rc;
    }
    if (q->op == STORE_JOB)
        return jobs_write(c, q->job, q->t->svc->conf.tenant, err);
    return list(c, q, err);
}

static void finished(int code, const struct ac_err *err, void *arg)
{
    struct store_req *q = arg;
    if (code == 0 && (q->op == STORE_PUT || q->op == STORE_DELETE))
        rules_changed(q->t, q->ns, q->revision);
    q->done(q, code, err);
    req_free(q);
}

void store_submit(struct store_req *q)
{
    int rc = ac_pg_submit(q->t->svc->pg, job, finished, q);
    if (rc < 0) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, rc, "too many requests are waiting for the database");
        q->done(q, rc, &err);
        req_free(q);
    }
}

void rules_changed(struct trainer *t, const char *ns, uint64_t revision)
{
    Aceso__V1__RulesChanged m = ACESO__V1__RULES_CHANGED__INIT;
    Aceso__V1__Meta meta = ACESO__V1__META__INIT;
    struct ac_id id = ac_id_new();
    struct ac_err err = AC_ERR_INIT;
    meta.id = id.s;
    meta.tenant = t->svc->conf.tenant;
    meta.source = trainer_source;
    meta.created_at_ns = ac_wall_ns();
    m.meta = &meta;
    m.namespace_ = ac_xstrdup(ns);
    m.revision = revision;
    if (ac_bus_js_publish_pb(t->svc->bus, AC_SUBJECT_RULES, id.s, &m, NULL, NULL, &err) < 0)
        AC_LOGW("trainer", "change_not_published", AC_KERR(&err));
    free(m.namespace_);
}
