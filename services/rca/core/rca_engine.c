#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/stats.h>

#define LOCAL_NS  (300 * AC_NS_PER_S)
#define MARGIN_NS (120 * AC_NS_PER_S)

struct ac_rca_params ac_rca_params_default(int64_t t0_ns, int64_t incident_ns)
{
    return (struct ac_rca_params){
        .t0_ns = t0_ns,
        .incident_ns = incident_ns,
        .local_ns = LOCAL_NS,
        .margin_ns = MARGIN_NS,
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
    if (!p->keep_time)
        r.t0_ns = ac_rca_onset(c, p);
    r.moved = r.t0_ns != p->t0_ns;
    struct ac_rca_window w = ac_rca_window_make(
        r.t0_ns, p->incident_ns + (r.moved && p->alerted ? p->t0_ns - r.t0_ns : 0),
        p->local_ns > 0 ? p->local_ns : LOCAL_NS, p->margin_ns > 0 ? p->margin_ns : MARGIN_NS);
    if (r.step_ns <= 2 * AC_NS_PER_S)
        w.guard_ns -= 5 * AC_NS_PER_S;
    r.end_ns = w.end_ns;
    r.window = w;
    struct rca_work k;
    rca_work_init(&k, c, p, w, r.step_ns);
    rca_work_measure(&k);
    rca_rank(&k, &r);
    rca_explain(&k, &r);
    rca_several(&k, &r);
    rca_work_fini(&k);
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
                           double *const *sorted)
{
    struct rca_work k;
    struct ac_rca_result r = {0};
    int64_t step = ac_rca_step_ns(c), t0_ns = p->t0_ns;
    if (step > 30 * AC_NS_PER_S && !p->keep_time)
        t0_ns = ac_rca_onset(c, p);
    rca_work_init(&k, c, p,
                  ac_rca_window_make(t0_ns, p->incident_ns,
                                     p->local_ns > 0 ? p->local_ns : LOCAL_NS, p->margin_ns),
                  step);
    k.sorted = sorted;
    rca_work_measure(&k);
    rca_rank(&k, &r);
    rca_work_fini(&k);
    double best = r.causes[0].score;
    ac_rca_result_fini(&r);
    return best;
}

double ac_rca_window_score(const struct ac_rca_case *c, const struct ac_rca_params *p)
{
    return window_score(c, p, NULL);
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

/* The windows have nearly all samples in common: each is sorted once. */
static double **sort_all(const struct ac_rca_case *c)
{
    double **sorted = ac_xcalloc(c->nmetrics + 1, sizeof(*sorted));
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        sorted[i] = ac_xcalloc(m->n + 1, sizeof(double));
        memcpy(sorted[i], m->v, m->n * sizeof(double));
        ac_stats_sort(sorted[i], m->n);
    }
    return sorted;
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
    double best[MAX_CALIBRATION_WINDOWS];
    size_t n = 0;
    double **sorted = sort_all(c);
    struct ac_rca_params q = *p;
    q.margin_ns = 0;
    for (q.t0_ns = first + stride;
         q.t0_ns + p->incident_ns <= normal_end_ns && n < MAX_CALIBRATION_WINDOWS;
         q.t0_ns += stride)
        best[n++] = window_score(c, &q, sorted);
    for (size_t i = 0; i < c->nmetrics; i++)
        free(sorted[i]);
    free(sorted);
    return ac_rca_threshold(best, n);
}
