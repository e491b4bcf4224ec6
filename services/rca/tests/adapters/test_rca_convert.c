/* A result on the wire: who is at fault, by what share, and who was only weighed. */
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

#include "adapters/convert_pb.h"

#define N    14
#define T0_S 1700000000LL

/* Every processor becomes busier in the incident, the first most. */
static struct ac_rca_case *make(void)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rng rng;
    ac_rng_seed(&rng, 7);
    for (int i = 0; i < N; i++) {
        char name[8];
        snprintf(name, sizeof(name), "c%d", i);
        assert_int_equal(ac_rca_component(c, name), i);
        int m = ac_rca_metric_add(c, i, -1, AC_RCA_CPU, AC_RCA_MEAN, "cpu");
        assert_true(m >= 0);
        for (int s = -120; s < 60; s++)
            ac_rca_metric_push(&c->metrics[m], (T0_S + s) * AC_NS_PER_S,
                               0.1 + 0.01 * ac_rng_normal(&rng) + (s >= 0 ? 20.0 / (i + 1) : 0));
    }
    return c;
}

static void localise(const struct ac_rca_case *c, struct ac_rca_result *ret)
{
    struct ac_rca_params p = ac_rca_params_default(T0_S * AC_NS_PER_S, 60 * AC_NS_PER_S);
    assert_int_equal(ac_rca_localise(c, &p, ret, NULL), 0);
}

static void shares_are_on_the_wire(void **state)
{
    (void)state;
    struct ac_rca_case *c = make();
    struct ac_arena *a = ac_arena_create(1 << 20);
    struct ac_rca_result r;
    localise(c, &r);
    assert_int_equal(r.nnamed, AC_RCA_MAX_NAMED);
    Aceso__V1__Diagnosis *d = rca_convert_result(c, &r, a);
    assert_non_null(d);
    assert_int_equal(d->n_root_causes, 10);
    double sum = 0;
    for (size_t i = 0; i < d->n_root_causes; i++) {
        const Aceso__V1__RootCause *x = d->root_causes[i];
        assert_true((x->share > 0.0) == (i < r.nnamed));
        assert_string_equal(x->share_of, i < r.nnamed ? "score" : "");
        sum += x->share;
    }
    assert_true(fabs(sum - 1.0) < 1e-9);
    assert_non_null(strstr(d->text, "Beside it "));
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
    ac_arena_destroy(a);
}

static void who_is_at_fault_is_never_cut_off(void **state)
{
    (void)state;
    struct ac_rca_case *c = make();
    struct ac_arena *a = ac_arena_create(1 << 20);
    struct ac_rca_result r;
    localise(c, &r);
    r.nnamed = 2;
    r.named[0] = (struct ac_rca_named){.cause = 0, .share = 0.75};
    r.named[1] = (struct ac_rca_named){.cause = 12, .share = 0.25};
    r.shared_by = AC_RCA_LAT;
    Aceso__V1__Diagnosis *d = rca_convert_result(c, &r, a);
    assert_non_null(d);
    assert_int_equal(d->n_root_causes, 11);
    const Aceso__V1__RootCause *last = d->root_causes[10];
    assert_string_equal(last->component, c->components[r.causes[12].component]);
    assert_true(last->share >= 0.25 && last->share <= 0.25);
    assert_string_equal(last->share_of, "seconds");
    r.shared_by = AC_RCA_ERR;
    d = rca_convert_result(c, &r, a);
    assert_non_null(d);
    assert_string_equal(d->root_causes[0]->share_of, "errors");
    assert_true(d->root_causes[1]->share <= 0.0);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
    ac_arena_destroy(a);
}

static void nothing_is_shared_where_nothing_is_named(void **state)
{
    (void)state;
    struct ac_rca_case *c = make();
    struct ac_arena *a = ac_arena_create(1 << 20);
    struct ac_rca_result r;
    localise(c, &r);
    r.abstained = true;
    Aceso__V1__Diagnosis *d = rca_convert_result(c, &r, a);
    assert_non_null(d);
    assert_true(d->abstained);
    assert_int_equal(d->n_root_causes, 0);
    struct ac_arena *small = ac_arena_create(64);
    r.abstained = false;
    assert_null(rca_convert_result(c, &r, small));
    ac_arena_destroy(small);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
    ac_arena_destroy(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_on_the_wire),
        cmocka_unit_test(who_is_at_fault_is_never_cut_off),
        cmocka_unit_test(nothing_is_shared_where_nothing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
