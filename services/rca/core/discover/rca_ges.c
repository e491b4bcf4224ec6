#include "discover/rca_ges.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

#include "discover/rca_score.h"

/* An operator: insert i -> j directing set towards j, or delete i - j directing set away. */
struct move {
    int i, j;
    int set[AC_RCA_MAX_GIVEN];
    size_t n;
    double gain;
};

struct ges {
    struct ac_rca_scorer *s;
    const struct ac_rca_ges_params *params;
    struct ac_rca_pdag *g;
    int p;
    size_t max_parents;
    bool *blocked, *seen;
    int *queue;
    bool *member; /* scratch: parents under consideration */
};

#define MAX_SUBSET_OF                                                                              \
    20 /* neighbours to choose from: 2^20 sets are too many, sizes are limited                     \
        */
#define MAX_SUBSET 3

static bool clique(const struct ges *k, const int *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (!ac_rca_adjacent(k->g, v[i], v[j]))
                return false;
    return true;
}

/* Does every path from j to i that may be directed pass through a blocked node? */
static bool all_blocked(struct ges *k, int j, int i)
{
    size_t head = 0, tail = 0;
    memset(k->seen, 0, (size_t)k->p * sizeof(bool));
    k->seen[j] = true;
    k->queue[tail++] = j;
    while (head < tail) {
        int a = k->queue[head++];
        for (int b = 0; b < k->p; b++) {
            if (k->seen[b] || k->blocked[b] ||
                !(ac_rca_directed(k->g, a, b) || ac_rca_undirected(k->g, a, b)))
                continue;
            if (b == i)
                return false;
            k->seen[b] = true;
            k->queue[tail++] = b;
        }
    }
    return true;
}

/* Gain of i as a parent of j beside `with` and the parents that j has. */
static double gain_of(struct ges *k, int i, int j, const int *with, size_t n)
{
    int base[AC_RCA_MAX_GIVEN], more[AC_RCA_MAX_GIVEN];
    size_t nb = 0, nm = 0;
    for (int v = 0; v < k->p; v++)
        k->member[v] = v != i && ac_rca_directed(k->g, v, j);
    for (size_t a = 0; a < n; a++)
        k->member[with[a]] = true;
    for (int v = 0; v < k->p; v++) {
        if (v != i && !k->member[v])
            continue;
        if (nm == AC_RCA_MAX_GIVEN || (nb == k->max_parents && v != i))
            return -INFINITY;
        if (v != i)
            base[nb++] = v;
        more[nm++] = v;
    }
    if (nm > k->max_parents)
        return -INFINITY;
    double gain = ac_rca_local_score(k->s, j, more, nm) - ac_rca_local_score(k->s, j, base, nb);
    const double *prior = k->params->prior;
    return prior ? gain + prior[(size_t)i * (size_t)k->p + (size_t)j] : gain;
}

static void keep_better(struct move *best, int i, int j, const int *set, size_t n, double gain)
{
    if (!(gain > best->gain))
        return;
    *best = (struct move){.i = i, .j = j, .n = n, .gain = gain};
    memcpy(best->set, set, n * sizeof(set[0]));
}

/* Neighbours of j by a line: those adjacent to i, and the others. */
static bool neighbours(const struct ges *k, int i, int j, int *na, size_t *nna, int *t, size_t *nt)
{
    *nna = *nt = 0;
    for (int v = 0; v < k->p; v++) {
        if (v == i || !ac_rca_undirected(k->g, v, j))
            continue;
        if (*nna + *nt == AC_RCA_MAX_GIVEN - 1)
            return false;
        if (ac_rca_adjacent(k->g, v, i))
            na[(*nna)++] = v;
        else
            t[(*nt)++] = v;
    }
    return true;
}

static size_t subset_limit(size_t n)
{
    return n <= MAX_SUBSET_OF ? n : MAX_SUBSET;
}

static void best_insert(struct ges *k, int i, int j, struct move *best)
{
    int na[AC_RCA_MAX_GIVEN], t0[AC_RCA_MAX_GIVEN], nat[AC_RCA_MAX_GIVEN];
    size_t nna, nt, c[AC_RCA_MAX_GIVEN];
    if (!neighbours(k, i, j, na, &nna, t0, &nt) || !clique(k, na, nna))
        return;
    memcpy(nat, na, nna * sizeof(na[0]));
    for (size_t size = 0; size <= subset_limit(nt); size++) {
        for (size_t a = 0; a < size; a++)
            c[a] = a;
        do {
            for (size_t a = 0; a < size; a++)
                nat[nna + a] = t0[c[a]];
            if (!clique(k, nat, nna + size))
                continue;
            double gain = gain_of(k, i, j, nat, nna + size);
            if (!(gain > best->gain))
                continue; /* the path search is dear */
            memset(k->blocked, 0, (size_t)k->p * sizeof(bool));
            for (size_t a = 0; a < nna + size; a++)
                k->blocked[nat[a]] = true;
            if (all_blocked(k, j, i))
                keep_better(best, i, j, nat + nna, size, gain);
        } while (ac_rca_next_subset(c, size, nt));
    }
}

