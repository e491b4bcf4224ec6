#include "discover/rca_ges.h"

#include <math.h>
#include <string.h>

#include <float.h>

#include <aceso/base.h>
#include <aceso/team.h>

#include "discover/rca_class.h"
#include "discover/rca_score.h"

/* An operator: insert i -> j directing set towards j, or delete i - j directing set away. */
struct move {
    int i, j;
    int set[AC_RCA_MAX_GIVEN];
    size_t n;
    double gain;
};

#define PAST_BITS 9
#define PAST      (1 << PAST_BITS)

/* What surrounds a node j, and what one thread needs to look at it. */
struct view {
    struct ac_rca_basis *basis;
    int j;
    int *parents;
    size_t np;
    int line[AC_RCA_MAX_GIVEN]; /* neighbours of j by a line; sets of them are bits */
    size_t nl;
    uint64_t next_to[AC_RCA_MAX_GIVEN]; /* which of them are adjacent to each other */
    uint64_t *cliques;
    int *queue;
    uint64_t *blocked, *always, *ever; /* rows of bits: what is reached from j */
    uint16_t past_slot[PAST];          /* see reached_past */
    uint64_t past_set[PAST / 2], *past;
    size_t npast, past_cap;
};

struct ges {
    const struct ac_rca_ges_params *params;
    struct ac_rca_class *g, *before;
    int p;
    bool forward;
    struct ac_team *team;
    struct view *view; /* by member of the team */
    /* What each pair could gain at most, [j * p + i]: without the search for paths, which looks at
     * the whole graph. Else it depends on the surroundings of j alone, and is kept until they
     * change. */
    double *bound;
    bool *stale;  /* by j */
    int *todo;    /* those that are stale */
    int *top;     /* by j: the i that could gain most */
    double *most; /* by j: how much */
    bool *tried;  /* by j, in this step */
    int *batch;   /* nodes that are tried next, and the best move of each */
    struct move *found, best;
};

#define BATCH       16    /* nodes that are tried side by side */
#define MAX_CLIQUES 65536 /* of one set of neighbours; a complete graph of more than 16 */

static void look(const struct ges *k, struct view *v, int j)
{
    const struct ac_rca_class *g = k->g;
    v->j = j;
    v->np = ac_rca_row_members(ac_rca_row(g, g->from, j), g->w, v->parents);
    const uint64_t *line = ac_rca_row(g, g->line, j);
    v->nl = 0;
    for (size_t w = 0; w < g->w; w++)
        for (uint64_t bits = line[w]; bits; bits &= bits - 1) {
            if (v->nl == AC_RCA_MAX_GIVEN) {
                v->nl = SIZE_MAX; /* too many to try sets of */
                return;
            }
            v->line[v->nl++] = (int)(w * 64) + __builtin_ctzll(bits);
        }
    for (size_t a = 0; a < v->nl; a++) {
        v->next_to[a] = 0;
        for (size_t b = 0; b < v->nl; b++)
            if (ac_rca_bit(ac_rca_row(g, g->near, v->line[a]), v->line[b]))
                v->next_to[a] |= UINT64_C(1) << b;
    }
}

/* Those of the neighbours by a line that are adjacent to i. */
static uint64_t adjacent_to(const struct ges *k, const struct view *v, int i)
{
    const uint64_t *near = ac_rca_row(k->g, k->g->near, i);
    uint64_t set = 0;
    for (size_t a = 0; a < v->nl; a++)
        if (ac_rca_bit(near, v->line[a]))
            set |= UINT64_C(1) << a;
    return set;
}

static bool clique(const struct view *v, uint64_t set)
{
    for (uint64_t left = set; left; left &= left - 1) {
        int a = __builtin_ctzll(left);
        if (set & ~v->next_to[a] & ~(UINT64_C(1) << a))
            return false;
    }
    return true;
}

/* All cliques within a set, the empty one first, by size, then in the order of nodes. */
static size_t all_cliques(struct view *v, uint64_t within)
{
    size_t found = 1;
    v->cliques[0] = 0;
    for (size_t at = 0; at < found; at++) {
        uint64_t set = v->cliques[at];
        uint64_t more = set ? within & (UINT64_MAX << (63 - __builtin_clzll(set)) << 1) : within;
        for (; more && found < MAX_CLIQUES; more &= more - 1) {
            int b = __builtin_ctzll(more);
            if ((set & ~v->next_to[b]) == 0)
                v->cliques[found++] = set | UINT64_C(1) << b;
        }
    }
    return found;
}

/* ---- paths that may be directed: along arrows and lines ---- */

