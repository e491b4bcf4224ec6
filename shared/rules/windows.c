/* Operators with memory: sums over windows, order statistics, seasons, truth over time.
 * What a window holds is read from the history of the argument's column; scalars keep the rest.
 * Sums are taken afresh from the window every w points, so that no error grows with time, and when
 * the window has become constant; counts of signs keep rounding from turning a sum's sign. */
#include "rules_impl.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

#define NAN_     (__builtin_nan(""))
#define LONG_AGO 1e18 /* points since a sum was taken afresh: the next point does it */

static inline bool known(double v)
{
    return v == v;
}

/* Into the side of 0 that the values are on: traffic that is never negative has no mean below 0. */
static inline double on_side(double v, double negative, double positive)
{
    return (v < 0 && negative == 0) || (v > 0 && positive == 0) ? 0 : v;
}

/* ---- sums: about a reference, and what is known of the values exactly ---- */

enum {
    S_REF,
    S_1,
    S_2,
    S_T,
    S_TT,
    S_TY,
    S_COUNT,
    S_NEGATIVE, /* known values below 0, above 0 */
    S_POSITIVE,
    S_RUN, /* points in a row that are equal, the last one among them */
    S_SINCE,
    S_SUMS
};

/* Sums of the window that ends at a[0], about a reference inside it. */
static void sums_fresh(double *s, const double *a, uint32_t w)
{
    double lo = INFINITY, hi = -INFINITY, sum = 0, n = 0, run = s[S_RUN];
    for (uint32_t k = 0; k < w; k++) {
        double v = *(a - k);
        if (!known(v))
            continue;
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
        sum += v;
        n++;
    }
    memset(s, 0, S_SUMS * sizeof *s);
    s[S_RUN] = run;
    s[S_REF] = n == 0 ? 0 : lo == hi ? lo : rule_canon(sum / n);
    if (!known(s[S_REF]))
        s[S_REF] = lo;
    for (uint32_t k = w; k-- > 0;) { /* time runs from 0 at the oldest place */
        double v = *(a - k);
        if (!known(v))
            continue;
        double d = v - s[S_REF], t = (double)(w - 1 - k);
        s[S_1] += d;
        s[S_2] += d * d;
        s[S_T] += t;
        s[S_TT] += t * t;
        s[S_TY] += t * d;
        s[S_COUNT]++;
        s[S_NEGATIVE] += v < 0;
        s[S_POSITIVE] += v > 0;
    }
}

static double sums_read(const double *s, enum node_op op, uint32_t w)
{
    double n = s[S_COUNT];
    uint32_t half = (w + 1) / 2;
    if (n < half)
        return NAN_;
    if (op == N_SUM)
        return on_side(rule_canon(s[S_REF] * n + s[S_1]), s[S_NEGATIVE], s[S_POSITIVE]);
    if (op == N_MEAN)
        return on_side(rule_canon(s[S_REF] + s[S_1] / n), s[S_NEGATIVE], s[S_POSITIVE]);
    if (n < 2)
        return NAN_;
    if (op == N_STD) {
        double v = (s[S_2] - s[S_1] * s[S_1] / n) / n;
        return v > 0 ? rule_canon(sqrt(v)) : 0;
    }
    double tt = s[S_TT] - s[S_T] * s[S_T] / n;
    return rule_canon((s[S_TY] - s[S_T] * s[S_1] / n) / tt);
}

/* One value enters or leaves (by = 1 or -1) at time t. */
static inline void sums_move(double *z, enum node_op op, double v, double t, double by)
{
    if (!known(v))
        return;
    double d = v - z[S_REF];
    z[S_1] += by * d;
    z[S_COUNT] += by;
    z[S_NEGATIVE] += v < 0 ? by : 0;
    z[S_POSITIVE] += v > 0 ? by : 0;
    if (op == N_STD)
        z[S_2] += by * (d * d);
    if (op == N_SLOPE) {
        z[S_T] += by * t;
        z[S_TT] += by * (t * t);
        z[S_TY] += by * (t * d);
    }
}

static void sums(const struct step *s)
{
    double z[S_SUMS];
    memcpy(z, s->col->scalars, sizeof z);
    const double *a = s->a[0];
    uint32_t w = s->node->w;
    enum node_op op = s->node->op;
    double every = w < 32 ? 32 : w;
    for (size_t i = 0; i < s->n; i++) {
        double in = a[i], out = *(a + i - w), t = z[S_SINCE];
        z[S_RUN] = in == *(a + i - 1) ? z[S_RUN] + 1 : known(in);
        if (t >= every || (z[S_COUNT] == 0 && known(in)) || z[S_RUN] == w) {
            sums_fresh(z, a + i, w);
        } else {
            sums_move(z, op, in, t + (double)w, 1);
            sums_move(z, op, out, t, -1);
            z[S_SINCE]++;
        }
        s->out[i] = sums_read(z, op, w);
    }
    memcpy(s->col->scalars, z, sizeof z);
}

