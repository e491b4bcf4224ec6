/* Deviations by component and kind, gaps between the two ends of an edge, excess by conservation:
 * seconds and errors that a component shows must come from its callees or from itself. */
#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

void rca_work_init(struct rca_work *k, const struct ac_rca_case *c, const struct ac_rca_params *p,
                   struct ac_rca_window w, int64_t step_ns)
{
    memset(k, 0, sizeof(*k));
    k->c = c;
    k->p = p;
    k->w = w;
    k->step_ns = step_ns;
    size_t n = 0;
    for (size_t i = 0; i < c->nmetrics; i++)
        n = AC_MAX(n, c->metrics[i].n);
    k->scratch_n = n + 1;
    k->scratch = ac_xcalloc(4 * k->scratch_n, sizeof(*k->scratch));
    k->dev = ac_xcalloc(c->nmetrics + 1, sizeof(*k->dev));
    k->best = ac_xcalloc(c->ncomponents + 1, sizeof(*k->best));
    k->flow = ac_xcalloc(c->nedges + 1, sizeof(*k->flow));
    k->is_new = ac_xcalloc(c->ncomponents + 1, sizeof(*k->is_new));
    k->load = ac_xcalloc(c->ncomponents + 1, sizeof(*k->load));
    for (size_t i = 0; i < c->ncomponents; i++)
        for (size_t j = 0; j < AC_RCA_NKINDS; j++)
            k->best[i][j] = (struct rca_best){
                .metric = -1, .peer = -1, .onset_ns = w.t0_ns, .onset_down_ns = w.t0_ns};
    for (size_t i = 0; i < c->nedges; i++)
        k->flow[i] = (struct rca_edge_flow){
            .gap_metric = -1, .egap_metric = -1, .gap_onset_ns = w.t0_ns, .egap_onset_ns = w.t0_ns};
}

void rca_work_fini(struct rca_work *k)
{
    free(k->scratch);
    free(k->dev);
    free(k->best);
    free(k->flow);
    free(k->is_new);
    free(k->load);
}

int rca_find_metric(const struct ac_rca_case *c, int component, int peer, enum ac_rca_kind kind)
{
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->component == component && m->peer == peer && m->kind == kind && m->n > 0)
            return (int)i;
    }
    return -1;
}

/* Value at or just beside t; false when there is none within tolerance. at moves forward. */
static bool value_at(const struct ac_rca_metric *m, int64_t t, int64_t tolerance, size_t *at,
                     double *ret)
{
    while (*at < m->n && m->t_ns[*at] < t - tolerance)
        (*at)++;
    if (*at >= m->n || m->t_ns[*at] > t + tolerance)
        return false;
    *ret = m->v[*at];
    return true;
}

double rca_excess(const struct rca_work *k, const struct ac_rca_metric *m,
                  const struct ac_rca_deviation *d, const struct ac_rca_metric *load)
{
    if (!d->ok)
        return 0.0;
    double sum = 0, load_sum = 0;
    size_t rows = 0, at = 0;
    for (size_t i = 0; i < m->n; i++) {
        double l;
        if (m->t_ns[i] < k->w.t0_ns || m->t_ns[i] >= k->w.end_ns)
            continue;
        if (load && value_at(load, m->t_ns[i], k->step_ns / 2, &at, &l)) {
            sum += (m->v[i] - d->level) * l;
            rows++;
        }
    }
    if (rows > 0)
        return sum / (double)rows;
    double mean_load = 1.0;
    if (load) {
        size_t n = 0;
        for (size_t i = 0; i < load->n; i++)
            if (load->t_ns[i] >= k->w.t0_ns && load->t_ns[i] < k->w.end_ns) {
                load_sum += load->v[i];
                n++;
            }
        if (n > 0)
            mean_load = load_sum / (double)n;
    }
    return (d->mean_in - d->level) * mean_load;
}

