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

#define NONE UINT32_MAX /* no name */

struct span {
    uint64_t trace[2], id, parent;
    double ms;
    uint32_t component, peer; /* names */
    uint32_t callee;          /* of a client span: the server's component */
    uint8_t kind, status;
};

struct name {
    uint32_t number;
    bool component; /* of a span */
    char text[];
};

/* Pairs of names to what is known of them: a caller's edge, or a caller's peer. Open addressing. */
struct pairs {
    struct pair {
        uint64_t key; /* 0 = free */
        uint32_t value;
    } * slots;
    size_t n, cap; /* cap is a power of two */
};

struct col_graph {
    struct span *spans;
    size_t n, cap;
    uint32_t *slots; /* index + 1 by hash; a power of two of them */
    size_t n_slots;
    struct ac_map *by_text; /* struct name */
    struct name **names;    /* by number */
    size_t n_names, cap_names;
    struct col_edge *edges;
    size_t n_edges, cap_edges;
    const char **components;
};

static void edges_clear(struct col_graph *g)
{
    for (size_t i = 0; i < g->n_edges; i++) {
        free(g->edges[i].caller);
        free(g->edges[i].callee);
    }
    g->n_edges = 0;
}

struct col_graph *col_graph_create(void)
{
    struct col_graph *g = ac_xcalloc(1, sizeof(*g));
    g->by_text = ac_map_create(free);
    return g;
}

void col_graph_destroy(struct col_graph *g)
{
    if (!g)
        return;
    edges_clear(g);
    ac_map_destroy(g->by_text);
    free(g->names);
    free(g->spans);
    free(g->slots);
    free(g->edges);
    free(g->components);
    free(g);
}

size_t col_graph_spans(const struct col_graph *g)
{
    return g->n;
}

static uint32_t name(struct col_graph *g, const char *s, bool component)
{
    if (!s[0])
        return NONE;
    struct name *have = ac_map_get(g->by_text, s);
    if (!have) {
        size_t n = strlen(s) + 1;
        have = ac_xcalloc(1, sizeof(*have) + n);
        memcpy(have->text, s, n);
        have->number = (uint32_t)g->n_names;
        ac_map_set(g->by_text, s, have);
        ac_grow(&g->names, &g->cap_names, g->n_names + 1, sizeof(struct name *));
        g->names[g->n_names++] = have;
    }
    have->component = have->component || component;
    return have->number;
}

static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 29);
}

/* ---- pairs ---- */

static struct pair *pair_slot(const struct pairs *p, uint64_t key)
{
    for (size_t i = mix(key) & (p->cap - 1);; i = (i + 1) & (p->cap - 1))
        if (p->slots[i].key == key || p->slots[i].key == 0)
            return &p->slots[i];
}

static struct pair *pair_get(struct pairs *p, uint32_t a, uint32_t b)
{
    uint64_t key = ((uint64_t)a << 32 | b) + 1;
    if (2 * (p->n + 1) > p->cap) {
        struct pairs old = *p;
        p->cap = old.cap ? 2 * old.cap : 64;
        p->slots = ac_xcalloc(p->cap, sizeof(*p->slots));
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i].key)
                *pair_slot(p, old.slots[i].key) = old.slots[i];
        free(old.slots);
    }
    struct pair *s = pair_slot(p, key);
    if (s->key == 0) {
        *s = (struct pair){key, NONE};
        p->n++;
    }
    return s;
}

/* ---- spans ---- */

/* The slot of a span, or the free one where it would be. */
static uint32_t *slot(const struct col_graph *g, const uint64_t trace[2], uint64_t id)
{
    size_t mask = g->n_slots - 1;
    uint64_t h = trace[0] ^ (trace[1] * 0x9e3779b97f4a7c15u) ^ (id * 0xff51afd7ed558ccdu);
    for (size_t i = mix(h) & mask;; i = (i + 1) & mask) {
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
    g->n_slots = g->n_slots ? 4 * g->n_slots : 1024;
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
                                     .component = name(g, span->component, true),
                                     .peer = name(g, span->peer, false),
                                     .callee = NONE,
                                     .kind = span->kind,
                                     .status = span->status};
    *at = (uint32_t)g->n;
}

/* ---- edges ---- */

static void count(struct col_graph *g, struct pairs *edges, uint32_t caller, uint32_t callee,
                  const struct span *s)
{
    struct pair *p = pair_get(edges, caller, callee);
    if (p->value == NONE) {
        p->value = (uint32_t)g->n_edges;
        ac_grow(&g->edges, &g->cap_edges, g->n_edges + 1, sizeof(*g->edges));
        g->edges[g->n_edges++] = (struct col_edge){.caller = ac_xstrdup(g->names[caller]->text),
                                                   .callee = ac_xstrdup(g->names[callee]->text)};
    }
    struct col_edge *e = &g->edges[p->value];
    e->calls++;
    e->errors += s->status == ERROR;
    e->total_ms += s->ms;
}

/* Servers find their callers. What a caller's peer is called by itself is noted for its calls whose
 * server span was not kept. */
static void join(struct col_graph *g, struct pairs *edges, struct pairs *aliases)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct span *s = &g->spans[i];
        uint32_t at = s->kind == SERVER && s->parent ? *slot(g, s->trace, s->parent) : 0;
        if (at == 0 || s->component == NONE)
            continue;
        struct span *up = &g->spans[at - 1];
        if (up->kind != CLIENT) {
            if (up->component != s->component && up->component != NONE)
                count(g, edges, up->component, s->component, s);
            continue;
        }
        up->callee = s->component;
        if (up->peer != NONE)
            pair_get(aliases, up->component, up->peer)->value = s->component;
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
    struct pairs edges = {0}, aliases = {0};
    edges_clear(g);
    if (g->n > 0)
        join(g, &edges, &aliases);
    for (size_t i = 0; i < g->n; i++) {
        const struct span *s = &g->spans[i];
        uint32_t callee = s->callee;
        if (s->kind != CLIENT || s->component == NONE)
            continue;
        if (callee == NONE && s->peer != NONE) {
            callee = pair_get(&aliases, s->component, s->peer)->value;
            if (callee == NONE)
                callee = s->peer;
        }
        if (callee != NONE)
            count(g, &edges, s->component, callee, s);
    }
    free(edges.slots);
    free(aliases.slots);
    if (g->n_edges > 1)
        qsort(g->edges, g->n_edges, sizeof(*g->edges), by_ends);
    *ret_n = g->n_edges;
    return g->edges;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *col_graph_components(struct col_graph *g, size_t *ret_n)
{
    size_t n = 0, m = 0;
    free(g->components);
    g->components = ac_xcalloc(g->n_names + g->n_edges + 1, sizeof(*g->components));
    for (size_t i = 0; i < g->n_names; i++)
        if (g->names[i]->component)
            g->components[n++] = g->names[i]->text;
    for (size_t i = 0; i < g->n_edges; i++)
        g->components[n++] = g->edges[i].callee;
    if (n > 1)
        qsort(g->components, n, sizeof(*g->components), by_name);
    for (size_t i = 0; i < n; i++)
        if (m == 0 || strcmp(g->components[m - 1], g->components[i]) != 0)
            g->components[m++] = g->components[i];
    *ret_n = m;
    return g->components;
}