static bool may_insert(const struct ges *k, int i, int j)
{
    const struct ac_rca_knowledge *w = k->params->know;
    if (i == j || ac_rca_adjacent(k->g, i, j))
        return false;
    return !w || !w->forbidden[(size_t)i * w->p + (size_t)j];
}

static void best_delete(struct ges *k, int i, int j, struct move *best)
{
    int na[AC_RCA_MAX_GIVEN], t0[AC_RCA_MAX_GIVEN], rest[AC_RCA_MAX_GIVEN], h[AC_RCA_MAX_GIVEN];
    size_t nna, nt, c[AC_RCA_MAX_GIVEN];
    if (!neighbours(k, i, j, na, &nna, t0, &nt))
        return;
    for (size_t size = 0; size <= subset_limit(nna); size++) {
        for (size_t a = 0; a < size; a++)
            c[a] = a;
        do {
            size_t nr = 0, next = 0;
            for (size_t a = 0; a < nna; a++) {
                if (next < size && c[next] == a)
                    h[next++] = na[a];
                else
                    rest[nr++] = na[a];
            }
            if (clique(k, rest, nr))
                keep_better(best, i, j, h, size, -gain_of(k, i, j, rest, nr));
        } while (ac_rca_next_subset(c, size, nna));
    }
}

static bool may_delete(const struct ges *k, int i, int j)
{
    const struct ac_rca_knowledge *w = k->params->know;
    if (i == j || !(ac_rca_undirected(k->g, i, j) || ac_rca_directed(k->g, i, j)))
        return false;
    return !w || !(w->required[(size_t)i * w->p + (size_t)j] ||
                   w->required[(size_t)j * w->p + (size_t)i]);
}

static void apply_insert(struct ges *k, const struct move *m)
{
    ac_rca_put(k->g, m->i, m->j, AC_RCA_TAIL, AC_RCA_ARROW);
    for (size_t a = 0; a < m->n; a++)
        ac_rca_put(k->g, m->set[a], m->j, AC_RCA_TAIL, AC_RCA_ARROW);
}

static void apply_delete(struct ges *k, const struct move *m)
{
    ac_rca_put(k->g, m->i, m->j, AC_RCA_NONE, AC_RCA_NONE);
    for (size_t a = 0; a < m->n; a++) {
        ac_rca_put(k->g, m->j, m->set[a], AC_RCA_TAIL, AC_RCA_ARROW);
        if (ac_rca_undirected(k->g, m->i, m->set[a]))
            ac_rca_put(k->g, m->i, m->set[a], AC_RCA_TAIL, AC_RCA_ARROW);
    }
}

/* One move of the phase; false when none gains. */
static bool step(struct ges *k, bool forward)
{
    struct move best = {.gain = 0.0, .i = -1};
    for (int i = 0; i < k->p; i++)
        for (int j = 0; j < k->p; j++) {
            if (forward ? may_insert(k, i, j) : may_delete(k, i, j)) {
                if (forward)
                    best_insert(k, i, j, &best);
                else
                    best_delete(k, i, j, &best);
            }
        }
    if (best.i < 0)
        return false;
    struct ac_rca_pdag before;
    ac_rca_pdag_init(&before, k->g->p);
    ac_rca_pdag_copy(&before, k->g);
    if (forward)
        apply_insert(k, &best);
    else
        apply_delete(k, &best);
    bool ok = ac_rca_pdag_extend(k->g);
    if (ok)
        ac_rca_dag_to_cpdag(k->g);
    else
        ac_rca_pdag_copy(k->g, &before); /* a limited choice of sets may end here; stop */
    ac_rca_pdag_fini(&before);
    return ok;
}

int ac_rca_ges(const struct ac_rca_matrix *m, const struct ac_rca_ges_params *params,
               struct ac_rca_pdag *g, uint64_t *ret_scores, struct ac_err *err)
{
    struct ges k = {.params = params, .g = g, .p = (int)m->p};
    size_t p = m->p;
    int rc = ac_rca_scorer_create(m, params, &k.s, err);
    if (rc)
        return rc;
    memset(g->m, 0, p * p);
    k.max_parents = params->max_parents >= 0 ? AC_MIN((size_t)params->max_parents, AC_RCA_MAX_GIVEN)
                                             : AC_RCA_MAX_GIVEN;
    k.blocked = ac_xcalloc(p + 1, sizeof(bool));
    k.seen = ac_xcalloc(p + 1, sizeof(bool));
    k.member = ac_xcalloc(p + 1, sizeof(bool));
    k.queue = ac_xcalloc(p + 1, sizeof(int));
    while (step(&k, true))
        ;
    while (step(&k, false))
        ;
    *ret_scores = ac_rca_scorer_count(k.s);
    ac_rca_scorer_destroy(k.s);
    free(k.blocked);
    free(k.seen);
    free(k.member);
    free(k.queue);
    return 0;
}
