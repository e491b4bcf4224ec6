#include "graph/rca_validate.h"

#include "rca_deviate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#define MAX_ROWS     4096
#define MAX_CONTROLS 6 /* other causes of the effect that are held fixed, strongest first */
#define MAX_COLUMNS  (MAX_CONTROLS + 2)
#define MIN_ROWS     24

struct series { /* of a node, on the common grid; NULL: not measured, or without variation */
    double *v;
};

struct check {
    struct ac_rca_graph *g;
    struct ac_rca_validate_params p;
    struct series *s; /* by node */
    size_t rows;
    int64_t step_ns;
    struct ac_rca_validation *out;
    double *work; /* (MAX_COLUMNS + 2) * rows */
};

/* ---- the grid ---- */

static const struct ac_rca_metric *metric_of(const struct ac_rca_case *c,
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

/* Mean of each cell; gaps take the value before. False when more than half is gaps or constant. */
static bool on_grid(const struct ac_rca_metric *m, int64_t from, int64_t step, size_t rows,
                    double *v)
{
    size_t at = 0, filled = 0;
    double last = NAN, lo = INFINITY, hi = -INFINITY;
    for (size_t r = 0; r < rows; r++) {
        int64_t begin = from + (int64_t)r * step;
        double sum = 0;
        size_t n = 0;
        while (at < m->n && m->t_ns[at] < begin)
            at++;
        for (; at < m->n && m->t_ns[at] < begin + step; at++, n++)
            sum += m->v[at];
        if (n > 0)
            last = sum / (double)n;
        filled += n > 0;
        v[r] = last;
    }
    for (size_t r = rows; r-- > 0;) /* what lies before the first sample */
        if (isnan(v[r]))
            v[r] = r + 1 < rows ? v[r + 1] : NAN;
    for (size_t r = 0; r < rows; r++) {
        lo = fmin(lo, v[r]);
        hi = fmax(hi, v[r]);
    }
    return 2 * filled >= rows && hi - lo > 1e-9 * fmax(fabs(lo), fabs(hi));
}

/* Ranks as normal scores: one huge value must not decide. */
static void gaussianise(double *v, size_t n, double *work)
{
    ac_stats_ranks(v, n, work);
    for (size_t i = 0; i < n; i++)
        v[i] = ac_stats_normal_quantile((work[i] - 0.5) / (double)n);
}

static int grid(struct check *k, const struct ac_rca_case *c, struct ac_err *err)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < c->nmetrics; i++) {
        if (c->metrics[i].n == 0)
            continue;
        first = AC_MIN(first, c->metrics[i].t_ns[0]);
        last = AC_MAX(last, c->metrics[i].t_ns[c->metrics[i].n - 1]);
    }
    if (k->p.to_ns > 0) {
        first = AC_MAX(first, k->p.from_ns);
        last = AC_MIN(last, k->p.to_ns);
    }
    k->step_ns = ac_rca_step_ns(c);
    if (first >= last || (last - first) / k->step_ns < MIN_ROWS)
        return ac_err_set(err, AC_EINVAL, "fewer than %d samples: nothing can be tested", MIN_ROWS);
    k->step_ns = AC_MAX(k->step_ns, (last - first) / MAX_ROWS + 1);
    k->rows = (size_t)((last - first) / k->step_ns) + 1;
    k->work = ac_xcalloc((MAX_COLUMNS + 2) * k->rows, sizeof(double));
    for (size_t i = 0; i < k->g->nnodes; i++) {
        const struct ac_rca_metric *m = metric_of(c, &k->g->nodes[i]);
        if (!m)
            continue;
        k->s[i].v = ac_xcalloc(k->rows, sizeof(double));
        if (on_grid(m, first, k->step_ns, k->rows, k->s[i].v)) {
            gaussianise(k->s[i].v, k->rows, k->work);
        } else {
            free(k->s[i].v);
            k->s[i].v = NULL;
        }
    }
    return 0;
}

/* ---- one test ---- */

