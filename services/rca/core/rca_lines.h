/* Log lines into measurements: how often each component says each kind of error, and into events:
 * what the words mean. Numbers, ids and addresses are taken out of a line; what is left is its
 * pattern. Pure. One owner; not thread-safe. */
#pragma once

#include "rca_model.h"

struct ac_rca_line {
    int64_t t_ns;
    const char *component, *text;
    const char *peer; /* whom it is about; NULL: the text may name it */
    int severity;     /* as OTLP numbers it: 9 information, 13 warning, 17 error; 0: not known */
};

struct ac_rca_lines;

/* Beyond these a line counts to its component's pattern "...", or is refused (AC_ERANGE). */
#define AC_RCA_MAX_LINES            16000000
#define AC_RCA_PATTERNS_A_COMPONENT 64
#define AC_RCA_PATTERN_BYTES        120
#define AC_RCA_LINE_BYTES           4096 /* of a line are looked at */

struct ac_rca_lines *ac_rca_lines_create(void);
void ac_rca_lines_destroy(struct ac_rca_lines *l); /* NULL is fine */
/** Warnings and errors are kept; of others only that there was a log at that time. Where no
 * severity is known words decide (error, fail, exception, ...). The order does not matter. */
int ac_rca_lines_add(struct ac_rca_lines *l, const struct ac_rca_line *x,
                     struct ac_err *err) AC_MUST_USE;
/** For recordings of warnings and errors alone: what was recorded, though nothing may have been
 * said. */
void ac_rca_lines_cover(struct ac_rca_lines *l, int64_t from_ns, int64_t to_ns);
/** The end of one recording: what lies between it and the next was not recorded. */
void ac_rca_lines_end(struct ac_rca_lines *l);
/** Adds a measurement (AC_RCA_LOGERR) for each component and pattern, and events. A line is laid at
 * whom it is about: the peer, else a component that the text names; refusals and broken calls that
 * name nobody at the one store that the component calls. Events are made of lines from a time on.
 * Call it once, after the edges are in. */
int ac_rca_lines_build(struct ac_rca_lines *l, struct ac_rca_case *c, int64_t events_from_ns,
                       struct ac_err *err) AC_MUST_USE;

/** The pattern of a text into out, at most AC_RCA_PATTERN_BYTES and the NUL. */
void ac_rca_pattern(const char *text, char out[AC_RCA_PATTERN_BYTES + 1]);
/** The number of a severity in words or digits ("WARN", "error", "17"); 0: not known. */
int ac_rca_severity(const char *word);
