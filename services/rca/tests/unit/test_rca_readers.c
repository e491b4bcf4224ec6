/* Names, CSV, statistics. */
#include "rca_deviate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <aceso/base.h>
#include <aceso/str.h>

#include "readers/rca_api.h"
#include "readers/rca_bif.h"
#include "readers/rca_csv.h"
#include "readers/rca_dataset.h"
#include "readers/rca_nezha.h"
#include "readers/rca_tetrad.h"

static void names_give_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum ac_rca_kind kind;
        enum ac_rca_statistic st;
    } cases[] = {
        {"cpu", AC_RCA_CPU, AC_RCA_MEAN},
        {"mem", AC_RCA_MEM, AC_RCA_MEAN},
        {"lod", AC_RCA_LOAD, AC_RCA_MEAN},
        {"lat_50", AC_RCA_LAT, AC_RCA_P50},
        {"lat_90", AC_RCA_LAT, AC_RCA_P90},
        {"lat_99", AC_RCA_LAT, AC_RCA_P99},
        {"PodClientLatencyP90(s)", AC_RCA_CLAT, AC_RCA_P90},
        {"PodServerLatencyP95(s)", AC_RCA_LAT, AC_RCA_P95},
        {"CpuUsageRate(%)", AC_RCA_CPU, AC_RCA_MEAN},
        {"PodSuccessRate(%)", AC_RCA_ERR, AC_RCA_MEAN},
        {"NetworkReceiveBytes", AC_RCA_NET, AC_RCA_MEAN},
        {"SyscallRead", AC_RCA_IO, AC_RCA_MEAN},
        {"PodWorkload(Ops)", AC_RCA_LOAD, AC_RCA_MEAN},
        {"error_count", AC_RCA_ERR, AC_RCA_MEAN},
        {"something", AC_RCA_OTHER, AC_RCA_MEAN},
    };
    for (size_t i = 0; i < AC_ARRAY_LEN(cases); i++) {
        struct ac_rca_name n = ac_rca_name_parse(cases[i].name);
        assert_int_equal(n.kind, cases[i].kind);
        assert_int_equal(n.statistic, cases[i].st);
    }
    assert_true(ac_rca_name_parse("NodeCpuUsage").drop);
    assert_true(ac_rca_name_parse("availability").bad == AC_RCA_BAD_LOW);
}

static void log_lines_give_classes(void **state)
{
    (void)state;
    assert_int_equal(ac_rca_event_classify("ERROR: permission denied for table geo"),
                     AC_RCA_EVENT_DENIED);
    assert_int_equal(ac_rca_event_classify("call to user: Deadline Exceeded"),
                     AC_RCA_EVENT_TIMEOUT);
    assert_int_equal(ac_rca_event_classify("connect: connection refused"),
                     AC_RCA_EVENT_UNREACHABLE);
    assert_int_equal(ac_rca_event_classify("Unhealthy: readiness probe failed"),
                     AC_RCA_EVENT_UNREADY);
    assert_int_equal(ac_rca_event_classify("listening"), AC_RCA_EVENT_OTHER);
}

static void refuse(const char *text, const char *part)
{
    struct ac_rca_table t;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_rca_table_parse("f.csv", text, strlen(text), &t, &err), AC_EINVAL);
    if (!strstr(err.msg, part))
        print_error("expected %s in: %s\n", part, err.msg);
    assert_non_null(strstr(err.msg, part));
}

static void bad_csv_names_row_and_column(void **state)
{
    (void)state;
    refuse("", "f.csv:1:");
    refuse("a_cpu,b_cpu\n1,2\n", "no column is called time");
    refuse("time\n1\n", "no column besides");
    refuse("time,a_cpu\n", "f.csv:2:");
    refuse("time,a_cpu\n1,x\n", "f.csv:2:2: not a number");
    refuse("time,a_cpu\n1,2\n2\n", "f.csv:3:2:");
    refuse("time,a_cpu\n1,2,3\n", "f.csv:2:3:");
    refuse("time,a_cpu\n5,2\n4,2\n", "f.csv:3:1: time goes backwards");
    refuse("time,a_cpu\nnan,2\n", "f.csv:2:1: not a time");
    refuse("time,a_cpu\n1e30,2\n", "f.csv:2:1: not a time");
}

