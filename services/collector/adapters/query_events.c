/* QuerySpans and QueryLogs: the newest that match; spans in order of their start, log records
 * newest first. */
#include "chunk.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/query.h"

#define DEFAULT_LIMIT 1000u
#define MAX_LIMIT     100000u
#define CURSOR_ROWS   "32"
#define RAW_MAX       (1u << 30)
#define MAX_CONTAINS  1024

struct hit {
    int64_t t_ns;
    void *msg; /* own */
    size_t len;
};

struct late {
    struct hit hit;
    bool sealed;
};

struct query {
    struct collector *c;
    struct ac_rpc_call *call;
    bool logs;
    struct col_range range;
    char *ns, *component, *contains;
    uint64_t trace[2];
    bool by_trace;
    int min_severity;
    size_t limit;
    struct hit *hits; /* found in memory first, then in PostgreSQL */
    size_t n, cap;
    int64_t memory_from_ns;
    /* Older than memory and not stored yet when the query began: by the position that PostgreSQL
     * has when it is asked, they are found there or not. */
    struct late *late;
    size_t n_late, cap_late;
    uint64_t stored_seq, sealed_seq; /* position at that time, and once what was sealed is stored */
    struct ac_buf reply;
    struct ac_arena *arena; /* of the record looked at */
};

static void query_free(struct query *q)
{
    for (size_t i = 0; i < q->n; i++)
        free(q->hits[i].msg);
    for (size_t i = 0; i < q->n_late; i++)
        free(q->late[i].hit.msg);
    free(q->hits);
    free(q->late);
    free(q->ns);
    free(q->component);
    free(q->contains);
    ac_buf_fini(&q->reply);
    ac_arena_destroy(q->arena);
    free(q);
}

static void answer(struct query *q, int rc, const struct ac_err *err)
{
    if (rc)
        ac_rpc_fail(q->call, err);
    else
        ac_rpc_reply_raw(q->call, ac_buf_str(&q->reply), q->reply.len);
    query_free(q);
}

/* ---- what matches ---- */

static bool body_contains(struct query *q, const void *msg, size_t len)
{
    Aceso__V1__LogRecord *r = NULL;
    if (!memmem(msg, len, q->contains, strlen(q->contains)))
        return false;
    ac_arena_reset(q->arena);
    return !AC_PB_UNPACK(aceso__v1__log_record, msg, len, q->arena, &r, NULL) &&
           strstr(r->body, q->contains);
}

static bool matches(struct query *q, const struct col_event *ev)
{
    if ((q->ns[0] && strcmp(q->ns, ev->ns) != 0) ||
        (q->component[0] && !ac_str_glob(q->component, ev->component)))
        return false;
    if (q->logs)
        return ev->status >= q->min_severity &&
               (!q->contains[0] || body_contains(q, ev->msg, ev->len));
    return !q->by_trace || (ev->trace[0] == q->trace[0] && ev->trace[1] == q->trace[1]);
}

static int newest_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    return (x->t_ns < y->t_ns) - (x->t_ns > y->t_ns);
}

/* Keeps the newest limit. */
static void cut(struct query *q)
{
    if (q->n > 1)
        qsort(q->hits, q->n, sizeof(*q->hits), newest_first);
    while (q->n > q->limit)
        free(q->hits[--q->n].msg);
}

static struct hit hit_of(int64_t t_ns, const void *msg, size_t len)
{
    void *copy = ac_xmalloc(len + 1);
    memcpy(copy, msg, len);
    return (struct hit){t_ns, copy, len};
}

static void add(struct query *q, int64_t t_ns, const void *msg, size_t len)
{
    ac_grow(&q->hits, &q->cap, q->n + 1, sizeof(*q->hits));
    q->hits[q->n++] = hit_of(t_ns, msg, len);
    if (q->n >= 2 * q->limit + 64)
        cut(q);
}

/* ---- memory ---- */

static bool take_event(const struct col_event *ev, const struct col_block *b, void *arg)
{
    struct query *q = arg;
    bool old = ev->t_ns < q->memory_from_ns;
    if ((old && b->state == COL_BLOCK_STORED) || !matches(q, ev))
        return true;
    if (!old) {
        add(q, ev->t_ns, ev->msg, ev->len);
        return true;
    }
    ac_grow(&q->late, &q->cap_late, q->n_late + 1, sizeof(*q->late));
    q->late[q->n_late++] =
        (struct late){hit_of(ev->t_ns, ev->msg, ev->len), b->state == COL_BLOCK_SEALED};
    return true;
}

