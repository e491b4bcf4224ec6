/* Properties over random rules and series: printing is a fixed point of parsing; point by point,
 * in blocks of any size and across a saved state the results are the same bits; window operators
 * agree with a plain definition. */
#include "rulegen.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rules.h>

#define ROUNDS 400
#define N      700

struct made {
    struct ac_ruleset *set;
    const struct ac_rule *rules[4];
    size_t n;
    struct ac_plan *plan;
    struct ac_buf text;
};

static bool make(struct made *m, uint64_t seed)
{
    struct rulegen g = {.lets = 0};
    ac_rng_seed(&g.rng, seed);
    ac_buf_init(&m->text, 1 << 20);
    ac_buf_puts(&m->text, "language 1\n");
    m->n = 1 + ac_rng_below(&g.rng, 3);
    for (size_t i = 0; i < m->n; i++)
        rg_rule(&g, &m->text, (int)i);
    struct ac_diags d;
    if (ac_ruleset_parse(m->text.data, m->text.len, &m->set, &d) < 0) {
        /* Some random seasons look ahead or constants are out of range: that must be all. */
        if (!strstr(d.v[0].message, "look ahead") && !strstr(d.v[0].message, "quantile") &&
            !strstr(d.v[0].message, "ewma"))
            fail_msg("seed %llu: %d:%d %s\n%s", (unsigned long long)seed, d.v[0].line,
                     d.v[0].column, d.v[0].message, m->text.data);
        ac_buf_fini(&m->text);
        return false;
    }
    for (size_t i = 0; i < m->n; i++)
        m->rules[i] = ac_ruleset_get(m->set, i);
    assert_int_equal(ac_plan_create(m->rules, m->n, AC_PLAN_ALL_TERMS, &m->plan, NULL), 0);
    return true;
}

static void unmake(struct made *m)
{
    ac_plan_destroy(m->plan);
    ac_ruleset_destroy(m->set);
    ac_buf_fini(&m->text);
}

static void printing_is_a_fixed_point(void **st)
{
    (void)st;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct made m;
        if (!make(&m, seed))
            continue;
        struct ac_buf a, b;
        ac_buf_init(&a, 1 << 20);
        ac_buf_init(&b, 1 << 20);
        assert_true(ac_ruleset_print(m.set, &a));
        struct ac_ruleset *again = NULL;
        assert_int_equal(ac_ruleset_parse(a.data, a.len, &again, NULL), 0);
        for (size_t i = 0; i < m.n; i++)
            assert_true(ac_rule_equal(m.rules[i], ac_ruleset_get(again, i)));
        ac_ruleset_print(again, &b);
        assert_string_equal(a.data, b.data);
        ac_ruleset_destroy(again);
        ac_buf_fini(&a);
        ac_buf_fini(&b);
        unmake(&m);
    }
}

/* Columns for the inputs of a plan: offsets of zones change on a few points, others are series. */
static double **make_inputs(const struct ac_plan *p, uint64_t seed)
{
    size_t n = ac_plan_n_inputs(p);
    double **in = calloc(n + 1, sizeof *in);
    struct ac_rng r;
    ac_rng_seed(&r, seed * 31 + 7);
    for (size_t i = 0; i < n; i++) {
        in[i] = malloc(N * sizeof(double));
        rg_series(&r, in[i], N);
        double offset = 3600;
        for (size_t k = 0; ac_plan_input(p, i)->kind == AC_INPUT_ZONE && k < N; k++) {
            if (ac_rng_below(&r, 100) == 0)
                offset = 3600 + (double)ac_rng_below(&r, 3) - (ac_rng_below(&r, 9) ? 0 : NAN);
            in[i][k] = offset;
        }
    }
    return in;
}

static void free_inputs(const struct ac_plan *p, double **in)
{
    for (size_t i = 0; i < ac_plan_n_inputs(p); i++)
        free(in[i]);
    free(in);
}

