/* What the scheduler learns, and what it does with it, on the virtual clock. */
#include "costs_bed.h"
#include "sim.h"
#include "sketch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

/* Policy aceso, which leaves here what it had learnt in the end. */
static struct policy_ops noting;
static struct sched_learnt learnt;

static void destroy_noting(void *p)
{
    learnt = sched_learnt(p);
    policy_aceso.destroy(p);
}

static struct sim_stats run(const char *name, double objective_ms, struct sim_config c)
{
    c.sched.learn = true;
    c.policy = &noting;
    struct sim_stats st = bed_run(name, (int64_t)(objective_ms * 1e6), c);
    print_message(
        "%s %.2f ms, jitter %.1f, seed %lu, without %x: %.1f r/s, %.5f in time, %lu drifts\n", name,
        objective_ms, (double)c.jitter_mean_ns * 1e-6, (unsigned long)c.seed, c.sched.without,
        st.goodput_rps, st.attainment, (unsigned long)learnt.drifts);
    assert_int_equal(st.violations, 0);
    return st;
}

/* ---- sketches ---- */

static void test_a_spread_has_the_quantiles_of_what_it_saw(void **state)
{
    (void)state;
    struct spread k = {0};
    struct ac_rng rng;
    ac_rng_seed(&rng, 1);
    assert_true(serving_spread_quantile(&k, 0.99) == 0);
    for (int i = 0; i < 900; i++)
        serving_spread_add(&k, 0.03 * ac_rng_normal(&rng));
    double p = serving_spread_quantile(&k, 0.99); /* 2.33 sigma: .07; a bucket is half as much */
    assert_true(p >= 0.06 && p <= 0.09);
    for (int i = 0; i < 3000; i++)
        serving_spread_add(&k, 9);
    assert_true(serving_spread_quantile(&k, 0.99) > 1.4);
    assert_true(k.total < SPREAD_WINDOW);
}

static void test_a_share_is_the_quantile_turned_round(void **state)
{
    (void)state;
    static struct sketch k;
    for (int64_t v = 1; v <= 1000; v++)
        serving_sketch_add(&k, v * 1000);
    for (double q = 0.05; q < 1; q += 0.05) {
        double share = serving_sketch_share(&k, serving_sketch_quantile(&k, q));
        assert_true(share >= q - 0.002 && share <= q + 0.1);
    }
    assert_true(serving_sketch_share(&k, -1) == 0);
    uint32_t before = k.total;
    serving_sketch_fade(&k);
    assert_true(k.total <= before / 16);
}

static void test_drift_is_seen_soon_and_not_without_cause(void **state)
{
    (void)state;
    struct drift d = {0};
    struct ac_rng rng;
    ac_rng_seed(&rng, 2);
    unsigned false_alarms = 0, seen = 0;
    for (int i = 0; i < 100000; i++) {
        double u = ac_rng_uniform(&rng);
        false_alarms += serving_drift_add(&d, u > 0.99, u < 0.5);
    }
    assert_true(false_alarms <= 2);
    d = (struct drift){0};
    while (!serving_drift_add(&d, true, false))
        seen++;
    assert_true(seen < 8);
    for (seen = 0; !serving_drift_add(&d, false, true); seen++)
        assert_true(seen < 40);
}

/* ---- what they are worth ---- */

/* With delays that vary by a millisecond and an objective of three execution times the 99th
 * percentile of delay leaves no time for the work: what may succeed is tried all the same. */
static void test_what_may_succeed_is_tried(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.jitter_mean_ns = AC_NS_PER_MS;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.sched.without = 0;
        double with = run("poisson", 8.2, c).attainment;
        c.sched.without = SCHED_WITHOUT_HOPE;
        assert_true(with > 0.94 && with > run("poisson", 8.2, c).attainment + 0.2);
    }
    c.gpus = 1;
    c.sched.without = 0;
    assert_true(run("fig5", 10, c).goodput_rps > 420);
}

static void test_a_slower_device_is_noticed(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.change_at_ns = 5 * AC_NS_PER_S;
    c.change_pace = 2;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.sched.without = 0;
        double with = run("poisson", 6, c).attainment;
        assert_in_range(learnt.drifts, 1, 20);
        c.sched.without = SCHED_WITHOUT_DRIFT;
        assert_true(with > 0.998 && with > run("poisson", 6, c).attainment + 0.5);
    }
}

