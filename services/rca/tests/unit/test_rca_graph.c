/* The causal graph: confidence, cycles, hidden nodes, versions, typed edges, validation, writing.
 */
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

#include "graph/rca_feedback.h"
#include "graph/rca_graph.h"
#include "graph/rca_graph_write.h"
#include "graph/rca_library.h"
#include "graph/rca_validate.h"

static int cause(struct ac_rca_graph *g, const char *from, const char *to, double confidence)
{
    int a = ac_rca_graph_node(g, from, AC_RCA_LAT), b = ac_rca_graph_node(g, to, AC_RCA_LAT);
    int e = ac_rca_graph_edge(g, a, b, AC_RCA_CAUSES, confidence, from);
    assert_true(e >= 0);
    return e;
}

static const struct ac_rca_gedge *edge(const struct ac_rca_graph *g, const char *from,
                                       const char *to, enum ac_rca_edge_kind kind)
{
    int a = ac_rca_graph_find(g, from), b = ac_rca_graph_find(g, to);
    int e = a < 0 || b < 0 ? -1 : ac_rca_graph_edge_find(g, a, b, kind);
    return e < 0 ? NULL : &g->edges[e];
}

static void evidence_adds_up(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int a = ac_rca_graph_node(g, "a", AC_RCA_OTHER), b = ac_rca_graph_node(g, "b", AC_RCA_OTHER);
    assert_int_equal(ac_rca_graph_node(g, "a", AC_RCA_OTHER), a);
    int e = ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.6, "f:1");
    assert_int_equal(ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.5, "f:2"), e);
    assert_float_equal(g->edges[e].confidence, 0.8, 1e-12);
    assert_int_equal(ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.5, "f:2"), e);
    assert_float_equal(g->edges[e].confidence, 0.8, 1e-12); /* the same words prove no more */
    assert_int_equal(g->edges[e].nevidence, 2);
    assert_int_equal(ac_rca_graph_edge(g, a, a, AC_RCA_CALLS, 0.5, ""), AC_EINVAL);
    ac_rca_graph_edge_remove(g, (size_t)e);
    assert_int_equal(ac_rca_graph_edge_find(g, a, b, AC_RCA_CALLS), -1);
    ac_rca_graph_destroy(g);
    ac_rca_graph_destroy(NULL);
}

static void cycles_lose_their_weakest_edge(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    cause(g, "a", "b", 0.9);
    cause(g, "b", "c", 0.8);
    cause(g, "c", "a", 0.5);
    cause(g, "c", "b", 0.7);
    cause(g, "c", "d", 0.1); /* in no cycle */
    assert_int_equal(ac_rca_graph_break_cycles(g, NULL, NULL), 2);
    assert_null(edge(g, "c.lat", "a.lat", AC_RCA_CAUSES));
    assert_null(edge(g, "c.lat", "b.lat", AC_RCA_CAUSES));
    assert_non_null(edge(g, "c.lat", "d.lat", AC_RCA_CAUSES));
    g->edges[cause(g, "c", "a", 0.9)].lag_s = 5; /* over time it is no contradiction */
    assert_int_equal(ac_rca_graph_break_cycles(g, NULL, NULL), 0);
    g->edges[cause(g, "d", "a", 0.95)].state = AC_RCA_UNTESTED;
    g->edges[ac_rca_graph_edge_find(g, ac_rca_graph_find(g, "a.lat"), ac_rca_graph_find(g, "b.lat"),
                                    AC_RCA_CAUSES)]
        .state = AC_RCA_CONTRADICTED;
    assert_int_equal(ac_rca_graph_break_cycles(g, NULL, NULL), 1);
    assert_null(edge(g, "a.lat", "b.lat", AC_RCA_CAUSES)); /* contradicted ones go first */
    ac_rca_graph_destroy(g);
}

