/* Parts of a score by kind of measurement, and the ranking. */
#include "rca_calls.h"
#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>

#define OVER_WEIGHT 0.3

/* Excess that the callees of a component account for. An edge measured by the caller says it
 * exactly; else the callee's own excess stands in, of as many requests as the caller has where the
 * rate of one of the two is not known. A callee that is new in the incident explains
 * nothing: whoever starts to call something new is itself the cause. */
double rca_callees_excess(const struct rca_work *k, int component, enum ac_rca_kind kind,
                          bool *ret_any)
{
    const struct ac_rca_case *c = k->c;
    double sum = 0, load = k->load[component];
    for (size_t e = 0; e < c->nedges; e++) {
        if (c->edges[e].from != component || k->is_new[c->edges[e].to])
            continue;
        const struct rca_edge_flow *f = &k->flow[e];
        const struct rca_best *b = &k->best[c->edges[e].to][kind];
        double x = 0;
        if (kind == AC_RCA_LAT ? f->has_lat : f->has_err)
            x = f->moved ? 0.0 : kind == AC_RCA_LAT ? f->lat : f->err;
        else if (b->has_excess)
            x = (k->load[c->edges[e].to] > 0.0) == (load > 0.0)
                    ? b->excess
                    : b->each * (load > 0.0 ? load : 1.0);
        if (x > 0.0) {
            sum += x;
            *ret_any = true;
        }
    }
    return sum;
}

static double clamp01(double x)
{
    return x > 0.0 ? (x < 1.0 ? x : 1.0) : 0.0;
}

/* Relative rise of a kind in the incident over its level, 0 when it did not rise. */
static double relative_rise(const struct rca_work *k, int component, enum ac_rca_kind kind)
{
    const struct rca_best *b = &k->best[component][kind];
    if (!b->has || b->metric < 0)
        return 0.0;
    const struct ac_rca_deviation *d = &k->dev[b->metric];
    return d->level > 0.0 ? fmax(0.0, d->mean_in / d->level - 1.0) : 0.0;
}

static double rise(const struct rca_work *k, int component, enum ac_rca_kind kind)
{
    const struct rca_best *b = &k->best[component][kind];
    if (!b->has || b->metric < 0)
        return 0.0;
    const struct ac_rca_deviation *d = &k->dev[b->metric];
    return fmax(0.0, d->mean_in - d->level);
}

static double callers_load_z(const struct rca_work *k, int component, bool down)
{
    const struct ac_rca_case *c = k->c;
    double z = 0;
    for (size_t e = 0; e < c->nedges; e++) {
        const struct rca_best *b = &k->best[c->edges[e].from][AC_RCA_LOAD];
        if (c->edges[e].to == component && b->has)
            z = fmax(z, down ? b->z_down : b->z);
    }
    return z;
}

/* The share of a deviation that something else accounts for. */
static double explained(const struct rca_work *k, int component, enum ac_rca_kind kind, bool down)
{
    const struct rca_best *b = &k->best[component][kind];
    if (k->p->unexplained)
        return 0.0;
    if (kind == AC_RCA_LAT || kind == AC_RCA_ERR) {
        bool any = false;
        double sum = rca_callees_excess(k, component, kind, &any);
        if (!b->has_excess || b->excess <= 0.0)
            return any ? 1.0 : 0.0;
        return clamp01(sum / b->excess);
    }
    if (kind == AC_RCA_CPU) {
        double cpu = relative_rise(k, component, AC_RCA_CPU);
        double load = relative_rise(k, component, AC_RCA_LOAD);
        return cpu > 0.0 && load > 0.0 ? clamp01(load / cpu) : 0.0;
    }
    if (kind == AC_RCA_SLI) { /* what callees fail more the entry fails too */
        double own = rise(k, component, AC_RCA_SLI), callees = 0;
        for (size_t e = 0; e < k->c->nedges; e++)
            if (k->c->edges[e].from == component)
                callees = fmax(callees, rise(k, k->c->edges[e].to, AC_RCA_ERR));
        return own > 0.0 ? clamp01(callees / own) : 0.0;
    }
    if (kind == AC_RCA_LOGERR || kind == AC_RCA_LOGNEW) { /* who complains of callees that do too */
        double own = rise(k, component, kind), callees = 0;
        for (size_t e = 0; e < k->c->nedges; e++)
            if (k->c->edges[e].from == component)
                callees += fmax(rise(k, k->c->edges[e].to, AC_RCA_LOGERR),
                                rise(k, k->c->edges[e].to, AC_RCA_LOGNEW));
        return own > 0.0 ? clamp01(callees / own) : 0.0;
    }
    if (kind == AC_RCA_LOAD) {
        double own = down ? b->z_down : b->z;
        return own > 0.0 ? clamp01(callers_load_z(k, component, down) / own) : 0.0;
    }
    return 0.0;
}

