/* aceso-trainer: rules learnt from telemetry, and the store of rules. */
#include <aceso/base.h>

#include "adapters/service.h"

static struct trainer_conf conf;
static struct trainer trainer;

static const struct ac_conf_opt opts[] = {
    {"collector-addr", AC_CONF_STR, offsetof(struct trainer_conf, collector_addr), "127.0.0.1:4317",
     NULL, NULL, 0, "gRPC address of the collector, whose telemetry is learnt from"},
    {"job-timeout", AC_CONF_DURATION, offsetof(struct trainer_conf, job_timeout_ns), "20s", "1s",
     "10m", 0, "how long the collector may take to answer a job"},
    {"job-threads", AC_CONF_I64, offsetof(struct trainer_conf, job_threads), "1", "1", "64", 0,
     "jobs that train at the same time"},
};

static int start(struct ac_svc *s, struct ac_err *err)
{
    int rc = ac_svc_ensure_streams(s->bus, err);
    if (rc < 0)
        return rc;
    trainer.svc = s;
    trainer.collector = ac_svc_channel(s, conf.collector_addr);
    trainer.worker = ac_worker_create(s->loop, "train", (unsigned)conf.job_threads, 64);
    rpc_rules_add(&trainer);
    return rpc_jobs_add(&trainer, err);
}

static void stop(struct ac_svc *s)
{
    trainer.stopping = true;
    ac_svc_stopped(s);
}

static void fini(struct ac_svc *s)
{
    (void)s;
    trainer.stopping = true;
    ac_rpc_channel_destroy(trainer.collector);
    ac_worker_destroy(trainer.worker);
    jobs_fini(&trainer);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "trainer",
        .summary = "learns anomaly rules from telemetry and keeps them",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .uses_pg = true,
        .uses_bus = true,
        .migrations = trainer_migrations,
        .n_migrations = trainer_n_migrations,
        .start = start,
        .stop = stop,
        .fini = fini,
        .max_message_bytes = 64u << 20,
    };
    return ac_svc_main(&spec, argc, argv);
}
