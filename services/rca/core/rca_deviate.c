#include "rca_deviate.h"

#include "rca_engine.h"
#include "rca_order.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/stats.h>

struct ac_rca_window ac_rca_window_make(int64_t t0_ns, int64_t incident_ns, int64_t local_ns,
                                        int64_t margin_ns)
{
    return (struct ac_rca_window){
        .t0_ns = t0_ns,
        .end_ns = t0_ns + incident_ns,
        .local_from_ns = t0_ns - local_ns,
        .resume_ns = t0_ns + incident_ns + margin_ns,
        .guard_ns = t0_ns,
    };
}

/* Resolution below which a difference means nothing, in the kind's unit (shares in percent). */
static double scale_floor(enum ac_rca_kind k)
{
    switch (k) {
    case AC_RCA_ERR:
    case AC_RCA_SLI:
    case AC_RCA_CERR:
    case AC_RCA_EGAP:
        return 0.25;
    case AC_RCA_UNREADY:
        return 0.05;
    case AC_RCA_RESTART:
        return 0.2;
    case AC_RCA_LOGERR:
        return 0.5;
    case AC_RCA_GAP:
    case AC_RCA_LAT:
    case AC_RCA_CLAT:
        return 1e-5;
    default:
        return 0.0;
    }
}

/* What an absent reference means: errors and unready pods are normally none. */
static bool zero_is_normal(enum ac_rca_kind k)
{
    return k == AC_RCA_ERR || k == AC_RCA_SLI || k == AC_RCA_CERR || k == AC_RCA_EGAP ||
           k == AC_RCA_UNREADY || k == AC_RCA_RESTART || k == AC_RCA_LOGERR;
}

static double bound_z(double x)
{
    if (!(x > -AC_RCA_Z_MAX)) /* also NaN, which no finite input gives */
        return -AC_RCA_Z_MAX;
    return x < AC_RCA_Z_MAX ? x : AC_RCA_Z_MAX;
}

/* Middle of n sorted values; of the negated values, negated: of an even number the mean of two is
 * rounded from the other side. */
static void middle(double *v, size_t n, double *ret_up, double *ret_down)
{
    ac_stats_sort(v, n);
    *ret_up = ac_stats_quantile_sorted(v, n, 0.5);
    double two[2] = {-v[n / 2], -v[(n - 1) / 2]};
    *ret_down = -ac_stats_quantile_sorted(two, 2, 0.5);
}

/* The largest and the smallest sustained value. */
static void sustained(const double *v, size_t n, double *scratch, double *ret_peak,
                      double *ret_trough)
{
    *ret_peak = *ret_trough = 0.0;
    if (n == 0)
        return;
    size_t w = n / 6 > 2 ? n / 6 : 2;
    if (n <= w) {
        memcpy(scratch, v, n * sizeof(v[0]));
        middle(scratch, n, ret_peak, ret_trough);
        return;
    }
    size_t stride = w / 4 > 1 ? w / 4 : 1;
    *ret_peak = -INFINITY;
    *ret_trough = INFINITY;
    for (size_t i = 0; i + w <= n; i += stride) {
        double up, down;
        memcpy(scratch, v + i, w * sizeof(v[0]));
        middle(scratch, w, &up, &down);
        *ret_peak = fmax(*ret_peak, up);
        *ret_trough = fmin(*ret_trough, down);
    }
}

double ac_rca_sustained_peak(const double *v, size_t n, double *scratch)
{
    double peak, trough;
    sustained(v, n, scratch, &peak, &trough);
    return peak;
}

/* Median of how far n > 0 sorted values are from m: outward from m they are met in that order. */
static double median_distance(const double *sorted, size_t n, double m, double *work)
{
    size_t right = 0;
    while (right < n && sorted[right] < m)
        right++;
    size_t left = right;
    for (size_t k = 0; k < AC_MIN(n, n / 2 + 2); k++) {
        if (right == n || (left > 0 && m - sorted[left - 1] < sorted[right] - m))
            work[k] = m - sorted[--left];
        else
            work[k] = sorted[right++] - m;
    }
    return ac_stats_quantile_sorted(work, n, 0.5); /* of the first half only */
}

