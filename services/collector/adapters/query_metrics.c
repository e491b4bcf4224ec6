/* ListSeries and QueryMetrics. */
#include "chunk.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/query.h"

#define MAX_POINTS    1000000u
#define COMPACT_ABOVE 4096
#define AT_ONCE       20000u /* points that the loop packs itself: about half a millisecond */
#define CURSOR_ROWS   "1000"

struct points {
    int64_t *t;
    double *v;
    size_t n, cap;
};

/* One series of an answer. Its points are views into the window, or into old once PostgreSQL was
 * asked. */
struct part {
    struct col_series *series; /* loop only: it may be forgotten */
    int64_t id;
    const int64_t *t;
    const double *v;
    size_t n;
    struct points mem; /* copied from memory, in order of arrival */
    struct points old; /* from PostgreSQL in that order, then mem */
    /* for replies made elsewhere */
    Aceso__V1__SeriesKey key;
    char *kind, *unit;
};

struct query {
    struct collector *c;
    struct ac_rpc_call *call;
    struct col_range range;
    size_t max_points;
    struct part *parts;
    size_t n, cap;
    bool truncated;
    /* old part */
    int64_t memory_from_ns;
    size_t each; /* points that a series keeps when there are too many */
    struct ac_buf reply;
    struct ac_arena *arena;
    struct ac_err err;
};

static int select_of(const Aceso__V1__SeriesSelector *s, struct col_select *q,
                     struct col_label labels[COL_MAX_LABELS], struct ac_err *err)
{
    *q = (struct col_select){.ns = "", .component = "", .metric = ""};
    if (!s)
        return 0;
    int rc = col_name_check("selector.namespace", s->namespace_, err);
    if (!rc)
        rc = col_name_check("selector.component", s->component, err);
    if (!rc)
        rc = col_name_check("selector.metric", s->metric, err);
    if (rc)
        return rc;
    if (s->n_labels > COL_MAX_LABELS)
        return ac_err_set(err, AC_EINVAL, "selector.labels: %d at most", COL_MAX_LABELS);
    for (size_t i = 0; i < s->n_labels; i++)
        labels[i] = (struct col_label){s->labels[i]->key, s->labels[i]->value};
    *q = (struct col_select){s->namespace_, s->component, s->metric, labels, s->n_labels};
    return 0;
}

/* The key as a message whose strings are the series' own, or copies in an arena. */
static void key_pb(const struct col_key *k, struct ac_arena *a, bool copy,
                   Aceso__V1__SeriesKey *ret)
{
#define TEXT(s) (copy ? ac_arena_strdup(a, s) : (char *)(uintptr_t)(s))
    aceso__v1__series_key__init(ret);
    ret->namespace_ = TEXT(k->ns);
    ret->component = TEXT(k->component);
    ret->metric = TEXT(k->metric);
    Aceso__V1__Label *l = ac_arena_calloc(a, k->n_labels + 1, sizeof(*l));
    ret->labels = ac_arena_calloc(a, k->n_labels + 1, sizeof(*ret->labels));
    for (size_t i = 0; l && ret->labels && i < k->n_labels; i++) {
        aceso__v1__label__init(&l[i]);
        l[i].key = TEXT(k->labels[i].key);
        l[i].value = TEXT(k->labels[i].value);
        ret->labels[ret->n_labels++] = &l[i];
    }
#undef TEXT
}

