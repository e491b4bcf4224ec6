#include "discover/rca_matrix.h"

#include <math.h>
#include <string.h>

#include <cblas.h>
#include <float.h>

#include <aceso/base.h>
#include <aceso/series_csv.h>
#include <aceso/stats.h>
#include <aceso/str.h>

int ac_rca_matrix_make(size_t n, size_t p, struct ac_rca_matrix *ret, struct ac_err *err)
{
    if (p == 0 || n == 0)
        return ac_err_set(err, AC_EINVAL, "no samples");
    if (p > AC_RCA_MAX_VARIABLES)
        return ac_err_set(err, AC_ERANGE, "%zu variables, the limit is %d", p,
                          AC_RCA_MAX_VARIABLES);
    if (ac_mul_size(n, p) > AC_RCA_MAX_CELLS)
        return ac_err_set(err, AC_ERANGE, "%zu x %zu values are too many", n, p);
    struct ac_rca_matrix m = {.n = n, .p = p};
    m.x = ac_try_malloc(ac_mul_size(n * p, sizeof(double)));
    if (!m.x)
        return ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", n, p);
    m.names = ac_xcalloc(p, sizeof(m.names[0]));
    for (size_t j = 0; j < p; j++)
        m.names[j] = ac_xasprintf("X%zu", j + 1);
    *ret = m;
    return 0;
}

void ac_rca_matrix_fini(struct ac_rca_matrix *m)
{
    for (size_t j = 0; m->names && j < m->p; j++)
        free(m->names[j]);
    free(m->names);
    free(m->x);
    memset(m, 0, sizeof(*m));
}

/* ---- reading ---- */

/* The separator that the first line uses. */
static char separator(const char *text, size_t len)
{
    const char *eol = memchr(text, '\n', len);
    size_t n = eol ? (size_t)(eol - text) : len;
    static const char candidates[] = {',', ';', '\t'};
    for (size_t i = 0; i < sizeof(candidates); i++)
        if (memchr(text, candidates[i], n))
            return candidates[i];
    return ' ';
}

static bool is_time(const char *s)
{
    return strcasecmp(s, "time") == 0 || strcasecmp(s, "timestamp") == 0 ||
           strcasecmp(s, "unix_timestamp") == 0;
}

static bool all_numbers(const struct ac_csv *r)
{
    double v;
    for (size_t i = 0; i < r->n; i++)
        if (!ac_csv_value(r->fields[i], &v))
            return false;
    return true;
}

static int matrix_header(struct ac_csv *r, struct ac_rca_matrix *m, size_t *time, bool *ret_names)
{
    *ret_names = !all_numbers(r);
    *time = SIZE_MAX;
    m->names = ac_xcalloc(r->n, sizeof(m->names[0]));
    for (size_t i = 0; i < r->n; i++) {
        if (*ret_names && *time == SIZE_MAX && is_time(r->fields[i]))
            *time = i;
        else if (*ret_names)
            m->names[m->p++] = ac_xstrdup(r->fields[i]);
        else
            m->names[m->p++] = ac_xasprintf("X%zu", i + 1);
    }
    if (m->p == 0)
        return ac_csv_err(r, 1, "no column besides the time");
    for (size_t i = 0; i < m->p; i++)
        if (!*m->names[i])
            return ac_csv_err(r, i + 1, "a column without a name");
    return 0;
}

/* Rows go into x one behind the other; they are turned at the end. */
static int matrix_row(struct ac_csv *r, struct ac_rca_matrix *m, size_t time, size_t *cap)
{
    size_t want = m->p + (time == SIZE_MAX ? 0 : 1), out = 0;
    if (r->n != want)
        return ac_csv_err(r, AC_MIN(r->n, want) + 1, "%zu cells, the first row has %zu", r->n,
                          want);
    if (m->n == *cap) {
        size_t grown = *cap ? *cap * 2 : 256;
        double *x = grown * m->p > AC_RCA_MAX_CELLS
                        ? NULL
                        : ac_try_realloc(m->x, ac_mul_size(grown * m->p, sizeof(double)));
        if (!x)
            return ac_csv_err(r, 1, "too large for the memory"), AC_ENOMEM;
        m->x = x;
        *cap = grown;
    }
    for (size_t i = 0; i < r->n; i++)
        if (i != time && !ac_csv_value(r->fields[i], &m->x[m->n * m->p + out++]))
            return ac_csv_err(r, i + 1, "not a number: '%.40s'", r->fields[i]);
    m->n++;
    return 0;
}

static int turn(struct ac_rca_matrix *m, struct ac_err *err)
{
    double *t = ac_try_malloc(ac_mul_size(m->n * m->p, sizeof(double)));
    if (!t)
        return ac_err_set(err, AC_ENOMEM, "too large for the memory");
    for (size_t i = 0; i < m->n; i += 16) /* in blocks, for the cache */
        for (size_t j = 0; j < m->p; j++)
            for (size_t k = i; k < AC_MIN(i + 16, m->n); k++)
                t[j * m->n + k] = m->x[k * m->p + j];
    free(m->x);
    m->x = t;
    return 0;
}

