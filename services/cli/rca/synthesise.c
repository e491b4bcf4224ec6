/* aceso rca synthesise, diff, plot. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <aceso/base.h>
#include <aceso/buf.h>
#include <aceso/file.h>
#include <aceso/str.h>

#include "graph/rca_graph_write.h"
#include "graph/rca_library.h"
#include "graph/rca_validate.h"
#include "rca/graph.h"
#include "rca/records.h"
#include "readers/rca_dataset.h"

#define OUT_MAX ((size_t)256 << 20)

/* Metrics in one of the known forms, and what else lies in the folder (or, for a folder "metric",
 * beside it). */
static int rca_load_folder(const char *dir, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                           struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *beside = ac_xasprintf("%s/..", dir);
    bool one = ac_rca_folder_is(dir);
    int rc = one ? ac_rca_folder_load(dir, ret, ret_t0_ns, err)
                 : ac_rca_nezha_load(dir, &(struct ac_rca_nezha_options){0}, ret, err);
    if (rc)
        return rc;
    rc = rca_records_load(one ? dir : beside, *ret, err);
    if (rc) {
        ac_rca_case_destroy(*ret);
        *ret = NULL;
    }
    return rc;
}

int rca_load_case(const char *metrics, struct ac_rca_case **ret, int64_t *ret_t0_ns,
                  struct ac_err *err)
{
    struct stat st;
    *ret_t0_ns = INT64_MIN;
    if (stat(metrics, &st) == 0 && S_ISDIR(st.st_mode)) {
        ac_cleanup(ac_free_p) char *normal = ac_xasprintf("%s/normal.csv", metrics);
        if (ac_path_exists(normal)) /* its parts were recorded apart: no log fits both */
            return ac_rca_sockshop_load(metrics, ret, ret_t0_ns, err);
        return rca_load_folder(metrics, ret, ret_t0_ns, err);
    }
    struct ac_rca_case *c = ac_rca_case_create();
    int rc = ac_rca_csv_load(metrics, c, err);
    if (rc) {
        ac_rca_case_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

/* Calls seen in traces are certain. */
static int add_calls(struct ac_rca_graph *g, const struct ac_rca_case *c, const char *from_file,
                     struct ac_err *err)
{
    for (size_t i = 0; i < c->nedges; i++) {
        const struct ac_rca_edge *e = &c->edges[i];
        char text[768];
        int a = ac_rca_graph_node(g, c->components[e->from], AC_RCA_OTHER);
        int b = a < 0 ? a : ac_rca_graph_node(g, c->components[e->to], AC_RCA_OTHER);
        snprintf(text, sizeof(text), "%.500s: %.200s", *e->where ? e->where : from_file,
                 *e->evidence ? e->evidence : "call");
        if (b < 0 || ac_rca_graph_edge(g, a, b, AC_RCA_CALLS, 0.98, text) < 0)
            return ac_err_set(err, AC_ERANGE, "too many components or calls");
    }
    return 0;
}

/* A node for each kind that a component of the graph is measured by. */
static int add_measurements(struct ac_rca_graph *g, const struct ac_rca_case *c, struct ac_err *err)
{
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        const char *component = c->components[m->component];
        if (m->kind == AC_RCA_OTHER || m->n == 0)
            continue;
        int own = ac_rca_graph_node(g, component, AC_RCA_OTHER);
        if (own < 0 || ac_rca_graph_node(g, component, m->kind) < 0)
            return ac_err_set(err, AC_ERANGE, "too many measurements");
    }
    return 0;
}

static void tell_removed(const struct ac_rca_graph *g, const struct ac_rca_gedge *e, void *arg)
{
    (void)arg;
    cli_progress("cycle: %s causes %s left out (confidence %.2f)", g->nodes[e->from].id,
                 g->nodes[e->to].id, e->confidence);
}

/* Only what is measured stays: causes of the rest drive its effects, which are confounded. */
static void take_out_hidden(struct ac_rca_graph *g, const struct ac_rca_case *c)
{
    size_t n = 0;
    ac_rca_mark_hidden(g, c);
    for (size_t i = 0; i < g->nnodes; i++) {
        if (!g->nodes[i].hidden)
            continue;
        ac_rca_graph_marginalise(g, (int)i);
        n++;
    }
    cli_progress("%zu measurements of the graph are not in the data and were taken out", n);
}

static int build(const struct rca_synthesise_args *a, struct ac_rca_graph *g, struct ac_rca_case *c,
                 struct ac_err *err)
{
    struct ac_rca_case *traces = NULL;
    int rc = a->docs ? rca_docs_read(a->docs, g, err) : 0;
    if (!rc && a->traces) {
        traces = ac_rca_case_create();
        rc = rca_calls_load(a->traces, traces, err);
        if (!rc)
            rc = add_calls(g, traces, a->traces, err);
        ac_rca_case_destroy(traces);
    }
    if (!rc && c)
        rc = add_calls(g, c, a->metrics, err);
    if (!rc && c)
        rc = add_measurements(g, c, err);
    if (!rc &&
        a->knowledge) /* a call that is forbidden drives nothing, one that is required does */
        rc = rca_knowledge_apply(a->knowledge, g, true, err);
    if (!rc)
        rc = ac_rca_library_apply(g, err);
    if (!rc && c)
        ac_rca_graph_describe(g, c);
    if (!rc && a->knowledge)
        rc = rca_knowledge_apply(a->knowledge, g, false, err);
    if (!rc && c)
        ac_rca_graph_instruct(g, c);
    if (!rc && a->observed)
        take_out_hidden(g, c);
    if (!rc)
        (void)ac_rca_graph_break_cycles(g, tell_removed, NULL);
    return rc;
}

static void print_edges(const struct ac_rca_graph *g, enum ac_rca_edge_kind kind)
{
    for (size_t i = 0; i < g->nedges; i++) {
        const struct ac_rca_gedge *e = &g->edges[i];
        if (e->kind != kind)
            continue;
        printf("%s %s %s  %.2f %s", g->nodes[e->from].id, ac_rca_edge_kind_name(kind),
               g->nodes[e->to].id, e->confidence, ac_rca_edge_state_name(e->state));
        if (e->lag_s > 0.0)
            printf(", %.4g s later", e->lag_s);
        printf("%s\n", e->sign < 0 ? ", the other way" : "");
        for (size_t k = 0; k < e->nevidence; k++)
            printf("    %s\n", e->evidence[k]);
    }
}

static const char *edit_name(const struct ac_rca_gedge *e)
{
    return e->state != AC_RCA_PROPOSED    ? "remove"
           : e->kind == AC_RCA_CONFOUNDED ? "confound"
                                          : "add";
}

/* What nobody looked at, or could: a graph and data that name the same thing in two ways are the
 * usual cause. */
struct report {
    const struct ac_rca_graph *g;
    const struct ac_rca_validation *v;
    const struct ac_rca_case *c; /* NULL: none was given */
};

struct gap {
    const char *key, *text;
    bool (*holds)(const struct report *r, size_t node);
};

static bool is_component(const struct report *r, size_t node)
{
    return r->c && r->g->nodes[node].kind == AC_RCA_OTHER;
}

static bool is_measured(const struct report *r, size_t node)
{
    int comp = ac_rca_component_find(r->c, r->g->nodes[node].component);
    for (size_t i = 0; comp >= 0 && i < r->c->nmetrics; i++)
        if (r->c->metrics[i].component == comp && r->c->metrics[i].n > 0)
            return true;
    return false;
}

static bool is_unmeasured(const struct report *r, size_t node)
{
    return is_component(r, node) && !is_measured(r, node);
}

static bool is_alone(const struct report *r, size_t node)
{
    for (size_t i = 0; i < r->g->nedges; i++)
        if (r->g->edges[i].kind == AC_RCA_CALLS &&
            (r->g->edges[i].from == (int)node || r->g->edges[i].to == (int)node))
            return false;
    return is_component(r, node) && is_measured(r, node);
}

static bool is_useless(const struct report *r, size_t node)
{
    return r->v->useless && r->v->useless[node];
}

static const struct gap gaps[] = {
    {"unmeasured", "nothing is measured of", is_unmeasured},
    {"alone", "measured, but in no call", is_alone},
    {"useless", "measured, but no test can be made", is_useless},
};

static void put_gap(const struct report *r, const struct gap *gap, bool json, struct ac_buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < r->g->nnodes; i++) {
        if (!gap->holds(r, i))
            continue;
        if (n++ == 0 && !json)
            ac_buf_printf(b, "%s: ", gap->text);
        else if (n > 1)
            ac_buf_puts(b, json ? "," : ", ");
        if (!json)
            ac_buf_puts(b, r->g->nodes[i].id);
        else if (gap->holds != is_useless)
            ac_buf_put_json_str(b, r->g->nodes[i].id);
        if (gap->holds != is_useless)
            continue;
        if (!json) {
            ac_buf_printf(b, " (%s)", r->v->useless[i]);
            continue;
        }
        ac_buf_puts(b, "{\"node\":");
        ac_buf_put_json_str(b, r->g->nodes[i].id);
        ac_buf_printf(b, ",\"why\":\"%s\"}", r->v->useless[i]);
    }
    ac_buf_puts(b, n > 0 && !json ? "\n" : "");
}

