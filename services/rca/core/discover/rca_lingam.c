/* DirectLiNGAM: the order of causes from the shape of the noise (Shimizu et al. 2011, with the
 * pairwise measure of Hyvarinen and Smith 2013), then linear effects along that order. */
#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/stats.h>
#include <aceso/team.h>

#include "discover/rca_discover.h"
#include "discover/rca_entropy.h"
#include "discover/rca_regress.h"

struct pair {
    int i, j;
    bool exact, counted; /* asked for exactly; has been asked roughly in this step */
    double d; /* what speaks for i as a cause of j, roughly: at least; below 0: for j as a cause of
                 i */
};

struct lingam {
    size_t n, p;
    double *x;       /* residuals of what is left, standardised, column by column */
    float *rough;    /* the same in single precision */
    double *entropy; /* of each column */
    int *candidates; /* columns that are left, ascending */
    size_t left;
    bool *alive;    /* may still be the least contradicted of this step */
    bool *whole;    /* all pairs of it have been asked for exactly */
    double *score;  /* what the pairs asked in this step say against it, at least */
    double *expect; /* what all said against it when they were last asked, before this step */
    /* Of each two columns, both ways round: what spoke against i in [i * p + j] when the pair was
     * last asked, which is the best guess at what will; in which step (twice its number, and one
     * more where exactly); and what it said when asked exactly. */
    float *guess;
    uint16_t *asked, step;
    double *said;
    float *from; /* of each column: guesses from here on are asked next */
    double least;
    struct pair *batch;
    size_t batched, batch_cap;
    int taken; /* whose part is taken out of the others */
    int *order;
    const struct ac_rca_loops *loops;
    const struct ac_rca_clean *c;
    const struct ac_rca_discover_params *params;
};

/* ---- what one pair says ---- */

static double correlation(const struct lingam *k, size_t i, size_t j)
{
    return k->loops->dot(k->x + i * k->n, k->x + j * k->n, k->n) / (double)k->n;
}

/* Of (y - r x) / s, which is standardised. */
static double entropy(const struct lingam *k, size_t y, size_t x, double r, double s)
{
    double a, b;
    k->loops->shape(k->x + y * k->n, k->x + x * k->n, r, s, k->n, &a, &b);
    return ac_rca_entropy(a, b);
}

/* The same roughly; adds to *error by how much it may be off. */
static double rough_entropy(const struct lingam *k, size_t y, size_t x, double r, double s,
                            double *error)
{
    double a, b;
    k->loops->rough(k->rough + y * k->n, k->rough + x * k->n, r, s, k->n, &a, &b);
    *error += ac_rca_entropy_error(a, b, AC_RCA_ROUGH / s);
    return ac_rca_entropy(a, b);
}

#define ROUGH_FROM 0.05 /* spread of what is left; below it rounding counts for too much */

/* How much speaks for i as a cause of j; roughly: at least so much. NaN where one of the two
 * determines the other. */
static double direction(const struct lingam *k, size_t i, size_t j, bool exact)
{
    double r = correlation(k, i, j), s = sqrt(fmax(0.0, 1.0 - r * r)), error = 0.0, d;
    if (!(s > 1e-9))
        return NAN;
    if (exact || s < ROUGH_FROM)
        return (k->entropy[j] + entropy(k, i, j, r, s)) - (k->entropy[i] + entropy(k, j, i, r, s));
    d = (k->entropy[j] + rough_entropy(k, i, j, r, s, &error)) -
        (k->entropy[i] + rough_entropy(k, j, i, r, s, &error));
    return copysign(fmax(0.0, fabs(d) - error), d);
}

/* What knowledge says of taking i before all others that are left: 0 nothing drives it, 1 it may, 2
 * it drives none of them, 3 one of them must come before. The least is taken first. */
static int turn(const struct lingam *k, size_t i)
{
    bool root = true, leaf = true;
    if (!k->params->know)
        return 1;
    for (size_t a = 0; a < k->left; a++) {
        size_t j = (size_t)k->candidates[a];
        if (j == i)
            continue;
        if (ac_rca_required(k->params, k->c, j, i))
            return 3;
        root = root && ac_rca_forbidden(k->params, k->c, j, i);
        leaf = leaf && ac_rca_forbidden(k->params, k->c, i, j);
    }
    return root ? 0 : leaf ? 2 : 1;
}

static void own_entropy(void *ctx, size_t at, size_t member)
{
    struct lingam *k = ctx;
    (void)member;
    size_t i = (size_t)k->candidates[at];
    k->entropy[i] = entropy(k, i, i, 0.0, 1.0);
}

