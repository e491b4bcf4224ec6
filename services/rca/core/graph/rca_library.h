/* What drives what, by kind of measurement: the table of typed edges, and its instances on a graph
 * of calls. Pure. */
#pragma once

#include "graph/rca_graph.h"

enum ac_rca_relation {
    AC_RCA_SAME,       /* both of one component */
    AC_RCA_CALLEE_UP,  /* from a callee to its caller */
    AC_RCA_CALLER_DOWN /* from a caller to its callee */
};

/* X(from, relation, to, sign, confidence, why) */
#define AC_RCA_LIBRARY(X)                                                                          \
    X(LOAD, SAME, CPU, +1, 0.85, "each request costs processor time")                              \
    X(LOAD, SAME, MEM, +1, 0.50, "requests under way hold memory")                                 \
    X(LOAD, SAME, NET, +1, 0.80, "each request moves bytes")                                       \
    X(LOAD, SAME, IO, +1, 0.60, "requests read and write")                                         \
    X(LOAD, SAME, LAT, +1, 0.60, "requests wait for each other")                                   \
    X(CPU, SAME, LAT, +1, 0.75, "work waits for the processor")                                    \
    X(MEM, SAME, LAT, +1, 0.40, "memory runs short: collection, paging")                           \
    X(MEM, SAME, RESTART, +1, 0.40, "a pod over its memory limit is killed")                       \
    X(IO, SAME, LAT, +1, 0.50, "requests wait for the disk")                                       \
    X(LAT, SAME, ERR, +1, 0.50, "what takes too long is given up")                                 \
    X(RESTART, SAME, UNREADY, +1, 0.70, "a restarted pod is not ready at first")                   \
    X(UNREADY, SAME, ERR, +1, 0.80, "nobody answers")                                              \
    X(UNREADY, SAME, LAT, +1, 0.50, "fewer pods serve the same requests")                          \
    X(CHANGE, SAME, UNREADY, +1, 0.40, "a rollout replaces pods")                                  \
    X(CHANGE, SAME, ERR, +1, 0.40, "a change may break the component")                             \
    X(CHANGE, SAME, LAT, +1, 0.40, "a change may slow the component")                              \
    X(ERR, SAME, LOGERR, +1, 0.80, "failures are logged")                                          \
    X(LAT, CALLEE_UP, LAT, +1, 0.90, "a caller waits for its callee")                              \
    X(ERR, CALLEE_UP, ERR, +1, 0.85, "a caller fails when its callee does")                        \
    X(UNREADY, CALLEE_UP, ERR, +1, 0.80, "calls to a callee that is gone fail")                    \
    X(GAP, CALLEE_UP, LAT, +1, 0.90, "time lost on the way is the caller's")                       \
    X(EGAP, CALLEE_UP, ERR, +1, 0.90, "calls lost on the way fail at the caller")                  \
    X(LOAD, CALLER_DOWN, LOAD, +1, 0.90, "a caller passes requests on")

struct ac_rca_typed_edge {
    enum ac_rca_kind from, to;
    enum ac_rca_relation relation;
    int sign;
    double confidence;
    const char *why;
};

const struct ac_rca_typed_edge *ac_rca_library(size_t *ret_n);

/** Puts the table's edges between measurements of the graph's components: of those that have a node
 * for the kind already (ac_rca_graph_node), or of request rate, latency, errors, processor and
 * memory for components that have no measurement at all. Evidence: the table's words, and the
 * evidence of the call where one is needed; the confidence is multiplied by the call's. */
int ac_rca_library_apply(struct ac_rca_graph *g, struct ac_err *err) AC_MUST_USE;
