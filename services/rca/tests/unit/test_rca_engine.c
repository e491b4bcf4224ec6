/* Localisation on made incidents whose truth is known, and on input that must not break it. */
#include "hotel.h"
#include "rca_answer.h"
#include "rca_baseline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>
#include <aceso/team.h>

static void assert_finite(const struct ac_rca_result *r)
{
    for (size_t i = 0; i < r->ncauses; i++) {
        assert_true(isfinite(r->causes[i].score));
        for (size_t j = 0; j < r->causes[i].nparts; j++) {
            assert_true(isfinite(r->causes[i].parts[j].z));
            assert_true(isfinite(r->causes[i].parts[j].part));
        }
    }
}

static const char *first(const struct ac_rca_case *c, const struct ac_rca_result *r)
{
    return c->components[r->causes[0].component];
}

static void check_fault(enum hotel_fault f, const char *truth, enum ac_rca_fault kind, bool events)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (int late = 0; late <= 12; late += 6) {
            struct hotel_opts o = {
                .fault = f, .healthy_s = 60, .faulty_s = 20, .no_events = !events, .seed = seed};
            struct ac_rca_case *c = hotel_case(&o);
            struct ac_rca_params p =
                ac_rca_params_default(hotel_fault_ns(&o) + late * AC_NS_PER_S, 20 * AC_NS_PER_S);
            struct ac_rca_result r;
            p.alerted = p.ongoing = true;
            assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
            assert_finite(&r);
            if (strcmp(first(c, &r), truth) != 0) {
                struct ac_buf b;
                ac_buf_init(&b, 1 << 20);
                ac_rca_json(c, &r, 5, 0, &b);
                print_error("seed %d late %d: %s\n", (int)seed, late, ac_buf_str(&b));
            }
            assert_string_equal(first(c, &r), truth);
            assert_int_equal(ac_rca_fault_of(c, &r, &r.causes[0]), kind);
            assert_false(r.abstained);
            assert_int_equal(r.nnamed, 1);
            assert_true(r.npath >= 1);
            assert_string_equal(c->components[r.path[r.npath - 1].effect], "frontend");
            for (size_t i = 0; i < r.npath; i++)
                assert_true(r.path[i].topology && r.path[i].deviation);
            assert_true(r.nimpact >= 1);
            ac_rca_result_fini(&r);
            ac_rca_case_destroy(c);
        }
    }
}

static void pod_failure_is_found(void **state)
{
    (void)state;
    check_fault(HOTEL_POD_FAILURE, "user", AC_RCA_FAULT_POD, true);
    check_fault(HOTEL_POD_FAILURE, "user", AC_RCA_FAULT_POD, false);
}

static void network_delay_is_found_at_the_pod_not_its_store(void **state)
{
    (void)state;
    check_fault(HOTEL_NETWORK_DELAY, "user", AC_RCA_FAULT_NETWORK, true);
    check_fault(HOTEL_NETWORK_DELAY, "user", AC_RCA_FAULT_NETWORK, false);
}

static void network_delay_inbound_is_found(void **state)
{
    (void)state;
    check_fault(HOTEL_NETWORK_INBOUND, "user", AC_RCA_FAULT_NETWORK, true);
    check_fault(HOTEL_NETWORK_INBOUND, "user", AC_RCA_FAULT_NETWORK, false);
}

static void revoked_grant_is_found_at_the_store(void **state)
{
    (void)state;
    check_fault(HOTEL_REVOKED, "mongodb-geo", AC_RCA_FAULT_STORE_AUTH, true);
    check_fault(HOTEL_REVOKED_COLD, "mongodb-geo", AC_RCA_FAULT_STORE_AUTH, true);
}

static void burning_processor_is_found(void **state)
{
    (void)state;
    check_fault(HOTEL_CPU, "rate", AC_RCA_FAULT_RESOURCE, true);
}

static void healthy_gives_no_answer(void **state)
{
    (void)state;
    int answered = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct hotel_opts o = {.healthy_s = 460, .seed = seed};
        struct ac_rca_case *c = hotel_case(&o);
        struct ac_rca_params p =
            ac_rca_params_default((HOTEL_T0_S + 430) * AC_NS_PER_S, 20 * AC_NS_PER_S);
        struct ac_rca_result r;
        p.threshold = ac_rca_calibrate(c, &p, p.t0_ns);
        assert_true(p.threshold > 0);
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        answered += !r.abstained;
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
    assert_true(answered <= 2);
}

