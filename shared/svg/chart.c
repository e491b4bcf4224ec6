/* The chart of a series: events behind, band, expected line, the line itself, strips of flags and
 * numbered reasons. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/svg.h>

#define WIDTH    960
#define LEFT     78 /* of the plot; the names of the strips stand there */
#define TOP      76
#define COLUMNS  864 /* of pixels in the plot */
#define HEIGHT   250
#define ROW_H    17
#define NOTE_H   18
#define NOTE_GAP 19 /* between markers that do not touch */
#define NOTE_LEN 128

/* What a column of pixels holds of a line. */
struct column {
    double first_y, last_y; /* smallest and greatest, in the order in which they come */
    bool any;
};

struct plot {
    const struct ac_chart *c;
    struct ac_buf *out;
    size_t columns; /* as many as points when those are fewer */
    double lo, hi;
    int bottom; /* of the strips */
};

static size_t column_of(const struct plot *p, size_t i)
{
    return p->columns == p->c->n ? i : (size_t)((double)i * (double)p->columns / (double)p->c->n);
}

static double x_of(const struct plot *p, size_t column)
{
    return LEFT + ((double)column + 0.5) * COLUMNS / (double)p->columns;
}

static double y_of(const struct plot *p, double v)
{
    double y = TOP + HEIGHT - (v - p->lo) / (p->hi - p->lo) * HEIGHT;
    return AC_MIN(AC_MAX(y, TOP - 1000.0), TOP + HEIGHT + 1000.0); /* the plot is cut out */
}

static struct column *fold(const struct plot *p, const double *v)
{
    struct column *col = ac_xcalloc(p->columns + 1, sizeof *col);
    for (size_t i = 0; i < p->c->n;) {
        size_t k = column_of(p, i), lo = i, hi = i;
        bool any = false;
        for (; i < p->c->n && column_of(p, i) == k; i++) {
            if (!isfinite(v[i]))
                continue;
            lo = !any || v[i] < v[lo] ? i : lo;
            hi = !any || v[i] > v[hi] ? i : hi;
            any = true;
        }
        if (any)
            col[k] = (struct column){v[AC_MIN(lo, hi)], v[AC_MAX(lo, hi)], true};
    }
    return col;
}

static void widen(const double *v, size_t n, double *lo, double *hi)
{
    for (size_t i = 0; v && i < n; i++) {
        if (isfinite(v[i])) {
            *lo = AC_MIN(*lo, v[i]);
            *hi = AC_MAX(*hi, v[i]);
        }
    }
}

/* The line is seen whole; what was expected as far as it lies near. */
static void find_range(struct plot *p)
{
    double lo = INFINITY, hi = -INFINITY, blo, bhi;
    widen(p->c->values, p->c->n, &lo, &hi);
    if (!(lo <= hi))
        lo = 0, hi = 1;
    blo = lo, bhi = hi;
    widen(p->c->low, p->c->n, &blo, &bhi);
    widen(p->c->high, p->c->n, &blo, &bhi);
    widen(p->c->expected, p->c->n, &blo, &bhi);
    double range = hi / 2 - lo / 2; /* halves: the whole may be more than a double holds */
    p->lo = AC_MAX(blo, lo - range / 2);
    p->hi = AC_MIN(bhi, hi + range / 2);
    double margin = (p->hi / 2 - p->lo / 2) * 0.08;
    if (!(margin > 0))
        margin = fabs(lo) > 0 ? fabs(lo) * 0.05 : 1;
    p->lo = AC_MAX(p->lo - margin, -8e307);
    p->hi = AC_MIN(p->hi + margin, 8e307);
    if (!(p->lo < p->hi)) /* at the edge of what doubles hold */
        p->lo = -8e307, p->hi = 8e307;
}

static void put_line(const struct plot *p, const double *v, const char *css)
{
    struct column *col = fold(p, v);
    bool pen = false;
    ac_buf_printf(p->out, "<path class=\"%s\" clip-path=\"url(#c)\" d=\"", css);
    for (size_t k = 0; k < p->columns; k++) {
        if (!col[k].any) {
            pen = false;
            continue;
        }
        double x = x_of(p, k), a = y_of(p, col[k].first_y), b = y_of(p, col[k].last_y);
        ac_buf_printf(p->out, "%c%.1f %.1f", pen ? 'L' : 'M', x, a);
        if (fabs(a - b) >= 0.05)
            ac_buf_printf(p->out, "V%.1f", b);
        else if (!pen && (k + 1 == p->columns || !col[k + 1].any))
            ac_buf_puts(p->out, "h.8"); /* a point alone is seen */
        pen = true;
    }
    ac_buf_puts(p->out, "\"/>\n");
    free(col);
}

