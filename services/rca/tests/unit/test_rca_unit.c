/* Units and directions of badness: how names and metadata are read, how values are held and shown,
 * and that an answer does not depend on how a measurement was written down. */
#include "rca_answer.h"
#include "rca_picture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>

#include "graph/rca_graph.h"
#include "readers/rca_csv.h"

static void names_and_metadata_are_spelled_alike(void **state)
{
    (void)state;
    static const struct {
        const char *name, *unit;
    } names[] = {{"latency_ms", "ms"},
                 {"http_request_duration_seconds_sum", "s"},
                 {"latency_milliseconds_p90", "ms"},
                 {"MemoryUsage(Mi)", "MiB"},
                 {"CpuUsage(m)", "millicores"},
                 {"PodSuccessRate(%)", "%"},
                 {"disk.read.bytes_per_second", "bytes/s"},
                 {"requests_per_second", "1/s"},
                 {"jobs_per_sec", ""},
                 {"go_heap_bytes", "bytes"},
                 {"error_ratio", "ratio"},
                 {"lat_50", ""},
                 {"latency_Average", ""},
                 {"latency_s", "s"},
                 {"cpu_m", ""},
                 {"", ""}};
    static const struct {
        const char *given, *unit;
    } units[] = {{"By", "bytes"},
                 {"{request}/s", "1/s"},
                 {"1", ""},
                 {"{fault}", ""},
                 {"percent", "%"},
                 {"parsec", "parsec"},
                 {"", ""},
                 /* longer than there is room for; cut where a character ends */
                 {"bytes_per_second", "bytes/s"},
                 {"abcdefghijklmn\xc2\xb5s", "abcdefghijklmn"},
                 {"{request}/abcdefghijklmnopqrst", "1/abcdefghijklm"},
                 {"a\xc2", "a"}};
    char got[AC_RCA_UNIT_SIZE];
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        ac_rca_unit_of_name(names[i].name, got);
        assert_string_equal(got, names[i].unit);
    }
    for (size_t i = 0; i < AC_ARRAY_LEN(units); i++) {
        ac_rca_unit_spell(units[i].given, got);
        assert_string_equal(got, units[i].unit);
    }
    assert_float_equal(ac_rca_unit_factor("ms", "s"), 1e-3, 0);
    assert_float_equal(ac_rca_unit_factor("ratio", "%"), 100, 0);
    assert_float_equal(ac_rca_unit_factor("ms", "%"), 0, 0);
    assert_float_equal(ac_rca_unit_factor("parsec", "s"), 0, 0);
}

static void names_say_what_is_bad(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum ac_rca_kind kind;
        enum ac_rca_bad bad;
    } names[] = {{"availability", AC_RCA_ERR, AC_RCA_BAD_LOW},
                 {"memory_available_bytes", AC_RCA_MEM, AC_RCA_BAD_LOW},
                 {"memory_usage", AC_RCA_MEM, AC_RCA_BAD_HIGH},
                 {"cpu_idle_percent", AC_RCA_CPU, AC_RCA_BAD_LOW},
                 {"disk_free", AC_RCA_IO, AC_RCA_BAD_LOW},
                 {"requests", AC_RCA_LOAD, AC_RCA_BAD_BOTH}};
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++) {
        struct ac_rca_name n = ac_rca_name_parse(names[i].name);
        assert_int_equal(n.kind, names[i].kind);
        assert_int_equal(n.bad, names[i].bad);
    }
}