static void put_json(const struct report *r, struct ac_buf *b)
{
    const struct ac_rca_validation *v = r->v;
    ac_rca_graph_json(r->g, true, b);
    for (size_t i = 0; i < AC_ARRAY_LEN(gaps); i++) {
        ac_buf_printf(b, ",\"%s\":[", gaps[i].key);
        put_gap(r, &gaps[i], true, b);
        ac_buf_putc(b, ']');
    }
    ac_buf_printf(b,
                  ",\"supported\":%zu,\"contradicted\":%zu,\"untested\":%zu,\"proposed\":%zu,"
                  "\"tests\":%zu,\"asked_again\":%zu,\"overruled\":%zu,\"refinements\":[",
                  v->supported, v->contradicted, v->untested, v->proposed, v->tests, v->asked,
                  v->overruled);
    double sum = 0;
    for (size_t i = 0; i < v->nedits; i++) {
        const struct ac_rca_gedge *e = &r->g->edges[v->edits[i].edge];
        sum += v->edits[i].gain;
        ac_buf_printf(b, "%s{\"edits\":%zu,\"gain\":%.6g,\"%s\":[", i ? "," : "", i + 1, sum,
                      edit_name(e));
        ac_buf_put_json_str(b, r->g->nodes[e->from].id);
        ac_buf_putc(b, ',');
        ac_buf_put_json_str(b, r->g->nodes[e->to].id);
        ac_buf_puts(b, "]}");
    }
    ac_buf_puts(b, "]}");
}

