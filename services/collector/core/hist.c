#include "hist.h"

#include <math.h>
#include <string.h>

#include <aceso/base.h>

bool col_hist_valid(const struct col_hist *h, size_t n_counts)
{
    uint64_t total = 0;
    if (n_counts == 0)
        return h->n_bounds == 0;
    if (n_counts != h->n_bounds + 1 || h->n_bounds > COL_MAX_BOUNDS)
        return false;
    for (size_t i = 0; i < h->n_bounds; i++)
        if (!isfinite(h->bounds[i]) || (i > 0 && h->bounds[i] <= h->bounds[i - 1]))
            return false;
    for (size_t i = 0; i < n_counts; i++)
        total += h->counts[i];
    return total == h->count;
}

static double lower_edge(const struct col_hist *h, size_t bucket)
{
    if (bucket > 0)
        return h->bounds[bucket - 1];
    if (!isnan(h->min))
        return h->min;
    return h->bounds[0] > 0 ? 0 : h->bounds[0];
}

static double upper_edge(const struct col_hist *h, size_t bucket)
{
    if (bucket < h->n_bounds)
        return h->bounds[bucket];
    return !isnan(h->max) ? h->max : h->bounds[h->n_bounds - 1];
}

double col_hist_quantile(const struct col_hist *h, double q)
{
    double rank = q * (double)h->count, before = 0;
    if (!h->counts || h->count == 0 || h->n_bounds == 0)
        return NAN;
    for (size_t i = 0; i <= h->n_bounds; i++) {
        double n = (double)h->counts[i];
        if (n > 0 && before + n >= rank) {
            double lo = lower_edge(h, i), hi = fmax(lower_edge(h, i), upper_edge(h, i));
            return lo + (hi - lo) * fmax(0, rank - before) / n;
        }
        before += n;
    }
    return NAN;
}

/* ---- intervals ---- */

#define FIRST_NS 90000000000LL

struct state {
    uint64_t count;
    double sum;
    int64_t start_ns, time_ns;
    uint64_t counts[]; /* one a bucket */
};

struct memory {
    size_t n_counts;
    struct state *last, *before; /* before may be NULL */
    double *bounds;
};

struct col_hists {
    struct ac_map *by_series;
    size_t max;
    uint64_t counts[COL_MAX_BOUNDS + 1];
};

static void memory_free(void *p)
{
    struct memory *m = p;
    free(m->last);
    free(m->before);
    free(m->bounds);
    free(m);
}

struct col_hists *col_hists_create(size_t max_series)
{
    struct col_hists *s = ac_xcalloc(1, sizeof(*s));
    s->by_series = ac_map_create(memory_free);
    s->max = max_series;
    return s;
}

void col_hists_destroy(struct col_hists *s)
{
    if (!s)
        return;
    ac_map_destroy(s->by_series);
    free(s);
}

static struct state *state_of(const struct col_hist *h, size_t n_counts)
{
    struct state *st = ac_xcalloc(1, sizeof(*st) + n_counts * sizeof(uint64_t));
    if (h->counts)
        memcpy(st->counts, h->counts, n_counts * sizeof(*st->counts));
    st->count = h->count;
    st->sum = h->sum;
    st->start_ns = h->start_ns;
    st->time_ns = h->time_ns;
    return st;
}

static bool same_buckets(const struct memory *m, const struct col_hist *h, size_t n_counts)
{
    return m->n_counts == n_counts &&
           (h->n_bounds == 0 ||
            memcmp(m->bounds, h->bounds, h->n_bounds * sizeof(*h->bounds)) == 0);
}

/* The sender began anew: its start moved on, or a count went down. */
static bool restarted(const struct state *then, const struct col_hist *h, size_t n_counts)
{
    if (h->count < then->count || (h->start_ns && h->start_ns > then->time_ns))
        return true;
    for (size_t i = 0; h->counts && i < n_counts; i++)
        if (h->counts[i] < then->counts[i])
            return true;
    return false;
}

static void subtract(struct col_hists *s, const struct state *then, const struct col_hist *h,
                     size_t n_counts, struct col_hist *ret)
{
    *ret = *h;
    if (!then || restarted(then, h, n_counts))
        return;
    for (size_t i = 0; h->counts && i < n_counts; i++)
        s->counts[i] = h->counts[i] - then->counts[i];
    ret->counts = h->counts ? s->counts : NULL;
    ret->count = h->count - then->count;
    ret->sum = h->sum - then->sum;
    ret->min = ret->max = NAN; /* of all time, not of the interval */
}

bool col_hists_interval(struct col_hists *s, const char *series, const struct col_hist *h,
                        struct col_hist *ret)
{
    size_t n_counts = h->counts ? h->n_bounds + 1 : 0;
    struct memory *m = ac_map_get(s->by_series, series);
    if (m && !same_buckets(m, h, n_counts)) {
        (void)ac_map_remove(s->by_series, series);
        m = NULL;
    }
    if (!m) {
        if (ac_map_len(s->by_series) >= s->max)
            return false;
        m = ac_xcalloc(1, sizeof(*m));
        m->n_counts = n_counts;
        if (h->n_bounds > 0) {
            m->bounds = ac_xmalloc(h->n_bounds * sizeof(*m->bounds));
            memcpy(m->bounds, h->bounds, h->n_bounds * sizeof(*m->bounds));
        }
        ac_map_set(s->by_series, series, m);
    }
    if (m->last && h->time_ns < m->last->time_ns)
        return false;
    if (!m->last || h->time_ns > m->last->time_ns) {
        free(m->before);
        m->before = m->last;
        m->last = state_of(h, n_counts);
    }
    if (!m->before && (!h->start_ns || h->time_ns - h->start_ns > FIRST_NS))
        return false; /* first seen late in its life: not an interval that says anything */
    subtract(s, m->before, h, n_counts, ret);
    return true;
}

void col_hists_trim(struct col_hists *s, int64_t older_ns)
{
    const char *key = NULL;
    void *value = NULL;
    for (size_t it = 0; ac_map_next(s->by_series, &it, &key, &value);) {
        const struct memory *m = value;
        if (m->last && m->last->time_ns < older_ns)
            (void)ac_map_remove(s->by_series, key);
    }
}
