/* The scorers on models whose cause is known, and on input that must not break them. */
#include "hotel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>

#include "scorers/rca_bocpd.h"
#include "scorers/rca_scorer.h"
#include "scorers/rca_scorers.h"

#define NORMAL 300
#define FAULTY 30

/* 0 -> 1 -> 2 -> 3 and 4 -> 3 (.9 of the cause's deviations), 5 apart; in the incident the noise of
 * `cause` is `push` higher. Columns are in deviations of their normal rows, as a frame's are. */
static void chain(struct ac_rca_frame *f, size_t cause, double push, uint64_t seed)
{
    static const int edges[][2] = {{0, 1}, {1, 2}, {2, 3}, {4, 3}};
    static const size_t order[] = {0, 1, 2, 4, 3, 5};
    size_t rows = NORMAL + FAULTY;
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    assert_int_equal(ac_rca_frame_init(f, 6, NORMAL, FAULTY, NULL), 0);
    for (size_t e = 0; e < AC_ARRAY_LEN(edges); e++)
        f->drives[edges[e][0] * 6 + edges[e][1]] = true;
    for (size_t k = 0; k < 6; k++) {
        double *x = f->x + order[k] * rows, sum = 0, squares = 0;
        for (size_t t = 0; t < rows; t++) {
            x[t] = ac_rng_normal(&r) + (order[k] == cause && t >= NORMAL ? push : 0.0);
            for (size_t i = 0; i < 6; i++)
                if (f->drives[i * 6 + order[k]])
                    x[t] += 0.9 * f->x[i * rows + t];
            sum += t < NORMAL ? x[t] : 0.0;
            squares += t < NORMAL ? x[t] * x[t] : 0.0;
        }
        double mean = sum / NORMAL, sd = sqrt(squares / NORMAL - mean * mean);
        for (size_t t = 0; t < rows; t++)
            x[t] = (x[t] - mean) / sd;
    }
    f->symptom = 3;
}

static size_t first(const double *score, size_t p)
{
    size_t best = 0;
    for (size_t j = 0; j < p; j++) {
        assert_true(isfinite(score[j]) && score[j] >= 0.0);
        if (score[j] > score[best])
            best = j;
    }
    return best;
}

static void cause_in_the_middle_is_first(void **state)
{
    (void)state;
    int circa = 0, traversal = 0, rcd = 0, shapley = 0, fix = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct ac_rca_frame f;
        struct ac_rca_sem s;
        double score[6], again[6];
        chain(&f, 1, 12.0, seed);
        assert_int_equal(ac_rca_sem_fit(&f, &s, NULL), 0);
        ac_rca_score_circa(&f, &s, score);
        circa += first(score, 6) == 1;
        ac_rca_score_traversal(&f, score);
        traversal += first(score, 6) == 1;
        ac_rca_score_shapley(&f, &s, seed, score);
        shapley += first(score, 6) == 1;
        assert_true(score[5] == 0.0); /* has no effect on the symptom */
        ac_rca_score_fix(&f, &s, seed, score);
        fix += first(score, 6) == 1;
        ac_rca_score_walk(&f, score);
        assert_true(first(score, 6) <= 3); /* on the way from the symptom to its causes */
        assert_true(score[1] > score[5] && score[1] > score[4]);
        ac_rca_sem_fini(&s);
        ac_rca_frame_fini(&f);
        chain(&f, 1, 5.0, seed); /* larger, and an effect tells faulty rows as well as its cause */
        assert_int_equal(ac_rca_score_rcd(&f, seed, score, NULL), 0);
        rcd += first(score, 6) == 1;
        assert_int_equal(ac_rca_score_rcd(&f, seed, again, NULL), 0);
        assert_memory_equal(score, again, sizeof(score)); /* same seed, same answer */
        ac_rca_frame_fini(&f);
    }
    /* Where a row of the normal cause 0 passes 3, it is credited with what lies behind it. */
    assert_true(circa >= 16);
    assert_true(traversal >= 18); /* a row of the normal cause 0 may pass 3 */
    assert_true(shapley == 20);
    assert_true(fix >= 19);
    assert_true(rcd >= 18);
}

