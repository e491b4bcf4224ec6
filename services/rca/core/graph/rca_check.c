#include "graph/rca_check.h"

#include "rca_deviate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#define MAX_ROWS     4096
#define MAX_CONTROLS RCA_CHECK_CONTROLS
#define MIN_ROWS     RCA_CHECK_MIN_ROWS

/* ---- the grid ---- */

static bool varies(const double *v, size_t n)
{
    double lo = INFINITY, hi = -INFINITY;
    for (size_t r = 0; r < n; r++) {
        lo = fmin(lo, v[r]);
        hi = fmax(hi, v[r]);
    }
    return hi - lo > 1e-9 * fmax(fabs(lo), fabs(hi));
}

/* Rows for which a sample counts: as many as lie between two of its measurement. */
static size_t held_rows(const struct ac_rca_metric *m, int64_t step)
{
    int64_t rows = (ac_rca_metric_step_ns(m) + step / 2) / step;
    return rows > 1 ? (size_t)rows : 1;
}

/* Mean of each cell; gaps, and the cells between two samples of what is sampled more rarely, take
 * the value before. False when more than half is gaps, or there are too few samples. */
static bool on_grid(const struct ac_rca_metric *m, int64_t from, int64_t step, size_t rows,
                    double *v)
{
    size_t at = 0, filled = 0, last_row = 0, hold = held_rows(m, step);
    double last = NAN;
    for (size_t r = 0; r < rows; r++) {
        int64_t begin = from + (int64_t)r * step;
        double sum = 0;
        size_t n = 0;
        while (at < m->n && m->t_ns[at] < begin)
            at++;
        for (; at < m->n && m->t_ns[at] < begin + step; at++, n++)
            sum += m->v[at];
        if (n > 0) {
            last = sum / (double)n;
            last_row = r;
        }
        filled += !isnan(last) && r - last_row < hold;
        v[r] = last;
    }
    for (size_t r = rows; r-- > 0;) /* what lies before the first sample */
        if (isnan(v[r]))
            v[r] = r + 1 < rows ? v[r + 1] : NAN;
    return 2 * filled >= rows && rows / hold >= MIN_ROWS;
}

/* Takes the line through the medians of the first and the last third away: two that only grow have
 * nothing to do with each other, and no single value tilts it. False when nothing else is there. */
static bool detrend(double *v, size_t n, double *work)
{
    size_t third = n / 3;
    double size = 0;
    memcpy(work, v, third * sizeof(double));
    double first = ac_stats_median(work, third);
    memcpy(work, v + n - third, third * sizeof(double));
    double slope = (ac_stats_median(work, third) - first) / (double)(n - third);
    for (size_t i = 0; i < n; i++) {
        size = fmax(size, fabs(v[i]));
        v[i] -= first + slope * ((double)i - 0.5 * (double)(third - 1));
    }
    for (size_t i = 0; i < n; i++)
        if (fabs(v[i] - v[0]) > 1e-9 * size)
            return true;
    return false;
}

/* Ranks as normal scores: one huge value must not decide. */
static void gaussianise(double *v, size_t n, double *work)
{
    ac_stats_ranks(v, n, work);
    for (size_t i = 0; i < n; i++)
        v[i] = ac_stats_normal_quantile((work[i] - 0.5) / (double)n);
}

/* Makes a series that tests can use; returns why it is of no use, or NULL. One that is constant on
 * either side of the split is one step there, and tells no more than when that was. */
static const char *prepare(const struct rca_check *k, const struct ac_rca_metric *m, int64_t first,
                           double *v)
{
    size_t split = 0;
    if (k->p.split_ns > first)
        split = AC_MIN((size_t)((k->p.split_ns - first) / k->step_ns), k->rows);
    if (!on_grid(m, first, k->step_ns, k->rows, v))
        return "too few samples";
    if (!varies(v, k->rows))
        return "constant";
    if (split > 1 && k->rows - split > 1 &&
        (!varies(v, split) || !varies(v + split, k->rows - split)))
        return "constant before the incident, or in it";
    if (!detrend(v, k->rows, k->work))
        return "a straight line";
    gaussianise(v, k->rows, k->work);
    return NULL;
}

