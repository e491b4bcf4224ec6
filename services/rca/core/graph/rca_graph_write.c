#include "graph/rca_graph_write.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/str.h>
#include <aceso/svg.h>

static void put_edge_json(const struct ac_rca_graph *g, const struct ac_rca_gedge *e,
                          struct ac_buf *out)
{
    ac_buf_puts(out, "{\"from\":");
    ac_buf_put_json_str(out, g->nodes[e->from].id);
    ac_buf_puts(out, ",\"to\":");
    ac_buf_put_json_str(out, g->nodes[e->to].id);
    ac_buf_printf(out, ",\"kind\":\"%s\",\"state\":\"%s\",\"confidence\":%.4g",
                  ac_rca_edge_kind_name(e->kind), ac_rca_edge_state_name(e->state), e->confidence);
    if (e->sign)
        ac_buf_printf(out, ",\"sign\":%d", e->sign);
    if (e->lag_s > 0.0)
        ac_buf_printf(out, ",\"lag_s\":%.6g", e->lag_s);
    ac_buf_puts(out, ",\"evidence\":[");
    for (size_t i = 0; i < e->nevidence; i++) {
        if (i)
            ac_buf_putc(out, ',');
        ac_buf_put_json_str(out, e->evidence[i]);
    }
    ac_buf_puts(out, "]}");
}

static void put_measurement_json(const struct ac_rca_gnode *n, bool more, struct ac_buf *out)
{
    ac_buf_puts(out, more ? ",{\"id\":" : "{\"id\":");
    ac_buf_put_json_str(out, n->id);
    ac_buf_puts(out, ",\"unit\":");
    ac_buf_put_json_str(out, n->unit);
    ac_buf_printf(out, ",\"bad\":\"%s\"%s}", ac_rca_bad_name(n->bad),
                  n->told ? ",\"told\":true" : "");
}

void ac_rca_graph_json(const struct ac_rca_graph *g, bool open, struct ac_buf *out)
{
    size_t hidden = 0;
    ac_buf_puts(out, "{\"nodes\":[");
    for (size_t i = 0; i < g->nnodes; i++) {
        if (i)
            ac_buf_putc(out, ',');
        ac_buf_put_json_str(out, g->nodes[i].id);
    }
    ac_buf_puts(out, "],\"measurements\":[");
    for (size_t i = 0, n = 0; i < g->nnodes; i++)
        if (g->nodes[i].kind != AC_RCA_OTHER)
            put_measurement_json(&g->nodes[i], n++ > 0, out);
    ac_buf_puts(out, "],\"hidden\":[");
    for (size_t i = 0; i < g->nnodes; i++) {
        if (!g->nodes[i].hidden)
            continue;
        if (hidden++)
            ac_buf_putc(out, ',');
        ac_buf_put_json_str(out, g->nodes[i].id);
    }
    ac_buf_puts(out, "],\"edges\":[");
    for (size_t i = 0; i < g->nedges; i++) {
        if (i)
            ac_buf_putc(out, ',');
        put_edge_json(g, &g->edges[i], out);
    }
    ac_buf_puts(out, open ? "]" : "]}");
}

static const char *style(const struct ac_rca_gedge *e)
{
    static const char *const styles[] = {"dashed", "solid", "solid", "dotted"};
    return styles[e->state];
}

void ac_rca_graph_dot(const struct ac_rca_graph *g, struct ac_buf *out)
{
    ac_buf_puts(out, "digraph causes {\n  rankdir=LR;\n  node [shape=box];\n");
    for (size_t i = 0; i < g->nnodes; i++) {
        ac_buf_puts(out, "  ");
        ac_buf_put_json_str(out, g->nodes[i].id);
        if (g->nodes[i].kind != AC_RCA_OTHER) {
            ac_buf_puts(out, " [unit=");
            ac_buf_put_json_str(out, g->nodes[i].unit);
            ac_buf_printf(out, ",bad=%s%s]", ac_rca_bad_name(g->nodes[i].bad),
                          g->nodes[i].hidden ? ",style=dashed" : "");
        }
        ac_buf_puts(out, ";\n");
    }
    for (size_t i = 0; i < g->nedges; i++) {
        const struct ac_rca_gedge *e = &g->edges[i];
        ac_buf_puts(out, "  ");
        ac_buf_put_json_str(out, g->nodes[e->from].id);
        ac_buf_puts(out, " -> ");
        ac_buf_put_json_str(out, g->nodes[e->to].id);
        ac_buf_printf(out, " [style=%s,label=\"%.2f\"%s%s", style(e), e->confidence,
                      e->state == AC_RCA_CONTRADICTED ? ",color=red" : "",
                      e->kind == AC_RCA_CALLS        ? ",arrowhead=open"
                      : e->kind == AC_RCA_CONFOUNDED ? ",dir=both"
                                                     : "");
        if (e->nevidence > 0) {
            ac_buf_puts(out, ",edgetooltip=");
            ac_buf_put_json_str(out, e->evidence[0]);
        }
        ac_buf_puts(out, "];\n");
    }
    ac_buf_puts(out, "}\n");
}

