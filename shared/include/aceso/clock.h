/* Time as int64 nanoseconds. Monotonic for durations, wall only at the edges. The port lets the
 * test kit's virtual clock stand in. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define AC_NS_PER_US 1000LL
#define AC_NS_PER_MS 1000000LL
#define AC_NS_PER_S  1000000000LL

struct ac_clock {
    void *self;
    int64_t (*now_ns)(void *self);  /* monotonic */
    int64_t (*wall_ns)(void *self); /* since the Unix epoch */
};

extern const struct ac_clock ac_clock_real;
/** The processor time of the calling thread: what others take of the machine does not count. It has
 * no wall clock. */
extern const struct ac_clock ac_clock_thread_cpu;

int64_t ac_now_ns(void);        /* real, monotonic; adapters and tools only */
int64_t ac_wall_ns(void);       /* real, Unix epoch; adapters and tools only */
int64_t ac_thread_cpu_ns(void); /* of the calling thread; adapters and tools only */

/** RFC 3339 UTC with microseconds, e.g. 2026-01-02T03:04:05.000006Z; dst of at least 28 bytes. */
void ac_time_format(int64_t wall_ns, char *dst, size_t dst_size);
/** Parses RFC 3339 (Z or offset). Returns AC_EINVAL. */
int ac_time_parse(const char *s, int64_t *ret_wall_ns);
