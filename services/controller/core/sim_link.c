/* The link between a device and its host: weights and inputs share its rate evenly while both move;
 * what moves alone has all of it. Answers go the other way and disturb neither. */
#include "sim_int.h"

#include <math.h>

#include <aceso/base.h>

void sim_link_init(struct sim_link *l)
{
    for (int i = 0; i < SIM_LANES; i++)
        l->lanes[i].head = l->lanes[i].tail = SIM_NIL;
    l->due = POLICY_NEVER;
}

static struct sim_action *head_of(const struct sim *s, const struct sim_link *l, int lane)
{
    uint32_t at = l->lanes[lane].head;
    return at == SIM_NIL ? NULL : &s->actions[at];
}

static int moving(const struct sim *s, const struct sim_link *l)
{
    int n = 0;
    for (int i = 0; i < SIM_LANES; i++) {
        const struct sim_action *x = head_of(s, l, i);
        n += x && x->moving;
    }
    return n;
}

static void advance(const struct sim *s, struct sim_link *l)
{
    int n = moving(s, l);
    for (int i = 0; i < SIM_LANES; i++) {
        struct sim_action *x = head_of(s, l, i);
        if (x && x->moving)
            x->left_ns -= (double)(s->now - l->at) / n;
    }
    l->at = s->now;
}

static uint32_t take(struct sim *s, struct sim_link *l, int lane)
{
    uint32_t at = l->lanes[lane].head;
    struct sim_action *x = &s->actions[at];
    l->lanes[lane].head = x->next_copy;
    if (x->next_copy == SIM_NIL)
        l->lanes[lane].tail = SIM_NIL;
    x->copying = x->moving = false;
    return at;
}

/* Ends what is there, and begins what comes next in the lane. */
static void lane_run(struct sim *s, struct sim_link *l, int lane)
{
    for (struct sim_action *x; (x = head_of(s, l, lane)) != NULL;) {
        if (x->moving && x->left_ns >= 0.5)
            return;
        if (x->moving) {
            uint32_t at = take(s, l, lane);
            if (lane == SIM_LANE_LOAD)
                sim_load_done(s, at);
            else
                sim_execute(s, at);
            continue;
        }
        /* Inputs need not wait for the window of their execution. */
        if (lane == SIM_LANE_LOAD && s->now > x->latest) {
            sim_load_late(s, take(s, l, lane));
            continue;
        }
        if (lane == SIM_LANE_LOAD && s->now < x->earliest)
            return;
        x->moving = true;
        x->r.begin_ns = s->now;
    }
}

static void plan(struct sim *s, uint32_t device)
{
    struct sim_link *l = &s->devices[device].link;
    int n = moving(s, l);
    int64_t due = POLICY_NEVER;
    for (int i = 0; i < SIM_LANES; i++) {
        const struct sim_action *x = head_of(s, l, i);
        if (!x)
            continue;
        int64_t at = x->moving ? s->now + (int64_t)ceil(AC_MAX(x->left_ns, 0.0) * n) : x->earliest;
        due = AC_MIN(due, at);
    }
    if (due != l->due && due != POLICY_NEVER)
        sim_schedule(s, due, SIM_EV_LINK, device);
    l->due = due;
}

void sim_link_run(struct sim *s, uint32_t device)
{
    struct sim_link *l = &s->devices[device].link;
    if (s->now != l->due)
        return; /* another event has taken this one's place */
    l->due = POLICY_NEVER;
    advance(s, l);
    for (int i = 0; i < SIM_LANES; i++)
        lane_run(s, l, i);
    plan(s, device);
}

void sim_link_add(struct sim *s, uint32_t at, enum sim_lane lane, double alone_ns)
{
    struct sim_action *x = &s->actions[at];
    struct sim_link *l = &s->devices[x->a.device].link;
    x->copying = true;
    x->left_ns = alone_ns;
    x->next_copy = SIM_NIL;
    if (l->lanes[lane].tail == SIM_NIL)
        l->lanes[lane].head = at;
    else
        s->actions[l->lanes[lane].tail].next_copy = at;
    l->lanes[lane].tail = at;
    advance(s, l);
    lane_run(s, l, (int)lane);
    plan(s, x->a.device);
}