/* Other causes of an effect that have data, by confidence. */
static size_t controls(const struct check *k, int x, int y, int *out)
{
    double conf[MAX_CONTROLS];
    size_t n = 0;
    for (size_t i = 0; i < k->g->nedges; i++) {
        const struct ac_rca_gedge *e = &k->g->edges[i];
        if (e->kind != AC_RCA_CAUSES || e->to != y || e->from == x || !k->s[e->from].v ||
            e->state == AC_RCA_CONTRADICTED || e->state == AC_RCA_PROPOSED)
            continue;
        size_t at = n < MAX_CONTROLS ? n++ : MAX_CONTROLS;
        if (at == MAX_CONTROLS) {
            if (conf[MAX_CONTROLS - 1] >= e->confidence)
                continue;
            at = MAX_CONTROLS - 1;
        }
        for (; at > 0 && conf[at - 1] < e->confidence; at--) {
            conf[at] = conf[at - 1];
            out[at] = out[at - 1];
        }
        conf[at] = e->confidence;
        out[at] = e->from;
    }
    return n;
}

/* What is left of v after the columns before it (orthonormal) are taken out; false: nothing. */
static bool sweep_out(double *v, const double *basis, size_t columns, size_t n)
{
    double mean = ac_stats_mean(v, n), length = 0;
    for (size_t i = 0; i < n; i++)
        v[i] -= mean;
    for (int twice = 0; twice < 2; twice++)
        for (size_t j = 0; j < columns; j++) {
            double dot = 0;
            for (size_t i = 0; i < n; i++)
                dot += v[i] * basis[j * n + i];
            for (size_t i = 0; i < n; i++)
                v[i] -= dot * basis[j * n + i];
        }
    for (size_t i = 0; i < n; i++)
        length += v[i] * v[i];
    if (!(length > 1e-9 * (double)n))
        return false;
    length = sqrt(length);
    for (size_t i = 0; i < n; i++)
        v[i] /= length;
    return true;
}

struct finding {
    double r, n_eff, p;
    int lag;
    bool ok;
};

/* Partial correlation of y with x lag samples earlier, given the controls. */
static struct finding test_lag(struct check *k, int x, int y, const int *given, size_t n_given,
                               int lag)
{
    size_t n = k->rows - (size_t)lag, columns = 0;
    double *basis = k->work, *a = k->work + MAX_CONTROLS * k->rows, *b = a + k->rows;
    struct finding f = {.lag = lag};
    for (size_t j = 0; j < n_given; j++) {
        memcpy(basis + columns * n, k->s[given[j]].v + lag, n * sizeof(double));
        columns += sweep_out(basis + columns * n, basis, columns, n);
    }
    memcpy(a, k->s[x].v, n * sizeof(double));
    memcpy(b, k->s[y].v + lag, n * sizeof(double));
    if (!sweep_out(a, basis, columns, n) || !sweep_out(b, basis, columns, n))
        return f;
    for (size_t i = 0; i < n; i++)
        f.r += a[i] * b[i];
    f.r = fmax(-1.0, fmin(1.0, f.r));
    f.n_eff = ac_stats_effective_n(a, b, n, AC_MIN(n / 4, 50));
    double df = f.n_eff - (double)columns - 2.0;
    if (!(df > 1.0))
        return f;
    double t = f.r * sqrt(df / fmax(1e-12, 1.0 - f.r * f.r));
    f.p = 2.0 * ac_stats_t_sf(fabs(t), df);
    f.ok = !isnan(f.p);
    k->out->tests++;
    return f;
}

/* The best lag; its p counts for all that were tried. */
static struct finding test_edge(struct check *k, int x, int y)
{
    int given[MAX_CONTROLS];
    size_t n_given = controls(k, x, y, given);
    struct finding best = {.p = 1.0};
    int tried = 0;
    for (int lag = 0; lag <= k->p.max_lag && (size_t)lag + MIN_ROWS <= k->rows; lag++) {
        struct finding f = test_lag(k, x, y, given, n_given, lag);
        tried += f.ok;
        if (f.ok && (!best.ok || f.p < best.p))
            best = f;
    }
    best.p = fmin(1.0, best.p * AC_MAX(tried, 1));
    return best;
}

/* ---- verdicts ---- */

static double shift_odds(double confidence, double by)
{
    double c = fmax(0.01, fmin(0.99, confidence));
    return 1.0 / (1.0 + (1.0 - c) / c * exp(-by));
}

