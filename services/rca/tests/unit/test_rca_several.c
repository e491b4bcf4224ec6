/* Incidents with several causes, made by seed: who is named, by what share, and who is not. */
#include "rca_answer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>

/* front calls a, b and c; a calls a1, b calls b1; a1 and b1 call the store. Each request of front
 * makes one call along each edge; the number is the place in the list. */
enum {
    FRONT,
    A,
    B,
    C,
    A1,
    B1,
    STORE,
    N
};
static const char *const names[N] = {"front", "a", "b", "c", "a1", "b1", "store"};
static const int callees[N][3] = {{A, B, C}, {A1}, {B1}, {0}, {STORE}, {STORE}, {0}};

#define HEALTHY_S 120
#define FAULTY_S  60
#define LOAD      50.0

struct fault {
    int who, after_s; /* the incident's begin */
    double slow_s;    /* own time a request beyond normal, and a busy processor */
    double errors;    /* a second */
};

struct made {
    struct ac_rca_case *c;
    int lat[N], err[N], cpu[N], mem[N], load[N];
};

static int metric(struct ac_rca_case *c, int i, enum ac_rca_kind kind)
{
    int m = ac_rca_metric_add(c, i, -1, kind, AC_RCA_MEAN, ac_rca_kind_name(kind));
    assert_true(m >= 0);
    return m;
}

static void second(struct made *m, int s, const struct fault *f, size_t n, struct ac_rng *rng)
{
    double lat[N], err[N];
    int64_t t = (1700000000LL + s) * AC_NS_PER_S;
    for (int i = N - 1; i >= 0; i--) { /* callees first */
        double slow = 0, failed = 0, below = 0;
        for (size_t k = 0; k < n; k++)
            if (f[k].who == i && s >= HEALTHY_S + f[k].after_s) {
                slow += f[k].slow_s * (1 + 0.1 * ac_rng_normal(rng));
                failed += f[k].errors;
            }
        lat[i] = 0.01 * (1 + 0.1 * ac_rng_normal(rng)) + slow;
        err[i] = failed;
        for (size_t k = 0; k < 3 && callees[i][k] != 0; k++) {
            lat[i] += lat[callees[i][k]];
            err[i] += err[callees[i][k]];
            below += lat[callees[i][k]];
        }
        struct ac_rca_metric *all = m->c->metrics;
        ac_rca_metric_push(&all[m->lat[i]], t, lat[i]);
        ac_rca_metric_push(&all[m->err[i]], t, err[i]);
        ac_rca_metric_push(&all[m->cpu[i]], t, slow > 0 ? 0.9 : 0.1 + 0.02 * ac_rng_uniform(rng));
        /* who waits keeps its requests in memory */
        ac_rca_metric_push(&all[m->mem[i]], t, 50 + 50 * below + 0.5 * ac_rng_normal(rng));
        ac_rca_metric_push(&all[m->load[i]], t, LOAD + 2 * ac_rng_normal(rng));
    }
}

static struct ac_rca_case *make(const struct fault *f, size_t n, bool calls, uint64_t seed)
{
    struct made m = {.c = ac_rca_case_create()};
    struct ac_rng rng;
    ac_rng_seed(&rng, seed);
    for (int i = 0; i < N; i++)
        assert_int_equal(ac_rca_component(m.c, names[i]), i);
    for (int i = 0; i < N; i++) {
        m.lat[i] = metric(m.c, i, AC_RCA_LAT);
        m.err[i] = metric(m.c, i, AC_RCA_ERR);
        m.cpu[i] = metric(m.c, i, AC_RCA_CPU);
        m.mem[i] = metric(m.c, i, AC_RCA_MEM);
        m.load[i] = metric(m.c, i, AC_RCA_LOAD);
        for (size_t k = 0; calls && k < 3 && callees[i][k] != 0; k++)
            assert_int_equal(ac_rca_edge_add(m.c, i, callees[i][k], "spans"), 0);
    }
    for (int s = 0; s < HEALTHY_S + FAULTY_S; s++)
        second(&m, s, f, n, &rng);
    return m.c;
}

static void localise(const struct ac_rca_case *c, struct ac_rca_result *r)
{
    struct ac_rca_params p =
        ac_rca_params_default((1700000000LL + HEALTHY_S) * AC_NS_PER_S, FAULTY_S * AC_NS_PER_S);
    p.alerted = true;
    assert_int_equal(ac_rca_localise(c, &p, r, NULL), 0);
}

/* The share of a named component, -1 when it is not named. */
static double share_of(const struct ac_rca_result *r, int who)
{
    for (size_t i = 0; i < r->nnamed; i++)
        if (r->causes[r->named[i].cause].component == who)
            return r->named[i].share;
    return -1;
}

static bool has_impact(const struct ac_rca_result *r, int who)
{
    for (size_t i = 0; i < r->nimpact; i++)
        if (r->impact[i] == who)
            return true;
    return false;
}

