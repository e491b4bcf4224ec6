/* What results teach: delays and their spread by device, execution times and their spread by model
 * and batch size, the pace of each device, loads. Quantiles come from sketches; where values leave
 * their sketch it is faded at once, so that a change is followed within some tens of results. */
#include "sched_int.h"

#include <math.h>
#include <string.h>

#define LEARN_EVERY   128 /* results between two looks at the delays of all, and of a device */
#define SPREAD_EVERY  32  /* executions of one model and batch size between two plans */
#define SPREAD_ENOUGH 64  /* of them for a margin of its own */
#define DELAYS_ENOUGH 64
#define MARGIN_MIN    0.002
#define HORIZON_Q     0.95 /* fig5, fig8, burst on seeds 1 and 2: .9 to .99 differ by 1 % */
#define CHANCE_MIN    0.01
#define PACE_SHARE    (1.0 / 16)
#define PACE_MIN      0.03 /* what a device may differ before it counts */

/* One device's; what the others read of it is in struct device. */
struct learner {
    struct sketch delay;
    struct drift delay_drift, pace_drift;
    uint32_t since;
    double pace; /* of late: time taken beside time expected of any device */
};

void sched_learn_init(struct sched *s)
{
    const struct sched_config *c = &s->cfg;
    s->learnt = (struct sched_learnt){
        .net_ns = c->net_ns,
        .ahead_ns = SCHED_AHEAD_NS,
        .answer_margin_ns = c->answer_margin_ns,
        .exec_margin = c->exec_margin,
        .load_margin = c->load_margin,
    };
}

void sched_learn_device_add(struct sched *s)
{
    if (!s->cfg.learn)
        return;
    ac_grow(&s->learners, &s->cap_learners, s->n_devices, sizeof(*s->learners));
    s->learners[s->n_devices - 1] = (struct learner){.pace = 1};
}

/* A worker that comes back may be on another machine. */
void sched_learn_device_up(struct sched *s, uint32_t device)
{
    if (s->cfg.learn)
        s->learners[device] = (struct learner){.pace = 1};
    s->devices[device].delays_known = false;
    s->devices[device].behind_ns = 0;
    s->devices[device].pace = 1;
}

void sched_learn_models(struct sched *s, uint32_t kind, size_t from)
{
    if (!s->cfg.learn)
        return;
    struct model_spread **p = &s->spreads[kind];
    *p = ac_xrealloc(*p, s->cap_models * POLICY_BATCHES * sizeof(**p));
    for (size_t i = from * POLICY_BATCHES; i < s->n_models * POLICY_BATCHES; i++)
        (*p)[i] = (struct model_spread){0};
}

static struct model_spread *spread_of(const struct sched *s, uint32_t kind, const struct model *m,
                                      uint8_t batch)
{
    return &s->spreads[kind][(size_t)(m - s->models) * POLICY_BATCHES + batch];
}

void sched_learn_copy(struct sched *s, uint32_t kind, const struct model *from,
                      const struct model *to)
{
    if (s->cfg.learn)
        memcpy(spread_of(s, kind, to, 0), spread_of(s, kind, from, 0),
               POLICY_BATCHES * sizeof(struct model_spread));
}

/** Share added to an execution of the model's batch size. */
double sched_learn_margin(const struct sched *s, uint32_t kind, const struct model *m,
                          uint8_t batch)
{
    if (!s->cfg.learn)
        return s->learnt.exec_margin;
    const struct model_spread *p = spread_of(s, kind, m, batch);
    if (p->spread.total < SPREAD_ENOUGH || (s->cfg.without & SCHED_WITHOUT_SPREADS))
        return s->learnt.exec_margin;
    return AC_MAX(serving_spread_quantile(&p->spread, 0.99), MARGIN_MIN);
}

/* ---- delays ---- */