static void hidden_nodes_are_taken_out(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    cause(g, "a", "h", 0.8);
    cause(g, "h", "b", 0.5);
    cause(g, "h", "c", 0.5);
    ac_rca_graph_marginalise(g, ac_rca_graph_find(g, "h.lat"));
    assert_float_equal(edge(g, "a.lat", "b.lat", AC_RCA_CAUSES)->confidence, 0.4, 1e-12);
    assert_non_null(edge(g, "a.lat", "c.lat", AC_RCA_CAUSES));
    assert_non_null(edge(g, "c.lat", "b.lat", AC_RCA_CONFOUNDED)); /* has no direction */
    assert_int_equal(g->nedges, 3);
    assert_true(g->nodes[ac_rca_graph_find(g, "h.lat")].hidden);
    ac_rca_graph_destroy(g);
}

static void count_change(enum ac_rca_change c, const struct ac_rca_graph *old, int at_old,
                         const struct ac_rca_graph *new, int at_new, void *arg)
{
    (void)old;
    (void)new;
    assert_true(at_old >= 0 || at_new >= 0);
    ((int *)arg)[c]++;
}

static void versions_differ_by_edges_and_states(void **state)
{
    (void)state;
    struct ac_rca_graph *a = ac_rca_graph_create(), *b = ac_rca_graph_create();
    cause(a, "x", "y", 0.5);
    cause(a, "x", "gone", 0.5);
    cause(b, "new", "y", 0.5);
    b->edges[cause(b, "x", "y", 0.5)].state = AC_RCA_SUPPORTED;
    int n[6] = {0};
    ac_rca_graph_diff(a, b, count_change, n);
    assert_int_equal(n[AC_RCA_NODE_ADDED], 1);
    assert_int_equal(n[AC_RCA_NODE_REMOVED], 1);
    assert_int_equal(n[AC_RCA_EDGE_ADDED], 1);
    assert_int_equal(n[AC_RCA_EDGE_REMOVED], 1);
    assert_int_equal(n[AC_RCA_EDGE_CHANGED], 1);
    assert_int_equal(n[AC_RCA_NODE_CHANGED], 0);
    for (int what = 0; what < 4; what++) { /* one more difference each time */
        struct ac_rca_gnode *y = &b->nodes[ac_rca_graph_find(b, "y.lat")];
        if (what == 0)
            ac_rca_graph_tell(y, "ms", AC_RCA_BAD_HIGH);
        else if (what == 1)
            ac_rca_graph_tell(y, "s", AC_RCA_BAD_BOTH);
        else
            y->bad = AC_RCA_BAD_HIGH, y->hidden = what == 2;
        memset(n, 0, sizeof(n));
        ac_rca_graph_diff(a, b, count_change, n);
        assert_int_equal(n[AC_RCA_NODE_CHANGED], what < 3);
    }
    int e = cause(a, "x", "y", 0.0);
    a->edges[e].state = AC_RCA_SUPPORTED;
    a->edges[e].lag_s = 2; /* the same, but later */
    memset(n, 0, sizeof(n));
    ac_rca_graph_diff(a, b, count_change, n);
    assert_int_equal(n[AC_RCA_EDGE_CHANGED], 1);
    ac_rca_graph_destroy(a);
    ac_rca_graph_destroy(b);
}

