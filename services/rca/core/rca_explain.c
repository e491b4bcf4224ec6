/* First failure, impact, and the path from the root cause to the entry with the proof of each edge:
 * the call exists, both ends deviate, and the cause's end not after the effect's. */
#include "rca_calls.h"
#include "rca_work.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

static void show(struct ac_rca_shown *s, double z, int64_t onset_ns, enum ac_rca_kind kind,
                 bool symptom)
{
    if (z > s->z)
        s->z = z;
    if (z < AC_RCA_Z_DEVIATES)
        return;
    if (!s->deviates || onset_ns < s->onset_ns)
        s->onset_ns = onset_ns;
    s->deviates = true;
    if (!symptom)
        return;
    if (!s->symptomatic || onset_ns < s->symptom_onset_ns)
        s->symptom_onset_ns = onset_ns;
    if (z > s->z_symptom) {
        s->z_symptom = z;
        s->symptom = kind;
    }
    s->symptomatic = true;
}

static bool is_symptom(enum ac_rca_kind k)
{
    return k == AC_RCA_LAT || k == AC_RCA_ERR || k == AC_RCA_GAP || k == AC_RCA_EGAP ||
           k == AC_RCA_SLI;
}

static void collect(struct rca_work *k, struct ac_rca_result *r)
{
    const struct ac_rca_case *c = k->c;
    r->shown = ac_xcalloc(c->ncomponents, sizeof(*r->shown));
    for (size_t i = 0; i < c->ncomponents; i++) {
        struct ac_rca_shown *s = &r->shown[i];
        s->onset_ns = s->symptom_onset_ns = r->t0_ns;
        for (int kind = AC_RCA_OTHER + 1; kind < AC_RCA_CALLER; kind++) {
            const struct rca_best *b = &k->best[i][kind];
            if (!b->has || kind == AC_RCA_SILENT)
                continue;
            bool symptom = is_symptom((enum ac_rca_kind)kind);
            if (b->rise)
                show(s, b->z, b->onset_ns, (enum ac_rca_kind)kind, symptom);
            if (b->fall)
                show(s, b->z_down, b->onset_down_ns, (enum ac_rca_kind)kind, false);
        }
    }
}

static void first_failure(struct ac_rca_result *r, size_t n)
{
    r->first_failure = -1;
    for (size_t i = 0; i < n; i++) {
        const struct ac_rca_shown *s = &r->shown[i];
        if (!s->symptomatic)
            continue;
        const struct ac_rca_shown *f = r->first_failure >= 0 ? &r->shown[r->first_failure] : NULL;
        if (!f || s->symptom_onset_ns < f->symptom_onset_ns ||
            (s->symptom_onset_ns == f->symptom_onset_ns && s->z_symptom > f->z_symptom))
            r->first_failure = (int)i;
    }
    if (r->first_failure >= 0)
        r->first_failure_ns = r->shown[r->first_failure].symptom_onset_ns;
}

static void impact(struct ac_rca_result *r, size_t n)
{
    r->impact = ac_xcalloc(n, sizeof(*r->impact));
    for (size_t i = 0; i < n; i++) {
        if (!r->shown[i].symptomatic || (r->ncauses > 0 && (int)i == r->causes[0].component))
            continue;
        size_t j = r->nimpact++;
        for (; j > 0 && r->shown[r->impact[j - 1]].symptom_onset_ns > r->shown[i].symptom_onset_ns;
             j--)
            r->impact[j] = r->impact[j - 1];
        r->impact[j] = (int)i;
    }
}

/* Callers outward from the root cause, breadth first, through what deviates, along the first of the
 * calls that lead there as soon; dist -1: not reached. */
static void walk_up(const struct rca_calls *k, const struct ac_rca_result *r, int root, int *dist,
                    int *via)
{
    size_t n = k->c->ncomponents, head = 0, tail = 0;
    int *queue = ac_xcalloc(n + 1, sizeof(int));
    for (size_t i = 0; i < n; i++)
        dist[i] = via[i] = -1;
    dist[root] = 0;
    queue[tail++] = root;
    while (head < tail) {
        int to = queue[head++];
        for (size_t i = k->in_at[to]; i < k->in_at[to + 1]; i++) {
            int e = k->in[i], from = k->c->edges[e].from;
            if (dist[from] < 0 && r->shown[from].deviates) {
                dist[from] = dist[to] + 1;
                via[from] = e;
                queue[tail++] = from;
            } else if (dist[from] == dist[to] + 1) {
                via[from] = AC_MIN(via[from], e);
            }
        }
    }
    free(queue);
}

/* The end of the path: an entry (nobody calls it) with symptoms, else the farthest with symptoms.
 */
static int path_end(const struct rca_calls *k, const struct ac_rca_result *r, int root,
                    const int *dist)
{
    int end = -1;
    bool end_entry = false;
    for (size_t i = 0; i < k->c->ncomponents; i++) {
        if ((int)i == root || dist[i] < 0 || !r->shown[i].symptomatic)
            continue;
        bool entry = k->in_at[i] == k->in_at[i + 1];
        if (end < 0 || (entry && !end_entry) ||
            (entry == end_entry &&
             (entry ? r->shown[i].z_symptom > r->shown[end].z_symptom : dist[i] > dist[end]))) {
            end = (int)i;
            end_entry = entry;
        }
    }
    return end;
}

static void path(struct rca_work *k, struct ac_rca_result *r)
{
    const struct ac_rca_case *c = k->c;
    if (r->ncauses == 0 || !(r->causes[0].score > 0.0))
        return;
    int root = r->causes[0].component;
    int *dist = ac_xcalloc(c->ncomponents, sizeof(*dist));
    int *via = ac_xcalloc(c->ncomponents, sizeof(*via));
    struct rca_calls calls;
    rca_calls_init(&calls, c);
    walk_up(&calls, r, root, dist, via);
    int at = path_end(&calls, r, root, dist);
    rca_calls_fini(&calls);
    if (at >= 0) {
        r->npath = (size_t)dist[at];
        r->path = ac_xcalloc(r->npath, sizeof(*r->path));
    }
    for (size_t i = r->npath; i > 0; i--) {
        const struct ac_rca_edge *e = &c->edges[via[at]];
        const struct ac_rca_shown *cause = &r->shown[e->to], *effect = &r->shown[e->from];
        r->path[i - 1] = (struct ac_rca_step){
            .cause = e->to,
            .effect = e->from,
            .topology = true,
            .deviation = cause->deviates && effect->deviates,
            .order = cause->onset_ns <= effect->onset_ns + 2 * k->step_ns,
            .z_cause = cause->z,
            .z_effect = effect->z,
            .onset_cause_ns = cause->onset_ns,
            .onset_effect_ns = effect->onset_ns,
            .evidence = e->evidence,
        };
        at = e->to;
    }
    free(dist);
    free(via);
}

void rca_explain(struct rca_work *k, struct ac_rca_result *r)
{
    size_t n = k->c->ncomponents;
    collect(k, r);
    first_failure(r, n);
    impact(r, n);
    path(k, r);
}
