#include "rca_counter.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/rng.h>
#include <aceso/stats.h>

#define BEFORE_NS (300 * AC_NS_PER_S)
#define MIN_ROWS  3
#define MAX_ROWS  512 /* of each side */
#define DRAWS     400
#define TOGETHER  3.0 /* deviations of a correlation from none */

struct rows { /* deviations from normal of the cause (x) and the effect (y), in order of time */
    double *x, *y;
    size_t n;
};

/* Latency, errors or failures seen from outside, whichever rose most; -1: none did. */
static int symptom_metric(const struct ac_rca_case *c, const struct ac_rca_result *r, int component)
{
    int best = -1;
    double best_z = 0;
    size_t max_n = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        max_n = AC_MAX(max_n, c->metrics[i].n);
    double *scratch = ac_xcalloc(3 * max_n + 1, sizeof(*scratch));
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        struct ac_rca_deviation d;
        if (m->component != component || m->peer >= 0 || m->n == 0 ||
            (m->kind != AC_RCA_LAT && m->kind != AC_RCA_ERR && m->kind != AC_RCA_SLI))
            continue;
        ac_rca_deviate(m, &r->window, NULL, scratch, &d);
        if (d.ok && d.z > best_z) {
            best_z = d.z;
            best = (int)i;
        }
    }
    free(scratch);
    return best;
}

/* Who notices: the end of the path, else whoever of the impact shows most; -1: nobody. */
static int effect_of(const struct ac_rca_result *r)
{
    int best = -1;
    if (r->npath > 0)
        return r->path[r->npath - 1].effect;
    for (size_t i = 0; i < r->nimpact; i++)
        if (best < 0 || r->shown[r->impact[i]].z_symptom > r->shown[best].z_symptom)
            best = r->impact[i];
    return best;
}

static double level_before(const struct ac_rca_metric *m, const struct ac_rca_result *r)
{
    double *v = ac_xcalloc(m->n + 1, sizeof(*v));
    size_t n = 0;
    for (size_t i = 0; i < m->n && m->t_ns[i] < r->t0_ns; i++)
        v[n++] = m->v[i];
    double level = n > 0 ? ac_stats_median(v, n) : 0.0;
    free(v);
    return level;
}

/* The cause's signal at t: its measurement above the level or, for a part that no measurement
 * shows, whether it has begun. */
static bool signal_at(const struct ac_rca_case *c, const struct ac_rca_part *p, double level,
                      int64_t t, int64_t step_ns, size_t *at, double *ret)
{
    if (p->metric < 0) {
        *ret = t >= p->onset_ns ? 1.0 : 0.0;
        return true;
    }
    const struct ac_rca_metric *m = &c->metrics[p->metric];
    while (*at < m->n && m->t_ns[*at] < t - step_ns / 2)
        (*at)++;
    if (*at >= m->n || m->t_ns[*at] > t + step_ns / 2)
        return false;
    *ret = m->v[*at] - level;
    return true;
}

static void collect(const struct ac_rca_case *c, const struct ac_rca_result *r,
                    const struct ac_rca_metric *effect, double normal, struct rows *before,
                    struct rows *in)
{
    const struct ac_rca_part *p = &r->causes[0].parts[0];
    double level = p->metric >= 0 ? level_before(&c->metrics[p->metric], r) : 0.0;
    size_t at = 0;
    for (size_t i = 0; i < effect->n; i++) {
        int64_t t = effect->t_ns[i];
        struct rows *to = t < r->t0_ns ? before : in;
        double x;
        if (t < r->t0_ns - AC_MAX(BEFORE_NS, 4 * r->step_ns) || t >= r->end_ns ||
            to->n == MAX_ROWS || !signal_at(c, p, level, t, r->step_ns, &at, &x))
            continue;
        to->x[to->n] = x;
        to->y[to->n++] = effect->v[i] - normal;
    }
}

struct moments {
    double xx, xy;              /* of all rows */
    double in_xx, in_xy, in_yy; /* of the incident's */
    double x, y;
    size_t n;
    double before_x, before_y;
    size_t before_n;
};

static void add(struct moments *m, double x, double y, bool in)
{
    m->xx += x * x;
    m->xy += x * y;
    if (!in) {
        m->before_x += x;
        m->before_y += y;
        m->before_n++;
        return;
    }
    m->in_xx += x * x;
    m->in_xy += x * y;
    m->in_yy += y * y;
    m->x += x;
    m->y += y;
    m->n++;
}

static double mean_before(const struct moments *m)
{
    return m->before_n > 0 ? m->before_y / (double)m->before_n : 0.0;
}

/* Effect for one of cause. Two things that began together look like one: where the two move
 * together within the incident, that movement alone says how much of the one is the other's. Else
 * all that began with the cause is laid to it. */