/* Median and robust scale of n sorted reference values; work is overwritten. */
static void robust_scale(const double *sorted, size_t n, enum ac_rca_kind kind, double *work,
                         double *ret_median, double *ret_scale)
{
    double m = ac_stats_quantile_sorted(sorted, n, 0.5);
    double mad = median_distance(sorted, n, m, work);
    double iqr =
        ac_stats_quantile_sorted(sorted, n, 0.75) - ac_stats_quantile_sorted(sorted, n, 0.25);
    double hi = ac_stats_quantile_sorted(sorted, n, 0.975) - m;
    double lo = m - ac_stats_quantile_sorted(sorted, n, 0.025);
    double s = fmax(1.4826 * mad, iqr / 1.349);
    s = fmax(s, fmax(hi, lo) / 1.96);
    s = fmax(s, fmax(0.03 * fabs(m), scale_floor(kind)));
    if (!(s > 0.0))
        s = 1.0; /* only when m is 0 too */
    *ret_median = m;
    *ret_scale = s;
}

/* The first sample that is not before t. */
static size_t since(const struct ac_rca_metric *m, int64_t t_ns)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->t_ns[mid] < t_ns)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The step in one series, as the split that separates means best; looked for around t0. */
static int64_t series_onset(const struct ac_rca_metric *m, const struct ac_rca_window *w,
                            const struct ac_rca_deviation *d)
{
    int64_t from = w->t0_ns - 120 * AC_NS_PER_S;
    size_t a = since(m, from), b = since(m, w->end_ns);
    double total = 0;
    for (size_t i = a; i < b; i++)
        total += fmax(-8.0, fmin(8.0, (m->v[i] - d->median) / d->scale));
    double n = (double)(b - a), sum = 0, best = 0;
    int64_t onset = w->t0_ns;
    for (size_t i = a; i + 1 < b; i++) {
        sum += fmax(-8.0, fmin(8.0, (m->v[i] - d->median) / d->scale));
        double k = (double)(i + 1 - a);
        double step = ((total - sum) / (n - k) - sum / k) * sqrt(k * (n - k) / n);
        if (fabs(step) > best) {
            best = fabs(step);
            onset = m->t_ns[i + 1];
        }
    }
    return onset;
}

void ac_rca_deviate(const struct ac_rca_metric *m, const struct ac_rca_window *w,
                    const uint32_t *order, double *scratch, struct ac_rca_deviation *ret)
{
    double *ref = scratch, *work = scratch + m->n, *in = scratch + 2 * m->n;
    size_t begin = since(m, w->t0_ns), guard = since(m, w->guard_ns);
    size_t local = AC_MIN(since(m, w->local_from_ns), guard);
    *ret = (struct ac_rca_deviation){.onset_ns = w->t0_ns, .scale = 1.0};
    ret->n_in = since(m, w->end_ns) - begin;
    ret->n_local = guard - local;
    if (ret->n_in == 0)
        return;
    memcpy(in, m->v + begin, ret->n_in * sizeof(in[0]));
    ret->n_ref = ac_rca_sorted_part(m, order, guard, since(m, w->resume_ns), false, ref);
    if (ret->n_ref == 0) {
        if (!zero_is_normal(m->kind))
            return;
        ref[ret->n_ref++] = 0.0;
    }
    robust_scale(ref, ret->n_ref, m->kind, work, &ret->median, &ret->scale);
    ret->level = ret->median;
    if (ret->n_local >= 2) {
        double n = (double)ret->n_local;
        memcpy(work, m->v + local, ret->n_local * sizeof(work[0]));
        ret->level = (n * ac_stats_median(work, ret->n_local) + 2.0 * ret->median) / (n + 2.0);
    }
    ret->mean_in = ac_stats_mean(in, ret->n_in);
    sustained(in, ret->n_in, work, &ret->peak, &ret->trough);
    size_t tail = AC_MAX(ret->n_in / 3, (size_t)2);
    double end = INFINITY; /* too few to tell */
    if (2 * tail <= ret->n_in) {
        memcpy(work, in + ret->n_in - tail, tail * sizeof(in[0]));
        end = ac_stats_median(work, tail);
    }
    ret->z = bound_z((ret->peak - ret->level) / ret->scale);
    ret->z_down = bound_z((ret->level - ret->trough) / ret->scale);
    ret->over = ret->z >= AC_RCA_Z_DEVIATES && (end - ret->level) / ret->scale < AC_RCA_Z_DEVIATES;
    ret->ok = true;
    if (ret->z >= AC_RCA_Z_DEVIATES || ret->z_down >= AC_RCA_Z_DEVIATES)
        ret->onset_ns = series_onset(m, w, ret);
}

