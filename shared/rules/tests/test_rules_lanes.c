/* Properties of many series side by side, over random rules and series: each lane gets the bits
 * that the series gets alone, with every instruction set of this machine, and a series can move
 * between lanes and evaluations. */
#include "rulegen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

#include "../rules_impl.h"

#define ROUNDS 150
#define POINTS 300
#define LANES  20
#define STEP   1000000000LL
#define START  1600000000000000000LL

struct made {
    struct ac_buf text;
    struct ac_ruleset *set;
    struct ac_plan *plan;
};

static bool compile(struct made *m)
{
    const struct ac_rule *rules[3];
    if (ac_ruleset_parse(m->text.data, m->text.len, &m->set, NULL) < 0) {
        ac_buf_fini(&m->text); /* test_rules_property.c looks at why */
        return false;
    }
    size_t n = ac_ruleset_len(m->set);
    assert_true(n <= AC_ARRAY_LEN(rules));
    for (size_t i = 0; i < n; i++)
        rules[i] = ac_ruleset_get(m->set, i);
    assert_int_equal(ac_plan_create(rules, n, 0, &m->plan, NULL), 0);
    return true;
}

static bool make_text(struct made *m, const char *text)
{
    ac_buf_init(&m->text, 1 << 20);
    ac_buf_puts(&m->text, text);
    assert_true(compile(m));
    return true;
}

static bool make(struct made *m, uint64_t seed)
{
    struct rulegen g = {.lets = 0};
    ac_rng_seed(&g.rng, seed);
    ac_buf_init(&m->text, 1 << 20);
    ac_buf_puts(&m->text, "language 1\n");
    size_t n = 1 + ac_rng_below(&g.rng, 3);
    for (size_t i = 0; i < n; i++)
        rg_rule(&g, &m->text, (int)i);
    return compile(m);
}

static void unmake(struct made *m)
{
    ac_plan_destroy(m->plan);
    ac_ruleset_destroy(m->set);
    ac_buf_fini(&m->text);
}

/* Every column of every operator at its last point is the same, to the bit. */
static void same_columns(const struct ac_eval *a, size_t lane_a, const struct ac_eval *b,
                         size_t lane_b, const char *where, const struct made *m)
{
    eval_late(a);
    eval_late(b);
    for (uint32_t i = 0; i < a->plan->n_nodes; i++) {
        if (!a->plan->nodes[i].column)
            continue;
        const double *x = a->at[i] + a->row * a->lanes + lane_a;
        const double *y = b->at[i] + b->row * b->lanes + lane_b;
        /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): to the bit, NaN too */
        if (memcmp(x, y, sizeof *x) != 0)
            fail_msg("%s: operator %u (kind %d) is %.17g and %.17g\n%s", where, i,
                     (int)a->plan->nodes[i].op, *x, *y, m->text.data);
    }
}

static void move_series(struct ac_eval *from, size_t lane, struct ac_eval *to, size_t to_lane)
{
    struct ac_buf b;
    bool exact = false;
    ac_buf_init(&b, 64 << 20);
    ac_eval_lane(from, lane);
    ac_eval_lane(to, to_lane);
    assert_true(ac_eval_save(from, &b));
    assert_int_equal(ac_eval_restore(to, b.data, b.len, &exact, NULL), 0);
    assert_true(exact);
    assert_true(ac_eval_points(to) == ac_eval_points(from));
    ac_buf_fini(&b);
}

struct world {
    struct made m;
    struct ac_rng r;
    size_t lanes, n_inputs;
    double v[LANES][POINTS], in[8][LANES][POINTS];
};

static void make_world(struct world *w, uint64_t seed)
{
    ac_rng_seed(&w->r, seed * 1013);
    w->lanes = 1 + ac_rng_below(&w->r, LANES);
    w->n_inputs = AC_MIN(ac_plan_n_inputs(w->m.plan), AC_ARRAY_LEN(w->in));
    for (size_t k = 0; k < w->lanes; k++) {
        rg_series(&w->r, w->v[k], POINTS);
        for (size_t i = 0; i < w->n_inputs; i++)
            rg_series(&w->r, w->in[i][k], POINTS);
    }
}

