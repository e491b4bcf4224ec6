/* A graph against data: what is proposed, as what, and in which order edits pay. */
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

#include "graph/rca_validate.h"

#define ROWS 600
#define MAX  12

/* Measurements by number, each the processor of a component of its own unless said otherwise. */
struct world {
    struct ac_rca_case *c;
    struct ac_rca_graph *g;
    struct ac_rng rng;
    double x[MAX][ROWS];
    int node[MAX], n;
};

static void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.c = ac_rca_case_create(), .g = ac_rca_graph_create()};
    ac_rng_seed(&w->rng, seed);
}

static void world_fini(struct world *w)
{
    ac_rca_case_destroy(w->c);
    ac_rca_graph_destroy(w->g);
}

/* The series must be filled before. */
static int add(struct world *w, const char *component, enum ac_rca_kind kind)
{
    int i = w->n++;
    int m = ac_rca_metric_add(w->c, ac_rca_component(w->c, component), -1, kind, AC_RCA_MEAN, "m");
    assert_true(m >= 0);
    for (int t = 0; t < ROWS; t++)
        ac_rca_metric_push(&w->c->metrics[m], (1700000000LL + t) * AC_NS_PER_S, w->x[i][t]);
    assert_true(ac_rca_graph_node(w->g, component, AC_RCA_OTHER) >= 0);
    w->node[i] = ac_rca_graph_node(w->g, component, kind);
    return i;
}

static void causes(struct world *w, int from, int to, double confidence)
{
    assert_true(ac_rca_graph_edge(w->g, w->node[from], w->node[to], AC_RCA_CAUSES, confidence,
                                  "known") >= 0);
}

static void calls(struct world *w, const char *from, const char *to)
{
    assert_true(ac_rca_graph_edge(w->g, ac_rca_graph_find(w->g, from), ac_rca_graph_find(w->g, to),
                                  AC_RCA_CALLS, 0.9, "known") >= 0);
}

static const struct ac_rca_gedge *edge(const struct world *w, int from, int to,
                                       enum ac_rca_edge_kind kind)
{
    int e = ac_rca_graph_edge_find(w->g, w->node[from], w->node[to], kind);
    return e < 0 ? NULL : &w->g->edges[e];
}

static const struct ac_rca_gedge *confounded(const struct world *w, int a, int b)
{
    const struct ac_rca_gedge *e = edge(w, a, b, AC_RCA_CONFOUNDED);
    return e ? e : edge(w, b, a, AC_RCA_CONFOUNDED);
}

static struct ac_rca_validation validate(struct world *w)
{
    struct ac_rca_validation v;
    struct ac_err err = AC_ERR_INIT;
    const struct ac_rca_validate_params p = {.alpha = 0.001, .fdr = 0.001};
    if (ac_rca_validate(w->g, w->c, &p, &v, &err) != 0)
        fail_msg("%s", err.msg);
    return v;
}

static void noise(struct world *w, int i)
{
    for (int t = 0; t < ROWS; t++)
        w->x[i][t] = ac_rng_normal(&w->rng);
}

static void who_moves_together_at_once_has_an_unseen_cause(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int t = 0; t < ROWS; t++) {
            double u = ac_rng_normal(&w.rng);
            w.x[0][t] = u + 0.5 * ac_rng_normal(&w.rng);
            w.x[1][t] = u + 0.5 * ac_rng_normal(&w.rng);
            w.x[2][t] = (t ? w.x[0][t - 1] : 0) + 0.5 * ac_rng_normal(&w.rng);
        }
        int a = add(&w, "a", AC_RCA_CPU), b = add(&w, "b", AC_RCA_CPU),
            c = add(&w, "a", AC_RCA_LAT);
        calls(&w, "a", "b");
        struct ac_rca_validation v = validate(&w);
        const struct ac_rca_gedge *e = confounded(&w, a, b);
        assert_non_null(e);
        assert_int_equal(e->state, AC_RCA_PROPOSED);
        assert_int_equal(e->sign, 1);
        assert_non_null(strstr(e->evidence[0], "an unseen common cause"));
        assert_null(edge(&w, a, b, AC_RCA_CAUSES));
        assert_null(edge(&w, b, a, AC_RCA_CAUSES));
        e = edge(&w, a, c, AC_RCA_CAUSES); /* what moves first is a cause */
        assert_non_null(e);
        assert_float_equal(e->lag_s, 1.0, 0);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* 0 drives 1, 1 drives 2, and 0 drives 2 past it, all at once: the graph knows the first two, so
 * that 0 comes first. */
