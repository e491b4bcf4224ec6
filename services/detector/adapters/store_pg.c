/* The detector's memory in PostgreSQL (schema detector): one transaction holds the state of the
 * series together with the position in the stream that it belongs to. */
#include "detector_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

/* Strings of telemetry are stored as bytes: nobody promises that they are text in UTF-8. */
const struct ac_pg_migration det_migrations[] = {
    {1, "CREATE TABLE position ("
        " one integer PRIMARY KEY CHECK (one = 1),"
        " epoch bigint NOT NULL,"
        " stream_seq bigint NOT NULL,"
        " stream_ns bigint NOT NULL,"
        " revision bigint NOT NULL,"
        " rules bytea NOT NULL);"
        "INSERT INTO position VALUES (1, 0, -1, 0, 0, '');"
        "CREATE TABLE series (key bytea PRIMARY KEY, state bytea NOT NULL);"
        "CREATE TABLE alerts ("
        " id text PRIMARY KEY,"
        " namespace text NOT NULL,"
        " started_ns bigint NOT NULL,"
        " sequence bigint NOT NULL,"
        " open boolean NOT NULL,"
        " stream_seq bigint NOT NULL,"
        " stream_ns bigint NOT NULL,"
        " body bytea NOT NULL);"
        "CREATE INDEX alerts_by_time ON alerts (started_ns DESC);"
        "CREATE INDEX alerts_by_position ON alerts (stream_seq);"},
    {2, "ALTER TABLE position ADD COLUMN clock_ns bigint NOT NULL DEFAULT 0;"
        "UPDATE position SET clock_ns = stream_ns;"},
};
const size_t det_n_migrations = AC_ARRAY_LEN(det_migrations);

#define LIST_MAX     10000
#define LIST_DEFAULT 1000
#define ANSWER_MAX   (48u << 20)

/* ---- writing ---- */

static int write_alert(struct ac_pg_conn *c, const struct outbox_item *m, struct ac_err *err)
{
    char started[24], sequence[24], seq[24], at[24];
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(m->id),
        AC_PG_TEXT(m->ns),
        ac_pg_i64(started, m->started_ns),
        ac_pg_i64(sequence, (int64_t)m->sequence),
        AC_PG_TEXT(m->open ? "t" : "f"),
        ac_pg_i64(seq, (int64_t)m->stream_seq),
        ac_pg_i64(at, m->stream_ns),
        AC_PG_BYTES(m->body, m->len),
    };
    return ac_pg_exec(c,
                      "INSERT INTO alerts (id, namespace, started_ns, sequence, open, stream_seq,"
                      " stream_ns, body) VALUES ($1, $2, $3, $4, $5::boolean, $6, $7, $8)"
                      " ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence,"
                      " open = excluded.open, stream_seq = excluded.stream_seq,"
                      " stream_ns = excluded.stream_ns,"
                      " body = excluded.body WHERE alerts.sequence < excluded.sequence",
                      p, (int)AC_ARRAY_LEN(p), NULL, err);
}

static int write_position(struct ac_pg_conn *c, const struct det_write *w, struct ac_err *err)
{
    char epoch[24], seq[24], at[24], revision[24], clock[24];
    struct ac_pg_result *r = NULL;
    const struct ac_pg_param p[] = {
        ac_pg_i64(epoch, w->epoch),
        ac_pg_i64(seq, (int64_t)w->position),
        ac_pg_i64(at, w->stream_ns),
        ac_pg_i64(revision, (int64_t)w->revision),
        w->rules ? AC_PG_BYTES(w->rules, w->rules_len) : AC_PG_NULL,
        ac_pg_i64(clock, w->clock_ns),
    };
    int rc = ac_pg_exec(c,
                        "UPDATE position SET stream_seq = $2, stream_ns = $3, revision = $4,"
                        " rules = coalesce($5::bytea, rules), clock_ns = $6 WHERE epoch = $1",
                        p, (int)AC_ARRAY_LEN(p), &r, err);
    if (rc)
        return rc;
    bool mine = ac_pg_affected(r) == 1;
    ac_pg_result_free(r);
    return mine ? 0
                : ac_err_set(err, AC_ESTATE,
                             "another detector has taken over this database: give each its own "
                             "--pg-url, or stop one of them");
}

static int copy_states(struct ac_pg_conn *c, const struct ac_buf *b, struct ac_err *err)
{
    struct ac_pg_copy *k = NULL;
    int rc = ac_pg_exec(c,
                        "CREATE TEMPORARY TABLE IF NOT EXISTS incoming (key bytea, state bytea)"
                        " ON COMMIT DELETE ROWS",
                        NULL, 0, NULL, err);
    if (!rc)
        rc = ac_pg_copy_begin(c, "incoming (key, state)", &k, err);
    if (rc)
        return rc;
    for (size_t at = 0; at < b->len;) {
        struct det_state st;
        memcpy(&st, b->data + at, sizeof st);
        at += sizeof st;
        ac_pg_copy_row(k, 2);
        ac_pg_copy_bytes(k, b->data + at, st.key_len);
        ac_pg_copy_bytes(k, b->data + at + st.key_len, st.len);
        at += (size_t)st.key_len + st.len;
    }
    rc = ac_pg_copy_end(k, err);
    return rc ? rc
              : ac_pg_exec(c,
                           "INSERT INTO series SELECT key, state FROM incoming"
                           " ON CONFLICT (key) DO UPDATE SET state = excluded.state",
                           NULL, 0, NULL, err);
}

