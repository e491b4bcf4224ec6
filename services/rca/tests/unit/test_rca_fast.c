/* What makes discovery and answers fast may not change what they say. */
#include "rca_order.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>
#include <aceso/team.h>
#include <aceso/testkit.h>

#include "discover/rca_class.h"
#include "discover/rca_discover.h"
#include "discover/rca_entropy.h"

enum {
    LONGEST = 3 * 256 + 19
};

struct columns {
    double x[LONGEST], y[LONGEST];
};

static void draw_columns(struct columns *c, uint64_t seed)
{
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    for (size_t t = 0; t < LONGEST; t++) {
        c->x[t] = ac_rng_normal(&r);
        c->y[t] = ac_rng_normal(&r) * (t % 50 ? 1.0 : 40.0) + 0.3;
    }
}

/* The loops say what the library's functions say, also over several blocks and far out. */
static void shape_is_that_of_the_library(void **state)
{
    (void)state;
    struct columns c;
    draw_columns(&c, 23);
    double log_cosh, gauss, a = 0, b = 0, z[LONGEST];
    for (size_t n = 1; n <= LONGEST; n++) {
        double u = (c.y[n - 1] - 0.4 * c.x[n - 1]) / 0.9;
        a += fabs(u) + log1p(exp(-2.0 * fabs(u)));
        b += u * exp(-u * u / 2.0);
        ac_rca_loops_plain.shape(c.y, c.x, 0.4, 0.9, n, &log_cosh, &gauss);
        assert_true(fabs(log_cosh - a / (double)n) <= 1e-9);
        assert_true(fabs(gauss - b / (double)n) <= 1e-9);
    }
    memcpy(z, c.y, sizeof(z));
    assert_true(ac_rca_loops_plain.residual(z, c.x, 0.4, LONGEST));
    assert_float_equal(ac_rca_loops_plain.dot(z, z, LONGEST), LONGEST, 1e-9);
    memset(z, 0, sizeof(z));
    assert_false(ac_rca_loops_plain.standardise(z, LONGEST));
}

/* What single precision says is off by no more than is told, with any correlation of the two. */
static void rough_shape_is_within_its_bound(void **state)
{
    (void)state;
    struct columns c;
    float x[LONGEST], y[LONGEST];
    double worst = 0;
    for (uint64_t seed = 40; seed < 52; seed++)
        for (int step = 0; step < 20; step++) {
            double r = 0.05 * (double)step, s = sqrt(1.0 - r * r), a[2], b[2];
            size_t n = LONGEST - (size_t)step;
            draw_columns(&c, seed);
            for (size_t t = 0; t < n; t++)
                c.y[t] =
                    seed % 2 ? r * c.x[t] + s * (c.y[t] > 0 ? 1.0 : -1.0) : r * c.x[t] + s * c.y[t];
            assert_true(ac_rca_loops_plain.standardise(c.x, n));
            assert_true(ac_rca_loops_plain.standardise(c.y, n));
            r = ac_rca_loops_plain.dot(c.x, c.y, n) / (double)n;
            s = sqrt(1.0 - r * r);
            for (size_t t = 0; t < n; t++) {
                x[t] = (float)c.x[t];
                y[t] = (float)c.y[t];
            }
            ac_rca_loops_plain.shape(c.y, c.x, r, s, n, &a[0], &b[0]);
            ac_rca_loops_plain.rough(y, x, r, s, n, &a[1], &b[1]);
            worst = fmax(worst, fmax(fabs(a[0] - a[1]), fabs(b[0] - b[1])) * s);
        }
    assert_true(worst > 0.0);
    if (!(worst < AC_RCA_ROUGH))
        fail_msg("%.3g", worst);
}

