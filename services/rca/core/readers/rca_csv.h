/* Measurements from CSV text. Pure: bytes in, a case out. */
#pragma once

#include "rca_model.h"

#include <aceso/series_csv.h>

#define AC_RCA_CSV_MAX_COLUMNS 20000

/* Up to the year 2103: arithmetic in ns has room beyond. */
#define AC_RCA_TIME_MAX_NS (INT64_C(4200000000) * 1000000000)

/* One table in memory: `time`, then a column a measurement. */
struct ac_rca_table {
    char **columns;    /* without the time column */
    char **components; /* by column, where the header gives them apart from the name; else NULL */
    size_t ncolumns, nrows;
    int64_t *t_ns; /* by row */
    double *v;     /* row-major; NaN where a cell is empty, nan or inf */
};

/** PetShop's form has three rows of header, each with its word in the first cell: microservice,
 * metric, statistic; a row "unix_timestamp" follows.
 * Parses text (name is for messages: "name:row:column: ..."). The time column is called time,
 * timestamp or unix_timestamp, in a form of ac_csv_time, rows in ascending order. AC_EINVAL. */
int ac_rca_table_parse(const char *name, const char *text, size_t len, struct ac_rca_table *ret,
                       struct ac_err *err) AC_MUST_USE;
void ac_rca_table_fini(struct ac_rca_table *t);

/** Adds the columns `<component>_<metric>` of a table to a case, shifted by shift_ns; columns seen
 * before are continued. Columns of the host ("node...") are left out. */
int ac_rca_table_add(const char *name, const struct ac_rca_table *t, int64_t shift_ns,
                     struct ac_rca_case *c, struct ac_err *err) AC_MUST_USE;

/** The measurement of a component by its name, which says what it is, made when new; *ret -1 when
 * it is left out. Messages have no file. */
int ac_rca_named_metric(struct ac_rca_case *c, const char *component, const char *metric, int *ret,
                        struct ac_err *err) AC_MUST_USE;

/** A data set's case in two tables (Sock Shop): the normal one is moved so that it ends one step
 * before the faulty one begins, since they were recorded apart. *ret_t0_ns = begin of the faulty.
 */
int ac_rca_join_normal(const char *name, const struct ac_rca_table *normal,
                       const struct ac_rca_table *faulty, struct ac_rca_case *c, int64_t *ret_t0_ns,
                       struct ac_err *err) AC_MUST_USE;

/** Edges from `caller,callee[,evidence]` rows; the names are made components. */
int ac_rca_edges_parse(const char *name, const char *text, size_t len, struct ac_rca_case *c,
                       struct ac_err *err) AC_MUST_USE;

/** Edges from an adjacency matrix: a header of callees behind an empty cell, then rows of a caller
 * and its numbers; what is not 0 is a call. A self-call is ignored. */
int ac_rca_adjacency_parse(const char *name, const char *text, size_t len, struct ac_rca_case *c,
                           struct ac_err *err) AC_MUST_USE;

/** Reads a cell as a time not before before_ns; complains otherwise. */
int ac_rca_row_time(struct ac_csv *r, size_t column, const char *cell, int64_t before_ns,
                    int64_t *ret_ns) AC_MUST_USE;