static void model_knows_effects(void **state)
{
    (void)state;
    struct ac_rca_frame f;
    struct ac_rca_sem s;
    double effect[6];
    chain(&f, 1, 0.0, 3);
    assert_int_equal(ac_rca_sem_fit(&f, &s, NULL), 0);
    ac_rca_sem_effects(&s, 3, effect);
    assert_true(effect[3] == 1.0 && effect[5] == 0.0);
    /* Each cause has variance 1 before its effect is scaled to 1, too. */
    double one = 0.9 / sqrt(1.0 + 0.81), two = 0.9 / sqrt(1.0 + 2 * 0.81);
    assert_float_equal(effect[2], two, 0.1);
    assert_float_equal(effect[0], one * one * two, 0.1);
    ac_rca_sem_fini(&s);
    ac_rca_frame_fini(&f);
}

/* Shapley values of a set of players sum to what all of them together are worth. */
static void shapley_shares_are_complete(void **state)
{
    (void)state;
    struct ac_rca_frame f;
    struct ac_rca_sem s;
    double score[6], sum = 0, effect[6], seen = 0, variance = 0;
    chain(&f, 0, 6.0, 5);
    assert_int_equal(ac_rca_sem_fit(&f, &s, NULL), 0);
    size_t rows = NORMAL + FAULTY, row = ac_rca_worst_row(&f, 3);
    ac_rca_sem_effects(&s, 3, effect);
    for (size_t j = 0; j < 6; j++) { /* all push the same way: no share is negative */
        s.noise[j * rows + row] = s.sd[j] * (1.0 + (double)j);
        seen += effect[j] * s.noise[j * rows + row];
        variance += effect[j] * s.sd[j] * effect[j] * s.sd[j];
    }
    ac_rca_score_shapley(&f, &s, 1, score);
    for (size_t j = 0; j < 6; j++)
        sum += score[j];
    assert_float_equal(sum, -log(erfc(fabs(seen) / sqrt(variance) / sqrt(2.0))), 1e-9);
    ac_rca_sem_fini(&s);
    ac_rca_frame_fini(&f);
}

/* Beyond the exact limit orders are drawn; each shares out the whole. */
static void drawn_shapley_shares_are_complete(void **state)
{
    (void)state;
    enum {
        P = 16
    };
    struct ac_rca_frame f;
    struct ac_rca_sem s;
    struct ac_rng r;
    size_t rows = NORMAL + FAULTY;
    double score[P], effect[P], sum = 0, seen = 0, variance = 0;
    ac_rng_seed(&r, 6);
    assert_int_equal(ac_rca_frame_init(&f, P, NORMAL, FAULTY, NULL), 0);
    f.symptom = P - 1;
    for (size_t j = 0; j < P; j++)
        for (size_t t = 0; t < rows; t++) {
            f.drives[j * P + P - 1] = j < P - 1;
            f.x[j * rows + t] = ac_rng_normal(&r);
            for (size_t i = 0; j == P - 1 && i < j; i++)
                f.x[j * rows + t] += f.x[i * rows + t];
        }
    assert_int_equal(ac_rca_sem_fit(&f, &s, NULL), 0);
    size_t row = ac_rca_worst_row(&f, P - 1);
    ac_rca_sem_effects(&s, P - 1, effect);
    for (size_t j = 0; j < P; j++) {
        s.noise[j * rows + row] = effect[j] * s.sd[j]; /* pushes one way */
        seen += effect[j] * s.noise[j * rows + row];
        variance += effect[j] * s.sd[j] * effect[j] * s.sd[j];
    }
    ac_rca_score_shapley(&f, &s, 1, score);
    for (size_t j = 0; j < P; j++)
        sum += score[j];
    assert_float_equal(sum, -log(erfc(seen / sqrt(variance) / sqrt(2.0))), 1e-9);
    ac_rca_sem_fini(&s);
    ac_rca_frame_fini(&f);
}

