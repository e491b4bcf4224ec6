#include "rca_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>
#include <aceso/str.h>

static const struct {
    const char *name, *text, *unit;
    double weight;
    enum ac_rca_bad bad;
} kinds[AC_RCA_NKINDS] = {
#define X(id, n, w, b, u, t)                                                                       \
    [AC_RCA_##id] = {.name = (n), .text = (t), .unit = (u), .weight = (w), .bad = AC_RCA_BAD_##b},
    AC_RCA_KINDS(X)
#undef X
};

const char *ac_rca_kind_name(enum ac_rca_kind k)
{
    return (unsigned)k < AC_RCA_NKINDS ? kinds[k].name : "?";
}

const char *ac_rca_kind_text(enum ac_rca_kind k)
{
    return (unsigned)k < AC_RCA_NKINDS ? kinds[k].text : "?";
}

double ac_rca_kind_weight(enum ac_rca_kind k)
{
    return (unsigned)k < AC_RCA_NKINDS ? kinds[k].weight : 0.0;
}

enum ac_rca_bad ac_rca_kind_bad(enum ac_rca_kind k)
{
    return (unsigned)k < AC_RCA_NKINDS ? kinds[k].bad : AC_RCA_BAD_HIGH;
}

const char *ac_rca_kind_unit(enum ac_rca_kind k)
{
    return (unsigned)k < AC_RCA_NKINDS ? kinds[k].unit : "";
}

struct ac_rca_case *ac_rca_case_create(void)
{
    struct ac_rca_case *c = ac_xcalloc(1, sizeof(*c));
    c->index = ac_map_create(NULL);
    c->edge_index = ac_map_create(NULL);
    return c;
}

void ac_rca_case_destroy(struct ac_rca_case *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->ncomponents; i++)
        free(c->components[i]);
    for (size_t i = 0; i < c->nmetrics; i++) {
        free(c->metrics[i].name);
        free(c->metrics[i].t_ns);
        free(c->metrics[i].v);
    }
    for (size_t i = 0; i < c->nedges; i++) {
        free(c->edges[i].evidence);
        free(c->edges[i].where);
    }
    for (size_t i = 0; i < c->nevents; i++)
        free(c->events[i].text);
    free(c->components);
    free(c->metrics);
    free(c->edges);
    free(c->events);
    ac_map_destroy(c->index);
    ac_map_destroy(c->edge_index);
    free(c);
}

/* The map holds pointers; a component's number plus one makes a non-NULL one. */
int ac_rca_component_find(const struct ac_rca_case *c, const char *name)
{
    return (int)(intptr_t)ac_map_get(c->index, name) - 1;
}

int ac_rca_component(struct ac_rca_case *c, const char *name)
{
    int i = ac_rca_component_find(c, name);
    if (i >= 0)
        return i;
    if (c->ncomponents >= AC_RCA_MAX_COMPONENTS)
        return AC_ERANGE;
    ac_grow(&c->components, &c->components_cap, c->ncomponents + 1, sizeof(c->components[0]));
    c->components[c->ncomponents++] = ac_xstrdup(name);
    ac_map_set(c->index, name, (void *)(intptr_t)c->ncomponents);
    return (int)c->ncomponents - 1;
}

int ac_rca_metric_add(struct ac_rca_case *c, int component, int peer, enum ac_rca_kind kind,
                      enum ac_rca_statistic statistic, const char *name)
{
    AC_ASSERT(component >= 0 && (size_t)component < c->ncomponents);
    AC_ASSERT(peer < (int)c->ncomponents);
    if (c->nmetrics >= AC_RCA_MAX_METRICS)
        return AC_ERANGE;
    ac_grow(&c->metrics, &c->metrics_cap, c->nmetrics + 1, sizeof(c->metrics[0]));
    struct ac_rca_metric *m = &c->metrics[c->nmetrics];
    *m = (struct ac_rca_metric){
        .component = component,
        .peer = peer,
        .kind = kind,
        .statistic = statistic,
        .bad = ac_rca_kind_bad(kind),
        .slope = 1.0,
        .name = ac_xstrdup(name),
    };
    (void)snprintf(m->unit, sizeof(m->unit), "%s", ac_rca_kind_unit(kind));
    return (int)c->nmetrics++;
}

static bool is_share(enum ac_rca_kind k)
{
    return ac_streq(ac_rca_kind_unit(k), "%");
}

/* See struct ac_rca_metric. */
static void turn(struct ac_rca_metric *m)
{
    double factor = ac_rca_unit_factor(m->unit, ac_rca_kind_unit(m->kind));
    m->base = 0.0;
    m->slope = factor > 0.0 ? factor : 1.0;
    if (m->bad != AC_RCA_BAD_LOW || m->kind == AC_RCA_LOAD || m->kind == AC_RCA_CLOAD)
        return;
    m->slope = -m->slope;
    if (is_share(m->kind) || ac_streq(m->unit, "%"))
        m->base = 100.0;
    else if (ac_streq(m->unit, "ratio"))
        m->base = 1.0;
}

