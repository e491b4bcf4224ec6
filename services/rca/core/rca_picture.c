#include "rca_picture.h"

#include "rca_answer.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/svg.h>

#include "graph/rca_graph_write.h"

#define WIDTH     960
#define LEFT      268 /* of the sparklines; names stand before them, values behind */
#define PLOT_W    500
#define COLUMNS   250 /* of the sparkline, of which smallest and greatest are drawn */
#define TOP       74
#define ROW_H     34
#define LINE_H    16
#define COLUMN_W  230
#define RANKED    3 /* causes that are shown although nothing else concerns them */
#define STEPS_MAX 12

struct row {
    const struct ac_rca_metric *metric;
    int64_t onset_ns;
    double z;
    bool root; /* of the root cause, or what it is accused for */
    bool part; /* drawn however little it deviates */
};

struct picture {
    const struct ac_rca_case *c;
    const struct ac_rca_result *r;
    struct ac_buf *out;
    int root; /* component; -1: no answer */
    int members[AC_RCA_PICTURE_COMPONENTS];
    size_t nmembers, more_members;
    bool *is_member; /* by component, those that were not drawn too */
    struct row *rows;
    size_t nrows, more_rows;
    int64_t from_ns, to_ns;
};

/* ---- what is shown ---- */

static void add_member(struct picture *p, int component)
{
    if (p->is_member[component])
        return;
    p->is_member[component] = true;
    if (p->nmembers < AC_RCA_PICTURE_COMPONENTS)
        p->members[p->nmembers++] = component;
    else
        p->more_members++;
}

/* Without an answer whatever deviates is of interest, and no graph is drawn. */
static void choose_members(struct picture *p)
{
    const struct ac_rca_result *r = p->r;
    p->root = r->abstained || r->ncauses == 0 ? -1 : r->causes[0].component;
    p->is_member = ac_xcalloc(p->c->ncomponents + 1, sizeof(bool));
    if (p->root < 0) {
        memset(p->is_member, 1, p->c->ncomponents);
        return;
    }
    add_member(p, p->root);
    for (size_t i = 0; i < r->npath; i++)
        add_member(p, r->path[i].effect);
    for (size_t i = 1; i < r->ncauses && i < RANKED; i++)
        if (r->causes[i].score > 0.0 && r->shown[r->causes[i].component].deviates)
            add_member(p, r->causes[i].component);
    for (size_t i = 0; i < r->nimpact; i++)
        add_member(p, r->impact[i]);
}

/* A part that was derived from a measurement (a gap) has its own deviation and onset. */
static void from_parts(const struct picture *p, struct row *row)
{
    const struct ac_rca_cause *root = &p->r->causes[0];
    for (size_t i = 0; p->root >= 0 && i < root->nparts; i++) {
        const struct ac_rca_part *part = &root->parts[i];
        if (part->metric < 0 || &p->c->metrics[part->metric] != row->metric)
            continue;
        row->root = row->part = true;
        if (part->z > row->z) {
            row->z = part->z;
            row->onset_ns = part->onset_ns;
        }
    }
}

static int by_weight(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->root != y->root)
        return x->root ? -1 : 1;
    if (x->z != y->z)
        return x->z > y->z ? -1 : 1;
    return (x->metric > y->metric) - (x->metric < y->metric);
}

static int by_onset(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->onset_ns != y->onset_ns)
        return x->onset_ns < y->onset_ns ? -1 : 1;
    return by_weight(a, b);
}