static void batch_is_stream(void **st)
{
    (void)st;
    double *v = malloc(N * sizeof *v), *ta = malloc(N * sizeof *ta);
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct made m;
        if (!make(&m, seed))
            continue;
        struct ac_rng r;
        ac_rng_seed(&r, seed * 977);
        rg_series(&r, v, N);
        uint8_t *whole = calloc(N, m.n);
        double **in = make_inputs(m.plan, seed);
        double *now = calloc(ac_plan_n_inputs(m.plan) + 1, sizeof *now);
        const char *name = strstr(m.text.data, "let x0 =") &&
                                   strstr(m.text.data, "let x0") < strstr(m.text.data, "when")
                               ? "x0"
                               : "value";
        struct ac_eval *e = ac_eval_create(m.plan, 1 + ac_rng_below(&r, 600));
        struct ac_eval_batch b = {.values = v,
                                  .n = N,
                                  .t0_ns = 1600000000000000000,
                                  .step_ns = 1000000000,
                                  .inputs = (const double *const *)in,
                                  .flags = whole,
                                  .n_terms = 1,
                                  .term_names = &name,
                                  .terms = &ta};
        ac_eval_run(e, &b);
        struct ac_eval *s = ac_eval_create(m.plan, 1);
        size_t cut = ac_rng_below(&r, N);
        for (size_t i = 0; i < N; i++) {
            if (i == cut) { /* the machine dies here: go on from the saved state in another */
                struct ac_buf bytes;
                ac_buf_init(&bytes, 64 << 20);
                assert_true(ac_eval_save(s, &bytes));
                ac_eval_destroy(s);
                s = ac_eval_create(m.plan, 1 + ac_rng_below(&r, 9));
                bool exact = false;
                assert_int_equal(ac_eval_restore(s, bytes.data, bytes.len, &exact, NULL), 0);
                assert_true(exact);
                assert_int_equal(ac_eval_points(s), i);
                ac_buf_fini(&bytes);
            }
            for (size_t k = 0; k < ac_plan_n_inputs(m.plan); k++)
                now[k] = in[k][i];
            uint64_t mask =
                ac_eval_push_with(s, 1600000000000000000 + (int64_t)i * 1000000000, v[i], now);
            double t = ac_eval_term(s, 0, name);
            /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): to the bit, NaN too */
            if (memcmp(&t, &ta[i], sizeof t) != 0)
                fail_msg("seed %llu point %zu: %s is %.17g and %.17g (cut %zu)\n%s",
                         (unsigned long long)seed, i, name, t, ta[i], cut, m.text.data);
            for (size_t k = 0; k < m.n; k++) {
                if ((mask >> k & 1) != whole[k * N + i])
                    fail_msg("seed %llu point %zu rule %zu (cut %zu)\n%s", (unsigned long long)seed,
                             i, k, cut, m.text.data);
            }
        }
        ac_eval_destroy(s);
        ac_eval_destroy(e);
        free(whole);
        free(now);
        free_inputs(m.plan, in);
        unmake(&m);
    }
    free(v);
    free(ta);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(const double *s, size_t n, double q)
{
    double p = q * (double)(n - 1);
    size_t i = (size_t)p;
    return i + 1 < n ? s[i] + (p - (double)i) * (s[i + 1] - s[i]) : s[i];
}

/* Plain definitions over the known points of a window, oldest first. */
static double plain(const char *op, const double *v, size_t w)
{
    double s[1000], k[1000], sum = 0, sq = 0;
    size_t n = 0;
    for (size_t i = 0; i < w; i++) {
        if (v[i] == v[i] && fabs(v[i]) <= 1e150)
            k[n] = (double)i, s[n++] = v[i];
    }
    if (n < (w + 1) / 2)
        return NAN;
    for (size_t i = 0; i < n; i++)
        sum += s[i];
    double mean = sum / (double)n, kt = 0, ty = 0, tt = 0;
    for (size_t i = 0; i < n; i++)
        sq += (s[i] - mean) * (s[i] - mean), kt += k[i];
    kt /= (double)n;
    for (size_t i = 0; i < n; i++)
        ty += (k[i] - kt) * (s[i] - mean), tt += (k[i] - kt) * (k[i] - kt);
    if (strcmp(op, "mean") == 0 || strcmp(op, "sum") == 0)
        return op[0] == 'm' ? mean : sum;
    if (strcmp(op, "std") == 0 || strcmp(op, "slope") == 0)
        return n < 2 ? NAN : op[1] == 't' ? sqrt(sq / (double)n) : ty / tt;
    qsort(s, n, sizeof s[0], by_value);
    if (strcmp(op, "min") == 0 || strcmp(op, "max") == 0)
        return op[1] == 'i' ? s[0] : s[n - 1];
    if (strcmp(op, "median") == 0 || strcmp(op, "quantile") == 0)
        return quantile(s, n, op[0] == 'm' ? 0.5 : 0.9);
    double m = quantile(s, n, 0.5);
    for (size_t i = 0; i < n; i++)
        s[i] = fabs(s[i] - m);
    qsort(s, n, sizeof s[0], by_value);
    return quantile(s, n, 0.5);
}

