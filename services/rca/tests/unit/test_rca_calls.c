/* Walks along calls: what they say, and that they look at each call once. */
#include "rca_answer.h"
#include "rca_calls.h"
#include "rca_work.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/testkit.h>

static struct ac_rca_case *components(size_t n)
{
    struct ac_rca_case *c = ac_rca_case_create();
    for (size_t i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        assert_int_equal(ac_rca_component(c, name), i);
    }
    return c;
}

/* By the definition: again and again over all calls until nothing changes. */
static void reach_slowly(const struct ac_rca_case *c, int root, bool against, bool *seen)
{
    memset(seen, 0, c->ncomponents);
    seen[root] = true;
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t e = 0; e < c->nedges; e++) {
            int from = against ? c->edges[e].to : c->edges[e].from;
            int to = against ? c->edges[e].from : c->edges[e].to;
            grew = grew || (seen[from] && !seen[to]);
            seen[to] = seen[to] || seen[from];
        }
    }
}

/* A component is left when it lies on a cycle, or a cycle leads to it and it leads to one. */
static void any_graph_is_walked_as_defined(void **state)
{
    (void)state;
    struct ac_rng r = ac_kit_rng(31);
    for (int round = 0; round < 300; round++) {
        enum {
            MAX = 12
        };
        size_t n = 1 + ac_rng_below(&r, MAX), calls = ac_rng_below(&r, 2 * n);
        struct ac_rca_case *c = components(n);
        struct rca_calls k;
        bool want[MAX][MAX], back[MAX], got[MAX], on_cycle[MAX] = {false};
        for (size_t e = 0; e < calls; e++)
            assert_int_equal(
                ac_rca_edge_add(c, (int)ac_rng_below(&r, n), (int)ac_rng_below(&r, n), ""), 0);
        rca_calls_init(&k, c);
        for (size_t i = 0; i < n; i++) {
            reach_slowly(c, (int)i, false, want[i]);
            rca_calls_reach(&k, (int)i, false, got);
            assert_memory_equal(got, want[i], n);
            reach_slowly(c, (int)i, true, back);
            rca_calls_reach(&k, (int)i, true, got);
            assert_memory_equal(got, back, n);
            for (size_t e = 0; e < c->nedges; e++)
                on_cycle[i] |= c->edges[e].to == (int)i && want[i][c->edges[e].from];
        }
        rca_calls_round(&k, got);
        for (size_t i = 0; i < n; i++) {
            bool after = false, before = false;
            for (size_t j = 0; j < n; j++) {
                after |= on_cycle[j] && want[j][i];
                before |= on_cycle[j] && want[i][j];
            }
            assert_int_equal(got[i], after && before);
        }
        rca_calls_fini(&k);
        ac_rca_case_destroy(c);
    }
}

/* As many components and calls as a case may have, in an order that is the worst for repeated
 * sweeps. These take about a second each, walks some milliseconds. */
static void largest_case_is_walked_once(void **state)
{
    (void)state;
    const size_t n = AC_RCA_MAX_COMPONENTS;
    struct ac_rca_case *c = components(n);
    struct ac_rca_result r = {.ncauses = n, .abstained = true};
    struct ac_rca_params p = {.threshold = 0};
    struct rca_work k = {.c = c, .p = &p};
    struct ac_buf b;
    ac_buf_init(&b, 1 << 16);
    c->edges = ac_xcalloc(AC_RCA_MAX_EDGES, sizeof(c->edges[0]));
    c->edges_cap = AC_RCA_MAX_EDGES;
    for (size_t e = 0; e < AC_RCA_MAX_EDGES; e++) /* not by edge_add, which looks for each */
        c->edges[c->nedges++] = (struct ac_rca_edge){.from = e + 1 < n ? (int)e : 0,
                                                     .to = e + 1 < n ? (int)e + 1 : (int)n - 1,
                                                     .evidence = ac_xstrdup("")};
    r.causes = ac_xcalloc(n, sizeof(r.causes[0]));
    for (size_t i = 0; i < n; i++)
        r.causes[i] = (struct ac_rca_cause){.component = (int)(n - 1 - i), .score = i ? 0.0 : 1.0};
    int64_t begin = ac_thread_cpu_ns();
    rca_several(&k, &r);
    ac_rca_change_texts(c, &r, &b);
    double seconds = (double)(ac_thread_cpu_ns() - begin) / 1e9;
    assert_int_equal(r.nnamed, 1);
    assert_null(strstr(ac_buf_str(&b), "calls go round"));
    if (seconds > 0.06)
        fail_msg("%.3f s", seconds);
    ac_rca_result_fini(&r);
    ac_buf_fini(&b);
    ac_rca_case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_graph_is_walked_as_defined),
        cmocka_unit_test(largest_case_is_walked_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