int ac_rca_matrix_parse(const char *name, const char *text, size_t len, struct ac_rca_matrix *ret,
                        struct ac_err *err)
{
    struct ac_rca_matrix m = {0};
    struct ac_csv r;
    size_t cap = 0, time = SIZE_MAX;
    bool names = false;
    ac_csv_init(&r, name, text, len, AC_RCA_MAX_VARIABLES + 1, err);
    r.separator = separator(text, len);
    int rc = ac_csv_next(&r);
    if (rc == 0)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: the file is empty", name);
    else if (rc > 0)
        rc = matrix_header(&r, &m, &time, &names);
    if (rc == 0 && !names)
        rc = matrix_row(&r, &m, time, &cap);
    while (rc == 0 && (rc = ac_csv_next(&r)) > 0)
        rc = matrix_row(&r, &m, time, &cap);
    if (rc == 0 && m.n == 0)
        rc = ac_err_set(err, AC_EINVAL, "%s:2:1: no rows", name);
    if (rc == 0)
        rc = turn(&m, err);
    ac_csv_fini(&r);
    if (rc) {
        ac_rca_matrix_fini(&m);
        return rc;
    }
    *ret = m;
    return 0;
}

/* ---- cleaning ---- */

/* What is larger is no measurement, and its square would overflow. */
static bool is_number(double x)
{
    return fabs(x) <= 1e100;
}

static size_t gaps_of(const double *x, size_t n)
{
    size_t gaps = 0;
    for (size_t i = 0; i < n; i++)
        gaps += !is_number(x[i]);
    return gaps;
}

static void mark_empty(const struct ac_rca_matrix *m, struct ac_rca_clean *c)
{
    for (size_t j = 0; j < m->p; j++)
        c->fate[j] = 2 * gaps_of(m->x + j * m->n, m->n) > m->n ? AC_RCA_EMPTY : AC_RCA_USED;
}

/* keep[i]: row i has no gap in a used column; returns how many. */
static size_t whole_rows(const struct ac_rca_matrix *m, const struct ac_rca_clean *c, bool *keep)
{
    size_t whole = 0;
    memset(keep, true, m->n * sizeof(*keep));
    for (size_t j = 0; j < m->p; j++)
        for (size_t i = 0; c->fate[j] == AC_RCA_USED && i < m->n; i++)
            keep[i] = keep[i] && is_number(m->x[j * m->n + i]);
    for (size_t i = 0; i < m->n; i++)
        whole += keep[i];
    return whole;
}

static size_t fill(double *x, size_t n)
{
    size_t filled = 0, first = 0;
    while (first < n && !is_number(x[first]))
        first++;
    for (size_t i = 0; i < n; i++) {
        if (is_number(x[i]))
            continue;
        x[i] = i < first ? x[first] : x[i - 1];
        filled++;
    }
    return filled;
}

static bool is_constant(const double *x, size_t n)
{
    double lo = x[0], hi = x[0];
    for (size_t i = 1; i < n; i++) {
        lo = fmin(lo, x[i]);
        hi = fmax(hi, x[i]);
    }
    /* Below the rounding of the values themselves there is no variation. */
    return hi - lo <= 1e-12 * fmax(fabs(lo), fabs(hi)) || !(hi - lo <= DBL_MAX);
}

/* Copies the used columns over, without gaps; drops those that are constant then. */
static void take_columns(const struct ac_rca_matrix *m, const bool *keep, struct ac_rca_clean *c)
{
    for (size_t j = 0; j < m->p; j++) {
        if (c->fate[j] != AC_RCA_USED)
            continue;
        double *to = c->m.x + c->m.p * c->m.n;
        size_t k = 0;
        for (size_t i = 0; i < m->n; i++)
            if (!keep || keep[i])
                to[k++] = m->x[j * m->n + i];
        c->filled += fill(to, c->m.n);
        if (is_constant(to, c->m.n)) {
            c->fate[j] = AC_RCA_CONSTANT;
            continue;
        }
        c->m.names[c->m.p] = m->names[j];
        c->column[c->m.p++] = (int)j;
    }
}

#define COPY_R (1.0 - 1e-9)

static int drop_copies(struct ac_rca_clean *c, struct ac_err *err)
{
    size_t p = c->m.p, kept = 0;
    if (p == 0)
        return 0;
    int rc = ac_rca_correlations(&c->m, &c->r, err);
    if (rc)
        return rc;
    int *left = ac_xcalloc(p, sizeof(*left)); /* columns that stay */
    for (size_t j = 0; j < p; j++) {
        size_t i = 0;
        while (i < kept && !(fabs(c->r[(size_t)left[i] * p + j]) > COPY_R))
            i++;
        if (i == kept) {
            left[kept++] = (int)j;
            continue;
        }
        c->fate[c->column[j]] = AC_RCA_COPY;
        c->copy_of[c->column[j]] = c->column[left[i]];
    }
    for (size_t i = 0; i < kept && kept < p; i++) {
        size_t j = (size_t)left[i];
        memmove(c->m.x + i * c->m.n, c->m.x + j * c->m.n, c->m.n * sizeof(double));
        c->m.names[i] = c->m.names[j];
        c->column[i] = c->column[j];
        for (size_t k = 0; k < kept; k++) /* never behind what is still to be read */
            c->r[i * kept + k] = c->r[j * p + (size_t)left[k]];
    }
    c->m.p = kept;
    free(left);
    return 0;
}

