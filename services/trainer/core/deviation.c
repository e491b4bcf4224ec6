#include "deviation.h"

#include "bank.h"
#include "edit.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/buf.h>

#define DAYS       7
#define SEASON_MAX 100000 /* points: what a rule of seconds would have to keep */
#define SHORT      3
#define LONG       60

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median and standard deviation of what is there; false: nothing is. */
static bool centre_size(const struct train_part *p, double *ret_centre, double *ret_size)
{
    double *v = ac_xmalloc((p->n + 1) * sizeof *v), mean = 0, sq = 0;
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (isfinite(p->values[i]))
            v[n++] = p->values[i];
    }
    for (size_t i = 0; i < n; i++)
        mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        sq += (v[i] - mean) * (v[i] - mean);
    qsort(v, n, sizeof *v, rising);
    *ret_centre = n ? v[n / 2] : 0;
    *ret_size = n ? bank_round(sqrt(sq / (double)n)) : 0;
    free(v);
    return n > 0;
}

char *deviation_add(const struct train_part *p, const char *rule)
{
    double centre, size;
    if (!centre_size(p, &centre, &size))
        return NULL;
    if (!(size > 0)) /* constant: any unit will do */
        size = centre != 0 ? fabs(centre) : 1;
    int64_t day = p->step_ns > 0 ? 86400000000000LL / p->step_ns : 0;
    struct ac_buf b;
    ac_buf_init(&b, 4096);
    if (day > 1 && day * DAYS <= SEASON_MAX && (size_t)day * 3 <= p->n)
        ac_buf_printf(&b,
                      "    let deviation_usual = coalesce(season_median(value, %lld, %d, 0), "
                      "%.12g)\n",
                      (long long)day, DAYS, centre);
    else
        ac_buf_printf(&b, "    let deviation_usual = %.12g\n", centre);
    ac_buf_printf(&b,
                  "    let deviation_recent = coalesce(mean(lag(value, 1), %d), %.12g)\n"
                  "    # for ranking: from the time of day, the middle of all, the last %d points\n"
                  "    let " DEVIATION_NAME " = (abs(mean(value - deviation_usual, %d)) + 0.5 * "
                  "abs(value - %.12g) + 0.5 * abs(value - deviation_recent)) / %.6g\n",
                  LONG, centre, LONG, SHORT, centre, size);
    char *lets = ac_buf_take(&b);
    char *out = edit_when(rule, lets, "", "");
    free(lets);
    return out;
}
