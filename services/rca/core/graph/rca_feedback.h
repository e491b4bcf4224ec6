/* What answered incidents say about a graph. Pure. */
#pragma once

#include "graph/rca_graph.h"

struct ac_rca_feedback {
    const char *incident; /* what a reader calls it */
    uint64_t id;          /* whose verdict it is (ac_rca_incident_id); a later one replaces it */
    const int *path;      /* nodes, the cause first: components, or measurements */
    size_t n;
    bool confirmed; /* else refuted */
};

/** An incident's identity from all that makes it up: names, and its time in ns (0: not known). */
uint64_t ac_rca_incident_id(const char *const *names, size_t n, int64_t time_ns);

/** The fault did (or did not) travel along the path. Of a step between components all that drives
 * measurements of the one from those of the other counts, and the calls between them. A confirmed
 * path was right in each of its steps; in a refuted one some step was wrong, so that each bears its
 * share. What an earlier verdict on the same incident changed, on this path or another, is undone
 * first; the same verdict again changes nothing. Changes confidence and evidence; what data say
 * (state) stays. AC_EINVAL, and nothing changed, for a path of less than two nodes and for a step
 * that the graph does not have. ret_edges: how many edges changed. */
int ac_rca_graph_feedback(struct ac_rca_graph *g, const struct ac_rca_feedback *f,
                          size_t *ret_edges, struct ac_err *err) AC_MUST_USE;
