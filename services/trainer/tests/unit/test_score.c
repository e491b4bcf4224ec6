/* The measures: equal to published programs on seeded series, to plain definitions on random ones,
 * and right at the edges. */
#include "score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

struct made {
    uint8_t *labels, *flags;
    double *score;
    size_t n;
};

static uint32_t lcg(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*x >> 33);
}

/* In thousandths: the chance that a segment starts, that it goes on, that a normal point is
 * flagged. Scores are whole numbers below ties, a quarter more in segments. */
static struct made make(uint64_t x, size_t n, uint32_t start, uint32_t stay, uint32_t flag,
                        uint32_t ties)
{
    struct made m = {ac_xmalloc(n), ac_xmalloc(n), ac_xmalloc(n * sizeof(double)), n};
    bool on = false;
    for (size_t i = 0; i < n; i++) {
        on = lcg(&x) % 1000 < (on ? stay : start);
        m.labels[i] = on;
        m.flags[i] = lcg(&x) % 1000 < (on ? 300 : flag);
        m.score[i] = lcg(&x) % ties + (on ? ties / 4 : 0);
    }
    return m;
}

static void drop(struct made *m)
{
    free(m->labels);
    free(m->flags);
    free(m->score);
}

static const struct {
    uint64_t seed;
    size_t n;
    uint32_t start, stay, flag, ties;
    size_t delay, length, tp, fp, fn, whole_tp, whole_fn;
    double point, adjusted, auc, vus;
} golden[] = {
#define X(...) {__VA_ARGS__},
#include "score_golden.def"
#undef X
};

static void test_equal_to_published_programs(void **state)
{
    (void)state;
    for (size_t i = 0; i < AC_ARRAY_LEN(golden); i++) {
        struct made m = make(golden[i].seed, golden[i].n, golden[i].start, golden[i].stay,
                             golden[i].flag, golden[i].ties);
        struct score_events e = score_events(m.labels, m.flags, m.n, golden[i].delay);
        assert_int_equal(e.tp, golden[i].tp);
        assert_int_equal(e.fp, golden[i].fp);
        assert_int_equal(e.fn, golden[i].fn);
        e = score_events(m.labels, m.flags, m.n, SCORE_NO_DELAY);
        assert_int_equal(e.tp, golden[i].whole_tp);
        assert_int_equal(e.fn, golden[i].whole_fn);
        assert_float_equal(score_point_f1(m.labels, m.flags, m.n), golden[i].point, 1e-12);
        assert_float_equal(score_adjusted_f1(m.labels, m.flags, m.n), golden[i].adjusted, 1e-12);
        assert_float_equal(score_auc_pr(m.labels, m.score, m.n), golden[i].auc, 1e-12);
        assert_float_equal(score_vus_pr(m.labels, m.score, m.n, golden[i].length), golden[i].vus,
                           1e-9);
        drop(&m);
    }
}

/* Word for word as the header defines them, without a thought for time. */
static double plain_vus_at(const struct made *m, size_t w)
{
    struct score_segment *seg = NULL;
    size_t k = score_segments(m->labels, m->n, &seg), h = w / 2, labelled = 0;
    double *weight = ac_xcalloc(m->n, sizeof *weight), area = 0, last = 0;
    for (size_t i = 0; i < m->n; i++) {
        labelled += m->labels[i];
        for (size_t s = 0; s < k && !m->labels[i]; s++) {
            size_t d = i < seg[s].a ? seg[s].a - i : i - seg[s].b;
            weight[i] += d <= h ? sqrt(1 - (double)d / (double)w) : 0;
        }
        weight[i] = m->labels[i] ? 1 : AC_MIN(weight[i], 1.0);
    }
    for (size_t t = 0; t < 250; t++) {
        /* the score at that rank: so many are greater, so many more are equal */
        size_t place = t == 249 ? m->n - 1 : (size_t)((double)t * ((double)(m->n - 1) / 249));
        double theta = NAN;
        for (size_t i = 0; i < m->n && isnan(theta); i++) {
            size_t above = 0, same = 0;
            for (size_t j = 0; j < m->n; j++) {
                above += m->score[j] > m->score[i];
                same += m->score[j] == m->score[i];
            }
            if (above <= place && place < above + same)
                theta = m->score[i];
        }
        double hit = 0, soft = 0, predicted = 0, touched = 0, ranges = 0;
        for (size_t i = 0; i < m->n; i++) {
            if (m->score[i] < theta)
                continue;
            predicted++;
            hit += weight[i];
            soft += m->labels[i] ? 0 : weight[i];
        }
        for (size_t s = 0; s < k;) {
            size_t a = seg[s].a > h ? seg[s].a - h : 0, b = seg[s].b + h;
            for (s++; s < k && b + h >= seg[s].a; s++)
                b = seg[s].b + h;
            bool any = false;
            for (size_t i = a; i <= b && i < m->n; i++)
                any |= m->score[i] >= theta;
            touched += any;
            ranges++;
        }
        double recall = hit / ((double)labelled + soft / 2);
        recall = AC_MIN(recall, 1.0) * touched / ranges;
        area += (recall - last) * hit / predicted;
        last = recall;
    }
    free(weight);
    free(seg);
    return area;
}

