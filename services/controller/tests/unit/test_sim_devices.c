/* What simulated devices do: links, clocks, kinds, crashes; on scripts of actions and under every
 * policy. */
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

#define MS AC_NS_PER_MS

/* ---- a policy that does what is written down ---- */

struct step {
    int64_t at;
    enum policy_action_kind kind;
    uint32_t device, model, batch;
    int64_t latest; /* 0: no end */
};

#define STEPS 64

static struct script {
    struct step steps[STEPS];
    struct policy_result results[STEPS];
    uint32_t n, next, answered[STEPS];
    struct policy_cost costs[8]; /* of model 0 on each device, as told */
    struct policy_ports ports;
} script;

static void *script_create(const void *config, const struct policy_ports *ports)
{
    (void)config;
    script.ports = *ports;
    script.next = 0;
    memset(script.answered, 0, sizeof(script.answered));
    return &script;
}
static void script_destroy(void *p)
{
    (void)p;
}
static uint32_t script_add(void *p)
{
    (void)p;
    return 0;
}
static void script_up(void *p, int64_t now, uint32_t device, uint32_t pages)
{
    (void)p, (void)now, (void)device, (void)pages;
}
static void script_down(void *p, int64_t now, uint32_t device)
{
    (void)p, (void)now, (void)device;
}
static void script_able(void *p, int64_t now, uint32_t model, uint32_t device,
                        const struct policy_cost *cost)
{
    (void)p, (void)now;
    if (model == 0)
        script.costs[device] = *cost;
}
static void script_arrive(void *p, int64_t now, const struct policy_request *r)
{
    (void)p, (void)now;
    struct policy_reply no = {.cookie = r->cookie, .outcome = POLICY_REFUSED};
    script.ports.reply(script.ports.self, &no);
}
static void script_result(void *p, int64_t now, const struct policy_result *r)
{
    (void)p, (void)now;
    script.results[r->id] = *r;
    script.answered[r->id]++;
}
static int64_t script_next_wake(void *p)
{
    (void)p;
    return script.next < script.n ? script.steps[script.next].at : POLICY_NEVER;
}
static void script_wake(void *p, int64_t now)
{
    (void)p;
    while (script.next < script.n && script.steps[script.next].at <= now) {
        const struct step *x = &script.steps[script.next];
        struct policy_action a = {.id = script.next++,
                                  .kind = x->kind,
                                  .device = x->device,
                                  .model = x->model,
                                  .earliest_ns = now,
                                  .latest_ns = x->latest ? x->latest : POLICY_NEVER,
                                  .batch = x->batch,
                                  .n = x->batch};
        script.ports.act(script.ports.self, &a);
    }
}

static const struct policy_ops policy_script = {.name = "script",
                                                .create = script_create,
                                                .destroy = script_destroy,
                                                .device_add = script_add,
                                                .model_add = script_add,
                                                .device_up = script_up,
                                                .device_down = script_down,
                                                .model_able = script_able,
                                                .arrive = script_arrive,
                                                .result = script_result,
                                                .next_wake = script_next_wake,
                                                .wake = script_wake};

/* Without noise, on the workload's devices for so long. */
static struct sim_stats play(const struct step *steps, uint32_t n, struct sim_config c,
                             int64_t duration)
{
    struct workload w;
    struct sim_stats st;
    memcpy(script.steps, steps, n * sizeof(*steps));
    script.n = n;
    assert_int_equal(serving_workload_named("poisson", &costs, 0, 0, 1, &w, NULL), 0);
    w.duration_ns = duration;
    w.warmup_ns = 0;
    c.policy = &policy_script;
    c.exec_sigma = c.load_sigma = 0;
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    serving_workload_free(&w);
    return st;
}

static void took(uint32_t id, double begin_ms, double end_ms)
{
    const struct policy_result *r = &script.results[id];
    assert_int_equal(script.answered[id], 1);
    assert_int_equal(r->status, POLICY_DONE);
    print_message("%u: %.6f to %.6f ms\n", id, (double)r->begin_ns * 1e-6,
                  (double)r->end_ns * 1e-6);
    assert_true(fabs((double)r->begin_ns * 1e-6 - begin_ms) < 1e-5);
    assert_true(fabs((double)r->end_ns * 1e-6 - end_ms) < 1e-5);
}

