/* The guard: work that has all day runs in what work with an objective leaves over. A batch of it
 * that is short beside the slack of those objectives may run anywhere; a longer one blocks its
 * device for arrivals yet to come, so only so many devices may be blocked at a time: those that the
 * present load can spare, or a quota that grows while objectives are met and shrinks when not. */
#include "sched_int.h"

#include <math.h>

/* Where the numbers come from. G - ceil(A + 2 sqrt A) is square-root staffing (Halfin and Whitt,
 * 1981): with two roots of spare devices few arrivals wait. The two limits of drops were chosen on
 * seeds 1 and 2 of fig8. The others are round; on seeds 3 and 4, objectives of 1.5 to 25 execution
 * times: growth .2 to .8, a cut of .8 to .95, 1 to 1.5 of clearance and 3 roots move the share in
 * time by .0002 at most, batch work by less than a tenth where there is much of it; 1 root costs
 * .0045 at 1.5 times, and .002 as the upper limit .0002 at 2 times. */
#define TICKS_PER_S   ((double)AC_NS_PER_S / SCHED_TICK_NS)
#define FADE          0.995 /* of rates each tick: tau 1 s */
#define WINDOW_TICKS  200   /* 1 s, too: long enough to see a rare tight objective */
#define QUOTA_GROWTH  (0.4 / TICKS_PER_S)
#define QUOTA_CUT     0.9
#define DROPS_FINE    0.0005
#define DROPS_TOO_BAD 0.001
#define RETRY_NS      AC_NS_PER_MS /* sooner than the next tick */
#define CLEARANCE     1.2 /* execution times between a batch and the next start that is due */

void sched_guard_init(struct guard *g)
{
    *g = (struct guard){.slack = POLICY_NEVER, .slack_before = POLICY_NEVER};
}

/** Notes an arrival. Sums alone: the rates are made of them once a tick. */
void sched_guard_arrive(struct guard *g, const struct sched *s, int64_t now, const struct model *m,
                        const struct request *r)
{
    if (r->objective > SCHED_BACKGROUND_NS || !m->kinds)
        return;
    const struct plan *p = sched_plan_any(s, m);
    uint8_t b = sched_batch_for_rows(p, r->rows);
    if (b == POLICY_BATCHES)
        return;
    g->new_arrivals++;
    g->new_work_ns += p->cost.exec_ns[b];
    g->slack = AC_MIN(g->slack, r->deadline - now - p->eh[b] - 2 * s->learnt.net_ns);
}

void sched_guard_dropped(struct guard *g, const struct request *r)
{
    g->new_drops += r->objective <= SCHED_BACKGROUND_NS;
}

/** Every SCHED_TICK_NS. */
void sched_guard_tick(struct guard *g, uint32_t devices)
{
    g->arrivals = g->arrivals * FADE + g->new_arrivals;
    g->drops = g->drops * FADE + g->new_drops;
    g->work_ns = g->work_ns * FADE + (double)g->new_work_ns;
    g->new_arrivals = g->new_drops = 0;
    g->new_work_ns = 0;
    if (++g->ticks == WINDOW_TICKS) {
        g->ticks = 0;
        g->slack_before = g->slack;
        g->slack = POLICY_NEVER;
    }
    if (g->drops < DROPS_FINE * g->arrivals || g->arrivals < 1)
        g->quota = AC_MIN(g->quota + QUOTA_GROWTH, (double)devices);
    else if (g->drops > DROPS_TOO_BAD * g->arrivals)
        g->quota *= QUOTA_CUT;
}

int64_t sched_guard_slack(const struct guard *g)
{
    return AC_MIN(g->slack, g->slack_before);
}

/* Half of what an arrival can wait for: the least slack of the last one to two seconds, less what
 * devices are given in advance beyond the way there and back, where delays vary. */
static int64_t patience(const struct sched *s, const struct guard *g)
{
    int64_t ahead = AC_MAX(s->learnt.ahead_ns - SCHED_AHEAD_NS, (int64_t)0);
    return AC_MAX(sched_guard_slack(g) - ahead, (int64_t)0) / 2;
}

static bool may_block(const struct guard *g, const struct cell *c, const struct device *d)
{
    double load = g->work_ns / 1e9; /* devices that the foreground keeps busy */
    double spare = (double)__builtin_popcountll(c->up) - ceil(load + 2 * sqrt(load));
    double others = (double)g->blocked - (d->blocking ? 1 : 0);
    return others + 1 <= AC_MAX(spare, g->quota);
}

/** Cuts k to the largest batch with which it may run on d at fh beside the most urgent
 * foreground batch there (NULL: none waits). False: none. */
bool sched_guard_admit(const struct sched *s, const struct cell *c, const struct device *d,
                       int64_t fh, const struct choice *foreground, struct choice *k)
{
    const struct plan *p = sched_plan(s, &s->models[k->model], d->kind);
    const struct guard *g = &c->guard;
    bool free_for_all = (s->cfg.without & SCHED_WITHOUT_GUARD) || may_block(g, c, d);
    int64_t limit = free_for_all ? POLICY_NEVER : patience(s, g);
    uint32_t need = s->requests[k->start].rows;
    for (int b = k->batch; b >= 0 && policy_batch_size[b] >= need; b--) {
        if (p->eh[b] == 0 || p->eh[b] > limit)
            continue;
        /* Filling the time before a start that is due with ever smaller batches would waste it. */
        if (foreground && (double)(foreground->latest - fh) <= CLEARANCE * (double)p->eh[b])
            return false;
        k->batch = (uint8_t)b;
        k->take = AC_MIN(k->take, policy_batch_size[b]);
        return true;
    }
    return false;
}

int64_t sched_guard_retry_at(int64_t now)
{
    return now + RETRY_NS;
}

/** The action is being sent to d: does it block the device for the foreground? */
void sched_guard_sent(const struct sched *s, struct cell *c, struct device *d, struct action *a,
                      int64_t eh, bool background)
{
    a->blocks = background && eh > patience(s, &c->guard);
    if (a->blocks && d->blocking++ == 0)
        c->guard.blocked++;
}

void sched_guard_over(struct cell *c, struct device *d, const struct action *a)
{
    if (a->blocks && --d->blocking == 0)
        c->guard.blocked--;
}
