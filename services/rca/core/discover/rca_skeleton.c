#include "discover/rca_skeleton.h"

#include <string.h>

#include <aceso/base.h>

#include "discover/rca_scout.h"

void ac_rca_knowledge_init(struct ac_rca_knowledge *k, size_t p)
{
    k->p = p;
    k->forbidden = ac_xcalloc(p * p + 1, sizeof(bool));
    k->required = ac_xcalloc(p * p + 1, sizeof(bool));
}

void ac_rca_knowledge_fini(struct ac_rca_knowledge *k)
{
    free(k->forbidden);
    free(k->required);
    memset(k, 0, sizeof(*k));
}

/* ---- sets by pair: open addressing, empty sets take no place ---- */

struct entry {
    uint64_t key; /* x * p + y + 1 with x < y; 0: free */
    int *v;
    uint32_t n, cap;
};

struct ac_rca_sepsets {
    size_t p, n, cap; /* cap is a power of two */
    struct entry *e;
};

struct ac_rca_sepsets *ac_rca_sepsets_create(size_t p)
{
    struct ac_rca_sepsets *s = ac_xcalloc(1, sizeof(*s));
    s->p = p;
    s->cap = 64;
    s->e = ac_xcalloc(s->cap, sizeof(s->e[0]));
    return s;
}

void ac_rca_sepsets_destroy(struct ac_rca_sepsets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->cap; i++)
        free(s->e[i].v);
    free(s->e);
    free(s);
}

static struct entry *slot_of(struct entry *e, size_t cap, uint64_t key)
{
    size_t i = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20;
    while (e[i & (cap - 1)].key != 0 && e[i & (cap - 1)].key != key)
        i++;
    return &e[i & (cap - 1)];
}

static uint64_t key_of(const struct ac_rca_sepsets *s, int x, int y)
{
    return (uint64_t)AC_MIN(x, y) * s->p + (uint64_t)AC_MAX(x, y) + 1;
}

static const struct entry *find(const struct ac_rca_sepsets *s, int x, int y)
{
    return slot_of(s->e, s->cap, key_of(s, x, y));
}

bool ac_rca_sepsets_has(const struct ac_rca_sepsets *s, int x, int y, int v)
{
    const struct entry *e = find(s, x, y);
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i] == v)
            return true;
    return false;
}

size_t ac_rca_sepsets_size(const struct ac_rca_sepsets *s, int x, int y)
{
    return find(s, x, y)->n;
}

static void rehash(struct ac_rca_sepsets *s)
{
    size_t cap = s->cap * 2;
    struct entry *e = ac_xcalloc(cap, sizeof(*e));
    for (size_t i = 0; i < s->cap; i++)
        if (s->e[i].key)
            *slot_of(e, cap, s->e[i].key) = s->e[i];
    free(s->e);
    s->e = e;
    s->cap = cap;
}

void ac_rca_sepsets_add(struct ac_rca_sepsets *s, int x, int y, const int *set, size_t k)
{
    if (k == 0)
        return;
    if (2 * (s->n + 1) > s->cap)
        rehash(s);
    struct entry *e = slot_of(s->e, s->cap, key_of(s, x, y));
    if (!e->key) {
        e->key = key_of(s, x, y);
        s->n++;
    }
    for (size_t i = 0; i < k; i++) {
        size_t j = 0;
        while (j < e->n && e->v[j] != set[i])
            j++;
        if (j < e->n)
            continue;
        size_t cap = e->cap;
        ac_grow(&e->v, &cap, e->n + 1, sizeof(e->v[0]));
        e->cap = (uint32_t)cap;
        e->v[e->n++] = set[i];
    }
}

/* ---- the search ---- */

bool ac_rca_next_subset(size_t *c, size_t k, size_t n)
{
    for (size_t i = k; i-- > 0;) {
        if (c[i] < n - k + i) {
            c[i]++;
            for (size_t j = i + 1; j < k; j++)
                c[j] = c[j - 1] + 1;
            return true;
        }
    }
    return false;
}

struct search {
    struct ac_rca_ci *t;
    struct ac_rca_pdag *g;
    struct ac_rca_sepsets *s;
    bool all_sets;
    bool *removed; /* p x p, at this level */
    int *adj;
    size_t subset[AC_RCA_MAX_GIVEN];
    int set[AC_RCA_MAX_GIVEN];
};

/* All sets of size k out of the neighbours of x, each against all other neighbours. */
static void try_node(struct search *q, int x, size_t k)
{
    size_t n = ac_rca_neighbours(q->g, x, q->adj), p = q->g->p, left = 0;
    bool *removed = q->removed + (size_t)x * p;
    for (size_t i = 0; i < n; i++)
        left += q->all_sets || !removed[q->adj[i]];
    if (n < k + 1)
        return;
    for (size_t i = 0; i < k; i++)
        q->subset[i] = i;
    do {
        for (size_t i = 0; i < k; i++)
            q->set[i] = q->adj[q->subset[i]];
        q->t->given(q->t, q->set, k);
        size_t next = 0;
        for (size_t i = 0; i < n; i++) {
            if (next < k && q->subset[next] == i) {
                next++;
                continue;
            }
            int y = q->adj[i];
            if ((removed[y] && !q->all_sets) || !q->t->independent(q->t, x, y))
                continue;
            left -= !q->all_sets;
            removed[y] = q->removed[(size_t)y * p + (size_t)x] = true;
            ac_rca_sepsets_add(q->s, x, y, q->set, k);
        }
    } while (left > 0 && ac_rca_next_subset(q->subset, k, n));
}