/* Inputs that take a tenth as long as the executions come while those before run. */
static void test_inputs_come_in_time(void **state)
{
    (void)state;
    static const int64_t objectives[] = {25, 50};
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.without = 0;
    for (c.seed = 1; c.seed <= 2; c.seed++)
        for (size_t i = 0; i < AC_ARRAY_LEN(objectives); i++) {
            c.link_gbps = 0;
            double alone = run("fig5", (double)objectives[i], c).goodput_rps;
            c.link_gbps = 6;
            assert_true(run("fig5", (double)objectives[i], c).goodput_rps > 0.985 * alone);
        }
}

/* What a faster device can still do is not left undone by what others would need. */
static void test_a_faster_device_is_used(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.change_at_ns = 3 * AC_NS_PER_S;
    c.change_pace = 0.4;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        assert_true(run("poisson", 3.2, c).attainment > 0.55); /* .525 where its pace is ignored */
        assert_in_range(learnt.drifts, 1, 20);
    }
}

/* Noise of execution and of delays is no change. */
static void test_steady_devices_do_not_drift(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.jitter_mean_ns = 0;
        assert_true(run("poisson", 6, c).attainment > 0.998);
        assert_int_equal(learnt.drifts, 0);
        c.jitter_mean_ns = 200000;
        assert_true(run("poisson", 25, c).attainment > 0.999);
        assert_int_equal(learnt.drifts, 0);
    }
}

/* The network becomes ten times as slow, and stays so. */
static void test_slower_delays_are_noticed(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.jitter_mean_ns = 200000;
    c.change_at_ns = 10 * AC_NS_PER_S;
    c.change_delay = 10;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        assert_true(run("fig5", 50, c).goodput_rps > 0.96 * 925);
        assert_true(learnt.drifts >= 1 && learnt.net_ns > 10 * 200000);
    }
}

/* Delays of a second teach that nothing can be met; when they are over it must not stay so. */
static void test_a_bad_second_is_forgotten(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.net_ns = 60 * AC_NS_PER_MS;
    c.change_at_ns = 4 * AC_NS_PER_S;
    c.change_delay = 0.002;
    assert_true(run("fig5", 100, c).goodput_rps > 0.7 * 925);
}

/* ---- waiting for company ---- */

static void test_waiting_for_company_saves_device_time(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    for (c.seed = 1; c.seed <= 2; c.seed++)
        for (int64_t j = 0; j <= 1; j++) {
            c.jitter_mean_ns = j * AC_NS_PER_MS;
            c.sched.save = 0;
            struct sim_stats eager = run("poisson", 100, c);
            c.sched.save = 0.3;
            struct sim_stats saving = run("poisson", 100, c);
            assert_true(saving.attainment >= eager.attainment && saving.attainment > 0.9999);
            assert_true(saving.busy < 0.65 * eager.busy);
            assert_true(saving.p99_ms < 50); /* nobody waits longer than allowed */
        }
}

static void test_who_has_no_time_or_no_company_does_not_wait(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.save = 0.5;
    assert_true(run("fig5", 50, c).goodput_rps > 0.98 * 925); /* batches are full */
    c.gpus = 6;
    assert_true(run("poisson", 6, c).attainment > 0.9999);
    struct workload w;
    struct sim_stats st;
    assert_int_equal(serving_workload_named("poisson", &costs, 100 * AC_NS_PER_MS, 0, 1, &w, NULL),
                     0);
    serving_workload_scale(&w, 0.01, 0); /* one a second and model */
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    assert_true(st.requests > 500 && st.attainment > 0.999 && st.p50_ms < 3.2);
}

struct sent {
    struct policy_action last;
    uint32_t infers;
};

static void on_act(void *self, const struct policy_action *a)
{
    struct sent *n = self;
    n->last = *a;
    n->infers += a->kind == POLICY_INFER;
}

static void on_reply(void *self, const struct policy_reply *r)
{
    (void)self;
    (void)r;
}

static void done(struct sched *s, const struct sent *n, int64_t at)
{
    sched_result(s, at,
                 &(struct policy_result){
                     .id = n->last.id, .begin_ns = at - AC_NS_PER_MS, .end_ns = at - 100000});
}

