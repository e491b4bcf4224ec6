/* Telemetry in PostgreSQL: series, chunks of samples by series, chunks of spans and of log records
 * by component, and the position in the stream up to which they are complete. */
#include "chunk.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/store.h"

/* Chunks are packed already: PostgreSQL need not try. */
const struct ac_pg_migration col_migrations[] = {
    {1, "CREATE TABLE position (stream text PRIMARY KEY, seq bigint NOT NULL);"
        "CREATE TABLE series (id bigint PRIMARY KEY, tenant text NOT NULL, namespace text NOT NULL,"
        " component text NOT NULL, metric text NOT NULL, labels text NOT NULL, kind text NOT NULL,"
        " unit text NOT NULL, source text NOT NULL, created_at_ns bigint NOT NULL);"
        "CREATE TABLE samples (id bigserial PRIMARY KEY, series_id bigint NOT NULL,"
        " from_ns bigint NOT NULL, to_ns bigint NOT NULL, n integer NOT NULL, data bytea NOT NULL);"
        "CREATE INDEX samples_by_series ON samples (series_id, to_ns);"
        "CREATE INDEX samples_by_time ON samples (to_ns);"
        "ALTER TABLE samples ALTER COLUMN data SET STORAGE EXTERNAL;"
        "CREATE TABLE spans (id bigserial PRIMARY KEY, tenant text NOT NULL,"
        " namespace text NOT NULL, component text NOT NULL, from_ns bigint NOT NULL,"
        " to_ns bigint NOT NULL, n integer NOT NULL, data bytea NOT NULL);"
        "CREATE INDEX spans_by_time ON spans (to_ns);"
        "ALTER TABLE spans ALTER COLUMN data SET STORAGE EXTERNAL;"
        "CREATE TABLE logs (id bigserial PRIMARY KEY, tenant text NOT NULL,"
        " namespace text NOT NULL, component text NOT NULL, from_ns bigint NOT NULL,"
        " to_ns bigint NOT NULL, n integer NOT NULL, data bytea NOT NULL);"
        "CREATE INDEX logs_by_time ON logs (to_ns);"
        "ALTER TABLE logs ALTER COLUMN data SET STORAGE EXTERNAL;"},
    /* who moved the position last: two collectors that read the same messages give series ids of
     * their own, so the number alone does not tell that what is stored is ours */
    {2, "ALTER TABLE position ADD COLUMN writer text NOT NULL DEFAULT ''"},
    /* the last eight bytes of each trace in the chunk: a trace is looked for without unpacking */
    {3, "ALTER TABLE spans ADD COLUMN traces bytea;"
        "ALTER TABLE spans ALTER COLUMN traces SET STORAGE MAIN"},
};
const size_t col_n_migrations = AC_ARRAY_LEN(col_migrations);

#define CHUNK_MAX (64u << 20)

/* ---- storing ---- */

static int copy_series(struct ac_pg_conn *pg, const struct col_flush *f, struct ac_err *err)
{
    struct ac_pg_copy *k;
    struct ac_buf labels;
    int rc = ac_pg_copy_begin(pg,
                              "series (id, tenant, namespace, component, metric, labels, kind,"
                              " unit, source, created_at_ns)",
                              &k, err);
    if (rc)
        return rc;
    ac_buf_init(&labels, CHUNK_MAX);
    for (size_t i = 0; i < f->batch->n_columns; i++) {
        const struct col_series *x = f->batch->columns[i]->series;
        if (x->stored)
            continue;
        ac_buf_reset(&labels);
        col_labels_text(x->key.labels, x->key.n_labels, &labels);
        ac_pg_copy_row(k, 10);
        ac_pg_copy_i64(k, x->id);
        ac_pg_copy_text(k, f->tenant);
        ac_pg_copy_text(k, x->key.ns);
        ac_pg_copy_text(k, x->key.component);
        ac_pg_copy_text(k, x->key.metric);
        ac_pg_copy_text(k, ac_buf_str(&labels));
        ac_pg_copy_text(k, col_kind_name(x->kind));
        ac_pg_copy_text(k, x->unit);
        ac_pg_copy_text(k, f->c->source);
        ac_pg_copy_i64(k, f->wall_ns);
    }
    ac_buf_fini(&labels);
    return ac_pg_copy_end(k, err);
}

