/* Log lines and spans into measurements and events. */
#include "rca_engine.h"
#include "rca_lines.h"
#include "rca_spans.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define T0 (1700000000LL * AC_NS_PER_S)
#define S  AC_NS_PER_S

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

static void values_are_taken_out_of_lines(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"TraceID: 04c87ec9 SpanID: e4 took 12ms", "TraceID: * SpanID: * took *"},
        {"GET /product/0PUK6V6EV0?x=1 from 10.0.0.3:5050", "GET /product/*?x=* from *"},
        {"ids 17, 18, 19 gone", "ids * gone"},
        {"a\t\n  b", "a b"},
        {"keine Stra\xc3\x9f"
         "e f\xc3\xbcr caf\xc3\xa9 ",
         "keine Stra\xc3\x9f"
         "e f\xc3\xbcr caf\xc3\xa9"},
        {"broken \xff\xc3", "broken"},
        {"", ""},
        {"0", "*"},
    };
    char out[AC_RCA_PATTERN_BYTES + 1], longer[3 * AC_RCA_PATTERN_BYTES];
    for (size_t i = 0; i < AC_ARRAY_LEN(pairs); i++) {
        ac_rca_pattern(pairs[i][0], out);
        assert_string_equal(out, pairs[i][1]);
    }
    for (size_t i = 0; i < sizeof(longer) - 1; i++)
        longer[i] = i % 7 == 6 ? ' ' : 'a';
    longer[sizeof(longer) - 1] = '\0';
    ac_rca_pattern(longer, out);
    assert_in_range(strlen(out), AC_RCA_PATTERN_BYTES - 1, AC_RCA_PATTERN_BYTES);
    memcpy(longer + AC_RCA_PATTERN_BYTES - 1, "\xc3\xa4", 2);
    ac_rca_pattern(longer, out);                             /* no half character at its end */
    assert_int_equal(strlen(out), AC_RCA_PATTERN_BYTES - 2); /* nor the blank before it */
    memmove(longer, longer + 1, sizeof(longer) - 1);
    ac_rca_pattern(longer, out); /* and a whole one stays */
    assert_string_equal(out + AC_RCA_PATTERN_BYTES - 2, "\xc3\xa4");
}

static void severities(void **state)
{
    (void)state;
    assert_int_equal(ac_rca_severity("WARNING"), 13);
    assert_int_equal(ac_rca_severity("SEVERITY_NUMBER_ERROR"), 17);
    assert_int_equal(ac_rca_severity("info"), 9);
    assert_int_equal(ac_rca_severity("17"), 17);
    assert_int_equal(ac_rca_severity("-3"), 0);
    assert_int_equal(ac_rca_severity("99"), 0);
    assert_int_equal(ac_rca_severity(""), 0);
    assert_true(ac_rca_span_failed("STATUS_CODE_ERROR") && ac_rca_span_failed("14") &&
                ac_rca_span_failed("503") && ac_rca_span_failed("2.0"));
    assert_false(ac_rca_span_failed("0") || ac_rca_span_failed("200") ||
                 ac_rca_span_failed("404") || ac_rca_span_failed("ok") || ac_rca_span_failed("1"));
    assert_int_equal(ac_rca_span_kind("SPAN_KIND_CLIENT"), AC_RCA_SPAN_CLIENT);
    assert_int_equal(ac_rca_span_kind("2"), AC_RCA_SPAN_SERVER);
    assert_int_equal(ac_rca_span_kind("7"), AC_RCA_SPAN_UNKNOWN);
}

static void say(struct ac_rca_lines *l, int64_t t, const char *who, const char *text, int severity)
{
    assert_int_equal(
        ac_rca_lines_add(
            l,
            &(struct ac_rca_line){.t_ns = t, .component = who, .text = text, .severity = severity},
            NULL),
        0);
}

