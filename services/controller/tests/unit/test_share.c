/* Tenants' shares and priorities on the virtual clock. */
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

/* Policy aceso, which leaves here what device time tenants had at the end. */
static struct policy_ops noting;
static double use[3];

static void destroy_noting(void *p)
{
    for (uint32_t t = 0; t < 3; t++)
        use[t] = sched_tenant_use(p, 20 * AC_NS_PER_S, t);
    policy_aceso.destroy(p);
}

/* One device, which can answer some 800 a second of 12 models. */
static struct sim_stats run(const struct workload_class *ask, uint32_t n, struct sim_config c)
{
    static uint32_t row[12]; /* all of the first model of the table */
    struct workload w = {.n_models = 12,
                         .row = row,
                         .n_classes = n,
                         .gpus = 1,
                         .duration_ns = 20 * AC_NS_PER_S,
                         .warmup_ns = 2 * AC_NS_PER_S};
    struct sim_stats st;
    for (uint32_t i = 0; i < n; i++) {
        w.classes[i] = ask[i];
        w.classes[i].n_models = ask[i].n_models ? ask[i].n_models : 12;
        w.classes[i].cv = 1;
        w.classes[i].objective_ns = 100 * AC_NS_PER_MS;
    }
    c.costs = &costs;
    c.workload = &w;
    c.sched.ranks = true;
    c.policy = &noting;
    assert_int_equal(serving_sim_run(&c, &st, NULL), 0);
    assert_int_equal(st.violations, 0);
    print_message("seed %lu, without %x: %.0f r/s;", (unsigned long)c.seed, c.sched.without,
                  st.goodput_rps);
    for (uint32_t i = 0; i < n; i++)
        print_message(" class %u %.4f", i,
                      (double)st.classes[i].on_time / (double)st.classes[i].requests);
    print_message(
        "; share %lu, yielded %lu, expired %lu\n", (unsigned long)st.outcomes[POLICY_SHARE],
        (unsigned long)st.outcomes[POLICY_YIELDED], (unsigned long)st.outcomes[POLICY_EXPIRED]);
    return st;
}

static double share_in_time(const struct sim_stats *st, uint32_t class)
{
    return (double)st->classes[class].on_time / (double)st->classes[class].requests;
}

/* On models of its own and on the same ones, however much the other asks for. */
static void test_a_flood_leaves_others_their_share(void **state)
{
    (void)state;
    const struct workload_class apart[] = {
        {.rate = 4000, .n_models = 6}, {.rate = 200, .first_model = 6, .n_models = 6, .tenant = 1}};
    const struct workload_class together[] = {{.rate = 4000}, {.rate = 200, .tenant = 1}};
    struct sim_config c = SIM_CONFIG_INIT;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.sched.without = 0;
        struct sim_stats st = run(apart, 2, c);
        assert_true(share_in_time(&st, 1) > 0.99);
        assert_true(st.outcomes[POLICY_SHARE] > 5 * st.outcomes[POLICY_EXPIRED]);
        st = run(together, 2, c);
        assert_true(share_in_time(&st, 1) > 0.98);
        c.sched.without = SCHED_WITHOUT_SHARES;
        st = run(together, 2, c);
        assert_true(share_in_time(&st, 1) < 0.3);
        assert_int_equal(st.outcomes[POLICY_SHARE], 0);
    }
}

static void arrive_first_as_another(void *p, int64_t now, const struct policy_request *r)
{
    struct policy_request q = *r;
    q.tenant = now < AC_NS_PER_S;
    policy_aceso.arrive(p, now, &q);
}

static void arrive_first_as_urgent(void *p, int64_t now, const struct policy_request *r)
{
    struct policy_request q = *r;
    q.priority = now < AC_NS_PER_S && r->cookie % 4 == 0;
    policy_aceso.arrive(p, now, &q);
}

static void count_refusals(void *self, const struct sim_seen_request *r)
{
    uint64_t(*n)[2] = self; /* for the sake of others, before and after 12 s */
    (*n)[r->done_ns > 12 * AC_NS_PER_S] +=
        r->outcome == POLICY_SHARE || r->outcome == POLICY_YIELDED;
}

