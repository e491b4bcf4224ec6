/* What the scorers of the literature work on: all measurements of a case on one grid of rows, those
 * before the incident first, and which measurement drives which. Pure. One owner. */
#pragma once

#include "rca_engine.h"

#include "graph/rca_graph.h"

struct ac_rca_frame {
    size_t p;              /* columns */
    size_t normal, faulty; /* rows outside the incident, rows in it */
    double *x;   /* column by column, normal rows first; in deviations of the normal rows, finite */
    int *metric; /* of the case, by column */
    int64_t *t_ns; /* by row: its begin */
    size_t before; /* normal rows that lie before the incident, the first ones */
    bool *drives;  /* [i * p + j]: i drives j; no cycle */
    int symptom;   /* the column that is to be explained, -1 when nothing deviates */
};

/* No deviation is larger: a constant that moves must not decide everything by rounding. */
#define AC_RCA_FRAME_MAX 1e4
/* From here on a row counts as anomalous, as in the publications. */
#define AC_RCA_FRAME_ANOMALY 3.0

/** Zeros for p columns; AC_ERANGE, AC_ENOMEM. */
int ac_rca_frame_init(struct ac_rca_frame *f, size_t p, size_t normal, size_t faulty,
                      struct ac_err *err) AC_MUST_USE;
void ac_rca_frame_fini(struct ac_rca_frame *f);

/** From a case. A row is one step of the case's usual sampling, none straddles t0; several samples
 * within a row are averaged, gaps keep the value before them. Normal is what lies before the
 * incident, and, where that is less than 30 rows, also what lies margin_ns and more behind it. Left
 * out: what has samples in less than half of the normal rows or none in the incident, and
 * constants. What drives what: `graph` where one is given (its causes edges); else the library over
 * the case's calls; without calls PC on the normal rows (level 0.01, sets up to max_given: the
 * time grows with its power where many columns share a load). AC_EINVAL with fewer than 8 normal
 * rows, or none. */
int ac_rca_frame_make(const struct ac_rca_case *c, const struct ac_rca_params *p,
                      const struct ac_rca_graph *graph, int max_given, struct ac_rca_frame *ret,
                      struct ac_err *err) AC_MUST_USE;

/** Largest distance from normal in the incident, >= 0. */
double ac_rca_frame_z(const struct ac_rca_frame *f, size_t column);
/** Sets the symptom: the column that deviates most among those which drive nothing else that
 * deviates; -1 when no column does. */
void ac_rca_frame_find_symptom(struct ac_rca_frame *f);
/** Columns in an order in which causes come before effects. */
void ac_rca_frame_order(const struct ac_rca_frame *f, int *ret_order);
