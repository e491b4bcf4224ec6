/* Jobs in PostgreSQL: the request from the first moment on, the result with its rules. */
#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

#include "adapters/service.h"

#define JOB_MAX_BYTES (32u << 20)

void stored_job_free(struct stored_job *j)
{
    if (!j)
        return;
    free(j->id);
    free(j->request_id);
    free(j->ns);
    ac_buf_fini(&j->job);
    ac_buf_fini(&j->request);
    free(j);
}

int jobs_write(struct ac_pg_conn *c, const struct stored_job *j, const char *tenant,
               struct ac_err *err)
{
    char at[24], kept[24];
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(j->id),
        AC_PG_TEXT(tenant),
        AC_PG_TEXT(j->request_id),
        AC_PG_TEXT(j->ns),
        ac_pg_i64(at, j->created_ns),
        AC_PG_TEXT(j->over ? "t" : "f"),
        AC_PG_BYTES(j->job.data, j->job.len),
        AC_PG_BYTES(j->request.data, j->request.len),
    };
    int rc = ac_pg_exec(c,
                        "INSERT INTO jobs (id, tenant, request_id, namespace, created_at_ns, over,"
                        " job, request) VALUES ($1, $2, $3, $4, $5, $6::boolean, $7, $8)"
                        " ON CONFLICT (id) DO UPDATE SET over = excluded.over, job = excluded.job",
                        p, (int)AC_ARRAY_LEN(p), NULL, err);
    if (rc || !j->over)
        return rc;
    const struct ac_pg_param k[] = {ac_pg_i64(kept, JOBS_KEPT)};
    return ac_pg_exec(c,
                      "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE over"
                      " ORDER BY created_at_ns DESC OFFSET $1)",
                      k, 1, NULL, err);
}

struct loading {
    struct trainer *t;
    void (*fn)(struct trainer *t, const Aceso__V1__Job *job,
               const Aceso__V1__StartJobRequest *request);
};

static int load(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    const struct loading *l = arg;
    struct ac_pg_result *r = NULL;
    int rc =
        ac_pg_exec(c, "SELECT job, request FROM jobs ORDER BY created_at_ns, id", NULL, 0, &r, err);
    if (rc)
        return rc;
    struct ac_arena *a = ac_arena_create(8 * (size_t)JOB_MAX_BYTES);
    for (int i = 0; i < ac_pg_rows(r); i++) {
        Aceso__V1__Job *job;
        Aceso__V1__StartJobRequest *request;
        struct ac_err bad = AC_ERR_INIT;
        size_t n, m;
        const void *b = ac_pg_bytes(r, i, 0, &n), *q = ac_pg_bytes(r, i, 1, &m);
        if (AC_PB_UNPACK(aceso__v1__job, b, n, a, &job, &bad) == 0 && job->meta &&
            AC_PB_UNPACK(aceso__v1__start_job_request, q, m, a, &request, &bad) == 0)
            l->fn(l->t, job, request);
        else
            AC_LOGW("trainer", "job_unreadable", AC_KERR(&bad));
        ac_arena_reset(a);
    }
    ac_arena_destroy(a);
    ac_pg_result_free(r);
    return 0;
}

int jobs_load(struct trainer *t,
              void (*fn)(struct trainer *t, const Aceso__V1__Job *job,
                         const Aceso__V1__StartJobRequest *request),
              struct ac_err *err)
{
    struct loading l = {t, fn};
    return ac_pg_run(t->svc->pg, load, &l, err);
}
