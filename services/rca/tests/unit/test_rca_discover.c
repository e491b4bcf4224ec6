/* Discovery on graphs of our own making: what comes out is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>
#include <aceso/testkit.h>

#include "discover/rca_class.h"
#include "discover/rca_discover.h"
#include "discover/rca_regress.h"
#include "discover/rca_scout.h"

/* n samples of a linear model: w[i * p + j] is the effect of i on j, causes before effects. */
static void sample(struct ac_rca_matrix *m, size_t n, size_t p, const double *w, bool gaussian,
                   struct ac_rng *r)
{
    assert_int_equal(ac_rca_matrix_make(n, p, m, NULL), 0);
    for (size_t t = 0; t < n; t++)
        for (size_t j = 0; j < p; j++) {
            double x = gaussian ? ac_rng_normal(r) : ac_rng_uniform(r) * 3.4641 - 1.7321;
            for (size_t i = 0; i < j; i++)
                x += w[i * p + j] * m->x[i * n + t];
            m->x[j * n + t] = x;
        }
}

static bool has_link(const struct ac_rca_discovery *d, int from, int to, const char *kind)
{
    for (size_t i = 0; i < d->nlinks; i++)
        if (d->links[i].from == from && d->links[i].to == to &&
            strcmp(ac_rca_link_kind(&d->links[i]), kind) == 0)
            return true;
    return false;
}

static void discover(const struct ac_rca_matrix *m, struct ac_rca_discover_params p,
                     struct ac_rca_discovery *d)
{
    struct ac_err err = AC_ERR_INIT;
    if (ac_rca_discover(m, &p, d, &err))
        fail_msg("%s: %s", ac_rca_method_name(p.method), err.msg);
}

/* 0 -> 2 <- 1, 2 -> 3: the collider and Meek's first rule direct all. */
static const double collider[16] = {0, 0, 0.8, 0, 0, 0, 0.7, 0, 0, 0, 0, 0.9, 0, 0, 0, 0};

static void collider_is_directed(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 11);
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    sample(&m, 3000, 4, collider, true, &r);
    for (int rule = 0; rule < 3; rule++)
        for (int priority = rule == 2 ? 2 : -1; priority < 5; priority++) {
            struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
            p.alpha = 0.001;
            p.rule = (enum ac_rca_collider_rule)rule;
            p.priority = (enum ac_rca_priority)priority;
            discover(&m, p, &d);
            assert_int_equal(d.nlinks, 3);
            assert_true(has_link(&d, 0, 2, "-->"));
            assert_true(has_link(&d, 1, 2, "-->"));
            assert_true(has_link(&d, 2, 3, "-->"));
            ac_rca_discovery_fini(&d);
        }
    discover(&m, ac_rca_discover_default(AC_RCA_GES), &d);
    assert_int_equal(d.nlinks, 3);
    assert_true(has_link(&d, 0, 2, "-->"));
    assert_true(has_link(&d, 2, 3, "-->"));
    ac_rca_discovery_fini(&d);
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_FCI);
    p.alpha = 0.001;
    discover(&m, p, &d);
    assert_true(has_link(&d, 0, 2, "o->")); /* a hidden cause of both is not excluded */
    assert_true(has_link(&d, 2, 3, "-->"));
    ac_rca_discovery_fini(&d);
    ac_rca_matrix_fini(&m);
}

static void knowledge_is_honoured(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 12);
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    struct ac_rca_knowledge k;
    static const double chain[9] = {0, 0.8, 0, 0, 0, 0.8, 0, 0, 0};
    sample(&m, 2000, 3, chain, true, &r);
    discover(&m, ac_rca_discover_default(AC_RCA_PC), &d);
    assert_true(has_link(&d, 0, 1, "---")); /* nothing in the data directs a chain */
    ac_rca_discovery_fini(&d);
    ac_rca_knowledge_init(&k, 3);
    k.required[0 * 3 + 1] = true;
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
    p.know = &k;
    discover(&m, p, &d);
    assert_true(has_link(&d, 0, 1, "-->"));
    assert_true(has_link(&d, 1, 2, "-->"));
    ac_rca_discovery_fini(&d);
    memset(k.required, 0, 9);
    k.forbidden[0 * 3 + 1] = k.forbidden[1 * 3 + 0] = true;
    discover(&m, p, &d);
    assert_int_equal(d.g.m[0 * 3 + 1], AC_RCA_NONE);
    ac_rca_discovery_fini(&d);
    ac_rca_knowledge_fini(&k);
    ac_rca_matrix_fini(&m);
}