/* 16 inputs of 602 kB over 12.04 GB/s: .8 ms alone. A load of 8.32 ms and they halve each other. */
static void test_loads_and_inputs_share_a_link(void **state)
{
    (void)state;
    const struct step steps[] = {
        {1 * MS, POLICY_LOAD, 0, 0, 0, 0},    {20 * MS, POLICY_LOAD, 0, 1, 0, 0},
        {20 * MS, POLICY_INFER, 0, 0, 16, 0}, {20 * MS, POLICY_INFER, 0, 0, 16, 0},
        {60 * MS, POLICY_INFER, 0, 0, 16, 0}, {60 * MS, POLICY_INFER, 0, 0, 1, 0},
        {100 * MS, POLICY_LOAD, 0, 2, 0, 0},  {100 * MS, POLICY_LOAD, 0, 3, 0, 105 * MS},
        {120 * MS, POLICY_LOAD, 0, 3, 0, 0},
    };
    struct sim_config c = SIM_CONFIG_INIT;
    c.link_gbps = 12.04;
    assert_int_equal(play(steps, 9, c, 200 * MS).violations, 0);
    took(0, 1.1, 9.42);
    took(1, 20.1, 20.1 + 8.32 + 1.6); /* beside both inputs, one after the other */
    took(2, 21.7, 39.0);
    took(3, 39.0, 56.3); /* its inputs came while the one before ran */
    took(4, 60.9, 78.2); /* alone on the link */
    took(5, 78.2, 80.93);
    took(6, 100.1, 108.42);
    assert_int_equal(script.results[7].status, POLICY_TOO_LATE); /* nor does it keep its pages */
    took(8, 120.1, 128.42);
    /* Without a link inputs take no time. */
    c.link_gbps = 0;
    assert_int_equal(play(steps, 5, c, 200 * MS).violations, 0);
    took(1, 20.1, 28.42);
    took(2, 20.1, 37.4);
}

/* 102.2 MB are 7 pages, which come evenly in 8.32 ms; an execution does a seventh of its work with
 * each. */
static void test_executions_overlap_loads(void **state)
{
    (void)state;
    const struct step steps[] = {
        {1 * MS, POLICY_LOAD, 0, 0, 0, 0},          {6 * MS, POLICY_INFER, 0, 0, 1, 0},
        {20 * MS, POLICY_LOAD, 0, 1, 0, 0},         {20 * MS, POLICY_INFER, 0, 1, 16, 0},
        {60 * MS, POLICY_LOAD, 0, 2, 0, 0},         {60 * MS, POLICY_LOAD, 0, 3, 0, 0},
        {60 * MS, POLICY_INFER, 0, 3, 1, 0},        {80 * MS, POLICY_LOAD, 0, 4, 0, 0},
        {88.2 * MS, POLICY_INFER, 0, 4, 1, 0},      {100 * MS, POLICY_LOAD, 0, 5, 0, 0},
        {100 * MS, POLICY_INFER, 0, 5, 1, 99 * MS},
    };
    struct sim_config c = SIM_CONFIG_INIT;
    assert_int_equal(play(steps, 11, c, 200 * MS).violations, 0);
    took(0, 1.1, 9.42);
    took(1, 6.1, 9.42 + 2.73 / 7);          /* waits for the last piece */
    took(3, 20.1, 20.1 + 8.32 / 7 + 17.30); /* longer than the load: waits for the first one */
    took(5, 68.42, 76.74);
    took(6, 68.42, 76.74 + 2.73 / 7); /* does not begin before its load, which waits for another */
    took(8, 88.3, 91.03);             /* the weights come sooner than it needs them */
    assert_int_equal(script.results[10].status, POLICY_TOO_LATE);
    assert_int_equal(script.costs[0].tail_ns[0], 2730000 / 7);
    assert_int_equal(script.costs[0].tail_ns[4], 8320000 / 7 + 17300000 - 8320000);
    /* Devices that cannot are not said to, and refuse. */
    c.no_overlap = true;
    assert_int_equal(play(steps, 2, c, 200 * MS).violations, 1);
    assert_int_equal(script.results[1].status, POLICY_FAILED);
    assert_int_equal(script.costs[0].tail_ns[0], 0);
}

/* Windows and stamps go through the controller's idea of a clock that runs up to 200 ppm off: the
 * offset is from the quickest of 16 pings, one each 375 ms, so it is up to 1.2 ms old news. */