/* Values are held so that more is worse, in the kind's unit, and are shown as they came. */
static void values_are_held_one_way(void **state)
{
    (void)state;
    static const struct {
        enum ac_rca_kind kind;
        const char *unit;
        enum ac_rca_bad bad;
        double measured, held;
        bool rise, fall;
    } cases[] = {{AC_RCA_LAT, "ms", AC_RCA_BAD_HIGH, 250, .25, true, false},
                 {AC_RCA_LAT, "", AC_RCA_BAD_HIGH, 250, 250, true, false},
                 {AC_RCA_ERR, "", AC_RCA_BAD_LOW, 99, 1, true, false},
                 {AC_RCA_ERR, "ratio", AC_RCA_BAD_LOW, .75, 25, true, false},
                 {AC_RCA_ERR, "ratio", AC_RCA_BAD_HIGH, .25, 25, true, false},
                 {AC_RCA_CPU, "%", AC_RCA_BAD_LOW, 70, 30, true, false},
                 {AC_RCA_CPU, "ratio", AC_RCA_BAD_LOW, .75, .25, true, false},
                 {AC_RCA_MEM, "MiB", AC_RCA_BAD_LOW, 2, -2097152, true, false},
                 {AC_RCA_LOAD, "1/s", AC_RCA_BAD_LOW, 9, 9, false, true},
                 {AC_RCA_NET, "", AC_RCA_BAD_BOTH, 9, 9, true, true}};
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        struct ac_rca_case *c = ac_rca_case_create();
        int a = ac_rca_component(c, "a");
        int at = ac_rca_metric_add(c, a, -1, cases[i].kind, AC_RCA_MEAN, "x");
        struct ac_rca_metric *m = &c->metrics[at];
        ac_rca_metric_push(m, 1, cases[i].measured); /* before it is known what it means */
        ac_rca_metric_means(m, "", AC_RCA_BAD_HIGH);
        ac_rca_metric_means(m, cases[i].unit, cases[i].bad);
        assert_float_equal(m->v[0], cases[i].held, 1e-12);
        assert_float_equal(ac_rca_held(m, cases[i].measured), cases[i].held, 1e-12);
        assert_float_equal(ac_rca_measured(m, m->v[0]), cases[i].measured, 1e-12);
        assert_int_equal(ac_rca_bad_rise(m), cases[i].rise);
        assert_int_equal(ac_rca_bad_fall(m), cases[i].fall);
        ac_rca_case_destroy(c);
    }
}

/* cart runs out of memory and gets slow, web waits for it and fails. written: in seconds, percent
 * of errors and used memory, or in milliseconds, share of successes and free memory. */
static struct ac_rca_case *shop(bool other_way)
{
    static const char *const heads[] = {
        "time,web_latency_s,web_error_percent,web_requests,cart_latency_s,cart_memory_used_percent",
        "time,web_latency_ms,web_success_ratio,web_requests,cart_latency_ms,cart_memory_free_"
        "percent"};
    struct ac_buf b;
    struct ac_rng rng;
    struct ac_rca_table t;
    ac_buf_init(&b, 1 << 20);
    ac_buf_printf(&b, "%s\n", heads[other_way]);
    ac_rng_seed(&rng, 7);
    for (int i = 0; i < 1000; i++) {
        bool bad = i >= 700;
        double cart = .02 + .002 * ac_rng_uniform(&rng) + .08 * bad;
        double web = .01 + cart + .001 * ac_rng_uniform(&rng);
        double errors = .1 * ac_rng_uniform(&rng) + 20.0 * bad;
        double used = 40 + ac_rng_uniform(&rng) + 50.0 * bad;
        double rate = 50 + ac_rng_uniform(&rng);
        if (other_way)
            ac_buf_printf(&b, "%d,%.9f,%.9f,%.3f,%.9f,%.9f\n", 1700000000 + i, 1e3 * web,
                          1 - errors / 100, rate, 1e3 * cart, 100 - used);
        else
            ac_buf_printf(&b, "%d,%.9f,%.9f,%.3f,%.9f,%.9f\n", 1700000000 + i, web, errors, rate,
                          cart, used);
    }
    struct ac_rca_case *c = ac_rca_case_create();
    assert_int_equal(ac_rca_table_parse("m.csv", b.data, b.len, &t, NULL), 0);
    assert_int_equal(ac_rca_table_add("m.csv", &t, 0, c, NULL), 0);
    ac_rca_table_fini(&t);
    ac_buf_fini(&b);
    assert_int_equal(ac_rca_edge_add(c, ac_rca_component_find(c, "web"),
                                     ac_rca_component_find(c, "cart"), "7 spans"),
                     0);
    return c;
}

