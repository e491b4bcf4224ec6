/* Export over gRPC and HTTP: converted, published to the stream, and answered once the stream has
 * confirmed all of it. A sender that repeats an export, because the answer got lost, repeats its
 * message ids: the stream takes each once. Loop thread. */
#include "chunk.h"

#include <stdio.h>
#include <string.h>

#include <google/rpc/status.pb-c.h>
#include <openssl/evp.h>

#include <aceso/base.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/v1/telemetry.pb-c.h>

#include "adapters/convert.h"

#define HTTP_ARENA_BASE   (4u << 20)
#define HTTP_ARENA_FACTOR 8u
#define HTTP_MAX_BODY     (16u << 20) /* inflated */
#define MAX_UNDER_WAY     1024        /* exports that wait for the stream */
#define TYPE_PROTOBUF     "application/x-protobuf"

static const char *const subjects[] = {AC_SUBJECT_METRICS, AC_SUBJECT_SPANS, AC_SUBJECT_LOGS};

/* One export. Its arena is the call's, or its own for HTTP. */
struct export
{
    struct collector *c;
    enum col_signal signal;
    struct ac_rpc_call *call;
    struct ac_http_req *http;
    struct ac_arena *arena;
    struct col_out out;
    size_t waiting; /* messages without an answer of the stream */
    struct ac_err err;
};

/* ---- the answer ---- */

static void http_error(struct ac_http_req *r, int http_status, const struct ac_err *err)
{
    Google__Rpc__Status s = GOOGLE__RPC__STATUS__INIT;
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    s.code = ac_err_grpc_status(err->code);
    s.message = (char *)(uintptr_t)err->msg;
    (void)!ac_pb_pack(&s.base, &b, NULL);
    if (http_status == 503)
        ac_http_set_header(r, "Retry-After", "1");
    ac_http_reply(r, http_status, TYPE_PROTOBUF, ac_buf_str(&b), b.len);
    ac_buf_fini(&b);
}

static void reply(struct export *e, const ProtobufCMessage *m)
{
    if (e->call) {
        ac_rpc_reply(e->call, m);
        return;
    }
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    (void)!ac_pb_pack(m, &b, NULL);
    ac_http_reply(e->http, 200, TYPE_PROTOBUF, ac_buf_str(&b), b.len);
    ac_buf_fini(&b);
}

static void reply_ok(struct export *e)
{
    const struct col_out *o = &e->out;
    char *reason = (char *)(uintptr_t)o->reason;
    bool partial = o->rejected > 0 || o->reason[0];
    if (e->signal == COL_METRICS) {
        Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceResponse m =
            OPENTELEMETRY__PROTO__COLLECTOR__METRICS__V1__EXPORT_METRICS_SERVICE_RESPONSE__INIT;
        Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsPartialSuccess p =
            OPENTELEMETRY__PROTO__COLLECTOR__METRICS__V1__EXPORT_METRICS_PARTIAL_SUCCESS__INIT;
        p.rejected_data_points = o->rejected;
        p.error_message = reason;
        m.partial_success = partial ? &p : NULL;
        reply(e, &m.base);
    } else if (e->signal == COL_TRACES) {
        Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse m =
            OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
        Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess p =
            OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
        p.rejected_spans = o->rejected;
        p.error_message = reason;
        m.partial_success = partial ? &p : NULL;
        reply(e, &m.base);
    } else {
        Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceResponse m =
            OPENTELEMETRY__PROTO__COLLECTOR__LOGS__V1__EXPORT_LOGS_SERVICE_RESPONSE__INIT;
        Opentelemetry__Proto__Collector__Logs__V1__ExportLogsPartialSuccess p =
            OPENTELEMETRY__PROTO__COLLECTOR__LOGS__V1__EXPORT_LOGS_PARTIAL_SUCCESS__INIT;
        p.rejected_log_records = o->rejected;
        p.error_message = reason;
        m.partial_success = partial ? &p : NULL;
        reply(e, &m.base);
    }
}

