#include "rca_baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

struct parts { /* of one series */
    double *normal, *in;
    size_t n_normal, n_in;
};

/* Memory counts in MB, or a scale of 0 would let its bytes decide everything. */
static void split(const struct ac_rca_metric *m, const struct ac_rca_params *p, struct parts *s)
{
    double unit = m->kind == AC_RCA_MEM && m->v[0] > 1e5 ? 1e-6 : 1.0;
    s->n_normal = s->n_in = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->t_ns[i] >= p->t0_ns && m->t_ns[i] < p->t0_ns + p->incident_ns)
            s->in[s->n_in++] = m->v[i] * unit;
        else if (m->t_ns[i] < p->t0_ns)
            s->normal[s->n_normal++] = m->v[i] * unit;
    }
}

static bool constant(const double *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (v[i] != v[0])
            return false;
    return true;
}

/* As the published evaluations do it: what is constant on either side is left out. */
static double deviation(enum ac_rca_baseline kind, struct parts *s)
{
    double top = -INFINITY, centre, scale;
    if (constant(s->normal, s->n_normal) || constant(s->in, s->n_in))
        return 0.0;
    for (size_t i = 0; i < s->n_in; i++)
        top = fmax(top, s->in[i]);
    if (kind == AC_RCA_BARO) {
        ac_stats_sort(s->normal, s->n_normal);
        centre = ac_stats_quantile_sorted(s->normal, s->n_normal, 0.5);
        scale = ac_stats_quantile_sorted(s->normal, s->n_normal, 0.75) -
                ac_stats_quantile_sorted(s->normal, s->n_normal, 0.25);
    } else {
        centre = ac_stats_mean(s->normal, s->n_normal);
        scale = ac_stats_std(s->normal, s->n_normal, 0);
    }
    if (!(scale > 0.0))
        scale = 1.0; /* as scikit-learn's scalers, which both methods use */
    return fmax(0.0, (top - centre) / scale);
}

/* |r| of a series with the target's, over the samples of the incident that both have. */
static double correlation(const struct ac_rca_metric *a, const struct ac_rca_metric *b,
                          const struct ac_rca_params *p, double *x, double *y)
{
    size_t n = 0, j = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (a->t_ns[i] < p->t0_ns - p->local_ns || a->t_ns[i] >= p->t0_ns + p->incident_ns)
            continue;
        while (j < b->n && b->t_ns[j] < a->t_ns[i])
            j++;
        if (j < b->n && b->t_ns[j] == a->t_ns[i]) {
            x[n] = a->v[i];
            y[n++] = b->v[j];
        }
    }
    double r = n < 3 ? NAN : ac_stats_pearson(x, y, n);
    return isnan(r) ? 0.0 : fabs(r);
}

static const struct ac_rca_metric *target_metric(const struct ac_rca_case *c,
                                                 const struct ac_rca_params *p)
{
    for (size_t i = 0; p->target >= 0 && i < c->nmetrics; i++)
        if (c->metrics[i].component == p->target && c->metrics[i].kind == p->target_kind &&
            c->metrics[i].n > 0)
            return &c->metrics[i];
    return NULL;
}

static int by_score(const void *a, const void *b)
{
    const struct ac_rca_cause *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->component - y->component;
}

int ac_rca_baseline_rank(const struct ac_rca_case *c, const struct ac_rca_params *p,
                         enum ac_rca_baseline kind, struct ac_rca_result *ret, struct ac_err *err)
{
    const struct ac_rca_metric *target = target_metric(c, p);
    size_t longest = 1;
    if (c->ncomponents == 0)
        return ac_err_set(err, AC_EINVAL, "no component to diagnose");
    if (kind == AC_RCA_CORRELATION && !target)
        return ac_err_set(err, AC_EINVAL, "correlation needs a target that is measured");
    struct ac_rca_result r = {.t0_ns = p->t0_ns, .end_ns = p->t0_ns + p->incident_ns};
    r.first_failure = -1;
    r.ncauses = c->ncomponents;
    r.causes = ac_xcalloc(r.ncauses, sizeof(r.causes[0]));
    for (size_t i = 0; i < r.ncauses; i++)
        r.causes[i].component = (int)i;
    for (size_t i = 0; i < c->nmetrics; i++)
        longest = AC_MAX(longest, c->metrics[i].n);
    struct parts s = {.normal = ac_xcalloc(longest, sizeof(double)),
                      .in = ac_xcalloc(longest, sizeof(double))};
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->kind == AC_RCA_OTHER || m->kind == AC_RCA_GAP || m->n == 0)
            continue;
        split(m, p, &s);
        double score = deviation(kind == AC_RCA_CORRELATION ? AC_RCA_NSIGMA : kind, &s);
        if (kind == AC_RCA_CORRELATION)
            score = m->kind == p->target_kind && score > 3.0
                        ? correlation(m, target, p, s.normal, s.in)
                        : 0.0;
        r.causes[m->component].score = fmax(r.causes[m->component].score, score);
    }
    qsort(r.causes, r.ncauses, sizeof(r.causes[0]), by_score);
    free(s.normal);
    free(s.in);
    *ret = r;
    return 0;
}
