#include "rca_csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>

static bool is_time(const char *s)
{
    return strcasecmp(s, "time") == 0 || strcasecmp(s, "timestamp") == 0 ||
           strcasecmp(s, "unix_timestamp") == 0;
}

/* PetShop's header: component, metric and statistic in rows of their own. */
static int parse_header_rows(struct ac_csv *r, struct ac_rca_table *t)
{
    size_t n = r->n - 1;
    t->components = ac_xcalloc(n + 1, sizeof(t->components[0]));
    t->columns = ac_xcalloc(n + 1, sizeof(t->columns[0]));
    t->ncolumns = n;
    for (size_t i = 0; i < n; i++)
        t->components[i] = ac_xstrdup(r->fields[i + 1]);
    static const char *const rows[] = {"metric", "statistic", "unix_timestamp"};
    for (size_t k = 0; k < AC_ARRAY_LEN(rows); k++) {
        int rc = ac_csv_next(r);
        if (rc < 0)
            return rc;
        if (rc == 0 || strcasecmp(r->fields[0], rows[k]) != 0)
            return ac_csv_err(r, 1, "expected the row %s of the header", rows[k]);
        if (k == 2)
            return 0;
        if (r->n != n + 1)
            return ac_csv_err(r, 1, "%zu cells, the row above has %zu", r->n, n + 1);
        for (size_t i = 0; i < n; i++) {
            char *old = t->columns[i];
            t->columns[i] =
                old ? ac_xasprintf("%s_%s", old, r->fields[i + 1]) : ac_xstrdup(r->fields[i + 1]);
            free(old);
        }
    }
    return 0;
}

static int parse_header(struct ac_csv *r, struct ac_rca_table *t, size_t *ret_time)
{
    bool time_seen = false;
    if (r->n > 1 && strcasecmp(r->fields[0], "microservice") == 0) {
        *ret_time = 0;
        return parse_header_rows(r, t);
    }
    t->columns = ac_xcalloc(r->n, sizeof(t->columns[0]));
    for (size_t i = 0; i < r->n; i++) {
        if (!time_seen && is_time(r->fields[i])) {
            time_seen = true;
            *ret_time = i;
        } else {
            t->columns[t->ncolumns++] = ac_xstrdup(r->fields[i]);
        }
    }
    if (!time_seen)
        return ac_csv_err(r, 1, "no column is called time or timestamp");
    if (t->ncolumns == 0)
        return ac_csv_err(r, 1, "no column besides the time");
    return 0;
}

int ac_rca_row_time(struct ac_csv *r, size_t column, const char *cell, int64_t before_ns,
                    int64_t *ret_ns)
{
    int64_t t;
    if (!ac_csv_time(cell, &t) || t < 0 || t > AC_RCA_TIME_MAX_NS)
        return ac_csv_err(r, column, "not a time: '%.40s'", cell);
    if (t < before_ns)
        return ac_csv_err(r, column, "time goes backwards");
    *ret_ns = t;
    return 0;
}

static int parse_row(struct ac_csv *r, size_t time_col, struct ac_rca_table *t)
{
    double *v = t->v + t->nrows * t->ncolumns;
    size_t out = 0;
    if (r->n != t->ncolumns + 1)
        return ac_csv_err(r, AC_MIN(r->n, t->ncolumns + 1) + 1, "%zu cells, the header has %zu",
                          r->n, t->ncolumns + 1);
    for (size_t i = 0; i < r->n; i++) {
        if (i == time_col) {
            int rc = ac_rca_row_time(r, i + 1, r->fields[i], t->nrows ? t->t_ns[t->nrows - 1] : 0,
                                     &t->t_ns[t->nrows]);
            if (rc)
                return rc;
        } else if (!ac_csv_value(r->fields[i], &v[out++])) {
            return ac_csv_err(r, i + 1, "not a number: '%.40s'", r->fields[i]);
        }
    }
    t->nrows++;
    return 0;
}

