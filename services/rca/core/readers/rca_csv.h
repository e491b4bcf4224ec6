/* Measurements from CSV text. Pure: bytes in, a case out. */
#pragma once

#include "rca_model.h"

#define AC_RCA_CSV_MAX_COLUMNS 20000

/* One table in memory: `time` in seconds, then a column a measurement. */
struct ac_rca_table {
    char **columns; /* without the time column */
    size_t ncolumns, nrows;
    int64_t *t_ns; /* by row */
    double *v;     /* row-major; NaN where a cell is empty, nan or inf */
};

/** Parses text (name is for messages: "name:row:column: ..."). The time column is called time,
 * timestamp or unix_timestamp, in seconds, rows in ascending order of time. AC_EINVAL. */
int ac_rca_table_parse(const char *name, const char *text, size_t len, struct ac_rca_table *ret,
                       struct ac_err *err) AC_MUST_USE;
void ac_rca_table_fini(struct ac_rca_table *t);

/** Adds the columns `<component>_<metric>` of a table to a case, shifted by shift_ns; columns seen
 * before are continued. Columns of the host ("node...") are left out. */
int ac_rca_table_add(const char *name, const struct ac_rca_table *t, int64_t shift_ns,
                     struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

/** A data set's case in two tables (Sock Shop): the normal one is moved so that it ends one step
 * before the faulty one begins, since they were recorded apart. *ret_t0_ns = begin of the faulty.
 */
int ac_rca_join_normal(const char *name, const struct ac_rca_table *normal,
                       const struct ac_rca_table *faulty, struct ac_rca_case *c, int64_t *ret_t0_ns,
                       struct ac_err *err) AC_MUST_USE;

/** Edges from `caller,callee[,evidence]` rows; the names are made components. */
int ac_rca_edges_parse(const char *name, const char *text, size_t len, struct ac_rca_case *c,
                       struct ac_err *err) AC_MUST_USE;