/* BIC of a linear effect of strength r over n samples, in nats. */
static double gain_of(const struct finding *f)
{
    return -0.5 * f->n_eff * log(fmax(1e-12, 1.0 - f->r * f->r)) - 0.5 * log(fmax(2.0, f->n_eff));
}

static void add_edit(struct check *k, int edge, double gain)
{
    struct ac_rca_validation *v = k->out;
    ac_grow(&v->edits, &v->edits_cap, v->nedits + 1, sizeof(v->edits[0]));
    v->edits[v->nedits++] = (struct ac_rca_refinement){edge, gain};
}

static void say(struct check *k, int edge, const struct finding *f, const char *verdict)
{
    char text[200];
    struct ac_rca_gedge *e = &k->g->edges[edge];
    double confidence = e->confidence;
    (void)snprintf(text, sizeof(text),
                   "data: %s; partial correlation %.2f at lag %.3g s, p %.2g, "
                   "effective samples %.0f",
                   verdict, f->r, (double)f->lag * (double)k->step_ns / 1e9, f->p, f->n_eff);
    (void)ac_rca_graph_edge(k->g, e->from, e->to, e->kind, 0.0, text);
    k->g->edges[edge].confidence = confidence;
}

static void judge(struct check *k, int edge, struct finding f)
{
    struct ac_rca_gedge *e = &k->g->edges[edge];
    e->state = AC_RCA_UNTESTED;
    k->out->untested++;
    if (!f.ok)
        return;
    /* The correlation that would be seen four times in five at this number of samples. */
    double seen = 2.8 / sqrt(fmax(1.0, f.n_eff - 3.0));
    bool wrong_way = e->sign != 0 && f.r * e->sign < 0.0;
    if (f.p < k->p.alpha && !wrong_way) {
        e->state = AC_RCA_SUPPORTED;
        e->confidence = shift_odds(e->confidence, 1.5);
        e->lag_s = (double)f.lag * (double)k->step_ns / 1e9;
        k->out->supported++;
        say(k, edge, &f, "supported");
    } else if (f.p < k->p.alpha ? wrong_way && fabs(f.r) > k->p.detectable
                                : f.p > k->p.alpha_weak && seen <= k->p.detectable) {
        e->state = AC_RCA_CONTRADICTED;
        e->confidence = shift_odds(e->confidence, -1.5);
        k->out->contradicted++;
        say(k, edge, &f, wrong_way && f.p < k->p.alpha ? "moves the other way" : "not seen");
        add_edit(k, edge, wrong_way ? fabs(gain_of(&f)) : -gain_of(&f));
    } else {
        return;
    }
    k->out->untested--;
}

/* All tests are made on the graph as it came, so that the order of edges does not matter. */
static void judge_all(struct check *k)
{
    size_t n = k->g->nedges;
    struct finding *f = ac_xcalloc(n + 1, sizeof(*f));
    for (size_t i = 0; i < n; i++) {
        const struct ac_rca_gedge *e = &k->g->edges[i];
        if (e->kind == AC_RCA_CAUSES && k->s[e->from].v && k->s[e->to].v)
            f[i] = test_edge(k, e->from, e->to); /* else not measured, or it never moved */
    }
    for (size_t i = 0; i < n; i++)
        if (k->g->edges[i].kind == AC_RCA_CAUSES)
            judge(k, (int)i, f[i]);
    free(f);
}

/* ---- what is missing ---- */

struct candidate {
    int from, to;
    struct finding f;
};

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

static int by_p(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->f.p != y->f.p)
        return x->f.p < y->f.p ? -1 : 1;
    return x->from != y->from ? x->from - y->from : x->to - y->to;
}

/* The graph says that y depends on nothing that is no effect of it, given its causes. Where data
 * say otherwise, among neighbours, the one that moves first is proposed as a cause. */
