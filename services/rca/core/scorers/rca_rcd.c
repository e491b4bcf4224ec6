#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#include "discover/rca_ci.h"
#include "discover/rca_skeleton.h"
#include "scorers/rca_scorers.h"

#define CHUNK     5
#define ALPHA     0.01
#define MAX_GIVEN 3
#define STRONGEST 8 /* others out of which sets are taken, when chunks are done with */
#define CLASSES   5
#define P_MIN     1e-300

struct rcd {
    struct ac_rca_ci *t;
    int f;     /* the column that tells faulty from normal */
    double *p; /* by column: the largest so far */
    int *v;    /* what is left, dependent on F as far as is known */
    size_t n;
    int others[STRONGEST];
};

/* Equal widths between the least and the largest value. */
static int classes_of(const struct ac_rca_frame *f, struct ac_rca_matrix *m, struct ac_err *err)
{
    size_t rows = f->normal + f->faulty;
    int rc = ac_rca_matrix_make(rows, f->p + 1, m, err);
    if (rc)
        return rc;
    for (size_t j = 0; j < f->p; j++) {
        const double *x = f->x + j * rows;
        double lo = x[0], hi = x[0];
        for (size_t r = 1; r < rows; r++) {
            lo = fmin(lo, x[r]);
            hi = fmax(hi, x[r]);
        }
        for (size_t r = 0; r < rows; r++)
            m->x[j * rows + r] =
                hi > lo ? fmin(CLASSES - 1, floor((x[r] - lo) / (hi - lo) * CLASSES)) : 0.0;
    }
    for (size_t r = 0; r < rows; r++)
        m->x[f->p * rows + r] = r >= f->normal;
    return 0;
}

/* Up to STRONGEST of v, without `not`, most dependent on F first. */
static size_t strongest(struct rcd *k, const int *v, size_t n, int not )
{
    size_t have = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i] == not )
            continue;
        size_t at = have < STRONGEST ? have++ : STRONGEST;
        if (at == STRONGEST) {
            if (!(k->p[v[i]] < k->p[k->others[STRONGEST - 1]]))
                continue;
            at--;
        }
        for (; at > 0 && k->p[v[i]] < k->p[k->others[at - 1]]; at--)
            k->others[at] = k->others[at - 1];
        k->others[at] = v[i];
    }
    return have;
}

/* Is column x independent of F given some set of that size? Notes the largest p. */
static bool separated(struct rcd *k, int x, const int *v, size_t n, size_t size)
{
    size_t others = strongest(k, v, n, x), c[MAX_GIVEN];
    int set[MAX_GIVEN];
    if (others < size)
        return false;
    for (size_t a = 0; a < size; a++)
        c[a] = a;
    do {
        for (size_t a = 0; a < size; a++)
            set[a] = k->others[c[a]];
        k->t->given(k->t, set, size);
        k->p[x] = fmax(k->p[x], k->t->p_value(k->t, x, k->f));
        if (k->p[x] > ALPHA)
            return true;
    } while (ac_rca_next_subset(c, size, others));
    return false;
}

/* Removes from v[0..n) what some set separates from F; weaker columns go first, and what is gone is
 * in no further set: two columns that follow F exactly would else remove each other. */
static size_t around_f(struct rcd *k, int *v, size_t n)
{
    for (size_t i = 1; i < n; i++) /* largest p first */
        for (size_t j = i; j > 0 && (k->p[v[j]] > k->p[v[j - 1]] ||
                                     (k->p[v[j]] == k->p[v[j - 1]] && v[j] < v[j - 1]));
             j--) {
            int t = v[j];
            v[j] = v[j - 1];
            v[j - 1] = t;
        }
    for (size_t size = 1; size <= MAX_GIVEN && n > size; size++)
        for (size_t i = 0; i < n;) {
            if (!separated(k, v[i], v, n, size)) {
                i++;
                continue;
            }
            memmove(v + i, v + i + 1, (n - i - 1) * sizeof(v[0]));
            n--;
        }
    return n;
}

static void hierarchical(struct rcd *k, struct ac_rng *rng)
{
    size_t before = SIZE_MAX;
    while (k->n > CHUNK && k->n < before) {
        size_t left = 0;
        before = k->n;
        ac_rng_shuffle(rng, k->v, k->n, sizeof(k->v[0]));
        for (size_t at = 0; at < before; at += CHUNK) {
            size_t kept = around_f(k, k->v + at, AC_MIN(CHUNK, before - at));
            memmove(k->v + left, k->v + at, kept * sizeof(k->v[0]));
            left += kept;
        }
        k->n = left;
    }
    k->n = around_f(k, k->v, k->n);
}

int ac_rca_score_rcd(const struct ac_rca_frame *f, uint64_t seed, double *score, struct ac_err *err)
{
    struct ac_rca_matrix m;
    struct rcd k = {.f = (int)f->p};
    struct ac_rng rng;
    int rc = classes_of(f, &m, err);
    if (rc)
        return rc;
    rc = ac_rca_ci_chi2(&m, false, ALPHA, &k.t, err);
    if (!rc) {
        k.p = ac_xcalloc(f->p + 1, sizeof(double));
        k.v = ac_xcalloc(f->p + 1, sizeof(int));
        k.t->given(k.t, NULL, 0);
        for (size_t j = 0; j < f->p; j++) {
            k.p[j] = k.t->p_value(k.t, (int)j, k.f);
            if (k.p[j] <= ALPHA)
                k.v[k.n++] = (int)j;
        }
        ac_rng_seed(&rng, seed);
        hierarchical(&k, &rng);
        /* A tie of underflown p values goes to what deviates more. */
        for (size_t j = 0; j < f->p; j++)
            score[j] = -log(fmin(1.0, fmax(k.p[j], P_MIN))) + 1e-9 * ac_rca_frame_z(f, j);
        free(k.p);
        free(k.v);
        ac_rca_ci_destroy(k.t);
    }
    ac_rca_matrix_fini(&m);
    return rc;
}
