#include "graph/rca_library.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>

static const struct ac_rca_typed_edge table[] = {
#define X(from, relation, to, sign, confidence, why)                                               \
    {AC_RCA_##from, AC_RCA_##to, AC_RCA_##relation, sign, confidence, why},
    AC_RCA_LIBRARY(X)
#undef X
};

const struct ac_rca_typed_edge *ac_rca_library(size_t *ret_n)
{
    *ret_n = AC_ARRAY_LEN(table);
    return table;
}

static int measured(const struct ac_rca_graph *g, int component, enum ac_rca_kind kind)
{
    char id[600];
    (void)snprintf(id, sizeof(id), "%s.%s", g->nodes[component].component, ac_rca_kind_name(kind));
    return ac_rca_graph_find(g, id);
}

static int put(struct ac_rca_graph *g, int from, int to, const struct ac_rca_typed_edge *t,
               const struct ac_rca_gedge *call)
{
    char text[512];
    double confidence = t->confidence * (call ? call->confidence : 1.0);
    (void)snprintf(text, sizeof(text), "library: %s", t->why);
    int e = ac_rca_graph_edge(g, from, to, AC_RCA_CAUSES, confidence, text);
    if (e < 0)
        return e;
    g->edges[e].sign = t->sign;
    return e;
}

static bool has_any(const struct ac_rca_graph *g, int component)
{
    for (size_t i = 0; i < g->nnodes; i++)
        if (g->nodes[i].kind != AC_RCA_OTHER &&
            strcmp(g->nodes[i].component, g->nodes[component].component) == 0)
            return true;
    return false;
}

static int usual_measurements(struct ac_rca_graph *g, int component)
{
    static const enum ac_rca_kind usual[] = {AC_RCA_LOAD, AC_RCA_LAT, AC_RCA_ERR, AC_RCA_CPU,
                                             AC_RCA_MEM};
    for (size_t k = 0; k < AC_ARRAY_LEN(usual); k++) {
        /* the name is copied: the array of nodes may move */
        ac_cleanup(ac_free_p) char *name = ac_xstrdup(g->nodes[component].component);
        int n = ac_rca_graph_node(g, name, usual[k]);
        if (n < 0)
            return n;
    }
    return 0;
}

/* Typed edges between two components over a call (or within one, call NULL). */
static int between(struct ac_rca_graph *g, int a, int b, int call)
{
    for (size_t k = 0; k < AC_ARRAY_LEN(table); k++) {
        const struct ac_rca_typed_edge *t = &table[k];
        bool same = t->relation == AC_RCA_SAME;
        if (same != (call < 0))
            continue;
        bool up = t->relation == AC_RCA_CALLEE_UP;
        int from = measured(g, up ? b : a, t->from), to = measured(g, up ? a : b, t->to);
        if (from < 0 || to < 0)
            continue;
        int e = put(g, from, to, t, call >= 0 ? &g->edges[call] : NULL);
        if (e < 0)
            return e;
        for (size_t i = 0; call >= 0 && i < g->edges[call].nevidence; i++) {
            /* The call's own words stand beside the table's; they prove the call, not the effect.
             */
            double confidence = g->edges[e].confidence;
            (void)ac_rca_graph_edge(g, from, to, AC_RCA_CAUSES, 0.0, g->edges[call].evidence[i]);
            g->edges[e].confidence = confidence;
        }
    }
    return 0;
}

int ac_rca_library_apply(struct ac_rca_graph *g, struct ac_err *err)
{
    size_t nodes = g->nnodes, edges = g->nedges;
    int rc = 0;
    for (size_t i = 0; !rc && i < nodes; i++)
        if (g->nodes[i].kind == AC_RCA_OTHER && !has_any(g, (int)i))
            rc = usual_measurements(g, (int)i);
    for (size_t i = 0; !rc && i < nodes; i++)
        if (g->nodes[i].kind == AC_RCA_OTHER)
            rc = between(g, (int)i, (int)i, -1);
    for (size_t i = 0; !rc && i < edges; i++)
        if (g->edges[i].kind == AC_RCA_CALLS)
            rc = between(g, g->edges[i].from, g->edges[i].to, (int)i);
    return rc ? ac_err_set(err, rc, "too many nodes or edges") : 0;
}