static void test_vus_as_defined(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        uint64_t x = seed * 977;
        size_t n = 2 + lcg(&x) % 60, length = lcg(&x) % 40;
        struct made m = make(seed, n, 150, lcg(&x) % 900, 100, 2 + lcg(&x) % 30);
        m.labels[n / 2] = 1;
        double want = 0;
        for (size_t w = 0; w <= length; w++)
            want += plain_vus_at(&m, w);
        want /= (double)(length + 1);
        double got = score_vus_pr(m.labels, m.score, n, length);
        if (fabs(got - want) > 1e-9)
            fail_msg("seed %llu: %.12g, by the definition %.12g", (unsigned long long)seed, got,
                     want);
        drop(&m);
    }
}

static void test_properties(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 160; seed++) {
        struct made m = make(seed, 400, 20, 850, 40, 1u << 30);
        m.labels[7] = 1;
        /* the labels themselves are a perfect detector */
        double *truth = ac_xcalloc(m.n, sizeof *truth);
        for (size_t i = 0; i < m.n; i++)
            truth[i] = m.labels[i];
        assert_float_equal(score_events(m.labels, m.labels, m.n, 0).f1, 1, 0);
        assert_float_equal(score_point_f1(m.labels, m.labels, m.n), 1, 0);
        assert_float_equal(score_adjusted_f1(m.labels, m.labels, m.n), 1, 0);
        assert_float_equal(score_auc_pr(m.labels, truth, m.n), 1, 1e-12);
        assert_float_equal(score_vus_pr(m.labels, truth, m.n, 0), 1, 1e-12);
        /* only the order of scores counts; a longer delay never hurts */
        double auc = score_auc_pr(m.labels, m.score, m.n);
        double vus = score_vus_pr(m.labels, m.score, m.n, 20);
        assert_true(auc >= 0 && auc <= 1 && vus >= 0 && vus <= 1);
        for (size_t i = 0; i < m.n; i++)
            m.score[i] = m.score[i] * 3 - 7e9;
        assert_float_equal(score_auc_pr(m.labels, m.score, m.n), auc, 1e-12);
        assert_float_equal(score_vus_pr(m.labels, m.score, m.n, 20), vus, 1e-12);
        for (size_t k = 0; k < 20; k++)
            assert_true(score_events(m.labels, m.flags, m.n, k).tp <=
                        score_events(m.labels, m.flags, m.n, k + 1).tp);
        /* a constant score knows nothing: precision is the share of labels */
        size_t positives = 0;
        for (size_t i = 0; i < m.n; i++) {
            truth[i] = 3;
            positives += m.labels[i];
        }
        assert_float_equal(score_auc_pr(m.labels, truth, m.n), (double)positives / (double)m.n,
                           1e-12);
        free(truth);
        drop(&m);
    }
}

