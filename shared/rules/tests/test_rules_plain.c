/* Operators against plain definitions, written once more without any state: counters, flat lines,
 * persistence, seasons by a clock, spectral residuals; on random series with gaps and resets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <complex.h>

#include <aceso/base.h>
#include <aceso/rng.h>
#include <aceso/rules.h>

#define N    1500
#define PAST 600 /* missing points before the first */

static double series[PAST + N], offsets[PAST + N], out[N];

static void evaluate(const char *expr, bool truth)
{
    char text[400];
    (void)snprintf(text, sizeof text, "language 1 rule \"a\" { step 10m let x = %s when %s }", expr,
                   truth ? "x" : "x > 0");
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    if (ac_ruleset_parse(text, strlen(text), &s, &d) < 0)
        fail_msg("%s: %s", expr, d.v[0].message);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&r, 1, AC_PLAN_ALL_TERMS, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 97);
    const char *name = "x";
    double *column = out;
    const double *in[] = {offsets + PAST};
    const struct ac_eval_batch b = {.values = series + PAST,
                                    .n = N,
                                    .inputs = in,
                                    .n_terms = 1,
                                    .term_names = &name,
                                    .terms = &column};
    ac_eval_run(e, &b);
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

typedef double definition(const double *now, size_t w);

static void agrees(const char *expr, bool truth, definition *fn, size_t w, double tolerance)
{
    size_t known = 0;
    evaluate(expr, truth);
    for (size_t i = 0; i < N; i++) {
        double want = fn(series + PAST + i, w);
        known += want == want;
        if (!(fabs(out[i] - want) <= tolerance * (1 + fabs(want))) &&
            !(want != want && out[i] != out[i]))
            fail_msg("%s point %zu: %.17g, by definition %.17g", expr, i, out[i], want);
    }
    assert_true(known > N / 4);
}

static bool known(double v)
{
    return v == v;
}

/* Counters that rise, are reset, and have gaps. */
static void make_counter(uint64_t seed)
{
    struct ac_rng r;
    double v = 50;
    ac_rng_seed(&r, seed);
    for (size_t i = 0; i < PAST; i++)
        series[i] = NAN;
    for (size_t i = PAST; i < PAST + N; i++) {
        v = ac_rng_below(&r, 40) == 0 ? (double)ac_rng_below(&r, 9)
                                      : v + (double)ac_rng_below(&r, 30);
        series[i] = ac_rng_below(&r, 5) == 0 ? NAN : v;
    }
}

static double rate(const double *now, size_t w)
{
    double gain = 0, span = 0, gains = 0;
    for (size_t k = 0; k < w; k++) {
        const double *v = now - k, *before = v - 1;
        while (before > series && !known(*before))
            before--;
        if (!known(*v) || !known(*before))
            continue;
        gain += *v < *before ? *v : *v - *before;
        span += (double)(v - before);
        gains++;
    }
    return 2 * gains >= (double)w ? gain / (span * 600) : NAN;
}

static double unchanged(const double *now, size_t w)
{
    (void)w;
    double value = NAN;
    const double *first = NULL;
    for (const double *v = now; v >= series + PAST; v--) {
        if (known(*v) && known(value) && *v != value)
            break;
        if (known(*v))
            value = *v, first = v;
    }
    return first ? (double)(now - first) : NAN;
}

static double flat(const double *now, size_t w)
{
    double low = INFINITY, high = -INFINITY;
    size_t n = 0;
    for (size_t k = 0; k < w; k++) {
        double v = *(now - k);
        if (known(v))
            low = fmin(low, v), high = fmax(high, v), n++;
    }
    if (n < (w + 1) / 2)
        return NAN;
    return high - low <= 20 ? 1 : 0;
}

static double held(const double *now, size_t w)
{
    size_t n = 0;
    for (size_t k = 0; k < w; k++)
        n += *(now - k) > 100;
    return n >= 3;
}