/* Without conditions each pair needs one test only. */
static void try_pairs(struct search *q)
{
    size_t p = q->g->p;
    q->t->given(q->t, NULL, 0);
    for (size_t x = 0; x < p; x++)
        for (size_t y = x + 1; y < p; y++)
            if (q->g->m[x * p + y] != AC_RCA_NONE && q->t->independent(q->t, (int)x, (int)y))
                q->removed[x * p + y] = q->removed[y * p + x] = true;
}

static size_t max_degree(const struct ac_rca_pdag *g)
{
    size_t max = 0;
    for (size_t i = 0; i < g->p; i++) {
        size_t n = 0;
        for (size_t j = 0; j < g->p; j++)
            n += g->m[i * g->p + j] != AC_RCA_NONE;
        max = AC_MAX(max, n);
    }
    return max;
}

static void all_edges(struct ac_rca_pdag *g, const struct ac_rca_knowledge *know)
{
    size_t p = g->p;
    for (size_t i = 0; i < p; i++)
        for (size_t j = 0; j < p; j++)
            g->m[i * p + j] =
                i == j || (know && know->forbidden[i * p + j] && know->forbidden[j * p + i])
                    ? AC_RCA_NONE
                    : AC_RCA_TAIL;
}

static void apply_removed(struct search *q, const struct ac_rca_knowledge *know)
{
    size_t p = q->g->p;
    for (size_t i = 0; i < p * p; i++)
        if (q->removed[i] && !(know && (know->required[i] || know->required[i % p * p + i / p])))
            q->g->m[i] = AC_RCA_NONE;
}

#define MANY_TESTS                                                                                 \
    2e7 /* of the next two levels: more than this, and the graph is scouted first                  \
         */

static bool too_dense(const struct ac_rca_pdag *g)
{
    double tests = 0;
    for (size_t i = 0; i < g->p; i++) {
        double d = 0;
        for (size_t j = 0; j < g->p; j++)
            d += g->m[i * g->p + j] != AC_RCA_NONE;
        tests += d * d + d * d * d / 2.0;
    }
    return tests > MANY_TESTS;
}

static void scout(struct search *q, size_t limit, const struct ac_rca_knowledge *know,
                  struct ac_rca_scout *s)
{
    size_t p = q->g->p;
    double critical[3];
    const double *r = q->all_sets || limit == 0 || !too_dense(q->g)
                          ? NULL
                          : ac_rca_ci_correlations(q->t, critical);
    if (!r)
        return;
    ac_rca_scout_run(r, q->g, critical, (int)AC_MIN(limit, 2), s);
    q->t->tests += s->tests;
    for (size_t i = 0; i < p * p; i++)
        q->removed[i] = s->how[i] || s->how[i % p * p + i / p];
    apply_removed(q, know);
}

/* Sets are asked for only where the ends of a separated pair have a common neighbour. */
static void note_scouted(struct search *q, const struct ac_rca_scout *s)
{
    for (int v = 0; v < (int)q->g->p; v++) {
        size_t n = ac_rca_neighbours(q->g, v, q->adj);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < i; j++) {
                int set[2], a = q->adj[i], b = q->adj[j];
                if (ac_rca_adjacent(q->g, a, b) || ac_rca_sepsets_size(q->s, a, b) > 0)
                    continue;
                ac_rca_sepsets_add(q->s, a, b, set, ac_rca_scout_set(s, a, b, set));
            }
    }
}

void ac_rca_skeleton(struct ac_rca_ci *t, const struct ac_rca_skeleton_params *params,
                     struct ac_rca_pdag *g, struct ac_rca_sepsets *s)
{
    const struct ac_rca_knowledge *know = params->know;
    int max_given = params->max_given;
    size_t p = g->p, cells = p * p;
    struct search q = {.t = t,
                       .g = g,
                       .s = s,
                       .all_sets = params->all_sets,
                       .removed = ac_xcalloc(cells + 1, sizeof(bool)),
                       .adj = ac_xcalloc(p + 1, sizeof(int))};
    struct ac_rca_scout scouted = {0};
    size_t limit = max_given < 0 ? AC_RCA_MAX_GIVEN : AC_MIN((size_t)max_given, AC_RCA_MAX_GIVEN);
    all_edges(g, know);
    for (size_t k = 0; k <= limit && max_degree(g) > k; k++) {
        memset(q.removed, 0, cells);
        if (k == 0)
            try_pairs(&q);
        for (size_t x = 0; k > 0 && x < p; x++)
            try_node(&q, (int)x, k);
        apply_removed(&q, know);
        if (k == 0)
            scout(&q, limit, know, &scouted);
    }
    if (scouted.how)
        note_scouted(&q, &scouted);
    ac_rca_scout_fini(&scouted);
    free(q.removed);
    free(q.adj);
}
