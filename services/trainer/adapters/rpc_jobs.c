/* aceso.v1.Trainer: a job reads healthy telemetry from the collector, trains on a worker thread,
 * and stores its rules together with its end. It is stored before it is answered; what a process
 * leaves unfinished the next one runs again from the start. */
#include "healthy.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/id.h>
#include <aceso/log.h>
#include <aceso/pbx.h>

#include "adapters/service.h"

#define JOBS_ACTIVE   256
#define STARTERS      16
#define WATCHERS      16
#define AGAIN_NS      (1 * AC_NS_PER_S)
#define JOB_MAX_BYTES (32u << 20)

struct job {
    struct trainer *t;
    char id[AC_ID_LEN + 1];
    char *request_id, *ns, *state, *error;
    struct ac_buf request; /* packed StartJobRequest */
    int64_t created_ns;    /* wall */
    double seconds;
    size_t total, done, n_names;
    char **names;
    struct ac_rpc_call *starters[STARTERS], *watchers[WATCHERS];
    size_t n_starters, n_watchers;
    bool over;
    /* between its steps */
    char *sample;
    size_t sample_len;
    struct healthy_rule *rules;
    size_t n_rules;
    int code;
    struct ac_err err;
    struct ac_timer *again;
};

static void query(struct job *j);
static void finish(struct job *j);

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

static void reply_job(struct ac_rpc_call *c, struct job *j)
{
    Aceso__V1__Job p;
    Aceso__V1__Meta m;
    to_pb(j, &p, &m);
    ac_rpc_reply(c, &p);
}

static void set_state(struct job *j, const char *state, const char *error)
{
    char *s = ac_xstrdup(state), *e = ac_xstrdup(error);
    free(j->state);
    free(j->error);
    j->state = s;
    j->error = e;
    j->over = strcmp(state, "done") == 0 || strcmp(state, "failed") == 0;
}

static void set_end(struct job *j)
{
    set_state(j, j->code == 0 ? "done" : "failed", j->code == 0 ? "" : j->err.msg);
}

static void tell_watchers(struct job *j)
{
    Aceso__V1__Job p;
    Aceso__V1__Meta m;
    to_pb(j, &p, &m);
    for (size_t i = 0; i < j->n_watchers; i++) {
        (void)!ac_rpc_send(j->watchers[i], &p);
        if (j->over)
            ac_rpc_finish(j->watchers[i]);
    }
    if (j->over)
        j->n_watchers = 0;
}

static void drop_work(struct job *j)
{
    free(j->sample);
    j->sample = NULL;
    healthy_rules_free(j->rules, j->n_rules);
    j->rules = NULL;
    j->n_rules = 0;
}

static void job_free(void *arg)
{
    struct job *j = arg;
    drop_work(j);
    ac_timer_destroy(j->again);
    for (size_t i = 0; i < j->n_names; i++)
        free(j->names[i]);
    free(j->names);
    free(j->request_id);
    free(j->ns);
    free(j->state);
    free(j->error);
    ac_buf_fini(&j->request);
    free(j);
}

/* Those that are over go, oldest first, when there are too many. */
static void forget_old(struct trainer *t)
{
    const char *key;
    void *v;
    size_t over = 0;
    for (size_t it = 0; ac_map_next(t->jobs, &it, &key, &v);)
        over += ((struct job *)v)->over;
    for (size_t it = 0; over > JOBS_KEPT && ac_map_next(t->jobs, &it, &key, &v);) {
        if (!((struct job *)v)->over)
            continue;
        (void)ac_map_remove(t->jobs, key);
        over--;
    }
}

/* ---- storing ---- */

static struct stored_job *snapshot(struct job *j)
{
    struct stored_job *s = ac_xcalloc(1, sizeof *s);
    Aceso__V1__Job p;
    Aceso__V1__Meta m;
    to_pb(j, &p, &m);
    s->id = ac_xstrdup(j->id);
    s->request_id = ac_xstrdup(j->request_id);
    s->ns = ac_xstrdup(j->ns);
    s->created_ns = j->created_ns;
    s->over = j->over;
    ac_buf_init(&s->job, JOB_MAX_BYTES);
    ac_buf_init(&s->request, JOB_MAX_BYTES);
    (void)!ac_pb_pack(&p.base, &s->job, NULL);
    ac_buf_append(&s->request, j->request.data, j->request.len);
    return s;
}

