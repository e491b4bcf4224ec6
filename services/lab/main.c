/* aceso-lab: problems, sessions, and what agents may do. */
#include <stdio.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/file.h>
#include <aceso/log.h>
#include <aceso/str.h>

#include "adapters/lab.h"
#include "adapters/problem_yaml.h"
#include "adapters/store.h"

/* Static: callbacks of what was under way may come until the loop ends, after fini. */
static struct lab lab;
static struct lab_conf conf;

/* What the build and the packages put beside the programs. */
static char *beside(const char *given, const char *name)
{
    return ac_str_empty(given) ? ac_xasprintf("%s/../share/aceso/%s", ac_exe_dir(), name)
                               : ac_xstrdup(given);
}

static int start(struct ac_svc *svc, struct ac_err *err)
{
    struct lab *l = &lab;
    svc->state = l;
    l->svc = svc;
    l->conf = &conf;
    snprintf(l->source, sizeof(l->source), "lab/%d", (int)getpid());
    l->problems_dir = beside(conf.problems_dir, "problems");
    l->apps_dir = beside(conf.apps_dir, "apps");
    int rc = lab_problems_load(l->problems_dir, &l->problems, &l->n_problems, err);
    if (rc != 0)
        return rc;
    if (l->n_problems == 0)
        return ac_err_set(err, AC_EINVAL, "%s holds no problem: give --problems-dir",
                          l->problems_dir);
    if (!ac_path_exists(l->apps_dir))
        return ac_err_set(err, AC_ENOTFOUND,
                          "the applications' manifests are missing in %s: build them with make "
                          "all or give --apps-dir",
                          l->apps_dir);
    rc = ac_svc_ensure_streams(svc->bus, err);
    if (rc != 0)
        return rc;
    l->kube = ac_kube_create(conf.kubeconfig);
    l->collector = ac_svc_channel(svc, conf.collector_addr);
    l->trainer = ac_svc_channel(svc, conf.trainer_addr);
    l->detector = ac_svc_channel(svc, conf.detector_addr);
    l->responder = ac_svc_channel(svc, conf.responder_addr);
    l->shell = ac_worker_create(svc->loop, "shell", 4, 64);
    lab_rpc_add(l);
    lab_agent_rpc_add(l);
    return lab_resume_sessions(l, err);
}

static void stop(struct ac_svc *svc)
{
    lab_leave(svc->state);
}

static void fini(struct ac_svc *svc)
{
    struct lab *l = svc->state;
    if (!l)
        return;
    if (l->shell)
        ac_worker_destroy(l->shell);
    struct ac_rpc_channel *const channels[] = {l->collector, l->trainer, l->detector, l->responder};
    for (size_t i = 0; i < AC_ARRAY_LEN(channels); i++) {
        if (channels[i])
            ac_rpc_channel_destroy(channels[i]);
    }
    lab_sessions_free(l);
    ac_kube_destroy(l->kube);
    lab_problems_free(l->problems, l->n_problems);
    free(l->problems_dir);
    free(l->apps_dir);
}

int main(int argc, char **argv)
{
    const struct ac_svc_spec spec = {
        .name = "lab",
        .summary = "the benchmark: problems, sessions, and what agents may do",
        .opts = lab_opts,
        .n_opts = lab_n_opts,
        .conf = &conf,
        .uses_pg = true,
        .uses_bus = true,
        .pg_connections = 4,
        .migrations = lab_migrations,
        .n_migrations = lab_n_migrations,
        .start = start,
        .stop = stop,
        .fini = fini,
    };
    return ac_svc_main(&spec, argc, argv);
}
