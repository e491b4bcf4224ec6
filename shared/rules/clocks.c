/* Operators that follow a clock or a counter: seasons by the clock of a time zone, the increase of
 * a counter across gaps, the time since a value changed. */
#include "pointwise.h"

#include <math.h>

#include <aceso/base.h>

/* ---- seasons by the clock of a zone ---- */

/* Calls for the known points of the same clock time; what would lie ahead is left out. */
static double zoned_point(const struct step *s, const double *a, const double *offset,
                          struct ac_ostat *o)
{
    const struct node *n = s->node;
    ptrdiff_t lanes = (ptrdiff_t)s->lanes;
    int64_t most = node_shift(n);
    double sum = 0, count = 0;
    if (o)
        ac_ostat_clear(o);
    for (uint32_t d = n->m; d >= 1; d--) {
        ptrdiff_t back = (ptrdiff_t)d * n->w;
        double shift = floor((offset[0] - *(offset - back * lanes)) / n->c + 0.5);
        if (!(shift >= (double)-most && shift <= (double)most))
            continue;
        for (int64_t k = -(int64_t)n->h; k <= (int64_t)n->h; k++) {
            ptrdiff_t at = (ptrdiff_t)k + (ptrdiff_t)shift - back;
            if (at >= 0 || !known(a[at * lanes]))
                continue;
            count++;
            sum += a[at * lanes];
            if (o)
                ac_ostat_insert(o, a[at * lanes]);
        }
    }
    if (count < n->h + 1)
        return NAN_;
    if (!o)
        return rule_canon(sum / count);
    if (n->op == N_ZONED_MEDIAN)
        return ac_ostat_quantile(o, 0.5);
    return ac_ostat_at(o, n->op == N_ZONED_MIN ? 0 : (uint32_t)count - 1);
}

static void zoned(const struct step *s)
{
    for (size_t i = 0; i < s->n * s->lanes; i++) {
        struct ac_ostat *o = s->col->sets ? s->col->sets[i % s->lanes] : NULL;
        s->out[i] = zoned_point(s, s->a[0] + i, s->a[1] + i, o);
    }
}

/* ---- counters: the last known value, and the points since ---- */

enum {
    C_LAST,
    C_SINCE
};

static void counter(const struct step *s)
{
    bool gain = s->node->op == N_GAIN;
    for (size_t i = 0; i < s->n * s->lanes; i++) {
        double *last = s->col->scalars + C_LAST * s->lanes + i % s->lanes;
        double *since = s->col->scalars + C_SINCE * s->lanes + i % s->lanes, v = s->a[0][i];
        ++*since;
        s->out[i] = NAN_;
        if (!known(v))
            continue;
        if (known(*last))
            s->out[i] = !gain ? *since : v < *last ? v : rule_canon(v - *last);
        *last = v;
        *since = 0;
    }
}

static void unchanged(const struct step *s)
{
    for (size_t i = 0; i < s->n * s->lanes; i++) {
        double *last = s->col->scalars + C_LAST * s->lanes + i % s->lanes;
        double *since = s->col->scalars + C_SINCE * s->lanes + i % s->lanes, v = s->a[0][i];
        if (known(v) && v != *last) {
            *last = v;
            *since = 0;
        }
        s->out[i] = known(*last) ? *since : NAN_;
        ++*since;
    }
}

static bool counts(enum node_op op)
{
    return op == N_GAIN || op == N_SPAN || op == N_UNCHANGED;
}

void kernel_clock(const struct step *s)
{
    enum node_op op = s->node->op;
    if (node_is_zoned(op))
        zoned(s);
    else if (op == N_GAIN || op == N_SPAN)
        counter(s);
    else if (op == N_UNCHANGED)
        unchanged(s);
    else if (op == N_SPECTRAL)
        kernel_spectral(s);
    else
        AC_ASSERT(!"operator without a kernel");
}

void kernel_clock_reset(const struct node *n, double *scalars, size_t lanes)
{
    if (counts(n->op))
        scalars[C_LAST * lanes] = NAN_;
}

/* Brings what a saved state says into its range. */
void kernel_clock_check(const struct node *n, double *scalars, size_t lanes)
{
    if (!counts(n->op))
        return;
    scalars[C_LAST * lanes] = rule_canon(scalars[C_LAST * lanes]);
    scalars[C_SINCE * lanes] = scalars[C_SINCE * lanes] >= 0 ? floor(scalars[C_SINCE * lanes]) : 0;
}
