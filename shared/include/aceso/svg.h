/* Pictures as SVG text: one style for all of ours (light or dark as the viewer prefers), and the
 * chart of a series with its flags. Pure; the same input gives the same bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>

/** Opens a picture with background, style sheet and title (which viewers read out). Classes, each
 * with its light and dark colours:
 *   t, d   text, dim text              g      lines of a grid          a      lines of axes
 *   s      the main line               x      an expected line         b      a band around it
 *   e      areas that are events       f0 f1  two kinds of flags       k, n   a marker, its number
 *   box, own, edge, call, bad          boxes and arrows of graphs */
bool ac_svg_open(struct ac_buf *b, int width, int height, const char *title);
bool ac_svg_close(struct ac_buf *b);
/** Text or attribute: marked up as XML wants it; what XML cannot hold becomes U+FFFD. */
bool ac_svg_text(struct ac_buf *b, const char *s);
/** The same, cut to at most max characters with an ellipsis. */
bool ac_svg_text_cut(struct ac_buf *b, const char *s, size_t max);
/** Seconds between the ticks of an axis of time: round ones, with at most so many ticks. */
int64_t ac_svg_time_step(double span_s, int most);
/** A tick's text: the day where one begins, else the time of day, as fine as the step needs. */
void ac_svg_time(struct ac_buf *b, int64_t t_ns, int64_t step_s);

struct ac_chart_row { /* a strip below the plot */
    const char *name; /* short: nine characters are seen */
    const uint8_t *on;
    const char *css_class; /* "e", "f0" or "f1" */
};

struct ac_chart_note { /* a numbered marker at a point and its line below the chart */
    size_t at;
    const char *text;
};

/* n points, one step apart. Arrays may be NULL where that is said. */
struct ac_chart {
    const char *title;
    size_t n;
    int64_t t0_ns, step_ns;   /* t0_ns 0: the axis counts rows */
    const double *values;     /* NaN: a gap */
    const double *expected;   /* NULL: no line */
    const double *low, *high; /* NULL: no band; one alone reaches to the edge of the plot */
    const uint8_t *events;    /* NULL: none; shown behind the line */
    const struct ac_chart_row *rows;
    size_t n_rows;
    const struct ac_chart_note *notes; /* in order of at */
    size_t n_notes;
};

/** A picture of fixed width whose size does not grow with n: of the points that share a column of
 * pixels the smallest and the greatest are drawn, so that no extreme is lost. Of the notes those
 * that fit without touching are numbered, at most AC_CHART_NOTES; a last line counts the others. */
#define AC_CHART_NOTES 12
bool ac_chart_svg(const struct ac_chart *c, struct ac_buf *out);
