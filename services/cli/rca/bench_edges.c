/* How strong an edge must be to count as contradicted when it is not seen. Graphs of known networks
 * lose some edges and get wrong ones, and are validated on few samples; what suits is chosen on one
 * half of the networks and reported on the other. */
#include "rca/bench_edges.h"

#include "verbs.h"

#include <math.h>
#include <stdio.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#include "graph/rca_validate.h"
#include "rca/networks.h"

#define SEEDS      3
#define LEFT_OUT   0.2 /* of the true edges */
#define PER_WRONG  3   /* true edges to one wrong one: a quarter of the judged is wrong */
#define MIN_WEIGHT 0.3 /* of linear effects */
#define MAX_WEIGHT 0.8

/* Seven in eight of the rows are enough: chance makes the effective number of some smaller. */
const struct rca_edges_size rca_edges_sizes[RCA_EDGES_SIZES] = {
    {150, 0.25}, {230, 0.2}, {405, 0.15}, {905, 0.1}};

/* A graph to be judged: pairs of variables, the wrong ones last. */
struct judged {
    int (*edge)[2];
    size_t n, wrong;
};

/* Effects of earlier variables on later ones, in the order of causes. */
static void choose_edges(const struct ac_rca_bif *b, struct ac_rng *r, struct judged *j)
{
    struct ac_rca_pdag g;
    size_t last = 0;
    ac_rca_pdag_init(&g, b->n);
    ac_rca_bif_dag(b, &g);
    j->n = j->wrong = 0;
    for (size_t i = 0; i < b->n; i++)
        last += b->v[i].nparents;
    j->edge = ac_xcalloc(2 * last + 2, sizeof(j->edge[0]));
    for (int a = 0; a < (int)b->n; a++)
        for (int c = 0; c < (int)b->n; c++)
            if (ac_rca_directed(&g, a, c) && ac_rng_uniform(r) >= LEFT_OUT) {
                j->edge[j->n][0] = a;
                j->edge[j->n++][1] = c;
            }
    size_t want = (j->n + PER_WRONG - 1) / PER_WRONG;
    for (size_t tries = 0; j->wrong < want && tries < 100 * b->n; tries++) {
        size_t at = ac_rng_below(r, b->n - 1), to = at + 1 + ac_rng_below(r, b->n - 1 - at);
        int a = b->order[at], c = b->order[to];
        if (ac_rca_adjacent(&g, a, c))
            continue;
        ac_rca_put(&g, a, c, AC_RCA_TAIL, AC_RCA_ARROW); /* not twice */
        j->edge[j->n][0] = a;
        j->edge[j->n++][1] = c;
        j->wrong++;
    }
    ac_rca_pdag_fini(&g);
}

static int draw_linear(const struct ac_rca_bif *b, size_t rows, struct ac_rng *r,
                       struct ac_rca_matrix *ret, struct ac_err *err)
{
    int rc = ac_rca_matrix_make(rows, b->n, ret, err);
    for (size_t i = 0; !rc && i < b->n; i++) {
        size_t v = (size_t)b->order[i];
        double *x = ret->x + v * rows;
        for (size_t t = 0; t < rows; t++)
            x[t] = ac_rng_normal(r);
        for (size_t k = 0; k < b->v[v].nparents; k++) {
            const double *cause = ret->x + (size_t)b->v[v].parents[k] * rows;
            double w = MIN_WEIGHT + (MAX_WEIGHT - MIN_WEIGHT) * ac_rng_uniform(r);
            for (size_t t = 0; t < rows; t++)
                x[t] += w * cause[t];
        }
    }
    return rc;
}

/* Each variable is the processor of a component of its own. */
static int add_variables(const struct ac_rca_matrix *m, struct ac_rca_case *c,
                         struct ac_rca_graph *g, int *node)
{
    for (size_t i = 0; i < m->p; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "v%zu", i);
        int component = ac_rca_component(c, name);
        if (component < 0)
            return component;
        int metric = ac_rca_metric_add(c, component, -1, AC_RCA_CPU, AC_RCA_MEAN, name);
        node[i] = ac_rca_graph_node(g, name, AC_RCA_CPU);
        if (metric < 0 || node[i] < 0)
            return AC_MIN(metric, node[i]);
        for (size_t t = 0; t < m->n; t++)
            ac_rca_metric_push(&c->metrics[metric], (int64_t)(t + 1) * AC_NS_PER_S,
                               m->x[i * m->n + t]);
    }
    return 0;
}