static size_t collect(struct check *k, struct candidate **ret)
{
    struct candidate *c = NULL;
    size_t n = 0, cap = 0;
    int nodes = (int)k->g->nnodes;
    for (int x = 0; x < nodes; x++)
        for (int y = x + 1; y < nodes; y++) {
            if (!k->s[x].v || !k->s[y].v || !related(k->g, x, y) ||
                ac_rca_graph_edge_find(k->g, x, y, AC_RCA_CAUSES) >= 0 ||
                ac_rca_graph_edge_find(k->g, y, x, AC_RCA_CAUSES) >= 0)
                continue;
            struct finding a = test_edge(k, x, y), b = test_edge(k, y, x);
            if (!a.ok || !b.ok)
                continue;
            bool forward = a.lag != b.lag ? a.lag > b.lag : a.p <= b.p;
            ac_grow(&c, &cap, n + 1, sizeof(c[0]));
            c[n++] = forward ? (struct candidate){x, y, a} : (struct candidate){y, x, b};
            /* Dependent whichever side is given; what is weak is no cause worth a proposal. */
            c[n - 1].f.p = fmin(fabs(a.r), fabs(b.r)) < k->p.detectable ? 1.0 : fmax(a.p, b.p);
        }
    if (n > 1)
        qsort(c, n, sizeof(c[0]), by_p);
    *ret = c;
    return n;
}

/* Benjamini and Hochberg: as many of the smallest p as keep the share of false ones. */
static void propose(struct check *k)
{
    struct candidate *c;
    size_t n = collect(k, &c), keep = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].f.p < 1.0 && c[i].f.p <= k->p.fdr * (double)(i + 1) / (double)n)
            keep = i + 1;
    for (size_t i = 0; i < keep; i++) {
        int e = ac_rca_graph_edge(k->g, c[i].from, c[i].to, AC_RCA_CAUSES, 0.4, NULL);
        if (e < 0)
            break;
        k->g->edges[e].state = AC_RCA_PROPOSED;
        k->g->edges[e].sign = c[i].f.r > 0.0 ? 1 : -1;
        k->g->edges[e].lag_s = (double)c[i].f.lag * (double)k->step_ns / 1e9;
        say(k, e, &c[i].f, "no document knows it");
        add_edit(k, e, gain_of(&c[i].f));
        k->out->proposed++;
    }
    free(c);
}

static int by_gain(const void *a, const void *b)
{
    const struct ac_rca_refinement *x = a, *y = b;
    if (x->gain != y->gain)
        return x->gain > y->gain ? -1 : 1;
    return x->edge - y->edge;
}

void ac_rca_mark_hidden(struct ac_rca_graph *g, const struct ac_rca_case *c)
{
    for (size_t i = 0; i < g->nnodes; i++)
        if (g->nodes[i].kind != AC_RCA_OTHER)
            g->nodes[i].hidden = !metric_of(c, &g->nodes[i]);
}

int ac_rca_validate(struct ac_rca_graph *g, const struct ac_rca_case *c,
                    const struct ac_rca_validate_params *p, struct ac_rca_validation *ret,
                    struct ac_err *err)
{
    struct ac_rca_validation v = {0};
    struct check k = {.g = g, .p = *p, .out = &v};
    k.p.alpha = p->alpha > 0.0 ? p->alpha : 0.01;
    k.p.alpha_weak = p->alpha_weak > 0.0 ? p->alpha_weak : 0.2;
    k.p.detectable = p->detectable > 0.0 ? p->detectable : 0.2;
    k.p.fdr = p->fdr > 0.0 ? p->fdr : 0.05;
    k.p.max_lag = p->max_lag > 0 ? AC_MIN(p->max_lag, 64) : 6;
    k.s = ac_xcalloc(g->nnodes + 1, sizeof(k.s[0]));
    int rc = grid(&k, c, err);
    if (!rc) {
        ac_rca_mark_hidden(g, c);
        judge_all(&k);
        propose(&k);
    }
    if (v.nedits > 1)
        qsort(v.edits, v.nedits, sizeof(v.edits[0]), by_gain);
    for (size_t i = 0; i < g->nnodes; i++)
        free(k.s[i].v);
    free(k.s);
    free(k.work);
    if (rc) {
        ac_rca_validation_fini(&v);
        return rc;
    }
    *ret = v;
    return 0;
}

void ac_rca_validation_fini(struct ac_rca_validation *v)
{
    free(v->edits);
    memset(v, 0, sizeof(*v));
}
