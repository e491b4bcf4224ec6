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

/* An application under load on a machine that others use too: Poisson traffic, latencies with a
 * tail, error ratios that are nearly always 0, and now and then a pause of a second or three in
 * which everything is slow and answers come late. quick: points until a fault must be found. */
struct shape {
    const char *metric, *kind, *unit;
    double a; /* usual value, or requests a second */
    size_t quick;
};
enum {
    BUSY,
    SPARSE,
    ERRORS,
    MANY,
    SOME,
    READY,
    RESTARTS,
    TOTAL,
    SHAPES
};
static const struct shape shapes[SHAPES] = {
    [BUSY] = {"rpc.server.duration.p90", "gauge", "s", 0.006, 9},
    [SPARSE] = {"rpc.client.duration.p90", "gauge", "s", 0.003, 5},
    [ERRORS] = {"rpc.server.errors.ratio", "gauge", "1", 0, 3},
    [MANY] = {"rpc.server.requests", "gauge", "{request}/s", 50, 6},
    [SOME] = {"rpc.client.requests", "gauge", "{request}/s", 16, 12},
    [READY] = {"k8s.pod.ready", "gauge", "1", 1, 2},
    [RESTARTS] = {"k8s.container.restarts", "gauge", "{restart}", 2, 1},
    [TOTAL] = {"k8s.pod.restarts", "counter", "1", 3, 1},
};

struct machine {
    struct ac_rng rng;
    unsigned pause; /* seconds left */
    double slow;    /* factor of this second */
    double held[SHAPES];
};

static void next_second(struct machine *m)
{
    if (m->pause)
        m->pause--;
    else if (ac_rng_below(&m->rng, 40) == 0)
        m->pause = 1 + (unsigned)ac_rng_below(&m->rng, 3);
    m->slow = m->pause ? 5 + 95 * ac_rng_uniform(&m->rng) : 1;
}

static double poisson(struct ac_rng *r, double mean)
{
    unsigned n = 0;
    for (double t = ac_rng_exponential(r); t < mean; t += ac_rng_exponential(r))
        n++;
    return n;
}

/* NaN: no point in this second. */
static double sample(struct machine *m, size_t k, bool bad)
{
    struct ac_rng *r = &m->rng;
    const struct shape *s = &shapes[k];
    double n;
    switch (k) {
    case BUSY:
    case SPARSE:
        if (k == SPARSE && ac_rng_below(r, 5) >= 2)
            return NAN;
        return s->a * exp(0.4 * ac_rng_normal(r)) * m->slow + (bad ? 0.1 : 0);
    case ERRORS:
        return bad                                   ? 0.3
               : m->pause && ac_rng_below(r, 4) == 0 ? 0.07
               : ac_rng_below(r, 50)                 ? 0
                                                     : 0.02;
    case MANY:
    case SOME:
        n = poisson(r, s->a * (bad ? 0.1 : 1)) + m->held[k];
        m->held[k] = m->pause ? n * 0.6 : 0; /* answered later */
        return n - m->held[k];
    case READY:
        return bad ? 0 : 1;
    default:
        return bad ? s->a + 1 : s->a;
    }
}

static size_t shape_of(const char *metric)
{
    for (size_t k = 0; k < SHAPES; k++) {
        if (strcmp(metric, shapes[k].metric) == 0)
            return k;
    }
    fail_msg("%s", metric);
    return 0;
}

/* Alarms on 240 healthy seconds, then the points that a fault takes. */
static size_t watch(const char *text, struct machine *m, size_t *ret_quick, bool *ret_found)
{
    struct ac_ruleset *set = NULL;
    assert_int_equal(ac_ruleset_parse(text, strlen(text), &set, NULL), 0);
    const struct ac_rule *rule = ac_ruleset_get(set, 0);
    size_t k = shape_of(ac_rule_metric(rule)), alarms = 0;
    struct ac_label seen[] = {{"component", "search"}, {"route", "/search"}, {"pod", "b-7"}};
    assert_true(ac_rule_matches(rule, shapes[k].metric, seen, 3));
    struct ac_plan *p = NULL;
    assert_int_equal(ac_plan_create(&rule, 1, 0, &p, NULL), 0);
    struct ac_eval *e = ac_eval_create(p, 1);
    bool was = false;
    *ret_quick = 0;
    *ret_found = false;
    for (size_t t = 0; t < 300 && !*ret_found; t++) {
        next_second(m);
        double v = sample(m, k, t >= 240);
        if (isnan(v))
            continue;
        bool flag = ac_eval_push(e, 0, v);
        alarms += flag && !was && t < 240;
        was = flag;
        *ret_quick += t >= 240;
        *ret_found = flag && t >= 240;
    }
    if (*ret_quick > shapes[k].quick)
        *ret_found = false;
    ac_eval_destroy(e);
    ac_plan_destroy(p);
    ac_ruleset_destroy(set);
    return alarms;
}

static void faults_fire_and_health_does_not(void **st)
{
    (void)st;
    bool ok = true;
    size_t alarms[SHAPES] = {0}, made[SHAPES] = {0}, late[SHAPES] = {0};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct machine m = {.pause = 0};
        ac_rng_seed(&m.rng, seed);
        size_t learn = 30 + ac_rng_below(&m.rng, 31);
        double v[SHAPES][60];
        struct healthy_series s[SHAPES];
        struct ac_label l[] = {{"route", "/search"}, {"pod", "a-1"}};
        for (size_t k = 0; k < SHAPES; k++)
            s[k] = (struct healthy_series){"search",
                                           shapes[k].metric,
                                           shapes[k].kind,
                                           shapes[k].unit,
                                           l,
                                           2,
                                           v[k],
                                           0,
                                           (k == SPARSE ? 2 : 1) * 1000000000LL};
        for (size_t i = 0; i < learn; i++) {
            next_second(&m);
            for (size_t k = 0; k < SHAPES; k++) {
                double x = sample(&m, k, false);
                if (!isnan(x))
                    v[k][s[k].n++] = x;
            }
        }
        struct healthy_rule *rules = NULL;
        size_t n = 0;
        assert_int_equal(healthy_train(s, SHAPES, &rules, &n, NULL), 0);
        for (size_t i = 0; i < n; i++) {
            size_t quick;
            bool found;
            size_t k = SHAPES;
            for (k = 0; !strstr(rules[i].name, shapes[k].metric); k++)
                ;
            alarms[k] += watch(rules[i].text, &m, &quick, &found);
            made[k]++;
            late[k] += !found;
        }
        healthy_rules_free(rules, n);
    }
    for (size_t k = 0; k < SHAPES; k++) {
        print_message("%-26s %3zu rules of 100, %zu alarms in 240 healthy seconds each, %zu faults "
                      "late\n",
                      shapes[k].metric, made[k], alarms[k], late[k]);
        ok &= made[k] >= 97 && alarms[k] <= 3 && late[k] <= 5;
    }
    assert_true(ok);
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
