#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>
#include <aceso/testkit.h>

static void near(double got, double want, double rel)
{
    if (isnan(want) ? isnan(got) : fabs(got - want) <= rel * fmax(fabs(want), 1e-290))
        return;
    if (got != want)
        fail_msg("got %.17g, not %.17g", got, want);
}

static size_t draw(struct ac_rng *r, double *v, size_t max)
{
    size_t n = ac_rng_below(r, max) + 1;
    uint64_t kind = ac_rng_below(r, 4); /* with and without ties */
    for (size_t i = 0; i < n; i++)
        v[i] = kind == 0   ? ac_rng_normal(r)
               : kind == 1 ? (double)ac_rng_below(r, 5)
               : kind == 2 ? 7
                           : (double)i + (double)ac_rng_below(r, 3);
    return n;
}

static void sorting_and_quantiles_agree(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(1);
    double v[3000], s[3000], t[3000];
    for (int round = 0; round < 300; round++) {
        size_t n = draw(&r, v, round % 10 ? 100 : 3000);
        memcpy(s, v, n * sizeof(double));
        ac_stats_sort(s, n);
        double sum_v = 0, sum_s = 0;
        for (size_t i = 0; i < n; i++) {
            assert_true(i == 0 || s[i - 1] <= s[i]);
            sum_v += floor(v[i] * 1024);
            sum_s += floor(s[i] * 1024);
        }
        assert_true(sum_v == sum_s);
        for (int k = 0; k < 5; k++) {
            double q = k == 0 ? 0 : k == 1 ? 1 : ac_rng_uniform(&r);
            memcpy(t, v, n * sizeof(double));
            assert_true(ac_stats_quantile(t, n, q) == ac_stats_quantile_sorted(s, n, q));
        }
    }
    double few[] = {4, 1, 3, 2};
    near(ac_stats_quantile(few, 4, 0.25), 1.75, 0); /* numpy.quantile */
    near(ac_stats_quantile(few, 4, 0.9), 3.7, 1e-15);
    near(ac_stats_median(few, 4), 2.5, 0);
    assert_true(isnan(ac_stats_median(few, 0)));
}

/* Orders that a fixed choice of pivot is bad at: still fast (the test would take minutes). */
static void sorting_has_no_bad_case(void **state)
{
    (void)state;
    enum {
        N = 300000
    };
    double *v = ac_xcalloc(N, sizeof(double));
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < N; i++)
            v[i] = kind == 0 ? i : kind == 1 ? -i : kind == 2 ? (i < N / 2 ? i : N - i) : i % 1000;
        ac_stats_median(v, N);
        ac_stats_sort(v, N);
        for (int i = 1; i < N; i++)
            assert_true(v[i - 1] <= v[i]);
    }
    free(v);
}

static void moments(void **state)
{
    (void)state;
    const double v[] = {2, 4, 4, 4, 5, 5, 7, 9};
    near(ac_stats_mean(v, 8), 5, 0);
    near(ac_stats_std(v, 8, 0), 2, 1e-15);
    near(ac_stats_var(v, 8, 1), 32.0 / 7, 1e-15);
    const double wide[] = {1e16, 1, -1e16};
    near(ac_stats_sum(wide, 3), 1, 0);
    const double offset[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
    near(ac_stats_var(offset, 4, 1), 30, 1e-12);
    assert_true(isnan(ac_stats_mean(v, 0)) && isnan(ac_stats_var(v, 1, 1)));
    double m[] = {1, 1, 2, 2, 4, 6, 9};
    near(ac_stats_mad(m, 7), 1, 0);
    double gaps[] = {NAN, 1, NAN, 2};
    assert_int_equal(ac_stats_compact(gaps, 4, gaps), 2);
    assert_true(gaps[0] == 1 && gaps[1] == 2);
}

static double slow_kendall(const double *a, const double *b, size_t n)
{
    double c = 0, na = 0, nb = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            double x = (a[i] > a[k]) - (a[i] < a[k]), y = (b[i] > b[k]) - (b[i] < b[k]);
            c += x * y;
            na += x * x;
            nb += y * y;
        }
    }
    return na && nb ? c / sqrt(na) / sqrt(nb) : NAN;
}

static double slow_rank(const double *v, size_t n, size_t i)
{
    double below = 0, equal = 0;
    for (size_t k = 0; k < n; k++) {
        below += v[k] < v[i];
        equal += v[k] == v[i];
    }
    return below + (equal + 1) / 2;
}

