#include "discover/rca_fci.h"

#include <string.h>

#include <aceso/base.h>
#include <aceso/team.h>

struct fci {
    struct ac_rca_ci *t;
    const struct ac_rca_fci_params *params;
    struct ac_rca_pdag *g;
    struct ac_rca_sepsets *sepsets;
    int p;
    bool changed;
    /* Neighbours of a in the skeleton: near[near_at[a]] and on, ascending. Edges fall away later,
     * and none is added, so that who walks along them asks for what is left. */
    size_t *near_at;
    int *near;
    bool *seen; /* scratch of the path searches */
    int *queue, *before;
    int *adj, *adj2; /* p places each */
};

static void scratch_init(struct fci *f)
{
    size_t p = f->g->p;
    f->seen = ac_xcalloc(p + 1, sizeof(bool));
    f->queue = ac_xcalloc(p + 1, sizeof(int));
    f->before = ac_xcalloc(p + 1, sizeof(int));
    f->adj = ac_xcalloc(p + 1, sizeof(int));
    f->adj2 = ac_xcalloc(p + 1, sizeof(int));
}

static void scratch_fini(struct fci *f)
{
    free(f->seen);
    free(f->queue);
    free(f->before);
    free(f->adj);
    free(f->adj2);
}

static void list_neighbours(struct fci *f)
{
    size_t p = f->g->p, n = 0;
    for (size_t i = 0; i < p * p; i++)
        n += f->g->m[i] != AC_RCA_NONE;
    f->near_at = ac_xcalloc(p + 1, sizeof(size_t));
    f->near = ac_xcalloc(n + 1, sizeof(int));
    for (size_t a = 0; a < p; a++)
        f->near_at[a + 1] =
            f->near_at[a] + ac_rca_neighbours(f->g, (int)a, f->near + f->near_at[a]);
}

static int at(const struct fci *f, int a, int b) /* mark at b */
{
    return ac_rca_at(f->g, a, b);
}

static bool adjacent(const struct fci *f, int a, int b)
{
    return a != b && ac_rca_adjacent(f->g, a, b);
}

static void set_mark(struct fci *f, int a, int b, enum ac_rca_mark m) /* at b of a - b */
{
    f->g->m[(size_t)b * f->g->p + (size_t)a] = (int8_t)m;
}

static bool arrow_allowed(const struct fci *f, int a, int b) /* at b of a - b */
{
    if (at(f, a, b) == AC_RCA_ARROW)
        return true;
    if (at(f, a, b) == AC_RCA_TAIL)
        return false;
    const struct ac_rca_knowledge *w = f->params->skeleton.know;
    return !(w && at(f, b, a) != AC_RCA_CIRCLE && w->forbidden[(size_t)a * w->p + (size_t)b]);
}

/* ---- colliders ---- */

static void circles(struct fci *f)
{
    const struct ac_rca_knowledge *w = f->params->skeleton.know;
    size_t p = f->g->p;
    for (size_t i = 0; i < p * p; i++)
        if (f->g->m[i] != AC_RCA_NONE)
            f->g->m[i] = AC_RCA_CIRCLE;
    for (size_t i = 0; w && i < p; i++)
        for (size_t j = 0; j < p; j++)
            if (f->g->m[i * p + j] != AC_RCA_NONE &&
                (w->required[i * p + j] || (w->forbidden[j * p + i] && !w->forbidden[i * p + j])))
                ac_rca_put(f->g, (int)i, (int)j, AC_RCA_TAIL, AC_RCA_ARROW);
}

static void colliders(struct fci *f)
{
    circles(f);
    for (int b = 0; b < f->p; b++) {
        size_t n = ac_rca_neighbours(f->g, b, f->adj);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++) {
                int a = f->adj[i], c = f->adj[j];
                if (adjacent(f, a, c) || ac_rca_sepsets_has(f->sepsets, a, c, b) ||
                    !arrow_allowed(f, a, b) || !arrow_allowed(f, c, b))
                    continue;
                set_mark(f, a, b, AC_RCA_ARROW);
                set_mark(f, c, b, AC_RCA_ARROW);
            }
    }
}

/* ---- paths ---- */

typedef bool (*step_fn)(const struct fci *f, int a, int b);

static bool semi_directed(const struct fci *f, int a, int b) /* nothing points back */
{
    return at(f, b, a) == AC_RCA_TAIL || at(f, b, a) == AC_RCA_CIRCLE;
}

static bool possibly_directed(const struct fci *f, int a, int b)
{
    return semi_directed(f, a, b) && at(f, a, b) != AC_RCA_TAIL;
}