static void add_part(const struct rca_work *k, struct ac_rca_cause *cause, struct ac_rca_part part)
{
    if (!(part.part > 0.0) || (k->p->without >> part.kind) & 1u)
        return;
    size_t i = cause->nparts < AC_RCA_MAX_PARTS ? cause->nparts++ : AC_RCA_MAX_PARTS - 1;
    for (; i > 0 && cause->parts[i - 1].part < part.part; i--)
        cause->parts[i] = cause->parts[i - 1];
    cause->parts[i] = part;
}

static double part_size(enum ac_rca_kind kind, bool down, double z, double phi)
{
    if (!(z > 0.0))
        return 0.0;
    return ac_rca_kind_weight(kind) * (down ? 0.5 : 1.0) * log1p(z * (1.0 - phi) / 1.5);
}

/* "My callee gets fewer calls though I do not": this component changed what it does. Where the
 * caller's own count of calls is known it decides: calls that are made but do not arrive are the
 * network's or the callee's. */
static void caller_part(struct rca_work *k, struct ac_rca_cause *cause)
{
    const struct ac_rca_case *c = k->c;
    const struct rca_best *own = &k->best[cause->component][AC_RCA_LOAD];
    double own_down = own->has ? fmax(0.0, own->z_down) : 0.0, z = 0;
    int64_t onset = k->w.t0_ns;
    int peer = -1;
    for (size_t e = 0; e < c->nedges; e++) {
        if (c->edges[e].from != cause->component)
            continue;
        const struct rca_best *b = &k->best[c->edges[e].to][AC_RCA_LOAD];
        double fell = k->flow[e].has_cload ? k->flow[e].cload_down : b->has ? b->z_down : 0.0;
        if (fell - own_down > z) {
            z = fell - own_down;
            peer = c->edges[e].to;
            onset = b->onset_down_ns;
        }
    }
    add_part(k, cause,
             (struct ac_rca_part){.kind = AC_RCA_CALLER,
                                  .metric = -1,
                                  .peer = peer,
                                  .z = z,
                                  .onset_ns = onset,
                                  .part = part_size(AC_RCA_CALLER, false, z, 0.0)});
}

static void client_gap_part(struct rca_work *k, struct ac_rca_cause *cause)
{
    const struct ac_rca_case *c = k->c;
    const struct rca_best *own = &k->best[cause->component][AC_RCA_CLAT];
    double sum = 0;
    size_t n = 0;
    for (size_t e = 0; e < c->nedges; e++) {
        const struct rca_best *b = &k->best[c->edges[e].from][AC_RCA_CLAT];
        if (c->edges[e].to == cause->component && b->has) {
            sum += b->z;
            n++;
        }
    }
    if (n == 0)
        return;
    double z = sum / (double)n - (own->has ? fmax(0.0, own->z) : 0.0);
    add_part(k, cause,
             (struct ac_rca_part){.kind = AC_RCA_CGAP,
                                  .metric = -1,
                                  .peer = -1,
                                  .z = z,
                                  .onset_ns = k->w.t0_ns,
                                  .part = part_size(AC_RCA_CGAP, false, z, 0.0)});
}

/* With a target: how much of the target's excess this component has, and whether it moves with it.
 */
