/* Simulated devices. */
#include "sim_int.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>

static bool changed(const struct sim *s)
{
    return s->cfg->change_at_ns && s->now >= s->cfg->change_at_ns;
}

/* When what is sent at that time arrives: on a stream nothing overtakes what was sent before. */
static int64_t arrival(struct sim *s, int64_t sent, int64_t *last)
{
    int64_t delay = s->cfg->net_ns;
    if (s->cfg->jitter_mean_ns)
        delay += (int64_t)(ac_rng_exponential(&s->rng_noise) * (double)s->cfg->jitter_mean_ns);
    int64_t at = sent + (changed(s) ? (int64_t)((double)delay * s->cfg->change_delay) : delay);
    return *last = AC_MAX(at, *last);
}

const struct costs_row *sim_row(const struct sim *s, uint32_t device, uint32_t model)
{
    uint32_t kind = s->devices[device].kind;
    const struct costs *c = kind ? s->cfg->kinds[kind - 1].costs : s->cfg->costs;
    return &c->rows[s->rows[kind][model]];
}

bool sim_overlaps(const struct sim *s)
{
    return !s->cfg->no_overlap && s->cfg->link_gbps <= 0;
}

/* ---- actions ---- */

void sim_act(void *self, const struct policy_action *a)
{
    struct sim *s = self;
    uint32_t at = s->free_action;
    if (at == SIM_NIL) {
        ac_grow(&s->actions, &s->cap_actions, s->n_actions + 1, sizeof(*s->actions));
        at = (uint32_t)s->n_actions++;
    } else {
        s->free_action = s->actions[at].next_free;
    }
    s->actions[at] = (struct sim_action){.a = *a,
                                         .sent = s->now,
                                         .epoch = s->devices[a->device].epoch,
                                         .earliest = sim_clock_there(s, a->device, a->earliest_ns),
                                         .latest = sim_clock_there(s, a->device, a->latest_ns),
                                         .live = true};
    s->actions[at].a.cookies = NULL;
    if (a->kind == POLICY_INFER && s->now >= s->cfg->workload->warmup_ns) {
        s->st.infers++;
        s->st.rows += a->n;
    }
    s->st.loads += a->kind == POLICY_LOAD;
    s->st.unloads += a->kind == POLICY_UNLOAD;
    sim_schedule(s, arrival(s, s->now, &s->devices[a->device].told), SIM_EV_AT_DEVICE, at);
}

static void action_seen(struct sim *s, const struct sim_action *x, enum sim_fate fate)
{
    if (!s->cfg->watch)
        return;
    bool told = fate == SIM_TOLD || fate == SIM_SUPERSEDED;
    struct sim_seen_action seen = {
        .a = x->a,
        .fate = fate,
        .status = x->r.status,
        .sent_ns = x->sent,
        .begin_ns = told || x->r.begin_ns <= s->now ? x->r.begin_ns : 0,
        .end_ns = told || x->r.end_ns <= s->now ? x->r.end_ns : 0,
        .told_ns = told ? s->now : 0,
    };
    s->cfg->watch->action(s->cfg->watch->self, &seen);
}

static void action_free(struct sim *s, uint32_t at)
{
    s->actions[at].live = false;
    s->actions[at].next_free = s->free_action;
    s->free_action = at;
}

void sim_actions_end(struct sim *s)
{
    for (uint32_t i = 0; i < s->n_actions; i++) {
        const struct sim_action *x = &s->actions[i];
        if (x->live && x->epoch == s->devices[x->a.device].epoch)
            action_seen(s, x, SIM_OPEN);
    }
}

void sim_answer(struct sim *s, uint32_t at, enum policy_status status, int64_t begin, int64_t end)
{
    struct sim_action *x = &s->actions[at];
    x->r =
        (struct policy_result){.id = x->a.id, .status = status, .begin_ns = begin, .end_ns = end};
    s->st.too_late += status == POLICY_TOO_LATE;
    struct sim_device *d = &s->devices[x->a.device];
    sim_schedule(s, arrival(s, end, &d->heard[x->a.kind == POLICY_INFER]), SIM_EV_RESULT, at);
}

/* Waits with it, or for what a stall made late, until the stall is over; true when it does. */
static bool stalled(struct sim *s, uint32_t at, enum sim_event kind)
{
    struct sim_action *x = &s->actions[at];
    int64_t until = AC_MAX(s->devices[x->a.device].stalled_until, s->now + x->late_ns);
    x->late_ns = 0;
    if (s->now < until)
        sim_schedule(s, until, kind, at);
    return s->now < until;
}