static void keep_best(struct rca_best *b, const struct ac_rca_metric *m,
                      const struct ac_rca_deviation *d, int metric)
{
    if (!d->ok)
        return;
    b->rise |= ac_rca_bad_rise(m);
    b->fall |= ac_rca_bad_fall(m);
    if (!b->has || d->z > b->z) {
        b->z = d->z;
        b->onset_ns = d->onset_ns;
        b->over = d->over;
        b->metric = metric;
        b->peer = m->peer;
    }
    if (!b->has || d->z_down > b->z_down) {
        b->z_down = d->z_down;
        b->onset_down_ns = d->onset_ns;
    }
    b->has = true;
}

/* Caller-side minus callee-side series. Where the callee is silent its normal level stands in, so
 * that a callee that is gone does not hide the time its callers lose. */
static void difference(struct rca_work *k, const struct ac_rca_metric *caller,
                       const struct ac_rca_metric *callee,
                       const struct ac_rca_deviation *callee_dev, enum ac_rca_kind kind,
                       struct ac_rca_deviation *ret)
{
    struct ac_rca_metric diff = {.kind = kind};
    size_t at = 0;
    double silent = 0.0; /* what stands in for a silent callee */
    if (callee && callee_dev->ok) {
        silent = callee_dev->level;
    } else if (callee) {
        memcpy(k->scratch, callee->v, callee->n * sizeof(double));
        silent = ac_stats_median(k->scratch, callee->n);
    }
    for (size_t i = 0; i < caller->n; i++) {
        double v = 0;
        if (callee && !value_at(callee, caller->t_ns[i], k->step_ns / 2, &at, &v)) {
            if (caller->t_ns[i] < k->w.t0_ns)
                continue;
            v = silent;
        }
        ac_rca_metric_push(&diff, caller->t_ns[i], fmax(0.0, caller->v[i] - v));
    }
    ac_rca_deviate(&diff, &k->w, NULL, k->scratch, ret);
    free(diff.t_ns);
    free(diff.v);
}

static void measure_edge(struct rca_work *k, size_t e)
{
    const struct ac_rca_case *c = k->c;
    const struct ac_rca_edge *edge = &c->edges[e];
    struct rca_edge_flow *f = &k->flow[e];
    int load = rca_find_metric(c, edge->from, edge->to, AC_RCA_CLOAD);
    const struct ac_rca_metric *load_m = load >= 0 ? &c->metrics[load] : NULL;
    if (load >= 0 && k->dev[load].ok) {
        f->has_cload = true;
        f->cload_down = k->dev[load].z_down;
    }
    static const struct {
        enum ac_rca_kind client, server, gap;
    } ends[] = {{AC_RCA_CLAT, AC_RCA_LAT, AC_RCA_GAP}, {AC_RCA_CERR, AC_RCA_ERR, AC_RCA_EGAP}};
    for (size_t i = 0; i < AC_ARRAY_LEN(ends); i++) {
        int m = rca_find_metric(c, edge->from, edge->to, ends[i].client);
        if (m < 0 || !k->dev[m].ok)
            continue;
        double excess = rca_excess(k, &c->metrics[m], &k->dev[m], load_m);
        int s = rca_find_metric(c, edge->to, -1, ends[i].server);
        struct ac_rca_deviation d;
        difference(k, &c->metrics[m], s >= 0 ? &c->metrics[s] : NULL, s >= 0 ? &k->dev[s] : NULL,
                   ends[i].gap, &d);
        if (ends[i].gap == AC_RCA_GAP) {
            f->lat = excess;
            f->has_lat = true;
            f->gap_z = d.ok ? d.z : 0.0;
            f->gap_onset_ns = d.onset_ns;
            f->gap_over = d.over;
            f->gap_metric = m;
        } else {
            f->err = excess;
            f->has_err = true;
            f->egap_z = d.ok ? d.z : 0.0;
            f->egap_onset_ns = d.onset_ns;
            f->egap_over = d.over;
            f->egap_metric = m;
        }
        f->measured_gap = true;
        k->has_gap = true;
    }
}