/* What is anomalous is credited with the largest score behind its effects. */
static void circa_adds_what_lies_behind(void **state)
{
    (void)state;
    struct ac_rca_frame f;
    struct ac_rca_sem s;
    double score[6];
    chain(&f, 1, 0.0, 4);
    assert_int_equal(ac_rca_sem_fit(&f, &s, NULL), 0);
    for (size_t j = 0; j < 6; j++)
        for (size_t t = NORMAL; t < NORMAL + FAULTY; t++)
            s.noise[j * (NORMAL + FAULTY) + t] = 0.0;
    s.noise[0 * (NORMAL + FAULTY) + NORMAL] = 4.0 * s.sd[0]; /* 0 -> 1, normal -> 2 */
    s.noise[2 * (NORMAL + FAULTY) + NORMAL] = 5.0 * s.sd[2];
    ac_rca_score_circa(&f, &s, score);
    assert_float_equal(score[0], 9.0, 1e-9);
    assert_float_equal(score[1], 0.0, 1e-9);
    assert_float_equal(score[2], 5.0, 1e-9);
    ac_rca_sem_fini(&s);
    ac_rca_frame_fini(&f);
}

/* A second a row; `from` on the first component is 10 higher. */
static struct ac_rca_case *stepped(int rows, int from)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng r;
    ac_rng_seed(&r, 8);
    for (int i = 0; i < 2; i++) {
        int comp = ac_rca_component(c, i ? "calm" : "busy");
        int m = ac_rca_metric_add(c, comp, -1, AC_RCA_LAT, AC_RCA_MEAN, "lat");
        for (int t = 0; t < rows; t++)
            ac_rca_metric_push(&c->metrics[m], t * AC_NS_PER_S,
                               ac_rng_normal(&r) + (i == 0 && t >= from ? 10.0 : 0.0));
    }
    assert_int_equal(ac_rca_edge_add(c, 1, 0, "test"), 0);
    return c;
}

static void frame_has_its_rows(void **state)
{
    (void)state;
    struct ac_rca_frame f;
    struct ac_rca_case *c = stepped(200, 20);
    struct ac_rca_params p = ac_rca_params_default(20 * AC_NS_PER_S, 30 * AC_NS_PER_S);
    p.margin_ns = 50 * AC_NS_PER_S;
    p.target = 1;
    assert_int_equal(ac_rca_frame_make(c, &p, NULL, AC_RCA_PC_GIVEN, &f, NULL), 0);
    assert_int_equal(f.before, 20); /* few: what lies behind the margin is normal, too */
    assert_int_equal(f.normal, 20 + 100);
    assert_int_equal(f.faulty, 30);
    assert_int_equal(c->metrics[f.metric[f.symptom]].component,
                     1); /* the target, not the loudest */
    ac_rca_frame_fini(&f);
    ac_rca_case_destroy(c);

    c = ac_rca_case_create(); /* every second; and every tenth of one, but for a gap at 38 to 41 */
    for (int i = 0; i < 2; i++) {
        int comp = ac_rca_component(c, i ? "fine" : "row");
        for (int k = 0; k < 2 - i; k++) {
            int m = ac_rca_metric_add(c, comp, -1, AC_RCA_LAT, AC_RCA_MEAN, k ? "b" : "a");
            for (int t = 0; t < 600; t++)
                if (i ? t < 380 || t >= 420 : t % 10 == 0)
                    ac_rca_metric_push(&c->metrics[m], t * (AC_NS_PER_S / 10),
                                       i ? (double)((t + t / 10) % 10) + (double)(t / 10)
                                         : (double)(t % 7));
        }
    }
    p = ac_rca_params_default(40 * AC_NS_PER_S, 20 * AC_NS_PER_S);
    assert_int_equal(ac_rca_frame_make(c, &p, NULL, AC_RCA_PC_GIVEN, &f, NULL), 0);
    assert_int_equal(f.p, 3);
    const double *x = f.x + 2 * (f.normal + f.faulty); /* standardised: differences tell */
    double unit = x[1] - x[0];
    assert_int_equal(f.normal, 40);
    assert_float_equal(x[37] - x[0], 37 * unit, 1e-9); /* means of ten */
    assert_true(x[38] == x[37] && x[39] == x[37]);     /* the last before the gap stays */
    assert_true(x[40] == x[37] && x[41] == x[37]);     /* also into the incident */
    assert_float_equal(x[42] - x[0], 42 * unit, 1e-9);
    ac_rca_frame_fini(&f);
    ac_rca_case_destroy(c);
}