static bool path_exists(struct fci *f, int from, int to, step_fn step)
{
    size_t head = 0, tail = 0;
    memset(f->seen, 0, (size_t)f->p * sizeof(bool));
    f->queue[tail++] = from; /* itself is reached only by a cycle */
    while (head < tail) {
        int a = f->queue[head++];
        for (size_t i = f->near_at[a]; i < f->near_at[a + 1]; i++) {
            int b = f->near[i];
            if (f->seen[b] || !adjacent(f, a, b) || !step(f, a, b))
                continue;
            if (b == to)
                return true;
            f->seen[b] = true;
            if (b != from)
                f->queue[tail++] = b;
        }
    }
    return false;
}

#define MAX_PATH_STEPS 100000 /* of one search through uncovered paths */

/* An uncovered possibly directed path a, b, ... , to: depth first over simple paths. */
static bool uncovered_from(struct fci *f, int a, int b, int to, size_t *budget)
{
    if (b == to)
        return true;
    f->seen[b] = true;
    for (size_t i = f->near_at[b]; i < f->near_at[b + 1] && *budget > 0; i++) {
        int c = f->near[i];
        if (f->seen[c] || !adjacent(f, b, c) || adjacent(f, a, c) || !possibly_directed(f, b, c))
            continue;
        (*budget)--;
        if (uncovered_from(f, b, c, to, budget))
            return true;
    }
    f->seen[b] = false;
    return false;
}

static bool uncovered_path(struct fci *f, int a, int b, int to)
{
    size_t budget = MAX_PATH_STEPS;
    if (!possibly_directed(f, a, b))
        return false;
    memset(f->seen, 0, (size_t)f->p * sizeof(bool));
    f->seen[a] = true;
    return uncovered_from(f, a, b, to, &budget);
}

/* ---- second search ---- */

static bool collider(const struct fci *f, int a, int b, int c)
{
    return adjacent(f, a, b) && adjacent(f, b, c) && at(f, a, b) == AC_RCA_ARROW &&
           at(f, c, b) == AC_RCA_ARROW;
}

/* May a node that lies between x and c, and is not y, be a cause of either? */
static bool cause_between(struct fci *f, int x, int y, int c)
{
    for (size_t i = f->near_at[x]; i < f->near_at[x + 1]; i++) {
        int r = f->near[i];
        if (r != y && r != c && adjacent(f, x, r) && adjacent(f, r, c) &&
            (path_exists(f, r, x, semi_directed) || path_exists(f, r, c, semi_directed)))
            return true;
    }
    return false;
}

/* Possible-D-SEP of x, without y: ends of paths from x whose inner nodes are colliders on the path.
 * Paths have at most two edges; beyond its neighbours a node counts only where one before it may be
 * a cause of either end. Longer paths make the sets too many for anything but toys. Last first. */
static size_t possible_dsep(struct fci *f, int x, int y)
{
    size_t n = 0;
    enum {
        OUT,
        BEHIND, /* a collider */
        NEXT
    } *in = ac_xcalloc((size_t)f->p, sizeof(*in));
    for (size_t i = f->near_at[x]; i < f->near_at[x + 1]; i++) {
        int b = f->near[i];
        if (b == y || !adjacent(f, x, b))
            continue;
        in[b] = NEXT;
        for (size_t j = f->near_at[b]; j < f->near_at[b + 1]; j++) {
            int c = f->near[j];
            if (in[c] == OUT && c != x && c != y && !adjacent(f, x, c) && collider(f, x, b, c))
                in[c] = BEHIND;
        }
    }
    for (int c = f->p; c-- > 0;)
        if (in[c] == NEXT || (in[c] == BEHIND && cause_between(f, x, y, c)))
            f->adj[n++] = c;
    free(in);
    return n;
}

static bool all_adjacent(const struct fci *f, int a, const int *set, size_t k)
{
    for (size_t i = 0; i < k; i++)
        if (!adjacent(f, a, set[i]))
            return false;
    return true;
}

#define MAX_DSEP_WHOLE 16 /* above it the sets are limited, or there would be too many */
#define MAX_DSEP_SET   3

/* A pair of the second search, and the set that separates it. */
struct pair {
    int a, b;
    bool separated;
    int set[AC_RCA_MAX_GIVEN];
    size_t k;
    uint64_t tests;
};