static void csv_is_read(void **state)
{
    (void)state;
    static const char text[] = "time,a_cpu,b-db_lat_90,b-db_lat_50,a_availability,x_nodecpu\r\n"
                               "100,1,2,3,100,1\n101,,inf,4,99.5,1\n\n102,nan,-2,5,98,1";
    struct ac_rca_table t;
    struct ac_rca_case *c = ac_rca_case_create();
    assert_int_equal(ac_rca_table_parse("f", text, strlen(text), &t, NULL), 0);
    assert_int_equal(t.nrows, 3);
    assert_int_equal(ac_rca_table_add("f", &t, 0, c, NULL), 0);
    ac_rca_case_one_statistic(c);
    assert_int_equal(c->ncomponents, 2);
    assert_int_equal(c->nmetrics, 4);
    assert_int_equal(c->metrics[0].n, 1); /* empty and infinite cells are gaps */
    assert_int_equal(c->metrics[1].n, 2);
    assert_int_equal(c->metrics[1].kind, AC_RCA_LAT);
    assert_int_equal(c->metrics[2].kind, AC_RCA_OTHER); /* one statistic only */
    assert_float_equal(c->metrics[3].v[1], 0.5, 1e-12);
    ac_rca_table_fini(&t);
    ac_rca_case_destroy(c);
}

static void edges_are_read(void **state)
{
    (void)state;
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_err err = AC_ERR_INIT;
    static const char ok[] = "caller,callee\na,b,12 spans\nb,c\n";
    assert_int_equal(ac_rca_edges_parse("g", ok, strlen(ok), c, &err), 0);
    assert_int_equal(c->nedges, 2);
    assert_string_equal(c->edges[0].evidence, "12 spans");
    assert_int_equal(ac_rca_edges_parse("g", "a,a\n", 4, c, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "g:1:2: a calls itself"));
    assert_int_equal(ac_rca_edges_parse("g", "a\n", 2, c, &err), AC_EINVAL);
    assert_string_equal(c->edges[0].where, "g:2");
    assert_int_equal(ac_rca_edge_add(c, 0, 1, "13 spans"), 0); /* the first evidence stays */
    assert_int_equal(c->nedges, 2);
    assert_string_equal(c->edges[0].evidence, "12 spans");
    assert_int_equal(ac_rca_edge_add(c, 1, 2, "later"), 0); /* one that had none gets it */
    assert_string_equal(c->edges[1].evidence, "later");
    static const struct {
        const char *text, *place;
    } others[] = {{"time,web_cpu\n1700000000,2.5\n", "g:2:1: "},
                  {"{\"resourceSpans\":[],\"x\":1}\n", "g:1:1: "},
                  {"a,\n", "g:1:2: "}};
    for (size_t i = 0; i < AC_ARRAY_LEN(others); i++) {
        assert_int_equal(ac_rca_edges_parse("g", others[i].text, strlen(others[i].text), c, &err),
                         AC_EINVAL);
        assert_non_null(strstr(err.msg, others[i].place));
        assert_non_null(strstr(err.msg, "is no component's name"));
    }
    ac_rca_case_destroy(c);
}