/* c and d share two causes: only given both of them are they independent. */
static void sets_of_the_learnt_graph_are_as_large_as_asked_for(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_params p = ac_rca_params_default(500 * AC_NS_PER_S, 20 * AC_NS_PER_S);
    struct ac_rng rng;
    ac_rng_seed(&rng, 3);
    for (int i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        assert_int_equal(
            ac_rca_metric_add(c, ac_rca_component(c, name), -1, AC_RCA_CPU, AC_RCA_MEAN, "cpu"), i);
    }
    for (int t = 0; t < 520; t++) {
        double a = ac_rng_normal(&rng), b = ac_rng_normal(&rng);
        const double v[4] = {a, b, a + b + ac_rng_normal(&rng), a + b + ac_rng_normal(&rng)};
        for (int i = 0; i < 4; i++)
            ac_rca_metric_push(&c->metrics[i], t * AC_NS_PER_S, v[i]);
    }
    for (int given = 1; given <= 2; given++) {
        struct ac_rca_frame f;
        assert_int_equal(ac_rca_frame_make(c, &p, NULL, given, &f, NULL), 0);
        assert_int_equal(f.drives[2 * 4 + 3] || f.drives[3 * 4 + 2], given < 2);
        ac_rca_frame_fini(&f);
    }
    ac_rca_case_destroy(c);
}

static void change_time_is_where_it_stepped(void **state)
{
    (void)state;
    struct ac_rca_case *c = stepped(300, 200);
    struct ac_rca_params p = ac_rca_params_default(220 * AC_NS_PER_S, 60 * AC_NS_PER_S);
    struct ac_rca_frame f;
    assert_int_equal(ac_rca_frame_make(c, &p, NULL, AC_RCA_PC_GIVEN, &f, NULL), 0);
    int64_t t = ac_rca_change_time(c, &f, p.t0_ns, f.faulty);
    assert_true(llabs(t - 200 * AC_NS_PER_S) <= AC_NS_PER_S);
    assert_true(ac_rca_change_time(c, &f, p.t0_ns, 5) != t); /* out of reach */
    struct ac_rca_scoring how = {.scorer = AC_RCA_SCORER_BARO_CHANGE};
    struct ac_rca_result r;
    assert_int_equal(ac_rca_score(c, &p, &how, &r, NULL), 0);
    assert_true(r.t0_ns == t && r.end_ns == 280 * AC_NS_PER_S); /* the end stays */
    ac_rca_result_fini(&r);
    ac_rca_frame_fini(&f);
    ac_rca_case_destroy(c);
}

