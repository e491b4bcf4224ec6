/* Spans and log records. Long texts and too many attributes are cut, with a warning; a record
 * without what identifies or dates it is refused. */
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>
#include <aceso/v1/telemetry.pb-c.h>

#include "adapters/convert.h"

typedef Opentelemetry__Proto__Trace__V1__Span otlp_span;
typedef Opentelemetry__Proto__Logs__V1__LogRecord otlp_log;

#define ID_MAX 33

/* Room for a record's own attributes. */
struct labels {
    struct col_label in[COL_MAX_ATTRIBUTES];
    Aceso__V1__Label out[COL_MAX_ATTRIBUTES], *list[COL_MAX_ATTRIBUTES];
    size_t n;
};

static char *out_of_arena(struct col_out *o, const char *s, size_t max)
{
    const char *c = col_clean(o, s, max);
    return (char *)(uintptr_t)(c ? c : "");
}

static void attributes(struct col_out *o, otlp_kv *const *in, size_t n, struct labels *l)
{
    l->n = col_attributes(o, in, n, l->in, COL_MAX_ATTRIBUTES);
    for (size_t i = 0; i < l->n; i++) {
        aceso__v1__label__init(&l->out[i]);
        l->out[i].key = out_of_arena(o, l->in[i].key, COL_MAX_KEY);
        l->out[i].value = out_of_arena(o, l->in[i].value, COL_MAX_ATTR_VALUE);
        l->list[i] = &l->out[i];
    }
}

/* Lower case hex; "" for an id of zeros or none. -1 for one of another length. */
static int hex(const ProtobufCBinaryData *d, size_t want, char out[ID_MAX])
{
    static const char digits[] = "0123456789abcdef";
    bool any = false;
    out[0] = '\0';
    if (d->len == 0)
        return 0;
    if (d->len != want)
        return -1;
    for (size_t i = 0; i < want; i++) {
        out[2 * i] = digits[d->data[i] >> 4];
        out[2 * i + 1] = digits[d->data[i] & 15];
        any = any || d->data[i];
    }
    out[any ? 2 * want : 0] = '\0';
    return 0;
}

static int check_source(const struct col_source *s, struct ac_err *err)
{
    const struct col_key k = {.ns = s->ns, .component = s->component, .metric = "-"};
    return col_key_check(&k, err);
}

/* The store is called by its own name where there is one. */
static const char *peer_of(const struct labels *l)
{
    static const char *const keys[] = {"peer.service", "server.address", "net.peer.name",
                                       "db.system.name", "db.system"};
    for (size_t k = 0; k < AC_ARRAY_LEN(keys); k++)
        for (size_t i = 0; i < l->n; i++)
            if (ac_streq(l->out[i].key, keys[k]) && l->out[i].value[0])
                return l->out[i].value;
    return "";
}

static int convert_span(struct col_out *o, const struct col_source *from, const otlp_span *in,
                        struct ac_err *err)
{
    char trace[ID_MAX], span[ID_MAX], parent[ID_MAX];
    struct labels l;
    Aceso__V1__Span s = ACESO__V1__SPAN__INIT;
    int rc = check_source(from, err);
    if (rc)
        return rc;
    if (hex(&in->trace_id, 16, trace) || !trace[0])
        return ac_err_set(err, AC_EINVAL, "a trace id that is not 16 bytes, or zero");
    if (hex(&in->span_id, 8, span) || !span[0])
        return ac_err_set(err, AC_EINVAL, "a span id that is not 8 bytes, or zero");
    if (hex(&in->parent_span_id, 8, parent))
        return ac_err_set(err, AC_EINVAL, "a parent span id that is not 8 bytes");
    rc = col_out_time(o, in->start_time_unix_nano, &s.start_ns, err);
    if (!rc)
        rc = col_out_time(o, in->end_time_unix_nano, &s.end_ns, err);
    if (rc)
        return rc;
    if (s.end_ns < s.start_ns)
        return ac_err_set(err, AC_EINVAL, "a span that ends before it starts");
    attributes(o, in->attributes, in->n_attributes, &l);
    s.trace_id = trace;
    s.span_id = span;
    s.parent_span_id = parent;
    s.component = (char *)(uintptr_t)from->component;
    s.name = out_of_arena(o, in->name, COL_MAX_ATTR_VALUE);
    s.kind = in->kind;
    s.status = in->status ? in->status->code : 0;
    s.status_message =
        in->status ? out_of_arena(o, in->status->message, COL_MAX_ATTR_VALUE) : s.status_message;
    bool outward = in->kind == OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_CLIENT ||
                   in->kind == OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_PRODUCER;
    s.peer = outward ? out_of_arena(o, peer_of(&l), COL_MAX_NAME) : s.peer;
    s.pod = out_of_arena(o, from->pod, COL_MAX_NAME);
    s.attributes = l.list;
    s.n_attributes = l.n;
    col_out_put(o, from->ns, &s.base);
    return 0;
}

