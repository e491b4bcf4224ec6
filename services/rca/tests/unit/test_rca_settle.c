/* The start of an application is no reference. */
#include "rca_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define S  AC_NS_PER_S
#define T0 (1700000000LL * S)

/* Ten measurements, the i-th from start[i] seconds on, until 60 s. */
static struct ac_rca_case *recording(const int start[10])
{
    struct ac_rca_case *c = ac_rca_case_create();
    int comp = ac_rca_component(c, "geo");
    for (int i = 0; i < 10; i++) {
        int m = ac_rca_metric_add(c, comp, -1, AC_RCA_LAT, AC_RCA_MEAN, "latency");
        for (int t = start[i]; t < 60; t++)
            ac_rca_metric_push(&c->metrics[m], T0 + t * S, 1.0);
    }
    const struct ac_rca_event early = {.component = comp, .about = comp, .t_ns = T0 + 5 * S},
                              late = {.component = comp, .about = comp, .t_ns = T0 + 50 * S};
    assert_int_equal(ac_rca_event_add(c, &early), 0);
    assert_int_equal(ac_rca_event_add(c, &late), 0);
    return c;
}

static void a_start_within_the_recording_is_left_out(void **state)
{
    (void)state;
    struct ac_rca_case *c = recording((const int[]){0, 0, 0, 1, 5, 5, 6, 8, 8, 30});
    int64_t settled = ac_rca_settled(c, T0 + 50 * S);
    assert_in_range((settled - T0) / S, 14, 17); /* the late one of ten does not count */
    ac_rca_case_trim(c, settled);
    for (size_t i = 0; i < c->nmetrics; i++)
        assert_true(c->metrics[i].n > 0 && c->metrics[i].t_ns[0] >= settled);
    assert_int_equal(c->metrics[0].n, 60 - (settled - T0 + S - 1) / S);
    assert_int_equal(c->nevents, 1);
    assert_true(c->events[0].t_ns == T0 + 50 * S);
    ac_rca_case_destroy(c);
}

static void ten_seconds_before_the_incident_are_kept(void **state)
{
    (void)state;
    struct ac_rca_case *c = recording((const int[]){0, 0, 0, 1, 5, 5, 6, 8, 8, 8});
    assert_true(ac_rca_settled(c, T0 + 18 * S) == T0 + 8 * S);
    assert_true(ac_rca_settled(c, T0 + 4 * S) == T0); /* nothing to leave out */
    assert_true(ac_rca_settled(c, T0) == 0);          /* nothing before it at all */
    ac_rca_case_destroy(c);
}

static void what_begins_together_is_whole(void **state)
{
    (void)state;
    struct ac_rca_case *c = recording((const int[]){0, 0, 0, 0, 1, 1, 0, 0, 1, 2});
    assert_true(ac_rca_settled(c, T0 + 50 * S) == T0);
    ac_rca_case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_within_the_recording_is_left_out),
        cmocka_unit_test(ten_seconds_before_the_incident_are_kept),
        cmocka_unit_test(what_begins_together_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
