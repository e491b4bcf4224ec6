/* Devices that say nothing, and what becomes of the work they have in hand. */
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

#define MS AC_NS_PER_MS

/* ---- on the simulator ---- */

static uint64_t missed(const struct sim_stats *st)
{
    return st->requests - st->outcomes[POLICY_ON_TIME];
}

static struct sim_stats run(const char *name, int64_t objective, struct sim_config c)
{
    c.gpus = 6;
    c.sched.learn = true;
    struct sim_stats st = bed_run(name, objective, c);
    print_message("%s, without %x: %lu of %lu missed, %lu superseded\n", name, c.sched.without,
                  (unsigned long)missed(&st), (unsigned long)st.requests,
                  (unsigned long)st.superseded);
    assert_int_equal(st.violations, 0);
    return st;
}

/* For three seconds nobody knows that one of six devices is dead. */
static void test_a_crash_costs_little_before_the_lease_ends(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.crash_at_ns = 8 * AC_NS_PER_S;
    c.crash_for_ns = c.lease_ns = 3 * AC_NS_PER_S;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.pages = 1376;
        c.sched.without = 0;
        struct sim_stats with = run("poisson", 25 * MS, c);
        assert_int_equal(missed(&with), 0);
        c.sched.without = SCHED_WITHOUT_SILENCE;
        struct sim_stats without = run("poisson", 25 * MS, c);
        assert_true(missed(&without) > 0);
        c.pages = 60; /* models have a copy or two */
        c.sched.without = 0;
        with = run("azure", 50 * MS, c);
        c.sched.without = SCHED_WITHOUT_SILENCE;
        without = run("azure", 50 * MS, c);
        assert_true(4 * missed(&with) < missed(&without));
    }
}

static void test_what_a_stalled_device_says_later_is_dropped(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.stall_at_ns = 8 * AC_NS_PER_S;
    c.stall_for_ns = 200 * MS;
    uint64_t superseded = 0, lost[2] = {0};
    for (c.seed = 1; c.seed <= 3; c.seed++) {
        c.sched.without = 0;
        struct sim_stats with = run("poisson", 25 * MS, c);
        superseded += with.superseded;
        lost[0] += missed(&with);
        c.sched.without = SCHED_WITHOUT_SILENCE;
        struct sim_stats without = run("poisson", 25 * MS, c);
        assert_int_equal(without.superseded, 0);
        lost[1] += missed(&without);
    }
    assert_true(superseded >= 1);
    assert_true(lost[0] < lost[1]);
}

static void test_where_none_is_silent_nothing_is_different(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t objective;
    } runs[] = {{"poisson", 8 * MS}, {"burst", 25 * MS}, {"azure", 25 * MS}, {"fig8", 25 * MS}};
    static const int64_t jitters[] = {0, 200000, 1000000};
    struct sim_config c = SIM_CONFIG_INIT;
    for (size_t i = 0; i < AC_ARRAY_LEN(runs); i++)
        for (size_t k = 0; k < AC_ARRAY_LEN(jitters); k++) {
            c.jitter_mean_ns = jitters[k];
            c.sched.without = 0;
            uint64_t digest = run(runs[i].name, runs[i].objective, c).digest;
            c.sched.without = SCHED_WITHOUT_SILENCE;
            assert_true(digest == run(runs[i].name, runs[i].objective, c).digest);
        }
}

/* ---- by hand: two devices ---- */

#define SENT 8

static const struct policy_cost cost = {
    .pages = 1, .load_ns = 2 * MS, .exec_ns = {4 * MS, 5 * MS, 6 * MS, 8 * MS, 12 * MS}};

struct seen {
    struct policy_action infers[SENT], loads[SENT];
    uint32_t n_infers, n_loads, replies;
    struct policy_reply last;
};

