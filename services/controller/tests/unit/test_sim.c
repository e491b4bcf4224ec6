/* The scheduler on the virtual clock. Figures are simulated with the published cost table's
 * numbers. */
#include "costs_bed.h"
#include "sim.h"

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

static struct sim_stats run(const char *name, int64_t objective_ms, struct sim_config cfg)
{
    struct sim_stats st = bed_run(name, objective_ms * AC_NS_PER_MS, cfg);
    print_message(
        "%s %ld ms %s: %.1f r/s, attainment %.4f, p50 %.2f p99 %.2f p99.99 %.2f ms, batch %.2f, "
        "busy %.3f, loads %lu, too late %lu\n",
        name, (long)objective_ms, cfg.policy->name, st.goodput_rps, st.attainment, st.p50_ms,
        st.p99_ms, st.p9999_ms, st.mean_batch, st.busy, (unsigned long)st.loads,
        (unsigned long)st.too_late);
    assert_int_equal(st.violations, 0);
    return st;
}

static void test_closed_loops_reach_the_ceiling(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    /* 16 rows in 17.3 ms: 925 a second is the most that the device can answer. */
    assert_true(run("fig5", 100, c).goodput_rps >= 0.98 * 925);
    assert_true(run("fig5", 50, c).goodput_rps >= 0.98 * 925);
    assert_true(run("fig5", 25, c).goodput_rps >= 890);
    assert_true(run("fig5", 10, c).goodput_rps >= 675);
    c.policy = &policy_fifo;
    assert_true(run("fig5", 100, c).goodput_rps < 10);
}

static void test_learning_keeps_the_figures_under_jitter(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.learn = true;
    assert_true(run("fig5", 100, c).goodput_rps >= 0.98 * 925);
    c.jitter_mean_ns = 1000000;
    assert_true(run("fig5", 100, c).goodput_rps >= 0.95 * 925);
    assert_true(run("fig5", 50, c).goodput_rps >= 0.95 * 925);
}

static void test_open_arrivals_are_met(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    struct sim_stats st = run("poisson", 100, c);
    assert_true(st.attainment >= 0.9999);
    assert_true(st.requests > 20000);
    /* 1.54 execution times was the least objective for 99 % in the study that this policy comes
     * from. */
    struct workload w;
    assert_int_equal(serving_workload_named("poisson", &costs, 4204200, 0, 1, &w, NULL), 0);
    w.duration_ns = 20 * AC_NS_PER_S;
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    print_message("poisson 1.54x: %.4f\n", st.attainment);
    assert_true(st.attainment >= 0.985);
}

static void test_same_seed_same_bits(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.jitter_mean_ns = 200000;
    c.straggler_share = 0.01;
    uint64_t a = run("burst", 50, c).digest, b = run("burst", 50, c).digest;
    assert_true(a == b);
    c.seed = 2;
    assert_true(run("burst", 50, c).digest != a);
}

static void test_a_lost_device_costs_little(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.crash_at_ns = 8 * AC_NS_PER_S;
    c.crash_for_ns = 3 * AC_NS_PER_S;
    struct sim_stats st = run("poisson", 100, c);
    assert_true(st.attainment >= 0.9999);
    /* With the only device gone, requests wait for it as long as their objective allows. */
    c.gpus = 1;
    c.crash_for_ns = 10 * AC_NS_PER_MS;
    st = run("fig5", 100, c);
    assert_true(st.goodput_rps >= 0.95 * 925);
}

static struct sim_stats beside_batch_work(int64_t objective_ns, const struct policy_ops *policy)
{
    struct sim_config c = SIM_CONFIG_INIT;
    struct workload w;
    struct sim_stats st;
    c.gpus = 6;
    c.policy = policy;
    assert_int_equal(serving_workload_named("fig8", &costs, objective_ns, 0, 1, &w, NULL), 0);
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    print_message("fig8 %.2f ms %s: %lu of %lu in time, %lu of batch work\n",
                  (double)objective_ns * 1e-6, policy->name, (unsigned long)st.classes[0].on_time,
                  (unsigned long)st.classes[0].requests, (unsigned long)st.classes[1].on_time);
    assert_int_equal(st.violations, 0);
    assert_int_equal(st.n_classes, 2);
    assert_int_equal(st.classes[0].on_time + st.classes[1].on_time, st.outcomes[POLICY_ON_TIME]);
    return st;
}

static double share_in_time(const struct sim_stats *st)
{
    return (double)st->classes[0].on_time / (double)st->classes[0].requests;
}

