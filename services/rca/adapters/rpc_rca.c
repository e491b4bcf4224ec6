/* aceso.v1.Rca: fetches telemetry of the incident from the collector, localises on a worker, stores
 * the diagnosis, publishes it, answers. Loop thread except localise(). */
#include "rca_service.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <aceso/base.h>
#include <aceso/id.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/team.h>

#include "adapters/convert_pb.h"

/* A request's arena is its call's: it lives until the call is answered. */
struct job {
    struct rca_service *s;
    struct ac_rpc_call *call;
    const Aceso__V1__DiagnoseRequest *req;
    int64_t from_ns, to_ns, begun_ns;
    int waiting; /* answers of the collector still to come */
    struct ac_err err;
    Aceso__V1__QueryMetricsResponse *metrics;
    Aceso__V1__ServiceGraphResponse *graph;
    Aceso__V1__QueryLogsResponse *logs;
    Aceso__V1__QuerySpansResponse *spans; /* NULL: not asked for, or not there */
    bool asked_spans;
    struct ac_arena *arena; /* the collector's answers and the diagnosis */
    Aceso__V1__Diagnosis *diagnosis;
    char source[64];
};

#define JOB_MAX_BYTES   (256u << 20)
#define MAX_LINES       20000u
#define MAX_SPANS       30000u
#define WORDS_BEFORE_NS (15 * AC_NS_PER_S)

static void job_end(struct job *j)
{
    if (j->err.code) {
        ac_metric_add(j->s->failures, 1);
        ac_rpc_fail(j->call, &j->err);
    } else {
        ac_metric_add(j->s->diagnoses, 1);
        ac_metric_observe(j->s->seconds, (double)(ac_now_ns() - j->begun_ns) / 1e9);
        ac_rpc_reply(j->call, j->diagnosis);
    }
    ac_arena_destroy(j->arena);
    free(j);
}

static void publish(struct job *j)
{
    struct ac_err err = AC_ERR_INIT;
    char *subject = ac_xasprintf("%s.%s", AC_SUBJECT_DIAGNOSES, j->req->namespace_);
    if (ac_bus_js_publish_pb(j->s->svc->bus, subject, j->diagnosis->meta->id, j->diagnosis, NULL,
                             NULL, &err))
        AC_LOGW("rca", "diagnosis_not_published", AC_KS("id", j->diagnosis->meta->id),
                AC_KERR(&err));
    free(subject);
}

/* A diagnosis that cannot be stored is still an answer: the incident must not wait for the disk. */
static void stored(int code, void *arg)
{
    struct job *j = arg;
    if (code == 0)
        publish(j);
    job_end(j);
}

static int build_case(struct job *j, struct ac_rca_case *c, struct ac_err *err)
{
    struct ac_rca_signals *s = ac_rca_signals_create(j->from_ns, j->to_ns, 0);
    int rc = 0;
    rca_convert_series(s, j->metrics);
    rc = ac_rca_signals_build(s, c, err);
    ac_rca_signals_destroy(s);
    if (!rc && j->graph)
        rc = rca_convert_graph(c, j->graph, err);
    if (!rc)
        rc = rca_convert_findings(c, j->req, err);
    if (!rc && j->spans)
        rc = rca_convert_spans(c, j->spans, err);
    /* the newest lines: of a part of the time when there are more */
    const int64_t range[2] = {j->logs && j->logs->n_records < MAX_LINES ? j->from_ns : 0, j->to_ns};
    if (!rc && j->logs)
        rc = rca_convert_logs(c, j->logs, range, j->req->time_ns - WORDS_BEFORE_NS, err);
    ac_rca_case_one_statistic(c);
    if (!rc && c->nmetrics == 0)
        return ac_err_set(err, AC_ENOTFOUND, "no telemetry of namespace %s in that time",
                          j->req->namespace_);
    return rc;
}

static int diagnose(struct job *j, struct ac_rca_case *c, struct ac_err *err)
{
    struct ac_rca_result r;
    struct ac_rca_params p =
        ac_rca_params_default(j->req->time_ns, AC_MAX(j->to_ns - j->req->time_ns, AC_NS_PER_S));
    p.alerted = !j->req->may_abstain;
    p.ongoing = p.alerted && j->req->window_ns == 0;
    /* Two diagnoses at once have no use for more threads: the second one does without. */
    bool shared = pthread_mutex_trylock(&j->s->team_mu) == 0;
    p.team = shared ? j->s->team : NULL;
    p.threshold =
        AC_MAX(j->s->conf->min_score, ac_rca_calibrate(c, &p, j->req->time_ns - 10 * AC_NS_PER_S));
    int rc = ac_rca_localise(c, &p, &r, err);
    if (shared)
        (void)pthread_mutex_unlock(&j->s->team_mu);
    if (rc)
        return rc;
    j->diagnosis = rca_convert_result(c, &r, j->arena);
    ac_rca_result_fini(&r);
    if (!j->diagnosis)
        return ac_err_set(err, AC_EAGAIN, "the diagnosis is too large");
    return 0;
}

