/* Bytes as an export, the first of them says of what: whatever is accepted must read back as bus
 * messages with as many entries, whose names can be stored. */
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/str.h>

#include "adapters/convert.h"

#define NOW (1700000000 * AC_NS_PER_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void unpack(const ProtobufCMessageDescriptor *desc, const struct col_message *m,
                   struct ac_arena *a, void *ret)
{
    ac_arena_reset(a);
    AC_ASSERT(ac_pb_unpack(desc, m->entries.data, m->entries.len, a, ret, NULL) == 0);
}

static void check(enum col_signal signal, const struct col_message *m, struct ac_arena *a)
{
    struct ac_err err = AC_ERR_INIT;
    if (signal == COL_METRICS) {
        Aceso__V1__MetricBatch *b;
        unpack(&aceso__v1__metric_batch__descriptor, m, a, &b);
        AC_ASSERT(b->n_series == m->n);
        for (size_t i = 0; i < b->n_series; i++) {
            const Aceso__V1__SeriesKey *k = b->series[i]->key;
            struct col_label labels[COL_MAX_LABELS];
            AC_ASSERT(k->n_labels <= COL_MAX_LABELS && b->series[i]->n_value == 1);
            for (size_t j = 0; j < k->n_labels; j++)
                labels[j] = (struct col_label){k->labels[j]->key, k->labels[j]->value};
            const struct col_key key = {k->namespace_, k->component, k->metric, labels,
                                        k->n_labels};
            AC_ASSERT(ac_streq(k->namespace_, m->ns) && !col_key_check(&key, &err) &&
                      !col_labels_check(labels, k->n_labels, &err));
        }
    } else if (signal == COL_TRACES) {
        Aceso__V1__SpanBatch *b;
        unpack(&aceso__v1__span_batch__descriptor, m, a, &b);
        AC_ASSERT(b->n_spans == m->n);
        for (size_t i = 0; i < b->n_spans; i++)
            AC_ASSERT(strlen(b->spans[i]->trace_id) == 32 && ac_utf8_valid(b->spans[i]->name) &&
                      b->spans[i]->n_attributes <= COL_MAX_ATTRIBUTES);
    } else {
        Aceso__V1__LogBatch *b;
        unpack(&aceso__v1__log_batch__descriptor, m, a, &b);
        AC_ASSERT(b->n_records == m->n);
        for (size_t i = 0; i < b->n_records; i++)
            AC_ASSERT(ac_utf8_valid(b->records[i]->body) &&
                      strlen(b->records[i]->body) <= COL_MAX_BODY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const descs[] = {
        &opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor,
        &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor,
        &opentelemetry__proto__collector__logs__v1__export_logs_service_request__descriptor};
    struct collector c = {0};
    struct col_out out;
    ProtobufCMessage *msg = NULL;
    if (size == 0)
        return 0;
    enum col_signal signal = (enum col_signal)(data[0] % COL_SIGNALS);
    struct ac_arena *a = ac_arena_create((4u << 20) + 8 * size);
    if (ac_pb_unpack(descs[signal], data + 1, size - 1, a, &msg, NULL) == 0) {
        struct ac_arena *back = ac_arena_create(64u << 20);
        col_store_init(&c.series, 1000);
        c.hists = col_hists_create(1000);
        col_out_init(&out, a, NOW, 3600 * AC_NS_PER_S);
        if (signal == COL_METRICS)
            col_convert_metrics(&c, (const otlp_metrics *)(const void *)msg, &out);
        else if (signal == COL_TRACES)
            col_convert_traces((const otlp_traces *)(const void *)msg, &out);
        else
            col_convert_logs((const otlp_logs *)(const void *)msg, &out);
        AC_ASSERT((out.rejected > 0) <= (out.reason[0] != '\0'));
        for (const struct col_message *m = out.messages; m; m = m->next)
            check(signal, m, back);
        col_out_fini(&out);
        col_hists_destroy(c.hists);
        col_store_fini(&c.series);
        ac_arena_destroy(back);
    }
    ac_arena_destroy(a);
    return 0;
}
