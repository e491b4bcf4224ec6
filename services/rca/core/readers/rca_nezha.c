#include "readers/rca_nezha.h"

#include <math.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

char *ac_rca_pod_service(const char *pod)
{
    const char *cut = strrchr(pod, '-');
    size_t n = cut ? (size_t)(cut - pod) : strlen(pod);
    while (n > 0 && cut && pod[n - 1] != '-')
        n--;
    return ac_xstrndup(pod, cut && n > 1 ? n - 1 : strlen(pod));
}

/* "2022-08-22 03:51:19.607158889 +0000 UTC m=+0.113112869": Go's form; the zone is always UTC. */
static int row_time(struct ac_csv *r, size_t column, int64_t before_ns, int64_t *ret_ns)
{
    char *zone = strstr(r->fields[column], " +0000 UTC");
    if (zone)
        *zone = '\0';
    return ac_rca_row_time(r, column + 1, r->fields[column], before_ns, ret_ns);
}

enum role {
    SKIP,
    VALUE,
    TIME,
    OWNER
};

struct pod_file {
    struct ac_csv csv;
    enum role *roles; /* by column */
    char **names;     /* of VALUE columns */
    int *metrics;
    size_t n, time, owner;
    bool entry; /* seen from outside */
    int64_t before_ns;
};

static int pod_header(struct pod_file *f)
{
    bool time = false, owner = false;
    f->n = f->csv.n;
    f->roles = ac_xcalloc(f->n, sizeof(f->roles[0]));
    f->names = ac_xcalloc(f->n, sizeof(f->names[0]));
    f->metrics = ac_xcalloc(f->n, sizeof(f->metrics[0]));
    for (size_t i = 0; i < f->n; i++) {
        const char *s = f->csv.fields[i];
        f->metrics[i] = -1;
        f->names[i] = ac_xstrdup(s);
        if (strcasecmp(s, "time") == 0) {
            f->roles[i] = TIME;
            f->time = i;
            time = true;
        } else if (ac_streq(s, "PodName") || ac_streq(s, "ServiceName")) {
            f->roles[i] = OWNER;
            f->owner = i;
            f->entry = s[0] == 'S';
            owner = true;
        } else if (strcasecmp(s, "timestamp") != 0) {
            f->roles[i] = VALUE;
        }
    }
    return time && owner ? 0
                         : ac_csv_err(&f->csv, 1, "no column Time, or none PodName or ServiceName");
}