static void print_report(const struct report *r)
{
    const struct ac_rca_validation *v = r->v;
    struct ac_buf b;
    double sum = 0;
    ac_buf_init(&b, OUT_MAX);
    print_edges(r->g, AC_RCA_CALLS);
    print_edges(r->g, AC_RCA_CAUSES);
    print_edges(r->g, AC_RCA_CONFOUNDED);
    for (size_t i = 0; i < AC_ARRAY_LEN(gaps); i++)
        put_gap(r, &gaps[i], false, &b);
    for (size_t i = 0; i < v->nedits; i++) {
        const struct ac_rca_gedge *e = &r->g->edges[v->edits[i].edge];
        sum += v->edits[i].gain;
        ac_buf_printf(&b, "refinement %zu: %s %s, %s (gain of all so far %.4g)\n", i + 1,
                      edit_name(e), r->g->nodes[e->from].id, r->g->nodes[e->to].id, sum);
    }
    printf("%s%zu nodes, %zu edges: %zu supported, %zu contradicted, %zu untested, %zu proposed\n",
           ac_buf_str(&b), r->g->nnodes, r->g->nedges, v->supported, v->contradicted, v->untested,
           v->proposed);
    ac_buf_fini(&b);
}

static int report(const struct report *r, const char *out, const struct cli_ctx *ctx,
                  struct ac_err *err)
{
    struct ac_buf b;
    int rc = 0;
    ac_buf_init(&b, OUT_MAX);
    put_json(r, &b);
    if (b.failed)
        rc = ac_err_set(err, AC_ERANGE, "the graph is too large to write");
    else if (out)
        rc = ac_file_write_atomic(out, b.data, b.len, 0644, err);
    if (!rc && ctx->json)
        printf("%s\n", ac_buf_str(&b));
    else if (!rc)
        print_report(r);
    ac_buf_fini(&b);
    return rc;
}