static void change_point_is_found(void **state)
{
    (void)state;
    int exact = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        double x[300 * 3];
        size_t changes[16], near = 0;
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        for (size_t t = 0; t < 300; t++)
            for (size_t k = 0; k < 3; k++)
                x[t * 3 + k] = ac_rng_normal(&r) + (t >= 200 && k < 2 ? 4.0 : 0.0);
        size_t n = ac_rca_bocpd(x, 300, 3, 1.0 / 250.0, changes, 16);
        for (size_t i = 0; i < n; i++) {
            near += changes[i] >= 199 && changes[i] <= 201;
            assert_true(i == 0 || changes[i] > changes[i - 1]);
        }
        exact += near > 0;
        assert_true(n <= 5);
        for (size_t t = 200 * 3; t < 300 * 3; t++) /* no change */
            x[t] = ac_rng_normal(&r);
        assert_true(ac_rca_bocpd(x, 300, 3, 1.0 / 250.0, changes, 16) <= 3);
    }
    assert_true(exact >= 19);
}

static void no_symptom_is_no_blame(void **state)
{
    (void)state;
    struct ac_rca_frame f;
    struct ac_rca_sem s;
    double score[6];
    chain(&f, 1, 0.0, 9);
    f.symptom = -1;
    assert_int_equal(ac_rca_sem_fit(&f, &s, NULL), 0);
    ac_rca_score_shapley(&f, &s, 1, score);
    for (size_t j = 0; j < 6; j++)
        assert_true(score[j] == 0.0);
    ac_rca_score_fix(&f, &s, 1, score);
    for (size_t j = 0; j < 6; j++)
        assert_true(score[j] == 0.0);
    ac_rca_sem_fini(&s);
    ac_rca_frame_fini(&f);
}

/* Whatever the samples are: a ranking of all components, finite and ordered, or an error. */
static void rank_all(const struct ac_rca_case *c, const struct ac_rca_params *p, uint64_t seed)
{
    for (int k = 0; k < AC_RCA_NSCORERS; k++) {
        struct ac_rca_scoring how = {.scorer = (enum ac_rca_scorer)k, .seed = seed};
        struct ac_rca_result r;
        struct ac_err err = AC_ERR_INIT;
        if (ac_rca_score(c, p, &how, &r, &err)) {
            assert_true(err.msg[0] != '\0');
            continue;
        }
        assert_int_equal(r.ncauses, c->ncomponents);
        for (size_t i = 0; i < r.ncauses; i++) {
            if (!isfinite(r.causes[i].score) || r.causes[i].score < 0.0 ||
                (i > 0 && r.causes[i].score > r.causes[i - 1].score))
                fail_msg("%s, seed %d: score %zu is %g", ac_rca_scorer_name(how.scorer), (int)seed,
                         i, r.causes[i].score);
        }
        ac_rca_result_fini(&r);
    }
}

/* Constants, copies, infinities, gaps, huge values, steps of 1, 5 and 15 s, series that end early.
 */
static void wild_samples_give_numbers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct ac_rng r;
        struct ac_rca_case *c = ac_rca_case_create();
        ac_rng_seed(&r, seed);
        int n = 2 + (int)ac_rng_below(&r, 5);
        for (int i = 0; i < n; i++) {
            char name[16];
            snprintf(name, sizeof(name), "c%d", i);
            assert_int_equal(ac_rca_component(c, name), i);
        }
        for (int i = 0; i < n; i++) {
            static const enum ac_rca_kind kinds[] = {AC_RCA_LAT, AC_RCA_CPU, AC_RCA_ERR,
                                                     AC_RCA_LOAD};
            static const int steps[] = {1, 5, 15};
            for (size_t k = 0; k < 4; k++) {
                int m = ac_rca_metric_add(c, i, -1, kinds[k], AC_RCA_MEAN, "m");
                int how = (int)ac_rng_below(&r, 8), step = steps[ac_rng_below(&r, 3)];
                int end = how == 6 ? 100 : 400;
                for (int t = 0; t < end; t += step) {
                    double v = how == 0   ? 7.0
                               : how == 1 ? (t % 2 ? INFINITY : ac_rng_normal(&r))
                               : how == 2 ? 1e99 * ac_rng_normal(&r)
                               : how == 3 ? (double)t
                               : how == 4 ? (t < 300 ? 0.0 : 1.0)
                                          : ac_rng_normal(&r);
                    if (how != 5 || ac_rng_below(&r, 3) > 0)
                        ac_rca_metric_push(&c->metrics[m], (int64_t)t * AC_NS_PER_S, v);
                }
            }
            if (i > 0 && seed % 3 > 0) /* each third case has no graph */
                assert_int_equal(ac_rca_edge_add(c, (int)ac_rng_below(&r, (uint64_t)i), i, "test"),
                                 0);
        }
        if (seed % 3 == 1) /* a cycle of calls */
            assert_int_equal(ac_rca_edge_add(c, n - 1, 0, "test"), 0);
        struct ac_rca_params p = ac_rca_params_default(300 * AC_NS_PER_S, 60 * AC_NS_PER_S);
        rank_all(c, &p, seed);
        p.target = 0;
        rank_all(c, &p, seed);
        ac_rca_case_destroy(c);
    }
}