static void localise(void *arg) /* worker thread */
{
    struct job *j = arg;
    struct ac_rca_case *c = ac_rca_case_create();
    int rc = build_case(j, c, &j->err);
    if (!rc) {
        ac_rca_case_trim(c, ac_rca_settled(c, j->req->time_ns));
        rc = diagnose(j, c, &j->err);
    }
    if (rc && !j->err.code)
        (void)ac_err_set(&j->err, rc, "the diagnosis failed");
    ac_rca_case_destroy(c);
}

static void localised(void *arg)
{
    struct job *j = arg;
    Aceso__V1__Diagnosis *d = j->diagnosis;
    Aceso__V1__Meta *meta = ac_arena_alloc(j->arena, sizeof(*meta));
    if (!j->err.code && !meta)
        (void)ac_err_set(&j->err, AC_EAGAIN, "the diagnosis is too large");
    if (j->err.code) {
        job_end(j);
        return;
    }
    struct ac_id id = ac_id_new();
    aceso__v1__meta__init(meta);
    meta->id = ac_arena_strdup(j->arena, id.s);
    meta->tenant = j->s->svc->conf.tenant;
    meta->created_at_ns = ac_wall_ns();
    meta->source = j->source;
    d->meta = meta;
    d->namespace_ = j->req->namespace_;
    d->incident_id = j->req->incident_id;
    d->seconds = (double)(ac_now_ns() - j->begun_ns) / 1e9;
    if (j->graph) {
        d->graph = j->graph->edges;
        d->n_graph = j->graph->n_edges;
    }
    rca_store_put(j->s, d, stored, j);
}

static void on_spans(const struct ac_rpc_result *res, void *arg);

/* Whether the application itself measures its calls. */
static bool measures_calls(const Aceso__V1__QueryMetricsResponse *m)
{
    for (size_t i = 0; i < m->n_series; i++)
        if (m->series[i]->key &&
            rca_convert_peer(m->series[i]->key->labels, m->series[i]->key->n_labels))
            return true;
    return false;
}

/* Where no measurement is of an edge, spans tell what callers see: the newest of them. */
static void fetch_spans(struct job *j)
{
    const struct ac_rpc_call_opts o = {.timeout_ns = j->s->conf->query_timeout_ns};
    Aceso__V1__TimeRange all = ACESO__V1__TIME_RANGE__INIT;
    Aceso__V1__QuerySpansRequest q = ACESO__V1__QUERY_SPANS_REQUEST__INIT;
    all.from_ns = j->from_ns;
    all.to_ns = j->to_ns;
    q.namespace_ = j->req->namespace_;
    q.range = &all;
    q.limit = MAX_SPANS;
    j->asked_spans = true;
    j->waiting = 1;
    ac_rpc_unary(j->s->collector, "/aceso.v1.Telemetry/QuerySpans", &q,
                 &aceso__v1__query_spans_response__descriptor, &o, on_spans, j);
}

static void one_answered(struct job *j)
{
    if (--j->waiting > 0)
        return;
    if (!j->err.code && !j->asked_spans && j->graph && j->graph->n_edges > 0 &&
        !measures_calls(j->metrics)) {
        fetch_spans(j);
        return;
    }
    if (!j->err.code && ac_worker_submit(j->s->worker, localise, localised, j) == 0)
        return;
    if (!j->err.code)
        (void)ac_err_set(&j->err, AC_EAGAIN, "too many diagnoses are under way");
    job_end(j);
}

static void keep_reply(struct job *j, const struct ac_rpc_result *res,
                       const ProtobufCMessageDescriptor *desc, ProtobufCMessage **ret)
{
    struct ac_err err = AC_ERR_INIT;
    if (ac_pb_unpack(desc, res->raw, res->raw_len, j->arena, ret, &err) && !j->err.code)
        j->err = err;
}

static void on_metrics(const struct ac_rpc_result *res, void *arg)
{
    struct job *j = arg;
    if (res->code)
        (void)ac_err_set(&j->err, res->code, "the collector does not answer: %s", res->message);
    else
        keep_reply(j, res, &aceso__v1__query_metrics_response__descriptor,
                   (ProtobufCMessage **)&j->metrics);
    one_answered(j);
}

