#include "rca_spans.h"

#include "rca_bins.h"
#include "rca_hash.h"

#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/map.h>
#include <aceso/str.h>

#define NONE       UINT32_MAX
#define MAX_GROUPS 65536
#define MAX_CELLS  ((size_t)4 << 20) /* bins of all groups */

struct span {
    uint64_t id, parent; /* hashes of trace and span; 0: none */
    int64_t start_ns, duration_ns;
    uint32_t component, name, peer; /* places in names; peer may be NONE */
    uint32_t up;                    /* the parent's place, NONE: not there */
    uint32_t children;
    enum ac_rca_span_kind kind;
    bool failed, answered; /* answered: a child in another component */
};

struct group { /* what a component serves (peer NONE), or asks of another */
    uint32_t component, peer;
    size_t calls, timed;
    double *n, *failed, *seconds, *n_timed; /* by bin */
};

struct ac_rca_spans {
    struct span *s;
    size_t n, cap;
    char **names;
    size_t nnames, names_cap;
    struct ac_map *index; /* name -> 1 + place */
    struct rca_cover cover;
    struct group *g;
    size_t ng, g_cap;
    struct ac_map *groups; /* "component peer" -> 1 + place */
};

struct ac_rca_spans *ac_rca_spans_create(void)
{
    struct ac_rca_spans *s = ac_xcalloc(1, sizeof(*s));
    s->index = ac_map_create(NULL);
    s->groups = ac_map_create(NULL);
    return s;
}

void ac_rca_spans_destroy(struct ac_rca_spans *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->nnames; i++)
        free(s->names[i]);
    for (size_t i = 0; i < s->ng; i++)
        free(s->g[i].n);
    free(s->names);
    free(s->g);
    free(s->s);
    ac_map_destroy(s->index);
    ac_map_destroy(s->groups);
    rca_cover_fini(&s->cover);
    free(s);
}

/* Two of 8 million spans that share a hash would take one another's parent. */
static uint64_t hash(const char *trace, const char *span)
{
    uint64_t h = rca_hash_add(rca_hash_add(RCA_HASH_INIT, trace), span);
    return h ? h : 1;
}

static uint32_t name_of(struct ac_rca_spans *s, const char *name)
{
    intptr_t at = (intptr_t)ac_map_get(s->index, name);
    if (at > 0)
        return (uint32_t)(at - 1);
    ac_grow(&s->names, &s->names_cap, s->nnames + 1, sizeof(s->names[0]));
    s->names[s->nnames++] = ac_xstrdup(name);
    ac_map_set(s->index, name, (void *)(intptr_t)s->nnames);
    return (uint32_t)s->nnames - 1;
}

int ac_rca_spans_add(struct ac_rca_spans *s, const struct ac_rca_span *x, struct ac_err *err)
{
    if (ac_str_empty(x->component) || ac_str_empty(x->id))
        return 0;
    if (s->n >= AC_RCA_MAX_SPANS || s->nnames >= AC_RCA_MAX_SPANS)
        return ac_err_set(err, AC_ERANGE, "more than %d spans", AC_RCA_MAX_SPANS);
    rca_cover_at(&s->cover, x->start_ns);
    const char *trace = x->trace ? x->trace : "";
    ac_grow(&s->s, &s->cap, s->n + 1, sizeof(s->s[0]));
    s->s[s->n++] = (struct span){
        .id = hash(trace, x->id),
        .parent = ac_str_empty(x->parent) ? 0 : hash(trace, x->parent),
        .start_ns = x->start_ns,
        .duration_ns = AC_MAX(x->duration_ns, INT64_C(0)),
        .component = name_of(s, x->component),
        .name = name_of(s, x->name ? x->name : ""),
        .peer = ac_str_empty(x->peer) ? NONE : name_of(s, x->peer),
        .up = NONE,
        .kind = x->kind,
        .failed = x->failed,
    };
    return 0;
}

void ac_rca_spans_end(struct ac_rca_spans *s)
{
    rca_cover_end(&s->cover);
}

bool ac_rca_span_failed(const char *status)
{
    double v;
    if (ac_str_to_f64(status, &v))
        return (v >= 2.0 && v < 100.0) || v >= 500.0;
    return strcasestr(status, "err") || strcasestr(status, "fail") || ac_streq(status, "true");
}

