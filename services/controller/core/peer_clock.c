#include "peer_clock.h"

#include <aceso/base.h>

#define YEAR_NS (365LL * 86400 * 1000000000)

/* Stamps come from a peer: sums must not overflow. INT64_MIN and MAX stay what they are. */
static int64_t shifted(int64_t t, int64_t by)
{
    int64_t r;
    if (t == INT64_MAX || t == INT64_MIN)
        return t;
    if (__builtin_add_overflow(t, by, &r))
        return by > 0 ? INT64_MAX : INT64_MIN;
    return r;
}

bool ctl_peer_clock_add(struct ctl_peer_clock *c, int64_t sent, int64_t peer_received,
                        int64_t peer_sent, int64_t got)
{
    if (peer_received < 0 || peer_sent < peer_received || peer_sent > 100 * YEAR_NS || got < sent ||
        peer_sent - peer_received > got - sent)
        return false;
    int64_t round_trip = (got - sent) - (peer_sent - peer_received);
    uint32_t at = c->next;
    c->samples[at].round_trip_ns = round_trip;
    c->samples[at].offset_ns = (peer_received - sent) - round_trip / 2;
    c->next = (at + 1) % CTL_CLOCK_SAMPLES;
    c->n = AC_MIN(c->n + 1, (uint32_t)CTL_CLOCK_SAMPLES);
    uint32_t best = 0;
    for (uint32_t i = 1; i < c->n; i++)
        if (c->samples[i].round_trip_ns < c->samples[best].round_trip_ns)
            best = i;
    c->offset_ns = c->samples[best].offset_ns;
    c->round_trip_ns = c->samples[best].round_trip_ns;
    return true;
}

int64_t ctl_peer_clock_theirs(const struct ctl_peer_clock *c, int64_t ours)
{
    return shifted(ours, c->offset_ns);
}

int64_t ctl_peer_clock_ours(const struct ctl_peer_clock *c, int64_t theirs)
{
    return shifted(theirs, -c->offset_ns);
}