static void lingam_finds_the_order(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 13);
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    static const double chain[9] = {0, 0.9, 0, 0, 0, -0.7, 0, 0, 0};
    sample(&m, 3000, 3, chain, false, &r);
    discover(&m, ac_rca_discover_default(AC_RCA_LINGAM), &d);
    assert_int_equal(d.nlinks, 2);
    assert_true(has_link(&d, 0, 1, "-->"));
    assert_true(has_link(&d, 1, 2, "-->"));
    assert_float_equal(d.links[0].strength, 0.9, 0.06);
    assert_float_equal(d.links[1].strength, -0.7, 0.06);
    ac_rca_discovery_fini(&d);
    ac_rca_matrix_fini(&m);
}

static void lagged_causes_are_found(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 14);
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    size_t n = 1500;
    assert_int_equal(ac_rca_matrix_make(n, 3, &m, NULL), 0);
    double *a = m.x, *b = m.x + n, *c = m.x + 2 * n;
    for (size_t t = 0; t < n; t++) { /* a(t-2) -> b, b(t-1) -> c; all with memory */
        a[t] = ac_rng_normal(&r) + (t > 0 ? 0.5 * a[t - 1] : 0);
        b[t] = ac_rng_normal(&r) + (t > 0 ? 0.4 * b[t - 1] : 0) + (t > 1 ? 0.7 * a[t - 2] : 0);
        c[t] = ac_rng_normal(&r) + (t > 0 ? 0.3 * c[t - 1] + 0.6 * b[t - 1] : 0);
    }
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PCMCI);
    p.alpha = 0.0005;
    discover(&m, p, &d);
    assert_int_equal(d.nlinks, 2);
    assert_int_equal(d.links[0].from, 0);
    assert_int_equal(d.links[0].lag, 2);
    assert_int_equal(d.links[1].from, 1);
    assert_int_equal(d.links[1].to, 2);
    assert_int_equal(d.links[1].lag, 1);
    ac_rca_discovery_fini(&d);
    p = ac_rca_discover_default(AC_RCA_GRANGER);
    p.alpha = 0.0005;
    discover(&m, p, &d);
    assert_int_equal(d.nlinks, 2);
    assert_true(has_link(&d, 0, 1, "-->"));
    assert_true(has_link(&d, 1, 2, "-->"));
    ac_rca_discovery_fini(&d);
    ac_rca_matrix_fini(&m);
}

/* With an oracle for the tests, FCI must give the graph that theory gives: 0 <- h -> 1 hidden,
 * 2 -> 0, 3 -> 1: 2 o-> 0 <-> 1 <-o 3. */
static void oracle_shows_the_hidden_cause(void **state)
{
    (void)state;
    bool dag[25] = {0};
    static const int seen[4] = {0, 1, 2, 3};
    dag[4 * 5 + 0] = dag[4 * 5 + 1] = dag[2 * 5 + 0] = dag[3 * 5 + 1] = true;
    struct ac_rca_ci *t = ac_rca_ci_oracle(dag, 5, seen, 4);
    struct ac_rca_fci_params p = {.skeleton = {.max_given = -1}};
    struct ac_rca_pdag g;
    ac_rca_pdag_init(&g, 4);
    ac_rca_fci(t, &p, &g);
    assert_int_equal(ac_rca_at(&g, 0, 1), AC_RCA_ARROW);
    assert_int_equal(ac_rca_at(&g, 1, 0), AC_RCA_ARROW);
    assert_int_equal(ac_rca_at(&g, 2, 0), AC_RCA_ARROW);
    assert_int_equal(ac_rca_at(&g, 0, 2), AC_RCA_CIRCLE);
    assert_false(ac_rca_adjacent(&g, 2, 3));
    assert_false(ac_rca_adjacent(&g, 2, 1));
    ac_rca_pdag_fini(&g);
    ac_rca_ci_destroy(t);
}

static bool causes(const bool *dag, size_t q, size_t a, size_t b)
{
    for (size_t i = a + 1; i <= b; i++) /* causes come before effects */
        if (dag[a * q + i] && (i == b || causes(dag, q, i, b)))
            return true;
    return false;
}