static double step_of(const struct ac_rca_metric *m)
{
    double d[64];
    size_t k = 0;
    for (size_t j = 1; j < m->n && k < AC_ARRAY_LEN(d); j++)
        d[k++] = (double)(m->t_ns[j] - m->t_ns[j - 1]);
    return k > 0 ? ac_stats_median(d, k) : 0.0;
}

int64_t ac_rca_metric_step_ns(const struct ac_rca_metric *m)
{
    return (int64_t)step_of(m);
}

int64_t ac_rca_step_ns(const struct ac_rca_case *c)
{
    double *steps = ac_xcalloc(c->nmetrics + 1, sizeof(*steps));
    size_t n = 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        double step = step_of(&c->metrics[i]);
        if (step > 0.0)
            steps[n++] = step;
    }
    double s = n ? ac_stats_median(steps, n) : 0.0;
    free(steps);
    return s >= 1.0 ? (int64_t)s : AC_NS_PER_S;
}

static bool tells_time(enum ac_rca_kind k)
{
    return k == AC_RCA_CPU || k == AC_RCA_MEM || k == AC_RCA_LAT || k == AC_RCA_CLAT ||
           k == AC_RCA_ERR || k == AC_RCA_CERR || k == AC_RCA_GAP || k == AC_RCA_EGAP ||
           k == AC_RCA_LOAD || k == AC_RCA_UNREADY || k == AC_RCA_LOGERR;
}

/* How much better another time must be than the stated one. */
#define CLEARLY 1.25

/* Candidate times and, for each, the five largest steps over all series. */
struct search {
    const struct ac_rca_case *c;
    uint32_t *const *order;   /* by metric, or NULL */
    int64_t span_ns;          /* compared before and after a candidate */
    int64_t ref_from, ref_to; /* samples that say what is normal */
    int64_t young_before;     /* when these are too few: the first half before this time */
    size_t n;
    int64_t *taus;
    double (*top)[5];
};

/* The series' normal values, sorted, into z; false when there are too few. */
static bool reference_of(const struct search *q, const struct ac_rca_metric *m,
                         const uint32_t *order, double *z, size_t *ret_n)
{
    size_t from = since(m, q->ref_from), to = since(m, q->ref_to);
    if (to < from + 5) { /* a young recording: its first half before the stated time is all */
        from = 0;
        to = since(m, q->young_before) / 2;
        if (to < 5)
            return false;
    }
    *ret_n = ac_rca_sorted_part(m, order, from, to, true, z);
    return true;
}

/* Adds one series' step at every candidate time into the five largest of that time. */
static void add_steps(struct search *q, const struct ac_rca_metric *m, const uint32_t *order,
                      double *z, double *work)
{
    int64_t step = ac_rca_metric_step_ns(m);
    size_t n, rows = step > 0 ? (size_t)AC_MAX((q->span_ns + step / 2) / step, 3) : 0;
    if (rows == 0 || m->n < 2 * rows || !reference_of(q, m, order, z, &n))
        return;
    double med, scale;
    robust_scale(z, n, m->kind, work, &med, &scale);
    work[0] = 0; /* prefix sums: work has room for n + 1 */
    for (size_t i = 0; i < m->n; i++)
        work[i + 1] = work[i] + fmax(-8.0, fmin(8.0, (m->v[i] - med) / scale));
    size_t at = 0;
    for (size_t k = 0; k < q->n; k++) {
        while (at < m->n && m->t_ns[at] < q->taus[k])
            at++;
        if (at < rows || at + rows > m->n)
            continue;
        double f = fabs(work[at + rows] - 2 * work[at] + work[at - rows]) / (double)rows;
        for (size_t j = 0; j < 5; j++) {
            if (f > q->top[k][j]) {
                double t = q->top[k][j];
                q->top[k][j] = f;
                f = t;
            }
        }
    }
}