static int write_snapshot(struct ac_pg_conn *c, const struct det_write *w, struct ac_err *err)
{
    char before[24];
    int rc = write_position(c, w, err); /* first: it locks out a second detector */
    for (size_t i = 0; !rc && i < w->n_forgotten; i++) {
        const struct ac_pg_param p[] = {AC_PG_BYTES(w->forgotten[i], strlen(w->forgotten[i]))};
        rc = ac_pg_exec(c, "DELETE FROM series WHERE key = $1", p, 1, NULL, err);
    }
    if (!rc && w->states.len)
        rc = copy_states(c, &w->states, err);
    if (!rc && w->sweep_before_ns) {
        const struct ac_pg_param p[] = {ac_pg_i64(before, w->sweep_before_ns)};
        rc = ac_pg_exec(c, "DELETE FROM alerts WHERE stream_ns < $1 AND NOT open", p, 1, NULL, err);
    }
    return rc;
}

int det_store_write(struct ac_pg_conn *c, struct det_write *w, struct ac_err *err)
{
    int rc = ac_pg_begin(c, err);
    for (const struct outbox_item *m = w->told; !rc && m; m = m->next)
        rc = write_alert(c, m, err);
    if (!rc && w->whole)
        rc = write_snapshot(c, w, err);
    if (!rc)
        rc = ac_pg_commit(c, err);
    if (rc)
        ac_pg_rollback(c);
    return rc;
}

/* ---- at start ---- */

static int load_position(struct det_service *s, struct ac_pg_conn *c, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    size_t len;
    int rc = ac_pg_exec(c,
                        "UPDATE position SET epoch = epoch + 1"
                        " RETURNING epoch, stream_seq, stream_ns, revision, rules, clock_ns",
                        NULL, 0, &r, err);
    if (rc)
        return rc;
    if (ac_pg_rows(r) != 1) {
        ac_pg_result_free(r);
        return ac_err_set(err, AC_EDATALOSS, "table detector.position is empty");
    }
    s->epoch = ac_pg_int(r, 0, 0);
    s->first_start = ac_pg_int(r, 0, 1) < 0;
    s->position = s->first_start ? 0 : (uint64_t)ac_pg_int(r, 0, 1);
    s->stream_ns = ac_pg_int(r, 0, 2);
    s->clock_ns = ac_pg_int(r, 0, 5);
    struct det_rules rules = {.revision = (uint64_t)ac_pg_int(r, 0, 3)};
    s->stored_revision = rules.revision;
    const void *bytes = ac_pg_bytes(r, 0, 4, &len);
    if (len) {
        rules.bytes = ac_xmalloc(len);
        rules.len = len;
        memcpy(rules.bytes, bytes, len);
    }
    ac_pg_result_free(r);
    if (len && !det_rules_take(s, rules))
        AC_LOGW("detector", "stored_rules_unreadable", AC_KI("bytes", len));
    return 0;
}

static int load_series(struct det_service *s, struct ac_pg_conn *c, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    size_t bad = 0;
    int rc = ac_pg_exec(c, "SELECT key, state FROM series", NULL, 0, &r, err);
    if (rc)
        return rc;
    for (int i = 0; i < ac_pg_rows(r); i++) {
        size_t key_len, len;
        const void *k = ac_pg_bytes(r, i, 0, &key_len), *st = ac_pg_bytes(r, i, 1, &len);
        char *key = ac_xstrndup(k, key_len);
        bad += !engine_restore(s->engine, key, st, len);
        free(key);
    }
    if (bad)
        AC_LOGW("detector", "states_unreadable", AC_KI("series", bad));
    ac_pg_result_free(r);
    return 0;
}

/* Alerts that the bus already has, from messages behind the position: they will come again. */
static int load_repeats(struct det_service *s, struct ac_pg_conn *c, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    char seq[24];
    const struct ac_pg_param p[] = {ac_pg_i64(seq, (int64_t)s->position)};
    int rc = ac_pg_exec(c, "SELECT id, sequence FROM alerts WHERE stream_seq > $1", p, 1, &r, err);
    if (rc)
        return rc;
    for (int i = 0; i < ac_pg_rows(r); i++) {
        struct det_repeat *x = ac_xmalloc(sizeof *x);
        x->sequence = (uint64_t)ac_pg_int(r, i, 1);
        ac_map_set(s->repeats, ac_pg_str(r, i, 0), x);
    }
    ac_pg_result_free(r);
    return 0;
}

