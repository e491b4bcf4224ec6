/* Rows and cells of CSV text. A row is copied once and cut in place; nothing is allocated a cell.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <ctype.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/series_csv.h>
#include <aceso/str.h>

void ac_csv_init(struct ac_csv *c, const char *file, const char *text, size_t len,
                 size_t max_fields, struct ac_err *err)
{
    *c = (struct ac_csv){.file = file,
                         .at = text,
                         .end = text + len,
                         .max_fields = max_fields,
                         .err = err,
                         .separator = ','};
}

void ac_csv_fini(struct ac_csv *c)
{
    free(c->line);
    free(c->fields);
    c->line = NULL;
    c->fields = NULL;
    c->n = 0;
}

int ac_csv_err(struct ac_csv *c, size_t column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ac_err_vset(c->err, AC_EINVAL, fmt, ap);
    va_end(ap);
    ac_err_wrap(c->err, "%s:%zu:%zu", c->file, c->row, column);
    return AC_EINVAL;
}

/* Cell that begins at p: undoes its quotes, sets where the next one begins (NULL: none). */
static char *cut_cell(char *p, char sep, char **ret_next)
{
    while (*p != sep && isspace((unsigned char)*p))
        p++;
    char *begin = p, *out = p;
    bool quoted = *p == '"';
    if (quoted) {
        begin = out = ++p;
        while (*p && !(p[0] == '"' && p[1] != '"')) {
            p += p[0] == '"'; /* of two quotes the second is meant */
            *out++ = *p++;
        }
        p += *p == '"';
    }
    char *plain = out;
    while (*p && *p != sep && !(sep == ' ' && isspace((unsigned char)*p)))
        *out++ = *p++;
    *ret_next = *p ? p + 1 : NULL;
    while (sep == ' ' && *ret_next && isspace((unsigned char)**ret_next))
        (*ret_next)++;
    while (out > (quoted ? plain : begin) && isspace((unsigned char)out[-1]))
        out--;
    *out = '\0';
    return begin;
}

static int cut_row(struct ac_csv *c)
{
    c->n = 0;
    if (c->line[0] == '#') {
        ac_grow(&c->fields, &c->fields_cap, 1, sizeof(c->fields[0]));
        c->fields[c->n++] = c->line;
        return 1;
    }
    for (char *p = c->line; p;) {
        if (c->n == c->max_fields)
            return ac_csv_err(c, c->n + 1, "more than %zu fields", c->max_fields);
        ac_grow(&c->fields, &c->fields_cap, c->n + 1, sizeof(c->fields[0]));
        c->fields[c->n++] = cut_cell(p, c->separator, &p);
    }
    return 1;
}

/* Blanks around a row; where tabs part the cells they are none. */
static bool is_margin(const struct ac_csv *c, char x)
{
    return isspace((unsigned char)x) && (x != c->separator || x == ' ');
}

#define ROW_MAX ((size_t)1 << 20)

/* Where a row ends whose quoted cells may hold line breaks; NULL: a quote stays open. */
static const char *row_end(const struct ac_csv *c)
{
    const char *limit = (size_t)(c->end - c->at) > ROW_MAX ? c->at + ROW_MAX : c->end;
    bool quoted = false, begins = true; /* in quotes; at the begin of a cell */
    for (const char *p = c->at; p < limit; p++) {
        if (quoted)
            quoted = *p != '"' || (p + 1 < limit && p[1] == '"' && p++);
        else if (*p == '\n')
            return p;
        else if (*p == '"' && begins)
            quoted = true;
        else if (*p == c->separator)
            begins = true;
        else if (!isspace((unsigned char)*p))
            begins = false;
        begins &= !quoted;
    }
    return quoted || limit < c->end ? NULL : c->end;
}

int ac_csv_next(struct ac_csv *c)
{
    while (c->at < c->end) {
        const char *begin = c->at, *stop = memchr(begin, '\n', (size_t)(c->end - begin));
        c->row += 1 + c->more_lines;
        c->more_lines = 0;
        stop = c->multiline ? row_end(c) : stop ? stop : c->end;
        if (!stop)
            return ac_csv_err(c, 1, "a quote that stays open, or a row of more than 1 MiB");
        for (const char *p = begin; (p = memchr(p, '\n', (size_t)(stop - p))); p++)
            c->more_lines++;
        c->at = stop < c->end ? stop + 1 : c->end;
        while (begin < stop && is_margin(c, *begin))
            begin++;
        while (stop > begin && is_margin(c, stop[-1]))
            stop--;
        size_t n = (size_t)(stop - begin);
        if (n == 0)
            continue;
        if (memchr(begin, '\0', n))
            return ac_csv_err(c, 1, "a NUL byte");
        ac_grow(&c->line, &c->line_cap, n + 1, 1);
        memcpy(c->line, begin, n);
        c->line[n] = '\0';
        return cut_row(c);
    }
    return 0;
}

bool ac_csv_value(const char *f, double *ret_v)
{
    double v = NAN;
    if (*f && strcasecmp(f, "null") != 0 && strcasecmp(f, "na") != 0 && !ac_str_to_f64(f, &v))
        return false;
    *ret_v = isfinite(v) ? v : NAN; /* nothing can be learnt from an infinity */
    return true;
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

bool ac_csv_time(const char *f, int64_t *ret_ns)
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