static struct ac_rca_result answer_of(const struct ac_rca_case *c)
{
    struct ac_rca_params p = ac_rca_params_default(1700000700 * AC_NS_PER_S, 300 * AC_NS_PER_S);
    struct ac_rca_result r;
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    return r;
}

static void assert_says(const struct ac_rca_case *c, const struct ac_rca_result *r,
                        const char *words)
{
    struct ac_buf b;
    ac_buf_init(&b, 1 << 16);
    ac_rca_text(c, r, &b);
    if (!strstr(ac_buf_str(&b), words))
        print_error("%s\n", ac_buf_str(&b));
    assert_non_null(strstr(ac_buf_str(&b), words));
    ac_buf_fini(&b);
}

/* By how much the line of a measurement ends lower in a picture than it begins. */
static double drawn_fall(const struct ac_rca_case *c, const struct ac_rca_result *r,
                         const char *name)
{
    struct ac_buf svg;
    ac_buf_init(&svg, 1 << 22);
    assert_true(ac_rca_picture(c, r, &svg));
    const char *at = strstr(ac_buf_str(&svg), name);
    at = at ? strstr(at, "<path class=\"s\"") : NULL;
    at = at ? strstr(at, " d=\"M") : NULL;
    assert_non_null(at);
    const char *first = strchr(at + 5, ' '), *end = strchr(at + 5, '"'), *last = end;
    while (*last != ' ')
        last--;
    double fall = strtod(last, NULL) - strtod(first, NULL);
    ac_buf_fini(&svg);
    return fall;
}

static void an_answer_does_not_depend_on_how_it_was_written(void **state)
{
    (void)state;
    struct ac_rca_case *a = shop(false), *b = shop(true);
    struct ac_rca_result x = answer_of(a), y = answer_of(b);
    assert_string_equal(a->components[x.causes[0].component], "cart");
    assert_int_equal(x.ncauses, y.ncauses);
    for (size_t i = 0; i < x.ncauses; i++) {
        assert_int_equal(x.causes[i].component, y.causes[i].component);
        assert_float_equal(x.causes[i].score, y.causes[i].score, 1e-3);
    }
    assert_says(a, &x, "memory_used_percent of cart went from 40.5 to 90.5");
    assert_says(b, &y, "memory_free_percent of cart fell from 59.5 to 9.495 %");
    assert_says(b, &y, "latency_ms of cart went from 21");
    assert_says(b, &y, " ms (");
    struct ac_rca_counter k = ac_rca_counterfactual(b, &y);
    assert_true(k.known && k.low <= k.would && k.would <= k.high);
    assert_true(k.normal > 30 && k.normal < 33 && k.seen > 100); /* milliseconds */
    assert_true(drawn_fall(a, &x, "memory_used_percent") < -10);
    assert_true(drawn_fall(b, &y, "memory_free_percent") > 10); /* as it was measured */
    struct ac_buf svg;
    ac_buf_init(&svg, 1 << 22);
    assert_true(ac_rca_picture(b, &y, &svg));
    assert_non_null(strstr(ac_buf_str(&svg), " ms</text>"));
    ac_buf_fini(&svg);
    ac_rca_result_fini(&y);
    for (size_t i = 0; i < b->nmetrics; i++) /* only its successes tell of web */
        if (b->metrics[i].component == ac_rca_component_find(b, "web") &&
            b->metrics[i].kind == AC_RCA_LAT)
            b->metrics[i].kind = AC_RCA_OTHER;
    y = answer_of(b);
    k = ac_rca_counterfactual(b, &y);
    assert_string_equal(b->metrics[k.metric].name, "success_ratio");
    assert_true(k.known && k.low <= k.would && k.would <= k.high && k.high <= 1.01);
    assert_true(k.seen < .85 && k.would > .95 && k.normal > .99);
    ac_rca_result_fini(&x);
    ac_rca_result_fini(&y);
    ac_rca_case_destroy(a);
    ac_rca_case_destroy(b);
}

