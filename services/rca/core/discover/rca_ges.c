#include "discover/rca_ges.h"

#include <math.h>
#include <string.h>

#include <float.h>

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
    /* What each pair could gain at most, [j * p + i]: without the search for paths, which looks at
     * the whole graph. Else it depends on the surroundings of j alone, and is kept until they
     * change. */
    double *bound;
    bool *stale; /* by j */
    int *top;    /* by j: the i that could gain most */
    bool *tried; /* by j, in this step */
    uint64_t *cliques;
    size_t *succ_at; /* successors of a: succ[succ_at[a]] to succ[succ_at[a + 1]] */
    int *succ;
    bool *reached;      /* two rows a node, see reach_of */
    size_t round;       /* number of the step, from 1 */
    size_t *reached_in; /* the step for which a node's rows hold */
};

#define MAX_CLIQUES 65536 /* of one set of neighbours; a complete graph of more than 16 */

static bool clique(const struct ges *k, const int *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (!ac_rca_adjacent(k->g, v[i], v[j]))
                return false;
    return true;
}

/* All cliques among v[0..n), the empty one first, by size, then in the order of v. */
static size_t all_cliques(struct ges *k, const int *v, size_t n)
{
    uint64_t near[AC_RCA_MAX_GIVEN] = {0};
    size_t found = 1;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < n; b++)
            if (a != b && ac_rca_adjacent(k->g, v[a], v[b]))
                near[a] |= UINT64_C(1) << b;
    k->cliques[0] = 0;
    for (size_t at = 0; at < found; at++) {
        uint64_t set = k->cliques[at];
        size_t from = set ? 64 - (size_t)__builtin_clzll(set) : 0;
        for (size_t b = from; b < n && found < MAX_CLIQUES; b++)
            if ((set & ~near[b]) == 0)
                k->cliques[found++] = set | UINT64_C(1) << b;
    }
    return found;
}

/* Members of a set in the order of v. */
static size_t members(uint64_t set, const int *v, int *ret)
{
    size_t n = 0;
    for (; set; set &= set - 1)
        ret[n++] = v[__builtin_ctzll(set)];
    return n;
}

/* Where each node's paths may go on to: along arrows and lines. */
static void list_successors(struct ges *k)
{
    size_t n = 0, p = (size_t)k->p;
    for (size_t a = 0; a < p; a++) {
        const int8_t *row = k->g->m + a * p; /* marks at a */
        k->succ_at[a] = n;
        for (size_t b = 0; b < p; b++)
            if (row[b] == AC_RCA_TAIL)
                k->succ[n++] = (int)b;
    }
    k->succ_at[p] = n;
    k->round++;
}

/* Marks what paths from j reach that avoid the blocked nodes. */
static void reach(struct ges *k, int j, const bool *blocked, bool *seen)
{
    size_t head = 0, tail = 0;
    memset(seen, 0, (size_t)k->p * sizeof(bool));
    seen[j] = true;
    k->queue[tail++] = j;
    while (head < tail) {
        int a = k->queue[head++];
        for (size_t e = k->succ_at[a]; e < k->succ_at[a + 1]; e++) {
            int b = k->succ[e];
            if (seen[b] || (blocked && blocked[b]))
                continue;
            seen[b] = true;
            k->queue[tail++] = b;
        }
    }
}

/* What is reached from j whatever of its neighbours by a line is blocked, and if none is. */
static void reach_of(struct ges *k, int j, const bool **ret_always, const bool **ret_ever)
{
    size_t at = 2 * (size_t)j * (size_t)k->p;
    bool *always = k->reached + at, *ever = always + k->p;
    if (k->reached_in[j] != k->round) {
        k->reached_in[j] = k->round;
        for (int b = 0; b < k->p; b++)
            k->blocked[b] = ac_rca_undirected(k->g, j, b);
        reach(k, j, k->blocked, always);
        reach(k, j, NULL, ever);
    }
    *ret_always = always;
    *ret_ever = ever;
}

