#include "graph/rca_feedback.h"

#include "rca_hash.h"
#include "rca_text.h"

#include <math.h>
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

uint64_t ac_rca_incident_id(const char *const *names, size_t n, int64_t time_ns)
{
    char time[24];
    (void)snprintf(time, sizeof(time), "%lld", (long long)time_ns);
    uint64_t h = rca_hash_add(RCA_HASH_INIT, time);
    for (size_t i = 0; i < n; i++)
        h = rca_hash_add(h, names[i]);
    return h;
}

static double log_odds(double confidence)
{
    double p = fmax(0.01, fmin(0.99, confidence));
    return log(p / (1.0 - p));
}

/* An incident's line of evidence: "incident <id> <by>: <what>". Its place, -1: none; by how much it
 * moved the log odds, and what it says. */
static int remembered(const struct ac_rca_gedge *e, uint64_t id, double *ret_by,
                      const char **ret_what)
{
    char key[64];
    int n = snprintf(key, sizeof(key), "%s%016llx ", incident_prefix, (unsigned long long)id);
    for (size_t i = 0; i < e->nevidence; i++) {
        if (strncmp(e->evidence[i], key, (size_t)n) != 0)
            continue;
        char *end;
        double by = strtod(e->evidence[i] + n, &end);
        *ret_by = fabs(by) <= PATH_ODDS ? by : 0.0; /* a file may say anything */
        *ret_what = *end ? end + 1 : end;
        return (int)i;
    }
    return -1;
}

static void forget(struct ac_rca_gedge *e, int at, double by)
{
    e->confidence = ac_rca_shift_odds(e->confidence, -by);
    free(e->evidence[at]);
    memmove(e->evidence + at, e->evidence + at + 1,
            (--e->nevidence - (size_t)at) * sizeof(e->evidence[0]));
}

/* Takes back what was learnt of the incident, then learns what is said now (NULL: the edge is not
 * on the path). True when anything changed. */
static bool learn(struct ac_rca_graph *g, size_t edge, uint64_t id, const char *what, double odds)
{
    struct ac_rca_gedge *e = &g->edges[edge];
    double by = 0;
    const char *before;
    int at = remembered(e, id, &by, &before);
    if (at >= 0 && what && ac_streq(before, what))
        return false;
    if (at >= 0)
        forget(e, at, by);
    if (!what || !make_room(e))
        return at >= 0;
    char text[260];
    double old = e->confidence, new = ac_rca_shift_odds(old, odds);
    (void)snprintf(text, sizeof(text), "%s%016llx %+.4f:%s", incident_prefix,
                   (unsigned long long)id, log_odds(new) - log_odds(old), what);
    (void)ac_rca_graph_edge(g, e->from, e->to, e->kind, 0.0, text);
    e->confidence = new;
    return true;
}

int ac_rca_graph_feedback(struct ac_rca_graph *g, const struct ac_rca_feedback *f,
                          size_t *ret_edges, struct ac_err *err)
{
    char what[200], steps[32] = "";
    size_t changed = 0;
    if (f->n < 2)
        return ac_err_set(err, AC_EINVAL, "a path needs two nodes: the cause and who shows it");
    for (size_t i = 0; i + 1 < f->n; i++)
        if (!has_step(g, f->path[i], f->path[i + 1]))
            return ac_err_set(err, AC_EINVAL,
                              "the graph has nothing that drives %.80s from %.80s: add it, or name "
                              "what lies between",
                              g->nodes[f->path[i + 1]].id, g->nodes[f->path[i]].id);
    if (f->n > 2) /* a longer path between the same ends is another verdict */
        (void)snprintf(steps, sizeof(steps), " (%zu steps)", f->n - 1);
    (void)snprintf(what, sizeof(what), " %.100s: the path %.30s ... %.30s%s was %s", f->incident,
                   g->nodes[f->path[0]].id, g->nodes[f->path[f->n - 1]].id, steps,
                   f->confirmed ? "confirmed" : "refuted");
    rca_whole_characters(what); /* as it will be read back from a file */
    double odds = f->confirmed ? PATH_ODDS : -PATH_ODDS / (double)(f->n - 1);
    for (size_t e = 0; e < g->nedges; e++) {
        bool on = false;
        for (size_t i = 0; i + 1 < f->n && !on; i++)
            on = on_step(g, &g->edges[e], f->path[i], f->path[i + 1]);
        changed += learn(g, e, f->id, on ? what : NULL, odds);
    }
    *ret_edges = changed;
    return 0;
}
