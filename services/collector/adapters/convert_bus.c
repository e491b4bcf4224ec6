/* From bus messages into memory. Whatever may be published there, what gets into memory can be
 * stored and computed with. Loop thread. */
#include "collector.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>
#include <aceso/str.h>
#include <aceso/v1/telemetry.pb-c.h>

/* No sum with a duration or a window leaves the range of int64. */
static bool time_makes_sense(int64_t t_ns)
{
    return t_ns > 0 && t_ns <= INT64_MAX / 2;
}

static int check_points(const Aceso__V1__SeriesPoints *p, enum col_kind *ret_kind,
                        struct ac_err *err)
{
    if (!p->key || p->n_time_ns != p->n_value || !col_kind_parse(p->kind, ret_kind))
        return ac_err_set(err, AC_EINVAL,
                          "points without a key or kind, or with other than one value a time");
    if (p->key->n_labels > COL_MAX_LABELS || strlen(p->unit) > COL_MAX_UNIT ||
        !ac_utf8_valid(p->unit))
        return ac_err_set(err, AC_EINVAL, "too many labels, or a unit that cannot be stored");
    for (size_t i = 0; i < p->n_time_ns; i++)
        if (!time_makes_sense(p->time_ns[i]))
            return ac_err_set(err, AC_EINVAL, "a time that makes no sense");
    return 0;
}

static int read_points(struct collector *c, const Aceso__V1__SeriesPoints *p, struct ac_err *err)
{
    struct col_label labels[COL_MAX_LABELS];
    enum col_kind kind;
    int rc = check_points(p, &kind, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < p->key->n_labels; i++)
        labels[i] = (struct col_label){p->key->labels[i]->key, p->key->labels[i]->value};
    const struct col_key k = {.ns = p->key->namespace_,
                              .component = p->key->component,
                              .metric = p->key->metric,
                              .labels = labels,
                              .n_labels = p->key->n_labels};
    if ((rc = col_key_check(&k, err)) || (rc = col_labels_check(labels, k.n_labels, err)))
        return rc;
    struct col_series *x = col_series_get(&c->series, &k, kind, p->unit, 0);
    if (!x)
        return ac_err_set(err, AC_EAGAIN, "more series than are kept");
    for (size_t i = 0; i < p->n_time_ns; i++)
        col_series_add(&c->series, x, p->time_ns[i], p->value[i]);
    return 0;
}

/* A record is kept as it is on the wire; the copy is packed anew, which is the same for what we
 * published ourselves. */
static int keep(struct collector *c, struct col_events *to, struct col_event *ev,
                const ProtobufCMessage *msg, struct ac_err *err)
{
    const struct col_key source = {.ns = ev->ns, .component = ev->component, .metric = "-"};
    size_t len = protobuf_c_message_get_packed_size(msg);
    int rc = col_key_check(&source, err);
    if (rc)
        return rc;
    if (!time_makes_sense(ev->t_ns) || (ev->end_ns && !time_makes_sense(ev->end_ns)))
        return ac_err_set(err, AC_EINVAL, "a time that makes no sense");
    uint8_t *raw = len <= COL_RECORD_BYTES ? ac_arena_alloc(c->arena, len + 1) : NULL;
    if (!raw)
        return ac_err_set(err, AC_EAGAIN, "a record that is too large");
    ev->msg = raw;
    ev->len = protobuf_c_message_pack(msg, raw);
    col_events_add(to, ev, false);
    return 0;
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

static int read_span(struct collector *c, const Aceso__V1__Span *s, const char *ns,
                     struct ac_err *err)
{
    struct col_event ev;
    if (!col_span_event(s, ns, &ev))
        return ac_err_set(err, AC_EINVAL, "a span whose ids are not hex");
    return keep(c, &c->spans, &ev, &s->base, err);
}

static int read_log(struct collector *c, const Aceso__V1__LogRecord *r, const char *ns,
                    struct ac_err *err)
{
    struct col_event ev;
    col_log_event(r, ns, &ev);
    return keep(c, &c->logs, &ev, &r->base, err);
}

size_t col_read_batch(struct collector *c, enum col_signal signal, const void *data, size_t len,
                      struct ac_err *err)
{
    Aceso__V1__MetricBatch *m = NULL;
    Aceso__V1__SpanBatch *s = NULL;
    Aceso__V1__LogBatch *l = NULL;
    size_t bad = 0;
    ac_arena_reset(c->arena);
    if (signal == COL_METRICS  ? AC_PB_UNPACK(aceso__v1__metric_batch, data, len, c->arena, &m, err)
        : signal == COL_TRACES ? AC_PB_UNPACK(aceso__v1__span_batch, data, len, c->arena, &s, err)
                               : AC_PB_UNPACK(aceso__v1__log_batch, data, len, c->arena, &l, err))
        return 1;
    for (size_t i = 0; m && i < m->n_series; i++)
        bad += read_points(c, m->series[i], err) != 0;
    for (size_t i = 0; s && i < s->n_spans; i++)
        bad += read_span(c, s->spans[i], s->namespace_, err) != 0;
    for (size_t i = 0; l && i < l->n_records; i++)
        bad += read_log(c, l->records[i], l->namespace_, err) != 0;
    return bad;
}