static void export_end(struct export *e)
{
    e->c->exports--;
    if (e->err.code) {
        /* UNAVAILABLE is what senders try again after */
        struct ac_err err = {.code = AC_ENET};
        (void)snprintf(err.msg, sizeof(err.msg), "not stored, try again: %.200s", e->err.msg);
        if (e->call)
            ac_rpc_fail(e->call, &err);
        else
            http_error(e->http, 503, &err);
    } else {
        ac_metric_add(e->c->m.accepted[e->signal], (double)e->out.accepted);
        ac_metric_add(e->c->m.rejected[e->signal], (double)e->out.rejected);
        reply_ok(e);
    }
    col_out_fini(&e->out);
    if (e->http)
        ac_arena_destroy(e->arena);
    free(e);
}

/* ---- to the stream ---- */

static void published(int code, void *arg)
{
    struct export *e = arg;
    if (code && !e->err.code)
        (void)ac_err_set(&e->err, code, "the stream did not confirm: %s", ac_err_text(code));
    if (--e->waiting == 0)
        export_end(e);
}

/* The id follows from what is in the message: of the same export the same. */
static void message_id(const struct col_message *m, char dst[33])
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!EVP_Digest(m->entries.data, m->entries.len, md, &n, EVP_sha256(), NULL))
        n = 0;
    AC_ASSERT(n >= 16);
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(dst + 2 * i, 3, "%02x", md[i]);
}

/* The three batches have the same numbers for meta (1), namespace (2) and entries (3). */
static int publish(struct export *e, struct col_message *m)
{
    char id[33], token[COL_MAX_NAME + 1], subject[COL_MAX_NAME + 64];
    Aceso__V1__Meta meta = ACESO__V1__META__INIT;
    Aceso__V1__MetricBatch head = ACESO__V1__METRIC_BATCH__INIT;
    message_id(m, id);
    meta.id = id;
    meta.tenant = e->c->svc->conf.tenant;
    meta.created_at_ns = e->out.now_ns;
    meta.source = e->c->source;
    head.meta = &meta;
    head.namespace_ = m->ns;
    int rc = ac_pb_pack(&head.base, &m->entries, &e->err);
    if (rc)
        return rc;
    col_subject_token(m->ns, token, sizeof(token));
    (void)snprintf(subject, sizeof(subject), "%s.%s", subjects[e->signal], token);
    return ac_bus_js_publish(e->c->svc->bus, subject, id, m->entries.data, m->entries.len,
                             published, e, &e->err);
}

static void publish_all(struct export *e)
{
    e->waiting = 1; /* ours: an answer may not end it before all are sent */
    for (struct col_message *m = e->out.messages; m; m = m->next) {
        e->waiting++;
        if (publish(e, m)) {
            e->waiting--;
            break;
        }
    }
    published(0, e);
}

static int refuse(struct collector *c, struct ac_err *err)
{
    if (c->stopping)
        return ac_err_set(err, AC_ENET, "the collector is stopping");
    if (c->exports >= MAX_UNDER_WAY)
        return ac_err_set(err, AC_ENET, "%d exports wait already", MAX_UNDER_WAY);
    return 0;
}

static void convert(struct collector *c, enum col_signal signal, const void *msg,
                    struct ac_rpc_call *call, struct ac_http_req *http, struct ac_arena *arena)
{
    struct export *e = ac_xcalloc(1, sizeof(*e));
    e->c = c;
    e->signal = signal;
    e->call = call;
    e->http = http;
    e->arena = arena;
    c->exports++;
    col_out_init(&e->out, arena, ac_wall_ns(), c->conf->retention_ns);
    if (signal == COL_METRICS)
        col_convert_metrics(c, msg, &e->out);
    else if (signal == COL_TRACES)
        col_convert_traces(msg, &e->out);
    else
        col_convert_logs(msg, &e->out);
    publish_all(e);
}

/* ---- gRPC ---- */

static void begin(struct ac_rpc_call *call, struct collector *c, enum col_signal signal,
                  const void *msg)
{
    struct ac_err err = AC_ERR_INIT;
    if (refuse(c, &err))
        ac_rpc_fail(call, &err);
    else
        convert(c, signal, msg, call, NULL, ac_rpc_arena(call));
}

static void on_metrics(struct ac_rpc_call *call, const void *msg, void *self)
{
    begin(call, self, COL_METRICS, msg);
}

static void on_traces(struct ac_rpc_call *call, const void *msg, void *self)
{
    begin(call, self, COL_TRACES, msg);
}