int ac_rca_clean(const struct ac_rca_matrix *m, unsigned how, struct ac_rca_clean *ret,
                 struct ac_err *err)
{
    struct ac_rca_clean c = {.source_p = m->p};
    c.fate = ac_xcalloc(m->p, sizeof(c.fate[0]));
    c.copy_of = ac_xcalloc(m->p, sizeof(c.copy_of[0]));
    c.column = ac_xcalloc(m->p, sizeof(c.column[0]));
    c.m.names = ac_xcalloc(m->p, sizeof(c.m.names[0]));
    memset(c.copy_of, 0xff, m->p * sizeof(c.copy_of[0]));
    bool *keep = ac_xcalloc(m->n, sizeof(*keep));
    mark_empty(m, &c);
    size_t whole = whole_rows(m, &c, keep);
    bool drop = !(how & AC_RCA_SERIES) && whole < m->n && 2 * whole >= m->n;
    c.m.n = drop ? whole : m->n;
    c.rows_dropped = m->n - c.m.n;
    c.m.x = ac_try_malloc(ac_mul_size(m->n * m->p, sizeof(double)));
    int rc = c.m.x ? 0 : ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", m->n, m->p);
    if (!rc) {
        take_columns(m, drop ? keep : NULL, &c);
        rc = how & AC_RCA_DROP_COPIES ? drop_copies(&c, err) : 0;
    }
    free(keep);
    if (rc) {
        ac_rca_clean_fini(&c);
        return rc;
    }
    *ret = c;
    return 0;
}

void ac_rca_clean_fini(struct ac_rca_clean *c)
{
    free(c->m.names); /* the names themselves are the source's */
    free(c->m.x);
    free(c->r);
    free(c->column);
    free(c->fate);
    free(c->copy_of);
    memset(c, 0, sizeof(*c));
}

/* ---- moments ---- */

/* Products of centred columns, divided by n. scaled: columns have length sqrt(n). */
static int moments(const struct ac_rca_matrix *m, bool scaled, double **ret, struct ac_err *err)
{
    size_t n = m->n, p = m->p;
    double *z = ac_try_malloc(ac_mul_size(ac_mul_size(n, p), sizeof(double)));
    double *r = ac_try_calloc(p, ac_mul_size(p, sizeof(double)));
    if (!z || !r) {
        free(z);
        free(r);
        return ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu correlations", p, p);
    }
    for (size_t j = 0; j < p; j++) {
        const double *x = m->x + j * n;
        double *to = z + j * n, mean = 0, length = 0;
        for (size_t i = 0; i < n; i++)
            mean += (x[i] - mean) / (double)(i + 1);
        for (size_t i = 0; i < n; i++) {
            to[i] = x[i] - mean;
            length += to[i] * to[i];
        }
        double f = !scaled                             ? 1.0
                   : length > 0.0 && length <= DBL_MAX ? sqrt((double)n / length)
                                                       : 0.0;
        for (size_t i = 0; f != 1.0 && i < n; i++)
            to[i] *= f;
    }
    if (p > 0) /* BLAS complains of none */
        cblas_dsyrk(CblasColMajor, CblasUpper, CblasTrans, (int)p, (int)n, 1.0 / (double)n, z,
                    (int)n, 0.0, r, (int)p);
    for (size_t i = 0; i < p; i++) {
        if (scaled)
            r[i * p + i] = 1.0;
        for (size_t j = 0; j < i; j++) {
            if (scaled) /* rounding must not pass 1 */
                r[i * p + j] = fmax(-1.0, fmin(1.0, r[i * p + j]));
            r[j * p + i] = r[i * p + j];
        }
    }
    free(z);
    *ret = r;
    return 0;
}

int ac_rca_correlations(const struct ac_rca_matrix *m, double **ret, struct ac_err *err)
{
    return moments(m, true, ret, err);
}

int ac_rca_covariances(const struct ac_rca_matrix *m, double **ret, struct ac_err *err)
{
    return moments(m, false, ret, err);
}

bool ac_rca_encode(const double *x, size_t n, uint16_t *code, uint32_t *ret_classes)
{
    ac_cleanup(ac_free_p) double *sorted = ac_xcalloc(n + 1, sizeof(double));
    size_t k = 0;
    memcpy(sorted, x, n * sizeof(double));
    ac_stats_sort(sorted, n);
    for (size_t i = 0; i < n; i++)
        if (k == 0 || sorted[i] != sorted[k - 1])
            sorted[k++] = sorted[i];
    if (k > AC_RCA_MAX_CLASSES)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t lo = 0, hi = k;
        while (lo + 1 < hi) {
            size_t mid = (lo + hi) / 2;
            if (sorted[mid] <= x[i])
                lo = mid;
            else
                hi = mid;
        }
        code[i] = (uint16_t)lo;
    }
    *ret_classes = (uint32_t)k;
    return true;
}
