/* FNV-1a over texts, each with its end, so that "a", "b" is not "ab". */
#pragma once

#include <stdint.h>

#define RCA_HASH_INIT UINT64_C(14695981039346656037)

static inline uint64_t rca_hash_add(uint64_t h, const char *text)
{
    const char *p = text;
    do
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    while (*p++);
    return h;
}
