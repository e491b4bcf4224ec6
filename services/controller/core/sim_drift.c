/* Clocks of devices that run fast or slow, and what the controller makes of them: as the real one
 * it takes the offset from the quickest of its last pings. */
#include "sim_int.h"

#include <aceso/base.h>

#define PING_NS (375 * AC_NS_PER_MS) /* an eighth of the controller's default lease */

static bool drifts(const struct sim *s)
{
    return s->cfg->drift_ppm > 0;
}

static int64_t delay(struct sim *s)
{
    double more = s->cfg->jitter_mean_ns
                      ? ac_rng_exponential(&s->rng_clocks) * (double)s->cfg->jitter_mean_ns
                      : 0;
    return s->cfg->net_ns + (int64_t)more;
}

/* What its clock shows at a time. */
static int64_t shows(const struct sim_device *d, int64_t at)
{
    return d->offset_ns + at + (int64_t)(d->drift * (double)at);
}

static void next(struct sim *s, uint32_t device, int64_t at, enum sim_event kind)
{
    s->devices[device].ping.due = at;
    sim_schedule(s, at, kind, device);
}

/* A clock of its own, which ran on while the device was away; the first ping was answered before it
 * was taken for there. */
void sim_clock_start(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    if (!drifts(s))
        return;
    if (d->offset_ns == 0) {
        d->offset_ns = (int64_t)(ac_rng_uniform(&s->rng_clocks) * 1e15) + AC_NS_PER_S;
        d->drift = (2 * ac_rng_uniform(&s->rng_clocks) - 1) * 1e-6 * s->cfg->drift_ppm;
    }
    d->estimate = (struct ctl_peer_clock){0};
    int64_t back = delay(s), there = delay(s);
    int64_t theirs = shows(d, s->now - back);
    AC_ASSERT(ctl_peer_clock_add(&d->estimate, s->now - back - there, theirs, theirs, s->now));
    next(s, device, s->now + PING_NS, SIM_EV_PING);
}

void sim_ping(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    if (!d->up || s->now != d->ping.due)
        return; /* the next life has pings of its own */
    int64_t there = s->now + delay(s);
    d->ping.sent = s->now;
    d->ping.received = shows(d, there);
    next(s, device, there + delay(s), SIM_EV_PONG);
}

void sim_pong(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    if (!d->up || s->now != d->ping.due)
        return;
    AC_ASSERT(
        ctl_peer_clock_add(&d->estimate, d->ping.sent, d->ping.received, d->ping.received, s->now));
    next(s, device, AC_MAX(d->ping.sent + PING_NS, s->now), SIM_EV_PING);
}

int64_t sim_clock_there(const struct sim *s, uint32_t device, int64_t ours)
{
    const struct sim_device *d = &s->devices[device];
    if (!drifts(s) || ours == POLICY_NEVER)
        return ours;
    int64_t theirs = ctl_peer_clock_theirs(&d->estimate, ours);
    return (int64_t)((double)(theirs - d->offset_ns) / (1 + d->drift));
}

int64_t sim_clock_here(const struct sim *s, uint32_t device, int64_t at)
{
    const struct sim_device *d = &s->devices[device];
    return drifts(s) ? ctl_peer_clock_ours(&d->estimate, shows(d, at)) : at;
}