static void bad_input_gives_no_nan(void **state)
{
    (void)state;
    static const double vs[] = {0, 1, -1, 1e300, -1e300, 1e-300, NAN, INFINITY, -INFINITY};
    for (int mode = 0; mode < 40; mode++) {
        struct ac_rca_case *c = ac_rca_case_create();
        struct ac_rca_result r;
        for (int i = 0; i < 6; i++) {
            char name[8] = {(char)('a' + i), 0};
            int comp = ac_rca_component(c, name);
            int m =
                ac_rca_metric_add(c, comp, i == 3 ? 0 : -1,
                                  (enum ac_rca_kind)((mode + i) % AC_RCA_NKINDS), AC_RCA_MEAN, "m");
            for (int t = 0; t < (mode * 7) % 50; t++)
                ac_rca_metric_push(&c->metrics[m], (1000 + t * (i + 1)) * AC_NS_PER_S,
                                   vs[(size_t)(mode + t * (mode % 3)) % AC_ARRAY_LEN(vs)]);
            if (i > 0)
                assert_int_equal(ac_rca_edge_add(c, i, i - 1, ""), 0);
        }
        assert_int_equal(ac_rca_edge_add(c, 0, 5, ""), 0); /* a cycle */
        ac_rca_case_one_statistic(c);
        struct ac_rca_params p = ac_rca_params_default(1020 * AC_NS_PER_S, 30 * AC_NS_PER_S);
        p.target = mode % 2 ? mode % 6 : -1;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        assert_finite(&r);
        struct ac_buf b;
        ac_buf_init(&b, 1 << 20);
        ac_rca_json(c, &r, 10, 0, &b);
        assert_false(b.failed);
        assert_null(strstr(ac_buf_str(&b), "nan"));
        assert_null(strstr(ac_buf_str(&b), ":inf"));
        ac_buf_fini(&b);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
}

static void empty_case_is_refused(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_params p = ac_rca_params_default(0, AC_NS_PER_S);
    struct ac_rca_result r;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_rca_localise(c, &p, &r, &err), AC_EINVAL);
    assert_int_equal(ac_rca_component(c, "a"), 0);
    p.t0_ns = INT64_MAX;
    assert_int_equal(ac_rca_localise(c, &p, &r, &err), AC_EINVAL);
    p.t0_ns = 0;
    assert_int_equal(ac_rca_localise(c, &p, &r, &err), 0);
    assert_true(r.abstained);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

static void late_time_is_corrected(void **state)
{
    (void)state;
    struct hotel_opts o = {.fault = HOTEL_CPU, .healthy_s = 600, .faulty_s = 200, .seed = 3};
    struct ac_rca_case *c = hotel_case(&o);
    int64_t truth = hotel_fault_ns(&o);
    for (int late = -60; late <= 120; late += 30) {
        struct ac_rca_params p =
            ac_rca_params_default(truth + late * AC_NS_PER_S, 200 * AC_NS_PER_S);
        int64_t t = ac_rca_onset(c, &p, NULL);
        assert_true(llabs(t - truth) <= 10 * AC_NS_PER_S || t == truth + late * AC_NS_PER_S);
    }
    assert_true(llabs(ac_rca_find_time(c) - truth) <= 10 * AC_NS_PER_S);
    ac_rca_case_destroy(c);
}

/* Calibration sorts each series once; its threshold is that of the windows scored one by one. */
static void calibration_is_what_its_windows_score(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, 3);
    for (int i = 0; i < 6; i++) {
        char name[8] = {(char)('a' + i), '\0'};
        int comp = ac_rca_component(c, name);
        static const enum ac_rca_kind kinds[] = {AC_RCA_LAT, AC_RCA_ERR, AC_RCA_LOAD};
        for (size_t k = 0; k < AC_ARRAY_LEN(kinds); k++) {
            int m = ac_rca_metric_add(c, comp, -1, kinds[k], AC_RCA_MEAN, "m");
            for (int64_t t = 0; t < 400; t++) /* many equal values, and samples that are missing */
                if (ac_rng_below(&rng, 10) > 0)
                    ac_rca_metric_push(&c->metrics[m], t * AC_NS_PER_S,
                                       k == 2 ? (double)ac_rng_below(&rng, 9)
                                              : fabs(ac_rng_normal(&rng)));
        }
    }
    struct ac_rca_params p = ac_rca_params_default(400 * AC_NS_PER_S, 15 * AC_NS_PER_S);
    int64_t end = 390 * AC_NS_PER_S, stride = end / (end / p.incident_ns);
    double threshold = ac_rca_calibrate(c, &p, end), best[64];
    p.team = ac_team_create(3);
    assert_true(ac_rca_calibrate(c, &p, end) == threshold);
    ac_team_destroy(p.team);
    p.team = NULL;
    size_t n = 0;
    p.margin_ns = 0;
    for (p.t0_ns = stride; p.t0_ns + p.incident_ns <= end && n < AC_ARRAY_LEN(best);
         p.t0_ns += stride)
        best[n++] = ac_rca_window_score(c, &p);
    assert_true(n > 20 && threshold > 0.0);
    assert_true(threshold == ac_rca_threshold(best, n));
    ac_rca_case_destroy(c);
}

