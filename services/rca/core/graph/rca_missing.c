/* What data want and the graph does not have: the local Markov property, pair by pair. A
 * measurement depends, given its causes, on nothing but its effects; where data say otherwise an
 * edge is proposed, or, where nothing says which moves first, an unseen common cause. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#include "graph/rca_check.h"

#define PROPOSED  0.4 /* confidence that data alone give */
#define WORTH     0.2 /* a correlation that is less is no cause worth a proposal */
#define STRANGERS 8   /* of each that it is tested with: those it moves with most */
#define STRANGE   "they have nothing to do with each other: something unseen drives both"

struct candidate {
    int from, to;
    bool confounded;
    struct rca_finding f;
    const char *why;
};

/* Edges out of and into each node that hold, as linked lists, and which nodes are met from one. */
struct kin {
    const struct ac_rca_graph *g;
    int *first_out, *next_out, *first_in, *next_in;
    int *queue;
    bool *below, *above; /* by node: effects of the node looked at; its causes */
};

static bool holds(const struct ac_rca_gedge *e)
{
    return e->kind == AC_RCA_CAUSES && e->state != AC_RCA_CONTRADICTED;
}

static void kin_init(struct kin *k, const struct ac_rca_graph *g)
{
    *k = (struct kin){.g = g};
    k->first_out = ac_xcalloc(g->nnodes + 1, sizeof(int));
    k->first_in = ac_xcalloc(g->nnodes + 1, sizeof(int));
    k->next_out = ac_xcalloc(g->nedges + 1, sizeof(int));
    k->next_in = ac_xcalloc(g->nedges + 1, sizeof(int));
    k->queue = ac_xcalloc(g->nnodes + 1, sizeof(int));
    k->below = ac_xcalloc(g->nnodes + 1, sizeof(bool));
    k->above = ac_xcalloc(g->nnodes + 1, sizeof(bool));
    memset(k->first_out, 0xff, g->nnodes * sizeof(int));
    memset(k->first_in, 0xff, g->nnodes * sizeof(int));
    for (size_t i = 0; i < g->nedges; i++) {
        const struct ac_rca_gedge *e = &g->edges[i];
        if (!holds(e))
            continue;
        k->next_out[i] = k->first_out[e->from];
        k->first_out[e->from] = (int)i;
        k->next_in[i] = k->first_in[e->to];
        k->first_in[e->to] = (int)i;
    }
}

static void kin_fini(struct kin *k)
{
    free(k->first_out);
    free(k->first_in);
    free(k->next_out);
    free(k->next_in);
    free(k->queue);
    free(k->below);
    free(k->above);
}

static void reach(const struct kin *k, int node, bool up, bool *met)
{
    size_t n = 0;
    memset(met, 0, k->g->nnodes * sizeof(bool));
    k->queue[n++] = node;
    for (size_t i = 0; i < n; i++) {
        int e = (up ? k->first_in : k->first_out)[k->queue[i]];
        for (; e >= 0; e = (up ? k->next_in : k->next_out)[e]) {
            int other = up ? k->g->edges[e].from : k->g->edges[e].to;
            if (met[other] || other == node)
                continue;
            met[other] = true;
            k->queue[n++] = other;
        }
    }
}

static bool related(const struct ac_rca_graph *g, int a, int b)
{
    if (strcmp(g->nodes[a].component, g->nodes[b].component) == 0)
        return true;
    int ca = ac_rca_graph_find(g, g->nodes[a].component);
    int cb = ac_rca_graph_find(g, g->nodes[b].component);
    return ca >= 0 && cb >= 0 &&
           (ac_rca_graph_edge_find(g, ca, cb, AC_RCA_CALLS) >= 0 ||
            ac_rca_graph_edge_find(g, cb, ca, AC_RCA_CALLS) >= 0);
}

static bool adjacent(const struct ac_rca_graph *g, int x, int y)
{
    for (int way = 0; way < 2; way++)
        for (int kind = AC_RCA_CAUSES; kind <= AC_RCA_CONFOUNDED; kind++)
            if (ac_rca_graph_edge_find(g, way ? y : x, way ? x : y, (enum ac_rca_edge_kind)kind) >=
                0)
                return true;
    return false;
}

/* One pair that the graph does not join. The graph says that whoever is no effect of the other is
 * independent of it, given its causes: both ways for two that are kin in no way. No proposal closes
 * a cycle at once: its cause is above its effect already, or moves first. */
