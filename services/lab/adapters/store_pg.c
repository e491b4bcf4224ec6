#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

const struct ac_pg_migration lab_migrations[] = {
    {1, "CREATE TABLE sessions (id text PRIMARY KEY, request_id text UNIQUE, created_ns bigint NOT "
        "NULL,"
        " tenant text NOT NULL DEFAULT 'default', phase text NOT NULL, state text NOT NULL);"
        "CREATE TABLE events (session text NOT NULL REFERENCES sessions ON DELETE CASCADE, "
        "sequence bigint NOT NULL,"
        " time_ns bigint NOT NULL, phase text NOT NULL, kind text NOT NULL, text text NOT NULL,"
        " PRIMARY KEY (session, sequence));"
        "CREATE TABLE faults (session text NOT NULL REFERENCES sessions ON DELETE CASCADE, index "
        "int NOT NULL,"
        " state int NOT NULL, changed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (session, "
        "index));"},
};
const size_t lab_n_migrations = AC_ARRAY_LEN(lab_migrations);

int lab_store_state_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    const struct lab_state *s = arg;
    char created[24];
    ac_cleanup(ac_free_p) char *text = lab_state_text(s);
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(s->id), s->request_id[0] ? AC_PG_TEXT(s->request_id) : AC_PG_NULL,
        ac_pg_i64(created, s->created_ns), AC_PG_TEXT(lab_phase_name(s->phase)), AC_PG_TEXT(text)};
    return ac_pg_exec(c,
                      "INSERT INTO sessions (id, request_id, created_ns, phase, state) VALUES ($1, "
                      "$2, $3, $4, $5)"
                      " ON CONFLICT (id) DO UPDATE SET phase = $4, state = $5",
                      p, 5, NULL, err);
}

int lab_store_state(struct ac_pg *pg, const struct lab_state *s, struct ac_err *err)
{
    struct lab_state copy = *s;
    return ac_pg_run(pg, lab_store_state_job, &copy, err);
}

struct event_arg {
    const char *session;
    const struct lab_event *e;
};

static int store_event(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    const struct event_arg *a = arg;
    char seq[24], time[24];
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(a->session),         ac_pg_i64(seq, (int64_t)a->e->sequence),
        ac_pg_i64(time, a->e->time_ns), AC_PG_TEXT(lab_phase_name(a->e->phase)),
        AC_PG_TEXT(a->e->kind),         AC_PG_TEXT(a->e->text)};
    return ac_pg_exec(
        c,
        "INSERT INTO events (session, sequence, time_ns, phase, kind, text) VALUES ($1, $2, $3, $4,"
        " $5, $6) ON CONFLICT DO NOTHING",
        p, 6, NULL, err);
}

int lab_store_event(struct ac_pg *pg, const char *session, const struct lab_event *e,
                    struct ac_err *err)
{
    struct event_arg a = {session, e};
    return ac_pg_run(pg, store_event, &a, err);
}

struct list_arg {
    int limit;
    struct lab_state *list;
    size_t n;
};

static int list_sessions(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct list_arg *a = arg;
    char limit[24];
    const struct ac_pg_param p[] = {ac_pg_i64(limit, a->limit)};
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(c, "SELECT state FROM sessions ORDER BY created_ns DESC LIMIT $1", p, 1, &r,
                        err);
    if (rc != 0)
        return rc;
    int rows = ac_pg_rows(r);
    a->list = ac_xcalloc((size_t)rows + 1, sizeof(*a->list));
    a->n = 0;
    for (int i = 0; rc == 0 && i < rows; i++)
        rc = lab_state_parse(ac_pg_str(r, i, 0), &a->list[a->n++], err);
    ac_pg_result_free(r);
    if (rc != 0)
        free(a->list);
    return rc;
}

int lab_store_list(struct ac_pg *pg, int limit, struct lab_state **ret, size_t *ret_n,
                   struct ac_err *err)
{
    struct list_arg a = {.limit = limit};
    int rc = ac_pg_run(pg, list_sessions, &a, err);
    if (rc == 0) {
        *ret = a.list;
        *ret_n = a.n;
    }
    return rc;
}

struct events_arg {
    const char *session;
    struct lab_event *list;
    size_t n;
};

static int list_events(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct events_arg *a = arg;
    const struct ac_pg_param p[] = {AC_PG_TEXT(a->session)};
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(c,
                        "SELECT sequence, time_ns, phase, kind, text FROM events WHERE session = "
                        "$1 ORDER BY sequence",
                        p, 1, &r, err);
    if (rc != 0)
        return rc;
    int rows = ac_pg_rows(r);
    a->list = ac_xcalloc((size_t)rows + 1, sizeof(*a->list));
    for (int i = 0; i < rows; i++) {
        struct lab_event *e = &a->list[i];
        e->sequence = (uint64_t)ac_pg_int(r, i, 0);
        e->time_ns = ac_pg_int(r, i, 1);
        e->phase = lab_phase_from_name(ac_pg_str(r, i, 2));
        ac_str_copy(e->kind, sizeof(e->kind), ac_pg_str(r, i, 3));
        ac_str_copy(e->text, sizeof(e->text), ac_pg_str(r, i, 4));
    }
    a->n = (size_t)rows;
    ac_pg_result_free(r);
    return 0;
}

int lab_store_events(struct ac_pg *pg, const char *session, struct lab_event **ret, size_t *ret_n,
                     struct ac_err *err)
{
    struct events_arg a = {.session = session};
    int rc = ac_pg_run(pg, list_events, &a, err);
    if (rc == 0) {
        *ret = a.list;
        *ret_n = a.n;
    }
    return rc;
}

struct journal_arg {
    const char *session;
    int index;
    enum lab_fault_state state;
};

static int journal_set(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    const struct journal_arg *a = arg;
    char index[24], state[24];
    const struct ac_pg_param p[] = {AC_PG_TEXT(a->session), ac_pg_i64(index, a->index),
                                    ac_pg_i64(state, a->state)};
    return ac_pg_exec(c,
                      "INSERT INTO faults (session, index, state) VALUES ($1, $2, $3) ON CONFLICT "
                      "(session, index)"
                      " DO UPDATE SET state = $3, changed_at = now()",
                      p, 3, NULL, err);
}

int lab_journal_set(struct ac_pg *pg, const char *session, int index, enum lab_fault_state state,
                    struct ac_err *err)
{
    struct journal_arg a = {session, index, state};
    return ac_pg_run(pg, journal_set, &a, err);
}

static int journal_get(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct journal_arg *a = arg;
    char index[24];
    const struct ac_pg_param p[] = {AC_PG_TEXT(a->session), ac_pg_i64(index, a->index)};
    struct ac_pg_result *r = NULL;
    int rc =
        ac_pg_exec(c, "SELECT state FROM faults WHERE session = $1 AND index = $2", p, 2, &r, err);
    if (rc != 0)
        return rc;
    a->state = ac_pg_rows(r) > 0 ? (enum lab_fault_state)ac_pg_int(r, 0, 0) : LAB_FAULT_ABSENT;
    ac_pg_result_free(r);
    return 0;
}

int lab_journal_get(struct ac_pg *pg, const char *session, int index, enum lab_fault_state *ret,
                    struct ac_err *err)
{
    struct journal_arg a = {session, index, LAB_FAULT_ABSENT};
    int rc = ac_pg_run(pg, journal_get, &a, err);
    if (rc == 0)
        *ret = a.state;
    return rc;
}
