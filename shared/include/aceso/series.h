/* One time series as columns: time, value (NaN = gap), label; and readers for series files. Pure
 * but for the two functions that open a file. A series belongs to its creator; any thread, one at a
 * time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

#define AC_SERIES_MAX_BYTES  (512u << 20) /* of a file, after inflating */
#define AC_SERIES_MAX_POINTS (64u << 20)

struct ac_series {
    char *name;
    size_t n;
    int64_t t0_ns;     /* Unix time of the first point; 0 when the file gives none */
    int64_t step_ns;   /* distance of points; 0: times_ns has the times, or there are none */
    int64_t *times_ns; /* NULL when step_ns > 0: point i is at t0_ns + i * step_ns */
    double *values;
    uint8_t *labels;  /* 1 = anomalous; NULL when there is no such column */
    size_t n_train;   /* length of the training part where the file declares it, else 0 */
    size_t cap;       /* allocated points; for ac_series_append */
    double **columns; /* those a reader was asked for by name, n values each; no copy has them */
    size_t n_columns;
};

struct ac_series *ac_series_create(const char *name);
void ac_series_destroy(struct ac_series *s); /* NULL is fine */
/** Appends a point with its time; label -1 = none. Series with times of their own only. */
void ac_series_append(struct ac_series *s, int64_t time_ns, double value, int label);
int64_t ac_series_time(const struct ac_series *s, size_t i);
size_t ac_series_gaps(const struct ac_series *s); /* number of NaN values */

/** The most frequent distance of neighbours; 0 when there are no times. */
int64_t ac_series_infer_step(const struct ac_series *s);
/** A copy on an even grid of step_ns (0 = infer): sorted, the last of several points of a slot
 * counts, missing slots are NaN (label 0). AC_ERANGE when it would pass AC_SERIES_MAX_POINTS,
 * AC_EINVAL without times. */
int ac_series_regular(const struct ac_series *s, int64_t step_ns, struct ac_series **ret,
                      struct ac_err *err) AC_MUST_USE;

enum ac_series_agg {
    AC_AGG_MEAN,
    AC_AGG_SUM,
    AC_AGG_MIN,
    AC_AGG_MAX,
    AC_AGG_LAST,
    AC_AGG_COUNT
};
/** A copy with every `factor` points of an even grid joined to one; slots without a number are NaN
 * (COUNT: 0); a label is 1 when any was. */
struct ac_series *ac_series_coarser(const struct ac_series *s, size_t factor,
                                    enum ac_series_agg agg);

enum ac_series_fill {
    AC_FILL_PREVIOUS,
    AC_FILL_LINEAR
};
/** Fills gaps of at most max_gap points in place (PREVIOUS also at the end); returns the number of
 * points filled. */
size_t ac_series_fill_gaps(struct ac_series *s, enum ac_series_fill how, size_t max_gap);

/** Points [from, to) as a series of its own; bounds are clipped. */
struct ac_series *ac_series_slice(const struct ac_series *s, size_t from, size_t to);

/** Reads a series file: "value,label" rows behind a # line and a header, or a header that names
 * timestamp (or time), value (or one column of any name) and optionally label. gzip is read as it
 * is. What a row may be, and what is refused, stands in docs/measures.md, "Series files". Errors:
 * "file:row:column: text", row and column from 1 (the header is a row; columns are fields). */
int ac_series_read(const char *path, struct ac_series **ret, struct ac_err *err) AC_MUST_USE;
/** As above from memory. file_name is for messages and, without directory and endings, the name of
 * a series whose # line gives none. */
int ac_series_parse(const char *file_name, const char *text, size_t len, struct ac_series **ret,
                    struct ac_err *err) AC_MUST_USE;

#define AC_SERIES_COLUMNS_MAX 32

struct ac_series_want {
    bool train_only; /* stop behind row n_train: what follows is not looked at, and may be broken */
    bool rising;     /* refuse times that go back or stand still */
    const char *const *columns; /* further columns that the header must name */
    size_t n_columns;           /* at most AC_SERIES_COLUMNS_MAX */
};
int ac_series_read_as(const char *path, const struct ac_series_want *want, struct ac_series **ret,
                      struct ac_err *err) AC_MUST_USE;
int ac_series_parse_as(const char *file_name, const char *text, size_t len,
                       const struct ac_series_want *want, struct ac_series **ret,
                       struct ac_err *err) AC_MUST_USE;

/** Whole file as ac_file_read, gzip inflated; max_bytes counts inflated bytes. */
int ac_gz_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len,
               struct ac_err *err) AC_MUST_USE;
/** Inflates gzip bytes (several members too); other bytes are copied. name is for messages. */
int ac_gz_inflate(const char *name, const void *data, size_t len, size_t max_bytes, char **ret_data,
                  size_t *ret_len, struct ac_err *err) AC_MUST_USE;