static bool test_pair(struct rca_check *k, const struct kin *kin, int x, int y,
                      struct candidate *ret)
{
    const int lags[2] = {0, k->p.max_lag};
    bool x_first = kin->below[y], y_first = kin->above[y];
    struct rca_finding a = {0}, b = {0};
    if (x_first && y_first)
        return false; /* on a cycle over time: nothing is implied */
    if (!y_first)
        a = rca_check_pair(k, x, y, y, lags);
    if (!x_first)
        b = rca_check_pair(k, y, x, x, lags);
    if ((!y_first && !a.ok) || (!x_first && !b.ok))
        return false;
    bool forward = x_first || (!y_first && rca_check_clearer(&a, &b));
    *ret = forward ? (struct candidate){.from = x, .to = y, .f = a}
                   : (struct candidate){.from = y, .to = x, .f = b};
    ret->why = "no document knows it";
    double weakest = fabs(ret->f.r);
    if (!x_first && !y_first) { /* dependent whichever side's causes are given */
        struct rca_finding other = rca_check_pair(k, ret->from, ret->to, ret->from,
                                                  (const int[2]){ret->f.lag, ret->f.lag});
        if (!other.ok)
            return false;
        weakest = fmin(weakest, fabs(other.r));
        ret->f.p = fmax(ret->f.p, other.p);
        ret->confounded = ret->f.lag == 0;
    }
    if (ret->confounded)
        ret->why = "neither moves first: an unseen common cause, or faster than the samples";
    if (weakest < WORTH)
        ret->f.p = 1.0;
    return true;
}

static int by_p(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->f.p != y->f.p)
        return x->f.p < y->f.p ? -1 : 1;
    return x->from != y->from ? x->from - y->from : x->to - y->to;
}

struct candidates {
    struct candidate *c;
    size_t n, cap, pairs; /* that were tested; that there are */
};

static void push(struct candidates *all, struct candidate one)
{
    ac_grow(&all->c, &all->cap, all->n + 1, sizeof(all->c[0]));
    all->c[all->n++] = one;
}

/* Of what is sampled more rarely than others it cannot be said when it moves. */
static bool is_dense(const struct rca_check *k, int node)
{
    return k->s[node].v && k->s[node].hold == 1;
}

static bool far_apart(const struct rca_check *k, int x, int y)
{
    return x != y && is_dense(k, x) && is_dense(k, y) && !related(k->g, x, y) &&
           !adjacent(k->g, x, y);
}

static void collect_near(struct rca_check *k, struct candidates *ret)
{
    struct kin kin;
    int nodes = (int)k->g->nnodes;
    kin_init(&kin, k->g);
    for (int x = 0; x < nodes; x++) {
        if (!is_dense(k, x))
            continue;
        reach(&kin, x, false, kin.below);
        reach(&kin, x, true, kin.above);
        for (int y = x + 1; y < nodes; y++) {
            struct candidate one;
            if (is_dense(k, y) && related(k->g, x, y) && !adjacent(k->g, x, y) &&
                test_pair(k, &kin, x, y, &one))
                push(ret, one);
        }
    }
    kin_fini(&kin);
    ret->pairs = ret->n;
}

struct stranger {
    int node;
    double r;
};

/* The strangers that each moves with most, at once; returns how many pairs of them there are. */
static size_t find_strangers(const struct rca_check *k, struct stranger (*most)[STRANGERS])
{
    size_t pairs = 0;
    int nodes = (int)k->g->nnodes;
    for (int x = 0; x < nodes; x++)
        for (int y = x + 1; y < nodes; y++) {
            double r = 0;
            if (!far_apart(k, x, y))
                continue;
            for (size_t i = 0; i < k->rows; i++)
                r += k->s[x].v[i] * k->s[y].v[i];
            r = fabs(r) / (double)k->rows; /* normal scores: of variance 1 */
            pairs++;
            for (int side = 0; side < 2 && r >= WORTH; side++) {
                struct stranger *m = most[side ? y : x];
                size_t at = STRANGERS;
                while (at > 0 && m[at - 1].r < r)
                    at--;
                if (at == STRANGERS)
                    continue;
                memmove(m + at + 1, m + at, (STRANGERS - 1 - at) * sizeof(*m));
                m[at] = (struct stranger){side ? x : y, r};
            }
        }
    return pairs;
}