void ac_rca_metric_means(struct ac_rca_metric *m, const char *unit, enum ac_rca_bad bad)
{
    struct ac_rca_metric old = *m;
    (void)snprintf(m->unit, sizeof(m->unit), "%s", unit);
    m->bad = bad;
    turn(m);
    if (m->base == old.base && m->slope == old.slope)
        return;
    for (size_t i = 0; i < m->n; i++)
        m->v[i] = ac_rca_held(m, ac_rca_measured(&old, m->v[i]));
}

double ac_rca_held(const struct ac_rca_metric *m, double measured)
{
    return m->base + m->slope * measured;
}

double ac_rca_measured(const struct ac_rca_metric *m, double held)
{
    return (held - m->base) / m->slope;
}

bool ac_rca_bad_rise(const struct ac_rca_metric *m)
{
    return m->bad != AC_RCA_BAD_LOW || m->slope < 0.0;
}

bool ac_rca_bad_fall(const struct ac_rca_metric *m)
{
    return m->bad == AC_RCA_BAD_BOTH || (m->bad == AC_RCA_BAD_LOW && m->slope > 0.0);
}

void ac_rca_metric_push(struct ac_rca_metric *m, int64_t t_ns, double v)
{
    if (!(fabs(v) <= AC_RCA_VALUE_MAX) || (m->n > 0 && t_ns <= m->t_ns[m->n - 1]))
        return;
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 64;
        m->t_ns = ac_xrealloc(m->t_ns, ac_mul_size(cap, sizeof(m->t_ns[0])));
        m->v = ac_xrealloc(m->v, ac_mul_size(cap, sizeof(m->v[0])));
        m->cap = cap;
    }
    m->t_ns[m->n] = t_ns;
    m->v[m->n++] = v;
}

static void fill_in(char **text, const char *with)
{
    if (!with || !*with || **text)
        return;
    free(*text);
    *text = ac_xstrdup(with);
}

int ac_rca_edge_cite(struct ac_rca_case *c, int from, int to, const char *evidence,
                     const char *where)
{
    AC_ASSERT(from >= 0 && (size_t)from < c->ncomponents && to >= 0 && (size_t)to < c->ncomponents);
    if (from == to)
        return 0;
    char key[32];
    (void)snprintf(key, sizeof(key), "%d>%d", from, to);
    size_t at = (size_t)(intptr_t)ac_map_get(c->edge_index, key);
    if (at == 0) {
        if (c->nedges >= AC_RCA_MAX_EDGES)
            return AC_ERANGE;
        ac_grow(&c->edges, &c->edges_cap, c->nedges + 1, sizeof(c->edges[0]));
        c->edges[c->nedges++] = (struct ac_rca_edge){
            .from = from, .to = to, .evidence = ac_xstrdup(""), .where = ac_xstrdup("")};
        at = c->nedges;
        ac_map_set(c->edge_index, key, (void *)(intptr_t)at);
    }
    fill_in(&c->edges[at - 1].evidence, evidence);
    fill_in(&c->edges[at - 1].where, where);
    return 0;
}

int ac_rca_edge_add(struct ac_rca_case *c, int from, int to, const char *evidence)
{
    return ac_rca_edge_cite(c, from, to, evidence, "");
}

int ac_rca_event_add(struct ac_rca_case *c, const struct ac_rca_event *e)
{
    AC_ASSERT(e->component >= 0 && (size_t)e->component < c->ncomponents);
    if (c->nevents >= AC_RCA_MAX_EVENTS)
        return AC_ERANGE;
    ac_grow(&c->events, &c->events_cap, c->nevents + 1, sizeof(c->events[0]));
    struct ac_rca_event *n = &c->events[c->nevents++];
    *n = *e;
    if (n->about < 0 || (size_t)n->about >= c->ncomponents)
        n->about = e->component;
    if (n->count == 0)
        n->count = 1;
    n->text = ac_xstrdup(e->text ? e->text : "");
    return 0;
}

static bool same_place(const struct ac_rca_metric *a, const struct ac_rca_metric *b)
{
    return a->component == b->component && a->peer == b->peer && a->kind == b->kind;
}

void ac_rca_case_one_statistic(struct ac_rca_case *c)
{
    for (size_t i = 0; i < c->nmetrics; i++) {
        struct ac_rca_metric *m = &c->metrics[i];
        if (m->kind != AC_RCA_LAT && m->kind != AC_RCA_CLAT && m->kind != AC_RCA_GAP)
            continue;
        for (size_t j = 0; j < c->nmetrics; j++) {
            const struct ac_rca_metric *o = &c->metrics[j];
            if (i != j && same_place(m, o) && o->n > 0 && o->statistic < m->statistic) {
                m->kind = AC_RCA_OTHER;
                break;
            }
        }
    }
}