static double change(const double *now, size_t w)
{
    double d = (*now - *(now - w)) / fabs(*(now - w));
    return isfinite(d) ? d : NAN;
}

static double ratio(const double *now, size_t w)
{
    return fabs(*(now - w)) >= 40 ? *now / *(now - w) : NAN;
}

static void counters_and_windows(void **st)
{
    (void)st;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        make_counter(seed);
        agrees("rate(value, 7)", false, rate, 7, 1e-12);
        agrees("rate(value, 150)", false, rate, 150, 1e-12);
        agrees("unchanged(value)", false, unchanged, 0, 0);
        agrees("flat(value, 3, 20)", true, flat, 3, 0);
        agrees("flat(value, 80, 20)", true, flat, 80, 0);
        agrees("held(value > 100, 3, 9)", true, held, 9, 0);
        agrees("change(value, 4)", false, change, 4, 1e-15);
        agrees("ratio(value, lag(value, 2), 40)", false, ratio, 2, 1e-15);
    }
}

/* ---- seasons by the clock: two changes of the clock by an hour, 6 points ---- */

static size_t season_h;
static int season_kind; /* 0 mean, 1 median, 2 least, 3 greatest */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double season(const double *now, size_t w)
{
    double v[64], sum = 0;
    size_t n = 0, i = (size_t)(now - series);
    for (size_t d = 1; d <= 3; d++) {
        double shift = (offsets[i] - offsets[i - d * w]) / 600;
        for (ptrdiff_t k = -(ptrdiff_t)season_h; k <= (ptrdiff_t)season_h; k++) {
            const double *at = now - d * w + (ptrdiff_t)shift + k;
            if (known(shift) && at < now && known(*at))
                v[n++] = *at, sum += *at;
        }
    }
    if (n < season_h + 1)
        return NAN;
    qsort(v, n, sizeof v[0], by_value);
    return season_kind == 0   ? sum / (double)n
           : season_kind == 1 ? (v[(n - 1) / 2] + v[n / 2]) / 2
           : season_kind == 2 ? v[0]
                              : v[n - 1];
}

static void seasons_follow_the_clock(void **st)
{
    (void)st;
    static const char *const names[] = {"mean", "median", "min", "max"};
    make_counter(9);
    for (size_t i = 0; i < PAST + N; i++)
        offsets[i] = i < PAST ? NAN : i < PAST + 500 || i > PAST + 1100 ? 3600 : 7200;
    for (season_h = 0; season_h <= 2; season_h++) {
        for (season_kind = 0; season_kind < 4; season_kind++) {
            char expr[100];
            (void)snprintf(expr, sizeof expr, "season_%s(value, 1d, 3, %zu, \"Made/Up\")",
                           names[season_kind], season_h);
            agrees(expr, false, season, 144, 1e-12);
        }
    }
}