/* Marks what paths from j reach that avoid the blocked nodes. */
static void reach(const struct ges *k, struct view *v, const uint64_t *blocked, uint64_t *seen)
{
    const struct ac_rca_class *g = k->g;
    size_t head = 0, tail = 0;
    memset(seen, 0, g->w * sizeof(seen[0]));
    seen[v->j / 64] |= UINT64_C(1) << (v->j % 64);
    v->queue[tail++] = v->j;
    while (head < tail) {
        size_t row = (size_t)v->queue[head++] * g->w;
        for (size_t w = 0; w < g->w; w++) {
            uint64_t bits = (g->to[row + w] | g->line[row + w]) & ~seen[w];
            bits &= blocked ? ~blocked[w] : UINT64_MAX;
            seen[w] |= bits;
            for (; bits; bits &= bits - 1)
                v->queue[tail++] = (int)(w * 64) + __builtin_ctzll(bits);
        }
    }
}

static void forget_past(struct view *v)
{
    memset(v->past_slot, 0, sizeof(v->past_slot));
    v->npast = 0;
}

/* What is reached from the node that is looked at when a set of its neighbours is blocked: the same
 * for all its pairs, hence kept until the next node is looked at. */
static const uint64_t *reached_past(const struct ges *k, struct view *v, uint64_t set)
{
    size_t at = (set * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - PAST_BITS), w = k->g->w;
    while (v->past_slot[at] && v->past_set[v->past_slot[at] - 1] != set)
        at = (at + 1) % PAST;
    if (v->past_slot[at])
        return v->past + (v->past_slot[at] - 1) * w;
    if (v->npast == PAST / 2) {
        forget_past(v);
        return reached_past(k, v, set);
    }
    memset(v->blocked, 0, w * sizeof(v->blocked[0]));
    for (uint64_t left = set; left; left &= left - 1) {
        int a = v->line[__builtin_ctzll(left)];
        v->blocked[a / 64] |= UINT64_C(1) << (a % 64);
    }
    ac_grow(&v->past, &v->past_cap, (v->npast + 1) * w, sizeof(v->past[0]));
    v->past_set[v->npast] = set;
    reach(k, v, v->blocked, v->past + v->npast * w);
    v->past_slot[at] = (uint16_t)++v->npast;
    return v->past + (v->npast - 1) * w;
}

/* ---- operators ---- */

static void keep_better(struct move *best, const struct view *v, int i, uint64_t set, double gain)
{
    if (!(gain > best->gain))
        return;
    *best = (struct move){.i = i, .j = v->j, .gain = gain};
    for (; set; set &= set - 1)
        best->set[best->n++] = v->line[__builtin_ctzll(set)];
}

/* With paths: the best insert that is valid. Without: what the best would gain if it were. */
static void best_insert(const struct ges *k, struct view *v, int i, bool paths, struct move *best)
{
    if (paths && ac_rca_bit(v->always, i))
        return;
    uint64_t near = adjacent_to(k, v, i), fit = 0;
    if (!clique(v, near))
        return;
    for (size_t a = 0; a < v->nl; a++) /* the others only where they are next to all of these */
        if (!(near >> a & 1) && (near & ~v->next_to[a]) == 0)
            fit |= UINT64_C(1) << a;
    size_t n = all_cliques(v, fit);
    for (size_t c = 0; c < n; c++) {
        uint64_t set = near | v->cliques[c];
        double gain = ac_rca_basis_gain(v->basis, i, set, true);
        if (!(gain > best->gain))
            continue; /* the path search is dear */
        if (!paths)
            best->gain = gain;
        else if (!ac_rca_bit(v->ever, i) || !ac_rca_bit(reached_past(k, v, set), i))
            keep_better(best, v, i, v->cliques[c], gain);
    }
}

static bool may_insert(const struct ges *k, int i, int j)
{
    const struct ac_rca_knowledge *w = k->params->know;
    if (i == j || ac_rca_bit(ac_rca_row(k->g, k->g->near, j), i))
        return false;
    return !w || !w->forbidden[(size_t)i * w->p + (size_t)j];
}

static void best_delete(const struct ges *k, struct view *v, int i, struct move *best)
{
    int parents[AC_RCA_MAX_GIVEN];
    size_t np = 0;
    for (size_t a = 0; a < v->np; a++) {
        if (v->parents[a] == i)
            continue;
        if (np == AC_RCA_MAX_GIVEN)
            return;
        parents[np++] = v->parents[a];
    }
    uint64_t near = adjacent_to(k, v, i); /* i is not adjacent to itself */
    ac_rca_basis_begin(v->basis, v->j, parents, np, v->line, v->nl);
    for (size_t c = all_cliques(v, near); c-- > 0;) { /* the largest rest first */
        uint64_t rest = v->cliques[c];
        double gain = ac_rca_basis_gain(v->basis, i, rest, false);
        if (isfinite(gain)) /* what may not be inserted this way round is not worth to be deleted */
            keep_better(best, v, i, near & ~rest, -gain);
    }
}