static void push_all(const struct world *w, struct ac_eval *e, size_t t, uint64_t *flags)
{
    double values[LANES], columns[AC_ARRAY_LEN(w->in)][LANES];
    const double *in[64] = {NULL};
    int64_t times[LANES];
    for (size_t k = 0; k < w->lanes; k++) {
        values[k] = w->v[k][t];
        times[k] = START + (int64_t)t * STEP + (int64_t)k * 7;
        for (size_t i = 0; i < w->n_inputs; i++)
            columns[i][k] = w->in[i][k][t];
    }
    for (size_t i = 0; i < w->n_inputs; i++)
        in[i] = columns[i];
    ac_eval_push_lanes(e, times, values, ac_plan_n_inputs(w->m.plan) == w->n_inputs ? in : NULL,
                       flags);
}

static uint64_t push_one(const struct world *w, struct ac_eval *e, size_t lane, size_t t)
{
    double in[AC_ARRAY_LEN(w->in)];
    for (size_t i = 0; i < w->n_inputs; i++)
        in[i] = w->in[i][lane][t];
    return ac_eval_push_with(e, START + (int64_t)t * STEP + (int64_t)lane * 7, w->v[lane][t],
                             ac_plan_n_inputs(w->m.plan) == w->n_inputs ? in : NULL);
}

static void lanes_agree(struct world *w, uint64_t seed, enum simd_level level)
{
    const size_t lanes = w->lanes;
    AC_ASSERT(lanes > 0 && lanes <= LANES);
    struct ac_eval *many = ac_eval_create_lanes(w->m.plan, lanes), *alone[LANES] = {NULL};
    char where[80];
    uint64_t flags[LANES];
    size_t move = ac_rng_below(&w->r, POINTS);
    many->simd = simd_kernel(level);
    for (size_t k = 0; k < lanes; k++) {
        alone[k] = ac_eval_create(w->m.plan, 1);
        alone[k]->simd = simd_kernel(SIMD_PLAIN);
    }
    for (size_t t = 0; t < POINTS; t++) {
        if (t == move) { /* the last series goes out into a world of its own and comes back */
            struct ac_eval *other = ac_eval_create_lanes(w->m.plan, 3);
            size_t last = lanes - 1;
            move_series(many, last, other, 1);
            ac_eval_lane(many, last);
            ac_eval_reset(many);
            assert_true(ac_eval_points(many) == 0 && !ac_eval_flag(many, 0));
            move_series(other, 1, many, last);
            move_series(many, 0, alone[0], 0);
            ac_eval_destroy(other);
        }
        push_all(w, many, t, flags);
        for (size_t k = 0; k < lanes; k++) {
            uint64_t f = push_one(w, alone[k], k, t);
            (void)snprintf(where, sizeof where, "seed %llu level %d lane %zu of %zu point %zu",
                           (unsigned long long)seed, (int)level, k, lanes, t);
            same_columns(many, k, alone[k], 0, where, &w->m);
            if (f != flags[k])
                fail_msg("%s: flags\n%s", where, w->m.text.data);
        }
    }
    for (size_t k = 0; k < lanes; k++)
        ac_eval_destroy(alone[k]);
    ac_eval_destroy(many);
}

static void a_lane_is_the_series_alone(void **st)
{
    (void)st;
    struct world *w = calloc(1, sizeof *w);
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        if (!make(&w->m, seed))
            continue;
        make_world(w, seed);
        enum simd_level level = (enum simd_level)(seed % 3);
        lanes_agree(w, seed, simd_kernel(level) ? level : SIMD_PLAIN);
        unmake(&w->m);
    }
    free(w);
}

/* In blocks, with each instruction set, the same columns as point by point without any. */
static void instruction_sets_agree(void **st)
{
    (void)st;
    struct world *w = calloc(1, sizeof *w);
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        if (!make(&w->m, seed + 5000))
            continue;
        make_world(w, seed);
        struct ac_eval *e[3] = {NULL}, *one = ac_eval_create(w->m.plan, 1);
        size_t block = 1 + ac_rng_below(&w->r, 90), last = POINTS / block * block;
        one->simd = simd_kernel(SIMD_PLAIN);
        for (size_t t = 0; t < last; t++)
            (void)ac_eval_push(one, START + (int64_t)t * STEP, w->v[0][t]);
        for (int l = SIMD_PLAIN; l <= SIMD_AVX512; l++) {
            char where[80];
            if (!simd_kernel((enum simd_level)l))
                continue;
            e[l] = ac_eval_create(w->m.plan, block);
            e[l]->simd = simd_kernel((enum simd_level)l);
            struct ac_eval_batch b = {
                .values = w->v[0], .n = last, .t0_ns = START, .step_ns = STEP};
            ac_eval_run(e[l], &b);
            (void)snprintf(where, sizeof where, "seed %llu level %d block %zu",
                           (unsigned long long)seed, l, block);
            same_columns(e[l], 0, one, 0, where, &w->m);
            ac_eval_destroy(e[l]);
        }
        ac_eval_destroy(one);
        unmake(&w->m);
    }
    free(w);
}

