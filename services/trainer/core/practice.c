#include "practice.h"

#include "bank.h"
#include "evalrule.h"
#include "inject.h"
#include "threshold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>

#define EVERY 40 /* this part of the points between two events */
#define SEED  1
#define ORDINARY                                                                                   \
    0.98 /* share of innovations that their mean size is taken of: the rest may be events */

static const struct {
    bool practised, by_innovation, joins; /* joins: few labelled events */
    size_t least, longest;                /* points between two events; room for one */
} kinds[KIND_END] = {
    [KIND_MINUTE] = {.practised = true, .least = 160, .longest = INJECT_LONGEST},
    /* Few points, and what changes most is the season. So sizes are those of what an autoregression
     * did not expect, spread evenly, and there are many: with the four that 700 points had by
     * chance the seed decided. */
    [KIND_HOURLY] =
        {.practised = true, .by_innovation = true, .joins = true, .least = 60, .longest = 3},
    /* Most changes are 0: a spike of some mean changes is like any ordinary jump. */
    [KIND_STATE] = {.practised = false},
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Mean size of what an autoregression over 40 points did not expect. 0: none can be fitted. */
static int innovation(const struct train_part *p, double *ret, struct ac_err *err)
{
    struct bank_fit fit;
    struct bank_lets lets = {0};
    *ret = 0;
    if (bank_fit_residuals(&fit, p->values, p->n, p->step_ns, NULL) < 0)
        return 0;
    bank_put_residuals(&lets, &fit);
    double *col = ac_xcalloc(p->n + 1, sizeof *col), sum = 0;
    const char *name = bank_resid_name(R_AR40);
    int rc = evalrule_columns(&lets, p->step_ns, p->values, p->n, &name, 1, &col, err);
    size_t k = 0;
    for (size_t i = 0; rc == 0 && i < p->n; i++) {
        if (col[i] == col[i])
            col[k++] = fabs(col[i]);
    }
    qsort(col, k, sizeof *col, by_value);
    k = (size_t)(ORDINARY * (double)k);
    for (size_t i = 0; i < k; i++)
        sum += col[i];
    *ret = k ? fit.sd_y * sum / (double)k : 0; /* the residual is in units of sd_y */
    free(col);
    bank_lets_fini(&lets);
    return rc;
}

static size_t every(enum series_kind k, size_t n)
{
    return AC_MAX(n / EVERY, kinds[k].least);
}

double practice_events(enum series_kind k, size_t n)
{
    return kinds[k].practised ? (double)n / (double)every(k, n) : 0;
}

int practice_make(const struct train_part *part, double *v, uint8_t *labels, size_t *ret,
                  struct ac_err *err)
{
    enum series_kind kind = series_kind_of(part);
    struct inject_how how = {.kinds = 1u << INJECT_SPIKE,
                             .every = every(kind, part->n),
                             .longest = kinds[kind].longest,
                             .even = kinds[kind].by_innovation};
    struct ac_rng rng;
    int rc = 0;
    *ret = 0;
    struct score_segment *events = NULL;
    size_t n = score_segments(part->labels, part->n, &events);
    free(events);
    if (!kinds[kind].practised || (n && !(kinds[kind].joins && n < THRESHOLD_FEW)))
        return 0;
    if (kinds[kind].by_innovation)
        rc = innovation(part, &how.unit, err);
    if (rc < 0)
        return rc;
    memcpy(v, part->values, part->n * sizeof *v);
    memcpy(labels, part->labels, part->n);
    ac_rng_seed(&rng, SEED);
    *ret = inject(v, labels, part->n, &how, &rng);
    return 0;
}
