/* The picture of one simulated run: three panels over the same time. */
#include <math.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/svg.h>

#include "serving/serving_picture.h"
#include "serving/serving_watch.h"

#define WIDTH   760
#define LEFT    64
#define PLOT    676
#define TOP     74
#define HEIGHT  120
#define STEP    172 /* from one panel's top to the next one's */
#define PANELS  3
#define LINES   4
#define TICKS_X 8

/* The lines' style classes, in turn. */
static const char *const styles[LINES] = {"s", "bad", "x", "call"};

struct line {
    const char *css, *name;
    double v[TIMELINE_SLICES]; /* NaN: a gap */
};

struct panel {
    const char *title, *unit;
    double most; /* of the axis; 0: of the lines */
    uint32_t n;
    struct line lines[LINES];
};

/* A round number of 1, 2 or 5 that divides the span into at most so many parts. */
static double round_step(double span, int most)
{
    double step = pow(10, floor(log10(span / most)));
    static const double factors[] = {1, 2, 5, 10};
    for (size_t i = 0; i < AC_ARRAY_LEN(factors); i++)
        if (span / (step * factors[i]) <= most)
            return step * factors[i];
    return step * 10;
}

static double most_of(const struct panel *p, uint32_t n)
{
    double most = 0;
    for (uint32_t l = 0; l < p->n; l++)
        for (uint32_t i = 0; i < n; i++)
            if (p->lines[l].v[i] > most)
                most = p->lines[l].v[i];
    return most > 0 ? most : 1;
}

static bool draw_line(struct ac_buf *b, const struct line *l, uint32_t n, double y0, double most)
{
    bool pen = false, ok = ac_buf_printf(b, "<path class=\"%s\" d=\"", l->css);
    for (uint32_t i = 0; ok && i < n; i++) {
        if (!isnan(l->v[i]))
            ok = ac_buf_printf(b, "%c%.1f %.1f", pen ? 'L' : 'M', LEFT + PLOT * (i + 0.5) / n,
                               y0 + HEIGHT * (1 - AC_MIN(l->v[i] / most, 1)));
        pen = !isnan(l->v[i]);
    }
    return ok && ac_buf_puts(b, "\"/>\n");
}

static bool draw_values(struct ac_buf *b, const struct panel *p, double y0, double most)
{
    double step = round_step(most, 4);
    bool ok = true;
    for (double v = 0; ok && v <= most * 1.0001; v += step) {
        double y = y0 + HEIGHT * (1 - v / most);
        ok = ac_buf_printf(b,
                           "<path class=\"%s\" d=\"M%d %.1f h%d\"/><text class=\"d m\" x=\"%d\" "
                           "y=\"%.1f\" text-anchor=\"end\">%.6g%s</text>\n",
                           v > 0 ? "g" : "a", LEFT, y, PLOT, LEFT - 6, y + 4, v, p->unit);
    }
    return ok;
}

static bool draw_names(struct ac_buf *b, const struct panel *p, double y0)
{
    double x = LEFT;
    bool ok = ac_buf_printf(b, "<text class=\"t\" x=\"%.0f\" y=\"%.0f\">", x, y0 - 12) &&
              ac_svg_text(b, p->title) && ac_buf_puts(b, "</text>\n");
    x = 300;
    for (uint32_t i = 0; ok && p->n > 1 && i < p->n; i++, x += 110)
        ok = ac_buf_printf(b,
                           "<path class=\"%s\" d=\"M%.0f %.0f h20\"/><text class=\"d m\" "
                           "x=\"%.0f\" y=\"%.0f\">",
                           p->lines[i].css, x, y0 - 16, x + 26, y0 - 12) &&
             ac_svg_text(b, p->lines[i].name) && ac_buf_puts(b, "</text>\n");
    return ok;
}

static bool draw_panel(struct ac_buf *b, const struct panel *p, uint32_t n, double y0)
{
    double most = p->most > 0 ? p->most : most_of(p, n) * 1.05;
    bool ok = draw_names(b, p, y0) && draw_values(b, p, y0, most);
    for (uint32_t i = 0; ok && i < p->n; i++)
        ok = draw_line(b, &p->lines[i], n, y0, most);
    return ok;
}

static bool draw_times(struct ac_buf *b, double seconds, double y)
{
    double step = round_step(seconds, TICKS_X);
    bool ok = true;
    for (double t = 0; ok && t <= seconds * 1.0001; t += step)
        ok = ac_buf_printf(b,
                           "<text class=\"d m\" x=\"%.1f\" y=\"%.0f\" "
                           "text-anchor=\"middle\">%.6g s</text>\n",
                           LEFT + PLOT * t / seconds, y, t);
    return ok;
}

