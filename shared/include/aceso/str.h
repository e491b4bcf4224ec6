/* Strings: comparison, parsing with full checks, splitting. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

bool ac_streq(const char *a, const char *b); /* NULLs equal only to NULL */
bool ac_str_starts(const char *s, const char *prefix);
bool ac_str_ends(const char *s, const char *suffix);
bool ac_str_empty(const char *s); /* NULL or "" */
/** Whole string must be a number in range; returns false otherwise and leaves the output alone. */
bool ac_str_to_i64(const char *s, int64_t *ret_v);
bool ac_str_to_u64(const char *s, uint64_t *ret_v);
bool ac_str_to_f64(const char *s, double *ret_v); /* locale-independent; accepts nan and inf */
/** "250ms", "1.5s", "2m", "1h", "3d", "10us", "5ns" to ns; a bare number is refused. */
bool ac_str_to_duration_ns(const char *s, int64_t *ret_ns);
/** "64K", "4MiB", "1G", "100" to bytes. */
bool ac_str_to_bytes(const char *s, uint64_t *ret_bytes);
/** Copies with truncation, always terminates; returns false when truncated. */
bool ac_str_copy(char *dst, size_t dst_size, const char *src);
/** Next field of *rest up to sep (rest is modified and advanced); NULL at the end. */
char *ac_str_next(char **rest, char sep);
char *ac_str_trim(char *s); /* in place */
/** Case-sensitive glob with * and ?. */
bool ac_str_glob(const char *pattern, const char *s);
/** Levenshtein distance, capped at 16; for "did you mean". */
int ac_str_distance(const char *a, const char *b);
/** Shortest text that reads back as the same double ("nan", "inf", "-inf" for those). */
int ac_str_from_f64(char *dst, size_t dst_size, double v);
uint64_t ac_hash_bytes(const void *p, size_t n); /* FNV-1a with a final mix; not for adversaries */
uint64_t ac_hash_str(const char *s);
/** Base64 of n bytes; caller frees. */
char *ac_base64(const void *p, size_t n);
/** The bytes, NUL-terminated beyond ret_len (may be NULL); caller frees. Line breaks and missing
 * padding are fine; NULL when anything else is there. */
char *ac_unbase64(const char *text, size_t *ret_len);
/** Length of the valid UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates), 0 if none.
 * Reads no further than a NUL. */
size_t ac_utf8_len(const unsigned char *s);
/** Are n bytes, with a NUL behind them, valid UTF-8? NULs within are. */
bool ac_utf8_valid_n(const char *text, size_t n);
