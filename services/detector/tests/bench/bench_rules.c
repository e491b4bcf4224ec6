/* Points a second on one core, for three rules: what training makes of a healthy latency, a robust
 * deviation from the last minute, and a seasonal one. Each point by point as the detector does, in
 * blocks as the bench on files does, and as a reference the same rule calculated anew at every
 * point from the points that it looks back on (with counting and sorting, in C, without gaps). All
 * three must give the same flags. Last, whole messages of 200 series through unpacking and engine.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/rng.h>

#include "adapters/convert_pb.h"

#define POINTS   200000
#define SEASON   1440
#define SERIES   200
#define MESSAGES 400

static double v[POINTS];

static const char latency[] =
    "language 1 rule \"latency\" { let limit = 14.5 let recent = median(value, 3)"
    " when value > limit for 6 of 7 until value < limit for 3 of 3 reason \"{recent}\" }";
static const char deviation[] =
    "language 1 rule \"deviation\" { let r = robust_z(value, 60) when r > 6 reason \"{r}\" }";
static const char seasonal[] =
    "language 1 rule \"seasonal\" { let d = value - season_median(value, 1440, 7, 1)"
    " let s = median(d, 9) when s > 3 for 2 of 3 reason \"{s}\" }";

static void make_points(void)
{
    struct ac_rng r;
    ac_rng_seed(&r, 1);
    int slow = 0;
    for (int i = 0; i < POINTS; i++) {
        if (!slow && ac_rng_below(&r, 2000) == 0)
            slow = 10 + (int)ac_rng_below(&r, 20);
        slow -= slow > 0;
        v[i] = 10 + 2 * sin(6.28318530717958648 * (i % SEASON) / SEASON) + 0.5 * ac_rng_normal(&r) +
               (slow ? 8 : 0);
    }
}

/* ---- the reference ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *w, size_t n)
{
    qsort(w, n, sizeof *w, by_value);
    return n % 2 ? w[n / 2] : (w[n / 2 - 1] + w[n / 2]) / 2;
}

static size_t naive_latency(uint8_t *flags, size_t n)
{
    bool on = false;
    for (size_t i = 0; i < n; i++) {
        size_t over = 0, under = 0;
        for (size_t k = i >= 6 ? i - 6 : 0; k <= i; k++)
            over += v[k] > 14.5;
        for (size_t k = i >= 2 ? i - 2 : 0; k <= i; k++)
            under += v[k] < 14.5;
        on = over >= 6 ? true : under >= 3 ? false : on;
        flags[i] = on;
    }
    return n;
}

static size_t naive_deviation(uint8_t *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double w[60];
        size_t m = AC_MIN(i, (size_t)60);
        flags[i] = 0;
        if (m < 30)
            continue;
        memcpy(w, v + i - m, m * sizeof *w);
        double mid = median(w, m);
        for (size_t k = 0; k < m; k++)
            w[k] = fabs(w[k] - mid);
        flags[i] = (v[i] - mid) / (1.4826 * median(w, m)) > 6;
    }
    return n;
}

static double from_season(size_t i)
{
    double w[21];
    size_t m = 0;
    for (size_t d = 1; d <= 7; d++) {
        for (size_t k = 0; k < 3; k++) {
            if (i + k >= d * SEASON + 1)
                w[m++] = v[i + k - 1 - d * SEASON];
        }
    }
    return 2 * m >= 3 ? v[i] - median(w, m) : (double)NAN;
}

static size_t naive_seasonal(uint8_t *flags, size_t n)
{
    uint8_t *is = ac_xcalloc(n, 1);
    for (size_t i = 0; i < n; i++) {
        double w[9];
        size_t m = 0;
        for (size_t k = i >= 8 ? i - 8 : 0; k <= i; k++) {
            double d = from_season(k);
            if (!isnan(d))
                w[m++] = d;
        }
        is[i] = 2 * m >= 9 && median(w, m) > 3;
        flags[i] = (size_t)is[i] + (i >= 1 && is[i - 1]) + (i >= 2 && is[i - 2]) >= 2;
    }
    free(is);
    return n;
}

/* ---- a rule ---- */

static void report(const char *rule, const char *how, size_t n, int64_t began)
{
    printf("rules %-10s %-9s %12.0f points/s\n", rule, how,
           (double)n / ((double)(ac_now_ns() - began) / 1e9));
    (void)fflush(stdout);
}

static void same(const char *rule, const char *how, const uint8_t *a, const uint8_t *b)
{
    for (size_t i = 0; i < POINTS; i++) {
        if (a[i] == b[i])
            continue;
        (void)fprintf(stderr, "bench_rules: %s: point %zu is %d by %s and %d point by point\n",
                      rule, i, b[i], how, a[i]);
        exit(1);
    }
}