static void compare_pair(void *ctx, size_t at, size_t member)
{
    struct lingam *k = ctx;
    (void)member;
    struct pair *q = &k->batch[at];
    q->d = direction(k, (size_t)q->i, (size_t)q->j, q->exact);
}

/* The pairs of candidate i, not yet asked so in this step, whose guess is not below `from`. */
static void ask_about(struct lingam *k, size_t i, float from, bool exact)
{
    const float *guess = k->guess + i * k->p;
    uint16_t *asked = k->asked + i * k->p, roughly = (uint16_t)(2 * k->step),
             now = (uint16_t)(roughly + exact);
    for (size_t a = 0; a < k->left; a++) {
        size_t j = (size_t)k->candidates[a];
        if (j == i || asked[j] >= now || guess[j] < from)
            continue;
        ac_grow(&k->batch, &k->batch_cap, k->batched + 1, sizeof(k->batch[0]));
        k->batch[k->batched++] = (struct pair){.i = (int)AC_MIN(i, j),
                                               .j = (int)AC_MAX(i, j),
                                               .exact = exact,
                                               .counted = asked[j] == roughly};
        asked[j] = k->asked[j * k->p + i] = now;
    }
}

/* Each pair speaks against one of the two. */
static void answer(struct lingam *k)
{
    ac_team_run(k->params->team, k->batched, compare_pair, k);
    for (size_t a = 0; a < k->batched; a++) {
        const struct pair *q = &k->batch[a];
        size_t ij = (size_t)q->i * k->p + (size_t)q->j, ji = (size_t)q->j * k->p + (size_t)q->i;
        double weight = isnan(q->d) ? 0.0 : q->d * q->d;
        if (q->exact) {
            k->said[ij] = q->d;
            k->said[ji] = -q->d;
        }
        k->guess[ij] = q->d < 0.0 ? (float)weight : 0.0F;
        k->guess[ji] = q->d < 0.0 ? 0.0F : (float)weight;
        if (!q->counted)
            k->score[q->d < 0.0 ? q->i : q->j] += weight;
    }
    k->batched = 0;
}

/* The sum of all that speaks against i, in the order of columns whatever was asked first. */
static double against(const struct lingam *k, size_t i)
{
    double sum = 0;
    uint16_t exactly = (uint16_t)(2 * k->step + 1);
    for (size_t j = 0; j < k->p; j++) {
        double d = k->said[i * k->p + j];
        if (k->asked[i * k->p + j] == exactly && d < 0.0) /* not for NaN */
            sum += d * d;
    }
    return sum;
}

static void expect(void *ctx, size_t at, size_t member)
{
    struct lingam *k = ctx;
    (void)member;
    size_t i = (size_t)k->candidates[at];
    const float *guess = k->guess + i * k->p;
    double sum = 0;
    for (size_t j = 0; j < k->p; j++)
        sum += (double)guess[j];
    k->expect[i] = sum;
}

/* ---- which pairs are asked next ---- */

#define MARGIN  1.2 /* of what is missing: guesses are not kept to the letter */
#define BUCKETS 512

/* By exponent and the first bit behind it, so that larger floats have no lower bucket. */
static size_t bucket_of(float guess)
{
    uint32_t bits;
    memcpy(&bits, &guess, sizeof(bits));
    return bits >> 22; /* guess is not negative */
}

/* From which guess on the pairs of a candidate must be asked so that they are likely to say enough
 * against it: the loudest first. All of them where they are not. */
static void choose(void *ctx, size_t at, size_t member)
{
    struct lingam *k = ctx;
    (void)member;
    size_t i = (size_t)k->candidates[at];
    const float *guess = k->guess + i * k->p;
    const uint16_t *asked = k->asked + i * k->p;
    double sum[BUCKETS] = {0}, want = MARGIN * (k->least - k->score[i]);
    if (!k->alive[i] || k->whole[i])
        return;
    for (size_t a = 0; a < k->left; a++) {
        size_t j = (size_t)k->candidates[a];
        if (asked[j] < 2 * k->step && j != i)
            sum[bucket_of(guess[j])] += (double)guess[j];
    }
    size_t b = BUCKETS;
    while (b > 1 && want > 0.0)
        want -= sum[--b];
    uint32_t bits = (uint32_t)b << 22;
    memcpy(&k->from[i], &bits, sizeof(bits));
    if (want > 0.0 || b == BUCKETS)
        k->from[i] = 0.0F;
}