static void a_cause_of_causes_is_proposed_as_a_cause(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int t = 0; t < ROWS; t++) {
            w.x[0][t] = ac_rng_normal(&w.rng);
            w.x[1][t] = w.x[0][t] + 0.7 * ac_rng_normal(&w.rng);
            w.x[2][t] = w.x[0][t] + w.x[1][t] + 0.7 * ac_rng_normal(&w.rng);
        }
        int a = add(&w, "a", AC_RCA_CPU), b = add(&w, "a", AC_RCA_MEM),
            c = add(&w, "a", AC_RCA_LAT);
        causes(&w, a, b, 0.9);
        causes(&w, b, c, 0.9);
        struct ac_rca_validation v = validate(&w);
        assert_non_null(edge(&w, a, c, AC_RCA_CAUSES));
        assert_null(confounded(&w, a, c));
        assert_int_equal(v.proposed, 1);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* 0 drives 1 and 1 drives 2: 2 depends on 0, but not when 1 is given. */
static void what_the_graph_implies_is_not_proposed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int t = 0; t < ROWS; t++) {
            w.x[0][t] = ac_rng_normal(&w.rng);
            w.x[1][t] = w.x[0][t] + 0.7 * ac_rng_normal(&w.rng);
            w.x[2][t] = w.x[1][t] + 0.7 * ac_rng_normal(&w.rng);
            w.x[3][t] = w.x[1][t] + 0.7 * ac_rng_normal(&w.rng);
        }
        int a = add(&w, "a", AC_RCA_LAT), b = add(&w, "b", AC_RCA_LAT),
            c = add(&w, "c", AC_RCA_LAT),
            d = add(&w, "d",
                    AC_RCA_LAT); /* c and d have nothing to do with a nor with each other */
        calls(&w, "b", "a");
        calls(&w, "c", "b");
        calls(&w, "d", "b");
        causes(&w, a, b, 0.9);
        causes(&w, b, c, 0.9);
        causes(&w, b, d, 0.9);
        struct ac_rca_validation v = validate(&w);
        assert_int_equal(v.supported, 3);
        assert_int_equal(v.proposed, 0);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

