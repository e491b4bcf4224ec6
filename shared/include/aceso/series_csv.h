/* CSV text row by row: cells trimmed, quotes undone, positions for messages. Pure; the text is not
 * changed and must outlive the reader. One owner. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <aceso/err.h>

struct ac_csv {
    const char *file; /* for messages */
    const char *at, *end;
    struct ac_err *err;
    char separator; /* ',' unless set after init; ' ' means any run of blanks */
    bool multiline; /* set after init: a quoted cell may hold line breaks, a row up to 1 MiB */
    size_t row;     /* the line that the current row begins on, from 1 */
    size_t more_lines;
    char **fields; /* of the current row, owned by the reader; valid until the next */
    size_t n, max_fields;
    char *line;
    size_t line_cap, fields_cap;
};

/** file and err (NULL allowed) are kept. A row with more than max_fields cells is refused. */
void ac_csv_init(struct ac_csv *c, const char *file, const char *text, size_t len,
                 size_t max_fields, struct ac_err *err);
void ac_csv_fini(struct ac_csv *c);
/** Next row that is not blank: 1, or 0 at the end, or AC_EINVAL ("file:row:column: text"). A cell
 * may be quoted ("a,""b""") but not hold a line break unless multiline is set. A row that begins
 * with # is one cell. */
int ac_csv_next(struct ac_csv *c) AC_MUST_USE;
/** Complains about a column (from 1) of the current row; returns AC_EINVAL. */
int ac_csv_err(struct ac_csv *c, size_t column, const char *fmt, ...) AC_PRINTF(3, 4);

/** A number; empty, nan, null, na and infinities are NaN (a gap). */
bool ac_csv_value(const char *field, double *ret_v);
/** Unix seconds (or ms, us, ns by their size), "2026-01-02 03:04:05" (UTC) or RFC 3339. */
bool ac_csv_time(const char *field, int64_t *ret_ns);
