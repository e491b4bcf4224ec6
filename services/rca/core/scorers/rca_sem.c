#include "scorers/rca_sem.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "discover/rca_regress.h"

#define MAX_CAUSES 32
#define MIN_SD     1e-3 /* of a column's own deviation: a perfect fit is a definition, not a law */

struct fit {
    const struct ac_rca_frame *f;
    struct ac_rca_sem *s;
    double *cov; /* of the normal rows */
};

/* The strongest causes of a column, as many as the rows bear. */
static size_t causes_of(const struct fit *k, size_t j, int *ret)
{
    size_t p = k->f->p, n = 0, limit = AC_MAX(k->f->normal / 10, 1);
    limit = AC_MIN(limit, MAX_CAUSES);
    for (size_t i = 0; i < p; i++) {
        if (!k->f->drives[i * p + j])
            continue;
        double r = fabs(k->cov[i * p + j]) / sqrt(fmax(k->cov[i * p + i], 1e-300));
        size_t at = n < limit ? n++ : limit;
        if (at == limit) {
            k->s->dropped++;
            at = limit - 1;
            double last = fabs(k->cov[(size_t)ret[at] * p + j]) /
                          sqrt(fmax(k->cov[(size_t)ret[at] * p + (size_t)ret[at]], 1e-300));
            if (!(r > last))
                continue;
        }
        for (; at > 0; at--) {
            size_t before = (size_t)ret[at - 1];
            if (!(r >
                  fabs(k->cov[before * p + j]) / sqrt(fmax(k->cov[before * p + before], 1e-300))))
                break;
            ret[at] = ret[at - 1];
        }
        ret[at] = (int)i;
    }
    return n;
}

static void fit_column(struct fit *k, size_t j)
{
    const struct ac_rca_frame *f = k->f;
    size_t p = f->p, rows = f->normal + f->faulty;
    int causes[MAX_CAUSES];
    double coef[MAX_CAUSES], s2 = 0, *u = k->s->noise + j * rows;
    size_t n = causes_of(k, j, causes);
    while (n > 0 && !ac_rca_regress(k->cov, p, f->normal, causes, n, (int)j, coef, NULL, &s2)) {
        n--; /* singular: without the weakest */
        k->s->dropped++;
    }
    memcpy(u, f->x + j * rows, rows * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        const double *x = f->x + (size_t)causes[i] * rows;
        k->s->coef[(size_t)causes[i] * p + j] = coef[i];
        for (size_t r = 0; r < rows; r++)
            u[r] -= coef[i] * x[r];
    }
    double mean = ac_stats_mean(u, f->normal);
    for (size_t r = 0; r < rows; r++)
        u[r] -= mean;
    double own = sqrt(fmax(0.0, k->cov[j * p + j]));
    k->s->sd[j] = fmax(ac_stats_std(u, f->normal, 0), own > 0.0 ? MIN_SD * own : 1.0);
}

int ac_rca_sem_fit(const struct ac_rca_frame *f, struct ac_rca_sem *ret, struct ac_err *err)
{
    size_t p = f->p, rows = f->normal + f->faulty;
    struct ac_rca_sem s = {.p = p};
    struct fit k = {.f = f, .s = &s};
    struct ac_rca_matrix m = {.n = f->normal, .p = p};
    s.coef = ac_try_calloc(p * p + 1, sizeof(double));
    s.noise = ac_try_malloc(ac_mul_size(p * rows + 1, sizeof(double)));
    s.sd = ac_xcalloc(p + 1, sizeof(double));
    s.order = ac_xcalloc(p + 1, sizeof(int));
    m.x = ac_try_malloc(ac_mul_size(p * f->normal + 1, sizeof(double)));
    int rc = s.coef && s.noise && m.x
                 ? 0
                 : ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", p, rows);
    for (size_t j = 0; !rc && j < p; j++)
        memcpy(m.x + j * m.n, f->x + j * rows, m.n * sizeof(double));
    if (!rc)
        rc = ac_rca_covariances(&m, &k.cov, err);
    free(m.x);
    if (rc) {
        ac_rca_sem_fini(&s);
        return rc;
    }
    ac_rca_frame_order(f, s.order);
    for (size_t j = 0; j < p; j++)
        fit_column(&k, j);
    free(k.cov);
    *ret = s;
    return 0;
}

void ac_rca_sem_fini(struct ac_rca_sem *s)
{
    free(s->coef);
    free(s->noise);
    free(s->sd);
    free(s->order);
    memset(s, 0, sizeof(*s));
}

void ac_rca_sem_effects(const struct ac_rca_sem *s, int on, double *effect)
{
    size_t p = s->p;
    memset(effect, 0, p * sizeof(double));
    effect[on] = 1.0;
    for (size_t k = p; k-- > 0;) {
        size_t i = (size_t)s->order[k];
        for (size_t j = 0; (int)i != on && j < p; j++)
            effect[i] += s->coef[i * p + j] * effect[j];
    }
}
