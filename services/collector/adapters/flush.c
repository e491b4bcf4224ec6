/* When what is in memory goes to PostgreSQL, what leaves memory, and what leaves PostgreSQL. One
 * transaction at a time; while more waits than memory should hold, the stream is not read on. Loop
 * thread. */
#include <aceso/base.h>
#include <aceso/id.h>
#include <aceso/log.h>

#include "adapters/store.h"

#define TICK_NS     (100 * AC_NS_PER_MS)
#define RETRY_NS    AC_NS_PER_S
#define CLEAN_NS    (60 * AC_NS_PER_S)
#define FLUSH_BYTES (32u << 20) /* of spans and records */

static void flush_free(struct col_flush *f)
{
    free(f->spans);
    free(f->logs);
    free(f->tenant);
    free(f->writer);
    free(f);
}

/* The blocks that are to be stored: the list itself goes on changing at its end. */
static struct col_block **sealed_blocks(const struct col_events *e, size_t *ret_n, size_t *ret_ev)
{
    struct col_block **out = NULL;
    size_t n = 0, cap = 0, events = 0;
    AC_LIST_FOREACH(node, &e->blocks)
    {
        struct col_block *b = AC_LIST_ENTRY(node, struct col_block, node);
        if (b->state != COL_BLOCK_SEALED)
            continue;
        ac_grow(&out, &cap, n + 1, sizeof(struct col_block *));
        out[n++] = b;
        events += b->n;
    }
    *ret_n = n;
    *ret_ev = events;
    return out;
}

static void trim(struct collector *c)
{
    const struct col_conf *f = c->conf;
    int64_t now = ac_wall_ns(), from = now - f->memory_ns;
    col_store_trim(&c->series, from);
    while (c->series.in_memory > (size_t)f->memory_samples && from < now) {
        from += AC_MAX((now - from) / 8, AC_NS_PER_S); /* an eighth of the time at a step */
        col_store_trim(&c->series, from);
    }
    from = now - f->memory_ns;
    col_events_trim(&c->spans, from, f->memory_bytes);
    col_events_trim(&c->logs, from, f->memory_bytes);
    ac_metric_set(c->m.series, (double)ac_map_len(c->series.by_text));
    ac_metric_set(c->m.in_memory, (double)c->series.in_memory);
}

static void flush_submit(struct collector *c);

static void flush_done(int code, const struct ac_err *err, void *arg)
{
    struct col_flush *f = arg;
    struct collector *c = f->c;
    if (code == AC_ESTATE) { /* somebody else stores: ours must not be stored, nor tried again */
        AC_LOGE("collector", "not_alone", AC_KERR(err));
        c->flush = NULL;
        c->retry_ns = INT64_MAX;
        c->ended = true;
        flush_free(f);
        ac_svc_quit(c->svc, 1);
        return;
    }
    if (code) {
        AC_LOGE("collector", "not_stored", AC_KERR(err), AC_KI("samples", f->samples),
                AC_KS("hint", "tried again; nothing is lost while the stream keeps it"));
        c->retry_ns = ac_now_ns() + RETRY_NS;
        return;
    }
    ac_metric_observe(c->m.flush_seconds, (double)(ac_now_ns() - f->begun_ns) / 1e9);
    ac_metric_add(c->m.stored[COL_METRICS], (double)f->samples);
    ac_metric_add(c->m.stored[COL_TRACES], (double)f->span_events);
    ac_metric_add(c->m.stored[COL_LOGS], (double)f->log_events);
    c->stored_seq = f->seq_to;
    free(c->stored_by);
    c->stored_by = f->writer;
    f->writer = NULL;
    col_store_release(&c->series);
    col_events_release(&c->spans);
    col_events_release(&c->logs);
    c->flush = NULL;
    flush_free(f);
    trim(c);
    if (c->held) {
        c->held = false;
        ac_bus_read_resume(c->reader);
    }
    if (c->stopping && c->read_seq == c->stored_seq)
        ac_svc_stopped(c->svc);
    else if (c->stopping)
        flush_submit(c);
}

