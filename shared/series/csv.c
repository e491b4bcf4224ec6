/* Reader of series files. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/series.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>

#define FIELDS_MAX 64

struct reader {
    struct ac_csv csv;
    struct ac_series *s;
    int n_fields;                       /* of the header */
    int time_col, value_col, label_col; /* -1 = none */
    int64_t interval_ns, t0_ns;         /* of the # line; 0 = not given */
    const struct ac_series_want *want;
    int named[FIELDS_MAX]; /* the wanted column that a field is, or -1 */
    size_t caps[AC_SERIES_COLUMNS_MAX];
};

/* "# series=x interval_s=60 t0=1 n_train=2": unknown words are ignored, known ones must be right.
 */
static int read_comment(struct reader *r, char *line)
{
    char *rest = line + 1, *word;
    while ((word = ac_str_next(&rest, ' '))) {
        char *eq = strchr(word, '=');
        if (!eq)
            continue;
        *eq = '\0';
        uint64_t u;
        double f;
        if (strcmp(word, "series") == 0 && eq[1]) {
            free(r->s->name);
            r->s->name = ac_xstrdup(eq + 1);
        } else if (strcmp(word, "n_train") == 0) {
            if (!ac_str_to_u64(eq + 1, &u) || u > AC_SERIES_MAX_POINTS)
                return ac_csv_err(&r->csv, 1, "n_train is no count: '%.40s'", eq + 1);
            r->s->n_train = (size_t)u;
        } else if (strcmp(word, "interval_s") == 0) {
            if (!ac_str_to_f64(eq + 1, &f) || !(f >= 1e-9 && f < 1e9))
                return ac_csv_err(&r->csv, 1, "interval_s is no duration: '%.40s'", eq + 1);
            r->interval_ns = (int64_t)llround(f * (double)AC_NS_PER_S);
        } else if (strcmp(word, "t0") == 0) {
            if (!ac_str_to_f64(eq + 1, &f) || !(fabs(f) < 9e9))
                return ac_csv_err(&r->csv, 1, "t0 is no Unix time: '%.40s'", eq + 1);
            r->t0_ns = (int64_t)llround(f) * AC_NS_PER_S;
        }
    }
    return 0;
}

/* Which fields are the wanted columns; of two fields with a name the first counts. */
static int find_wanted(struct reader *r, char *fields[], int n)
{
    for (int i = 0; i < n; i++)
        r->named[i] = -1;
    for (size_t k = 0; k < r->want->n_columns; k++) {
        int i = 0;
        while (i < n && (r->named[i] >= 0 || strcmp(fields[i], r->want->columns[k]) != 0))
            i++;
        if (i == n)
            return ac_csv_err(&r->csv, 1, "the header names no column '%.60s'",
                              r->want->columns[k]);
        r->named[i] = (int)k;
    }
    return 0;
}

static int read_header(struct reader *r, char *fields[], int n)
{
    r->n_fields = n;
    r->time_col = r->value_col = r->label_col = -1;
    int others = 0, other = -1;
    for (int i = 0; i < n; i++) {
        const char *f = fields[i];
        int *col = NULL;
        if (strcasecmp(f, "timestamp") == 0 || strcasecmp(f, "time") == 0)
            col = &r->time_col;
        else if (strcasecmp(f, "value") == 0)
            col = &r->value_col;
        else if (strcasecmp(f, "label") == 0 || strcasecmp(f, "is_anomaly") == 0 ||
                 strcasecmp(f, "anomaly") == 0)
            col = &r->label_col;
        if (!col) {
            others++;
            other = i;
            continue;
        }
        if (*col >= 0)
            return ac_csv_err(&r->csv, (size_t)i + 1, "a second column '%.40s'", f);
        *col = i;
    }
    double unused;
    if (r->value_col < 0 && others == 1 && !ac_str_to_f64(fields[other], &unused))
        r->value_col = other; /* the only one left, and no number: a name of its own */
    if (r->value_col < 0)
        return ac_csv_err(&r->csv, 1, "the header names no column 'value'");
    return find_wanted(r, fields, n);
}