/* ---- order statistics ---- */

static void order(const struct step *s)
{
    struct ac_ostat *o = s->col->os;
    const double *a = s->a[0];
    uint32_t w = s->node->w, least = (w + 1) / 2;
    for (size_t i = 0; i < s->n; i++) {
        double old = *(a + i - w);
        if (known(old))
            ac_ostat_remove(o, old);
        if (known(a[i]))
            ac_ostat_insert(o, a[i]);
        s->out[i] = ac_ostat_len(o) < least ? NAN_
                    : s->node->op == N_MAD  ? ac_ostat_mad(o)
                                            : ac_ostat_quantile(o, s->node->c);
    }
}

/* ---- least and greatest: a queue of candidates, the best first ---- */

static void deque_take(struct deque *d, uint64_t t, double v, uint32_t w, bool greatest)
{
    if (d->len && d->t[d->head] + w <= t) {
        d->head = d->head + 1 == d->cap ? 0 : d->head + 1;
        d->len--;
    }
    if (!known(v))
        return;
    while (d->len) {
        uint32_t last = d->head + d->len - 1;
        last -= last >= d->cap ? d->cap : 0;
        if (greatest ? d->v[last] > v : d->v[last] < v)
            break;
        d->len--;
    }
    uint32_t at = d->head + d->len;
    at -= at >= d->cap ? d->cap : 0;
    d->v[at] = v;
    d->t[at] = t;
    d->len++;
}

static void extreme(const struct step *s)
{
    const double *a = s->a[0];
    uint32_t w = s->node->w, least = (w + 1) / 2;
    double count = s->col->scalars[0];
    for (size_t i = 0; i < s->n; i++) {
        count += (known(a[i]) ? 1 : 0) - (known(*(a + i - w)) ? 1 : 0);
        deque_take(&s->col->dq, s->t + i, a[i], w, s->node->op == N_MAX);
        s->out[i] = count < least ? NAN_ : s->col->dq.v[s->col->dq.head];
    }
    s->col->scalars[0] = count;
}

/* ---- seasons: the same phase of the last m seasons ---- */

enum {
    M_SUM,
    M_COUNT,
    M_NEGATIVE,
    M_POSITIVE,
    M_SINCE,
    M_SUMS
};

static inline void season_move(double *z, double v, double by)
{
    if (!known(v))
        return;
    z[M_SUM] += by * v;
    z[M_COUNT] += by;
    z[M_NEGATIVE] += v < 0 ? by : 0;
    z[M_POSITIVE] += v > 0 ? by : 0;
}

static void season_sums_fresh(double *z, const double *a, const struct node *n)
{
    memset(z, 0, M_SUMS * sizeof *z);
    for (uint32_t d = n->m; d >= 1; d--) {
        for (uint32_t k = 0; k <= 2 * n->h; k++)
            season_move(z, *(a - (size_t)d * n->w - n->h + k), 1);
    }
}

static void season_mean(const struct step *s)
{
    const struct node *n = s->node;
    double *z = s->col->scalars;
    double every = (double)n->m * (2 * n->h + 1);
    every = every < 32 ? 32 : every;
    for (size_t i = 0; i < s->n; i++) {
        const double *a = s->a[0] + i;
        if (z[M_SINCE] >= every) {
            season_sums_fresh(z, a, n);
        } else {
            for (uint32_t d = n->m; d >= 1; d--) {
                season_move(z, *(a - (size_t)d * n->w + n->h), 1);
                season_move(z, *(a - (size_t)d * n->w - n->h - 1), -1);
            }
            z[M_SINCE]++;
        }
        double mean = on_side(rule_canon(z[M_SUM] / z[M_COUNT]), z[M_NEGATIVE], z[M_POSITIVE]);
        s->out[i] = z[M_COUNT] >= n->h + 1 ? mean : NAN_;
    }
}

static void season_order(const struct step *s)
{
    const struct node *n = s->node;
    struct ac_ostat *o = s->col->os;
    for (size_t i = 0; i < s->n; i++) {
        const double *a = s->a[0] + i;
        for (uint32_t d = n->m; d >= 1; d--) {
            double in = *(a - (size_t)d * n->w + n->h);
            double out = *(a - (size_t)d * n->w - n->h - 1);
            if (known(out))
                ac_ostat_remove(o, out);
            if (known(in))
                ac_ostat_insert(o, in);
        }
        uint32_t len = ac_ostat_len(o);
        if (len < n->h + 1)
            s->out[i] = NAN_;
        else if (n->op == N_SEASON_MEDIAN)
            s->out[i] = ac_ostat_quantile(o, 0.5);
        else
            s->out[i] = ac_ostat_at(o, n->op == N_SEASON_MIN ? 0 : len - 1);
    }
}

