/* A graph with marks at both ends of each edge: what the methods of discovery work on and return.
 * The matrix is causal-learn's: at(g, i, j) is the mark at i of the edge between i and j. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ac_rca_mark {
    AC_RCA_TAIL = -1,
    AC_RCA_NONE = 0,
    AC_RCA_ARROW = 1,
    AC_RCA_CIRCLE = 2
};

struct ac_rca_pdag {
    size_t p;
    int8_t *m;
};

void ac_rca_pdag_init(struct ac_rca_pdag *g, size_t p); /* no edges */
void ac_rca_pdag_fini(struct ac_rca_pdag *g);
void ac_rca_pdag_copy(struct ac_rca_pdag *to, const struct ac_rca_pdag *from); /* same p */
bool ac_rca_pdag_equal(const struct ac_rca_pdag *a, const struct ac_rca_pdag *b);

/** Mark at b of the edge a - b: what stands at the far end, seen from a. */
static inline int ac_rca_at(const struct ac_rca_pdag *g, int a, int b)
{
    return g->m[(size_t)b * g->p + (size_t)a];
}

static inline void ac_rca_put(struct ac_rca_pdag *g, int a, int b, enum ac_rca_mark at_a,
                              enum ac_rca_mark at_b)
{
    g->m[(size_t)a * g->p + (size_t)b] = (int8_t)at_a;
    g->m[(size_t)b * g->p + (size_t)a] = (int8_t)at_b;
}

static inline bool ac_rca_adjacent(const struct ac_rca_pdag *g, int a, int b)
{
    return ac_rca_at(g, a, b) != AC_RCA_NONE;
}

static inline bool ac_rca_directed(const struct ac_rca_pdag *g, int a, int b) /* a -> b */
{
    return ac_rca_at(g, b, a) == AC_RCA_TAIL && ac_rca_at(g, a, b) == AC_RCA_ARROW;
}

static inline bool ac_rca_undirected(const struct ac_rca_pdag *g, int a, int b)
{
    return ac_rca_at(g, b, a) == AC_RCA_TAIL && ac_rca_at(g, a, b) == AC_RCA_TAIL;
}

/** Neighbours of a in ascending order into out (p places); returns how many. */
size_t ac_rca_neighbours(const struct ac_rca_pdag *g, int a, int *out);
/** Is there a path a -> ... -> b of directed edges (or a = b)? */
bool ac_rca_ancestor(const struct ac_rca_pdag *g, int a, int b);
/** Meek's rules 1 to 3 until nothing changes (with colliders given, they are complete). */
void ac_rca_meek(struct ac_rca_pdag *g);
/** Which edges differ: pairs whose adjacency or marks are not the same. */
size_t ac_rca_pdag_distance(const struct ac_rca_pdag *a, const struct ac_rca_pdag *b);