/* Graph and logs make the answer better; without them there still is one. */
static void on_graph(const struct ac_rpc_result *res, void *arg)
{
    struct job *j = arg;
    if (res->code)
        AC_LOGW("rca", "no_service_graph", AC_KS("msg", res->message));
    else
        keep_reply(j, res, &aceso__v1__service_graph_response__descriptor,
                   (ProtobufCMessage **)&j->graph);
    one_answered(j);
}

static void on_logs(const struct ac_rpc_result *res, void *arg)
{
    struct job *j = arg;
    if (res->code)
        AC_LOGW("rca", "no_logs", AC_KS("msg", res->message));
    else
        keep_reply(j, res, &aceso__v1__query_logs_response__descriptor,
                   (ProtobufCMessage **)&j->logs);
    one_answered(j);
}

static void on_spans(const struct ac_rpc_result *res, void *arg)
{
    struct job *j = arg;
    if (res->code)
        AC_LOGW("rca", "no_spans", AC_KS("msg", res->message));
    else
        keep_reply(j, res, &aceso__v1__query_spans_response__descriptor,
                   (ProtobufCMessage **)&j->spans);
    one_answered(j);
}

static void fetch(struct job *j)
{
    const struct ac_rpc_call_opts o = {.timeout_ns = j->s->conf->query_timeout_ns};
    Aceso__V1__TimeRange all = ACESO__V1__TIME_RANGE__INIT;
    Aceso__V1__SeriesSelector sel = ACESO__V1__SERIES_SELECTOR__INIT;
    Aceso__V1__QueryMetricsRequest m = ACESO__V1__QUERY_METRICS_REQUEST__INIT;
    Aceso__V1__ServiceGraphRequest g = ACESO__V1__SERVICE_GRAPH_REQUEST__INIT;
    Aceso__V1__QueryLogsRequest l = ACESO__V1__QUERY_LOGS_REQUEST__INIT;
    all.from_ns = j->from_ns;
    all.to_ns = j->to_ns;
    sel.namespace_ = g.namespace_ = l.namespace_ = j->req->namespace_;
    m.selector = &sel;
    m.range = g.range = l.range = &all;
    l.min_severity = 13; /* warnings and errors */
    l.limit = MAX_LINES;
    j->waiting = 3;
    ac_rpc_unary(j->s->collector, "/aceso.v1.Telemetry/QueryMetrics", &m,
                 &aceso__v1__query_metrics_response__descriptor, &o, on_metrics, j);
    ac_rpc_unary(j->s->collector, "/aceso.v1.Telemetry/ServiceGraph", &g,
                 &aceso__v1__service_graph_response__descriptor, &o, on_graph, j);
    ac_rpc_unary(j->s->collector, "/aceso.v1.Telemetry/QueryLogs", &l,
                 &aceso__v1__query_logs_response__descriptor, &o, on_logs, j);
}

static void on_diagnose(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct rca_service *s = self;
    const Aceso__V1__DiagnoseRequest *req = msg;
    struct ac_err err = AC_ERR_INIT;
    if (rca_check_request(req, &err)) {
        ac_rpc_fail(c, &err);
        return;
    }
    struct job *j = ac_xcalloc(1, sizeof(*j));
    int64_t now = ac_wall_ns();
    j->s = s;
    j->call = c;
    j->req = req;
    j->begun_ns = ac_now_ns();
    j->arena = ac_arena_create(JOB_MAX_BYTES);
    j->from_ns = req->time_ns - (req->reference_ns > 0 ? req->reference_ns : s->conf->reference_ns);
    j->to_ns = req->window_ns > 0 ? req->time_ns + req->window_ns : now;
    if (j->to_ns <= req->time_ns)
        j->to_ns = req->time_ns + AC_NS_PER_S;
    if (j->from_ns < 0)
        j->from_ns = 0;
    snprintf(j->source, sizeof(j->source), "rca/%d", (int)getpid());
    fetch(j);
}

static void on_get(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__GetDiagnosisRequest *req = msg;
    rca_store_get(self, c, req->id);
}

static void on_list(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__ListDiagnosesRequest *req = msg;
    rca_store_list(self, c, req->namespace_, req->limit);
}

void rca_rpc_add(struct rca_service *s)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "Diagnose", .kind = AC_RPC_UNARY, .handler = on_diagnose},
        {.name = "Get", .kind = AC_RPC_UNARY, .handler = on_get},
        {.name = "List", .kind = AC_RPC_UNARY, .handler = on_list},
    };
    ac_rpc_server_add(s->svc->server, &aceso__v1__rca__descriptor, methods, AC_ARRAY_LEN(methods),
                      s);
}