/* Rows are five minutes apart; the step lies a row or two before the stated time, or nowhere. */
static void late_time_is_corrected_where_rows_are_few(void **state)
{
    (void)state;
    enum {
        ROW_S = 300,
        ROWS = 60
    };
    struct ac_rca_case *c = ac_rca_case_create();
    int64_t truth = (ROWS - 4) * ROW_S * AC_NS_PER_S;
    for (int i = 0; i < 2; i++) {
        int comp = ac_rca_component(c, i ? "busy" : "calm");
        int m = ac_rca_metric_add(c, comp, -1, AC_RCA_LAT, AC_RCA_MEAN, "lat");
        for (int64_t t = 0; t < ROWS; t++)
            ac_rca_metric_push(&c->metrics[m], t * ROW_S * AC_NS_PER_S,
                               1.0 + 0.05 * (double)(t % 3) +
                                   (i && t * ROW_S * AC_NS_PER_S >= truth ? 2.0 : 0.0));
    }
    for (int late = 0; late <= 2; late++) {
        struct ac_rca_params p =
            ac_rca_params_default(truth + late * ROW_S * AC_NS_PER_S, 4 * ROW_S * AC_NS_PER_S);
        assert_true(ac_rca_onset(c, &p, NULL) == truth);
        p.target = 1;
        p.target_kind = AC_RCA_LAT;
        assert_true(ac_rca_onset(c, &p, NULL) == truth);
    }
    struct ac_rca_params calm =
        ac_rca_params_default(truth - 30 * ROW_S * AC_NS_PER_S, 4 * ROW_S * AC_NS_PER_S);
    assert_true(ac_rca_onset(c, &calm, NULL) >= calm.t0_ns - 2 * ROW_S * AC_NS_PER_S);
    ac_rca_case_destroy(c);
}

/* A busy component, by 40 give or take `wander`, is half of what its caller fails more; `own` is
 * the caller's. */
static struct ac_rca_case *step_case(uint64_t seed, double wander, double own)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, seed);
    int caller = ac_rca_component(c, "web"), callee = ac_rca_component(c, "db");
    int y = ac_rca_metric_add(c, caller, -1, AC_RCA_ERR, AC_RCA_MEAN, "errors");
    int x = ac_rca_metric_add(c, callee, -1, AC_RCA_CPU, AC_RCA_MEAN, "cpu");
    assert_int_equal(ac_rca_edge_add(c, caller, callee, "12 spans"), 0);
    for (int64_t t = 0; t < 500; t++) {
        double busy = t < 400 ? 0.0 : 40.0 + wander * (2.0 * ac_rng_uniform(&rng) - 1.0);
        double waves = t < 400 || own == 0.0 ? 0.0 : own + 4.0 * (double)((t / 5) % 2) - 2.0;
        ac_rca_metric_push(&c->metrics[x], t * AC_NS_PER_S, 10 + 8 * busy + ac_rng_normal(&rng));
        ac_rca_metric_push(&c->metrics[y], t * AC_NS_PER_S,
                           5 + 0.5 * busy + waves + ac_rng_normal(&rng));
    }
    return c;
}

