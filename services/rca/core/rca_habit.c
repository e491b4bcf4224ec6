/* Where nobody said who calls whom and there are too many measurements to learn a graph of: what
 * usually moves with each of them. */
#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <cblas.h>

#include <aceso/base.h>

#include "scorers/rca_frame.h"

#define NEIGHBOURS   8   /* measurements of other components that a measurement is compared with */
#define RIDGE        0.1 /* of the unit variance of each: neighbours are alike */
#define MAX_MEASURED 2048

struct rca_habit {
    size_t p, rows;
    int *metric;   /* of the case, by column */
    int64_t *t_ns; /* by row */
    double *rest;  /* column by column: deviations that the neighbours leave */
};

/* The columns of other components that correlate most with one, strongest first. */
static size_t neighbours_of(const struct ac_rca_case *c, const struct ac_rca_frame *f,
                            const double *r, size_t j, size_t ret[NEIGHBOURS])
{
    size_t n = 0;
    for (size_t i = 0; i < f->p; i++) {
        double s = fabs(r[j * f->p + i]);
        if (c->metrics[f->metric[i]].component == c->metrics[f->metric[j]].component)
            continue;
        size_t at = n < NEIGHBOURS ? n++ : NEIGHBOURS;
        for (; at > 0 && fabs(r[j * f->p + ret[at - 1]]) < s; at--)
            if (at < NEIGHBOURS)
                ret[at] = ret[at - 1];
        if (at < NEIGHBOURS)
            ret[at] = i;
    }
    return n;
}

/* Coefficients on the neighbours by Cholesky of their correlations; returns the variance left. */
static double fit(const double *r, size_t p, size_t j, const size_t *on, size_t n,
                  double coef[NEIGHBOURS])
{
    double l[NEIGHBOURS][NEIGHBOURS], y[NEIGHBOURS] = {0}, left = r[j * p + j];
    for (size_t a = 0; a < n; a++) {
        y[a] = r[j * p + on[a]];
        for (size_t b = 0; b <= a; b++) {
            double s = r[on[a] * p + on[b]] + (a == b ? RIDGE : 0.0);
            for (size_t k = 0; k < b; k++)
                s -= l[a][k] * l[b][k];
            l[a][b] = a == b ? sqrt(fmax(s, 1e-12)) : s / l[b][b];
        }
        for (size_t k = 0; k < a; k++)
            y[a] -= l[a][k] * y[k];
        y[a] /= l[a][a];
    }
    for (size_t a = n; a-- > 0;) {
        coef[a] = y[a];
        for (size_t k = a + 1; k < n; k++)
            coef[a] -= l[k][a] * coef[k];
        coef[a] /= l[a][a];
    }
    for (size_t a = 0; a < n; a++) { /* of the fit with the ridge: r'r - 2 c'r + c'Rc */
        left -= 2.0 * coef[a] * r[j * p + on[a]];
        for (size_t b = 0; b < n; b++)
            left += coef[a] * coef[b] * r[on[a] * p + on[b]];
    }
    return left;
}

static void leave(const struct ac_rca_case *c, const struct ac_rca_frame *f, const double *r,
                  struct rca_habit *h)
{
    size_t rows = h->rows;
    for (size_t j = 0; j < h->p; j++) {
        size_t on[NEIGHBOURS];
        double coef[NEIGHBOURS], *to = h->rest + j * rows;
        size_t n = neighbours_of(c, f, r, j, on);
        double sd = sqrt(fmax(fit(r, h->p, j, on, n, coef), 1e-6));
        memcpy(to, f->x + j * rows, rows * sizeof(*to));
        for (size_t a = 0; a < n; a++)
            for (size_t t = 0; t < rows; t++)
                to[t] -= coef[a] * f->x[on[a] * rows + t];
        for (size_t t = 0; t < rows; t++)
            to[t] /= sd;
    }
}

struct rca_habit *rca_habit_create(const struct ac_rca_case *c, const struct ac_rca_params *p)
{
    struct ac_rca_frame f;
    struct ac_rca_params q = *p;
    size_t n = rca_calls_unknown(c);
    if (p->target >= 0 || (p->without >> AC_RCA_RESIDUAL) & 1u || n <= RCA_MAX_LEARNT ||
        n > MAX_MEASURED)
        return NULL;
    q.margin_ns = q.margin_ns > 0 ? q.margin_ns : RCA_MARGIN_NS;
    struct ac_rca_graph *none = ac_rca_graph_create(); /* what drives what is not asked */
    int rc = ac_rca_frame_make(c, &q, none, 0, &f, NULL);
    ac_rca_graph_destroy(none);
    if (rc)
        return NULL;
    struct rca_habit *h = ac_xcalloc(1, sizeof(*h));
    h->p = f.p;
    h->rows = f.normal + f.faulty;
    h->rest = ac_xcalloc(f.p * h->rows + 1, sizeof(double));
    double *r = ac_xcalloc(f.p * f.p + 1, sizeof(double));
    if (f.p > 0)
        cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, (int)f.p, (int)f.normal,
                    1.0 / (double)f.normal, f.x, (int)h->rows, 0.0, r, (int)f.p);
    for (size_t j = 0; j < f.p; j++)
        for (size_t i = 0; i < j; i++)
            r[i * f.p + j] = r[j * f.p + i];
    leave(c, &f, r, h);
    free(r);
    h->metric = f.metric;
    h->t_ns = f.t_ns;
    f.metric = NULL;
    f.t_ns = NULL;
    ac_rca_frame_fini(&f);
    return h;
}

void rca_habit_destroy(struct rca_habit *h)
{
    if (!h)
        return;
    free(h->metric);
    free(h->t_ns);
    free(h->rest);
    free(h);
}

size_t rca_habit_columns(const struct rca_habit *h)
{
    return h ? h->p : 0;
}

int rca_habit_rest(const struct rca_habit *h, const struct rca_work *k, size_t column,
                   double *ret_z)
{
    *ret_z = 0;
    for (size_t t = 0; t < h->rows; t++)
        if (h->t_ns[t] >= k->w.t0_ns && h->t_ns[t] < k->w.end_ns)
            *ret_z = fmax(*ret_z, fabs(h->rest[column * h->rows + t]));
    return h->metric[column];
}