static void flush_submit(struct collector *c)
{
    struct col_flush *f = ac_xcalloc(1, sizeof(*f));
    f->c = c;
    f->seq_from = c->stored_seq;
    f->seq_to = c->read_seq;
    f->tenant = ac_xstrdup(c->svc->conf.tenant);
    f->writer = ac_xstrdup(ac_id_new().s);
    f->wall_ns = ac_wall_ns();
    f->begun_ns = ac_now_ns();
    f->batch = col_store_seal(&c->series);
    f->samples = f->batch->samples;
    col_events_seal(&c->spans);
    col_events_seal(&c->logs);
    f->spans = sealed_blocks(&c->spans, &f->n_spans, &f->span_events);
    f->logs = sealed_blocks(&c->logs, &f->n_logs, &f->log_events);
    c->waits_since_ns = 0;
    c->flush = f;
    c->retry_ns = ac_pg_submit(c->svc->pg, col_store_flush, flush_done, f) ? ac_now_ns() + RETRY_NS
                                                                           : INT64_MAX;
}

static size_t waiting_bytes(const struct collector *c)
{
    return (c->spans.pending + c->logs.pending) * 512; /* a usual record */
}

static bool due(const struct collector *c)
{
    return c->waits_since_ns && (ac_now_ns() - c->waits_since_ns >= c->conf->flush_ns ||
                                 c->series.open->samples >= (size_t)c->conf->flush_samples ||
                                 waiting_bytes(c) >= FLUSH_BYTES);
}

void col_flush_check(struct collector *c)
{
    if (c->stopping || c->ended)
        return;
    if (!c->flush && due(c))
        flush_submit(c);
    if (c->flush && !c->held &&
        (c->series.open->samples >= 2 * (size_t)c->conf->flush_samples ||
         waiting_bytes(c) >= 2 * FLUSH_BYTES)) {
        c->held = true;
        ac_bus_read_hold(c->reader);
    }
}

/* ---- retention ---- */

static void clean_done(int code, const struct ac_err *err, void *arg)
{
    struct col_clean *x = arg;
    if (code)
        AC_LOGW("collector", "old_telemetry_not_deleted", AC_KERR(err));
    free(x->series);
    free(x);
}

static void forget(const struct col_series *s, void *arg)
{
    struct col_clean *x = arg;
    if (!s->stored)
        return;
    ac_grow(&x->series, &x->cap, x->n + 1, sizeof(*x->series));
    x->series[x->n++] = s->id;
}

static void clean(struct collector *c)
{
    struct col_clean *x = ac_xcalloc(1, sizeof(*x));
    x->c = c;
    x->older_ns = ac_wall_ns() - c->conf->retention_ns;
    col_store_forget(&c->series, x->older_ns, forget, x);
    col_hists_trim(c->hists, x->older_ns);
    c->spans.stored_from_ns = AC_MAX(c->spans.stored_from_ns, x->older_ns);
    c->logs.stored_from_ns = AC_MAX(c->logs.stored_from_ns, x->older_ns);
    if (ac_pg_submit(c->svc->pg, col_store_clean, clean_done, x))
        clean_done(0, NULL, x); /* the next round does it */
}

static void on_tick(void *arg)
{
    struct collector *c = arg;
    int64_t now = ac_now_ns();
    if (c->flush && now >= c->retry_ns)
        c->retry_ns = ac_pg_submit(c->svc->pg, col_store_flush, flush_done, c->flush)
                          ? now + RETRY_NS
                          : INT64_MAX;
    col_flush_check(c);
    if (!c->flush && !c->stopping && !c->ended && now >= c->next_clean_ns) {
        c->next_clean_ns = now + AC_MIN(CLEAN_NS, c->conf->retention_ns / 4);
        clean(c);
        trim(c);
        col_compact_go(c);
    }
}

void col_flush_start(struct collector *c)
{
    c->next_clean_ns = ac_now_ns() + AC_NS_PER_S;
    c->retry_ns = INT64_MAX;
    c->tick = ac_timer_create(c->svc->loop, on_tick, c);
    ac_timer_start(c->tick, TICK_NS, TICK_NS);
}

void col_flush_stop(struct collector *c)
{
    c->stopping = true;
    ac_bus_read_close(c->reader);
    c->reader = NULL;
    if (!c->caught_up)
        col_query_caught_up(c); /* those that wait get what there is */
    if (c->flush)
        return; /* goes on in flush_done */
    if (c->ended || c->read_seq == c->stored_seq)
        ac_svc_stopped(c->svc);
    else
        flush_submit(c);
}
