/* A queue of two stacks: the older part keeps, for each of its points, what that point and the ones
 * behind it amount to; the younger part keeps one total. The oldest leaves without a subtraction;
 * when the older part is used up, the younger one becomes it (w steps, once in w pushes). */
#include <math.h>

#include <aceso/base.h>
#include <aceso/stats.h>

struct total {
    uint32_t n;
    double sum, mean, m2, min, max; /* m2: squares about the mean */
};

struct ac_window {
    uint32_t w;
    uint64_t start, mid,
        end; /* positions in the stream: older part [start, mid), younger [mid, end) */
    double *ring;
    struct total *suffix; /* of ring's places in the older part */
    struct total young;
    struct ac_ostat *order;
};

static const struct total nothing = {.min = INFINITY, .max = -INFINITY};

static struct total of_value(double v)
{
    return isnan(v) ? nothing : (struct total){1, v, v, 0, v, v};
}

static struct total join(struct total a, struct total b)
{
    if (a.n == 0 || b.n == 0)
        return a.n ? a : b;
    double na = a.n, nb = b.n, n = na + nb, d = b.mean - a.mean;
    return (struct total){
        .n = a.n + b.n,
        .sum = a.sum + b.sum,
        .mean = a.mean + d * (nb / n),
        .m2 = a.m2 + b.m2 + d * d * (na * nb / n),
        .min = fmin(a.min, b.min),
        .max = fmax(a.max, b.max),
    };
}

static struct total all(const struct ac_window *win)
{
    return win->start < win->mid ? join(win->suffix[win->start % win->w], win->young) : win->young;
}

struct ac_window *ac_window_create(uint32_t w, bool ordered)
{
    AC_ASSERT(w > 0);
    struct ac_window *win = ac_xcalloc(1, sizeof(*win));
    win->w = w;
    win->ring = ac_xcalloc(w, sizeof(*win->ring));
    win->suffix = ac_xcalloc(w, sizeof(*win->suffix));
    win->order = ordered ? ac_ostat_create(w) : NULL;
    ac_window_clear(win);
    return win;
}

void ac_window_destroy(struct ac_window *win)
{
    if (!win)
        return;
    ac_ostat_destroy(win->order);
    free(win->suffix);
    free(win->ring);
    free(win);
}

void ac_window_clear(struct ac_window *win)
{
    win->start = win->mid = win->end = 0;
    win->young = nothing;
    if (win->order)
        ac_ostat_clear(win->order);
}

static void drop_oldest(struct ac_window *win)
{
    if (win->start == win->mid) {
        struct total t = nothing;
        for (uint64_t i = win->end; i-- > win->start;) {
            t = join(of_value(win->ring[i % win->w]), t);
            win->suffix[i % win->w] = t;
        }
        win->mid = win->end;
        win->young = nothing;
    }
    double old = win->ring[win->start++ % win->w];
    if (win->order && !isnan(old))
        ac_ostat_remove(win->order, old);
}

void ac_window_push(struct ac_window *win, double v)
{
    if (win->end - win->start == win->w)
        drop_oldest(win);
    win->ring[win->end++ % win->w] = v;
    win->young = join(win->young, of_value(v));
    if (win->order && !isnan(v))
        ac_ostat_insert(win->order, v);
}

uint32_t ac_window_points(const struct ac_window *win)
{
    return (uint32_t)(win->end - win->start);
}

uint32_t ac_window_len(const struct ac_window *win)
{
    return all(win).n;
}

double ac_window_sum(const struct ac_window *win)
{
    return all(win).sum;
}

double ac_window_mean(const struct ac_window *win)
{
    struct total t = all(win);
    return t.n ? t.mean : NAN;
}

double ac_window_var(const struct ac_window *win, unsigned ddof)
{
    struct total t = all(win);
    return t.n > ddof ? t.m2 / (double)(t.n - ddof) : NAN;
}

double ac_window_std(const struct ac_window *win, unsigned ddof)
{
    return sqrt(ac_window_var(win, ddof));
}

double ac_window_min(const struct ac_window *win)
{
    struct total t = all(win);
    return t.n ? t.min : NAN;
}

double ac_window_max(const struct ac_window *win)
{
    struct total t = all(win);
    return t.n ? t.max : NAN;
}

double ac_window_quantile(const struct ac_window *win, double q)
{
    AC_ASSERT(win->order);
    return ac_ostat_quantile(win->order, q);
}

double ac_window_median(const struct ac_window *win)
{
    return ac_window_quantile(win, 0.5);
}

double ac_window_mad(const struct ac_window *win)
{
    AC_ASSERT(win->order);
    return ac_ostat_mad(win->order);
}
