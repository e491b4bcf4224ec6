/* OpenTelemetry series and log lines into a case. */
#include "rca_lines.h"
#include "rca_signals.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define T0 (1700000000LL * AC_NS_PER_S)
#define N  10

static void add(struct ac_rca_signals *s, const char *component, const char *metric,
                const char *unit, enum ac_rca_temporality temporality, double first, double step,
                const struct ac_rca_label *labels, size_t nlabels)
{
    int64_t t[N];
    double v[N];
    for (int i = 0; i < N; i++) {
        t[i] = T0 + i * AC_NS_PER_S + 300 * AC_NS_PER_MS;
        v[i] = first + i * step;
    }
    const struct ac_rca_series x = {.component = component,
                                    .metric = metric,
                                    .unit = unit,
                                    .labels = labels,
                                    .nlabels = nlabels,
                                    .temporality = temporality,
                                    .n = N,
                                    .t_ns = t,
                                    .v = v};
    ac_rca_signals_add(s, &x);
}

static const struct ac_rca_metric *find(const struct ac_rca_case *c, const char *component,
                                        const char *peer, enum ac_rca_kind kind)
{
    int comp = ac_rca_component_find(c, component);
    int p = peer ? ac_rca_component_find(c, peer) : -1;
    for (size_t i = 0; i < c->nmetrics; i++)
        if (c->metrics[i].component == comp && c->metrics[i].peer == p &&
            c->metrics[i].kind == kind)
            return &c->metrics[i];
    return NULL;
}

#define LABELS(...) ((const struct ac_rca_label[]){__VA_ARGS__})

static void routes_are_joined_by_their_calls(void **state)
{
    (void)state;
    struct ac_rca_signals *s = ac_rca_signals_create(T0, T0 + N * AC_NS_PER_S, 0);
    struct ac_rca_case *c = ac_rca_case_create();
    add(s, "geo", "rpc.server.requests", "{request}/s", AC_RCA_GAUGE, 30, 0, LABELS({"route", "a"}),
        1);
    add(s, "geo", "rpc.server.requests", "{request}/s", AC_RCA_GAUGE, 10, 0, LABELS({"route", "b"}),
        1);
    add(s, "geo", "rpc.server.errors.ratio", "1", AC_RCA_GAUGE, 0, 0, LABELS({"route", "a"}), 1);
    add(s, "geo", "rpc.server.errors.ratio", "1", AC_RCA_GAUGE, 0.4, 0, LABELS({"route", "b"}), 1);
    add(s, "geo", "load.errors.ratio", "1", AC_RCA_GAUGE, 0.4, 0, LABELS({"class", "x"}), 1);
    add(s, "geo", "rpc.server.duration.mean", "ms", AC_RCA_GAUGE, 10, 0, LABELS({"route", "a"}), 1);
    add(s, "geo", "rpc.server.duration.mean", "ms", AC_RCA_GAUGE, 50, 0, LABELS({"route", "b"}), 1);
    add(s, "geo", "rpc.server.duration.p99", "ms", AC_RCA_GAUGE, 500, 0, NULL, 0);
    assert_int_equal(ac_rca_signals_build(s, c, NULL), 0);
    assert_float_equal(find(c, "geo", NULL, AC_RCA_LOAD)->v[3], 40, 1e-9);
    assert_float_equal(find(c, "geo", NULL, AC_RCA_ERR)->v[3], 10, 1e-9); /* percent */
    assert_float_equal(find(c, "geo", NULL, AC_RCA_LAT)->v[3], 0.020, 1e-9);
    assert_int_equal(c->nmetrics, 3);
    ac_rca_signals_destroy(s);
    ac_rca_case_destroy(c);
}

static void counters_become_rates_and_edges(void **state)
{
    (void)state;
    struct ac_rca_signals *s = ac_rca_signals_create(T0, T0 + N * AC_NS_PER_S, 0);
    struct ac_rca_case *c = ac_rca_case_create();
    const struct ac_rca_label ok[] = {{"peer", "user"}, {"status", "OK"}};
    const struct ac_rca_label bad[] = {{"peer", "user"}, {"status", "UNAVAILABLE"}};
    add(s, "frontend", "rpc.client.duration.count", "1", AC_RCA_CUMULATIVE, 0, 6, ok, 2);
    add(s, "frontend", "rpc.client.duration.count", "1", AC_RCA_CUMULATIVE, 0, 2, bad, 2);
    add(s, "frontend", "rpc.client.duration.sum", "s", AC_RCA_CUMULATIVE, 0, 0.4, ok, 2);
    assert_int_equal(ac_rca_signals_build(s, c, NULL), 0);
    const struct ac_rca_metric *calls = find(c, "frontend", "user", AC_RCA_CLOAD);
    assert_non_null(calls);
    assert_int_equal(calls->n, N - 1); /* the first sample has no rate: a gap */
    assert_float_equal(calls->v[4], 8, 1e-9);
    assert_float_equal(find(c, "frontend", "user", AC_RCA_CERR)->v[4], 25, 1e-9);
    assert_float_equal(find(c, "frontend", "user", AC_RCA_CLAT)->v[4], 0.05, 1e-9);
    assert_int_equal(c->nedges, 1);
    ac_rca_signals_destroy(s);
    ac_rca_case_destroy(c);
}