static void finish_again(void *arg)
{
    finish(arg);
}

static void finished(struct store_req *q, int code, const struct ac_err *err)
{
    struct job *j = q->arg;
    if (!q->t->jobs)
        return; /* everything was freed; the next process runs it again */
    if (code < 0 && ac_err_retryable(code)) {
        AC_LOGW("trainer", "job_not_stored", AC_KS("job", j->id), AC_KERR(err));
        if (!j->again)
            j->again = ac_timer_create(j->t->svc->loop, finish_again, j);
        ac_timer_start(j->again, AGAIN_NS, 0);
        return;
    }
    if (code < 0)
        j->code = ac_err_set(&j->err, code, "%s", err->msg[0] ? err->msg : ac_err_text(code));
    set_end(j);
    drop_work(j);
    AC_LOGI("trainer", "job_over", AC_KS("job", j->id), AC_KS("namespace", j->ns),
            AC_KS("state", j->state), AC_KS("msg", j->error), AC_KI("series", j->total),
            AC_KI("rules", j->n_names), AC_KF("seconds", j->seconds));
    tell_watchers(j);
    forget_old(j->t);
}

/* Stores the end of a job, with its rules when it has some; told only once it is stored. */
static void finish(struct job *j)
{
    bool good = j->code == 0;
    struct store_req *q = store_req_new(j->t, good ? STORE_PUT : STORE_JOB, j->ns, "");
    struct ac_arena *a = q->arena;
    Aceso__V1__StartJobRequest *r = NULL;
    free(q->job_id);
    q->job_id = ac_xstrdup(j->id);
    if (AC_PB_UNPACK(aceso__v1__start_job_request, j->request.data, j->request.len, a, &r, NULL) ==
        0)
        q->replace = r->replace;
    j->seconds = (double)(ac_wall_ns() - j->created_ns) / 1e9;
    set_end(j);
    q->job = snapshot(j);
    set_state(j, "running", "");
    if (good) {
        q->put = ac_xcalloc(j->n_rules + 1, sizeof *q->put);
        for (; q->n_put < j->n_rules; q->n_put++) {
            const struct healthy_rule *x = &j->rules[q->n_put];
            q->put[q->n_put] =
                (struct stored_rule){ac_xstrdup(x->name), ac_xstrdup(x->text), ac_xstrdup("synth"),
                                     x->cost.state_bytes, x->cost.ops_per_point};
        }
    }
    q->done = finished;
    q->arg = j;
    store_submit(q);
}

static void fail(struct job *j, int code, const char *text)
{
    j->code = ac_err_set(&j->err, code, "%s", text);
    finish(j);
}

/* ---- the work ---- */

static void train(void *arg)
{
    struct job *j = arg;
    j->code = train_sample(j->sample, j->sample_len, &j->rules, &j->n_rules, &j->total, &j->err);
}

static void trained(void *arg)
{
    struct job *j = arg;
    if (j->t->stopping)
        return;
    j->done = j->total;
    j->names = ac_xcalloc(j->n_rules + 1, sizeof *j->names);
    for (; j->n_names < j->n_rules; j->n_names++)
        j->names[j->n_names] = ac_xstrdup(j->rules[j->n_names].name);
    finish(j);
}

/* By name: the answer to a question may come after everything was freed. */
struct asked {
    struct trainer *t;
    char id[AC_ID_LEN + 1];
};

static void sampled(const struct ac_rpc_result *res, void *arg)
{
    struct asked a = *(const struct asked *)arg;
    free(arg);
    if (a.t->stopping)
        return;
    struct job *j = ac_map_get(a.t->jobs, a.id);
    if (res->code < 0) {
        char msg[256];
        (void)snprintf(msg, sizeof msg, "the collector did not answer: %.200s", res->message);
        fail(j, res->code, msg);
        return;
    }
    j->sample = ac_xmalloc(res->raw_len + 1);
    j->sample_len = res->raw_len;
    if (res->raw_len)
        memcpy(j->sample, res->raw, res->raw_len);
    set_state(j, "running", "");
    tell_watchers(j);
    if (ac_worker_submit(j->t->worker, train, trained, j) < 0)
        fail(j, AC_EAGAIN, "too many jobs are waiting");
}

