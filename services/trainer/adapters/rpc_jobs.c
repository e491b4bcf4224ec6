/* aceso.v1.Trainer: a job reads healthy telemetry from the collector, trains on a worker thread,
 * stores the rules and says so. Jobs live in memory; their rules in PostgreSQL. */
#include "healthy.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/id.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

#include "adapters/service.h"

#define JOBS_MAX     1000
#define SAMPLE_BYTES (256u << 20)

struct job {
    struct trainer *t;
    char id[AC_ID_LEN + 1];
    char *request_id, *ns, *state, *error;
    bool replace;
    int64_t created_ns, started; /* wall; monotonic */
    double seconds;
    size_t total, done, n_names;
    char **names;
    struct ac_rpc_call *watchers[16];
    size_t n_watchers;
    /* while training */
    struct ac_arena *arena;
    Aceso__V1__QueryMetricsResponse *sample;
    struct healthy_rule *rules;
    size_t n_rules;
    int code;
    struct ac_err err;
};

static void to_pb(struct job *j, Aceso__V1__Job *p, Aceso__V1__Meta *m)
{
    aceso__v1__job__init(p);
    aceso__v1__meta__init(m);
    m->id = j->id;
    m->tenant = j->t->svc->conf.tenant;
    m->created_at_ns = j->created_ns;
    m->source = trainer_source;
    p->meta = m;
    p->namespace_ = j->ns;
    p->state = j->state;
    p->error = j->error;
    p->series_total = (uint32_t)j->total;
    p->series_done = (uint32_t)j->done;
    p->rules = j->names;
    p->n_rules = j->n_names;
    p->seconds = j->seconds;
}

static void set_state(struct job *j, const char *state, const char *error)
{
    free(j->state);
    free(j->error);
    j->state = ac_xstrdup(state);
    j->error = ac_xstrdup(error);
    bool over = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;
    if (over)
        j->seconds = (double)(ac_now_ns() - j->started) / 1e9;
    Aceso__V1__Job p;
    Aceso__V1__Meta m;
    to_pb(j, &p, &m);
    for (size_t i = 0; i < j->n_watchers; i++) {
        (void)!ac_rpc_send(j->watchers[i], &p);
        if (over)
            ac_rpc_finish(j->watchers[i]);
    }
    if (over)
        j->n_watchers = 0;
}

static void job_free(void *arg)
{
    struct job *j = arg;
    ac_arena_destroy(j->arena);
    healthy_rules_free(j->rules, j->n_rules);
    for (size_t i = 0; i < j->n_names; i++)
        free(j->names[i]);
    free(j->names);
    free(j->request_id);
    free(j->ns);
    free(j->state);
    free(j->error);
    free(j);
}

static void stored(struct store_req *q, int code, const struct ac_err *err)
{
    struct job *j = q->arg;
    if (code < 0) {
        set_state(j, "failed", err && err->msg[0] ? err->msg : ac_err_text(code));
        return;
    }
    AC_LOGI("trainer", "job_done", AC_KS("job", j->id), AC_KS("namespace", j->ns),
            AC_KI("series", j->total), AC_KI("rules", j->n_names));
    set_state(j, "done", "");
}

static void train(void *arg)
{
    struct job *j = arg;
    size_t n = j->sample->n_series;
    struct healthy_series *s = ac_xcalloc(n + 1, sizeof *s);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const Aceso__V1__SeriesPoints *p = j->sample->series[i];
        if (!p->key || p->n_value != p->n_time_ns || !p->n_value)
            continue;
        struct ac_label *l = ac_arena_calloc(j->arena, p->key->n_labels + 1, sizeof *l);
        for (size_t m = 0; l && m < p->key->n_labels; m++)
            l[m] = (struct ac_label){p->key->labels[m]->key, p->key->labels[m]->value};
        int64_t span = p->time_ns[p->n_time_ns - 1] - p->time_ns[0];
        s[k++] = (struct healthy_series){p->key->component,
                                         p->key->metric,
                                         p->kind,
                                         p->unit,
                                         l,
                                         l ? p->key->n_labels : 0,
                                         p->value,
                                         p->n_value,
                                         p->n_value > 1 && span > 0
                                             ? (span / (int64_t)(p->n_value - 1) + 50000000) /
                                                   100000000 * 100000000
                                             : 0};
    }
    j->code = healthy_train(s, k, &j->rules, &j->n_rules, &j->err);
    free(s);
}