/* The bound of an entropy holds wherever its two means really are, and is of use. */
static void entropy_is_off_by_no_more_than_told(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(31);
    for (int i = 0; i < 10000; i++) {
        double a = 0.7 + 0.8 * ac_rng_uniform(&r), b = ac_rng_uniform(&r) - 0.5;
        double e = pow(10.0, -7.0 + 4.0 * ac_rng_uniform(&r));
        double told = ac_rca_entropy_error(a, b, e), worst = 0;
        for (int k = 0; k < 4; k++) /* it is worst in a corner */
            worst = fmax(worst, fabs(ac_rca_entropy(a + (k & 1 ? e : -e), b + (k & 2 ? e : -e)) -
                                     ac_rca_entropy(a, b)));
        assert_true(worst <= told * (1.0 + 1e-6) + 1e-14 && told <= 1.01 * worst + 1e-14);
    }
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* To the bit whatever the instructions, at every length of a last, broken block and lane. */
static void wide_loops_are_the_plain_ones(void **state)
{
    (void)state;
    const struct ac_rca_loops *plain = &ac_rca_loops_plain;
    struct columns c;
    float fx[LONGEST], fy[LONGEST];
    draw_columns(&c, 27);
    for (size_t t = 0; t < LONGEST; t++) {
        fx[t] = (float)c.x[t];
        fy[t] = (float)c.y[t];
    }
    for (int w = AC_RCA_PLAIN + 1; w < AC_RCA_NWIDE; w++) {
        const struct ac_rca_loops *l = ac_rca_loops_of((enum ac_rca_wide)w);
        for (size_t n = 1; l && n <= LONGEST; n++) {
            double v[LONGEST], z[LONGEST], a[2], b[2];
            double r = 0.9 * (double)(n % 7) / 7.0, s = sqrt(1.0 - r * r);
            plain->shape(c.y, c.x, r, s, n, &a[0], &b[0]);
            l->shape(c.y, c.x, r, s, n, &a[1], &b[1]);
            assert_true(same_bits(a[0], a[1]) && same_bits(b[0], b[1]));
            plain->rough(fy, fx, r, s, n, &a[0], &b[0]);
            l->rough(fy, fx, r, s, n, &a[1], &b[1]);
            assert_true(same_bits(a[0], a[1]) && same_bits(b[0], b[1]));
            assert_true(same_bits(plain->dot(c.x, c.y, n), l->dot(c.x, c.y, n)));
            memcpy(v, c.y, n * sizeof(v[0]));
            memcpy(z, c.y, n * sizeof(z[0]));
            assert_int_equal(plain->standardise(v, n), l->standardise(z, n));
            assert_memory_equal(v, z, n * sizeof(v[0]));
            memcpy(v, c.y, n * sizeof(v[0]));
            memcpy(z, c.y, n * sizeof(z[0]));
            assert_int_equal(plain->residual(v, c.x, r, n), l->residual(z, c.x, r, n));
            assert_memory_equal(v, z, n * sizeof(v[0]));
        }
    }
}

/* Each method says the same to the bit whoever shares its work. */
static void results_do_not_depend_on_threads(void **state)
{
    (void)state;
    enum {
        P = 40,
        N = 400
    };
    struct ac_rng r;
    ac_rng_seed(&r, 24);
    double *w = ac_xcalloc((size_t)P * P, sizeof(double));
    for (size_t j = 1; j < P; j++)
        for (size_t k = 0; k < 2; k++)
            w[ac_rng_below(&r, j) * P + j] = 0.3 + 0.5 * ac_rng_uniform(&r);
    struct ac_rca_matrix m;
    assert_int_equal(ac_rca_matrix_make(N, P, &m, NULL), 0);
    for (size_t t = 0; t < N; t++)
        for (size_t j = 0; j < P; j++) { /* two causes each, and its own past */
            double x = ac_rng_uniform(&r) * 3.4641 - 1.7321;
            for (size_t i = 0; i < j; i++)
                x += w[i * P + j] * m.x[i * N + t];
            m.x[j * N + t] = x + (t > 0 ? 0.5 * m.x[j * N + t - 1] : 0.0);
        }
    for (int i = 0; i < AC_RCA_NMETHODS; i++) {
        struct ac_rca_discover_params p = ac_rca_discover_default((enum ac_rca_method)i);
        struct ac_rca_discovery alone, shared;
        assert_int_equal(ac_rca_discover(&m, &p, &alone, NULL), 0);
        for (size_t threads = 2; threads < 6; threads++) {
            p.team = ac_team_create(threads);
            assert_int_equal(ac_rca_discover(&m, &p, &shared, NULL), 0);
            ac_team_destroy(p.team);
            assert_int_equal(shared.tests, alone.tests);
            assert_true(ac_rca_pdag_equal(&shared.g, &alone.g));
            assert_int_equal(shared.nlinks, alone.nlinks);
            assert_true(alone.nlinks > 5);
            for (size_t k = 0; k < alone.nlinks; k++) {
                const struct ac_rca_link *a = &alone.links[k], *b = &shared.links[k];
                assert_true(a->from == b->from && a->to == b->to && a->lag == b->lag);
                assert_memory_equal(&a->strength, &b->strength, sizeof(a->strength));
                assert_memory_equal(&a->p, &b->p, sizeof(a->p));
            }
            ac_rca_discovery_fini(&shared);
        }
        ac_rca_discovery_fini(&alone);
    }
    ac_rca_matrix_fini(&m);
    free(w);
}

/* One search over observed nodes of a known graph: marks, and tests that count. */
static uint64_t search(const bool *dag, size_t q, const int *seen, size_t p, bool fci, bool all,
                       struct ac_team *team, struct ac_rca_pdag *g)
{
    struct ac_rca_ci *t = ac_rca_ci_oracle(dag, q, seen, p);
    const struct ac_rca_skeleton_params k = {.max_given = -1, .all_sets = all, .team = team};
    if (fci)
        ac_rca_fci(t, &(struct ac_rca_fci_params){.skeleton = k}, g);
    else
        ac_rca_pc(t, &(struct ac_rca_pc_params){.skeleton = k, .priority = AC_RCA_EXISTING}, g);
    uint64_t tests = t->tests;
    ac_rca_ci_destroy(t);
    return tests;
}

/* One cause of four: it separates each pair of them, and every pair remembers it. */
static void all_sets_are_kept_for_each_pair(void **state)
{
    (void)state;
    enum {
        P = 5
    };
    bool dag[P * P] = {[1] = true, [2] = true, [3] = true, [4] = true};
    const int seen[P] = {0, 1, 2, 3, 4};
    struct ac_rca_pdag g;
    struct ac_rca_ci *t = ac_rca_ci_oracle(dag, P, seen, P);
    struct ac_rca_sepsets *s = ac_rca_sepsets_create(P);
    ac_rca_pdag_init(&g, P);
    ac_rca_skeleton(t, &(struct ac_rca_skeleton_params){.max_given = -1, .all_sets = true}, &g, s);
    for (int x = 1; x < P; x++)
        for (int y = x + 1; y < P; y++)
            assert_true(ac_rca_sepsets_has(s, x, y, 0) && ac_rca_sepsets_size(s, x, y) == 1);
    ac_rca_pdag_fini(&g);
    ac_rca_sepsets_destroy(s);
    ac_rca_ci_destroy(t);
}

/* Half of the nodes are hidden, so that FCI's second search takes edges out; the graph, and what is
 * counted as a test, are the same whoever shares the work. */
static void hidden_causes_are_found_by_any_threads(void **state)
{
    (void)state;
    enum {
        Q = 16,
        P = 8
    };
    struct ac_rng r = ac_kit_rng(29);
    struct ac_team *teams[4];
    for (size_t i = 0; i < AC_ARRAY_LEN(teams); i++)
        teams[i] = ac_team_create(i + 2);
    for (int round = 0; round < 60; round++) {
        bool dag[Q * Q] = {false};
        int seen[P];
        struct ac_rca_pdag alone, shared;
        ac_rca_pdag_init(&alone, P);
        ac_rca_pdag_init(&shared, P);
        for (size_t i = 0; i < Q; i++)
            for (size_t j = i + 1; j < Q; j++)
                dag[i * Q + j] = ac_rng_uniform(&r) < 0.25;
        for (int i = 0; i < P; i++)
            seen[i] = 2 * i + (int)ac_rng_below(&r, 2);
        for (int how = 0; how < 4; how++) {
            uint64_t tests = search(dag, Q, seen, P, how & 1, how & 2, NULL, &alone);
            for (size_t i = 0; i < AC_ARRAY_LEN(teams); i++) {
                assert_int_equal(search(dag, Q, seen, P, how & 1, how & 2, teams[i], &shared),
                                 tests);
                assert_true(ac_rca_pdag_equal(&alone, &shared));
            }
        }
        ac_rca_pdag_fini(&alone);
        ac_rca_pdag_fini(&shared);
    }
    for (size_t i = 0; i < AC_ARRAY_LEN(teams); i++)
        ac_team_destroy(teams[i]);
}

/* The class of a DAG by its definition: arrows into unshielded colliders, then Meek's rules. */
static void class_by_rules(const struct ac_rca_pdag *dag, struct ac_rca_pdag *out)
{
    int p = (int)dag->p;
    for (int a = 0; a < p; a++)
        for (int b = 0; b < p; b++)
            if (ac_rca_adjacent(dag, a, b))
                ac_rca_put(out, a, b, AC_RCA_TAIL, AC_RCA_TAIL);
    for (int y = 0; y < p; y++)
        for (int a = 0; a < p; a++)
            for (int b = 0; b < a && ac_rca_directed(dag, a, y); b++)
                if (ac_rca_directed(dag, b, y) && !ac_rca_adjacent(dag, a, b)) {
                    ac_rca_put(out, a, y, AC_RCA_TAIL, AC_RCA_ARROW);
                    ac_rca_put(out, b, y, AC_RCA_TAIL, AC_RCA_ARROW);
                }
    ac_rca_meek(out);
}

/* ---- DirectLiNGAM by its definition: every pair in every step ---- */

static double entropy_of(const double *y, const double *x, double r, size_t n)
{
    double a, b, s = sqrt(1.0 - r * r);
    ac_rca_loops_plain.shape(y, x, r, s, n, &a, &b);
    a -= M_LN2;
    return -79.047 * (a - 0.37457) * (a - 0.37457) - 7.4129 * b * b;
}

static void order_by_all_pairs(struct ac_rca_matrix *m, size_t *place)
{
    size_t n = m->n, p = m->p;
    double *x = m->x;
    bool *taken = ac_xcalloc(p, sizeof(bool));
    for (size_t j = 0; j < p; j++)
        assert_true(ac_rca_loops_plain.standardise(x + j * n, n));
    for (size_t step = 0; step < p; step++) {
        size_t best = p;
        double least = INFINITY;
        for (size_t i = 0; i < p; i++) {
            double sum = 0;
            for (size_t j = 0; j < p && !taken[i]; j++) {
                if (j == i || taken[j])
                    continue;
                const double *xi = x + i * n, *xj = x + j * n;
                double r = ac_rca_loops_plain.dot(xi, xj, n) / (double)n;
                double d = entropy_of(xj, xj, 0, n) + entropy_of(xi, xj, r, n) -
                           entropy_of(xi, xi, 0, n) - entropy_of(xj, xi, r, n);
                sum += d < 0.0 ? d * d : 0.0;
            }
            if (!taken[i] && sum < least) {
                least = sum;
                best = i;
            }
        }
        place[best] = step;
        taken[best] = true;
        for (size_t j = 0; j < p; j++)
            if (!taken[j])
                assert_true(ac_rca_loops_plain.residual(
                    x + j * n, x + best * n,
                    ac_rca_loops_plain.dot(x + best * n, x + j * n, n) / (double)n, n));
    }
    free(taken);
}

/* Giving up early takes nothing from the order, least of all where there is none to find. */
static void lingam_takes_the_order_of_all_pairs(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(30);
    for (int round = 0; round < 12; round++) {
        enum {
            P = 24,
            N = 250
        };
        struct ac_rca_matrix m;
        struct ac_rca_discovery d;
        struct ac_rca_discover_params params = ac_rca_discover_default(AC_RCA_LINGAM);
        size_t place[P], forward = 0;
        assert_int_equal(ac_rca_matrix_make(N, P, &m, NULL), 0);
        for (size_t j = 0; j < P; j++) {
            size_t a = j ? ac_rng_below(&r, j) : 0, b = j ? ac_rng_below(&r, j) : 0;
            for (size_t t = 0; t < N; t++)
                m.x[j * N + t] = (round % 2 ? ac_rng_normal(&r) : ac_rng_uniform(&r)) +
                                 (j ? 0.5 * m.x[a * N + t] + 0.4 * m.x[b * N + t] : 0.0);
        }
        params.alpha = 0.9999; /* links along the order wherever there may be some */
        assert_int_equal(ac_rca_discover(&m, &params, &d, NULL), 0);
        order_by_all_pairs(&m, place);
        for (size_t i = 0; i < d.nlinks; i++)
            forward += place[d.links[i].from] < place[d.links[i].to];
        assert_true(d.nlinks > P);
        assert_int_equal(forward, d.nlinks);
        ac_rca_discovery_fini(&d);
        ac_rca_matrix_fini(&m);
    }
}

static bool has_line(const struct ac_rca_pdag *g)
{
    for (int a = 0; a < (int)g->p; a++)
        for (int b = 0; b < a; b++)
            if (ac_rca_undirected(g, a, b))
                return true;
    return false;
}

/* The class by labels is the class by rules, for any DAG; more nodes than a word has bits. */
static void classes_are_those_of_the_rules(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(25);
    for (int round = 0; round < 100; round++) {
        size_t p = 2 + ac_rng_below(&r, round % 4 ? 12 : 90);
        struct ac_rca_pdag dag, want, got;
        struct ac_rca_class c;
        ac_rca_pdag_init(&dag, p);
        ac_rca_pdag_init(&want, p);
        ac_rca_pdag_init(&got, p);
        ac_rca_class_init(&c, p);
        for (int i = 0; i < (int)p; i++)
            for (int j = i + 1; j < (int)p; j++)
                if (ac_rng_uniform(&r) < 3.0 / (double)p) {
                    ac_rca_put(&dag, j, i, AC_RCA_TAIL, AC_RCA_ARROW);
                    ac_rca_class_arrow(&c, j, i);
                }
        class_by_rules(&dag, &want);
        for (int again = 0; again < 2; again++) { /* from a DAG, then from its class */
            assert_true(ac_rca_class_extend(&c));
            ac_rca_class_close(&c);
            ac_rca_class_write(&c, &got);
            assert_true(ac_rca_pdag_equal(&want, &got));
        }
        assert_true(ac_rca_dag_to_cpdag(&dag));
        assert_true(ac_rca_pdag_equal(&want, &dag));
        assert_true(ac_rca_pdag_extend(&dag)); /* a class has a member, whose class it is */
        assert_int_equal(ac_rca_pdag_distance(&want, &dag) == 0, !has_line(&want));
        assert_true(ac_rca_dag_to_cpdag(&dag));
        assert_true(ac_rca_pdag_equal(&want, &dag));
        ac_rca_class_fini(&c);
        ac_rca_pdag_fini(&dag);
        ac_rca_pdag_fini(&want);
        ac_rca_pdag_fini(&got);
    }
    struct ac_rca_class ring; /* without a chord: no DAG has these and no new collider */
    ac_rca_class_init(&ring, 4);
    for (int i = 0; i < 4; i++)
        ac_rca_class_line(&ring, i, (i + 1) % 4);
    assert_false(ac_rca_class_extend(&ring));
    ac_rca_class_fini(&ring);
    struct ac_rca_pdag round, was; /* and none where arrows go round: it stays as it was */
    ac_rca_pdag_init(&round, 3);
    ac_rca_pdag_init(&was, 3);
    for (int i = 0; i < 3; i++)
        ac_rca_put(&round, i, (i + 1) % 3, AC_RCA_TAIL, AC_RCA_ARROW);
    ac_rca_pdag_copy(&was, &round);
    assert_false(ac_rca_dag_to_cpdag(&round) || ac_rca_pdag_extend(&round));
    assert_true(ac_rca_pdag_equal(&round, &was));
    ac_rca_pdag_fini(&round);
    ac_rca_pdag_fini(&was);
}

/* Rows by value, with copies, both zeros and wide ranges, few and many; any stretch comes out
 * sorted. */
static void order_is_that_of_a_sort(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(26);
    for (int round = 0; round < 200; round++) {
        enum {
            MAX = 300
        };
        double v[MAX], want[MAX], got[MAX + 1];
        uint32_t order[MAX], work[MAX];
        uint64_t keys[2 * MAX];
        size_t n = ac_rng_below(&r, MAX);
        for (size_t i = 0; i < n; i++)
            v[i] = round % 3 == 0   ? (double)ac_rng_below(&r, 7) - 3.0
                   : round % 3 == 1 ? ac_rng_normal(&r) * exp(40.0 * ac_rng_normal(&r))
                                    : copysign((double)ac_rng_below(&r, 2), ac_rng_normal(&r));
        ac_rca_order(v, n, order, work, keys);
        for (size_t i = 1; i < n; i++) {
            assert_true(v[order[i - 1]] <= v[order[i]]);
            assert_true(v[order[i - 1]] < v[order[i]] || order[i - 1] < order[i]);
        }
        struct ac_rca_metric m = {.v = v, .n = n};
        size_t to = ac_rng_below(&r, n + 1), from = ac_rng_below(&r, to + 1);
        for (int inside = 0; inside < 2; inside++) {
            size_t k = ac_rca_sorted_part(&m, order, from, to, inside, got);
            assert_int_equal(k, inside ? to - from : n - (to - from));
            assert_int_equal(ac_rca_sorted_part(&m, NULL, from, to, inside, want), k);
            for (size_t i = 0; i < k; i++)
                assert_true(want[i] == got[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_a_sort),
        cmocka_unit_test(classes_are_those_of_the_rules),
        cmocka_unit_test(shape_is_that_of_the_library),
        cmocka_unit_test(rough_shape_is_within_its_bound),
        cmocka_unit_test(entropy_is_off_by_no_more_than_told),
        cmocka_unit_test(wide_loops_are_the_plain_ones),
        cmocka_unit_test(results_do_not_depend_on_threads),
        cmocka_unit_test(lingam_takes_the_order_of_all_pairs),
        cmocka_unit_test(all_sets_are_kept_for_each_pair),
        cmocka_unit_test(hidden_causes_are_found_by_any_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
