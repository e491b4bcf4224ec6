/* The simulation's agenda beside an array that is searched. */
#include "agenda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/rng.h>

struct plain {
    struct agenda_event *e;
    size_t n, cap;
    uint64_t serial;
};

static void plain_add(struct plain *p, int64_t at, uint32_t what)
{
    ac_grow(&p->e, &p->cap, p->n + 1, sizeof(*p->e));
    p->e[p->n++] = (struct agenda_event){.at = at, .serial = p->serial++, .what = what};
}

static struct agenda_event plain_take(struct plain *p)
{
    size_t best = 0;
    for (size_t i = 1; i < p->n; i++)
        if (p->e[i].at < p->e[best].at ||
            (p->e[i].at == p->e[best].at && p->e[i].serial < p->e[best].serial))
            best = i;
    struct agenda_event e = p->e[best];
    p->e[best] = p->e[--p->n];
    return e;
}

/* From the same moment to days ahead: every distance for which events are kept elsewhere. */
static int64_t distance(struct ac_rng *rng)
{
    static const int64_t reach[] = {1,          1000,        2000000,      500000000,
                                    9000000000, 18000000000, 400000000000, 90000000000000};
    return (int64_t)ac_rng_below(rng, (uint64_t)reach[ac_rng_below(rng, AC_ARRAY_LEN(reach))]);
}

static void test_the_order_of_times_and_of_adding(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct agenda *a = agenda_create();
        struct plain p = {0};
        struct agenda_event got;
        struct ac_rng rng;
        int64_t now = 0;
        ac_rng_seed(&rng, seed);
        for (uint32_t i = 0; i < 4000; i++) {
            if (p.n == 0 || ac_rng_below(&rng, 100) < (i < 2000 ? 55u : 40u)) {
                int64_t at = now + distance(&rng);
                agenda_add(a, at, 7, i);
                plain_add(&p, at, i);
                continue;
            }
            struct agenda_event want = plain_take(&p);
            assert_true(agenda_next(a, &got));
            if (got.at != want.at || got.what != want.what)
                fail_msg("seed %lu, step %u", (unsigned long)seed, i);
            assert_int_equal(got.kind, 7);
            now = got.at;
        }
        while (p.n) {
            assert_true(agenda_next(a, &got));
            assert_int_equal(got.what, plain_take(&p).what);
        }
        assert_false(agenda_next(a, &got));
        agenda_add(a, now, 1, 1);
        assert_true(agenda_next(a, &got) && got.at == now);
        agenda_destroy(a);
        free(p.e);
    }
    agenda_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_order_of_times_and_of_adding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
