#include "series_file.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <ctype.h>
#include <zlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

#define LINE_MAX_ 65536
#define COLS_MAX  64
#define NAMES_MAX 32

struct reader {
    const char *path;
    gzFile f;
    char *line;
    size_t row; /* line of the file, from 1 */
    int c_time, c_value, c_label, n_cols;
    int of_column[COLS_MAX]; /* the named column that it is, else -1 */
    const char *const *names;
    size_t caps[NAMES_MAX];
    bool header;
    size_t cap_v, cap_l;
    int64_t first_ns, last_ns;
    struct series_file *s;
    struct ac_err *err;
};

void series_file_fini(struct series_file *s)
{
    free(s->values);
    free(s->labels);
    for (size_t i = 0; s->columns && i < s->n_columns; i++)
        free(s->columns[i]);
    free(s->columns);
    s->values = NULL;
    s->labels = NULL;
    s->columns = NULL;
}

static int bad(struct reader *r, int column, const char *what)
{
    return ac_err_set(r->err, AC_EINVAL, "%s: row %zu, column %d: %s", r->path, r->row, column + 1,
                      what);
}

static void default_name(struct series_file *s, const char *path)
{
    const char *base = strrchr(path, '/');
    ac_str_copy(s->name, sizeof s->name, base ? base + 1 : path);
    static const char *const endings[] = {".gz", ".csv", ".txt"};
    for (size_t i = 0; i < AC_ARRAY_LEN(endings); i++) {
        size_t n = strlen(s->name), e = strlen(endings[i]);
        if (n > e && strcmp(s->name + n - e, endings[i]) == 0)
            s->name[n - e] = 0;
    }
}

/* "# series=a interval_s=60 t0=1491041280 n_train=149527 n_test=149526" */
static void read_comment(struct reader *r)
{
    char *rest = r->line + 1;
    for (char *w; (w = ac_str_next(&rest, ' '));) {
        char *eq = strchr(w, '=');
        if (!eq)
            continue;
        *eq++ = 0;
        uint64_t u = 0;
        double d = 0;
        if (strcmp(w, "series") == 0 && *eq)
            ac_str_copy(r->s->name, sizeof r->s->name, eq);
        else if (strcmp(w, "n_train") == 0 && ac_str_to_u64(eq, &u) && u <= SERIES_ROWS_MAX)
            r->s->n_train = (size_t)u;
        else if (strcmp(w, "interval_s") == 0 && ac_str_to_f64(eq, &d) && d > 1e-6 && d < 1e7)
            r->s->step_ns = (int64_t)(d * 1e9);
        else if (strcmp(w, "t0") == 0 && ac_str_to_f64(eq, &d) && d >= 0 && d < 9e9)
            r->s->t0_ns = (int64_t)(d * 1e9);
    }
}

/* Which of the columns asked for a header's word is; the first of two with the same name counts. */
static int named(const struct reader *r, const char *word, bool *found)
{
    for (size_t i = 0; i < r->s->n_columns; i++) {
        if (!found[i] && strcmp(word, r->names[i]) == 0) {
            found[i] = true;
            return (int)i;
        }
    }
    return -1;
}

static int read_header(struct reader *r)
{
    char *rest = r->line;
    r->c_time = r->c_value = r->c_label = -1;
    bool found[NAMES_MAX] = {false};
    for (char *w; (w = ac_str_next(&rest, ','));) {
        w = ac_str_trim(w);
        if (r->n_cols == COLS_MAX)
            return bad(r, r->n_cols, "too many columns");
        r->of_column[r->n_cols] = named(r, w, found);
        if (strcmp(w, "timestamp") == 0 || strcmp(w, "time") == 0)
            r->c_time = r->n_cols;
        else if (strcmp(w, "value") == 0)
            r->c_value = r->n_cols;
        else if (strcmp(w, "label") == 0 || strcmp(w, "anomaly") == 0 ||
                 strcmp(w, "is_anomaly") == 0)
            r->c_label = r->n_cols;
        r->n_cols++;
    }
    for (size_t i = 0; i < r->s->n_columns; i++) {
        if (!found[i])
            return ac_err_set(r->err, AC_EINVAL,
                              "%s: row %zu, column 1: the header names no column %s", r->path,
                              r->row, r->names[i]);
    }
    if (r->c_value < 0)
        return bad(r, 0, "the header names no column value");
    r->s->labelled = r->c_label >= 0;
    r->header = true;
    return 0;
}

static bool parse_time(const char *w, int64_t *ret)
{
    double d;
    if (ac_str_to_f64(w, &d)) {
        d = d > 1e14 ? d / 1e9 : d > 1e11 ? d / 1e3 : d; /* ns, ms or s */
        if (!(d >= 0 && d < 9e9))
            return false;
        *ret = (int64_t)(d * 1e9);
        return true;
    }
    if (ac_time_parse(w, ret) == 0)
        return true;
    char iso[40]; /* "2014-04-01 00:00:00" is taken as UTC */
    if (strlen(w) < 19 || strlen(w) > 30)
        return false;
    ac_str_copy(iso, sizeof iso, w);
    iso[10] = 'T';
    memcpy(iso + strlen(iso), "Z", 2);
    return ac_time_parse(iso, ret) == 0;
}