int rca_synthesise_verb(const struct rca_synthesise_args *a, const struct cli_ctx *ctx)
{
    struct ac_err err = AC_ERR_INIT;
    struct ac_rca_case *c = NULL;
    struct ac_rca_validation v = {0};
    int64_t t0 = 0;
    if (!a->docs && !a->traces && !a->metrics)
        return cli_usage("rca", "synthesise needs --docs DIR, --traces FILE or --metrics FILE");
    if (a->proposer && !ac_streq(a->proposer, "library"))
        return cli_usage("rca", "--proposer %s is not here; known: library", a->proposer);
    if (a->observed && !a->metrics)
        return cli_usage("rca", "--observed needs --metrics: they say what is measured");
    int rc = a->metrics ? rca_load_case(a->metrics, &c, &t0, &err) : 0;
    struct ac_rca_graph *g = ac_rca_graph_create();
    if (!rc)
        rc = build(a, g, c, &err);
    if (!rc && c)
        rc = ac_rca_validate(g, c, &(struct ac_rca_validate_params){.split_ns = t0 > 0 ? t0 : 0},
                             &v, &err);
    for (size_t i = 0; !rc && !c && i < g->nedges; i++)
        v.untested += g->edges[i].kind == AC_RCA_CAUSES;
    if (!rc)
        rc = report(&(struct report){.g = g, .v = &v, .c = c}, a->out, ctx, &err);
    ac_rca_validation_fini(&v);
    ac_rca_case_destroy(c);
    ac_rca_graph_destroy(g);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}

/* ---- diff ---- */

struct diff {
    struct ac_buf b;
    bool json;
    size_t n;
};

static const char *const change_names[] = {"node added", "node removed", "node changed",
                                           "edge added", "edge removed", "edge changed"};

static void say_node(const struct ac_rca_gnode *n, bool json, struct ac_buf *out)
{
    if (!json) {
        ac_buf_printf(out, "%s%s%sbad when %s", n->hidden ? "not measured, " : "", n->unit,
                      *n->unit ? ", " : "", ac_rca_bad_text(n->bad));
        return;
    }
    ac_buf_puts(out, "\"unit\":");
    ac_buf_put_json_str(out, n->unit);
    ac_buf_printf(out, ",\"bad\":\"%s\",\"hidden\":%s", ac_rca_bad_name(n->bad),
                  n->hidden ? "true" : "false");
}

static void say_edge(const struct ac_rca_gedge *e, bool json, struct ac_buf *out)
{
    ac_buf_printf(out, json ? "\"state\":\"%s\",\"confidence\":%.4g" : "%s %.2f",
                  ac_rca_edge_state_name(e->state), e->confidence);
    if (e->sign)
        ac_buf_printf(out, json ? ",\"sign\":%d" : ", sign %+d", e->sign);
    if (e->lag_s > 0.0)
        ac_buf_printf(out, json ? ",\"lag_s\":%.6g" : ", %.4g s later", e->lag_s);
}

