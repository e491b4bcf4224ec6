/* Counters of the models: ModelStatistics, and metrics under Triton's names and our own. */
#include "controller_service.h"

#include <string.h>

#include <inference/grpc_service.pb-c.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

/* Handles of one model's metrics, so that a request looks nothing up. */
struct ctl_model_metrics {
    struct ac_metric *outcomes[POLICY_OUTCOME_END];
    struct ac_metric *success, *failure, *count, *exec_count, *cold, *seconds;
    struct ac_metric *request_us, *queue_us, *input_us, *infer_us, *output_us;
};

static const char *outcome_label(enum policy_outcome o)
{
    static const char *const labels[] = {"on_time", "late",  "refused", "expired", "no_device",
                                         "full",    "error", "share",   "yielded"};
    return labels[o];
}

static struct ac_metric *counter(struct ctl_service *s, const struct ctl_model *m, const char *name,
                                 const char *help)
{
    const char *labels[] = {"model", m->what.name, "version", m->what.version, NULL};
    return ac_metrics_get(s->metrics, AC_METRIC_COUNTER, name, help, labels, NULL);
}

static struct ctl_model_metrics *metrics_of(struct ctl_service *s, struct ctl_model *m)
{
    if (m->metrics)
        return m->metrics;
    struct ctl_model_metrics *x = m->metrics = ac_xcalloc(1, sizeof(*x));
    for (int o = 0; o < POLICY_OUTCOME_END; o++) {
        const char *labels[] = {"model",   m->what.name,
                                "version", m->what.version,
                                "outcome", outcome_label((enum policy_outcome)o),
                                NULL};
        x->outcomes[o] = ac_metrics_get(
            s->metrics, AC_METRIC_COUNTER, "aceso_serving_requests_total",
            "Requests by how they ended; attainment is the share on_time.", labels, NULL);
    }
    const char *labels[] = {"model", m->what.name, "version", m->what.version, NULL};
    x->seconds = ac_metrics_get(s->metrics, AC_METRIC_HISTOGRAM, "aceso_serving_request_seconds",
                                "Time in the controller of answered requests.", labels,
                                ac_metric_seconds_buckets);
    x->cold = counter(s, m, "aceso_serving_cold_starts_total",
                      "Requests that came while no worker held the model.");
    x->success = counter(s, m, "nv_inference_request_success", "Requests answered.");
    x->failure = counter(s, m, "nv_inference_request_failure", "Requests not answered.");
    x->count = counter(s, m, "nv_inference_count", "Rows inferred.");
    x->exec_count = counter(s, m, "nv_inference_exec_count", "Batches executed.");
    x->request_us = counter(s, m, "nv_inference_request_duration_us", "Whole time of requests.");
    x->queue_us = counter(s, m, "nv_inference_queue_duration_us", "Time before execution.");
    x->input_us =
        counter(s, m, "nv_inference_compute_input_duration_us", "Time of bringing inputs in.");
    x->infer_us = counter(s, m, "nv_inference_compute_infer_duration_us", "Time of execution.");
    x->output_us =
        counter(s, m, "nv_inference_compute_output_duration_us", "Time of taking outputs out.");
    return x;
}

void ctl_stats_reply(struct ctl_service *s, struct ctl_model *m, const struct ctl_ended *e)
{
    struct ctl_model_metrics *x = metrics_of(s, m);
    struct ctl_model_stats *st = &m->stats;
    bool served = e->outcome == POLICY_ON_TIME || e->outcome == POLICY_LATE;
    struct ctl_duration *d = served ? &st->success : &st->fail;
    st->requests++;
    st->outcomes[e->outcome]++;
    st->cold_starts += e->cold;
    d->count++;
    d->ns += (uint64_t)e->took_ns;
    ac_metric_add(x->outcomes[e->outcome], 1);
    ac_metric_add(s->tenant_outcomes[e->tenant][e->outcome], 1);
    s->tenant_stats[e->tenant].requests++;
    s->tenant_stats[e->tenant].on_time += e->outcome == POLICY_ON_TIME;
    s->tenant_stats[e->tenant].by_share += e->outcome == POLICY_SHARE;
    ac_metric_add(served ? x->success : x->failure, 1);
    ac_metric_add(x->cold, e->cold);
    ac_metric_add(x->request_us, (double)e->took_ns / 1e3);
    if (!served)
        return;
    st->rows += e->rows;
    st->queue_ns += (uint64_t)e->queued_ns;
    st->last_wall_ns = ac_wall_ns();
    ac_metric_add(x->count, e->rows);
    ac_metric_add(x->queue_us, (double)e->queued_ns / 1e3);
    ac_metric_observe(x->seconds, (double)e->took_ns / 1e9);
}

/* Durations come from a peer. */
static uint64_t span(int64_t ns)
{
    return ns < 0 ? 0 : (uint64_t)AC_MIN(ns, 3600 * AC_NS_PER_S);
}

void ctl_stats_execution(struct ctl_service *s, struct ctl_model *m,
                         const Aceso__V1__ActionResult *r)
{
    struct ctl_model_metrics *x = metrics_of(s, m);
    struct ctl_model_stats *st = &m->stats;
    uint64_t rows = 0;
    uint32_t b = 0;
    for (size_t i = 0; i < r->n_items; i++)
        rows += r->items[i]->rows;
    while (b < POLICY_BATCHES - 1 && policy_batch_size[b] < rows)
        b++;
    st->executions++;
    st->input_ns += span(r->input_ns);
    st->exec_ns += span(r->exec_ns);
    st->output_ns += span(r->output_ns);
    st->batches[b].count++;
    st->batches[b].input_ns += span(r->input_ns);
    st->batches[b].exec_ns += span(r->exec_ns);
    st->batches[b].output_ns += span(r->output_ns);
    ac_metric_add(x->exec_count, 1);
    ac_metric_add(x->input_us, (double)span(r->input_ns) / 1e3);
    ac_metric_add(x->infer_us, (double)span(r->exec_ns) / 1e3);
    ac_metric_add(x->output_us, (double)span(r->output_ns) / 1e3);
}