/* To the moment: half of the slack that is left beside execution and network. */
static void test_company_is_waited_for_as_long_as_allowed(void **state)
{
    (void)state;
    const struct policy_cost cost = {.pages = 1, .load_ns = 1000000, .exec_ns = {1000000, 1500000}};
    struct sched_config c = SCHED_CONFIG_INIT;
    struct sent n = {0};
    c.save = 1;
    struct sched *s =
        sched_create(&c, &(struct policy_ports){.self = &n, .act = on_act, .reply = on_reply});
    (void)sched_device_add(s);
    (void)sched_model_add(s);
    sched_device_up(s, 0, 0, 10);
    sched_model_able(s, 0, 0, 0, &cost);
    sched_arrive(s, 0, &(struct policy_request){.rows = 1, .deadline_ns = 10 * AC_NS_PER_MS});
    done(s, &n, 2 * AC_NS_PER_MS); /* the load */
    int64_t now = 2 * AC_NS_PER_MS;
    while (n.infers == 0 && now < AC_NS_PER_S)
        sched_wake(s, now = sched_next_wake(s));
    assert_int_equal(n.infers, 1);
    done(s, &n, now += 2 * AC_NS_PER_MS);
    int64_t first = now;
    sched_arrive(s, now, &(struct policy_request){.rows = 1, .deadline_ns = now + AC_NS_PER_S});
    assert_int_equal(n.infers, 1);
    while (n.infers == 1 && now < first + AC_NS_PER_S)
        sched_wake(s, now = sched_next_wake(s));
    double waited_ms = (double)(now - first) * 1e-6;
    print_message("waited %.6f ms\n", waited_ms);
    assert_true(fabs(waited_ms - (1000 - 1.012 - 0.1) / 2) < 1e-5);
    /* A second row fills the largest batch: nothing more is waited for. */
    done(s, &n, now += 2 * AC_NS_PER_MS);
    for (uint32_t i = 0; i < 2; i++)
        sched_arrive(s, now, &(struct policy_request){.rows = 1, .deadline_ns = now + AC_NS_PER_S});
    assert_int_equal(n.infers, 3);
    assert_int_equal(n.last.n, 2);
    sched_destroy(s);
}

/* Some ten thousand models wait in one cell, one device of which is slower: passing over blocks
 * of them decides nothing else than looking at each. */
static void test_bounds_change_no_decision(void **state)
{
    (void)state;
    enum {
        MODELS = 12000,
        DEVICES = 6
    };
    struct workload w = {
        .n_models = MODELS, .n_functions = MODELS, .n_classes = 1, .duration_ns = 4 * AC_NS_PER_S};
    static const char text[] =
        "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\n"
        "small,602,4,10,.5,2.5,4,7,13,25\n";
    struct costs small;
    struct sim_config c = SIM_CONFIG_INIT;
    struct sim_stats st[2];
    assert_int_equal(serving_costs_parse(text, strlen(text), &small, NULL), 0);
    w.classes[0] = (struct workload_class){.n_models = MODELS};
    w.own_ns = ac_xcalloc(MODELS, sizeof(*w.own_ns));
    w.row = ac_xcalloc(MODELS, sizeof(*w.row));
    w.functions = ac_xcalloc(MODELS, sizeof(*w.functions));
    for (uint32_t m = 0; m < MODELS; m++) {
        w.functions[m] = (struct workload_function){
            .model = m, .kind = WORKLOAD_POISSON, .rate = 8000.0 / MODELS};
        w.own_ns[m] = (6 + m % 4) * AC_NS_PER_S;
    }
    c.gpus = DEVICES;
    c.pages = MODELS;
    c.costs = &small;
    c.workload = &w;
    c.sched.learn = true;
    c.change_at_ns = AC_NS_PER_S;
    c.change_pace = 1.3;
    for (uint32_t i = 0; i < 2; i++) {
        c.sched.without = i ? SCHED_WITHOUT_BOUNDS : 0;
        assert_int_equal(serving_sim_run(&c, &st[i], NULL), 0);
    }
    print_message("bounds: %lu requests, %.5f in time\n", (unsigned long)st[0].requests,
                  st[0].attainment);
    assert_true(st[0].requests > 5000);
    assert_true(st[0].digest == st[1].digest);
    serving_workload_free(&w);
    serving_costs_free(&small);
}

int main(void)
{
    noting = policy_aceso;
    noting.destroy = destroy_noting;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_spread_has_the_quantiles_of_what_it_saw),
        cmocka_unit_test(test_a_share_is_the_quantile_turned_round),
        cmocka_unit_test(test_drift_is_seen_soon_and_not_without_cause),
        cmocka_unit_test(test_what_may_succeed_is_tried),
        cmocka_unit_test(test_a_slower_device_is_noticed),
        cmocka_unit_test(test_inputs_come_in_time),
        cmocka_unit_test(test_a_faster_device_is_used),
        cmocka_unit_test(test_steady_devices_do_not_drift),
        cmocka_unit_test(test_slower_delays_are_noticed),
        cmocka_unit_test(test_a_bad_second_is_forgotten),
        cmocka_unit_test(test_waiting_for_company_saves_device_time),
        cmocka_unit_test(test_company_is_waited_for_as_long_as_allowed),
        cmocka_unit_test(test_who_has_no_time_or_no_company_does_not_wait),
        cmocka_unit_test(test_bounds_change_no_decision),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