static void rank_correlations_equal_their_definitions(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(2);
    double a[60], b[60], rank[60];
    for (int round = 0; round < 500; round++) {
        size_t na = draw(&r, a, 60), nb = draw(&r, b, 60), n = AC_MIN(na, nb);
        ac_stats_ranks(a, n, rank);
        for (size_t i = 0; i < n; i++)
            assert_true(rank[i] == slow_rank(a, n, i));
        near(ac_stats_kendall(a, b, n), slow_kendall(a, b, n), 1e-12);
        double up[60];
        for (size_t i = 0; i < n; i++)
            up[i] = exp(a[i]);
        double rho = ac_stats_spearman(a, up, n); /* blind to monotone maps */
        assert_true(isnan(rho) || fabs(rho - 1) < 1e-12);
    }
}

static void linear_correlation(void **state)
{
    (void)state;
    const double a[] = {1, 2, 3, 4, 5}, b[] = {2, 1, 4, 3, 7}, c[] = {3, 3, 3, 3, 3};
    near(ac_stats_pearson(a, b, 5), 12.0 / sqrt(10 * 21.2), 1e-15);
    near(ac_stats_pearson(a, a, 5), 1, 1e-15);
    assert_true(isnan(ac_stats_pearson(a, c, 5)) && isnan(ac_stats_pearson(a, b, 1)));
    const double d[] = {0.1, 0.1, 0.1, 0.1, 0.1 + 1e-17};
    assert_true(isnan(ac_stats_pearson(a, d, 5)));
    const double flip[] = {1, -1, 1, -1, 1, -1, 1, -1};
    near(ac_stats_autocorr(flip, 8, 1), -7.0 / 8, 1e-15);
    near(ac_stats_autocorr(flip, 8, 2), 6.0 / 8, 1e-15);
    assert_true(isnan(ac_stats_autocorr(flip, 8, 8)));
}

/* For two AR(1) series with coefficient f the formula's limit is n (1 - f^2) / (1 + f^2). */
static void effective_size_shrinks_with_autocorrelation(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(3);
    enum {
        N = 20000
    };
    double *a = ac_xcalloc(N, sizeof(double)), *b = ac_xcalloc(N, sizeof(double));
    for (int i = 1; i < N; i++) {
        a[i] = 0.9 * a[i - 1] + ac_rng_normal(&r);
        b[i] = 0.9 * b[i - 1] + ac_rng_normal(&r);
    }
    near(ac_stats_effective_n(a, b, N, 60), N * 0.19 / 1.81, 0.2);
    for (int i = 0; i < N; i++)
        a[i] = ac_rng_normal(&r);
    near(ac_stats_effective_n(a, b, N, 60), N, 0.1);
    free(a);
    free(b);
}

/* Values by mpmath with 40 digits. */
static void distributions(void **state)
{
    (void)state;
    static const double cdf[][2] = {
        {-10, 7.61985302416052607e-24},
        {-3, 0.00134989803163009453},
        {-1, 0.158655253931457051},
        {-0.1, 0.460172162722971016},
        {0, 0.5},
        {0.5, 0.691462461274013104},
        {2, 0.977249868051820793},
        {5, 0.999999713348428121},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(cdf); i++)
        near(ac_stats_normal_cdf(cdf[i][0]), cdf[i][1], 1e-14);
    static const double quantile[][2] = {
        {1e-300, -37.0470962993611992},  {1e-20, -9.26234008979840758},
        {1e-5, -4.26489079392282461},    {0.001, -3.09023230616781354},
        {0.02425, -1.97296105131188484}, {0.2, -0.841621233572914166},
        {0.3, -0.524400512708040816},    {0.45, -0.125661346855074006},
        {0.75, 0.674489750196081743},    {0.999, 3.09023230616781354},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(quantile); i++)
        near(ac_stats_normal_quantile(quantile[i][0]), quantile[i][1], 2e-14);
    assert_true(fabs(ac_stats_normal_quantile(0.5)) < 1e-16);
    assert_true(isinf(ac_stats_normal_quantile(0)) && isinf(ac_stats_normal_quantile(1)));
    assert_true(isnan(ac_stats_normal_quantile(-0.1)) && isnan(ac_stats_normal_quantile(NAN)));
    for (double p = 0.0005; p < 1; p += 0.0005)
        near(ac_stats_normal_cdf(ac_stats_normal_quantile(p)), p, 1e-14);
    static const double chi2[][3] = {
        {0.5, 1, 0.479500122186953462},   {3.841458820694124, 1, 0.0500000000000000574},
        {10, 1, 0.00156540225800254968},  {1, 4, 0.909795989568950135},
        {20, 4, 0.000499399227387333367}, {100, 30, 1.85680233651023859e-9},
        {15, 30, 0.989739572087657382},   {1000, 900, 0.0109946089421358481},
        {0.001, 2, 0.999500124979169271}, {500, 2, 2.66919021554127639e-109},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(chi2); i++)
        near(ac_stats_chi2_sf(chi2[i][0], chi2[i][1]), chi2[i][2], 1e-12);
    assert_true(ac_stats_chi2_sf(0, 3) == 1 && ac_stats_chi2_sf(INFINITY, 3) == 0);
    static const double t[][3] = {
        {0.0, 3, 0.5},
        {1.0, 1, 0.25},
        {-1.0, 1, 0.75},
        {2.5, 5, 0.0272450496711881206},
        {10.0, 5, 0.0000854737878714817954},
        {3.0, 100, 0.00170395767166472477},
        {-2.0, 30, 0.972687477518508448},
        {1.5, 2.5, 0.123918226543148131},
        {50.0, 1000, 1.37933620616258248e-274},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++)
        near(ac_stats_t_sf(t[i][0], t[i][1]), t[i][2], 1e-11);
    /* F with one degree is t squared; with two on both sides it is 1 / (1 + x). */
    for (double x = 0.25; x < 20; x *= 2) {
        near(ac_stats_f_sf(x, 1, 7), 2 * ac_stats_t_sf(sqrt(x), 7), 1e-12);
        near(ac_stats_f_sf(x, 2, 2), 1 / (1 + x), 1e-12);
    }
    near(ac_stats_f_sf(0, 3, 5), 1, 0);
    near(ac_stats_f_sf(INFINITY, 3, 5), 0, 0);
    assert_true(isnan(ac_stats_f_sf(1, 0, 5)));
}

