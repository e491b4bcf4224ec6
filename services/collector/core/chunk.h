/* How samples and records are packed into one row of the store. Pure.
 * Samples: times as zigzag varints of the difference of differences, values as the bytes in which
 * they differ from the one before. Records: length-prefixed, deflated together. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>
#include <aceso/err.h>

/** Appends n samples (times in any order, any values, NaN payloads included). */
void col_chunk_encode(const int64_t *t, const double *v, size_t n, struct ac_buf *out);
/** Exactly n samples into t and v; AC_EDATALOSS when data is not their encoding. */
int col_chunk_decode(const void *data, size_t len, size_t n, int64_t *t, double *v,
                     struct ac_err *err) AC_MUST_USE;

/** Appends one record to raw; then the whole deflated into out. */
void col_record_put(struct ac_buf *raw, const void *p, size_t n);
int col_records_deflate(const struct ac_buf *raw, struct ac_buf *out,
                        struct ac_err *err) AC_MUST_USE;
/** Inflates into raw (an initialised buffer whose cap is the limit). */
int col_records_inflate(const void *data, size_t len, struct ac_buf *raw,
                        struct ac_err *err) AC_MUST_USE;
/** The next record after *at (0 at first); NULL at the end or where the bytes make no sense, which
 * *at < raw->len tells. */
const void *col_record_next(const struct ac_buf *raw, size_t *at, size_t *ret_len);

/** gzip or zlib text of a request; AC_EAGAIN when it grows past out's cap. */
int col_gunzip(const void *data, size_t len, struct ac_buf *out, struct ac_err *err) AC_MUST_USE;