static void answered_incidents_move_the_confidence(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    struct ac_err err = AC_ERR_INIT;
    int db = ac_rca_graph_node(g, "db", AC_RCA_OTHER),
        web = ac_rca_graph_node(g, "web", AC_RCA_OTHER);
    int lat = ac_rca_graph_node(g, "db", AC_RCA_LAT), mid = ac_rca_graph_node(g, "web", AC_RCA_LAT),
        cpu = ac_rca_graph_node(g, "web", AC_RCA_CPU),
        err_ = ac_rca_graph_node(g, "db", AC_RCA_ERR);
    int calls = ac_rca_graph_edge(g, web, db, AC_RCA_CALLS, 0.5, "l");
    int a = ac_rca_graph_edge(g, lat, mid, AC_RCA_CAUSES, 0.5, "l");
    int b = ac_rca_graph_edge(g, mid, cpu, AC_RCA_CAUSES, 0.5, "l");
    int other = ac_rca_graph_edge(g, mid, err_, AC_RCA_CAUSES, 0.5, "l"); /* the other way */
    size_t n = 0;
    const int services[] = {db, web}, measures[] = {lat, mid, cpu}, gap[] = {lat, cpu};
    struct ac_rca_feedback f = {"i-1", 1, services, 2, true};
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
        assert_int_equal(n, twice ? 0 : 2); /* one incident counts once */
    }
    double up = 1.0 / (1.0 + exp(-1.0));
    assert_float_equal(g->edges[calls].confidence, up, 1e-9);
    assert_float_equal(g->edges[a].confidence, up, 1e-9);
    assert_float_equal(g->edges[b].confidence, 0.5, 1e-9);
    assert_float_equal(g->edges[other].confidence, 0.5, 1e-9);
    assert_string_equal(
        g->edges[a].evidence[1],
        "incident 0000000000000001 +1.0000: i-1: the path db ... web was confirmed");
    f = (struct ac_rca_feedback){"i-2", 2, measures, 3, false}; /* one of two steps was wrong */
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_float_equal(g->edges[a].confidence, 1.0 / (1.0 + exp(-0.5)), 1e-9);
    assert_float_equal(g->edges[b].confidence, 1.0 / (1.0 + exp(0.5)), 1e-9);
    f = (struct ac_rca_feedback){"i-3", 3, gap, 2, true};
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, &err), AC_EINVAL);
    assert_non_null(strstr(err.msg, "drives web.cpu from db.lat"));
    f.n = 1;
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), AC_EINVAL);
    for (int i = 0; i < 40; i++) { /* more than an edge can remember */
        char name[16];
        (void)snprintf(name, sizeof(name), "j-%d", i);
        f = (struct ac_rca_feedback){name, 100 + (uint64_t)i, services, 2, i < 20};
        assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
        assert_int_equal(n, 2);
    }
    assert_int_equal(g->edges[a].nevidence, AC_RCA_MAX_EVIDENCE);
    assert_string_equal(g->edges[a].evidence[0], "l");
    assert_float_equal(g->edges[a].confidence, 0.01, 1e-9);
    ac_rca_graph_destroy(g);
}

/* A verdict that is corrected is undone first, on whatever path it was, also at the limit of
 * confidence. */
static void a_later_verdict_replaces_the_first(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int a = ac_rca_graph_node(g, "a", AC_RCA_OTHER), b = ac_rca_graph_node(g, "b", AC_RCA_OTHER),
        c = ac_rca_graph_node(g, "c", AC_RCA_OTHER);
    int ab = ac_rca_graph_edge(g, b, a, AC_RCA_CALLS, 0.985, "l"),
        bc = ac_rca_graph_edge(g, c, b, AC_RCA_CALLS, 0.5, "l");
    const int one[] = {a, b}, two[] = {b, c}, both[] = {a, b, c};
    const char *names[] = {"checkout is slow"};
    uint64_t id = ac_rca_incident_id(names, 1, 5), later = ac_rca_incident_id(names, 1, 6);
    size_t n;
    assert_true(id != later);
    const char *parts[] = {"checkout", " is slow"};
    assert_true(id != ac_rca_incident_id(parts, 2, 5));
    struct ac_rca_feedback f = {"x", id, one, 2, true};
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_float_equal(g->edges[ab].confidence, 0.99, 1e-9); /* no further */
    f.path = two;                                            /* it was elsewhere */
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_float_equal(g->edges[ab].confidence, 0.985, 1e-5);
    assert_int_equal(g->edges[ab].nevidence, 1);
    assert_float_equal(g->edges[bc].confidence, 1.0 / (1.0 + exp(-1.0)), 1e-9);
    f = (struct ac_rca_feedback){"x", later, both, 3, false}; /* another of that name */
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    f = (struct ac_rca_feedback){"renamed", id, two, 2, false}; /* and it was not */
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(g->edges[bc].nevidence, 3);
    assert_float_equal(g->edges[bc].confidence, 1.0 / (1.0 + exp(1.5)), 1e-4);
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_int_equal(n, 0);
    ac_rca_graph_destroy(g);
}

