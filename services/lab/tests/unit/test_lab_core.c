#include "objective.h"
#include "problem.h"
#include "session.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/str.h>

#define S 1000000000LL

static void ids_split_and_find(void **state)
{
    (void)state;
    char stem[LAB_NAME_MAX];
    unsigned task;
    int number;
    lab_problem_split_id("revoke_auth_mongodb-mitigation-2", stem, &task, &number);
    assert_string_equal(stem, "revoke_auth_mongodb");
    assert_int_equal(task, LAB_TASK_MITIGATION);
    assert_int_equal(number, 2);
    lab_problem_split_id("container_kill-detection", stem, &task, &number);
    assert_string_equal(stem, "container_kill");
    assert_int_equal(task, LAB_TASK_DETECTION);
    assert_int_equal(number, 0);
    lab_problem_split_id("k8s_target_port-misconfig-analysis-3", stem, &task, &number);
    assert_string_equal(stem, "k8s_target_port-misconfig");
    const struct lab_problem all[] = {
        {.stem = "a", .number = 2, .tasks = LAB_TASK_DETECTION},
        {.stem = "a", .number = 1, .tasks = LAB_TASK_DETECTION | LAB_TASK_MITIGATION},
    };
    assert_ptr_equal(lab_problem_find(all, 2, "a", &task), &all[1]);
    assert_int_equal(task, 0);
    assert_ptr_equal(lab_problem_find(all, 2, "a-2", &task), &all[0]);
    assert_null(lab_problem_find(all, 2, "a-mitigation-2", &task));
    assert_null(lab_problem_find(all, 2, "b", &task));
}

/* Two classes over 60 s: class 1 fails from second 40 to 49. */
static size_t make_points(struct lab_point *p)
{
    size_t n = 0;
    for (int t = 1; t <= 60; t++) {
        p[n++] = (struct lab_point){.time_ns = t * S, .cls = 0, .requests = 60, .p90_s = 0.020};
        p[n++] = (struct lab_point){.time_ns = t * S,
                                    .cls = 1,
                                    .requests = 2,
                                    .errors = t >= 40 && t < 50 ? 2 : 0,
                                    .p90_s = 0.030};
    }
    return n;
}

static void a_fault_shows_and_goes(void **state)
{
    (void)state;
    struct lab_point p[128];
    size_t n = make_points(p);
    struct lab_objective o;
    int cls = -1;
    assert_true(lab_objective_from_baseline(p, n, 2, 0, 30 * S, &o));
    assert_int_equal(lab_first_symptom(&o, p, n, 31 * S, 39 * S, 2, &cls), 0);
    assert_int_equal(lab_first_symptom(&o, p, n, 31 * S, 45 * S, 2, &cls), 40 * S);
    assert_int_equal(cls, 1);
    assert_false(lab_objective_holds(&o, p, n, 35 * S, 50 * S, &cls));
    assert_int_equal(cls, 1);
    assert_true(lab_objective_holds(&o, p, n, 50 * S, 61 * S, &cls));
    assert_false(lab_objective_holds(&o, p, n, 61 * S, 70 * S, &cls)); /* no requests: no proof */
}

static void slow_answers_break_the_objective_too(void **state)
{
    (void)state;
    struct lab_point p[128];
    size_t n = make_points(p);
    struct lab_objective o;
    int cls;
    assert_true(lab_objective_from_baseline(p, n, 2, 0, 30 * S, &o));
    struct lab_point slow = {.time_ns = 5 * S, .cls = 0, .requests = 5, .p90_s = 1.5};
    assert_true(lab_point_bad(&o, &slow));
    slow.p90_s = NAN;
    assert_false(lab_point_bad(&o, &slow));
    slow.requests = 0;
    slow.errors = 0;
    assert_false(lab_point_bad(&o, &slow));
    assert_false(lab_objective_from_baseline(p, n, 3, 0, 30 * S, &o)); /* a class that never ran */
    (void)cls;
}

static void scores_count_from_the_first_visible_effect(void **state)
{
    (void)state;
    struct lab_problem p = {.n_answers = 2};
    ac_str_copy(p.answers[0], LAB_NAME_MAX, "mongodb-geo");
    ac_str_copy(p.answers[1], LAB_NAME_MAX, "geo");
    struct lab_observed o = {.injected_ns = 100 * S,
                             .first_effect_ns = 102 * S,
                             .alert_ns = 105 * S,
                             .diagnosed_ns = 107 * S,
                             .root_cause = "geo",
                             .mitigated_ns = 110 * S,
                             .held_from_ns = 112 * S};
    struct lab_scores s;
    lab_score(&p, &o, &s);
    assert_true(s.detected && s.localised && s.mitigated);
    assert_float_equal(s.ttd_s, 3, 1e-9);
    assert_float_equal(s.ttl_s, 5, 1e-9);
    assert_float_equal(s.ttm_s, 10, 1e-9);
    o.alert_ns = 90 * S; /* a false alarm before the fault detects nothing */
    ac_str_copy(o.root_cause, LAB_NAME_MAX, "frontend");
    o.held_from_ns = 0;
    lab_score(&p, &o, &s);
    assert_false(s.detected || s.localised || s.mitigated);
    o.mitigated_ns = 0; /* it went away by itself: not the agent's merit */
    o.held_from_ns = 120 * S;
    lab_score(&p, &o, &s);
    assert_false(s.mitigated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_split_and_find),
        cmocka_unit_test(a_fault_shows_and_goes),
        cmocka_unit_test(slow_answers_break_the_objective_too),
        cmocka_unit_test(scores_count_from_the_first_visible_effect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
