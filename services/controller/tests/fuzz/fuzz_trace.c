/* Bytes as a recorded trace: what is read holds together, and so do its arrivals. */
#include "trace.h"

#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace t;
    struct ac_err err = AC_ERR_INIT;
    int64_t *times = NULL;
    size_t n = 0;
    if (serving_trace_parse("trace", (const char *)data, size, &t, &err) != 0) {
        AC_ASSERT(err.code == AC_EINVAL && err.msg[0]);
        return 0;
    }
    AC_ASSERT(t.requests > 0 && t.span_ns > 0 && (t.n_times == 0) != (t.n_functions == 0));
    for (size_t i = 0; i < t.n_functions; i++)
        AC_ASSERT(t.functions[i].first + t.functions[i].n <= t.n_counts);
    double scale = 1000.0 / (double)AC_MAX(t.requests, (uint64_t)1000);
    if (serving_trace_times(&t, scale, 60 * AC_NS_PER_S, 1, &times, &n, &err) == 0)
        for (size_t i = 0; i < n; i++)
            AC_ASSERT(times[i] >= (i ? times[i - 1] : 0) && times[i] < 60 * AC_NS_PER_S);
    free(times);
    serving_trace_free(&t);
    return 0;
}