static int copy_samples(struct ac_pg_conn *pg, const struct col_flush *f, struct ac_err *err)
{
    struct ac_pg_copy *k;
    struct ac_buf data;
    size_t cap = 0;
    int64_t *t = NULL;
    double *v = NULL;
    int rc = ac_pg_copy_begin(pg, "samples (series_id, from_ns, to_ns, n, data)", &k, err);
    if (rc)
        return rc;
    ac_buf_init(&data, CHUNK_MAX);
    for (size_t i = 0; i < f->batch->n_columns; i++) {
        const struct col_column *col = f->batch->columns[i];
        if (col->n > cap) { /* the columns stay as they are: queries look at them */
            cap = 2 * col->n;
            t = ac_xrealloc(t, ac_mul_size(cap, sizeof(*t)));
            v = ac_xrealloc(v, ac_mul_size(cap, sizeof(*v)));
        }
        memcpy(t, col->t, col->n * sizeof(*t));
        memcpy(v, col->v, col->n * sizeof(*v));
        size_t n = col_sort_samples(t, v, col->n);
        ac_buf_reset(&data);
        col_chunk_encode(t, v, n, &data);
        ac_pg_copy_row(k, 5);
        ac_pg_copy_i64(k, col->series->id);
        ac_pg_copy_i64(k, t[0]);
        ac_pg_copy_i64(k, t[n - 1]);
        ac_pg_copy_i32(k, (int32_t)n);
        ac_pg_copy_bytes(k, data.data, data.len);
    }
    ac_buf_fini(&data);
    free(t);
    free(v);
    return ac_pg_copy_end(k, err);
}

#define TRACE_RUN 64

/* Records of one namespace and component of all blocks: one row. */
struct group {
    char *ns, *component;
    struct ac_buf raw, traces;
    int64_t from_ns, to_ns;
    int32_t n;
    uint64_t last_trace[TRACE_RUN]; /* the latest ones, not to list them again */
};

static void group_free(void *p)
{
    struct group *g = p;
    free(g->ns);
    free(g->component);
    ac_buf_fini(&g->raw);
    ac_buf_fini(&g->traces);
    free(g);
}

/* In the byte order in which its hex digits read. A trace may be listed twice: that only takes
 * room. */
static void list_trace(struct group *g, uint64_t trace)
{
    uint64_t *seen = &g->last_trace[trace % TRACE_RUN];
    char raw[8];
    if (*seen == trace)
        return;
    *seen = trace;
    col_trace_bytes(trace, raw);
    ac_buf_append(&g->traces, raw, sizeof(raw));
}

static struct ac_map *group_blocks(struct col_block *const *blocks, size_t n)
{
    struct ac_map *m = ac_map_create(group_free);
    struct ac_buf key;
    ac_buf_init(&key, 4096);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < blocks[i]->n; j++) {
            struct col_event ev;
            col_block_get(blocks[i], j, &ev);
            ac_buf_reset(&key);
            ac_buf_printf(&key, "%s\x1d%s", ev.ns, ev.component);
            struct group *g = ac_map_get(m, ac_buf_str(&key));
            if (!g) {
                g = ac_xcalloc(1, sizeof(*g));
                g->ns = ac_xstrdup(ev.ns);
                g->component = ac_xstrdup(ev.component);
                g->from_ns = INT64_MAX;
                g->to_ns = INT64_MIN;
                ac_buf_init(&g->raw, 1u << 30);
                ac_buf_init(&g->traces, 1u << 30);
                g->last_trace[0] = 1; /* which does not belong there: 0 does, and is not seen yet */
                ac_map_set(m, ac_buf_str(&key), g);
            }
            col_record_put(&g->raw, ev.msg, ev.len);
            if (ev.trace[0] || ev.trace[1])
                list_trace(g, ev.trace[1]);
            g->from_ns = AC_MIN(g->from_ns, ev.t_ns);
            g->to_ns = AC_MAX(g->to_ns, ev.t_ns);
            g->n++;
        }
    }
    ac_buf_fini(&key);
    return m;
}

