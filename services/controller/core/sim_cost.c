/* What the policy itself costs, measured in laps of events. */
#include "sim_int.h"

#include <aceso/base.h>

#define LAP_EVENTS 256
#define LAPS_ALL   4096 /* every lap up to here is timed, and then one of LAPS_SOME: it slows */
#define LAPS_SOME  8

#define TIMER_READINGS 1000

int64_t sim_cost_start(const struct sim *s)
{
    return s->lap.timed ? s->cfg->timer->now_ns(s->cfg->timer->self) : 0;
}

void sim_cost_stop(struct sim *s, int64_t start)
{
    if (s->lap.timed)
        s->lap.policy_ns += s->cfg->timer->now_ns(s->cfg->timer->self) - start - s->reading_ns;
}

/* The least of many, so that what is taken off is no more than what a reading costs. */
void sim_cost_calibrate(struct sim *s)
{
    s->lap.timed = s->cfg->timer != NULL;
    if (!s->lap.timed)
        return;
    s->reading_ns = INT64_MAX;
    for (uint32_t i = 0; i < TIMER_READINGS; i++) {
        int64_t t = sim_cost_start(s);
        s->reading_ns = AC_MIN(s->reading_ns, sim_cost_start(s) - t);
    }
}

void sim_cost_lap_begin(struct sim *s)
{
    s->lap.timed = s->cfg->timer && (s->lap.number < LAPS_ALL || s->lap.number % LAPS_SOME == 0);
    s->lap.policy_ns = 0;
    s->lap.events = 0;
    if (!s->lap.timed)
        return;
    s->lap.timer_at = s->cfg->timer->now_ns(s->cfg->timer->self);
    if (s->cfg->cpu)
        s->lap.cpu_at = s->cfg->cpu->now_ns(s->cfg->cpu->self);
}

/* Reading the thread's processor time is too slow for each call of the policy; where the thread ran
 * for a part of the lap only, its calls count for that part. */
void sim_cost_lap_end(struct sim *s)
{
    s->lap.number++;
    if (!s->lap.timed)
        return;
    double share = 1;
    int64_t took = s->cfg->timer->now_ns(s->cfg->timer->self) - s->lap.timer_at;
    if (s->cfg->cpu) {
        int64_t ran = s->cfg->cpu->now_ns(s->cfg->cpu->self) - s->lap.cpu_at;
        if (ran < took)
            share = (double)ran / (double)took;
    }
    s->policy_ns += share * (double)s->lap.policy_ns;
}

void sim_cost_event(struct sim *s)
{
    if (++s->lap.events < LAP_EVENTS)
        return;
    sim_cost_lap_end(s);
    sim_cost_lap_begin(s);
}