static char *view(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* ---- ListSeries ---- */

struct listing {
    struct col_range range;
    struct ac_arena *arena;
    Aceso__V1__SeriesInfo **list;
    size_t n, cap;
};

static void list_one(struct col_series *x, void *arg)
{
    struct listing *l = arg;
    if (x->first_ns == INT64_MAX || x->last_ns < l->range.from_ns || x->first_ns >= l->range.to_ns)
        return;
    Aceso__V1__SeriesInfo *i = ac_arena_alloc(l->arena, sizeof(*i));
    Aceso__V1__SeriesKey *k = ac_arena_alloc(l->arena, sizeof(*k));
    if (!i || !k)
        return;
    key_pb(&x->key, l->arena, false, k);
    aceso__v1__series_info__init(i);
    i->key = k;
    i->kind = view(col_kind_name(x->kind));
    i->unit = x->unit;
    i->first_ns = x->first_ns;
    i->last_ns = x->last_ns;
    ac_grow(&l->list, &l->cap, l->n + 1, sizeof(*l->list));
    l->list[l->n++] = i;
}

void col_on_list_series(struct ac_rpc_call *call, const void *msg, void *self)
{
    struct collector *c = self;
    const Aceso__V1__ListSeriesRequest *req = msg;
    struct col_label labels[COL_MAX_LABELS];
    struct col_select q;
    struct ac_err err = AC_ERR_INIT;
    struct listing l = {.arena = ac_rpc_arena(call)};
    int rc = select_of(req->selector, &q, labels, &err);
    if (!rc)
        rc = col_range_of(req->range, &l.range, &err);
    if (!rc)
        col_store_select(&c->series, &q, list_one, &l);
    if (!rc && ac_arena_failed(l.arena))
        rc = ac_err_set(&err, AC_EAGAIN, "too many series for one answer: select fewer");
    if (rc) {
        ac_rpc_fail(call, &err);
    } else {
        Aceso__V1__ListSeriesResponse res = ACESO__V1__LIST_SERIES_RESPONSE__INIT;
        res.series = l.list;
        res.n_series = l.n;
        ac_rpc_reply(call, &res);
    }
    free(l.list);
}

/* ---- QueryMetrics ---- */

static void query_free(struct query *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->parts[i].mem.t);
        free(q->parts[i].mem.v);
        free(q->parts[i].old.t);
        free(q->parts[i].old.v);
    }
    free(q->parts);
    ac_buf_fini(&q->reply);
    ac_arena_destroy(q->arena);
    free(q);
}

static void take_one(struct col_series *x, void *arg)
{
    struct query *q = arg;
    if (x->first_ns == INT64_MAX || x->last_ns < q->range.from_ns || x->first_ns >= q->range.to_ns)
        return;
    ac_grow(&q->parts, &q->cap, q->n + 1, sizeof(*q->parts));
    struct part *p = &q->parts[q->n++];
    memset(p, 0, sizeof(*p));
    p->series = x;
    p->id = x->id;
    size_t from = col_series_seek(x, q->range.from_ns), to = col_series_seek(x, q->range.to_ns);
    p->t = x->n ? x->t + x->head + from : NULL;
    p->v = x->n ? x->v + x->head + from : NULL;
    p->n = to - from;
}

/* Too many points: each series keeps its newest ones, as many as the others. */
static void limit(struct query *q)
{
    size_t total = 0, with = 0;
    for (size_t i = 0; i < q->n; i++) {
        total += q->parts[i].n;
        with += q->parts[i].n > 0;
    }
    if (total <= q->max_points)
        return;
    q->truncated = true;
    size_t each = AC_MAX(q->max_points / AC_MAX(with, (size_t)1), (size_t)1), left = q->max_points;
    for (size_t i = 0; i < q->n; i++) {
        struct part *p = &q->parts[i];
        size_t n = AC_MIN(AC_MIN(p->n, each), left);
        p->t += p->n - n;
        p->v += p->n - n;
        p->n = n;
        left -= n;
    }
}

static void put_varint(struct ac_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        ac_buf_putc(b, (char)(v | 0x80));
    ac_buf_putc(b, (char)v);
}

/* Series by series, so that no tree of a million points is built. */
static int pack_reply(struct query *q, struct ac_err *err)
{
    ac_buf_init(&q->reply, COL_REPLY_BYTES);
    for (size_t i = 0; i < q->n; i++) {
        struct part *p = &q->parts[i];
        Aceso__V1__SeriesPoints m = ACESO__V1__SERIES_POINTS__INIT;
        if (p->n == 0)
            continue;
        m.key = &p->key;
        m.kind = p->kind;
        m.unit = p->unit;
        m.time_ns = (int64_t *)(uintptr_t)p->t;
        m.value = (double *)(uintptr_t)p->v;
        m.n_time_ns = m.n_value = p->n;
        ac_buf_putc(&q->reply, 1 << 3 | 2);
        put_varint(&q->reply, protobuf_c_message_get_packed_size(&m.base));
        if (q->reply.failed || ac_pb_pack(&m.base, &q->reply, NULL))
            return ac_err_set(err, AC_EAGAIN,
                              "the answer is larger than %u MiB: ask for fewer series or a shorter"
                              " range",
                              COL_REPLY_BYTES >> 20);
    }
    if (q->truncated)
        ac_buf_append(&q->reply, "\x10\x01", 2);
    return ac_arena_failed(q->arena) ? ac_err_set(err, AC_EAGAIN, "the answer is too large") : 0;
}

