/* Devices of several kinds: each is planned with its own costs. */
#include "costs_bed.h"
#include "kinds.h"
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

/* The first table's models where one is quicker and the others slower. */
static const char odd_table[] =
    "model,input_kb,output_kb,weights_mb,load_ms,b1_ms,b2_ms,b4_ms,b8_ms,b16_ms\n"
    "resnet50_v2,602,4,102.2,8.32,6.83,10.13,14.68,24.83,43.25\n"
    "resnet18_v2,602,4,46.7,3.81,0.66,0.9,1.24,2.21,3.56\n"
    "densenet121,602,4,32,3,9.5,12.5,17.5,25,45\n";

static struct costs odd;

static struct sim_stats run(const char *name, double objective_ms, struct sim_config c)
{
    c.gpus = 6;
    c.n_kinds = 1;
    c.kinds[0].costs = &odd;
    c.kinds[0].gpus = 3;
    struct sim_stats st = bed_run(name, (int64_t)(objective_ms * 1e6), c);
    print_message("%s %.1f ms, seed %lu, without %x, learn %d: %.1f r/s, %.5f in time\n", name,
                  objective_ms, (unsigned long)c.seed, c.sched.without, c.sched.learn,
                  st.goodput_rps, st.attainment);
    assert_int_equal(st.violations, 0);
    return st;
}

static void test_each_kind_is_planned_with_its_own_costs(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double objective_ms, least;
    } scenes[] = {{"poisson", 8.2, 0.99}, {"burst", 25, 0.9}, {"azure", 9, 0.97}};
    struct sim_config c = SIM_CONFIG_INIT;
    for (c.seed = 2; c.seed <= 3; c.seed++)
        for (size_t i = 0; i < AC_ARRAY_LEN(scenes); i++) {
            c.sched.learn = i == 0;
            c.sched.without = 0;
            double with = run(scenes[i].name, scenes[i].objective_ms, c).attainment;
            c.sched.without = SCHED_WITHOUT_KINDS;
            double without = run(scenes[i].name, scenes[i].objective_ms, c).attainment;
            assert_true(with > scenes[i].least && with > without + 0.01);
        }
}

/* On three of the six devices an execution takes longer than the objective. */
static void test_the_quick_kind_comes_first(void **state)
{
    (void)state;
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.learn = true;
    for (c.seed = 4; c.seed <= 5; c.seed++)
        assert_true(run("poisson", 5, c).attainment > 0.75);
}

/* ---- a device of each kind, by hand ---- */

struct seen {
    struct policy_action last[2]; /* by device */
    uint32_t infers[2], loads[2], replies;
    enum policy_outcome outcome;
};

static void on_act(void *self, const struct policy_action *a)
{
    struct seen *w = self;
    w->last[a->device] = *a;
    w->infers[a->device] += a->kind == POLICY_INFER;
    w->loads[a->device] += a->kind == POLICY_LOAD;
}

static void on_reply(void *self, const struct policy_reply *r)
{
    struct seen *w = self;
    w->replies++;
    w->outcome = r->outcome;
}

static const struct policy_cost slow = {.pages = 4, .load_ns = 1000000, .exec_ns = {10000000}};
static const struct policy_cost quick = {
    .pages = 2, .load_ns = 2000000, .exec_ns = {1000000, 1500000}};

static struct sched *two_kinds(struct seen *w)
{
    struct sched_config cfg = SCHED_CONFIG_INIT;
    struct sched *s =
        sched_create(&cfg, &(struct policy_ports){.self = w, .act = on_act, .reply = on_reply});
    (void)sched_device_add(s);
    (void)sched_device_add(s);
    (void)sched_model_add(s);
    sched_device_kind(s, 1, 3);
    (void)sched_model_add(s); /* after the kinds are known */
    for (uint32_t d = 0; d < 2; d++) {
        sched_device_up(s, 0, d, 100);
        for (uint32_t m = 0; m < 2; m++)
            sched_model_able(s, 0, m, d, d ? &quick : &slow);
    }
    return s;
}

