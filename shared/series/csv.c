/* Reader of series files. The text is cut into fields in place; nothing is allocated a field. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/series.h>
#include <aceso/str.h>

#define FIELDS_MAX 64

struct reader {
    const char *file;
    struct ac_series *s;
    struct ac_err *err;
    size_t row;                         /* from 1 */
    int n_fields;                       /* of the header */
    int time_col, value_col, label_col; /* -1 = none */
    int64_t interval_ns, t0_ns;         /* of the # line; 0 = not given */
};

static int complain(struct reader *r, int column, const char *fmt, ...) AC_PRINTF(3, 4);
static int complain(struct reader *r, int column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ac_err_vset(r->err, AC_EINVAL, fmt, ap);
    va_end(ap);
    ac_err_wrap(r->err, "%s:%zu:%d", r->file, r->row, column);
    return AC_EINVAL;
}

/* Fields of a line, blanks and quotes around them removed; -1 when there are too many. */
static int split(char *line, char *fields[FIELDS_MAX])
{
    int n = 0;
    char *rest = line, *f;
    while ((f = ac_str_next(&rest, ','))) {
        if (n == FIELDS_MAX)
            return -1;
        f = ac_str_trim(f);
        size_t len = strlen(f);
        if (len >= 2 && f[0] == '"' && f[len - 1] == '"') {
            f[len - 1] = '\0';
            f++;
        }
        fields[n++] = f;
    }
    return n;
}

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
                return complain(r, 1, "n_train is no count: '%.40s'", eq + 1);
            r->s->n_train = (size_t)u;
        } else if (strcmp(word, "interval_s") == 0) {
            if (!ac_str_to_f64(eq + 1, &f) || !(f > 0 && f < 1e9))
                return complain(r, 1, "interval_s is no duration: '%.40s'", eq + 1);
            r->interval_ns = (int64_t)llround(f * (double)AC_NS_PER_S);
        } else if (strcmp(word, "t0") == 0) {
            if (!ac_str_to_f64(eq + 1, &f) || !(fabs(f) < 9e9))
                return complain(r, 1, "t0 is no Unix time: '%.40s'", eq + 1);
            r->t0_ns = (int64_t)llround(f) * AC_NS_PER_S;
        }
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
            return complain(r, i + 1, "a second column '%.40s'", f);
        *col = i;
    }
    double unused;
    if (r->value_col < 0 && others == 1 && !ac_str_to_f64(fields[other], &unused))
        r->value_col = other; /* the only one left, and no number: a name of its own */
    if (r->value_col < 0)
        return complain(r, 1, "the header names no column 'value'");
    return 0;
}

/* Seconds as a rule; larger numbers are ms, us or ns by their size (all of our century). */
static bool number_to_time(double v, int64_t *ret_ns)
{
    double a = fabs(v), unit = a < 1e11 ? 1e9 : a < 1e14 ? 1e6 : a < 1e17 ? 1e3 : 1;
    if (!(a * unit < 9.2e18))
        return false;
    double whole = floor(v);
    *ret_ns = (int64_t)whole * (int64_t)unit + (int64_t)llround((v - whole) * unit);
    return true;
}

static bool text_to_time(const char *f, int64_t *ret_ns)
{
    double v;
    int64_t i;
    if (ac_str_to_i64(f, &i) && (i >= 100000000000000000 || i <= -100000000000000000)) {
        *ret_ns = i; /* too long for a double to hold */
        return true;
    }
    if (ac_str_to_f64(f, &v))
        return isfinite(v) && number_to_time(v, ret_ns);
    if (ac_time_parse(f, ret_ns) == 0)
        return true;
    char zoned[40];
    int n = snprintf(zoned, sizeof(zoned), "%sZ", f);
    return n > 0 && (size_t)n < sizeof(zoned) && ac_time_parse(zoned, ret_ns) == 0;
}