static int convert_log(struct col_out *o, const struct col_source *from, const otlp_log *in,
                       struct ac_err *err)
{
    char trace[ID_MAX];
    struct labels l;
    Aceso__V1__LogRecord r = ACESO__V1__LOG_RECORD__INIT;
    int rc = check_source(from, err);
    if (rc)
        return rc;
    uint64_t t = in->time_unix_nano ? in->time_unix_nano : in->observed_time_unix_nano;
    rc = col_out_time(o, t ? t : (uint64_t)o->now_ns, &r.time_ns, err);
    if (rc)
        return rc;
    if (hex(&in->trace_id, 16, trace))
        return ac_err_set(err, AC_EINVAL, "a trace id that is not 16 bytes");
    const char *body = col_value_text(o, in->body);
    if (!body)
        return ac_err_set(err, AC_EAGAIN, "the export is too large");
    attributes(o, in->attributes, in->n_attributes, &l);
    r.component = (char *)(uintptr_t)from->component;
    r.pod = out_of_arena(o, from->pod, COL_MAX_NAME);
    r.severity = AC_MIN(AC_MAX(in->severity_number, 0), 24);
    r.body = out_of_arena(o, body, COL_MAX_BODY);
    r.trace_id = trace;
    r.attributes = l.list;
    r.n_attributes = l.n;
    col_out_put(o, from->ns, &r.base);
    return 0;
}

static void count(struct col_out *o, const struct col_source *from, const char *what, int rc,
                  struct ac_err *err)
{
    if (!rc && ac_arena_failed(o->arena))
        rc = ac_err_set(err, AC_EAGAIN, "the export is too large");
    if (rc) {
        (void)ac_err_wrap(err, "%s of %.60s", what, from->component);
        col_out_reject(o, 1, err);
    } else {
        o->accepted++;
    }
}

void col_convert_traces(const otlp_traces *m, struct col_out *o)
{
    for (size_t i = 0; i < m->n_resource_spans; i++) {
        const Opentelemetry__Proto__Trace__V1__ResourceSpans *r = m->resource_spans[i];
        struct col_source from;
        col_source(o, r->resource, &from);
        for (size_t k = 0; k < r->n_scope_spans; k++) {
            const Opentelemetry__Proto__Trace__V1__ScopeSpans *s = r->scope_spans[k];
            for (size_t j = 0; j < s->n_spans; j++) {
                struct ac_err err = AC_ERR_INIT;
                count(o, &from, "span", convert_span(o, &from, s->spans[j], &err), &err);
            }
        }
    }
}

void col_convert_logs(const otlp_logs *m, struct col_out *o)
{
    for (size_t i = 0; i < m->n_resource_logs; i++) {
        const Opentelemetry__Proto__Logs__V1__ResourceLogs *r = m->resource_logs[i];
        struct col_source from;
        col_source(o, r->resource, &from);
        for (size_t k = 0; k < r->n_scope_logs; k++) {
            const Opentelemetry__Proto__Logs__V1__ScopeLogs *s = r->scope_logs[k];
            for (size_t j = 0; j < s->n_log_records; j++) {
                struct ac_err err = AC_ERR_INIT;
                count(o, &from, "log record", convert_log(o, &from, s->log_records[j], &err), &err);
            }
        }
    }
}
