/* A causal graph as text: JSON, Graphviz, GraphML, causal-learn's matrix, SVG. Pure. */
#pragma once

#include <aceso/buf.h>

#include "graph/rca_graph.h"

/** Keys nodes[] (ids), measurements[]{id, unit, bad, told}, hidden[] (ids) and edges[]{from, to,
 * kind, state, confidence, sign, lag_s, evidence[]}; without the closing brace when open, so that
 * more keys may follow. */
void ac_rca_graph_json(const struct ac_rca_graph *g, bool open, struct ac_buf *out);
void ac_rca_graph_dot(const struct ac_rca_graph *g, struct ac_buf *out);
void ac_rca_graph_graphml(const struct ac_rca_graph *g, struct ac_buf *out);
/** A line of names behind #, then a row a node: -1 tail, 1 arrow at the row's node. Where the graph
 * has causes only measurements and what drives what are in it, else components and calls. */
void ac_rca_graph_matrix(const struct ac_rca_graph *g, struct ac_buf *out);
/** Components in layers from callers to callees; measurements under their component. Solid edges
 * are supported, dashed untested, dotted proposed, red contradicted. */
void ac_rca_graph_svg(const struct ac_rca_graph *g, struct ac_buf *out);

/* Boxes and arrows, for other pictures of components. */
#define AC_RCA_BOX_W 164
#define AC_RCA_BOX_H 26

struct ac_rca_place { /* upper left corner of a box */
    int x, y;
};

/** The tip that arrows name: once a picture, before them. */
void ac_rca_svg_tip(struct ac_buf *out);
void ac_rca_svg_box(struct ac_buf *out, struct ac_rca_place at, const char *css_class, bool dashed,
                    const char *text);
/** An open path element up to its attributes; the caller adds some and closes it. */
void ac_rca_svg_arrow(struct ac_buf *out, struct ac_rca_place from, struct ac_rca_place to,
                      const char *css_class);