static void test_clocks_that_run_fast_or_slow(void **state)
{
    (void)state;
    struct step steps[42] = {{1 * MS, POLICY_LOAD, 0, 0, 0, 0}, {1 * MS, POLICY_LOAD, 1, 0, 0, 0}};
    struct sim_config c = SIM_CONFIG_INIT;
    c.gpus = 2;
    c.drift_ppm = 200;
    for (uint32_t i = 2; i < 42; i++)
        steps[i] = (struct step){(int64_t)i * 500 * MS, POLICY_INFER, i % 2, 0, 1, 0};
    for (uint64_t seed = 1; seed < 6; seed++) {
        double worst = 0, least = 1e9;
        c.seed = seed;
        assert_int_equal(play(steps, 42, c, 25 * AC_NS_PER_S).violations, 0);
        for (uint32_t i = 2; i < 42; i++) {
            const struct policy_result *r = &script.results[i];
            double off = (double)(r->begin_ns - steps[i].at) * 1e-6 - 0.1;
            double length = (double)(r->end_ns - r->begin_ns) * 1e-6;
            assert_int_equal(script.answered[i], 1);
            assert_true(fabs(length / 2.73 - 1) < 201e-6);
            worst = AC_MAX(worst, fabs(off));
            least = AC_MIN(least, fabs(off));
        }
        print_message("seed %lu: stamps off by %.4f to %.4f ms\n", (unsigned long)seed, least,
                      worst);
        assert_true(worst > 0.01 && worst < 1.2);
    }
    /* A window that ends 5 ms ahead holds an execution that comes at once, and none that waits. */
    const struct step windows[] = {{1 * MS, POLICY_LOAD, 0, 0, 0, 0},
                                   {900 * MS, POLICY_INFER, 0, 0, 1, 905 * MS},
                                   {900 * MS, POLICY_INFER, 0, 0, 16, 905 * MS},
                                   {900 * MS, POLICY_INFER, 0, 0, 1, 905 * MS}};
    (void)play(windows, 4, c, AC_NS_PER_S);
    assert_int_equal(script.results[1].status, POLICY_DONE);
    assert_int_equal(script.results[2].status, POLICY_DONE);
    assert_int_equal(script.results[3].status, POLICY_TOO_LATE);
}

/* A device that is back before its next ping was due has one chain of pings, not two that take each
 * other's stamps; and answers that take longer than the time from ping to ping are waited for. */
static void test_pings_end_with_their_life(void **state)
{
    (void)state;
    const struct step steps[] = {{1200 * MS, POLICY_LOAD, 0, 0, 0, 0},
                                 {1600 * MS, POLICY_INFER, 0, 0, 1, 0}};
    struct sim_config c = SIM_CONFIG_INIT;
    c.drift_ppm = 1e-3;
    c.net_ns = 10 * MS;
    c.crash_at_ns = 1100 * MS;
    c.crash_for_ns = 10 * MS; /* its pings are sent 15 ms before those of its first life were due */
    (void)play(steps, 2, c, 2000 * MS);
    took(1, 1610, 1612.73);
    c.crash_at_ns = 0;
    c.jitter_mean_ns = 1000 * MS;
    (void)play(steps, 2, c, 20000 * MS);
}

/* ---- devices of several kinds ---- */

static const char slow_table[] =
    "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\n"
    "densenet121,602,4,32,6,7.6,10,14,20,36\n"
    "resnet18_v2,602,4,46.7,7.62,2.64,3.62,4.96,8.84,14.24\n"
    "resnet50_v2,602,4,102.2,16.64,5.46,8.1,11.74,19.86,34.6\n";

static void test_kinds_of_devices(void **state)
{
    (void)state;
    const struct step steps[] = {{1 * MS, POLICY_LOAD, 0, 0, 0, 0},
                                 {1 * MS, POLICY_LOAD, 2, 0, 0, 0},
                                 {30 * MS, POLICY_INFER, 0, 0, 1, 0},
                                 {30 * MS, POLICY_INFER, 2, 0, 1, 0}};
    struct costs slow, other;
    struct sim_config c = SIM_CONFIG_INIT;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(serving_costs_parse(slow_table, strlen(slow_table), &slow, NULL), 0);
    c.gpus = 3;
    c.n_kinds = 1;
    c.kinds[0] = (struct sim_kind){.costs = &slow, .gpus = 1};
    assert_int_equal(play(steps, 4, c, 100 * MS).violations, 0);
    took(0, 1.1, 9.42);
    took(1, 1.1, 17.74);
    took(2, 30.1, 32.83);
    took(3, 30.1, 35.56);
    assert_int_equal(script.costs[1].exec_ns[0], 2730000);
    assert_int_equal(script.costs[2].exec_ns[0], 5460000);

    struct workload w;
    struct sim_stats st;
    const char *end = strstr(slow_table, "resnet50");
    assert_int_equal(serving_costs_parse(slow_table, (size_t)(end - slow_table), &other, NULL), 0);
    assert_int_equal(serving_workload_named("poisson", &costs, 0, 0, 1, &w, NULL), 0);
    c.costs = &costs;
    c.workload = &w;
    c.kinds[0].costs = &other;
    assert_int_equal(serving_sim_run(&c, &st, &err), AC_ENOTFOUND);
    assert_non_null(strstr(err.msg, "kind 1 of devices have no model resnet50_v2"));
    c.kinds[0] = (struct sim_kind){.costs = &slow, .gpus = 4};
    assert_int_equal(serving_sim_run(&c, &st, &err), AC_ERANGE);
    serving_workload_free(&w);
    serving_costs_free(&slow);
    serving_costs_free(&other);
}

