/* One connection: connecting, waiting with a deadline, errors as codes, prepared statements. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>

#include <aceso/clock.h>
#include <aceso/str.h>

/* The server ends a statement at its timeout; a server that does not even do that (stopped,
 * unreachable) is given this much longer. */
#define GRACE_NS (3 * AC_NS_PER_S)

void pg_conn_init(struct ac_pg_conn *c, const struct ac_pg_opts *o)
{
    memset(c, 0, sizeof *c);
    c->magic = PG_CONN_MAGIC;
    c->opts = o;
    c->prepared = ac_map_create(free);
}

void pg_conn_close(struct ac_pg_conn *c)
{
    if (c->pq)
        PQfinish(c->pq);
    c->pq = NULL;
    c->stale = false;
    ac_map_clear(c->prepared);
}

void pg_conn_fini(struct ac_pg_conn *c)
{
    pg_conn_close(c);
    ac_map_destroy(c->prepared);
    c->magic = 0;
}

bool pg_conn_alive(const struct ac_pg_conn *c)
{
    return c->pq && PQstatus(c->pq) == CONNECTION_OK;
}

int64_t pg_conn_deadline(const struct ac_pg_conn *c)
{
    return ac_now_ns() + c->opts->statement_timeout_ns + GRACE_NS;
}

/* libpq's texts end with a newline and may have several lines; one line is enough. */
static int set_text(struct ac_err *err, int code, const char *text)
{
    size_t n = strcspn(text, "\n");

    return ac_err_set(err, code, "postgres: %.*s", (int)AC_MIN(n, (size_t)200), text);
}

static int code_of_state(const char *s)
{
    static const struct {
        const char *prefix;
        int code;
    } map[] = {
        {"23505", AC_EEXISTS},  {"23", AC_ESTATE},  {"40", AC_EABORTED},     {"57014", AC_ETIMEOUT},
        {"55P03", AC_ETIMEOUT}, {"57P", AC_ENET},   {"08", AC_ENET},         {"53100", AC_EIO},
        {"53300", AC_ENET},     {"53", AC_EAGAIN},  {"22003", AC_ERANGE},    {"22", AC_EINVAL},
        {"42501", AC_EPERM},    {"28", AC_EUNAUTH}, {"3D000", AC_ENOTFOUND}, {"26000", AC_EABORTED},
        {"0A000", AC_EABORTED}, {"58", AC_EIO},
    };

    for (size_t i = 0; i < AC_ARRAY_LEN(map); i++) {
        if (ac_str_starts(s, map[i].prefix))
            return map[i].code;
    }
    return AC_EINTERNAL;
}

int pg_error(const struct ac_pg_conn *c, const PGresult *res, struct ac_err *err)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

    if (state) {
        int code = code_of_state(state);
        const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
        return ac_err_set(err, code, "postgres: %s (%s)", text ? text : "error", state);
    }
    if (!pg_conn_alive(c))
        return set_text(err, AC_ENET, c->pq ? PQerrorMessage(c->pq) : "not connected");
    return set_text(err, AC_EINTERNAL, PQerrorMessage(c->pq));
}

/* Connecting gives no SQLSTATE, only text; these are the errors that waiting does not mend. */
static int code_of_connect(const char *text)
{
    if (strstr(text, "password") || strstr(text, "authentication") || strstr(text, "pg_hba.conf"))
        return AC_EUNAUTH;
    if (strstr(text, "FATAL") && strstr(text, "does not exist"))
        return AC_ENOTFOUND;
    if (strstr(text, "invalid connection option") || strstr(text, "invalid URI") ||
        strstr(text, "missing \"=\"") || strstr(text, "invalid port") ||
        strstr(text, "invalid integer value") || strstr(text, "unterminated quoted"))
        return AC_EINVAL;
    return AC_ENET;
}

static int set_session(struct ac_pg_conn *c, struct ac_err *err)
{
    char *schema = PQescapeIdentifier(c->pq, c->opts->schema, strlen(c->opts->schema));
    char *sql;
    int rc;

    if (!schema)
        return pg_error(c, NULL, err);
    sql = ac_xasprintf("SET client_min_messages TO warning; SET bytea_output TO hex;"
                       "SET datestyle TO iso; SET timezone TO utc; SET extra_float_digits TO 3;"
                       "SET search_path TO %s; SET statement_timeout TO %lld;"
                       "SET idle_in_transaction_session_timeout TO %lld",
                       schema, c->opts->statement_timeout_ns / AC_NS_PER_MS,
                       AC_MAX(60 * AC_NS_PER_S, 2 * c->opts->statement_timeout_ns) / AC_NS_PER_MS);
    PQfreemem(schema);
    rc = pg_conn_simple(c, sql, 10 * AC_NS_PER_S, err);
    free(sql);
    return rc;
}