static void no_action(void *self, const struct sim_seen_action *x)
{
    (void)self;
    (void)x;
}

/* Nobody of higher rank for ten seconds: what is lost then came too late. */
static void test_who_left_is_no_reason(void **state)
{
    (void)state;
    const struct workload_class ask[] = {{.rate = 4000}};
    uint64_t n[2] = {0};
    const struct sim_watch watch = {&n, count_refusals, no_action};
    struct sim_config c = SIM_CONFIG_INIT;
    c.watch = &watch;
    void (*const first[])(void *, int64_t, const struct policy_request *) = {
        arrive_first_as_another, arrive_first_as_urgent};
    for (size_t i = 0; i < AC_ARRAY_LEN(first); i++) {
        n[0] = n[1] = 0;
        noting.arrive = first[i];
        struct sim_stats st = run(ask, 1, c);
        noting.arrive = policy_aceso.arrive;
        assert_true(n[0] > 0 && n[1] == 0 && st.outcomes[POLICY_EXPIRED] > 0);
    }
}

static void test_floods_divide_the_time_by_weight(void **state)
{
    (void)state;
    const struct workload_class ask[] = {
        {.rate = 3000}, {.rate = 3000, .tenant = 1}, {.rate = 1000, .tenant = 2}};
    static const double weights[][3] = {{1, 1, 1}, {3, 1, 1}, {2, 1, 4}};
    struct sim_config c = SIM_CONFIG_INIT;
    for (size_t i = 0; i < AC_ARRAY_LEN(weights); i++) {
        memcpy(c.sched.shares, weights[i], sizeof(weights[i]));
        double shares = 0, all = 0;
        (void)run(ask, 3, c);
        for (uint32_t t = 0; t < 3; t++) {
            shares += weights[i][t];
            all += use[t];
        }
        assert_true(all > 0.98 && all < 1.02);
        for (uint32_t t = 0; t < 3; t++) {
            print_message("tenant %u: %.3f of the time\n", t, use[t]);
            assert_true(fabs(use[t] - weights[i][t] / shares) < 0.03);
        }
    }
}

/* Shares are no limits. */
static void test_what_nobody_else_asks_for_is_given(void **state)
{
    (void)state;
    const struct workload_class alone[] = {{.rate = 3000, .n_models = 4}};
    const struct workload_class both[] = {{.rate = 3000, .n_models = 4},
                                          {.rate = 10, .n_models = 4, .tenant = 1}};
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.shares[0] = 1;
    c.sched.shares[1] = 99;
    assert_true(run(alone, 1, c).goodput_rps > 0.98 * 925);
    struct sim_stats st = run(both, 2, c);
    assert_true(share_in_time(&st, 1) > 0.99 && st.goodput_rps > 0.85 * 925);
}

static void test_high_priority_is_shed_last(void **state)
{
    (void)state;
    const struct workload_class ask[] = {
        {.rate = 2000}, {.rate = 250, .priority = 3}, {.rate = 50, .priority = 7}};
    struct sim_config c = SIM_CONFIG_INIT;
    for (c.seed = 1; c.seed <= 2; c.seed++) {
        c.sched.without = 0;
        struct sim_stats st = run(ask, 3, c);
        assert_true(share_in_time(&st, 1) > 0.98 && share_in_time(&st, 2) > 0.99);
        assert_true(st.outcomes[POLICY_YIELDED] > 0);
        c.sched.without = SCHED_WITHOUT_PRIORITIES;
        st = run(ask, 3, c);
        assert_true(share_in_time(&st, 1) < 0.6);
        assert_int_equal(st.outcomes[POLICY_YIELDED], 0);
    }
}

/* No tenant gets more than its share by calling its requests urgent. */
static void test_priority_counts_within_a_tenant(void **state)
{
    (void)state;
    const struct workload_class ask[] = {{.rate = 3000, .priority = 7},
                                         {.rate = 3000, .tenant = 1}};
    struct sim_config c = SIM_CONFIG_INIT;
    struct sim_stats st = run(ask, 2, c);
    double got = (double)st.classes[1].on_time / (double)st.classes[0].on_time;
    assert_true(got > 0.9 && got < 1.1);
}