/* ---- GraphML ---- */

/* X(id, of what, type) */
#define GRAPHML_KEYS(X)                                                                            \
    X("component", "node", "string")                                                               \
    X("measures", "node", "string")                                                                \
    X("unit", "node", "string")                                                                    \
    X("bad", "node", "string")                                                                     \
    X("hidden", "node", "boolean")                                                                 \
    X("kind", "edge", "string")                                                                    \
    X("state", "edge", "string")                                                                   \
    X("confidence", "edge", "double")                                                              \
    X("sign", "edge", "int")                                                                       \
    X("lag_s", "edge", "double")                                                                   \
    X("evidence", "edge", "string")

static void put_data(struct ac_buf *out, const char *key, const char *text)
{
    ac_buf_printf(out, "<data key=\"%s\">", key);
    ac_svg_text(out, text);
    ac_buf_puts(out, "</data>");
}

static void put_node_graphml(const struct ac_rca_gnode *n, struct ac_buf *out)
{
    ac_buf_puts(out, "<node id=\"");
    ac_svg_text(out, n->id);
    ac_buf_puts(out, "\">");
    put_data(out, "component", n->component);
    if (n->kind != AC_RCA_OTHER) {
        put_data(out, "measures", ac_rca_kind_text(n->kind));
        put_data(out, "unit", n->unit);
        put_data(out, "bad", ac_rca_bad_name(n->bad));
        put_data(out, "hidden", n->hidden ? "true" : "false");
    }
    ac_buf_puts(out, "</node>\n");
}

static void put_edge_graphml(const struct ac_rca_graph *g, const struct ac_rca_gedge *e,
                             struct ac_buf *out)
{
    ac_buf_puts(out, "<edge source=\"");
    ac_svg_text(out, g->nodes[e->from].id);
    ac_buf_puts(out, "\" target=\"");
    ac_svg_text(out, g->nodes[e->to].id);
    ac_buf_printf(out, "\"%s>", e->kind == AC_RCA_CONFOUNDED ? " directed=\"false\"" : "");
    put_data(out, "kind", ac_rca_edge_kind_name(e->kind));
    put_data(out, "state", ac_rca_edge_state_name(e->state));
    ac_buf_printf(out,
                  "<data key=\"confidence\">%.4g</data><data key=\"sign\">%d</data>"
                  "<data key=\"lag_s\">%.6g</data><data key=\"evidence\">",
                  e->confidence, e->sign, e->lag_s);
    for (size_t i = 0; i < e->nevidence; i++) {
        ac_buf_puts(out, i ? "\n" : "");
        ac_svg_text(out, e->evidence[i]);
    }
    ac_buf_puts(out, "</data></edge>\n");
}

void ac_rca_graph_graphml(const struct ac_rca_graph *g, struct ac_buf *out)
{
    ac_buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                     "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n");
#define X(id, of, type)                                                                            \
    ac_buf_puts(out, "<key id=\"" id "\" for=\"" of "\" attr.name=\"" id "\" attr.type=\"" type    \
                     "\"/>\n");
    GRAPHML_KEYS(X)
#undef X
    ac_buf_puts(out, "<graph edgedefault=\"directed\">\n");
    for (size_t i = 0; i < g->nnodes; i++)
        put_node_graphml(&g->nodes[i], out);
    for (size_t i = 0; i < g->nedges; i++)
        put_edge_graphml(g, &g->edges[i], out);
    ac_buf_puts(out, "</graph>\n</graphml>\n");
}

/* ---- causal-learn's matrix ---- */

