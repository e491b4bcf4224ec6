/* The console's core: what it accepts from outside, what it says of the services, charts, events.
 */
#include "chart.h"
#include "events.h"
#include "fleet.h"
#include "query.h"
#include "scrape.h"

#include <math.h>
#include <stdio.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>
#include <aceso/testkit.h>

/* ---- requests ---- */

struct pair {
    const char *key, *value;
};

static const char *pair_get(const void *arg, const char *key, unsigned i)
{
    for (const struct pair *p = arg; p->key; p++) {
        if (ac_streq(p->key, key) && i-- == 0)
            return p->value;
    }
    return NULL;
}

#define PARAMS(...)                                                                                \
    (struct console_params)                                                                        \
    {                                                                                              \
        .get = pair_get, .arg = (const struct pair[])                                              \
        {                                                                                          \
            __VA_ARGS__,                                                                           \
            {                                                                                      \
                NULL, NULL                                                                         \
            }                                                                                      \
        }                                                                                          \
    }

static void paths_lead_somewhere_or_nowhere(void **state)
{
    static const struct {
        const char *path;
        enum console_route route;
        const char *rest;
    } cases[] = {
        {"/", CONSOLE_ASSET, "index.html"},
        {"/app.js", CONSOLE_ASSET, "app.js"},
        {"/api/services", CONSOLE_SERVICES, ""},
        {"/api/incidents", CONSOLE_INCIDENTS, ""},
        {"/api/incidents/", CONSOLE_NOT_FOUND, ""},
        {"/api/incidents/a-1", CONSOLE_INCIDENT, "a-1"},
        {"/api/events", CONSOLE_EVENTS, ""},
        {"/api/", CONSOLE_NOT_FOUND, ""},
        {"/api/servicesx", CONSOLE_NOT_FOUND, ""},
        {"", CONSOLE_NOT_FOUND, ""},
        {"*", CONSOLE_NOT_FOUND, ""},
    };
    (void)state;
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        const char *rest;
        assert_int_equal(console_route_of(cases[i].path, &rest), cases[i].route);
        assert_string_equal(rest, cases[i].rest);
    }
}

static void a_rebound_name_is_refused_on_loopback(void **state)
{
    (void)state;
    assert_true(console_host_allowed("127.0.0.1:0", "127.0.0.1:8080"));
    assert_true(console_host_allowed("127.0.0.1:0", "localhost"));
    assert_true(console_host_allowed("[::1]:80", "[::1]:80"));
    assert_true(console_host_allowed("localhost:80", "127.1.2.3:80"));
    assert_false(console_host_allowed("127.0.0.1:0", "evil.example:8080"));
    assert_false(console_host_allowed("127.0.0.1:0", "127.0.0.1.evil.example"));
    assert_false(console_host_allowed("127.0.0.1:0", "localhost.evil.example"));
    assert_false(console_host_allowed("127.0.0.1:0", "[::1"));
    assert_false(console_host_allowed("127.0.0.1:0", ""));
    assert_false(console_host_allowed("127.0.0.1:0", NULL));
    assert_true(console_host_allowed("0.0.0.0:80", "console.example"));
}

static void lists_have_bounds(void **state)
{
    struct console_list_query q;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    struct console_params p = PARAMS({"namespace", "hotel-1"}, {"open", "1"}, {"since", "12"});
    assert_int_equal(console_list_parse(&p, &q, &err), AC_OK);
    assert_string_equal(q.namespace_, "hotel-1");
    assert_true(q.open_only);
    assert_int_equal(q.since_ns, 12);
    assert_int_equal(q.limit, CONSOLE_LIST_LIMIT);
    static const struct pair bad[] = {
        {"limit", "0"},  {"limit", "201"},      {"limit", "1e3"}, {"limit", "-1"},
        {"open", "yes"}, {"namespace", "a\nb"}, {"since", "-1"},  {"namespace", "\xc0\xaf"},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        p = PARAMS(bad[i]);
        assert_int_equal(console_list_parse(&p, &q, &err), AC_EINVAL);
        assert_non_null(strstr(err.msg, bad[i].key));
    }
    assert_int_equal(q.limit, CONSOLE_LIST_LIMIT); /* untouched */
}

