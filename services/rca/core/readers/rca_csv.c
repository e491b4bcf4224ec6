#include "rca_csv.h"

#include <math.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

/* Next line of the text without its end; false at the end. */
static bool next_line(const char **p, const char *end, const char **ret, size_t *ret_len)
{
    if (*p >= end)
        return false;
    const char *nl = memchr(*p, '\n', (size_t)(end - *p));
    const char *stop = nl ? nl : end;
    *ret = *p;
    *ret_len = (size_t)(stop - *p);
    if (*ret_len > 0 && (*ret)[*ret_len - 1] == '\r')
        (*ret_len)--;
    *p = nl ? nl + 1 : end;
    return true;
}

static bool next_cell(const char **p, const char *end, const char **ret, size_t *ret_len)
{
    if (!*p)
        return false;
    const char *comma = memchr(*p, ',', (size_t)(end - *p));
    *ret = *p;
    *ret_len = (size_t)((comma ? comma : end) - *p);
    *p = comma ? comma + 1 : NULL;
    return true;
}

static void trim(const char **s, size_t *n)
{
    while (*n > 0 && isspace((unsigned char)**s)) {
        (*s)++;
        (*n)--;
    }
    while (*n > 0 && isspace((unsigned char)(*s)[*n - 1]))
        (*n)--;
    if (*n >= 2 && (*s)[0] == '"' && (*s)[*n - 1] == '"') {
        (*s)++;
        *n -= 2;
    }
}

static bool cell_number(const char *s, size_t n, double *ret)
{
    char buf[64];
    trim(&s, &n);
    if (n == 0) {
        *ret = NAN;
        return true;
    }
    if (n >= sizeof(buf))
        return false;
    memcpy(buf, s, n);
    buf[n] = '\0';
    return ac_str_to_f64(buf, ret);
}

static bool is_time(const char *s, size_t n)
{
    static const char *const names[] = {"time", "timestamp", "unix_timestamp"};
    for (size_t i = 0; i < AC_ARRAY_LEN(names); i++)
        if (strlen(names[i]) == n && strncasecmp(s, names[i], n) == 0)
            return true;
    return false;
}

static int parse_header(const char *name, const char *line, size_t len, struct ac_rca_table *t,
                        size_t *ret_time, struct ac_err *err)
{
    const char *p = line, *cell;
    size_t n, cap = 0, col = 0;
    bool time_seen = false;
    while (next_cell(&p, line + len, &cell, &n)) {
        trim(&cell, &n);
        if (col >= AC_RCA_CSV_MAX_COLUMNS)
            return ac_err_set(err, AC_EINVAL, "%s:1: more than %d columns", name,
                              AC_RCA_CSV_MAX_COLUMNS);
        if (!time_seen && is_time(cell, n)) {
            time_seen = true;
            *ret_time = col;
        } else {
            if (memchr(cell, '\0', n))
                return ac_err_set(err, AC_EINVAL, "%s:1:%zu: a NUL byte in the header", name,
                                  col + 1);
            ac_grow(&t->columns, &cap, t->ncolumns + 1, sizeof(t->columns[0]));
            t->columns[t->ncolumns++] = ac_xstrndup(cell, n);
        }
        col++;
    }
    if (!time_seen)
        return ac_err_set(err, AC_EINVAL, "%s:1: no column is called time or timestamp", name);
    if (t->ncolumns == 0)
        return ac_err_set(err, AC_EINVAL, "%s:1: no column besides the time", name);
    return 0;
}

/* Unix seconds up to the year 2100 or so: what arithmetic in ns has room for. */
#define TIME_MAX_S 4.2e9

static int parse_row(const char *name, size_t row, const char *line, size_t len, size_t time_col,
                     struct ac_rca_table *t, struct ac_err *err)
{
    const char *p = line, *cell;
    size_t n, col = 0, out = 0;
    double *v = t->v + t->nrows * t->ncolumns, x = 0;
    while (next_cell(&p, line + len, &cell, &n)) {
        if (col > t->ncolumns)
            return ac_err_set(err, AC_EINVAL, "%s:%zu:%zu: more cells than the header has", name,
                              row, col + 1);
        if (!cell_number(cell, n, &x))
            return ac_err_set(err, AC_EINVAL, "%s:%zu:%zu: not a number", name, row, col + 1);
        if (col == time_col) {
            if (!(x >= 0.0 && x <= TIME_MAX_S))
                return ac_err_set(err, AC_EINVAL, "%s:%zu:%zu: not a time in Unix seconds", name,
                                  row, col + 1);
            t->t_ns[t->nrows] = (int64_t)llround(x * 1e9);
            if (t->nrows > 0 && t->t_ns[t->nrows] < t->t_ns[t->nrows - 1])
                return ac_err_set(err, AC_EINVAL, "%s:%zu:%zu: time goes backwards", name, row,
                                  col + 1);
        } else {
            v[out++] = isfinite(x) ? x : NAN;
        }
        col++;
    }
    if (col != t->ncolumns + 1)
        return ac_err_set(err, AC_EINVAL, "%s:%zu:%zu: %zu cells where the header has %zu", name,
                          row, col, col, t->ncolumns + 1);
    t->nrows++;
    return 0;
}

