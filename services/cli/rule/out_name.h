/* Under which name what was made of a series is filed. */
#pragma once

#include <stddef.h>

#include <aceso/err.h>

struct out_name {
    char text[128];
};

/** The name of the series of files[n] as one of a file, into names[n]. AC_EINVAL when one of the n
 * before it has the same: what is made of one would take the other's place. */
int out_name_add(struct out_name *names, size_t n, const char *const *files, const char *series,
                 struct ac_err *err) AC_MUST_USE;
