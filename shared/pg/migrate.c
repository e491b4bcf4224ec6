/* Versioned migrations of one schema, under an advisory lock so that many processes may start at
 * once. Migrations only go forward and stay readable by the version before: a database that is
 * ahead of this program (a rolling update) is accepted. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <aceso/clock.h>
#include <aceso/str.h>

#define LOCK_WAIT_MS 120000

static int64_t checksum(const char *sql)
{
    return (int64_t)(ac_hash_str(sql) >> 1);
}

static int apply(struct ac_pg_conn *c, const struct ac_pg_migration *m, struct ac_err *err)
{
    char v[24], h[24];
    const struct ac_pg_param p[] = {ac_pg_i64(v, m->version), ac_pg_i64(h, checksum(m->sql))};
    int rc = ac_pg_begin(c, err);

    if (!rc)
        rc = pg_conn_simple(c, m->sql, -1, err);
    if (!rc)
        rc = ac_pg_exec(c, "INSERT INTO schema_migrations (version, checksum) VALUES ($1, $2)", p,
                        2, NULL, err);
    if (!rc)
        rc = ac_pg_commit(c, err);
    if (rc)
        ac_pg_rollback(c);
    return rc;
}

static int apply_missing(struct ac_pg_conn *c, const struct ac_pg_migration *mig, size_t n,
                         struct ac_err *err)
{
    struct ac_pg_result *r;
    int rc = pg_conn_simple(c,
                            "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY "
                            "KEY, checksum bigint NOT NULL, applied_at timestamptz NOT NULL "
                            "DEFAULT now())",
                            -1, err);
    if (!rc)
        rc = ac_pg_exec(c, "SELECT version, checksum FROM schema_migrations", NULL, 0, &r, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && !rc; i++) {
        bool done = false;
        for (int row = 0; row < ac_pg_rows(r) && !rc; row++) {
            if (ac_pg_int(r, row, 0) != mig[i].version)
                continue;
            done = true;
            if (ac_pg_int(r, row, 1) != checksum(mig[i].sql))
                rc = ac_err_set(err, AC_ESTATE, "its text was changed after it was applied");
        }
        if (!rc && !done)
            rc = apply(c, &mig[i], err);
        if (rc)
            ac_err_wrap(err, "migration %d of schema %s", mig[i].version, c->opts->schema);
    }
    ac_pg_result_free(r);
    return rc;
}

int pg_migrate(struct ac_pg_conn *c, const struct ac_pg_migration *mig, size_t n,
               struct ac_err *err)
{
    char *schema = PQescapeIdentifier(c->pq, c->opts->schema, strlen(c->opts->schema)), *sql;
    long long key = (long long)(ac_hash_str(c->opts->schema) >> 2);
    int rc;

    if (!schema)
        return pg_error(c, NULL, err);
    for (size_t i = 0; i < n; i++)
        AC_ASSERT(mig[i].version == (int)i + 1);
    /* The lock may be waited for as long as another process migrates. */
    sql = ac_xasprintf("SET statement_timeout TO 0; SET lock_timeout TO %d", LOCK_WAIT_MS);
    rc = pg_conn_simple(c, sql, 10 * AC_NS_PER_S, err);
    free(sql);
    sql = ac_xasprintf("SELECT pg_advisory_lock(%lld)", key);
    if (!rc)
        rc = pg_conn_simple(c, sql, -1, err);
    free(sql);
    if (!rc) {
        sql = ac_xasprintf("CREATE SCHEMA IF NOT EXISTS %s", schema);
        rc = pg_conn_simple(c, sql, -1, err);
        free(sql);
        if (!rc)
            rc = apply_missing(c, mig, n, err);
        sql = ac_xasprintf("SELECT pg_advisory_unlock(%lld); SET lock_timeout TO 0;"
                           "SET statement_timeout TO %lld",
                           key, c->opts->statement_timeout_ns / AC_NS_PER_MS);
        /* When this fails the connection is gone, and the lock with it. */
        if (pg_conn_simple(c, sql, 10 * AC_NS_PER_S, NULL))
            pg_conn_close(c);
        free(sql);
    }
    PQfreemem(schema);
    return rc;
}
