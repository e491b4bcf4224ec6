#include "serving/serving_cdf.h"

#include <math.h>

#include <aceso/base.h>
#include <aceso/svg.h>

#include "serving/serving_picture.h"

#define WIDTH  760
#define LEFT   64
#define PLOT   560
#define TOP    56
#define HEIGHT 280
#define NINES  5

/* Four colours, solid (the third dashed) and then dotted. */
static const char *const styles[] = {"s", "bad", "x", "call"};

void cli_cdf_add(struct cli_cdf *c, int64_t ns)
{
    c->all++;
    if (ns < 0)
        return;
    double at = ceil(log2((double)AC_MAX(ns, 1000) * 1e-3) * CLI_CDF_STEPS);
    c->counts[AC_MIN((uint32_t)at, (uint32_t)CLI_CDF_BUCKETS - 1)]++;
}

static double bucket_ms(uint32_t i)
{
    return exp2((double)i / CLI_CDF_STEPS) * 1e-3;
}

struct axes {
    double from, to; /* logarithms to base 10 of ms */
};

static double x_of(const struct axes *a, double ms)
{
    return LEFT + PLOT * (log10(ms) - a->from) / (a->to - a->from);
}

/* One nine more takes as much room as the one before. */
static double y_of(double beyond)
{
    return TOP + HEIGHT * (1 + AC_MAX(log10(AC_MAX(beyond, 1e-12)), -NINES) / NINES);
}

static struct axes axes_of(const struct cli_cdf *all, int n)
{
    uint32_t first = CLI_CDF_BUCKETS, last = 0;
    for (int k = 0; k < n; k++)
        for (uint32_t i = 0; i < CLI_CDF_BUCKETS; i++)
            if (all[k].counts[i]) {
                first = AC_MIN(first, i);
                last = AC_MAX(last, i);
            }
    struct axes a = {.from = floor(log10(bucket_ms(AC_MIN(first, last)))),
                     .to = ceil(log10(bucket_ms(last)))};
    a.to = AC_MAX(a.to, a.from + 1);
    return a;
}

static bool draw_axes(struct ac_buf *b, const struct axes *a)
{
    static const char *const shares[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"};
    bool ok = true;
    for (int i = 0; ok && i <= NINES; i++)
        ok = ac_buf_printf(b,
                           "<path class=\"%s\" d=\"M%d %.1f h%d\"/><text class=\"d m\" x=\"%d\" "
                           "y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                           i ? "g" : "a", LEFT, y_of(pow(10, -i)), PLOT, LEFT - 6,
                           y_of(pow(10, -i)) + 4, shares[i]);
    for (int e = (int)a->from; ok && e <= (int)a->to; e++)
        ok = ac_buf_printf(b,
                           "<path class=\"g\" d=\"M%.1f %d v%d\"/><text class=\"d m\" x=\"%.1f\" "
                           "y=\"%d\" text-anchor=\"middle\">%.6g ms</text>\n",
                           x_of(a, pow(10, e)), TOP, HEIGHT, x_of(a, pow(10, e)), TOP + HEIGHT + 16,
                           pow(10, e));
    return ok;
}

static bool draw_line(struct ac_buf *b, const struct cli_cdf *c, const struct axes *a, int k)
{
    const char *dash = k < (int)AC_ARRAY_LEN(styles) ? "" : " style=\"stroke-dasharray:2 3\"";
    const char *css = styles[k % (int)AC_ARRAY_LEN(styles)];
    double y = y_of(1), key = TOP + 14 + 20 * k;
    uint64_t sum = 0;
    bool pen = false;
    bool ok = ac_buf_printf(b, "<path fill=\"none\" class=\"%s\"%s d=\"", css, dash);
    for (uint32_t i = 0; ok && i < CLI_CDF_BUCKETS; i++) {
        sum += c->counts[i];
        double to = y_of((double)(c->all - sum) / (double)c->all);
        if (c->counts[i] == 0 || (pen && y - to < 0.05))
            continue;
        ok = ac_buf_printf(b, "%c%.1f %.1f", pen ? 'L' : 'M', x_of(a, bucket_ms(i)), to);
        y = to;
        pen = true;
    }
    return ok &&
           ac_buf_printf(b,
                         "\"/>\n<path class=\"%s\"%s d=\"M%d %.0f h22\"/><text class=\"d m\" "
                         "x=\"%d\" y=\"%.0f\">",
                         css, dash, LEFT + PLOT + 8, key - 4, LEFT + PLOT + 34, key) &&
           ac_svg_text_cut(b, c->name, 16) && ac_buf_puts(b, "</text>\n");
}

static bool picture(const struct cli_cdf *all, int n, const char *title, struct ac_buf *b)
{
    struct axes a = axes_of(all, n);
    bool ok = ac_svg_open(b, WIDTH, TOP + HEIGHT + 32, title) &&
              ac_buf_puts(b, "<text class=\"t h\" x=\"16\" y=\"26\">") &&
              ac_svg_text_cut(b, title, 84) && ac_buf_puts(b, "</text>\n") && draw_axes(b, &a);
    for (int k = 0; ok && k < n; k++)
        if (all[k].all)
            ok = draw_line(b, &all[k], &a, k);
    return ok && ac_svg_close(b);
}

int cli_cdf_plot(const struct cli_cdf *all, int n, const char *title, const char *path,
                 struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, CLI_PICTURE_BYTES);
    return cli_picture_write(&b, picture(all, n, title, &b), path, err);
}