static void lines_are_counted_by_pattern(void **state)
{
    (void)state;
    struct ac_rca_lines *l = ac_rca_lines_create();
    struct ac_rca_case *c = ac_rca_case_create();
    char text[64];
    for (int t = 0; t < 600; t++) {
        say(l, T0 + t * S, "web", "all is well", 9);
        snprintf(text, sizeof(text), "no such order %d", t);
        if (t % 10 == 0 || t >= 300) /* one in ten seconds, then one each */
            say(l, T0 + t * S, "web", text, 17);
        if (t >= 300 && t % 2)
            say(l, T0 + t * S, "web", "disk failed", 0);
    }
    assert_int_equal(ac_rca_lines_build(l, c, 0, NULL), 0);
    assert_int_equal(c->nmetrics, 2);
    assert_string_equal(c->metrics[0].name, "log \"no such order *\"");
    assert_int_equal(c->metrics[0].n, 60); /* of ten seconds each */
    assert_float_equal(c->metrics[0].v[10], 1, 0);
    assert_float_equal(c->metrics[0].v[40], 10, 0);
    assert_float_equal(c->metrics[1].v[10], 0, 0);
    assert_float_equal(c->metrics[1].v[40], 5, 0);
    struct ac_rca_params p = ac_rca_params_default(T0 + 300 * S, 300 * S);
    struct ac_rca_result r;
    assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
    bool seen[AC_RCA_NKINDS] = {false};
    for (size_t i = 0; i < r.causes[0].nparts; i++)
        seen[r.causes[0].parts[i].kind] = true;
    assert_true(seen[AC_RCA_LOGERR] && seen[AC_RCA_LOGNEW]);
    ac_rca_result_fini(&r);
    ac_rca_case_destroy(c);
    ac_rca_lines_destroy(l);
}

static void patterns_have_a_limit(void **state)
{
    (void)state;
    struct ac_rca_lines *l = ac_rca_lines_create();
    struct ac_rca_case *c = ac_rca_case_create();
    for (int i = 0; i < 500; i++) {
        char text[32];
        snprintf(text, sizeof(text), "bad %c%c%c", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676);
        say(l, T0 + i * S, "web", text, 17);
    }
    assert_int_equal(ac_rca_lines_build(l, c, 0, NULL), 0);
    assert_int_equal(c->nmetrics, AC_RCA_PATTERNS_A_COMPONENT + 1);
    assert_string_equal(c->metrics[AC_RCA_PATTERNS_A_COMPONENT].name, "log \"...\"");
    double sum = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        for (size_t k = 0; k < c->metrics[i].n; k++)
            sum += c->metrics[i].v[k];
    assert_in_range((int)sum, 490, 500); /* the last bin is covered when its middle is */
    ac_rca_case_destroy(c);
    ac_rca_lines_destroy(l);
}

static void what_was_not_recorded_is_not_zero(void **state)
{
    (void)state;
    struct ac_rca_lines *l = ac_rca_lines_create();
    struct ac_rca_case *c = ac_rca_case_create();
    for (int part = 0; part < 2; part++) {
        for (int t = 0; t <= 300; t++)
            say(l, T0 + (part * 3000 + t) * S, "web", t % 60 ? "fine" : "it failed",
                t % 60 ? 9 : 17);
        ac_rca_lines_end(l);
    }
    assert_int_equal(ac_rca_lines_build(l, c, T0 + 3000 * S, NULL), 0);
    assert_int_equal(c->nmetrics, 1);
    for (size_t i = 0; i < c->metrics[0].n; i++) {
        int64_t t = (c->metrics[0].t_ns[i] - T0) / S;
        assert_true(t <= 300 || t >= 3000);
    }
    assert_int_equal(c->metrics[0].n, 60);
    ac_rca_case_destroy(c);
    ac_rca_lines_destroy(l);
}

static void words_of_a_minute_are_one_event(void **state)
{
    (void)state;
    struct ac_rca_lines *l = ac_rca_lines_create();
    struct ac_rca_case *c = ac_rca_case_create();
    for (int t = 0; t < 150; t++)
        say(l, T0 + (149 - t) * S, "web", "dial shop-db: connection refused",
            17); /* newest first */
    say(l, T0, "shop-db", "hello", 17);
    assert_int_equal(ac_rca_lines_build(l, c, T0 + 30 * S, NULL), 0);
    assert_int_equal(c->nevents, 2);
    assert_int_equal(c->events[0].count, 60);
    assert_int_equal(c->events[0].t_ns, T0 + 30 * S);
    assert_int_equal(c->events[0].about, ac_rca_component_find(c, "shop-db"));
    assert_int_equal(c->events[1].count, 60);
    assert_non_null(find(c, "shop-db", NULL, AC_RCA_LOGERR)); /* laid at whom it names */
    ac_rca_case_destroy(c);
    ac_rca_lines_destroy(l);
}

/* The name that is a word counts, wherever it stands. */
static void a_name_within_a_word_is_passed_over(void **state)
{
    (void)state;
    struct ac_rca_lines *l = ac_rca_lines_create();
    struct ac_rca_case *c = ac_rca_case_create();
    say(l, T0, "web", "carts2: lookup in carts failed", 17);
    say(l, T0 + S, "carts", "hello", 17);
    say(l, T0 + 2 * S, "shop", "all carts2 failed", 17);
    assert_int_equal(ac_rca_lines_build(l, c, 0, NULL), 0);
    size_t of_web = 0, of_shop = 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        bool at_carts = c->metrics[i].component == ac_rca_component_find(c, "carts");
        of_web += at_carts && strstr(c->metrics[i].name, "log of web");
        of_shop += at_carts && strstr(c->metrics[i].name, "log of shop");
    }
    assert_int_equal(of_web, 1);
    assert_int_equal(of_shop, 0);
    ac_rca_case_destroy(c);
    ac_rca_lines_destroy(l);
}