int pg_conn_open(struct ac_pg_conn *c, int64_t timeout_ns, struct ac_err *err)
{
    char timeout[24];
    /* A conninfo given as dbname is expanded; what follows it wins over what it says. */
    const char *keys[] = {"dbname",
                          "connect_timeout",
                          "keepalives_idle",
                          "keepalives_interval",
                          "keepalives_count",
                          "tcp_user_timeout",
                          "fallback_application_name",
                          "client_encoding",
                          NULL};
    const char *values[] = {c->opts->url, timeout, "10", "5", "3", "15000", "aceso", "UTF8", NULL};
    int rc;

    AC_CHECK_OBJ(c, PG_CONN_MAGIC);
    pg_conn_close(c);
    (void)snprintf(timeout, sizeof timeout, "%lld",
                   AC_MAX(AC_MIN(timeout_ns / AC_NS_PER_S, 10), 2));
    c->pq = PQconnectdbParams(keys, values, 1);
    if (!c->pq)
        return ac_err_set(err, AC_ENOMEM, "postgres: out of memory");
    if (PQstatus(c->pq) != CONNECTION_OK) {
        const char *text = PQerrorMessage(c->pq), *why = strstr(text, " failed: ");
        /* "connection to server at ... failed: ": the caller says where. */
        rc = set_text(err, code_of_connect(text), why ? why + strlen(" failed: ") : text);
        pg_conn_close(c);
        return rc;
    }
    rc = set_session(c, err);
    if (rc)
        pg_conn_close(c);
    return rc;
}

/* Waits for input; the socket is in libpq's blocking mode, so that all output is sent already. */
static int wait_input(struct ac_pg_conn *c, int64_t deadline_ns, struct ac_err *err)
{
    struct pollfd p = {.fd = PQsocket(c->pq), .events = POLLIN};
    int64_t left = deadline_ns - ac_now_ns();
    int n;

    if (p.fd < 0)
        return pg_error(c, NULL, err);
    if (left <= 0) {
        /* The answer may still come: the connection cannot be used again. */
        pg_conn_close(c);
        return ac_err_set(err, AC_ETIMEOUT, "postgres: no answer in time");
    }
    n = poll(&p, 1, (int)AC_MIN(left / AC_NS_PER_MS + 1, 60000));
    if (n < 0 && errno != EINTR)
        return ac_err_errno(err, errno, "postgres: poll");
    if (n > 0 && !PQconsumeInput(c->pq))
        return pg_error(c, NULL, err);
    return AC_OK;
}

int pg_conn_result(struct ac_pg_conn *c, int64_t deadline_ns, PGresult **ret, struct ac_err *err)
{
    while (PQisBusy(c->pq)) {
        int rc = wait_input(c, deadline_ns, err);
        if (rc)
            return rc;
    }
    *ret = PQgetResult(c->pq);
    return AC_OK;
}

/* Takes all results of a command and keeps the last, or the first that failed. */
static int collect(struct ac_pg_conn *c, int64_t deadline_ns, PGresult **ret, struct ac_err *err)
{
    PGresult *keep = NULL, *r = NULL;
    int failed = AC_OK;

    for (;;) {
        int rc = pg_conn_result(c, deadline_ns, &r, err);
        ExecStatusType st;
        if (rc) {
            PQclear(keep);
            return rc;
        }
        if (!r)
            break;
        st = PQresultStatus(r);
        if (!failed && (st == PGRES_FATAL_ERROR || st == PGRES_BAD_RESPONSE))
            failed = pg_error(c, r, err);
        PQclear(keep);
        keep = r;
        /* In COPY mode there is no end to wait for. */
        if (st == PGRES_COPY_IN || st == PGRES_COPY_OUT || st == PGRES_COPY_BOTH)
            break;
        if (!pg_conn_alive(c))
            break;
    }
    if (!failed && !keep)
        failed = pg_error(c, NULL, err);
    if (failed) {
        PQclear(keep);
        return failed;
    }
    *ret = keep;
    return AC_OK;
}

int pg_conn_simple(struct ac_pg_conn *c, const char *sql, int64_t timeout_ns, struct ac_err *err)
{
    PGresult *res;
    int rc;

    if (!c->pq)
        return ac_err_set(err, AC_ENET, "postgres: not connected");
    if (!PQsendQuery(c->pq, sql))
        return pg_error(c, NULL, err);
    rc = collect(c, timeout_ns < 0 ? INT64_MAX : ac_now_ns() + timeout_ns, &res, err);
    if (!rc)
        PQclear(res);
    return rc;
}

