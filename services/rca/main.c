/* aceso-rca: root causes of incidents in live telemetry, over gRPC. */
#include "rca_service.h"

#include <stddef.h>

#include <aceso/base.h>
#include <aceso/team.h>

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct rca_service service;
static struct rca_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct rca_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static int start(struct ac_svc *svc, struct ac_err *err)
{
    if (!conf.collector_addr)
        return ac_err_set(err, AC_EINVAL, "collector-addr is not set: say where the collector is");
    int rc = ac_svc_ensure_streams(svc->bus, err);
    if (rc)
        return rc;
    struct rca_service *s = &service;
    s->svc = svc;
    s->conf = &conf;
    s->collector = ac_svc_channel(svc, conf.collector_addr);
    s->team = ac_team_create(ac_team_processors());
    AC_ASSERT(pthread_mutex_init(&s->team_mu, NULL) == 0);
    s->worker = ac_worker_create(svc->loop, "rca", 2, 64);
    s->diagnoses = ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_rca_diagnoses_total",
                                  "Diagnoses made.", NULL, NULL);
    s->failures = ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_rca_failures_total",
                                 "Diagnoses that failed.", NULL, NULL);
    s->seconds = ac_metrics_get(svc->metrics, AC_METRIC_HISTOGRAM, "aceso_rca_diagnosis_seconds",
                                "Time of a diagnosis, telemetry queries included.", NULL,
                                ac_metric_seconds_buckets);
    svc->state = s;
    rca_rpc_add(s);
    return 0;
}

static void fini(struct ac_svc *svc)
{
    struct rca_service *s = svc->state;
    if (!s)
        return;
    ac_worker_destroy(s->worker);
    ac_team_destroy(s->team);
    (void)pthread_mutex_destroy(&s->team_mu);
    ac_rpc_channel_destroy(s->collector);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "rca",
        .summary = "root causes of incidents in live telemetry",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .uses_pg = true,
        .uses_bus = true,
        .migrations = rca_migrations,
        .n_migrations = rca_n_migrations,
        .start = start,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