static void name_parts(struct query *q, bool copy)
{
    for (size_t i = 0; i < q->n; i++) {
        struct part *p = &q->parts[i];
        key_pb(&p->series->key, q->arena, copy, &p->key);
        p->kind = view(col_kind_name(p->series->kind));
        p->unit = copy ? ac_arena_strdup(q->arena, p->series->unit) : p->series->unit;
    }
}

static void answer(struct query *q, int rc, const struct ac_err *err)
{
    if (rc)
        ac_rpc_fail(q->call, err);
    else
        ac_rpc_reply_raw(q->call, ac_buf_str(&q->reply), q->reply.len);
    query_free(q);
}

/* ---- what is older than memory ---- */

static void put(struct points *p, const int64_t *t, const double *v, size_t n)
{
    if (p->n + n > p->cap) {
        p->cap = AC_MAX(2 * p->cap, p->n + n + 16);
        p->t = ac_xrealloc(p->t, ac_mul_size(p->cap, sizeof(*p->t)));
        p->v = ac_xrealloc(p->v, ac_mul_size(p->cap, sizeof(*p->v)));
    }
    if (n == 0)
        return;
    memcpy(p->t + p->n, t, n * sizeof(*t));
    memcpy(p->v + p->n, v, n * sizeof(*v));
    p->n += n;
}

static void put_column(struct query *q, struct part *p, const struct col_column *c)
{
    for (size_t i = 0; c && i < c->n; i++)
        if (c->t[i] >= q->range.from_ns && c->t[i] < AC_MIN(q->memory_from_ns, q->range.to_ns))
            put(&p->mem, &c->t[i], &c->v[i], 1);
}

/* Copies what memory has, since it goes on changing while PostgreSQL is asked. What is being stored
 * may be found there as well: of one time in one series one value stays. */
static void copy_memory(struct query *q)
{
    q->memory_from_ns = q->c->series.memory_from_ns;
    q->each = AC_MAX(q->max_points / AC_MAX(q->n, (size_t)1), (size_t)1);
    for (size_t i = 0; i < q->n; i++) {
        struct part *p = &q->parts[i];
        put_column(q, p, p->series->sealed);
        put_column(q, p, p->series->open);
        put(&p->mem, p->t, p->v, p->n);
        p->series = NULL;
    }
}

