/* Any bytes as a message of the stream: refused, or its series go through the engine, and alerts of
 * it become messages that can be read again. */
#include <stdint.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/pbx.h>

#include "adapters/convert_pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void emit(const struct engine_alert *a, void *arg)
{
    struct ac_arena *arena = arg;
    struct outbox_item *m = det_alert_to_item(a, "t", "s", 1);
    Aceso__V1__Alert *back = NULL;
    ac_arena_reset(arena);
    AC_ASSERT(AC_PB_UNPACK(aceso__v1__alert, m->body, m->len, arena, &back, NULL) == 0);
    AC_ASSERT(back->series->n_labels == a->series->n_labels);
    outbox_item_free(m);
}

static void take(const Aceso__V1__MetricBatch *b, struct ac_arena *scratch)
{
    static const struct engine_opts opts = {
        .silence_ns = 1000, .forget_ns = 5000, .state_max = 1 << 20};
    const struct engine_rule_in rule = {
        b->namespace_, "any", "language 1 rule \"any\" { when value > 0 reason \"{value}\" }", 1};
    struct engine *e = engine_create(&opts, emit, scratch);
    struct ac_label labels[ENGINE_LABELS_MAX];
    struct engine_series k;
    (void)engine_set_rules(e, &rule, 1);
    for (size_t i = 0; i < b->n_series; i++) {
        const Aceso__V1__SeriesPoints *p = b->series[i];
        if (det_series_from_pb(b, p, labels, &k))
            (void)engine_points(e, &k, 1, p->time_ns, p->value, p->n_value);
    }
    engine_destroy(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_arena *a = ac_arena_create(8u << 20), *scratch = ac_arena_create(8u << 20);
    Aceso__V1__MetricBatch *b = NULL;
    struct ac_err err = AC_ERR_INIT;
    if (det_batch_from_pb(data, size, a, &b, &err) == 0)
        take(b, scratch);
    ac_arena_destroy(a);
    ac_arena_destroy(scratch);
    return 0;
}