/* Does every path from j to i that may be directed pass through a node of the set? */
static bool all_blocked(struct ges *k, int j, int i, const int *set, size_t n)
{
    memset(k->blocked, 0, (size_t)k->p * sizeof(bool));
    for (size_t a = 0; a < n; a++)
        k->blocked[set[a]] = true;
    reach(k, j, k->blocked, k->seen);
    return !k->seen[i];
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

static void best_insert(struct ges *k, int i, int j, bool paths, struct move *best)
{
    int na[AC_RCA_MAX_GIVEN], t0[AC_RCA_MAX_GIVEN], nat[2 * AC_RCA_MAX_GIVEN];
    size_t nna, nt, fit = 0;
    const bool *always, *ever = NULL;
    if (paths) {
        reach_of(k, j, &always, &ever);
        if (always[i])
            return;
    }
    if (!neighbours(k, i, j, na, &nna, t0, &nt) || !clique(k, na, nna))
        return;
    for (size_t a = 0; a < nt; a++) { /* the others only where they are next to all of these */
        bool all = true;
        for (size_t b = 0; b < nna && all; b++)
            all = ac_rca_adjacent(k->g, t0[a], na[b]);
        if (all)
            t0[fit++] = t0[a];
    }
    memcpy(nat, na, nna * sizeof(na[0]));
    size_t n = all_cliques(k, t0, fit);
    for (size_t c = 0; c < n; c++) {
        size_t size = members(k->cliques[c], t0, nat + nna);
        double gain = gain_of(k, i, j, nat, nna + size);
        if (!(gain > best->gain))
            continue; /* the path search is dear */
        if (!paths) {
            best->gain = gain;
            continue;
        }
        if (!ever[i] || all_blocked(k, j, i, nat, nna + size))
            keep_better(best, i, j, nat + nna, size, gain);
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
    size_t nna, nt;
    if (!neighbours(k, i, j, na, &nna, t0, &nt))
        return;
    uint64_t all = nna > 0 ? UINT64_MAX >> (64 - nna) : 0;
    for (size_t c = all_cliques(k, na, nna); c-- > 0;) { /* the largest rest first */
        size_t nr = members(k->cliques[c], na, rest), size = members(all & ~k->cliques[c], na, h);
        keep_better(best, i, j, h, size, -gain_of(k, i, j, rest, nr));
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

static bool may(const struct ges *k, bool forward, int i, int j)
{
    return forward ? may_insert(k, i, j) : may_delete(k, i, j);
}

static void row_top(struct ges *k, int j)
{
    const double *row = k->bound + (size_t)j * (size_t)k->p;
    int top = 0;
    for (int i = 1; i < k->p; i++)
        if (row[i] > row[top])
            top = i;
    k->top[j] = top;
}

static void refresh_bounds(struct ges *k, bool forward)
{
    for (int j = 0; j < k->p; j++) {
        if (!k->stale[j])
            continue;
        k->stale[j] = false;
        for (int i = 0; i < k->p; i++) {
            struct move m = {.gain = 0.0};
            if (may(k, forward, i, j)) {
                if (forward)
                    best_insert(k, i, j, false, &m);
                else
                    best_delete(k, i, j, &m);
            }
            k->bound[(size_t)j * (size_t)k->p + (size_t)i] = m.gain;
        }
        row_top(k, j);
    }
}

static bool earlier(const struct move *a, const struct move *b)
{
    return a->i != b->i ? a->i < b->i : a->j < b->j;
}

static void try_pair(struct ges *k, bool forward, int i, int j, struct move *best)
{
    struct move m = {.gain = 0.0, .i = -1};
    if (forward)
        best_insert(k, i, j, true, &m);
    else
        best_delete(k, i, j, &m);
    if (m.i >= 0 && (m.gain > best->gain || (m.gain == best->gain && earlier(&m, best))))
        *best = m;
}

/* The best move; of equal ones the first by i, then j. Nodes are looked at in the order of what
 * their best pair could gain, until none left could gain as much as the best did. */
static void find_best(struct ges *k, bool forward, struct move *best)
{
    size_t p = (size_t)k->p;
    list_successors(k);
    refresh_bounds(k, forward);
    memset(k->tried, 0, p * sizeof(bool));
    for (;;) {
        int next = -1;
        double most = fmax(best->gain, DBL_MIN);
        for (int j = 0; j < k->p; j++) {
            double bound = k->bound[(size_t)j * p + (size_t)k->top[j]];
            if (!k->tried[j] && bound >= most && (next < 0 || bound > most)) {
                next = j;
                most = bound;
            }
        }
        if (next < 0)
            return;
        const double *row = k->bound + (size_t)next * p;
        k->tried[next] = true;
        try_pair(k, forward, k->top[next], next, best);
        for (int i = 0; i < k->p; i++)
            if (i != k->top[next] && row[i] > 0.0 && row[i] >= best->gain)
                try_pair(k, forward, i, next, best);
    }
}

/* Marks the nodes whose pairs may gain something else now: those with a changed edge, and
 * neighbours by a line of those with another adjacency. */
static void mark_stale(struct ges *k, const struct ac_rca_pdag *before)
{
    size_t p = (size_t)k->p;
    memset(k->seen, 0, p * sizeof(bool));
    for (size_t a = 0; a < p; a++) {
        if (memcmp(before->m + a * p, k->g->m + a * p, p) == 0)
            continue;
        for (size_t b = 0; b < p; b++) {
            int8_t was = before->m[a * p + b], is = k->g->m[a * p + b];
            if (was == is)
                continue;
            k->stale[a] = k->stale[b] = true;
            if ((was == AC_RCA_NONE) != (is == AC_RCA_NONE))
                k->seen[a] = k->seen[b] = true;
        }
    }
    for (int a = 0; a < k->p; a++)
        for (int b = 0; k->seen[a] && b < k->p; b++)
            if (ac_rca_undirected(k->g, a, b) || ac_rca_undirected(before, a, b))
                k->stale[b] = true;
}

/* One move of the phase; false when none gains. */
static bool step(struct ges *k, bool forward)
{
    struct move best = {.gain = 0.0, .i = -1};
    find_best(k, forward, &best);
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
    mark_stale(k, &before);
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
    k.cliques = ac_xcalloc(MAX_CLIQUES, sizeof(k.cliques[0]));
    k.succ_at = ac_xcalloc(p + 1, sizeof(size_t));
    k.succ = ac_xcalloc(p + 1, ac_mul_size(p + 1, sizeof(int)));
    k.reached = ac_xcalloc(p + 1, 2 * (p + 1) * sizeof(bool));
    k.reached_in = ac_xcalloc(p + 1, sizeof(size_t));
    k.tried = ac_xcalloc(p + 1, sizeof(bool));
    k.top = ac_xcalloc(p + 1, sizeof(int));
    k.stale = ac_xcalloc(p + 1, sizeof(bool));
    k.bound = ac_xcalloc(p + 1, ac_mul_size(p + 1, sizeof(double)));
    for (int forward = 1; forward >= 0; forward--) {
        memset(k.stale, true, p);
        while (step(&k, forward))
            ;
    }
    *ret_scores = ac_rca_scorer_count(k.s);
    ac_rca_scorer_destroy(k.s);
    free(k.blocked);
    free(k.seen);
    free(k.member);
    free(k.stale);
    free(k.top);
    free(k.succ_at);
    free(k.succ);
    free(k.reached);
    free(k.reached_in);
    free(k.tried);
    free(k.cliques);
    free(k.bound);
    free(k.queue);
    return 0;
}