/* Closes the books on a candidate of which everything was asked. */
static void settle(struct lingam *k, size_t i, int *best)
{
    double sum = against(k, i);
    k->whole[i] = true;
    if (*best < 0 || sum < k->least || (sum == k->least && (int)i < *best)) {
        k->least = sum;
        *best = (int)i;
    }
}

static void give_up(struct lingam *k)
{
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        k->alive[i] = k->alive[i] && k->score[i] <= k->least * (1.0 + 1e-9);
    }
}

/* Candidates that are alive and not whole; *ret_next: who of them is expected to be least. */
static size_t open(const struct lingam *k, size_t *ret_next)
{
    size_t n = 0;
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        if (!k->alive[i] || k->whole[i])
            continue;
        if (n++ == 0 || k->expect[i] < k->expect[*ret_next])
            *ret_next = i;
    }
    return n;
}

/* Asks the loudest pairs of all that are open, roughly. Of whom there is nothing more to ask, and
 * who yet may be the least, is expected to be. */
static void ask_loudest(struct lingam *k)
{
    ac_team_run(k->params->team, k->left, choose, k);
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        if (k->alive[i] && !k->whole[i])
            ask_about(k, i, k->from[i], false);
    }
    answer(k);
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        if (k->alive[i] && !k->whole[i] && !(k->from[i] > 0.0F))
            k->expect[i] = 0.0;
    }
}

/* The least contradicted candidate; of equal ones the first column. What one pair says counts for
 * or against both. Who is expected to be least is asked about first and wholly, of the others those
 * pairs first that spoke loudest against them before; and who has more against him than the best
 * has in all is given up. Which pairs were asked decides nothing: none is given up that could have
 * been the least. */
static size_t most_exogenous(struct lingam *k)
{
    int best = -1, first = 3;
    size_t next = 0;
    k->step++;
    k->least = INFINITY;
    for (size_t a = 0; a < k->left; a++)
        first = AC_MIN(first, turn(k, (size_t)k->candidates[a]));
    for (size_t a = 0; a < k->left; a++) {
        size_t i = (size_t)k->candidates[a];
        k->alive[i] = turn(k, i) == first;
        k->whole[i] = false;
        k->score[i] = 0.0;
    }
    ac_team_run(k->params->team, k->left, own_entropy, k);
    ac_team_run(k->params->team, k->left, expect, k);
    while (open(k, &next) > 0) {
        if (best < 0 || k->expect[next] <= k->least) {
            ask_about(k, next, 0.0F, true);
            answer(k);
            settle(k, next, &best);
        } else {
            ask_loudest(k);
        }
        give_up(k);
    }
    AC_ASSERT(best >= 0);
    return (size_t)best;
}

/* Without the one that was taken, of which nobody expects anything any more. */
static void leave(struct lingam *k, size_t taken)
{
    size_t n = 0;
    for (size_t a = 0; a < k->left; a++) {
        int v = k->candidates[a];
        if ((size_t)v == taken)
            continue;
        k->candidates[n++] = v;
        k->guess[(size_t)v * k->p + taken] = 0.0F;
    }
    k->left = n;
}

static void round_column(struct lingam *k, size_t j)
{
    const double *x = k->x + j * k->n;
    float *y = k->rough + j * k->n;
    for (size_t t = 0; t < k->n; t++)
        y[t] = (float)x[t];
}

static void take_out(void *ctx, size_t at, size_t member)
{
    struct lingam *k = ctx;
    (void)member;
    size_t j = (size_t)k->candidates[at], c = (size_t)k->taken;
    double *xj = k->x + j * k->n;
    if (!k->loops->residual(xj, k->x + c * k->n, correlation(k, c, j), k->n))
        memset(xj, 0, k->n * sizeof(double)); /* determined by what came before it */
    round_column(k, j);
}

static void find_order(struct lingam *k)
{
    for (size_t step = 0; step < k->p; step++) {
        size_t c = most_exogenous(k);
        k->order[step] = k->taken = (int)c;
        leave(k, c);
        ac_team_run(k->params->team, k->left, take_out, k);
    }
}

/* Effects of all earlier variables on one; those that do not differ from 0 are dropped together,
 * and the rest is fitted again, until all do. */
