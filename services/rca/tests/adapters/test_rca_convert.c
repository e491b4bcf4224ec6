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

/* Messages hold pointers that are not const. */
static char peer_word[] = "peer", db_name[] = "db", web_name[] = "web",
            denied[] = "permission denied for table 7", id_a[] = "a", id_b[] = "b", id_c[] = "c",
            none[] = "", word_x[] = "x";

/* What the collector answers: lines of a part of the time, and spans of both ends of a call. */
static void logs_and_spans_become_measurements(void **state)
{
    (void)state;
    enum {
        LINES = 20,
        SPANS = 180
    };
    Aceso__V1__LogRecord line[LINES], *lines[LINES];
    Aceso__V1__Span span[SPANS], *spans[SPANS];
    Aceso__V1__Label peer = ACESO__V1__LABEL__INIT, *labels[] = {&peer};
    char ids[60][8];
    peer.key = peer_word;
    peer.value = db_name;
    for (int i = 0; i < LINES; i++) { /* all in the incident; newest first */
        aceso__v1__log_record__init(&line[i]);
        line[i].time_ns = (T0_S + LINES - i) * AC_NS_PER_S;
        line[i].component = web_name;
        line[i].severity = i % 2 ? 17 : 9; /* what was asked for counts, whatever it is called */
        line[i].body = denied;
        line[i].attributes = labels;
        line[i].n_attributes = 1;
        lines[i] = &line[i];
    }
    for (int i = 0; i < SPANS; i++) { /* web: handler, call; db: its answer */
        aceso__v1__span__init(&span[i]);
        snprintf(ids[i / 3], sizeof(ids[0]), "t%d", i / 3);
        span[i].trace_id = ids[i / 3];
        span[i].span_id = i % 3 == 0 ? id_a : i % 3 == 1 ? id_b : id_c;
        span[i].parent_span_id = i % 3 == 0 ? none : i % 3 == 1 ? id_a : id_b;
        span[i].component = i % 3 == 2 ? db_name : web_name;
        span[i].name = word_x;
        span[i].kind = i % 3 == 1 ? 3 : 2;
        span[i].start_ns = (T0_S + i / 3) * AC_NS_PER_S;
        span[i].end_ns = span[i].start_ns + (3 - i % 3) * AC_NS_PER_MS;
        span[i].status = i % 3 == 1 && i % 2 ? 2 : 0;
        spans[i] = &span[i];
    }
    span[4].end_ns = -1; /* nonsense is passed over */
    span[7].start_ns = INT64_MIN;
    span[7].end_ns = INT64_MAX;
    Aceso__V1__QueryLogsResponse l = ACESO__V1__QUERY_LOGS_RESPONSE__INIT;
    Aceso__V1__QuerySpansResponse s = ACESO__V1__QUERY_SPANS_RESPONSE__INIT;
    l.records = lines;
    l.n_records = LINES;
    s.spans = spans;
    s.n_spans = SPANS;
    struct ac_rca_case *c = ac_rca_case_create();
    const int64_t range[2] = {(T0_S - 180) * AC_NS_PER_S, (T0_S + 60) * AC_NS_PER_S};
    assert_int_equal(rca_convert_spans(c, &s, NULL), 0);
    assert_int_equal(rca_convert_logs(c, &l, range, (T0_S - 15) * AC_NS_PER_S, NULL), 0);
    assert_int_equal(c->nedges, 1);
    int db = ac_rca_component_find(c, "db"), web = ac_rca_component_find(c, "web");
    bool client = false, log = false;
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->component == web && m->peer == db && m->kind == AC_RCA_CLAT) {
            client = true;
            assert_float_equal(m->v[5], 0.002, 1e-9);
        }
        if (m->component == db && m->kind == AC_RCA_LOGERR) { /* of the whole time, 0 before */
            log = true;
            assert_true(m->t_ns[0] < (T0_S - 170) * AC_NS_PER_S && m->v[0] <= 0.0);
        }
    }
    assert_true(client && log);
    assert_int_equal(c->nevents, 1);
    assert_int_equal(c->events[0].count, LINES);
    assert_int_equal(c->events[0].cls, AC_RCA_EVENT_DENIED);
    assert_int_equal(c->events[0].about, db);
    ac_rca_case_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_on_the_wire),
        cmocka_unit_test(who_is_at_fault_is_never_cut_off),
        cmocka_unit_test(nothing_is_shared_where_nothing_is_named),
        cmocka_unit_test(logs_and_spans_become_measurements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