/* Exactly the faulty ones are named, by 20 seeds; shares: of the first fault, or -1 for any. */
static void check(const struct fault *f, size_t n, bool calls, enum ac_rca_kind by, double share)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct ac_rca_case *c = make(f, n, calls, seed);
        struct ac_rca_result r;
        double sum = 0;
        localise(c, &r);
        bool ok = r.nnamed == n && r.shared_by == by;
        for (size_t i = 0; i < n; i++) {
            double s = share_of(&r, f[i].who);
            ok = ok && s > 0 && !has_impact(&r, f[i].who);
            sum += s;
        }
        ok = ok && fabs(sum - 1) < 1e-9 && (share < 0 || fabs(share_of(&r, f[0].who) - share) < .1);
        if (!ok) {
            struct ac_buf b;
            ac_buf_init(&b, 1 << 20);
            ac_rca_json(c, &r, N, 0, &b);
            print_error("seed %d, named %zu by %s: %s\n", (int)seed, r.nnamed,
                        ac_rca_kind_name(r.shared_by), ac_buf_str(&b));
            ac_buf_fini(&b);
        }
        assert_true(ok);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
}

static void two_that_begin_together_are_both_named(void **state)
{
    (void)state;
    check((struct fault[]){{A1, 0, .2, 0}, {B1, 0, .1, 0}}, 2, true, AC_RCA_LAT, 2.0 / 3);
    check((struct fault[]){{A1, 0, .2, 0}, {C, 0, .2, 0}}, 2, true, AC_RCA_LAT, .5);
    check((struct fault[]){{A1, 0, 0, 30}, {C, 0, 0, 10}}, 2, true, AC_RCA_ERR, .75);
}

static void one_that_begins_later_is_named_too(void **state)
{
    (void)state;
    check((struct fault[]){{A1, 0, .2, 0}, {B1, 20, .2, 0}}, 2, true, AC_RCA_LAT, .6);
    check((struct fault[]){{B1, 0, .1, 0}, {C, 10, .1, 0}}, 2, true, AC_RCA_LAT, .55);
}

static void a_caller_with_a_fault_of_its_own_is_named_beside_its_callee(void **state)
{
    (void)state;
    check((struct fault[]){{A, 0, .2, 0}, {A1, 0, .1, 0}}, 2, true, AC_RCA_LAT, 2.0 / 3);
    check((struct fault[]){{FRONT, 10, .2, 0}, {STORE, 0, .2, 0}}, 2, true, AC_RCA_LAT, -1);
}

static void seconds_and_errors_are_shared_by_score(void **state)
{
    (void)state;
    check((struct fault[]){{A1, 0, .2, 0}, {C, 0, 0, 20}}, 2, true, AC_RCA_OTHER, -1);
}

static void three_are_named(void **state)
{
    (void)state;
    check((struct fault[]){{A1, 0, .2, 0}, {B1, 0, .2, 0}, {C, 10, .2, 0}}, 3, true, AC_RCA_LAT,
          -1);
}

static void victims_of_one_cause_are_not_named(void **state)
{
    (void)state;
    for (int who = 0; who < N; who++) {
        check((struct fault[]){{who, 0, .2, 0}}, 1, true, AC_RCA_LAT, 1);
        check((struct fault[]){{who, 0, 0, 20}}, 1, true, AC_RCA_ERR, 1);
    }
}

static void without_calls_only_what_does_not_travel_names_another(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fault f[] = {{A1, 0, .2, 0}, {C, 10, .2, 0}};
        for (size_t n = 1; n <= 2; n++) {
            struct ac_rca_case *c = make(f, n, false, seed);
            struct ac_rca_result r;
            localise(c, &r);
            /* who waits may be named by its memory: nothing says that it waits */
            assert_true(share_of(&r, A1) > 0);
            assert_true(n == 1 || share_of(&r, C) > 0);
            assert_true(share_of(&r, STORE) < 0 && share_of(&r, B1) < 0);
            ac_rca_result_fini(&r);
            ac_rca_case_destroy(c);
        }
    }
}

/* What part 'residual' gives a component; 0 when it has none. */
static double residual_of(const struct ac_rca_result *r, int who)
{
    for (size_t i = 0; i < r->ncauses; i++)
        for (size_t j = 0; r->causes[i].component == who && j < r->causes[i].nparts; j++)
            if (r->causes[i].parts[j].kind == AC_RCA_RESIDUAL)
                return r->causes[i].parts[j].part;
    return 0;
}

/* C is slow; everybody who waits is slow as usual, so that C alone shows more than usually goes
 * with it. With calls there is no such part: they say more. */
static void without_calls_the_residual_tells_cause_from_victim(void **state)
{
    (void)state;
    size_t right = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fault f[] = {{C, 0, .05, 0}};
        struct ac_rca_case *c = make(f, 1, false, seed);
        struct ac_rca_result r;
        localise(c, &r);
        assert_true(residual_of(&r, C) > 0);
        right += residual_of(&r, C) > residual_of(&r, FRONT);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
        c = make(f, 1, true, seed);
        localise(c, &r);
        assert_true(residual_of(&r, C) <= 0);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
    if (right < 18)
        print_error("the cause was above its victim in %zu of 20\n", right);
    assert_true(right >= 18);
}

