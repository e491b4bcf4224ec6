/* Reads one series from a file: "value,label" rows behind a # line and a header, or CSV with a
 * header that names timestamp, value and optionally label; gzip is read as it is. A missing value
 * (empty, nan) is NaN. The reader of the training part stops where that part ends: what follows is
 * never read into memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

#define SERIES_ROWS_MAX 20000000u

struct series_file {
    char name[128]; /* of the # line, else the file's name without its endings */
    double *values;
    uint8_t *labels;
    bool labelled; /* the file has a label column */
    size_t n;
    size_t n_train; /* of the # line; 0: not given */
    int64_t t0_ns, step_ns;
    double **columns; /* those asked for by name, each of n values; NULL: none */
    size_t n_columns;
};

/** AC_EINVAL with file, row and column in the text. */
int series_file_read(const char *path, struct series_file *ret, struct ac_err *err) AC_MUST_USE;
/** The training part alone: n_train rows, or all when the file states no training part. */
int series_file_read_train(const char *path, struct series_file *ret,
                           struct ac_err *err) AC_MUST_USE;
/** The whole file with further columns that its header must name (at most 32). */
int series_file_read_columns(const char *path, const char *const *names, size_t n_names,
                             struct series_file *ret, struct ac_err *err) AC_MUST_USE;
void series_file_fini(struct series_file *s);