/* The first row says whose measurements these are. */
static int pod_metrics(struct pod_file *f, struct ac_rca_case *c)
{
    char *who = f->csv.fields[f->owner];
    ac_cleanup(ac_free_p) char *component = f->entry ? ac_xstrdup(who) : ac_rca_pod_service(who);
    for (char *p = component; f->entry && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (!*component)
        return ac_csv_err(&f->csv, f->owner + 1, "no name");
    for (size_t i = 0; i < f->n; i++) {
        if (f->roles[i] != VALUE || (f->entry && !ac_str_starts(f->names[i], "SuccessRate")))
            continue;
        int rc = ac_rca_named_metric(c, component, f->names[i], &f->metrics[i], f->csv.err);
        if (rc)
            return ac_err_wrap(f->csv.err, "%s:1:%zu", f->csv.file, i + 1), rc;
        if (f->entry && f->metrics[i] >= 0)
            c->metrics[f->metrics[i]].kind = AC_RCA_SLI;
    }
    return 0;
}

static int pod_row(struct pod_file *f, int64_t shift_ns, struct ac_rca_case *c)
{
    int64_t t;
    if (f->csv.n != f->n)
        return ac_csv_err(&f->csv, AC_MIN(f->csv.n, f->n) + 1, "%zu cells, the header has %zu",
                          f->csv.n, f->n);
    int rc = row_time(&f->csv, f->time, f->before_ns, &t);
    if (rc)
        return rc;
    if (f->before_ns == 0 && (rc = pod_metrics(f, c)))
        return rc;
    f->before_ns = t;
    for (size_t i = 0; i < f->n; i++) {
        double v;
        if (f->metrics[i] < 0)
            continue;
        if (!ac_csv_value(f->csv.fields[i], &v))
            return ac_csv_err(&f->csv, i + 1, "not a number: '%.40s'", f->csv.fields[i]);
        struct ac_rca_metric *to = &c->metrics[f->metrics[i]];
        ac_rca_metric_push(to, t + shift_ns, ac_rca_held(to, v));
    }
    return 0;
}

int ac_rca_nezha_parse(const char *name, const char *text, size_t len, int64_t shift_ns,
                       struct ac_rca_case *c, struct ac_err *err)
{
    struct pod_file f = {0};
    ac_csv_init(&f.csv, name, text, len, AC_RCA_CSV_MAX_COLUMNS, err);
    int rc = ac_csv_next(&f.csv);
    if (rc == 0)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: the file is empty", name);
    else if (rc > 0)
        rc = pod_header(&f);
    while (rc == 0 && (rc = ac_csv_next(&f.csv)) > 0)
        rc = pod_row(&f, shift_ns, c);
    for (size_t i = 0; i < f.n; i++)
        free(f.names[i]);
    free(f.names);
    free(f.roles);
    free(f.metrics);
    ac_csv_fini(&f.csv);
    return rc;
}

static int edge_row(struct ac_csv *r, struct ac_rca_table *t, size_t *cap)
{
    if (r->n != t->ncolumns + 2)
        return ac_csv_err(r, AC_MIN(r->n, t->ncolumns + 2) + 1, "%zu cells, the header has %zu",
                          r->n, t->ncolumns + 2);
    if (t->nrows == *cap) {
        *cap = *cap ? *cap * 2 : 256;
        t->t_ns = ac_xrealloc(t->t_ns, ac_mul_size(*cap, sizeof(t->t_ns[0])));
        t->v = ac_xrealloc(t->v, ac_mul_size(ac_mul_size(*cap, t->ncolumns), sizeof(t->v[0])));
    }
    int rc = row_time(r, 0, t->nrows ? t->t_ns[t->nrows - 1] : 0, &t->t_ns[t->nrows]);
    for (size_t i = 0; !rc && i < t->ncolumns; i++)
        if (!ac_csv_value(r->fields[i + 2], &t->v[t->nrows * t->ncolumns + i]))
            rc = ac_csv_err(r, i + 3, "not a number: '%.40s'", r->fields[i + 2]);
    t->nrows += rc == 0;
    return rc;
}

int ac_rca_nezha_edges_parse(const char *name, const char *text, size_t len,
                             struct ac_rca_table *ret, struct ac_err *err)
{
    struct ac_rca_table t = {0};
    struct ac_csv r;
    size_t cap = 0;
    ac_csv_init(&r, name, text, len, AC_RCA_CSV_MAX_COLUMNS, err);
    int rc = ac_csv_next(&r);
    if (rc == 0)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: the file is empty", name);
    else if (rc > 0 && (r.n < 3 || strcasecmp(r.fields[0], "time") != 0 ||
                        strcasecmp(r.fields[1], "timestamp") != 0))
        rc = ac_csv_err(&r, 1, "expected time,timestamp,<caller>_<callee>,...");
    else if (rc > 0) {
        rc = 0;
        t.columns = ac_xcalloc(r.n, sizeof(t.columns[0]));
        for (size_t i = 2; i < r.n; i++)
            t.columns[t.ncolumns++] = ac_xstrdup(r.fields[i]);
    }
    while (rc == 0 && (rc = ac_csv_next(&r)) > 0)
        rc = edge_row(&r, &t, &cap);
    ac_csv_fini(&r);
    if (rc) {
        ac_rca_table_fini(&t);
        return rc;
    }
    *ret = t;
    return 0;
}

static int gap_metric(const char *column, struct ac_rca_case *c, struct ac_err *err)
{
    const char *cut = strchr(column, '_');
    if (!cut || cut == column || !cut[1])
        return ac_err_set(err, AC_EINVAL, "edge \"%.80s\" is not <caller>_<callee>", column);
    ac_cleanup(ac_free_p) char *caller = ac_xstrndup(column, (size_t)(cut - column));
    int from = ac_rca_component(c, caller), to = from < 0 ? from : ac_rca_component(c, cut + 1);
    int m = to < 0 ? to : ac_rca_metric_add(c, to, from, AC_RCA_GAP, AC_RCA_P50, "latency_gap");
    return m < 0 ? ac_err_set(err, m, "too many components or measurements") : m;
}

int ac_rca_nezha_gaps(const struct ac_rca_table *source, const struct ac_rca_table *destination,
                      int64_t shift_ns, struct ac_rca_case *c, struct ac_err *err)
{
    for (size_t i = 0; i < source->ncolumns; i++) {
        size_t k = 0, at = 0;
        while (k < destination->ncolumns && !ac_streq(destination->columns[k], source->columns[i]))
            k++;
        if (k == destination->ncolumns)
            continue; /* seen from one end only */
        int m = gap_metric(source->columns[i], c, err);
        if (m < 0)
            return m;
        for (size_t j = 0; j < source->nrows; j++) {
            int64_t t = source->t_ns[j];
            while (at < destination->nrows && destination->t_ns[at] < t - 30 * AC_NS_PER_S)
                at++;
            if (at == destination->nrows || destination->t_ns[at] > t + 30 * AC_NS_PER_S)
                continue;
            ac_rca_metric_push(&c->metrics[m], t + shift_ns,
                               source->v[j * source->ncolumns + i] -
                                   destination->v[at * destination->ncolumns + k]);
        }
    }
    return 0;
}