static void the_answer_names_them_with_their_shares(void **state)
{
    (void)state;
    struct fault f[] = {{A1, 0, .2, 0}, {B1, 0, .1, 0}};
    struct ac_rca_case *c = make(f, 2, true, 1);
    struct ac_rca_result r;
    struct ac_buf b;
    localise(c, &r);
    ac_buf_init(&b, 1 << 20);
    ac_rca_text(c, &r, &b);
    assert_non_null(strstr(ac_buf_str(&b), "Beside it b1 (resource) is at fault"));
    assert_non_null(strstr(ac_buf_str(&b), "% of the added time comes from a1"));
    ac_buf_reset(&b);
    ac_rca_json(c, &r, 5, 0, &b);
    assert_non_null(strstr(ac_buf_str(&b), "\"several\":[{\"component\":\"a1\",\"share\":0.6"));
    assert_non_null(strstr(ac_buf_str(&b), "{\"component\":\"b1\",\"share\":0.3"));
    ac_buf_fini(&b);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
}

enum {
    LARGE = 60, /* components */
    KINDS = 4,
    ROWS = 400,
    IN = 100
};

/* All measurements of a large system follow one of two loads; the culprit, number 17, leaves it by
 * less than they vary: with one measurement, or with all, which then also move together. */
static struct ac_rca_case *large(uint64_t seed, bool all)
{
    static const enum ac_rca_kind kinds[KINDS] = {AC_RCA_CPU, AC_RCA_MEM, AC_RCA_LAT, AC_RCA_NET};
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    double load[2][ROWS], own[ROWS] = {0};
    ac_rng_seed(&rng, seed);
    for (int t = 0; t < ROWS; t++)
        for (int i = 0; i < 2; i++)
            load[i][t] = (t ? 0.95 * load[i][t - 1] : 0) + 0.3 * ac_rng_normal(&rng);
    for (int i = 0; i < LARGE * KINDS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%d", i / KINDS);
        int m =
            ac_rca_metric_add(c, ac_rca_component(c, name), -1, kinds[i % KINDS], AC_RCA_MEAN, "m");
        bool culprit = i == 17 * KINDS || (all && i / KINDS == 17);
        for (int t = 0; t < ROWS; t++) {
            if (i % KINDS == 0)
                own[t] = all ? 0.3 * ac_rng_normal(&rng) : 0.0;
            ac_rca_metric_push(&c->metrics[m], (1700000000LL + t) * AC_NS_PER_S,
                               10 + load[i / KINDS % 2][t] + own[t] +
                                   (t >= ROWS - IN && i / KINDS % 2 == 0 ? 0.5 : 0.0) +
                                   0.1 * ac_rng_normal(&rng) +
                                   (t >= ROWS - IN && culprit ? (all ? 3.0 : 1.0) : 0.0));
        }
    }
    return c;
}

static void with_many_measurements_neighbours_tell_what_is_unusual(void **state)
{
    (void)state;
    int with = 0, without = 0, all = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct ac_rca_case *c = large(seed, false);
        struct ac_rca_params p =
            ac_rca_params_default((1700000000LL + ROWS - IN) * AC_NS_PER_S, IN * AC_NS_PER_S);
        p.keep_time = true;
        struct ac_rca_result r;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        with += r.causes[0].component == 17 && residual_of(&r, 17) > 0;
        ac_rca_result_fini(&r);
        assert_true(isfinite(ac_rca_window_score(c, &p)));
        p.without = 1u << AC_RCA_RESIDUAL;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        without += r.causes[0].component == 17;
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
        /* A component's other measurements do not excuse it. */
        c = large(seed, true);
        p.without = 0;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        all += r.causes[0].component == 17 && residual_of(&r, 17) > 1.03;
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
    print_message("first with neighbours %d, without %d, with all of its own %d of 8\n", with,
                  without, all);
    assert_int_equal(with, 8);
    assert_true(without <= 6);
    assert_int_equal(all, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_begin_together_are_both_named),
        cmocka_unit_test(one_that_begins_later_is_named_too),
        cmocka_unit_test(a_caller_with_a_fault_of_its_own_is_named_beside_its_callee),
        cmocka_unit_test(seconds_and_errors_are_shared_by_score),
        cmocka_unit_test(three_are_named),
        cmocka_unit_test(victims_of_one_cause_are_not_named),
        cmocka_unit_test(without_calls_only_what_does_not_travel_names_another),
        cmocka_unit_test(without_calls_the_residual_tells_cause_from_victim),
        cmocka_unit_test(with_many_measurements_neighbours_tell_what_is_unusual),
        cmocka_unit_test(the_answer_names_them_with_their_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