static bool gapped(const struct rca_edge_flow *f)
{
    return f->gap_z >= AC_RCA_Z_DEVIATES || f->egap_z >= AC_RCA_Z_DEVIATES;
}

/* The callee's refusal came back to the caller: the network between them works. */
static bool refused(const struct rca_work *k, size_t edge)
{
    const struct ac_rca_case *c = k->c;
    for (size_t i = 0; i < c->nevents; i++) {
        const struct ac_rca_event *e = &c->events[i];
        if (e->cls == AC_RCA_EVENT_DENIED && e->component == c->edges[edge].from &&
            e->about == c->edges[edge].to && e->t_ns >= k->w.t0_ns - RCA_EVENTS_BEFORE_NS &&
            e->t_ns < k->w.end_ns)
            return true;
    }
    return false;
}

/* A slow or broken network of one pod shows on all its edges, in and out. An edge's gap belongs to
 * the callee, unless the caller itself is a gapped callee and every one of its calls has a gap. */
static void blame_callers(struct rca_work *k)
{
    const struct ac_rca_case *c = k->c;
    for (size_t e = 0; e < c->nedges; e++) {
        if (!gapped(&k->flow[e]) || refused(k, e))
            continue;
        int caller = c->edges[e].from;
        bool called_late = false, all_out = true;
        for (size_t i = 0; i < c->nedges; i++) {
            if (c->edges[i].to == caller && gapped(&k->flow[i]))
                called_late = true;
            if (c->edges[i].from == caller && k->flow[i].measured_gap && !gapped(&k->flow[i]))
                all_out = false;
        }
        k->flow[e].moved = called_late && all_out;
    }
}

static void put_gap(struct rca_best *b, double z, int64_t onset_ns, int metric, int peer)
{
    if (b->has && z <= b->z)
        return;
    b->has = b->rise = true;
    b->over = false;
    b->z = z;
    b->onset_ns = onset_ns;
    b->metric = metric;
    b->peer = peer;
}

/* A component that reported steadily and falls silent in the incident. */
static void measure_silence(struct rca_work *k)
{
    const struct ac_rca_case *c = k->c;
    double *seen = ac_xcalloc(c->ncomponents + 1, sizeof(*seen));
    bool *had = ac_xcalloc(c->ncomponents + 1, sizeof(*had));
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->kind != AC_RCA_CPU && m->kind != AC_RCA_MEM && m->kind != AC_RCA_LOAD)
            continue;
        size_t before = 0, in = 0;
        int64_t span = k->w.end_ns - k->w.t0_ns;
        for (size_t j = 0; j < m->n; j++) {
            before += m->t_ns[j] >= k->w.t0_ns - span && m->t_ns[j] < k->w.t0_ns;
            in += m->t_ns[j] >= k->w.t0_ns && m->t_ns[j] < k->w.end_ns;
        }
        if (before < 5)
            continue;
        had[m->component] = true;
        seen[m->component] = fmax(seen[m->component], (double)in / (double)before);
    }
    for (size_t i = 0; i < c->ncomponents; i++)
        if (had[i] && seen[i] < 0.5)
            put_gap(&k->best[i][AC_RCA_SILENT], 100.0 * (1.0 - seen[i]), k->w.t0_ns, -1, -1);
    free(seen);
    free(had);
}

/* Events are findings of others; a state that they name counts as a deviation of fixed size. */
static void measure_events(struct rca_work *k)
{
    const struct ac_rca_case *c = k->c;
    int64_t from = k->w.t0_ns - RCA_EVENTS_BEFORE_NS;
    for (size_t i = 0; i < c->nevents; i++) {
        const struct ac_rca_event *e = &c->events[i];
        if (e->t_ns < from || e->t_ns >= k->w.end_ns)
            continue;
        if (e->cls == AC_RCA_EVENT_UNREADY)
            put_gap(&k->best[e->about][AC_RCA_UNREADY], 20.0, e->t_ns, -1, -1);
        else if (e->cls == AC_RCA_EVENT_CHANGE)
            put_gap(&k->best[e->about][AC_RCA_CHANGE], 5.0, e->t_ns, -1, -1);
    }
}