/* Whether the words are new cannot be said of a past of less than five bins. */
static void new_words_need_a_past(void **state)
{
    (void)state;
    for (int past = 4; past <= 5; past++) {
        struct ac_rca_case *c = ac_rca_case_create();
        int web = ac_rca_component(c, "web");
        int m = ac_rca_metric_add(c, web, -1, AC_RCA_LOGERR, AC_RCA_MEAN, "log \"x\"");
        for (int t = -past; t < 20; t++)
            ac_rca_metric_push(&c->metrics[m], T0 + t * 10 * S, t >= 0 ? 9 : 0);
        struct ac_rca_params p = ac_rca_params_default(T0, 200 * S);
        struct ac_rca_result r;
        p.keep_time = true;
        assert_int_equal(ac_rca_localise(c, &p, &r, NULL), 0);
        assert_int_equal(r.causes[0].parts[0].kind, past == 5 ? AC_RCA_LOGNEW : AC_RCA_LOGERR);
        ac_rca_result_fini(&r);
        ac_rca_case_destroy(c);
    }
}

static void span(struct ac_rca_spans *s, int64_t t, const char *ids, const char *who,
                 const char *name, int64_t ms, bool failed)
{
    char trace[24], id[2] = {ids[0], 0}, parent[2] = {ids[1], 0};
    snprintf(trace, sizeof(trace), "%lld", (long long)t);
    assert_int_equal(ac_rca_spans_add(s,
                                      &(struct ac_rca_span){.trace = trace,
                                                            .id = id,
                                                            .parent = parent,
                                                            .component = who,
                                                            .name = name,
                                                            .start_ns = t,
                                                            .duration_ns = ms * AC_NS_PER_MS,
                                                            .failed = failed},
                                      NULL),
                     0);
}

static void spans_tell_both_ends_of_a_call(void **state)
{
    (void)state;
    struct ac_rca_spans *s = ac_rca_spans_create();
    struct ac_rca_case *c = ac_rca_case_create();
    int web = ac_rca_component(c, "web");
    int other = ac_rca_metric_add(c, web, -1, AC_RCA_LAT, AC_RCA_MEAN, "lat_of_elsewhere");
    for (int t = 0; t < 600; t++) {
        ac_rca_metric_push(&c->metrics[other], T0 + t * S, 7);
        span(s, T0 + t * S, "cb", "cart", "Do", 10, false); /* children first */
        span(s, T0 + t * S, "ba", "web", "cart.Do", 15, t % 4 == 0);
        span(s, T0 + t * S, "a", "web", "GET", 20, false);
        span(s, T0 + t * S + 1, "x", "web", "GET", 40, t % 2 == 0);
        span(s, T0 + t * S + 2, "y?", "web", "GET", 30, false); /* of an unknown parent */
    }
    assert_int_equal(ac_rca_spans_build(s, c, NULL), 0);
    assert_int_equal(c->nedges, 1);
    assert_string_equal(c->edges[0].evidence, "600 spans");
    assert_int_equal(c->metrics[other].kind, AC_RCA_OTHER); /* gave way */
    const struct ac_rca_metric *lat = find(c, "web", NULL, AC_RCA_LAT);
    assert_float_equal(lat->v[3], .030, 1e-12);
    assert_float_equal(find(c, "web", NULL, AC_RCA_LOAD)->v[3], 3, 1e-12);
    assert_float_equal(find(c, "web", NULL, AC_RCA_ERR)->v[3], 100.0 / 6, 1e-9);
    assert_float_equal(find(c, "cart", NULL, AC_RCA_LAT)->v[3], .010, 1e-12);
    assert_float_equal(find(c, "web", "cart", AC_RCA_CLAT)->v[3], .015, 1e-12);
    assert_float_equal(find(c, "web", "cart", AC_RCA_CLOAD)->v[3], 1, 1e-12);
    assert_in_range((int)find(c, "web", "cart", AC_RCA_CERR)->v[3], 19, 31);
    ac_rca_case_destroy(c);
    ac_rca_spans_destroy(s);
}