void sim_result(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    if (x->epoch == s->devices[x->a.device].epoch && stalled(s, at, SIM_EV_RESULT))
        return;
    bool lost = x->epoch != s->devices[x->a.device].epoch;
    struct policy_result r = x->r;
    r.begin_ns = sim_clock_here(s, x->a.device, r.begin_ns);
    r.end_ns = sim_clock_here(s, x->a.device, r.end_ns);
    struct sim_action seen = *x;
    action_free(s, at);
    if (lost)
        return;
    bool answer = seen.a.kind == POLICY_INFER && r.status == POLICY_DONE;
    uint64_t before = s->answers;
    int64_t t = sim_cost_start(s);
    s->cfg->policy->result(s->policy, s->now, &r);
    sim_cost_stop(s, t);
    uint64_t answered = s->answers - before;
    s->st.superseded += answer ? seen.a.n - answered : 0;
    action_seen(s, &seen, answer && answered == 0 ? SIM_SUPERSEDED : SIM_TOLD);
    sim_rearm(s);
}

/* ---- what a device does with them ---- */

static int64_t noisy(struct sim *s, int64_t ns, double sigma)
{
    double f = sigma > 0 ? exp(sigma * ac_rng_normal(&s->rng_noise)) : 1;
    return (int64_t)((double)ns * f);
}

static void unload(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    struct sim_device *d = &s->devices[x->a.device];
    int64_t *ready = &d->ready[x->a.model];
    s->st.violations += *ready < 0;
    if (*ready >= 0)
        d->pages_free += sim_row(s, x->a.device, x->a.model)->cost.pages;
    *ready = -1;
    x->r = (struct policy_result){.id = x->a.id, .begin_ns = s->now, .end_ns = s->now};
    action_seen(s, x, SIM_TOLD);
    action_free(s, at);
}

/* What a real worker would refuse must never be asked: pages, presence, double loads. */
static void refuse(struct sim *s, uint32_t at, int64_t when)
{
    s->st.violations++;
    sim_answer(s, at, POLICY_FAILED, when, when);
}

static void load(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    struct sim_device *d = &s->devices[x->a.device];
    const struct policy_cost *c = &sim_row(s, x->a.device, x->a.model)->cost;
    int64_t *ready = &d->ready[x->a.model],
            begin = AC_MAX(AC_MAX(s->now, d->pipe_free), x->earliest);
    bool shared = s->cfg->link_gbps > 0;
    if (!shared && begin > x->latest) {
        sim_answer(s, at, POLICY_TOO_LATE, begin, begin);
        return;
    }
    if (*ready >= 0 || d->pages_free < c->pages) {
        refuse(s, at, begin);
        return;
    }
    int64_t took = noisy(s, c->load_ns, s->cfg->load_sigma);
    d->pages_free -= c->pages;
    if (shared) {
        *ready = POLICY_NEVER;
        sim_link_add(s, at, SIM_LANE_LOAD, (double)took);
        return;
    }
    d->loads[x->a.model] = (struct sim_load){.begin = begin, .first = begin + took / c->pages};
    *ready = d->pipe_free = begin + took;
    sim_answer(s, at, POLICY_DONE, begin, begin + took);
}

void sim_load_done(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    s->devices[x->a.device].ready[x->a.model] = s->now;
    sim_answer(s, at, POLICY_DONE, x->r.begin_ns, s->now);
}

void sim_load_late(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    struct sim_device *d = &s->devices[x->a.device];
    d->ready[x->a.model] = -1;
    d->pages_free += sim_row(s, x->a.device, x->a.model)->cost.pages;
    sim_answer(s, at, POLICY_TOO_LATE, s->now, s->now);
}

void sim_execute(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    struct sim_device *d = &s->devices[x->a.device];
    int64_t ready = d->ready[x->a.model];
    int64_t begin = AC_MAX(AC_MAX(s->now, d->exec_free), x->earliest);
    if (sim_overlaps(s))
        begin = AC_MAX(begin, d->loads[x->a.model].begin);
    if (begin > x->latest) {
        sim_answer(s, at, POLICY_TOO_LATE, begin, begin);
        return;
    }
    if (ready < 0 || (ready > begin && !sim_overlaps(s))) {
        refuse(s, at, begin);
        return;
    }
    const struct policy_cost *c = &sim_row(s, x->a.device, x->a.model)->cost;
    int64_t alone = c->exec_ns[__builtin_ctz(x->a.batch)];
    int64_t took = noisy(s, alone, s->cfg->exec_sigma);
    if (x->a.device == 0 && changed(s))
        took = (int64_t)((double)took * s->cfg->change_pace);
    if (s->cfg->straggler_share > 0 && ac_rng_uniform(&s->rng_noise) < s->cfg->straggler_share)
        took = (int64_t)((double)took * s->cfg->straggler_factor);
    int64_t end = begin + took;
    if (ready > begin)
        end = AC_MAX(AC_MAX(begin, d->loads[x->a.model].first) + took, ready + took / c->pages);
    s->busy_ns += end - begin;
    d->exec_free = end;
    sim_answer(s, at, POLICY_DONE, begin, end);
}

