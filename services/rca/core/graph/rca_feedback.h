/* What answered incidents say about a graph. Pure. */
#pragma once

#include "graph/rca_graph.h"

struct ac_rca_feedback {
    const char *incident; /* its name; said twice it counts once */
    const int *path;      /* nodes, the cause first: components, or measurements */
    size_t n;
    bool confirmed; /* else refuted */
};

/** The fault did (or did not) travel along the path. Of a step between components all that drives
 * measurements of the one from those of the other counts, and the calls between them. A confirmed
 * path was right in each of its steps; in a refuted one some step was wrong, so that each bears its
 * share. Changes confidence and evidence; what data say (state) stays. AC_EINVAL, and nothing
 * changed, for a path of less than two nodes and for a step that the graph does not have.
 * ret_edges: how many edges changed. */
int ac_rca_graph_feedback(struct ac_rca_graph *g, const struct ac_rca_feedback *f,
                          size_t *ret_edges, struct ac_err *err) AC_MUST_USE;
