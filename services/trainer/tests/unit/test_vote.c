/* A vote of atoms: a rule of the language that says by how much and by which atoms, taken only with
 * a proven gain. */
#include "evalrule.h"
#include "guard.h"
#include "train.h"

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
#include <aceso/rng.h>
#include <aceso/rules.h>
#include <aceso/str.h>

#define N    2000u
#define VOTE 5

struct made {
    double values[N];
    uint8_t labels[N];
    struct train_part part;
};

/* Noise with a memory, and spikes of a few of its sizes: no atom finds all of them. */
static struct made *make(uint64_t seed)
{
    struct made *m = ac_xcalloc(1, sizeof *m);
    struct ac_rng r;
    ac_rng_seed(&r, seed);
    double x = 0;
    for (size_t i = 0; i < N; i++) {
        x = 0.7 * x + ac_rng_normal(&r);
        m->labels[i] = i % 150 == 77 || i % 150 == 78;
        m->values[i] = 50 + x + (m->labels[i] ? 3.5 + 3 * ac_rng_uniform(&r) : 0);
    }
    m->part = (struct train_part){
        .name = "made", .values = m->values, .labels = m->labels, .n = N, .step_ns = 600000000000};
    return m;
}

static char *trained(const struct made *m, size_t vote)
{
    struct train_result t;
    struct ac_err err = AC_ERR_INIT;
    struct train_options o = {.delay = 7, .vote = vote};
    if (train_labelled(&m->part, &o, &t, &err) < 0)
        fail_msg("%s", err.msg);
    char *text = ac_xstrdup(t.base_text);
    train_result_fini(&t);
    return text;
}

/* The names in "{largest 3 of a, b, c}". */
static size_t voters(const char *text, char names[][64])
{
    const char *s = strstr(text, "{largest 3 of "), *e = s ? strchr(s, '}') : NULL;
    assert_non_null(e);
    s += strlen("{largest 3 of ");
    size_t n = 0;
    while (s < e && n < TRAIN_VOTE_MAX) {
        size_t len = strcspn(s, ",}");
        (void)snprintf(names[n++], 64, "%.*s", (int)len, s);
        s += len + (s[len] == ',' ? 2 : 1);
    }
    return n;
}

static double number_of(const char *text, const char *let)
{
    const char *at = strstr(text, let);
    assert_non_null(at);
    return strtod(at + strlen(let), NULL);
}

static void test_a_vote_is_a_weighted_sum_told_from_its_alarm_on(void **state)
{
    (void)state;
    struct made *m = make(1);
    char *text = trained(m, VOTE), names[TRAIN_VOTE_MAX][64];
    assert_int_equal(voters(text, names), VOTE);
    double *say[VOTE], *margin = ac_xmalloc(N * sizeof *margin), sum = 0, before = INFINITY;
    uint8_t *flags = ac_xcalloc(N, 1);
    for (size_t k = 0; k < VOTE; k++) {
        char *let = ac_xasprintf("let %s = ", names[k]);
        double weight = number_of(text, let);
        assert_true(weight > 0 && weight <= before); /* the best first */
        before = weight;
        sum += weight;
        say[k] = ac_xmalloc(N * sizeof *say[k]);
        assert_int_equal(evalrule_term(text, names[k], m->values, N, say[k], NULL), 0);
        for (size_t i = 0; i < N; i++)
            assert_true(fabs(say[k][i]) <= 1.5001 * weight);
        free(let);
    }
    assert_true(fabs(sum - 1) < 1e-4);
    assert_int_equal(evalrule_term(text, "margin", m->values, N, margin, NULL), 0);
    assert_int_equal(evalrule_flags(text, m->values, N, flags, NULL, NULL), 0);
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        double all = 0;
        for (size_t k = 0; k < VOTE; k++)
            all += say[k][i];
        assert_true(fabs(all - margin[i]) < 1e-12);
        assert_int_equal(flags[i], margin[i] >= -0.1);
        n += flags[i];
    }
    assert_in_range(n, 5, 100);
    assert_false(flags[0]); /* nothing is known yet: that speaks against */
    for (size_t k = 0; k < VOTE; k++)
        free(say[k]);
    free(margin);
    free(flags);
    free(text);
    free(m);
}

