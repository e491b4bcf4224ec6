/* A time series made small enough for a chart, as JSON. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <aceso/buf.h>

#define CONSOLE_CHART_POINTS 600

/** "[[ms,value],...]": at most CONSOLE_CHART_POINTS points; of each stretch of a longer series the
 * lowest and the highest stay, in order of time, so that no spike is lost. A value that is no
 * number is null. The smaller of n_times and n_values counts. */
void console_chart_points(const int64_t *time_ns, size_t n_times, const double *value,
                          size_t n_values, struct ac_buf *out);