static void least_squares(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(4);
    enum {
        N = 50
    };
    double x[N * 2], y[N], coef[3], resid[N];
    struct ac_ols fit;
    for (int i = 0; i < N; i++) {
        x[2 * i] = ac_rng_normal(&r);
        x[2 * i + 1] = ac_rng_normal(&r) * 100;
        y[i] = 3 - 2 * x[2 * i] + 0.5 * x[2 * i + 1];
    }
    assert_int_equal(ac_stats_ols(x, y, N, 2, true, coef, resid, &fit, NULL), 0);
    near(coef[0], 3, 1e-10);
    near(coef[1], -2, 1e-10);
    near(coef[2], 0.5, 1e-10);
    assert_int_equal(fit.rank, 3);
    assert_true(fit.r2 > 1 - 1e-12 && fit.rss < 1e-12);
    for (int i = 0; i < N; i++)
        y[i] += ac_rng_normal(&r);
    assert_int_equal(ac_stats_ols(x, y, N, 2, true, coef, resid, &fit, NULL), 0);
    double dot[3] = {0};
    for (int i = 0; i < N; i++) { /* residuals stand upright on every column */
        dot[0] += resid[i];
        dot[1] += resid[i] * x[2 * i];
        dot[2] += resid[i] * x[2 * i + 1] / 100;
    }
    for (int k = 0; k < 3; k++)
        assert_true(fabs(dot[k]) < 1e-10);
    assert_true(fit.sigma2 > 0.4 && fit.sigma2 < 2.2);
    for (int i = 0; i < N; i++)
        x[2 * i + 1] = 2 * x[2 * i];
    assert_int_equal(ac_stats_ols(x, y, N, 2, true, coef, NULL, &fit, NULL), 0);
    assert_int_equal(fit.rank, 2);
    near(coef[2], 2 * coef[1], 1e-10); /* the shortest of the solutions */
    assert_int_equal(ac_stats_ols(x, y, 2, 2, true, coef, NULL, &fit, NULL), 0);
    assert_true(isnan(fit.sigma2));
    y[3] = NAN;
    struct ac_err e = AC_ERR_INIT;
    assert_int_equal(ac_stats_ols(x, y, N, 2, true, coef, NULL, &fit, &e), AC_EINVAL);
    assert_int_equal(ac_stats_ols(x, y, 0, 2, true, coef, NULL, &fit, &e), AC_EINVAL);
}

static int ols_run(void *arg)
{
    (void)arg;
    const double x[] = {1, 2, 3}, y[] = {2, 4, 6.5};
    double coef[2];
    return ac_stats_ols(x, y, 3, 1, true, coef, NULL, NULL, NULL);
}

static void least_squares_survive_a_failing_heap(void **state)
{
    (void)state;
    assert_int_equal(ac_kit_alloc_sweep(ols_run, NULL), 3);
}

