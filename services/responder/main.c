/* aceso-responder: alerts to incidents, diagnosis, guarded repair. */
#include "responder_service.h"

#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <aceso/base.h>

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct resp_service service;
static struct resp_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct resp_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static int start(struct ac_svc *svc, struct ac_err *err)
{
    if (!conf.rca_addr)
        return ac_err_set(err, AC_EINVAL, "rca-addr is not set: say where the rca service is");
    int rc = ac_svc_ensure_streams(svc->bus, err);
    if (rc)
        return rc;
    struct resp_service *s = &service;
    svc->state = s;
    s->svc = svc;
    s->conf = &conf;
    snprintf(s->source, sizeof(s->source), "responder/%d", (int)getpid());
    s->kube = ac_kube_create(conf.kubeconfig);
    s->rca = ac_svc_channel(svc, conf.rca_addr);
    s->looks = ac_worker_create(svc->loop, "look", 2, 256);
    s->acts = ac_worker_create(svc->loop, "act", 4, 256);
    s->n_alerts = ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_responder_alerts_total",
                                 "Alert messages taken.", NULL, NULL);
    s->n_actions = ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_responder_actions_total",
                                  "Actions begun on the cluster.", NULL, NULL);
    s->n_store_failures =
        ac_metrics_get(svc->metrics, AC_METRIC_COUNTER, "aceso_responder_store_failures_total",
                       "Failed attempts to store an incident.", NULL, NULL);
    resp_rpc_add(s);
    rc = resp_engine_start(s, err);
    return rc ? rc : resp_alerts_start(s, err);
}

static void stop(struct ac_svc *svc)
{
    struct resp_service *s = svc->state;
    if (s->alerts)
        ac_bus_unsubscribe(s->alerts);
    s->alerts = NULL;
    resp_engine_stop(s);
    resp_rpc_stop(s);
    ac_svc_stopped(svc);
}

static void fini(struct ac_svc *svc)
{
    struct resp_service *s = svc->state;
    if (!s)
        return;
    resp_engine_stop(s);
    ac_worker_destroy(s->looks);
    ac_worker_destroy(s->acts);
    ac_rpc_channel_destroy(s->rca);
    resp_engine_free(s);
    ac_kube_destroy(s->kube);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "responder",
        .summary = "alerts to incidents, diagnosis, guarded repair",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .uses_pg = true,
        .uses_bus = true,
        .schema = "incidents",
        .pg_connections = 1, /* stores stay in order */
        .migrations = resp_migrations,
        .n_migrations = resp_n_migrations,
        .start = start,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