static void windows_agree_with_their_definitions(void **st)
{
    (void)st;
    static const char *const ops[] = {"mean", "sum",    "std",      "slope", "min",
                                      "max",  "median", "quantile", "mad"};
    static const size_t widths[] = {1, 2, 3, 7, 60, 300, 700};
    enum {
        LEN = 3000
    };
    double *v = malloc((LEN + 1000) * sizeof *v), *out = malloc(LEN * sizeof *out);
    struct ac_rng r;
    ac_rng_seed(&r, 5);
    for (size_t i = 0; i < 1000; i++)
        v[i] = NAN;
    rg_series(&r, v + 1000, LEN);
    for (size_t i = 0; i < LEN; i++) { /* huge numbers would need a tolerance of their own */
        if (fabs(v[1000 + i]) > 100)
            v[1000 + i] = NAN;
    }
    for (size_t o = 0; o < AC_ARRAY_LEN(ops); o++) {
        for (size_t k = 0; k < AC_ARRAY_LEN(widths); k++) {
            size_t w = widths[k];
            char text[256];
            (void)snprintf(text, sizeof text,
                           "language 1 rule \"a\" { let x = %s(value, %zu%s) when x > 0 }", ops[o],
                           w, strcmp(ops[o], "quantile") == 0 ? ", 0.9" : "");
            struct ac_ruleset *s = NULL;
            assert_int_equal(ac_ruleset_parse(text, strlen(text), &s, NULL), 0);
            const struct ac_rule *rule = ac_ruleset_get(s, 0);
            struct ac_plan *p = NULL;
            assert_int_equal(ac_plan_create(&rule, 1, 0, &p, NULL), 0);
            struct ac_eval *e = ac_eval_create(p, 512);
            const char *name = "x";
            struct ac_eval_batch b = {
                .values = v + 1000, .n = LEN, .n_terms = 1, .term_names = &name, .terms = &out};
            ac_eval_run(e, &b);
            for (size_t i = 0; i < LEN; i++) {
                double want = plain(ops[o], v + 1000 + i + 1 - w, w);
                if (!(fabs(want - out[i]) <= 1e-6 + 1e-9 * fabs(want)) &&
                    !(want != want && out[i] != out[i]))
                    fail_msg("%s point %zu: %.17g, by definition %.17g", text, i, out[i], want);
            }
            ac_eval_destroy(e);
            ac_plan_destroy(p);
            ac_ruleset_destroy(s);
        }
    }
    free(v);
    free(out);
}

/* What rounding must not do, however long a series runs: turn the sign of a sum, or leave a rest of
 * values that are gone in a window that is constant. */