static int by_id(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static struct part *part_of(struct query *q, int64_t id)
{
    const struct part key = {.id = id};
    return bsearch(&key, q->parts, q->n, sizeof(*q->parts), by_id);
}

/* Keeps the newest of a series that has gathered far more than it may keep. */
static void compact(struct query *q, struct points *p)
{
    if (p->n <= 2 * q->each + COMPACT_ABOVE)
        return;
    p->n = col_sort_samples(p->t, p->v, p->n);
    if (p->n <= q->each)
        return;
    size_t gone = p->n - q->each;
    memmove(p->t, p->t + gone, q->each * sizeof(*p->t));
    memmove(p->v, p->v + gone, q->each * sizeof(*p->v));
    p->n = q->each;
    q->truncated = true;
}

static int take_chunk(struct query *q, const struct ac_pg_result *r, int row, struct ac_err *err)
{
    struct part *p = part_of(q, ac_pg_int(r, row, 0));
    size_t n = (size_t)ac_pg_int(r, row, 1), len = 0, m = 0;
    const void *data = ac_pg_bytes(r, row, 2, &len);
    if (!p)
        return 0;
    if (n > len)
        return ac_err_set(err, AC_EDATALOSS, "a chunk of samples is damaged");
    ac_cleanup(ac_free_p) int64_t *t = ac_xcalloc(n + 1, sizeof(*t));
    ac_cleanup(ac_free_p) double *v = ac_xcalloc(n + 1, sizeof(*v));
    int rc = col_chunk_decode(data, len, n, t, v, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (t[i] < q->range.from_ns || t[i] >= AC_MIN(q->memory_from_ns, q->range.to_ns))
            continue;
        t[m] = t[i];
        v[m++] = v[i];
    }
    put(&p->old, t, v, m);
    compact(q, &p->old);
    return 0;
}

static int open_cursor(struct ac_pg_conn *pg, const struct query *q, struct ac_err *err)
{
    char from[24], to[24];
    struct ac_buf ids;
    ac_buf_init(&ids, 64u << 20);
    ac_buf_putc(&ids, '{');
    for (size_t i = 0; i < q->n; i++)
        ac_buf_printf(&ids, "%s%lld", i ? "," : "", (long long)q->parts[i].id);
    ac_buf_putc(&ids, '}');
    const struct ac_pg_param p[] = {
        AC_PG_TEXT(ac_buf_str(&ids)),
        ac_pg_i64(from, q->range.from_ns),
        ac_pg_i64(to, AC_MIN(q->memory_from_ns, q->range.to_ns)),
    };
    int rc = ac_pg_exec(pg,
                        "DECLARE old_samples CURSOR FOR SELECT series_id, n, data FROM samples"
                        " WHERE series_id = ANY($1::bigint[]) AND to_ns >= $2 AND from_ns < $3"
                        " ORDER BY id",
                        p, 3, NULL, err);
    ac_buf_fini(&ids);
    return rc;
}

static int read_old(struct ac_pg_conn *pg, struct query *q, struct ac_err *err)
{
    int rc = open_cursor(pg, q, err);
    for (int rows = 1; !rc && rows > 0;) {
        struct ac_pg_result *r = NULL;
        rc = ac_pg_exec(pg, "FETCH " CURSOR_ROWS " FROM old_samples", NULL, 0, &r, err);
        if (rc)
            break;
        rows = ac_pg_rows(r);
        for (int i = 0; !rc && i < rows; i++)
            rc = take_chunk(q, r, i, err);
        ac_pg_result_free(r);
    }
    return rc;
}

static void merge(struct part *p)
{
    put(&p->old, p->mem.t, p->mem.v, p->mem.n);
    p->n = p->old.n ? col_sort_samples(p->old.t, p->old.v, p->old.n) : 0;
    p->t = p->old.t;
    p->v = p->old.v;
}

static int finish(struct query *q, struct ac_err *err)
{
    for (size_t i = 0; i < q->n; i++)
        merge(&q->parts[i]);
    limit(q);
    return pack_reply(q, err);
}

static int old_job(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    struct query *q = arg;
    for (size_t i = 0; i < q->n; i++) /* it may be a second attempt */
        q->parts[i].old.n = 0;
    int rc = ac_pg_begin(pg, err);
    if (!rc)
        rc = read_old(pg, q, err);
    ac_pg_rollback(pg);
    return rc ? rc : finish(q, err);
}

static void old_done(int code, const struct ac_err *err, void *arg)
{
    answer(arg, code, err);
}

static void memory_job(void *arg)
{
    struct query *q = arg;
    (void)!finish(q, &q->err);
}

static void memory_done(void *arg)
{
    struct query *q = arg;
    answer(q, q->err.code, &q->err);
}

/* On another thread: PostgreSQL's, or a worker's when memory has it all, but much of it. */
static void run_elsewhere(struct query *q, bool old)
{
    struct ac_err err = AC_ERR_INIT;
    name_parts(q, true);
    copy_memory(q);
    if (q->n > 1)
        qsort(q->parts, q->n, sizeof(*q->parts), by_id);
    int rc = old ? ac_pg_submit(q->c->svc->pg, old_job, old_done, q)
                 : ac_worker_submit(q->c->worker, memory_job, memory_done, q);
    if (rc)
        answer(q, ac_err_set(&err, rc, "too many queries wait"), &err);
}

void col_on_query_metrics(struct ac_rpc_call *call, const void *msg, void *self)
{
    struct collector *c = self;
    const Aceso__V1__QueryMetricsRequest *req = msg;
    struct col_label labels[COL_MAX_LABELS];
    struct col_select sel;
    struct ac_err err = AC_ERR_INIT;
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->c = c;
    q->call = call;
    q->max_points = req->max_points ? AC_MIN(req->max_points, MAX_POINTS) : MAX_POINTS;
    q->arena = ac_arena_create(COL_REPLY_BYTES);
    int rc = select_of(req->selector, &sel, labels, &err);
    if (!rc)
        rc = col_range_of(req->range, &q->range, &err);
    if (rc) {
        answer(q, rc, &err);
        return;
    }
    col_store_select(&c->series, &sel, take_one, q);
    bool old = false; /* a series that began within memory's window has nothing elsewhere */
    size_t points = 0;
    for (size_t i = 0; i < q->n; i++) {
        points += q->parts[i].n;
        old = old || (q->range.from_ns < c->series.memory_from_ns &&
                      q->parts[i].series->first_ns < c->series.memory_from_ns);
    }
    if (old || points > AT_ONCE) {
        run_elsewhere(q, old);
        return;
    }
    name_parts(q, false);
    limit(q);
    answer(q, pack_reply(q, &err), &err);
}
