/* Who calls whom, from spans. Pure. */
#pragma once

#include "events.h"

struct col_edge {
    char *caller, *callee;
    uint64_t calls, errors;
    double total_ms;
};

struct col_graph;
struct col_graph *col_graph_create(void);
void col_graph_destroy(struct col_graph *g);
/** Copies. A span that is there already is left alone. */
void col_graph_add(struct col_graph *g, const struct col_event *span);
size_t col_graph_spans(const struct col_graph *g);

/** Edges from what was added. A call is a client span: its callee is the component of the server
 * span below it; where that is missing, what the same caller's peer turned out to be elsewhere,
 * else peer.service itself. A server span below a span of another component that is no client span
 * is a call too, seen by the callee. Sorted by caller, callee; owned by g. */
const struct col_edge *col_graph_edges(struct col_graph *g, size_t *ret_n);
/** Components of all spans and callees of all edges, sorted; owned by g. After col_graph_edges. */
const char *const *col_graph_components(struct col_graph *g, size_t *ret_n);
