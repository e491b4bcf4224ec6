/* A diagnosis: first what the cluster shows, then rca with that and the alerts, then the core. */
#include "responder_service.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/cluster.h"
#include "adapters/convert_pb.h"

#define MAX_CAUSES       10
#define RCA_TIMEOUT_NS   (15 * AC_NS_PER_S)
#define RECENT_CHANGE_NS (15 * 60 * AC_NS_PER_S)

struct look {
    struct resp_service *s;
    char *incident, *ns;
    int64_t start_ns;
    struct ac_cluster_state cluster;
    int rc; /* of the snapshot */
    struct ac_err err;
};

static void look_free(struct look *l)
{
    ac_cluster_state_fini(&l->cluster);
    free(l->incident);
    free(l->ns);
    free(l);
}

static void snapshot(void *arg) /* worker thread */
{
    struct look *l = arg;
    l->rc = resp_snapshot(l->s->kube, l->ns, &l->cluster, &l->err);
}

/* Answer to the core; problem NULL = the causes are good to act on. */
static void tell(struct look *l, const Aceso__V1__Diagnosis *d, const void *raw, size_t raw_len,
                 const char *problem)
{
    struct ac_inc_cause causes[MAX_CAUSES];
    size_t n = d ? resp_causes_from_pb(d, causes, MAX_CAUSES) : 0;
    const struct ac_diagnosed_in in = {
        .ok = !problem && n > 0,
        .problem = problem  ? problem
                   : n == 0 ? "no cause was found"
                            : NULL,
        .causes = causes,
        .ncauses = n,
        .blob = raw,
        .blob_len = n > 0 ? raw_len : 0,
        .cluster = &l->cluster,
    };
    if (problem)
        AC_LOGW("responder", "no_diagnosis", AC_KS("incident", l->incident), AC_KS("msg", problem));
    ac_responder_diagnosed(l->s->core, ac_wall_ns(), l->incident, &in);
}

static void on_diagnosis(const struct ac_rpc_result *res, void *arg)
{
    struct look *l = arg;
    char text[320];
    if (!l->s->stopping && res->code) {
        snprintf(text, sizeof(text), "rca does not answer: %.200s", res->message);
        tell(l, NULL, NULL, 0, text);
    } else if (!l->s->stopping) {
        const Aceso__V1__Diagnosis *d = res->reply;
        const char *problem = d->abstained        ? "no component stands out yet"
                              : d->low_confidence ? "the diagnosis has low confidence"
                                                  : NULL;
        if (l->rc) {
            snprintf(text, sizeof(text), "the cluster does not answer: %.200s", l->err.msg);
            problem = text;
        }
        tell(l, d, res->raw, res->raw_len, problem);
    }
    look_free(l);
}

static Aceso__V1__Finding *finding(struct ac_arena *a, const char *component, const char *kind,
                                   int64_t t_ns, const char *text)
{
    Aceso__V1__Finding *f = ac_arena_alloc(a, sizeof(*f));
    if (!f)
        return NULL;
    aceso__v1__finding__init(f);
    f->component = (char *)(uintptr_t)component;
    f->kind = (char *)(uintptr_t)kind;
    f->text = (char *)(uintptr_t)text;
    f->time_ns = t_ns;
    f->weight = 1.0;
    return f;
}

static void put(Aceso__V1__DiagnoseRequest *req, Aceso__V1__Finding *f)
{
    if (f && f->text)
        req->findings[req->n_findings++] = f;
}

/* What the cluster shows that telemetry may not. */
static void put_findings(const struct look *l, Aceso__V1__DiagnoseRequest *req, struct ac_arena *a)
{
    const struct ac_cluster_state *c = &l->cluster;
    req->findings = ac_arena_calloc(a, c->npods + 2 * c->ndeploys + 1, sizeof(*req->findings));
    for (size_t i = 0; req->findings && i < c->npods; i++) {
        const struct ac_pod_state *p = &c->pods[i];
        if (p->ready || p->deleting || ac_streq(p->phase, "Succeeded"))
            continue;
        put(req, finding(a, p->component, "pod_not_ready",
                         AC_MAX(p->ready_since_ns, l->start_ns - 30 * AC_NS_PER_S),
                         ac_arena_printf(a, "pod %s is not ready (%s%s%s)", p->name, p->phase,
                                         *p->reason ? ", " : "", p->reason)));
    }
    for (size_t i = 0; req->findings && i < c->ndeploys; i++) {
        const struct ac_deploy_state *d = &c->deploys[i];
        if (d->declared >= 0 && d->replicas < d->declared)
            put(req, finding(a, d->component, "config_drift", l->start_ns,
                             ac_arena_printf(a, "%s runs %d replicas where %d are declared",
                                             d->name, d->replicas, d->declared)));
        if (d->previous > 0 && d->changed_ns > 0 && d->changed_ns <= l->start_ns &&
            l->start_ns - d->changed_ns < RECENT_CHANGE_NS)
            put(req, finding(a, d->component, "rollout", d->changed_ns,
                             ac_arena_printf(a, "%s was rolled out to revision %d", d->name,
                                             d->revision)));
    }
}

static void put_symptoms(const struct ac_incident *i, Aceso__V1__DiagnoseRequest *req,
                         struct ac_arena *a)
{
    req->symptoms = ac_arena_calloc(a, i->nalerts + 1, sizeof(*req->symptoms));
    for (size_t k = 0; req->symptoms && k < i->nalerts; k++)
        if (i->alerts[k].open && i->alerts[k].component[0])
            req->symptoms[req->n_symptoms++] = i->alerts[k].component;
}

static void looked(void *arg)
{
    struct look *l = arg;
    struct resp_service *s = l->s;
    const struct ac_incident *i = ac_responder_find(s->core, l->incident);
    if (s->stopping || !i) {
        look_free(l);
        return;
    }
    struct ac_arena *a = ac_arena_create(16u << 20);
    Aceso__V1__DiagnoseRequest req = ACESO__V1__DIAGNOSE_REQUEST__INIT;
    req.namespace_ = l->ns;
    req.incident_id = l->incident;
    req.time_ns = l->start_ns;
    req.reference_ns = s->conf->reference_ns;
    put_symptoms(i, &req, a);
    put_findings(l, &req, a);
    const struct ac_rpc_call_opts o = {.timeout_ns = RCA_TIMEOUT_NS, .wait_for_ready = true};
    ac_rpc_unary(s->rca, "/aceso.v1.Rca/Diagnose", &req, &aceso__v1__diagnosis__descriptor, &o,
                 on_diagnosis, l);
    ac_arena_destroy(a);
}

void resp_look(struct resp_service *s, const char *incident_id)
{
    const struct ac_incident *i = ac_responder_find(s->core, incident_id);
    if (!i)
        return;
    struct look *l = ac_xcalloc(1, sizeof(*l));
    l->s = s;
    l->incident = ac_xstrdup(incident_id);
    l->ns = ac_xstrdup(i->namespace_);
    l->start_ns = ac_incident_symptom_start(i);
    if (ac_worker_submit(s->looks, snapshot, looked, l) != 0)
        look_free(l); /* full: the core asks again after its limit */
}