static void counterfactual_holds_the_truth(void **state)
{
    (void)state;
    int held = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct ac_rca_case *c = step_case(seed, 10.0, 20.0);
        struct ac_rca_params p = ac_rca_params_default(400 * AC_NS_PER_S, 100 * AC_NS_PER_S);
        struct ac_rca_result r;
        p.keep_time = true;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        assert_string_equal(first(c, &r), "db");
        struct ac_rca_counter k = ac_rca_counterfactual(c, &r);
        assert_true(k.known);
        assert_string_equal(c->components[k.effect], "web");
        assert_int_equal(k.rows, 100);
        assert_true(k.together);
        assert_true(k.low <= k.would && k.would <= k.high && k.would < k.seen);
        held += k.low <= 25.0 && 25.0 <= k.high; /* 5 of normal, 20 of its own */
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
    print_message("the interval held the truth in %d of 40\n", held);
    assert_true(held >= 30);
}

/* Both step at once and only chance moves them afterwards: the level's uncertainty is all there is,
 * and that the cause did it is said to be taken for granted. */
static void steps_that_begin_together_are_told(void **state)
{
    (void)state;
    int held = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct ac_rca_case *c = step_case(seed, 0.0, 0.0);
        struct ac_rca_params p = ac_rca_params_default(400 * AC_NS_PER_S, 100 * AC_NS_PER_S);
        struct ac_rca_result r;
        struct ac_buf b;
        ac_buf_init(&b, 4096);
        p.keep_time = true;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        struct ac_rca_counter k = ac_rca_counterfactual(c, &r);
        assert_true(k.known && !k.together);
        assert_true(ac_rca_counter_text(c, &r, &k, &b));
        assert_non_null(strstr(ac_buf_str(&b), "if all that began with it is its doing"));
        held += k.low <= 5.0 && 5.0 <= k.high;
        ac_buf_fini(&b);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
    print_message("the interval held the truth in %d of 40\n", held);
    assert_true(held >= 30);
}

static void answer_says_what_would_change_it(void **state)
{
    (void)state;
    struct hotel_opts o = {.fault = HOTEL_REVOKED, .healthy_s = 60, .faulty_s = 20, .seed = 1};
    struct ac_rca_case *c = hotel_case(&o);
    struct ac_rca_params p = ac_rca_params_default(hotel_fault_ns(&o), 20 * AC_NS_PER_S);
    struct ac_rca_result r;
    p.ongoing = true;
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    struct ac_rca_counter k = ac_rca_counterfactual(c, &r);
    assert_true(k.known && k.share > 0.5 && k.would < k.seen);
    assert_true(ac_rca_score_without(&r.causes[0], r.causes[0].nparts) == r.causes[0].score);
    assert_true(ac_rca_score_without(&r.causes[0], 0) < r.causes[0].score);
    assert_true(ac_rca_confidence(&r, 0) > ac_rca_confidence(&r, 1));
    struct ac_rca_cause two[] = {{.score = 2.0}, {.score = 1.0}};
    struct ac_rca_result plain = {.causes = two, .ncauses = 2};
    assert_float_equal(ac_rca_confidence(&plain, 0), 8.0 / 9.0, 1e-12); /* cubes, shared out */
    assert_float_equal(ac_rca_confidence(&plain, 1), 1.0 / 9.0, 1e-12);
    struct ac_buf b;
    ac_buf_init(&b, 1 << 20);
    ac_rca_json(c, &r, 10, 0, &b);
    assert_non_null(strstr(ac_buf_str(&b), "\"counterfactual\":{\"component\":"));
    assert_non_null(strstr(ac_buf_str(&b), "\"would_change\":[\""));
    ac_buf_reset(&b);
    ac_rca_result_fini(&r);
    p.threshold = 1e6; /* nothing passes */
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    assert_true(r.abstained && !ac_rca_counterfactual(c, &r).known);
    ac_rca_change_texts(c, &r, &b);
    assert_non_null(strstr(ac_buf_str(&b), "it would be named above"));
    ac_buf_fini(&b);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

/* Calls that go round and components without a measurement are told by their names. */
static void odd_calls_are_told(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    static const char *const calls[][2] = {
        {"web", "cart"}, {"cart", "stock"}, {"stock", "price"}, {"price", "cart"}, {"price", "db"}};
    for (size_t i = 0; i < AC_ARRAY_LEN(calls); i++)
        assert_int_equal(ac_rca_edge_add(c, ac_rca_component(c, calls[i][0]),
                                         ac_rca_component(c, calls[i][1]), ""),
                         0);
    for (int i = 0; i < 4; i++) { /* nothing of db */
        int m = ac_rca_metric_add(c, i, -1, AC_RCA_LAT, AC_RCA_MEAN, "lat");
        for (int64_t t = 0; t < 400; t++)
            ac_rca_metric_push(&c->metrics[m], t * AC_NS_PER_S,
                               (double)(t * 7 % 11) + (i == 1 && t >= 300 ? 90.0 : 0.0));
    }
    struct ac_rca_params p = ac_rca_params_default(300 * AC_NS_PER_S, 100 * AC_NS_PER_S);
    struct ac_rca_result r;
    struct ac_buf b;
    ac_buf_init(&b, 1 << 16);
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    ac_rca_change_texts(c, &r, &b);
    assert_non_null(strstr(ac_buf_str(&b), "calls go round: cart, stock, price, cart:"));
    assert_non_null(strstr(ac_buf_str(&b), "nothing is measured of db,"));
    ac_rca_result_fini(&r);
    ac_buf_fini(&b);
    ac_rca_case_destroy(c);
}

/* The entry fails as seen from outside. Who is blamed depends on what a callee shows. */
static double entry_score(bool callee_shows, bool edge)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_params p = ac_rca_params_default(300 * AC_NS_PER_S, 100 * AC_NS_PER_S);
    struct ac_rca_result r;
    int web = ac_rca_component(c, "web"), db = ac_rca_component(c, "db");
    int out = ac_rca_metric_add(c, web, -1, AC_RCA_SLI, AC_RCA_MEAN, "failed");
    int mem = ac_rca_metric_add(c, db, -1, AC_RCA_MEM, AC_RCA_MEAN, "mem");
    double score = 0;
    for (int64_t t = 0; t < 400; t++) {
        double in = t < 300 ? 0.0 : 1.0, wiggle = 0.1 * (double)(t % 5);
        ac_rca_metric_push(&c->metrics[out], t * AC_NS_PER_S, wiggle + 5.0 * in);
        ac_rca_metric_push(&c->metrics[mem], t * AC_NS_PER_S,
                           10 + wiggle + (callee_shows ? 9.0 * in : 0.0));
    }
    if (edge)
        assert_int_equal(ac_rca_edge_add(c, web, db, ""), 0);
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    for (size_t i = 0; i < r.ncauses; i++) {
        for (size_t j = 1; j < r.causes[i].nparts; j++)
            assert_true(r.causes[i].parts[j - 1].part >= r.causes[i].parts[j].part);
        if (r.causes[i].component == web)
            score = r.causes[i].score;
    }
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
    return score;
}