void ctl_stats_start(struct ctl_service *s)
{
    static const char *const kinds[] = {"load", "unload", "infer"};
    for (int k = 0; k < 3; k++) {
        const char *labels[] = {"kind", kinds[k], NULL};
        s->n_actions[k] =
            ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_serving_actions_total",
                           "Actions given to workers.", labels, NULL);
    }
    for (uint32_t t = 0; t < s->tenants.n; t++)
        for (int o = 0; o < POLICY_OUTCOME_END; o++) {
            const char *labels[] = {"tenant", s->tenants.list[t].name, "outcome",
                                    outcome_label((enum policy_outcome)o), NULL};
            s->tenant_outcomes[t][o] =
                ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_serving_tenant_requests_total",
                               "Requests of a tenant by how they ended.", labels, NULL);
        }
    s->late_actions =
        ac_metrics_get(s->metrics, AC_METRIC_COUNTER, "aceso_serving_actions_too_late_total",
                       "Actions that a worker could not start in their window.", NULL, NULL);
    s->prediction_error =
        ac_metrics_get(s->metrics, AC_METRIC_HISTOGRAM, "aceso_serving_prediction_error_seconds",
                       "Difference between expected and real duration of actions.", NULL,
                       ac_metric_seconds_buckets);
}

/* ---- ModelStatistics ---- */

struct stats_message {
    Inference__ModelStatistics m;
    Inference__InferStatistics infer;
    Inference__StatisticDuration d[6];
    Inference__InferBatchStatistics batch[POLICY_BATCHES], *batch_list[POLICY_BATCHES];
    Inference__StatisticDuration bd[POLICY_BATCHES][3];
};

static Inference__StatisticDuration *duration(Inference__StatisticDuration *d, uint64_t count,
                                              uint64_t ns)
{
    inference__statistic_duration__init(d);
    d->count = count;
    d->ns = ns;
    return d;
}

static void fill(struct stats_message *x, struct ctl_model *m)
{
    const struct ctl_model_stats *st = &m->stats;
    uint64_t n = st->success.count, e = st->executions;
    inference__model_statistics__init(&x->m);
    inference__infer_statistics__init(&x->infer);
    x->m.name = m->what.name;
    x->m.version = m->what.version;
    x->m.last_inference = (uint64_t)(st->last_wall_ns / AC_NS_PER_MS);
    x->m.inference_count = st->rows;
    x->m.execution_count = e;
    x->m.inference_stats = &x->infer;
    x->infer.success = duration(&x->d[0], n, st->success.ns);
    x->infer.fail = duration(&x->d[1], st->fail.count, st->fail.ns);
    x->infer.queue = duration(&x->d[2], n, st->queue_ns);
    x->infer.compute_input = duration(&x->d[3], e, st->input_ns);
    x->infer.compute_infer = duration(&x->d[4], e, st->exec_ns);
    x->infer.compute_output = duration(&x->d[5], e, st->output_ns);
    x->m.batch_stats = x->batch_list;
    for (uint32_t b = 0; b < POLICY_BATCHES; b++) {
        const struct ctl_batch_stats *s = &st->batches[b];
        Inference__InferBatchStatistics *o = &x->batch[x->m.n_batch_stats];
        if (s->count == 0)
            continue;
        inference__infer_batch_statistics__init(o);
        o->batch_size = policy_batch_size[b];
        o->compute_input = duration(&x->bd[b][0], s->count, s->input_ns);
        o->compute_infer = duration(&x->bd[b][1], s->count, s->exec_ns);
        o->compute_output = duration(&x->bd[b][2], s->count, s->output_ns);
        x->batch_list[x->m.n_batch_stats++] = o;
    }
}

static bool wanted(const Inference__ModelStatisticsRequest *req, const struct ctl_model *m)
{
    return (ac_str_empty(req->name) || ac_streq(req->name, m->what.name)) &&
           (ac_str_empty(req->version) || ac_streq(req->version, m->what.version));
}

void ctl_model_statistics(struct ac_rpc_call *c, const void *msg, void *self)
{
    struct ctl_service *s = self;
    const Inference__ModelStatisticsRequest *req = msg;
    Inference__ModelStatisticsResponse res = INFERENCE__MODEL_STATISTICS_RESPONSE__INIT;
    struct ctl_model *m;
    size_t n = 0, k;
    for (k = 0; (m = ctl_catalog_at(s->catalog, k)); k++)
        n += wanted(req, m);
    if (n == 0 && !ac_str_empty(req->name)) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, AC_ENOTFOUND, "model \"%.64s\" is not in the repository", req->name);
        ac_rpc_fail(c, &err);
        return;
    }
    struct stats_message *all = ac_xcalloc(n + 1, sizeof(*all));
    res.model_stats = ac_xcalloc(n + 1, sizeof(*res.model_stats));
    for (k = 0; (m = ctl_catalog_at(s->catalog, k)); k++) {
        if (!wanted(req, m))
            continue;
        fill(&all[res.n_model_stats], m);
        res.model_stats[res.n_model_stats] = &all[res.n_model_stats].m;
        res.n_model_stats++;
    }
    ac_rpc_reply(c, &res);
    free(all);
    free(res.model_stats);
}