void ac_rca_graph_matrix(const struct ac_rca_graph *g, struct ac_buf *out)
{
    size_t p = 0;
    bool causes = false;
    for (size_t i = 0; i < g->nedges; i++)
        causes |= g->edges[i].kind != AC_RCA_CALLS;
    size_t *row = ac_xcalloc(g->nnodes + 1, sizeof(*row)); /* one more than the row; 0: none */
    for (size_t i = 0; i < g->nnodes; i++)
        if ((g->nodes[i].kind != AC_RCA_OTHER) == causes)
            row[i] = ++p;
    if (p > 4096) { /* p x p cells */
        free(row);
        out->failed = true;
        return;
    }
    int8_t *m = ac_xcalloc(p * p + 1, 1);
    for (size_t i = 0; i < g->nedges; i++) {
        const struct ac_rca_gedge *e = &g->edges[i];
        size_t a = row[e->from], b = row[e->to];
        if (e->state == AC_RCA_CONTRADICTED || a-- == 0 || b-- == 0)
            continue;
        m[b * p + a] = 1;
        if (e->kind == AC_RCA_CONFOUNDED)
            m[a * p + b] = 1;
        else if (m[a * p + b] == 0)
            m[a * p + b] = -1;
    }
    ac_buf_putc(out, '#');
    for (size_t i = 0; i < g->nnodes; i++)
        if (row[i])
            ac_buf_printf(out, " %s", g->nodes[i].id);
    for (size_t i = 0; i < p; i++)
        for (size_t j = 0; j < p; j++)
            ac_buf_printf(out, "%s%d", j ? " " : "\n", m[i * p + j]);
    ac_buf_putc(out, '\n');
    free(m);
    free(row);
}

/* ---- SVG ---- */

#define BOX_W    AC_RCA_BOX_W
#define BOX_H    AC_RCA_BOX_H
#define COLUMN_W 230
#define GAP_H    14
#define LEGEND_H 24

/* Layer of each component: how many calls it is away from an entry, cycles cut. */
static void layers(const struct ac_rca_graph *g, int *layer)
{
    for (size_t round = 0; round < g->nnodes; round++) {
        bool moved = false;
        for (size_t i = 0; i < g->nedges; i++) {
            const struct ac_rca_gedge *e = &g->edges[i];
            if (e->kind != AC_RCA_CALLS || layer[e->to] > layer[e->from] ||
                layer[e->from] + 1 >= 12)
                continue;
            layer[e->to] = layer[e->from] + 1;
            moved = true;
        }
        if (!moved)
            return;
    }
}

static void put_in_place(const struct ac_rca_graph *g, struct ac_rca_place *at, int *ret_w,
                         int *ret_h)
{
    int *layer = ac_xcalloc(g->nnodes + 1, sizeof(int)), height[16] = {0};
    layers(g, layer);
    *ret_w = *ret_h = 0;
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ac_rca_gnode *n = &g->nodes[i];
        int own = n->kind == AC_RCA_OTHER ? (int)i : ac_rca_graph_find(g, n->component);
        if (n->kind != AC_RCA_OTHER && own >= 0)
            continue; /* goes under its component */
        int l = AC_MIN(layer[i], 15);
        at[i] = (struct ac_rca_place){20 + l * COLUMN_W, 20 + height[l]};
        height[l] += BOX_H + 4;
        for (size_t k = 0; n->kind == AC_RCA_OTHER && k < g->nnodes; k++) {
            if (g->nodes[k].kind == AC_RCA_OTHER || !ac_streq(g->nodes[k].component, n->component))
                continue;
            at[k] = (struct ac_rca_place){32 + l * COLUMN_W, 20 + height[l]};
            height[l] += BOX_H + 4;
        }
        height[l] += GAP_H;
        *ret_w = AC_MAX(*ret_w, 40 + l * COLUMN_W + BOX_W + 20);
        *ret_h = AC_MAX(*ret_h, 40 + height[l]);
    }
    free(layer);
}

void ac_rca_svg_tip(struct ac_buf *out)
{
    ac_buf_puts(out, "<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" "
                     "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path class=\"tip\" "
                     "d=\"M0 0L8 4L0 8z\"/></marker></defs>\n");
}

void ac_rca_svg_box(struct ac_buf *out, struct ac_rca_place at, const char *css_class, bool dashed,
                    const char *text)
{
    ac_buf_printf(out,
                  "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\" class=\"%s\"%s/>"
                  "<text class=\"t m\" x=\"%d\" y=\"%d\">",
                  at.x, at.y, BOX_W, BOX_H, css_class, dashed ? " stroke-dasharray=\"4 3\"" : "",
                  at.x + 6, at.y + 17);
    ac_svg_text_cut(out, text, 24);
    ac_buf_puts(out, "</text>\n");
}