/* What a peer may call a time: the first and the last there are. */
static void times_at_the_ends_have_a_clock(void **st)
{
    (void)st;
    static const struct {
        int64_t t_ns;
        double offset, want;
    } of[] = {{INT64_MIN, 0, 763.145224192},
              {INT64_MIN, -3600, NAN},
              {INT64_MIN, 3600, 4363.145224192},
              {INT64_MAX, 0, 85636.854775807},
              {INT64_MAX, 3600, NAN},
              {INT64_MAX, -172800, 85636.854775807}};
    const char *text = "language 1 rule \"a\" { let x = time_of_day(\"Made/Up\") when x > 0 }";
    struct ac_ruleset *s = NULL;
    struct ac_diags d;
    assert_int_equal(ac_ruleset_parse(text, strlen(text), &s, &d), 0);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    for (size_t i = 0; i < AC_ARRAY_LEN(of); i++) {
        (void)ac_eval_push_with(e, of[i].t_ns, 1, &of[i].offset);
        double x = ac_eval_term(e, 0, "x");
        assert_true(x == of[i].want || (x != x && of[i].want != of[i].want));
    }
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

/* ---- the spectral residual by the transform's definition ---- */

static void dft(const double complex *in, double complex *to, size_t n, double sign)
{
    for (size_t k = 0; k < n; k++) {
        to[k] = 0;
        for (size_t j = 0; j < n; j++)
            to[k] += in[j] * cexp(sign * 2 * M_PI * I * (double)(j * k % n) / (double)n);
    }
}

static double spectral(const double *now, size_t n)
{
    double complex x[64], f[64], r[64];
    double logs[64], size = 0, sum = 0;
    size_t own = n - 5, n_known = 0, m = own - 2 < 5 ? own - 2 : 5;
    for (size_t k = 0; k < own; k++) {
        n_known += known(*(now - k));
        size = known(*(now - k)) ? fmax(size, fabs(*(now - k))) : size;
    }
    if (!known(*now) || n_known < (own + 1) / 2)
        return NAN;
    for (size_t k = 0; k < own; k++) { /* gaps: the point before, or the first known one */
        const double *v = now - own + 1 + k;
        while (!known(*v) && v > now - own + 1)
            v--;
        while (!known(*v))
            v++;
        x[k] = *v / size;
    }
    double slope = 0;
    for (size_t i = 1; i <= m; i++)
        slope += creal(x[own - 2] - x[own - 2 - i]) / (double)i / (double)m;
    for (size_t i = own; i < n; i++)
        x[i] = x[own - 1 - m] + slope * (double)m;
    dft(x, f, n, -1);
    for (size_t k = 0; k < n; k++)
        logs[k] = log(fmax(cabs(f[k]), 1e-8));
    for (size_t k = 0; k < n; k++) {
        double around = (logs[(k + n - 1) % n] + logs[k] + logs[(k + 1) % n]) / 3;
        r[k] = cabs(f[k]) > 1e-8 ? exp(logs[k] - around) * f[k] / cabs(f[k]) : 0;
    }
    dft(r, x, n, 1);
    for (size_t k = 0; k < own; k++)
        sum += cabs(x[k]);
    return cabs(x[own - 1]) * (double)own / sum - 1;
}

static void spectra_agree_with_the_transform(void **st)
{
    (void)st;
    make_counter(4);
    agrees("spectral_residual(value, 8)", false, spectral, 8, 1e-9);
    agrees("spectral_residual(value, 64)", false, spectral, 64, 1e-9);
    for (size_t i = PAST; i < PAST + N;
         i++) /* a flat line with one spike: nothing else is salient */
        series[i] = i == PAST + 1000 ? 9 : 1;
    evaluate("spectral_residual(value, 128)", false);
    for (size_t i = 200; i < 1000; i++)
        assert_true(fabs(out[i]) < 1e-6);
    assert_true(out[1000] > 5);
}

/* An hour that a clock leaps over is this point itself: no season may see it. */
static void a_leaping_clock_shows_no_season_its_own_point(void **st)
{
    (void)st;
    static const char text[] =
        "language 1 rule \"a\" { step 1h when season_mean(value, 1, 1, 0, \"A/B\") > 0 }";
    struct ac_ruleset *s = NULL;
    struct ac_plan *p = NULL;
    assert_int_equal(ac_ruleset_parse(text, strlen(text), &s, NULL), 0);
    const struct ac_rule *r = ac_ruleset_get(s, 0);
    assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    static const double shifts[] = {0, 0, 3600, 3600};
    static const bool flagged[] = {false, true, false, true};
    for (size_t i = 0; i < AC_ARRAY_LEN(shifts); i++)
        assert_int_equal(ac_eval_push_with(e, 0, 5, &shifts[i]), flagged[i]);
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leaping_clock_shows_no_season_its_own_point),
        cmocka_unit_test(counters_and_windows),
        cmocka_unit_test(seasons_follow_the_clock),
        cmocka_unit_test(times_at_the_ends_have_a_clock),
        cmocka_unit_test(spectra_agree_with_the_transform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