/* Between the same ends by way of others the steps bear other shares; and what was cut within a
 * character is the same verdict when it is read back. */
static void a_path_of_more_steps_is_another_verdict(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int n[4];
    for (int i = 0; i < 4; i++)
        n[i] = ac_rca_graph_node(g, (const char *[]){"a", "b", "c", "d"}[i], AC_RCA_OTHER);
    int ab = ac_rca_graph_edge(g, n[1], n[0], AC_RCA_CALLS, 0.5, "l");
    for (int i = 1; i < 3; i++)
        (void)ac_rca_graph_edge(g, n[i + 1], n[i], AC_RCA_CALLS, 0.5, "l");
    (void)ac_rca_graph_edge(g, n[3], n[1], AC_RCA_CALLS, 0.5, "l");
    const int brief[] = {n[0], n[1], n[3]}, further[] = {n[0], n[1], n[2], n[3]};
    char name[128] = "";
    size_t changed;
    memset(name, 'x', 99);
    memcpy(name + 99, "\xc3\xa4", 2);
    struct ac_rca_feedback f = {name, 7, brief, 3, false};
    assert_int_equal(ac_rca_graph_feedback(g, &f, &changed, NULL), 0);
    assert_float_equal(g->edges[ab].confidence, 1.0 / (1.0 + exp(1.0 / 2)), 1e-9);
    assert_true(ac_utf8_valid(g->edges[ab].evidence[1]));
    f.path = further;
    f.n = 4;
    assert_int_equal(ac_rca_graph_feedback(g, &f, &changed, NULL), 0);
    assert_int_equal(changed, 4);
    assert_float_equal(g->edges[ab].confidence, 1.0 / (1.0 + exp(1.0 / 3)), 1e-4);
    assert_int_equal(ac_rca_graph_feedback(g, &f, &changed, NULL), 0);
    assert_int_equal(changed, 0);
    ac_rca_graph_destroy(g);
}

/* What a file says that an incident added is taken back only where an incident can add so much. */
static void no_file_makes_an_undo_larger_than_a_verdict(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int a = ac_rca_graph_node(g, "a", AC_RCA_OTHER), b = ac_rca_graph_node(g, "b", AC_RCA_OTHER);
    int ab = ac_rca_graph_edge(g, b, a, AC_RCA_CALLS, 0.5, "incident 0000000000000007 -99: x");
    const int path[] = {a, b};
    struct ac_rca_feedback f = {"x", 7, path, 2, true};
    size_t n;
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(g->edges[ab].nevidence, 1);
    assert_float_equal(g->edges[ab].confidence, 1.0 / (1.0 + exp(-1.0)), 1e-9);
    ac_rca_graph_destroy(g);
}

