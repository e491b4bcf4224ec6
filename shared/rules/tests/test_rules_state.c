/* Properties of saved states over random rules: a rule whose thresholds alone are changed takes
 * over everything, and goes on as if what the thresholds were had been part of the series. */
#include "rulegen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

#define ROUNDS 400
#define POINTS 300
#define STEP   1000000000LL

struct made {
    struct ac_buf text;
    struct ac_ruleset *set;
    struct ac_plan *plan;
    double threshold[72];
    size_t n;
};

/* The same rules from the same seed but for how the thresholds are written. */
static bool make(struct made *m, uint64_t seed, enum rg_thresholds how)
{
    struct rulegen g = {.thresholds = how};
    const struct ac_rule *rules[3];
    bool fits = true;
    ac_rng_seed(&g.rng, seed);
    ac_buf_init(&m->text, 1 << 20);
    ac_buf_puts(&m->text, "language 1\n");
    m->n = 1 + ac_rng_below(&g.rng, 3);
    for (size_t i = 0; i < m->n; i++) {
        rg_rule(&g, &m->text, (int)i);
        fits &= g.n_thresholds <= RG_THRESHOLDS_MAX;
    }
    memcpy(m->threshold, g.threshold, sizeof m->threshold);
    if (!fits || ac_ruleset_parse(m->text.data, m->text.len, &m->set, NULL) < 0) {
        ac_buf_fini(&m->text); /* test_rules_property.c looks at why */
        return false;
    }
    for (size_t i = 0; i < m->n; i++)
        rules[i] = ac_ruleset_get(m->set, i);
    assert_int_equal(ac_plan_create(rules, m->n, AC_PLAN_ALL_TERMS, &m->plan, NULL), 0);
    return true;
}

static void unmake(struct made *m)
{
    ac_plan_destroy(m->plan);
    ac_ruleset_destroy(m->set);
    ac_buf_fini(&m->text);
}

/* What the inputs of a plan are at a point: the thresholds of now, the others by their name. */
static uint64_t push(struct ac_eval *e, const struct made *m, const double *threshold, size_t t,
                     double v)
{
    double in[128];
    for (size_t i = 0; i < ac_plan_n_inputs(m->plan); i++) {
        const struct ac_rule_input *x = ac_plan_input(m->plan, i);
        const char *digits = x->of + strcspn(x->of, "0123456789");
        size_t k = strtoul(digits, NULL, 10);
        in[i] = x->kind == AC_INPUT_ZONE             ? 3600.0 * (double)(k % 3)
                : strncmp(x->of, "th", 2) == 0       ? threshold[k]
                : (t + k + (size_t)x->kind) % 11 < 2 ? NAN
                                                     : (double)((t * (k + 2)) % 17) / 4;
    }
    return ac_eval_push_with(e, 1600000000000000000LL + (int64_t)t * STEP, v, in);
}

static void same_terms(struct ac_eval *a, struct ac_eval *b, const struct made *m, uint64_t seed,
                       size_t t)
{
    for (size_t r = 0; r < m->n; r++) {
        for (int k = 0; k < 5; k++) {
            char name[8];
            (void)snprintf(name, sizeof name, "x%d", k);
            double x = ac_eval_term(a, r, name), y = ac_eval_term(b, r, name);
            /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): to the bit, NaN too */
            if (memcmp(&x, &y, sizeof x) != 0)
                fail_msg("seed %llu point %zu rule %zu: %s is %.17g, not %.17g\n%s",
                         (unsigned long long)seed, t, r, name, x, y, m->text.data);
        }
    }
}

/* old until the cut, then changed with its state; must be as a rule that gets its thresholds with
 * the points, the old ones first. Returns whether the change made a difference. */