static int copy_events(struct ac_pg_conn *pg, const struct col_flush *f, bool spans,
                       struct col_block *const *blocks, size_t n, struct ac_err *err)
{
    static const char spans_into[] =
        "spans (tenant, namespace, component, from_ns, to_ns, n, data, traces)";
    static const char logs_into[] = "logs (tenant, namespace, component, from_ns, to_ns, n, data)";
    const char *key = NULL;
    void *value = NULL;
    struct ac_pg_copy *k;
    struct ac_buf data;
    int rc, bad = 0;
    if (n == 0)
        return 0;
    rc = ac_pg_copy_begin(pg, spans ? spans_into : logs_into, &k, err);
    if (rc)
        return rc;
    struct ac_map *groups = group_blocks(blocks, n);
    ac_buf_init(&data, CHUNK_MAX);
    for (size_t it = 0; !bad && ac_map_next(groups, &it, &key, &value);) {
        const struct group *g = value;
        ac_buf_reset(&data);
        bad = col_records_deflate(&g->raw, &data, err);
        if (bad)
            break;
        ac_pg_copy_row(k, spans ? 8 : 7);
        ac_pg_copy_text(k, f->tenant);
        ac_pg_copy_text(k, g->ns);
        ac_pg_copy_text(k, g->component);
        ac_pg_copy_i64(k, g->from_ns);
        ac_pg_copy_i64(k, g->to_ns);
        ac_pg_copy_i32(k, g->n);
        ac_pg_copy_bytes(k, data.data, data.len);
        if (spans)
            ac_pg_copy_bytes(k, ac_buf_str(&g->traces), g->traces.len);
    }
    ac_buf_fini(&data);
    ac_map_destroy(groups);
    rc = ac_pg_copy_end(k, bad ? NULL : err);
    return bad ? bad : rc;
}

/* 1 = it is there already (the answer to the commit got lost), 0 = go on. */
static int check_position(struct ac_pg_conn *pg, const struct col_flush *f, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(pg,
                        "INSERT INTO position (stream, seq) VALUES ('" AC_STREAM_TELEMETRY "', 0)"
                        " ON CONFLICT DO NOTHING",
                        NULL, 0, NULL, err);
    if (!rc)
        rc = ac_pg_exec(pg,
                        "SELECT seq, writer FROM position WHERE stream = '" AC_STREAM_TELEMETRY
                        "' FOR UPDATE",
                        NULL, 0, &r, err);
    if (rc)
        return rc;
    uint64_t seq = (uint64_t)ac_pg_int(r, 0, 0);
    bool ours = ac_streq(ac_pg_str(r, 0, 1), f->writer);
    bool before = seq == f->seq_from && ac_streq(ac_pg_str(r, 0, 1), f->c->stored_by);
    ac_pg_result_free(r);
    if (seq == f->seq_to && ours)
        return 1;
    if (!before)
        return ac_err_set(err, AC_ESTATE,
                          "another collector stores to this database (position %llu, ours %llu):"
                          " run one only",
                          (unsigned long long)seq, (unsigned long long)f->seq_from);
    return 0;
}

static int flush_all(struct ac_pg_conn *pg, const struct col_flush *f, struct ac_err *err)
{
    char seq[24];
    int rc = f->batch->n_columns ? copy_series(pg, f, err) : 0;
    if (!rc && f->batch->n_columns)
        rc = copy_samples(pg, f, err);
    if (!rc)
        rc = copy_events(pg, f, true, f->spans, f->n_spans, err);
    if (!rc)
        rc = copy_events(pg, f, false, f->logs, f->n_logs, err);
    const struct ac_pg_param p[] = {ac_pg_i64(seq, (int64_t)f->seq_to), AC_PG_TEXT(f->writer)};
    if (!rc)
        rc = ac_pg_exec(pg,
                        "UPDATE position SET seq = $1, writer = $2 WHERE stream ="
                        " '" AC_STREAM_TELEMETRY "'",
                        p, 2, NULL, err);
    return rc;
}

int col_store_flush(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    const struct col_flush *f = arg;
    int rc = ac_pg_begin(pg, err);
    if (rc)
        return rc;
    rc = check_position(pg, f, err);
    if (!rc)
        rc = flush_all(pg, f, err);
    if (!rc)
        rc = ac_pg_commit(pg, err);
    if (rc)
        ac_pg_rollback(pg);
    return rc == 1 ? 0 : rc;
}

/* ---- retention ---- */

int col_store_clean(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    static const char *const deletes[] = {
        "DELETE FROM samples WHERE to_ns < $1",
        "DELETE FROM spans WHERE to_ns < $1",
        "DELETE FROM logs WHERE to_ns < $1",
    };
    const struct col_clean *x = arg;
    char t[24];
    const struct ac_pg_param p[] = {ac_pg_i64(t, x->older_ns)};
    int rc = 0;
    for (size_t i = 0; !rc && i < AC_ARRAY_LEN(deletes); i++)
        rc = ac_pg_exec(pg, deletes[i], p, 1, NULL, err);
    for (size_t i = 0; !rc && i < x->n; i++) {
        const struct ac_pg_param id[] = {ac_pg_i64(t, x->series[i])};
        rc = ac_pg_exec(pg, "DELETE FROM series WHERE id = $1", id, 1, NULL, err);
    }
    return rc;
}

/* ---- at start ---- */

#define PAGE "2000"

struct known {
    int64_t id;
    struct col_series *series;
};

