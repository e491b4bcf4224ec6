/* An answer as a picture: rows in order of onset, the root cause marked, proofs as they are, XML
 * whatever the names and numbers are. */
#include "hotel.h"
#include "rca_picture.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>
#include <aceso/testkit.h>

#define T0 (1700000000 * AC_NS_PER_S)

static char *draw(const struct ac_rca_case *c, const struct ac_rca_result *r)
{
    struct ac_buf b;
    ac_buf_init(&b, 8u << 20);
    assert_true(ac_rca_picture(c, r, &b));
    return ac_buf_take(&b);
}

/* A measurement that goes from 1 to 1 + by at a second of the incident. */
static void measure(struct ac_rca_case *c, const char *component, enum ac_rca_kind kind,
                    const char *name, int at_s, double by, struct ac_rng *rng)
{
    int m = ac_rca_metric_add(c, ac_rca_component(c, component), -1, kind, AC_RCA_MEAN, name);
    for (int t = -200; t < 60; t++)
        ac_rca_metric_push(&c->metrics[m], T0 + t * AC_NS_PER_S,
                           1 + 0.02 * ac_rng_uniform(rng) + (t >= at_s ? by : 0.0));
}

/* web calls cart calls db; db is slow at once, its callers follow; other is healthy. */
static struct ac_rca_case *shop(void)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, 7);
    measure(c, "web<1>", AC_RCA_LAT, "latency_web", 20, 4, &rng);
    measure(c, "cart", AC_RCA_LAT, "latency_cart", 10, 4, &rng);
    measure(c, "db", AC_RCA_CPU, "cpu_db", 0, 6, &rng);
    measure(c, "db", AC_RCA_LAT, "latency_db", 1, 4, &rng);
    measure(c, "other", AC_RCA_LAT, "latency_other", 1000, 0, &rng);
    assert_int_equal(ac_rca_edge_add(c, 0, 1, "12 spans & more"), 0);
    assert_int_equal(ac_rca_edge_add(c, 1, 2, ""), 0);
    return c;
}

static void localise(const struct ac_rca_case *c, struct ac_rca_result *r)
{
    struct ac_rca_params p = ac_rca_params_default(T0, 60 * AC_NS_PER_S);
    p.keep_time = true;
    assert_int_equal(ac_rca_localise(c, &p, r, NULL), 0);
}

static size_t count(const char *s, const char *what)
{
    size_t n = 0;
    for (; (s = strstr(s, what)); s++)
        n++;
    return n;
}