static void own_excess(struct rca_work *k, int component, enum ac_rca_kind kind)
{
    const struct ac_rca_case *c = k->c;
    struct rca_best *b = &k->best[component][kind];
    if (!b->has || b->metric < 0)
        return;
    int load = rca_find_metric(c, component, -1, AC_RCA_LOAD);
    b->each = rca_excess(k, &c->metrics[b->metric], &k->dev[b->metric], NULL);
    b->excess = rca_excess(k, &c->metrics[b->metric], &k->dev[b->metric],
                           load >= 0 ? &c->metrics[load] : NULL);
    b->has_excess = true;
}

/* Nobody called it in normal times, but for one sample in a hundred. */
static bool is_new(const struct rca_work *k, int load)
{
    const struct ac_rca_metric *m = &k->c->metrics[load];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->t_ns[i] < k->w.guard_ns || m->t_ns[i] >= k->w.resume_ns)
            k->scratch[n++] = m->v[i];
    return n == 0 || ac_stats_quantile(k->scratch, n, 0.99) <= 0.0;
}

/* A kind of line that was never said outside the incident. */
static bool was_never_said(const struct rca_work *k, const struct ac_rca_metric *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->t_ns[i] >= k->w.guard_ns && m->t_ns[i] < k->w.resume_ns)
            continue;
        if (m->v[i] != 0.0)
            return false;
        n++;
    }
    return n >= 5; /* too short a past says nothing */
}

void rca_work_measure(struct rca_work *k)
{
    const struct ac_rca_case *c = k->c;
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->kind == AC_RCA_OTHER)
            continue;
        ac_rca_deviate(m, &k->w, k->order ? k->order[i] : NULL, k->scratch, &k->dev[i]);
        bool new_words = m->kind == AC_RCA_LOGERR && k->dev[i].ok && was_never_said(k, m);
        keep_best(&k->best[m->component][new_words ? AC_RCA_LOGNEW : m->kind], m, &k->dev[i],
                  (int)i);
        if (m->kind == AC_RCA_GAP)
            k->has_gap = true;
    }
    for (size_t e = 0; e < c->nedges; e++)
        measure_edge(k, e);
    blame_callers(k);
    for (size_t e = 0; e < c->nedges; e++) {
        const struct rca_edge_flow *f = &k->flow[e];
        int to = f->moved ? c->edges[e].from : c->edges[e].to;
        int peer = f->moved ? c->edges[e].to : c->edges[e].from;
        struct rca_best *gap = &k->best[to][AC_RCA_GAP], *egap = &k->best[to][AC_RCA_EGAP];
        if (f->has_lat)
            put_gap(gap, f->gap_z, f->gap_onset_ns, f->gap_metric, peer);
        if (f->has_lat && gap->metric == f->gap_metric)
            gap->over = f->gap_over;
        if (f->has_err)
            put_gap(egap, f->egap_z, f->egap_onset_ns, f->egap_metric, peer);
        if (f->has_err && egap->metric == f->egap_metric)
            egap->over = f->egap_over;
    }
    for (size_t i = 0; i < c->ncomponents; i++) {
        own_excess(k, (int)i, AC_RCA_LAT);
        own_excess(k, (int)i, AC_RCA_ERR);
    }
    for (size_t i = 0; i < c->ncomponents; i++) {
        int load = rca_find_metric(c, (int)i, -1, AC_RCA_LOAD);
        k->is_new[i] = load >= 0 && k->dev[load].ok && is_new(k, load);
        k->load[i] = load >= 0 && k->dev[load].ok ? k->dev[load].mean_in : 0.0;
    }
    measure_silence(k);
    measure_events(k);
}
