/* Questions to the services, their answers as JSON. A service that does not answer is no error of
 * the console: the answer says "unavailable", and the page shows it. */
#include "chart.h"
#include "console_service.h"

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/v1/detector.pb-c.h>
#include <aceso/v1/incidents.pb-c.h>
#include <aceso/v1/lab.pb-c.h>
#include <aceso/v1/telemetry.pb-c.h>

#define ASK_TIMEOUT_NS (5 * AC_NS_PER_S)
#define JSON_MAX_BYTES (32u << 20)
#define SERIES_MAX     16u
#define POINTS_MAX     100000u /* asked of the collector, over all series */

struct ask {
    struct ac_http_req *req;
    unsigned row;
    const char *method,
        *list; /* list: the answer's one key when there is none; NULL = one object */
    const ProtobufCMessageDescriptor *reply;
    void (*put)(const void *reply, struct ac_buf *out);
};

static void reply_json(struct ac_http_req *r, int status, struct ac_buf *b)
{
    const struct ac_err err = {AC_ERANGE, "the answer is too large for a page"};
    if (b->failed)
        ac_http_reply_err(r, &err);
    else
        ac_http_reply(r, status, "application/json", ac_buf_str(b), b->len);
    ac_buf_fini(b);
}

static void reply_unavailable(const struct ask *a, const char *reason)
{
    struct ac_buf b;
    ac_buf_init(&b, 64u << 10);
    (void)ac_buf_putc(&b, '{');
    if (a->list)
        (void)ac_buf_printf(&b, "\"%s\":[],", a->list);
    (void)ac_buf_puts(&b, "\"unavailable\":{\"service\":");
    (void)ac_buf_put_json_str(&b, console_row_name(a->row));
    (void)ac_buf_puts(&b, ",\"reason\":");
    (void)ac_buf_put_json_str(&b, reason);
    (void)ac_buf_puts(&b, "}}");
    reply_json(a->req, 200, &b);
}

static void put_message(const void *reply, struct ac_buf *out)
{
    ac_pb_to_json(reply, out);
}

static void answered(const struct ac_rpc_result *res, void *arg)
{
    struct ask *a = arg;
    struct ac_buf b;
    struct ac_err err = AC_ERR_INIT;
    switch (res->code) {
    case AC_OK:
        ac_buf_init(&b, JSON_MAX_BYTES);
        a->put(res->reply, &b);
        reply_json(a->req, 200, &b);
        break;
    case AC_ENET:
    case AC_ECANCELED:
        reply_unavailable(a, "it does not answer");
        break;
    case AC_ETIMEOUT:
        reply_unavailable(a, "it did not answer within 5 s");
        break;
    case AC_ENOTSUP:
        reply_unavailable(a, "it does not know this question");
        break;
    default:
        (void)ac_err_set(&err, res->code, "%s: %s", console_row_name(a->row), res->message);
        ac_http_reply_err(a->req, &err);
        break;
    }
    free(a);
}

static void ask(struct console_service *s, const struct ask *question, const void *request)
{
    const struct ac_rpc_call_opts o = {.timeout_ns = ASK_TIMEOUT_NS};
    struct ac_rpc_channel *ch = s->channel[question->row];
    if (!ch) {
        reply_unavailable(question, "its address is not configured");
        return;
    }
    struct ask *a = ac_xmalloc(sizeof(*a));
    *a = *question;
    (void)ac_rpc_unary(ch, a->method, request, a->reply, &o, answered, a);
}