/* Two to 25 execution times of 2.73 ms. Batch work takes what is left over, and all of that. */
static void test_batch_work_harms_no_objective(void **state)
{
    (void)state;
    static const struct {
        int64_t objective_ns;
        double in_time, batch_rps;
    } want[] = {{5460000, .9993, 90},
                {8190000, .9995, 650},
                {27300000, .9999, 3200},
                {68250000, .9999, 4000}};
    for (size_t i = 0; i < AC_ARRAY_LEN(want); i++) {
        struct sim_stats st = beside_batch_work(want[i].objective_ns, &policy_aceso);
        assert_true(share_in_time(&st) >= want[i].in_time);
        assert_true((double)st.classes[1].on_time / st.seconds >= want[i].batch_rps);
    }
    struct sim_stats st = beside_batch_work(5460000, &policy_clockwork);
    assert_true(share_in_time(&st) < .5);
}

/* Where objectives are missed whatever is done the quota stays shut; with nobody who has an
 * objective every device is for batch work. */
static void test_batch_work_alone_has_every_device(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    struct workload w;
    struct sim_stats st = beside_batch_work(4095000, &policy_aceso);
    assert_true(share_in_time(&st) >= .98);
    assert_int_equal(st.classes[1].on_time, 0);
    assert_int_equal(serving_workload_named("fig8", &costs, 5460000, 0, 1, &w, NULL), 0);
    w.classes[0].rate = 0;
    w.duration_ns = 20 * AC_NS_PER_S;
    c.gpus = 6;
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    print_message("batch work alone: %.1f r/s\n", st.goodput_rps);
    assert_true(st.goodput_rps >= .9 * 6 * 925);
}

/* Where delays vary much devices are given work far ahead; that must not be batch work which
 * objectives then wait behind. Without it .98 are in time here. */
static void test_batch_work_keeps_off_under_jitter(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    struct workload w;
    struct sim_stats st;
    c.gpus = 6;
    c.sched.learn = true;
    c.jitter_mean_ns = 1000000;
    assert_int_equal(serving_workload_named("fig8", &costs, 12285000, 0, 1, &w, NULL), 0);
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    assert_int_equal(st.violations, 0);
    assert_true(share_in_time(&st) >= .975);
}

/* What a lost device was blocked by is forgotten with it: else the five that are left have room for
 * 3,500 requests of batch work instead of 11,800. */
static void test_batch_work_outlives_a_device(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    struct workload w;
    struct sim_stats st;
    c.gpus = 6;
    c.crash_at_ns = 3 * AC_NS_PER_S;
    c.crash_for_ns = 3600 * AC_NS_PER_S;
    assert_int_equal(serving_workload_named("fig8", &costs, 8190000, 0, 1, &w, NULL), 0);
    w.classes[0].rate = 400;
    w.duration_ns = 12 * AC_NS_PER_S;
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    print_message("with a crash: %lu of %lu in time, %lu of batch work\n",
                  (unsigned long)st.classes[0].on_time, (unsigned long)st.classes[0].requests,
                  (unsigned long)st.classes[1].on_time);
    assert_int_equal(st.violations, 0);
    assert_true(share_in_time(&st) >= .995);
    assert_true(st.classes[1].on_time >= 10000);
}

static void test_little_memory(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.pages = 40;
    struct sim_stats st = run("burst", 100, c);
    assert_true(st.loads > 100 && st.unloads > 50);
    assert_true(st.attainment > 0.5);
}

static void test_stragglers_go_elsewhere(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.straggler_share = 0.01;
    assert_true(run("poisson", 100, c).attainment >= 0.9999);
}

/* The baseline asks for nothing that a worker would refuse (run checks), and loses where it must.
 */
static void test_clockwork_is_beaten(void **state)
{
    (void)state;
    static const struct policy_ops *const variants[] = {&policy_clockwork, &policy_clockwork_10,
                                                        &policy_clockwork_fixed};
    struct sim_config c = SIM_CONFIG_INIT;
    double ours = run("fig5", 25, c).goodput_rps, best = 0;
    for (size_t i = 0; i < 3; i++) {
        c.policy = variants[i];
        double r = run("fig5", 25, c).goodput_rps;
        best = r > best ? r : best;
    }
    assert_true(best > 700 && best < ours);
    c = (struct sim_config)SIM_CONFIG_INIT;
    c.gpus = 6;
    ours = run("burst", 25, c).attainment;
    c.policy = &policy_clockwork;
    struct sim_stats st = run("burst", 25, c);
    assert_true(st.attainment > 0.8 && st.attainment < ours);
    c.pages = 40;
    assert_true(run("burst", 100, c).unloads > 50);
    c.pages = 0;
    c.crash_at_ns = 8 * AC_NS_PER_S;
    c.crash_for_ns = 3 * AC_NS_PER_S;
    assert_true(run("poisson", 100, c).attainment > 0.99);
    uint64_t digest = run("poisson", 100, c).digest;
    assert_true(run("poisson", 100, c).digest == digest);
}