/* A handler that calls another service without a span of its own for the call is not the call. */
static void work_is_no_call(void **state)
{
    (void)state;
    struct ac_rca_spans *s = ac_rca_spans_create();
    struct ac_rca_case *c = ac_rca_case_create();
    for (int t = 0; t < 100; t++) {
        span(s, T0 + t * S, "a", "web", "GET", 50, false);
        span(s, T0 + t * S, "ba", "cart", "Do", 10, false);
        span(s, T0 + t * S, "zz", "loop", "own parent", 1, false);
    }
    assert_int_equal(ac_rca_spans_build(s, c, NULL), 0);
    assert_null(find(c, "web", "cart", AC_RCA_CLAT));
    assert_non_null(find(c, "web", "cart", AC_RCA_CLOAD));
    assert_non_null(find(c, "loop", NULL, AC_RCA_LAT));
    ac_rca_case_destroy(c);
    ac_rca_spans_destroy(s);
}

/* Between recordings nothing is known, within them no span is no call; and where spans are few what
 * is measured otherwise stays. */
static void few_spans_replace_nothing(void **state)
{
    (void)state;
    struct ac_rca_spans *s = ac_rca_spans_create();
    struct ac_rca_case *c = ac_rca_case_create();
    int other =
        ac_rca_metric_add(c, ac_rca_component(c, "rare"), -1, AC_RCA_LAT, AC_RCA_MEAN, "measured");
    for (int part = 0; part < 2; part++) {
        for (int t = 0; t <= 300; t++) {
            int64_t at = T0 + (part * 3000 + t) * S;
            ac_rca_metric_push(&c->metrics[other], at, 7);
            span(s, at, "a", "web", "GET", 20, false);
            if (t % 100 == 5)
                span(s, at, "b", "rare", "Do", 10, false);
        }
        ac_rca_spans_end(s);
    }
    assert_int_equal(ac_rca_spans_build(s, c, NULL), 0);
    assert_int_equal(c->metrics[other].kind, AC_RCA_LAT);
    const struct ac_rca_metric *load = find(c, "rare", NULL, AC_RCA_LOAD);
    assert_int_equal(load->n, find(c, "web", NULL, AC_RCA_LOAD)->n);
    size_t none = 0;
    for (size_t i = 0; i < load->n; i++) {
        int64_t t = (load->t_ns[i] - T0) / S;
        assert_true(t <= 300 || t >= 3000);
        none += load->v[i] <= 0.0;
    }
    assert_true(none > load->n / 2);
    ac_rca_case_destroy(c);
    ac_rca_spans_destroy(s);
}

/* What nobody recorded at the other end is known from the caller alone, and counted once. */
static void a_call_that_nobody_answers_is_seen_by_its_caller(void **state)
{
    (void)state;
    struct ac_rca_spans *s = ac_rca_spans_create();
    struct ac_rca_case *c = ac_rca_case_create();
    for (int t = 0; t < 100; t++)
        for (int answered = 0; answered < 2; answered++) {
            struct ac_rca_span x = {.trace = "t",
                                    .component = "web",
                                    .peer = answered ? "cart" : "db",
                                    .kind = AC_RCA_SPAN_CLIENT,
                                    .start_ns = T0 + t * S,
                                    .duration_ns = 5 * AC_NS_PER_MS};
            char id[24], below[24];
            snprintf(id, sizeof(id), "%d.%d", t, answered);
            snprintf(below, sizeof(below), "%d.below", t);
            x.id = id;
            assert_int_equal(ac_rca_spans_add(s, &x, NULL), 0);
            x.id = below;
            x.parent = id;
            x.component = "cart";
            x.peer = NULL;
            x.kind = AC_RCA_SPAN_SERVER;
            if (answered)
                assert_int_equal(ac_rca_spans_add(s, &x, NULL), 0);
        }
    assert_int_equal(ac_rca_spans_build(s, c, NULL), 0);
    assert_float_equal(find(c, "web", "db", AC_RCA_CLOAD)->v[3], 1, 1e-12);
    assert_float_equal(find(c, "web", "cart", AC_RCA_CLOAD)->v[3], 1, 1e-12);
    assert_null(find(c, "web", NULL, AC_RCA_LOAD)); /* it only asks */
    ac_rca_case_destroy(c);
    ac_rca_spans_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_taken_out_of_lines),
        cmocka_unit_test(severities),
        cmocka_unit_test(lines_are_counted_by_pattern),
        cmocka_unit_test(patterns_have_a_limit),
        cmocka_unit_test(what_was_not_recorded_is_not_zero),
        cmocka_unit_test(words_of_a_minute_are_one_event),
        cmocka_unit_test(a_name_within_a_word_is_passed_over),
        cmocka_unit_test(new_words_need_a_past),
        cmocka_unit_test(spans_tell_both_ends_of_a_call),
        cmocka_unit_test(work_is_no_call),
        cmocka_unit_test(few_spans_replace_nothing),
        cmocka_unit_test(a_call_that_nobody_answers_is_seen_by_its_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