static void failures_seen_outside_are_shared_with_callees(void **state)
{
    (void)state;
    double alone = entry_score(true, false);
    assert_true(alone > 0.5);
    assert_true(entry_score(true, true) < 0.9 * alone);
    assert_true(entry_score(false, true) > 0.9 * alone);
}

/* Two components, one of which triples at the stated time; memory in bytes must not decide. */
static void simple_scorers_rank_by_deviation(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_params p = ac_rca_params_default(100 * AC_NS_PER_S, 50 * AC_NS_PER_S);
    static const char *const names[] = {"calm", "busy"};
    for (int i = 0; i < 2; i++) {
        int comp = ac_rca_component(c, names[i]);
        int lat = ac_rca_metric_add(c, comp, -1, AC_RCA_LAT, AC_RCA_MEAN, "lat");
        int mem = ac_rca_metric_add(c, comp, -1, AC_RCA_MEM, AC_RCA_MEAN, "mem");
        for (int64_t t = 0; t < 150; t++) {
            double in = t >= 100 ? 1.0 + (double)(t % 5) / 10 : 0.0;
            ac_rca_metric_push(&c->metrics[lat], t * AC_NS_PER_S,
                               1.0 + (double)(t % 7) / 10 + (i == 1 ? 3 * in : 0.1 * in));
            ac_rca_metric_push(&c->metrics[mem], t * AC_NS_PER_S,
                               2e8 + (double)(t % 2) * 1e6 * (i + 1));
        }
    }
    p.target = 1;
    for (int kind = 0; kind < 3; kind++) {
        struct ac_rca_result r;
        assert_int_equal(ac_rca_baseline_rank(c, &p, (enum ac_rca_baseline)kind, &r, NULL), 0);
        assert_string_equal(c->components[r.causes[0].component], "busy");
        assert_true(r.causes[0].score > r.causes[1].score);
        ac_rca_result_fini(&r);
    }
    struct ac_rca_result r;
    struct ac_err err = AC_ERR_INIT;
    p.target = -1;
    assert_int_equal(ac_rca_baseline_rank(c, &p, AC_RCA_CORRELATION, &r, &err), AC_EINVAL);
    p.without = 1u << AC_RCA_LAT; /* ablation: a part that is left out counts nothing */
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    assert_true(r.causes[0].nparts == 0 || r.causes[0].parts[0].kind != AC_RCA_LAT);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

/* One error line a bin of 10 s from 600 s on, beside quiet measurements of every second: the minute
 * before and behind is six bins of the lines, not sixty. */
static void bins_are_compared_by_time(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, 9);
    for (int i = 0; i < 8; i++) {
        char name[16];
        bool lines = i >= 4;
        (void)snprintf(name, sizeof(name), "c%d", i);
        int m = ac_rca_metric_add(c, ac_rca_component(c, name), -1,
                                  lines ? AC_RCA_LOGERR : AC_RCA_CPU, AC_RCA_MEAN, "m");
        for (int t = 0; t < 1000; t += lines ? 10 : 1)
            ac_rca_metric_push(&c->metrics[m], (1700000000LL + t) * AC_NS_PER_S,
                               (lines ? ac_rng_uniform(&rng) : ac_rng_normal(&rng)) +
                                   (lines && t >= 600 ? 8 : 0));
    }
    struct ac_rca_params p =
        ac_rca_params_default((1700000000LL + 680) * AC_NS_PER_S, 200 * AC_NS_PER_S);
    int64_t off_ns = ac_rca_onset(c, &p, NULL) - 1700000600LL * AC_NS_PER_S;
    assert_true(off_ns > -10 * AC_NS_PER_S && off_ns <= 0); /* within the bin */
    ac_rca_case_destroy(c);
}

