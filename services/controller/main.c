/* aceso-controller: KServe v2 in front, the scheduler, the stream of actions to the workers. */
#include "controller_service.h"

#include <stddef.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/log.h>

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct ctl_service service;
static struct ctl_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct ctl_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static int start(struct ac_svc *svc, struct ac_err *err)
{
    struct ctl_service *s = &service;
    svc->state = s;
    s->svc = svc;
    s->conf = &conf;
    s->metrics = svc->metrics;
    s->repository = conf.repository
                        ? ac_xstrdup(conf.repository)
                        : ac_xasprintf("%s/../%s", ac_exe_dir(), CTL_NAME_DEFAULT_REPOSITORY);
    s->files = ac_worker_create(svc->loop, "files", 1, 1024);
    int rc = ctl_tenants_parse(conf.tenants, &s->tenants, err);
    if (rc)
        return ac_err_wrap(err, "--tenants");
    ctl_dispatch_start(s);
    ctl_stats_start(s);
    struct ctl_scan scan;
    rc = ctl_scan_run(s->repository, &scan, err);
    if (rc) {
        (void)ac_err_wrap(err, "--repository");
        return err->code = AC_EINVAL;
    }
    for (size_t i = 0; i < scan.n_errors; i++)
        AC_LOGW("repository", "model_unavailable", AC_KS("error", scan.errors[i]));
    ctl_catalog_merge(s->catalog, scan.found, scan.n);
    ctl_scan_fini(&scan);
    rc = ctl_events_start(s, err);
    if (rc)
        return rc;
    ctl_rpc_kserve_add(s);
    ctl_rpc_serving_add(s);
    s->lease = ac_timer_create(svc->loop, ctl_workers_check, s);
    ac_timer_start(s->lease, conf.lease_ns / 8, conf.lease_ns / 8);
    return 0;
}

static void stop(struct ac_svc *svc)
{
    struct ctl_service *s = svc->state;
    s->stopping = true;
    ctl_fetch_stop(s);
    ctl_dispatch_stop(s);
}

static void fini(struct ac_svc *svc)
{
    struct ctl_service *s = svc->state;
    if (!s)
        return;
    ac_timer_destroy(s->lease);
    ac_worker_destroy(s->files);
    ctl_dispatch_free(s);
    ctl_workers_free(s);
    ctl_catalog_destroy(s->catalog);
    ctl_events_free(s);
    free(s->repository);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "controller",
        .summary = "serves models: KServe v2 in front, every choice, workers behind",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .max_message_bytes = CTL_MESSAGE_BYTES,
        .start = start,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
