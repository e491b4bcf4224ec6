/* The console's answers from services that are servers of this test. */
#include "console_service.h"

#include <stdio.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/json.h>
#include <aceso/str.h>
#include <aceso/testkit.h>
#include <aceso/v1/detector.pb-c.h>
#include <aceso/v1/incidents.pb-c.h>
#include <aceso/v1/lab.pb-c.h>
#include <aceso/v1/telemetry.pb-c.h>

struct fixture {
    struct ac_svc svc;
    struct console_service console;
    struct ac_http_client *client;
    struct ac_timer *guard;
    json_t *answer;
    int status;
    bool done;
    /* what the services were asked */
    char asked[256];
    uint32_t limit;
};

static struct fixture f;

/* ---- the services ---- */

static void on_query(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__QueryMetricsRequest *q = msg;
    Aceso__V1__QueryMetricsResponse m = ACESO__V1__QUERY_METRICS_RESPONSE__INIT;
    Aceso__V1__SeriesPoints p = ACESO__V1__SERIES_POINTS__INIT, *list[] = {&p};
    Aceso__V1__SeriesKey key = ACESO__V1__SERIES_KEY__INIT;
    int64_t t[] = {1000000, 2000000};
    double v[] = {0.5, 1.5};
    (void)self;
    (void)snprintf(f.asked, sizeof(f.asked), "%s/%s/%s/%s=%s", q->selector->namespace_,
                   q->selector->component, q->selector->metric, q->selector->labels[0]->key,
                   q->selector->labels[0]->value);
    key.component = (char[]){"geo"};
    p.key = &key;
    p.unit = (char[]){"s"};
    p.time_ns = t;
    p.value = v;
    p.n_time_ns = p.n_value = 2;
    m.series = list;
    m.n_series = 1;
    ac_rpc_reply(c, &m);
}

static void on_alerts(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__ListAlertsRequest *q = msg;
    Aceso__V1__ListAlertsResponse m = ACESO__V1__LIST_ALERTS_RESPONSE__INIT;
    Aceso__V1__Alert a = ACESO__V1__ALERT__INIT, *list[] = {&a};
    (void)self;
    (void)snprintf(f.asked, sizeof(f.asked), "%s open=%d since=%lld", q->namespace_, q->open_only,
                   (long long)q->since_ns);
    f.limit = q->limit;
    a.reason = (char[]){"</script>\n\"quoted\" \x01"};
    m.alerts = list;
    m.n_alerts = 1;
    ac_rpc_reply(c, &m);
}

static void on_sessions(struct ac_rpc_call *c, const void *msg, void *self)
{
    const struct ac_err err = {AC_EAGAIN, "too many questions"};
    (void)msg;
    (void)self;
    ac_rpc_fail(c, &err);
}

static void on_get(struct ac_rpc_call *c, const void *msg, void *self)
{
    const Aceso__V1__GetIncidentRequest *q = msg;
    const struct ac_err err = {AC_ENOTFOUND, "no such incident"};
    Aceso__V1__Incident m = ACESO__V1__INCIDENT__INIT;
    (void)self;
    m.summary = q->id;
    if (ac_streq(q->id, "known"))
        ac_rpc_reply(c, &m);
    else
        ac_rpc_fail(c, &err);
}

/* ---- the console ---- */

static void http(struct ac_http_req *r, void *arg)
{
    console_http(r, arg);
}

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("no answer in time");
}

static int setup(void **state)
{
    static const struct ac_rpc_method query[] = {{.name = "QueryMetrics", .handler = on_query}};
    static const struct ac_rpc_method alerts[] = {{.name = "ListAlerts", .handler = on_alerts}};
    static const struct ac_rpc_method lab[] = {{.name = "ListSessions", .handler = on_sessions}};
    static const struct ac_rpc_method inc[] = {{.name = "Get", .handler = on_get}};
    static struct console_conf conf = {.max_watchers = 1};
    const struct ac_rpc_server_opts ro = {.listen = "127.0.0.1:0"};
    const struct ac_http_server_opts ho = {.listen = "127.0.0.1:0"};
    char target[64];
    (void)state;
    static char listen[] = "127.0.0.1:0";
    f = (struct fixture){.svc.conf.http_listen = listen};
    f.svc.loop = ac_loop_create();
    f.svc.metrics = ac_metrics_create();
    f.svc.rpc = ac_rpc_create(f.svc.loop, NULL);
    f.svc.server = ac_rpc_server_create(f.svc.rpc, &ro);
    ac_rpc_server_add(f.svc.server, &aceso__v1__telemetry__descriptor, query, 1, NULL);
    ac_rpc_server_add(f.svc.server, &aceso__v1__detector__descriptor, alerts, 1, NULL);
    ac_rpc_server_add(f.svc.server, &aceso__v1__lab__descriptor, lab, 1, NULL);
    ac_rpc_server_add(f.svc.server, &aceso__v1__incidents__descriptor, inc, 1, NULL);
    assert_int_equal(ac_rpc_server_start(f.svc.server, NULL), AC_OK);
    assert_int_equal(ac_http_server_start(f.svc.loop, NULL, &ho, http, &f.svc, &f.svc.http, NULL),
                     0);
    f.svc.state = &f.console;
    f.console.svc = &f.svc;
    f.console.conf = &conf;
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", ac_rpc_server_port(f.svc.server));
    static const unsigned known[] = {CONSOLE_COLLECTOR, CONSOLE_DETECTOR, CONSOLE_LAB,
                                     CONSOLE_RESPONDER};
    for (size_t i = 0; i < AC_ARRAY_LEN(known); i++)
        f.console.channel[known[i]] = ac_rpc_channel_create(f.svc.rpc, target, NULL);
    f.client = ac_http_client_create(f.svc.loop, 1);
    f.guard = ac_timer_create(f.svc.loop, too_long, NULL);
    ac_timer_start(f.guard, 20 * AC_NS_PER_S, 0);
    return 0;
}

