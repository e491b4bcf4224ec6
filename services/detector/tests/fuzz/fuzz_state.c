/* Bytes of a stored series: its key, a NUL, its state. It is taken over or refused, points are
 * taken as ever, and what is saved again can be taken over. */
#include "engine.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void emit(const struct engine_alert *a, void *arg)
{
    AC_ASSERT(a->sequence > 0);
    ++*(size_t *)arg;
}

static void take_over(const char *key, const void *state, size_t len, void *arg)
{
    AC_ASSERT(engine_restore(arg, key, state, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct engine_opts opts = {
        .silence_ns = 1000, .forget_ns = 5000, .state_max = 1 << 20};
    static const struct engine_rule_in rules[] = {
        {"ns", "slow",
         "language 1 rule \"slow\" { let m = mean(value, 4) when m > 5 reason \"{m}\" }", 1}};
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    if (!nul)
        return 0;
    size_t n = 0;
    struct engine *e = engine_create(&opts, emit, &n), *f = engine_create(&opts, emit, &n);
    (void)engine_set_rules(e, rules, 1);
    (void)engine_set_rules(f, rules, 1);
    (void)engine_restore(e, (const char *)data, nul + 1, size - (size_t)(nul - data) - 1);
    const struct engine_series k = {"ns", "a", "latency", NULL, 0};
    for (int64_t t = 0; t < 8; t++) {
        double v = t < 4 ? 30 : 1;
        (void)engine_points(e, &k, t, &t, &v, 1);
    }
    engine_snapshot(e, take_over, f);
    AC_ASSERT(engine_counts(e).open == engine_counts(f).open);
    engine_destroy(e);
    engine_destroy(f);
    return 0;
}