/* protobuf-c wants char * although it never writes. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

void console_ask_incidents(struct console_service *s, struct ac_http_req *r,
                           const struct console_list_query *q)
{
    Aceso__V1__ListIncidentsRequest m = ACESO__V1__LIST_INCIDENTS_REQUEST__INIT;
    m.namespace_ = text(q->namespace_);
    m.open_only = q->open_only;
    m.limit = q->limit;
    const struct ask a = {.req = r,
                          .row = CONSOLE_RESPONDER,
                          .method = "/aceso.v1.Incidents/List",
                          .list = "incidents",
                          .reply = &aceso__v1__list_incidents_response__descriptor,
                          .put = put_message};
    ask(s, &a, &m);
}

void console_ask_incident(struct console_service *s, struct ac_http_req *r, const char *id)
{
    Aceso__V1__GetIncidentRequest m = ACESO__V1__GET_INCIDENT_REQUEST__INIT;
    m.id = text(id);
    const struct ask a = {.req = r,
                          .row = CONSOLE_RESPONDER,
                          .method = "/aceso.v1.Incidents/Get",
                          .reply = &aceso__v1__incident__descriptor,
                          .put = put_message};
    ask(s, &a, &m);
}

void console_ask_alerts(struct console_service *s, struct ac_http_req *r,
                        const struct console_list_query *q)
{
    Aceso__V1__ListAlertsRequest m = ACESO__V1__LIST_ALERTS_REQUEST__INIT;
    m.namespace_ = text(q->namespace_);
    m.open_only = q->open_only;
    m.since_ns = q->since_ns;
    m.limit = q->limit;
    const struct ask a = {.req = r,
                          .row = CONSOLE_DETECTOR,
                          .method = "/aceso.v1.Detector/ListAlerts",
                          .list = "alerts",
                          .reply = &aceso__v1__list_alerts_response__descriptor,
                          .put = put_message};
    ask(s, &a, &m);
}

void console_ask_sessions(struct console_service *s, struct ac_http_req *r,
                          const struct console_list_query *q)
{
    Aceso__V1__ListSessionsRequest m = ACESO__V1__LIST_SESSIONS_REQUEST__INIT;
    m.limit = q->limit;
    const struct ask a = {.req = r,
                          .row = CONSOLE_LAB,
                          .method = "/aceso.v1.Lab/ListSessions",
                          .list = "sessions",
                          .reply = &aceso__v1__list_sessions_response__descriptor,
                          .put = put_message};
    ask(s, &a, &m);
}

static void put_series(const void *reply, struct ac_buf *out)
{
    const Aceso__V1__QueryMetricsResponse *m = reply;
    size_t n = AC_MIN(m->n_series, (size_t)SERIES_MAX);
    (void)ac_buf_puts(out, "{\"series\":[");
    for (size_t i = 0; i < n; i++) {
        const Aceso__V1__SeriesPoints *p = m->series[i];
        (void)ac_buf_puts(out, i ? ",{\"key\":" : "{\"key\":");
        if (p->key)
            ac_pb_to_json(&p->key->base, out);
        else
            (void)ac_buf_puts(out, "{}");
        (void)ac_buf_puts(out, ",\"unit\":");
        (void)ac_buf_put_json_str(out, p->unit);
        (void)ac_buf_puts(out, ",\"points\":");
        console_chart_points(p->time_ns, p->n_time_ns, p->value, p->n_value, out);
        (void)ac_buf_putc(out, '}');
    }
    (void)ac_buf_printf(out, "],\"truncated\":%s}",
                        m->truncated || m->n_series > n ? "true" : "false");
}

void console_ask_series(struct console_service *s, struct ac_http_req *r,
                        const struct console_series_query *q)
{
    Aceso__V1__QueryMetricsRequest m = ACESO__V1__QUERY_METRICS_REQUEST__INIT;
    Aceso__V1__SeriesSelector sel = ACESO__V1__SERIES_SELECTOR__INIT;
    Aceso__V1__TimeRange range = ACESO__V1__TIME_RANGE__INIT;
    Aceso__V1__Label label[CONSOLE_LABELS_MAX], *labels[CONSOLE_LABELS_MAX];
    for (size_t i = 0; i < q->n_labels; i++) {
        aceso__v1__label__init(&label[i]);
        label[i].key = text(q->label[i].key);
        label[i].value = text(q->label[i].value);
        labels[i] = &label[i];
    }
    sel.namespace_ = text(q->namespace_);
    sel.component = text(q->component);
    sel.metric = text(q->metric);
    sel.labels = labels;
    sel.n_labels = q->n_labels;
    range.from_ns = q->from_ns;
    range.to_ns = q->to_ns;
    m.selector = &sel;
    m.range = &range;
    m.max_points = POINTS_MAX;
    const struct ask a = {.req = r,
                          .row = CONSOLE_COLLECTOR,
                          .method = "/aceso.v1.Telemetry/QueryMetrics",
                          .list = "series",
                          .reply = &aceso__v1__query_metrics_response__descriptor,
                          .put = put_series};
    ask(s, &a, &m);
}
