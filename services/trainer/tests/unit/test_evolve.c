/* Evolution finds what helps, takes nothing that does not, and is the same for a seed. */
#include "evolve.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>

#define N 600u

struct made {
    double values[N];
    uint8_t labels[N];
    struct train_part part;
};

static struct made *make(void)
{
    struct made *m = ac_xcalloc(1, sizeof *m);
    struct ac_rng r;
    ac_rng_seed(&r, 1);
    for (size_t i = 0; i < N; i++) {
        m->labels[i] = i % 30 == 7;
        m->values[i] = ac_rng_uniform(&r) + (m->labels[i] ? 8 + 4 * ac_rng_uniform(&r) : 0);
    }
    m->part = (struct train_part){
        .name = "made", .values = m->values, .labels = m->labels, .n = N, .step_ns = 60000000000};
    return m;
}

/* Its limit is too high, and it has an operand that only does harm. */
static int start(const struct train_part *seen, const char *rule, size_t track, void *arg,
                 char **ret, struct ac_err *err)
{
    (void)seen, (void)rule, (void)track, (void)arg, (void)err;
    *ret = ac_xstrdup("language 1\nrule \"made\" {\n    let limit = 11\n"
                      "    when value > limit or value < 0.05\n}\n");
    return 0;
}

static char *run(const struct made *m, struct evolve_options o, struct evolve_report *r,
                 double *before, double *after)
{
    struct ac_err err = AC_ERR_INIT;
    struct guard *g = guard_create(&m->part, 7);
    assert_int_equal(guard_start(g, start, NULL, &err), 0);
    *before = guard_value(g);
    if (evolve(g, &o, r, &err) < 0)
        fail_msg("%s", err.msg);
    *after = guard_value(g);
    char *text = ac_xstrdup(guard_rule(g));
    guard_destroy(g);
    return text;
}

static void test_it_finds_what_helps(void **state)
{
    (void)state;
    struct made *m = make();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct evolve_report r;
        double before, after, again;
        struct evolve_options o = {.seed = seed, .tries = 40};
        char *a = run(m, o, &r, &before, &after), *b = run(m, o, &r, &before, &again);
        assert_string_equal(a, b);
        if (!(after > 0.9) || r.tries != 40 || !r.kept || r.cut)
            fail_msg("seed %llu: %f to %f", (unsigned long long)seed, before, after);
        assert_true(fabs(after - before - r.gain) < 1e-9);
        free(a);
        free(b);
    }
    free(m);
}

static bool thrice(void *arg)
{
    return ++*(int *)arg <= 3;
}

static void test_it_can_be_ended(void **state)
{
    (void)state;
    struct made *m = make();
    struct evolve_report r;
    double before, after;
    int asked = 0;
    struct evolve_options o = {.seed = 1, .tries = 40, .go_on = thrice, .arg = &asked};
    free(run(m, o, &r, &before, &after));
    assert_true(r.tries == 3 && r.cut && after >= before);
    o = (struct evolve_options){.seed = 1};
    free(run(m, o, &r, &before, &after));
    assert_true(r.tries == 0 && !r.cut && after == before);
    free(m);
}

static void test_kinds_come_by_their_shares(void **state)
{
    (void)state;
    size_t n[4] = {0};
    struct ac_rng rng;
    ac_rng_seed(&rng, 5);
    for (int i = 0; i < 10000; i++)
        n[evolve_draw(&rng)]++;
    assert_in_range(n[EVOLVE_REMOVE], 2800, 3200);
    assert_in_range(n[EVOLVE_FREE], 2800, 3200);
    assert_in_range(n[EVOLVE_LIMIT], 2800, 3200);
    assert_in_range(n[EVOLVE_ONLY], 850, 1150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_it_finds_what_helps),
                                       cmocka_unit_test(test_it_can_be_ended),
                                       cmocka_unit_test(test_kinds_come_by_their_shares)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