static void tables_with_rows_of_header_are_read(void **state)
{
    (void)state;
    static const char text[] = "microservice,web,web,\"db::Table, x\"\n"
                               "metric,latency,requests,availability\n"
                               "statistic,Average,Sum,Average\n"
                               "unix_timestamp,,,\n"
                               "1000.0,0.1,50,100\n"
                               "1300.0,0.2,,99\n";
    struct ac_rca_table t;
    struct ac_rca_case *c = ac_rca_case_create();
    assert_int_equal(ac_rca_table_parse("f", text, strlen(text), &t, NULL), 0);
    assert_int_equal(ac_rca_table_add("f", &t, 0, c, NULL), 0);
    assert_string_equal(c->components[1], "db::Table, x");
    assert_int_equal(c->metrics[0].kind, AC_RCA_LAT);
    assert_int_equal(c->metrics[1].kind, AC_RCA_LOAD);
    assert_int_equal(c->metrics[1].n, 1);
    assert_float_equal(c->metrics[2].v[1], 1.0, 0); /* availability becomes failures */
    ac_rca_table_fini(&t);
    static const char matrix[] = ",web,x\nweb,1,1.0\nx,0,0\n";
    assert_int_equal(ac_rca_adjacency_parse("g", matrix, strlen(matrix), c, NULL), 0);
    assert_int_equal(c->nedges, 1); /* a self-call is none */
    assert_string_equal(c->edges[0].where, "g:2");
    ac_rca_case_destroy(c);
    refuse("microservice,a\nmetric,x\n", "f.csv:2:1: expected the row statistic");
    refuse("microservice,a\nmetric\n", "f.csv:2:1: 1 cells, the row above has 2");
}

static void pods_and_edge_latencies_are_read(void **state)
{
    (void)state;
    static const char pod[] =
        "Time,TimeStamp,PodName,CpuUsage(m),PodServerLatencyP90(s),PodSuccessRate(%),"
        "NodeCpuUsageRate(%)\n"
        "2022-08-22 03:51:19.5 +0000 UTC m=+0.1,1861140279,cart-db-57-wc2,1.5,0.01,99,7\n"
        "2022-08-22 03:52:19.5 +0000 UTC m=+60.1,1861140339,cart-db-57-wc2,1.6,NaN,100,7\n";
    static const char entry[] = "Time,TimeStamp,ServiceName,SuccessRate(%),LatencyP50(s)\n"
                                "2022-08-22 03:51:19,1,Web,98,1\n";
    static const char source[] = "time,timestamp,web_cart,cart_db\n"
                                 "2022-08-22 03:51:20 +0000 UTC m=+0.5,1661140280,0.3,0.1\n"
                                 "2022-08-22 03:52:20 +0000 UTC m=+60.5,1661140339,0.4,NaN\n";
    static const char destination[] = "time,timestamp,cart_db,web_cart\n"
                                      "2022-08-22 03:51:10,1,0.1,0.25\n"
                                      "2022-08-22 03:53:10,1,0.1,0.25\n";
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_table a, b;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_rca_nezha_parse("p", pod, strlen(pod), 0, c, NULL), 0);
    assert_string_equal(c->components[0], "cart-db");
    assert_int_equal(c->nmetrics, 3); /* the node's are left out */
    assert_int_equal(c->metrics[1].n, 1);
    assert_int_equal(c->metrics[0].t_ns[0], INT64_C(1661140279500000000)); /* not the TimeStamp */
    assert_int_equal(ac_rca_nezha_parse("e", entry, strlen(entry), 0, c, NULL), 0);
    assert_int_equal(c->nmetrics, 4);
    assert_int_equal(c->metrics[3].kind, AC_RCA_SLI);
    assert_float_equal(c->metrics[3].v[0], 2.0, 0);
    assert_int_equal(ac_rca_nezha_edges_parse("s", source, strlen(source), &a, NULL), 0);
    assert_int_equal(ac_rca_nezha_edges_parse("d", destination, strlen(destination), &b, NULL), 0);
    assert_int_equal(ac_rca_nezha_gaps(&a, &b, 0, c, NULL), 0);
    assert_int_equal(c->metrics[4].kind, AC_RCA_GAP);
    assert_int_equal(c->metrics[4].component, ac_rca_component_find(c, "cart"));
    assert_int_equal(c->metrics[4].n, 1); /* the second minute is seen from one end only */
    assert_float_equal(c->metrics[4].v[0], 0.05, 1e-12);
    ac_rca_table_fini(&a);
    ac_rca_table_fini(&b);
    assert_int_equal(
        ac_rca_nezha_parse("p", "Time,PodName,x\n2022-08-22 03:51:19,a-b-c,y\n", 48, 0, c, &err),
        AC_EINVAL);
    assert_string_equal(err.msg, "p:2:3: not a number: 'y'");
    ac_rca_case_destroy(c);
}

