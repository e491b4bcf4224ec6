/* aceso.v1.AgentCloud: what an agent may see and do. Nothing here shows truth, fault or seed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/v1/telemetry.pb-c.h>

#include "adapters/convert_pb.h"
#include "adapters/shell.h"

#define TEXT_MAX        (256u << 10)
#define QUERY_NS        (8 * AC_NS_PER_S)
#define MINUTES_DEFAULT 5
#define MINUTES_MAX     60

static void fail(struct ac_rpc_call *c, int code, const char *msg)
{
    struct ac_err err = AC_ERR_INIT;
    (void)ac_err_set(&err, code, "%s", msg);
    ac_rpc_fail(c, &err);
}

/* The session, if it is an agent's to work on. */
static struct lab_view *find(struct lab *l, const char *id, struct ac_rpc_call *c)
{
    struct ac_err err = AC_ERR_INIT;
    struct lab_view *v = lab_find_session(l, id, &err);
    if (v && !ac_streq(v->s.agent, "remote"))
        (void)ac_err_set(&err, AC_EPERM, "session %s is worked on by '%s', not by a remote agent",
                         v->s.id, v->s.agent);
    if (err.code)
        ac_rpc_fail(c, &err);
    return err.code ? NULL : v;
}

static void on_get_problem(struct ac_rpc_call *c, const void *msg, void *self)
{
    static const char *const apis[] = {
        "get_logs(service, minutes)", "get_metrics(service, minutes)",
        "get_traces(service, minutes)", "exec_shell(command): one kubectl command, no shell"};
    struct lab_view *v = find(self, ((const Aceso__V1__GetProblemRequest *)msg)->session, c);
    if (!v)
        return;
    struct ac_arena *a = ac_rpc_arena(c);
    Aceso__V1__AgentProblem m = ACESO__V1__AGENT_PROBLEM__INIT;
    m.session = v->s.id;
    m.namespace_ = v->s.ns;
    m.description = ac_arena_printf(
        a,
        "A microservice application runs in the namespace %s under load. Say whether anything is "
        "wrong (task detection: \"yes\" or \"no\"), which component is at fault (task "
        "localization: a list of names, most likely first), and bring it back to health (task "
        "mitigation: submit once you are done). Logs, metrics and traces are available.",
        v->s.ns);
    m.apis = ac_arena_memdup(a, apis, sizeof(apis));
    m.n_apis = AC_ARRAY_LEN(apis);
    if (!m.description || !m.apis)
        fail(c, AC_ENOMEM, "out of memory");
    else
        ac_rpc_reply(c, &m);
}

static void reply_text(struct ac_rpc_call *c, struct ac_buf *b)
{
    Aceso__V1__AgentCallResponse m = ACESO__V1__AGENT_CALL_RESPONSE__INIT;
    m.text = (char *)(uintptr_t)ac_buf_str(b);
    ac_rpc_reply(c, &m);
    ac_buf_fini(b);
}

/* ---- telemetry ---- */

static const char *argument(const Aceso__V1__AgentCallRequest *req, const char *key,
                            const char *otherwise)
{
    for (size_t i = 0; i < req->n_arguments; i++) {
        if (ac_streq(req->arguments[i]->key, key))
            return req->arguments[i]->value;
    }
    return otherwise;
}

static void put_metrics(const void *reply, struct ac_buf *b)
{
    const Aceso__V1__QueryMetricsResponse *q = reply;
    ac_buf_puts(b, "time_s,component,metric,labels,value\n");
    for (size_t i = 0; i < q->n_series && !b->failed; i++) {
        const Aceso__V1__SeriesPoints *s = q->series[i];
        for (size_t k = 0; s->key && k < s->n_value && k < s->n_time_ns; k++) {
            ac_buf_printf(b, "%.1f,%s,%s,", (double)s->time_ns[k] / 1e9, s->key->component,
                          s->key->metric);
            for (size_t n = 0; n < s->key->n_labels; n++)
                ac_buf_printf(b, "%s%s=%s", n ? ";" : "", s->key->labels[n]->key,
                              s->key->labels[n]->value);
            ac_buf_printf(b, ",%.6g\n", s->value[k]);
        }
    }
}

static void put_logs(const void *reply, struct ac_buf *b)
{
    const Aceso__V1__QueryLogsResponse *q = reply;
    for (size_t i = q->n_records; i-- > 0 && !b->failed;) { /* oldest first */
        const Aceso__V1__LogRecord *r = q->records[i];
        char time[32];
        ac_time_format(r->time_ns, time, sizeof(time));
        ac_buf_printf(b, "%s %s %s %s\n", time, r->component, r->pod, r->body);
    }
}

