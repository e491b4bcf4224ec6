#include "discover/rca_pc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

struct triple { /* x - y - z, x and z not adjacent, x < z */
    int x, y, z;
    double strength; /* the order of colliders: smaller first */
    size_t order;
};

struct pc {
    struct ac_rca_ci *t;
    const struct ac_rca_pc_params *params;
    struct ac_rca_pdag *g;
    struct ac_rca_pdag skeleton; /* neighbours before anything is directed */
    struct ac_rca_sepsets *sepsets;
    struct triple *triples;
    size_t n, cap;
    struct triple *colliders, *others; /* definite ones */
    size_t ncolliders, nothers, colliders_cap, others_cap;
};

static void find_triples(struct pc *k)
{
    int *adj = ac_xcalloc(k->g->p, sizeof(int));
    for (int y = 0; y < (int)k->g->p; y++) {
        size_t n = ac_rca_neighbours(k->g, y, adj);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++) {
                if (ac_rca_adjacent(k->g, adj[i], adj[j]))
                    continue;
                ac_grow(&k->triples, &k->cap, k->n + 1, sizeof(k->triples[0]));
                k->triples[k->n] = (struct triple){adj[i], y, adj[j], 0.0, k->n};
                k->n++;
            }
    }
    free(adj);
}

static bool may_collide(const struct pc *k, const struct triple *t)
{
    const struct ac_rca_knowledge *w = k->params->skeleton.know;
    if (!w)
        return true;
    size_t p = w->p, x = (size_t)t->x, y = (size_t)t->y, z = (size_t)t->z;
    return !w->forbidden[x * p + y] && !w->forbidden[z * p + y] && !w->required[y * p + x] &&
           !w->required[y * p + z];
}

/* ---- p values of the ends of a triple over the subsets of their neighbours ---- */

#define MAX_DEGREE_WHOLE 14 /* above it sets are limited, or there would be too many */
#define MAX_SET_ELSE     3

struct ends {
    double max_with, max_without; /* p given sets with the middle, without it */
    bool sep_with, sep_without;   /* one of them separated */
};

static void over_subsets(struct pc *k, const struct triple *t, int side, struct ends *e)
{
    int *adj = ac_xcalloc(k->g->p, sizeof(int));
    size_t n = ac_rca_neighbours(&k->skeleton, side, adj), subset[AC_RCA_MAX_GIVEN];
    int set[AC_RCA_MAX_GIVEN];
    size_t limit = n <= MAX_DEGREE_WHOLE ? n : MAX_SET_ELSE;
    if (k->params->skeleton.max_given >= 0)
        limit = AC_MIN(limit, (size_t)AC_MAX(k->params->skeleton.max_given, 1));
    for (size_t size = 0; size <= limit; size++) {
        for (size_t i = 0; i < size; i++)
            subset[i] = i;
        do {
            bool with = false;
            for (size_t i = 0; i < size; i++) {
                set[i] = adj[subset[i]];
                with |= set[i] == t->y;
            }
            k->t->given(k->t, set, size);
            double p = k->t->p_value(k->t, t->x, t->z);
            double *max = with ? &e->max_with : &e->max_without;
            *max = fmax(*max, p);
            *(with ? &e->sep_with : &e->sep_without) |= p > k->t->alpha;
        } while (ac_rca_next_subset(subset, size, n));
    }
    free(adj);
}

static struct ends examine(struct pc *k, const struct triple *t)
{
    struct ends e = {0};
    over_subsets(k, t, t->x, &e);
    over_subsets(k, t, t->z, &e);
    return e;
}

/* ---- colliders ---- */

static void collide_over(struct pc *k, const struct triple *t)
{
    ac_rca_put(k->g, t->x, t->y, AC_RCA_TAIL, AC_RCA_ARROW);
    ac_rca_put(k->g, t->z, t->y, AC_RCA_TAIL, AC_RCA_ARROW);
}

static bool collide_if_free(struct pc *k, const struct triple *t)
{
    if (ac_rca_directed(k->g, t->y, t->x) || ac_rca_directed(k->g, t->y, t->z))
        return false;
    collide_over(k, t);
    return true;
}

/* An arrow at y, whatever is at the other end already. */
static void arrow_at(struct ac_rca_pdag *g, int x, int y)
{
    if (ac_rca_undirected(g, x, y))
        ac_rca_put(g, x, y, AC_RCA_TAIL, AC_RCA_ARROW);
    else if (ac_rca_directed(g, y, x))
        ac_rca_put(g, x, y, AC_RCA_ARROW, AC_RCA_ARROW);
}

static int by_strength(const void *a, const void *b)
{
    const struct triple *s = a, *t = b;
    if (s->strength != t->strength)
        return s->strength < t->strength ? -1 : 1;
    return (s->order > t->order) - (s->order < t->order);
}