static void test_only_the_quick_kind_can_do_it(void **state)
{
    (void)state;
    for (uint32_t m = 0; m < 2; m++) {
        struct seen w = {0};
        struct sched *s = two_kinds(&w);
        int64_t now = AC_NS_PER_MS;
        sched_arrive(
            s, now,
            &(struct policy_request){.model = m, .rows = 1, .deadline_ns = now + 5 * AC_NS_PER_MS});
        assert_int_equal(w.loads[0], 0);
        assert_int_equal(w.loads[1], 1);
        struct sched_device_view v;
        sched_device_view(s, 1, &v);
        assert_int_equal(v.pages_free, 98); /* its own number of pages */
        now += 3 * AC_NS_PER_MS;
        sched_result(s, now,
                     &(struct policy_result){
                         .id = w.last[1].id, .begin_ns = now - 2500000, .end_ns = now - 100000});
        assert_int_equal(w.infers[1], 1);
        assert_int_equal(w.last[1].expected_ns, quick.exec_ns[0]);
        /* What is due when the quick one has just done it comes too late. */
        sched_arrive(s, now,
                     &(struct policy_request){.model = m, .rows = 1, .deadline_ns = now + 1000000});
        assert_int_equal(w.replies, 1);
        assert_int_equal(w.outcome, POLICY_REFUSED);
        sched_destroy(s);
    }
}

/* It comes back on another machine: what was known of the kind it had does not hold. */
static void test_a_device_may_change_its_kind(void **state)
{
    (void)state;
    struct seen w = {0};
    struct sched *s = two_kinds(&w);
    int64_t now = AC_NS_PER_MS;
    sched_device_down(s, now, 0);
    sched_device_down(s, now, 1);
    sched_device_kind(s, 0, 3);
    sched_device_up(s, now, 0, 100);
    sched_model_able(s, now, 0, 0, &quick);
    sched_arrive(s, now, &(struct policy_request){.rows = 1, .deadline_ns = now + 5000000});
    assert_int_equal(w.loads[0], 1);
    assert_int_equal(w.last[0].expected_ns, quick.load_ns);
    sched_destroy(s);
}

/* What the quick kind could do is no hope when its last device has gone. */
static void test_who_has_gone_is_no_hope(void **state)
{
    (void)state;
    struct seen w = {0};
    struct sched *s = two_kinds(&w);
    int64_t now = AC_NS_PER_MS;
    sched_device_down(s, now, 1);
    sched_arrive(s, now, &(struct policy_request){.rows = 1, .deadline_ns = now + 20000000});
    assert_int_equal(w.loads[0], 1); /* which takes long */
    sched_wake(s, now + 9500000);
    assert_int_equal(w.replies, 0);
    sched_wake(s, now + 10500000); /* too late for the slow one */
    assert_int_equal(w.replies, 1);
    sched_destroy(s);
}

/* Latest start of an execution on device 1, before the deadline. */
static int64_t slack(struct sched *s, const struct seen *w, int64_t now, uint32_t model)
{
    int64_t due = now + 8000000;
    sched_arrive(s, now, &(struct policy_request){.model = model, .rows = 1, .deadline_ns = due});
    return due - w->last[1].latest_ns;
}

/* Answers what device 1 was given last, which took so long. */
static int64_t answer(struct sched *s, const struct seen *w, int64_t now, int64_t took)
{
    now += took + 200000;
    sched_result(s, now,
                 &(struct policy_result){
                     .id = w->last[1].id, .begin_ns = now - 100000 - took, .end_ns = now - 100000});
    return now;
}