static void on_logs(struct ac_rpc_call *call, const void *msg, void *self)
{
    begin(call, self, COL_LOGS, msg);
}

void col_ingest_add(struct collector *c)
{
    static const struct ac_rpc_method metrics[] = {
        {.name = "Export", .kind = AC_RPC_UNARY, .handler = on_metrics}};
    static const struct ac_rpc_method traces[] = {
        {.name = "Export", .kind = AC_RPC_UNARY, .handler = on_traces}};
    static const struct ac_rpc_method logs[] = {
        {.name = "Export", .kind = AC_RPC_UNARY, .handler = on_logs}};
    struct ac_rpc_server *s = c->svc->server;
    ac_rpc_server_add(s, &opentelemetry__proto__collector__metrics__v1__metrics_service__descriptor,
                      metrics, 1, c);
    ac_rpc_server_add(s, &opentelemetry__proto__collector__trace__v1__trace_service__descriptor,
                      traces, 1, c);
    ac_rpc_server_add(s, &opentelemetry__proto__collector__logs__v1__logs_service__descriptor, logs,
                      1, c);
}

/* ---- HTTP ---- */

static const struct {
    const char *path;
    enum col_signal signal;
    const ProtobufCMessageDescriptor *desc;
} paths[] = {
    {"/v1/metrics", COL_METRICS,
     &opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor},
    {"/v1/traces", COL_TRACES,
     &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor},
    {"/v1/logs", COL_LOGS,
     &opentelemetry__proto__collector__logs__v1__export_logs_service_request__descriptor},
};

static int http_unpack(struct ac_http_req *r, const ProtobufCMessageDescriptor *desc,
                       struct ac_arena **arena, ProtobufCMessage **msg, struct ac_err *err)
{
    const char *encoding = ac_http_header(r, "Content-Encoding");
    size_t len = 0;
    const void *body = ac_http_body(r, &len);
    struct ac_buf plain;
    int rc = 0;
    ac_buf_init(&plain, HTTP_MAX_BODY);
    if (ac_streq(encoding, "gzip")) {
        rc = col_gunzip(body, len, &plain, err);
        body = ac_buf_str(&plain);
        len = plain.len;
    } else if (encoding && !ac_streq(encoding, "identity")) {
        rc = ac_err_set(err, AC_ENOTSUP, "Content-Encoding %.40s: use gzip or none", encoding);
    }
    if (!rc) {
        *arena = ac_arena_create(HTTP_ARENA_BASE + HTTP_ARENA_FACTOR * len);
        rc = ac_pb_unpack(desc, body, len, *arena, msg, err);
        if (rc)
            ac_arena_destroy(*arena);
    }
    ac_buf_fini(&plain);
    return rc;
}

void col_ingest_http(struct ac_http_req *r, struct ac_svc *s)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_arena *arena = NULL;
    ProtobufCMessage *msg = NULL;
    const char *type = ac_http_header(r, "Content-Type");
    size_t i = 0;
    while (i < AC_ARRAY_LEN(paths) && !ac_streq(ac_http_path(r), paths[i].path))
        i++;
    if (i == AC_ARRAY_LEN(paths)) {
        ac_http_reply_text(r, 404, "OTLP is taken at /v1/metrics, /v1/traces and /v1/logs\n");
        return;
    }
    if (!ac_svc_http_authorized(s, r))
        return;
    if (!ac_streq(ac_http_method(r), "POST")) {
        ac_http_set_header(r, "Allow", "POST");
        ac_http_reply_text(r, 405, "use POST\n");
        return;
    }
    if (!type || !ac_str_starts(type, TYPE_PROTOBUF)) {
        ac_http_reply_text(r, 415, "Content-Type must be " TYPE_PROTOBUF "\n");
        return;
    }
    if (refuse(s->state, &err)) {
        http_error(r, 503, &err);
        return;
    }
    int rc = http_unpack(r, paths[i].desc, &arena, &msg, &err);
    if (rc)
        http_error(r, rc == AC_EAGAIN ? 413 : rc == AC_ENOTSUP ? 415 : 400, &err);
    else
        convert(s->state, paths[i].signal, msg, NULL, r, arena);
}
