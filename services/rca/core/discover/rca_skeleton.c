#include "discover/rca_skeleton.h"

#include <stdatomic.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/team.h>

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

/* What the sets out of the neighbours of one variable say of it and each of these. */
struct tried {
    int y;
    bool separated;
    uint32_t tests;
};

struct node {
    struct tried *pair;
    size_t n;
    int *sets; /* that separated: which pair, then the set */
    size_t nsets, sets_cap;
    uint8_t *said; /* all_sets: n x n bits, who was in a set of which pair already; while trying */
};

struct search {
    struct ac_rca_ci *t, **twin; /* the tests; by member of the team */
    struct ac_rca_pdag *g;
    struct ac_rca_sepsets *s;
    struct ac_team *team;
    bool all_sets;
    size_t k;      /* size of the sets of this level */
    bool *removed; /* p x p, at this level */
    /* [x * p + y] with y < x: y's own sets have separated the two, so that those of x need not be
     * tried. Set while others look: who looks too early tries in vain, which changes nothing. */
    atomic_uchar *settled;
    struct node *node;
    int *adj; /* p places for each member */
};

/* Whether x and y are separated by a set of x, or by one of y's before that. */
static bool done(const struct search *q, size_t x, const struct tried *pair)
{
    size_t y = (size_t)pair->y;
    return pair->separated ||
           (y < x && atomic_load_explicit(&q->settled[x * q->g->p + y], memory_order_relaxed) != 0);
}

/* Keeps a set that separates. Of all sets of a pair only their members count (ac_rca_sepsets_add):
 * one that brings in nobody new is not kept, so that there are at most n of a pair. */
static void note_set(struct node *v, size_t pair, const size_t *subset, const int *set, size_t k)
{
    bool new = !v->said;
    for (size_t i = 0; v->said && i < k; i++) {
        size_t bit = pair * v->n + subset[i];
        new |= !(v->said[bit / 8] >> bit % 8 & 1);
        v->said[bit / 8] |= (uint8_t)(1u << bit % 8);
    }
    if (!new)
        return;
    ac_grow(&v->sets, &v->sets_cap, v->nsets + k + 1, sizeof(int));
    v->sets[v->nsets] = (int)pair;
    memcpy(v->sets + v->nsets + 1, set, k * sizeof(int));
    v->nsets += k + 1;
}

/* One set against all other neighbours; false when there is none left to separate. */
static bool try_set(struct search *q, struct ac_rca_ci *t, size_t x, const size_t *subset)
{
    struct node *v = &q->node[x];
    size_t k = q->k, next = 0;
    int set[AC_RCA_MAX_GIVEN];
    bool left = false;
    for (size_t i = 0; i < k; i++)
        set[i] = v->pair[subset[i]].y;
    t->given(t, set, k);
    for (size_t i = 0; i < v->n; i++) {
        struct tried *pair = &v->pair[i];
        bool given = next < k && subset[next] == i, skip = !q->all_sets && done(q, x, pair);
        next += given;
        left |= !skip;
        if (given || skip)
            continue;
        pair->tests++;
        if (!t->independent(t, (int)x, pair->y))
            continue;
        pair->separated = true;
        note_set(v, i, subset, set, k);
        if ((size_t)pair->y > x)
            atomic_store_explicit(&q->settled[(size_t)pair->y * q->g->p + x], 1,
                                  memory_order_relaxed);
    }
    return left;
}

/* All sets of size k out of the neighbours of x, each against all other neighbours. */
static void try_node(void *ctx, size_t x, size_t member)
{
    struct search *q = ctx;
    struct node *v = &q->node[x];
    int *adj = q->adj + member * q->g->p;
    size_t subset[AC_RCA_MAX_GIVEN];
    size_t n = ac_rca_neighbours(q->g, (int)x, adj);
    *v = (struct node){0};
    if (n < q->k + 1)
        return;
    v->n = n;
    v->pair = ac_xcalloc(n, sizeof(v->pair[0]));
    for (size_t i = 0; i < n; i++)
        v->pair[i].y = adj[i];
    for (size_t i = 0; i < q->k; i++)
        subset[i] = i;
    if (q->all_sets)
        v->said = ac_xcalloc(n * n / 8 + 1, 1);
    while (try_set(q, q->twin[member], x, subset) && ac_rca_next_subset(subset, q->k, n))
        ;
    free(v->said);
    v->said = NULL;
}