static void device_delays(struct sched *s, uint32_t device)
{
    struct learner *l = &s->learners[device];
    struct device *d = &s->devices[device];
    if (l->delay.total < DELAYS_ENOUGH || (s->cfg.without & SCHED_WITHOUT_DEVICE_DELAYS))
        return;
    int64_t p99 = serving_sketch_quantile(&l->delay, 0.99);
    d->delays_known = true;
    d->net_ns = AC_MAX(serving_sketch_quantile(&l->delay, 0.5), 1000);
    d->ahead_ns = AC_MAX(serving_sketch_quantile(&l->delay, HORIZON_Q) - d->net_ns, SCHED_AHEAD_NS);
    d->delay_p99_ns = p99;
    d->behind_ns = p99 - s->learnt.net_ns - s->learnt.answer_margin_ns;
}

bool sched_learn_knows_delays(const struct sched *s)
{
    return s->answer_delay.total >= LEARN_EVERY;
}

static void delays(struct sched *s)
{
    const struct sketch *k = &s->answer_delay;
    if (k->total < DELAYS_ENOUGH)
        return;
    struct sched_learnt *l = &s->learnt;
    int64_t net = AC_MAX(serving_sketch_quantile(k, 0.5), 1000);
    int64_t p99 = AC_MAX(serving_sketch_quantile(k, 0.99), net);
    l->net_ns = net;
    l->answer_margin_ns = p99 - net;
    l->ahead_ns = AC_MAX(serving_sketch_quantile(k, HORIZON_Q) - net, SCHED_AHEAD_NS);
    if (!(s->cfg.without & SCHED_WITHOUT_HOPE)) {
        int64_t least = serving_sketch_quantile(k, 0.01);
        l->hope_ns = p99 - AC_MIN(least, p99);
        for (uint32_t i = 0; i < SCHED_CHANCES; i++) {
            int64_t left = p99 - l->hope_ns * (i + 1) / SCHED_CHANCES;
            s->chance[i] = AC_MAX(serving_sketch_share(k, left), CHANCE_MIN);
        }
    }
    double margin = (double)serving_sketch_quantile(&s->exec_excess_ppm, 0.99) * 1e-6;
    l->exec_margin = AC_MIN(AC_MAX(margin, MARGIN_MIN), 1.0);
    if (s->load_excess.total >= DELAYS_ENOUGH)
        l->load_margin = AC_MAX(serving_spread_quantile(&s->load_excess, 0.99), MARGIN_MIN);
}

static void learn_delay(struct sched *s, uint32_t device, int64_t delay)
{
    struct learner *l = &s->learners[device];
    struct device *d = &s->devices[device];
    /* The median is known as the upper edge of a bucket, an eighth of it wide at most: values
     * within that bucket are not below it. */
    bool below = delay < d->net_ns - d->net_ns / 8;
    bool drifted = d->delays_known && !(s->cfg.without & SCHED_WITHOUT_DRIFT) &&
                   serving_drift_add(&l->delay_drift, delay > d->delay_p99_ns, below);
    if (drifted) {
        serving_sketch_fade(&l->delay);
        serving_sketch_fade(&s->answer_delay);
        s->learnt.drifts++;
        /* Until there are enough of the new ones: nothing is known, so nothing has drifted. */
        d->delays_known = false;
        d->behind_ns = 0;
        s->since_learnt = l->since = LEARN_EVERY - DELAYS_ENOUGH;
    }
    serving_sketch_add(&s->answer_delay, delay);
    serving_sketch_add(&l->delay, delay);
    if (++s->since_learnt >= LEARN_EVERY) {
        s->since_learnt = 0;
        delays(s);
    }
    if (++l->since >= LEARN_EVERY) {
        l->since = 0;
        device_delays(s, device);
    }
}

/** Where all is refused nothing is learnt, and what was learnt last would stand for ever: after a
 * second without results what is known of delays is forgotten. */
