/* Operators that take one point of one series at a time: sets too large to be taken from the
 * history anew, and envelopes. What a window holds is read from the history of the argument's
 * column. */
#include "sums.h"

#include <string.h>

#include <aceso/base.h>

#define EACH_LANE for (size_t lane = 0; lane < s->lanes; lane++)

#define VECTORS_MAX                                                                                \
    128u /* numbers of a set that are gone through: cheaper than looking for places */

void set_move(const struct kernels *k, struct ac_ostat *o, double in, double out)
{
    if (known(in) && known(out)) {
        double *v = ac_ostat_sorted(o);
        if (v && ac_ostat_len(o) <= VECTORS_MAX)
            k->replace(v, ac_ostat_len(o), out, in + 0.0);
        else
            ac_ostat_replace(o, out, in);
        return;
    }
    if (known(out))
        ac_ostat_remove(o, out);
    if (known(in))
        ac_ostat_insert(o, in);
}

/* ---- a window in order, and all that is read from it ---- */

double set_read(const struct node *n, const struct ac_ostat *o)
{
    if (ac_ostat_len(o) < (n->w + 1) / 2)
        return NAN_;
    return n->op == N_MAD ? ac_ostat_mad(o) : ac_ostat_quantile(o, n->c);
}

static void window_set(const struct step *s)
{
    const struct node *nodes = s->e->plan->nodes;
    const double *a = s->a[0];
    size_t back = s->node->w * s->lanes;
    for (size_t row = 0; row < s->n; row++) {
        EACH_LANE
        {
            size_t i = row * s->lanes + lane;
            struct ac_ostat *o = s->col->sets[lane];
            set_move(s->e->simd, o, a[i], *(a + i - back));
            for (uint32_t r = s->node->reader; r; r = nodes[r].reader)
                s->e->at[r][i] = set_read(&nodes[r], o);
        }
    }
}

/* ---- least and greatest: a queue of candidates, the best first ---- */

/* Candidate k of the queue. */
static uint32_t *candidate(const struct deque *d, uint32_t k)
{
    uint32_t at = d->head + k;
    return &d->t[at >= d->cap ? at - d->cap : at];
}

/* a: the point of time t; w points are in the window. What the new point beats is at the end of the
 * queue, which is in order: so it is looked for in growing steps, and no point takes more than
 * O(log w). */
static void deque_take(struct deque *d, uint32_t t, const double *a, size_t lanes, uint32_t w,
                       bool greatest)
{
    if (d->len && t - *candidate(d, 0) >= w) {
        d->head = d->head + 1 == d->cap ? 0 : d->head + 1;
        d->len--;
    }
    double v = *a;
    if (!known(v))
        return;
    uint32_t keep = d->len, lose = d->len; /* the first keep stay, those from lose on go */
    for (uint32_t by = 1; keep; by *= 2) {
        keep = keep > by ? keep - by : 0;
        double x = *(a - (size_t)(t - *candidate(d, keep)) * lanes);
        if (greatest ? x > v : x < v) {
            keep++;
            break;
        }
        lose = keep;
    }
    while (keep < lose) {
        uint32_t half = keep + (lose - keep) / 2;
        double x = *(a - (size_t)(t - *candidate(d, half)) * lanes);
        if (greatest ? x > v : x < v)
            keep = half + 1;
        else
            lose = half;
    }
    d->len = keep + 1;
    *candidate(d, keep) = t;
}

static void extreme(const struct step *s)
{
    size_t back = s->node->w * s->lanes;
    uint32_t least = (s->node->w + 1) / 2;
    bool greatest = s->node->op == N_MAX;
    for (size_t row = 0; row < s->n; row++) {
        uint32_t t = s->tick + (uint32_t)row;
        EACH_LANE
        {
            const double *a = s->a[0] + row * s->lanes + lane;
            struct deque *d = &s->col->queues[lane];
            double *count = &s->col->scalars[lane];
            *count += (known(*a) ? 1 : 0) - (known(*(a - back)) ? 1 : 0);
            deque_take(d, t, a, s->lanes, s->node->w, greatest);
            s->out[row * s->lanes + lane] =
                *count < least ? NAN_ : *(a - (size_t)(t - *candidate(d, 0)) * s->lanes) + 0.0;
        }
    }
}