/* Fills sums with A(tau) of every candidate. */
static void search_run(struct search *q, double *sums)
{
    size_t max_n = 0;
    for (size_t i = 0; i < q->c->nmetrics; i++)
        max_n = AC_MAX(max_n, q->c->metrics[i].n);
    double *z = ac_xcalloc(2 * max_n + 4, sizeof(*z));
    q->top = ac_xcalloc(q->n + 1, sizeof(*q->top));
    for (size_t i = 0; i < q->c->nmetrics; i++)
        if (tells_time(q->c->metrics[i].kind))
            add_steps(q, &q->c->metrics[i], q->order ? q->order[i] : NULL, z, z + max_n + 1);
    for (size_t k = 0; k < q->n; k++)
        sums[k] = q->top[k][0] + q->top[k][1] + q->top[k][2] + q->top[k][3] + q->top[k][4];
    free(q->top);
    free(z);
}

/* What is compared on each side: 60 s, or what there is after the stated time in a live incident.
 */
static int64_t step_span(int64_t step, int64_t room)
{
    int64_t span = AC_MAX(5 * step, AC_MIN(60 * AC_NS_PER_S, room));
    return span / step * step;
}

static void extent(const struct ac_rca_case *c, int64_t *ret_first, int64_t *ret_last)
{
    *ret_first = INT64_MAX;
    *ret_last = INT64_MIN;
    for (size_t i = 0; i < c->nmetrics; i++) {
        if (c->metrics[i].n == 0)
            continue;
        *ret_first = AC_MIN(*ret_first, c->metrics[i].t_ns[0]);
        *ret_last = AC_MAX(*ret_last, c->metrics[i].t_ns[c->metrics[i].n - 1]);
    }
}

/* Rows are minutes apart: no window fits between two of them, and a single late row is a third of
 * the incident. Of the rows around the stated time, the split that separates what follows from what
 * came before best, over the five series that change most; the step of a series is weighted by
 * what its two sides can tell. Only a row before the stated one is taken for the begin: an incident
 * that begins in the stated row loses nothing by it. */
#define COARSE_BACK 2
#define COARSE_ROWS 8

struct coarse {
    int64_t step_ns, t0_ns, end_ns;
    double top[COARSE_BACK + 1][5];
};

static void coarse_add(struct coarse *q, const struct ac_rca_metric *m, const uint32_t *order,
                       double *z, double *work)
{
    double med, scale;
    int64_t from_ns = q->t0_ns - (COARSE_BACK + 2) * q->step_ns;
    size_t from = since(m, from_ns), to = AC_MAX(from, since(m, q->end_ns));
    size_t n = ac_rca_sorted_part(m, order, from, to, false, z);
    size_t k = AC_MIN(to - from, (size_t)COARSE_ROWS);
    if (n < 5 || k < 3)
        return;
    robust_scale(z, n, m->kind, work, &med, &scale);
    for (size_t b = 0; b <= COARSE_BACK; b++) {
        double before = 0, after = 0, nb = 0, na = 0;
        for (size_t i = 0; i < k; i++) {
            double x = fmax(-8.0, fmin(8.0, (m->v[from + i] - med) / scale));
            bool in = m->t_ns[from + i] >= q->t0_ns - (int64_t)b * q->step_ns;
            *(in ? &after : &before) += x;
            *(in ? &na : &nb) += 1;
        }
        if (na == 0 || nb == 0)
            continue;
        double f = fabs(after / na - before / nb) * sqrt(na * nb / (na + nb));
        for (size_t j = 0; j < 5; j++) {
            double lower = fmin(f, q->top[b][j]);
            q->top[b][j] = fmax(f, q->top[b][j]);
            f = lower;
        }
    }
}