static int parse_all(struct ac_csv *r, const char *text, size_t len, struct ac_rca_table *t)
{
    size_t time_col = 0, lines = 1;
    int rc = ac_csv_next(r);
    if (rc <= 0)
        return rc ? rc : ac_err_set(r->err, AC_EINVAL, "%s:1:1: the file is empty", r->file);
    rc = parse_header(r, t, &time_col);
    if (rc)
        return rc;
    for (const char *q = text; (q = memchr(q, '\n', (size_t)(text + len - q))); q++)
        lines++;
    t->t_ns = ac_try_malloc(ac_mul_size(lines, sizeof(t->t_ns[0])));
    t->v = ac_try_malloc(ac_mul_size(ac_mul_size(lines, t->ncolumns), sizeof(t->v[0])));
    if (!t->t_ns || !t->v)
        return ac_err_set(r->err, AC_ENOMEM, "%s: too large for the memory", r->file);
    while ((rc = ac_csv_next(r)) > 0) {
        rc = parse_row(r, time_col, t);
        if (rc)
            return rc;
    }
    if (rc == 0 && t->nrows == 0)
        return ac_err_set(r->err, AC_EINVAL, "%s:2:1: no rows", r->file);
    return rc;
}

int ac_rca_table_parse(const char *name, const char *text, size_t len, struct ac_rca_table *ret,
                       struct ac_err *err)
{
    struct ac_rca_table t = {0};
    struct ac_csv r;
    ac_csv_init(&r, name, text, len, AC_RCA_CSV_MAX_COLUMNS, err);
    int rc = parse_all(&r, text, len, &t);
    ac_csv_fini(&r);
    if (rc) {
        ac_rca_table_fini(&t);
        return rc;
    }
    *ret = t;
    return 0;
}

void ac_rca_table_fini(struct ac_rca_table *t)
{
    for (size_t i = 0; i < t->ncolumns; i++)
        free(t->columns[i]);
    for (size_t i = 0; t->components && i < t->ncolumns; i++)
        free(t->components[i]);
    free(t->components);
    free(t->columns);
    free(t->t_ns);
    free(t->v);
    memset(t, 0, sizeof(*t));
}

int ac_rca_named_metric(struct ac_rca_case *c, const char *component, const char *metric, int *ret,
                        struct ac_err *err)
{
    struct ac_rca_name n = ac_rca_name_parse(metric);
    *ret = -1;
    if (n.drop)
        return 0;
    int comp = ac_rca_component(c, component);
    if (comp < 0)
        return ac_err_set(err, comp, "more than %d components", AC_RCA_MAX_COMPONENTS);
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->component == comp && m->peer < 0 && ac_streq(m->name, metric)) {
            *ret = (int)i;
            return 0;
        }
    }
    int m = ac_rca_metric_add(c, comp, -1, n.kind, n.statistic, metric);
    if (m < 0)
        return ac_err_set(err, m, "more than %d measurements", AC_RCA_MAX_METRICS);
    ac_rca_metric_means(&c->metrics[m], n.unit, n.bad);
    *ret = m;
    return 0;
}

/* The metric of a column, made when new; *ret -1 when the column is left out. */
static int column_metric(const char *file, const struct ac_rca_table *t, size_t column,
                         struct ac_rca_case *c, int *ret, struct ac_err *err)
{
    const char *name = t->columns[column];
    const char *cut = t->components ? NULL : strchr(name, '_');
    if (!t->components && (!cut || cut == name || cut[1] == '\0'))
        return ac_err_set(err, AC_EINVAL, "%s:1: column \"%.80s\" is not <component>_<metric>",
                          file, name);
    ac_cleanup(ac_free_p) char *component =
        cut ? ac_xstrndup(name, (size_t)(cut - name)) : ac_xstrdup(t->components[column]);
    int rc = ac_rca_named_metric(c, component, cut ? cut + 1 : name, ret, err);
    if (rc)
        ac_err_wrap(err, "%s:1", file);
    return rc;
}

int ac_rca_table_add(const char *name, const struct ac_rca_table *t, int64_t shift_ns,
                     struct ac_rca_case *c, struct ac_err *err)
{
    for (size_t j = 0; j < t->ncolumns; j++) {
        int m;
        int rc = column_metric(name, t, j, c, &m, err);
        if (rc)
            return rc;
        for (size_t i = 0; m >= 0 && i < t->nrows; i++) {
            struct ac_rca_metric *to = &c->metrics[m];
            ac_rca_metric_push(to, t->t_ns[i] + shift_ns,
                               ac_rca_held(to, t->v[i * t->ncolumns + j]));
        }
    }
    return 0;
}

