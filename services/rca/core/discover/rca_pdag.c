#include "discover/rca_pdag.h"

#include <string.h>

#include <aceso/base.h>

void ac_rca_pdag_init(struct ac_rca_pdag *g, size_t p)
{
    g->p = p;
    g->m = ac_xcalloc(p ? p : 1, p ? p : 1);
}

void ac_rca_pdag_fini(struct ac_rca_pdag *g)
{
    free(g->m);
    g->m = NULL;
    g->p = 0;
}

void ac_rca_pdag_copy(struct ac_rca_pdag *to, const struct ac_rca_pdag *from)
{
    AC_ASSERT(to->p == from->p);
    memcpy(to->m, from->m, from->p * from->p);
}

bool ac_rca_pdag_equal(const struct ac_rca_pdag *a, const struct ac_rca_pdag *b)
{
    return a->p == b->p && memcmp(a->m, b->m, a->p * a->p) == 0;
}

size_t ac_rca_pdag_distance(const struct ac_rca_pdag *a, const struct ac_rca_pdag *b)
{
    size_t n = 0;
    AC_ASSERT(a->p == b->p);
    for (size_t i = 0; i < a->p; i++)
        for (size_t j = 0; j < i; j++)
            n += a->m[i * a->p + j] != b->m[i * a->p + j] ||
                 a->m[j * a->p + i] != b->m[j * a->p + i];
    return n;
}

size_t ac_rca_neighbours(const struct ac_rca_pdag *g, int a, int *out)
{
    const int8_t *row = g->m + (size_t)a * g->p;
    size_t n = 0;
    for (size_t i = 0; i < g->p; i++)
        if (row[i] != AC_RCA_NONE)
            out[n++] = (int)i;
    return n;
}

bool ac_rca_ancestor(const struct ac_rca_pdag *g, int a, int b)
{
    int p = (int)g->p;
    bool *seen = ac_xcalloc(g->p, sizeof(*seen));
    int *queue = ac_xcalloc(g->p, sizeof(*queue));
    size_t head = 0, tail = 0;
    seen[a] = true;
    queue[tail++] = a;
    while (head < tail && !seen[b]) {
        int i = queue[head++];
        for (int j = 0; j < p; j++) {
            if (!seen[j] && ac_rca_directed(g, i, j)) {
                seen[j] = true;
                queue[tail++] = j;
            }
        }
    }
    bool found = seen[b];
    free(seen);
    free(queue);
    return found;
}

struct lists { /* neighbours of all nodes, which Meek's rules do not change */
    int **adj;
    size_t *n;
    bool *seen; /* scratch of one walk; all false between walks */
    int *queue;
};

/* Is there a path a -> ... -> b of directed edges (or a = b)? */
static bool leads_to(const struct ac_rca_pdag *g, const struct lists *l, int a, int b)
{
    size_t head = 0, tail = 0;
    l->seen[a] = true;
    l->queue[tail++] = a;
    while (head < tail && !l->seen[b]) {
        int i = l->queue[head++];
        for (size_t k = 0; k < l->n[i]; k++) {
            int j = l->adj[i][k];
            if (!l->seen[j] && ac_rca_directed(g, i, j)) {
                l->seen[j] = true;
                l->queue[tail++] = j;
            }
        }
    }
    bool found = l->seen[b];
    for (size_t i = 0; i < tail; i++)
        l->seen[l->queue[i]] = false;
    return found;
}

/* a - b becomes a -> b unless that would close a cycle. */
static bool direct(struct ac_rca_pdag *g, const struct lists *l, int a, int b)
{
    if (leads_to(g, l, b, a))
        return false;
    ac_rca_put(g, a, b, AC_RCA_TAIL, AC_RCA_ARROW);
    return true;
}

/* i -> j - k, i and k apart: j -> k, or there would be a new collider. */
static bool meek_1(struct ac_rca_pdag *g, const struct lists *l)
{
    bool changed = false;
    for (int j = 0; j < (int)g->p; j++)
        for (size_t a = 0; a < l->n[j]; a++) {
            int i = l->adj[j][a];
            for (size_t b = 0; b < l->n[j] && ac_rca_directed(g, i, j); b++) {
                int k = l->adj[j][b];
                if (k != i && ac_rca_undirected(g, j, k) && !ac_rca_adjacent(g, i, k) &&
                    direct(g, l, j, k))
                    changed = true;
            }
        }
    return changed;
}

/* i -> j -> k and i - k: i -> k, or there would be a cycle. */
static bool meek_2(struct ac_rca_pdag *g, const struct lists *l)
{
    bool changed = false;
    for (int j = 0; j < (int)g->p; j++)
        for (size_t a = 0; a < l->n[j]; a++) {
            int i = l->adj[j][a];
            for (size_t b = 0; b < l->n[j] && ac_rca_directed(g, i, j); b++) {
                int k = l->adj[j][b];
                if (k != i && ac_rca_directed(g, j, k) && ac_rca_undirected(g, i, k) &&
                    direct(g, l, i, k))
                    changed = true;
            }
        }
    return changed;
}

/* i - j -> m, i - k -> m, j and k apart, i - m: i -> m. */
static bool meek_3(struct ac_rca_pdag *g, const struct lists *l)
{
    bool changed = false;
    for (int j = 0; j < (int)g->p; j++)
        for (size_t a = 0; a < l->n[j]; a++) {
            int i = l->adj[j][a];
            for (size_t b = 0; b < l->n[j] && ac_rca_undirected(g, i, j); b++) {
                int m = l->adj[j][b];
                if (m == i || !ac_rca_directed(g, j, m))
                    continue;
                for (size_t c = 0; c < l->n[i] && ac_rca_undirected(g, i, m); c++) {
                    int k = l->adj[i][c];
                    if (k > j && ac_rca_undirected(g, i, k) && ac_rca_directed(g, k, m) &&
                        !ac_rca_adjacent(g, j, k) && direct(g, l, i, m))
                        changed = true;
                }
            }
        }
    return changed;
}

void ac_rca_meek(struct ac_rca_pdag *g)
{
    struct lists l = {.adj = ac_xcalloc(g->p, sizeof(l.adj[0])),
                      .n = ac_xcalloc(g->p, sizeof(l.n[0])),
                      .seen = ac_xcalloc(g->p, sizeof(bool)),
                      .queue = ac_xcalloc(g->p, sizeof(int))};
    int *row = ac_xcalloc(g->p, sizeof(*row));
    for (size_t i = 0; i < g->p; i++) {
        l.n[i] = ac_rca_neighbours(g, (int)i, row);
        l.adj[i] = ac_xcalloc(l.n[i] + 1, sizeof(int));
        memcpy(l.adj[i], row, l.n[i] * sizeof(int));
    }
    for (bool changed = true; changed;) {
        changed = meek_1(g, &l);
        changed |= meek_2(g, &l);
        changed |= meek_3(g, &l);
    }
    for (size_t i = 0; i < g->p; i++)
        free(l.adj[i]);
    free(l.adj);
    free(l.n);
    free(l.seen);
    free(l.queue);
    free(row);
}
