/* Problem files and stored states. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "adapters/problem_yaml.h"
#include "adapters/store.h"

#define HEAD "stem: a\napplication: hotel\nsummary: s\n"

static void the_problems_we_ship_load(void **state)
{
    (void)state;
    struct lab_problem *p;
    size_t n;
    struct ac_err err = AC_ERR_INIT;
    unsigned task;
    if (lab_problems_load("services/lab/problems", &p, &n, &err) != 0)
        fail_msg("%s", err.msg);
    static const char *const ids[] = {"pod_kill_hotel_res-mitigation-1",
                                      "network_delay_hotel_res-detection-1",
                                      "revoke_auth_mongodb-analysis-2", "revoke_auth_mongodb"};
    for (size_t i = 0; i < AC_ARRAY_LEN(ids); i++)
        assert_non_null(lab_problem_find(p, n, ids[i], &task));
    const struct lab_problem *revoke = lab_problem_find(p, n, "revoke_auth_mongodb", &task);
    assert_string_equal(revoke->faults[0].user, "admin");
    assert_string_equal(revoke->faults[0].key, "admin-password");
    lab_problems_free(p, n);
}

static void a_mistake_is_one_line_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"stem: a\napplicaton: hotel\n", "f.yaml:2:13: unknown key 'applicaton'"},
        {HEAD "variants: []\n", "f.yaml:1:1: 'tasks' must be a list"},
        {HEAD "tasks: [fix]\n",
         "f.yaml:4:9: a task is detection, localization, analysis or mitigation"},
        {HEAD "tasks: [detection]\nvariants:\n- number: 0\n  answers: []\n  faults: []\n",
         "f.yaml:6:11: 'number' must be 1 to 999"},
        {HEAD "tasks: [detection]\nvariants:\n- number: 1\n  answers: [x]\n  faults:\n  - kind: "
              "network_delay\n    component: x\n    latency: soon\n",
         "f.yaml:11:14: 'soon' is no duration (as 10s)"},
        {HEAD "tasks: [detection]\nvariants:\n- number: 1\n  answers: [x]\n  faults:\n  - kind: "
              "sql\n    component: x\n",
         "f.yaml:9:5: key 'user' is missing"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        struct lab_problem *p = NULL;
        size_t n = 0;
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(
            lab_problems_parse("f.yaml", bad[i].text, strlen(bad[i].text), &p, &n, &err),
            AC_EINVAL);
        assert_string_equal(err.msg, bad[i].message);
        lab_problems_free(p, n);
    }
}

static void a_state_reads_back_as_it_was(void **state)
{
    (void)state;
    struct lab_state s = {.id = "x", .seed = 7, .phase = LAB_PHASE_AGENT, .void_run = true}, back;
    ac_str_copy(s.reason, sizeof(s.reason), "errors: 1 \"usually\" 0");
    ac_str_copy(s.classes[0], sizeof(s.classes[0]), "search");
    ac_str_copy(s.evidence[0], sizeof(s.evidence[0]), "first");
    s.n_classes = s.n_evidence = s.objective.classes = 1;
    s.objective.max_error_ratio[0] = 0.02;
    s.objective.max_p90_s[0] = 0.25;
    s.seen.injected_ns = 1700000000123456789;
    s.scores.ttm_s = 1.5;
    char *text = lab_state_text(&s);
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(lab_state_parse(text, &back, &err), 0);
    assert_memory_equal(&s, &back, sizeof(s));
    free(text);
    assert_int_equal(lab_state_parse("{", &back, &err), AC_EINVAL);
    assert_int_equal(lab_state_parse("{}", &back, &err), 0); /* missing keys are zero */
    assert_int_equal(back.phase, LAB_PHASE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_problems_we_ship_load),
        cmocka_unit_test(a_mistake_is_one_line_with_its_place),
        cmocka_unit_test(a_state_reads_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