static int64_t coarse_onset(const struct ac_rca_case *c, const struct ac_rca_params *p,
                            uint32_t *const *order, int64_t step_ns)
{
    struct coarse q = {.step_ns = step_ns, .t0_ns = p->t0_ns, .end_ns = p->t0_ns + p->incident_ns};
    size_t max_n = 0, best = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        max_n = AC_MAX(max_n, c->metrics[i].n);
    double *z = ac_xcalloc(2 * max_n + 2, sizeof(*z)), sums[COARSE_BACK + 1];
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (p->target >= 0 ? m->kind == p->target_kind : tells_time(m->kind))
            coarse_add(&q, m, order ? order[i] : NULL, z, z + max_n + 1);
    }
    for (size_t b = 0; b <= COARSE_BACK; b++) {
        sums[b] = 0;
        for (size_t j = 0; j < 5; j++)
            sums[b] += q.top[b][j];
        if (sums[b] > sums[best])
            best = b;
    }
    free(z);
    return sums[best] > CLEARLY * sums[0] ? p->t0_ns - (int64_t)best * step_ns : p->t0_ns;
}

#define MAX_TAUS 512
/* What a recording begins with is no reference: an application that has just started settles. */
#define YOUNG_NS (10 * AC_NS_PER_S)

int64_t ac_rca_onset(const struct ac_rca_case *c, const struct ac_rca_params *p,
                     uint32_t *const *order)
{
    int64_t step = ac_rca_step_ns(c), t0_ns = p->t0_ns, first, last;
    extent(c, &first, &last);
    if (first > last)
        return t0_ns;
    if (step > 30 * AC_NS_PER_S)
        return coarse_onset(c, p, order, step);
    int64_t move = step > 5 * AC_NS_PER_S ? step : 5 * AC_NS_PER_S;
    int64_t taus[MAX_TAUS];
    double sums[MAX_TAUS];
    struct search q = {.c = c,
                       .order = order,
                       .span_ns = step_span(step, last > t0_ns ? last - t0_ns : 0),
                       .ref_from = t0_ns - 420 * AC_NS_PER_S,
                       .ref_to = t0_ns - 120 * AC_NS_PER_S,
                       .young_before = t0_ns,
                       .taus = taus};
    size_t stated = 0;
    for (int64_t t = t0_ns - 120 * AC_NS_PER_S; t <= t0_ns + 60 * AC_NS_PER_S && q.n < MAX_TAUS;
         t += move) {
        if (t < t0_ns && t < first + YOUNG_NS)
            continue;
        if (t <= t0_ns)
            stated = q.n;
        taus[q.n++] = t;
    }
    search_run(&q, sums);
    size_t best = stated;
    for (size_t k = 0; k < q.n; k++)
        if (sums[k] > sums[best])
            best = k;
    if (!(sums[best] > CLEARLY * sums[stated]))
        return t0_ns;
    /* Finer: every step around the best one. */
    int64_t at = taus[best];
    q.n = 0;
    for (int64_t t = at - move; t <= at + move && q.n < MAX_TAUS; t += step)
        if (t >= t0_ns || t >= first + YOUNG_NS)
            taus[q.n++] = t;
    search_run(&q, sums);
    best = 0;
    for (size_t k = 0; k < q.n; k++)
        if (sums[k] > sums[best])
            best = k;
    return taus[best];
}

int64_t ac_rca_find_time(const struct ac_rca_case *c)
{
    int64_t first, last;
    extent(c, &first, &last);
    if (first >= last)
        return first == INT64_MAX ? 0 : first;
    int64_t step = ac_rca_step_ns(c), span = last - first;
    int64_t move = AC_MAX(step, span / (MAX_TAUS - 1));
    int64_t taus[MAX_TAUS];
    double sums[MAX_TAUS];
    struct search q = {.c = c,
                       .span_ns = step_span(step, span / 8),
                       .ref_from = first,
                       .ref_to = first + span / 4,
                       .young_before = first + span / 2,
                       .taus = taus};
    for (int64_t t = first + move; t < last && q.n < MAX_TAUS; t += move)
        taus[q.n++] = t;
    search_run(&q, sums);
    size_t best = q.n;
    for (size_t k = 0; k < q.n; k++)
        if (sums[k] > 0.0 && (best == q.n || sums[k] > sums[best]))
            best = k;
    return best < q.n ? taus[best] : first + span / 2;
}
