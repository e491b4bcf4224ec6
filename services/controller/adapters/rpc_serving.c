/* aceso.v1.Serving: status and rescan; the workers' stream and the models' bytes are in workers.c
 * and fetch.c. */
#include "controller_service.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/log.h>

static char *text(const char *s)
{
    union {
        const char *in;
        char *out;
    } u = {.in = s};
    return u.out;
}

void ctl_worker_status(const struct ctl_worker *w, Aceso__V1__ServingWorker *ret_m)
{
    struct sched_device_view v;
    sched_device_view(w->s->sched, w->device, &v);
    static char connected[] = "CONNECTED", gone[] = "LOST";
    aceso__v1__serving_worker__init(ret_m);
    ret_m->name = text(w->name);
    ret_m->executor = text(w->executor);
    ret_m->kind = text(w->s->kinds.name[w->kind]);
    ret_m->state = w->up ? connected : gone;
    ret_m->memory_bytes = w->memory_bytes;
    ret_m->free_bytes = v.up ? (uint64_t)v.pages_free * w->page_bytes : 0;
    ret_m->outstanding = v.outstanding;
    ret_m->round_trip_ns = w->clock.round_trip_ns;
}

static void model_status(const struct ctl_service *s, const struct ctl_model *m, char **names,
                         Aceso__V1__ServingModel *ret_m)
{
    uint32_t devices[CTL_WORKERS_MAX];
    aceso__v1__serving_model__init(ret_m);
    ret_m->name = text(m->what.name);
    ret_m->version = text(m->what.version);
    ret_m->state = text(ctl_model_state_name(ctl_model_state(m, s->up)));
    ret_m->reason = text(ctl_model_reason(m, s->up));
    ret_m->weights_bytes = m->weights_bytes;
    ret_m->requests = m->stats.requests;
    ret_m->on_time = m->stats.outcomes[POLICY_ON_TIME];
    ret_m->late = m->stats.outcomes[POLICY_LATE];
    ret_m->failed = m->stats.outcomes[POLICY_ERROR];
    ret_m->refused = m->stats.requests - ret_m->on_time - ret_m->late - ret_m->failed;
    ret_m->cold_starts = m->stats.cold_starts;
    if (m->number == CTL_NO_NUMBER)
        return;
    uint32_t n = sched_model_devices(s->sched, m->number, devices, CTL_WORKERS_MAX);
    for (uint32_t i = 0; i < n; i++)
        names[i] = s->workers[devices[i]]->name;
    ret_m->resident_on = names;
    ret_m->n_resident_on = n;
}

static void on_status(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    struct ctl_service *s = self;
    struct ac_arena *a = ac_rpc_arena(c);
    Aceso__V1__ServingStatus res = ACESO__V1__SERVING_STATUS__INIT;
    size_t n = 0;
    while (ctl_catalog_at(s->catalog, n))
        n++;
    Aceso__V1__ServingModel *models = ac_xcalloc(n + 1, sizeof(*models));
    Aceso__V1__ServingWorker workers[CTL_WORKERS_MAX], *worker_list[CTL_WORKERS_MAX];
    res.models = ac_xcalloc(n + 1, sizeof(*res.models));
    for (; res.n_models < n; res.n_models++) {
        char **names = ac_arena_calloc(a, s->n_workers + 1, sizeof(*names));
        if (!names)
            break;
        model_status(s, ctl_catalog_at(s->catalog, res.n_models), names, &models[res.n_models]);
        res.models[res.n_models] = &models[res.n_models];
    }
    for (uint32_t i = 0; i < s->n_workers; i++) {
        ctl_worker_status(s->workers[i], &workers[i]);
        worker_list[i] = &workers[i];
    }
    Aceso__V1__ServingTenant tenants[POLICY_TENANTS], *tenant_list[POLICY_TENANTS];
    for (uint32_t i = 0; i < s->tenants.n; i++) {
        aceso__v1__serving_tenant__init(&tenants[i]);
        tenants[i].name = s->tenants.list[i].name;
        tenants[i].weight = s->tenants.list[i].weight;
        tenants[i].use = sched_tenant_use(s->sched, ctl_now(s), i);
        tenants[i].requests = s->tenant_stats[i].requests;
        tenants[i].on_time = s->tenant_stats[i].on_time;
        tenants[i].refused_by_share = s->tenant_stats[i].by_share;
        tenant_list[i] = &tenants[i];
    }
    res.tenants = tenant_list;
    res.n_tenants = s->tenants.n;
    res.workers = worker_list;
    res.n_workers = s->n_workers;
    ac_rpc_reply(c, &res);
    free(models);
    free(res.models);
}

/* ---- rescan ---- */

struct rescan {
    struct ctl_service *s;
    struct ac_rpc_call *call;
    char *dir;
    struct ctl_scan scan;
    struct ac_err err;
    int rc;
};

/* Files' thread. */
static void rescan_run(void *arg)
{
    struct rescan *r = arg;
    r->rc = ctl_scan_run(r->dir, &r->scan, &r->err);
}

static void rescan_done(void *arg)
{
    struct rescan *r = arg;
    struct ctl_service *s = r->s;
    s->scanning = false;
    if (r->rc == 0 && s->stopping)
        r->rc = ac_err_set(&r->err, AC_ENET, "the controller stops");
    if (r->rc) {
        ac_rpc_fail(r->call, &r->err);
    } else {
        Aceso__V1__RescanRepositoryResponse res = ACESO__V1__RESCAN_REPOSITORY_RESPONSE__INIT;
        res.models = (uint32_t)r->scan.n;
        res.errors = r->scan.errors;
        res.n_errors = r->scan.n_errors;
        ctl_catalog_merge(s->catalog, r->scan.found, r->scan.n);
        ctl_workers_announce(s);
        AC_LOGI("repository", "rescanned", AC_KI("models", r->scan.n),
                AC_KI("errors", r->scan.n_errors));
        ac_rpc_reply(r->call, &res);
    }
    ctl_scan_fini(&r->scan);
    free(r->dir);
    free(r);
}

static void on_rescan(struct ac_rpc_call *c, const void *req, void *self)
{
    (void)req;
    struct ctl_service *s = self;
    struct ac_err err = AC_ERR_INIT;
    if (s->scanning) {
        (void)ac_err_set(&err, AC_EABORTED, "a scan is under way: try again when it has ended");
        ac_rpc_fail(c, &err);
        return;
    }
    struct rescan *r = ac_xcalloc(1, sizeof(*r));
    r->s = s;
    r->call = c;
    r->dir = ac_xstrdup(s->repository);
    s->scanning = true;
    int rc = ac_worker_submit(s->files, rescan_run, rescan_done, r);
    if (rc == 0)
        return;
    s->scanning = false;
    free(r->dir);
    free(r);
    (void)ac_err_set(&err, rc, "too many files are being read");
    ac_rpc_fail(c, &err);
}

void ctl_rpc_serving_add(struct ctl_service *s)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "Work", .kind = AC_RPC_BIDI, .handler = ctl_work},
        {.name = "FetchModel", .kind = AC_RPC_SERVER_STREAM, .handler = ctl_fetch_model},
        {.name = "GetServingStatus", .kind = AC_RPC_UNARY, .handler = on_status},
        {.name = "RescanRepository", .kind = AC_RPC_UNARY, .handler = on_rescan},
    };
    ac_rpc_server_add(s->svc->server, &aceso__v1__serving__descriptor, methods,
                      AC_ARRAY_LEN(methods), s);
}