/* Nothing is learnt of an incident that finds no room to be remembered: it would count twice. */
static void documents_leave_no_room(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int a = ac_rca_graph_node(g, "web", AC_RCA_OTHER), b = ac_rca_graph_node(g, "db", AC_RCA_OTHER);
    int calls = -1;
    for (int i = 0; i < AC_RCA_MAX_EVIDENCE; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "deploy.yaml:%d: db", i);
        calls = ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.5, line);
    }
    double before = g->edges[calls].confidence;
    const int path[] = {b, a};
    struct ac_rca_feedback f = {"i-1", 1, path, 2, true};
    size_t n = 9;
    assert_int_equal(ac_rca_graph_feedback(g, &f, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_float_equal(g->edges[calls].confidence, before, 0);
    ac_rca_graph_destroy(g);
}

static void library_is_put_on_calls(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    int a = ac_rca_graph_node(g, "web", AC_RCA_OTHER), b = ac_rca_graph_node(g, "db", AC_RCA_OTHER);
    ac_rca_graph_node(g, "db", AC_RCA_LAT);
    ac_rca_graph_node(g, "db", AC_RCA_IO);
    assert_true(ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.5, "deploy.yaml:3: db:5432") >= 0);
    assert_int_equal(ac_rca_library_apply(g, NULL), 0);
    const struct ac_rca_gedge *e = edge(g, "db.lat", "web.lat", AC_RCA_CAUSES);
    assert_non_null(e);
    assert_int_equal(e->sign, 1);
    assert_float_equal(e->confidence, 0.45, 1e-12); /* as sure as the call */
    assert_string_equal(e->evidence[1], "deploy.yaml:3: db:5432");
    assert_non_null(edge(g, "db.io", "db.lat", AC_RCA_CAUSES));
    assert_non_null(edge(g, "web.load", "web.cpu", AC_RCA_CAUSES)); /* nothing was measured there */
    assert_null(edge(g, "web.load", "db.load", AC_RCA_CAUSES));     /* the store's rate is not */
    assert_int_equal(ac_rca_graph_break_cycles(g, NULL, NULL), 0);
    ac_rca_graph_destroy(g);
}

#define N 600

static void put_metric(struct ac_rca_case *c, const char *component, enum ac_rca_kind kind,
                       const double *v)
{
    int m = ac_rca_metric_add(c, ac_rca_component(c, component), -1, kind, AC_RCA_MEAN, "m");
    for (int64_t i = 0; i < N; i++)
        ac_rca_metric_push(&c->metrics[m], (1700000000 + i) * AC_NS_PER_S, v[i]);
}

/* db.lat drives web.lat two seconds later; web.cpu drives it, too, after one, which no document
 * says; web.load does nothing although the library says so; db.cpu never moves. */