static void sums_keep_their_side(void **st)
{
    (void)st;
    enum {
        LEN = 20000
    };
    static const size_t widths[] = {1, 3, 10, 60, 301};
    static const char *const names[] = {"sum", "mean", "std", "season"};
    double *v = malloc(LEN * sizeof *v), *out[AC_ARRAY_LEN(names)];
    for (size_t k = 0; k < AC_ARRAY_LEN(names); k++)
        out[k] = malloc(LEN * sizeof *out[k]);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct ac_rng r;
        ac_rng_seed(&r, seed);
        double sign = seed % 2 ? 1 : -1, held = 0;
        size_t left = 0;
        for (size_t i = 0; i < LEN; i++) { /* bursts of many sizes, then a constant for a while */
            if (left)
                left--;
            else if (ac_rng_below(&r, 200) == 0)
                left = ac_rng_below(&r, 900), held = ac_rng_below(&r, 2) ? 0 : 0.1;
            v[i] = sign * (left ? held : exp(6 * ac_rng_normal(&r)));
        }
        for (size_t k = 0; k < AC_ARRAY_LEN(widths); k++) {
            size_t w = widths[k], same = 1;
            char text[300];
            (void)snprintf(text, sizeof text,
                           "language 1 rule \"a\" { let sum = sum(value, %zu) let mean = "
                           "mean(value, %zu) let std = std(value, %zu) let season = "
                           "season_mean(value, 10, %zu, 2) when sum > 0 }",
                           w, w, w, AC_MIN(w, 30u));
            struct ac_ruleset *s = NULL;
            assert_int_equal(ac_ruleset_parse(text, strlen(text), &s, NULL), 0);
            const struct ac_rule *rule = ac_ruleset_get(s, 0);
            struct ac_plan *p = NULL;
            assert_int_equal(ac_plan_create(&rule, 1, AC_PLAN_ALL_TERMS, &p, NULL), 0);
            struct ac_eval *e = ac_eval_create(p, 512);
            struct ac_eval_batch b = {.values = v,
                                      .n = LEN,
                                      .n_terms = AC_ARRAY_LEN(names),
                                      .term_names = names,
                                      .terms = out};
            ac_eval_run(e, &b);
            for (size_t i = 0; i < LEN; i++) {
                same = i && v[i] == v[i - 1] ? same + 1 : 1;
                bool side =
                    !(sign * out[0][i] < 0) && !(sign * out[1][i] < 0) && !(sign * out[3][i] < 0);
                bool constant = same < w || (out[1][i] == v[i] && (w < 2 || out[2][i] == 0));
                if (!side || !constant)
                    fail_msg("seed %llu, %zu points, point %zu, a run of %zu of %g: sum %g mean "
                             "%.17g std %g season %g",
                             (unsigned long long)seed, w, i, same, v[i], out[0][i], out[1][i],
                             out[2][i], out[3][i]);
            }
            ac_eval_destroy(e);
            ac_plan_destroy(p);
            ac_ruleset_destroy(s);
        }
    }
    free(v);
    for (size_t k = 0; k < AC_ARRAY_LEN(names); k++)
        free(out[k]);
}

static void state_moves_to_a_rule_with_another_threshold(void **st)
{
    (void)st;
    static const char *const t[] = {
        "language 1 rule \"a\" { let z = robust_z(value, 30, 0.1) when z > 5 for 2 of 3 }",
        "language 1 rule \"a\" { let z = robust_z(value, 30, 0.1) when z > 7 for 2 of 3 }"};
    struct ac_ruleset *s[2];
    struct ac_plan *p[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ac_ruleset_parse(t[i], strlen(t[i]), &s[i], NULL), 0);
        const struct ac_rule *r = ac_ruleset_get(s[i], 0);
        assert_int_equal(ac_plan_create(&r, 1, 0, &p[i], NULL), 0);
    }
    struct ac_eval *a = ac_eval_create(p[0], 1), *b = ac_eval_create(p[1], 1);
    struct ac_rng r;
    ac_rng_seed(&r, 3);
    for (int i = 0; i < 100; i++)
        ac_eval_push(a, 0, ac_rng_normal(&r));
    struct ac_buf bytes;
    ac_buf_init(&bytes, 1 << 20);
    assert_true(ac_eval_save(a, &bytes));
    bool exact = true;
    assert_int_equal(ac_eval_restore(b, bytes.data, bytes.len, &exact, NULL), 0);
    assert_true(exact);
    ac_eval_push(a, 0, 6);
    ac_eval_push(b, 0, 6);
    double za = ac_eval_term(a, 0, "z"), zb = ac_eval_term(b, 0, "z");
    assert_true(za == zb && za > 3);
    assert_int_equal(ac_eval_restore(b, bytes.data, bytes.len - 3, NULL, NULL), AC_EINVAL);
    ac_buf_fini(&bytes);
    for (int i = 0; i < 2; i++) {
        ac_eval_destroy(i ? b : a);
        ac_plan_destroy(p[i]);
        ac_ruleset_destroy(s[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing_is_a_fixed_point),
        cmocka_unit_test(batch_is_stream),
        cmocka_unit_test(windows_agree_with_their_definitions),
        cmocka_unit_test(sums_keep_their_side),
        cmocka_unit_test(state_moves_to_a_rule_with_another_threshold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
