#include "graph/rca_second.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/rng.h>

#define FEATURES 8 /* of the cause and of the effect */
#define GIVEN    4 /* of each other cause: itself, and the first three features */
#define SHIFTS   499
#define ENOUGH   10 /* shifts that are as large as what was seen: more of them change no verdict */
#define MIN_ROWS 128
#define MAX_ROWS 2048 /* the latest; with more the time grows and little is gained */
#define MAX_LAGS 65
#define SEED     0x5ec0d

static const double frequencies[FEATURES / 2] = {1.0, 0.5, 1.5, 2.0};

static double feature(double v, int i)
{
    double x = frequencies[i / 2] * v;
    return i % 2 ? sin(x) : cos(x);
}

struct opinion {
    size_t n, head; /* rows, and rows before the first of them */
    int nlags;
    double *given; /* orthonormal columns */
    size_t columns;
    double *x; /* lags * FEATURES columns of n, and of y FEATURES; NULL features are all 0 */
    double *y;
};

/* Takes what is given out of a column; one of which nothing is left becomes 0. */
static void clear_of(double *v, const struct opinion *o)
{
    double length;
    if (!rca_sweep_out(v, o->given, o->columns, o->n, &length))
        memset(v, 0, o->n * sizeof(*v));
}

static void find_given(const struct rca_check *k, const struct rca_control *given, size_t n,
                       struct opinion *o)
{
    for (size_t j = 0; j < n; j++) {
        const double *v = k->s[given[j].node].v + o->head - given[j].lag;
        for (int i = 0; i < GIVEN; i++) {
            double length, *to = o->given + o->columns * o->n;
            for (size_t t = 0; t < o->n; t++)
                to[t] = i == 0 ? v[t] : feature(v[t], i - 1);
            o->columns += rca_sweep_out(to, o->given, o->columns, o->n, &length);
        }
    }
}

static void find_features(const double *v, const struct opinion *o, double *ret)
{
    for (int i = 0; i < FEATURES; i++) {
        for (size_t t = 0; t < o->n; t++)
            ret[(size_t)i * o->n + t] = feature(v[t], i);
        clear_of(ret + (size_t)i * o->n, o);
    }
}

/* Sum of the squared correlations with the effect moved by shift rows, of the best lag. */
static double statistic(const struct opinion *o, size_t shift, int *ret_lag)
{
    double best = -1.0;
    for (int lag = 0; lag < o->nlags; lag++) {
        double sum = 0;
        for (int i = 0; i < FEATURES; i++) {
            const double *x = o->x + (size_t)(lag * FEATURES + i) * o->n;
            for (int j = 0; j < FEATURES; j++) {
                const double *y = o->y + (size_t)j * o->n;
                double dot = 0;
                for (size_t t = 0; t < o->n - shift; t++)
                    dot += x[t] * y[t + shift];
                for (size_t t = o->n - shift; t < o->n; t++)
                    dot += x[t] * y[t + shift - o->n];
                sum += dot * dot;
            }
        }
        if (sum > best) {
            best = sum;
            *ret_lag = lag;
        }
    }
    return best;
}

/* Shifts by less would lay lags upon one another. */
static size_t least_shift(const struct opinion *o)
{
    return 2 * (size_t)o->nlags;
}

static struct rca_opinion ask(const struct opinion *o, const int lags[2])
{
    struct rca_opinion r = {.ok = true};
    struct ac_rng rng;
    int lag = 0;
    double seen = statistic(o, 0, &lag);
    size_t guard = AC_MAX(o->n / 20, least_shift(o)), larger = 0;
    ac_rng_seed(&rng, SEED);
    r.lag = lags[0] + lag;
    while (r.shifts < SHIFTS && larger < ENOUGH) {
        size_t shift = guard + (size_t)ac_rng_below(&rng, o->n - 2 * guard);
        larger += statistic(o, shift, &lag) >= seen;
        r.shifts++;
    }
    r.p = larger == ENOUGH ? (double)larger / (double)r.shifts
                           : (double)(larger + 1) / (double)(r.shifts + 1);
    return r;
}

struct rca_opinion rca_second_opinion(struct rca_check *k, int cause, int effect, const int lags[2])
{
    struct rca_control given[RCA_CHECK_CONTROLS];
    struct opinion o = {.head = (size_t)lags[1], .nlags = AC_MIN(lags[1] - lags[0] + 1, MAX_LAGS)};
    size_t n = rca_check_controls(k, cause, effect, given);
    for (size_t j = 0; j < n; j++)
        o.head = AC_MAX(o.head, (size_t)given[j].lag);
    if (k->rows < o.head + AC_MAX((size_t)MIN_ROWS, 4 * least_shift(&o)))
        return (struct rca_opinion){.p = 1.0};
    o.head = AC_MAX(o.head, k->rows > MAX_ROWS ? k->rows - MAX_ROWS : 0);
    o.n = k->rows - o.head;
    size_t width = (size_t)(o.nlags + 1) * FEATURES;
    o.given = ac_xcalloc((size_t)(RCA_CHECK_CONTROLS * GIVEN) * o.n, sizeof(double));
    o.y = ac_xcalloc(width * o.n, sizeof(double));
    o.x = o.y + FEATURES * o.n;
    find_given(k, given, n, &o);
    find_features(k->s[effect].v + o.head, &o, o.y);
    for (int lag = 0; lag < o.nlags; lag++)
        find_features(k->s[cause].v + o.head - (size_t)(lags[0] + lag), &o,
                      o.x + (size_t)(lag * FEATURES) * o.n);
    struct rca_opinion r = ask(&o, lags);
    free(o.given);
    free(o.y);
    return r;
}
