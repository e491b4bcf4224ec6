#include <math.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/series.h>

struct ac_series *ac_series_create(const char *name)
{
    struct ac_series *s = ac_xcalloc(1, sizeof(*s));
    s->name = ac_xstrdup(name ? name : "");
    return s;
}

void ac_series_destroy(struct ac_series *s)
{
    if (!s)
        return;
    free(s->name);
    free(s->times_ns);
    free(s->values);
    free(s->labels);
    for (size_t i = 0; i < s->n_columns; i++)
        free(s->columns[i]);
    free(s->columns);
    free(s);
}

void ac_series_append(struct ac_series *s, int64_t time_ns, double value, int label)
{
    AC_ASSERT(s->step_ns == 0 && (s->times_ns || s->n == 0));
    size_t cap = s->cap, cap_times = cap, cap_labels = cap; /* each array has that much */
    bool labelled = s->labels || (label >= 0 && s->n == 0);
    ac_grow(&s->values, &cap, s->n + 1, sizeof(double));
    ac_grow(&s->times_ns, &cap_times, s->n + 1, sizeof(int64_t));
    if (labelled)
        ac_grow(&s->labels, &cap_labels, s->n + 1, 1);
    s->cap = cap;
    if (s->n == 0)
        s->t0_ns = time_ns;
    s->times_ns[s->n] = time_ns;
    s->values[s->n] = value;
    if (labelled)
        s->labels[s->n] = label > 0;
    s->n++;
}

int64_t ac_series_time(const struct ac_series *s, size_t i)
{
    AC_ASSERT(i < s->n);
    if (s->times_ns)
        return s->times_ns[i];
    /* the sum is a time, the product alone may be more: unsigned, where both may wrap around */
    return (int64_t)((uint64_t)s->t0_ns + (uint64_t)i * (uint64_t)s->step_ns);
}

size_t ac_series_gaps(const struct ac_series *s)
{
    size_t gaps = 0;
    for (size_t i = 0; i < s->n; i++)
        gaps += isnan(s->values[i]);
    return gaps;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t ac_series_infer_step(const struct ac_series *s)
{
    if (s->step_ns || !s->times_ns || s->n < 2)
        return s->step_ns;
    ac_cleanup(ac_free_p) int64_t *d = ac_xcalloc(s->n, sizeof(*d));
    size_t n = 0;
    for (size_t i = 1; i < s->n; i++) {
        int64_t diff;
        if (!__builtin_sub_overflow(s->times_ns[i], s->times_ns[i - 1], &diff) && diff > 0)
            d[n++] = diff;
    }
    qsort(d, n, sizeof(*d), compare_i64);
    int64_t best = 0;
    for (size_t i = 0, most = 0, run = 0; i < n; i++) { /* of equals the shortest */
        run = i && d[i] == d[i - 1] ? run + 1 : 1;
        if (run > most) {
            most = run;
            best = d[i];
        }
    }
    return best;
}

static struct ac_series *like(const struct ac_series *s, size_t n)
{
    struct ac_series *c = ac_series_create(s->name);
    c->n = c->cap = n;
    c->t0_ns = s->t0_ns;
    c->step_ns = s->step_ns;
    c->values = ac_xcalloc(n, sizeof(double));
    if (s->labels)
        c->labels = ac_xcalloc(n, 1);
    return c;
}

/* Nearest slot, so that a little jitter does not make gaps; far times must not wrap around. */
static uint64_t slot_of(int64_t t, int64_t first, int64_t step)
{
    uint64_t d = (uint64_t)t - (uint64_t)first, w = (uint64_t)step;
    return d / w + (d % w + w / 2 >= w);
}

int ac_series_regular(const struct ac_series *s, int64_t step_ns, struct ac_series **ret,
                      struct ac_err *err)
{
    int64_t step = step_ns ? step_ns : ac_series_infer_step(s);
    if (step <= 0)
        return ac_err_set(err, AC_EINVAL, "%s: the distance of points is not known", s->name);
    int64_t lo = INT64_MAX, hi = INT64_MIN;
    for (size_t i = 0; i < s->n; i++) {
        lo = AC_MIN(lo, ac_series_time(s, i));
        hi = AC_MAX(hi, ac_series_time(s, i));
    }
    uint64_t slots = s->n ? slot_of(hi, lo, step) + 1 : 0;
    if (slots > AC_SERIES_MAX_POINTS)
        return ac_err_set(err, AC_ERANGE, "%s: an even grid would have %llu points", s->name,
                          (unsigned long long)slots);
    struct ac_series *r = like(s, (size_t)slots);
    r->t0_ns = s->n ? lo : 0;
    r->step_ns = step;
    for (size_t i = 0; i < r->n; i++)
        r->values[i] = NAN;
    /* Time, from 1, of the point taken for each slot. */
    ac_cleanup(ac_free_p) uint64_t *from = ac_xcalloc(r->n, sizeof(*from));
    for (size_t i = 0; i < s->n; i++) {
        int64_t t = ac_series_time(s, i);
        size_t k = (size_t)slot_of(t, lo, step);
        uint64_t age = (uint64_t)t - (uint64_t)lo + 1;
        if (from[k] > age)
            continue; /* a later point of this slot came before */
        from[k] = age;
        r->values[k] = s->values[i];
        if (s->labels)
            r->labels[k] = s->labels[i];
    }
    if (s->n_train && s->n_train < s->n)
        r->n_train = (size_t)slot_of(ac_series_time(s, s->n_train), lo, step);
    else if (s->n_train)
        r->n_train = r->n;
    *ret = r;
    return 0;
}

static double join(const double *v, size_t n, enum ac_series_agg agg)
{
    double sum = 0, lo = INFINITY, hi = -INFINITY, last = NAN;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(v[i]))
            continue;
        k++;
        sum += v[i];
        lo = fmin(lo, v[i]);
        hi = fmax(hi, v[i]);
        last = v[i];
    }
    if (agg == AC_AGG_COUNT)
        return (double)k;
    if (k == 0)
        return NAN;
    switch (agg) {
    case AC_AGG_MEAN:
        return sum / (double)k;
    case AC_AGG_SUM:
        return sum;
    case AC_AGG_MIN:
        return lo;
    case AC_AGG_MAX:
        return hi;
    default:
        return last;
    }
}

