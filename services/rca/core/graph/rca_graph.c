#include "graph/rca_graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/str.h>

static const char *const kind_names[] = {"calls", "causes", "confounded"};
static const char *const state_names[] = {"untested", "supported", "contradicted", "proposed"};

const char *ac_rca_edge_kind_name(enum ac_rca_edge_kind k)
{
    return (unsigned)k < AC_ARRAY_LEN(kind_names) ? kind_names[k] : "?";
}

const char *ac_rca_edge_state_name(enum ac_rca_edge_state s)
{
    return (unsigned)s < AC_ARRAY_LEN(state_names) ? state_names[s] : "?";
}

bool ac_rca_edge_kind_parse(const char *name, enum ac_rca_edge_kind *ret)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(kind_names); i++)
        if (ac_streq(kind_names[i], name)) {
            *ret = (enum ac_rca_edge_kind)i;
            return true;
        }
    return false;
}

bool ac_rca_edge_state_parse(const char *name, enum ac_rca_edge_state *ret)
{
    for (size_t i = 0; i < AC_ARRAY_LEN(state_names); i++)
        if (ac_streq(state_names[i], name)) {
            *ret = (enum ac_rca_edge_state)i;
            return true;
        }
    return false;
}

bool ac_rca_kind_parse(const char *name, enum ac_rca_kind *ret)
{
    for (int k = 0; k < AC_RCA_NKINDS; k++)
        if (ac_streq(ac_rca_kind_name((enum ac_rca_kind)k), name)) {
            *ret = (enum ac_rca_kind)k;
            return true;
        }
    return false;
}

struct ac_rca_graph *ac_rca_graph_create(void)
{
    struct ac_rca_graph *g = ac_xcalloc(1, sizeof(*g));
    g->index = ac_map_create(NULL);
    g->edge_index = ac_map_create(NULL);
    g->forbidden = ac_map_create(NULL);
    return g;
}

static void edge_fini(struct ac_rca_gedge *e)
{
    for (size_t i = 0; i < e->nevidence; i++)
        free(e->evidence[i]);
    free(e->evidence);
}

void ac_rca_graph_destroy(struct ac_rca_graph *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->nnodes; i++) {
        free(g->nodes[i].id);
        free(g->nodes[i].component);
    }
    for (size_t i = 0; i < g->nedges; i++)
        edge_fini(&g->edges[i]);
    free(g->nodes);
    free(g->edges);
    ac_map_destroy(g->index);
    ac_map_destroy(g->edge_index);
    ac_map_destroy(g->forbidden);
    free(g);
}

/* The maps hold pointers; a number plus one makes a non-NULL one. */
int ac_rca_graph_find(const struct ac_rca_graph *g, const char *id)
{
    return (int)(intptr_t)ac_map_get(g->index, id) - 1;
}

static void set_means(struct ac_rca_gnode *n, const char *unit, enum ac_rca_bad bad)
{
    (void)snprintf(n->unit, sizeof(n->unit), "%s", unit);
    n->bad = bad;
}

int ac_rca_graph_node(struct ac_rca_graph *g, const char *component, enum ac_rca_kind kind)
{
    char *id = kind == AC_RCA_OTHER ? ac_xstrdup(component)
                                    : ac_xasprintf("%s.%s", component, ac_rca_kind_name(kind));
    int at = ac_rca_graph_find(g, id);
    if (at >= 0 || g->nnodes >= AC_RCA_MAX_NODES) {
        free(id);
        return at >= 0 ? at : AC_ERANGE;
    }
    ac_grow(&g->nodes, &g->nodes_cap, g->nnodes + 1, sizeof(g->nodes[0]));
    struct ac_rca_gnode *n = &g->nodes[g->nnodes++];
    *n = (struct ac_rca_gnode){.id = id, .component = ac_xstrdup(component), .kind = kind};
    set_means(n, ac_rca_kind_unit(kind), ac_rca_kind_bad(kind));
    ac_map_set(g->index, id, (void *)(intptr_t)g->nnodes);
    return (int)g->nnodes - 1;
}

static void edge_key(char *key, size_t size, int from, int to, enum ac_rca_edge_kind kind)
{
    if (kind == AC_RCA_CONFOUNDED && from > to) { /* has no direction */
        int t = from;
        from = to;
        to = t;
    }
    (void)snprintf(key, size, "%d>%d:%d", from, to, (int)kind);
}