static void choose_rows(struct picture *p)
{
    const struct ac_rca_case *c = p->c;
    size_t longest = 0, n = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        longest = AC_MAX(longest, c->metrics[i].n);
    double *scratch = ac_xcalloc(3 * longest + 1, sizeof(double));
    p->rows = ac_xcalloc(c->nmetrics + 1, sizeof(*p->rows));
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        struct ac_rca_deviation d = {0};
        struct row row = {m, p->r->t0_ns, 0.0, m->component == p->root, false};
        if (m->n == 0)
            continue;
        if (p->is_member[m->component] && ac_rca_kind_weight(m->kind) > 0.0)
            ac_rca_deviate(m, &p->r->window, NULL, scratch, &d);
        if (d.ok) {
            row.z = fmax(ac_rca_bad_rise(m) ? d.z : 0.0, ac_rca_bad_fall(m) ? d.z_down : 0.0);
            row.onset_ns = d.onset_ns;
        }
        from_parts(p, &row);
        if (row.part || row.z >= AC_RCA_Z_DEVIATES)
            p->rows[n++] = row;
    }
    free(scratch);
    qsort(p->rows, n, sizeof(*p->rows), by_weight);
    p->nrows = AC_MIN(n, (size_t)AC_RCA_PICTURE_ROWS);
    p->more_rows = n - p->nrows;
    qsort(p->rows, p->nrows, sizeof(*p->rows), by_onset);
}

/* What passes for the distance of samples, kept where sums of it cannot overflow. */
static int64_t step_of_time(const struct ac_rca_result *r)
{
    return AC_MIN(AC_MAX(r->step_ns, AC_NS_PER_S), (int64_t)30 * 86400 * AC_NS_PER_S);
}

/* The incident, as much before it and a quarter behind it, as far as there are samples. */
static void choose_times(struct picture *p)
{
    const struct ac_rca_result *r = p->r;
    int64_t span = AC_MAX(r->end_ns - r->t0_ns, 20 * step_of_time(r));
    int64_t first = r->t0_ns, last = r->t0_ns + AC_NS_PER_S;
    for (size_t i = 0; i < p->c->nmetrics; i++) {
        const struct ac_rca_metric *m = &p->c->metrics[i];
        if (m->n == 0)
            continue;
        first = AC_MIN(first, m->t_ns[0]);
        last = AC_MAX(last, m->t_ns[m->n - 1]);
    }
    p->from_ns = AC_MAX(first, r->t0_ns - span);
    p->to_ns = AC_MIN(last, r->end_ns + span / 4);
}

/* ---- sparklines ---- */

static double x_of(const struct picture *p, int64_t t_ns)
{
    double x = (double)(t_ns - p->from_ns) / (double)(p->to_ns - p->from_ns);
    return LEFT + PLOT_W * fmin(fmax(x, 0.0), 1.0);
}

static int bottom_of(const struct picture *p)
{
    return TOP + AC_MAX((int)p->nrows, 1) * ROW_H;
}

static void put_head(const struct picture *p)
{
    char from[40], to[40];
    ac_buf_puts(p->out, "<text class=\"t h\" x=\"16\" y=\"24\">");
    if (p->root < 0) {
        ac_buf_puts(p->out, "No root cause: nothing leaves its normal range far enough");
    } else {
        const struct ac_rca_cause *best = &p->r->causes[0];
        ac_buf_puts(p->out, "Root cause: ");
        ac_svg_text_cut(p->out, p->c->components[p->root], 60);
        ac_buf_printf(p->out, " (%s%s)", ac_rca_fault_name(ac_rca_fault_of(p->c, p->r, best)),
                      p->r->low_confidence ? ", low confidence" : "");
    }
    ac_time_format(p->r->t0_ns, from, sizeof from);
    ac_time_format(p->r->end_ns, to, sizeof to);
    ac_buf_printf(p->out,
                  "</text>\n<path class=\"e\" d=\"M16 37h18v10h-18z\"/>"
                  "<text class=\"d m\" x=\"40\" y=\"46\">incident %.10s %.8s to %.8s UTC</text>"
                  "<path class=\"f0\" d=\"M322 35h2.5v14h-2.5z\"/>"
                  "<text class=\"d m\" x=\"332\" y=\"46\">onset</text>",
                  from, from + 11, to + 11);
    if (p->root >= 0)
        ac_buf_puts(p->out, "<rect class=\"own\" x=\"386\" y=\"36\" width=\"18\" height=\"12\" "
                            "rx=\"2\"/><text class=\"d m\" x=\"410\" y=\"46\">root cause</text>");
    ac_buf_printf(p->out,
                  "<text class=\"d m\" x=\"%d\" y=\"%d\">before \xe2\x86\x92 during</text>\n",
                  LEFT + PLOT_W + 12, TOP - 8);
}