static void query(struct job *j)
{
    Aceso__V1__QueryMetricsRequest q = ACESO__V1__QUERY_METRICS_REQUEST__INIT;
    Aceso__V1__SeriesSelector none = ACESO__V1__SERIES_SELECTOR__INIT;
    struct ac_arena *a = ac_arena_create(JOB_MAX_BYTES);
    Aceso__V1__StartJobRequest *r = NULL;
    if (AC_PB_UNPACK(aceso__v1__start_job_request, j->request.data, j->request.len, a, &r,
                     &j->err) < 0) {
        fail(j, j->err.code, "the stored request cannot be read");
        ac_arena_destroy(a);
        return;
    }
    q.selector = r->selector ? r->selector : &none;
    q.selector->namespace_ = j->ns;
    q.range = r->healthy;
    const struct trainer_conf *conf = j->t->svc->spec->conf;
    struct ac_rpc_call_opts o = {.timeout_ns = conf->job_timeout_ns, .wait_for_ready = true};
    struct asked *asked = ac_xcalloc(1, sizeof *asked);
    asked->t = j->t;
    memcpy(asked->id, j->id, sizeof asked->id);
    (void)ac_rpc_unary(j->t->collector, "/aceso.v1.Telemetry/QueryMetrics", &q,
                       &aceso__v1__query_metrics_response__descriptor, &o, sampled, asked);
    ac_arena_destroy(a);
}

/* ---- beginnings ---- */

static struct job *job_new(struct trainer *t, const char *id, const char *ns,
                           const char *request_id, int64_t created_ns)
{
    struct job *j = ac_xcalloc(1, sizeof *j);
    (void)snprintf(j->id, sizeof j->id, "%s", id);
    j->t = t;
    j->ns = ac_xstrdup(ns);
    j->request_id = ac_xstrdup(request_id);
    j->created_ns = created_ns;
    ac_buf_init(&j->request, JOB_MAX_BYTES);
    set_state(j, "queued", "");
    ac_map_set(t->jobs, j->id, j);
    return j;
}

static void begun(struct store_req *q, int code, const struct ac_err *err)
{
    struct job *j = q->arg;
    if (!q->t->jobs)
        return;
    for (size_t i = 0; i < j->n_starters; i++) {
        if (code < 0)
            ac_rpc_fail(j->starters[i], err);
        else
            reply_job(j->starters[i], j);
    }
    j->n_starters = 0;
    if (code < 0)
        (void)ac_map_remove(j->t->jobs, j->id);
    else if (!j->t->stopping)
        query(j);
}

static struct job *same_request(struct trainer *t, const char *request_id)
{
    const char *key;
    void *v;
    for (size_t it = 0; *request_id && ac_map_next(t->jobs, &it, &key, &v);) {
        struct job *j = v;
        if (strcmp(j->request_id, request_id) == 0)
            return j;
    }
    return NULL;
}

static size_t active(const struct trainer *t)
{
    const char *key;
    void *v;
    size_t n = 0;
    for (size_t it = 0; ac_map_next(t->jobs, &it, &key, &v);)
        n += !((struct job *)v)->over;
    return n;
}

static int check(const struct trainer *t, const Aceso__V1__StartJobRequest *r, struct ac_err *err)
{
    if (!*r->namespace_)
        return ac_err_set(err, AC_EINVAL, "namespace must not be empty");
    if (strlen(r->request_id) > 256)
        return ac_err_set(err, AC_EINVAL, "request_id is longer than 256 bytes");
    if (*r->proposer && strcmp(r->proposer, "synth") != 0)
        return ac_err_set(err, AC_ENOTSUP, "the proposer %.40s is not available; use synth",
                          r->proposer);
    if (r->healthy && r->healthy->to_ns && r->healthy->to_ns <= r->healthy->from_ns)
        return ac_err_set(err, AC_EINVAL, "the healthy time ends before it begins");
    if (active(t) >= JOBS_ACTIVE)
        return ac_err_set(err, AC_EAGAIN, "%d jobs are under way already", JOBS_ACTIVE);
    return 0;
}