static void check_window(const struct ac_window *w, const double *v, size_t n, double scale)
{
    double t[700], *num = t;
    size_t k = ac_stats_compact(v, n, num);
    assert_int_equal(ac_window_points(w), n);
    assert_int_equal(ac_window_len(w), k);
    assert_true(fabs(ac_window_sum(w) - ac_stats_sum(num, k)) <= 1e-11 * scale * (double)n);
    if (k == 0) {
        assert_true(isnan(ac_window_mean(w)) && isnan(ac_window_median(w)));
        assert_true(isnan(ac_window_min(w)));
        return;
    }
    assert_true(fabs(ac_window_mean(w) - ac_stats_mean(num, k)) <= 1e-11 * scale);
    double var = ac_stats_var(num, k, 0);
    assert_true(fabs(ac_window_var(w, 0) - var) <= 1e-10 * fmax(var, scale * scale * 1e-6));
    ac_stats_sort(num, k);
    assert_true(ac_window_min(w) == num[0] && ac_window_max(w) == num[k - 1]);
    assert_true(ac_window_quantile(w, 0.3) == ac_stats_quantile_sorted(num, k, 0.3));
    assert_true(ac_window_median(w) == ac_stats_median(num, k));
    near(ac_window_mad(w), ac_stats_mad(num, k), 1e-12);
}

static void windows_equal_their_recomputation(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(5);
    for (int round = 0; round < 60; round++) {
        uint32_t size = (uint32_t)ac_rng_below(&r, round % 6 ? 30 : 600) + 1;
        struct ac_window *w = ac_window_create(size, true);
        double v[3000];
        size_t n = AC_MIN(3000, size * 4 + 20);
        for (size_t i = 0; i < n; i++) {
            v[i] = ac_rng_below(&r, 10) == 0 ? NAN : floor(ac_rng_normal(&r) * 50) / 10;
            ac_window_push(w, v[i]);
            size_t len = AC_MIN(i + 1, size);
            if (size < 50 || i % 37 == 0)
                check_window(w, v + i + 1 - len, len, 10);
        }
        ac_window_clear(w);
        check_window(w, v, 0, 1);
        ac_window_destroy(w);
    }
    ac_window_destroy(NULL);
}

/* Sums that subtract what leaves would keep the rounding of the giant for ever. */
static void a_giant_leaves_no_trace(void **state)
{
    (void)state;
    struct ac_window *w = ac_window_create(10, false);
    ac_window_push(w, 1e18);
    for (int i = 0; i < 10; i++)
        ac_window_push(w, 0.1 * i);
    near(ac_window_mean(w), 0.45, 1e-15);
    near(ac_window_var(w, 0), 0.0825, 1e-14);
    near(ac_window_sum(w), 4.5, 1e-15);
    ac_window_destroy(w);
}

static void multiset_equals_a_sorted_array(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(6);
    for (int round = 0; round < 20; round++) {
        uint32_t max = round % 2 ? 200 : 2000;
        struct ac_ostat *o = ac_ostat_create(max);
        double v[2000], s[2000];
        uint32_t n = 0;
        for (int op = 0; op < 4000; op++) {
            double x = (double)ac_rng_below(&r, 50) + (round % 3 ? ac_rng_uniform(&r) : 0);
            if (n < max && (n == 0 || ac_rng_below(&r, 3))) {
                v[n++] = x;
                ac_ostat_insert(o, x);
            } else if (ac_rng_below(&r, 2)) {
                uint32_t i = (uint32_t)ac_rng_below(&r, n);
                ac_ostat_replace(o, v[i], x);
                v[i] = x;
            } else {
                uint32_t i = (uint32_t)ac_rng_below(&r, n);
                ac_ostat_remove(o, v[i]);
                v[i] = v[--n];
            }
        }
        assert_int_equal(ac_ostat_len(o), n);
        memcpy(s, v, n * sizeof(double));
        ac_stats_sort(s, n);
        for (uint32_t i = 0; i < n; i++)
            assert_true(ac_ostat_at(o, i) == s[i]);
        near(ac_ostat_mad(o), ac_stats_mad(s, n), 1e-12);
        ac_ostat_clear(o);
        assert_true(isnan(ac_ostat_quantile(o, 0.5)) && isnan(ac_ostat_mad(o)));
        ac_ostat_destroy(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorting_and_quantiles_agree),
        cmocka_unit_test(sorting_has_no_bad_case),
        cmocka_unit_test(moments),
        cmocka_unit_test(rank_correlations_equal_their_definitions),
        cmocka_unit_test(linear_correlation),
        cmocka_unit_test(effective_size_shrinks_with_autocorrelation),
        cmocka_unit_test(distributions),
        cmocka_unit_test(least_squares),
        cmocka_unit_test(least_squares_survive_a_failing_heap),
        cmocka_unit_test(windows_equal_their_recomputation),
        cmocka_unit_test(a_giant_leaves_no_trace),
        cmocka_unit_test(multiset_equals_a_sorted_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