static void put_axis(const struct picture *p)
{
    int bottom = bottom_of(p);
    int64_t step_s = ac_svg_time_step((double)(p->to_ns - p->from_ns) / 1e9, 7);
    int64_t step = step_s * AC_NS_PER_S, t = p->from_ns / step * step;
    for (t += t < p->from_ns ? step : 0; t <= p->to_ns; t += step) {
        double x = x_of(p, t);
        ac_buf_printf(p->out,
                      "<path class=\"g\" d=\"M%.1f %dV%d\"/><text class=\"d m\" x=\"%.1f\" "
                      "y=\"%d\" text-anchor=\"middle\">",
                      x, TOP, bottom, x, bottom + 15);
        ac_svg_time(p->out, t, step_s);
        ac_buf_puts(p->out, "</text>\n");
    }
}

/* Behind the lines: the incident's area; its start is a line through all rows. */
static void put_incident(const struct picture *p)
{
    double a = x_of(p, p->r->t0_ns), b = x_of(p, p->r->end_ns);
    ac_buf_printf(
        p->out,
        "<path class=\"e\" d=\"M%.1f %dH%.1fV%dH%.1fz\"/>\n"
        "<path class=\"a\" stroke-dasharray=\"4 3\" d=\"M%.1f %dV%d\"><title>the incident "
        "begins</title></path>\n",
        a, TOP, b, bottom_of(p), a, a, TOP - 6, bottom_of(p));
}

struct pen {
    double lo, hi;
    int top;       /* of the row */
    bool mirrored; /* a fall is drawn as a fall, however the values are held */
    bool down;
};

static void put_point(const struct picture *p, struct pen *pen, int64_t t_ns, double v)
{
    double part = pen->hi > pen->lo ? (v - pen->lo) / (pen->hi - pen->lo) : 0.5;
    part = pen->mirrored ? 1.0 - part : part;
    ac_buf_printf(p->out, "%s%.1f %.1f", pen->down ? "L" : "M", x_of(p, t_ns),
                  pen->top + ROW_H - 6 - part * (ROW_H - 12));
    pen->down = true;
}

/* Of the samples that share a column the smallest and the greatest, as they come. A hole of more
 * than five samples is left open. */
static void put_line(const struct picture *p, const struct ac_rca_metric *m, int top)
{
    size_t a = 0, b = m->n;
    while (a < b && m->t_ns[a] < p->from_ns)
        a++;
    while (b > a && m->t_ns[b - 1] > p->to_ns)
        b--;
    if (a == b)
        return;
    struct pen pen = {m->v[a], m->v[a], top, m->slope < 0.0, false};
    for (size_t i = a; i < b; i++) {
        pen.lo = fmin(pen.lo, m->v[i]);
        pen.hi = fmax(pen.hi, m->v[i]);
    }
    int64_t hole = 5 * AC_MAX((m->t_ns[b - 1] - m->t_ns[a]) / (int64_t)(b - a), step_of_time(p->r));
    int64_t column = (p->to_ns - p->from_ns) / COLUMNS + 1;
    ac_buf_puts(p->out, "<path class=\"s\" stroke-linecap=\"round\" d=\"");
    for (size_t i = a, j; i < b; i = j) {
        size_t low = i, high = i;
        for (j = i + 1;
             j < b && (m->t_ns[j] - p->from_ns) / column == (m->t_ns[i] - p->from_ns) / column;
             j++) {
            low = m->v[j] < m->v[low] ? j : low;
            high = m->v[j] > m->v[high] ? j : high;
        }
        if (i > a && m->t_ns[i] - m->t_ns[i - 1] > hole)
            pen.down = false;
        put_point(p, &pen, m->t_ns[AC_MIN(low, high)], m->v[AC_MIN(low, high)]);
        if (low != high)
            put_point(p, &pen, m->t_ns[AC_MAX(low, high)], m->v[AC_MAX(low, high)]);
    }
    if (b - a == 1) /* a point alone: the round end of a line without length */
        ac_buf_puts(p->out, "h0");
    ac_buf_puts(p->out, "\"/>\n");
}

