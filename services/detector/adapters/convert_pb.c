#include "adapters/convert_pb.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

#define BATCH_SERIES_MAX 100000u
#define ALERT_MAX_BYTES  (8u << 20)

bool det_namespace_ok(const char *ns)
{
    size_t n = strspn(ns, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return n > 0 && n <= 128 && ns[n] == '\0';
}

int det_batch_from_pb(const void *data, size_t len, struct ac_arena *a,
                      Aceso__V1__MetricBatch **ret, struct ac_err *err)
{
    Aceso__V1__MetricBatch *b = NULL;
    int rc = AC_PB_UNPACK(aceso__v1__metric_batch, data, len, a, &b, err);
    if (rc)
        return rc;
    if (!det_namespace_ok(b->namespace_))
        return ac_err_set(err, AC_EINVAL,
                          "the batch has the namespace \"%.40s\": it must be 1 to 128 letters, "
                          "digits, '-' or '_'",
                          b->namespace_);
    if (b->n_series > BATCH_SERIES_MAX)
        return ac_err_set(err, AC_EINVAL, "the batch has %zu series, the limit is %u", b->n_series,
                          BATCH_SERIES_MAX);
    *ret = b;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct ac_label *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    return c ? c : strcmp(x->value, y->value);
}

bool det_series_from_pb(const Aceso__V1__MetricBatch *b, const Aceso__V1__SeriesPoints *p,
                        struct ac_label labels[ENGINE_LABELS_MAX], struct engine_series *ret)
{
    const Aceso__V1__SeriesKey *k = p->key;
    if (!k || p->n_time_ns != p->n_value || k->n_labels > ENGINE_LABELS_MAX || !*k->metric)
        return false;
    for (size_t i = 0; i < k->n_labels; i++)
        labels[i] = (struct ac_label){k->labels[i]->key, k->labels[i]->value};
    qsort(labels, k->n_labels, sizeof *labels, by_key);
    *ret = (struct engine_series){b->namespace_, k->component, k->metric, labels, k->n_labels};
    return true;
}

/* protobuf-c wants char * although it never writes. */
static char *str(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static void fill_key(const struct engine_series *s, Aceso__V1__SeriesKey *key,
                     Aceso__V1__Label *labels, Aceso__V1__Label **at)
{
    aceso__v1__series_key__init(key);
    key->namespace_ = str(s->ns);
    key->component = str(s->component);
    key->metric = str(s->metric);
    for (size_t i = 0; i < s->n_labels; i++) {
        aceso__v1__label__init(&labels[i]);
        labels[i].key = str(s->labels[i].key);
        labels[i].value = str(s->labels[i].value);
        at[i] = &labels[i];
    }
    key->labels = at;
    key->n_labels = s->n_labels;
}

struct outbox_item *det_alert_to_item(const struct engine_alert *a, const char *tenant,
                                      const char *source, int64_t now_ns)
{
    Aceso__V1__Alert m = ACESO__V1__ALERT__INIT;
    Aceso__V1__Meta meta = ACESO__V1__META__INIT;
    Aceso__V1__SeriesKey key;
    Aceso__V1__Label labels[ENGINE_LABELS_MAX], *label_at[ENGINE_LABELS_MAX];
    Aceso__V1__AlertValue values[AC_ARRAY_LEN(a->values)], *value_at[AC_ARRAY_LEN(a->values)];
    meta.id = str(a->id);
    meta.tenant = str(tenant);
    meta.created_at_ns = now_ns;
    meta.source = str(source);
    fill_key(a->series, &key, labels, label_at);
    for (size_t i = 0; i < a->n_values; i++) {
        aceso__v1__alert_value__init(&values[i]);
        values[i].name = str(a->values[i].name);
        values[i].value = a->values[i].v;
        value_at[i] = &values[i];
    }
    m.meta = &meta;
    m.sequence = a->sequence;
    m.namespace_ = str(a->series->ns);
    m.state = str(a->state);
    m.series = &key;
    m.rule = str(a->rule);
    m.rule_version = a->rule_version;
    m.rule_text = str(a->rule_text);
    m.severity = str(a->severity);
    m.reason = str(a->reason);
    m.values = value_at;
    m.n_values = a->n_values;
    m.started_ns = a->started_ns;
    m.updated_ns = a->updated_ns;
    m.ended_ns = a->ended_ns;
    m.value = a->value;
    struct outbox_item *it = ac_xcalloc(1, sizeof *it);
    struct ac_buf body;
    ac_buf_init(&body, ALERT_MAX_BYTES);
    AC_ASSERT(ac_pb_pack(&m.base, &body, NULL) == 0); /* its parts have limits below this one */
    memcpy(it->id, a->id, sizeof it->id);
    it->sequence = a->sequence;
    it->ns = ac_xstrdup(a->series->ns);
    it->len = body.len;
    it->body = ac_buf_take(&body);
    it->open = a->ended_ns == 0;
    it->started_ns = a->started_ns;
    return it;
}
