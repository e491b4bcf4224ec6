/* A run's timeline: which slice, which quantile. */
#include "timeline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>

static struct timeline t;

static void test_slices(void **state)
{
    (void)state;
    timeline_init(&t, 60 * AC_NS_PER_S);
    assert_int_equal(t.n_slices, TIMELINE_SLICES);
    assert_int_equal(t.slice_ns, 500 * AC_NS_PER_MS);
    timeline_init(&t, 3 * AC_NS_PER_S + 1);
    assert_int_equal(t.n_slices, 31);
    timeline_note(&t, 0, 0, 1000, true);
    timeline_note(&t, 0, 99 * AC_NS_PER_MS, -1, false);
    timeline_note(&t, 1, 100 * AC_NS_PER_MS, 1000, false);
    timeline_note(&t, 0, 9 * AC_NS_PER_S, 1000, true); /* what comes later is in the last one */
    assert_int_equal(t.slices[0].requests[0], 2);
    assert_int_equal(t.slices[0].on_time[0], 1);
    assert_int_equal(t.slices[0].answered, 1);
    assert_true(t.slices[1].requests[1] == 1 && t.slices[1].answered == 0);
    assert_int_equal(t.slices[30].on_time[0], 1);
}

static void test_quantiles(void **state)
{
    (void)state;
    timeline_init(&t, AC_NS_PER_S);
    assert_true(isnan(timeline_quantile_ms(&t, 0, 0.5)));
    for (int64_t us = 1; us <= 100000; us++)
        timeline_note(&t, 0, 0, us * 1000, true);
    static const double at[] = {0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < AC_ARRAY_LEN(at); i++) {
        double want = 100 * at[i], got = timeline_quantile_ms(&t, 0, at[i]);
        assert_true(got >= want * (1 - 1e-9) && got <= want * (1 + 1.0 / TIMELINE_STEPS));
    }
    timeline_note(&t, 0, 500 * AC_NS_PER_MS, 1, true); /* beyond both ends */
    timeline_note(&t, 0, 500 * AC_NS_PER_MS, INT64_MAX, false);
    assert_true(timeline_quantile_ms(&t, 5, 0.5) < 0.02);
    assert_true(timeline_quantile_ms(&t, 5, 1) > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slices),
                                       cmocka_unit_test(test_quantiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