static void rows_stand_in_order_of_onset(void **state)
{
    (void)state;
    static const char *const order[] = {">cpu_db<", ">latency_db<", ">latency_cart<",
                                        ">latency_web<"};
    struct ac_rca_case *c = shop();
    struct ac_rca_result r;
    localise(c, &r);
    assert_string_equal(c->components[r.causes[0].component], "db");
    char *s = draw(c, &r), *again = draw(c, &r);
    ac_kit_well_formed(s);
    assert_string_equal(s, again);
    const char *last = s;
    for (size_t i = 0; i < AC_ARRAY_LEN(order); i++) {
        const char *at = strstr(s, order[i]);
        assert_non_null(at);
        assert_true(at > last);
        last = at;
    }
    assert_null(strstr(s, "latency_other"));
    assert_non_null(strstr(s, "Root cause: db"));
    assert_int_equal(count(s, "<path class=\"s\""), 4);
    assert_int_equal(count(s, "<path class=\"f0\""), 3); /* the legend's and the two of db */
    const char *arrow = strstr(strstr(s, order[0]), " \xe2\x86\x92 "), *before = arrow;
    while (before[-1] != '>')
        before--;
    assert_true(fabs(strtod(before, NULL) - 1.01) < 0.01);
    assert_true(fabs(strtod(arrow + 5, NULL) - 7.01) < 0.01);
    assert_non_null(strstr(s, "prefers-color-scheme:dark"));
    free(s);
    free(again);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

static void proofs_are_shown_as_they_are(void **state)
{
    (void)state;
    struct ac_rca_case *c = shop();
    struct ac_rca_result r;
    localise(c, &r);
    assert_int_equal(r.npath, 2);
    char *s = draw(c, &r);
    assert_int_equal(count(s, "\xe2\x9c\x93 "), 6);
    assert_null(strstr(s, "\xe2\x9c\x97"));
    assert_non_null(strstr(s, "12 spans &amp; more"));
    assert_int_equal(count(s, "<path class=\"edge\""), 2);
    assert_null(strstr(s, "stroke-dasharray=\"6 4\""));
    free(s);
    r.path[1].order = false;
    s = draw(c, &r);
    ac_kit_well_formed(s);
    assert_int_equal(count(s, "\xe2\x9c\x93 "), 5);
    assert_int_equal(count(s, "\xe2\x9c\x97 "), 1);
    assert_int_equal(count(s, "stroke-dasharray=\"6 4\""), 1);
    free(s);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

/* No answer: what deviates all the same, nothing marked, no graph. */
static void without_an_answer_nothing_is_marked(void **state)
{
    (void)state;
    struct ac_rca_case *c = shop();
    struct ac_rca_result r;
    localise(c, &r);
    r.abstained = true;
    char *s = draw(c, &r);
    ac_kit_well_formed(s);
    assert_non_null(strstr(s, "No root cause"));
    assert_int_equal(count(s, "<path class=\"s\""), 4);
    assert_int_equal(count(s, "<path class=\"f0\""), 1);
    assert_null(strstr(s, "class=\"own\""));
    assert_null(strstr(s, "How it travels"));
    free(s);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

static void what_has_no_room_is_counted(void **state)
{
    (void)state;
    struct ac_rca_case *c = shop();
    struct ac_rng rng;
    ac_rng_seed(&rng, 8);
    for (int i = 0; i < 60; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "front%d", i);
        measure(c, name, AC_RCA_LAT, "latency", 30, 2, &rng);
        assert_int_equal(ac_rca_edge_add(c, ac_rca_component_find(c, name), 1, ""), 0);
    }
    struct ac_rca_result r;
    localise(c, &r);
    assert_string_equal(c->components[r.causes[0].component], "db");
    char *s = draw(c, &r);
    ac_kit_well_formed(s);
    assert_int_equal(count(s, "<path class=\"s\""), AC_RCA_PICTURE_ROWS);
    assert_non_null(strstr(s, "and 24 more")); /* rows: 64 of which 40 are drawn */
    assert_non_null(strstr(s, "and 39 more")); /* components: 63 of which 24 are drawn */
    assert_non_null(strstr(s, ">cpu_db<"));
    free(s);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

static void faults_of_an_application_are_drawn(void **state)
{
    (void)state;
    static const enum hotel_fault faults[] = {HOTEL_HEALTHY, HOTEL_POD_FAILURE, HOTEL_NETWORK_DELAY,
                                              HOTEL_REVOKED, HOTEL_CPU};
    for (size_t i = 0; i < AC_ARRAY_LEN(faults); i++) {
        struct hotel_opts o = {.fault = faults[i], .healthy_s = 60, .faulty_s = 20, .seed = 3};
        struct ac_rca_case *c = hotel_case(&o);
        struct ac_rca_params p = ac_rca_params_default(hotel_fault_ns(&o), 20 * AC_NS_PER_S);
        struct ac_rca_result r;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        char *s = draw(c, &r);
        ac_kit_well_formed(s);
        assert_true(strlen(s) < 400000);
        if (faults[i] != HOTEL_HEALTHY)
            assert_non_null(strstr(s, "class=\"own\""));
        free(s);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
}

static void any_numbers_and_names_are_drawn(void **state)
{
    (void)state;
    static const double odd[] = {0, 1, -1, 1e99, -1e99, 1e300, 5e-324, 42, -3e15};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct ac_rng rng;
        ac_rng_seed(&rng, seed);
        struct ac_rca_case *c = ac_rca_case_create();
        size_t n = 1 + ac_rng_below(&rng, 6);
        int64_t step = (int64_t)(1 + ac_rng_below(&rng, 600)) * AC_NS_PER_S;
        for (size_t i = 0; i < n; i++) {
            char name[] = "a\"<&\x01\xff";
            name[0] = (char)('a' + i);
            int m = ac_rca_metric_add(c, ac_rca_component(c, name), -1,
                                      (enum ac_rca_kind)ac_rng_below(&rng, AC_RCA_NKINDS),
                                      AC_RCA_MEAN, name);
            size_t len = ac_rng_below(&rng, 400);
            for (size_t t = 0; t < len; t++)
                ac_rca_metric_push(&c->metrics[m], T0 + ((int64_t)t - 200) * step,
                                   odd[ac_rng_below(&rng, AC_ARRAY_LEN(odd))]);
            if (i)
                assert_int_equal(ac_rca_edge_add(c, (int)i, (int)ac_rng_below(&rng, i), name), 0);
        }
        struct ac_rca_params p =
            ac_rca_params_default(T0, (int64_t)(1 + ac_rng_below(&rng, 100000)) * AC_NS_PER_S);
        struct ac_rca_result r;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        char *s = draw(c, &r);
        if (strlen(s) > 200000)
            fail_msg("seed %llu: %zu bytes", (unsigned long long)seed, strlen(s));
        ac_kit_well_formed(s);
        free(s);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stand_in_order_of_onset),
        cmocka_unit_test(proofs_are_shown_as_they_are),
        cmocka_unit_test(without_an_answer_nothing_is_marked),
        cmocka_unit_test(what_has_no_room_is_counted),
        cmocka_unit_test(faults_of_an_application_are_drawn),
        cmocka_unit_test(any_numbers_and_names_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