static void put_spans(const void *reply, struct ac_buf *b)
{
    const Aceso__V1__QuerySpansResponse *q = reply;
    ac_buf_puts(b, "trace,span,parent,component,name,kind,start_s,ms,status,peer\n");
    for (size_t i = 0; i < q->n_spans && !b->failed; i++) {
        const Aceso__V1__Span *s = q->spans[i];
        ac_buf_printf(b, "%s,%s,%s,%s,%s,%d,%.3f,%.2f,%d,%s\n", s->trace_id, s->span_id,
                      s->parent_span_id, s->component, s->name, s->kind, (double)s->start_ns / 1e9,
                      (double)(s->end_ns - s->start_ns) / 1e6, s->status, s->peer);
    }
}

struct query {
    struct ac_rpc_call *call;
    void (*put)(const void *reply, struct ac_buf *b);
};

static void queried(const struct ac_rpc_result *res, void *arg)
{
    struct query *q = arg;
    struct ac_buf b;
    ac_buf_init(&b, TEXT_MAX);
    if (res->code != 0) {
        struct ac_err err = AC_ERR_INIT;
        (void)ac_err_set(&err, res->code, "telemetry: %.200s", res->message);
        ac_rpc_fail(q->call, &err);
        ac_buf_fini(&b);
    } else {
        q->put(res->reply, &b);
        reply_text(q->call, &b); /* cut at the limit */
    }
    free(q);
}

static void telemetry(struct lab_view *v, struct ac_rpc_call *c,
                      const Aceso__V1__AgentCallRequest *req)
{
    int64_t minutes = MINUTES_DEFAULT;
    const char *service = argument(req, "service", "");
    if (!ac_str_to_i64(argument(req, "minutes", "5"), &minutes) || minutes < 1 ||
        minutes > MINUTES_MAX) {
        fail(c, AC_EINVAL, "minutes: a whole number from 1 to 60");
        return;
    }
    Aceso__V1__TimeRange range = ACESO__V1__TIME_RANGE__INIT;
    range.from_ns = ac_wall_ns() - minutes * 60 * AC_NS_PER_S;
    const struct ac_rpc_call_opts o = {.timeout_ns = QUERY_NS};
    struct query *q = ac_xcalloc(1, sizeof(*q));
    q->call = c;
    if (ac_streq(req->action, "get_metrics")) {
        Aceso__V1__QueryMetricsRequest m = ACESO__V1__QUERY_METRICS_REQUEST__INIT;
        Aceso__V1__SeriesSelector sel = ACESO__V1__SERIES_SELECTOR__INIT;
        sel.namespace_ = v->s.ns;
        sel.component = (char *)(uintptr_t)service;
        m.selector = &sel;
        m.range = &range;
        m.max_points = 5000;
        q->put = put_metrics;
        ac_rpc_unary(v->lab->collector, "/aceso.v1.Telemetry/QueryMetrics", &m,
                     &aceso__v1__query_metrics_response__descriptor, &o, queried, q);
    } else if (ac_streq(req->action, "get_logs")) {
        Aceso__V1__QueryLogsRequest m = ACESO__V1__QUERY_LOGS_REQUEST__INIT;
        m.namespace_ = v->s.ns;
        m.component = (char *)(uintptr_t)service;
        m.range = &range;
        m.limit = 500;
        q->put = put_logs;
        ac_rpc_unary(v->lab->collector, "/aceso.v1.Telemetry/QueryLogs", &m,
                     &aceso__v1__query_logs_response__descriptor, &o, queried, q);
    } else {
        Aceso__V1__QuerySpansRequest m = ACESO__V1__QUERY_SPANS_REQUEST__INIT;
        m.namespace_ = v->s.ns;
        m.component = (char *)(uintptr_t)service;
        m.range = &range;
        m.limit = 500;
        q->put = put_spans;
        ac_rpc_unary(v->lab->collector, "/aceso.v1.Telemetry/QuerySpans", &m,
                     &aceso__v1__query_spans_response__descriptor, &o, queried, q);
    }
}

/* ---- shell ---- */

struct shell {
    struct ac_rpc_call *call;
    struct lab_command command;
    char *kubeconfig, ns[LAB_NAME_MAX];
    struct ac_buf out;
    int rc;
    struct ac_err err;
};

static void shell_work(void *arg)
{
    struct shell *s = arg;
    s->rc = lab_shell_run(&s->command, s->kubeconfig, s->ns, &s->out, &s->err);
}

static void shell_done(void *arg)
{
    struct shell *s = arg;
    if (s->rc != 0) {
        ac_rpc_fail(s->call, &s->err);
        ac_buf_fini(&s->out);
    } else {
        reply_text(s->call, &s->out);
    }
    free(s->kubeconfig);
    free(s);
}