void sched_learn_tick(struct sched *s, int64_t now)
{
    if (!s->cfg.learn || s->arrivals_since_tick == 0 || s->answer_delay.total == 0 ||
        now - s->learnt_at < AC_NS_PER_S)
        return;
    struct sched_learnt was = s->learnt;
    s->answer_delay = (struct sketch){0};
    sched_learn_init(s);
    s->learnt.exec_margin = was.exec_margin;
    s->learnt.load_margin = was.load_margin;
    s->learnt.drifts = was.drifts + 1;
    for (uint32_t i = 0; i < s->n_devices; i++) {
        s->learners[i].delay = (struct sketch){0};
        s->devices[i].delays_known = false;
        s->devices[i].behind_ns = 0;
    }
}

/* ---- executions and loads ---- */

/* The device as a whole has become slower or faster, whatever it runs. */
static void learn_pace(struct sched *s, uint32_t device, double ratio, double margin)
{
    struct learner *l = &s->learners[device];
    struct device *d = &s->devices[device];
    if (s->cfg.without & SCHED_WITHOUT_DRIFT)
        return;
    /* A straggler is one value, and the margin's business. */
    l->pace += (AC_MIN(ratio, 2 * d->pace) - l->pace) * PACE_SHARE * 2;
    double off = ratio / d->pace - 1;
    if (!serving_drift_add(&l->pace_drift, off > AC_MAX(margin, PACE_MIN), off < -PACE_MIN))
        return;
    d->pace = fabs(l->pace - 1) < PACE_MIN ? 1 : l->pace;
    s->learnt.drifts++;
}

static void learn_execution(struct sched *s, const struct action *a, int64_t took)
{
    struct model *m = &s->models[a->model];
    struct device *d = &s->devices[a->device];
    struct model_spread *p = spread_of(s, d->kind, m, a->batch);
    int64_t *e = &sched_plan_mut(s, m, d->kind)->cost.exec_ns[a->batch];
    /* The size was taken back while this was on its way: another device does not have it. */
    if (*e <= 0)
        return;
    double ratio = (double)took / (double)*e, margin = sched_learn_margin(s, d->kind, m, a->batch);
    learn_pace(s, a->device, ratio, margin);
    ratio /= d->pace;
    serving_sketch_add(&s->exec_excess_ppm, ratio > 1 ? (int64_t)((ratio - 1) * 1e6) : 0);
    serving_spread_add(&p->spread, ratio - 1);
    /* Outliers are the margin's business; one of them must not move the plan far. */
    int64_t seen = (int64_t)((double)*e * AC_MIN(ratio, 2.0));
    bool drifted = !(s->cfg.without & SCHED_WITHOUT_DRIFT) &&
                   serving_drift_add(&p->drift, ratio - 1 > AC_MAX(margin, 0.01), ratio < 0.99);
    p->late += (seen - p->late) / (p->late ? 4 : 1);
    *e = AC_MAX(drifted ? p->late : *e + (seen - *e) / 16, 1);
    if (drifted) {
        p->spread = (struct spread){0};
        s->learnt.drifts++;
    }
    if (drifted || ++p->since >= SPREAD_EVERY) {
        p->since = 0;
        sched_model_plan(s, m, d->kind);
    }
}

/** A result that came in time for its action. */
void sched_learn(struct sched *s, int64_t now, const struct action *a,
                 const struct policy_result *r)
{
    int64_t took = r->end_ns - r->begin_ns;
    s->learnt_at = now;
    learn_delay(s, a->device, now - r->end_ns);
    if (a->overlaps) { /* it may have waited for weights, which says nothing of executions */
        sched_overlap_learn(s, a, r);
        return;
    }
    if (a->kind == POLICY_INFER) {
        learn_execution(s, a, took);
        return;
    }
    int64_t *l = &sched_plan_mut(s, &s->models[a->model], s->devices[a->device].kind)->cost.load_ns;
    serving_spread_add(&s->load_excess, (double)(took - *l) / (double)AC_MAX(*l, 1));
    *l += (took - *l) / 8;
}