static void check_reason(struct ac_eval *e, size_t rule, size_t point, void *arg)
{
    (void)rule, (void)point;
    char(*names)[64] = arg;
    double least = INFINITY;
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    assert_true(ac_eval_reason(e, 0, &b));
    const char *said = strstr(ac_buf_str(&b), "most by ");
    assert_true(strncmp(ac_buf_str(&b), "vote of 5: ", 11) == 0 && said);
    size_t shown = 0, above = 0;
    for (size_t k = 0; k < VOTE; k++) {
        double v = ac_eval_term(e, 0, names[k]);
        char *name = ac_xasprintf("%s ", names[k]);
        if (strstr(said, name)) {
            shown++;
            least = fmin(least, v);
        }
        free(name);
    }
    for (size_t k = 0; k < VOTE; k++)
        above += ac_eval_term(e, 0, names[k]) > least;
    assert_int_equal(shown, 3);
    assert_true(above <= 2);
    ac_buf_fini(&b);
}

static void test_the_reason_is_its_three_largest_terms(void **state)
{
    (void)state;
    struct made *m = make(2);
    char *text = trained(m, VOTE), names[TRAIN_VOTE_MAX][64];
    assert_int_equal(voters(text, names), VOTE);
    struct ac_ruleset *set = NULL;
    struct ac_plan *plan = NULL;
    assert_int_equal(ac_ruleset_parse(text, strlen(text), &set, NULL), 0);
    const struct ac_rule *r = ac_ruleset_get(set, 0);
    assert_int_equal(ac_plan_create(&r, 1, 0, &plan, NULL), 0);
    struct ac_eval *e = ac_eval_create(plan, 64);
    ac_eval_run(e, &(struct ac_eval_batch){
                       .values = m->values, .n = N, .on_flag = check_reason, .arg = names});
    ac_eval_destroy(e);
    ac_plan_destroy(plan);
    ac_ruleset_destroy(set);
    free(text);
    free(m);
}

static void train(const struct made *m, size_t vote, struct train_result *r,
                  struct guard_report *rep)
{
    struct guard_options o = {.train = {.delay = 7, .vote = vote}};
    struct ac_err err = AC_ERR_INIT;
    if (guard_train(&m->part, &o, r, rep, &err) < 0)
        fail_msg("%s", err.msg);
}

/* Taken with a gain on blocks; else the rule is what it is without; the one atom stays the base. */
static void test_a_vote_must_prove_itself(void **state)
{
    (void)state;
    size_t kept = 0, seeds = 5;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct made *m = make(seed);
        struct train_result alone, voted;
        struct guard_report a, v;
        train(m, 0, &alone, &a);
        train(m, VOTE, &voted, &v);
        assert_string_equal(v.parts[0].name, "vote");
        assert_string_not_equal(a.parts[0].name, "vote");
        assert_string_equal(voted.base_text, alone.base_text);
        assert_true(v.base_value == a.base_value && v.value >= v.base_value);
        assert_int_equal(v.parts[0].kept, v.parts[0].gain > 1e-12);
        assert_int_equal(v.parts[0].kept, strstr(voted.text, "vote of 5: ") != NULL);
        assert_int_equal(v.parts[0].kept, strcmp(voted.base, "vote of 5") == 0);
        if (!v.parts[0].kept)
            assert_string_equal(voted.text, alone.text);
        kept += v.parts[0].kept;
        train_result_fini(&alone);
        train_result_fini(&voted);
        free(m);
    }
    assert_in_range(kept, 1, seeds - 1); /* both ways were seen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_vote_is_a_weighted_sum_told_from_its_alarm_on),
        cmocka_unit_test(test_the_reason_is_its_three_largest_terms),
        cmocka_unit_test(test_a_vote_must_prove_itself)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
