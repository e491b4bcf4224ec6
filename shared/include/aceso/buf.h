/* A growing byte buffer with a cap. Overflow is sticky (append after append, one check at the end).
 * data is always NUL-terminated once anything was appended. Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <aceso/err.h>

struct ac_buf {
    char *data;
    size_t len, cap, max;
    bool failed;
};

void ac_buf_init(struct ac_buf *b, size_t max_bytes);
void ac_buf_fini(struct ac_buf *b);  /* frees; the struct may be initialised again */
void ac_buf_reset(struct ac_buf *b); /* len = 0, keeps the memory, clears failure */
bool ac_buf_append(struct ac_buf *b, const void *p, size_t n);
/** n bytes more at the end, for the caller to fill; NULL at the cap. */
char *ac_buf_extend(struct ac_buf *b, size_t n);
bool ac_buf_puts(struct ac_buf *b, const char *s);
bool ac_buf_putc(struct ac_buf *b, char c);
bool ac_buf_printf(struct ac_buf *b, const char *fmt, ...) AC_PRINTF(2, 3);
/** Appends s as a JSON string with quotes; invalid UTF-8 bytes become U+FFFD. */
bool ac_buf_put_json_str(struct ac_buf *b, const char *s);
/** Is all of s valid UTF-8 (RFC 3629: no overlong forms, no surrogates)? */
bool ac_utf8_valid(const char *s);
/** Takes the memory (caller frees with free); the buffer is empty afterwards. "" when empty. */
char *ac_buf_take(struct ac_buf *b);
const char *ac_buf_str(const struct ac_buf *b); /* never NULL */