static void trained(void *arg)
{
    struct job *j = arg;
    ac_arena_destroy(j->arena);
    j->arena = NULL;
    j->sample = NULL;
    j->done = j->total;
    if (j->code < 0) {
        set_state(j, "failed", j->err.msg);
        return;
    }
    struct store_req *q = store_req_new(j->t, STORE_PUT, j->ns, "");
    free(q->job_id);
    q->job_id = ac_xstrdup(j->id);
    q->replace = j->replace;
    q->n_put = j->n_names = j->n_rules;
    q->put = ac_xcalloc(j->n_rules + 1, sizeof *q->put);
    j->names = ac_xcalloc(j->n_rules + 1, sizeof *j->names);
    for (size_t i = 0; i < j->n_rules; i++) {
        struct healthy_rule *r = &j->rules[i];
        q->put[i] = (struct stored_rule){r->name, r->text, ac_xstrdup("synth"), r->cost.state_bytes,
                                         r->cost.ops_per_point};
        j->names[i] = ac_xstrdup(r->name);
        r->name = r->text = NULL;
    }
    healthy_rules_free(j->rules, j->n_rules);
    j->rules = NULL;
    j->n_rules = 0;
    q->done = stored;
    q->arg = j;
    store_submit(q);
}

static void sampled(const struct ac_rpc_result *res, void *arg)
{
    struct job *j = arg;
    if (res->code < 0) {
        char msg[256];
        (void)snprintf(msg, sizeof msg, "the collector did not answer: %.200s", res->message);
        set_state(j, "failed", msg);
        return;
    }
    j->arena = ac_arena_create(SAMPLE_BYTES);
    if (AC_PB_UNPACK(aceso__v1__query_metrics_response, res->raw, res->raw_len, j->arena,
                     &j->sample, &j->err) < 0) {
        set_state(j, "failed", j->err.msg);
        return;
    }
    j->total = j->sample->n_series;
    set_state(j, "running", "");
    if (ac_worker_submit(j->t->worker, train, trained, j) < 0)
        set_state(j, "failed", "too many jobs are waiting");
}

static void query(struct job *j, const Aceso__V1__StartJobRequest *r)
{
    Aceso__V1__QueryMetricsRequest q = ACESO__V1__QUERY_METRICS_REQUEST__INIT;
    Aceso__V1__SeriesSelector sel = ACESO__V1__SERIES_SELECTOR__INIT;
    Aceso__V1__TimeRange range = ACESO__V1__TIME_RANGE__INIT;
    if (r->selector)
        sel = *r->selector;
    sel.namespace_ = j->ns;
    q.selector = &sel;
    q.range = r->healthy ? r->healthy : &range;
    const struct trainer_conf *conf = j->t->svc->spec->conf;
    struct ac_rpc_call_opts o = {.timeout_ns = conf->job_timeout_ns, .wait_for_ready = true};
    (void)ac_rpc_unary(j->t->collector, "/aceso.v1.Telemetry/QueryMetrics", &q,
                       &aceso__v1__query_metrics_response__descriptor, &o, sampled, j);
}

static void reply_job(struct ac_rpc_call *c, struct job *j)
{
    Aceso__V1__Job p;
    Aceso__V1__Meta m;
    to_pb(j, &p, &m);
    ac_rpc_reply(c, &p);
}

static void start_job(struct ac_rpc_call *c, const void *req, void *self)
{
    struct trainer *t = self;
    const Aceso__V1__StartJobRequest *r = req;
    struct ac_err err = AC_ERR_INIT;
    const char *key;
    void *v;
    for (size_t it = 0; *r->request_id && ac_map_next(t->jobs, &it, &key, &v);) {
        struct job *old = v;
        if (strcmp(old->request_id, r->request_id) == 0) {
            reply_job(c, old);
            return;
        }
    }
    if (!*r->namespace_)
        (void)ac_err_set(&err, AC_EINVAL, "namespace must not be empty");
    else if (*r->proposer && strcmp(r->proposer, "synth") != 0)
        (void)ac_err_set(&err, AC_ENOTSUP, "the proposer %s is not available; use synth",
                         r->proposer);
    else if (ac_map_len(t->jobs) >= JOBS_MAX)
        (void)ac_err_set(&err, AC_EAGAIN, "too many jobs since the start");
    if (err.code) {
        ac_rpc_fail(c, &err);
        return;
    }
    struct job *j = ac_xcalloc(1, sizeof *j);
    struct ac_id id = ac_id_new();
    memcpy(j->id, id.s, sizeof j->id);
    j->t = t;
    j->request_id = ac_xstrdup(r->request_id);
    j->ns = ac_xstrdup(r->namespace_);
    j->replace = r->replace;
    j->created_ns = ac_wall_ns();
    j->started = ac_now_ns();
    set_state(j, "queued", "");
    ac_map_set(t->jobs, j->id, j);
    query(j, r);
    reply_job(c, j);
}