static void put_row(const struct picture *p, const struct row *row, int top)
{
    const struct ac_rca_metric *m = row->metric;
    double before, during, x = x_of(p, row->onset_ns);
    char when[40], unit[AC_RCA_UNIT_SIZE + 1];
    ac_rca_before_after(m, p->r, &before, &during);
    ac_rca_unit_behind(m->unit, unit);
    ac_time_format(row->onset_ns, when, sizeof when);
    ac_buf_puts(p->out, "<g><title>");
    ac_svg_text_cut(p->out, p->c->components[m->component], 100);
    ac_buf_puts(p->out, " ");
    ac_svg_text_cut(p->out, m->name, 100);
    ac_buf_printf(p->out, ": %.1f deviations since %.8s</title>", row->z, when + 11);
    ac_buf_printf(p->out, "<text class=\"t m\" x=\"16\" y=\"%d\">", top + 15);
    ac_svg_text_cut(p->out, p->c->components[m->component], 38);
    ac_buf_printf(p->out, "</text><text class=\"d m\" x=\"16\" y=\"%d\">", top + 28);
    ac_svg_text_cut(p->out, m->name, m->peer >= 0 ? 22 : 40);
    if (m->peer >= 0) {
        ac_buf_puts(p->out, " towards ");
        ac_svg_text_cut(p->out, p->c->components[m->peer], 16);
    }
    ac_buf_puts(p->out, "</text>\n");
    put_line(p, m, top);
    ac_buf_printf(p->out,
                  "<path class=\"%s\" d=\"M%.2f %dh2.5v%dh-2.5z\"/>"
                  "<text class=\"t m\" x=\"%d\" y=\"%d\">%.4g \xe2\x86\x92 %.4g",
                  row->root ? "f0" : "k", x - 1.25, top + 3, ROW_H - 6, LEFT + PLOT_W + 12,
                  top + 21, before, during);
    ac_svg_text(p->out, unit);
    ac_buf_puts(p->out, "</text></g>\n");
}

static void put_rows(const struct picture *p)
{
    for (size_t i = 0; i < p->nrows; i++)
        if (p->rows[i].root)
            ac_buf_printf(p->out,
                          "<rect class=\"own\" x=\"8\" y=\"%d\" width=\"%d\" height=\"%d\" "
                          "rx=\"4\"/>\n",
                          TOP + (int)i * ROW_H + 1, WIDTH - 16, ROW_H - 2);
    put_axis(p);
    put_incident(p);
    for (size_t i = 0; i < p->nrows; i++)
        put_row(p, &p->rows[i], TOP + (int)i * ROW_H);
    if (p->nrows == 0)
        ac_buf_printf(p->out,
                      "<text class=\"d\" x=\"16\" y=\"%d\">no measurement deviates</text>\n",
                      TOP + 20);
    if (p->more_rows)
        ac_buf_printf(p->out, "<text class=\"d m\" x=\"16\" y=\"%d\">and %zu more</text>\n",
                      bottom_of(p) + 15, p->more_rows);
}

/* ---- the graph ---- */

struct layout {
    struct ac_rca_place at[AC_RCA_PICTURE_COMPONENTS];
    int width, height;
};

static int member_of(const struct picture *p, int component)
{
    for (size_t i = 0; i < p->nmembers; i++)
        if (p->members[i] == component)
            return (int)i;
    return -1;
}

