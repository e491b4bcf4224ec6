/* Cells that share a model too hot for one. */
#include "costs_bed.h"
#include "sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <aceso/base.h>

/* ---- on the simulator ---- */

/* Two cells; model 0 alone is asked for at so many requests a second, the other three at 200. */
static struct sim_stats two_cells(struct sim_config c, uint32_t devices, double rate)
{
    struct workload w = {.n_models = 4, .n_classes = 2, .gpus = devices, .warmup_ns = AC_NS_PER_S};
    uint32_t rows[4] = {0};
    struct sim_stats st;
    w.row = rows;
    w.classes[0] = (struct workload_class){
        .n_models = 1, .rate = rate, .cv = 1, .objective_ns = 50 * AC_NS_PER_MS};
    w.classes[1] = (struct workload_class){
        .first_model = 1, .n_models = 3, .rate = 200, .cv = 1, .objective_ns = 50 * AC_NS_PER_MS};
    w.duration_ns = 10 * AC_NS_PER_S;
    c.gpus = devices;
    c.sched.cells = 2;
    c.costs = &costs;
    c.workload = &w;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    assert_int_equal(st.violations, 0);
    return st;
}

/* A cell of 4 answers some 3,700/s at most; both together twice that. */
static void test_a_hot_model_is_served_by_both_cells(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.sched.without = 0;
        struct sim_stats with = two_cells(c, 8, 5500);
        c.sched.without = SCHED_WITHOUT_HOT;
        struct sim_stats without = two_cells(c, 8, 5500);
        print_message("hot: %.5f and %.5f in time, others %lu of %lu\n", with.attainment,
                      without.attainment, (unsigned long)with.classes[1].on_time,
                      (unsigned long)with.classes[1].requests);
        assert_true(with.attainment > 0.99);
        assert_true(without.attainment < 0.75);
        assert_true(with.classes[1].on_time * 1000 >= with.classes[1].requests * 999);
    }
}

static void test_without_a_hot_model_nothing_is_different(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.without = 0;
    uint64_t digest = two_cells(c, 8, 2000).digest;
    c.sched.without = SCHED_WITHOUT_HOT;
    assert_true(digest == two_cells(c, 8, 2000).digest);
}

/* The only device of the home cell goes: what the model's guest can do is done. */
static void test_a_guest_serves_while_the_home_is_away(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.crash_at_ns = 5 * AC_NS_PER_S;
    c.crash_for_ns = 4 * AC_NS_PER_S;
    double with = two_cells(c, 2, 1200).attainment;
    c.sched.without = SCHED_WITHOUT_HOT;
    double without = two_cells(c, 2, 1200).attainment;
    print_message("crash: %.5f and %.5f in time\n", with, without);
    assert_true(with > without + 0.25);
}

/* ---- by hand ---- */

#define DEVICES 4
#define MOST    256

static const struct policy_cost cost = {
    .pages = 1, .load_ns = 2000000, .exec_ns = {2000000, 2500000, 3000000, 4000000, 6000000}};

struct bed {
    struct sched *s;
    int64_t now;
    struct {
        uint64_t id;
        int64_t begin, end;
        uint32_t device;
        bool live;
    } doing[MOST];
    int64_t engine[DEVICES][2]; /* when each is free */
    bool holds[DEVICES];        /* model 0 */
    bool mute[DEVICES];
    uint64_t cookies, outcomes[POLICY_OUTCOME_END];
    uint32_t strange; /* models that an action named beside 0 */
};

static void on_act(void *self, const struct policy_action *a)
{
    struct bed *b = self;
    b->strange += a->model != 0;
    if (a->kind == POLICY_UNLOAD) {
        assert_true(b->holds[a->device]);
        b->holds[a->device] = false;
        return;
    }
    bool load = a->kind == POLICY_LOAD;
    assert_true(load != b->holds[a->device]);
    b->holds[a->device] = true;
    uint32_t i = 0;
    while (b->doing[i].live)
        i++;
    assert_true(i < MOST);
    int64_t *engine = &b->engine[a->device][load];
    int64_t begin = AC_MAX(*engine, AC_MAX(b->now, a->earliest_ns));
    *engine = begin + a->expected_ns;
    b->doing[i].id = a->id;
    b->doing[i].device = a->device;
    b->doing[i].begin = begin;
    b->doing[i].end = *engine;
    b->doing[i].live = true;
}

static void on_reply(void *self, const struct policy_reply *r)
{
    struct bed *b = self;
    b->outcomes[r->outcome]++;
}

/** Of two cells of two devices each. */
static void bed_start(struct bed *b)
{
    struct sched_config cfg = SCHED_CONFIG_INIT;
    cfg.cells = 2;
    *b = (struct bed){.now = AC_NS_PER_MS};
    b->s = sched_create(&cfg, &(struct policy_ports){.self = b, .act = on_act, .reply = on_reply});
    assert_int_equal(sched_model_add(b->s), 0);
    for (uint32_t d = 0; d < DEVICES; d++) {
        (void)sched_device_add(b->s);
        sched_device_up(b->s, b->now, d, 16);
        sched_model_able(b->s, b->now, 0, d, &cost);
    }
}