/* A pool of requests that is full of one tenant's is not full for another. */
static void test_room_is_shared_too(void **state)
{
    (void)state;
    const struct workload_class ask[] = {{.rate = 20000}, {.rate = 100, .tenant = 1}};
    struct sim_config c = SIM_CONFIG_INIT;
    c.sched.max_requests = 256;
    struct sim_stats st = run(ask, 2, c);
    assert_true(share_in_time(&st, 1) > 0.98);
    assert_int_equal(st.outcomes[POLICY_FULL], 0);
    c.sched.without = SCHED_WITHOUT_SHARES;
    st = run(ask, 2, c);
    assert_true(share_in_time(&st, 1) < 0.5);
    assert_true(st.outcomes[POLICY_FULL] > 0);
}

static void test_equal_requests_are_treated_as_ever(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t objective_ns;
    } scenes[] = {{"fig5", 25000000}, {"burst", 25000000}, {"fig8", 27300000}};
    for (size_t i = 0; i < AC_ARRAY_LEN(scenes); i++) {
        struct sim_config c = SIM_CONFIG_INIT;
        struct workload w;
        struct sim_stats st[2];
        assert_int_equal(
            serving_workload_named(scenes[i].name, &costs, scenes[i].objective_ns, 0, 1, &w, NULL),
            0);
        w.duration_ns = 10 * AC_NS_PER_S;
        c.costs = &costs;
        c.workload = &w;
        c.gpus = w.gpus;
        c.sched.learn = true;
        c.jitter_mean_ns = 200000;
        for (int k = 0; k < 2; k++) {
            c.sched.ranks = k;
            assert_int_equal(serving_sim_run(&c, &st[k], NULL), 0);
        }
        serving_workload_free(&w);
        assert_true(st[0].digest == st[1].digest);
    }
}

struct told {
    uint64_t replies;
    enum policy_outcome last;
};

static void on_reply(void *self, const struct policy_reply *r)
{
    struct told *t = self;
    t->replies++;
    t->last = r->outcome;
}

static void test_nobody_is_beyond_the_last_tenant(void **state)
{
    (void)state;
    struct told told = {0};
    struct sched_config cfg = SCHED_CONFIG_INIT;
    cfg.ranks = true;
    struct sched *s = sched_create(&cfg, &(struct policy_ports){.self = &told, .reply = on_reply});
    (void)sched_model_add(s);
    struct policy_request r = {.rows = 1, .deadline_ns = AC_NS_PER_S, .tenant = POLICY_TENANTS};
    sched_arrive(s, 0, &r);
    r = (struct policy_request){
        .rows = 1, .deadline_ns = AC_NS_PER_S, .priority = POLICY_PRIORITIES};
    sched_arrive(s, 0, &r);
    assert_int_equal(told.replies, 2);
    assert_int_equal(told.last, POLICY_ERROR);
    r.priority = POLICY_PRIORITIES - 1;
    sched_arrive(s, 0, &r);
    assert_int_equal(told.replies, 2); /* it waits for a device */
    assert_true(sched_cancel(s, 0, 0));
    sched_destroy(s);
}

int main(void)
{
    noting = policy_aceso;
    noting.destroy = destroy_noting;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flood_leaves_others_their_share),
        cmocka_unit_test(test_who_left_is_no_reason),
        cmocka_unit_test(test_floods_divide_the_time_by_weight),
        cmocka_unit_test(test_what_nobody_else_asks_for_is_given),
        cmocka_unit_test(test_high_priority_is_shed_last),
        cmocka_unit_test(test_priority_counts_within_a_tenant),
        cmocka_unit_test(test_room_is_shared_too),
        cmocka_unit_test(test_equal_requests_are_treated_as_ever),
        cmocka_unit_test(test_nobody_is_beyond_the_last_tenant),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
