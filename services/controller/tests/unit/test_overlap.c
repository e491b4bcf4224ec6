/* Executions that begin while their model is loaded: when they are sent, when not, and what becomes
 * of them. */
#include "costs_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS AC_NS_PER_MS

/* A load of 10 ms and an execution of 6, of which 1 is left when the weights are there. */
static const struct policy_cost model = {
    .pages = 1, .load_ns = 10 * MS, .exec_ns = {6 * MS}, .tail_ns = {1 * MS}};
static const struct policy_cost quick = {.pages = 1, .load_ns = 2 * MS, .exec_ns = {1 * MS}};

struct bed {
    struct sched *s;
    struct policy_action sent[64]; /* without unloads */
    struct policy_reply replies[64];
    uint32_t n_sent, n_replies;
};

static void on_act(void *self, const struct policy_action *a)
{
    struct bed *b = self;
    if (a->kind != POLICY_UNLOAD)
        b->sent[b->n_sent++] = *a;
}

static void on_reply(void *self, const struct policy_reply *r)
{
    struct bed *b = self;
    b->replies[b->n_replies++] = *r;
}

/* Model 0 is the one of interest; 1 is there, and quick. */
static void bed_init(struct bed *b, const struct policy_cost *cost, struct sched_config c,
                     uint32_t devices)
{
    *b = (struct bed){0};
    b->s = sched_create(&c, &(struct policy_ports){.self = b, .act = on_act, .reply = on_reply});
    for (uint32_t m = 0; m < 2; m++)
        (void)sched_model_add(b->s);
    for (uint32_t d = 0; d < devices; d++) {
        (void)sched_device_add(b->s);
        sched_device_up(b->s, 0, d, 10);
        sched_model_able(b->s, 0, 0, d, cost);
    }
    sched_model_able(b->s, 0, 1, 0, &quick);
}

static void arrive(struct bed *b, int64_t now, uint32_t m, int64_t objective)
{
    sched_arrive(b->s, now,
                 &(struct policy_request){.model = m, .rows = 1, .deadline_ns = now + objective});
}

static void finish(struct bed *b, int64_t now, uint32_t i, enum policy_status status, int64_t begin,
                   int64_t end)
{
    sched_result(b->s, now,
                 &(struct policy_result){
                     .id = b->sent[i].id, .status = status, .begin_ns = begin, .end_ns = end});
}

/* Lets time pass until then, or until so much was sent; returns the time. */
static int64_t pass(struct bed *b, int64_t until, uint32_t sent)
{
    int64_t now = 0;
    while (b->n_sent < sent && sched_next_wake(b->s) <= until)
        sched_wake(b->s, now = sched_next_wake(b->s));
    return now;
}

static void test_what_a_load_would_lose_is_begun_beside_it(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b, &model, (struct sched_config)SCHED_CONFIG_INIT, 1);
    arrive(&b, 0, 0, 12 * MS);
    assert_int_equal(b.n_sent, 1);
    assert_int_equal(b.sent[0].kind, POLICY_LOAD);
    /* The load ends at 10.1 ms. Begun 5 ms before, the execution has done its first 5 by then. */
    int64_t at = pass(&b, 10 * MS, 2);
    assert_int_equal(b.n_sent, 2);
    assert_int_equal(b.sent[1].kind, POLICY_INFER);
    assert_int_equal(b.sent[1].device, 0);
    assert_in_range(b.sent[1].earliest_ns, 5.09 * MS, 5.11 * MS);
    assert_in_range(b.sent[1].latest_ns, 5.6 * MS, 5.9 * MS);
    assert_in_range(at, 4.5 * MS, 5.05 * MS); /* no sooner than the device must be told */
    finish(&b, 10.2 * MS, 0, POLICY_DONE, 0.1 * MS, 10.1 * MS);
    finish(&b, 11.2 * MS, 1, POLICY_DONE, 5.1 * MS, 11.1 * MS);
    assert_int_equal(b.n_sent, 2);
    assert_int_equal(b.n_replies, 1);
    assert_int_equal(b.replies[0].outcome, POLICY_ON_TIME);
    sched_destroy(b.s);
}

static void test_what_can_wait_for_the_load_does(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b, &model, (struct sched_config)SCHED_CONFIG_INIT, 1);
    arrive(&b, 0, 0, 30 * MS);
    (void)pass(&b, 10.1 * MS, 2);
    assert_int_equal(b.n_sent, 1);
    finish(&b, 10.2 * MS, 0, POLICY_DONE, 0.1 * MS, 10.1 * MS);
    assert_int_equal(b.n_sent, 2);
    assert_int_equal(b.sent[1].earliest_ns, (int64_t)(10.2 * MS));
    sched_destroy(b.s);
}