/* ---- PostgreSQL ---- */

static int take_record(struct query *q, const char *ns, const void *msg, size_t len,
                       struct ac_err *err)
{
    struct col_event ev;
    ac_arena_reset(q->arena);
    if (q->logs) {
        Aceso__V1__LogRecord *r = NULL;
        int rc = AC_PB_UNPACK(aceso__v1__log_record, msg, len, q->arena, &r, err);
        if (rc)
            return rc;
        col_log_event(r, ns, &ev);
    } else {
        Aceso__V1__Span *s = NULL;
        int rc = AC_PB_UNPACK(aceso__v1__span, msg, len, q->arena, &s, err);
        if (rc)
            return rc;
        if (!col_span_event(s, ns, &ev))
            return 0;
    }
    ev.msg = msg;
    ev.len = len;
    int64_t t = ev.t_ns;
    if (t >= q->range.from_ns && t < AC_MIN(q->range.to_ns, q->memory_from_ns) && matches(q, &ev))
        add(q, t, msg, len);
    return 0;
}

static int take_chunk(struct query *q, const struct ac_pg_result *r, int row, struct ac_err *err)
{
    struct ac_buf raw;
    size_t len = 0, at = 0, n = 0;
    const void *data = ac_pg_bytes(r, row, 1, &len), *rec;
    ac_buf_init(&raw, RAW_MAX);
    int rc = col_records_inflate(data, len, &raw, err);
    while (!rc && (rec = col_record_next(&raw, &at, &n)))
        rc = take_record(q, ac_pg_str(r, row, 0), rec, n, err);
    ac_buf_fini(&raw);
    return rc;
}

static int open_cursor(struct ac_pg_conn *pg, const struct query *q, struct ac_err *err)
{
    char from[24], to[24];
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(q->ns),
        ac_pg_i64(from, q->range.from_ns),
        ac_pg_i64(to, AC_MIN(q->memory_from_ns, q->range.to_ns)),
    };
#define SELECT(name, table)                                                                        \
    "DECLARE " name " CURSOR FOR SELECT namespace, data, to_ns, component FROM " table             \
    " WHERE ($1 = '' OR namespace = $1) AND to_ns >= $2 AND from_ns < $3 ORDER BY to_ns DESC"
    return ac_pg_exec(pg, q->logs ? SELECT("old_events", "logs") : SELECT("old_events", "spans"), p,
                      3, NULL, err);
#undef SELECT
}

static int read_old(struct ac_pg_conn *pg, struct query *q, struct ac_err *err)
{
    int rc = open_cursor(pg, q, err);
    for (int rows = 1; !rc && rows > 0;) {
        struct ac_pg_result *r = NULL;
        rc = ac_pg_exec(pg, "FETCH " CURSOR_ROWS " FROM old_events", NULL, 0, &r, err);
        if (rc)
            break;
        rows = ac_pg_rows(r);
        for (int i = 0; !rc && i < rows; i++) {
            if (q->component[0] && !ac_str_glob(q->component, ac_pg_str(r, i, 3)))
                continue;
            cut(q);
            if (q->n == q->limit && q->hits[q->n - 1].t_ns >= ac_pg_int(r, i, 2)) {
                rows = 0; /* neither this nor any further chunk has a newer one */
                break;
            }
            rc = take_chunk(q, r, i, err);
        }
        ac_pg_result_free(r);
    }
    return rc;
}

static int pack_reply(struct query *q, struct ac_err *err)
{
    cut(q);
    ac_buf_init(&q->reply, COL_REPLY_BYTES);
    for (size_t i = 0; i < q->n; i++) {
        const struct hit *h = &q->hits[q->logs ? i : q->n - 1 - i];
        ac_buf_putc(&q->reply, 1 << 3 | 2);
        col_record_put(&q->reply, h->msg, h->len);
    }
    if (q->reply.failed)
        return ac_err_set(err, AC_EAGAIN, "the answer is larger than %u MiB: ask for less",
                          COL_REPLY_BYTES >> 20);
    return 0;
}