int ac_rca_join_normal(const char *name, const struct ac_rca_table *normal,
                       const struct ac_rca_table *faulty, struct ac_rca_case *c, int64_t *ret_t0_ns,
                       struct ac_err *err)
{
    int64_t step = AC_NS_PER_S;
    if (faulty->nrows > 1)
        step = (faulty->t_ns[faulty->nrows - 1] - faulty->t_ns[0]) / (int64_t)(faulty->nrows - 1);
    if (step <= 0)
        step = AC_NS_PER_S;
    int64_t shift = faulty->t_ns[0] - step - normal->t_ns[normal->nrows - 1];
    int rc = ac_rca_table_add(name, normal, shift, c, err);
    if (!rc)
        rc = ac_rca_table_add(name, faulty, 0, c, err);
    if (rc)
        return rc;
    *ret_t0_ns = faulty->t_ns[0];
    return 0;
}

static bool is_edge_header(const char *a, const char *b)
{
    return (!strcasecmp(a, "caller") && !strcasecmp(b, "callee")) ||
           (!strcasecmp(a, "source") && !strcasecmp(b, "target")) ||
           (!strcasecmp(a, "from") && !strcasecmp(b, "to"));
}

/* One call that a row states. */
static int put_call(struct ac_csv *r, const char *caller, const char *callee, size_t column,
                    const char *evidence, struct ac_rca_case *c)
{
    char where[512];
    if (strcmp(caller, callee) == 0)
        return ac_csv_err(r, column, "%.80s calls itself", caller);
    int from = ac_rca_component(c, caller), to = from < 0 ? from : ac_rca_component(c, callee);
    (void)snprintf(where, sizeof(where), "%.480s:%zu", r->file, r->row);
    int rc = to < 0 ? to : ac_rca_edge_cite(c, from, to, evidence, where);
    return rc ? ac_csv_err(r, column, "too many components or edges") : 0;
}

/* Another file than one of calls has numbers or JSON where the names are. */
static bool is_name(const char *s)
{
    double v;
    return *s && !strpbrk(s, "{}\"") && !(ac_csv_value(s, &v) && !isnan(v));
}

static int edge_row(struct ac_csv *r, struct ac_rca_case *c)
{
    if (r->n < 2)
        return ac_csv_err(r, 1, "expected caller,callee");
    if (r->row == 1 && is_edge_header(r->fields[0], r->fields[1]))
        return 0;
    for (size_t i = 0; i < 2; i++)
        if (!is_name(r->fields[i]))
            return ac_csv_err(r, i + 1, "expected caller,callee: '%.40s' is no component's name",
                              r->fields[i]);
    return put_call(r, r->fields[0], r->fields[1], 2, r->n > 2 ? r->fields[2] : "", c);
}

int ac_rca_edges_parse(const char *name, const char *text, size_t len, struct ac_rca_case *c,
                       struct ac_err *err)
{
    struct ac_csv r;
    int rc;
    ac_csv_init(&r, name, text, len, AC_RCA_CSV_MAX_COLUMNS, err);
    while ((rc = ac_csv_next(&r)) > 0) {
        rc = edge_row(&r, c);
        if (rc)
            break;
    }
    ac_csv_fini(&r);
    return rc;
}

static int adjacency_row(struct ac_csv *r, char *const *names, size_t n, struct ac_rca_case *c)
{
    if (r->n != n + 1)
        return ac_csv_err(r, AC_MIN(r->n, n + 1) + 1, "%zu cells, the header has %zu", r->n, n + 1);
    for (size_t i = 0; i < n; i++) {
        double v;
        if (!ac_csv_value(r->fields[i + 1], &v))
            return ac_csv_err(r, i + 2, "not a number: '%.40s'", r->fields[i + 1]);
        if (isnan(v) || v == 0.0 || ac_streq(names[i], r->fields[0]))
            continue; /* what a matrix has on its diagonal is no call */
        int rc = put_call(r, r->fields[0], names[i], i + 2, "", c);
        if (rc)
            return rc;
    }
    return 0;
}

int ac_rca_adjacency_parse(const char *name, const char *text, size_t len, struct ac_rca_case *c,
                           struct ac_err *err)
{
    struct ac_csv r;
    char **names = NULL;
    size_t n = 0;
    ac_csv_init(&r, name, text, len, AC_RCA_MAX_COMPONENTS + 1, err);
    int rc = ac_csv_next(&r);
    if (rc == 0 || (rc > 0 && r.n < 2))
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: no header of names", name);
    if (rc > 0) {
        n = r.n - 1;
        names = ac_xcalloc(n, sizeof(names[0]));
        for (size_t i = 0; i < n; i++)
            names[i] = ac_xstrdup(r.fields[i + 1]);
        while ((rc = ac_csv_next(&r)) > 0) {
            rc = adjacency_row(&r, names, n, c);
            if (rc)
                break;
        }
    }
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
    ac_csv_fini(&r);
    return rc;
}