int ac_rca_graph_edge_find(const struct ac_rca_graph *g, int from, int to,
                           enum ac_rca_edge_kind kind)
{
    char key[64];
    edge_key(key, sizeof(key), from, to, kind);
    return (int)(intptr_t)ac_map_get(g->edge_index, key) - 1;
}

static void add_evidence(struct ac_rca_gedge *e, const char *text)
{
    if (!text || !*text || e->nevidence >= AC_RCA_MAX_EVIDENCE)
        return;
    for (size_t i = 0; i < e->nevidence; i++)
        if (ac_streq(e->evidence[i], text))
            return;
    e->evidence = ac_xrealloc(e->evidence, ac_mul_size(e->nevidence + 1, sizeof(e->evidence[0])));
    e->evidence[e->nevidence++] = ac_xstrdup(text);
}

int ac_rca_graph_edge(struct ac_rca_graph *g, int from, int to, enum ac_rca_edge_kind kind,
                      double confidence, const char *evidence)
{
    AC_ASSERT(from >= 0 && (size_t)from < g->nnodes && to >= 0 && (size_t)to < g->nnodes);
    char key[64];
    int at = ac_rca_graph_edge_find(g, from, to, kind);
    if (from == to)
        return AC_EINVAL;
    confidence = fmax(0.0, fmin(0.99, confidence));
    if (at >= 0) {
        struct ac_rca_gedge *e = &g->edges[at];
        size_t before = e->nevidence;
        add_evidence(e, evidence);
        if (e->nevidence > before) /* the same words twice prove no more */
            e->confidence = fmin(0.99, 1.0 - (1.0 - e->confidence) * (1.0 - confidence));
        return at;
    }
    if (g->nedges >= AC_RCA_MAX_GEDGES)
        return AC_ERANGE;
    ac_grow(&g->edges, &g->edges_cap, g->nedges + 1, sizeof(g->edges[0]));
    struct ac_rca_gedge *e = &g->edges[g->nedges++];
    *e = (struct ac_rca_gedge){.from = from, .to = to, .kind = kind, .confidence = confidence};
    add_evidence(e, evidence);
    edge_key(key, sizeof(key), from, to, kind);
    ac_map_set(g->edge_index, key, (void *)(intptr_t)g->nedges);
    return (int)g->nedges - 1;
}

void ac_rca_graph_edge_remove(struct ac_rca_graph *g, size_t edge)
{
    char key[64];
    AC_ASSERT(edge < g->nedges);
    struct ac_rca_gedge *e = &g->edges[edge];
    edge_key(key, sizeof(key), e->from, e->to, e->kind);
    ac_map_remove(g->edge_index, key);
    edge_fini(e);
    size_t last = --g->nedges;
    if (edge == last)
        return;
    *e = g->edges[last];
    edge_key(key, sizeof(key), e->from, e->to, e->kind);
    ac_map_set(g->edge_index, key, (void *)(intptr_t)(edge + 1));
}

void ac_rca_graph_forbid(struct ac_rca_graph *g, int from, int to, enum ac_rca_edge_kind kind)
{
    char key[64];
    int e = ac_rca_graph_edge_find(g, from, to, kind);
    edge_key(key, sizeof(key), from, to, kind);
    ac_map_set(g->forbidden, key, g);
    if (e >= 0)
        ac_rca_graph_edge_remove(g, (size_t)e);
}

void ac_rca_graph_end(struct ac_rca_graph *g, int node, bool root)
{
    *(root ? &g->nodes[node].root : &g->nodes[node].leaf) = true;
    for (size_t i = g->nedges; i-- > 0;)
        if (g->edges[i].kind != AC_RCA_CONFOUNDED &&
            (root ? g->edges[i].to : g->edges[i].from) == node)
            ac_rca_graph_edge_remove(g, i);
}

bool ac_rca_graph_may(const struct ac_rca_graph *g, int from, int to, enum ac_rca_edge_kind kind)
{
    char key[64];
    edge_key(key, sizeof(key), from, to, kind);
    return !ac_map_get(g->forbidden, key) &&
           (kind == AC_RCA_CONFOUNDED || (!g->nodes[to].root && !g->nodes[from].leaf));
}

void ac_rca_graph_tell(struct ac_rca_gnode *n, const char *unit, enum ac_rca_bad bad)
{
    set_means(n, unit, bad);
    n->told = true;
}