static void data_judge_the_edges(void **state)
{
    (void)state;
    struct ac_rng r;
    double lat[N], up[N], load[N], cpu[N], flat[N];
    ac_rng_seed(&r, 7);
    for (int i = 0; i < N; i++) {
        lat[i] = ac_rng_normal(&r) + (i ? 0.5 * lat[i - 1] : 0);
        load[i] = ac_rng_normal(&r);
        cpu[i] = ac_rng_normal(&r);
        up[i] =
            (i > 1 ? 0.8 * lat[i - 2] : 0) + (i ? 0.6 * cpu[i - 1] : 0) + 0.5 * ac_rng_normal(&r);
        flat[i] = 3;
    }
    struct ac_rca_case *c = ac_rca_case_create();
    put_metric(c, "db", AC_RCA_LAT, lat);
    put_metric(c, "db", AC_RCA_CPU, flat);
    put_metric(c, "web", AC_RCA_LAT, up);
    put_metric(c, "web", AC_RCA_LOAD, load);
    put_metric(c, "web", AC_RCA_CPU, cpu);
    struct ac_rca_graph *g = ac_rca_graph_create();
    int n[5] = {ac_rca_graph_node(g, "db", AC_RCA_LAT), ac_rca_graph_node(g, "db", AC_RCA_CPU),
                ac_rca_graph_node(g, "web", AC_RCA_LAT), ac_rca_graph_node(g, "web", AC_RCA_LOAD),
                ac_rca_graph_node(g, "web", AC_RCA_CPU)};
    assert_true(ac_rca_graph_edge(g, n[0], n[2], AC_RCA_CAUSES, 0.9, "l") >= 0);
    assert_true(ac_rca_graph_edge(g, n[1], n[0], AC_RCA_CAUSES, 0.7, "l") >= 0);
    assert_true(ac_rca_graph_edge(g, n[3], n[2], AC_RCA_CAUSES, 0.6, "l") >= 0);
    struct ac_rca_validation v;
    assert_int_equal(ac_rca_validate(g, c,
                                     &(struct ac_rca_validate_params){.alpha = 0.001, .fdr = 0.001},
                                     &v, NULL),
                     0);
    const struct ac_rca_gedge *e = edge(g, "db.lat", "web.lat", AC_RCA_CAUSES);
    assert_int_equal(e->state, AC_RCA_SUPPORTED);
    assert_float_equal(e->lag_s, 2.0, 0);
    assert_true(e->confidence > 0.9 && e->nevidence == 2);
    assert_int_equal(edge(g, "db.cpu", "db.lat", AC_RCA_CAUSES)->state, AC_RCA_UNTESTED);
    assert_int_equal(edge(g, "web.load", "web.lat", AC_RCA_CAUSES)->state, AC_RCA_CONTRADICTED);
    const struct ac_rca_gedge *p = edge(g, "web.cpu", "web.lat", AC_RCA_CAUSES);
    assert_non_null(p);
    assert_int_equal(p->state, AC_RCA_PROPOSED);
    assert_float_equal(p->lag_s, 1.0, 0);
    assert_int_equal(v.supported, 1);
    assert_int_equal(v.contradicted, 1);
    assert_int_equal(v.untested, 1);
    assert_int_equal(v.proposed, 1);
    assert_int_equal(v.nedits, 2);
    assert_true(v.edits[0].gain > v.edits[1].gain); /* adding is worth more than removing */
    ac_rca_validation_fini(&v);
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_case *empty = ac_rca_case_create();
    assert_int_equal(ac_rca_validate(g, empty, &(struct ac_rca_validate_params){0}, &v, &err),
                     AC_EINVAL);
    ac_rca_case_destroy(empty);
    ac_rca_case_destroy(c);
    ac_rca_graph_destroy(g);
}

static void graphs_are_written(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    struct ac_buf b;
    int a = ac_rca_graph_node(g, "a<b\"", AC_RCA_OTHER),
        c = ac_rca_graph_node(g, "c", AC_RCA_OTHER);
    assert_true(ac_rca_graph_edge(g, a, c, AC_RCA_CALLS, 0.5, "why \"so\"") >= 0);
    ac_buf_init(&b, 1 << 16);
    ac_rca_graph_json(g, false, &b);
    assert_string_equal(
        ac_buf_str(&b),
        "{\"nodes\":[\"a<b\\\"\",\"c\"],\"measurements\":[],\"hidden\":[],\"edges\":[{\"from\":"
        "\"a<b\\\"\",\"to\":\"c\",\"kind\":\"calls\",\"state\":\"untested\","
        "\"confidence\":0.5,\"evidence\":[\"why \\\"so\\\"\"]}]}");
    ac_buf_reset(&b);
    ac_rca_graph_matrix(g, &b);
    assert_string_equal(ac_buf_str(&b), "# a<b\" c\n0 -1\n1 0\n");
    ac_buf_reset(&b);
    ac_rca_graph_dot(g, &b);
    assert_non_null(strstr(ac_buf_str(&b), "\"a<b\\\"\" -> \"c\" [style=dashed"));
    ac_buf_reset(&b);
    ac_rca_graph_graphml(g, &b);
    assert_non_null(strstr(ac_buf_str(&b), "source=\"a&lt;b&quot;\" target=\"c\""));
    ac_buf_reset(&b);
    ac_rca_graph_svg(g, &b);
    assert_non_null(strstr(ac_buf_str(&b), "a&lt;b&quot; calls c: untested, 0.50"));
    ac_buf_fini(&b);
    ac_rca_graph_destroy(g);
}

