#include "otlp.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

/* A nested message: its length is written into four reserved bytes afterwards (a varint may have
 * leading zero groups), so nothing is built twice or moved. */
static size_t open_msg(struct ac_buf *b, unsigned field)
{
    ac_buf_putc(b, (char)(field << 3 | 2));
    ac_buf_append(b, "\x80\x80\x80\x00", 4);
    return b->len;
}

static void close_msg(struct ac_buf *b, size_t mark)
{
    if (b->failed)
        return;
    size_t n = b->len - mark;
    if (n >= 1u << 28) {
        b->failed = true;
        return;
    }
    for (size_t i = 0; i < 4; i++)
        b->data[mark - 4 + i] = (char)(((n >> (7 * i)) & 0x7f) | (i < 3 ? 0x80 : 0));
}

static void put_varint(struct ac_buf *b, unsigned field, uint64_t v)
{
    ac_buf_putc(b, (char)(field << 3));
    for (; v >= 0x80; v >>= 7)
        ac_buf_putc(b, (char)(v | 0x80));
    ac_buf_putc(b, (char)v);
}

static void put_fixed64(struct ac_buf *b, unsigned field, const void *p)
{
    ac_buf_putc(b, (char)(field << 3 | 1));
    ac_buf_append(b, p, 8);
}

static void put_bytes(struct ac_buf *b, unsigned field, const void *p, size_t n)
{
    size_t mark = open_msg(b, field);
    ac_buf_append(b, p, n);
    close_msg(b, mark);
}

static void put_str(struct ac_buf *b, unsigned field, const char *s)
{
    put_bytes(b, field, s, strlen(s));
}

static void put_attribute(struct ac_buf *b, unsigned field, const char *key, const char *value)
{
    if (ac_str_empty(value))
        return;
    size_t kv = open_msg(b, field);
    put_str(b, 1, key);
    size_t any = open_msg(b, 2);
    put_str(b, 1, value);
    close_msg(b, any);
    close_msg(b, kv);
}

/* Resource{1} and the scope's opening{2}; the marks of both enclosing messages. */
static void open_resource(struct ac_buf *b, const struct app_resource *r, size_t marks[2])
{
    marks[0] = open_msg(b, 1);
    size_t res = open_msg(b, 1);
    put_attribute(b, 1, "service.name", r->service);
    put_attribute(b, 1, "service.namespace", r->application);
    put_attribute(b, 1, "k8s.namespace.name", r->ns);
    put_attribute(b, 1, "k8s.pod.name", r->pod);
    close_msg(b, res);
    marks[1] = open_msg(b, 2);
    size_t scope = open_msg(b, 1);
    put_str(b, 1, "aceso-app");
    close_msg(b, scope);
}

static void close_resource(struct ac_buf *b, const size_t marks[2])
{
    close_msg(b, marks[1]);
    close_msg(b, marks[0]);
}

void app_otlp_metrics_begin(struct app_otlp *o, struct ac_buf *out, const struct app_resource *r,
                            int64_t time_ns)
{
    o->out = out;
    o->time_ns = time_ns;
    open_resource(out, r, o->marks);
}

void app_otlp_gauge(struct app_otlp *o, const struct app_sample *s)
{
    struct ac_buf *b = o->out;
    size_t metric = open_msg(b, 2);
    put_str(b, 1, s->metric);
    put_str(b, 3, s->unit);
    size_t gauge = open_msg(b, 5), point = open_msg(b, 1);
    put_fixed64(b, 3, &o->time_ns);
    put_fixed64(b, 4, &s->v);
    if (s->label)
        put_attribute(b, 7, s->label, s->value);
    close_msg(b, point);
    close_msg(b, gauge);
    close_msg(b, metric);
}

void app_otlp_metrics_end(struct app_otlp *o)
{
    close_resource(o->out, o->marks);
}

static void put_span(struct ac_buf *b, const struct app_span *s)
{
    static const unsigned char none[8];
    size_t span = open_msg(b, 2);
    put_bytes(b, 1, s->trace_id, 16);
    put_bytes(b, 2, s->span_id, 8);
    if (memcmp(s->parent_id, none, 8) != 0)
        put_bytes(b, 4, s->parent_id, 8);
    put_str(b, 5, s->name);
    put_varint(b, 6, s->kind);
    put_fixed64(b, 7, &s->start_ns);
    put_fixed64(b, 8, &s->end_ns);
    put_attribute(b, 9, "peer.service", s->peer);
    bool db = ac_streq(s->system, "postgresql") || ac_streq(s->system, "redis");
    put_attribute(b, 9,
                  db                            ? "db.system"
                  : ac_streq(s->system, "grpc") ? "rpc.system"
                                                : "system",
                  s->system);
    if (s->error) {
        size_t status = open_msg(b, 15);
        put_str(b, 2, s->message);
        put_varint(b, 3, 2);
        close_msg(b, status);
    }
    close_msg(b, span);
}

void app_otlp_spans(struct ac_buf *out, const struct app_resource *r, const struct app_span *spans,
                    size_t n)
{
    size_t marks[2];
    open_resource(out, r, marks);
    for (size_t i = 0; i < n; i++)
        put_span(out, &spans[i]);
    close_resource(out, marks);
}

void app_otlp_logs(struct ac_buf *out, const struct app_resource *r,
                   const struct app_log_record *logs, size_t n)
{
    size_t marks[2];
    open_resource(out, r, marks);
    for (size_t i = 0; i < n; i++) {
        const struct app_log_record *l = &logs[i];
        size_t rec = open_msg(out, 2);
        put_fixed64(out, 1, &l->time_ns);
        put_varint(out, 2, (uint64_t)l->severity);
        put_str(out, 3, l->severity >= 17 ? "ERROR" : l->severity >= 13 ? "WARN" : "INFO");
        size_t body = open_msg(out, 5);
        put_str(out, 1, l->body);
        close_msg(out, body);
        put_attribute(out, 6, "route", l->route);
        put_attribute(out, 6, "peer.service", l->peer);
        if (l->has_trace) {
            put_bytes(out, 9, l->trace_id, 16);
            put_bytes(out, 10, l->span_id, 8);
        }
        put_fixed64(out, 11, &l->time_ns);
        close_msg(out, rec);
    }
    close_resource(out, marks);
}
