/* Recorded traces as workloads. */
#include "workload.h"

#include <stdlib.h>

#include <aceso/base.h>
#include <aceso/clock.h>

#define FUNCTIONS_MODELS 4026 /* as many as in the published experiment */
#define TIMES_MODELS     72

/* The busiest function gets one model, the next another, ... and around again. */
static void functions_of_counts(struct workload *w, const struct trace *t, double rate,
                                struct ac_rng *rng)
{
    uint32_t *order = ac_xcalloc(w->n_models, sizeof(*order));
    for (uint32_t i = 0; i < w->n_models; i++)
        order[i] = i;
    ac_rng_shuffle(rng, order, w->n_models, sizeof(*order));
    w->n_functions = (uint32_t)t->n_functions;
    w->functions = ac_xcalloc(w->n_functions, sizeof(*w->functions));
    for (uint32_t i = 0; i < w->n_functions; i++) {
        const struct trace_function *f = &t->functions[i];
        w->functions[i] = (struct workload_function){.model = order[i % w->n_models],
                                                     .kind = WORKLOAD_COUNTS,
                                                     .rate = rate,
                                                     .count = t->counts + f->first,
                                                     .counts_end = t->counts + f->first + f->n};
    }
    free(order);
}

/* Each request asks for a model at random; the times of one model stay in their order. */
static void functions_of_times(struct workload *w, const struct trace *t, double rate,
                               struct ac_rng *rng)
{
    uint32_t *model = ac_xcalloc(t->n_times, sizeof(*model));
    size_t *end = ac_xcalloc(w->n_models, sizeof(*end)), at = 0;
    for (size_t i = 0; i < t->n_times; i++)
        end[model[i] = (uint32_t)ac_rng_below(rng, w->n_models)]++;
    w->n_functions = w->n_models;
    w->functions = ac_xcalloc(w->n_functions, sizeof(*w->functions));
    w->times_ns = ac_xcalloc(t->n_times, sizeof(*w->times_ns));
    for (uint32_t i = 0; i < w->n_models; i++) {
        size_t n = end[i];
        end[i] = at;
        w->functions[i] = (struct workload_function){.model = i,
                                                     .kind = WORKLOAD_TIMES,
                                                     .rate = rate,
                                                     .time = w->times_ns + at,
                                                     .times_end = w->times_ns + at + n};
        at += n;
    }
    for (size_t i = 0; i < t->n_times; i++)
        w->times_ns[end[model[i]]++] = t->times_ns[i];
    free(model);
    free(end);
}

void serving_workload_trace(const struct trace *t, const struct costs *c,
                            const struct workload_replay *r, struct workload *ret_w)
{
    struct workload w = {.gpus = r->gpus ? r->gpus : 6, .n_classes = 1};
    struct ac_rng rng;
    uint32_t usual =
        t->n_times ? TIMES_MODELS : (uint32_t)AC_MIN(t->n_functions, (size_t)FUNCTIONS_MODELS);
    ac_rng_seed(&rng, r->seed);
    w.n_models = r->models ? r->models : usual;
    w.row = ac_xcalloc(w.n_models, sizeof(*w.row));
    for (uint32_t i = 0; i < w.n_models; i++)
        w.row[i] = i % (uint32_t)c->n;
    w.classes[0] = (struct workload_class){
        .n_models = w.n_models,
        .cv = 1,
        .objective_ns = r->objective_ns > 0 ? r->objective_ns : 100 * AC_NS_PER_MS};
    if (t->n_times)
        functions_of_times(&w, t, r->rate, &rng);
    else
        functions_of_counts(&w, t, r->rate, &rng);
    w.duration_ns = t->n_times ? (int64_t)((double)t->span_ns / r->rate) + AC_NS_PER_S : t->span_ns;
    w.warmup_ns = AC_MIN(2 * AC_NS_PER_S, w.duration_ns / 2);
    *ret_w = w;
}
