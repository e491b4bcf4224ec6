/* Thresholds from labelled points: in each direction; an atom that joins by OR is valued together
 * with the alarms that were there, and its own count once for a burst. */
#include "threshold.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#define N 20000u

struct made {
    double col[N];
    uint8_t labels[N];
    struct score_segment *events;
    struct threshold_data data;
};

/* Noise in 0..1, an event of one point every N / n_events points that reaches size. */
static struct made *make(uint64_t seed, size_t n_events, double size)
{
    struct made *m = ac_xcalloc(1, sizeof *m);
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    for (size_t i = 0; i < N; i++)
        m->col[i] = 0.01 + ac_rng_uniform(&r);
    for (size_t e = 0; e < n_events; e++) {
        size_t at = N / n_events * e + 25;
        m->labels[at] = 1;
        m->col[at] = size * (1 + 0.2 * ac_rng_uniform(&r));
    }
    m->data = (struct threshold_data){.labels = m->labels, .n = N, .delay = 7};
    m->data.n_events = score_segments(m->labels, N, &m->events);
    m->data.events = m->events;
    return m;
}

static void drop(struct made *m)
{
    free(m->events);
    free(m);
}

static void test_events_are_parted_from_the_rest(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct made *m = make(seed, 20, 20);
        struct threshold t;
        assert_true(threshold_fit(&m->data, m->col, 1, false, &t));
        assert_true(t.theta > 1.2 && t.theta < 20 && t.f > 0.99 && t.f <= 1);
        assert_false(threshold_fit(&m->data, m->col, -1, false, &t));
        for (size_t i = 0; i < N; i++)
            m->col[i] = -m->col[i];
        assert_true(threshold_fit(&m->data, m->col, 1, true, &t));
        assert_true(t.theta > 1.2 && t.theta < 20);
        drop(m);
    }
}

/* Half of the events are below what is nobody's. Few of them are not worth the false
 * alarms that the lower half costs, but they are when each stands for more; what is many already is
 * as it was. */
static void test_few_events_stand_for_more(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct made *m = make(seed, 6, 4);
        struct threshold alone, more, same;
        for (size_t e = 0; e < 6; e += 2)
            m->col[m->events[e].a] = 1.6;
        for (size_t i = 100; i < N; i += N / 12) /* nobody's event */
            m->col[i] = 1.8;
        assert_true(threshold_fit(&m->data, m->col, 1, false, &alone));
        m->data.stand = 200;
        assert_true(threshold_fit(&m->data, m->col, 1, false, &more));
        if (!(alone.theta > 1.8 && more.theta < 1.6))
            fail_msg("seed %llu: %g alone, %g", (unsigned long long)seed, alone.theta, more.theta);
        m->data.stand = 5;
        assert_true(threshold_fit(&m->data, m->col, 1, false, &same));
        assert_true(same.theta == alone.theta && same.f == alone.f);
        drop(m);
    }
}

/* The events lie at 20 to 24, other series' thresholds at 2: few events are believed less. */
static void test_few_events_stay_near_the_usual_place(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct made *few = make(seed, 5, 20), *many = make(seed, 400, 20);
        struct threshold free_few, few_t, many_t;
        for (size_t i = 0; i < N; i++) { /* one false alarm a side, so that the place matters */
            few->col[i] = few->labels[i] || i != 77 ? few->col[i] : 10;
            many->col[i] = many->labels[i] || i % 50 != 2 ? many->col[i] : 10;
        }
        assert_true(threshold_fit(&few->data, few->col, 1, false, &free_few));
        few->data.usual = many->data.usual = 2;
        assert_true(threshold_fit(&few->data, few->col, 1, false, &few_t));
        assert_true(threshold_fit(&many->data, many->col, 1, false, &many_t));
        assert_true(free_few.theta > 10 && many_t.theta > 10);
        assert_true(few_t.theta < free_few.theta && few_t.f <= free_few.f);
        few->data.usual = 1e9; /* another unit of measure: it costs the same everywhere */
        assert_true(threshold_fit(&few->data, few->col, 1, false, &few_t));
        assert_true(few_t.theta == free_few.theta);
        drop(few);
        drop(many);
    }
}

/* One known event says nothing of how small the next may be: the unlabelled points bound it. */
static void test_few_events_leave_room_for_smaller_ones(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct made *one = make(seed, 1, 20), *many = make(seed, THRESHOLD_FEW, 20);
        struct threshold few, enough;
        assert_true(threshold_fit(&one->data, one->col, 1, false, &few));
        assert_true(threshold_fit(&many->data, many->col, 1, false, &enough));
        assert_true(few.theta > 1.2 && few.theta < 5);
        assert_true(enough.theta > 20 * exp(-0.5) - 1e-9); /* not far below those it knows */
        drop(one);
        drop(many);
    }
}

/* The way back from an event is no false alarm of a rule that speaks up once. */
static void test_the_way_back_from_an_event_is_quiet(void **state)
{
    (void)state;
    struct made *m = make(3, 3, 20);
    struct threshold loud, quiet;
    for (size_t e = 0; e < m->data.n_events; e++)
        m->col[m->events[e].b + 1] = 40;
    assert_true(threshold_fit(&m->data, m->col, 1, false, &loud));
    m->data.quiet = 3;
    assert_true(threshold_fit(&m->data, m->col, 1, false, &quiet));
    assert_true(quiet.f > 0.99 && quiet.f > loud.f + 0.2);
    assert_true(quiet.theta > 1.2 && quiet.theta < 20);
    drop(m);
}

static void test_an_atom_that_joins_is_valued_with_what_was_there(void **state)
{
    (void)state;
    struct made *m = make(5, 10, 20);
    uint8_t *flags = ac_xcalloc(N, 1);
    bool hit[10] = {true, true, true, true};
    struct threshold two, three;
    m->col[100] = m->col[103] = 90; /* one alarm: the second is within 7 points of the first */
    m->col[500] = 90;               /* an alarm already */
    flags[500] = 1;
    assert_true(threshold_fit_or(&m->data, m->col, 1, false, flags, hit, 2, 7, &two));
    assert_true(two.theta > 1 && two.theta < 25);
    assert_true(fabs(two.f - 2.0 * 10 / (10 + 3 + 10)) < 0.02);
    assert_true(threshold_fit_or(&m->data, m->col, 1, false, flags, hit, 3, 7, &three));
    assert_true(three.f < two.f);
    free(flags);
    drop(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_parted_from_the_rest),
        cmocka_unit_test(test_few_events_stand_for_more),
        cmocka_unit_test(test_few_events_stay_near_the_usual_place),
        cmocka_unit_test(test_few_events_leave_room_for_smaller_ones),
        cmocka_unit_test(test_the_way_back_from_an_event_is_quiet),
        cmocka_unit_test(test_an_atom_that_joins_is_valued_with_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
