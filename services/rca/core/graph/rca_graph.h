/* The causal graph of a system: components and their measurements, who calls whom, what drives
 * what, with the evidence for each edge. Pure. One owner; not thread-safe. */
#pragma once

#include "rca_model.h"

enum ac_rca_edge_kind {
    AC_RCA_CALLS,     /* between components: from sends requests to to */
    AC_RCA_CAUSES,    /* between measurements: from drives to */
    AC_RCA_CONFOUNDED /* between measurements: something unseen drives both */
};

enum ac_rca_edge_state {
    AC_RCA_UNTESTED,
    AC_RCA_SUPPORTED,
    AC_RCA_CONTRADICTED,
    AC_RCA_PROPOSED /* by data alone: no document knows it */
};

const char *ac_rca_edge_kind_name(enum ac_rca_edge_kind k);
const char *ac_rca_edge_state_name(enum ac_rca_edge_state s);
bool ac_rca_edge_kind_parse(const char *name, enum ac_rca_edge_kind *ret);
bool ac_rca_edge_state_parse(const char *name, enum ac_rca_edge_state *ret);
bool ac_rca_kind_parse(const char *name, enum ac_rca_kind *ret);

struct ac_rca_gnode {
    char *id; /* "cart", or "cart.lat" */
    char *component;
    enum ac_rca_kind kind; /* AC_RCA_OTHER: the component itself */
    bool hidden;           /* known, but not measured */
    bool root, leaf;       /* nothing may drive it; it may drive nothing */
    /* Of a measurement; its kind's until something says otherwise. */
    enum ac_rca_bad bad;
    char unit[AC_RCA_UNIT_SIZE];
    bool told; /* the two are somebody's knowledge, no reading of a name */
};

struct ac_rca_gedge {
    int from, to;
    enum ac_rca_edge_kind kind;
    enum ac_rca_edge_state state;
    int sign;          /* +1 both get worse together, -1 one gets better, 0 unknown */
    double confidence; /* 0..1 */
    double lag_s;      /* how much later the effect is; 0 unknown or at once */
    char **evidence;   /* "file:line: text", at most AC_RCA_MAX_EVIDENCE */
    size_t nevidence;
};

#define AC_RCA_MAX_NODES    65536
#define AC_RCA_MAX_GEDGES   262144
#define AC_RCA_MAX_EVIDENCE 16

struct ac_rca_graph {
    struct ac_rca_gnode *nodes;
    size_t nnodes, nodes_cap;
    struct ac_rca_gedge *edges;
    size_t nedges, edges_cap;
    struct ac_map *index;      /* id -> 1 + node */
    struct ac_map *edge_index; /* "from>to:kind" -> 1 + edge */
    struct ac_map *forbidden;  /* "from>to:kind" of edges that there may not be */
};

struct ac_rca_graph *ac_rca_graph_create(void);
void ac_rca_graph_destroy(struct ac_rca_graph *g); /* NULL is fine */
/** The node of a component (kind AC_RCA_OTHER) or of its measurement, made when new; AC_ERANGE. */
int ac_rca_graph_node(struct ac_rca_graph *g, const char *component, enum ac_rca_kind kind);
int ac_rca_graph_find(const struct ac_rca_graph *g, const char *id); /* -1 when absent */
/** The edge, made when new; of one that is there the confidences add up (what speaks against both
 * must be wrong twice) and the evidence is appended. AC_EINVAL for a self-loop, AC_ERANGE. */
int ac_rca_graph_edge(struct ac_rca_graph *g, int from, int to, enum ac_rca_edge_kind kind,
                      double confidence, const char *evidence);
int ac_rca_graph_edge_find(const struct ac_rca_graph *g, int from, int to,
                           enum ac_rca_edge_kind kind); /* -1 when absent */
void ac_rca_graph_edge_remove(struct ac_rca_graph *g, size_t edge);

/** Somebody knows that there is no such edge: it goes, and none is proposed. */
void ac_rca_graph_forbid(struct ac_rca_graph *g, int from, int to, enum ac_rca_edge_kind kind);
/** The same of all that lead to a node (root) or from it. */
void ac_rca_graph_end(struct ac_rca_graph *g, int node, bool root);
/** Whether nobody forbade the edge. */
bool ac_rca_graph_may(const struct ac_rca_graph *g, int from, int to, enum ac_rca_edge_kind kind);

/** Somebody knows what a measurement's values are in and which of them are bad news. */
void ac_rca_graph_tell(struct ac_rca_gnode *n, const char *unit, enum ac_rca_bad bad);
/** Unit and direction from the case's measurements into the nodes that were not told. */
void ac_rca_graph_describe(struct ac_rca_graph *g, const struct ac_rca_case *c);
/** What the nodes were told into the measurements of the case, all of a component and kind. */
void ac_rca_graph_instruct(const struct ac_rca_graph *g, struct ac_rca_case *c);
/** The measurement of a case that a node stands for: of several the longest; NULL: none. */
const struct ac_rca_metric *ac_rca_graph_metric(const struct ac_rca_case *c,
                                                const struct ac_rca_gnode *n);

/** A confidence with log odds added, from .01 to .99. */
double ac_rca_shift_odds(double confidence, double by);

/** Takes a node that is not measured out: its causes drive its effects, and its effects are
 * confounded where it has two or more. */
void ac_rca_graph_marginalise(struct ac_rca_graph *g, int node);
/** Breaks cycles among what causes what at once (no lag): of each the edge with least confidence,
 * contradicted ones first, goes. removed is called for each before it goes; may be NULL. Returns
 * how many went. */
size_t ac_rca_graph_break_cycles(struct ac_rca_graph *g,
                                 void (*removed)(const struct ac_rca_graph *g,
                                                 const struct ac_rca_gedge *e, void *arg),
                                 void *arg);

/* What differs between two versions of a graph. */
enum ac_rca_change {
    AC_RCA_NODE_ADDED,
    AC_RCA_NODE_REMOVED,
    AC_RCA_NODE_CHANGED, /* unit, direction of badness, whether it is measured */
    AC_RCA_EDGE_ADDED,
    AC_RCA_EDGE_REMOVED,
    AC_RCA_EDGE_CHANGED /* state, sign, lag, or confidence by more than 0.05 */
};
typedef void (*ac_rca_change_fn)(enum ac_rca_change c, const struct ac_rca_graph *old, int at_old,
                                 const struct ac_rca_graph *new, int at_new, void *arg);
/** Calls fn for each change, nodes first; at_* is a node or an edge, -1 where there is none. */
void ac_rca_graph_diff(const struct ac_rca_graph *old, const struct ac_rca_graph *new,
                       ac_rca_change_fn fn, void *arg);