static int parse_all(const char *name, const char *text, size_t len, struct ac_rca_table *t,
                     struct ac_err *err)
{
    const char *p = text, *end = text + len, *line;
    size_t n, row = 1, time_col = 0, lines = 0;
    if (!next_line(&p, end, &line, &n))
        return ac_err_set(err, AC_EINVAL, "%s:1: the file is empty", name);
    int rc = parse_header(name, line, n, t, &time_col, err);
    if (rc)
        return rc;
    for (const char *q = p; q < end; q++)
        lines += *q == '\n';
    lines += 1;
    t->t_ns = ac_try_malloc(ac_mul_size(lines, sizeof(t->t_ns[0])));
    t->v = ac_try_malloc(ac_mul_size(ac_mul_size(lines, t->ncolumns), sizeof(t->v[0])));
    if (!t->t_ns || !t->v)
        return ac_err_set(err, AC_ENOMEM, "%s: too large for the memory", name);
    while (next_line(&p, end, &line, &n)) {
        row++;
        if (n == 0)
            continue;
        rc = parse_row(name, row, line, n, time_col, t, err);
        if (rc)
            return rc;
    }
    if (t->nrows == 0)
        return ac_err_set(err, AC_EINVAL, "%s:2: no rows", name);
    return 0;
}

int ac_rca_table_parse(const char *name, const char *text, size_t len, struct ac_rca_table *ret,
                       struct ac_err *err)
{
    struct ac_rca_table t = {0};
    int rc = parse_all(name, text, len, &t, err);
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
    free(t->columns);
    free(t->t_ns);
    free(t->v);
    memset(t, 0, sizeof(*t));
}

/* The metric of a column, made when new; *ret -1 when the column is left out. */
static int column_metric(const char *file, const char *column, struct ac_rca_case *c, int *ret,
                         bool *ret_complement, struct ac_err *err)
{
    char component[256];
    const char *cut = strchr(column, '_');
    *ret = -1;
    if (!cut || cut == column || cut[1] == '\0' || (size_t)(cut - column) >= sizeof(component))
        return ac_err_set(err, AC_EINVAL, "%s:1: column \"%.80s\" is not <component>_<metric>",
                          file, column);
    memcpy(component, column, (size_t)(cut - column));
    component[cut - column] = '\0';
    struct ac_rca_name n = ac_rca_name_parse(cut + 1);
    if (n.drop)
        return 0;
    *ret_complement = n.complement;
    int comp = ac_rca_component(c, component);
    if (comp < 0)
        return ac_err_set(err, comp, "%s:1: more than %d components", file, AC_RCA_MAX_COMPONENTS);
    for (size_t i = 0; i < c->nmetrics; i++) {
        if (c->metrics[i].component == comp && ac_streq(c->metrics[i].name, cut + 1)) {
            *ret = (int)i;
            return 0;
        }
    }
    *ret = ac_rca_metric_add(c, comp, -1, n.kind, n.statistic, cut + 1);
    if (*ret < 0)
        return ac_err_set(err, *ret, "%s:1: more than %d measurements", file, AC_RCA_MAX_METRICS);
    return 0;
}

int ac_rca_table_add(const char *name, const struct ac_rca_table *t, int64_t shift_ns,
                     struct ac_rca_case *c, struct ac_err *err)
{
    for (size_t j = 0; j < t->ncolumns; j++) {
        int m;
        bool complement = false;
        int rc = column_metric(name, t->columns[j], c, &m, &complement, err);
        if (rc)
            return rc;
        for (size_t i = 0; m >= 0 && i < t->nrows; i++) {
            double v = t->v[i * t->ncolumns + j];
            ac_rca_metric_push(&c->metrics[m], t->t_ns[i] + shift_ns, complement ? 100.0 - v : v);
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

static bool is_edge_header(const char *a, size_t na, const char *b, size_t nb)
{
    return (na == 6 && nb == 6 && !strncasecmp(a, "caller", 6) && !strncasecmp(b, "callee", 6)) ||
           (na == 6 && nb == 6 && !strncasecmp(a, "source", 6) && !strncasecmp(b, "target", 6)) ||
           (na == 4 && nb == 2 && !strncasecmp(a, "from", 4) && !strncasecmp(b, "to", 2));
}

int ac_rca_edges_parse(const char *name, const char *text, size_t len, struct ac_rca_case *c,
                       struct ac_err *err)
{
    const char *p = text, *end = text + len, *line;
    size_t n, row = 0;
    while (next_line(&p, end, &line, &n)) {
        const char *q = line, *cell[3] = {"", "", ""};
        size_t cn[3] = {0, 0, 0}, k = 0;
        char s[3][256];
        row++;
        if (n == 0)
            continue;
        while (k < 3 && next_cell(&q, line + n, &cell[k], &cn[k])) {
            trim(&cell[k], &cn[k]);
            k++;
        }
        if (k < 2 || cn[0] == 0 || cn[1] == 0)
            return ac_err_set(err, AC_EINVAL, "%s:%zu: expected caller,callee", name, row);
        if (row == 1 && is_edge_header(cell[0], cn[0], cell[1], cn[1]))
            continue;
        for (size_t i = 0; i < 3; i++) {
            if (cn[i] >= sizeof(s[i]) || memchr(cell[i], '\0', cn[i]))
                return ac_err_set(err, AC_EINVAL, "%s:%zu:%zu: the name is too long", name, row,
                                  i + 1);
            memcpy(s[i], cell[i], cn[i]);
            s[i][cn[i]] = '\0';
        }
        int from = ac_rca_component(c, s[0]), to = from < 0 ? from : ac_rca_component(c, s[1]);
        if (from == to && from >= 0)
            return ac_err_set(err, AC_EINVAL, "%s:%zu: %s calls itself", name, row, s[0]);
        int rc = to < 0 ? to : ac_rca_edge_add(c, from, to, s[2]);
        if (rc)
            return ac_err_set(err, rc, "%s:%zu: too many components or edges", name, row);
    }
    return 0;
}