static void series_are_asked_for_by_name(void **state)
{
    struct console_series_query q;
    struct ac_err err = AC_ERR_INIT;
    (void)state;
    struct console_params p =
        PARAMS({"namespace", "n"}, {"component", "c"}, {"metric", "m.x"}, {"from", "1000"},
               {"to", "2000"}, {"label", "route:/a:b"}, {"label", "peer:"});
    assert_int_equal(console_series_parse(&p, &q, &err), AC_OK);
    assert_int_equal(q.n_labels, 2);
    assert_string_equal(q.label[0].key, "route");
    assert_string_equal(q.label[0].value, "/a:b");
    assert_string_equal(q.label[1].value, "");
    p = PARAMS({"namespace", "n"}, {"component", "c"}, {"from", "1"}, {"to", "2"});
    assert_int_equal(console_series_parse(&p, &q, &err), AC_EINVAL);
    assert_string_equal(err.msg, "metric: missing");
    p = PARAMS({"namespace", "n"}, {"component", "c"}, {"metric", "m"}, {"from", "5"}, {"to", "5"});
    assert_int_equal(console_series_parse(&p, &q, &err), AC_EINVAL);
    p = PARAMS({"namespace", "n"}, {"component", "c"}, {"metric", "m"}, {"from", "1"},
               {"to", "86400000000002"});
    assert_int_equal(console_series_parse(&p, &q, &err), AC_EINVAL);
    p = PARAMS({"namespace", "n"}, {"component", "c"}, {"metric", "m"}, {"from", "1"}, {"to", "2"},
               {"label", ":v"});
    assert_int_equal(console_series_parse(&p, &q, &err), AC_EINVAL);
    struct pair many[CONSOLE_LABELS_MAX + 7] = {
        {"namespace", "n"}, {"component", "c"}, {"metric", "m"}, {"from", "1"}, {"to", "2"}};
    for (size_t i = 5; i < AC_ARRAY_LEN(many) - 1; i++)
        many[i] = (struct pair){"label", "k:v"};
    p = (struct console_params){.get = pair_get, .arg = many};
    assert_int_equal(console_series_parse(&p, &q, &err), AC_EINVAL);
}

static void ids_are_plain(void **state)
{
    char longest[130];
    (void)state;
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(console_id_check("inc-01H_x.y:z", NULL), AC_OK);
    assert_int_equal(console_id_check(longest + 1, NULL), AC_OK);
    assert_int_equal(console_id_check(longest, NULL), AC_EINVAL);
    assert_int_equal(console_id_check("", NULL), AC_EINVAL);
    assert_int_equal(console_id_check("a b", NULL), AC_EINVAL);
    assert_int_equal(console_id_check("../x", NULL), AC_EINVAL);
}

static void secrets_of_addresses_are_not_shown(void **state)
{
    static const struct pair cases[] = {
        {"nats://127.0.0.1:4222", "127.0.0.1:4222"},
        {"nats://user:p@ss/w@host:4222/x", "host:4222"},
        {"nats://a:b@h1:1,nats://c:d@h2:2", "h2:2"},
        {"host:1?x", "host:1"},
        {"", ""},
    };
    char shown[32];
    (void)state;
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        console_address_show(cases[i].key, shown, sizeof(shown));
        assert_string_equal(shown, cases[i].value);
    }
    console_address_show("nats://a-very-long-name-of-a-host.example:4222", shown, sizeof(shown));
    assert_int_equal(strlen(shown), sizeof(shown) - 1);
}

/* ---- services ---- */

static void states_of_services(void **state)
{
    struct console_fleet f = {0};
    struct ac_buf b;
    (void)state;
    for (unsigned i = 0; i < CONSOLE_NROWS; i++)
        console_fleet_configure(&f, i, "");
    console_fleet_configure(&f, CONSOLE_RCA, "127.0.0.1:1");
    console_fleet_configure(&f, CONSOLE_LAB, "127.0.0.1:2");
    struct console_probe up = {.state = CONSOLE_HEALTHY, .latency_ns = 1500000, .detail = "x"};
    struct console_probe down = {.state = CONSOLE_DOWN, .latency_ns = -1, .detail = "a \"reason\""};
    assert_true(console_fleet_probed(&f, CONSOLE_RCA, &up, 100));
    assert_false(console_fleet_probed(&f, CONSOLE_RCA, &up, 200));
    assert_false(console_fleet_healthy(&f));
    assert_true(console_fleet_probed(&f, CONSOLE_LAB, &up, 200));
    assert_true(console_fleet_healthy(&f));
    assert_true(console_fleet_probed(&f, CONSOLE_LAB, &down, 300));
    assert_false(console_fleet_process(&f, CONSOLE_RCA, 50 * AC_NS_PER_S, "1.2"));
    assert_false(console_fleet_process(&f, CONSOLE_RCA, 50 * AC_NS_PER_S + 5, ""));
    assert_true(console_fleet_process(&f, CONSOLE_RCA, 60 * AC_NS_PER_S, NULL));
    ac_buf_init(&b, 65536);
    console_fleet_json(&f, 400, &b);
    assert_string_equal(
        ac_buf_str(&b),
        "{\"now_ns\":400,\"services\":["
        "{\"name\":\"rca\",\"about\":\"root causes\",\"state\":\"healthy\",\"since_ns\":100,"
        "\"checked_ns\":200,\"latency_ms\":1.500,\"started_ns\":60000000000,\"restarts\":1,"
        "\"version\":\"1.2\",\"address\":\"127.0.0.1:1\",\"detail\":\"\"},"
        "{\"name\":\"lab\",\"about\":\"problems, sessions, scores\",\"state\":\"down\","
        "\"since_ns\":300,\"checked_ns\":300,\"started_ns\":0,\"restarts\":0,\"version\":\"\","
        "\"address\":\"127.0.0.1:2\",\"detail\":\"a \\\"reason\\\"\"}],\"healthy\":1,\"total\":2}");
    ac_buf_fini(&b);
}