static double target_factor(struct rca_work *k, int component, enum ac_rca_kind kind, double phi)
{
    const struct ac_rca_case *c = k->c;
    const struct rca_best *own = &k->best[component][kind];
    const struct rca_best *target = &k->best[k->p->target][kind];
    double share = 0, corr = 0;
    if (own->has_excess && target->has_excess && target->excess > 0.0)
        share = clamp01(own->excess * (1.0 - phi) / target->excess);
    if (own->metric >= 0 && target->metric >= 0) {
        const struct ac_rca_metric *a = &c->metrics[own->metric], *b = &c->metrics[target->metric];
        double *x = k->scratch, *y = k->scratch + k->scratch_n;
        size_t n = 0, j = 0;
        for (size_t i = 0; i < a->n; i++) {
            if (a->t_ns[i] < k->w.local_from_ns || a->t_ns[i] >= k->w.end_ns)
                continue;
            while (j < b->n && b->t_ns[j] < a->t_ns[i])
                j++;
            if (j < b->n && b->t_ns[j] == a->t_ns[i]) {
                x[n] = a->v[i] - k->dev[own->metric].level;
                y[n++] = b->v[j] - k->dev[target->metric].level;
            }
        }
        corr = n < 3 ? 0.0 : ac_stats_pearson(x, y, n);
        if (isnan(corr)) /* one of the two is constant */
            corr = 0.0;
    }
    return (0.05 + share) * (0.05 + fmax(0.0, corr));
}

static double kind_factor(struct rca_work *k, int component, enum ac_rca_kind kind, double phi)
{
    if (k->p->target < 0)
        return 1.0;
    if (kind == k->p->target_kind)
        return target_factor(k, component, kind, phi);
    if (kind == AC_RCA_LAT || kind == AC_RCA_ERR || kind == AC_RCA_LOAD || kind == AC_RCA_NET ||
        kind == AC_RCA_IO)
        return 0.0;
    return 1.0;
}

/* While the incident goes on: calls that failed for a moment only, as when a pod
 * is replaced, do not explain it. */
static bool passes(int kind)
{
    return kind == AC_RCA_GAP || kind == AC_RCA_EGAP || kind == AC_RCA_UNREADY;
}

static void parts_of(struct rca_work *k, struct ac_rca_cause *cause)
{
    int comp = cause->component;
    double all = k->is_new[comp] ? 0.1 : 1.0;
    for (int kind = AC_RCA_OTHER + 1; kind < AC_RCA_CALLER; kind++) {
        const struct rca_best *b = &k->best[comp][kind];
        if (!b->has || !(ac_rca_kind_weight((enum ac_rca_kind)kind) > 0.0))
            continue;
        for (int down = b->rise ? 0 : 1; down <= (b->fall ? 1 : 0); down++) {
            double z = down ? b->z_down : b->z;
            double phi = explained(k, comp, (enum ac_rca_kind)kind, down != 0);
            double f = all * kind_factor(k, comp, (enum ac_rca_kind)kind, phi);
            if (b->over && k->p->ongoing && passes(kind))
                f *= OVER_WEIGHT;
            add_part(k, cause,
                     (struct ac_rca_part){
                         .kind = (enum ac_rca_kind)kind,
                         .metric = b->metric,
                         .peer = b->peer,
                         .down = down != 0,
                         .z = z,
                         .explained = phi,
                         .onset_ns = down ? b->onset_down_ns : b->onset_ns,
                         .part = f * part_size((enum ac_rca_kind)kind, down != 0, z, phi)});
        }
    }
    if (k->p->target < 0) {
        caller_part(k, cause);
        if (!k->has_gap)
            client_gap_part(k, cause);
    }
}

/* One more part for everybody, on equal terms with what the kinds say: of the measurement that
 * leaves most. */
static void keep_residual(const struct rca_work *k, struct ac_rca_part *best, int metric, double z)
{
    const struct ac_rca_metric *m = &k->c->metrics[metric];
    if (m->kind != AC_RCA_SLI && z > best[m->component].z) /* a symptom of all, see share_sli */
        best[m->component] =
            (struct ac_rca_part){.kind = AC_RCA_RESIDUAL,
                                 .metric = metric,
                                 .peer = -1,
                                 .z = z,
                                 .onset_ns = k->w.t0_ns,
                                 .part = part_size(AC_RCA_RESIDUAL, false, z, 0.0)};
}

