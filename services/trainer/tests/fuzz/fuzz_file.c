/* Any bytes as a series file, gzip or not: refused with a place, or read; the reader of the
 * training part sees the beginning of the same. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <aceso/base.h>

#include "readers/series_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("series", 0);
    AC_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    char path[64];
    struct series_file a, b;
    struct ac_err err = AC_ERR_INIT;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (series_file_read(path, &a, &err) < 0) {
        AC_ASSERT(strstr(err.msg, path));
    } else {
        AC_ASSERT(a.n > 0 && a.step_ns > 0);
        AC_ASSERT(series_file_read_train(path, &b, &err) == 0);
        AC_ASSERT(b.n <= a.n && (!b.n_train || b.n <= b.n_train));
        AC_ASSERT(memcmp(a.values, b.values, b.n * sizeof(double)) == 0);
        AC_ASSERT(memcmp(a.labels, b.labels, b.n) == 0);
        series_file_fini(&a);
        series_file_fini(&b);
    }
    (void)close(fd);
    return 0;
}