int rca_check_init(struct rca_check *k, struct ac_rca_graph *g, const struct ac_rca_case *c,
                   const struct ac_rca_validate_params *p, struct ac_err *err)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    *k = (struct rca_check){.g = g, .p = *p};
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
    k->work = ac_xcalloc(RCA_CHECK_COLUMNS * k->rows, sizeof(double));
    k->s = ac_xcalloc(g->nnodes + 1, sizeof(k->s[0]));
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ac_rca_metric *m = ac_rca_graph_metric(c, &g->nodes[i]);
        if (!m)
            continue;
        k->s[i].v = ac_xcalloc(k->rows, sizeof(double));
        k->s[i].hold = held_rows(m, k->step_ns);
        k->s[i].why = prepare(k, m, first, k->s[i].v);
        if (k->s[i].why) {
            free(k->s[i].v);
            k->s[i].v = NULL;
        }
    }
    return 0;
}

void rca_check_fini(struct rca_check *k)
{
    for (size_t i = 0; k->s && i < k->g->nnodes; i++)
        free(k->s[i].v);
    free(k->s);
    free(k->edits);
    free(k->work);
}

/* ---- one test ---- */

struct question { /* does effect follow cause, given the other causes of one of the two? */
    int cause, effect, of;
    struct rca_control given[MAX_CONTROLS];
    size_t n_given, left_out;
};

int rca_check_lag(const struct rca_check *k, const struct ac_rca_gedge *e)
{
    double lag = e->lag_s * 1e9 / (double)k->step_ns + 0.5;
    return lag > 0.0 ? (int)fmin(lag, (double)k->p.max_lag) : 0;
}

/* Those other causes that have data, by confidence. */
static void find_controls(const struct rca_check *k, struct question *q)
{
    int partner = q->of == q->effect ? q->cause : q->effect;
    for (size_t i = 0; i < k->g->nedges; i++) {
        const struct ac_rca_gedge *e = &k->g->edges[i];
        if (e->kind != AC_RCA_CAUSES || e->to != q->of || e->from == partner || !k->s[e->from].v ||
            e->state == AC_RCA_CONTRADICTED || e->state == AC_RCA_PROPOSED)
            continue;
        size_t at = q->n_given;
        if (at == MAX_CONTROLS) {
            q->left_out++;
            if (q->given[--at].confidence >= e->confidence)
                continue;
        } else {
            q->n_given++;
        }
        for (; at > 0 && q->given[at - 1].confidence < e->confidence; at--)
            q->given[at] = q->given[at - 1];
        q->given[at] = (struct rca_control){e->from, rca_check_lag(k, e), e->confidence};
    }
}

size_t rca_check_controls(const struct rca_check *k, int cause, int effect,
                          struct rca_control ret[MAX_CONTROLS])
{
    struct question q = {.cause = cause, .effect = effect, .of = effect};
    find_controls(k, &q);
    memcpy(ret, q.given, q.n_given * sizeof(ret[0]));
    return q.n_given;
}

bool rca_sweep_out(double *v, const double *basis, size_t columns, size_t n, double *ret_length)
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
    *ret_length = length = sqrt(length);
    for (size_t i = 0; i < n; i++)
        v[i] /= length;
    return true;
}