static bool separate_by_dsep(struct fci *f, struct pair *q, int from)
{
    int a = q->a, b = q->b;
    size_t subset[AC_RCA_MAX_GIVEN], n = possible_dsep(f, from, from == a ? b : a);
    size_t limit = n <= MAX_DSEP_WHOLE ? n : MAX_DSEP_SET;
    if (f->params->skeleton.max_given >= 0)
        limit = AC_MIN(limit, (size_t)f->params->skeleton.max_given);
    for (size_t k = q->k = 2; k <= limit; q->k = ++k) { /* smaller ones the skeleton has tried */
        for (size_t i = 0; i < k; i++)
            subset[i] = i;
        do {
            for (size_t i = 0; i < k; i++)
                q->set[i] = f->adj[subset[i]];
            if (all_adjacent(f, a, q->set, k) || all_adjacent(f, b, q->set, k))
                continue; /* tried too */
            f->t->given(f->t, q->set, k);
            q->tests++;
            if (f->t->independent(f->t, a, b))
                return true;
        } while (ac_rca_next_subset(subset, k, n));
    }
    return false;
}

struct second {
    struct fci *member; /* f, with a test and scratch of each member's own */
    struct pair *ahead;
};

static void try_second(void *ctx, size_t i, size_t member)
{
    struct second *s = ctx;
    struct pair *q = &s->ahead[i];
    struct fci *f = &s->member[member];
    q->tests = 0;
    q->separated = separate_by_dsep(f, q, q->a) || separate_by_dsep(f, q, q->b);
}

#define AHEAD 256 /* pairs that are tried before the first of them is taken out */

/* Each pair is tried on what those before it have left. As most stay, some are tried ahead; behind
 * one that goes they are tried again. Fewer are tried ahead where many go. */
static void search_pairs(struct fci *f, struct second *s, const int (*pair)[2], size_t n)
{
    struct ac_team *team = f->params->skeleton.team;
    uint64_t tests = f->t->tests;
    size_t least = ac_team_size(team) > 1 ? 2 * ac_team_size(team) : 1, ahead = least;
    for (size_t at = 0; at < n;) {
        size_t m = AC_MIN(ahead, n - at), i = 0;
        bool gone = false;
        for (size_t j = 0; j < m; j++)
            s->ahead[j] = (struct pair){.a = pair[at + j][0], .b = pair[at + j][1]};
        ac_team_run(team, m, try_second, s);
        while (i < m && !gone) {
            const struct pair *q = &s->ahead[i++];
            tests += q->tests;
            gone = q->separated;
            if (gone) {
                ac_rca_sepsets_add(f->sepsets, q->a, q->b, q->set, q->k);
                ac_rca_put(f->g, q->a, q->b, AC_RCA_NONE, AC_RCA_NONE);
            }
        }
        at += i;
        if (least > 1)
            ahead = gone ? AC_MAX(least, i) : AC_MIN(2 * ahead, (size_t)AHEAD);
    }
    f->t->tests = tests;
}

static void second_search(struct fci *f)
{
    const struct ac_rca_knowledge *w = f->params->skeleton.know;
    size_t p = f->g->p, n = 0, members = ac_team_size(f->params->skeleton.team);
    int(*pair)[2] = ac_xcalloc(f->near_at[p] / 2 + 1, sizeof(pair[0]));
    struct second s = {.ahead = ac_xcalloc(AHEAD, sizeof(s.ahead[0])),
                       .member = ac_xcalloc(members, sizeof(s.member[0]))};
    struct ac_rca_ci **twins = ac_rca_ci_twins(f->t, members);
    for (size_t i = 0; i < members; i++) {
        s.member[i] = *f;
        s.member[i].t = twins[i];
        scratch_init(&s.member[i]);
    }
    for (size_t a = 0; a < p; a++)
        for (size_t i = f->near_at[a]; i < f->near_at[a + 1]; i++) {
            size_t b = (size_t)f->near[i];
            if (b <= a || (w && (w->required[a * p + b] || w->required[b * p + a])))
                continue;
            pair[n][0] = (int)a;
            pair[n++][1] = (int)b;
        }
    search_pairs(f, &s, (const int(*)[2])pair, n);
    for (size_t i = 0; i < members; i++)
        scratch_fini(&s.member[i]);
    ac_rca_ci_twins_free(twins, members);
    free(s.member);
    free(s.ahead);
    free(pair);
}

/* ---- orientation rules (Zhang 2008) ---- */

/* R1: a *-> b o-* c, a and c apart: b -> c. */
static void rule_1(struct fci *f, int a, int b, int c)
{
    if (adjacent(f, a, c) || at(f, a, b) != AC_RCA_ARROW || at(f, c, b) != AC_RCA_CIRCLE ||
        !arrow_allowed(f, b, c))
        return;
    ac_rca_put(f->g, b, c, AC_RCA_TAIL, AC_RCA_ARROW);
    f->changed = true;
}