enum ac_rca_span_kind ac_rca_span_kind(const char *word)
{
    static const char *const kinds[] = {"", "internal", "server", "client", "producer", "consumer"};
    int64_t n;
    if (ac_str_to_i64(word, &n))
        return n > 0 && n <= AC_RCA_SPAN_CONSUMER ? (enum ac_rca_span_kind)n : AC_RCA_SPAN_UNKNOWN;
    for (size_t i = 1; i < AC_ARRAY_LEN(kinds); i++)
        if (strcasestr(word, kinds[i]))
            return (enum ac_rca_span_kind)i;
    return AC_RCA_SPAN_UNKNOWN;
}

/* ---- who called whom ---- */

struct by_id {
    uint64_t id;
    uint32_t at;
};

static int compare(const void *a, const void *b)
{
    const struct by_id *x = a, *y = b;
    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->at > y->at) - (x->at < y->at);
}

static void find_parents(struct ac_rca_spans *s)
{
    struct by_id *ids = ac_xcalloc(s->n + 1, sizeof(*ids));
    for (size_t i = 0; i < s->n; i++)
        ids[i] = (struct by_id){s->s[i].id, (uint32_t)i};
    if (s->n > 1)
        qsort(ids, s->n, sizeof(*ids), compare);
    for (size_t i = 0; i < s->n; i++) {
        struct span *x = &s->s[i];
        size_t lo = 0, hi = s->n;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (ids[mid].id < x->parent)
                lo = mid + 1;
            else
                hi = mid;
        }
        if (x->parent == 0 || lo == s->n || ids[lo].id != x->parent || ids[lo].at == i)
            continue;
        x->up = ids[lo].at;
        s->s[x->up].children++;
        s->s[x->up].answered |= s->s[x->up].component != x->component;
    }
    free(ids);
}

/* Whether a parent is the call itself, as its caller sees it, not the work that the call is part
 * of. */
static bool is_call(const struct ac_rca_spans *s, const struct span *p, const struct span *child)
{
    if (p->kind != AC_RCA_SPAN_UNKNOWN)
        return p->kind == AC_RCA_SPAN_CLIENT;
    return p->children == 1 &&
           (p->name == child->name || (p->up != NONE && s->s[p->up].component == p->component));
}

static struct group *group_of(struct ac_rca_spans *s, uint32_t component, uint32_t peer)
{
    char key[32];
    (void)snprintf(key, sizeof(key), "%u %u", component, peer);
    intptr_t at = (intptr_t)ac_map_get(s->groups, key);
    if (at > 0)
        return &s->g[at - 1];
    if (s->ng >= MAX_GROUPS)
        return NULL;
    ac_grow(&s->g, &s->g_cap, s->ng + 1, sizeof(s->g[0]));
    s->g[s->ng] = (struct group){.component = component, .peer = peer};
    ac_map_set(s->groups, key, (void *)(intptr_t)++s->ng);
    return &s->g[s->ng - 1];
}

/* One call: at, how it went, and how long it took (NULL: not known). */
static void count(struct group *g, const struct rca_bins *b, const struct span *at, bool failed,
                  const struct span *timed)
{
    if (!b || !g->n) { /* the first time round groups are only found */
        g->calls++;
        g->timed += timed != NULL;
        return;
    }
    size_t i = rca_bins_at(b, at->start_ns);
    g->n[i]++;
    g->failed[i] += failed;
    if (timed) {
        g->seconds[i] += (double)timed->duration_ns / 1e9;
        g->n_timed[i]++;
    }
}

static int count_all(struct ac_rca_spans *s, const struct rca_bins *b, struct ac_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct span *x = &s->s[i], *up = x->up == NONE ? NULL : &s->s[x->up];
        bool from_outside = !up || up->component != x->component;
        struct group *own = NULL, *edge = NULL;
        if (from_outside && x->kind != AC_RCA_SPAN_CLIENT && x->kind != AC_RCA_SPAN_PRODUCER &&
            (own = group_of(s, x->component, NONE)))
            count(own, b, x, x->failed, x);
        if (up && from_outside && (edge = group_of(s, up->component, x->component))) {
            const struct span *call = is_call(s, up, x) ? up : NULL;
            count(edge, b, call ? call : x, x->failed || (call && call->failed), call);
        }
        if (x->kind == AC_RCA_SPAN_CLIENT && !x->answered && x->peer != NONE &&
            x->peer != x->component && (edge = group_of(s, x->component, x->peer)))
            count(edge, b, x, x->failed, x);
        if (s->ng >= MAX_GROUPS)
            return ac_err_set(err, AC_ERANGE, "more than %d components and calls in the spans",
                              MAX_GROUPS);
    }
    return 0;
}

/* ---- what comes out ---- */

