#include "rca_order.h"
#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/stats.h>
#include <aceso/team.h>

#define LOCAL_NS (300 * AC_NS_PER_S)

struct ac_rca_params ac_rca_params_default(int64_t t0_ns, int64_t incident_ns)
{
    return (struct ac_rca_params){
        .t0_ns = t0_ns,
        .incident_ns = incident_ns,
        .local_ns = LOCAL_NS,
        .margin_ns = RCA_MARGIN_NS,
        .target = -1,
        .target_kind = AC_RCA_LAT,
    };
}

/* Times far from any clock would overflow the window's arithmetic. */
#define TIME_LIMIT_NS (INT64_MAX / 4)

int ac_rca_localise(const struct ac_rca_case *c, const struct ac_rca_params *p,
                    struct ac_rca_result *ret, struct ac_err *err)
{
    if (c->ncomponents == 0)
        return ac_err_set(err, AC_EINVAL, "no component to diagnose");
    if (p->target >= (int)c->ncomponents)
        return ac_err_set(err, AC_EINVAL, "the target is not a component");
    if (p->t0_ns > TIME_LIMIT_NS || p->t0_ns < -TIME_LIMIT_NS || p->incident_ns <= 0 ||
        p->incident_ns > TIME_LIMIT_NS / 4)
        return ac_err_set(err, AC_EINVAL, "the incident's time or length is out of range");
    struct ac_rca_result r = {
        .t0_ns = p->t0_ns, .first_failure = -1, .threshold = fmax(0.0, p->threshold)};
    r.step_ns = ac_rca_step_ns(c);
    uint32_t **order = ac_rca_orders_create(c, p->team);
    if (!p->keep_time)
        r.t0_ns = ac_rca_onset(c, p, order);
    r.moved = r.t0_ns != p->t0_ns;
    struct ac_rca_window w = ac_rca_window_make(
        r.t0_ns, p->incident_ns + (r.moved && p->alerted ? p->t0_ns - r.t0_ns : 0),
        p->local_ns > 0 ? p->local_ns : LOCAL_NS, p->margin_ns > 0 ? p->margin_ns : RCA_MARGIN_NS);
    if (r.step_ns <= 2 * AC_NS_PER_S)
        w.guard_ns -= 5 * AC_NS_PER_S;
    r.end_ns = w.end_ns;
    r.window = w;
    struct rca_work k;
    rca_work_init(&k, c, p, w, r.step_ns);
    struct ac_rca_params q = *p;
    q.t0_ns = w.t0_ns;
    q.incident_ns = w.end_ns - w.t0_ns;
    struct rca_habit *habit = rca_habit_create(c, &q);
    k.order = order;
    k.habit = habit;
    rca_work_measure(&k);
    rca_rank(&k, &r);
    rca_explain(&k, &r);
    rca_several(&k, &r);
    rca_work_fini(&k);
    rca_habit_destroy(habit);
    ac_rca_orders_destroy(c, order);
    if (!(r.causes[0].score > p->threshold) || !(r.causes[0].score > 0.0)) {
        r.abstained = !p->alerted || !(r.causes[0].score > 0.0);
        r.low_confidence = !r.abstained;
    }
    *ret = r;
    return 0;
}

void ac_rca_result_fini(struct ac_rca_result *r)
{
    free(r->causes);
    free(r->shown);
    free(r->impact);
    free(r->path);
    memset(r, 0, sizeof(*r));
}

static double window_score(const struct ac_rca_case *c, const struct ac_rca_params *p,
                           uint32_t *const *order, const struct rca_habit *habit)
{
    struct rca_work k;
    struct ac_rca_result r = {0};
    int64_t step = ac_rca_step_ns(c), t0_ns = p->t0_ns;
    if (step > 30 * AC_NS_PER_S && !p->keep_time)
        t0_ns = ac_rca_onset(c, p, order);
    rca_work_init(&k, c, p,
                  ac_rca_window_make(t0_ns, p->incident_ns,
                                     p->local_ns > 0 ? p->local_ns : LOCAL_NS, p->margin_ns),
                  step);
    k.order = order;
    k.habit = habit;
    rca_work_measure(&k);
    rca_rank(&k, &r);
    rca_work_fini(&k);
    double best = r.causes[0].score;
    ac_rca_result_fini(&r);
    return best;
}

double ac_rca_window_score(const struct ac_rca_case *c, const struct ac_rca_params *p)
{
    struct rca_habit *habit = rca_habit_create(c, p);
    double score = window_score(c, p, NULL, habit);
    rca_habit_destroy(habit);
    return score;
}

double ac_rca_threshold(double *scores, size_t n)
{
    if (n < 8)
        return 0.0;
    ac_stats_sort(scores, n);
    double q50 = ac_stats_quantile_sorted(scores, n, 0.5);
    double q75 = ac_stats_quantile_sorted(scores, n, 0.75);
    return q75 + 3.5 * (q75 - q50);
}

#define MAX_CALIBRATION_WINDOWS 256

struct windows {
    const struct ac_rca_case *c;
    const struct ac_rca_params *p;
    uint32_t **order; /* the windows have nearly all samples in common */
    struct rca_habit *habit;
    int64_t first_ns, stride_ns;
    double best[MAX_CALIBRATION_WINDOWS];
};

static void score_window(void *ctx, size_t i, size_t member)
{
    struct windows *w = ctx;
    struct ac_rca_params q = *w->p;
    (void)member;
    q.margin_ns = 0;
    q.t0_ns = w->first_ns + ((int64_t)i + 1) * w->stride_ns;
    w->best[i] = window_score(w->c, &q, w->order, w->habit);
}

double ac_rca_calibrate(const struct ac_rca_case *c, const struct ac_rca_params *p,
                        int64_t normal_end_ns)
{
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < c->nmetrics; i++)
        if (c->metrics[i].n > 0 && c->metrics[i].t_ns[0] < first)
            first = c->metrics[i].t_ns[0];
    if (c->ncomponents == 0 || first >= normal_end_ns || p->incident_ns <= 0 ||
        normal_end_ns > TIME_LIMIT_NS || first < -TIME_LIMIT_NS)
        return 0.0;
    int64_t room = (normal_end_ns - first) / p->incident_ns;
    if (room < 10)
        return 0.0;
    int64_t stride = (normal_end_ns - first) / AC_MIN(room, MAX_CALIBRATION_WINDOWS + 2);
    struct windows w = {.c = c, .p = p, .first_ns = first, .stride_ns = stride};
    size_t n = 0;
    while (n < MAX_CALIBRATION_WINDOWS &&
           first + ((int64_t)n + 1) * stride + p->incident_ns <= normal_end_ns)
        n++;
    struct ac_rca_params late = *p;
    late.t0_ns = normal_end_ns;
    w.habit = rca_habit_create(c, &late);
    w.order = ac_rca_orders_create(c, p->team);
    ac_team_run(p->team, n, score_window, &w);
    ac_rca_orders_destroy(c, w.order);
    rca_habit_destroy(w.habit);
    return ac_rca_threshold(w.best, n);
}