/* R2: a -> b *-> c or a *-> b -> c, and a *-o c: a *-> c. */
static void rule_2(struct fci *f, int a, int b, int c)
{
    if (!adjacent(f, a, c) || at(f, a, c) != AC_RCA_CIRCLE || at(f, a, b) != AC_RCA_ARROW ||
        at(f, b, c) != AC_RCA_ARROW ||
        !(at(f, b, a) == AC_RCA_TAIL || at(f, c, b) == AC_RCA_TAIL) || !arrow_allowed(f, a, c))
        return;
    set_mark(f, a, c, AC_RCA_ARROW);
    f->changed = true;
}

static void rules_1_2(struct fci *f)
{
    for (int b = 0; b < f->p; b++) {
        size_t n = ac_rca_neighbours(f->g, b, f->adj);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i + 1; j < n; j++) {
                rule_1(f, f->adj[i], b, f->adj[j]);
                rule_1(f, f->adj[j], b, f->adj[i]);
                rule_2(f, f->adj[i], b, f->adj[j]);
                rule_2(f, f->adj[j], b, f->adj[i]);
            }
    }
}

/* R3: a *-> b <-* c, a *-o d o-* c, a and c apart, d *-o b: d *-> b. */
static void rule_3(struct fci *f)
{
    for (int b = 0; b < f->p; b++) {
        size_t n = ac_rca_neighbours(f->g, b, f->adj);
        for (size_t k = 0; k < n; k++) {
            int d = f->adj[k];
            for (size_t i = 0; i < n && at(f, d, b) == AC_RCA_CIRCLE; i++) {
                int a = f->adj[i];
                if (at(f, a, b) != AC_RCA_ARROW || !adjacent(f, a, d) ||
                    at(f, a, d) != AC_RCA_CIRCLE)
                    continue;
                for (size_t j = i + 1; j < n; j++) {
                    int c = f->adj[j];
                    if (at(f, c, b) != AC_RCA_ARROW || adjacent(f, a, c) || !adjacent(f, c, d) ||
                        at(f, c, d) != AC_RCA_CIRCLE || !ac_rca_sepsets_has(f->sepsets, a, c, d) ||
                        !arrow_allowed(f, d, b))
                        continue;
                    set_mark(f, d, b, AC_RCA_ARROW);
                    f->changed = true;
                    break;
                }
            }
        }
    }
}

/* End of a discriminating path d ... a, b, c: is b a collider on it? The two tests decide; where
 * they do not, the set that separated d and c does. */
static bool end_of_path(struct fci *f, int d, int a, int b, int c)
{
    int set[AC_RCA_MAX_GIVEN];
    size_t k = 0;
    for (int v = f->before[d]; v >= 0 && k + 1 < AC_RCA_MAX_GIVEN; v = f->before[v])
        if (v != b)
            set[k++] = v;
    f->t->given(f->t, set, k);
    bool without = f->t->independent(f->t, d, c);
    set[k] = b;
    f->t->given(f->t, set, k + 1);
    bool with = f->t->independent(f->t, d, c);
    if (!with && !without)
        with = ac_rca_sepsets_has(f->sepsets, d, c, b);
    if (with) {
        set_mark(f, c, b, AC_RCA_TAIL);
    } else {
        if (!arrow_allowed(f, a, b) || !arrow_allowed(f, c, b))
            return false;
        set_mark(f, a, b, AC_RCA_ARROW);
        set_mark(f, c, b, AC_RCA_ARROW);
    }
    f->changed = true;
    return true;
}

/* Backwards from a over colliders that are causes of c, until a node that is not adjacent to c. */
static void discriminate(struct fci *f, int a, int b, int c)
{
    size_t head = 0, tail = 0;
    memset(f->seen, 0, (size_t)f->p * sizeof(bool));
    f->seen[a] = f->seen[b] = true;
    f->before[a] = b;
    f->before[b] = -1;
    f->queue[tail++] = a;
    while (head < tail) {
        int v = f->queue[head++];
        for (int d = 0; d < f->p; d++) {
            if (f->seen[d] || d == c || !adjacent(f, d, v) || !collider(f, d, v, f->before[v]))
                continue;
            f->before[d] = v;
            if (!adjacent(f, d, c) && end_of_path(f, d, a, b, c))
                return;
            if (ac_rca_directed(f->g, d, c)) {
                f->seen[d] = true;
                f->queue[tail++] = d;
            }
        }
    }
}