static bool may_delete(const struct ges *k, int i, int j)
{
    const struct ac_rca_knowledge *w = k->params->know;
    if (i == j || !(ac_rca_bit(ac_rca_row(k->g, k->g->line, j), i) ||
                    ac_rca_bit(ac_rca_row(k->g, k->g->from, j), i)))
        return false;
    return !w || !(w->required[(size_t)i * w->p + (size_t)j] ||
                   w->required[(size_t)j * w->p + (size_t)i]);
}

static void apply(struct ges *k, const struct move *m)
{
    if (k->forward)
        ac_rca_class_arrow(k->g, m->i, m->j);
    else
        ac_rca_class_part(k->g, m->i, m->j);
    for (size_t a = 0; a < m->n; a++) {
        if (k->forward) {
            ac_rca_class_arrow(k->g, m->set[a], m->j);
            continue;
        }
        ac_rca_class_arrow(k->g, m->j, m->set[a]);
        if (ac_rca_bit(ac_rca_row(k->g, k->g->line, m->i), m->set[a]))
            ac_rca_class_arrow(k->g, m->i, m->set[a]);
    }
}

/* ---- the search ---- */

/* What the pairs of j could gain now; of equal ones the first is the top. */
static void refresh(void *ctx, size_t at, size_t member)
{
    struct ges *k = ctx;
    struct view *v = &k->view[member];
    int j = k->todo[at], top = 0;
    double *row = k->bound + (size_t)j * (size_t)k->p;
    look(k, v, j);
    if (k->forward && v->nl != SIZE_MAX)
        ac_rca_basis_begin(v->basis, j, v->parents, v->np, v->line, v->nl);
    for (int i = 0; i < k->p; i++) {
        struct move m = {.gain = 0.0};
        if (v->nl == SIZE_MAX)
            ;
        else if (k->forward && may_insert(k, i, j))
            best_insert(k, v, i, false, &m);
        else if (!k->forward && may_delete(k, i, j))
            best_delete(k, v, i, &m);
        row[i] = m.gain;
        if (m.gain > row[top])
            top = i;
    }
    k->top[j] = top;
    k->most[j] = row[top];
}

static bool earlier(const struct move *a, const struct move *b)
{
    return a->i != b->i ? a->i < b->i : a->j < b->j;
}

static void try_pair(const struct ges *k, struct view *v, int i, struct move *best)
{
    struct move m = {.gain = 0.0, .i = -1};
    if (k->forward)
        best_insert(k, v, i, true, &m);
    else
        best_delete(k, v, i, &m);
    if (m.i >= 0 && (m.gain > best->gain || (m.gain == best->gain && earlier(&m, best))))
        *best = m;
}

/* The pairs of j that could gain as much as the best so far does. */
static void try_node(void *ctx, size_t at, size_t member)
{
    struct ges *k = ctx;
    struct view *v = &k->view[member];
    struct move *best = &k->found[at];
    int j = k->batch[at];
    const double *row = k->bound + (size_t)j * (size_t)k->p;
    *best = k->best;
    look(k, v, j);
    forget_past(v);
    if (k->forward) {
        ac_rca_basis_begin(v->basis, j, v->parents, v->np, v->line, v->nl);
        reach(k, v, ac_rca_row(k->g, k->g->line, j), v->always);
        reach(k, v, NULL, v->ever);
    }
    try_pair(k, v, k->top[j], best);
    for (int i = 0; i < k->p; i++)
        if (i != k->top[j] && row[i] > 0.0 && row[i] >= best->gain)
            try_pair(k, v, i, best);
}

/* Next of those not yet tried whose best pair could gain most, and as much as the best does. */
static int next_node(const struct ges *k)
{
    int next = -1;
    double most = fmax(k->best.gain, DBL_MIN);
    for (int j = 0; j < k->p; j++)
        if (!k->tried[j] && k->most[j] >= most && (next < 0 || k->most[j] > most)) {
            next = j;
            most = k->most[j];
        }
    return next;
}

/* The best move; of equal ones the first by i, then j. Nodes are looked at in the order of what
 * their best pair could gain, a few at a time, until none left could gain as much as the best. */
static void find_best(struct ges *k)
{
    size_t n = 0;
    for (int j = 0; j < k->p; j++)
        if (k->stale[j])
            k->todo[n++] = j;
    ac_team_run(k->team, n, refresh, k);
    memset(k->stale, false, (size_t)k->p);
    memset(k->tried, false, (size_t)k->p);
    k->best = (struct move){.gain = 0.0, .i = -1};
    do {
        int j;
        for (n = 0; n < BATCH && (j = next_node(k)) >= 0; n++) {
            k->batch[n] = j;
            k->tried[j] = true;
        }
        ac_team_run(k->team, n, try_node, k);
        for (size_t a = 0; a < n; a++) {
            const struct move *m = &k->found[a];
            if (m->i >= 0 &&
                (m->gain > k->best.gain || (m->gain == k->best.gain && earlier(m, &k->best))))
                k->best = *m;
        }
    } while (n > 0);
}

