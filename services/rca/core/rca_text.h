/* Text of others that was cut: a character of which a part is gone goes as a whole. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include <aceso/str.h>

/** Takes out of s, in place, what is no valid UTF-8. */
static inline void rca_whole_characters(char *s)
{
    char *to = s;
    while (*s) {
        size_t n = ac_utf8_len((const unsigned char *)s);
        memmove(to, s, n);
        to += n;
        s += n > 0 ? n : 1;
    }
    *to = '\0';
}