/* What an independent prototype of the published controller answered with the same table: 423, 751,
 * 918 a second within 10, 25 and 50 ms, and with the horizon of 10 ms 0, 650, 889. Strategies keep
 * the priority they were made with; taken anew each time, 50 ms would give 799. */
static void test_clockwork_is_the_published_one(void **state)
{
    (void)state;
    static const struct {
        const struct policy_ops *policy;
        int64_t objective_ms;
        double rps;
    } want[] = {{&policy_clockwork, 10, 423},    {&policy_clockwork, 25, 751},
                {&policy_clockwork, 50, 918},    {&policy_clockwork, 100, 925},
                {&policy_clockwork, 250, 883},   {&policy_clockwork_10, 10, 0},
                {&policy_clockwork_10, 25, 650}, {&policy_clockwork_10, 50, 889}};
    struct sim_config c = SIM_CONFIG_INIT;
    for (size_t i = 0; i < AC_ARRAY_LEN(want); i++) {
        c.policy = want[i].policy;
        double rps = run("fig5", want[i].objective_ms, c).goodput_rps;
        assert_true(rps >= 0.97 * want[i].rps && rps <= 1.03 * want[i].rps);
    }
}

/* Its threads ask devices in a turn of their own, so a request goes to whichever comes next, idle
 * or not: the prototype needed 2.57 execution times for 99 % at 600 a second on 6 devices. */
static void test_clockwork_does_not_look_for_idle_devices(void **state)
{
    (void)state;
    static const struct {
        double times;
        bool met;
    } want[] = {{2.45, false}, {2.7, true}};
    for (size_t i = 0; i < AC_ARRAY_LEN(want); i++) {
        struct sim_config c = SIM_CONFIG_INIT;
        struct workload w;
        struct sim_stats st;
        assert_int_equal(serving_workload_named("poisson", &costs, 0, 0, 1, &w, NULL), 0);
        serving_workload_own_objectives(&w, &costs, want[i].times);
        serving_workload_scale(&w, 0.5, 0);
        c.policy = &policy_clockwork;
        c.gpus = 6;
        c.costs = &costs;
        c.workload = &w;
        assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
        serving_workload_free(&w);
        print_message("%.2f executions: %.4f\n", want[i].times, st.attainment);
        assert_int_equal(st.attainment >= 0.99, want[i].met);
    }
}

/* Gaps of each model vary as asked for; all models together come almost as Poisson does. */
static void test_bursts_of_each_model(void **state)
{
    (void)state;
    struct workload w;
    struct ac_rng rng;
    ac_rng_seed(&rng, 1);
    assert_int_equal(serving_workload_named("gamma", &costs, 0, 0, 1, &w, NULL), 0);
    serving_workload_scale(&w, 2, 3);
    double sum = 0, squares = 0, n = 200000;
    int64_t now = 0;
    for (int i = 0; i < (int)n; i++) {
        int64_t next = serving_workload_next_ns(&w, &w.functions[0], now, &rng);
        double gap = (double)(next - now) * 1e-9;
        sum += gap;
        squares += gap * gap;
        now = next;
    }
    double mean = sum / n, cv = sqrt(squares / n - mean * mean) / mean;
    print_message("%.4f requests a second, CV %.3f\n", 1 / mean, cv);
    assert_true(fabs(1 / mean / (2 * 970 / 72.0) - 1) < 0.03);
    assert_true(cv > 2.9 && cv < 3.1);
    serving_workload_free(&w);
}