/* Two ways of the same length from the cause to the entry: the call that is stated first. */
static void the_first_of_two_ways_is_the_path(void **state)
{
    (void)state;
    static const char *const names[] = {"db", "a", "b", "entry"};
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, 9);
    for (int i = 0; i < 4; i++) {
        int m = ac_rca_metric_add(c, ac_rca_component(c, names[i]), -1, AC_RCA_LAT, AC_RCA_MEAN,
                                  "latency");
        for (int t = 0; t < 600; t++)
            ac_rca_metric_push(&c->metrics[m], (1700000000LL + t) * AC_NS_PER_S,
                               i + 1 + .05 * ac_rng_uniform(&rng) + (t >= 400 ? 4 : 0));
    }
    static const int calls[][2] = {{3, 2}, {3, 1}, {1, 0}, {2, 0}};
    for (size_t i = 0; i < AC_ARRAY_LEN(calls); i++)
        assert_int_equal(ac_rca_edge_add(c, calls[i][0], calls[i][1], ""), 0);
    struct ac_rca_params p =
        ac_rca_params_default((1700000000LL + 400) * AC_NS_PER_S, 200 * AC_NS_PER_S);
    struct ac_rca_result r;
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    assert_string_equal(first(c, &r), "db");
    assert_int_equal(r.npath, 2);
    assert_string_equal(c->components[r.path[0].effect], "b");
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_scorers_rank_by_deviation),
        cmocka_unit_test(pod_failure_is_found),
        cmocka_unit_test(network_delay_is_found_at_the_pod_not_its_store),
        cmocka_unit_test(network_delay_inbound_is_found),
        cmocka_unit_test(revoked_grant_is_found_at_the_store),
        cmocka_unit_test(burning_processor_is_found),
        cmocka_unit_test(healthy_gives_no_answer),
        cmocka_unit_test(bad_input_gives_no_nan),
        cmocka_unit_test(empty_case_is_refused),
        cmocka_unit_test(late_time_is_corrected),
        cmocka_unit_test(calibration_is_what_its_windows_score),
        cmocka_unit_test(failures_seen_outside_are_shared_with_callees),
        cmocka_unit_test(counterfactual_holds_the_truth),
        cmocka_unit_test(steps_that_begin_together_are_told),
        cmocka_unit_test(answer_says_what_would_change_it),
        cmocka_unit_test(odd_calls_are_told),
        cmocka_unit_test(bins_are_compared_by_time),
        cmocka_unit_test(the_first_of_two_ways_is_the_path),
        cmocka_unit_test(late_time_is_corrected_where_rows_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
