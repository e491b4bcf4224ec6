/* Rules from healthy telemetry: silent on a healthy future, quick on faults. */
#include "healthy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>
#include <aceso/rules.h>

struct shape {
    const char *metric, *kind, *unit;
};
static const struct shape shapes[] = {{"rpc.server.duration.mean", "gauge", "s"},
                                      {"rpc.server.errors.ratio", "gauge", "1"},
                                      {"rpc.server.requests", "gauge", "{request}/s"},
                                      {"k8s.deployment.ready", "gauge", "{pod}"},
                                      {"k8s.pod.restarts", "counter", "1"}};

/* fault: from that point on the metric misbehaves; SIZE_MAX: never. */
static double sample(struct ac_rng *r, size_t shape, double level, size_t i, size_t fault)
{
    bool bad = i >= fault;
    switch (shape) {
    case 0: {
        double sum = 0;
        for (int k = 0; k < 20; k++)
            sum += level * (0.5 + 0.5 * ac_rng_exponential(r));
        return sum / 20 * (bad ? 5 : 1);
    }
    case 1:
        return bad ? 0.3 : ac_rng_below(r, 50) ? 0 : 0.02;
    case 2: {
        double expected = 2000 * level, sum = 0; /* a Poisson count near its normal form */
        sum = floor(expected + sqrt(expected) * ac_rng_normal(r) + 0.5);
        return bad ? sum * 0.1 : sum < 0 ? 0 : sum;
    }
    case 3:
        return bad ? 1 : 2;
    default:
        return bad ? 4 : 3;
    }
}

static void faults_fire_and_health_does_not(void **st)
{
    (void)st;
    struct ac_rng r;
    ac_rng_seed(&r, 11);
    size_t alarms = 0, series = 0;
    for (size_t round = 0; round < 60; round++) {
        size_t learn = 20 + ac_rng_below(&r, 21);
        double level = 0.01 + 0.03 * ac_rng_uniform(&r), v[5][40];
        struct healthy_series s[5];
        struct ac_label l[] = {{"route", "/search"}, {"pod", "a-1"}};
        for (size_t k = 0; k < 5; k++) {
            for (size_t i = 0; i < learn; i++)
                v[k][i] = sample(&r, k, level, i, SIZE_MAX);
            s[k] = (struct healthy_series){
                "search", shapes[k].metric, shapes[k].kind, shapes[k].unit, l, 2, v[k],
                learn,    1000000000};
        }
        struct healthy_rule *rules = NULL;
        size_t n = 0;
        assert_int_equal(healthy_train(s, 5, &rules, &n, NULL), 0);
        assert_int_equal(n, 5);
        for (size_t i = 0; i < n; i++) {
            struct ac_ruleset *set = NULL;
            assert_int_equal(ac_ruleset_parse(rules[i].text, strlen(rules[i].text), &set, NULL), 0);
            const struct ac_rule *rule = ac_ruleset_get(set, 0);
            size_t k = 0;
            while (strcmp(ac_rule_metric(rule), shapes[k].metric) != 0)
                k++;
            struct ac_label seen[] = {
                {"component", "search"}, {"route", "/search"}, {"pod", "b-7"}};
            assert_true(ac_rule_matches(rule, shapes[k].metric, seen, 3));
            struct ac_plan *p = NULL;
            assert_int_equal(ac_plan_create(&rule, 1, 0, &p, NULL), 0);
            struct ac_eval *e = ac_eval_create(p, 1);
            size_t fault = 120, found = 0;
            for (size_t t = 0; t < 130 && !found; t++) {
                bool flag = ac_eval_push(e, 0, sample(&r, k, level, t, fault));
                if (t < fault)
                    alarms += flag;
                else if (flag)
                    found = t - fault + 1;
            }
            if (!found || found > 6)
                fail_msg("%s: found after %zu points\n%s", shapes[k].metric, found, rules[i].text);
            series++;
            ac_eval_destroy(e);
            ac_plan_destroy(p);
            ac_ruleset_destroy(set);
        }
        healthy_rules_free(rules, n);
    }
    print_message("%zu alarms on %zu healthy series of 120 points\n", alarms, series);
    assert_true(alarms <= series / 100);
}

static void instances_share_a_rule_and_odd_names_do_no_harm(void **st)
{
    (void)st;
    double v[20];
    for (size_t i = 0; i < 20; i++)
        v[i] = 0.01 + 0.0001 * (double)(i % 3);
    struct ac_label a[] = {{"pod", "x-1"}, {"ro\"ute", "/a*\\b\n"}},
                    b[] = {{"pod", "x-2"}, {"ro\"ute", "/a*\\b\n"}};
    struct healthy_series s[] = {{"co\"mp", "x.duration", "gauge", "s", a, 2, v, 20, 0},
                                 {"co\"mp", "x.duration", "gauge", "s", b, 2, v, 20, 0},
                                 {"c", "cpu", "gauge", "1", NULL, 0, v, 20, 0},
                                 {"c", "x.duration", "gauge", "s", NULL, 0, v, 3, 0}};
    struct healthy_rule *rules = NULL;
    size_t n = 0;
    struct ac_err err = AC_ERR_INIT;
    if (healthy_train(s, 4, &rules, &n, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(n, 1);
    assert_int_equal(rules[0].series, 2);
    healthy_rules_free(rules, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_fire_and_health_does_not),
        cmocka_unit_test(instances_share_a_rule_and_odd_names_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