static void bench(const char *text, const char *name, size_t (*naive)(uint8_t *flags, size_t n))
{
    static uint8_t stream[POINTS], batch[POINTS], plain[POINTS];
    struct ac_ruleset *set = NULL;
    struct ac_plan *p = NULL;
    AC_ASSERT(ac_ruleset_parse(text, strlen(text), &set, NULL) == 0);
    const struct ac_rule *r = ac_ruleset_get(set, 0);
    AC_ASSERT(ac_plan_create(&r, 1, 0, &p, NULL) == 0);
    struct ac_eval *one = ac_eval_create(p, 1), *many = ac_eval_create(p, 512);
    int64_t began = ac_now_ns();
    for (size_t i = 0; i < POINTS; i++)
        stream[i] = (uint8_t)ac_eval_push(one, 0, v[i]);
    report(name, "stream", POINTS, began);
    struct ac_eval_batch b = {.values = v, .n = POINTS, .flags = batch};
    began = ac_now_ns();
    ac_eval_run(many, &b);
    report(name, "blocks", POINTS, began);
    began = ac_now_ns();
    (void)naive(plain, POINTS);
    report(name, "reference", POINTS, began);
    same(name, "blocks", stream, batch);
    same(name, "the reference", stream, plain);
    size_t flagged = 0;
    for (size_t i = 0; i < POINTS; i++)
        flagged += stream[i];
    AC_ASSERT(flagged > 0 && flagged < POINTS / 10);
    ac_eval_destroy(one);
    ac_eval_destroy(many);
    ac_plan_destroy(p);
    ac_ruleset_destroy(set);
}

/* ---- messages ---- */

static void count_alert(const struct engine_alert *a, void *arg)
{
    (void)a;
    ++*(size_t *)arg;
}

static void pack_message(size_t at, struct ac_buf *out)
{
    static char names[SERIES][24];
    Aceso__V1__MetricBatch b = ACESO__V1__METRIC_BATCH__INIT;
    Aceso__V1__SeriesPoints p[SERIES], *pp[SERIES];
    Aceso__V1__SeriesKey k[SERIES];
    Aceso__V1__Label l = ACESO__V1__LABEL__INIT, *ll[] = {&l};
    int64_t t = (int64_t)at * AC_NS_PER_S;
    char ns[] = "shop", key[] = "pod", value[] = "search-7c9f-abcde", metric[] = "latency.p90";
    l.key = key;
    l.value = value;
    b.namespace_ = ns;
    for (size_t i = 0; i < SERIES; i++) {
        (void)snprintf(names[i], sizeof names[i], "service-%zu", i);
        aceso__v1__series_points__init(&p[i]);
        aceso__v1__series_key__init(&k[i]);
        k[i].component = names[i];
        k[i].metric = metric;
        k[i].labels = ll;
        k[i].n_labels = 1;
        p[i].key = &k[i];
        p[i].time_ns = &t;
        p[i].value = &v[at + i];
        p[i].n_time_ns = p[i].n_value = 1;
        pp[i] = &p[i];
    }
    b.series = pp;
    b.n_series = SERIES;
    ac_buf_reset(out);
    AC_ASSERT(ac_pb_pack(&b.base, out, NULL) == 0);
}

static void bench_messages(void)
{
    const struct engine_rule_in rules[] = {{"shop", "latency", latency, 1},
                                           {"shop", "deviation", deviation, 1}};
    const struct engine_opts o = {.silence_ns = AC_NS_PER_S * 60,
                                  .forget_ns = AC_NS_PER_S * 3600,
                                  .state_max = (size_t)1 << 30};
    size_t alerts = 0, points = 0;
    struct engine *e = engine_create(&o, count_alert, &alerts);
    struct ac_buf m[MESSAGES];
    (void)engine_set_rules(e, rules, 2);
    for (size_t i = 0; i < MESSAGES; i++) {
        ac_buf_init(&m[i], 1 << 20);
        pack_message(i, &m[i]);
    }
    struct ac_arena *a = ac_arena_create(64u << 20);
    int64_t began = ac_now_ns();
    for (size_t i = 0; i < MESSAGES; i++) {
        Aceso__V1__MetricBatch *b = NULL;
        struct ac_label labels[ENGINE_LABELS_MAX];
        struct engine_series k;
        ac_arena_reset(a);
        AC_ASSERT(det_batch_from_pb(m[i].data, m[i].len, a, &b, NULL) == 0);
        for (size_t j = 0; j < b->n_series; j++) {
            const Aceso__V1__SeriesPoints *p = b->series[j];
            AC_ASSERT(det_series_from_pb(b, p, labels, &k));
            points += engine_points(e, &k, (int64_t)i * AC_NS_PER_S, p->time_ns, p->value, 1);
        }
    }
    report("detector", "messages", points, began);
    for (size_t i = 0; i < MESSAGES; i++)
        ac_buf_fini(&m[i]);
    ac_arena_destroy(a);
    engine_destroy(e);
}

int main(void)
{
    make_points();
    printf("# one core; %d points a rule; messages of %d series with two rules each\n", POINTS,
           SERIES);
    bench(latency, "latency", naive_latency);
    bench(deviation, "deviation", naive_deviation);
    bench(seasonal, "seasonal", naive_seasonal);
    bench_messages();
    return 0;
}
