/* Small chunks of one series become one: what was gathered for seconds is read for hours. Slice by
 * slice of time, behind what is answered from memory, a few series in one transaction, so that it
 * never stands in anybody's way. */
#include "chunk.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>

#include "adapters/store.h"

#define SLICE_NS   (600 * AC_NS_PER_S)
#define WORTH_ROWS "4"    /* fewer chunks of a series are left as they are */
#define SERIES     "200"  /* in one transaction */
#define MAX_POINTS 100000 /* of a series in a slice; more is large enough as it is */
#define CHUNK_MAX  (16u << 20)

struct col_compact {
    struct collector *c;
    int64_t from_ns;        /* of the slice */
    int64_t series_id;      /* done up to here in it */
    int64_t next_series_id; /* and with this transaction */
    bool slice_done;
    size_t merged, into; /* chunks */
};

/* Samples of one series, of the rows [first, end) of the result. */
struct group {
    int first, end;
    int64_t *t;
    double *v;
    size_t n, cap;
};

enum {
    SERIES_ID,
    ID,
    N,
    DATA,
    FROM_NS,
    TO_NS,
    FIELDS
};

static bool group_read(struct group *g, const struct ac_pg_result *r)
{
    struct ac_err err = AC_ERR_INIT;
    g->n = 0;
    for (int i = g->first; i < g->end; i++) {
        size_t n = (size_t)ac_pg_int(r, i, N), len = 0;
        const void *data = ac_pg_bytes(r, i, DATA, &len);
        if (n > len || g->n + n > MAX_POINTS)
            return false;
        if (g->n + n > g->cap) {
            g->cap = 2 * (g->n + n);
            g->t = ac_xrealloc(g->t, ac_mul_size(g->cap, sizeof(*g->t)));
            g->v = ac_xrealloc(g->v, ac_mul_size(g->cap, sizeof(*g->v)));
        }
        if (col_chunk_decode(data, len, n, g->t + g->n, g->v + g->n, &err)) {
            AC_LOGW("collector", "chunk_damaged", AC_KI("id", ac_pg_int(r, i, ID)), AC_KERR(&err));
            return false;
        }
        g->n += n;
    }
    return g->n > 0;
}

static void put_row(struct ac_pg_copy *k, int64_t series_id, int64_t id, const int64_t range[2],
                    size_t n, const void *data, size_t len)
{
    ac_pg_copy_row(k, FIELDS);
    ac_pg_copy_i64(k, series_id);
    ac_pg_copy_i64(k, id);
    ac_pg_copy_i32(k, (int32_t)n);
    ac_pg_copy_bytes(k, data, len);
    ac_pg_copy_i64(k, range[0]);
    ac_pg_copy_i64(k, range[1]);
}

/* The merged chunk takes the number of the newest of its parts: a later one still replaces it where
 * their times are equal. What cannot be merged stays as it is. */
static void group_put(struct col_compact *x, struct group *g, const struct ac_pg_result *r,
                      struct ac_pg_copy *k)
{
    int64_t series_id = ac_pg_int(r, g->first, SERIES_ID);
    struct ac_buf data;
    if (!group_read(g, r)) {
        for (int i = g->first; i < g->end; i++) {
            size_t len = 0;
            const void *raw = ac_pg_bytes(r, i, DATA, &len);
            const int64_t range[] = {ac_pg_int(r, i, FROM_NS), ac_pg_int(r, i, TO_NS)};
            put_row(k, series_id, ac_pg_int(r, i, ID), range, (size_t)ac_pg_int(r, i, N), raw, len);
        }
        return;
    }
    size_t n = col_sort_samples(g->t, g->v, g->n);
    const int64_t range[] = {g->t[0], g->t[n - 1]};
    ac_buf_init(&data, CHUNK_MAX);
    col_chunk_encode(g->t, g->v, n, &data);
    put_row(k, series_id, ac_pg_int(r, g->end - 1, ID), range, n, data.data, data.len);
    ac_buf_fini(&data);
    x->merged += (size_t)(g->end - g->first);
    x->into++;
}