/* Whatever is hidden: a tail means a cause, an arrowhead means none. */
static void marks_of_fci_are_true(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(19);
    for (int round = 0; round < 300; round++) {
        enum {
            Q = 9,
            P = 7
        };
        bool dag[Q * Q] = {0};
        int seen[P];
        size_t p = 0;
        for (size_t i = 0; i < Q; i++)
            for (size_t j = i + 1; j < Q; j++)
                dag[i * Q + j] = ac_rng_uniform(&r) < 0.3;
        for (size_t i = 0; i < Q; i++)
            if (i != 1 && i != 4)
                seen[p++] = (int)i;
        struct ac_rca_ci *t = ac_rca_ci_oracle(dag, Q, seen, P);
        struct ac_rca_fci_params q = {.skeleton = {.max_given = -1}};
        struct ac_rca_pdag g;
        ac_rca_pdag_init(&g, P);
        ac_rca_fci(t, &q, &g);
        for (int a = 0; a < P; a++)
            for (int b = 0; b < P; b++) {
                if (a == b || !ac_rca_adjacent(&g, a, b))
                    continue;
                bool cause = causes(dag, Q, (size_t)seen[a], (size_t)seen[b]);
                if (ac_rca_at(&g, b, a) == AC_RCA_TAIL)
                    assert_true(cause);
                if (ac_rca_at(&g, b, a) == AC_RCA_ARROW)
                    assert_false(cause);
            }
        ac_rca_pdag_fini(&g);
        ac_rca_ci_destroy(t);
    }
}

/* For any DAG: PC with an oracle gives the class of the DAG. */
static void oracle_gives_the_class(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(15);
    for (int round = 0; round < 200; round++) {
        size_t p = 3 + ac_rng_below(&r, 6);
        bool dag[64] = {0};
        int seen[8];
        struct ac_rca_pdag want, got;
        ac_rca_pdag_init(&want, p);
        ac_rca_pdag_init(&got, p);
        for (size_t i = 0; i < p; i++) {
            seen[i] = (int)i;
            for (size_t j = i + 1; j < p; j++)
                if (ac_rng_uniform(&r) < 0.4) {
                    dag[i * p + j] = true;
                    ac_rca_put(&want, (int)i, (int)j, AC_RCA_TAIL, AC_RCA_ARROW);
                }
        }
        assert_true(ac_rca_dag_to_cpdag(&want));
        struct ac_rca_ci *t = ac_rca_ci_oracle(dag, p, seen, p);
        for (int all = 0; all < 2; all++) {
            struct ac_rca_pc_params q = {.skeleton = {.max_given = -1, .all_sets = all},
                                         .priority = AC_RCA_EXISTING};
            ac_rca_pc(t, &q, &got);
            if (!all)
                assert_true(ac_rca_pdag_equal(&want, &got));
        }
        assert_true(ac_rca_pdag_extend(&want)); /* a class has a member, whose class it is */
        assert_true(ac_rca_dag_to_cpdag(&want));
        struct ac_rca_pc_params q = {.skeleton = {.max_given = -1}, .priority = AC_RCA_EXISTING};
        ac_rca_pc(t, &q, &got);
        assert_int_equal(ac_rca_pdag_distance(&want, &got), 0);
        ac_rca_ci_destroy(t);
        ac_rca_pdag_fini(&want);
        ac_rca_pdag_fini(&got);
    }
}

/* A dense correlation graph is scouted: the sparse truth comes out all the same. */
static void dense_correlations_are_scouted(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 16);
    enum {
        P = 400,
        N = 1500
    };
    double *w = ac_xcalloc((size_t)P * P, sizeof(double));
    for (size_t j = 1; j < P; j++)
        for (size_t k = 0; k < 2; k++)
            w[ac_rng_below(&r, j) * P + j] = 0.3 + 0.5 * ac_rng_uniform(&r);
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    sample(&m, N, P, w, true, &r);
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
    p.alpha = 0.01;
    discover(&m, p, &d);
    size_t truth = 0, found = 0;
    for (size_t i = 0; i < (size_t)P * P; i++)
        truth += w[i] != 0.0;
    for (size_t i = 0; i < d.nlinks; i++) {
        size_t a = (size_t)d.links[i].from, b = (size_t)d.links[i].to;
        found += w[a * P + b] != 0.0 || w[b * P + a] != 0.0;
    }
    assert_true((double)found > 0.85 * (double)truth);
    assert_true((double)found > 0.9 * (double)d.nlinks);
    ac_rca_discovery_fini(&d);
    ac_rca_matrix_fini(&m);
    free(w);
}