static void shell(struct lab_view *v, struct ac_rpc_call *c, const char *line)
{
    struct shell *s = ac_xcalloc(1, sizeof(*s));
    s->call = c;
    s->kubeconfig = ac_xstrdup(v->lab->conf->kubeconfig);
    ac_str_copy(s->ns, sizeof(s->ns), v->s.ns);
    ac_buf_init(&s->out, TEXT_MAX);
    s->rc = lab_guard(line, v->s.ns, &s->command, &s->err);
    if (s->rc == 0 && ac_worker_submit(v->lab->shell, shell_work, shell_done, s) == 0)
        return;
    if (s->rc == 0)
        s->rc = ac_err_set(&s->err, AC_EAGAIN, "too many commands are waiting");
    shell_done(s);
}

static void on_call(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__AgentCallRequest *req = msg;
    struct lab_view *v = find(self, req->session, c);
    if (!v)
        return;
    if (v->s.phase >= LAB_PHASE_REVERTING)
        fail(c, AC_ESTATE, "the session is over");
    else if (ac_streq(req->action, "exec_shell"))
        shell(v, c, argument(req, "command", ""));
    else if (ac_streq(req->action, "get_metrics") || ac_streq(req->action, "get_logs") ||
             ac_streq(req->action, "get_traces"))
        telemetry(v, c, req);
    else
        fail(c, AC_EINVAL, "an action is get_logs, get_metrics, get_traces or exec_shell");
}

/* ---- answers ---- */

/* "yes", ["user"], or nothing for a mitigation: the oracle judges that by itself. */
static int take_answer(struct lab_answers *a, const char *task, const json_t *j, struct ac_err *err)
{
    const json_t *first = json_is_array(j) ? json_array_get(j, 0) : j;
    const char *word = json_string_value(first);
    int64_t now = ac_wall_ns();
    switch (lab_task_from_name(task)) {
    case LAB_TASK_DETECTION:
        if (!ac_streq(word, "yes") && !ac_streq(word, "no"))
            return ac_err_set(err, AC_EINVAL, "detection is answered by \"yes\" or \"no\"");
        if (a->detected_ns)
            return ac_err_set(err, AC_EEXISTS, "detection was answered already");
        a->detected_ns = now;
        a->anomaly = ac_streq(word, "yes");
        return 0;
    case LAB_TASK_LOCALIZATION:
        if (ac_str_empty(word) || strlen(word) >= LAB_NAME_MAX)
            return ac_err_set(err, AC_EINVAL,
                              "localization is answered by a list of components, as [\"geo\"]");
        if (a->located_ns)
            return ac_err_set(err, AC_EEXISTS, "localization was answered already");
        a->located_ns = now;
        ac_str_copy(a->root_cause, sizeof(a->root_cause), word);
        return 0;
    case LAB_TASK_MITIGATION:
        a->mitigated_ns = now;
        return 0;
    default:
        return ac_err_set(err, AC_EINVAL,
                          "a task to answer is detection, localization or mitigation");
    }
}

static void on_submit(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__SubmitRequest *req = msg;
    struct lab_view *v = find(self, req->session, c);
    if (!v)
        return;
    struct ac_err err = AC_ERR_INIT;
    ac_cleanup_json answer = NULL;
    int rc = req->answer_json[0] ? ac_json_parse("answer", req->answer_json,
                                                 strlen(req->answer_json), &answer, &err)
                                 : 0;
    if (rc == 0 && (!v->run || v->s.phase >= LAB_PHASE_REVERTING))
        rc = ac_err_set(&err, AC_ESTATE, "the session is over");
    else if (rc == 0 && v->s.seen.injected_ns == 0)
        rc = ac_err_set(&err, AC_ESTATE, "the problem has not begun yet: the session is at %s",
                        lab_phase_name(v->s.phase));
    if (rc == 0) {
        pthread_mutex_lock(&v->run->lock);
        rc = take_answer(&v->run->answers, req->task, answer, &err);
        pthread_mutex_unlock(&v->run->lock);
    }
    if (rc != 0) {
        ac_rpc_fail(c, &err);
        return;
    }
    Aceso__V1__SubmitResponse m = ACESO__V1__SUBMIT_RESPONSE__INIT;
    m.status = (char *)(uintptr_t) "taken";
    ac_rpc_reply(c, &m);
}

void lab_agent_rpc_add(struct lab *l)
{
    static const struct ac_rpc_method methods[] = {
        {.name = "GetProblem", .kind = AC_RPC_UNARY, .handler = on_get_problem},
        {.name = "Call", .kind = AC_RPC_UNARY, .handler = on_call},
        {.name = "Submit", .kind = AC_RPC_UNARY, .handler = on_submit},
    };
    ac_rpc_server_add(l->svc->server, &aceso__v1__agent_cloud__descriptor, methods,
                      AC_ARRAY_LEN(methods), l);
}