struct ac_series *ac_series_coarser(const struct ac_series *s, size_t factor,
                                    enum ac_series_agg agg)
{
    AC_ASSERT(factor > 0 && !s->times_ns);
    size_t n = s->n / factor + (s->n % factor != 0);
    struct ac_series *r = like(s, n);
    /* Overflow means that all points fell into the first slot: then the step matters to nobody. */
    if (__builtin_mul_overflow(s->step_ns, (int64_t)factor, &r->step_ns))
        r->step_ns = INT64_MAX;
    r->n_train = s->n_train / factor;
    for (size_t i = 0; i < n; i++) {
        size_t from = i * factor, len = AC_MIN(factor, s->n - from);
        r->values[i] = join(s->values + from, len, agg);
        for (size_t k = 0; s->labels && k < len; k++)
            r->labels[i] |= s->labels[from + k];
    }
    return r;
}

size_t ac_series_fill_gaps(struct ac_series *s, enum ac_series_fill how, size_t max_gap)
{
    size_t filled = 0;
    double *v = s->values;
    for (size_t i = 0; i < s->n; i++) {
        if (!isnan(v[i]))
            continue;
        size_t end = i;
        while (end < s->n && isnan(v[end]))
            end++;
        size_t gap = end - i;
        double before = i > 0 ? v[i - 1] : NAN;
        bool can = i > 0 && gap <= max_gap && (end < s->n || how == AC_FILL_PREVIOUS);
        for (size_t k = 0; can && k < gap; k++) {
            double a = before, b = end < s->n ? v[end] : before;
            v[i + k] =
                how == AC_FILL_PREVIOUS ? a : a + (b - a) * (double)(k + 1) / (double)(gap + 1);
        }
        filled += can ? gap : 0;
        i = end;
    }
    return filled;
}

struct ac_series *ac_series_slice(const struct ac_series *s, size_t from, size_t to)
{
    to = AC_MIN(to, s->n);
    from = AC_MIN(from, to);
    struct ac_series *r = like(s, to - from);
    size_t n = r->n;
    if (n) {
        r->t0_ns = ac_series_time(s, from);
        memcpy(r->values, s->values + from, n * sizeof(double));
    }
    if (n && s->labels)
        memcpy(r->labels, s->labels + from, n);
    if (s->times_ns) {
        r->times_ns = ac_xcalloc(n, sizeof(int64_t));
        if (n)
            memcpy(r->times_ns, s->times_ns + from, n * sizeof(int64_t));
    }
    r->n_train = s->n_train > from ? AC_MIN(s->n_train - from, n) : 0;
    return r;
}