static void push_all(struct ac_rca_metric *m, const struct group *g, const struct rca_bins *b)
{
    bool lat = m->kind == AC_RCA_LAT || m->kind == AC_RCA_CLAT;
    bool err = m->kind == AC_RCA_ERR || m->kind == AC_RCA_CERR;
    for (size_t i = 0; i < b->n; i++) {
        double v = lat   ? g->seconds[i] / g->n_timed[i]
                   : err ? 100.0 * g->failed[i] / g->n[i]
                         : g->n[i] / ((double)b->step_ns / 1e9);
        if (b->covered[i]) /* without calls the latter two are NaN, and dropped */
            ac_rca_metric_push(m, rca_bins_time(b, i), v);
    }
}

static bool replaces(const struct group *g, const struct rca_bins *b)
{
    size_t covered = 0, filled = 0;
    for (size_t i = 0; i < b->n; i++) {
        covered += b->covered[i];
        filled += b->covered[i] && g->n[i] > 0;
    }
    return 2 * filled > covered;
}

/* Measurements of the same that were there before; *ret_any: some are left. */
static void give_way(struct ac_rca_case *c, size_t n, int component, int peer,
                     enum ac_rca_kind kind, bool replaced, bool *ret_any)
{
    *ret_any = false;
    for (size_t i = 0; i < n; i++) {
        struct ac_rca_metric *m = &c->metrics[i];
        if (m->component != component || m->peer != peer || m->kind != kind || m->n == 0)
            continue;
        if (replaced)
            m->kind = AC_RCA_OTHER;
        *ret_any |= !replaced;
    }
}

static int emit(struct ac_rca_spans *s, const struct group *g, const struct rca_bins *b,
                struct ac_rca_case *c, size_t before, struct ac_err *err)
{
    static const struct {
        enum ac_rca_kind own, seen;
        const char *own_name, *seen_name;
    } what[] = {{AC_RCA_LOAD, AC_RCA_CLOAD, "spans.rate", "client.spans.rate"},
                {AC_RCA_ERR, AC_RCA_CERR, "spans.error_percent", "client.spans.error_percent"},
                {AC_RCA_LAT, AC_RCA_CLAT, "spans.latency_s", "client.spans.latency_s"}};
    char text[64];
    bool edge = g->peer != NONE, replaced = replaces(g, b), any;
    int comp = ac_rca_component(c, s->names[g->component]);
    int peer = comp >= 0 && edge ? ac_rca_component(c, s->names[g->peer]) : -1;
    if (comp < 0 || (edge && peer < 0))
        return ac_err_set(err, AC_ERANGE, "more than %d components", AC_RCA_MAX_COMPONENTS);
    (void)snprintf(text, sizeof(text), "%zu span%s", g->calls, g->calls == 1 ? "" : "s");
    int rc = edge ? ac_rca_edge_add(c, comp, peer, text) : 0;
    if (rc)
        return ac_err_set(err, rc, "more than %d calls", AC_RCA_MAX_EDGES);
    for (size_t i = 0; i < AC_ARRAY_LEN(what); i++) {
        enum ac_rca_kind kind = edge ? what[i].seen : what[i].own;
        if ((kind == AC_RCA_LAT || kind == AC_RCA_CLAT) && g->timed == 0)
            continue;
        give_way(c, before, comp, peer, kind, replaced, &any);
        if (any)
            continue;
        int m = ac_rca_metric_add(c, comp, peer, kind, AC_RCA_MEAN,
                                  edge ? what[i].seen_name : what[i].own_name);
        if (m < 0)
            return ac_err_set(err, m, "more than %d measurements", AC_RCA_MAX_METRICS);
        push_all(&c->metrics[m], g, b);
    }
    return 0;
}

int ac_rca_spans_build(struct ac_rca_spans *s, struct ac_rca_case *c, struct ac_err *err)
{
    size_t before = c->nmetrics;
    find_parents(s);
    int rc = count_all(s, NULL, err);
    if (rc)
        return rc;
    struct rca_bins b = rca_bins_make(&s->cover, rca_bins_step(c, &s->cover),
                                      AC_MIN((size_t)20000, MAX_CELLS / (s->ng + 1)));
    for (size_t i = 0; i < s->ng; i++) {
        struct group *g = &s->g[i];
        g->n = ac_xcalloc(4 * b.n, sizeof(double));
        g->failed = g->n + b.n;
        g->seconds = g->failed + b.n;
        g->n_timed = g->seconds + b.n;
    }
    rc = count_all(s, &b, err);
    for (size_t i = 0; !rc && i < s->ng; i++)
        rc = emit(s, &s->g[i], &b, c, before, err);
    rca_bins_fini(&b);
    return rc;
}
