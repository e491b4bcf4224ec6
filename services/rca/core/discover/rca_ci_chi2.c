/* Chi square and G square on counts. */
#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#include "discover/rca_ci.h"

struct chi2 {
    struct ac_rca_ci base;
    bool g_square;
    bool borrowed;   /* code and classes are another's */
    uint16_t **code; /* by variable and sample */
    uint32_t *classes;
    uint32_t *stratum; /* by sample: which combination of the set's values, numbered densely */
    size_t strata;
    uint32_t *count; /* strata x classes of x x classes of y */
    size_t count_cap;
    uint32_t *table; /* numbering: combination to stratum + 1 */
    size_t table_cap;
    double *rows, *cols; /* marginal counts of a stratum */
};

/* Splits the strata by one more variable and numbers them anew. */
static void split(struct chi2 *c, int v)
{
    const uint16_t *code = c->code[v];
    size_t want = c->strata * c->classes[v], next = 0;
    ac_grow(&c->table, &c->table_cap, want, sizeof(c->table[0]));
    memset(c->table, 0, want * sizeof(c->table[0]));
    for (size_t i = 0; i < c->base.n; i++) {
        uint32_t *slot = &c->table[c->stratum[i] * c->classes[v] + code[i]];
        if (*slot == 0)
            *slot = (uint32_t)++next;
        c->stratum[i] = *slot - 1;
    }
    c->strata = next;
}

static void given(struct ac_rca_ci *t, const int *s, size_t k)
{
    struct chi2 *c = (struct chi2 *)t;
    c->strata = 1;
    memset(c->stratum, 0, t->n * sizeof(c->stratum[0]));
    for (size_t i = 0; i < k; i++)
        split(c, s[i]);
}

struct sums {
    double statistic, df;
};

static void add_stratum(const struct chi2 *c, const uint32_t *count, size_t nx, size_t ny,
                        struct sums *s)
{
    double total = 0, rows = -1, cols = -1;
    memset(c->rows, 0, nx * sizeof(double));
    memset(c->cols, 0, ny * sizeof(double));
    for (size_t i = 0; i < nx; i++)
        for (size_t j = 0; j < ny; j++) {
            double v = count[i * ny + j];
            c->rows[i] += v;
            c->cols[j] += v;
            total += v;
        }
    for (size_t i = 0; i < nx; i++)
        rows += c->rows[i] > 0.0;
    for (size_t j = 0; j < ny; j++)
        cols += c->cols[j] > 0.0;
    s->df += rows * cols; /* values that do not occur have no freedom */
    for (size_t i = 0; i < nx; i++) {
        if (!(c->rows[i] > 0.0))
            continue;
        for (size_t j = 0; j < ny; j++) {
            double expected = c->rows[i] * c->cols[j] / total, v = count[i * ny + j];
            if (!(expected > 0.0))
                continue;
            if (!c->g_square)
                s->statistic += (v - expected) * (v - expected) / expected;
            else if (v > 0.0)
                s->statistic += 2.0 * v * log(v / expected);
        }
    }
}

static double p_value(struct ac_rca_ci *t, int x, int y)
{
    struct chi2 *c = (struct chi2 *)t;
    size_t nx = c->classes[x], ny = c->classes[y], cells = c->strata * nx * ny;
    const uint16_t *cx = c->code[x], *cy = c->code[y];
    t->tests++;
    ac_grow(&c->count, &c->count_cap, cells, sizeof(c->count[0]));
    memset(c->count, 0, cells * sizeof(c->count[0]));
    for (size_t i = 0; i < t->n; i++)
        c->count[(c->stratum[i] * nx + cx[i]) * ny + cy[i]]++;
    struct sums s = {0};
    for (size_t k = 0; k < c->strata; k++)
        add_stratum(c, c->count + k * nx * ny, nx, ny, &s);
    return s.df > 0.0 ? ac_stats_chi2_sf(s.statistic, s.df) : 1.0;
}

static bool independent(struct ac_rca_ci *t, int x, int y)
{
    return p_value(t, x, y) > t->alpha;
}

static void destroy(struct ac_rca_ci *t)
{
    struct chi2 *c = (struct chi2 *)t;
    for (size_t j = 0; j < t->p && !c->borrowed; j++)
        free(c->code[j]);
    if (!c->borrowed) {
        free(c->code);
        free(c->classes);
    }
    free(c->stratum);
    free(c->count);
    free(c->table);
    free(c->rows);
    free(c->cols);
    free(c);
}

static void make_scratch(struct chi2 *c)
{
    c->strata = 1;
    c->stratum = ac_xcalloc(c->base.n, sizeof(c->stratum[0]));
    c->rows = ac_xcalloc(AC_RCA_MAX_CLASSES, sizeof(double));
    c->cols = ac_xcalloc(AC_RCA_MAX_CLASSES, sizeof(double));
}

static struct ac_rca_ci *twin(const struct ac_rca_ci *t)
{
    const struct chi2 *of = (const struct chi2 *)t;
    struct chi2 *c = ac_xcalloc(1, sizeof(*c));
    c->base = *t;
    c->base.tests = 0;
    c->g_square = of->g_square;
    c->borrowed = true;
    c->code = of->code;
    c->classes = of->classes;
    make_scratch(c);
    return &c->base;
}

int ac_rca_ci_chi2(const struct ac_rca_matrix *m, bool g_square, double alpha,
                   struct ac_rca_ci **ret, struct ac_err *err)
{
    struct chi2 *c = ac_xcalloc(1, sizeof(*c));
    c->base = (struct ac_rca_ci){.p = m->p,
                                 .n = m->n,
                                 .alpha = alpha,
                                 .given = given,
                                 .p_value = p_value,
                                 .independent = independent,
                                 .twin = twin,
                                 .destroy = destroy};
    c->g_square = g_square;
    make_scratch(c);
    c->code = ac_xcalloc(m->p, sizeof(c->code[0]));
    c->classes = ac_xcalloc(m->p, sizeof(c->classes[0]));
    int rc = 0;
    for (size_t j = 0; j < m->p; j++) {
        c->code[j] = ac_xcalloc(m->n, sizeof(uint16_t));
        if (!rc && !ac_rca_encode(m->x + j * m->n, m->n, c->code[j], &c->classes[j]))
            rc = ac_err_set(err, AC_EINVAL,
                            "variable %s has more than %d values: not for counting, use fisherz",
                            m->names[j], AC_RCA_MAX_CLASSES);
    }
    if (rc) {
        destroy(&c->base);
        return rc;
    }
    *ret = &c->base;
    return 0;
}