static int read_time(struct reader *r, const char *w)
{
    int64_t t;
    if (!parse_time(w, &t))
        return bad(r, r->c_time, "this is no time");
    if (r->s->n && t <= r->last_ns)
        return bad(r, r->c_time, t == r->last_ns ? "the same time twice" : "the times go back");
    if (!r->s->n)
        r->first_ns = t;
    else if (r->s->n == 1 && !r->s->step_ns)
        r->s->step_ns = t - r->last_ns;
    r->last_ns = t;
    return 0;
}

static int read_column(struct reader *r, int c, const char *w)
{
    size_t i = (size_t)r->of_column[c];
    double v = __builtin_nan("");
    if (*w && !ac_str_to_f64(w, &v))
        return bad(r, c, "this is no number");
    ac_grow(&r->s->columns[i], &r->caps[i], r->s->n + 1, sizeof(double));
    r->s->columns[i][r->s->n] = v;
    return 0;
}

static int read_row(struct reader *r)
{
    char *rest = r->line;
    double v = __builtin_nan("");
    uint8_t label = 0;
    int c = 0;
    for (char *w; (w = ac_str_next(&rest, ',')); c++) {
        w = ac_str_trim(w);
        if (c < r->n_cols && r->of_column[c] >= 0) {
            int rc = read_column(r, c, w);
            if (rc < 0)
                return rc;
        }
        if (c == r->c_time) {
            int rc = read_time(r, w);
            if (rc < 0)
                return rc;
        } else if (c == r->c_value) {
            if (*w && !ac_str_to_f64(w, &v))
                return bad(r, c, "this is no number");
        } else if (c == r->c_label) {
            double l;
            if (!ac_str_to_f64(w, &l) || (l != 0 && l != 1))
                return bad(r, c, "a label is 0 or 1");
            label = l == 1;
        }
    }
    if (c != r->n_cols)
        return bad(r, c ? c - 1 : 0, "the row has another number of columns than the header");
    struct series_file *s = r->s;
    if (s->n == SERIES_ROWS_MAX)
        return bad(r, 0, "too many rows");
    ac_grow(&s->values, &r->cap_v, s->n + 1, sizeof(double));
    ac_grow(&s->labels, &r->cap_l, s->n + 1, 1);
    s->values[s->n] = v;
    s->labels[s->n++] = label;
    return 0;
}

static int read_lines(struct reader *r, size_t stop)
{
    while ((!stop || r->s->n < stop) && gzgets(r->f, r->line, LINE_MAX_)) {
        r->row++;
        size_t n = strlen(r->line);
        if (n == LINE_MAX_ - 1)
            return bad(r, 0, "the line is too long");
        while (n && isspace((unsigned char)r->line[n - 1]))
            r->line[--n] = 0;
        if (!n)
            continue;
        if (r->line[0] == '#') {
            if (!r->header) /* further down it is too late to say what the rows are */
                read_comment(r);
            continue;
        }
        int rc = r->header ? read_row(r) : read_header(r);
        if (rc < 0)
            return rc;
        if (stop == SIZE_MAX && r->s->n_train)
            stop = r->s->n_train;
    }
    int z = 0;
    const char *msg = gzerror(r->f, &z);
    if (z == Z_ERRNO) /* msg names the file, and no reason */
        return ac_err_set(r->err, AC_EINVAL, "%s: cannot read: %s", r->path,
                          strerrordesc_np(errno));
    if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR) {
        const char *why = strrchr(msg, ':'); /* it begins with the path */
        return ac_err_set(r->err, AC_EINVAL, "%s: row %zu: damaged gzip data%s", r->path, r->row,
                          why ? why : "");
    }
    if (z == Z_BUF_ERROR)
        return ac_err_set(r->err, AC_EINVAL, "%s: row %zu: the file is cut off", r->path, r->row);
    return 0;
}

static int read_file(const char *path, bool train_only, const char *const *names, size_t n_names,
                     struct series_file *ret, struct ac_err *err)
{
    struct series_file s = {0};
    AC_ASSERT(n_names <= NAMES_MAX);
    s.n_columns = n_names;
    s.columns = n_names ? ac_xcalloc(n_names, sizeof(double *)) : NULL;
    default_name(&s, path);
    struct reader r = {.path = path, .s = &s, .names = names, .err = err};
    r.f = gzopen(path, "rb");
    if (!r.f) {
        int why = errno;
        free(s.columns);
        return ac_err_set(err, AC_EINVAL, "%s: cannot open: %s", path, strerrordesc_np(why));
    }
    (void)gzbuffer(r.f, 1 << 17);
    r.line = ac_xmalloc(LINE_MAX_);
    int rc = read_lines(&r, train_only ? SIZE_MAX : 0);
    free(r.line);
    (void)gzclose(r.f);
    if (rc == 0 && !s.n)
        rc = ac_err_set(err, AC_EINVAL, "%s: the file has no rows", path);
    if (rc < 0) {
        series_file_fini(&s);
        return rc;
    }
    if (r.c_time >= 0)
        s.t0_ns = r.first_ns;
    if (!s.step_ns)
        s.step_ns = 60000000000LL;
    *ret = s;
    return 0;
}

int series_file_read(const char *path, struct series_file *ret, struct ac_err *err)
{
    return read_file(path, false, NULL, 0, ret, err);
}

int series_file_read_train(const char *path, struct series_file *ret, struct ac_err *err)
{
    return read_file(path, true, NULL, 0, ret, err);
}

int series_file_read_columns(const char *path, const char *const *names, size_t n_names,
                             struct series_file *ret, struct ac_err *err)
{
    return read_file(path, false, names, n_names, ret, err);
}