static double edge_of(const struct plot *p, const struct column *col, size_t k, bool top)
{
    if (!col)
        return top ? TOP : TOP + HEIGHT;
    double a = y_of(p, col[k].first_y), b = y_of(p, col[k].last_y);
    return top ? AC_MIN(a, b) : AC_MAX(a, b);
}

/* One polygon for each stretch without a gap: along the top, back along the bottom. */
static void put_band(const struct plot *p)
{
    const struct ac_chart *c = p->c;
    struct column *low = c->low ? fold(p, c->low) : NULL;
    struct column *high = c->high ? fold(p, c->high) : NULL;
    ac_buf_puts(p->out, "<path class=\"b\" clip-path=\"url(#c)\" d=\"");
    for (size_t k = 0; k < p->columns;) {
        size_t from = k;
        for (; k < p->columns && (!low || low[k].any) && (!high || high[k].any); k++)
            ac_buf_printf(p->out, "%c%.1f %.1f", k == from ? 'M' : 'L', x_of(p, k),
                          edge_of(p, high, k, true));
        for (size_t j = k; j > from; j--)
            ac_buf_printf(p->out, "L%.1f %.1f", x_of(p, j - 1), edge_of(p, low, j - 1, false));
        if (k > from)
            ac_buf_putc(p->out, 'z');
        else
            k++;
    }
    ac_buf_puts(p->out, "\"/>\n");
    free(low);
    free(high);
}

/* Runs of set points as boxes, at least a pixel and a half wide. */
static void put_runs(const struct plot *p, const uint8_t *on, const char *css, double y, double h)
{
    bool *col = ac_xcalloc(p->columns + 1, sizeof *col);
    for (size_t i = 0; i < p->c->n; i++)
        col[column_of(p, i)] |= on[i] != 0;
    ac_buf_printf(p->out, "<path class=\"%s\" d=\"", css);
    double half = COLUMNS / (double)p->columns / 2;
    for (size_t k = 0; k < p->columns; k++) {
        size_t from = k;
        if (!col[k])
            continue;
        while (k + 1 < p->columns && col[k + 1])
            k++;
        double a = x_of(p, from) - half, w = AC_MAX(x_of(p, k) + half - a, 1.5);
        ac_buf_printf(p->out, "M%.1f %.1fh%.1fv%.1fh-%.1fz", a, y, w, h, w);
    }
    ac_buf_puts(p->out, "\"/>\n");
    free(col);
}

/* ---- axes ---- */

static double nice_step(double span, int most)
{
    double rough = span / most, unit = pow(10, floor(log10(rough)));
    double f = rough / unit;
    return (f <= 1 ? 1 : f <= 2 ? 2 : f <= 5 ? 5 : 10) * unit;
}

static void put_y_axis(const struct plot *p)
{
    double step = nice_step(p->hi - p->lo, 5), first = ceil(p->lo / step) * step;
    for (int i = 0; i < 12; i++) {
        double v = first + i * step;
        if (!(v <= p->hi))
            break;
        v = fabs(v) < step / 1e6 ? 0 : v;
        ac_buf_printf(p->out,
                      "<path class=\"g\" d=\"M%d %.1fh%d\"/><text class=\"d m\" x=\"%d\" "
                      "y=\"%.1f\" text-anchor=\"end\">%.5g</text>\n",
                      LEFT, y_of(p, v), COLUMNS, LEFT - 8, y_of(p, v) + 4, v);
    }
}

static const int64_t time_steps_s[] = {
    1,        2,        5,        10,        15,        30,        60,      120,
    300,      600,      900,      1800,      3600,      7200,      10800,   21600,
    43200,    86400,    172800,   604800,    1209600,   2592000,   5184000, 7776000,
    15552000, 31536000, 63072000, 157680000, 315360000, 3153600000};

int64_t ac_svg_time_step(double span_s, int most)
{
    size_t k = 0;
    while (k + 1 < AC_ARRAY_LEN(time_steps_s) && span_s / (double)time_steps_s[k] > most)
        k++;
    return time_steps_s[k];
}

