/* From the stream into memory: each message once, in order. What makes no sense is counted and
 * passed over, for it would not make sense the next time either. Loop thread. */
#include "collector.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/id.h>
#include <aceso/log.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/v1/telemetry.pb-c.h>

static void poison(struct collector *c, const struct ac_bus_msg *m, const char *why)
{
    ac_metric_add(c->m.poison, 1);
    AC_LOGW("collector", "message_makes_no_sense", AC_KS("subject", m->subject),
            AC_KI("seq", m->stream_seq), AC_KS("msg", why));
}

static const char *read_points(struct collector *c, const Aceso__V1__SeriesPoints *p)
{
    struct col_label labels[COL_MAX_LABELS];
    struct ac_err err = AC_ERR_INIT;
    enum col_kind kind;
    if (!p->key || p->n_time_ns != p->n_value || !col_kind_parse(p->kind, &kind))
        return "points without a key or kind, or with as many times as values";
    if (p->key->n_labels > COL_MAX_LABELS)
        return "too many labels";
    for (size_t i = 0; i < p->key->n_labels; i++)
        labels[i] = (struct col_label){p->key->labels[i]->key, p->key->labels[i]->value};
    const struct col_key k = {.ns = p->key->namespace_,
                              .component = p->key->component,
                              .metric = p->key->metric,
                              .labels = labels,
                              .n_labels = p->key->n_labels};
    if (col_key_check(&k, &err) || col_labels_check(labels, k.n_labels, &err))
        return "a series whose names cannot be stored";
    struct col_series *x = col_series_get(&c->series, &k, kind, p->unit, 0);
    if (!x)
        return "more series than are kept";
    for (size_t i = 0; i < p->n_time_ns; i++)
        col_series_add(&c->series, x, p->time_ns[i], p->value[i]);
    return NULL;
}

static void read_metrics(struct collector *c, const struct ac_bus_msg *m)
{
    Aceso__V1__MetricBatch *b = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (AC_PB_UNPACK(aceso__v1__metric_batch, m->data, m->len, c->arena, &b, &err)) {
        poison(c, m, err.msg);
        return;
    }
    for (size_t i = 0; i < b->n_series; i++) {
        const char *why = read_points(c, b->series[i]);
        if (why)
            poison(c, m, why);
    }
}

static int source_check(const char *ns, const char *component)
{
    const struct col_key k = {.ns = ns, .component = component, .metric = "-"};
    return col_key_check(&k, NULL);
}

/* A record is kept as it is on the wire; the copy is packed anew, which is the same for what we
 * published ourselves. */
static void keep(struct collector *c, struct col_events *to, struct col_event *ev,
                 const ProtobufCMessage *msg, const struct ac_bus_msg *m)
{
    size_t len = protobuf_c_message_get_packed_size(msg);
    uint8_t *raw = len <= COL_RECORD_BYTES ? ac_arena_alloc(c->arena, len + 1) : NULL;
    if (!raw || source_check(ev->ns, ev->component)) {
        poison(c, m, "a record that is too large, or whose names cannot be stored");
        return;
    }
    ev->msg = raw;
    ev->len = protobuf_c_message_pack(msg, raw);
    col_events_add(to, ev, false);
}

bool col_span_event(const Aceso__V1__Span *s, const char *ns, struct col_event *ret)
{
    *ret = (struct col_event){.t_ns = s->start_ns,
                              .end_ns = s->end_ns,
                              .ns = ns,
                              .component = s->component,
                              .peer = s->peer,
                              .kind = (uint8_t)s->kind,
                              .status = (uint8_t)s->status};
    return strlen(s->trace_id) == 32 && strlen(s->span_id) == 16 &&
           col_parse_hex64(s->trace_id, &ret->trace[0]) &&
           col_parse_hex64(s->trace_id + 16, &ret->trace[1]) &&
           col_parse_hex64(s->span_id, &ret->span) &&
           (!s->parent_span_id[0] ||
            (strlen(s->parent_span_id) == 16 && col_parse_hex64(s->parent_span_id, &ret->parent)));
}

void col_log_event(const Aceso__V1__LogRecord *r, const char *ns, struct col_event *ret)
{
    *ret = (struct col_event){.t_ns = r->time_ns,
                              .ns = ns,
                              .component = r->component,
                              .peer = "",
                              .status = (uint8_t)AC_MIN(AC_MAX(r->severity, 0), 255)};
}

static void read_spans(struct collector *c, const struct ac_bus_msg *m)
{
    Aceso__V1__SpanBatch *b = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (AC_PB_UNPACK(aceso__v1__span_batch, m->data, m->len, c->arena, &b, &err)) {
        poison(c, m, err.msg);
        return;
    }
    for (size_t i = 0; i < b->n_spans; i++) {
        struct col_event ev;
        if (col_span_event(b->spans[i], b->namespace_, &ev))
            keep(c, &c->spans, &ev, &b->spans[i]->base, m);
        else
            poison(c, m, "a span whose ids are not hex");
    }
}

static void read_logs(struct collector *c, const struct ac_bus_msg *m)
{
    Aceso__V1__LogBatch *b = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (AC_PB_UNPACK(aceso__v1__log_batch, m->data, m->len, c->arena, &b, &err)) {
        poison(c, m, err.msg);
        return;
    }
    for (size_t i = 0; i < b->n_records; i++) {
        struct col_event ev;
        col_log_event(b->records[i], b->namespace_, &ev);
        keep(c, &c->logs, &ev, &b->records[i]->base, m);
    }
}

static void mark_done(int code, void *arg)
{
    struct collector *c = arg;
    if (code && code != AC_ECANCELED && !c->stopping)
        col_reader_mark(c);
}

void col_reader_mark(struct collector *c)
{
    struct ac_err err = AC_ERR_INIT;
    if (!c->mark[0])
        (void)snprintf(c->mark, sizeof(c->mark), "%s.%s", COL_SUBJECT_MARK, ac_id_new().s);
    if (ac_bus_js_publish(c->svc->bus, c->mark, c->mark, "", 0, mark_done, c, &err)) {
        AC_LOGW("collector", "no_mark", AC_KERR(&err),
                AC_KS("hint", "queries are answered although the stream is not read to its end"));
        col_query_caught_up(c);
    }
}

void col_reader_message(const struct ac_bus_msg *m, void *arg)
{
    struct collector *c = arg;
    if (c->read_seq > 0 && m->stream_seq > c->read_seq + 1) {
        ac_metric_add(c->m.lost, (double)(m->stream_seq - c->read_seq - 1));
        AC_LOGW("collector", "stream_dropped_messages", AC_KI("n", m->stream_seq - c->read_seq - 1),
                AC_KS("hint", "they were too old or too many before they could be stored"));
    }
    ac_arena_reset(c->arena);
    if (ac_str_starts(m->subject, AC_SUBJECT_METRICS "."))
        read_metrics(c, m);
    else if (ac_str_starts(m->subject, AC_SUBJECT_SPANS "."))
        read_spans(c, m);
    else if (ac_str_starts(m->subject, AC_SUBJECT_LOGS "."))
        read_logs(c, m);
    else if (!ac_str_starts(m->subject, COL_SUBJECT_MARK "."))
        poison(c, m, "a subject that is not known");
    else if (ac_streq(m->subject, c->mark))
        col_query_caught_up(c);
    c->read_seq = m->stream_seq;
    if (!c->waits_since_ns)
        c->waits_since_ns = ac_now_ns();
    col_flush_check(c);
}