static void one_unseen_cause_of_strangers_is_named_once_each(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        noise(&w, 4);
        for (int t = 0; t < ROWS; t++) { /* a host that four share; the last is on another */
            double host = ac_rng_normal(&w.rng);
            for (int i = 0; i < 4; i++)
                w.x[i][t] = host + 0.8 * ac_rng_normal(&w.rng);
        }
        static const char *const names[] = {"a", "b", "c", "d", "e"};
        for (int i = 0; i < 5; i++)
            add(&w, names[i], AC_RCA_CPU);
        struct ac_rca_validation v = validate(&w);
        assert_int_equal(v.proposed, 3); /* a tree over the four */
        bool met[5] = {false};
        for (size_t i = 0; i < w.g->nedges; i++) {
            assert_int_equal(w.g->edges[i].kind, AC_RCA_CONFOUNDED);
            for (int k = 0; k < 5; k++)
                if (w.node[k] == w.g->edges[i].from || w.node[k] == w.g->edges[i].to)
                    met[k] = true;
        }
        assert_true(met[0] && met[1] && met[2] && met[3] && !met[4]);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

static void proposals_close_no_cycle(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world w;
        world_init(&w, seed);
        double mix[8][8];
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++)
                mix[i][j] = ac_rng_uniform(&w.rng) < 0.4 ? ac_rng_normal(&w.rng) : 0;
        for (int t = 0; t < ROWS; t++)
            for (int i = 0; i < 8; i++) {
                w.x[i][t] = ac_rng_normal(&w.rng);
                for (int j = 0; j < i; j++)
                    w.x[i][t] += mix[i][j] * w.x[j][t];
            }
        static const enum ac_rca_kind kinds[] = {AC_RCA_CPU, AC_RCA_MEM, AC_RCA_LAT, AC_RCA_LOAD};
        for (int i = 0; i < 8; i++)
            add(&w, i % 2 ? "a" : "b", kinds[i / 2]);
        calls(&w, "a", "b");
        for (int i = 0; i < 6; i++) /* a wrong order, too */
            causes(&w, (i * 5 + 3) % 8, (i * 5 + 4) % 8, 0.5);
        (void)ac_rca_graph_break_cycles(w.g, NULL, NULL);
        struct ac_rca_validation v = validate(&w);
        size_t gone = ac_rca_graph_break_cycles(w.g, NULL, NULL);
        if (gone > 0)
            print_error("seed %llu\n", (unsigned long long)seed);
        assert_int_equal(gone, 0);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* 1 is 0 with a little noise; either would explain 2, but not both. */
static void an_edit_is_worth_what_the_others_leave(void **state)
{
    (void)state;
    size_t contradicted = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        noise(&w, 3);
        for (int t = 0; t < ROWS; t++) {
            w.x[0][t] = ac_rng_normal(&w.rng);
            w.x[1][t] = w.x[0][t] + 0.3 * ac_rng_normal(&w.rng);
            w.x[2][t] = (t ? w.x[0][t - 1] : 0) + 0.5 * ac_rng_normal(&w.rng);
        }
        int a = add(&w, "a", AC_RCA_CPU), b = add(&w, "a", AC_RCA_LOAD),
            c = add(&w, "a", AC_RCA_LAT), d = add(&w, "a", AC_RCA_MEM);
        causes(&w, d, c, 0.5);
        struct ac_rca_validation v = validate(&w);
        assert_non_null(edge(&w, a, c, AC_RCA_CAUSES));
        assert_non_null(edge(&w, b, c, AC_RCA_CAUSES));
        enum ac_rca_edge_state idle = edge(&w, d, c, AC_RCA_CAUSES)->state;
        assert_true(idle == AC_RCA_CONTRADICTED || idle == AC_RCA_UNTESTED); /* by chance */
        contradicted += idle == AC_RCA_CONTRADICTED;
        size_t into = 0;
        for (size_t i = 0; i < v.nedits; i++) {
            const struct ac_rca_gedge *e = &w.g->edges[v.edits[i].edge];
            into += e->to == w.node[c] && e->state == AC_RCA_PROPOSED;
            assert_true(v.edits[i].gain > 0.0);
            assert_true(e->from != w.node[b] || e->to != w.node[c]);
        }
        assert_int_equal(into, 1);
        if (idle == AC_RCA_CONTRADICTED) /* worth least */
            assert_int_equal(w.g->edges[v.edits[v.nedits - 1].edge].from, w.node[d]);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
    assert_true(contradicted >= 6);
}

static void causes_that_are_not_held_fixed_are_told(void **state)
{
    (void)state;
    struct world w;
    static const enum ac_rca_kind kinds[] = {AC_RCA_CPU, AC_RCA_MEM, AC_RCA_ERR, AC_RCA_LOAD};
    world_init(&w, 5);
    for (int i = 0; i < 8; i++)
        noise(&w, i);
    for (int t = 0; t < ROWS; t++)
        for (int i = 0; i < 8; i++)
            w.x[8][t] += w.x[i][t];
    for (int i = 0; i < 8; i++)
        add(&w, i < 4 ? "a" : "b", kinds[i % 4]);
    add(&w, "a", AC_RCA_LAT);
    for (int i = 0; i < 8; i++)
        causes(&w, i, 8, 0.9 - 0.1 * i);
    struct ac_rca_validation v = validate(&w);
    const struct ac_rca_gedge *e = edge(&w, 0, 8, AC_RCA_CAUSES);
    assert_int_equal(e->state, AC_RCA_SUPPORTED);
    assert_non_null(strstr(e->evidence[1], "further causes that were not held fixed: 1"));
    ac_rca_validation_fini(&v);
    world_fini(&w);
}

/* One grows, one falls, one is a line and nothing else. */
static void a_trend_in_common_is_no_edge(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int t = 0; t < ROWS; t++) {
            w.x[0][t] = 5.0 * t + ac_rng_normal(&w.rng);
            w.x[1][t] = 1e6 - 0.02 * t + 0.5 * ac_rng_normal(&w.rng);
            w.x[2][t] = 0.1 * t;
        }
        int a = add(&w, "a", AC_RCA_MEM), b = add(&w, "a", AC_RCA_LAT),
            c = add(&w, "a", AC_RCA_CPU);
        causes(&w, a, b, 0.5);
        causes(&w, c, b, 0.5);
        struct ac_rca_validation v = validate(&w);
        assert_int_not_equal(edge(&w, a, b, AC_RCA_CAUSES)->state, AC_RCA_SUPPORTED);
        assert_int_equal(edge(&w, c, b, AC_RCA_CAUSES)->state, AC_RCA_UNTESTED);
        assert_int_equal(v.proposed, 0);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

static void who_moves_first_counts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed);
        for (int t = 0; t < ROWS; t++) {
            w.x[0][t] = ac_rng_normal(&w.rng);
            w.x[1][t] = (t > 1 ? w.x[0][t - 2] : 0) + 0.5 * ac_rng_normal(&w.rng);
            w.x[2][t] = w.x[0][t] + 0.5 * ac_rng_normal(&w.rng);
        }
        int a = add(&w, "a", AC_RCA_CPU), b = add(&w, "a", AC_RCA_LAT),
            c = add(&w, "a", AC_RCA_MEM);
        causes(&w, b, a, 0.5); /* the wrong way round */
        causes(&w, a, c, 0.5);
        struct ac_rca_validation v = validate(&w);
        const struct ac_rca_gedge *e = edge(&w, b, a, AC_RCA_CAUSES);
        assert_int_equal(e->state, AC_RCA_UNTESTED);
        assert_true(e->confidence < 0.4);
        assert_non_null(strstr(e->evidence[1], "the effect moves first"));
        assert_non_null(strstr(e->evidence[1], "at lag -2 s"));
        double at_once = edge(&w, a, c, AC_RCA_CAUSES)->confidence;
        ac_rca_validation_fini(&v);
        world_fini(&w);

        world_init(&w, seed);
        for (int t = 0; t < ROWS; t++) {
            w.x[0][t] = ac_rng_normal(&w.rng);
            w.x[1][t] = (t ? w.x[0][t - 1] : 0) + 0.5 * ac_rng_normal(&w.rng);
        }
        a = add(&w, "a", AC_RCA_CPU);
        b = add(&w, "a", AC_RCA_LAT);
        causes(&w, a, b, 0.5);
        v = validate(&w);
        assert_true(edge(&w, a, b, AC_RCA_CAUSES)->confidence > at_once + 0.05);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* Both are nothing before the incident and move as one in it. */