/* Each transaction stores all that was read before it: at another position than these two, all that
 * the query saw is in PostgreSQL. */
static void take_late(struct query *q, uint64_t seq)
{
    for (size_t i = 0; i < q->n_late; i++) {
        const struct late *l = &q->late[i];
        if (seq == q->stored_seq || (seq == q->sealed_seq && !l->sealed))
            add(q, l->hit.t_ns, l->hit.msg, l->hit.len);
    }
}

/* A second attempt would find again what the first one found: it is an error instead. */
static int old_job(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    uint64_t seq = 0;
    int rc = col_snapshot(pg, &seq, err);
    if (!rc)
        take_late(q, seq);
    if (!rc)
        rc = read_old(pg, q, err);
    ac_pg_rollback(pg);
    if (rc == AC_ENET || rc == AC_EABORTED)
        return ac_err_set(err, AC_EIO, "PostgreSQL was lost while it was asked");
    return rc ? rc : pack_reply(q, err);
}

static void old_done(int code, const struct ac_err *err, void *arg)
{
    answer(arg, code, err);
}

static void run(struct query *q)
{
    struct ac_err err = AC_ERR_INIT;
    const struct col_events *e = q->logs ? &q->c->logs : &q->c->spans;
    q->memory_from_ns = e->memory_from_ns;
    q->arena = ac_arena_create(4u << 20);
    q->stored_seq = q->c->stored_seq;
    q->sealed_seq = col_sealed_seq(q->c);
    col_events_each(e, q->range.from_ns, q->range.to_ns, take_event, q);
    cut(q);
    bool full = q->n == q->limit && q->hits[q->n - 1].t_ns >= q->memory_from_ns;
    if (q->range.from_ns >= q->memory_from_ns || full) {
        answer(q, pack_reply(q, &err), &err);
        return;
    }
    int rc = ac_pg_submit(q->c->svc->pg, old_job, old_done, q);
    if (rc)
        answer(q, ac_err_set(&err, rc, "too many queries wait for PostgreSQL"), &err);
}

static struct query *query_new(struct collector *c, struct ac_rpc_call *call, const char *ns,
                               const char *component, uint32_t limit)
{
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->c = c;
    q->call = call;
    q->ns = ac_xstrdup(ns);
    q->component = ac_xstrdup(component);
    q->limit = limit ? AC_MIN(limit, MAX_LIMIT) : DEFAULT_LIMIT;
    return q;
}

static int check(struct query *q, const Aceso__V1__TimeRange *range, struct ac_err *err)
{
    int rc = col_name_check("namespace", q->ns, err);
    if (!rc)
        rc = col_name_check("component", q->component, err);
    return rc ? rc : col_range_of(range, &q->range, err);
}

void col_on_query_spans(struct ac_rpc_call *call, const void *msg, void *self)
{
    const Aceso__V1__QuerySpansRequest *req = msg;
    struct ac_err err = AC_ERR_INIT;
    struct query *q = query_new(self, call, req->namespace_, req->component, req->limit);
    int rc = check(q, req->range, &err);
    q->contains = ac_xstrdup("");
    q->by_trace = req->trace_id[0] != '\0';
    if (!rc && q->by_trace &&
        (strlen(req->trace_id) != 32 || !col_parse_hex64(req->trace_id, &q->trace[0]) ||
         !col_parse_hex64(req->trace_id + 16, &q->trace[1])))
        rc = ac_err_set(&err, AC_EINVAL, "trace_id: 32 lower-case hex digits are needed");
    if (rc)
        answer(q, rc, &err);
    else
        run(q);
}

void col_on_query_logs(struct ac_rpc_call *call, const void *msg, void *self)
{
    const Aceso__V1__QueryLogsRequest *req = msg;
    struct ac_err err = AC_ERR_INIT;
    struct query *q = query_new(self, call, req->namespace_, req->component, req->limit);
    int rc = check(q, req->range, &err);
    q->logs = true;
    q->contains = ac_xstrdup(req->contains);
    q->min_severity = req->min_severity;
    if (!rc && strlen(q->contains) > MAX_CONTAINS)
        rc = ac_err_set(&err, AC_EINVAL, "contains: longer than %d bytes", MAX_CONTAINS);
    if (rc)
        answer(q, rc, &err);
    else
        run(q);
}
