#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>

#include "scorers/rca_bocpd.h"
#include "scorers/rca_scorers.h"

#define ROWS_BEFORE 600
#define HAZARD      (1.0 / 250.0)
#define SIDE        60   /* rows on each side of a change that say how large it is */
#define CLIP        20.0 /* one wild value must not fill the scale of a run */

/* The columns to watch: of the kinds asked for, those with the widest range first. */
static size_t choose(const struct ac_rca_case *c, const struct ac_rca_frame *f, bool symptoms,
                     size_t *ret)
{
    size_t rows = f->normal + f->faulty, n = 0;
    double range[AC_RCA_BOCPD_MAX_D];
    for (size_t j = 0; j < f->p; j++) {
        enum ac_rca_kind kind = c->metrics[f->metric[j]].kind;
        double lo = INFINITY, hi = -INFINITY;
        if (symptoms && kind != AC_RCA_LAT && kind != AC_RCA_ERR)
            continue;
        for (size_t r = 0; r < rows; r++) {
            lo = fmin(lo, f->x[j * rows + r]);
            hi = fmax(hi, f->x[j * rows + r]);
        }
        size_t at = n < AC_RCA_BOCPD_MAX_D ? n++ : AC_RCA_BOCPD_MAX_D;
        if (at == AC_RCA_BOCPD_MAX_D) {
            if (!(hi - lo > range[at - 1]))
                continue;
            at--;
        }
        for (; at > 0 && hi - lo > range[at - 1]; at--) {
            range[at] = range[at - 1];
            ret[at] = ret[at - 1];
        }
        range[at] = hi - lo;
        ret[at] = j;
    }
    return n;
}

/* How far the means of the rows on both sides of a change are apart. */
static double step_at(const double *x, size_t n, size_t d, size_t at)
{
    size_t side = AC_MIN(SIDE, AC_MIN(at, n - at));
    double sum = 0;
    for (size_t k = 0; side > 0 && k < d; k++) {
        double gap = 0;
        for (size_t r = 0; r < side; r++)
            gap += x[(at + r) * d + k] - x[(at - 1 - r) * d + k];
        sum += gap / (double)side * gap / (double)side;
    }
    return sum;
}

int64_t ac_rca_change_time(const struct ac_rca_case *c, const struct ac_rca_frame *f,
                           int64_t stated_ns, size_t reach)
{
    size_t rows = f->normal + f->faulty, column[AC_RCA_BOCPD_MAX_D];
    size_t before = AC_MIN(f->before, ROWS_BEFORE), n = before + f->faulty;
    size_t d = choose(c, f, true, column);
    if (d == 0)
        d = choose(c, f, false, column);
    if (d == 0)
        return stated_ns;
    double *x = ac_xcalloc(n * d + 1, sizeof(double));
    size_t *changes = ac_xcalloc(n + 1, sizeof(size_t));
    for (size_t r = 0; r < n; r++)
        for (size_t k = 0; k < d; k++) {
            size_t at = r < before ? f->before - before + r : f->normal + r - before;
            x[r * d + k] = fmax(-CLIP, fmin(CLIP, f->x[column[k] * rows + at]));
        }
    size_t found = ac_rca_bocpd(x, n, d, HAZARD, changes, n), best = SIZE_MAX;
    double widest = 0;
    for (size_t i = 0; i < found; i++) {
        size_t off = changes[i] > before ? changes[i] - before : before - changes[i];
        double step = off <= reach ? step_at(x, n, d, changes[i]) : 0.0;
        if (step > widest) {
            best = changes[i];
            widest = step;
        }
    }
    int64_t t = stated_ns;
    if (best != SIZE_MAX)
        t = f->t_ns[best < before ? f->before - before + best : f->normal + best - before];
    free(x);
    free(changes);
    return t;
}