void ac_svg_time(struct ac_buf *out, int64_t t_ns, int64_t step_s)
{
    char s[40];
    ac_time_format(t_ns, s, sizeof s);
    bool day = step_s >= 86400 || strncmp(s + 11, "00:00:00", 8) == 0;
    ac_buf_printf(out, "%.*s", day ? 10 : step_s < 60 ? 8 : 5, day ? s : s + 11);
}

static void put_tick(const struct plot *p, double x)
{
    ac_buf_printf(p->out,
                  "<path class=\"g\" d=\"M%.1f %dV%d\"/><text class=\"d m\" x=\"%.1f\" y=\"%d\" "
                  "text-anchor=\"middle\">",
                  x, TOP, p->bottom, x, p->bottom + 15);
}

static void put_x_axis(const struct plot *p)
{
    const struct ac_chart *c = p->c;
    double last = LEFT + COLUMNS - 14, n = (double)c->n;
    if (c->t0_ns == 0) {
        double step = AC_MAX(nice_step(n, 9), 1.0);
        for (int k = 0; k * step < n; k++) {
            double i = k * step, x = LEFT + (i + 0.5) / n * COLUMNS;
            if (x > last)
                break;
            put_tick(p, x);
            ac_buf_printf(p->out, "%.0f</text>\n", i);
        }
        return;
    }
    double span_s = n * (double)c->step_ns / 1e9;
    int64_t step = ac_svg_time_step(span_s, 9), t0 = c->t0_ns / AC_NS_PER_S;
    for (int64_t t = (t0 / step + (t0 % step > 0)) * step;; t += step) {
        double x = LEFT + (0.5 + (double)(t - t0) * 1e9 / (double)c->step_ns) / n * COLUMNS;
        if (x > last)
            break;
        if (x < LEFT + 14)
            continue;
        put_tick(p, x);
        ac_svg_time(p->out, t * AC_NS_PER_S, step);
        ac_buf_puts(p->out, "</text>\n");
    }
}

/* ---- words ---- */

static void put_head(const struct plot *p)
{
    const struct ac_chart *c = p->c;
    ac_buf_printf(p->out, "<text class=\"t h\" x=\"%d\" y=\"22\">", 16);
    ac_svg_text_cut(p->out, c->title, 100);
    ac_buf_puts(p->out, "</text>\n");
    int x = 16;
    const struct {
        bool shown;
        const char *css, *name;
        bool line;
    } keys[] = {{true, "s", "value", true},
                {c->expected, "x", "expected", true},
                {c->low || c->high, "b", "expected band", false},
                {c->events, "e", "labelled event", false}};
    for (size_t i = 0; i < AC_ARRAY_LEN(keys); i++) {
        if (!keys[i].shown)
            continue;
        ac_buf_printf(p->out,
                      keys[i].line ? "<path class=\"%s\" d=\"M%d 40h18\"/>"
                                   : "<path class=\"%s\" d=\"M%d 35h18v10h-18z\"/>",
                      keys[i].css, x);
        ac_buf_printf(p->out, "<text class=\"d m\" x=\"%d\" y=\"44\">%s</text>\n", x + 24,
                      keys[i].name);
        x += 24 + 7 * (int)strlen(keys[i].name) + 18;
    }
    if (c->t0_ns) {
        char from[40], to[40];
        ac_time_format(c->t0_ns, from, sizeof from);
        ac_time_format(c->t0_ns + (int64_t)(c->n - 1) * c->step_ns, to, sizeof to);
        ac_buf_printf(p->out,
                      "<text class=\"d m\" x=\"%d\" y=\"44\" text-anchor=\"end\">%.10s %.5s to "
                      "%.10s %.5s UTC, %zu points</text>\n",
                      LEFT + COLUMNS, from, from + 11, to, to + 11, c->n);
    }
}

static void put_rows(const struct plot *p)
{
    for (size_t r = 0; r < p->c->n_rows; r++) {
        const struct ac_chart_row *row = &p->c->rows[r];
        int y = TOP + HEIGHT + 8 + (int)r * ROW_H;
        char css[16];
        (void)snprintf(css, sizeof css, "r %s", row->css_class);
        ac_buf_printf(p->out, "<text class=\"d m\" x=\"%d\" y=\"%d\" text-anchor=\"end\">",
                      LEFT - 8, y + 10);
        ac_svg_text_cut(p->out, row->name, 10);
        ac_buf_puts(p->out, "</text>\n");
        put_runs(p, row->on, css, y, ROW_H - 5);
    }
}