static void ask(struct bed *b, uint32_t n, int64_t objective)
{
    for (uint32_t i = 0; i < n; i++)
        sched_arrive(b->s, b->now,
                     &(struct policy_request){
                         .cookie = b->cookies++, .rows = 1, .deadline_ns = b->now + objective});
}

#define CALM  1  /* requests each 4 ms: .5 devices' worth */
#define MUCH  20 /* for one cell, yet not too much */
#define FLOOD 32

/** Time passes, with so many requests each 4 ms. */
static void run(struct bed *b, int64_t ms, uint32_t each)
{
    for (int64_t end = b->now + ms * AC_NS_PER_MS; b->now < end; b->now += AC_NS_PER_MS / 4) {
        for (uint32_t i = 0; i < MOST; i++) {
            if (!b->doing[i].live || b->doing[i].end > b->now || b->mute[b->doing[i].device])
                continue;
            b->doing[i].live = false;
            sched_result(b->s, b->now,
                         &(struct policy_result){.id = b->doing[i].id,
                                                 .begin_ns = b->doing[i].begin,
                                                 .end_ns = b->doing[i].end});
        }
        if (sched_next_wake(b->s) <= b->now)
            sched_wake(b->s, b->now);
        if (b->now % (4 * AC_NS_PER_MS) == 0)
            ask(b, each, 30 * AC_NS_PER_MS);
    }
}

static uint32_t copies(const struct bed *b)
{
    uint32_t ids[DEVICES], n = sched_model_devices(b->s, 0, ids, DEVICES), held = 0;
    for (uint32_t i = 0; i < n; i++)
        assert_true(b->holds[ids[i]]);
    for (uint32_t d = 0; d < DEVICES; d++)
        held += b->holds[d];
    assert_true(n <= held);
    return held;
}

/* Two devices answer 5,300/s. */
static void test_a_guest_comes_and_goes(void **state)
{
    (void)state;
    struct bed b;
    bed_start(&b);
    for (int round = 0; round < 2; round++) {
        run(&b, 1000, CALM);
        assert_in_range(copies(&b), 1, 2);
        run(&b, 1500, FLOOD);
        assert_int_equal(copies(&b), 4);
        uint64_t before = b.outcomes[POLICY_ON_TIME], asked = b.cookies;
        run(&b, 500, FLOOD);
        assert_true(b.outcomes[POLICY_ON_TIME] - before >= (b.cookies - asked) * 98 / 100);
        run(&b, 1500, CALM); /* a lull is not the end of it */
        assert_int_equal(copies(&b), 4);
        run(&b, 4000, CALM);
        assert_in_range(copies(&b), 1, 2);
    }
    assert_int_equal(b.strange, 0);
    sched_destroy(b.s);
}

static void test_a_model_that_retires_takes_its_guests_along(void **state)
{
    (void)state;
    struct bed b;
    bed_start(&b);
    run(&b, 2500, FLOOD);
    assert_int_equal(copies(&b), 4);
    ask(&b, 200, 60 * AC_NS_PER_MS); /* more than is at once given out in either cell */
    for (uint64_t cookie = b.cookies - 1; cookie >= b.cookies - 2; cookie--)
        assert_true(sched_cancel(b.s, 0, cookie)); /* one of two waits with the guest */
    assert_false(sched_cancel(b.s, 0, b.cookies - 1));
    sched_model_retire(b.s, b.now, 0);
    assert_true(b.outcomes[POLICY_NO_DEVICE] > 50);
    run(&b, 500, 0);
    uint64_t sum = 0;
    for (int o = 0; o < POLICY_OUTCOME_END; o++)
        sum += b.outcomes[o];
    assert_int_equal(sum + 2, b.cookies);
    run(&b, 5, FLOOD);
    assert_true(b.outcomes[POLICY_NO_DEVICE] > 90);
    uint32_t ids[DEVICES];
    assert_in_range(sched_model_devices(b.s, 0, ids, DEVICES), 0, 2); /* the guest is gone */
    sched_destroy(b.s);
}

/* A cell whose copies are all on silent devices has none. */
static void test_nothing_is_dealt_to_silent_devices(void **state)
{
    (void)state;
    struct bed b;
    bed_start(&b);
    run(&b, 2500, FLOOD);
    assert_int_equal(copies(&b), 4);
    b.mute[0] = b.mute[2] = true;
    run(&b, 200, MUCH);
    uint64_t before = b.outcomes[POLICY_ON_TIME], asked = b.cookies;
    run(&b, 500, MUCH);
    assert_true(b.outcomes[POLICY_ON_TIME] - before >= (b.cookies - asked) * 99 / 100);
    sched_destroy(b.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hot_model_is_served_by_both_cells),
        cmocka_unit_test(test_without_a_hot_model_nothing_is_different),
        cmocka_unit_test(test_a_guest_serves_while_the_home_is_away),
        cmocka_unit_test(test_a_guest_comes_and_goes),
        cmocka_unit_test(test_a_model_that_retires_takes_its_guests_along),
        cmocka_unit_test(test_nothing_is_dealt_to_silent_devices),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
