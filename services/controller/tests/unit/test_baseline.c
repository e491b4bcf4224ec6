/* The baselines do what is published of them: AIMD batches, delayed batches of a preferred size,
 * early drop and plans by squishy bin packing. */
#include "baseline.h"
#include "costs_bed.h"
#include "sim.h"

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

static struct bed {
    const struct policy_ops *ops;
    void *p;
    int64_t now;
    struct policy_action last;
    uint32_t infers, loads, loads_on[4], replies, expired, on_time;
    uint64_t cookie;
} bed;

static void on_act(void *self, const struct policy_action *a)
{
    (void)self;
    bed.last = *a;
    bed.infers += a->kind == POLICY_INFER;
    bed.loads += a->kind == POLICY_LOAD;
    if (a->kind == POLICY_LOAD)
        bed.loads_on[a->device]++;
}

static void on_reply(void *self, const struct policy_reply *r)
{
    (void)self;
    bed.replies++;
    bed.expired += r->outcome == POLICY_EXPIRED;
    bed.on_time += r->outcome == POLICY_ON_TIME;
}

static void answer(int64_t at)
{
    struct policy_result r = {
        .id = bed.last.id, .status = POLICY_DONE, .begin_ns = bed.now, .end_ns = at};
    bed.now = at;
    bed.ops->result(bed.p, at, &r);
}

static void ask(uint32_t model, uint32_t n, int64_t objective)
{
    for (uint32_t i = 0; i < n; i++) {
        struct policy_request r = {
            .cookie = bed.cookie++, .model = model, .rows = 1, .deadline_ns = bed.now + objective};
        bed.ops->arrive(bed.p, bed.now, &r);
    }
}

/* One device and one model of 2.73 ms, which the first request has loaded and had run. */
static void begin(const struct policy_ops *ops, const struct baseline_params *params)
{
    static struct sched_config c;
    c = (struct sched_config)SCHED_CONFIG_INIT;
    c.baseline = params;
    bed = (struct bed){.ops = ops};
    bed.p = ops->create(&c, &(struct policy_ports){.act = on_act, .reply = on_reply});
    (void)ops->device_add(bed.p);
    (void)ops->model_add(bed.p);
    ops->device_up(bed.p, 0, 0, 100);
    ops->model_able(bed.p, 0, 0, 0, &costs.rows[0].cost);
    ask(0, 1, 1000 * MS);
    assert_int_equal(bed.loads, 1);
    answer(10 * MS);
    assert_int_equal(bed.infers, 1);
    answer(14 * MS);
    assert_int_equal(bed.on_time, 1);
}

static void test_clipper_grows_and_shrinks(void **state)
{
    (void)state;
    static const struct baseline_params params = {.share = 0.5};
    begin(&policy_clipper, &params);
    ask(0, 60, 1000 * MS);
    assert_int_equal(bed.last.n, 1); /* at once; from then on what waits */
    for (uint32_t n = 2; n < 8; n++) {
        answer(bed.now + 10 * MS);
        assert_int_equal(bed.last.n, n);
    }
    answer(bed.now + 501 * MS); /* over half of the objective */
    assert_int_equal(bed.last.n, 6);
    answer(bed.now + 10 * MS);
    assert_int_equal(bed.last.n, 7);
    /* One batch at a time; what expired in the queue is never run. */
    uint32_t infers = bed.infers;
    ask(0, 1, 1000 * MS);
    assert_int_equal(bed.infers, infers);
    bed.now += 2000 * MS;
    answer(bed.now);
    assert_int_equal(bed.infers, infers);
    assert_int_equal(bed.expired, 60 - 1 - 2 - 3 - 4 - 5 - 6 - 7 - 6 - 7 + 1);
    policy_clipper.destroy(bed.p);
}

static void test_clipper_waits_for_company(void **state)
{
    (void)state;
    static const struct baseline_params params = {.share = 0.5, .delay_ns = 2 * MS};
    begin(&policy_clipper, &params);
    ask(0, 1, 1000 * MS);
    assert_int_equal(bed.infers, 1);
    assert_true(policy_clipper.next_wake(bed.p) == bed.now + 2 * MS);
    policy_clipper.wake(bed.p, bed.now + 2 * MS);
    assert_int_equal(bed.infers, 2);
    policy_clipper.destroy(bed.p);
}