/* Where the first start begins is written down before the first point: from then on every process
 * goes on where the one before it was. */
static int pin_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    const struct det_service *s = arg;
    char seq[24];
    const struct ac_pg_param p[] = {ac_pg_i64(seq, (int64_t)s->position)};
    return ac_pg_exec(c, "UPDATE position SET stream_seq = $1 WHERE stream_seq < 0", p, 1, NULL,
                      err);
}

int det_store_pin(struct det_service *s, struct ac_err *err)
{
    return ac_pg_run(s->svc->pg, pin_job, s, err);
}

static int load_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct det_service *s = arg;
    int rc = load_position(s, c, err);
    if (!rc)
        rc = load_series(s, c, err);
    return rc ? rc : load_repeats(s, c, err);
}

int det_store_load(struct det_service *s, struct ac_err *err)
{
    return ac_pg_run(s->svc->pg, load_job, s, err);
}

/* ---- queries ---- */

struct query {
    struct ac_rpc_call *call;
    char *ns;
    bool open_only;
    int64_t since_ns;
    uint32_t limit;
    struct ac_buf bodies; /* each: length (uint32), bytes */
    size_t n;
};

static int query_job(struct ac_pg_conn *c, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    struct ac_pg_result *r = NULL;
    char since[24], limit[24];
    const struct ac_pg_param p[] = {AC_PG_TEXT(q->ns), AC_PG_TEXT(q->open_only ? "1" : ""),
                                    ac_pg_i64(since, q->since_ns), ac_pg_i64(limit, q->limit)};
    int rc = ac_pg_exec(c,
                        "SELECT body FROM alerts WHERE ($1 = '' OR namespace = $1)"
                        " AND ($2 = '' OR open) AND started_ns >= $3"
                        " ORDER BY started_ns DESC, id LIMIT $4",
                        p, (int)AC_ARRAY_LEN(p), &r, err);
    if (rc)
        return rc;
    ac_buf_reset(&q->bodies);
    q->n = 0;
    for (int i = 0; i < ac_pg_rows(r); i++, q->n++) {
        size_t len;
        const void *b = ac_pg_bytes(r, i, 0, &len);
        uint32_t n = (uint32_t)len;
        ac_buf_append(&q->bodies, &n, sizeof n);
        ac_buf_append(&q->bodies, b, len);
    }
    ac_pg_result_free(r);
    return q->bodies.failed
               ? ac_err_set(err, AC_EAGAIN, "the alerts are too many for one answer: set a limit")
               : 0;
}

static void reply(struct query *q, struct ac_err *err)
{
    struct ac_arena *a = ac_arena_create(8 * (size_t)ANSWER_MAX);
    Aceso__V1__ListAlertsResponse res = ACESO__V1__LIST_ALERTS_RESPONSE__INIT;
    res.alerts = ac_arena_calloc(a, q->n + 1, sizeof(*res.alerts));
    if (!res.alerts)
        (void)ac_err_set(err, AC_EAGAIN, "the answer is too large: set a limit");
    for (size_t at = 0; !err->code && at < q->bodies.len;) {
        uint32_t n;
        memcpy(&n, q->bodies.data + at, sizeof n);
        if (AC_PB_UNPACK(aceso__v1__alert, q->bodies.data + at + sizeof n, n, a,
                         &res.alerts[res.n_alerts], err) == 0)
            res.n_alerts++;
        at += sizeof n + n;
    }
    if (!err->code)
        ac_rpc_reply(q->call, &res);
    ac_arena_destroy(a);
}

static void query_done(int code, const struct ac_err *err, void *arg)
{
    struct query *q = arg;
    struct ac_err e = AC_ERR_INIT;
    if (code)
        e = *err;
    else
        reply(q, &e);
    if (e.code)
        ac_rpc_fail(q->call, &e);
    ac_buf_fini(&q->bodies);
    free(q->ns);
    free(q);
}

void det_store_list(struct det_service *s, struct ac_rpc_call *c,
                    const Aceso__V1__ListAlertsRequest *req)
{
    struct query *q = ac_xcalloc(1, sizeof *q);
    struct ac_err err = AC_ERR_INIT;
    q->call = c;
    q->ns = ac_xstrdup(req->namespace_);
    q->open_only = req->open_only;
    q->since_ns = req->since_ns;
    q->limit = req->limit == 0 ? LIST_DEFAULT : AC_MIN(req->limit, LIST_MAX);
    ac_buf_init(&q->bodies, ANSWER_MAX);
    int rc = ac_pg_submit(s->svc->pg, query_job, query_done, q);
    if (!rc)
        return;
    (void)ac_err_set(&err, rc, "the queue to PostgreSQL is full");
    query_done(rc, &err, q);
}