static int select_chunks(struct ac_pg_conn *pg, const struct col_compact *x,
                         struct ac_pg_result **ret, struct ac_err *err)
{
    char from[24], to[24], after[24];
    const struct ac_pg_param p[] = {ac_pg_i64(from, x->from_ns),
                                    ac_pg_i64(to, x->from_ns + SLICE_NS),
                                    ac_pg_i64(after, x->series_id)};
#define IN_SLICE " to_ns >= $1 AND to_ns < $2 AND from_ns >= $1"
    return ac_pg_exec(pg,
                      "SELECT series_id, id, n, data, from_ns, to_ns FROM samples WHERE" IN_SLICE
                      " AND series_id IN (SELECT series_id FROM samples WHERE" IN_SLICE
                      " AND series_id > $3 GROUP BY series_id HAVING count(*) >= " WORTH_ROWS
                      " ORDER BY series_id LIMIT " SERIES ") ORDER BY series_id, id",
                      p, 3, ret, err);
#undef IN_SLICE
}

static int delete_rows(struct ac_pg_conn *pg, const struct ac_pg_result *r, struct ac_err *err)
{
    struct ac_buf ids;
    ac_buf_init(&ids, CHUNK_MAX);
    for (int i = 0; i < ac_pg_rows(r); i++)
        ac_buf_printf(&ids, "%c%s", i ? ',' : '{', ac_pg_str(r, i, ID));
    ac_buf_putc(&ids, '}');
    const struct ac_pg_param p[] = {AC_PG_TEXT(ac_buf_str(&ids))};
    int rc = ids.failed ? ac_err_set(err, AC_EAGAIN, "too many chunks to merge at once")
                        : ac_pg_exec(pg, "DELETE FROM samples WHERE id = ANY($1::bigint[])", p, 1,
                                     NULL, err);
    ac_buf_fini(&ids);
    return rc;
}

static int replace_rows(struct ac_pg_conn *pg, struct col_compact *x, const struct ac_pg_result *r,
                        struct ac_err *err)
{
    struct group g = {0};
    struct ac_pg_copy *k;
    int rows = ac_pg_rows(r);
    int rc = delete_rows(pg, r, err);
    if (!rc)
        rc = ac_pg_copy_begin(pg, "samples (series_id, id, n, data, from_ns, to_ns)", &k, err);
    if (rc)
        return rc;
    for (; g.first < rows; g.first = g.end) {
        for (g.end = g.first + 1; g.end < rows; g.end++)
            if (ac_pg_int(r, g.end, SERIES_ID) != ac_pg_int(r, g.first, SERIES_ID))
                break;
        group_put(x, &g, r, k);
    }
    x->next_series_id = ac_pg_int(r, rows - 1, SERIES_ID);
    free(g.t);
    free(g.v);
    return ac_pg_copy_end(k, err);
}

static int compact_job(struct ac_pg_conn *pg, void *arg, struct ac_err *err)
{
    struct col_compact *x = arg;
    struct ac_pg_result *r = NULL;
    x->merged = x->into = 0;
    int rc = ac_pg_begin(pg, err);
    if (!rc)
        rc = select_chunks(pg, x, &r, err);
    if (!rc) {
        x->slice_done = ac_pg_rows(r) == 0;
        if (!x->slice_done)
            rc = replace_rows(pg, x, r, err);
        ac_pg_result_free(r);
    }
    if (!rc)
        rc = ac_pg_commit(pg, err);
    if (rc)
        ac_pg_rollback(pg);
    return rc;
}

static void compact_done(int code, const struct ac_err *err, void *arg)
{
    struct col_compact *x = arg;
    struct collector *c = x->c;
    c->compacting = false;
    if (code) { /* the next round begins where this one did */
        AC_LOGW("collector", "chunks_not_merged", AC_KERR(err));
    } else {
        ac_metric_add(c->m.merged, (double)(x->merged - x->into));
        c->compact_series = x->slice_done ? 0 : x->next_series_id;
        if (x->slice_done)
            c->compact_ns += SLICE_NS;
    }
    free(x);
    if (!code && !c->stopping && !c->ended)
        col_compact_go(c);
}

void col_compact_go(struct collector *c)
{
    int64_t now = ac_wall_ns();
    int64_t first = now - c->conf->retention_ns, last = now - c->conf->memory_ns - SLICE_NS;
    if (c->compact_ns < first) { /* at the start, and after a long pause */
        c->compact_ns = first - first % SLICE_NS;
        c->compact_series = 0;
    }
    if (c->compacting || c->compact_ns > last)
        return;
    struct col_compact *x = ac_xcalloc(1, sizeof(*x));
    x->c = c;
    x->from_ns = c->compact_ns;
    x->series_id = c->compact_series;
    c->compacting = ac_pg_submit(c->svc->pg, compact_job, compact_done, x) == 0;
    if (!c->compacting)
        free(x); /* PostgreSQL has enough to do: the next round */
}