/* Every policy by its name: nothing impossible is asked for, the same bits for the same seed. */
static void test_every_policy_plays_by_the_rules(void **state)
{
    (void)state;
    static const char *const names[] = {"aceso", "clockwork", "clockwork-10ms", "clockwork-fixed",
                                        "fifo",  "clipper",   "triton",         "nexus"};
    assert_null(policy_find("none"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct sim_config c = SIM_CONFIG_INIT;
        c.policy = policy_find(names[i]);
        assert_non_null(c.policy);
        c.gpus = 6;
        c.pages = 60;
        c.crash_at_ns = 8 * AC_NS_PER_S;
        c.crash_for_ns = 2 * AC_NS_PER_S;
        struct sim_stats a = run("burst", 250, c), b = run("burst", 250, c);
        assert_true(a.digest == b.digest);
        assert_true(a.outcomes[POLICY_ON_TIME] > 0);
    }
}

/* A repository far larger than memory: what is loaded is what is asked for. */
static void test_a_skewed_trace(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    struct sim_stats st = run("azure", 100, c);
    assert_true(st.requests > 5000 && st.loads > 500);
    assert_true(st.attainment >= 0.9999);
    c.gpus = 1;
    st = run("fig6", 100, c);
    assert_true(st.goodput_rps >= 790); /* of 1,200; a device answers 925 at most */
}

/* Where a load takes longer than the objective allows, absent models lose requests: those stay
 * whose requests could not wait for a load. Without that .905 are in time. */
static void test_memory_goes_to_those_who_cannot_wait(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.pages = 100;
    assert_true(run("azure", 8, c).attainment >= 0.93);
}

/* What makes room for a load never comes after it, so none is refused for want of it. */
static void test_messages_keep_their_order(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 6;
    c.sched.learn = true;
    c.pages = 300;
    c.jitter_mean_ns = AC_NS_PER_MS;
    struct sim_stats st = run("azure", 100, c);
    assert_true(st.unloads > 100);
    assert_int_equal(st.outcomes[POLICY_NO_DEVICE], 0);
}

struct fake_time {
    int64_t now, reads;
};

/* Most readings take 100 ns; a third takes longer, as if work lay before it. */
static int64_t fake_timer(void *self)
{
    struct fake_time *t = self;
    return t->now += t->reads++ % 3 ? 100 : 1000;
}

static int64_t fake_cpu(void *self)
{
    return ((struct fake_time *)self)->now / 4;
}

/* A machine that runs the thread for a quarter of the time makes the policy no dearer, and
 * measuring changes nothing that is simulated. */
static void test_waiting_for_a_processor_is_no_cost(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    struct sim_stats plain = run("poisson", 100, c);
    assert_true(plain.policy_ns_per_request == 0);
    struct fake_time t = {0};
    c.timer = &(struct ac_clock){.self = &t, .now_ns = fake_timer};
    struct sim_stats wall = run("poisson", 100, c);
    t = (struct fake_time){0};
    c.cpu = &(struct ac_clock){.self = &t, .now_ns = fake_cpu};
    struct sim_stats cpu = run("poisson", 100, c);
    print_message("%.1f and %.1f ns a request\n", wall.policy_ns_per_request,
                  cpu.policy_ns_per_request);
    assert_true(wall.policy_ns_per_request > 100);
    double ratio = cpu.policy_ns_per_request / wall.policy_ns_per_request;
    assert_true(ratio > 0.249 && ratio < 0.251);
    assert_true(wall.digest == plain.digest && cpu.digest == plain.digest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_policy_plays_by_the_rules),
        cmocka_unit_test(test_a_skewed_trace),
        cmocka_unit_test(test_memory_goes_to_those_who_cannot_wait),
        cmocka_unit_test(test_messages_keep_their_order),
        cmocka_unit_test(test_clockwork_is_beaten),
        cmocka_unit_test(test_clockwork_is_the_published_one),
        cmocka_unit_test(test_clockwork_does_not_look_for_idle_devices),
        cmocka_unit_test(test_bursts_of_each_model),
        cmocka_unit_test(test_closed_loops_reach_the_ceiling),
        cmocka_unit_test(test_learning_keeps_the_figures_under_jitter),
        cmocka_unit_test(test_open_arrivals_are_met),
        cmocka_unit_test(test_same_seed_same_bits),
        cmocka_unit_test(test_a_lost_device_costs_little),
        cmocka_unit_test(test_batch_work_harms_no_objective),
        cmocka_unit_test(test_batch_work_alone_has_every_device),
        cmocka_unit_test(test_batch_work_keeps_off_under_jitter),
        cmocka_unit_test(test_batch_work_outlives_a_device),
        cmocka_unit_test(test_little_memory),
        cmocka_unit_test(test_waiting_for_a_processor_is_no_cost),
        cmocka_unit_test(test_stragglers_go_elsewhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