static void count(const struct ac_rca_graph *g, const struct judged *j, struct rca_verdicts *v)
{
    for (size_t i = 0; i < j->n; i++) { /* edges keep their places; proposals come behind them */
        bool wrong = i >= j->n - j->wrong;
        v->edges++;
        v->wrong += wrong;
        v->contradicted += g->edges[i].state == AC_RCA_CONTRADICTED;
        v->caught += wrong && g->edges[i].state == AC_RCA_CONTRADICTED;
        v->supported += g->edges[i].state == AC_RCA_SUPPORTED;
        v->confirmed += !wrong && g->edges[i].state == AC_RCA_SUPPORTED;
    }
}

static int judge(const struct ac_rca_matrix *m, const struct judged *j, double detectable,
                 struct rca_verdicts *v, struct ac_err *err)
{
    struct ac_rca_case *c = ac_rca_case_create();
    struct ac_rca_graph *g = ac_rca_graph_create();
    struct ac_rca_validation found;
    /* Rows that do not depend on each other have no lags to look at. */
    const struct ac_rca_validate_params p = {.detectable = detectable, .max_lag = 1};
    int *node = ac_xcalloc(m->p + 1, sizeof(int)), rc = add_variables(m, c, g, node);
    for (size_t i = 0; !rc && i < j->n; i++) {
        int e = ac_rca_graph_edge(g, node[j->edge[i][0]], node[j->edge[i][1]], AC_RCA_CAUSES, 0.5,
                                  "said");
        rc = AC_MIN(e, 0);
    }
    if (rc)
        (void)ac_err_set(err, rc, "the network is too large to validate");
    else
        rc = ac_rca_validate(g, c, &p, &found, err);
    if (!rc) {
        count(g, j, v);
        ac_rca_validation_fini(&found);
    }
    free(node);
    ac_rca_graph_destroy(g);
    ac_rca_case_destroy(c);
    return rc;
}

static int run_network(const char *name, const struct ac_rca_bif *b, void *arg, struct ac_err *err)
{
    struct rca_edges *e = arg;
    if (b->n > e->max_variables || b->n < 3) {
        cli_progress("%s: left out, %zu variables", name, b->n);
        return 0;
    }
    int half = e->networks[0] > e->networks[1], rc = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (int kind = 0; kind < RCA_EDGES_NKINDS; kind++)
            for (int size = 0; size < RCA_EDGES_SIZES && !rc; size++) {
                const struct rca_edges_size *s = &rca_edges_sizes[size];
                struct judged j;
                struct ac_rca_matrix m;
                struct ac_rng r;
                ac_rng_seed(&r, seed);
                choose_edges(b, &r, &j);
                rc = kind == RCA_EDGES_CLASSES ? ac_rca_bif_sample(b, s->rows, &r, &m, err)
                                               : draw_linear(b, s->rows, &r, &m, err);
                if (!rc) {
                    rc = judge(&m, &j, s->detectable, &e->v[half][kind][size], err);
                    ac_rca_matrix_fini(&m);
                }
                free(j.edge);
            }
    e->networks[half]++;
    cli_progress("%-12s %3zu variables, %s", name, b->n, half ? "reported" : "tuned on");
    return rc;
}

int rca_bench_edges(const char *dir, struct rca_edges *ret, struct ac_err *err)
{
    int rc = rca_networks(dir, run_network, ret, err);
    if (!rc && ret->networks[1] == 0)
        return ac_err_set(err, AC_EINVAL, "%s: two networks of 3 to %zu variables are needed", dir,
                          ret->max_variables);
    return rc;
}

double rca_edges_f1(const struct rca_edges *e, int half, int size)
{
    size_t caught = 0, sum = 0;
    for (int kind = 0; kind < RCA_EDGES_NKINDS; kind++) {
        const struct rca_verdicts *v = &e->v[half][kind][size];
        caught += v->caught;
        sum += v->contradicted + v->wrong;
    }
    return 2.0 * (double)caught / (double)AC_MAX(sum, 1);
}

int rca_edges_choice(const struct rca_edges *e)
{
    int size = 0;
    while (size + 1 < RCA_EDGES_SIZES &&
           rca_edges_f1(e, 0, size + 1) - rca_edges_f1(e, 0, size) >= 0.02)
        size++;
    return size;
}