/* How far from the root cause: the calls of the shortest chain of callers; what no chain reaches
 * stands before one of its callers. */
static void measure_distance(const struct picture *p, int *far)
{
    for (size_t i = 0; i < p->nmembers; i++)
        far[i] = i == 0 ? 0 : -1;
    for (int d = 0; d <= AC_RCA_PICTURE_COMPONENTS; d++) {
        bool last = d == AC_RCA_PICTURE_COMPONENTS;
        for (size_t e = 0; e < p->c->nedges; e++) {
            int caller = member_of(p, p->c->edges[e].from),
                callee = member_of(p, p->c->edges[e].to);
            if (caller < 0 || callee < 0)
                continue;
            if (!last && far[callee] == d && far[caller] < 0)
                far[caller] = d + 1;
            else if (last && far[callee] < 0 && far[caller] > 0)
                far[callee] = far[caller] - 1;
        }
    }
}

/* From left to right as the fault travels. */
static struct layout lay_out(const struct picture *p, int top)
{
    int far[AC_RCA_PICTURE_COMPONENTS], filled[AC_RCA_PICTURE_COMPONENTS] = {0};
    struct layout l = {.width = WIDTH};
    measure_distance(p, far);
    for (size_t i = 0; i < p->nmembers; i++) {
        int column = AC_MAX(far[i], 0);
        l.at[i] = (struct ac_rca_place){40 + column * COLUMN_W,
                                        top + filled[column]++ * (AC_RCA_BOX_H + 14)};
        l.width = AC_MAX(l.width, l.at[i].x + AC_RCA_BOX_W + 20);
        l.height = AC_MAX(l.height, l.at[i].y + AC_RCA_BOX_H - top);
    }
    return l;
}

static int step_of(const struct picture *p, int cause, int effect)
{
    for (size_t i = 0; i < p->r->npath; i++)
        if (p->r->path[i].cause == cause && p->r->path[i].effect == effect)
            return (int)i;
    return -1;
}

static bool proven(const struct ac_rca_step *s)
{
    return s->topology && s->deviation && s->order;
}

static void put_number(const struct picture *p, int x, int y, size_t number)
{
    ac_buf_printf(p->out,
                  "<circle class=\"k\" cx=\"%d\" cy=\"%d\" r=\"8\"/>"
                  "<text class=\"n\" x=\"%d\" y=\"%.1f\">%zu</text>",
                  x, y, x, y + 3.5, number);
}

/* Against the direction of the call: so the fault travels. */
static void put_arrow(const struct picture *p, const struct layout *l, const struct ac_rca_edge *e)
{
    int from = member_of(p, e->to), to = member_of(p, e->from);
    if (from < 0 || to < 0)
        return;
    int step = step_of(p, e->to, e->from);
    bool dashed = step >= 0 && !proven(&p->r->path[step]);
    ac_rca_svg_arrow(p->out, l->at[from], l->at[to], step >= 0 ? "edge" : "call");
    ac_buf_printf(p->out, " stroke-width=\"%s\"%s><title>", step >= 0 ? "1.6" : "1",
                  dashed ? " stroke-dasharray=\"6 4\"" : "");
    ac_svg_text_cut(p->out, p->c->components[e->from], 100);
    ac_buf_puts(p->out, " calls ");
    ac_svg_text_cut(p->out, p->c->components[e->to], 100);
    if (*e->evidence) {
        ac_buf_puts(p->out, ": ");
        ac_svg_text_cut(p->out, e->evidence, 200);
    }
    ac_buf_puts(p->out, "</title></path>\n");
}