static void residual_parts(struct rca_work *k, struct ac_rca_cause *causes)
{
    struct ac_rca_result r;
    struct ac_rca_part *best = ac_xcalloc(k->c->ncomponents, sizeof(*best));
    for (size_t j = 0; j < rca_habit_columns(k->habit); j++) {
        double z;
        int metric = rca_habit_rest(k->habit, k, j, &z);
        keep_residual(k, best, metric, z);
    }
    if (!k->habit && rca_residual(k, &r)) {
        for (size_t i = 0; i < r.ncauses && r.causes[i].nparts > 0; i++)
            keep_residual(k, best, r.causes[i].parts[0].metric, r.causes[i].parts[0].part);
        ac_rca_result_fini(&r);
    }
    for (size_t i = 0; i < k->c->ncomponents; i++)
        add_part(k, &causes[i], best[i]);
    free(best);
}

static int by_score(const void *a, const void *b)
{
    const struct ac_rca_cause *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->component - y->component; /* deterministic */
}

double ac_rca_score_without(const struct ac_rca_cause *cause, size_t part)
{
    double largest = 0, rest = 0;
    for (size_t i = 0; i < cause->nparts; i++) {
        if (i == part)
            continue;
        if (i == (part == 0 ? 1u : 0u)) /* largest first */
            largest = cause->parts[i].part;
        else
            rest += cause->parts[i].part;
    }
    return largest + RCA_OTHERS * rest;
}

static double score_of(const struct ac_rca_cause *cause)
{
    return ac_rca_score_without(cause, cause->nparts);
}

/* What fails as seen from outside is the symptom of the whole application: the entry answers for
 * it only as far as no component that it reaches shows something itself. */
static void share_sli(const struct rca_work *k, struct ac_rca_cause *causes)
{
    const struct ac_rca_case *c = k->c;
    bool *seen = ac_xcalloc(c->ncomponents, sizeof(*seen));
    struct rca_calls calls;
    rca_calls_init(&calls, c);
    for (size_t i = 0; i < c->ncomponents; i++) {
        struct ac_rca_part *sli = NULL;
        double other = 0;
        for (size_t j = 0; j < causes[i].nparts; j++)
            if (causes[i].parts[j].kind == AC_RCA_SLI)
                sli = &causes[i].parts[j];
        if (!sli)
            continue;
        rca_calls_reach(&calls, (int)i, false, seen);
        for (size_t n = 0; n < c->ncomponents; n++)
            if (seen[n] && n != i)
                other = fmax(other, causes[n].score);
        struct ac_rca_part p = *sli;
        p.part *= p.part / (p.part + RCA_OTHERS * other);
        size_t at = (size_t)(sli - causes[i].parts);
        for (; at + 1 < causes[i].nparts && causes[i].parts[at + 1].part > p.part; at++)
            causes[i].parts[at] = causes[i].parts[at + 1];
        causes[i].parts[at] = p;
        causes[i].score = score_of(&causes[i]);
    }
    rca_calls_fini(&calls);
    free(seen);
}

void rca_rank(struct rca_work *k, struct ac_rca_result *r)
{
    const struct ac_rca_case *c = k->c;
    r->ncauses = c->ncomponents;
    r->causes = ac_xcalloc(c->ncomponents, sizeof(*r->causes));
    bool *seen = ac_xcalloc(c->ncomponents, sizeof(*seen));
    if (k->p->target >= 0) {
        struct rca_calls calls;
        rca_calls_init(&calls, c);
        rca_calls_reach(&calls, k->p->target, false, seen);
        rca_calls_fini(&calls);
    }
    for (size_t i = 0; i < c->ncomponents; i++) {
        struct ac_rca_cause *cause = &r->causes[i];
        cause->component = (int)i;
        parts_of(k, cause);
    }
    residual_parts(k, r->causes);
    for (size_t i = 0; i < c->ncomponents; i++) {
        struct ac_rca_cause *cause = &r->causes[i];
        cause->score = score_of(cause);
        if (k->p->target >= 0 && c->nedges > 0 && !seen[i])
            cause->score *= 0.3;
    }
    if (!k->p->unexplained)
        share_sli(k, r->causes);
    qsort(r->causes, r->ncauses, sizeof(*r->causes), by_score);
    free(seen);
}