/* web knows how many requests it has, cart does not: its seconds are of each request. */
static void a_callee_without_a_rate_explains_its_caller(void **state)
{
    (void)state;
    struct ac_rca_case *c = shop(false);
    struct ac_rca_result r = answer_of(c);
    for (size_t i = 0; i < r.ncauses; i++)
        for (size_t k = 0; k < r.causes[i].nparts; k++)
            if (strcmp(c->components[r.causes[i].component], "web") == 0 &&
                r.causes[i].parts[k].kind == AC_RCA_LAT)
                assert_true(r.causes[i].parts[k].explained > .9);
    assert_int_equal(r.nnamed, 1);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

/* What the graph was told outweighs a name. */
static void what_is_told_is_believed(void **state)
{
    (void)state;
    struct ac_rca_case *c = shop(true);
    struct ac_rca_graph *g = ac_rca_graph_create();
    int n = ac_rca_graph_node(g, "cart", AC_RCA_MEM);
    assert_string_equal(g->nodes[n].unit, "bytes"); /* of the kind */
    assert_int_equal(g->nodes[n].bad, AC_RCA_BAD_HIGH);
    ac_rca_graph_describe(g, c);
    assert_string_equal(g->nodes[n].unit, "%");
    assert_int_equal(g->nodes[n].bad, AC_RCA_BAD_LOW);
    ac_rca_graph_instruct(g, c); /* read from a name: nothing to tell */
    const struct ac_rca_metric *m = ac_rca_graph_metric(c, &g->nodes[n]);
    assert_float_equal(ac_rca_measured(m, m->v[999]), 10, 1);
    ac_rca_graph_tell(&g->nodes[n], "%", AC_RCA_BAD_HIGH);
    ac_rca_graph_describe(g, c);
    assert_int_equal(g->nodes[n].bad, AC_RCA_BAD_HIGH);
    ac_rca_graph_instruct(g, c);
    struct ac_rca_result r = answer_of(c);
    for (size_t i = 0; i < r.ncauses; i++) /* less of it is no longer bad news */
        for (size_t k = 0; k < r.causes[i].nparts; k++)
            assert_true(r.causes[i].parts[k].kind != AC_RCA_MEM || r.causes[i].parts[k].z < 3);
    ac_rca_result_fini(&r);
    ac_rca_graph_destroy(g);
    ac_rca_case_destroy(c);
}

/* Of a rate that is bad when low a rise is no finding, and a fall is one. */
static void a_rate_may_be_bad_when_low_only(void **state)
{
    (void)state;
    for (int up = 0; up < 2; up++) {
        struct ac_rca_case *c = ac_rca_case_create();
        int a = ac_rca_component(c, "a");
        struct ac_rng rng;
        int at = ac_rca_metric_add(c, a, -1, AC_RCA_LOAD, AC_RCA_MEAN, "jobs");
        ac_rng_seed(&rng, 3);
        ac_rca_metric_means(&c->metrics[at], "1/s", AC_RCA_BAD_LOW);
        for (int i = 0; i < 1000; i++)
            ac_rca_metric_push(&c->metrics[at], (1700000000 + i) * AC_NS_PER_S,
                               100 + ac_rng_uniform(&rng) +
                                   (i < 700 ? 0
                                    : up    ? 80
                                            : -80));
        struct ac_rca_result r = answer_of(c);
        size_t n = 0;
        for (size_t k = 0; k < r.causes[0].nparts; k++)
            if (r.causes[0].parts[k].kind == AC_RCA_LOAD) {
                assert_true(r.causes[0].parts[k].down);
                n++;
            }
        assert_int_equal(n, up ? 0 : 1);
        assert_int_equal(r.shown[a].deviates, !up);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_metadata_are_spelled_alike),
        cmocka_unit_test(names_say_what_is_bad),
        cmocka_unit_test(values_are_held_one_way),
        cmocka_unit_test(an_answer_does_not_depend_on_how_it_was_written),
        cmocka_unit_test(a_callee_without_a_rate_explains_its_caller),
        cmocka_unit_test(what_is_told_is_believed),
        cmocka_unit_test(a_rate_may_be_bad_when_low_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
