#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <aceso/metrics.h>
#include <aceso/testkit.h>

static void text_has_help_type_and_escaped_labels(void **state)
{
    (void)state;
    struct ac_metrics *m = ac_metrics_create();
    const char *const labels[] = {"method", "Get", "path", "a\"b\\c\nd", NULL};
    struct ac_metric *c =
        ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_calls_total", "All\ncalls", labels, NULL);
    ac_metric_add(c, 2);
    ac_metric_add(c, 0.5);
    struct ac_metric *g = ac_metrics_get(m, AC_METRIC_GAUGE, "aceso_depth", "Depth", NULL, NULL);
    ac_metric_set(g, 7);
    ac_metric_add(g, -3);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_metrics_render(m, &b);
    assert_string_equal(ac_buf_str(&b),
                        "# HELP aceso_calls_total All\\ncalls\n"
                        "# TYPE aceso_calls_total counter\n"
                        "aceso_calls_total{method=\"Get\",path=\"a\\\"b\\\\c\\nd\"} 2.5\n"
                        "# HELP aceso_depth Depth\n"
                        "# TYPE aceso_depth gauge\n"
                        "aceso_depth 4\n");
    assert_true(ac_metric_value(c) == 2.5);
    assert_ptr_equal(
        c, ac_metrics_get(m, AC_METRIC_COUNTER, "aceso_calls_total", "other", labels, NULL));
    ac_metric_set(g, NAN);
    ac_buf_reset(&b);
    ac_metrics_render(m, &b);
    assert_non_null(strstr(ac_buf_str(&b), "aceso_depth NaN\n"));
    ac_buf_fini(&b);
    ac_metrics_destroy(m);
    ac_metric_add(NULL, 1);
    ac_metric_set(NULL, 1);
    ac_metric_observe(NULL, 1);
    assert_true(ac_metric_value(NULL) == 0);
    ac_metrics_destroy(NULL);
}

static void histograms_cumulate(void **state)
{
    (void)state;
    struct ac_metrics *m = ac_metrics_create();
    const double bounds[] = {0.1, 1, NAN};
    const char *const labels[] = {"a", "b", NULL};
    struct ac_metric *h = ac_metrics_get(m, AC_METRIC_HISTOGRAM, "h", "H", labels, bounds);
    static const double seen[] = {0.05, 0.1, 0.5, 1, 3};
    for (int i = 0; i < 5; i++)
        ac_metric_observe(h, seen[i]);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_metrics_render(m, &b);
    assert_string_equal(ac_buf_str(&b), "# HELP h H\n# TYPE h histogram\n"
                                        "h_bucket{a=\"b\",le=\"0.1\"} 2\n"
                                        "h_bucket{a=\"b\",le=\"1\"} 4\n"
                                        "h_bucket{a=\"b\",le=\"+Inf\"} 5\n"
                                        "h_sum{a=\"b\"} 4.65\n"
                                        "h_count{a=\"b\"} 5\n");
    ac_buf_fini(&b);
    ac_metrics_destroy(m);
}

static void families_are_bounded(void **state)
{
    (void)state;
    struct ac_metrics *m = ac_metrics_create();
    struct ac_metric *over = NULL;
    for (int i = 0; i < 10100; i++) {
        char v[16];
        snprintf(v, sizeof(v), "%d", i);
        const char *const labels[] = {"id", v, NULL};
        struct ac_metric *c = ac_metrics_get(m, AC_METRIC_COUNTER, "c", "C", labels, NULL);
        ac_metric_add(c, 1);
        if (i >= 10000) {
            assert_true(over == NULL || over == c);
            over = c;
        }
    }
    assert_true(ac_metric_value(over) == 100);
    ac_metrics_destroy(m);
}

static void set_gauge(void *arg)
{
    struct ac_metrics *m = arg;
    ac_metric_set(ac_metrics_get(m, AC_METRIC_GAUGE, "g", "G", NULL, NULL), 9);
}

static void hooks_run_before_rendering(void **state)
{
    (void)state;
    struct ac_metrics *m = ac_metrics_create();
    ac_metrics_on_collect(m, set_gauge, m);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_metrics_render(m, &b);
    assert_non_null(strstr(ac_buf_str(&b), "\ng 9\n"));
    ac_buf_fini(&b);
    ac_metrics_destroy(m);
}

struct shared {
    struct ac_metric *counter, *histogram;
};

static void *bump(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 50000; i++) {
        ac_metric_add(s->counter, 1);
        ac_metric_observe(s->histogram, 0.003);
    }
    return NULL;
}

static void updates_of_many_threads_add_up(void **state)
{
    (void)state;
    struct ac_metrics *m = ac_metrics_create();
    struct shared s = {
        ac_metrics_get(m, AC_METRIC_COUNTER, "c", "C", NULL, NULL),
        ac_metrics_get(m, AC_METRIC_HISTOGRAM, "h", "H", NULL, ac_metric_seconds_buckets)};
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, bump, &s), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(ac_metric_value(s.counter) == 200000);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_metrics_render(m, &b);
    assert_non_null(strstr(ac_buf_str(&b), "h_bucket{le=\"0.005\"} 200000\n"));
    assert_non_null(strstr(ac_buf_str(&b), "h_bucket{le=\"0.0025\"} 0\n"));
    ac_buf_fini(&b);
    ac_metrics_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_help_type_and_escaped_labels),
        cmocka_unit_test(histograms_cumulate),
        cmocka_unit_test(families_are_bounded),
        cmocka_unit_test(hooks_run_before_rendering),
        cmocka_unit_test(updates_of_many_threads_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