static struct job *find(struct trainer *t, struct ac_rpc_call *c, const char *id)
{
    struct job *j = ac_map_get(t->jobs, id);
    struct ac_err err = AC_ERR_INIT;
    if (!j) {
        (void)ac_err_set(&err, AC_ENOTFOUND,
                         "there is no job %.40s (jobs end with the trainer's process)", id);
        ac_rpc_fail(c, &err);
    }
    return j;
}

static void get_job(struct ac_rpc_call *c, const void *req, void *self)
{
    struct job *j = find(self, c, ((const Aceso__V1__GetJobRequest *)req)->id);
    if (j)
        reply_job(c, j);
}

static void list_jobs(struct ac_rpc_call *c, const void *req, void *self)
{
    struct trainer *t = self;
    const Aceso__V1__ListJobsRequest *r = req;
    size_t n = ac_map_len(t->jobs), k = 0;
    Aceso__V1__Job *p = ac_xcalloc(n + 1, sizeof *p), **pp = ac_xcalloc(n + 1, sizeof *pp);
    Aceso__V1__Meta *m = ac_xcalloc(n + 1, sizeof *m);
    const char *key;
    void *v;
    for (size_t it = 0; ac_map_next(t->jobs, &it, &key, &v);) {
        if (*r->namespace_ && strcmp(((struct job *)v)->ns, r->namespace_) != 0)
            continue;
        to_pb(v, &p[k], &m[k]);
        pp[k] = &p[k];
        k++;
    }
    Aceso__V1__ListJobsResponse out = ACESO__V1__LIST_JOBS_RESPONSE__INIT;
    out.jobs = pp;
    out.n_jobs = k;
    ac_rpc_reply(c, &out);
    free(p);
    free(pp);
    free(m);
}

static void unwatch(struct ac_rpc_call *c, void *arg)
{
    struct job *j = arg;
    for (size_t i = 0; i < j->n_watchers; i++) {
        if (j->watchers[i] == c) {
            j->watchers[i] = j->watchers[--j->n_watchers];
            ac_rpc_finish(c);
            return;
        }
    }
}

static void watch_job(struct ac_rpc_call *c, const void *req, void *self)
{
    struct job *j = find(self, c, ((const Aceso__V1__GetJobRequest *)req)->id);
    if (!j)
        return;
    Aceso__V1__Job p;
    Aceso__V1__Meta m;
    to_pb(j, &p, &m);
    (void)!ac_rpc_send(c, &p);
    bool over = strcmp(j->state, "done") == 0 || strcmp(j->state, "failed") == 0;
    if (over || j->n_watchers == AC_ARRAY_LEN(j->watchers)) {
        ac_rpc_finish(c);
        return;
    }
    j->watchers[j->n_watchers++] = c;
    ac_rpc_on_cancel(c, unwatch, j);
}

void rpc_jobs_add(struct trainer *t)
{
    static const struct ac_rpc_method m[] = {
        {.name = "StartJob", .kind = AC_RPC_UNARY, .handler = start_job},
        {.name = "GetJob", .kind = AC_RPC_UNARY, .handler = get_job},
        {.name = "ListJobs", .kind = AC_RPC_UNARY, .handler = list_jobs},
        {.name = "WatchJob", .kind = AC_RPC_SERVER_STREAM, .handler = watch_job},
    };
    t->jobs = ac_map_create(job_free);
    ac_rpc_server_add(t->svc->server, &aceso__v1__trainer__descriptor, m, AC_ARRAY_LEN(m), t);
}

void jobs_fini(struct trainer *t)
{
    ac_map_destroy(t->jobs);
}