static void little_is_said_to_be_little(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_result r;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_params p = ac_rca_params_default(5 * AC_NS_PER_S, 5 * AC_NS_PER_S);
    struct ac_rca_scoring how = {.scorer = AC_RCA_SCORER_CIRCA};
    assert_int_equal(ac_rca_score(c, &p, &how, &r, &err), AC_EINVAL);
    assert_int_equal(ac_rca_component(c, "a"), 0);
    assert_int_equal(ac_rca_score(c, &p, &how, &r, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "no samples"));
    int m = ac_rca_metric_add(c, 0, -1, AC_RCA_LAT, AC_RCA_MEAN, "lat");
    for (int t = 0; t < 10; t++)
        ac_rca_metric_push(&c->metrics[m], t * AC_NS_PER_S, t);
    assert_int_equal(ac_rca_score(c, &p, &how, &r, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "too few"));
    ac_rca_case_destroy(c);
}

/* On a whole application: where the fault is, the graph's scorers find it. */
static void burning_processor_is_found(void **state)
{
    (void)state;
    static const enum ac_rca_scorer finds[] = {AC_RCA_SCORER_CIRCA, AC_RCA_SCORER_BARO};
    for (size_t k = 0; k < AC_ARRAY_LEN(finds); k++) {
        size_t found = 0;
        for (uint64_t seed = 1; seed <= 10; seed++) {
            struct hotel_opts o = {
                .fault = HOTEL_CPU, .healthy_s = 120, .faulty_s = 30, .seed = seed};
            struct ac_rca_case *c = hotel_case(&o);
            struct ac_rca_params p = ac_rca_params_default(hotel_fault_ns(&o), 30 * AC_NS_PER_S);
            struct ac_rca_scoring how = {.scorer = finds[k], .seed = 1};
            struct ac_rca_result r;
            assert_int_equal(ac_rca_score(c, &p, &how, &r, NULL), 0);
            for (size_t i = 0; i < 3; i++)
                found += strcmp(c->components[r.causes[i].component], "rate") == 0;
            ac_rca_result_fini(&r);
            ac_rca_case_destroy(c);
        }
        if (found < 9)
            fail_msg("%s: in the first three %zu of 10 times", ac_rca_scorer_name(finds[k]), found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cause_in_the_middle_is_first),
        cmocka_unit_test(model_knows_effects),
        cmocka_unit_test(shapley_shares_are_complete),
        cmocka_unit_test(drawn_shapley_shares_are_complete),
        cmocka_unit_test(circa_adds_what_lies_behind),
        cmocka_unit_test(frame_has_its_rows),
        cmocka_unit_test(sets_of_the_learnt_graph_are_as_large_as_asked_for),
        cmocka_unit_test(change_time_is_where_it_stepped),
        cmocka_unit_test(change_point_is_found),
        cmocka_unit_test(no_symptom_is_no_blame),
        cmocka_unit_test(wild_samples_give_numbers),
        cmocka_unit_test(little_is_said_to_be_little),
        cmocka_unit_test(burning_processor_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
