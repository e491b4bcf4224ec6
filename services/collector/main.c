/* aceso-collector: telemetry in by OTLP, out to the bus and PostgreSQL, and queries. */
#include "collector.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <aceso/base.h>

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct collector collector;
static struct col_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct col_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static struct ac_metric *counter(struct ac_svc *s, const char *name, const char *help,
                                 enum col_signal signal)
{
    static const char *const names[] = {"metrics", "traces", "logs"};
    const char *const labels[] = {"signal", names[signal], NULL};
    return ac_metrics_get(s->metrics, AC_METRIC_COUNTER, name, help, labels, NULL);
}

static void make_metrics(struct collector *c, struct ac_svc *s)
{
    for (int i = 0; i < COL_SIGNALS; i++) {
        enum col_signal g = (enum col_signal)i;
        c->m.accepted[i] = counter(s, "aceso_collector_accepted_total",
                                   "Points, spans and records confirmed to their sender.", g);
        c->m.rejected[i] = counter(s, "aceso_collector_rejected_total",
                                   "Points, spans and records refused, with a reason.", g);
        c->m.stored[i] = counter(s, "aceso_collector_stored_total",
                                 "Samples, spans and records stored in PostgreSQL.", g);
    }
    c->m.poison = ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_collector_poison_total",
                                 "Bus messages, or parts of them, that make no sense.", NULL, NULL);
    c->m.lost =
        ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_collector_lost_messages_total",
                       "Messages that the stream dropped before they were read.", NULL, NULL);
    c->m.merged =
        ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_collector_merged_chunks_total",
                       "Chunks of samples that became part of a larger one.", NULL, NULL);
    c->m.flush_seconds =
        ac_metrics_get(s->metrics, AC_METRIC_HISTOGRAM, "aceso_collector_flush_seconds",
                       "Time of one transaction that stores.", NULL, ac_metric_seconds_buckets);
    c->m.series = ac_metrics_get(s->metrics, AC_METRIC_GAUGE, "aceso_collector_series",
                                 "Series known.", NULL, NULL);
    c->m.in_memory = ac_metrics_get(s->metrics, AC_METRIC_GAUGE, "aceso_collector_memory_samples",
                                    "Samples in memory.", NULL, NULL);
}

static int start(struct ac_svc *svc, struct ac_err *err)
{
    struct collector *c = &collector;
    int rc = ac_svc_ensure_streams(svc->bus, err);
    if (rc)
        return rc;
    c->svc = svc;
    c->conf = &conf;
    svc->state = c;
    (void)snprintf(c->source, sizeof(c->source), "collector/%d", (int)getpid());
    make_metrics(c, svc);
    col_store_init(&c->series, (size_t)conf.max_series);
    col_events_init(&c->spans);
    col_events_init(&c->logs);
    c->hists = col_hists_create((size_t)conf.max_series);
    c->arena = ac_arena_create(64u << 20);
    c->worker = ac_worker_create(svc->loop, "query", 2, 256);
    if ((rc = col_store_load(c, err)))
        return ac_err_wrap(err, "reading what is stored");
    const struct ac_bus_read from = {.stream = AC_STREAM_TELEMETRY,
                                     .filter = "aceso.telemetry.>",
                                     .from_seq = c->stored_seq + 1,
                                     .max_queued = 64};
    if ((rc = ac_bus_read(svc->bus, &from, col_reader_message, c, &c->reader, err)))
        return rc;
    col_reader_mark(c);
    col_flush_start(c);
    col_ingest_add(c);
    col_query_add(c);
    return 0;
}

static void stop(struct ac_svc *svc)
{
    col_flush_stop(svc->state);
}

static void fini(struct ac_svc *svc)
{
    struct collector *c = svc->state;
    if (!c)
        return;
    if (c->flush) { /* the pool still reads it: the process ends anyway, the stream has it all */
        ac_timer_destroy(c->tick);
        ac_bus_read_close(c->reader);
        ac_worker_destroy(c->worker);
        return;
    }
    ac_timer_destroy(c->tick);
    ac_bus_read_close(c->reader);
    ac_worker_destroy(c->worker);
    col_store_fini(&c->series);
    col_events_fini(&c->spans);
    col_events_fini(&c->logs);
    col_hists_destroy(c->hists);
    ac_arena_destroy(c->arena);
    free(c->stored_by);
    free(c->waiting);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "collector",
        .schema = "telemetry",
        .summary = "telemetry in by OTLP, out to the bus and PostgreSQL; queries",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .uses_pg = true,
        .uses_bus = true,
        .pg_connections = 4,
        .migrations = col_migrations,
        .n_migrations = col_n_migrations,
        .start = start,
        .http = col_ingest_http,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