/* ---- envelope: scalars place in block, greatest so far, value, blocks done, then the maxima ----
 */

enum {
    E_PLACE,
    E_MAX,
    E_VALUE,
    E_DONE,
    E_RING
};

static double ring_quantile(const double *ring, uint32_t m, double q)
{
    struct ac_ostat *o = ac_ostat_create(m);
    for (uint32_t i = 0; i < m; i++) {
        if (known(ring[i]))
            ac_ostat_insert(o, ring[i]);
    }
    double v = ac_ostat_quantile(o, q);
    ac_ostat_destroy(o);
    return v;
}

static void envelope(const struct step *s)
{
    const struct node *n = s->node;
    double *z = s->col->scalars;
    for (size_t i = 0; i < s->n; i++) {
        double v = s->a[0][i];
        if (known(v) && !(v <= z[E_MAX]))
            z[E_MAX] = v;
        z[E_PLACE]++;
        if (z[E_PLACE] >= n->w) {
            uint32_t at = (uint32_t)z[E_DONE];
            z[E_RING + at] = z[E_MAX];
            z[E_DONE] = at + 1 >= n->m ? 0 : at + 1;
            z[E_PLACE] = 0;
            z[E_MAX] = NAN_;
            z[E_VALUE] = ring_quantile(z + E_RING, n->m, n->c);
        }
        s->out[i] = z[E_VALUE];
    }
}

/* ---- one scalar ---- */

static void ewma(const struct step *s)
{
    double m = s->col->scalars[0], c = s->node->c;
    const double *a = s->a[0];
    for (size_t i = 0; i < s->n; i++) {
        if (known(a[i]))
            m = known(m) ? rule_canon(m + c * (a[i] - m)) : a[i];
        s->out[i] = m;
    }
    s->col->scalars[0] = m;
}

static void held(const struct step *s)
{
    const double *a = s->a[0];
    uint32_t w = s->node->w;
    double count = s->col->scalars[0];
    bool persist = s->node->op == N_PERSIST;
    for (size_t i = 0; i < s->n; i++) {
        count += (a[i] == 1 ? 1 : 0) - (*(a + i - w) == 1 ? 1 : 0);
        s->out[i] = !persist ? count : count >= s->node->m ? 1 : 0;
    }
    s->col->scalars[0] = count;
}

static void truth(const struct step *s)
{
    const double *a = s->a[0];
    double z = s->col->scalars[0];
    for (size_t i = 0; i < s->n; i++) {
        if (s->node->op == N_RUN) {
            z = a[i] == 1 ? z + 1 : 0;
            s->out[i] = z;
        } else if (s->node->op == N_LATCH) {
            z = a[i] == 1 ? 1 : s->a[1][i] == 1 ? 0 : z;
            s->out[i] = z;
        } else { /* N_EDGE: z counts down the points that must be quiet */
            s->out[i] = a[i] == 1 && z <= 0 ? 1 : 0;
            z = a[i] == 1 ? s->node->w : z > 0 ? z - 1 : 0;
        }
    }
    s->col->scalars[0] = z;
}

void kernel_window(const struct step *s)
{
    switch (s->node->op) {
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
        sums(s);
        break;
    case N_QUANTILE:
    case N_MAD:
        order(s);
        break;
    case N_MIN:
    case N_MAX:
        extreme(s);
        break;
    case N_SEASON_MEAN:
        season_mean(s);
        break;
    case N_SEASON_MEDIAN:
    case N_SEASON_MIN:
    case N_SEASON_MAX:
        season_order(s);
        break;
    case N_ENVELOPE:
        envelope(s);
        break;
    case N_EWMA:
        ewma(s);
        break;
    case N_COUNT:
    case N_PERSIST:
        held(s);
        break;
    case N_RUN:
    case N_LATCH:
    case N_EDGE:
        truth(s);
        break;
    default:
        kernel_clock(s);
    }
}

uint32_t node_scalars(const struct node *n)
{
    switch (n->op) {
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
        return S_SUMS;
    case N_SEASON_MEAN:
        return M_SUMS;
    case N_ENVELOPE:
        return E_RING + n->m;
    case N_MIN:
    case N_MAX:
    case N_EWMA:
    case N_COUNT:
    case N_PERSIST:
    case N_RUN:
    case N_LATCH:
    case N_EDGE:
        return 1;
    case N_GAIN:
    case N_SPAN:
    case N_UNCHANGED:
        return 2;
    default:
        return 0;
    }
}