static void put_graph(const struct picture *p, const struct layout *l, int top)
{
    ac_buf_printf(p->out,
                  "<text class=\"t h\" x=\"16\" y=\"%d\">How it travels</text>"
                  "<text class=\"d m\" x=\"150\" y=\"%d\">numbered: the path, dashed where a proof "
                  "is missing; thin: other calls</text>\n",
                  top, top);
    for (size_t e = 0; e < p->c->nedges; e++)
        put_arrow(p, l, &p->c->edges[e]);
    for (size_t i = 0; i < p->nmembers; i++)
        ac_rca_svg_box(p->out, l->at[i], p->members[i] == p->root ? "own" : "box", false,
                       p->c->components[p->members[i]]);
    for (size_t i = 0; i < p->r->npath; i++) {
        int from = member_of(p, p->r->path[i].cause), to = member_of(p, p->r->path[i].effect);
        if (from < 0 || to < 0)
            continue;
        struct ac_rca_place a = l->at[from], b = l->at[to];
        put_number(p, (a.x + b.x + AC_RCA_BOX_W) / 2, (a.y + b.y + AC_RCA_BOX_H) / 2, i + 1);
    }
    if (p->more_members)
        ac_buf_printf(p->out, "<text class=\"d m\" x=\"40\" y=\"%d\">and %zu more</text>\n",
                      top + 14 + l->height + 20, p->more_members);
}

static void put_proofs(const struct picture *p, int top)
{
    size_t n = AC_MIN(p->r->npath, (size_t)STEPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct ac_rca_step *s = &p->r->path[i];
        const bool holds[] = {s->topology, s->deviation, s->order};
        struct ac_buf text[3];
        for (size_t k = 0; k < 3; k++)
            ac_buf_init(&text[k], 8192);
        ac_rca_step_texts(p->c, p->r, s, &text[0], &text[1], &text[2]);
        put_number(p, 24, top - 4, i + 1);
        for (size_t k = 0; k < 3; k++, top += LINE_H) {
            ac_buf_printf(p->out, "<text class=\"%s\" x=\"40\" y=\"%d\">%s ", holds[k] ? "t" : "d",
                          top, holds[k] ? "\xe2\x9c\x93" : "\xe2\x9c\x97");
            ac_svg_text_cut(p->out, ac_buf_str(&text[k]), 130);
            ac_buf_puts(p->out, "</text>\n");
            ac_buf_fini(&text[k]);
        }
        top += 6;
    }
    if (p->r->npath > n)
        ac_buf_printf(p->out, "<text class=\"d m\" x=\"40\" y=\"%d\">and %zu more</text>\n", top,
                      p->r->npath - n);
}

/* Boxes alone say nothing that the rows do not. */
static bool any_call(const struct picture *p)
{
    for (size_t e = 0; p->root >= 0 && e < p->c->nedges; e++)
        if (member_of(p, p->c->edges[e].from) >= 0 && member_of(p, p->c->edges[e].to) >= 0)
            return true;
    return false;
}

bool ac_rca_picture(const struct ac_rca_case *c, const struct ac_rca_result *r, struct ac_buf *out)
{
    struct picture p = {.c = c, .r = r, .out = out};
    choose_members(&p);
    choose_rows(&p);
    choose_times(&p);
    int graph = bottom_of(&p) + 54, height = graph - 30;
    struct layout l = {.width = WIDTH};
    bool has_graph = any_call(&p);
    if (has_graph) {
        size_t steps = AC_MIN(r->npath, (size_t)STEPS_MAX);
        l = lay_out(&p, graph + 14);
        height = graph + 14 + l.height + (p.more_members ? LINE_H : 0) + 36 +
                 (int)steps * (3 * LINE_H + 6) + (r->npath > steps ? LINE_H : 0);
    }
    ac_svg_open(out, l.width, height, p.root >= 0 ? "root cause" : "no root cause");
    ac_rca_svg_tip(out);
    put_head(&p);
    put_rows(&p);
    if (has_graph) {
        put_graph(&p, &l, graph);
        put_proofs(&p, graph + 14 + l.height + (p.more_members ? LINE_H : 0) + 34);
    }
    free(p.rows);
    free(p.is_member);
    return ac_svg_close(out);
}