/* Where something drives something, components are no variables; all that is known of the rest. */
static void measurements_are_written(void **state)
{
    (void)state;
    struct ac_rca_graph *g = ac_rca_graph_create();
    struct ac_buf b;
    int web = ac_rca_graph_node(g, "web", AC_RCA_OTHER);
    int cart = ac_rca_graph_node(g, "cart", AC_RCA_OTHER);
    assert_true(ac_rca_graph_edge(g, web, cart, AC_RCA_CALLS, 0.5, "") >= 0);
    int mem = ac_rca_graph_node(g, "cart", AC_RCA_MEM), e = cause(g, "cart", "web", 0.8);
    int confounded =
        ac_rca_graph_edge(g, mem, ac_rca_graph_find(g, "web.lat"), AC_RCA_CONFOUNDED, 0.5, "f:1");
    assert_true(confounded >= 0);
    ac_rca_graph_tell(&g->nodes[mem], "MiB", AC_RCA_BAD_LOW);
    g->nodes[mem].hidden = true;
    g->edges[e].sign = 1;
    g->edges[e].lag_s = 2;
    ac_buf_init(&b, 1 << 16);
    ac_rca_graph_json(g, false, &b);
    assert_non_null(strstr(ac_buf_str(&b), "\"measurements\":[{\"id\":\"cart.mem\",\"unit\":"
                                           "\"MiB\",\"bad\":\"low\",\"told\":true},{\"id\":"
                                           "\"cart.lat\",\"unit\":\"s\",\"bad\":\"high\"}"));
    ac_buf_reset(&b);
    ac_rca_graph_matrix(g, &b);
    assert_string_equal(ac_buf_str(&b), "# cart.mem cart.lat web.lat\n0 0 1\n0 0 -1\n1 1 0\n");
    ac_buf_reset(&b);
    ac_rca_graph_dot(g, &b);
    assert_non_null(strstr(ac_buf_str(&b), "\"cart.mem\" [unit=\"MiB\",bad=low,style=dashed];"));
    assert_non_null(strstr(ac_buf_str(&b), "edgetooltip=\"f:1\""));
    ac_buf_reset(&b);
    ac_rca_graph_graphml(g, &b);
    assert_non_null(strstr(ac_buf_str(&b), "<node id=\"cart.mem\"><data key=\"component\">cart"
                                           "</data><data key=\"measures\">memory use</data><data "
                                           "key=\"unit\">MiB</data><data key=\"bad\">low</data>"
                                           "<data key=\"hidden\">true</data></node>"));
    assert_non_null(strstr(ac_buf_str(&b), "<data key=\"sign\">1</data><data key=\"lag_s\">2"
                                           "</data><data key=\"evidence\">cart</data>"));
    assert_non_null(strstr(ac_buf_str(&b), "target=\"web.lat\" directed=\"false\">"));
    ac_buf_reset(&b);
    ac_rca_graph_svg(g, &b);
    assert_non_null(
        strstr(ac_buf_str(&b), "cart.mem: memory use in MiB, bad when low; not measured</title>"));
    assert_non_null(strstr(ac_buf_str(&b), ">mem, MiB</text>"));
    ac_buf_fini(&b);
    ac_rca_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_adds_up),
        cmocka_unit_test(cycles_lose_their_weakest_edge),
        cmocka_unit_test(hidden_nodes_are_taken_out),
        cmocka_unit_test(versions_differ_by_edges_and_states),
        cmocka_unit_test(answered_incidents_move_the_confidence),
        cmocka_unit_test(a_later_verdict_replaces_the_first),
        cmocka_unit_test(a_path_of_more_steps_is_another_verdict),
        cmocka_unit_test(no_file_makes_an_undo_larger_than_a_verdict),
        cmocka_unit_test(documents_leave_no_room),
        cmocka_unit_test(library_is_put_on_calls),
        cmocka_unit_test(data_judge_the_edges),
        cmocka_unit_test(graphs_are_written),
        cmocka_unit_test(measurements_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