static void put_change(enum ac_rca_change c, const struct ac_rca_graph *old, int at_old,
                       const struct ac_rca_graph *new, int at_new, void *arg)
{
    struct diff *d = arg;
    const struct ac_rca_graph *g = at_new >= 0 ? new : old;
    int at = at_new >= 0 ? at_new : at_old;
    bool node = c <= AC_RCA_NODE_CHANGED;
    bool changed = c == AC_RCA_NODE_CHANGED || c == AC_RCA_EDGE_CHANGED;
    const struct ac_rca_gedge *e = node ? NULL : &g->edges[at];
    struct ac_buf *b = &d->b;
    if (d->json) {
        ac_buf_printf(b, "%s{\"change\":\"%s\",\"%s\":", d->n ? "," : "", change_names[c],
                      node ? "node" : "from");
        ac_buf_put_json_str(b, node ? g->nodes[at].id : g->nodes[e->from].id);
        if (!node) {
            ac_buf_puts(b, ",\"to\":");
            ac_buf_put_json_str(b, g->nodes[e->to].id);
            ac_buf_printf(b, ",\"kind\":\"%s\"", ac_rca_edge_kind_name(e->kind));
        }
        ac_buf_puts(b, node && !changed ? "" : ",");
    } else if (node) {
        ac_buf_printf(b, "%s: %s%s", change_names[c], g->nodes[at].id, changed ? ": " : "");
    } else {
        ac_buf_printf(b, "%s: %s %s %s: ", change_names[c], g->nodes[e->from].id,
                      ac_rca_edge_kind_name(e->kind), g->nodes[e->to].id);
    }
    if (!node)
        say_edge(e, d->json, b);
    else if (changed)
        say_node(&g->nodes[at], d->json, b);
    if (changed)
        ac_buf_puts(b, d->json ? ",\"was\":{" : "; was ");
    if (c == AC_RCA_NODE_CHANGED)
        say_node(&old->nodes[at_old], d->json, b);
    else if (c == AC_RCA_EDGE_CHANGED)
        say_edge(&old->edges[at_old], d->json, b);
    ac_buf_puts(b, !d->json ? "\n" : changed ? "}}" : "}");
    d->n++;
}

int rca_diff_verb(const char *old, const char *new, const struct cli_ctx *ctx)
{
    struct ac_rca_graph *a = NULL, *b = NULL;
    struct ac_err err = AC_ERR_INIT;
    struct diff d = {.json = ctx->json};
    int rc = rca_graph_load(old, &a, &err);
    if (!rc)
        rc = rca_graph_load(new, &b, &err);
    if (!rc) {
        ac_buf_init(&d.b, OUT_MAX);
        ac_rca_graph_diff(a, b, put_change, &d);
        printf(ctx->json ? "{\"changes\":[%s]}\n" : "%s", ac_buf_str(&d.b));
        if (!ctx->json)
            printf("%zu changes\n", d.n);
        ac_buf_fini(&d.b);
    }
    ac_rca_graph_destroy(a);
    ac_rca_graph_destroy(b);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}

/* ---- plot ---- */

int rca_plot_verb(const char *graph, const char *format, const char *out, const struct cli_ctx *ctx)
{
    static const struct {
        const char *name;
        void (*put)(const struct ac_rca_graph *g, struct ac_buf *out);
    } formats[] = {{"svg", ac_rca_graph_svg},
                   {"dot", ac_rca_graph_dot},
                   {"graphml", ac_rca_graph_graphml},
                   {"matrix", ac_rca_graph_matrix}};
    struct ac_rca_graph *g = NULL;
    struct ac_err err = AC_ERR_INIT;
    size_t f = 0;
    while (format && f < AC_ARRAY_LEN(formats) && !ac_streq(formats[f].name, format))
        f++;
    if (f == AC_ARRAY_LEN(formats))
        return cli_usage("rca", "--format must be svg, dot, graphml or matrix, not %s", format);
    int rc = rca_graph_load(graph, &g, &err);
    if (!rc) {
        struct ac_buf b;
        ac_buf_init(&b, OUT_MAX);
        formats[f].put(g, &b);
        if (b.failed)
            rc = ac_err_set(&err, AC_ERANGE, "%s: too large to draw", graph);
        else if (out)
            rc = ac_file_write_atomic(out, b.data, b.len, 0644, &err);
        else if (!ctx->json)
            printf("%s", ac_buf_str(&b));
        if (!rc && ctx->json)
            printf("{\"format\":\"%s\",\"bytes\":%zu,\"nodes\":%zu,\"edges\":%zu}\n",
                   formats[f].name, b.len, g->nnodes, g->nedges);
        ac_buf_fini(&b);
    }
    ac_rca_graph_destroy(g);
    return rc ? cli_fail("rca", &err) : CLI_OK;
}