static void useless_variables_are_left_out(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 17);
    struct ac_rca_matrix m;
    size_t n = 300;
    assert_int_equal(ac_rca_matrix_make(n, 6, &m, NULL), 0);
    for (size_t t = 0; t < n; t++) {
        m.x[t] = ac_rng_normal(&r);
        m.x[n + t] = m.x[t] + ac_rng_normal(&r);
        m.x[2 * n + t] = 7.0;                 /* constant */
        m.x[3 * n + t] = 3.0 - 2.0 * m.x[t];  /* copy of the first */
        m.x[4 * n + t] = t % 3 ? NAN : 1.0;   /* empty */
        m.x[5 * n + t] = m.x[t] + m.x[n + t]; /* a sum: no copy, but singular */
    }
    m.x[n] = INFINITY;
    for (int i = 0; i < AC_RCA_NMETHODS; i++) {
        struct ac_rca_discovery d;
        discover(&m, ac_rca_discover_default((enum ac_rca_method)i), &d);
        assert_int_equal(d.fate[2], AC_RCA_CONSTANT);
        assert_int_equal(d.fate[3], AC_RCA_COPY);
        assert_int_equal(d.copy_of[3], 0);
        assert_int_equal(d.fate[4], AC_RCA_EMPTY);
        assert_int_equal(d.rows_dropped + d.filled, 1); /* the infinity */
        for (size_t k = 0; k < d.nlinks; k++)
            assert_true(isfinite(d.links[k].strength));
        ac_rca_discovery_fini(&d);
    }
    ac_rca_matrix_fini(&m);
}

static void classes_are_tested_by_counts(void **state)
{
    (void)state;
    struct ac_rng r;
    ac_rng_seed(&r, 18);
    struct ac_rca_matrix m;
    struct ac_rca_discovery d;
    size_t n = 4000;
    assert_int_equal(ac_rca_matrix_make(n, 3, &m, NULL), 0);
    for (size_t t = 0; t < n; t++) { /* two coins and whether they agree: pairwise independent */
        double a = (double)ac_rng_below(&r, 2), b = (double)ac_rng_below(&r, 2);
        m.x[t] = a;
        m.x[n + t] = b;
        m.x[2 * n + t] = ac_rng_uniform(&r) < 0.9 ? (a == b ? 5 : 3) : 4;
    }
    struct ac_rca_ci *t;
    assert_int_equal(ac_rca_ci_chi2(&m, false, 0.001, &t, NULL), 0);
    t->given(t, NULL, 0);
    assert_true(t->independent(t, 0, 2));
    int s = 1;
    t->given(t, &s, 1);
    assert_false(t->independent(t, 0, 2));
    ac_rca_ci_destroy(t);
    for (size_t i = 0; i < n; i++)
        m.x[2 * n + i] = m.x[i]; /* a copy is no trouble for counts */
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
    p.test = AC_RCA_GSQ;
    p.alpha = 0.001;
    discover(&m, p, &d);
    assert_int_equal(d.nlinks, 1);
    ac_rca_discovery_fini(&d);
    ac_rca_matrix_fini(&m);
}

static void regression_is_exact(void **state)
{
    (void)state;
    struct ac_rca_matrix m;
    double *cov, coef[2], t[2], s2;
    int s[2] = {0, 1};
    assert_int_equal(ac_rca_matrix_make(6, 3, &m, NULL), 0);
    static const double x[6] = {1, 2, 3, 4, 5, 7}, z[6] = {2, 1, 4, 3, 7, 5};
    for (size_t i = 0; i < 6; i++) {
        m.x[i] = x[i];
        m.x[6 + i] = z[i];
        m.x[12 + i] = 3 * x[i] - 2 * z[i] + 10;
    }
    assert_int_equal(ac_rca_covariances(&m, &cov, NULL), 0);
    assert_true(ac_rca_regress(cov, 3, 6, s, 2, 2, coef, t, &s2));
    assert_float_equal(coef[0], 3, 1e-9);
    assert_float_equal(coef[1], -2, 1e-9);
    assert_float_equal(s2, 0, 1e-9);
    assert_false(ac_rca_regress(cov, 3, 3, s, 2, 2, coef, t, &s2)); /* too few rows */
    free(cov);
    ac_rca_matrix_fini(&m);
}

