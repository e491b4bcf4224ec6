/* aceso-detector: follows the telemetry with the rules and raises alerts. */
#include "detector_service.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <aceso/base.h>

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct det_service service;
static struct det_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct det_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static struct ac_metric *metric(struct ac_svc *svc, enum ac_metric_kind kind, const char *name,
                                const char *help)
{
    return ac_metrics_get(svc->metrics, kind, name, help, NULL, NULL);
}

/* The engine counts by itself; what it counted since goes to the metrics. */
static void export_counts(void *arg)
{
    struct det_service *s = arg;
    if (!s->engine)
        return;
    struct engine_counts n = engine_counts(s->engine), was = s->exported;
    s->exported = n;
    ac_metric_add(s->m_points, (double)(n.points - was.points));
    ac_metric_add(s->m_late, (double)(n.late - was.late));
    ac_metric_add(s->m_refused, (double)(n.refused - was.refused));
    ac_metric_set(s->m_series, (double)n.series);
    ac_metric_set(s->m_open, (double)n.open);
    ac_metric_set(s->m_rules, (double)n.rules);
    ac_metric_set(s->m_state, (double)n.state_bytes);
    ac_metric_set(s->m_unwatched, (double)n.unwatched);
}

static void metrics(struct det_service *s, struct ac_svc *svc)
{
    s->m_alerts = metric(svc, AC_METRIC_COUNTER, "aceso_detector_alerts_total",
                         "Alert messages that the bus took.");
    s->m_repeats = metric(svc, AC_METRIC_COUNTER, "aceso_detector_repeats_total",
                          "Alert messages that an earlier process had told already.");
    s->m_bad = metric(svc, AC_METRIC_COUNTER, "aceso_detector_malformed_total",
                      "Batches and series of the stream that are not well-formed.");
    s->m_points = metric(svc, AC_METRIC_COUNTER, "aceso_detector_points_total", "Points taken.");
    s->m_late = metric(svc, AC_METRIC_COUNTER, "aceso_detector_late_points_total",
                       "Points that were not newer than the newest of their series.");
    s->m_refused = metric(svc, AC_METRIC_COUNTER, "aceso_detector_refused_points_total",
                          "Points of series over the limits.");
    s->m_series = metric(svc, AC_METRIC_GAUGE, "aceso_detector_series", "Series followed.");
    s->m_open = metric(svc, AC_METRIC_GAUGE, "aceso_detector_alerts_open", "Alerts open.");
    s->m_rules = metric(svc, AC_METRIC_GAUGE, "aceso_detector_rules", "Rules in force.");
    s->m_state = metric(svc, AC_METRIC_GAUGE, "aceso_detector_state_bytes",
                        "Memory that the rules' states need.");
    s->m_unwatched = metric(svc, AC_METRIC_GAUGE, "aceso_detector_unwatched",
                            "Rules of series that are not evaluated: --state-max has no room.");
    s->m_lag = metric(svc, AC_METRIC_GAUGE, "aceso_detector_lag_seconds",
                      "From storing a message in the stream to taking it, last message.");
    s->m_snapshots =
        metric(svc, AC_METRIC_COUNTER, "aceso_detector_snapshots_total", "Snapshots stored.");
    ac_metrics_on_collect(svc->metrics, export_counts, s);
}

static int start(struct ac_svc *svc, struct ac_err *err)
{
    if (!conf.trainer_addr)
        return ac_err_set(err, AC_EINVAL, "trainer-addr is not set: say where the trainer is");
    int rc = ac_svc_ensure_streams(svc->bus, err);
    if (rc)
        return rc;
    struct det_service *s = &service;
    svc->state = s;
    s->svc = svc;
    s->conf = &conf;
    snprintf(s->source, sizeof(s->source), "detector/%d", (int)getpid());
    metrics(s, svc);
    det_alerts_init(s);
    s->trainer = ac_svc_channel(svc, conf.trainer_addr);
    rc = det_store_load(s, err);
    if (rc)
        return rc;
    det_snapshot_start(s);
    det_rpc_add(s);
    rc = det_follow_start(s, err);
    return rc ? rc : det_rules_start(s, err);
}

static void stop(struct ac_svc *svc)
{
    struct det_service *s = svc->state;
    s->stopping = true;
    det_rules_stop(s);
    det_follow_stop(s);
    det_snapshot_stop(s);
}

static void fini(struct ac_svc *svc)
{
    struct det_service *s = svc->state;
    if (!s)
        return;
    s->stopping = true;
    det_rules_stop(s);
    det_follow_stop(s);
    ac_rpc_channel_destroy(s->trainer);
    det_snapshot_free(s);
    struct engine *e = s->engine;
    s->engine = NULL;
    engine_destroy(e);
    struct outbox *o = s->outbox;
    s->outbox = NULL;
    outbox_destroy(o);
    ac_map_destroy(s->repeats);
    ac_map_destroy(s->zones);
    if (!s->storing) /* else a job still reads them, and the process ends */
        free(s->rules.bytes);
    free(s->next.bytes);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "detector",
        .summary = "follows the telemetry with the rules and raises alerts",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .uses_pg = true,
        .uses_bus = true,
        .pg_connections = 2,
        .max_message_bytes = 64u << 20,
        .migrations = det_migrations,
        .n_migrations = det_n_migrations,
        .start = start,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