static void on_act(void *self, const struct policy_action *a)
{
    struct seen *w = self;
    assert_true(w->n_infers < SENT && w->n_loads < SENT);
    if (a->kind == POLICY_INFER)
        w->infers[w->n_infers++] = *a;
    if (a->kind == POLICY_LOAD)
        w->loads[w->n_loads++] = *a;
}

static void on_reply(void *self, const struct policy_reply *r)
{
    struct seen *w = self;
    w->replies++;
    w->last = *r;
}

static void say(struct sched *s, int64_t now, const struct policy_action *a,
                enum policy_status status)
{
    int64_t end = now - 100000;
    sched_result(s, now,
                 &(struct policy_result){
                     .id = a->id, .status = status, .begin_ns = end - 4 * MS, .end_ns = end});
}

static void ask(struct sched *s, int64_t now, uint32_t model, int64_t objective)
{
    sched_arrive(
        s, now,
        &(struct policy_request){
            .cookie = 7 + model, .model = model, .rows = 1, .deadline_ns = now + objective});
}

/* Wakes it up each millisecond; now is the time then. */
static int64_t pass(struct sched *s, int64_t now, int64_t ms)
{
    for (int64_t end = now + ms * MS; now < end;) {
        now += MS;
        if (sched_next_wake(s) <= now)
            sched_wake(s, now);
    }
    return now;
}

/* Models 0 and 1 on both devices, which are idle. */
static struct sched *two_devices(struct seen *w, int64_t *ret_now)
{
    struct sched_config cfg = SCHED_CONFIG_INIT;
    struct sched *s =
        sched_create(&cfg, &(struct policy_ports){.self = w, .act = on_act, .reply = on_reply});
    int64_t now = MS;
    for (uint32_t m = 0; m < 2; m++)
        (void)sched_model_add(s);
    for (uint32_t d = 0; d < 2; d++) {
        (void)sched_device_add(s);
        sched_device_up(s, now, d, 8);
        for (uint32_t m = 0; m < 2; m++)
            sched_model_able(s, now, m, d, &cost);
    }
    /* So many requests that both models get a copy on both devices. */
    *w = (struct seen){0};
    for (uint32_t done = 0; done < 4;) {
        for (uint32_t m = 0; m < 2; m++)
            ask(s, now, m, 100 * MS);
        now = pass(s, now, 5);
        while (w->n_loads || w->n_infers) {
            struct seen was = *w;
            w->n_infers = w->n_loads = 0;
            now += 5 * MS;
            for (uint32_t i = 0; i < was.n_loads; i++)
                say(s, now, &was.loads[i], POLICY_DONE);
            for (uint32_t i = 0; i < was.n_infers; i++)
                say(s, now, &was.infers[i], POLICY_DONE);
            done += was.n_loads;
        }
    }
    now = pass(s, now, 20);
    *w = (struct seen){0};
    *ret_now = now;
    return s;
}

/* The device that has it in hand is silent until the other has it too; now is the time then. */
static struct sched *in_two_hands(struct seen *w, int64_t *ret_now)
{
    struct sched *s = two_devices(w, ret_now);
    ask(s, *ret_now, 0, 40 * MS);
    assert_int_equal(w->n_infers, 1);
    *ret_now = pass(s, *ret_now, 15);
    assert_int_equal(w->n_infers, 1); /* there is time */
    for (int ms = 0; ms < 10 && w->n_infers == 1; ms++)
        *ret_now = pass(s, *ret_now, 1);
    assert_int_equal(w->n_infers, 2);
    assert_int_not_equal(w->infers[0].device, w->infers[1].device);
    assert_int_equal(sched_counts(s).given_again, 1);
    assert_int_equal(w->replies, 0);
    return s;
}

