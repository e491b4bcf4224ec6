/* The start of an application is no normal time to compare with. */
#include "rca_model.h"

#include <stdlib.h>
#include <string.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/stats.h>

#define TOGETHER_NS (2 * AC_NS_PER_S)
#define SETTLE_NS   (6 * AC_NS_PER_S)
#define KEEP_NS     (10 * AC_NS_PER_S)

int64_t ac_rca_settled(const struct ac_rca_case *c, int64_t t0_ns)
{
    double *starts = ac_xcalloc(c->nmetrics + 1, sizeof(*starts));
    int64_t first = INT64_MAX, settled = 0;
    size_t n = 0;
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->n > 0 && m->t_ns[0] < t0_ns)
            first = AC_MIN(first, m->t_ns[0]);
    }
    for (size_t i = 0; i < c->nmetrics; i++) {
        const struct ac_rca_metric *m = &c->metrics[i];
        if (m->n > 0 && m->t_ns[0] < t0_ns)
            starts[n++] = (double)(m->t_ns[0] - first);
    }
    if (n > 0) {
        ac_stats_sort(starts, n);
        int64_t last = (int64_t)ac_stats_quantile_sorted(starts, n, 0.9);
        settled = last > TOGETHER_NS ? AC_MIN(first + last + SETTLE_NS, t0_ns - KEEP_NS) : first;
        settled = AC_MAX(settled, first);
    }
    free(starts);
    return settled;
}

void ac_rca_case_trim(struct ac_rca_case *c, int64_t from_ns)
{
    for (size_t i = 0; i < c->nmetrics; i++) {
        struct ac_rca_metric *m = &c->metrics[i];
        size_t k = 0;
        while (k < m->n && m->t_ns[k] < from_ns)
            k++;
        if (k == 0)
            continue;
        m->n -= k;
        memmove(m->t_ns, m->t_ns + k, m->n * sizeof(m->t_ns[0]));
        memmove(m->v, m->v + k, m->n * sizeof(m->v[0]));
    }
    size_t kept = 0;
    for (size_t i = 0; i < c->nevents; i++) {
        if (c->events[i].t_ns < from_ns)
            free(c->events[i].text);
        else
            c->events[kept++] = c->events[i];
    }
    c->nevents = kept;
}
