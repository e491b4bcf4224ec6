#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#include "scorers/rca_scorers.h"

#define MAX_PLAYERS 64
#define ORDERS      500

struct game {
    size_t n;
    int column[MAX_PLAYERS];
    double push[MAX_PLAYERS];   /* what the player's noise adds to the symptom in the worst row */
    double spread[MAX_PLAYERS]; /* variance that it normally adds */
    double seen;                /* the symptom: all pushes, those of no player included */
    double value[MAX_PLAYERS];
};

size_t ac_rca_worst_row(const struct ac_rca_frame *f, int column)
{
    size_t rows = f->normal + f->faulty, best = f->normal;
    const double *x = f->x + (size_t)column * rows;
    for (size_t r = f->normal; r < rows; r++)
        if (fabs(x[r]) > fabs(x[best]))
            best = r;
    return best;
}

/* ln P(N > t), also far out, where P itself is 0. */
static double log_tail(double t)
{
    if (t < 30.0)
        return log(0.5 * erfc(t / M_SQRT2));
    double q = 1.0 / (t * t);
    return -t * t / 2.0 - log(t * sqrt(2.0 * M_PI)) + log1p(-q);
}

/* -ln P(|T| >= |seen|), T normal: `fixed` is what stays, `variance` what is drawn anew. */
static double worth(const struct game *g, double fixed, double variance)
{
    double x = fabs(g->seen);
    if (!(variance > 1e-24))
        return 0.0;
    double sd = sqrt(variance);
    double a = log_tail((x - fixed) / sd), b = log_tail((x + fixed) / sd);
    double top = fmax(a, b);
    return fmax(0.0, -(top + log1p(exp(fmin(a, b) - top))));
}

static void exact(struct game *g)
{
    size_t n = g->n, sets = (size_t)1 << n;
    double *w = ac_xcalloc(sets, sizeof(double)), weight[AC_RCA_SHAPLEY_EXACT + 1];
    for (size_t s = 0; s < sets; s++) {
        double fixed = g->seen, variance = 0;
        for (size_t i = 0; i < n; i++)
            if (s >> i & 1) {
                fixed -= g->push[i];
                variance += g->spread[i];
            }
        w[s] = worth(g, fixed, variance);
    }
    for (size_t k = 0; k < n; k++) /* k! (n - k - 1)! / n! */
        weight[k] =
            exp(lgamma((double)k + 1.0) + lgamma((double)(n - k)) - lgamma((double)n + 1.0));
    for (size_t s = 0; s < sets; s++) {
        size_t size = (size_t)__builtin_popcountll(s);
        for (size_t i = 0; i < n; i++)
            if (!(s >> i & 1))
                g->value[i] += weight[size] * (w[s | (size_t)1 << i] - w[s]);
    }
    free(w);
}

static void sampled(struct game *g, uint64_t seed)
{
    struct ac_rng rng;
    size_t order[MAX_PLAYERS];
    ac_rng_seed(&rng, seed);
    for (size_t i = 0; i < g->n; i++)
        order[i] = i;
    for (int k = 0; k < ORDERS; k++) {
        double fixed = g->seen, variance = 0, before = 0;
        ac_rng_shuffle(&rng, order, g->n, sizeof(order[0]));
        for (size_t i = 0; i < g->n; i++) {
            fixed -= g->push[order[i]];
            variance += g->spread[order[i]];
            double after = worth(g, fixed, variance);
            g->value[order[i]] += (after - before) / ORDERS;
            before = after;
        }
    }
}

/* Players in the order of how much they push; the weakest beyond the limit stay as they are. */
static void enter(struct game *g, int column, double push, double spread)
{
    size_t at = g->n < MAX_PLAYERS ? g->n++ : MAX_PLAYERS;
    if (at == MAX_PLAYERS) {
        if (!(fabs(push) > fabs(g->push[MAX_PLAYERS - 1])))
            return;
        at--;
    }
    for (; at > 0 && fabs(push) > fabs(g->push[at - 1]); at--) {
        g->column[at] = g->column[at - 1];
        g->push[at] = g->push[at - 1];
        g->spread[at] = g->spread[at - 1];
    }
    g->column[at] = column;
    g->push[at] = push;
    g->spread[at] = spread;
}

void ac_rca_score_shapley(const struct ac_rca_frame *f, const struct ac_rca_sem *s, uint64_t seed,
                          double *score)
{
    size_t p = f->p, rows = f->normal + f->faulty;
    struct game g = {0};
    memset(score, 0, p * sizeof(double));
    if (f->symptom < 0)
        return;
    double *effect = ac_xcalloc(p + 1, sizeof(double));
    size_t row = ac_rca_worst_row(f, f->symptom);
    ac_rca_sem_effects(s, f->symptom, effect);
    for (size_t j = 0; j < p; j++) {
        double push = effect[j] * s->noise[j * rows + row], sd = effect[j] * s->sd[j];
        g.seen += push;
        if (effect[j] != 0.0)
            enter(&g, (int)j, push, sd * sd);
    }
    /* The far side of normal is mirrored, so that pushes count towards what is seen. */
    for (size_t i = 0; i < g.n && g.seen < 0.0; i++)
        g.push[i] = -g.push[i];
    g.seen = fabs(g.seen);
    if (g.n <= AC_RCA_SHAPLEY_EXACT)
        exact(&g);
    else
        sampled(&g, seed);
    for (size_t i = 0; i < g.n; i++)
        score[g.column[i]] = fmax(0.0, g.value[i]);
    free(effect);
}
