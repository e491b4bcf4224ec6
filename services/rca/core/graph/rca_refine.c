/* The edits that data suggest, in the order of what they gain: greedy, scored anew after each, for
 * the gain of one edit depends on the others of the same effect. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#include "graph/rca_check.h"

#define MAX_CAUSES 32 /* of one effect, in the order of the graph */

struct refine {
    struct rca_check *k;
    bool *in;          /* by edge: in the graph as edited so far */
    bool *wrong_way;   /* by edge: it explains nothing */
    int *first, *next; /* edges into each node that have data, linked */
    double *basis;
};

/* BIC of an effect given the causes that it has now, in nats. */
static double score(struct refine *r, int effect, double n_eff)
{
    const struct rca_check *k = r->k;
    size_t from = (size_t)k->p.max_lag, n = k->rows - from, columns = 0, causes = 0;
    double length, left, *basis = r->basis, *y = basis + MAX_CAUSES * n;
    for (int e = r->first[effect]; e >= 0; e = r->next[e]) {
        const struct ac_rca_gedge *edge = &k->g->edges[e];
        if (!r->in[e])
            continue;
        causes++;
        if (r->wrong_way[e] || columns == MAX_CAUSES)
            continue;
        memcpy(basis + columns * n, k->s[edge->from].v + from - (size_t)rca_check_lag(k, edge),
               n * sizeof(double));
        columns += rca_sweep_out(basis + columns * n, basis, columns, n, &length);
    }
    memcpy(y, k->s[effect].v + from, n * sizeof(double));
    if (!rca_sweep_out(y, NULL, 0, n, &length))
        return 0.0;
    left = 0.0;
    if (rca_sweep_out(y, basis, columns, n, &left))
        left = fmin(1.0, left);
    return -n_eff * log(fmax(1e-6, left)) - 0.5 * (double)causes * log(fmax(2.0, n_eff));
}

static double gain(struct refine *r, const struct rca_edit *d)
{
    int effect = r->k->g->edges[d->edge].to;
    double before = score(r, effect, d->n_eff);
    r->in[d->edge] = !r->in[d->edge];
    double after = score(r, effect, d->n_eff);
    r->in[d->edge] = !r->in[d->edge];
    return after - before;
}

static void put(struct ac_rca_validation *v, int edge, double gain)
{
    ac_grow(&v->edits, &v->edits_cap, v->nedits + 1, sizeof(v->edits[0]));
    v->edits[v->nedits++] = (struct ac_rca_refinement){edge, gain};
}

static void choose(struct refine *r)
{
    struct rca_check *k = r->k;
    double *worth = ac_xcalloc(k->nedits + 1, sizeof(double));
    for (size_t i = 0; i < k->nedits; i++)
        worth[i] = gain(r, &k->edits[i]);
    for (;;) {
        size_t best = k->nedits;
        for (size_t i = 0; i < k->nedits; i++)
            if (worth[i] > 0.0 && (best == k->nedits || worth[i] > worth[best]))
                best = i;
        if (best == k->nedits)
            break;
        int edge = k->edits[best].edge, effect = k->g->edges[edge].to;
        put(k->out, edge, worth[best]);
        r->in[edge] = !r->in[edge];
        worth[best] = -INFINITY;
        for (size_t i = 0; i < k->nedits; i++)
            if (k->g->edges[k->edits[i].edge].to == effect && worth[i] > -INFINITY)
                worth[i] = gain(r, &k->edits[i]);
    }
    free(worth);
}

void rca_refine(struct rca_check *k)
{
    const struct ac_rca_graph *g = k->g;
    struct refine r = {.k = k};
    if (k->rows < (size_t)k->p.max_lag + RCA_CHECK_MIN_ROWS)
        return;
    r.in = ac_xcalloc(g->nedges + 1, sizeof(bool));
    r.wrong_way = ac_xcalloc(g->nedges + 1, sizeof(bool));
    r.first = ac_xcalloc(g->nnodes + 1, sizeof(int));
    r.next = ac_xcalloc(g->nedges + 1, sizeof(int));
    r.basis = ac_xcalloc((MAX_CAUSES + 1) * k->rows, sizeof(double));
    memset(r.first, 0xff, g->nnodes * sizeof(int));
    for (size_t i = g->nedges; i-- > 0;) {
        const struct ac_rca_gedge *e = &g->edges[i];
        if (e->kind == AC_RCA_CALLS || !k->s[e->from].v || !k->s[e->to].v)
            continue;
        r.next[i] = r.first[e->to];
        r.first[e->to] = (int)i;
        r.in[i] = e->kind == AC_RCA_CAUSES && e->state != AC_RCA_PROPOSED;
    }
    for (size_t i = 0; i < k->nedits; i++)
        r.wrong_way[k->edits[i].edge] = k->edits[i].wrong_way;
    choose(&r);
    free(r.in);
    free(r.wrong_way);
    free(r.first);
    free(r.next);
    free(r.basis);
}