bool pg_conn_tidy(struct ac_pg_conn *c)
{
    bool open = false;

    if (pg_conn_alive(c) && PQtransactionStatus(c->pq) != PQTRANS_IDLE) {
        open = true;
        if (PQtransactionStatus(c->pq) == PQTRANS_ACTIVE ||
            pg_conn_simple(c, "ROLLBACK", 5 * AC_NS_PER_S, NULL))
            pg_conn_close(c);
    }
    if (c->pq && (c->stale || !pg_conn_alive(c)))
        pg_conn_close(c);
    return open;
}

/* Gives the name of the prepared statement for this text. */
static int prepare(struct ac_pg_conn *c, const char *sql, const char **ret_name, struct ac_err *err)
{
    char *name = ac_map_get(c->prepared, sql);
    PGresult *res;
    int rc;

    if (name) {
        *ret_name = name;
        return AC_OK;
    }
    if (ac_map_len(c->prepared) >= PG_MAX_PREPARED) {
        rc = pg_conn_simple(c, "DEALLOCATE ALL", 5 * AC_NS_PER_S, err);
        if (rc)
            return rc;
        ac_map_clear(c->prepared);
    }
    name = ac_xasprintf("s%u", c->next_name++);
    if (!PQsendPrepare(c->pq, name, sql, 0, NULL))
        rc = pg_error(c, NULL, err);
    else
        rc = collect(c, pg_conn_deadline(c), &res, err);
    if (rc) {
        free(name);
        return rc;
    }
    PQclear(res);
    ac_map_set(c->prepared, sql, name);
    *ret_name = name;
    return AC_OK;
}

#define MAX_PARAMS 256

int ac_pg_exec(struct ac_pg_conn *c, const char *sql, const struct ac_pg_param *params, int n,
               struct ac_pg_result **ret, struct ac_err *err)
{
    const char *values[MAX_PARAMS], *name;
    int lens[MAX_PARAMS], formats[MAX_PARAMS], rc;
    struct ac_err local = AC_ERR_INIT;
    PGresult *res;

    AC_CHECK_OBJ(c, PG_CONN_MAGIC);
    AC_ASSERT(n >= 0 && n <= MAX_PARAMS);
    if (!pg_conn_alive(c))
        return pg_error(c, NULL, err);
    rc = prepare(c, sql, &name, &local);
    if (rc)
        goto fail;
    for (int i = 0; i < n; i++) {
        values[i] = params[i].data;
        lens[i] = params[i].len;
        formats[i] = params[i].binary;
    }
    if (!PQsendQueryPrepared(c->pq, name, n, values, lens, formats, 0))
        rc = pg_error(c, NULL, &local);
    else
        rc = collect(c, pg_conn_deadline(c), &res, &local);
    if (rc)
        goto fail;
    if (ret) {
        struct ac_pg_result *r = ac_xcalloc(1, sizeof *r);
        r->res = res;
        *ret = r;
    } else {
        PQclear(res);
    }
    return AC_OK;
fail:
    /* A table changed under a prepared statement, or the statement is gone: prepare afresh. */
    if (strstr(local.msg, "(0A000)") || strstr(local.msg, "(26000)"))
        c->stale = true;
    return ac_err_set(err, local.code, "%s", local.msg);
}

int ac_pg_begin(struct ac_pg_conn *c, struct ac_err *err)
{
    AC_CHECK_OBJ(c, PG_CONN_MAGIC);
    return pg_conn_simple(c, "BEGIN", pg_conn_deadline(c) - ac_now_ns(), err);
}

int ac_pg_commit(struct ac_pg_conn *c, struct ac_err *err)
{
    bool failed;
    int rc;

    AC_CHECK_OBJ(c, PG_CONN_MAGIC);
    failed = c->pq && PQtransactionStatus(c->pq) == PQTRANS_INERROR;
    rc = pg_conn_simple(c, "COMMIT", pg_conn_deadline(c) - ac_now_ns(), err);
    /* COMMIT of a failed transaction rolls back and reports success. */
    if (!rc && failed)
        return ac_err_set(err, AC_ESTATE,
                          "postgres: the transaction had failed and was rolled back");
    return rc;
}

void ac_pg_rollback(struct ac_pg_conn *c)
{
    AC_CHECK_OBJ(c, PG_CONN_MAGIC);
    if (c->pq && PQtransactionStatus(c->pq) != PQTRANS_IDLE)
        (void)!pg_conn_simple(c, "ROLLBACK", 5 * AC_NS_PER_S, NULL);
}