/* Partial correlation of the effect with the cause lag samples earlier. */
static struct rca_finding test_lag(struct rca_check *k, const struct question *q, int lag)
{
    size_t before = q->of == q->effect ? 0 : (size_t)lag, head = (size_t)lag, columns = 0;
    double *basis = k->work, length;
    struct rca_finding f = {.lag = lag};
    for (size_t j = 0; j < q->n_given; j++)
        head = AC_MAX(head, before + (size_t)q->given[j].lag);
    if (head + MIN_ROWS > k->rows)
        return f;
    size_t n = k->rows - head;
    double *a = basis + MAX_CONTROLS * n, *b = a + n;
    for (size_t j = 0; j < q->n_given; j++) {
        const struct rca_control *c = &q->given[j];
        memcpy(basis + columns * n, k->s[c->node].v + head - before - (size_t)c->lag,
               n * sizeof(double));
        columns += rca_sweep_out(basis + columns * n, basis, columns, n, &length);
    }
    memcpy(a, k->s[q->cause].v + head - (size_t)lag, n * sizeof(double));
    memcpy(b, k->s[q->effect].v + head, n * sizeof(double));
    if (!rca_sweep_out(a, basis, columns, n, &length) ||
        !rca_sweep_out(b, basis, columns, n, &length))
        return f;
    for (size_t i = 0; i < n; i++)
        f.r += a[i] * b[i];
    f.r = fmax(-1.0, fmin(1.0, f.r));
    size_t hold = AC_MAX(k->s[q->cause].hold, k->s[q->effect].hold);
    f.n_eff = fmin(ac_stats_effective_n(a, b, n, AC_MIN(n / 4, 50)), (double)n / (double)hold);
    double df = f.n_eff - (double)columns - 2.0;
    if (!(df > 1.0))
        return f;
    double t = f.r * sqrt(df / fmax(1e-12, 1.0 - f.r * f.r));
    f.p = 2.0 * ac_stats_t_sf(fabs(t), df);
    f.ok = !isnan(f.p);
    k->out->tests++;
    return f;
}

bool rca_check_clearer(const struct rca_finding *a, const struct rca_finding *b)
{
    return a->p < b->p || (!(a->p > b->p) && fabs(a->r) > fabs(b->r)); /* both may be 0 */
}

struct rca_finding rca_check_pair(struct rca_check *k, int cause, int effect, int of,
                                  const int lags[2])
{
    struct question q = {.cause = cause, .effect = effect, .of = of};
    struct rca_finding best = {.p = 1.0};
    int tried = 0;
    find_controls(k, &q);
    for (int lag = lags[0]; lag <= lags[1]; lag++) {
        struct rca_finding f = test_lag(k, &q, lag);
        tried += f.ok;
        if (f.ok && (!best.ok || rca_check_clearer(&f, &best)))
            best = f;
    }
    best.p = fmin(1.0, best.p * AC_MAX(tried, 1));
    best.left_out = q.left_out;
    return best;
}

/* ---- what is found ---- */

void rca_check_say(struct rca_check *k, int edge, const struct rca_finding *f, const char *verdict,
                   const char *more)
{
    char text[360], others[64] = "";
    struct ac_rca_gedge *e = &k->g->edges[edge];
    double confidence = e->confidence;
    if (f->left_out > 0)
        (void)snprintf(others, sizeof(others), "; further causes that were not held fixed: %zu",
                       f->left_out);
    (void)snprintf(text, sizeof(text),
                   "data: %s; partial correlation %.2f at lag %.3g s, p %.2g, "
                   "effective samples %.0f%s%s",
                   verdict, f->r, (double)f->lag * (double)k->step_ns / 1e9, f->p, f->n_eff, others,
                   more);
    (void)ac_rca_graph_edge(k->g, e->from, e->to, e->kind, 0.0, text);
    k->g->edges[edge].confidence = confidence;
}

void rca_check_suggest(struct rca_check *k, int edge, const struct rca_finding *f, bool wrong_way)
{
    ac_grow(&k->edits, &k->edits_cap, k->nedits + 1, sizeof(k->edits[0]));
    k->edits[k->nedits++] =
        (struct rca_edit){.edge = edge, .n_eff = f->n_eff, .wrong_way = wrong_way};
}
