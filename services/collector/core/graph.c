#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/map.h>

enum {
    SERVER = 2,
    CLIENT = 3,
    ERROR = 2
};

struct span {
    uint64_t trace[2], id, parent;
    double ms;
    const char *component, *peer; /* of the names */
    const char *callee;           /* of a client span: the server's component */
    uint8_t kind, status;
};

struct col_graph {
    struct span *spans;
    size_t n, cap;
    uint32_t *slots; /* index + 1 by hash; a power of two of them */
    size_t n_slots;
    struct ac_map *names; /* char * */
    struct ac_map *edges; /* struct col_edge by "caller\x1fcallee" */
    struct col_edge *sorted;
    const char **components;
};

static void edge_free(void *p)
{
    struct col_edge *e = p;
    free(e->caller);
    free(e->callee);
    free(e);
}

struct col_graph *col_graph_create(void)
{
    struct col_graph *g = ac_xcalloc(1, sizeof(*g));
    g->names = ac_map_create(free);
    g->edges = ac_map_create(edge_free);
    return g;
}

void col_graph_destroy(struct col_graph *g)
{
    if (!g)
        return;
    ac_map_destroy(g->names);
    ac_map_destroy(g->edges);
    free(g->spans);
    free(g->slots);
    free(g->sorted);
    free(g->components);
    free(g);
}

size_t col_graph_spans(const struct col_graph *g)
{
    return g->n;
}

static const char *name(struct col_graph *g, const char *s)
{
    char *have = ac_map_get(g->names, s);
    if (!have) {
        have = ac_xstrdup(s);
        ac_map_set(g->names, s, have);
    }
    return have;
}

static uint64_t hash(const uint64_t trace[2], uint64_t id)
{
    uint64_t h = trace[0] ^ (trace[1] * 0x9e3779b97f4a7c15u) ^ (id * 0xff51afd7ed558ccdu);
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 29);
}

/* The slot of a span, or the free one where it would be. */
static uint32_t *slot(const struct col_graph *g, const uint64_t trace[2], uint64_t id)
{
    size_t mask = g->n_slots - 1;
    for (size_t i = hash(trace, id) & mask;; i = (i + 1) & mask) {
        uint32_t at = g->slots[i];
        if (at == 0)
            return &g->slots[i];
        const struct span *s = &g->spans[at - 1];
        if (s->id == id && s->trace[0] == trace[0] && s->trace[1] == trace[1])
            return &g->slots[i];
    }
}

static void grow(struct col_graph *g)
{
    if (2 * (g->n + 1) <= g->n_slots)
        return;
    free(g->slots);
    g->n_slots = g->n_slots ? 2 * g->n_slots : 1024;
    g->slots = ac_xcalloc(g->n_slots, sizeof(*g->slots));
    for (size_t i = 0; i < g->n; i++)
        *slot(g, g->spans[i].trace, g->spans[i].id) = (uint32_t)(i + 1);
}

void col_graph_add(struct col_graph *g, const struct col_event *span)
{
    grow(g);
    uint32_t *at = slot(g, span->trace, span->span);
    if (*at || g->n >= UINT32_MAX - 1)
        return;
    ac_grow(&g->spans, &g->cap, g->n + 1, sizeof(*g->spans));
    g->spans[g->n++] = (struct span){.trace = {span->trace[0], span->trace[1]},
                                     .id = span->span,
                                     .parent = span->parent,
                                     .ms = (double)(span->end_ns - span->t_ns) / 1e6,
                                     .component = name(g, span->component),
                                     .peer = name(g, span->peer),
                                     .kind = span->kind,
                                     .status = span->status};
    *at = (uint32_t)g->n;
}

static void count(struct col_graph *g, const char *caller, const char *callee, const struct span *s)
{
    ac_cleanup(ac_free_p) char *key = ac_xasprintf("%s\x1f%s", caller, callee);
    struct col_edge *e = ac_map_get(g->edges, key);
    if (!e) {
        e = ac_xcalloc(1, sizeof(*e));
        e->caller = ac_xstrdup(caller);
        e->callee = ac_xstrdup(callee);
        ac_map_set(g->edges, key, e);
    }
    e->calls++;
    e->errors += s->status == ERROR;
    e->total_ms += s->ms;
}

/* Servers find their callers. What a caller's peer is called by itself is noted for its calls whose
 * server span was not kept. */
static void join(struct col_graph *g, struct ac_map *aliases)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct span *s = &g->spans[i];
        uint32_t at = s->kind == SERVER && s->parent ? *slot(g, s->trace, s->parent) : 0;
        if (at == 0)
            continue;
        struct span *up = &g->spans[at - 1];
        if (up->kind != CLIENT) {
            if (up->component != s->component)
                count(g, up->component, s->component, s);
            continue;
        }
        up->callee = s->component;
        if (up->peer[0]) {
            ac_cleanup(ac_free_p) char *key = ac_xasprintf("%s\x1f%s", up->component, up->peer);
            ac_map_set(aliases, key, (void *)(uintptr_t)s->component);
        }
    }
}

static int by_ends(const void *a, const void *b)
{
    const struct col_edge *x = a, *y = b;
    int c = strcmp(x->caller, y->caller);
    return c ? c : strcmp(x->callee, y->callee);
}

const struct col_edge *col_graph_edges(struct col_graph *g, size_t *ret_n)
{
    struct ac_map *aliases = ac_map_create(NULL);
    const char *key = NULL;
    void *value = NULL;
    size_t n = 0;
    ac_map_clear(g->edges);
    if (g->n > 0)
        join(g, aliases);
    for (size_t i = 0; i < g->n; i++) {
        const struct span *s = &g->spans[i];
        const char *callee = s->callee;
        if (s->kind != CLIENT)
            continue;
        if (!callee && s->peer[0]) {
            ac_cleanup(ac_free_p) char *alias = ac_xasprintf("%s\x1f%s", s->component, s->peer);
            callee = ac_map_get(aliases, alias);
            if (!callee)
                callee = s->peer;
        }
        if (callee)
            count(g, s->component, callee, s);
    }
    ac_map_destroy(aliases);
    free(g->sorted);
    g->sorted = ac_xcalloc(ac_map_len(g->edges) + 1, sizeof(*g->sorted));
    for (size_t it = 0; ac_map_next(g->edges, &it, &key, &value);)
        g->sorted[n++] = *(const struct col_edge *)value;
    if (n > 1)
        qsort(g->sorted, n, sizeof(*g->sorted), by_ends);
    *ret_n = n;
    return g->sorted;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *col_graph_components(struct col_graph *g, size_t *ret_n)
{
    size_t edges = ac_map_len(g->edges), n = 0, m = 0;
    free(g->components);
    g->components = ac_xcalloc(g->n + edges + 1, sizeof(*g->components));
    for (size_t i = 0; i < g->n; i++)
        if (n == 0 || g->components[n - 1] != g->spans[i].component)
            g->components[n++] = g->spans[i].component;
    for (size_t i = 0; i < edges; i++)
        g->components[n++] = g->sorted[i].callee;
    if (n > 1)
        qsort(g->components, n, sizeof(*g->components), by_name);
    for (size_t i = 0; i < n; i++)
        if (m == 0 || strcmp(g->components[m - 1], g->components[i]) != 0)
            g->components[m++] = g->components[i];
    *ret_n = m;
    return g->components;
}