static void bad_matrices_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } t[] = {
        {"", "f:1:1: the file is empty"},
        {"a,b\n", "f:2:1: no rows"},
        {"time\n1\n", "f:1:1: no column besides the time"},
        {"a,b\n1,2\n3\n", "f:3:2: 1 cells, the first row has 2"},
        {"a b\n1 x\n", "f:2:2: not a number: 'x'"},
    };
    struct ac_rca_matrix m;
    for (size_t i = 0; i < AC_ARRAY_LEN(t); i++) {
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(ac_rca_matrix_parse("f", t[i].text, strlen(t[i].text), &m, &err),
                         AC_EINVAL);
        assert_string_equal(err.msg, t[i].msg);
    }
    assert_int_equal(ac_rca_matrix_parse("f", "1 2\n3 4\n", 8, &m, NULL), 0);
    assert_string_equal(m.names[1], "X2");
    assert_float_equal(m.x[1], 3, 0); /* column by column */
    struct ac_rca_discovery d;
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_PC);
    m.x[0] = m.x[1] = 5; /* one variable varies */
    assert_int_equal(ac_rca_discover(&m, &p, &d, &err), AC_EINVAL);
    assert_string_equal(err.msg, "1 of 2 variables vary: nothing to learn from");
    ac_rca_matrix_fini(&m);
}

/* 0 drives 1 one sample later, 2 stands apart: what is forbidden is not found, what is required is
 * there although the data do not show it. */
static void knowledge_is_honoured_over_time(void **state)
{
    (void)state;
    static const enum ac_rca_method methods[] = {AC_RCA_PCMCI, AC_RCA_GRANGER};
    struct ac_rng r;
    struct ac_rca_matrix m;
    struct ac_rca_knowledge k;
    ac_rng_seed(&r, 21);
    assert_int_equal(ac_rca_matrix_make(600, 3, &m, NULL), 0);
    for (size_t t = 0; t < 600; t++)
        for (size_t j = 0; j < 3; j++)
            m.x[j * 600 + t] = ac_rng_normal(&r) + (j == 1 && t > 0 ? 0.8 * m.x[t - 1] : 0.0);
    ac_rca_knowledge_init(&k, 3);
    for (size_t i = 0; i < AC_ARRAY_LEN(methods); i++) {
        struct ac_rca_discover_params p = ac_rca_discover_default(methods[i]);
        struct ac_rca_discovery d;
        k.forbidden[0 * 3 + 1] = k.required[2 * 3 + 0] = false;
        p.know = &k;
        discover(&m, p, &d);
        assert_true(has_link(&d, 0, 1, "-->"));
        assert_false(has_link(&d, 2, 0, "-->"));
        ac_rca_discovery_fini(&d);
        k.forbidden[0 * 3 + 1] = k.required[2 * 3 + 0] = true;
        discover(&m, p, &d);
        assert_false(has_link(&d, 0, 1, "-->"));
        assert_true(has_link(&d, 2, 0, "-->"));
        ac_rca_discovery_fini(&d);
    }
    ac_rca_knowledge_fini(&k);
    ac_rca_matrix_fini(&m);
}

/* Knowledge that contradicts the noise wins: a leaf comes last, a root first. */
static void knowledge_orders_lingam(void **state)
{
    (void)state;
    static const double w[9] = {0, 0.8, 0, 0, 0, 0.8, 0, 0, 0}; /* 0 -> 1 -> 2 */
    struct ac_rca_discover_params p = ac_rca_discover_default(AC_RCA_LINGAM);
    struct ac_rca_discovery d;
    struct ac_rca_knowledge k;
    struct ac_rca_matrix m;
    struct ac_rng r;
    ac_rng_seed(&r, 22);
    sample(&m, 3000, 3, w, false, &r);
    discover(&m, p, &d);
    assert_true(has_link(&d, 0, 1, "-->") && has_link(&d, 1, 2, "-->"));
    ac_rca_discovery_fini(&d);
    ac_rca_knowledge_init(&k, 3);
    p.know = &k;
    for (int j = 0; j < 3; j++)
        k.forbidden[0 * 3 + j] = true; /* a leaf */
    discover(&m, p, &d);
    for (int j = 1; j < 3; j++)
        assert_false(has_link(&d, 0, j, "-->"));
    assert_true(has_link(&d, 1, 0, "-->"));
    ac_rca_discovery_fini(&d);
    memset(k.forbidden, 0, 9);
    for (int i = 0; i < 3; i++)
        k.forbidden[i * 3 + 2] = true; /* a root */
    discover(&m, p, &d);
    assert_true(has_link(&d, 2, 1, "-->") || has_link(&d, 2, 0, "-->"));
    for (int i = 0; i < 2; i++)
        assert_false(has_link(&d, i, 2, "-->"));
    ac_rca_discovery_fini(&d);
    ac_rca_knowledge_fini(&k);
    ac_rca_matrix_fini(&m);
}