static void start_job(struct ac_rpc_call *c, const void *req, void *self)
{
    struct trainer *t = self;
    Aceso__V1__StartJobRequest r = *(const Aceso__V1__StartJobRequest *)req;
    Aceso__V1__TimeRange range = ACESO__V1__TIME_RANGE__INIT;
    struct ac_err err = AC_ERR_INIT;
    struct job *j = same_request(t, r.request_id);
    if (j && j->n_starters == 0) {
        reply_job(c, j);
        return;
    }
    if (j && j->n_starters < STARTERS) { /* not stored yet */
        j->starters[j->n_starters++] = c;
        return;
    }
    if (j)
        (void)ac_err_set(&err, AC_EAGAIN, "too many requests of the same id wait");
    if (err.code || check(t, &r, &err) < 0) {
        ac_rpc_fail(c, &err);
        return;
    }
    if (r.healthy)
        range = *r.healthy;
    if (!range.to_ns)
        range.to_ns = ac_wall_ns(); /* the same time also when it is run again */
    r.healthy = &range;
    struct ac_id id = ac_id_new();
    j = job_new(t, id.s, r.namespace_, r.request_id, ac_wall_ns());
    (void)!ac_pb_pack(&r.base, &j->request, NULL);
    j->starters[j->n_starters++] = c;
    struct store_req *q = store_req_new(t, STORE_JOB, j->ns, "");
    q->job = snapshot(j);
    q->done = begun;
    q->arg = j;
    store_submit(q);
}

/* From the store, at start. */
static void take_up(struct trainer *t, const Aceso__V1__Job *p, const Aceso__V1__StartJobRequest *r)
{
    struct job *j = job_new(t, p->meta->id, p->namespace_, r->request_id, p->meta->created_at_ns);
    (void)!ac_pb_pack(&r->base, &j->request, NULL);
    set_state(j, p->state, p->error);
    j->seconds = p->seconds;
    j->total = p->series_total;
    j->done = p->series_done;
    j->names = ac_xcalloc(p->n_rules + 1, sizeof *j->names);
    for (; j->n_names < p->n_rules; j->n_names++)
        j->names[j->n_names] = ac_xstrdup(p->rules[j->n_names]);
}

/* ---- questions ---- */

static struct job *find(struct trainer *t, struct ac_rpc_call *c, const char *id)
{
    struct job *j = ac_map_get(t->jobs, id);
    struct ac_err err = AC_ERR_INIT;
    if (!j) {
        (void)ac_err_set(&err, AC_ENOTFOUND, "there is no job %.40s", id);
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
    if (j->over || j->n_watchers == WATCHERS) {
        ac_rpc_finish(c);
        return;
    }
    j->watchers[j->n_watchers++] = c;
    ac_rpc_on_cancel(c, unwatch, j);
}

int rpc_jobs_add(struct trainer *t, struct ac_err *err)
{
    static const struct ac_rpc_method m[] = {
        {.name = "StartJob", .kind = AC_RPC_UNARY, .handler = start_job},
        {.name = "GetJob", .kind = AC_RPC_UNARY, .handler = get_job},
        {.name = "ListJobs", .kind = AC_RPC_UNARY, .handler = list_jobs},
        {.name = "WatchJob", .kind = AC_RPC_SERVER_STREAM, .handler = watch_job},
    };
    const char *key;
    void *v;
    t->jobs = ac_map_create(job_free);
    ac_rpc_server_add(t->svc->server, &aceso__v1__trainer__descriptor, m, AC_ARRAY_LEN(m), t);
    int rc = jobs_load(t, take_up, err);
    for (size_t it = 0; rc == 0 && ac_map_next(t->jobs, &it, &key, &v);) {
        struct job *j = v;
        if (j->over)
            continue;
        AC_LOGI("trainer", "job_again", AC_KS("job", j->id), AC_KS("namespace", j->ns));
        query(j);
    }
    return rc;
}

void jobs_fini(struct trainer *t)
{
    ac_map_destroy(t->jobs);
    t->jobs = NULL;
}
