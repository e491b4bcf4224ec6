/* What the values of a measurement are in, and which way they go when something is wrong. Pure. */
#pragma once

#include <stdbool.h>

enum ac_rca_bad { /* what is bad news: a high value, a low one, or either */
    AC_RCA_BAD_HIGH,
    AC_RCA_BAD_LOW,
    AC_RCA_BAD_BOTH,
    AC_RCA_NBAD
};

const char *ac_rca_bad_name(enum ac_rca_bad b); /* "high", "low", "both" */
const char *ac_rca_bad_text(enum ac_rca_bad b); /* the same in a sentence */
bool ac_rca_bad_parse(const char *name, enum ac_rca_bad *ret);

#define AC_RCA_UNIT_SIZE 16 /* with the final 0 */

/** One spelling for a unit that others write in many (UCUM, Prometheus, words): "s", "ms", "bytes",
 * "MiB", "%", "ratio", "cores", "1/s", ... What is not known is kept, cut to the room; a count
 * ("1", "{request}") has none: "". */
void ac_rca_unit_spell(const char *unit, char ret[AC_RCA_UNIT_SIZE]);
/** The unit that a name ends with, before its statistic: "latency_ms", "http_duration_seconds_p90",
 * "MemoryUsage(Mi)"; "" where it names none. */
void ac_rca_unit_of_name(const char *name, char ret[AC_RCA_UNIT_SIZE]);
/** What stands behind a number in a sentence: " ms", "/s", "" for a ratio. */
void ac_rca_unit_behind(const char *unit, char ret[AC_RCA_UNIT_SIZE + 1]);
/** By how much values in one unit are multiplied to be in another, both spelled as above; 0 where
 * either is not known or they measure different things. */
double ac_rca_unit_factor(const char *from, const char *to);