/* What cannot be met is refused at once, with the time of the pair. */
static void test_refusals_know_of_the_pair(void **state)
{
    (void)state;
    const struct policy_cost apart = {.pages = 1, .load_ns = 10 * MS, .exec_ns = {6 * MS}};
    struct sched_config c = SCHED_CONFIG_INIT;
    struct bed b;
    bed_init(&b, &model, c, 1);
    arrive(&b, 0, 0, 11 * MS);
    assert_int_equal(b.n_replies, 1);
    assert_int_equal(b.replies[0].outcome, POLICY_REFUSED);
    assert_in_range(b.replies[0].predicted_ns, 11.2 * MS, 11.7 * MS);
    sched_destroy(b.s);
    /* Devices that cannot, and a scheduler that does not. */
    bed_init(&b, &apart, c, 1);
    arrive(&b, 0, 0, 12 * MS);
    assert_int_equal(b.n_replies, 1);
    assert_in_range(b.replies[0].predicted_ns, 16.2 * MS, 16.8 * MS);
    sched_destroy(b.s);
    c.without = SCHED_WITHOUT_OVERLAP;
    bed_init(&b, &model, c, 1);
    arrive(&b, 0, 0, 12 * MS);
    assert_int_equal(b.n_replies, 1);
    assert_in_range(b.replies[0].predicted_ns, 16.2 * MS, 16.8 * MS);
    sched_destroy(b.s);
}

/* Until the execution must begin the device is the others'. */
static void test_others_run_before(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b, &model, (struct sched_config)SCHED_CONFIG_INIT, 1);
    arrive(&b, 0, 1, 100 * MS);
    finish(&b, 3 * MS, 0, POLICY_DONE, MS, 3 * MS);
    finish(&b, 5 * MS, 1, POLICY_DONE, 4 * MS, 5 * MS);
    assert_int_equal(b.n_sent, 2);
    int64_t t = 10 * MS;
    arrive(&b, t, 0, 12 * MS);
    assert_int_equal(b.sent[2].kind, POLICY_LOAD);
    arrive(&b, t + 2 * MS, 1, 3 * MS);
    assert_int_equal(b.n_sent, 4);
    assert_int_equal(b.sent[3].model, 1);
    finish(&b, t + 3.3 * MS, 3, POLICY_DONE, t + 2.1 * MS, t + 3.2 * MS);
    (void)pass(&b, t + 10 * MS, 5);
    assert_int_equal(b.n_sent, 5);
    assert_int_equal(b.sent[4].model, 0);
    assert_in_range(b.sent[4].earliest_ns, t + 5.09 * MS, t + 5.11 * MS);
    sched_destroy(b.s);
}

/* A load that fails takes its execution with it: the request is tried elsewhere while it can be. */
static void test_a_load_that_fails_loses_no_request(void **state)
{
    (void)state;
    struct bed b;
    bed_init(&b, &model, (struct sched_config)SCHED_CONFIG_INIT, 2);
    arrive(&b, 0, 0, 12 * MS);
    (void)pass(&b, 10 * MS, 2);
    assert_int_equal(b.n_sent, 2);
    /* The execution's failure may be told before the load's. */
    finish(&b, 5.3 * MS, 1, POLICY_FAILED, 5.1 * MS, 5.2 * MS);
    finish(&b, 5.4 * MS, 0, POLICY_FAILED, 0.1 * MS, 5.2 * MS);
    for (uint32_t i = 0; i < b.n_replies; i++)
        assert_int_not_equal(b.replies[i].outcome, POLICY_ERROR);
    assert_true(b.n_sent >= 3);
    assert_int_equal(b.sent[b.n_sent - 1].kind, POLICY_LOAD);
    /* An execution that fails though the weights are there has failed. */
    sched_destroy(b.s);
    bed_init(&b, &model, (struct sched_config)SCHED_CONFIG_INIT, 1);
    arrive(&b, 0, 0, 12 * MS);
    (void)pass(&b, 10 * MS, 2);
    finish(&b, 10.2 * MS, 0, POLICY_DONE, 0.1 * MS, 10.1 * MS);
    finish(&b, 10.3 * MS, 1, POLICY_FAILED, 5.1 * MS, 10.2 * MS);
    assert_int_equal(b.n_replies, 1);
    assert_int_equal(b.replies[0].outcome, POLICY_ERROR);
    sched_destroy(b.s);
}