/* Who has nothing to do with the other does not drive it: what is left between the two when the
 * causes of either are given comes from something unseen, such as a host that they share. */
static void collect_far(struct rca_check *k, struct candidates *ret)
{
    static const int at_once[2] = {0, 0};
    struct kin kin;
    int nodes = (int)k->g->nnodes;
    struct stranger(*most)[STRANGERS] = ac_xcalloc((size_t)nodes + 1, sizeof(*most));
    ret->pairs = find_strangers(k, most);
    kin_init(&kin, k->g);
    for (int x = 0; x < nodes; x++) {
        if (!(most[x][0].r > 0.0))
            continue;
        reach(&kin, x, false, kin.below);
        reach(&kin, x, true, kin.above);
        for (size_t i = 0; i < STRANGERS && most[x][i].r > 0.0; i++) {
            int y = most[x][i].node;
            bool twice = false; /* it names x, too, and comes earlier */
            for (size_t j = 0; j < STRANGERS && y < x; j++)
                twice = twice || (most[y][j].r > 0.0 && most[y][j].node == x);
            if (twice || (kin.below[y] && kin.above[y]))
                continue;
            struct candidate one = {.from = x, .to = y, .confounded = true, .why = STRANGE};
            one.f = rca_check_pair(k, x, y, kin.above[y] ? x : y, at_once);
            double weakest = fabs(one.f.r);
            if (!kin.above[y] && !kin.below[y]) {
                struct rca_finding other = rca_check_pair(k, x, y, x, at_once);
                one.f.ok = one.f.ok && other.ok;
                one.f.p = fmax(one.f.p, other.p);
                weakest = fmin(weakest, fabs(other.r));
            }
            if (one.f.ok && weakest >= WORTH)
                push(ret, one);
        }
    }
    kin_fini(&kin);
    free(most);
}

/* Benjamini and Hochberg: as many of the smallest p as keep the share of false ones. */
static size_t keep(const struct rca_check *k, struct candidates *all)
{
    size_t kept = 0;
    if (all->n > 1)
        qsort(all->c, all->n, sizeof(all->c[0]), by_p);
    for (size_t i = 0; i < all->n; i++)
        if (all->c[i].f.p < 1.0 && all->c[i].f.p <= k->p.fdr * (double)(i + 1) / (double)all->pairs)
            kept = i + 1;
    return kept;
}

/* False when there is no room. What knowledge forbids is not proposed. */
static bool add(struct rca_check *k, const struct candidate *c)
{
    enum ac_rca_edge_kind kind = c->confounded ? AC_RCA_CONFOUNDED : AC_RCA_CAUSES;
    if (!ac_rca_graph_may(k->g, c->from, c->to, kind))
        return true;
    int e = ac_rca_graph_edge(k->g, c->from, c->to, kind, PROPOSED, NULL);
    if (e < 0)
        return false;
    k->g->edges[e].state = AC_RCA_PROPOSED;
    k->g->edges[e].sign = c->f.r > 0.0 ? 1 : -1;
    if (!c->confounded)
        k->g->edges[e].lag_s = (double)c->f.lag * (double)k->step_ns / 1e9;
    rca_check_say(k, e, &c->f, c->why, "");
    rca_check_suggest(k, e, &c->f, false);
    k->out->proposed++;
    return true;
}

static int group_of(int *group, int i)
{
    while (group[i] != i)
        i = group[i] = group[group[i]];
    return i;
}

void rca_propose(struct rca_check *k)
{
    struct candidates near = {0}, far = {0};
    collect_near(k, &near);
    collect_far(k, &far); /* before the graph changes */
    size_t kept = keep(k, &near);
    for (size_t i = 0; i < kept; i++)
        if (!add(k, &near.c[i]))
            break;
    free(near.c);
    /* One unseen thing joins all that it drives: each is named once, by its clearest pair. */
    int *group = ac_xcalloc(k->g->nnodes + 1, sizeof(int));
    for (size_t i = 0; i < k->g->nnodes; i++)
        group[i] = (int)i;
    kept = keep(k, &far);
    for (size_t i = 0; i < kept; i++) {
        int a = group_of(group, far.c[i].from), b = group_of(group, far.c[i].to);
        if (a == b)
            continue;
        group[a] = b;
        if (!add(k, &far.c[i]))
            break;
    }
    free(group);
    free(far.c);
}