struct load {
    struct collector *c;
    struct known *by_id; /* sorted by id */
    size_t n;
    int64_t from_ns;
};

/* The first time of a series is among its chunks that end first: chunks hardly overlap, and that
 * much the index tells without reading them all. */
static int load_series(struct ac_pg_conn *pg, struct load *l, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    int rc = ac_pg_exec(pg,
                        "SELECT id, namespace, component, metric, labels, kind, unit,"
                        " (SELECT min(from_ns) FROM (SELECT from_ns FROM samples"
                        " WHERE series_id = s.id ORDER BY to_ns LIMIT 16) first),"
                        " (SELECT max(to_ns) FROM samples WHERE series_id = s.id)"
                        " FROM series s ORDER BY id",
                        NULL, 0, &r, err);
    if (rc)
        return rc;
    size_t rows = (size_t)ac_pg_rows(r);
    l->by_id = ac_xcalloc(rows + 1, sizeof(*l->by_id));
    for (int i = 0; i < (int)rows; i++) {
        struct col_label labels[COL_MAX_LABELS];
        ac_cleanup(ac_free_p) char *text = ac_xstrdup(ac_pg_str(r, i, 4));
        enum col_kind kind;
        int n = col_labels_split(text, labels);
        if (n < 0 || !col_kind_parse(ac_pg_str(r, i, 5), &kind)) {
            AC_LOGW("collector", "series_not_readable", AC_KI("id", ac_pg_int(r, i, 0)));
            continue;
        }
        const struct col_key k = {ac_pg_str(r, i, 1), ac_pg_str(r, i, 2), ac_pg_str(r, i, 3),
                                  labels, (size_t)n};
        struct col_series *x =
            col_series_get(&l->c->series, &k, kind, ac_pg_str(r, i, 6), ac_pg_int(r, i, 0));
        if (!x) {
            AC_LOGW("collector", "more_series_stored_than_kept",
                    AC_KI("max_series", l->c->series.max_series));
            break;
        }
        if (!ac_pg_is_null(r, i, 8)) {
            x->first_ns = ac_pg_int(r, i, 7);
            x->last_ns = ac_pg_int(r, i, 8);
        }
        l->by_id[l->n++] = (struct known){ac_pg_int(r, i, 0), x};
    }
    ac_pg_result_free(r);
    return 0;
}

static struct col_series *find_series(const struct load *l, int64_t id)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->by_id[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < l->n && l->by_id[lo].id == id ? l->by_id[lo].series : NULL;
}

/* Pages through a table of chunks in the order in which they were stored. */
static int load_chunks(struct ac_pg_conn *pg, struct load *l, const char *sql,
                       int (*fn)(struct load *l, const struct ac_pg_result *r, int row,
                                 struct ac_err *err),
                       struct ac_err *err)
{
    char from[24], after[24];
    int64_t last = 0;
    for (int rows = 1; rows > 0;) {
        const struct ac_pg_param p[] = {ac_pg_i64(from, l->from_ns), ac_pg_i64(after, last)};
        struct ac_pg_result *r = NULL;
        int rc = ac_pg_exec(pg, sql, p, 2, &r, err);
        if (rc)
            return rc;
        rows = ac_pg_rows(r);
        for (int i = 0; !rc && i < rows; i++) {
            rc = fn(l, r, i, err);
            last = ac_pg_int(r, i, 0);
        }
        ac_pg_result_free(r);
        if (rc)
            return rc;
    }
    return 0;
}

static int load_samples(struct load *l, const struct ac_pg_result *r, int row, struct ac_err *err)
{
    struct col_series *x = find_series(l, ac_pg_int(r, row, 1));
    size_t n = (size_t)ac_pg_int(r, row, 2), len = 0;
    const void *data = ac_pg_bytes(r, row, 3, &len);
    if (!x)
        return 0;
    if (n > len) /* a sample takes two bytes at least */
        return ac_err_set(err, AC_EDATALOSS, "chunk %s of samples", ac_pg_str(r, row, 0));
    ac_cleanup(ac_free_p) int64_t *t = ac_xcalloc(n + 1, sizeof(*t));
    ac_cleanup(ac_free_p) double *v = ac_xcalloc(n + 1, sizeof(*v));
    int rc = col_chunk_decode(data, len, n, t, v, err);
    for (size_t i = 0; !rc && i < n; i++)
        col_series_load(&l->c->series, x, t[i], v[i]);
    return rc;
}