static bool text_to_value(const char *f, double *ret_v)
{
    if (!*f || strcasecmp(f, "nan") == 0 || strcasecmp(f, "null") == 0 ||
        strcasecmp(f, "na") == 0) {
        *ret_v = NAN;
        return true;
    }
    double v;
    if (!ac_str_to_f64(f, &v))
        return false;
    *ret_v = isfinite(v) ? v : NAN; /* nothing can be learnt from an infinity */
    return true;
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

static int read_row(struct reader *r, char *fields[], int n)
{
    double value = NAN;
    int64_t time_ns = 0;
    int label = -1;
    if (n != r->n_fields)
        return complain(r, AC_MIN(n, r->n_fields) + 1, "%d fields, the header has %d", n,
                        r->n_fields);
    if (r->time_col >= 0 && !text_to_time(fields[r->time_col], &time_ns))
        return complain(r, r->time_col + 1, "expected a time, not '%.40s'", fields[r->time_col]);
    if (!text_to_value(fields[r->value_col], &value))
        return complain(r, r->value_col + 1, "expected a number, not '%.40s'",
                        fields[r->value_col]);
    if (r->label_col >= 0 && !text_to_label(fields[r->label_col], &label))
        return complain(r, r->label_col + 1, "expected a label 0 or 1, not '%.40s'",
                        fields[r->label_col]);
    if (r->s->n >= AC_SERIES_MAX_POINTS)
        return complain(r, 1, "more than %u points", AC_SERIES_MAX_POINTS);
    ac_series_append(r->s, time_ns, value, label);
    return 0;
}

static int read_line(struct reader *r, char *line)
{
    char *fields[FIELDS_MAX];
    line = ac_str_trim(line);
    if (!*line)
        return 0;
    if (*line == '#')
        return read_comment(r, line);
    int n = split(line, fields);
    if (n < 0)
        return complain(r, FIELDS_MAX + 1, "more than %d fields", FIELDS_MAX);
    return r->n_fields == 0 ? read_header(r, fields, n) : read_row(r, fields, n);
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
            return ac_err_set(r->err, AC_EINVAL, "%s:1:1: the times run past the year 2262",
                              r->file);
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

static int read_text(struct reader *r, char *text, size_t len)
{
    char *end = text + len;
    for (char *line = text, *next; line < end; line = next) {
        char *eol = memchr(line, '\n', (size_t)(end - line));
        size_t n = (size_t)((eol ? eol : end) - line);
        next = eol ? eol + 1 : end;
        r->row++;
        line[n] = '\0'; /* the text has a NUL behind it */
        int rc = memchr(line, '\0', n) ? complain(r, 1, "a NUL byte") : read_line(r, line);
        if (rc)
            return rc;
    }
    r->row++;
    if (r->n_fields == 0)
        return complain(r, 1, "no header line");
    if (r->s->n == 0)
        return complain(r, 1, "no rows");
    return 0;
}

/* text is changed. */
static int parse(const char *file, char *text, size_t len, struct ac_series **ret,
                 struct ac_err *err)
{
    struct ac_err unused = AC_ERR_INIT;
    ac_cleanup(ac_free_p) char *name = base_name(file);
    struct reader r = {.file = file, .err = err ? err : &unused, .s = ac_series_create(name)};
    int rc = read_text(&r, text, len);
    if (rc == 0 && r.s->n_train > r.s->n)
        rc = ac_err_set(err, AC_EINVAL, "%s:1:1: n_train is %zu, the file has %zu rows", file,
                        r.s->n_train, r.s->n);
    if (rc == 0)
        rc = settle_times(&r);
    if (rc) {
        ac_series_destroy(r.s);
        return rc;
    }
    *ret = r.s;
    return 0;
}

int ac_series_parse(const char *file_name, const char *text, size_t len, struct ac_series **ret,
                    struct ac_err *err)
{
    char *copy;
    size_t n;
    int rc = ac_gz_inflate(file_name, text, len, AC_SERIES_MAX_BYTES, &copy, &n, err);
    if (rc)
        return rc;
    rc = parse(file_name, copy, n, ret, err);
    free(copy);
    return rc;
}

int ac_series_read(const char *path, struct ac_series **ret, struct ac_err *err)
{
    char *text;
    size_t len;
    int rc = ac_gz_read(path, AC_SERIES_MAX_BYTES, &text, &len, err);
    if (rc)
        return rc;
    rc = parse(path, text, len, ret, err);
    free(text);
    return rc;
}