static bool text_to_label(const char *f, int *ret_label)
{
    double v;
    if (strcasecmp(f, "true") == 0 || strcasecmp(f, "false") == 0) {
        *ret_label = f[0] == 't' || f[0] == 'T';
        return true;
    }
    if (!ac_str_to_f64(f, &v) || (v != 0 && v != 1))
        return false;
    *ret_label = v == 1;
    return true;
}

static int check_rising(struct reader *r, int64_t time_ns)
{
    const struct ac_series *s = r->s;
    if (!r->want->rising || r->time_col < 0 || !s->n || time_ns > s->times_ns[s->n - 1])
        return 0;
    return ac_csv_err(&r->csv, (size_t)r->time_col + 1,
                      time_ns == s->times_ns[s->n - 1] ? "the same time twice"
                                                       : "the times go back");
}

static int read_wanted(struct reader *r, char *fields[], int n)
{
    for (int i = 0; i < n; i++) {
        double v;
        if (r->named[i] < 0)
            continue;
        if (!ac_csv_value(fields[i], &v))
            return ac_csv_err(&r->csv, (size_t)i + 1, "expected a number, not '%.40s'", fields[i]);
        size_t k = (size_t)r->named[i];
        ac_grow(&r->s->columns[k], &r->caps[k], r->s->n + 1, sizeof(double));
        r->s->columns[k][r->s->n] = v;
    }
    return 0;
}

static int read_row(struct reader *r, char *fields[], int n)
{
    double value = NAN;
    int64_t time_ns = 0;
    int label = -1;
    if (n != r->n_fields)
        return ac_csv_err(&r->csv, (size_t)AC_MIN(n, r->n_fields) + 1,
                          "%d fields, the header has %d", n, r->n_fields);
    if (r->time_col >= 0 && !ac_csv_time(fields[r->time_col], &time_ns))
        return ac_csv_err(&r->csv, (size_t)r->time_col + 1, "expected a time, not '%.40s'",
                          fields[r->time_col]);
    if (!ac_csv_value(fields[r->value_col], &value))
        return ac_csv_err(&r->csv, (size_t)r->value_col + 1, "expected a number, not '%.40s'",
                          fields[r->value_col]);
    if (r->label_col >= 0 && !text_to_label(fields[r->label_col], &label))
        return ac_csv_err(&r->csv, (size_t)r->label_col + 1, "expected a label 0 or 1, not '%.40s'",
                          fields[r->label_col]);
    if (r->s->n >= AC_SERIES_MAX_POINTS)
        return ac_csv_err(&r->csv, 1, "more than %u points", AC_SERIES_MAX_POINTS);
    int rc = check_rising(r, time_ns);
    rc = rc ? rc : read_wanted(r, fields, n);
    if (rc)
        return rc;
    ac_series_append(r->s, time_ns, value, label);
    return 0;
}

/* The distance of all neighbours where it is one; else 0. */
static int64_t even_step(const struct ac_series *s)
{
    int64_t step = 0, d;
    for (size_t i = 1; i < s->n; i++) {
        if (__builtin_sub_overflow(s->times_ns[i], s->times_ns[i - 1], &d) || d <= 0 ||
            (step && d != step))
            return 0;
        step = d;
    }
    return step;
}

/* Times become a grid where they are one: the # line's, or a column with even steps. */
static int settle_times(struct reader *r)
{
    struct ac_series *s = r->s;
    int64_t end;
    if (r->time_col >= 0) {
        s->step_ns = even_step(s);
        if (!s->step_ns)
            return 0;
    } else {
        if (__builtin_mul_overflow(r->interval_ns, (int64_t)s->n, &end) ||
            __builtin_add_overflow(r->t0_ns, end, &end))
            return ac_err_set(r->csv.err, AC_EINVAL, "%s:1:1: the times run past the year 2262",
                              r->csv.file);
        s->step_ns = r->interval_ns;
        s->t0_ns = r->t0_ns;
    }
    free(s->times_ns);
    s->times_ns = NULL;
    return 0;
}