static int load_events(struct load *l, const struct ac_pg_result *r, int row, bool spans,
                       struct ac_err *err)
{
    struct ac_buf raw;
    size_t len = 0, at = 0, n = 0;
    const void *data = ac_pg_bytes(r, row, 2, &len), *rec;
    ac_buf_init(&raw, 1u << 30);
    int rc = col_records_inflate(data, len, &raw, err);
    while (!rc && (rec = col_record_next(&raw, &at, &n))) {
        struct col_event ev;
        bool good = true;
        ac_arena_reset(l->c->arena);
        if (spans) {
            Aceso__V1__Span *s = NULL;
            rc = AC_PB_UNPACK(aceso__v1__span, rec, n, l->c->arena, &s, err);
            good = !rc && col_span_event(s, ac_pg_str(r, row, 1), &ev);
        } else {
            Aceso__V1__LogRecord *g = NULL;
            rc = AC_PB_UNPACK(aceso__v1__log_record, rec, n, l->c->arena, &g, err);
            if (!rc)
                col_log_event(g, ac_pg_str(r, row, 1), &ev);
        }
        if (rc || !good || ev.t_ns < l->from_ns)
            continue;
        ev.msg = rec;
        ev.len = n;
        col_events_add(spans ? &l->c->spans : &l->c->logs, &ev, true);
    }
    if (!rc && at < raw.len)
        rc = ac_err_set(err, AC_EDATALOSS, "chunk %s of records", ac_pg_str(r, row, 0));
    ac_buf_fini(&raw);
    return rc;
}

static int load_spans(struct load *l, const struct ac_pg_result *r, int row, struct ac_err *err)
{
    return load_events(l, r, row, true, err);
}

static int load_logs(struct load *l, const struct ac_pg_result *r, int row, struct ac_err *err)
{
    return load_events(l, r, row, false, err);
}

static int load_oldest(struct ac_pg_conn *pg, struct collector *c, struct ac_err *err)
{
    struct ac_pg_result *r = NULL;
    int rc =
        ac_pg_exec(pg, "SELECT (SELECT min(from_ns) FROM spans), (SELECT min(from_ns) FROM logs)",
                   NULL, 0, &r, err);
    if (rc)
        return rc;
    c->spans.stored_from_ns = ac_pg_is_null(r, 0, 0) ? INT64_MAX : ac_pg_int(r, 0, 0);
    c->logs.stored_from_ns = ac_pg_is_null(r, 0, 1) ? INT64_MAX : ac_pg_int(r, 0, 1);
    ac_pg_result_free(r);
    return 0;
}

static int load_all(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    struct load *l = arg;
    struct ac_pg_result *r = NULL;
    int rc =
        ac_pg_exec(pg, "SELECT seq, writer FROM position WHERE stream = '" AC_STREAM_TELEMETRY "'",
                   NULL, 0, &r, err);
    if (rc)
        return rc;
    l->c->stored_seq = ac_pg_rows(r) ? (uint64_t)ac_pg_int(r, 0, 0) : 0;
    l->c->stored_by = ac_xstrdup(ac_pg_rows(r) ? ac_pg_str(r, 0, 1) : "");
    l->c->read_seq = l->c->stored_seq;
    ac_pg_result_free(r);
    rc = load_series(pg, l, err);
    if (!rc)
        rc = load_chunks(pg, l,
                         "SELECT id, series_id, n, data FROM samples WHERE to_ns >= $1 AND id > $2"
                         " ORDER BY id LIMIT " PAGE,
                         load_samples, err);
    if (!rc)
        rc = load_chunks(pg, l,
                         "SELECT id, namespace, data FROM spans WHERE to_ns >= $1 AND id > $2"
                         " ORDER BY id LIMIT 200",
                         load_spans, err);
    if (!rc)
        rc = load_chunks(pg, l,
                         "SELECT id, namespace, data FROM logs WHERE to_ns >= $1 AND id > $2"
                         " ORDER BY id LIMIT 200",
                         load_logs, err);
    return rc ? rc : load_oldest(pg, l->c, err);
}

/* A retry would load twice: a lost connection at start is an error of the start. */
static int load_once(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    int rc = load_all(pg, arg, err);
    return rc == AC_ENET || rc == AC_EABORTED ? AC_EIO : rc;
}

int col_store_load(struct collector *c, struct ac_err *err)
{
    struct load l = {.c = c, .from_ns = ac_wall_ns() - c->conf->memory_ns};
    c->series.memory_from_ns = l.from_ns;
    c->spans.memory_from_ns = c->logs.memory_from_ns = l.from_ns;
    int rc = ac_pg_run(c->svc->pg, load_once, &l, err);
    free(l.by_id);
    return rc;
}