static void rule_4(struct fci *f)
{
    for (int b = 0; b < f->p; b++)
        for (int a = 0; a < f->p; a++) {
            if (!adjacent(f, a, b) || at(f, b, a) != AC_RCA_ARROW)
                continue;
            for (int c = 0; c < f->p; c++)
                if (c != a && adjacent(f, b, c) && at(f, c, b) == AC_RCA_CIRCLE &&
                    ac_rca_directed(f->g, a, c) && at(f, b, c) == AC_RCA_ARROW)
                    discriminate(f, a, b, c);
        }
}

/* R8: a -> b -> c or a -o b -> c, and a o-> c: a -> c. */
static void rule_8(struct fci *f)
{
    for (int b = 0; b < f->p; b++) {
        size_t n = ac_rca_neighbours(f->g, b, f->adj);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++) {
                int a = f->adj[i], c = f->adj[j];
                if (i != j && at(f, b, a) == AC_RCA_TAIL && at(f, a, b) != AC_RCA_TAIL &&
                    ac_rca_directed(f->g, b, c) && adjacent(f, a, c) &&
                    at(f, a, c) == AC_RCA_ARROW && at(f, c, a) == AC_RCA_CIRCLE) {
                    ac_rca_put(f->g, a, c, AC_RCA_TAIL, AC_RCA_ARROW);
                    f->changed = true;
                }
            }
    }
}

static bool half_open(const struct fci *f, int a, int c) /* a o-> c */
{
    return adjacent(f, a, c) && at(f, a, c) == AC_RCA_ARROW && at(f, c, a) == AC_RCA_CIRCLE;
}

/* R9: a o-> c and a path a, b, ..., c that may be directed, b and c apart: a -> c. */
static void rule_9(struct fci *f)
{
    for (int c = 0; c < f->p; c++)
        for (int a = 0; a < f->p; a++)
            for (int b = 0; b < f->p && half_open(f, a, c); b++) {
                if (b == c || !adjacent(f, a, b) || adjacent(f, b, c) ||
                    at(f, b, a) == AC_RCA_ARROW)
                    continue;
                if (f->params->wide_r9 ? path_exists(f, b, c, semi_directed)
                                       : uncovered_path(f, a, b, c)) {
                    ac_rca_put(f->g, a, c, AC_RCA_TAIL, AC_RCA_ARROW);
                    f->changed = true;
                }
            }
}

static bool reaches(struct fci *f, int a, int first, int to)
{
    if (first == to)
        return true;
    return f->params->wide_r9 ? path_exists(f, first, to, semi_directed)
                              : uncovered_path(f, a, first, to);
}

/* Two ways from a to the causes b and d of c, that begin with nodes apart from each other. */
static bool two_ways(struct fci *f, int a, int b, int d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            if (i != j && !adjacent(f, f->adj2[i], f->adj2[j]) && reaches(f, a, f->adj2[i], b) &&
                reaches(f, a, f->adj2[j], d))
                return true;
    return false;
}

/* R10: a o-> c, b -> c <- d, and two ways as above: a -> c. */
static void rule_10(struct fci *f)
{
    for (int c = 0; c < f->p; c++)
        for (int a = 0; a < f->p; a++) {
            size_t n = 0;
            if (!half_open(f, a, c))
                continue;
            for (int i = 0; i < f->p; i++)
                if (i != c && adjacent(f, a, i) && at(f, i, a) != AC_RCA_ARROW)
                    f->adj2[n++] = i;
            for (int b = 0; n >= 2 && b < f->p && half_open(f, a, c); b++) {
                if (!ac_rca_directed(f->g, b, c))
                    continue;
                for (int d = b + 1; d < f->p; d++)
                    if (ac_rca_directed(f->g, d, c) && two_ways(f, a, b, d, n)) {
                        ac_rca_put(f->g, a, c, AC_RCA_TAIL, AC_RCA_ARROW);
                        f->changed = true;
                        break;
                    }
            }
        }
}

void ac_rca_fci(struct ac_rca_ci *t, const struct ac_rca_fci_params *params, struct ac_rca_pdag *g)
{
    size_t p = g->p;
    struct fci f = {.t = t, .params = params, .g = g, .p = (int)p};
    f.sepsets = ac_rca_sepsets_create(p);
    scratch_init(&f);
    ac_rca_skeleton(t, &params->skeleton, g, f.sepsets);
    list_neighbours(&f);
    colliders(&f);
    second_search(&f);
    colliders(&f);
    do {
        f.changed = false;
        rules_1_2(&f);
        rule_3(&f);
        rule_4(&f);
        if (params->arrows_only)
            continue;
        rule_8(&f);
        rule_9(&f);
        rule_10(&f);
    } while (f.changed);
    ac_rca_sepsets_destroy(f.sepsets);
    scratch_fini(&f);
    free(f.near_at);
    free(f.near);
}
