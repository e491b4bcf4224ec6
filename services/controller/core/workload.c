#include "workload.h"

#include <math.h>
#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>
#include <aceso/str.h>

static int same_model(const char *model, uint32_t n, const struct costs *c, struct workload *w,
                      struct ac_err *err)
{
    const struct costs_row *r = serving_costs_find(c, model);
    if (!r)
        return ac_err_set(err, AC_ENOTFOUND,
                          "the cost table has no model %s, which this workload uses", model);
    w->n_models = n;
    w->row = ac_xcalloc(n, sizeof(*w->row));
    for (uint32_t i = 0; i < n; i++)
        w->row[i] = (uint32_t)(r - c->rows);
    return 0;
}

int serving_workload_named(const char *name, const struct costs *c, int64_t objective_ns,
                           struct workload *ret_w, struct ac_err *err)
{
    struct workload w = {.duration_ns = 60 * AC_NS_PER_S, .warmup_ns = 2 * AC_NS_PER_S};
    int64_t objective = objective_ns > 0 ? objective_ns : 100 * AC_NS_PER_MS;
    int rc = 0;
    if (ac_streq(name, "fig5")) {
        rc = same_model("resnet50_v2", 15, c, &w, err);
        w.gpus = 1;
        w.classes[w.n_classes++] =
            (struct workload_class){.n_models = 15, .closed = 16, .objective_ns = objective};
    } else if (ac_streq(name, "poisson")) {
        rc = same_model("resnet50_v2", 12, c, &w, err);
        w.gpus = 6;
        w.classes[w.n_classes++] = (struct workload_class){
            .n_models = 12, .rate = 1200, .cv = 1, .objective_ns = objective};
    } else if (ac_streq(name, "burst")) {
        rc = same_model("resnet50_v2", 72, c, &w, err);
        w.gpus = 6;
        for (uint32_t i = 0; i < w.n_models; i++)
            w.row[i] = i % (uint32_t)c->n;
        w.classes[w.n_classes++] = (struct workload_class){
            .n_models = 72, .rate = 970, .cv = 4, .objective_ns = objective};
    } else {
        rc = ac_err_set(err, AC_EINVAL, "no workload \"%.40s\"; there are fig5, poisson, burst",
                        name);
    }
    if (rc)
        return rc;
    *ret_w = w;
    return 0;
}

void serving_workload_free(struct workload *w)
{
    free(w->row);
    *w = (struct workload){0};
}

int64_t serving_workload_gap_ns(const struct workload_class *c, struct ac_rng *rng)
{
    double mean = 1e9 / c->rate, shape = 1 / (c->cv * c->cv);
    double gap =
        c->cv == 1 ? ac_rng_exponential(rng) * mean : ac_rng_gamma(rng, shape) / shape * mean;
    return (int64_t)AC_MIN(gap, 1e15) + 1;
}