/* File name without directory and endings. */
static char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *name = ac_xstrdup(slash ? slash + 1 : file);
    static const char *const endings[] = {".gz", ".csv", ".txt"};
    for (size_t i = 0; i < AC_ARRAY_LEN(endings); i++) {
        if (ac_str_ends(name, endings[i]))
            name[strlen(name) - strlen(endings[i])] = '\0';
    }
    return name;
}

static int read_text(struct reader *r)
{
    int rc = 0;
    while (!(r->want->train_only && r->s->n && r->s->n == r->s->n_train) &&
           (rc = ac_csv_next(&r->csv)) > 0) {
        char **fields = r->csv.fields;
        int n = (int)r->csv.n;
        if (fields[0][0] != '#')
            rc = r->n_fields == 0 ? read_header(r, fields, n) : read_row(r, fields, n);
        else /* below the header it is too late to say what the rows are */
            rc = r->n_fields == 0 ? read_comment(r, fields[0]) : 0;
        if (rc)
            return rc;
    }
    if (rc)
        return rc;
    r->csv.row++;
    if (r->n_fields == 0)
        return ac_csv_err(&r->csv, 1, "no header line");
    if (r->s->n == 0)
        return ac_csv_err(&r->csv, 1, "no rows");
    return 0;
}

static int parse(const char *file, const char *text, size_t len, const struct ac_series_want *want,
                 struct ac_series **ret, struct ac_err *err)
{
    ac_cleanup(ac_free_p) char *name = base_name(file);
    struct reader r = {.s = ac_series_create(name), .want = want};
    AC_ASSERT(want->n_columns <= AC_SERIES_COLUMNS_MAX);
    r.s->n_columns = want->n_columns;
    r.s->columns = want->n_columns ? ac_xcalloc(want->n_columns, sizeof(double *)) : NULL;
    ac_csv_init(&r.csv, file, text, len, FIELDS_MAX, err);
    int rc = read_text(&r);
    if (rc == 0 && r.s->n_train > r.s->n)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: n_train is %zu, the file has %zu rows", file,
                        r.s->n_train, r.s->n);
    if (rc == 0)
        rc = settle_times(&r);
    ac_csv_fini(&r.csv);
    if (rc) {
        ac_series_destroy(r.s);
        return rc;
    }
    *ret = r.s;
    return 0;
}

int ac_series_parse_as(const char *file_name, const char *text, size_t len,
                       const struct ac_series_want *want, struct ac_series **ret,
                       struct ac_err *err)
{
    char *copy;
    size_t n;
    int rc = ac_gz_inflate(file_name, text, len, AC_SERIES_MAX_BYTES, &copy, &n, err);
    if (rc)
        return rc;
    rc = parse(file_name, copy, n, want, ret, err);
    free(copy);
    return rc;
}

int ac_series_read_as(const char *path, const struct ac_series_want *want, struct ac_series **ret,
                      struct ac_err *err)
{
    char *text;
    size_t len;
    int rc = ac_gz_read(path, AC_SERIES_MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    rc = parse(path, text, len, want, ret, err);
    free(text);
    return rc;
}

int ac_series_parse(const char *file_name, const char *text, size_t len, struct ac_series **ret,
                    struct ac_err *err)
{
    return ac_series_parse_as(file_name, text, len, &(struct ac_series_want){0}, ret, err);
}

int ac_series_read(const char *path, struct ac_series **ret, struct ac_err *err)
{
    return ac_series_read_as(path, &(struct ac_series_want){0}, ret, err);
}