static void constant_on_one_side_is_no_variation(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct world w;
        struct ac_rca_validation v;
        world_init(&w, 3);
        for (int t = ROWS / 2; t < ROWS; t++) {
            w.x[0][t] = 5 + ac_rng_normal(&w.rng);
            w.x[1][t] = w.x[0][t] + 0.5 * ac_rng_normal(&w.rng);
        }
        int a = add(&w, "a", AC_RCA_ERR), b = add(&w, "b", AC_RCA_ERR);
        causes(&w, a, b, 0.5);
        const struct ac_rca_validate_params p = {
            .split_ns = known ? (1700000000LL + ROWS / 2) * AC_NS_PER_S : 0};
        assert_int_equal(ac_rca_validate(w.g, w.c, &p, &v, NULL), 0);
        assert_int_equal(edge(&w, a, b, AC_RCA_CAUSES)->state,
                         known ? AC_RCA_UNTESTED : AC_RCA_SUPPORTED);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* What depends on the past of x, and on a third that x depends on too. */
static struct ac_rca_validation pair_of(uint64_t seed, double square, double own, bool linear_only,
                                        struct world *w)
{
    struct ac_rca_validation v;
    struct ac_err err = AC_ERR_INIT;
    double x = 0, y = 0, z = 0;
    world_init(w, seed);
    for (int t = 0; t < ROWS; t++) {
        double before = x;
        z = own * z + ac_rng_normal(&w->rng);
        x = own * x + ac_rng_normal(&w->rng);
        y = own * y + ac_rng_normal(&w->rng);
        w->x[0][t] = x;
        w->x[1][t] = z;
        w->x[2][t] = y + square * before * before + 0.8 * z;
    }
    int a = add(w, "a", AC_RCA_CPU), b = add(w, "b", AC_RCA_CPU), c = add(w, "c", AC_RCA_LAT);
    causes(w, a, c, 0.6);
    causes(w, b, c, 0.6);
    const struct ac_rca_validate_params p = {.linear_only = linear_only,
                                             .detectable = own > 0 ? 0.5 : 0};
    if (ac_rca_validate(w->g, w->c, &p, &v, &err) != 0)
        fail_msg("%s", err.msg);
    return v;
}

static void a_square_is_seen_by_the_second_opinion(void **state)
{
    (void)state;
    size_t seen = 0, missed = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world w;
        struct ac_rca_validation v = pair_of(seed, 0.7, 0.0, true, &w);
        bool dispute = edge(&w, 0, 2, AC_RCA_CAUSES)->state == AC_RCA_CONTRADICTED;
        missed += dispute;
        ac_rca_validation_fini(&v);
        world_fini(&w);
        v = pair_of(seed, 0.7, 0.0, false, &w);
        const struct ac_rca_gedge *e = edge(&w, 0, 2, AC_RCA_CAUSES);
        if (dispute) {
            assert_int_equal(e->state, AC_RCA_SUPPORTED);
            assert_float_equal(e->lag_s, 1.0, 1e-9);
            assert_true(e->confidence > 0.6);
            assert_non_null(strstr(e->evidence[1], "not as a line"));
            assert_non_null(strstr(e->evidence[1], "a kernel test sees a dependence at lag 1 s"));
            assert_true(v.asked >= 1 && v.overruled == 1);
            seen++;
        }
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
    assert_true(missed >= 5); /* what partial correlation contradicts though it is there */
    assert_int_equal(seen, missed);
}

/* Series that depend on their own past, and on a common third, but not on each other. */
static void the_second_opinion_keeps_its_level(void **state)
{
    (void)state;
    static const double past[] = {0.0, 0.7, 0.9};
    for (size_t i = 0; i < AC_ARRAY_LEN(past); i++) {
        size_t asked = 0, overruled = 0;
        for (uint64_t seed = 1; seed <= 120; seed++) {
            struct world w;
            struct ac_rca_validation v = pair_of(1000 * (i + 1) + seed, 0.0, past[i], false, &w);
            asked += v.asked;
            overruled += v.overruled;
            ac_rca_validation_fini(&v);
            world_fini(&w);
        }
        print_message("own past %.1f: %zu asked, %zu overruled\n", past[i], asked, overruled);
        assert_true(asked >= 50);
        assert_true((double)overruled <=
                    0.01 * (double)asked + 3.0 * sqrt(0.01 * (double)asked + 1));
    }
}

/* With more lags than the rows can be shifted by nobody is asked again. */
static void many_lags_need_more_rows_for_a_second_opinion(void **state)
{
    (void)state;
    size_t asked[2] = {0, 0};
    for (uint64_t seed = 1; seed <= 20; seed++)
        for (int enough = 0; enough < 2; enough++) {
            struct world w;
            struct ac_rca_validation v;
            world_init(&w, seed);
            noise(&w, 0);
            noise(&w, 1);
            causes(&w, add(&w, "a", AC_RCA_CPU), add(&w, "b", AC_RCA_CPU), 0.6);
            const struct ac_rca_validate_params p = {
                .max_lag = 64,
                .detectable = 0.4,
                .from_ns = 1700000000LL * AC_NS_PER_S,
                .to_ns = (1700000000LL + (enough ? 599 : 280)) * AC_NS_PER_S};
            assert_int_equal(ac_rca_validate(w.g, w.c, &p, &v, NULL), 0);
            asked[enough] += v.asked;
            ac_rca_validation_fini(&v);
            world_fini(&w);
        }
    assert_int_equal(asked[0], 0);
    assert_true(asked[1] > 0);
}

/* 300 edges that are not there, believed more the later they come: there is a second opinion for
 * 256 of them, and who got none stays untested. */
static void second_opinions_have_a_limit(void **state)
{
    (void)state;
    enum {
        N = 300,
        T = 200
    };
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_graph *g = ac_rca_graph_create();
    struct ac_rca_validation v;
    struct ac_rng rng;
    size_t unheard = 0;
    ac_rng_seed(&rng, 11);
    for (int i = 0; i <= N; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "c%d", i);
        int m = ac_rca_metric_add(c, ac_rca_component(c, name), -1, AC_RCA_LAT, AC_RCA_MEAN, "m");
        for (int t = 0; t < T; t++)
            ac_rca_metric_push(&c->metrics[m], (1700000000LL + t) * AC_NS_PER_S,
                               ac_rng_normal(&rng));
        int node = ac_rca_graph_node(g, name, AC_RCA_LAT);
        if (i > 0)
            assert_true(ac_rca_graph_edge(g, 0, node, AC_RCA_CAUSES, .5 + .001 * i, "x") >= 0);
    }
    const struct ac_rca_validate_params p = {.detectable = .6, .alpha_weak = 1e-9};
    assert_int_equal(ac_rca_validate(g, c, &p, &v, NULL), 0);
    assert_int_equal(v.asked, AC_RCA_MAX_SECOND);
    for (int i = 0; i < N; i++) {
        const struct ac_rca_gedge *e = &g->edges[i];
        bool told = e->nevidence > 1 && strstr(e->evidence[1], "too many edges to ask");
        assert_true(!told || (e->state == AC_RCA_UNTESTED && i < N - AC_RCA_MAX_SECOND));
        unheard += told;
    }
    assert_true(unheard > 30); /* but for those whose effect seems to move first */
    ac_rca_validation_fini(&v);
    ac_rca_graph_destroy(g);
    ac_rca_case_destroy(c);
}

