/* Several causes told apart: who shows something of its own that no cause named before explains,
 * and how much of what is lost each one brings in. */
#include "rca_calls.h"
#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

#define OWN_Z     6.0 /* deviations left when what callees or load explain is taken away */
#define EXPLAINED 0.5 /* what comes from elsewhere by this much is a symptom */
#define BESIDE    0.5 /* score of its own, of the first cause's, that names another */

/* One more named cause: who calls it, directly or through others. */
static void spread(const struct rca_calls *calls, int root, bool *above)
{
    bool *up = ac_xcalloc(calls->c->ncomponents, sizeof(bool));
    rca_calls_reach(calls, root, true, up);
    for (size_t i = 0; i < calls->c->ncomponents; i++)
        above[i] = above[i] || (up[i] && (int)i != root);
    free(up);
}

/* Whether a part can only be its component's own doing. What waits for a cause keeps its requests
 * in memory and fails its probes, and is late by as much as nobody measured; a callee of a cause
 * gets other load. Without calls nobody knows where latency and errors come from, so only what does
 * not travel counts. */
static bool is_own(const struct rca_work *k, const bool *above, const struct ac_rca_cause *x,
                   const struct ac_rca_part *p)
{
    bool waits = above[x->component];
    if (p->down || p->z * (1.0 - p->explained) < OWN_Z || p->explained >= EXPLAINED)
        return false;
    switch (p->kind) {
    case AC_RCA_CPU:
    case AC_RCA_CHANGE:
        return true;
    case AC_RCA_MEM:
    case AC_RCA_UNREADY:
    case AC_RCA_RESTART:
        return !waits;
    case AC_RCA_LAT:
    case AC_RCA_ERR: {
        bool any = false;
        (void)rca_callees_excess(k, x->component, p->kind, &any);
        return k->c->nedges > 0 && (any || !waits);
    }
    case AC_RCA_GAP:
    case AC_RCA_EGAP: /* on the way to it, not on its own way to a cause */
        return p->peer < 0 || p->peer == x->component || !waits;
    default:
        return false;
    }
}

/* What is left of a score by such parts alone. */
static double own_score(const struct rca_work *k, const bool *above, const struct ac_rca_cause *x)
{
    double best = 0, rest = 0, all = 0;
    for (size_t i = 0; i < x->nparts; i++) {
        all += x->parts[i].part * (i == 0 ? 1.0 : RCA_OTHERS); /* largest first */
        if (!is_own(k, above, x, &x->parts[i]))
            continue;
        rest += x->parts[i].part;
        best = fmax(best, x->parts[i].part);
    }
    double of_parts = best + RCA_OTHERS * (rest - best);
    return all > 0.0 ? x->score * fmin(1.0, of_parts / all) : 0.0;
}

/* Chance makes everybody a little slower or faster: only who clearly loses seconds (or errors) of
 * its own, itself or on the way to it, brings some in. */
static bool clearly(const struct ac_rca_cause *x, enum ac_rca_kind kind)
{
    enum ac_rca_kind gap = kind == AC_RCA_LAT ? AC_RCA_GAP : AC_RCA_EGAP;
    for (size_t i = 0; i < x->nparts; i++)
        if ((x->parts[i].kind == kind || x->parts[i].kind == gap) &&
            x->parts[i].z * (1.0 - x->parts[i].explained) >= OWN_Z)
            return true;
    return false;
}

/* Seconds or errors an interval that begin at a component: what is seen of it, by itself or by its
 * callers, beyond normal, less what its callees account for. */
static double brought_in(const struct rca_work *k, const struct ac_rca_cause *x,
                         enum ac_rca_kind kind)
{
    const struct ac_rca_case *c = k->c;
    int component = x->component;
    const struct rca_best *b = &k->best[component][kind];
    double seen = 0;
    bool any = false;
    if (!clearly(x, kind))
        return 0.0;
    for (size_t e = 0; e < c->nedges; e++) {
        const struct rca_edge_flow *f = &k->flow[e];
        if (c->edges[e].to == component && !f->moved &&
            (kind == AC_RCA_LAT ? f->has_lat : f->has_err))
            seen += fmax(0.0, kind == AC_RCA_LAT ? f->lat : f->err);
    }
    if (b->has_excess)
        seen = fmax(seen, b->excess);
    return fmax(0.0, seen - rca_callees_excess(k, component, kind, &any));
}

/* In seconds where every cause costs seconds, else in errors, else by the scores: seconds and
 * errors cannot be added. */
static void share_out(const struct rca_work *k, struct ac_rca_result *r)
{
    static const enum ac_rca_kind units[] = {AC_RCA_LAT, AC_RCA_ERR};
    double sum = 0;
    r->shared_by = AC_RCA_OTHER;
    for (size_t u = 0; u < AC_ARRAY_LEN(units) && r->shared_by == AC_RCA_OTHER; u++) {
        bool all = true;
        sum = 0;
        for (size_t i = 0; i < r->nnamed; i++) {
            struct ac_rca_named *n = &r->named[i];
            n->share = brought_in(k, &r->causes[n->cause], units[u]);
            all = all && n->share > 0.0 && isfinite(n->share);
            sum += n->share;
        }
        if (all && isfinite(sum))
            r->shared_by = units[u];
    }
    if (r->shared_by == AC_RCA_OTHER) {
        sum = 0;
        for (size_t i = 0; i < r->nnamed; i++)
            sum += r->named[i].share = r->causes[r->named[i].cause].score;
    }
    for (size_t i = 0; i < r->nnamed; i++)
        r->named[i].share = sum > 0.0 ? r->named[i].share / sum : 0.0;
}

/* Who is named is no victim. */
static void leave_impact(struct ac_rca_result *r, int component)
{
    size_t n = 0;
    for (size_t i = 0; i < r->nimpact; i++)
        if (r->impact[i] != component)
            r->impact[n++] = r->impact[i];
    r->nimpact = n;
}

void rca_several(struct rca_work *k, struct ac_rca_result *r)
{
    bool *above = ac_xcalloc(k->c->ncomponents, sizeof(bool)); /* calls a named cause */
    double best = r->causes[0].score;
    struct rca_calls calls;
    rca_calls_init(&calls, k->c);
    if (best > 0.0) {
        r->named[r->nnamed++] = (struct ac_rca_named){.cause = 0};
        spread(&calls, r->causes[0].component, above);
    }
    for (size_t i = 1; best > 0.0 && i < r->ncauses && r->nnamed < AC_RCA_MAX_NAMED; i++) {
        double own = own_score(k, above, &r->causes[i]);
        if (own < BESIDE * best || !(own > k->p->threshold))
            continue;
        r->named[r->nnamed++] = (struct ac_rca_named){.cause = i};
        spread(&calls, r->causes[i].component, above);
        leave_impact(r, r->causes[i].component);
    }
    share_out(k, r);
    rca_calls_fini(&calls);
    free(above);
}
