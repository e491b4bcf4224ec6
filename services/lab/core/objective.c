#include "objective.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct window {
    double requests, errors, median_p90;
};

/* Sums of one class over [from, to). median_p90 is NaN when nothing finished. */
static int sum_window(const struct lab_point *p, size_t n, int cls, int64_t from_ns, int64_t to_ns,
                      struct window *ret)
{
    *ret = (struct window){.median_p90 = NAN};
    double *values = ac_xmalloc((n ? n : 1) * sizeof(*values));
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i].cls != cls || p[i].time_ns < from_ns || p[i].time_ns >= to_ns)
            continue;
        ret->requests += p[i].requests;
        ret->errors += p[i].errors;
        if (isfinite(p[i].p90_s))
            values[m++] = p[i].p90_s;
    }
    if (m > 0) {
        qsort(values, m, sizeof(*values), by_value);
        ret->median_p90 = values[m / 2];
    }
    free(values);
    return ret->requests > 0 ? 0 : -1;
}

bool lab_objective_from_baseline(const struct lab_point *p, size_t n, int classes, int64_t from_ns,
                                 int64_t to_ns, struct lab_objective *ret)
{
    struct lab_objective o = {.classes = classes};
    for (int c = 0; c < classes; c++) {
        struct window w;
        if (sum_window(p, n, c, from_ns, to_ns, &w) != 0)
            return false;
        double p90 = isfinite(w.median_p90) ? w.median_p90 : 0;
        o.max_error_ratio[c] = 2 * w.errors / w.requests + LAB_ERROR_RATIO_MARGIN;
        o.max_p90_s[c] = AC_MAX(LAB_P90_FACTOR * p90, LAB_P90_FLOOR_S);
    }
    *ret = o;
    return true;
}

bool lab_point_bad(const struct lab_objective *o, const struct lab_point *p)
{
    if (p->cls < 0 || p->cls >= o->classes || !(p->requests > 0))
        return false;
    return p->errors > o->max_error_ratio[p->cls] * p->requests ||
           (isfinite(p->p90_s) && p->p90_s > o->max_p90_s[p->cls]);
}

int64_t lab_first_symptom(const struct lab_objective *o, const struct lab_point *p, size_t n,
                          int64_t from_ns, int64_t to_ns, int need, int *ret_cls)
{
    int64_t best = 0;
    for (int c = 0; c < o->classes; c++) {
        int bad = 0;
        int64_t first = 0;
        for (size_t i = 0; i < n; i++) {
            if (p[i].cls != c || p[i].time_ns < from_ns || p[i].time_ns >= to_ns ||
                !lab_point_bad(o, &p[i]))
                continue;
            bad++;
            if (first == 0 || p[i].time_ns < first)
                first = p[i].time_ns;
        }
        if (bad >= need && (best == 0 || first < best)) {
            best = first;
            *ret_cls = c;
        }
    }
    return best;
}

bool lab_objective_holds(const struct lab_objective *o, const struct lab_point *p, size_t n,
                         int64_t from_ns, int64_t to_ns, int *ret_cls)
{
    for (int c = 0; c < o->classes; c++) {
        struct window w;
        bool ok = sum_window(p, n, c, from_ns, to_ns, &w) == 0 &&
                  w.errors <= o->max_error_ratio[c] * w.requests &&
                  !(w.median_p90 > o->max_p90_s[c]);
        if (!ok) {
            *ret_cls = c;
            return false;
        }
    }
    *ret_cls = -1;
    return true;
}