/* b follows a two samples later, and no document knows it. */
static void what_is_forbidden_is_not_proposed(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct world w;
        world_init(&w, 5);
        noise(&w, 0);
        for (int t = 0; t < ROWS; t++)
            w.x[1][t] = (t > 1 ? w.x[0][t - 2] : 0) + 0.3 * ac_rng_normal(&w.rng);
        int a = add(&w, "a", AC_RCA_CPU), b = add(&w, "b", AC_RCA_LAT);
        calls(&w, "b", "a");
        if (how == 1)
            ac_rca_graph_forbid(w.g, w.node[a], w.node[b], AC_RCA_CAUSES);
        else if (how > 1)
            ac_rca_graph_end(w.g, w.node[how == 2 ? b : a], how == 2);
        struct ac_rca_validation v = validate(&w);
        assert_int_equal(edge(&w, a, b, AC_RCA_CAUSES) != NULL, how == 0);
        assert_int_equal(v.proposed, how == 0);
        assert_int_equal(v.nedits, how == 0);
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* a is sampled every tenth second and seems to follow b by four: nobody says which moves first, and
 * no edge is proposed between the two. */
static void of_what_is_sampled_rarely_nobody_says_what_moves_first(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        struct world w;
        double x[4] = {0};
        world_init(&w, 6);
        int a = add(&w, "a", AC_RCA_CPU), b = add(&w, "a", AC_RCA_LAT);
        if (known)
            causes(&w, a, b, .5);
        struct ac_rca_metric *rare = &w.c->metrics[a], *dense = &w.c->metrics[b];
        rare->n = dense->n = 0;
        for (int t = 0; t < 3000; t++) {
            int64_t at = (1700000000LL + t) * AC_NS_PER_S;
            double now = .8 * x[(t + 3) % 4] + ac_rng_normal(&w.rng);
            if (t % 10 == 0)
                ac_rca_metric_push(rare, at, x[t % 4]);
            ac_rca_metric_push(dense, at, now);
            x[t % 4] = now;
        }
        struct ac_rca_validation v = validate(&w);
        const struct ac_rca_gedge *e = edge(&w, a, b, AC_RCA_CAUSES);
        assert_int_equal(e != NULL, known);
        assert_int_equal(v.proposed, 0);
        for (size_t i = 0; e && i < e->nevidence; i++)
            assert_null(strstr(e->evidence[i], "moves first"));
        ac_rca_validation_fini(&v);
        world_fini(&w);
    }
}