/* ---- what the panels show ---- */

static struct line *add(struct panel *p, const char *css, const char *name)
{
    struct line *l = &p->lines[p->n++];
    l->css = css;
    l->name = name;
    return l;
}

static void rates(const struct timeline *t, uint32_t classes, struct panel *p)
{
    struct line *offered = add(p, "x", "asked for"), *good = add(p, "s", "in time");
    double per_s = 1e9 / (double)t->slice_ns;
    for (uint32_t i = 0; i < t->n_slices; i++) {
        const struct timeline_slice *s = &t->slices[i];
        uint32_t asked = 0, in_time = 0;
        for (uint32_t k = 0; k < classes; k++) {
            asked += s->requests[k];
            in_time += s->on_time[k];
        }
        offered->v[i] = asked * per_s;
        good->v[i] = in_time * per_s;
    }
}

static void latencies(const struct cli_sim_watch *w, struct panel *p)
{
    const struct timeline *t = &w->timeline;
    struct line *p99 = add(p, "bad", "p99"), *p50 = add(p, "s", "p50");
    struct line *objective = add(p, "x", "objective"); /* the last: it may go again */
    for (uint32_t i = 0; i < t->n_slices; i++) {
        int64_t at = (int64_t)i * t->slice_ns;
        const struct workload_class *c = &w->workload->classes[0];
        objective->v[i] =
            w->workload->own_ns
                ? NAN
                : (double)serving_workload_objective_ns(w->workload, c, c->first_model, at) * 1e-6;
        p99->v[i] = timeline_quantile_ms(t, i, 0.99);
        p50->v[i] = timeline_quantile_ms(t, i, 0.5);
    }
    /* An objective far above would press the latencies to the floor: it is not drawn there. */
    double highest = 0, aim = 0;
    bool seen = false;
    for (uint32_t i = 0; i < t->n_slices; i++) {
        highest = AC_MAX(highest, isnan(p99->v[i]) ? 0 : p99->v[i]);
        aim = AC_MAX(aim, isnan(objective->v[i]) ? 0 : objective->v[i]);
    }
    p->most = highest == 0 ? 0 : AC_MAX(highest * 1.1, aim < highest * 3 ? aim * 1.05 : 0);
    for (uint32_t i = 0; i < t->n_slices; i++) {
        if (p->most > 0 && objective->v[i] > p->most)
            objective->v[i] = NAN;
        seen |= !isnan(objective->v[i]);
    }
    p->n -= !seen;
}

static void shares(const struct timeline *t, uint32_t classes, struct panel *p)
{
    static const char *const names[WORKLOAD_CLASSES] = {"class 0", "class 1", "class 2", "class 3"};
    for (uint32_t k = 0; k < classes; k++) {
        struct line *l = add(p, styles[k], names[k]);
        for (uint32_t i = 0; i < t->n_slices; i++) {
            const struct timeline_slice *s = &t->slices[i];
            l->v[i] = s->requests[k] ? 100.0 * s->on_time[k] / s->requests[k] : NAN;
        }
    }
    p->most = 100;
}

static bool picture(const struct cli_sim_watch *w, const char *title, struct ac_buf *b)
{
    const struct timeline *t = &w->timeline;
    uint32_t classes = w->workload->n_classes;
    struct panel panels[PANELS] = {
        {.title = "requests a second", .unit = ""},
        {.title = classes > 1 ? "latency of class 0's answers" : "latency of answers",
         .unit = " ms"},
        {.title = "share answered in time", .unit = " %"}};
    rates(t, classes, &panels[0]);
    latencies(w, &panels[1]);
    shares(t, classes, &panels[2]);
    bool ok = ac_svg_open(b, WIDTH, TOP + PANELS * STEP, title) &&
              ac_buf_puts(b, "<text class=\"t h\" x=\"16\" y=\"26\">") &&
              ac_svg_text_cut(b, title, 90) && ac_buf_puts(b, "</text>\n");
    for (int i = 0; ok && i < PANELS; i++)
        ok = draw_panel(b, &panels[i], t->n_slices, TOP + i * STEP);
    double seconds = (double)t->slice_ns * t->n_slices * 1e-9;
    return ok && draw_times(b, seconds, TOP + (PANELS - 1) * STEP + HEIGHT + 18) && ac_svg_close(b);
}

int cli_sim_plot(const struct cli_sim_watch *w, const char *title, const char *path,
                 struct ac_err *err)
{
    struct ac_buf b;
    ac_buf_init(&b, CLI_PICTURE_BYTES);
    return cli_picture_write(&b, picture(w, title, &b), path, err);
}
