#include "chart.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static void put_point(int64_t time_ns, double v, bool first, struct ac_buf *out)
{
    char num[32] = "null";
    if (isfinite(v))
        (void)ac_str_from_f64(num, sizeof(num), v);
    int64_t ms = time_ns / AC_NS_PER_MS;
    (void)ac_buf_printf(out, "%s[%" PRId64 ",%s]", first ? "" : ",", ms, num);
}

/* The lowest and the highest of [from, to); a gap (NaN) is kept when there is nothing else. */
static void put_stretch(const int64_t *t, const double *v, size_t from, size_t to,
                        struct ac_buf *out)
{
    size_t lo = from, hi = from;
    for (size_t i = from; i < to; i++) {
        if (!isfinite(v[i]))
            continue;
        if (!isfinite(v[lo]) || v[i] < v[lo])
            lo = i;
        if (!isfinite(v[hi]) || v[i] > v[hi])
            hi = i;
    }
    size_t a = AC_MIN(lo, hi), b = AC_MAX(lo, hi);
    put_point(t[a], v[a], from == 0, out);
    if (b != a)
        put_point(t[b], v[b], false, out);
}

void console_chart_points(const int64_t *time_ns, size_t n_times, const double *value,
                          size_t n_values, struct ac_buf *out)
{
    size_t n = AC_MIN(n_times, n_values), stretches = CONSOLE_CHART_POINTS / 2;
    (void)ac_buf_putc(out, '[');
    if (n <= CONSOLE_CHART_POINTS) {
        for (size_t i = 0; i < n; i++)
            put_point(time_ns[i], value[i], i == 0, out);
    } else {
        for (size_t k = 0; k < stretches; k++)
            put_stretch(time_ns, value, n * k / stretches, n * (k + 1) / stretches, out);
    }
    (void)ac_buf_putc(out, ']');
}