static void test_edges(void **state)
{
    (void)state;
    static const uint8_t none[6] = {0}, all[6] = {1, 1, 1, 1, 1, 1}, some[6] = {0, 1, 1, 0, 0, 1};
    static const double s[6] = {1, 2, 3, 4, 5, 6}, lost[6] = {NAN, 1, 1, NAN, NAN, 1};
    struct score_report r;
    score_report(&(struct score_input){none, none, NULL, 0, 7, 60000000000LL}, &r);
    assert_float_equal(r.with_delay.f1 + r.point_f1 + r.adjusted_f1 + r.alarms_per_day, 0, 0);
    assert_true(isnan(r.auc_pr) && isnan(r.vus_pr) && isnan(r.detect_median_s));
    score_report(&(struct score_input){none, none, s, 0, 7, 60000000000LL}, &r);
    assert_float_equal(r.auc_pr + r.vus_pr, 0, 0);
    score_report(&(struct score_input){none, all, s, 6, 7, 60000000000LL}, &r);
    assert_int_equal(r.with_delay.fp, 6);
    assert_float_equal(r.with_delay.f1 + r.auc_pr + r.vus_pr, 0, 0);
    score_report(&(struct score_input){all, all, s, 6, 7, 60000000000LL}, &r);
    assert_float_equal(r.with_delay.f1, 1, 0);
    assert_float_equal(r.auc_pr, 1, 1e-12);
    assert_float_equal(r.vus_pr, 1, 1e-12);
    assert_float_equal(score_vus_pr(some, s, 1, 4), 0, 0);
    assert_float_equal(score_vus_pr(all, s, 1, 4), 1, 1e-12);
    assert_float_equal(score_auc_pr(some, lost, 6), 1, 1e-12); /* missing scores come last */
}

static void test_times_and_alarms(void **state)
{
    (void)state;
    static const uint8_t labels[] = {1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 0, 1};
    static const uint8_t flags[] = {0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    size_t n = sizeof labels, t[4];
    assert_int_equal(score_detection_times(labels, flags, n, t), 3);
    assert_int_equal(t[0], 1);
    assert_int_equal(t[1], 3);
    assert_int_equal(t[2], 0);
    assert_int_equal(score_alarms(flags, n), 3);
    assert_int_equal(score_transitions(flags, n), 5); /* the last one stays open */
    struct score_report r;
    score_report(&(struct score_input){labels, flags, NULL, n, 1, 300000000000LL}, &r);
    assert_int_equal(r.segments, 4);
    assert_int_equal(r.with_delay.tp, 2);
    assert_int_equal(r.whole.tp, 3);
    assert_int_equal(r.whole.fp, 1);
    assert_float_equal(r.detect_median_s, 300, 0);
    assert_float_equal(r.detect_p90_s, 900, 0);
    assert_float_equal(r.alarms_per_day, 3 / (13 * 300 / 86400.0), 1e-9);
    assert_float_equal(r.flaps_per_hour, 5 / (13 * 300 / 3600.0), 1e-9);
}

static void test_best_flags(void **state)
{
    (void)state;
    static const uint8_t labels[] = {0, 1, 1, 0, 0, 1, 0};
    static const double inf = INFINITY, s[] = {3, 1, 5, 2, 4, 4, NAN};
    static const double hot[] = {inf, 1, 5, inf, inf, 1, inf}, only[] = {inf, 1, inf, 2, 0, inf, 0},
                        none[] = {inf, -inf, -inf, inf, inf, NAN, inf};
    uint8_t got[7], want[7] = {0, 0, 1, 0, 1, 1, 0};
    score_best_flags(labels, s, 7, got); /* 4: both events, one false; 5: one event */
    assert_memory_equal(got, want, 7);
    score_best_flags(labels, hot, 7, got); /* what is infinite is above any threshold */
    assert_memory_equal(got, ((uint8_t[]){1, 1, 1, 1, 1, 1, 1}), 7);
    score_best_flags(labels, only, 7, got); /* infinity is no threshold: the next lower one */
    assert_memory_equal(got, ((uint8_t[]){1, 0, 1, 1, 0, 1, 0}), 7);
    score_best_flags(labels, none, 7, got); /* no threshold at all: nothing, infinite or not */
    assert_memory_equal(got, ((uint8_t[7]){0}), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_published_programs),
        cmocka_unit_test(test_vus_as_defined),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_times_and_alarms),
        cmocka_unit_test(test_best_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