static void stop_loop(void *arg)
{
    ac_loop_stop(arg);
}

static int teardown(void **state)
{
    (void)state;
    ac_timer_destroy(f.guard);
    ac_http_client_destroy(f.client);
    ac_http_server_stop(f.svc.http);
    for (unsigned i = 0; i < CONSOLE_NSERVICES; i++)
        ac_rpc_channel_destroy(f.console.channel[i]);
    ac_rpc_server_shutdown(f.svc.server, 0, stop_loop, f.svc.loop);
    ac_loop_run(f.svc.loop);
    ac_rpc_server_destroy(f.svc.server);
    ac_rpc_destroy(f.svc.rpc);
    ac_loop_destroy(f.svc.loop);
    ac_metrics_destroy(f.svc.metrics);
    json_decref(f.answer);
    return 0;
}

static void got(int code, const struct ac_err *err, const struct ac_http_response *res, void *arg)
{
    (void)err;
    (void)arg;
    assert_int_equal(code, AC_OK);
    json_decref(f.answer);
    f.answer = NULL;
    f.status = res->status;
    if (strstr(res->content_type, "json"))
        assert_int_equal(ac_json_parse("answer", res->body, res->len, &f.answer, NULL), AC_OK);
    ac_loop_stop(f.svc.loop);
}

static void ask(const char *path)
{
    char url[512];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", ac_http_server_port(f.svc.http),
                   path);
    const struct ac_http_call call = {.method = "GET", .url = url};
    assert_int_equal(ac_http_client_call(f.client, &call, got, NULL), AC_OK);
    ac_loop_run(f.svc.loop);
}

static void series_come_as_points(void **state)
{
    (void)state;
    ask("/api/series?namespace=n&component=geo&metric=m&from=1&to=2&label=route:%2Fa%20b");
    assert_int_equal(f.status, 200);
    assert_string_equal(f.asked, "n/geo/m/route=/a b");
    assert_string_equal(ac_json_str(f.answer, "series[0].unit", ""), "s");
    assert_string_equal(ac_json_str(f.answer, "series[0].key.component", ""), "geo");
    assert_int_equal(ac_json_i64(f.answer, "series[0].points[1][0]", 0), 2);
    assert_true(ac_json_f64(f.answer, "series[0].points[1][1]", 0) == 1.5);
    assert_false(ac_json_bool(f.answer, "truncated", true));
}

static void texts_of_peers_are_quoted(void **state)
{
    (void)state;
    ask("/api/alerts?namespace=n&open=1&since=7&limit=9");
    assert_int_equal(f.status, 200);
    assert_string_equal(f.asked, "n open=1 since=7");
    assert_int_equal(f.limit, 9);
    assert_string_equal(ac_json_str(f.answer, "alerts[0].reason", ""),
                        "</script>\n\"quoted\" \x01");
}

static void errors_of_services_keep_their_kind(void **state)
{
    (void)state;
    ask("/api/sessions");
    assert_int_equal(f.status, 429);
    ask("/api/incidents/unknown");
    assert_int_equal(f.status, 404);
    ask("/api/incidents/known");
    assert_int_equal(f.status, 200);
    assert_string_equal(ac_json_str(f.answer, "summary", ""), "known");
    ask("/api/incidents"); /* this responder does not know List */
    assert_int_equal(f.status, 200);
    assert_string_equal(ac_json_str(f.answer, "unavailable.service", ""), "responder");
}

static void a_service_that_is_gone_is_no_error_page(void **state)
{
    char target[64];
    (void)state;
    ac_rpc_channel_destroy(f.console.channel[CONSOLE_LAB]);
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", ac_kit_free_port());
    f.console.channel[CONSOLE_LAB] = ac_rpc_channel_create(f.svc.rpc, target, NULL);
    ask("/api/sessions");
    assert_int_equal(f.status, 200);
    assert_string_equal(ac_json_str(f.answer, "unavailable.service", ""), "lab");
    assert_string_equal(ac_json_str(f.answer, "unavailable.reason", ""), "it does not answer");
    assert_int_equal(json_array_size(ac_json_at(f.answer, "sessions")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(series_come_as_points, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_of_peers_are_quoted, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_of_services_keep_their_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_that_is_gone_is_no_error_page, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
