#include "kind.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <aceso/base.h>

#define LUMPY     0.3 /* median by mean size of changes, below which a series is state-like */
#define HOURLY_NS 1800000000000LL

const char *series_kind_name(enum series_kind k)
{
    return k == KIND_MINUTE ? "minute" : k == KIND_HOURLY ? "hourly" : "state-like";
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum series_kind series_kind_of(const struct train_part *p)
{
    double *d = ac_xmalloc((p->n + 1) * sizeof *d), sum = 0;
    size_t k = 0;
    for (size_t i = 1; i < p->n; i++) {
        double x = fabs(p->values[i] - p->values[i - 1]);
        if (x == x) {
            sum += x;
            d[k++] = x;
        }
    }
    qsort(d, k, sizeof *d, by_value);
    bool lumpy = k && !(d[k / 2] > LUMPY * sum / (double)k);
    free(d);
    return lumpy ? KIND_STATE : p->step_ns >= HOURLY_NS ? KIND_HOURLY : KIND_MINUTE;
}