/* Marks the nodes whose pairs may gain something else now: those with a changed edge, and
 * neighbours by a line of those with another adjacency. */
static void mark_stale(struct ges *k)
{
    const struct ac_rca_class *g = k->g, *b = k->before;
    for (int a = 0; a < k->p; a++) {
        size_t row = (size_t)a * g->w;
        uint64_t changed = 0, apart = 0;
        for (size_t w = row; w < row + g->w; w++) {
            changed |= (g->from[w] ^ b->from[w]) | (g->line[w] ^ b->line[w]);
            changed |= g->to[w] ^ b->to[w];
            apart |= g->near[w] ^ b->near[w];
        }
        k->stale[a] = k->stale[a] || changed;
        for (size_t w = 0; apart && w < g->w; w++)
            for (uint64_t m = g->line[row + w] | b->line[row + w]; m; m &= m - 1)
                k->stale[w * 64 + (size_t)__builtin_ctzll(m)] = true;
    }
}

/* One move of the phase; false when none gains. */
static bool step(struct ges *k)
{
    find_best(k);
    if (k->best.i < 0)
        return false;
    ac_rca_class_copy(k->before, k->g);
    apply(k, &k->best);
    bool ok = ac_rca_class_extend(k->g);
    if (ok)
        ac_rca_class_close(k->g);
    else
        ac_rca_class_copy(k->g, k->before); /* a limited choice of sets may end here; stop */
    mark_stale(k);
    return ok;
}

static void prepare(struct ges *k, struct ac_rca_scorer *s)
{
    size_t p = (size_t)k->p, w = k->g->w;
    k->view = ac_xcalloc(ac_team_size(k->team), sizeof(k->view[0]));
    for (size_t i = 0; i < ac_team_size(k->team); i++) {
        k->view[i].basis = ac_rca_basis_create(s);
        k->view[i].parents = ac_xcalloc(p + 1, sizeof(int));
        k->view[i].cliques = ac_xcalloc(MAX_CLIQUES, sizeof(uint64_t));
        k->view[i].queue = ac_xcalloc(p + 1, sizeof(int));
        k->view[i].blocked = ac_xcalloc(3 * w + 1, sizeof(uint64_t));
        k->view[i].always = k->view[i].blocked + w;
        k->view[i].ever = k->view[i].always + w;
    }
    k->bound = ac_xcalloc(p + 1, ac_mul_size(p + 1, sizeof(double)));
    k->stale = ac_xcalloc(p + 1, sizeof(bool));
    k->todo = ac_xcalloc(p + 1, sizeof(int));
    k->top = ac_xcalloc(p + 1, sizeof(int));
    k->most = ac_xcalloc(p + 1, sizeof(double));
    k->tried = ac_xcalloc(p + 1, sizeof(bool));
    k->batch = ac_xcalloc(BATCH, sizeof(int));
    k->found = ac_xcalloc(BATCH, sizeof(struct move));
}

static uint64_t finish(struct ges *k)
{
    uint64_t computed = 0;
    for (size_t i = 0; i < ac_team_size(k->team); i++) {
        computed += ac_rca_basis_count(k->view[i].basis);
        ac_rca_basis_destroy(k->view[i].basis);
        free(k->view[i].parents);
        free(k->view[i].cliques);
        free(k->view[i].queue);
        free(k->view[i].blocked);
        free(k->view[i].past);
    }
    free(k->view);
    free(k->bound);
    free(k->stale);
    free(k->todo);
    free(k->top);
    free(k->most);
    free(k->tried);
    free(k->batch);
    free(k->found);
    return computed;
}

int ac_rca_ges(const struct ac_rca_matrix *m, const struct ac_rca_ges_params *params,
               struct ac_rca_pdag *g, uint64_t *ret_scores, struct ac_err *err)
{
    struct ac_rca_scorer *s;
    struct ac_rca_class now, before;
    int rc = ac_rca_scorer_create(m, params, &s, err);
    if (rc)
        return rc;
    struct ges k = {.params = params, .g = &now, .before = &before, .p = (int)m->p};
    k.team = params->score == AC_RCA_BIC ? params->team : NULL; /* the other remembers scores */
    ac_rca_class_init(&now, m->p);
    ac_rca_class_init(&before, m->p);
    prepare(&k, s);
    for (int phase = 0; phase < 2; phase++) {
        k.forward = phase == 0;
        memset(k.stale, true, m->p);
        while (step(&k))
            ;
    }
    ac_rca_class_write(&now, g);
    *ret_scores = finish(&k);
    ac_rca_class_fini(&now);
    ac_rca_class_fini(&before);
    ac_rca_scorer_destroy(s);
    return 0;
}
