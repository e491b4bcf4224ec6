/* A series file (aceso/series.h has its reader and what it refuses) as rules take it: rows are
 * points one step apart, in the order of the file, whose times must rise. The step is the # line's,
 * or the most frequent distance of the times, or a minute. The reader of the training part stops
 * where that part ends: what follows is neither looked at nor handed out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

struct series_file {
    char name[128]; /* of the # line, else the file's name without its endings */
    double *values;
    uint8_t *labels;
    bool labelled; /* the file has a label column */
    size_t n;
    size_t n_train; /* of the # line; 0: not given */
    int64_t t0_ns, step_ns;
    size_t uneven;    /* neighbours at another distance than step_ns: rows that are missing */
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