static void test_triton_prefers_a_batch(void **state)
{
    (void)state;
    static const struct baseline_params params = {
        .instances = 1, .preferred = 4, .delay_ns = 5 * MS};
    begin(&policy_triton, &params);
    ask(0, 3, 1000 * MS);
    assert_int_equal(bed.infers, 1);
    assert_true(policy_triton.next_wake(bed.p) == bed.now + 5 * MS);
    ask(0, 1, 1000 * MS);
    assert_int_equal(bed.infers, 2);
    assert_int_equal(bed.last.n, 4);
    ask(0, 6, 1000 * MS); /* the instance is busy */
    assert_int_equal(bed.infers, 2);
    answer(bed.now + 6 * MS);
    assert_int_equal(bed.last.n, 4);
    answer(bed.now + 6 * MS); /* the other two have waited long enough */
    assert_int_equal(bed.last.n, 2);
    answer(bed.now + 6 * MS);
    ask(0, 3, 4 * MS);
    bed.now += 5 * MS;
    policy_triton.wake(bed.p, bed.now);
    assert_int_equal(bed.expired, 3);
    policy_triton.destroy(bed.p);
}

/* Heads that could not be met by a batch of the plan go, so that those behind can. */
static void test_nexus_drops_early(void **state)
{
    (void)state;
    static const struct baseline_params params = {.share = 1, .epoch_ns = 1000000 * MS};
    begin(&policy_nexus, &params);
    ask(0, 2, 100 * MS); /* two are given ahead */
    assert_int_equal(bed.infers, 3);
    ask(0, 8, 20 * MS);
    ask(0, 8, 100 * MS);
    bed.now += 15 * MS; /* the first eight have 5 ms: a batch of 16 takes 17.3 */
    struct policy_action second = bed.last;
    answer(bed.now);
    assert_int_equal(bed.expired, 8);
    assert_int_equal(bed.last.n, 8);
    assert_true(bed.last.id != second.id || bed.infers == 4);
    policy_nexus.destroy(bed.p);
}

/* 2,000 requests a second of one model fill two devices and a part of the third; the rare one
 * shares that. Without plans it would be where it was loaded first. */
static void test_nexus_packs(void **state)
{
    (void)state;
    static const struct baseline_params params = {.share = 1, .epoch_ns = 2000 * MS};
    struct workload w;
    struct sim_stats st;
    struct sim_config c = SIM_CONFIG_INIT;
    assert_int_equal(serving_workload_named("poisson", &costs, 100 * MS, 3, 1, &w, NULL), 0);
    w.duration_ns = 20 * AC_NS_PER_S;
    w.n_models = w.classes[0].n_models = 1;
    w.classes[0].rate = 2000;
    c.policy = &policy_nexus;
    c.gpus = 3;
    c.costs = &costs;
    c.workload = &w;
    c.sched.baseline = &params;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    print_message("one model of 2,000/s on three devices: %.4f in time, batch %.2f, %lu loads\n",
                  st.attainment, st.mean_batch, (unsigned long)st.loads);
    assert_int_equal(st.loads, 3);
    assert_true(st.attainment > 0.99 && st.mean_batch > 3);
    serving_workload_free(&w);
}

static void test_what_there_is_to_choose(void **state)
{
    (void)state;
    struct baseline_params p;
    static const struct {
        const struct policy_ops *policy;
        uint32_t sets;
    } want[] = {{&policy_clipper, 18}, {&policy_triton, 28}, {&policy_nexus, 12},
                {&policy_fifo, 0},     {&policy_aceso, 0},   {&policy_clockwork, 0}};
    for (size_t i = 0; i < AC_ARRAY_LEN(want); i++) {
        uint32_t n = 0;
        while (baseline_candidate(want[i].policy, n, &p))
            n++;
        assert_int_equal(n, want[i].sets);
        assert_int_equal(baseline_defaults(want[i].policy) != NULL, want[i].sets > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clipper_grows_and_shrinks),
        cmocka_unit_test(test_clipper_waits_for_company),
        cmocka_unit_test(test_triton_prefers_a_batch),
        cmocka_unit_test(test_nexus_drops_early),
        cmocka_unit_test(test_nexus_packs),
        cmocka_unit_test(test_what_there_is_to_choose),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
