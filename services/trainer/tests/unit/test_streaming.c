/* The streaming rule: each of its parts finds what it is there for, where no other part does. */
#include "evalrule.h"
#include "streaming.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/rng.h>

#define N    2600u
#define PAST 1600u /* from here on nothing of the usual is new */
#define AT   2016u /* a day's beginning */
#define DAY  288u

struct stream {
    double v[N], score[N];
    uint8_t flags[N];
};

/* A wave that has nothing to do with a day, with little noise. */
static void wave(struct stream *s)
{
    struct ac_rng r;
    ac_rng_seed(&r, 5);
    for (size_t i = 0; i < N; i++)
        s->v[i] = 100 * sin((double)i * 2 * 3.14159265 / 777) + 2 * ac_rng_uniform(&r);
}

static void peaks(struct stream *s)
{
    for (size_t i = 0; i < N; i++)
        s->v[i] = i % 50 == 0 ? 100 : (double)(i % 3);
}

static void days(struct stream *s)
{
    for (size_t i = 0; i < N; i++)
        s->v[i] = (i % DAY >= 100 && i % DAY < 200 ? 80 : 20) + 0.1 * (double)(i % 3);
}

static size_t alarms(const struct stream *s, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        n += s->flags[i];
    return n;
}

static void follow(struct stream *s)
{
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(evalrule_flags(streaming_rule, s->v, N, s->flags, s->score, &err), 0);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(s->flags[i], s->score[i] > 1);
}

/* Silent until the event, then an alarm by its last row. */
static void finds(struct stream *s, size_t last)
{
    follow(s);
    assert_int_equal(alarms(s, PAST, AT), 0);
    assert_true(alarms(s, AT, last + 1) > 0);
}

static void test_the_usual_is_silent(void **state)
{
    (void)state;
    static void (*const make[])(struct stream *) = {wave, peaks, days};
    for (size_t k = 0; k < sizeof make / sizeof *make; k++) {
        static struct stream s;
        make[k](&s);
        follow(&s);
        assert_int_equal(alarms(&s, PAST, N), 0);
    }
}

static void test_a_spike_and_a_dip(void **state)
{
    (void)state;
    static struct stream s;
    for (int side = -1; side <= 1; side += 2) {
        wave(&s);
        s.v[AT] = side * 110;
        finds(&s, AT);
        assert_int_equal(alarms(&s, AT, AT + 100), 1);
    }
}

static void test_an_hour_below_the_peaks(void **state)
{
    (void)state;
    static struct stream s;
    peaks(&s);
    for (size_t i = AT; i < AT + 10; i++)
        s.v[i] = 60;
    finds(&s, AT + 10);
    assert_int_equal(alarms(&s, AT, N), 3); /* of nine records those that exceed the last */
}

static void test_a_step_within_the_range(void **state)
{
    (void)state;
    static struct stream s;
    wave(&s);
    for (size_t i = AT; i < AT + 60; i++)
        s.v[i] += 140; /* the wave is at -55 */
    finds(&s, AT + 59);
}

static void test_silence(void **state)
{
    (void)state;
    static struct stream s;
    peaks(&s);
    for (size_t i = AT; i < AT + 2 * DAY - 1; i++)
        s.v[i] = (double)(i % 3);
    finds(&s, AT + DAY);
}

/* Peaks that are all alike: one that is a little higher is no alarm. */
static void test_a_higher_peak_is_no_silence(void **state)
{
    (void)state;
    static struct stream s;
    days(&s);
    s.v[AT + 150] += 0.5;
    follow(&s);
    assert_int_equal(alarms(&s, PAST, N), 0);
}

static void test_a_day_at_another_time(void **state)
{
    (void)state;
    static struct stream s;
    days(&s);
    for (size_t i = AT; i < AT + DAY; i++)
        s.v[i] = (i - AT < 100 ? 80 : 20) + 0.1 * (double)(i % 3);
    finds(&s, AT + 30);
}

static void test_noise_within_the_range(void **state)
{
    (void)state;
    static struct stream s;
    wave(&s);
    for (size_t i = AT; i < AT + 60; i++)
        s.v[i] += i % 2 ? 5 : -5;
    finds(&s, AT + 59);
}

/* The score has no unit: the same series, larger and moved, gets the same alarms. */
static void test_scale_and_place_do_not_matter(void **state)
{
    (void)state;
    static struct stream s, t;
    wave(&s);
    s.v[AT] = 150;
    memcpy(t.v, s.v, sizeof t.v);
    for (size_t i = 0; i < N; i++)
        t.v[i] = 1024 * (t.v[i] + 300);
    follow(&s);
    follow(&t);
    assert_memory_equal(s.flags, t.flags, sizeof s.flags);
    assert_int_equal(alarms(&s, AT, AT + 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_usual_is_silent),
        cmocka_unit_test(test_a_spike_and_a_dip),
        cmocka_unit_test(test_an_hour_below_the_peaks),
        cmocka_unit_test(test_a_step_within_the_range),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_a_higher_peak_is_no_silence),
        cmocka_unit_test(test_a_day_at_another_time),
        cmocka_unit_test(test_noise_within_the_range),
        cmocka_unit_test(test_scale_and_place_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