/* Takes what was found in the order of variables: of the sets of both ends those of the first. */
static void take_node(struct search *q, size_t x)
{
    struct node *v = &q->node[x];
    for (size_t i = 0; i < v->n; i++) {
        struct tried *pair = &v->pair[i];
        size_t y = (size_t)pair->y, p = q->g->p;
        if (y < x && q->removed[x * p + y] && !q->all_sets) {
            pair->y = -1; /* tried in vain */
            continue;
        }
        q->t->tests += pair->tests;
        if (pair->separated)
            q->removed[x * p + y] = q->removed[y * p + x] = true;
    }
    for (const int *row = v->sets; row < v->sets + v->nsets; row += q->k + 1)
        if (v->pair[row[0]].y >= 0)
            ac_rca_sepsets_add(q->s, (int)x, v->pair[row[0]].y, row + 1, q->k);
    free(v->pair);
    free(v->sets);
}

/* Without conditions each pair needs one test only. */
static void try_row(void *ctx, size_t x, size_t member)
{
    struct search *q = ctx;
    struct ac_rca_ci *t = q->twin[member];
    size_t p = q->g->p;
    for (size_t y = x + 1; y < p; y++)
        if (q->g->m[x * p + y] != AC_RCA_NONE && t->independent(t, (int)x, (int)y))
            q->removed[x * p + y] = q->removed[y * p + x] = true;
}

static void try_level(struct search *q)
{
    size_t p = q->g->p, members = ac_team_size(q->team);
    uint64_t tests = q->t->tests;
    memset(q->removed, 0, p * p);
    if (q->k == 0) {
        for (size_t i = 0; i < members; i++)
            q->twin[i]->given(q->twin[i], NULL, 0);
        ac_team_run(q->team, p, try_row, q);
        for (size_t i = 1; i < members; i++) {
            q->t->tests += q->twin[i]->tests;
            q->twin[i]->tests = 0;
        }
        return;
    }
    memset(q->settled, 0, p * p * sizeof(q->settled[0]));
    ac_team_run(q->team, p, try_node, q);
    q->t->tests = tests; /* without those in vain */
    for (size_t x = 0; x < p; x++)
        take_node(q, x);
    for (size_t i = 1; i < members; i++)
        q->twin[i]->tests = 0;
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
    ac_rca_scout_run(r, q->g, critical, (int)AC_MIN(limit, 2), q->team, s);
    q->t->tests += s->tests;
    for (size_t y = 0; y < p; y++)
        for (size_t x = 0; x < p; x++)
            q->removed[y * p + x] = s->how[y * p + x] || s->how[x * p + y];
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
    size_t p = g->p, cells = p * p, members = ac_team_size(params->team);
    struct search q = {.t = t,
                       .twin = ac_rca_ci_twins(t, members),
                       .g = g,
                       .s = s,
                       .team = params->team,
                       .all_sets = params->all_sets,
                       .removed = ac_xcalloc(cells + 1, sizeof(bool)),
                       .settled = ac_xcalloc(cells + 1, sizeof(q.settled[0])),
                       .node = ac_xcalloc(p + 1, sizeof(q.node[0])),
                       .adj = ac_xcalloc(members * p + 1, sizeof(int))};
    struct ac_rca_scout scouted = {0};
    size_t limit = max_given < 0 ? AC_RCA_MAX_GIVEN : AC_MIN((size_t)max_given, AC_RCA_MAX_GIVEN);
    all_edges(g, know);
    for (q.k = 0; q.k <= limit && max_degree(g) > q.k; q.k++) {
        try_level(&q);
        apply_removed(&q, know);
        if (q.k == 0)
            scout(&q, limit, know, &scouted);
    }
    if (scouted.how)
        note_scouted(&q, &scouted);
    ac_rca_scout_fini(&scouted);
    ac_rca_ci_twins_free(q.twin, members);
    free(q.removed);
    free(q.settled);
    free(q.node);
    free(q.adj);
}