/* Where more is left to do after the load than was said, that is learnt, and waiting for weights is
 * not taken for slow executions. */
static void test_what_is_left_after_a_load_is_learnt(void **state)
{
    (void)state;
    struct sched_config c = SCHED_CONFIG_INIT;
    struct bed b;
    c.learn = true;
    bed_init(&b, &model, c, 1);
    sched_model_able(b.s, 0, 1, 0,
                     &(struct policy_cost){.pages = 10, .load_ns = MS, .exec_ns = {MS}});
    int64_t t = 0;
    uint32_t beside = 0;
    for (uint32_t i = 0; i < 12; i++, t += 100 * MS) {
        uint32_t load = b.n_sent, before = b.n_replies;
        arrive(&b, t, 0, 14 * MS);
        if (b.n_replies > before)
            break; /* refused */
        assert_int_equal(b.sent[load].kind, POLICY_LOAD);
        (void)pass(&b, t + 10 * MS, load + 2);
        if (b.n_sent == load + 1)
            break;
        beside++;
        int64_t begin = b.sent[load + 1].earliest_ns;
        finish(&b, t + 10.2 * MS, load, POLICY_DONE, t + 0.1 * MS, t + 10.1 * MS);
        finish(&b, t + 15.2 * MS, load + 1, POLICY_DONE, begin, t + 15.1 * MS); /* 5 ms after */
        /* Model 1 takes the memory, and is answered. */
        uint32_t other = b.n_sent;
        arrive(&b, t + 20 * MS, 1, 50 * MS);
        assert_int_equal(b.sent[other].kind, POLICY_LOAD);
        finish(&b, t + 21.2 * MS, other, POLICY_DONE, t + 20.1 * MS, t + 21.1 * MS);
        assert_int_equal(b.n_sent, other + 2);
        finish(&b, t + 22.4 * MS, other + 1, POLICY_DONE, t + 21.3 * MS, t + 22.3 * MS);
    }
    assert_in_range(beside, 1, 11);
    assert_int_equal(b.replies[b.n_replies - 1].outcome, POLICY_REFUSED);
    sched_destroy(b.s);
}

/* ---- on the virtual clock ---- */

static struct sim_stats trace(const struct policy_ops *policy, int64_t objective, int64_t jitter,
                              uint64_t seed, bool overlap)
{
    struct sim_config c = SIM_CONFIG_INIT;
    c.policy = policy;
    c.gpus = 6;
    c.pages = 60;
    c.seed = seed;
    c.jitter_mean_ns = jitter;
    c.sched.learn = true;
    c.no_overlap = !overlap;
    return bed_run("azure", objective, c);
}

static void test_more_is_in_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++)
        for (int64_t jitter = 0; jitter <= MS; jitter += MS) {
            struct sim_stats with = trace(&policy_aceso, 11 * MS, jitter, seed, true);
            struct sim_stats again = trace(&policy_aceso, 11 * MS, jitter, seed, true);
            struct sim_stats apart = trace(&policy_aceso, 11 * MS, jitter, seed, false);
            print_message("%.4f in time, apart %.4f\n", with.attainment, apart.attainment);
            assert_int_equal(with.violations, 0);
            assert_int_equal(apart.violations, 0);
            assert_true(with.digest == again.digest);
            assert_true(with.attainment > apart.attainment + 0.005);
        }
}

/* Nothing that can wait is sent early: with time enough all is as it was, to the bit. Other
 * policies know nothing of it. */
static void test_nothing_else_changes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < POLICY_COUNT; i++) {
        struct sim_stats with = trace(policy_all[i], i ? 15 * MS : 100 * MS, 0, 1, true);
        struct sim_stats apart = trace(policy_all[i], i ? 15 * MS : 100 * MS, 0, 1, false);
        assert_true(with.digest == apart.digest);
        assert_true(with.requests > 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_load_would_lose_is_begun_beside_it),
        cmocka_unit_test(test_what_can_wait_for_the_load_does),
        cmocka_unit_test(test_refusals_know_of_the_pair),
        cmocka_unit_test(test_others_run_before),
        cmocka_unit_test(test_a_load_that_fails_loses_no_request),
        cmocka_unit_test(test_what_is_left_after_a_load_is_learnt),
        cmocka_unit_test(test_more_is_in_time),
        cmocka_unit_test(test_nothing_else_changes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