/* Every way in which a point of one series is taken by itself. */
static const char one_by_one[] =
    "language 1 rule \"p\" { let d = diff(value, 1)"
    " let s = season_median(value, 40, 3, 2) + season_max(value, 24, 2, 1) - season_min(value, 17, "
    "2, 1)"
    " let s2 = lag(season_median(d, 19, 2, 3), 2) + season_median(value, 20, 2, 5)"
    " let o = median(value, 30) + mad(value, 9) + quantile(d, 5, 0.2) + median(value, 2) + mad(d, "
    "32)"
    " let big = robust_z(value, 70) + quantile(value, 200, 0.9) + median(lag(d, 1), 61)"
    " let m = min(value, 2) + max(d, 2) + max(value, 8) + min(value, 9) + max(value, 100)"
    " let sums = mean(value, 3) + std(value, 20) + slope(d, 5) + sum(value, 60) + "
    "season_mean(value, 20, 2, 1)"
    " let ar = predict(d, [0.5, -0.25, 0.1, 0.2, 0.05]) + ar(value, [0.5, 0.1, 0.2, 0.1]) + "
    "predict(value, [1])"
    " let one = ewma(value, 0.3) + run(value > 1) + count(d > 0, 7) + increase(value) + "
    "unchanged(value)"
    " let env = envelope(value, 4, 9, 0.8) + time_of_day()"
    " when latch(edge(o > 1, 3), held(m < 2, 2, 4)) or s + s2 + big + sums + ar + one + env > 5"
    " until ar < 0 for 2 of 3 }";

/* A chunk of the series, in one way or the other. */
static void go_on(const struct world *w, struct ac_eval *e, size_t at, size_t n, bool blocks)
{
    struct ac_eval_batch b = {
        .values = w->v[0] + at, .n = n, .t0_ns = START + (int64_t)at * STEP, .step_ns = STEP};
    if (blocks)
        ac_eval_run(e, &b);
    for (size_t t = at; !blocks && t < at + n; t++)
        (void)ac_eval_push(e, START + (int64_t)t * STEP, w->v[0][t]);
}

/* Whoever takes points one by one may go on in blocks, move, and come back. */
static void ways_alternate(struct world *w, uint64_t seed, enum simd_level level)
{
    const struct kernels *k = simd_kernel(level);
    struct ac_eval *all = ac_eval_create(w->m.plan, 64), *e = ac_eval_create(w->m.plan, 1);
    char where[80];
    all->simd = simd_kernel(SIMD_PLAIN);
    for (size_t at = 0; at < POINTS;) {
        size_t want = 1 + ac_rng_below(&w->r, 40), n = AC_MIN(want, POINTS - at);
        uint64_t how = ac_rng_below(&w->r, 5);
        e->simd = k;
        go_on(w, all, at, n, true);
        go_on(w, e, at, n, how == 0);
        at += n;
        (void)snprintf(where, sizeof where, "seed %llu level %d point %zu way %d",
                       (unsigned long long)seed, (int)level, at, (int)how);
        same_columns(e, 0, all, 0, where, &w->m);
        if (how != 1)
            continue;
        struct ac_eval *other = ac_eval_create(w->m.plan, 1 + ac_rng_below(&w->r, 30));
        other->simd = k;
        go_on(w, other, 0, AC_MIN(at, (size_t)33), false); /* of no account afterwards */
        move_series(e, 0, other, 0);
        ac_eval_destroy(e);
        e = other;
    }
    ac_eval_destroy(e);
    ac_eval_destroy(all);
}

static void points_and_blocks_in_turn(void **st)
{
    (void)st;
    struct world *w = calloc(1, sizeof *w);
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        if (seed % 3 == 0 ? !make_text(&w->m, one_by_one) : !make(&w->m, seed + 9000))
            continue;
        make_world(w, seed);
        for (int l = SIMD_PLAIN; l <= SIMD_AVX512; l++) {
            if (simd_kernel((enum simd_level)l))
                ways_alternate(w, seed, (enum simd_level)l);
        }
        unmake(&w->m);
    }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_is_the_series_alone),
        cmocka_unit_test(instruction_sets_agree),
        cmocka_unit_test(points_and_blocks_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
