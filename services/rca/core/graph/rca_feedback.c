#include "graph/rca_feedback.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>

#define PATH_ODDS 1.0 /* log odds that an incident adds to a step, or takes from a path */

static const char incident_prefix[] = "incident ";

/* Whether an edge lies on a step of a fault from one node to another: calls go against it. */
static bool on_step(const struct ac_rca_graph *g, const struct ac_rca_gedge *e, int from, int to)
{
    const struct ac_rca_gnode *a = &g->nodes[from], *b = &g->nodes[to];
    if (e->kind == AC_RCA_CALLS)
        return e->from == to && e->to == from;
    if (e->kind != AC_RCA_CAUSES)
        return false;
    const struct ac_rca_gnode *x = &g->nodes[e->from], *y = &g->nodes[e->to];
    return (a->kind == AC_RCA_OTHER ? ac_streq(x->component, a->component) : e->from == from) &&
           (b->kind == AC_RCA_OTHER ? ac_streq(y->component, b->component) : e->to == to);
}

static bool has_step(const struct ac_rca_graph *g, int from, int to)
{
    for (size_t i = 0; i < g->nedges; i++)
        if (on_step(g, &g->edges[i], from, to))
            return true;
    return false;
}

/* Evidence is limited: an older incident makes room, what documents say does not. False: it is all
 * theirs, and an incident that cannot be remembered would count at every telling. */
static bool make_room(struct ac_rca_gedge *e)
{
    if (e->nevidence < AC_RCA_MAX_EVIDENCE)
        return true;
    for (size_t i = 0; i < e->nevidence; i++) {
        if (strncmp(e->evidence[i], incident_prefix, sizeof(incident_prefix) - 1) != 0)
            continue;
        free(e->evidence[i]);
        memmove(e->evidence + i, e->evidence + i + 1,
                (--e->nevidence - i) * sizeof(e->evidence[0]));
        return true;
    }
    return false;
}

static bool said_before(const struct ac_rca_gedge *e, const char *text)
{
    for (size_t i = 0; i < e->nevidence; i++)
        if (ac_streq(e->evidence[i], text))
            return true;
    return false;
}

static bool learn(struct ac_rca_graph *g, size_t edge, const char *text, double odds)
{
    struct ac_rca_gedge *e = &g->edges[edge];
    double confidence = e->confidence;
    if (said_before(e, text) || !make_room(e))
        return false;
    (void)ac_rca_graph_edge(g, e->from, e->to, e->kind, 0.0, text);
    e->confidence = ac_rca_shift_odds(confidence, odds);
    return true;
}

int ac_rca_graph_feedback(struct ac_rca_graph *g, const struct ac_rca_feedback *f,
                          size_t *ret_edges, struct ac_err *err)
{
    char text[200];
    size_t changed = 0;
    if (f->n < 2)
        return ac_err_set(err, AC_EINVAL, "a path needs two nodes: the cause and who shows it");
    for (size_t i = 0; i + 1 < f->n; i++)
        if (!has_step(g, f->path[i], f->path[i + 1]))
            return ac_err_set(err, AC_EINVAL,
                              "the graph has nothing that drives %.80s from %.80s: add it, or name "
                              "what lies between",
                              g->nodes[f->path[i + 1]].id, g->nodes[f->path[i]].id);
    (void)snprintf(text, sizeof(text), "%s%.100s: the path %.30s ... %.30s was %s", incident_prefix,
                   f->incident, g->nodes[f->path[0]].id, g->nodes[f->path[f->n - 1]].id,
                   f->confirmed ? "confirmed" : "refuted");
    double odds = f->confirmed ? PATH_ODDS : -PATH_ODDS / (double)(f->n - 1);
    for (size_t e = 0; e < g->nedges; e++)
        for (size_t i = 0; i + 1 < f->n; i++)
            if (on_step(g, &g->edges[e], f->path[i], f->path[i + 1])) {
                changed += learn(g, e, text, odds);
                break;
            }
    *ret_edges = changed;
    return 0;
}