void ac_rca_svg_arrow(struct ac_buf *out, struct ac_rca_place from, struct ac_rca_place to,
                      const char *css_class)
{
    int right = from.x < to.x, x1 = from.x + (right ? BOX_W : 0), x2 = to.x + (right ? 0 : BOX_W);
    int bend = right ? 50 : -50;
    if (from.x == to.x) {
        x1 = x2 = from.x;
        bend = -30;
    }
    ac_buf_printf(out, "<path class=\"%s\" d=\"M%d %dC%d %d %d %d %d %d\" marker-end=\"url(#a)\"",
                  css_class, x1, from.y + BOX_H / 2, x1 + bend, from.y + BOX_H / 2,
                  from.x == to.x ? x2 + bend : x2 - bend, to.y + BOX_H / 2, x2, to.y + BOX_H / 2);
}

static void put_edge_svg(const struct ac_rca_graph *g, const struct ac_rca_gedge *e,
                         const struct ac_rca_place *at, struct ac_buf *out)
{
    static const char *const dash[] = {"6 4", "none", "none", "2 3"};
    ac_rca_svg_arrow(out, at[e->from], at[e->to],
                     e->state == AC_RCA_CONTRADICTED ? "bad"
                     : e->kind == AC_RCA_CALLS       ? "call"
                                                     : "edge");
    ac_buf_printf(out, " stroke-dasharray=\"%s\" stroke-width=\"%.1f\"><title>", dash[e->state],
                  0.6 + 1.6 * e->confidence);
    ac_svg_text(out, g->nodes[e->from].id);
    ac_buf_printf(out, " %s ", ac_rca_edge_kind_name(e->kind));
    ac_svg_text(out, g->nodes[e->to].id);
    ac_buf_printf(out, ": %s, %.2f", ac_rca_edge_state_name(e->state), e->confidence);
    for (size_t i = 0; i < e->nevidence; i++) {
        ac_buf_puts(out, "\n");
        ac_svg_text(out, e->evidence[i]);
    }
    ac_buf_puts(out, "</title></path>\n");
}

/* Opens a group that says what the box in it is. */
static void put_title(const struct ac_rca_gnode *n, struct ac_buf *out)
{
    ac_buf_puts(out, "<g><title>");
    ac_svg_text(out, n->id);
    if (n->kind != AC_RCA_OTHER) {
        ac_buf_printf(out, ": %s%s", ac_rca_kind_text(n->kind), *n->unit ? " in " : "");
        ac_svg_text(out, n->unit);
        ac_buf_printf(out, ", bad when %s%s", ac_rca_bad_text(n->bad),
                      n->hidden ? "; not measured" : "");
    }
    ac_buf_puts(out, "</title>");
}

void ac_rca_graph_svg(const struct ac_rca_graph *g, struct ac_buf *out)
{
    struct ac_rca_place *at = ac_xcalloc(g->nnodes + 1, sizeof(*at));
    int w, h;
    put_in_place(g, at, &w, &h);
    ac_svg_open(out, AC_MAX(w, 830), AC_MAX(h, 60) + LEGEND_H, "causal graph");
    ac_rca_svg_tip(out);
    ac_buf_printf(
        out,
        "<text class=\"d m\" x=\"20\" y=\"%d\">Lines: solid supported by data, dashed "
        "untested, dotted proposed by data, red contradicted; thin and grey calls. Boxes: "
        "dashed not measured.</text>\n",
        AC_MAX(h, 60) + 4);
    for (size_t i = 0; i < g->nedges; i++)
        put_edge_svg(g, &g->edges[i], at, out);
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct ac_rca_gnode *n = &g->nodes[i];
        char label[48];
        bool own = n->kind == AC_RCA_OTHER;
        (void)snprintf(label, sizeof(label), "%s%s%s", ac_rca_kind_name(n->kind),
                       *n->unit ? ", " : "", n->unit);
        put_title(n, out);
        ac_rca_svg_box(out, at[i], own ? "own" : "box", n->hidden, own ? n->id : label);
        ac_buf_puts(out, "</g>\n");
    }
    ac_svg_close(out);
    free(at);
}