static void scrape(const char *text, int64_t started_ns, const char *version)
{
    struct console_scrape got;
    console_scrape_parse(text, strlen(text), &got);
    assert_int_equal(got.started_ns, started_ns);
    assert_string_equal(got.version, version);
}

static void what_metrics_pages_tell(void **state)
{
    (void)state;
    scrape("# HELP x\nprocess_start_time_seconds 1700000000.5\n"
           "aceso_build_info{version=\"0.1.0\"} 1\n",
           1700000000500000000LL, "0.1.0");
    scrape("process_start_time_seconds 12", 12000000000LL, "");
    scrape("process_start_time_seconds_x 12\nprocess_start_time_seconds\n", 0, "");
    scrape("process_start_time_seconds NaN\n", 0, "");
    scrape("process_start_time_seconds 1e300\n", 0, "");
    scrape("process_start_time_seconds -1\n", 0, "");
    scrape("aceso_build_info{version=\"" /* not closed */, 0, "");
    scrape("aceso_build_info{version=\"a-version-that-is-much-too-long-for-a-page\"} 1", 0, "");
    scrape("", 0, "");
}

/* ---- charts ---- */

static void short_series_are_drawn_as_they_are(void **state)
{
    const int64_t t[] = {1000000, 2000000, 3000000, 4000000};
    const double v[] = {1, NAN, -0.5, INFINITY};
    struct ac_buf b;
    (void)state;
    ac_buf_init(&b, 65536);
    console_chart_points(t, 4, v, 4, &b);
    assert_string_equal(ac_buf_str(&b), "[[1,1],[2,null],[3,-0.5],[4,null]]");
    ac_buf_reset(&b);
    console_chart_points(t, 4, v, 1, &b); /* a peer's message that does not match */
    assert_string_equal(ac_buf_str(&b), "[[1,1]]");
    ac_buf_reset(&b);
    console_chart_points(NULL, 0, NULL, 0, &b);
    assert_string_equal(ac_buf_str(&b), "[]");
    ac_buf_fini(&b);
}

/* One point in a hundred thousand is still seen. */
static void long_series_keep_their_spikes(void **state)
{
    enum {
        N = 100000
    };
    int64_t *t = ac_xcalloc(N, sizeof(*t));
    double *v = ac_xcalloc(N, sizeof(*v));
    struct ac_buf b;
    struct ac_rng rng = ac_kit_rng(1);
    (void)state;
    for (int i = 0; i < N; i++)
        t[i] = (int64_t)i * AC_NS_PER_S;
    size_t at = ac_rng_u64(&rng) % N;
    v[at] = 42;
    ac_buf_init(&b, 1u << 20);
    console_chart_points(t, N, v, N, &b);
    char spike[48];
    (void)snprintf(spike, sizeof(spike), "[%zu000,42]", at);
    assert_non_null(strstr(ac_buf_str(&b), spike));
    unsigned points = 0;
    for (const char *p = ac_buf_str(&b); (p = strchr(p, '[')); p++)
        points++;
    assert_in_range(points, CONSOLE_CHART_POINTS / 2, CONSOLE_CHART_POINTS + 1);
    ac_buf_fini(&b);
    free(t);
    free(v);
}

/* ---- events ---- */

static void events_are_framed_and_cut(void **state)
{
    struct ac_buf b;
    struct console_throttle t = {0};
    unsigned sent = 0;
    (void)state;
    ac_buf_init(&b, 1024);
    console_event_frame("alert", "{\"a\":1}", 7, &b);
    assert_string_equal(ac_buf_str(&b), "event: alert\ndata: {\"a\":1}\n\n");
    ac_buf_fini(&b);
    for (int i = 0; i < 3 * CONSOLE_EVENTS_PER_S; i++)
        sent += console_throttle_admit(&t, 5 * AC_NS_PER_S + i);
    assert_int_equal(sent, CONSOLE_EVENTS_PER_S);
    assert_false(console_throttle_recover(&t, 5 * AC_NS_PER_S + 999)); /* it may go on */
    assert_true(console_throttle_recover(&t, 6 * AC_NS_PER_S));
    assert_false(console_throttle_recover(&t, 6 * AC_NS_PER_S));
    assert_true(console_throttle_admit(&t, 6 * AC_NS_PER_S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead_somewhere_or_nowhere),
        cmocka_unit_test(a_rebound_name_is_refused_on_loopback),
        cmocka_unit_test(lists_have_bounds),
        cmocka_unit_test(series_are_asked_for_by_name),
        cmocka_unit_test(ids_are_plain),
        cmocka_unit_test(secrets_of_addresses_are_not_shown),
        cmocka_unit_test(states_of_services),
        cmocka_unit_test(what_metrics_pages_tell),
        cmocka_unit_test(short_series_are_drawn_as_they_are),
        cmocka_unit_test(long_series_keep_their_spikes),
        cmocka_unit_test(events_are_framed_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