static void test_whoever_answers_first_answers(void **state)
{
    (void)state;
    for (uint32_t first = 0; first < 2; first++) {
        struct seen w;
        int64_t now;
        struct sched *s = in_two_hands(&w, &now);
        say(s, now + 2 * MS, &w.infers[first], POLICY_DONE);
        assert_int_equal(w.replies, 1);
        assert_int_equal(w.last.outcome, POLICY_ON_TIME);
        assert_true(w.last.action == w.infers[first].id);
        assert_int_equal(sched_counts(s).superseded, 1);
        say(s, now + 3 * MS, &w.infers[1 - first], POLICY_DONE);
        assert_int_equal(w.replies, 1);
        ask(s, now + 4 * MS, 0, 40 * MS); /* both are as any other again */
        assert_int_equal(w.n_infers, 3);
        sched_destroy(s);
    }
}

static void test_one_hand_may_fail(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++)
        for (uint32_t first = 0; first < 2; first++) {
            struct seen w;
            int64_t now;
            struct sched *s = in_two_hands(&w, &now);
            if (how == 0)
                sched_device_down(s, now + MS, w.infers[first].device);
            else
                say(s, now + MS, &w.infers[first], how == 1 ? POLICY_FAILED : POLICY_TOO_LATE);
            assert_int_equal(w.replies, 0);
            assert_int_equal(w.n_infers, 2); /* nor does it wait */
            say(s, now + 2 * MS, &w.infers[1 - first], POLICY_DONE);
            assert_int_equal(w.replies, 1);
            assert_int_equal(w.last.outcome, POLICY_ON_TIME);
            assert_int_equal(sched_counts(s).superseded, 0);
            sched_destroy(s);
        }
}

/* What another device has to do comes first; and what has all day waits for the lease. */
static void test_it_takes_nothing_from_others(void **state)
{
    (void)state;
    struct seen w;
    int64_t now;
    struct sched *s = two_devices(&w, &now);
    ask(s, now, 0, 40 * MS);
    ask(s, now, 1, 1000 * MS); /* the other device's, which takes its time as well */
    assert_int_equal(w.n_infers, 2);
    (void)pass(s, now, 100);
    assert_int_equal(w.n_infers, 2);
    sched_destroy(s);
    s = two_devices(&w, &now);
    ask(s, now, 0, 20 * AC_NS_PER_S);
    now = pass(s, now, 19900);
    assert_int_equal(w.n_infers, 1);
    sched_destroy(s);
}

/* A load that does not end is begun elsewhere, and so is one of what only the silent one holds. */
static void test_a_copy_on_a_silent_device_is_none(void **state)
{
    (void)state;
    struct seen w = {0};
    struct sched_config cfg = SCHED_CONFIG_INIT;
    struct sched *s =
        sched_create(&cfg, &(struct policy_ports){.self = &w, .act = on_act, .reply = on_reply});
    (void)sched_model_add(s);
    int64_t now = MS;
    for (uint32_t d = 0; d < 2; d++) {
        (void)sched_device_add(s);
        sched_device_up(s, now, d, 8);
        sched_model_able(s, now, 0, d, &cost);
    }
    ask(s, now, 0, 40 * MS);
    assert_int_equal(w.n_loads, 1);
    now = pass(s, now, 12);
    assert_int_equal(w.n_loads, 2);
    assert_int_not_equal(w.loads[0].device, w.loads[1].device);
    say(s, now, &w.loads[1], POLICY_DONE);
    assert_int_equal(w.n_infers, 1);
    now = pass(s, now, 12);
    sched_device_down(s, now, w.loads[0].device);
    sched_device_up(s, now, w.loads[0].device, 8);
    sched_model_able(s, now, 0, w.loads[0].device, &cost);
    ask(s, now, 0, 40 * MS); /* the other one, which has the only copy, is silent by now */
    assert_int_equal(w.n_loads, 3);
    assert_int_equal(w.loads[2].device, w.loads[0].device);
    sched_destroy(s);
}