#define RAIN                                                                                       \
    "network n { }\nvariable rain { type discrete [ 2 ] { yes, no }; }\n"                          \
    "variable wet { type discrete [ 2 ] { wet, dry }; }\nprobability ( rain ) { table 0.25, "      \
    "0.75; }\n"

static void networks_are_read_and_sampled(void **state)
{
    (void)state;
    static const char text[] =
        RAIN "probability ( wet | rain ) { (yes) 0.8, 0.2; (no) 0.0, 1.0; }\n";
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"", "f: no variable"},
        {RAIN, "f: the table of wet is not whole"},
        {RAIN "probability ( wet | rain ) { (maybe) 1, 0; }", "f:5: expected a state of a parent"},
        {RAIN "probability ( wet | rain ) { (yes) 0.8, 0.3; }", "f:5: expected probabilities"},
        {RAIN "probability ( wet | rain ) { (yes) 0.8, 0.2; }", "f: the table of wet is not whole"},
        {RAIN "probability ( wet | sun ) { }", "f:5: expected a parent, not 'sun'"},
        {"variable a { type discrete [ 1 ] { x }; }\nvariable b { type discrete [ 1 ] { x }; }\n"
         "probability ( a | b ) { (x) 1; }\nprobability ( b | a ) { (x) 1; }",
         "f: the network has a cycle"},
    };
    struct ac_rca_bif b;
    struct ac_rca_matrix m;
    struct ac_rng r;
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        struct ac_err err = AC_ERR_INIT;
        assert_int_equal(ac_rca_bif_parse("f", bad[i].text, strlen(bad[i].text), &b, &err),
                         AC_EINVAL);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("expected %s in: %s", bad[i].msg, err.msg);
    }
    assert_int_equal(ac_rca_bif_parse("f", text, strlen(text), &b, NULL), 0);
    ac_rng_seed(&r, 1);
    assert_int_equal(ac_rca_bif_sample(&b, 4000, &r, &m, NULL), 0);
    double rain = 0, wet = 0;
    for (size_t i = 0; i < m.n; i++) {
        rain += m.x[i] == 0;
        wet += m.x[m.n + i] == 0;
        assert_false(m.x[i] == 1 && m.x[m.n + i] == 0); /* dry days stay dry */
    }
    assert_float_equal(rain / 4000, 0.25, 0.03);
    assert_float_equal(wet / rain, 0.8, 0.05);
    struct ac_rca_pdag g;
    ac_rca_pdag_init(&g, 2);
    ac_rca_bif_dag(&b, &g);
    assert_true(ac_rca_directed(&g, 0, 1));
    ac_rca_pdag_fini(&g);
    ac_rca_matrix_fini(&m);
    ac_rca_bif_fini(&b);
}

static void tetrad_graphs_are_read(void **state)
{
    (void)state;
    static const char text[] = "\nGraph Nodes:\nA;B;C\n\nGraph Edges:\n1. A o-> B\n2. B <-> C\n";
    struct ac_rca_tetrad t;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(ac_rca_tetrad_parse("f", text, strlen(text), &t, &err), 0);
    assert_int_equal(t.g.p, 3);
    assert_int_equal(ac_rca_at(&t.g, 0, 1), AC_RCA_ARROW);
    assert_int_equal(ac_rca_at(&t.g, 1, 0), AC_RCA_CIRCLE);
    assert_int_equal(ac_rca_at(&t.g, 2, 1), AC_RCA_ARROW);
    ac_rca_tetrad_fini(&t);
    static const char *const bad[] = {"", "Graph Edges:\n1. A o-> B\n", "Graph Nodes:\nA;;B\n",
                                      "Graph Nodes:\nA;B\nGraph Edges:\n1. A x-> B\n",
                                      "Graph Nodes:\nA;B\nGraph Edges:\n1. A --> A\n"};
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        if (i == 1) { /* edges before nodes are nobody's: no graph then */
            assert_int_equal(ac_rca_tetrad_parse("f", bad[i], strlen(bad[i]), &t, &err), AC_EINVAL);
            assert_string_equal(err.msg, "f: no graph: expected Graph Nodes and Graph Edges");
        }
        assert_int_equal(ac_rca_tetrad_parse("f", bad[i], strlen(bad[i]), &t, NULL), AC_EINVAL);
    }
}

