/* Samples of variables as a matrix, and what must be done to it before anything can be learnt from
 * it: gaps, constants, copies. Pure. One owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

#define AC_RCA_MAX_VARIABLES 4096
#define AC_RCA_MAX_CELLS     ((size_t)1 << 28)

struct ac_rca_matrix {
    size_t n, p;  /* rows (samples), columns (variables) */
    char **names; /* by column */
    double *x;    /* column by column; NaN is a gap */
};

/** Text with a row a sample: commas, semicolons, tabs or blanks between cells, a header of names or
 * none (then X1, X2, ...). A column called time or timestamp is left out. AC_EINVAL with
 * "file:row:column". */
int ac_rca_matrix_parse(const char *name, const char *text, size_t len, struct ac_rca_matrix *ret,
                        struct ac_err *err) AC_MUST_USE;
/** Names X1... and room for n x p; AC_ERANGE, AC_ENOMEM. */
int ac_rca_matrix_make(size_t n, size_t p, struct ac_rca_matrix *ret,
                       struct ac_err *err) AC_MUST_USE;
void ac_rca_matrix_fini(struct ac_rca_matrix *m);

/* What became of a variable. */
enum ac_rca_fate {
    AC_RCA_USED,
    AC_RCA_EMPTY,    /* more than half of it gaps */
    AC_RCA_CONSTANT, /* says nothing */
    AC_RCA_COPY      /* of an earlier one, but for scale and offset */
};

struct ac_rca_clean {
    struct ac_rca_matrix m; /* without gaps; only what is used; names borrowed from the source */
    int *column;            /* of the source, by column of m */
    enum ac_rca_fate *fate; /* by column of the source */
    int *copy_of;           /* column of the source, -1 */
    size_t source_p;
    size_t rows_dropped; /* for gaps */
    double *r;           /* correlations, p x p; only with AC_RCA_DROP_COPIES */
    size_t filled;       /* cells that took the value before them */
};

enum ac_rca_cleaning {
    AC_RCA_DROP_COPIES = 1, /* they make covariances singular; counts can bear them */
    AC_RCA_SERIES = 2,      /* rows follow each other in time: none may be dropped */
};

/** Leaves out what says nothing. Rows with gaps are dropped where at least half of all rows stay
 * and it is no series; else the last value before a gap (or the first behind it) fills it. The
 * source must outlive the result. */
int ac_rca_clean(const struct ac_rca_matrix *m, unsigned how, struct ac_rca_clean *ret,
                 struct ac_err *err) AC_MUST_USE;
void ac_rca_clean_fini(struct ac_rca_clean *c);

/** Correlations of all pairs of columns of a matrix without gaps, p x p. A constant column has 0
 * with all others. AC_ENOMEM. */
int ac_rca_correlations(const struct ac_rca_matrix *m, double **ret,
                        struct ac_err *err) AC_MUST_USE;
/** Covariances, divided by n. */
int ac_rca_covariances(const struct ac_rca_matrix *m, double **ret, struct ac_err *err) AC_MUST_USE;

#define AC_RCA_MAX_CLASSES 4096
/** Numbers the values of a column in ascending order; false when there are more than
 * AC_RCA_MAX_CLASSES. */
bool ac_rca_encode(const double *x, size_t n, uint16_t *code, uint32_t *ret_classes);
