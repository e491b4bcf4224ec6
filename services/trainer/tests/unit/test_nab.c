/* NAB's score: the cases of its own tests, by their published figures, and the normalisation. */
#include "nab.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ROWS 100

static const struct nab_profile ones = {"ones", 1.0, 1.0, 1.0};

/* Rows 0 .. 14 of a hundred are probation here, so all of the cases lie behind. */
static const struct score_segment windows[] = {{30, 34}, {70, 74}};

static struct nab_series series(const double *score, size_t n_windows)
{
    return (struct nab_series){score, ROWS, windows, n_windows};
}

static void near(double got, double want)
{
    assert_true(fabs(got - want) < 5e-5);
}

static void test_nothing_flagged_is_zero(void **state)
{
    (void)state;
    double score[ROWS] = {0};
    struct nab_series s = series(score, 2);
    struct nab_score r;
    nab_score_at(&s, 1, &ones, 0.5, &r);
    near(r.raw, -2);
    near(r.score, 0);
    assert_int_equal(r.windows, 2);
    s.n_windows = 0;
    nab_score_at(&s, 1, &ones, 0.5, &r);
    near(r.raw, 0);
}

/* A hit at a window's first row, another in it, a false alarm three rows behind its end, and a
 * window missed: -0.9540 by the benchmark's own test. */
static void test_the_published_case(void **state)
{
    (void)state;
    double score[ROWS] = {[30] = 1, [31] = 1, [37] = 1};
    struct nab_series s = series(score, 2);
    struct nab_score r;
    nab_score_at(&s, 1, &ones, 0.5, &r);
    near(r.raw, -0.9540);
    assert_int_equal(r.hit, 1);
    assert_int_equal(r.false_points, 1);
    near(r.score, 100.0 * (2 + r.raw) / 4);
}

/* The values of a place in a window that the benchmark's paper gives: 1 at the left edge after
 * scaling, less to the right, never below 0; far behind a window a false alarm costs all of it. */
static void test_places(void **state)
{
    (void)state;
    static const struct score_segment wide[] = {{20, 39}};
    double last = 2;
    for (size_t i = 20; i < 40; i++) {
        double score[ROWS] = {0};
        score[i] = 1;
        struct nab_series s = {score, ROWS, wide, 1};
        struct nab_score r;
        nab_score_at(&s, 1, &ones, 0.5, &r);
        assert_true(r.raw > 0 && r.raw < last);
        last = r.raw;
        if (i == 20)
            near(r.raw, 1);
        if (i == 30)
            near(r.raw, 0.84828 / 0.98661);
    }
    double score[ROWS] = {[18] = 1, [99] = 1};
    struct nab_series s = {score, ROWS, wide, 1};
    struct nab_score r;
    nab_score_at(&s, 1, &ones, 0.5, &r);
    near(r.raw, -3);
}

static void test_the_beginning_is_not_scored(void **state)
{
    (void)state;
    assert_int_equal(nab_probation(100), 15);
    assert_int_equal(nab_probation(4032), 604);
    assert_int_equal(nab_probation(6000), 750);
    static const struct score_segment early[] = {{3, 8}};
    double score[ROWS] = {[4] = 1, [12] = 1};
    struct nab_series s = {score, ROWS, early, 1};
    struct nab_score r;
    nab_score_at(&s, 1, &ones, 0.5, &r);
    near(r.raw, 0);
    assert_int_equal(r.false_points, 0);
}

/* One threshold for all series: falling to it, a later but stronger place replaces the first. */
static void test_the_best_threshold(void **state)
{
    (void)state;
    double a[ROWS] = {[32] = 0.3, [31] = 0.2}, b[ROWS] = {[70] = 0.5, [50] = 0.5, [90] = 0.1};
    double missing = NAN;
    for (size_t i = 0; i < ROWS; i++)
        a[i] = a[i] > 0 ? a[i] : missing;
    struct nab_series s[] = {series(a, 1), {b, ROWS, windows + 1, 1}};
    struct nab_score best, at;
    nab_score_best(s, 2, &nab_profiles[0], &best);
    near(best.threshold, 0.2);
    assert_int_equal(best.hit, 2);
    assert_int_equal(best.false_points, 1);
    nab_score_at(s, 2, &nab_profiles[0], 0.2, &at);
    near(at.raw, best.raw);
    near(at.score, best.score);
    nab_score_at(s, 2, &nab_profiles[0], 0.3, &at);
    assert_true(at.raw < best.raw);
    nab_score_best(s, 2, &nab_profiles[2], &at);
    near(at.raw - best.raw, 0); /* nothing missed: the weight of misses plays no part */
    assert_true(at.score > best.score);
}

static void test_a_perfect_detector_has_a_hundred(void **state)
{
    (void)state;
    double score[ROWS] = {[30] = 1, [70] = 1};
    struct nab_series s = series(score, 2);
    for (size_t k = 0; k < NAB_PROFILES; k++) {
        struct nab_score r;
        nab_score_best(&s, 1, &nab_profiles[k], &r);
        near(r.score, 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_flagged_is_zero),
        cmocka_unit_test(test_the_published_case),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_the_beginning_is_not_scored),
        cmocka_unit_test(test_the_best_threshold),
        cmocka_unit_test(test_a_perfect_detector_has_a_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