void sim_at_device(struct sim *s, uint32_t at)
{
    struct sim_action *x = &s->actions[at];
    const struct sim_device *d = &s->devices[x->a.device];
    if (!d->up || x->epoch != d->epoch) {
        if (x->epoch == d->epoch)
            action_seen(s, x, SIM_LOST); /* sent after the crash */
        action_free(s, at);
        return;
    }
    if (stalled(s, at, SIM_EV_AT_DEVICE))
        return;
    double input_kb = sim_row(s, x->a.device, x->a.model)->input_kb;
    if (x->a.kind == POLICY_UNLOAD)
        unload(s, at);
    else if (x->a.kind == POLICY_LOAD)
        load(s, at);
    else if (s->cfg->link_gbps > 0 && input_kb > 0)
        sim_link_add(s, at, SIM_LANE_INPUT, input_kb * 1e3 * x->a.n / s->cfg->link_gbps);
    else
        sim_execute(s, at);
}

/* ---- coming and going ---- */

/* Weights are pieces of a page that come evenly, and an execution does equal parts of its work with
 * each: the last piece leaves one part to do, and an execution longer than the load waits for the
 * first piece alone. */
static struct policy_cost cost_of(const struct sim *s, uint32_t device, uint32_t model)
{
    const struct costs_row *r = sim_row(s, device, model);
    struct policy_cost c = r->cost;
    if (s->cfg->link_gbps > 0)
        c.input_ns = (int64_t)(r->input_kb * 1e3 / s->cfg->link_gbps);
    for (uint32_t b = 0; b < POLICY_BATCHES && sim_overlaps(s); b++) {
        int64_t part = c.exec_ns[b] / c.pages, first = c.load_ns / c.pages;
        c.tail_ns[b] = AC_MAX(part, first + c.exec_ns[b] - c.load_ns);
    }
    return c;
}

void sim_device_start(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    uint32_t pages = s->cfg->pages ? s->cfg->pages : 1376;
    uint32_t n = s->cfg->workload->n_models;
    d->up = true;
    d->missed = false;
    d->exec_free = d->pipe_free = s->now;
    d->told = d->heard[0] = d->heard[1] = s->now;
    d->pages_free = pages;
    sim_link_init(&d->link);
    sim_clock_start(s, device);
    for (uint32_t m = 0; m < n; m++)
        d->ready[m] = -1;
    s->cfg->policy->device_up(s->policy, s->now, device, pages);
    for (uint32_t m = 0; m < n; m++) {
        struct policy_cost c = cost_of(s, device, m);
        s->cfg->policy->model_able(s->policy, s->now, m, device, &c);
    }
    sim_rearm(s);
}

void sim_device_crash(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    for (uint32_t i = 0; i < s->n_actions; i++) {
        struct sim_action *x = &s->actions[i];
        if (!x->live || x->a.device != device || x->epoch != d->epoch)
            continue;
        action_seen(s, x, SIM_LOST);
        if (x->copying)
            action_free(s, i); /* what is on its way is freed where it arrives */
    }
    sim_link_init(&d->link);
    d->up = false;
    d->epoch++;
    if (s->cfg->lease_ns)
        sim_schedule(s, s->now + s->cfg->lease_ns, SIM_EV_LEASE, device);
    else
        sim_device_missed(s, device);
    sim_schedule(s, s->now + s->cfg->crash_for_ns, SIM_EV_REJOIN, device);
}

void sim_device_missed(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    if (d->up || d->missed)
        return;
    d->missed = true;
    s->cfg->policy->device_down(s->policy, s->now, device);
    sim_rearm(s);
}

/* What runs takes as much longer; what comes and what it says waits. */
void sim_device_stall(struct sim *s, uint32_t device)
{
    struct sim_device *d = &s->devices[device];
    int64_t for_ns = s->cfg->stall_for_ns;
    d->stalled_until = s->now + for_ns;
    d->exec_free = AC_MAX(d->exec_free, s->now) + for_ns;
    d->pipe_free = AC_MAX(d->pipe_free, s->now) + for_ns;
    for (uint32_t i = 0; i < s->n_actions; i++) {
        struct sim_action *x = &s->actions[i];
        if (!x->live || x->a.device != device || x->epoch != d->epoch || x->r.end_ns <= s->now)
            continue;
        x->r.begin_ns += x->r.begin_ns > s->now ? for_ns : 0;
        x->r.end_ns += for_ns;
        x->late_ns = for_ns;
        if (x->a.kind == POLICY_LOAD)
            d->ready[x->a.model] += for_ns;
    }
}