/* The triples kept as colliders: those that the rule names, with what orders them. */
static void choose_colliders(struct pc *k, enum ac_rca_priority priority)
{
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++) {
        struct triple t = k->triples[i];
        bool by_p = k->params->rule != AC_RCA_BY_SEPSET;
        if (!by_p && (!may_collide(k, &t) || ac_rca_sepsets_has(k->sepsets, t.x, t.z, t.y)))
            continue;
        struct ends e = {0};
        if (by_p || priority >= AC_RCA_STRONGER)
            e = examine(k, &t);
        t.strength = priority == AC_RCA_STRONGER           ? e.max_with
                     : priority == AC_RCA_STRONGER_WITHOUT ? -e.max_without
                                                           : 0.0;
        if (k->params->rule == AC_RCA_BY_MAX_P &&
            !(may_collide(k, &t) && e.max_without > e.max_with))
            continue;
        if (k->params->rule == AC_RCA_BY_DEFINITE_P) {
            bool collider = !e.sep_with && (e.sep_without || e.max_without > e.max_with);
            if (!collider) {
                if (!e.sep_without) { /* else the tests contradict each other */
                    ac_grow(&k->others, &k->others_cap, k->nothers + 1, sizeof(t));
                    k->others[k->nothers++] = t;
                }
                continue;
            }
        }
        k->triples[n++] = t;
    }
    k->n = n;
    if (n > 1)
        qsort(k->triples, n, sizeof(k->triples[0]), by_strength);
}

static void orient_colliders(struct pc *k)
{
    enum ac_rca_priority priority = k->params->priority;
    if (priority == AC_RCA_DEFAULT_PRIORITY)
        priority =
            k->params->rule == AC_RCA_BY_DEFINITE_P ? AC_RCA_STRONGER_WITHOUT : AC_RCA_STRONGER;
    find_triples(k);
    choose_colliders(k, priority);
    for (size_t i = 0; i < k->n; i++) {
        const struct triple *t = &k->triples[i];
        if (!may_collide(k, t))
            continue;
        if (priority == AC_RCA_OVERWRITE) {
            collide_over(k, t);
        } else if (priority == AC_RCA_BOTH_WAYS) {
            arrow_at(k->g, t->x, t->y);
            arrow_at(k->g, t->z, t->y);
        } else if (collide_if_free(k, t)) {
            ac_grow(&k->colliders, &k->colliders_cap, k->ncolliders + 1, sizeof(*t));
            k->colliders[k->ncolliders++] = *t;
        }
    }
}

/* ---- Meek's rules over definite triples only ---- */

static bool direct(struct ac_rca_pdag *g, int a, int b)
{
    if (!ac_rca_undirected(g, a, b) || ac_rca_ancestor(g, b, a))
        return false;
    ac_rca_put(g, a, b, AC_RCA_TAIL, AC_RCA_ARROW);
    return true;
}

static bool away_from_collider(struct pc *k)
{
    bool changed = false;
    for (size_t i = 0; i < k->nothers; i++) {
        const struct triple *t = &k->others[i];
        if (ac_rca_directed(k->g, t->x, t->y) && ac_rca_undirected(k->g, t->y, t->z))
            changed |= direct(k->g, t->y, t->z);
        else if (ac_rca_directed(k->g, t->z, t->y) && ac_rca_undirected(k->g, t->y, t->x))
            changed |= direct(k->g, t->y, t->x);
    }
    return changed;
}

static bool away_from_cycle(struct pc *k)
{
    int p = (int)k->g->p;
    bool changed = false;
    for (int i = 0; i < p; i++)
        for (int j = 0; j < p; j++) {
            if (!ac_rca_directed(k->g, i, j))
                continue;
            for (int m = 0; m < p; m++)
                if (ac_rca_directed(k->g, j, m) && ac_rca_undirected(k->g, i, m))
                    changed |= direct(k->g, i, m);
        }
    return changed;
}

/* j -> m <- k a definite collider, j - i - k definitely none, i - m: i -> m. */
static bool double_triangle(struct pc *k)
{
    bool changed = false;
    for (size_t a = 0; a < k->ncolliders; a++) {
        const struct triple *c = &k->colliders[a];
        for (size_t b = 0; b < k->nothers; b++) {
            const struct triple *o = &k->others[b];
            if (o->x == c->x && o->z == c->z)
                changed |= direct(k->g, o->y, c->y);
        }
    }
    return changed;
}

static void definite_meek(struct pc *k)
{
    for (bool changed = true; changed;) {
        changed = away_from_collider(k);
        changed |= away_from_cycle(k);
        changed |= double_triangle(k);
    }
}

/* What is required or forbidden one way only is known before anything else. */
static void orient_known(struct ac_rca_pdag *g, const struct ac_rca_knowledge *w)
{
    size_t p = g->p;
    for (size_t i = 0; i < p; i++)
        for (size_t j = 0; j < p; j++)
            if (g->m[i * p + j] != AC_RCA_NONE &&
                (w->required[i * p + j] || (w->forbidden[j * p + i] && !w->forbidden[i * p + j])))
                ac_rca_put(g, (int)i, (int)j, AC_RCA_TAIL, AC_RCA_ARROW);
}

void ac_rca_pc(struct ac_rca_ci *t, const struct ac_rca_pc_params *params, struct ac_rca_pdag *g)
{
    struct pc k = {.t = t, .params = params, .g = g};
    k.sepsets = ac_rca_sepsets_create(g->p);
    ac_rca_skeleton(t, &params->skeleton, g, k.sepsets);
    ac_rca_pdag_init(&k.skeleton, g->p);
    ac_rca_pdag_copy(&k.skeleton, g);
    if (params->skeleton.know)
        orient_known(g, params->skeleton.know);
    orient_colliders(&k);
    if (params->rule == AC_RCA_BY_DEFINITE_P)
        definite_meek(&k);
    ac_rca_meek(g);
    ac_rca_pdag_fini(&k.skeleton);
    ac_rca_sepsets_destroy(k.sepsets);
    free(k.triples);
    free(k.colliders);
    free(k.others);
}