void kernel_reset(const struct node *n, struct col *c)
{
    for (uint32_t i = 0; i < n->n_scalars; i++)
        c->scalars[i] = 0;
    if (n->op >= N_SUM && n->op <= N_SLOPE)
        c->scalars[S_SINCE] = LONG_AGO;
    if (n->op == N_SEASON_MEAN)
        c->scalars[M_SINCE] = LONG_AGO;
    if (n->op == N_EWMA)
        c->scalars[0] = NAN_;
    if (n->op == N_ENVELOPE) {
        for (uint32_t i = 0; i < n->m; i++)
            c->scalars[E_RING + i] = NAN_;
        c->scalars[E_MAX] = c->scalars[E_VALUE] = NAN_;
    }
    kernel_clock_reset(n, c->scalars);
    if (c->os)
        ac_ostat_clear(c->os);
    c->dq.head = c->dq.len = 0;
}

static void count_signs(double v, double *known_ones, double *negative, double *positive)
{
    *known_ones += known(v);
    *negative += v < 0;
    *positive += v > 0;
}

/* Counts are taken from the history again and the rest is brought into its range: whatever the
 * bytes of a saved state said, nothing here can be inconsistent. */
static void rebuild_scalars(const struct step *s)
{
    const struct node *n = s->node;
    double *z = s->col->scalars, count = 0;
    const double *a = s->a[0];
    switch (n->op) {
    case N_MIN:
    case N_MAX:
    case N_COUNT:
    case N_PERSIST:
        for (uint32_t k = 0; k < n->w; k++)
            count += n->op == N_MIN || n->op == N_MAX ? known(*(a - k)) : *(a - k) == 1;
        z[0] = count;
        break;
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
        for (int k = 0; k < S_SUMS; k++)
            z[k] = known(z[k]) ? z[k] : 0;
        z[S_COUNT] = z[S_NEGATIVE] = z[S_POSITIVE] = 0;
        for (uint32_t k = 0; k < n->w; k++)
            count_signs(*(a - k), &z[S_COUNT], &z[S_NEGATIVE], &z[S_POSITIVE]);
        break;
    case N_SEASON_MEAN:
        z[M_SUM] = known(z[M_SUM]) ? z[M_SUM] : 0;
        z[M_COUNT] = z[M_NEGATIVE] = z[M_POSITIVE] = 0;
        z[M_SINCE] = known(z[M_SINCE]) ? z[M_SINCE] : 0;
        for (uint32_t d = 1; d <= n->m; d++) {
            for (uint32_t k = 0; k <= 2 * n->h; k++)
                count_signs(*(a - (size_t)d * n->w - n->h + k), &z[M_COUNT], &z[M_NEGATIVE],
                            &z[M_POSITIVE]);
        }
        break;
    case N_ENVELOPE:
        z[E_DONE] = z[E_DONE] >= 0 && z[E_DONE] < n->m ? floor(z[E_DONE]) : 0;
        z[E_PLACE] = z[E_PLACE] >= 0 && z[E_PLACE] < n->w ? floor(z[E_PLACE]) : 0;
        break;
    case N_RUN:
    case N_LATCH:
    case N_EDGE:
        z[0] = z[0] >= 0 ? z[0] : 0;
        break;
    default:
        kernel_clock_check(n, z);
        break;
    }
}

void kernel_rebuild(const struct step *s)
{
    const struct node *n = s->node;
    if (!n->n_args)
        return;
    const double *a = s->a[0]; /* the last point taken */
    rebuild_scalars(s);
    if (n->op == N_QUANTILE || n->op == N_MAD) {
        for (uint32_t k = 0; k < n->w; k++) {
            if (known(*(a - k)))
                ac_ostat_insert(s->col->os, *(a - k));
        }
    } else if (n->op == N_MIN || n->op == N_MAX) {
        for (uint32_t k = n->w; k-- > 0;) {
            deque_take(&s->col->dq, s->t - 1 - k, *(a - k), n->w, n->op == N_MAX);
        }
    } else if (node_is_season(n->op) && s->col->os) {
        for (uint32_t d = 1; d <= n->m; d++) {
            for (uint32_t k = 0; k <= 2 * n->h; k++) {
                double v = *(a - (size_t)d * n->w - n->h + k);
                if (known(v))
                    ac_ostat_insert(s->col->os, v);
            }
        }
    }
}