static void test_a_number_that_another_kind_gets_is_new(void **state)
{
    (void)state;
    struct sched_config cfg = SCHED_CONFIG_INIT;
    cfg.learn = true;
    struct seen w = {0};
    struct sched *s =
        sched_create(&cfg, &(struct policy_ports){.self = &w, .act = on_act, .reply = on_reply});
    (void)sched_device_add(s);
    (void)sched_device_add(s);
    (void)sched_model_add(s);
    (void)sched_model_add(s);
    sched_device_kind(s, 1, 1);
    int64_t now = AC_NS_PER_MS, margins[3];
    for (int life = 0; life < 3; life++) {
        sched_device_up(s, now, 1, 100);
        for (uint32_t m = 0; m < 2; m++) {
            sched_model_able(s, now, m, 1, &quick);
            (void)slack(s, &w, now, m);
            now = answer(s, &w, now, quick.load_ns);
            now = answer(s, &w, now, quick.exec_ns[0]);
        }
        margins[life] = slack(s, &w, now, 0);
        now = answer(s, &w, now, quick.exec_ns[0]);
        /* Of model 0 one in three takes half as long again; of all, few do. */
        for (int i = 0; i < 30000 && life == 0; i++) {
            (void)slack(s, &w, now, i >= 300);
            now = answer(s, &w, now, quick.exec_ns[0] * (i >= 300 || i % 3 ? 2 : 3) / 2);
        }
        sched_device_down(s, now, 1);
        if (life == 1)
            sched_kind_forget(s, 1);
    }
    assert_true(margins[1] > margins[2] + quick.exec_ns[0] / 4); /* it was the same kind */
    sched_destroy(s);
}

/* ---- names ---- */

static void test_names_of_kinds_come_and_go(void **state)
{
    (void)state;
    struct ctl_kinds k = {0};
    struct ac_err err = AC_ERR_INIT;
    uint32_t a, b, again, n;
    bool other;
    assert_int_equal(ctl_kinds_take(&k, "v100", &a, &other, &err), 0);
    assert_int_equal(ctl_kinds_take(&k, "cpu", &b, &other, &err), 0);
    assert_int_equal(ctl_kinds_take(&k, "v100", &again, &other, &err), 0);
    assert_true(a != b && again == a);
    ctl_kinds_release(&k, b);
    assert_int_equal(ctl_kinds_take(&k, "cpu", &n, &other, &err), 0);
    assert_int_equal(n, b);
    assert_false(other);
    char name[8] = "k0";
    for (uint32_t i = 2; i < POLICY_KINDS; i++, name[1]++)
        assert_int_equal(ctl_kinds_take(&k, name, &n, &other, &err), 0);
    assert_int_equal(ctl_kinds_take(&k, "more", &n, &other, &err), AC_EAGAIN);
    ctl_kinds_release(&k, a); /* one v100 is left */
    assert_int_equal(ctl_kinds_take(&k, "more", &n, &other, &err), AC_EAGAIN);
    ctl_kinds_release(&k, b);
    assert_int_equal(ctl_kinds_take(&k, "more", &n, &other, &err), 0);
    assert_int_equal(n, b);
    assert_true(other); /* it was the cpu's */
    assert_int_equal(ctl_kinds_take(&k, "", &n, &other, &err), AC_EINVAL);
    assert_int_equal(ctl_kinds_take(&k, "a b", &n, &other, &err), AC_EINVAL);
}

static int kinds_setup(void **state)
{
    return setup(state) | serving_costs_parse(odd_table, strlen(odd_table), &odd, NULL);
}

static int kinds_teardown(void **state)
{
    serving_costs_free(&odd);
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_is_planned_with_its_own_costs),
        cmocka_unit_test(test_the_quick_kind_comes_first),
        cmocka_unit_test(test_only_the_quick_kind_can_do_it),
        cmocka_unit_test(test_a_device_may_change_its_kind),
        cmocka_unit_test(test_who_has_gone_is_no_hope),
        cmocka_unit_test(test_a_number_that_another_kind_gets_is_new),
        cmocka_unit_test(test_names_of_kinds_come_and_go),
    };
    return cmocka_run_group_tests(tests, kinds_setup, kinds_teardown);
}