static void statistics_are_right(void **state)
{
    (void)state;
    double s[18];
    double spike[] = {0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_float_equal(ac_rca_sustained_peak(spike, 12, s), 50, 0); /* two neighbours */
    double step[18];
    for (int i = 0; i < 18; i++)
        step[i] = i >= 9 ? 7 : 1;
    assert_float_equal(ac_rca_sustained_peak(step, 18, s), 7, 0);
    assert_float_equal(ac_rca_sustained_peak(step, 0, s), 0, 0);
}

static void scores_count(void **state)
{
    (void)state;
    struct ac_rca_score s = {0};
    ac_rca_score_add(&s, 1);
    ac_rca_score_add(&s, 3);
    ac_rca_score_add(&s, 0);
    assert_float_equal(ac_rca_ac(&s, 1), 1.0 / 3, 1e-12);
    assert_float_equal(ac_rca_ac(&s, 3), 2.0 / 3, 1e-12);
    assert_float_equal(ac_rca_avg5(&s), (1.0 / 3 * 2 + 2.0 / 3 * 3) / 5, 1e-12);
}

struct seen_services {
    char names[4][32], comments[4][80];
    int lines[4];
    size_t n;
};

static int see_service(const char *service, int line, const char *comment, void *arg)
{
    struct seen_services *s = arg;
    assert_true(s->n < 4);
    ac_str_copy(s->names[s->n], sizeof(s->names[0]), service);
    ac_str_copy(s->comments[s->n], sizeof(s->comments[0]), comment);
    s->lines[s->n++] = line;
    return s->n == 4 ? AC_ERANGE : 0;
}

static int proto(const char *text, struct seen_services *s, struct ac_err *err)
{
    memset(s, 0, sizeof(*s));
    return ac_rca_proto_services("x.proto", text, strlen(text), see_service, s, err);
}

static void services_of_a_protobuf_file(void **state)
{
    (void)state;
    struct seen_services s;
    struct ac_err err = AC_ERR_INIT;
    assert_int_equal(
        proto("syntax = \"proto3\"; // service Not {\n"
              "/* Keeps carts.\n * Calls stock. */\n"
              "service Cart { rpc Get(A) returns (B) { option x = \"} service No {\"; } }\n"
              "message service { string service = 1; }\n"
              "service  shop.Stock{}",
              &s, &err),
        0);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.names[0], "Cart");
    assert_string_equal(s.comments[0], "Keeps carts. Calls stock. ");
    assert_int_equal(s.lines[0], 4);
    assert_string_equal(s.names[1], "shop.Stock");
    assert_string_equal(s.comments[1], "");
    static const char *const bad[] = {"service {", "service A {", "}", "/* x",
                                      "option a = \"x\n\";"};
    for (size_t i = 0; i < AC_ARRAY_LEN(bad); i++) {
        assert_int_equal(proto(bad[i], &s, &err), AC_EINVAL);
        assert_true(strncmp(err.msg, "x.proto:1: ", 11) == 0);
    }
    assert_int_equal(proto("service A{}service B{}service C{}service D{}", &s, &err), AC_ERANGE);
    char plain[8];
    ac_rca_plain_name("shop.v1.Cart-Service", plain, sizeof(plain));
    assert_string_equal(plain, "cartser");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_of_a_protobuf_file),
        cmocka_unit_test(names_give_kinds),
        cmocka_unit_test(log_lines_give_classes),
        cmocka_unit_test(bad_csv_names_row_and_column),
        cmocka_unit_test(csv_is_read),
        cmocka_unit_test(edges_are_read),
        cmocka_unit_test(tables_with_rows_of_header_are_read),
        cmocka_unit_test(pods_and_edge_latencies_are_read),
        cmocka_unit_test(networks_are_read_and_sampled),
        cmocka_unit_test(tetrad_graphs_are_read),
        cmocka_unit_test(statistics_are_right),
        cmocka_unit_test(scores_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
