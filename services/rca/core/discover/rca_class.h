/* A class of equivalent DAGs, or one of them, as rows of bits: what GES moves through, and what
 * turns a graph of marks into a DAG or its class. Pure. */
#pragma once

#include "discover/rca_pdag.h"

struct ac_rca_class {
    int p;
    size_t w; /* words in a row */
    /* Rows by node: what points at it, what it points at, its lines, and all of these. */
    uint64_t *from, *to, *line, *near;
    int *order; /* after an extension: causes first */
};

void ac_rca_class_init(struct ac_rca_class *c, size_t p); /* no edges */
void ac_rca_class_fini(struct ac_rca_class *c);
void ac_rca_class_copy(struct ac_rca_class *to, const struct ac_rca_class *from); /* same p */
/** From arrows and lines; other marks must not be there. Same p. */
void ac_rca_class_read(struct ac_rca_class *c, const struct ac_rca_pdag *g);
void ac_rca_class_write(const struct ac_rca_class *c, struct ac_rca_pdag *g);

static inline bool ac_rca_bit(const uint64_t *row, int i)
{
    return row[i / 64] >> (i % 64) & 1;
}

static inline const uint64_t *ac_rca_row(const struct ac_rca_class *c, const uint64_t *of, int a)
{
    return of + (size_t)a * c->w;
}

/** Members of a row in ascending order into out; returns how many. */
size_t ac_rca_row_members(const uint64_t *row, size_t w, int *out);

void ac_rca_class_arrow(struct ac_rca_class *c, int a,
                        int b);                               /* a -> b in place of what is there */
void ac_rca_class_line(struct ac_rca_class *c, int a, int b); /* a - b likewise */
void ac_rca_class_part(struct ac_rca_class *c, int a, int b); /* no edge */
/** Some DAG with the same adjacencies and no new collider (Dor and Tarsi) in place; false, and half
 * done, when there is none. */
bool ac_rca_class_extend(struct ac_rca_class *c);
/** From the DAG that an extension left to its class (Chickering's labels), in place. */
void ac_rca_class_close(struct ac_rca_class *c);
/** The same on marks; false, and g as it was, when there is no such DAG. */
bool ac_rca_pdag_extend(struct ac_rca_pdag *g);
/** From a DAG to the graph of its class, in place; false, and g as it was, when it has a cycle. */
bool ac_rca_dag_to_cpdag(struct ac_rca_pdag *g);