static void effects(const struct ac_rca_clean *c, const struct lingam *k, const double *cov,
                    size_t at, double alpha, struct ac_rca_discovery *d)
{
    size_t kept = 0;
    double *coef = ac_xcalloc(at + 1, sizeof(double)), *t = ac_xcalloc(at + 1, sizeof(double)), s2;
    int *from = ac_xcalloc(at + 1, sizeof(int)), y = k->order[at];
    for (size_t j = 0; j < at; j++)
        if (!ac_rca_forbidden(k->params, c, (size_t)k->order[j], (size_t)y))
            from[kept++] = k->order[j];
    for (bool dropped = true; dropped && kept > 0;) {
        size_t left = 0;
        if (!ac_rca_regress(cov, k->p, k->n, from, kept, y, coef, t, &s2)) {
            kept--; /* singular: without the last, which what is before it determines */
            continue;
        }
        for (size_t j = 0; j < kept; j++)
            if (2.0 * ac_stats_t_sf(fabs(t[j]), (double)(k->n - kept - 1)) <= alpha ||
                ac_rca_required(k->params, c, (size_t)from[j], (size_t)y))
                from[left++] = from[j];
        dropped = left < kept;
        kept = left;
    }
    for (size_t j = 0; j < kept; j++)
        ac_rca_link_add(d, &(struct ac_rca_link){.from = c->column[from[j]],
                                                 .to = c->column[y],
                                                 .at_from = AC_RCA_TAIL,
                                                 .at_to = AC_RCA_ARROW,
                                                 .strength = coef[j],
                                                 .p = NAN});
    d->tests += at;
    free(coef);
    free(t);
    free(from);
}

static void find_all(struct lingam *k, const double *cov, struct ac_rca_discovery *d)
{
    size_t p = k->p;
    k->loops = ac_rca_loops();
    k->entropy = ac_xcalloc(p, sizeof(double));
    k->score = ac_xcalloc(p, sizeof(double));
    k->expect = ac_xcalloc(p, sizeof(double));
    k->from = ac_xcalloc(p, sizeof(float));
    k->alive = ac_xcalloc(p, sizeof(bool));
    k->whole = ac_xcalloc(p, sizeof(bool));
    k->candidates = ac_xcalloc(p, sizeof(int));
    k->order = ac_xcalloc(p, sizeof(int));
    k->left = p;
    for (size_t j = 0; j < p; j++)
        k->candidates[j] = (int)j;
    memcpy(k->x, k->c->m.x, k->n * p * sizeof(double));
    for (size_t j = 0; j < p; j++) {
        (void)k->loops->standardise(k->x + j * k->n, k->n);
        round_column(k, j);
    }
    find_order(k);
    for (size_t at = 1; at < p; at++)
        effects(k->c, k, cov, at, k->params->alpha / (double)p, d);
    free(k->entropy);
    free(k->score);
    free(k->expect);
    free(k->from);
    free(k->alive);
    free(k->whole);
    free(k->candidates);
    free(k->order);
    free(k->batch);
}

int ac_rca_lingam(const struct ac_rca_clean *c, const struct ac_rca_discover_params *params,
                  struct ac_rca_discovery *d, struct ac_err *err)
{
    struct lingam k = {.c = c, .params = params, .n = c->m.n, .p = c->m.p};
    double *cov = NULL;
    if (k.n < 10)
        return ac_err_set(err, AC_EINVAL, "%zu rows are too few for the shape of noise", k.n);
    int rc = ac_rca_covariances(&c->m, &cov, err);
    size_t cells = ac_mul_size(k.p, k.p);
    if (!rc) {
        k.x = ac_try_malloc(ac_mul_size(k.n * k.p, sizeof(double)));
        k.rough = ac_try_malloc(ac_mul_size(k.n * k.p, sizeof(float)));
        k.said = ac_try_malloc(ac_mul_size(cells, sizeof(double)));
        k.asked = ac_try_malloc(ac_mul_size(cells, sizeof(k.asked[0])));
        k.guess = ac_try_malloc(ac_mul_size(cells, sizeof(k.guess[0])));
        if (!k.x || !k.rough || !k.said || !k.asked || !k.guess)
            rc = ac_err_set(err, AC_ENOMEM, "no memory for %zu x %zu values", k.n, k.p);
    }
    if (!rc) {
        memset(k.asked, 0, cells * sizeof(k.asked[0]));
        memset(k.guess, 0, cells * sizeof(k.guess[0]));
        find_all(&k, cov, d);
    }
    free(cov);
    free(k.x);
    free(k.rough);
    free(k.said);
    free(k.asked);
    free(k.guess);
    return rc;
}