/* ---- crashes ---- */

struct seen {
    uint64_t fates[SIM_OPEN + 1], kinds[4], odd;
};

static void seen_request(void *self, const struct sim_seen_request *r)
{
    (void)self, (void)r;
}

static void seen_action(void *self, const struct sim_seen_action *x)
{
    struct seen *n = self;
    n->fates[x->fate]++;
    n->kinds[x->a.kind]++;
    n->odd += (x->fate == SIM_TOLD) != (x->told_ns != 0);
    n->odd += x->fate == SIM_LOST && x->a.device != 0;
    n->odd += x->end_ns && x->end_ns < x->begin_ns;
    n->odd += x->begin_ns && x->begin_ns < x->sent_ns;
}

/* Every action that was asked for is told of once: answered, lost in a crash or open at the end. */
static void test_every_action_has_an_end(void **state)
{
    (void)state;
    for (int link = 0; link < 2; link++) {
        struct sim_config c = SIM_CONFIG_INIT;
        struct workload w;
        struct sim_stats st;
        struct seen seen = {0};
        const struct sim_watch watch = {&seen, seen_request, seen_action};
        assert_int_equal(serving_workload_named("fig5", &costs, 0, 0, 1, &w, NULL), 0);
        w.duration_ns = 5 * AC_NS_PER_S;
        w.warmup_ns = 0;
        c.gpus = 2;
        c.link_gbps = link ? 2 : 0;
        c.crash_at_ns = 2 * AC_NS_PER_S;
        c.crash_for_ns = AC_NS_PER_S;
        c.costs = &costs;
        c.workload = &w;
        c.watch = &watch;
        assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
        serving_workload_free(&w);
        print_message("%lu told, %lu lost, %lu open\n", (unsigned long)seen.fates[SIM_TOLD],
                      (unsigned long)seen.fates[SIM_LOST], (unsigned long)seen.fates[SIM_OPEN]);
        assert_int_equal(seen.odd, 0);
        assert_int_equal(seen.kinds[POLICY_INFER], st.infers);
        assert_int_equal(seen.kinds[POLICY_LOAD], st.loads);
        assert_true(seen.fates[SIM_LOST] > 0 && seen.fates[SIM_OPEN] > 0);
    }
}

/* Everything at once, under every policy: nothing that a worker would refuse, the same bits. */
static void test_policies_among_all_of_it(void **state)
{
    (void)state;
    struct costs slow;
    assert_int_equal(serving_costs_parse(slow_table, strlen(slow_table), &slow, NULL), 0);
    for (size_t i = 0; i < POLICY_COUNT; i++) {
        struct sim_stats st[2];
        for (int again = 0; again < 2; again++) {
            struct sim_config c = SIM_CONFIG_INIT;
            struct workload w;
            assert_int_equal(serving_workload_named("burst", &costs, 100 * MS, 0, 1, &w, NULL), 0);
            w.duration_ns = 10 * AC_NS_PER_S;
            c.policy = policy_all[i];
            c.gpus = 6;
            c.pages = 60;
            c.sched.learn = true;
            c.jitter_mean_ns = MS / 5;
            c.drift_ppm = 50;
            c.link_gbps = 12.3;
            c.straggler_share = 0.01;
            c.n_kinds = 1;
            c.kinds[0] = (struct sim_kind){.costs = &slow, .gpus = 2};
            c.crash_at_ns = 4 * AC_NS_PER_S;
            c.crash_for_ns = 2 * AC_NS_PER_S;
            c.costs = &costs;
            c.workload = &w;
            assert_int_equal(serving_sim_run(&c, &st[again], NULL), 0);
            serving_workload_free(&w);
        }
        print_message("%s: %.4f in time, %lu violations\n", policy_all[i]->name, st[0].attainment,
                      (unsigned long)st[0].violations);
        assert_int_equal(st[0].violations, 0);
        assert_true(st[0].digest == st[1].digest);
        assert_true(st[0].outcomes[POLICY_ON_TIME] > 0);
    }
    serving_costs_free(&slow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads_and_inputs_share_a_link),
        cmocka_unit_test(test_executions_overlap_loads),
        cmocka_unit_test(test_clocks_that_run_fast_or_slow),
        cmocka_unit_test(test_pings_end_with_their_life),
        cmocka_unit_test(test_kinds_of_devices),
        cmocka_unit_test(test_every_action_has_an_end),
        cmocka_unit_test(test_policies_among_all_of_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