/* Nothing else comes or waits, so there is no other reason to wake up. */
static void test_a_long_silence_is_noticed_while_all_else_is_idle(void **state)
{
    (void)state;
    struct seen w;
    int64_t now;
    struct sched *s = two_devices(&w, &now);
    ask(s, now, 0, 6 * AC_NS_PER_S);
    assert_int_equal(w.n_infers, 1);
    now = pass(s, now, 3500);
    assert_int_equal(w.n_infers, 2);
    for (uint32_t i = 0; i < 2; i++)
        say(s, now + 2 * MS, &w.infers[i], POLICY_DONE);
    (void)pass(s, now + 2 * MS, 2000);
    assert_true(sched_next_wake(s) == POLICY_NEVER); /* and then it sleeps */
    sched_destroy(s);
}

/* A device that holds the model and executes nothing, but whose load is overdue, gets no work that
 * another can do, nor is that kept waiting. */
static void test_work_goes_past_a_silent_device(void **state)
{
    (void)state;
    for (uint32_t silent = 0; silent < 2; silent++) {
        struct seen w;
        int64_t now;
        struct sched *s = two_devices(&w, &now);
        uint32_t m = sched_model_add(s);
        sched_model_able(s, now, m, silent, &cost);
        ask(s, now, m, 40 * MS);
        assert_int_equal(w.n_loads, 1);
        now = pass(s, now, 20);
        for (uint32_t i = 0; i < 3; i++) {
            ask(s, now, 0, 40 * MS);
            assert_int_equal(w.n_infers, i + 1);
            assert_int_equal(w.infers[i].device, 1 - silent);
            now = pass(s, now, 4);
            say(s, now, &w.infers[i], POLICY_DONE);
            now = pass(s, now, 4);
        }
        sched_destroy(s);
    }
}

/* It says something, and falls silent with what is left in hand. */
static void test_a_device_may_fall_silent_again(void **state)
{
    (void)state;
    struct seen w = {0};
    struct sched_config cfg = SCHED_CONFIG_INIT;
    struct sched *s =
        sched_create(&cfg, &(struct policy_ports){.self = &w, .act = on_act, .reply = on_reply});
    int64_t now = MS;
    for (uint32_t d = 0; d < 2; d++) {
        (void)sched_device_add(s);
        sched_device_up(s, now, d, 8);
    }
    for (uint32_t m = 0; m < 2; m++) {
        (void)sched_model_add(s);
        sched_model_able(s, now, m, 0, &cost);
    }
    sched_model_able(s, now, 1, 1, &cost);
    ask(s, now, 0, 60 * MS);
    now += 2 * MS;
    sched_device_down(s, now, 1);
    ask(s, now, 1, 60 * MS); /* its load waits for the other one */
    assert_int_equal(w.n_loads, 2);
    assert_int_equal(w.loads[1].device, 0);
    sched_device_up(s, now, 1, 8);
    now = pass(s, now, 12); /* nobody else can run either model */
    assert_true(sched_cancel(s, 0, 7));
    say(s, now, &w.loads[0], POLICY_DONE);
    sched_model_able(s, now, 1, 1, &cost);
    assert_int_equal(w.n_loads, 2); /* the device has been heard of */
    (void)pass(s, now, 15);
    assert_int_equal(w.n_loads, 3);
    assert_int_equal(w.loads[2].device, 1);
    sched_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_costs_little_before_the_lease_ends),
        cmocka_unit_test(test_what_a_stalled_device_says_later_is_dropped),
        cmocka_unit_test(test_where_none_is_silent_nothing_is_different),
        cmocka_unit_test(test_whoever_answers_first_answers),
        cmocka_unit_test(test_one_hand_may_fail),
        cmocka_unit_test(test_it_takes_nothing_from_others),
        cmocka_unit_test(test_a_copy_on_a_silent_device_is_none),
        cmocka_unit_test(test_a_long_silence_is_noticed_while_all_else_is_idle),
        cmocka_unit_test(test_work_goes_past_a_silent_device),
        cmocka_unit_test(test_a_device_may_fall_silent_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