/* a is sampled every fifth second: it is compared, as fewer samples, and why others are not is
 * said.
 */
static void other_sampling_is_taken_into_account(void **state)
{
    (void)state;
    for (int there = 0; there < 2; there++) {
        struct ac_rca_case *c = ac_rca_case_create();
        struct ac_rca_graph *g = ac_rca_graph_create();
        struct ac_rca_validation v;
        struct ac_rng rng;
        int m[4], node[4];
        static const enum ac_rca_kind kinds[] = {AC_RCA_CPU, AC_RCA_LAT, AC_RCA_MEM, AC_RCA_IO};
        ac_rng_seed(&rng, 4);
        for (int i = 0; i < 4; i++) {
            m[i] = ac_rca_metric_add(c, ac_rca_component(c, "a"), -1, kinds[i], AC_RCA_MEAN, "m");
            node[i] = ac_rca_graph_node(g, "a", kinds[i]);
        }
        double slow = 0;
        for (int t = 0; t < 1500; t++) { /* a load that changes slowly */
            int64_t at = (1700000000LL + t) * AC_NS_PER_S;
            slow = .95 * slow + .3 * ac_rng_normal(&rng);
            if (t % 5 == 0)
                ac_rca_metric_push(&c->metrics[m[0]], at, slow);
            ac_rca_metric_push(&c->metrics[m[1]], at, there * slow + .3 * ac_rng_normal(&rng));
            ac_rca_metric_push(&c->metrics[m[2]], at, 7);
            if (t % 100 == 0)
                ac_rca_metric_push(&c->metrics[m[3]], at, ac_rng_normal(&rng));
        }
        for (int i = 0; i < 4; i++)
            if (i != 1)
                assert_true(ac_rca_graph_edge(g, node[i], node[1], AC_RCA_CAUSES, .5, "x") >= 0);
        const struct ac_rca_validate_params p = {0};
        assert_int_equal(ac_rca_validate(g, c, &p, &v, NULL), 0);
        assert_int_equal(g->edges[0].state, there ? AC_RCA_SUPPORTED : AC_RCA_UNTESTED);
        assert_null(v.useless[node[0]]);
        assert_string_equal(v.useless[node[2]], "constant");
        assert_string_equal(v.useless[node[3]], "too few samples");
        ac_rca_validation_fini(&v);
        ac_rca_graph_destroy(g);
        ac_rca_case_destroy(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_moves_together_at_once_has_an_unseen_cause),
        cmocka_unit_test(a_cause_of_causes_is_proposed_as_a_cause),
        cmocka_unit_test(what_the_graph_implies_is_not_proposed),
        cmocka_unit_test(one_unseen_cause_of_strangers_is_named_once_each),
        cmocka_unit_test(proposals_close_no_cycle),
        cmocka_unit_test(an_edit_is_worth_what_the_others_leave),
        cmocka_unit_test(causes_that_are_not_held_fixed_are_told),
        cmocka_unit_test(a_trend_in_common_is_no_edge),
        cmocka_unit_test(who_moves_first_counts),
        cmocka_unit_test(constant_on_one_side_is_no_variation),
        cmocka_unit_test(a_square_is_seen_by_the_second_opinion),
        cmocka_unit_test(the_second_opinion_keeps_its_level),
        cmocka_unit_test(second_opinions_have_a_limit),
        cmocka_unit_test(what_is_forbidden_is_not_proposed),
        cmocka_unit_test(of_what_is_sampled_rarely_nobody_says_what_moves_first),
        cmocka_unit_test(other_sampling_is_taken_into_account),
        cmocka_unit_test(many_lags_need_more_rows_for_a_second_opinion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