/* An edge that the prior rules out one way round is found the other way round, and is not deleted
 * as if being ruled out were a gain. */
static void edges_ruled_out_one_way_stay(void **state)
{
    (void)state;
    static const double w[9] = {0, 0.8, 0, 0, 0, 0.8, 0, 0, 0}; /* 0 -> 1 -> 2 */
    double prior[9] = {0};
    struct ac_rca_matrix m;
    struct ac_rca_pdag g;
    struct ac_rng r;
    uint64_t scores;
    ac_rng_seed(&r, 28);
    sample(&m, 2000, 3, w, true, &r);
    ac_rca_pdag_init(&g, 3);
    prior[0 * 3 + 1] = prior[1 * 3 + 2] = -INFINITY;
    struct ac_rca_ges_params p = {.max_parents = -1, .prior = prior};
    assert_int_equal(ac_rca_ges(&m, &p, &g, &scores, NULL), 0);
    assert_true(ac_rca_adjacent(&g, 0, 1) && ac_rca_adjacent(&g, 1, 2));
    assert_false(ac_rca_adjacent(&g, 0, 2));
    ac_rca_pdag_fini(&g);
    ac_rca_matrix_fini(&m);
}

/* Wild columns: every method ends with finite numbers or an error that says why. */
static void wild_columns_end_well(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct ac_rca_matrix m;
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        size_t n = 20 + (size_t)ac_rng_below(&r, 200), p = 2 + (size_t)ac_rng_below(&r, 7);
        assert_int_equal(ac_rca_matrix_make(n, p, &m, NULL), 0);
        for (size_t j = 0; j < p; j++) {
            uint64_t how = ac_rng_below(&r, 8);
            for (size_t t = 0; t < n; t++) {
                double v = ac_rng_normal(&r), *x = &m.x[j * n + t];
                *x = how == 0            ? 3.0
                     : how == 1 && j > 0 ? 2.0 * m.x[t] + 1.0  /* copy */
                     : how == 2 && j > 1 ? m.x[t] + m.x[n + t] /* determined by two */
                     : how == 3          ? (t % 5 ? v : (t % 2 ? INFINITY : NAN))
                     : how == 4          ? 1e200 * v
                     : how == 5          ? (t < n / 2 ? NAN : v)
                     : how == 6          ? (double)(t % 3)
                                         : v;
            }
        }
        for (int method = 0; method < AC_RCA_NMETHODS; method++) {
            struct ac_rca_discover_params params =
                ac_rca_discover_default((enum ac_rca_method)method);
            struct ac_rca_discovery d;
            struct ac_err err = AC_ERR_INIT;
            params.max_given = 3;
            if (ac_rca_discover(&m, &params, &d, &err)) {
                assert_true(err.msg[0] != '\0');
                continue;
            }
            for (size_t i = 0; i < d.nlinks; i++)
                if (!isfinite(d.links[i].strength) || d.links[i].from == d.links[i].to)
                    fail_msg("%s, seed %d: link %zu", ac_rca_method_name(params.method), (int)seed,
                             i);
            ac_rca_discovery_fini(&d);
        }
        ac_rca_matrix_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(collider_is_directed),
        cmocka_unit_test(knowledge_is_honoured_over_time),
        cmocka_unit_test(knowledge_orders_lingam),
        cmocka_unit_test(edges_ruled_out_one_way_stay),
        cmocka_unit_test(wild_columns_end_well),
        cmocka_unit_test(knowledge_is_honoured),
        cmocka_unit_test(lingam_finds_the_order),
        cmocka_unit_test(lagged_causes_are_found),
        cmocka_unit_test(oracle_shows_the_hidden_cause),
        cmocka_unit_test(marks_of_fci_are_true),
        cmocka_unit_test(oracle_gives_the_class),
        cmocka_unit_test(dense_correlations_are_scouted),
        cmocka_unit_test(useless_variables_are_left_out),
        cmocka_unit_test(classes_are_tested_by_counts),
        cmocka_unit_test(regression_is_exact),
        cmocka_unit_test(bad_matrices_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
