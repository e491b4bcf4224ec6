/* What a job does on a worker thread: the collector's answer as series, and rules from them. */
#include "healthy.h"

#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/pbx.h>
#include <aceso/v1/telemetry.pb-c.h>

#include "adapters/service.h"

#define SAMPLE_BYTES (512u << 20)
#define STEP_UNIT    (100 * AC_NS_PER_MS) /* a step is a multiple of this */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The usual distance between points: gaps and late ones do not move the median. 0: not known. */
static int64_t step_of(const int64_t *t, size_t n, struct ac_arena *a)
{
    int64_t *d = n > 1 ? ac_arena_alloc(a, (n - 1) * sizeof *d) : NULL;
    if (!d)
        return 0;
    for (size_t i = 1; i < n; i++)
        d[i - 1] = t[i] - t[i - 1];
    qsort(d, n - 1, sizeof *d, by_time);
    int64_t m = d[(n - 1) / 2];
    return m <= 0 || m > 86400 * AC_NS_PER_S ? 0 : (m + STEP_UNIT / 2) / STEP_UNIT * STEP_UNIT;
}

static bool to_series(const Aceso__V1__SeriesPoints *p, struct ac_arena *a,
                      struct healthy_series *ret)
{
    if (!p->key || p->n_value != p->n_time_ns || !p->n_value)
        return false;
    const Aceso__V1__SeriesKey *k = p->key;
    struct ac_label *l = ac_arena_calloc(a, k->n_labels + 1, sizeof *l);
    if (!l)
        return false;
    for (size_t i = 0; i < k->n_labels; i++)
        l[i] = (struct ac_label){k->labels[i]->key, k->labels[i]->value};
    *ret = (struct healthy_series){.component = k->component,
                                   .metric = k->metric,
                                   .kind = p->kind,
                                   .unit = p->unit,
                                   .labels = l,
                                   .n_labels = k->n_labels,
                                   .values = p->value,
                                   .n = p->n_value,
                                   .step_ns = step_of(p->time_ns, p->n_time_ns, a)};
    return true;
}

int train_sample(const void *data, size_t len, struct healthy_rule **ret_rules, size_t *ret_n,
                 size_t *ret_series, struct ac_err *err)
{
    struct ac_arena *a = ac_arena_create(SAMPLE_BYTES);
    Aceso__V1__QueryMetricsResponse *m = NULL;
    int rc = AC_PB_UNPACK(aceso__v1__query_metrics_response, data, len, a, &m, err);
    if (rc == 0 && m->truncated)
        rc = ac_err_set(err, AC_ERANGE,
                        "the healthy time has more points than the collector gives at once: "
                        "choose a shorter time or a narrower selector");
    if (rc == 0) {
        struct healthy_series *s = ac_xcalloc(m->n_series + 1, sizeof *s);
        size_t n = 0;
        for (size_t i = 0; i < m->n_series; i++)
            n += to_series(m->series[i], a, &s[n]);
        *ret_series = n;
        if (ac_arena_failed(a))
            rc = ac_err_set(err, AC_EAGAIN, "the sample is too large");
        else if (n == 0)
            rc = ac_err_set(err, AC_ENOTFOUND,
                            "the collector has no metrics of that namespace and time");
        else
            rc = healthy_train(s, n, ret_rules, ret_n, err);
        free(s);
    }
    ac_arena_destroy(a);
    return rc;
}