const struct ac_rca_metric *ac_rca_graph_metric(const struct ac_rca_case *c,
                                                const struct ac_rca_gnode *n)
{
    int comp = ac_rca_component_find(c, n->component);
    const struct ac_rca_metric *best = NULL;
    for (size_t i = 0; comp >= 0 && n->kind != AC_RCA_OTHER && i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->component == comp && m->kind == n->kind && (!best || m->n > best->n))
            best = m;
    }
    return best;
}

void ac_rca_graph_describe(struct ac_rca_graph *g, const struct ac_rca_case *c)
{
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ac_rca_metric *m = ac_rca_graph_metric(c, &g->nodes[i]);
        if (m && !g->nodes[i].told)
            set_means(&g->nodes[i], m->unit, m->bad);
    }
}

void ac_rca_graph_instruct(const struct ac_rca_graph *g, struct ac_rca_case *c)
{
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ac_rca_gnode *n = &g->nodes[i];
        int comp = n->told ? ac_rca_component_find(c, n->component) : -1;
        for (size_t k = 0; comp >= 0 && k < c->nmetrics; k++)
            if (c->metrics[k].component == comp && c->metrics[k].kind == n->kind)
                ac_rca_metric_means(&c->metrics[k], n->unit, n->bad);
    }
}

double ac_rca_shift_odds(double confidence, double by)
{
    double c = fmax(0.01, fmin(0.99, confidence));
    return fmax(0.01, fmin(0.99, 1.0 / (1.0 + (1.0 - c) / c * exp(-by))));
}

void ac_rca_graph_marginalise(struct ac_rca_graph *g, int node)
{
    size_t n = g->nedges;
    char text[256];
    (void)snprintf(text, sizeof(text), "through %s, which is not measured", g->nodes[node].id);
    for (size_t i = 0; i < n; i++) {
        const struct ac_rca_gedge a = g->edges[i];
        if (a.kind != AC_RCA_CAUSES || (a.to != node && a.from != node))
            continue;
        for (size_t j = 0; j < n; j++) {
            const struct ac_rca_gedge b = g->edges[j];
            if (i == j || b.kind != AC_RCA_CAUSES)
                continue;
            if (a.to == node && b.from == node && a.from != b.to) {
                int e = ac_rca_graph_edge(g, a.from, b.to, AC_RCA_CAUSES,
                                          a.confidence * b.confidence, text);
                if (e >= 0) {
                    g->edges[e].sign = a.sign * b.sign;
                    g->edges[e].lag_s = a.lag_s + b.lag_s;
                }
            } else if (a.from == node && b.from == node && a.to < b.to) {
                (void)ac_rca_graph_edge(g, a.to, b.to, AC_RCA_CONFOUNDED,
                                        a.confidence * b.confidence, text);
            }
        }
    }
    for (size_t i = g->nedges; i-- > 0;)
        if (g->edges[i].from == node || g->edges[i].to == node)
            ac_rca_graph_edge_remove(g, i);
    g->nodes[node].hidden = true;
}

/* ---- cycles ---- */

struct walk {
    const struct ac_rca_graph *g;
    int *first, *next; /* edges out of each node, linked */
    uint8_t *colour;   /* 0 new, 1 on the path, 2 done */
    int *path;         /* edges of the path */
    size_t length;
};

static bool instant(const struct ac_rca_gedge *e)
{
    return e->kind == AC_RCA_CAUSES && !(e->lag_s > 0.0);
}

/* Depth first without recursion; true when path[from..length) is a cycle. */
static bool find_cycle(struct walk *w, int start, size_t *ret_from)
{
    size_t n = w->g->nnodes;
    int *stack = ac_xcalloc(n + 1, sizeof(*stack)), *at = ac_xcalloc(n + 1, sizeof(*at));
    size_t depth = 0;
    bool found = false;
    stack[0] = start;
    at[0] = w->first[start];
    w->colour[start] = 1;
    w->length = 0;
    for (depth = 1; depth > 0 && !found;) {
        int e = at[depth - 1];
        if (e < 0) {
            w->colour[stack[--depth]] = 2;
            w->length = depth > 0 ? depth - 1 : 0;
            continue;
        }
        at[depth - 1] = w->next[e];
        int to = w->g->edges[e].to;
        w->path[depth - 1] = e;
        w->length = depth;
        if (w->colour[to] == 1) {
            found = true;
            *ret_from = 0;
            while (w->g->edges[w->path[*ret_from]].from != to)
                (*ret_from)++;
        } else if (w->colour[to] == 0) {
            w->colour[to] = 1;
            stack[depth] = to;
            at[depth++] = w->first[to];
        }
    }
    free(stack);
    free(at);
    return found;
}