static void readiness_and_resources(void **state)
{
    (void)state;
    struct ac_rca_signals *s = ac_rca_signals_create(T0, T0 + N * AC_NS_PER_S, 0);
    struct ac_rca_case *c = ac_rca_case_create();
    add(s, "user", "k8s.pod.ready", "1", AC_RCA_GAUGE, 1, 0, LABELS({"pod", "user-1"}), 1);
    add(s, "user", "container.cpu.utilization", "1", AC_RCA_GAUGE, 0.1, 0,
        LABELS({"pod", "user-1"}), 1);
    add(s, "user", "container.memory.limit", "By", AC_RCA_GAUGE, 1, 0, NULL, 0);
    add(s, "user", "k8s.container.restarts", "{restart}", AC_RCA_CUMULATIVE, 0, 1, NULL, 0);
    add(s, "", "k8s.pod.ready", "1", AC_RCA_GAUGE, 1, 0, NULL, 0);
    add(s, "geo", "process.cpu.time", "s", AC_RCA_CUMULATIVE, 0, 0.5, NULL, 0);
    add(s, "geo", "container.memory.usage", "MiBy", AC_RCA_GAUGE, 3, 0, NULL, 0);
    assert_int_equal(ac_rca_signals_build(s, c, NULL), 0);
    const struct ac_rca_metric *cpu = find(c, "geo", NULL, AC_RCA_CPU),
                               *mem = find(c, "geo", NULL, AC_RCA_MEM);
    assert_string_equal(cpu->unit, "cores"); /* seconds a second */
    assert_float_equal(cpu->v[4], 0.5, 1e-9);
    assert_string_equal(mem->unit, "MiB");
    assert_float_equal(mem->v[4], 3 * 1048576, 0); /* held in bytes */
    assert_float_equal(find(c, "user", NULL, AC_RCA_UNREADY)->v[0], 0, 0);
    assert_non_null(find(c, "user", NULL, AC_RCA_CPU));
    assert_null(find(c, "user", NULL, AC_RCA_MEM));
    assert_float_equal(find(c, "user", NULL, AC_RCA_RESTART)->v[0], 1, 1e-9);
    ac_rca_signals_destroy(s);
    ac_rca_case_destroy(c);
}

static void refusals_are_laid_at_the_store(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    int geo = ac_rca_component(c, "geo"), db = ac_rca_component(c, "mongodb-geo");
    int rate = ac_rca_component(c, "rate"), search = ac_rca_component(c, "search");
    assert_int_equal(ac_rca_edge_add(c, search, geo, ""), 0);
    assert_int_equal(ac_rca_edge_add(c, geo, db, ""), 0);
    struct ac_rca_lines *l = ac_rca_lines_create();
    const struct ac_rca_line said[] = {
        {T0, "geo", "query failed: permission denied for table geo", NULL, 17},
        {T0 + 1, "geo", "query failed: permission denied for table geo", NULL, 17},
        {T0 + 2, "geo", "query failed: permission denied for table geo", NULL, 17},
        {T0, "search", "call to geo: permission denied", NULL, 17},
        {T0, "search", "deadline exceeded", "rate", 17},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(said); i++)
        assert_int_equal(ac_rca_lines_add(l, &said[i], NULL), 0);
    assert_int_equal(ac_rca_lines_build(l, c, 0, NULL), 0);
    ac_rca_lines_destroy(l);
    assert_int_equal(c->nevents, 3);
    assert_int_equal(c->events[0].count, 3);
    assert_int_equal(c->events[0].about, db);
    assert_int_equal(c->events[0].cls, AC_RCA_EVENT_DENIED);
    assert_int_equal(c->events[1].about, geo);
    assert_int_equal(c->events[2].about, rate);
    ac_rca_case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_joined_by_their_calls),
        cmocka_unit_test(counters_become_rates_and_edges),
        cmocka_unit_test(readiness_and_resources),
        cmocka_unit_test(refusals_are_laid_at_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
