/* aceso-worker: runs models for a controller, one action at a time, inside its window. */
#include "worker_service.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/id.h>
#include <aceso/str.h>

#include "adapters/gate.h"
#include "adapters/memory_map.h"
#include "adapters/onednn.h"

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct wk_service service;
static struct wk_conf conf;

static const struct ac_conf_opt opts[] = {
#define AC_OPT(field, key, type, def, lo, hi, flags, help)                                         \
    {key, type, offsetof(struct wk_conf, field), def, lo, hi, flags, help},
#include "config.def"
#undef AC_OPT
};

static void sleep_until(void *self, int64_t ns)
{
    (void)self;
    struct timespec t = {.tv_sec = ns / AC_NS_PER_S, .tv_nsec = ns % AC_NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        ;
}

static int make_executor(struct wk_service *s, struct ac_err *err)
{
    if (ac_streq(conf.executor, "cpu")) {
        int rc = wk_onednn_create(&s->kernels, err);
        if (rc == 0)
            rc = wk_memory_map_create(conf.memory_bytes, conf.page_bytes, conf.prefault, &s->memory,
                                      err);
        if (rc)
            return rc;
        s->executor = wk_cpu_create(s->memory, s->kernels, &ac_clock_real);
        s->executor->gate = &wk_gate_futex;
        return 0;
    }
    if (ac_streq(conf.executor, "sim")) {
        struct wk_sim_config sim = {.clock = &ac_clock_real,
                                    .sleep_until = sleep_until,
                                    .base_ns = conf.sim_base_ns,
                                    .per_row_ns = conf.sim_row_ns,
                                    .load_bytes_per_s = (double)conf.sim_load_rate};
        s->executor = wk_sim_create(&sim);
        s->executor->gate = &wk_gate_futex;
        return 0;
    }
    return ac_err_set(err, AC_EINVAL, "--executor %s: there are cpu and sim", conf.executor);
}

static void make_metrics(struct wk_service *s)
{
    static const char *const kinds[] = {"load", "unload", "infer", "profile"};
    struct {
        const char *outcome;
        struct ac_metric **list;
    } sets[] = {{"done", s->n_done}, {"late", s->n_late}, {"failed", s->n_failed}};
    for (size_t i = 0; i < AC_ARRAY_LEN(sets); i++) {
        for (int k = 0; k < 4; k++) {
            const char *labels[] = {"kind", kinds[k], "outcome", sets[i].outcome, NULL};
            sets[i].list[k] =
                ac_metrics_get(s->svc->metrics, AC_METRIC_COUNTER, "aceso_worker_actions_total",
                               "Actions of the controller by how they ended.", labels, NULL);
        }
    }
    s->exec_seconds =
        ac_metrics_get(s->svc->metrics, AC_METRIC_HISTOGRAM, "aceso_worker_execution_seconds",
                       "Duration of executions.", NULL, ac_metric_seconds_buckets);
}

static int start(struct ac_svc *svc, struct ac_err *err)
{
    struct wk_service *s = &service;
    svc->state = s;
    s->svc = svc;
    s->conf = &conf;
    if (ac_str_empty(conf.controller_addr))
        return ac_err_set(err, AC_EINVAL,
                          "controller-addr is not set: say where the controller is");
    if (ac_str_empty(conf.name))
        AC_ASSERT(gethostname(s->name, sizeof(s->name) - 1) == 0);
    else
        (void)ac_str_copy(s->name, sizeof(s->name), conf.name);
    (void)ac_str_copy(s->instance, sizeof(s->instance), ac_id_new().s);
    int rc = make_executor(s, err);
    if (rc)
        return rc;
    uint64_t pages = conf.memory_bytes / conf.page_bytes;
    if (pages == 0 || pages > UINT32_MAX)
        return ac_err_set(err, AC_EINVAL, "--memory must be 1 to %u pages", UINT32_MAX);
    make_metrics(s);
    s->lanes = wk_lanes_create(svc->loop, s->executor, (uint32_t)pages, (uint32_t)conf.page_bytes);
    s->preparing = ac_worker_create(svc->loop, "prepare", 1, WK_MODELS_MAX);
    rc = wk_presence_start(s, err);
    if (rc == 0)
        wk_link_start(s);
    return rc;
}

static void stop(struct ac_svc *svc)
{
    struct wk_service *s = svc->state;
    s->stopping = true;
    wk_link_stop(s);
    wk_models_stop(s);
    wk_lanes_stop(s->lanes);
    wk_link_stopped(s);
}

static void fini(struct ac_svc *svc)
{
    struct wk_service *s = svc->state;
    if (!s)
        return;
    wk_presence_free(s);
    ac_rpc_channel_destroy(s->channel);
    ac_worker_destroy(s->preparing);
    wk_lanes_destroy(s->lanes);
    wk_models_free(s);
    if (s->executor)
        s->executor->ops->destroy(s->executor);
    wk_memory_map_destroy(s->memory);
    wk_onednn_destroy(s->kernels);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "worker",
        .summary = "runs models for a controller, one at a time, each in its window",
        .opts = opts,
        .n_opts = AC_ARRAY_LEN(opts),
        .conf = &conf,
        .no_rpc = true,
        .start = start,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
