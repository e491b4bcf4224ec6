/* Injected anomalies: by a seed, labelled where they are, and of the kinds asked for. */
#include "inject.h"
#include "score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

#define N     8000u
#define EVERY 200u

static double was[N], v[N];
static uint8_t labels[N];

static size_t run(unsigned kinds, uint64_t seed)
{
    struct ac_rng r;
    ac_rng_seed(&r, 11);
    for (size_t i = 0; i < N; i++)
        was[i] = 50 + sin((double)i / 40) + ac_rng_uniform(&r);
    memcpy(v, was, sizeof v);
    memset(labels, 0, sizeof labels);
    ac_rng_seed(&r, seed);
    struct inject_how how = {.kinds = kinds, .every = EVERY, .longest = INJECT_LONGEST};
    return inject(v, labels, N, &how, &r);
}

static void test_labels_are_where_the_changes_are(void **state)
{
    (void)state;
    for (unsigned k = 0; k < INJECT_END; k++) {
        struct score_segment *s = NULL;
        assert_int_equal(run(1u << k, k), N / EVERY);
        assert_int_equal(score_segments(labels, N, &s), N / EVERY);
        for (size_t e = 0; e < N / EVERY; e++) {
            size_t changed = 0;
            for (size_t i = s[e].a; i <= s[e].b; i++)
                changed += v[i] != was[i];
            if (!changed)
                fail_msg("%s changed nothing", inject_kind_name((enum inject_kind)k));
            assert_true(s[e].a / EVERY == e && s[e].b / EVERY == e);
        }
        for (size_t i = 0; i < N; i++)
            assert_true(labels[i] || v[i] == was[i]);
        free(s);
    }
}

static void test_kinds_are_what_they_say(void **state)
{
    (void)state;
    struct score_segment *s = NULL;
    (void)run(1u << INJECT_FLAT, 1);
    size_t n = score_segments(labels, N, &s);
    for (size_t e = 0; e < n; e++) {
        for (size_t i = s[e].a; i <= s[e].b; i++)
            assert_true(v[i] == v[s[e].a]);
    }
    free(s);
    (void)run(1u << INJECT_DROP, 1);
    n = score_segments(labels, N, &s);
    for (size_t e = 0; e < n; e++)
        assert_true(v[s[e].a] < 49);
    free(s);
    (void)run(1u << INJECT_TREND, 1);
    n = score_segments(labels, N, &s);
    for (size_t e = 0; e < n; e++)
        assert_true(fabs(v[s[e].b] - was[s[e].b]) > 5 * fabs(v[s[e].a] - was[s[e].a]));
    free(s);
}

/* Sizes are those of the series' changes, whatever its unit. */
static void test_a_unit_changes_nothing(void **state)
{
    (void)state;
    static double large[N];
    for (unsigned k = 0; k < INJECT_END; k++) {
        struct ac_rng r;
        (void)run(1u << k, 5);
        for (size_t i = 0; i < N; i++)
            large[i] = 1024 * was[i];
        ac_rng_seed(&r, 5);
        struct inject_how how = {.kinds = 1u << k, .every = EVERY, .longest = INJECT_LONGEST};
        (void)inject(large, labels, N, &how, &r);
        for (size_t i = 0; i < N; i++) {
            if (fabs(large[i] / 1024 - v[i]) > 1e-9)
                fail_msg("%s at %zu: %g and %g", inject_kind_name((enum inject_kind)k), i, v[i],
                         large[i] / 1024);
        }
    }
}

static void test_a_seed_is_a_result(void **state)
{
    (void)state;
    static double first[N];
    (void)run((1u << INJECT_END) - 1, 3);
    memcpy(first, v, sizeof v);
    (void)run((1u << INJECT_END) - 1, 3);
    assert_memory_equal(first, v, sizeof v);
    (void)run((1u << INJECT_END) - 1, 4);
    assert_memory_not_equal(first, v, sizeof v);
}

static void test_where_nothing_can_be_injected(void **state)
{
    (void)state;
    double constant[400];
    uint8_t l[400] = {0};
    struct ac_rng r;
    ac_rng_seed(&r, 1);
    for (size_t i = 0; i < 400; i++)
        constant[i] = 3;
    struct inject_how how = {.kinds = 1, .every = 200, .longest = INJECT_LONGEST};
    assert_int_equal(inject(constant, l, 400, &how, &r), 0);
    constant[7] = 4;
    how.kinds = 0;
    assert_int_equal(inject(constant, l, 400, &how, &r), 0);
    how = (struct inject_how){.kinds = 1, .every = 100, .longest = INJECT_LONGEST};
    assert_int_equal(inject(constant, l, 400, &how, &r), 0);
    how.every = 200;
    assert_int_equal(inject(constant, l, 150, &how, &r), 0);
    assert_int_equal(inject(constant, l, 400, &how, &r), 2);
}

/* Half of the sizes lie on either side of the middle, for any seed, and in the unit given. */
static void test_even_sizes_in_a_unit_of_ones_own(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        (void)run(1, seed);
        memcpy(v, was, sizeof v);
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        struct inject_how how = {.kinds = 1, .every = 60, .longest = 3, .unit = 2, .even = true};
        size_t n = inject(v, labels, N, &how, &r), large = 0;
        assert_int_equal(n, N / 60);
        struct score_segment *s = NULL;
        memset(labels, 0, sizeof labels);
        for (size_t i = 0; i < N; i++)
            labels[i] = v[i] != was[i];
        assert_int_equal(score_segments(labels, N, &s), n);
        for (size_t e = 0; e < n; e++) {
            double size = fabs(v[s[e].a] - was[s[e].a]);
            assert_true(size > 2 * 5.999 && size < 2 * 40.001 && s[e].b - s[e].a < 3);
            large += size > 2 * sqrt(6.0 * 40.0);
        }
        assert_in_range(large, n / 2 - 2, n / 2 + 2);
        free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_labels_are_where_the_changes_are),
                                       cmocka_unit_test(test_a_unit_changes_nothing),
                                       cmocka_unit_test(test_kinds_are_what_they_say),
                                       cmocka_unit_test(test_a_seed_is_a_result),
                                       cmocka_unit_test(test_where_nothing_can_be_injected),
                                       cmocka_unit_test(test_even_sizes_in_a_unit_of_ones_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
