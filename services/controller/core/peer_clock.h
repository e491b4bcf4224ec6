/* How far another machine's monotonic clock is from ours, from the stamps of pings and pongs: the
 * exchange with the shortest round trip among the last ones tells best. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CTL_CLOCK_SAMPLES 16

struct ctl_peer_clock {
    struct {
        int64_t offset_ns, round_trip_ns;
    } samples[CTL_CLOCK_SAMPLES];
    uint32_t n, next;
    int64_t offset_ns; /* theirs - ours */
    int64_t round_trip_ns;
};

/** sent, got: our clock; peer_received, peer_sent: theirs. False (ignored) when the stamps cannot
 * be true. */
bool ctl_peer_clock_add(struct ctl_peer_clock *c, int64_t sent, int64_t peer_received,
                        int64_t peer_sent, int64_t got);
int64_t ctl_peer_clock_theirs(const struct ctl_peer_clock *c, int64_t ours);
int64_t ctl_peer_clock_ours(const struct ctl_peer_clock *c, int64_t theirs);