/* Which notes get a number: left to right where there is room, and when those are too many, so many
 * of them evenly spread. */
static size_t choose_notes(const struct plot *p, size_t *chosen)
{
    const struct ac_chart *c = p->c;
    size_t room[COLUMNS / NOTE_GAP + 2], n = 0, k = 0;
    double last = -NOTE_GAP;
    for (size_t i = 0; i < c->n_notes; i++) {
        double x = x_of(p, column_of(p, c->notes[i].at));
        if (x - last < NOTE_GAP)
            continue;
        room[n++] = i;
        last = x;
    }
    for (size_t i = 0; i < AC_MIN(n, (size_t)AC_CHART_NOTES); i++)
        chosen[k++] = room[n <= AC_CHART_NOTES ? i : i * (n - 1) / (AC_CHART_NOTES - 1)];
    return k;
}

static void put_notes(const struct plot *p, const size_t *chosen, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct ac_chart_note *note = &p->c->notes[chosen[i]];
        double x = x_of(p, column_of(p, note->at));
        int y = p->bottom + 40 + (int)i * NOTE_H;
        ac_buf_printf(p->out,
                      "<path class=\"a\" stroke-dasharray=\"2 3\" d=\"M%.1f %dV%d\"/>"
                      "<circle class=\"k\" cx=\"%.1f\" cy=\"%d\" r=\"8\"/>"
                      "<text class=\"n\" x=\"%.1f\" y=\"%.1f\">%zu</text>",
                      x, TOP - 3, p->bottom, x, TOP - 12, x, TOP - 8.5, i + 1);
        ac_buf_printf(p->out,
                      "<circle class=\"k\" cx=\"24\" cy=\"%d\" r=\"8\"/>"
                      "<text class=\"n\" x=\"24\" y=\"%.1f\">%zu</text>"
                      "<text class=\"t\" x=\"40\" y=\"%d\"><title>",
                      y - 4, y - 0.5, i + 1, y);
        ac_svg_text_cut(p->out, note->text, 2000);
        ac_buf_puts(p->out, "</title>");
        if (p->c->t0_ns) {
            char when[40];
            ac_time_format(p->c->t0_ns + (int64_t)note->at * p->c->step_ns, when, sizeof when);
            ac_buf_printf(p->out, "<tspan class=\"d\">%.5s %.5s&#160;</tspan> ", when + 5,
                          when + 11);
        }
        ac_svg_text_cut(p->out, note->text, NOTE_LEN);
        ac_buf_puts(p->out, "</text>\n");
    }
    if (p->c->n_notes > n)
        ac_buf_printf(p->out, "<text class=\"d\" x=\"40\" y=\"%d\">and %zu more</text>\n",
                      p->bottom + 40 + (int)n * NOTE_H, p->c->n_notes - n);
}

bool ac_chart_svg(const struct ac_chart *c, struct ac_buf *out)
{
    AC_ASSERT(c->n > 0 && c->step_ns > 0);
    struct plot p = {.c = c, .out = out, .columns = AC_MIN(c->n, (size_t)COLUMNS)};
    size_t chosen[AC_CHART_NOTES];
    size_t n_notes = choose_notes(&p, chosen);
    p.bottom = TOP + HEIGHT + 8 + (int)c->n_rows * ROW_H;
    find_range(&p);
    int lines = (int)n_notes + (c->n_notes > n_notes);
    ac_svg_open(out, WIDTH, p.bottom + 30 + lines * NOTE_H + (lines ? 8 : 0), c->title);
    ac_buf_printf(out,
                  "<clipPath id=\"c\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
                  "</clipPath>\n",
                  LEFT, TOP, COLUMNS, HEIGHT);
    put_head(&p);
    if (c->events)
        put_runs(&p, c->events, "e", TOP, HEIGHT);
    put_y_axis(&p);
    put_x_axis(&p);
    if (c->low || c->high)
        put_band(&p);
    if (c->expected)
        put_line(&p, c->expected, "x");
    put_line(&p, c->values, "s");
    ac_buf_printf(out, "<path class=\"a\" d=\"M%d %dV%dh%d\"/>\n", LEFT, TOP, TOP + HEIGHT,
                  COLUMNS);
    put_rows(&p);
    put_notes(&p, chosen, n_notes);
    return ac_svg_close(out);
}