static bool change(const struct made *old, const struct made *changed, const struct made *inputs,
                   uint64_t seed)
{
    struct ac_eval *a = ac_eval_create(old->plan, 1), *b = ac_eval_create(changed->plan, 1);
    struct ac_eval *c = ac_eval_create(inputs->plan, 1);
    struct ac_rng r;
    struct ac_buf bytes;
    double v[POINTS];
    bool exact = false, differs = false;
    ac_rng_seed(&r, seed * 31);
    rg_series(&r, v, POINTS);
    size_t cut = 1 + ac_rng_below(&r, POINTS - 1);
    for (size_t t = 0; t < cut; t++) {
        uint64_t x = push(a, old, old->threshold, t, v[t]);
        uint64_t y = push(c, inputs, old->threshold, t, v[t]);
        if (x != y)
            fail_msg("seed %llu point %zu: the inputs are not the constants\n%s",
                     (unsigned long long)seed, t, inputs->text.data);
    }
    ac_buf_init(&bytes, 64 << 20);
    assert_true(ac_eval_save(a, &bytes));
    assert_int_equal(ac_eval_restore(b, bytes.data, bytes.len, &exact, NULL), 0);
    if (!exact)
        fail_msg("seed %llu: something started cold\n%s\n%s", (unsigned long long)seed,
                 old->text.data, changed->text.data);
    for (size_t t = cut; t < POINTS; t++) {
        uint64_t x = push(b, changed, changed->threshold, t, v[t]);
        uint64_t y = push(c, inputs, changed->threshold, t, v[t]);
        differs |= x != push(a, old, old->threshold, t, v[t]);
        if (x != y)
            fail_msg("seed %llu point %zu (changed at %zu): flags %llx, not %llx\n%s",
                     (unsigned long long)seed, t, cut, (unsigned long long)x, (unsigned long long)y,
                     changed->text.data);
        same_terms(b, c, changed, seed, t);
    }
    ac_buf_fini(&bytes);
    ac_eval_destroy(a);
    ac_eval_destroy(b);
    ac_eval_destroy(c);
    return differs;
}

static void thresholds_change_without_a_loss(void **st)
{
    (void)st;
    size_t tried = 0, differ = 0;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct made m[3];
        if (!make(&m[0], seed, RG_CONSTANT))
            continue;
        assert_true(make(&m[1], seed, RG_SHIFTED) && make(&m[2], seed, RG_INPUT));
        differ += change(&m[0], &m[1], &m[2], seed);
        tried++;
        for (int i = 0; i < 3; i++)
            unmake(&m[i]);
    }
    assert_true(tried > ROUNDS / 3 && differ > tried / 10);
}

static struct ac_plan *plan_of(const char *body, struct ac_ruleset **ret_set)
{
    char text[400];
    struct ac_plan *p = NULL;
    (void)snprintf(text, sizeof text, "language 1 rule \"a\" { step 1s %s }", body);
    assert_int_equal(ac_ruleset_parse(text, strlen(text), ret_set, NULL), 0);
    const struct ac_rule *r = ac_ruleset_get(*ret_set, 0);
    assert_int_equal(ac_plan_create(&r, 1, 0, &p, NULL), 0);
    return p;
}

/* Whether all of a's state is taken over by b. */
static bool takes_all(const char *a, const char *b)
{
    struct ac_ruleset *sa, *sb;
    struct ac_plan *pa = plan_of(a, &sa), *pb = plan_of(b, &sb);
    struct ac_eval *ea = ac_eval_create(pa, 1), *eb = ac_eval_create(pb, 1);
    struct ac_buf bytes;
    bool exact = false;
    ac_buf_init(&bytes, 1 << 20);
    for (int i = 0; i < 50; i++)
        (void)ac_eval_push(ea, i * STEP, i % 7);
    assert_true(ac_eval_save(ea, &bytes));
    assert_int_equal(ac_eval_restore(eb, bytes.data, bytes.len, &exact, NULL), 0);
    ac_buf_fini(&bytes);
    ac_eval_destroy(ea);
    ac_eval_destroy(eb);
    ac_plan_destroy(pa);
    ac_plan_destroy(pb);
    ac_ruleset_destroy(sa);
    ac_ruleset_destroy(sb);
    return exact;
}

static void what_a_threshold_is(void **st)
{
    (void)st;
    assert_true(takes_all("when value > 3 * median(value, 9) for 2 of 3",
                          "when value > 3.5 * median(value, 9) for 2 of 3"));
    assert_true(
        takes_all("let limit = 4 let s = abs(diff(value, 1)) / 2 when s >= limit for 2 of 3",
                  "let limit = 5 let s = abs(diff(value, 1)) / 3 when s >= limit for 2 of 3"));
    assert_true(takes_all("when mean(count(value > 3, 5), 9) > 2",
                          "when mean(count(value > 4, 5), 9) > 1"));
    assert_true(takes_all("when value > 3 until value < 2 for 3 of 4",
                          "when value > 5 until value < 1 for 3 of 4"));
    /* Numbers of another scale are not what a window held. */
    assert_false(takes_all("when mean(2 * value, 9) > 3", "when mean(3 * value, 9) > 3"));
    assert_false(takes_all("when value > 3 for 2 of 3", "when value > 3 for 2 of 4"));
    assert_false(takes_all("when mean(value, 8) > 3", "when mean(value, 9) > 3"));
    assert_false(takes_all("when value > 3 for 2 of 3", "when value < 3 for 2 of 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thresholds_change_without_a_loss),
        cmocka_unit_test(what_a_threshold_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
