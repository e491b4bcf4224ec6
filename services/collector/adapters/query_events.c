/* QuerySpans and QueryLogs: the newest that match; spans in order of their start, log records
 * newest first. The loop only takes a view of memory; the looking is done on another thread: a
 * worker, or PostgreSQL's when older events are asked for too. */
#include "chunk.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/query.h"
#include "adapters/store.h"

#define DEFAULT_LIMIT 1000u
#define MAX_LIMIT     100000u
#define CURSOR_ROWS   "32"
#define RAW_MAX       (1u << 30)
#define MAX_CONTAINS  1024

struct hit {
    int64_t t_ns;
    const void *msg; /* of the view, or own */
    size_t len;
    void *own;
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
    struct col_view view;
    /* PostgreSQL's position when the query began, and once what was sealed then is stored */
    uint64_t stored_seq, sealed_seq;
    bool asked;   /* PostgreSQL, */
    uint64_t seq; /* which had this position */
    struct hit *hits;
    size_t n, cap;
    struct ac_buf reply;
    struct ac_arena *arena; /* of the record looked at */
    struct ac_err err;
};

static void query_free(struct query *q)
{
    for (size_t i = 0; i < q->n; i++)
        free(q->hits[i].own);
    free(q->hits);
    free(q->ns);
    free(q->component);
    free(q->contains);
    col_view_close(&q->view);
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
        free(q->hits[--q->n].own);
}

/* Nothing up to this time can be among the newest. */
static bool enough(struct query *q, int64_t newest_ns)
{
    if (q->n < q->limit)
        return false;
    cut(q);
    return q->hits[q->limit - 1].t_ns >= newest_ns;
}

static void add(struct query *q, const struct col_event *ev, bool copy)
{
    struct hit h = {.t_ns = ev->t_ns, .msg = ev->msg, .len = ev->len};
    if (copy) {
        h.msg = h.own = ac_xmalloc(ev->len + 1);
        memcpy(h.own, ev->msg, ev->len);
    }
    ac_grow(&q->hits, &q->cap, q->n + 1, sizeof(*q->hits));
    q->hits[q->n++] = h;
    if (q->n >= 2 * q->limit + 64)
        cut(q);
}

/* ---- memory ---- */

/* Events older than memory's window: those that wait for the store are in PostgreSQL by now, or
 * not, which its position tells. Each transaction stores all that was read before it: at another
 * position than these two, all that the query saw is there. */
static bool found_there(const struct query *q, int state)
{
    if (state == COL_BLOCK_STORED)
        return true;
    if (!q->asked || q->seq == q->stored_seq)
        return false;
    return q->seq != q->sealed_seq || state == COL_BLOCK_SEALED;
}

static bool take_event(const struct col_event *ev, int state, void *arg)
{
    struct query *q = arg;
    if ((ev->t_ns >= q->view.memory_from_ns || !found_there(q, state)) && matches(q, ev))
        add(q, ev, false);
    return true;
}

static void look_in_memory(struct query *q)
{
    for (size_t i = q->view.n; i-- > 0;)
        if (!enough(q, q->view.seen[i].block->max_ns))
            (void)col_seen_each(&q->view, &q->view.seen[i], take_event, q);
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
    if (ev.t_ns >= q->range.from_ns && ev.t_ns < AC_MIN(q->range.to_ns, q->view.memory_from_ns) &&
        matches(q, &ev))
        add(q, &ev, true);
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
    char from[24], to[24], trace[8];
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(q->ns),
        ac_pg_i64(from, q->range.from_ns),
        ac_pg_i64(to, AC_MIN(q->view.memory_from_ns, q->range.to_ns)),
        AC_PG_BYTES(trace, sizeof(trace)),
    };
    col_trace_bytes(q->trace[1], trace);
#define SELECT(table)                                                                              \
    "DECLARE old_events CURSOR FOR SELECT namespace, data, to_ns, component FROM " table           \
    " WHERE ($1 = '' OR namespace = $1) AND to_ns >= $2 AND from_ns < $3"
#define NEWEST " ORDER BY to_ns DESC"
    if (q->by_trace) /* chunks of before there was a list have none */
        return ac_pg_exec(
            pg, SELECT("spans") " AND (traces IS NULL OR position($4 IN traces) > 0)" NEWEST, p, 4,
            NULL, err);
    return ac_pg_exec(pg, q->logs ? SELECT("logs") NEWEST : SELECT("spans") NEWEST, p, 3, NULL,
                      err);
#undef SELECT
#undef NEWEST
}

static int read_old(struct ac_pg_conn *pg, struct query *q, struct ac_err *err)
{
    bool more = true;
    int rc = open_cursor(pg, q, err);
    while (!rc && more) {
        struct ac_pg_result *r = NULL;
        rc = ac_pg_exec(pg, "FETCH " CURSOR_ROWS " FROM old_events", NULL, 0, &r, err);
        if (rc)
            break;
        more = ac_pg_rows(r) > 0;
        for (int i = 0; !rc && more && i < ac_pg_rows(r); i++) {
            if (q->component[0] && !ac_str_glob(q->component, ac_pg_str(r, i, 3)))
                continue;
            more = !enough(q, ac_pg_int(r, i, 2));
            if (more)
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

/* A second attempt would find again what the first one found: it is an error instead. */
static int old_job(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    int rc = col_snapshot(pg, &q->seq, err);
    q->asked = true;
    if (!rc) {
        look_in_memory(q);
        rc = read_old(pg, q, err);
    }
    ac_pg_rollback(pg);
    if (rc == AC_ENET || rc == AC_EABORTED)
        return ac_err_set(err, AC_EIO, "PostgreSQL was lost while it was asked");
    return rc ? rc : pack_reply(q, err);
}

static void old_done(int code, const struct ac_err *err, void *arg)
{
    answer(arg, code, err);
}

static void memory_job(void *arg)
{
    struct query *q = arg;
    look_in_memory(q);
    (void)!pack_reply(q, &q->err);
}

static void memory_done(void *arg)
{
    struct query *q = arg;
    answer(q, q->err.code, &q->err);
}

static void run(struct query *q)
{
    struct ac_err err = AC_ERR_INIT;
    struct col_events *e = q->logs ? &q->c->logs : &q->c->spans;
    q->arena = ac_arena_create(4u << 20);
    q->stored_seq = q->c->stored_seq;
    q->sealed_seq = col_sealed_seq(q->c);
    col_view_open(e, q->range.from_ns, q->range.to_ns, &q->view);
    int rc = col_asks_store(e, q->range.from_ns)
                 ? ac_pg_submit(q->c->svc->pg, old_job, old_done, q)
                 : ac_worker_submit(q->c->worker, memory_job, memory_done, q);
    if (rc)
        answer(q, ac_err_set(&err, rc, "too many queries wait"), &err);
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