static double slope(const struct moments *m, double level, bool *ret_together)
{
    double n = (double)AC_MAX(m->n, (size_t)1);
    double xx = m->in_xx - m->x * m->x / n, xy = m->in_xy - m->x * m->y / n;
    double yy = m->in_yy - m->y * m->y / n;
    *ret_together = xx > 0.0 && yy > 0.0 && xy * sqrt(n) > TOGETHER * sqrt(xx) * sqrt(yy);
    if (*ret_together)
        return xy / xx;
    return m->xx > 0.0 ? (m->xy - level * (m->before_x + m->x)) / m->xx : 0.0;
}

/* Excess of the effect over its level, and how much of it goes with the cause: never more than
 * there is, never against it. */
static double follows(const struct moments *m, double level, double *ret_excess, bool *ret_together)
{
    double n = (double)AC_MAX(m->n, (size_t)1), excess = m->y / n - level;
    double with = slope(m, level, ret_together) * (m->x / n);
    *ret_excess = excess;
    return excess > 0.0 && isfinite(with) ? fmin(fmax(with, 0.0), excess) : 0.0;
}

static void draw(struct ac_rng *rng, const struct rows *w, bool in, struct moments *m)
{
    size_t block = (size_t)ceil(cbrt((double)w->n));
    for (size_t k = 0; k < w->n;) {
        size_t from = (size_t)ac_rng_below(rng, w->n - block + 1);
        for (size_t j = 0; j < block && k < w->n; j++, k++)
            add(m, w->x[from + j], w->y[from + j], in);
    }
}

static void estimate(const struct rows *before, const struct rows *in, struct ac_rca_counter *ret)
{
    struct moments all = {0};
    struct ac_rng rng;
    double drawn[DRAWS], excess;
    for (size_t i = 0; i < before->n; i++)
        add(&all, before->x[i], before->y[i], false);
    for (size_t i = 0; i < in->n; i++)
        add(&all, in->x[i], in->y[i], true);
    double with = follows(&all, 0.0, &excess, &ret->together), level = mean_before(&all);
    ret->rows = in->n;
    ret->seen = ret->normal + excess;
    ret->would = ret->seen - with;
    ret->share = excess > 0.0 ? with / excess : 0.0;
    ac_rng_seed(&rng, 1);
    for (size_t d = 0; d < DRAWS; d++) {
        struct moments m = {0};
        double e, shift = 0.0; /* of the level: what is normal is estimated, too */
        bool together;
        if (before->n > 0)
            draw(&rng, before, false, &m);
        draw(&rng, in, true, &m);
        if (before->n > 0)
            shift = mean_before(&m) - level;
        drawn[d] = -follows(&m, shift, &e, &together);
        drawn[d] += ret->normal + shift + e;
    }
    ac_stats_sort(drawn, DRAWS);
    ret->low = fmin(ret->would, ac_stats_quantile_sorted(drawn, DRAWS, 0.025));
    ret->high = fmax(ret->would, ac_stats_quantile_sorted(drawn, DRAWS, 0.975));
    ret->known = isfinite(ret->low) && isfinite(ret->high);
}

static void as_measured(const struct ac_rca_metric *m, struct ac_rca_counter *k)
{
    double low = ac_rca_measured(m, k->low), high = ac_rca_measured(m, k->high);
    k->normal = ac_rca_measured(m, k->normal);
    k->seen = ac_rca_measured(m, k->seen);
    k->would = ac_rca_measured(m, k->would);
    k->low = fmin(low, high);
    k->high = fmax(low, high);
}

struct ac_rca_counter ac_rca_counterfactual(const struct ac_rca_case *c,
                                            const struct ac_rca_result *r)
{
    struct ac_rca_counter ret = {.effect = -1, .metric = -1};
    if (r->abstained || r->ncauses == 0 || r->causes[0].nparts == 0)
        return ret;
    ret.effect = effect_of(r);
    ret.metric = ret.effect >= 0 ? symptom_metric(c, r, ret.effect) : -1;
    if (ret.metric < 0 || ret.effect == r->causes[0].component)
        return ret;
    const struct ac_rca_metric *m = &c->metrics[ret.metric];
    double *room = ac_xcalloc((size_t)4 * MAX_ROWS, sizeof(*room));
    struct rows before = {.x = room, .y = room + MAX_ROWS};
    struct rows in = {.x = room + (size_t)2 * MAX_ROWS, .y = room + (size_t)3 * MAX_ROWS};
    ret.normal = level_before(m, r);
    collect(c, r, m, ret.normal, &before, &in);
    if (in.n >= MIN_ROWS)
        estimate(&before, &in, &ret);
    free(room);
    as_measured(m, &ret);
    return ret;
}

size_t ac_rca_decisive_part(const struct ac_rca_result *r)
{
    const struct ac_rca_cause *first = &r->causes[0];
    for (size_t i = 0; r->ncauses > 1 && i < first->nparts; i++)
        if (ac_rca_score_without(first, i) <= r->causes[1].score)
            return i;
    return first->nparts;
}