/* ---- seasons with many points ---- */

static void season_set(const struct step *s)
{
    const struct node *n = s->node;
    for (size_t i = 0; i < s->n * s->lanes; i++) {
        const double *a = s->a[0] + i;
        struct ac_ostat *o = s->col->sets[i % s->lanes];
        for (uint32_t d = n->m; d >= 1; d--) {
            size_t back = (size_t)d * n->w;
            set_move(s->e->simd, o, *(a - (back - n->h) * s->lanes),
                     *(a - (back + n->h + 1) * s->lanes));
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

static void envelope(const struct step *s)
{
    const struct node *n = s->node;
    size_t lanes = s->lanes;
    for (size_t i = 0; i < s->n * lanes; i++) {
        size_t lane = i % lanes;
        double *z = s->col->scalars + lane, v = s->a[0][i];
        if (known(v) && !(v <= z[E_MAX * lanes]))
            z[E_MAX * lanes] = v;
        z[E_PLACE * lanes]++;
        if (z[E_PLACE * lanes] >= n->w) {
            size_t at = (size_t)z[E_DONE * lanes];
            struct ac_ostat *o = s->col->sets[lane];
            set_move(s->e->simd, o, z[E_MAX * lanes], z[(E_RING + at) * lanes]);
            z[(E_RING + at) * lanes] = z[E_MAX * lanes];
            z[E_DONE * lanes] = at + 1 >= n->m ? 0 : (double)(at + 1);
            z[E_PLACE * lanes] = 0;
            z[E_MAX * lanes] = NAN_;
            z[E_VALUE * lanes] = ac_ostat_quantile(o, n->c);
        }
        s->out[i] = z[E_VALUE * lanes];
    }
}

void kernel_run(const struct step *s)
{
    enum node_op op = s->node->op;
    if (op == N_SET)
        window_set(s);
    else if (op == N_ENVELOPE)
        envelope(s);
    else if (op == N_MIN || op == N_MAX)
        extreme(s);
    else if (node_is_season(op))
        season_set(s);
    else
        kernel_clock(s);
}

/* ---- what an operator keeps ---- */

uint32_t node_scalars(const struct node *n)
{
    switch (n->op) {
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
        return sums_fields(n->op);
    case N_SEASON_MEAN:
        return SEASON_SUMS;
    case N_ENVELOPE:
        return E_RING + n->m;
    case N_MIN:
    case N_MAX:
        return node_is_small(n) ? 0 : 1;
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

uint32_t node_set_size(const struct node *n)
{
    if (n->op == N_SET)
        return n->w;
    if (n->op == N_ENVELOPE)
        return n->m;
    if (node_is_zoned(n->op) && n->op != N_ZONED_MEAN)
        return node_points(n);
    bool season = n->op == N_SEASON_MEDIAN || n->op == N_SEASON_MIN || n->op == N_SEASON_MAX;
    return season && !node_is_small(n) ? node_points(n) : 0;
}

bool node_has_queue(const struct node *n)
{
    return (n->op == N_MIN || n->op == N_MAX) && !node_is_small(n);
}

void kernel_reset(const struct node *n, const struct col *c, size_t lanes, size_t lane)
{
    double *z = c->scalars + lane;
    for (uint32_t i = 0; i < n->n_scalars; i++)
        z[i * lanes] = 0;
    if (n->op == N_EWMA)
        z[0] = NAN_;
    if (n->op == N_ENVELOPE) {
        for (uint32_t i = 0; i < n->m; i++)
            z[(E_RING + i) * lanes] = NAN_;
        z[E_MAX * lanes] = z[E_VALUE * lanes] = NAN_;
    }
    kernel_clock_reset(n, z, lanes);
}

/* ---- after a state was restored ---- */

static double whole_below(double v, double end)
{
    return v >= 0 && v < end ? floor(v) : 0;
}

static void only_numbers(double *z, size_t lanes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        z[i * lanes] = known(z[i * lanes]) ? z[i * lanes] : 0;
}

static void count_known(const double *a, size_t lanes, size_t n, double *z, size_t at)
{
    double count = 0, negative = 0, positive = 0;
    for (size_t k = 0; k < n; k++) {
        double v = *(a - k * lanes);
        count += known(v);
        negative += v < 0;
        positive += v > 0;
    }
    z[at * lanes] += count;
    z[(at + 1) * lanes] += negative;
    z[(at + 2) * lanes] += positive;
}

/* Counts are taken from the history again and the rest is brought into its range: whatever the
 * bytes of a saved state said, nothing here can be inconsistent. */
static void rebuild_scalars(const struct node *n, const double *a, double *z, size_t lanes)
{
    if (!z) /* it keeps none */
        return;
    switch (n->op) {
    case N_MIN:
    case N_MAX:
    case N_COUNT:
    case N_PERSIST:
        if (n->n_scalars)
            z[0] = 0;
        for (size_t k = 0; n->n_scalars && k < n->w; k++)
            z[0] +=
                n->op == N_MIN || n->op == N_MAX ? known(*(a - k * lanes)) : *(a - k * lanes) == 1;
        break;
    case N_SUM:
    case N_MEAN:
    case N_STD:
    case N_SLOPE:
        only_numbers(z, lanes, n->n_scalars);
        z[SUM_count * lanes] = z[SUM_negative * lanes] = z[SUM_positive * lanes] = 0;
        z[SUM_since * lanes] = whole_below(z[SUM_since * lanes], n->w);
        count_known(a, lanes, n->w, z, SUM_count);
        break;
    case N_SEASON_MEAN:
        only_numbers(z, lanes, n->n_scalars);
        z[SEASON_COUNT * lanes] = z[SEASON_NEGATIVE * lanes] = z[SEASON_POSITIVE * lanes] = 0;
        z[SEASON_SINCE * lanes] = whole_below(z[SEASON_SINCE * lanes], 2.0 * n->h + 1);
        for (uint32_t d = 1; d <= n->m; d++)
            count_known(a - ((size_t)d * n->w - n->h) * lanes, lanes, 2 * (size_t)n->h + 1, z,
                        SEASON_COUNT);
        break;
    case N_ENVELOPE:
        z[E_DONE * lanes] = whole_below(z[E_DONE * lanes], n->m);
        z[E_PLACE * lanes] = whole_below(z[E_PLACE * lanes], n->w);
        break;
    case N_RUN:
    case N_LATCH:
    case N_EDGE:
        z[0] = z[0] >= 0 ? z[0] : 0;
        break;
    default:
        kernel_clock_check(n, z, lanes);
        break;
    }
}

static void put(struct ac_ostat *o, double v)
{
    if (known(v))
        ac_ostat_insert(o, v);
}

static void rebuild_set(const struct node *n, const double *a, const double *z, size_t lanes,
                        struct ac_ostat *o)
{
    ac_ostat_clear(o);
    if (n->op == N_SET) {
        for (size_t k = 0; k < n->w; k++)
            put(o, *(a - k * lanes));
    } else if (n->op == N_ENVELOPE && z) {
        for (size_t k = 0; k < n->m; k++)
            put(o, z[(E_RING + k) * lanes]);
    } else if (node_is_season(n->op)) { /* those with a zone are filled at every point */
        for (size_t d = 1; d <= n->m; d++) {
            for (size_t k = 0; k <= 2 * (size_t)n->h; k++)
                put(o, *(a - (d * n->w + n->h - k) * lanes));
        }
    }
}

void kernel_rebuild(const struct step *s, size_t lane)
{
    const struct node *n = s->node;
    if (!n->n_args)
        return;
    const double *a = s->a[0] + lane;
    double *z = n->n_scalars ? s->col->scalars + lane : NULL;
    rebuild_scalars(n, a, z, s->lanes);
    if (s->col->sets)
        rebuild_set(n, a, z, s->lanes, s->col->sets[lane]);
    if (!s->col->queues)
        return;
    struct deque *d = &s->col->queues[lane];
    d->head = d->len = 0;
    for (uint32_t k = n->w; k-- > 0;)
        deque_take(d, s->tick - 1 - k, a - (size_t)k * s->lanes, s->lanes, n->w, n->op == N_MAX);
}