static bool weaker(const struct ac_rca_gedge *a, const struct ac_rca_gedge *b)
{
    bool ca = a->state == AC_RCA_CONTRADICTED, cb = b->state == AC_RCA_CONTRADICTED;
    return ca != cb ? ca : a->confidence < b->confidence;
}

/* One edge that closes a cycle and is the weakest of it; -1 when there is none. */
static int weakest_of_cycle(const struct ac_rca_graph *g)
{
    struct walk w = {.g = g};
    int found = -1;
    w.first = ac_xcalloc(g->nnodes + 1, sizeof(int));
    w.next = ac_xcalloc(g->nedges + 1, sizeof(int));
    w.path = ac_xcalloc(g->nnodes + 1, sizeof(int));
    w.colour = ac_xcalloc(g->nnodes + 1, 1);
    memset(w.first, 0xff, (g->nnodes + 1) * sizeof(int));
    for (size_t i = 0; i < g->nedges; i++) {
        if (!instant(&g->edges[i]))
            continue;
        w.next[i] = w.first[g->edges[i].from];
        w.first[g->edges[i].from] = (int)i;
    }
    for (size_t i = 0; i < g->nnodes && found < 0; i++) {
        size_t from;
        if (w.colour[i] != 0 || !find_cycle(&w, (int)i, &from))
            continue;
        for (size_t k = from; k < w.length; k++)
            if (found < 0 || weaker(&g->edges[w.path[k]], &g->edges[found]))
                found = w.path[k];
    }
    free(w.first);
    free(w.next);
    free(w.path);
    free(w.colour);
    return found;
}

size_t ac_rca_graph_break_cycles(struct ac_rca_graph *g,
                                 void (*removed)(const struct ac_rca_graph *g,
                                                 const struct ac_rca_gedge *e, void *arg),
                                 void *arg)
{
    size_t n = 0;
    for (int e; (e = weakest_of_cycle(g)) >= 0; n++) {
        if (removed)
            removed(g, &g->edges[e], arg);
        ac_rca_graph_edge_remove(g, (size_t)e);
    }
    return n;
}

/* ---- versions ---- */

static int same_edge(const struct ac_rca_graph *in, const struct ac_rca_graph *of,
                     const struct ac_rca_gedge *e)
{
    int from = ac_rca_graph_find(in, of->nodes[e->from].id);
    int to = ac_rca_graph_find(in, of->nodes[e->to].id);
    return from < 0 || to < 0 ? -1 : ac_rca_graph_edge_find(in, from, to, e->kind);
}

static bool node_differs(const struct ac_rca_gnode *a, const struct ac_rca_gnode *b)
{
    return a->hidden != b->hidden || a->bad != b->bad || !ac_streq(a->unit, b->unit);
}

static bool edge_differs(const struct ac_rca_gedge *a, const struct ac_rca_gedge *b)
{
    return a->state != b->state || a->sign != b->sign || fabs(a->lag_s - b->lag_s) > 1e-6 ||
           fabs(a->confidence - b->confidence) > 0.05;
}

void ac_rca_graph_diff(const struct ac_rca_graph *old, const struct ac_rca_graph *new,
                       ac_rca_change_fn fn, void *arg)
{
    for (size_t i = 0; i < old->nnodes; i++)
        if (ac_rca_graph_find(new, old->nodes[i].id) < 0)
            fn(AC_RCA_NODE_REMOVED, old, (int)i, new, -1, arg);
    for (size_t i = 0; i < new->nnodes; i++) {
        int at = ac_rca_graph_find(old, new->nodes[i].id);
        if (at < 0)
            fn(AC_RCA_NODE_ADDED, old, -1, new, (int)i, arg);
        else if (node_differs(&old->nodes[at], &new->nodes[i]))
            fn(AC_RCA_NODE_CHANGED, old, at, new, (int)i, arg);
    }
    for (size_t i = 0; i < old->nedges; i++)
        if (same_edge(new, old, &old->edges[i]) < 0)
            fn(AC_RCA_EDGE_REMOVED, old, (int)i, new, -1, arg);
    for (size_t i = 0; i < new->nedges; i++) {
        int at = same_edge(old, new, &new->edges[i]);
        if (at < 0)
            fn(AC_RCA_EDGE_ADDED, old, -1, new, (int)i, arg);
        else if (edge_differs(&old->edges[at], &new->edges[i]))
            fn(AC_RCA_EDGE_CHANGED, old, at, new, (int)i, arg);
    }
}
