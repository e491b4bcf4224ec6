#include "discover/rca_scout.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/team.h>

#define M          AC_RCA_SCOUTS
#define DETERMINED 1e-9 /* of what is left of a variance */

_Static_assert(M *M < 255, "a set's number fits a byte");

/* Forward selection: each next predictor is the one that explains most of what is left of y. */
static void select_best(const double *r, const struct ac_rca_pdag *g, size_t y, double *w,
                        double *left, double *c, int32_t *best)
{
    size_t p = g->p;
    const int8_t *adjacent = g->m + y * p;
    for (size_t x = 0; x < p; x++) {
        c[x] = r[y * p + x];
        left[x] = 1.0;
    }
    for (size_t k = 0; k < M; k++) {
        double top = 0.0;
        best[k] = -1;
        for (size_t x = 0; x < p; x++) {
            double q = left[x] > DETERMINED && adjacent[x] ? c[x] * c[x] / left[x] : 0.0;
            if (q > top) {
                top = q;
                best[k] = (int32_t)x;
            }
        }
        if (best[k] < 0)
            break;
        size_t b = (size_t)best[k];
        double pivot = sqrt(left[b]), *wk = w + k * p;
        for (size_t x = 0; x < p; x++) {
            double q = r[b * p + x];
            for (size_t j = 0; j < k; j++)
                q -= w[j * p + b] * w[j * p + x];
            wk[x] = q / pivot;
        }
        double wy = wk[y];
        for (size_t x = 0; x < p; x++) {
            c[x] -= wy * wk[x];
            left[x] -= wk[x] * wk[x];
        }
        left[b] = 0.0; /* not again */
    }
    for (size_t k = 1; k < M; k++)
        if (best[k - 1] < 0)
            best[k] = -1;
}

struct sweep { /* of one variable y, over all x at once */
    size_t p;
    const double *r, *critical;
    double *c1, *v1; /* covariance with y and variance of each x, given a */
};

/* Given a: keeps what pairs need, marks what is separated from y. */
static void given_one(struct sweep *s, size_t y, size_t a, uint8_t number, uint8_t *how)
{
    const double *ry = s->r + y * s->p, *ra = s->r + a * s->p;
    double ya = ry[a], limit = s->critical[1] * (1.0 - ya * ya), *c1 = s->c1, *v1 = s->v1;
    for (size_t x = 0; x < s->p; x++) {
        v1[x] = 1.0 - ra[x] * ra[x];
        c1[x] = ry[x] - ya * ra[x];
    }
    for (size_t x = 0; x < s->p; x++) {
        bool hit = (c1[x] * c1[x] < limit * v1[x]) & (v1[x] > DETERMINED) & (how[x] == 0);
        how[x] = hit ? number : how[x];
    }
}

static void given_two(struct sweep *s, size_t y, size_t a, size_t b, uint8_t number, uint8_t *how)
{
    const double *ra = s->r + a * s->p, *rb = s->r + b * s->p, *c1 = s->c1, *v1 = s->v1;
    double ab = ra[b], pivot = 1.0 - ab * ab, ya = s->r[y * s->p + a];
    if (!(pivot > DETERMINED))
        return;
    double inverse = 1.0 / pivot, yb = c1[b] * inverse;
    double left = 1.0 - ya * ya - c1[b] * yb, limit = s->critical[2] * left;
    if (!(left > DETERMINED))
        return;
    for (size_t x = 0; x < s->p; x++) {
        double q = rb[x] - ab * ra[x], v = v1[x] - q * q * inverse, c = c1[x] - yb * q;
        bool hit = (c * c < limit * v) & (v > DETERMINED) & (how[x] == 0);
        how[x] = hit ? number : how[x];
    }
}

struct scouting {
    const double *r, *critical;
    const struct ac_rca_pdag *g;
    int max_given;
    struct ac_rca_scout *s;
    double *scratch; /* of each member: (M + 2) * p */
    uint64_t *tests; /* by variable */
};

static void scout_one(void *ctx, size_t y, size_t member)
{
    const struct scouting *q = ctx;
    struct ac_rca_scout *s = q->s;
    size_t p = s->p;
    double *w = q->scratch + member * (M + 2) * p, *left = w + M * p, *c = left + p;
    int32_t *best = s->best + y * M;
    struct sweep k = {.p = p, .r = q->r, .critical = q->critical, .c1 = c, .v1 = left};
    select_best(q->r, q->g, y, w, left, c, best);
    for (size_t i = 0; i < M && best[i] >= 0; i++) {
        given_one(&k, y, (size_t)best[i], (uint8_t)(i * M + i + 1), s->how + y * p);
        q->tests[y] += p;
        for (size_t j = 0; j < i && q->max_given > 1; j++) {
            given_two(&k, y, (size_t)best[i], (size_t)best[j], (uint8_t)(i * M + j + 1),
                      s->how + y * p);
            q->tests[y] += p;
        }
    }
}

void ac_rca_scout_run(const double *r, const struct ac_rca_pdag *g, const double *critical,
                      int max_given, struct ac_team *team, struct ac_rca_scout *ret)
{
    size_t p = g->p;
    struct ac_rca_scout s = {.p = p};
    struct scouting q = {.r = r, .critical = critical, .g = g, .max_given = max_given, .s = &s};
    s.best = ac_xcalloc(p * M, sizeof(s.best[0]));
    s.how = ac_xcalloc(p, p);
    q.scratch = ac_xcalloc(ac_team_size(team) * (M + 2), p * sizeof(double));
    q.tests = ac_xcalloc(p, sizeof(q.tests[0]));
    ac_team_run(team, p, scout_one, &q);
    for (size_t y = 0; y < p; y++)
        s.tests += q.tests[y];
    free(q.scratch);
    free(q.tests);
    *ret = s;
}

void ac_rca_scout_fini(struct ac_rca_scout *s)
{
    free(s->best);
    free(s->how);
    memset(s, 0, sizeof(*s));
}

static size_t set_of(const struct ac_rca_scout *s, size_t y, size_t x, int *set)
{
    size_t number = s->how[y * s->p + x];
    if (number-- == 0)
        return 0;
    set[0] = s->best[y * M + number / M];
    set[1] = s->best[y * M + number % M];
    return set[0] == set[1] ? 1 : 2;
}

size_t ac_rca_scout_set(const struct ac_rca_scout *s, int x, int y, int *set)
{
    size_t n = set_of(s, (size_t)y, (size_t)x, set);
    return n ? n : set_of(s, (size_t)x, (size_t)y, set);
}
